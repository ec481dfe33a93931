#include "backfill/signals.h"

#include <inttypes.h>
#include <string.h>

#include "pawl_sql.h"
#include "pg/pipe.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/units.h"

#include "util/banned.h"

enum
{
    SAMPLES = 256,
    SAMPLE_US = 100000, /* at least between two samples */
    STATEMENT_MS = 2000,
    PROBE_MIN_MS = 100, /* a probe is cancelled no sooner */
    PROBE_MAX_MS = 1000,
    CREDIT_S = 1, /* of WAL not written that may be made up for */
    DEBT_S = 10,  /* of WAL written too much that are held back for */
    LATELY_S = 2
};

struct pawl_signals
{
    const pawl_job *job;
    char workers[64];                 /* the beginning of their application_name */
    pawl_wal_sample samples[SAMPLES]; /* oldest first */
    int nsamples;
    pawl_wal_budget budget;
    bool has_warned;
};

pawl_status
pawl_signals_new(const pawl_job *job, pawl_signals **out, pawl_error *err)
{
    pawl_signals *s = pawl_calloc(1, sizeof *s);

    if (s == NULL)
        return pawl_error_nomem(err, "the signals of a throttle");
    s->job = job;
    pawl_fmt(s->workers, sizeof s->workers, "pawl job %lld worker ", (long long) job->id);
    *out = s;
    return PAWL_OK;
}

void
pawl_signals_free(pawl_signals *s)
{
    pawl_free(s);
}

/* ---- lag ------------------------------------------------------------------------------------------------------------ */

int64_t
pawl_wal_age_ms(const pawl_wal_sample *samples, int count, int64_t at, int64_t now_us)
{
    for (int i = 0; i < count; i++)
        if (samples[i].lsn > at)
            return (now_us - samples[i].at_us) / 1000;
    return 0;
}

/* Samples of the same place say when it was first seen to be the end; a full ring loses every second old one. */
static void
add_sample(pawl_signals *s, int64_t lsn, int64_t now_us)
{
    if (s->nsamples > 0 &&
        (s->samples[s->nsamples - 1].lsn == lsn || now_us - s->samples[s->nsamples - 1].at_us < SAMPLE_US))
        return;
    if (s->nsamples == SAMPLES)
    {
        for (int i = 0; i < SAMPLES / 2; i++)
            s->samples[i] = s->samples[2 * i];
        s->nsamples = SAMPLES / 2;
    }
    s->samples[s->nsamples++] = (pawl_wal_sample){.at_us = now_us, .lsn = lsn};
}

/* By bytes, the one that is farthest behind. */
static void
judge_lag_bytes(const pawl_throttle *t, const pawl_pg_result *res, pawl_verdict *v)
{
    int64_t end = pawl_pg_i64(res, 0, 0);
    int64_t worst_bytes = 0;
    int worst = -1;
    char lag[32];
    char most[32];

    for (int row = 0; row < pawl_pg_rows(res); row++)
    {
        int64_t bytes = pawl_pg_is_null(res, row, 3) ? 0 : end - pawl_pg_i64(res, row, 3);

        if (bytes > worst_bytes)
        {
            worst_bytes = bytes;
            worst = row;
        }
    }
    if (worst < 0 || worst_bytes <= t->max_lag_bytes)
        return;
    pawl_units_bytes(worst_bytes, lag, sizeof lag);
    pawl_units_bytes(t->max_lag_bytes, most, sizeof most);
    v->asks_for_less = true;
    pawl_fmt(v->why, sizeof v->why, "%s is %s of WAL behind (max_lag %s)", pawl_pg_text(res, worst, 2), lag,
             most);
}

static void
warn_of_hidden(pawl_signals *s, const pawl_pg_result *res, pawl_verdict *v)
{
    for (int row = 0; row < pawl_pg_rows(res) && !s->has_warned; row++)
    {
        if (pawl_pg_is_null(res, row, 2) || !pawl_pg_is_null(res, row, 3) || pawl_pg_is_true(res, row, 1))
            continue;
        s->has_warned = true;
        pawl_fmt(v->warning, sizeof v->warning,
                 "max_lag: the lag of standbys cannot be seen; GRANT pg_monitor to this role");
    }
}

