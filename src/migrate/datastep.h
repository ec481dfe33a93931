/*
 * datastep.h - a backfill step of a revision, ready to be looked at: what it says, and where it would run.
 *
 * Threads: belongs to one thread.
 * Memory:  everything lives in the arena that was given, or in the project.
 */
#ifndef PAWL_MIGRATE_DATASTEP_H
#define PAWL_MIGRATE_DATASTEP_H

#include "migrate/project.h"
#include "step/backfill_step.h"

typedef struct pawl_datastep
{
    pawl_project *project;
    const pawl_loaded *loaded;
    const char *revision; /* its id */
    int32_t ordinal;      /* from 1 */
    const pawl_step *step;
    pawl_backfill_spec spec; /* with what earlier add_column steps promise */
    pawl_backfill_env env;
} pawl_datastep;

/*
 * The step `ordinal` of the revision that `target` names; 0: its only backfill. PAWL_E_USAGE when there is none of that
 * number, or several and none was named. PAWL_E_INPUT when the directory has problems.
 */
PAWL_NODISCARD pawl_status pawl_datastep_find(pawl_project *project, const char *target, int32_t ordinal,
                                              const pawl_run_options *options, pawl_arena *arena,
                                              pawl_datastep *out, pawl_error *err);

#endif
