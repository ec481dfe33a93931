/*
 * The indexes of the shadow table, several at once, each by a session of its own in a transaction of its own.
 *
 * The key comes first, alone, because the drain finds rows by it; the others when the log has been drained once.
 * A plain CREATE INDEX takes a SHARE lock: several go together, and no drain comes between, because it is this thread's.
 * What others write meanwhile is only logged. What is built is committed, so whatever dies costs the builds at hand.
 *
 * The right to change the history is held behind the build and not before it: the heartbeat goes on while it lasts,
 * and a build whose process was taken for dead meanwhile is rolled back.
 */
#include <string.h>

#include "core/log.h"
#include "online/rewrite_private.h"
#include "pawl_sql.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/lock.h"

#include "util/banned.h"

enum
{
    MOST_BUILDERS = 16,
    REPORT_US = 10000000,
};

typedef enum build_state
{
    BUILD_WAITS,
    BUILD_RUNS,
    BUILD_ENDED,
} build_state;

typedef struct build
{
    const pawl_carry_unit *unit;
    build_state state;
    bool was_done;
    bool is_told; /* by the calling thread: the sink is its own */
    int64_t began_us;
    pawl_status status;
    pawl_error error;
} build;

/* Protected by the lock. */
struct site_state
{
    build *builds;
    size_t nbuilds;
    size_t nbuilders; /* that still work */
    bool is_halted;   /* nothing more is begun */
};

typedef struct site
{
    const pawl_rewrite *rw; /* read only: its session and its arena belong to the calling thread */
    size_t at_once;         /* sessions at the start */
    pawl_mutex lock;
    pawl_cond changed;
    struct site_state state_;
} site;

typedef struct builder
{
    site *site;
    pthread_t thread;
    bool is_started;
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_status status; /* of coming to work; what a build says stands with it */
    pawl_error error;
} builder;

static struct site_state *
locked(site *s) PAWL_REQUIRES(&s->lock)
{
    return &s->state_;
}

/* ---- a builder ------------------------------------------------------------------------------------------------------- */

static build *
take(site *s)
{
    build *taken = NULL;

    pawl_mutex_lock(&s->lock);
    struct site_state *state = locked(s);

    for (size_t i = 0; i < state->nbuilds && taken == NULL && !state->is_halted; i++)
        if (state->builds[i].state == BUILD_WAITS)
            taken = &state->builds[i];
    if (taken != NULL)
    {
        taken->state = BUILD_RUNS;
        taken->began_us = pawl_clock_us();
    }
    pawl_mutex_unlock(&s->lock);
    return taken;
}

/* A unique index that fails waits for a drain; the others need not. Whatever else fails would most likely go on to. */
static void
put_back(site *s, build *b, pawl_status st, bool was_done, const pawl_error *err)
{
    pawl_mutex_lock(&s->lock);
    struct site_state *state = locked(s);

    b->state = BUILD_ENDED;
    b->status = st;
    b->was_done = was_done;
    b->error = *err;
    if (st != PAWL_OK && strcmp(err->sqlstate, "23505") != 0)
        state->is_halted = true;
    pawl_cond_broadcast(&s->changed);
    pawl_mutex_unlock(&s->lock);
}

static void
leave(site *s)
{
    pawl_mutex_lock(&s->lock);
    locked(s)->nbuilders--;
    pawl_cond_broadcast(&s->changed);
    pawl_mutex_unlock(&s->lock);
}

