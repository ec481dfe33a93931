/* A rewrite that is killed in every state ends as an undisturbed one, or is taken back without a trace. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

static const char revision_text[] = "revision: \"aaaa0001\"\n"
                                    "parents: []\n"
                                    "up:\n"
                                    "  - rewrite_table:\n"
                                    "      table: product\n"
                                    "      change: { price: \"numeric(10,2)\" }\n"
                                    "      add: { day: { type: date, using: \"at::date\" } }\n"
                                    "      lua: transforms/p.lua\n"
                                    "      batch: 400\n";

static const char table_sql[] =
    "CREATE TABLE shop (id int PRIMARY KEY); INSERT INTO shop VALUES (1);"
    "CREATE TABLE product (id int PRIMARY KEY, price text, shop int NOT NULL REFERENCES shop, at timestamptz "
    "DEFAULT "
    "'2020-01-01', code int UNIQUE); CREATE INDEX product_at_idx ON product (at, id);"
    "CREATE TABLE line (id int PRIMARY KEY, product int REFERENCES product);"
    "INSERT INTO product SELECT i, i || '.5', 1, '2020-01-01', i FROM generate_series(1, 1500) i;"
    "INSERT INTO line SELECT i, i FROM generate_series(1, 100) i";

typedef struct place
{
    const char *point;
    int passage;
    bool is_cut; /* the cut-over has happened */
} place;

static const place places[] = {
    {"rewrite.before_commit", 1, false},
    {"rewrite.after_begin", 1, false},
    {"rewrite.before_capture", 1, false},
    {"rewrite.after_prepare", 1, false},
    {"copier.before_commit", 1, false},
    {"copier.before_commit", 3, false},
    {"copier.after_commit", 2, false},
    {"rewrite.after_copy", 1, false},
    {"rewrite.after_drain", 1, false},
    {"rewrite.in_unit", 1, false},
    {"rewrite.in_unit", 2, false},
    {"rewrite.in_unit", 3, false},
    {"rewrite.in_unit", 5, false},
    {"rewrite.after_settle", 1, false},
    {"rewrite.in_cutover", 1, false},
    {"rewrite.before_cutover_commit", 1, false},
    {"rewrite.after_cutover_commit", 1, true},
    {"rewrite.before_end", 1, true},
};

#define SHAPE                                                                                          \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod), ',' ORDER BY attnum) FROM " \
    "pg_attribute WHERE attrelid = 'product'::regclass AND attnum > 0"
#define KEYS                                                                                                \
    "SELECT string_agg(conname || CASE WHEN convalidated THEN '' ELSE '?' END, ',' ORDER BY conname) FROM " \
    "pg_constraint WHERE conrelid IN ('product'::regclass, 'line'::regclass) AND contype <> 'n'"
#define LEFT                                                                                          \
    "SELECT (SELECT count(*) FROM pg_class WHERE relname LIKE 'pawl%' AND relkind IN ('r', 'p') AND " \
    "relnamespace = "                                                                                 \
    "'public'::regnamespace) || ' ' || (SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pawl%')"

static const char *
begin(const char **db)
{
    const char *dir;

    *db = pawl_test_database_new("rewrite");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, table_sql);
    pawl_test_project_write(dir, "migrations/transforms/p.lua",
                            "return function(row) return { price = row.price or pawl.null } end\n");
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", revision_text);
    return dir;
}

static void
assert_rewritten(const char *db)
{
    pawl_test_assert_query(
        db, SHAPE,
        "id integer,price numeric(10,2),shop integer,at timestamp with time zone,code integer,day date");
    pawl_test_assert_query(db, KEYS,
                           "line_pkey,line_product_fkey,product_code_key,product_pkey,product_shop_fkey");
    pawl_test_assert_query(db, LEFT, "1 0"); /* the old table */
    pawl_test_assert_query(db, "SELECT count(*) || ' ' || sum(price) || ' ' || min(day) FROM product",
                           "1500 1126500.00 2020-01-01");
    pawl_test_assert_query(
        db,
        "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'product'",
        "product_at_idx,product_code_key,product_pkey");
}

static void
killed_anywhere_it_goes_on(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin(&db);

        pawl_test_must_be_killed(dir, "upgrade", "head", places[i].point, places[i].passage);
        pawl_test_exec(
            db,
            "UPDATE product SET price = '2.5' WHERE id = 1; UPDATE product SET price = '1.5' WHERE id = 2");
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        assert_rewritten(db);
    }
}

/* ---- a copy by several sessions -------------------------------------------------------------------------------------- */

#define BY_SQL "      change: { price: { type: \"numeric(10,2)\", using: \"price::numeric\" } }\n"
#define BY_LUA "      change: { price: \"numeric(10,2)\" }\n      lua: transforms/p.lua\n"

static const char *
begin_crew(const char **db, const char *how)
{
    const char *dir = begin(db);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table:\n      table: product\n"
                     "      add: { day: { type: date, using: \"at::date\" } }\n"
                     "      batch: 90\n      workers: 3\n%s",
                     how);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    return dir;
}

/* Each row went in once, whoever began on it: before the key was there, nothing else would have told. */
static void
assert_each_once(const char *db)
{
    pawl_test_assert_query(
        db,
        "SELECT rows_written || ' ' || rows_read FROM pawl.progress WHERE chunk_id = 1 AND state = 'done'",
        "1500 1500");
}

