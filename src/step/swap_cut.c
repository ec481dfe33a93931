/* The second half of swap.h: changes carried over, the locked moment, and the way back. */
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/guard.h"
#include "pawl_sql.h"
#include "step/swap.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    LOCKED_BUDGET_MS = 200, /* for the last drain, under the table's lock */
    READY_SLICE_MS = 500,
    SAMPLE_ROWS = 2000,
    SAY_EVERY_US = 5000000
};

bool
pawl_swap_is_captured(const pawl_swap *s, bool to_back)
{
    return to_back ? s->d->reverse == NULL && s->d->has_lua_reverse : s->d->lua != NULL;
}

static bool
has_mirror(const pawl_swap *s)
{
    return s->d->reverse != NULL || s->d->has_lua_reverse;
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

static pawl_status
engine_open(engine *e, pawl_swap *s, bool to_back, pawl_error *err)
{
    const pawl_backfill_spec *spec = to_back ? &s->back : &s->forward;
    pawl_drain_options options = {
        .job = s->job, .env = &s->env, .passes_truncate = true, .apply = pawl_redo_apply, .ctx = &e->redo};
    pawl_status st = PAWL_OK;

    *e = (engine){.is_captured = pawl_swap_is_captured(s, to_back)};
    if (e->is_captured)
    {
        if ((st = pawl_job_check(&e->job, spec, &s->env, s->run->pg, err)) != PAWL_OK)
            return st;
        e->job.started_us = pawl_clock_wall_us();
        if ((st = pawl_redo_open(&e->redo, &e->job, to_back ? "reverse" : "row", err)) != PAWL_OK)
            return st;
    }
    options.key = e->job.key;
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
    if (st != PAWL_OK || *end != PAWL_DRAIN_VOID)
        return st;
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

pawl_status
pawl_swap_drain(pawl_swap *s, bool to_back, pawl_error *err)
{
    engine e;
    pawl_drain_end end = PAWL_DRAIN_MORE;
    int64_t said_us = pawl_clock_us();
    pawl_status st = engine_open(&e, s, to_back, err);

    while (st == PAWL_OK && end == PAWL_DRAIN_MORE)
    {
        st = drain_once(s, &e, to_back, READY_SLICE_MS, &end, err);
        if (st == PAWL_OK && end == PAWL_DRAIN_MORE && pawl_clock_us() - said_us > SAY_EVERY_US)
        {
            pawl_log_text(
                s->run->sink, PAWL_EVENT_WAITING,
                "carrying over changes of \"%s\": %lld so far; should others change it faster than this, "
                "the log does not empty: let them write less for a while",
                s->d->table, (long long) pawl_drain_entries(e.drain));
            said_us = pawl_clock_us();
        }
    }
    engine_close(&e);
    PAWL_FAILPOINT("swap.after_drain");
    return st;
}

/* ---- verify --------------------------------------------------------------------------------------------------------- */

/* A row in which the new column is not what the expression makes of the row; rows of one statement belong together. */
static pawl_status
compare_expression(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    PAWL_STRBUF_AUTO(condition);
    const char *example = NULL;
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK)
        return st;
    const pawl_column *c = pawl_table_column(s->table, s->new_name);

    if (c == NULL)
        return pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is gone", s->new_name, s->d->table);
    pawl_sql_add(&condition, "pg_catalog.record_image_ne(ROW(");
    pawl_sql_column(&condition, "t", s->new_name);
    pawl_sql_add(&condition, "), ROW((");
    pawl_sql_fragment(&condition, s->d->expression);
    pawl_sql_add(&condition, ")::");
    pawl_sql_type(&condition, c->type_name);
    pawl_sql_add(&condition, "))");
    if ((st = pawl_step_example(run, s->table, &condition, &example, err)) != PAWL_OK || example == NULL)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is not what `using:` makes of the row",
                          s->new_name, s->d->table);
    (void) pawl_error_detail(err, "for example where %s", example);
    return pawl_error_hint(
        err, "an expression that gives another value each time (random(), now()) cannot be used; "
             "else mend the row, and run the same again");
}

