#include "revision/graph.h"

#include <stdlib.h>
#include <string.h>

#include "revision/graph_private.h"
#include "util/alloc.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

/* So many unknown ids get a "did you mean": each costs a look at all ids. */
#define MAX_ADVICE 20
#define WHOLE_KEY  SIZE_MAX

/* ---- building ------------------------------------------------------------------------------------------------------ */

pawl_status
pawl_graph_new(pawl_graph **out, pawl_error *err)
{
    pawl_graph *g = pawl_calloc(1, sizeof *g);

    if (g == NULL || (g->arena = pawl_arena_new()) == NULL)
    {
        pawl_free(g);
        return pawl_error_nomem(err, "the history");
    }
    *out = g;
    return PAWL_OK;
}

void
pawl_graph_free(pawl_graph *g)
{
    if (g == NULL)
        return;
    pawl_vec_fini(&g->nodes);
    pawl_vec_fini(&g->ledger_parents);
    pawl_vec_fini(&g->ledger_nparents);
    pawl_vec_fini(&g->duplicates);
    pawl_vec_fini(&g->replaced);
    pawl_names_fini(&g->ids);
    pawl_names_fini(&g->labels);
    pawl_names_fini(&g->replaced_ids);
    pawl_arena_free(g->arena);
    pawl_free(g);
}

static pawl_status
add_node(pawl_graph *g, const char *id, size_t *out, pawl_error *err)
{
    pawl_node node = {.id = pawl_arena_strdup(g->arena, id)};
    size_t index = g->nodes.length;

    if (node.id == NULL || !pawl_vec_push(&g->nodes, node) || !pawl_vec_push(&g->ledger_parents, NULL) ||
        !pawl_vec_push(&g->ledger_nparents, 0) || !pawl_names_can_put(&g->ids, node.id, index))
        return pawl_error_nomem(err, "the history");
    *out = index;
    return PAWL_OK;
}

pawl_status
pawl_graph_add(pawl_graph *g, const pawl_revision *revision, pawl_error *err)
{
    size_t node = pawl_names_find(&g->ids, revision->id);
    pawl_status st;

    if (node == PAWL_NAMES_NONE && (st = add_node(g, revision->id, &node, err)) != PAWL_OK)
        return st;
    if (g->nodes.items[node].revision == NULL)
    {
        g->nodes.items[node].revision = revision;
        return pawl_graph_add_replaced(g, node, err);
    }
    return pawl_vec_push(&g->duplicates, revision) ? PAWL_OK : pawl_error_nomem(err, "the history");
}

pawl_status
pawl_graph_add_applied(pawl_graph *g, const char *id, const char *const *parents, size_t nparents,
                       pawl_error *err)
{
    size_t node = pawl_names_find(&g->ids, id);
    const char **copies = pawl_arena_array(g->arena, nparents, sizeof *copies);
    pawl_status st;

    if (copies == NULL)
        return pawl_error_nomem(err, "the history");
    for (size_t i = 0; i < nparents; i++)
    {
        copies[i] = pawl_arena_strdup(g->arena, parents[i]);
        if (copies[i] == NULL)
            return pawl_error_nomem(err, "the history");
    }
    if (node == PAWL_NAMES_NONE && (st = add_node(g, id, &node, err)) != PAWL_OK)
        return st;
    g->nodes.items[node].is_applied = true;
    g->ledger_parents.items[node] = copies;
    g->ledger_nparents.items[node] = nparents;
    return PAWL_OK;
}

/* ---- problems ------------------------------------------------------------------------------------------------------ */

static void
problem_in(const pawl_revision *revision, pawl_problems *problems, const char *key, size_t item,
           const char *hint, const char *message)
{
    const pawl_yaml *place = revision->root;
    const pawl_yaml *value = key == NULL ? NULL : pawl_yaml_get(place, key);

    if (value != NULL)
        place = value;
    if (value != NULL && value->kind == PAWL_YAML_SEQUENCE && item < value->length)
        place = value->items[item];
    pawl_problems_add(problems, revision->file, place == NULL ? 0 : place->line,
                      place == NULL ? 0 : place->column, hint, "%s", message);
}

void
pawl_graph_problem(const pawl_graph *g, pawl_problems *problems, size_t node, const char *key, size_t item,
                   const char *hint, const char *message)
{
    const pawl_node *n = &g->nodes.items[node];

    if (n->revision != NULL)
        problem_in(n->revision, problems, key, item, hint, message);
    else
        pawl_problems_add(problems, "", 0, 0, hint, "%s", message);
}

