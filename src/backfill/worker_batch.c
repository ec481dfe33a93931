/* One batch in two round trips; see worker.h. */
#include "backfill/worker.h"
#include "pawl_sql.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* The pins of a transaction that may run user code: `where:`, `set:`, triggers. pg_catalog comes first, so that no
 * object of that path can stand for one of ours. */
static pawl_pg_pins
batch_pins(const pawl_job *job, pawl_strbuf *path)
{
    pawl_strbuf_addf(path, "pg_catalog, %s", job->env->search_path);
    return (pawl_pg_pins){.search_path = path->data,
                          .lock_timeout_ms = job->env->lock_timeout_ms,
                          .idle_timeout_ms = job->env->lease_ms,
                          .worker = job->id};
}

void
pawl_worker_drop_next(pawl_worker *w)
{
    pawl_pg_result_free(w->next);
    w->next = NULL;
}

/* BEGIN, the read, COMMIT: its own transaction, without row locks. Returns the slot of the answer. */
static int
queue_read(pawl_worker *w, pawl_pg_pipe *pipe, const pawl_keyval *from, int64_t rows)
{
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = batch_pins(w->job, &path);

    (void) pawl_pg_pipe_begin(pipe, &pins);
    (void) pawl_pg_pipe_add(pipe, pawl_sql_backfill_plan_read, 0, NULL);
    int slot = w->writer.kind->queue_read(&w->writer, pipe, from, &w->chunk.hi, rows);
    (void) pawl_pg_pipe_commit(pipe);
    (void) pawl_pg_pipe_sync(pipe);
    return slot;
}

static int64_t
rows_to_ask(const pawl_worker *w)
{
    int64_t rows = pawl_pace_rows(w->run->pace);

    return w->limit > 0 && w->limit < rows ? w->limit : rows;
}

static pawl_status
read_first(pawl_worker *w, pawl_error *err)
{
    pawl_pg_pipe pipe;
    int64_t rows = rows_to_ask(w);
    pawl_status st;

    pawl_pg_pipe_init(&pipe, w->pg);
    int slot = queue_read(w, &pipe, pawl_chunk_from(&w->chunk), rows);

    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
    {
        w->next = pawl_pg_pipe_take(&pipe, slot);
        w->next_asked = rows;
    }
    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* Pipeline 1. The transaction stays open: what it answered decides how it goes on. */
static pawl_status
write_batch(pawl_worker *w, pawl_attempt *attempt, pawl_pg_pipe *pipe, int *slot, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    const pawl_job *job = w->job;
    pawl_pg_pins pins = batch_pins(job, &path);
    pawl_pg_array cursor;
    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&w->chunk.cursor, &cursor);

    const pawl_pg_arg hold[] = {
        PAWL_ARG_I64(job->id), PAWL_ARG_I64(w->chunk.id), PAWL_ARG_I64(w->chunk.fence),
        w->chunk.cursor.is_set ? pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL};

    (void) pawl_pg_pipe_begin(pipe, &pins);
    (void) pawl_pg_pipe_add(pipe, pawl_sql_backfill_plan_range, 0, NULL);
    (void) pawl_pg_pipe_add(pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_hold), 4, hold);
    *slot = w->writer.kind->queue_write(&w->writer, pipe, attempt);
    (void) pawl_pg_pipe_add(pipe, "SET CONSTRAINTS ALL IMMEDIATE", 0, NULL);
    (void) pawl_pg_pipe_sync(pipe);
    pawl_pg_array_fini(&cursor);
    return pawl_pg_pipe_run(pipe, NULL, err);
}

/*
 * Write until every row is accounted for. The first try counts; when rows are missing it is rolled back and the second
 * names them and settles them in its own transaction.
 */