static void
judge_lag(pawl_signals *s, const pawl_throttle *t, const pawl_pg_result *res, pawl_verdict *v)
{
    int64_t end = pawl_pg_i64(res, 0, 0);
    int64_t now_us = pawl_clock_us();
    int64_t worst_ms = 0;
    int worst = -1;

    add_sample(s, end, now_us);
    warn_of_hidden(s, res, v);
    for (int row = 0; row < pawl_pg_rows(res); row++)
    {
        int64_t at = pawl_pg_is_null(res, row, 3) ? end : pawl_pg_i64(res, row, 3);
        int64_t ms = at >= end ? 0 : pawl_wal_age_ms(s->samples, s->nsamples, at, now_us);

        if (at < end && !pawl_pg_is_null(res, row, 4) && pawl_pg_i64(res, row, 4) > ms)
            ms = pawl_pg_i64(res, row, 4);
        if (ms > worst_ms)
        {
            worst_ms = ms;
            worst = row;
        }
    }
    if (t->max_lag_bytes > 0)
        judge_lag_bytes(t, res, v);
    if (t->max_lag_ms == 0 || worst < 0 || worst_ms <= t->max_lag_ms)
        return;

    char lag[32];
    char most[32];

    pawl_units_duration(worst_ms, lag, sizeof lag);
    pawl_units_duration(t->max_lag_ms, most, sizeof most);
    v->asks_for_less = true;
    pawl_fmt(v->why, sizeof v->why, "%s is %s behind (max_lag %s)", pawl_pg_text(res, worst, 2), lag, most);
}

/* ---- WAL ------------------------------------------------------------------------------------------------------------ */

bool
pawl_wal_is_overdrawn(pawl_wal_budget *b, int64_t max_rate, int64_t lsn, int64_t now_us)
{
    double most = (double) max_rate;
    double seconds = (double) (now_us - b->at_us) / 1e6;
    double written = (double) (lsn - b->lsn);

    /* The first look, or another server by now. */
    if (b->lsn == 0 || written < 0 || seconds <= 0)
    {
        *b = (pawl_wal_budget){.lsn = lsn, .at_us = now_us};
        return false;
    }
    b->bytes += most * seconds - written;
    if (b->bytes > most * CREDIT_S)
        b->bytes = most * CREDIT_S;
    if (b->bytes < -most * DEBT_S)
        b->bytes = -most * DEBT_S;
    b->rate += (written / seconds - b->rate) * seconds / (seconds + LATELY_S);
    b->lsn = lsn;
    b->at_us = now_us;
    return b->bytes < 0;
}

static void
judge_wal(pawl_signals *s, const pawl_throttle *t, int64_t lsn, pawl_verdict *v)
{
    char rate[32];
    char most[32];

    if (!pawl_wal_is_overdrawn(&s->budget, t->max_wal_rate, lsn, pawl_clock_us()))
        return;
    pawl_units_bytes((int64_t) s->budget.rate, rate, sizeof rate);
    pawl_units_bytes(t->max_wal_rate, most, sizeof most);
    pawl_fmt(v->why, sizeof v->why, "the server has written %s of WAL a second lately (max_wal_rate %s/s)",
             rate, most);
}

/* ---- the others ------------------------------------------------------------------------------------------------------ */

static void
judge_window(const pawl_throttle *t, int minute, pawl_verdict *v)
{
    pawl_window window;

    if (!pawl_window_can_read(t->window, &window) || pawl_window_is_open(&window, minute))
        return;
    v->is_long = true;
    pawl_fmt(v->why, sizeof v->why, "outside of the window %s", t->window);
}

