#include <string.h>

#include "core/log.h"
#include "core/sqlstate.h"
#include "step/script.h"
#include "step/seed.h"

#include "util/banned.h"

/* One statement takes so much, whichever is reached first. */
#define BATCH_ROWS  1000
#define BATCH_BYTES ((size_t) 1 << 20)

#define MOST_BAD_ROWS 20

/* One application. */
typedef struct job
{
    pawl_step_run *run;
    const pawl_seed *seed;
    const pawl_table *table;
    const pawl_column **columns; /* of the rows, in their order */
    pawl_strbuf sql;             /* writes rows */
    pawl_pg_array *arrays;       /* one a column */
    pawl_pg_arg *args;
    int64_t written;
    size_t nbad;
    pawl_error bad; /* what is wrong with the first bad row */
    pawl_strbuf others;
} job;

pawl_status
pawl_kind_seed_parse(pawl_step_parse *ctx, const pawl_step_entry *entry, pawl_step *step, pawl_error *err)
{
    static const char *const keys[] = {"table", "key", "file", "rows", "delete_missing", NULL};
    pawl_seed *seed = pawl_arena_alloc(ctx->arena, sizeof *seed);
    pawl_reader r;

    if (seed == NULL)
        return pawl_error_nomem(err, "a step");
    step->data = seed;
    pawl_reader_open(&r, entry->body, "seed", keys, ctx->problems, ctx->arena);
    if (r.node == NULL)
        return PAWL_OK;
    pawl_status st = pawl_seed_read(ctx, &r, step, seed, err);
    if (st != PAWL_OK || seed->data == NULL || seed->table == NULL)
        return st;
    return pawl_step_summary(ctx, step, err, "seed %s with %zu row%s", seed->table, seed->data->nrows,
                             seed->data->nrows == 1 ? "" : "s");
}

/* ---- the statement ----------------------------------------------------------------------------------------------- */

static bool
is_key(const pawl_seed *seed, const char *column)
{
    for (size_t i = 0; i < seed->nkey; i++)
        if (strcmp(seed->key[i], column) == 0)
            return true;
    return false;
}

/* " FROM ROWS FROM (unnest($1), ...) AS u(c0, ...)" of so many arrays. */
static void
add_source(pawl_strbuf *sql, size_t count)
{
    pawl_sql_add(sql, " FROM ROWS FROM (");
    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(sql, "%spg_catalog.unnest($%zu::pg_catalog.text[])", i == 0 ? "" : ", ", i + 1);
    pawl_sql_add(sql, ") AS u(");
    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(sql, "%sc%zu", i == 0 ? "" : ", ", i);
    pawl_sql_add(sql, ")");
}

/* ROW(t.a, t.b): compared by image, because not every type has an equality and 1.0 is not written as 1.00. */
static void
add_image(pawl_strbuf *sql, const pawl_seed *seed, const char *alias)
{
    bool is_first = true;

    pawl_sql_add(sql, "ROW(");
    for (size_t i = 0; i < seed->data->ncolumns; i++)
    {
        if (is_key(seed, seed->data->columns[i]))
            continue;
        pawl_sql_add(sql, is_first ? "" : ", ");
        pawl_sql_column(sql, alias, seed->data->columns[i]);
        is_first = false;
    }
    pawl_sql_add(sql, ")");
}

static void
add_conflict(pawl_strbuf *sql, const pawl_seed *seed)
{
    bool is_first = true;

    pawl_sql_add(sql, " ON CONFLICT (");
    for (size_t i = 0; i < seed->nkey; i++)
    {
        pawl_sql_add(sql, i == 0 ? "" : ", ");
        pawl_sql_ident(sql, seed->key[i]);
    }
    if (seed->data->ncolumns == seed->nkey)
    {
        pawl_sql_add(sql, ") DO NOTHING");
        return;
    }
    pawl_sql_add(sql, ") DO UPDATE SET ");
    for (size_t i = 0; i < seed->data->ncolumns; i++)
    {
        if (is_key(seed, seed->data->columns[i]))
            continue;
        pawl_sql_add(sql, is_first ? "" : ", ");
        pawl_sql_ident(sql, seed->data->columns[i]);
        pawl_sql_add(sql, " = ");
        pawl_sql_column(sql, "EXCLUDED", seed->data->columns[i]);
        is_first = false;
    }
    pawl_sql_add(sql, " WHERE pg_catalog.record_image_ne(");
    add_image(sql, seed, "t");
    pawl_sql_add(sql, ", ");
    add_image(sql, seed, "EXCLUDED");
    pawl_sql_add(sql, ")");
}

