/* What pawl does to the sessions beside it: who waits for whom, for how long, and who is the victim when they meet. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/project.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The gate armed in main: the first batch has been read. */
static const char READ[] = "backfill.after_read";

/* Run, and give the SQLSTATE of a failure back ("" when there is none). */
static void
try_on(PGconn *conn, const char *sql, char sqlstate[6])
{
    PGresult *res = PQexec(conn, sql);
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    (void) snprintf(sqlstate, 6, "%s", state != NULL ? state : "");
    PQclear(res);
}

/*
 * The application waits for a row that the batch has, and only then does the batch run into a row of the application: the
 * server would look at the application's wait first, and end that. The batch gives way before.
 */
static void
an_application_is_not_the_victim_of_a_batch(void **state)
{
    const char *db = pawl_test_counted("victim", "bigint", 100);
    PGconn *app = pawl_test_connect(db);
    char sqlstate[6];
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " PERFORM pg_catalog.pg_sleep(0.3); RETURN NEW; END $$;"
                       "CREATE TRIGGER slow BEFORE UPDATE OF n ON t FOR EACH ROW WHEN (OLD.id = 40) EXECUTE "
                       "FUNCTION slow()");
    pawl_test_job_prepare(&j, db, "victim");
    j.env.lock_timeout_ms = 5000; /* as long as anybody may ask for: what counts is deadlock_timeout */
    pawl_test_job_go_to(&j, READ);
    pawl_test_run_on(app, "BEGIN; UPDATE t SET s = 'app' WHERE id = 60");
    pawl_test_job_let_go();
    pawl_test_wait_until(db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE wait_event = 'PgSleep'", 10000);
    try_on(app, "UPDATE t SET s = 'app' WHERE id = 1", sqlstate);
    assert_string_equal(sqlstate, "");
    pawl_test_run_on(app, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(app);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'app'"), 2);
}

/* A foreign key locks two tables. The application has the second, and wants the first. */
static void
an_application_is_not_the_victim_of_a_schema_step(void **state)
{
    static const char *const args[] = {"upgrade", NULL};
    const char *db = pawl_test_database_new("victim2");
    const char *dir = pawl_test_project_new(db, NULL);
    PGconn *app = pawl_test_connect(db);
    char sqlstate[6];
    pawl_test_process *p;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE parent (id int PRIMARY KEY, s text);"
                       "CREATE TABLE child (id int PRIMARY KEY, parent_id int);"
                       "INSERT INTO parent VALUES (1); INSERT INTO child VALUES (1, 1)");
    pawl_test_project_write(
        dir, "migrations/a0000001_fk.yaml",
        "revision: \"a0000001\"\nparents: []\ndescription: fk\nup:\n  - add_constraint:\n"
        "      table: child\n      name: child_parent\n      foreign_key: { columns: [parent_id], "
        "references: parent }\n");
    pawl_test_run_on(app, "BEGIN; UPDATE parent SET s = 'app'");
    p = pawl_test_start(args, NULL, dir);
    pawl_test_wait_until(db, "SELECT to_regclass('pawl.step') IS NOT NULL", 20000);
    pawl_test_wait_until(db, "SELECT count(*) > 0 FROM pawl.step", 20000);
    /* Each may wait for an attempt of the step to give way, and none for longer. */
    for (int i = 0; i < 10; i++)
    {
        try_on(app, "UPDATE child SET parent_id = 1", sqlstate);
        assert_string_equal(sqlstate, "");
        pawl_test_pause_ms(100);
        pawl_test_run_on(app, "COMMIT; BEGIN; UPDATE parent SET s = 'app'");
    }
    pawl_test_run_on(app, "COMMIT");

    pawl_test_output output = pawl_test_wait(p, 30000);

    if (output.exit_code != 0)
        fail_msg("%d: %s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    PQfinish(app);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pg_constraint WHERE conname = 'child_parent' AND "
                                "convalidated"),
        1);
}

/*
 * A frozen machine, a network that is full: the answer of the write is sent and not read. An answer of any size would
 * keep the backend sending, where neither time-out counts; a count fits into the socket, the transaction is idle, and its
 * rows are free when the lease ends.
 */
static void
a_client_that_stops_reading_keeps_no_row_locked(void **state)
{
    const char *db = pawl_test_counted("frozen", "bigint", 20000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    PGconn *app = pawl_test_connect(db);
    char through[300];
    char sqlstate[6];
    pawl_test_job j;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "frozen", through, sizeof through);
    pawl_test_exec(db, "UPDATE t SET s = repeat('x', 500)");
    pawl_test_job_prepare(&j, through, "frozen");
    j.spec.batch_rows = 20000;
    j.env.lease_ms = 1000;
    pawl_test_job_go_to(&j, READ);
    pawl_test_proxy_delay(proxy, 600000);
    pawl_test_job_let_go();
    pawl_test_wait_until(
        db,
        "SELECT count(*) > 0 FROM pg_stat_activity WHERE state LIKE 'idle in transaction%' AND "
        "application_name LIKE 'pawl job%'",
        20000);
    try_on(app, "SET lock_timeout = '5s'; UPDATE t SET s = 'app' WHERE id = 7", sqlstate);
    assert_string_equal(sqlstate, "");
    pawl_test_proxy_delay(proxy, 0);
    pawl_test_job_finish(&j);
    pawl_test_proxy_stop(proxy);
    PQfinish(app);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
}

