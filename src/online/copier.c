#include "online/copier.h"

#include <pthread.h>
#include <string.h>

#include "backfill/keyval.h"
#include "core/backoff.h"
#include "core/log.h"
#include "online/block_pipe.h"
#include "online/stream.h"
#include "pawl_sql.h"
#include "pg/copy.h"
#include "pg/pipe.h"
#include "progress/progress.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/rng.h"

#include "util/banned.h"

enum
{
    MOST_BLOCKS = 64, /* of 64 kB between the two threads */
    DEFAULT_ROWS = 1000000,
    DEFAULT_BYTES = 100000000,
    TICK_US = 250000,
    CLAIM_TRIES = 20,
};

typedef struct copier
{
    const pawl_copier_options *options;
    pawl_ledger *ledger;
    pawl_pg *pg; /* the loader's */
    pawl_block_pipe *pipe;
    pawl_meter *meter;
    char owner[160];
    int64_t fence;
    char incarnation[40]; /* of the server when the chunk was claimed */
    pawl_keyval cursor;   /* committed */
    pawl_keyval bound;
    int64_t next_tick_us;
} copier;

static pawl_status
open_session(const pawl_backfill_env *env, const char *application, pawl_pg **out, pawl_error *err)
{
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .application = application,
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, out, err);
}

pawl_status
pawl_copier_set_key(pawl_pg *pg, const char *prefix, const pawl_keyval *key, pawl_error *err)
{
    pawl_pg_array names;
    pawl_pg_array values;
    pawl_status st = PAWL_OK;

    pawl_pg_array_init(&names, PAWL_OID_TEXT);
    pawl_pg_array_init(&values, PAWL_OID_TEXT);
    for (int i = 0; i < key->count; i++)
    {
        char name[64];

        pawl_fmt(name, sizeof name, "pawl.%s_%d", prefix, i + 1);
        pawl_pg_array_add_bytes(&names, name, strlen(name));
        pawl_pg_array_add_bytes(&values, key->part[i], strlen(key->part[i]));
    }
    if (!pawl_pg_array_is_ok(&names) || !pawl_pg_array_is_ok(&values))
        st = pawl_error_nomem(err, "a key");

    const pawl_pg_arg args[] = {pawl_pg_array_arg(&names, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&values, PAWL_OID_TEXT_ARRAY)};

    if (st == PAWL_OK)
        st = pawl_pg_query(pg, pawl_sql_online_set_key, 2, args, NULL, err);
    pawl_pg_array_fini(&names);
    pawl_pg_array_fini(&values);
    return st;
}

/* ---- the reader --------------------------------------------------------------------------------------------------------- */

typedef struct reader
{
    copier *c;
    pawl_pg *pg;
    pawl_stream *stream;
    pawl_keyval lo; /* read up to here */
    pawl_keyval hi; /* of the range at hand */
    bool is_last;
    int64_t rows; /* of the next range */
} reader;

static pawl_status
put_block(void *ctx, const char *bytes, size_t length, pawl_error *err)
{
    reader *r = ctx;
    pawl_block block = {.bytes = PAWL_STRBUF_INIT};
    pawl_status st;

    pawl_strbuf_addn(&block.bytes, bytes, length);
    st = pawl_strbuf_is_ok(&block.bytes) ? pawl_block_pipe_put(r->c->pipe, &block, err)
                                         : pawl_error_nomem(err, "rows to be copied");
    pawl_block_fini(&block);
    return st;
}

/* The upper end of the next range. */
static pawl_status
find_hi(reader *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->rows - 1)};
    pawl_status st;

    pawl_shape_ahead(&sql, r->c->options->shape, r->lo.is_set);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(r->pg, sql.data, 1, args, &res, err)) != PAWL_OK)
        return st;
    r->is_last = pawl_pg_rows(res) == 0;
    if (r->is_last)
        return pawl_keyval_copy(&r->hi, &r->c->bound, err);
    return pawl_keyval_from_row(&r->hi, res, 0, 0, pawl_pg_columns(res), err);
}

static pawl_status
read_range_inside(reader *r, pawl_stream_counts *counts, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    /* Without a lower end the settings are not looked at. */
    if ((r->lo.is_set && (st = pawl_copier_set_key(r->pg, "lo", &r->lo, err)) != PAWL_OK) ||
        (st = pawl_copier_set_key(r->pg, "hi", &r->c->bound, err)) != PAWL_OK ||
        (st = pawl_pg_exec(r->pg, pawl_sql_backfill_plan_read, err)) != PAWL_OK ||
        (st = find_hi(r, err)) != PAWL_OK || (st = pawl_copier_set_key(r->pg, "hi", &r->hi, err)) != PAWL_OK)
        return st;
    pawl_shape_copy_range(&sql, r->c->options->shape, r->lo.is_set);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    return pawl_stream_run(r->stream, r->pg, sql.data, put_block, r, counts, err);
}

