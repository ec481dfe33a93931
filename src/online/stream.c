#include "online/stream.h"

#include <string.h>

#include "backfill/rowset.h"
#include "pg/copy.h"
#include "pg/copy_out.h"
#include "util/alloc.h"

#include "util/banned.h"

enum
{
    GROUP_ROWS = 256, /* rows that go through the transform together */
};

/* A row as it came: where its fields begin. */
typedef struct held_row
{
    pawl_pg_copy_row message;
    size_t sent_at;  /* the bytes of the fields that pass through */
    size_t sent_end; /* behind them, what the transform reads */
} held_row;

struct pawl_stream
{
    const pawl_shape *shape;
    pawl_arena *arena;
    pawl_lua *lua; /* NULL: no transform */
    held_row rows[GROUP_ROWS];
    int nrows;
    pawl_lua_value *values; /* of the group: what the transform reads, a row behind the other */
    pawl_row_search search; /* of the group: what the transform is given */
    bool has_refused;       /* a row in `put`, which has said which and why */
    pawl_nulling *nulling;  /* where rows are kept; NULL: they are put */
    pawl_strbuf block;
    /* of the run at hand */
    pawl_stream_put put;
    void *ctx;
    pawl_stream_counts *counts;
    bool is_first;
    bool is_ended;
};

pawl_status
pawl_stream_open(const pawl_shape *shape, const pawl_backfill_env *env, int64_t now_us, pawl_stream **out,
                 pawl_error *err)
{
    PAWL_AUTO(pawl_stream) s = pawl_calloc(1, sizeof *s);
    pawl_lua_options options = {.root = env->lua_root,
                                .file = shape->spec->lua_file,
                                .entry = shape->lua_entry,
                                .nread = (int) shape->nlua_read,
                                .nwrite = (int) shape->nmade,
                                .x = env->x,
                                .nx = env->nx,
                                .secrets = env->secrets,
                                .nsecrets = env->nsecrets,
                                .now_us = now_us,
                                .stop = env->stop};
    pawl_lua_column *read = NULL;
    pawl_lua_column *write = NULL;
    pawl_status st;

    if (s == NULL)
        return pawl_error_nomem(err, "a stream of rows");
    s->shape = shape;
    pawl_strbuf_init(&s->block);
    if (shape->nmade > 0)
    {
        s->arena = pawl_arena_new();
        s->values = pawl_calloc(GROUP_ROWS * shape->nlua_read, sizeof *s->values);
        if (s->arena == NULL || s->values == NULL)
            return pawl_error_nomem(err, "a stream of rows");
        if ((st = pawl_shape_lua(shape, s->arena, &read, &write, err)) != PAWL_OK)
            return st;
        options.read = read;
        options.write = write;
        if ((st = pawl_lua_open(&options, &s->lua, err)) != PAWL_OK)
            return st;
    }
    *out = s;
    s = NULL;
    return PAWL_OK;
}

static void
drop_rows(pawl_stream *s)
{
    for (int i = 0; i < s->nrows; i++)
        pawl_pg_copy_row_fini(&s->rows[i].message);
    s->nrows = 0;
}

void
pawl_stream_close(pawl_stream *s)
{
    if (s == NULL)
        return;
    drop_rows(s);
    pawl_lua_close(s->lua);
    pawl_arena_free(s->arena);
    pawl_free(s->values);
    pawl_strbuf_fini(&s->block);
    pawl_free(s);
}

/* ---- the format ------------------------------------------------------------------------------------------------------ */

static pawl_status
fail_format(pawl_error *err)
{
    return pawl_error_set(err, PAWL_E_BUG, "the server's binary COPY is not as it is documented");
}

/* Move over one field. False when it does not fit into the message. */
static bool
can_pass_field(const pawl_pg_copy_row *m, size_t *at, pawl_lua_value *out)
{
    int32_t length;

    if (m->length - *at < 4)
        return false;
    length = pawl_decode_i32(m->data + *at);
    *at += 4;
    if (length < -1 || (length > 0 && m->length - *at < (size_t) length))
        return false;
    if (out != NULL)
        *out = (pawl_lua_value){.data = length < 0 ? NULL : m->data + *at,
                                .length = length < 0 ? 0 : (size_t) length};
    *at += length < 0 ? 0 : (size_t) length;
    return true;
}

