/*
 * Rows of a drain that are refused and get NULL instead (rejects: write_null), and what the ledger says of them. It says so in
 * the transaction that writes NULL: there is no such row without a reject, nor a reject of a row that has its value by now.
 */
#include <string.h>

#include "online/redo_private.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* ---- statements ----------------------------------------------------------------------------------------------------- */

static void
add_rejects(pawl_strbuf *b, const pawl_ledger *ledger)
{
    pawl_sql_ident2(b, pawl_ledger_schema(ledger), "reject");
    pawl_sql_add(b, " AS r");
}

static void
add_is_nulled(pawl_strbuf *b, int64_t job)
{
    pawl_strbuf_addf(b, "r.job_id = %lld AND r.state = 'nulled'", (long long) job);
}

/* r.key[1]::type = <alias>.<column>::type AND ...: equal keys need not be the same text. */
static void
add_same_key(pawl_strbuf *b, const pawl_job *job, bool is_of_table)
{
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        pawl_strbuf_addf(b, " AND r.key[%d]::", i + 1);
        pawl_sql_type(b, k->column->cast_name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_sql_add(b, " ");
        if (is_of_table)
            pawl_sql_column(b, "t", k->column->name);
        else
            pawl_strbuf_addf(b, "u.pawl_k%d", i + 1);
        pawl_sql_add(b, "::");
        pawl_sql_type(b, k->column->cast_name);
    }
}

void
pawl_redo_sql_unless_nulled(pawl_strbuf *b, const pawl_job *job, int64_t id, const pawl_ledger *ledger)
{
    pawl_sql_add(b, " AND NOT (");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? " AND " : "");
        pawl_sql_column(b, "t", job->write[i]->name);
        pawl_sql_add(b, " IS NULL");
    }
    pawl_sql_add(b, " AND EXISTS (SELECT FROM ");
    add_rejects(b, ledger);
    pawl_sql_add(b, " WHERE ");
    add_is_nulled(b, id);
    add_same_key(b, job, true);
    pawl_sql_add(b, "))");
}

/* The ledger says of this row that it was refused: that ends with the first write (pawl_redo_end_written). */
void
pawl_redo_sql_spare(pawl_strbuf *b, const pawl_redo *r)
{
    const pawl_job *job = r->job;

    pawl_sql_add(b, " AND NOT (");
    pawl_sql_column(b, "t", job->read[0]->name);
    pawl_sql_add(b, " IS NULL AND EXISTS (SELECT FROM ");
    add_rejects(b, r->ledger);
    pawl_sql_add(b, " WHERE ");
    add_is_nulled(b, job->id);
    add_same_key(b, job, true);
    pawl_sql_add(b, "))");
}

/* Parameters: key and value arrays, behind the last of them from, to, and the ordinals of rows that get NULL. */
static void
add_write(pawl_strbuf *b, const pawl_job *job)
{
    int n = job->key->ncolumns + job->nwrite;

    pawl_sql_add(b, "UPDATE ");
    pawl_redo_sql_table(b, job);
    pawl_sql_add(b, " SET ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_strbuf_addf(b, " = CASE WHEN u.pawl_i = ANY ($%d) THEN NULL ELSE u.pawl_v%d::", n + 3, i + 1);
        pawl_sql_type(b, job->write[i]->cast_name);
        pawl_sql_add(b, " END");
    }
    pawl_sql_add(b, " FROM ");
    pawl_redo_sql_arrays(b, job, true, true);
    pawl_sql_add(b, " WHERE ");
    pawl_redo_sql_join(b, job);
    pawl_strbuf_addf(b, " AND u.pawl_i > $%d::bigint AND u.pawl_i <= $%d::bigint", n + 1, n + 2);
}

/* ---- writing -------------------------------------------------------------------------------------------------------- */

typedef struct writing
{
    const pawl_redo *redo;
    pawl_pg *pg;
    const pawl_pg_result *locked;
    pawl_redo_arrays *values;
    pawl_rejects *rejects;
    pawl_strbuf *sql;
    pawl_pg_array refused; /* ordinals */
    int64_t written;
} writing;

