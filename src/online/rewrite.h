/*
 * rewrite.h - a table rewritten into a new shape through a shadow table, while others go on writing to it.
 *
 * The states, in the ledger as the phase of the job; each can be resumed after any death:
 *
 *   prepare   shadow table, its key, capture                            one transaction for each
 *   copy      every row, in the order of the key (copier.h)
 *   drain     what was captured meanwhile (drain.h): one drainer, and not before the copy has ended
 *   index     the other indexes, several at once (rewrite_index.c); a unique one may take tries
 *   settle    ANALYZE and VACUUM
 *   ready     drains, until told when the cut-over is manual, and until no snapshot is older than the copy
 *   cut over  under the table's lock: drain, rename both, everything that hangs on the table     one transaction
 *   after     what needs no lock: VALIDATE, sequences; the old table goes unless it is kept
 *
 * Until the cut-over everything can be undone without a trace. A TRUNCATE, or a capture that somebody has tampered with,
 * starts the copy over.
 *
 * Threads: the calls block; the copy and the indexes have threads of their own.
 * Memory:  results are plain values.
 */
#ifndef PAWL_ONLINE_REWRITE_H
#define PAWL_ONLINE_REWRITE_H

#include "online/rewrite_spec.h"

typedef struct pawl_rewrite_result
{
    int64_t job_id;
    bool was_resumed;
    bool was_done;
    int64_t locked_ms;   /* how long the cut-over held the table */
    char old_table[140]; /* "" when it is gone */
} pawl_rewrite_result;

/* Under which name it stands in the ledger; `frozen` is the digest of what may not change while it is open. */
typedef struct pawl_rewrite_id
{
    pawl_backfill_id base;
    const char *frozen;
} pawl_rewrite_id;

/* Rewrite the table, or carry an unfinished rewrite on to its end. */
PAWL_NODISCARD pawl_status pawl_rewrite_run(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env,
                                            const pawl_rewrite_id *id, pawl_rewrite_result *result,
                                            pawl_error *err);

/*
 * Take an unfinished rewrite back: nothing of it is left. It is found by `frozen` where the ordinal is 0. PAWL_E_REFUSED with the reason after the cut-over; PAWL_OK when
 * there is none.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_undo(const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                                             pawl_error *err);

#endif
