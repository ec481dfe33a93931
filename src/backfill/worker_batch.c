/* One batch in two round trips; see worker.h. */
#include "backfill/flight.h"
#include "backfill/stripe.h"
#include "backfill/worker.h"
#include "pawl_sql.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The pins of a transaction that may run user code: `where:`, `set:`, triggers. pg_catalog comes first, so that no
 * object of that path can stand for one of ours. No commit of a batch waits for the disk: should the server crash, data
 * and cursor are lost together, and done again; changes of state, which wait, make sure of all that went before. */
static pawl_pg_pins
batch_pins(const pawl_job *job, pawl_strbuf *path)
{
    pawl_strbuf_addf(path, "pg_catalog, %s", job->env->search_path);
    return (pawl_pg_pins){.search_path = path->data,
                          .lock_timeout_ms = job->env->lock_timeout_ms,
                          .idle_timeout_ms = job->env->lease_ms,
                          .async_commit = true,
                          .worker = job->id};
}

void
pawl_worker_drop_next(pawl_worker *w)
{
    pawl_pg_result_free(w->next.rows);
    w->next = (pawl_fetch){0};
}

static void
queue_table_check(pawl_worker *w, const pawl_table *t, pawl_pg_pipe *pipe)
{
    PAWL_STRBUF_AUTO(table);

    pawl_sql_ident2(&table, t->schema, t->name);

    const pawl_job *job = w->job;
    const pawl_pg_arg same[] = {PAWL_ARG_TEXT(table.data), PAWL_ARG_I64(t->oid),
                                t == job->table && job->root != NULL ? PAWL_ARG_I64(job->root->oid)
                                                                     : PAWL_ARG_NULL,
                                t == job->table && job->is_keyless ? PAWL_ARG_I64(w->file) : PAWL_ARG_NULL};

    (void) pawl_pg_pipe_add_kept(pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_check_table), 4, same);
}

/* Where the answers to a read stand in a pipe. */
typedef struct read_slots
{
    int horizon;
    int file; /* -1: not asked for */
    int rows;
} read_slots;

/* BEGIN, the read, COMMIT: its own transaction, without row locks. */
static read_slots
queue_read(pawl_worker *w, pawl_pg_pipe *pipe, const pawl_reading *reading)
{
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = batch_pins(w->job, &path);
    const pawl_pg_arg table[] = {PAWL_ARG_I64(w->job->table->oid)};
    read_slots slots;

    (void) pawl_pg_pipe_begin(pipe, &pins);
    slots.horizon = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_plan_read, 0, NULL);
    slots.file =
        reading->with_ctids ? pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_read_file, 1, table) : -1;
    slots.rows = w->writer.kind->queue_read(&w->writer, pipe, reading);
    /* Rows of another table that had the name for a moment, or none, would let the cursor pass over ours. */
    if (!w->job->is_keyless)
        queue_table_check(w, w->job->table, pipe);
    (void) pawl_pg_pipe_commit(pipe);
    (void) pawl_pg_pipe_sync(pipe);
    return slots;
}

static void
take_read(pawl_pg_pipe *pipe, const read_slots *slots, const pawl_reading *reading, pawl_fetch *out)
{
    const pawl_pg_result *horizon = pawl_pg_pipe_result(pipe, slots->horizon);

    out->horizon = (uint32_t) pawl_pg_i64(horizon, 0, pawl_pg_columns(horizon) - 1);
    out->file = slots->file < 0 ? 0 : pawl_pg_i64(pawl_pg_pipe_result(pipe, slots->file), 0, 0);
    out->rows = pawl_pg_pipe_take(pipe, slots->rows);
    out->asked = reading->rows;
}

static int64_t
rows_to_ask(const pawl_worker *w)
{
    int64_t rows = pawl_worker_rows(w);

    return pawl_worker_fit(w, w->limit > 0 && w->limit < rows ? w->limit : rows, 1);
}

pawl_status
pawl_worker_read(pawl_worker *w, const pawl_reading *reading, pawl_fetch *out, pawl_error *err)
{
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, w->pg);
    read_slots slots = queue_read(w, &pipe, reading);

    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
        take_read(&pipe, &slots, reading, out);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* A key as a text[], NULL when it is not set. The array is reset first. */
