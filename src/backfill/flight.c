#include "backfill/flight.h"

#include <string.h>

#include "backfill/stripe.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    BATCH_ROWS = 20000, /* about what stays in the caches of the server until its last stripe */
    STRIPES_AT_ONCE = 1,
};

typedef struct flight
{
    bool is_used;
    bool is_taken; /* the transform has run, `attempt` and `sets` are filled */
    pawl_chunk chunk;
    pawl_fetch fetch; /* without rows: not read yet */
    pawl_attempt attempt;
    pawl_rowset *sets;     /* one for each group of stripes */
    pawl_rejects *rejects; /* likewise, where bad rows are set aside */
    int64_t spent_us;
} flight;

struct pawl_flights
{
    flight flight[PAWL_FLIGHTS];
    int turn;
};

static int
groups(void)
{
    return PAWL_STRIPES / STRIPES_AT_ONCE;
}

static void
drop_batch(flight *f)
{
    pawl_pg_result_free(f->fetch.rows);
    f->fetch = (pawl_fetch){0};
    f->is_taken = false;
    f->spent_us = 0;
}

/* A row that is set aside goes in with its stripe, as one that is written does. */
static pawl_status
rejects_init(flight *f, const pawl_job *job, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    f->rejects = pawl_calloc((size_t) groups(), sizeof *f->rejects);
    if (f->rejects == NULL)
        return pawl_error_nomem(err, "the rows of a batch");
    for (int i = 0; st == PAWL_OK && i < groups(); i++)
    {
        st = pawl_rejects_init(&f->rejects[i], job, err);
        f->sets[i].rejects = &f->rejects[i];
    }
    return st;
}

static pawl_status
flight_init(flight *f, const pawl_job *job, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    f->sets = pawl_calloc((size_t) groups(), sizeof *f->sets);
    if (f->sets == NULL)
        return pawl_error_nomem(err, "the rows of a batch");
    for (int i = 0; st == PAWL_OK && i < groups(); i++)
        st = pawl_rowset_init(&f->sets[i], job, err);
    return st == PAWL_OK && pawl_job_has_rejects(job) && job->spec->lua_file != NULL
               ? rejects_init(f, job, err)
               : st;
}

pawl_status
pawl_flights_new(pawl_worker *w, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    w->flights = pawl_calloc(1, sizeof *w->flights);
    if (w->flights == NULL)
        return pawl_error_nomem(err, "the batches of a worker");
    for (int i = 0; st == PAWL_OK && i < PAWL_FLIGHTS; i++)
        st = flight_init(&w->flights->flight[i], w->job, err);
    return st;
}

void
pawl_flights_free(pawl_worker *w)
{
    if (w->flights == NULL)
        return;
    for (int i = 0; i < PAWL_FLIGHTS; i++)
    {
        flight *f = &w->flights->flight[i];

        drop_batch(f);
        pawl_chunk_fini(&f->chunk);
        pawl_keyval_fini(&f->attempt.to);
        for (int k = 0; f->sets != NULL && k < groups(); k++)
            pawl_rowset_fini(&f->sets[k]);
        for (int k = 0; f->rejects != NULL && k < groups(); k++)
            pawl_rejects_fini(&f->rejects[k]);
        pawl_free(f->rejects);
        pawl_free(f->sets);
    }
    pawl_free(w->flights);
    w->flights = NULL;
}

static int
count_used(const pawl_worker *w)
{
    int used = 0;

    for (int i = 0; w->flights != NULL && i < PAWL_FLIGHTS; i++)
        used += w->flights->flight[i].is_used ? 1 : 0;
    return used;
}

bool
pawl_flights_has_any(const pawl_worker *w)
{
    return count_used(w) > 0;
}

bool
pawl_flights_has_room(const pawl_worker *w)
{
    return w->flights != NULL && count_used(w) < PAWL_FLIGHTS;
}

int
pawl_flights_ids(const pawl_worker *w, int64_t *ids)
{
    int n = 0;

    for (int i = 0; w->flights != NULL && i < PAWL_FLIGHTS; i++)
        if (w->flights->flight[i].is_used)
            ids[n++] = w->flights->flight[i].chunk.id;
    return n;
}

