#include "backfill/claim.h"

#include <string.h>

#include "backfill/pass.h"
#include "backfill/stmt.h"
#include "core/log.h"
#include "pawl_sql.h"
#include "pg/pipe.h"
#include "util/failpoint.h"

#include "util/banned.h"

void
pawl_chunk_fini(pawl_chunk *chunk)
{
    pawl_keyval_fini(&chunk->lo);
    pawl_keyval_fini(&chunk->hi);
    pawl_keyval_fini(&chunk->cursor);
    pawl_keyval_fini(&chunk->batch_hi);
    *chunk = (pawl_chunk){0};
}

const pawl_keyval *
pawl_chunk_from(const pawl_chunk *chunk)
{
    return chunk->cursor.is_set ? &chunk->cursor : &chunk->lo;
}

const pawl_keyval *
pawl_chunk_to(const pawl_chunk *chunk)
{
    return chunk->batch_hi.is_set ? &chunk->batch_hi : &chunk->hi;
}

/* Who holds the lease: the backend, so that a killed process costs nobody a wait. */
static pawl_pg_arg
backend_pid(const pawl_pg *pg, char buf[24])
{
    return pawl_pg_backend_pid(pg) != 0 ? pawl_arg_i64(pawl_pg_backend_pid(pg), buf) : PAWL_ARG_NULL;
}

static pawl_pg_arg
backend_start(const pawl_pg *pg)
{
    const char *start = pawl_pg_backend_start(pg);

    return start[0] != '\0' ? PAWL_ARG_TEXT(start) : PAWL_ARG_NULL;
}

static void
note_incarnation(pawl_chunk *chunk, const pawl_pg_result *res, int column)
{
    pawl_fmt(chunk->incarnation, sizeof chunk->incarnation, "%s", pawl_pg_text(res, 0, column));
}

/* A row of claim_open.sql. */
static pawl_status
chunk_from_row(pawl_chunk *chunk, const pawl_pg_result *res, pawl_error *err)
{
    pawl_status st;

    chunk->id = pawl_pg_i64(res, 0, 0);
    chunk->part = (int) pawl_pg_i64(res, 0, 1);
    chunk->fence = pawl_pg_i64(res, 0, 5);
    chunk->attempts = pawl_pg_i64(res, 0, 6);
    chunk->stripe = (int) pawl_pg_i64(res, 0, 8);
    note_incarnation(chunk, res, 9);
    if ((st = pawl_keyval_from_array(&chunk->lo, res, 0, 2, err)) != PAWL_OK ||
        (st = pawl_keyval_from_array(&chunk->hi, res, 0, 3, err)) != PAWL_OK ||
        (st = pawl_keyval_from_array(&chunk->cursor, res, 0, 4, err)) != PAWL_OK)
        return st;
    return pawl_keyval_from_array(&chunk->batch_hi, res, 0, 7, err);
}

pawl_status
pawl_chunk_take_over(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_claimant *who,
                     pawl_chunk *chunk, bool *got, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    pawl_pg_array held;
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_array_init(&held, PAWL_OID_INT8);
    for (int i = 0; i < who->nheld; i++)
        pawl_pg_array_add_i64(&held, who->held[i]);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id),
                                PAWL_ARG_TEXT(who->owner),
                                PAWL_ARG_I64(job->env->lease_ms),
                                backend_pid(pg, (char[24]){0}),
                                backend_start(pg),
                                pawl_pg_array_arg(&held, PAWL_OID_INT8_ARRAY),
                                who->nheld > 0 ? PAWL_ARG_I64(job->part) : PAWL_ARG_NULL,
                                PAWL_ARG_TEXT(job->checksum)};

    pawl_pg_pipe_init(&pipe, pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    int slot = pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_claim_open), 8, args);
    (void) pawl_pg_pipe_commit(&pipe);
    (void) pawl_pg_pipe_sync(&pipe);
    pawl_pg_array_fini(&held);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
    {
        const pawl_pg_result *res = pawl_pg_pipe_result(&pipe, slot);

        *got = pawl_pg_rows(res) == 1;
        if (*got)
            st = chunk_from_row(chunk, res, err);
    }
    else
        pawl_pg_rollback(pg);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

