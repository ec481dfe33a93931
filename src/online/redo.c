#include "online/redo.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

pawl_status
pawl_redo_open(pawl_redo *redo, const pawl_job *job, const char *entry, pawl_error *err)
{
    *redo = (pawl_redo){.job = job};
    if (job->nwrite != 1)
        return pawl_error_set(err, PAWL_E_BUG, "a swap writes one column, not %d", job->nwrite);
    if (job->spec->lua_file == NULL)
    {
        redo->expression = job->spec->set[0].expression;
        return PAWL_OK;
    }

    pawl_lua_options options = pawl_job_lua_options(job, job->started_us);

    options.entry = entry;
    return pawl_lua_open(&options, &redo->lua, err);
}

void
pawl_redo_close(pawl_redo *redo)
{
    pawl_lua_close(redo->lua);
    *redo = (pawl_redo){0};
}

/* ---- statements ----------------------------------------------------------------------------------------------------- */

/* FROM ROWS FROM (unnest($1::text[]), ...) AS u(pawl_k1, ..., [pawl_v]); parameters from 1 on. */
static void
add_arrays(pawl_strbuf *b, const pawl_job *job, bool has_values)
{
    int n = job->key->ncolumns + (has_values ? 1 : 0);

    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 1; i <= n; i++)
        pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::text[])", i > 1 ? ", " : "", i);
    pawl_sql_add(b, ") AS u(");
    for (int i = 1; i <= job->key->ncolumns; i++)
        pawl_strbuf_addf(b, "%spawl_k%d", i > 1 ? ", " : "", i);
    pawl_sql_add(b, has_values ? ", pawl_v)" : ")");
}

static void
add_join(pawl_strbuf *b, const pawl_job *job)
{
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        pawl_sql_add(b, i > 0 ? " AND " : "");
        pawl_sql_column(b, "t", k->column->name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_strbuf_addf(b, " u.pawl_k%d::", i + 1);
        pawl_sql_type(b, k->column->cast_name);
    }
}

static void
add_table(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t");
}

/* Locked in the order of the key, as everybody else who locks several rows should. */
static void
add_lookup(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "SELECT ");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
    }
    for (int i = 0; i < job->nread; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t", job->read[i]->name);
    }
    pawl_sql_add(b, " FROM ");
    add_arrays(b, job, false);
    pawl_sql_add(b, " JOIN ");
    add_table(b, job);
    pawl_sql_add(b, " ON ");
    add_join(b, job);
    pawl_sql_add(b, " ORDER BY ");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
    }
    pawl_sql_add(b, " FOR NO KEY UPDATE OF t");
}

typedef enum write_form
{
    WRITE_VALUES,
    WRITE_NULL,
    WRITE_EXPRESSION,
} write_form;

