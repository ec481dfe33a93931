/* Running single steps, and what the ledger keeps of them. */
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "migrate/run.h"
#include "pawl_sql.h"
#include "step/outside.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MOST_LOSSES = 8 /* connections that a step may lose, or may fail to get, before it fails */
};

/* A task with what its transactions need. */
typedef struct attempt
{
    pawl_migration *m;
    const pawl_passage *p;
    const pawl_task *task;
    pawl_step_end end;
    const char *info; /* to be noted when it begins */
} attempt;

static void
fill_run(pawl_migration *m, const pawl_passage *p, pawl_step_run *out)
{
    const pawl_settings *s = &m->project->settings;

    *out = (pawl_step_run){
        .pg = m->pg,
        .ledger = m->ledger,
        .runner = m->runner,
        .settings = s,
        .conninfo = m->conninfo,
        .direct_conninfo = m->direct,
        .search_path = s->search_path,
        .x = m->project->x,
        .nx = m->project->nx,
        .secrets = m->secrets,
        .nsecrets = m->nsecrets,
        .stop = m->options->stop,
        .sink = &m->options->sink,
        .restart = m->options->restart,
        .arena = m->arena,
        .info = "{}",
    };
    if (p == NULL)
        return;
    out->root = p->loaded->root;
    out->revision = p->loaded->revision->id;
    out->direction = p->direction;
    if (p->loaded->revision->search_path != NULL)
        out->search_path = p->loaded->revision->search_path;
}

static void
fill_task_run(pawl_migration *m, const pawl_passage *p, const pawl_task *task, pawl_step_run *out)
{
    const pawl_applied_step *record = pawl_passage_record(p, p->direction, task->ordinal);

    fill_run(m, p, out);
    out->ordinal = task->ordinal;
    out->checksum = task->step->checksum;
    if (task->is_revert)
        out->info = task->info;
    else if (record != NULL)
        out->info = record->info;
}

pawl_status
pawl_migration_record(pawl_migration *m, pawl_step_work work, void *ctx, pawl_error *err)
{
    pawl_step_run run;

    /* A record is what a stopped run leaves behind: it is written whatever was requested. */
    fill_run(m, NULL, &run);
    run.search_path = NULL;
    run.stop = NULL;
    return pawl_step_txn(&run, 0, work, ctx, err);
}

/* ---- records ----------------------------------------------------------------------------------------------------- */

static pawl_status
begin_step(pawl_step_run *run, const attempt *a, pawl_error *err)
{
    const pawl_revision *r = a->p->loaded->revision;
    const pawl_step *step = a->task->step;
    pawl_status st = pawl_history_step_begin(run->ledger, run->pg, r->id, a->p->direction, a->task->ordinal,
                                             step->kind->name, step->checksum, err);

    if (st == PAWL_OK && a->info != NULL)
        st = pawl_history_step_info(run->ledger, run->pg, r->id, a->p->direction, a->task->ordinal, a->info,
                                    err);
    return st;
}

static pawl_status
work_begin(pawl_step_run *run, void *ctx, pawl_error *err)
{
    return begin_step(run, ctx, err);
}

static pawl_status
work_end(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const attempt *a = ctx;

    return pawl_history_step_end(run->ledger, run->pg, &a->end, err);
}

static pawl_status
work_skip(pawl_step_run *run, void *ctx, pawl_error *err)
{
    pawl_status st = begin_step(run, ctx, err);

    return st == PAWL_OK ? work_end(run, ctx, err) : st;
}

static void
fill_attempt(pawl_migration *m, const pawl_passage *p, const pawl_task *task, const char *state, attempt *out)
{
    *out = (attempt){.m = m,
                     .p = p,
                     .task = task,
                     .end = {.revision = p->loaded->revision->id,
                             .direction = p->direction,
                             .ordinal = task->ordinal,
                             .state = state,
                             .error = "",
                             .sqlstate = ""}};
}

