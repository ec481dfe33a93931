/*
 * pass.h - passes over a table without a key.
 *
 * Such a table is paged by the place of its rows (ctid). Every update moves a row, and what vacuum has freed lets one move
 * behind a worker that has not seen it: one pass skips rows, silently. So passes are repeated until, behind one, a single
 * statement with a single snapshot finds no row that `where` holds for. That a row is written once is for `where` to see
 * to, see writer_keyless.c.
 *
 * Threads: the coordinator's.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_BACKFILL_PASS_H
#define PAWL_BACKFILL_PASS_H

#include "backfill/part.h"

/* The key of a table that has none: its rows' places. */
const pawl_key *pawl_pass_key(void);

/* Refuse what cannot be done in passes: no `where`, an old server, rows for another table, rows set aside. */
PAWL_NODISCARD pawl_status pawl_pass_check(const pawl_job *job, pawl_pg *pg, pawl_error *err);

/* Where a pass begun now ends; not set when the table has no page. Inside a transaction. */
PAWL_NODISCARD pawl_status pawl_pass_bound(const pawl_job *job, pawl_pg *pg, pawl_keyval *out,
                                           pawl_error *err);

/* The place some `rows` rows behind `lo`, at most `bound`: whole pages. */
PAWL_NODISCARD pawl_status pawl_pass_ahead(const pawl_job *job, const pawl_keyval *lo,
                                           const pawl_keyval *bound, int64_t rows, pawl_keyval *out,
                                           pawl_error *err);

/* The file that holds the table now. Rows keep their place and version only within one. */
PAWL_NODISCARD pawl_status pawl_pass_file(const pawl_job *job, pawl_pg *pg, int64_t *out, pawl_error *err);

/*
 * When everything is handed out: look whether a row is left, and begin another pass then. *again: there is work.
 * `round`
 * counts the calls of this run from 1: PAWL_E_STATE when passes do not come to an end. For a job whose key is pawl_pass_key(), in one piece or in parts.
 */
PAWL_NODISCARD pawl_status pawl_pass_next(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                          int64_t round, bool *again, pawl_error *err);

#endif
