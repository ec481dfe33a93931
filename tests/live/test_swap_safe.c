/* A swap leaves nothing broken: what the new column will have to meet is known before the cut-over, and no write of the
 * application fails for it until then. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define TABLE                                                              \
    "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL, other int);" \
    "INSERT INTO p SELECT i, '$' || i || '.50', i FROM generate_series(1, 300) i;"

#define PRICE                                                                                            \
    "return { row = function(row) if row.price == 'N/A' then return nil end return { price = "           \
    "(row.price:gsub('%$', '')) } end,\n reverse = function(row) return { price = row.price and '$' .. " \
    "row.price or pawl.null } end }"

#define BY_LUA \
    "      table: public.p\n      column: price\n      type: numeric(10,2)\n      lua: transforms/x.lua\n"
#define BY_SQL                                                                             \
    "      table: public.p\n      column: price\n      type: numeric(10,2)\n      using: " \
    "\"replace(nullif(price, "                                                             \
    "'N/A'), '$', '')::numeric\"\n      reverse: \"'$' || price::text\"\n"

/* A project whose only revision is a swap. */
static pawl_test_fixture
begin(const char *name, const char *create, const char *lua, const char *swap)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, create);
    pawl_test_project_write(f.dir, "migrations/transforms/x.lua", lua);
    pawl_fmt(text, sizeof text, "up:\n  - swap_column:\n%s", swap);
    pawl_test_revision(&f, "aaaa", "", text);
    return f;
}

static void
go_until_ready(pawl_test_fixture *f)
{
    pawl_test_up_until(f, "waiting");
    pawl_test_assert_text(f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_pawl_exits(f->dir, "cutover", "1", 0);
}

#define TYPE_OF(table, column)                                                                   \
    "SELECT format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN '!' ELSE '' END FROM " \
    "pg_attribute WHERE attrelid = '" table "'::regclass AND attname = '" column "'"
#define CONSTRAINTS(table)                                                                              \
    "SELECT coalesce(string_agg(conname || CASE WHEN convalidated THEN '' ELSE ' NOT VALID' END, ', ' " \
    "ORDER "                                                                                            \
    "BY conname), '') FROM pg_constraint WHERE conrelid = '" table "'::regclass AND contype <> 'p'"

/* ---- a transform ---------------------------------------------------------------------------------------------------- */

static void
a_null_for_a_not_null_column_is_refused_before_the_cut_over(void **state)
{
    pawl_test_fixture f = begin("nil", TABLE "UPDATE p SET price = 'N/A' WHERE id = 77", PRICE, BY_LUA);

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 77");
    assert_non_null(strstr(f.err.message, "NOT NULL"));
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "verify");
    pawl_test_exec(f.db, "UPDATE p SET other = 0 WHERE id = 77; UPDATE p SET price = '$7' WHERE id = 77");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "numeric(10,2)!");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 77", "7.00");
    pawl_test_assert_text(&f, CONSTRAINTS("p"), "");
    pawl_test_end(&f);
}

/* The table was read before: it is met by whatever carries the row over. */
static void
a_row_that_is_written_later_is_looked_at_too(void **state)
{
    pawl_test_fixture f = begin("later", TABLE, PRICE, BY_LUA "      cutover: manual\n");

    (void) state;
    go_until_ready(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = 'N/A' WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "text!");
    pawl_test_exec(f.db, "UPDATE p SET price = '$5' WHERE id = 5");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "numeric(10,2)!");
    pawl_test_end(&f);
}

static void
a_check_that_the_new_values_break_is_refused_before_the_cut_over(void **state)
{
    pawl_test_fixture f =
        begin("check",
              "CREATE TABLE c (id int PRIMARY KEY, n int CONSTRAINT c_n_positive CHECK (n > 0));"
              "INSERT INTO c SELECT i, i FROM generate_series(1, 100) i",
              "return function(row) return { n = row.n - 3 } end",
              "      table: public.c\n      column: n\n      type: bigint\n      lua: transforms/x.lua\n");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 1; id = 2; id = 3;");
    assert_non_null(strstr(f.err.message, "c_n_positive"));
    pawl_test_exec(f.db, "UPDATE c SET n = n + 3 WHERE id = 2; DELETE FROM c WHERE n < 4");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TYPE_OF("c", "n"), "bigint");
    pawl_test_assert_text(&f, CONSTRAINTS("c"), "c_n_positive");
    pawl_test_end(&f);
}

