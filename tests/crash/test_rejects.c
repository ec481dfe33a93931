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

#include "support/form.h"
#include "support/kill.h"
#include "support/project.h"
#include "support/session.h"

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

static const char *const UPGRADE[] = {"upgrade", NULL};
static const char *const RETRY[] = {"rejects", "1", "--retry", NULL};

static void
mend(const char *db, const char *dir)
{
    pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT refuses");
    pawl_test_project_write(dir, "migrations/transforms/count.lua",
                            "return function(row) return { n = row.n + 1 } end\n");
}

typedef struct place
{
    const char *point;
    int passage;
} place;

static void
killed_at_random_moments_every_row_is_done_or_set_aside_once(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("random", &db);
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 11);
    pawl_test_kill_at_random(
        &(pawl_test_kills){.dir = dir,
                           .args = UPGRADE,
                           .points =
                               "backfill.after_read=sleep:2;backfill.after_write=sleep:2;backfill.before_"
                               "commit=sleep:2",
                           .most_ms = 120,
                           .times = pawl_test_is_long() ? 100 : 12,
                           .look = assert_none_twice,
                           .db = db},
        &rng);
    pawl_test_run_exits(dir, UPGRADE, 4);
    assert_each_once(db, BAD);

    mend(db, dir);
    pawl_test_kill_at_random(
        &(pawl_test_kills){
            .dir = dir,
            .args = RETRY,
            .points = "retry.after_write=sleep:20;retry.before_commit=sleep:20;retry.after_commit=sleep:20",
            .most_ms = 120,
            .times = pawl_test_is_long() ? 30 : 5,
            .look = assert_none_twice,
            .db = db},
        &rng);
    pawl_test_run_exits(dir, RETRY, 0);
    pawl_test_run_exits(dir, UPGRADE, 0);
    assert_each_once(db, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'done'"), BAD);
}

static void
killed_at_each_failpoint_every_row_is_done_or_set_aside_once(void **state)
{
    static const place points[] = {{"backfill.after_read", 30},
                                   {"backfill.after_write", 30},
                                   {"backfill.before_commit", 30},
                                   {"backfill.after_commit", 30}};
    static const place again[] = {
        {"retry.after_write", 1}, {"retry.before_commit", 1}, {"retry.after_commit", 1}};
    const char *db = NULL;
    const char *dir = project_of("points", &db);

    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof *points; i++)
    {
        pawl_test_must_die(dir, UPGRADE, points[i].point, points[i].passage);
        assert_none_twice(db);
    }
    pawl_test_must_die(dir, UPGRADE, "job.before_finish", 1);
    pawl_test_run_exits(dir, UPGRADE, 4);
    assert_each_once(db, BAD);

    mend(db, dir);
    for (size_t i = 0; i < sizeof again / sizeof *again; i++)
    {
        pawl_test_must_die(dir, RETRY, again[i].point, again[i].passage);
        assert_none_twice(db);
    }
    pawl_test_run_exits(dir, RETRY, 0);
    pawl_test_run_exits(dir, UPGRADE, 0);
    assert_each_once(db, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_random_moments_every_row_is_done_or_set_aside_once),
        cmocka_unit_test(killed_at_each_failpoint_every_row_is_done_or_set_aside_once),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
