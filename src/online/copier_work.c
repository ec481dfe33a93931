/* A worker of copier.h: it takes a range, copies it, and commits it when its turn has come. */
#include "core/sqlstate.h"
#include "online/copier_private.h"
#include "pawl_sql.h"
#include "pg/copy.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    DEFAULT_ROWS = 1000000,
    DEFAULT_BYTES = 100000000,
    SHARES = 16,        /* ranges for a worker at least, so that all end at about the same time ... */
    LEAST_ROWS = 20000, /* ... unless they were small */
    SAY_SOMETHING_US = 10000000, /* in a transaction that waits, which may be silent for a minute */
    PARKED_MS = 100,             /* between two looks of a worker that is one too many */
};

/* So many rows that a transaction takes about its share of bytes, and a worker some of the transactions. */
int64_t
pawl_copier_rows(const pawl_copier *c)
{
    const pawl_shape *s = c->options->shape;
    int64_t most = s->spec->batch_rows > 0 ? s->spec->batch_rows : DEFAULT_ROWS;
    int64_t bytes = s->spec->batch_bytes > 0 ? s->spec->batch_bytes : DEFAULT_BYTES;
    int64_t width = s->table->rows_estimate > 0 ? s->table->pages * 8192 / s->table->rows_estimate : 0;
    int64_t rows = width > 0 ? bytes / width : most;

    int64_t share = s->table->rows_estimate / ((int64_t) pawl_copier_workers(c) * SHARES);

    if (share > 0 && rows > share)
        rows = share > LEAST_ROWS ? share : rows > LEAST_ROWS ? LEAST_ROWS : rows;
    if (rows > most)
        rows = most;
    return rows < 1 ? 1 : rows;
}

/* ---- the range ---------------------------------------------------------------------------------------------------------- */

static pawl_pg *
reads(pawl_copy_worker *w)
{
    return w->stream != NULL ? w->source : w->pg;
}

/* One that has been overtaken would copy for nothing, into a table that is another's or gone. */
static pawl_status
check_lease(pawl_copy_worker *w, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_copier *c = w->copier;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job), PAWL_ARG_I64(c->fence)};
    pawl_status st = pawl_ledger_query(w->ledger, reads(w), pawl_sql_online_copier_mine, 2, args, &res, err);

    if (st != PAWL_OK || pawl_pg_is_true(res, 0, 0))
        return st;
    return pawl_error_set(err, PAWL_E_LEASE,
                          "the copy of job %lld is no longer ours: somebody else has taken it over",
                          (long long) c->options->job);
}

/* What the user wrote sees the search_path that he declared. */
pawl_status
pawl_copier_begin(pawl_copy_worker *w, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    const pawl_backfill_env *env = w->copier->options->env;
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", env->search_path);
    if (!pawl_strbuf_is_ok(&path))
        return pawl_error_nomem(err, "a search_path");
    /* Rows and cursor are lost together or not at all, and the end of the copy is written synchronously. */
    const pawl_pg_pins pins = {
        .search_path = path.data, .lock_timeout_ms = env->lock_timeout_ms, .async_commit = true};

    if ((st = pawl_pg_begin(reads(w), &pins, err)) != PAWL_OK || (st = check_lease(w, err)) != PAWL_OK)
        return st;
    return pawl_pg_exec(reads(w), pawl_sql_online_copier_settings, err);
}

pawl_status
pawl_copier_find_hi(pawl_copy_worker *w, pawl_copy_range *range, const pawl_keyval *most, int64_t rows,
                    pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rows - 1)};
    pawl_status st;

    pawl_shape_ahead(&sql, w->copier->options->shape, range->lo.is_set);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    /* Without a lower end the settings are not looked at. */
    if ((range->lo.is_set && (st = pawl_copier_set_key(reads(w), "lo", &range->lo, err)) != PAWL_OK) ||
        (st = pawl_copier_set_key(reads(w), "hi", most, err)) != PAWL_OK ||
        (st = pawl_pg_query(reads(w), sql.data, 1, args, &res, err)) != PAWL_OK)
        return st;
    range->is_last = pawl_pg_rows(res) == 0;
    if (range->is_last)
        return pawl_keyval_copy(&range->hi, most, err);
    if ((st = pawl_keyval_from_row(&range->hi, res, 0, 0, pawl_pg_columns(res), err)) != PAWL_OK)
        return st;
    return pawl_copier_set_key(reads(w), "hi", &range->hi, err);
}