/* What the one holds, the other gets: so both keep memory to write into. */
static void
exchange_chunks(pawl_chunk *a, pawl_chunk *b)
{
    pawl_chunk was = *a;

    *a = *b;
    *b = was;
}

void
pawl_flights_take(pawl_worker *w)
{
    flight *f = w->flights->flight;

    while (f->is_used)
        f++;
    pawl_worker_drop_next(w);
    drop_batch(f);
    exchange_chunks(&f->chunk, &w->chunk);
    f->is_used = true;
    w->has_chunk = false;
}

/* Back into the worker's hand, with the rows when they are still to be transformed; of a `set` they are places alone, of which
 * the plain form knows nothing. */
static void
land(pawl_worker *w, flight *f)
{
    exchange_chunks(&f->chunk, &w->chunk);
    w->has_chunk = true;
    f->is_used = false;
    pawl_worker_drop_next(w);
    if (!f->is_taken && w->job->spec->lua_file != NULL)
    {
        w->next = f->fetch;
        f->fetch = (pawl_fetch){0};
    }
    drop_batch(f);
}

bool
pawl_flights_has_landed(pawl_worker *w)
{
    if (!pawl_flights_has_any(w) || pawl_form_is_striped(w->run->form))
        return false;
    for (int i = 0; i < PAWL_FLIGHTS; i++)
    {
        flight *f = &w->flights->flight[i];

        if (!f->is_used || f->is_taken)
            continue;
        land(w, f);
        return true;
    }
    return false;
}

static int64_t
rows_to_ask(const pawl_worker *w)
{
    int64_t rows = pawl_pace_rows(w->run->pace);

    return pawl_worker_fit(w, rows < BATCH_ROWS ? rows : BATCH_ROWS, PAWL_FLIGHTS);
}

static pawl_status
take_off(pawl_worker *w, flight *f, pawl_error *err)
{
    pawl_keyval to = f->attempt.to;
    pawl_status st;

    f->attempt = (pawl_attempt){.chunk = &f->chunk,
                                .from = pawl_chunk_from(&f->chunk),
                                .answer = f->fetch.rows,
                                .asked = f->fetch.asked,
                                .horizon = f->fetch.horizon,
                                .file = f->fetch.file,
                                .to = to,
                                .is_striped = true,
                                .sets = f->sets,
                                .per_set = STRIPES_AT_ONCE};
    for (int i = 0; i < groups(); i++)
        pawl_rowset_reset(&f->sets[i], f->fetch.horizon);
    for (int i = 0; f->rejects != NULL && i < groups(); i++)
        pawl_rejects_reset(&f->rejects[i]);
    pawl_worker_note_width(w, f->fetch.rows);
    st = w->writer.kind->take(&w->writer, &f->attempt, err);
    if (st != PAWL_OK)
        return st;
    f->attempt.is_last = f->attempt.is_end;
    f->is_taken = true;
    PAWL_FAILPOINT("backfill.after_read");
    return PAWL_OK;
}

/* Nothing of these stripes is written or set aside. */
static bool
is_empty(const flight *f, int stripe)
{
    const pawl_rowset *set = &f->sets[stripe / f->attempt.per_set];

    return set->count == 0 && (set->rejects == NULL || set->rejects->count == 0);
}

/* From the chunk's stripe on the first group that has rows, and those behind it that have none. */
static void
choose_stripes(flight *f)
{
    pawl_attempt *a = &f->attempt;

    a->is_exact = false;
    a->read = a->written = a->moved = a->gone = a->updates = a->hot = 0;
    a->stripe = f->chunk.stripe;
    a->next = a->stripe + a->per_set;
    while (a->next < PAWL_STRIPES && is_empty(f, a->stripe))
    {
        a->stripe = a->next;
        a->next += a->per_set;
    }
    while (a->next < PAWL_STRIPES && is_empty(f, a->next))
        a->next += a->per_set;
    a->set = &f->sets[a->stripe / a->per_set];
    a->rejects = a->set->rejects;
    for (int stripe = f->chunk.stripe; stripe < a->next; stripe += a->per_set)
        a->read += pawl_rowset_read(&f->sets[stripe / a->per_set]);
    a->read += a->rejects != NULL ? a->rejects->count : 0;
}

