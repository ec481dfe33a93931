#include "backfill/run.h"

#include <string.h>
#include <unistd.h>

#include "backfill/worker.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    TICK_US = 250000,
    MOST_WORKERS = 64,
    MOST_CLOSE_MS = 600000 /* as long as a worker waits for a server that is gone */
};

static struct pawl_run_end *
locked(pawl_run *run) PAWL_REQUIRES(&run->lock)
{
    return &run->end_;
}

static pawl_status
open_session(const pawl_backfill_env *env, pawl_pg **out, pawl_error *err)
{
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .application = "pawl backfill",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, out, err);
}

static void
emit_progress(pawl_run *run, const pawl_sink *sink)
{
    pawl_progress progress;
    const pawl_event event = {.kind = PAWL_EVENT_PROGRESS, .progress = &progress};

    pawl_meter_snapshot(run->meter, pawl_clock_us(), &progress);
    pawl_log_emit(sink, &event);
}

/* What transforms have said since the last look. The lines are copied out, so that no lock is held at the sink. */
static void
emit_logs(pawl_run *run, const pawl_sink *sink)
{
    char lines[PAWL_RUN_LOGS][240];
    int count = 0;
    int64_t lost = 0;

    pawl_mutex_lock(&run->lock);
    struct pawl_run_end *end = locked(run);

    count = end->nlogs;
    lost = end->logs_lost;
    memcpy(lines, end->logs, sizeof lines);
    end->nlogs = 0;
    end->logs_lost = 0;
    pawl_mutex_unlock(&run->lock);
    for (int i = 0; i < count; i++)
        pawl_log_text(sink, PAWL_EVENT_INFO, "lua: %s", lines[i]);
    if (lost > 0)
        pawl_log_text(sink, PAWL_EVENT_INFO, "lua: %lld %s", (long long) lost,
                      run->job->spec->nredact == 0 ? "more lines"
                                                   : "lines, withheld because the step redacts columns");
}

/* Until every worker has ended, and about four times a second a look at the meter. */
static void
watch(pawl_run *run, const pawl_sink *sink)
{
    int64_t next_us = pawl_clock_us() + TICK_US;

    for (;;)
    {
        bool over = false;

        pawl_mutex_lock(&run->lock);
        while (locked(run)->at_work > 0 && pawl_cond_has_signal_before(&run->changed, &run->lock, next_us))
            continue;
        over = locked(run)->at_work == 0;
        pawl_mutex_unlock(&run->lock);
        emit_logs(run, sink);
        emit_progress(run, sink);
        if (over)
            return;
        next_us = pawl_clock_us() + TICK_US;
    }
}

static void
name_worker(pawl_worker *w)
{
    pawl_rng rng;
    char random[9];

    pawl_rng_init_random(&rng);
    pawl_rng_hex(&rng, random, 8);
    pawl_fmt(w->owner, sizeof w->owner, "%s/%d:%s", pawl_ledger_whereabouts(), w->number + 1, random);
}

static pawl_status
start_and_join(pawl_run *run, pawl_worker *workers, int count, const pawl_sink *sink, pawl_error *err)
{
    int started = 0;
    pawl_status st = PAWL_OK;

    pawl_mutex_lock(&run->lock);
    locked(run)->at_work = count;
    pawl_mutex_unlock(&run->lock);
    for (; started < count; started++)
    {
        pawl_worker *w = &workers[started];

        w->run = run;
        w->job = run->job;
        w->number = started;
        name_worker(w);
        if (pthread_create(&w->thread, NULL, pawl_worker_main, w) != 0)
            break;
    }
    if (started < count)
    {
        pawl_mutex_lock(&run->lock);
        locked(run)->at_work -= count - started;
        locked(run)->has_failed = true;
        (void) pawl_error_set(&locked(run)->error, PAWL_E_NOMEM, "cannot start worker %d of %d", started + 1,
                              count);
        pawl_mutex_unlock(&run->lock);
    }
    watch(run, sink);
    for (int i = 0; i < started; i++)
        (void) pthread_join(workers[i].thread, NULL);

    pawl_mutex_lock(&run->lock);
    if (locked(run)->has_failed)
    {
        *err = locked(run)->error;
        st = err->code;
    }
    pawl_mutex_unlock(&run->lock);
    return st;
}

