#include "online/redo.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"

#include "util/banned.h"

pawl_status
pawl_redo_open(pawl_redo *redo, const pawl_job *job, const char *entry, pawl_error *err)
{
    *redo = (pawl_redo){.job = job};
    if (job->spec->lua_file == NULL)
        return PAWL_OK;

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

/* FROM ROWS FROM (unnest($1::text[]), ...) AS u(pawl_k1, ..., [pawl_v1, ...]); parameters from 1 on. */
static void
add_arrays(pawl_strbuf *b, const pawl_job *job, bool has_values)
{
    int nvalues = has_values ? job->nwrite : 0;
    int n = job->key->ncolumns + nvalues;

    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 1; i <= n; i++)
        pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::text[])", i > 1 ? ", " : "", i);
    pawl_sql_add(b, ") AS u(");
    for (int i = 1; i <= job->key->ncolumns; i++)
        pawl_strbuf_addf(b, "%spawl_k%d", i > 1 ? ", " : "", i);
    for (int i = 1; i <= nvalues; i++)
        pawl_strbuf_addf(b, ", pawl_v%d", i);
    pawl_sql_add(b, ")");
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

static void
add_where(pawl_strbuf *b, const pawl_job *job)
{
    if (job->spec->where == NULL)
        return;
    pawl_sql_add(b, " AND ");
    pawl_sql_fragment(b, job->spec->where);
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
    add_where(b, job);
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
add_value(pawl_strbuf *b, const pawl_job *job, write_form form, int i)
{
    switch (form)
    {
        case WRITE_VALUES:
            pawl_strbuf_addf(b, "u.pawl_v%d::", i + 1);
            pawl_sql_type(b, job->write[i]->cast_name);
            break;
        case WRITE_NULL:
            pawl_sql_add(b, "NULL");
            break;
        case WRITE_EXPRESSION:
            pawl_sql_fragment(b, job->spec->set[i].expression);
            break;
    }
}

static void
add_write(pawl_strbuf *b, const pawl_redo *r, write_form form)
{
    const pawl_job *job = r->job;

    pawl_sql_add(b, "UPDATE ");
    add_table(b, job);
    pawl_sql_add(b, " SET ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_sql_add(b, " = ");
        add_value(b, job, form, i);
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
    pawl_pg_array *items;
    pawl_pg_arg *args; /* as many */
    int count;
} arrays;

static pawl_status
arrays_init(arrays *a, int count, pawl_error *err)
{
    *a = (arrays){.items = pawl_calloc((size_t) count, sizeof *a->items),
                  .args = pawl_calloc((size_t) count, sizeof *a->args)};
    if (a->items == NULL || a->args == NULL)
        return pawl_error_nomem(err, "the rows of a slice");
    a->count = count;
    for (int i = 0; i < count; i++)
        pawl_pg_array_init(&a->items[i], PAWL_OID_TEXT);
    return PAWL_OK;
}

static void
arrays_fini(arrays *a)
{
    for (int i = 0; i < a->count; i++)
        pawl_pg_array_fini(&a->items[i]);
    pawl_free(a->items);
    pawl_free(a->args);
    *a = (arrays){.count = 0};
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

    if (is_lookup)
        add_lookup(&sql, r->job);
    else
        add_write(&sql, r, form);
    for (int i = 0; i < a->count; i++)
    {
        if (!pawl_pg_array_is_ok(&a->items[i]))
            return pawl_error_nomem(err, "the rows of a slice");
        a->args[i] = pawl_pg_array_arg(&a->items[i], PAWL_OID_TEXT_ARRAY);
    }
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(pg, sql.data, a->count, a->args, out, err);
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
    char key[200];

    if (answer->verdict == PAWL_LUA_REJECT)
    {
        describe(job, p->rows, row, key, sizeof key);
        (void) pawl_error_set(err, PAWL_E_TRANSFORM, "the transform rejects the row: %s", answer->reason);
        pawl_job_redact(job, err);
        return pawl_error_detail(err, "row %s of \"%s.%s\"", key, job->table->schema, job->table->name);
    }
    add_key(p->out, p->rows, row, nkey);
    for (int i = 0; i < job->nwrite; i++)
    {
        const pawl_lua_value *v = &answer->values[i];

        if (answer->verdict == PAWL_LUA_WRITE && answer->is_set[i] && v->data != NULL)
            pawl_pg_array_add_bytes(&p->out->items[nkey + i], v->data, v->length);
        else
            pawl_pg_array_add_null(&p->out->items[nkey + i]);
    }
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
    char key[200];
    pawl_status st;

    if (r->ndemands == 0)
        return PAWL_OK;
    add_violations(&sql, r);
    for (int i = 0; i < keys->count; i++)
        keys->args[i] = pawl_pg_array_arg(&keys->items[i], PAWL_OID_TEXT_ARRAY);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, keys->count, keys->args, &res, err)) != PAWL_OK ||
        pawl_pg_rows(res) == 0)
        return st;
    describe(job, res, 0, key, sizeof key);
    return pawl_carry_refuse_row(&r->demands[pawl_pg_i64(res, 0, job->key->ncolumns)], job->table->schema,
                                 job->table->name, key, err);
}

