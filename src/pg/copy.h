/*
 * copy.h - rows into the server by COPY ... FROM STDIN, and the text format that it takes.
 *
 * A COPY is a statement of its own: it cannot stand in a pipeline. Between begin and end nothing else can be done with
 * the session; a failure of any of these calls ends the COPY, so that the session can roll back.
 *
 *   begin -> put ... -> end     (or cancel instead of end)
 *
 * The text format is that of PostgreSQL's COPY with its defaults: a tab between values, a newline behind each row, \N
 * for NULL, backslash escapes. Lengths of types and constraints are checked by the server as by an assignment.
 *
 * Threads: as session.h.
 * Memory:  what is put is copied before put returns; about 64 kB of it wait in the client at most.
 */
#ifndef PAWL_PG_COPY_H
#define PAWL_PG_COPY_H

#include "pg/session.h"
#include "util/strbuf.h"

/* Send the statement and wait until the server asks for data. */
PAWL_NODISCARD pawl_status pawl_pg_copy_begin(pawl_pg *pg, const char *sql, pawl_error *err);

/* Any piece of the stream; waits while the server is slow. What the server finds wrong shows here or at the end. */
PAWL_NODISCARD pawl_status pawl_pg_copy_put(pawl_pg *pg, const char *data, size_t length, pawl_error *err);

/* *rows is what the server says that it took. */
PAWL_NODISCARD pawl_status pawl_pg_copy_end(pawl_pg *pg, int64_t *rows, pawl_error *err);

/* Give it up: the transaction has failed then. */
void pawl_pg_copy_cancel(pawl_pg *pg);

/* Add one value of a row in text format; `is_first` leaves the tab out. data NULL is NULL. */
void pawl_copy_text_value(pawl_strbuf *b, bool is_first, const char *data, size_t length);

/* End a row. */
void pawl_copy_text_end(pawl_strbuf *b);

#endif
