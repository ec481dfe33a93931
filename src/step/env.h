/*
 * env.h - what the engines of a step's rows are told by its run.
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

#endif
