#include <ctype.h>
#include <errno.h>
#include <string.h>
#include <strings.h>

#include "migrate/project.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/rng.h"

#include "pawl/graph.h"

#include "util/banned.h"

#define ID_DIGITS   8
#define SLUG_LENGTH 40

static const char settings_template[] =
    "# Settings of pawl. Every key has a flag and an environment variable too: see `pawl help settings`.\n"
    "database: ${DATABASE_URL}      # any libpq conninfo or URI\n"
    "migrations: migrations\n"
    "# schema: pawl                 # where pawl keeps its own tables\n"
    "# lock_timeout: 500ms          # for each attempt at a strong lock\n"
    "# backfill: { workers: 2, batch: auto, target: 250ms, max_lag: 5s }\n"
    "# environments:\n"
    "#   production: { lock_timeout: 200ms }\n";

void
pawl_text_free(char *text)
{
    pawl_free(text);
}

static pawl_status
failed_io(pawl_error *err, const char *what, const char *path, int failed)
{
    char reason[128];

    pawl_file_strerror(failed, reason, sizeof reason);
    return pawl_error_set(err, PAWL_E_IO, "cannot %s \"%s\": %s", what, path, reason);
}

/* Create a directory unless it is there; what was made is listed. */
static pawl_status
init_directory(const char *path, pawl_strbuf *created, pawl_error *err)
{
    if (pawl_file_has(path))
        return PAWL_OK;

    int failed = pawl_file_mkdirs(path);
    if (failed != 0)
        return failed_io(err, "create the directory", path, failed);
    pawl_strbuf_addf(created, "%s/\n", path);
    return PAWL_OK;
}

pawl_status
pawl_init(const char *dir, char **created, pawl_error *err)
{
    PAWL_AUTO(pawl_str) config = pawl_file_join(dir, "pawl.yaml");
    PAWL_AUTO(pawl_str) migrations = pawl_file_join(dir, "migrations");
    PAWL_AUTO(pawl_str) transforms = pawl_file_join(dir, "migrations/transforms");
    PAWL_STRBUF_AUTO(list);
    pawl_status st;

    if (config == NULL || migrations == NULL || transforms == NULL)
        return pawl_error_nomem(err, "a path");
    if ((st = init_directory(migrations, &list, err)) != PAWL_OK ||
        (st = init_directory(transforms, &list, err)) != PAWL_OK)
        return st;

    int failed = pawl_file_create(config, settings_template);
    if (failed != 0 && failed != EEXIST)
        return failed_io(err, "create", config, failed);
    if (failed == 0)
        pawl_strbuf_addf(&list, "%s\n", config);
    if (list.length == 0 && pawl_strbuf_is_ok(&list))
    {
        pawl_error_set(err, PAWL_E_STATE, "there is a pawl project in \"%s\" already", dir);
        return pawl_error_hint(err, "write the first revision with `pawl revision -m TEXT`");
    }

    char *text = pawl_strbuf_take(&list);
    if (text == NULL)
        return pawl_error_nomem(err, "a list of files");
    *created = text;
    return PAWL_OK;
}

/* ---- a new revision ---------------------------------------------------------------------------------------------- */

/* Two ids of which one begins with the other could not both be typed as prefixes. */
static const char *
clashing_id(const pawl_graph *g, const char *id)
{
    for (size_t i = 0; i < pawl_graph_length(g); i++)
    {
        const char *other = pawl_graph_node(g, i)->id;
        size_t shorter = strlen(id) < strlen(other) ? strlen(id) : strlen(other);
        if (strncasecmp(id, other, shorter) == 0)
            return other;
    }
    return NULL;
}

static pawl_status
choose_id(const pawl_project *project, const char *wanted, char out[64], pawl_error *err)
{
    pawl_rng rng;

    if (wanted == NULL)
    {
        pawl_rng_init_random(&rng);
        do
            pawl_rng_hex(&rng, out, ID_DIGITS);
        while (clashing_id(project->graph, out) != NULL);
        return PAWL_OK;
    }
    if (!pawl_revision_is_id(wanted))
    {
        pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the id of a revision", wanted);
        return pawl_error_hint(
            err, "an id is 4 to 32 of A-Z, a-z, 0-9 and _, and not head, heads, base or current");
    }
    const char *clash = clashing_id(project->graph, wanted);
    if (clash != NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is too near to the id of revision \"%s\"", wanted,
                              clash);
    pawl_fmt(out, 64, "%s", wanted);
    return PAWL_OK;
}

