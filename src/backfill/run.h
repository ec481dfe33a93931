/*
 * run.h - a backfill from its start to its end.
 *
 * The calling thread opens or creates the job, starts the workers (one thread, one session, one Lua state each), emits
 * progress to the sink about four times a second until they have ended, and closes the job. Workers share four things:
 * the run's end state, the progress counters, the pace and the stop; each is reached through functions that lock.
 *
 * Threads: as said; the call blocks until the work is done, failed or stopped.
 * Memory:  results are plain values.
 */
#ifndef PAWL_BACKFILL_RUN_H
#define PAWL_BACKFILL_RUN_H

#include "backfill/spec.h"

/*
 * Run the job to its end, or carry an unfinished one on. PAWL_OK when every chunk is done (also when it was before).
 * PAWL_E_STATE when an unfinished job of this name was told something else; the message names the difference.
 */
PAWL_NODISCARD pawl_status pawl_backfill_run(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                             const pawl_backfill_id *id, pawl_backfill_result *result,
                                             pawl_error *err);

/*
 * Everything that can be found wrong before the first row is touched: table, columns, key, expressions, the Lua file.
 * Opens its own session. (pawl_backfill_run does the same first.)
 */
PAWL_NODISCARD pawl_status pawl_backfill_check(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                               pawl_error *err);

#endif
