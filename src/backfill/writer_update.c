/*
 * The `update` writer, plain form: a batch is read without locks, transformed by Lua, and written by one UPDATE that
 * joins arrays to the table by key AND row version (xmin). A row that another session has changed in between does not
 * match and is never overwritten with a stale result. That is rare, so the bare UPDATE goes first and its count is
 * compared; only when rows are missing is the batch rolled back and repeated in a form that names the ordinals that
 * were not written (naming them always costs some 14 %), and those are settled one way or the other inside the same
 * transaction.
 */
#include <string.h>

#include "backfill/stripe.h"
#include "backfill/writer.h"
#include "pawl_sql.h"
#include "util/alloc.h"

#include "util/banned.h"

enum
{
    SETTLE_ROUNDS = 10 /* a row that others change faster than this is left to a smaller batch */
};

static pawl_status
update_open(pawl_writer *w, pawl_error *err)
{
    const pawl_job *job = w->job;
    pawl_lua_options options = pawl_job_lua_options(job, job->started_us);
    size_t most = (size_t) (3 * PAWL_KEY_MAX) + 4 + 2 * (size_t) job->nwrite;
    pawl_status st;

    w->args = pawl_calloc(most, sizeof *w->args);
    if (w->args == NULL)
        return pawl_error_nomem(err, "the arguments of a batch");
    if ((st = pawl_rowset_init(&w->rows, job, err)) != PAWL_OK ||
        (st = pawl_rowset_init(&w->again, job, err)) != PAWL_OK ||
        (st = pawl_address_init(&w->address, job, err)) != PAWL_OK)
        return st;
    if (pawl_job_has_rejects(job))
    {
        w->rows.rejects = &w->rejects;
        w->again.rejects = &w->rejects;
    }
    options.log = w->hooks.log;
    options.log_ctx = w->hooks.ctx;
    return pawl_lua_open(&options, &w->lua, err);
}

static void
update_close(pawl_writer *w)
{
    pawl_rowset_fini(&w->rows);
    pawl_rowset_fini(&w->again);
    pawl_address_fini(&w->address);
    pawl_free(w->args);
    pawl_lua_close(w->lua);
}

static int
update_queue_read(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char limit[24];
    int n = pawl_keyval_args(reading->hi, args, pawl_keyval_args(reading->from, args, 0));

    args[n++] = pawl_arg_i64(reading->rows, limit);
    pawl_stmt_read(&w->sql, w->job, reading->from->is_set, reading->with_ctids);
    return pawl_pg_pipe_add(pipe, w->sql.data, n, args);
}

static pawl_status
update_take(pawl_writer *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_status st = pawl_writer_find_end(w, attempt, err);

    if (st != PAWL_OK)
        return st;

    const pawl_rowset_source source = {.rows = attempt->answer,
                                       .first = 0,
                                       .ctid = attempt->is_striped ? pawl_pg_columns(attempt->answer) - 1 : 0,
                                       .first_stripe = attempt->chunk->stripe,
                                       .per_set = attempt->is_striped ? attempt->per_set : 0,
                                       .lua = w->lua,
                                       .tick = w->hooks.tick,
                                       .tick_ctx = w->hooks.ctx};

    if (!attempt->is_striped)
    {
        pawl_rowset_reset(attempt->sets, attempt->horizon);
        pawl_rejects_reset(&w->rejects);
    }
    st = pawl_rowset_transform(attempt->sets, &source, err);
    if (!attempt->is_striped)
        attempt->read = pawl_rowset_read(attempt->sets) + w->rejects.count;
    return st;
}

/* How far apart the keys of a set are at least. */
static int
address_step(const pawl_attempt *attempt)
{
    return attempt->is_striped && attempt->per_set == 1 ? PAWL_STRIPES : 1;
}

static bool
update_is_by_place(const pawl_attempt *attempt)
{
    return attempt->is_striped;
}