/* The session may have died, or been idle for too long while workers ran: one more try. */
static bool
can_connect_again(pawl_migration *m, const pawl_stop *stop)
{
    pawl_error ignored = PAWL_ERROR_INIT;
    pawl_pg *fresh = NULL;

    if (pawl_pg_is_usable(m->pg))
        return true;
    if (pawl_project_connect(m->project, m->conninfo, false, stop, &fresh, &ignored) != PAWL_OK)
        return false;
    pawl_pg_close(m->pg);
    m->pg = fresh;
    return true;
}

/* For the last words of a run that failed. */
static bool
can_still_write(pawl_migration *m)
{
    if (!can_connect_again(m, NULL))
        return false;
    pawl_pg_ignore_stop(m->pg);
    return true;
}

static pawl_status
work_fail(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const pawl_step_end *end = ctx;
    char ordinal[24];
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(end->revision),        PAWL_ARG_TEXT(end->direction),
                                pawl_arg_i64(end->ordinal, ordinal), PAWL_ARG_TEXT(end->error),
                                PAWL_ARG_TEXT(end->sqlstate),        PAWL_ARG_TEXT(end->state)};

    return pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_fail, 6, args, NULL, err);
}

/* "revision a41c20f9, step 2 (sql): " and the place, unless a better one is known. */
static pawl_status
name_task(const pawl_passage *p, const pawl_task *task, pawl_error *err)
{
    const pawl_yaml *at = task->step->entry->entry;

    if (err->file[0] == '\0')
        pawl_error_place(err, at->file, at->line, at->column);
    return pawl_error_prefix(err, "revision %s, %sstep %d (%s%s)", p->loaded->revision->id,
                             strcmp(p->direction, "down") == 0 ? "on the way down, " : "", task->ordinal,
                             task->is_revert ? "back from " : "", task->step->kind->name);
}

static void
add_hint(pawl_error *err, const char *words)
{
    char was[sizeof err->hint];

    pawl_fmt(was, sizeof was, "%s", err->hint);
    (void) pawl_error_hint(err, "%s%s%s", was, was[0] != '\0' ? "; " : "", words);
}

pawl_status
pawl_migration_may_task(pawl_migration *m, const pawl_passage *p, const pawl_task *task, pawl_error *err)
{
    pawl_step_run run;
    pawl_status st;

    if (!task->is_revert || task->step->kind->may_revert == NULL)
        return PAWL_OK;
    fill_task_run(m, p, task, &run);
    st = task->step->kind->may_revert(&run, task->step, err);
    return st == PAWL_OK ? st : name_task(p, task, err);
}

/* Others may come of a table that is not yet what it will be when the turn of the step has come. */
static bool
is_certain(const pawl_error *err)
{
    return err->code == PAWL_E_TRANSFORM || err->code == PAWL_E_STATE || err->code == PAWL_E_CONNECT ||
           err->code == PAWL_E_LEASE || err->code == PAWL_E_NOMEM || pawl_fault_of(err) == PAWL_FAULT_ROW;
}

pawl_status
pawl_migration_look_ahead(pawl_migration *m, const pawl_passage *p, const pawl_task *task, bool is_next,
                          pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_step_run run;
    pawl_status st;

    if (!task->is_revert || task->step->kind->look_ahead == NULL)
        return PAWL_OK;
    fill_task_run(m, p, task, &run);
    st = task->step->kind->look_ahead(&run, task->step, is_next, &failure);
    if (st == PAWL_OK || (!is_next && st != PAWL_E_STOPPED && !is_certain(&failure)))
        return PAWL_OK;
    *err = failure;
    if (st == PAWL_E_STOPPED)
        return st;
    add_hint(err, "nothing of this revision has been reverted");
    return name_task(p, task, err);
}

