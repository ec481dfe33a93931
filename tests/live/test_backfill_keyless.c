/* Tables without a key, done in passes: rows that move are not skipped, none is written twice, and what cannot be done so
 * is refused or stops. A trigger counts how often a row was written. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const PLACE[] = {"ctid"};
static const pawl_set_expression SET_ONE[] = {{"n", "n + 1"}};

static const char COUNTED[] =
    "CREATE FUNCTION count_up() RETURNS trigger LANGUAGE plpgsql AS"
    " 'BEGIN NEW.times := OLD.times + 1; RETURN NEW; END';"
    "CREATE TABLE t (id int, n int NOT NULL DEFAULT 0, s text, times int NOT NULL DEFAULT 0)%s;"
    "CREATE TRIGGER counted BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.n <> NEW.n) EXECUTE FUNCTION "
    "count_up();%s"
    "INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, %d) i; ANALYZE t;";

static const char *
counted(const char *name, const char *partition, const char *partitions, int rows)
{
    const char *db = pawl_test_database_new(name);
    char sql[1500];

    (void) snprintf(sql, sizeof sql, COUNTED, partition, partitions, rows);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

static void
prepare(pawl_test_job *j, const char *db, const char *job, bool by_sql)
{
    pawl_test_job_prepare(j, db, job);
    j->spec.key = PLACE;
    j->spec.nkey = 1;
    j->spec.where = "n = 0";
    j->spec.workers = 2;
    if (!by_sql)
        return;
    j->spec.lua_file = NULL;
    j->spec.nread = 0;
    j->spec.nwrite = 0;
    j->spec.set = SET_ONE;
    j->spec.nset = 1;
}

static pawl_status
run(pawl_test_job *j)
{
    j->err = (pawl_error) PAWL_ERROR_INIT;
    j->st = pawl_test_backfill(&j->spec, &j->env, j->job, &j->result, &j->err);
    return j->st;
}

static void
run_ok(pawl_test_job *j)
{
    if (run(j) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
}

static void
assert_each_once(const char *db, int rows)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND times = 1"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state <> 'done'"), 0);
}

static void
each_row_is_written_once(void **state)
{
    (void) state;
    for (int by_sql = 0; by_sql < 2; by_sql++)
    {
        const char *db = counted(by_sql ? "once_sql" : "once_lua", "", "", 5000);
        pawl_test_job j;

        prepare(&j, db, "once", by_sql);
        run_ok(&j);
        assert_each_once(db, 5000);
        assert_int_equal(j.result.progress.rows_written, 5000);
        assert_int_equal(pawl_test_query_i64(db, "SELECT pass FROM pawl.part"), 0);
        run_ok(&j);
        assert_true(j.result.was_done);
    }
}

/* Vacuum makes room in the pages that are done, and rows that are not done move there: one pass never sees them. */
static void
rows_that_move_behind_the_cursor_are_done_by_the_next_pass(void **state)
{
    (void) state;
    for (int by_sql = 0; by_sql < 2; by_sql++)
    {
        const char *db =
            counted(by_sql ? "move_sql" : "move_lua", " WITH (autovacuum_enabled = off)", "", 20000);
        pawl_test_job j;

        prepare(&j, db, "move", by_sql);
        j.spec.workers = 1;
        pawl_test_exec(db, "ALTER TABLE t ADD CONSTRAINT unlucky CHECK (id <> 10000 OR n = 0)");
        assert_int_equal(run(&j), PAWL_E_SERVER);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND id < 10000"), 9999);
        pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT unlucky");
        pawl_test_exec(db, "VACUUM t");
        pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id > 19000");
        /* Otherwise the test would show nothing. */
        assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 0 AND ctid < '(40,1)'") > 500);
        run_ok(&j);
        assert_true(j.result.was_resumed);
        assert_each_once(db, 20000);
        assert_true(pawl_test_query_i64(db, "SELECT pass FROM pawl.part") >= 1);
    }
}

