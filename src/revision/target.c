#include <string.h>

#include "revision/graph_private.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define LISTED 8 /* ids that a message lists */

/* ---- sets of a graph ------------------------------------------------------------------------------------------------- */

static bool
has_child_on_disk(const pawl_graph *g, const pawl_node *node)
{
    for (size_t i = 0; i < node->nchildren; i++)
    {
        if (g->nodes.items[node->children[i]].revision != NULL)
            return true;
    }
    return false;
}

void
pawl_graph_mark_heads(const pawl_graph *g, unsigned char *set)
{
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] =
            (unsigned char) (g->nodes.items[i].revision != NULL && !has_child_on_disk(g, &g->nodes.items[i]));
}

void
pawl_graph_mark_bases(const pawl_graph *g, unsigned char *set)
{
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] =
            (unsigned char) (g->nodes.items[i].revision != NULL && g->nodes.items[i].revision->nparents == 0);
}

void
pawl_graph_mark_applied(const pawl_graph *g, unsigned char *set)
{
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] = g->nodes.items[i].is_applied ? 1 : 0;
}

void
pawl_target_keep(const pawl_graph *g, const pawl_target *target, unsigned char *set)
{
    for (size_t i = 0; target->lineage != NULL && i < g->nodes.length; i++)
        set[i] = (unsigned char) (set[i] != 0 && target->lineage[i] != 0);
}

static size_t
count_members(const pawl_graph *g, const unsigned char *set)
{
    size_t n = 0;

    for (size_t i = 0; i < g->nodes.length; i++)
        n += set[i] != 0 ? 1 : 0;
    return n;
}

/* Append the members in order of id, each as `before`ID`after`. */
static void
describe(const pawl_graph *g, const unsigned char *set, const char *before, const char *after,
         const char *between, pawl_strbuf *out)
{
    size_t shown = 0;

    for (size_t r = 0; r < g->nodes.length; r++)
    {
        if (set[g->by_id[r]] == 0)
            continue;
        if (shown == LISTED)
        {
            pawl_strbuf_add(out, ", ...");
            return;
        }
        pawl_strbuf_addf(out, "%s%s%s%s", shown == 0 ? "" : between, before, g->nodes.items[g->by_id[r]].id,
                         after);
        shown++;
    }
}

/* ---- names ----------------------------------------------------------------------------------------------------------- */

bool
pawl_target_is_word(const pawl_target *target, const char *word)
{
    return target->name != NULL && pawl_names_compare(target->name, word) == 0;
}

static pawl_status
refuse_unknown(pawl_graph *g, const char *name, pawl_error *err)
{
    const char **words = pawl_arena_array(g->arena, g->nodes.length + g->labels.length, sizeof *words);
    const char *nearest = NULL;
    size_t n = 0;

    (void) pawl_error_set(err, PAWL_E_USAGE, "there is no revision or branch \"%s\"", name);
    for (size_t i = 0; words != NULL && i < g->nodes.length; i++)
        words[n++] = g->nodes.items[g->by_id[i]].id;
    for (size_t i = 0; words != NULL && i < g->labels.capacity; i++)
    {
        if (g->labels.slots[i].name != NULL)
            words[n++] = g->labels.slots[i].name;
    }
    if (words != NULL)
        nearest = pawl_units_nearest(name, words, n);
    if (nearest != NULL)
        return pawl_error_hint(err, "did you mean \"%s\"?", nearest);
    return pawl_error_hint(err, "`pawl history` lists all revisions");
}

static pawl_status
refuse_ambiguous_prefix(const pawl_graph *g, const char *name, const unsigned char *set, pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);

    describe(g, set, "", "", ", ", &ids);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is the beginning of several revisions: %s", name,
                          ids.data);
    return pawl_error_hint(err, "type more of the one that is meant");
}

