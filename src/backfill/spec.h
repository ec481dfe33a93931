/*
 * spec.h - what a backfill is told: by a revision's step, or by a caller of the public API.
 *
 * Threads: read-only.
 * Memory:  everything belongs to the caller and outlives the run.
 */
#ifndef PAWL_BACKFILL_SPEC_H
#define PAWL_BACKFILL_SPEC_H

#include "backfill/pacing.h"
#include "core/log.h"
#include "core/stop.h"
#include "ledger/ledger.h"
#include "lua/transform.h"
#include "progress/progress.h"

#include "pawl/backfill.h"

/* A column that is not there yet, as an `add_column` on the way to the backfill will make it. */
typedef struct pawl_backfill_promise
{
    const char *table; /* as that step names it */
    const char *column;
    const char *type;       /* SQL */
    const char *expression; /* its default, SQL; NULL: none */
} pawl_backfill_promise;

/* How an in-place update is written. */
typedef enum pawl_form_choice
{
    PAWL_FORM_AUTO,
    PAWL_FORM_PLAIN,   /* a batch is a transaction */
    PAWL_FORM_STRIPED, /* a batch is several, each over a part of the rows of every page */
} pawl_form_choice;

#define PAWL_MAX_REJECTS 1000 /* where nothing is said: so many bad rows are no accident */

/* What is done. An unfinished job must find it unchanged, Lua, pace, `redact` and what is said of bad rows excepted. */
typedef struct pawl_backfill_spec
{
    const char *table;
    const char *const *key; /* NULL: chosen */
    size_t nkey;
    const char *lua_file; /* NULL: `set` */
    const char *const *read;
    size_t nread;
    const char *const *write;
    size_t nwrite;
    const char *const *returns; /* what the transform calls the columns of `write`; NULL: the same */
    bool nil_writes_null;       /* nil, and a column that the answer leaves out, write NULL: a swap */
    const char *
        into; /* another table: the transform returns rows for it, `write` names its columns; NULL: in place */
    const char *const *merge; /* with `into`: columns of a unique index; a row that is there is updated */
    size_t nmerge;
    bool
        is_unlocked; /* with `into`: rows that were read are not locked and looked at again before the write */
    const pawl_set_expression *set;
    size_t nset;
    const char *where; /* NULL: every row */
    bool fire_triggers;
    bool any_plan;             /* go on even where the server would not go along the key's index */
    const char *const *redact; /* columns whose values are kept out of messages */
    size_t nredact;
    pawl_on_error on_error;
    bool
        nulls_rejects; /* with quarantine: what is written stays NULL in a row that is set aside, and nothing waits for it */
    int64_t max_rejects;
    int64_t allow_rejects;
    const pawl_backfill_promise *promised; /* for pawl_job_look only */
    size_t npromised;
    /* pace */
    int64_t workers;
    int64_t batch_rows; /* 0: by time */
    int64_t target_ms;
    int64_t batch_min;
    int64_t batch_max;
    int64_t chunk_rows; /* 0: about 20 batches */
    pawl_throttle throttle;
    pawl_form_choice form;
} pawl_backfill_spec;

/* Where and for whom. */
typedef struct pawl_backfill_env
{
    const char *conninfo;
    bool is_pooled;     /* it is known to lead to a pooler in transaction mode */
    const char *schema; /* of the ledger, which exists */
    const char *search_path;
    const char *lua_root;
    const pawl_lua_pair *x;
    size_t nx;
    const pawl_lua_pair *secrets;
    size_t nsecrets;
    int64_t lock_timeout_ms;
    int64_t lock_attempts;
    int64_t connect_timeout_ms;
    int64_t lease_ms;
    bool restart; /* a job that was abandoned may be begun anew */
    const pawl_stop *stop;
    const pawl_sink *sink;
    /* Every batch's time in microseconds, from worker threads, already serialised; NULL: of no interest. */
    void (*on_batch)(void *ctx, int64_t rows, int64_t elapsed_us);
    void *on_batch_ctx;
    /* In the transaction that makes the job, so that it is never there without what belongs to it; NULL: nothing. */
    pawl_status (*on_created)(void *ctx, int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);
    void *on_created_ctx;
} pawl_backfill_env;

/* Under which name the job stands in the ledger. */
typedef struct pawl_backfill_id
{
    const char *revision;
    const char *direction; /* up, down, api */
    int ordinal;
    const char *checksum; /* of the whole step: recorded, and an event when it has changed */
    int64_t joins;        /* a job that another process runs: never created, never changed; 0: none */
} pawl_backfill_id;

#endif