static void
an_application_that_updates_all_the_time_loses_nothing(void **state)
{
    const char *db = counted("busy", " WITH (fillfactor = 70)", "", 6000);
    pawl_test_job j;
    int i = 0;

    (void) state;
    prepare(&j, db, "busy", false);
    pawl_test_job_go(&j);
    while (pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state = 'done'") == 0 && i < 200)
    {
        char sql[200];

        (void) snprintf(sql, sizeof sql, "UPDATE t SET s = 'r%d' WHERE id %% 41 = %d", i, i % 41);
        pawl_test_exec(db, sql);
        if (i++ % 5 == 0)
            pawl_test_exec(db, "VACUUM t");
    }
    pawl_test_job_finish(&j);
    assert_each_once(db, 6000);
}

static void
partitions_without_keys_have_passes_of_their_own(void **state)
{
    const char *db = counted("parts", " PARTITION BY HASH (id)",
                             "CREATE TABLE t0 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
                             "CREATE TABLE t1 PARTITION OF t FOR VALUES WITH (MODULUS 2, REMAINDER 1)"
                             " WITH (autovacuum_enabled = off);",
                             8000);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "parts", false);
    j.spec.workers = 1;
    pawl_test_exec(db, "ALTER TABLE t1 ADD CONSTRAINT unlucky CHECK (id NOT BETWEEN 4000 AND 4100 OR n = 0)");
    assert_int_equal(run(&j), PAWL_E_SERVER);
    pawl_test_exec(db, "ALTER TABLE t1 DROP CONSTRAINT unlucky");
    pawl_test_exec(db, "VACUUM t1");
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id > 7500");
    run_ok(&j);
    assert_each_once(db, 8000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT pass FROM pawl.part WHERE table_name = 'public.t0'"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT pass FROM pawl.part WHERE table_name = 'public.t1'"), 1);
}

static void
a_write_that_leaves_the_condition_true_stops_before_its_commit(void **state)
{
    const char *db = counted("still", "", "", 500);
    pawl_test_job j;

    (void) state;
    for (int by_sql = 0; by_sql < 2; by_sql++)
    {
        prepare(&j, db, by_sql ? "still sql" : "still lua", by_sql);
        j.spec.where = "id > 0 AND n < 5";
        assert_int_equal(run(&j), PAWL_E_TRANSFORM);
        pawl_test_assert_contains(j.err.message, "still holds for");
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 0"), 0);
    }
    prepare(&j, db, "nil", false);
    j.env = pawl_test_env(db, pawl_test_transform("some",
                                                  "return function(row) if row.n == 1 then return nil end "
                                                  "return { n = row.n } end"));
    j.spec.lua_file = "transforms/some.lua";
    assert_int_equal(run(&j), PAWL_E_TRANSFORM);
    pawl_test_assert_contains(j.err.message, "alone");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 0"), 0);
}

/* A trigger takes back what was written: every pass meets the same rows. */
static void
passes_that_come_to_no_end_are_ended(void **state)
{
    const char *db = counted("noend", "", "", 50);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION skip() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
                       "CREATE TRIGGER skips BEFORE UPDATE ON t FOR EACH ROW WHEN (OLD.id = 7)"
                       " EXECUTE FUNCTION skip()");
    prepare(&j, db, "noend", true);
    assert_int_equal(run(&j), PAWL_E_STATE);
    pawl_test_assert_contains(j.err.message, "still has rows");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 49);
    pawl_test_exec(db, "DROP TRIGGER skips ON t");
    run_ok(&j);
    assert_each_once(db, 50);
}

static void
what_needs_a_key_is_refused_with_what_can_be_done(void **state)
{
    const char *db = counted("needs", "", "", 5);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "needs", true);
    j.spec.where = NULL;
    assert_int_equal(run(&j), PAWL_E_REFUSED);
    pawl_test_assert_contains(j.err.detail, "no longer holds");
    prepare(&j, db, "needs", true);
    j.spec.nkey = 0;
    j.spec.key = NULL;
    assert_int_equal(run(&j), PAWL_E_REFUSED);
    pawl_test_assert_contains(j.err.hint, "CREATE UNIQUE INDEX");
    pawl_test_assert_contains(j.err.hint, "key: [ctid]");
    pawl_test_exec(db, "CREATE TABLE u (id int)");
    prepare(&j, db, "needs", false);
    j.spec.into = "u";
    j.spec.write = (const char *const[]){"id"};
    assert_int_equal(run(&j), PAWL_E_REFUSED);
    pawl_test_assert_contains(j.err.detail, "into");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_is_written_once),
        cmocka_unit_test(rows_that_move_behind_the_cursor_are_done_by_the_next_pass),
        cmocka_unit_test(an_application_that_updates_all_the_time_loses_nothing),
        cmocka_unit_test(partitions_without_keys_have_passes_of_their_own),
        cmocka_unit_test(a_write_that_leaves_the_condition_true_stops_before_its_commit),
        cmocka_unit_test(passes_that_come_to_no_end_are_ended),
        cmocka_unit_test(what_needs_a_key_is_refused_with_what_can_be_done),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
