/*
 * What other sessions do to a row between its read and its COPY. The row that is written stands in another table, so
 * that nothing of it can match the version that was read: a trigger that keeps the other table up to date must not be
 * overtaken by an older version.
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
#include "util/failpoint.h"

#include "util/banned.h"

/* The gates armed in main: the first batch has been read; a row is about to be passed over. */
static const char READ[] = "backfill.after_read";
static const char CONDEMN[] = "backfill.before_condemn";

enum
{
    LATE_MS = 600 /* how late a COMMIT arrives */
};

static const char *const READ_N[] = {"n"};
static const char *const WRITE_OF[] = {"source", "n"};
static const char *const BY_SOURCE[] = {"source"};

/* t (id, n, s) with `rows` rows; h (source, n) without a key. */
static const char *
counted(const char *name, int rows)
{
    const char *db = pawl_test_counted(name, "bigint", rows);

    pawl_test_exec(db, "CREATE TABLE h (source bigint, n int)");
    return db;
}

static void
prepare(pawl_test_job *j, const char *db, const char *name)
{
    const char *dir =
        pawl_test_transform("into", "return function(row) return { source = row.id, n = row.n } end");

    *j = (pawl_test_job){.spec = pawl_test_spec("t"), .env = pawl_test_env(db, dir), .job = name};
    j->spec.lua_file = "transforms/into.lua";
    j->spec.read = READ_N;
    j->spec.nread = 1;
    j->spec.write = WRITE_OF;
    j->spec.nwrite = 2;
    j->spec.into = "h";
    j->spec.workers = 1;
}

#define SAME_IN_BOTH "SELECT count(*) FROM t FULL JOIN h ON id = source WHERE t.n IS DISTINCT FROM h.n"

static void
changed_rows_are_written_from_their_new_version_and_deleted_ones_not_at_all(void **state)
{
    const char *db = counted("changed", 100);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "changed");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = n + 1000 WHERE id % 3 = 0");
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id % 3 = 1");
    pawl_test_exec(db, "DELETE FROM t WHERE id IN (50, 53)");
    pawl_test_exec(db,
                   "BEGIN; DELETE FROM t WHERE id IN (2, 5); INSERT INTO t VALUES (5, 5000, 'z'); COMMIT");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, SAME_IN_BOTH), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 97);
    assert_int_equal(r.result.progress.rows_moved, 68);
    assert_int_equal(r.result.progress.rows_gone, 3);
    assert_int_equal(r.result.progress.rows_written, 97);
}

static void
a_row_that_no_longer_matches_where_is_not_written(void **state)
{
    const char *db = counted("where", 100);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "where");
    r.spec.where = "s = 'x'";
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET s = 'taken' WHERE id <= 10");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE source > 10"), 90);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 90);
}

/* Half of a dual write: each update of t goes on to h, where there is something to update. */
#define FOLLOW                                                                  \
    "CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"     \
    " UPDATE public.h SET n = NEW.n WHERE source = NEW.id; RETURN NEW; END $$;" \
    "CREATE TRIGGER follow AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION follow()"

/* Without the lock an update between read and COPY finds nothing to update, and the older version goes in behind it. */
static void
a_trigger_that_follows_is_not_overtaken_by_an_older_version(void **state)
{
    const char *db = counted("follow", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, FOLLOW);
    prepare(&r, db, "follow");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 7 WHERE id = 42");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, SAME_IN_BOTH), 0);
}

static void
without_the_lock_the_older_version_may_win_as_the_docs_say(void **state)
{
    const char *db = counted("unlocked", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, FOLLOW);
    prepare(&r, db, "unlocked");
    r.spec.is_unlocked = true;
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 7 WHERE id = 42");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM h WHERE source = 42"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 100);
}

static void
a_merge_does_not_overwrite_what_is_newer(void **state)
{
    const char *db = counted("newer", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "CREATE UNIQUE INDEX ON h (source);"
                       "CREATE FUNCTION follow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " INSERT INTO public.h VALUES (NEW.id, NEW.n) ON CONFLICT (source) DO UPDATE SET n = "
                       "excluded.n; RETURN NEW; END $$;"
                       "CREATE TRIGGER follow AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION follow()");
    prepare(&r, db, "newer");
    r.spec.merge = BY_SOURCE;
    r.spec.nmerge = 1;
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 7 WHERE id = 42");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, SAME_IN_BOTH), 0);
    assert_int_equal(r.result.progress.rows_moved, 1);
}