/* Plain: the range by its index, joined by hash. Striped: the rows by their places. */
static int
update_queue_write(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt)
{
    pawl_write_shape shape = {.with_ordinals = attempt->is_exact,
                              .with_range = !attempt->is_striped,
                              .with_ctids = attempt->is_striped,
                              .has_lower = attempt->from->is_set,
                              .same = pawl_keyval_same(attempt->from, &attempt->to),
                              .all_old = attempt->set->versions.all_old,
                              .is_masked = attempt->set->is_masked};
    char count[24];
    int n = 0;

    if (attempt->set->count == 0)
        return -1;
    if (!attempt->is_exact && pawl_address_can_fill(&w->address, attempt->set, address_step(attempt)))
    {
        shape.step = w->address.step;
        shape.all_old = !w->address.by_xmins;
    }
    if (attempt->is_striped)
        pawl_writer_queue_probe(w, pipe, attempt->set, w->args);
    else
        n = pawl_keyval_args(&attempt->to, w->args, pawl_keyval_args(attempt->from, w->args, 0));
    n = shape.step > 0 ? pawl_address_args(&w->address, attempt->set, w->args, n)
                       : pawl_rowset_args(attempt->set, w->args, n);
    if (attempt->is_exact)
        w->args[n++] = pawl_arg_i64(attempt->set->count, count);
    pawl_stmt_write(&w->sql, w->job, &shape);
    return attempt->is_striped ? pawl_pg_pipe_add_kept(pipe, w->sql.data, n, w->args)
                               : pawl_pg_pipe_add(pipe, w->sql.data, n, w->args);
}

static bool
update_is_complete(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt)
{
    (void) w;
    attempt->written = pawl_pg_affected(answer);
    return attempt->written == attempt->set->count;
}

/* Rows that could not be written although nobody else changed them: `missing` has their ordinals. */
static pawl_status
suppressed(pawl_writer *w, const pawl_pg_result *locked, const pawl_pg_result *missing, pawl_error *err)
{
    int row = w->again.source[pawl_pg_i64(missing, 0, 0) - 1];
    bool sets_aside = w->again.rejects != NULL && !w->job->spec->nulls_rejects;
    char key[200];

    for (int i = 0; sets_aside && i < pawl_pg_rows(missing); i++)
    {
        pawl_error why = PAWL_ERROR_INIT;

        (void) pawl_error_set(&why, PAWL_E_REFUSED, "a trigger on the table suppresses the update");
        pawl_rejects_add(w->again.rejects, locked, w->again.source[pawl_pg_i64(missing, i, 0) - 1], 2, &why);
    }
    if (sets_aside)
        return pawl_rejects_check(w->again.rejects, err);

    pawl_rowset_describe(w->job, locked, row, 2, key, sizeof key);
    (void) pawl_error_set(err, PAWL_E_TRANSFORM,
                          "row %s of \"%s.%s\" was locked and is still not written: a trigger "
                          "on the table suppresses the update",
                          key, w->job->table->schema, w->job->table->name);
    return pawl_error_hint(err,
                           "make the trigger let the update through, or leave such rows out with `where:`");
}

/* The keys of some rows of a result as arguments for a lookup. */
typedef struct key_args
{
    pawl_pg_array arrays[PAWL_KEY_MAX];
    pawl_pg_arg args[PAWL_KEY_MAX];
    int n;
} key_args;

static void
key_args_fill(key_args *k, const pawl_job *job, const pawl_pg_result *res, int first_key, const int *rows,
              int count)
{
    k->n = job->key->ncolumns;
    for (int i = 0; i < k->n; i++)
    {
        pawl_wire wire = pawl_wire_of(job->key->columns[i].column);

        pawl_pg_array_init(&k->arrays[i], pawl_wire_element(wire));
        for (int r = 0; r < count; r++)
            (void) pawl_wire_can_add(wire, &k->arrays[i], pawl_pg_text(res, rows[r], first_key + i),
                                     (size_t) pawl_pg_length(res, rows[r], first_key + i));
        k->args[i] = pawl_pg_array_arg(&k->arrays[i], pawl_wire_array(wire));
    }
}

