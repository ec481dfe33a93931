/*
 * Killed anywhere, resumed, and every row done exactly once: the transform is not idempotent (n = n + 1), so that a row
 * done twice or never shows. The short loops run always; PAWL_TEST_LONG makes them long.
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

/* %d is the batch size. */
#define REVISION                            \
    "revision: \"a0000001\"\n"              \
    "parents: []\n"                         \
    "description: count up\n"               \
    "up:\n"                                 \
    "  - backfill:\n"                       \
    "      table: public.t\n"               \
    "      read: [n]\n"                     \
    "      write: [n]\n"                    \
    "      lua: transforms/increment.lua\n" \
    "      batch: %d\n"                     \
    "      workers: 2\n"                    \
    "    down: nothing\n"

/* Of the runs that are killed at random every so many gets a batch in. */
#define GETS_ON 6

/* Each batch is held a moment, so that a kill at a random time finds one in every state. */
static const char *const SLOW[] = {
    "PAWL_FAILPOINT=backfill.after_read=sleep:3;backfill.after_write=sleep:3;backfill.before_commit=sleep:2",
    NULL};

static void
pause_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t) (ms / 1000), .tv_nsec = (long) (ms % 1000) * 1000000};

    (void) nanosleep(&t, NULL);
}

static const char *
project_of(const char *name, int rows, int batch, const char **db)
{
    char sql[200];
    char revision[sizeof REVISION + 16];
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL);"
                    "INSERT INTO t SELECT i, 0 FROM generate_series(1, %d) i; ANALYZE t",
                    rows);
    pawl_test_exec(*db, sql);
    dir = pawl_test_project_new(*db, "lease: 2s\n");
    (void) snprintf(revision, sizeof revision, REVISION, batch);
    pawl_test_project_write(dir, "migrations/a0000001_count.yaml", revision);
    pawl_test_project_write(dir, "migrations/transforms/increment.lua",
                            "return function(row) return { n = row.n + 1 } end\n");
    return dir;
}

static pawl_test_process *
start_upgrade(const char *dir, const char *const *env)
{
    static const char *const args[] = {"upgrade", NULL};

    return pawl_test_start(args, env, dir);
}

static void
wait_for_batches(const char *db, int at_least)
{
    char sql[120];

    pawl_test_wait_until(db, "SELECT to_regclass('pawl.event') IS NOT NULL", 10000);
    (void) snprintf(sql, sizeof sql, "SELECT coalesce(sum(batches), 0) >= %d FROM pawl.progress", at_least);
    pawl_test_wait_until(db, sql, 10000);
}

static void
assert_every_row_once(const char *db, int rows)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.revision WHERE state = 'applied'"),
                     1);
}

static void
pawl_killed_at_random_moments_does_every_row_once(void **state)
{
    const int rows = pawl_test_is_long() ? 400000 : 40000;
    const int kills = pawl_test_is_long() ? 200 : 24;
    const char *db = NULL;
    const char *dir = project_of("killed", rows, 100, &db);
    pawl_rng rng;
    int killed = 0;

    (void) state;
    pawl_rng_init(&rng, 7);
    for (int i = 0; i < kills; i++)
    {
        int64_t before = pawl_test_batches(db);
        pawl_test_process *p = start_upgrade(dir, SLOW);

        if (i % GETS_ON == 0)
            pawl_test_await_batch(db, before);
        pause_ms(20 + pawl_rng_below(&rng, 100));
        pawl_test_kill(pawl_test_process_pid(p), SIGKILL);

        pawl_test_output output = pawl_test_wait(p, 30000);

        killed += output.signal_number == SIGKILL ? 1 : 0;
        if (output.signal_number == 0 && output.exit_code != 0)
            fail_msg("pawl failed: %s", output.err);
        pawl_test_output_free(&output);
    }
    assert_in_range(killed, 20, kills);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db, rows);
}

/* Every place where a crash could fall between two things that belong together. */
static void
pawl_killed_at_each_failpoint_does_every_row_once(void **state)
{
    static const char *const points[] = {"job.after_open=kill@1",         "claim.before_insert=kill@2",
                                         "claim.after_insert=kill@2",     "backfill.after_read=kill@5",
                                         "backfill.after_write=kill@5",   "backfill.before_commit=kill@5",
                                         "backfill.after_commit=kill@5",  "backfill.after_commit=kill@19",
                                         "backfill.after_commit=kill@20", "backfill.before_commit=kill@45"};

    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
    {
        const char *db = NULL;
        const char *dir = project_of("point", 45000, 1000, &db);
        char variable[100];
        const char *const env[] = {variable, NULL};

        (void) snprintf(variable, sizeof variable, "PAWL_FAILPOINT=%s", points[i]);

        pawl_test_output output = pawl_test_pawl(dir, "upgrade", NULL, env);

        if (output.signal_number != SIGKILL)
            fail_msg("%s was not met: exit code %d, %s", points[i], output.exit_code, output.err);
        pawl_test_output_free(&output);
        pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
        assert_every_row_once(db, 45000);
    }
}

