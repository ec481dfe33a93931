#include "step/constraint.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char *name;
    pawl_constraint_shape shape;
} data;

pawl_status
pawl_kind_add_constraint_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                               pawl_error *err)
{
    static const char *const keys[] = {"table", "name", PAWL_CONSTRAINT_SHAPE_KEYS, NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = false;
    pawl_reader_open(&r, entry->body, "add_constraint", keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "name", "products_price_positive");
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_step_has_name(&r, "name", &d->name);
    pawl_constraint_shape_read(&r, &d->shape);
    if (d->table == NULL || d->name == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "add constraint %s to %s", d->name, d->table);
}

pawl_status
pawl_kind_add_constraint_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_constraint_add(run, d->table, d->name, &d->shape, false, err);
}

pawl_status
pawl_kind_add_constraint_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_constraint_undo(run, d->table, d->name, &d->shape, err);
}

pawl_status
pawl_kind_add_constraint_script(const pawl_step_script *s, const pawl_step *step, bool is_back,
                                pawl_error *err)
{
    const data *d = step->data;

    return is_back ? pawl_constraint_script_drop(s, d->table, d->name, &d->shape, true, err)
                   : pawl_constraint_script_add(s, d->table, d->name, &d->shape, err);
}
