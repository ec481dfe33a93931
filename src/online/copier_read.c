/* The thread of copier.h that reads and transforms. */
#include "online/copier_private.h"
#include "pawl_sql.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    DEFAULT_ROWS = 1000000,
    DEFAULT_BYTES = 100000000,
    FIRST_ROWS = 100000, /* of the first range: nobody knows yet what a row takes */
    SLOW_US = 20000000, /* a range that takes longer is halved: its snapshot keeps VACUUM from its work ... */
    FAST_US = 5000000,  /* ... one that takes less is doubled */
};

typedef struct reader
{
    pawl_copier *c;
    pawl_pg *pg;
    pawl_stream *stream;
    pawl_keyval lo; /* read up to here */
    pawl_keyval hi; /* of the range at hand */
    bool is_last;
    bool is_counted; /* a range ends with the last of so many rows; else its end is looked for beforehand */
    int64_t rows;    /* of the next range */
    int64_t paced;   /* how many may be, by the time that the last ones took */
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
        (!r->is_counted && ((st = find_hi(r, err)) != PAWL_OK ||
                            (st = pawl_copier_set_key(r->pg, "hi", &r->hi, err)) != PAWL_OK)))
        return st;
    pawl_shape_copy_range(&sql, r->c->options->shape, r->lo.is_set, r->is_counted ? r->rows : 0);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    pawl_stream_keep_key(r->stream, r->is_counted ? r->rows : 0);
    if ((st = pawl_stream_run(r->stream, r->pg, sql.data, put_block, r, counts, err)) != PAWL_OK ||
        !r->is_counted)
        return st;
    r->is_last = counts->read < r->rows;
    return pawl_keyval_copy(&r->hi, r->is_last ? &r->c->bound : pawl_stream_kept_key(r->stream), err);
}

/* So many rows that a transaction of the loader takes about its share of bytes. */
int64_t
pawl_copier_rows(const pawl_copier *c)
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

/* Under a rate a range is no more than a second's worth: else the rate would come in gulps. */
static void
size_range(reader *r)
{
    pawl_pacing pacing = pawl_control_pacing(r->c->control);

    r->rows = pawl_copier_rows(r->c);
    if (r->rows > r->paced)
        r->rows = r->paced;
    if (pacing.throttle.max_rate > 0 && r->rows > pacing.throttle.max_rate)
        r->rows = pacing.throttle.max_rate;
}

/* Between two ranges: there nobody holds a transaction, however long it takes. */
static pawl_status
wait_for_leave(reader *r, pawl_error *err)
{
    pawl_copier *c = r->c;

    for (;;)
    {
        char why[PAWL_HOLD_MAX] = "";
        int64_t wait_ms = 0;
        pawl_status st;

        size_range(r);
        if (pawl_control_ask(c->control, 0, r->rows, why, &wait_ms) == PAWL_PERMIT_GO)
        {
            pawl_meter_hold(c->meter, 0, NULL);
            return PAWL_OK;
        }
        pawl_meter_hold(c->meter, 0, why);
        if (pawl_block_pipe_is_given_up(c->pipe))
            return pawl_error_set(err, PAWL_E_STOPPED, "the loader has given up");
        if ((st = pawl_stop_sleep(c->options->env->stop, PAWL_STOP_FINISH, wait_ms, err)) != PAWL_OK)
            return st;
    }
}

static void
follow_pace(reader *r, int64_t took_us)
{
    if (took_us > SLOW_US && r->rows > 1)
        r->paced = r->rows / 2;
    else if (took_us < FAST_US && r->rows == r->paced)
        r->paced *= 2;
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

    if ((st = wait_for_leave(r, err)) != PAWL_OK || (st = pawl_pg_begin(r->pg, &pins, err)) != PAWL_OK)
        return st;

    int64_t began_us = pawl_clock_us();

    st = read_range_inside(r, &end.counts, err);
    follow_pace(r, pawl_clock_us() - began_us);
    pawl_control_settle(r->c->control, 0, r->rows, st == PAWL_OK ? end.counts.read : 0);
    if (st != PAWL_OK)
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

static pawl_status
read_all(reader *r, pawl_error *err)
{
    const pawl_copier_options *o = r->c->options;
    pawl_status st;

    if ((st = pawl_copier_connect(o->env, "pawl rewrite (reader)", &r->pg, err)) != PAWL_OK ||
        (st = pawl_stream_open(o->shape, o->env, o->now_us, &r->stream, err)) != PAWL_OK ||
        (st = pawl_keyval_copy(&r->lo, &r->c->cursor, err)) != PAWL_OK)
        return st;
    r->paced = FIRST_ROWS;
    /* With a condition a range of so many rows could be the whole table, in one transaction. */
    r->is_counted = o->shape->spec->where == NULL && pawl_rowkey_is_there(o->shape);
    while (st == PAWL_OK && !r->is_last)
        st = read_range(r, err);
    return st;
}

void *
pawl_copier_read(void *arg)
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
