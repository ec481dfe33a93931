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

/* A statement that the server keeps for this connection; see pipe.h. */
#define PAWL_PG_KEPT_MAX  24
#define PAWL_PG_KEPT_ARGS 48

typedef struct pawl_pg_kept
{
    char *sql; /* NULL: a free place */
    int nargs;
    uint32_t types[PAWL_PG_KEPT_ARGS];
    char name[40]; /* of no other connection */
} pawl_pg_kept;

struct pawl_pg
{
    PGconn *conn;
    const pawl_stop *stop;
    int64_t deadline_us;  /* of the statement in flight, on pawl_clock_us; 0: none */
    int64_t cancelled_us; /* when a stop first made us cancel the statement in flight; 0: it did not */
    bool is_abandoned;    /* an answer is outstanding that nobody waits for: of no use to anyone any more */
    bool in_recovery;
    bool expects_pooler;
    bool is_pooled;
    int server_version;
    int32_t backend_pid;
    int64_t deadlock_timeout_ms;
    char backend_start[40];
    pawl_pg_kept kept[PAWL_PG_KEPT_MAX];
    int kept_count;      /* names that were given so far */
    char kept_nonce[17]; /* this connection's part of a name; "" until one is given */
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

/* pg/exec.c: queue the preparation of a kept statement, or its execution. */
PAWL_NODISCARD pawl_status pawl_pg_send_prepare(pawl_pg *pg, const pawl_pg_kept *kept, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_pg_send_kept(pawl_pg *pg, const pawl_pg_kept *kept, const pawl_pg_arg *args,
                                             pawl_error *err);

/*
 * pg/kept.c: the place of a statement among those that are kept, or -1 when it has to go unnamed: behind a pooler, or
 * when there is no room left. `is_new`: it has still to be prepared, and is to be dropped if that fails.
 */
int pawl_pg_kept_find(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args, bool *is_new);
void pawl_pg_kept_drop(pawl_pg *pg, int which);
void pawl_pg_kept_fini(pawl_pg *pg);

/* pg/kept.c: no statement is kept any more by this process: one was not there, or its name was taken. */
void pawl_pg_kept_give_up(void);

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
