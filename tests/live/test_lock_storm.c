/*
 * A session that locks the table again and again, each time for longer than lock_timeout: whatever pawl is doing then, it
 * gives way and tries again, and gets through in the gaps.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/writers.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                                  \
    "local M = {}\n"                                                                                         \
    "function M.row(row) return { price = row.price and math.tointeger(tonumber(row.price)) or pawl.null } " \
    "end\n"                                                                                                  \
    "function M.reverse(row) return { price = row.price and tostring(row.price) or pawl.null } end\n"        \
    "return M\n"
/* Above it lies what the storm's locks take; often enough between two of them is time for a transaction. */
#define SETTINGS "lock_timeout: 60ms\nlock_attempts: 2000\n"

typedef struct storm
{
    pthread_t thread;
    const char *db;
    uint64_t seed;
    atomic_bool stop;
    int locks;
} storm;

static storm the_storm;

static void *
rage(void *arg)
{
    storm *s = arg;
    PGconn *conn = PQconnectdb(s->db);
    pawl_rng rng;

    pawl_rng_init(&rng, s->seed);
    while (!atomic_load(&s->stop))
    {
        PQclear(PQexec(conn, "BEGIN; LOCK TABLE p IN ACCESS EXCLUSIVE MODE"));
        pawl_test_sleep_ms(80 + (int) pawl_rng_below(&rng, 60));
        PQclear(PQexec(conn, "COMMIT"));
        pawl_test_sleep_ms(100 + (int) pawl_rng_below(&rng, 200));
        s->locks++;
    }
    PQfinish(conn);
    return NULL;
}

static void
start_storm(const char *db, uint64_t seed)
{
    the_storm = (storm){.db = db, .seed = seed};
    assert_int_equal(pthread_create(&the_storm.thread, NULL, rage, &the_storm), 0);
}

static void
end_storm(void)
{
    atomic_store(&the_storm.stop, true);
    (void) pthread_join(the_storm.thread, NULL);
}

/* The storm ends before the test fails. */
static void
run_in_storm(const char *dir, const char *db, uint64_t seed, const char *verb, const char *target)
{
    pawl_test_output output;

    start_storm(db, seed);
    output = pawl_test_pawl(dir, verb, target, NULL);
    end_storm();
    if (output.exit_code != 0)
        fail_msg("%s, seed %llu: exit code %d: %s", verb, (unsigned long long) seed, output.exit_code,
                 output.err);
    pawl_test_output_free(&output);
}

static void
weather(const char *step, bool has_way_back, uint64_t usual)
{
    uint64_t seed = pawl_test_seed(usual);
    int times = pawl_test_is_long() ? 20 : 1;

    for (int i = 0; i < times; i++, seed++)
    {
        const char *db = pawl_test_database_new("storm");
        const char *dir = pawl_test_project_new(db, SETTINGS);
        PAWL_STRBUF_AUTO(text);

        pawl_test_writers_tables(db, 300);
        pawl_strbuf_addf(&text, "revision: \"aaaa0001\"\nparents: []\nup:\n  - %s", step);
        pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
        pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
        run_in_storm(dir, db, seed, "upgrade", "head");
        if (strncmp(step, "backfill", 8) == 0)
            pawl_test_exec(db, "UPDATE oracle SET note = note || '!'");
        pawl_test_writers_check(db, false);
        if (has_way_back)
            run_in_storm(dir, db, seed + 1000, "downgrade", "base");
        pawl_test_writers_check(db, false);
    }
}

static void
a_swap_by_a_transform_weathers_a_storm_of_locks(void **state)
{
    (void) state;
    weather(
        "swap_column:\n      table: p\n      column: price\n      type: bigint\n      batch: 100\n      lua: "
        "transforms/price.lua\n",
        true, 1);
}

static void
a_swap_by_an_expression_weathers_a_storm_of_locks(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    weather("swap_column:\n      table: p\n      column: price\n      type: bigint\n      batch: 100\n      "
            "using: "
            "price::bigint\n      reverse: price::text\n",
            true, 2);
}

static void
a_backfill_weathers_a_storm_of_locks(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    weather("backfill:\n      table: p\n      set: { note: \"note || '!'\" }\n      batch: 50\n    down: "
            "nothing\n",
            false, 4);
}

static void
a_rewrite_weathers_a_storm_of_locks(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    weather("rewrite_table:\n      table: p\n      batch: 100\n      change: { price: bigint }\n      lua: "
            "transforms/price.lua\n",
            false, 3);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_by_a_transform_weathers_a_storm_of_locks),
        cmocka_unit_test(a_swap_by_an_expression_weathers_a_storm_of_locks),
        cmocka_unit_test(a_backfill_weathers_a_storm_of_locks),
        cmocka_unit_test(a_rewrite_weathers_a_storm_of_locks),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
