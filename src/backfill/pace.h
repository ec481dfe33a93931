/*
 * pace.h - how many rows a batch takes.
 *
 * With a fixed size the answer is that size, smaller only while a fault is being narrowed down. Otherwise the size
 * follows the time a batch takes: it doubles until the target is near, then grows by a tenth of itself and is cut by a
 * third when a batch took half as long again as it should (additive increase, multiplicative decrease: Chiu and Jain,
 * 1989).
 *
 *   new -> (rows, done, ... from any worker) -> free
 *
 * Threads: any thread; one internal mutex, a leaf.
 * Memory:  new and free.
 */
#ifndef PAWL_BACKFILL_PACE_H
#define PAWL_BACKFILL_PACE_H

#include "core/error.h"

typedef struct pawl_pace pawl_pace;

typedef struct pawl_pace_options
{
    int64_t fixed_rows; /* 0: by time */
    int64_t target_ms;
    int64_t min_rows;
    int64_t max_rows;
} pawl_pace_options;

PAWL_NODISCARD pawl_status pawl_pace_new(const pawl_pace_options *options, pawl_pace **out, pawl_error *err);
void pawl_pace_free(pawl_pace *pace);

/* The size for the next batch. */
int64_t pawl_pace_rows(pawl_pace *pace);

/* A batch of `rows` took so long, from its read to its commit. */
void pawl_pace_done(pawl_pace *pace, int64_t rows, int64_t elapsed_us);

/* Other options from now on, while batches run. A size that was found stays where the new limits allow it. */
void pawl_pace_tune(pawl_pace *pace, const pawl_pace_options *options);

/* A batch met a lock or a limit: be smaller from now on (no effect on a fixed size). */
void pawl_pace_back_off(pawl_pace *pace);

#endif
