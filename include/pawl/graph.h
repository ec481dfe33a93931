/*
 * graph.h - the history of a project as a graph: revisions as nodes, parents and dependencies as edges; and the two
 * calls that change it without running anything, merge and stamp.
 *
 * Orders, ranges and targets are those of Alembic 1.8 (docs/alembic.md has the differences).
 *
 * Threads: as project.h.
 * Memory:  a history and a stamp belong to the caller and go back through their own free function.
 */
#ifndef PAWL_GRAPH_H
#define PAWL_GRAPH_H

#include "pawl/project.h"

/* ---- looking --------------------------------------------------------------------------------------------------- */

typedef struct pawl_history_entry
{
    const char *id;
    const char *description;
    const char *file; /* "" when it is only in the ledger */
    const char *const *parents;
    size_t nparents;
    const char *const *children;
    size_t nchildren;
    const char *const *depends_on; /* ids, also where the file names a label */
    size_t ndepends_on;
    const char *const *labels; /* its own */
    size_t nlabels;
    const char *const *branches; /* the labels of all branches that it is on */
    size_t nbranches;
    const char *const *steps; /* what each does; NULL unless its whole file was read (heads_only) */
    size_t nsteps;
    bool is_head;
    bool is_base;
    bool is_branch_point;   /* several revisions follow it */
    bool is_needed;         /* another revision depends on it */
    bool is_applied;        /* meaningful when a database was asked */
    bool is_current;        /* applied, and no descendant of it is */
    const char *state;      /* "applied", "applying", "reverting", or "" */
    const char *applied_at; /* ISO time or "" */
    const char *applied_by;
    const char *applied_from; /* host and process */
    int64_t duration_ms;
} pawl_history_entry;

typedef struct pawl_history_edge
{
    const char *child;
    const char *parent;
    bool is_dependency; /* by depends_on */
} pawl_history_edge;

/* One line of the ledger's own record of what happened. */
typedef struct pawl_history_event
{
    const char *at;
    const char *kind;     /* applied, reverted, stamped, unstamped, step_changed, ... */
    const char *revision; /* "" when it is about none */
    const char *detail;
    const char *by;
    const char *from;
} pawl_history_event;

typedef struct pawl_history
{
    const char *target; /* the database that was asked, "" when none was */
    pawl_history_entry
        *entries; /* newest first: descendants before their parents, one branch after the other */
    size_t length;
    pawl_history_edge *edges; /* of these entries; a parent may be none of them */
    size_t nedges;
    pawl_history_event *events; /* oldest first; only when they were asked for */
    size_t nevents;
    void *memory;
} pawl_history;

/* All revisions on disk and in the ledger. With `ask_database` false nothing is connected to. */
PAWL_API PAWL_NODISCARD pawl_status pawl_history_get(pawl_project *project, bool ask_database,
                                                     const pawl_run_options *options, pawl_history **out,
                                                     pawl_error *err);
PAWL_API void pawl_history_free(pawl_history *history);

typedef enum pawl_history_part
{
    PAWL_HISTORY_ALL,
    PAWL_HISTORY_RANGE,    /* `text` is A:B, A: or :B; both ends are included */
    PAWL_HISTORY_NAMED,    /* `text` is a target; `heads` and `current` may be several revisions */
    PAWL_HISTORY_HEADS,    /* in order of id */
    PAWL_HISTORY_BRANCHES, /* branch points, and the revisions that follow each of them */
    PAWL_HISTORY_CURRENT,  /* in order of id */
} pawl_history_part;

typedef struct pawl_history_query
{
    pawl_history_part part;
    const char *text;
    bool
        ask_database; /* it is asked anyway where the answer needs it: `current`, and +N and -N as what is named */
    bool has_events; /* those of the revisions that are found; asks the database */
} pawl_history_query;

PAWL_API PAWL_NODISCARD pawl_status pawl_history_find(pawl_project *project, const pawl_history_query *query,
                                                      const pawl_run_options *options, pawl_history **out,
                                                      pawl_error *err);

/* ---- merge ------------------------------------------------------------------------------------------------------ */

/*
 * `pawl merge`: a revision without steps whose parents are what the targets name, heads all of them and at least two.
 * Of `what`, message, id, labels and depends_on are used. *path is the file that was written (pawl_text_free).
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_revision_merge(pawl_project *project, const char *const *targets,
                                                        size_t ntargets, const pawl_new_revision *what,
                                                        char **path, pawl_error *err);

/* ---- stamp ------------------------------------------------------------------------------------------------------ */

typedef struct pawl_stamped
{
    const char *target;         /* the database */
    const char *const *removed; /* ids that are no longer recorded as applied, newest first */
    size_t nremoved;
    const char *const *added; /* ids that are from now on, oldest first */
    size_t nadded;
    void *memory;
} pawl_stamped;

/*
 * `pawl stamp`: record that the database is at the targets (revisions, labels, head, heads, base) without running
 * anything. Current revisions on other branches stay, unless is_purge. What is removed and added goes to the ledger's
 * events, in the same transaction. PAWL_E_STATE when a revision is half-way, unless is_purge.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_stamp(pawl_project *project, const char *const *targets,
                                               size_t ntargets, bool is_purge,
                                               const pawl_run_options *options, pawl_stamped **out,
                                               pawl_error *err);
PAWL_API void pawl_stamped_free(pawl_stamped *stamped);

#endif
