/*
 * rejects_again.h - rows of a swap or a rewrite that have NULL because they were refused, to be transformed once more.
 *
 * Their keys are put into the log of changes, as if somebody had written the rows: whoever carries the log over transforms
 * them as they are then, and says in the ledger what came of it. So a retry needs nothing of its own that could be killed.
 *
 * Threads: as pg/session.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_MIGRATE_REJECTS_AGAIN_H
#define PAWL_MIGRATE_REJECTS_AGAIN_H

#include "ledger/ledger.h"

/*
 * Outside of a transaction. *queued: how many. PAWL_E_REFUSED after the cut-over, and where nothing is captured yet.
 * Locks that others hold for a moment are waited for.
 */
PAWL_NODISCARD pawl_status pawl_rejects_queue_again(int64_t job, const char *revision,
                                                    int64_t lock_timeout_ms, pawl_ledger *ledger, pawl_pg *pg,
                                                    int64_t *queued, pawl_error *err);

#endif