static void
add_write(pawl_strbuf *b, const pawl_redo *r, write_form form)
{
    const pawl_job *job = r->job;

    pawl_sql_add(b, "UPDATE ");
    add_table(b, job);
    pawl_sql_add(b, " SET ");
    pawl_sql_ident(b, job->write[0]->name);
    pawl_sql_add(b, " = ");
    switch (form)
    {
        case WRITE_VALUES:
            pawl_sql_add(b, "u.pawl_v::");
            pawl_sql_type(b, job->write[0]->cast_name);
            break;
        case WRITE_NULL:
            pawl_sql_add(b, "NULL");
            break;
        case WRITE_EXPRESSION:
            pawl_sql_fragment(b, r->expression);
            break;
    }
    pawl_sql_add(b, " FROM ");
    add_arrays(b, job, form == WRITE_VALUES);
    pawl_sql_add(b, " WHERE ");
    add_join(b, job);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

/* Key columns, and the values to be written, as arrays of text. */
typedef struct arrays
{
    pawl_pg_array items[PAWL_KEY_MAX + 1];
    int count;
} arrays;

static void
arrays_init(arrays *a, int count)
{
    a->count = count;
    for (int i = 0; i < count; i++)
        pawl_pg_array_init(&a->items[i], PAWL_OID_TEXT);
}

static void
arrays_fini(arrays *a)
{
    for (int i = 0; i < a->count; i++)
        pawl_pg_array_fini(&a->items[i]);
    a->count = 0;
}

static void
add_key(arrays *a, const pawl_pg_result *res, int row, int nkey)
{
    for (int i = 0; i < nkey; i++)
        pawl_pg_array_add_bytes(&a->items[i], pawl_pg_text(res, row, i),
                                (size_t) pawl_pg_length(res, row, i));
}

static pawl_status
execute(const pawl_redo *r, pawl_pg *pg, write_form form, bool is_lookup, arrays *a, pawl_pg_result **out,
        pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[PAWL_KEY_MAX + 1];

    if (is_lookup)
        add_lookup(&sql, r->job);
    else
        add_write(&sql, r, form);
    for (int i = 0; i < a->count; i++)
    {
        if (!pawl_pg_array_is_ok(&a->items[i]))
            return pawl_error_nomem(err, "the rows of a slice");
        args[i] = pawl_pg_array_arg(&a->items[i], PAWL_OID_TEXT_ARRAY);
    }
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(pg, sql.data, a->count, args, out, err);
}

/* The transform's way through the locked rows. */
typedef struct pass
{
    const pawl_redo *redo;
    const pawl_pg_result *rows;
    arrays *out;
} pass;

static void
describe(const pawl_job *job, const pawl_pg_result *rows, int row, char *out, size_t size)
{
    PAWL_STRBUF_AUTO(text);

    for (int i = 0; i < job->key->ncolumns; i++)
        pawl_strbuf_addf(&text, "%s%s = %s", i > 0 ? ", " : "", job->key->columns[i].column->name,
                         pawl_pg_text(rows, row, i));
    pawl_fmt(out, size, "%s", text.data);
}

static pawl_lua_value
pass_get(void *ctx, int row, int column)
{
    const pass *p = ctx;

    if (pawl_pg_is_null(p->rows, row, column))
        return (pawl_lua_value){.data = NULL};
    return (pawl_lua_value){.data = pawl_pg_text(p->rows, row, column),
                            .length = (size_t) pawl_pg_length(p->rows, row, column)};
}

static pawl_status
pass_put(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    pass *p = ctx;
    const pawl_job *job = p->redo->job;
    int nkey = job->key->ncolumns;
    const pawl_lua_value *v = &answer->values[0];
    char key[200];

    if (answer->verdict == PAWL_LUA_REJECT)
    {
        describe(job, p->rows, row, key, sizeof key);
        (void) pawl_error_set(err, PAWL_E_TRANSFORM, "the transform rejects the row: %s", answer->reason);
        pawl_job_redact(job, err);
        return pawl_error_detail(err, "row %s of \"%s.%s\"", key, job->table->schema, job->table->name);
    }
    add_key(p->out, p->rows, row, nkey);
    if (answer->verdict == PAWL_LUA_WRITE && answer->is_set[0] && v->data != NULL)
        pawl_pg_array_add_bytes(&p->out->items[nkey], v->data, v->length);
    else
        pawl_pg_array_add_null(&p->out->items[nkey]);
    return PAWL_OK;
}

static pawl_status
transform(const pawl_redo *r, const pawl_pg_result *locked, arrays *out, pawl_error *err)
{
    pass p = {.redo = r, .rows = locked, .out = out};
    const pawl_lua_rows rows = {.count = pawl_pg_rows(locked), .ctx = &p, .get = pass_get, .put = pass_put};
    int failed = -1;
    pawl_status st = pawl_lua_run(r->lua, &rows, &failed, err);
    char key[200];

    if (st == PAWL_E_TRANSFORM && failed >= 0)
    {
        pawl_job_redact(r->job, err);
        describe(r->job, locked, failed, key, sizeof key);
        return pawl_error_detail(err, "row %s of \"%s.%s\"", key, r->job->table->schema, r->job->table->name);
    }
    return st;
}

/* ---- demands -------------------------------------------------------------------------------------------------------- */

/* Key columns of some rows among those written that break a demand, and which one. */
static void
add_violations(pawl_strbuf *b, const pawl_redo *r)
{
    const pawl_job *job = r->job;

    pawl_sql_add(b, "SELECT ");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
        pawl_sql_add(b, ", ");
    }
    pawl_sql_add(b, "CASE");
    for (size_t i = 0; i < r->ndemands; i++)
    {
        pawl_sql_add(b, " WHEN ");
        pawl_sql_fragment(b, r->demands[i].violated);
        pawl_strbuf_addf(b, " THEN %zu", i);
    }
    pawl_sql_add(b, " END FROM ");
    add_arrays(b, job, false);
    pawl_sql_add(b, " JOIN ");
    add_table(b, job);
    pawl_sql_add(b, " ON ");
    add_join(b, job);
    pawl_sql_add(b, " WHERE (");
    for (size_t i = 0; i < r->ndemands; i++)
    {
        pawl_sql_add(b, i > 0 ? ") OR (" : "");
        pawl_sql_fragment(b, r->demands[i].violated);
    }
    pawl_sql_add(b, ") LIMIT 1");
}

