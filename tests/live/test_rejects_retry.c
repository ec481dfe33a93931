/* Rejected rows, tried again: from what they are now, each once, and every end of a row in the ledger. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "backfill/retry.h"
#include "support/job.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* Refuses what is not 'x'; with `mended` it takes everything but 'bad'. */
#define STRICT                                                        \
    "return function(row)\n"                                          \
    "  if row.s ~= 'x' then pawl.reject('not an x: ' .. row.s) end\n" \
    "  return { n = row.n + 1 }\nend\n"
#define MENDED                                                \
    "return function(row)\n"                                  \
    "  if row.s == 'bad' then pawl.reject('still bad') end\n" \
    "  if row.s == 'left' then return nil end\n"              \
    "  return { n = row.n + 1 }\nend\n"

#define THREE_PARTS                                                                                       \
    "CREATE TABLE t (id bigint NOT NULL, g int NOT NULL, n int NOT NULL, s text) PARTITION BY LIST (g);"  \
    "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);" \
    "CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3);"                                                   \
    "ALTER TABLE t1 ADD PRIMARY KEY (id); ALTER TABLE t2 ADD PRIMARY KEY (id);"                           \
    "ALTER TABLE t3 ADD PRIMARY KEY (id);"                                                                \
    "INSERT INTO t SELECT i, g, 0, CASE WHEN i = 5 AND g <> 1 THEN 'y' ELSE 'x' END"                      \
    " FROM generate_series(1, 50) i, generate_series(1, 3) g; ANALYZE t"

static void
prepare(pawl_test_job *j, const char *db, const char *name, const char *lua)
{
    static const char *const read[] = {"n", "s"};
    static char file[80];

    (void) pawl_test_transform(name, lua);
    (void) snprintf(file, sizeof file, "transforms/%s.lua", name);
    pawl_test_job_prepare(j, db, name);
    j->spec.lua_file = file;
    j->spec.read = read;
    j->spec.nread = 2;
    j->spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    j->spec.max_rejects = 1000;
}

static void
run(pawl_test_job *j)
{
    pawl_test_job_go(j);
    pawl_test_job_finish(j);
}

/* The job's rows are tried again; the result is in `out`. */
static pawl_status
retry(pawl_test_job *j, pawl_retry_result *out)
{
    j->err = (pawl_error) PAWL_ERROR_INIT;
    return pawl_backfill_retry(&j->spec, &j->env, j->result.job_id, 0, out, &j->err);
}

static pawl_retry_result
retry_ok(pawl_test_job *j)
{
    pawl_retry_result out = {0};

    if (retry(j, &out) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
    return out;
}

static void
each_row_ends_as_it_is_found(void **state)
{
    const char *db = pawl_test_counted("ends", "bigint", 1000);
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(
        db, "UPDATE t SET s = CASE id WHEN 1 THEN 'bad' WHEN 2 THEN 'left' ELSE 'y' END WHERE id <= 10");
    prepare(&j, db, "ends", STRICT);
    j.spec.where = "n < 100";
    run(&j);
    assert_int_equal(j.result.rejects, 10);

    /* Nothing has changed: they are refused again, and that is all. */
    out = retry_ok(&j);
    assert_int_equal(out.refused, 10);
    assert_int_equal(out.left, 10);
    assert_true(out.has_findings);
    pawl_test_assert_query(db, "SELECT DISTINCT attempts::text FROM pawl.reject", "2");

    (void) pawl_test_transform("ends", MENDED);
    pawl_test_exec(
        db, "DELETE FROM t WHERE id = 3; UPDATE t SET n = 100 WHERE id = 4; UPDATE t SET n = 50 WHERE id = 5;"
            "ALTER TABLE t ADD CHECK (n <> 1 OR id <> 6);"
            "BEGIN; DELETE FROM t WHERE id = 7; INSERT INTO t VALUES (7, 70, 'z'); COMMIT");
    out = retry_ok(&j);
    assert_int_equal(out.done, 6);
    assert_int_equal(out.refused, 2);
    assert_int_equal(out.gone, 1);
    assert_int_equal(out.unmatched, 1);
    assert_int_equal(out.left, 2);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1] || ' ' || state, ', ' ORDER BY reject_id) FROM pawl.reject",
        "1 open, 2 done, 3 gone, 4 unmatched, 5 done, 6 open, 7 done, 8 done, 9 done, 10 done");
    pawl_test_assert_query(db, "SELECT string_agg(id || ' ' || n, ', ' ORDER BY id) FROM t WHERE id <= 10",
                           "1 0, 2 0, 4 100, 5 51, 6 0, 7 71, 8 1, 9 1, 10 1");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(message, ', ' ORDER BY reject_id) FROM pawl.reject WHERE state = 'open' "
        "AND sqlstate = ''",
        "the transform rejects the row: still bad");
    pawl_test_assert_query(db, "SELECT key[1] FROM pawl.reject WHERE state = 'open' AND sqlstate = '23514'",
                           "6");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND id > 10"), 990);

    pawl_test_exec(db, "UPDATE t SET s = 'good' WHERE id = 1; ALTER TABLE t DROP CONSTRAINT t_check");
    out = retry_ok(&j);
    assert_int_equal(out.done, 2);
    assert_int_equal(out.left, 0);
    assert_false(out.has_findings);
    pawl_test_assert_query(db, "SELECT state FROM pawl.job", "done");
    out = retry_ok(&j);
    assert_int_equal(out.done, 0);
    pawl_test_assert_query(db, "SELECT count(*)::text FROM pawl.event WHERE kind = 'rejects_retried'", "3");
}

