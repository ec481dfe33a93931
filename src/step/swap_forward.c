/* The way there: from the new column to the mirror, a phase after the other. */
#include <string.h>

#include "backfill/context.h"
#include "backfill/run.h"
#include "pawl_sql.h"
#include "step/bound.h"
#include "step/column.h"
#include "step/env.h"
#include "step/swap.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* ---- the phases ------------------------------------------------------------------------------------------------------ */

static pawl_status
find_key(pawl_swap *s, pawl_pg *pg, pawl_key **out, pawl_error *err)
{
    return pawl_table_key(pg, s->table, s->d->key, s->d->nkey, s->run->arena, out, err);
}

/* The log goes on after the cut-over with the columns that it has, and what has the name then holds something else. */
pawl_status
pawl_swap_check_key(pawl_swap *s, pawl_pg *pg, pawl_error *err)
{
    pawl_key *key = NULL;
    pawl_status st = pawl_swap_is_captured(s, true) ? find_key(s, pg, &key, err) : PAWL_OK;

    for (int i = 0; key != NULL && i < key->ncolumns; i++)
    {
        if (strcmp(key->columns[i].column->name, s->d->column) != 0)
            continue;
        (void) pawl_error_set(
            err, PAWL_E_REFUSED,
            "column \"%s\" of \"%s\" is part of the key (%s) by which rows that change after the "
            "cut-over would be found again for the way back",
            s->d->column, s->d->table, key->index_name);
        return pawl_error_hint(
            err, "say `reverse:` in SQL, which needs no such key; or give the table a primary key "
                 "over other columns, or name another unique index under `key`");
    }
    return st;
}

static pawl_status
add_new(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    const pawl_column_shape shape = {.type = s->d->type};
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK)
        return st;
    const char *taken = pawl_table_column(s->table, s->new_name) != NULL   ? s->new_name
                        : pawl_table_column(s->table, s->old_name) != NULL ? s->old_name
                                                                           : NULL;

    if (taken != NULL)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "\"%s\" has a column \"%s\" already, whose name the swap needs", s->d->table,
                              taken);
        return pawl_error_hint(
            err, "after a connection that was lost it may be the swap's own: run the same again; "
                 "if it is still said then, rename or drop that column");
    }
    if ((st = pawl_swap_check_key(s, run->pg, err)) != PAWL_OK ||
        (st = pawl_column_add(run, s->d->table, s->new_name, &shape, err)) != PAWL_OK ||
        (st = pawl_step_note_text(run, "new", s->new_name, err)) != PAWL_OK)
        return st;
    return pawl_step_note_text(run, "old", s->old_name, err);
}

static pawl_status
adopt(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    char job[24];
    const pawl_pg_arg args[] = {pawl_arg_i64(s->job, job), PAWL_ARG_TEXT(s->d->column),
                                PAWL_ARG_TEXT(s->new_name), PAWL_ARG_TEXT(s->old_name)};
    pawl_status st = pawl_step_note_text(run, "job", job, err);

    return st == PAWL_OK ? pawl_ledger_touch(run->ledger, run->pg, pawl_sql_step_swap_adopt, 4, args,
                                             "the job of the swap is not in the ledger", err)
                         : st;
}

/* Everything is looked at, and refused, before anything is changed. */
static pawl_status
begin(pawl_swap *s, pawl_error *err)
{
    const pawl_backfill_id id = pawl_step_job_id(s->run);
    pawl_job job = {0};
    pawl_status st = PAWL_OK;

    if (pawl_step_info_text(s->run, "new") == NULL &&
        ((st = pawl_swap_plan_carry(s, false, err)) != PAWL_OK ||
         (st = pawl_swap_try_expressions(s, err)) != PAWL_OK ||
         (st = pawl_step_txn(s->run, 0, add_new, s, err)) != PAWL_OK))
        return st;
    PAWL_FAILPOINT("swap.after_add");
    st = pawl_job_open(&job, &s->forward, &s->env, &id, s->run->ledger, s->run->pg, err);
    s->job = job.id;
    s->started_us = job.started_us;
    pawl_job_fini(&job);
    PAWL_FAILPOINT("swap.after_job");
    if (st == PAWL_OK && (st = pawl_swap_txn(s, NULL, adopt, err)) == PAWL_OK)
        s->phase = "prepare";
    return st;
}

static pawl_status
capture(pawl_swap *s, pawl_pg *pg, pawl_error *err)
{
    pawl_capture_spec spec = {.job = s->job, .table = s->table};
    pawl_key *key = NULL;
    pawl_status st = find_key(s, pg, &key, err);

    spec.key = key;
    if (st != PAWL_OK || (st = pawl_swap_watch(s, s->forward.read, s->forward.nread, &spec, err)) != PAWL_OK)
        return st;
    return pawl_capture_add(&spec, s->run->ledger, pg, err);
}

/* One transaction: either others are kept in step from here on, or nothing has happened. */
static pawl_status
arm(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK ||
        (st = pawl_step_lock(run, s->table, "SHARE ROW EXCLUSIVE", true, err)) != PAWL_OK ||
        (st = pawl_swap_run_inside(&s->carry->prepare, run->pg, err)) != PAWL_OK)
        return st;
    if (s->d->with != NULL) /* captured since the backfill, and the application may write both columns */
        return PAWL_OK;
    if (s->d->lua != NULL)
        st = capture(s, run->pg, err);
    else
    {
        const pawl_keep keep = pawl_swap_keep(s, false);

        st = pawl_keep_set(&keep, run->ledger, run->pg, err);
    }
    return st == PAWL_OK ? pawl_guard_set(s->job, s->table, s->new_name, run->ledger, run->pg, err) : st;
}