static pawl_status
run_init(pawl_run *run, const pawl_job *job, const pawl_progress *base, pawl_error *err)
{
    const pawl_backfill_spec *spec = job->spec;
    const pawl_pace_options pace = {.fixed_rows = spec->batch_rows,
                                    .target_ms = spec->target_ms,
                                    .min_rows = spec->batch_min,
                                    .max_rows = spec->batch_max};
    const pawl_meter_options meter = {.job_id = job->id,
                                      .rows_total = base->rows_total,
                                      .base = {.read = base->rows_read,
                                               .written = base->rows_written,
                                               .moved = base->rows_moved,
                                               .gone = base->rows_gone,
                                               .rejected = base->rows_rejected,
                                               .batches = base->batches},
                                      .now_us = pawl_clock_us()};
    pawl_status st;

    *run = (pawl_run){.job = job};
    if (!pawl_mutex_can_init(&run->lock))
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a mutex");
    if (!pawl_cond_can_init(&run->changed))
    {
        pawl_mutex_fini(&run->lock);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a condition");
    }
    if ((st = pawl_pace_new(&pace, &run->pace, err)) == PAWL_OK)
        st = pawl_meter_new(&meter, &run->meter, err);
    return st;
}

static void
run_fini(pawl_run *run)
{
    pawl_meter_free(run->meter);
    pawl_pace_free(run->pace);
    pawl_cond_fini(&run->changed);
    pawl_mutex_fini(&run->lock);
}

static pawl_status
run_workers(const pawl_job *job, const pawl_progress *base, pawl_error *err)
{
    int64_t count = job->spec->workers < 1 ? 1 : job->spec->workers;
    pawl_worker *workers = NULL;
    pawl_run run;
    pawl_status st;

    if (count > MOST_WORKERS)
        return pawl_error_set(err, PAWL_E_INPUT,
                              "%lld workers are too many: at most %d, and about the server's cores "
                              "is best",
                              (long long) count, MOST_WORKERS);
    workers = pawl_calloc((size_t) count, sizeof *workers);
    if (workers == NULL)
        return pawl_error_nomem(err, "the workers");
    st = run_init(&run, job, base, err);
    if (st == PAWL_OK)
        st = start_and_join(&run, workers, (int) count, job->env->sink, err);
    run_fini(&run);
    pawl_free(workers);
    return st;
}

/* The session of the coordinator is idle while the workers work, for hours maybe: a new one closes the job. */
static pawl_status
close_once(pawl_job *job, pawl_ledger *ledger, pawl_progress *totals, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    PAWL_FAILPOINT("job.before_finish");
    if (st != PAWL_OK || (st = pawl_job_finish(job, ledger, pg, err)) != PAWL_OK)
        return st;
    return pawl_job_totals(job, ledger, pg, totals, err);
}

static bool
is_passing(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    return fault == PAWL_FAULT_CONNECTION || fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_REPEAT;
}

/* All the work is done: a server that restarts just now must not make it look otherwise. */
static pawl_status
close_job(pawl_job *job, pawl_ledger *ledger, pawl_progress *totals, pawl_error *err)
{
    int64_t since_us = pawl_clock_us();
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 2000);
    for (;;)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = close_once(job, ledger, totals, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if (!is_passing(err) || pawl_clock_us() - since_us > (int64_t) MOST_CLOSE_MS * 1000)
            return st;
        if ((st = pawl_backoff_sleep(&backoff, job->env->stop, err)) != PAWL_OK)
            return st;
    }
}

static pawl_status
open_and_run(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env,
             const pawl_backfill_id *id, pawl_backfill_result *result, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_progress base = {0};
    pawl_status st;

    if ((st = pawl_ledger_new(env->schema, &ledger, err)) != PAWL_OK ||
        (st = open_session(env, &pg, err)) != PAWL_OK ||
        (st = pawl_job_open(job, spec, env, id, ledger, pg, err)) != PAWL_OK ||
        (st = pawl_job_totals(job, ledger, pg, &base, err)) != PAWL_OK)
        return st;
    pawl_pg_close(pg);
    pg = NULL;
    if (!job->is_done)
    {
        if ((st = run_workers(job, &base, err)) != PAWL_OK ||
            (st = close_job(job, ledger, &base, err)) != PAWL_OK)
            return st;
    }
    *result = (pawl_backfill_result){
        .job_id = job->id, .was_resumed = job->was_resumed, .was_done = job->is_done, .progress = base};
    return PAWL_OK;
}

pawl_status
pawl_backfill_run(const pawl_backfill_spec *spec, const pawl_backfill_env *env, const pawl_backfill_id *id,
                  pawl_backfill_result *result, pawl_error *err)
{
    pawl_job job = {0};
    pawl_status st = open_and_run(&job, spec, env, id, result, err);

    pawl_job_fini(&job);
    return st;
}

pawl_status
pawl_backfill_check(const pawl_backfill_spec *spec, const pawl_backfill_env *env, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_job job = {0};
    pawl_status st = open_session(env, &pg, err);

    if (st == PAWL_OK)
        st = pawl_job_check(&job, spec, env, pg, err);
    pawl_job_fini(&job);
    return st;
}
