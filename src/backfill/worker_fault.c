/* What a worker does about a failure; the table of docs/faults.md in code. */
#include "backfill/worker.h"
#include "pg/lockers.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_REPEATS = 50,    /* deadlocks and the like in a row, before it is no accident */
    MOST_CANCELS = 3,     /* a person who cancels thrice means it */
    MOST_DOWN_MS = 600000 /* ten minutes without a server */
};

pawl_status
pawl_worker_connect(pawl_worker *w, pawl_error *err)
{
    const pawl_backfill_env *env = w->job->env;
    char application[64];

    pawl_fmt(application, sizeof application, "pawl job %lld worker %d", (long long) w->job->id,
             w->number + 1);

    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = application,
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, &w->pg, err);
}

/* Half the rows next time; false when there is but one row left to blame. */
static bool
can_shrink(pawl_worker *w, int64_t rows)
{
    if (rows <= 1)
        return false;
    w->limit = rows / 2;
    return true;
}

static pawl_answer
fail(pawl_error *err, const char *hint)
{
    if (hint != NULL && err->hint[0] == '\0')
        (void) pawl_error_hint(err, "%s", hint);
    return PAWL_ANSWER_FAIL;
}

/* Wait before the next try; a stop meanwhile ends the run as a stop does. */
static pawl_answer
pause_then(pawl_worker *w, pawl_answer answer, pawl_error *err)
{
    pawl_error stopped = PAWL_ERROR_INIT;

    if (pawl_backoff_sleep(&w->backoff, w->job->env->stop, &stopped) == PAWL_OK)
        return answer;
    *err = stopped;
    return PAWL_ANSWER_FAIL;
}

/* Back off and connect again, for as long as the server is reasonably only restarting. */
static pawl_answer
reconnect(pawl_worker *w, pawl_error *err)
{
    int64_t since_us = pawl_clock_us();

    pawl_meter_hold(w->run->meter, w->number, "connecting to the server again");
    for (;;)
    {
        pawl_error again = PAWL_ERROR_INIT;

        pawl_pg_close(w->pg);
        w->pg = NULL;
        if (pause_then(w, PAWL_ANSWER_CLAIM, err) == PAWL_ANSWER_FAIL)
            return PAWL_ANSWER_FAIL;
        if (pawl_worker_connect(w, &again) == PAWL_OK)
        {
            pawl_meter_hold(w->run->meter, w->number, "");
            return PAWL_ANSWER_CLAIM;
        }
        *err = again;
        if (pawl_fault_of(err) != PAWL_FAULT_CONNECTION)
            return PAWL_ANSWER_FAIL;
        if (pawl_clock_us() - since_us > (int64_t) MOST_DOWN_MS * 1000)
            return fail(err,
                        "the server did not come back within ten minutes; run the same again when it has");
    }
}

/* Somebody holds a row or the table. A smaller batch meets fewer rows; at one row it is waited for, without a limit:
 * waiting for a row with a short time-out holds up nobody. */
static pawl_answer
wait_for_lock(pawl_worker *w, int64_t rows, pawl_error *err)
{
    char who[200] = "";
    char text[280];

    /* Once: the other workers need not pay for every try on the way to one row. */
    if (rows > 1 && !w->is_narrowing)
    {
        pawl_pace_back_off(w->run->pace);
        w->is_narrowing = true;
    }
    if (can_shrink(w, rows))
        return pause_then(w, PAWL_ANSWER_AGAIN, err);
    pawl_pg_lockers(w->pg, w->job->table->oid, who, sizeof who);
    pawl_fmt(text, sizeof text, "waiting for a lock%s%s", who[0] != '\0' ? " held by " : "", who);
    pawl_meter_hold(w->run->meter, w->number, text);
    return pause_then(w, PAWL_ANSWER_AGAIN, err);
}

/*
 * How many rows next. A bad row is searched for by halves of the rows that are known to hold one; found, the batches grow
 * again from the distance between bad rows, so that a table full of them is not read over and over.
 */
static void
resize(pawl_worker *w, int64_t rows)
{
    if (w->has_condemned)
    {
        w->suspects = 0;
        w->limit = w->clean > 0 ? w->clean : 1;
        w->clean = 0;
    }
    else
    {
        w->suspects = w->suspects > rows ? w->suspects - rows : 0;
        w->clean += rows;
        w->limit = w->suspects > 0 ? (w->suspects + 1) / 2 : 2 * w->limit;
    }
    w->has_condemned = false;
    if (w->suspects == 0 && w->limit >= pawl_pace_rows(w->run->pace))
        w->limit = 0;
    if (w->limit > 0 && w->next.asked > w->limit)
        pawl_worker_drop_next(w);
}

void
pawl_worker_forgive(pawl_worker *w, int64_t rows)
{
    w->repeats = 0;
    w->cancels = 0;
    w->has_replanned = false;
    pawl_backoff_reset(&w->backoff);
    pawl_meter_hold(w->run->meter, w->number, "");
    if (w->limit == 0)
        w->is_narrowing = false;
    resize(w, rows);
}

static bool
is_rows_fault(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    return err->code == PAWL_E_SERVER && (fault == PAWL_FAULT_ROW || fault == PAWL_FAULT_READ);
}

