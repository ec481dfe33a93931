#include "migrate/run.h"

#include <string.h>

#include "core/log.h"
#include "migrate/squashed.h"
#include "pg/txn.h"
#include "util/alloc.h"

#include "util/banned.h"

void
pawl_migration_emit(const pawl_migration *m, const pawl_event *event)
{
    pawl_log_emit(&m->options->sink, event);
}

static void
announce(const pawl_migration *m)
{
    const pawl_settings *s = &m->project->settings;
    pawl_event target = {.kind = PAWL_EVENT_TARGET, .text = pawl_pg_target(m->pg)};

    pawl_migration_emit(m, &target);
    if (s->has_environments && s->environment[0] == '\0')
        pawl_log_text(&m->options->sink, PAWL_EVENT_WARNING,
                      "%s has environments, and none was chosen: --env NAME, or PAWL_ENV", s->config_file);
}

static pawl_status
take_lease(pawl_migration *m, const char *doing, pawl_error *err)
{
    const pawl_settings *s = &m->project->settings;
    pawl_runner_options options = {.conninfo = m->conninfo,
                                   .is_pooled = pawl_settings_has_pooler(&m->project->settings),
                                   .schema = s->schema,
                                   .doing = doing,
                                   .lease_ms = s->lease_ms,
                                   .wait_ms = s->wait_ms,
                                   .stop = m->options->stop,
                                   .sink = &m->options->sink};

    return pawl_runner_acquire(m->ledger, m->pg, &options, &m->runner, err);
}

pawl_status
pawl_migration_open(pawl_project *project, const char *doing, const pawl_run_options *options,
                    pawl_migration **out, pawl_error *err)
{
    PAWL_AUTO(pawl_migration) m = pawl_calloc(1, sizeof *m);
    pawl_status st;

    if (m == NULL || (m->arena = pawl_arena_new()) == NULL)
        return pawl_error_nomem(err, "a run");
    m->project = project;
    m->options = options;
    if ((st = pawl_project_check(project, err)) != PAWL_OK ||
        (st = pawl_project_conninfo(project, m->arena, &m->conninfo, err)) != PAWL_OK ||
        (st = pawl_project_direct(project, m->arena, &m->direct, err)) != PAWL_OK ||
        (st = pawl_project_secrets(project, m->arena, &m->secrets, &m->nsecrets, err)) != PAWL_OK ||
        (st = pawl_ledger_new(project->settings.schema, &m->ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(project, m->conninfo, false, options->stop, &m->pg, err)) != PAWL_OK)
        return st;

    announce(m);
    if ((st = pawl_ledger_check_published(m->ledger, m->pg, project->settings.subscribers_ready, err)) !=
            PAWL_OK ||
        (st = pawl_ledger_ensure(m->ledger, m->pg, err)) != PAWL_OK ||
        (st = take_lease(m, doing, err)) != PAWL_OK)
        return st;
    *out = m;
    m = NULL;
    return PAWL_OK;
}

void
pawl_migration_close(pawl_migration *m)
{
    if (m == NULL)
        return;
    if (m->runner != NULL)
    {
        if (m->pg != NULL)
            pawl_pg_ignore_stop(m->pg);
        pawl_runner_release(m->runner, m->ledger, m->pg);
    }
    pawl_pg_close(m->pg);
    pawl_ledger_free(m->ledger);
    pawl_graph_free(m->graph);
    pawl_problems_free(m->problems);
    pawl_arena_free(m->arena);
    pawl_free(m);
}

static pawl_status
tie_graph(pawl_migration *m, bool has_half, pawl_error *err)
{
    const pawl_project *p = m->project;
    pawl_status st = pawl_graph_new(&m->graph, err);

    m->problems = pawl_problems_new();
    if (m->problems == NULL)
        return pawl_error_nomem(err, "the revisions");
    for (size_t i = 0; i < p->nloaded && st == PAWL_OK; i++)
        st = pawl_graph_add(m->graph, p->loaded[i].revision, err);
    for (size_t i = 0; i < m->napplied && st == PAWL_OK; i++)
    {
        const pawl_applied *a = &m->applied[i];
        /* One whose file is gone must be in the graph, or nothing could be said of it. */
        if (has_half || strcmp(a->state, "applied") == 0)
            st = pawl_graph_add_applied(m->graph, a->id, a->parents, a->nparents, err);
    }
    if (st == PAWL_OK)
        st = pawl_graph_link(m->graph, m->problems, err);
    return st;
}

pawl_status
pawl_migration_load(pawl_migration *m, bool has_half, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(m->pg, NULL, err);

    if (st == PAWL_OK)
        st = pawl_history_revisions(m->ledger, m->pg, false, m->arena, &m->applied, &m->napplied, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(m->pg, err);
    if (st != PAWL_OK)
    {
        pawl_pg_rollback(m->pg);
        return st;
    }
    if ((st = pawl_squashed_record(m, err)) != PAWL_OK ||
        (st = pawl_squashed_fold(m->project, m->arena, &m->applied, &m->napplied, err)) != PAWL_OK)
        return st;
    return tie_graph(m, has_half, err);
}

const pawl_applied *
pawl_migration_applied(const pawl_migration *m, const char *id)
{
    for (size_t i = 0; i < m->napplied; i++)
        if (strcmp(m->applied[i].id, id) == 0)
            return &m->applied[i];
    return NULL;
}

const pawl_applied_step *
pawl_passage_record(const pawl_passage *p, const char *direction, int ordinal)
{
    for (size_t i = 0; i < p->nrecords; i++)
        if (p->records[i].ordinal == ordinal && strcmp(p->records[i].direction, direction) == 0)
            return &p->records[i];
    return NULL;
}
