/* Changes carried over, and the locked moment. */
#include <string.h>

#include "backfill/context.h"
#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/carry_views.h"
#include "pawl_sql.h"
#include "step/switch.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    LOCKED_BUDGET_MS = 200, /* for the last drain, under the table's lock */
    READY_SLICE_MS = 500,
    SAY_EVERY_US = 5000000
};

bool
pawl_swap_is_captured(const pawl_swap *s, bool to_back)
{
    return to_back ? s->d->reverse == NULL && s->d->has_lua_reverse : s->d->lua != NULL || s->d->with != NULL;
}

/* ---- a drain and what it needs -------------------------------------------------------------------------------------- */

/* Chunk 0 is held by one process also where nothing is captured: it is the right to cut over. */
typedef struct engine
{
    pawl_job job;
    pawl_redo redo;
    pawl_drain *drain;
    bool is_captured;
} engine;

static void
engine_close(engine *e)
{
    pawl_drain_close(e->drain);
    pawl_redo_close(&e->redo);
    pawl_job_fini(&e->job);
}

/* The function `reverse` beside the transform of a switch sees the columns under the names that they had there. */
static void
name_as_before(const pawl_swap *s, pawl_job *job)
{
    for (int i = 0; i < job->nlua_read; i++)
        if (strcmp(job->lua_read[i].name, s->d->column) == 0)
            job->lua_read[i].name = s->d->with;
}

static pawl_status
engine_open(engine *e, pawl_swap *s, bool to_back, pawl_error *err)
{
    const pawl_backfill_spec *spec = to_back ? &s->back : &s->forward;
    pawl_drain_options options = {.job = s->job,
                                  .env = &s->env,
                                  .passes_truncate = true,
                                  .apply = pawl_redo_apply,
                                  .ctx = &e->redo,
                                  .phases = to_back ? "{mirror,back}" : "{index,verify,ready}"};
    pawl_status st = PAWL_OK;

    *e = (engine){.is_captured = pawl_swap_is_captured(s, to_back)};
    if (e->is_captured)
    {
        /* The way there has looked when it began; the mirror is carried over by whoever comes by. */
        if ((to_back && ((st = pawl_context_arguments(s->job, &s->env, s->run->arena, s->run->ledger,
                                                      s->run->pg, err)) != PAWL_OK ||
                         (st = pawl_context_check(s->job, &s->env, spec->lua_file != NULL, s->run->ledger,
                                                  s->run->pg, err)) != PAWL_OK)) ||
            (st = pawl_job_check(&e->job, spec, &s->env, s->run->pg, err)) != PAWL_OK)
            return st;
        e->job.id = s->job;
        e->job.started_us = s->started_us;
        if (to_back && s->d->with != NULL)
            name_as_before(s, &e->job);
        if ((st = pawl_redo_open(&e->redo, &e->job, to_back ? "reverse" : "row", err)) != PAWL_OK)
            return st;
        if (s->d->with == NULL)
            e->redo.ledger = s->run->ledger;
        e->redo.spares_nulled = to_back && s->nulled > 0;
    }
    options.key = e->job.key;
    options.table_oid = e->job.table == NULL ? 0 : e->job.table->oid;
    return pawl_drain_open(&options, &e->drain, err);
}

static pawl_status
drain_once(pawl_swap *s, engine *e, bool to_back, int64_t budget_ms, pawl_drain_end *end, pawl_error *err)
{
    pawl_status st;

    *end = PAWL_DRAIN_EMPTY;
    if (!e->is_captured)
        return PAWL_OK;
    st = pawl_drain_run(e->drain, budget_ms, end, err);
    s->run->has_given_up = st != PAWL_OK;
    if (st != PAWL_OK || *end != PAWL_DRAIN_VOID)
        return st;
    if (!to_back && s->d->with != NULL)
        return pawl_switch_refuse_void(s, pawl_drain_why(e->drain), err);
    if (!to_back)
        return pawl_swap_start_over(s, pawl_drain_why(e->drain), err);
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "column \"%s\" of \"%s\" has no way back any more: changes since the cut-over may have been "
        "missed",
        s->d->column, s->d->table);
    (void) pawl_error_detail(err, "%s", pawl_drain_why(e->drain));
    return pawl_error_hint(err, "write a new swap_column in the other direction");
}

static void
say_how_far(pawl_swap *s, const engine *e, int64_t *said_us)
{
    if (pawl_clock_us() - *said_us <= SAY_EVERY_US)
        return;
    pawl_log_text(s->run->sink, PAWL_EVENT_WAITING,
                  "carrying over changes of \"%s\": %lld so far; should others change it faster than this, "
                  "the log does not empty: let them write less for a while",
                  s->d->table, (long long) pawl_drain_entries(e->drain));
    *said_us = pawl_clock_us();
}