/* ---- the rows ----------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_copier_insert(pawl_copy_worker *w, const pawl_copy_range *range, pawl_stream_counts *counts,
                   pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    pawl_shape_insert_range(&sql, w->copier->options->shape, range->lo.is_set);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(w->pg, sql.data, 0, NULL, &res, err)) != PAWL_OK)
        return st;
    counts->read = counts->written = pawl_pg_affected(res);
    return PAWL_OK;
}

typedef struct put_context
{
    pawl_copy_worker *worker;
    int64_t number;
} put_context;

static pawl_status
put_rows(void *ctx, const char *bytes, size_t length, pawl_error *err)
{
    put_context *p = ctx;

    if (pawl_copy_turns_is_void(p->worker->copier->turns, p->number))
        return pawl_error_set(err, PAWL_E_STOPPED, "a range before this one has failed");
    return pawl_pg_copy_put(p->worker->pg, bytes, length, err);
}

/* Read, transform and load: the sessions at both ends work on while this thread does. */
static pawl_status
pass_rows(pawl_copy_worker *w, const pawl_copy_range *range, pawl_stream_counts *counts, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(frame);
    const pawl_shape *shape = w->copier->options->shape;
    put_context ctx = {.worker = w, .number = range->number};
    pawl_status st;

    pawl_shape_copy_range(&sql, shape, range->lo.is_set);
    if (shape->is_binary)
        pawl_encode_head(&frame);
    if (!pawl_strbuf_is_ok(&sql) || !pawl_strbuf_is_ok(&frame))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_copy_put(w->pg, frame.data, frame.length, err)) != PAWL_OK ||
        (st = pawl_stream_run(w->stream, w->source, sql.data, put_rows, &ctx, counts, err)) != PAWL_OK)
        return st;
    pawl_strbuf_reset(&frame);
    if (shape->is_binary)
        pawl_encode_i16(&frame, PAWL_COPY_TRAILER);
    return pawl_pg_copy_put(w->pg, frame.data, frame.length, err);
}

static pawl_status
copy_rows(pawl_copy_worker *w, const pawl_copy_range *range, pawl_stream_counts *counts, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_pins pins = {.lock_timeout_ms = w->copier->options->env->lock_timeout_ms,
                               .async_commit = true};
    int64_t rows = 0;
    pawl_status st;

    pawl_shape_copy_in(&sql, w->copier->options->shape);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_begin(w->pg, &pins, err)) != PAWL_OK ||
        (st = pawl_pg_copy_begin(w->pg, sql.data, err)) != PAWL_OK)
        return st;
    if ((st = pass_rows(w, range, counts, err)) != PAWL_OK)
    {
        if (pawl_pg_is_in_transaction(w->pg))
            pawl_pg_copy_cancel(w->pg);
        return st;
    }
    if ((st = pawl_pg_copy_end(w->pg, &rows, err)) != PAWL_OK)
        return st;
    if (rows != counts->written)
        return pawl_error_set(err, PAWL_E_BUG, "the server took %lld rows of a COPY of %lld",
                              (long long) rows, (long long) counts->written);
    return pawl_pg_commit(w->source, err);
}

/* ---- the commit --------------------------------------------------------------------------------------------------------- */

static pawl_status
hold(pawl_copy_worker *w, const pawl_copy_range *range, pawl_error *err)
{
    const pawl_copier *c = w->copier;
    pawl_pg_array cursor;
    pawl_status st;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&range->lo, &cursor);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                PAWL_ARG_TEXT("1"),
                                PAWL_ARG_I64(c->fence),
                                range->lo.is_set ? pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY)
                                                 : PAWL_ARG_NULL,
                                PAWL_ARG_NULL,
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT(c->incarnation)};

    st = pawl_ledger_query(w->ledger, w->pg, pawl_sql_backfill_hold, 7, args, NULL, err);
    pawl_pg_array_fini(&cursor);
    return st;
}

static int64_t
refused(const pawl_copy_worker *w)
{
    return w->nulling != NULL ? pawl_nulling_refused(w->nulling) : 0;
}

static pawl_status
checkpoint(pawl_copy_worker *w, const pawl_copy_range *range, const pawl_stream_counts *counts,
           pawl_error *err)
{
    const pawl_copier *c = w->copier;
    pawl_pg_array cursor;
    pawl_status st;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&range->hi, &cursor);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->options->job),
                                PAWL_ARG_TEXT("1"),
                                PAWL_ARG_I64(c->fence),
                                pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_BOOL(range->is_last),
                                PAWL_ARG_I64(c->options->env->lease_ms),
                                PAWL_ARG_I64(counts->read),
                                PAWL_ARG_I64(counts->written),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_I64(refused(w)),
                                PAWL_ARG_NULL,
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0"),
                                PAWL_ARG_TEXT("0")};

    st = pawl_ledger_query(w->ledger, w->pg, pawl_sql_backfill_checkpoint, 15, args, NULL, err);
    pawl_pg_array_fini(&cursor);
    return st;
}

