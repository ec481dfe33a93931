#include "step/constraint.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char *name;
    pawl_constraint_shape was; /* type 0: not said */
} data;

static void
read_was(pawl_step_parse *ctx, const pawl_step_entry *entry, data *d)
{
    static const char *const keys[] = {PAWL_CONSTRAINT_SHAPE_KEYS, NULL};
    const pawl_yaml *node = pawl_yaml_get(entry->body, "was");
    pawl_reader r;

    if (node == NULL)
        return;
    pawl_reader_open(&r, node, "was", keys, ctx->problems, ctx->arena);
    if (r.node != NULL)
        pawl_constraint_shape_read(&r, &d->was);
}

/* Not transactional, though the way up needs one transaction only: the way back validates, in a second one. */
pawl_status
pawl_kind_drop_constraint_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                                pawl_error *err)
{
    static const char *const keys[] = {"table", "name", "was", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    step->is_transactional = false;
    pawl_reader_open(&r, entry->body, "drop_constraint", keys, ctx->problems, ctx->arena);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "name", "products_price_positive");
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_step_has_name(&r, "name", &d->name);
    read_was(ctx, entry, d);
    step->is_reversible = d->was.type != 0;
    if (d->table == NULL || d->name == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "drop constraint %s of %s", d->name, d->table);
}

pawl_status
pawl_kind_drop_constraint_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return pawl_constraint_drop(run, d->table, d->name, err);
}

pawl_status
pawl_kind_drop_constraint_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    bool was_dropped = false;

    pawl_step_info_bool(run, "dropped", &was_dropped);
    return was_dropped ? pawl_constraint_add(run, d->table, d->name, &d->was, true, err) : PAWL_OK;
}

pawl_status
pawl_kind_drop_constraint_script(const pawl_step_script *s, const pawl_step *step, bool is_back,
                                 pawl_error *err)
{
    const data *d = step->data;

    return is_back ? pawl_constraint_script_add(s, d->table, d->name, &d->was, err)
                   : pawl_constraint_script_drop(s, d->table, d->name, &d->was, false, err);
}
