#include "support/job.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/ledger.h"
#include "support/server.h"
#include "support/session.h"
#include "support/tree.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/file.h"

#include "util/banned.h"

enum
{
    REACH_MS = 30000
};

static char root[64];

static void
remove_root(void)
{
    if (root[0] != '\0')
        pawl_test_remove_tree(root);
}

const char *
pawl_test_transform(const char *name, const char *lua)
{
    char path[160];
    FILE *file = NULL;

    if (root[0] == '\0')
    {
        (void) snprintf(root, sizeof root, "/tmp/pawl-lua-XXXXXX");
        assert_non_null(mkdtemp(root));
        (void) atexit(remove_root);
    }
    (void) snprintf(path, sizeof path, "%s/transforms", root);
    assert_int_equal(pawl_file_mkdirs(path), 0);
    (void) snprintf(path, sizeof path, "%s/transforms/%s.lua", root, name);
    file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fwrite(lua, 1, strlen(lua), file), strlen(lua));
    assert_int_equal(fclose(file), 0);
    return root;
}

void
pawl_test_ledger(const char *conninfo)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(conninfo, NULL);
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_ledger_new("pawl", &ledger, &err) != PAWL_OK || pawl_ledger_ensure(ledger, pg, &err) != PAWL_OK)
        fail_msg("%s; %s", err.message, err.detail);
}

pawl_backfill_spec
pawl_test_spec(const char *table)
{
    return (pawl_backfill_spec){.table = table,
                                .fire_triggers = true,
                                .workers = 2,
                                .batch_rows = 100,
                                .target_ms = 250,
                                .batch_min = 1,
                                .batch_max = 50000};
}

pawl_backfill_env
pawl_test_env(const char *conninfo, const char *lua_root)
{
    return (pawl_backfill_env){.conninfo = conninfo,
                               .schema = "pawl",
                               .search_path = "public",
                               .lua_root = lua_root,
                               .lock_timeout_ms = 200,
                               .lock_attempts = 50,
                               .connect_timeout_ms = 5000,
                               .lease_ms = 30000};
}

pawl_status
pawl_test_backfill(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const char *job,
                   pawl_backfill_result *result, pawl_error *err)
{
    const pawl_backfill_id id = {.revision = job, .direction = "api", .ordinal = 1, .checksum = "c"};

    return pawl_backfill_run(spec, env, &id, result, err);
}

pawl_backfill_result
pawl_test_backfill_ok(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const char *job)
{
    pawl_backfill_result result = {0};
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_test_backfill(spec, env, job, &result, &err) != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", err.message, err.detail, err.hint, err.sqlstate);
    return result;
}

const char *
pawl_test_counted(const char *name, const char *key_type, int rows)
{
    const char *db = pawl_test_database_new(name);
    char sql[300];

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id %s PRIMARY KEY, n int NOT NULL, s text);"
                    "INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, %d) i; ANALYZE t",
                    key_type, rows);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

const char *
pawl_test_named(const char *name, int rows, const char *sql)
{
    const char *db = pawl_test_database_new(name);
    char create[300];

    (void) snprintf(create, sizeof create,
                    "CREATE TABLE t (id bigint PRIMARY KEY, s text);"
                    "INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, %d) i; ANALYZE t",
                    rows);
    pawl_test_exec(db, create);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

void
pawl_test_job_prepare(pawl_test_job *j, const char *conninfo, const char *name)
{
    static const char *const column[] = {"n"};
    const char *dir = pawl_test_transform("increment", "return function(row) return { n = row.n + 1 } end");

    *j = (pawl_test_job){.spec = pawl_test_spec("t"), .env = pawl_test_env(conninfo, dir), .job = name};
    j->spec.lua_file = "transforms/increment.lua";
    j->spec.read = column;
    j->spec.nread = 1;
    j->spec.write = column;
    j->spec.nwrite = 1;
    j->spec.workers = 1;
}

static void *
job_main(void *arg)
{
    pawl_test_job *j = arg;

    j->st = pawl_test_backfill(&j->spec, &j->env, j->job, &j->result, &j->err);
    return NULL;
}

/* The gate that is shut, if one is. */
static const char *shut;

void
pawl_test_job_let_go(void)
{
    if (shut != NULL)
        pawl_failpoint_open(shut, true);
    shut = NULL;
}

void
pawl_test_job_go(pawl_test_job *j)
{
    pawl_test_job_let_go();
    assert_int_equal(pthread_create(&j->thread, NULL, job_main, j), 0);
}

void
pawl_test_job_go_to(pawl_test_job *j, const char *point)
{
    int64_t before = pawl_failpoint_reached(point);
    int64_t until_us = pawl_clock_us() + INT64_C(1000) * REACH_MS;

    pawl_test_job_let_go();
    pawl_failpoint_open(point, false);
    shut = point;
    assert_int_equal(pthread_create(&j->thread, NULL, job_main, j), 0);
    while (pawl_failpoint_reached(point) == before)
    {
        if (pawl_clock_us() > until_us)
            fail_msg("the job has not come to %s", point);
        pawl_test_pause_ms(2);
    }
}

#define IN_LINE                                                                                            \
    "EXISTS (SELECT FROM pg_stat_activity WHERE application_name LIKE 'pawl job %' AND wait_event_type = " \
    "'Lock')"

void
pawl_test_wait_in_line(const char *db)
{
    pawl_test_wait_until(db, "SELECT " IN_LINE, REACH_MS);
}

void
pawl_test_wait_given_way(const char *db)
{
    pawl_test_wait_until(db, "SELECT NOT " IN_LINE, REACH_MS);
}

void
pawl_test_job_join(pawl_test_job *j)
{
    assert_int_equal(pthread_join(j->thread, NULL), 0);
}

void
pawl_test_job_finish(pawl_test_job *j)
{
    pawl_test_job_join(j);
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
}

void
pawl_test_pause_ms(int64_t ms)
{
    const struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000};

    (void) nanosleep(&t, NULL);
}
