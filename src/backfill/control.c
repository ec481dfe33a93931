#include "backfill/control.h"

#include <string.h>

#include "backfill/flight.h"
#include "backfill/stripe.h"
#include "pawl_sql.h"
#include "pg/pipe.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/lock.h"

#include "util/banned.h"

enum
{
    LOOK_MS = 250,
    CLOSE_LOOK_MS = 100, /* at what comes and goes quickly: waiters, a probe, WAL */
    REST_MS = 100,
    WAIT_MS = 25,
    PUT_US = 1000000,     /* between two tellings of the workers */
    CATCH_UP_US = 100000, /* what was overslept of a rate may be made up for */
    GULP_MS = 5,          /* under a rate a transaction is no more than what is due in this time, ... */
    GULP_ROWS = 100,      /* ... or, where that is few, so many rows among all workers, ... */
    LONG_GULP_MS = 100,   /* ... or what is due in this time */
    STATEMENT_MS = 2000
};

/* A worker of this process, for `status`. */
typedef struct live
{
    bool is_here;
    char owner[160];
    int64_t active_us; /* it last showed life */
    int64_t rows;
    int64_t rows_told;
    double rows_per_s;
} live;

/* What was found at the last look. */
struct shared
{
    bool is_ending;
    pawl_verdict verdict;
    char warning[PAWL_HOLD_MAX];
    int64_t others;  /* workers of other processes */
    int64_t next_us; /* when the rate lets the next batch begin; 0: none has begun */
    live workers[PAWL_CREW_MAX];
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
    pawl_signals *signals;
    bool is_held;    /* by the last verdict */
    int64_t told_us; /* when the workers were last told of */
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
    if (pawl_signals_new(options->job, &control->signals, err) != PAWL_OK)
    {
        pawl_control_free(control);
        return err->code;
    }
    control->told = (pawl_pacing){.workers = spec->workers < 1 ? 1 : spec->workers,
                                  .batch_rows = spec->batch_rows,
                                  .target_ms = spec->target_ms,
                                  .batch_min = spec->batch_min,
                                  .batch_max = spec->batch_max,
                                  .throttle = spec->throttle};
    control->shared_.pacing = control->told;
    *out = control;
    return PAWL_OK;
}