/* ---- a slice -------------------------------------------------------------------------------------------------------- */

static pawl_status
check_written(const pawl_job *job, int locked, int64_t written, pawl_error *err)
{
    if (written >= locked)
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "of %d changed rows of \"%s.%s\" %lld were written: a trigger suppresses the others", locked,
        job->table->schema, job->table->name, (long long) written);
    return pawl_error_hint(err,
                           "find the BEFORE UPDATE trigger that returns NULL, and let it pass rows in "
                           "which only column \"%s\" changes",
                           job->write[0]->name);
}

static pawl_status
write_locked(const pawl_redo *r, pawl_pg *pg, const pawl_pg_result *locked, bool is_crowded, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int nkey = r->job->key->ncolumns;
    arrays keys = {0};
    arrays values = {0};
    pawl_status st = arrays_init(&keys, nkey, err);

    if (st == PAWL_OK)
        st = arrays_init(&values, nkey + r->job->nwrite, err);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(locked); row++)
        add_key(&keys, locked, row, nkey);
    if (st == PAWL_OK && r->lua != NULL)
        st = transform(r, locked, &values, err);
    if (st == PAWL_OK && is_crowded)
        st = execute(r, pg, WRITE_NULL, false, &keys, NULL, err);
    if (st == PAWL_OK && r->lua != NULL)
        st = execute(r, pg, WRITE_VALUES, false, &values, &res, err);
    else if (st == PAWL_OK)
        st = execute(r, pg, WRITE_EXPRESSION, false, &keys, &res, err);
    arrays_fini(&values);
    arrays_fini(&keys);
    return st == PAWL_OK ? check_written(r->job, pawl_pg_rows(locked), pawl_pg_affected(res), err) : st;
}

