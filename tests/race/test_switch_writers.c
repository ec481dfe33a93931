/*
 * A backfill that captures and a switch in revisions of their own, there and back and there again, while sessions write at
 * full speed in every way there is. An oracle gets every statement too, and is compared row for row all the time.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/project.h"
#include "support/server.h"
#include "support/writers.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    ROWS = 2000
};

#define LUA                                                                                          \
    "local M = {}\n"                                                                                 \
    "function M.row(row) if row.price then return { amount = math.tointeger(tonumber(row.price)) } " \
    "end end\n"                                                                                      \
    "function M.reverse(row) if row.amount then return { price = tostring(row.amount) } end end\n"   \
    "return M\n"

#define BACKFILL "  - backfill:\n      table: p\n      batch: 300\n      capture: true\n"
#define BY_LUA \
    "      read: [price]\n      write: [amount]\n      lua: transforms/price.lua\n    down: nothing\n"
#define BY_SQL \
    "      set: { amount: \"price::bigint\" }\n      where: \"amount IS NULL\"\n    down: nothing\n"

static void
write_revision(const char *dir, const char *id, const char *parent, const char *steps)
{
    PAWL_STRBUF_AUTO(text);
    PAWL_STRBUF_AUTO(name);

    pawl_strbuf_addf(&name, "migrations/%s.yaml", id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\nup:\n%s", id, parent, steps);
    pawl_test_project_write(dir, name.data, text.data);
}

static void
switch_there_and_back(uint64_t seed, const char *backfill, const char *reverse, int truncate_in)
{
    const char *db = pawl_test_database_new("switched");
    const char *dir = pawl_test_project_new(db, NULL);
    const pawl_test_writers_options options = {
        .db = db, .seed = seed, .rows = ROWS, .truncate_in = truncate_in};
    pawl_test_writers *writers;
    PAWL_STRBUF_AUTO(change);

    pawl_test_writers_tables(db, ROWS);
    pawl_strbuf_addf(&change, "  - switch:\n      table: p\n      column: price\n      with: amount\n%s",
                     reverse);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    write_revision(dir, "aaaa0001", "", "  - add_column: { table: p, column: amount, type: bigint }\n");
    write_revision(dir, "bbbb0001", "aaaa0001", backfill);
    write_revision(dir, "cccc0001", "bbbb0001", change.data);
    writers = pawl_test_writers_start(&options);
    pawl_test_pawl_exits(dir, "upgrade", "bbbb0001", 0);
    pawl_test_writers_await(writers, 100);
    for (int round = 0; round < 2; round++)
    {
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        pawl_test_writers_await(writers, 50);
        pawl_test_writers_check(db, false);
        if (round == 0)
            pawl_test_pawl_exits(dir, "downgrade", "bbbb0001", 0);
        pawl_test_writers_await(writers, 50);
        pawl_test_writers_check(db, false);
    }
    pawl_test_writers_stop(writers);
    pawl_test_writers_check(db, false);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'cut_over'"), 3);
}

static void
nothing_is_lost_by_a_transform(void **state)
{
    uint64_t seed = pawl_test_seed(1);

    (void) state;
    for (int i = 0; i < (pawl_test_is_long() ? 10 : 1); i++)
        switch_there_and_back(seed + (uint64_t) i, BACKFILL BY_LUA, "", pawl_test_is_long() ? 400 : 0);
}

static void
nothing_is_lost_by_expressions(void **state)
{
    uint64_t seed = pawl_test_seed(2);

    (void) state;
    for (int i = 0; i < (pawl_test_is_long() ? 10 : 1); i++)
        switch_there_and_back(seed + (uint64_t) i, BACKFILL BY_SQL, "      reverse: price::text\n", 0);
}

/* Without a switch: what was reported is done again, and then the columns agree, once the sessions rest. */
static void
nothing_is_missed_by_a_capture(void **state)
{
    const char *db = pawl_test_database_new("captured");
    const char *dir = pawl_test_project_new(db, NULL);
    const pawl_test_writers_options options = {.db = db, .seed = pawl_test_seed(3), .rows = ROWS};
    pawl_test_writers *writers;

    (void) state;
    pawl_test_writers_tables(db, ROWS);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    write_revision(dir, "aaaa0001", "", "  - add_column: { table: p, column: amount, type: bigint }\n");
    write_revision(dir, "bbbb0001", "aaaa0001", BACKFILL BY_LUA);
    writers = pawl_test_writers_start(&options);
    pawl_test_pawl_exits(dir, "upgrade", "head", 4);
    pawl_test_writers_await(writers, 100);
    pawl_test_writers_stop(writers);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_writers_check(db, false);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM p WHERE amount IS DISTINCT FROM price::bigint"), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_by_a_transform),
        cmocka_unit_test(nothing_is_lost_by_expressions),
        cmocka_unit_test(nothing_is_missed_by_a_capture),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