static void
report_duplicates(const pawl_graph *g, pawl_problems *problems)
{
    for (size_t i = 0; i < g->duplicates.length; i++)
    {
        const pawl_revision *again = g->duplicates.items[i];
        const pawl_node *first = &g->nodes.items[pawl_names_find(&g->ids, again->id)];
        char text[480];

        pawl_fmt(text, sizeof text, "revision \"%s\" is already in %s%s", again->id, first->revision->file,
                 strcmp(again->id, first->id) == 0 ? "" : " (ids are compared without regard to case)");
        problem_in(again, problems, "revision", WHOLE_KEY, "give one of them another id and file name", text);
    }
}

/* In order of id a prefix stands right before what begins with it. */
static void
report_prefixes(const pawl_graph *g, pawl_problems *problems)
{
    size_t before = PAWL_NODE_NONE;

    for (size_t i = 0; i < g->nodes.length; i++)
    {
        size_t node = g->by_id[i];
        char text[120];

        if (g->nodes.items[node].revision == NULL)
            continue;
        if (before != PAWL_NODE_NONE &&
            pawl_names_has_prefix(g->nodes.items[node].id, g->nodes.items[before].id))
        {
            pawl_fmt(text, sizeof text, "id \"%s\" begins with the id of another revision, \"%s\"",
                     g->nodes.items[node].id, g->nodes.items[before].id);
            pawl_graph_problem(g, problems, node, "revision", WHOLE_KEY,
                               "give one of them another id, so that a shortened id means one revision",
                               text);
        }
        before = node;
    }
}

/* ---- tying --------------------------------------------------------------------------------------------------------- */

/* What link carries around. */
typedef struct linking
{
    pawl_graph *g;
    pawl_problems *problems;
    pawl_error *err;
    const char **all_ids; /* of revisions on disk, for advice */
    size_t nids;
    size_t advice;
} linking;

typedef struct ranked
{
    const char *id;
    size_t node;
} ranked;

static int
compare_ranked(const void *a, const void *b)
{
    return pawl_names_compare(((const ranked *) a)->id, ((const ranked *) b)->id);
}

static pawl_status
sort_ids(pawl_graph *g, pawl_error *err)
{
    size_t n = g->nodes.length;
    ranked *list = pawl_arena_array(g->arena, n, sizeof *list);

    g->by_id = pawl_arena_array(g->arena, n, sizeof *g->by_id);
    g->id_rank = pawl_arena_array(g->arena, n, sizeof *g->id_rank);
    g->stack = pawl_arena_array(g->arena, n, sizeof *g->stack);
    g->scratch = pawl_graph_set(g);
    if (list == NULL || g->by_id == NULL || g->id_rank == NULL || g->stack == NULL || g->scratch == NULL)
        return pawl_error_nomem(err, "the history");
    for (size_t i = 0; i < n; i++)
        list[i] = (ranked){.id = g->nodes.items[i].id, .node = i};
    if (n > 1)
        qsort(list, n, sizeof *list, compare_ranked);
    for (size_t i = 0; i < n; i++)
    {
        g->by_id[i] = list[i].node;
        g->id_rank[list[i].node] = i;
    }
    return PAWL_OK;
}

static pawl_status
link_label(linking *in, size_t node, size_t item)
{
    pawl_graph *g = in->g;
    const char *label = g->nodes.items[node].revision->labels[item];
    size_t other = pawl_names_find(&g->labels, label);
    char text[160];

    if (pawl_names_find(&g->ids, label) != PAWL_NAMES_NONE)
    {
        pawl_fmt(text, sizeof text, "label \"%s\" is also the id of a revision", label);
        pawl_graph_problem(g, in->problems, node, "labels", item, "choose another label", text);
        return PAWL_OK;
    }
    if (other != PAWL_NAMES_NONE)
    {
        pawl_fmt(text, sizeof text, "label \"%s\" already belongs to revision \"%s\"", label,
                 g->nodes.items[other].id);
        pawl_graph_problem(g, in->problems, node, "labels", item,
                           "a label stands at one revision, and means its whole branch", text);
        return PAWL_OK;
    }
    return pawl_names_can_put(&g->labels, label, node) ? PAWL_OK
                                                       : pawl_error_nomem(in->err, "the branch labels");
}

static pawl_status
link_labels(linking *in)
{
    for (size_t i = 0; i < in->g->nodes.length; i++)
    {
        const pawl_revision *revision = in->g->nodes.items[i].revision;

        for (size_t k = 0; revision != NULL && k < revision->nlabels; k++)
        {
            pawl_status st = link_label(in, i, k);

            if (st != PAWL_OK)
                return st;
        }
    }
    return PAWL_OK;
}

