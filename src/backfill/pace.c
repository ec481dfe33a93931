#include "backfill/pace.h"

#include "util/alloc.h"
#include "util/lock.h"

#include "util/banned.h"

enum
{
    START_ROWS = 1000
};

struct shared
{
    pawl_pace_options options;
    int64_t rows;
    bool is_near; /* the target was reached once: no more doubling */
};

struct pawl_pace
{
    pawl_mutex lock;
    struct shared shared_;
};

static struct shared *
locked(pawl_pace *pace) PAWL_REQUIRES(&pace->lock)
{
    return &pace->shared_;
}

static int64_t
clamp(const pawl_pace_options *o, int64_t rows)
{
    if (rows > o->max_rows)
        rows = o->max_rows;
    if (rows < o->min_rows)
        rows = o->min_rows;
    return rows < 1 ? 1 : rows;
}

pawl_status
pawl_pace_new(const pawl_pace_options *options, pawl_pace **out, pawl_error *err)
{
    pawl_pace *pace = pawl_calloc(1, sizeof *pace);

    if (pace == NULL)
        return pawl_error_nomem(err, "the pace of a backfill");
    if (!pawl_mutex_can_init(&pace->lock))
    {
        pawl_free(pace);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot create a mutex");
    }
    pace->shared_.options = *options;
    pace->shared_.rows = clamp(options, START_ROWS);
    *out = pace;
    return PAWL_OK;
}

void
pawl_pace_free(pawl_pace *pace)
{
    if (pace == NULL)
        return;
    pawl_mutex_fini(&pace->lock);
    pawl_free(pace);
}

int64_t
pawl_pace_rows(pawl_pace *pace)
{
    int64_t rows;

    pawl_mutex_lock(&pace->lock);
    const struct shared *s = locked(pace);

    rows = s->options.fixed_rows > 0 ? s->options.fixed_rows : s->rows;
    pawl_mutex_unlock(&pace->lock);
    return rows;
}

/* What a batch of the present size says about the size. */
static void
learn(struct shared *s, int64_t elapsed_us)
{
    int64_t target_us = s->options.target_ms * 1000;

    if (elapsed_us > target_us + target_us / 2)
    {
        s->is_near = true;
        s->rows = clamp(&s->options, s->rows - s->rows / 3);
    }
    else if (elapsed_us < target_us / 2 && !s->is_near)
        s->rows = clamp(&s->options, s->rows * 2);
    else if (elapsed_us < target_us)
    {
        s->is_near = true;
        s->rows = clamp(&s->options, s->rows + (s->rows < 10 ? 1 : s->rows / 10));
    }
}

void
pawl_pace_done(pawl_pace *pace, int64_t rows, int64_t elapsed_us)
{
    pawl_mutex_lock(&pace->lock);
    struct shared *s = locked(pace);

    /* A short batch at the end of a chunk says nothing about the size. */
    if (s->options.fixed_rows == 0 && rows >= s->rows / 2)
        learn(s, elapsed_us);
    pawl_mutex_unlock(&pace->lock);
}

void
pawl_pace_tune(pawl_pace *pace, const pawl_pace_options *options)
{
    pawl_mutex_lock(&pace->lock);
    struct shared *s = locked(pace);

    /* Another target: the size is to be looked for again. */
    if (options->target_ms != s->options.target_ms)
        s->is_near = false;
    s->options = *options;
    s->rows = clamp(options, s->rows);
    pawl_mutex_unlock(&pace->lock);
}

void
pawl_pace_back_off(pawl_pace *pace)
{
    pawl_mutex_lock(&pace->lock);
    struct shared *s = locked(pace);

    if (s->options.fixed_rows == 0)
    {
        s->is_near = true;
        s->rows = clamp(&s->options, s->rows / 2);
    }
    pawl_mutex_unlock(&pace->lock);
}
