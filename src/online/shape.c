/* The half of shape.h that reads the catalogue and what the step says. */
#include "online/shape.h"

#include <string.h>

#include "pawl_sql.h"

#include "util/banned.h"

static const pawl_rewrite_column *
find_told(const pawl_rewrite_column *list, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(list[i].name, name) == 0)
            return &list[i];
    return NULL;
}

static bool
is_listed(const char *const *names, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (strcmp(names[i], name) == 0)
            return true;
    return false;
}

static bool
is_key_column(const pawl_shape *s, const pawl_column *c)
{
    for (int i = 0; i < s->key->ncolumns; i++)
        if (s->key->columns[i].column == c)
            return true;
    return false;
}

static pawl_status
fail_unknown(const pawl_shape *s, const char *name, const char *where, pawl_error *err)
{
    const char *nearest = pawl_table_nearest(s->table, name);

    (void) pawl_error_set(err, PAWL_E_INPUT, "table \"%s.%s\" has no column \"%s\" (named by `%s`)",
                          s->table->schema, s->table->name, name, where);
    return nearest != NULL ? pawl_error_hint(err, "did you mean \"%s\"?", nearest) : PAWL_E_INPUT;
}

/* Every name that the step gives must be there, or must not be. */
static pawl_status
check_names(const pawl_shape *s, pawl_error *err)
{
    const pawl_rewrite_spec *spec = s->spec;

    for (size_t i = 0; i < spec->nchange; i++)
    {
        if (pawl_table_column(s->table, spec->change[i].name) == NULL)
            return fail_unknown(s, spec->change[i].name, "change", err);
        if (is_listed(spec->drop, spec->ndrop, spec->change[i].name))
            return pawl_error_set(err, PAWL_E_INPUT, "column \"%s\" stands under `change` and under `drop`",
                                  spec->change[i].name);
    }
    for (size_t i = 0; i < spec->ndrop; i++)
        if (pawl_table_column(s->table, spec->drop[i]) == NULL)
            return fail_unknown(s, spec->drop[i], "drop", err);
    for (size_t i = 0; i < spec->nread; i++)
        if (pawl_table_column(s->table, spec->read[i]) == NULL)
            return fail_unknown(s, spec->read[i], "read", err);
    for (size_t i = 0; i < spec->nadd; i++)
    {
        const pawl_rewrite_column *added = &spec->add[i];

        if (added->type == NULL)
            return pawl_error_set(err, PAWL_E_INPUT, "the added column \"%s\" has no type", added->name);
        if (pawl_table_column(s->table, added->name) != NULL &&
            !is_listed(spec->drop, spec->ndrop, added->name))
            return pawl_error_set(err, PAWL_E_INPUT, "table \"%s.%s\" has a column \"%s\" already",
                                  s->table->schema, s->table->name, added->name);
    }
    return PAWL_OK;
}

static bool
is_integer(uint32_t type)
{
    return type == PAWL_OID_INT2 || type == PAWL_OID_INT4 || type == PAWL_OID_INT8;
}

/* What is paged by must mean the same in both tables: the drain looks rows up by it. */
static pawl_status
check_key(const pawl_shape *s, const pawl_shape_column *c, pawl_error *err)
{
    bool is_widened = c->from == PAWL_SHAPE_CAST && is_integer(c->source->base_type);

    if (c->from == PAWL_SHAPE_KEPT || is_widened)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "column \"%s\" of \"%s.%s\" is part of the key \"%s\" that orders the copy; it can "
                          "stay as it is, or an integer become a wider one",
                          c->name, s->table->schema, s->table->name, s->key->index_name);
    return pawl_error_hint(err, "add a column for the new values, and name it under `primary_key`");
}

static pawl_shape_from
how_made(const pawl_shape *s, const pawl_column *source, const pawl_rewrite_column *told)
{
    if (source != NULL && source->is_generated && told == NULL)
        return PAWL_SHAPE_GENERATED;
    if (told == NULL)
        return PAWL_SHAPE_KEPT;
    if (told->using != NULL)
        return PAWL_SHAPE_EXPRESSION;
    if (s->spec->lua_file != NULL && (source == NULL || !is_key_column(s, source)))
        return source != NULL && told->type == NULL ? PAWL_SHAPE_KEPT : PAWL_SHAPE_LUA;
    if (source == NULL)
        return PAWL_SHAPE_DEFAULT;
    return told->type != NULL ? PAWL_SHAPE_CAST : PAWL_SHAPE_KEPT;
}

