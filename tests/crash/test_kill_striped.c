/*
 * Batches in stripes, killed between any two of their transactions: what is done twice or never shows, because the
 * transform is not idempotent. Several batches are in flight at each kill. PAWL_TEST_LONG makes the loop long.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/kill.h"
#include "support/project.h"
#include "support/session.h"
#include "util/rng.h"

#include "util/banned.h"

/* More than the workers have in flight: chunks are of 20,000 rows at least. */
#define ROWS 140000

/* Of the runs that are killed at random every so many gets a batch in. */
#define GETS_ON 6

#define REVISION               \
    "revision: \"a0000001\"\n" \
    "parents: []\n"            \
    "description: count up\n"  \
    "up:\n"                    \
    "  - backfill:\n"          \
    "      table: public.t\n"  \
    "%s"                       \
    "      batch: 4800\n"      \
    "      workers: 2\n"       \
    "      form: striped\n"    \
    "    down: nothing\n"

#define BY_LUA "      read: [n]\n      write: [n]\n      lua: transforms/increment.lua\n"
#define BY_SET "      set: { n: \"t.n + 1\" }\n"

static void
pause_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t) (ms / 1000), .tv_nsec = (long) (ms % 1000) * 1000000};

    (void) nanosleep(&t, NULL);
}

/* An integer key, or with `of_text` one whose stripes come of a hash. */
static const char *
project_of(const char *name, const char *what, bool of_text, const char **db)
{
    char sql[300];
    char revision[sizeof REVISION + 120];
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id %s PRIMARY KEY, n int NOT NULL);"
                    "INSERT INTO t SELECT %s, 0 FROM generate_series(1, %d) i; ANALYZE t",
                    of_text ? "text" : "bigint", of_text ? "'key ' || to_char(i, 'FM000000')" : "i", ROWS);
    pawl_test_exec(*db, sql);
    dir = pawl_test_project_new(*db, "lease: 2s\n");
    (void) snprintf(revision, sizeof revision, REVISION, what);
    pawl_test_project_write(dir, "migrations/a0000001_count.yaml", revision);
    pawl_test_project_write(dir, "migrations/transforms/increment.lua",
                            "return function(row) return { n = row.n + 1 } end\n");
    return dir;
}

static void
assert_every_row_once(const char *db)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE batch_hi IS NOT NULL"
                                             " OR stripe <> 0 OR state <> 'done'"),
                     0);
}

static void
killed_at(const char *point, const char *what, bool of_text)
{
    const char *db = NULL;
    const char *dir = project_of("point", what, of_text, &db);
    char variable[100];
    const char *const env[] = {variable, NULL};

    (void) snprintf(variable, sizeof variable, "PAWL_FAILPOINT=%s", point);

    pawl_test_output output = pawl_test_pawl(dir, "upgrade", NULL, env);

    if (output.signal_number != SIGKILL)
        fail_msg("%s was not met: exit code %d, %s", point, output.exit_code, output.err);
    pawl_test_output_free(&output);
    assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE stripe > 0") > 1);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db);
}

static void
pawl_killed_between_stripes_does_exactly_those_that_are_left(void **state)
{
    (void) state;
    killed_at("backfill.between_stripes=kill@9", BY_LUA, false);
    killed_at("backfill.between_stripes=kill@30", BY_LUA, true);
    killed_at("backfill.between_stripes=kill@75", BY_LUA, false);
    killed_at("backfill.between_stripes=kill@20", BY_SET, false);
    killed_at("backfill.between_stripes=kill@55", BY_SET, true);
}

static void
pawl_killed_within_a_stripe_does_it_again(void **state)
{
    (void) state;
    killed_at("backfill.after_read=kill@4", BY_LUA, false);
    killed_at("backfill.after_write=kill@31", BY_LUA, false);
    killed_at("backfill.before_commit=kill@47", BY_SET, false);
    killed_at("backfill.after_commit=kill@61", BY_LUA, false);
}

static void
killed_at_random(const char *name, const char *what, bool of_text)
{
    static const char *const slow[] = {
        "PAWL_FAILPOINT=backfill.between_stripes=sleep:1;backfill.before_commit=sleep:1", NULL};
    static const char *const args[] = {"upgrade", NULL};
    const int kills = pawl_test_is_long() ? 200 : 14;
    const char *db = NULL;
    const char *dir = project_of(name, what, of_text, &db);
    pawl_rng rng;

    pawl_rng_init(&rng, 11);
    for (int i = 0; i < kills; i++)
    {
        int64_t before = pawl_test_batches(db);
        pawl_test_process *p = pawl_test_start(args, slow, dir);

        if (i % GETS_ON == 0)
            pawl_test_await_batch(db, before);
        pause_ms(60 + pawl_rng_below(&rng, 200));
        pawl_test_kill(pawl_test_process_pid(p), SIGKILL);

        pawl_test_output output = pawl_test_wait(p, 30000);

        if (output.signal_number == 0 && output.exit_code != 0)
            fail_msg("pawl failed: %s", output.err);
        pawl_test_output_free(&output);
    }
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db);
}

static void
pawl_killed_at_random_moments_does_every_row_once(void **state)
{
    (void) state;
    killed_at_random("random_lua", BY_LUA, false);
    killed_at_random("random_set", BY_SET, true);
}

/* The sessions die, the process lives: it forgets the rows of all batches in flight and takes their chunks up again. */
static void
killed_backends_are_replaced_and_every_row_is_done_once(void **state)
{
    static const char *const slow[] = {"PAWL_FAILPOINT=backfill.between_stripes=sleep:2", NULL};
    static const char *const args[] = {"upgrade", NULL};
    const char *db = NULL;
    const char *dir = project_of("backends", BY_LUA, false, &db);
    pawl_test_process *p = pawl_test_start(args, slow, dir);

    (void) state;
    pawl_test_wait_until(
        db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'", 10000);
    for (int i = 0; i < 6; i++)
    {
        pause_ms(70);
        pawl_test_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'pawl job%' ORDER BY random() LIMIT 1");
    }

    pawl_test_output output = pawl_test_wait(p, 120000);

    if (output.exit_code != 0)
        fail_msg("%d: %s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    assert_every_row_once(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pawl_killed_between_stripes_does_exactly_those_that_are_left),
        cmocka_unit_test(pawl_killed_within_a_stripe_does_it_again),
        cmocka_unit_test(pawl_killed_at_random_moments_does_every_row_once),
        cmocka_unit_test(killed_backends_are_replaced_and_every_row_is_done_once),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
