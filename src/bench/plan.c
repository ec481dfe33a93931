#include "bench/plan.h"

#include <string.h>

#include "backfill/run.h"
#include "migrate/look.h"
#include "pg/txn.h"
#include "util/alloc.h"

#include "util/banned.h"

void
pawl_bench_plan_free(pawl_bench_plan *plan)
{
    if (plan == NULL)
        return;
    pawl_arena_free(plan->arena);
    pawl_free(plan);
}

/* ---- which step -------------------------------------------------------------------------------------------------- */

static pawl_status
several_steps(const pawl_bench_plan *plan, int count, pawl_error *err)
{
    if (count == 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "revision %s has no backfill to measure", plan->revision);
        return pawl_error_place(err, plan->loaded->revision->file, 0, 0);
    }
    (void) pawl_error_set(err, PAWL_E_USAGE, "revision %s has %d backfills", plan->revision, count);
    return pawl_error_hint(err, "name one with --step; steps count from 1");
}

static pawl_status
choose_step(pawl_bench_plan *plan, int32_t wanted, pawl_error *err)
{
    const pawl_loaded *loaded = plan->loaded;
    int count = 0;

    if (wanted > 0 && (size_t) wanted > loaded->nup)
        return pawl_error_set(err, PAWL_E_USAGE, "revision %s has no step %d: it has %zu", plan->revision,
                              (int) wanted, loaded->nup);
    if (wanted > 0 && !pawl_step_is_backfill(loaded->up[wanted - 1]))
        return pawl_error_set(err, PAWL_E_USAGE, "step %d of revision %s is no backfill but a %s",
                              (int) wanted, plan->revision, loaded->up[wanted - 1]->kind->name);
    plan->ordinal = wanted;
    for (size_t i = 0; i < loaded->nup && wanted == 0; i++)
    {
        if (!pawl_step_is_backfill(loaded->up[i]))
            continue;
        plan->ordinal = (int32_t) i + 1;
        count++;
    }
    return wanted > 0 || count == 1 ? PAWL_OK : several_steps(plan, count, err);
}

static pawl_status
find_revision(pawl_bench_plan *plan, const char *name, pawl_error *err)
{
    pawl_project *p = plan->project;
    size_t node = 0;
    pawl_status st = pawl_graph_resolve(p->graph, name, &node, err);

    if (st != PAWL_OK)
        return st;
    plan->loaded = pawl_project_find(p, pawl_graph_node(p->graph, node)->id);
    if (plan->loaded == NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "revision %s has no file", name);
    plan->revision = pawl_arena_strdup(plan->arena, plan->loaded->revision->id);
    return plan->revision == NULL ? pawl_error_nomem(err, "a benchmark") : PAWL_OK;
}

static pawl_status
fill_env(pawl_bench_plan *plan, pawl_error *err)
{
    pawl_project *p = plan->project;
    const pawl_settings *s = &p->settings;
    const char *own = plan->loaded->revision->search_path;
    pawl_lua_pair *secrets = NULL;
    size_t nsecrets = 0;
    const char *direct = NULL;
    pawl_status st;

    if ((st = pawl_project_conninfo(p, plan->arena, &plan->conninfo, err)) != PAWL_OK ||
        (st = pawl_project_direct(p, plan->arena, &direct, err)) != PAWL_OK ||
        (st = pawl_project_secrets(p, plan->arena, &secrets, &nsecrets, err)) != PAWL_OK)
        return st;
    plan->env =
        (pawl_backfill_env){.conninfo = plan->conninfo, /* as the step itself, through a pooler or not */
                            .is_pooled = pawl_settings_has_pooler(&p->settings),
                            .search_path = own != NULL ? own : s->search_path,
                            .lua_root = plan->loaded->root,
                            .x = p->x,
                            .nx = p->nx,
                            .secrets = secrets,
                            .nsecrets = nsecrets,
                            .lock_timeout_ms = s->lock_timeout_ms,
                            .lock_attempts = s->lock_attempts,
                            .connect_timeout_ms = s->connect_timeout_ms,
                            .lease_ms = s->lease_ms,
                            .stop = plan->options->stop};
    if (direct != NULL)
        plan->conninfo = direct;
    return PAWL_OK;
}

