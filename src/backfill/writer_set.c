/*
 * The `set` writer: one UPDATE by SQL expressions over a range of keys. No row leaves the server; the read only finds
 * the key that ends the batch. READ COMMITTED re-evaluates the expressions on a row that another session has changed,
 * so nothing stale is written and there is nothing to settle.
 */
#include <string.h>

#include "backfill/writer.h"

#include "util/banned.h"

static pawl_status
set_open(pawl_writer *w, pawl_error *err)
{
    (void) w;
    (void) err;
    return PAWL_OK;
}

static void
set_close(pawl_writer *w)
{
    (void) w;
}

static int
set_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char offset[24];
    int n = pawl_keyval_args(reading->hi, args, pawl_keyval_args(reading->from, args, 0));

    args[n++] = pawl_arg_i64(reading->rows - 1, offset);
    pawl_stmt_ahead(&w->sql, w->job, reading->from->is_set);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static pawl_status
set_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_rejects_reset(&w->rejects);
    attempt->rows = attempt->asked;
    attempt->is_end = pawl_pg_rows(attempt->answer) == 0;
    if (attempt->is_end)
        return pawl_keyval_copy(&attempt->to, pawl_chunk_to(attempt->chunk), err);
    return pawl_keyval_from_row(&attempt->to, attempt->answer, 0, 0, w->job->key->ncolumns, err);
}

static int
set_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX];
    int n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));

    const pawl_set_shape shape = {.has_lower = attempt->from->is_set,
                                  .same = pawl_keyval_same(attempt->from, &attempt->to),
                                  .first_stripe =
                                      attempt->is_striped ? attempt->stripe : attempt->chunk->stripe,
                                  .per_set = attempt->is_striped ? attempt->next - attempt->stripe : 0};

    pawl_stmt_set(&w->sql, w->job, &shape);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static bool
set_is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    (void) w;
    attempt->written = pawl_pg_affected(answer);
    attempt->read = attempt->is_end || attempt->is_striped || attempt->chunk->stripe > 0 ? attempt->written
                                                                                         : attempt->asked;
    return true;
}

static pawl_status
set_settle(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt, pawl_error *err)
{
    (void) w;
    (void) pg;
    (void) answer;
    (void) attempt;
    return pawl_error_set(err, PAWL_E_BUG, "a set write has nothing to settle");
}

/* The row has to be looked up: the read has only said where it ends. It is locked, so that what is kept of it is what
 * was refused, or newer. */
static pawl_status
set_condemn(pawl_writer *w, pawl_pg *pg, const pawl_attempt *attempt, const pawl_error *why, int *count,
            pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    int n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));

    args[n++] = PAWL_ARG_I64(2);
    pawl_stmt_range_rows(&w->sql, w->job, attempt->from->is_set, w->rejects.columns, w->rejects.ncolumns);

    pawl_status st = pawl_pg_query(pg, w->sql.data, n, args, &res, err);

    if (st != PAWL_OK)
        return st;
    *count = pawl_pg_rows(res);
    if (*count == 1)
        pawl_rejects_add(&w->rejects, res, 0, 0, why);
    return pawl_rejects_check(&w->rejects, err);
}

const pawl_writer_kind pawl_writer_set = {
    .name = "set",
    .open = set_open,
    .close = set_close,
    .queue_read = set_queue_read,
    .take = set_take,
    .queue_write = set_queue_write,
    .is_complete = set_is_complete,
    .settle = set_settle,
    .condemn = set_condemn,
};
