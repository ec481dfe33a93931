/* An autovacuum yields to whoever waits for deadlock_timeout, and only to him: a strong lock is got for all that. */
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

/* Vacuumed for minutes on end. */
#define TABLE                                                                                            \
    "CREATE TABLE v (id int PRIMARY KEY, price text, filler text DEFAULT repeat('x', 400)) WITH "        \
    "(autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1, autovacuum_vacuum_threshold" \
    " = 1, autovacuum_vacuum_scale_factor = 0); INSERT INTO v SELECT i, i::text FROM generate_series(1," \
    " 20000) i; DELETE FROM v WHERE id % 10 = 0"

static pawl_test_fixture
begin(const char *name, const char *step)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, TABLE);
    pawl_test_revision(&f, "aaaa", "", step);
    f.overrides[0] = (pawl_key_value){.key = "lock_attempts", .value = "10"};
    f.noverrides = 1;
    pawl_test_wait_until(
        f.db, "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'v'::regclass)", 60000);
    return f;
}

/* It would have to be waited for under the lock of the table, by the application too. */
static void
log_that_is_vacuumed_keeps_nobody_waiting(void **state)
{
    pawl_test_fixture f = pawl_test_begin("vacuum_log");

    (void) state;
    pawl_test_exec(f.db, "CREATE TABLE w (id int PRIMARY KEY, price text) WITH (autovacuum_enabled = off);"
                         "INSERT INTO w SELECT i, i::text FROM generate_series(1, 20000) i");
    pawl_test_project_write(f.dir, "migrations/transforms/x.lua",
                            "return function(row) return { price = math.tointeger(row.price) } end\n");
    pawl_test_revision(
        &f, "aaaa", "",
        "up:\n  - swap_column: { table: public.w, column: price, type: int, lua: transforms/x.lua,\n"
        "                   cutover: manual }\n");
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(
        f.db,
        "ALTER TABLE pawl.change_1 SET (autovacuum_vacuum_cost_delay = 100, autovacuum_vacuum_cost_limit = 1,"
        " autovacuum_vacuum_threshold = 1, autovacuum_vacuum_scale_factor = 0,"
        " autovacuum_vacuum_insert_threshold = 1, autovacuum_vacuum_insert_scale_factor = 0);"
        "UPDATE w SET price = (price::int + 1)::text");
    pawl_test_up_until(&f, "waiting");
    pawl_test_wait_until(
        f.db, "SELECT EXISTS (SELECT FROM pg_stat_progress_vacuum WHERE relid = 'pawl.change_1'::regclass)",
        60000);
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_heard(&f, "after 1 try");
    pawl_test_assert_text(&f, "SELECT sum(price)::text FROM w", "200030000");
    pawl_test_end(&f);
}

static void
step_gets_its_lock(void **state)
{
    pawl_test_fixture f =
        begin("vacuum_step", "up:\n  - add_column: { table: public.v, column: n, type: int }\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_heard(&f, "autovacuum");
    pawl_test_end(&f);
}

static void
swap_is_cut_over(void **state)
{
    pawl_test_fixture f =
        begin("vacuum_swap", "up:\n  - swap_column:\n      table: public.v\n      column: price\n"
                             "      type: int\n      using: price::int\n      reverse: price::text\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(price)::text FROM v", "18000");
    pawl_test_must_go(&f, false, "base");
    pawl_test_end(&f);
}

static void
rewrite_is_cut_over(void **state)
{
    pawl_test_fixture f = begin(
        "vacuum_rewrite", "up:\n  - rewrite_table: { table: public.v, change: { price: { type: int, using: "
                          "\"price::int\" } } }\ndown: irreversible\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(price)::text FROM v", "18000");
    pawl_test_end(&f);
}

static int
setup(void **state)
{
    (void) state;
    pawl_test_server_start("autovacuum_naptime = '1s'\n");
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(log_that_is_vacuumed_keeps_nobody_waiting),
        cmocka_unit_test(step_gets_its_lock),
        cmocka_unit_test(swap_is_cut_over),
        cmocka_unit_test(rewrite_is_cut_over),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
