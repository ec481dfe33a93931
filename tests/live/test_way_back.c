/* A downgrade of what has a mirror: refused while everything stands, where rows are in its way; and what it leaves behind
 * where the step has a `down:` of its own. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/priced.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define TABLE                                         \
    "CREATE TABLE p (id int PRIMARY KEY, price int);" \
    "INSERT INTO p SELECT i, i FROM generate_series(1, 300) i"
#define LUA                                                                               \
    "return { row = function(row) return { price = row.price } end,\n"                    \
    "reverse = function(row) if row.price == 13000 then pawl.reject('no thirteen') end\n" \
    "return { price = row.price } end }"
#define LUA_OF_SWITCH                                                                      \
    "return { row = function(row) return { amount = row.price } end,\n"                    \
    "reverse = function(row) if row.amount == 13000 then pawl.reject('no thirteen') end\n" \
    "return { price = row.amount } end }"

#define SWAP    "  - swap_column:\n      table: p\n      column: price\n      type: bigint\n"
#define BY_LUA  SWAP "      lua: transforms/price.lua\n"
#define BY_SQL  SWAP "      using: price::bigint\n      reverse: price::int\n"
#define REWRITE "  - rewrite_table:\n      table: p\n      change: { price: bigint }\n      reverse: true\n"
#define FILLED                                                                                          \
    "  - add_column: { table: p, column: amount, type: bigint }\n  - backfill:\n      table: p\n      " \
    "read: "                                                                                            \
    "[price]\n      write: [amount]\n      lua: transforms/amount.lua\n      capture: true\n    down: " \
    "nothing\n"
#define SWITCH FILLED "  - switch: { table: p, column: price, with: amount }\n"
#define EXTRA  "  - add_column: { table: p, column: extra, type: int }\n"

static pawl_test_fixture
begin(const char *name, const char *steps, const char *rest)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[2000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(f.dir, "migrations/transforms/amount.lua", LUA_OF_SWITCH);
    pawl_fmt(text, sizeof text, "up:\n%s%s", steps, rest);
    pawl_test_revision(&f, "aaaa", "", text);
    pawl_test_up(&f);
    return f;
}

/* ---- rows in its way -------------------------------------------------------------------------------------------------- */

#define HAS_EXTRA                                                                                           \
    "SELECT count(*)::text FROM pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'extra' AND NOT " \
    "attisdropped"

/* The step behind is not undone, the mirror goes on, and so does the history; then, with the row mended, back. */
static void
refuse_and_go_back(const char *name, const char *steps, const char *bad, pawl_status code, const char *words)
{
    pawl_test_fixture f = begin(name, steps, EXTRA);

    pawl_test_exec(f.db, bad);
    pawl_test_must_fail(&f, false, "base", code, words);
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa applied");
    pawl_test_assert_text(&f, HAS_EXTRA, "1");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror open");
    pawl_test_revision(&f, "bbbb", "aaaa", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa applied, bbbb applied");
    pawl_test_exec(f.db, "UPDATE p SET price = 14 WHERE id = 7");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT pg_typeof(price) || ' ' || price FROM p WHERE id = 7", "integer 14");
    pawl_test_assert_text(&f, HAS_EXTRA, "0");
    pawl_test_end(&f);
}

static void
row_that_the_transform_rejects_stops_the_way_back_of_a_swap_beforehand(void **state)
{
    (void) state;
    refuse_and_go_back("swap_lua", BY_LUA, "UPDATE p SET price = 13000 WHERE id = 7", PAWL_E_TRANSFORM,
                       "no thirteen");
}

static void
value_that_the_old_column_cannot_hold_stops_it_beforehand(void **state)
{
    (void) state;
    refuse_and_go_back("swap_sql", BY_SQL, "UPDATE p SET price = 3000000000 WHERE id = 7", PAWL_E_STATE,
                       "id = 7");
}

static void
row_that_the_transform_rejects_stops_the_way_back_of_a_switch_beforehand(void **state)
{
    (void) state;
    refuse_and_go_back("switch", SWITCH, "UPDATE p SET price = 13000 WHERE id = 7", PAWL_E_TRANSFORM,
                       "no thirteen");
}

static void
value_that_the_old_table_cannot_hold_stops_it_beforehand(void **state)
{
    (void) state;
    refuse_and_go_back("rewrite", REWRITE, "UPDATE p SET price = 3000000000 WHERE id = 7", PAWL_E_SERVER,
                       "id = 7");
}

static void
index_of_the_new_table_that_the_way_back_would_lose_stops_it_beforehand(void **state)
{
    pawl_test_fixture f = begin("baseline", REWRITE "  - sql: SELECT 1\n    down: nothing\n", "");

    (void) state;
    pawl_test_exec(f.db, "CREATE INDEX p_later ON p (price)");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "p_later");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa applied");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror open");
    pawl_test_end(&f);
}

