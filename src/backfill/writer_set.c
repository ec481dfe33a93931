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
set_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_keyval *from, const pawl_keyval *hi,
               int64_t rows)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char offset[24];
    int n = pawl_keyval_args(hi, args, pawl_keyval_args(from, args, 0));

    args[n++] = pawl_arg_i64(rows - 1, offset);
    pawl_stmt_ahead(&w->sql, w->job, from->is_set);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static pawl_status
set_take(pawl_writer *w, const pawl_chunk *chunk, pawl_attempt *attempt, pawl_error *err)
{
    attempt->rows = attempt->asked;
    attempt->is_last = pawl_pg_rows(attempt->answer) == 0;
    if (attempt->is_last)
        return pawl_keyval_copy(&attempt->to, &chunk->hi, err);
    return pawl_keyval_from_row(&attempt->to, attempt->answer, 0, 0, w->job->key->ncolumns, err);
}

static int
set_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX];
    int n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));

    pawl_stmt_set(&w->sql, w->job, attempt->from->is_set, pawl_keyval_same(attempt->from, &attempt->to));
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static bool
set_is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    (void) w;
    attempt->written = pawl_pg_affected(answer);
    attempt->read = attempt->is_last ? attempt->written : attempt->asked;
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

const pawl_writer_kind pawl_writer_set = {
    .name = "set",
    .open = set_open,
    .close = set_close,
    .queue_read = set_queue_read,
    .take = set_take,
    .queue_write = set_queue_write,
    .is_complete = set_is_complete,
    .settle = set_settle,
};
