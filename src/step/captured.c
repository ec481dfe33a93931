#include "step/captured.h"

#include <string.h>

#include "backfill/context.h"
#include "core/log.h"
#include "pawl_sql.h"
#include "step/bound.h"
#include "step/sqltext.h"
#include "step/switch.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

static bool
is_in(const pawl_captured *c, const char *phase)
{
    return strcmp(c->phase, phase) == 0;
}

/* ---- what is known -------------------------------------------------------------------------------------------------- */

pawl_status
pawl_captured_look(pawl_captured *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job)};
    pawl_status st = pawl_pg_begin(c->run->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(c->run->ledger, c->run->pg, pawl_sql_step_captured_find, 1, args, &res, err);
    pawl_pg_rollback(c->run->pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld is not in the ledger any more",
                              (long long) c->job);
    c->phase = pawl_arena_strdup(c->run->arena, pawl_pg_text(res, 0, 0));
    c->state = pawl_arena_strdup(c->run->arena, pawl_pg_text(res, 0, 1));
    c->why = pawl_arena_strdup(c->run->arena, pawl_pg_text(res, 0, 2));
    c->started_us = pawl_pg_i64(res, 0, 3);
    return c->phase == NULL || c->state == NULL || c->why == NULL ? pawl_error_nomem(err, "a job") : PAWL_OK;
}

/* The job that an earlier run of the step has begun, by its record. */
static pawl_status
find(pawl_captured *c, pawl_error *err)
{
    const char *job = pawl_step_info_text(c->run, "job");

    c->phase = c->state = c->why = "";
    if (job == NULL)
        return PAWL_OK;
    if (!pawl_has_i64(job, &c->job))
        return pawl_error_set(err, PAWL_E_BUG, "the step's record names job \"%s\"", job);
    return pawl_captured_look(c, err);
}

pawl_status
pawl_captured_enter(pawl_captured *c, pawl_pg *pg, const char *phase, const char *state, const char *why,
                    pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->job), PAWL_ARG_TEXT(phase), PAWL_ARG_TEXT(state),
                                PAWL_ARG_TEXT(why)};

    return pawl_ledger_touch(c->run->ledger, pg, pawl_sql_step_captured_enter, 4, args,
                             "the job of the backfill was abandoned", err);
}

typedef struct entering
{
    pawl_captured *c;
    pawl_step_work work;
    const char *phase;
    const char *state;
    const char *why;
} entering;

static pawl_status
work_enter(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const entering *e = ctx;
    pawl_status st = e->work == NULL ? PAWL_OK : e->work(run, e->c, err);

    if (st == PAWL_OK)
        st = pawl_step_unpin(run, err);
    return st == PAWL_OK ? pawl_captured_enter(e->c, run->pg, e->phase, e->state, e->why, err) : st;
}

pawl_status
pawl_captured_advance(pawl_captured *c, pawl_step_work work, const char *phase, const char *state,
                      const char *why, pawl_error *err)
{
    entering e = {.c = c, .work = work, .phase = phase, .state = state, .why = why};
    pawl_status st = pawl_step_txn(c->run, 0, work_enter, &e, err);

    if (st == PAWL_OK)
    {
        c->phase = phase;
        c->state = state;
    }
    return st;
}

/* ---- what is read, what is written ---------------------------------------------------------------------------------- */

static bool
is_written(const pawl_backfill_spec *spec, const char *column)
{
    for (size_t i = 0; i < spec->nwrite; i++)
        if (strcmp(spec->write[i], column) == 0)
            return true;
    for (size_t i = 0; i < spec->nset; i++)
        if (strcmp(spec->set[i].column, column) == 0)
            return true;
    return false;
}

static bool
is_read(const pawl_backfill_spec *spec, const char *column)
{
    for (size_t i = 0; i < spec->nread; i++)
        if (strcmp(spec->read[i], column) == 0)
            return true;
    for (size_t i = 0; i < spec->nset; i++)
        if (pawl_sql_can_read(spec->set[i].expression, column))
            return true;
    return false;
}

static bool
is_asked_for(const pawl_backfill_spec *spec, const char *column)
{
    return spec->where != NULL && pawl_sql_can_read(spec->where, column);
}

