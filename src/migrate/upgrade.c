#include <string.h>

#include "core/log.h"
#include "migrate/body.h"
#include "migrate/mirror.h"
#include "migrate/run.h"
#include "migrate/squashed.h"
#include "migrate/waiting.h"
#include "pawl_sql.h"
#include "util/clock.h"
#include "util/failpoint.h"

#include "util/banned.h"

enum
{
    MIRROR_BUDGET_MS = 30000
};

/* A revision on its way up. */
typedef struct ascent
{
    pawl_migration *m;
    pawl_passage passage;
    const char *body;
    char checksum[PAWL_DIGEST_HEX];
    int64_t start_us;
} ascent;

/* What a person types to get rid of a revision: the way down to its parent. */
static const char *
way_down(const pawl_applied *a)
{
    return a->nparents == 0 ? "base" : a->parents[0];
}

static pawl_status
half_way(const pawl_applied *a, pawl_error *err)
{
    if (strcmp(a->state, "reverting") == 0)
    {
        pawl_error_set(err, PAWL_E_STATE, "revision %s is half reverted", a->id);
        return pawl_error_hint(err, "finish that first: pawl downgrade %s", way_down(a));
    }
    pawl_error_set(err, PAWL_E_STATE,
                   "revision %s is half applied, and no other can be applied before it is finished", a->id);
    return pawl_error_hint(err, "finish it with `pawl upgrade %s`, or take it back with `pawl downgrade %s`",
                           a->id, way_down(a));
}

/* Move a revision to the front of the path; false when it is not on it. */
static bool
can_go_first(const pawl_graph *g, size_t *path, size_t count, const char *id)
{
    size_t at = 0;

    while (at < count && strcmp(pawl_graph_node(g, path[at])->id, id) != 0)
        at++;
    if (at == count)
        return false;

    size_t node = path[at];
    memmove(path + 1, path, at * sizeof *path);
    path[0] = node;
    return true;
}

/* What is half applied is finished before anything else begins: all that it needs is applied, or it had not begun. */
static pawl_status
put_half_first(const pawl_migration *m, size_t *path, size_t count, pawl_error *err)
{
    for (size_t i = 0; i < m->napplied; i++)
    {
        const pawl_applied *a = &m->applied[i];

        if (strcmp(a->state, "applied") == 0)
            continue;
        if (strcmp(a->state, "applying") != 0 || !can_go_first(m->graph, path, count, a->id))
            return half_way(a, err);
    }
    return PAWL_OK;
}

/* ---- going on where another run ended ---------------------------------------------------------------------------- */

static bool
is_finished(const pawl_applied_step *record)
{
    return record != NULL && (strcmp(record->state, "done") == 0 || strcmp(record->state, "skipped") == 0);
}

static pawl_status
changed(const ascent *a, int ordinal, const char *what, pawl_error *err)
{
    const pawl_applied *applied = pawl_migration_applied(a->m, a->passage.loaded->revision->id);

    pawl_error_set(err, PAWL_E_STATE, "step %d of revision %s %s", ordinal, applied->id, what);
    pawl_error_place(err, a->passage.loaded->revision->file, 0, 0);
    return pawl_error_hint(
        err,
        "put it back as it was (the ledger keeps the text that was applied: %s.revision.body), "
        "or take the revision back with `pawl downgrade %s`",
        a->m->project->settings.schema, way_down(applied));
}

typedef struct change
{
    const ascent *a;
    const char *was;
    const pawl_step *step;
    int ordinal;
} change;

static pawl_status
work_note_change(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const change *c = ctx;
    PAWL_STRBUF_AUTO(detail);

    pawl_strbuf_addf(&detail, "step %d: %s, now %s", c->ordinal, c->was, c->step->checksum);
    if (!pawl_strbuf_is_ok(&detail))
        return pawl_error_nomem(err, "an event");
    return pawl_ledger_event(run->ledger, run->pg, "step_changed", c->a->passage.loaded->revision->id, 0,
                             detail.data, err);
}

/* A step whose job was abandoned is bound to nothing. */
static bool
is_released(const pawl_applied_step *record)
{
    return strcmp(record->state, "failed") == 0 && strstr(record->info, "\"abandoned\"") != NULL;
}

/* Is there nothing to go on with? Then all of the step may have changed. */
static bool
is_free(const pawl_step_kind *was, const pawl_applied_step *record)
{
    return was == NULL || !was->is_resumed || is_released(record) || !record->is_begun;
}

