/* The half of redo.h that looks whether what is stored is what the transform makes. */
#include "online/redo_private.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"

#include "util/banned.h"

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
    pawl_redo_sql_table(b, j);
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
    pawl_redo_sql_where(b, j);
    pawl_redo_sql_unless_nulled(b, j, job, ledger);
    pawl_sql_add(b, " LIMIT 5000");
}

static void
add_stored(pawl_pg_array *was, const pawl_pg_result *rows, const pawl_redo_arrays *values, int at)
{
    pawl_pg_array_init(was, PAWL_OID_TEXT);
    for (int i = 0; i < values->nsource; i++)
    {
        int row = values->source[i];

        if (pawl_pg_is_null(rows, row, at))
            pawl_pg_array_add_null(was);
        else
            pawl_pg_array_add_bytes(was, pawl_pg_text(rows, row, at), (size_t) pawl_pg_length(rows, row, at));
    }
}

/* Mark the rows whose value differs once the server has made what the transform gave a value of the column. */
static pawl_status
find_differences(const pawl_redo *r, const pawl_pg_result *rows, pawl_redo_arrays *values, int column,
                 pawl_pg *pg, bool *differs, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_array was;
    pawl_pg_array *made = &values->items[r->job->key->ncolumns + column];
    pawl_status st;

    add_stored(&was, rows, values, r->job->key->ncolumns + r->job->nread + column);
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
        differs[values->source[pawl_pg_i64(res, i, 0) - 1]] = true;
    pawl_pg_array_fini(&was);
    return st;
}

static pawl_status
mark_differences(const pawl_redo *r, const pawl_pg_result *rows, pawl_pg *pg, bool *differs, pawl_error *err)
{
    const pawl_job *job = r->job;
    pawl_redo_arrays values = {0};
    pawl_rejects rejects = {0};
    bool nulls = job->spec->nulls_rejects;
    pawl_status st;

    if (r->lua == NULL)
    {
        for (int row = 0; row < pawl_pg_rows(rows); row++)
            differs[row] = pawl_pg_is_true(rows, row, job->key->ncolumns);
        return PAWL_OK;
    }
    if ((st = pawl_redo_arrays_init(&values, job->key->ncolumns + job->nwrite, pawl_pg_rows(rows), err)) ==
        PAWL_OK)
        st = pawl_rejects_init(&rejects, job, err);
    if (st == PAWL_OK)
        st = pawl_redo_transform(r, rows, &values, nulls ? &rejects : NULL, err);
    for (int i = 0; st == PAWL_OK && i < rejects.count;
         i++) /* none of them accounts for the NULL that is stored */
        differs[rejects.places[i]] = true;
    for (int i = 0; st == PAWL_OK && i < job->nwrite; i++)
        st = find_differences(r, rows, &values, i, pg, differs, err);
    pawl_rejects_fini(&rejects);
    pawl_redo_arrays_fini(&values);
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
            pawl_redo_describe(r->job, rows, row, found.example, sizeof found.example);
    pawl_free(differs);
    if (st == PAWL_OK)
        *out = found;
    return st;
}