/* 1 and 2 give the same row, which is sent once. It was sent for 1, and 1 has become another: it stands for 2 still. */
static void
a_row_that_stood_for_two_is_written_for_the_one_that_stays(void **state)
{
    const char *db = counted("twins", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "CREATE UNIQUE INDEX ON h (source)");
    prepare(&r, db, "twins");
    (void) pawl_test_transform("into",
                               "return function(row)\n"
                               "  if row.id > 2 or row.n > 0 then return { source = row.id, n = row.n } end\n"
                               "  return { source = 1000, n = 0 }\n"
                               "end");
    r.spec.merge = BY_SOURCE;
    r.spec.nmerge = 1;
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 7 WHERE id = 1");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE source = 1000"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE source = 1 AND n = 7"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 100);
}

/* ---- bad rows ------------------------------------------------------------------------------------------------------ */

static void
prepare_refusing(pawl_test_job *r, const char *db, const char *name, const char *lua)
{
    prepare(r, db, name);
    (void) pawl_test_transform("into", lua);
    r->spec.on_error = PAWL_ON_ERROR_SKIP;
    r->spec.max_rejects = 100;
}

/* The transform has refused 42; by the time of the write it is another row, and that one is good. And 43 the other way. */
static void
a_refused_row_that_has_changed_is_looked_at_anew(void **state)
{
    const char *db = counted("anew", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET n = -1 WHERE id = 42");
    prepare_refusing(&r, db, "anew",
                     "return function(row)\n"
                     "  if row.n < 0 then pawl.reject('negative') end\n"
                     "  return { source = row.id, n = row.n }\n"
                     "end");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = CASE id WHEN 42 THEN 7 ELSE -7 END WHERE id IN (42, 43)");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM h WHERE source = 42"), 7);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 99);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE key = '{43}'"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 1);
}

/* The same where the server refuses the one row of a batch, and it changes before it is passed over. */
static void
a_row_that_the_server_refused_and_that_has_changed_is_not_passed_over(void **state)
{
    const char *db = counted("mended", 1);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET n = -1; CREATE TABLE log (at timestamptz);"
                       "ALTER TABLE h ADD CHECK (n >= 0)");
    prepare_refusing(&r, db, "mended", "return function(row) return { source = row.id, n = row.n } end");
    pawl_test_job_go_to(&r, CONDEMN);
    pawl_test_exec(db, "UPDATE t SET n = 7");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE n = 7"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 0);
}

/* An update that has not ended: the batch gives way, and takes the row when it is free. */
static void
a_row_that_is_held_is_waited_for_and_written_as_it_became(void **state)
{
    const char *db = counted("held", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, FOLLOW);
    prepare(&r, db, "held");
    pawl_test_job_go_to(&r, READ);
    pawl_test_run_on(other, "BEGIN; UPDATE t SET n = 9 WHERE id = 30");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_wait_given_way(db);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, SAME_IN_BOTH), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 100);
}

/* ---- a client that stands still --------------------------------------------------------------------------------------- */

/* Inside a COPY no time-out of the server works. */
static void
a_client_that_is_stopped_in_its_copy_locks_nothing(void **state)
{
    const char *db = counted("stopped", 100);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "stopped");
    pawl_test_job_go_to(&r, "into.in_copy");
    pawl_test_exec(db,
                   "SET lock_timeout = '5s'; UPDATE t SET n = 9 WHERE id = 30; DELETE FROM t WHERE id = 31;"
                   "SELECT FROM pawl.progress FOR UPDATE NOWAIT");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, SAME_IN_BOTH), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 99);
    assert_int_equal(r.result.progress.rows_moved, 1);
    assert_int_equal(r.result.progress.rows_gone, 1);
    assert_int_equal(r.result.progress.rows_written, 99);
}

