#include "online/nulling.h"

#include <string.h>

#include "backfill/reject.h"
#include "pawl_sql.h"
#include "pg/copy.h"
#include "util/alloc.h"
#include "util/failpoint.h"
#include "util/vec.h"

#include "util/banned.h"

/* A row as it is kept. */
typedef struct kept_row
{
    size_t at; /* in the bytes */
    size_t made_at;
    size_t end;
    size_t read_at; /* in `read`: of each value its length (-1: NULL) and its bytes */
    bool is_refused;
} kept_row;

struct pawl_nulling
{
    const pawl_shape *shape;
    int64_t job;
    pawl_strbuf bytes;
    pawl_strbuf read;
    kept_row *rows;
    size_t nrows;
    size_t capacity;
    pawl_strbuf range; /* what one COPY takes */
    int64_t refused;
    pawl_pg_array names;
    pawl_pg_array keys;
    pawl_pg_array values;
    pawl_pg_array sqlstates;
    pawl_pg_array messages;
};

pawl_status
pawl_nulling_open(const pawl_shape *shape, int64_t job, pawl_nulling **out, pawl_error *err)
{
    pawl_nulling *n = pawl_calloc(1, sizeof *n);

    if (n == NULL)
        return pawl_error_nomem(err, "rows to be copied");
    n->shape = shape;
    n->job = job;
    pawl_strbuf_init(&n->bytes);
    pawl_strbuf_init(&n->read);
    pawl_strbuf_init(&n->range);
    pawl_pg_array_init(&n->names, PAWL_OID_TEXT);
    pawl_pg_array_init(&n->keys, PAWL_OID_TEXT);
    pawl_pg_array_init(&n->values, PAWL_OID_TEXT);
    pawl_pg_array_init(&n->sqlstates, PAWL_OID_TEXT);
    pawl_pg_array_init(&n->messages, PAWL_OID_TEXT);
    for (size_t i = 0; i < shape->nlua_read; i++)
        pawl_pg_array_add_bytes(&n->names, shape->lua_read[i]->name, strlen(shape->lua_read[i]->name));
    *out = n;
    return PAWL_OK;
}

void
pawl_nulling_close(pawl_nulling *n)
{
    if (n == NULL)
        return;
    pawl_strbuf_fini(&n->bytes);
    pawl_strbuf_fini(&n->read);
    pawl_strbuf_fini(&n->range);
    pawl_pg_array_fini(&n->names);
    pawl_pg_array_fini(&n->keys);
    pawl_pg_array_fini(&n->values);
    pawl_pg_array_fini(&n->sqlstates);
    pawl_pg_array_fini(&n->messages);
    pawl_free(n->rows);
    pawl_free(n);
}

void
pawl_nulling_reset(pawl_nulling *n)
{
    pawl_strbuf_reset(&n->bytes);
    pawl_strbuf_reset(&n->read);
    pawl_pg_array_reset(&n->keys);
    pawl_pg_array_reset(&n->values);
    pawl_pg_array_reset(&n->sqlstates);
    pawl_pg_array_reset(&n->messages);
    n->nrows = 0;
    n->refused = 0;
}

pawl_strbuf *
pawl_nulling_bytes(pawl_nulling *n)
{
    return &n->bytes;
}

int64_t
pawl_nulling_refused(const pawl_nulling *n)
{
    return n->refused;
}

/* ---- rows ----------------------------------------------------------------------------------------------------------- */

static void
add_nulls(const pawl_shape *s, pawl_strbuf *b)
{
    for (size_t i = 0; i < s->nmade; i++)
        if (s->is_binary)
            pawl_encode_i32(b, -1);
        else
            pawl_copy_text_value(b, s->nsent + i == 0, NULL, 0);
    if (!s->is_binary)
        pawl_copy_text_end(b);
}

