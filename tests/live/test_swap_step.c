/* With SQL a trigger keeps the other column in step: whoever writes, and whatever else acts on the row. */
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

/* A project whose only revision is a swap. */
static pawl_test_fixture
begin(const char *name, const char *create, const char *swap)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, create);
    pawl_fmt(text, sizeof text, "up:\n  - swap_column:\n%s", swap);
    pawl_test_revision(&f, "aaaa", "", text);
    return f;
}

/* ---- settings ------------------------------------------------------------------------------------------------------- */

/* As no transaction of pawl's has them. */
#define STRANGE                                                                                              \
    "SET TimeZone = 'Asia/Tokyo'; SET DateStyle = 'SQL, DMY'; SET IntervalStyle = 'sql_standard'; SET "      \
    "extra_float_digits = 0; SET bytea_output = 'escape'; SET standard_conforming_strings = off; SET "       \
    "escape_string_warning = off; SET transform_null_equals = on; SET array_nulls = off; SET lc_monetary = " \
    "'C'; SET search_path = "                                                                                \
    "nowhere;"

#define ROW(id)                                                                                              \
    "INSERT INTO public.e (id, at, d, i, f, b) VALUES (" id ", '2026-01-02 12:00:00', make_date(2026, 1, 2)" \
    ", make_interval(days => 1, hours => 2), 0.1::float8 + 0.2::float8, decode('00ff5c', 'hex'));"

static void
what_the_expressions_make_does_not_depend_on_who_writes(void **state)
{
    pawl_test_fixture f = begin(
        "settings",
        "DO $$BEGIN EXECUTE format('ALTER DATABASE %I SET lc_monetary = ''POSIX''', current_database()); "
        "END$$;"
        "CREATE TABLE e (id int PRIMARY KEY, at timestamp, d date, i interval, f float8, b bytea);" ROW("1"),
        "      table: public.e\n      column: at\n      type: text\n      cutover: manual\n"
        "      using: \"concat_ws('|', at::timestamptz, d, i, f, b, '\\\\n', '{NULL}'::text[], d = NULL)\"\n"
        "      reverse: \"split_part(at, '|', 1)::timestamptz::timestamp\"\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    /* It says how many digits of money are behind the point; the database's own is what the rows were filled with. */
    pawl_test_assert_text(
        &f, "SELECT ('lc_monetary=POSIX' = ANY (proconfig))::text FROM pg_proc WHERE proname = 'keep_1'",
        "true");
    pawl_test_exec(f.db, STRANGE ROW("2") "UPDATE public.e SET d = d WHERE id = 1; " ROW("3"));
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(DISTINCT at)::text FROM e", "1");
    pawl_test_assert_text(&f, "SELECT split_part(at, '|', 1) FROM e WHERE id = 3", "2026-01-02 12:00:00+00");
    pawl_test_exec(f.db, STRANGE "UPDATE public.e SET at = '2026-02-01 12:00:00+00' WHERE id = 2");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT to_char(at, 'YYYY-MM-DD HH24:MI:SS') FROM e WHERE id = 2",
                          "2026-02-01 12:00:00");
    pawl_test_end(&f);
}

/* ---- other triggers --------------------------------------------------------------------------------------------------- */

#define PRICED                                                                            \
    "CREATE TABLE p (id int PRIMARY KEY, price text); INSERT INTO p SELECT i, i::text "   \
    "FROM generate_series(1, 100) i; CREATE FUNCTION tenfold() RETURNS trigger LANGUAGE " \
    "plpgsql AS $$BEGIN NEW.price := NEW.price || '0'; RETURN NEW; END$$;"
#define TENFOLD(name) \
    "CREATE TRIGGER \"" name "\" BEFORE INSERT ON p FOR EACH ROW EXECUTE FUNCTION tenfold();"
#define PRICE                                                                                      \
    "      table: public.p\n      column: price\n      type: int\n      using: price::int\n      " \
    "reverse: price::text\n      cutover: manual\n"

static void
trigger_that_would_fire_behind_ours_is_refused(void **state)
{
    pawl_test_fixture f = begin("behind",
                                PRICED TENFOLD("\xc3\xbc"
                                               "ber") "ALTER TABLE p DISABLE TRIGGER USER",
                                PRICE);

    (void) state;
    /* One that is switched off does nothing. */
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db, "ALTER TABLE p ENABLE TRIGGER \"\xc3\xbc"
                         "ber\"; INSERT INTO p VALUES (500, '7')");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED,
                        "\xc3\xbc"
                        "ber");
    assert_non_null(strstr(f.err.hint, "RENAME"));
    /* What it has made of rows is found, though it has another name by now. */
    pawl_test_exec(f.db, "ALTER TRIGGER \"\xc3\xbc"
                         "ber\" ON p RENAME TO over");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 500");
    pawl_test_exec(f.db, "UPDATE p SET price = price WHERE id = 500");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 500", "70");
    pawl_test_end(&f);
}

static void
rows_that_others_rewrite_past_the_triggers_are_compared_again(void **state)
{
    pawl_test_fixture f = begin("past", PRICED, PRICE);

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db, "ALTER TABLE p ALTER price TYPE text USING price || '0'");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = ");
    pawl_test_exec(f.db, "UPDATE p SET price = price");
    pawl_test_exec(f.db, "VACUUM FULL p");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT sum(price)::text FROM p", "50500");
    pawl_test_end(&f);
}

/* ---- keys ------------------------------------------------------------------------------------------------------------- */

static void
the_only_key_of_a_table_can_be_swapped(void **state)
{
    pawl_test_fixture f = begin("only_key",
                                "CREATE TABLE k (code int NOT NULL UNIQUE, n int); INSERT INTO k SELECT i, i "
                                "FROM generate_series(1, 100) i",
                                "      table: public.k\n      column: code\n      type: bigint\n      using: "
                                "code::bigint\n      reverse: code::int\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db, "INSERT INTO k (code, n) VALUES (500, 1); UPDATE k SET code = 600 WHERE n = 5");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(
        &f, "SELECT string_agg(code || pg_typeof(code)::text, ' ' ORDER BY n) FROM k WHERE code > 100",
        "500integer 600integer");
    pawl_test_end(&f);
}

static void
way_back_by_a_log_needs_a_key_without_the_column(void **state)
{
    static const char swap[] = "      table: public.k\n      column: code\n      type: text\n      lua: "
                               "transforms/code.lua\n";
    pawl_test_fixture f =
        begin("key_logged", "CREATE TABLE k (code int NOT NULL UNIQUE, n int NOT NULL)", swap);

    (void) state;
    pawl_test_project_write(
        f.dir, "migrations/transforms/code.lua",
        "return { row = function(row) return { code = 'c' .. row.code } end,\n"
        "reverse = function(row) return { code = math.tointeger(row.code:sub(2)) } end }");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "k_code_key");
    pawl_test_assert_text(
        &f, "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'k'::regclass AND attnum > 0", "2");
    pawl_test_exec(f.db, "ALTER TABLE k ADD PRIMARY KEY (n)");
    pawl_test_up(&f);
    pawl_test_exec(f.db, "INSERT INTO k (code, n) VALUES ('c7', 7)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT code::text FROM k", "7");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_expressions_make_does_not_depend_on_who_writes),
        cmocka_unit_test(trigger_that_would_fire_behind_ours_is_refused),
        cmocka_unit_test(rows_that_others_rewrite_past_the_triggers_are_compared_again),
        cmocka_unit_test(the_only_key_of_a_table_can_be_swapped),
        cmocka_unit_test(way_back_by_a_log_needs_a_key_without_the_column),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
