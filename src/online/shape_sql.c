/* The half of shape.h that builds statements. */
#include <string.h>

#include "online/shape.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

static pawl_status
run(pawl_pg *pg, const pawl_strbuf *sql, pawl_error *err)
{
    return pawl_strbuf_is_ok(sql) ? pawl_pg_exec(pg, sql->data, err) : pawl_error_nomem(err, "a statement");
}

static void
shadow(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_sql_ident2(b, s->table->schema, s->shadow_name);
}

/* ---- CREATE TABLE ------------------------------------------------------------------------------------------------ */

static void
define_column(pawl_strbuf *b, const pawl_shape_column *c)
{
    pawl_sql_ident(b, c->name);
    pawl_sql_add(b, " ");
    pawl_sql_add(b, c->type);
    if (c->collation[0] != '\0')
        pawl_strbuf_addf(b, " COLLATE %s", c->collation);
    if (c->generated[0] != '\0')
    {
        pawl_sql_add(b, " GENERATED ALWAYS AS ");
        pawl_sql_fragment(b, c->generated);
        pawl_sql_add(b, " STORED");
    }
    else if (c->fallback[0] != '\0')
    {
        pawl_sql_add(b, " DEFAULT ");
        pawl_sql_fragment(b, c->fallback);
    }
    if (c->is_not_null)
        pawl_sql_add(b, " NOT NULL");
}

static void
define_parameters(pawl_strbuf *b, const pawl_shape *s)
{
    for (size_t i = 0; i < s->spec->nwith; i++)
    {
        pawl_sql_add(b, i == 0 ? " WITH (" : ", ");
        pawl_sql_ident(b, s->spec->with[i].name);
        pawl_sql_add(b, " = ");
        pawl_sql_literal(b, s->spec->with[i].value);
    }
    if (s->spec->nwith > 0)
        pawl_sql_add(b, ")");
    if (s->spec->tablespace != NULL)
    {
        pawl_sql_add(b, " TABLESPACE ");
        pawl_sql_ident(b, s->spec->tablespace);
    }
}

static void
define_table(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_sql_add(b, s->table->persistence == 'u' ? "CREATE UNLOGGED TABLE " : "CREATE TABLE ");
    shadow(b, s);
    pawl_sql_add(b, " (");
    for (size_t i = 0; i < s->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        define_column(b, &s->columns[i]);
    }
    pawl_sql_add(b, ")");
    if (s->spec->partition_by != NULL)
    {
        pawl_sql_add(b, " PARTITION BY ");
        pawl_sql_add(b, s->spec->partition_by);
    }
}

static pawl_status
create_partitions(const pawl_shape *s, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < s->spec->npartitions && st == PAWL_OK; i++)
    {
        const pawl_rewrite_pair *p = &s->spec->partitions[i];
        PAWL_STRBUF_AUTO(b);

        pawl_sql_add(&b, s->table->persistence == 'u' ? "CREATE UNLOGGED TABLE " : "CREATE TABLE ");
        pawl_sql_ident2(&b, s->table->schema, p->name);
        pawl_sql_add(&b, " PARTITION OF ");
        shadow(&b, s);
        pawl_sql_add(&b, " ");
        pawl_sql_add(&b, p->value);
        define_parameters(&b, s);
        st = run(pg, &b, err);
        if (st != PAWL_OK)
            (void) pawl_error_prefix(err, "making partition \"%s\"", p->name);
    }
    return st;
}