static void
killed_in_a_copy_by_several_it_goes_on(void **state)
{
    static const place crew_places[] = {
        {"copier.in_range", 1, false},      {"copier.in_range", 3, false},
        {"copier.in_range", 11, false},     {"copier.before_turn", 2, false},
        {"copier.before_turn", 8, false},   {"copier.before_commit", 1, false},
        {"copier.before_commit", 7, false}, {"copier.after_commit", 5, false},
        {"copier.after_commit", 17, false},
    };
    static const char *const ways[] = {BY_SQL, BY_LUA};

    (void) state;
    for (size_t i = 0; i < 2 * sizeof crew_places / sizeof crew_places[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin_crew(&db, ways[i % 2]);
        const place *p = &crew_places[i / 2];

        pawl_test_must_be_killed(dir, "upgrade", "head", p->point, p->passage);
        pawl_test_exec(
            db,
            "UPDATE product SET price = '2.5' WHERE id = 1; UPDATE product SET price = '1.5' WHERE id = 2");
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        assert_each_once(db);
        assert_rewritten(db);
    }
}

/* The others are in the middle of ranges that come before it and after it. */
static void
range_that_fails_keeps_those_before_it_and_none_behind_it(void **state)
{
    static const char *const ways[] = {BY_SQL, BY_LUA};

    (void) state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin_crew(&db, ways[i]);

        pawl_test_exec(db, "UPDATE product SET price = 'dear' WHERE id = 950");
        pawl_test_output output = pawl_test_pawl(dir, "upgrade", "head", NULL);

        assert_int_equal(output.exit_code, 1);
        assert_non_null(strstr(output.err, "dear"));
        assert_non_null(strstr(output.err, "row (id) = (950) of \"public.product\""));
        pawl_test_output_free(&output);
        pawl_test_assert_query(
            db,
            "SELECT cursor[1] || ' ' || rows_written || ' ' || (SELECT count(*) FROM "
            "pawl_1_new) || ' ' || (SELECT max(id) FROM pawl_1_new) FROM pawl.progress WHERE "
            "chunk_id = 1",
            "900 900 900 900");
        pawl_test_exec(db, "UPDATE product SET price = '950.5' WHERE id = 950");
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        assert_each_once(db);
        assert_rewritten(db);
    }
}

static void
killed_before_the_cut_over_it_is_taken_back_without_a_trace(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i += 2)
    {
        const char *db = NULL;
        const char *dir;

        if (places[i].is_cut)
            continue;
        dir = begin(&db);
        pawl_test_must_be_killed(dir, "upgrade", "head", places[i].point, places[i].passage);
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        pawl_test_assert_query(db, SHAPE,
                               "id integer,price text,shop integer,at timestamp with time zone,code integer");
        pawl_test_assert_query(db, KEYS,
                               "line_pkey,line_product_fkey,product_code_key,product_pkey,product_shop_fkey");
        pawl_test_assert_query(db, LEFT, "0 0");
        pawl_test_assert_query(db, "SELECT count(*) FROM pg_class WHERE relname LIKE 'change\\_%'", "0");
    }
}

static void
after_the_cut_over_the_way_back_is_refused_with_the_reason(void **state)
{
    const char *db = NULL;
    const char *dir = begin(&db);

    (void) state;
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_output output = pawl_test_pawl(dir, "downgrade", "base", NULL);

    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "what was written since is in the new table only"));
    pawl_test_output_free(&output);
    assert_rewritten(db);
}

static void
server_that_crashes_in_the_copy_ends_nothing(void **state)
{
    static const char *const ways[] = {BY_LUA, BY_SQL};
    const char *const args[] = {"upgrade", "head", NULL};
    const char *const env[] = {"PAWL_FAILPOINT=copier.before_commit=sleep:200", NULL};

    (void) state;
    for (size_t i = 0; i < sizeof ways / sizeof ways[0]; i++)
    {
        const char *db = NULL;
        const char *dir = begin_crew(&db, ways[i]);
        pawl_test_process *process = pawl_test_start(args, env, dir);

        pawl_test_wait_until(
            db,
            "SELECT to_regclass('pawl.progress') IS NOT NULL AND (xpath('/row/n/text()', query_to_xml("
            "'SELECT count(*) AS n FROM pawl.progress WHERE cursor IS NOT NULL', false, true, '')))[1]::text "
            "<> '0'",
            60000);
        pawl_test_server_restart(true);
        pawl_test_output output = pawl_test_wait(process, 120000);

        if (output.exit_code != 0)
            fail_msg("%s", output.err);
        pawl_test_output_free(&output);
        assert_each_once(db);
        assert_rewritten(db);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_it_goes_on),
        cmocka_unit_test(killed_in_a_copy_by_several_it_goes_on),
        cmocka_unit_test(range_that_fails_keeps_those_before_it_and_none_behind_it),
        cmocka_unit_test(killed_before_the_cut_over_it_is_taken_back_without_a_trace),
        cmocka_unit_test(after_the_cut_over_the_way_back_is_refused_with_the_reason),
        cmocka_unit_test(server_that_crashes_in_the_copy_ends_nothing),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
