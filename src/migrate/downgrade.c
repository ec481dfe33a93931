#include <string.h>

#include "core/log.h"
#include "migrate/body.h"
#include "migrate/left.h"
#include "migrate/run.h"
#include "migrate/squashed.h"
#include "pawl_sql.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

/*
 * A downgrade follows the ledger: the text that was applied, the files that it named, and what each step recorded. The
 * whole way is planned before anything runs. Records of the way up stay until the revision is gone, so that a second
 * try makes the same plan.
 */
typedef struct descent
{
    pawl_migration *m;
    pawl_passage passage;
    pawl_body body;
    pawl_loaded loaded;
    const char *unpacked; /* a directory to remove, or NULL */
    pawl_task *tasks;
    size_t ntasks;
    pawl_strbuf left; /* what it leaves behind, for people ... */
    size_t told;      /* ... and as much of it as was known before the revision went */
} descent;

/* ---- reading what was applied ------------------------------------------------------------------------------------ */

static pawl_status
fetch(pawl_migration *m, const char *id, pawl_passage *p, const char **body, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id)};
    pawl_status st;

    if ((st = pawl_pg_begin(m->pg, NULL, err)) != PAWL_OK ||
        (st = pawl_ledger_query(m->ledger, m->pg, pawl_sql_migrate_body, 1, args, &res, err)) != PAWL_OK ||
        (st = pawl_history_steps(m->ledger, m->pg, id, m->arena, &p->records, &p->nrecords, err)) !=
            PAWL_OK ||
        (st = pawl_pg_commit(m->pg, err)) != PAWL_OK)
    {
        pawl_pg_rollback(m->pg);
        return st;
    }
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "revision %s is not applied", id);
    *body = pawl_arena_strdup(m->arena, pawl_pg_text(res, 0, 0));
    return *body == NULL ? pawl_error_nomem(err, "the text of a revision") : PAWL_OK;
}

/* The files of today serve when they are those of then. */
static pawl_status
choose_root(descent *d, const char **root, pawl_error *err)
{
    pawl_migration *m = d->m;

    *root = m->project->settings.migrations;
    if (pawl_body_has_files(&d->body, *root))
        return PAWL_OK;
    pawl_status st = pawl_body_unpack(&d->body, m->arena, &d->unpacked, err);
    if (st == PAWL_OK)
        *root = d->unpacked;
    return st;
}

static pawl_status
parse_applied(descent *d, const char *id, const char *root, pawl_error *err)
{
    pawl_migration *m = d->m;
    const pawl_loaded *today = pawl_project_find(m->project, id);
    PAWL_AUTO(pawl_problems) problems = pawl_problems_new();
    pawl_revision *revision = NULL;
    const char *file = today != NULL
                           ? today->revision->file
                           : pawl_arena_fmt(m->arena, "%s/%s.yaml", m->project->settings.migrations, id);
    pawl_status st;

    if (problems == NULL || file == NULL)
        return pawl_error_nomem(err, "a revision");
    st = pawl_revision_parse(file, d->body.text, d->body.text_length, m->arena, problems, &revision, err);
    if (st == PAWL_OK && revision != NULL)
        st = pawl_loaded_read(revision, root, problems, m->arena, &d->loaded, err);
    if (st == PAWL_OK)
        st = pawl_problems_status(problems, err);
    if (st == PAWL_E_INPUT)
    {
        err->code = st = PAWL_E_STATE;
        pawl_error_prefix(err, "the text of revision %s in the ledger cannot be read by this version of pawl",
                          id);
    }
    return st;
}

/* ---- the plan ---------------------------------------------------------------------------------------------------- */

static bool
has_state(const pawl_applied_step *record, const char *state)
{
    return record != NULL && strcmp(record->state, state) == 0;
}

static bool
is_complete(const descent *d)
{
    for (size_t i = 0; i < d->loaded.nup; i++)
    {
        const pawl_applied_step *record = pawl_passage_record(&d->passage, "up", (int) i + 1);
        if (!has_state(record, "done") && !has_state(record, "skipped"))
            return false;
    }
    return true;
}

/* It has done what it does, if not to every row. */
static bool
is_through(const pawl_applied_step *record)
{
    return has_state(record, "done") || has_state(record, "findings");
}

