#include "ledger/runner.h"

#include <assert.h>
#include <pthread.h>
#include <string.h>

#include "core/log.h"
#include "pawl_sql.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/lock.h"
#include "util/rng.h"
#include "util/units.h"

#include "util/banned.h"

#define POLL_MIN_MS          100
#define POLL_JITTER_MS       200
#define WAITING_EVERY_US     1000000
#define BEAT_LOCK_TIMEOUT_MS 100 /* a step in flight holds the row and renews it itself: skip this beat */
#define BEAT_STATEMENT_MS    5000
#define BEAT_RETRY_MS        1000

/* A backend as the lease names it; pid 0 is none, or one behind a pooler. */
typedef struct backend
{
    int32_t pid;
    char start[64];
} backend;

/* What the two threads share. */
struct shared
{
    bool is_ending;
    bool has_beaten; /* the heartbeat has a connection, and the lease names its backend */
    backend heart;
};

struct pawl_runner
{
    char *conninfo;
    bool is_pooled;
    char *schema;
    int64_t lease_ms;
    int64_t fence;
    pawl_stop *ending; /* interrupts what the heartbeat waits for on its connection */
    pthread_t thread;
    pawl_mutex lock;
    pawl_cond changed;
    struct shared shared_;
};

/* The runner's row as a waiting runner saw it. */
typedef struct sighting
{
    int64_t fence;
    int64_t age_ms;
    int64_t left_ms;
    bool is_free;
    bool is_dead;
    bool is_held; /* a transaction holds the row: a step is in flight */
    char host[256];
    char process[24];
    char doing[120];
    char since[40];
    char lease_until[64];
} sighting;

static struct shared *
locked(pawl_runner *runner) PAWL_REQUIRES(&runner->lock)
{
    return &runner->shared_;
}

/* ---- the heartbeat ---------------------------------------------------------------------------------------------- */

static backend
backend_of(const pawl_pg *pg)
{
    backend b = {.pid = pawl_pg_backend_pid(pg)};

    pawl_fmt(b.start, sizeof b.start, "%s", pawl_pg_backend_start(pg));
    return b;
}

static pawl_pg_arg
start_arg(const backend *b)
{
    return b->pid != 0 && b->start[0] != '\0' ? PAWL_ARG_TEXT(b->start) : PAWL_ARG_NULL;
}

static void
publish(pawl_runner *runner, const pawl_pg *pg)
{
    pawl_mutex_lock(&runner->lock);
    struct shared *s = locked(runner);

    s->has_beaten = pg != NULL;
    s->heart = pg != NULL ? backend_of(pg) : (backend){.pid = 0};
    pawl_mutex_unlock(&runner->lock);
}

/* In a transaction of the caller. PAWL_E_LEASE when the row is no longer ours. */
static pawl_status
renew(const pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, const backend *b, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {
        PAWL_ARG_I64(runner->fence),
        PAWL_ARG_I64(runner->lease_ms),
        b->pid != 0 ? PAWL_ARG_I64(b->pid) : PAWL_ARG_NULL,
        start_arg(b),
    };
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_runner_renew, 4, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_affected(res) == 1)
        return PAWL_OK;

    pawl_error_set(err, PAWL_E_LEASE,
                   "the right to change the history is lost: another pawl has taken it over");
    return pawl_error_sqlstate(err, "PW001");
}

static pawl_status
open_heart(const pawl_runner *runner, pawl_pg **pg, pawl_error *err)
{
    const pawl_pg_options options = {
        .conninfo = runner->conninfo,
        .is_pooled = runner->is_pooled,
        .application = "pawl heartbeat",
        .stop = runner->ending,
    };

    pawl_pg_close(*pg);
    *pg = NULL;
    return pawl_pg_open(&options, pg, err);
}

static pawl_status
beat_over(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_pg_pins pins = {
        .lock_timeout_ms = BEAT_LOCK_TIMEOUT_MS,
        .statement_timeout_ms = BEAT_STATEMENT_MS,
        .idle_timeout_ms = BEAT_STATEMENT_MS,
    };
    backend b = backend_of(pg);
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st == PAWL_OK)
        st = renew(runner, ledger, pg, &b, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(pg);
    return st;
}

