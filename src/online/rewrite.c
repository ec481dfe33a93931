#include "online/rewrite.h"

#include <string.h>

#include "backfill/context.h"
#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/copier.h"
#include "online/rewrite_private.h"
#include "pawl_sql.h"
#include "pg/lockers.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_DOWN_US = 600000000, /* as long as a server may be gone */
    MOST_FAILURES = 200,      /* in one state, of those that pass */
    MOST_VACUUMS = 5,         /* tries that wait until an autovacuum yields */
};

static const char went_on[] = "another process has carried the rewrite on, or taken it back";

/* ---- transactions -------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_rewrite_connect(pawl_rewrite *rw, pawl_error *err)
{
    const pawl_backfill_env *env = rw->env->base;
    const pawl_pg_options options = {.conninfo = env->conninfo,
                                     .is_pooled = env->is_pooled,
                                     .application = "pawl rewrite",
                                     .stop = env->stop,
                                     .connect_timeout_ms = env->connect_timeout_ms};

    if (rw->pg != NULL && pawl_pg_is_usable(rw->pg))
        return PAWL_OK;
    pawl_pg_close(rw->pg);
    rw->pg = NULL;
    return pawl_pg_open(&options, &rw->pg, err);
}

pawl_status
pawl_rewrite_set_phase(pawl_rewrite *rw, pawl_pg *pg, const char *phase, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT(phase), PAWL_ARG_TEXT(rw->phase),
                                PAWL_ARG_I64(rw->restarts)};

    return pawl_ledger_touch(rw->ledger, pg, pawl_sql_online_rewrite_phase, 4, args, went_on, err);
}

static pawl_status
check_inside(pawl_rewrite *rw, void *ctx PAWL_UNUSED, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT(rw->phase), PAWL_ARG_I64(rw->restarts)};
    pawl_status st = pawl_ledger_query(rw->ledger, rw->pg, pawl_sql_online_rewrite_at, 3, args, &res, err);

    if (st != PAWL_OK || pawl_pg_is_true(res, 0, 0))
        return st;
    return pawl_error_set(err, PAWL_E_STATE, "%s", went_on);
}

pawl_status
pawl_rewrite_check(pawl_rewrite *rw, pawl_error *err)
{
    return pawl_rewrite_txn(rw, check_inside, NULL, err);
}

pawl_status
pawl_rewrite_event(pawl_rewrite *rw, pawl_pg *pg, const char *kind, const char *detail, pawl_error *err)
{
    return pawl_ledger_event(rw->ledger, pg, kind, rw->id->base.revision, rw->job, detail, err);
}

static pawl_status
try_once(pawl_rewrite *rw, pawl_rewrite_work work, void *ctx, bool outwaits_vacuum, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = rw->env->base->lock_timeout_ms,
                               .outwaits_vacuum = outwaits_vacuum};
    pawl_status st;

    if ((st = pawl_rewrite_connect(rw, err)) != PAWL_OK ||
        (st = pawl_pg_begin(rw->pg, &pins, err)) != PAWL_OK)
        return st;
    if (rw->env->runner != NULL)
        st = pawl_runner_hold(rw->env->runner, rw->ledger, rw->pg, err);
    if (st == PAWL_OK)
        st = work(rw, ctx, err);
    PAWL_FAILPOINT("rewrite.before_commit");
    if (st == PAWL_OK && rw->env->runner != NULL)
        st = pawl_runner_renew(rw->env->runner, rw->ledger, rw->pg, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(rw->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(rw->pg);
    return st;
}

static bool
is_contended(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    return fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_REPEAT;
}

pawl_status
pawl_rewrite_txn(pawl_rewrite *rw, pawl_rewrite_work work, void *ctx, pawl_error *err)
{
    pawl_backoff backoff;
    bool outwaits_vacuum = false;
    int vacuums = 0;

    pawl_backoff_init(&backoff, 100, 2000);
    for (int64_t tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        char who[400] = "";
        pawl_status st = try_once(rw, work, ctx, outwaits_vacuum, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if (!is_contended(err))
            return st;
        if (rw->shape.table != NULL)
        {
            pawl_pg_lockers(rw->pg, rw->shape.table->oid, who, sizeof who);
            outwaits_vacuum = vacuums < MOST_VACUUMS && pawl_pg_is_vacuumed(rw->pg, rw->shape.table->oid);
            vacuums += outwaits_vacuum ? 1 : 0;
        }
        if (tries >= rw->env->base->lock_attempts)
        {
            rw->has_given_up = true;
            (void) pawl_error_prefix(err, "given up after %lld attempt%s", (long long) tries,
                                     tries == 1 ? "" : "s");
            return pawl_error_hint(err, "held by %s; run it again at a quieter time",
                                   who[0] != '\0' ? who : "a session that cannot be seen");
        }
        pawl_log_text(rw->env->base->sink, PAWL_EVENT_WAITING, "attempt %lld of %lld: %s%s%s",
                      (long long) tries, (long long) rw->env->base->lock_attempts, failure.message,
                      who[0] != '\0' ? "; held by " : "", who);
        if ((st = pawl_backoff_sleep(&backoff, rw->env->base->stop, err)) != PAWL_OK)
            return st;
    }
}

/* ---- states -------------------------------------------------------------------------------------------------------------- */

