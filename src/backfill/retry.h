/*
 * retry.h - rejected rows, tried again after the transform or the rows were mended.
 *
 * The rows are taken in batches, in the order in which they were set aside. One transaction locks the rejects and their
 * rows, reads the rows as they are now, transforms and writes them, and marks each reject: done, or refused once more, or
 * gone, or no longer chosen by `where:`. So a retry that is killed anywhere has lost and doubled nothing, several may run
 * at once, and it does not matter whether the job itself is still at work elsewhere in the table.
 *
 * A row that the server refuses is found by halves, as in the job.
 *
 * Threads: the call works in the calling thread, with a session of its own.
 * Memory:  results are plain values.
 */
#ifndef PAWL_BACKFILL_RETRY_H
#define PAWL_BACKFILL_RETRY_H

#include "backfill/spec.h"

typedef struct pawl_retry_result
{
    int64_t done;
    int64_t refused;
    int64_t gone;
    int64_t unmatched;
    int64_t left;      /* rejects that still wait to be dealt with */
    bool has_findings; /* the job waits for them */
} pawl_retry_result;

/*
 * Retry all open rejects of a job. `started_us`: of the job, the transform's `now`. PAWL_OK also when rows were refused
 * again. PAWL_E_STATE when the job was abandoned, or its table has another key by now. *result counts what is committed
 * also when the call fails.
 */
PAWL_NODISCARD pawl_status pawl_backfill_retry(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                               int64_t job, int64_t started_us, pawl_retry_result *result,
                                               pawl_error *err);

#endif
