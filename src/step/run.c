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

pawl_status
pawl_step_lock(pawl_step_run *run, const pawl_table *table, const char *mode, bool can_wait, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_pg_hurry(run->pg, err);

    if (st != PAWL_OK)
        return st;
    run->waits_for = table->oid;
    pawl_sql_add(&sql, "LOCK TABLE ");
    pawl_sql_ident2(&sql, table->schema, table->name);
    pawl_sql_add(&sql, " IN ");
    pawl_sql_add(&sql, mode);
    pawl_sql_add(&sql, can_wait ? " MODE" : " MODE NOWAIT");
    return pawl_step_exec(run, &sql, err);
}

static const char *
list_rows(const pawl_pg_result *res, const pawl_key *key, pawl_arena *arena)
{
    PAWL_STRBUF_AUTO(rows);

    for (int row = 0; row < pawl_pg_rows(res); row++)
        for (int i = 0; i < key->ncolumns; i++)
            pawl_strbuf_addf(&rows, "%s%s = %s", i > 0 ? ", " : (row > 0 ? "; " : ""),
                             key->columns[i].column->name, pawl_pg_text(res, row, i));
    return pawl_strbuf_is_ok(&rows) ? pawl_arena_strdup(arena, rows.data) : NULL;
}

pawl_status
pawl_step_examples(pawl_step_run *run, const pawl_table *table, const pawl_strbuf *condition, int most,
                   const char **out, pawl_error *err)
{
    pawl_key *key = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_table_key(run->pg, table, NULL, 0, run->arena, &key, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "SELECT ");
    for (int i = 0; i < key->ncolumns; i++)
    {
        pawl_sql_add(&sql, i == 0 ? "" : ", ");
        pawl_sql_column(&sql, "t", key->columns[i].column->name);
    }
    pawl_sql_add(&sql, " FROM ");
    pawl_sql_ident2(&sql, table->schema, table->name);
    pawl_sql_add(&sql, " t WHERE ");
    pawl_sql_add(&sql, condition->data);
    pawl_strbuf_addf(&sql, " LIMIT %d", most);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(condition))
        return pawl_error_nomem(err, "a statement");

    st = pawl_pg_query(run->pg, sql.data, 0, NULL, &res, err);
    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    *out = list_rows(res, key, run->arena);
    return *out == NULL ? pawl_error_nomem(err, "examples of rows") : PAWL_OK;
}

pawl_status
pawl_step_example(pawl_step_run *run, const pawl_table *table, const pawl_strbuf *condition, const char **out,
                  pawl_error *err)
{
    return pawl_step_examples(run, table, condition, 1, out, err);
}

pawl_status
pawl_step_note(pawl_step_run *run, const char *json, pawl_error *err)
{
    pawl_status st = pawl_step_unpin(run, err);

    if (st == PAWL_OK)
        st = pawl_history_step_info(run->ledger, run->pg, run->revision, run->direction, run->ordinal, json,
                                    err);
    return st;
}

pawl_status
pawl_step_note_text(pawl_step_run *run, const char *key, const char *value, pawl_error *err)
{
    json_t *object = json_pack("{s:s}", key, value);
    size_t length = object == NULL ? 0 : json_dumpb(object, NULL, 0, JSON_COMPACT);
    char *text = length == 0 ? NULL : pawl_arena_alloc(run->arena, length + 1);

    if (text != NULL && json_dumpb(object, text, length, JSON_COMPACT) != length)
        text = NULL;
    json_decref(object);
    if (text == NULL)
        return pawl_error_nomem(err, "the record of a step");
    return pawl_step_note(run, text, err);
}

const char *
pawl_step_info_text(const pawl_step_run *run, const char *key)
{
    json_t *info = json_loads(run->info == NULL ? "{}" : run->info, 0, NULL);
    const char *value = json_string_value(json_object_get(info, key));
    const char *copy = value == NULL ? NULL : pawl_arena_strdup(run->arena, value);

    json_decref(info);
    return copy;
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
