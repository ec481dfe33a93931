/*
 * lockers.h - who holds what we wait for.
 *
 * Threads: as session.h.
 * Memory:  the text is in the caller's buffer.
 */
#ifndef PAWL_PG_LOCKERS_H
#define PAWL_PG_LOCKERS_H

#include "pg/exec.h"

/*
 * Describe the sessions (and prepared transactions) that hold a lock on the table, oldest transaction first, as
 * "pid 4711 (app \"web\", user shop, idle in transaction for 12 s: UPDATE ...)"; "" when there are none or they
 * cannot be seen. Best effort: errors are swallowed. Runs its own short transaction; call it outside one.
 */
void pawl_pg_lockers(pawl_pg *pg, uint32_t table_oid, char *out, size_t size);

/*
 * Whether it is an autovacuum alone that keeps the table: the server cancels it for whoever waits for deadlock_timeout, which a
 * lock_timeout of ours never is. One more try that waits for longer (outwaits_vacuum in pg/txn.h) gets the lock, and the
 * application waits behind it once, instead of behind every try and in vain. Not for one that prevents a wraparound, which the
 * server does not cancel, nor where somebody else has had the table for a second. As above.
 */
bool pawl_pg_is_vacuumed(pawl_pg *pg, uint32_t table_oid);

#endif