static pawl_status
find_hi_below(const pawl_job *job, pawl_pg *pg, const pawl_keyval *lo, const pawl_keyval *bound, int64_t rows,
              pawl_keyval *hi, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_pg_arg args[2 * PAWL_KEY_MAX + 1];
    char offset[24];
    int n = pawl_keyval_args(lo, args, 0);
    pawl_status st;

    if (job->is_keyless)
        return pawl_pass_ahead(job, lo, bound, rows, hi, err);
    n = pawl_keyval_args(bound, args, n);
    args[n++] = pawl_arg_i64(rows - 1, offset);
    pawl_stmt_ahead(&sql, job, lo->is_set);
    if ((st = pawl_pg_query(pg, sql.data, n, args, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_keyval_copy(hi, bound, err);
    return pawl_keyval_from_row(hi, res, 0, 0, job->key->ncolumns, err);
}

/* The key `rows` ahead of the frontier, or the bound when fewer are left: that of `frontier`, which is the job's unless
 * another pass has begun. */
static pawl_status
find_hi(const pawl_job *job, pawl_pg *pg, const pawl_pg_result *frontier, const pawl_keyval *lo, int64_t rows,
        pawl_keyval *hi, pawl_error *err)
{
    pawl_keyval bound = {0};
    pawl_status found = pawl_keyval_from_array(&bound, frontier, 0, 2, err);

    if (found == PAWL_OK)
        found = find_hi_below(job, pg, lo, &bound, rows, hi, err);
    pawl_keyval_fini(&bound);
    return found;
}

/* And commit, in one round trip. */
static pawl_status
insert_chunk(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const char *owner, pawl_chunk *chunk,
             int64_t pass, pawl_error *err)
{
    pawl_pg_array lo;
    pawl_pg_array hi;
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_array_init(&lo, PAWL_OID_TEXT);
    pawl_pg_array_init(&hi, PAWL_OID_TEXT);
    pawl_keyval_to_array(&chunk->lo, &lo);
    pawl_keyval_to_array(&chunk->hi, &hi);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id),
                                PAWL_ARG_I64(chunk->id),
                                PAWL_ARG_I64(chunk->part),
                                pawl_pg_array_arg(&lo, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&hi, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_TEXT(owner),
                                PAWL_ARG_I64(job->env->lease_ms),
                                backend_pid(pg, (char[24]){0}),
                                backend_start(pg),
                                PAWL_ARG_I64(pass)};

    pawl_pg_pipe_init(&pipe, pg);
    int slot =
        pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_chunk_insert), 10, args);

    (void) pawl_pg_pipe_commit(&pipe);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
        note_incarnation(chunk, pawl_pg_pipe_result(&pipe, slot), 0);
    pawl_pg_pipe_fini(&pipe);
    pawl_pg_array_fini(&lo);
    pawl_pg_array_fini(&hi);
    return st;
}

static pawl_status
left_to_do(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_claim *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) open = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_open_chunks, 1, args, &open, err);

    if (st == PAWL_OK)
        *out = pawl_pg_i64(open, 0, 0) == 0 ? PAWL_CLAIM_DONE : PAWL_CLAIM_WAIT;
    return st;
}

/* Who asks for how much, and what is known of the job under its row lock. */
typedef struct standing
{
    const char *owner;
    int64_t rows;
    pawl_pg_result *state;
    pawl_pg_result *last;   /* of the part: where its frontier is */
    pawl_pg_result *number; /* of the job's next chunk, over all parts */
} standing;

static void
standing_fini(standing *s)
{
    pawl_pg_result_free(s->state);
    pawl_pg_result_free(s->last);
    pawl_pg_result_free(s->number);
}

/*
 * Begin, lock, look, and set the planner up for what follows, in one round trip. Separate statements under the job's row
 * lock: as one statement, or under REPEATABLE READ, the frontier would be read with a snapshot from before the wait and a
 * chunk be handed out twice.
 */
static pawl_status
begin_and_look(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, standing *out, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(job->part)};
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    int state = pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_job_lock), 1, args);
    int last = pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_frontier), 2, args);
    int number =
        pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(ledger, pawl_sql_backfill_chunk_number), 1, args);

    (void) pawl_pg_pipe_add_kept(&pipe, pawl_sql_backfill_plan_read, 0, NULL);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
    {
        out->state = pawl_pg_pipe_take(&pipe, state);
        out->last = pawl_pg_pipe_take(&pipe, last);
        out->number = pawl_pg_pipe_take(&pipe, number);
    }
    pawl_pg_pipe_fini(&pipe);
    return st;
}

