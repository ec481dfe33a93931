/*
 * txn.h - transactions, all begun in one way.
 *
 * Every transaction is BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE and pins by one SELECT set_config(..., true)
 * everything that a role or a database may have set otherwise and that changes what text means, what can be seen or
 * how long something lasts. (Defaults of roles have been seen to drop keys and to change dates.)
 *
 * Threads: as session.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_PG_TXN_H
#define PAWL_PG_TXN_H

#include "pg/exec.h"

typedef struct pawl_pg_pins
{
    const char *search_path; /* NULL: "pg_catalog, pg_temp"; user code gets the one that it declares */
    int64_t lock_timeout_ms; /* as asked for; cut to half of the server's deadlock_timeout unless it is 0,
                                         which means just that half */
    bool
        outwaits_vacuum; /* instead: so long that the server cancels an autovacuum that has the lock (pg/lockers.h) */
    int64_t statement_timeout_ms; /* 0: none */
    int64_t idle_timeout_ms;      /* idle_in_transaction_session_timeout; 0: 60 s */
    bool replica_triggers_off;    /* session_replication_role = replica: user triggers do not fire */
    bool no_nestloop;             /* enable_nestloop = off: the writers' joins */
    bool async_commit;            /* synchronous_commit = off: only where data and cursor stay atomic */
    int64_t worker;               /* pawl.worker: the job whose guards let this transaction write; 0: none */
} pawl_pg_pins;

/* BEGIN and the pins, one round trip. NULL takes the defaults. */
PAWL_NODISCARD pawl_status pawl_pg_begin(pawl_pg *pg, const pawl_pg_pins *pins, pawl_error *err);

/*
 * Before a lock that the application waits for: a session whose client is frozen or cut off ends after 5 s instead of a
 * minute, and lets go of it.
 */
PAWL_NODISCARD pawl_status pawl_pg_hurry(pawl_pg *pg, pawl_error *err);

/* Look names up there from here to the end of the transaction. */
PAWL_NODISCARD pawl_status pawl_pg_set_path(pawl_pg *pg, const char *search_path, pawl_error *err);

/*
 * COMMIT, which counts only when its tag says COMMIT: a failed transaction answers ROLLBACK, as a success. When the
 * connection is lost here (PAWL_E_CONNECT) the transaction may or may not be in: ask the ledger under a claim.
 */
PAWL_NODISCARD pawl_status pawl_pg_commit(pawl_pg *pg, pawl_error *err);

/* ROLLBACK when a transaction is open; errors are of no interest (the connection may be gone). */
void pawl_pg_rollback(pawl_pg *pg);

/*
 * The same for the session, as far as it concerns a statement that cannot be in a transaction (VACUUM, CREATE INDEX
 * CONCURRENTLY, CREATE DATABASE). Never behind a pooler, where the settings would be the next one's too. 0: no time-out.
 */
PAWL_NODISCARD pawl_status pawl_pg_pin_session(pawl_pg *pg, const char *search_path, int64_t lock_timeout_ms,
                                               int64_t statement_timeout_ms, pawl_error *err);

/* The statement that sets the pins, for those that queue it themselves, and its parameters. */
#define PAWL_PG_PIN_ARGS 8
const char *pawl_pg_pin_sql(void);
typedef struct pawl_pg_pin_args
{
    pawl_pg_arg args[PAWL_PG_PIN_ARGS];
    char text[4][24];
} pawl_pg_pin_args;
void pawl_pg_pin_fill(const pawl_pg *pg, const pawl_pg_pins *pins, pawl_pg_pin_args *out);

#endif