pawl_status
pawl_bench_plan_new(pawl_project *project, const pawl_bench_options *what, const pawl_run_options *options,
                    pawl_bench_plan **out, pawl_error *err)
{
    PAWL_AUTO(pawl_bench_plan) plan = pawl_calloc(1, sizeof *plan);
    pawl_status st;

    if (plan == NULL || (plan->arena = pawl_arena_new()) == NULL)
        return pawl_error_nomem(err, "a benchmark");
    plan->project = project;
    plan->options = options;
    if ((st = pawl_project_check(project, err)) != PAWL_OK ||
        (st = find_revision(plan, what->revision, err)) != PAWL_OK ||
        (st = choose_step(plan, what->step, err)) != PAWL_OK || (st = fill_env(plan, err)) != PAWL_OK)
        return st;
    pawl_step_backfill_spec(plan->loaded->up[plan->ordinal - 1], &project->settings, &plan->spec);
    if (plan->spec.into != NULL)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "step %d of revision %s writes into \"%s\": only backfills that write in place "
                              "can be measured on a copied sample",
                              (int) plan->ordinal, plan->revision, plan->spec.into);
        return pawl_error_hint(err,
                               "leave the batch size to `batch: auto`, which follows the time a batch takes");
    }
    *out = plan;
    plan = NULL;
    return PAWL_OK;
}

/* ---- columns ----------------------------------------------------------------------------------------------------- */

static const char *
scalar(const pawl_yaml *body, const char *key)
{
    const pawl_yaml *node = body->kind == PAWL_YAML_MAPPING ? pawl_yaml_get(body, key) : NULL;

    return node != NULL && node->kind == PAWL_YAML_SCALAR ? node->text : NULL;
}

/* The `add_column` of this column among the first `end` steps of a revision, or NULL. */
static const pawl_yaml *
find_adding(const pawl_loaded *loaded, size_t end, const char *column)
{
    for (size_t i = 0; i < end; i++)
    {
        const pawl_step_entry *entry = loaded->up[i] == NULL ? NULL : loaded->up[i]->entry;
        const char *name =
            entry == NULL || strcmp(entry->kind, "add_column") != 0 ? NULL : scalar(entry->body, "column");

        if (name != NULL && strcmp(name, column) == 0)
            return entry->body;
    }
    return NULL;
}

/* Is the table that a step names ours? Inside a transaction. */
static bool
is_same_table(pawl_bench_plan *plan, pawl_pg *pg, const char *name)
{
    pawl_table *other = NULL;
    pawl_error ignored = PAWL_ERROR_INIT;

    return name != NULL &&
           pawl_table_load(pg, name, plan->env.search_path, plan->arena, &other, &ignored) == PAWL_OK &&
           other->oid == plan->table->oid;
}

/* What is not applied and comes before the revision: the one that adds the column, else the first. NULL: nothing. */
static const char *
find_pending(pawl_bench_plan *plan, const char *column, bool *adds)
{
    PAWL_AUTO(pawl_look) look = NULL;
    pawl_error ignored = PAWL_ERROR_INIT;
    const char *first = NULL;
    size_t *path = NULL;
    size_t count = 0;

    if (pawl_look_open(plan->project, true, plan->options, &look, &ignored) != PAWL_OK ||
        pawl_graph_upgrade_path(look->graph, plan->revision, &path, &count, &ignored) != PAWL_OK)
        return NULL;
    for (size_t i = 0; i < count; i++)
    {
        const char *id = pawl_graph_node(look->graph, path[i])->id;
        const pawl_loaded *loaded =
            strcmp(id, plan->revision) == 0 ? NULL : pawl_project_find(plan->project, id);

        if (loaded == NULL)
            continue;
        *adds = column != NULL && find_adding(loaded, loaded->nup, column) != NULL;
        if (*adds)
            return loaded->revision->id;
        first = first == NULL ? loaded->revision->id : first;
    }
    return first;
}

static pawl_status
hint_missing(pawl_bench_plan *plan, const char *column, pawl_error *err)
{
    bool adds = false;
    const char *pending = find_pending(plan, column, &adds);

    if (pending != NULL)
        return pawl_error_hint(err, "revision %s%s is not applied: pawl upgrade %s", pending,
                               adds ? ", which adds it," : ", which comes before,", pending);
    if (plan->ordinal > 1)
        return pawl_error_hint(
            err, "if a step before the backfill makes it, put that step into a revision of its own and "
                 "apply that first (only what `add_column` adds is made up for)");
    return err->code;
}

