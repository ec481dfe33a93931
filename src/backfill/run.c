#include "backfill/run.h"

#include <unistd.h>

#include "backfill/crew.h"
#include "backfill/pass.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_CLOSE_MS = 600000 /* as long as a worker waits for a server that is gone */
};

static pawl_status
open_session(const pawl_backfill_env *env, pawl_pg **out, pawl_error *err)
{
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl backfill",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    return pawl_pg_open(&options, out, err);
}

static pawl_status
run_init(pawl_run *run, const pawl_job *job, const pawl_progress *base, bool is_helper, pawl_error *err)
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
    if ((st = pawl_pace_new(&pace, &run->pace, err)) != PAWL_OK ||
        (st = pawl_form_new(job, &run->form, err)) != PAWL_OK)
        return st;

    if ((st = pawl_meter_new(&meter, &run->meter, err)) != PAWL_OK)
        return st;

    const pawl_control_options control = {
        .job = job, .is_helper = is_helper, .meter = run->meter, .pace = run->pace};

    return pawl_control_new(&control, &run->control, err);
}

static void
run_fini(pawl_run *run)
{
    pawl_control_free(run->control);
    pawl_meter_free(run->meter);
    pawl_form_free(run->form);
    pawl_pace_free(run->pace);
    pawl_cond_fini(&run->changed);
    pawl_mutex_fini(&run->lock);
}

static pawl_status
run_workers(const pawl_job *job, const pawl_progress *base, bool is_helper, pawl_error *err)
{
    pawl_run run;
    pawl_status st;

    if (job->spec->workers > PAWL_CREW_MAX)
        return pawl_error_set(err, PAWL_E_INPUT,
                              "%lld workers are too many: at most %d, and about the server's cores "
                              "is best",
                              (long long) job->spec->workers, PAWL_CREW_MAX);
    st = run_init(&run, job, base, is_helper, err);
    if (st == PAWL_OK)
        st = pawl_control_begin(run.control, err);
    if (st == PAWL_OK)
        st = pawl_crew_run(&run, err);
    pawl_control_end(run.control);
    if (st == PAWL_OK)
    {
        pawl_control_look(run.control);
        st = pawl_control_check(run.control, err);
    }
    run_fini(&run);
    return st;
}

static pawl_status
totals_so_far(const pawl_job *job, pawl_ledger *ledger, pawl_progress *totals, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    return st != PAWL_OK ? st : pawl_job_totals(job, ledger, pg, totals, err);
}

/* Partitions that have come, come back or gone since the last look. */
static pawl_status
look_at_parts(const pawl_job *job, pawl_ledger *ledger, bool *found, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    return st != PAWL_OK ? st : pawl_parts_look(job, ledger, pg, found, err);
}

/* Rows that a pass over a table without a key has missed. */
static pawl_status
look_for_left(const pawl_job *job, pawl_ledger *ledger, int64_t round, bool *again, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    return st != PAWL_OK ? st : pawl_pass_next(job, ledger, pg, round, again, err);
}

/* Until the workers have nothing left; of a divided table, until a look behind them finds nothing new. */
static pawl_status
run_to_the_end(const pawl_job *job, pawl_ledger *ledger, const pawl_progress *base, pawl_error *err)
{
    pawl_progress so_far = *base;
    int64_t round = 0;
    bool found = false;
    pawl_status st;

    if (job->is_divided && job->was_resumed && (st = look_at_parts(job, ledger, &found, err)) != PAWL_OK)
        return st;
    do
    {
        found = false;
        if ((st = run_workers(job, &so_far, false, err)) != PAWL_OK)
            return st;
        PAWL_FAILPOINT("job.before_look");
        if (job->is_divided && (st = look_at_parts(job, ledger, &found, err)) != PAWL_OK)
            return st;
        if (!found && job->is_keyless && (st = look_for_left(job, ledger, ++round, &found, err)) != PAWL_OK)
            return st;
        if (found && (st = totals_so_far(job, ledger, &so_far, err)) != PAWL_OK)
            return st;
    } while (found);
    return PAWL_OK;
}

/* The session of the coordinator is idle while the workers work, for hours maybe: a new one closes the job. */
static pawl_status
close_once(pawl_job *job, pawl_ledger *ledger, pawl_progress *totals, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    PAWL_FAILPOINT("job.before_finish");
    if (st != PAWL_OK || (st = pawl_job_finish(job, ledger, pg, err)) != PAWL_OK ||
        (job->has_findings && (st = pawl_job_settle(job, ledger, pg, err)) != PAWL_OK))
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

/* Finished before, and left with rejects: that may have changed, and so may what the step allows. */
static pawl_status
settle(pawl_job *job, pawl_ledger *ledger, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = open_session(job->env, &pg, err);

    return st != PAWL_OK ? st : pawl_job_settle(job, ledger, pg, err);
}

static pawl_status
choose_form(pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    pawl_form_now now = {0};
    pawl_status st;

    if (job->is_done)
        return PAWL_OK;
    st = pawl_form_look(job, pg, err);
    if (st != PAWL_OK)
        return st;
    now.is_striped = job->form.can_stripe && !job->form.may_pass;
    pawl_fmt(now.why, sizeof now.why, "%s", job->form.why);
    return pawl_form_record(job, &now, ledger, pg, err);
}

static pawl_status
open_and_run(pawl_job *job, const pawl_backfill_spec *spec, const pawl_backfill_env *env,
             const pawl_backfill_id *id, pawl_backfill_result *result, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_progress base = {0};
    bool is_helper = id->joins != 0;
    pawl_status st;

    if ((st = pawl_ledger_new(env->schema, &ledger, err)) != PAWL_OK ||
        (st = open_session(env, &pg, err)) != PAWL_OK ||
        (st = pawl_job_open(job, spec, env, id, ledger, pg, err)) != PAWL_OK ||
        (st = pawl_job_totals(job, ledger, pg, &base, err)) != PAWL_OK ||
        (st = choose_form(job, ledger, pg, err)) != PAWL_OK)
        return st;
    pawl_pg_close(pg);
    pg = NULL;
    if (!job->is_done)
    {
        st = is_helper ? run_workers(job, &base, true, err) : run_to_the_end(job, ledger, &base, err);
        if (st != PAWL_OK)
            return st;
        /* Whoever runs the step closes the job, and knows what has to be done before. */
        st = is_helper ? totals_so_far(job, ledger, &base, err) : close_job(job, ledger, &base, err);
        if (st != PAWL_OK)
            return st;
    }
    else if (job->has_findings && (st = settle(job, ledger, err)) != PAWL_OK)
        return st;
    *result = (pawl_backfill_result){.job_id = job->id,
                                     .was_resumed = job->was_resumed,
                                     .was_done = job->is_done,
                                     .rejects = job->rejects,
                                     .has_findings = job->has_findings,
                                     .progress = base};
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
    if (st == PAWL_OK)
        st = pawl_parts_draft(&job, pg, true, NULL, err);
    pawl_job_fini(&job);
    return st;
}
