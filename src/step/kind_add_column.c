#include "step/column.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char *column;
    pawl_column_shape shape;
} data;

pawl_status
pawl_kind_add_column_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                           pawl_error *err)
{
    static const char *const keys[] = {"table", "column", "type", "default", "not_null", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    pawl_reader_open(&r, entry->body, "add_column", keys, ctx->problems, ctx->arena);
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_reader_has_text(&r, "column", &d->column);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "column", "price_amount");
    pawl_column_shape_read(&r, &d->shape);
    if (d->table == NULL || d->column == NULL || d->shape.type == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "add column %s.%s %s", d->table, d->column, d->shape.type);
}

pawl_status
pawl_kind_add_column_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_add(run, d->table, d->column, &d->shape, err);
}

pawl_status
pawl_kind_add_column_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_drop(run, d->table, d->column, err);
}

pawl_status
pawl_kind_add_column_script(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_script(s, d->table, d->column, is_back ? NULL : &d->shape, err);
}