/* The server casts; assignment then checks lengths, where a cast to varchar(3) would cut. */
static void
add_insert(job *j)
{
    const pawl_csv *data = j->seed->data;
    bool is_overriding = false;

    pawl_sql_add(&j->sql, "INSERT INTO ");
    pawl_sql_ident2(&j->sql, j->table->schema, j->table->name);
    pawl_sql_add(&j->sql, " AS t (");
    for (size_t i = 0; i < data->ncolumns; i++)
    {
        pawl_sql_add(&j->sql, i == 0 ? "" : ", ");
        pawl_sql_ident(&j->sql, data->columns[i]);
        is_overriding = is_overriding || j->columns[i]->identity == 'a';
    }
    pawl_sql_add(&j->sql, is_overriding ? ") OVERRIDING SYSTEM VALUE SELECT " : ") SELECT ");
    for (size_t i = 0; i < data->ncolumns; i++)
    {
        pawl_strbuf_addf(&j->sql, "%su.c%zu::", i == 0 ? "" : ", ", i);
        pawl_sql_type(&j->sql, j->columns[i]->cast_name);
    }
    add_source(&j->sql, data->ncolumns);
    add_conflict(&j->sql, j->seed);
}

/* ---- writing ----------------------------------------------------------------------------------------------------- */

/* Rows [from, to) as one array a column. */
static pawl_status
fill(job *j, size_t from, size_t to, pawl_error *err)
{
    for (size_t c = 0; c < j->seed->data->ncolumns; c++)
    {
        pawl_pg_array_reset(&j->arrays[c]);
        for (size_t i = from; i < to; i++)
        {
            const char *value = j->seed->data->rows[i].values[c];
            if (value == NULL)
                pawl_pg_array_add_null(&j->arrays[c]);
            else
                pawl_pg_array_add_bytes(&j->arrays[c], value, strlen(value));
        }
        if (!pawl_pg_array_is_ok(&j->arrays[c]))
            return pawl_error_nomem(err, "the rows of a seed");
        j->args[c] = pawl_pg_array_arg(&j->arrays[c], PAWL_OID_TEXT_ARRAY);
    }
    return PAWL_OK;
}

static pawl_status
write_rows(job *j, size_t from, size_t to, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = fill(j, from, to, err);

    if (st == PAWL_OK)
        st = pawl_pg_query(j->run->pg, j->sql.data, (int) j->seed->data->ncolumns, j->args, &res, err);
    if (st == PAWL_OK)
        j->written += pawl_pg_affected(res);
    return st;
}

static void
note_bad_row(job *j, size_t row, const pawl_error *why)
{
    int line = j->seed->data->rows[row].line;

    if (j->nbad++ > 0)
    {
        pawl_strbuf_addf(&j->others, "%sline %d: %s", j->others.length == 0 ? "" : "; ", line, why->message);
        return;
    }
    j->bad = *why;
    j->bad.code = PAWL_E_INPUT;
    pawl_error_place(&j->bad, j->seed->source, line, 0);
}

static bool
is_fault_of_row(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    return err->code == PAWL_E_SERVER && (fault == PAWL_FAULT_ROW || fault == PAWL_FAULT_READ);
}

/* The halves of what failed go in alone, down to the rows that are at fault: [from, to) pairs that are still to do. */
typedef struct span
{
    size_t from;
    size_t to;
} span;

#define MOST_SPANS 64

static pawl_status
try_span(job *j, span s, pawl_error *err)
{
    pawl_error undone = PAWL_ERROR_INIT;
    pawl_status st = pawl_pg_exec(j->run->pg, "SAVEPOINT pawl_seed", err);

    if (st != PAWL_OK)
        return st;
    st = write_rows(j, s.from, s.to, err);
    if (st != PAWL_OK && !is_fault_of_row(err))
        return st;
    if (pawl_pg_exec(j->run->pg,
                     st == PAWL_OK ? "RELEASE SAVEPOINT pawl_seed" : "ROLLBACK TO SAVEPOINT pawl_seed",
                     &undone) == PAWL_OK)
        return st;
    *err = undone;
    return err->code;
}

