/*
 * drain.h - doing again the rows that a capture has logged.
 *
 * One drainer a job, whatever happens: it holds chunk 0 of the job with a fence, as a worker holds a chunk (two at once
 * have lost rows without an error). Each slice of the log is one transaction: hold, is the capture whole?, take up to n
 * entries from the floor on, hand their distinct keys to the caller's function, delete the entries, checkpoint, commit.
 * The function reads inside of that transaction, in a later statement than the one that named the keys: so it sees at
 * least what was captured, and no rename can come between its read and its write.
 *
 *   open -> (run | step)* -> [in a transaction of the caller on pawl_drain_pg: hold -> locked] -> close
 *
 * Ids commit out of order, so there is no watermark; the floor is the highest id below which every transaction has
 * ended and every entry is done, and it only saves reading past the dead entries.
 *
 * A unique violation makes the slice grow, fourfold each time up to the whole log, and is_crowded tells the function to
 * clear what it is about to write first: two rows that exchanged their values fit only together. (Halving, which finds a
 * bad row in a batch, never ends here.)
 *
 * Threads: a drain belongs to one thread.
 * Memory:  close frees; the key must outlive it.
 */
#ifndef PAWL_ONLINE_DRAIN_H
#define PAWL_ONLINE_DRAIN_H

#include "backfill/job.h"
#include "online/capture.h"

typedef struct pawl_drain pawl_drain;

typedef enum pawl_drain_end
{
    PAWL_DRAIN_EMPTY, /* everything that the last look could see has been done */
    PAWL_DRAIN_MORE,  /* there is more */
    PAWL_DRAIN_VOID,  /* changes may have been missed, see pawl_drain_why: the job has to start over */
} pawl_drain_end;

typedef struct pawl_drain_slice
{
    const pawl_pg_result *keys; /* distinct; a row a key, a column a part, as text, and behind them whether
                                   the row came or went, or its marked column was changed (capture.h) */
    int64_t entries;            /* of the log */
    bool is_crowded;            /* unique values met: clear first, then write */
    bool has_truncate; /* before these keys are written, everything was emptied; there may be no keys */
} pawl_drain_slice;

/* Do these keys again, in the transaction at hand: the rows may be there or gone. *written counts rows. */
typedef pawl_status (*pawl_drain_apply)(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice,
                                        int64_t *written, pawl_error *err);

typedef struct pawl_drain_options
{
    int64_t job;
    const pawl_key *key;
    const pawl_backfill_env *env;
    uint32_t table_oid; /* to say who holds it, when a lock does not come; 0: nobody is named */
    int64_t rows;       /* entries a slice begins with; 0: 500. It follows the time that a slice takes */
    bool
        passes_truncate; /* a TRUNCATE takes nothing from the job: a swap, whose new column goes with the rows */
    bool tells_truncate; /* the function deals with it */
    /*
     * The phases of the job in which this is what its log is for, as an array of SQL; NULL: only to wait for whoever has the
     * chunk. Once another process has cut over, the same log is of another direction: PAWL_E_STATE.
     */
    const char *phases;
    pawl_drain_apply apply;
    void *ctx;
} pawl_drain_options;

/* A session of its own, and chunk 0. PAWL_E_BUSY when another process drains this job. */
PAWL_NODISCARD pawl_status pawl_drain_open(const pawl_drain_options *options, pawl_drain **out,
                                           pawl_error *err);

/* Gives the chunk back. NULL is allowed. */
void pawl_drain_close(pawl_drain *drain);

/* One slice. Failures are the caller's: the transaction is rolled back. */
PAWL_NODISCARD pawl_status pawl_drain_step(pawl_drain *drain, pawl_drain_end *out, pawl_error *err);

/*
 * Slices until the log is empty or void, or `budget_ms` has passed (MORE; 0: until a stop). Lost connections, locks and
 * unique violations are dealt with; what cannot be is returned, a row that the function rejects among it.
 */
PAWL_NODISCARD pawl_status pawl_drain_run(pawl_drain *drain, int64_t budget_ms, pawl_drain_end *out,
                                          pawl_error *err);

/* In a transaction of the caller, before it locks the table: hold chunk 0. PAWL_E_LEASE when it is lost. */
PAWL_NODISCARD pawl_status pawl_drain_hold(pawl_drain *drain, pawl_error *err);

/*
 * In that transaction, under the table's lock: slices until the log is empty. MORE: out of time, or unique values met, for
 * which a larger slice is needed; the transaction may have failed: roll back, let go of the lock, run, try again.
 */
PAWL_NODISCARD pawl_status pawl_drain_locked(pawl_drain *drain, int64_t budget_ms, pawl_drain_end *out,
                                             pawl_error *err);

/* The drain's session, for transactions of the caller, and its ledger. The session changes when `run` reconnects. */
pawl_pg *pawl_drain_pg(const pawl_drain *drain);
pawl_ledger *pawl_drain_ledger(const pawl_drain *drain);

/* After PAWL_DRAIN_VOID: what happened. */
const char *pawl_drain_why(const pawl_drain *drain);

/* Entries done and rows written since open. */
int64_t pawl_drain_entries(const pawl_drain *drain);
int64_t pawl_drain_written(const pawl_drain *drain);

PAWL_DEFINE_AUTO(pawl_drain, pawl_drain_close);

#endif