static void
judge_waiters(const pawl_throttle *t, int64_t count, pawl_verdict *v)
{
    if (count < t->waiters_below)
        return;
    v->asks_for_less = true;
    pawl_fmt(v->why, sizeof v->why, "%" PRId64 " %s for locks of the workers (lock_waiters %" PRId64 ")",
             count, count == 1 ? "session waits" : "sessions wait", t->waiters_below - 1);
}

static void
judge_active(pawl_signals *s, const pawl_throttle *t, const pawl_pg_result *res, pawl_verdict *v)
{
    if (!pawl_pg_is_true(res, 0, 1) && !s->has_warned)
    {
        s->has_warned = true;
        pawl_fmt(v->warning, sizeof v->warning,
                 "max_active: sessions of other roles cannot be seen; GRANT pg_monitor to this role");
    }
    if (pawl_pg_i64(res, 0, 0) > t->max_active)
        pawl_fmt(v->why, sizeof v->why, "%" PRId64 " sessions are active (max_active %" PRId64 ")",
                 pawl_pg_i64(res, 0, 0), t->max_active);
}

static void
judge_dead(const pawl_throttle *t, const pawl_pg_result *res, pawl_verdict *v)
{
    char count[32];
    char most[32];

    if (pawl_pg_i64(res, 0, 0) <= t->max_dead)
        return;
    pawl_units_count(pawl_pg_i64(res, 0, 0), count, sizeof count);
    pawl_units_count(t->max_dead, most, sizeof most);
    pawl_fmt(v->why, sizeof v->why, "%s dead rows (max_dead %s), %s", count, most,
             pawl_pg_is_true(res, 0, 1) ? "a vacuum is at work" : "waiting for autovacuum");
}

/* The slots of one look; -1: not asked. */
typedef struct slots
{
    int minute;
    int lag;
    int wal;
    int waiters;
    int active;
    int dead;
} slots;

static slots
queue(const pawl_signals *s, const pawl_throttle *t, pawl_pg_pipe *pipe)
{
    slots at = {-1, -1, -1, -1, -1, -1};
    pawl_window window;

    if (pawl_window_can_read(t->window, &window))
        at.minute = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_minute, 1,
                                          (const pawl_pg_arg[]){PAWL_ARG_TEXT(window.zone)});
    if (t->max_wal_rate > 0)
        at.wal = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_wal, 0, NULL);
    if (t->max_lag_ms > 0 || t->max_lag_bytes > 0)
        at.lag = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_lag, 0, NULL);
    if (t->waiters_below > 0)
        at.waiters = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_waiters, 1,
                                           (const pawl_pg_arg[]){PAWL_ARG_TEXT(s->workers)});
    if (t->max_active > 0)
        at.active = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_active, 0, NULL);
    if (t->max_dead > 0)
        at.dead = pawl_pg_pipe_add_kept(pipe, pawl_sql_backfill_signal_dead, 1,
                                        (const pawl_pg_arg[]){PAWL_ARG_I64(s->job->table->oid)});
    return at;
}

/* The last one to speak is the one that is told: the window, which lasts longest. */
static void
judge(pawl_signals *s, const pawl_throttle *t, const pawl_pg_pipe *pipe, const slots *at, pawl_verdict *v)
{
    if (at->active >= 0)
        judge_active(s, t, pawl_pg_pipe_result(pipe, at->active), v);
    if (at->dead >= 0)
        judge_dead(t, pawl_pg_pipe_result(pipe, at->dead), v);
    if (at->wal >= 0)
        judge_wal(s, t, pawl_pg_i64(pawl_pg_pipe_result(pipe, at->wal), 0, 0), v);
    if (at->waiters >= 0)
        judge_waiters(t, pawl_pg_i64(pawl_pg_pipe_result(pipe, at->waiters), 0, 0), v);
    if (at->lag >= 0)
        judge_lag(s, t, pawl_pg_pipe_result(pipe, at->lag), v);
    if (at->minute >= 0)
        judge_window(t, (int) pawl_pg_i64(pawl_pg_pipe_result(pipe, at->minute), 0, 0), v);
}

