/*
 * Faults that the server reports in the middle of a backfill, made on purpose: what passes is repeated, what stays stops
 * the run so that it goes on once it is mended, and in the end every row is done once.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/process.h"
#include "support/session.h"

#include "util/banned.h"

static void
assert_all_done(const pawl_test_job *j, const char *db, int rows)
{
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), rows);
}

static void
run_again(pawl_test_job *j, const char *db, const char *name, int rows)
{
    pawl_test_job_prepare(j, db, name);
    pawl_test_job_go(j);
    pawl_test_job_join(j);
    assert_all_done(j, db, rows);
}

/* Wait until a worker stands in that kind of wait: "Lock", "Timeout" (pg_sleep). */
static void
wait_for_worker(const char *db, const char *event_type)
{
    char sql[200];

    (void) snprintf(sql, sizeof sql,
                    "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job%%'"
                    " AND wait_event_type = '%s'",
                    event_type);
    pawl_test_wait_until(db, sql, 10000);
}

/*
 * pawl's short lock_timeout keeps it out of deadlocks: it gives up long before the server looks for one. Here a trigger of
 * the table makes the server look at once, and the batch is the victim.
 */
static void
a_deadlock_that_the_batch_loses_is_repeated(void **state)
{
    const char *db = pawl_test_counted("deadlock", "bigint", 100);
    PGconn *other = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(
        db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql SET deadlock_timeout = '10ms' AS $$ BEGIN"
            " PERFORM pg_sleep(0.3); PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END $$;"
            "CREATE TRIGGER b BEFORE UPDATE OF n ON t FOR EACH ROW WHEN (NEW.id = 50)"
            " EXECUTE FUNCTION f()");
    pawl_test_run_on(other, "BEGIN; SELECT pg_advisory_xact_lock(1)");
    pawl_test_job_prepare(&j, db, "deadlock");
    pawl_test_job_go(&j);
    wait_for_worker(db, "Timeout");
    /* It waits for a row of the batch, and the batch then for what it holds. */
    pawl_test_run_on(other, "UPDATE t SET s = 'mine'; COMMIT");
    pawl_test_job_join(&j);
    PQfinish(other);
    assert_all_done(&j, db, 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'mine'"), 100);
    pawl_test_wait_until(db, "SELECT deadlocks > 0 FROM pg_stat_database WHERE datname = current_database()",
                         10000);
}

/* A default of the role or the database would end batches that are longer: time-outs are pawl's own. */
static void
a_statement_timeout_of_the_database_ends_no_batch(void **state)
{
    const char *db = pawl_test_counted("timeout", "bigint", 50);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " PERFORM pg_sleep(0.01); RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f();"
                       "ALTER DATABASE timeout SET statement_timeout = '100ms'");
    run_again(&j, db, "timeout", 50);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress"), 1);
}

/* Once may be an accident; who cancels three times means it. */
static void
a_batch_that_is_cancelled_three_times_stops_the_run(void **state)
{
    const char *db = pawl_test_counted("cancelled", "bigint", 100);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db,
                   "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                   " PERFORM pg_sleep(20); RETURN NEW; END $$;"
                   "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW WHEN (NEW.id = 1) EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&j, db, "cancelled");
    pawl_test_job_go(&j);
    for (int i = 0; i < 3; i++)
    {
        wait_for_worker(db, "Timeout");
        pawl_test_exec(db, "SELECT pg_cancel_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'pawl job%' AND wait_event_type = 'Timeout'");
        pawl_test_wait_until(
            db,
            "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'"
            " AND wait_event_type = 'Timeout' AND query_start < now() - interval '0.2 s'",
            5000);
    }
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_SERVER);
    assert_string_equal(j.err.sqlstate, "57014");
    pawl_test_assert_contains(j.err.hint, "cancelled the batch three times");
    pawl_test_exec(db, "DROP TRIGGER b ON t");
    run_again(&j, db, "cancelled", 100);
}

/* A BEFORE trigger that updates another row of the same batch: the server refuses the batch, not the row alone. */
static void
a_trigger_that_updates_other_rows_of_the_batch_is_met_row_by_row(void **state)
{
    const char *db = pawl_test_counted("neighbours", "bigint", 40);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " UPDATE t SET s = s || '!' WHERE id = NEW.id + 1; RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION f()");
    run_again(&j, db, "neighbours", 40);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'x!'"), 39);
}

