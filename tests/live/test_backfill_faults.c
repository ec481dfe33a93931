/* What a backfill does when the server, the table or the application gets in its way: wait, narrow down, go on, end. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The gate armed in main: a batch has been committed. */
static const char COMMITTED[] = "backfill.after_commit";

static void
assert_done(const pawl_test_job *r)
{
    if (r->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", r->err.message, r->err.detail, r->err.hint, r->err.sqlstate);
}

static void
run_ok(pawl_test_job *r)
{
    pawl_test_job_go(r);
    pawl_test_job_join(r);
    assert_done(r);
}

static void
wait_for_batches(const char *db, int batches)
{
    char sql[120];

    (void) snprintf(sql, sizeof sql, "SELECT coalesce(sum(batches), 0) >= %d FROM pawl.progress", batches);
    pawl_test_wait_until(db, sql, 20000);
}

/* The next read travels behind the commit of the batch before it: when it fails, its transaction must not stay open. */
static void
a_table_locked_while_the_next_read_is_on_its_way_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("locked", "bigint", 20000);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "locked");
    pawl_test_job_go(&r);
    wait_for_batches(db, 3);
    for (int i = 0; i < 3; i++)
    {
        pawl_test_run_on(other, "BEGIN; LOCK TABLE t IN ACCESS EXCLUSIVE MODE");
        pawl_test_pause_ms(500);
        pawl_test_run_on(other, "COMMIT");
        pawl_test_pause_ms(50);
    }
    pawl_test_job_join(&r);
    PQfinish(other);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
}

static void
a_row_that_where_cannot_be_asked_of_is_narrowed_down_and_told(void **state)
{
    const char *db = pawl_test_counted("divide", "bigint", 1000);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "divide");
    r.spec.where = "1 / (id - 550) < 1";
    pawl_test_job_go(&r);
    pawl_test_job_join(&r);
    assert_int_equal(r.st, PAWL_E_SERVER);
    assert_string_equal(r.err.sqlstate, "22012");
    pawl_test_assert_contains(r.err.detail, "549");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 549);
}

/* A row whose write takes the backend down each time: somebody has to be told before the server has crashed all night. */
static void
a_batch_that_always_loses_its_connection_ends_the_run_at_last(void **state)
{
    const char *db = pawl_test_counted("deadly", "bigint", 300);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " IF NEW.id = 150 THEN PERFORM pg_terminate_backend(pg_backend_pid()); END IF;"
                       " RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&r, db, "deadly");
    pawl_test_job_go(&r);
    pawl_test_job_join(&r);
    assert_int_equal(r.st, PAWL_E_STATE);
    pawl_test_assert_contains(r.err.message, "no batch of it got in");
    pawl_test_assert_contains(r.err.detail, "terminating connection");
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 100, 149);
}

/* A worker that finds no free connection waits for one; the others do the work. */
static void
a_worker_without_a_connection_does_not_end_the_run(void **state)
{
    const char *db = pawl_test_counted("crowded", "bigint", 5000);
    char as_role[300];
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db,
                   "CREATE ROLE crowded LOGIN CONNECTION LIMIT 2; GRANT ALL ON t TO crowded;"
                   "GRANT ALL ON SCHEMA pawl TO crowded; GRANT ALL ON ALL TABLES IN SCHEMA pawl TO crowded");
    (void) snprintf(as_role, sizeof as_role, "%s user=crowded", db);
    pawl_test_job_prepare(&r, as_role, "crowded");
    r.spec.workers = 4;
    r.spec.chunk_rows = 500;
    run_ok(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 5000);
}

