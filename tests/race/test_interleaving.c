/*
 * What other sessions do between a batch's read and its write, and what hostile defaults do to a batch. A batch
 * stands in a failpoint meanwhile, so that the interleaving is certain and not luck.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The gates armed in main: the first batch has been read; it has been written and is not committed. */
static const char READ[] = "backfill.after_read";
static const char WRITTEN[] = "backfill.after_write";

enum
{
    WHILE_MS = 300 /* in which nothing may happen */
};

static void
a_row_changed_between_read_and_write_is_done_from_its_new_value(void **state)
{
    const char *db = pawl_test_counted("changed", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "changed");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = n + 1000 WHERE id % 3 = 0");
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id % 3 = 1");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = CASE WHEN id % 3 = 0 THEN 1001 ELSE 1 END"),
        100);
    assert_int_equal(r.result.progress.rows_moved, 67);
    assert_int_equal(r.result.progress.rows_written, 100);
}

static void
a_row_deleted_and_inserted_again_is_not_taken_for_gone(void **state)
{
    const char *db = pawl_test_counted("reborn", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "reborn");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db,
                   "BEGIN; DELETE FROM t WHERE id IN (5, 6, 7); INSERT INTO t VALUES (5, 50, 'z'); COMMIT");
    pawl_test_exec(db, "DELETE FROM t WHERE id = 8");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 5"), 51);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 96);
    assert_int_equal(r.result.progress.rows_gone, 3);
    assert_int_equal(r.result.progress.rows_moved, 1);
}

/* The locking read waits for the other session, which then deletes and inserts the key: the lock finds nothing and only
 * a plain read sees that the row is there. */
static void
a_row_reborn_while_its_lock_is_waited_for_is_found(void **state)
{
    const char *db = pawl_test_counted("reborn2", "bigint", 50);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "reborn2");
    r.env.lock_timeout_ms = 400;
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 10 WHERE id = 9");
    pawl_test_run_on(other, "BEGIN; UPDATE t SET n = 20 WHERE id = 9");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_run_on(other, "DELETE FROM t WHERE id = 9; INSERT INTO t VALUES (9, 30, 'w'); COMMIT");
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 9"), 31);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 49);
}

static void
a_row_that_no_longer_matches_where_is_left_alone(void **state)
{
    const char *db = pawl_test_counted("where", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "where");
    r.spec.where = "s = 'x'";
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET s = 'taken' WHERE id <= 10");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = CASE WHEN id <= 10 THEN 0 ELSE 1 END"),
        100);
}

/* The ways of a write to find its rows and their versions: by arithmetic, by a join, by their places. */
static const struct
{
    const char *name;
    int apart; /* the keys */
    pawl_form_choice form;
} ways[] = {
    {"computed", 1, PAWL_FORM_PLAIN},
    {"joined", 1000, PAWL_FORM_PLAIN},
    {"striped", 1, PAWL_FORM_STRIPED},
    {"striped_joined", 1000, PAWL_FORM_STRIPED},
};

/* While a transaction is open that began before the read and has an id, some rows change in between. */
static void
change_beside_an_open_transaction(const char *test, size_t way, const char *opened, const char *between)
{
    char name[40];
    char spread[80];
    pawl_test_job r;

    (void) snprintf(name, sizeof name, "%s_%s", test, ways[way].name);
    (void) snprintf(spread, sizeof spread, "UPDATE t SET id = id * -%d", ways[way].apart);

    const char *db = pawl_test_counted(name, "bigint", 100);
    PGconn *other = pawl_test_connect(db);

    pawl_test_exec(db, spread);
    pawl_test_run_on(other, "CREATE TABLE side (n int); BEGIN; INSERT INTO side VALUES (1)");
    pawl_test_exec(db, opened);
    pawl_test_job_prepare(&r, db, ways[way].name);
    r.spec.form = ways[way].form;
    r.spec.batch_rows = r.spec.chunk_rows = 1000;
    pawl_test_job_go_to(&r, READ);
    if (between == NULL)
        pawl_test_run_on(other, "UPDATE t SET n = n + 1000 WHERE id % 3 = 0; COMMIT");
    else
        pawl_test_exec(db, between);
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = CASE WHEN id % 3 = 0 THEN 1001 ELSE 1 END"),
        100);
    assert_int_equal(r.result.progress.rows_moved, 33);
}

