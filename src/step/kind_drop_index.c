#include <string.h>

#include "pawl_sql.h"
#include "step/index.h"
#include "step/script.h"
#include "util/failpoint.h"

#include "util/banned.h"

/*
 * The index's definition is noted before it goes: a downgrade makes it again from `was:`, or else from that. In the
 * step's info: "definition" as pg_get_indexdef prints it, and "table", qualified and quoted.
 */
typedef struct data
{
    const char *as_written;
    const char *schema; /* "": along the search_path */
    const char *name;
    pawl_index_shape was; /* table NULL: not said */
    bool is_concurrent;
} data;

/* An index that was found. */
typedef struct target
{
    const data *d;
    const char *schema; /* NULL: there is none */
    const char *table;
    const char *definition;
} target;

static void
read_was(pawl_step_parse *ctx, const pawl_step_entry *entry, data *d)
{
    static const char *const keys[] = {"table", PAWL_INDEX_SHAPE_KEYS, NULL};
    const pawl_yaml *node = pawl_yaml_get(entry->body, "was");
    pawl_reader r;

    if (node == NULL)
        return;
    pawl_reader_open(&r, node, "was", keys, ctx->problems, ctx->arena);
    pawl_reader_require(&r, "table", "public.products");
    pawl_reader_has_text(&r, "table", &d->was.table);
    pawl_index_shape_read(&r, &d->was);
    d->was.name = d->name;
}

pawl_status
pawl_kind_drop_index_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step,
                           pawl_error *err)
{
    static const char *const keys[] = {"name", "was", "concurrently", NULL};
    data *d = pawl_arena_alloc(ctx->arena, sizeof *d);
    pawl_reader r;

    if (d == NULL)
        return pawl_error_nomem(err, "a step");
    d->is_concurrent = true;
    step->data = d;
    pawl_reader_open(&r, entry->body, "drop_index", keys, ctx->problems, ctx->arena);
    pawl_reader_require(&r, "name", "public.products_category_id");
    pawl_reader_has_bool(&r, "concurrently", &d->is_concurrent);
    step->is_transactional = !d->is_concurrent;
    if (!pawl_reader_has_text(&r, "name", &d->as_written))
        return PAWL_OK;
    if (!pawl_step_can_split_name(d->as_written, false, ctx->arena, &d->schema, &d->name))
    {
        pawl_reader_problem(&r, "name", "for example public.products_category_id",
                            "`name` must be the name of an index, with its schema or without");
        return PAWL_OK;
    }
    read_was(ctx, entry, d);
    return pawl_step_summary(ctx, step, err, "drop index %s", d->as_written);
}

/* ---- dropping ---------------------------------------------------------------------------------------------------- */

static pawl_status
check_found(const data *d, const pawl_pg_result *res, pawl_error *err)
{
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_INPUT, "\"%s\" is no index", d->as_written);
    if (pawl_pg_text(res, 0, 4)[0] != '\0')
    {
        pawl_error_set(err, PAWL_E_REFUSED, "index \"%s\" belongs to the constraint \"%s\"", d->as_written,
                       pawl_pg_text(res, 0, 4));
        return pawl_error_hint(err, "drop the constraint: `drop_constraint`");
    }
    if (d->is_concurrent && strcmp(pawl_pg_text(res, 0, 2), "I") == 0)
    {
        pawl_error_set(err, PAWL_E_REFUSED,
                       "PostgreSQL cannot drop index \"%s\" concurrently: it belongs to a partitioned table",
                       d->as_written);
        return pawl_error_hint(err, "add `concurrently: false`");
    }
    return PAWL_OK;
}