static pawl_status
write_range(writing *w, int from, int to, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_redo_arrays *a = w->values;
    char lo[24];
    char hi[24];
    pawl_status st;

    a->args[a->count] = pawl_arg_i64(from, lo);
    a->args[a->count + 1] = pawl_arg_i64(to, hi);
    a->args[a->count + 2] = pawl_pg_array_arg(&w->refused, PAWL_OID_INT8_ARRAY);
    if ((st = pawl_pg_query(w->pg, w->sql->data, a->count + 3, a->args, &res, err)) == PAWL_OK)
        w->written += pawl_pg_affected(res);
    return st;
}

/* *failure: why the server refuses one of these rows; its code is PAWL_OK when they are written. */
static pawl_status
try_range(writing *w, int from, int to, pawl_error *failure, pawl_error *err)
{
    pawl_status st = pawl_pg_exec(w->pg, "SAVEPOINT pawl_redo", err);

    if (st != PAWL_OK)
        return st;
    if ((st = write_range(w, from, to, failure)) == PAWL_OK)
        return pawl_pg_exec(w->pg, "RELEASE SAVEPOINT pawl_redo", err);
    if (!pawl_reject_is_of_value(failure))
    {
        *err = *failure;
        return st;
    }
    if ((st = pawl_pg_exec(w->pg, "ROLLBACK TO SAVEPOINT pawl_redo", err)) == PAWL_OK)
        st = pawl_pg_exec(w->pg, "RELEASE SAVEPOINT pawl_redo", err);
    return st;
}

/* The rows of (from, to], by halves where one of them is refused; that one with NULL. */
static pawl_status
write_by_halves(writing *w, int from, int to, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    int middle = from + (to - from) / 2;
    pawl_status st = try_range(w, from, to, &failure, err);

    if (st != PAWL_OK || failure.code == PAWL_OK)
        return st;
    if (to - from > 1)
    {
        st = write_by_halves(w, from, middle, err);
        return st == PAWL_OK ? write_by_halves(w, middle, to, err) : st;
    }
    pawl_rejects_add(w->rejects, w->locked, w->values->source[from], 0, &failure);
    pawl_pg_array_add_i64(&w->refused, to);
    PAWL_FAILPOINT("redo.after_refusal");
    /* What is refused even so was not refused for its value. */
    return write_range(w, from, to, err);
}

pawl_status
pawl_redo_write_or_null(const pawl_redo *r, pawl_pg *pg, const pawl_pg_result *locked,
                        pawl_redo_arrays *values, pawl_rejects *rejects, int64_t *written, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    writing w = {.redo = r, .pg = pg, .locked = locked, .values = values, .rejects = rejects, .sql = &sql};
    pawl_status st = pawl_redo_args(values, err);

    if (st != PAWL_OK)
        return st;
    add_write(&sql, r->job);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    pawl_pg_array_init(&w.refused, PAWL_OID_INT8);
    st = write_by_halves(&w, 0, values->nsource, err);
    if (st == PAWL_OK && !pawl_pg_array_is_ok(&w.refused))
        st = pawl_error_nomem(err, "rejected rows");
    pawl_pg_array_fini(&w.refused);
    *written = w.written;
    return st;
}

/* ---- what the ledger says --------------------------------------------------------------------------------------------- */

typedef enum reject_end
{
    END_REPLACED, /* refused once more: another takes its place */
    END_DONE,
    END_GONE,
} reject_end;

static pawl_status
end_rejects(const pawl_redo *r, pawl_pg *pg, reject_end how, pawl_redo_arrays *keys, pawl_error *err)
{
    static const char *const set[] = {NULL, "done", "gone"};
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_redo_args(keys, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, how == END_REPLACED ? "DELETE FROM " : "UPDATE ");
    add_rejects(&sql, r->ledger);
    if (how == END_REPLACED)
        pawl_sql_add(&sql, " USING ");
    else
        pawl_strbuf_addf(&sql,
                         " SET state = '%s', attempts = r.attempts + 1, at = pg_catalog.clock_timestamp() "
                         "FROM ",
                         set[how]);
    pawl_redo_sql_arrays(&sql, r->job, false, false);
    pawl_sql_add(&sql, " WHERE ");
    add_is_nulled(&sql, r->job->id);
    add_same_key(&sql, r->job, false);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_pg_query(pg, sql.data, keys->count, keys->args, NULL, err);
}

