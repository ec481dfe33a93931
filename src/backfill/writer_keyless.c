/*
 * The writers for a table without a key, which is paged by where its rows lie (ctid). A row moves when it is written, by
 * anybody, so neither can promise by position alone that each is written once. What promises it is `where`: the write
 * must make it false, and each statement says of the rows that it wrote whether it has. One that still matches stops the
 * job, before anything is committed: a later pass would find it and write it again.
 *
 * A row that others have changed between our reading and our writing is not found by its place and version, and left to
 * the next pass (pass.h).
 */
#include "backfill/writer.h"

#include "util/banned.h"

static pawl_status
update_open(pawl_writer *w, pawl_error *err)
{
    return pawl_writer_update.open(w, err);
}

static void
update_close(pawl_writer *w)
{
    pawl_writer_update.close(w);
}

static int
update_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    return pawl_writer_update.queue_read(w, pipe, reading);
}

/* A row that is left alone would be found again by every pass. */
static pawl_status
update_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_status st = pawl_writer_update.take(w, attempt, err);

    if (st != PAWL_OK || attempt->sets->left == 0)
        return st;
    (void) pawl_error_set(
        err, PAWL_E_TRANSFORM,
        "the transform left %lld rows of \"%s.%s\" alone, or would write what they hold already",
        (long long) attempt->sets->left, w->job->table->schema, w->job->table->name);
    (void) pawl_error_detail(err, "one of a batch of %lld rows for which `where` holds: (%s)",
                             (long long) attempt->rows, w->job->spec->where);
    return pawl_error_hint(
        err, "in a table without a key every row for which `where` holds must be written so that it "
             "holds no more: leave such rows out with `where:`, or give the table a key");
}

static int
update_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    const pawl_write_shape shape = {.with_range = true,
                                    .has_lower = attempt->from->is_set,
                                    .all_old = attempt->set->versions.all_old,
                                    .is_masked = attempt->set->is_masked};
    int n = pawl_keyval_args(&attempt->to, w->args, pawl_keyval_args(attempt->from, w->args, 0));

    if (attempt->set->count == 0)
        return -1;
    n = pawl_rowset_args(attempt->set, w->args, n);
    pawl_stmt_write(&w->sql, w->job, &shape);
    pawl_stmt_recheck(&w->sql, w->job);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, w->args);
}

static int
set_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX];
    const pawl_set_shape shape = {.has_lower = attempt->from->is_set};
    int n = pawl_keyval_args(&attempt->to, args, pawl_keyval_args(attempt->from, args, 0));

    pawl_stmt_set(&w->sql, w->job, &shape);
    pawl_stmt_recheck(&w->sql, w->job);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

/* Rows that were written, and those among them for which `where` still holds. */
static bool
is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    bool is_update = w->job->spec->lua_file != NULL;

    attempt->written = pawl_pg_i64(answer, 0, 0);
    if (is_update)
        attempt->moved = attempt->set->count - attempt->written;
    else
        attempt->read = attempt->written;
    return pawl_pg_i64(answer, 0, 1) == 0;
}

/* The same write has said so a second time. */
static pawl_status
settle(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt, pawl_error *err)
{
    (void) pg;
    if (is_complete(w, answer, attempt))
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "`where` still holds for %lld of %lld rows of \"%s.%s\" after they were written",
                          (long long) pawl_pg_i64(answer, 0, 1), (long long) pawl_pg_i64(answer, 0, 0),
                          w->job->table->schema, w->job->table->name);
    (void) pawl_error_detail(err, "where: (%s)", w->job->spec->where);
    return pawl_error_hint(
        err, "nothing of this batch is committed. In a table without a key the write itself must make "
             "`where` false, else a row would be written again and again; or give the table a key");
}

static pawl_status
set_open(pawl_writer *w, pawl_error *err)
{
    return pawl_writer_set.open(w, err);
}

static void
set_close(pawl_writer *w)
{
    pawl_writer_set.close(w);
}

static int
set_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    return pawl_writer_set.queue_read(w, pipe, reading);
}

static pawl_status
set_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    return pawl_writer_set.take(w, attempt, err);
}

const pawl_writer_kind pawl_writer_keyless_update = {
    .name = "update",
    .open = update_open,
    .close = update_close,
    .queue_read = update_queue_read,
    .take = update_take,
    .queue_write = update_queue_write,
    .is_complete = is_complete,
    .settle = settle,
};

const pawl_writer_kind pawl_writer_keyless_set = {
    .name = "set",
    .open = set_open,
    .close = set_close,
    .queue_read = set_queue_read,
    .take = set_take,
    .queue_write = set_queue_write,
    .is_complete = is_complete,
    .settle = settle,
};