static void
the_input_of_a_row_refused_again_is_what_was_tried(void **state)
{
    const char *db = pawl_test_counted("input", "bigint", 100);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'a' WHERE id = 50");
    prepare(&j, db, "input", STRICT);
    run(&j);
    pawl_test_exec(db, "UPDATE t SET s = 'b' WHERE id = 50");
    (void) retry_ok(&j);
    pawl_test_assert_query(db, "SELECT input ->> 's' FROM pawl.reject", "b");
    pawl_test_assert_query(db, "SELECT message FROM pawl.reject",
                           "the transform rejects the row: not an x: b");
}

static void
expressions_and_triggers_are_retried_by_the_same_rules(void **state)
{
    static const pawl_set_expression set[] = {{"n", "n + CASE WHEN s = 'x' THEN 1 ELSE s::int END"}};
    const char *db = pawl_test_counted("set", "bigint", 400);
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'no number' WHERE id % 100 = 0");
    prepare(&j, db, "set", STRICT);
    j.spec.lua_file = NULL;
    j.spec.nread = 0;
    j.spec.nwrite = 0;
    j.spec.set = set;
    j.spec.nset = 1;
    run(&j);
    assert_int_equal(j.result.rejects, 4);
    pawl_test_exec(db, "UPDATE t SET s = '1' WHERE id IN (100, 300); DELETE FROM t WHERE id = 400;"
                       "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " RETURN CASE WHEN OLD.id <> 300 THEN NEW END; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    out = retry_ok(&j);
    assert_int_equal(out.done, 1);
    assert_int_equal(out.gone, 1);
    assert_int_equal(out.refused, 2);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(key[1] || ' ' || sqlstate || ' ' || (input ->> 's'), ', ' ORDER BY reject_id)"
        " FROM pawl.reject WHERE state = 'open'",
        "200 22P02 no number, 300  1");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 397);
}

/* Partitions have rows of the same key where the key is theirs alone. */
static void
rows_of_partitions_are_retried_in_theirs(void **state)
{
    const char *db = pawl_test_database_new("parts");
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, THREE_PARTS);
    pawl_test_ledger(db);
    prepare(&j, db, "parts", STRICT);
    run(&j);
    assert_int_equal(j.result.rejects, 2);
    (void) pawl_test_transform("parts", MENDED);
    pawl_test_exec(db, "ALTER TABLE t DETACH PARTITION t3");
    out = retry_ok(&j);
    assert_int_equal(out.done, 1);
    assert_int_equal(out.gone, 1);
    assert_int_equal(out.left, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t3 WHERE n = 1"), 49);
}

static void *
retry_main(void *job)
{
    pawl_retry_result out;
    pawl_test_job *j = job;

    j->st = retry(j, &out);
    return NULL;
}