static void
key_args_fini(key_args *k)
{
    for (int i = 0; i < k->n; i++)
        pawl_pg_array_fini(&k->arrays[i]);
}

static pawl_status
lookup(pawl_writer *w, pawl_pg *pg, const key_args *keys, bool lock, pawl_pg_result **out, pawl_error *err)
{
    pawl_stmt_lookup(&w->sql, w->job, lock);
    return pawl_pg_query_long(pg, w->sql.data, keys->n, keys->args, out, err);
}

/* Transform rows that we have locked, and write them. They cannot have changed, so every one must go in. */
static pawl_status
write_locked(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *locked, pawl_attempt *attempt,
             pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) missing = NULL;
    const pawl_rowset_source source = {.rows = locked, .first = 1, .lua = w->lua};
    pawl_status st;

    pawl_rowset_reset(&w->again, 0);
    if ((st = pawl_rowset_transform(&w->again, &source, err)) != PAWL_OK)
        return st;
    attempt->moved += pawl_pg_rows(locked);
    if (w->again.count == 0)
        return PAWL_OK;

    const pawl_write_shape shape = {
        .with_ordinals = true, .all_old = w->again.versions.all_old, .is_masked = w->again.is_masked};
    int n = pawl_rowset_args(&w->again, w->args, 0);

    w->args[n++] = PAWL_ARG_I64(w->again.count);
    pawl_stmt_write(&w->sql, w->job, &shape);
    st = pawl_pg_query_long(pg, w->sql.data, n, w->args, &missing, err);
    if (st != PAWL_OK)
        return st;
    attempt->written += w->again.count - pawl_pg_rows(missing);
    return pawl_pg_rows(missing) > 0 ? suppressed(w, locked, missing, err) : PAWL_OK;
}

/*
 * One round over `count` rows of `attempt->answer`: lock and redo those that are there. What a locking read does not
 * return may be there all the same (deleted and inserted again: the lock waits, the new version is not in its
 * snapshot), so a plain read looks again; only what neither finds is gone. *count is what is left for another round.
 */
static pawl_status
settle_round(pawl_writer *w, pawl_pg *pg, int *rows, int *count, pawl_attempt *attempt, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) locked = NULL;
    PAWL_AUTO(pawl_pg_result) there = NULL;
    bool seen[PAWL_MISSING_MAX] = {false};
    key_args keys;
    int left = 0;
    pawl_status st;

    key_args_fill(&keys, w->job, attempt->answer, 1, rows, *count);
    st = lookup(w, pg, &keys, true, &locked, err);
    key_args_fini(&keys);
    if (st != PAWL_OK || (st = write_locked(w, pg, locked, attempt, err)) != PAWL_OK)
        return st;
    for (int i = 0; i < pawl_pg_rows(locked); i++)
        seen[pawl_pg_i64(locked, i, 0) - 1] = true;
    for (int i = 0; i < *count; i++)
        if (!seen[i])
            rows[left++] = rows[i];
    *count = left;
    if (left == 0)
        return PAWL_OK;

    key_args_fill(&keys, w->job, attempt->answer, 1, rows, left);
    st = lookup(w, pg, &keys, false, &there, err);
    key_args_fini(&keys);
    if (st != PAWL_OK)
        return st;
    *count = pawl_pg_rows(there);
    attempt->gone += left - *count;
    /* The plain read answers ordinals in any order: keep those rows, lowest first. */
    bool is_there[PAWL_MISSING_MAX] = {false};

    for (int i = 0; i < *count; i++)
        is_there[pawl_pg_i64(there, i, 0) - 1] = true;
    for (int i = 0, k = 0; i < left; i++)
        if (is_there[i])
            rows[k++] = rows[i];
    return PAWL_OK;
}