static pawl_status
phase_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    return pawl_rewrite_set_phase(rw, rw->pg, ctx, err);
}

pawl_status
pawl_rewrite_go_to(pawl_rewrite *rw, const char *phase, pawl_error *err)
{
    char next[sizeof rw->phase];
    pawl_status st;

    pawl_fmt(next, sizeof next, "%s", phase);
    if ((st = pawl_rewrite_txn(rw, phase_inside, next, err)) != PAWL_OK)
        return st;
    pawl_fmt(rw->phase, sizeof rw->phase, "%s", phase);
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_DEBUG, "job %lld: %s", (long long) rw->job, phase);
    return PAWL_OK;
}

static bool
is_in(const pawl_rewrite *rw, const char *phase)
{
    return strcmp(rw->phase, phase) == 0;
}

static pawl_status
copy(pawl_rewrite *rw, pawl_error *err)
{
    const pawl_copier_options options = {.shape = &rw->shape,
                                         .env = rw->env->base,
                                         .job = rw->job,
                                         .now_us = rw->started_us,
                                         .owner = rw->copier};
    pawl_status st = pawl_copier_run(&options, err);

    PAWL_FAILPOINT("rewrite.after_copy");
    /* Rows come in the order of the key, each once; built afterwards it costs a third of what it does in place. */
    if (st == PAWL_OK)
        st = pawl_rewrite_indexes(rw, &rw->carry->key, err);
    return st == PAWL_OK ? pawl_rewrite_go_to(rw, "drain", err) : st;
}

static pawl_status
start_over(pawl_rewrite *rw, const char *why, pawl_error *err)
{
    pawl_status st = pawl_rewrite_restart(rw, why, err);

    if (st == PAWL_OK)
    {
        pawl_fmt(rw->phase, sizeof rw->phase, "copy");
        rw->restarts++;
    }
    return st;
}