/* Take a message apart; *is_row is false for the one that ends the data. */
static pawl_status
take_apart(pawl_stream *s, held_row *row, bool *is_row, pawl_error *err)
{
    const pawl_shape *shape = s->shape;
    const pawl_pg_copy_row *m = &row->message;
    size_t nread = shape->nmade > 0 ? shape->nlua_read : 0;
    size_t at = 0;

    *is_row = false;
    if (s->is_first)
    {
        if (!pawl_encode_is_head(m->data, m->length))
            return fail_format(err);
        at = PAWL_COPY_HEAD_BYTES;
        s->is_first = false;
    }
    if (m->length - at < 2)
        return m->length == at ? PAWL_OK : fail_format(err);
    if (pawl_decode_i16(m->data + at) == PAWL_COPY_TRAILER)
    {
        s->is_ended = true;
        return PAWL_OK;
    }
    if (pawl_decode_i16(m->data + at) != (int16_t) (shape->nsent + nread))
        return fail_format(err);
    at += 2;
    row->sent_at = at;
    if (shape->nmade == 0 && shape->is_binary)
        at = m->length; /* it passes through as a whole */
    for (size_t i = 0; i < shape->nsent && at < m->length; i++)
        if (!can_pass_field(m, &at, NULL))
            return fail_format(err);
    row->sent_end = at;
    for (size_t i = 0; i < nread; i++)
        if (!can_pass_field(m, &at, &s->values[(size_t) s->nrows * shape->nlua_read + i]))
            return fail_format(err);
    *is_row = at == m->length;
    return *is_row ? PAWL_OK : fail_format(err);
}

static pawl_status
flush(pawl_stream *s, pawl_error *err)
{
    pawl_status st;

    if (!pawl_strbuf_is_ok(&s->block))
        return pawl_error_nomem(err, "rows to be copied");
    if (s->block.length == 0)
        return PAWL_OK;
    s->counts->bytes += (int64_t) s->block.length;
    st = s->put(s->ctx, s->block.data, s->block.length, err);
    pawl_strbuf_reset(&s->block);
    return st;
}

/* Where rows are built. */
static pawl_strbuf *
building(pawl_stream *s)
{
    return s->nulling != NULL ? pawl_nulling_bytes(s->nulling) : &s->block;
}

/* The fields that pass through, in the format at hand. */
static void
add_sent(pawl_stream *s, const held_row *row)
{
    pawl_strbuf *b = building(s);
    size_t at = row->sent_at;

    if (s->shape->is_binary)
    {
        pawl_encode_i16(b, (int16_t) (s->shape->nsent + s->shape->nmade));
        pawl_strbuf_addn(b, row->message.data + row->sent_at, row->sent_end - row->sent_at);
        return;
    }
    for (size_t i = 0; i < s->shape->nsent; i++)
    {
        pawl_lua_value field = {0};

        if (can_pass_field(&row->message, &at, &field))
            pawl_copy_text_value(b, i == 0, field.data, field.length);
    }
}

static pawl_status
end_row(pawl_stream *s, pawl_error *err)
{
    if (!s->shape->is_binary)
        pawl_copy_text_end(&s->block);
    s->counts->written++;
    return s->block.length >= PAWL_STREAM_BLOCK ? flush(s, err) : PAWL_OK;
}

/* ---- the transform ---------------------------------------------------------------------------------------------------- */

static pawl_lua_value
group_get(void *ctx, int row, int column)
{
    const pawl_stream *s = ctx;

    return s->values[(size_t) (s->search.offset + row) * s->shape->nlua_read + (size_t) column];
}

