#include "step/column.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char *column;
    pawl_column_shape was; /* type NULL: not said */
} data;

static void
read_was(pawl_step_parse *ctx, const pawl_step_entry *entry, data *d)
{
    static const char *const keys[] = {"type", "default", "not_null", NULL};
    const pawl_yaml *node = pawl_yaml_get(entry->body, "was");
    pawl_reader r;

    if (node == NULL)
        return;
    pawl_reader_open(&r, node, "was", keys, ctx->problems, ctx->arena);
    pawl_column_shape_read(&r, &d->was);
}

pawl_status
pawl_kind_drop_column_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                            pawl_error *err)
{
    static const char *const keys[] = {"table", "column", "was", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    pawl_reader_open(&r, entry->body, "drop_column", keys, ctx->problems, ctx->arena);
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_reader_has_text(&r, "column", &d->column);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "column", "price_old");
    if (entry->body->kind == PAWL_YAML_MAPPING)
        read_was(ctx, entry, d);
    step->is_reversible = d->was.type != NULL;
    if (d->table == NULL || d->column == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "drop column %s.%s", d->table, d->column);
}

pawl_status
pawl_kind_drop_column_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_drop(run, d->table, d->column, err);
}

/* The shape comes back, the data does not. */
pawl_status
pawl_kind_drop_column_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_add(run, d->table, d->column, &d->was, err);
}

pawl_status
pawl_kind_drop_column_script(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err)
{
    const data *d = step->data;

    return pawl_column_script(s, d->table, d->column, is_back ? &d->was : NULL, err);
}