static pawl_status
look_at_server(pawl_signals *s, const pawl_throttle *t, pawl_pg *pg, pawl_verdict *v, pawl_error *err)
{
    const pawl_pg_pins pins = {.statement_timeout_ms = STATEMENT_MS, .idle_timeout_ms = STATEMENT_MS};
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, pg);
    (void) pawl_pg_pipe_begin(&pipe, &pins);
    slots at = queue(s, t, &pipe);
    (void) pawl_pg_pipe_commit(&pipe);
    (void) pawl_pg_pipe_sync(&pipe);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    if (st == PAWL_OK)
        judge(s, t, &pipe, &at, v);
    else
        pawl_pg_rollback(pg);
    pawl_pg_pipe_fini(&pipe);
    return st;
}

/* ---- the probe ------------------------------------------------------------------------------------------------------- */

/* One that takes far too long is cancelled: the answer is known by then. */
static int64_t
probe_timeout_ms(const pawl_throttle *t)
{
    int64_t ms = t->probe_max_ms * 2;

    if (ms > PROBE_MAX_MS)
        ms = t->probe_max_ms > PROBE_MAX_MS ? t->probe_max_ms : PROBE_MAX_MS;
    return ms < PROBE_MIN_MS ? PROBE_MIN_MS : ms;
}

static pawl_status
run_probe(const pawl_signals *s, const pawl_throttle *t, pawl_pg *pg, int64_t *took_us, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(path);
    pawl_pg_pins pins = {.statement_timeout_ms = probe_timeout_ms(t), .idle_timeout_ms = STATEMENT_MS};
    int64_t began_us;
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", s->job->env->search_path);
    pins.search_path = path.data;
    if ((st = pawl_pg_begin(pg, &pins, err)) == PAWL_OK &&
        (st = pawl_pg_exec(pg, "SET TRANSACTION READ ONLY", err)) == PAWL_OK)
    {
        began_us = pawl_clock_us();
        st = pawl_pg_query(pg, t->probe, 0, NULL, &res, err);
        *took_us = pawl_clock_us() - began_us;
    }
    pawl_pg_rollback(pg);
    return st;
}

static pawl_status
look_by_probe(const pawl_signals *s, const pawl_throttle *t, pawl_pg *pg, pawl_verdict *v, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    int64_t took_us = 0;
    char most[32];
    pawl_status st = run_probe(s, t, pg, &took_us, &failure);
    bool is_cancelled = st != PAWL_OK && strcmp(failure.sqlstate, "57014") == 0;

    if (st != PAWL_OK && !is_cancelled)
    {
        *err = failure;
        return pawl_error_prefix(err, "the probe failed");
    }
    if (!is_cancelled && took_us <= t->probe_max_ms * 1000)
        return PAWL_OK;
    pawl_units_duration(t->probe_max_ms, most, sizeof most);
    v->asks_for_less = true;
    pawl_fmt(v->why, sizeof v->why, "the probe took %s%" PRId64 " ms (probe_max %s)",
             is_cancelled ? "more than " : "", took_us / 1000, most);
    return PAWL_OK;
}

pawl_status
pawl_signals_look(pawl_signals *s, const pawl_throttle *t, pawl_pg *pg, pawl_verdict *out, pawl_error *err)
{
    pawl_verdict v = {.why = ""};
    pawl_status st = PAWL_OK;

    if (t->max_wal_rate == 0)
        s->budget.lsn = 0;
    if (t->window[0] != '\0' || t->max_lag_ms > 0 || t->max_lag_bytes > 0 || t->max_wal_rate > 0 ||
        t->waiters_below > 0 || t->max_active > 0 || t->max_dead > 0)
        st = look_at_server(s, t, pg, &v, err);
    if (st == PAWL_OK && t->probe != NULL && v.why[0] == '\0')
        st = look_by_probe(s, t, pg, &v, err);
    if (st == PAWL_OK)
        *out = v;
    return st;
}
