#include "backfill/control.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/pipe.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/lock.h"

#include "util/banned.h"

enum
{
    LOOK_MS = 250,
    REST_MS = 100,
    STATEMENT_MS = 2000
};

/* What was found at the last look. */
struct shared
{
    bool is_ending;
    bool is_abandoned;
    bool is_changed; /* the job's step is another than ours by now */
    char abandoned_by[64];
    char paused[PAWL_HOLD_MAX]; /* "" when it is not */
    pawl_pacing pacing;
};

struct pawl_control
{
    pawl_control_options options;
    pawl_pacing told; /* by the step and the settings */
    pawl_ledger *ledger;
    pawl_pg *pg;
    pawl_stop *ending; /* interrupts what the thread waits for on its session */
    pthread_t thread;
    bool has_thread;
    pawl_mutex lock;
    pawl_cond changed;
    struct shared shared_;
};

static struct shared *
locked(pawl_control *control) PAWL_REQUIRES(&control->lock)
{
    return &control->shared_;
}

pawl_status
pawl_control_new(const pawl_control_options *options, pawl_control **out, pawl_error *err)
{
    pawl_control *control = pawl_calloc(1, sizeof *control);
    const pawl_backfill_spec *spec = options->job->spec;

    if (control == NULL)
        return pawl_error_nomem(err, "the control of a job");
    if (!pawl_mutex_can_init(&control->lock))
    {
        pawl_free(control);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a mutex");
    }
    if (!pawl_cond_can_init(&control->changed))
    {
        pawl_mutex_fini(&control->lock);
        pawl_free(control);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a condition");
    }
    control->options = *options;
    control->told = (pawl_pacing){.workers = spec->workers < 1 ? 1 : spec->workers,
                                  .batch_rows = spec->batch_rows,
                                  .target_ms = spec->target_ms,
                                  .batch_min = spec->batch_min,
                                  .batch_max = spec->batch_max};
    control->shared_.pacing = control->told;
    *out = control;
    return PAWL_OK;
}

void
pawl_control_free(pawl_control *control)
{
    if (control == NULL)
        return;
    pawl_pg_close(control->pg);
    pawl_ledger_free(control->ledger);
    pawl_stop_free(control->ending);
    pawl_cond_fini(&control->changed);
    pawl_mutex_fini(&control->lock);
    pawl_free(control);
}

/* ---- looking ------------------------------------------------------------------------------------------------------- */

/* The values of the step, and over them what was tuned. A line that this program does not know is passed over: it was
 * checked by the one that wrote it. */
static pawl_pacing
fold(const pawl_control *control, const char *lines)
{
    pawl_pacing pacing = control->told;
    char expected[PAWL_PACING_EXPECTED];

    while (*lines != '\0')
    {
        size_t length = strcspn(lines, "\n");
        size_t key_length = strcspn(lines, "=");
        char key[32];
        char value[PAWL_WINDOW_MAX];

        if (key_length < length && key_length < sizeof key && length - key_length - 1 < sizeof value)
        {
            memcpy(key, lines, key_length);
            key[key_length] = '\0';
            memcpy(value, lines + key_length + 1, length - key_length - 1);
            value[length - key_length - 1] = '\0';
            (void) pawl_pacing_has_value(&pacing, key, value, expected);
        }
        lines += length + (lines[length] == '\n' ? 1 : 0);
    }
    if (control->options.is_helper)
        pacing.workers = control->told.workers;
    if (pacing.batch_min > pacing.batch_max)
        pacing.batch_min = pacing.batch_max;
    return pacing;
}

static void
tune_pace(const pawl_control *control, const pawl_pacing *pacing)
{
    const pawl_pace_options options = {.fixed_rows = pacing->batch_rows,
                                       .target_ms = pacing->target_ms,
                                       .min_rows = pacing->batch_min,
                                       .max_rows = pacing->batch_max};

    pawl_pace_tune(control->options.pace, &options);
}

static void
take_up(pawl_control *control, const pawl_pg_result *res)
{
    const char *ours = control->options.job->checksum;
    pawl_pacing pacing = fold(control, pawl_pg_text(res, 0, 4));

    tune_pace(control, &pacing);
    pawl_mutex_lock(&control->lock);
    struct shared *s = locked(control);

    s->pacing = pacing;
    s->is_abandoned = strcmp(pawl_pg_text(res, 0, 0), "abandoned") == 0;
    s->is_changed = strcmp(pawl_pg_text(res, 0, 1), ours) != 0;
    pawl_fmt(s->abandoned_by, sizeof s->abandoned_by, "%s", pawl_pg_text(res, 0, 5));
    s->paused[0] = '\0';
    if (!pawl_pg_is_null(res, 0, 2))
        pawl_fmt(s->paused, sizeof s->paused, "paused by %s since %s", pawl_pg_text(res, 0, 2),
                 pawl_pg_text(res, 0, 3));
    pawl_cond_broadcast(&control->changed);
    pawl_mutex_unlock(&control->lock);
}

static pawl_status
connect(pawl_control *control, pawl_error *err)
{
    const pawl_backfill_env *env = control->options.job->env;
    char application[64];

    pawl_fmt(application, sizeof application, "pawl job %lld control", (long long) control->options.job->id);

    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .application = application,
                                     .stop = control->ending,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    pawl_pg_close(control->pg);
    control->pg = NULL;
    return pawl_pg_open(&options, &control->pg, err);
}