/* Key and input of a row, and why it is refused. */
static void
refuse(pawl_nulling *n, kept_row *row, const pawl_error *why)
{
    char text[sizeof why->message + sizeof why->detail + sizeof why->file + 40];
    size_t at = row->read_at;

    for (size_t i = 0; i < n->shape->nlua_read; i++)
    {
        int32_t length = pawl_decode_i32(n->read.data + at);
        bool is_key = i < (size_t) n->shape->key->ncolumns;

        at += 4;
        if (length < 0)
            pawl_pg_array_add_null(&n->values);
        else
            pawl_pg_array_add_bytes(&n->values, n->read.data + at, (size_t) length);
        if (is_key && length >= 0)
            pawl_pg_array_add_bytes(&n->keys, n->read.data + at, (size_t) length);
        at += length < 0 ? 0 : (size_t) length;
    }
    pawl_reject_text(why, text, sizeof text);
    pawl_pg_array_add_bytes(&n->sqlstates, why->sqlstate, strlen(why->sqlstate));
    pawl_pg_array_add_bytes(&n->messages, text, strlen(text));
    row->is_refused = true;
    n->refused++;
}

static pawl_status
make_room(pawl_nulling *n, pawl_error *err)
{
    size_t capacity = n->capacity == 0 ? 1024 : n->capacity * 2;
    kept_row *grown;

    if (n->nrows < n->capacity)
        return PAWL_OK;
    if ((grown = pawl_realloc(n->rows, capacity, sizeof *grown)) == NULL)
        return pawl_error_nomem(err, "rows to be copied");
    n->rows = grown;
    n->capacity = capacity;
    return PAWL_OK;
}

static void
keep_read(pawl_nulling *n, const pawl_lua_value *read)
{
    for (size_t i = 0; i < n->shape->nlua_read; i++)
    {
        pawl_encode_i32(&n->read, read[i].data == NULL ? -1 : (int32_t) read[i].length);
        if (read[i].data != NULL)
            pawl_strbuf_addn(&n->read, read[i].data, read[i].length);
    }
}

pawl_status
pawl_nulling_add(pawl_nulling *n, size_t at, size_t made_at, const pawl_lua_value *read,
                 const pawl_error *why, pawl_error *err)
{
    pawl_status st = make_room(n, err);
    kept_row *row;

    if (st != PAWL_OK)
        return st;
    row = &n->rows[n->nrows++];
    *row = (kept_row){.at = at, .made_at = made_at, .read_at = n->read.length};
    keep_read(n, read);
    if (!pawl_strbuf_is_ok(&n->read) || !pawl_strbuf_is_ok(&n->bytes))
        return pawl_error_nomem(err, "rows to be copied");
    if (why != NULL)
    {
        pawl_strbuf_truncate(&n->bytes, made_at);
        add_nulls(n->shape, &n->bytes);
        refuse(n, row, why);
    }
    row->end = n->bytes.length;
    return PAWL_OK;
}

/* ---- the COPY ------------------------------------------------------------------------------------------------------- */

/* Rows from..to, those that were refused with NULL. */
static pawl_status
fill_range(pawl_nulling *n, size_t from, size_t to, pawl_error *err)
{
    pawl_strbuf_reset(&n->range);
    if (n->shape->is_binary)
        pawl_encode_head(&n->range);
    for (size_t i = from; i < to; i++)
    {
        const kept_row *row = &n->rows[i];

        pawl_strbuf_addn(&n->range, n->bytes.data + row->at,
                         (row->is_refused ? row->made_at : row->end) - row->at);
        if (row->is_refused)
            add_nulls(n->shape, &n->range);
    }
    if (n->shape->is_binary)
        pawl_encode_i16(&n->range, PAWL_COPY_TRAILER);
    return pawl_strbuf_is_ok(&n->range) ? PAWL_OK : pawl_error_nomem(err, "rows to be copied");
}

static pawl_status
copy_range(pawl_nulling *n, pawl_pg *pg, size_t from, size_t to, int64_t *written, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    int64_t rows = 0;
    pawl_status st = fill_range(n, from, to, err);

    pawl_shape_copy_in(&sql, n->shape);
    if (st == PAWL_OK && !pawl_strbuf_is_ok(&sql))
        st = pawl_error_nomem(err, "a statement");
    if (st != PAWL_OK || (st = pawl_pg_copy_begin(pg, sql.data, err)) != PAWL_OK ||
        (st = pawl_pg_copy_put(pg, n->range.data, n->range.length, err)) != PAWL_OK ||
        (st = pawl_pg_copy_end(pg, &rows, err)) != PAWL_OK)
        return st;
    *written += rows;
    return PAWL_OK;
}