static void
two_retries_at_once_do_each_row_once(void **state)
{
    const char *db = pawl_test_counted("twice", "bigint", 1000);
    pawl_test_job j;
    pawl_test_job other;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id % 2 = 0");
    prepare(&j, db, "twice", STRICT);
    run(&j);
    assert_int_equal(j.result.rejects, 500);
    (void) pawl_test_transform("twice", MENDED);
    other = j;
    assert_int_equal(pthread_create(&other.thread, NULL, retry_main, &other), 0);
    assert_int_equal(pthread_create(&j.thread, NULL, retry_main, &j), 0);
    assert_int_equal(pthread_join(other.thread, NULL), 0);
    assert_int_equal(pthread_join(j.thread, NULL), 0);
    assert_int_equal(j.st, PAWL_OK);
    assert_int_equal(other.st, PAWL_OK);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

/* The connection is cut after the write and behind the commit: what is in is in, and nothing is done again. */
static void
a_retry_that_loses_its_connection_goes_on(void **state)
{
    const char *db = pawl_test_counted("cut", "bigint", 1000);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id % 2 = 0");
    prepare(&j, db, "cut", STRICT);
    run(&j);
    (void) pawl_test_transform("cut", MENDED);
    assert_int_equal(pthread_create(&j.thread, NULL, retry_main, &j), 0);
    for (int i = 0; i < 3; i++)
    {
        pawl_test_pause_ms(150);
        pawl_test_exec(
            db,
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pawl rejects'");
    }
    assert_int_equal(pthread_join(j.thread, NULL), 0);
    assert_int_equal(j.st, PAWL_OK);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'done'"), 500);
}

static void
what_is_not_the_jobs_is_refused(void **state)
{
    const char *db = pawl_test_counted("refused", "bigint", 100);
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id = 5");
    prepare(&j, db, "refused", STRICT);
    run(&j);
    (void) pawl_test_transform("refused", MENDED);
    pawl_test_exec(db, "ALTER TABLE t RENAME TO t_old; CREATE TABLE t (LIKE t_old INCLUDING ALL);"
                       "INSERT INTO t SELECT * FROM t_old");
    assert_int_equal(retry(&j, &out), PAWL_E_STATE);
    pawl_test_assert_contains(j.err.message, "is not as it was for job 1");
    pawl_test_exec(db,
                   "DROP TABLE t; ALTER TABLE t_old RENAME TO t; UPDATE pawl.job SET state = 'abandoned'");
    assert_int_equal(retry(&j, &out), PAWL_E_STATE);
    pawl_test_assert_contains(j.err.message, "was abandoned");
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 5"), 0);
}

/* The application holds the row for a while: it is waited for, and done from what it is then. */
static void
a_row_that_is_held_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("held", "bigint", 100);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id IN (5, 6)");
    prepare(&j, db, "held", STRICT);
    run(&j);
    (void) pawl_test_transform("held", MENDED);
    pawl_test_run_on(holder, "BEGIN; UPDATE t SET n = 40 WHERE id = 5");
    assert_int_equal(pthread_create(&j.thread, NULL, retry_main, &j), 0);
    pawl_test_pause_ms(700);
    pawl_test_run_on(holder, "COMMIT");
    assert_int_equal(pthread_join(j.thread, NULL), 0);
    PQfinish(holder);
    assert_int_equal(j.st, PAWL_OK);
    pawl_test_assert_query(db, "SELECT string_agg(n::text, ' ' ORDER BY id) FROM t WHERE id IN (5, 6)",
                           "41 1");
}

/* A retry is on its way to blame a row that the server has refused; what happens meanwhile is the test's. */
static void
begin_to_blame(pawl_test_job *j)
{
    int64_t before = pawl_failpoint_reached("retry.before_condemn");

    pawl_failpoint_open("retry.before_condemn", false);
    assert_int_equal(pthread_create(&j->thread, NULL, retry_main, j), 0);
    for (int i = 0; i < 6000 && pawl_failpoint_reached("retry.before_condemn") == before; i++)
        pawl_test_pause_ms(5);
    assert_true(pawl_failpoint_reached("retry.before_condemn") > before);
}

static void
go_on_and_blame(pawl_test_job *j)
{
    assert_int_equal(pthread_join(j->thread, NULL), 0);
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
}

/* The lock is waited for, the version under it is deleted, and the new one is in no snapshot of the statement. */
static void
a_row_that_is_inserted_again_while_it_is_blamed_is_not_gone(void **state)
{
    const char *db = pawl_test_counted("again", "bigint", 100);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id = 5");
    prepare(&j, db, "again", STRICT);
    run(&j);
    (void) pawl_test_transform("again", MENDED);
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (n = 0 OR s <> 'y')");
    j.env.lock_timeout_ms = 30000;
    begin_to_blame(&j);
    pawl_test_run_on(holder, "BEGIN; DELETE FROM t WHERE id = 5; INSERT INTO t VALUES (5, 0, 'good')");
    pawl_failpoint_open("retry.before_condemn", true);
    pawl_test_wait_until(db,
                         "SELECT count(*) = 1 FROM pg_stat_activity WHERE application_name = 'pawl rejects' "
                         "AND wait_event_type = 'Lock'",
                         30000);
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    go_on_and_blame(&j);
    pawl_test_assert_query(db, "SELECT state FROM pawl.reject", "done");
    assert_int_equal(pawl_test_query_i64(db, "SELECT n FROM t WHERE id = 5"), 1);
}

/* Another retry has ended it meanwhile: the next one has done nothing. */
static void
nobody_is_blamed_for_another_row(void **state)
{
    const char *db = pawl_test_counted("another", "bigint", 100);
    pawl_test_job j;
    pawl_test_job other;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'y' WHERE id = 5; UPDATE t SET s = 'z' WHERE id = 6");
    prepare(&j, db, "another", STRICT);
    run(&j);
    (void) pawl_test_transform("another", MENDED);
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (n = 0 OR s <> 'y')");
    other = j;
    begin_to_blame(&j);
    pawl_test_exec(db, "UPDATE t SET s = 'good' WHERE id = 5; UPDATE t SET s = 'bad' WHERE id = 6");
    (void) retry_ok(&other);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1] || ' ' || state, ', ' ORDER BY reject_id) FROM pawl.reject",
        "5 done, 6 open");
    pawl_failpoint_open("retry.before_condemn", true);
    go_on_and_blame(&j);
    pawl_test_assert_query(db, "SELECT message FROM pawl.reject WHERE state = 'open'",
                           "the transform rejects the row: still bad");
    pawl_test_assert_query(db, "SELECT state || ' ' || sqlstate FROM pawl.reject WHERE key[1] = '5'",
                           "done ");
}

