/*
 * look.h - a read-only glance at the database: what is applied, and the graph of files and ledger.
 *
 *   open -> ... -> close
 *
 * Threads: belongs to one thread.
 * Memory:  the arena may be taken over (set it to NULL) by a report that lives in it.
 */
#ifndef PAWL_MIGRATE_LOOK_H
#define PAWL_MIGRATE_LOOK_H

#include "migrate/project.h"
#include "revision/names.h"

typedef struct pawl_look
{
    pawl_project *project;
    pawl_arena *arena;
    pawl_pg *pg; /* NULL when the database was not asked */
    pawl_ledger *ledger;
    const char *target; /* "" when the database was not asked */
    int ledger_version; /* 0: there is none */
    pawl_applied *applied;
    size_t napplied;
    pawl_names applied_ids; /* their places in `applied` */
    pawl_graph *graph;
    bool is_graph_own; /* false: it is the project's, because the ledger adds nothing to it */
} pawl_look;

/* Creates nothing; a standby will do. PAWL_E_REFUSED when the ledger is newer than this program. Of a project whose heads
 * alone were read no more is read: whoever wants steps calls pawl_project_check. */
PAWL_NODISCARD pawl_status pawl_look_open(pawl_project *project, bool ask_database,
                                          const pawl_run_options *options, pawl_look **out, pawl_error *err);
void pawl_look_close(pawl_look *look);

/* What the ledger says of a revision, or NULL. */
const pawl_applied *pawl_look_applied(const pawl_look *look, const char *id);

/* Put a copy into the arena of what belongs to project or graph: a report outlives them. False when memory ran out. */
static inline bool
pawl_look_can_own(const pawl_look *look, const char **text)
{
    *text = pawl_arena_strdup(look->arena, *text);
    return *text != NULL;
}

PAWL_DEFINE_AUTO(pawl_look, pawl_look_close);

#endif