/* A column of the old table as the new one has it; `row` of shape_columns.sql. */
static pawl_status
take_old(pawl_shape *s, const pawl_column *source, const pawl_pg_result *res, int row, pawl_arena *arena,
         pawl_error *err)
{
    pawl_shape_column *c = &s->columns[s->ncolumns++];
    const pawl_rewrite_column *told = find_told(s->spec->change, s->spec->nchange, source->name);

    *c = (pawl_shape_column){
        .name = source->name,
        .source = source,
        .told = told,
        .from = how_made(s, source, told),
        .type = pawl_arena_strdup(arena, pawl_pg_text(res, row, 1)),
        .collation = pawl_arena_strdup(arena, pawl_pg_text(res, row, 2)),
        .fallback = pawl_arena_strdup(arena, pawl_pg_text(res, row, 3)),
        .generated = pawl_arena_strdup(arena, pawl_pg_text(res, row, 4)),
        .storage = pawl_arena_strdup(arena, pawl_pg_text(res, row, 5)),
        .compression = pawl_arena_strdup(arena, pawl_pg_text(res, row, 6)),
        .statistics = pawl_arena_strdup(arena, pawl_pg_text(res, row, 7)),
        .output = pawl_arena_strdup(arena, pawl_pg_text(res, row, 8)),
        .is_not_null = source->is_not_null,
    };
    if (c->type == NULL || c->collation == NULL || c->fallback == NULL || c->generated == NULL ||
        c->storage == NULL || c->compression == NULL || c->statistics == NULL || c->output == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    if (told == NULL)
        return PAWL_OK;
    if (source->is_generated)
        return pawl_error_set(err, PAWL_E_REFUSED, "column \"%s\" is generated and cannot be changed",
                              c->name);
    if (told->type != NULL)
    {
        c->type = told->type;
        c->collation = c->storage = c->compression = "";
    }
    if (told->fallback != NULL)
        c->fallback = told->fallback;
    if (told->not_null >= 0)
        c->is_not_null = told->not_null > 0;
    return PAWL_OK;
}

static void
take_added(pawl_shape *s, const pawl_rewrite_column *told)
{
    s->columns[s->ncolumns++] = (pawl_shape_column){
        .name = told->name,
        .told = told,
        .from = how_made(s, NULL, told),
        .type = told->type,
        .collation = "",
        .fallback = told->fallback != NULL ? told->fallback : "",
        .generated = "",
        .storage = "",
        .compression = "",
        .statistics = "",
        .output = "",
        .is_not_null = told->not_null > 0,
    };
}

/* As `order:` says; it must name every column once. */
static pawl_status
put_in_order(pawl_shape *s, pawl_arena *arena, pawl_error *err)
{
    const pawl_rewrite_spec *spec = s->spec;
    pawl_shape_column *sorted = pawl_arena_array(arena, s->ncolumns, sizeof *sorted);

    if (sorted == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    if (spec->norder == 0)
        return PAWL_OK;
    for (size_t i = 0; i < s->ncolumns; i++)
        if (!is_listed(spec->order, spec->norder, s->columns[i].name))
            return pawl_error_set(err, PAWL_E_INPUT,
                                  "`order` leaves column \"%s\" out: it must name every column of the new "
                                  "table",
                                  s->columns[i].name);
    if (spec->norder != s->ncolumns)
        return pawl_error_set(err, PAWL_E_INPUT,
                              "`order` has %zu names, and the new table %zu columns: each must stand there "
                              "once",
                              spec->norder, s->ncolumns);
    for (size_t i = 0; i < spec->norder; i++)
    {
        size_t k = 0;

        while (k < s->ncolumns && strcmp(s->columns[k].name, spec->order[i]) != 0)
            k++;
        if (k == s->ncolumns)
            return fail_unknown(s, spec->order[i], "order", err);
        sorted[i] = s->columns[k];
    }
    s->columns = sorted;
    return PAWL_OK;
}

static pawl_status
take_columns(pawl_shape *s, pawl_arena *arena, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->table->oid)};
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_shape_columns, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    s->columns = pawl_arena_array(arena, (size_t) s->table->ncolumns + s->spec->nadd, sizeof *s->columns);
    if (s->columns == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    for (int i = 0; i < s->table->ncolumns; i++)
    {
        const pawl_column *c = &s->table->columns[i];

        if (i >= pawl_pg_rows(res) || strcmp(pawl_pg_text(res, i, 0), c->name) != 0)
            return pawl_error_set(err, PAWL_E_STATE, "the columns of \"%s.%s\" changed a moment ago",
                                  s->table->schema, s->table->name);
        if (is_listed(s->spec->drop, s->spec->ndrop, c->name))
        {
            if (is_key_column(s, c))
                return pawl_error_set(err, PAWL_E_REFUSED,
                                      "column \"%s\" is part of the key \"%s\" that orders the copy and "
                                      "cannot be dropped",
                                      c->name, s->key->index_name);
            continue;
        }
        if ((st = take_old(s, c, res, i, arena, err)) != PAWL_OK ||
            (is_key_column(s, c) && (st = check_key(s, &s->columns[s->ncolumns - 1], err)) != PAWL_OK))
            return st;
    }
    for (size_t i = 0; i < s->spec->nadd; i++)
        take_added(s, &s->spec->add[i]);
    return put_in_order(s, arena, err);
}

static bool
is_read(const pawl_shape *s, const char *name)
{
    if (s->spec->nread > 0)
        return is_listed(s->spec->read, s->spec->nread, name);
    return is_listed(s->spec->drop, s->spec->ndrop, name) ||
           find_told(s->spec->change, s->spec->nchange, name) != NULL;
}

/* What the transform sees: the key, then `read`; and for each how the server prints it. */
static pawl_status
take_read(pawl_shape *s, pawl_arena *arena, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->table->oid)};
    size_t most = (size_t) s->table->ncolumns + (size_t) s->key->ncolumns;
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_shape_columns, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    s->lua_read = pawl_arena_array(arena, most, sizeof *s->lua_read);
    s->lua_output = pawl_arena_array(arena, most, sizeof *s->lua_output);
    if (s->lua_read == NULL || s->lua_output == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    for (int i = 0; i < s->key->ncolumns; i++)
        s->lua_read[s->nlua_read++] = s->key->columns[i].column;
    for (int i = 0; i < s->table->ncolumns; i++)
        if (!is_key_column(s, &s->table->columns[i]) && is_read(s, s->table->columns[i].name))
            s->lua_read[s->nlua_read++] = &s->table->columns[i];
    for (size_t i = 0; i < s->nlua_read; i++)
    {
        int row = (int) (s->lua_read[i] - s->table->columns);

        s->lua_output[i] = pawl_arena_strdup(arena, pawl_pg_text(res, row, 8));
        if (s->lua_output[i] == NULL)
            return pawl_error_nomem(err, "the shape of a table");
    }
    return PAWL_OK;
}

