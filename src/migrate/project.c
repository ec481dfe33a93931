#include "migrate/project.h"

#include <string.h>

#include "migrate/pairs.h"
#include "pawl_version_text.h"
#include "pg/session.h"
#include "util/alloc.h"
#include "util/strbuf.h"

#include "pawl/pawl.h"

#include "util/banned.h"

const char *
pawl_version(void)
{
    return PAWL_VERSION_TEXT;
}

size_t
pawl_step_kinds_count(void)
{
    size_t n = 0;

    while (pawl_step_kinds()[n].name != NULL)
        n++;
    return n;
}

pawl_step_kind_info
pawl_step_kind_info_at(size_t i)
{
    const pawl_step_kind *kind = &pawl_step_kinds()[i];

    return (pawl_step_kind_info){.name = kind->name,
                                 .help = kind->help,
                                 .sample = kind->sample,
                                 .has_derived_down = kind->has_derived_down};
}

static pawl_status
read_list(pawl_step_parse *ctx, pawl_step_entry *entries, size_t count, pawl_step ***out, pawl_error *err)
{
    pawl_step **steps = pawl_arena_array(ctx->arena, count, sizeof(pawl_step *));

    if (steps == NULL)
        return pawl_error_nomem(err, "the steps of a revision");
    for (size_t i = 0; i < count; i++)
    {
        pawl_status st = pawl_step_parse_entry(ctx, &entries[i], &steps[i], err);
        if (st != PAWL_OK)
            return st;
    }
    *out = steps;
    return PAWL_OK;
}

/* `down: auto` needs a way back from each step. */
static void
check_down(const pawl_loaded *loaded, pawl_problems *problems)
{
    if (loaded->revision->down != PAWL_DOWN_DERIVED)
        return;
    for (size_t i = 0; i < loaded->nup; i++)
    {
        const pawl_step *step = loaded->up[i];
        if (step == NULL || step->is_reversible)
            continue;

        const pawl_yaml *at = step->entry->entry;
        bool wants_was = step->kind->has_derived_down;
        pawl_problems_add(
            problems, at->file, at->line, at->column,
            wants_was ? "add `was: { type: ... }` to it, or a `down:` of its own (a list of steps, or "
                        "`nothing`), or `down: irreversible` to the revision"
                      : "give the step a `down:` of its own (a list of steps, or `nothing`), or the "
                        "revision a `down:` list or `down: irreversible`",
            "step \"%s\" has no way back that pawl could derive", step->kind->name);
    }
}

/* One transaction for all steps is possible only where each step can be in one. */
static void
check_atomic(const pawl_loaded *loaded, pawl_problems *problems)
{
    if (!loaded->revision->atomic)
        return;
    for (size_t i = 0; i < loaded->nup; i++)
    {
        if (loaded->up[i] == NULL || loaded->up[i]->is_transactional)
            continue;
        const pawl_yaml *at = loaded->up[i]->entry->entry;
        pawl_problems_add(
            problems, at->file, at->line, at->column, "take it out of the revision, or leave `atomic` out",
            "step \"%s\" cannot be part of an `atomic` revision: it does not run in one transaction",
            loaded->up[i]->kind->name);
    }
}

pawl_status
pawl_loaded_read(const pawl_revision *revision, const char *root, pawl_problems *problems, pawl_arena *arena,
                 pawl_loaded *out, pawl_error *err)
{
    pawl_step_parse ctx = {.root = root, .problems = problems, .arena = arena};
    pawl_loaded loaded = {
        .revision = revision, .nup = revision->nup, .ndown = revision->ndown, .root = root, .is_read = true};
    pawl_status st = read_list(&ctx, revision->up, revision->nup, &loaded.up, err);

    if (st == PAWL_OK)
        st = read_list(&ctx, revision->down_steps, revision->ndown, &loaded.down, err);
    if (st != PAWL_OK)
        return st;
    check_down(&loaded, problems);
    check_atomic(&loaded, problems);
    *out = loaded;
    return PAWL_OK;
}

/* The graph of the files; what is wrong with it goes to `problems`. */
static pawl_status
tie_files(pawl_project *p, pawl_problems *problems, pawl_error *err)
{
    pawl_status st = pawl_graph_new(&p->graph, err);

    for (size_t i = 0; i < p->nloaded && st == PAWL_OK; i++)
        st = pawl_graph_add(p->graph, p->loaded[i].revision, err);
    return st == PAWL_OK ? pawl_graph_link(p->graph, problems, err) : st;
}

static pawl_status
list_revisions(pawl_project *p, pawl_error *err)
{
    p->loaded = pawl_arena_array(p->arena, p->dir->length, sizeof *p->loaded);
    if (p->loaded == NULL)
        return pawl_error_nomem(err, "the revisions");
    for (size_t i = 0; i < p->dir->length; i++)
        p->loaded[i] = (pawl_loaded){.revision = p->dir->revisions[i], .root = p->settings.migrations};
    p->nloaded = p->dir->length;
    return PAWL_OK;
}