/* Of a transform a sample: each row passes through this program. */
static pawl_status
compare_transform(pawl_swap *s, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_redo_sample sample = {0};
    engine e = {0};
    pawl_status st = pawl_job_check(&e.job, &s->forward, &s->env, s->run->pg, err);

    if (st == PAWL_OK)
    {
        double rows = (double) (e.job.rows_estimate > 1 ? e.job.rows_estimate : 1);
        double percent = rows > SAMPLE_ROWS ? 100.0 * SAMPLE_ROWS / rows : 100.0;

        e.job.started_us = pawl_clock_wall_us();
        if ((st = pawl_redo_open(&e.redo, &e.job, "row", err)) == PAWL_OK &&
            (st = pawl_pg_begin(s->run->pg, &pins, err)) == PAWL_OK)
            st = pawl_redo_compare(&e.redo, s->job, percent, s->run->ledger, s->run->pg, &sample, err);
        pawl_pg_rollback(s->run->pg);
    }
    engine_close(&e);
    if (st != PAWL_OK || sample.differ == 0)
        return st;
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "column \"%s\" of \"%s\" is not what the transform makes of the row: %lld of %lld rows differ",
        s->new_name, s->d->table, (long long) sample.differ, (long long) sample.rows);
    (void) pawl_error_detail(err, "for example the row with %s", sample.example);
    return pawl_error_hint(
        err, "a transform that gives another value each time (pawl.now, randomness), or that was "
             "changed since the copy, does that; downgrade and begin again");
}

pawl_status
pawl_swap_verify(pawl_swap *s, pawl_error *err)
{
    pawl_status st;

    if (pawl_swap_is_captured(s, false))
        st = compare_transform(s, err);
    else
        st = pawl_step_txn(s->run, 0, compare_expression, s, err);
    s->run->info_out = NULL;
    return st == PAWL_OK ? pawl_swap_txn(s, "ready", NULL, err) : st;
}

/* ---- waiting -------------------------------------------------------------------------------------------------------- */

typedef struct waiting
{
    int64_t said_us;
    bool has_been_told;
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
may_cut(pawl_swap *s, engine *e, bool to_back, waiting *w, bool *out, pawl_error *err)
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

/* ---- the locked moment ---------------------------------------------------------------------------------------------- */

typedef struct cut
{
    pawl_swap *s;
    engine *e;
    bool to_back;
    int64_t locked_us;      /* when the table's lock was ours */
    pawl_compare_diff diff; /* what it made of what hangs on the table */
} cut;

static pawl_status
check_kept(cut *c, pawl_step_run *run, pawl_error *err)
{
    pawl_swap *s = c->s;
    bool is_there = false;
    bool has_failed = false;
    pawl_status st = pawl_keep_check(s->job, run->ledger, run->pg, &is_there, &has_failed, err);

    if (st != PAWL_OK)
        return st;
    if (!is_there)
        return pawl_error_set(
            err, PAWL_E_STATE,
            "the trigger that keeps the other column of \"%s\" in step is gone or was disabled", s->d->table);
    if (!has_failed)
        return PAWL_OK;
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "the expression has failed for a row of \"%s\" that was written meanwhile: it would be NULL "
        "after the cut-over",
        s->d->table);
    return pawl_error_hint(
        err,
        "find it (the other column is NULL and this one is not) and mend it; then ALTER SEQUENCE "
        "\"%s\".failed_%lld RESTART, and run the same again",
        s->env.schema, (long long) s->job);
}

