/* Branches: where they begin, and what their labels hold for. */
#include "revision/graph_private.h"

#include "util/banned.h"

pawl_status
pawl_graph_branch_points(pawl_graph *g, size_t **out, size_t *count, pawl_error *err)
{
    unsigned char *all = pawl_graph_set(g);
    size_t *list = NULL;
    size_t length = 0;
    size_t used = 0;
    pawl_status st;

    if (all == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    for (size_t i = 0; i < g->nodes.length; i++)
        all[i] = 1;
    st = pawl_graph_list(g, all, true, &list, &length, err);
    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < length; i++)
    {
        if (g->nodes.items[list[i]].nchildren > 1)
            list[used++] = list[i];
    }
    *out = list;
    *count = used;
    return PAWL_OK;
}

/* True when there is one way on from the node, and one way to it. */
static bool
is_plain(const pawl_node *node)
{
    return node->nchildren + node->ndependents < 2 && node->nparents < 2;
}

/* What the labels of `node` hold for. */
static void
mark_branch(const pawl_graph *g, size_t node, unsigned char *set)
{
    size_t at = node;
    size_t steps = 0;

    set[node] = 1;
    pawl_graph_close(g, set, PAWL_TO_CHILDREN, false);
    while (is_plain(&g->nodes.items[at]) && steps++ < g->nodes.length)
    {
        set[at] = 1;
        if (g->nodes.items[at].nparents == 0)
            break;
        at = g->nodes.items[at].parents[0];
    }
}

static pawl_status
append(pawl_graph *g, pawl_node_labels *list, const char *const *labels, size_t count, pawl_error *err)
{
    const char **items = pawl_arena_array(g->arena, list->length + count, sizeof *items);

    if (items == NULL)
        return pawl_error_nomem(err, "the branch labels");
    for (size_t i = 0; i < list->length; i++)
        items[i] = list->items[i];
    for (size_t i = 0; i < count; i++)
        items[list->length + i] = labels[i];
    list->items = items;
    list->length += count;
    return PAWL_OK;
}

pawl_status
pawl_graph_branch_labels(pawl_graph *g, pawl_node_labels **out, pawl_error *err)
{
    size_t n = g->nodes.length;
    pawl_node_labels *lists = pawl_arena_array(g->arena, n, sizeof *lists);

    if (lists == NULL)
        return pawl_error_nomem(err, "the branch labels");
    for (size_t r = 0; r < n; r++)
    {
        size_t node = g->by_id[r];
        const pawl_revision *revision = g->nodes.items[node].revision;
        unsigned char *set;

        if (revision == NULL || revision->nlabels == 0)
            continue;
        set = pawl_graph_set(g);
        if (set == NULL)
            return pawl_error_nomem(err, "the branch labels");
        mark_branch(g, node, set);
        for (size_t i = 0; i < n; i++)
        {
            pawl_status st = PAWL_OK;

            if (set[i] != 0)
                st = append(g, &lists[i], revision->labels, revision->nlabels, err);
            if (st != PAWL_OK)
                return st;
        }
    }
    *out = lists;
    return PAWL_OK;
}
