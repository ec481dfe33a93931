/*
 * A switch killed at every state, there and back, while the application goes on in between. The same command again must end
 * where an undisturbed run ends; before the cut-over a downgrade must leave the backfill logging as it was.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/kill.h"
#include "support/priced.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                          \
    "local M = {}\n"                                                                                 \
    "function M.row(row) if row.price then return { amount = math.tointeger(tonumber(row.price)) } " \
    "end end\n"                                                                                      \
    "function M.reverse(row) if row.amount then return { price = tostring(row.amount) } end end\n"   \
    "return M\n"

#define JOB "SELECT kind || ' ' || phase || ' ' || state FROM pawl.job WHERE state <> 'abandoned'"

#define BEFORE "amount bigint, id integer!, price text!, truth text"
#define AFTER  "amount text, id integer!, price bigint!, truth text"

static const char *const points[] = {"switch.after_adopt",  "swap.after_arm",     "swap.after_drain",
                                     "swap.after_unit",     "swap.after_index",   "swap.in_proof",
                                     "swap.in_cut",         "swap.after_cut",     "drain.after_apply",
                                     "drain.after_commit",  "step.before_commit", "step.before_record",
                                     "switch.after_release"};

static const char *
make(const char **db, const char *set, const char *reverse)
{
    const char *dir;
    PAWL_STRBUF_AUTO(first);
    PAWL_STRBUF_AUTO(second);

    *db = pawl_test_database_new("killed");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, PAWL_TEST_PRICED);
    pawl_strbuf_addf(
        &first,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - add_column: { table: p, column: amount, type: "
        "bigint }\n  - backfill:\n      table: p\n      batch: 100\n      capture: true\n%s    down: "
        "nothing\n",
        set);
    pawl_strbuf_addf(
        &second,
        "revision: \"bbbb0001\"\nparents: [aaaa0001]\nup:\n  - switch:\n      table: p\n      column: "
        "price\n      with: amount\n%s",
        reverse);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", first.data);
    pawl_test_project_write(dir, "migrations/bbbb0001.yaml", second.data);
    pawl_test_pawl_exits(dir, "upgrade", "aaaa0001", 0);
    pawl_test_priced_write(*db, 30);
    return dir;
}

static void
assert_back(const char *db)
{
    pawl_test_assert_query(db, PAWL_TEST_PRICED_SHAPE, BEFORE);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_assert_query(db, JOB, "backfill captured open");
}

static bool
kill_once(const char *point, int passage, bool gives_up, const char *set, const char *reverse)
{
    const char *db = NULL;
    const char *dir = make(&db, set, reverse);
    bool is_killed = pawl_test_is_killed(dir, "upgrade", "head", point, passage);

    pawl_test_priced_write(db, 1);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    if (is_killed && gives_up)
    {
        pawl_test_pawl_exits(dir, "downgrade", "aaaa0001", 0);
        assert_back(db);
        pawl_test_priced_write(db, 2);
    }
    if (is_killed)
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_SHAPE, AFTER);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_assert_query(db, JOB, "switch mirror open");
    pawl_test_priced_write(db, 3);

    bool is_killed_back = pawl_test_is_killed(dir, "downgrade", "aaaa0001", point, passage);

    pawl_test_priced_write(db, 4);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    if (is_killed_back)
        pawl_test_pawl_exits(dir, "downgrade", "aaaa0001", 0);
    assert_back(db);
    pawl_test_priced_write(db, 5);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_SHAPE, AFTER);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_assert_query(db, PAWL_TEST_LEFT, "0");
    return is_killed || is_killed_back;
}

static void
kill_everywhere(const char *set, const char *reverse)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int most = pawl_test_is_long() ? 30 : 1;

        for (int passage = 1; passage <= most; passage++)
            if (!kill_once(points[i], passage, (i + (size_t) passage) % 2 == 0, set, reverse))
            {
                if (passage == 1)
                    fail_msg("%s is never passed", points[i]);
                break;
            }
    }
}

static void
a_switch_by_a_transform_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      read: [price]\n      write: [amount]\n      lua: transforms/price.lua\n", "");
}

static void
a_switch_by_expressions_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      set: { amount: \"price::bigint\" }\n", "      reverse: price::text\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_by_a_transform_goes_on_from_every_state),
        cmocka_unit_test(a_switch_by_expressions_goes_on_from_every_state),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