static pawl_pg_arg
key_arg(const pawl_keyval *key, pawl_pg_array *array)
{
    pawl_keyval_to_array(key, array);
    return key->is_set ? pawl_pg_array_arg(array, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL;
}

static void
queue_hold(pawl_worker *w, const pawl_chunk *chunk, pawl_pg_pipe *pipe)
{
    pawl_pg_array cursor;
    pawl_pg_array batch_hi;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_pg_array_init(&batch_hi, PAWL_OID_TEXT);

    const pawl_pg_arg hold[] = {PAWL_ARG_I64(w->job->id),
                                PAWL_ARG_I64(chunk->id),
                                PAWL_ARG_I64(chunk->fence),
                                key_arg(&chunk->cursor, &cursor),
                                key_arg(&chunk->batch_hi, &batch_hi),
                                PAWL_ARG_I64(chunk->stripe),
                                PAWL_ARG_TEXT(chunk->incarnation)};

    (void) pawl_pg_pipe_add_kept(pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_hold), 7, hold);
    pawl_pg_array_fini(&cursor);
    pawl_pg_array_fini(&batch_hi);
}

/* What this session has updated since it last looked. The server hands its counts over now and then, and begins anew:
 * then what it has is what came since. */
static void
note_counts(pawl_worker *w, const pawl_pg_result *res, pawl_attempt *attempt)
{
    int64_t updates = res != NULL ? pawl_pg_i64(res, 0, 0) : 0;
    int64_t hot = res != NULL ? pawl_pg_i64(res, 0, 1) : 0;
    bool is_anew = updates < w->seen_updates || hot < w->seen_hot;

    attempt->updates = is_anew ? updates : updates - w->seen_updates;
    attempt->hot = is_anew ? hot : hot - w->seen_hot;
    w->seen_updates = updates;
    w->seen_hot = hot;
}

/* What cannot stand in a pipe goes before it, in the same transaction: no time-out of the server's works while it waits for
 * a client in the middle of that, so nothing that others want may be locked yet, nor the chunk. */
static pawl_status
load_batch(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = batch_pins(w->job, &path);
    pawl_status st = pawl_pg_begin(w->pg, &pins, err);

    return st != PAWL_OK ? st : w->writer.kind->load(&w->writer, w->pg, attempt, err);
}

/* Pipeline 1. The transaction stays open: what it answered decides how it goes on. */
static pawl_status
write_batch(pawl_worker *w, pawl_attempt *attempt, pawl_pg_pipe *pipe, int *slot, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = batch_pins(w->job, &path);
    bool by_place = w->writer.kind->is_by_place != NULL && w->writer.kind->is_by_place(attempt);
    bool is_counted = attempt->is_striped && attempt->next == PAWL_STRIPES;
    bool is_loaded =
        !attempt->is_exact && w->writer.kind->load != NULL && w->writer.kind->has_load(&w->writer);
    const pawl_pg_arg table[] = {PAWL_ARG_I64(w->job->table->oid)};
    int counts = -1;
    pawl_status st;

    if (is_loaded && (st = load_batch(w, attempt, err)) != PAWL_OK)
        return st;
    if (!is_loaded)
        (void) pawl_pg_pipe_begin(pipe, &pins);
    (void) pawl_pg_pipe_add_kept(pipe, by_place ? pawl_sql_backfill_plan_ctid : pawl_sql_backfill_plan_range,
                                 0, NULL);
    queue_hold(w, attempt->chunk, pipe);
    *slot = w->writer.kind->queue_write(&w->writer, pipe, attempt);
    (void) pawl_pg_pipe_add_kept(pipe, "SET CONSTRAINTS ALL IMMEDIATE", 0, NULL);
    if (is_counted)
        counts = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_form_counts, 1, table);
    (void) pawl_pg_pipe_sync(pipe);
    st = pawl_pg_pipe_run(pipe, NULL, err);
    if (st == PAWL_OK && is_counted)
        note_counts(w, pawl_pg_pipe_result(pipe, counts), attempt);
    return st;
}

