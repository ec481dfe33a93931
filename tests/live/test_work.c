/* Several processes on one job: they join, die and come back, and every row is done once. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/session.h"
#include "util/rng.h"

#include "util/banned.h"

typedef struct place
{
    const char *db;
    const char *dir;
} place;

#define REVISION                                                                \
    "revision: \"aaaa1111\"\nparents: []\nup:\n"                                \
    "  - backfill:\n      table: public.t\n      read: [n]\n      write: [n]\n" \
    "      lua: transforms/count.lua\n      batch: 400\n      workers: 1\n    down: nothing\n"

#define COUNT_LUA "return function(row) return { n = row.n + 1 } end\n"

/* A batch of 400 rows takes 30 ms: its statement waits in a trigger. A chunk has 20,000 rows. */
static place
new_place(const char *name, const char *conninfo, int rows)
{
    place p = {.db = pawl_test_database_new(name)};
    char sql[600];

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);"
                    "INSERT INTO t SELECT g FROM generate_series(1, %d) g; ANALYZE t;"
                    "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                    "'BEGIN PERFORM pg_sleep(0.03); RETURN NULL; END';"
                    "CREATE TRIGGER slow BEFORE UPDATE ON t FOR EACH STATEMENT EXECUTE FUNCTION slow()",
                    rows);
    pawl_test_exec(p.db, sql);
    p.dir = pawl_test_project_new(conninfo != NULL ? conninfo : p.db, "lease: 5s\n");
    pawl_test_project_write(p.dir, "migrations/aaaa1111.yaml", REVISION);
    pawl_test_project_write(p.dir, "migrations/transforms/count.lua", COUNT_LUA);
    return p;
}

static pawl_test_process *
start(place p, const char *verb, const char *arg)
{
    const char *const args[] = {verb, "--json", arg, NULL};

    return pawl_test_start(args, NULL, p.dir);
}

static pawl_test_process *
start_upgrade(place p)
{
    pawl_test_process *upgrade = start(p, "upgrade", NULL);

    pawl_test_wait_until(p.db, "SELECT to_regclass('pawl.progress') IS NOT NULL", 20000);
    pawl_test_wait_until(p.db, "SELECT coalesce(sum(rows_written), 0) > 0 FROM pawl.progress", 20000);
    return upgrade;
}

static void
end(pawl_test_process *process, int exit_code, const char *words)
{
    pawl_test_output output = pawl_test_wait(process, 90000);

    if (output.exit_code != exit_code || strstr(output.out, words) == NULL)
        fail_msg("exit code %d\n%s%s", output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

static void
assert_once(place p, int rows)
{
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 1"), rows);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
}

#define OWNERS "SELECT count(DISTINCT split_part(owner, '/', 1)) FROM pawl.progress"

static void
joined_processes_share_the_job(void **state)
{
    place p = new_place("shared", NULL, 80000);
    pawl_test_process *upgrade = start_upgrade(p);
    pawl_test_process *one = start(p, "work", "1");
    pawl_test_process *two = start(p, "work", "aaaa1111");

    (void) state;
    end(one, 0, "\"event\":\"job_worked\"");
    end(two, 0, "\"event\":\"job_worked\"");
    end(upgrade, 0, "\"status\":\"ok\"");
    assert_once(p, 80000);
    assert_int_equal(pawl_test_query_i64(p.db, OWNERS), 3);
}

/* Nobody runs the step any more, and the work goes on; the next upgrade finds it done. */
static void
work_needs_no_upgrade_beside_it(void **state)
{
    place p = new_place("alone", NULL, 40000);
    pawl_test_process *upgrade = start_upgrade(p);
    pawl_test_output output;

    (void) state;
    pawl_test_kill(pawl_test_process_pid(upgrade), SIGKILL);
    output = pawl_test_wait(upgrade, 10000);
    pawl_test_output_free(&output);
    end(start(p, "work", "1"), 0, "\"event\":\"job_worked\"");
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 1"), 40000);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.job WHERE state = 'open'"), 1);
    end(start(p, "upgrade", NULL), 0, "\"status\":\"ok\"");
    assert_once(p, 40000);
    end(start(p, "work", "1"), 1, "is done: there is nothing to join");
}

static void
another_transform_or_other_arguments_are_refused(void **state)
{
    place p = new_place("other", NULL, 40000);
    pawl_test_process *upgrade = start_upgrade(p);
    place copy = {.db = p.db, .dir = pawl_test_project_new(p.db, NULL)};
    const char *const args[] = {"work", "--json", "1", "-x", "factor=2", NULL};

    (void) state;
    pawl_test_project_write(copy.dir, "migrations/aaaa1111.yaml", REVISION);
    pawl_test_project_write(copy.dir, "migrations/transforms/count.lua", "-- another\n" COUNT_LUA);
    end(start(copy, "work", "1"), 1, "or other Lua, than is here");
    end(pawl_test_start(args, NULL, p.dir), 1, "the same -x arguments");
    end(start(p, "work", "7"), 2, "there is no job");
    end(upgrade, 0, "\"status\":\"ok\"");
    assert_once(p, 40000);
}

