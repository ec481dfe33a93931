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
#include "core/backoff.h"
#include "ledger/ledger.h"

/* What form.h has found out. */
typedef struct pawl_job_form
{
    bool can_stripe;
    bool may_pass; /* something stands in the way that may not last */
    const char *why;
} pawl_job_form;

typedef struct pawl_job
{
    pawl_arena *arena;
    const pawl_backfill_spec *spec;
    const pawl_backfill_env *env;
    const pawl_table *table;
    const pawl_table *root; /* of a part (part.h): the table that was named; else NULL */
    int part;               /* the number of the part; 0 also for a table in one piece */
    bool is_keyless;        /* `key` is the place of rows, and done in passes (pass.h) */
    bool is_divided;        /* the rows lie in parts, each with a key of its own: this one's has no columns */
    const pawl_key *key;
    const pawl_table *target; /* of `into`: the table that `write` are columns of; NULL: the same table */
    bool is_look;             /* opened by pawl_job_look */
    const int *merge;         /* of `merge`: places in `write` */
    int nmerge;
    const pawl_column **read; /* what READ brings, without the key columns */
    int nread;
    const pawl_column **write;
    int nwrite;
    const int *write_in_row;   /* for each written column its place in the transform's row, or -1 */
    pawl_lua_column *lua_read; /* key columns first, then `read` */
    int nlua_read;
    pawl_lua_column *lua_write;
    int64_t id;
    const char
        *checksum; /* of the step that this process runs: what the ledger says too, or it claims nothing */
    int64_t started_us; /* wall time: the transform's `now` */
    bool was_resumed;
    bool is_done;      /* was finished before */
    bool has_findings; /* finished but for rejects that somebody has to deal with */
    int64_t rejects;   /* of them, when the job is finished */
    pawl_keyval bound; /* not set: the table was empty */
    int64_t rows_estimate;
    pawl_job_form form;
} pawl_job;

/*
 * Somebody holds a strong lock on the table just now: after a pause PAWL_OK, and it is worth another try. Any other failure
 * is handed on, as is the one of the last of env->lock_attempts tries.
 */
PAWL_NODISCARD pawl_status pawl_job_try_later(const pawl_backfill_env *env, pawl_backoff *backoff,
                                              int64_t tries, const pawl_error *failure, pawl_error *err);

/*
 * Check against the catalogue only; nothing is written. Fills table, key and columns. Of a divided table only what is
 * common to its parts; those are checked one by one (part.h).
 */
PAWL_NODISCARD pawl_status pawl_job_check(pawl_job *job, const pawl_backfill_spec *spec,
                                          const pawl_backfill_env *env, pawl_pg *pg, pawl_error *err);

/*
 * For a look before or after the fact (preview, verify): the catalogue only, in a READ ONLY transaction. A column that
 * is missing may be promised, and a written one of which nothing is known is of type PAWL_LUA_ANY; both have the
 * number 0. Neither the statements nor the transform are tried.
 */
PAWL_NODISCARD pawl_status pawl_job_look(pawl_job *job, const pawl_backfill_spec *spec,
                                         const pawl_backfill_env *env, pawl_pg *pg, pawl_error *err);

/*
 * Add the columns to the table that are missing and promised (job_promise.c): those of `read` and `write`, with `into`
 * those of `read` to the table and, with is_target, those of `write` to the other one. Inside a transaction.
 */
PAWL_NODISCARD pawl_status pawl_job_promise(const pawl_job *job, pawl_table *table, bool is_target,
                                            pawl_pg *pg, pawl_error *err);

/*
 * Load the table of `into` into job->target and check that rows of job->table can be written there (job_into.c). Inside a
 * transaction. check_written: whether one of its columns may be named; check_target, when all are known: whether those
 * that are not can be left out, and what `merge` names.
 */
PAWL_NODISCARD pawl_status pawl_job_find_target(pawl_job *job, pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_job_check_into(const pawl_job *job, const pawl_column *c, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_job_check_target(pawl_job *job, pawl_error *err);

/* Let the server parse and plan what `into` will run, so that rights and types show before the first row. */
PAWL_NODISCARD pawl_status pawl_job_try_into(const pawl_job *job, pawl_pg *pg, pawl_error *err);

/*
 * The steps of a check, for part.h: `job` has its spec, env, arena and table, and `pg` is in a transaction. Columns and
 * key of the table; then, with the user's search_path, the statements, and whether they go along the key (job_plan.c:
 * changes planner settings of the transaction).
 */
PAWL_NODISCARD pawl_status pawl_job_check_table(pawl_job *job, pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_job_check_statements(const pawl_job *job, pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_job_check_plan(const pawl_job *job, pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_job_check_transform(const pawl_job *job, pawl_error *err);

/* BEGIN with the pins under which the user's expressions are read. */
PAWL_NODISCARD pawl_status pawl_job_begin_user(const pawl_job *job, pawl_pg *pg, pawl_error *err);

/* PAWL_E_STATE: another process runs the job with another text of its step. */
pawl_status pawl_job_is_changed(const pawl_job *job, pawl_error *err);

/* True when values of the column are to be kept out of messages. */
bool pawl_job_is_redacted(const pawl_job *job, const char *column);

/*
 * Take out of a failure what may hold a value, when the job redacts any column: of a transform its own words, of the
 * server those about rows. Place, SQLSTATE and class stay.
 */
void pawl_job_redact(const pawl_job *job, pawl_error *err);

/* Check, then find the unfinished (or finished) job of this name, or create it: wait out writers, read the bound. */
PAWL_NODISCARD pawl_status pawl_job_open(pawl_job *job, const pawl_backfill_spec *spec,
                                         const pawl_backfill_env *env, const pawl_backfill_id *id,
                                         pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/*
 * Refuse when the newest job of this name was abandoned and env->restart is not set: its rows would be transformed a second
 * time. PAWL_E_STATE says how many it had written. With `restart` it is told to the sink, and an event.
 */
PAWL_NODISCARD pawl_status pawl_job_check_abandoned(const pawl_job *job, const pawl_backfill_id *id,
                                                    pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Wait until every transaction that writes to a table, or to a part of it, has ended. Outside a transaction. */
PAWL_NODISCARD pawl_status pawl_job_wait_writers(const pawl_job *job, uint32_t oid, pawl_pg *pg,
                                                 pawl_error *err);

/* What a running job relies on in the columns of its table, as one text. */
void pawl_job_fingerprint(const pawl_job *job, pawl_strbuf *out);

/*
 * Close the job in the ledger when everything is handed out and done: as done, or with findings when more rows were
 * rejected than its step allows. PAWL_E_STATE when it cannot be. Fills has_findings and rejects.
 */
PAWL_NODISCARD pawl_status pawl_job_finish(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/*
 * A job that ended with findings is done as soon as no more rejects are open than its step allows: look, and close it then.
 * Fills has_findings and rejects.
 */
PAWL_NODISCARD pawl_status pawl_job_settle(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Totals over all runs, from the ledger. */
PAWL_NODISCARD pawl_status pawl_job_totals(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                           pawl_progress *out, pawl_error *err);

/* How the job's transform is opened, with `now_us` as its pawl.now. It points into the job. */
pawl_lua_options pawl_job_lua_options(const pawl_job *job, int64_t now_us);

void pawl_job_fini(pawl_job *job);

#endif
