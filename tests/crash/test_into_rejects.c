/*
 * `into:` killed anywhere while bad rows are set aside and while they are tried again: each row has its rows in the other
 * table once, or is once in `reject`, never both and never neither. Copied rows have no key there, so that one written
 * twice shows as two.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/session.h"

#include "util/banned.h"

enum
{
    ROWS = 3000,
    BAD = ROWS / 8 + ROWS / 50, /* the transform refuses one row of eight, the server one of fifty */
    EACH = 2                    /* rows of the other table for a row */
};

static const char *const UPGRADE[] = {"upgrade", NULL};
static const char *const RETRY[] = {"rejects", "1", "--retry", NULL};

static void
write_transform(const char *dir, const char *refusal)
{
    char lua[300];

    (void) snprintf(
        lua, sizeof lua,
        "return function(row) %s return { { source = row.id, part = 1 }, { source = row.id, part = 2 } }"
        " end\n",
        refusal);
    pawl_test_project_write(dir, "migrations/transforms/parts.lua", lua);
}

static const char *
project_of(const char *name, const char **db)
{
    char sql[400];
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    (void) snprintf(
        sql, sizeof sql,
        "CREATE TABLE t (id bigint PRIMARY KEY);"
        "CREATE TABLE h (source bigint, part int, CONSTRAINT refuses CHECK (source %% 50 <> 25 OR part = 1));"
        "INSERT INTO t SELECT i FROM generate_series(1, %d) i; ANALYZE t",
        ROWS);
    pawl_test_exec(*db, sql);
    dir = pawl_test_project_new(*db, "lease: 2s\n");
    pawl_test_project_write(dir, "migrations/a0000001_parts.yaml",
                            "revision: \"a0000001\"\nparents: []\ndescription: parts\nup:\n"
                            "  - backfill:\n      table: public.t\n      into: public.h\n"
                            "      write: [source, part]\n      lua: transforms/parts.lua\n      batch: 100\n"
                            "      workers: 2\n      on_error: quarantine\n      max_rejects: 100000\n"
                            "    down: nothing\n");
    write_transform(dir, "if row.id % 8 == 0 then error('bad') end");
    return dir;
}

static void
mend(const char *db, const char *dir)
{
    pawl_test_exec(db, "ALTER TABLE h DROP CONSTRAINT refuses");
    write_transform(dir, "");
}

/* Rows whose rows and rejects are not what they should be: `missing` of them may still be to come. */
#define STANDING                                                                                       \
    "SELECT count(*) FROM t LEFT JOIN (SELECT source, count(*) AS c, count(DISTINCT part) AS d FROM h" \
    " GROUP BY source) w ON w.source = id LEFT JOIN (SELECT key, count(*) AS c FROM pawl.reject"       \
    " WHERE state = 'open' GROUP BY key) r ON r.key = ARRAY[id::text] WHERE "

static void
assert_each_once(const char *db, int rejects)
{
    assert_int_equal(pawl_test_query_i64(db, STANDING "NOT (coalesce(w.c, 0) = 2 AND w.d = 2 AND r.c IS NULL)"
                                                      " AND NOT (w.c IS NULL AND coalesce(r.c, 0) = 1)"),
                     0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'open'"),
                     rejects);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), EACH * (ROWS - rejects));
}

static void
assert_none_twice(const char *db)
{
    assert_int_equal(pawl_test_query_i64(db, STANDING "(w.c IS NOT NULL AND (w.c <> 2 OR w.d <> 2))"
                                                      " OR r.c > 1 OR (w.c IS NOT NULL AND r.c IS NOT NULL)"),
                     0);
}

typedef struct place
{
    const char *point;
    int passage;
} place;

static void
killed_at_each_failpoint_every_row_is_written_or_set_aside_once(void **state)
{
    static const place points[] = {{"backfill.after_read", 20},   {"into.before_write", 20},
                                   {"backfill.after_write", 20},  {"backfill.before_commit", 20},
                                   {"backfill.after_commit", 20}, {"backfill.before_condemn", 5}};
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

static void
killed_at_random_moments_every_row_is_written_or_set_aside_once(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("random", &db);
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 23);
    pawl_test_kill_at_random(
        &(pawl_test_kills){.dir = dir,
                           .args = UPGRADE,
                           .points = "into.before_write=sleep:2;backfill.after_write=sleep:2;backfill.before_"
                                     "commit=sleep:2;backfill.before_condemn=sleep:2",
                           .most_ms = 150,
                           .times = 10,
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
            .most_ms = 150,
            .times = 5,
            .look = assert_none_twice,
            .db = db},
        &rng);
    pawl_test_run_exits(dir, RETRY, 0);
    pawl_test_run_exits(dir, UPGRADE, 0);
    assert_each_once(db, 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject WHERE state = 'done'"), BAD);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_at_each_failpoint_every_row_is_written_or_set_aside_once),
        cmocka_unit_test(killed_at_random_moments_every_row_is_written_or_set_aside_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
