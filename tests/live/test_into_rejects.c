/* Bad rows on their way into another table: set aside with what they were, the rest written, and tried again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/retry.h"
#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const READ_S[] = {"s"};
static const char *const WRITE_OF[] = {"source", "part"};
static const char *const BY_SOURCE[] = {"source"};

static void
prepare(pawl_test_job *j, const char *db, const char *name, const char *lua)
{
    static char file[80];
    const char *dir = pawl_test_transform(name, lua);

    (void) snprintf(file, sizeof file, "transforms/%s.lua", name);
    *j = (pawl_test_job){.spec = pawl_test_spec("public.t"), .env = pawl_test_env(db, dir), .job = name};
    j->spec.lua_file = file;
    j->spec.read = READ_S;
    j->spec.nread = 1;
    j->spec.write = WRITE_OF;
    j->spec.nwrite = 2;
    j->spec.into = "h";
    j->spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    j->spec.max_rejects = 1000;
}

static void
merge(pawl_test_job *j)
{
    j->spec.merge = BY_SOURCE;
    j->spec.nmerge = 1;
}

static void
run(pawl_test_job *j)
{
    pawl_test_job_go(j);
    pawl_test_job_finish(j);
}

static pawl_retry_result
retry_ok(pawl_test_job *j)
{
    pawl_retry_result out = {0};

    j->err = (pawl_error) PAWL_ERROR_INIT;
    if (pawl_backfill_retry(&j->spec, &j->env, j->result.job_id, 0, &out, &j->err) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
    return out;
}

static void
assert_i64(const char *db, const char *sql, int64_t expected)
{
    assert_int_equal(pawl_test_query_i64(db, sql), expected);
}

#define REJECTED "SELECT string_agg(key[1] || ' ' || sqlstate, ', ' ORDER BY reject_id) FROM pawl.reject"

/* Of each way in which a transform refuses a row: after a good row of the same, too. */
#define REFUSING                                                       \
    "return function(row)\n"                                           \
    "  local good = { source = row.id, part = row.s }\n"               \
    "  if row.id == 3 then error('no threes') end\n"                   \
    "  if row.id == 5 then pawl.reject('a five') end\n"                \
    "  if row.id == 7 then return { good, { source = {} } } end\n"     \
    "  if row.id == 8 then return { good, { sorce = 1 }, good } end\n" \
    "  return { good, { source = row.id, part = row.s .. '/2' } }\n"   \
    "end\n"

static void
rows_that_the_transform_refuses_leave_nothing_behind(void **state)
{
    const char *db = pawl_test_named("refuses", 250, "CREATE TABLE h (source bigint, part text)");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "refuses", REFUSING);
    run(&j);
    assert_true(j.result.has_findings);
    assert_int_equal(j.result.rejects, 4);
    assert_int_equal(j.result.progress.rows_rejected, 4);
    assert_int_equal(j.result.progress.rows_read, 250);
    assert_int_equal(j.result.progress.rows_written, 492);
    assert_i64(db, "SELECT count(*) FROM h", 492);
    assert_i64(db, "SELECT count(*) FROM h JOIN t ON id = source AND part LIKE s || '%'", 492);
    assert_i64(db, "SELECT count(*) FROM h WHERE source IN (3, 5, 7, 8)", 0);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1], ', ' ORDER BY reject_id) FROM pawl.reject WHERE state = 'open'",
        "3, 5, 7, 8");
    pawl_test_assert_query(db, "SELECT input::text FROM pawl.reject WHERE key = '{5}'",
                           "{\"s\": \"x5\", \"id\": \"5\"}");
    pawl_test_assert_query(db, "SELECT message FROM pawl.reject WHERE key = '{5}'",
                           "the transform rejects the row: a five");
    assert_i64(db, "SELECT count(*) FROM pawl.reject WHERE key = '{8}' AND message LIKE '%\"sorce\"%'", 1);
}

