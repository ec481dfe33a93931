/* What deployments do to a database: many programs at once, and a pooler in between. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    CROWD = 20,
    ROWS = 3000
};

#define REVISION(id, parents, steps) "revision: \"" id "\"\nparents: [" parents "]\nup:\n" steps

/* A table, rows in it, a backfill, and what PostgreSQL cannot do in a transaction. */
static const char *
new_project(const char *conninfo, const char *extra)
{
    const char *dir = pawl_test_project_new(conninfo, extra);

    pawl_test_project_write(dir, "migrations/aaaa1111.yaml",
                            REVISION("aaaa1111", "",
                                     "  - sql: |\n"
                                     "      CREATE TABLE public.items (id bigint PRIMARY KEY, price text);\n"
                                     "      INSERT INTO public.items SELECT g, (g * 3)::text\n"
                                     "        FROM generate_series(1, 3000) g;\n"
                                     "    down:\n"
                                     "      - sql: DROP TABLE public.items\n"));
    pawl_test_project_write(
        dir, "migrations/bbbb2222.yaml",
        REVISION("bbbb2222", "aaaa1111",
                 "  - add_column: { table: public.items, column: cents, type: bigint }\n"
                 "  - add_column: { table: public.items, column: runs, type: int, default: 0 }\n"));
    pawl_test_project_write(
        dir, "migrations/transforms/cents.lua",
        "return function(r) return { cents = tonumber(r.price) * 100, runs = r.runs + 1 } end\n");
    pawl_test_project_write(dir, "migrations/cccc3333.yaml",
                            REVISION("cccc3333", "bbbb2222",
                                     "  - backfill:\n"
                                     "      table: public.items\n"
                                     "      read: [price, runs]\n"
                                     "      write: [cents, runs]\n"
                                     "      lua: transforms/cents.lua\n"
                                     "      batch: 200\n"
                                     "    down: nothing\n"
                                     "  - set_not_null: { table: public.items, column: cents }\n"));
    return dir;
}

/* Every row was transformed, and once. */
static void
assert_filled(const char *conninfo)
{
    assert_int_equal(pawl_test_query_i64(conninfo, "SELECT count(*) FROM public.items "
                                                   "WHERE cents = price::bigint * 100 AND runs = 1"),
                     ROWS);
    assert_int_equal(pawl_test_query_i64(conninfo, "SELECT count(*) FROM public.items"), ROWS);
}

static void
of_twenty_upgrades_at_once_one_applies_and_all_end_well(void **state)
{
    const char *db = pawl_test_database_new("crowd");
    const char *dir = new_project(db, "wait: 120s\n");
    const char *const args[] = {"upgrade", NULL};
    pawl_test_process *crowd[CROWD];
    int applied = 0;
    int idle = 0;

    (void) state;
    for (int i = 0; i < CROWD; i++)
        crowd[i] = pawl_test_start(args, NULL, dir);
    for (int i = 0; i < CROWD; i++)
    {
        pawl_test_output output = pawl_test_wait(crowd[i], 180000);

        if (output.exit_code != 0)
            fail_msg("upgrade %d: exit code %d\n%s%s", i, output.exit_code, output.out, output.err);
        applied += strstr(output.err, "applied 3 revisions") != NULL ? 1 : 0;
        idle += strstr(output.err, "nothing to do") != NULL ? 1 : 0;
        pawl_test_output_free(&output);
    }
    assert_int_equal(applied, 1);
    assert_int_equal(idle, CROWD - 1);
    assert_filled(db);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.revision WHERE state = 'applied'"),
                     3);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'applied'"), 3);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 1);
}

