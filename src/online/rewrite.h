/*
 * rewrite.h - a table rewritten into a new shape through a shadow table, while others go on writing to it.
 *
 * The states, in the ledger as the phase of the job; each can be resumed after any death:
 *
 *   prepare   shadow table, capture                                     one transaction for each
 *   copy      every row, in the order of the key (copier.h); then the key
 *   drain     what was captured meanwhile (drain.h): one drainer, and not before the copy has ended
 *   index     the other indexes, several at once (rewrite_index.c); a unique one may take tries
 *   settle    ANALYZE and VACUUM
 *   ready     drains, until told when the cut-over is manual, and until no snapshot is older than the copy
 *   cut over  under the table's lock: drain, rename both, everything that hangs on the table     one transaction
 *   after     what needs no lock: VALIDATE, sequences; the old table goes unless it is kept
 *   mirror    where the step asks for it: what is written to the new table is captured, and the way back is open
 *   back      on the way back: the old table follows until it has all, then the cut-over with the roles exchanged
 *   undone    what needs no lock; the new table goes
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
 * Take a rewrite back, from wherever it is: before the cut-over nothing of it is left, after it the old table takes its
 * place again with everything that was written since. It is found by `frozen` where the ordinal is 0. PAWL_E_REFUSED with
 * the reason where there is no way back any more; PAWL_OK when there is no such rewrite.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_undo(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env,
                                             const pawl_rewrite_id *id, pawl_error *err);

/* Whether it could be taken back from where it is: PAWL_E_REFUSED says why not. */
PAWL_NODISCARD pawl_status pawl_rewrite_may_undo(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env,
                                                 const pawl_rewrite_id *id, pawl_error *err);

/*
 * With the mirror running, before the way back begins: let the old table follow to the end of the log. What `reverse`
 * rejects is the failure that it would be later; `is_next`: the table is what the way back will meet, and so is what it
 * would lose.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_look_ahead(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env,
                                                   const pawl_rewrite_id *id, bool is_next, pawl_error *err);

/*
 * Carry over what the mirror has logged, for so long (0: until there is no more); *left: there is more. Not needed, but
 * the log grows until somebody does it, and a downgrade has the less to do.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_follow(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env,
                                               const pawl_rewrite_id *id, int64_t budget_ms, bool *left,
                                               pawl_error *err);

#endif
