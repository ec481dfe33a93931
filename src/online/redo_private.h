/*
 * redo_private.h - what the files of redo.h share.
 *
 * Threads: as redo.h.
 * Memory:  arrays: init -> add ... -> fini.
 */
#ifndef PAWL_ONLINE_REDO_PRIVATE_H
#define PAWL_ONLINE_REDO_PRIVATE_H

#include "backfill/rowset.h"
#include "online/redo.h"

/* Key columns, and the values to be written, as arrays of text. */
typedef struct pawl_redo_arrays
{
    pawl_pg_array *items;
    pawl_pg_arg *args; /* as many, and room for some more */
    int count;
    int *source; /* of the arrays that a transform fills: the row of each entry */
    int nsource;
} pawl_redo_arrays;

/* `rows`: 0 where nobody asks for the source. */
PAWL_NODISCARD pawl_status pawl_redo_arrays_init(pawl_redo_arrays *a, int count, int rows, pawl_error *err);
void pawl_redo_arrays_fini(pawl_redo_arrays *a);
void pawl_redo_add_key(pawl_redo_arrays *a, const pawl_pg_result *res, int row, int nkey);

/* Finish the arrays, as arguments. PAWL_E_NOMEM when an add found no memory. */
PAWL_NODISCARD pawl_status pawl_redo_args(pawl_redo_arrays *a, pawl_error *err);

/* ROWS FROM (unnest($1::text[]), ...) [WITH ORDINALITY] AS u(pawl_k1, ..., [pawl_v1, ...], [pawl_i]) */
void pawl_redo_sql_arrays(pawl_strbuf *b, const pawl_job *job, bool has_values, bool is_numbered);
/* ONLY "schema"."table" AS t; t."key" = u.pawl_k1::type AND ...; AND (where) */
void pawl_redo_sql_table(pawl_strbuf *b, const pawl_job *job);
void pawl_redo_sql_join(pawl_strbuf *b, const pawl_job *job);
void pawl_redo_sql_where(pawl_strbuf *b, const pawl_job *job);

/* "id = 7" */
void pawl_redo_describe(const pawl_job *job, const pawl_pg_result *rows, int row, char *out, size_t size);

/*
 * Run the transform over rows of the key and what it reads. `rejects`: where bad rows go, which get NULL; NULL: the first
 * of them is a failure.
 */
PAWL_NODISCARD pawl_status pawl_redo_transform(const pawl_redo *r, const pawl_pg_result *rows,
                                               pawl_redo_arrays *out, pawl_rejects *rejects, pawl_error *err);

/* ---- redo_reject.c ---------------------------------------------------------------------------------------------------- */

/*
 * Of a mirror, before the rows of a slice are looked up: rejects of rows that came or went since, or whose live column was
 * written, have an end. The log tells, not the values: a write of NULL behind one of another value leaves no other trace.
 */
PAWL_NODISCARD pawl_status pawl_redo_end_written(const pawl_redo *r, pawl_pg *pg,
                                                 const pawl_drain_slice *slice, pawl_error *err);

/* " AND NOT (...)": passes over rows that have NULL because they were refused before the cut-over, and nothing else. */
void pawl_redo_sql_spare(pawl_strbuf *b, const pawl_redo *r);

/* " AND NOT (...)" of a comparison: rows that have NULL, and a reject that says so. */
void pawl_redo_sql_unless_nulled(pawl_strbuf *b, const pawl_job *job, int64_t id, const pawl_ledger *ledger);

/*
 * Write the values; those that the server refuses become NULL, and rejects. Within the transaction at hand, in savepoints:
 * under a table's lock there is no other.
 */
PAWL_NODISCARD pawl_status pawl_redo_write_or_null(const pawl_redo *r, pawl_pg *pg,
                                                   const pawl_pg_result *locked, pawl_redo_arrays *values,
                                                   pawl_rejects *rejects, int64_t *written, pawl_error *err);

/*
 * What the ledger says of these keys, now that their rows were locked and written: a nulled one that is written has an end,
 * and so has one that is gone; what was refused now is kept.
 */
PAWL_NODISCARD pawl_status pawl_redo_settle(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys,
                                            const pawl_pg_result *locked, pawl_rejects *rejects,
                                            pawl_error *err);

#endif