/* The last one to be told goes on when the one that applied is killed in the middle. */
static void
crowd_takes_over_from_one_that_was_killed(void **state)
{
    const char *db = pawl_test_database_new("heirs");
    const char *dir = new_project(db, "wait: 120s\nlease: 2s\n");
    const char *const args[] = {"upgrade", NULL};
    const char *const env[] = {"PAWL_FAILPOINT=revision.after_finish=kill@2", NULL};
    pawl_test_process *first = pawl_test_start(args, env, dir);
    pawl_test_process *heirs[3];
    pawl_test_output output;

    (void) state;
    pawl_test_wait_until(db, "SELECT to_regclass('pawl.runner') IS NOT NULL", 30000);
    for (int i = 0; i < 3; i++)
        heirs[i] = pawl_test_start(args, NULL, dir);
    output = pawl_test_wait(first, 60000);
    assert_int_equal(output.signal_number, 9);
    pawl_test_output_free(&output);
    for (int i = 0; i < 3; i++)
    {
        output = pawl_test_wait(heirs[i], 120000);
        if (output.exit_code != 0)
            fail_msg("upgrade %d: exit code %d\n%s%s", i, output.exit_code, output.out, output.err);
        pawl_test_output_free(&output);
    }
    assert_filled(db);
}

static void
schema_steps_and_a_backfill_work_through_a_pooler_in_transaction_mode(void **state)
{
    const char *db = pawl_test_database_new("crowd_pooled");
    const char *pooled = pawl_test_pooled_conninfo("crowd_pooled");
    const char *dir = NULL;

    (void) state;
    if (pooled == NULL)
        skip();
    dir = new_project(pooled, NULL);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_filled(db);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    pawl_test_pawl_exits(dir, "status", NULL, 0);
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relname = 'items'"), 0);
}

/* Sessions change under each transaction: ten programs share the pooler's few. */
static void
several_upgrades_through_a_pooler_apply_once(void **state)
{
    const char *db = pawl_test_database_new("crowd_shared");
    const char *pooled = pawl_test_pooled_conninfo("crowd_shared");
    const char *const args[] = {"upgrade", NULL};
    pawl_test_process *crowd[10];
    const char *dir = NULL;

    (void) state;
    if (pooled == NULL)
        skip();
    dir = new_project(pooled, "wait: 120s\n");
    for (int i = 0; i < 10; i++)
        crowd[i] = pawl_test_start(args, NULL, dir);
    for (int i = 0; i < 10; i++)
    {
        pawl_test_output output = pawl_test_wait(crowd[i], 180000);

        if (output.exit_code != 0)
            fail_msg("upgrade %d: exit code %d\n%s%s", i, output.exit_code, output.out, output.err);
        pawl_test_output_free(&output);
    }
    assert_filled(db);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'applied'"), 3);
}

/* An index that is built concurrently cannot go through the pooler: it takes direct_database, and says so without. */
static void
what_a_pooler_cannot_do_goes_past_it(void **state)
{
    const char *db = pawl_test_database_new("crowd_past");
    const char *pooled = pawl_test_pooled_conninfo("crowd_past");
    const char *dir = NULL;
    char direct[300];
    const char *const env[] = {direct, NULL};
    pawl_test_output output;

    (void) state;
    if (pooled == NULL)
        skip();
    (void) snprintf(direct, sizeof direct, "PAWL_DIRECT_DATABASE=%s", db);
    dir = new_project(pooled, NULL);
    pawl_test_project_write(
        dir, "migrations/dddd4444.yaml",
        REVISION("dddd4444", "cccc3333",
                 "  - sql: CREATE INDEX CONCURRENTLY items_cents ON public.items (cents)\n"
                 "    down: nothing\n"));
    output = pawl_test_pawl(dir, "upgrade", NULL, NULL);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "direct_database"));
    pawl_test_output_free(&output);

    output = pawl_test_pawl(dir, "upgrade", NULL, env);
    if (output.exit_code != 0)
        fail_msg("%s%s", output.out, output.err);
    pawl_test_output_free(&output);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_index WHERE indisvalid AND "
                                             "indexrelid = 'public.items_cents'::regclass"),
                     1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(of_twenty_upgrades_at_once_one_applies_and_all_end_well),
        cmocka_unit_test(crowd_takes_over_from_one_that_was_killed),
        cmocka_unit_test(schema_steps_and_a_backfill_work_through_a_pooler_in_transaction_mode),
        cmocka_unit_test(several_upgrades_through_a_pooler_apply_once),
        cmocka_unit_test(what_a_pooler_cannot_do_goes_past_it),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
