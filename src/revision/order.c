#include <string.h>

#include "revision/graph_private.h"
#include "util/alloc.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define CYCLE_SHOWN 12 /* names of a cycle that a message holds */

/* ---- sets ------------------------------------------------------------------------------------------------------------ */

unsigned char *
pawl_graph_set(pawl_graph *g)
{
    return pawl_arena_array(g->arena, g->nodes.length, 1);
}

/* Put those of `list` on the stack that are not in the set yet; each node is put there once. */
static void
push_new(const pawl_graph *g, unsigned char *set, const size_t *list, size_t count, size_t *top)
{
    for (size_t i = 0; i < count; i++)
    {
        if (set[list[i]] != 0)
            continue;
        set[list[i]] = 1;
        g->stack[(*top)++] = list[i];
    }
}

void
pawl_graph_close(const pawl_graph *g, unsigned char *set, pawl_direction direction, bool with_depends)
{
    size_t top = 0;

    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (set[i] != 0)
            g->stack[top++] = i;
    }
    while (top > 0)
    {
        const pawl_node *node = &g->nodes.items[g->stack[--top]];

        if (direction == PAWL_TO_PARENTS)
        {
            push_new(g, set, node->parents, node->nparents, &top);
            if (with_depends)
                push_new(g, set, node->depends_on, node->ndepends_on, &top);
        }
        else
        {
            push_new(g, set, node->children, node->nchildren, &top);
            if (with_depends)
                push_new(g, set, node->dependents, node->ndependents, &top);
        }
    }
}

size_t
pawl_graph_only(const pawl_graph *g, const unsigned char *set)
{
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (set[i] != 0)
            return i;
    }
    return PAWL_NODE_NONE;
}

void
pawl_graph_keep_tips(const pawl_graph *g, unsigned char *set, bool with_depends)
{
    unsigned char *below = g->scratch;

    memset(below, 0, g->nodes.length);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        const pawl_node *node = &g->nodes.items[i];

        for (size_t k = 0; set[i] != 0 && k < node->nparents; k++)
            below[node->parents[k]] = 1;
        for (size_t k = 0; set[i] != 0 && with_depends && k < node->ndepends_on; k++)
            below[node->depends_on[k]] = 1;
    }
    pawl_graph_close(g, below, PAWL_TO_PARENTS, with_depends);
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] = (unsigned char) (set[i] != 0 && below[i] == 0);
}

void
pawl_graph_mark_ancestors(const pawl_graph *g, const size_t *nodes, size_t count, size_t lowest)
{
    size_t top = 0;

    memset(g->scratch, 0, g->nodes.length);
    for (size_t i = 0; i < count; i++)
        push_new(g, g->scratch, g->nodes.items[nodes[i]].parents, g->nodes.items[nodes[i]].nparents, &top);
    while (top > 0)
    {
        size_t at = g->stack[--top];

        if (g->level[at] > lowest)
            push_new(g, g->scratch, g->nodes.items[at].parents, g->nodes.items[at].nparents, &top);
    }
}

bool
pawl_graph_is_ancestor(const pawl_graph *g, size_t ancestor, size_t node)
{
    if (ancestor == node || g->level[node] <= g->level[ancestor])
        return false;
    pawl_graph_mark_ancestors(g, &node, 1, g->level[ancestor]);
    return g->scratch[ancestor] != 0;
}

/* ---- order ----------------------------------------------------------------------------------------------------------- */

/* A heap of places in by_id, the lowest on top: the order is the same whatever the order of files. */
typedef struct heap
{
    size_t *items;
    size_t length;
} heap;

static void
heap_push(heap *h, size_t value)
{
    size_t i = h->length++;

    while (i > 0 && h->items[(i - 1) / 2] > value)
    {
        h->items[i] = h->items[(i - 1) / 2];
        i = (i - 1) / 2;
    }
    h->items[i] = value;
}

static size_t
heap_pop(heap *h)
{
    size_t least = h->items[0];
    size_t value = h->items[--h->length];
    size_t i = 0;

    for (;;)
    {
        size_t child = 2 * i + 1;

        if (child + 1 < h->length && h->items[child + 1] < h->items[child])
            child++;
        if (child >= h->length || h->items[child] >= value)
            break;
        h->items[i] = h->items[child];
        i = child;
    }
    h->items[i] = value;
    return least;
}

/* What Kahn's algorithm needs beside the graph. */
typedef struct sorting
{
    pawl_graph *g;
    size_t *waits_for; /* parents and dependencies that are not in the order yet */
    heap ready;
    size_t done;
} sorting;

static void
release(sorting *s, const size_t *list, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        if (--s->waits_for[list[i]] == 0)
            heap_push(&s->ready, s->g->id_rank[list[i]]);
    }
}

