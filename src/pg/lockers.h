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

#endif
