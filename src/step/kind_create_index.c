#include "step/index.h"

#include "util/banned.h"

typedef struct data
{
    pawl_index_shape shape;
    bool is_concurrent;
} data;

pawl_status
pawl_kind_create_index_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                             pawl_error *err)
{
    static const char *const keys[] = {"table", "name", "concurrently", PAWL_INDEX_SHAPE_KEYS, NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    d->is_concurrent = true;
    step->data = d;
    pawl_reader_open(&r, entry->body, "create_index", keys, ctx->problems, ctx->arena);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "name", "products_category_id");
    pawl_reader_has_text(&r, "table", &d->shape.table);
    pawl_step_has_name(&r, "name", &d->shape.name);
    pawl_reader_has_bool(&r, "concurrently", &d->is_concurrent);
    pawl_index_shape_read(&r, &d->shape);
    step->is_transactional = !d->is_concurrent;
    if (d->shape.table == NULL || d->shape.name == NULL || d->shape.columns == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "create %sindex %s on %s", d->shape.is_unique ? "unique " : "",
                             d->shape.name, d->shape.table);
}

pawl_status
pawl_kind_create_index_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return d->is_concurrent ? pawl_index_build(run, &d->shape, err) : pawl_index_make(run, &d->shape, err);
}

static pawl_status
drop_in_txn(pawl_step_run *run, const data *d, pawl_error *err)
{
    pawl_table *t = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_table(run, d->shape.table, &t, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DROP INDEX ");
    pawl_sql_ident2(&sql, t->schema, d->shape.name);
    return pawl_step_exec(run, &sql, err);
}

pawl_status
pawl_kind_create_index_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return d->is_concurrent ? pawl_index_undo(run, &d->shape, err) : drop_in_txn(run, d, err);
}

pawl_status
pawl_kind_create_index_script(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err)
{
    const data *d = step->data;

    return is_back ? pawl_index_script_undo(s, &d->shape, d->is_concurrent, err)
                   : pawl_index_script_build(s, &d->shape, d->is_concurrent, err);
}
