/*
 * A connection that dies while COMMIT is on its way: the old backend may still commit. Whoever then reads the cursor
 * and goes on transforms the batch twice.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <time.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const COLUMN_N[] = {"n"};
static const char INCREMENT[] = "return function(row) return { n = row.n + 1 } end";

static void
pause_ms(long ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void) nanosleep(&t, NULL);
}

static const char *
table_of(const char *name, int rows)
{
    const char *db = pawl_test_database_new(name);
    char sql[200];

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL);"
                    "INSERT INTO t SELECT i, 0 FROM generate_series(1, %d) i; ANALYZE t",
                    rows);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

static pawl_backfill_spec
increment_spec(void)
{
    pawl_backfill_spec spec = pawl_test_spec("t");

    spec.lua_file = "transforms/increment.lua";
    spec.read = COLUMN_N;
    spec.nread = 1;
    spec.write = COLUMN_N;
    spec.nwrite = 1;
    return spec;
}

typedef struct running
{
    pawl_backfill_spec spec;
    pawl_backfill_env env;
    const char *job;
    pawl_backfill_result result;
    pawl_error err;
    pawl_status st;
} running;

static void *
run_it(void *arg)
{
    running *r = arg;

    r->st = pawl_test_backfill(&r->spec, &r->env, r->job, &r->result, &r->err);
    return NULL;
}

static void
assert_done(const running *r)
{
    if (r->st != PAWL_OK)
        fail_msg("%s; %s [%s]", r->err.message, r->err.detail, r->err.sqlstate);
}

/* The server gets the checkpoint and the COMMIT only half a second after the client has seen its connection die. */
static void
the_old_backend_commits_late_and_no_row_is_done_twice(void **state)
{
    const char *db = table_of("late", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pthread_t thread;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "late", through, sizeof through);

    running r = {.spec = increment_spec(),
                 .env = pawl_test_env(through, pawl_test_transform("increment", INCREMENT)),
                 .job = "late"};

    r.spec.workers = 1;
    pawl_test_proxy_cut_on(proxy, ".checkpoint(", 4, PAWL_TEST_CUT_BEFORE);
    assert_int_equal(pthread_create(&thread, NULL, run_it, &r), 0);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) = 3 FROM pawl.progress", 10000);
    pause_ms(500);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_release(proxy);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pawl_test_proxy_stop(proxy);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

/* The server has committed, the answer is lost. */
static void
the_answer_is_lost_and_no_row_is_done_twice(void **state)
{
    const char *db = table_of("lost", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pthread_t thread;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "lost", through, sizeof through);

    running r = {.spec = increment_spec(),
                 .env = pawl_test_env(through, pawl_test_transform("increment", INCREMENT)),
                 .job = "lost"};

    r.spec.workers = 1;
    pawl_test_proxy_cut_on(proxy, ".checkpoint(", 4, PAWL_TEST_CUT_AFTER);
    assert_int_equal(pthread_create(&thread, NULL, run_it, &r), 0);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 4 FROM pawl.progress", 10000);
    pawl_test_proxy_release(proxy);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), 1000);
}

/* Nothing that was known before the connection was lost is used after it, the fence included: what the old backend still
 * gets to see then finds itself locked out. */
static void
a_lost_connection_is_followed_by_a_new_claim(void **state)
{
    const char *db = table_of("claim", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pthread_t thread;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "claim", through, sizeof through);

    running r = {.spec = increment_spec(),
                 .env = pawl_test_env(through, pawl_test_transform("increment", INCREMENT)),
                 .job = "claim"};

    r.spec.workers = 1;
    pawl_test_proxy_cut_on(proxy, ".hold(", 4, PAWL_TEST_CUT_BEFORE);
    assert_int_equal(pthread_create(&thread, NULL, run_it, &r), 0);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 6 FROM pawl.progress", 10000);
    pawl_test_proxy_release(proxy);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT fence FROM pawl.progress"), 2);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

/* A checkpoint that lasts: cuts then hit transactions that go on for a while and commit. */
static void
sockets_cut_at_random_lose_and_double_nothing(void **state)
{
    const char *db = table_of("cuts", 20000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pthread_t thread;

    (void) state;
    pawl_test_exec(db,
                   "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " IF NEW.batches > OLD.batches AND random() < 0.3 THEN PERFORM pg_sleep(0.1); END IF;"
                   " RETURN NEW; END $$;"
                   "CREATE TRIGGER slow BEFORE UPDATE ON pawl.progress FOR EACH ROW EXECUTE FUNCTION slow()");
    pawl_test_proxy_conninfo(proxy, "cuts", through, sizeof through);

    running r = {.spec = increment_spec(),
                 .env = pawl_test_env(through, pawl_test_transform("increment", INCREMENT)),
                 .job = "cuts"};

    r.spec.workers = 3;
    r.spec.chunk_rows = 500;
    assert_int_equal(pthread_create(&thread, NULL, run_it, &r), 0);
    for (int i = 0; i < 12; i++)
    {
        pause_ms(70 + 13 * i);
        pawl_test_proxy_cut_now(proxy);
        pause_ms(60);
        pawl_test_proxy_release(proxy);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(pawl_test_proxy_cuts(proxy) > 5);
    pawl_test_proxy_stop(proxy);
    assert_done(&r);
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