/* The transform does not read it, but a constraint does. */
static void
a_change_beside_the_column_is_looked_at_too(void **state)
{
    pawl_test_fixture f =
        begin("beside",
              "CREATE TABLE c (id int PRIMARY KEY, n int, m int, CONSTRAINT c_order CHECK (n > m));"
              "INSERT INTO c SELECT i, i, i - 10 FROM generate_series(1, 100) i",
              "return { row = function(row) return { n = row.n - 3 } end, reverse = function(row) return { n "
              "= row.n + "
              "3 } end }",
              "      table: public.c\n      column: n\n      type: bigint\n      lua: transforms/x.lua\n     "
              " cutover: "
              "manual\n");

    (void) state;
    go_until_ready(&f);
    pawl_test_exec(f.db, "UPDATE c SET m = n - 1 WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    assert_non_null(strstr(f.err.message, "c_order"));
    pawl_test_exec(f.db, "UPDATE c SET m = 0 WHERE id = 5");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS("c"), "c_order");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT sum(n)::text FROM c", "5050");
    pawl_test_end(&f);
}

#define PARENT_AND_CHILD                                                                                  \
    "CREATE TABLE parent (id int PRIMARY KEY); INSERT INTO parent SELECT generate_series(1, 500);"        \
    "CREATE TABLE child (id int PRIMARY KEY, pid int CONSTRAINT child_pid REFERENCES parent, note text);" \
    "INSERT INTO child SELECT i, i FROM generate_series(1, 60) i;"
#define TIMES_TEN                                                       \
    "return { row = function(row) return { pid = row.pid * 10 } end,\n" \
    "reverse = function(row) return { pid = row.pid // 10 } end }"
#define SWAP_PID \
    "      table: public.child\n      column: pid\n      type: bigint\n      lua: transforms/x.lua\n"

static void
a_foreign_key_that_the_new_values_break_is_refused_before_the_cut_over(void **state)
{
    pawl_test_fixture f = begin("key", PARENT_AND_CHILD, TIMES_TEN, SWAP_PID);

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "for example where id = 5");
    assert_non_null(strstr(f.err.message, "child_pid"));
    pawl_test_assert_text(&f, TYPE_OF("child", "pid"), "integer");
    pawl_test_exec(f.db, "DELETE FROM child WHERE pid > 50");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CONSTRAINTS("child"), "child_pid");
    pawl_test_assert_text(&f, "SELECT sum(pid)::text FROM child", "12750");
    pawl_test_end(&f);
}

/* What nothing can look at in time, a row of another table that goes, is found afterwards; the way back is open. */
static void
a_swap_that_cannot_be_settled_can_go_back(void **state)
{
    pawl_test_fixture f = begin("settle", PARENT_AND_CHILD "DELETE FROM child WHERE pid > 50", TIMES_TEN,
                                SWAP_PID "      cutover: manual\n");

    (void) state;
    go_until_ready(&f);
    pawl_test_exec(f.db, "DELETE FROM parent WHERE id = 300");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "go back");
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "settle");
    pawl_test_assert_text(&f, CONSTRAINTS("child"), "child_pid NOT VALID");
    pawl_test_exec(f.db,
                   "UPDATE child SET note = 'w' WHERE id = 30; INSERT INTO child VALUES (70, NULL, 'n'); "
                   "UPDATE child SET pid = 400 WHERE id = 70");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, TYPE_OF("child", "pid"), "integer");
    pawl_test_assert_text(&f, CONSTRAINTS("child"), "child_pid");
    pawl_test_assert_text(&f, "SELECT sum(pid)::text FROM child", "1315");
    pawl_test_end(&f);
}

/* The CHECK that stood for NOT NULL is not one of the table's. */
static void
a_not_null_that_cannot_be_settled_is_not_null_again_on_the_way_back(void **state)
{
    pawl_test_fixture f = begin("standin", TABLE, PRICE, BY_LUA);
    const char *const env[] = {"PAWL_FAILPOINT=swap.after_cut=kill", NULL};
    pawl_test_output killed = pawl_test_pawl(f.dir, "upgrade", "head", env);

    (void) state;
    assert_int_equal(killed.signal_number, SIGKILL);
    pawl_test_output_free(&killed);
    pawl_test_exec(
        f.db, "DO $$DECLARE c text := (SELECT conname FROM pg_constraint WHERE conname LIKE 'pawl%'); BEGIN "
              "EXECUTE 'ALTER TABLE p DROP CONSTRAINT ' || c; UPDATE p SET price = NULL WHERE id = 9; DELETE "
              "FROM pawl.change_1; EXECUTE "
              "'ALTER TABLE p ADD CONSTRAINT ' || c || ' CHECK (price IS NOT NULL) NOT VALID'; END$$");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "go back");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "text!");
    pawl_test_assert_text(&f, CONSTRAINTS("p"), "");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 9", "$9.50");
    pawl_test_end(&f);
}

