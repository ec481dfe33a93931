/*
 * verify.h - a finished job's transform, run again and compared with what is stored.
 *
 * Input and stored values of a row come from one statement, so that no concurrent change can make a difference out of
 * nothing. The texts are compared first; only where they differ is the server asked what it would store for the new
 * one ("12.5" is 12.50 in a numeric(10,2)), and what then still differs is a difference.
 *
 * All rows are compared by several threads, each with a session and a Lua state, a chunk of the job at a time.
 *
 * Threads: the call starts its workers and joins them; progress goes to the sink from the calling thread.
 * Memory:  everything in the report lives in the arena that was given.
 */
#ifndef PAWL_BACKFILL_VERIFY_H
#define PAWL_BACKFILL_VERIFY_H

#include "backfill/sample.h"

#include "pawl/transform.h"

/* The job as the ledger has it. */
typedef struct pawl_verify_job
{
    int64_t id;
    const char *revision;
    const char *direction;
    int32_t ordinal;
    const char *state;
    const char *table;
    int64_t started_us;
    const char *finished_at;
    const char *checksum;
    uint32_t first_xid;
    uint32_t last_xid;
} pawl_verify_job;

/* Which job: by number, or with `job` 0 by revision and step. */
typedef struct pawl_verify_which
{
    int64_t job;
    const char *revision;
    int32_t ordinal;
} pawl_verify_which;

/* PAWL_E_STATE when there is none. */
PAWL_NODISCARD pawl_status pawl_verify_job_load(pawl_verify_job *out, const pawl_verify_which *which,
                                                pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena,
                                                pawl_error *err);

/* Compare. Fills rows, differences, list and notes of the report. */
PAWL_NODISCARD pawl_status pawl_backfill_verify(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                                const pawl_verify_options *what, const pawl_verify_job *job,
                                                pawl_arena *arena, pawl_verify_report *report,
                                                pawl_error *err);

#endif