static pawl_status
read_one(pawl_project *p, size_t i, pawl_error *err)
{
    if (p->loaded[i].is_read)
        return PAWL_OK;
    return pawl_loaded_read(p->dir->revisions[i], p->settings.migrations, p->problems, p->arena,
                            &p->loaded[i], err);
}

static pawl_status
read_steps(pawl_project *p, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < p->nloaded && st == PAWL_OK; i++)
        st = read_one(p, i, err);
    p->is_whole = st == PAWL_OK;
    return st;
}

/*
 * With heads alone the graph is tied by what was scanned; where anything is wrong with them, everything is read, and the
 * graph is tied anew, because a problem wants its place in the file.
 */
static pawl_status
load_heads(pawl_project *p, pawl_error *err)
{
    PAWL_AUTO(pawl_problems) found = pawl_problems_new();
    pawl_status st;

    if (found == NULL)
        return pawl_error_nomem(err, "the problems of the files");
    if ((st = pawl_dir_load_heads(p->settings.migrations, p->problems, &p->dir, err)) != PAWL_OK ||
        (st = list_revisions(p, err)) != PAWL_OK || (st = tie_files(p, found, err)) != PAWL_OK)
        return st;
    if (pawl_problems_count(p->problems) + pawl_problems_count(found) == 0)
        return PAWL_OK;

    pawl_graph_free(p->graph);
    p->graph = NULL;
    if ((st = pawl_dir_complete(p->dir, p->problems, err)) != PAWL_OK ||
        (st = tie_files(p, p->problems, err)) != PAWL_OK)
        return st;
    return read_steps(p, err);
}

static pawl_status
load_revisions(pawl_project *p, pawl_error *err)
{
    pawl_status st;

    if ((st = pawl_dir_load(p->settings.migrations, p->problems, &p->dir, err)) != PAWL_OK ||
        (st = list_revisions(p, err)) != PAWL_OK || (st = read_steps(p, err)) != PAWL_OK ||
        (st = tie_files(p, p->problems, err)) != PAWL_OK)
        return st;
    return pawl_pairs_tie(p, err);
}

static pawl_status
copy_x(pawl_project *p, const pawl_project_options *options, pawl_error *err)
{
    p->x = pawl_arena_array(p->arena, options->nx, sizeof *p->x);
    if (p->x == NULL)
        return pawl_error_nomem(err, "the -x arguments");
    for (size_t i = 0; i < options->nx; i++)
    {
        p->x[i] = (pawl_lua_pair){.key = pawl_arena_strdup(p->arena, options->x[i].key),
                                  .value = pawl_arena_strdup(p->arena, options->x[i].value)};
        if (p->x[i].key == NULL || p->x[i].value == NULL)
            return pawl_error_nomem(err, "the -x arguments");
    }
    p->nx = options->nx;
    return PAWL_OK;
}

pawl_status
pawl_project_open(const pawl_project_options *options, pawl_project **out, pawl_error *err)
{
    PAWL_AUTO(pawl_project) p = pawl_calloc(1, sizeof *p);
    pawl_status st;

    if (p == NULL)
        return pawl_error_nomem(err, "the project");
    p->arena = pawl_arena_new();
    p->problems = pawl_problems_new();
    if (p->arena == NULL || p->problems == NULL)
        return pawl_error_nomem(err, "the project");

    if ((st = copy_x(p, options, err)) != PAWL_OK ||
        (st = pawl_settings_load(options, p->arena, p->problems, &p->settings, err)) != PAWL_OK ||
        (st = options->heads_only ? load_heads(p, err) : load_revisions(p, err)) != PAWL_OK)
        return st;
    pawl_problems_sort(p->problems);
    *out = p;
    p = NULL;
    return PAWL_OK;
}

void
pawl_project_close(pawl_project *p)
{
    if (p == NULL)
        return;
    pawl_graph_free(p->graph);
    pawl_dir_free(p->dir);
    pawl_problems_free(p->problems);
    pawl_arena_free(p->arena);
    pawl_free(p);
}

const char *
pawl_project_environment(const pawl_project *project, size_t i)
{
    return i < project->settings.nenvironments ? project->settings.environments[i] : NULL;
}

size_t
pawl_project_problems(const pawl_project *project)
{
    return pawl_problems_count(project->problems);
}

const pawl_problem *
pawl_project_problem(const pawl_project *project, size_t i)
{
    return pawl_problems_get(project->problems, i);
}