static pawl_status
find(pawl_step_run *run, target *t, pawl_error *err)
{
    const data *d = t->d;
    PAWL_AUTO(pawl_pg_result) at = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(quoted);

    if (d->schema[0] != '\0')
        pawl_sql_ident2(&quoted, d->schema, d->name);
    else
        pawl_sql_ident(&quoted, d->name);
    const pawl_pg_arg names[] = {PAWL_ARG_TEXT(quoted.data), PAWL_ARG_TEXT(run->search_path)};
    if (!pawl_strbuf_is_ok(&quoted))
        return pawl_error_nomem(err, "a name");
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_catalog_find, 2, names, &at, err);
    if (st != PAWL_OK || pawl_pg_is_null(at, 0, 0))
        return st;

    const pawl_pg_arg oid[] = {PAWL_ARG_TEXT(pawl_pg_text(at, 0, 0))};
    st = pawl_pg_query(run->pg, pawl_sql_step_index_find, 1, oid, &res, err);
    if (st == PAWL_OK)
        st = check_found(d, res, err);
    if (st != PAWL_OK)
        return st;
    t->schema = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 0));
    t->definition = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 3));
    t->table = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 5));
    if (t->schema == NULL || t->definition == NULL || t->table == NULL)
        return pawl_error_nomem(err, "an index");
    return PAWL_OK;
}

static pawl_status
note(pawl_step_run *run, const target *t, pawl_error *err)
{
    pawl_status st = pawl_step_note_text(run, "definition", t->definition, err);

    return st == PAWL_OK ? pawl_step_note_text(run, "table", t->table, err) : st;
}

static pawl_status
work_note(pawl_step_run *run, void *ctx, pawl_error *err)
{
    target *t = ctx;
    pawl_status st;

    t->schema = NULL;
    st = find(run, t, err);
    if (st != PAWL_OK)
        return st;
    /* An earlier try has noted it: it is gone, or on its way. */
    if (pawl_step_info_text(run, "definition") != NULL)
        return PAWL_OK;
    if (t->schema == NULL)
        return pawl_error_set(err, PAWL_E_INPUT, "there is no index \"%s\"", t->d->as_written);
    return note(run, t, err);
}

static pawl_status
drop_in_txn(pawl_step_run *run, target *t, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = find(run, t, err);

    if (st != PAWL_OK)
        return st;
    if (t->schema == NULL)
        return pawl_error_set(err, PAWL_E_INPUT, "there is no index \"%s\"", t->d->as_written);
    pawl_sql_add(&sql, "DROP INDEX ");
    pawl_sql_ident2(&sql, t->schema, t->d->name);
    st = pawl_step_exec(run, &sql, err);
    return st == PAWL_OK ? note(run, t, err) : st;
}

pawl_status
pawl_kind_drop_index_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    target t = {.d = d};

    if (!d->is_concurrent)
        return drop_in_txn(run, &t, err);
    pawl_status st = pawl_step_txn(run, 0, work_note, &t, err);
    PAWL_FAILPOINT("drop_index.after_note");
    return st != PAWL_OK || t.schema == NULL ? st : pawl_index_drop(run, t.schema, d->name, err);
}

/* ---- the way back ------------------------------------------------------------------------------------------------ */

pawl_status
pawl_kind_drop_index_revert(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    const data *d = step->data;
    const pawl_index_shape noted = {.table = pawl_step_info_text(run, "table"),
                                    .name = d->name,
                                    .definition = pawl_step_info_text(run, "definition")};
    const pawl_index_shape *shape = d->was.table != NULL ? &d->was : &noted;

    /* Nothing was dropped. */
    if (noted.table == NULL || noted.definition == NULL)
        return PAWL_OK;
    return d->is_concurrent ? pawl_index_build(run, shape, err) : pawl_index_make(run, shape, err);
}

pawl_status
pawl_kind_drop_index_script(const pawl_step_script *s, const pawl_step *step, bool is_back, pawl_error *err)
{
    const data *d = step->data;
    PAWL_STRBUF_AUTO(quoted);

    if (is_back && d->was.table != NULL)
        return pawl_index_script_build(s, &d->was, d->is_concurrent, err);
    if (is_back)
    {
        pawl_index_script_restore(s, d->is_concurrent);
        return PAWL_OK;
    }
    if (d->schema[0] != '\0')
        pawl_sql_ident2(&quoted, d->schema, d->name);
    else
        pawl_sql_ident(&quoted, d->name);
    pawl_index_script_drop(s, quoted.data, d->is_concurrent);
    return pawl_strbuf_is_ok(&quoted) ? PAWL_OK : pawl_error_nomem(err, "a name");
}
