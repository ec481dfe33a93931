/* Revisions that were squashed: their ids go on meaning the one that stands for them. */
#include "revision/graph_private.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Both words for "none" are one value: what a table of names gives is a node. */
_Static_assert(PAWL_NODE_NONE == PAWL_NAMES_NONE, "nodes and names say none alike");

pawl_status
pawl_graph_add_replaced(pawl_graph *g, size_t node, pawl_error *err)
{
    const pawl_revision *revision = g->nodes.items[node].revision;

    for (size_t i = 0; i < revision->nreplaces; i++)
    {
        pawl_replaced r = {.id = revision->replaces[i], .node = node, .item = i};

        r.is_lost = pawl_names_find(&g->replaced_ids, r.id) != PAWL_NAMES_NONE;
        if ((!r.is_lost && !pawl_names_can_put(&g->replaced_ids, r.id, g->replaced.length)) ||
            !pawl_vec_push(&g->replaced, r))
            return pawl_error_nomem(err, "the history");
    }
    return PAWL_OK;
}

void
pawl_graph_report_replaced(const pawl_graph *g, pawl_problems *problems)
{
    for (size_t i = 0; i < g->replaced.length; i++)
    {
        const pawl_replaced *r = &g->replaced.items[i];
        const char *id = g->nodes.items[r->node].id;
        size_t other = pawl_names_find(&g->ids, r->id);
        char text[480];
        char hint[160];

        if (r->is_lost)
        {
            size_t first = g->replaced.items[pawl_names_find(&g->replaced_ids, r->id)].node;

            pawl_fmt(text, sizeof text, "\"%s\" is already replaced by revision \"%s\"", r->id,
                     g->nodes.items[first].id);
            pawl_graph_problem(g, problems, r->node, "replaces", r->item, "name it once", text);
        }
        if (other == PAWL_NAMES_NONE || g->nodes.items[other].revision == NULL)
            continue;
        pawl_fmt(text, sizeof text, "revision \"%s\" replaces \"%s\", whose file is here as well: %s", id,
                 r->id, g->nodes.items[other].revision->file);
        pawl_fmt(hint, sizeof hint, "move that file to squashed/%s/ below this directory", id);
        pawl_graph_problem(g, problems, r->node, "replaces", r->item, hint, text);
    }
}

size_t
pawl_graph_replacement(const pawl_graph *g, const char *id, bool *is_last)
{
    size_t at = pawl_names_find(&g->replaced_ids, id);
    const pawl_replaced *r;

    if (at == PAWL_NAMES_NONE)
        return PAWL_NODE_NONE;
    r = &g->replaced.items[at];
    if (is_last != NULL)
        *is_last = r->item + 1 == g->nodes.items[r->node].revision->nreplaces;
    return r->node;
}

size_t
pawl_graph_find_for_file(const pawl_graph *g, const char *id)
{
    size_t node = pawl_names_find(&g->ids, id);
    size_t replacement;

    if (node != PAWL_NAMES_NONE && g->nodes.items[node].revision != NULL)
        return node;
    replacement = pawl_graph_replacement(g, id, NULL);
    return replacement == PAWL_NODE_NONE ? node : replacement;
}

/* The replaced revision that a name, or the beginning of one, means; NULL when it is (or may be) something else. */
static const pawl_replaced *
find_meant(const pawl_graph *g, const char *name)
{
    const pawl_replaced *meant = NULL;

    if (pawl_names_find(&g->ids, name) != PAWL_NAMES_NONE ||
        pawl_names_find(&g->labels, name) != PAWL_NAMES_NONE)
        return NULL;
    for (size_t i = 0; i < g->replaced.length; i++)
    {
        const pawl_replaced *r = &g->replaced.items[i];

        if (!pawl_names_has_prefix(r->id, name))
            continue;
        if (meant != NULL && pawl_names_compare(meant->id, r->id) != 0)
            return NULL;
        meant = r;
    }
    return meant;
}

pawl_status
pawl_graph_check_replaced(const pawl_graph *g, const char *name, pawl_error *err)
{
    const pawl_replaced *r = find_meant(g, name);
    const pawl_revision *revision;

    if (r == NULL)
        return PAWL_OK;
    revision = g->nodes.items[r->node].revision;
    if (r->item + 1 == revision->nreplaces)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_USAGE,
                          "revision \"%s\" was squashed: \"%s\" replaces it, and goes on to \"%s\"", r->id,
                          revision->id, revision->replaces[revision->nreplaces - 1]);
    return pawl_error_hint(err, "no database can stop there any more; name \"%s\"", revision->id);
}
