#include "migrate/look.h"

#include <string.h>

#include "migrate/squashed.h"
#include "pg/txn.h"
#include "util/alloc.h"

#include "util/banned.h"

static pawl_status
read_applied(pawl_look *look, pawl_error *err)
{
    pawl_status st = pawl_ledger_version(look->ledger, look->pg, &look->ledger_version, err);

    if (st != PAWL_OK || look->ledger_version == 0)
        return st;
    if (look->ledger_version > PAWL_LEDGER_VERSION)
    {
        pawl_error_set(err, PAWL_E_REFUSED,
                       "the ledger in schema \"%s\" has version %d, and this pawl knows %d",
                       pawl_ledger_schema(look->ledger), look->ledger_version, PAWL_LEDGER_VERSION);
        return pawl_error_hint(err, "use the pawl that wrote it, or a newer one");
    }
    if ((st = pawl_pg_begin(look->pg, NULL, err)) != PAWL_OK ||
        (st = pawl_history_revisions(look->ledger, look->pg, false, look->arena, &look->applied,
                                     &look->napplied, err)) != PAWL_OK ||
        (st = pawl_pg_commit(look->pg, err)) != PAWL_OK)
        pawl_pg_rollback(look->pg);
    return st;
}

static pawl_status
index_applied(pawl_look *look, pawl_error *err)
{
    for (size_t i = 0; i < look->napplied; i++)
        if (!pawl_names_can_put(&look->applied_ids, look->applied[i].id, i))
            return pawl_error_nomem(err, "the history");
    return PAWL_OK;
}

static pawl_status
ask(pawl_look *look, const pawl_run_options *options, pawl_error *err)
{
    const char *conninfo = NULL;
    pawl_status st;

    if ((st = pawl_project_conninfo(look->project, look->arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(look->project->settings.schema, &look->ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(look->project, conninfo, true, options == NULL ? NULL : options->stop,
                                   &look->pg, err)) != PAWL_OK)
        return st;
    look->target = pawl_arena_strdup(look->arena, pawl_pg_target(look->pg));
    if (look->target == NULL)
        return pawl_error_nomem(err, "the name of the database");
    st = read_applied(look, err);
    if (st == PAWL_OK)
        st = pawl_squashed_fold(look->project, look->arena, &look->applied, &look->napplied, err);
    return st == PAWL_OK ? index_applied(look, err) : st;
}

static pawl_status
tie_graph(pawl_look *look, pawl_error *err)
{
    PAWL_AUTO(pawl_problems) ignored = NULL;
    pawl_status st;

    if (look->napplied == 0)
    {
        look->graph = look->project->graph;
        return PAWL_OK;
    }
    ignored = pawl_problems_new();
    look->is_graph_own = true;
    st = pawl_graph_new(&look->graph, err);
    if (ignored == NULL)
        return pawl_error_nomem(err, "the history");
    for (size_t i = 0; i < look->project->nloaded && st == PAWL_OK; i++)
        st = pawl_graph_add(look->graph, look->project->loaded[i].revision, err);
    for (size_t i = 0; i < look->napplied && st == PAWL_OK; i++)
    {
        /* The database stands at the last revision that is whole; one without a file must be shown all the same. */
        const pawl_applied *a = &look->applied[i];
        if (strcmp(a->state, "applied") == 0 || pawl_project_find(look->project, a->id) == NULL)
            st = pawl_graph_add_applied(look->graph, a->id, a->parents, a->nparents, err);
    }
    if (st == PAWL_OK)
        st = pawl_graph_link(look->graph, ignored, err);
    return st;
}

pawl_status
pawl_look_open(pawl_project *project, bool ask_database, const pawl_run_options *options, pawl_look **out,
               pawl_error *err)
{
    PAWL_AUTO(pawl_look) look = pawl_calloc(1, sizeof *look);
    pawl_status st = PAWL_OK;

    if (look == NULL || (look->arena = pawl_arena_new()) == NULL)
        return pawl_error_nomem(err, "the history");
    look->project = project;
    look->target = "";
    /* Heads alone were read: there was nothing wrong with them. */
    if (project->is_whole)
        st = pawl_project_check(project, err);
    if (st == PAWL_OK && ask_database)
        st = ask(look, options, err);
    if (st == PAWL_OK)
        st = tie_graph(look, err);
    if (st != PAWL_OK)
        return st;
    *out = look;
    look = NULL;
    return PAWL_OK;
}

void
pawl_look_close(pawl_look *look)
{
    if (look == NULL)
        return;
    if (look->is_graph_own)
        pawl_graph_free(look->graph);
    pawl_names_fini(&look->applied_ids);
    pawl_pg_close(look->pg);
    pawl_ledger_free(look->ledger);
    pawl_arena_free(look->arena);
    pawl_free(look);
}

const pawl_applied *
pawl_look_applied(const pawl_look *look, const char *id)
{
    size_t i = pawl_names_find(&look->applied_ids, id);

    return i == PAWL_NAMES_NONE || strcmp(look->applied[i].id, id) != 0 ? NULL : &look->applied[i];
}