static pawl_status
write_and_settle(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
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
    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* Pipeline 2: checkpoint and commit, and behind their sync the next read. */
static pawl_status
commit_batch(pawl_worker *w, const pawl_attempt *attempt, pawl_error *err)
{
    const pawl_job *job = w->job;
    int64_t rows = rows_to_ask(w);
    PAWL_STRBUF_AUTO(table);
    pawl_pg_array cursor;
    pawl_pg_pipe pipe;
    int slot = -1;
    int failed = -1;
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st;

    pawl_pg_array_init(&cursor, PAWL_OID_TEXT);
    pawl_keyval_to_array(&attempt->to, &cursor);

    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id),
                                PAWL_ARG_I64(w->chunk.id),
                                PAWL_ARG_I64(w->chunk.fence),
                                pawl_pg_array_arg(&cursor, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_BOOL(attempt->is_last),
                                PAWL_ARG_I64(job->env->lease_ms),
                                PAWL_ARG_I64(attempt->read),
                                PAWL_ARG_I64(attempt->written),
                                PAWL_ARG_I64(attempt->moved),
                                PAWL_ARG_I64(attempt->gone),
                                PAWL_ARG_TEXT("0")};

    pawl_sql_ident2(&table, job->table->schema, job->table->name);

    const pawl_pg_arg same[] = {PAWL_ARG_TEXT(table.data), PAWL_ARG_I64(job->table->oid)};

    pawl_pg_pipe_init(&pipe, w->pg);
    (void) pawl_pg_pipe_add(&pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_check_table), 2, same);
    (void) pawl_pg_pipe_add(&pipe, pawl_ledger_sql(w->ledger, pawl_sql_backfill_checkpoint), 11, args);
    int commit = pawl_pg_pipe_commit(&pipe);
    (void) pawl_pg_pipe_sync(&pipe);
    if (!attempt->is_last)
        slot = queue_read(w, &pipe, &attempt->to, rows);
    pawl_pg_array_fini(&cursor);
    PAWL_FAILPOINT("backfill.before_commit");
    st = pawl_pg_pipe_run(&pipe, &failed, &failure);
    if (st == PAWL_OK && slot >= 0)
    {
        w->next = pawl_pg_pipe_take(&pipe, slot);
        w->next_asked = rows;
    }
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

static pawl_status
run_attempt(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_status st;

    if ((st = w->writer.kind->take(&w->writer, &w->chunk, attempt, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_read");
    if ((st = write_and_settle(w, attempt, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_write");
    if ((st = commit_batch(w, attempt, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_commit");
    return pawl_keyval_copy(&w->chunk.cursor, &attempt->to, err);
}

pawl_status
pawl_worker_batch(pawl_worker *w, int64_t *rows, pawl_error *err)
{
    pawl_attempt attempt = {.from = pawl_chunk_from(&w->chunk)};
    int64_t began_us = pawl_clock_us();
    pawl_pg_result *answer = NULL;
    pawl_status st;

    *rows = rows_to_ask(w);
    w->at_fault[0] = '\0';
    if (w->next == NULL && (st = read_first(w, err)) != PAWL_OK)
        return st;
    /* The rows are needed until the batch is settled; the next read is put in their place by the commit. */
    answer = w->next;
    w->next = NULL;
    attempt.answer = answer;
    attempt.asked = w->next_asked;
    attempt.rows = w->next_asked;
    st = run_attempt(w, &attempt, err);
    *rows = attempt.rows;
    if (st == PAWL_OK)
    {
        const pawl_meter_counts counts = {.read = attempt.read,
                                          .written = attempt.written,
                                          .moved = attempt.moved,
                                          .gone = attempt.gone,
                                          .batches = 1};
        int64_t now_us = pawl_clock_us();

        pawl_meter_add(w->run->meter, &counts);
        pawl_pace_done(w->run->pace, attempt.rows, now_us - began_us);
        pawl_meter_set_batch(w->run->meter, (int32_t) pawl_pace_rows(w->run->pace));
        pawl_run_note_batch(w->run, attempt.rows, now_us - began_us);
        w->renewed_us = now_us;
        w->has_chunk = !attempt.is_last;
    }
    else if (attempt.rows == 1 && w->writer.kind == &pawl_writer_update)
        pawl_rowset_describe(w->job, answer, 0, 1, w->at_fault, sizeof w->at_fault);
    pawl_pg_result_free(answer);
    pawl_keyval_fini(&attempt.to);
    return st;
}
