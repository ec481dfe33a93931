/* Parts of the history for people: ranges "A:B". */
#include <string.h>

#include "revision/graph_private.h"

#include "util/banned.h"

typedef struct ends
{
    pawl_graph *g;
    const char *text;
    unsigned char *lower;
    unsigned char *upper;
    bool is_from_base;
} ends;

static bool
is_empty(const pawl_graph *g, const unsigned char *set)
{
    return pawl_graph_only(g, set) == PAWL_NODE_NONE;
}

/* Walk from each member of `starts` and put where it ends into `set`. */
static pawl_status
walk_from_each(ends *e, const pawl_target *target, const unsigned char *starts, unsigned char *set,
               pawl_error *err)
{
    for (size_t i = 0; i < e->g->nodes.length; i++)
    {
        size_t end = PAWL_NODE_NONE;
        pawl_status st;

        if (starts[i] == 0 || (target->lineage != NULL && target->lineage[i] == 0))
            continue;
        st = pawl_target_walk(e->g, target, i, &end, err);
        if (st != PAWL_OK)
            return st;
        if (end == PAWL_NODE_NONE)
            e->is_from_base = true;
        else
            set[end] = 1;
    }
    return PAWL_OK;
}

/* NAME, NAME+N and NAME-N, for either end. */
static pawl_status
mark_named(ends *e, const pawl_target *target, unsigned char *set, pawl_error *err)
{
    unsigned char *starts = pawl_graph_set(e->g);
    pawl_status st;

    if (starts == NULL)
        return pawl_error_nomem(err, "a range");
    st = pawl_target_mark(e->g, target, target->relative == 0 ? set : starts, err);
    if (st != PAWL_OK || target->relative == 0)
        return st;
    if (pawl_target_is_word(target, "base"))
    {
        size_t end = PAWL_NODE_NONE;

        st = pawl_target_walk(e->g, target, PAWL_NODE_NONE, &end, err);
        if (st == PAWL_OK && end != PAWL_NODE_NONE)
            set[end] = 1;
        return st;
    }
    return walk_from_each(e, target, starts, set, err);
}

/* +N as the end of a range counts from its start. */
static pawl_status
mark_ahead(ends *e, const pawl_target *target, pawl_error *err)
{
    size_t start = pawl_graph_only(e->g, e->lower);
    size_t end = PAWL_NODE_NONE;
    size_t count = 0;
    pawl_status st;

    for (size_t i = 0; i < e->g->nodes.length; i++)
        count += e->lower[i] != 0 ? 1 : 0;
    if (count > 1)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is ambiguous: it counts from several revisions",
                              e->text);
        return pawl_error_hint(err, "name the one that it is to count from: R:%s", target->text);
    }
    st = pawl_target_walk(e->g, target, start, &end, err);
    if (st == PAWL_OK && end != PAWL_NODE_NONE)
        e->upper[end] = 1;
    return st;
}

static pawl_status
read_upper(ends *e, const char *text, pawl_error *err)
{
    pawl_target target;
    pawl_status st;

    if (text[0] == '\0')
    {
        pawl_graph_mark_heads(e->g, e->upper);
        return PAWL_OK;
    }
    st = pawl_target_parse(e->g, text, "history", &target, err);
    if (st != PAWL_OK)
        return st;
    target.is_clamped = true;
    if (target.name != NULL)
        return mark_named(e, &target, e->upper, err);
    if (target.relative > 0)
        return mark_ahead(e, &target, err);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the end of a range: it counts back", text);
    return pawl_error_hint(err,
                           "an end counts forward from the start (A:+2), a start back from the end (-2:B)");
}

/* The start when it does not depend on the end. */
static pawl_status
read_lower(ends *e, const pawl_target *target, pawl_error *err)
{
    if (target->name == NULL && target->relative > 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be the start of a range: it counts forward",
                              target->text);
        return pawl_error_hint(
            err, "an end counts forward from the start (A:+2), a start back from the end (-2:B)");
    }
    if (target->name == NULL)
        return PAWL_OK;

    pawl_status st = mark_named(e, target, e->lower, err);
    if (st != PAWL_OK)
        return st;
    /* Of heads and current, what another of them depends on is no start of its own. */
    pawl_graph_keep_tips(e->g, e->lower, true);
    if (is_empty(e->g, e->lower))
        e->is_from_base = true;
    return PAWL_OK;
}

/* -N as the start of a range counts back from its end, from heads that others depend on only through those. */
static pawl_status
walk_back(ends *e, const pawl_target *target, pawl_error *err)
{
    unsigned char *starts = pawl_graph_set(e->g);

    if (starts == NULL)
        return pawl_error_nomem(err, "a range");
    memcpy(starts, e->upper, e->g->nodes.length);
    pawl_graph_keep_tips(e->g, starts, true);
    return walk_from_each(e, target, starts, e->lower, err);
}

