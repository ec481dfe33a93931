/*
 * graph.h - the history as a directed acyclic graph: parents before children.
 *
 * Nodes are indices. A node may come from a file, or only from the ledger (applied, and its file is gone). Edges are
 * `parents`; `depends_on` orders application too, but makes no descent: it never turns a node into a non-head.
 * Orders, relative targets, labels and what `heads`, `branches` and merges mean follow Alembic 1.8.
 *
 *   new -> (add ...) -> link -> (questions) -> free
 *
 * A revision may stand for others that have no file any more (`replaces`). Which of the ledger's rows are covered by it
 * is the caller's to say (migrate/squashed.h): here a replaced id is a second name of the replacement.
 *
 * A head is a revision on disk without children on disk; a base is one without parents. What only the ledger knows is
 * never a head: `upgrade` cannot reach it.
 *
 * Threads: a graph belongs to one thread; questions use its arena and scratch memory.
 * Memory:  the graph owns an arena; ids are copied. Revisions are referred to and must outlive it.
 */
#ifndef PAWL_REVISION_GRAPH_H
#define PAWL_REVISION_GRAPH_H

#include "revision/dir.h"

#define PAWL_NODE_NONE SIZE_MAX

typedef struct pawl_node
{
    const char *id;
    const pawl_revision *revision; /* NULL: known from the ledger only */
    bool is_applied;               /* set by the caller before link (pawl_graph_add_applied) */
    size_t *parents;               /* nodes */
    size_t nparents;
    size_t *depends_on;
    size_t ndepends_on;
    size_t *children; /* by parents */
    size_t nchildren;
    size_t *dependents; /* by depends_on */
    size_t ndependents;
} pawl_node;

typedef struct pawl_graph pawl_graph;

PAWL_NODISCARD pawl_status pawl_graph_new(pawl_graph **out, pawl_error *err);
void pawl_graph_free(pawl_graph *g);

PAWL_NODISCARD pawl_status pawl_graph_add(pawl_graph *g, const pawl_revision *revision, pawl_error *err);

/* Mark as applied; adds a node when no file has this id. */
PAWL_NODISCARD pawl_status pawl_graph_add_applied(pawl_graph *g, const char *id, const char *const *parents,
                                                  size_t nparents, pawl_error *err);

/*
 * Tie the edges. Problems: unknown parents (with the nearest id), duplicates ignoring case, ids that are a prefix of
 * another, cycles (named node by node), two files with one label, a label that is an id, a merge of ancestor and
 * descendant. `depends_on` may also name a label. After problems the questions below still work, on what could be tied.
 */
PAWL_NODISCARD pawl_status pawl_graph_link(pawl_graph *g, pawl_problems *problems, pawl_error *err);

size_t pawl_graph_length(const pawl_graph *g);
const pawl_node *pawl_graph_node(const pawl_graph *g, size_t node);

/* The node of an exact id (ignoring case), or PAWL_NODE_NONE. */
size_t pawl_graph_find(const pawl_graph *g, const char *id);

/*
 * The node on disk whose `replaces` has this id, or PAWL_NODE_NONE. *is_last (may be NULL): it is the last one, so that a
 * database that has it stands where one with the node stands. A parent, dependency or target that names a replaced
 * revision means its replacement, unless the ledger still has it as a node of its own; only the last one can be where an
 * upgrade, a downgrade or a stamp is to end.
 */
size_t pawl_graph_replacement(const pawl_graph *g, const char *id, bool *is_last);

