/* Rows that the transform or the server refuses, where the step sets them aside. */
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

/* A job that counts up, with a transform of the test's own; what it refuses goes to `reject`. */
static void
prepare(pawl_test_job *r, const char *db, const char *name, const char *lua)
{
    static const char *const read[] = {"n", "s"};
    static char file[80];

    (void) pawl_test_transform(name, lua);
    (void) snprintf(file, sizeof file, "transforms/%s.lua", name);
    pawl_test_job_prepare(r, db, name);
    r->spec.lua_file = file;
    r->spec.read = read;
    r->spec.nread = 2;
    r->spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    r->spec.max_rejects = 1000;
}

static void
run(pawl_test_job *r)
{
    pawl_test_job_go(r);
    pawl_test_job_join(r);
}

static void
run_ok(pawl_test_job *r)
{
    run(r);
    if (r->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", r->err.message, r->err.detail, r->err.hint, r->err.sqlstate);
}

/* Every row is done once or set aside once; `rejects` of them are set aside. */
static void
assert_each_once(const char *db, int rows, int rejects)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t LEFT JOIN pawl.reject r"
                                             " ON r.key = ARRAY[t.id::text]"
                                             " WHERE t.n <> CASE WHEN r.key IS NULL THEN 1 ELSE 0 END"),
                     0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), rejects);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(DISTINCT key) FROM pawl.reject"), rejects);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_rejected) FROM pawl.progress"), rejects);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), rows - rejects);
}

static void
rows_that_the_transform_refuses_are_set_aside_and_the_rest_is_done(void **state)
{
    const char *db = pawl_test_counted("transform", "bigint", 1000);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = NULL WHERE id = 300");
    prepare(&r, db, "transform",
            "return function(row)\n"
            "  if row.id % 100 == 0 then pawl.reject('a round one') end\n"
            "  if row.id == 7 then error('seven') end\n"
            "  if row.id == 8 then return { n = 'eight' } end\n"
            "  if row.id == 9 then return { n = 3000000000 } end\n"
            "  return { n = row.n + 1 }\nend");
    run_ok(&r);
    assert_each_once(db, 1000, 13);
    assert_true(r.result.has_findings);
    assert_int_equal(r.result.rejects, 13);
    assert_int_equal(r.result.progress.rows_rejected, 13);
    /* Known by their place: no batch was tried twice. */
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress"), 11);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(input::text, ' ' ORDER BY reject_id) FROM pawl.reject WHERE key[1] IN "
        "('200', '300')",
        "{\"n\": \"0\", \"s\": \"x\", \"id\": \"200\"} {\"n\": \"0\", \"s\": null, \"id\": \"300\"}");
    pawl_test_assert_query(db, "SELECT message FROM pawl.reject WHERE key = '{100}'",
                           "the transform rejects the row: a round one");
    pawl_test_assert_query(db, "SELECT message FROM pawl.reject WHERE key = '{7}'",
                           "transforms/transform.lua:3: seven");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE sqlstate = ''"), 13);
    pawl_test_assert_query(db, "SELECT state FROM pawl.job", "findings");
    pawl_test_assert_query(db, "SELECT detail FROM pawl.event WHERE kind = 'job_findings'",
                           "13 rows rejected");
}

static void
a_batch_function_that_fails_is_narrowed_down_to_the_row(void **state)
{
    const char *db = pawl_test_counted("batched", "bigint", 500);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "batched",
            "return { batch = function(rows)\n"
            "  local answers = {}\n"
            "  for i = 1, rows.n do\n"
            "    if rows[i].id == 150 or rows[i].id == 151 or rows[i].id == 500 then error('bad') end\n"
            "    answers[i] = rows[i].id == 77 and { n = {} } or { n = rows[i].n + 1 }\n"
            "  end\n"
            "  return answers\nend }");
    run_ok(&r);
    assert_each_once(db, 500, 4);
}

static void
rows_that_the_server_refuses_are_found_by_halves(void **state)
{
    const char *db = pawl_test_counted("server", "bigint", 2000);
    pawl_test_job r;

    (void) state;
    /* A check, a trigger's own SQLSTATE, a foreign key that is checked at the end, and a unique one. */
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (n = 0 OR id NOT IN (5, 6, 1000));"
                       "CREATE TABLE parent (n int PRIMARY KEY); INSERT INTO parent VALUES (0), (1);"
                       "ALTER TABLE t ADD FOREIGN KEY (n) REFERENCES parent DEFERRABLE INITIALLY DEFERRED;"
                       "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " IF NEW.id = 1500 THEN RAISE 'not this one' USING ERRCODE = 'ZZ001'; END IF;"
                       " RETURN NEW; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    prepare(&r, db, "server", "return function(row) return { n = row.id == 1700 and 2 or row.n + 1 } end");
    r.spec.workers = 2;
    r.spec.chunk_rows = 500;
    run_ok(&r);
    assert_each_once(db, 2000, 5);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1] || ' ' || sqlstate, ', ' ORDER BY key[1]::int) FROM pawl.reject",
        "5 23514, 6 23514, 1000 23514, 1500 ZZ001, 1700 23503");
    /* A search by halves takes about two batches a doubling of the hundred rows, and the row itself. */
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress"), 20, 90);
}