/* The server refuses a whole batch in which one row's trigger changes another row of the batch. */
static void
a_trigger_that_changes_other_rows_of_the_batch_is_halved_away(void **state)
{
    const char *db = pawl_test_counted("others", "bigint", 64);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db,
                   "CREATE FUNCTION other() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " UPDATE public.t SET s = 'touched' WHERE id = NEW.id + 1; RETURN NEW; END $$;"
                   "CREATE TRIGGER other BEFORE UPDATE OF n ON t FOR EACH ROW WHEN (OLD.id % 16 = 3) EXECUTE "
                   "FUNCTION other()");
    pawl_test_job_prepare(&j, db, "others");
    j.spec.batch_rows = 64;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 64);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'touched'"), 4);
}

/* A row whose lock is waited for moves to another partition: 40001 in READ COMMITTED, which is repeated. */
static void
a_row_that_changes_its_partition_while_it_is_waited_for_ends_nothing(void **state)
{
    const char *db = pawl_test_database_new("moves");
    PGconn *app = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id bigint, n int NOT NULL, s text NOT NULL, PRIMARY KEY (id, s))"
                       " PARTITION BY LIST (s);"
                       "CREATE TABLE t_x PARTITION OF t FOR VALUES IN ('x');"
                       "CREATE TABLE t_y PARTITION OF t FOR VALUES IN ('y');"
                       "INSERT INTO t SELECT i, 0, CASE WHEN i % 2 = 0 THEN 'x' ELSE 'y' END FROM "
                       "generate_series(1, 100) i; ANALYZE t");
    pawl_test_ledger(db);
    pawl_test_job_prepare(&j, db, "moves");
    pawl_test_job_go_to(&j, READ);
    pawl_test_run_on(app,
                     "BEGIN; UPDATE t SET s = CASE s WHEN 'x' THEN 'y' ELSE 'x' END WHERE id IN (20, 21)");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_run_on(app, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(app);
    /* Its key changed: it may be missed or done twice, and all others are done once. */
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND id NOT IN (20, 21)"),
                     98);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), 100);
}

/* Server connections die behind a pooler, which tells it in its own way, with its own codes or none. */
static void
connections_that_die_behind_a_pooler_double_and_lose_nothing(void **state)
{
    const char *db = pawl_test_counted("pooled", "bigint", 6000);
    const char *pooled = pawl_test_pooled_conninfo("pooled");
    pawl_test_job j;

    (void) state;
    if (pooled == NULL)
        skip();
    pawl_test_job_prepare(&j, pooled, "pooled");
    j.spec.workers = 2;
    j.spec.chunk_rows = 2000;
    j.spec.batch_rows = 400;
    j.env.lease_ms = 1500;
    pawl_test_job_go(&j);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) > 0 FROM pawl.progress", 10000);
    for (int i = 0; i < 4; i++)
    {
        pawl_test_pause_ms(200 + 70 * i);
        pawl_test_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = 'pooled'"
                           " AND pid <> pg_backend_pid() AND backend_type = 'client backend'");
    }
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 6000);
}

/* An old snapshot keeps every dead version: a row that each claim updates would have to be found among thousands. */
static void
claims_leave_no_dead_versions_of_the_job_behind(void **state)
{
    const char *db = pawl_test_counted("claims", "bigint", 1);
    PGconn *old = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db,
                   "DELETE FROM t WHERE id > 0; INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, 8) i");
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    pawl_test_job_prepare(&j, db, "claims");
    j.spec.chunk_rows = 1;
    j.spec.batch_rows = 1;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    pawl_test_run_on(old, "COMMIT");
    PQfinish(old);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress"), 8);
    pawl_test_wait_until(
        db,
        "SELECT n_tup_ins > 0 FROM pg_stat_user_tables WHERE relname = 'job' AND schemaname = "
        "'pawl'",
        10000);
    assert_in_range(pawl_test_query_i64(db,
                                        "SELECT n_tup_upd FROM pg_stat_user_tables WHERE relname = 'job' AND "
                                        "schemaname = 'pawl'"),
                    0, 3); /* eight claims; what the job depends on, and its states */
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_application_is_not_the_victim_of_a_batch),
        cmocka_unit_test(an_application_is_not_the_victim_of_a_schema_step),
        cmocka_unit_test(a_client_that_stops_reading_keeps_no_row_locked),
        cmocka_unit_test(a_trigger_that_changes_other_rows_of_the_batch_is_halved_away),
        cmocka_unit_test(a_row_that_changes_its_partition_while_it_is_waited_for_ends_nothing),
        cmocka_unit_test(connections_that_die_behind_a_pooler_double_and_lose_nothing),
        cmocka_unit_test(claims_leave_no_dead_versions_of_the_job_behind),
    };

    /* And slow, so that a connection dies while there is work left. */
    pawl_failpoint_arm("backfill.after_read=gate;backfill.after_read=sleep:200");
    pawl_failpoint_open(READ, true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
