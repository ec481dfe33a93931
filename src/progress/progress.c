#include "progress/progress.h"

#include <assert.h>
#include <string.h>

#include "util/alloc.h"
#include "util/lock.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define WINDOW_US (5 * 1000 * 1000)
#define TICK_US   (250 * 1000)

/* More ticks than the window holds, so that one just outside it is still there to measure from. */
#define TICKS 32

typedef struct tick
{
    int64_t at_us;
    int64_t rows;
} tick;

typedef struct worker
{
    bool is_at_work;
    uint64_t held_since; /* order of the hold calls; 0 when not held */
    char holding[sizeof((pawl_progress *) NULL)->holding];
} worker;

/* Everything the lock protects. */
struct shared
{
    pawl_meter_counts run;
    int64_t rows_total;
    int32_t batch_rows;
    bool is_done;
    uint64_t holds;
    worker workers[PAWL_METER_WORKERS];
    tick ticks[TICKS]; /* a ring; ticks[first] is the oldest, ntick are filled, there is always one */
    size_t first;
    size_t nticks;
};

struct pawl_meter
{
    pawl_mutex lock;
    int64_t job_id;
    int64_t begin_us;
    pawl_meter_counts base;
    struct shared shared_;
};

static struct shared *
locked(pawl_meter *meter) PAWL_REQUIRES(&meter->lock)
{
    return &meter->shared_;
}

pawl_status
pawl_meter_new(const pawl_meter_options *options, pawl_meter **out, pawl_error *err)
{
    pawl_meter *meter = pawl_calloc(1, sizeof *meter);

    if (meter == NULL)
        return pawl_error_nomem(err, "the progress counters");
    if (!pawl_mutex_can_init(&meter->lock))
    {
        pawl_free(meter);
        return pawl_error_nomem(err, "the lock of the progress counters");
    }

    meter->job_id = options->job_id;
    meter->begin_us = options->now_us;
    meter->base = options->base;
    meter->shared_.rows_total = options->rows_total;
    meter->shared_.ticks[0] = (tick){.at_us = options->now_us};
    meter->shared_.nticks = 1;

    *out = meter;
    return PAWL_OK;
}

void
pawl_meter_free(pawl_meter *meter)
{
    if (meter == NULL)
        return;

    pawl_mutex_fini(&meter->lock);
    pawl_free(meter);
}

