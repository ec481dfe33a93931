/* A column swapped while nobody, or somebody, writes. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define LUA                                                                                                \
    "local M = {}\n"                                                                                       \
    "function M.row(row)\n"                                                                                \
    "  if row.price == nil or row.price == 'N/A' then return nil end\n"                                    \
    "  if row.price == 'bad' then pawl.reject('not a price') end\n"                                        \
    "  return { price = (row.price:gsub('%$', '')) }\n"                                                    \
    "end\n"                                                                                                \
    "function M.reverse(row) if row.price == nil then return nil end return { price = '$' .. row.price } " \
    "end\n"                                                                                                \
    "return M\n"

#define TABLE                                                                                    \
    "CREATE TABLE p (id int PRIMARY KEY, price text DEFAULT '0', other int);"                    \
    "INSERT INTO p SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE '$' || i || '.50' END, i FROM " \
    "generate_series(1, 1000) i"

/* A project whose only revision is the swap. */
static pawl_test_fixture
begin(const char *name, const char *keys)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[2000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_fmt(
        text, sizeof text,
        "up:\n  - swap_column:\n      table: public.p\n      column: price\n      type: numeric(10,2)\n%s",
        keys);
    pawl_test_revision(&f, "aaaa", "", text);
    return f;
}

#define BY_LUA "      lua: transforms/price.lua\n"
#define BY_SQL "      using: \"replace(price, '$', '')::numeric\"\n      reverse: \"'$' || price::text\"\n"

#define COLUMNS                                                                                           \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN "  \
    "'!' ELSE '' END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum " \
    "> 0 AND NOT attisdropped"
#define LEFT                                                                                              \
    "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost|failed)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ "          \
    "'^(capture|guard|keep)_')"

static void
a_transform_swaps_the_column_and_the_way_back_restores_it(void **state)
{
    pawl_test_fixture f = begin("lua", BY_LUA);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price_old text, other integer, price numeric(10,2)");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = id + 0.5", "900");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price IS NULL", "100");
    pawl_test_exec(f.db, "INSERT INTO p (id, price) VALUES (2000, 7.25); UPDATE p SET price = 1 WHERE id = 1;"
                         "UPDATE p SET price = NULL WHERE id = 2; DELETE FROM p WHERE id = 3");
    pawl_test_exec(f.db, "INSERT INTO p (id) VALUES (2001)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(id || '=' || coalesce(price, '-'), ' ' ORDER BY id) FROM p WHERE id < 5 "
        "OR id > 1999",
        "1=$1.00 2=- 4=$4.50 2000=$7.25 2001=$0.00");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_exec(f.db, "INSERT INTO p (id) VALUES (2002)");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 2002", "0");
    pawl_test_end(&f);
}

static void
an_expression_swaps_it_in_step(void **state)
{
    pawl_test_fixture f = begin("using", BY_SQL);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price_old text, other integer, price numeric(10,2)");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = id + 0.5", "900");
    pawl_test_exec(f.db,
                   "INSERT INTO p (id, price) VALUES (2000, 7.25); UPDATE p SET price = 1 WHERE id = 1");
    pawl_test_assert_text(&f, "SELECT price_old FROM p WHERE id = 2000", "$7.25");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id IN (1, 2, 2000)",
                          "$1.00 $2.50 $7.25");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_end(&f);
}

static void
contract_drops_the_old_column_and_ends_the_mirror(void **state)
{
    pawl_test_fixture f = begin("contract", BY_LUA);

    (void) state;
    pawl_test_revision(&f, "bbbb", "aaaa",
                       "up:\n  - contract:\n      table: public.p\n      column: price\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, other integer, price numeric(10,2)");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror done");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "contract");
    pawl_test_end(&f);
}

/* COPY and INSERT without names would put the value into the column that pawl keeps, and it would be lost. */
static void
positional_writes_to_the_kept_column_are_refused(void **state)
{
    pawl_test_fixture f = begin("guard", BY_LUA);
    PGconn *app;
    PGresult *res;

    (void) state;
    pawl_test_up(&f);
    app = pawl_test_connect(f.db);
    res = PQexec(app, "INSERT INTO p VALUES (3000, '9.99', 1)");
    assert_int_equal(PQresultStatus(res), PGRES_FATAL_ERROR);
    assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "55000");
    PQclear(res);
    pawl_test_run_on(app, "INSERT INTO p (id, price, other) VALUES (3000, 9.99, 1)");
    pawl_test_run_on(app, "UPDATE p SET other = 2 WHERE id = 3000");
    PQfinish(app);
    pawl_test_end(&f);
}

static void
a_row_that_the_transform_rejects_stops_it_and_nothing_is_left_of_it(void **state)
{
    pawl_test_fixture f = begin("reject", BY_LUA);

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 'bad' WHERE id = 500");
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "not a price");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_exec(f.db, "UPDATE p SET price = '$5' WHERE id = 500");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 500", "5.00");
    pawl_test_end(&f);
}

static void
not_null_and_default_are_carried_there_and_back(void **state)
{
    pawl_test_fixture f = begin("notnull", BY_SQL);

    (void) state;
    pawl_test_exec(f.db,
                   "UPDATE p SET price = '$0' WHERE price IS NULL; ALTER TABLE p ALTER price SET NOT NULL");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price_old text, other integer, price numeric(10,2)!");
    pawl_test_exec(f.db, "INSERT INTO p (id) VALUES (5000)");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 5000", "0.00");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text!, other integer");
    pawl_test_end(&f);
}