/* The first place in by_id whose id does not sort before `prefix`. */
static size_t
lower_bound(const pawl_graph *g, const char *prefix)
{
    size_t low = 0;
    size_t high = g->nodes.length;

    while (low < high)
    {
        size_t middle = low + (high - low) / 2;

        if (pawl_names_compare(g->nodes.items[g->by_id[middle]].id, prefix) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static pawl_status
find_by_prefix(pawl_graph *g, const char *name, const unsigned char *lineage, size_t *out, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);
    size_t count;

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    for (size_t r = lower_bound(g, name); r < g->nodes.length; r++)
    {
        size_t node = g->by_id[r];

        if (!pawl_names_has_prefix(g->nodes.items[node].id, name))
            break;
        set[node] = (unsigned char) (lineage == NULL || lineage[node] != 0);
    }
    for (size_t i = 0; i < g->replaced.length; i++)
    {
        const pawl_replaced *r = &g->replaced.items[i];

        if (pawl_names_has_prefix(r->id, name) && pawl_names_find(&g->ids, r->id) == PAWL_NAMES_NONE)
            set[r->node] = (unsigned char) (lineage == NULL || lineage[r->node] != 0);
    }
    count = count_members(g, set);
    if (count == 0)
        return refuse_unknown(g, name, err);
    if (count > 1)
        return refuse_ambiguous_prefix(g, name, set, err);
    *out = pawl_graph_only(g, set);
    return PAWL_OK;
}

/* A revision, a label, one that was replaced, or a unique prefix of a revision, in this order. */
static pawl_status
find_name(pawl_graph *g, const char *name, const char *branch, const unsigned char *lineage, size_t *out,
          pawl_error *err)
{
    size_t node = pawl_names_find(&g->ids, name);

    if (node == PAWL_NAMES_NONE)
        node = pawl_names_find(&g->labels, name);
    if (node == PAWL_NAMES_NONE)
        node = pawl_graph_replacement(g, name, NULL);
    if (node == PAWL_NODE_NONE)
        return find_by_prefix(g, name, lineage, out, err);
    if (lineage != NULL && lineage[node] == 0)
        return pawl_error_set(err, PAWL_E_USAGE, "revision \"%s\" is not on the branch \"%s\"",
                              g->nodes.items[node].id, branch);
    *out = node;
    return PAWL_OK;
}

/* Several heads where one is wanted. */
static pawl_status
refuse_heads(const pawl_graph *g, const pawl_target *target, const unsigned char *set, pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);
    PAWL_STRBUF_AUTO(words);

    describe(g, set, "", "", ", ", &ids);
    describe(g, set, "", "", " ", &words);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is not one revision: there are %zu heads: %s",
                          target->text, count_members(g, set), ids.data);
    if (target->verb != NULL && strcmp(target->verb, "upgrade") == 0)
        return pawl_error_hint(
            err, "join them: pawl merge %s -m \"merge heads\"; or apply all: pawl upgrade %s%sheads",
            words.data, target->branch == NULL ? "" : target->branch, target->branch == NULL ? "" : "@");
    return pawl_error_hint(err, "name one of them");
}

static pawl_status
refuse_several(const pawl_graph *g, const pawl_target *target, const char *what, const unsigned char *set,
               pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);

    describe(g, set, "", "", ", ", &ids);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is not one revision: there are %zu %s: %s", target->text,
                          count_members(g, set), what, ids.data);
    return pawl_error_hint(err, "name one of them");
}

static pawl_status
node_of_current(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    unsigned char *tips = pawl_graph_set(g);
    size_t node;

    if (tips == NULL)
        return pawl_error_nomem(err, "a target");
    pawl_graph_mark_applied(g, tips);
    pawl_graph_keep_tips(g, tips, false);
    pawl_target_keep(g, target, tips);
    if (count_members(g, tips) > 1)
        return refuse_several(g, target, "current revisions", tips, err);
    node = pawl_graph_only(g, tips);
    if (node == PAWL_NODE_NONE)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is no revision: nothing is applied", target->text);
    *out = node;
    return PAWL_OK;
}