/* A fault that shows when the transaction ends: a trigger that puts its constraint off again. */
static void
a_row_that_fails_at_the_commit_is_found(void **state)
{
    const char *db = pawl_test_counted("commit", "bigint", 300);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db, "CREATE FUNCTION late() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF EXISTS (SELECT FROM public.t WHERE id = 123 AND n = 1) THEN"
            " RAISE 'at the last moment' USING ERRCODE = '23514'; END IF; RETURN NULL; END $$;"
            "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " SET CONSTRAINTS pawl.late DEFERRED; RETURN NEW; END $$;"
            "CREATE CONSTRAINT TRIGGER late AFTER UPDATE ON pawl.progress DEFERRABLE INITIALLY"
            " DEFERRED FOR EACH ROW EXECUTE FUNCTION late();"
            "CREATE TRIGGER again BEFORE UPDATE ON pawl.progress FOR EACH ROW EXECUTE FUNCTION again()");
    prepare(&r, db, "commit", "return function(row) return { n = row.n + 1 } end");
    run_ok(&r);
    assert_each_once(db, 300, 1);
    pawl_test_assert_query(db, "SELECT key[1] || ' ' || sqlstate FROM pawl.reject", "123 23514");
}

static void
a_row_whose_update_a_trigger_suppresses_is_set_aside(void **state)
{
    const char *db = pawl_test_counted("suppressed", "bigint", 300);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " RETURN CASE WHEN OLD.id % 100 <> 42 THEN NEW END; END $$;"
                       "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()");
    prepare(&r, db, "suppressed", "return function(row) return { n = row.n + 1 } end");
    run_ok(&r);
    assert_each_once(db, 300, 3);
    pawl_test_assert_query(db, "SELECT DISTINCT message FROM pawl.reject",
                           "a trigger on the table suppresses the update");
}

static void
the_expressions_of_set_reject_rows_as_well(void **state)
{
    static const pawl_set_expression set[] = {
        {"n", "n + 1 / (id - 250)::int + CASE WHEN s = 'x' THEN 1 ELSE s::int END"}};
    const char *db = pawl_test_counted("expressions", "bigint", 1000);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(
        db, "UPDATE t SET s = 'no number' WHERE id IN (1, 1000); DELETE FROM t WHERE id IN (249, 251)");
    prepare(&r, db, "expressions", "return function() end");
    r.spec.lua_file = NULL;
    r.spec.nread = 0;
    r.spec.nwrite = 0;
    r.spec.set = set;
    r.spec.nset = 1;
    run_ok(&r);
    assert_each_once(db, 998, 3);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(key[1] || ' ' || sqlstate || ' ' || (input ->> 's'), ', ' ORDER BY key[1]::int)"
        " FROM pawl.reject",
        "1 22P02 no number, 250 22012 x, 1000 22P02 no number");
}

static void
skipped_rows_are_counted_and_their_input_is_not_kept(void **state)
{
    const char *db = pawl_test_counted("skipped", "bigint", 300);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (n = 0 OR id <> 5)");
    prepare(&r, db, "skipped",
            "return function(row) if row.id == 200 then error('no') end return { n = row.n + 1 } end");
    r.spec.on_error = PAWL_ON_ERROR_SKIP;
    run_ok(&r);
    assert_each_once(db, 300, 2);
    assert_false(r.result.has_findings);
    pawl_test_assert_query(
        db, "SELECT string_agg(key[1] || state || input, ' ' ORDER BY reject_id) FROM pawl.reject",
        "5skipped{} 200skipped{}");
    pawl_test_assert_query(db, "SELECT state FROM pawl.job", "done");
    pawl_test_assert_query(db, "SELECT detail FROM pawl.event WHERE kind = 'job_done'", "2 rows skipped");
}

static void
too_many_rejects_stop_the_job_and_it_goes_on_when_more_are_allowed(void **state)
{
    const char *db = pawl_test_counted("many", "bigint", 1000);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "many",
            "return function(row) if row.id % 10 == 0 then error('no') end return { n = row.n + 1 } end");
    r.spec.max_rejects = 35;
    r.spec.workers = 2;
    run(&r);
    assert_int_equal(r.st, PAWL_E_SERVER);
    assert_string_equal(r.err.sqlstate, "PW003");
    pawl_test_assert_contains(r.err.message, "more rejected rows than max_rejects (35) allows");
    pawl_test_assert_contains(r.err.hint, "pawl rejects 1");
    assert_in_range(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 1, 35);

    r.spec.max_rejects = 100;
    r.spec.allow_rejects = 99;
    run_ok(&r);
    assert_each_once(db, 1000, 100);
    assert_true(r.result.has_findings);

    /* Nothing to do but to look again. */
    run_ok(&r);
    assert_true(r.result.has_findings);
    assert_int_equal(r.result.rejects, 100);
    r.spec.allow_rejects = 100;
    run_ok(&r);
    assert_false(r.result.has_findings);
    pawl_test_assert_query(db, "SELECT state FROM pawl.job", "done");
}

