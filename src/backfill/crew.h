/*
 * crew.h - the workers of one process: as many as there are to be, from the first to the last.
 *
 * How many that is may change while they run (pawl tune): more are started, and those beyond the number leave after
 * their batch. Worker 0 never leaves before the work is done.
 *
 * Threads: the calling thread starts and joins the workers and calls the sink; it blocks until all have ended.
 * Memory:  nothing outlives the call.
 */
#ifndef PAWL_BACKFILL_CREW_H
#define PAWL_BACKFILL_CREW_H

#include "backfill/worker.h"

/* PAWL_OK when a worker found nothing left to do; else the first failure. */
PAWL_NODISCARD pawl_status pawl_crew_run(pawl_run *run, pawl_error *err);

#endif