static bool
has_done_step(const descent *d)
{
    for (size_t i = 0; i < d->loaded.nup; i++)
        if (is_through(pawl_passage_record(&d->passage, "up", (int) i + 1)))
            return true;
    return false;
}

static pawl_status
refuse(const descent *d, const pawl_step *step, int ordinal, pawl_error *err)
{
    const pawl_revision *r = d->loaded.revision;

    if (step == NULL)
    {
        pawl_error_set(err, PAWL_E_REFUSED, "revision %s cannot be reverted: it says `down: irreversible`",
                       r->id);
        return pawl_error_hint(err, "nothing was changed; choose a target that keeps it");
    }
    pawl_error_set(err, PAWL_E_REFUSED,
                   "step %d (%s) of revision %s cannot be reverted: it has no `down:` of its own", ordinal,
                   step->kind->name, r->id);
    pawl_error_place(err, step->entry->entry->file, step->entry->entry->line, step->entry->entry->column);
    if (is_complete(d))
        return pawl_error_hint(err, "nothing was changed; choose a target that keeps the revision");
    return pawl_error_hint(
        err,
        "nothing was changed; the revision is half applied, and its `down:` list serves complete "
        "revisions only: finish it with `pawl upgrade %s`, then downgrade",
        r->id);
}

static void
add_task(descent *d, const pawl_step *step, const char *info)
{
    pawl_task *task = &d->tasks[d->ntasks++];

    *task = (pawl_task){.step = step, .ordinal = (int) d->ntasks, .is_revert = info != NULL, .info = info};
}

/* How one step is undone. */
static pawl_status
plan_step(descent *d, int ordinal, pawl_error *err)
{
    const pawl_step *step = d->loaded.up[ordinal - 1];
    const pawl_applied_step *record = pawl_passage_record(&d->passage, "up", ordinal);

    if (record == NULL || has_state(record, "skipped"))
        return PAWL_OK;
    if (!is_through(record))
    {
        /* Its transaction was rolled back; only what runs outside of one can have left something. */
        if (!step->is_transactional && step->kind->revert != NULL)
            add_task(d, step, record->info);
        else if (!step->is_transactional)
            pawl_log_text(
                &d->m->options->sink, PAWL_EVENT_WARNING,
                "step %d (%s) of revision %s was begun and not finished: its `down` is not run, look at what "
                "it left behind",
                ordinal, step->kind->name, d->loaded.revision->id);
        return PAWL_OK;
    }

    if (step->entry->down == PAWL_DOWN_LIST)
    {
        for (size_t i = 0; i < step->ndown; i++)
            add_task(d, step->down[i], NULL);
        return PAWL_OK;
    }
    if (step->entry->down == PAWL_DOWN_NOTHING || (step->is_reversible && step->kind->revert == NULL))
        return PAWL_OK;
    if (!step->is_reversible)
        return refuse(d, step, ordinal, err);
    add_task(d, step, record->info);
    return PAWL_OK;
}

static pawl_status
plan(descent *d, pawl_error *err)
{
    const pawl_revision *r = d->loaded.revision;
    size_t room = d->loaded.ndown + d->loaded.nup;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < d->loaded.nup; i++)
        room += d->loaded.up[i]->ndown;
    d->tasks = pawl_arena_array(d->m->arena, room, sizeof *d->tasks);
    if (d->tasks == NULL)
        return pawl_error_nomem(err, "a plan");

    bool was_skipped = d->loaded.nup > 0 && is_complete(d) && !has_done_step(d);
    if (was_skipped)
        return PAWL_OK;
    if (r->down == PAWL_DOWN_IRREVERSIBLE && (is_complete(d) || has_done_step(d)))
        return refuse(d, NULL, 0, err);
    if (r->down == PAWL_DOWN_LIST && is_complete(d))
    {
        for (size_t i = 0; i < d->loaded.ndown; i++)
            add_task(d, d->loaded.down[i], NULL);
        return PAWL_OK;
    }
    if (r->down == PAWL_DOWN_NOTHING)
        return PAWL_OK;
    for (int ordinal = (int) d->loaded.nup; ordinal > 0 && st == PAWL_OK; ordinal--)
        st = plan_step(d, ordinal, err);
    return st;
}