static pawl_status
node_of_head(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    unsigned char *heads = pawl_graph_set(g);
    size_t node;

    if (heads == NULL)
        return pawl_error_nomem(err, "a target");
    pawl_graph_mark_heads(g, heads);
    if (target->branch == NULL && pawl_target_is_word(target, "heads"))
        pawl_graph_keep_tips(g, heads, true);
    pawl_target_keep(g, target, heads);
    if (count_members(g, heads) > 1)
        return refuse_heads(g, target, heads, err);
    node = pawl_graph_only(g, heads);
    if (node == PAWL_NODE_NONE)
        return pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is no revision: the directory has none",
                              target->text);
    *out = node;
    return PAWL_OK;
}

pawl_status
pawl_target_node(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    if (pawl_target_is_word(target, "head") || pawl_target_is_word(target, "heads"))
        return node_of_head(g, target, out, err);
    if (pawl_target_is_word(target, "current"))
        return node_of_current(g, target, out, err);
    if (pawl_target_is_word(target, "base"))
    {
        *out = PAWL_NODE_NONE;
        return PAWL_OK;
    }
    if (target->verb != NULL && strcmp(target->verb, "history") != 0 &&
        pawl_graph_check_replaced(g, target->name, err) != PAWL_OK)
        return err->code;
    return find_name(g, target->name, target->branch, target->lineage, out, err);
}

pawl_status
pawl_target_mark(pawl_graph *g, const pawl_target *target, unsigned char *set, pawl_error *err)
{
    size_t node = PAWL_NODE_NONE;
    pawl_status st;

    if (pawl_target_is_word(target, "base"))
        return PAWL_OK;
    if (pawl_target_is_word(target, "heads") || pawl_target_is_word(target, "current"))
    {
        if (pawl_target_is_word(target, "heads"))
            pawl_graph_mark_heads(g, set);
        else
            pawl_graph_mark_applied(g, set);
        if (pawl_target_is_word(target, "current"))
            pawl_graph_keep_tips(g, set, false);
        pawl_target_keep(g, target, set);
        return PAWL_OK;
    }
    st = pawl_target_node(g, target, &node, err);
    if (st == PAWL_OK)
        set[node] = 1;
    return st;
}

/* ---- taking a target apart --------------------------------------------------------------------------------------------- */

static pawl_status
refuse_shape(const char *text, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is no target", text);
    return pawl_error_hint(
        err, "a target is a revision, the beginning of one, a label, head, heads, base, +N, -N, "
             "REVISION+N, REVISION-N, or one of these after LABEL@");
}

static pawl_status
find_lineage(pawl_graph *g, pawl_target *out, pawl_error *err)
{
    unsigned char *up = pawl_graph_set(g);
    unsigned char *down = pawl_graph_set(g);
    size_t node = PAWL_NODE_NONE;
    pawl_status st;

    if (up == NULL || down == NULL)
        return pawl_error_nomem(err, "a target");
    if ((st = find_name(g, out->branch, NULL, NULL, &node, err)) != PAWL_OK)
        return st;
    up[node] = down[node] = 1;
    pawl_graph_close(g, up, PAWL_TO_PARENTS, false);
    pawl_graph_close(g, down, PAWL_TO_CHILDREN, false);
    for (size_t i = 0; i < g->nodes.length; i++)
        up[i] = (unsigned char) (up[i] != 0 || down[i] != 0);
    out->lineage = up;
    out->branch_node = node;
    return PAWL_OK;
}

/* The N of a text that ends in +N or -N; *length is what stands before it. */
static bool
has_relative(const char *text, size_t *length, int64_t *out)
{
    size_t at = strlen(text);

    while (at > 0 && text[at - 1] >= '0' && text[at - 1] <= '9')
        at--;
    if (at == 0 || (text[at - 1] != '+' && text[at - 1] != '-') || !pawl_has_i64(text + at - 1, out))
        return false;
    *length = at - 1;
    return true;
}

