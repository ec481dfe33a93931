/*
 * internal.h - what the files of src/pg share and nobody else sees: the session's inside and libpq's types.
 *
 * Threads: as session.h.
 * Memory:  a PGresult that is handed out belongs to the caller (PQclear).
 */
#ifndef PAWL_PG_INTERNAL_H
#define PAWL_PG_INTERNAL_H

#include <libpq-fe.h>

#include "pg/arg.h"
#include "pg/result.h"
#include "pg/session.h"
#include "util/strbuf.h"

struct pawl_pg
{
    PGconn *conn;
    const pawl_stop *stop;
    int64_t deadline_us;  /* of the statement in flight, on pawl_clock_us; 0: none */
    int64_t cancelled_us; /* when a stop first made us cancel the statement in flight; 0: it did not */
    bool is_abandoned;    /* an answer is outstanding that nobody waits for: of no use to anyone any more */
    bool in_recovery;
    bool is_pooled;
    int server_version;
    int32_t backend_pid;
    int64_t deadlock_timeout_ms;
    char backend_start[40];
    pawl_strbuf target;
    pawl_strbuf notices; /* arrived since they were last taken */
    pawl_strbuf taken;   /* those that were taken */
};

/* pg/connect.c: put an authenticated, idle connection into pg->conn, trying each host of the conninfo. */
PAWL_NODISCARD pawl_status pawl_pg_connect(pawl_pg *pg, const pawl_pg_options *options, pawl_error *err);

/* pg/session.c: ask the server who it is. PAWL_E_REFUSED, and PAWL_E_CONNECT with 25006 for a standby. */
PAWL_NODISCARD pawl_status pawl_pg_identify(pawl_pg *pg, bool read_only_ok, pawl_error *err);

/* pg/exec.c: queue one statement; it is not waited for. */
PAWL_NODISCARD pawl_status pawl_pg_send(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
                                        pawl_error *err);

/* pg/exec.c: the same in two: the text, as the unnamed statement, and what it is run with. */
PAWL_NODISCARD pawl_status pawl_pg_send_parse(pawl_pg *pg, const char *sql, int nargs,
                                              const pawl_pg_arg *args, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_pg_send_parsed(pawl_pg *pg, int nargs, const pawl_pg_arg *args,
                                               pawl_error *err);

/* pg/exec.c: PAWL_OK when a statement may be sent now; a stop of level CANCEL lets none begin. */
PAWL_NODISCARD pawl_status pawl_pg_ready(pawl_pg *pg, pawl_error *err);

/* pg/exec.c: one statement with a deadline of its own that no stop interrupts: for ROLLBACK and its like. */
PAWL_NODISCARD pawl_status pawl_pg_exec_unstopped(pawl_pg *pg, const char *sql, int64_t timeout_ms,
                                                  pawl_error *err);

/* pg/fault.c: turn a failed result into a record. `res` and `sql` may be NULL. Call it when all has been read. */
pawl_status pawl_pg_fail(pawl_pg *pg, const PGresult *res, const char *sql, pawl_error *err);

/* pg/txn.c: the text of BEGIN for this server, and the rule that COMMIT counts only when its tag says so. */
const char *pawl_pg_begin_sql(const pawl_pg *pg);
PAWL_NODISCARD pawl_status pawl_pg_check_commit(const char *tag, pawl_error *err);

/* pg/result.c: takes `raw` over, also when it returns NULL because memory ran out. */
PAWL_NODISCARD pawl_pg_result *pawl_pg_result_new(PGresult *raw);

#endif
