/* The shape of the way back: the rows of the new table as those of the old one. */
#include <string.h>

#include "online/shape.h"
#include "pawl_sql.h"

#include "util/banned.h"

typedef struct loading
{
    const pawl_shape_back *back;
    pawl_shape *shape;
    pawl_table *old;
    pawl_rewrite_spec *spec;   /* what the statements and the stream ask of it */
    pawl_rewrite_column *told; /* an expression each, as many as there are columns */
    pawl_arena *arena;
} loading;

static bool
is_integer(const pawl_column *c)
{
    return c->base_type == PAWL_OID_INT2 || c->base_type == PAWL_OID_INT4 || c->base_type == PAWL_OID_INT8;
}

static const char *
expression_of(const pawl_rewrite_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->nreverse; i++)
        if (strcmp(spec->reverse[i].name, name) == 0)
            return spec->reverse[i].value;
    return NULL;
}

/* Whether the step gives the column other values, and not only another default. */
static bool
is_made_anew(const pawl_rewrite_spec *spec, const char *name)
{
    for (size_t i = 0; i < spec->nchange; i++)
        if (strcmp(spec->change[i].name, name) == 0)
            return spec->change[i].using != NULL || (spec->change[i].type != NULL && spec->lua_file != NULL);
    for (size_t i = 0; i < spec->nadd; i++)
        if (strcmp(spec->add[i].name, name) == 0)
            return true; /* under the name of one that was dropped */
    return false;
}

static bool
is_in_key(const pawl_shape_back *back, const char *name)
{
    for (size_t i = 0; i < back->nkey; i++)
        if (strcmp(back->key[i], name) == 0)
            return true;
    return false;
}

static pawl_status
refuse(const loading *l, const pawl_column *c, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "column \"%s\" of \"%s.%s\" has no way back: the new table does not say what the old one had",
        c->name, l->old->schema, l->back->told->table);
    return pawl_error_hint(
        err, "give it under `reverse`, as SQL over a row of the new table, or in a function `reverse` of "
             "the Lua file");
}

/* How the column of the old table is made of the new table's row. */
static pawl_status
take_column(loading *l, const pawl_column *c, pawl_error *err)
{
    pawl_shape *s = l->shape;
    const pawl_rewrite_spec *told = l->back->told;
    const pawl_column *source = pawl_table_column(s->table, c->name);
    pawl_rewrite_column *column = &l->told[s->ncolumns];
    bool may_pass = source != NULL && (is_in_key(l->back, c->name) || !is_made_anew(told, c->name));
    pawl_shape_column out = {.name = c->name,
                             .source = source,
                             .type = c->type_name,
                             .collation = "",
                             .fallback = "",
                             .generated = "",
                             .storage = "",
                             .compression = "",
                             .statistics = "",
                             .output = ""};

    if (c->is_generated)
        out.from = PAWL_SHAPE_GENERATED;
    else if (expression_of(told, c->name) != NULL)
    {
        *column = (pawl_rewrite_column){
            .name = c->name, .using = expression_of(told, c->name), .type = c->type_name, .not_null = -1};
        out.from = PAWL_SHAPE_EXPRESSION;
        out.told = column;
    }
    else if (may_pass && strcmp(source->type_name, c->type_name) == 0)
        out.from = PAWL_SHAPE_KEPT;
    else if (may_pass && is_integer(source) && is_integer(c))
        out.from = PAWL_SHAPE_CAST;
    else if (told->has_lua_reverse)
        out.from = PAWL_SHAPE_LUA;
    else
        return refuse(l, c, err);
    s->columns[s->ncolumns++] = out;
    return PAWL_OK;
}

/* The same key, of the new table's columns. */
static pawl_status
take_key(loading *l, const pawl_key *old, pawl_error *err)
{
    pawl_key *key = pawl_arena_alloc(l->arena, sizeof *key);
    pawl_key_column *columns = pawl_arena_array(l->arena, (size_t) old->ncolumns, sizeof *columns);

    if (key == NULL || columns == NULL)
        return pawl_error_nomem(err, "a key");
    *key = *old;
    key->columns = columns;
    for (int i = 0; i < old->ncolumns; i++)
    {
        const pawl_column *was = old->columns[i].column;
        const pawl_column *is = pawl_table_column(l->shape->table, was->name);

        if (is == NULL)
            return pawl_error_set(err, PAWL_E_STATE, "\"%s.%s\" has no column \"%s\" any more",
                                  l->shape->table->schema, l->shape->table->name, was->name);
        columns[i] = old->columns[i];
        columns[i].column = is;
        if (is->type == was->type)
            continue;
        /* An integer that was widened; the server has operators over any two of them. */
        columns[i].op_schema = "pg_catalog";
        columns[i].op_lt = "<";
        columns[i].op_le = "<=";
        columns[i].op_eq = "=";
        columns[i].op_ge = ">=";
        columns[i].op_gt = ">";
    }
    l->shape->key = key;
    return PAWL_OK;
}