/* Which columns travel, and in which order: what the server sends, then what the transform makes. */
pawl_status
pawl_shape_sort_out(pawl_shape *s, pawl_arena *arena, pawl_error *err)
{
    s->sent = pawl_arena_array(arena, s->ncolumns, sizeof *s->sent);
    s->made = pawl_arena_array(arena, s->ncolumns, sizeof *s->made);
    if (s->sent == NULL || s->made == NULL)
        return pawl_error_nomem(err, "the shape of a table");
    for (size_t i = 0; i < s->ncolumns; i++)
    {
        switch (s->columns[i].from)
        {
            case PAWL_SHAPE_KEPT:
            case PAWL_SHAPE_CAST:
            case PAWL_SHAPE_EXPRESSION:
                s->sent[s->nsent++] = &s->columns[i];
                break;
            case PAWL_SHAPE_LUA:
                s->made[s->nmade++] = &s->columns[i];
                break;
            case PAWL_SHAPE_DEFAULT:
            case PAWL_SHAPE_GENERATED:
                break;
        }
    }
    if (s->spec->lua_file != NULL && s->nmade == 0)
        return pawl_error_set(err, PAWL_E_INPUT,
                              "the transform %s has no column to fill: every column has `using`, or stays as "
                              "it is",
                              s->spec->lua_file);
    return PAWL_OK;
}

static pawl_status
check_primary_key(const pawl_shape *s, pawl_error *err)
{
    for (size_t i = 0; i < s->spec->nprimary_key; i++)
    {
        size_t k = 0;

        while (k < s->ncolumns && strcmp(s->columns[k].name, s->spec->primary_key[i]) != 0)
            k++;
        if (k == s->ncolumns)
            return fail_unknown(s, s->spec->primary_key[i], "primary_key", err);
        s->columns[k].is_not_null = true;
    }
    return PAWL_OK;
}