static pawl_status
build_inside(builder *me, const pawl_carry_unit *unit, bool *was_done, pawl_error *err)
{
    const pawl_rewrite *rw = me->site->rw;
    pawl_status st = pawl_carry_is_done(me->pg, unit, was_done, err);

    if (st != PAWL_OK || *was_done ||
        (st = pawl_rewrite_build_settings(rw, me->pg, me->site->at_once, err)) != PAWL_OK ||
        (st = pawl_pg_set_path(me->pg, rw->user_path, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < unit->nsql; i++)
        if ((st = pawl_pg_exec(me->pg, unit->sql[i], err)) != PAWL_OK)
            return pawl_error_prefix(err, "%s", unit->what);
    PAWL_FAILPOINT("rewrite.in_unit");
    return rw->env->runner != NULL ? pawl_runner_hold(rw->env->runner, me->ledger, me->pg, err) : PAWL_OK;
}

static pawl_status
build_one(builder *me, const pawl_carry_unit *unit, bool *was_done, pawl_error *err)
{
    const pawl_backfill_env *env = me->site->rw->env->base;
    const pawl_pg_pins pins = {.lock_timeout_ms = env->lock_timeout_ms};
    pawl_status st = pawl_stop_check(env->stop, PAWL_STOP_FINISH, err);

    if (st != PAWL_OK || (st = pawl_pg_begin(me->pg, &pins, err)) != PAWL_OK)
        return st;
    st = build_inside(me, unit, was_done, err);
    PAWL_FAILPOINT("rewrite.before_commit");
    if (st == PAWL_OK)
        st = pawl_pg_commit(me->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(me->pg);
    return st;
}

static pawl_status
come(builder *me)
{
    const pawl_backfill_env *env = me->site->rw->env->base;
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl rewrite (index)",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};
    pawl_status st = pawl_ledger_new(env->schema, &me->ledger, &me->error);

    return st == PAWL_OK ? pawl_pg_open(&options, &me->pg, &me->error) : st;
}

static void *
builder_main(void *arg)
{
    builder *me = arg;
    build *b = NULL;

    me->status = come(me);
    while (me->status == PAWL_OK && pawl_pg_is_usable(me->pg) && (b = take(me->site)) != NULL)
    {
        pawl_error err = PAWL_ERROR_INIT;
        bool was_done = false;
        pawl_status st = build_one(me, b->unit, &was_done, &err);

        put_back(me->site, b, st, was_done, &err);
    }
    pawl_pg_close(me->pg);
    pawl_ledger_free(me->ledger);
    leave(me->site);
    return NULL;
}

/* ---- the thread of the rewrite ------------------------------------------------------------------------------------------ */

/* Take note of one build that has ended, or that has been at it for long. False when there is nothing to tell. */
static bool
can_tell(site *s, bool are_running_told, char *text, size_t size)
{
    bool is_told = false;
    int64_t now_us = pawl_clock_us();

    pawl_mutex_lock(&s->lock);
    struct site_state *state = locked(s);

    for (size_t i = 0; i < state->nbuilds && !is_told; i++)
    {
        build *b = &state->builds[i];
        int64_t seconds = (now_us - b->began_us) / 1000000;

        if (b->state == BUILD_ENDED && !b->is_told)
        {
            b->is_told = true;
            if (b->status != PAWL_OK || b->was_done)
                continue;
            pawl_fmt(text, size, "%s is done (%lld s)", b->unit->what, (long long) seconds);
            is_told = true;
        }
        else if (b->state == BUILD_RUNS && are_running_told)
        {
            pawl_fmt(text, size, "%s is being built (%lld s)", b->unit->what, (long long) seconds);
            is_told = true;
        }
    }
    pawl_mutex_unlock(&s->lock);
    return is_told;
}

static bool
are_working(site *s, int64_t until_us)
{
    bool are_any;

    pawl_mutex_lock(&s->lock);
    are_any = locked(s)->nbuilders > 0 && pawl_cond_has_signal_before(&s->changed, &s->lock, until_us);
    are_any = locked(s)->nbuilders > 0;
    pawl_mutex_unlock(&s->lock);
    return are_any;
}

static void
watch(site *s)
{
    const pawl_sink *sink = s->rw->env->base->sink;
    bool are_any = true;

    while (are_any)
    {
        int64_t until_us = pawl_clock_us() + REPORT_US;
        char text[400];

        are_any = are_working(s, until_us);
        while (can_tell(s, false, text, sizeof text))
            pawl_log_text(sink, PAWL_EVENT_INFO, "%s", text);
        if (are_any && pawl_clock_us() >= until_us && can_tell(s, true, text, sizeof text))
            pawl_log_text(sink, PAWL_EVENT_WAITING, "%s", text);
    }
}

/* The worst of what has happened: a value that is there twice can be mended, so anything else comes first. */
static pawl_status
outcome(const struct site_state *state, const builder *builders, size_t nbuilders, pawl_error *err)
{
    const pawl_error *worst = NULL;
    bool is_left = false;

    for (size_t i = 0; i < state->nbuilds; i++)
    {
        const build *b = &state->builds[i];

        is_left = is_left || b->state != BUILD_ENDED;
        if (b->state == BUILD_ENDED && b->status != PAWL_OK &&
            (worst == NULL || strcmp(worst->sqlstate, "23505") == 0))
            worst = &b->error;
    }
    for (size_t i = 0; i < nbuilders && is_left && worst == NULL; i++)
        if (builders[i].status != PAWL_OK)
            worst = &builders[i].error;
    if (worst == NULL)
        return is_left ? pawl_error_set(err, PAWL_E_BUG, "an index of the new table was left unbuilt")
                       : PAWL_OK;
    *err = *worst;
    return worst->code;
}

static pawl_status
start(site *s, builder *builders, size_t count, pawl_error *err)
{
    size_t started = 0;

    for (size_t i = 0; i < count; i++)
    {
        builders[i] = (builder){.site = s, .error = PAWL_ERROR_INIT};
        builders[i].is_started = pthread_create(&builders[i].thread, NULL, builder_main, &builders[i]) == 0;
        if (builders[i].is_started)
            started++;
        else
            leave(s);
    }
    return started > 0 ? PAWL_OK : pawl_error_set(err, PAWL_E_NOMEM, "cannot start a session for an index");
}

static pawl_status
work(site *s, builder *builders, size_t count, pawl_error *err)
{
    pawl_status st = start(s, builders, count, err);

    if (st == PAWL_OK)
        watch(s);
    for (size_t i = 0; i < count; i++)
        if (builders[i].is_started)
            (void) pthread_join(builders[i].thread, NULL);
    return st == PAWL_OK ? outcome(&s->state_, builders, count, err) : st;
}

static size_t
sessions_for(const pawl_rewrite *rw, size_t nbuilds)
{
    size_t most = rw->spec->workers > 0 ? (size_t) rw->spec->workers : 1;

    if (most > MOST_BUILDERS)
        most = MOST_BUILDERS;
    return most < nbuilds ? most : nbuilds;
}

pawl_status
pawl_rewrite_indexes(pawl_rewrite *rw, const pawl_carry_list *list, pawl_error *err)
{
    builder builders[MOST_BUILDERS];
    site s = {.rw = rw};
    pawl_status st = PAWL_OK;

    s.state_.builds = pawl_calloc(list->length + 1, sizeof *s.state_.builds);
    if (s.state_.builds == NULL)
        return pawl_error_nomem(err, "the indexes of a rewrite");
    for (size_t i = 0; i < list->length; i++)
        if (list->items[i].is_build)
            s.state_.builds[s.state_.nbuilds++] = (build){.unit = &list->items[i], .error = PAWL_ERROR_INIT};
    s.at_once = s.state_.nbuilders = sessions_for(rw, s.state_.nbuilds);
    if (s.state_.nbuilds > 0)
    {
        bool has_lock = pawl_mutex_can_init(&s.lock);
        bool has_cond = has_lock && pawl_cond_can_init(&s.changed);

        st = has_cond ? work(&s, builders, s.state_.nbuilders, err) : pawl_error_nomem(err, "a lock");
        if (has_cond)
            pawl_cond_fini(&s.changed);
        if (has_lock)
            pawl_mutex_fini(&s.lock);
    }
    pawl_free(s.state_.builds);
    return st == PAWL_OK ? pawl_rewrite_units(rw, list, true, err) : st;
}
