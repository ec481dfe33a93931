/*
 * server.h - a PostgreSQL server of the test's own, and programs run against it.
 *
 * The cluster lives in a temporary directory, listens on a Unix socket there and nowhere else, and is gone when the
 * test program ends, however it ends: a watchdog process sees its pipe close, stops the server and removes the
 * directory. Everything fails the running test by itself; nothing here returns an error.
 *
 *   int main(void) { ... return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown); }
 *   in a test: const char *db = pawl_test_database_new("claims"); pawl_test_exec(db, "CREATE TABLE ...");
 *
 * Where no server is installed the program is skipped (exit code 77), in CI (variable CI) it fails.
 *
 * Threads: main thread only, except pawl_test_kill.
 * Memory:  conninfos live until the program ends; other texts are the caller's (free).
 */
#ifndef PAWL_TEST_SERVER_H
#define PAWL_TEST_SERVER_H

#include <sys/types.h>

#include <libpq-fe.h>

#include "util/attr.h"

/* Start the server, once in a program. `extra_conf` are lines for postgresql.conf, or NULL. */
void pawl_test_server_start(const char *extra_conf);
void pawl_test_server_stop(void);

/* Stop and start again, by shutting down in order or as in a crash: sessions end either way. */
void pawl_test_server_restart(bool is_crash);

/* SIGKILL to the postmaster, and a new one in its place. */
void pawl_test_server_kill(void);

/* The backend of `victim` is killed: the postmaster stays, every session ends, and the server recovers. */
void pawl_test_server_kill_backend(const char *conninfo, PGconn *victim);

/* The two for cmocka's group, with settings of the default. */
int pawl_test_setup(void **state);
int pawl_test_teardown(void **state);

const char *pawl_test_socket_dir(void);
int pawl_test_port(void);

/* A conninfo for a database of the server, as its superuser. */
const char *pawl_test_conninfo(const char *database);

/* Create a fresh database (dropping one of that name) and return its conninfo. */
const char *pawl_test_database_new(const char *name);

/*
 * Start a PgBouncer in transaction mode in front of the server, once, and return the conninfo of a database through
 * it; NULL when none is installed. It ends with the server.
 */
const char *pawl_test_pooled_conninfo(const char *database);

/* Start a streaming standby of the server, once, and return the conninfo of a database on it. It ends with the server. */
const char *pawl_test_standby_conninfo(const char *database);

/* A role that must give a password (scram) on this server: name it so in CREATE ROLE. Every other role is trusted. */
#define PAWL_TEST_PASSWORD_ROLE "needs_password"

/* Plain libpq: for sessions that hold locks or watch. Close it with PQfinish. */
PGconn *pawl_test_connect(const char *conninfo);
void pawl_test_run_on(PGconn *conn, const char *sql);

/* Run statements in a session of their own. query_text gives the first column of the first row, "" when there is
 * none or it is NULL. */
void pawl_test_exec(const char *conninfo, const char *sql);
char *pawl_test_query_text(const char *conninfo, const char *sql);
int64_t pawl_test_query_i64(const char *conninfo, const char *sql);

/* Fail the test, with both texts, unless query_text gives the expected one. */
void pawl_test_assert_query(const char *conninfo, const char *sql, const char *expected);

/* Wait until the query says true; fail the test when it does not in time. */
void pawl_test_wait_until(const char *conninfo, const char *sql, int timeout_ms);

/* A signal to a backend (SIGKILL makes the server restart all of them) or to a program. */
void pawl_test_kill(pid_t pid, int signal_number);

/* What a program left behind. */
typedef struct pawl_test_output
{
    int exit_code;     /* -1 when a signal ended it */
    int signal_number; /* 0 when it exited */
    char *out;
    char *err;
} pawl_test_output;
void pawl_test_output_free(pawl_test_output *output);

typedef struct pawl_test_process pawl_test_process;

/*
 * Start the pawl program (PAWL_BIN). `args` and `env` ("NAME=value") end with NULL, `env` may be NULL, as may `dir`, the
 * directory to run in. Variables PG* and PAWL_* of the test's own environment are not passed on.
 */
pawl_test_process *pawl_test_start(const char *const *args, const char *const *env, const char *dir);
pid_t pawl_test_process_pid(const pawl_test_process *process);

/* Wait until a failpoint (`stop`) has stopped it; SIGCONT lets it go on. */
void pawl_test_wait_stopped(const pawl_test_process *process);

/* What it wrote on stdout so far. */
char *pawl_test_process_out(pawl_test_process *process);

/* Wait for its end; kill it and fail the test when it takes longer. Frees the process. */
pawl_test_output pawl_test_wait(pawl_test_process *process, int timeout_ms);

/* Start and wait, for at most two minutes. */
pawl_test_output pawl_test_run(const char *const *args, const char *const *env, const char *dir);

#endif