pawl_status
pawl_shape_load(const pawl_rewrite_spec *spec, const char *search_path, const char *shadow_name,
                pawl_arena *arena, pawl_pg *pg, pawl_shape *out, pawl_error *err)
{
    pawl_table *table = NULL;
    pawl_key *key = NULL;
    pawl_status st;

    *out = (pawl_shape){.spec = spec, .shadow_name = shadow_name, .lua_entry = "row"};
    if ((st = pawl_table_load(pg, spec->table, search_path, arena, &table, err)) != PAWL_OK)
        return st;
    out->table = table;
    if (table->kind != 'r')
        return pawl_error_set(err, PAWL_E_REFUSED,
                              "cannot rewrite \"%s.%s\": it is no ordinary table (views, foreign and "
                              "partitioned tables cannot be rewritten)",
                              table->schema, table->name);
    if (table->persistence == 't' || table->is_partition || table->has_children)
        return pawl_error_set(err, PAWL_E_REFUSED, "cannot rewrite \"%s.%s\": it is %s", table->schema,
                              table->name,
                              table->persistence == 't' ? "a temporary table"
                              : table->is_partition     ? "a partition; name the table that it belongs to"
                                                        : "a table that others inherit from");
    if ((st = pawl_table_key(pg, table, NULL, 0, arena, &key, err)) != PAWL_OK)
        return st;
    out->key = key;
    if ((st = check_names(out, err)) != PAWL_OK || (st = take_columns(out, arena, pg, err)) != PAWL_OK ||
        (st = check_primary_key(out, err)) != PAWL_OK ||
        (st = pawl_shape_sort_out(out, arena, err)) != PAWL_OK)
        return st;
    return take_read(out, arena, pg, err);
}

static pawl_lua_column
lua_column(const pawl_column *c, bool is_key)
{
    return (pawl_lua_column){.name = c->name,
                             .type_name = c->type_name,
                             .type = c->base_type,
                             .element = c->element,
                             .is_key = is_key};
}

pawl_status
pawl_shape_lua(const pawl_shape *s, pawl_arena *arena, pawl_lua_column **read, pawl_lua_column **write,
               pawl_error *err)
{
    pawl_lua_column *r = pawl_arena_array(arena, s->nlua_read, sizeof *r);
    pawl_lua_column *w = pawl_arena_array(arena, s->nmade, sizeof *w);

    if (r == NULL || w == NULL)
        return pawl_error_nomem(err, "the columns of a transform");
    for (size_t i = 0; i < s->nlua_read; i++)
        r[i] = lua_column(s->lua_read[i], i < (size_t) s->key->ncolumns);
    for (size_t i = 0; i < s->nmade; i++)
        w[i] = lua_column(s->made[i]->target, false);
    *read = r;
    *write = w;
    return PAWL_OK;
}

/* A transformed value has to be encoded here, every other one to be sent and received by the server. */
static bool
is_sent_in_binary(const pawl_shape_column *c, bool is_binary)
{
    switch (c->from)
    {
        case PAWL_SHAPE_KEPT:
        case PAWL_SHAPE_CAST:
        case PAWL_SHAPE_EXPRESSION:
            return is_binary;
        case PAWL_SHAPE_LUA:
            return c->encoding != PAWL_ENCODING_NONE;
        case PAWL_SHAPE_DEFAULT:
        case PAWL_SHAPE_GENERATED:
            break;
    }
    return true;
}

pawl_status
pawl_shape_look(pawl_shape *s, pawl_arena *arena, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(name);
    pawl_table *shadow = NULL;
    pawl_status st;

    pawl_sql_ident2(&name, s->table->schema, s->shadow_name);
    if (!pawl_strbuf_is_ok(&name))
        return pawl_error_nomem(err, "the name of a table");
    if ((st = pawl_table_load(pg, name.data, "pg_catalog", arena, &shadow, err)) != PAWL_OK)
        return st;
    s->shadow = shadow;
    s->is_binary = true;

    const pawl_pg_arg args[] = {PAWL_ARG_I64(shadow->oid)};

    if ((st = pawl_pg_query(pg, pawl_sql_online_shape_columns, 1, args, &res, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < s->ncolumns; i++)
    {
        pawl_shape_column *c = &s->columns[i];

        c->target = pawl_table_column(shadow, c->name);
        if (c->target == NULL)
            return pawl_error_set(err, PAWL_E_STATE, "the shadow table %s has lost its column \"%s\"",
                                  name.data, c->name);

        int row = (int) (c->target - shadow->columns);

        c->target_output = pawl_arena_strdup(arena, pawl_pg_text(res, row, 8));
        if (c->target_output == NULL)
            return pawl_error_nomem(err, "the shape of a table");
        c->encoding = pawl_encoding_of(c->target->base_type, c->target->type_kind);
        s->is_binary = s->is_binary && is_sent_in_binary(c, pawl_pg_is_true(res, row, 9));
    }
    return PAWL_OK;
}
