/*
 * runner.h - the lease of the one process that may change the history.
 *
 * A row with owner, fence and time limit, not a session lock: those break behind a pooler and deadlock CREATE INDEX
 * CONCURRENTLY. acquire takes the row when it is free: released, expired, or held by a backend that is gone
 * (pg_stat_activity; not behind a pooler). A thread of its own renews it over its own connection. Whoever writes holds
 * the row FOR SHARE with its fence first (pawl_runner_hold), so that a take-over waits for the step in flight and a
 * stalled runner that wakes up can change nothing.
 *
 *   acquire -> (hold, renew inside transactions ...) -> release
 *
 * The backend that the lease names is the heartbeat's as soon as it has connected. The acquiring connection stands in
 * until then and while the heartbeat has none: it is the wrong one for longer, because an administrator may terminate
 * a step's statement and the run then goes on over a new connection. Whoever cuts the heartbeat's idle connection may
 * cost the lease, if another runner waits, until the next beat has opened a new one; the fence makes that safe, and
 * hold says PAWL_E_LEASE. After a restart of the server the lease belongs to who comes first.
 *
 * Threads: the object belongs to the thread that acquired it, but threads of its own may hold it, each over a session and
 *          with a ledger of its own; the heartbeat thread touches only its own connection.
 * Locks:   one mutex, a leaf, between the two.
 * Memory:  release frees; NULL is allowed.
 */
#ifndef PAWL_LEDGER_RUNNER_H
#define PAWL_LEDGER_RUNNER_H

#include "ledger/ledger.h"

#include "pawl/event.h"

typedef struct pawl_runner pawl_runner;

typedef struct pawl_runner_options
{
    const char *conninfo; /* for the heartbeat's connection */
    bool is_pooled;       /* it is known to lead to a pooler in transaction mode */
    const char *schema;
    const char *doing; /* "upgrade head" */
    int64_t lease_ms;  /* renewed every third of it */
    int64_t wait_ms;   /* how long to wait for another runner */
    const pawl_stop *stop;
    const pawl_sink *sink; /* PAWL_EVENT_WAITING while waiting, once a second at most */
} pawl_runner_options;

/*
 * Take the lease. PAWL_E_BUSY after wait_ms: who holds it, since when, from which host and process, what it does.
 * PAWL_E_STOPPED on request. The ledger must exist.
 */
PAWL_NODISCARD pawl_status pawl_runner_acquire(pawl_ledger *ledger, pawl_pg *pg,
                                               const pawl_runner_options *options, pawl_runner **out,
                                               pawl_error *err);

/*
 * Give it back, end the heartbeat, free. Best effort, also after a stop: an open transaction of `pg` is rolled back and
 * no stop interrupts it from now on. When `pg` is gone (or NULL) the lease is free because its backend is.
 */
void pawl_runner_release(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg);

/* Inside the caller's transaction: hold the row FOR SHARE with our fence. PAWL_E_LEASE when it was taken over. */
PAWL_NODISCARD pawl_status pawl_runner_hold(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg,
                                            pawl_error *err);

/*
 * Inside the caller's transaction, just before COMMIT: renew the lease (hold keeps the heartbeat from doing it), so that
 * a take-over that waits for this transaction then finds nothing to take. PAWL_E_LEASE when it was taken over.
 */
PAWL_NODISCARD pawl_status pawl_runner_renew(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg,
                                             pawl_error *err);

int64_t pawl_runner_fence(const pawl_runner *runner);

#endif