/* One beat; a connection that turns out to be gone is opened again within it. */
static pawl_status
beat(pawl_runner *runner, pawl_ledger *ledger, pawl_pg **pg)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = PAWL_E_CONNECT;

    for (int tries = 0; tries < 2; tries++)
    {
        st = PAWL_OK;
        if (*pg == NULL || !pawl_pg_is_usable(*pg))
            st = open_heart(runner, pg, &err);
        if (st == PAWL_OK)
            st = beat_over(runner, ledger, *pg, &err);
        if (st == PAWL_OK)
        {
            publish(runner, *pg);
            return PAWL_OK;
        }
        if (*pg != NULL && pawl_pg_is_usable(*pg))
            return st; /* the row is held by a step in flight, mostly */
        publish(runner, NULL);
    }
    return st;
}

static bool
is_ended_after(pawl_runner *runner, int64_t ms)
{
    int64_t deadline = pawl_clock_us() + ms * 1000;
    bool is_ending;

    pawl_mutex_lock(&runner->lock);
    struct shared *s = locked(runner);

    while (!s->is_ending && pawl_cond_has_signal_before(&runner->changed, &runner->lock, deadline))
        continue;
    is_ending = s->is_ending;
    pawl_mutex_unlock(&runner->lock);

    return is_ending;
}

static void *
heartbeat_main(void *arg)
{
    pawl_runner *runner = arg;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *pg = NULL;
    pawl_ledger *ledger = NULL;
    int64_t pause_ms = 0;

    if (pawl_ledger_new(runner->schema, &ledger, &err) != PAWL_OK)
        return NULL;

    while (!is_ended_after(runner, pause_ms))
    {
        pawl_status st = beat(runner, ledger, &pg);

        if (st == PAWL_E_LEASE)
            break; /* the runner learns it from its next hold */
        pause_ms = runner->lease_ms / 3;
        if (st != PAWL_OK && pause_ms > BEAT_RETRY_MS)
            pause_ms = BEAT_RETRY_MS;
    }

    pawl_pg_close(pg);
    pawl_ledger_free(ledger);
    return NULL;
}

/* ---- making and unmaking the object ----------------------------------------------------------------------------- */

static void
runner_free(pawl_runner *runner)
{
    if (runner == NULL)
        return;

    pawl_cond_fini(&runner->changed);
    pawl_mutex_fini(&runner->lock);
    pawl_stop_free(runner->ending);
    pawl_free(runner->schema);
    pawl_free(runner->conninfo);
    pawl_free(runner);
}

static pawl_status
runner_new(const pawl_runner_options *options, pawl_runner **out, pawl_error *err)
{
    pawl_status st = PAWL_OK;
    pawl_runner *runner = pawl_calloc(1, sizeof *runner);

    if (runner == NULL)
        return pawl_error_nomem(err, "the runner");
    runner->lease_ms = options->lease_ms;
    runner->is_pooled = options->is_pooled;
    runner->conninfo = pawl_strdup(options->conninfo);
    runner->schema = pawl_strdup(options->schema);
    if (runner->conninfo == NULL || runner->schema == NULL)
    {
        st = pawl_error_nomem(err, "the runner");
        goto fail_strings;
    }
    if ((st = pawl_stop_new(&runner->ending, err)) != PAWL_OK)
        goto fail_strings;
    if (!pawl_mutex_can_init(&runner->lock))
    {
        st = pawl_error_nomem(err, "the lock of the runner");
        goto fail_lock;
    }
    if (!pawl_cond_can_init(&runner->changed))
    {
        st = pawl_error_nomem(err, "the lock of the runner");
        goto fail_cond;
    }

    *out = runner;
    return PAWL_OK;

fail_cond:
    pawl_mutex_fini(&runner->lock);
fail_lock:
    pawl_stop_free(runner->ending);
fail_strings:
    pawl_free(runner->schema);
    pawl_free(runner->conninfo);
    pawl_free(runner);
    return st;
}

/* ---- taking the lease ------------------------------------------------------------------------------------------- */

