/*
 * What a backfill with `set:` prints: a loop in the server that goes along the key, commits each batch together with
 * the key that it reached, and begins there when it is run again.
 */
#include "step/backfill_step.h"
#include "step/script.h"

#include "util/banned.h"

#define DEFAULT_ROWS 5000

/* The unique index to go along, as pawl chooses it: the primary key first, then the one with the fewest columns. */
static const char choose_key[] =
    "SELECT i.indexrelid INTO idx FROM pg_catalog.pg_index i\n"
    " WHERE i.indrelid = rel AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND i.indexprs IS "
    "NULL\n"
    "   AND NOT EXISTS (SELECT FROM ROWS FROM (pg_catalog.unnest(i.indkey::int2[]),\n"
    "                                                 pg_catalog.unnest(i.indoption::int2[])) WITH "
    "ORDINALITY AS k(n, "
    "o, at)\n"
    "                     JOIN pg_catalog.pg_attribute a ON a.attrelid = rel AND a.attnum = k.n\n"
    "                    WHERE k.at <= i.indnkeyatts AND (NOT a.attnotnull OR k.o <> 0))\n"
    "   AND (wanted IS NULL OR (SELECT pg_catalog.array_agg(a.attname::text ORDER BY a.attname)\n"
    "                             FROM pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(n, at)\n"
    "                             JOIN pg_catalog.pg_attribute a ON a.attrelid = rel AND a.attnum = k.n\n"
    "                            WHERE k.at <= i.indnkeyatts)\n"
    "                        = (SELECT pg_catalog.array_agg(w ORDER BY w) FROM pg_catalog.unnest(wanted) "
    "w))\n"
    " ORDER BY i.indisprimary DESC, i.indnkeyatts, i.indexrelid LIMIT 1;\n"
    "IF idx IS NULL THEN\n"
    "    RAISE EXCEPTION 'table % has no unique index over columns that are NOT NULL to go along', rel;\n"
    "END IF;\n"
    "SELECT pg_catalog.string_agg(pg_catalog.format('t.%I', a.attname), ', ' ORDER BY k.at),\n"
    "       pg_catalog.string_agg(pg_catalog.format('t.%I DESC', a.attname), ', ' ORDER BY k.at),\n"
    "       pg_catalog.string_agg(pg_catalog.format('t.%I::text', a.attname), ', ' ORDER BY k.at),\n"
    "       pg_catalog.string_agg(pg_catalog.format('$1[%s]::%s', k.at, pg_catalog.format_type(a.atttypid, "
    "-1)), ', ' "
    "ORDER BY k.at),\n"
    "       pg_catalog.string_agg(pg_catalog.format('$2[%s]::%s', k.at, pg_catalog.format_type(a.atttypid, "
    "-1)), ', ' "
    "ORDER BY k.at)\n"
    "  INTO keys, backwards, texts, after_lo, upto\n"
    "  FROM pg_catalog.pg_index i\n"
    " CROSS JOIN pg_catalog.unnest(i.indkey::int2[]) WITH ORDINALITY AS k(n, at)\n"
    "  JOIN pg_catalog.pg_attribute a ON a.attrelid = rel AND a.attnum = k.n\n"
    " WHERE i.indexrelid = idx AND k.at <= i.indnkeyatts;\n";

/* Rows that come after the bound are not there yet when the step begins: they are not its. */
static const char loop_head[] =
    "IF NOT done ? 'script_bound' THEN\n"
    "    EXECUTE pg_catalog.format('SELECT ARRAY[%s] FROM %s t ORDER BY %s LIMIT 1', texts, rel, backwards)\n"
    "       INTO bound;\n"
    "ELSE\n"
    "    bound := ARRAY(SELECT pg_catalog.jsonb_array_elements_text(done -> 'script_bound'));\n"
    "    IF done ? 'script_cursor' THEN\n"
    "        lo := ARRAY(SELECT pg_catalog.jsonb_array_elements_text(done -> 'script_cursor'));\n"
    "    END IF;\n"
    "END IF;\n"
    "WHILE bound IS NOT NULL AND bound IS DISTINCT FROM lo LOOP\n"
    "    above := CASE WHEN lo IS NULL THEN 'true' ELSE pg_catalog.format('(%s) > (%s)', keys, after_lo) "
    "END;\n"
    "    EXECUTE pg_catalog.format('SELECT ARRAY[%s] FROM %s t WHERE %s AND (%s) < (%s) ORDER BY %s OFFSET "
    "%s LIMIT 1',\n"
    "                              texts, rel, above, keys, upto, keys, batch - 1)\n"
    "       INTO hi USING lo, bound;\n"
    "    hi := COALESCE(hi, bound);\n"
    "    EXECUTE pg_catalog.format('UPDATE %s t SET %s WHERE %s AND (%s) <= (%s)%s', rel, assignments, "
    "above, keys,\n"
    "                              upto, condition)\n"
    "      USING lo, hi;\n"
    "    lo := hi;\n";