/* The server has half of the INSERT, and waits for the rest with the rows that were read locked: not for ever. */
static void
a_client_that_is_stopped_in_its_insert_locks_no_longer_than_its_lease(void **state)
{
    static const char *const read[] = {"s"};
    static const char *const write[] = {"source", "s"};
    const char *db = pawl_test_counted("half", "bigint", 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db, "CREATE TABLE h (source bigint PRIMARY KEY, s text);"
            "UPDATE t SET s = repeat('x', 2000) || CASE id WHEN 1000 THEN 'THE_END_OF_IT' ELSE '' END");
    pawl_test_proxy_conninfo(proxy, "half", through, sizeof through);
    prepare(&r, through, "half");
    (void) pawl_test_transform("half", "return function(row) return { source = row.id, s = row.s } end");
    r.spec.lua_file = "transforms/half.lua";
    r.spec.read = read;
    r.spec.write = write;
    r.spec.merge = BY_SOURCE;
    r.spec.nmerge = 1;
    r.spec.batch_rows = 1000;
    r.env.lease_ms = 3000;
    pawl_test_proxy_cut_on(proxy, "THE_END_OF_IT", 1, PAWL_TEST_CUT_BEFORE);
    pawl_test_job_go(&r);
    for (int i = 0; i < 6000 && pawl_test_proxy_cuts(proxy) == 0; i++)
        pawl_test_pause_ms(5);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_wait_until(
        db,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 't'::regclass AND mode = 'RowShareLock') OR "
        "NOT "
        "EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'pawl job % worker %' AND state <> "
        "'idle')",
        30000);
    pawl_test_exec(db, "SET lock_timeout = '20s'; UPDATE t SET n = 9 WHERE id = 999");
    pawl_test_proxy_release(proxy);
    pawl_test_job_finish(&r);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h JOIN t ON id = source AND t.s = h.s"),
                     1000);
}

/* ---- connections that die around COMMIT ------------------------------------------------------------------------------ */

static void
lost_commit(const char *name, pawl_test_cut how)
{
    const char *db = counted(name, 1000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job r;

    pawl_test_proxy_conninfo(proxy, name, through, sizeof through);
    prepare(&r, through, name);
    r.spec.batch_rows = 250;
    pawl_test_proxy_cut_on(proxy, ".checkpoint(", 2, how);
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 1 FROM pawl.progress", 10000);
    pawl_test_pause_ms(LATE_MS);
    pawl_test_proxy_release(proxy);
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(DISTINCT source) FROM h"), 1000);
}

static void
a_commit_that_arrives_late_copies_nothing_twice(void **state)
{
    (void) state;
    lost_commit("late", PAWL_TEST_CUT_BEFORE);
}

static void
an_answer_that_is_lost_copies_nothing_twice(void **state)
{
    (void) state;
    lost_commit("lost", PAWL_TEST_CUT_AFTER);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_rows_are_written_from_their_new_version_and_deleted_ones_not_at_all),
        cmocka_unit_test(a_row_that_no_longer_matches_where_is_not_written),
        cmocka_unit_test(a_trigger_that_follows_is_not_overtaken_by_an_older_version),
        cmocka_unit_test(without_the_lock_the_older_version_may_win_as_the_docs_say),
        cmocka_unit_test(a_merge_does_not_overwrite_what_is_newer),
        cmocka_unit_test(a_row_that_stood_for_two_is_written_for_the_one_that_stays),
        cmocka_unit_test(a_refused_row_that_has_changed_is_looked_at_anew),
        cmocka_unit_test(a_row_that_the_server_refused_and_that_has_changed_is_not_passed_over),
        cmocka_unit_test(a_row_that_is_held_is_waited_for_and_written_as_it_became),
        cmocka_unit_test(a_client_that_is_stopped_in_its_copy_locks_nothing),
        cmocka_unit_test(a_client_that_is_stopped_in_its_insert_locks_no_longer_than_its_lease),
        cmocka_unit_test(a_commit_that_arrives_late_copies_nothing_twice),
        cmocka_unit_test(an_answer_that_is_lost_copies_nothing_twice),
    };

    pawl_failpoint_arm("backfill.after_read=gate;backfill.before_condemn=gate;into.in_copy=gate");
    pawl_failpoint_open(READ, true);
    pawl_failpoint_open(CONDEMN, true);
    pawl_failpoint_open("into.in_copy", true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
