#include "step/column.h"

#include <string.h>

#include "pawl_sql.h"

#include "util/banned.h"

void
pawl_column_shape_read(pawl_reader *r, pawl_column_shape *out)
{
    pawl_reader_has_sql(r, "type", &out->type);
    pawl_reader_has_sql(r, "default", &out->expression);
    pawl_reader_has_bool(r, "not_null", &out->is_not_null);
    pawl_reader_require(r, "type", "numeric(10,2)");
}

/* The type is the user's SQL: it must be the name of a type and nothing more. */
static pawl_status
check_type(pawl_step_run *run, const char *type, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(type)};
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_type, 1, args, &res, err);

    if (st != PAWL_OK)
        return pawl_error_prefix(err, "cannot read the type \"%s\"", type);
    if (pawl_pg_is_null(res, 0, 0))
    {
        pawl_error_set(err, PAWL_E_INPUT, "type \"%s\" does not exist", type);
        return pawl_error_hint(
            err, "`type:` is a type's name as SQL knows it (serial is none: use a `sql` step with "
                 "GENERATED ... AS IDENTITY)");
    }
    return PAWL_OK;
}

void
pawl_column_add_definition(pawl_strbuf *sql, const char *column, const pawl_column_shape *shape)
{
    pawl_sql_add(sql, "ADD COLUMN ");
    pawl_sql_ident(sql, column);
    pawl_sql_add(sql, " ");
    pawl_sql_type(sql, shape->type);
    if (shape->expression != NULL)
    {
        pawl_sql_add(sql, " DEFAULT ");
        pawl_sql_fragment(sql, shape->expression);
    }
    if (shape->is_not_null)
        pawl_sql_add(sql, " NOT NULL");
}

/*
 * Would the table be rewritten? The same ALTER TABLE on an empty table tells, with the server's own rules and at no
 * cost: it gives a new file to a table that it rewrites.
 */
static pawl_status
check_rewrite(pawl_step_run *run, const char *column, const pawl_column_shape *shape, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) before = NULL;
    PAWL_AUTO(pawl_pg_result) after = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_sql_add(&sql, "ALTER TABLE pg_temp.pawl_probe ");
    pawl_column_add_definition(&sql, column, shape);
    if ((st = pawl_pg_exec(run->pg, pawl_sql_step_probe_create, err)) != PAWL_OK ||
        (st = pawl_pg_query(run->pg, pawl_sql_step_probe_file, 0, NULL, &before, err)) != PAWL_OK ||
        (st = pawl_step_exec(run, &sql, err)) != PAWL_OK ||
        (st = pawl_pg_query(run->pg, pawl_sql_step_probe_file, 0, NULL, &after, err)) != PAWL_OK ||
        (st = pawl_pg_exec(run->pg, "DROP TABLE pg_temp.pawl_probe", err)) != PAWL_OK)
        return st;

    if (strcmp(pawl_pg_text(before, 0, 0), pawl_pg_text(after, 0, 0)) == 0)
        return PAWL_OK;
    pawl_error_set(err, PAWL_E_REFUSED,
                   "adding column \"%s\" would rewrite the whole table under its strongest lock", column);
    pawl_error_detail(err, "default: %s, type: %s", shape->expression == NULL ? "none" : shape->expression,
                      shape->type);
    return pawl_error_hint(
        err, "a default that is computed anew for each row (random(), clock_timestamp(), nextval()) "
             "or a domain with constraints does that: add the column without it, `backfill` the "
             "rows, then set the default with a `sql` step");
}

static pawl_status
check_not_null(pawl_step_run *run, const pawl_table *table, const char *column,
               const pawl_column_shape *shape, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);

    if (!shape->is_not_null || shape->expression != NULL)
        return PAWL_OK;
    pawl_sql_add(&sql, "SELECT 1 FROM ");
    pawl_sql_ident2(&sql, table->schema, table->name);
    pawl_sql_add(&sql, " LIMIT 1");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");

    pawl_status st = pawl_pg_query(run->pg, sql.data, 0, NULL, &res, err);
    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    pawl_error_set(err, PAWL_E_REFUSED,
                   "column \"%s\" cannot be NOT NULL without a default: table \"%s\".\"%s\" has rows", column,
                   table->schema, table->name);
    return pawl_error_hint(
        err, "give it a `default:`, or add it without `not_null`, `backfill` it, then `set_not_null`");
}

pawl_status
pawl_column_add(pawl_step_run *run, const char *table, const char *column, const pawl_column_shape *shape,
                pawl_error *err)
{
    pawl_table *t = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    if ((st = pawl_step_table(run, table, &t, err)) != PAWL_OK ||
        (st = check_type(run, shape->type, err)) != PAWL_OK ||
        (st = check_rewrite(run, column, shape, err)) != PAWL_OK ||
        (st = check_not_null(run, t, column, shape, err)) != PAWL_OK)
        return st;

    pawl_step_alter(&sql, t);
    pawl_column_add_definition(&sql, column, shape);
    return pawl_step_exec(run, &sql, err);
}

pawl_status
pawl_column_drop(pawl_step_run *run, const char *table, const char *column, pawl_error *err)
{
    pawl_table *t = NULL;
    const pawl_column *c = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_step_column(run, table, column, &t, &c, err);

    if (st != PAWL_OK)
        return st;
    pawl_step_alter(&sql, t);
    pawl_sql_add(&sql, "DROP COLUMN ");
    pawl_sql_ident(&sql, column);
    return pawl_step_exec(run, &sql, err);
}

pawl_status
pawl_column_script(const pawl_step_script *s, const char *table, const char *column,
                   const pawl_column_shape *shape, pawl_error *err)
{
    const char *quoted = NULL;
    pawl_status st = pawl_script_table(s, table, &quoted, err);

    if (st != PAWL_OK)
        return st;
    pawl_script_add(s, "ALTER TABLE %s ", quoted);
    if (shape != NULL)
    {
        pawl_column_add_definition(s->out, column, shape);
    }
    else
    {
        pawl_sql_add(s->out, "DROP COLUMN ");
        pawl_sql_ident(s->out, column);
    }
    pawl_sql_add(s->out, ";\n");
    return PAWL_OK;
}
