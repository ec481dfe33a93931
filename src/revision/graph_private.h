/*
 * graph_private.h - the inside of a graph, for graph*.c only.
 *
 * graph.c builds and ties, order.c sorts and finds cycles, walk_order.c lists sets, target.c reads targets,
 * graph_path.c turns them into lists, range.c does so for parts of the history, branch.c knows branches, stamp.c what a
 * stamp changes, replaced.c what stands for revisions that were squashed.
 *
 * Threads: as graph.h.
 * Memory:  as graph.h; sets are one byte a node in the graph's arena.
 */
#ifndef PAWL_REVISION_GRAPH_PRIVATE_H
#define PAWL_REVISION_GRAPH_PRIVATE_H

#include "revision/graph.h"
#include "revision/names.h"
#include "util/vec.h"

/* An id that a file's `replaces` lists. */
typedef struct pawl_replaced
{
    const char *id;
    size_t node;  /* of the file */
    size_t item;  /* of its list */
    bool is_lost; /* another item has the name already: link reports it */
} pawl_replaced;

struct pawl_graph
{
    pawl_arena *arena;
    PAWL_VEC(pawl_node) nodes;
    PAWL_VEC(const char *const *) ledger_parents; /* per node: names the ledger gave, NULL without */
    PAWL_VEC(size_t) ledger_nparents;
    PAWL_VEC(const pawl_revision *) duplicates; /* files whose id another file has */
    PAWL_VEC(pawl_replaced) replaced;
    pawl_names ids;
    pawl_names labels;
    pawl_names replaced_ids; /* places in `replaced` */
    size_t *by_id;           /* nodes in order of id; from link on, as all below */
    size_t *id_rank;         /* the place of a node in by_id */
    size_t *order;           /* topological */
    size_t *level;           /* longest way from a base, by parents: an ancestor's is lower */
    unsigned char *scratch;  /* for is_ancestor */
    size_t *stack;           /* for walks; as long as there are nodes */
    bool has_cycle;
};

typedef enum pawl_direction
{
    PAWL_TO_PARENTS,
    PAWL_TO_CHILDREN,
} pawl_direction;

/* A set of nodes: one byte each. NULL when memory ran out. */
PAWL_NODISCARD unsigned char *pawl_graph_set(pawl_graph *g);

/* Add to `set` everything that is reached from the members it has; with_depends follows depends_on too. */
void pawl_graph_close(const pawl_graph *g, unsigned char *set, pawl_direction direction, bool with_depends);

/* The members as they are applied, branch by branch, or as they are reverted. */
PAWL_NODISCARD pawl_status pawl_graph_list(pawl_graph *g, const unsigned char *set, bool is_reversed,
                                           size_t **out, size_t *count, pawl_error *err);

/* The members in order of id. */
PAWL_NODISCARD pawl_status pawl_graph_list_by_id(pawl_graph *g, const unsigned char *set, size_t **out,
                                                 size_t *count, pawl_error *err);

/* Keep those members that no other descends from; with_depends: nor depends on. */
void pawl_graph_keep_tips(const pawl_graph *g, unsigned char *set, bool with_depends);

/* The member of a set of one; PAWL_NODE_NONE of an empty set. */
size_t pawl_graph_only(const pawl_graph *g, const unsigned char *set);

/* Fill order and level; report cycles. */
PAWL_NODISCARD pawl_status pawl_graph_sort(pawl_graph *g, pawl_problems *problems, pawl_error *err);

/* Remember what the file of `node` replaces. */
PAWL_NODISCARD pawl_status pawl_graph_add_replaced(pawl_graph *g, size_t node, pawl_error *err);

/* Report replaced ids that have a file, or two replacements. */
void pawl_graph_report_replaced(const pawl_graph *g, pawl_problems *problems);

/* What a name in a file means: a file, else what replaces it, else what only the ledger has. */
size_t pawl_graph_find_for_file(const pawl_graph *g, const char *id);

/* Give an error when the target is a replaced revision where no database can come to stand any more. */
PAWL_NODISCARD pawl_status pawl_graph_check_replaced(const pawl_graph *g, const char *name, pawl_error *err);

/* Where a problem with item `item` of `key` is to be shown (SIZE_MAX: the key as a whole). */
void pawl_graph_problem(const pawl_graph *g, pawl_problems *problems, size_t node, const char *key,
                        size_t item, const char *hint, const char *message);

/* Fill `scratch` with the ancestors of `nodes` (by parents, without themselves) whose level is `lowest` or more. */
void pawl_graph_mark_ancestors(const pawl_graph *g, const size_t *nodes, size_t count, size_t lowest);

/* A target, taken apart. Texts live in the graph's arena. */
typedef struct pawl_target
{
    const char *text;
    const char *verb;       /* for what to type instead: "upgrade", or NULL */
    const char *branch;     /* NULL: none */
    const char *name;       /* NULL: none */
    int64_t relative;       /* 0: absolute */
    unsigned char *lineage; /* of the branch: its ancestors, itself, its descendants; NULL without */
    size_t branch_node;     /* PAWL_NODE_NONE without */
    bool is_clamped;        /* a walk that would go too far ends at the base or the last revision */
} pawl_target;

PAWL_NODISCARD pawl_status pawl_target_parse(pawl_graph *g, const char *text, const char *verb,
                                             pawl_target *out, pawl_error *err);

bool pawl_target_is_word(const pawl_target *target, const char *word);

/* The single node that the name means, or PAWL_NODE_NONE for base. */
PAWL_NODISCARD pawl_status pawl_target_node(pawl_graph *g, const pawl_target *target, size_t *out,
                                            pawl_error *err);

/*
 * The single applied node from which +N and -N count; PAWL_NODE_NONE when there is none: +N then counts from before
 * the first, and -N has nothing to revert.
 */
PAWL_NODISCARD pawl_status pawl_target_start(pawl_graph *g, const pawl_target *target, size_t *out,
                                             pawl_error *err);

/*
 * Walk `relative` generations from `start` (PAWL_NODE_NONE: before the first); the branch chooses where the way up
 * forks. One step below a base is PAWL_NODE_NONE. Further is an error, and so are forks, and a merge on the way down.
 */
PAWL_NODISCARD pawl_status pawl_target_walk(pawl_graph *g, const pawl_target *target, size_t start,
                                            size_t *out, pawl_error *err);

/* Put all nodes into `set` that an absolute target means: heads may be several, base is none. */
PAWL_NODISCARD pawl_status pawl_target_mark(pawl_graph *g, const pawl_target *target, unsigned char *set,
                                            pawl_error *err);

/* Take out of `set` what the target's branch does not have. */
void pawl_target_keep(const pawl_graph *g, const pawl_target *target, unsigned char *set);

/* Put into `set`: heads or bases on disk, all applied nodes. */
void pawl_graph_mark_heads(const pawl_graph *g, unsigned char *set);
void pawl_graph_mark_bases(const pawl_graph *g, unsigned char *set);
void pawl_graph_mark_applied(const pawl_graph *g, unsigned char *set);

#endif
