/*
 * `into:` killed anywhere and resumed. Copied rows have no key in the other table, so that one written twice shows as
 * two, and merged ones count how often they were written: what is committed twice is seen.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

enum
{
    ROWS = 12000
};

#define COPY  ""
#define MERGE "      merge: [source, part]\n"

static const char *
project_of(const char *name, const char *merge, const char **db)
{
    char revision[600];
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    pawl_test_exec(*db, "CREATE TABLE t (id bigint PRIMARY KEY, s text);"
                        "CREATE TABLE h (source bigint, part int, s text, times int NOT NULL DEFAULT 1);"
                        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                        " NEW.times := OLD.times + 1; RETURN NEW; END $$;"
                        "CREATE TRIGGER f BEFORE UPDATE ON h FOR EACH ROW EXECUTE FUNCTION f();"
                        "INSERT INTO t SELECT i, 's' || i FROM generate_series(1, 12000) i; ANALYZE t");
    if (merge[0] != '\0')
        pawl_test_exec(*db, "CREATE UNIQUE INDEX ON h (source, part)");
    dir = pawl_test_project_new(*db, "lease: 2s\n");
    (void) snprintf(revision, sizeof revision,
                    "revision: \"a0000001\"\nparents: []\ndescription: parts\nup:\n"
                    "  - backfill:\n      table: public.t\n      read: [s]\n      into: public.h\n"
                    "      write: [source, part, s]\n%s      lua: transforms/parts.lua\n      batch: 500\n"
                    "      workers: 2\n    down: nothing\n",
                    merge);
    pawl_test_project_write(dir, "migrations/a0000001_parts.yaml", revision);
    /* Two rows of each third one, none of the next, one of the rest. */
    pawl_test_project_write(
        dir, "migrations/transforms/parts.lua",
        "return function(row)\n"
        "  local rows = {}\n"
        "  for i = 1, 2 - row.id % 3 do rows[i] = { source = row.id, part = i, s = row.s } end\n"
        "  return rows\n"
        "end\n");
    return dir;
}

static void
assert_every_row_once(const char *db)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), ROWS);
    assert_int_equal(pawl_test_query_i64(db,
                                         "SELECT count(DISTINCT (source, part)) FROM h JOIN t ON id = source "
                                         "AND h.s = t.s WHERE part <= 2 - id % 3 AND times = 1"),
                     ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_read) FROM pawl.progress"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.revision WHERE state = 'applied'"),
                     1);
}

static void
kill_at_each_point(const char *merge, size_t step)
{
    static const char *const points[] = {"backfill.after_read=kill@5", "into.before_write=kill@5",
                                         "backfill.after_write=kill@5", "backfill.before_commit=kill@5",
                                         "backfill.after_commit=kill@5"};

    for (size_t i = 0; i < sizeof points / sizeof *points; i += step)
    {
        const char *db = NULL;
        const char *dir = project_of("point", merge, &db);
        char variable[100];
        const char *const env[] = {variable, NULL};

        (void) snprintf(variable, sizeof variable, "PAWL_FAILPOINT=%s", points[i]);

        pawl_test_output output = pawl_test_pawl(dir, "upgrade", NULL, env);

        if (output.signal_number != SIGKILL)
            fail_msg("%s was not met: exit code %d, %s", points[i], output.exit_code, output.err);
        pawl_test_output_free(&output);
        pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
        assert_every_row_once(db);
    }
}

static void
copied_rows_are_there_once_after_a_kill_at_each_failpoint(void **state)
{
    (void) state;
    kill_at_each_point(COPY, 1);
}

static void
merged_rows_are_written_once_after_a_kill(void **state)
{
    (void) state;
    kill_at_each_point(MERGE, 2);
}

/* Backends die while rows are being sent, and the server with all of them. */
static void
copied_rows_are_there_once_after_backends_and_the_server_died(void **state)
{
    static const char *const args[] = {"upgrade", NULL};
    static const char *const slow[] = {
        "PAWL_FAILPOINT=into.before_write=sleep:15;backfill.before_commit=sleep:15", NULL};
    const char *db = NULL;
    const char *dir = project_of("backends", COPY, &db);
    pawl_test_process *p = pawl_test_start(args, slow, dir);

    (void) state;
    pawl_test_wait_until(db, "SELECT to_regclass('pawl.event') IS NOT NULL", 10000);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 2 FROM pawl.progress", 10000);
    for (int i = 0; i < 5; i++)
    {
        pawl_test_pause_ms(40);
        pawl_test_exec(db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                           " WHERE application_name LIKE 'pawl job%' ORDER BY random() LIMIT 1");
    }
    pawl_test_server_restart(true);

    pawl_test_output output = pawl_test_wait(p, 60000);

    /* The coordinator's own session may have been the one that died: to go on is another upgrade. */
    if (output.exit_code != 0)
        pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    pawl_test_output_free(&output);
    assert_every_row_once(db);
}

/* Stopped with its COPY done and not committed, past its lease, then continued when another pawl has finished. */
static void
a_stalled_copy_that_wakes_up_adds_nothing(void **state)
{
    static const char *const args[] = {"upgrade", NULL};
    static const char *const env[] = {"PAWL_FAILPOINT=backfill.after_write=stop@5", NULL};
    const char *db = NULL;
    const char *dir = project_of("stalled", COPY, &db);
    pawl_test_process *stalled = pawl_test_start(args, env, dir);

    (void) state;
    pawl_test_wait_stopped(stalled);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_every_row_once(db);
    pawl_test_kill(pawl_test_process_pid(stalled), SIGCONT);

    pawl_test_output output = pawl_test_wait(stalled, 30000);

    pawl_test_output_free(&output);
    assert_every_row_once(db);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copied_rows_are_there_once_after_a_kill_at_each_failpoint),
        cmocka_unit_test(merged_rows_are_written_once_after_a_kill),
        cmocka_unit_test(copied_rows_are_there_once_after_backends_and_the_server_died),
        cmocka_unit_test(a_stalled_copy_that_wakes_up_adds_nothing),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