/* Whether there is a row that way; equal keys are the server's business. */
static void
add_end_written(pawl_strbuf *b, const pawl_redo *r)
{
    pawl_sql_add(b, "UPDATE ");
    add_rejects(b, r->ledger);
    pawl_sql_add(b, " SET state = CASE WHEN EXISTS (SELECT FROM ");
    pawl_redo_sql_table(b, r->job);
    pawl_sql_add(b, " WHERE ");
    pawl_redo_sql_join(b, r->job);
    pawl_sql_add(b, ") THEN 'done' ELSE 'gone' END, attempts = r.attempts + 1, at = "
                    "pg_catalog.clock_timestamp() FROM ");
    pawl_redo_sql_arrays(b, r->job, false, false);
    pawl_sql_add(b, " WHERE ");
    add_is_nulled(b, r->job->id);
    add_same_key(b, r->job, false);
}

pawl_status
pawl_redo_end_written(const pawl_redo *r, pawl_pg *pg, const pawl_drain_slice *slice, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_redo_arrays written = {0};
    int nkey = r->job->key->ncolumns;
    bool has_written = false;
    pawl_status st = pawl_redo_arrays_init(&written, nkey, 0, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(slice->keys); row++)
        if (pawl_pg_is_true(slice->keys, row, nkey))
        {
            has_written = true;
            pawl_redo_add_key(&written, slice->keys, row, nkey);
        }
    if (st == PAWL_OK && has_written && (st = pawl_redo_args(&written, err)) == PAWL_OK)
    {
        add_end_written(&sql, r);
        if (!pawl_strbuf_is_ok(&sql))
            st = pawl_error_nomem(err, "a statement");
        else if ((st = pawl_pg_exec(pg, pawl_sql_online_plan_hash, err)) == PAWL_OK)
            st = pawl_pg_query(pg, sql.data, nkey, written.args, NULL, err);
    }
    pawl_redo_arrays_fini(&written);
    return st;
}

/* Which of the locked rows were refused now? */
static pawl_status
sort_rows(const pawl_redo *r, const pawl_pg_result *locked, const pawl_rejects *rejects,
          pawl_redo_arrays *refused, pawl_redo_arrays *done, pawl_error *err)
{
    int nkey = r->job->key->ncolumns;
    int rows = pawl_pg_rows(locked);
    bool *is_refused = pawl_calloc((size_t) rows + 1, sizeof *is_refused);
    pawl_status st;

    if (is_refused == NULL)
        return pawl_error_nomem(err, "the rows of a slice");
    for (int i = 0; i < rejects->count; i++)
        is_refused[rejects->places[i]] = true;
    if ((st = pawl_redo_arrays_init(refused, nkey, 0, err)) == PAWL_OK)
        st = pawl_redo_arrays_init(done, nkey, 0, err);
    for (int row = 0; st == PAWL_OK && row < rows; row++)
        pawl_redo_add_key(is_refused[row] ? refused : done, locked, row, nkey);
    pawl_free(is_refused);
    return st;
}

static pawl_status
end_all(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys, const pawl_pg_result *locked,
        const pawl_rejects *rejects, pawl_error *err)
{
    pawl_redo_arrays refused = {0};
    pawl_redo_arrays done = {0};
    pawl_status st = sort_rows(r, locked, rejects, &refused, &done, err);

    /* What is left of them then has no row any more. */
    if (st == PAWL_OK && (st = pawl_pg_query(pg, pawl_sql_online_plan_hash, 0, NULL, NULL, err)) == PAWL_OK &&
        (st = end_rejects(r, pg, END_REPLACED, &refused, err)) == PAWL_OK &&
        (st = end_rejects(r, pg, END_DONE, &done, err)) == PAWL_OK)
        st = end_rejects(r, pg, END_GONE, keys, err);
    if (st == PAWL_OK)
        st = pawl_pg_query(pg, pawl_sql_backfill_plan_lookup, 0, NULL, NULL, err);
    pawl_redo_arrays_fini(&refused);
    pawl_redo_arrays_fini(&done);
    return st;
}

pawl_status
pawl_redo_settle(const pawl_redo *r, pawl_pg *pg, pawl_redo_arrays *keys, const pawl_pg_result *locked,
                 pawl_rejects *rejects, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) any = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job->id)};
    pawl_status st = pawl_ledger_query(r->ledger, pg, pawl_sql_online_redo_nulled, 1, args, &any, err);

    if (st == PAWL_OK && pawl_pg_rows(any) > 0)
        st = end_all(r, pg, keys, locked, rejects, err);
    return st == PAWL_OK ? pawl_rejects_store(rejects, r->ledger, pg, err) : st;
}
