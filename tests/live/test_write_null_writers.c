/*
 * Swaps and rewrites with `rejects: write_null` while others write at full speed, during the copy and some of the drain.
 * In the end a row has NULL if and only if what it had is refused, and one reject says so, with the very text that was refused.
 *
 * PAWL_TEST_SEED changes what is written.
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
#include "support/project.h"
#include "support/server.h"
#include "support/writers.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* One in a hundred is too large for the type, behind what the transform makes of them. */
#define LUA                                                       \
    "return { row = function(row)\n"                              \
    "if row.price == nil then return { price = pawl.null } end\n" \
    "local n = math.tointeger(tonumber(row.price))\n"             \
    "if n % 7 == 0 then pawl.reject('a seventh') end\n"           \
    "if n % 11 == 0 then error('an eleventh') end\n"              \
    "return { price = tostring(n + 10000) } end }\n"
#define REFUSED "(o.price::bigint % 7 = 0 OR o.price::bigint % 11 = 0 OR o.price::bigint >= 990000)"
#define WRONG                                                                                             \
    "SELECT count(*)::text FROM p FULL JOIN oracle o USING (id) LEFT JOIN pawl.reject r ON r.key[1] = "   \
    "id::text AND "                                                                                       \
    "r.state = 'nulled' WHERE (p.code, p.note, p.n) IS DISTINCT FROM (o.code, o.note, o.n) OR CASE WHEN " \
    "o.price IS "                                                                                         \
    "NOT NULL AND " REFUSED                                                                               \
    " THEN p.price IS NOT NULL OR r.reject_id IS NULL OR r.input ->> 'price' <> o.price "                 \
    "ELSE p.price IS DISTINCT FROM o.price::bigint + 10000 OR r.reject_id IS NOT NULL END"
#define DOUBLE                                                                                         \
    "SELECT (count(*) - count(DISTINCT key) + count(*) FILTER (WHERE NOT EXISTS (SELECT FROM p WHERE " \
    "p.id::text = "                                                                                    \
    "key[1])))::text FROM pawl.reject WHERE state = 'nulled'"

static void
assert_text(const char *db, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", sql, got, expected);
    free(got);
}

static void
play(const char *step, uint64_t seed)
{
    const char *db = pawl_test_database_new("nulled");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const args[] = {"upgrade", "head", NULL};
    const pawl_test_writers_options options = {.db = db, .seed = seed, .rows = 3000};
    pawl_test_process *process;
    pawl_test_writers *writers;
    pawl_test_output output;
    PAWL_STRBUF_AUTO(text);

    print_message("seed %llu\n", (unsigned long long) seed);
    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - %s      lua: transforms/price.lua\n      rejects: "
        "write_null\n      max_rejects: 1000000\n      cutover: manual\n",
        step);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    pawl_test_writers_tables(db, options.rows);
    writers = pawl_test_writers_start(&options);
    pawl_test_writers_await(writers, 5);
    process = pawl_test_start(args, NULL, dir);
    pawl_test_wait_until(
        db,
        "SELECT to_regclass('pawl.job') IS NOT NULL AND EXISTS (SELECT FROM pg_class WHERE relname = "
        "'change_1')",
        60000);
    pawl_test_writers_await(writers, 20);
    pawl_test_wait_until(db, "SELECT phase NOT IN ('prepare', 'armed', 'copy') FROM pawl.job", 120000);
    pawl_test_writers_await(writers, 20);
    (void) pawl_test_writers_stop(writers);
    pawl_test_wait_until(db, "SELECT phase = 'ready' FROM pawl.job", 120000);
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    output = pawl_test_wait(process, 120000);
    if (output.exit_code != 0)
        fail_msg("%s", output.err);
    pawl_test_output_free(&output);
    assert_text(db, WRONG, "0");
    assert_text(db, DOUBLE, "0");
    assert_text(db, "SELECT (count(*) > 100)::text FROM pawl.reject WHERE state = 'nulled'", "true");
    assert_text(db, "SELECT (count(*) > 0)::text FROM pawl.reject WHERE state = 'done'", "true");
}

static void
a_swap_accounts_for_every_null(void **state)
{
    (void) state;
    play("swap_column:\n      table: p\n      column: price\n      type: numeric(6)\n      batch: 300\n      "
         "workers: 2\n",
         pawl_test_seed(11));
}

static void
a_rewrite_accounts_for_every_null(void **state)
{
    (void) state;
    play("rewrite_table:\n      table: p\n      change: { price: numeric(6) }\n      batch: 300\n",
         pawl_test_seed(12));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_accounts_for_every_null),
        cmocka_unit_test(a_rewrite_accounts_for_every_null),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
