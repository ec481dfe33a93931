/* The engine against a real server: what goes in, what comes out, what is refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const READ_N[] = {"n"};
static const char *const WRITE_N[] = {"n"};
static const char INCREMENT[] = "return function(row) return { n = row.n + 1 } end";

static const char *
table_of(const char *name, int rows)
{
    const char *db = pawl_test_database_new(name);
    char sql[400];

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL, s text);"
                    "INSERT INTO t SELECT i, 0, 'x' || i FROM generate_series(1, %d) i; ANALYZE t",
                    rows);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

static pawl_backfill_spec
increment_spec(void)
{
    pawl_backfill_spec spec = pawl_test_spec("public.t");

    spec.lua_file = "transforms/increment.lua";
    spec.read = READ_N;
    spec.nread = 1;
    spec.write = WRITE_N;
    spec.nwrite = 1;
    return spec;
}

static void
every_row_is_transformed_exactly_once(void **state)
{
    const char *db = table_of("once", 25050);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    spec.chunk_rows = 1000;
    spec.workers = 3;

    pawl_backfill_result r = pawl_test_backfill_ok(&spec, &env, "once");

    assert_int_equal(r.progress.rows_written, 25050);
    assert_int_equal(r.progress.rows_read, 25050);
    assert_false(r.was_resumed);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE state <> 'done'"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress"), 26);
}

static void
a_finished_job_is_not_run_again(void **state)
{
    const char *db = table_of("again", 300);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    (void) pawl_test_backfill_ok(&spec, &env, "again");

    pawl_backfill_result r = pawl_test_backfill_ok(&spec, &env, "again");

    assert_true(r.was_done);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 300);
}

static void
set_expressions_run_on_the_server(void **state)
{
    const char *db = table_of("setter", 5555);
    pawl_backfill_env env = pawl_test_env(db, ".");
    pawl_backfill_spec spec = pawl_test_spec("t");
    const pawl_set_expression set[] = {{"n", "n + length(s) -- comment"}, {"s", "upper(t.s)"}};

    (void) state;
    spec.set = set;
    spec.nset = 2;
    spec.where = "id % 2 = 0";

    pawl_backfill_result r = pawl_test_backfill_ok(&spec, &env, "setter");

    assert_int_equal(r.progress.rows_written, 2777);
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT count(*) FROM t WHERE (n = length(s) AND s LIKE 'X%') = (id % 2 = 0)"),
                     5555);
}

static void
an_empty_table_is_done_at_once(void **state)
{
    const char *db = table_of("empty", 0);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    assert_int_equal(pawl_test_backfill_ok(&spec, &env, "empty").progress.rows_read, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
}

static void
composite_text_and_quoted_keys_page_without_a_gap(void **state)
{
    static const char *const columns[] = {"Näme \"q\""};
    const char *db = pawl_test_database_new("keys");
    pawl_backfill_env env = pawl_test_env(
        db, pawl_test_transform("keys", "return function(row)\n"
                                        "  return { ['Näme \"q\"'] = row['Näme \"q\"'] .. '!' }\nend"));
    pawl_backfill_spec spec = pawl_test_spec("\"Täble\"");

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db, "CREATE TABLE \"Täble\" (\"A b\" text COLLATE \"C\", u uuid, d numeric,"
                       "  \"Näme \"\"q\"\"\" text NOT NULL DEFAULT 'x', PRIMARY KEY (\"A b\", u, d));"
                       "INSERT INTO \"Täble\" SELECT (i % 7)::text || ',\"{}\\', gen_random_uuid(), i / 3.0"
                       "  FROM generate_series(1, 3333) i");
    spec.lua_file = "transforms/keys.lua";
    spec.read = columns;
    spec.nread = 1;
    spec.write = columns;
    spec.nwrite = 1;
    spec.batch_rows = 50;
    spec.chunk_rows = 333;
    (void) pawl_test_backfill_ok(&spec, &env, "keys");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM \"Täble\" WHERE \"Näme \"\"q\"\"\" = 'x!'"), 3333);
}

static void
columns_that_the_answer_does_not_name_stay(void **state)
{
    static const char *const read[] = {"n", "s"};
    const char *db = table_of("mask", 1000);
    pawl_backfill_env env =
        pawl_test_env(db, pawl_test_transform("mask", "return function(row)\n"
                                                      "  if row.id % 5 == 0 then return nil end\n"
                                                      "  if row.id % 2 == 0 then return { n = 7 } end\n"
                                                      "  return { s = pawl.null }\nend"));
    pawl_backfill_spec spec = pawl_test_spec("t");

    (void) state;
    spec.lua_file = "transforms/mask.lua";
    spec.read = read;
    spec.nread = 2;
    spec.write = read;
    spec.nwrite = 2;

    pawl_backfill_result r = pawl_test_backfill_ok(&spec, &env, "mask");

    assert_int_equal(r.progress.rows_written, 800);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE CASE"
                                             " WHEN id % 5 = 0 THEN n = 0 AND s = 'x' || id"
                                             " WHEN id % 2 = 0 THEN n = 7 AND s = 'x' || id"
                                             " ELSE n = 0 AND s IS NULL END"),
                     1000);
}

static void
a_raising_transform_stops_with_key_file_and_line_and_goes_on_when_mended(void **state)
{
    const char *db = table_of("raises", 1000);
    pawl_backfill_env env =
        pawl_test_env(db, pawl_test_transform("increment", "return function(row)\n"
                                                           "  if row.id == 777 then error('no luck') end\n"
                                                           "  return { n = row.n + 1 }\nend"));
    pawl_backfill_spec spec = increment_spec();
    pawl_backfill_result r = {0};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    spec.workers = 1;
    assert_int_equal(pawl_test_backfill(&spec, &env, "raises", &r, &err), PAWL_E_TRANSFORM);
    pawl_test_assert_contains(err.message, "no luck");
    pawl_test_assert_contains(err.detail, "(id) = (777)");
    assert_string_equal(err.file, "transforms/increment.lua");
    assert_int_equal(err.line, 2);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 700);

    (void) pawl_test_transform("increment", INCREMENT);
    r = pawl_test_backfill_ok(&spec, &env, "raises");
    assert_true(r.was_resumed);
    assert_int_equal(r.progress.rows_written, 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

static void
a_row_that_the_server_refuses_is_found_by_halving(void **state)
{
    const char *db = table_of("refused", 1000);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();
    pawl_backfill_result r = {0};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_exec(db, "ALTER TABLE t ADD CHECK (id <> 345 OR n = 0)");
    spec.workers = 1;
    assert_int_equal(pawl_test_backfill(&spec, &env, "refused", &r, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "23514");
    pawl_test_assert_contains(err.detail, "(id) = (345)");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 344);
    pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT t_check");
    (void) pawl_test_backfill_ok(&spec, &env, "refused");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 1000);
}

static void
an_open_job_that_was_told_something_else_is_refused(void **state)
{
    const char *db = table_of("told", 1000);
    pawl_backfill_env env = pawl_test_env(
        db, pawl_test_transform("increment", "return function(row) if row.id > 500 then error('x') end end"));
    pawl_backfill_spec spec = increment_spec();
    pawl_backfill_result r = {0};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_test_backfill(&spec, &env, "told", &r, &err), PAWL_E_TRANSFORM);
    spec.where = "id > 3";
    assert_int_equal(pawl_test_backfill(&spec, &env, "told", &r, &err), PAWL_E_STATE);
    pawl_test_assert_contains(err.message, "where");
}

typedef struct refusal
{
    const char *table;
    const char *read;
    const char *write;
    const char *where;
    const char *message;
} refusal;

static void
what_cannot_work_is_refused_before_the_first_row(void **state)
{
    static const refusal cases[] = {
        {"nowhere", "n", "n", NULL, "nowhere"},
        {"t", "m", "n", NULL, "no column \"m\""},
        {"t", "n", "id", NULL, "part of the key"},
        {"t", "n", "g", NULL, "generated"},
        {"t", "n", "n", "nn > 1", "nn"},
        {"v", "n", "n", NULL, "is a view"},
        {"mv", "n", "n", NULL, "is a view"},
        {"p", "n", "n", NULL, "\"public.p1\" has no key"},
        {"parent", "n", "n", NULL, "\"public.child\" has no key"},
        {"far", "n", "n", NULL, "is a foreign table"},
        {"ruled", "n", "n", NULL, "rule ON UPDATE"},
        {"nokey", "n", "n", NULL, "CREATE UNIQUE INDEX"},
    };
    const char *db = table_of("refusals", 10);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));

    (void) state;
    pawl_test_exec(
        db, "ALTER TABLE t ADD g int GENERATED ALWAYS AS (n * 2) STORED;"
            "CREATE VIEW v AS SELECT * FROM t; CREATE MATERIALIZED VIEW mv AS SELECT * FROM t;"
            "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
            "CREATE FOREIGN TABLE far (id int NOT NULL, n int) SERVER s;"
            "CREATE TABLE p (id int, n int) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT;"
            "CREATE TABLE parent (id int PRIMARY KEY, n int); CREATE TABLE child () INHERITS (parent);"
            "CREATE TABLE ruled (id int PRIMARY KEY, n int);"
            "CREATE RULE r AS ON UPDATE TO ruled DO INSTEAD NOTHING;"
            "CREATE TABLE nokey (id int, n int)");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    {
        pawl_backfill_spec spec = increment_spec();
        pawl_backfill_result r = {0};
        pawl_error err = PAWL_ERROR_INIT;
        char all[1800];

        spec.table = cases[i].table;
        spec.read = &cases[i].read;
        spec.write = &cases[i].write;
        spec.where = cases[i].where;
        assert_int_not_equal(pawl_test_backfill(&spec, &env, "refusal", &r, &err), PAWL_OK);
        (void) snprintf(all, sizeof all, "%s | %s | %s", err.message, err.detail, err.hint);
        pawl_test_assert_contains(all, cases[i].message);
    }
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
}

static void
a_batch_sized_by_time_grows_from_its_start(void **state)
{
    const char *db = table_of("grows", 40000);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    spec.batch_rows = 0;
    spec.workers = 1;

    pawl_backfill_result r = pawl_test_backfill_ok(&spec, &env, "grows");

    assert_in_range(r.progress.batches, 2, 30);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 40000);
}

typedef struct heard
{
    int lines;
    int counts;
    bool is_named;
} heard;

static void
hear(void *ctx, const pawl_event *event)
{
    heard *h = ctx;

    if (event->kind != PAWL_EVENT_INFO || strncmp(event->text, "lua: ", 5) != 0)
        return;
    h->lines += strstr(event->text, "row ") != NULL ? 1 : 0;
    h->counts += strstr(event->text, "more lines") != NULL ? 1 : 0;
    h->is_named = h->is_named || strcmp(event->text, "lua: row 1") == 0;
}

static void
what_a_transform_logs_is_heard_and_does_not_drown_the_rest(void **state)
{
    const char *db = table_of("logs", 1000);
    pawl_backfill_env env =
        pawl_test_env(db, pawl_test_transform("logs", "return function(row) pawl.log('row ' .. row.id) end"));
    pawl_backfill_spec spec = increment_spec();
    heard h = {0};
    pawl_sink sink = {.emit = hear, .ctx = &h};

    (void) state;
    spec.lua_file = "transforms/logs.lua";
    spec.workers = 1;
    env.sink = &sink;
    (void) pawl_test_backfill_ok(&spec, &env, "logs");
    assert_true(h.is_named);
    assert_in_range(h.lines, 8, 200);
    assert_true(h.counts > 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_transformed_exactly_once),
        cmocka_unit_test(a_finished_job_is_not_run_again),
        cmocka_unit_test(set_expressions_run_on_the_server),
        cmocka_unit_test(an_empty_table_is_done_at_once),
        cmocka_unit_test(composite_text_and_quoted_keys_page_without_a_gap),
        cmocka_unit_test(columns_that_the_answer_does_not_name_stay),
        cmocka_unit_test(a_raising_transform_stops_with_key_file_and_line_and_goes_on_when_mended),
        cmocka_unit_test(a_row_that_the_server_refuses_is_found_by_halving),
        cmocka_unit_test(an_open_job_that_was_told_something_else_is_refused),
        cmocka_unit_test(what_cannot_work_is_refused_before_the_first_row),
        cmocka_unit_test(a_batch_sized_by_time_grows_from_its_start),
        cmocka_unit_test(what_a_transform_logs_is_heard_and_does_not_drown_the_rest),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