pawl_status
pawl_swap_drain_for(pawl_swap *s, bool to_back, int64_t budget_ms, bool *left, pawl_error *err)
{
    engine e;
    pawl_drain_end end = PAWL_DRAIN_MORE;
    int64_t began_us = pawl_clock_us();
    int64_t said_us = began_us;
    pawl_status st = engine_open(&e, s, to_back, err);

    while (st == PAWL_OK && end == PAWL_DRAIN_MORE &&
           (budget_ms == 0 || pawl_clock_us() - began_us < budget_ms * 1000))
    {
        st = drain_once(s, &e, to_back, READY_SLICE_MS, &end, err);
        if (st == PAWL_OK && end == PAWL_DRAIN_MORE)
            say_how_far(s, &e, &said_us);
    }
    engine_close(&e);
    PAWL_FAILPOINT("swap.after_drain");
    *left = end == PAWL_DRAIN_MORE;
    return st;
}

pawl_status
pawl_swap_drain(pawl_swap *s, bool to_back, pawl_error *err)
{
    bool left = false;

    return pawl_swap_drain_for(s, to_back, 0, &left, err);
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

typedef struct waiting
{
    int64_t said_us;
    bool has_been_told;
    bool has_looked_again;
} waiting;

static void
say(pawl_swap *s, waiting *w, const char *what)
{
    if (w->said_us != 0 && pawl_clock_us() - w->said_us < SAY_EVERY_US)
        return;
    pawl_log_text(s->run->sink, PAWL_EVENT_WAITING, "%s", what);
    w->said_us = pawl_clock_us();
}

/* True when nothing stands in the way of a try. */
static pawl_status
may_cut_inside(pawl_swap *s, engine *e, bool to_back, waiting *w, bool *out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) told = NULL;
    PAWL_AUTO(pawl_pg_result) old = NULL;
    char text[320];
    char job[24];
    char pid[24];
    const pawl_pg_arg args[] = {pawl_arg_i64(s->job, job)};
    const pawl_pg_arg snapshot[] = {PAWL_ARG_TEXT(s->horizon),
                                    pawl_arg_i64(pawl_pg_backend_pid(pawl_drain_pg(e->drain)), pid)};
    pawl_status st;

    *out = false;
    if (!to_back && ((st = pawl_swap_count_nulled(s, s->run->pg, err)) != PAWL_OK ||
                     (st = pawl_swap_allow_nulled(s, err)) != PAWL_OK))
        return st;
    if (!to_back && s->d->is_manual && !w->has_been_told)
    {
        if ((st = pawl_ledger_query(s->run->ledger, s->run->pg, pawl_sql_step_swap_told, 1, args, &told,
                                    err)) != PAWL_OK)
            return st;
        w->has_been_told = pawl_pg_i64(told, 0, 0) > 0;
        pawl_fmt(text, sizeof text, "ready to cut over; say so with: pawl cutover %lld", (long long) s->job);
        if (!w->has_been_told)
            say(s, w, text);
        if (!w->has_been_told)
            return PAWL_OK;
    }
    if (s->horizon != NULL)
    {
        if ((st = pawl_pg_query(s->run->pg, pawl_sql_step_swap_snapshots, 2, snapshot, &old, err)) != PAWL_OK)
            return st;
        if (pawl_pg_i64(old, 0, 0) > 0)
        {
            pawl_fmt(text, sizeof text,
                     "waiting for %lld transactions that began before the column was filled, the oldest of "
                     "%s: they "
                     "would read NULLs",
                     (long long) pawl_pg_i64(old, 0, 0), pawl_pg_text(old, 0, 1));
            say(s, w, text);
            return PAWL_OK;
        }
    }
    *out = true;
    return PAWL_OK;
}