/* Put revision, step and place into the error, and the error into the ledger. */
static pawl_status
failed(pawl_migration *m, const pawl_passage *p, const pawl_task *task, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);
    pawl_error other = PAWL_ERROR_INIT;
    attempt a;

    if (err->code == PAWL_E_STOPPED)
        return err->code;
    pawl_strbuf_addf(&text, "%s%s%s", err->message, err->detail[0] == '\0' ? "" : "; ", err->detail);
    fill_attempt(m, p, task, err->code == PAWL_E_FINDINGS ? "findings" : "failed", &a);
    a.end.error = text.data;
    a.end.sqlstate = err->sqlstate;
    if (err->code != PAWL_E_LEASE && can_still_write(m) &&
        pawl_migration_record(m, work_fail, &a.end, &other) != PAWL_OK)
        pawl_log_text(&m->options->sink, PAWL_EVENT_WARNING, "the failure could not be recorded: %s",
                      other.message);

    return name_task(p, task, err);
}

/* ---- running ----------------------------------------------------------------------------------------------------- */

static pawl_status
call_step(pawl_step_run *run, const pawl_task *task, pawl_error *err)
{
    if (task->is_revert)
        return task->step->kind->revert(run, task->step, err);
    return task->step->kind->apply(run, task->step, err);
}

/* The step, then its record, in one transaction. */
static pawl_status
work_step(pawl_step_run *run, void *ctx, pawl_error *err)
{
    attempt *a = ctx;
    pawl_status st = call_step(run, a->task, err);

    if (st == PAWL_OK)
        st = pawl_step_unpin(run, err);
    if (st != PAWL_OK)
        return st;
    a->end.info = run->info_out;
    return pawl_history_step_end(run->ledger, run->pg, &a->end, err);
}

/* What the step has noted meanwhile; of a revert it is what its way up noted that counts. */
static pawl_status
look_at_record(pawl_step_run *run, const pawl_task *task, pawl_error *err)
{
    pawl_applied_step *steps = NULL;
    const pawl_pg_pins pins = {0};
    size_t count = 0;
    pawl_status st = PAWL_OK;

    if (task->is_revert || (st = pawl_pg_begin(run->pg, &pins, err)) != PAWL_OK)
        return st;
    st = pawl_history_steps(run->ledger, run->pg, run->revision, run->arena, &steps, &count, err);
    pawl_pg_rollback(run->pg);
    for (size_t i = 0; st == PAWL_OK && i < count; i++)
        if (steps[i].ordinal == run->ordinal && strcmp(steps[i].direction, run->direction) == 0)
            run->info = steps[i].info;
    return st;
}

/* Once a connection was lost, what is held is held by the old session, which has not ended yet. */
static bool
can_be_carried_on(const pawl_step_run *run, const pawl_task *task, const pawl_error *failure, int losses)
{
    pawl_fault fault = pawl_fault_of(failure);
    bool is_held = failure->code == PAWL_E_BUSY || fault == PAWL_FAULT_LOCK;

    return task->step->kind->is_resumed && !run->has_given_up && losses < MOST_LOSSES &&
           (fault == PAWL_FAULT_CONNECTION || (losses > 0 && is_held));
}

/*
 * A step that the next run would resume is resumed by this one where no more than a connection was lost. Whether a COMMIT
 * whose answer was lost is in, it finds out as the next run would.
 */
static pawl_status
call_to_the_end(pawl_step_run *run, const attempt *a, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_backoff backoff;
    pawl_status st = call_step(run, a->task, &failure);

    pawl_backoff_init(&backoff, 200, 10000);
    for (int losses = 0; st != PAWL_OK && can_be_carried_on(run, a->task, &failure, losses); losses++)
    {
        pawl_log_text(run->sink, PAWL_EVENT_WAITING, "a connection was lost, going on in a moment: %s",
                      failure.message);
        if ((st = pawl_backoff_sleep(&backoff, run->stop, err)) != PAWL_OK)
            return st;
        st = failure.code;
        if (!can_connect_again(a->m, run->stop))
            continue;
        run->pg = a->m->pg;
        run->info_out = NULL;
        failure = (pawl_error) PAWL_ERROR_INIT;
        /* Behind the lost session, whose COMMIT may come late: what is read from here on is what it has left. */
        if ((st = pawl_step_fence(run, &failure)) == PAWL_OK &&
            (st = look_at_record(run, a->task, &failure)) == PAWL_OK)
            st = call_step(run, a->task, &failure);
    }
    if (st != PAWL_OK)
        *err = failure;
    return st;
}

