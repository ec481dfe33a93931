#include <jansson.h>

#include "step/kind.h"

#include "util/banned.h"

pawl_status
pawl_step_table(pawl_step_run *run, const char *name, pawl_table **out, pawl_error *err)
{
    pawl_status st = pawl_table_load(run->pg, name, run->search_path, run->arena, out, err);

    if (st == PAWL_OK)
        run->waits_for = (*out)->oid;
    return st;
}

pawl_status
pawl_step_column(pawl_step_run *run, const char *table_name, const char *column, pawl_table **table,
                 const pawl_column **out, pawl_error *err)
{
    pawl_table *found = NULL;
    pawl_status st = pawl_step_table(run, table_name, &found, err);

    if (st != PAWL_OK)
        return st;

    const pawl_column *c = pawl_table_column(found, column);
    if (c == NULL)
    {
        const char *near = pawl_table_nearest(found, column);
        pawl_error_set(err, PAWL_E_INPUT, "table \"%s\" has no column \"%s\"", table_name, column);
        return near == NULL ? err->code : pawl_error_hint(err, "did you mean \"%s\"?", near);
    }
    *table = found;
    *out = c;
    return PAWL_OK;
}

pawl_status
pawl_step_exec(pawl_step_run *run, const pawl_strbuf *sql, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_exec(run->pg, sql->data, err);
}

void
pawl_step_alter(pawl_strbuf *sql, const pawl_table *table)
{
    pawl_sql_add(sql, "ALTER TABLE ");
    pawl_sql_ident2(sql, table->schema, table->name);
    pawl_sql_add(sql, " ");
}

void
pawl_step_info_bool(const pawl_step_run *run, const char *key, bool *out)
{
    json_t *info = json_loads(run->info == NULL ? "{}" : run->info, 0, NULL);
    json_t *value = json_object_get(info, key);

    if (json_is_boolean(value))
        *out = json_is_true(value);
    json_decref(info);
}