/* A batch outlasts the lease: the worker that makes the progress keeps the chunk. */
static void
a_transform_slower_than_the_lease_keeps_its_chunk(void **state)
{
    const char *db = pawl_test_counted("slow", "bigint", 100);
    pawl_test_job r;

    (void) state;
    (void) pawl_test_transform("slow", "return function(row)\n"
                                       "  for i = 1, 6000000 do end\n"
                                       "  return { n = row.n + 1 }\nend");
    pawl_test_job_prepare(&r, db, "slow");
    r.spec.lua_file = "transforms/slow.lua";
    r.spec.workers = 2;
    r.env.lease_ms = 2000; /* no shorter: a loaded machine lets nobody renew for half a second */
    run_ok(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT max(fence) FROM pawl.progress"), 1);
}

/* Each kind of failure has its own patience: waiting for a lock uses up none of that for a concurrent update. */
static void
failures_of_different_kinds_are_counted_apart(void **state)
{
    const char *db = pawl_test_counted("kinds", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db,
        "CREATE SEQUENCE calls;"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ DECLARE c int := nextval('calls'); BEGIN"
        " IF c <= 3 THEN RAISE lock_not_available; END IF;"
        " IF c = 4 THEN RAISE internal_error USING MESSAGE = 'tuple concurrently updated'; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&r, db, "kinds");
    run_ok(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
}

static void
keep_the_least_batch(void *ctx, const pawl_event *event)
{
    int32_t *least = ctx;

    if (event->kind == PAWL_EVENT_PROGRESS && event->progress->batch_rows > 0 &&
        event->progress->batch_rows < *least)
        *least = event->progress->batch_rows;
}

/* A row that the application keeps for a while makes one batch small, and not all that follow. */
static void
a_row_held_for_long_does_not_make_all_batches_small(void **state)
{
    const char *db = pawl_test_counted("held", "bigint", 60000);
    PGconn *other = pawl_test_connect(db);
    int32_t least = INT32_MAX;
    const pawl_sink sink = {.emit = keep_the_least_batch, .ctx = &least};
    pawl_stop *stop = NULL;
    pawl_test_job r;

    (void) state;
    /* Begun and stopped, so that the row is held after the start, which waits for writers. */
    pawl_test_job_prepare(&r, db, "held");
    assert_int_equal(pawl_stop_new(&stop, &r.err), PAWL_OK);
    r.env.stop = stop;
    pawl_test_job_go(&r);
    wait_for_batches(db, 1);
    pawl_stop_request(stop);
    pawl_test_job_join(&r);
    pawl_stop_free(stop);

    pawl_test_run_on(other, "BEGIN; UPDATE t SET s = 'mine' WHERE id = 40000");
    pawl_test_job_prepare(&r, db, "held");
    r.spec.batch_rows = 0;
    r.env.sink = &sink;
    r.env.lock_timeout_ms = 20;
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT count(*) = 39999 FROM t WHERE n = 1", 60000);
    pawl_test_pause_ms(1000);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_join(&r);
    PQfinish(other);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 60000);
    assert_in_range(least, 100, INT32_MAX - 1);
}

/* The table was replaced by another of its name: its rows are not the ones that were meant. */
static void
a_table_replaced_under_its_name_is_not_written_to(void **state)
{
    const char *db = pawl_test_counted("replaced", "bigint", 20000);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "replaced");
    pawl_test_job_go(&r);
    wait_for_batches(db, 5);
    pawl_test_exec(db, "BEGIN; SET lock_timeout = '10s'; ALTER TABLE t RENAME TO t_old;"
                       "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL, s text);"
                       "INSERT INTO t SELECT i, 100, 'new' FROM generate_series(1, 20000) i; COMMIT");
    pawl_test_job_join(&r);
    assert_int_not_equal(r.st, PAWL_OK);
    pawl_test_assert_contains(r.err.message, "\"public\".\"t\" is another table");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 100"), 0);
    pawl_test_exec(db, "DROP TABLE t; ALTER TABLE t_old RENAME TO t");
    pawl_test_job_prepare(&r, db, "replaced");
    run_ok(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
}

/* The history was taken back under a run that had stalled: when it wakes up, it writes nothing more. */
static void
a_job_abandoned_while_it_runs_is_written_to_no_more(void **state)
{
    const char *db = pawl_test_counted("abandoned", "bigint", 20000);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "abandoned");
    pawl_test_job_go(&r);
    wait_for_batches(db, 5);
    pawl_test_exec(db, "UPDATE pawl.job SET state = 'abandoned'");

    int64_t done = pawl_test_query_i64(db, "SELECT sum(n) FROM t");

    pawl_test_job_join(&r);
    assert_int_equal(r.st, PAWL_E_STATE);
    pawl_test_assert_contains(r.err.message, "was abandoned");
    /* The batch that was in flight. */
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), done, done + 100);
}

/* Stopped hard, and the chunk is free at once all the same, also for those who cannot see the backend. */
static void
a_cancelled_run_gives_its_chunk_back(void **state)
{
    const char *db = pawl_test_counted("cancelled", "bigint", 20000);
    pawl_stop *stop = NULL;
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "cancelled");
    assert_int_equal(pawl_stop_new(&stop, &r.err), PAWL_OK);
    r.env.stop = stop;
    pawl_test_job_go(&r);
    wait_for_batches(db, 5);
    pawl_stop_request(stop);
    pawl_stop_request(stop);
    pawl_test_job_join(&r);
    pawl_stop_free(stop);
    assert_int_equal(r.st, PAWL_E_STOPPED);
    assert_int_equal(
        pawl_test_query_i64(
            db, "SELECT count(*) FROM pawl.progress WHERE state = 'open' AND lease_until = '-infinity'"),
        1);
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT (SELECT sum(n) FROM t) - (SELECT sum(rows_written) FROM pawl.progress)"),
                     0);
}

/* The connection is lost when everything is done but the job's last word. */
static void
a_job_whose_end_meets_a_lost_connection_is_closed(void **state)
{
    const char *db = pawl_test_counted("ending", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_job_prepare(&r, db, "ending");
    pawl_test_job_go(&r);
    pawl_test_wait_until(db, "SELECT count(*) = 100 FROM t WHERE n = 1", 10000);
    pawl_test_wait_until(db,
                         "SELECT count(*) = 1 FROM (SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                         " WHERE application_name = 'pawl backfill') x",
                         10000);
    pawl_test_job_join(&r);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
}

