#include <string.h>

#include "online/rewrite_private.h"
#include "online/stream.h"
#include "pawl_sql.h"
#include "pg/copy.h"
#include "util/alloc.h"

#include "util/banned.h"

struct pawl_rewrite_applier
{
    pawl_rewrite *rw;
    pawl_stream *stream;
    pawl_nulling *nulling; /* of the way there, with a transform: what is refused; else NULL */
    pawl_strbuf rows;      /* of a slice: read to the end before they are written, on one session */
};

pawl_status
pawl_rewrite_applier_new(pawl_rewrite *rw, pawl_rewrite_applier **out, pawl_error *err)
{
    PAWL_AUTO(pawl_rewrite_applier) a = pawl_calloc(1, sizeof *a);
    pawl_status st;

    if (a == NULL)
        return pawl_error_nomem(err, "a drain");
    a->rw = rw;
    pawl_strbuf_init(&a->rows);
    if ((st = pawl_stream_open(&rw->shape, rw->env->base, rw->started_us, &a->stream, err)) != PAWL_OK)
        return st;
    if (!rw->shape.is_back && rw->shape.nmade > 0 &&
        (st = pawl_nulling_open(&rw->shape, rw->job, &a->nulling, err)) != PAWL_OK)
        return st;
    pawl_stream_null(a->stream, rw->spec->nulls_rejects ? a->nulling : NULL);
    *out = a;
    a = NULL;
    return PAWL_OK;
}

void
pawl_rewrite_applier_free(pawl_rewrite_applier *a)
{
    if (a == NULL)
        return;
    pawl_stream_close(a->stream);
    pawl_nulling_close(a->nulling);
    pawl_strbuf_fini(&a->rows);
    pawl_free(a);
}

static pawl_status
keep_rows(void *ctx, const char *bytes, size_t length, pawl_error *err)
{
    pawl_rewrite_applier *a = ctx;

    pawl_strbuf_addn(&a->rows, bytes, length);
    return pawl_strbuf_is_ok(&a->rows) ? PAWL_OK : pawl_error_nomem(err, "the rows of a slice");
}

/* The keys of the slice into the settings that the statements read, an array a part. */
static pawl_status
set_keys(pawl_pg *pg, const pawl_drain_slice *slice, int ncolumns, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (int c = 0; c < ncolumns && st == PAWL_OK; c++)
    {
        char name[64];
        pawl_pg_array values;

        pawl_fmt(name, sizeof name, "pawl.keys_%d", c + 1);
        pawl_pg_array_init(&values, PAWL_OID_TEXT);
        for (int row = 0; row < pawl_pg_rows(slice->keys); row++)
            pawl_pg_array_add_bytes(&values, pawl_pg_text(slice->keys, row, c),
                                    (size_t) pawl_pg_length(slice->keys, row, c));
        if (!pawl_pg_array_is_ok(&values))
            st = pawl_error_nomem(err, "the keys of a slice");

        const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name), pawl_pg_array_arg(&values, PAWL_OID_TEXT_ARRAY)};

        if (st == PAWL_OK)
            st = pawl_pg_query(
                pg, "SELECT pg_catalog.length(pg_catalog.set_config($1::text, $2::text[]::text, true))", 2,
                args, NULL, err);
        pawl_pg_array_fini(&values);
    }
    return st;
}

static pawl_status
run(pawl_pg *pg, const pawl_strbuf *sql, pawl_error *err)
{
    return pawl_strbuf_is_ok(sql) ? pawl_pg_exec(pg, sql->data, err) : pawl_error_nomem(err, "a statement");
}

/* Every row that is there now was written since, and so has an entry. Of a partition that was emptied no entry tells. */
static pawl_status
empty(const pawl_shape *shape, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    if (shape->table->kind == 'p')
        pawl_shape_delete_strangers(&sql, shape);
    else
    {
        pawl_sql_add(&sql, "TRUNCATE ONLY ");
        pawl_sql_ident2(&sql, shape->table->schema, shape->shadow_name);
    }
    return run(pg, &sql, err);
}

static pawl_status
write_rows(pawl_rewrite_applier *a, pawl_pg *pg, int64_t *written, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(head);
    const pawl_shape *shape = &a->rw->shape;
    pawl_status st;

    pawl_shape_copy_in(&sql, shape);
    if (shape->is_binary)
    {
        pawl_encode_head(&head);
        pawl_encode_i16(&a->rows, PAWL_COPY_TRAILER);
    }
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&head) || !pawl_strbuf_is_ok(&a->rows))
        return pawl_error_nomem(err, "the rows of a slice");
    if ((st = pawl_pg_copy_begin(pg, sql.data, err)) != PAWL_OK)
        return st;
    if ((st = pawl_pg_copy_put(pg, head.data, head.length, err)) != PAWL_OK ||
        (st = pawl_pg_copy_put(pg, a->rows.data, a->rows.length, err)) != PAWL_OK)
        return st;
    return pawl_pg_copy_end(pg, written, err);
}

/* What the ledger says of these rows. */
static pawl_status
settle(const pawl_rewrite_applier *a, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = pawl_nulling_settle(a->nulling, a->rw->ledger, pg, err);

    return st == PAWL_OK ? pawl_nulling_note(a->nulling, a->rw->ledger, pg, err) : st;
}

pawl_status
pawl_rewrite_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice, int64_t *written, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_rewrite_applier *a = ctx;
    const pawl_shape *shape = &a->rw->shape;
    pawl_stream_counts counts = {0};
    pawl_status st;

    if ((slice->has_truncate && (st = empty(shape, pg, err)) != PAWL_OK) ||
        (st = set_keys(pg, slice, shape->key->ncolumns, err)) != PAWL_OK ||
        (st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) != PAWL_OK)
        return st;
    pawl_shape_delete_keys(&sql, shape);
    if ((st = run(pg, &sql, err)) != PAWL_OK)
        return st;
    /* A later statement than the one that named the keys: it sees at least what was captured. */
    pawl_strbuf_reset(&a->rows);
    pawl_shape_copy_keys(&sql, shape);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if (a->nulling != NULL)
        pawl_nulling_reset(a->nulling);
    if ((st = pawl_stream_run(a->stream, pg, sql.data, keep_rows, a, &counts, err)) != PAWL_OK)
        return st;
    if (a->rw->spec->nulls_rejects && a->nulling != NULL)
        st = pawl_nulling_put(a->nulling, pg, written, err);
    else if (counts.written > 0)
        st = write_rows(a, pg, written, err);
    return st == PAWL_OK && a->nulling != NULL ? settle(a, pg, err) : st;
}