/* Rows [from, to), and if they fail which of them. What is wrong with rows is collected, not returned. */
static pawl_status
write_batch(job *j, size_t from, size_t to, pawl_error *err)
{
    span spans[MOST_SPANS] = {{from, to}};
    size_t n = 1;
    size_t before = j->nbad;
    pawl_error why = PAWL_ERROR_INIT;
    pawl_error first = PAWL_ERROR_INIT;

    while (n > 0 && j->nbad < MOST_BAD_ROWS)
    {
        span s = spans[--n];
        pawl_status st = try_span(j, s, &why);

        if (st == PAWL_OK)
            continue;
        if (!is_fault_of_row(&why))
        {
            *err = why;
            return st;
        }
        if (first.code == PAWL_OK)
            first = why;
        size_t middle = s.from + (s.to - s.from) / 2;
        if (s.to - s.from == 1)
        {
            note_bad_row(j, s.from, &why);
            continue;
        }
        spans[n++] = (span){middle, s.to};
        spans[n++] = (span){s.from, middle};
    }
    if (first.code == PAWL_OK || j->nbad > before)
        return PAWL_OK;

    /* Each row alone goes in: two of them are one row to the server ('a' and 'A' in a case-insensitive column). */
    *err = first;
    err->code = PAWL_E_INPUT;
    pawl_error_place(err, j->seed->source, j->seed->data->rows[from].line, 0);
    return pawl_error_hint(
        err, "two rows between this line and line %d have what the server takes for the same key",
        j->seed->data->rows[to - 1].line);
}

static size_t
row_bytes(const pawl_csv *data, size_t row)
{
    size_t bytes = 0;

    for (size_t c = 0; c < data->ncolumns; c++)
        bytes += data->rows[row].values[c] == NULL ? 4 : strlen(data->rows[row].values[c]) + 4;
    return bytes;
}

static pawl_status
write_all(job *j, pawl_error *err)
{
    const pawl_csv *data = j->seed->data;
    pawl_status st = PAWL_OK;

    for (size_t from = 0; from < data->nrows && st == PAWL_OK && j->nbad < MOST_BAD_ROWS;)
    {
        size_t to = from;
        for (size_t bytes = 0; to < data->nrows && to - from < BATCH_ROWS && bytes < BATCH_BYTES; to++)
            bytes += row_bytes(data, to);
        st = write_batch(j, from, to, err);
        from = to;
    }
    if (st != PAWL_OK || j->nbad == 0)
        return st;
    *err = j->bad;
    if (j->others.length > 0)
        pawl_error_detail(err, "%zu rows are wrong%s; %s", j->nbad,
                          j->nbad == MOST_BAD_ROWS ? ", and there may be more" : "", j->others.data);
    return err->code;
}

/* ---- rows that are in the table alone ---------------------------------------------------------------------------- */