/* A killed process costs nobody a lease's wait; one that is alive is left its time, however silent. */
static void
the_chunk_of_a_dead_backend_is_free_at_once_and_that_of_a_living_one_is_not(void **state)
{
    const char *db = pawl_test_counted("backends", "bigint", 2000);
    PGconn *other = pawl_test_connect(db);
    pawl_stop *stop = NULL;
    pawl_test_job r;
    char sql[400];

    (void) state;
    pawl_test_job_prepare(&r, db, "backends");
    assert_int_equal(pawl_stop_new(&stop, &r.err), PAWL_OK);
    r.env.stop = stop;
    pawl_test_job_go_to(&r, COMMITTED);
    pawl_stop_request(stop);
    pawl_test_job_let_go();
    pawl_test_job_join(&r);
    pawl_stop_free(stop);
    assert_int_equal(r.st, PAWL_E_STOPPED);

    (void) snprintf(
        sql, sizeof sql,
        "UPDATE pawl.progress SET owner = 'alive', lease_until = clock_timestamp() + interval '1 h',"
        " backend_pid = a.pid, backend_start = a.backend_start FROM pg_stat_activity a"
        " WHERE a.pid = %d",
        PQbackendPID(other));
    pawl_test_exec(db, sql);
    pawl_test_job_prepare(&r, db, "backends");
    pawl_test_job_go(&r);
    pawl_test_pause_ms(1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE owner = 'alive'"), 1);
    pawl_test_exec(
        db, "UPDATE pawl.progress SET owner = 'dead', lease_until = clock_timestamp() + interval '1 h',"
            " backend_start = backend_start - interval '1 s'");
    pawl_test_wait_until(db, "SELECT count(*) = 0 FROM pawl.progress WHERE owner = 'dead'", 5000);
    pawl_test_job_join(&r);
    PQfinish(other);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 2000);
}

/* Behind a pooler in transaction mode there is no backend to tell a dead worker by: the lease alone decides. */
static void
through_a_pooler_every_row_is_done_once_and_a_dead_workers_chunk_after_its_lease(void **state)
{
    const char *db = pawl_test_counted("pooled", "bigint", 5000);
    const char *pooled = pawl_test_pooled_conninfo("pooled");
    pawl_test_job r;

    (void) state;
    if (pooled == NULL)
        skip();
    pawl_test_job_prepare(&r, pooled, "pooled");
    r.spec.workers = 3;
    r.spec.chunk_rows = 500;
    r.env.lease_ms = 2000;
    pawl_test_job_go(&r);
    wait_for_batches(db, 5);
    pawl_test_exec(db, "UPDATE pawl.progress SET owner = 'dead', fence = fence + 1,"
                       " lease_until = clock_timestamp() + interval '1 second' WHERE chunk_id ="
                       " (SELECT min(chunk_id) FROM pawl.progress WHERE state = 'open')");
    pawl_test_job_join(&r);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 5000);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE backend_pid IS NOT NULL"), 0);
}

/* Another process creates a job, and is slow about it. */
static void
a_ledger_that_is_busy_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("busy", "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job r;

    (void) state;
    pawl_test_run_on(other, "BEGIN; SELECT FROM pawl.meta FOR UPDATE");
    pawl_test_job_prepare(&r, db, "busy");
    pawl_test_job_go(&r);
    pawl_test_pause_ms(1000);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_join(&r);
    PQfinish(other);
    assert_done(&r);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
}

int
main(void)
{
    pawl_failpoint_arm("job.before_finish=sleep:200;backfill.after_commit=gate");
    pawl_failpoint_open(COMMITTED, true);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_table_locked_while_the_next_read_is_on_its_way_is_waited_for),
        cmocka_unit_test(a_row_that_where_cannot_be_asked_of_is_narrowed_down_and_told),
        cmocka_unit_test(a_batch_that_always_loses_its_connection_ends_the_run_at_last),
        cmocka_unit_test(a_worker_without_a_connection_does_not_end_the_run),
        cmocka_unit_test(a_transform_slower_than_the_lease_keeps_its_chunk),
        cmocka_unit_test(failures_of_different_kinds_are_counted_apart),
        cmocka_unit_test(a_row_held_for_long_does_not_make_all_batches_small),
        cmocka_unit_test(a_table_replaced_under_its_name_is_not_written_to),
        cmocka_unit_test(a_job_abandoned_while_it_runs_is_written_to_no_more),
        cmocka_unit_test(a_cancelled_run_gives_its_chunk_back),
        cmocka_unit_test(a_job_whose_end_meets_a_lost_connection_is_closed),
        cmocka_unit_test(the_chunk_of_a_dead_backend_is_free_at_once_and_that_of_a_living_one_is_not),
        cmocka_unit_test(through_a_pooler_every_row_is_done_once_and_a_dead_workers_chunk_after_its_lease),
        cmocka_unit_test(a_ledger_that_is_busy_is_waited_for),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