/* `batch` tells no row when it raises: halves find it. */
static void
a_batch_that_raises_as_a_whole_is_searched_by_halves(void **state)
{
    const char *db = pawl_test_named("whole", 130, "CREATE TABLE h (source bigint, part text)");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "whole",
            "return { batch = function(rows)\n"
            "  local out = {}\n"
            "  for i = 1, rows.n do\n"
            "    if rows[i].id % 50 == 0 then error('fifty') end\n"
            "    out[i] = { { source = rows[i].id, part = 'a' }, { source = rows[i].id, part = 'b' } }\n"
            "  end\n"
            "  return out\n"
            "end }\n");
    run(&j);
    pawl_test_assert_query(db, REJECTED, "50 , 100 ");
    assert_i64(db, "SELECT count(*) FROM h", 256);
    assert_i64(db, "SELECT count(DISTINCT (source, part)) FROM h WHERE source % 50 <> 0", 256);
}

#define ONE "return function(row) return { source = row.id, part = row.s } end\n"

static void
refused_by_the_server(const char *name, bool is_merge)
{
    const char *db = pawl_test_named(
        name, 1000,
        "CREATE TABLE h (source int PRIMARY KEY CHECK (source <> 77), part varchar(5));"
        "UPDATE t SET s = 'too long' WHERE id IN (500, 501, 999);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.source = 600 THEN RETURN NULL; END IF;"
        " IF NEW.source = 601 THEN RAISE EXCEPTION 'not this' USING ERRCODE = 'ZZ001'; END IF;"
        " RETURN NEW; END $$;"
        "CREATE TRIGGER f BEFORE INSERT ON h FOR EACH ROW EXECUTE FUNCTION f();"
        "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF NEW.source = 700 THEN RAISE EXCEPTION 'too late' USING ERRCODE = '23514'; END IF;"
        " RETURN NULL; END $$;"
        "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON h DEFERRABLE INITIALLY DEFERRED"
        " FOR EACH ROW EXECUTE FUNCTION late()");
    pawl_test_job j;

    prepare(&j, db, name, ONE);
    if (is_merge)
        merge(&j);
    j.spec.workers = 1;
    run(&j);
    pawl_test_assert_query(db, REJECTED,
                           "77 23514, 500 22001, 501 22001, 600 27000, 601 ZZ001, 700 23514, 999 22001");
    assert_i64(
        db, "SELECT count(*) FROM pawl.reject WHERE input->>'s' = (SELECT s FROM t WHERE id = key[1]::int)",
        7);
    assert_i64(db, "SELECT count(*) FROM h", 993);
    assert_i64(db, "SELECT count(*) FROM t JOIN h ON id = source AND part = s", 993);
    assert_int_equal(j.result.progress.rows_read, 1000);
    assert_int_equal(j.result.progress.rows_written, 993);

    /* Mended in part: each is done or refused once more, and what is done is there once. */
    pawl_test_exec(db, "UPDATE t SET s = 'ok' WHERE id = 500; DELETE FROM t WHERE id = 501;"
                       "DROP TRIGGER late ON h; ALTER TABLE h DROP CONSTRAINT h_source_check");

    pawl_retry_result out = retry_ok(&j);

    assert_int_equal(out.done, 3);
    assert_int_equal(out.refused, 3);
    assert_int_equal(out.gone, 1);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1] || ' ' || state, ', ' ORDER BY reject_id) FROM pawl.reject",
        "77 done, 500 done, 501 gone, 600 open, 601 open, 700 done, 999 open");
    assert_i64(db, "SELECT count(*) FROM t JOIN h ON id = source AND part = s", 996);
    assert_i64(db, "SELECT count(*) FROM h", 996);
    pawl_test_exec(db, "DROP TRIGGER f ON h; UPDATE t SET s = 'ok' WHERE id = 999");
    out = retry_ok(&j);
    assert_int_equal(out.done, 3);
    assert_int_equal(out.left, 0);
    assert_false(out.has_findings);
    assert_i64(db, "SELECT count(*) FROM t JOIN h ON id = source AND part = s", 999);
    assert_int_equal(retry_ok(&j).done, 0);
    assert_i64(db, "SELECT count(*) FROM h", 999);
}

static void
rows_that_the_server_refuses_are_found_by_halves(void **state)
{
    (void) state;
    refused_by_the_server("halves", false);
}

static void
rows_that_a_merge_refuses_are_found_by_halves(void **state)
{
    (void) state;
    refused_by_the_server("merged", true);
}