const pawl_loaded *
pawl_project_find(const pawl_project *project, const char *id)
{
    size_t node = pawl_graph_find(project->graph, id);
    const pawl_revision *revision =
        node == PAWL_NODE_NONE ? NULL : pawl_graph_node(project->graph, node)->revision;

    /* Ids are found ignoring case. */
    if (revision == NULL || strcmp(revision->id, id) != 0)
        return NULL;
    return &project->loaded[revision->index];
}

pawl_status
pawl_project_complete(pawl_project *project, pawl_error *err)
{
    pawl_status st;

    if (project->is_whole)
        return PAWL_OK;
    if ((st = pawl_dir_complete(project->dir, project->problems, err)) != PAWL_OK ||
        (st = read_steps(project, err)) != PAWL_OK || (st = pawl_pairs_tie(project, err)) != PAWL_OK)
        return st;
    pawl_problems_sort(project->problems);
    return PAWL_OK;
}

pawl_status
pawl_project_read(pawl_project *project, const pawl_loaded *loaded, pawl_error *err)
{
    size_t i = loaded->revision->index;
    pawl_status st =
        pawl_revision_complete(project->dir->revisions[i], project->dir->arena, project->problems, err);

    if (st == PAWL_OK)
        st = read_one(project, i, err);
    if (st != PAWL_OK)
        return st;
    pawl_problems_sort(project->problems);
    return pawl_problems_status(project->problems, err);
}

pawl_status
pawl_project_check(pawl_project *project, pawl_error *err)
{
    pawl_status st = pawl_project_complete(project, err);

    return st != PAWL_OK ? st : pawl_problems_status(project->problems, err);
}

pawl_status
pawl_project_conninfo(const pawl_project *project, pawl_arena *arena, const char **out, pawl_error *err)
{
    return pawl_settings_expand(project->settings.database, "database", arena, out, err);
}

pawl_status
pawl_project_direct(const pawl_project *project, pawl_arena *arena, const char **out, pawl_error *err)
{
    if (project->settings.direct_database[0] == '\0')
    {
        *out = NULL;
        return PAWL_OK;
    }
    return pawl_settings_expand(project->settings.direct_database, "direct_database", arena, out, err);
}

pawl_status
pawl_project_secrets(const pawl_project *project, pawl_arena *arena, pawl_lua_pair **out, size_t *count,
                     pawl_error *err)
{
    const pawl_settings *s = &project->settings;
    pawl_lua_pair *pairs = pawl_arena_array(arena, s->nsecrets, sizeof *pairs);

    if (pairs == NULL)
        return pawl_error_nomem(err, "the secrets");
    for (size_t i = 0; i < s->nsecrets; i++)
    {
        PAWL_STRBUF_AUTO(reference);
        pawl_strbuf_addf(&reference, "${%s}", s->secrets[i]);
        if (!pawl_strbuf_is_ok(&reference))
            return pawl_error_nomem(err, "the secrets");
        pairs[i].key = s->secrets[i];
        pawl_status st = pawl_settings_expand(reference.data, "secrets", arena, &pairs[i].value, err);
        if (st != PAWL_OK)
            return st;
    }
    *out = pairs;
    *count = s->nsecrets;
    return PAWL_OK;
}

/* `pooler` is said of `database`, not of `direct_database`. */
static pawl_status
find_pooler(const pawl_project *project, const char *conninfo, bool *is_pooled, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    const char *usual = NULL;
    pawl_status st;

    *is_pooled = false;
    if (!pawl_settings_has_pooler(&project->settings))
        return PAWL_OK;
    if (arena == NULL)
        return pawl_error_nomem(err, "a connection");
    st = pawl_project_conninfo(project, arena, &usual, err);
    *is_pooled = st == PAWL_OK && strcmp(conninfo, usual) == 0;
    return st;
}

static pawl_status
refuse_pooler(const pawl_project *project, const pawl_pg *pg, pawl_error *err)
{
    if (strcmp(project->settings.pooler, "none") != 0 || !pawl_pg_is_pooled(pg))
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "%s is behind a pooler in transaction mode, and the settings say `pooler: none`",
                          pawl_pg_target(pg));
    return pawl_error_hint(err, "give the server's own address under `database`, or say `pooler: auto`");
}

pawl_status
pawl_project_connect(const pawl_project *project, const char *conninfo, bool read_only, const pawl_stop *stop,
                     pawl_pg **out, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    bool is_pooled = false;
    pawl_status st = find_pooler(project, conninfo, &is_pooled, err);

    if (st != PAWL_OK)
        return st;

    pawl_pg_options options = {.conninfo = conninfo,
                               .is_pooled = is_pooled,
                               .stop = stop,
                               .connect_timeout_ms = project->settings.connect_timeout_ms,
                               .read_only_ok = read_only};

    if ((st = pawl_pg_open(&options, &pg, err)) != PAWL_OK ||
        (st = refuse_pooler(project, pg, err)) != PAWL_OK)
        return st;
    *out = pg;
    pg = NULL;
    return PAWL_OK;
}
