#include <string.h>

#include "online/redo_private.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"

#include "util/banned.h"

enum
{
    MORE_ARGS = 3 /* behind the arrays of a write that is numbered */
};

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

void
pawl_redo_sql_arrays(pawl_strbuf *b, const pawl_job *job, bool has_values, bool is_numbered)
{
    int nvalues = has_values ? job->nwrite : 0;
    int n = job->key->ncolumns + nvalues;

    pawl_sql_add(b, "ROWS FROM (");
    for (int i = 1; i <= n; i++)
        pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::text[])", i > 1 ? ", " : "", i);
    pawl_strbuf_addf(b, ")%s AS u(", is_numbered ? " WITH ORDINALITY" : "");
    for (int i = 1; i <= job->key->ncolumns; i++)
        pawl_strbuf_addf(b, "%spawl_k%d", i > 1 ? ", " : "", i);
    for (int i = 1; i <= nvalues; i++)
        pawl_strbuf_addf(b, ", pawl_v%d", i);
    pawl_sql_add(b, is_numbered ? ", pawl_i)" : ")");
}

void
pawl_redo_sql_join(pawl_strbuf *b, const pawl_job *job)
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

void
pawl_redo_sql_table(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t");
}

void
pawl_redo_sql_where(pawl_strbuf *b, const pawl_job *job)
{
    if (job->spec->where == NULL)
        return;
    pawl_sql_add(b, " AND ");
    pawl_sql_fragment(b, job->spec->where);
}