static pawl_status
missing_column(pawl_bench_plan *plan, const char *column, pawl_error *err)
{
    const char *nearest = pawl_table_nearest(plan->table, column);

    (void) pawl_error_set(err, PAWL_E_STATE,
                          "table \"%s.%s\" has no column \"%s\", which the backfill of revision %s needs",
                          plan->table->schema, plan->table->name, column, plan->revision);
    if (nearest != NULL)
        (void) pawl_error_detail(err, "the nearest name is \"%s\"", nearest);
    return hint_missing(plan, column, err);
}

/* Note the column for the copy when a step of this revision adds it. */
static pawl_status
check_column(pawl_bench_plan *plan, pawl_pg *pg, const char *name, const char **missing, pawl_error *err)
{
    const pawl_yaml *body;

    if (*missing != NULL || pawl_table_column(plan->table, name) != NULL)
        return PAWL_OK;
    for (size_t i = 0; i < plan->nadded; i++)
        if (strcmp(plan->added[i].name, name) == 0)
            return PAWL_OK;
    body = find_adding(plan->loaded, (size_t) plan->ordinal - 1, name);
    if (body == NULL || scalar(body, "type") == NULL || !is_same_table(plan, pg, scalar(body, "table")))
    {
        *missing = name;
        return PAWL_OK;
    }
    plan->added[plan->nadded++] = (pawl_scratch_column){
        .name = name, .type = scalar(body, "type"), .expression = scalar(body, "default")};
    return pawl_pg_is_usable(pg) ? PAWL_OK : pawl_error_set(err, PAWL_E_CONNECT, "the connection is gone");
}

static pawl_status
check_columns(pawl_bench_plan *plan, pawl_pg *pg, const char **missing, pawl_error *err)
{
    const pawl_backfill_spec *spec = &plan->spec;
    pawl_status st = PAWL_OK;

    plan->added = pawl_arena_array(plan->arena, spec->nread + spec->nwrite + spec->nset, sizeof *plan->added);
    if (plan->added == NULL)
        return pawl_error_nomem(err, "a benchmark");
    for (size_t i = 0; i < spec->nread && st == PAWL_OK; i++)
        st = check_column(plan, pg, spec->read[i], missing, err);
    for (size_t i = 0; i < spec->nwrite && st == PAWL_OK; i++)
        st = check_column(plan, pg, spec->write[i], missing, err);
    for (size_t i = 0; i < spec->nset && st == PAWL_OK; i++)
        st = check_column(plan, pg, spec->set[i].column, missing, err);
    return st;
}

static pawl_status
look_up(pawl_bench_plan *plan, pawl_pg *pg, const char **missing, pawl_error *err)
{
    pawl_table *table = NULL;
    pawl_key *key = NULL;
    pawl_status st = pawl_table_load(pg, plan->spec.table, plan->env.search_path, plan->arena, &table, err);

    if (st != PAWL_OK)
        return st;
    plan->table = table;
    st = pawl_table_key(pg, table, plan->spec.key, plan->spec.nkey, plan->arena, &key, err);
    plan->key = key;
    return st == PAWL_OK ? check_columns(plan, pg, missing, err) : st;
}

/* The copy's indexes have other names and other oids: name the key's columns, so that it is the same key. */
static pawl_status
name_key(pawl_bench_plan *plan, pawl_error *err)
{
    const char **names = pawl_arena_array(plan->arena, (size_t) plan->key->ncolumns, sizeof(const char *));

    if (names == NULL)
        return pawl_error_nomem(err, "a benchmark");
    for (int i = 0; i < plan->key->ncolumns; i++)
        names[i] = plan->key->columns[i].column->name;
    plan->spec.key = names;
    plan->spec.nkey = (size_t) plan->key->ncolumns;
    return PAWL_OK;
}

pawl_status
pawl_bench_plan_check(pawl_bench_plan *plan, pawl_pg *pg, pawl_error *err)
{
    const char *missing = NULL;
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = look_up(plan, pg, &missing, err);
    pawl_pg_rollback(pg);
    if (st == PAWL_E_INPUT && plan->table == NULL)
        return hint_missing(plan, NULL, err);
    if (st != PAWL_OK)
        return st;
    if (missing != NULL)
        return missing_column(plan, missing, err);
    /* With columns that are only in the copy the same check comes with the first run; but what is no plain table is
     * refused for that here. */
    if ((plan->nadded == 0 || plan->table->kind != 'r') &&
        (st = pawl_backfill_check(&plan->spec, &plan->env, err)) != PAWL_OK)
        return st;
    return name_key(plan, err);
}
