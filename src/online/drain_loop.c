/* The half of drain.h that goes on after a failure. */
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/drain_private.h"
#include "pg/lockers.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    MOST_ROWS = 20000,
    SLOW_US = 400000, /* a slice that takes longer is halved, one that takes less than FAST_US doubled */
    FAST_US = 100000,
    MOST_DOWN_MS = 600000,
    MOST_REPEATS = 50,
    PATIENT_REPEATS = 3,    /* a lock that is late so often is worth a word, ... */
    SAY_EVERY_US = 5000000, /* ... and then again and again: it is waited for without an end */
    MOST_CROWDED = 5000000, /* entries of a slice in which unique values have met */
    CAREFUL_SLICES = 16,
    CROWDED_TRIES = 10 /* with the whole log in it: others may have exchanged values again meanwhile */
};

/*
 * Two rows that exchanged their values come in together when the slice is large enough to hold both. Once the whole log has been
 * refused as often as that may be by chance, the value is there twice to stay: a slice does not grow any more, and so is
 * narrowed down to the row.
 */
bool
pawl_drain_can_grow(pawl_drain *d, const pawl_error *err)
{
    bool was_crowded = d->is_crowded;

    if (strcmp(err->sqlstate, "23505") != 0)
        return false;
    d->is_crowded = true;
    if (!was_crowded)
        return true;
    if (d->crowded > CROWDED_TRIES ||
        ((d->was_all || d->rows >= MOST_CROWDED) && ++d->crowded > CROWDED_TRIES))
        return false;
    if (d->rows < MOST_CROWDED)
        d->rows *= 4;
    return true;
}

/* ---- the loop ------------------------------------------------------------------------------------------------------- */

typedef struct loop
{
    pawl_backoff backoff;
    pawl_fault last;
    int repeats;
    int64_t down_since_us;
    int64_t said_us;
} loop;

static void
say_locked(const pawl_drain *d, loop *l, const pawl_error *failure)
{
    int64_t now_us = pawl_clock_us();
    char who[400] = "";

    if (l->repeats < PATIENT_REPEATS || (l->said_us != 0 && now_us - l->said_us < SAY_EVERY_US))
        return;
    l->said_us = now_us;
    if (d->options.table_oid != 0)
        pawl_pg_lockers(d->pg, d->options.table_oid, who, sizeof who);
    pawl_log_text(d->options.env->sink, PAWL_EVENT_WAITING,
                  "job %lld cannot carry over %s%s: somebody has locked it (%s)%s%s",
                  (long long) d->options.job, d->key[0] != '\0' ? "the row with " : "rows that were changed",
                  d->key, failure->message, who[0] != '\0' ? "; held by " : "", who);
}

static pawl_status
reconnect(pawl_drain *d, loop *l, pawl_error *err)
{
    l->down_since_us = pawl_clock_us();
    for (;;)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_backoff_sleep(&l->backoff, d->options.env->stop, err);

        if (st != PAWL_OK || (st = pawl_drain_connect(d, &failure)) == PAWL_OK)
            return st;
        *err = failure;
        if (st != PAWL_E_BUSY && pawl_fault_of(err) != PAWL_FAULT_CONNECTION &&
            pawl_fault_of(err) != PAWL_FAULT_LOCK)
            return st;
        if (pawl_clock_us() - l->down_since_us > (int64_t) MOST_DOWN_MS * 1000)
            return st;
    }
}

/* The slice was one entry: say which row it is that is refused. */
static pawl_status
name_row(const pawl_drain *d, pawl_error *err)
{
    char was[300];

    if (strcmp(err->sqlstate, "23505") == 0)
        (void) pawl_error_hint(err,
                               "two rows have the same value now in what is to be unique: correct one of "
                               "them, or what makes the value, and run the same again");
    if (d->key[0] == '\0')
        return err->code;
    pawl_fmt(was, sizeof was, "%s", err->detail);
    return pawl_error_detail(err, "the row with %s%s%s", d->key, was[0] != '\0' ? "; " : "", was);
}

/* PAWL_OK: go on. */
static pawl_status
answer(pawl_drain *d, loop *l, pawl_error *failure, pawl_error *err)
{
    pawl_fault fault = failure->code == PAWL_E_LEASE ? PAWL_FAULT_LEASE : pawl_fault_of(failure);

    l->repeats = fault == l->last ? l->repeats + 1 : 1;
    l->last = fault;
    *err = *failure;
    if (failure->code != PAWL_E_SERVER && failure->code != PAWL_E_CONNECT && failure->code != PAWL_E_LEASE)
        return failure->code;
    if (pawl_drain_can_grow(d, failure))
        return d->crowded > 0 ? pawl_backoff_sleep(&l->backoff, d->options.env->stop, err) : PAWL_OK;
    if (fault == PAWL_FAULT_ROW && d->rows > 1)
    {
        d->rows = d->rows / 8 + 1 < d->rows ? d->rows / 8 + 1 : 1;
        d->careful = CAREFUL_SLICES;
        return PAWL_OK;
    }
    if (fault == PAWL_FAULT_ROW)
        return name_row(d, err);
    if (fault == PAWL_FAULT_CONNECTION || fault == PAWL_FAULT_LEASE)
        return l->repeats > MOST_REPEATS ? failure->code : reconnect(d, l, err);
    if (fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_REPEAT || fault == PAWL_FAULT_SMALLER)
    {
        if (l->repeats > MOST_REPEATS && fault != PAWL_FAULT_LOCK)
            return failure->code;
        if (fault == PAWL_FAULT_LOCK)
            say_locked(d, l, failure);
        d->rows = d->rows > 1 ? d->rows / 2 : 1;
        return pawl_backoff_sleep(&l->backoff, d->options.env->stop, err);
    }
    return failure->code;
}

static void
follow_pace(pawl_drain *d, int64_t took_us)
{
    d->is_crowded = false;
    if (d->was_all || d->careful == 0)
        d->crowded = 0;
    if (d->careful > 0)
        d->careful--;
    else if (took_us > SLOW_US && d->rows > 1)
        d->rows /= 2;
    else if (took_us < FAST_US && d->rows < MOST_ROWS)
        d->rows *= 2;
    d->rows = d->rows > MOST_ROWS ? MOST_ROWS : d->rows;
}

pawl_status
pawl_drain_run(pawl_drain *d, int64_t budget_ms, pawl_drain_end *out, pawl_error *err)
{
    int64_t until_us = budget_ms > 0 ? pawl_clock_us() + budget_ms * 1000 : INT64_MAX;
    pawl_drain_end end = PAWL_DRAIN_MORE;
    loop l = {0};

    pawl_backoff_init(&l.backoff, 20, 1000);
    while (end == PAWL_DRAIN_MORE && pawl_clock_us() < until_us)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_error last = PAWL_ERROR_INIT; /* of a slice that may still go in */
        int64_t began_us = pawl_clock_us();
        pawl_status st = pawl_stop_check(d->options.env->stop, PAWL_STOP_FINISH, err);

        if (st != PAWL_OK)
            return st;
        st = pawl_drain_step(d, &end, &failure);
        if (st != PAWL_OK && (st = answer(d, &l, &failure, &last)) != PAWL_OK)
        {
            *err = last;
            return st;
        }
        if (failure.code != PAWL_OK)
            continue;
        l.repeats = 0;
        pawl_backoff_reset(&l.backoff);
        follow_pace(d, pawl_clock_us() - began_us);
    }
    *out = end;
    return PAWL_OK;
}