static pawl_status
tune_column(const pawl_shape *s, const pawl_shape_column *c, pawl_pg *pg, pawl_error *err)
{
    const struct
    {
        const char *word;
        const char *value;
    } settings[] = {{"STORAGE", c->storage}, {"COMPRESSION", c->compression}, {"STATISTICS", c->statistics}};

    for (size_t i = 0; i < sizeof settings / sizeof settings[0]; i++)
    {
        PAWL_STRBUF_AUTO(b);
        pawl_status st;

        if (settings[i].value[0] == '\0')
            continue;
        pawl_sql_add(&b, "ALTER TABLE ");
        shadow(&b, s);
        pawl_sql_add(&b, " ALTER COLUMN ");
        pawl_sql_ident(&b, c->name);
        pawl_strbuf_addf(&b, " SET %s %s", settings[i].word, settings[i].value);
        if ((st = run(pg, &b, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

pawl_status
pawl_shape_create(const pawl_shape *s, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(b);
    pawl_status st;

    define_table(&b, s);
    if (s->spec->partition_by == NULL)
        define_parameters(&b, s);
    if ((st = run(pg, &b, err)) != PAWL_OK)
        return pawl_error_prefix(err, "the new table is not accepted by the server");
    for (size_t i = 0; i < s->ncolumns; i++)
        if ((st = tune_column(s, &s->columns[i], pg, err)) != PAWL_OK)
            return st;
    return create_partitions(s, pg, err);
}

/* ---- ranges and keys ---------------------------------------------------------------------------------------------- */

/* t."a", t."b", ... */
static void
key_list(pawl_strbuf *b, const pawl_shape *s, const char *alias)
{
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, alias, s->key->columns[i].column->name);
    }
}

/* (t.a, t.b) > (current_setting('pawl.lo_1')::int, ...) */
static void
range_end(pawl_strbuf *b, const pawl_shape *s, bool is_lower)
{
    const pawl_key_column *first = &s->key->columns[0];

    pawl_sql_add(b, s->key->ncolumns > 1 ? "(" : "");
    key_list(b, s, "t");
    pawl_sql_add(b, s->key->ncolumns > 1 ? ") " : " ");
    pawl_sql_operator(b, first->op_schema, is_lower ? first->op_gt : first->op_le);
    pawl_sql_add(b, s->key->ncolumns > 1 ? " (" : " ");
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        pawl_strbuf_addf(b, "%spg_catalog.current_setting('pawl.%s_%d')::", i > 0 ? ", " : "",
                         is_lower ? "lo" : "hi", i + 1);
        pawl_sql_type(b, s->key->columns[i].column->cast_name);
    }
    pawl_sql_add(b, s->key->ncolumns > 1 ? ")" : "");
}

static void
range(pawl_strbuf *b, const pawl_shape *s, bool has_lower)
{
    if (has_lower)
    {
        range_end(b, s, true);
        pawl_sql_add(b, " AND ");
    }
    range_end(b, s, false);
}

static void
from_table(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_sql_add(b, s->table->kind == 'p' ? " FROM " : " FROM ONLY ");
    pawl_sql_ident2(b, s->table->schema, s->table->name);
    pawl_sql_add(b, " AS t");
}

/* The user's condition as a filter and nothing else: left as it is, it could choose the index. */
static void
and_where(pawl_strbuf *b, const pawl_shape *s)
{
    if (s->spec->where == NULL)
        return;
    pawl_sql_add(b, " AND CASE WHEN ");
    pawl_sql_fragment(b, s->spec->where);
    pawl_sql_add(b, " THEN true ELSE false END");
}

void
pawl_shape_keys_table(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        pawl_strbuf_addf(
            b, "%spg_catalog.unnest(pg_catalog.current_setting('pawl.keys_%d')::", i > 0 ? ", " : "", i + 1);
        pawl_sql_type(b, s->key->columns[i].column->cast_name);
        pawl_sql_add(b, "[])");
    }
    pawl_sql_add(b, ") AS k(");
    for (int i = 0; i < s->key->ncolumns; i++)
        pawl_strbuf_addf(b, "%s\"pawl~%d\"", i > 0 ? ", " : "", i + 1);
    pawl_sql_add(b, ")");
}

static void
keys_match(pawl_strbuf *b, const pawl_shape *s, const char *alias)
{
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_key_column *k = &s->key->columns[i];

        pawl_sql_add(b, i > 0 ? " AND " : "");
        pawl_sql_column(b, alias, k->column->name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_strbuf_addf(b, " k.\"pawl~%d\"", i + 1);
    }
}

/* ---- COPY --------------------------------------------------------------------------------------------------------- */

/* The column as it goes into the shadow table. A cast carries no length: what receives it checks as an assignment. */
static void
send_value(pawl_strbuf *b, const pawl_shape_column *c)
{
    if (c->from == PAWL_SHAPE_EXPRESSION)
        pawl_sql_fragment(b, c->told->using);
    else
        pawl_sql_column(b, "t", c->source->name);
    if (c->from != PAWL_SHAPE_KEPT)
    {
        pawl_sql_add(b, "::");
        pawl_sql_type(b, c->target->cast_name);
    }
}

/* For the text format: what the type's output function makes of it, which is not what a cast to text makes. */
static void
send_text(pawl_strbuf *b, const pawl_shape_column *c)
{
    pawl_sql_add(b, c->target_output);
    pawl_sql_add(b, "(");
    send_value(b, c);
    pawl_sql_add(b, ")");
}

static void
send_columns(pawl_strbuf *b, const pawl_shape *s)
{
    size_t n = 0;

    for (size_t i = 0; i < s->nsent; i++)
    {
        pawl_sql_add(b, n++ > 0 ? ", " : "");
        if (s->is_binary)
            send_value(b, s->sent[i]);
        else
            send_text(b, s->sent[i]);
    }
    /* The key stands there in any case: it names rows in messages. */
    for (size_t i = 0; i < s->nlua_read && s->nmade > 0; i++)
    {
        pawl_sql_add(b, n++ > 0 ? ", " : "");
        pawl_sql_add(b, s->lua_output[i]);
        pawl_sql_add(b, "(");
        pawl_sql_column(b, "t", s->lua_read[i]->name);
        pawl_sql_add(b, ")");
    }
}

void
pawl_shape_select(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    send_columns(b, s);
    from_table(b, s);
    pawl_sql_add(b, " WHERE true");
    and_where(b, s);
}

void
pawl_shape_copy_range(pawl_strbuf *b, const pawl_shape *s, bool has_lower)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "COPY (SELECT ");
    send_columns(b, s);
    from_table(b, s);
    pawl_sql_add(b, " WHERE ");
    range(b, s, has_lower);
    and_where(b, s);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, s, "t");
    pawl_sql_add(b, ") TO STDOUT (FORMAT binary)");
}

