/*
 * exec.h - one statement, one answer.
 *
 * Unnamed statements of the extended protocol, parameters bound, results as text. A failed statement gives
 * PAWL_E_SERVER with the SQLSTATE, message, detail and hint of the server (the statement's position as line and column
 * of the detail), PAWL_E_LEASE for PW001, PAWL_E_CONNECT when the connection is gone, PAWL_E_STOPPED when a stop of
 * level CANCEL made us cancel it.
 *
 * Threads: as session.h.
 * Memory:  results belong to the caller.
 */
#ifndef PAWL_PG_EXEC_H
#define PAWL_PG_EXEC_H

#include "pg/arg.h"
#include "pg/result.h"
#include "pg/session.h"

/* Run one statement. `out` may be NULL when the rows are of no interest. */
PAWL_NODISCARD pawl_status pawl_pg_query(pawl_pg *pg, const char *sql, int nargs, const pawl_pg_arg *args,
                                         pawl_pg_result **out, pawl_error *err);

/* The same without parameters and without rows. */
PAWL_NODISCARD pawl_status pawl_pg_exec(pawl_pg *pg, const char *sql, pawl_error *err);

/* Notices and warnings of the server (RAISE NOTICE, "does not exist, skipping") since the last call; "" when none. */
const char *pawl_pg_take_notices(pawl_pg *pg);

#endif
