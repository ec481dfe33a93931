/*
 * A connection that dies while COMMIT is on its way: the old backend may still commit. Whoever then reads the cursor
 * and goes on transforms the batch twice.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

/* The server gets the checkpoint and the COMMIT only half a second after the client has seen its connection die. */
static void
the_old_backend_commits_late_and_no_row_is_done_twice(void **state)
{
    const char *db = pawl_test_counted("late", "bigint", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "late", through, sizeof through);

    pawl_test_job_prepare(&r, through, "late");
    pawl_test_proxy_cut_on(proxy, ".checkpoint(", 4, PAWL_TEST_CUT_BEFORE);
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) = 3 FROM pawl.progress", 10000);
    pawl_test_pause_ms(500);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_release(proxy);
    pawl_test_job_finish(&r);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

/* The server has committed, the answer is lost. */
static void
the_answer_is_lost_and_no_row_is_done_twice(void **state)
{
    const char *db = pawl_test_counted("lost", "bigint", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "lost", through, sizeof through);

    pawl_test_job_prepare(&r, through, "lost");
    pawl_test_proxy_cut_on(proxy, ".checkpoint(", 4, PAWL_TEST_CUT_AFTER);
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 4 FROM pawl.progress", 10000);
    pawl_test_proxy_release(proxy);
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), 1000);
}

/* Nothing that was known before the connection was lost is used after it, the fence included: what the old backend still
 * gets to see then finds itself locked out. */
static void
a_lost_connection_is_followed_by_a_new_claim(void **state)
{
    const char *db = pawl_test_counted("claim", "bigint", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "claim", through, sizeof through);

    pawl_test_job_prepare(&r, through, "claim");
    pawl_test_proxy_cut_on(proxy, ".hold(", 4, PAWL_TEST_CUT_BEFORE);
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 6 FROM pawl.progress", 10000);
    pawl_test_proxy_release(proxy);
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT fence FROM pawl.progress"), 2);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

/* A checkpoint that lasts: cuts then hit transactions that go on for a while and commit. */
static void
sockets_cut_at_random_lose_and_double_nothing(void **state)
{
    const char *db = pawl_test_counted("cuts", "bigint", 20000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db,
                   "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " IF NEW.batches > OLD.batches AND random() < 0.3 THEN PERFORM pg_sleep(0.1); END IF;"
                   " RETURN NEW; END $$;"
                   "CREATE TRIGGER slow BEFORE UPDATE ON pawl.progress FOR EACH ROW EXECUTE FUNCTION slow()");
    pawl_test_proxy_conninfo(proxy, "cuts", through, sizeof through);

    pawl_test_job_prepare(&r, through, "cuts");
    r.spec.workers = 3;
    r.spec.chunk_rows = 500;
    pawl_test_job_go(&r);
    /* The start is the coordinator's, and a connection lost there is told at once. */
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) > 0 FROM pawl.progress", 10000);
    for (int i = 0; i < 12; i++)
    {
        pawl_test_pause_ms(70 + 13 * i);
        pawl_test_proxy_cut_now(proxy);
        pawl_test_pause_ms(60);
        pawl_test_proxy_release(proxy);
    }
    pawl_test_job_finish(&r);
    assert_true(pawl_test_proxy_cuts(proxy) > 5);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_old_backend_commits_late_and_no_row_is_done_twice),
        cmocka_unit_test(the_answer_is_lost_and_no_row_is_done_twice),
        cmocka_unit_test(a_lost_connection_is_followed_by_a_new_claim),
        cmocka_unit_test(sockets_cut_at_random_lose_and_double_nothing),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