/* The rows are in, uncommitted. Behind the last one before them. */
static pawl_status
commit_range(pawl_copy_worker *w, const pawl_copy_range *range, const pawl_stream_counts *counts,
             pawl_error *err)
{
    const pawl_meter_counts done = {
        .read = counts->read, .written = counts->written, .rejected = refused(w), .batches = 1};
    pawl_status st;

    if ((st = pawl_pg_exec(w->pg, "SET LOCAL search_path = pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = hold(w, range, err)) != PAWL_OK ||
        (w->nulling != NULL && (st = pawl_nulling_note(w->nulling, w->ledger, w->pg, err)) != PAWL_OK) ||
        (st = checkpoint(w, range, counts, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("copier.before_commit");
    if ((st = pawl_pg_commit(w->pg, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("copier.after_commit");
    pawl_copy_turns_committed(w->copier->turns, range->number);
    pawl_meter_add(w->copier->meter, &done);
    return PAWL_OK;
}

/* A range before this one may take minutes, and a session that says nothing for one is thrown out. */
static pawl_status
await_turn(pawl_copy_worker *w, int64_t number, pawl_error *err)
{
    for (;;)
    {
        pawl_copy_turn turn =
            pawl_copy_turns_await(w->copier->turns, number, pawl_clock_us() + SAY_SOMETHING_US);
        pawl_status st;

        if (turn == PAWL_COPY_GO)
            return PAWL_OK;
        if (turn == PAWL_COPY_VOID)
            return pawl_error_set(err, PAWL_E_STOPPED, "a range before this one has failed");
        if ((st = pawl_pg_exec(w->pg, "SELECT 1", err)) != PAWL_OK)
            return st;
    }
}

static pawl_status
copy_taken(pawl_copy_worker *w, pawl_copy_range *range, int64_t rows, pawl_stream_counts *counts,
           pawl_error *err)
{
    pawl_copy_turns *turns = w->copier->turns;
    int64_t began_us;
    pawl_status st;

    if ((st = pawl_copier_begin(w, err)) != PAWL_OK ||
        (st = pawl_copier_find_hi(w, range, &w->copier->bound, rows, err)) != PAWL_OK ||
        (st = pawl_copy_turns_found(turns, range, err)) != PAWL_OK)
        return st;
    began_us = pawl_clock_us();
    PAWL_FAILPOINT("copier.in_range");
    st = w->nulling != NULL  ? pawl_copier_null_rows(w, range, counts, err)
         : w->stream != NULL ? copy_rows(w, range, counts, err)
                             : pawl_copier_insert(w, range, counts, err);
    if (st != PAWL_OK)
    {
        if (w->stream == NULL && pawl_fault_of(err) == PAWL_FAULT_ROW)
            pawl_copier_narrow(w, range, rows, err);
        return st;
    }
    pawl_copy_turns_took(turns, rows, pawl_clock_us() - began_us);
    PAWL_FAILPOINT("copier.before_turn");
    if ((st = await_turn(w, range->number, err)) != PAWL_OK)
        return st;
    return commit_range(w, range, counts, err);
}

static pawl_status
copy_range(pawl_copy_worker *w, int64_t rows, int64_t *done, pawl_error *err)
{
    pawl_copy_turns *turns = w->copier->turns;
    pawl_copy_range range = {.number = -1};
    pawl_stream_counts counts = {0};
    bool got = false;
    pawl_status st = pawl_copy_turns_take(turns, &range, &got, err);

    if (st == PAWL_OK && got)
        st = copy_taken(w, &range, rows, &counts, err);
    *done = st == PAWL_OK ? counts.read : 0;
    if (st != PAWL_OK)
    {
        pawl_copy_turns_fail(turns, range.number, err);
        pawl_pg_rollback(w->pg); /* the source may be in the middle of a COPY: it is closed */
    }
    pawl_copy_range_fini(&range);
    return st;
}

/* ---- the worker --------------------------------------------------------------------------------------------------------- */

/* Under a rate a range is no more than a second's worth: else the rate would come in gulps. */
static int64_t
size_range(const pawl_copier *c)
{
    pawl_pacing pacing = pawl_control_pacing(c->control);
    int64_t rows = pawl_copy_turns_rows(c->turns);

    if (rows > pawl_copier_rows(c))
        rows = pawl_copier_rows(c);
    if (c->is_careful && rows > pawl_copier_careful_rows(c))
        rows = pawl_copier_careful_rows(c);
    if (pacing.throttle.max_rate > 0 && rows > pacing.throttle.max_rate)
        rows = pacing.throttle.max_rate;
    return rows;
}

/* Between two ranges: there nobody holds a transaction, however long it takes. *rows is 0 when nothing is left meanwhile. */
static pawl_status
wait_for_leave(pawl_copy_worker *w, int64_t *rows, pawl_error *err)
{
    pawl_copier *c = w->copier;
    pawl_status st = pawl_stop_check(c->options->env->stop, PAWL_STOP_FINISH, err);

    while (st == PAWL_OK)
    {
        char why[PAWL_HOLD_MAX] = "";
        int64_t wait_ms = 0;

        pawl_permit permit = PAWL_PERMIT_GO;

        *rows = pawl_copy_turns_is_over(c->turns) || pawl_copier_has_been_careful(w) ? 0 : size_range(c);
        if (*rows > 0)
            permit = pawl_control_ask(c->control, w->number, *rows, why, &wait_ms);
        if (permit == PAWL_PERMIT_GO)
        {
            pawl_meter_hold(c->meter, w->number, NULL);
            return PAWL_OK;
        }
        if (permit == PAWL_PERMIT_LEAVE) /* for now: there may be more again */
        {
            pawl_fmt(why, sizeof why, "one worker too many (tune workers)");
            wait_ms = PARKED_MS;
        }
        pawl_meter_hold(c->meter, w->number, why);
        st = pawl_stop_sleep(c->options->env->stop, PAWL_STOP_FINISH, wait_ms, err);
    }
    return st;
}

static pawl_status
come(pawl_copy_worker *w, pawl_error *err)
{
    const pawl_copier_options *o = w->copier->options;
    pawl_status st;

    if ((st = pawl_ledger_new(o->env->schema, &w->ledger, err)) != PAWL_OK ||
        (st = pawl_copier_connect(o->env, "pawl rewrite (copy)", &w->pg, err)) != PAWL_OK ||
        o->shape->nmade == 0)
        return st;
    if ((st = pawl_copier_connect(o->env, "pawl rewrite (reader)", &w->source, err)) != PAWL_OK)
        return st;
    if ((st = pawl_stream_open(o->shape, o->env, o->now_us, &w->stream, err)) != PAWL_OK ||
        !w->copier->is_careful)
        return st;
    w->has_met = !o->shape->spec->nulls_rejects;
    if ((st = pawl_nulling_open(o->shape, o->job, &w->nulling, err)) == PAWL_OK)
        pawl_stream_null(w->stream, w->nulling);
    return st;
}

static pawl_status
work(pawl_copy_worker *w, pawl_error *err)
{
    pawl_copier *c = w->copier;
    int64_t rows = 1;
    int64_t done = 0;
    pawl_status st = come(w, err);

    while (st == PAWL_OK && (st = wait_for_leave(w, &rows, err)) == PAWL_OK && rows > 0)
    {
        st = copy_range(w, rows, &done, err);
        pawl_control_settle(c->control, w->number, rows, done);
        if (st != PAWL_OK)
            return st; /* told already, with the number of its range */
    }
    if (st != PAWL_OK)
        pawl_copy_turns_fail(c->turns, -1, err);
    return st;
}

void *
pawl_copier_work(void *arg)
{
    pawl_copy_worker *w = arg;
    pawl_copier *c = w->copier;
    pawl_error err = PAWL_ERROR_INIT;
    char owner[200];

    pawl_fmt(owner, sizeof owner, "%s/%d", c->options->owner, w->number + 1);
    pawl_meter_enter(c->meter, w->number);
    pawl_control_enter(c->control, w->number, owner);
    (void) work(w, &err);
    pawl_control_leave(c->control, w->number);
    pawl_meter_leave(c->meter, w->number);
    pawl_stream_close(w->stream);
    pawl_nulling_close(w->nulling);
    pawl_pg_close(w->source);
    pawl_pg_close(w->pg);
    pawl_ledger_free(w->ledger);
    pawl_copy_turns_leave(c->turns);
    return NULL;
}