/* The versions that it leaves are older than any transaction that begins after the read, and still not what was read. */
static void
a_row_changed_by_a_transaction_older_than_the_read_is_done_from_its_new_value(void **state)
{
    (void) state;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        change_beside_an_open_transaction("older", way,
                                          "SELECT pg_current_xact_id(); SELECT pg_current_xact_id()", NULL);
}

/* A transaction that stays open for long: half of the rows are younger, and are compared one by one. */
static void
rows_younger_than_an_open_transaction_are_done_once(void **state)
{
    (void) state;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        change_beside_an_open_transaction("younger", way,
                                          "UPDATE t SET s = 'young' WHERE id % 4 = 0;"
                                          "UPDATE t SET s = 'younger' WHERE id % 7 = 0",
                                          "UPDATE t SET n = n + 1000 WHERE id % 3 = 0");
}

/* An AFTER trigger with an EXCEPTION block writes under a subtransaction's id: who looks for "xmin is not mine" takes
 * every row for moved. */
static void
a_trigger_with_a_subtransaction_does_not_make_rows_look_moved(void **state)
{
    const char *db = pawl_test_counted("subxact", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db,
                   "CREATE TABLE log (id bigint); CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$"
                   " BEGIN BEGIN INSERT INTO log VALUES (NEW.id); EXCEPTION WHEN others THEN NULL; END;"
                   " RETURN NEW; END $$;"
                   "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();"
                   "CREATE TRIGGER a AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&r, db, "subxact");
    pawl_test_job_go(&r);
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM log"), 200);
    assert_int_equal(r.result.progress.rows_moved, 0);
}

static void
a_row_that_a_trigger_suppresses_is_named_and_not_tried_for_ever(void **state)
{
    const char *db = pawl_test_counted("suppress", "bigint", 60);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " IF NEW.id = 33 THEN RETURN NULL; END IF; RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&r, db, "suppress");
    pawl_test_job_go(&r);
    pawl_test_job_join(&r);
    assert_int_equal(r.st, PAWL_E_TRANSFORM);
    pawl_test_assert_contains(r.err.message, "(id) = (33)");
    pawl_test_assert_contains(r.err.message, "trigger");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 0);
}

/* Keys that are equal but not identical: what the client sends back must find its row by the server's own equality. */
static void
keys_that_are_equal_but_not_identical_find_their_rows(void **state)
{
    const char *db = pawl_test_database_new("equal");
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db, "CREATE COLLATION nocase (provider = icu, locale = 'und-u-ks-level2', deterministic = false);"
            "CREATE TABLE t (id text COLLATE nocase, f float8, c char(5), m numeric, n int NOT NULL,"
            "  s text, PRIMARY KEY (id, f, c, m));"
            "INSERT INTO t SELECT 'Key' || i, CASE WHEN i % 2 = 0 THEN '-0'::float8 ELSE i / 3.0 END,"
            "  'a' || i % 10, (i || '.00')::numeric, 0, 'x' FROM generate_series(1, 90) i");
    pawl_test_ledger(db);
    pawl_test_job_prepare(&r, db, "equal");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET id = upper(id), f = f + 0, m = m::text::numeric(10, 1) WHERE m <= 45");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 90);
    assert_int_equal(r.result.progress.rows_moved, 45);
    assert_int_equal(r.result.progress.rows_gone, 0);
}

static void
a_stolen_lease_writes_nothing(void **state)
{
    const char *db = pawl_test_counted("stolen", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "stolen");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE pawl.progress SET fence = fence + 1, owner = 'thief', backend_pid = NULL,"
                       " lease_until = clock_timestamp() + interval '1 hour'");
    pawl_test_job_let_go();
    pawl_test_pause_ms(WHILE_MS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 0);
    pawl_test_exec(db, "UPDATE pawl.progress SET lease_until = clock_timestamp()");
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_true(pawl_test_query_i64(db, "SELECT max(fence) FROM pawl.progress") >= 3);
}