static void
read_sighting(const pawl_pg_result *res, sighting *out)
{
    const char *owner = pawl_pg_text(res, 0, 1);
    const char *colon = strrchr(owner, ':');

    *out = (sighting){
        .fence = pawl_pg_i64(res, 0, 0),
        .age_ms = pawl_pg_i64(res, 0, 4),
        .left_ms = pawl_pg_i64(res, 0, 6),
        .is_free = pawl_pg_is_true(res, 0, 7),
        .is_dead = pawl_pg_is_true(res, 0, 8),
    };
    pawl_fmt(out->host, sizeof out->host, "%.*s", colon != NULL ? (int) (colon - owner) : 250, owner);
    pawl_fmt(out->process, sizeof out->process, "%s", colon != NULL ? colon + 1 : "?");
    pawl_fmt(out->doing, sizeof out->doing, "%s", pawl_pg_text(res, 0, 2));
    pawl_fmt(out->since, sizeof out->since, "%s", pawl_pg_text(res, 0, 3));
    pawl_fmt(out->lease_until, sizeof out->lease_until, "%s", pawl_pg_text(res, 0, 5));
}

static pawl_status
take(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, const char *doing, const sighting *seen,
     pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    backend b = backend_of(pg);
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT(pawl_ledger_whereabouts()),
        PAWL_ARG_TEXT(doing),
        b.pid != 0 ? PAWL_ARG_I64(b.pid) : PAWL_ARG_NULL,
        start_arg(&b),
        PAWL_ARG_I64(runner->lease_ms),
        PAWL_ARG_I64(seen->fence),
        PAWL_ARG_TEXT(seen->lease_until),
        PAWL_ARG_BOOL(seen->is_dead),
    };
    pawl_status st;

    PAWL_FAILPOINT("runner.before_take");
    st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_runner_take, 8, args, &res, err);
    if (st == PAWL_OK && pawl_pg_rows(res) == 1)
        runner->fence = pawl_pg_i64(res, 0, 0);
    return st;
}

/* One look, and a try when it seems free. runner->fence stays 0 when it was not, or when others were faster. */
static pawl_status
try_once(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, const char *doing, sighting *seen,
         pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error tried = PAWL_ERROR_INIT;
    pawl_status st = pawl_pg_begin(pg, NULL, &tried);

    if (st == PAWL_OK)
        st = pawl_ledger_query(ledger, pg, pawl_sql_ledger_runner_look, 0, NULL, &res, &tried);
    if (st == PAWL_OK && pawl_pg_rows(res) != 1)
        st =
            pawl_error_set(&tried, PAWL_E_STATE, "the table \"runner\" of the ledger \"%s\" has lost its row",
                           pawl_ledger_schema(ledger));
    if (st == PAWL_OK)
    {
        read_sighting(res, seen);
        if (seen->is_free || seen->is_dead)
            st = take(runner, ledger, pg, doing, seen, &tried);
    }
    if (st == PAWL_OK)
        st = pawl_pg_commit(pg, &tried);
    if (st == PAWL_OK)
        return PAWL_OK;

    pawl_pg_rollback(pg);
    runner->fence = 0;
    if (strcmp(tried.sqlstate, "55P03") == 0)
    {
        seen->is_held = true;
        return PAWL_OK;
    }
    *err = tried;
    return st;
}

static void
describe(const sighting *seen, char *out, size_t size)
{
    char age[32];

    pawl_units_duration(seen->age_ms, age, sizeof age);
    pawl_fmt(out, size, "\"%s\" of process %s on host %s, since %s (%s)", seen->doing, seen->process,
             seen->host, seen->since, age);
}

static pawl_status
busy(const sighting *seen, int64_t wait_ms, pawl_error *err)
{
    char holder[520];
    char time[32];

    describe(seen, holder, sizeof holder);
    pawl_error_set(err, PAWL_E_BUSY, "another pawl is changing this history: %s", holder);
    if (seen->is_held)
        pawl_error_detail(err,
                          "its lease has run out, but a transaction of it is still open and holds the lease");
    else if (seen->left_ms > 0)
    {
        pawl_units_duration(seen->left_ms, time, sizeof time);
        pawl_error_detail(err, "it is alive: its lease was renewed and lasts for another %s", time);
    }
    pawl_units_duration(wait_ms, time, sizeof time);
    return pawl_error_hint(err, "waited %s; wait longer with --wait, or see what it does with pawl status",
                           time);
}

