/* A table that somebody does not let go of: how often it is asked for, and what is said of it. */
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

#define TABLE                                                          \
    "CREATE TABLE p (id int PRIMARY KEY, price int, code int UNIQUE);" \
    "CREATE INDEX p_price_idx ON p (price);"                           \
    "INSERT INTO p SELECT i, i, i FROM generate_series(1, 300) i"
#define LUA "return function(row) return { price = row.price } end"

/* Ready to cut over, and a reader that keeps the table; it reads nothing any more, so that no snapshot is waited for. */
static pawl_test_fixture
begin(const char *name, const char *step, PGconn **reader)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_fmt(text, sizeof text, "up:\n%s      cutover: manual\n", step);
    pawl_test_revision(&f, "aaaa", "", text);
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db,
                   "INSERT INTO pawl.control (job_id, action, from_where) VALUES (1, 'cutover', 'test')");
    *reader = pawl_test_connect(f.db);
    pawl_test_run_on(*reader, "BEGIN; LOCK TABLE p IN ACCESS SHARE MODE");
    return f;
}

/* As often as `lock_attempts` says, and each time it is said who is in the way. */
static void
give_up(const char *name, const char *step)
{
    PGconn *reader = NULL;
    pawl_test_fixture f = begin(name, step, &reader);

    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER,
                        "the cut-over of \"public.p\" was given up after 4 attempts");
    assert_non_null(strstr(f.err.detail, "held by"));
    assert_non_null(strstr(f.err.hint, "everything is ready"));
    assert_null(strstr(f.err.message, "after 1 attempt"));
    pawl_test_assert_heard(&f, "attempt 1 of 4");
    pawl_test_assert_heard(&f, "attempt 3 of 4");
    assert_null(strstr(f.heard.text.data, "attempt 4 of 4"));
    pawl_test_assert_heard(&f, "; held by pid");
    assert_null(strstr(f.heard.text.data, "given up"));
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "ready open");
    PQfinish(reader);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p LIMIT 1", "bigint");
    pawl_test_end(&f);
}

static void
a_swap_with_a_transform_asks_as_often_as_it_is_told(void **state)
{
    (void) state;
    give_up("swap_lua", "  - swap_column:\n      table: public.p\n      column: price\n      type: bigint\n"
                        "      lua: transforms/price.lua\n");
}

static void
a_swap_in_step_asks_as_often_as_it_is_told(void **state)
{
    (void) state;
    give_up("swap_sql", "  - swap_column:\n      table: public.p\n      column: price\n      type: bigint\n"
                        "      using: price::bigint\n      reverse: price::int\n");
}

static void
a_rewrite_asks_as_often_as_it_is_told(void **state)
{
    (void) state;
    give_up(
        "rewrite",
        "  - rewrite_table:\n      table: public.p\n      change: { price: bigint }\n      reverse: true\n");
}

static void
a_capture_asks_as_often_as_it_is_told(void **state)
{
    pawl_test_fixture f = pawl_test_begin("captured");
    PGconn *reader;

    (void) state;
    pawl_test_exec(f.db, TABLE "; ALTER TABLE p ADD COLUMN total int");
    pawl_test_revision(
        &f, "aaaa", "",
        "up:\n  - backfill: { table: p, set: { total: \"price * 2\" }, capture: true }\n    down: nothing\n");
    reader = pawl_test_connect(f.db);
    pawl_test_run_on(reader, "BEGIN; LOCK TABLE p IN ACCESS SHARE MODE");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER,
                        "the end of the capture of \"p\" was given up after 4 attempts");
    assert_non_null(strstr(f.err.detail, "held by"));
    pawl_test_assert_heard(&f, "attempt 3 of 4");
    assert_null(strstr(f.heard.text.data, "given up"));
    PQfinish(reader);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE total = price * 2", "300");
    pawl_test_end(&f);
}

#define INDEXES "SELECT string_agg(indexname, ', ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'p'"