/* ---- an expression -------------------------------------------------------------------------------------------------- */

/* NULL where it must not be, no number at all, and a value that a CHECK refuses: all of them go in before the cut-over. */
static void
no_write_fails_for_what_comes_with_the_cut_over(void **state)
{
    pawl_test_fixture f =
        begin("goesin", TABLE "ALTER TABLE p ADD CONSTRAINT p_cheap CHECK (concat(price) <> '999.00')",
              "return {}", BY_SQL "      cutover: manual\n");

    (void) state;
    go_until_ready(&f);
    pawl_test_assert_text(&f, CONSTRAINTS("p"), "p_cheap");
    pawl_test_exec(f.db, "UPDATE p SET price = 'N/A' WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    assert_non_null(strstr(f.err.message, "NOT NULL"));
    pawl_test_exec(f.db, "UPDATE p SET price = 'no number' WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    assert_non_null(strstr(f.err.message, "no number"));
    pawl_test_exec(f.db, "UPDATE p SET price = '$999' WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    assert_non_null(strstr(f.err.message, "p_cheap"));
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "text!");
    pawl_test_exec(f.db, "UPDATE p SET price = '$5' WHERE id = 5");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "numeric(10,2)!");
    pawl_test_assert_text(&f, CONSTRAINTS("p"), "p_cheap");
    pawl_test_end(&f);
}

static void
an_expression_that_gives_null_for_not_null_is_refused_by_row(void **state)
{
    pawl_test_fixture f =
        begin("gives", TABLE "UPDATE p SET price = 'N/A' WHERE id = 8", "return {}", BY_SQL);

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 8");
    pawl_test_exec(f.db, "UPDATE p SET other = 1 WHERE id = 8; INSERT INTO p VALUES (1000, 'N/A', 1)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "text!");
    pawl_test_end(&f);
}

#define GENERATED                                                                                      \
    "CREATE TABLE g (id int PRIMARY KEY, n int, m int, twice int GENERATED ALWAYS AS (m * 2) STORED);" \
    "INSERT INTO g SELECT i, i, i FROM generate_series(1, 20) i"
#define SWAP_N "      table: public.g\n      column: n\n      type: bigint\n"

/* A trigger sees NULL in it, and would write that. */
static void
an_expression_that_reads_a_generated_column_is_refused_by_name(void **state)
{
    static const char *const swaps[] = {SWAP_N "      using: n::bigint + twice\n",
                                        SWAP_N "      using: n::bigint\n      reverse: (n - t.twice)::int\n"};

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        pawl_test_fixture f = begin("generated", GENERATED, "return {}", swaps[i]);

        pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "twice");
        assert_non_null(strstr(f.err.message, i == 0 ? "using" : "reverse"));
        pawl_test_assert_text(&f, TYPE_OF("g", "n"), "integer");
        pawl_test_assert_text(
            &f, "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0", "4");
        pawl_test_end(&f);
    }
}

/* Its trigger would fail for each row, in silence. */
static void
a_way_back_that_the_server_does_not_take_is_refused_before_anything_starts(void **state)
{
    pawl_test_fixture f = begin("nosuch", GENERATED, "return {}",
                                SWAP_N "      using: n::bigint\n      reverse: no_such_function(n)\n");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "no_such_function");
    pawl_test_assert_text(
        &f, "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'g'::regclass AND attnum > 0", "4");
    pawl_test_end(&f);
}

/* ---- the way back --------------------------------------------------------------------------------------------------- */

