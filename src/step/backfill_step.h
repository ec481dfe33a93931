/*
 * backfill_step.h - a step of kind `backfill` as the backfill engine takes it; the benchmark runs the same.
 *
 * Threads: as step.h.
 * Memory:  the specification points into the step.
 */
#ifndef PAWL_STEP_BACKFILL_STEP_H
#define PAWL_STEP_BACKFILL_STEP_H

#include "backfill/spec.h"
#include "step/step.h"

/* True for a step of this kind. */
bool pawl_step_is_backfill(const pawl_step *step);

/*
 * What the step says, with the settings for what it does not say. Its own pace counts only where the setting yields to
 * a revision (pawl_settings_is_yielding).
 */
void pawl_step_backfill_spec(const pawl_step *step, const pawl_settings *settings, pawl_backfill_spec *out);

/* What a `switch` has to know of the backfill that fills its column. */
typedef struct pawl_backfill_traits
{
    const char *table;
    const char *writes; /* the column; NULL: several, or another table */
    bool captures;
    bool reads_written;
    bool may_leave_rejects;
} pawl_backfill_traits;

pawl_backfill_traits pawl_step_backfill_traits(const pawl_step *step);

/* True when it writes the column, whatever else it writes. */
bool pawl_step_backfill_has(const pawl_step *step, const char *column);

#endif
