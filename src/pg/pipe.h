/*
 * pipe.h - several statements in one round trip.
 *
 * A pipe is filled, run once, read, and reset for the next use. Statements between two syncs share their fate: after
 * an error the rest of the section is not run (PGRES_PIPELINE_ABORTED, which carries no SQLSTATE and is not the error;
 * the first real one is reported). Row counts do not stop a pipeline: only an error does, so what must stop it has to
 * raise. A section that began a transaction and failed leaves it open: call pawl_pg_rollback before the next use.
 *
 * A statement that comes again and again may be kept by the server (add_kept): parsed once for a connection, and planned
 * anew only while plans for the values at hand look better than one for any. That is nothing for statements whose plan
 * must follow their values. Behind a pooler, where the next transaction may meet another server, nothing is kept.
 *
 *   init -> (begin | add | add_kept | commit | sync ... -> run -> result ... -> reset)* -> fini
 *
 * A large answer may only stand behind a COMMIT's sync: nothing that holds row locks may send more than a few kB.
 *
 * Threads: as session.h.
 * Memory:  results belong to the pipe until taken; reset and fini free them. Arguments are copied by add.
 */
#ifndef PAWL_PG_PIPE_H
#define PAWL_PG_PIPE_H

#include "pg/txn.h"

#define PAWL_PG_PIPE_MAX 48 /* statements, preparations and syncs in one pipe */

typedef struct pawl_pg_pipe
{
    pawl_pg *pg;
    struct
    {
        bool is_sync;
        bool is_commit;
        int kept;               /* the statement that this one prepares, and 1; 0: none */
        pawl_pg_result *result; /* NULL until run, or when it failed or was skipped */
    } slots[PAWL_PG_PIPE_MAX];
    int length;
    pawl_error failed; /* a queueing error is kept and reported by run */
    bool in_pipeline;
    bool in_transaction; /* as it was begun */
} pawl_pg_pipe;

void pawl_pg_pipe_init(pawl_pg_pipe *p, pawl_pg *pg);
void pawl_pg_pipe_fini(pawl_pg_pipe *p);
void pawl_pg_pipe_reset(pawl_pg_pipe *p);

/* Queue; each returns the slot under which its result is found. Errors show at run. */
int pawl_pg_pipe_begin(pawl_pg_pipe *p, const pawl_pg_pins *pins); /* BEGIN and pins: two statements */
int pawl_pg_pipe_add(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args);

/*
 * As add, for a statement that comes again and whose plan need not follow its values; it may take two slots. The first
 * statement that is not where it was left (26000) or whose name is taken (42P05) ends this for the whole process: then
 * something stands in between that was not recognised as a pooler.
 */
int pawl_pg_pipe_add_kept(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args);
int pawl_pg_pipe_commit(pawl_pg_pipe *p);
int pawl_pg_pipe_sync(pawl_pg_pipe *p);

/*
 * A statement with long arguments, while others wait for what this transaction has locked. The server is under no time-out
 * while it reads, save for the first message behind a sync: then idle_in_transaction_session_timeout watches, and a client
 * that is stopped half-way, or a network that has gone, ends with it. So the statement's text goes before a sync and its
 * arguments behind it. Takes three slots, and returns that of the answer.
 *
 * Such a sync does not part what belongs together: in a transaction that has failed nothing runs. That has to be open when
 * the pipe is begun: where BEGIN itself stands in the pipe and fails, what is behind the sync would run outside of one. Then
 * the statement is sent as any other.
 */
int pawl_pg_pipe_add_long(pawl_pg_pipe *p, const char *sql, int nargs, const pawl_pg_arg *args);

/* One such statement alone, as pawl_pg_query. */
PAWL_NODISCARD pawl_status pawl_pg_query_long(pawl_pg *pg, const char *sql, int nargs,
                                              const pawl_pg_arg *args, pawl_pg_result **out, pawl_error *err);

/*
 * Send and read everything, consuming answers as they come. PAWL_OK when every statement succeeded and every commit
 * said COMMIT. Otherwise the first real error; *failed_slot (may be NULL) is the slot that it belongs to. The results
 * of sections before it stand.
 */
PAWL_NODISCARD pawl_status pawl_pg_pipe_run(pawl_pg_pipe *p, int *failed_slot, pawl_error *err);

/* The result of a slot; NULL when it has none. It stays the pipe's. */
const pawl_pg_result *pawl_pg_pipe_result(const pawl_pg_pipe *p, int slot);

/* The same, and it becomes the caller's. */
pawl_pg_result *pawl_pg_pipe_take(pawl_pg_pipe *p, int slot);

#endif