/* The open step: what may have changed of it depends on what it has left behind. */
static pawl_status
check_open(ascent *a, const pawl_step *step, const pawl_applied_step *record, pawl_error *err)
{
    const pawl_step_kind *was = pawl_step_kind_find(record->kind);
    change c = {.a = a, .was = record->checksum, .step = step, .ordinal = record->ordinal};

    if (strcmp(step->checksum, record->checksum) == 0)
        return PAWL_OK;
    if (!is_free(was, record) && (step->kind != was || strstr(record->info, step->frozen) == NULL))
        return changed(a, record->ordinal,
                       "has begun its work and was changed since: only its Lua and its pace may change", err);
    return pawl_migration_record(a->m, work_note_change, &c, err);
}

static pawl_status
check_records(ascent *a, pawl_error *err)
{
    const pawl_loaded *l = a->passage.loaded;

    for (size_t i = 0; i < a->passage.nrecords; i++)
    {
        const pawl_applied_step *record = &a->passage.records[i];
        pawl_status st = PAWL_OK;

        if (strcmp(record->direction, "up") != 0)
            continue;
        if (record->ordinal > (int) l->nup && is_released(record))
            continue;
        if (record->ordinal > (int) l->nup)
            return changed(a, record->ordinal, "was begun and is no longer in its file", err);

        const pawl_step *step = l->up[record->ordinal - 1];
        if (!is_finished(record))
            st = check_open(a, step, record, err);
        else if (strcmp(step->checksum, record->checksum) != 0)
            st = changed(a, record->ordinal, "is done and was changed since", err);
        if (st != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

/* ---- one revision ------------------------------------------------------------------------------------------------ */

static pawl_status
work_begin(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const ascent *a = ctx;
    const pawl_revision *r = a->passage.loaded->revision;
    const pawl_applied row = {.id = r->id,
                              .parents = r->parents,
                              .nparents = r->nparents,
                              .depends_on = r->depends_on,
                              .ndepends_on = r->ndepends_on,
                              .description = r->description,
                              .body = a->body,
                              .checksum = a->checksum};
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(r->id), PAWL_ARG_TEXT(a->body), PAWL_ARG_TEXT(a->checksum)};
    pawl_status st = pawl_history_begin(run->ledger, run->pg, &row, err);

    if (st == PAWL_OK)
        st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_adopt, 3, args, NULL, err);
    return st;
}

static pawl_status
work_finish(pawl_step_run *run, void *ctx, pawl_error *err)
{
    const ascent *a = ctx;
    const char *id = a->passage.loaded->revision->id;
    int64_t elapsed_ms = (pawl_clock_us() - a->start_us) / 1000;
    pawl_status st = pawl_history_finish(run->ledger, run->pg, id, a->body, a->checksum, elapsed_ms, err);

    if (st == PAWL_OK)
        st = pawl_ledger_event(run->ledger, run->pg, "applied", id, 0, "", err);
    return st;
}

static pawl_status
read_records(pawl_migration *m, pawl_passage *p, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(m->pg, NULL, err);

    if (st == PAWL_OK)
        st = pawl_history_steps(m->ledger, m->pg, p->loaded->revision->id, m->arena, &p->records,
                                &p->nrecords, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(m->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(m->pg);
    return st;
}

/* What is left to do of the revision. */
static pawl_status
list_tasks(const ascent *a, pawl_task **out, size_t *count, pawl_error *err)
{
    const pawl_loaded *l = a->passage.loaded;
    pawl_task *tasks = pawl_arena_array(a->m->arena, l->nup, sizeof *tasks);
    size_t n = 0;

    if (tasks == NULL)
        return pawl_error_nomem(err, "the steps of a revision");
    for (size_t i = 0; i < l->nup; i++)
        if (!is_finished(pawl_passage_record(&a->passage, "up", (int) i + 1)))
            tasks[n++] = (pawl_task){.step = l->up[i], .ordinal = (int) i + 1};
    *out = tasks;
    *count = n;
    return PAWL_OK;
}

static pawl_status
run_tasks(ascent *a, pawl_error *err)
{
    const pawl_revision *r = a->passage.loaded->revision;
    pawl_migration *m = a->m;
    pawl_task *tasks = NULL;
    size_t count = 0;
    bool is_wanted = true;
    pawl_status st = list_tasks(a, &tasks, &count, err);

    if (st == PAWL_OK && r->when != NULL)
    {
        st = pawl_lua_when(r->when, m->project->x, m->project->nx, &is_wanted, err);
        if (st != PAWL_OK)
            pawl_error_prefix(err, "revision %s, `when: %s`", r->id, r->when);
    }
    if (st != PAWL_OK)
        return st;

    if (r->atomic && is_wanted && count > 0)
        return pawl_migration_atomic(m, &a->passage, tasks, count, work_finish, a, err);
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
        st = is_wanted ? pawl_migration_task(m, &a->passage, &tasks[i], err)
                       : pawl_migration_skip(m, &a->passage, &tasks[i],
                                             "the revision's `when:` leaves it out", err);
    return st == PAWL_OK ? pawl_migration_record(m, work_finish, a, err) : st;
}

static pawl_status
ascend(pawl_migration *m, const pawl_loaded *loaded, int32_t count, int32_t total, pawl_error *err)
{
    ascent a = {.m = m,
                .passage = {.loaded = loaded, .direction = "up", .total = (int32_t) loaded->nup},
                .start_us = pawl_clock_us()};
    pawl_event event = {.kind = PAWL_EVENT_REVISION_BEGIN,
                        .revision = loaded->revision->id,
                        .count = count,
                        .total = total,
                        .text = loaded->revision->description};
    pawl_status st;

    pawl_migration_emit(m, &event);
    if ((st = pawl_body_write(loaded, m->arena, &a.body, a.checksum, err)) != PAWL_OK ||
        (st = read_records(m, &a.passage, err)) != PAWL_OK || (st = check_records(&a, err)) != PAWL_OK ||
        (st = pawl_migration_record(m, work_begin, &a, err)) != PAWL_OK ||
        (st = run_tasks(&a, err)) != PAWL_OK)
        return st;

    PAWL_FAILPOINT("revision.after_finish");
    event.kind = PAWL_EVENT_REVISION_END;
    event.elapsed_ms = (pawl_clock_us() - a.start_us) / 1000;
    pawl_migration_emit(m, &event);
    return PAWL_OK;
}

static pawl_status
walk(pawl_migration *m, const char *target, pawl_error *err)
{
    size_t *path = NULL;
    size_t count = 0;
    pawl_status st;

    if ((st = pawl_migration_load(m, false, err)) != PAWL_OK || (st = pawl_waiting_look(m, err)) != PAWL_OK ||
        (st = pawl_graph_upgrade_path(m->graph, target, &path, &count, err)) != PAWL_OK)
        return st;
    pawl_squashed_note(m, target);
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        const pawl_revision *revision = pawl_graph_node(m->graph, path[i])->revision;
        if (revision != NULL)
            st = pawl_squashed_check(m, revision, err);
    }
    if (st != PAWL_OK)
        return st;
    if (count > 0 && strchr(target, '+') != NULL)
        m->go_on = pawl_graph_node(m->graph, path[count - 1])->id;
    st = put_half_first(m, path, count, err);
    if (st != PAWL_OK)
        return st;

    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        const pawl_loaded *loaded = pawl_project_find(m->project, pawl_graph_node(m->graph, path[i])->id);
        if (loaded == NULL)
            return pawl_error_set(err, PAWL_E_STATE, "revision %s has no file",
                                  pawl_graph_node(m->graph, path[i])->id);
        st = pawl_stop_check(m->options->stop, PAWL_STOP_FINISH, err);
        if (st == PAWL_OK)
            st = ascend(m, loaded, (int32_t) i + 1, (int32_t) count, err);
    }
    return st;
}

/* What was logged since the last time, while somebody is here: a log that grows unseen ends the way back. */
static pawl_status
tend_mirrors(pawl_migration *m, pawl_error *err)
{
    const pawl_mirror_env env = {.project = m->project,
                                 .options = m->options,
                                 .arena = m->arena,
                                 .pg = m->pg,
                                 .ledger = m->ledger,
                                 .budget_ms = MIRROR_BUDGET_MS};

    return pawl_mirror_tend_all(&env, err);
}

pawl_status
pawl_upgrade(pawl_project *project, const char *target, const pawl_run_options *options, pawl_error *err)
{
    const char *to = target == NULL ? "head" : target;
    PAWL_AUTO(pawl_migration) m = NULL;
    PAWL_STRBUF_AUTO(doing);

    pawl_strbuf_addf(&doing, "upgrade %s", to);
    pawl_status st = pawl_migration_open(project, doing.data, options, &m, err);
    if (st == PAWL_OK)
        st = walk(m, to, err);
    if (st == PAWL_OK)
        st = tend_mirrors(m, err);
    if (st == PAWL_E_STOPPED)
        pawl_error_hint(err, "go on with: pawl upgrade %s", m != NULL && m->go_on != NULL ? m->go_on : to);
    return st;
}