/* The table is another one now than what the way back will meet: what cannot be looked at yet is in nobody's way. */
static void
step_behind_that_is_undone_first_is_no_hindrance(void **state)
{
    static const char *const swaps[] = {BY_LUA, BY_SQL, SWITCH, REWRITE};

    (void) state;
    for (size_t i = 0; i < sizeof swaps / sizeof swaps[0]; i++)
    {
        pawl_test_fixture f = begin("behind", swaps[i],
                                    "  - rename_column: { table: p, from: id, to: code }\n" EXTRA
                                    "  - create_index: { table: p, name: p_extra, columns: [extra] }\n");

        pawl_test_exec(f.db, "UPDATE p SET extra = 1 WHERE code = 8");
        pawl_test_must_go(&f, false, "base");
        pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p WHERE id = 8", "integer");
        pawl_test_end(&f);
    }
}

/* ---- a way back of its own ---------------------------------------------------------------------------------------------- */

static void
assert_nothing_acts(pawl_test_fixture *f, const char *stays)
{
    pawl_test_must_go(f, false, "base");
    if (strstr(f->heard.text.data, stays) == NULL)
        fail_msg("\"%s\" was not heard: %s", stays, f->heard.text.data);
    pawl_test_assert_text(f, PAWL_TEST_LEFT, "0");
    pawl_test_exec(f->db,
                   "INSERT INTO p (id, price) VALUES (1000, 5); UPDATE p SET price = 6 WHERE id = 1000");
    pawl_test_assert_text(f, "SELECT state FROM pawl.job", "abandoned");
    pawl_test_assert_text(f, PAWL_TEST_REVISIONS, "");
    pawl_test_end(f);
}

static void
swap_without_a_way_back_of_its_own_leaves_no_trigger(void **state)
{
    pawl_test_fixture f = begin("nothing", BY_LUA, "    down: nothing\n");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 8 WHERE id = 8");
    assert_nothing_acts(&f, "column price_old of public.p follows no longer, and stays until you drop it");
}

/* A trigger that looks for a column which has another name by now would fail every write of the application. */
static void
swap_that_its_own_steps_have_undone_leaves_no_trigger(void **state)
{
    pawl_test_fixture f = begin("list", BY_SQL,
                                "    down:\n      - sql: |\n          ALTER TABLE p DROP COLUMN price;\n"
                                "          ALTER TABLE p RENAME COLUMN price_old TO price;\n");

    (void) state;
    assert_nothing_acts(&f, "its triggers and its log are gone");
}

static void
list_of_the_revision_leaves_no_trigger(void **state)
{
    pawl_test_fixture f = begin("revision", BY_SQL, "down:\n  - sql: SELECT 1\n");

    (void) state;
    assert_nothing_acts(&f, "column price_old of public.p follows no longer");
}

static void
switch_without_a_way_back_of_its_own_leaves_no_trigger(void **state)
{
    pawl_test_fixture f = begin("switched", SWITCH, "    down: nothing\ndown:\n  - sql: SELECT 1\n");

    (void) state;
    assert_nothing_acts(&f, "column amount of public.p follows no longer");
}

/* As `pawl abandon` leaves it where the table's lock does not come: the job has ended, its triggers have not. */
static void
triggers_of_an_abandoned_job_go_with_the_revision(void **state)
{
    pawl_test_fixture f = begin("abandoned", SWITCH, "    down: nothing\n");

    (void) state;
    pawl_test_exec(f.db, "UPDATE pawl.job SET state = 'abandoned'");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_LEFT, "0");
    pawl_test_end(&f);
}

static void
rewrite_without_a_way_back_of_its_own_names_the_old_table(void **state)
{
    pawl_test_fixture f = begin("rewritten", REWRITE, "    down: nothing\n");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 8 WHERE id = 8");
    assert_nothing_acts(&f, "table public.pawl_1_old follows no longer, and stays until you drop it");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(row_that_the_transform_rejects_stops_the_way_back_of_a_swap_beforehand),
        cmocka_unit_test(value_that_the_old_column_cannot_hold_stops_it_beforehand),
        cmocka_unit_test(row_that_the_transform_rejects_stops_the_way_back_of_a_switch_beforehand),
        cmocka_unit_test(value_that_the_old_table_cannot_hold_stops_it_beforehand),
        cmocka_unit_test(index_of_the_new_table_that_the_way_back_would_lose_stops_it_beforehand),
        cmocka_unit_test(step_behind_that_is_undone_first_is_no_hindrance),
        cmocka_unit_test(swap_without_a_way_back_of_its_own_leaves_no_trigger),
        cmocka_unit_test(swap_that_its_own_steps_have_undone_leaves_no_trigger),
        cmocka_unit_test(list_of_the_revision_leaves_no_trigger),
        cmocka_unit_test(switch_without_a_way_back_of_its_own_leaves_no_trigger),
        cmocka_unit_test(triggers_of_an_abandoned_job_go_with_the_revision),
        cmocka_unit_test(rewrite_without_a_way_back_of_its_own_names_the_old_table),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