/* *failure: why the server refuses one of these rows; its code is PAWL_OK when they are in. */
static pawl_status
try_range(pawl_nulling *n, pawl_pg *pg, size_t from, size_t to, int64_t *written, pawl_error *failure,
          pawl_error *err)
{
    pawl_status st = pawl_pg_exec(pg, "SAVEPOINT pawl_nulling", err);

    if (st != PAWL_OK)
        return st;
    if ((st = copy_range(n, pg, from, to, written, failure)) == PAWL_OK)
        return pawl_pg_exec(pg, "RELEASE SAVEPOINT pawl_nulling", err);
    if (!pawl_reject_is_of_value(failure))
    {
        *err = *failure;
        return st;
    }
    if ((st = pawl_pg_exec(pg, "ROLLBACK TO SAVEPOINT pawl_nulling", err)) == PAWL_OK)
        st = pawl_pg_exec(pg, "RELEASE SAVEPOINT pawl_nulling", err);
    return st;
}

/* "(id) = (42)" */
static pawl_status
name_row(const pawl_nulling *n, const kept_row *row, pawl_error *err)
{
    const char *also = row->is_refused ? ", also with NULL for what the transform makes" : "";
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(parts);
    PAWL_STRBUF_AUTO(was);
    const pawl_shape *s = n->shape;
    size_t at = row->read_at;

    pawl_strbuf_add(&was, err->detail);
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        int32_t length = pawl_decode_i32(n->read.data + at);

        at += 4;
        pawl_strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", s->key->columns[i].column->name);
        pawl_strbuf_addf(&parts, "%s%.*s", i > 0 ? ", " : "",
                         length < 0    ? 0
                         : length < 80 ? (int) length
                                       : 80,
                         n->read.data + at);
        at += length < 0 ? 0 : (size_t) length;
    }
    return pawl_error_detail(err, "row (%s) = (%s) of \"%s.%s\"%s%s%s", names.data, parts.data,
                             s->table->schema, s->table->name, also, was.length > 0 ? "; " : "", was.data);
}

static pawl_status
put_by_halves(pawl_nulling *n, pawl_pg *pg, size_t from, size_t to, int64_t *written, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    size_t middle = from + (to - from) / 2;
    pawl_status st = try_range(n, pg, from, to, written, &failure, err);

    if (st != PAWL_OK || failure.code == PAWL_OK)
        return st;
    if (to - from > 1)
    {
        st = put_by_halves(n, pg, from, middle, written, err);
        return st == PAWL_OK ? put_by_halves(n, pg, middle, to, written, err) : st;
    }
    /* What is refused even with NULL was not refused for what the transform makes. */
    if (n->rows[from].is_refused || !n->shape->spec->nulls_rejects)
    {
        *err = failure;
        return name_row(n, &n->rows[from], err);
    }
    refuse(n, &n->rows[from], &failure);
    PAWL_FAILPOINT("nulling.after_refusal");
    st = copy_range(n, pg, from, to, written, err);
    return st == PAWL_E_SERVER ? name_row(n, &n->rows[from], err) : st;
}

pawl_status
pawl_nulling_put(pawl_nulling *n, pawl_pg *pg, int64_t *written, pawl_error *err)
{
    *written = 0;
    return n->nrows == 0 ? PAWL_OK : put_by_halves(n, pg, 0, n->nrows, written, err);
}

/* ---- the ledger ------------------------------------------------------------------------------------------------------- */

/* <alias>.<column> = r.key[1]::type AND ..., or k."pawl~1" on the left side. */
static void
add_same_key(pawl_strbuf *b, const pawl_shape *s, bool is_of_shadow)
{
    for (int i = 0; i < s->key->ncolumns; i++)
    {
        const pawl_key_column *k = &s->key->columns[i];

        pawl_sql_add(b, i > 0 ? " AND " : "");
        if (is_of_shadow)
            pawl_sql_column(b, "n", k->column->name);
        else
            pawl_strbuf_addf(b, "k.\"pawl~%d\"", i + 1);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_strbuf_addf(b, " r.key[%d]::", i + 1);
        pawl_sql_type(b, k->column->cast_name);
    }
}

