/*
 * session.h - one connection to a PostgreSQL server.
 *
 * A call looks blocking. It waits on the non-blocking socket together with the stop descriptor and a deadline, in the
 * one poll loop of pg/wait.c, so that work ends within one poll when a stop is requested.
 *
 *   open -> (exec.h, txn.h, pipe.h)* -> close
 *
 * At open: libpq keepalives and tcp_user_timeout are set; the server version, the backend's pid and start, its
 * deadlock_timeout are read; a transaction-mode pooler is recognised (the pid of the protocol is not
 * pg_backend_pid()). No `options` are sent and no session state is set.
 *
 * Nothing learned on a session (rows, xmin, cursor, fence) may outlive it.
 *
 * Threads: a session belongs to one thread for life.
 * Memory:  close frees; strings returned live as long as the session.
 */
#ifndef PAWL_PG_SESSION_H
#define PAWL_PG_SESSION_H

#include "core/stop.h"

typedef struct pawl_pg pawl_pg;

typedef struct pawl_pg_options
{
    const char *conninfo; /* libpq conninfo or URI; "" takes everything from the environment as psql does */
    const char *application;    /* application_name; NULL: "pawl" */
    const pawl_stop *stop;      /* may be NULL; must outlive the session */
    int64_t connect_timeout_ms; /* for each host; 0: 10 s; the conninfo's own connect_timeout wins */
    bool read_only_ok;          /* a standby will do; otherwise a server in recovery is refused (25006) */
    bool is_pooled; /* a pooler in transaction mode is known to stand in between, whether or not it shows */
} pawl_pg_options;

/*
 * Connect. PAWL_E_CONNECT with one clear message and a hint for: no server, wrong password, no such database, no such
 * role, too many connections, unknown host. PAWL_E_STOPPED on request.
 */
PAWL_NODISCARD pawl_status pawl_pg_open(const pawl_pg_options *options, pawl_pg **out, pawl_error *err);
void pawl_pg_close(pawl_pg *pg);

/* False once the connection is gone (PQstatus), whatever the SQLSTATE of the last error was. */
bool pawl_pg_is_usable(const pawl_pg *pg);

/* True inside a transaction block, failed or not. */
bool pawl_pg_is_in_transaction(const pawl_pg *pg);

int pawl_pg_server_version(const pawl_pg *pg);        /* 150020 */
bool pawl_pg_is_pooled(const pawl_pg *pg);            /* a transaction-mode pooler is in between */
int32_t pawl_pg_backend_pid(const pawl_pg *pg);       /* 0 behind a pooler: it would say nothing */
const char *pawl_pg_backend_start(const pawl_pg *pg); /* timestamptz text (UTC, ISO); "" behind a pooler */
int64_t pawl_pg_deadlock_timeout_ms(const pawl_pg *pg);
const char *pawl_pg_target(const pawl_pg *pg); /* "db on host:port as user", nothing secret */

/*
 * From now on no stop interrupts this session: for the last words of a stopped run (giving a lease or a chunk back).
 * A session whose stop is at level CANCEL begins no statement but ROLLBACK.
 */
void pawl_pg_ignore_stop(pawl_pg *pg);

/* Ask the server to cancel what runs on this session, from its own thread. Failures are ignored. */
void pawl_pg_cancel(pawl_pg *pg);

/* `conninfo` without password and other secrets, for messages; pawl_free. NULL when memory ran out. */
PAWL_NODISCARD char *pawl_pg_redact(const char *conninfo);

/*
 * `conninfo` for another database of the same server, secrets and all: to connect with, not to show. pawl_free. NULL when
 * memory ran out or it cannot be read.
 */
PAWL_NODISCARD char *pawl_pg_conninfo_of(const char *conninfo, const char *database);

PAWL_DEFINE_AUTO(pawl_pg, pawl_pg_close);

#endif
