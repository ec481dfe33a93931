/*
 * mirror.h - carrying over what the mirrors of finished steps have logged, so that a way back stays short and open.
 *
 * It takes no lease of the runner: one process at a time drains a job, whoever it is.
 *
 * Threads: as the project's.
 * Memory:  everything is allocated in the arena that was given.
 */
#ifndef PAWL_MIGRATE_MIRROR_H
#define PAWL_MIGRATE_MIRROR_H

#include "migrate/project.h"

typedef struct pawl_mirror_env
{
    pawl_project *project;
    const pawl_run_options *options;
    pawl_arena *arena;
    pawl_pg *pg;
    pawl_ledger *ledger;
    int64_t budget_ms; /* for each job; 0: until its log is empty */
} pawl_mirror_env;

/* All of them. A failure is a warning: the mirror goes on logging. Only a stop is returned. */
PAWL_NODISCARD pawl_status pawl_mirror_tend_all(const pawl_mirror_env *env, pawl_error *err);

/* One job; *is_mirror is false when it has no such log. */
PAWL_NODISCARD pawl_status pawl_mirror_tend(const pawl_mirror_env *env, int64_t job, bool *is_mirror,
                                            pawl_error *err);

#endif