static void
report_unknown(linking *in, size_t node, const char *key, size_t item, const char *name)
{
    const char *nearest = NULL;
    const char *word = strcmp(key, "parents") == 0 ? "parent" : "dependency";
    char text[160];
    char hint[120];

    if (in->advice < MAX_ADVICE)
        nearest = pawl_units_nearest(name, in->all_ids, in->nids);
    in->advice++;
    pawl_fmt(text, sizeof text, "%s \"%s\" of revision \"%s\" is in no file of this directory", word, name,
             in->g->nodes.items[node].id);
    if (nearest != NULL)
        pawl_fmt(hint, sizeof hint, "did you mean \"%s\"?", nearest);
    else
        pawl_fmt(hint, sizeof hint, "bring the missing file, or correct the id");
    pawl_graph_problem(in->g, in->problems, node, key, item, hint, text);
}

static bool
has_node(const size_t *list, size_t count, size_t node)
{
    for (size_t i = 0; i < count; i++)
    {
        if (list[i] == node)
            return true;
    }
    return false;
}

static void
report_repeated(linking *in, size_t node, const char *key, size_t item, const char *name)
{
    char text[120];

    pawl_fmt(text, sizeof text, "\"%s\" is named twice under %s", name, key);
    pawl_graph_problem(in->g, in->problems, node, key, item, "keep one of them", text);
}

/* Turn the names under `key` of a file into nodes; what cannot be found is reported and left out. */
static size_t
tie_names(linking *in, size_t node, const char *key, const char *const *names, size_t count, size_t *out)
{
    pawl_graph *g = in->g;
    bool is_parents = strcmp(key, "parents") == 0;
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
    {
        size_t other = pawl_graph_find_for_file(g, names[i]);
        bool is_own_name =
            other != PAWL_NODE_NONE && pawl_names_compare(g->nodes.items[other].id, names[i]) == 0;

        if (other == PAWL_NAMES_NONE && !is_parents)
            other = pawl_names_find(&g->labels, names[i]);
        if (other == PAWL_NAMES_NONE || g->nodes.items[other].revision == NULL)
            report_unknown(in, node, key, i, names[i]);
        if (other == PAWL_NAMES_NONE)
            continue;
        if (has_node(out, n, other))
        {
            /* Two replaced revisions may well have one replacement. */
            if (is_own_name)
                report_repeated(in, node, key, i, names[i]);
            continue;
        }
        out[n++] = other;
    }
    return n;
}

/* Parents of a node that only the ledger has: those it still knows. */
static size_t
tie_ledger(const pawl_graph *g, size_t node, size_t *out)
{
    size_t n = 0;

    for (size_t i = 0; i < g->ledger_nparents.items[node]; i++)
    {
        const char *name = g->ledger_parents.items[node][i];
        size_t other = pawl_names_find(&g->ids, name);

        if (other == PAWL_NAMES_NONE)
            other = pawl_graph_replacement(g, name, NULL);
        if (other != PAWL_NODE_NONE && other != node && !has_node(out, n, other))
            out[n++] = other;
    }
    return n;
}

static pawl_status
tie_node(linking *in, size_t index)
{
    pawl_graph *g = in->g;
    pawl_node *node = &g->nodes.items[index];
    const pawl_revision *rev = node->revision;
    size_t most = rev == NULL ? g->ledger_nparents.items[index] : rev->nparents;

    node->parents = pawl_arena_array(g->arena, most, sizeof *node->parents);
    node->depends_on =
        pawl_arena_array(g->arena, rev == NULL ? 0 : rev->ndepends_on, sizeof *node->depends_on);
    if (node->parents == NULL || node->depends_on == NULL)
        return pawl_error_nomem(in->err, "the history");
    if (rev == NULL)
    {
        node->nparents = tie_ledger(g, index, node->parents);
        return PAWL_OK;
    }
    node->nparents = tie_names(in, index, "parents", rev->parents, rev->nparents, node->parents);
    node->ndepends_on =
        tie_names(in, index, "depends_on", rev->depends_on, rev->ndepends_on, node->depends_on);
    return PAWL_OK;
}

