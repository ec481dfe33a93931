/*
 * Killed anywhere while bad rows are set aside and while they are tried again: every row is once transformed or once in
 * `reject`, never both and never neither. The transform counts up, so that a row done twice or never shows.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/session.h"
#include "util/rng.h"

#include "util/banned.h"

#define REVISION                        \
    "revision: \"a0000001\"\n"          \
    "parents: []\n"                     \
    "description: count up\n"           \
    "up:\n"                             \
    "  - backfill:\n"                   \
    "      table: public.t\n"           \
    "      read: [n]\n"                 \
    "      write: [n]\n"                \
    "      lua: transforms/count.lua\n" \
    "      batch: 100\n"                \
    "      workers: 2\n"                \
    "      on_error: quarantine\n"      \
    "      max_rejects: 100000\n"       \
    "    down: nothing\n"

enum
{
    ROWS = 4000,
    BAD = ROWS / 8 + ROWS / 50 /* the transform refuses one row of eight, the server one of fifty */
};

static bool
is_long(void)
{
    return getenv("PAWL_TEST_LONG") != NULL;
}

static const char *
project_of(const char *name, const char **db)
{
    char sql[300];
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL,"
                    " CONSTRAINT refuses CHECK (n = 0 OR id %% 50 <> 25));"
                    "INSERT INTO t SELECT i, 0 FROM generate_series(1, %d) i; ANALYZE t",
                    ROWS);
    pawl_test_exec(*db, sql);
    dir = pawl_test_project_new(*db, "lease: 2s\n");
    pawl_test_project_write(dir, "migrations/a0000001_count.yaml", REVISION);
    pawl_test_project_write(dir, "migrations/transforms/count.lua",
                            "return function(row) if row.id % 8 == 0 then error('bad') end "
                            "return { n = row.n + 1 } end\n");
    return dir;
}

/* Done once, or set aside once and not done. */
static void
assert_each_once(const char *db, int rejects)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), ROWS);
    assert_int_equal(pawl_test_query_i64(db,
                                         "SELECT count(*) FROM t LEFT JOIN (SELECT key, count(*) AS c FROM"
                                         " pawl.reject WHERE state = 'open' GROUP BY key) r"
                                         " ON r.key = ARRAY[t.id::text]"
                                         " WHERE t.n + coalesce(r.c, 0) <> 1"),
                     0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'open'"),
                     rejects);
}

/* Never more than once, while it goes on. */
static void
assert_none_twice(const char *db)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t LEFT JOIN pawl.reject r"
                                             " ON r.key = ARRAY[t.id::text] AND r.state = 'open'"
                                             " WHERE t.n + (r.key IS NOT NULL)::int > 1"),
                     0);
}

static void
kill_at_random(const char *db, const char *dir, const char *const *args, const char *point, pawl_rng *rng,
               int kills, int done_code)
{
    const char *const env[] = {point, NULL};
    int killed = 0;

    for (int i = 0; i < kills; i++)
    {
        pawl_test_process *p = pawl_test_start(args, env, dir);

        pawl_test_sleep_ms((int) (20 + pawl_rng_below(rng, 120)));
        pawl_test_kill(pawl_test_process_pid(p), SIGKILL);

        pawl_test_output output = pawl_test_wait(p, 30000);

        killed += output.signal_number == SIGKILL ? 1 : 0;
        if (output.signal_number == 0 && output.exit_code != done_code && output.exit_code != 4)
            fail_msg("pawl failed: %s", output.err);
        pawl_test_output_free(&output);
        if (killed > 0 && i % 5 == 0 &&
            pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relname = 'reject'") > 0)
            assert_none_twice(db);
    }
    assert_true(killed > 0);
}

static void
end_with(const char *dir, const char *const *args, int exit_code)
{
    pawl_test_output output = pawl_test_run(args, NULL, dir);

    if (output.exit_code != exit_code)
        fail_msg("exit code %d, not %d: %s%s", output.exit_code, exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

static const char *const UPGRADE[] = {"upgrade", NULL};
static const char *const RETRY[] = {"rejects", "1", "--retry", NULL};

static void
mend(const char *db, const char *dir)
{
    pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT refuses");
    pawl_test_project_write(dir, "migrations/transforms/count.lua",
                            "return function(row) return { n = row.n + 1 } end\n");
}

static void
killed_at_random_moments_every_row_is_done_or_set_aside_once(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("random", &db);
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 11);
    kill_at_random(db, dir, UPGRADE,
                   "PAWL_FAILPOINT=backfill.after_read=sleep:2;backfill.after_write=sleep:2;backfill.before_"
                   "commit=sleep:2",
                   &rng, is_long() ? 100 : 12, 0);
    end_with(dir, UPGRADE, 4);
    assert_each_once(db, BAD);

    mend(db, dir);
    kill_at_random(
        db, dir, RETRY,
        "PAWL_FAILPOINT=retry.after_write=sleep:20;retry.before_commit=sleep:20;retry.after_commit=sleep:20",
        &rng, is_long() ? 30 : 5, 0);
    end_with(dir, RETRY, 0);
    end_with(dir, UPGRADE, 0);
    assert_each_once(db, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'done'"), BAD);
}

static void
kill_at(const char *dir, const char *const *args, const char *point)
{
    char variable[100];
    const char *const env[] = {variable, NULL};
    pawl_test_output output;

    (void) snprintf(variable, sizeof variable, "PAWL_FAILPOINT=%s", point);
    output = pawl_test_run(args, env, dir);
    if (output.signal_number != SIGKILL)
        fail_msg("%s was not met: exit code %d, %s", point, output.exit_code, output.err);
    pawl_test_output_free(&output);
}

static void
killed_at_each_failpoint_every_row_is_done_or_set_aside_once(void **state)
{
    static const char *const points[] = {"backfill.after_read=kill@30", "backfill.after_write=kill@30",
                                         "backfill.before_commit=kill@30", "backfill.after_commit=kill@30"};
    static const char *const again[] = {"retry.after_write=kill@1", "retry.before_commit=kill@1",
                                        "retry.after_commit=kill@1"};
    const char *db = NULL;
    const char *dir = project_of("points", &db);

    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
    {
        kill_at(dir, UPGRADE, points[i]);
        assert_none_twice(db);
    }
    kill_at(dir, UPGRADE, "job.before_finish=kill@1");
    end_with(dir, UPGRADE, 4);
    assert_each_once(db, BAD);

    mend(db, dir);
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
    {
        kill_at(dir, RETRY, again[i]);
        assert_none_twice(db);
    }
    end_with(dir, RETRY, 0);
    end_with(dir, UPGRADE, 0);
    assert_each_once(db, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_random_moments_every_row_is_done_or_set_aside_once),
        cmocka_unit_test(killed_at_each_failpoint_every_row_is_done_or_set_aside_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