pawl_status
pawl_captured_judge(pawl_captured *c, const pawl_table *table, pawl_error *err)
{
    const pawl_backfill_spec *spec = c->spec;
    bool asks_for_written = false;
    const char *asked = NULL;

    c->unsafe = NULL;
    for (int i = 0; i < table->ncolumns; i++)
    {
        const char *name = table->columns[i].name;

        if (is_written(spec, name) && is_read(spec, name))
        {
            c->unsafe = pawl_arena_fmt(
                c->run->arena,
                "column \"%s\" is both read and written, so nothing tells which of these rows are done, and "
                "doing one twice would be wrong",
                name);
            return c->unsafe == NULL ? pawl_error_nomem(err, "a step") : PAWL_OK;
        }
        if (is_asked_for(spec, name) && is_written(spec, name))
            asks_for_written = true;
        else if (is_asked_for(spec, name))
            asked = name;
    }
    if (asks_for_written && asked != NULL)
    {
        c->unsafe = pawl_arena_fmt(
            c->run->arena,
            "`where:` asks for what is written and for column \"%s\" as well, so nothing tells "
            "which of these rows it means",
            asked);
        if (c->unsafe == NULL)
            return pawl_error_nomem(err, "a step");
    }
    c->drops_where = asks_for_written;
    c->again = *spec;
    if (c->drops_where)
        c->again.where = NULL;
    return PAWL_OK;
}

/* What an UPDATE must change to be logged, beside the key: what is read, and what `where:` asks for. Not what is written,
 * unless that is read too: then the job's own writes are told by their sessions. */
pawl_status
pawl_captured_watch(const pawl_captured *c, const pawl_table *table, pawl_capture_spec *out, pawl_error *err)
{
    const pawl_column **watch =
        pawl_arena_array(c->run->arena, (size_t) table->ncolumns + 1, sizeof(const pawl_column *));
    int n = 0;

    if (watch == NULL)
        return pawl_error_nomem(err, "the columns of a capture");
    for (int i = 0; i < table->ncolumns; i++)
    {
        const pawl_column *column = &table->columns[i];
        bool is_source = is_read(c->spec, column->name) ||
                         (is_asked_for(c->spec, column->name) && !is_written(c->spec, column->name));

        if (is_source)
            watch[n++] = column;
    }
    out->watch = watch;
    out->nwatch = n;
    out->skips_own = c->unsafe != NULL;
    return PAWL_OK;
}

/* ---- before the first row ------------------------------------------------------------------------------------------- */

static pawl_status
look_at_table(const pawl_captured *c, pawl_pg *pg, pawl_table **table, pawl_key **key, pawl_error *err)
{
    pawl_step_run *run = c->run;
    pawl_status st = pawl_table_load(pg, c->spec->table, run->search_path, run->arena, table, err);

    if (st == PAWL_OK)
        run->waits_for = (*table)->oid;
    return st == PAWL_OK ? pawl_table_key(pg, *table, c->spec->key, c->spec->nkey, run->arena, key, err) : st;
}

static pawl_status
refuse(const pawl_captured *c, const char *why, const char *advice, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED, "changes of \"%s\" cannot be captured: %s", c->spec->table,
                          why);
    return pawl_error_hint(err, "%s", advice);
}

/* A switch puts what is written live, for every row. */
static pawl_status
check_switch(const pawl_captured *c, pawl_error *err)
{
    if (c->unsafe != NULL)
        return refuse(c, c->unsafe, "a column can be switched where it follows from others alone", err);
    if (c->spec->where != NULL && !c->drops_where)
        return refuse(c,
                      "a later `switch` puts the written column live for every row, and `where:` leaves some "
                      "out",
                      "leave `where:` out, or let it ask for the written column alone", err);
    return PAWL_OK;
}

/* What cannot be captured is refused before anything is made. */
static pawl_status
check(pawl_captured *c, pawl_error *err)
{
    pawl_job job = {0};
    pawl_status st = pawl_job_check(&job, c->spec, c->env, c->run->pg, err);

    if (st == PAWL_OK && job.is_divided)
        st = refuse(c, "it has partitions, or tables that inherit from it",
                    "leave `capture` out and keep the new column up to date by the application or a "
                    "trigger; or backfill each partition by itself",
                    err);
    else if (st == PAWL_OK && job.is_keyless)
        st = refuse(c, "it has no key by which a row could be found again",
                    "give it a primary key, or leave `capture` out", err);
    else if (st == PAWL_OK)
        st = pawl_captured_judge(c, job.table, err);
    if (st == PAWL_OK && c->is_taken_over)
        st = check_switch(c, err);
    pawl_job_fini(&job);
    return st;
}

/* Within the transaction that makes the job. */
static pawl_status
note_job(void *ctx, int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    const pawl_captured *c = ctx;
    const pawl_step_run *run = c->run;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    char info[64];
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_step_captured_begin, 1, args, NULL, err);

    pawl_fmt(info, sizeof info, "{\"job\": \"%lld\"}", (long long) job);
    return st == PAWL_OK
               ? pawl_history_step_info(ledger, pg, run->revision, run->direction, run->ordinal, info, err)
               : st;
}

