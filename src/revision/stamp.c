/* What a stamp changes in the set of applied revisions. */
#include <string.h>

#include "revision/graph_private.h"

#include "util/banned.h"

typedef struct stamping
{
    pawl_graph *g;
    unsigned char *wanted; /* the targets, without base */
    unsigned char *line;   /* what is on the way to a target, or beyond it */
    size_t nbases;         /* targets that are base */
} stamping;

/* Add to `line` what `node` needs, and what needs it. */
static pawl_status
mark_line(stamping *s, size_t node, pawl_error *err)
{
    unsigned char *up = pawl_graph_set(s->g);
    unsigned char *down = pawl_graph_set(s->g);

    if (up == NULL || down == NULL)
        return pawl_error_nomem(err, "a stamp");
    up[node] = down[node] = 1;
    pawl_graph_close(s->g, up, PAWL_TO_CHILDREN, true);
    pawl_graph_close(s->g, down, PAWL_TO_PARENTS, true);
    for (size_t i = 0; i < s->g->nodes.length; i++)
        s->line[i] = (unsigned char) (s->line[i] != 0 || up[i] != 0 || down[i] != 0);
    return PAWL_OK;
}

static pawl_status
refuse_relative(const char *text, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be stamped: a stamp names where the database is",
                          text);
    return pawl_error_hint(err, "name the revision, or a label, head, heads or base");
}

static pawl_status
add_base(stamping *s, const pawl_target *target, pawl_error *err)
{
    s->nbases++;
    if (target->branch != NULL)
        return mark_line(s, target->branch_node, err);
    memset(s->line, 1, s->g->nodes.length);
    return PAWL_OK;
}

static pawl_status
add_target(stamping *s, const char *text, pawl_error *err)
{
    pawl_graph *g = s->g;
    pawl_target target;
    unsigned char *set = pawl_graph_set(g);
    pawl_status st;

    if (set == NULL)
        return pawl_error_nomem(err, "a stamp");
    st = pawl_target_parse(g, text, "stamp", &target, err);
    if (st != PAWL_OK)
        return st;
    if (target.relative != 0 || pawl_target_is_word(&target, "current"))
        return refuse_relative(text, err);
    if (pawl_target_is_word(&target, "base"))
        return add_base(s, &target, err);
    st = pawl_target_mark(g, &target, set, err);
    for (size_t i = 0; i < g->nodes.length && st == PAWL_OK; i++)
    {
        if (set[i] == 0)
            continue;
        s->wanted[i] = 1;
        st = mark_line(s, i, err);
    }
    return st;
}

/* Where the database is cannot be a revision and what comes before it at the same time. */
static pawl_status
check_targets(const stamping *s, pawl_error *err)
{
    const pawl_graph *g = s->g;
    size_t previous = PAWL_NODE_NONE;

    for (size_t i = 0; i < g->nodes.length; i++)
    {
        if (s->wanted[i] == 0)
            continue;
        previous = i;
        for (size_t k = 0; k < g->nodes.length; k++)
        {
            if (s->wanted[k] == 0 || !pawl_graph_is_ancestor(g, k, i))
                continue;
            (void) pawl_error_set(err, PAWL_E_USAGE,
                                  "revision \"%s\" is an ancestor of \"%s\": the database cannot be at both",
                                  g->nodes.items[k].id, g->nodes.items[i].id);
            return pawl_error_hint(err, "name the later one alone: pawl stamp %s", g->nodes.items[i].id);
        }
    }
    if (s->nbases > 0 && previous != PAWL_NODE_NONE)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "the database cannot be at \"base\" and at \"%s\"",
                              g->nodes.items[previous].id);
        return pawl_error_hint(err, "to forget everything else: pawl stamp --purge %s",
                               g->nodes.items[previous].id);
    }
    return PAWL_OK;
}

/*
 * What stays recorded: the current revisions outside the targets' line, and all that they need, as far as it is recorded.
 * One on which only a forgotten one depended is current itself: it was applied, and stays.
 */
static void
mark_kept(const stamping *s, unsigned char *kept)
{
    const pawl_graph *g = s->g;

    pawl_graph_mark_applied(g, kept);
    pawl_graph_keep_tips(g, kept, false);
    for (size_t i = 0; i < g->nodes.length; i++)
        kept[i] = (unsigned char) (kept[i] != 0 && s->line[i] == 0);
    pawl_graph_close(g, kept, PAWL_TO_PARENTS, true);
    for (size_t i = 0; i < g->nodes.length; i++)
        kept[i] = (unsigned char) (kept[i] != 0 && g->nodes.items[i].is_applied);
}

static pawl_status
list_changes(stamping *s, const unsigned char *after, pawl_graph_change *out, pawl_error *err)
{
    pawl_graph *g = s->g;
    unsigned char *removed = pawl_graph_set(g);
    unsigned char *added = pawl_graph_set(g);
    pawl_graph_change change = {0};
    pawl_status st;

    if (removed == NULL || added == NULL)
        return pawl_error_nomem(err, "a stamp");
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        removed[i] = (unsigned char) (g->nodes.items[i].is_applied && after[i] == 0);
        added[i] = (unsigned char) (!g->nodes.items[i].is_applied && after[i] != 0);
    }
    if ((st = pawl_graph_list(g, removed, true, &change.removed, &change.nremoved, err)) != PAWL_OK ||
        (st = pawl_graph_list(g, added, false, &change.added, &change.nadded, err)) != PAWL_OK)
        return st;
    *out = change;
    return PAWL_OK;
}

pawl_status
pawl_graph_stamp(pawl_graph *g, const char *const *targets, size_t ntargets, bool is_purge,
                 pawl_graph_change *out, pawl_error *err)
{
    stamping s = {.g = g, .wanted = pawl_graph_set(g), .line = pawl_graph_set(g)};
    unsigned char *after = pawl_graph_set(g);
    unsigned char *kept = pawl_graph_set(g);
    pawl_status st = PAWL_OK;

    if (s.wanted == NULL || s.line == NULL || after == NULL || kept == NULL)
        return pawl_error_nomem(err, "a stamp");
    for (size_t i = 0; i < ntargets && st == PAWL_OK; i++)
        st = add_target(&s, targets[i], err);
    if (st == PAWL_OK)
        st = check_targets(&s, err);
    if (st != PAWL_OK)
        return st;

    memcpy(after, s.wanted, g->nodes.length);
    pawl_graph_close(g, after, PAWL_TO_PARENTS, true);
    if (!is_purge)
        mark_kept(&s, kept);
    for (size_t i = 0; i < g->nodes.length; i++)
        after[i] = (unsigned char) (after[i] != 0 || kept[i] != 0);
    return list_changes(&s, after, out, err);
}
