/*
 * jobs.h - finding the job that a person means, for the verbs that are about a running one.
 *
 * Threads: as the project's.
 * Memory:  texts live in the arena that was given.
 */
#ifndef PAWL_MIGRATE_JOBS_H
#define PAWL_MIGRATE_JOBS_H

#include "migrate/project.h"

typedef struct pawl_found_job
{
    int64_t id;
    const char *revision;
    const char *direction; /* up, down, api */
    int32_t ordinal;
    const char *table;
    const char *state;
    const char *checksum;
    int64_t rows_written;
    const char *paused_by; /* "" when it is not paused */
    const char *paused_at;
} pawl_found_job;

/* A session on the database of the project, with a ledger that is there and not too new. *target is in the arena. */
PAWL_NODISCARD pawl_status pawl_jobs_connect(pawl_project *project, const pawl_run_options *options,
                                             pawl_arena *arena, pawl_ledger **ledger, pawl_pg **pg,
                                             const char **target, pawl_error *err);

/* By number, revision, or the beginning of a revision. PAWL_E_USAGE when there is none, or when it could be several. */
PAWL_NODISCARD pawl_status pawl_jobs_find(const char *text, pawl_ledger *ledger, pawl_pg *pg,
                                          pawl_arena *arena, pawl_found_job *out, pawl_error *err);

#endif