/* The error of each kind ends the run, whatever the step says of bad rows. */
static void
damaged_data_always_stops(void **state)
{
    static const char *const codes[] = {"XX001", "XX002", "58P01"};

    (void) state;
    for (size_t i = 0; i < 3; i++)
    {
        const char *db = pawl_test_counted("damaged", "bigint", 100);
        pawl_test_job r;
        char sql[300];

        (void) snprintf(sql, sizeof sql,
                        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                        " IF NEW.id = 50 THEN RAISE 'broken page' USING ERRCODE = '%s'; END IF;"
                        " RETURN NEW; END $$;"
                        "CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION f()",
                        codes[i]);
        pawl_test_exec(db, sql);
        prepare(&r, db, "damaged", "return function(row) return { n = row.n + 1 } end");
        run(&r);
        assert_int_equal(r.st, PAWL_E_SERVER);
        assert_string_equal(r.err.sqlstate, codes[i]);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 0);
    }
}

static void
values_of_redacted_columns_stand_in_no_reject(void **state)
{
    static const char *const redact[] = {"s"};
    const char *db = pawl_test_counted("secrets", "bigint", 100);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'secret ' || id; ALTER TABLE t ADD CHECK (n = 0 OR id <> 5)");
    prepare(&r, db, "secrets",
            "return function(row)\n"
            "  if row.id == 50 then error(row.s) end\n"
            "  if row.id == 51 then pawl.reject(row.s) end\n"
            "  return { n = row.n + 1 }\nend");
    r.spec.redact = redact;
    r.spec.nredact = 1;
    run_ok(&r);
    assert_each_once(db, 100, 3);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject r WHERE r::text LIKE '%secret %'"), 0);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE input ->> 's' = '[redacted]'"), 3);
}

/* The striped form has begun a batch and stops at its bad row; told to set such rows aside, the job goes on in the plain
 * form, and finishes what is left of that batch. */
static void
a_batch_begun_in_stripes_is_finished_with_its_bad_row_set_aside(void **state)
{
    const char *db = pawl_test_counted("striped", "bigint", 3000);
    pawl_test_job r;

    (void) state;
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (n = 0 OR id NOT IN (700, 701, 2500))");
    prepare(&r, db, "striped",
            "return function(row) if row.id == 1000 then error('no') end return { n = row.n + 1 } end");
    r.spec.form = PAWL_FORM_STRIPED;
    r.spec.batch_rows = 1000;
    r.spec.on_error = PAWL_ON_ERROR_STOP;
    run(&r);
    assert_int_not_equal(r.st, PAWL_OK);
    r.spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    run_ok(&r);
    assert_each_once(db, 3000, 4);
}

/* What a transform raises may be any bytes, and no valid text to the server. */
static void
a_message_of_any_bytes_is_kept_as_text(void **state)
{
    const char *db = pawl_test_counted("bytes", "bigint", 10);
    pawl_test_job r;

    (void) state;
    prepare(&r, db, "bytes",
            "return function(row) if row.id == 5 then error('\\xff\\xfe bad \\x01') end"
            " if row.id == 6 then error(string.rep('\\u{e9}', 2000)) end return { n = row.n + 1 } end");
    run_ok(&r);
    assert_each_once(db, 10, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_the_transform_refuses_are_set_aside_and_the_rest_is_done),
        cmocka_unit_test(a_batch_function_that_fails_is_narrowed_down_to_the_row),
        cmocka_unit_test(rows_that_the_server_refuses_are_found_by_halves),
        cmocka_unit_test(a_row_that_fails_at_the_commit_is_found),
        cmocka_unit_test(a_row_whose_update_a_trigger_suppresses_is_set_aside),
        cmocka_unit_test(the_expressions_of_set_reject_rows_as_well),
        cmocka_unit_test(skipped_rows_are_counted_and_their_input_is_not_kept),
        cmocka_unit_test(too_many_rejects_stop_the_job_and_it_goes_on_when_more_are_allowed),
        cmocka_unit_test(damaged_data_always_stops),
        cmocka_unit_test(values_of_redacted_columns_stand_in_no_reject),
        cmocka_unit_test(a_batch_begun_in_stripes_is_finished_with_its_bad_row_set_aside),
        cmocka_unit_test(a_message_of_any_bytes_is_kept_as_text),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
