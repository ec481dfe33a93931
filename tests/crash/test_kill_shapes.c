/*
 * Killed at random moments, on tables of other shapes than one with a key: a partitioned one, done part by part, and one
 * without a key, done in passes over the places of its rows. The transform counts up, so that a row done twice or never
 * shows.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/session.h"
#include "util/rng.h"

#include "util/banned.h"

#define REVISION                            \
    "revision: \"a0000001\"\n"              \
    "parents: []\n"                         \
    "description: count up\n"               \
    "up:\n"                                 \
    "  - backfill:\n"                       \
    "      table: public.t\n"               \
    "      read: [n]\n"                     \
    "      write: [n, done]\n"              \
    "      lua: transforms/increment.lua\n" \
    "      batch: 100\n"                    \
    "      workers: 2\n"                    \
    "%s"                                    \
    "    down: nothing\n"

/* Each batch is held a moment, so that a kill finds one in every state. */
static const char *const SLOW[] = {
    "PAWL_FAILPOINT=backfill.after_read=sleep:3;backfill.after_write=sleep:3;backfill.before_commit=sleep:2;"
    "claim.after_insert=sleep:3",
    NULL};

enum
{
    ROWS = 20000,
    KILLS = 12,
    LONG_MS = 60000
};

static const char *
project_of(const char *db, const char *more)
{
    const char *dir = pawl_test_project_new(db, "lease: 2s\n");
    char revision[sizeof REVISION + 100];

    (void) snprintf(revision, sizeof revision, REVISION, more);
    pawl_test_project_write(dir, "migrations/a0000001_count.yaml", revision);
    pawl_test_project_write(dir, "migrations/transforms/increment.lua",
                            "return function(row) return { n = row.n + 1, done = true } end\n");
    return dir;
}

static void
pause_ms(uint64_t ms)
{
    const struct timespec t = {.tv_sec = (time_t) (ms / 1000), .tv_nsec = (long) (ms % 1000) * 1000000};

    (void) nanosleep(&t, NULL);
}

/* One run that has got something in is killed a random moment later. False when it came to its end before. */
static bool
was_killed(const char *db, const char *dir, pawl_rng *rng)
{
    static const char *const args[] = {"upgrade", NULL};
    int64_t before = pawl_test_batches(db);
    pawl_test_process *p = pawl_test_start(args, SLOW, dir);

    pawl_test_await_batch(db, before);
    pause_ms(pawl_rng_below(rng, 120));
    pawl_test_kill(pawl_test_process_pid(p), SIGKILL);

    pawl_test_output output = pawl_test_wait(p, LONG_MS);
    bool was = output.signal_number == SIGKILL;

    if (!was && output.exit_code != 0)
        fail_msg("pawl failed: %s", output.err);
    pawl_test_output_free(&output);
    return was;
}

static void
kill_and_go_on(const char *db, const char *dir, uint64_t seed, const char *between)
{
    pawl_rng rng;
    int killed = 0;

    pawl_rng_init(&rng, seed);
    while (killed < KILLS && was_killed(db, dir, &rng))
    {
        killed++;
        pawl_test_exec(db, between);
    }
    /* Otherwise little is shown. */
    assert_true(killed >= 3);
    pawl_test_pawl_exits(dir, "upgrade", NULL, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1 OR NOT done"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.revision WHERE state = 'applied'"),
                     1);
}

/* Each with its own key, one of them empty, one with most of the rows; the same ids in all. */
static void
a_partitioned_table_has_every_row_done_once(void **state)
{
    const char *db = pawl_test_database_new("parts");

    (void) state;
    pawl_test_exec(
        db,
        "CREATE TABLE t (id bigint NOT NULL, g int NOT NULL, n int NOT NULL, done boolean NOT NULL)"
        " PARTITION BY LIST (g);"
        "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1); CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2);"
        "CREATE TABLE t3 PARTITION OF t FOR VALUES IN (3); CREATE TABLE t4 PARTITION OF t DEFAULT;"
        "ALTER TABLE t1 ADD PRIMARY KEY (id); ALTER TABLE t2 ADD PRIMARY KEY (id);"
        "ALTER TABLE t3 ADD PRIMARY KEY (id); ALTER TABLE t4 ADD PRIMARY KEY (id);"
        "INSERT INTO t SELECT i, 1, 0, false FROM generate_series(1, 12000) i;"
        "INSERT INTO t SELECT i, 2, 0, false FROM generate_series(1, 7900) i;"
        "INSERT INTO t SELECT i, 9, 0, false FROM generate_series(1, 100) i; ANALYZE t");
    kill_and_go_on(db, project_of(db, ""), 11, "SELECT 1");
}

/* VACUUM frees the places behind the cursor, and new versions of rows come to lie in them. */
static void
a_table_without_a_key_has_every_row_done_once(void **state)
{
    const char *db = pawl_test_database_new("places");

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id bigint NOT NULL, n int NOT NULL, done boolean NOT NULL);"
                       "INSERT INTO t SELECT i, 0, false FROM generate_series(1, 20000) i; ANALYZE t");
    kill_and_go_on(db, project_of(db, "      key: [ctid]\n      where: NOT done\n"), 12, "VACUUM t");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_partitioned_table_has_every_row_done_once),
        cmocka_unit_test(a_table_without_a_key_has_every_row_done_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
