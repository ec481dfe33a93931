#include "backfill/worker.h"

#include "backfill/flight.h"
#include "backfill/stripe.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    CHUNK_BATCHES = 20,
    KEYLESS_BATCHES = 4, /* of a table without a key: each batch sorts what is left of its chunk */
    CHUNK_ROWS_MIN = 20000,
    CHUNK_ROWS_MAX = 200000,
    CHUNKS_PER_WORKER = 8, /* at least */
    LAST_CHUNKS = 3, /* so many of what is left for each worker: the last ones end at about the same time */
    GULPS = 2 * PAWL_STRIPES, /* under a rate: two batches in stripes */
    IDLE_MS_MIN = 5,          /* between two looks when everything is handed out; doubled each time ... */
    IDLE_MS_MAX = 100,        /* ... up to this */
    MOST_ATTEMPTS = 12        /* at a chunk of which no batch gets in */
};

static struct pawl_run_end *
locked(pawl_run *run) PAWL_REQUIRES(&run->lock)
{
    return &run->end_;
}

static bool
has_run_failed(pawl_run *run)
{
    pawl_mutex_lock(&run->lock);
    bool failed = locked(run)->has_failed;

    pawl_mutex_unlock(&run->lock);
    return failed;
}

/* The first failure wins; the others see it and end after the batch that they are in. */
static void
leave(pawl_worker *w, pawl_status st, const pawl_error *err)
{
    pawl_run *run = w->run;

    pawl_mutex_lock(&run->lock);
    struct pawl_run_end *end = locked(run);

    if (st != PAWL_OK && !end->has_failed)
    {
        end->has_failed = true;
        end->error = *err;
    }
    end->is_over = end->is_over || !w->is_surplus;
    end->at_work--;
    w->has_left = true;
    pawl_cond_broadcast(&run->changed);
    pawl_mutex_unlock(&run->lock);
}

void
pawl_run_note_batch(pawl_run *run, int64_t rows, int64_t elapsed_us)
{
    const pawl_backfill_env *env = run->job->env;

    if (env->on_batch == NULL)
        return;
    pawl_mutex_lock(&run->lock);
    env->on_batch(env->on_batch_ctx, rows, elapsed_us);
    pawl_mutex_unlock(&run->lock);
}

/* About twenty batches, but fewer towards the end, so that the workers end together (guided self-scheduling, Polychronopoulos
 * and Kuck 1987). An estimate only shapes the size. */
static int64_t
chunk_rows(const pawl_worker *w)
{
    const pawl_job *job = w->run->job;
    const pawl_backfill_spec *spec = job->spec;
    int64_t rows = pawl_pace_rows(w->run->pace) * CHUNK_BATCHES;
    int64_t workers = pawl_control_pacing(w->run->control).workers;
    int64_t at_once = w->flights != NULL ? PAWL_FLIGHTS : 1;
    int64_t share = job->rows_estimate / (workers * CHUNKS_PER_WORKER * at_once);
    int64_t gulp = pawl_control_gulp(w->run->control);
    pawl_progress now;
    int64_t left;

    if (spec->chunk_rows > 0)
        return spec->chunk_rows;
    if (job->is_keyless)
        return pawl_pace_rows(w->run->pace) * KEYLESS_BATCHES;
    if (share > 0 && rows > share)
        rows = share;
    pawl_meter_snapshot(w->run->meter, pawl_clock_us(), &now);
    left = (now.rows_total - now.rows_read) / (workers * LAST_CHUNKS * at_once);
    if (left > 0 && rows > left)
        rows = left;
    if (rows < CHUNK_ROWS_MIN)
        rows = CHUNK_ROWS_MIN;
    /* To look so many rows ahead for the end of a chunk is a gulp as well. */
    if (gulp > 0 && rows > gulp * GULPS)
        rows = gulp * GULPS;
    return rows > CHUNK_ROWS_MAX ? CHUNK_ROWS_MAX : rows;
}

/* Between the rows of a long transform: the session is idle then, so that it renews its own leases. A third of a lease
 * before its end; with batches in flight a sixth, because each of them may take so long before its chunk's turn. */
static pawl_status
renew_when_due(void *ctx, pawl_error *err)
{
    pawl_worker *w = ctx;
    const pawl_job *job = w->job;
    int64_t now_us = pawl_clock_us();
    pawl_status st = PAWL_OK;

    if (now_us - w->renewed_us < job->env->lease_ms * 1000 / (pawl_flights_has_any(w) ? 6 : 3))
        return PAWL_OK;
    if (w->has_chunk)
        st = pawl_chunk_renew(job, w->ledger, w->pg, &w->chunk, err);
    if (st == PAWL_OK)
        st = pawl_flights_renew(w, err);
    if (st == PAWL_OK)
        w->renewed_us = now_us;
    return st;
}

/* Kept for the thread that made the call, which alone may speak to the sink. A transform that logs every row would drown
 * everything else: what does not fit between two looks is counted. */
