/*
 * preview.h - what a backfill would write to some rows of its table.
 *
 * Threads: the session's.
 * Memory:  everything in the report lives in the arena that was given.
 */
#ifndef PAWL_BACKFILL_PREVIEW_H
#define PAWL_BACKFILL_PREVIEW_H

#include "backfill/rowset.h"
#include "backfill/sample.h"

#include "pawl/transform.h"

/* What stands for a value that must not be told. */
#define PAWL_REDACTED "[redacted]"

/* Fills table, columns, rows, counts and notes of the report. Opens its own session. */
PAWL_NODISCARD pawl_status pawl_backfill_preview(const pawl_backfill_spec *spec, const pawl_backfill_env *env,
                                                 const pawl_preview_options *what, pawl_arena *arena,
                                                 pawl_preview_report *report, pawl_error *err);

/* Outcome, error, reason and log of a row, from its trial; `unchanged`: the values are there already. */
void pawl_preview_take(pawl_preview_row *row, const pawl_trial_row *from, bool is_unchanged);

/* A sentence for the notes. */
PAWL_NODISCARD pawl_status pawl_preview_note(pawl_preview_report *report, pawl_arena *arena, pawl_error *err,
                                             const char *fmt, ...) PAWL_PRINTF(4, 5);

#endif
