/*
 * A range of copier.h where a row was refused: it is small and read to its end, then put in by halves where the server
 * refuses a row. With `rejects: write_null` it has NULL then, and what the ledger says of it is in the transaction of the
 * range; else it is named, and the ranges before it are in.
 */
#include "online/copier_private.h"
#include "pawl_sql.h"

#include "util/banned.h"

enum
{
    MOST_ROWS = 5000,     /* of a range ... */
    MOST_BYTES = 8388608, /* ... and where rows are wide, about so much: it is kept in memory */
    CLEAN_RANGES = 20     /* without a bad row: then the rest is copied as ever again */
};

int64_t
pawl_copier_careful_rows(const pawl_copier *c)
{
    const pawl_table *t = c->options->shape->table;
    int64_t width = t->rows_estimate > 0 ? t->total_bytes / t->rows_estimate : 0;
    int64_t rows = width > 0 ? MOST_BYTES / width : MOST_ROWS;

    return rows < 1 ? 1 : rows > MOST_ROWS ? MOST_ROWS : rows;
}

bool
pawl_copier_has_been_careful(const pawl_copy_worker *w)
{
    return w->nulling != NULL && w->has_met && w->clean >= CLEAN_RANGES;
}

/* The stream keeps its rows where they are to be. */
static pawl_status
pass(void *ctx, const char *bytes, size_t length, pawl_error *err)
{
    (void) ctx;
    (void) bytes;
    (void) length;
    (void) err;
    return PAWL_OK;
}

pawl_status
pawl_copier_null_rows(pawl_copy_worker *w, const pawl_copy_range *range, pawl_stream_counts *counts,
                      pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_pins pins = {.lock_timeout_ms = w->copier->options->env->lock_timeout_ms,
                               .async_commit = true};
    int64_t rows = 0;
    pawl_status st;

    pawl_nulling_reset(w->nulling);
    pawl_shape_copy_range(&sql, w->copier->options->shape, range->lo.is_set);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_stream_run(w->stream, w->source, sql.data, pass, NULL, counts, err)) != PAWL_OK ||
        (st = pawl_pg_commit(w->source, err)) != PAWL_OK ||
        (st = pawl_pg_begin(w->pg, &pins, err)) != PAWL_OK ||
        (st = pawl_nulling_put(w->nulling, w->pg, &rows, err)) != PAWL_OK)
        return st;
    if (rows != counts->written)
        return pawl_error_set(err, PAWL_E_BUG, "the server took %lld rows of a COPY of %lld",
                              (long long) rows, (long long) counts->written);
    w->clean = pawl_nulling_refused(w->nulling) > 0 ? 0 : w->clean + 1;
    w->has_met = w->has_met || w->clean == 0;
    return PAWL_OK;
}