void
pawl_meter_enter(pawl_meter *meter, int number)
{
    assert(number >= 0 && number < PAWL_METER_WORKERS);

    pawl_mutex_lock(&meter->lock);
    locked(meter)->workers[number].is_at_work = true;
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_leave(pawl_meter *meter, int number)
{
    assert(number >= 0 && number < PAWL_METER_WORKERS);

    pawl_mutex_lock(&meter->lock);
    locked(meter)->workers[number] = (worker){.is_at_work = false};
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_add(pawl_meter *meter, const pawl_meter_counts *counts)
{
    pawl_mutex_lock(&meter->lock);
    pawl_meter_counts *run = &locked(meter)->run;

    run->read += counts->read;
    run->written += counts->written;
    run->moved += counts->moved;
    run->gone += counts->gone;
    run->rejected += counts->rejected;
    run->batches += counts->batches;
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_hold(pawl_meter *meter, int number, const char *text)
{
    bool is_held = text != NULL && text[0] != '\0';

    assert(number >= 0 && number < PAWL_METER_WORKERS);

    pawl_mutex_lock(&meter->lock);
    struct shared *s = locked(meter);
    worker *w = &s->workers[number];

    pawl_fmt(w->holding, sizeof w->holding, "%s", is_held ? text : "");
    if (!is_held)
        w->held_since = 0;
    else if (w->held_since == 0)
        w->held_since = ++s->holds;
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_held(pawl_meter *meter, int number, char out[sizeof(((pawl_progress *) NULL)->holding)])
{
    assert(number >= 0 && number < PAWL_METER_WORKERS);

    pawl_mutex_lock(&meter->lock);
    memcpy(out, locked(meter)->workers[number].holding, sizeof locked(meter)->workers[number].holding);
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_set_batch(pawl_meter *meter, int32_t rows)
{
    pawl_mutex_lock(&meter->lock);
    locked(meter)->batch_rows = rows;
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_set_total(pawl_meter *meter, int64_t rows)
{
    pawl_mutex_lock(&meter->lock);
    locked(meter)->rows_total = rows;
    pawl_mutex_unlock(&meter->lock);
}

void
pawl_meter_finish(pawl_meter *meter)
{
    pawl_mutex_lock(&meter->lock);
    locked(meter)->is_done = true;
    pawl_mutex_unlock(&meter->lock);
}

/* The youngest tick that is at least a window old, else the oldest there is. */
static const tick *
window_begin(const struct shared *s, int64_t now_us)
{
    const tick *best = &s->ticks[s->first];

    for (size_t i = 1; i < s->nticks; i++)
    {
        const tick *t = &s->ticks[(s->first + i) % TICKS];

        if (now_us - t->at_us < WINDOW_US)
            break;
        best = t;
    }
    return best;
}

static void
add_tick(struct shared *s, int64_t now_us)
{
    const tick *last = &s->ticks[(s->first + s->nticks - 1) % TICKS];

    if (now_us - last->at_us < TICK_US)
        return;

    if (s->nticks == TICKS)
    {
        s->first = (s->first + 1) % TICKS;
        s->nticks--;
    }
    s->ticks[(s->first + s->nticks) % TICKS] = (tick){.at_us = now_us, .rows = s->run.read};
    s->nticks++;
}

static double
rate_of(const struct shared *s, int64_t now_us)
{
    const tick *from = window_begin(s, now_us);

    if (now_us - from->at_us < TICK_US)
        return 0.0;
    return (double) (s->run.read - from->rows) * 1e6 / (double) (now_us - from->at_us);
}

static int64_t
eta_of(const struct shared *s, const pawl_progress *p)
{
    if (s->is_done)
        return 0;
    if (p->rows_total <= 0 || p->rows_read >= p->rows_total || p->rows_per_s < 0.001)
        return -1;
    return (int64_t) ((double) (p->rows_total - p->rows_read) * 1000.0 / p->rows_per_s);
}

/* Count who is at work and find what has held a worker longest. */
static void
look_at_workers(const struct shared *s, pawl_progress *p)
{
    const worker *held = NULL;

    for (size_t i = 0; i < PAWL_METER_WORKERS; i++)
    {
        const worker *w = &s->workers[i];

        if (w->is_at_work)
            p->workers++;
        if (w->held_since != 0 && (held == NULL || w->held_since < held->held_since))
            held = w;
    }
    if (held != NULL)
        memcpy(p->holding, held->holding, sizeof p->holding);
}

void
pawl_meter_snapshot(pawl_meter *meter, int64_t now_us, pawl_progress *out)
{
    const pawl_meter_counts *base = &meter->base;

    pawl_mutex_lock(&meter->lock);
    struct shared *s = locked(meter);
    pawl_progress p = {
        .job_id = meter->job_id,
        .rows_total = s->rows_total,
        .rows_read = base->read + s->run.read,
        .rows_written = base->written + s->run.written,
        .rows_moved = base->moved + s->run.moved,
        .rows_gone = base->gone + s->run.gone,
        .rows_rejected = base->rejected + s->run.rejected,
        .batches = base->batches + s->run.batches,
        .rows_this_run = s->run.read,
        .elapsed_ms = (now_us - meter->begin_us) / 1000,
        .rows_per_s = rate_of(s, now_us),
        .batch_rows = s->batch_rows,
    };

    p.eta_ms = eta_of(s, &p);
    look_at_workers(s, &p);
    add_tick(s, now_us);
    pawl_mutex_unlock(&meter->lock);

    *out = p;
}

double
pawl_progress_percent(const pawl_progress *progress, bool is_done)
{
    /* What is shown with one decimal must not round up to 100 either. */
    static const double nearly = 99.9;
    double percent;

    if (is_done)
        return 100.0;
    if (progress->rows_total <= 0)
        return 0.0;

    percent = 100.0 * (double) progress->rows_read / (double) progress->rows_total;
    return percent > nearly ? nearly : percent;
}
