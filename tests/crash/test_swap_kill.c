/*
 * A swap killed at every state, on its way there and on its way back, while the application goes on in between. The same
 * command again must end where an undisturbed run ends; or, before the cut-over, a downgrade must leave no trace.
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

#define LUA                                                                                                  \
    "local M = {}\n"                                                                                         \
    "function M.row(row) if row.price then return { price = math.tointeger(tonumber(row.price)) } end end\n" \
    "function M.reverse(row) if row.price then return { price = tostring(row.price) } end end\n"             \
    "return M\n"

static const char *const points[] = {
    "swap.after_add", "swap.after_job",    "swap.after_arm",     "backfill.after_write", "swap.after_copy",
    "swap.in_proof",  "swap.after_drain",  "swap.after_unit",    "swap.after_index",     "swap.in_cut",
    "swap.after_cut", "drain.after_apply", "drain.after_commit", "step.before_commit"};

#define INDEXES                                                                                             \
    "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY "                           \
    "indexrelid::regclass::text) FROM "                                                                     \
    "pg_index WHERE indrelid = 'p'::regclass AND NOT indisprimary AND indkey::text = (SELECT attnum::text " \
    "FROM "                                                                                                 \
    "pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'price')"

#define BEFORE "id integer!, price text!, truth text"
#define AFTER  "id integer!, price bigint!, price_old text, truth text"

static const char *
make(const char **db, const char *how)
{
    const char *dir;
    PAWL_STRBUF_AUTO(text);

    *db = pawl_test_database_new("killed");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, PAWL_TEST_PRICED);
    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: "
        "price\n      type: bigint\n      batch: 100\n      workers: 1\n%s",
        how);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    return dir;
}

static void
assert_there(const char *db)
{
    pawl_test_assert_query(db, PAWL_TEST_PRICED_SHAPE, AFTER);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_assert_query(db, INDEXES, "p_price_idx true");
    pawl_test_assert_query(db, "SELECT phase || ' ' || state FROM pawl.job WHERE state <> 'abandoned'",
                           "mirror open");
}

static void
assert_back(const char *db)
{
    pawl_test_assert_query(db, PAWL_TEST_PRICED_SHAPE, BEFORE);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    pawl_test_assert_query(db, PAWL_TEST_LEFT, "0");
    pawl_test_assert_query(db, INDEXES, "p_price_idx true");
    pawl_test_assert_query(db, "SELECT count(*)::text FROM pawl.job WHERE state = 'open'", "0");
}

/* Killed on its way there; then on, or back without a trace. Then killed on its way back. */
static bool
kill_once(const char *point, int passage, const char *how, bool gives_up)
{
    const char *db = NULL;
    const char *dir = make(&db, how);
    bool is_killed = pawl_test_is_killed(dir, "upgrade", "head", point, passage);

    pawl_test_priced_write(db, 1);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    if (is_killed && gives_up)
    {
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        assert_back(db);
        pawl_test_priced_write(db, 2);
    }
    if (is_killed)
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_there(db);
    pawl_test_priced_write(db, 3);

    bool is_killed_back = pawl_test_is_killed(dir, "downgrade", "base", point, passage);

    pawl_test_priced_write(db, 4);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    if (is_killed_back)
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_back(db);
    pawl_test_priced_write(db, 5);
    pawl_test_assert_query(db, PAWL_TEST_PRICED_WRONG, "0");
    return is_killed || is_killed_back;
}

static void
kill_everywhere(const char *how)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int step = strcmp(points[i], "step.before_commit") == 0 ? 3 : 1;
        int most = pawl_test_is_long() ? 30 : 1 + step * 2;

        for (int passage = 1; passage <= most; passage += step)
            if (!kill_once(points[i], passage, how, passage % 2 == 0))
                break;
    }
}

static void
a_swap_by_a_transform_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      lua: transforms/price.lua\n");
}

static void
a_swap_by_an_expression_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      using: price::bigint\n      reverse: price::text\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_by_a_transform_goes_on_from_every_state),
        cmocka_unit_test(a_swap_by_an_expression_goes_on_from_every_state),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