/* Read one range, without locks, and tell the loader where it ends. */
static pawl_status
read_range(reader *r, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    const pawl_backfill_env *env = r->c->options->env;
    pawl_block end = {.bytes = PAWL_STRBUF_INIT, .is_end = true};
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", env->search_path);
    const pawl_pg_pins pins = {.search_path = path.data, .lock_timeout_ms = env->lock_timeout_ms};

    if ((st = pawl_pg_begin(r->pg, &pins, err)) != PAWL_OK)
        return st;
    if ((st = read_range_inside(r, &end.counts, err)) != PAWL_OK)
        return st; /* the session is closed: it may be in the middle of a COPY */
    if ((st = pawl_pg_commit(r->pg, err)) == PAWL_OK &&
        (st = pawl_keyval_copy(&end.hi, &r->hi, err)) == PAWL_OK &&
        (st = pawl_keyval_copy(&r->lo, &r->hi, err)) == PAWL_OK)
    {
        end.is_last = r->is_last;
        st = pawl_block_pipe_put(r->c->pipe, &end, err);
    }
    pawl_block_fini(&end);
    return st;
}

/* So many rows that a transaction of the loader takes about its share of bytes. */
static int64_t
rows_of_a_range(const copier *c)
{
    const pawl_shape *s = c->options->shape;
    int64_t most = s->spec->batch_rows > 0 ? s->spec->batch_rows : DEFAULT_ROWS;
    int64_t bytes = s->spec->batch_bytes > 0 ? s->spec->batch_bytes : DEFAULT_BYTES;
    int64_t width = s->table->rows_estimate > 0 ? s->table->pages * 8192 / s->table->rows_estimate : 0;
    int64_t rows = width > 0 ? bytes / width : most;

    if (rows > most)
        rows = most;
    return rows < 1 ? 1 : rows;
}

static pawl_status
read_all(reader *r, pawl_error *err)
{
    const pawl_copier_options *o = r->c->options;
    pawl_status st;

    if ((st = open_session(o->env, "pawl rewrite (reader)", &r->pg, err)) != PAWL_OK ||
        (st = pawl_stream_open(o->shape, o->env, o->now_us, &r->stream, err)) != PAWL_OK ||
        (st = pawl_keyval_copy(&r->lo, &r->c->cursor, err)) != PAWL_OK)
        return st;
    r->rows = rows_of_a_range(r->c);
    while (st == PAWL_OK && !r->is_last)
        st = read_range(r, err);
    return st;
}

static void *
reader_main(void *arg)
{
    reader r = {.c = arg};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = read_all(&r, &err);

    pawl_block_pipe_close(r.c->pipe, st, &err);
    pawl_stream_close(r.stream);
    pawl_pg_close(r.pg);
    pawl_keyval_fini(&r.lo);
    pawl_keyval_fini(&r.hi);
    return NULL;
}

/* ---- the loader --------------------------------------------------------------------------------------------------------- */

static void
tick(copier *c)
{
    pawl_progress progress;
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};
    int64_t now_us = pawl_clock_us();

    if (now_us < c->next_tick_us)
        return;
    c->next_tick_us = now_us + TICK_US;
    pawl_meter_snapshot(c->meter, now_us, &progress);
    pawl_log_emit(c->options->env->sink, &event);
}

static pawl_status
hold(copier *c, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = c->options->env->lock_timeout_ms};
    pawl_pg_array cursor;
    pawl_status st = pawl_pg_begin(c->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&c->cursor, &cursor);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                PAWL_ARG_TEXT("1"),
                                PAWL_ARG_I64(c->fence),
                                c->cursor.is_set ? pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY)
                                                 : PAWL_ARG_NULL,
                                PAWL_ARG_NULL,
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT(c->incarnation)};

    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_backfill_hold, 7, args, NULL, err);
    pawl_pg_array_fini(&cursor);
    return st;
}

static pawl_status
checkpoint(copier *c, const pawl_block *end, pawl_error *err)
{
    pawl_pg_array cursor;
    pawl_status st;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&end->hi, &cursor);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                PAWL_ARG_TEXT("1"),
                                PAWL_ARG_I64(c->fence),
                                pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_BOOL(end->is_last),
                                PAWL_ARG_I64(c->options->env->lease_ms),
                                PAWL_ARG_I64(end->counts.read),
                                PAWL_ARG_I64(end->counts.written),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_NULL,
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0")};

    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_backfill_checkpoint, 15, args, NULL, err);
    pawl_pg_array_fini(&cursor);
    return st;
}

