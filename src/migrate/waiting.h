/*
 * waiting.h - backfills that are done and go on logging what others change, until a `switch` takes them over.
 *
 * Nothing works on such a job, for weeks maybe, so somebody has to be told when its log grows large, when it has a hole, or
 * when no switch is to come any more.
 *
 * Threads: as migrate/run.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_MIGRATE_WAITING_H
#define PAWL_MIGRATE_WAITING_H

#include "migrate/run.h"

/* Look at them, and tell the sink what somebody should know. */
PAWL_NODISCARD pawl_status pawl_waiting_look(pawl_migration *m, pawl_error *err);

#endif
