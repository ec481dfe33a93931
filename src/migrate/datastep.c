#include "migrate/datastep.h"

#include <string.h>

#include "util/banned.h"

static pawl_status
choose(pawl_datastep *d, int32_t wanted, pawl_error *err)
{
    const pawl_loaded *loaded = d->loaded;
    int count = 0;

    if (wanted < 0 || (wanted > 0 && (size_t) wanted > loaded->nup))
        return pawl_error_set(err, PAWL_E_USAGE, "revision %s has no step %d: it has %zu", d->revision,
                              (int) wanted, loaded->nup);
    if (wanted > 0 && !pawl_step_is_backfill(loaded->up[wanted - 1]))
        return pawl_error_set(err, PAWL_E_USAGE, "step %d of revision %s is no backfill but a %s",
                              (int) wanted, d->revision, loaded->up[wanted - 1]->kind->name);
    d->ordinal = wanted;
    for (size_t i = 0; i < loaded->nup && wanted == 0; i++)
    {
        if (!pawl_step_is_backfill(loaded->up[i]))
            continue;
        d->ordinal = (int32_t) i + 1;
        count++;
    }
    if (wanted == 0 && count == 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "revision %s has no backfill", d->revision);
        return pawl_error_place(err, loaded->revision->file, 0, 0);
    }
    if (wanted == 0 && count > 1)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "revision %s has %d backfills", d->revision, count);
        return pawl_error_hint(err, "name one with --step; steps count from 1");
    }
    d->step = loaded->up[d->ordinal - 1];
    return PAWL_OK;
}

static pawl_status
find_revision(pawl_datastep *d, const char *target, size_t *node, pawl_error *err)
{
    pawl_project *p = d->project;
    pawl_status st = pawl_graph_resolve(p->graph, target, node, err);

    if (st != PAWL_OK)
        return st;
    d->loaded = pawl_project_find(p, pawl_graph_node(p->graph, *node)->id);
    if (d->loaded == NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "revision %s has no file", target);
    d->revision = d->loaded->revision->id;
    return PAWL_OK;
}

/* ---- columns that earlier steps add -------------------------------------------------------------------------------- */

static const char *
scalar(const pawl_yaml *body, const char *key)
{
    const pawl_yaml *node = body->kind == PAWL_YAML_MAPPING ? pawl_yaml_get(body, key) : NULL;

    return node != NULL && node->kind == PAWL_YAML_SCALAR ? node->text : NULL;
}

/* The add_column steps among the first `end` of a revision, the last first. */
static size_t
collect(const pawl_loaded *loaded, size_t end, pawl_backfill_promise *out)
{
    size_t count = 0;

    for (size_t i = end; i-- > 0;)
    {
        const pawl_step *step = loaded->up[i];
        pawl_backfill_promise promise = {0};

        if (step == NULL || strcmp(step->kind->name, "add_column") != 0)
            continue;
        promise.table = scalar(step->entry->body, "table");
        promise.column = scalar(step->entry->body, "column");
        promise.type = scalar(step->entry->body, "type");
        promise.expression = scalar(step->entry->body, "default");
        if (promise.table != NULL && promise.column != NULL && promise.type != NULL)
            out[count++] = promise;
    }
    return count;
}

/* Of this revision and of all before it, the nearest first. */
static pawl_status
fill_promised(pawl_datastep *d, size_t node, pawl_arena *arena, pawl_error *err)
{
    pawl_project *p = d->project;
    pawl_backfill_promise *promised;
    size_t *order = NULL;
    size_t count = 0;
    size_t most = 0;
    size_t n = 0;
    pawl_status st = pawl_graph_order(p->graph, &order, &count, err);

    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < p->nloaded; i++)
        most += p->loaded[i].nup;
    promised = pawl_arena_array(arena, most, sizeof *promised);
    if (promised == NULL)
        return pawl_error_nomem(err, "the steps of a project");
    n = collect(d->loaded, (size_t) d->ordinal - 1, promised);
    for (size_t i = count; i-- > 0;)
    {
        const pawl_loaded *loaded = pawl_project_find(p, pawl_graph_node(p->graph, order[i])->id);

        if (loaded != NULL && pawl_graph_is_ancestor(p->graph, order[i], node))
            n += collect(loaded, loaded->nup, promised + n);
    }
    d->spec.promised = promised;
    d->spec.npromised = n;
    return PAWL_OK;
}

static pawl_status
fill_env(pawl_datastep *d, const pawl_run_options *options, pawl_arena *arena, pawl_error *err)
{
    pawl_project *p = d->project;
    const pawl_settings *s = &p->settings;
    const char *own = d->loaded->revision->search_path;
    const char *conninfo = NULL;
    pawl_lua_pair *secrets = NULL;
    size_t nsecrets = 0;
    pawl_status st;

    if ((st = pawl_project_conninfo(p, arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_project_secrets(p, arena, &secrets, &nsecrets, err)) != PAWL_OK)
        return st;
    d->env = (pawl_backfill_env){.conninfo = conninfo,
                                 .is_pooled = pawl_settings_has_pooler(&p->settings),
                                 .schema = s->schema,
                                 .search_path = own != NULL ? own : s->search_path,
                                 .lua_root = d->loaded->root,
                                 .x = p->x,
                                 .nx = p->nx,
                                 .secrets = secrets,
                                 .nsecrets = nsecrets,
                                 .lock_timeout_ms = s->lock_timeout_ms,
                                 .lock_attempts = s->lock_attempts,
                                 .connect_timeout_ms = s->connect_timeout_ms,
                                 .lease_ms = s->lease_ms,
                                 .stop = options->stop,
                                 .sink = &options->sink};
    return PAWL_OK;
}

pawl_status
pawl_datastep_find(pawl_project *project, const char *target, int32_t ordinal,
                   const pawl_run_options *options, pawl_arena *arena, pawl_datastep *out, pawl_error *err)
{
    pawl_datastep d = {.project = project};
    size_t node = 0;
    pawl_status st;

    if ((st = pawl_project_check(project, err)) != PAWL_OK ||
        (st = find_revision(&d, target, &node, err)) != PAWL_OK ||
        (st = choose(&d, ordinal, err)) != PAWL_OK || (st = fill_env(&d, options, arena, err)) != PAWL_OK)
        return st;
    pawl_step_backfill_spec(d.step, &project->settings, &d.spec);
    if ((st = fill_promised(&d, node, arena, err)) != PAWL_OK)
        return st;
    *out = d;
    return PAWL_OK;
}