/* Lua sees the whole row, the key first. */
static pawl_status
take_read(loading *l, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_shape *s = l->shape;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->table->oid)};
    size_t most = (size_t) s->table->ncolumns;
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_shape_columns, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    s->lua_read = pawl_arena_array(l->arena, most, sizeof *s->lua_read);
    s->lua_output = pawl_arena_array(l->arena, most, sizeof *s->lua_output);
    if (s->lua_read == NULL || s->lua_output == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    for (int i = 0; i < s->key->ncolumns; i++)
        s->lua_read[s->nlua_read++] = s->key->columns[i].column;
    for (int i = 0; i < s->table->ncolumns; i++)
        if (!is_in_key(l->back, s->table->columns[i].name))
            s->lua_read[s->nlua_read++] = &s->table->columns[i];
    for (size_t i = 0; i < s->nlua_read; i++)
    {
        int row = (int) (s->lua_read[i] - s->table->columns);

        s->lua_output[i] = pawl_arena_strdup(l->arena, pawl_pg_text(res, row, 8));
        if (s->lua_output[i] == NULL)
            return pawl_error_nomem(err, "the shape of a table");
    }
    return PAWL_OK;
}

/* Names that `reverse` gives must be columns of the old table. */
static pawl_status
check_names(const loading *l, pawl_error *err)
{
    const pawl_rewrite_spec *told = l->back->told;

    for (size_t i = 0; i < told->nreverse; i++)
    {
        const pawl_column *c = pawl_table_column(l->old, told->reverse[i].name);

        if (c == NULL)
            return pawl_error_set(err, PAWL_E_INPUT, "table \"%s\" has no column \"%s\" (named by `reverse`)",
                                  told->table, told->reverse[i].name);
        if (c->is_generated)
            return pawl_error_set(err, PAWL_E_INPUT,
                                  "column \"%s\" is generated: `reverse` cannot say what it holds", c->name);
    }
    return PAWL_OK;
}

static pawl_status
take_columns(loading *l, pawl_error *err)
{
    size_t most = (size_t) l->old->ncolumns;
    pawl_status st = check_names(l, err);

    l->shape->columns = pawl_arena_array(l->arena, most, sizeof *l->shape->columns);
    l->told = pawl_arena_array(l->arena, most, sizeof *l->told);
    if (l->shape->columns == NULL || l->told == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    for (size_t i = 0; i < most && st == PAWL_OK; i++)
        st = take_column(l, &l->old->columns[i], err);
    for (size_t i = 0; i < l->shape->ncolumns; i++)
        if (l->shape->columns[i].from == PAWL_SHAPE_LUA)
            l->spec->lua_file = l->back->told->lua_file;
    return st;
}

static pawl_status
load_tables(loading *l, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(name);
    pawl_table *new = NULL;
    pawl_status st = pawl_table_load_oid(pg, l->back->new_oid, l->arena, &new, err);

    if (st != PAWL_OK)
        return st;
    l->shape->table = new;
    pawl_sql_ident2(&name, new->schema, l->back->old_name);
    if (!pawl_strbuf_is_ok(&name))
        return pawl_error_nomem(err, "the name of a table");
    return pawl_table_load(pg, name.data, "pg_catalog", l->arena, &l->old, err);
}

pawl_status
pawl_shape_load_back(const pawl_shape_back *back, pawl_arena *arena, pawl_pg *pg, pawl_shape *out,
                     pawl_error *err)
{
    loading l = {.back = back, .shape = out, .arena = arena, .spec = pawl_arena_alloc(arena, sizeof *l.spec)};
    pawl_key *old = NULL;
    pawl_status st;

    if (l.spec == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    *l.spec = (pawl_rewrite_spec){.table = back->told->table};
    *out =
        (pawl_shape){.spec = l.spec, .shadow_name = back->old_name, .lua_entry = "reverse", .is_back = true};
    if ((st = load_tables(&l, pg, err)) != PAWL_OK ||
        (st = pawl_table_key(pg, l.old, back->key, back->nkey, arena, &old, err)) != PAWL_OK ||
        (st = take_key(&l, old, err)) != PAWL_OK || (st = take_columns(&l, err)) != PAWL_OK ||
        (st = pawl_shape_sort_out(out, arena, err)) != PAWL_OK || (st = take_read(&l, pg, err)) != PAWL_OK)
        return st;
    return pawl_shape_look(out, arena, pg, err);
}