static void
a_value_that_the_old_type_cannot_hold_keeps_the_way_back_shut(void **state)
{
    pawl_test_fixture f = begin("range",
                                "CREATE TABLE r (id int PRIMARY KEY, n int NOT NULL); INSERT INTO r SELECT "
                                "i, i FROM generate_series(1, 50) i",
                                "return {}",
                                "      table: public.r\n      column: n\n      type: bigint\n      using: "
                                "n::bigint\n      reverse: \"CASE WHEN n "
                                "BETWEEN -2147483648 AND 2147483647 THEN n::int END\"\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE r SET n = 3000000000 WHERE id = 4");
    pawl_test_must_fail(&f, false, "base", PAWL_E_STATE, "id = 4");
    pawl_test_exec(f.db, "UPDATE r SET n = 30 WHERE id = 4; INSERT INTO r (id, n) VALUES (51, 51)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, TYPE_OF("r", "n"), "integer!");
    pawl_test_assert_text(&f, "SELECT sum(n)::text FROM r", "1352");
    pawl_test_end(&f);
}

/* NULL is what `reverse` says of it, and the column takes it: that is a loss all the same. A NULL that became 0 is none. */
static void
a_value_that_would_be_lost_keeps_the_way_back_shut(void **state)
{
    static const char *const ways[] = {"      using: coalesce(n, 0)::bigint\n",
                                       "      lua: transforms/x.lua\n"};
    static const char reverse[] = "      reverse: \"CASE WHEN n < 2147483648 THEN n::int END\"\n";

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        PAWL_STRBUF_AUTO(swap);

        pawl_strbuf_addf(&swap, "      table: public.r\n      column: n\n      type: bigint\n%s%s", ways[i],
                         reverse);
        pawl_test_fixture f =
            begin("lost",
                  "CREATE TABLE r (id int PRIMARY KEY, n int); INSERT INTO r SELECT i, nullif(i, 7) FROM "
                  "generate_series(1, 50) i",
                  "return function(row) return { n = row.n or 0 } end", swap.data);

        pawl_test_up(&f);
        pawl_test_exec(f.db, "UPDATE r SET n = 3000000000 WHERE id = 4");
        pawl_test_must_fail(&f, false, "base", PAWL_E_STATE, "id = 4;");
        pawl_test_exec(f.db, "UPDATE r SET n = 30 WHERE id = 4");
        pawl_test_must_go(&f, false, "base");
        pawl_test_assert_text(&f, "SELECT sum(n) || ' ' || count(n) FROM r", "1294 49");
        pawl_test_end(&f);
    }
}

/* '$7' became 7.00, which gives '$7.00': what nobody has written since is in order as it was. A stale value is not. */
static void
the_old_column_is_compared_before_it_comes_back(void **state)
{
    pawl_test_fixture f =
        begin("compare", TABLE "UPDATE p SET price = '$7' WHERE id = 7", "return {}", BY_SQL);

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(
        f.db,
        "UPDATE p SET price = 8 WHERE id = 8; ALTER TABLE p DISABLE TRIGGER \"~pawl_1_k\"; UPDATE p SET "
        "price = 12 WHERE id = 11; ALTER TABLE p ENABLE ALWAYS TRIGGER \"~pawl_1_k\"");
    pawl_test_must_fail(&f, false, "base", PAWL_E_STATE, "id = 11");
    pawl_test_assert_text(&f, TYPE_OF("p", "price"), "numeric(10,2)!");
    pawl_test_exec(f.db, "UPDATE p SET price = price WHERE id = 11");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id IN (7, 8, 11)",
                          "$7 $8.00 $12.00");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_null_for_a_not_null_column_is_refused_before_the_cut_over),
        cmocka_unit_test(a_row_that_is_written_later_is_looked_at_too),
        cmocka_unit_test(a_check_that_the_new_values_break_is_refused_before_the_cut_over),
        cmocka_unit_test(a_change_beside_the_column_is_looked_at_too),
        cmocka_unit_test(a_foreign_key_that_the_new_values_break_is_refused_before_the_cut_over),
        cmocka_unit_test(a_swap_that_cannot_be_settled_can_go_back),
        cmocka_unit_test(a_not_null_that_cannot_be_settled_is_not_null_again_on_the_way_back),
        cmocka_unit_test(no_write_fails_for_what_comes_with_the_cut_over),
        cmocka_unit_test(an_expression_that_gives_null_for_not_null_is_refused_by_row),
        cmocka_unit_test(an_expression_that_reads_a_generated_column_is_refused_by_name),
        cmocka_unit_test(a_way_back_that_the_server_does_not_take_is_refused_before_anything_starts),
        cmocka_unit_test(a_value_that_the_old_type_cannot_hold_keeps_the_way_back_shut),
        cmocka_unit_test(a_value_that_would_be_lost_keeps_the_way_back_shut),
        cmocka_unit_test(the_old_column_is_compared_before_it_comes_back),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
