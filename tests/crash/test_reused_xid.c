/*
 * Transaction ids are used again: a commit that had not reached the disk when the server crashed is lost, and its id is
 * given out anew. A row that was read before the crash may then seem to have the very version that another update gave it
 * after. Nothing that was learned on a connection may outlive it.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "util/failpoint.h"

#include "util/banned.h"

#define XMIN "SELECT xmin::text::bigint FROM t WHERE id = 30"

enum
{
    STEP_MS = 5,
    LONG_MS = 30000,
    SPARE_IDS = 20 /* for the job, which connects again after the crash */
};

/* Take ids until the next one is `xid`, and give it to the row: in one session, so that nobody else comes between. */
static void
take_id_again(const char *db, int64_t xid)
{
    PGconn *conn = pawl_test_connect(db);
    int64_t last = 0;

    while (last < xid - 1)
    {
        PGresult *res = PQexec(conn, "SELECT pg_current_xact_id()::text");

        last = strtoll(PQgetvalue(res, 0, 0), NULL, 10);
        PQclear(res);
    }
    pawl_test_run_on(conn, "UPDATE t SET n = 500 WHERE id = 30");
    PQfinish(conn);
    assert_int_equal(pawl_test_query_i64(db, XMIN), xid);
}

/* Wait until the gate has been reached once more than `before`. */
static void
wait_for_gate(const char *name, int64_t before)
{
    int64_t waited_ms = 0;

    while (pawl_failpoint_reached(name) == before && (waited_ms += STEP_MS) < LONG_MS)
        pawl_test_pause_ms(STEP_MS);
    assert_true(pawl_failpoint_reached(name) > before);
}

typedef enum crash
{
    CRASH_SERVER,
    CRASH_BACKENDS, /* the postmaster stays, and with it what it calls its start */
} crash;

/*
 * The job works through `conninfo`. Between its read and its write the commit that gave a row the version that was read is
 * lost, and another update gives it that version again.
 */
static void
lose_a_version(const char *db, const char *conninfo, const char *name, crash how)
{
    PGconn *hasty = pawl_test_connect(db);
    int64_t claims = pawl_failpoint_reached("claim.after_insert");
    int64_t reads = pawl_failpoint_reached("backfill.after_read");
    pawl_test_job j;
    int64_t lost;

    pawl_failpoint_open("claim.after_insert", false);
    pawl_failpoint_open("backfill.after_read", false);
    pawl_test_exec(db, "CHECKPOINT");
    pawl_test_job_prepare(&j, conninfo, name);
    pawl_test_job_go(&j);
    /* The chunk is claimed and not read yet. From now on nothing is committed that would flush the hasty commit. */
    wait_for_gate("claim.after_insert", claims);
    pawl_test_run_on(hasty, "SET synchronous_commit = off");
    for (int i = 0; i < SPARE_IDS; i++)
        pawl_test_run_on(hasty, "SELECT pg_current_xact_id()");
    pawl_test_run_on(hasty, "UPDATE t SET n = 1000 WHERE id = 30");
    lost = pawl_test_query_i64(db, XMIN);
    pawl_failpoint_open("claim.after_insert", true);
    wait_for_gate("backfill.after_read", reads);
    if (how == CRASH_SERVER)
        pawl_test_server_restart(true);
    else
        pawl_test_server_kill_backend(db, hasty);
    PQfinish(hasty);
    /* Otherwise nothing is shown: the commit was written out before the crash. */
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 30"), 0);
    take_id_again(db, lost);
    pawl_failpoint_open("backfill.after_read", true);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 30"), 501);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 99);
}

static void
a_version_that_was_read_before_a_crash_matches_nothing_after_it(void **state)
{
    const char *db = pawl_test_counted("reused", "bigint", 100);

    (void) state;
    lose_a_version(db, db, "reused", CRASH_SERVER);
}

/* Its client's connection outlives the crash, and tells of nothing. */
static void
nor_does_it_behind_a_pooler(void **state)
{
    const char *db = pawl_test_counted("pooled", "bigint", 100);
    const char *pooled = pawl_test_pooled_conninfo("pooled");

    (void) state;
    if (pooled == NULL)
        skip();
    lose_a_version(db, pooled, "pooled", CRASH_SERVER);
}

static void
nor_where_only_the_backends_of_the_pooler_crash(void **state)
{
    const char *db = pawl_test_counted("backends", "bigint", 100);
    const char *pooled = pawl_test_pooled_conninfo("backends");

    (void) state;
    if (pooled == NULL)
        skip();
    lose_a_version(db, pooled, "backends", CRASH_BACKENDS);
}

/* Commits that had not reached it are lost as in a crash, and nothing tells a pooler's client. */
static void
a_standby_that_takes_over_is_another_incarnation(void **state)
{
    const char *db = pawl_test_counted("promoted", "bigint", 10);
    const char *standby = pawl_test_standby_conninfo("promoted");
    char *name = pawl_test_query_text(db, "SELECT pawl.incarnation()");
    char *again = pawl_test_query_text(db, "SELECT pawl.incarnation()");
    char *other;

    (void) state;
    assert_string_equal(again, name);
    pawl_test_wait_until(standby, "SELECT count(*) = 10 FROM t", LONG_MS);
    pawl_test_wait_until(standby, "SELECT pg_promote()", LONG_MS);
    assert_int_equal(pawl_test_query_i64(standby, "SELECT count(*) FROM pawl.incarnation"), 0);
    other = pawl_test_query_text(standby, "SELECT pawl.incarnation()");
    assert_string_not_equal(other, name);
    free(name);
    free(again);
    free(other);
}

static int
setup(void **state)
{
    (void) state;
    /* Whatever would write the commit out before its time is kept away. */
    pawl_test_server_start("wal_writer_delay = 10s\nbgwriter_lru_maxpages = 0\nautovacuum = off\n"
                           "checkpoint_timeout = 1h\n");
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_version_that_was_read_before_a_crash_matches_nothing_after_it),
        cmocka_unit_test(nor_does_it_behind_a_pooler),
        cmocka_unit_test(nor_where_only_the_backends_of_the_pooler_crash),
        cmocka_unit_test(a_standby_that_takes_over_is_another_incarnation),
    };

    pawl_failpoint_arm("claim.after_insert=gate;backfill.after_read=gate");
    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
