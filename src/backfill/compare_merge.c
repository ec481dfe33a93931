/*
 * The part of verify for `into:` with `merge:`: what the transform makes of a row now is looked for in the other table by
 * the merged columns. The rows read and those found come from two statements; the second one looks whether the row read
 * is still the version that the transform was given, so that no change between the two counts as a difference.
 */
#include <string.h>

#include "backfill/preview.h"
#include "backfill/retry_into.h"
#include "backfill/verify_private.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "util/alloc.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* ---- the statement --------------------------------------------------------------------------------------------------- */

static const pawl_column *
merged(const pawl_job *job, int i)
{
    return job->write[job->merge[i]];
}

/* One array of texts for each column of both keys, and the versions. */
static void
add_source(pawl_strbuf *b, const pawl_job *job)
{
    int n = 0;

    pawl_sql_add(b, " FROM ROWS FROM (");
    for (; n < job->key->ncolumns + job->nmerge; n++)
        pawl_strbuf_addf(b, "pg_catalog.unnest($%d::text[]), ", n + 1);
    pawl_strbuf_addf(b, "pg_catalog.unnest($%d::text[])) WITH ORDINALITY AS u(", n + 1);
    for (int i = 0; i < n; i++)
        pawl_strbuf_addf(b, "pawl_k%d, ", i + 1);
    pawl_sql_add(b, "pawl_x, pawl_i)");
}

static void
add_equal(pawl_strbuf *b, const char *alias, const pawl_column *column, const char *schema, const char *name,
          int n)
{
    pawl_sql_column(b, alias, column->name);
    pawl_sql_add(b, " ");
    pawl_sql_operator(b, schema, name);
    pawl_strbuf_addf(b, " u.pawl_k%d::", n);
    pawl_sql_type(b, column->cast_name);
}

static void
add_read(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, " LEFT JOIN ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t ON t.xmin OPERATOR(pg_catalog.=) u.pawl_x::xid");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        pawl_sql_add(b, " AND ");
        add_equal(b, "t", k->column, k->op_schema, k->op_eq, i + 1);
    }
}

/* `operators`: schema and name of each merged column's equality. */
static void
add_written(pawl_strbuf *b, const pawl_job *job, const pawl_pg_result *operators)
{
    pawl_sql_add(b, job->target->kind == 'p' ? " LEFT JOIN " : " LEFT JOIN ONLY ");
    pawl_sql_ident2(b, job->target->schema, job->target->name);
    pawl_sql_add(b, " AS h ON ");
    for (int i = 0; i < job->nmerge; i++)
    {
        pawl_sql_add(b, i > 0 ? " AND " : "");
        add_equal(b, "h", merged(job, i), pawl_pg_text(operators, i, 0), pawl_pg_text(operators, i, 1),
                  job->key->ncolumns + i + 1);
    }
}

static pawl_status
find_operators(const pawl_job *job, pawl_pg *pg, pawl_pg_result **out, pawl_error *err)
{
    pawl_pg_array columns;
    pawl_status st;

    pawl_pg_array_init(&columns, PAWL_OID_TEXT);
    for (int i = 0; i < job->nmerge; i++)
        pawl_pg_array_add_bytes(&columns, merged(job, i)->name, strlen(merged(job, i)->name));

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->target->oid),
                                pawl_pg_array_arg(&columns, PAWL_OID_TEXT_ARRAY)};

    st = pawl_pg_begin(pg, NULL, err);
    if (st == PAWL_OK)
    {
        st = pawl_pg_query(pg, pawl_sql_backfill_verify_merge, 2, args, out, err);
        pawl_pg_rollback(pg);
    }
    pawl_pg_array_fini(&columns);
    if (st != PAWL_OK || pawl_pg_rows(*out) == job->nmerge)
        return st;
    return pawl_error_set(err, PAWL_E_REFUSED,
                          "\"%s.%s\" has no unique index over the columns of `merge` any more: its rows "
                          "cannot be found by them",
                          job->target->schema, job->target->name);
}

static pawl_status
check_target(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_status st;

    if (job->target->oid == 0)
        return pawl_error_set(err, PAWL_E_STATE, "there is no table \"%s\" any more", job->spec->into);
    if ((st = pawl_pg_begin(pg, NULL, err)) != PAWL_OK)
        return st;
    st = pawl_retry_check_target(job, ledger, pg, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_verify_prepare_merge(pawl_checking *run, pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena,
                          pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) operators = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_job *job = run->job;
    pawl_status st;

    if ((st = check_target(job, ledger, pg, err)) != PAWL_OK ||
        (st = find_operators(job, pg, &operators, err)) != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "SELECT t.xmin, h.xmin");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(&sql, ", ");
        pawl_sql_column(&sql, "h", job->write[i]->name);
    }
    add_source(&sql, job);
    add_read(&sql, job);
    add_written(&sql, job, operators);
    pawl_sql_add(&sql, " ORDER BY u.pawl_i");
    run->lookup = pawl_strbuf_is_ok(&sql) ? pawl_arena_strdup(arena, sql.data) : NULL;
    return run->lookup == NULL ? pawl_error_nomem(err, "a statement") : PAWL_OK;
}