static void
add_declarations(const pawl_step_script *s, const pawl_backfill_spec *spec, const char *table,
                 pawl_strbuf *body)
{
    PAWL_STRBUF_AUTO(set);
    PAWL_STRBUF_AUTO(where);

    for (size_t i = 0; i < spec->nset; i++)
    {
        pawl_sql_add(&set, i == 0 ? "" : ", ");
        pawl_sql_ident(&set, spec->set[i].column);
        pawl_sql_add(&set, " = ");
        pawl_sql_fragment(&set, spec->set[i].expression);
    }
    if (spec->where != NULL)
    {
        pawl_sql_add(&where, " AND ");
        pawl_sql_fragment(&where, spec->where);
    }
    pawl_strbuf_addf(body, "DECLARE\n    rel constant regclass := %s;\n    wanted constant text[] := ",
                     pawl_script_text(s, table));
    if (spec->nkey > 0)
        pawl_sql_literal_array(body, spec->key, spec->nkey);
    else
        pawl_sql_add(body, "NULL");
    pawl_strbuf_addf(body, ";\n    batch constant bigint := %lld;\n    assignments constant text := ",
                     (long long) (spec->batch_rows > 0 ? spec->batch_rows : DEFAULT_ROWS));
    pawl_sql_literal(body, set.data);
    pawl_sql_add(body, ";\n    condition constant text := ");
    pawl_sql_literal(body, where.data);
    pawl_sql_add(body,
                 ";\n    done jsonb;\n    idx oid;\n    keys text;\n    backwards text;\n    texts text;\n"
                 "    after_lo text;\n    upto text;\n    above text;\n    bound text[];\n    lo text[];\n"
                 "    hi text[];\n");
    if (!pawl_strbuf_is_ok(&set) || !pawl_strbuf_is_ok(&where))
        body->failed = true;
}

static void
add_record(const pawl_step_script *s, pawl_strbuf *body, const char *expression)
{
    pawl_strbuf_addf(
        body,
        "    UPDATE %s.step s SET info = %s\n     WHERE s.revision_id = %s AND s.direction = '%s' AND "
        "s.ordinal = pg_catalog.current_setting('pawl.ordinal')::integer;\n",
        s->ledger, expression, pawl_script_text(s, s->revision), s->direction);
}

pawl_status
pawl_kind_backfill_script(const pawl_step_script *s, const pawl_step *step, bool is_back PAWL_UNUSED,
                          pawl_error *err)
{
    pawl_backfill_spec spec;
    const char *table = NULL;
    PAWL_STRBUF_AUTO(body);

    pawl_step_backfill_spec(step, s->settings, &spec);
    pawl_status st = pawl_script_table(s, spec.table, &table, err);
    if (st != PAWL_OK)
        return st;
    add_declarations(s, &spec, table, &body);
    pawl_strbuf_addf(
        &body,
        "BEGIN\nIF EXISTS (SELECT FROM %s.job j WHERE j.revision_id = %s AND j.direction = '%s'\n"
        "             AND j.ordinal = pg_catalog.current_setting('pawl.ordinal')::integer AND j.state = "
        "'open') THEN\n"
        "    RAISE EXCEPTION 'pawl has begun this backfill' USING HINT = 'finish it with pawl upgrade';\n"
        "END IF;\ndone := %s;\n",
        s->ledger, pawl_script_text(s, s->revision), s->direction, pawl_script_info(s));
    pawl_sql_add(&body, choose_key);
    pawl_sql_add(&body, loop_head);
    add_record(s, &body,
               "s.info || pg_catalog.jsonb_build_object('script_bound', pg_catalog.to_jsonb(bound), "
               "'script_cursor', "
               "pg_catalog.to_jsonb(lo))");
    pawl_sql_add(&body, "    COMMIT;\nEND LOOP;\n");
    add_record(s, &body, "s.info - 'script_bound' - 'script_cursor'");
    pawl_sql_add(&body, "END");

    if (!spec.fire_triggers)
        pawl_sql_add(s->out, "SET session_replication_role = replica;\n");
    pawl_script_do(s, body.data);
    if (!spec.fire_triggers)
        pawl_sql_add(s->out, "RESET session_replication_role;\n");
    return pawl_strbuf_is_ok(&body) ? PAWL_OK : pawl_error_nomem(err, "a statement");
}