pawl_status
pawl_target_parse(pawl_graph *g, const char *text, const char *verb, pawl_target *out, pawl_error *err)
{
    pawl_target target = {.verb = verb, .branch_node = PAWL_NODE_NONE};
    const char *at = strchr(text, '@');
    const char *rest = at == NULL ? text : at + 1;
    size_t length = strlen(rest);
    bool is_relative = has_relative(rest, &length, &target.relative);

    if ((is_relative && target.relative == 0) || (!is_relative && length == 0) || at == text ||
        strspn(rest, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.") < length)
        return refuse_shape(text, err);

    target.text = pawl_arena_strdup(g->arena, text);
    target.branch = at == NULL ? NULL : pawl_arena_strndup(g->arena, text, (size_t) (at - text));
    target.name = length == 0 ? NULL : pawl_arena_strndup(g->arena, rest, length);
    if (target.text == NULL || (at != NULL && target.branch == NULL) || (length > 0 && target.name == NULL))
        return pawl_error_nomem(err, "a target");
    if (target.branch != NULL)
    {
        pawl_status st = find_lineage(g, &target, err);

        if (st != PAWL_OK)
            return st;
    }
    *out = target;
    return PAWL_OK;
}

/* ---- relative targets ------------------------------------------------------------------------------------------------ */

/* Several branches are current where N can be counted from one only: print what to type for each. */
static pawl_status
refuse_start(const pawl_graph *g, const pawl_target *target, const unsigned char *set, pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);
    PAWL_STRBUF_AUTO(commands);
    const char *verb = target->verb == NULL ? "show" : target->verb;
    char before[32];
    char after[32];

    pawl_fmt(before, sizeof before, "pawl %s ", verb);
    pawl_fmt(after, sizeof after, "@%+lld", (long long) target->relative);
    describe(g, set, "", "", ", ", &ids);
    describe(g, set, before, after, ", or ", &commands);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is ambiguous: %zu branches are current: %s",
                          target->text, count_members(g, set), ids.data);
    return pawl_error_hint(err, "name the branch: %s", commands.data);
}

/* Keep those members that no other member has as a parent or dependency of its own. */
static void
keep_unneeded(const pawl_graph *g, unsigned char *set)
{
    unsigned char *needed = g->scratch;

    memset(needed, 0, g->nodes.length);
    for (size_t i = 0; i < g->nodes.length; i++)
    {
        const pawl_node *node = &g->nodes.items[i];

        for (size_t k = 0; set[i] != 0 && k < node->nparents; k++)
            needed[node->parents[k]] = 1;
        for (size_t k = 0; set[i] != 0 && k < node->ndepends_on; k++)
            needed[node->depends_on[k]] = 1;
    }
    for (size_t i = 0; i < g->nodes.length; i++)
        set[i] = (unsigned char) (set[i] != 0 && needed[i] == 0);
}

/*
 * The branch is not at its end anywhere: it goes on from the last of it that other branches needed. Of two that lead to
 * its merge neither is the last, also where one needs the other by a way outside of the branch.
 */
static void
start_within(const pawl_graph *g, const pawl_target *target, unsigned char *tips)
{
    pawl_graph_mark_applied(g, tips);
    if (target->relative > 0)
    {
        pawl_target_keep(g, target, tips);
        keep_unneeded(g, tips);
        return;
    }
    pawl_graph_keep_tips(g, tips, false);
    pawl_target_keep(g, target, tips);
}

pawl_status
pawl_target_start(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    unsigned char *tips = pawl_graph_set(g);

    if (tips == NULL)
        return pawl_error_nomem(err, "a target");

    /* What an applied revision depends on cannot be the one that goes first: it is no place to count from. */
    pawl_graph_mark_applied(g, tips);
    pawl_graph_keep_tips(g, tips, true);
    pawl_target_keep(g, target, tips);
    if (target->branch != NULL && count_members(g, tips) == 0)
        start_within(g, target, tips);
    if (count_members(g, tips) > 1)
        return refuse_start(g, target, tips, err);
    *out = pawl_graph_only(g, tips);
    return PAWL_OK;
}

static pawl_status
refuse_fork(const pawl_graph *g, const pawl_target *target, const unsigned char *set, pawl_error *err)
{
    PAWL_STRBUF_AUTO(ids);
    PAWL_STRBUF_AUTO(commands);
    char before[32];

    bool is_range = target->verb != NULL && strcmp(target->verb, "history") == 0;

    pawl_fmt(before, sizeof before, "pawl %s ", target->verb == NULL ? "show" : target->verb);
    describe(g, set, "", "", ", ", &ids);
    describe(g, set, before, is_range ? ":" : "", ", or ", &commands);
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" is ambiguous: the way forks at %s", target->text,
                          ids.data);
    return pawl_error_hint(err, "name the revision that is meant, for example %s", commands.data);
}