/* ---- comparing ------------------------------------------------------------------------------------------------------- */

/* A row that the transform gives now. */
typedef struct made
{
    pawl_trial_row *trial;
    int row; /* of the rows read */
} made;

typedef struct merging
{
    pawl_checker *c;
    const pawl_pg_result *res;
    size_t order;
    made *list;
    int count;
} merging;

static pawl_status
add_error(const merging *m, int row, const char *into, const pawl_error *why, pawl_error *err)
{
    const pawl_finding f = {.res = m->res, .row = row, .into = into, .error = why};

    return pawl_checking_add(m->c->run, &f, m->order + (size_t) row, err);
}

/* What came of all rows, in one list; rows of which nothing can come are findings. */
static pawl_status
flatten(merging *m, int first, pawl_trial_row *rows, int count, int64_t *left, pawl_error *err)
{
    size_t total = 0;
    pawl_status st = PAWL_OK;

    for (int i = 0; i < count; i++)
        for (pawl_trial_row *t = &rows[i]; t != NULL; t = t->more)
            total++;
    if ((m->list = pawl_arena_array(m->c->arena, total, sizeof *m->list)) == NULL)
        return pawl_error_nomem(err, "the rows of a verification");
    for (int i = 0; i < count && st == PAWL_OK; i++)
    {
        *left += rows[i].outcome == PAWL_TRIAL_LEAVE ? 1 : 0;
        if (rows[i].outcome == PAWL_TRIAL_REJECT || rows[i].outcome == PAWL_TRIAL_FAIL)
            st = add_error(m, first + i, NULL, rows[i].error, err);
        for (pawl_trial_row *t = &rows[i]; t != NULL; t = t->more)
            if (t->outcome == PAWL_TRIAL_WRITE)
                m->list[m->count++] = (made){.trial = t, .row = first + i};
    }
    return st;
}

/* What the server would store; those that it would refuse are findings and leave the list. */
static pawl_status
settle(merging *m, pawl_error *err)
{
    pawl_trial_row **rows = pawl_arena_array(m->c->arena, (size_t) m->count, sizeof(pawl_trial_row *));
    int kept = 0;
    pawl_status st;

    if (rows == NULL)
        return pawl_error_nomem(err, "the rows of a verification");
    for (int i = 0; i < m->count; i++)
        rows[i] = m->list[i].trial;
    st = pawl_sample_settle(m->c->pg, m->c->run->job, rows, m->count, m->c->arena, err);
    for (int i = 0; i < m->count && st == PAWL_OK; i++)
    {
        if (m->list[i].trial->outcome == PAWL_TRIAL_WRITE)
            m->list[kept++] = m->list[i];
        else
            st = add_error(m, m->list[i].row, NULL, m->list[i].trial->error, err);
    }
    m->count = kept;
    return st;
}

/* A column that a row leaves out is written as NULL. */
static const char *
value_of(const pawl_trial_row *trial, int column)
{
    return trial->is_set[column] ? trial->values[column] : NULL;
}

static void
add_text(pawl_pg_array *array, const char *text)
{
    if (text == NULL)
        pawl_pg_array_add_null(array);
    else
        pawl_pg_array_add_bytes(array, text, strlen(text));
}

static pawl_status
look_up(const merging *m, pawl_pg_result **out, pawl_error *err)
{
    pawl_pg *pg = m->c->pg;
    const pawl_job *job = m->c->run->job;
    int n = job->key->ncolumns + job->nmerge + 1;
    pawl_pg_array *arrays = pawl_calloc((size_t) n, sizeof *arrays);
    pawl_pg_arg *args = pawl_arena_array(m->c->arena, (size_t) n, sizeof *args);
    pawl_status st = PAWL_OK;

    if (arrays == NULL || args == NULL)
    {
        pawl_free(arrays);
        return pawl_error_nomem(err, "the arguments of a statement");
    }
    for (int i = 0; i < n; i++)
        pawl_pg_array_init(&arrays[i], PAWL_OID_TEXT);
    for (int r = 0; r < m->count; r++)
    {
        for (int i = 0; i < job->key->ncolumns; i++)
            add_text(&arrays[i], pawl_pg_text(m->res, m->list[r].row, 1 + i));
        for (int i = 0; i < job->nmerge; i++)
            add_text(&arrays[job->key->ncolumns + i], value_of(m->list[r].trial, job->merge[i]));
        add_text(&arrays[n - 1], pawl_pg_text(m->res, m->list[r].row, 0));
    }
    for (int i = 0; i < n; i++)
    {
        args[i] = pawl_pg_array_arg(&arrays[i], PAWL_OID_TEXT_ARRAY);
        if (!pawl_pg_array_is_ok(&arrays[i]))
            st = pawl_error_nomem(err, "the arguments of a statement");
    }
    if (st == PAWL_OK && (st = pawl_sample_begin(pg, job, err)) == PAWL_OK)
    {
        if ((st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) == PAWL_OK)
            st = pawl_pg_query(pg, m->c->run->lookup, n, args, out, err);
        pawl_pg_rollback(pg);
    }
    for (int i = 0; i < n; i++)
        pawl_pg_array_fini(&arrays[i]);
    pawl_free(arrays);
    return st;
}