/* In a transaction that holds the chunk: who is it? */
static pawl_status
condemn(pawl_worker *w, pawl_attempt *attempt, const pawl_error *why, pawl_error *err)
{
    int count = 0;
    pawl_status st;

    pawl_rejects_reset(&w->writer.rejects);
    PAWL_FAILPOINT("backfill.before_condemn");
    if ((st = pawl_worker_hold(w, err)) != PAWL_OK ||
        (st = w->writer.kind->condemn(&w->writer, w->pg, attempt, why, &count, err)) != PAWL_OK)
        return st;
    if (count != 1)
    {
        (void) pawl_error_set(err, PAWL_E_SERVER, "the rows of a batch have changed while one was refused");
        return pawl_error_sqlstate(err, "40001");
    }
    attempt->read = 1;
    attempt->written = 0;
    attempt->moved = 0;
    attempt->gone = 0;
    return pawl_worker_commit(w, &w->chunk, attempt, NULL, &w->next, err);
}

bool
pawl_worker_has_condemned(pawl_worker *w, pawl_attempt *attempt, pawl_error *err)
{
    pawl_error why = *err;
    pawl_error failure = PAWL_ERROR_INIT;

    if (!pawl_job_has_rejects(w->job) || w->writer.kind->condemn == NULL || attempt->rows != 1 ||
        !is_rows_fault(err) || !pawl_pg_is_usable(w->pg) ||
        (w->job->spec->nulls_rejects && !pawl_reject_is_of_value(err)))
        return false;
    pawl_pg_rollback(w->pg);
    pawl_worker_drop_next(w);
    if (condemn(w, attempt, &why, &failure) != PAWL_OK)
    {
        *err = failure;
        return false;
    }
    w->has_condemned = true;
    return true;
}

static pawl_answer
blame_row(pawl_worker *w, int64_t rows, pawl_error *err)
{
    const pawl_keyval *from = pawl_chunk_from(&w->chunk);
    const pawl_table *table = w->job->table;
    char was[sizeof err->detail];

    if (can_shrink(w, rows))
    {
        w->suspects = rows;
        return PAWL_ANSWER_AGAIN;
    }
    pawl_fmt(was, sizeof was, "%s", err->detail);
    if (w->at_fault[0] != '\0')
        (void) pawl_error_detail(err, "row %s of \"%s.%s\"%s%s%s%s", w->at_fault, table->schema, table->name,
                                 w->writer.rows.tried[0] != '\0' ? ", to be set: " : "", w->writer.rows.tried,
                                 was[0] != '\0' ? "; " : "", was);
    else
        (void) pawl_error_detail(err, "the first row after key (%s) of \"%s.%s\"%s%s",
                                 from->is_set ? from->part[0] : "the beginning", table->schema, table->name,
                                 was[0] != '\0' ? "; " : "", was);
    return fail(
        err, "every row before it is committed; mend the row or the transform, then run the same again: it "
             "goes on from here");
}

pawl_answer
pawl_worker_answer(pawl_worker *w, int64_t rows, pawl_error *err)
{
    if (w->pg != NULL && pawl_pg_is_usable(w->pg))
        pawl_pg_rollback(w->pg);
    pawl_worker_drop_next(w);
    if (err->code == PAWL_E_STOPPED || err->code == PAWL_E_TRANSFORM || err->code == PAWL_E_NOMEM ||
        err->code == PAWL_E_BUG)
        return PAWL_ANSWER_FAIL;
    if (pawl_worker_has_lost_part(w, err))
        return PAWL_ANSWER_CLAIM;

    pawl_fault fault = pawl_fault_of(err);

    pawl_job_redact(w->job, err);

    w->repeats = fault == w->last_fault ? w->repeats + 1 : 1;
    w->last_fault = fault;
    if (fault == PAWL_FAULT_CONNECTION || fault == PAWL_FAULT_LEASE)
        pawl_fmt(w->lost, sizeof w->lost, "%s", err->message);
    switch (fault)
    {
        case PAWL_FAULT_CONNECTION:
            return reconnect(w, err);
        case PAWL_FAULT_REPEAT:
            if (w->repeats > MOST_REPEATS)
                return fail(err, "this happened fifty times in a row; something else works on the same rows");
            (void) can_shrink(w, rows);
            return pause_then(w, PAWL_ANSWER_AGAIN, err);
        case PAWL_FAULT_LOCK:
            return wait_for_lock(w, rows, err);
        case PAWL_FAULT_CANCELLED:
            if (++w->cancels >= MOST_CANCELS)
                return fail(err, "somebody cancelled the batch three times; run the same again to go on");
            (void) can_shrink(w, rows);
            return pause_then(w, PAWL_ANSWER_AGAIN, err);
        case PAWL_FAULT_ROW:
        case PAWL_FAULT_READ:
            return blame_row(w, rows, err);
        case PAWL_FAULT_SMALLER:
            pawl_pace_back_off(w->run->pace);
            return can_shrink(w, rows) ? pause_then(w, PAWL_ANSWER_AGAIN, err) : fail(err, NULL);
        case PAWL_FAULT_PLAN:
            if (w->has_replanned)
                return fail(err, NULL);
            w->has_replanned = true;
            return reconnect(w, err);
        case PAWL_FAULT_LEASE:
            return w->repeats > 1 ? pause_then(w, PAWL_ANSWER_CLAIM, err) : PAWL_ANSWER_CLAIM;
        case PAWL_FAULT_INTERNAL:
            return w->repeats > 1 ? fail(err, NULL) : pause_then(w, PAWL_ANSWER_AGAIN, err);
        case PAWL_FAULT_DISK:
            /* The server's own hint says half of it. */
            (void) pawl_error_hint(
                err, "make room on the server's disk, then run the same again: it goes on from here");
            return PAWL_ANSWER_FAIL;
        case PAWL_FAULT_CORRUPT:
            return fail(
                err, "the server reports damaged data: check the disk and your backups before anything else");
        case PAWL_FAULT_STOP:
            return PAWL_ANSWER_FAIL;
    }
    return PAWL_ANSWER_FAIL;
}