static pawl_status
may_cut(pawl_swap *s, engine *e, bool to_back, waiting *w, bool *out, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = may_cut_inside(s, e, to_back, w, out, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

/* ---- the locked moment ---------------------------------------------------------------------------------------------- */

typedef struct cut
{
    pawl_swap *s;
    engine *e;
    bool to_back;
    int64_t locked_us;      /* when the table's lock was ours */
    pawl_compare_diff diff; /* what it made of what hangs on the table */
} cut;

/* Under the lock: what was marked since the table was read cannot be read now. */
static pawl_status
check_kept(cut *c, pawl_error *err)
{
    bool is_proved = false;
    pawl_status st = pawl_swap_is_proved(c->s, c->to_back, &is_proved, err);

    if (st != PAWL_OK || is_proved)
        return st;
    return pawl_error_set(
        err, PAWL_E_BUSY,
        "\"%s\" was written meanwhile in a way that has to be looked at, and the lock was let go",
        c->s->d->table);
}

/* Expressions of the user look names up as they do everywhere else. */
static pawl_status
pin_path(cut *c, pawl_error *err)
{
    const pawl_step_run *run = c->s->run;
    const char *path = pawl_arena_fmt(run->arena, "pg_catalog, %s", run->search_path);

    return path == NULL ? pawl_error_nomem(err, "a search_path") : pawl_pg_set_path(run->pg, path, err);
}

/* Everything that others have changed, up to the moment of the lock. */
static pawl_status
carry_last(cut *c, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    pawl_status st;

    if (!c->e->is_captured)
        return check_kept(c, err);
    if ((st = pin_path(c, err)) != PAWL_OK ||
        (st = pawl_drain_locked(c->e->drain, LOCKED_BUDGET_MS, &end, err)) != PAWL_OK ||
        end == PAWL_DRAIN_EMPTY)
        return st == PAWL_OK ? pawl_step_unpin(c->s->run, err) : st;
    if (end == PAWL_DRAIN_VOID)
    {
        (void) pawl_error_set(err, PAWL_E_STATE, "changes of \"%s\" may have been missed: %s", c->s->d->table,
                              pawl_drain_why(c->e->drain));
        return pawl_error_hint(err,
                               "nothing was swapped; run the same again: it begins anew, or says what to do");
    }
    return pawl_error_set(
        err, PAWL_E_BUSY,
        "the last changes of \"%s\" could not be carried over within %d ms, and the lock was let go",
        c->s->d->table, LOCKED_BUDGET_MS);
}

/* From here on the other column follows: logged, or set by a trigger, or not at all. */
static pawl_status
arm_mirror(cut *c, pawl_step_run *run, pawl_error *err)
{
    pawl_swap *s = c->s;
    pawl_ledger *ledger = run->ledger;
    pawl_capture_spec spec = {.job = s->job, .table = s->table};
    pawl_key *key = NULL;
    bool is_logged = pawl_swap_is_captured(s, true);
    pawl_status st = pawl_swap_watch(s, &s->d->column, 1, &spec, err);

    if (st == PAWL_OK && is_logged)
        st = pawl_table_key(run->pg, s->table, s->d->key, s->d->nkey, run->arena, &key, err);
    if (st != PAWL_OK)
        return st;
    spec.key = key;
    if (s->d->reverse != NULL)
    {
        pawl_keep keep = pawl_swap_keep(s, true);

        /* The demands at hand are those of the way there. */
        keep.ndemands = 0;
        st = pawl_keep_set(&keep, ledger, run->pg, err);
    }
    else if (is_logged && c->e->is_captured)
    {
        spec.marked = s->nulled > 0 ? pawl_table_column(s->table, s->d->column) : NULL;
        return pawl_capture_watch(&spec, ledger, run->pg, err);
    }
    else if (is_logged)
        st = pawl_capture_add(&spec, ledger, run->pg, err);
    if (st == PAWL_OK && c->e->is_captured)
        st = pawl_capture_remove(s->job, ledger, run->pg, err);
    return st;
}

static pawl_status
note_carried(cut *c, pawl_step_run *run, pawl_error *err)
{
    pawl_swap *s = c->s;
    const char *json = NULL;
    pawl_status st = pawl_carry_save(s->carry, run->arena, &json, err);

    if (st != PAWL_OK)
        return st;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job), PAWL_ARG_TEXT(c->to_back ? "carried_back" : "carried"),
                                PAWL_ARG_TEXT(json)};

    s->carried[c->to_back ? 1 : 0] = json;
    return pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_swap_note, 3, args, NULL, err);
}

/* With the names exchanged: there, the mirror begins; back, what the swap has made goes. */
static pawl_status
rearm(cut *c, pawl_step_run *run, pawl_error *err)
{
    pawl_swap *s = c->s;
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK || (st = note_carried(c, run, err)) != PAWL_OK)
        return st;
    if (c->to_back)
    {
        if (s->d->with != NULL)
            st = pawl_switch_rearm(s, c->e->is_captured, err);
        else if ((st = pawl_capture_remove(s->job, run->ledger, run->pg, err)) == PAWL_OK)
            st = pawl_swap_drop(s, s->new_name, err);
        if (st != PAWL_OK)
            return st;
        return pawl_swap_enter(s, run->pg, run->ledger, "undone", err);
    }
    if ((st = arm_mirror(c, run, err)) != PAWL_OK ||
        (st = pawl_guard_set(s->job, s->table, s->old_name, run->ledger, run->pg, err)) != PAWL_OK)
        return st;
    return pawl_swap_enter(s, run->pg, run->ledger, "settle", err);
}