static pawl_status
run_outside(pawl_step_run *run, attempt *a, pawl_error *err)
{
    pawl_status st = call_to_the_end(run, a, err);

    PAWL_FAILPOINT("step.before_record");
    if (st != PAWL_OK)
        return st;
    pawl_error lost = PAWL_ERROR_INIT;
    a->end.info = run->info_out;
    st = pawl_migration_record(a->m, work_end, a, &lost);
    if (st == PAWL_E_CONNECT && can_connect_again(a->m, a->m->options->stop))
        return pawl_migration_record(a->m, work_end, a, err);
    if (st != PAWL_OK)
        *err = lost;
    return st;
}

static void
emit_step(const pawl_migration *m, const pawl_passage *p, const pawl_task *task, pawl_event_kind kind,
          const char *text, int64_t elapsed_ms)
{
    PAWL_STRBUF_AUTO(back);
    pawl_event event = {.kind = kind,
                        .revision = p->loaded->revision->id,
                        .step = task->ordinal,
                        .count = task->ordinal,
                        .total = p->total,
                        .elapsed_ms = elapsed_ms,
                        .text = text};

    if (task->is_revert && kind == PAWL_EVENT_STEP_BEGIN)
    {
        pawl_strbuf_addf(&back, "undo: %s", text);
        event.text = back.data;
    }
    pawl_migration_emit(m, &event);
}

pawl_status
pawl_migration_skip(pawl_migration *m, const pawl_passage *p, const pawl_task *task, const char *why,
                    pawl_error *err)
{
    attempt a;

    fill_attempt(m, p, task, "skipped", &a);
    pawl_status st = pawl_migration_record(m, work_skip, &a, err);
    if (st == PAWL_OK)
        emit_step(m, p, task, PAWL_EVENT_STEP_SKIPPED, why, 0);
    return st;
}

/* *why is set when `when:` leaves the task out. A derived way back follows the record of its way up, not `when:`. */
static pawl_status
ask_when(const pawl_migration *m, const pawl_task *task, const char **why, pawl_error *err)
{
    const pawl_step_entry *entry = task->step->entry;
    bool is_wanted = true;

    if (task->is_revert || entry->when == NULL)
        return PAWL_OK;
    pawl_status st = pawl_lua_when(entry->when, m->project->x, m->project->nx, &is_wanted, err);
    if (st != PAWL_OK)
        return pawl_error_prefix(err, "`when: %s`", entry->when);
    if (!is_wanted)
    {
        *why = pawl_arena_fmt(m->arena, "when: %s", entry->when);
        if (*why == NULL)
            return pawl_error_nomem(err, "a step");
    }
    return PAWL_OK;
}

pawl_status
pawl_migration_task(pawl_migration *m, const pawl_passage *p, const pawl_task *task, pawl_error *err)
{
    int64_t start_us = pawl_clock_us();
    const char *why = NULL;
    pawl_step_run run;
    attempt a;
    pawl_status st = pawl_stop_check(m->options->stop, PAWL_STOP_FINISH, err);

    if (st != PAWL_OK)
        return st;
    st = ask_when(m, task, &why, err);
    if (st != PAWL_OK)
        return name_task(p, task, err);
    if (why != NULL)
        return pawl_migration_skip(m, p, task, why, err);

    fill_attempt(m, p, task, "done", &a);
    a.info = pawl_arena_fmt(m->arena, "{\"frozen\": \"%s\"}", task->step->frozen);
    if (a.info == NULL)
        return pawl_error_nomem(err, "the record of a step");
    st = pawl_migration_record(m, work_begin, &a, err);
    if (st != PAWL_OK)
        return st;

    emit_step(m, p, task, PAWL_EVENT_STEP_BEGIN, task->step->summary, 0);
    PAWL_FAILPOINT("step.after_begin");
    fill_task_run(m, p, task, &run);
    st = task->step->is_transactional ? pawl_step_txn(&run, 0, work_step, &a, err)
                                      : run_outside(&run, &a, err);
    if (st != PAWL_OK)
        return failed(m, p, task, err);
    emit_step(m, p, task, PAWL_EVENT_STEP_END, NULL, (pawl_clock_us() - start_us) / 1000);
    PAWL_FAILPOINT("step.after_end");
    return PAWL_OK;
}

