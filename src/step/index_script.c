/* What the steps that build and drop indexes print. */
#include <string.h>

#include "step/index.h"
#include "step/script.h"

#include "util/banned.h"

/*
 * Remove what an interrupted build has left, under a lock that nobody has who is building; then note what is about to
 * be done. An index that is there already and is not of this script is an error.
 */
static void
add_clearing(const pawl_step_script *s, const pawl_index_shape *shape, const char *table)
{
    PAWL_STRBUF_AUTO(body);

    pawl_strbuf_addf(&body,
                     "DECLARE\n    rel constant regclass := %s;\n    idx regclass;\nBEGIN\n"
                     "EXECUTE format('LOCK TABLE %%s IN SHARE UPDATE EXCLUSIVE MODE', rel);\n"
                     "SELECT c.oid INTO idx FROM pg_catalog.pg_class t\n"
                     "  JOIN pg_catalog.pg_class c ON c.relnamespace = t.relnamespace AND c.relname = %s\n"
                     " WHERE t.oid = rel;\n"
                     "IF EXISTS (SELECT FROM pg_catalog.pg_index i\n"
                     "            WHERE i.indexrelid = idx AND i.indrelid = rel AND NOT i.indisvalid) THEN\n"
                     "    EXECUTE format('DROP INDEX %%s', idx);\n"
                     "ELSIF idx IS NOT NULL AND %s ->> 'building' IS DISTINCT FROM %s THEN\n"
                     "    RAISE EXCEPTION 'there is a relation %% already', idx;\n"
                     "END IF;\nEND",
                     pawl_script_text(s, table), pawl_script_text(s, shape->name), pawl_script_info(s),
                     pawl_script_text(s, shape->name));
    pawl_script_do(s, body.data);
    pawl_strbuf_reset(&body);
    pawl_strbuf_addf(&body, "jsonb_build_object('building', %s)", pawl_script_text(s, shape->name));
    pawl_script_note(s, body.data);
}

static void
add_create(const pawl_step_script *s, const pawl_index_shape *shape, const char *table, const char *how)
{
    pawl_script_add(s, "CREATE %sINDEX %s", shape->is_unique ? "UNIQUE " : "", how);
    pawl_sql_ident(s->out, shape->name);
    pawl_script_add(s, " ON %s", table);
    pawl_index_add_shape(s->out, shape);
    pawl_sql_add(s->out, ";\n");
}

pawl_status
pawl_index_script_build(const pawl_step_script *s, const pawl_index_shape *shape, bool is_concurrent,
                        pawl_error *err)
{
    const char *table = NULL;
    pawl_status st = pawl_script_table(s, shape->table, &table, err);

    if (st != PAWL_OK)
        return st;
    if (!is_concurrent)
    {
        add_create(s, shape, table, "");
        return PAWL_OK;
    }
    add_clearing(s, shape, table);
    pawl_script_wait(s, false);
    add_create(s, shape, table, "CONCURRENTLY IF NOT EXISTS ");
    pawl_script_wait(s, true);
    return PAWL_OK;
}

pawl_status
pawl_index_script_undo(const pawl_step_script *s, const pawl_index_shape *shape, bool is_concurrent,
                       pawl_error *err)
{
    const char *table = NULL;
    PAWL_STRBUF_AUTO(condition);
    pawl_status st = pawl_script_table(s, shape->table, &table, err);

    if (st != PAWL_OK)
        return st;
    /* Nothing was begun, or it was there before. */
    if (is_concurrent)
    {
        pawl_strbuf_addf(&condition, "%s ? 'building'", pawl_script_info_up(s));
        pawl_script_if(s, condition.data);
        pawl_script_wait(s, false);
    }
    pawl_script_add(
        s,
        "SELECT format('%%I.%%I', n.nspname, %s) AS pawl_index FROM pg_catalog.pg_class c\n"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace WHERE c.oid = %s::regclass \\gset\n"
        "DROP INDEX %sIF EXISTS :pawl_index;\n",
        pawl_script_text(s, shape->name), pawl_script_text(s, table), is_concurrent ? "CONCURRENTLY " : "");
    if (is_concurrent)
    {
        pawl_script_wait(s, true);
        pawl_script_endif(s);
    }
    return PAWL_OK;
}

void
pawl_index_script_drop(const pawl_step_script *s, const char *quoted, bool is_concurrent)
{
    PAWL_STRBUF_AUTO(text);
    const char *name = pawl_script_text(s, quoted);

    pawl_strbuf_addf(
        &text,
        "COALESCE((SELECT jsonb_build_object('definition', pg_get_indexdef(i.indexrelid), 'table', "
        "format('%%I.%%I', n.nspname, t.relname))\n"
        "  FROM pg_catalog.pg_index i JOIN pg_catalog.pg_class t ON t.oid = i.indrelid\n"
        "  JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace\n"
        " WHERE i.indexrelid = to_regclass(%s)), '{}')",
        name);
    pawl_script_note(s, text.data);
    pawl_strbuf_reset(&text);
    pawl_strbuf_addf(&text,
                     "BEGIN\nIF NOT %s ? 'definition' THEN\n"
                     "    RAISE EXCEPTION 'there is no index %%', %s;\nEND IF;\nEND",
                     pawl_script_info(s), name);
    pawl_script_do(s, text.data);
    if (is_concurrent)
        pawl_script_wait(s, false);
    pawl_script_add(s, "DROP INDEX %sIF EXISTS %s;\n", is_concurrent ? "CONCURRENTLY " : "", quoted);
    if (is_concurrent)
        pawl_script_wait(s, true);
}

void
pawl_index_script_restore(const pawl_step_script *s, bool is_concurrent)
{
    if (is_concurrent)
        pawl_script_wait(s, false);
    /* pg_get_indexdef says "CREATE [UNIQUE] INDEX name ON ...". */
    pawl_script_add(s,
                    "SELECT regexp_replace(%s ->> 'definition', '^CREATE (UNIQUE )?INDEX ', 'CREATE \\1INDEX "
                    "%sIF NOT EXISTS ') \\gexec\n",
                    pawl_script_info_up(s), is_concurrent ? "CONCURRENTLY " : "");
    if (is_concurrent)
        pawl_script_wait(s, true);
}
