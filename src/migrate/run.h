/*
 * run.h - one run of a verb that changes the database: its connection, the runner's lease, what is applied.
 *
 *   open (connect, say where to, ledger, lease) -> load -> (step | txn ...) -> close
 *
 * Threads: belongs to the thread of the verb.
 * Memory:  the run owns an arena that everything in it lives in; close frees it and gives the lease back.
 */
#ifndef PAWL_MIGRATE_RUN_H
#define PAWL_MIGRATE_RUN_H

#include "migrate/project.h"

typedef struct pawl_migration
{
    pawl_project *project;
    const pawl_run_options *options;
    pawl_arena *arena;
    const char *conninfo;
    const char *direct; /* NULL: none is set */
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_runner *runner;
    pawl_lua_pair *secrets;
    size_t nsecrets;
    pawl_applied *applied;
    size_t napplied;
    pawl_graph *graph;       /* files and ledger */
    pawl_problems *problems; /* of that graph; of no interest */
    const char
        *go_on; /* a target that leads to the same place after a part of the way; NULL: not known yet */
} pawl_migration;

/* `doing` is for whoever else wants the lease: "upgrade head". */
PAWL_NODISCARD pawl_status pawl_migration_open(pawl_project *project, const char *doing,
                                               const pawl_run_options *options, pawl_migration **out,
                                               pawl_error *err);
void pawl_migration_close(pawl_migration *m);

/* Read what is applied and tie the graph. Revisions that are half-way count as applied when `has_half` is true. */
PAWL_NODISCARD pawl_status pawl_migration_load(pawl_migration *m, bool has_half, pawl_error *err);

/* What the ledger says of a revision, or NULL. */
const pawl_applied *pawl_migration_applied(const pawl_migration *m, const char *id);

/* A revision on its way up or down. */
typedef struct pawl_passage
{
    const pawl_loaded *loaded;
    const char *direction;      /* up, down */
    pawl_applied_step *records; /* of both directions */
    size_t nrecords;
    int32_t total; /* steps */
} pawl_passage;

/* The record of a step, or NULL. */
const pawl_applied_step *pawl_passage_record(const pawl_passage *p, const char *direction, int ordinal);

/* One thing to run: a step as it is written, or the derived way back of one. */
typedef struct pawl_task
{
    const pawl_step *step;
    int ordinal; /* in the passage */
    bool is_revert;
    const char *info; /* of a revert: what its way up recorded */
} pawl_task;

/*
 * Run one task and record it: 'running', then what it does, then 'done' (in the same transaction where the step is
 * transactional). A failure is recorded, and returned with revision, step and place named. A task that its `when:`
 * leaves out is recorded as skipped.
 */
PAWL_NODISCARD pawl_status pawl_migration_task(pawl_migration *m, const pawl_passage *p,
                                               const pawl_task *task, pawl_error *err);

/* Whether a task that reverts has a way back at all; nothing is recorded. */
PAWL_NODISCARD pawl_status pawl_migration_may_task(pawl_migration *m, const pawl_passage *p,
                                                   const pawl_task *task, pawl_error *err);

/* Whether rows, or what hangs on its table, would end it half-way; `is_next`: nothing is undone before it. */
PAWL_NODISCARD pawl_status pawl_migration_look_ahead(pawl_migration *m, const pawl_passage *p,
                                                     const pawl_task *task, bool is_next, pawl_error *err);

/* Record a task as skipped. */
PAWL_NODISCARD pawl_status pawl_migration_skip(pawl_migration *m, const pawl_passage *p,
                                               const pawl_task *task, const char *why, pawl_error *err);

/* All tasks in one transaction, with their records and `last` (which may be NULL) at its end. */
PAWL_NODISCARD pawl_status pawl_migration_atomic(pawl_migration *m, const pawl_passage *p,
                                                 const pawl_task *tasks, size_t count, pawl_step_work last,
                                                 void *ctx, pawl_error *err);

/* A transaction of the ledger's own, under the fence. */
PAWL_NODISCARD pawl_status pawl_migration_record(pawl_migration *m, pawl_step_work work, void *ctx,
                                                 pawl_error *err);

void pawl_migration_emit(const pawl_migration *m, const pawl_event *event);

PAWL_DEFINE_AUTO(pawl_migration, pawl_migration_close);

#endif