static pawl_status
several_heads(const pawl_project *project, const size_t *heads, size_t count, pawl_error *err)
{
    PAWL_STRBUF_AUTO(list);

    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(&list, "%s%s", i == 0 ? "" : " ", pawl_graph_node(project->graph, heads[i])->id);
    pawl_error_set(err, PAWL_E_USAGE, "there are %zu heads: which one is the parent?", count);
    pawl_error_detail(err, "heads: %s", list.data);
    return pawl_error_hint(err, "name one with --head, or join them first: pawl merge %s -m \"merge heads\"",
                           list.data);
}

static pawl_status
refuse_inner(const pawl_node *node, bool is_merge, pawl_error *err)
{
    pawl_error_set(err, PAWL_E_USAGE, "revision %s is no head: other revisions follow it", node->id);
    if (is_merge)
        return pawl_error_hint(err, "a merge joins heads; `pawl heads` lists them");
    return pawl_error_hint(err,
                           "to begin a branch there: --head %s --splice; to go on at its end: --head %s@head",
                           node->id, node->id);
}

/* Nodes that the new revision is to follow; none for a base. */
typedef struct parents
{
    size_t *nodes;
    size_t count;
} parents;

static pawl_status
choose_parents(const pawl_project *project, const pawl_new_revision *what, parents *out, pawl_error *err)
{
    size_t *nodes = NULL;
    size_t count = 0;
    pawl_status st;

    if (what->parent != NULL && strcmp(what->parent, "base") == 0)
        return PAWL_OK;
    if (what->parent == NULL)
    {
        st = pawl_graph_heads(project->graph, &nodes, &count, err);
        if (st == PAWL_OK && count > 1)
            st = several_heads(project, nodes, count, err);
    }
    else
    {
        size_t node = 0;

        st = pawl_graph_resolve(project->graph, what->parent, &node, err);
        if (st == PAWL_OK)
            st = pawl_graph_resolve_all(project->graph, pawl_graph_node(project->graph, node)->id, &nodes,
                                        &count, err);
    }
    if (st != PAWL_OK)
        return st;
    if (!what->is_splice && count == 1 && pawl_graph_node(project->graph, nodes[0])->nchildren > 0)
        return refuse_inner(pawl_graph_node(project->graph, nodes[0]), false, err);
    *out = (parents){.nodes = nodes, .count = count};
    return PAWL_OK;
}

static void
add_slug(pawl_strbuf *b, const char *message)
{
    size_t start = b->length;
    bool is_gap = false;

    for (const char *c = message; *c != '\0' && b->length - start < SLUG_LENGTH; c++)
    {
        bool is_letter = isalnum((unsigned char) *c) != 0;
        if (is_letter && is_gap && b->length > start)
            pawl_strbuf_addc(b, '_');
        if (is_letter)
            pawl_strbuf_addc(b, (char) tolower((unsigned char) *c));
        is_gap = !is_letter;
    }
    if (b->length == start)
        pawl_strbuf_add(b, "revision");
}

/* As a double-quoted YAML scalar: every text fits into one. */
static void
add_quoted(pawl_strbuf *b, const char *text)
{
    pawl_strbuf_addc(b, '"');
    for (const char *c = text; *c != '\0'; c++)
    {
        if (*c == '"' || *c == '\\')
            pawl_strbuf_addf(b, "\\%c", *c);
        else if ((unsigned char) *c < ' ' || *c == 0x7f)
            pawl_strbuf_addf(b, "\\x%02X", (unsigned) (unsigned char) *c);
        else
            pawl_strbuf_addc(b, *c);
    }
    pawl_strbuf_addc(b, '"');
}

static pawl_status
choose_kind(const char *wanted, const pawl_step_kind **out, pawl_error *err)
{
    const pawl_step_kind *kind = pawl_step_kind_find(wanted == NULL ? "sql" : wanted);

    if (kind == NULL)
    {
        const char *near = pawl_step_kind_nearest(wanted);
        pawl_error_set(err, PAWL_E_USAGE, "there is no step \"%s\"", wanted);
        if (near != NULL)
            return pawl_error_hint(err, "did you mean \"%s\"?", near);
        return err->code;
    }
    *out = kind;
    return PAWL_OK;
}

/* Where no step is asked for. It loads, and fails by name when it is applied as it is. */
static const char sql_template[] =
    "  - sql: |\n"
    "      ALTER TABLE your_schema.your_table ADD CHECK (your_column > 0) NOT VALID;\n"
    "    down:\n"
    "      - sql: |\n"
    "          ALTER TABLE your_schema.your_table DROP CONSTRAINT "
    "your_table_your_column_check;\n";