/* What the way back cannot look at it does not leave behind. */
static void
a_switch_that_is_taken_back_waits_for_the_table(void **state)
{
    PGconn *reader = NULL;
    pawl_test_fixture f =
        begin("switch",
              "  - add_column: { table: p, column: amount, type: bigint }\n  - backfill:\n      "
              "table: p\n      set: { amount: price::bigint }\n      capture: true\n    down: "
              "nothing\n  - switch:\n      table: p\n      column: price\n      with: amount\n",
              &reader);

    (void) state;
    pawl_test_exec(f.db, "DELETE FROM pawl.control");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_indexes WHERE indexname LIKE 'pawl%'", "1");
    pawl_test_run_on(reader, "COMMIT; BEGIN; LOCK TABLE p IN ACCESS EXCLUSIVE MODE");
    pawl_test_must_fail(&f, false, "base", PAWL_E_SERVER, "lock");
    pawl_test_assert_text(&f, "SELECT kind || ' ' || phase FROM pawl.job", "switch ready");
    PQfinish(reader);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, INDEXES, "p_code_key, p_pkey, p_price_idx");
    pawl_test_end(&f);
}

static int
count(const char *text, const char *words)
{
    int n = 0;

    for (const char *at = strstr(text, words); at != NULL; at = strstr(at + 1, words))
        n++;
    return n;
}

static void
a_rewrite_says_of_each_constraint_once_that_it_is_done(void **state)
{
    pawl_test_fixture f = pawl_test_begin("told");

    (void) state;
    pawl_test_exec(f.db, TABLE);
    pawl_test_revision(
        &f, "aaaa", "",
        "down: irreversible\nup:\n  - rewrite_table: { table: p, change: { price: bigint } }\n");
    pawl_test_up(&f);
    assert_int_equal(count(f.heard.text.data, "the key of the new table is done"), 1);
    assert_int_equal(count(f.heard.text.data, "p_code_key is done"), 1);
    pawl_test_end(&f);
}

/* Frozen where it has the lock, for good or for a while: the application has its table back in seconds, and nothing is lost. */
static void
freeze(const char *name, const char *step, const char *failpoint)
{
    static const char *const args[] = {"upgrade", "head", NULL};
    const char *const env[] = {failpoint, NULL};
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];
    pawl_test_process *process;
    pawl_test_output output;

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_fmt(text, sizeof text, "up:\n%s", step);
    pawl_test_revision(&f, "aaaa", "", text);
    process = pawl_test_start(args, env, f.dir);
    pawl_test_wait_stopped(process);
    pawl_test_exec(f.db, "SET lock_timeout = '20s'; UPDATE p SET price = -price WHERE id = 7");
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p LIMIT 1", "integer");
    pawl_test_kill(pawl_test_process_pid(process), SIGCONT);
    output = pawl_test_wait(process, 60000);
    if (output.exit_code != 0)
        pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    pawl_test_output_free(&output);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text || price FROM p WHERE id = 7", "bigint-7");
    pawl_test_end(&f);
}

static void
a_frozen_swap_lets_go_of_the_table(void **state)
{
    (void) state;
    freeze("frozen_swap",
           "  - swap_column:\n      table: public.p\n      column: price\n      type: bigint\n"
           "      lua: transforms/price.lua\n",
           "PAWL_FAILPOINT=swap.in_cut=stop@1");
}

static void
a_frozen_rewrite_lets_go_of_the_table(void **state)
{
    (void) state;
    freeze("frozen_rewrite", "  - rewrite_table:\n      table: public.p\n      change: { price: bigint }\n",
           "PAWL_FAILPOINT=rewrite.in_cutover=stop@1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_with_a_transform_asks_as_often_as_it_is_told),
        cmocka_unit_test(a_swap_in_step_asks_as_often_as_it_is_told),
        cmocka_unit_test(a_rewrite_asks_as_often_as_it_is_told),
        cmocka_unit_test(a_capture_asks_as_often_as_it_is_told),
        cmocka_unit_test(a_switch_that_is_taken_back_waits_for_the_table),
        cmocka_unit_test(a_frozen_swap_lets_go_of_the_table),
        cmocka_unit_test(a_frozen_rewrite_lets_go_of_the_table),
        cmocka_unit_test(a_rewrite_says_of_each_constraint_once_that_it_is_done),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