/* Everything that others have changed, up to the moment of the lock. */
static pawl_status
carry_last(cut *c, pawl_step_run *run, pawl_error *err)
{
    pawl_drain_end end = PAWL_DRAIN_MORE;
    pawl_status st;

    if (!c->e->is_captured)
        return check_kept(c, run, err);
    if ((st = pawl_drain_locked(c->e->drain, LOCKED_BUDGET_MS, &end, err)) != PAWL_OK ||
        end == PAWL_DRAIN_EMPTY)
        return st;
    if (end == PAWL_DRAIN_VOID)
        return pawl_error_set(err, PAWL_E_STATE, "changes of \"%s\" may have been missed: %s", c->s->d->table,
                              pawl_drain_why(c->e->drain));
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
    const pawl_column *watch[1];
    pawl_capture_spec spec = {.job = s->job, .table = s->table, .watch = watch, .nwatch = 1};
    const pawl_keep keep = {.job = s->job,
                            .table = s->table,
                            .column = s->old_name,
                            .expression = s->d->reverse,
                            .search_path = run->search_path};
    pawl_key *key = NULL;
    pawl_status st;

    watch[0] = pawl_table_column(s->table, s->d->column);
    if ((st = pawl_table_key(run->pg, s->table, s->d->key, s->d->nkey, run->arena, &key, err)) != PAWL_OK)
        return st;
    spec.key = key;
    if (s->d->reverse != NULL)
        st = pawl_keep_set(&keep, ledger, run->pg, err);
    else if (s->d->has_lua_reverse && c->e->is_captured)
        return pawl_capture_watch(&spec, ledger, run->pg, err);
    else if (s->d->has_lua_reverse)
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

static pawl_status
drop_column(pawl_step_run *run, pawl_swap *s, const char *column, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_step_alter(&sql, s->table);
    pawl_sql_add(&sql, "DROP COLUMN IF EXISTS ");
    pawl_sql_ident(&sql, column);
    return pawl_step_exec(run, &sql, err);
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
        if ((st = pawl_capture_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
            (st = drop_column(run, s, s->new_name, err)) != PAWL_OK)
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
        (st = pawl_swap_run_inside(&s->carry->locks, run->pg, err)) != PAWL_OK)
        return st;
    c->locked_us = pawl_clock_us();
    if ((st = pawl_carry_check_before(run->pg, s->carry, s->env.schema, err)) != PAWL_OK ||
        (st = carry_last(c, run, err)) != PAWL_OK ||
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

/*
 * One try, over the drain's session: the drain's last slice and the renames commit together. The step's own retries are
 * too patient here: between two tries the log is emptied again.
 */
static pawl_status
try_cut(cut *c, pawl_error *err)
{
    pawl_step_run *run = c->s->run;
    pawl_settings settings = *run->settings;
    const pawl_settings *was_settings = run->settings;
    pawl_pg *was_pg = run->pg;
    pawl_status st;

    settings.lock_attempts = 1;
    run->settings = &settings;
    run->pg = pawl_drain_pg(c->e->drain);
    st = pawl_step_txn(run, 0, work_cut, c, err);
    run->settings = was_settings;
    run->pg = was_pg;
    run->info_out = NULL;
    return st;
}

static bool
is_contended(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    return err->code == PAWL_E_BUSY || fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_REPEAT;
}

static void
report_cut(cut *c, int64_t tries)
{
    pawl_swap *s = c->s;
    pawl_error ignored = PAWL_ERROR_INIT;
    char text[200];

    pawl_fmt(text, sizeof text, "cut %s: \"%s\" was locked for %lld ms, after %lld tries",
             c->to_back ? "back" : "over", s->d->table, (long long) ((pawl_clock_us() - c->locked_us) / 1000),
             (long long) tries);
    pawl_log_text(s->run->sink, PAWL_EVENT_INFO, "%s", text);
    for (size_t i = 0; i < c->diff.nlines; i++)
        pawl_log_text(s->run->sink, PAWL_EVENT_INFO, "%c %s", c->diff.lines[i].sign, c->diff.lines[i].text);
    if (pawl_ledger_event(s->run->ledger, s->run->pg, "cut_over", s->run->revision, s->job, text, &ignored) !=
        PAWL_OK)
        pawl_log_text(s->run->sink, PAWL_EVENT_DEBUG, "not recorded: %s", ignored.message);
}

static pawl_status
cut_over(pawl_swap *s, engine *e, bool to_back, pawl_error *err)
{
    cut c = {.s = s, .e = e, .to_back = to_back};
    waiting w = {0};
    pawl_backoff backoff;
    int64_t tries = 0;
    pawl_status st;

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
            tries++;
            st = try_cut(&c, &failure);
            if (st == PAWL_OK)
                break;
            if (!is_contended(&failure) || tries >= s->run->settings->lock_attempts)
            {
                *err = failure;
                return st;
            }
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
pawl_swap_ready(pawl_swap *s, bool to_back, pawl_error *err)
{
    engine e;
    const char *was = s->phase;
    pawl_status st;

    /* A plan made anew, because somebody altered the table since the last one, may have more in it. */
    if ((st = pawl_swap_run_list(s, &s->carry->index, err)) != PAWL_OK ||
        (st = pawl_swap_run_list(s, &s->carry->early, err)) != PAWL_OK)
        return st;
    st = engine_open(&e, s, to_back, err);

    /* With chunk 0 in hand nobody else can have cut over unseen, and a COMMIT whose answer was lost has ended. */
    if (st == PAWL_OK)
        st = pawl_swap_look_again(s, err);
    if (st == PAWL_OK && strcmp(s->phase, was) == 0)
        st = cut_over(s, &e, to_back, err);
    engine_close(&e);
    PAWL_FAILPOINT("swap.after_cut");
    return st;
}

/* What follows the cut-over, as that has saved it. */
static pawl_status
run_after(pawl_swap *s, bool to_back, pawl_error *err)
{
    const char *json = s->carried[to_back ? 1 : 0];
    pawl_carry *carried = NULL;
    pawl_status st;

    if (json == NULL)
        return pawl_error_set(err, PAWL_E_BUG, "nothing is known of what the swap has carried over");
    if ((st = pawl_carry_load(json, s->run->arena, &carried, err)) != PAWL_OK)
        return st;
    return pawl_swap_run_list(s, &carried->after, err);
}

pawl_status
pawl_swap_settle(pawl_swap *s, const char *phase, pawl_error *err)
{
    pawl_status st = run_after(s, false, err);

    return st == PAWL_OK ? pawl_swap_txn(s, phase, NULL, err) : st;
}

/* ---- undoing -------------------------------------------------------------------------------------------------------- */

static pawl_status
close_job(pawl_swap *s, pawl_step_run *run, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job), PAWL_ARG_TEXT("abandoned")};

    if (s->job == 0)
        return PAWL_OK;
    return pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_swap_close, 2, args, NULL, err);
}

/* One transaction: triggers, function, log, column. Indexes on the column go with it. */
static pawl_status
work_undo(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, s->table, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK)
        return st;
    if (s->job != 0 && ((st = pawl_keep_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
                        (st = pawl_guard_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
                        (st = pawl_capture_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK))
        return st;
    if ((st = drop_column(run, s, s->new_name, err)) != PAWL_OK)
        return st;
    return close_job(s, run, err);
}

static pawl_status
undo(pawl_swap *s, pawl_error *err)
{
    pawl_status st;

    if (s->job != 0)
    {
        pawl_error ignored = PAWL_ERROR_INIT;

        /* What hangs on the column may be such by now that nothing could be planned: then there is nothing to undo. */
        st = pawl_swap_plan_carry(s, false, &ignored);
        if (st == PAWL_OK && (st = pawl_swap_run_list(s, &s->carry->undo, err)) != PAWL_OK)
            return st;
    }
    st = pawl_step_txn(s->run, 0, work_undo, s, err);
    s->run->info_out = NULL;
    return st;
}

static pawl_status
forget(pawl_step_run *run, void *ctx PAWL_UNUSED, pawl_error *err)
{
    return pawl_step_note(run, "{\"new\": null, \"old\": null, \"job\": null, \"horizon\": null}", err);
}

pawl_status
pawl_swap_start_over(pawl_swap *s, const char *why, pawl_error *err)
{
    pawl_status st = undo(s, err);

    if (st != PAWL_OK || (st = pawl_step_txn(s->run, 0, forget, s, err)) != PAWL_OK)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "the swap of \"%s\" has to start over: changes of \"%s\" may have been missed",
                          s->d->column, s->d->table);
    (void) pawl_error_detail(err, "%s", why);
    return pawl_error_hint(err, "everything that it had made is removed; run the same again");
}

static pawl_status
refuse_back(const pawl_swap *s, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "the swap of column \"%s\" of \"%s\" cannot be reverted: it says nothing of the way back",
        s->d->column, s->d->table);
    return pawl_error_hint(
        err, "`reverse:` in the step, or a function `reverse` in the Lua file, keeps the old column "
             "in step from the cut-over on");
}

static pawl_status
work_close(pawl_step_run *run, void *ctx, pawl_error *err)
{
    return close_job(ctx, run, err);
}

/* Back through the mirror: what was written since the cut-over is in the old column, or in the log. */
static pawl_status
return_through_mirror(pawl_swap *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (!has_mirror(s))
        return refuse_back(s, err);
    if (pawl_swap_is(s, "settle") && (st = pawl_swap_settle(s, "mirror", err)) != PAWL_OK)
        return st;
    if (!pawl_swap_is(s, "undone"))
    {
        if ((st = pawl_swap_txn(s, "back", NULL, err)) != PAWL_OK ||
            (st = pawl_swap_plan_carry(s, true, err)) != PAWL_OK)
            return st;
        if (pawl_swap_is_captured(s, true) && (st = pawl_swap_drain(s, true, err)) == PAWL_OK)
            st = pawl_swap_txn(s, NULL, pawl_swap_note_horizon, err);
        if (st != PAWL_OK || (st = pawl_swap_run_list(s, &s->carry->before, err)) != PAWL_OK ||
            (st = pawl_swap_run_list(s, &s->carry->index, err)) != PAWL_OK ||
            (st = pawl_swap_run_list(s, &s->carry->early, err)) != PAWL_OK ||
            (st = pawl_swap_ready(s, true, err)) != PAWL_OK)
            return st;
    }
    if ((st = run_after(s, true, err)) != PAWL_OK)
        return st;
    st = pawl_step_txn(s->run, 0, work_close, s, err);
    s->run->info_out = NULL;
    return st;
}

pawl_status
pawl_swap_back(pawl_swap *s, pawl_error *err)
{
    static const char *const after[] = {"settle", "mirror", "back", "undone"};

    if (s->job != 0 && strcmp(s->state, "done") == 0 && pawl_swap_is(s, "mirror"))
    {
        (void) pawl_error_set(
            err, PAWL_E_REFUSED,
            "the swap of column \"%s\" of \"%s\" cannot be reverted: a `contract` has dropped the old "
            "column",
            s->d->column, s->d->table);
        return pawl_error_hint(err, "write a new swap_column in the other direction");
    }
    for (size_t i = 0; s->job != 0 && i < sizeof after / sizeof after[0]; i++)
        if (pawl_swap_is(s, after[i]))
            return strcmp(s->state, "abandoned") == 0 ? PAWL_OK : return_through_mirror(s, err);
    if (pawl_step_info_text(s->run, "new") == NULL)
        return PAWL_OK;
    return undo(s, err);
}
