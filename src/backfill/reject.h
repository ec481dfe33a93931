/*
 * reject.h - the bad rows of one batch on their way into the ledger.
 *
 * A row that the transform or the server refuses is set aside, where the step says so, in the transaction of the
 * checkpoint that passes over it: a kill leaves the row either done, or in `reject`, or still to come.
 *
 *   init -> (reset -> add ... -> queue)* -> fini
 *
 * What is kept of a row: its key, and for `on_error: quarantine` its input as a jsonb object of texts as PostgreSQL
 * prints them, exact for every type. Values of redacted columns are left out of it.
 *
 * Threads: belongs to one worker.
 * Memory:  buffers are kept between batches; add copies.
 */
#ifndef PAWL_BACKFILL_REJECT_H
#define PAWL_BACKFILL_REJECT_H

#include "backfill/job.h"

typedef struct pawl_rejects
{
    const pawl_job *job;
    const pawl_column **columns; /* of the input, behind those of the key */
    int ncolumns;
    int count;
    pawl_pg_array names;
    pawl_pg_array keys; /* the parts of all keys, one key after the other */
    pawl_pg_array values;
    pawl_pg_array sqlstates;
    pawl_pg_array messages;
    int *places; /* of each: its row in the result that it came from */
    size_t capacity;
    bool has_no_room;
} pawl_rejects;

/* True when the job sets bad rows aside instead of stopping at the first. */
bool pawl_job_has_rejects(const pawl_job *job);

PAWL_NODISCARD pawl_status pawl_rejects_init(pawl_rejects *r, const pawl_job *job, pawl_error *err);
void pawl_rejects_fini(pawl_rejects *r);
void pawl_rejects_reset(pawl_rejects *r);

/*
 * Add a row: `first_key` is the column of the result at which the key begins, the input follows it in the order of
 * `columns`. `why` is redacted here.
 */
void pawl_rejects_add(pawl_rejects *r, const pawl_pg_result *res, int row, int first_key,
                      const pawl_error *why);

/* PAWL_E_NOMEM when an add found no memory. */
PAWL_NODISCARD pawl_status pawl_rejects_check(const pawl_rejects *r, pawl_error *err);

/*
 * Of a job whose bad rows get NULL: is this a refusal of the row's value, by the transform or by the type that is to hold it?
 * What else may go wrong with a row (a trigger, a constraint of another column) stops the job as ever.
 */
bool pawl_reject_is_of_value(const pawl_error *why);

/* Put them into the ledger in the transaction at hand; raises when the job has more of them than its step allows. */
PAWL_NODISCARD pawl_status pawl_rejects_store(pawl_rejects *r, pawl_ledger *ledger, pawl_pg *pg,
                                              pawl_error *err);

/* Queue what puts them into the ledger, and raises when the job has more of them than its step allows. */
void pawl_rejects_queue(pawl_rejects *r, pawl_ledger *ledger, pawl_pg_pipe *pipe);

/*
 * What a failure says in one line: of the server with its detail, of a transform with the place in the Lua file. UTF-8,
 * whatever a transform raised.
 */
void pawl_reject_text(const pawl_error *why, char *out, size_t size);

#endif