static void
note_log(void *ctx, const char *text)
{
    pawl_worker *w = ctx;
    pawl_run *run = w->run;

    pawl_mutex_lock(&run->lock);
    struct pawl_run_end *end = locked(run);

    /* A line may hold any value: where some are redacted only their number is told. */
    if (end->nlogs < PAWL_RUN_LOGS && run->job->spec->nredact == 0)
        pawl_fmt(end->logs[end->nlogs++], sizeof end->logs[0], "%s", text);
    else
        end->logs_lost++;
    pawl_mutex_unlock(&run->lock);
}

static pawl_status
prepare(pawl_worker *w, pawl_error *err)
{
    pawl_status st = pawl_ledger_new(w->job->env->schema, &w->ledger, err);

    w->hooks = (pawl_writer_hooks){.tick = renew_when_due, .log = note_log, .ctx = w};
    if (st != PAWL_OK || w->job->is_divided)
        return st;
    st = pawl_writer_open(&w->writer, w->job, &w->hooks, err);
    if (st == PAWL_OK && w->job->form.can_stripe)
        st = pawl_flights_new(w, err);
    return st;
}

/* Taken up again and again, and nothing gets in: a row that takes its backend down, or batches that outlast the lease.
 * Going on would crash the server all night. */
static pawl_status
give_up(const pawl_worker *w, pawl_error *err)
{
    const pawl_keyval *from = pawl_chunk_from(&w->chunk);

    (void) pawl_error_set(err, PAWL_E_STATE,
                          "chunk %lld of job %lld was taken up %d times in a row and no batch of it got in",
                          (long long) w->chunk.id, (long long) w->job->id, MOST_ATTEMPTS);
    (void) pawl_error_detail(err, "the rows after key (%s) of \"%s.%s\"; the last time: %s",
                             from->is_set ? from->part[0] : "the beginning", w->job->table->schema,
                             w->job->table->name, w->lost[0] != '\0' ? w->lost : "its worker died");
    return pawl_error_hint(err, "see in the server's log what ends the connection; where batches outlast the "
                                "lease, make them smaller or the lease longer; then run the same again");
}

/* Claim; *done when there is nothing left for this worker. */
static pawl_status
claim(pawl_worker *w, bool *done, pawl_error *err)
{
    pawl_claim got = PAWL_CLAIM_WAIT;
    int64_t held[PAWL_FLIGHTS];
    const pawl_claimant who = {.owner = w->owner, .held = held, .nheld = pawl_flights_ids(w, held)};
    pawl_status st = pawl_worker_claim(w, &who, chunk_rows(w), &got, err);

    if (st != PAWL_OK)
        return st;
    w->has_chunk = got == PAWL_CLAIM_CHUNK;
    if (w->has_chunk)
        w->idle_ms = 0;
    w->renewed_us = pawl_clock_us();
    *done = got == PAWL_CLAIM_DONE;
    if (w->has_chunk && w->chunk.attempts > MOST_ATTEMPTS)
        return give_up(w, err);
    w->is_dry = got == PAWL_CLAIM_WAIT || got == PAWL_CLAIM_NEXT;
    if (!w->is_dry || pawl_flights_has_any(w))
        return PAWL_OK;
    pawl_meter_hold(w->run->meter, w->number, "");
    w->idle_ms = w->idle_ms == 0 ? IDLE_MS_MIN : w->idle_ms * 2 < IDLE_MS_MAX ? w->idle_ms * 2 : IDLE_MS_MAX;
    return pawl_stop_sleep(w->job->env->stop, PAWL_STOP_FINISH, w->idle_ms, err);
}

/* Nothing is kept: no chunk, nothing of what was read ahead. */
static void
give_back(pawl_worker *w)
{
    pawl_worker_drop_next(w);
    if (w->has_chunk && w->pg != NULL)
        pawl_chunk_release(w->job, w->ledger, w->pg, &w->chunk);
    w->has_chunk = false;
    if (w->pg != NULL)
        pawl_flights_release(w);
}

int64_t
pawl_worker_rows(const pawl_worker *w)
{
    int64_t rows = pawl_pace_rows(w->run->pace);
    int64_t gulp = pawl_control_gulp(w->run->control);

    return gulp > 0 && gulp < rows ? gulp : rows;
}

/* About as many as the next transaction may take; it is settled by what it took. */
static int64_t
rows_ahead(const pawl_worker *w)
{
    int64_t rows = pawl_worker_rows(w);

    if (!w->has_chunk)
        return pawl_flights_has_any(w) ? pawl_pace_rows(w->run->pace) / PAWL_STRIPES + 1 : 0;
    return w->limit > 0 && w->limit < rows ? w->limit : rows;
}