static bool
is_ok(const pawl_nulling *n)
{
    const pawl_pg_array *const arrays[] = {&n->names, &n->keys, &n->values, &n->sqlstates, &n->messages};
    bool ok = true;

    for (size_t i = 0; i < sizeof arrays / sizeof *arrays; i++)
        ok = ok && pawl_pg_array_is_ok(arrays[i]);
    return ok;
}

/* Those that are refused once more: the reject of now takes the place of the other. */
static pawl_status
forget_again(pawl_nulling *n, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    if (n->refused == 0)
        return PAWL_OK;
    if (!is_ok(n))
        return pawl_error_nomem(err, "rejected rows");

    const pawl_pg_arg args[] = {PAWL_ARG_I64(n->job), PAWL_ARG_I64(n->shape->key->ncolumns),
                                pawl_pg_array_arg(&n->keys, PAWL_OID_TEXT_ARRAY)};

    return pawl_ledger_query(ledger, pg, pawl_sql_online_nulling_again, 3, args, NULL, err);
}

/* The other ones of the slice. */
static void
add_settle(pawl_strbuf *b, const pawl_shape *s, const pawl_ledger *ledger)
{
    pawl_sql_add(b, "UPDATE ");
    pawl_sql_ident2(b, pawl_ledger_schema(ledger), "reject");
    pawl_sql_add(b, " AS r SET state = CASE WHEN EXISTS (SELECT FROM ");
    pawl_sql_ident2(b, s->table->schema, s->shadow_name);
    pawl_sql_add(b, " AS n WHERE ");
    add_same_key(b, s, true);
    pawl_sql_add(b, ") THEN 'done' ELSE 'gone' END, attempts = r.attempts + 1, at = "
                    "pg_catalog.clock_timestamp() FROM ");
    pawl_shape_keys_table(b, s);
    pawl_sql_add(b, " WHERE r.job_id = $1::bigint AND r.state = 'nulled' AND ");
    add_same_key(b, s, false);
}

pawl_status
pawl_nulling_settle(pawl_nulling *n, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) any = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(n->job)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_online_redo_nulled, 1, args, &any, err);

    if (st != PAWL_OK || pawl_pg_rows(any) == 0 ||
        (st = pawl_pg_query(pg, pawl_sql_online_plan_hash, 0, NULL, NULL, err)) != PAWL_OK ||
        (st = forget_again(n, ledger, pg, err)) != PAWL_OK)
        return st;
    add_settle(&sql, n->shape, ledger);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, 1, args, NULL, err)) != PAWL_OK)
        return st;
    return pawl_pg_query(pg, pawl_sql_backfill_plan_lookup, 0, NULL, NULL, err);
}

pawl_status
pawl_nulling_note(pawl_nulling *n, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_status st;

    if (n->refused == 0)
        return PAWL_OK;
    if (!is_ok(n))
        return pawl_error_nomem(err, "rejected rows");

    const pawl_pg_arg rows[] = {PAWL_ARG_I64(n->job),
                                PAWL_ARG_TEXT("nulled"),
                                PAWL_ARG_I64(n->shape->key->ncolumns),
                                pawl_pg_array_arg(&n->keys, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_I64((int64_t) n->shape->nlua_read),
                                pawl_pg_array_arg(&n->names, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&n->values, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&n->sqlstates, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&n->messages, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_TEXT("0")};
    const pawl_pg_arg most[] = {PAWL_ARG_I64(n->job), PAWL_ARG_I64(n->shape->spec->max_rejects)};

    if ((st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_reject_insert, 10, rows, NULL, err)) != PAWL_OK)
        return st;
    return pawl_ledger_query(ledger, pg, pawl_sql_backfill_reject_limit, 2, most, NULL, err);
}