/* The blocks of one range into one COPY. *end is what the reader said of the range. */
static pawl_status
load_blocks(copier *c, pawl_block *end, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    while (st == PAWL_OK && !end->is_end)
    {
        pawl_block_fini(end);
        if ((st = pawl_block_pipe_take(c->pipe, end, err)) == PAWL_OK && !end->is_end)
            st = pawl_pg_copy_put(c->pg, end->bytes.data, end->bytes.length, err);
        tick(c);
    }
    return st;
}

static pawl_status
copy_in(copier *c, pawl_block *end, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(frame);
    const pawl_shape *shape = c->options->shape;
    int64_t rows = 0;
    pawl_status st;

    pawl_shape_copy_in(&sql, shape);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_copy_begin(c->pg, sql.data, err)) != PAWL_OK)
        return st;
    if (shape->is_binary)
        pawl_encode_head(&frame);
    if ((st = pawl_pg_copy_put(c->pg, frame.data, frame.length, err)) == PAWL_OK)
        st = load_blocks(c, end, err);
    pawl_strbuf_reset(&frame);
    if (shape->is_binary)
        pawl_encode_i16(&frame, PAWL_COPY_TRAILER);
    if (st == PAWL_OK)
        st = pawl_pg_copy_put(c->pg, frame.data, frame.length, err);
    if (st != PAWL_OK)
    {
        if (pawl_pg_is_in_transaction(c->pg))
            pawl_pg_copy_cancel(c->pg);
        return st;
    }
    if ((st = pawl_pg_copy_end(c->pg, &rows, err)) != PAWL_OK)
        return st;
    if (rows != end->counts.written)
        return pawl_error_set(err, PAWL_E_BUG, "the server took %lld rows of a COPY of %lld",
                              (long long) rows, (long long) end->counts.written);
    return PAWL_OK;
}

static pawl_status
load_range(copier *c, bool *is_last, pawl_error *err)
{
    pawl_block end = {.bytes = PAWL_STRBUF_INIT};
    pawl_status st;

    if ((st = hold(c, err)) == PAWL_OK && (st = copy_in(c, &end, err)) == PAWL_OK &&
        (st = checkpoint(c, &end, err)) == PAWL_OK)
    {
        PAWL_FAILPOINT("copier.before_commit");
        st = pawl_pg_commit(c->pg, err);
        PAWL_FAILPOINT("copier.after_commit");
    }
    if (st == PAWL_OK)
    {
        const pawl_meter_counts counts = {
            .read = end.counts.read, .written = end.counts.written, .batches = 1};

        pawl_meter_add(c->meter, &counts);
        *is_last = end.is_last;
        st = pawl_keyval_copy(&c->cursor, &end.hi, err);
    }
    else
        pawl_pg_rollback(c->pg);
    pawl_block_fini(&end);
    return st;
}

static pawl_status
load_all(copier *c, pawl_error *err)
{
    pthread_t thread;
    bool is_last = false;
    pawl_status st = PAWL_OK;

    if (pthread_create(&thread, NULL, reader_main, c) != 0)
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot start the reader of a copy");
    while (st == PAWL_OK && !is_last)
    {
        if ((st = pawl_stop_check(c->options->env->stop, PAWL_STOP_FINISH, err)) == PAWL_OK)
            st = load_range(c, &is_last, err);
    }
    pawl_block_pipe_give_up(c->pipe);
    (void) pthread_join(thread, NULL);
    return st;
}

/* ---- the chunk ---------------------------------------------------------------------------------------------------------- */

/* Read the bound and make the chunk; it may be there. */
static pawl_status
make_chunk_inside(copier *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(name);
    const pawl_shape *s = c->options->shape;
    pawl_keyval bound = {0};
    pawl_pg_array array;
    pawl_status st;

    pawl_shape_bound(&sql, s);
    pawl_strbuf_addf(&name, "%s.%s", s->table->schema, s->table->name);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&name))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_exec(c->pg, pawl_sql_backfill_plan_read, err)) != PAWL_OK ||
        (st = pawl_pg_query(c->pg, sql.data, 0, NULL, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) > 0 &&
        (st = pawl_keyval_from_row(&bound, res, 0, 0, s->key->ncolumns, err)) != PAWL_OK)
        return st;
    pawl_pg_array_init(&array, PAWL_OID_TEXT);
    pawl_keyval_to_array(&bound, &array);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                bound.is_set ? pawl_pg_array_arg(&array, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL,
                                PAWL_ARG_I64(s->table->oid), PAWL_ARG_TEXT(name.data)};

    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_chunk, 4, args, NULL, err);
    pawl_pg_array_fini(&array);
    pawl_keyval_fini(&bound);
    return st;
}

