#include "config/reader.h"
#include "step/script.h"

#include "util/banned.h"

typedef struct data
{
    const char *table;
    const char *from;
    const char *to;
} data;

pawl_status
pawl_kind_rename_column_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                              pawl_error *err)
{
    static const char *const keys[] = {"table", "column", "from", "to", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = d;
    pawl_reader_open(&r, entry->body, "rename_column", keys, ctx->problems, ctx->arena);
    pawl_reader_has_text(&r, "table", &d->table);
    pawl_reader_has_text(&r, "to", &d->to);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_require(&r, "to", "price_text");
    if (pawl_reader_has(&r, "from"))
    {
        pawl_reader_has_text(&r, "from", &d->from);
        if (pawl_reader_has(&r, "column"))
            pawl_reader_problem(&r, "column", "keep one of the two", "`column` and `from` mean the same");
    }
    else
    {
        pawl_reader_has_text(&r, "column", &d->from);
        pawl_reader_require(&r, "column", "price");
    }
    if (d->table == NULL || d->from == NULL || d->to == NULL)
        return PAWL_OK;
    return pawl_step_summary(ctx, step, err, "rename column %s.%s to %s", d->table, d->from, d->to);
}

static pawl_status
rename_column(pawl_step_run *run, const char *table, const char *from, const char *to, pawl_error *err)
{
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_column(run, table, from, &t, &c, err);

    if (st != PAWL_OK)
        return st;
    pawl_step_alter(&sql, t);
    pawl_sql_add(&sql, "RENAME COLUMN ");
    pawl_sql_ident(&sql, from);
    pawl_sql_add(&sql, " TO ");
    pawl_sql_ident(&sql, to);
    return pawl_step_exec(run, &sql, err);
}

pawl_status
pawl_kind_rename_column_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return rename_column(run, d->table, d->from, d->to, err);
}

pawl_status
pawl_kind_rename_column_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;

    return rename_column(run, d->table, d->to, d->from, err);
}

pawl_status
pawl_kind_rename_column_script(const pawl_step_script *s, const pawl_step *step, bool is_back,
                               pawl_error *err)
{
    const data *d = step->data;
    const char *table = NULL;
    pawl_status st = pawl_script_table(s, d->table, &table, err);

    if (st != PAWL_OK)
        return st;
    pawl_script_add(s, "ALTER TABLE %s RENAME COLUMN ", table);
    pawl_sql_ident(s->out, is_back ? d->to : d->from);
    pawl_sql_add(s->out, " TO ");
    pawl_sql_ident(s->out, is_back ? d->from : d->to);
    pawl_sql_add(s->out, ";\n");
    return PAWL_OK;
}
