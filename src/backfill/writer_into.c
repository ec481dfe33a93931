/*
 * The writers of `into`: `copy` (COPY) and `merge` (INSERT ... ON CONFLICT DO UPDATE). A batch is read without locks and
 * transformed into rows of another table. Nothing of that table matches a version of the row that was read, so the rows
 * read are locked, by key and xmin, in the transaction that writes: whoever changes one of them comes after us, and finds
 * what we wrote. Those that have been changed in between are read again under the lock and transformed anew, as the
 * `update` writer does it. With `lock_rows: false` all that is left out.
 *
 * A server that waits for its client in the middle of a COPY, or of a long message behind others in a pipeline, is under no
 * time-out: a client that is stopped there keeps its locks until it is killed. So a COPY comes first, before hold and the
 * locks, and is rolled back when a row has changed; what is written with rows locked is sent so that the time-out for idle
 * transactions watches (pawl_pg_pipe_add_long). Rows that moved, which need their locks before they are transformed, go in
 * by INSERT.
 *
 * `merge` takes its rows as arrays and no staging table: one would leave its dead rows in the server's catalogue with
 * every batch, and need the right to create temporary tables.
 */
#include <string.h>

#include "backfill/into_write.h"
#include "backfill/writer.h"
#include "pawl_sql.h"
#include "util/alloc.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    SETTLE_ROUNDS = 10, /* as in writer_update.c */
    FEW_ROWS = 10,
    LONG_BYTES = 64 << 10,           /* of few rows: what a socket may not take at once */
    LOCK_ARGS = 3 * PAWL_KEY_MAX + 3 /* of w->args; those of an INSERT stand behind them */
};

static pawl_status
into_open(pawl_writer *w, pawl_error *err)
{
    const pawl_job *job = w->job;
    pawl_lua_options options = pawl_job_lua_options(job, job->started_us);
    pawl_status st;

    w->args = pawl_calloc((size_t) LOCK_ARGS + (size_t) job->nwrite, sizeof *w->args);
    if (w->args == NULL)
        return pawl_error_nomem(err, "the arguments of a batch");
    st = pawl_outrows_init(&w->out, job, err);
    if (st != PAWL_OK)
        return st;
    if (pawl_job_has_rejects(job))
        w->out.rejects = &w->rejects;
    options.log = w->hooks.log;
    options.log_ctx = w->hooks.ctx;
    return pawl_lua_open(&options, &w->lua, err);
}

static void
into_close(pawl_writer *w)
{
    pawl_outrows_fini(&w->out);
    pawl_free(w->args);
    pawl_lua_close(w->lua);
}

static int
into_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    return pawl_writer_update.queue_read(w, pipe, reading);
}

/* For `merge`: one row a key, and the arrays. */
static pawl_status
prepare_merge(pawl_writer *w, const pawl_attempt *attempt, pawl_error *err)
{
    int sources[2] = {0, 0};
    char keys[2][200];
    pawl_status st;

    if (w->out.rejects != NULL && (st = pawl_outrows_part(&w->out, attempt->answer, 1, err)) != PAWL_OK)
        return st;
    st = pawl_outrows_unite(&w->out, sources, err);
    if (st == PAWL_OK)
        return pawl_outrows_args(&w->out, w->args + LOCK_ARGS, err);
    if (st != PAWL_E_TRANSFORM || sources[1] >= pawl_pg_rows(attempt->answer))
        return st;
    for (int i = 0; i < 2; i++)
        pawl_rowset_describe(w->job, attempt->answer, sources[i], 1, keys[i], sizeof keys[i]);
    return pawl_error_detail(
        err, "they came from row %s%s%s of \"%s.%s\"", keys[0], sources[0] == sources[1] ? "" : " and row ",
        sources[0] == sources[1] ? "" : keys[1], w->job->table->schema, w->job->table->name);
}