pawl_status
pawl_worker_hold(pawl_worker *w, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = batch_pins(w->job, &path);
    pawl_pg_pipe pipe;

    pawl_pg_pipe_init(&pipe, w->pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    (void) pawl_pg_pipe_add_kept(&pipe, pawl_sql_backfill_plan_range, 0, NULL);
    queue_hold(w, &w->chunk, &pipe);
    (void) pawl_pg_pipe_sync(&pipe);

    pawl_status st = pawl_pg_pipe_run(&pipe, NULL, err);

    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* The first try counts; when rows are missing it is rolled back and the second names them and settles them in its own
 * transaction. */
pawl_status
pawl_worker_write(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_pg_pipe pipe;
    int slot = -1;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, w->pg);
    st = write_batch(w, attempt, &pipe, &slot, err);
    if (st == PAWL_OK && slot >= 0 &&
        !w->writer.kind->is_complete(&w->writer, pawl_pg_pipe_result(&pipe, slot), attempt))
    {
        pawl_pg_pipe_reset(&pipe);
        pawl_pg_rollback(w->pg);
        attempt->is_exact = true;
        st = write_batch(w, attempt, &pipe, &slot, err);
        if (st == PAWL_OK)
            st = w->writer.kind->settle(&w->writer, w->pg, pawl_pg_pipe_result(&pipe, slot), attempt, err);
    }
    if (st == PAWL_OK && slot >= 0 && w->writer.kind->catch_up != NULL)
        st = w->writer.kind->catch_up(&w->writer, w->pg, attempt, err);
    if (st == PAWL_OK && w->writer.kind->finish != NULL)
        st = w->writer.kind->finish(&w->writer, &pipe, attempt, err);
    if (st != PAWL_OK && w->writer.kind->explain != NULL)
        w->writer.kind->explain(&w->writer, err);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* Where the chunk stands once the attempt is in. A batch that was left half done stays so until its end is reached:
 * for the keys that are left of it the stripes below `stripe` are still those that are done. */
typedef struct standing
{
    const pawl_keyval *cursor; /* NULL: it stays */
    const pawl_keyval *batch_hi;
    int stripe;
} standing;

static standing
standing_after(const pawl_attempt *attempt)
{
    if (attempt->is_striped && attempt->next < PAWL_STRIPES)
        return (standing){.batch_hi = &attempt->to, .stripe = attempt->next};
    if (!attempt->is_striped && !attempt->is_end && attempt->chunk->batch_hi.is_set)
        return (standing){
            .cursor = &attempt->to, .batch_hi = &attempt->chunk->batch_hi, .stripe = attempt->chunk->stripe};
    return (standing){.cursor = &attempt->to};
}

static pawl_status
move_chunk(pawl_chunk *chunk, const pawl_attempt *attempt, pawl_error *err)
{
    standing after = standing_after(attempt);
    pawl_status st = PAWL_OK;

    chunk->stripe = after.stripe;
    if (after.batch_hi == NULL)
        pawl_keyval_clear(&chunk->batch_hi);
    else if (after.batch_hi != &chunk->batch_hi)
        st = pawl_keyval_copy(&chunk->batch_hi, after.batch_hi, err);
    if (st == PAWL_OK && after.cursor != NULL)
        st = pawl_keyval_copy(&chunk->cursor, after.cursor, err);
    return st;
}

static int64_t
rejected(const pawl_attempt *attempt)
{
    return attempt->rejects == NULL ? 0 : attempt->rejects->count;
}

static void
queue_checkpoint(pawl_worker *w, const pawl_attempt *attempt, pawl_pg_pipe *pipe)
{
    static const pawl_keyval none = {0};
    const pawl_job *job = w->job;
    standing after = standing_after(attempt);
    pawl_pg_array cursor;
    pawl_pg_array batch_hi;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_pg_array_init(&batch_hi, PAWL_OID_TEXT);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id),
                                PAWL_ARG_I64(attempt->chunk->id),
                                PAWL_ARG_I64(attempt->chunk->fence),
                                key_arg(after.cursor != NULL ? after.cursor : &none, &cursor),
                                PAWL_ARG_BOOL(attempt->is_last && after.batch_hi == NULL),
                                PAWL_ARG_I64(job->env->lease_ms),
                                PAWL_ARG_I64(attempt->read),
                                PAWL_ARG_I64(attempt->written),
                                PAWL_ARG_I64(attempt->moved),
                                PAWL_ARG_I64(attempt->gone),
                                PAWL_ARG_I64(rejected(attempt)),
                                key_arg(after.batch_hi != NULL ? after.batch_hi : &none, &batch_hi),
                                PAWL_ARG_I64(after.stripe),
                                PAWL_ARG_I64(attempt->updates),
                                PAWL_ARG_I64(attempt->hot)};

    (void) pawl_pg_pipe_add_kept(pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_checkpoint), 15, args);
    pawl_pg_array_fini(&cursor);
    pawl_pg_array_fini(&batch_hi);
}

/* Pipeline 2: checkpoint and commit, and behind their sync the next read. */
static pawl_status
run_commit(pawl_worker *w, const pawl_attempt *attempt, const pawl_reading *next, pawl_fetch *fetched,
           pawl_error *err)
{
    pawl_pg_pipe pipe;
    read_slots slots = {0};
    int failed = -1;
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, w->pg);
    queue_table_check(w, w->job->table, &pipe);
    if (w->job->target != NULL)
        queue_table_check(w, w->job->target, &pipe);
    if (attempt->rejects != NULL)
        pawl_rejects_queue(attempt->rejects, w->ledger, &pipe);
    queue_checkpoint(w, attempt, &pipe);
    int commit = pawl_pg_pipe_commit(&pipe);
    (void) pawl_pg_pipe_sync(&pipe);
    if (next != NULL)
        slots = queue_read(w, &pipe, next);
    PAWL_FAILPOINT("backfill.before_commit");
    st = pawl_pg_pipe_run(&pipe, &failed, &failure);
    if (st == PAWL_OK && next != NULL)
        take_read(&pipe, &slots, next, fetched);
    /* What fails behind the commit is the next read: this batch is in, and that read will meet its error again. */
    else if (st != PAWL_OK && failed > commit)
    {
        pawl_pg_rollback(w->pg);
        st = PAWL_OK;
    }
    else if (st != PAWL_OK)
        *err = failure;
    pawl_pg_pipe_fini(&pipe);
    return st;
}

