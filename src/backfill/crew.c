#include "backfill/crew.h"

#include <string.h>

#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    TICK_US = 250000
};

typedef struct crew
{
    pawl_run *run;
    pawl_worker workers[PAWL_CREW_MAX];
    bool has_thread[PAWL_CREW_MAX];
} crew;

static struct pawl_run_end *
locked(pawl_run *run) PAWL_REQUIRES(&run->lock)
{
    return &run->end_;
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

static void
emit_form(pawl_run *run, const pawl_sink *sink)
{
    pawl_form_now now;

    if (pawl_form_has_news(run->form, &now))
        pawl_log_text(sink, PAWL_EVENT_INFO, "written %s from now on: %s",
                      now.is_striped ? "in stripes" : "plainly", now.why);
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

static void
start(crew *c, int number)
{
    pawl_run *run = c->run;
    pawl_worker *w = &c->workers[number];
    bool has_started;

    *w = (pawl_worker){.run = run, .job = run->job, .number = number};
    name_worker(w);
    pawl_mutex_lock(&run->lock);
    locked(run)->at_work++;
    pawl_mutex_unlock(&run->lock);
    has_started = pthread_create(&w->thread, NULL, pawl_worker_main, w) == 0;
    c->has_thread[number] = has_started;
    if (has_started)
        return;
    pawl_mutex_lock(&run->lock);
    locked(run)->at_work--;
    if (!locked(run)->has_failed)
        (void) pawl_error_set(&locked(run)->error, PAWL_E_NOMEM, "cannot start worker %d", number + 1);
    locked(run)->has_failed = true;
    locked(run)->is_over = true;
    pawl_mutex_unlock(&run->lock);
}

static void
join(crew *c, int number)
{
    (void) pthread_join(c->workers[number].thread, NULL);
    c->has_thread[number] = false;
}

static bool
has_left(crew *c, int number)
{
    bool left;

    pawl_mutex_lock(&c->run->lock);
    left = c->workers[number].has_left;
    pawl_mutex_unlock(&c->run->lock);
    return left;
}

/* As many as there are to be. One that leaves while its place is wanted again has its place filled at the next look. */
static void
fill_up(crew *c)
{
    int wanted = (int) pawl_control_pacing(c->run->control).workers;
    bool is_over;

    pawl_mutex_lock(&c->run->lock);
    is_over = locked(c->run)->is_over;
    pawl_mutex_unlock(&c->run->lock);
    for (int i = 0; i < wanted && i < PAWL_CREW_MAX && !is_over; i++)
    {
        if (c->has_thread[i] && has_left(c, i))
            join(c, i);
        if (!c->has_thread[i])
            start(c, i);
    }
}

/* Until every worker has ended, and about four times a second a look at the meter and at how many there should be. */
static void
watch(crew *c)
{
    pawl_run *run = c->run;
    const pawl_sink *sink = run->job->env->sink;
    char warning[PAWL_HOLD_MAX];
    bool over = false;

    while (!over)
    {
        int64_t next_us = pawl_clock_us() + TICK_US;

        fill_up(c);
        pawl_mutex_lock(&run->lock);
        while (locked(run)->at_work > 0 && pawl_cond_has_signal_before(&run->changed, &run->lock, next_us))
            continue;
        over = locked(run)->at_work == 0;
        pawl_mutex_unlock(&run->lock);
        emit_logs(run, sink);
        if (pawl_control_has_warning(run->control, warning))
            pawl_log_text(sink, PAWL_EVENT_WARNING, "%s", warning);
        emit_form(run, sink);
        emit_progress(run, sink);
    }
}

pawl_status
pawl_crew_run(pawl_run *run, pawl_error *err)
{
    crew *c = pawl_calloc(1, sizeof *c);
    pawl_status st = PAWL_OK;

    if (c == NULL)
        return pawl_error_nomem(err, "the workers");
    c->run = run;
    watch(c);
    for (int i = 0; i < PAWL_CREW_MAX; i++)
        if (c->has_thread[i])
            join(c, i);

    pawl_mutex_lock(&run->lock);
    if (locked(run)->has_failed)
    {
        *err = locked(run)->error;
        st = err->code;
    }
    pawl_mutex_unlock(&run->lock);
    pawl_free(c);
    return st;
}