/* Locked in the order of the key, as everybody else who locks several rows should. */
static void
add_lookup(pawl_strbuf *b, const pawl_redo *r)
{
    const pawl_job *job = r->job;

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
    pawl_redo_sql_arrays(b, job, false, false);
    pawl_sql_add(b, " JOIN ");
    pawl_redo_sql_table(b, job);
    pawl_sql_add(b, " ON ");
    pawl_redo_sql_join(b, job);
    pawl_redo_sql_where(b, job);
    if (r->spares_nulled)
        pawl_redo_sql_spare(b, r);
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
    pawl_redo_sql_table(b, job);
    pawl_sql_add(b, " SET ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_sql_add(b, " = ");
        add_value(b, job, form, i);
    }
    pawl_sql_add(b, " FROM ");
    pawl_redo_sql_arrays(b, job, form == WRITE_VALUES, false);
    pawl_sql_add(b, " WHERE ");
    pawl_redo_sql_join(b, job);
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_redo_arrays_init(pawl_redo_arrays *a, int count, int rows, pawl_error *err)
{
    *a = (pawl_redo_arrays){.items = pawl_calloc((size_t) count, sizeof *a->items),
                            .args = pawl_calloc((size_t) count + MORE_ARGS, sizeof *a->args),
                            .source = pawl_calloc((size_t) rows + 1, sizeof *a->source)};
    if (a->items == NULL || a->args == NULL || a->source == NULL)
        return pawl_error_nomem(err, "the rows of a slice");
    a->count = count;
    for (int i = 0; i < count; i++)
        pawl_pg_array_init(&a->items[i], PAWL_OID_TEXT);
    return PAWL_OK;
}

void
pawl_redo_arrays_fini(pawl_redo_arrays *a)
{
    for (int i = 0; i < a->count; i++)
        pawl_pg_array_fini(&a->items[i]);
    pawl_free(a->items);
    pawl_free(a->args);
    pawl_free(a->source);
    *a = (pawl_redo_arrays){.count = 0};
}

void
pawl_redo_add_key(pawl_redo_arrays *a, const pawl_pg_result *res, int row, int nkey)
{
    for (int i = 0; i < nkey; i++)
        pawl_pg_array_add_bytes(&a->items[i], pawl_pg_text(res, row, i),
                                (size_t) pawl_pg_length(res, row, i));
}

pawl_status
pawl_redo_args(pawl_redo_arrays *a, pawl_error *err)
{
    for (int i = 0; i < a->count; i++)
    {
        if (!pawl_pg_array_is_ok(&a->items[i]))
            return pawl_error_nomem(err, "the rows of a slice");
        a->args[i] = pawl_pg_array_arg(&a->items[i], PAWL_OID_TEXT_ARRAY);
    }
    return PAWL_OK;
}

static pawl_status
execute(const pawl_redo *r, pawl_pg *pg, write_form form, bool is_lookup, pawl_redo_arrays *a,
        pawl_pg_result **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_redo_args(a, err);

    if (st != PAWL_OK)
        return st;

    if (is_lookup)
        add_lookup(&sql, r);
    else
        add_write(&sql, r, form);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(pg, sql.data, a->count, a->args, out, err);
}

/* ---- the transform -------------------------------------------------------------------------------------------------- */

/* Its way through the rows. */
typedef struct pass
{
    const pawl_redo *redo;
    const pawl_pg_result *rows;
    pawl_redo_arrays *out;
    pawl_rejects *rejects;
    pawl_row_search search;
} pass;

void
pawl_redo_describe(const pawl_job *job, const pawl_pg_result *rows, int row, char *out, size_t size)
{
    PAWL_STRBUF_AUTO(text);

    for (int i = 0; i < job->key->ncolumns; i++)
        pawl_strbuf_addf(&text, "%s%s = %s", i > 0 ? ", " : "", job->key->columns[i].column->name,
                         pawl_pg_text(rows, row, i));
    pawl_fmt(out, size, "%s", text.data);
}

static pawl_lua_value
pass_get(void *ctx, int index, int column)
{
    const pass *p = ctx;
    int row = p->search.offset + index;

    if (pawl_pg_is_null(p->rows, row, column))
        return (pawl_lua_value){.data = NULL};
    return (pawl_lua_value){.data = pawl_pg_text(p->rows, row, column),
                            .length = (size_t) pawl_pg_length(p->rows, row, column)};
}

/* `answer`: NULL for a row that is refused. */
static void
add_answer(pass *p, int row, const pawl_lua_answer *answer)
{
    const pawl_job *job = p->redo->job;
    int nkey = job->key->ncolumns;

    pawl_redo_add_key(p->out, p->rows, row, nkey);
    for (int i = 0; i < job->nwrite; i++)
    {
        const pawl_lua_value *v = answer == NULL ? NULL : &answer->values[i];

        if (v != NULL && answer->verdict == PAWL_LUA_WRITE && answer->is_set[i] && v->data != NULL)
            pawl_pg_array_add_bytes(&p->out->items[nkey + i], v->data, v->length);
        else
            pawl_pg_array_add_null(&p->out->items[nkey + i]);
    }
    p->out->source[p->out->nsource++] = row;
}

static void
refuse(pass *p, int row, const pawl_error *why)
{
    pawl_rejects_add(p->rejects, p->rows, row, 0, why);
    add_answer(p, row, NULL);
}

static pawl_status
pass_put(void *ctx, int index, const pawl_lua_answer *answer, pawl_error *err)
{
    pass *p = ctx;
    const pawl_job *job = p->redo->job;
    int row = p->search.offset + index;
    pawl_error why = PAWL_ERROR_INIT;
    char key[200];

    if (answer->verdict != PAWL_LUA_REJECT)
    {
        add_answer(p, row, answer);
        return PAWL_OK;
    }
    (void) pawl_error_set(&why, PAWL_E_TRANSFORM, "the transform rejects the row: %s", answer->reason);
    if (p->rejects != NULL)
    {
        refuse(p, row, &why);
        return PAWL_OK;
    }
    pawl_redo_describe(job, p->rows, row, key, sizeof key);
    *err = why;
    pawl_job_redact(job, err);
    return pawl_error_detail(err, "row %s of \"%s.%s\"", key, job->table->schema, job->table->name);
}

static pawl_status
fail_at(const pass *p, int failed, const pawl_error *why, pawl_error *err)
{
    const pawl_job *job = p->redo->job;
    char key[200];

    *err = *why;
    if (why->code != PAWL_E_TRANSFORM || failed < 0)
        return why->code;
    pawl_job_redact(job, err);
    pawl_redo_describe(job, p->rows, p->search.offset + failed, key, sizeof key);
    return pawl_error_detail(err, "row %s of \"%s.%s\"", key, job->table->schema, job->table->name);
}

pawl_status
pawl_redo_transform(const pawl_redo *r, const pawl_pg_result *rows, pawl_redo_arrays *out,
                    pawl_rejects *rejects, pawl_error *err)
{
    pass p = {.redo = r, .rows = rows, .out = out, .rejects = rejects};

    pawl_row_search_begin(&p.search, pawl_pg_rows(rows));
    while (p.search.offset < p.search.total)
    {
        const pawl_lua_rows some = {
            .count = p.search.end - p.search.offset, .ctx = &p, .get = pass_get, .put = pass_put};
        pawl_error failure = PAWL_ERROR_INIT;
        int failed = -1;
        pawl_status st = pawl_lua_run(r->lua, &some, &failed, &failure);

        if (st != PAWL_OK && (st != PAWL_E_TRANSFORM || rejects == NULL))
            return fail_at(&p, failed, &failure, err);
        if (st == PAWL_OK)
        {
            pawl_row_search_pass(&p.search);
            continue;
        }

        int bad = pawl_row_search_fail(&p.search, failed);

        if (bad >= 0)
            refuse(&p, bad, &failure);
    }
    return rejects == NULL ? PAWL_OK : pawl_rejects_check(rejects, err);
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
    pawl_redo_sql_arrays(b, job, false, false);
    pawl_sql_add(b, " JOIN ");
    pawl_redo_sql_table(b, job);
    pawl_sql_add(b, " ON ");
    pawl_redo_sql_join(b, job);
    pawl_sql_add(b, " WHERE (");
    for (size_t i = 0; i < r->ndemands; i++)
    {
        pawl_sql_add(b, i > 0 ? ") OR (" : "");
        pawl_sql_fragment(b, r->demands[i].violated);
    }
    pawl_sql_add(b, ") LIMIT 1");
}

static pawl_status
check_demands(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_job *job = r->job;
    char key[200];
    pawl_status st;

    if (r->ndemands == 0)
        return PAWL_OK;
    add_violations(&sql, r);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_redo_args(keys, err)) != PAWL_OK ||
        (st = pawl_pg_query(pg, sql.data, keys->count, keys->args, &res, err)) != PAWL_OK ||
        pawl_pg_rows(res) == 0)
        return st;
    pawl_redo_describe(job, res, 0, key, sizeof key);
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