/* "(id) = (42)" */
static pawl_status
name_row(const pawl_stream *s, int row, pawl_error *err)
{
    PAWL_STRBUF_AUTO(names);
    PAWL_STRBUF_AUTO(parts);
    PAWL_STRBUF_AUTO(was);
    const pawl_shape *shape = s->shape;

    pawl_strbuf_add(&was, err->detail);
    for (int i = 0; i < shape->key->ncolumns; i++)
    {
        const pawl_lua_value *v = &s->values[(size_t) row * shape->nlua_read + (size_t) i];

        pawl_strbuf_addf(&names, "%s%s", i > 0 ? ", " : "", shape->key->columns[i].column->name);
        pawl_strbuf_addf(&parts, "%s%.*s", i > 0 ? ", " : "", (int) (v->length < 80 ? v->length : 80),
                         v->data == NULL ? "" : v->data);
    }
    return pawl_error_detail(err, "row (%s) = (%s) of \"%s.%s\"%s%s", names.data, parts.data,
                             shape->table->schema, shape->table->name, was.length > 0 ? "; " : "", was.data);
}

static pawl_status
add_made(pawl_stream *s, int row, size_t i, const pawl_lua_answer *answer, pawl_error *err)
{
    const pawl_shape_column *c = s->shape->made[i];
    const pawl_lua_value *v = &answer->values[i];

    if (!answer->is_set[i])
    {
        (void) pawl_error_set(err, PAWL_E_TRANSFORM, "the transform gives no value for column \"%s\"",
                              c->name);
        (void) pawl_error_hint(err, "return every column that has no `using`; pawl.null writes NULL, and "
                                    "`return nil` leaves the row out");
        return name_row(s, row, err);
    }
    if (!s->shape->is_binary)
    {
        pawl_copy_text_value(building(s), s->shape->nsent + i == 0, v->data, v->length);
        return PAWL_OK;
    }
    if (pawl_encode_can_add(building(s), c->encoding, v->data, v->length))
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "the transform's value %.*s is none of type %s (column \"%s\")",
                          (int) (v->length < 80 ? v->length : 80), v->data, c->target->type_name, c->name);
    return name_row(s, row, err);
}

/* There a row may be left out. Back it is one that somebody has written since. */
static pawl_status
fail_left(const pawl_stream *s, int row, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_TRANSFORM, "the transform's `reverse` gives nothing for the row");
    (void) pawl_error_hint(err, "on the way back no row may be left out; pawl.null writes NULL");
    return name_row(s, row, err);
}

static pawl_status
add_all_made(pawl_stream *s, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; st == PAWL_OK && i < s->shape->nmade; i++)
        st = add_made(s, row, i, answer, err);
    return st;
}

/* The same where rows are kept: what is refused, `why` or what comes up here, goes along with the row. `answer`: NULL with
 * `why`. */
static pawl_status
keep_row(pawl_stream *s, int row, const pawl_lua_answer *answer, const pawl_error *why, pawl_error *err)
{
    pawl_strbuf *b = building(s);
    pawl_error wrong = PAWL_ERROR_INIT;
    size_t at = b->length;
    size_t made_at;

    add_sent(s, &s->rows[row]);
    made_at = b->length;
    if (why == NULL && add_all_made(s, row, answer, &wrong) != PAWL_OK)
        why = &wrong;
    if (why != NULL && !s->shape->spec->nulls_rejects)
    {
        *err = *why;
        return why == &wrong ? err->code : name_row(s, row, err);
    }
    if (why == NULL && !s->shape->is_binary)
        pawl_copy_text_end(b);
    s->counts->written++;
    return pawl_nulling_add(s->nulling, at, made_at, &s->values[(size_t) row * s->shape->nlua_read], why,
                            err);
}

static pawl_status
put_rejected(pawl_stream *s, int row, const char *reason, pawl_error *err)
{
    pawl_error why = PAWL_ERROR_INIT;

    (void) pawl_error_set(&why, PAWL_E_TRANSFORM, "the transform rejects the row: %s", reason);
    if (s->nulling != NULL)
        return keep_row(s, row, NULL, &why, err);
    *err = why;
    return name_row(s, row, err);
}