/* "(source) = (7)" */
static const char *
describe(const merging *m, const pawl_trial_row *trial)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(values);
    const pawl_job *job = m->c->run->job;

    for (int i = 0; i < job->nmerge; i++)
    {
        const char *name = merged(job, i)->name;
        const char *value = value_of(trial, job->merge[i]);

        pawl_strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", name);
        pawl_strbuf_addf(&values, "%s%.80s", i > 0 ? ", " : "",
                         pawl_job_is_redacted(job, name) ? PAWL_REDACTED
                         : value == NULL                 ? "NULL"
                                                         : value);
    }
    return pawl_arena_fmt(m->c->arena, "(%s) = (%s)", names.data, values.data);
}

static pawl_status
compare_row(const merging *m, const pawl_pg_result *found, int i, pawl_error *err)
{
    const pawl_job *job = m->c->run->job;
    const made *row = &m->list[i];
    const char **texts = pawl_arena_array(m->c->arena, 2 * (size_t) job->nwrite, sizeof(const char *));
    bool *is_different = pawl_arena_array(m->c->arena, (size_t) job->nwrite, sizeof *is_different);
    const char *into = describe(m, row->trial);
    pawl_error missing = PAWL_ERROR_INIT;
    bool any = false;

    if (texts == NULL || is_different == NULL || into == NULL)
        return pawl_error_nomem(err, "the differences of a verification");
    if (pawl_pg_is_null(found, i, 1))
    {
        (void) pawl_error_set(&missing, PAWL_E_STATE, "\"%s.%s\" has no such row", job->target->schema,
                              job->target->name);
        return add_error(m, row->row, into, &missing, err);
    }
    for (int k = 0; k < job->nwrite; k++)
    {
        bool is_key = false;

        for (int g = 0; g < job->nmerge; g++)
            is_key = is_key || job->merge[g] == k;
        texts[k] = pawl_pg_is_null(found, i, 2 + k) ? NULL : pawl_pg_text(found, i, 2 + k);
        texts[job->nwrite + k] = value_of(row->trial, k);
        is_different[k] = !is_key && (texts[k] == NULL || texts[job->nwrite + k] == NULL
                                          ? texts[k] != texts[job->nwrite + k]
                                          : strcmp(texts[k], texts[job->nwrite + k]) != 0);
        any = any || is_different[k];
    }

    const pawl_finding f = {.res = m->res,
                            .row = row->row,
                            .into = into,
                            .into_xmin = pawl_pg_text(found, i, 1),
                            .stored = texts,
                            .again = texts + job->nwrite,
                            .is_different = is_different};

    return any ? pawl_checking_add(m->c->run, &f, m->order + (size_t) row->row, err) : PAWL_OK;
}

pawl_status
pawl_checker_merge(pawl_checker *c, const pawl_pg_result *res, int first, pawl_trial_row *rows, int count,
                   size_t order, int64_t *left, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) found = NULL;
    merging m = {.c = c, .res = res, .order = order};
    int64_t moved = 0;
    pawl_status st;

    if ((st = flatten(&m, first, rows, count, left, err)) != PAWL_OK || m.count == 0 ||
        (st = settle(&m, err)) != PAWL_OK || m.count == 0)
        return st;
    PAWL_FAILPOINT("verify.before_lookup");
    if ((st = look_up(&m, &found, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < m.count && st == PAWL_OK; i++)
    {
        if (!pawl_pg_is_null(found, i, 0))
            st = compare_row(&m, found, i, err);
        else if (i == 0 || m.list[i].row != m.list[i - 1].row)
            moved++;
    }
    pawl_mutex_lock(&c->run->lock);
    pawl_checking_shared(c->run)->moved += moved;
    pawl_mutex_unlock(&c->run->lock);
    return st;
}
