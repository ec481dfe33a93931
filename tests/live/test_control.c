/* Pause, resume, tune and abandon: from another process, within a second, and kept in the ledger. */
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

#include "util/banned.h"

/* A row takes about 2 ms, and is counted: done twice, or never, it shows. */
#define SLOW "n + 1 + (pg_sleep(0.002) IS NULL)::int"

#define REVISION(batch)                                                                         \
    "revision: \"aaaa1111\"\nparents: []\nup:\n"                                                \
    "  - backfill:\n      table: public.t\n      set: { n: \"" SLOW "\" }\n      batch: " batch \
    "\n      workers: 1\n"                                                                      \
    "    down: nothing\n"

typedef struct place
{
    const char *db;
    const char *dir;
} place;

static place
new_place(const char *name, int rows, const char *revision)
{
    place p = {.db = pawl_test_database_new(name)};
    char sql[200];

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);"
                    "INSERT INTO t SELECT g FROM generate_series(1, %d) g; ANALYZE t",
                    rows);
    pawl_test_exec(p.db, sql);
    p.dir = pawl_test_project_new(p.db, NULL);
    pawl_test_project_write(p.dir, "migrations/aaaa1111.yaml", revision);
    return p;
}

static pawl_test_process *
start_upgrade(place p)
{
    const char *const args[] = {"upgrade", "--json", NULL};
    pawl_test_process *process = pawl_test_start(args, NULL, p.dir);

    pawl_test_wait_until(p.db, "SELECT to_regclass('pawl.progress') IS NOT NULL", 20000);
    pawl_test_wait_until(p.db, "SELECT coalesce(sum(rows_written), 0) > 0 FROM pawl.progress", 20000);
    return process;
}

/* `pawl VERB A B` and its exit code; its messages must hold the words. */
static void
say(place p, const char *verb, const char *a, const char *b, int exit_code, const char *words)
{
    const char *const args[] = {verb, a, b, NULL};
    pawl_test_output output = pawl_test_run(args, NULL, p.dir);

    if (output.exit_code != exit_code || strstr(output.err, words) == NULL)
        fail_msg("%s: exit code %d\n%s%s", verb, output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

static void
end_well(place p, pawl_test_process *process, int rows)
{
    pawl_test_output output = pawl_test_wait(process, 60000);

    if (output.exit_code != 0)
        fail_msg("exit code %d\n%s%s", output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 1"), rows);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t"), rows);
}

#define HELD "SELECT count(*) = 0 FROM pawl.progress WHERE state = 'open' AND lease_until > '-infinity'"
#define LOCKED                                                                                          \
    "SELECT count(*) FROM pg_locks l JOIN pg_stat_activity a USING (pid) WHERE l.relation IS NOT NULL " \
    "AND a.application_name LIKE 'pawl job % worker %'"
#define WORKERS(n)                                                                                     \
    "SELECT count(*) = " n " FROM pg_stat_activity WHERE application_name LIKE 'pawl job % worker %' " \
    "AND datname = current_database()"

static void
pause_takes_a_second_at_most_and_keeps_nothing_locked(void **state)
{
    place p = new_place("pause", 2000, REVISION("50"));
    pawl_test_process *upgrade = start_upgrade(p);
    int64_t written;
    char *out;

    (void) state;
    say(p, "pause", "1", NULL, 0, "is paused");
    pawl_test_wait_until(p.db, HELD, 1000);
    written = pawl_test_query_i64(p.db, "SELECT sum(rows_written) FROM pawl.progress");
    pawl_test_sleep_ms(700);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT sum(rows_written) FROM pawl.progress"), written);
    assert_true(written < 2000);
    assert_int_equal(pawl_test_query_i64(p.db, LOCKED), 0);
    out = pawl_test_process_out(upgrade);
    assert_non_null(strstr(out, "\"holding\":\"paused by "));
    free(out);
    say(p, "pause", "aaaa", NULL, 0, "was paused already, by ");
    say(p, "resume", "aaaa1111", NULL, 0, "goes on");
    end_well(p, upgrade, 2000);
    say(p, "resume", "1", NULL, 1, "is done: nothing can be asked of it");
    assert_int_equal(pawl_test_query_i64(p.db,
                                         "SELECT count(*) FROM pawl.control WHERE by_whom = session_user "
                                         "AND from_where LIKE '%:%' AND action IN ('pause', 'resume')"),
                     2);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.event WHERE job_id = 1 AND kind IN "
                                               "('job_pause', 'job_resume')"),
                     2);
}

