#include "step/swap.h"

#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/env.h"
#include "step/outside.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

enum
{
    MOST_BUILDS = 10 /* tries at what runs outside of a transaction */
};

/* ---- what is known -------------------------------------------------------------------------------------------------- */

bool
pawl_swap_is(const pawl_swap *s, const char *phase)
{
    return strcmp(s->phase, phase) == 0;
}

/* The transform there, and the one back: the same table and key, another column read and written. A switch goes on with a
 * transform that calls columns by their own names. */
void
pawl_swap_fill_specs(pawl_swap *s)
{
    const pawl_swap_data *d = s->d;
    const pawl_settings *set = s->run->settings;
    const pawl_backfill_spec common = {
        .table = d->table,
        .key = d->key,
        .nkey = d->nkey,
        .returns = s->returned,
        .nil_writes_null = true,
        .fire_triggers = true,
        .workers = d->workers > 0 ? d->workers : set->workers,
        .batch_rows = d->batch_rows > 0 ? d->batch_rows : set->batch_rows,
        .target_ms = set->target_ms,
        .batch_min = set->batch_min,
        .batch_max = set->batch_max,
    };

    s->returned[0] = d->column;
    s->written[0] = s->new_name;
    s->written[1] = s->old_name;
    s->set[0].column = s->new_name;
    if (d->expression != NULL)
        s->set[0].expression = d->expression;
    s->set[1] = (pawl_set_expression){.column = s->old_name, .expression = d->reverse};
    s->forward = s->back = common;
    if (d->lua != NULL)
    {
        s->forward.lua_file = d->lua;
        s->forward.read = s->read;
        s->forward.nread = d->with != NULL ? d->nread : d->nread + 1;
        s->forward.returns = d->with != NULL ? NULL : s->returned;
        s->forward.write = &s->written[0];
        s->forward.nwrite = 1;
    }
    else
    {
        s->forward.set = &s->set[0];
        s->forward.nset = 1;
    }
    s->forward.nulls_rejects = d->nulls_rejects;
    s->forward.on_error = d->nulls_rejects ? PAWL_ON_ERROR_QUARANTINE : PAWL_ON_ERROR_STOP;
    s->forward.max_rejects = d->max_rejects;
    if (d->reverse == NULL)
    {
        s->back.lua_file = d->lua;
        s->back.read = s->returned;
        s->back.nread = 1;
        s->back.write = &s->written[1];
        s->back.nwrite = 1;
    }
    else
    {
        s->back.set = &s->set[1];
        s->back.nset = 1;
    }
}

/* price_new; where that is too long, or taken, the caller says so. */
static pawl_status
name_columns(pawl_swap *s, pawl_error *err)
{
    const char *column = s->d->column;

    s->new_name = pawl_step_info_text(s->run, "new");
    s->old_name = pawl_step_info_text(s->run, "old");
    if (s->new_name == NULL)
        s->new_name = pawl_arena_fmt(s->run->arena, "%s_new", column);
    if (s->old_name == NULL)
        s->old_name = pawl_arena_fmt(s->run->arena, "%s_old", column);
    if (s->new_name == NULL || s->old_name == NULL)
        return pawl_error_nomem(err, "a swap");
    if (strlen(s->new_name) > 63 || strlen(s->old_name) > 63)
        return pawl_error_set(
            err, PAWL_E_REFUSED,
            "column \"%s\" cannot be swapped: with _new behind it, its name is longer than the "
            "63 bytes of a name",
            column);
    return PAWL_OK;
}

pawl_status
pawl_swap_look_again(pawl_swap *s, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job)};
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(s->run->ledger, s->run->pg, pawl_sql_step_swap_find, 1, args, &res, err);
    pawl_pg_rollback(s->run->pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld is not in the ledger any more",
                              (long long) s->job);
    s->phase = pawl_arena_strdup(s->run->arena, pawl_pg_text(res, 0, 0));
    s->state = pawl_arena_strdup(s->run->arena, pawl_pg_text(res, 0, 1));
    s->nulled = pawl_pg_i64(res, 0, 4);
    s->started_us = pawl_pg_i64(res, 0, 5);
    for (int i = 0; i < 2; i++)
        if (!pawl_pg_is_null(res, 0, 2 + i) &&
            (s->carried[i] = pawl_arena_strdup(s->run->arena, pawl_pg_text(res, 0, 2 + i))) == NULL)
            return pawl_error_nomem(err, "a swap");
    return s->phase == NULL || s->state == NULL ? pawl_error_nomem(err, "a swap") : PAWL_OK;
}

