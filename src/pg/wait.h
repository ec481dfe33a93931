/*
 * wait.h - the one place that waits on a socket.
 *
 * Threads: as session.h.
 * Memory:  results belong to the caller (PQclear).
 */
#ifndef PAWL_PG_WAIT_H
#define PAWL_PG_WAIT_H

#include "pg/internal.h"

typedef enum pawl_wake
{
    PAWL_WAKE_READY,
    PAWL_WAKE_STOP,     /* the stop descriptor became readable */
    PAWL_WAKE_DEADLINE, /* the time ran out */
    PAWL_WAKE_FAULT,    /* the socket cannot be waited on */
} pawl_wake;

/* Wait until `fd` can be read (or written, when `wants_write`). stop_fd may be -1; a deadline of 0 is never reached. */
PAWL_NODISCARD pawl_wake pawl_wait_socket(int fd, bool wants_write, int stop_fd, int64_t deadline_us);

/*
 * Send what is queued and wait for the next result of the session's connection; *out is NULL when the statement has
 * none left. A stop of level CANCEL cancels the statement and goes on waiting for its answer: the connection is then
 * in a known state. Without an answer after five seconds it is given up: PAWL_E_STOPPED. PAWL_E_CONNECT when the
 * session's deadline is reached first; the connection is given up then too.
 */
PAWL_NODISCARD pawl_status pawl_wait_result(pawl_pg *pg, PGresult **out, pawl_error *err);

/*
 * Wait until what is queued has been sent, for a stream of data. A connection that breaks meanwhile is no failure here:
 * the next result says so. A stop and the deadline as above.
 */
PAWL_NODISCARD pawl_status pawl_wait_flush(pawl_pg *pg, pawl_error *err);

/*
 * The next row of a COPY OUT; *row is NULL when there is none left (PQfreemem). Stop and deadline as above: a cancelled
 * COPY is read to its end.
 */
PAWL_NODISCARD pawl_status pawl_wait_copy_row(pawl_pg *pg, char **row, int *length, pawl_error *err);

#endif
