/* Every row of a table is copied once, whatever its key looks like and wherever the ranges of the copy end. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/job.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const pawl_rewrite_id id = {
    .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

static const pawl_rewrite_column by_sql[] = {
    {.name = "price", .type = "numeric", .using = "price::numeric", .not_null = -1}};
static const pawl_rewrite_column by_lua[] = {{.name = "price", .type = "numeric", .not_null = -1}};

/* The columns of a key, and the values of row i. */
typedef struct key_case
{
    const char *columns;
    const char *names;
    const char *values;
} key_case;

static const key_case cases[] = {
    {"a int", "a", "i - 150"},
    {"a smallint", "a", "i * 7 - 1000"},
    {"a bigint", "a", "(i - 150)::bigint * 30000000000000000"},
    {"a text", "a", "'\303\266 \"' || i || E'\\\\ \\t'"},
    {"a varchar(40) COLLATE \"C\"", "a", "chr(64 + i % 60) || i"},
    {"a text, b int", "a, b", "'x' || i % 3, -i"},
    {"b int, c text, a bigint", "b, c, a", "i % 2, repeat('y', i % 5), i"},
    {"a date", "a", "date '2020-01-01' + i"},
    {"a uuid", "a", "md5(i::text)::uuid"},
    {"a numeric", "a", "i / 8.0"},
    {"a timestamptz, b text", "a, b", "'2020-01-01'::timestamptz + i % 4 * interval '1 s', i::text"},
};

static const char *
make(const key_case *c, const char *name)
{
    const char *db = pawl_test_database_new(name);
    char sql[1000];

    pawl_test_ledger(db);
    pawl_fmt(sql, sizeof sql,
             "CREATE TABLE t (note text, %s, price text, PRIMARY KEY (%s));"
             "INSERT INTO t (note, price, %s) SELECT CASE WHEN i %% 3 = 0 THEN NULL ELSE repeat('n', i) END, "
             "i || '.25', %s FROM generate_series(1, 300) i",
             c->columns, c->names, c->names, c->values);
    pawl_test_exec(db, sql);
    return db;
}

static void
must_copy(const char *db, const key_case *c, const pawl_rewrite_spec *spec, const char *lua_root,
          const char *kept)
{
    pawl_backfill_env base = pawl_test_env(db, lua_root);
    const pawl_rewrite_env env = {.base = &base};
    pawl_rewrite_result result;
    pawl_error err = PAWL_ERROR_INIT;
    char sql[600];
    int64_t differ;

    if (pawl_rewrite_run(spec, &env, &id, &result, &err) != PAWL_OK)
        fail_msg("%s: %s (%s) %s / %s", c->columns, err.message, err.sqlstate, err.detail, err.hint);
    pawl_fmt(sql, sizeof sql,
             "SELECT count(*) FROM ((SELECT %s, note, price FROM t EXCEPT ALL SELECT %s, note, "
             "price::numeric FROM %s "
             "WHERE %s) UNION ALL (SELECT %s, note, price::numeric FROM %s WHERE %s EXCEPT ALL SELECT %s, "
             "note, price "
             "FROM t)) d",
             c->names, c->names, result.old_table, kept, c->names, result.old_table, kept, c->names);
    differ = pawl_test_query_i64(db, sql);
    if (differ != 0)
        fail_msg("%s: %lld rows differ", c->columns, (long long) differ);
}

static void
by_expression_every_key_is_followed(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        const pawl_rewrite_spec spec = {
            .table = "t", .change = by_sql, .nchange = 1, .batch_rows = 7, .keeps_old = true};

        must_copy(make(&cases[i], "keys_sql"), &cases[i], &spec, NULL, "true");
    }
}

static void
by_transform_every_key_is_followed(void **state)
{
    const char *dir = pawl_test_project_new(pawl_test_conninfo("postgres"), NULL);

    (void) state;
    pawl_test_project_write(dir, "p.lua", "return function(row) return { price = row.price } end\n");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        const pawl_rewrite_spec spec = {.table = "t",
                                        .change = by_lua,
                                        .nchange = 1,
                                        .lua_file = "p.lua",
                                        .batch_rows = 50,
                                        .keeps_old = true};

        must_copy(make(&cases[i], "keys_lua"), &cases[i], &spec, dir, "true");
    }
}