/* The edges the other way round: count, then fill, so that each list has its exact size. */
static pawl_status
tie_back(pawl_graph *g, pawl_error *err)
{
    pawl_node *nodes = g->nodes.items;
    size_t n = g->nodes.length;

    for (size_t i = 0; i < n; i++)
    {
        for (size_t k = 0; k < nodes[i].nparents; k++)
            nodes[nodes[i].parents[k]].nchildren++;
        for (size_t k = 0; k < nodes[i].ndepends_on; k++)
            nodes[nodes[i].depends_on[k]].ndependents++;
    }
    for (size_t i = 0; i < n; i++)
    {
        nodes[i].children = pawl_arena_array(g->arena, nodes[i].nchildren, sizeof *nodes[i].children);
        nodes[i].dependents = pawl_arena_array(g->arena, nodes[i].ndependents, sizeof *nodes[i].dependents);
        if (nodes[i].children == NULL || nodes[i].dependents == NULL)
            return pawl_error_nomem(err, "the history");
        nodes[i].nchildren = 0;
        nodes[i].ndependents = 0;
    }
    for (size_t r = 0; r < n; r++)
    {
        size_t i = g->by_id[r]; /* children come out in order of id */

        for (size_t k = 0; k < nodes[i].nparents; k++)
        {
            pawl_node *parent = &nodes[nodes[i].parents[k]];

            parent->children[parent->nchildren++] = i;
        }
        for (size_t k = 0; k < nodes[i].ndepends_on; k++)
        {
            pawl_node *other = &nodes[nodes[i].depends_on[k]];

            other->dependents[other->ndependents++] = i;
        }
    }
    return PAWL_OK;
}

static pawl_status
list_ids(linking *in)
{
    const pawl_graph *g = in->g;

    in->all_ids = pawl_arena_array(g->arena, g->nodes.length, sizeof *in->all_ids);
    if (in->all_ids == NULL)
        return pawl_error_nomem(in->err, "the history");
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (g->nodes.items[g->by_id[i]].revision != NULL)
            in->all_ids[in->nids++] = g->nodes.items[g->by_id[i]].id;
    }
    return PAWL_OK;
}

static void
report_useless_parent(const pawl_graph *g, pawl_problems *problems, size_t index, size_t item)
{
    const pawl_node *node = &g->nodes.items[index];
    size_t useless = node->parents[item];
    char text[160];

    for (size_t i = 0; i < node->nparents; i++)
    {
        if (!pawl_graph_is_ancestor(g, useless, node->parents[i]))
            continue;
        pawl_fmt(text, sizeof text, "parent \"%s\" is already an ancestor of parent \"%s\"",
                 g->nodes.items[useless].id, g->nodes.items[node->parents[i]].id);
        pawl_graph_problem(g, problems, index, "parents", item, "name the later one alone", text);
        return;
    }
}

/* A parent that is also an ancestor of another parent adds nothing, and was hardly meant. */
static pawl_status
check_merge(const pawl_graph *g, pawl_problems *problems, size_t index, pawl_error *err)
{
    const pawl_node *node = &g->nodes.items[index];
    PAWL_VEC(size_t) useless = {0};
    size_t lowest = SIZE_MAX;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < node->nparents; i++)
    {
        if (g->level[node->parents[i]] < lowest)
            lowest = g->level[node->parents[i]];
    }
    pawl_graph_mark_ancestors(g, node->parents, node->nparents, lowest);
    for (size_t i = 0; i < node->nparents && st == PAWL_OK; i++)
    {
        if (g->scratch[node->parents[i]] != 0 && !pawl_vec_push(&useless, i))
            st = pawl_error_nomem(err, "the parents of a merge");
    }
    for (size_t i = 0; i < useless.length && st == PAWL_OK; i++)
        report_useless_parent(g, problems, index, useless.items[i]);
    pawl_vec_fini(&useless);
    return st;
}

pawl_status
pawl_graph_link(pawl_graph *g, pawl_problems *problems, pawl_error *err)
{
    linking in = {.g = g, .problems = problems, .err = err};
    pawl_status st;

    if ((st = sort_ids(g, err)) != PAWL_OK || (st = list_ids(&in)) != PAWL_OK ||
        (st = link_labels(&in)) != PAWL_OK)
        return st;
    report_duplicates(g, problems);
    report_prefixes(g, problems);
    pawl_graph_report_replaced(g, problems);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if ((st = tie_node(&in, i)) != PAWL_OK)
            return st;
    }
    if ((st = tie_back(g, err)) != PAWL_OK || (st = pawl_graph_sort(g, problems, err)) != PAWL_OK)
        return st;
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (g->nodes.items[i].nparents > 1 && (st = check_merge(g, problems, i, err)) != PAWL_OK)
            return st;
    }
    return PAWL_OK;
}

/* ---- simple questions ------------------------------------------------------------------------------------------------ */

size_t
pawl_graph_length(const pawl_graph *g)
{
    return g->nodes.length;
}

const pawl_node *
pawl_graph_node(const pawl_graph *g, size_t node)
{
    return &g->nodes.items[node];
}

size_t
pawl_graph_find(const pawl_graph *g, const char *id)
{
    size_t node = pawl_names_find(&g->ids, id);

    return node == PAWL_NAMES_NONE ? PAWL_NODE_NONE : node;
}