/* For rows that are written under their locks. */
static pawl_status
prepare_insert(pawl_writer *w, const pawl_attempt *attempt, pawl_error *err)
{
    return w->job->nmerge > 0 ? prepare_merge(w, attempt, err)
                              : pawl_outrows_args(&w->out, w->args + LOCK_ARGS, err);
}

/*
 * The rows of a COPY, which cannot stand in a pipeline; for `merge` only BEGIN, before arguments that are long. Of a few,
 * as they are when a row that is held is waited for, every try would leave dead ones behind: those are locked first.
 */
static bool
is_copied(const pawl_writer *w)
{
    return w->job->nmerge == 0 && w->out.read > FEW_ROWS && pawl_outrows_live(&w->out) > 0;
}

static bool
into_has_load(const pawl_writer *w)
{
    return pawl_outrows_live(&w->out) > 0 && (w->out.read > FEW_ROWS || w->out.bytes.length > LONG_BYTES);
}

static pawl_status
into_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    int rows = pawl_pg_rows(attempt->answer);
    pawl_status st;

    attempt->is_end = rows < attempt->asked;
    if (attempt->is_end)
        st = pawl_keyval_copy(&attempt->to, pawl_chunk_to(attempt->chunk), err);
    else
        st = pawl_keyval_from_row(&attempt->to, attempt->answer, rows - 1, 1, w->job->key->ncolumns, err);
    if (st != PAWL_OK)
        return st;
    attempt->rows = rows;
    attempt->read = rows;

    const pawl_rowset_source source = {
        .rows = attempt->answer, .first = 0, .lua = w->lua, .tick = w->hooks.tick, .tick_ctx = w->hooks.ctx};

    pawl_outrows_reset(&w->out, attempt->horizon);
    pawl_rejects_reset(&w->rejects);
    if ((st = pawl_outrows_transform(&w->out, &source, err)) != PAWL_OK)
        return st;
    return is_copied(w) ? PAWL_OK : prepare_insert(w, attempt, err);
}

/* The statement that locks what was read, and its arguments. Returns their number. */
static int
build_lock(pawl_writer *w, const pawl_attempt *attempt, bool with_ordinals)
{
    const pawl_write_shape shape = {.with_ordinals = with_ordinals,
                                    .with_range = true,
                                    .has_lower = attempt->from->is_set,
                                    .same = pawl_keyval_same(attempt->from, &attempt->to),
                                    .all_old = w->out.versions.all_old};
    int n = pawl_keyval_args(&attempt->to, w->args, pawl_keyval_args(attempt->from, w->args, 0));

    pawl_stmt_lock(&w->sql, w->job, &shape);
    return pawl_outrows_lock_args(&w->out, w->args, n);
}

static int
queue_lock(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    char count[24];
    int n = build_lock(w, attempt, attempt->is_exact);

    if (attempt->is_exact)
        w->args[n++] = pawl_arg_i64(w->out.read, count);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, w->args);
}

static pawl_status
into_load(pawl_writer *w, pawl_pg *pg, pawl_attempt *attempt, pawl_error *err)
{
    int64_t taken = 0;
    pawl_status st;

    if (!is_copied(w))
        return PAWL_OK;
    PAWL_FAILPOINT("into.before_write");
    if ((st = pawl_into_copy(&w->out, pg, &w->sql, &taken, err)) != PAWL_OK)
        return st;
    attempt->written = taken;
    return PAWL_OK;
}

/* Locks, and the write as well where it is an INSERT. */
static int
into_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    int slot = -1;

    w->insert_slot = -1;
    if (w->out.read > 0 && !w->job->spec->is_unlocked)
        slot = queue_lock(w, pipe, attempt);
    if (is_copied(w) || attempt->is_exact || pawl_outrows_live(&w->out) == 0)
        return slot;
    pawl_stmt_insert(&w->sql, w->job);
    w->insert_slot = pawl_pg_pipe_add_long(pipe, w->sql.data, w->job->nwrite, w->args + LOCK_ARGS);
    return slot;
}