pawl_status
pawl_redo_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice, int64_t *written, pawl_error *err)
{
    const pawl_redo *r = ctx;
    PAWL_AUTO(pawl_pg_result) locked = NULL;
    arrays keys = {0};
    pawl_status st = arrays_init(&keys, r->job->key->ncolumns, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(slice->keys); row++)
        add_key(&keys, slice->keys, row, r->job->key->ncolumns);
    if (st == PAWL_OK && (st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) == PAWL_OK)
        st = execute(r, pg, WRITE_VALUES, true, &keys, &locked, err);
    if (st == PAWL_OK && pawl_pg_rows(locked) > 0 &&
        (st = write_locked(r, pg, locked, slice->is_crowded, err)) == PAWL_OK)
        st = check_demands(r, pg, &keys, err);
    arrays_fini(&keys);
    if (st == PAWL_OK)
        *written = pawl_pg_rows(locked);
    return st;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

/* ROW("a", ...) against ROW((expression)::type, ...), by their image. */
static void
add_differs(pawl_strbuf *b, const pawl_job *j)
{
    pawl_sql_add(b, "pg_catalog.record_image_ne(ROW(");
    for (int i = 0; i < j->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", j->write[i]->name);
    }
    pawl_sql_add(b, "), ROW(");
    for (int i = 0; i < j->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_fragment(b, j->spec->set[i].expression);
        pawl_sql_add(b, "::");
        pawl_sql_type(b, j->write[i]->type_name);
    }
    pawl_sql_add(b, "))");
}

static void
add_sampled(pawl_strbuf *b, const pawl_job *j)
{
    for (int i = 0; i < j->key->ncolumns; i++)
    {
        pawl_sql_column(b, "t", j->key->columns[i].column->name);
        pawl_sql_add(b, ", ");
    }
    if (j->spec->lua_file == NULL)
    {
        add_differs(b, j);
        return;
    }
    for (int i = 0; i < j->nread; i++)
    {
        pawl_sql_column(b, "t", j->read[i]->name);
        pawl_sql_add(b, ", ");
    }
    for (int i = 0; i < j->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", j->write[i]->name);
    }
}

/* Key, read columns, and behind them what is stored; or key, and whether that is what the expressions make. */
static void
add_sample(pawl_strbuf *b, const pawl_redo *r, int64_t job, double percent, const pawl_ledger *ledger)
{
    const pawl_job *j = r->job;

    pawl_sql_add(b, "SELECT ");
    add_sampled(b, j);
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
    pawl_sql_add(b, ")");
    add_where(b, j);
    pawl_sql_add(b, " LIMIT 5000");
}

static void
add_stored(pawl_pg_array *was, const pawl_pg_result *rows, int at)
{
    pawl_pg_array_init(was, PAWL_OID_TEXT);
    for (int row = 0; row < pawl_pg_rows(rows); row++)
        if (pawl_pg_is_null(rows, row, at))
            pawl_pg_array_add_null(was);
        else
            pawl_pg_array_add_bytes(was, pawl_pg_text(rows, row, at), (size_t) pawl_pg_length(rows, row, at));
}

/* Mark the rows whose value differs once the server has made what the transform gave a value of the column. */
static pawl_status
find_differences(const pawl_redo *r, const pawl_pg_result *rows, arrays *values, int column, pawl_pg *pg,
                 bool *differs, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_array was;
    pawl_pg_array *made = &values->items[r->job->key->ncolumns + column];
    pawl_status st;

    add_stored(&was, rows, r->job->key->ncolumns + r->job->nread + column);
    pawl_sql_add(&sql,
                 "SELECT u.i FROM ROWS FROM (pg_catalog.unnest($1::text[]), pg_catalog.unnest($2::text[])) "
                 "WITH ORDINALITY AS u(was, made, i) WHERE u.was IS DISTINCT FROM u.made AND u.was IS "
                 "DISTINCT FROM (u.made::");
    pawl_sql_type(&sql, r->job->write[column]->type_name);
    pawl_sql_add(&sql, ")::text");
    const pawl_pg_arg args[] = {pawl_pg_array_arg(&was, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(made, PAWL_OID_TEXT_ARRAY)};

    st = pawl_pg_array_is_ok(&was) && pawl_pg_array_is_ok(made) && pawl_strbuf_is_ok(&sql)
             ? pawl_pg_query(pg, sql.data, 2, args, &res, err)
             : pawl_error_nomem(err, "a comparison");
    for (int i = 0; st == PAWL_OK && i < pawl_pg_rows(res); i++)
        differs[pawl_pg_i64(res, i, 0) - 1] = true;
    pawl_pg_array_fini(&was);
    return st;
}

static pawl_status
mark_differences(const pawl_redo *r, const pawl_pg_result *rows, pawl_pg *pg, bool *differs, pawl_error *err)
{
    const pawl_job *job = r->job;
    arrays values = {0};
    pawl_status st;

    if (r->lua == NULL)
    {
        for (int row = 0; row < pawl_pg_rows(rows); row++)
            differs[row] = pawl_pg_is_true(rows, row, job->key->ncolumns);
        return PAWL_OK;
    }
    if ((st = arrays_init(&values, job->key->ncolumns + job->nwrite, err)) == PAWL_OK)
        st = transform(r, rows, &values, err);
    for (int i = 0; st == PAWL_OK && i < job->nwrite; i++)
        st = find_differences(r, rows, &values, i, pg, differs, err);
    arrays_fini(&values);
    return st;
}

pawl_status
pawl_redo_compare(const pawl_redo *r, int64_t job, double percent, pawl_ledger *ledger, pawl_pg *pg,
                  pawl_redo_sample *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) rows = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_redo_sample found = {0};
    bool *differs;
    pawl_status st;

    add_sample(&sql, r, job, percent, ledger);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a comparison");
    if ((st = pawl_pg_query(pg, sql.data, 0, NULL, &rows, err)) != PAWL_OK)
        return st;
    found.rows = pawl_pg_rows(rows);
    differs = pawl_calloc((size_t) found.rows + 1, sizeof *differs);
    if (differs == NULL)
        return pawl_error_nomem(err, "a comparison");
    st = mark_differences(r, rows, pg, differs, err);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(rows); row++)
        if (differs[row] && found.differ++ == 0)
            describe(r->job, rows, row, found.example, sizeof found.example);
    pawl_free(differs);
    if (st == PAWL_OK)
        *out = found;
    return st;
}
