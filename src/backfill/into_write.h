/*
 * into_write.h - rows of a pawl_outrows into the table of `into`, for a batch and for a retry of rejects alike.
 *
 * Threads: as the session and the rows.
 * Memory:  `sql` is the caller's buffer for statements.
 */
#ifndef PAWL_BACKFILL_INTO_WRITE_H
#define PAWL_BACKFILL_INTO_WRITE_H

#include "backfill/outrows.h"

/* COPY them, with nothing locked that others want. *taken is what the server says that it took. */
PAWL_NODISCARD pawl_status pawl_into_copy(const pawl_outrows *set, pawl_pg *pg, pawl_strbuf *sql,
                                          int64_t *taken, pawl_error *err);

/* INSERT them, for `merge` with ON CONFLICT; `args` are those of pawl_outrows_args. */
PAWL_NODISCARD pawl_status pawl_into_insert(const pawl_outrows *set, pawl_pg *pg, pawl_strbuf *sql,
                                            const pawl_pg_arg *args, int64_t *taken, pawl_error *err);

/*
 * Did it take them all? PAWL_E_TRANSFORM when a trigger suppresses some; where bad rows are set aside PAWL_E_SERVER with
 * a row's SQLSTATE, so that the row is searched for.
 */
PAWL_NODISCARD pawl_status pawl_into_check(const pawl_outrows *set, int64_t taken, pawl_error *err);

/*
 * Of a failed INSERT: two rows that the server takes for one and we do not (1.0 and 1.00, or under a collation without
 * case) end the run. Halving the batch would put them into two transactions, and the later one would win without a word.
 */
void pawl_into_explain(const pawl_outrows *set, pawl_error *err);

#endif