static void
settle(sorting *s, size_t index)
{
    pawl_graph *g = s->g;
    const pawl_node *node = &g->nodes.items[index];

    g->order[s->done++] = index;
    for (size_t i = 0; i < node->nchildren; i++)
    {
        if (g->level[node->children[i]] <= g->level[index])
            g->level[node->children[i]] = g->level[index] + 1;
    }
    release(s, node->children, node->nchildren);
    release(s, node->dependents, node->ndependents);
}

/* A predecessor that is in no order either: there is one, or this node would be. */
static size_t
stuck_before(const sorting *s, size_t index)
{
    const pawl_node *node = &s->g->nodes.items[index];

    for (size_t i = 0; i < node->nparents; i++)
    {
        if (s->waits_for[node->parents[i]] > 0)
            return node->parents[i];
    }
    for (size_t i = 0; i < node->ndepends_on; i++)
    {
        if (s->waits_for[node->depends_on[i]] > 0)
            return node->depends_on[i];
    }
    return index;
}

static void
report_cycle(const sorting *s, size_t start, pawl_problems *problems)
{
    PAWL_STRBUF_AUTO(text);
    size_t at = start;
    size_t shown = 0;

    pawl_strbuf_addf(&text, "revision \"%s\" comes before itself: %s", s->g->nodes.items[start].id,
                     s->g->nodes.items[start].id);
    do
    {
        at = stuck_before(s, at);
        if (shown++ < CYCLE_SHOWN || at == start)
            pawl_strbuf_addf(&text, " -> %s", s->g->nodes.items[at].id);
        else if (shown == CYCLE_SHOWN + 2)
            pawl_strbuf_add(&text, " -> ...");
    } while (at != start);
    pawl_graph_problem(s->g, problems, start,
                       s->g->nodes.items[start].nparents > 0 ? "parents" : "depends_on", SIZE_MAX,
                       "an arrow means \"needs\" (parents or depends_on): take one of them away", text.data);
}

/* Follow the stuck nodes backwards: every walk ends in a cycle, or in what an earlier walk has seen. */
static void
report_cycles(const sorting *s, size_t *walk_of, pawl_problems *problems)
{
    const pawl_graph *g = s->g;

    for (size_t r = 0; r < g->nodes.length; r++)
    {
        size_t at = g->by_id[r];

        while (s->waits_for[at] > 0 && walk_of[at] == 0)
        {
            walk_of[at] = r + 1;
            at = stuck_before(s, at);
        }
        /* Seen twice by one walk, and not because the walk began at a node that was seen: this is the cycle's door. */
        if (s->waits_for[at] > 0 && walk_of[at] == r + 1)
            report_cycle(s, at, problems);
    }
}

static pawl_status
sorting_init(sorting *s, pawl_graph *g, pawl_error *err)
{
    size_t n = g->nodes.length;

    s->g = g;
    g->order = pawl_arena_array(g->arena, n, sizeof *g->order);
    g->level = pawl_arena_array(g->arena, n, sizeof *g->level);
    s->waits_for = pawl_arena_array(g->arena, n, sizeof *s->waits_for);
    s->ready.items = pawl_arena_array(g->arena, n, sizeof *s->ready.items);
    if (g->order == NULL || g->level == NULL || s->waits_for == NULL || s->ready.items == NULL)
        return pawl_error_nomem(err, "the order of revisions");
    for (size_t i = 0; i < n; i++)
    {
        s->waits_for[i] = g->nodes.items[i].nparents + g->nodes.items[i].ndepends_on;
        if (s->waits_for[i] == 0)
            heap_push(&s->ready, g->id_rank[i]);
    }
    return PAWL_OK;
}

pawl_status
pawl_graph_sort(pawl_graph *g, pawl_problems *problems, pawl_error *err)
{
    sorting s = {0};
    size_t *walk_of = pawl_arena_array(g->arena, g->nodes.length, sizeof *walk_of);
    pawl_status st = sorting_init(&s, g, err);

    if (st != PAWL_OK)
        return st;
    if (walk_of == NULL)
        return pawl_error_nomem(err, "the order of revisions");
    while (s.ready.length > 0)
        settle(&s, g->by_id[heap_pop(&s.ready)]);
    if (s.done == g->nodes.length)
        return PAWL_OK;

    g->has_cycle = true;
    report_cycles(&s, walk_of, problems);
    for (size_t r = 0; r < g->nodes.length; r++)
    {
        if (s.waits_for[g->by_id[r]] > 0)
            g->order[s.done++] = g->by_id[r];
    }
    return PAWL_OK;
}