static pawl_status
advance(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const standing *is, pawl_chunk *chunk,
        pawl_claim *out, pawl_error *err)
{
    const pawl_pg_result *state = is->state;
    const pawl_pg_result *last = is->last;
    pawl_status st;

    if (pawl_pg_rows(state) == 0 || strcmp(pawl_pg_text(state, 0, 0), "open") != 0)
    {
        *out = PAWL_CLAIM_DONE;
        return PAWL_OK;
    }
    if (strcmp(pawl_pg_text(state, 0, 1), job->checksum) != 0)
        return pawl_job_is_changed(job, err);
    /* No row: there is no such part any more. */
    if (pawl_pg_rows(last) == 0 || pawl_pg_is_null(last, 0, 2) || pawl_pg_is_true(last, 0, 1))
    {
        *out = PAWL_CLAIM_NEXT;
        return job->root != NULL ? PAWL_OK : left_to_do(job, ledger, pg, out, err);
    }
    chunk->part = job->part;
    chunk->id = pawl_pg_i64(is->number, 0, 0);
    chunk->fence = 1;
    chunk->attempts = 1;
    pawl_keyval_clear(&chunk->cursor);
    pawl_keyval_clear(&chunk->batch_hi);
    chunk->stripe = 0;
    if ((st = pawl_keyval_from_array(&chunk->lo, last, 0, 0, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("claim.before_insert");
    if ((st = find_hi(job, pg, last, &chunk->lo, is->rows, &chunk->hi, err)) != PAWL_OK ||
        (st = insert_chunk(job, ledger, pg, is->owner, chunk, pawl_pg_i64(last, 0, 3), err)) != PAWL_OK)
        return st;
    *out = PAWL_CLAIM_CHUNK;
    return PAWL_OK;
}

pawl_status
pawl_chunk_advance(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_claimant *who,
                   int64_t rows, pawl_chunk *chunk, pawl_claim *out, pawl_error *err)
{
    standing is = {.owner = who->owner, .rows = rows};
    pawl_status st = begin_and_look(job, ledger, pg, &is, err);

    if (st == PAWL_OK)
        st = advance(job, ledger, pg, &is, chunk, out, err);
    standing_fini(&is);
    if (st == PAWL_OK && *out == PAWL_CLAIM_CHUNK)
    {
        PAWL_FAILPOINT("claim.after_insert");
        return st;
    }
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_chunk_left(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_claim *out, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = job->env->lock_timeout_ms};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = left_to_do(job, ledger, pg, out, err);
    pawl_pg_rollback(pg);
    return st;
}

pawl_status
pawl_chunk_renew(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_chunk *chunk,
                 pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {.lock_timeout_ms = 100};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(chunk->id), PAWL_ARG_I64(chunk->fence),
                                PAWL_ARG_I64(job->env->lease_ms)};
    pawl_status st;

    if ((st = pawl_pg_begin(pg, &pins, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, pawl_ledger_sql(ledger, pawl_sql_backfill_lease_renew), 4, args, &res, err);
    if (st == PAWL_OK && pawl_pg_affected(res) == 1)
        return pawl_pg_commit(pg, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        return pawl_error_set(err, PAWL_E_LEASE, "the lease on chunk %lld of job %lld is lost",
                              (long long) chunk->id, (long long) job->id);
    return st;
}

pawl_status
pawl_lease_release(int64_t job, int64_t chunk, int64_t fence, pawl_ledger *ledger, pawl_pg *pg,
                   pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = 100};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job), PAWL_ARG_I64(chunk), PAWL_ARG_I64(fence)};
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_lease_release, 3, args, NULL, err);
    if (st == PAWL_OK && (st = pawl_pg_commit(pg, err)) == PAWL_OK)
        return st;
    pawl_pg_rollback(pg);
    return st;
}

void
pawl_chunk_release(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_chunk *chunk)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (pawl_pg_is_usable(pg) &&
        pawl_lease_release(job->id, chunk->id, chunk->fence, ledger, pg, &ignored) != PAWL_OK)
        pawl_log_text(job->env->sink, PAWL_EVENT_DEBUG, "chunk %lld of job %lld was not given back: %s",
                      (long long) chunk->id, (long long) job->id, ignored.message);
}
