#include "backfill/sample.h"

#include <ctype.h>
#include <string.h>

#include "backfill/stmt.h"
#include "core/sqlstate.h"

#include "util/banned.h"

#define SMALL_TABLE (INT64_C(64) << 20) /* bytes: reading all of it to choose rows costs little */
#define PAGE_ROWS   50                  /* a guess, for tables without statistics */
#define PAGE_BYTES  8192

/* ---- what is read -------------------------------------------------------------------------------------------------- */

static int
place_of(const pawl_job *job, const pawl_column *column, int nread)
{
    for (int i = 0; i < nread; i++)
        if (job->read[i] == column)
            return 1 + job->key->ncolumns + i;
    return -1;
}

pawl_status
pawl_sample_widen(pawl_job *job, pawl_sample_shape *out, pawl_error *err)
{
    size_t nwrite = (size_t) job->nwrite;
    const pawl_column **read =
        pawl_arena_array(job->arena, (size_t) job->nread + nwrite, sizeof(const pawl_column *));
    int *places = pawl_arena_array(job->arena, 2 * nwrite, sizeof *places);
    int nread = job->nread;

    if (read == NULL || places == NULL)
        return pawl_error_nomem(err, "the columns of a sample");
    for (int i = 0; i < nread; i++)
        read[i] = job->read[i];
    for (int i = 0; i < job->nwrite; i++)
    {
        places[i] = place_of(job, job->write[i], job->nread);
        if (places[i] >= 0)
            continue;
        places[i] = 1 + job->key->ncolumns + nread;
        read[nread++] = job->write[i];
    }
    for (int i = 0; i < job->nwrite; i++)
        places[job->nwrite + i] = job->spec->lua_file == NULL ? 1 + job->key->ncolumns + nread + i : -1;
    job->read = read;
    job->nread = nread;
    *out = (pawl_sample_shape){.stored = places, .computed = places + job->nwrite};
    return PAWL_OK;
}

pawl_status
pawl_sample_begin(pawl_pg *pg, const pawl_job *job, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", job->env->search_path);

    const pawl_pg_pins pins = {.search_path = path.data, .lock_timeout_ms = job->env->lock_timeout_ms};

    if (!pawl_strbuf_is_ok(&path))
        return pawl_error_nomem(err, "a search_path");
    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = pawl_pg_exec(pg, "SET TRANSACTION READ ONLY", err);
    if (st != PAWL_OK)
        pawl_pg_rollback(pg);
    return st;
}

static bool
has_promised(const pawl_job *job)
{
    for (int i = 0; i < job->table->ncolumns; i++)
        if (job->table->columns[i].number == 0)
            return true;
    return false;
}

/* TABLESAMPLE (percent): whole pages of a large table, single rows of a small one. */
static void
add_spread(pawl_strbuf *b, const pawl_job *job, int64_t limit)
{
    const pawl_table *t = job->table;
    int64_t rows = t->rows_estimate > 0 ? t->rows_estimate : t->total_bytes / PAGE_BYTES * PAGE_ROWS;
    double percent = rows > limit ? 100.0 * (double) limit / (double) rows : 100.0;

    if (percent >= 100.0)
        return;
    /* Digits that a computer makes, no value of anybody's. */
    pawl_strbuf_addf(b, " TABLESAMPLE %s (%.6f)",
                     t->total_bytes > SMALL_TABLE ? "pg_catalog.system" : "pg_catalog.bernoulli",
                     percent < 0.000001 ? 0.000001 : percent);
}

static const pawl_backfill_promise *
promise_of(const pawl_job *job, const char *column)
{
    for (size_t i = 0; i < job->spec->npromised; i++)
        if (strcmp(job->spec->promised[i].column, column) == 0)
            return &job->spec->promised[i];
    return NULL;
}

