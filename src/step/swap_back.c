/* What follows the cut-over, and the way back from wherever a swap is. */
#include <string.h>

#include "core/log.h"
#include "core/sqlstate.h"
#include "online/guard.h"
#include "pawl_sql.h"
#include "step/switch.h"
#include "util/failpoint.h"

#include "util/banned.h"

static bool
has_mirror(const pawl_swap *s)
{
    return s->d->reverse != NULL || s->d->has_lua_reverse;
}

/* ---- after the cut-over ------------------------------------------------------------------------------------------- */

/* What follows the cut-over, as that has saved it. */
static pawl_status
load_carried(const pawl_swap *s, bool to_back, pawl_carry **out, pawl_error *err)
{
    const char *json = s->carried[to_back ? 1 : 0];

    if (json == NULL)
        return pawl_error_set(err, PAWL_E_BUG, "nothing is known of what the swap has carried over");
    return pawl_carry_load(json, s->run->arena, out, err);
}

static pawl_status
run_after(pawl_swap *s, bool to_back, pawl_error *err)
{
    pawl_carry *carried = NULL;
    pawl_status st = load_carried(s, to_back, &carried, err);

    return st == PAWL_OK ? pawl_swap_run_list(s, &carried->after, err) : st;
}

pawl_status
pawl_swap_settle(pawl_swap *s, const char *phase, pawl_error *err)
{
    pawl_status st = run_after(s, false, err);

    if (st == PAWL_OK)
        return pawl_swap_txn(s, phase, NULL, err);
    if (pawl_fault_of(err) != PAWL_FAULT_ROW)
        return st;
    (void) pawl_error_prefix(err, "the new column is live, but rows of \"%s\" break what it must meet",
                             s->d->table);
    return pawl_error_hint(err,
                           "mend them and run the same again; or go back with a downgrade, which is possible "
                           "without it");
}

/* What rows do not let pass would not outlive the way back anyway. */
static pawl_status
settle_what_can_be(pawl_swap *s, pawl_error *err)
{
    pawl_carry *carried = NULL;
    pawl_status st = load_carried(s, false, &carried, err);

    for (size_t i = 0; st == PAWL_OK && i < carried->after.length; i++)
    {
        const pawl_carry_list one = {.items = &carried->after.items[i], .length = 1};
        pawl_error failure = PAWL_ERROR_INIT;

        st = pawl_swap_run_list(s, &one, &failure);
        if (st != PAWL_OK && pawl_fault_of(&failure) == PAWL_FAULT_ROW)
        {
            pawl_log_text(s->run->sink, PAWL_EVENT_INFO, "not settled: %s: %s", carried->after.items[i].what,
                          failure.message);
            st = PAWL_OK;
        }
        else if (st != PAWL_OK)
            *err = failure;
    }
    return st;
}

pawl_status
pawl_swap_drop(pawl_swap *s, const char *column, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_step_alter(&sql, s->table);
    pawl_sql_add(&sql, "DROP COLUMN IF EXISTS ");
    pawl_sql_ident(&sql, column);
    return pawl_step_exec(s->run, &sql, err);
}

static pawl_status
close_job(pawl_step_run *run, int64_t job, const char *state, const char *phase, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job), PAWL_ARG_TEXT(state), PAWL_ARG_TEXT(phase)};

    return pawl_ledger_touch(run->ledger, run->pg, pawl_sql_step_swap_close, 3, args,
                             "the job of the swap is not where this run knows it to be", err);
}

