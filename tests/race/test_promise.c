/*
 * Where the promise ends (docs/guarantees.md), forced: rows whose key changes while the job runs, and a row that one other
 * transaction deletes and inserts again under an UPDATE by expressions. What is said there is what happens.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    LONG_MS = 20000
};

/* The gate armed in main: the job has committed its first batch, and stands before anything else. */
static const char COMMITTED[] = "backfill.after_commit";

/* Keys 2, 4, ... 600 in batches of 100 rows: the first ends at 200, and the next is read behind the commit. */
static void
a_row_whose_key_changes_may_be_done_twice_or_never(void **state)
{
    const char *db = pawl_test_counted("keys", "bigint", 300);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET id = -2 * id; UPDATE t SET id = -id");
    pawl_test_job_prepare(&j, db, "keys");
    pawl_test_job_go_to(&j, COMMITTED);
    pawl_test_exec(db, "UPDATE t SET id = 501, s = 'ahead' WHERE id = 10; UPDATE t SET id = 11, s = 'behind' "
                       "WHERE id = 500");
    pawl_test_job_let_go();
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE s = 'ahead'"), 2);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE s = 'behind'"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 298);
}

/* The UPDATE waits for the row that is deleted, and the new one is not in its snapshot: it is looked for again. */
static void
reborn(const char *name, bool is_set)
{
    static const pawl_set_expression up[] = {{"n", "n + 1"}};
    const char *db = pawl_test_counted(name, "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job j;

    /* So that the writer in flight is none of those that the start waits for, the batch itself lets it in. */
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(1);"
                       " RETURN NULL; END $$; CREATE TRIGGER b BEFORE UPDATE OF n ON t FOR EACH STATEMENT "
                       "EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&j, db, name);
    if (is_set)
    {
        j.spec.lua_file = NULL;
        j.spec.nread = j.spec.nwrite = 0;
        j.spec.set = up;
        j.spec.nset = 1;
    }
    j.env.lock_timeout_ms = 450;
    pawl_test_job_go(&j);
    pawl_test_wait_until(db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
                         LONG_MS);
    pawl_test_run_on(other, "BEGIN; DELETE FROM t WHERE id = 50; INSERT INTO t VALUES (50, 0, 'reborn')");
    pawl_test_wait_until(db,
                         "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND"
                         " application_name LIKE 'pawl job%'",
                         LONG_MS);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE s = 'reborn'"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
}

static void
a_row_reborn_under_an_update_is_found(void **state)
{
    (void) state;
    reborn("by_lua", false);
    reborn("by_set", true);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_whose_key_changes_may_be_done_twice_or_never),
        cmocka_unit_test(a_row_reborn_under_an_update_is_found),
    };

    pawl_failpoint_arm("backfill.after_commit=gate");
    pawl_failpoint_open(COMMITTED, true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
