/*
 * copy_out.h - rows in bulk from the server, by COPY ... TO STDOUT.
 *
 *   begin -> read ... until the row has no data
 *
 * COPY takes no parameters: what varies reaches its query as settings of the transaction (current_setting). While it is
 * open the session can do nothing else; it must be read to its end, or the session be closed. A stop of level CANCEL
 * cancels it as any statement. Nothing that holds row locks may be read in this way: a client that stops reading would
 * keep them past every time-out.
 *
 * Threads: as session.h.
 * Memory:  a row is valid until the next one is read, or until pawl_pg_copy_row_fini.
 */
#ifndef PAWL_PG_COPY_OUT_H
#define PAWL_PG_COPY_OUT_H

#include "pg/session.h"

/* One message of the server: a row; in the binary format the first one stands behind the format's header. */
typedef struct pawl_pg_copy_row
{
    char *data; /* NULL: there are no more */
    size_t length;
} pawl_pg_copy_row;

/* Send the statement and wait until the server has begun to answer. */
PAWL_NODISCARD pawl_status pawl_pg_copy_out_begin(pawl_pg *pg, const char *sql, pawl_error *err);

/* The next row; the memory of the last one is given up. After a failure the COPY is over. */
PAWL_NODISCARD pawl_status pawl_pg_copy_read(pawl_pg *pg, pawl_pg_copy_row *row, pawl_error *err);
void pawl_pg_copy_row_fini(pawl_pg_copy_row *row);

#endif