static pawl_status
delete_missing(job *j, int64_t *deleted, pawl_error *err)
{
    const pawl_seed *seed = j->seed;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = fill(j, 0, seed->data->nrows, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DELETE FROM ");
    pawl_sql_ident2(&sql, j->table->schema, j->table->name);
    pawl_sql_add(&sql, " AS t WHERE NOT EXISTS (SELECT");
    add_source(&sql, seed->nkey);
    pawl_sql_add(&sql, " WHERE ");
    for (size_t i = 0; i < seed->nkey; i++)
    {
        size_t c = pawl_seed_column(seed, seed->key[i]);
        pawl_sql_add(&sql, i == 0 ? "" : " AND ");
        pawl_sql_column(&sql, "t", seed->key[i]);
        pawl_strbuf_addf(&sql, " = u.c%zu::", i);
        pawl_sql_type(&sql, j->columns[c]->cast_name);
    }
    pawl_sql_add(&sql, ")");
    pawl_pg_arg *keys = pawl_arena_array(j->run->arena, seed->nkey, sizeof *keys);
    if (keys == NULL || !pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    for (size_t i = 0; i < seed->nkey; i++)
        keys[i] = j->args[pawl_seed_column(seed, seed->key[i])];
    st = pawl_pg_query(j->run->pg, sql.data, (int) seed->nkey, keys, &res, err);
    if (st == PAWL_OK)
        *deleted = pawl_pg_affected(res);
    return st;
}

/* ---- applying ---------------------------------------------------------------------------------------------------- */

static pawl_status
find_columns(job *j, pawl_error *err)
{
    const pawl_csv *data = j->seed->data;
    pawl_table *t = NULL;
    pawl_status st = PAWL_OK;

    j->columns = pawl_arena_array(j->run->arena, data->ncolumns, sizeof(pawl_column *));
    j->arrays = pawl_arena_array(j->run->arena, data->ncolumns, sizeof *j->arrays);
    j->args = pawl_arena_array(j->run->arena, data->ncolumns, sizeof *j->args);
    if (j->columns == NULL || j->arrays == NULL || j->args == NULL)
        return pawl_error_nomem(err, "the columns of a seed");
    for (size_t i = 0; i < data->ncolumns; i++)
        pawl_pg_array_init(&j->arrays[i], PAWL_OID_TEXT);
    for (size_t i = 0; i < data->ncolumns && st == PAWL_OK; i++)
        st = pawl_step_column(j->run, j->seed->table, data->columns[i], &t, &j->columns[i], err);
    j->table = t;
    return st;
}

static void
report(const job *j, int64_t deleted)
{
    pawl_log_text(j->run->sink, PAWL_EVENT_INFO, "%s: %zu rows given, %lld written, %lld deleted",
                  j->seed->table, j->seed->data->nrows, (long long) j->written, (long long) deleted);
}

static pawl_status
apply(job *j, pawl_error *err)
{
    int64_t deleted = 0;
    pawl_status st = find_columns(j, err);

    if (st != PAWL_OK)
        return st;
    add_insert(j);
    if (!pawl_strbuf_is_ok(&j->sql))
        return pawl_error_nomem(err, "a statement");
    st = write_all(j, err);
    if (st == PAWL_E_SERVER && strcmp(err->sqlstate, "42P10") == 0)
        return pawl_error_hint(err, "`key` must name exactly the columns of a unique index of \"%s\"",
                               j->seed->table);
    if (st == PAWL_OK && j->seed->deletes_missing)
        st = delete_missing(j, &deleted, err);
    if (st == PAWL_OK)
        report(j, deleted);
    return st;
}

pawl_status
pawl_kind_seed_apply(pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    job j = {.run = run,
             .seed = step->data,
             .sql = PAWL_STRBUF_INIT,
             .others = PAWL_STRBUF_INIT,
             .bad = PAWL_ERROR_INIT};
    pawl_status st = j.seed->data->nrows == 0 ? PAWL_OK : apply(&j, err);

    for (size_t i = 0; j.arrays != NULL && i < j.seed->data->ncolumns; i++)
        pawl_pg_array_fini(&j.arrays[i]);
    pawl_strbuf_fini(&j.sql);
    pawl_strbuf_fini(&j.others);
    return st;
}

/* ---- as a script ------------------------------------------------------------------------------------------------- */

static void
add_row(pawl_strbuf *out, const pawl_csv *data, size_t row)
{
    pawl_sql_add(out, "(");
    for (size_t c = 0; c < data->ncolumns; c++)
    {
        pawl_sql_add(out, c == 0 ? "" : ", ");
        pawl_sql_literal(out, data->rows[row].values[c]);
    }
    pawl_sql_add(out, ")");
}

/* Literals without a type take that of their column. */
static void
print_insert(const pawl_step_script *s, const pawl_seed *seed, const char *table, size_t from, size_t to)
{
    pawl_script_add(s, "INSERT INTO %s AS t (", table);
    for (size_t c = 0; c < seed->data->ncolumns; c++)
    {
        pawl_sql_add(s->out, c == 0 ? "" : ", ");
        pawl_sql_ident(s->out, seed->data->columns[c]);
    }
    pawl_sql_add(s->out, ") OVERRIDING SYSTEM VALUE VALUES");
    for (size_t i = from; i < to; i++)
    {
        pawl_sql_add(s->out, i == from ? "\n    " : ",\n    ");
        add_row(s->out, seed->data, i);
    }
    pawl_sql_add(s->out, "\n");
    add_conflict(s->out, seed);
    pawl_sql_add(s->out, ";\n");
}

static void
print_delete(const pawl_step_script *s, const pawl_seed *seed, const char *table)
{
    pawl_script_add(s, "DELETE FROM %s AS t WHERE (", table);
    for (size_t k = 0; k < seed->nkey; k++)
    {
        pawl_sql_add(s->out, k == 0 ? "" : ", ");
        pawl_sql_column(s->out, "t", seed->key[k]);
    }
    pawl_sql_add(s->out, ") NOT IN (");
    for (size_t i = 0; i < seed->data->nrows; i++)
    {
        pawl_sql_add(s->out, i == 0 ? "\n    (" : ",\n    (");
        for (size_t k = 0; k < seed->nkey; k++)
        {
            pawl_sql_add(s->out, k == 0 ? "" : ", ");
            pawl_sql_literal(s->out, seed->data->rows[i].values[pawl_seed_column(seed, seed->key[k])]);
        }
        pawl_sql_add(s->out, ")");
    }
    pawl_sql_add(s->out, ");\n");
}

pawl_status
pawl_kind_seed_script(const pawl_step_script *s, const pawl_step *step, bool is_back PAWL_UNUSED,
                      pawl_error *err)
{
    const pawl_seed *seed = step->data;
    const char *table = NULL;
    pawl_status st = pawl_script_table(s, seed->table, &table, err);

    if (st != PAWL_OK)
        return st;
    for (size_t from = 0; from < seed->data->nrows; from += BATCH_ROWS)
    {
        size_t left = seed->data->nrows - from;
        print_insert(s, seed, table, from, from + (left < BATCH_ROWS ? left : BATCH_ROWS));
    }
    if (seed->deletes_missing)
        print_delete(s, seed, table);
    return PAWL_OK;
}