static bool
into_is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    (void) attempt;
    return pawl_pg_i64(answer, 0, 0) == w->out.read;
}

/* ---- rows that moved ------------------------------------------------------------------------------------------------ */

/* Rows of attempt->answer that are not settled yet; ordinals of a lookup are places here, from 1. */
typedef struct moved
{
    int rows[PAWL_MISSING_MAX];
    int count;
} moved;

static pawl_status
lookup(pawl_writer *w, pawl_pg *pg, const moved *m, const pawl_pg_result *answer, bool lock,
       pawl_pg_result **out, pawl_error *err)
{
    pawl_pg_array arrays[PAWL_KEY_MAX];
    pawl_pg_arg args[PAWL_KEY_MAX];
    int n = w->job->key->ncolumns;
    pawl_status st;

    for (int i = 0; i < n; i++)
    {
        pawl_wire wire = pawl_wire_of(w->job->key->columns[i].column);

        pawl_pg_array_init(&arrays[i], pawl_wire_element(wire));
        for (int r = 0; r < m->count; r++)
            (void) pawl_wire_can_add(wire, &arrays[i], pawl_pg_text(answer, m->rows[r], 1 + i),
                                     (size_t) pawl_pg_length(answer, m->rows[r], 1 + i));
        args[i] = pawl_pg_array_arg(&arrays[i], pawl_wire_array(wire));
    }
    pawl_stmt_lookup(&w->sql, w->job, lock);
    st = pawl_pg_query_long(pg, w->sql.data, n, args, out, err);
    for (int i = 0; i < n; i++)
        pawl_pg_array_fini(&arrays[i]);
    return st;
}

/* Keep those that the lookup returned, or those that it did not. */
static void
keep(moved *m, const pawl_pg_result *found, bool those_found)
{
    bool is_found[PAWL_MISSING_MAX] = {false};
    int left = 0;

    for (int i = 0; i < pawl_pg_rows(found); i++)
        is_found[pawl_pg_i64(found, i, 0) - 1] = true;
    for (int i = 0; i < m->count; i++)
        if (is_found[i] == those_found)
            m->rows[left++] = m->rows[i];
    m->count = left;
}

/*
 * Lock and transform those that are there. What a locking read does not return may be there all the same (deleted and
 * inserted again while it waited), so a plain read looks again; only what neither finds is gone.
 */
static pawl_status
settle_round(pawl_writer *w, pawl_pg *pg, moved *m, pawl_attempt *attempt, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) locked = NULL;
    PAWL_AUTO(pawl_pg_result) there = NULL;
    pawl_status st = lookup(w, pg, m, attempt->answer, true, &locked, err);

    if (st != PAWL_OK)
        return st;

    const pawl_rowset_source source = {.rows = locked, .first = 1, .lua = w->lua};

    if ((st = pawl_outrows_transform(&w->out, &source, err)) != PAWL_OK)
        return st;
    attempt->moved += pawl_pg_rows(locked);
    keep(m, locked, false);
    if (m->count == 0)
        return PAWL_OK;
    st = lookup(w, pg, m, attempt->answer, false, &there, err);
    if (st != PAWL_OK)
        return st;
    attempt->gone += m->count - pawl_pg_rows(there);
    keep(m, there, true);
    return PAWL_OK;
}

static pawl_status
fail_moving(int count, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_SERVER, "%s%d rows of a batch are changed by others faster than they can be locked",
        count > PAWL_MISSING_MAX ? "more than " : "", count > PAWL_MISSING_MAX ? PAWL_MISSING_MAX : count);
    return pawl_error_sqlstate(err, "40001");
}

/* A row set aside that has changed since is to be looked at anew: then the whole batch is. */
static pawl_status
check_refused(const pawl_writer *w, const moved *m, pawl_error *err)
{
    for (int i = 0; i < m->count; i++)
        for (int k = 0; k < w->rejects.count; k++)
            if (w->rejects.places[k] == m->rows[i])
            {
                (void) pawl_error_set(err, PAWL_E_SERVER, "a row was changed while it was refused");
                return pawl_error_sqlstate(err, "40001");
            }
    return PAWL_OK;
}