/* Read both ends; each may count from the other. */
static pawl_status
read_ends(ends *e, const char *from, const char *to, pawl_error *err)
{
    pawl_target lower = {.branch_node = PAWL_NODE_NONE};
    bool has_lower = from[0] != '\0';
    pawl_status st = PAWL_OK;

    e->is_from_base = !has_lower;
    if (has_lower)
        st = pawl_target_parse(e->g, from, "history", &lower, err);
    if (st != PAWL_OK)
        return st;
    lower.is_clamped = true;
    if (has_lower)
        st = read_lower(e, &lower, err);
    if (st == PAWL_OK)
        st = read_upper(e, to, err);
    if (st != PAWL_OK || !has_lower)
        return st;

    if (lower.name == NULL)
        return walk_back(e, &lower, err);
    /* BRANCH@A keeps to that branch at its other end, too. */
    pawl_target_keep(e->g, &lower, e->upper);
    return PAWL_OK;
}

/* Give an error unless every start is needed by an end, and none by another start. */
static pawl_status
check_ends(const ends *e, const unsigned char *required, pawl_error *err)
{
    const pawl_graph *g = e->g;
    unsigned char *below = g->scratch;

    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (e->lower[i] != 0 && required[i] == 0)
        {
            (void) pawl_error_set(err, PAWL_E_USAGE,
                                  "\"%s\" is no range: nothing at its end descends from %s", e->text,
                                  g->nodes.items[i].id);
            return pawl_error_hint(err, "the older revision stands first; `pawl history` shows the order");
        }
    }
    memset(below, 0, g->nodes.length);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        const pawl_node *node = &g->nodes.items[i];

        for (size_t k = 0; e->lower[i] != 0 && k < node->nparents; k++)
            below[node->parents[k]] = 1;
        for (size_t k = 0; e->lower[i] != 0 && k < node->ndepends_on; k++)
            below[node->depends_on[k]] = 1;
    }
    pawl_graph_close(g, below, PAWL_TO_PARENTS, true);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (e->lower[i] == 0 || below[i] == 0)
            continue;
        (void) pawl_error_set(err, PAWL_E_USAGE,
                              "\"%s\" is ambiguous: of its starts one comes before another", e->text);
        return pawl_error_hint(err, "begin at one of them: %s:", g->nodes.items[i].id);
    }
    return PAWL_OK;
}

static pawl_status
list_between(ends *e, size_t **out, size_t *count, pawl_error *err)
{
    pawl_graph *g = e->g;
    unsigned char *needed = pawl_graph_set(g);
    unsigned char *above = pawl_graph_set(g);
    pawl_status st;

    if (needed == NULL || above == NULL)
        return pawl_error_nomem(err, "a range");
    memcpy(needed, e->upper, g->nodes.length);
    pawl_graph_close(g, needed, PAWL_TO_PARENTS, true);
    if (e->is_from_base)
        return pawl_graph_list(g, needed, true, out, count, err);

    st = check_ends(e, needed, err);
    if (st != PAWL_OK)
        return st;
    memcpy(above, e->lower, g->nodes.length);
    pawl_graph_close(g, above, PAWL_TO_CHILDREN, false);
    for (size_t i = 0; i < g->nodes.length; i++)
        above[i] = (unsigned char) (above[i] != 0 && needed[i] != 0);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (e->upper[i] != 0 && above[i] != 0)
            return pawl_graph_list(g, above, true, out, count, err);
    }
    if (is_empty(g, e->upper))
        return pawl_graph_list(g, above, true, out, count, err);
    return pawl_error_set(err, PAWL_E_USAGE,
                          "\"%s\" is no range: its end depends on its start, and does not descend from it",
                          e->text);
}

pawl_status
pawl_graph_range(pawl_graph *g, const char *range, size_t **out, size_t *count, pawl_error *err)
{
    const char *colon = strchr(range, ':');
    ends e = {.g = g, .text = range, .lower = pawl_graph_set(g), .upper = pawl_graph_set(g)};

    if (colon == NULL || strchr(colon + 1, ':') != NULL)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is no range", range);
        return pawl_error_hint(err, "a range is A:B, A: or :B; `pawl show R` shows one revision");
    }
    const char *from = pawl_arena_strndup(g->arena, range, (size_t) (colon - range));
    if (from == NULL || e.lower == NULL || e.upper == NULL)
        return pawl_error_nomem(err, "a range");

    pawl_status st = read_ends(&e, from, colon + 1, err);
    return st == PAWL_OK ? list_between(&e, out, count, err) : st;
}
