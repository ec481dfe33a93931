/*
 * redo.h - what a drain does with a slice of keys when columns of the same table are made from others: a backfill that
 * captures, a swap before its cut-over, and the mirror after it with the roles exchanged.
 *
 *   open -> pawl_redo_apply as the function of a drain (drain.h) -> close
 *
 * The rows are locked (FOR NO KEY UPDATE), read, transformed and written in the drain's transaction, so nothing can come
 * between. A row that the locking read does not find is gone; if it was deleted and inserted again meanwhile, that is in
 * the log behind it and comes up again. nil writes NULL: leaving the row alone would keep the value of an older source.
 * Rows that `where:` of the job does not choose are left alone. Where the job's bad rows get NULL (spec.nulls_rejects), one
 * that the transform or the type of the column refuses does, and stands in the ledger until it is written or gone.
 *
 * Threads: as drain.h.
 * Memory:  open and close; the job must outlive it.
 */
#ifndef PAWL_ONLINE_REDO_H
#define PAWL_ONLINE_REDO_H

#include "online/carry.h"
#include "online/drain.h"

typedef struct pawl_redo
{
    const pawl_job *job; /* as pawl_job_check left it */
    pawl_lua *lua;       /* NULL: the expressions of `set` */
    const pawl_carry_demand
        *demands; /* what is written must meet these; the caller may set them after open */
    size_t ndemands;
    pawl_ledger
        *ledger; /* with it, rows that get NULL because they were refused are kept account of; may be NULL */
    bool
        spares_nulled; /* of a mirror: such a row, if it has not been written since, keeps what it was refused for */
} pawl_redo;

/* `entry` is "row" or "reverse" for a job with a Lua file; a job with `set` has its expressions. */
PAWL_NODISCARD pawl_status pawl_redo_open(pawl_redo *redo, const pawl_job *job, const char *entry,
                                          pawl_error *err);
void pawl_redo_close(pawl_redo *redo);

/*
 * A pawl_drain_apply; `ctx` is the pawl_redo. PAWL_E_TRANSFORM names the row that was rejected or failed, PAWL_E_STATE
 * those that will be refused from the cut-over on.
 */
PAWL_NODISCARD pawl_status pawl_redo_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice,
                                           int64_t *written, pawl_error *err);

typedef struct pawl_redo_sample
{
    int64_t rows;      /* compared */
    int64_t differ;    /* whose stored value is not what the transform makes now */
    char example[200]; /* the key of one */
} pawl_redo_sample;

/*
 * Run the transform again over a sample of blocks and compare with what is stored, as the server would store it. Source
 * and result of a row come from one statement; rows with an entry in the log are passed over: they are known to lag. So are
 * those that have NULL and a reject that says why.
 */
PAWL_NODISCARD pawl_status pawl_redo_compare(const pawl_redo *redo, int64_t job, double percent,
                                             pawl_ledger *ledger, pawl_pg *pg, pawl_redo_sample *out,
                                             pawl_error *err);

#endif