static void
killed_backends_are_replaced_and_every_row_is_done_once(void **state)
{
    const int rows = pawl_test_is_long() ? 400000 : 30000;
    const char *db = NULL;
    const char *dir = project_of("backends", rows, 100, &db);
    pawl_test_process *p = start_upgrade(dir, SLOW);

    (void) state;
    pawl_test_wait_until(
        db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'", 10000);
    for (int i = 0; i < 10; i++)
    {
        pause_ms(60);
        pawl_test_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'pawl job%' ORDER BY random() LIMIT 1");
    }

    pawl_test_output output = pawl_test_wait(p, 120000);

    if (output.exit_code != 0)
        fail_msg("%d: %s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    assert_every_row_once(db, rows);
}

/* `is_crash` with SIGKILL of all backends, otherwise an orderly restart. */
static void
restart_under_load(const char *name, bool is_crash)
{
    const int rows = pawl_test_is_long() ? 400000 : 30000;
    const char *db = NULL;
    const char *dir = project_of(name, rows, 100, &db);
    pawl_test_process *p = start_upgrade(dir, SLOW);

    for (int i = 0; i < 2; i++)
    {
        pawl_test_wait_until(
            db, "SELECT count(*) > 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'", 20000);
        pause_ms(200);
        pawl_test_server_restart(is_crash);
    }

    pawl_test_output output = pawl_test_wait(p, 120000);

    if (output.exit_code != 0)
    {
        /* The coordinator's own session may have been the one that died: to go on is another upgrade. */
        pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    }
    pawl_test_output_free(&output);
    assert_every_row_once(db, rows);
}

static void
a_server_restart_under_load_does_every_row_once(void **state)
{
    (void) state;
    restart_under_load("restart", false);
}

static void
a_server_crash_under_load_does_every_row_once(void **state)
{
    (void) state;
    restart_under_load("crash", true);
}

/* Stopped with a transaction open and past its lease, then continued: it changes nothing, and while it is stopped it
 * keeps nobody waiting for longer than the lease. */
static void
a_stalled_pawl_that_wakes_up_changes_nothing(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("stalled", 3000, 100, &db);
    static const char *const env[] = {"PAWL_FAILPOINT=backfill.after_write=stop@8", NULL};
    pawl_test_process *stalled = start_upgrade(dir, env);

    (void) state;
    pawl_test_wait_stopped(stalled);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db, 3000);
    pawl_test_kill(pawl_test_process_pid(stalled), SIGCONT);

    pawl_test_output output = pawl_test_wait(stalled, 30000);

    pawl_test_output_free(&output);
    assert_every_row_once(db, 3000);
}

static void
an_interrupt_finishes_the_batch_and_says_how_to_go_on(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("interrupt", 30000, 100, &db);
    pawl_test_process *p = start_upgrade(dir, SLOW);

    (void) state;
    wait_for_batches(db, 6);
    pawl_test_kill(pawl_test_process_pid(p), SIGINT);

    pawl_test_output output = pawl_test_wait(p, 10000);

    assert_int_equal(output.exit_code, 3);
    pawl_test_assert_contains(output.err, "pawl upgrade");
    pawl_test_output_free(&output);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT sum(n) - (SELECT sum(rows_written) FROM pawl.progress) FROM t"), 0);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db, 30000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pawl_killed_at_random_moments_does_every_row_once),
        cmocka_unit_test(pawl_killed_at_each_failpoint_does_every_row_once),
        cmocka_unit_test(killed_backends_are_replaced_and_every_row_is_done_once),
        cmocka_unit_test(a_server_restart_under_load_does_every_row_once),
        cmocka_unit_test(a_server_crash_under_load_does_every_row_once),
        cmocka_unit_test(a_stalled_pawl_that_wakes_up_changes_nothing),
        cmocka_unit_test(an_interrupt_finishes_the_batch_and_says_how_to_go_on),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