/* The table as t; columns that are not there yet as what they will be before the backfill. */
static void
add_from(pawl_strbuf *b, const pawl_job *job, int64_t spread)
{
    bool is_wrapped = has_promised(job);

    pawl_sql_add(b, is_wrapped ? " FROM (SELECT s.*, s.xmin" : " FROM ONLY ");
    for (int i = 0; is_wrapped && i < job->table->ncolumns; i++)
    {
        const pawl_column *c = &job->table->columns[i];
        const pawl_backfill_promise *promise = c->number == 0 ? promise_of(job, c->name) : NULL;

        if (c->number != 0)
            continue;
        pawl_sql_add(b, ", ");
        if (promise != NULL && promise->expression != NULL)
            pawl_sql_fragment(b, promise->expression);
        else
            pawl_sql_add(b, "NULL");
        pawl_sql_add(b, "::");
        pawl_sql_type(b, c->type == PAWL_LUA_ANY ? "text" : c->type_name);
        pawl_sql_add(b, " AS ");
        pawl_sql_ident(b, c->name);
    }
    if (is_wrapped)
        pawl_sql_add(b, " FROM ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, is_wrapped ? " AS s" : " AS t");
    if (spread > 0)
        add_spread(b, job, spread);
    if (is_wrapped)
        pawl_sql_add(b, ") AS t");
}

static void
add_columns(pawl_strbuf *b, const pawl_job *job, bool with_expressions)
{
    pawl_sql_add(b, "SELECT t.xmin");
    for (int i = 0; i < job->key->ncolumns + job->nread; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_column(b, "t",
                        i < job->key->ncolumns ? job->key->columns[i].column->name
                                               : job->read[i - job->key->ncolumns]->name);
    }
    for (int i = 0; with_expressions && i < job->nwrite; i++)
    {
        pawl_sql_add(b, ", ");
        pawl_sql_fragment(b, job->spec->set[i].expression);
        pawl_sql_add(b, "::");
        pawl_sql_type(b, job->write[i]->type == PAWL_LUA_ANY ? "text" : job->write[i]->type_name);
    }
}

static int
add_key_test(pawl_strbuf *b, const pawl_job *job, const char *op_of_first, int param)
{
    int n = job->key->ncolumns;

    /* A row comparison goes by the operator's name in the schema of the first. */
    pawl_sql_add(b, "(");
    for (int i = 0; i < n; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
    }
    pawl_sql_add(b, ") ");
    pawl_sql_operator(b, job->key->columns[0].op_schema, op_of_first);
    pawl_sql_add(b, " (");
    for (int i = 0; i < n; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_param(b, param + i);
        pawl_sql_add(b, "::");
        pawl_sql_type(b, job->key->columns[i].column->cast_name);
    }
    pawl_sql_add(b, ")");
    return param + n;
}

static void
add_where(pawl_strbuf *b, const pawl_job *job)
{
    if (job->spec->where == NULL)
        return;
    pawl_sql_add(b, " AND ");
    pawl_sql_fragment(b, job->spec->where);
}

static void
add_order(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, " ORDER BY ");
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_column(b, "t", job->key->columns[i].column->name);
    }
    pawl_sql_add(b, " LIMIT ");
}