/* As many rows as a batch exactly, and none. */
static void
ranges_end_where_the_rows_do(void **state)
{
    static const int64_t batches[] = {1, 100, 150, 299, 300, 301};

    (void) state;
    for (size_t i = 0; i < sizeof batches / sizeof batches[0]; i++)
    {
        const pawl_rewrite_spec spec = {
            .table = "t", .change = by_sql, .nchange = 1, .batch_rows = batches[i], .keeps_old = true};

        must_copy(make(&cases[0], "keys_batch"), &cases[0], &spec, NULL, "true");
    }
}

static void
rows_that_a_condition_leaves_out_are_passed_over(void **state)
{
    const pawl_rewrite_spec spec = {.table = "t",
                                    .change = by_sql,
                                    .nchange = 1,
                                    .where = "a % 5 = 0",
                                    .batch_rows = 7,
                                    .keeps_old = true};

    (void) state;
    must_copy(make(&cases[0], "keys_where"), &cases[0], &spec, NULL, "a % 5 = 0");
}

static void
key_that_becomes_wider_is_followed(void **state)
{
    const pawl_rewrite_column change[] = {
        {.name = "a", .type = "bigint", .not_null = -1},
        {.name = "price", .type = "numeric", .using = "price::numeric", .not_null = -1}};
    const pawl_rewrite_spec spec = {
        .table = "t", .change = change, .nchange = 2, .batch_rows = 7, .keeps_old = true};

    (void) state;
    must_copy(make(&cases[0], "keys_wider"), &cases[0], &spec, NULL, "true");
}

/* Row i of cases[5] has the key ('x' || i % 3, -i): here those at both ends of the table and of ranges, and in between. */
static void
row_that_the_server_refuses_is_named_by_its_key(void **state)
{
    static const struct
    {
        int row;
        const char *key;
        const char *set;
    } refused[] = {{300, "(x0, -300)", "price = 'dear'"},
                   {153, "(x0, -153)", "price = 'dear'"},
                   {150, "(x0, -150)", "price = NULL"},
                   {77, "(x2, -77)", "price = 'dear'"},
                   {2, "(x2, -2)", "price = NULL"}};
    static const pawl_rewrite_column not_null[] = {
        {.name = "price", .type = "numeric", .using = "price::numeric", .not_null = 1}};
    const pawl_rewrite_spec spec = {
        .table = "t", .change = not_null, .nchange = 1, .batch_rows = 50, .workers = 2, .keeps_old = true};
    const char *db = make(&cases[5], "keys_refused");
    pawl_backfill_env base = pawl_test_env(db, NULL);
    const pawl_rewrite_env env = {.base = &base};

    (void) state;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
    {
        pawl_rewrite_result result;
        pawl_error err = PAWL_ERROR_INIT;
        char text[200];

        pawl_fmt(text, sizeof text, "UPDATE t SET %s WHERE b = %d", refused[i].set, -refused[i].row);
        pawl_test_exec(db, text);
        assert_int_equal(pawl_rewrite_run(&spec, &env, &id, &result, &err), PAWL_E_SERVER);
        pawl_fmt(text, sizeof text, "row (a, b) = %s of \"public.t\"", refused[i].key);
        if (strstr(err.detail, text) == NULL)
            fail_msg("%s: %s / %s", text, err.message, err.detail);
        pawl_fmt(text, sizeof text, "UPDATE t SET price = '%d.25' WHERE b = %d", refused[i].row,
                 -refused[i].row);
        pawl_test_exec(db, text);
    }
    must_copy(db, &cases[5], &spec, NULL, "true");
}

/* Nobody knows beforehand how long a transform takes, and a range is one snapshot. */
static void
first_range_is_a_small_one(void **state)
{
    const char *db = pawl_test_database_new("keys_first");
    const pawl_rewrite_spec spec = {.table = "t", .change = by_sql, .nchange = 1, .keeps_old = true};

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(
        db, "CREATE TABLE t (a int PRIMARY KEY, note text, price text);"
            "INSERT INTO t SELECT i, CASE WHEN i = 1 THEN NULL ELSE '' END, '1' FROM generate_series(1, "
            "150000) i; ANALYZE t");
    must_copy(db, &cases[0], &spec, NULL, "true");
    assert_true(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress WHERE chunk_id = 1") > 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(by_expression_every_key_is_followed),
        cmocka_unit_test(by_transform_every_key_is_followed),
        cmocka_unit_test(ranges_end_where_the_rows_do),
        cmocka_unit_test(rows_that_a_condition_leaves_out_are_passed_over),
        cmocka_unit_test(key_that_becomes_wider_is_followed),
        cmocka_unit_test(row_that_the_server_refuses_is_named_by_its_key),
        cmocka_unit_test(first_range_is_a_small_one),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