static pawl_status
read_bound(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    pawl_key *key = NULL;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = pawl_swap_look(s, run->pg, err)) != PAWL_OK ||
        (st = find_key(s, run->pg, &key, err)) != PAWL_OK)
        return st;
    return pawl_step_note_bound(
        run, &(pawl_job){.table = s->table, .key = key, .spec = &s->forward, .env = &s->env, .id = s->job},
        err);
}

static pawl_status
prepare(pawl_swap *s, pawl_error *err)
{
    pawl_status st = pawl_swap_run_list(s, &s->carry->before, err);

    if (st != PAWL_OK || (st = pawl_swap_txn(s, "armed", arm, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("swap.after_arm");
    return PAWL_OK;
}

static pawl_status
copy(pawl_swap *s, pawl_error *err)
{
    const pawl_backfill_id id = pawl_step_job_id(s->run);
    pawl_backfill_result result;
    pawl_status st = pawl_backfill_run(&s->forward, &s->env, &id, &result, err);

    PAWL_FAILPOINT("swap.after_copy");
    s->run->has_given_up = st != PAWL_OK;
    return st == PAWL_OK ? pawl_swap_txn(s, "index", NULL, err) : st;
}

pawl_status
pawl_swap_note_horizon(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(run->pg, pawl_sql_step_swap_horizon, 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    s->horizon = pawl_arena_strdup(run->arena, pawl_pg_text(res, 0, 0));
    return s->horizon == NULL ? pawl_error_nomem(err, "a swap")
                              : pawl_step_note_text(run, "horizon", s->horizon, err);
}

static pawl_status
analyze(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_swap *s = ctx;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_swap_look(s, run->pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "ANALYZE ");
    pawl_sql_ident2(&sql, s->table->schema, s->table->name);
    pawl_sql_add(&sql, " (");
    pawl_sql_ident(&sql, s->new_name);
    pawl_sql_add(&sql, ")");
    return pawl_step_exec(run, &sql, err);
}

static pawl_status
catch_up(pawl_swap *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (pawl_swap_is_captured(s, false))
        st = pawl_swap_drain(s, false, err);
    return st == PAWL_OK ? pawl_swap_txn(s, NULL, pawl_swap_note_horizon, err) : st;
}

pawl_status
pawl_swap_index(pawl_swap *s, bool to_back, pawl_error *err)
{
    pawl_carry_twice twice = {0};

    for (;;)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_swap_run_list(s, &s->carry->index, &failure);

        if (st == PAWL_OK)
            return st;
        if (to_back || !pawl_swap_is_captured(s, false) || !pawl_carry_can_pass(&twice, &failure))
        {
            *err = failure;
            return st;
        }
        pawl_log_text(s->run->sink, PAWL_EVENT_WAITING, "built again when the changes since are done: %s",
                      failure.message);
        if ((st = catch_up(s, err)) != PAWL_OK)
            return st;
    }
}

static pawl_status
build(pawl_swap *s, pawl_error *err)
{
    pawl_status st = catch_up(s, err);

    if (st != PAWL_OK)
        return st;
    PAWL_FAILPOINT("swap.before_index");
    if ((st = pawl_swap_index(s, false, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("swap.after_index");
    return pawl_swap_txn(s, "verify", analyze, err);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static pawl_status
advance(pawl_swap *s, pawl_error *err)
{
    pawl_status st;

    if (s->carry == NULL && !pawl_swap_is(s, "settle") &&
        (st = pawl_swap_plan_carry(s, false, err)) != PAWL_OK)
        return st;
    if (pawl_swap_is(s, "prepare"))
        return prepare(s, err);
    if (pawl_swap_is(s, "armed"))
        return s->d->with != NULL ? pawl_swap_txn(s, "index", NULL, err)
                                  : pawl_swap_txn(s, "copy", read_bound, err);
    if (pawl_swap_is(s, "copy"))
        return copy(s, err);
    if (pawl_swap_is(s, "index"))
        return build(s, err);
    if (pawl_swap_is(s, "verify"))
        return pawl_swap_verify(s, err);
    if (pawl_swap_is(s, "ready"))
        return pawl_swap_ready(s, false, err);
    if (pawl_swap_is(s, "settle"))
        return pawl_swap_settle(s, "mirror", err);
    return pawl_error_set(err, PAWL_E_STATE, "job %lld is in phase \"%s\", from which the swap cannot go on",
                          (long long) s->job, s->phase);
}

pawl_status
pawl_swap_forward(pawl_swap *s, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    if (s->job == 0 && (st = begin(s, err)) != PAWL_OK)
        return st;
    s->carry = NULL; /* what begin planned knew no job yet */
    if (strcmp(s->state, "abandoned") == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned", (long long) s->job);
    st = pawl_context_check(s->job, &s->env, s->d->lua != NULL, s->run->ledger, s->run->pg, err);
    if (st == PAWL_OK)
        st = pawl_swap_wait_for_lost(s, err);
    while (st == PAWL_OK && !pawl_swap_is(s, "mirror"))
    {
        if ((st = pawl_stop_check(s->run->stop, PAWL_STOP_FINISH, err)) == PAWL_OK)
            st = advance(s, err);
    }
    if (st == PAWL_OK && s->d->drops_old && strcmp(s->state, "done") != 0)
        return pawl_swap_drop_old(s, err);
    return st;
}