static pawl_status
put_answer(pawl_stream *s, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    pawl_status st;

    switch (answer->verdict)
    {
        case PAWL_LUA_REJECT:
            return put_rejected(s, row, answer->reason, err);
        case PAWL_LUA_LEAVE:
            if (s->shape->is_back)
                return fail_left(s, row, err);
            s->counts->left++;
            return PAWL_OK;
        case PAWL_LUA_WRITE:
            break;
    }
    if (s->nulling != NULL)
        return keep_row(s, row, answer, NULL, err);
    add_sent(s, &s->rows[row]);
    return (st = add_all_made(s, row, answer, err)) == PAWL_OK ? end_row(s, err) : st;
}

static pawl_status
group_put(void *ctx, int index, const pawl_lua_answer *answer, pawl_error *err)
{
    pawl_stream *s = ctx;
    pawl_status st = put_answer(s, s->search.offset + index, answer, err);

    s->has_refused = st != PAWL_OK;
    return st;
}

static pawl_status
run_group(pawl_stream *s, pawl_error *err)
{
    pawl_row_search_begin(&s->search, s->nrows);
    s->has_refused = false;
    while (s->search.offset < s->search.total)
    {
        const pawl_lua_rows rows = {
            .count = s->search.end - s->search.offset, .ctx = s, .get = group_get, .put = group_put};
        pawl_error failure = PAWL_ERROR_INIT;
        int failed = -1;
        int bad;
        pawl_status st = pawl_lua_run(s->lua, &rows, &failed, &failure);

        if (st == PAWL_OK)
        {
            pawl_row_search_pass(&s->search);
            continue;
        }
        if (st != PAWL_E_TRANSFORM || s->nulling == NULL || s->has_refused)
        {
            *err = failure;
            return st == PAWL_E_TRANSFORM && failed >= 0 ? name_row(s, failed, err) : st;
        }
        bad = pawl_row_search_fail(&s->search, failed);
        if (bad >= 0 && (st = keep_row(s, bad, NULL, &failure, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

static pawl_status
transform_group(pawl_stream *s, pawl_error *err)
{
    pawl_status st = run_group(s, err);

    drop_rows(s);
    return st;
}

void
pawl_stream_null(pawl_stream *s, pawl_nulling *rows)
{
    s->nulling = rows;
}

/* ---- the run ------------------------------------------------------------------------------------------------------------ */

/* Take up the row that was read into the next place of the group. */
static pawl_status
take_row(pawl_stream *s, pawl_error *err)
{
    held_row *row = &s->rows[s->nrows];
    bool is_row = false;
    pawl_status st = take_apart(s, row, &is_row, err);

    if (st != PAWL_OK || !is_row)
    {
        pawl_pg_copy_row_fini(&row->message);
        return st;
    }
    s->counts->read++;
    if (s->lua != NULL)
        return ++s->nrows == GROUP_ROWS ? transform_group(s, err) : PAWL_OK;
    add_sent(s, row);
    pawl_pg_copy_row_fini(&row->message);
    return end_row(s, err);
}

pawl_status
pawl_stream_run(pawl_stream *s, pawl_pg *pg, const char *sql, pawl_stream_put put, void *ctx,
                pawl_stream_counts *counts, pawl_error *err)
{
    pawl_status st = pawl_pg_copy_out_begin(pg, sql, err);

    s->put = put;
    s->ctx = ctx;
    s->counts = counts;
    s->is_first = true;
    s->is_ended = false;
    pawl_strbuf_reset(&s->block);
    while (st == PAWL_OK)
    {
        held_row *row = &s->rows[s->nrows];

        *row = (held_row){0};
        st = pawl_pg_copy_read(pg, &row->message, err);
        if (st == PAWL_OK && row->message.data == NULL)
            break;
        if (st == PAWL_OK)
            st = take_row(s, err);
    }
    if (st == PAWL_OK && !s->is_ended)
        st = fail_format(err);
    if (st == PAWL_OK && s->nrows > 0)
        st = transform_group(s, err);
    if (st == PAWL_OK)
        st = flush(s, err);
    drop_rows(s);
    return st;
}