/* The upgrade comes back with mended Lua: whoever still has the old text writes nothing more. */
static void
work_with_the_old_transform_ends_when_it_is_mended(void **state)
{
    place p = new_place("mended", NULL, 80000);
    pawl_test_process *upgrade = start_upgrade(p);
    place copy = {.db = p.db, .dir = pawl_test_project_new(p.db, NULL)};
    pawl_test_process *old;
    pawl_test_output output;

    (void) state;
    pawl_test_project_write(copy.dir, "migrations/aaaa1111.yaml", REVISION);
    pawl_test_project_write(copy.dir, "migrations/transforms/count.lua", COUNT_LUA);
    old = start(copy, "work", "1");
    pawl_test_wait_until(p.db, "SELECT count(DISTINCT split_part(owner, '/', 1)) = 2 FROM pawl.progress",
                         10000);
    pawl_test_kill(pawl_test_process_pid(upgrade), SIGINT);
    output = pawl_test_wait(upgrade, 20000);
    assert_int_equal(output.exit_code, 3);
    pawl_test_output_free(&output);

    pawl_test_project_write(p.dir, "migrations/transforms/count.lua",
                            "return function(row) return { n = row.n + 101 } end\n");
    upgrade = start(p, "upgrade", NULL);
    end(old, 1, "was changed: another process runs it");
    end(upgrade, 0, "\"status\":\"ok\"");
    /* What either wrote it wrote once; and the old one wrote nothing after the new one had begun. */
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n IN (1, 101)"), 80000);
    assert_true(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 101") > 0);
    assert_int_equal(pawl_test_query_i64(p.db,
                                         "SELECT count(*) FROM t o WHERE o.n = 1 AND o.xmin::text::bigint > "
                                         "(SELECT min(w.xmin::text::bigint) FROM t w WHERE w.n = 101)"),
                     0);
}

#define HELPERS 3

/* Killed and started again at random, the upgrade too, until it is done. */
static void
churn(place p, uint64_t seed)
{
    pawl_test_process *crew[HELPERS + 1];
    pawl_rng rng;

    pawl_rng_init(&rng, seed);
    crew[0] = start_upgrade(p);
    for (int i = 1; i <= HELPERS; i++)
        crew[i] = start(p, "work", "1");
    for (int kills = 0; kills < 12; kills++)
    {
        int victim = (int) pawl_rng_below(&rng, HELPERS + 1);
        pawl_test_output output;

        pawl_test_sleep_ms(50 + (int) pawl_rng_below(&rng, 250));
        pawl_test_kill(pawl_test_process_pid(crew[victim]), SIGKILL);
        output = pawl_test_wait(crew[victim], 10000);
        pawl_test_output_free(&output);
        crew[victim] = victim == 0 ? start(p, "upgrade", NULL) : start(p, "work", "1");
    }
    for (int i = HELPERS; i >= 0; i--)
    {
        pawl_test_output output = pawl_test_wait(crew[i], 90000);

        /* One that came when all was done found nothing to join. */
        if (output.exit_code != 0 && (i == 0 || strstr(output.out, "nothing to join") == NULL))
            fail_msg("seed %llu, process %d: exit code %d\n%s%s", (unsigned long long) seed, i,
                     output.exit_code, output.out, output.err);
        pawl_test_output_free(&output);
    }
}

static void
processes_killed_and_started_again_at_random_do_every_row_once(void **state)
{
    place p = new_place("churn", NULL, 120000);

    (void) state;
    churn(p, 20260131);
    assert_once(p, 120000);
}

/* Sessions change under each transaction, and a backend's pid says nothing. */
static void
all_of_it_works_through_a_pooler_in_transaction_mode(void **state)
{
    const char *pooled = pawl_test_pooled_conninfo("pooled");
    pawl_test_process *upgrade;
    pawl_test_process *work;
    pawl_test_output output;
    place p;

    (void) state;
    if (pooled == NULL)
        skip();
    p = new_place("pooled", pooled, 80000);
    upgrade = start_upgrade(p);
    work = start(p, "work", "1");
    pawl_test_wait_until(p.db, "SELECT count(DISTINCT split_part(owner, '/', 1)) = 2 FROM pawl.progress",
                         10000);
    end(start(p, "pause", "1"), 0, "\"job_pause\"");
    pawl_test_wait_until(
        p.db, "SELECT count(*) = 0 FROM pawl.progress WHERE state = 'open' AND lease_until > '-infinity'",
        1500);
    pawl_test_exec(p.db, "INSERT INTO pawl.control (job_id, action, value, from_where) "
                         "VALUES (1, 'tune', 'workers=2', 'test')");
    end(start(p, "resume", "1"), 0, "\"job_resume\"");
    pawl_test_wait_until(p.db,
                         "SELECT count(DISTINCT owner) >= 3 FROM pawl.progress WHERE state = 'open' "
                         "AND lease_until > clock_timestamp()",
                         5000);
    pawl_test_kill(pawl_test_process_pid(work), SIGKILL);
    output = pawl_test_wait(work, 10000);
    pawl_test_output_free(&output);
    work = start(p, "work", "1");
    end(work, 0, "\"job_worked\"");
    end(upgrade, 0, "\"status\":\"ok\"");
    assert_once(p, 80000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joined_processes_share_the_job),
        cmocka_unit_test(work_needs_no_upgrade_beside_it),
        cmocka_unit_test(another_transform_or_other_arguments_are_refused),
        cmocka_unit_test(work_with_the_old_transform_ends_when_it_is_mended),
        cmocka_unit_test(processes_killed_and_started_again_at_random_do_every_row_once),
        cmocka_unit_test(all_of_it_works_through_a_pooler_in_transaction_mode),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