static pawl_status
work_cut(pawl_step_run *run, void *ctx, pawl_error *err)
{
    cut *c = ctx;
    pawl_swap *s = c->s;
    pawl_status st;

    if ((st = pawl_step_unpin(run, err)) != PAWL_OK ||
        (st = pawl_capture_sign(s->job, run->pg, err)) != PAWL_OK ||
        (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK ||
        (st = pawl_drain_hold(c->e->drain, err)) != PAWL_OK ||
        (st = pawl_carry_ready(run->pg, s->carry, s->env.schema, err)) != PAWL_OK ||
        (st = pawl_capture_keep_vacuum_out(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_carry_take_locks(run->pg, s->carry, &run->waits_for, err)) != PAWL_OK)
        return st;
    c->locked_us = pawl_clock_us();
    if ((st = pawl_carry_check_before(run->pg, s->carry, s->env.schema, err)) != PAWL_OK ||
        (st = carry_last(c, err)) != PAWL_OK ||
        (!c->to_back && (st = pawl_swap_count_nulled(s, run->pg, err)) != PAWL_OK) ||
        (!c->to_back && (st = pawl_swap_allow_nulled(s, err)) != PAWL_OK) ||
        (st = pawl_keep_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_guard_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_swap_run_inside(&s->carry->cutover, run->pg, err)) != PAWL_OK ||
        (st = pawl_carry_check_after(run->pg, s->carry, s->env.schema, run->arena, &c->diff, err)) !=
            PAWL_OK ||
        (st = pawl_carry_done(run->pg, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("swap.in_cut");
    return rearm(c, run, err);
}

typedef struct proof
{
    bool to_back;
    bool is_there;
} proof;

static pawl_status
look_for_proof(pawl_swap *s, void *ctx, pawl_error *err)
{
    proof *p = ctx;
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_swap_is_proved(s, p->to_back, &p->is_there, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

/* Foreign keys are what a trigger cannot watch over. */
static bool
has_unwatched(const cut *c)
{
    bool has = false;

    for (size_t i = 0; i < c->s->carry->ndemands; i++)
        has = has || !c->s->carry->demands[i].is_of_row;
    return has && !c->e->is_captured;
}

/* Read the table again where a try would meet what cannot be looked at under the lock; then, as the last thing, enforce
 * what the cut-over cannot do without. */
static pawl_status
prepare_try(cut *c, waiting *w, pawl_error *err)
{
    proof p = {.to_back = c->to_back, .is_there = true};
    pawl_status st = c->e->is_captured ? PAWL_OK : pawl_swap_patiently(c->s, look_for_proof, &p, err);

    if (st == PAWL_OK && (!p.is_there || (w->said_us != 0 && !w->has_looked_again && has_unwatched(c))))
    {
        w->has_looked_again = true;
        st = pawl_swap_prove(c->s, c->to_back, err);
    }
    return st == PAWL_OK ? pawl_swap_run_list(c->s, &c->s->carry->early, err) : st;
}

static void
report_cut(cut *c, int64_t tries)
{
    pawl_swap *s = c->s;
    pawl_error ignored = PAWL_ERROR_INIT;
    char text[200];

    pawl_fmt(text, sizeof text, "cut %s: \"%s\" was locked for %lld ms, after %lld %s",
             c->to_back ? "back" : "over", s->d->table, (long long) ((pawl_clock_us() - c->locked_us) / 1000),
             (long long) tries, tries == 1 ? "try" : "tries");
    pawl_log_text(s->run->sink, PAWL_EVENT_INFO, "%s", text);
    if (!c->to_back && s->nulled > 0)
        pawl_log_text(
            s->run->sink, PAWL_EVENT_WARNING,
            "%lld %s of \"%s\" went live with NULL in \"%s\", because what they had was refused: pawl "
            "rejects %lld",
            (long long) s->nulled, s->nulled == 1 ? "row" : "rows", s->d->table, s->d->column,
            (long long) s->job);
    for (size_t i = 0; i < c->diff.nlines; i++)
        pawl_log_text(s->run->sink, PAWL_EVENT_INFO, "%c %s", c->diff.lines[i].sign, c->diff.lines[i].text);
    if (pawl_ledger_event(s->run->ledger, s->run->pg, "cut_over", s->run->revision, s->job, text, &ignored) !=
        PAWL_OK)
        pawl_log_text(s->run->sink, PAWL_EVENT_DEBUG, "not recorded: %s", ignored.message);
}

static pawl_status
cut_over(pawl_swap *s, engine *e, bool to_back, pawl_error *err)
{
    PAWL_STRBUF_AUTO(what);
    cut c = {.s = s, .e = e, .to_back = to_back};
    waiting w = {0};
    pawl_backoff backoff;
    int64_t tries = 0;
    pawl_status st;

    pawl_strbuf_addf(&what, "the cut-over %sof \"%s\"", to_back ? "back " : "", s->d->table);
    pawl_backoff_init(&backoff, 100, 2000);
    for (;;)
    {
        pawl_drain_end end = PAWL_DRAIN_MORE;
        pawl_error failure = PAWL_ERROR_INIT;
        bool may = false;

        if ((st = pawl_stop_check(s->run->stop, PAWL_STOP_FINISH, err)) != PAWL_OK ||
            (st = drain_once(s, e, to_back, READY_SLICE_MS, &end, err)) != PAWL_OK ||
            (st = may_cut(s, e, to_back, &w, &may, err)) != PAWL_OK)
            return st;
        if (may && end == PAWL_DRAIN_EMPTY)
        {
            if ((st = prepare_try(&c, &w, err)) != PAWL_OK)
                return st;
            tries++;
            /* Over the drain's session, so that its last slice and the renames commit together. */
            st = pawl_step_try(s->run, pawl_drain_pg(e->drain), work_cut, &c, &failure);
            if (st == PAWL_OK)
                break;
            if ((st = pawl_step_give_way(s->run, what.data, tries, &failure, err)) != PAWL_OK)
                return st;
        }
        if ((st = pawl_backoff_sleep(&backoff, s->run->stop, err)) != PAWL_OK)
            return st;
        if (!may)
            pawl_backoff_reset(&backoff);
    }
    report_cut(&c, tries);
    s->phase = to_back ? "undone" : "settle";
    return PAWL_OK;
}

pawl_status
pawl_swap_wait_for_lost(pawl_swap *s, pawl_error *err)
{
    PAWL_AUTO(pawl_drain) drain = NULL;
    const pawl_drain_options options = {.job = s->job, .env = &s->env};
    pawl_status st;

    if (strcmp(s->state, "open") != 0 || (!pawl_swap_is(s, "ready") && !pawl_swap_is(s, "back")))
        return PAWL_OK;
    st = pawl_drain_open(&options, &drain, err);
    return st == PAWL_OK ? pawl_swap_look_again(s, err) : st;
}

static pawl_status
look_for_leftovers(pawl_swap *s, void *ctx, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_carry_leftovers(s->run->pg, s->carry, NULL, s->run->arena, ctx, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

/* What was built for a definition that is gone would be enforced on, and nobody would know of it. */
static pawl_status
drop_leftovers(pawl_swap *s, pawl_error *err)
{
    pawl_carry_list left = {0};
    pawl_status st = pawl_swap_patiently(s, look_for_leftovers, &left, err);

    for (size_t i = 0; st == PAWL_OK && i < left.length; i++)
        pawl_log_text(s->run->sink, PAWL_EVENT_INFO,
                      "what %s was built for has been dropped or changed since: it is taken away",
                      left.items[i].what);
    return st == PAWL_OK ? pawl_swap_run_list(s, &left, err) : st;
}

pawl_status
pawl_swap_ready(pawl_swap *s, bool to_back, pawl_error *err)
{
    engine e;
    const char *was = s->phase;
    proof p = {.to_back = to_back};
    pawl_status st;

    /* A plan made anew, because somebody altered the table since the last one, may have more in it. */
    if ((!to_back && (st = drop_leftovers(s, err)) != PAWL_OK) ||
        (st = pawl_swap_index(s, to_back, err)) != PAWL_OK ||
        (st = pawl_swap_patiently(s, look_for_proof, &p, err)) != PAWL_OK ||
        (!p.is_there && (st = pawl_swap_prove(s, to_back, err)) != PAWL_OK))
        return st;
    st = engine_open(&e, s, to_back, err);
    e.redo.demands = s->carry->demands;
    e.redo.ndemands = s->carry->ndemands;

    /* With chunk 0 in hand nobody else can have cut over unseen, and a COMMIT whose answer was lost has ended. */
    if (st == PAWL_OK)
        st = pawl_swap_look_again(s, err);
    if (st == PAWL_OK && strcmp(s->phase, was) == 0)
        st = cut_over(s, &e, to_back, err);
    engine_close(&e);
    PAWL_FAILPOINT("swap.after_cut");
    return st;
}
