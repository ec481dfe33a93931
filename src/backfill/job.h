/*
 * job.h - a data step's job: what it does, checked against the catalogue, and its row in the ledger.
 *
 *   open (checks, finds or creates) -> shared read-only by the workers -> finish -> close
 *
 * Threads: read-only after open; every worker may read it. open and finish run on the coordinator's session.
 * Memory:  the job owns an arena that everything in it lives in.
 */
#ifndef PAWL_BACKFILL_JOB_H
#define PAWL_BACKFILL_JOB_H

#include "backfill/keyval.h"
#include "backfill/run.h"
#include "catalog/table.h"
#include "ledger/ledger.h"

typedef struct pawl_job
{
    pawl_arena *arena;
    const pawl_backfill_spec *spec;
    const pawl_backfill_env *env;
    const pawl_table *table;
    const pawl_key *key;
    const pawl_column **read; /* what READ brings, without the key columns */
    int nread;
    const pawl_column **write;
    int nwrite;
    const int *write_in_row;   /* for each written column its place in the transform's row, or -1 */
    pawl_lua_column *lua_read; /* key columns first, then `read` */
    int nlua_read;
    pawl_lua_column *lua_write;
    int64_t id;
    int64_t started_us; /* wall time: the transform's `now` */
    bool was_resumed;
    bool is_done;      /* was finished before */
    pawl_keyval bound; /* not set: the table was empty */
    int64_t rows_estimate;
} pawl_job;

/* Check against the catalogue only; nothing is written. Fills table, key and columns. */
PAWL_NODISCARD pawl_status pawl_job_check(pawl_job *job, const pawl_backfill_spec *spec,
                                          const pawl_backfill_env *env, pawl_pg *pg, pawl_error *err);

/* Check, then find the unfinished (or finished) job of this name, or create it: wait out writers, read the bound. */
PAWL_NODISCARD pawl_status pawl_job_open(pawl_job *job, const pawl_backfill_spec *spec,
                                         const pawl_backfill_env *env, const pawl_backfill_id *id,
                                         pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Close the job in the ledger when it is done; PAWL_E_BUG when it is not. */
PAWL_NODISCARD pawl_status pawl_job_finish(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Totals over all runs, from the ledger. */
PAWL_NODISCARD pawl_status pawl_job_totals(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                           pawl_progress *out, pawl_error *err);

void pawl_job_fini(pawl_job *job);

#endif
