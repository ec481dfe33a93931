/*
 * job.h - running backfills in tests through the library's inside.
 *
 * Threads: pawl_test_backfill may be called from any thread; it asserts nothing.
 * Memory:  everything is static or the caller's.
 */
#ifndef PAWL_TEST_JOB_H
#define PAWL_TEST_JOB_H

#include <pthread.h>

#include "backfill/run.h"

/* A directory with transforms/<name>.lua in it, made once and removed at exit. Returns the directory. */
const char *pawl_test_transform(const char *name, const char *lua);

/* A fresh database with a ledger and a table t (id KEY_TYPE PRIMARY KEY, n int, s text) of `rows` rows (i, 0, 'x'). */
const char *pawl_test_counted(const char *name, const char *key_type, int rows);

/* The same with a table t (id bigint PRIMARY KEY, s text) of `rows` rows (i, 'x' || i), and what `sql` makes. */
const char *pawl_test_named(const char *name, int rows, const char *sql);

/* A backfill of t that counts n up by one: not idempotent, so that a row done twice or never shows. */
typedef struct pawl_test_job
{
    pawl_backfill_spec spec;
    pawl_backfill_env env;
    const char *job;
    pawl_backfill_result result;
    pawl_error err;
    pawl_status st;
    pthread_t thread;
} pawl_test_job;

/* One worker, batches of 100 rows; change what you like before go. */
void pawl_test_job_prepare(pawl_test_job *j, const char *conninfo, const char *name);

/* In a thread of its own; finish fails the test unless it succeeded, join leaves that to the caller. */
void pawl_test_job_go(pawl_test_job *j);
void pawl_test_job_join(pawl_test_job *j);
void pawl_test_job_finish(pawl_test_job *j);

/*
 * As go, and wait until it has come to the failpoint `point`, which is armed as a gate: there it stands until it is let
 * go. What a failed test left standing is let go by the next one.
 */
void pawl_test_job_go_to(pawl_test_job *j, const char *point);
void pawl_test_job_let_go(void);

/* Until a worker has waited for somebody's row lock, and until it no longer does. */
void pawl_test_wait_in_line(const char *db);
void pawl_test_wait_given_way(const char *db);

void pawl_test_pause_ms(int64_t ms);

/* Create the ledger of a database. */
void pawl_test_ledger(const char *conninfo);

/* A spec and an environment with the defaults of a step: two workers, batches of 100 rows, search_path public. */
pawl_backfill_spec pawl_test_spec(const char *table);
pawl_backfill_env pawl_test_env(const char *conninfo, const char *lua_root);

/* Run under the name `job`. */
pawl_status pawl_test_backfill(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const char *job,
                               pawl_backfill_result *result, pawl_error *err);

/* The same, and fail the test unless it succeeds. */
pawl_backfill_result pawl_test_backfill_ok(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                           const char *job);

#endif
