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

enum
{
    READ_MS = 4000 /* the failpoint set in main: after the read */
};

#define XMIN "SELECT xmin::text::bigint FROM t WHERE id = 30"

/* Take ids until the next one is `xid`. */
static void
burn_ids_up_to(const char *db, int64_t xid)
{
    int64_t next;

    while ((next = pawl_test_query_i64(db, "SELECT pg_snapshot_xmax(pg_current_snapshot())::text::bigint")) <
           xid)
        pawl_test_exec(db, "SELECT pg_current_xact_id()");
    assert_int_equal(next, xid);
}

static void
a_version_that_was_read_before_a_crash_matches_nothing_after_it(void **state)
{
    const char *db = pawl_test_counted("reused", "bigint", 100);
    PGconn *hasty = pawl_test_connect(db);
    pawl_test_job j;
    int64_t lost;

    (void) state;
    pawl_test_exec(db, "CHECKPOINT");
    pawl_test_job_prepare(&j, db, "reused");
    pawl_test_job_go(&j);
    /* The chunk is claimed and not read yet. From now on nothing is committed that would flush the hasty commit. */
    pawl_test_wait_until(db, "SELECT count(*) = 1 FROM pawl.progress", 10000);
    pawl_test_run_on(hasty, "SET synchronous_commit = off; UPDATE t SET n = 1000 WHERE id = 30");
    lost = pawl_test_query_i64(db, XMIN);
    pawl_test_pause_ms(READ_MS / 2);
    pawl_test_server_restart(true);
    PQfinish(hasty);
    /* Otherwise nothing is shown: the commit was written out before the crash. */
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 30"), 0);
    burn_ids_up_to(db, lost);
    pawl_test_exec(db, "UPDATE t SET n = 500 WHERE id = 30");
    assert_int_equal(pawl_test_query_i64(db, XMIN), lost);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 30"), 501);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 99);
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
    };

    pawl_failpoint_arm("claim.after_insert=sleep:1000;backfill.after_read=sleep:4000");
    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