static pawl_status
drain(pawl_rewrite *rw, const char *next, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    char why[480] = "";
    pawl_status st = pawl_rewrite_drain(rw, 0, &end, why, sizeof why, err);

    if (st != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.after_drain");
    return end == PAWL_DRAIN_VOID ? start_over(rw, why, err) : pawl_rewrite_go_to(rw, next, err);
}

static pawl_status
build(pawl_rewrite *rw, pawl_error *err)
{
    pawl_carry_twice twice = {0};

    for (;;)
    {
        pawl_drain_end end = PAWL_DRAIN_MORE;
        char why[480] = "";
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_rewrite_indexes(rw, &rw->carry->index, &failure);

        if (st == PAWL_OK)
            return pawl_rewrite_go_to(rw, "settle", err);
        if (!pawl_carry_can_pass(&twice, &failure))
        {
            *err = failure;
            return st;
        }
        if ((st = pawl_rewrite_drain(rw, 0, &end, why, sizeof why, err)) != PAWL_OK)
            return st;
        if (end == PAWL_DRAIN_VOID)
            return start_over(rw, why, err);
    }
}

static pawl_status
settle(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_rewrite_settle(rw, err);

    PAWL_FAILPOINT("rewrite.after_settle");
    return st == PAWL_OK ? pawl_rewrite_go_to(rw, "ready", err) : st;
}

static pawl_status
cut_over(pawl_rewrite *rw, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    char why[480] = "";
    bool is_all = true;
    pawl_status st = rw->is_current ? PAWL_OK : pawl_rewrite_look_again(rw, &is_all, err);

    if (st != PAWL_OK)
        return st;
    rw->is_current = true;
    if (!is_all)
        return pawl_rewrite_go_to(rw, "index", err);
    if ((st = pawl_rewrite_cut_over(rw, &end, why, sizeof why, err)) != PAWL_OK)
        return st;
    if (end == PAWL_DRAIN_VOID)
        return start_over(rw, why, err);
    pawl_fmt(rw->phase, sizeof rw->phase, "after");
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_INFO, "cut over: \"%s.%s\" was locked for %lld ms",
                  rw->shape.table->schema, rw->shape.table->name, (long long) rw->locked_ms);
    if (rw->nulled > 0)
        pawl_log_text(
            rw->env->base->sink, PAWL_EVENT_WARNING,
            "%lld %s of \"%s.%s\" went live with NULL for what the transform makes, because what %s had was "
            "refused: pawl rejects %lld",
            (long long) rw->nulled, rw->nulled == 1 ? "row" : "rows", rw->shape.table->schema,
            rw->shape.table->name, rw->nulled == 1 ? "it" : "they", (long long) rw->job);
    return PAWL_OK;
}

/* ---- after the cut-over --------------------------------------------------------------------------------------------------- */

static pawl_status
open_mirror(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_rewrite_note_baseline(rw, err);

    if (st != PAWL_OK || (st = pawl_rewrite_event(rw, rw->pg, "mirrored", rw->old, err)) != PAWL_OK)
        return st;
    return pawl_rewrite_set_phase(rw, rw->pg, "mirror", err);
}

pawl_status
pawl_rewrite_end_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(rw->job), PAWL_ARG_TEXT("done")};
    pawl_status st;

    (void) ctx;
    if (rw->has_mirror)
        return open_mirror(rw, err);
    st = pawl_rewrite_set_phase(rw, rw->pg, rw->phase, err);
    if (st == PAWL_OK && !rw->spec->keeps_old)
        st = pawl_rewrite_drop(rw, rw->old, err);
    if (st != PAWL_OK || (st = pawl_ledger_touch(rw->ledger, rw->pg, pawl_sql_online_rewrite_end, 2, args,
                                                 "the job of the rewrite is no longer open", err)) != PAWL_OK)
        return st;
    return pawl_rewrite_event(rw, rw->pg, "job_done", "", err);
}