/* The values that the transform makes; where bad rows get NULL, what it or the server refuses goes into `rejects`. */
static pawl_status
write_made(const pawl_redo *r, pawl_pg *pg, const pawl_pg_result *locked, pawl_rejects *rejects,
           pawl_redo_arrays *values, int64_t *written, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st;

    if (rejects != NULL)
        return pawl_redo_write_or_null(r, pg, locked, values, rejects, written, err);
    if ((st = execute(r, pg, WRITE_VALUES, false, values, &res, err)) == PAWL_OK)
        *written = pawl_pg_affected(res);
    return st;
}

static pawl_status
write_expressions(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys, int64_t *written, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = execute(r, pg, WRITE_EXPRESSION, false, keys, &res, err);

    if (st == PAWL_OK)
        *written = pawl_pg_affected(res);
    return st;
}

static pawl_status
write_locked(const pawl_redo *r, pawl_pg *pg, const pawl_pg_result *locked, bool is_crowded,
             pawl_rejects *rejects, pawl_error *err)
{
    int nkey = r->job->key->ncolumns;
    int rows = pawl_pg_rows(locked);
    int64_t written = 0;
    pawl_redo_arrays keys = {0};
    pawl_redo_arrays values = {0};
    pawl_status st = pawl_redo_arrays_init(&keys, nkey, 0, err);

    if (st == PAWL_OK)
        st = pawl_redo_arrays_init(&values, nkey + r->job->nwrite, rows, err);
    for (int row = 0; st == PAWL_OK && row < rows; row++)
        pawl_redo_add_key(&keys, locked, row, nkey);
    if (st == PAWL_OK && r->lua != NULL)
        st = pawl_redo_transform(r, locked, &values, rejects, err);
    if (st == PAWL_OK && is_crowded)
        st = execute(r, pg, WRITE_NULL, false, &keys, NULL, err);
    if (st == PAWL_OK)
        st = r->lua != NULL ? write_made(r, pg, locked, rejects, &values, &written, err)
                            : write_expressions(r, pg, &keys, &written, err);
    pawl_redo_arrays_fini(&values);
    pawl_redo_arrays_fini(&keys);
    return st == PAWL_OK ? check_written(r->job, rows, written, err) : st;
}

/* The rows of these keys, and what the ledger and the demands say of them. */
static pawl_status
apply_locked(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys, const pawl_pg_result *locked,
             bool is_crowded, pawl_error *err)
{
    bool nulls = r->job->spec->nulls_rejects && r->lua != NULL;
    pawl_rejects rejects = {0};
    pawl_status st = pawl_rejects_init(&rejects, r->job, err);

    if (st == PAWL_OK && pawl_pg_rows(locked) > 0)
        st = write_locked(r, pg, locked, is_crowded, nulls ? &rejects : NULL, err);
    if (st == PAWL_OK && r->ledger != NULL && !r->spares_nulled)
        st = pawl_redo_settle(r, pg, keys, locked, &rejects, err);
    pawl_rejects_fini(&rejects);
    return st == PAWL_OK && pawl_pg_rows(locked) > 0 ? check_demands(r, pg, keys, err) : st;
}

pawl_status
pawl_redo_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice, int64_t *written, pawl_error *err)
{
    const pawl_redo *r = ctx;
    PAWL_AUTO(pawl_pg_result) locked = NULL;
    pawl_redo_arrays keys = {0};
    pawl_status st = pawl_redo_arrays_init(&keys, r->job->key->ncolumns, 0, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(slice->keys); row++)
        pawl_redo_add_key(&keys, slice->keys, row, r->job->key->ncolumns);
    if (st == PAWL_OK && r->spares_nulled)
        st = pawl_redo_end_written(r, pg, slice, err);
    if (st == PAWL_OK && (st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) == PAWL_OK)
        st = execute(r, pg, WRITE_VALUES, true, &keys, &locked, err);
    if (st == PAWL_OK)
        st = apply_locked(r, pg, &keys, locked, slice->is_crowded, err);
    pawl_redo_arrays_fini(&keys);
    if (st == PAWL_OK)
        *written = pawl_pg_rows(locked);
    return st;
}