pawl_status
pawl_swap_open(pawl_swap *s, pawl_step_run *run, const pawl_step *step, pawl_error *err)
{
    pawl_status st;

    *s = (pawl_swap){.run = run, .step = step, .d = step->data, .phase = "", .state = "open"};
    s->env = pawl_step_env(run);
    s->read = pawl_arena_array(run->arena, s->d->nread + 1, sizeof *s->read);
    if (s->read == NULL)
        return pawl_error_nomem(err, "a swap");
    s->read[0] = s->d->column;
    for (size_t i = 0; i < s->d->nread; i++)
        s->read[i + 1] = s->d->read[i];
    if ((st = name_columns(s, err)) != PAWL_OK)
        return st;
    pawl_swap_fill_specs(s);
    return pawl_swap_resume(s, err);
}

pawl_status
pawl_swap_resume(pawl_swap *s, pawl_error *err)
{
    pawl_step_run *run = s->run;
    const char *job = pawl_step_info_text(run, "job");

    if (job == NULL)
        return PAWL_OK;
    if (!pawl_has_i64(job, &s->job))
        return pawl_error_set(err, PAWL_E_BUG, "the step's record names job \"%s\"", job);
    s->horizon = pawl_step_info_text(run, "horizon");
    s->proved = pawl_step_info_text(run, "proved");
    return pawl_swap_look_again(s, err);
}

/* ---- transactions --------------------------------------------------------------------------------------------------- */

pawl_status
pawl_swap_look(pawl_swap *s, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = pawl_table_load(pg, s->d->table, s->run->search_path, s->run->arena, &s->table, err);

    if (st == PAWL_OK)
        s->run->waits_for = s->table->oid;
    return st;
}

pawl_status
pawl_swap_enter(pawl_swap *s, pawl_pg *pg, pawl_ledger *ledger, const char *phase, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job), PAWL_ARG_TEXT(phase), PAWL_ARG_TEXT(s->phase)};

    return pawl_ledger_touch(ledger, pg, pawl_sql_step_swap_enter, 3, args,
                             "the job of the swap is not where this run knows it to be", err);
}

typedef struct entering
{
    pawl_swap *s;
    const char *phase;
    pawl_step_work work;
} entering;

static pawl_status
enter(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const entering *e = ctx;
    pawl_status st = e->work == NULL ? PAWL_OK : e->work(run, e->s, err);

    if (st == PAWL_OK && e->phase != NULL && (st = pawl_step_unpin(run, err)) == PAWL_OK)
        st = pawl_swap_enter(e->s, run->pg, run->ledger, e->phase, err);
    return st;
}

pawl_status
pawl_swap_txn(pawl_swap *s, const char *phase, pawl_step_work work, pawl_error *err)
{
    entering e = {.s = s, .phase = phase, .work = work};
    pawl_status st = pawl_step_txn(s->run, 0, enter, &e, err);

    s->run->info_out = NULL;
    if (st == PAWL_OK && phase != NULL)
        s->phase = phase;
    return st;
}

static bool
is_locked(const pawl_error *err)
{
    return pawl_fault_of(err) == PAWL_FAULT_LOCK;
}

pawl_status
pawl_swap_patiently(pawl_swap *s, pawl_swap_view view, void *ctx, pawl_error *err)
{
    int64_t most = s->run->settings->lock_attempts;
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 100, 2000);
    for (int64_t tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = view(s, ctx, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if (!is_locked(err) || tries >= most)
            return st;
        pawl_log_text(s->run->sink, PAWL_EVENT_WAITING, "attempt %lld of %lld: %s", (long long) tries,
                      (long long) most, failure.message);
        if ((st = pawl_backoff_sleep(&backoff, s->run->stop, err)) != PAWL_OK)
            return st;
    }
}

/* ---- what is carried over ------------------------------------------------------------------------------------------- */

static pawl_status
work_inventory(pawl_swap *s, const pawl_hang_options *options, pawl_hanging **out, pawl_error *err)
{
    const pawl_pg_pins pins = {0};
    pawl_pg *pg = s->run->pg;
    pawl_status st = pawl_pg_begin(pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    if ((st = pawl_swap_look(s, pg, err)) == PAWL_OK)
        st = pawl_hanging_load(pg, s->table->oid, s->env.schema, s->run->arena, out, err);
    if (st == PAWL_OK && s->job == 0)
        st = pawl_hanging_add_bodies(pg, *out, s->d->column, s->env.schema, s->run->arena, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_OK)
        pawl_hanging_judge(*out, options);
    return st;
}

static pawl_status
plan_carry(pawl_swap *s, void *ctx, pawl_error *err)
{
    const pawl_swap_data *d = s->d;
    bool to_back = *(const bool *) ctx;
    bool in_step = to_back ? d->reverse != NULL : d->expression != NULL;
    pawl_carry *saved = NULL;
    pawl_hanging *hanging = NULL;
    pawl_carry_swap_spec spec = {
        .job = s->job,
        .column = d->column,
        .replacement = to_back ? s->old_name : s->new_name,
        .kept = to_back ? s->new_name : s->old_name,
        .type = s->job == 0 ? d->type : NULL,
        .search_path = s->run->search_path,
        .options = {.mode = in_step ? PAWL_HANG_SWAP_IN_STEP : PAWL_HANG_SWAP_CAPTURED,
                    .column = d->column,
                    .keeps_in_step = d->expression != NULL || d->reverse != NULL,
                    .recreate_views = d->recreates_views,
                    .subscribers_ready = d->subscribers_ready},
    };
    const char *json = to_back ? s->carried[0] : NULL;
    pawl_status st;

    if (json != NULL && (st = pawl_carry_load(json, s->run->arena, &saved, err)) != PAWL_OK)
        return st;
    spec.saved = saved;
    if ((st = work_inventory(s, &spec.options, &hanging, err)) != PAWL_OK)
        return st;
    return pawl_carry_swap(s->run->pg, hanging, &spec, s->run->arena, &s->carry, err);
}

pawl_status
pawl_swap_plan_carry(pawl_swap *s, bool to_back, pawl_error *err)
{
    pawl_status st = pawl_swap_patiently(s, plan_carry, &to_back, err);

    return st == PAWL_OK && !to_back ? pawl_swap_check_null(s, err) : st;
}

pawl_status
pawl_swap_run_inside(const pawl_carry_list *list, pawl_pg *pg, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < list->length; i++)
        for (size_t k = 0; st == PAWL_OK && k < list->items[i].nsql; k++)
            if ((st = pawl_pg_exec(pg, list->items[i].sql[k], err)) != PAWL_OK)
                (void) pawl_error_prefix(err, "%s", list->items[i].what);
    return st;
}