static pawl_status
begin(pawl_captured *c, pawl_error *err)
{
    pawl_job job = {0};
    pawl_status st;

    c->env->on_created = note_job;
    c->env->on_created_ctx = c;
    st = pawl_job_open(&job, c->spec, c->env, c->id, c->run->ledger, c->run->pg, err);
    c->env->on_created = NULL;
    c->job = job.id;
    pawl_job_fini(&job);
    PAWL_FAILPOINT("captured.after_job");
    if (st != PAWL_OK || (st = pawl_captured_look(c, err)) != PAWL_OK)
        return st;
    if (is_in(c, "prepare"))
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "job %lld was begun without `capture`: what others have changed since is not known",
                          (long long) c->job);
    return pawl_error_hint(err, "take `capture` out of the step again while the job is open");
}

static pawl_status
work_arm(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_captured *c = ctx;
    pawl_capture_spec spec = {.job = c->job, .max_bytes = c->max_bytes};
    pawl_table *table = NULL;
    pawl_key *key = NULL;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = look_at_table(c, run->pg, &table, &key, err)) != PAWL_OK ||
        (st = pawl_captured_watch(c, table, &spec, err)) != PAWL_OK)
        return st;
    spec.table = table;
    spec.key = key;
    return pawl_capture_add(&spec, run->ledger, run->pg, err);
}

static pawl_status
work_bound(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_captured *c = ctx;
    pawl_table *table = NULL;
    pawl_key *key = NULL;
    pawl_status st = pawl_step_unpin(run, err);

    if (st != PAWL_OK || (st = look_at_table(c, run->pg, &table, &key, err)) != PAWL_OK)
        return st;
    return pawl_step_note_bound(
        run, &(pawl_job){.table = table, .key = key, .spec = c->spec, .env = c->env, .id = c->job}, err);
}

/* ---- the whole ------------------------------------------------------------------------------------------------------ */

static pawl_status
work_keep(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const pawl_captured *c = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    return st == PAWL_OK ? pawl_switch_keep(run, c->step, c->spec, c->job, err) : st;
}

pawl_status
pawl_captured_hold(pawl_captured *c, pawl_error *err)
{
    return pawl_captured_advance(c, c->is_taken_over ? work_keep : NULL, "captured", "open", "", err);
}

static pawl_status
copy(pawl_captured *c, pawl_backfill_result *result, pawl_error *err)
{
    pawl_status st = pawl_backfill_run(c->spec, c->env, c->id, result, err);

    PAWL_FAILPOINT("captured.after_copy");
    /* Rejects come first: the job is not done before somebody has dealt with them. */
    if (st != PAWL_OK || result->has_findings)
        return st;
    return pawl_captured_hold(c, err);
}

pawl_status
pawl_captured_run(pawl_captured *c, pawl_backfill_result *result, pawl_error *err)
{
    pawl_status st = find(c, err);

    if (st != PAWL_OK || (st = check(c, err)) != PAWL_OK || (c->job == 0 && (st = begin(c, err)) != PAWL_OK))
        return st;
    if (strcmp(c->state, "abandoned") == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned", (long long) c->job);
    if (strcmp(c->state, "done") != 0 &&
        (st = pawl_context_check(c->job, c->env, c->spec->lua_file != NULL, c->run->ledger, c->run->pg,
                                 err)) != PAWL_OK)
        return st;
    if (is_in(c, "prepare") && (st = pawl_captured_advance(c, work_arm, "armed", "open", "", err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("captured.after_arm");
    if (is_in(c, "armed") && (st = pawl_captured_advance(c, work_bound, "copy", "open", "", err)) != PAWL_OK)
        return st;
    if (is_in(c, "copy") && ((st = copy(c, result, err)) != PAWL_OK || result->has_findings))
        return st;
    result->job_id = c->job;
    return pawl_captured_end(c, err);
}

static pawl_status
work_release(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const pawl_captured *c = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    return st == PAWL_OK ? pawl_capture_remove(c->job, run->ledger, run->pg, err) : st;
}

pawl_status
pawl_captured_release(pawl_captured *c, bool *was_over, pawl_error *err)
{
    static const char *const over[] = {"captured", "reported", "drain"};
    pawl_status st = find(c, err);

    *was_over = false;
    if (st != PAWL_OK || c->job == 0 || strcmp(c->state, "abandoned") == 0 || is_in(c, "released"))
        return st;
    for (size_t i = 0; i < sizeof over / sizeof over[0]; i++)
        *was_over = *was_over || is_in(c, over[i]);
    if (*was_over)
        return pawl_captured_advance(c, work_release, "released", "done", "", err);
    return pawl_captured_advance(c, work_release, "copy", c->state, "", err);
}