/* What is to be written. */
typedef struct draft
{
    const pawl_project *project;
    const pawl_new_revision *what;
    parents parents;
    char id[64];
    pawl_strbuf name;
    pawl_strbuf text;
} draft;

static void
draft_fini(draft *d)
{
    pawl_strbuf_fini(&d->name);
    pawl_strbuf_fini(&d->text);
}

static void
add_list(pawl_strbuf *b, const char *key, const char *const *items, size_t count)
{
    if (count == 0)
        return;
    pawl_strbuf_addf(b, "%s: [", key);
    for (size_t i = 0; i < count; i++)
    {
        pawl_strbuf_add(b, i == 0 ? "" : ", ");
        add_quoted(b, items[i]);
    }
    pawl_strbuf_add(b, "]\n");
}

/* A label stays a label, so that the dependency follows it; anything else becomes the whole id. */
static pawl_status
add_dependencies(draft *d, pawl_error *err)
{
    const pawl_graph *g = d->project->graph;

    for (size_t i = 0; i < d->what->ndepends_on; i++)
    {
        const char *name = d->what->depends_on[i];
        size_t node = 0;
        pawl_status st = pawl_graph_resolve(d->project->graph, name, &node, err);

        if (st != PAWL_OK)
            return pawl_error_prefix(err, "--depends-on");
        const pawl_revision *revision = pawl_graph_node(g, node)->revision;
        bool is_label = false;
        for (size_t k = 0; revision != NULL && k < revision->nlabels; k++)
            is_label = is_label || strcmp(revision->labels[k], name) == 0;
        pawl_strbuf_add(&d->text, i == 0 ? "depends_on: [" : ", ");
        add_quoted(&d->text, is_label ? name : pawl_graph_node(g, node)->id);
    }
    if (d->what->ndepends_on > 0)
        pawl_strbuf_add(&d->text, "]\n");
    return PAWL_OK;
}

/* `up` is the text below that key; "" for none. */
static pawl_status
write_draft(draft *d, const char *up, pawl_error *err)
{
    pawl_strbuf_addf(&d->text, "revision: \"%s\"\nparents: [", d->id);
    for (size_t i = 0; i < d->parents.count; i++)
        pawl_strbuf_addf(&d->text, "%s\"%s\"", i == 0 ? "" : ", ",
                         pawl_graph_node(d->project->graph, d->parents.nodes[i])->id);
    pawl_strbuf_add(&d->text, "]\ndescription: ");
    add_quoted(&d->text, d->what->message);
    pawl_strbuf_add(&d->text, "\n");
    add_list(&d->text, "labels", d->what->labels, d->what->nlabels);
    pawl_status st = add_dependencies(d, err);
    if (st != PAWL_OK)
        return st;
    if (up[0] == '\0')
        pawl_strbuf_add(&d->text, "up: []\n");
    else
        pawl_strbuf_addf(&d->text, "up:\n%s", up);

    pawl_strbuf_addf(&d->name, "%s_", d->id);
    add_slug(&d->name, d->what->message);
    pawl_strbuf_add(&d->name, ".yaml");
    if (!pawl_strbuf_is_ok(&d->text) || !pawl_strbuf_is_ok(&d->name))
        return pawl_error_nomem(err, "a revision");
    return PAWL_OK;
}

/* The directory as it would be with the new file: what is wrong then is wrong with what was asked for. */
static pawl_status
try_draft(const draft *d, pawl_graph *g, pawl_arena *arena, pawl_problems *problems, pawl_error *err)
{
    pawl_revision *revision = NULL;
    pawl_status st =
        pawl_revision_parse(d->name.data, d->text.data, d->text.length, arena, problems, &revision, err);

    for (size_t i = 0; i < d->project->nloaded && st == PAWL_OK; i++)
        st = pawl_graph_add(g, d->project->loaded[i].revision, err);
    if (st == PAWL_OK && revision != NULL)
        st = pawl_graph_add(g, revision, err);
    if (st == PAWL_OK && revision != NULL)
        st = pawl_graph_link(g, problems, err);
    if (st != PAWL_OK || pawl_problems_count(problems) == 0)
        return st;

    const pawl_problem *first = pawl_problems_get(problems, 0);
    pawl_error_set(err, PAWL_E_USAGE, "%s", first->message);
    return first->hint == NULL ? err->code : pawl_error_hint(err, "%s", first->hint);
}