/* The row that the batch waits for is moved to another partition: the server cannot follow it (40001). */
static void
a_row_moved_to_another_partition_under_the_batch_is_let_go(void **state)
{
    const char *db = pawl_test_database_new("moved");
    PGconn *other = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE p (id bigint, g int, n int NOT NULL, s text, PRIMARY KEY (id, g)) "
                       "PARTITION BY LIST (g);"
                       "CREATE TABLE t PARTITION OF p FOR VALUES IN (1);"
                       "CREATE TABLE elsewhere PARTITION OF p FOR VALUES IN (2);"
                       "INSERT INTO p SELECT i, 1, 0, 'x' FROM generate_series(1, 100) i; ANALYZE p");
    pawl_test_ledger(db);
    /* The first row of the batch gives time to move another. */
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " PERFORM pg_sleep(0.5); RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE OF n ON t FOR EACH ROW WHEN (NEW.id = 1)"
                       " EXECUTE FUNCTION f()");
    pawl_test_job_prepare(&j, db, "moved");
    j.env.lock_timeout_ms = 500;
    pawl_test_job_go(&j);
    wait_for_worker(db, "Timeout");
    pawl_test_run_on(other, "BEGIN; UPDATE p SET g = 2 WHERE id = 50");
    wait_for_worker(db, "Lock");
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_join(&j);
    PQfinish(other);
    assert_all_done(&j, db, 99);
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM elsewhere"), 0);
}

static void
a_privilege_revoked_half_way_stops_and_given_back_lets_go_on(void **state)
{
    const char *db = pawl_test_counted("revoked", "bigint", 20000);
    char as_role[300];
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db,
                   "CREATE ROLE revoked LOGIN; GRANT SELECT, UPDATE ON t TO revoked;"
                   "GRANT ALL ON SCHEMA pawl TO revoked; GRANT ALL ON ALL TABLES IN SCHEMA pawl TO revoked");
    (void) snprintf(as_role, sizeof as_role, "%s user=revoked", db);
    pawl_test_job_prepare(&j, as_role, "revoked");
    pawl_test_job_go(&j);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 3 FROM pawl.progress", 20000);
    pawl_test_exec(db, "REVOKE UPDATE ON t FROM revoked");
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_SERVER);
    assert_string_equal(j.err.sqlstate, "42501");
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT (SELECT sum(n) FROM t) - (SELECT sum(rows_written) FROM pawl.progress)"),
                     0);
    pawl_test_exec(db, "GRANT UPDATE ON t TO revoked");
    run_again(&j, as_role, "revoked", 20000);
    pawl_test_exec(db, "DROP OWNED BY revoked; DROP ROLE revoked");
}

/* ---- a disk that is full ------------------------------------------------------------------------------------------- */

static char disk[64];

static bool
can_mount(const char *options)
{
    const char *const argv[] = {"mount", "-t", "tmpfs", "-o", options, "tmpfs", disk, NULL};

    return pawl_test_spawn_wait(argv, "/dev/null") == 0;
}

static void
unmount(void)
{
    const char *const argv[] = {"umount", "-l", disk, NULL};

    if (disk[0] == '\0')
        return;
    (void) pawl_test_spawn_wait(argv, "/dev/null");
    (void) rmdir(disk);
    disk[0] = '\0';
}

static void
a_full_disk_stops_and_with_more_room_it_goes_on(void **state)
{
    const char *db = NULL;
    char sql[500];
    pawl_test_job j;

    (void) state;
    (void) snprintf(disk, sizeof disk, "/tmp/pawl-disk-XXXXXX");
    assert_non_null(mkdtemp(disk));
    if (geteuid() != 0 || !can_mount("size=7m,mode=0777"))
    {
        (void) rmdir(disk);
        disk[0] = '\0';
        print_message("a small file system can be mounted by root only\n");
        skip();
    }
    (void) atexit(unmount);
    db = pawl_test_database_new("full");
    /* The directory of a tablespace belongs to the server's user: it makes its own below the mount. */
    (void) snprintf(sql, sizeof sql, "COPY (SELECT 1) TO PROGRAM 'mkdir -m 0700 %s/space'", disk);
    pawl_test_exec(db, sql);
    (void) snprintf(sql, sizeof sql, "CREATE TABLESPACE small LOCATION '%s/space'", disk);
    pawl_test_exec(db, sql);
    pawl_test_exec(db,
                   "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL, s text) TABLESPACE small;"
                   "INSERT INTO t SELECT i, 0, repeat('x', 200) FROM generate_series(1, 16000) i; ANALYZE t");
    pawl_test_ledger(db);

    pawl_test_job_prepare(&j, db, "full");
    j.spec.batch_rows = 1000;
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_SERVER);
    assert_string_equal(j.err.sqlstate, "53100");
    pawl_test_assert_contains(j.err.hint, "make room on the server's disk");
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 1, 15999);

    assert_true(can_mount("remount,size=64m"));
    run_again(&j, db, "full", 16000);
    pawl_test_exec(db, "DROP TABLE t");
    pawl_test_exec(db, "DROP TABLESPACE small");
    unmount();
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_deadlock_that_the_batch_loses_is_repeated),
        cmocka_unit_test(a_statement_timeout_of_the_database_ends_no_batch),
        cmocka_unit_test(a_batch_that_is_cancelled_three_times_stops_the_run),
        cmocka_unit_test(a_trigger_that_updates_other_rows_of_the_batch_is_met_row_by_row),
        cmocka_unit_test(a_row_moved_to_another_partition_under_the_batch_is_let_go),
        cmocka_unit_test(a_privilege_revoked_half_way_stops_and_given_back_lets_go_on),
        cmocka_unit_test(a_full_disk_stops_and_with_more_room_it_goes_on),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