static pawl_status
check_demands(const pawl_redo *r, pawl_pg *pg, arrays *keys, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_job *job = r->job;
    pawl_pg_arg args[PAWL_KEY_MAX];
    char key[200];
    pawl_status st;

    if (r->ndemands == 0)
        return PAWL_OK;
    add_violations(&sql, r);
    for (int i = 0; i < keys->count; i++)
        args[i] = pawl_pg_array_arg(&keys->items[i], PAWL_OID_TEXT_ARRAY);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, keys->count, args, &res, err)) != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    describe(job, res, 0, key, sizeof key);
    return pawl_carry_refuse_row(&r->demands[pawl_pg_i64(res, 0, job->key->ncolumns)], job->table->schema,
                                 job->table->name, key, err);
}

/* ---- a slice -------------------------------------------------------------------------------------------------------- */

static pawl_status
write_locked(const pawl_redo *r, pawl_pg *pg, const pawl_pg_result *locked, bool is_crowded, arrays *keys,
             pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    arrays values;
    pawl_status st = PAWL_OK;

    arrays_init(&values, r->job->key->ncolumns + 1);
    if (r->lua != NULL)
        st = transform(r, locked, &values, err);
    if (st == PAWL_OK && is_crowded)
        st = execute(r, pg, WRITE_NULL, false, keys, NULL, err);
    if (st == PAWL_OK && r->lua != NULL)
        st = execute(r, pg, WRITE_VALUES, false, &values, &res, err);
    else if (st == PAWL_OK)
        st = execute(r, pg, WRITE_EXPRESSION, false, keys, &res, err);
    arrays_fini(&values);
    if (st == PAWL_OK && pawl_pg_affected(res) < pawl_pg_rows(locked))
    {
        (void) pawl_error_set(
            err, PAWL_E_REFUSED,
            "of %d changed rows of \"%s.%s\" %lld were written: a trigger suppresses the others",
            pawl_pg_rows(locked), r->job->table->schema, r->job->table->name,
            (long long) pawl_pg_affected(res));
        return pawl_error_hint(err,
                               "find the BEFORE UPDATE trigger that returns NULL, and let it pass rows in "
                               "which only column \"%s\" changes",
                               r->job->write[0]->name);
    }
    return st;
}