pawl_status
pawl_swap_watch(pawl_swap *s, const char *const *names, size_t count, pawl_capture_spec *out, pawl_error *err)
{
    size_t beside = s->carry == NULL ? 0 : s->carry->nbeside;
    const pawl_column **watch = pawl_arena_array(s->run->arena, count + beside, sizeof(const pawl_column *));

    if (watch == NULL)
        return pawl_error_nomem(err, "a swap");
    for (size_t i = 0; i < count + beside; i++)
    {
        const char *name = i < count ? names[i] : s->carry->beside[i - count];

        watch[i] = pawl_table_column(s->table, name);
        if (watch[i] == NULL)
            return pawl_error_set(err, PAWL_E_STATE, "column \"%s\" of \"%s\" is gone", name, s->d->table);
    }
    out->watch = watch;
    out->nwatch = (int) (count + beside);
    return PAWL_OK;
}

typedef struct one_unit
{
    pawl_swap *s;
    const pawl_carry_unit *unit;
    bool is_done;
} one_unit;

static pawl_status
work_is_done(pawl_step_run *run, void *ctx, pawl_error *err)
{
    one_unit *u = ctx;

    return pawl_carry_is_done(run->pg, u->unit, &u->is_done, err);
}

static pawl_status
work_unit(pawl_step_run *run, void *ctx, pawl_error *err)
{
    one_unit *u = ctx;
    const pawl_carry_list list = {.items = (pawl_carry_unit[]){*u->unit}, .length = 1};
    pawl_status st = pawl_swap_look(u->s, run->pg, err);

    if (st == PAWL_OK)
        st = pawl_carry_is_done(run->pg, u->unit, &u->is_done, err);
    return st != PAWL_OK || u->is_done ? st : pawl_swap_run_inside(&list, run->pg, err);
}

static pawl_status
try_outside(pawl_swap *s, one_unit *u, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    const pawl_carry_list list = {.items = (pawl_carry_unit[]){*u->unit}, .length = 1};
    pawl_status st = pawl_step_txn(s->run, 0, work_is_done, u, err);

    if (st != PAWL_OK || u->is_done)
        return st;
    st = pawl_step_open_outside(s->run, true, &pg, err);
    return st == PAWL_OK ? pawl_swap_run_inside(&list, pg, err) : st;
}

/*
 * A build waits for older transactions, and one of these may wait for the build, with a TRUNCATE for example: if pawl is
 * whom the server ends then, it begins the unit again, which takes away first what is left of the last try.
 */
static pawl_status
run_outside(pawl_swap *s, one_unit *u, pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 100, 2000);
    for (int tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = try_outside(s, u, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if (pawl_fault_of(err) != PAWL_FAULT_REPEAT || tries >= MOST_BUILDS)
            return st;
        pawl_log_text(s->run->sink, PAWL_EVENT_WAITING, "attempt %d of %d: %s", tries, MOST_BUILDS,
                      failure.message);
        if ((st = pawl_backoff_sleep(&backoff, s->run->stop, err)) != PAWL_OK)
            return st;
    }
}

pawl_status
pawl_swap_run_list(pawl_swap *s, const pawl_carry_list *list, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; st == PAWL_OK && i < list->length; i++)
    {
        one_unit u = {.s = s, .unit = &list->items[i]};

        st = u.unit->is_outside ? run_outside(s, &u, err) : pawl_step_txn(s->run, 0, work_unit, &u, err);
        PAWL_FAILPOINT("swap.after_unit");
    }
    s->run->info_out = NULL;
    return st;
}
