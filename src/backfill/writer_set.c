/*
 * The `set` writer: one UPDATE by SQL expressions over a range of keys. No row leaves the server; the read only finds
 * the key that ends the batch. READ COMMITTED re-evaluates the expressions on a row that another session has changed,
 * so nothing stale is written and there is nothing to settle.
 *
 * In stripes each of twelve such statements would read the whole range. So there the read brings where the rows are, and each
 * statement goes to its own. When it finds fewer (a row has moved, or is younger than the horizon, or a trigger keeps it as it
 * is), it is rolled back and the range is read after all.
 */
#include <inttypes.h>
#include <string.h>

#include "backfill/writer.h"

#include "util/banned.h"

enum
{
    MOST_CATCH_UPS = 10, /* a row whose update a trigger suppresses would be tried for ever */
};

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

    if (reading->with_ctids)
    {
        args[n++] = pawl_arg_i64(reading->rows, offset);
        pawl_stmt_read(&w->sql, w->job, reading->from->is_set, true);
        return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
    }
    args[n++] = pawl_arg_i64(reading->rows - 1, offset);
    pawl_stmt_ahead(&w->sql, w->job, reading->from->is_set);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static pawl_status
take_places(const pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    const pawl_rowset_source source = {.rows = attempt->answer,
                                       .ctid = pawl_pg_columns(attempt->answer) - 1,
                                       .first_stripe = attempt->chunk->stripe,
                                       .per_set = attempt->per_set};
    pawl_status st = pawl_writer_find_end(w, attempt, err);

    /* A fault is looked for in the plain form, which halves keys and not rows. */
    attempt->rows = attempt->asked;
    return st == PAWL_OK ? pawl_rowset_places(attempt->sets, &source, err) : st;
}

static pawl_status
set_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    if (attempt->is_striped)
        return take_places(w, attempt, err);
    pawl_rejects_reset(&w->rejects);
    attempt->rows = attempt->asked;
    attempt->is_end = pawl_pg_rows(attempt->answer) == 0;
    if (attempt->is_end)
        return pawl_keyval_copy(&attempt->to, pawl_chunk_to(attempt->chunk), err);
    return pawl_keyval_from_row(&attempt->to, attempt->answer, 0, 0, w->job->key->ncolumns, err);
}

static bool
set_is_by_place(const pawl_attempt *attempt)
{
    return attempt->is_striped && !attempt->is_exact && attempt->set->versions.all_old;
}

static int
queue_places(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_rowset *set = attempt->set;
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 5];
    char stripe[24];
    char oid[24];
    char file[24];
    int n;

    pawl_writer_queue_probe(w, pipe, set, args);
    args[0] = pawl_pg_array_arg(&set->ctids, PAWL_OID_TID_ARRAY);
    n = pawl_versions_args(&set->versions, NULL, args, 1);
    args[n++] = pawl_arg_i64(attempt->stripe, stripe);
    args[n++] = pawl_arg_i64(w->job->table->oid, oid);
    args[n++] = pawl_arg_i64(attempt->file, file);
    n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, n));
    pawl_stmt_set_places(&w->sql, w->job, attempt->from->is_set,
                         pawl_keyval_same(attempt->from, &attempt->to));
    return pawl_pg_pipe_add_kept(pipe, w->sql.data, n, args);
}

static pawl_set_shape
shape_of(const pawl_attempt *attempt)
{
    return (pawl_set_shape){.has_lower = attempt->from->is_set,
                            .same = pawl_keyval_same(attempt->from, &attempt->to),
                            .first_stripe = attempt->is_striped ? attempt->stripe : attempt->chunk->stripe,
                            .per_set = attempt->is_striped ? attempt->per_set : 0};
}

static int
set_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX];
    int n = 0;

    if (attempt->is_striped && attempt->set->count == 0)
        return -1;
    if (set_is_by_place(attempt))
        return queue_places(w, pipe, attempt);
    n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));

    const pawl_set_shape shape = shape_of(attempt);

    pawl_stmt_set(&w->sql, w->job, &shape);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static void
count_written(const pawl_pg_result *answer, pawl_attempt *attempt)
{
    attempt->written = pawl_pg_affected(answer);
    attempt->read = attempt->is_end || attempt->is_striped || attempt->chunk->stripe > 0 ? attempt->written
                                                                                         : attempt->asked;
}

static bool
set_is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    (void) w;
    count_written(answer, attempt);
    return !set_is_by_place(attempt) || attempt->written == attempt->set->count;
}

/* The range has been read: what it did not find is not there, or not to be written. */
static pawl_status
set_settle(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt, pawl_error *err)
{
    (void) w;
    (void) pg;
    (void) err;
    count_written(answer, attempt);
    return PAWL_OK;
}

static bool
is_counted(const pawl_attempt *attempt)
{
    if (attempt->is_striped)
        return set_is_by_place(attempt);
    return !attempt->is_end && attempt->chunk->stripe == 0 && attempt->written == attempt->asked;
}

static pawl_status
run_young(pawl_writer *w, pawl_pg *pg, const pawl_attempt *attempt, bool is_question, int64_t *count,
          pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_set_shape shape = shape_of(attempt);
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char horizon[12];
    int n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));
    pawl_status st;

    pawl_fmt(horizon, sizeof horizon, "%" PRIu32, attempt->horizon);
    args[n++] = PAWL_ARG_TEXT(horizon);
    pawl_stmt_set_young(&w->sql, w->job, &shape, is_question);
    if ((st = pawl_pg_query(pg, w->sql.data, n, args, &res, err)) == PAWL_OK)
        *count = is_question ? pawl_pg_rows(res) : pawl_pg_affected(res);
    return st;
}

/*
 * A transaction that deletes a row and inserts it again, and commits while the statement waits for it, leaves a row that the
 * statement's snapshot does not have. Where the read's count of rows came true, none was lost that way; else what came since
 * the read and was not written here is written now, during which the same may happen once more. It is asked for first: an
 * UPDATE of no rows would still be one to the table's triggers.
 */
static pawl_status
set_catch_up(pawl_writer *w, pawl_pg *pg, pawl_attempt *attempt, pawl_error *err)
{
    int64_t more = is_counted(attempt) ? 0 : 1;
    pawl_status st = PAWL_OK;

    for (int tries = 0; st == PAWL_OK && more > 0 && tries < MOST_CATCH_UPS; tries++)
    {
        int64_t written = 0;

        if ((st = run_young(w, pg, attempt, true, &more, err)) == PAWL_OK && more > 0)
            st = run_young(w, pg, attempt, false, &written, err);
        attempt->written += written;
    }
    if (attempt->read < attempt->written)
        attempt->read = attempt->written;
    return st;
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
    .is_by_place = set_is_by_place,
    .queue_write = set_queue_write,
    .is_complete = set_is_complete,
    .settle = set_settle,
    .catch_up = set_catch_up,
    .condemn = set_condemn,
};