static pawl_status
check_draft(const draft *d, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_AUTO(pawl_problems) problems = pawl_problems_new();
    PAWL_AUTO(pawl_graph) g = NULL;
    pawl_status st = pawl_graph_new(&g, err);

    if (st != PAWL_OK || arena == NULL || problems == NULL)
        return pawl_error_nomem(err, "a revision");
    return try_draft(d, g, arena, problems, err);
}

static pawl_status
save_draft(const draft *d, char **path, pawl_error *err)
{
    PAWL_AUTO(pawl_str) full = pawl_file_join(d->project->settings.migrations, d->name.data);

    if (full == NULL)
        return pawl_error_nomem(err, "a revision");
    int failed = pawl_file_create(full, d->text.data);
    if (failed != 0)
        return failed_io(err, "create", full, failed);
    *path = full;
    full = NULL;
    return PAWL_OK;
}

static pawl_status
begin_draft(draft *d, pawl_project *project, const pawl_new_revision *what, pawl_error *err)
{
    *d = (draft){.project = project, .what = what, .name = PAWL_STRBUF_INIT, .text = PAWL_STRBUF_INIT};
    if (what->message == NULL || what->message[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a revision needs a message");

    pawl_status st = pawl_project_check(project, err);
    return st == PAWL_OK ? choose_id(project, what->id, d->id, err) : st;
}

static pawl_status
finish_draft(draft *d, const char *up, char **path, pawl_error *err)
{
    pawl_status st = write_draft(d, up, err);

    if (st == PAWL_OK)
        st = check_draft(d, err);
    return st == PAWL_OK ? save_draft(d, path, err) : st;
}

pawl_status
pawl_revision_create(pawl_project *project, const pawl_new_revision *what, char **path, pawl_error *err)
{
    const pawl_step_kind *kind = NULL;
    draft d;
    pawl_status st = begin_draft(&d, project, what, err);

    if (st == PAWL_OK && what->is_splice && what->parent == NULL)
    {
        pawl_error_set(err, PAWL_E_USAGE, "--splice needs --head: where does the branch begin?");
        st = pawl_error_hint(err, "for example: pawl revision -m TEXT --head R --splice");
    }
    if (st == PAWL_OK)
        st = choose_kind(what->step, &kind, err);
    if (st == PAWL_OK)
        st = choose_parents(project, what, &d.parents, err);
    if (st == PAWL_OK)
        st = finish_draft(&d, what->step == NULL ? sql_template : kind->sample, path, err);
    draft_fini(&d);
    return st;
}

/* ---- a merge ------------------------------------------------------------------------------------------------------- */

static pawl_status
add_head(draft *d, size_t node, pawl_error *err)
{
    const pawl_node *n = pawl_graph_node(d->project->graph, node);

    for (size_t i = 0; i < d->parents.count; i++)
    {
        if (d->parents.nodes[i] == node)
            return pawl_error_set(err, PAWL_E_USAGE, "revision %s is named twice", n->id);
    }
    if (n->nchildren > 0)
        return refuse_inner(n, true, err);
    d->parents.nodes[d->parents.count++] = node;
    return PAWL_OK;
}

static pawl_status
choose_heads(draft *d, const char *const *targets, size_t ntargets, pawl_error *err)
{
    pawl_graph *g = d->project->graph;
    pawl_status st = PAWL_OK;

    d->parents.nodes = pawl_arena_array(d->project->arena, pawl_graph_length(g), sizeof *d->parents.nodes);
    if (d->parents.nodes == NULL)
        return pawl_error_nomem(err, "a merge");
    for (size_t i = 0; i < ntargets && st == PAWL_OK; i++)
    {
        size_t *nodes = NULL;
        size_t count = 0;

        st = pawl_graph_resolve_all(g, targets[i], &nodes, &count, err);
        for (size_t k = 0; k < count && st == PAWL_OK; k++)
            st = add_head(d, nodes[k], err);
    }
    if (st != PAWL_OK || d->parents.count > 1)
        return st;
    pawl_error_set(err, PAWL_E_USAGE, "a merge joins two heads or more, and here is %s",
                   d->parents.count == 0 ? "none" : "only one");
    return pawl_error_hint(err, "`pawl heads` lists them; `pawl merge heads -m TEXT` joins all");
}

pawl_status
pawl_revision_merge(pawl_project *project, const char *const *targets, size_t ntargets,
                    const pawl_new_revision *what, char **path, pawl_error *err)
{
    draft d;
    pawl_status st = begin_draft(&d, project, what, err);

    if (st == PAWL_OK)
        st = choose_heads(&d, targets, ntargets, err);
    if (st == PAWL_OK)
        st = finish_draft(&d, "", path, err);
    draft_fini(&d);
    return st;
}
