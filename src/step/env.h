/*
 * env.h - what the engines of a step's rows are told by its run, and what its record says of their job.
 *
 * Threads: as step.h.
 * Memory:  points into the run and its settings.
 */
#ifndef PAWL_STEP_ENV_H
#define PAWL_STEP_ENV_H

#include "backfill/run.h"
#include "step/step.h"

/* Without `restart`: only a backfill begins an abandoned job anew. */
pawl_backfill_env pawl_step_env(const pawl_step_run *run);

/* Under which its job stands in the ledger. */
pawl_backfill_id pawl_step_job_id(const pawl_step_run *run);

/* What the step's record says at its end: the job, and what may not have changed. */
PAWL_NODISCARD pawl_status pawl_step_record_job(pawl_step_run *run, const pawl_step *step, int64_t job,
                                                pawl_error *err);

#endif