void
pawl_control_free(pawl_control *control)
{
    if (control == NULL)
        return;
    pawl_signals_free(control->signals);
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

/*
 * Rows of a transaction under a rate, 0 without one. At 20,000 rows a second a batch of a quarter of a second would keep
 * 5,000 rows locked and two processors busy at a time, and then nothing: the application would feel each of them. At 500
 * rows a second, what is due in a few milliseconds would be all transaction and no rows.
 */
static int64_t
gulp_of(const pawl_pacing *pacing, int64_t others)
{
    int64_t rate = pacing->throttle.max_rate;
    int64_t rows = rate * GULP_MS / 1000;
    int64_t least = rate * LONG_GULP_MS / 1000;

    if (least > GULP_ROWS)
        least = GULP_ROWS;
    if (rows < least)
        rows = least;
    return rate == 0 ? 0 : rows / (pacing->workers + others) + 1;
}

/* A batch in stripes is so many transactions. */
static void
tune_pace(const pawl_control *control, const pawl_pacing *pacing, int64_t others)
{
    pawl_pace_options options = {.fixed_rows = pacing->batch_rows,
                                 .target_ms = pacing->target_ms,
                                 .min_rows = pacing->batch_min,
                                 .max_rows = pacing->batch_max};
    int64_t rows = gulp_of(pacing, others) * PAWL_STRIPES;

    if (rows > 0 && rows < PAWL_STRIPED_LEAST)
        rows = PAWL_STRIPED_LEAST;
    if (rows > 0 && rows < options.max_rows)
        options.max_rows = rows;
    if (options.min_rows > options.max_rows)
        options.min_rows = options.max_rows;
    pawl_pace_tune(control->options.pace, &options);
}

static void
take_up(pawl_control *control, const pawl_pg_result *res)
{
    const char *ours = control->options.job->checksum;
    pawl_pacing pacing = fold(control, pawl_pg_text(res, 0, 4));

    tune_pace(control, &pacing, pawl_pg_i64(res, 0, 6));
    pawl_mutex_lock(&control->lock);
    struct shared *s = locked(control);

    s->pacing = pacing;
    s->others = pawl_pg_i64(res, 0, 6);
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
                                     .is_pooled = env->is_pooled,
                                     .application = application,
                                     .stop = control->ending,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    pawl_pg_close(control->pg);
    control->pg = NULL;
    return pawl_pg_open(&options, &control->pg, err);
}

/* What is asked of the job: one round trip. */
static pawl_status
look_at_requests(pawl_control *control, pawl_error *err)
{
    const pawl_pg_pins pins = {.statement_timeout_ms = STATEMENT_MS, .idle_timeout_ms = STATEMENT_MS};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(control->options.job->id),
                                PAWL_ARG_TEXT(pawl_ledger_whereabouts())};
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, control->pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    int slot = pawl_pg_pipe_add_kept(&pipe, pawl_ledger_sql(control->ledger, pawl_sql_backfill_control_look),
                                     2, args);
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

/* What the database says. A signal that cannot be asked holds the job back: it was named to protect something. */
static pawl_status
look_at_signals(pawl_control *control, pawl_error *err)
{
    pawl_throttle throttle = pawl_control_pacing(control).throttle;
    pawl_verdict verdict = {.why = ""};
    pawl_status st = pawl_signals_look(control->signals, &throttle, control->pg, &verdict, err);
    bool is_held;

    if (st != PAWL_OK)
        pawl_fmt(verdict.why, sizeof verdict.why, "throttle: %s", err->message);
    is_held = verdict.why[0] != '\0';
    if (is_held && !control->is_held && verdict.asks_for_less)
        pawl_pace_back_off(control->options.pace);
    control->is_held = is_held;
    pawl_mutex_lock(&control->lock);
    locked(control)->verdict = verdict;
    if (verdict.warning[0] != '\0')
        pawl_fmt(locked(control)->warning, PAWL_HOLD_MAX, "%s", verdict.warning);
    pawl_mutex_unlock(&control->lock);
    return st;
}

/* ---- telling -------------------------------------------------------------------------------------------------------- */

typedef struct telling
{
    pawl_pg_array owners;
    pawl_pg_array rates;
    pawl_pg_array holdings;
    pawl_pg_array idle;
} telling;

static void
add_text(pawl_pg_array *array, const char *text)
{
    pawl_pg_array_add_bytes(array, text, strlen(text));
}

/* Rates are smoothed: half of what it was, half of what it was since the last telling. */
static void
collect(pawl_control *control, telling *t)
{
    int64_t now_us = pawl_clock_us();
    int64_t since_us = now_us - control->told_us;

    pawl_mutex_lock(&control->lock);
    for (int i = 0; i < PAWL_CREW_MAX; i++)
    {
        live *w = &locked(control)->workers[i];
        char rate[40];
        char holding[PAWL_HOLD_MAX];
        double fresh;

        if (!w->is_here)
            continue;
        fresh = (double) (w->rows - w->rows_told) * 1e6 / (double) (since_us > 0 ? since_us : 1);
        w->rows_per_s = w->rows_per_s > 0 ? (w->rows_per_s + fresh) / 2 : fresh;
        w->rows_told = w->rows;
        pawl_fmt(rate, sizeof rate, "%.1f", w->rows_per_s);
        pawl_meter_held(control->options.meter, i, holding);
        add_text(&t->owners, w->owner);
        add_text(&t->rates, rate);
        add_text(&t->holdings, holding);
        pawl_pg_array_add_i64(&t->idle, (now_us - w->active_us) / 1000);
    }
    pawl_mutex_unlock(&control->lock);
    control->told_us = now_us;
}

static pawl_status
put(pawl_control *control, telling *t, pawl_error *err)
{
    const pawl_pg_pins pins = {
        .statement_timeout_ms = STATEMENT_MS, .idle_timeout_ms = STATEMENT_MS, .async_commit = true};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(control->options.job->id),
                                PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
                                pawl_pg_array_arg(&t->owners, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&t->rates, PAWL_OID_TEXT_ARRAY),
                                PAWL_ARG_I64(pawl_pace_rows(control->options.pace)),
                                pawl_pg_array_arg(&t->holdings, PAWL_OID_TEXT_ARRAY),
                                pawl_pg_array_arg(&t->idle, PAWL_OID_INT8_ARRAY)};
    pawl_status st = pawl_pg_begin(control->pg, &pins, err);

    if (st == PAWL_OK)
        st =
            pawl_ledger_query(control->ledger, control->pg, pawl_sql_backfill_worker_put, 7, args, NULL, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(control->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(control->pg);
    return st;
}

/* Tell of the workers: of none when it is over. */
static pawl_status
tell(pawl_control *control, bool is_over, pawl_error *err)
{
    telling t;
    pawl_status st;

    pawl_pg_array_init(&t.owners, PAWL_OID_TEXT);
    pawl_pg_array_init(&t.rates, PAWL_OID_TEXT);
    pawl_pg_array_init(&t.holdings, PAWL_OID_TEXT);
    pawl_pg_array_init(&t.idle, PAWL_OID_INT8);
    if (!is_over)
        collect(control, &t);
    st = put(control, &t, err);
    pawl_pg_array_fini(&t.owners);
    pawl_pg_array_fini(&t.rates);
    pawl_pg_array_fini(&t.holdings);
    pawl_pg_array_fini(&t.idle);
    return st;
}

/* ---- the thread ----------------------------------------------------------------------------------------------------- */

static pawl_status
look(pawl_control *control, pawl_error *err)
{
    pawl_status st;

    if (control->pg == NULL && (st = connect(control, err)) != PAWL_OK)
        return st;
    if ((st = look_at_requests(control, err)) != PAWL_OK || (st = look_at_signals(control, err)) != PAWL_OK)
        return st;
    return pawl_clock_us() - control->told_us < PUT_US ? PAWL_OK : tell(control, false, err);
}

static int64_t
pause_ms(pawl_control *control)
{
    pawl_throttle t = pawl_control_pacing(control).throttle;

    return t.waiters_below > 0 || t.probe != NULL || t.max_wal_rate > 0 ? CLOSE_LOOK_MS : LOOK_MS;
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

    while (!is_ended_after(control, pause_ms(control)))
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
    control->told_us = 0; /* the workers that are about to begin are told of at the next look */
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

    pawl_error ignored = PAWL_ERROR_INIT;

    if (control->pg == NULL || !pawl_pg_is_usable(control->pg) ||
        pawl_stop_check(control->options.job->env->stop, PAWL_STOP_CANCEL, &ignored) != PAWL_OK)
        return;
    pawl_pg_ignore_stop(control->pg);
    (void) tell(control, true, &ignored);
}

void
pawl_control_look(pawl_control *control)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (control->pg == NULL || !pawl_pg_is_usable(control->pg))
        return;
    pawl_pg_ignore_stop(control->pg);
    (void) look_at_requests(control, &ignored);
}

/* ---- asking -------------------------------------------------------------------------------------------------------- */

void
pawl_control_enter(pawl_control *control, int number, const char *owner)
{
    pawl_mutex_lock(&control->lock);
    live *w = &locked(control)->workers[number];

    *w = (live){.is_here = true, .active_us = pawl_clock_us()};
    pawl_fmt(w->owner, sizeof w->owner, "%s", owner);
    pawl_mutex_unlock(&control->lock);
}

void
pawl_control_leave(pawl_control *control, int number)
{
    pawl_mutex_lock(&control->lock);
    locked(control)->workers[number] = (live){.is_here = false};
    pawl_mutex_unlock(&control->lock);
}

/* The part of the job's rate that is this process's: by its workers among all that have told of themselves. */
static double
rate_here(const struct shared *s)
{
    int64_t here = 0;

    for (int i = 0; i < PAWL_CREW_MAX; i++)
        here += s->workers[i].is_here ? 1 : 0;
    if (here == 0)
        here = s->pacing.workers;
    return (double) s->pacing.throttle.max_rate * (double) here / (double) (here + s->others);
}

static int64_t
time_of(const struct shared *s, int64_t rows)
{
    return (int64_t) ((double) rows * 1e6 / rate_here(s));
}

/* Each batch moves the time at which the next may begin by what it takes at the rate: true when that has come. */
static bool
is_in_rate(struct shared *s, int64_t rows, char *why, int64_t *wait_ms)
{
    int64_t now_us = pawl_clock_us();

    if (s->next_us == 0)
        s->next_us = now_us;
    if (s->next_us < now_us - CATCH_UP_US)
        s->next_us = now_us - CATCH_UP_US;
    if (s->next_us > now_us)
    {
        *wait_ms = (s->next_us - now_us) / 1000 + 1;
        if (*wait_ms > WAIT_MS)
            *wait_ms = WAIT_MS;
        pawl_fmt(why, PAWL_HOLD_MAX, "max_rate %lld rows/s", (long long) s->pacing.throttle.max_rate);
        return false;
    }
    s->next_us += time_of(s, rows);
    return true;
}

static pawl_permit
permit_of(struct shared *s, int number, int64_t rows, char *why, int64_t *wait_ms)
{
    if (number >= s->pacing.workers)
        return PAWL_PERMIT_LEAVE;
    *wait_ms = REST_MS;
    if (s->paused[0] != '\0')
    {
        pawl_fmt(why, PAWL_HOLD_MAX, "%s", s->paused);
        return PAWL_PERMIT_REST;
    }
    if (s->verdict.why[0] != '\0')
    {
        pawl_fmt(why, PAWL_HOLD_MAX, "%s", s->verdict.why);
        *wait_ms = s->verdict.is_long ? REST_MS : WAIT_MS;
        return s->verdict.is_long ? PAWL_PERMIT_REST : PAWL_PERMIT_WAIT;
    }
    if (rows > 0 && s->pacing.throttle.max_rate > 0 && !is_in_rate(s, rows, why, wait_ms))
        return PAWL_PERMIT_WAIT;
    return PAWL_PERMIT_GO;
}

pawl_permit
pawl_control_ask(pawl_control *control, int number, int64_t rows, char why[PAWL_HOLD_MAX], int64_t *wait_ms)
{
    pawl_permit permit;

    why[0] = '\0';
    *wait_ms = 0;
    pawl_mutex_lock(&control->lock);
    locked(control)->workers[number].active_us = pawl_clock_us();
    permit = permit_of(locked(control), number, rows, why, wait_ms);
    pawl_mutex_unlock(&control->lock);
    return permit;
}

void
pawl_control_settle(pawl_control *control, int number, int64_t asked, int64_t done)
{
    pawl_mutex_lock(&control->lock);
    struct shared *s = locked(control);

    s->workers[number].rows += done;
    s->workers[number].active_us = pawl_clock_us();
    if (s->pacing.throttle.max_rate > 0 && s->next_us > 0)
        s->next_us -= time_of(s, asked) - time_of(s, done);
    pawl_mutex_unlock(&control->lock);
}

bool
pawl_control_has_warning(pawl_control *control, char out[PAWL_HOLD_MAX])
{
    pawl_mutex_lock(&control->lock);
    pawl_fmt(out, PAWL_HOLD_MAX, "%s", locked(control)->warning);
    locked(control)->warning[0] = '\0';
    pawl_mutex_unlock(&control->lock);
    return out[0] != '\0';
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

int64_t
pawl_control_gulp(pawl_control *control)
{
    int64_t rows;

    pawl_mutex_lock(&control->lock);
    rows = gulp_of(&locked(control)->pacing, locked(control)->others);
    pawl_mutex_unlock(&control->lock);
    return rows;
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