/* Stopped, paused, and started again: it stays paused, can be stopped, and goes on where it was. */
static void
upgrade_of_a_paused_job_waits(void **state)
{
    place p = new_place("paused", 1000, REVISION("50"));
    pawl_test_process *upgrade = start_upgrade(p);
    pawl_test_output output;
    int64_t written;

    (void) state;
    pawl_test_kill(pawl_test_process_pid(upgrade), SIGINT);
    output = pawl_test_wait(upgrade, 20000);
    assert_int_equal(output.exit_code, 3);
    pawl_test_output_free(&output);
    written = pawl_test_query_i64(p.db, "SELECT sum(rows_written) FROM pawl.progress");

    say(p, "pause", "1", NULL, 0, "is paused");
    upgrade = start_upgrade(p);
    pawl_test_wait_until(p.db, WORKERS("1"), 10000);
    pawl_test_sleep_ms(500);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT sum(rows_written) FROM pawl.progress"), written);
    pawl_test_kill(pawl_test_process_pid(upgrade), SIGINT);
    output = pawl_test_wait(upgrade, 20000);
    assert_int_equal(output.exit_code, 3);
    pawl_test_output_free(&output);
    say(p, "resume", "1", NULL, 0, "goes on");
    end_well(p, start_upgrade(p), 1000);
}

/* Another process sees every worker with its rate and its heartbeat, and what was tuned. */
static void
assert_status_tells(place p)
{
    const char *const args[] = {"status", "--json", NULL};
    pawl_test_output output = pawl_test_run(args, NULL, p.dir);

    assert_int_equal(output.exit_code, 0);
    pawl_test_assert_contains(output.out, "\"rows_per_s\"");
    pawl_test_assert_contains(output.out, "\"heartbeat_ms\"");
    pawl_test_assert_contains(output.out, "workers=2");
    pawl_test_output_free(&output);
    output = pawl_test_pawl(p.dir, "status", NULL, NULL);
    assert_int_equal(output.exit_code, 0);
    pawl_test_assert_contains(output.out, "heartbeat");
    pawl_test_assert_contains(output.out, "tuned: workers=2");
    pawl_test_output_free(&output);
}

static void
tune_changes_workers_and_batches_while_they_run(void **state)
{
    place p = new_place("tune", 3000, REVISION("20"));
    pawl_test_process *upgrade = start_upgrade(p);

    (void) state;
    pawl_test_wait_until(p.db, WORKERS("1"), 5000);
    say(p, "tune", "1", "workers=3", 0, "runs with workers=3");
    pawl_test_wait_until(p.db, WORKERS("3"), 1500);
    say(p, "tune", "1", "workers=1", 0, "runs with");
    pawl_test_wait_until(p.db, WORKERS("1"), 1500);
    say(p, "tune", "1", "workers=2", 0, "runs with");
    pawl_test_wait_until(p.db, WORKERS("2"), 1500);
    assert_status_tells(p);
    say(p, "tune", "1", "batch=500", 0, "runs with");
    end_well(p, upgrade, 3000);
    /* 3,000 rows by 20 are 150 batches. */
    assert_true(pawl_test_query_i64(p.db, "SELECT sum(batches) FROM pawl.progress") < 100);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.control WHERE action = 'tune'"), 4);
}

static void
what_cannot_be_asked_is_named(void **state)
{
    place p = new_place("wrong", 10, REVISION("20"));

    (void) state;
    say(p, "pause", "1", NULL, 2, "no revision was ever applied");
    pawl_test_pawl_exits(p.dir, "upgrade", NULL, 0);
    say(p, "pause", "7", NULL, 2, "there is no job \"7\"");
    say(p, "tune", "1", "max_rat=5", 2, "did you mean \"max_rate\"?");
    say(p, "tune", "1", "batch=0", 2, "expected default, or auto, or a whole number from 1 to 1000000");
    say(p, "tune", "1", "window=22:00", 2, "22:00-06:00 Europe/Berlin");
    say(p, "tune", "1", "batch", 2, "is no KEY=VALUE");
    say(p, "tune", "1", "batch=5", 1, "is done: nothing can be asked of it");
}