/* A commit that was given up for lost has moved the cursor after all: what was read before it is not written. */
static void
a_cursor_that_moved_meanwhile_makes_the_batch_start_anew(void **state)
{
    const char *db = pawl_test_counted("cursor", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "cursor");
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = n + 1 WHERE id <= 60; UPDATE pawl.progress SET cursor = '{60}'");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), 40);
}

/* Whoever looks for an abandoned chunk passes over one whose batch is not decided, however old its lease. */
static void
a_chunk_is_locked_while_its_batch_is_written(void **state)
{
    const char *db = pawl_test_counted("held_chunk", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "held_chunk");
    pawl_test_job_go_to(&r, WRITTEN);
    assert_int_equal(pawl_test_query_i64(db,
                                         "SELECT count(*) FROM pg_stat_activity"
                                         " WHERE state = 'idle in transaction' AND datname = 'held_chunk'"),
                     1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM (SELECT FROM pawl.progress"
                                             " FOR UPDATE SKIP LOCKED) c"),
                     0);
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT max(fence) FROM pawl.progress"), 1);
}

/* More than are looked up in one transaction: the batch is repeated smaller. */
static void
a_batch_whose_every_row_changed_is_done_from_the_new_values(void **state)
{
    const char *db = pawl_test_counted("many", "bigint", 1500);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "many");
    r.spec.batch_rows = 1500;
    pawl_test_job_go_to(&r, READ);
    pawl_test_exec(db, "UPDATE t SET n = 1000");
    pawl_test_job_let_go();
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1001"), 1500);
    assert_int_equal(r.result.progress.rows_written, 1500);
}

/* Six callers begin the job of one name at the same moment: there is one job, and they share it. */
static void
callers_of_one_name_at_the_same_moment_share_one_job(void **state)
{
    enum
    {
        CALLERS = 6
    };
    pawl_test_job r[CALLERS];

    (void) state;
    for (int round = 0; round < 3; round++)
    {
        const char *db = pawl_test_counted("shared", "bigint", 1000);

        for (int i = 0; i < CALLERS; i++)
        {
            pawl_test_job_prepare(&r[i], db, "shared");
            r[i].spec.chunk_rows = 100;
        }
        for (int i = 0; i < CALLERS; i++)
            pawl_test_job_go(&r[i]);
        for (int i = 0; i < CALLERS; i++)
            pawl_test_job_finish(&r[i]);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 1);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'job_done'"),
                         1);
    }
}

/* Under a default of REPEATABLE READ the frontier would be read with an old snapshot and a chunk be handed out twice. */
static void
a_default_of_repeatable_read_hands_no_chunk_out_twice(void **state)
{
    const char *db = pawl_test_counted("isolation", "bigint", 3000);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "ALTER DATABASE isolation SET default_transaction_isolation = 'repeatable read'");
    pawl_test_job_prepare(&r, db, "isolation");
    r.spec.workers = 6;
    r.spec.chunk_rows = 250;
    r.spec.batch_rows = 250;
    pawl_test_job_go(&r);
    pawl_test_job_finish(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 3000);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM (SELECT hi, lead(lo) OVER (ORDER BY chunk_id) AS next"
                                " FROM pawl.progress) p WHERE next <> hi"),
        0);
}

