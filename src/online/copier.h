/*
 * copier.h - the rows of a table into its shadow table, range by range of the key, each exactly once.
 *
 * Several workers, each with a thread and a session, copy ranges of the key at once: with one INSERT ... SELECT where SQL
 * says it all, else from a COPY through the transform into another. They commit in the order of their ranges
 * (copy_turns.h), each range in one transaction with the checkpoint: rows, hold, checkpoint, commit. So a range is in the
 * shadow table if and only if the cursor says so, whatever dies. The job has one chunk, number 1, from the first key to
 * the greatest one at the start; what comes later is captured. Capture must be in place before.
 *
 * Threads: the call blocks until the copy is done, failed or stopped; it joins its threads.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_ONLINE_COPIER_H
#define PAWL_ONLINE_COPIER_H

#include "backfill/keyval.h"
#include "online/shape.h"

#define PAWL_COPIER_OWNER_MAX 160

/* Fill in an owner that nobody else has. */
void pawl_copier_name_owner(char owner[PAWL_COPIER_OWNER_MAX]);

typedef struct pawl_copier_options
{
    const pawl_shape *shape; /* looked at */
    const pawl_backfill_env *env;
    int64_t job;
    int64_t now_us;    /* the transform's `now`: when the job was started */
    const char *owner; /* of the chunk: called again under it, a copy need not wait for its own lease */
} pawl_copier_options;

/*
 * Copy what is not copied yet; PAWL_OK when all is. A stop of level FINISH ends it after the transactions at hand. Lost
 * connections and locks are the caller's to answer: call again.
 */
PAWL_NODISCARD pawl_status pawl_copier_run(const pawl_copier_options *options, pawl_error *err);

/* Put the parts of a key into the settings pawl.<prefix>_1, ... of the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_copier_set_key(pawl_pg *pg, const char *prefix, const pawl_keyval *key,
                                               pawl_error *err);

#endif