static pawl_status
after(pawl_rewrite *rw, pawl_error *err)
{
    pawl_carry *carry = NULL;
    pawl_status st;

    if ((st = pawl_carry_load(rw->carried, rw->arena, &carry, err)) != PAWL_OK ||
        (st = pawl_rewrite_units(rw, &carry->after, false, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("rewrite.before_end");
    if ((st = pawl_rewrite_txn(rw, pawl_rewrite_end_inside, NULL, err)) == PAWL_OK)
        rw->is_done = true;
    return st;
}

/* How often it has failed in one state. */
typedef struct patience
{
    pawl_backoff backoff;
    char phase[16];
    int failures;
    int64_t since_us;
} patience;

/* ---- the walk -------------------------------------------------------------------------------------------------------------- */

static pawl_status
find_or_prepare(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_rewrite_find_at_rest(rw, err);

    if (st == PAWL_OK && is_in(rw, "mirror"))
        rw->is_done = true;
    if (st != PAWL_OK || rw->is_done)
        return st;
    if (rw->job != 0 && is_in(rw, "prepare") && (st = pawl_rewrite_take_away(rw, err)) != PAWL_OK)
        return st;
    if (rw->job == 0)
    {
        if ((st = pawl_rewrite_prepare(rw, err)) != PAWL_OK)
            return st;
        pawl_fmt(rw->phase, sizeof rw->phase, "copy");
        return PAWL_OK;
    }
    return is_in(rw, "after") ? PAWL_OK : pawl_rewrite_load(rw, err);
}

static pawl_status
step(pawl_rewrite *rw, pawl_error *err)
{
    pawl_status st = pawl_stop_check(rw->env->base->stop, PAWL_STOP_FINISH, err);

    if (st != PAWL_OK)
        return st;
    if (rw->job == 0 || rw->phase[0] == '\0')
        return find_or_prepare(rw, err);
    if (is_in(rw, "copy"))
        return copy(rw, err);
    if (is_in(rw, "drain"))
        return drain(rw, "index", err);
    if (is_in(rw, "index"))
        return build(rw, err);
    if (is_in(rw, "settle"))
        return settle(rw, err);
    if (is_in(rw, "ready"))
        return cut_over(rw, err);
    if (is_in(rw, "after"))
        return after(rw, err);
    return pawl_error_set(err, PAWL_E_STATE, "job %lld is in the state \"%s\", which this pawl does not know",
                          (long long) rw->job, rw->phase);
}

/* Whether to go on after a failure: a server that restarts ends nothing, and what never gets further does. */
static pawl_status
recover(pawl_rewrite *rw, patience *p, const pawl_error *failure, pawl_error *err)
{
    *err = *failure;
    if (rw->has_given_up)
        return failure->code;
    /* Once a connection was lost, who holds the chunk of the drain is the old session, which has not ended yet. */
    if (pawl_fault_of(err) != PAWL_FAULT_CONNECTION && failure->code != PAWL_E_LEASE && !is_contended(err) &&
        !(p->failures > 0 && failure->code == PAWL_E_BUSY))
        return failure->code;
    /* A chunk is claimed again. The right to change the history, the only one that is needed to find the job, is not. */
    if (failure->code == PAWL_E_LEASE && rw->phase[0] == '\0')
        return failure->code;
    p->failures = strcmp(p->phase, rw->phase) == 0 ? p->failures + 1 : 1;
    p->since_us = p->failures == 1 ? pawl_clock_us() : p->since_us;
    pawl_fmt(p->phase, sizeof p->phase, "%s", rw->phase);
    if (p->failures > MOST_FAILURES || pawl_clock_us() - p->since_us > MOST_DOWN_US)
        return failure->code;
    pawl_log_text(rw->env->base->sink, PAWL_EVENT_WAITING, "going on in a moment: %s", failure->message);

    pawl_status st = pawl_backoff_sleep(&p->backoff, rw->env->base->stop, err);

    if (st == PAWL_OK)
        rw->phase[0] = '\0'; /* a lost COMMIT may be in: nothing learned outlives the connection */
    return st;
}

static pawl_status
walk(pawl_rewrite *rw, pawl_status (*one)(pawl_rewrite *rw, pawl_error *err), pawl_error *err)
{
    patience p = {0};

    pawl_backoff_init(&p.backoff, 100, 5000);
    while (!rw->is_done)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = one(rw, &failure);

        if (st != PAWL_OK && (st = recover(rw, &p, &failure, err)) != PAWL_OK)
            return st;
    }
    *err = (pawl_error) PAWL_ERROR_INIT; /* not what was recovered from */
    return PAWL_OK;
}

static pawl_status
begin(pawl_rewrite *rw, const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
      pawl_error *err)
{
    *rw = (pawl_rewrite){
        .spec = spec, .own_env = *env, .own_base = *env->base, .id = id, .arena = pawl_arena_new()};
    rw->own_env.base = &rw->own_base;
    rw->env = &rw->own_env;
    if (rw->arena == NULL)
        return pawl_error_nomem(err, "a rewrite");
    pawl_fmt(rw->user_path, sizeof rw->user_path, "pg_catalog, %s", env->base->search_path);
    pawl_copier_name_owner(rw->copier);
    return pawl_ledger_new(env->base->schema, &rw->ledger, err);
}

static void
end(pawl_rewrite *rw)
{
    pawl_pg_close(rw->pg);
    pawl_ledger_free(rw->ledger);
    pawl_arena_free(rw->arena);
}

pawl_status
pawl_rewrite_run(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                 pawl_rewrite_result *result, pawl_error *err)
{
    pawl_rewrite rw;
    pawl_status st = begin(&rw, spec, env, id, err);
    bool was_done = false;

    if (st == PAWL_OK && (st = find_or_prepare(&rw, err)) == PAWL_OK)
    {
        was_done = rw.is_done;
        if (!was_done)
            st = pawl_context_check(rw.job, env->base, spec->lua_file != NULL, rw.ledger, rw.pg, err);
        if (st == PAWL_OK)
            st = walk(&rw, step, err);
    }
    if (st == PAWL_OK)
    {
        *result = (pawl_rewrite_result){.job_id = rw.job,
                                        .was_resumed = rw.was_resumed && !was_done,
                                        .was_done = was_done,
                                        .locked_ms = rw.locked_ms};
        if (spec->keeps_old)
            pawl_fmt(result->old_table, sizeof result->old_table, "%s", rw.old);
    }
    end(&rw);
    return st;
}

static bool
has_cut_over(const pawl_rewrite *rw)
{
    return rw->is_done || is_in(rw, "after") || is_in(rw, "mirror") || is_in(rw, "back") ||
           is_in(rw, "undone");
}

static pawl_status
refuse_back(const pawl_rewrite *rw, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "the rewrite (job %lld) has been cut over: what was written since is in the new table only",
        (long long) rw->job);
    if (rw->has_mirror)
        return pawl_error_hint(
            err, "a `contract` has dropped the old table, and with it the way back; rewrite the "
                 "table once more into the old shape");
    return pawl_error_hint(
        err,
        "`reverse` in the step would have kept a way back; rewrite the table once more into the old "
        "shape. The old rows, as they were at the cut-over, are in the table \"%s\" if it was kept",
        rw->old);
}

/* PAWL_E_REFUSED where there is no way back from where it is. */
static pawl_status
may_undo(const pawl_rewrite *rw, pawl_error *err)
{
    bool is_over = rw->job != 0 && has_cut_over(rw) && (rw->is_done || !rw->has_mirror);

    return is_over ? refuse_back(rw, err) : PAWL_OK;
}

pawl_status
pawl_rewrite_may_undo(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                      pawl_error *err)
{
    pawl_rewrite rw;
    pawl_status st;

    if ((st = begin(&rw, spec, env, id, err)) == PAWL_OK && (st = pawl_rewrite_find(&rw, err)) == PAWL_OK)
        st = may_undo(&rw, err);
    end(&rw);
    return st;
}

pawl_status
pawl_rewrite_look_ahead(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                        bool is_next, pawl_error *err)
{
    pawl_rewrite rw;
    pawl_status st;

    if ((st = begin(&rw, spec, env, id, err)) == PAWL_OK && (st = pawl_rewrite_find(&rw, err)) == PAWL_OK &&
        rw.job != 0 && !rw.is_done && is_in(&rw, "mirror"))
        st = pawl_rewrite_look_back(&rw, is_next, err);
    end(&rw);
    return st;
}

pawl_status
pawl_rewrite_undo(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                  pawl_error *err)
{
    pawl_rewrite rw;
    pawl_status st;

    if ((st = begin(&rw, spec, env, id, err)) == PAWL_OK)
        st = pawl_rewrite_find_at_rest(&rw, err);
    if (st == PAWL_OK)
        st = may_undo(&rw, err);
    if (st == PAWL_OK && rw.job != 0)
        st = has_cut_over(&rw) ? walk(&rw, pawl_rewrite_step_back, err) : pawl_rewrite_take_away(&rw, err);
    end(&rw);
    return st;
}

pawl_status
pawl_rewrite_follow(const pawl_rewrite_spec *spec, const pawl_rewrite_env *env, const pawl_rewrite_id *id,
                    int64_t budget_ms, bool *left, pawl_error *err)
{
    pawl_rewrite rw;
    pawl_status st;

    *left = false;
    if ((st = begin(&rw, spec, env, id, err)) == PAWL_OK)
        st = pawl_rewrite_find(&rw, err);
    if (st == PAWL_OK && rw.job != 0 && !rw.is_done && is_in(&rw, "mirror"))
        st = pawl_rewrite_tend(&rw, budget_ms, left, err);
    end(&rw);
    return st;
}