static void
abandoned_job_is_begun_anew_only_with_restart(void **state)
{
    place p = new_place("abandon", 1500, REVISION("50"));
    pawl_test_process *upgrade = start_upgrade(p);
    pawl_test_output output;
    char words[64];

    (void) state;
    say(p, "abandon", "1", NULL, 0, "is abandoned");
    output = pawl_test_wait(upgrade, 3000);
    assert_int_equal(output.exit_code, 1);
    pawl_test_assert_contains(output.out, "job 1 was abandoned by ");
    pawl_test_output_free(&output);
    (void) snprintf(words, sizeof words, "after %lld rows",
                    (long long) pawl_test_query_i64(p.db, "SELECT sum(rows_written) FROM pawl.progress"));
    say(p, "upgrade", NULL, NULL, 1, words);
    assert_true(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 1") > 0);

    /* Its step may be another now; here it makes good what was done. */
    pawl_test_project_write(p.dir, "migrations/aaaa1111.yaml",
                            "revision: \"aaaa1111\"\nparents: []\nup:\n"
                            "  - backfill:\n      table: public.t\n      set: { n: \"1\" }\n"
                            "    down: nothing\n");
    say(p, "upgrade", NULL, NULL, 1, "pawl upgrade --restart");
    say(p, "upgrade", "--restart", NULL, 0, "is begun anew");
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM t WHERE n = 1"), 1500);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
    assert_int_equal(pawl_test_query_i64(p.db,
                                         "SELECT count(*) FROM pawl.event WHERE kind IN ('job_abandon', "
                                         "'job_restarted')"),
                     2);
}

/* The way back of a revision whose backfill was given up. */
static void
abandoned_revision_can_be_taken_back(void **state)
{
    place p = new_place("back", 1000, REVISION("50"));
    pawl_test_process *upgrade = start_upgrade(p);
    pawl_test_output output;

    (void) state;
    say(p, "abandon", "aaaa1111", NULL, 0, "is abandoned");
    output = pawl_test_wait(upgrade, 3000);
    assert_int_equal(output.exit_code, 1);
    pawl_test_output_free(&output);
    pawl_test_pawl_exits(p.dir, "downgrade", "base", 0);
    assert_int_equal(pawl_test_query_i64(p.db, "SELECT count(*) FROM pawl.revision"), 0);
}

static void
what_is_tuned_is_the_last_word_of_each_key_and_part(void **state)
{
    static const struct
    {
        const char *said;
        const char *tuned;
    } cases[] = {
        {"{}", ""},
        {"{max_rate=5,batch=10,max_rate=7}", "batch=10|max_rate=7"},
        {"{max_rate=5,max_rate=default}", ""},
        {"{max_lag=64MB,max_lag=5s}", "max_lag=64MB|max_lag=5s"},
        {"{max_lag=5 s,max_lag=64 MB,max_lag=1min}", "max_lag=64 MB|max_lag=1min"},
        {"{max_lag=1 GiB 3 s,max_lag=5s}", "max_lag=1 GiB 3 s|max_lag=5s"},
        {"{max_lag=5s,max_lag=64MB,max_lag=3s 1kB}", "max_lag=3s 1kB"},
        {"{max_lag=5s,max_lag=64MB,max_lag=default}", ""},
        {"{max_lag=5s,max_lag=64MB,max_lag=none}", "max_lag=none"},
        {"{max_lag=none,max_lag=5s}", "max_lag=none|max_lag=5s"},
        {"{max_lag=64MB,max_lag=default,max_lag=5s}", "max_lag=5s"},
    };
    place p = new_place("tuned", 10, REVISION("50"));

    (void) state;
    pawl_test_pawl_exits(p.dir, "upgrade", NULL, 0);
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        char sql[400];

        (void) snprintf(
            sql, sizeof sql,
            "DELETE FROM pawl.control; INSERT INTO pawl.control (job_id, action, value, from_where) "
            "SELECT 1, 'tune', u.v, 'test' FROM unnest('%s'::text[]) WITH ORDINALITY u(v, i) "
            "ORDER BY u.i",
            cases[i].said);
        pawl_test_exec(p.db, sql);
        pawl_test_assert_query(p.db, "SELECT pawl.tuned(1, '|')", cases[i].tuned);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pause_takes_a_second_at_most_and_keeps_nothing_locked),
        cmocka_unit_test(upgrade_of_a_paused_job_waits),
        cmocka_unit_test(tune_changes_workers_and_batches_while_they_run),
        cmocka_unit_test(what_is_tuned_is_the_last_word_of_each_key_and_part),
        cmocka_unit_test(what_cannot_be_asked_is_named),
        cmocka_unit_test(abandoned_job_is_begun_anew_only_with_restart),
        cmocka_unit_test(abandoned_revision_can_be_taken_back),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
