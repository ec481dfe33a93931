/*
 * bound.h - the bound of a job whose changes are captured: read once the triggers are there, so that no row is passed over.
 *
 * Threads: as step.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_STEP_BOUND_H
#define PAWL_STEP_BOUND_H

#include "backfill/job.h"
#include "step/step.h"

/*
 * Read the greatest key of the table and note it with the job, in the transaction at hand, which began after that of the
 * triggers was committed. Of `job` table, key, spec, env and id count. A job that has begun to hand out chunks stays as it
 * is.
 */
PAWL_NODISCARD pawl_status pawl_step_note_bound(pawl_step_run *run, const pawl_job *job, pawl_error *err);

#endif