pawl_status
pawl_sample_read(pawl_pg *pg, const pawl_job *job, const pawl_sample_which *which, pawl_pg_result **out,
                 pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_key_column *first = &job->key->columns[0];
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char limit[24];
    int n = 0;
    pawl_status st;

    add_columns(&sql, job, which->with_expressions);
    add_from(&sql, job, which->is_spread ? which->limit : 0);
    pawl_sql_add(&sql, " WHERE true");
    if (which->key != NULL)
    {
        pawl_sql_add(&sql, " AND ");
        (void) add_key_test(&sql, job, first->op_eq, n + 1);
        n = pawl_keyval_args(which->key, args, n);
    }
    if (which->upto != NULL && which->upto->is_set)
    {
        pawl_sql_add(&sql, " AND ");
        (void) add_key_test(&sql, job, first->op_le, n + 1);
        n = pawl_keyval_args(which->upto, args, n);
    }
    /* A row that was named is shown also when the backfill would pass it over. */
    if (which->key == NULL)
        add_where(&sql, job);
    add_order(&sql, job);
    args[n++] = pawl_arg_i64(which->is_spread ? 4 * which->limit : which->limit, limit);
    pawl_sql_param(&sql, n);
    pawl_sql_add(&sql, "::bigint");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");

    if ((st = pawl_sample_begin(pg, job, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, sql.data, n, args, out, err);
    pawl_pg_rollback(pg);
    return st;
}

void
pawl_sample_range(pawl_strbuf *b, const pawl_job *job, bool has_lower)
{
    const pawl_key_column *first = &job->key->columns[0];
    int param = 1;

    pawl_strbuf_reset(b);
    add_columns(b, job, job->spec->lua_file == NULL);
    add_from(b, job, 0);
    pawl_sql_add(b, " WHERE ");
    if (has_lower)
    {
        param = add_key_test(b, job, first->op_gt, param);
        pawl_sql_add(b, " AND ");
    }
    param = add_key_test(b, job, first->op_le, param);
    add_where(b, job);
    add_order(b, job);
    pawl_sql_param(b, param);
    pawl_sql_add(b, "::bigint");
}

/* ---- what the server would make of values -------------------------------------------------------------------------- */

/* Types whose length is kept by an explicit cast just as by an assignment. Casts of the others cut silently. */
static bool
has_honest_cast(const pawl_column *c)
{
    static const uint32_t types[] = {1700 /* numeric */,   1083 /* time */,        1266 /* timetz */,
                                     1114 /* timestamp */, 1184 /* timestamptz */, 1186 /* interval */};

    if (c->base_type == PAWL_OID_JSON || c->base_type == PAWL_OID_JSONB)
        return true;
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (c->type == types[i])
            return true;
    return false;
}

/* u.pawl_vN as an assignment to the column would store it. Where a cast would not do, the type's input function is
 * called with the length: that is how json_to_record fills a column of this type. */
static void
add_stored(pawl_strbuf *b, const pawl_column *c, int n)
{
    if (strcmp(c->type_name, c->cast_name) == 0 || has_honest_cast(c))
    {
        pawl_strbuf_addf(b, "u.pawl_v%d::", n);
        pawl_sql_type(b, c->type_name);
        return;
    }
    pawl_strbuf_addf(
        b,
        "(SELECT r.v FROM pg_catalog.json_to_record(pg_catalog.json_build_object('v', u.pawl_v%d))"
        " AS r(v ",
        n);
    pawl_sql_type(b, c->type_name);
    pawl_sql_add(b, "))");
}

/* SELECT the stored form of all columns FROM arrays, in order. */
static void
add_settle(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "SELECT ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        if (job->write[i]->type == PAWL_LUA_ANY)
            pawl_strbuf_addf(b, "u.pawl_v%d", i + 1);
        else
            add_stored(b, job->write[i], i + 1);
    }
    pawl_sql_add(b, " FROM ROWS FROM (");
    for (int i = 0; i < job->nwrite; i++)
        pawl_strbuf_addf(b, "%spg_catalog.unnest($%d::text[])", i > 0 ? ", " : "", i + 1);
    pawl_sql_add(b, ") WITH ORDINALITY AS u(");
    for (int i = 0; i < job->nwrite; i++)
        pawl_strbuf_addf(b, "pawl_v%d, ", i + 1);
    pawl_sql_add(b, "pawl_i) ORDER BY u.pawl_i");
}

typedef struct settling
{
    pawl_pg *pg;
    const pawl_job *job;
    pawl_arena *arena;
    const char *sql;
    pawl_pg_array *arrays; /* nwrite */
    pawl_pg_arg *args;
} settling;

static void
fill_arrays(settling *s, pawl_trial_row **rows, int count)
{
    for (int i = 0; i < s->job->nwrite; i++)
    {
        pawl_pg_array_reset(&s->arrays[i]);
        for (int r = 0; r < count; r++)
        {
            const char *text = rows[r]->is_set[i] ? rows[r]->values[i] : NULL;

            if (text == NULL)
                pawl_pg_array_add_null(&s->arrays[i]);
            else
                pawl_pg_array_add_bytes(&s->arrays[i], text, strlen(text));
        }
        s->args[i] = pawl_pg_array_arg(&s->arrays[i], PAWL_OID_TEXT_ARRAY);
    }
}

static pawl_status
take_stored(const settling *s, const pawl_pg_result *res, pawl_trial_row **rows, int count, pawl_error *err)
{
    for (int r = 0; r < count; r++)
    {
        for (int i = 0; i < s->job->nwrite; i++)
        {
            if (!rows[r]->is_set[i] || rows[r]->values[i] == NULL || pawl_pg_is_null(res, r, i))
                continue;
            rows[r]->values[i] = pawl_arena_strdup(s->arena, pawl_pg_text(res, r, i));
            if (rows[r]->values[i] == NULL)
                return pawl_error_nomem(err, "the values of a sample");
        }
    }
    return PAWL_OK;
}

/* The values of a row that the server refuses, in the failure. */
static pawl_status
keep_refusal(const settling *s, pawl_trial_row *row, const pawl_error *failure, pawl_error *err)
{
    row->error = pawl_arena_alloc(s->arena, sizeof *row->error);
    if (row->error == NULL)
        return pawl_error_nomem(err, "the outcome of a row");
    *row->error = *failure;
    row->outcome = PAWL_TRIAL_FAIL;
    if (row->error->file[0] == '\0' && s->job->spec->lua_file != NULL)
        (void) pawl_error_place(row->error, s->job->spec->lua_file, 0, 0);
    (void) pawl_error_prefix(row->error, "the server would refuse it");
    return PAWL_OK;
}

static pawl_status
settle_once(settling *s, pawl_trial_row **rows, int count, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_sample_begin(s->pg, s->job, err);

    if (st != PAWL_OK)
        return st;
    fill_arrays(s, rows, count);
    for (int i = 0; i < s->job->nwrite && st == PAWL_OK; i++)
        if (!pawl_pg_array_is_ok(&s->arrays[i]))
            st = pawl_error_nomem(err, "the values of a sample");
    if (st == PAWL_OK)
        st = pawl_pg_query(s->pg, s->sql, s->job->nwrite, s->args, &res, err);
    pawl_pg_rollback(s->pg);
    return st == PAWL_OK ? take_stored(s, res, rows, count, err) : st;
}

/* All at once; when a row is at fault, halves, down to the row. */
static pawl_status
settle(settling *s, pawl_trial_row **rows, int count, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = settle_once(s, rows, count, &failure);
    pawl_fault fault;

    if (st == PAWL_OK)
        return PAWL_OK;
    fault = st == PAWL_E_SERVER ? pawl_fault_of(&failure) : PAWL_FAULT_STOP;
    if (fault != PAWL_FAULT_ROW && fault != PAWL_FAULT_READ)
    {
        *err = failure;
        return st;
    }
    if (count == 1)
        return keep_refusal(s, rows[0], &failure, err);
    if ((st = settle(s, rows, count / 2, err)) != PAWL_OK)
        return st;
    return settle(s, rows + count / 2, count - count / 2, err);
}

pawl_status
pawl_sample_settle(pawl_pg *pg, const pawl_job *job, pawl_trial_row **rows, int count, pawl_arena *arena,
                   pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    size_t nwrite = (size_t) job->nwrite;
    settling s = {.pg = pg, .job = job, .arena = arena};
    pawl_status st;

    if (count == 0)
        return PAWL_OK;
    add_settle(&sql, job);
    s.arrays = pawl_arena_array(arena, nwrite, sizeof *s.arrays);
    s.args = pawl_arena_array(arena, nwrite, sizeof *s.args);
    if (s.arrays == NULL || s.args == NULL || !pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "the values of a sample");
    s.sql = sql.data;
    for (size_t i = 0; i < nwrite; i++)
        pawl_pg_array_init(&s.arrays[i], PAWL_OID_TEXT);
    st = settle(&s, rows, count, err);
    for (size_t i = 0; i < nwrite; i++)
        pawl_pg_array_fini(&s.arrays[i]);
    return st;
}

/* ---- SQL that names a column --------------------------------------------------------------------------------------- */

static bool
is_word(char c)
{
    return isalnum((unsigned char) c) || c == '_' || c == '$' || (unsigned char) c >= 0x80;
}

static bool
is_same_word(const char *sql, const char *name, size_t length)
{
    for (size_t i = 0; i < length; i++)
        if (tolower((unsigned char) sql[i]) != tolower((unsigned char) name[i]))
            return false;
    return true;
}

bool
pawl_sample_has_name(const char *sql, const char *column)
{
    size_t length = strlen(column);

    for (const char *at = sql; at != NULL && strlen(at) >= length; at++)
        if ((at == sql || !is_word(at[-1])) && is_same_word(at, column, length) && !is_word(at[length]))
            return true;
    return false;
}