/* One round trip. */
static pawl_status
look(pawl_control *control, pawl_error *err)
{
    const pawl_pg_pins pins = {.statement_timeout_ms = STATEMENT_MS, .idle_timeout_ms = STATEMENT_MS};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(control->options.job->id)};
    pawl_pg_pipe pipe;
    pawl_status st;

    if (control->pg == NULL && (st = connect(control, err)) != PAWL_OK)
        return st;
    pawl_pg_pipe_init(&pipe, control->pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    int slot =
        pawl_pg_pipe_add(&pipe, pawl_ledger_sql(control->ledger, pawl_sql_backfill_control_look), 1, args);
    (void) pawl_pg_pipe_commit(&pipe);
    (void) pawl_pg_pipe_sync(&pipe);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(control->pg);
    else if (pawl_pg_rows(pawl_pg_pipe_result(&pipe, slot)) == 1)
        take_up(control, pawl_pg_pipe_result(&pipe, slot));
    else
        st = pawl_error_set(err, PAWL_E_STATE, "job %lld is no longer in the ledger",
                            (long long) control->options.job->id);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

static bool
is_ended_after(pawl_control *control, int64_t ms)
{
    int64_t deadline = pawl_clock_us() + ms * 1000;
    bool is_ending;

    pawl_mutex_lock(&control->lock);
    while (!locked(control)->is_ending &&
           pawl_cond_has_signal_before(&control->changed, &control->lock, deadline))
        continue;
    is_ending = locked(control)->is_ending;
    pawl_mutex_unlock(&control->lock);
    return is_ending;
}

/* A look that fails is made again: the workers meet what is wrong with the server themselves. */
static void *
control_main(void *arg)
{
    pawl_control *control = arg;

    while (!is_ended_after(control, LOOK_MS))
    {
        pawl_error ignored = PAWL_ERROR_INIT;

        if (look(control, &ignored) == PAWL_OK || control->pg == NULL || pawl_pg_is_usable(control->pg))
            continue;
        pawl_pg_close(control->pg);
        control->pg = NULL;
    }
    return NULL;
}

pawl_status
pawl_control_begin(pawl_control *control, pawl_error *err)
{
    pawl_status st;

    if ((st = pawl_stop_new(&control->ending, err)) != PAWL_OK ||
        (st = pawl_ledger_new(control->options.job->env->schema, &control->ledger, err)) != PAWL_OK ||
        (st = look(control, err)) != PAWL_OK)
        return st;
    if (pthread_create(&control->thread, NULL, control_main, control) != 0)
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot start the thread that looks for requests");
    control->has_thread = true;
    return PAWL_OK;
}

void
pawl_control_end(pawl_control *control)
{
    if (control == NULL || !control->has_thread)
        return;
    pawl_mutex_lock(&control->lock);
    locked(control)->is_ending = true;
    pawl_cond_broadcast(&control->changed);
    pawl_mutex_unlock(&control->lock);
    pawl_stop_request(control->ending);
    pawl_stop_request(control->ending);
    (void) pthread_join(control->thread, NULL);
    control->has_thread = false;
}

void
pawl_control_look(pawl_control *control)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (control->pg == NULL || !pawl_pg_is_usable(control->pg))
        return;
    pawl_pg_ignore_stop(control->pg);
    (void) look(control, &ignored);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

pawl_permit
pawl_control_ask(pawl_control *control, int number, char why[PAWL_HOLD_MAX], int64_t *wait_ms)
{
    pawl_permit permit = PAWL_PERMIT_GO;

    why[0] = '\0';
    *wait_ms = 0;
    pawl_mutex_lock(&control->lock);
    struct shared *s = locked(control);

    if (number >= s->pacing.workers)
        permit = PAWL_PERMIT_LEAVE;
    else if (s->paused[0] != '\0')
    {
        permit = PAWL_PERMIT_REST;
        *wait_ms = REST_MS;
        pawl_fmt(why, PAWL_HOLD_MAX, "%s", s->paused);
    }
    pawl_mutex_unlock(&control->lock);
    return permit;
}

pawl_pacing
pawl_control_pacing(pawl_control *control)
{
    pawl_pacing pacing;

    pawl_mutex_lock(&control->lock);
    pacing = locked(control)->pacing;
    pawl_mutex_unlock(&control->lock);
    return pacing;
}

pawl_status
pawl_control_check(pawl_control *control, pawl_error *err)
{
    const pawl_job *job = control->options.job;
    bool is_abandoned;
    bool is_changed;
    char by[64];

    pawl_mutex_lock(&control->lock);
    is_abandoned = locked(control)->is_abandoned;
    is_changed = locked(control)->is_changed;
    pawl_fmt(by, sizeof by, "%s", locked(control)->abandoned_by);
    pawl_mutex_unlock(&control->lock);
    if (is_abandoned)
    {
        (void) pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned%s%s", (long long) job->id,
                              by[0] != '\0' ? " by " : "", by);
        return pawl_error_hint(err,
                               "what it has written stays; to begin the step anew: pawl upgrade --restart");
    }
    if (is_changed)
        return pawl_job_is_changed(job, err);
    return PAWL_OK;
}