pawl_status
pawl_worker_commit(pawl_worker *w, pawl_chunk *chunk, const pawl_attempt *attempt, const pawl_reading *next,
                   pawl_fetch *fetched, pawl_error *err)
{
    const pawl_meter_counts counts = {.read = attempt->read,
                                      .written = attempt->written,
                                      .moved = attempt->moved,
                                      .gone = attempt->gone,
                                      .rejected = rejected(attempt),
                                      .batches = 1};
    pawl_status st = run_commit(w, attempt, next, fetched, err);

    if (st != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_commit");
    pawl_meter_add(w->run->meter, &counts);
    /* Only this chunk's lease is renewed by it; those of the others are not. */
    if (!pawl_flights_has_any(w))
        w->renewed_us = pawl_clock_us();
    return move_chunk(chunk, attempt, err);
}

static pawl_status
run_attempt(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
{
    bool is_in_half = w->chunk.batch_hi.is_set;
    pawl_status st;

    if ((st = w->writer.kind->take(&w->writer, attempt, err)) != PAWL_OK)
        return st;
    attempt->is_last = attempt->is_end && (!is_in_half || pawl_keyval_is_same(&attempt->to, &w->chunk.hi));
    PAWL_FAILPOINT("backfill.after_read");
    if ((st = pawl_worker_write(w, attempt, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_write");

    const pawl_reading next = {.from = &attempt->to,
                               .hi = attempt->is_end ? &w->chunk.hi : pawl_chunk_to(&w->chunk),
                               .rows = rows_to_ask(w)};

    return pawl_worker_commit(w, &w->chunk, attempt, attempt->is_last ? NULL : &next, &w->next, err);
}

static pawl_status
read_first(pawl_worker *w, pawl_error *err)
{
    const pawl_reading reading = {
        .from = pawl_chunk_from(&w->chunk), .hi = pawl_chunk_to(&w->chunk), .rows = rows_to_ask(w)};

    return pawl_worker_read(w, &reading, &w->next, err);
}

void
pawl_worker_timed(pawl_worker *w, int64_t rows, int64_t elapsed_us, int transactions)
{
    pawl_pace_done(w->run->pace, rows, elapsed_us / transactions);
    pawl_meter_set_batch(w->run->meter, (int32_t) pawl_pace_rows(w->run->pace));
    pawl_run_note_batch(w->run, rows, elapsed_us);
}

pawl_status
pawl_worker_batch(pawl_worker *w, int64_t *rows, pawl_error *err)
{
    pawl_attempt attempt = {
        .chunk = &w->chunk, .sets = &w->writer.rows, .set = &w->writer.rows, .rejects = &w->writer.rejects};
    int64_t began_us = pawl_clock_us();
    pawl_fetch fetch;
    pawl_status st;

    *rows = rows_to_ask(w);
    w->at_fault[0] = '\0';
    if (w->next.rows == NULL && (st = read_first(w, err)) != PAWL_OK)
        return st;
    /* The rows are needed until the batch is settled; the next read is put in their place by the commit. */
    fetch = w->next;
    w->next = (pawl_fetch){0};
    pawl_worker_note_width(w, fetch.rows);
    attempt.from = pawl_chunk_from(&w->chunk);
    attempt.answer = fetch.rows;
    attempt.asked = fetch.asked;
    attempt.horizon = fetch.horizon;
    attempt.rows = fetch.asked;
    st = run_attempt(w, &attempt, err);
    *rows = attempt.rows;
    if (st != PAWL_OK && pawl_worker_has_condemned(w, &attempt, err))
        st = PAWL_OK;
    if (st == PAWL_OK)
    {
        pawl_worker_timed(w, attempt.rows, pawl_clock_us() - began_us, 1);
        w->has_chunk = !attempt.is_last;
    }
    else if (attempt.rows == 1 && w->job->spec->lua_file != NULL)
        pawl_rowset_describe(w->job, fetch.rows, 0, 1, w->at_fault, sizeof w->at_fault);
    pawl_pg_result_free(fetch.rows);
    pawl_keyval_fini(&attempt.to);
    return st;
}