static pawl_status
into_settle(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt, pawl_error *err)
{
    moved m = {.count = pawl_pg_rows(answer)};
    pawl_status st;

    if (m.count == 0)
        return w->job->nmerge > 0 ? PAWL_OK : prepare_insert(w, attempt, err);
    if (m.count > PAWL_MISSING_MAX)
        return fail_moving(m.count, err);
    for (int i = 0; i < m.count; i++)
    {
        m.rows[i] = (int) pawl_pg_i64(answer, i, 0) - 1;
        pawl_outrows_drop(&w->out, m.rows[i]);
    }
    if ((st = check_refused(w, &m, err)) != PAWL_OK ||
        (st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) != PAWL_OK)
        return st;
    for (int round = 0; m.count > 0 && round < SETTLE_ROUNDS; round++)
        if ((st = settle_round(w, pg, &m, attempt, err)) != PAWL_OK)
            return st;
    return m.count > 0 ? fail_moving(m.count, err) : prepare_insert(w, attempt, err);
}

/* ---- the write ------------------------------------------------------------------------------------------------------ */

static pawl_status
into_finish(pawl_writer *w, const pawl_pg_pipe *pipe, pawl_attempt *attempt, pawl_error *err)
{
    int64_t live = pawl_outrows_live(&w->out);
    int64_t taken = 0;
    pawl_status st = PAWL_OK;

    /* Only now: a row that was changed, or a chunk that was lost, would have been the reason. */
    if (!attempt->is_exact && is_copied(w))
        return pawl_into_check(&w->out, attempt->written, err);
    PAWL_FAILPOINT("into.before_write");
    attempt->written = 0;
    if (live == 0)
        return PAWL_OK;
    if (w->insert_slot < 0)
        st = pawl_into_insert(&w->out, pipe->pg, &w->sql, w->args + LOCK_ARGS, &taken, err);
    else
        taken = pawl_pg_affected(pawl_pg_pipe_result(pipe, w->insert_slot));
    if (st != PAWL_OK)
        return st;
    attempt->written = taken;
    return pawl_into_check(&w->out, taken, err);
}

/* A row that is at fault by itself is no matter of order. */
static void
into_explain(const pawl_writer *w, pawl_error *err)
{
    if (w->out.rejects == NULL || w->out.read != 1)
        pawl_into_explain(&w->out, err);
}

/*
 * The one row is still at hand, as the transform was given it. It must be what stands in the table: the version that the
 * server refused and no other is passed over.
 */
static pawl_status
into_condemn(pawl_writer *w, pawl_pg *pg, const pawl_attempt *attempt, const pawl_error *why, int *count,
             pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = PAWL_OK;

    *count = w->out.read == 1 ? pawl_pg_rows(attempt->answer) : 0;
    if (*count == 1 && !w->job->spec->is_unlocked)
    {
        int n = build_lock(w, attempt, false);

        if ((st = pawl_pg_query(pg, w->sql.data, n, w->args, &res, err)) != PAWL_OK)
            return st;
        *count = (int) pawl_pg_i64(res, 0, 0);
    }
    if (*count == 1)
        pawl_rejects_add(&w->rejects, attempt->answer, 0, 1, why);
    return pawl_rejects_check(&w->rejects, err);
}

const pawl_writer_kind pawl_writer_into = {
    .name = "into",
    .open = into_open,
    .close = into_close,
    .queue_read = into_queue_read,
    .take = into_take,
    .has_load = into_has_load,
    .load = into_load,
    .queue_write = into_queue_write,
    .is_complete = into_is_complete,
    .settle = into_settle,
    .finish = into_finish,
    .explain = into_explain,
    .condemn = into_condemn,
};