/* Whether a batch may begin now. When not, a moment has passed, or *done is set. */
static pawl_status
ask_to_go(pawl_worker *w, bool *may_go, bool *done, pawl_error *err)
{
    char why[PAWL_HOLD_MAX];
    int64_t wait_ms = 0;
    pawl_permit permit;
    pawl_status st = pawl_control_check(w->run->control, err);

    if (st != PAWL_OK)
        return st;
    w->asked = rows_ahead(w);
    permit = pawl_control_ask(w->run->control, w->number, w->asked, why, &wait_ms);
    *may_go = permit == PAWL_PERMIT_GO;
    if (*may_go)
        return PAWL_OK;
    pawl_meter_hold(w->run->meter, w->number, why);
    if (permit != PAWL_PERMIT_WAIT)
        give_back(w);
    else if ((st = renew_when_due(w, err)) != PAWL_OK)
        return st;
    w->is_surplus = permit == PAWL_PERMIT_LEAVE;
    *done = w->is_surplus;
    return *done ? PAWL_OK : pawl_stop_sleep(w->job->env->stop, PAWL_STOP_FINISH, wait_ms, err);
}

/* While batches are sized by time the first ones are small. */
static bool
may_fly(const pawl_worker *w)
{
    if (!pawl_flights_has_room(w) || !pawl_form_is_striped(w->run->form))
        return false;
    return w->job->spec->form == PAWL_FORM_STRIPED || pawl_pace_rows(w->run->pace) >= PAWL_STRIPED_LEAST;
}

/* With an empty hand: nothing is in flight, or there is room for more and something to be had. */
static bool
can_use_another(const pawl_worker *w)
{
    return !pawl_flights_has_any(w) || (may_fly(w) && !w->is_dry);
}

/* Not while a fault is being narrowed down, nor before the end of a batch of which some stripes are done. */
static bool
can_take_off(const pawl_worker *w)
{
    return w->has_chunk && may_fly(w) && w->limit == 0 && !w->chunk.batch_hi.is_set;
}

/* A chunk, or a batch of one. *rows is what was at stake in the batch. */
static pawl_status
act(pawl_worker *w, int64_t *rows, bool *done, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (!w->has_chunk && can_use_another(w))
        return claim(w, done, err);
    if (!w->has_chunk && pawl_flights_has_landed(w))
        return PAWL_OK;
    if (can_take_off(w))
    {
        pawl_flights_take(w);
        return PAWL_OK;
    }
    /* Whoever waits for a row that others hold keeps the chunk meanwhile. */
    if ((w->repeats > 0 || pawl_flights_has_any(w)) && (st = renew_when_due(w, err)) != PAWL_OK)
        return st;
    st = w->has_chunk ? pawl_worker_batch(w, rows, err) : pawl_flights_turn(w, rows, err);
    if (st == PAWL_OK)
        pawl_worker_forgive(w, *rows);
    return st;
}

/* One thing after the other: a session, the leave to go on, a chunk or a batch. */
static pawl_status
advance(pawl_worker *w, int64_t *rows, bool *done, pawl_error *err)
{
    pawl_status st = pawl_stop_check(w->job->env->stop, PAWL_STOP_FINISH, err);
    bool may_go = false;

    if (st != PAWL_OK)
        return st;
    if (w->pg == NULL)
        return pawl_worker_connect(w, err);
    if ((st = ask_to_go(w, &may_go, done, err)) != PAWL_OK || !may_go)
        return st;
    w->took = -1;
    st = act(w, rows, done, err);
    pawl_control_settle(w->run->control, w->number, w->asked,
                        st != PAWL_OK  ? 0
                        : w->took >= 0 ? w->took
                                       : *rows);
    return st;
}

static pawl_status
work(pawl_worker *w, pawl_error *err)
{
    bool done = false;

    while (!done && !has_run_failed(w->run))
    {
        int64_t rows = 0;

        if (advance(w, &rows, &done, err) == PAWL_OK)
            continue;
        switch (pawl_worker_answer(w, rows, err))
        {
            case PAWL_ANSWER_AGAIN:
                break;
            case PAWL_ANSWER_CLAIM:
                w->has_chunk = false;
                pawl_flights_forget(w);
                break;
            case PAWL_ANSWER_FAIL:
                return err->code;
        }
    }
    return PAWL_OK;
}

void *
pawl_worker_main(void *worker)
{
    pawl_worker *w = worker;
    pawl_error err = PAWL_ERROR_INIT;

    pawl_meter_enter(w->run->meter, w->number);
    pawl_control_enter(w->run->control, w->number, w->owner);
    pawl_backoff_init(&w->backoff, 20, 2000);

    pawl_status st = prepare(w, &err);

    if (st == PAWL_OK)
        st = work(w, &err);
    if (w->pg != NULL)
        pawl_pg_ignore_stop(w->pg);
    give_back(w);
    pawl_flights_free(w);
    pawl_worker_leave(w);
    pawl_chunk_fini(&w->chunk);
    pawl_ledger_free(w->ledger);
    pawl_pg_close(w->pg);
    pawl_meter_leave(w->run->meter, w->number);
    pawl_control_leave(w->run->control, w->number);
    leave(w, st, &err);
    return NULL;
}