void
pawl_shape_insert_range(pawl_strbuf *b, const pawl_shape *s, bool has_lower)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "INSERT INTO ");
    shadow(b, s);
    pawl_sql_add(b, " (");
    for (size_t i = 0; i < s->nsent; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, s->sent[i]->name);
    }
    pawl_sql_add(b, ") SELECT ");
    for (size_t i = 0; i < s->nsent; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        send_value(b, s->sent[i]);
    }
    from_table(b, s);
    pawl_sql_add(b, " WHERE ");
    range(b, s, has_lower);
    and_where(b, s);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, s, "t");
}

void
pawl_shape_copy_keys(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "COPY (SELECT ");
    send_columns(b, s);
    from_table(b, s);
    pawl_sql_add(b, ", ");
    pawl_shape_keys_table(b, s);
    pawl_sql_add(b, " WHERE ");
    keys_match(b, s, "t");
    and_where(b, s);
    pawl_sql_add(b, ") TO STDOUT (FORMAT binary)");
}

void
pawl_shape_copy_in(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "COPY ");
    shadow(b, s);
    pawl_sql_add(b, " (");
    for (size_t i = 0; i < s->nsent + s->nmade; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, i < s->nsent ? s->sent[i]->name : s->made[i - s->nsent]->name);
    }
    pawl_sql_add(b, s->is_binary ? ") FROM STDIN (FORMAT binary)" : ") FROM STDIN");
}

void
pawl_shape_ahead(pawl_strbuf *b, const pawl_shape *s, bool has_lower)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    key_list(b, s, "t");
    from_table(b, s);
    pawl_sql_add(b, " WHERE ");
    range(b, s, has_lower);
    pawl_sql_add(b, " ORDER BY ");
    key_list(b, s, "t");
    pawl_sql_add(b, " OFFSET $1::bigint LIMIT 1");
}

void
pawl_shape_bound(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "SELECT ");
    key_list(b, s, "t");
    from_table(b, s);
    pawl_sql_add(b, " ORDER BY ");
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", s->key->columns[i].column->name);
        pawl_sql_add(b, " DESC");
    }
    pawl_sql_add(b, " LIMIT 1");
}

void
pawl_shape_delete_keys(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "DELETE FROM ");
    shadow(b, s);
    pawl_sql_add(b, " AS n USING ");
    pawl_shape_keys_table(b, s);
    pawl_sql_add(b, " WHERE ");
    keys_match(b, s, "n");
}

void
pawl_shape_delete_strangers(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "DELETE FROM ");
    shadow(b, s);
    pawl_sql_add(b, " AS n WHERE NOT EXISTS (SELECT");
    from_table(b, s);
    pawl_sql_add(b, " WHERE ");
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_key_column *k = &s->key->columns[i];

        pawl_sql_add(b, i > 0 ? " AND " : "");
        pawl_sql_column(b, "n", k->column->name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_sql_add(b, " ");
        pawl_sql_column(b, "t", k->column->name);
    }
    pawl_sql_add(b, ")");
}

bool
pawl_shape_key_is_primary(const pawl_shape *s)
{
    if (s->spec->nprimary_key == 0)
        return s->key->is_primary && s->spec->partition_by == NULL;
    if (s->spec->partition_by != NULL || s->spec->nprimary_key != (size_t) s->key->ncolumns)
        return false;
    for (size_t i = 0; i < s->spec->nprimary_key; i++)
        if (strcmp(s->spec->primary_key[i], s->key->columns[i].column->name) != 0)
            return false;
    return true;
}

void
pawl_shape_key_columns(pawl_strbuf *b, const pawl_shape *s)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "(");
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, s->key->columns[i].column->name);
    }
    pawl_sql_add(b, ")");
}