/* The end of a batch: do new versions still find room? */
static pawl_status
watch_updates(pawl_worker *w, const pawl_attempt *a, pawl_error *err)
{
    pawl_form_now now;

    if (!pawl_form_has_turned(w->run->form, a->updates, a->hot))
        return PAWL_OK;
    pawl_form_tell(w->run->form, &now);
    return pawl_form_record(w->job, &now, w->ledger, w->pg, err);
}

static pawl_status
write_stripes(pawl_worker *w, flight *f, pawl_error *err)
{
    pawl_attempt *a = &f->attempt;
    pawl_fetch fetched = {0};
    const pawl_reading next = {
        .from = &a->to, .hi = &f->chunk.hi, .rows = rows_to_ask(w), .with_ctids = true};
    bool reads_on = false;
    pawl_status st;

    choose_stripes(f);
    reads_on = a->next == PAWL_STRIPES && !a->is_last;
    if ((st = pawl_worker_write(w, a, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("backfill.after_write");
    st = pawl_worker_commit(w, &f->chunk, a, reads_on ? &next : NULL, &fetched, err);
    if (st != PAWL_OK)
        return st;
    w->took = a->read;
    if (a->next < PAWL_STRIPES)
    {
        PAWL_FAILPOINT("backfill.between_stripes");
        return PAWL_OK;
    }
    drop_batch(f);
    f->fetch = fetched;
    f->is_used = !a->is_last;
    return watch_updates(w, a, err);
}

static pawl_status
fly(pawl_worker *w, flight *f, int64_t *rows, pawl_error *err)
{
    const pawl_reading reading = {
        .from = pawl_chunk_from(&f->chunk), .hi = &f->chunk.hi, .rows = rows_to_ask(w), .with_ctids = true};
    pawl_status st;

    *rows = reading.rows;
    if (f->fetch.rows == NULL && (st = pawl_worker_read(w, &reading, &f->fetch, err)) != PAWL_OK)
        return st;
    if (!f->is_taken && (st = take_off(w, f, err)) != PAWL_OK)
        return st;
    *rows = f->attempt.rows;
    return write_stripes(w, f, err);
}

pawl_status
pawl_flights_turn(pawl_worker *w, int64_t *rows, pawl_error *err)
{
    struct pawl_flights *all = w->flights;
    int64_t began_us = pawl_clock_us();
    pawl_status st;

    do
        all->turn = (all->turn + 1) % PAWL_FLIGHTS;
    while (!all->flight[all->turn].is_used);

    flight *f = &all->flight[all->turn];
    int64_t spent_us = f->spent_us;

    w->at_fault[0] = '\0';
    st = fly(w, f, rows, err);
    spent_us += pawl_clock_us() - began_us;
    if (st != PAWL_OK)
        land(w, f);
    else if (f->is_taken)
        f->spent_us = spent_us;
    else
        pawl_worker_timed(w, *rows, spent_us, groups());
    return st;
}

pawl_status
pawl_flights_renew(pawl_worker *w, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (int i = 0; w->flights != NULL && i < PAWL_FLIGHTS && st == PAWL_OK; i++)
        if (w->flights->flight[i].is_used)
            st = pawl_chunk_renew(w->job, w->ledger, w->pg, &w->flights->flight[i].chunk, err);
    return st;
}

void
pawl_flights_forget(pawl_worker *w)
{
    for (int i = 0; w->flights != NULL && i < PAWL_FLIGHTS; i++)
    {
        w->flights->flight[i].is_used = false;
        drop_batch(&w->flights->flight[i]);
    }
}

void
pawl_flights_release(pawl_worker *w)
{
    for (int i = 0; w->flights != NULL && i < PAWL_FLIGHTS; i++)
        if (w->flights->flight[i].is_used)
            pawl_chunk_release(w->job, w->ledger, w->pg, &w->flights->flight[i].chunk);
    pawl_flights_forget(w);
}