static pawl_status
update_settle(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt,
              pawl_error *err)
{
    int rows[PAWL_MISSING_MAX];
    int count = pawl_pg_rows(answer);
    pawl_status st;

    /* Of a batch in flight each group of stripes sets its own rows aside. */
    if (w->again.rejects != NULL)
        w->again.rejects = attempt->rejects;
    attempt->written = attempt->set->count - count;
    if (count == 0)
        return PAWL_OK;
    if (count > PAWL_MISSING_MAX)
    {
        (void) pawl_error_set(err, PAWL_E_SERVER,
                              "more than %d rows of a batch were changed by others meanwhile",
                              PAWL_MISSING_MAX);
        return pawl_error_sqlstate(err, "40001");
    }
    for (int i = 0; i < count; i++)
        rows[i] = attempt->set->source[pawl_pg_i64(answer, i, 0) - 1];
    if ((st = pawl_pg_exec(pg, pawl_sql_backfill_plan_lookup, err)) != PAWL_OK)
        return st;
    for (int round = 0; count > 0 && round < SETTLE_ROUNDS; round++)
        if ((st = settle_round(w, pg, rows, &count, attempt, err)) != PAWL_OK)
            return st;
    if (count > 0)
    {
        (void) pawl_error_set(err, PAWL_E_SERVER,
                              "%d rows are changed by others faster than they can be locked", count);
        return pawl_error_sqlstate(err, "40001");
    }
    return pawl_pg_exec(pg, "SET CONSTRAINTS ALL IMMEDIATE", err);
}

/* By its key: a row that others have changed since is in the log of a swap, and done again. */
static void
add_write_null(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "UPDATE ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t SET ");
    for (int i = 0; i < job->nwrite; i++)
    {
        pawl_sql_add(b, i > 0 ? ", " : "");
        pawl_sql_ident(b, job->write[i]->name);
        pawl_sql_add(b, " = NULL");
    }
    for (int i = 0; i < job->key->ncolumns; i++)
    {
        const pawl_key_column *k = &job->key->columns[i];

        pawl_sql_add(b, i > 0 ? " AND " : " WHERE ");
        pawl_sql_column(b, "t", k->column->name);
        pawl_sql_add(b, " ");
        pawl_sql_operator(b, k->op_schema, k->op_eq);
        pawl_strbuf_addf(b, " $%d::", i + 1);
        pawl_sql_type(b, k->column->cast_name);
    }
}

/* The column has NULL there already. But what refuses NULL as well has not refused the row for its value: a trigger. */
static pawl_status
write_null(const pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[PAWL_KEY_MAX];
    int nkey = w->job->key->ncolumns;

    add_write_null(&sql, w->job);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    for (int i = 0; i < nkey; i++)
        args[i] = PAWL_ARG_TEXT(pawl_pg_text(answer, 0, 1 + i));
    return pawl_pg_query(pg, sql.data, nkey, args, NULL, err);
}

/* The row is still at hand, as the transform was given it. */
static pawl_status
update_condemn(pawl_writer *w, pawl_pg *pg, const pawl_attempt *attempt, const pawl_error *why, int *count,
               pawl_error *err)
{
    pawl_status st;

    *count = pawl_pg_rows(attempt->answer);
    if (*count != 1)
        return PAWL_OK;
    if (w->job->spec->nulls_rejects && (st = write_null(w, pg, attempt->answer, err)) != PAWL_OK)
        return st;
    pawl_rejects_add(&w->rejects, attempt->answer, 0, 1, why);
    return pawl_rejects_check(&w->rejects, err);
}

const pawl_writer_kind pawl_writer_update = {
    .name = "update",
    .open = update_open,
    .close = update_close,
    .queue_read = update_queue_read,
    .take = update_take,
    .is_by_place = update_is_by_place,
    .queue_write = update_queue_write,
    .is_complete = update_is_complete,
    .settle = update_settle,
    .condemn = update_condemn,
};