/*
 * 10 and 11 give different rows for the key 1010, and 12 the same as 10: none of the three may win. 20 and 21 give the
 * same row, which stands for both. 30 gives a number that no integer column holds.
 */
#define CLASHING                                                                                         \
    "return function(row)\n"                                                                             \
    "  local id = row.id\n"                                                                              \
    "  if id == 10 or id == 12 then return { source = 1010, part = 'a' } end\n"                          \
    "  if id == 11 then return { { source = 1011, part = 'own' }, { source = 1010, part = 'b' } } end\n" \
    "  if id == 20 or id == 21 then return { source = 1020, part = 'same' } end\n"                       \
    "  if id == 30 then return { source = 1 << 40, part = 'great' } end\n"                               \
    "  return { source = id, part = row.s }\n"                                                           \
    "end\n"

static void
rows_that_merge_into_one_and_differ_are_all_set_aside(void **state)
{
    const char *db = pawl_test_named("clash", 60, "CREATE TABLE h (source int PRIMARY KEY, part text)");
    pawl_test_job j;
    pawl_retry_result out;

    (void) state;
    prepare(&j, db, "clash", CLASHING);
    merge(&j);
    run(&j);
    pawl_test_assert_query(db, "SELECT string_agg(key[1], ', ' ORDER BY key[1]) FROM pawl.reject",
                           "10, 11, 12, 30");
    assert_i64(db, "SELECT count(*) FROM pawl.reject WHERE message LIKE '%(source) = (1010)%'", 3);
    assert_i64(db, "SELECT count(*) FROM h", 55);
    assert_i64(db, "SELECT count(*) FROM h WHERE source = 1020 AND part = 'same'", 1);
    assert_i64(db, "SELECT count(*) FROM h WHERE source IN (1010, 1011)", 0);

    /* The same again, and when one of them is gone the others agree. */
    assert_int_equal(retry_ok(&j).refused, 4);
    pawl_test_exec(db, "DELETE FROM t WHERE id = 11");
    out = retry_ok(&j);
    assert_int_equal(out.done, 2);
    assert_int_equal(out.gone, 1);
    assert_int_equal(out.refused, 1);
    pawl_test_assert_query(db, "SELECT part FROM h WHERE source = 1010", "a");
}

/* Rows that only the server takes for the same: halving would let the order decide. */
static void
rows_that_only_the_server_takes_for_one_stop_the_run_by_name(void **state)
{
    const char *db = pawl_test_named("spelled", 50, "CREATE TABLE h (source numeric PRIMARY KEY, part text)");
    pawl_test_job j;

    (void) state;
    prepare(
        &j, db, "spelled",
        "return function(row) return { source = row.id == 2 and '1.0' or tostring(row.id), part = row.s } "
        "end\n");
    merge(&j);
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_TRANSFORM);
    assert_non_null(strstr(j.err.message, "the same by `merge`"));
    assert_i64(db, "SELECT count(*) FROM h", 0);
}

static void
skipped_rows_are_named_and_not_tried_again(void **state)
{
    const char *db =
        pawl_test_named("skip", 300, "CREATE TABLE h (source bigint CHECK (source <> 100), part text)");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "skip", REFUSING);
    j.spec.on_error = PAWL_ON_ERROR_SKIP;
    run(&j);
    assert_false(j.result.has_findings);
    assert_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'skipped' AND input = '{}'", 5);
    assert_i64(db, "SELECT count(*) FROM h", 2 * 295);
    assert_int_equal(retry_ok(&j).done, 0);
    assert_i64(db, "SELECT count(*) FROM h", 2 * 295);
}

static void
more_than_max_rejects_stop_the_run(void **state)
{
    const char *db = pawl_test_named("most", 300, "CREATE TABLE h (source bigint, part text)");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "most", REFUSING);
    j.spec.max_rejects = 3;
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_not_equal(j.st, PAWL_OK);
    assert_i64(db, "SELECT count(*) FROM h WHERE source <= 100", 0);
    assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject") <= 3);
}