static pawl_status
prepare(descent *d, pawl_migration *m, const char *id, pawl_error *err)
{
    const char *body = NULL;
    const char *root = NULL;
    pawl_status st;

    d->m = m;
    d->passage.direction = "down";
    pawl_strbuf_init(&d->left);
    if ((st = fetch(m, id, &d->passage, &body, err)) != PAWL_OK ||
        (st = pawl_body_read(body, m->arena, &d->body, err)) != PAWL_OK ||
        (st = choose_root(d, &root, err)) != PAWL_OK || (st = parse_applied(d, id, root, err)) != PAWL_OK)
        return st;
    d->passage.loaded = &d->loaded;
    st = plan(d, err);
    d->passage.total = (int32_t) d->ntasks;
    return st;
}

/* ---- the way down ------------------------------------------------------------------------------------------------ */

static pawl_status
work_begin(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const descent *d = ctx;

    return pawl_history_revert(run->ledger, run->pg, d->loaded.revision->id, err);
}

/* The jobs of the steps behind the `ordinal`th; 0: all. */
typedef struct behind
{
    descent *d;
    int ordinal;
    size_t told; /* of d->left, before: a transaction may be tried again */
} behind;

static pawl_status
work_take_down(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const behind *b = ctx;

    pawl_strbuf_truncate(&b->d->left, b->told);
    return pawl_left_take_down(run, b->d->loaded.revision->id, b->ordinal, &b->d->left, err);
}

static pawl_status
work_remove(pawl_step_run *run, void *ctx, pawl_error *err)
{
    descent *d = ctx;
    const char *id = d->loaded.revision->id;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id)};
    behind all = {.d = d, .told = d->told};
    pawl_status st = work_take_down(run, &all, err);

    if (st == PAWL_OK)
        st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_abandon, 1, args, NULL, err);

    if (st == PAWL_OK)
        st = pawl_history_remove(run->ledger, run->pg, id, err);
    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "reverted", id, 0,
                               d->left.length > 0 ? d->left.data : "", err);
    return st;
}

/* The records of an earlier way down count only when the revision is still on it. */
static bool
is_undone(const descent *d, const pawl_task *task)
{
    const char *id = d->loaded.revision->id;
    const pawl_applied *applied = pawl_migration_applied(d->m, id);
    const pawl_applied_step *record = pawl_passage_record(&d->passage, "down", task->ordinal);

    return applied != NULL && strcmp(applied->state, "reverting") == 0 &&
           (has_state(record, "done") || has_state(record, "skipped"));
}

/* The place in `up` of a step whose derived way back the task is; 0: it is none. */
static int
place_of(const descent *d, const pawl_task *task)
{
    for (size_t i = 0; task->is_revert && i < d->loaded.nup; i++)
        if (d->loaded.up[i] == task->step)
            return (int) i + 1;
    return 0;
}

/* Has a step behind the `ordinal`th a way back of its own, which knows nothing of the job that the step has? */
static bool
has_own_behind(const descent *d, int ordinal)
{
    for (size_t i = (size_t) ordinal; i < d->loaded.nup; i++)
        if (d->loaded.up[i]->kind->is_resumed && (d->loaded.up[i]->entry->down == PAWL_DOWN_LIST ||
                                                  d->loaded.up[i]->entry->down == PAWL_DOWN_NOTHING))
            return true;
    return false;
}

/* Triggers of steps that are through would keep columns from being dropped, or fail writes after a rename. */
static pawl_status
take_down_before(descent *d, const pawl_task *task, pawl_error *err)
{
    behind b = {.d = d, .ordinal = place_of(d, task), .told = d->left.length};

    if (b.ordinal == 0 || !has_own_behind(d, b.ordinal))
        return PAWL_OK;
    return pawl_migration_record(d->m, work_take_down, &b, err);
}

static pawl_status
run_tasks(descent *d, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < d->ntasks && st == PAWL_OK; i++)
    {
        if (is_undone(d, &d->tasks[i]))
            continue;
        if ((st = take_down_before(d, &d->tasks[i], err)) == PAWL_OK)
            st = pawl_migration_task(d->m, &d->passage, &d->tasks[i], err);
    }
    d->told = d->left.length;
    return st;
}