/* Each of these defaults has been seen to drop keys or to change values. */
static void
hostile_defaults_change_neither_keys_nor_values(void **state)
{
    static const char *const columns[] = {"d", "z", "b", "a", "i"};
    const char *db = pawl_test_database_new("hostile");
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db, "CREATE TABLE t (id float8 PRIMARY KEY, d date, z timestamptz, b bytea, a text[], i interval,"
            "  was text, n int NOT NULL DEFAULT 0);"
            "INSERT INTO t SELECT random(), '2026-01-02'::date + i, '2026-02-01 12:00+00'::timestamptz"
            "  + i * interval '1 hour', decode(lpad(to_hex(i), 8, '0'), 'hex'), ARRAY['a', NULL, 'NULL'],"
            "  i * interval '1 day 03:04:05' FROM generate_series(1, 1000) i;"
            "UPDATE t SET was = row(d, z, b, a, i)::text;"
            "ALTER DATABASE hostile SET extra_float_digits = 0;"
            "ALTER DATABASE hostile SET DateStyle = 'SQL, DMY';"
            "ALTER DATABASE hostile SET IntervalStyle = 'sql_standard';"
            "ALTER DATABASE hostile SET TimeZone = 'Asia/Kolkata';"
            "ALTER DATABASE hostile SET bytea_output = 'escape';"
            "ALTER DATABASE hostile SET array_nulls = off;"
            "ALTER DATABASE hostile SET enable_indexscan = off;"
            "ALTER DATABASE hostile SET search_path = nowhere");
    pawl_test_ledger(db);
    pawl_test_job_prepare(&r, db, "hostile");
    (void) pawl_test_transform("hostile",
                               "return function(row) return { d = row.d, z = row.z, b = row.b, a = row.a,"
                               " i = row.i, n = 1 } end");
    static const char *const written[] = {"d", "z", "b", "a", "i", "n"};

    r.spec.lua_file = "transforms/hostile.lua";
    r.spec.read = columns;
    r.spec.nread = 5;
    r.spec.write = written;
    r.spec.nwrite = 6;
    r.spec.batch_rows = 300;
    pawl_test_job_go(&r);
    pawl_test_job_finish(&r);
    assert_int_equal(
        pawl_test_query_i64(db, "SET DateStyle = ISO; SET IntervalStyle = postgres; SET TimeZone = 'UTC';"
                                "SET bytea_output = hex; SELECT count(*) FROM public.t WHERE n = 1"),
        1000);
    pawl_test_exec(db, "ALTER DATABASE hostile RESET ALL");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND was = row(d, z, b, a, i)::text"),
        1000);
}

static void
row_security_that_hides_rows_is_refused(void **state)
{
    const char *db = pawl_test_counted("secured", "bigint", 100);
    char as_role[300];
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db,
        "CREATE ROLE plain_user LOGIN; GRANT ALL ON t TO plain_user; GRANT ALL ON SCHEMA pawl TO plain_user;"
        "GRANT ALL ON ALL TABLES IN SCHEMA pawl TO plain_user;"
        "ALTER TABLE t ENABLE ROW LEVEL SECURITY; CREATE POLICY p ON t USING (id <= 50)");
    (void) snprintf(as_role, sizeof as_role, "%s user=plain_user", db);
    pawl_test_job_prepare(&r, as_role, "secured");
    pawl_test_job_go(&r);
    pawl_test_job_join(&r);
    assert_int_equal(r.st, PAWL_E_REFUSED);
    pawl_test_assert_contains(r.err.message, "row-level security");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 0);
}

