#include <string.h>

#include "revision/graph_private.h"

#include "util/banned.h"

/* ---- lists ----------------------------------------------------------------------------------------------------------- */

pawl_status
pawl_graph_heads(pawl_graph *g, size_t **out, size_t *count, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);

    if (set == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    pawl_graph_mark_heads(g, set);
    return pawl_graph_list_by_id(g, set, out, count, err);
}

pawl_status
pawl_graph_bases(pawl_graph *g, size_t **out, size_t *count, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);

    if (set == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    pawl_graph_mark_bases(g, set);
    return pawl_graph_list_by_id(g, set, out, count, err);
}

pawl_status
pawl_graph_current(pawl_graph *g, size_t **out, size_t *count, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);

    if (set == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    pawl_graph_mark_applied(g, set);
    pawl_graph_keep_tips(g, set, false);
    return pawl_graph_list_by_id(g, set, out, count, err);
}

pawl_status
pawl_graph_order(pawl_graph *g, size_t **out, size_t *count, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);

    if (set == NULL)
        return pawl_error_nomem(err, "a list of revisions");
    memset(set, 1, g->nodes.length);
    return pawl_graph_list(g, set, false, out, count, err);
}

/* ---- upgrade ----------------------------------------------------------------------------------------------------------- */

/* Put the one node that a target of upgrade names into `set`. */
static pawl_status
upgrade_to_node(pawl_graph *g, const pawl_target *target, unsigned char *set, pawl_error *err)
{
    size_t node = PAWL_NODE_NONE;
    pawl_status st;

    if (target->name == NULL)
        st = pawl_target_start(g, target, &node, err);
    else
        st = pawl_target_node(g, target, &node, err);
    if (st == PAWL_OK && target->relative != 0)
        st = pawl_target_walk(g, target, node, &node, err);
    if (st != PAWL_OK)
        return st;
    if (node == PAWL_NODE_NONE)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE,
                              "\"%s\" is before the first revision: nothing can be applied up to it",
                              target->text);
        return pawl_error_hint(err, "to revert: pawl downgrade %s", target->text);
    }
    set[node] = 1;
    return PAWL_OK;
}

/* Put all that a target of upgrade names into `set`: heads may be several, and where there are none it is no error. */
static pawl_status
upgrade_to(pawl_graph *g, const pawl_target *target, unsigned char *set, pawl_error *err)
{
    bool is_heads = pawl_target_is_word(target, "heads");

    if (target->relative < 0 && target->name == NULL)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" goes back, and upgrade only goes forward",
                              target->text);
        return pawl_error_hint(err, "to revert: pawl downgrade %s", target->text);
    }
    if (target->relative == 0 && (is_heads || pawl_target_is_word(target, "head")))
    {
        pawl_graph_mark_heads(g, set);
        pawl_target_keep(g, target, set);
        if (is_heads || pawl_graph_only(g, set) == PAWL_NODE_NONE)
            return PAWL_OK;
        memset(set, 0, g->nodes.length);
    }
    return upgrade_to_node(g, target, set, err);
}

pawl_status
pawl_graph_upgrade_path(pawl_graph *g, const char *target, size_t **out, size_t *count, pawl_error *err)
{
    pawl_target parsed;
    unsigned char *set = pawl_graph_set(g);
    pawl_status st;

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    if ((st = pawl_target_parse(g, target, "upgrade", &parsed, err)) != PAWL_OK ||
        (st = upgrade_to(g, &parsed, set, err)) != PAWL_OK)
        return st;
    pawl_graph_close(g, set, PAWL_TO_PARENTS, true);
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] = (unsigned char) (set[i] != 0 && !g->nodes.items[i].is_applied);
    return pawl_graph_list(g, set, false, out, count, err);
}

/* ---- downgrade ----------------------------------------------------------------------------------------------------------- */

static size_t
count_roots(const pawl_graph *g, const unsigned char *roots)
{
    size_t n = 0;

    for (size_t i = 0; i < g->nodes.length; i++)
        n += roots[i] != 0 ? 1 : 0;
    return n;
}