pawl_status
pawl_swap_contract(pawl_step_run *run, const pawl_table *table, int64_t job, const char *old_name,
                   pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st;

    if ((st = pawl_capture_keep_vacuum_out(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, table, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = pawl_keep_remove(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_guard_remove(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_capture_remove(job, run->ledger, run->pg, err)) != PAWL_OK)
        return st;
    pawl_step_alter(&sql, table);
    pawl_sql_add(&sql, "DROP COLUMN ");
    pawl_sql_ident(&sql, old_name);
    if ((st = pawl_step_exec(run, &sql, err)) != PAWL_OK)
        return st;
    return close_job(run, job, "done", "mirror", err);
}

static pawl_status
work_contract(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    if (st == PAWL_OK)
        st = pawl_swap_look(s, run->pg, err);
    return st == PAWL_OK ? pawl_swap_contract(run, s->table, s->job, s->old_name, err) : st;
}

pawl_status
pawl_swap_drop_old(pawl_swap *s, pawl_error *err)
{
    pawl_status st = pawl_step_txn(s->run, 0, work_contract, s, err);

    PAWL_FAILPOINT("swap.after_contract");
    s->run->info_out = NULL;
    return st;
}

/* ---- undoing -------------------------------------------------------------------------------------------------------- */

/* One transaction: triggers, function, log, column. Indexes on the column go with it. */
static pawl_status
work_undo(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK ||
        (s->job != 0 && (st = pawl_capture_keep_vacuum_out(s->job, run->ledger, run->pg, err)) != PAWL_OK) ||
        (st = pawl_step_lock(run, s->table, "ACCESS EXCLUSIVE", true, err)) != PAWL_OK)
        return st;
    if (s->job != 0 && ((st = pawl_keep_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
                        (st = pawl_guard_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK ||
                        (st = pawl_capture_remove(s->job, run->ledger, run->pg, err)) != PAWL_OK))
        return st;
    if ((st = pawl_swap_drop(s, s->new_name, err)) != PAWL_OK)
        return st;
    return s->job == 0 ? PAWL_OK : close_job(run, s->job, "abandoned", s->phase, err);
}

/* Another try would see the same. */
static bool
is_lasting(const pawl_error *err)
{
    pawl_fault fault = pawl_fault_of(err);

    if (err->code == PAWL_E_SERVER)
        return fault != PAWL_FAULT_LOCK && fault != PAWL_FAULT_REPEAT && fault != PAWL_FAULT_CONNECTION;
    return err->code == PAWL_E_REFUSED || err->code == PAWL_E_INPUT || err->code == PAWL_E_STATE;
}

/* In one transaction at the end: `last`, which is work_undo and what else is to be done with it. */
static pawl_status
undo(pawl_swap *s, pawl_step_work last, pawl_error *err)
{
    pawl_status st;

    if (s->job != 0)
    {
        pawl_error failure = PAWL_ERROR_INIT;

        /* What hangs on the column may be such by now that nothing could be planned: then there is nothing to undo. */
        st = pawl_swap_plan_carry(s, false, &failure);
        if (st == PAWL_OK)
            st = pawl_swap_run_list(s, &s->carry->undo, err);
        else if (is_lasting(&failure))
            st = PAWL_OK;
        else
            *err = failure;
        if (st != PAWL_OK)
            return st;
    }
    if (s->d->with != NULL)
        return pawl_switch_release(s, err);
    st = pawl_step_txn(s->run, 0, last, s, err);
    s->run->info_out = NULL;
    return st;
}

static pawl_status
work_forget(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_status st = work_undo(run, ctx, err);

    if (st != PAWL_OK)
        return st;
    return pawl_step_note(
        run, "{\"new\": null, \"old\": null, \"job\": null, \"horizon\": null, \"proved\": null}", err);
}

pawl_status
pawl_swap_start_over(pawl_swap *s, const char *why, pawl_error *err)
{
    pawl_status st = undo(s, work_forget, err);

    if (st != PAWL_OK)
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
    const pawl_swap *s = ctx;

    return close_job(run, s->job, "abandoned", s->phase, err);
}

/* Back through the mirror: what was written since the cut-over is in the old column, or in the log. */
static pawl_status
return_through_mirror(pawl_swap *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (pawl_swap_is(s, "settle") && (st = settle_what_can_be(s, err)) != PAWL_OK)
        return st;
    s->proved = NULL; /* what an earlier try has found was before a drain that looks at nothing */
    if (!pawl_swap_is(s, "undone"))
    {
        if ((st = pawl_swap_txn(s, "back", NULL, err)) != PAWL_OK ||
            (st = pawl_swap_plan_carry(s, true, err)) != PAWL_OK)
            return st;
        if (pawl_swap_is_captured(s, true) && (st = pawl_swap_drain(s, true, err)) == PAWL_OK)
            st = pawl_swap_txn(s, NULL, pawl_swap_note_horizon, err);
        if (st != PAWL_OK || (st = pawl_swap_run_list(s, &s->carry->before, err)) != PAWL_OK ||
            (st = pawl_swap_run_list(s, &s->carry->index, err)) != PAWL_OK ||
            (st = pawl_swap_ready(s, true, err)) != PAWL_OK)
            return st;
    }
    if ((st = run_after(s, true, err)) != PAWL_OK || s->d->with != NULL)
        return st == PAWL_OK ? pawl_switch_release(s, err) : st;
    st = pawl_step_txn(s->run, 0, work_close, s, err);
    s->run->info_out = NULL;
    return st;
}

static bool
has_cut_over(const pawl_swap *s)
{
    static const char *const after[] = {"settle", "mirror", "back", "undone"};

    for (size_t i = 0; s->job != 0 && i < sizeof after / sizeof after[0]; i++)
        if (pawl_swap_is(s, after[i]))
            return true;
    return false;
}

pawl_status
pawl_swap_may_go_back(const pawl_swap *s, pawl_error *err)
{
    if (!has_cut_over(s) || strcmp(s->state, "abandoned") == 0)
        return PAWL_OK;
    if (strcmp(s->state, "done") == 0 && pawl_swap_is(s, "mirror"))
    {
        (void) pawl_error_set(
            err, PAWL_E_REFUSED,
            "the swap of column \"%s\" of \"%s\" cannot be reverted: `contract` or `keep_old: "
            "false` has dropped the old column",
            s->d->column, s->d->table);
        return pawl_error_hint(err, "write a new swap_column in the other direction");
    }
    return has_mirror(s) ? PAWL_OK : refuse_back(s, err);
}

static pawl_status
look_for_columns(pawl_swap *s, void *ctx, pawl_error *err)
{
    bool *has_both = ctx;
    const pawl_pg_pins pins = {0};
    pawl_status st = pawl_pg_begin(s->run->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_swap_look(s, s->run->pg, err);
    pawl_pg_rollback(s->run->pg);
    *has_both = st == PAWL_OK && pawl_table_column(s->table, s->d->column) != NULL &&
                pawl_table_column(s->table, s->old_name) != NULL;
    return st;
}

pawl_status
pawl_swap_look_ahead(pawl_swap *s, bool is_next, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    bool has_both = false;
    pawl_status st;

    if (s->job == 0 || strcmp(s->state, "open") != 0 || !pawl_swap_is(s, "mirror") || !has_mirror(s))
        return PAWL_OK;
    st = pawl_swap_patiently(s, look_for_columns, &has_both, err);
    if (st != PAWL_OK || (!has_both && !is_next))
        return st;
    if (!pawl_swap_is_captured(s, true))
        return pawl_swap_look_for_failures(s, err);
    /* Columns that the capture depends on may have other names for now. */
    st = pawl_swap_drain(s, true, &failure);
    if (st == PAWL_OK || (st == PAWL_E_STATE && !is_next))
        return PAWL_OK;
    *err = failure;
    return st;
}

pawl_status
pawl_swap_back(pawl_swap *s, pawl_error *err)
{
    pawl_status st = s->job == 0 ? PAWL_OK : pawl_swap_wait_for_lost(s, err);

    if (st != PAWL_OK || (st = pawl_swap_may_go_back(s, err)) != PAWL_OK)
        return st;
    if (has_cut_over(s))
        return strcmp(s->state, "abandoned") == 0 ? PAWL_OK : return_through_mirror(s, err);
    if (pawl_step_info_text(s->run, "new") == NULL || pawl_swap_is(s, "captured"))
        return PAWL_OK;
    return undo(s, work_undo, err);
}