static void
it_waits_to_be_told_where_the_cut_over_is_manual(void **state)
{
    pawl_test_fixture f = begin("manual", BY_LUA "      cutover: manual\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_exec(f.db, "UPDATE p SET price = '$77' WHERE id = 7");
    pawl_test_exec(f.db,
                   "INSERT INTO pawl.control (job_id, action, from_where) VALUES (1, 'cutover', 'test')");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 7", "77.00");
    pawl_test_end(&f);
}

/* What the application writes goes in whatever it is; the cut-over waits for somebody to look. */
static void
a_write_that_the_expression_fails_for_goes_in_and_blocks_the_cut_over(void **state)
{
    pawl_test_fixture f = begin("failing", BY_SQL "      cutover: manual\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(
        f.db, "CREATE ROLE swap_app; GRANT ALL ON p TO swap_app; SET ROLE swap_app; UPDATE p SET price = "
              "'no number' WHERE id = 9");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "failed for a row");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 9", "no number");
    pawl_test_exec(f.db, "UPDATE p SET price = '$9' WHERE id = 9; ALTER SEQUENCE pawl.failed_1 RESTART");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 9", "9.00");
    pawl_test_exec(f.db, "REVOKE ALL ON p FROM swap_app; DROP ROLE swap_app");
    pawl_test_end(&f);
}

/* A session that sits on the table: the cut-over gives way, and goes on once it has gone. */
static void
a_held_lock_makes_the_cut_over_give_way(void **state)
{
    pawl_test_fixture f = begin("held", BY_LUA "      cutover: manual\n");
    PGconn *holder;

    (void) state;
    pawl_test_up_until(&f, "waiting");
    holder = pawl_test_connect(f.db);
    pawl_test_run_on(holder, "BEGIN; LOCK TABLE p IN ACCESS SHARE MODE");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    assert_int_not_equal(pawl_test_go(&f, true, "head"), PAWL_OK);
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer, price_new numeric(10,2)");
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = id + 0.5", "900");
    pawl_test_end(&f);
}

/* One that began before the column was filled would read NULLs after the cut-over. */
static void
an_old_snapshot_is_waited_for(void **state)
{
    pawl_test_fixture f = begin("snapshot", BY_SQL);
    PGconn *reader;

    (void) state;
    reader = pawl_test_connect(f.db);
    pawl_test_run_on(reader, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    pawl_test_up_until(&f, "waiting");
    assert_non_null(strstr(f.heard.text.data, "would read NULLs"));
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_run_on(reader, "COMMIT");
    PQfinish(reader);
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* The new column goes with its rows, and what comes afterwards is captured: there is nothing to start over for. */
static void
a_truncate_takes_nothing_from_the_swap(void **state)
{
    pawl_test_fixture f = begin("truncate", BY_LUA "      cutover: manual\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(
        f.db, "TRUNCATE p; INSERT INTO p (id, price) SELECT i, '$' || i FROM generate_series(1, 5000) i");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = id", "5000");
    pawl_test_end(&f);
}

/* A trigger that somebody disabled may have missed changes: the swap says so, and takes away what it had made. */
static void
a_capture_that_was_disabled_makes_it_start_over(void **state)
{
    pawl_test_fixture f = begin("again", BY_LUA "      cutover: manual\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(
        f.db,
        "ALTER TABLE p DISABLE TRIGGER ALL; UPDATE p SET price = '$3' WHERE id = 1; ALTER TABLE p ENABLE "
        "TRIGGER ALL");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "start over");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_up_until(&f, "waiting");
    pawl_test_pawl_exits(f.dir, "cutover", "2", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 1", "3.00");
    pawl_test_end(&f);
}

/* The start of the job, for the rows that are copied and for those that others change meanwhile. */
static void
now_is_the_same_for_every_row(void **state)
{
    pawl_test_fixture f = begin("now", "      lua: transforms/now.lua\n      cutover: manual\n");

    (void) state;
    pawl_test_project_write(
        f.dir, "migrations/transforms/now.lua",
        "return function(row) return { price = (pawl.now:gsub('%D', '')):sub(9, 14) } end\n");
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db,
                   "SELECT pg_sleep(1.1); UPDATE p SET price = '$7' WHERE id < 50; INSERT INTO p (id, price) "
                   "VALUES (5000, '$1')");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(DISTINCT price) || ' ' || count(price) FROM p", "1 1001");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_transform_swaps_the_column_and_the_way_back_restores_it),
        cmocka_unit_test(an_expression_swaps_it_in_step),
        cmocka_unit_test(contract_drops_the_old_column_and_ends_the_mirror),
        cmocka_unit_test(positional_writes_to_the_kept_column_are_refused),
        cmocka_unit_test(a_row_that_the_transform_rejects_stops_it_and_nothing_is_left_of_it),
        cmocka_unit_test(not_null_and_default_are_carried_there_and_back),
        cmocka_unit_test(it_waits_to_be_told_where_the_cut_over_is_manual),
        cmocka_unit_test(a_write_that_the_expression_fails_for_goes_in_and_blocks_the_cut_over),
        cmocka_unit_test(a_held_lock_makes_the_cut_over_give_way),
        cmocka_unit_test(an_old_snapshot_is_waited_for),
        cmocka_unit_test(a_truncate_takes_nothing_from_the_swap),
        cmocka_unit_test(a_capture_that_was_disabled_makes_it_start_over),
        cmocka_unit_test(now_is_the_same_for_every_row),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