/* Several ways lead up from the target, and the branch begins above them: which of them is meant? */
static pawl_status
refuse_roots(const pawl_graph *g, const pawl_target *target, size_t node, const unsigned char *roots,
             pawl_error *err)
{
    const pawl_node *n = &g->nodes.items[node];
    const char *child = n->id;

    for (size_t i = 0; i < n->nchildren; i++)
    {
        if (roots[n->children[i]] != 0 && g->nodes.items[n->children[i]].is_applied)
            child = g->nodes.items[n->children[i]].id;
    }
    (void) pawl_error_set(err, PAWL_E_USAGE,
                          "\"%s\" is ambiguous: branch \"%s\" leads to %s, and several revisions follow it",
                          target->text, target->branch, n->id);
    return pawl_error_hint(
        err,
        "revert one of them with its own name as the branch: pawl downgrade %s@%s; or all: "
        "pawl downgrade %s",
        child, n->id, n->id);
}

/* Of several roots those that lead to the branch. */
static pawl_status
keep_roots(pawl_graph *g, const pawl_target *target, size_t branch_node, size_t node, unsigned char *roots,
           pawl_error *err)
{
    unsigned char *way = pawl_graph_set(g);
    unsigned char *all = pawl_graph_set(g);

    if (branch_node == PAWL_NODE_NONE || count_roots(g, roots) < 2)
        return PAWL_OK;
    if (way == NULL || all == NULL)
        return pawl_error_nomem(err, "a target");
    memcpy(all, roots, g->nodes.length);
    way[branch_node] = 1;
    pawl_graph_close(g, way, PAWL_TO_PARENTS, false);
    for (size_t i = 0; i < g->nodes.length; i++)
        roots[i] = (unsigned char) (roots[i] != 0 && way[i] != 0);
    if (count_roots(g, roots) == 0 && node != PAWL_NODE_NONE)
        return refuse_roots(g, target, node, all, err);
    return PAWL_OK;
}

/* What goes first when everything down to `node`, which stays, is reverted: what follows it (on the branch). */
static pawl_status
roots_above(pawl_graph *g, const pawl_target *target, size_t branch_node, size_t node, unsigned char *roots,
            pawl_error *err)
{
    if (node == PAWL_NODE_NONE)
    {
        for (size_t i = 0; i < g->nodes.length; i++)
            roots[i] = (unsigned char) (g->nodes.items[i].nparents == 0);
        return keep_roots(g, target, branch_node, node, roots, err);
    }

    const pawl_node *n = &g->nodes.items[node];
    if (!n->is_applied)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE,
                              "revision \"%s\" is not applied, so nothing can be reverted down to it", n->id);
        return pawl_error_hint(err, "`pawl current` shows where the database is");
    }
    for (size_t i = 0; i < n->nchildren; i++)
        roots[n->children[i]] = 1;
    return keep_roots(g, target, branch_node, node, roots, err);
}

static pawl_status
refuse_nothing_applied(const pawl_target *target, pawl_error *err)
{
    if (target->branch == NULL)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\": nothing is applied that could be reverted",
                              target->text);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\": branch \"%s\" does not end in an applied revision",
                          target->text, target->branch);
    return pawl_error_hint(err, "`pawl current` shows where the database is");
}

/* -N: the last N of the branch that is current. */
static pawl_status
roots_of_last(pawl_graph *g, const pawl_target *target, unsigned char *roots, pawl_error *err)
{
    size_t start = PAWL_NODE_NONE;
    size_t end;
    pawl_status st;

    if (target->relative > 0)
    {
        (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" goes forward, and downgrade only goes back",
                              target->text);
        return pawl_error_hint(err, "to apply: pawl upgrade %s", target->text);
    }
    if ((st = pawl_target_start(g, target, &start, err)) != PAWL_OK)
        return st;
    if (start == PAWL_NODE_NONE)
        return refuse_nothing_applied(target, err);
    if ((st = pawl_target_walk(g, target, start, &end, err)) != PAWL_OK)
        return st;
    return roots_above(g, target, target->branch == NULL ? start : target->branch_node, end, roots, err);
}