/* Before it is half reverted: from there is no way forward. */
static pawl_status
may_descend(const descent *d, pawl_error *err)
{
    const pawl_applied *applied = pawl_migration_applied(d->m, d->loaded.revision->id);
    pawl_status st = PAWL_OK;

    if (applied != NULL && strcmp(applied->state, "reverting") == 0)
        return PAWL_OK;
    for (size_t i = 0; i < d->ntasks && st == PAWL_OK; i++)
        st = pawl_migration_may_task(d->m, &d->passage, &d->tasks[i], err);
    /* Not behind steps of the user's own: nobody knows what they make of the rows. */
    for (size_t i = 0; i < d->ntasks && st == PAWL_OK && d->tasks[i].is_revert; i++)
        st = pawl_migration_look_ahead(d->m, &d->passage, &d->tasks[i], i == 0, err);
    return st;
}

static pawl_status
descend(descent *d, int32_t count, int32_t total, pawl_error *err)
{
    int64_t start_us = pawl_clock_us();
    pawl_event event = {.kind = PAWL_EVENT_REVISION_BEGIN,
                        .revision = d->loaded.revision->id,
                        .count = count,
                        .total = total,
                        .text = d->loaded.revision->description};
    pawl_status st;

    pawl_migration_emit(d->m, &event);
    if ((st = pawl_stop_check(d->m->options->stop, PAWL_STOP_FINISH, err)) != PAWL_OK ||
        (st = may_descend(d, err)) != PAWL_OK ||
        (st = pawl_migration_record(d->m, work_begin, d, err)) != PAWL_OK ||
        (st = run_tasks(d, err)) != PAWL_OK)
        return st;
    PAWL_FAILPOINT("downgrade.before_remove");
    st = pawl_migration_record(d->m, work_remove, d, err);
    if (st != PAWL_OK)
        return st;
    if (d->left.length > 0)
        pawl_log_text(&d->m->options->sink, PAWL_EVENT_INFO, "%s", d->left.data);

    event.kind = PAWL_EVENT_REVISION_END;
    event.elapsed_ms = (pawl_clock_us() - start_us) / 1000;
    pawl_migration_emit(d->m, &event);
    return PAWL_OK;
}

static pawl_status
walk(pawl_migration *m, const char *target, pawl_error *err)
{
    size_t *path = NULL;
    size_t count = 0;
    size_t ready = 0;
    pawl_status st = pawl_migration_load(m, true, err);

    if (st == PAWL_OK)
        st = pawl_graph_downgrade_path(m->graph, target, &path, &count, err);
    if (st != PAWL_OK)
        return st;

    pawl_squashed_note(m, target);
    /* "-2" means something else once one of the two is gone. */
    if (count > 0 && strchr(target, '-') != NULL)
    {
        const pawl_applied *last = pawl_migration_applied(m, pawl_graph_node(m->graph, path[count - 1])->id);
        m->go_on = last == NULL || last->nparents == 0 ? "base" : last->parents[0];
    }

    descent *plans = pawl_arena_array(m->arena, count, sizeof *plans);
    if (plans == NULL)
        return pawl_error_nomem(err, "a plan");
    for (; ready < count && st == PAWL_OK; ready++)
        st = prepare(&plans[ready], m, pawl_graph_node(m->graph, path[ready])->id, err);
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
        st = descend(&plans[i], (int32_t) i + 1, (int32_t) count, err);
    for (size_t i = 0; i < ready; i++)
    {
        pawl_strbuf_fini(&plans[i].left);
        if (plans[i].unpacked != NULL)
            pawl_body_remove(&plans[i].body, plans[i].unpacked);
    }
    return st;
}

pawl_status
pawl_downgrade(pawl_project *project, const char *target, const pawl_run_options *options, pawl_error *err)
{
    PAWL_AUTO(pawl_migration) m = NULL;
    PAWL_STRBUF_AUTO(doing);

    if (target == NULL || target[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "downgrade needs a target: a revision, -N or base");
    pawl_strbuf_addf(&doing, "downgrade %s", target);
    pawl_status st = pawl_migration_open(project, doing.data, options, &m, err);
    if (st == PAWL_OK)
        st = walk(m, target, err);
    if (st == PAWL_E_STOPPED)
        pawl_error_hint(err, "go on with: pawl downgrade %s",
                        m != NULL && m->go_on != NULL ? m->go_on : target);
    return st;
}