static pawl_status
refuse_distance(const pawl_target *target, int64_t walked, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" goes too far: there are only %lld revisions that way",
                          target->text, (long long) walked);
    if (target->relative < 0)
        return pawl_error_hint(err, "\"base\" is before the first revision");
    return pawl_error_hint(err, "\"head\" is the last revision");
}

static bool
is_kept(const pawl_target *target, size_t node)
{
    return target->lineage == NULL || target->lineage[node] != 0;
}

/* The first of `list` that the branch has, and how many it has; `set` (may be NULL) gets them all. */
static size_t
choose(const pawl_target *target, const size_t *list, size_t count, size_t *first, unsigned char *set)
{
    size_t n = 0;

    for (size_t i = 0; i < count; i++)
    {
        if (!is_kept(target, list[i]))
            continue;
        if (n++ == 0)
            *first = list[i];
        if (set != NULL)
            set[list[i]] = 1;
    }
    return n;
}

/*
 * One generation up or down from `at`: how many there are, and the first of them. A branch does not choose between the
 * parents of a merge: which of them the rest of the way leads to would be a guess about the other one.
 */
static size_t
next_generation(const pawl_graph *g, const pawl_target *target, size_t at, size_t *first, unsigned char *set)
{
    const pawl_node *node = &g->nodes.items[at];

    *first = PAWL_NODE_NONE;
    if (target->relative > 0)
        return choose(target, node->children, node->nchildren, first, set);
    for (size_t i = 0; i < node->nparents; i++)
    {
        *first = i == 0 ? node->parents[0] : *first;
        if (set != NULL)
            set[node->parents[i]] = 1;
    }
    return node->nparents == 0 ? 1 : node->nparents;
}

/* The first step up from before everything: to the only base (of the branch). */
static pawl_status
step_to_base(pawl_graph *g, const pawl_target *target, size_t *out, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    pawl_graph_mark_bases(g, set);
    pawl_target_keep(g, target, set);
    if (count_members(g, set) == 0)
        return refuse_distance(target, 0, err);
    if (count_members(g, set) > 1)
        return refuse_fork(g, target, set, err);
    *out = pawl_graph_only(g, set);
    return PAWL_OK;
}

static pawl_status
report_fork(pawl_graph *g, const pawl_target *target, size_t at, pawl_error *err)
{
    unsigned char *set = pawl_graph_set(g);
    size_t ignored;

    if (set == NULL)
        return pawl_error_nomem(err, "a target");
    (void) next_generation(g, target, at, &ignored, set);
    return refuse_fork(g, target, set, err);
}

pawl_status
pawl_target_walk(pawl_graph *g, const pawl_target *target, size_t start, size_t *out, pawl_error *err)
{
    bool is_up = target->relative > 0;
    int64_t steps = is_up ? target->relative : -target->relative;
    size_t at = start;

    for (int64_t i = 0; i < steps; i++)
    {
        size_t next = PAWL_NODE_NONE;
        size_t count = 1;
        pawl_status st = PAWL_OK;

        if (at == PAWL_NODE_NONE && is_up)
            st = step_to_base(g, target, &next, err);
        else if (at == PAWL_NODE_NONE)
            st = refuse_distance(target, i, err);
        else
            count = next_generation(g, target, at, &next, NULL);
        if (target->is_clamped && (count == 0 || (at == PAWL_NODE_NONE && !is_up)))
            break;
        if (st != PAWL_OK)
            return st;
        /* A cycle (reported by link) has no end: no way is longer than there are nodes. */
        if (count == 0 || i > (int64_t) g->nodes.length)
            return refuse_distance(target, i, err);
        if (count > 1)
            return report_fork(g, target, at, err);
        at = next;
    }
    *out = at;
    return PAWL_OK;
}