static pawl_status
downgrade_roots(pawl_graph *g, const pawl_target *target, unsigned char *roots, pawl_error *err)
{
    size_t node = PAWL_NODE_NONE;
    pawl_status st;

    if (target->name == NULL)
        return roots_of_last(g, target, roots, err);
    st = pawl_target_node(g, target, &node, err);
    if (st == PAWL_OK && target->relative != 0)
        st = pawl_target_walk(g, target, node, &node, err);
    if (st == PAWL_OK)
        st = roots_above(g, target, target->branch_node, node, roots, err);
    return st;
}

pawl_status
pawl_graph_downgrade_path(pawl_graph *g, const char *target, size_t **out, size_t *count, pawl_error *err)
{
    pawl_target parsed;
    unsigned char *set = pawl_graph_set(g);
    pawl_status st;

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    if ((st = pawl_target_parse(g, target, "downgrade", &parsed, err)) != PAWL_OK ||
        (st = downgrade_roots(g, &parsed, set, err)) != PAWL_OK)
        return st;
    pawl_graph_close(g, set, PAWL_TO_CHILDREN, true);
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] = (unsigned char) (set[i] != 0 && g->nodes.items[i].is_applied);
    return pawl_graph_list(g, set, true, out, count, err);
}

/* ---- one revision ---------------------------------------------------------------------------------------------------------- */

/* `base` as the name of a revision is the one that has no parents. */
static pawl_status
resolve_base(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    size_t *list = NULL;
    size_t count = 0;
    unsigned char *set = pawl_graph_set(g);
    pawl_status st;

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    pawl_graph_mark_bases(g, set);
    pawl_target_keep(g, target, set);
    if ((st = pawl_graph_list_by_id(g, set, &list, &count, err)) != PAWL_OK)
        return st;
    if (count == 1)
    {
        *out = list[0];
        return PAWL_OK;
    }
    if (count == 0)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is no revision: the directory has none",
                              target->text);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is not one revision: there are %zu bases", target->text,
                          count);
    return pawl_error_hint(err, "name one of them: %s, %s%s", g->nodes.items[list[0]].id,
                           g->nodes.items[list[1]].id, count > 2 ? ", ..." : "");
}

pawl_status
pawl_graph_resolve(pawl_graph *g, const char *target, size_t *out, pawl_error *err)
{
    pawl_target parsed;
    size_t node = PAWL_NODE_NONE;
    pawl_status st = pawl_target_parse(g, target, NULL, &parsed, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_target_is_word(&parsed, "base") && parsed.relative == 0)
        return resolve_base(g, &parsed, out, err);
    if (parsed.name == NULL)
        st = pawl_target_start(g, &parsed, &node, err);
    else
        st = pawl_target_node(g, &parsed, &node, err);
    if (st == PAWL_OK && parsed.relative != 0)
        st = pawl_target_walk(g, &parsed, node, &node, err);
    if (st != PAWL_OK)
        return st;
    if (node == PAWL_NODE_NONE)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is before the first revision", target);
    *out = node;
    return PAWL_OK;
}

pawl_status
pawl_graph_resolve_all(pawl_graph *g, const char *target, size_t **out, size_t *count, pawl_error *err)
{
    pawl_target parsed;
    unsigned char *set = pawl_graph_set(g);
    pawl_status st = pawl_target_parse(g, target, NULL, &parsed, err);

    if (st != PAWL_OK)
        return st;
    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    if (parsed.relative == 0 &&
        (pawl_target_is_word(&parsed, "heads") || pawl_target_is_word(&parsed, "current")))
    {
        st = pawl_target_mark(g, &parsed, set, err);
    }
    else
    {
        size_t node = PAWL_NODE_NONE;

        st = pawl_graph_resolve(g, target, &node, err);
        if (st == PAWL_OK)
            set[node] = 1;
    }
    return st == PAWL_OK ? pawl_graph_list_by_id(g, set, out, count, err) : st;
}