/* Lists are allocated in the graph's arena, and stable: heads, bases and current are in order of id. */
PAWL_NODISCARD pawl_status pawl_graph_heads(pawl_graph *g, size_t **out, size_t *count, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_graph_bases(pawl_graph *g, size_t **out, size_t *count, pawl_error *err);

/* Applied nodes without applied descendants (by `parents`): what `current` shows. */
PAWL_NODISCARD pawl_status pawl_graph_current(pawl_graph *g, size_t **out, size_t *count, pawl_error *err);

/* Every node, parents and dependencies before those that need them, and one branch after the other (walk_order.c). */
PAWL_NODISCARD pawl_status pawl_graph_order(pawl_graph *g, size_t **out, size_t *count, pawl_error *err);

/* True when `node` descends from `ancestor`, by `parents`; a node is no ancestor of itself. */
bool pawl_graph_is_ancestor(const pawl_graph *g, size_t ancestor, size_t node);

/*
 * Targets: [BRANCH@]NAME, [BRANCH@][NAME]+N, [BRANCH@][NAME]-N. NAME is a revision, a unique prefix of one, a label, head,
 * heads, base or current; BRANCH is a label or a revision, and keeps to its ancestors and descendants. Without a NAME,
 * +N and -N count from what is applied. Unknown and ambiguous targets are PAWL_E_USAGE, with what to type instead.
 */

/*
 * What has to be applied, in order, to have `target` and all that it needs. Two heads at `head` is an error that lists
 * them and names the merge command. An empty list: nothing to do.
 */
PAWL_NODISCARD pawl_status pawl_graph_upgrade_path(pawl_graph *g, const char *target, size_t **out,
                                                   size_t *count, pawl_error *err);

/*
 * What has to be reverted, in order. A revision as target stays; what descends from it, and what depends on any of
 * that, goes. -N reverts the last N of the one current branch, BRANCH@-N of that branch, BRANCH@base all of it. A walk
 * down that comes to a merge is an error, and so is a BRANCH that begins above a fork of the target.
 */
PAWL_NODISCARD pawl_status pawl_graph_downgrade_path(pawl_graph *g, const char *target, size_t **out,
                                                     size_t *count, pawl_error *err);

/* One node for verbs that name a revision (show, bench, preview). */
PAWL_NODISCARD pawl_status pawl_graph_resolve(pawl_graph *g, const char *target, size_t *out,
                                              pawl_error *err);

/* All that a target means, for verbs that take several: heads and current may be any number. In order of id. */
PAWL_NODISCARD pawl_status pawl_graph_resolve_all(pawl_graph *g, const char *target, size_t **out,
                                                  size_t *count, pawl_error *err);

/*
 * A part of the history, newest first: "A:B" with A and B included, "A:" up to the heads, ":B" from the base. Both are
 * targets; B may be +N (counted from A) and A may be -N (counted back from each B). A distance that is too long ends at
 * the base or the head. What is shown descends from A and is needed by B; A that is no ancestor of B is an error.
 */
PAWL_NODISCARD pawl_status pawl_graph_range(pawl_graph *g, const char *range, size_t **out, size_t *count,
                                            pawl_error *err);

/* Nodes that several others follow, by parents; newest first. */
PAWL_NODISCARD pawl_status pawl_graph_branch_points(pawl_graph *g, size_t **out, size_t *count,
                                                    pawl_error *err);

/*
 * The labels of the branches that each node is on (an array with a list a node): a label holds for what descends from
 * its revision, and for what leads to it alone.
 */
typedef struct pawl_node_labels
{
    const char **items;
    size_t length;
} pawl_node_labels;
PAWL_NODISCARD pawl_status pawl_graph_branch_labels(pawl_graph *g, pawl_node_labels **out, pawl_error *err);

/* What a stamp changes: what is to be recorded as applied no longer, newest first, and what from now on, oldest first. */
typedef struct pawl_graph_change
{
    size_t *removed;
    size_t nremoved;
    size_t *added;
    size_t nadded;
} pawl_graph_change;

/*
 * As if the targets were where the database is: of the current revisions, those on the way to a target or beyond it go,
 * others stay; with is_purge all go. A target is a revision, a label, head, heads or base, with BRANCH@ before it or not;
 * relative ones are refused (they would mean something else the second time).
 */
PAWL_NODISCARD pawl_status pawl_graph_stamp(pawl_graph *g, const char *const *targets, size_t ntargets,
                                            bool is_purge, pawl_graph_change *out, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_graph, pawl_graph_free);

#endif