/* *is_done: there is nothing (more) to copy. */
static pawl_status
look_at_chunk(copier *c, bool *is_done, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job)};
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_state, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (!pawl_pg_is_true(res, 0, 0) && (st = make_chunk_inside(c, err)) != PAWL_OK)
        return st;
    *is_done = pawl_pg_is_true(res, 0, 0) && strcmp(pawl_pg_text(res, 0, 1), "open") != 0;
    return PAWL_OK;
}

static pawl_status
claim_inside(copier *c, bool *is_ours, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    int32_t pid = pawl_pg_backend_pid(c->pg);
    const char *start = pawl_pg_backend_start(c->pg);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job), PAWL_ARG_TEXT(c->owner),
                                PAWL_ARG_I64(c->options->env->lease_ms),
                                pid != 0 ? PAWL_ARG_I64(pid) : PAWL_ARG_NULL,
                                start[0] != '\0' ? PAWL_ARG_TEXT(start) : PAWL_ARG_NULL};
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_online_copier_claim, 5, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *is_ours = pawl_pg_rows(res) == 1;
    if (!*is_ours)
        return PAWL_OK;
    c->fence = pawl_pg_i64(res, 0, 0);
    pawl_fmt(c->incarnation, sizeof c->incarnation, "%s", pawl_pg_text(res, 0, 3));
    if ((st = pawl_keyval_from_array(&c->bound, res, 0, 1, err)) == PAWL_OK)
        st = pawl_keyval_from_array(&c->cursor, res, 0, 2, err);
    return st;
}

static pawl_status
claim_once(copier *c, bool *is_done, bool *is_ours, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = c->options->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(c->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = look_at_chunk(c, is_done, err)) == PAWL_OK && !*is_done)
        st = claim_inside(c, is_ours, err);
    if (st == PAWL_OK)
        return pawl_pg_commit(c->pg, err);
    pawl_pg_rollback(c->pg);
    return st;
}

/* The session that had the chunk may be in its last transaction, or its lease be running out. */
static pawl_status
claim(copier *c, bool *is_done, pawl_error *err)
{
    pawl_backoff backoff;
    bool is_ours = false;
    pawl_status st = PAWL_OK;

    pawl_backoff_init(&backoff, 50, 2000);
    for (int i = 0; i < CLAIM_TRIES && st == PAWL_OK && !*is_done && !is_ours; i++)
    {
        if (i > 0)
            st = pawl_backoff_sleep(&backoff, c->options->env->stop, err);
        if (st == PAWL_OK)
            st = claim_once(c, is_done, &is_ours, err);
    }
    if (st != PAWL_OK || *is_done || is_ours)
        return st;
    return pawl_error_set(err, PAWL_E_BUSY, "another process copies the rows of job %lld",
                          (long long) c->options->job);
}

static pawl_status
totals(copier *c, pawl_meter_options *meter, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job)};
    pawl_status st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_backfill_job_totals, 1, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *meter = (pawl_meter_options){.job_id = c->options->job,
                                  .rows_total = pawl_pg_i64(res, 0, 6),
                                  .base = {.read = pawl_pg_i64(res, 0, 0), .written = pawl_pg_i64(res, 0, 1)},
                                  .now_us = pawl_clock_us()};
    return PAWL_OK;
}

static pawl_status
run(copier *c, pawl_error *err)
{
    pawl_meter_options meter;
    pawl_rng rng;
    char random[9];
    bool is_done = false;
    pawl_status st;

    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, random, 8);
    pawl_fmt(c->owner, sizeof c->owner, "%s/copy:%s", pawl_ledger_whereabouts(), random);
    if ((st = pawl_ledger_new(c->options->env->schema, &c->ledger, err)) != PAWL_OK ||
        (st = open_session(c->options->env, "pawl rewrite (loader)", &c->pg, err)) != PAWL_OK ||
        (st = claim(c, &is_done, err)) != PAWL_OK || is_done || (st = totals(c, &meter, err)) != PAWL_OK ||
        (st = pawl_meter_new(&meter, &c->meter, err)) != PAWL_OK ||
        (st = pawl_block_pipe_new(MOST_BLOCKS, &c->pipe, err)) != PAWL_OK)
        return st;
    pawl_meter_enter(c->meter, 0);
    st = load_all(c, err);
    pawl_meter_leave(c->meter, 0);
    if (st == PAWL_OK)
        pawl_meter_finish(c->meter);
    c->next_tick_us = 0;
    tick(c);
    return st;
}

pawl_status
pawl_copier_run(const pawl_copier_options *options, pawl_error *err)
{
    copier c = {.options = options};
    pawl_status st = run(&c, err);

    pawl_block_pipe_free(c.pipe);
    pawl_meter_free(c.meter);
    pawl_pg_close(c.pg);
    pawl_ledger_free(c.ledger);
    pawl_keyval_fini(&c.cursor);
    pawl_keyval_fini(&c.bound);
    return st;
}
