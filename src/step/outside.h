/*
 * outside.h - what PostgreSQL runs only outside of a transaction: CREATE INDEX CONCURRENTLY, VACUUM and their like.
 *
 *   open -> (fence -> statement) ... -> pawl_pg_close
 *
 * Such a statement runs on a session of its own, whose settings are the session's and leak to nobody. It cannot be
 * fenced itself: the fence is asked right before it, and whoever comes back later looks at the catalogue.
 *
 * Threads: as step.h.
 * Memory:  the session belongs to the caller.
 */
#ifndef PAWL_STEP_OUTSIDE_H
#define PAWL_STEP_OUTSIDE_H

#include "step/step.h"

/*
 * Connect, past a pooler where `direct_database` is set. PAWL_E_REFUSED behind a pooler in transaction mode without it.
 * With `can_wait` there is no lock_timeout: such statements wait for old transactions by their nature, and one that was
 * interrupted leaves something behind.
 */
PAWL_NODISCARD pawl_status pawl_step_open_outside(const pawl_step_run *run, bool can_wait, pawl_pg **out,
                                                  pawl_error *err);

/* Do we still hold the right to change the history? */
PAWL_NODISCARD pawl_status pawl_step_fence(pawl_step_run *run, pawl_error *err);

#endif