pawl_status
pawl_redo_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice, int64_t *written, pawl_error *err)
{
    const pawl_redo *r = ctx;
    PAWL_AUTO(pawl_pg_result) locked = NULL;
    arrays keys;
    pawl_status st;

    arrays_init(&keys, r->job->key->ncolumns);
    for (int row = 0; row < pawl_pg_rows(slice->keys); row++)
        add_key(&keys, slice->keys, row, r->job->key->ncolumns);
    if ((st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) == PAWL_OK)
        st = execute(r, pg, WRITE_VALUES, true, &keys, &locked, err);
    if (st == PAWL_OK && pawl_pg_rows(locked) > 0 &&
        (st = write_locked(r, pg, locked, slice->is_crowded, &keys, err)) == PAWL_OK)
        st = check_demands(r, pg, &keys, err);
    arrays_fini(&keys);
    if (st == PAWL_OK)
        *written = pawl_pg_rows(locked);
    return st;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

/* Key, read columns, and behind them what is stored. */
static void
add_sample(pawl_strbuf *b, const pawl_redo *r, int64_t job, double percent, const pawl_ledger *ledger)
{
    const pawl_job *j = r->job;

    pawl_sql_add(b, "SELECT ");
    for (int i = 0; i < j->key->ncolumns; i++)
    {
        pawl_sql_column(b, "t", j->key->columns[i].column->name);
        pawl_sql_add(b, ", ");
    }
    for (int i = 0; i < j->nread; i++)
    {
        pawl_sql_column(b, "t", j->read[i]->name);
        pawl_sql_add(b, ", ");
    }
    pawl_sql_column(b, "t", j->write[0]->name);
    pawl_sql_add(b, " FROM ");
    add_table(b, j);
    pawl_strbuf_addf(b, " TABLESAMPLE SYSTEM (%.6f) WHERE NOT EXISTS (SELECT FROM ", percent);
    pawl_capture_add_log_name(b, ledger, job);
    pawl_sql_add(b, " AS l WHERE ");
    for (int i = 0; i < j->key->ncolumns; i++)
    {
        const pawl_key_column *k = &j->key->columns[i];

        pawl_strbuf_addf(b, "%sl.k%d ", i > 0 ? " AND " : "", i + 1);
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_sql_add(b, " ");
        pawl_sql_column(b, "t", k->column->name);
        pawl_sql_add(b, "::");
        pawl_sql_type(b, k->column->cast_name);
    }
    pawl_sql_add(b, ") LIMIT 5000");
}

/* The ordinals of values that differ once the server has made them values of the column. */
static pawl_status
find_differences(const pawl_redo *r, const pawl_pg_result *rows, const pawl_pg_array *is, pawl_pg *pg,
                 pawl_pg_result **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_array was;
    pawl_pg_array made = *is;
    int at = r->job->key->ncolumns + r->job->nread;
    pawl_status st;

    pawl_pg_array_init(&was, PAWL_OID_TEXT);
    for (int row = 0; row < pawl_pg_rows(rows); row++)
        if (pawl_pg_is_null(rows, row, at))
            pawl_pg_array_add_null(&was);
        else
            pawl_pg_array_add_bytes(&was, pawl_pg_text(rows, row, at),
                                    (size_t) pawl_pg_length(rows, row, at));
    pawl_sql_add(&sql,
                 "SELECT u.i FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) "
                 "WITH ORDINALITY AS u(was, made, i) WHERE u.was IS DISTINCT FROM u.made AND u.was IS "
                 "DISTINCT FROM (u.made::");
    pawl_sql_type(&sql, r->job->write[0]->type_name);
    pawl_sql_add(&sql, ")::text");
    const pawl_pg_arg args[] = {pawl_pg_array_arg(&was, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&made, PAWL_OID_TEXT_ARRAY)};

    st = pawl_pg_array_is_ok(&was) && pawl_pg_array_is_ok(is) && pawl_strbuf_is_ok(&sql)
             ? pawl_pg_query(pg, sql.data, 2, args, out, err)
             : pawl_error_nomem(err, "a comparison");
    pawl_pg_array_fini(&was);
    return st;
}

pawl_status
pawl_redo_compare(const pawl_redo *r, int64_t job, double percent, pawl_ledger *ledger, pawl_pg *pg,
                  pawl_redo_sample *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) rows = NULL;
    PAWL_AUTO(pawl_pg_result) differ = NULL;
    PAWL_STRBUF_AUTO(sql);
    arrays values;
    pawl_status st;

    add_sample(&sql, r, job, percent, ledger);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a comparison");
    if ((st = pawl_pg_query(pg, sql.data, 0, NULL, &rows, err)) != PAWL_OK)
        return st;
    arrays_init(&values, r->job->key->ncolumns + 1);
    if ((st = transform(r, rows, &values, err)) == PAWL_OK)
        st = find_differences(r, rows, &values.items[r->job->key->ncolumns], pg, &differ, err);
    arrays_fini(&values);
    if (st != PAWL_OK)
        return st;
    *out = (pawl_redo_sample){.rows = pawl_pg_rows(rows), .differ = pawl_pg_rows(differ)};
    if (out->differ > 0)
        describe(r->job, rows, (int) pawl_pg_i64(differ, 0, 0) - 1, out->example, sizeof out->example);
    return PAWL_OK;
}