/* Its part ended when it was detached; attached again, its rows are to be had. */
static void
rows_of_a_partition_that_has_come_back_are_not_gone(void **state)
{
    const char *db = pawl_test_database_new("back");
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, THREE_PARTS);
    pawl_test_ledger(db);
    prepare(&j, db, "back", STRICT);
    run(&j);
    assert_int_equal(j.result.rejects, 2);
    (void) pawl_test_transform("back", MENDED);
    pawl_test_exec(db, "UPDATE pawl.part SET state = 'gone' WHERE table_name = 'public.t3'");
    out = retry_ok(&j);
    assert_int_equal(out.done, 2);
    assert_int_equal(out.gone, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 150);
}

/* While the job is open, what a retry calls gone comes back with its partition. */
static void
rows_that_went_with_their_partition_come_back_with_it(void **state)
{
    const char *db = pawl_test_database_new("went");
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, THREE_PARTS);
    pawl_test_ledger(db);
    prepare(&j, db, "went", STRICT);
    j.spec.max_rejects = 1;
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_SERVER);
    j.result.job_id = 1;
    pawl_test_assert_query(db, "SELECT string_agg(part || ' ' || key[1], ', ') FROM pawl.reject", "1 5");
    (void) pawl_test_transform("went", MENDED);
    pawl_test_exec(db, "ALTER TABLE t DETACH PARTITION t2");
    out = retry_ok(&j);
    assert_int_equal(out.gone, 1);
    pawl_test_exec(db, "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES IN (2)");
    j.err = (pawl_error) PAWL_ERROR_INIT;
    j.spec.max_rejects = 1000;
    run(&j);
    pawl_test_assert_query(db, "SELECT state FROM pawl.reject WHERE part = 1", "open");
    out = retry_ok(&j);
    assert_int_equal(out.done, 1);
    assert_int_equal(out.left, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 150);
}

/* The job has ended, and a partition of it is dropped. */
static void
rows_of_a_partition_that_was_dropped_are_gone(void **state)
{
    const char *db = pawl_test_database_new("dropped");
    pawl_retry_result out;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, THREE_PARTS);
    pawl_test_ledger(db);
    prepare(&j, db, "dropped", STRICT);
    run(&j);
    (void) pawl_test_transform("dropped", MENDED);
    pawl_test_exec(db, "DROP TABLE t3");
    out = retry_ok(&j);
    assert_int_equal(out.done, 1);
    assert_int_equal(out.gone, 1);
    assert_int_equal(out.left, 0);
}

int
main(void)
{
    pawl_failpoint_arm("retry.after_write=sleep:60;retry.after_commit=sleep:60;retry.before_condemn=gate");
    pawl_failpoint_open("retry.before_condemn", true);

    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_ends_as_it_is_found),
        cmocka_unit_test(the_input_of_a_row_refused_again_is_what_was_tried),
        cmocka_unit_test(expressions_and_triggers_are_retried_by_the_same_rules),
        cmocka_unit_test(rows_of_partitions_are_retried_in_theirs),
        cmocka_unit_test(two_retries_at_once_do_each_row_once),
        cmocka_unit_test(a_retry_that_loses_its_connection_goes_on),
        cmocka_unit_test(what_is_not_the_jobs_is_refused),
        cmocka_unit_test(a_row_that_is_held_is_waited_for),
        cmocka_unit_test(a_row_that_is_inserted_again_while_it_is_blamed_is_not_gone),
        cmocka_unit_test(nobody_is_blamed_for_another_row),
        cmocka_unit_test(rows_of_a_partition_that_has_come_back_are_not_gone),
        cmocka_unit_test(rows_that_went_with_their_partition_come_back_with_it),
        cmocka_unit_test(rows_of_a_partition_that_was_dropped_are_gone),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