/* A writer in flight at the start has inserted below the bound: the job waits for it to end before it reads the bound. */
static void
a_row_inserted_by_a_transaction_in_flight_at_the_start_is_done(void **state)
{
    const char *db = pawl_test_counted("inflight", "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_run_on(other, "BEGIN; INSERT INTO t VALUES (0, 0, 'late'), (101, 0, 'late')");
    pawl_test_job_prepare(&r, db, "inflight");
    pawl_test_job_go(&r);
    pawl_test_pause_ms(WHILE_MS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 102);
}

/* The table is being vacuumed, or an index is built on it, for hours: a job starts all the same, and while it waits for
 * a writer no other writer queues behind it. */
static void
a_start_waits_for_writers_alone_and_holds_up_nobody(void **state)
{
    const char *db = pawl_test_counted("vacuumed", "bigint", 100);
    PGconn *vacuum = pawl_test_connect(db);
    PGconn *writer = pawl_test_connect(db);
    PGconn *app = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_run_on(vacuum, "BEGIN; LOCK TABLE t IN SHARE UPDATE EXCLUSIVE MODE");
    pawl_test_run_on(writer, "BEGIN; UPDATE t SET s = 'late' WHERE id = 7");
    pawl_test_job_prepare(&r, db, "vacuumed");
    r.env.lock_attempts = 8;
    pawl_test_job_go(&r);
    pawl_test_run_on(app, "SET lock_timeout = '100ms'");
    for (int i = 0; i < 40; i++)
    {
        pawl_test_run_on(app, "UPDATE t SET s = 'app' WHERE id = 8");
        pawl_test_pause_ms(20);
    }
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
    pawl_test_run_on(writer, "COMMIT");
    pawl_test_job_finish(&r);
    pawl_test_run_on(vacuum, "COMMIT");
    PQfinish(app);
    PQfinish(writer);
    PQfinish(vacuum);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
}

/* A prepared transaction is a writer in flight without a session. */
static void
a_row_inserted_by_a_prepared_transaction_is_done(void **state)
{
    const char *db = pawl_test_counted("prepared", "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_run_on(other, "BEGIN; INSERT INTO t VALUES (0, 0, 'late')");
    pawl_test_job_prepare(&r, db, "prepared");
    pawl_test_job_go(&r);
    pawl_test_pause_ms(WHILE_MS);
    pawl_test_run_on(other, "PREPARE TRANSACTION 'late'");
    pawl_test_pause_ms(WHILE_MS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
    pawl_test_run_on(other, "COMMIT PREPARED 'late'");
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 101);
}

/* An application that holds a row is waited for, with short locks: it is never the deadlock's victim, whenever it asks
 * for more. */
static void
a_row_held_by_the_application_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("held", "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "held");
    pawl_test_job_go_to(&r, READ);
    pawl_test_run_on(other, "BEGIN; UPDATE t SET s = 'mine' WHERE id = 50");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_wait_given_way(db);
    pawl_test_wait_in_line(db);
    pawl_test_run_on(other, "UPDATE t SET s = 'mine' WHERE id IN (1, 99, 100); COMMIT");
    pawl_test_job_finish(&r);
    PQfinish(other);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'mine'"), 4);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_changed_between_read_and_write_is_done_from_its_new_value),
        cmocka_unit_test(a_row_changed_by_a_transaction_older_than_the_read_is_done_from_its_new_value),
        cmocka_unit_test(rows_younger_than_an_open_transaction_are_done_once),
        cmocka_unit_test(a_row_deleted_and_inserted_again_is_not_taken_for_gone),
        cmocka_unit_test(a_row_reborn_while_its_lock_is_waited_for_is_found),
        cmocka_unit_test(a_row_that_no_longer_matches_where_is_left_alone),
        cmocka_unit_test(a_trigger_with_a_subtransaction_does_not_make_rows_look_moved),
        cmocka_unit_test(a_row_that_a_trigger_suppresses_is_named_and_not_tried_for_ever),
        cmocka_unit_test(keys_that_are_equal_but_not_identical_find_their_rows),
        cmocka_unit_test(a_stolen_lease_writes_nothing),
        cmocka_unit_test(a_cursor_that_moved_meanwhile_makes_the_batch_start_anew),
        cmocka_unit_test(a_chunk_is_locked_while_its_batch_is_written),
        cmocka_unit_test(a_batch_whose_every_row_changed_is_done_from_the_new_values),
        cmocka_unit_test(callers_of_one_name_at_the_same_moment_share_one_job),
        cmocka_unit_test(a_default_of_repeatable_read_hands_no_chunk_out_twice),
        cmocka_unit_test(hostile_defaults_change_neither_keys_nor_values),
        cmocka_unit_test(row_security_that_hides_rows_is_refused),
        cmocka_unit_test(a_row_inserted_by_a_transaction_in_flight_at_the_start_is_done),
        cmocka_unit_test(a_start_waits_for_writers_alone_and_holds_up_nobody),
        cmocka_unit_test(a_row_inserted_by_a_prepared_transaction_is_done),
        cmocka_unit_test(a_row_held_by_the_application_is_waited_for),
    };

    /* And slow, so that workers and callers meet. */
    pawl_failpoint_arm("backfill.after_read=gate;backfill.after_read=sleep:50;backfill.after_write=gate;"
                       "backfill.after_write=sleep:50");
    pawl_failpoint_open(READ, true);
    pawl_failpoint_open(WRITTEN, true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