static pawl_status
wait_and_take(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, const pawl_runner_options *options,
              pawl_error *err)
{
    int64_t deadline = pawl_clock_us() + options->wait_ms * 1000;
    int64_t told_us = 0;
    pawl_rng rng;

    pawl_rng_init_random(&rng);
    for (;;)
    {
        sighting seen = {.fence = 0};
        pawl_status st = try_once(runner, ledger, pg, options->doing, &seen, err);
        int64_t now_us = pawl_clock_us();
        int64_t pause_ms = POLL_MIN_MS + (int64_t) pawl_rng_below(&rng, POLL_JITTER_MS);

        if (st != PAWL_OK || runner->fence != 0)
            return st;
        /* When somebody was faster than us, who that is only the next look can tell. */
        bool is_known = !seen.is_free || seen.is_held;

        if (now_us >= deadline && is_known)
            return busy(&seen, options->wait_ms, err);
        if (is_known && now_us - told_us >= WAITING_EVERY_US)
        {
            char holder[520];

            describe(&seen, holder, sizeof holder);
            pawl_log_text(options->sink, PAWL_EVENT_WAITING, "waiting for another pawl: %s", holder);
            told_us = now_us;
        }
        st = pawl_stop_sleep(options->stop, PAWL_STOP_FINISH, pause_ms, err);
        if (st != PAWL_OK)
            return st;
    }
}

/* Best effort: what fails here is mended by the end of our backend, or of the lease. */
static void
release_row(const pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(runner->fence)};
    pawl_error ignored = PAWL_ERROR_INIT;

    if (pg == NULL)
        return;
    pawl_pg_ignore_stop(pg);
    pawl_pg_rollback(pg);
    if (!pawl_pg_is_usable(pg))
        return;
    if (pawl_pg_begin(pg, NULL, &ignored) != PAWL_OK ||
        pawl_ledger_query(ledger, pg, pawl_sql_ledger_runner_release, 1, args, NULL, &ignored) != PAWL_OK ||
        pawl_pg_commit(pg, &ignored) != PAWL_OK)
        pawl_pg_rollback(pg);
}

pawl_status
pawl_runner_acquire(pawl_ledger *ledger, pawl_pg *pg, const pawl_runner_options *options, pawl_runner **out,
                    pawl_error *err)
{
    pawl_runner *runner = NULL;
    pawl_status st = pawl_stop_check(options->stop, PAWL_STOP_FINISH, err);

    assert(!pawl_pg_is_in_transaction(pg));
    if (st == PAWL_OK)
        st = runner_new(options, &runner, err);
    if (st != PAWL_OK)
        return st;

    st = wait_and_take(runner, ledger, pg, options, err);
    if (st != PAWL_OK)
    {
        runner_free(runner);
        return st;
    }
    if (pthread_create(&runner->thread, NULL, heartbeat_main, runner) != 0)
    {
        release_row(runner, ledger, pg);
        runner_free(runner);
        return pawl_error_set(err, PAWL_E_NOMEM, "cannot start the thread that renews the lease");
    }

    *out = runner;
    return PAWL_OK;
}

/* ---- having it -------------------------------------------------------------------------------------------------- */

void
pawl_runner_release(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg)
{
    if (runner == NULL)
        return;

    /* The heartbeat first, so that the row is not renewed under our hands and its backend is gone if we fail. */
    pawl_mutex_lock(&runner->lock);
    locked(runner)->is_ending = true;
    pawl_cond_broadcast(&runner->changed);
    pawl_mutex_unlock(&runner->lock);
    pawl_stop_request(runner->ending);
    pawl_stop_request(runner->ending);
    (void) pthread_join(runner->thread, NULL);

    release_row(runner, ledger, pg);
    runner_free(runner);
}

pawl_status
pawl_runner_hold(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(runner->fence)};

    assert(pawl_pg_is_in_transaction(pg));
    return pawl_ledger_query(ledger, pg, pawl_sql_ledger_runner_hold, 1, args, NULL, err);
}

pawl_status
pawl_runner_renew(pawl_runner *runner, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    backend b = backend_of(pg);

    assert(pawl_pg_is_in_transaction(pg));
    pawl_mutex_lock(&runner->lock);
    struct shared *s = locked(runner);

    if (s->has_beaten)
        b = s->heart;
    pawl_mutex_unlock(&runner->lock);

    return renew(runner, ledger, pg, &b, err);
}

int64_t
pawl_runner_fence(const pawl_runner *runner)
{
    return runner->fence;
}
