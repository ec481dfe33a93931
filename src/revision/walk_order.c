/*
 * The order in which the revisions of a set are applied and reverted. A branch is followed as far as it goes before the
 * next one begins, so that what belongs together runs together; this is the order that users of Alembic know.
 *
 * It is made from the tips down: the list of places where a branch is being followed begins as the tips in order of id.
 * The revision at the current place comes next unless something that is still to come needs it; then the first place
 * that needs it is followed instead.
 */
#include <string.h>

#include "revision/graph_private.h"

#include "util/banned.h"

typedef struct walk
{
    pawl_graph *g;
    unsigned char *within; /* the set, and what lies between its members */
    unsigned char *is_place;
    size_t *needed_by; /* members to come that need the node */
    size_t *places;
    size_t nplaces;
    size_t at; /* the place that is followed */
    size_t *output;
    size_t noutput;
} walk;

/* Members, and nodes outside through which a member needs another. */
static pawl_status
fill_gaps(pawl_graph *g, const unsigned char *set, unsigned char *within, pawl_error *err)
{
    unsigned char *below = pawl_graph_set(g);

    if (below == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    memcpy(within, set, g->nodes.length);
    memcpy(below, set, g->nodes.length);
    pawl_graph_close(g, within, PAWL_TO_CHILDREN, true);
    pawl_graph_close(g, below, PAWL_TO_PARENTS, true);
    for (size_t i = 0; i < g->nodes.length; i++)
        within[i] = (unsigned char) (within[i] != 0 && below[i] != 0);
    return PAWL_OK;
}

static size_t
count_within(const walk *w, const size_t *list, size_t count)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
        n += w->within[list[i]] != 0 ? 1 : 0;
    return n;
}

static pawl_status
walk_init(walk *w, pawl_graph *g, const unsigned char *set, pawl_error *err)
{
    size_t n = g->nodes.length;

    *w = (walk){.g = g,
                .within = pawl_graph_set(g),
                .is_place = pawl_graph_set(g),
                .needed_by = pawl_arena_array(g->arena, n, sizeof *w->needed_by),
                .places = pawl_arena_array(g->arena, n, sizeof *w->places),
                .output = pawl_arena_array(g->arena, n, sizeof *w->output)};
    if (w->within == NULL || w->is_place == NULL || w->needed_by == NULL || w->places == NULL ||
        w->output == NULL)
        return pawl_error_nomem(err, "a list of revisions");

    pawl_status st = fill_gaps(g, set, w->within, err);
    for (size_t r = 0; r < n && st == PAWL_OK; r++)
    {
        size_t i = g->by_id[r];
        const pawl_node *node = &g->nodes.items[i];

        if (w->within[i] == 0)
            continue;
        w->needed_by[i] = count_within(w, node->children, node->nchildren) +
                          count_within(w, node->dependents, node->ndependents);
        if (w->needed_by[i] > 0)
            continue;
        w->is_place[i] = 1;
        w->places[w->nplaces++] = i;
    }
    return st;
}

/* The first place that needs `node`, directly or not. */
static size_t
place_that_needs(const walk *w, size_t node)
{
    pawl_graph *g = w->g;
    size_t first = 0;

    memset(g->scratch, 0, g->nodes.length);
    g->scratch[node] = 1;
    pawl_graph_close(g, g->scratch, PAWL_TO_CHILDREN, true);
    while (w->places[first] == node || g->scratch[w->places[first]] == 0)
        first++;
    return first;
}

static void
drop_needs(const walk *w, const size_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
        w->needed_by[list[i]] -= w->within[list[i]] != 0 ? 1 : 0;
}

/* What an ancestor depends on already leads to no place of its own. */
static bool
is_inherited(const pawl_graph *g, size_t node, size_t dependency)
{
    const pawl_node *d = &g->nodes.items[dependency];

    for (size_t i = 0; i < d->ndependents; i++)
    {
        if (pawl_graph_is_ancestor(g, d->dependents[i], node))
            return true;
    }
    return false;
}

/* Go on at `node`: in the current place for the first one, else in a new place at the end. */
static bool
add_place(walk *w, size_t node, bool is_first)
{
    if (w->within[node] == 0 || w->is_place[node] != 0)
        return false;
    w->is_place[node] = 1;
    if (is_first)
        w->places[w->at] = node;
    else
        w->places[w->nplaces++] = node;
    return true;
}

static void
leave_place(walk *w)
{
    memmove(w->places + w->at, w->places + w->at + 1, (w->nplaces - w->at - 1) * sizeof *w->places);
    w->nplaces--;
    w->at -= w->at > 0 ? 1 : 0;
}

static void
emit(walk *w, const unsigned char *set, size_t index)
{
    const pawl_node *node = &w->g->nodes.items[index];
    bool is_first = true;

    if (set[index] != 0)
        w->output[w->noutput++] = index;
    drop_needs(w, node->parents, node->nparents);
    drop_needs(w, node->depends_on, node->ndepends_on);
    for (size_t i = 0; i < node->nparents; i++)
        is_first = !add_place(w, node->parents[i], is_first) && is_first;
    for (size_t i = 0; i < node->ndepends_on; i++)
    {
        if (!is_inherited(w->g, index, node->depends_on[i]))
            is_first = !add_place(w, node->depends_on[i], is_first) && is_first;
    }
    if (is_first)
        leave_place(w);
}

/* A cycle has no order: any will do, and the same each time. */
static void
emit_by_rank(walk *w, const unsigned char *set)
{
    for (size_t i = w->g->nodes.length; i > 0; i--)
    {
        if (set[w->g->order[i - 1]] != 0)
            w->output[w->noutput++] = w->g->order[i - 1];
    }
}

static void
turn_round(size_t *list, size_t count)
{
    for (size_t i = 0; i < count / 2; i++)
    {
        size_t other = list[count - 1 - i];

        list[count - 1 - i] = list[i];
        list[i] = other;
    }
}

pawl_status
pawl_graph_list(pawl_graph *g, const unsigned char *set, bool is_reversed, size_t **out, size_t *count,
                pawl_error *err)
{
    walk w;
    pawl_status st = walk_init(&w, g, set, err);

    if (st != PAWL_OK)
        return st;
    if (g->has_cycle)
        emit_by_rank(&w, set);
    while (!g->has_cycle && w.nplaces > 0)
    {
        size_t node = w.places[w.at];

        if (w.needed_by[node] > 0)
            w.at = place_that_needs(&w, node);
        else
            emit(&w, set, node);
    }
    if (!is_reversed)
        turn_round(w.output, w.noutput);
    *out = w.output;
    *count = w.noutput;
    return PAWL_OK;
}

pawl_status
pawl_graph_list_by_id(pawl_graph *g, const unsigned char *set, size_t **out, size_t *count, pawl_error *err)
{
    size_t *list = pawl_arena_array(g->arena, g->nodes.length, sizeof *list);
    size_t used = 0;

    if (list == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    for (size_t r = 0; r < g->nodes.length; r++)
    {
        if (set[g->by_id[r]] != 0)
            list[used++] = g->by_id[r];
    }
    *out = list;
    *count = used;
    return PAWL_OK;
}