/* A role that may not lock the rows may not for a retry either. */
static void
without_locks_a_retry_takes_none(void **state)
{
    const char *db =
        pawl_test_named("unlocked", 300,
                        "CREATE TABLE h (source bigint CHECK (source <> 100), part text);"
                        "CREATE ROLE reader LOGIN; GRANT SELECT ON t TO reader; GRANT INSERT ON h TO reader");
    char as_reader[400];
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db,
                   "GRANT USAGE ON SCHEMA pawl TO reader; GRANT ALL ON ALL TABLES IN SCHEMA pawl TO reader;"
                   "GRANT ALL ON ALL SEQUENCES IN SCHEMA pawl TO reader");
    (void) snprintf(as_reader, sizeof as_reader, "%s user=reader", db);
    prepare(&j, as_reader, "unlocked", ONE);
    j.spec.is_unlocked = true;
    run(&j);
    pawl_test_assert_query(db, REJECTED, "100 23514");
    pawl_test_exec(db, "ALTER TABLE h DROP CONSTRAINT h_source_check");
    assert_int_equal(retry_ok(&j).done, 1);
    assert_i64(db, "SELECT count(DISTINCT source) FROM h", 300);
}

static void
a_retry_writes_into_the_table_of_the_job_and_no_other(void **state)
{
    const char *db =
        pawl_test_named("other", 200, "CREATE TABLE h (source bigint CHECK (source <> 100), part text)");
    pawl_retry_result out = {0};
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "other", ONE);
    run(&j);
    pawl_test_exec(db, "ALTER TABLE h RENAME TO h2; CREATE TABLE h (source bigint, part text)");
    j.err = (pawl_error) PAWL_ERROR_INIT;
    assert_int_equal(pawl_backfill_retry(&j.spec, &j.env, j.result.job_id, 0, &out, &j.err), PAWL_E_STATE);
    assert_non_null(strstr(j.err.message, "has written its rows into"));
    assert_i64(db, "SELECT count(*) FROM h", 0);
    pawl_test_exec(db,
                   "DROP TABLE h; ALTER TABLE h2 RENAME TO h; ALTER TABLE h DROP CONSTRAINT h_source_check");
    assert_int_equal(retry_ok(&j).done, 1);
    assert_i64(db, "SELECT count(DISTINCT source) FROM h", 200);
}

static void
bad_rows_of_partitions_are_found_again_in_theirs(void **state)
{
    const char *db = pawl_test_database_new("pieces");
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id bigint PRIMARY KEY, s text) PARTITION BY RANGE (id);"
                       "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (500);"
                       "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (500) TO (5000);"
                       "CREATE TABLE h (source bigint CHECK (source % 400 <> 0), part text);"
                       "INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 1000) i; ANALYZE t");
    pawl_test_ledger(db);
    prepare(&j, db, "pieces", ONE);
    run(&j);
    assert_i64(db, "SELECT count(DISTINCT part) FROM pawl.reject WHERE key IN ('{400}', '{800}')", 2);
    assert_i64(db, "SELECT count(DISTINCT source) FROM h", 998);
    pawl_test_exec(db, "ALTER TABLE h DROP CONSTRAINT h_source_check");
    assert_int_equal(retry_ok(&j).done, 2);
    assert_i64(db, "SELECT count(*) FROM h", 1000);
    assert_i64(db, "SELECT count(DISTINCT source) FROM h", 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_the_transform_refuses_leave_nothing_behind),
        cmocka_unit_test(a_batch_that_raises_as_a_whole_is_searched_by_halves),
        cmocka_unit_test(rows_that_the_server_refuses_are_found_by_halves),
        cmocka_unit_test(rows_that_a_merge_refuses_are_found_by_halves),
        cmocka_unit_test(rows_that_merge_into_one_and_differ_are_all_set_aside),
        cmocka_unit_test(rows_that_only_the_server_takes_for_one_stop_the_run_by_name),
        cmocka_unit_test(skipped_rows_are_named_and_not_tried_again),
        cmocka_unit_test(more_than_max_rejects_stop_the_run),
        cmocka_unit_test(without_locks_a_retry_takes_none),
        cmocka_unit_test(a_retry_writes_into_the_table_of_the_job_and_no_other),
        cmocka_unit_test(bad_rows_of_partitions_are_found_again_in_theirs),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