/* ---- a whole revision in one transaction ------------------------------------------------------------------------- */

typedef struct atomic_run
{
    pawl_migration *m;
    const pawl_passage *p;
    const pawl_task *tasks;
    size_t count;
    size_t at; /* the task that is being run: whose fault it is */
    pawl_step_work last;
    void *ctx;
} atomic_run;

/* The next step of the same transaction begins with the user's search_path again. */
static pawl_status
pin_again(pawl_step_run *run, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(run->search_path)};

    return pawl_pg_query(run->pg, pawl_sql_migrate_pin_again, 1, args, NULL, err);
}

static pawl_status
atomic_task(pawl_step_run *run, atomic_run *r, const pawl_task *task, pawl_error *err)
{
    const char *why = NULL;
    attempt a;
    pawl_status st = ask_when(r->m, task, &why, err);

    fill_attempt(r->m, r->p, task, why == NULL ? "done" : "skipped", &a);
    if (st == PAWL_OK)
        st = begin_step(run, &a, err);
    if (st == PAWL_OK && why != NULL)
    {
        emit_step(r->m, r->p, task, PAWL_EVENT_STEP_SKIPPED, why, 0);
        return work_end(run, &a, err);
    }
    if (st == PAWL_OK)
        st = pin_again(run, err);
    if (st != PAWL_OK)
        return st;

    emit_step(r->m, r->p, task, PAWL_EVENT_STEP_BEGIN, task->step->summary, 0);
    fill_task_run(r->m, r->p, task, run);
    run->info_out = NULL;
    st = work_step(run, &a, err);
    if (st == PAWL_OK)
        emit_step(r->m, r->p, task, PAWL_EVENT_STEP_END, NULL, 0);
    return st;
}

static pawl_status
work_atomic(pawl_step_run *run, void *ctx, pawl_error *err)
{
    atomic_run *r = ctx;
    pawl_status st = pawl_step_unpin(run, err);

    for (size_t i = 0; i < r->count && st == PAWL_OK; i++)
    {
        r->at = i;
        st = atomic_task(run, r, &r->tasks[i], err);
    }
    if (st == PAWL_OK && r->last != NULL)
        st = r->last(run, r->ctx, err);
    return st;
}

pawl_status
pawl_migration_atomic(pawl_migration *m, const pawl_passage *p, const pawl_task *tasks, size_t count,
                      pawl_step_work last, void *ctx, pawl_error *err)
{
    atomic_run r = {.m = m, .p = p, .tasks = tasks, .count = count, .last = last, .ctx = ctx};
    pawl_error other = PAWL_ERROR_INIT;
    pawl_step_run run;
    attempt a;

    fill_run(m, p, &run);
    pawl_status st = pawl_step_txn(&run, 0, work_atomic, &r, err);
    if (st == PAWL_OK || count == 0)
        return st;

    /*
     * Nothing of it is in the ledger: the step must begin there before its failure can be noted. Where the connection
     * is lost, everything may be in after all.
     */
    fill_attempt(m, p, &tasks[r.at], "failed", &a);
    if (st != PAWL_E_STOPPED && st != PAWL_E_LEASE && st != PAWL_E_CONNECT && can_still_write(m) &&
        pawl_migration_record(m, work_begin, &a, &other) != PAWL_OK)
        pawl_log_text(&m->options->sink, PAWL_EVENT_WARNING, "the failure could not be recorded: %s",
                      other.message);
    return failed(m, p, &tasks[r.at], err);
}
