/*
 * progress.h - the live counters of one running data step.
 *
 * Workers add what each committed batch did and say what they are held by; the thread that made the long call takes
 * snapshots, about four times a second, and sends them as events. The rate is that of the last five seconds or so, from
 * a ring of earlier snapshots. Time is passed in, so that tests bring their own.
 *
 *   new -> (enter -> (add | hold | set_batch)* -> leave | snapshot)* -> finish -> snapshot -> free
 *
 * Nothing here decides anything: whether a job is done is asked of the ledger, never of an estimate.
 *
 * Threads: new and free run while no other thread knows the meter; everything else may be called by any thread. One
 *          internal mutex, a leaf.
 * Memory:  texts are copied; a snapshot is a plain value.
 */
#ifndef PAWL_PROGRESS_PROGRESS_H
#define PAWL_PROGRESS_PROGRESS_H

#include "core/error.h"

#include "pawl/event.h"

#define PAWL_METER_WORKERS 256 /* slots; a worker's number is its slot */

typedef struct pawl_meter pawl_meter;

/* What one batch did, or what earlier runs of the job did. */
typedef struct pawl_meter_counts
{
    int64_t read;
    int64_t written;
    int64_t moved;
    int64_t gone;
    int64_t rejected;
    int64_t batches;
} pawl_meter_counts;

typedef struct pawl_meter_options
{
    int64_t job_id;
    int64_t rows_total;     /* the server's estimate; 0 when unknown */
    pawl_meter_counts base; /* committed by earlier runs: in every total, in no rate */
    int64_t now_us;         /* pawl_clock_us(): the run begins now */
} pawl_meter_options;

PAWL_NODISCARD pawl_status pawl_meter_new(const pawl_meter_options *options, pawl_meter **out,
                                          pawl_error *err);
void pawl_meter_free(pawl_meter *meter);

/* Worker `worker` (0 to PAWL_METER_WORKERS - 1) is at work, or no longer. leave also lifts its hold. */
void pawl_meter_enter(pawl_meter *meter, int worker);
void pawl_meter_leave(pawl_meter *meter, int worker);

/* A batch is committed: call it after the COMMIT, never before. */
void pawl_meter_add(pawl_meter *meter, const pawl_meter_counts *counts);

/* What `worker` is held by ("waiting for a lock on ..."); "" or NULL when it runs. A snapshot shows the oldest. */
void pawl_meter_hold(pawl_meter *meter, int worker, const char *text);

/* What the worker is held by; "" when it runs. */
void pawl_meter_held(pawl_meter *meter, int worker, char out[sizeof(((pawl_progress *) NULL)->holding)]);

/* The size batches have now. */
void pawl_meter_set_batch(pawl_meter *meter, int32_t rows);

/* A better estimate of the rows in all; 0 when unknown. */
void pawl_meter_set_total(pawl_meter *meter, int64_t rows);

/* The ledger says that the job is done: from now on the ETA is 0. */
void pawl_meter_finish(pawl_meter *meter);

/*
 * The state of things. rows_per_s is 0 until there is something to measure. eta_ms is -1 when it cannot be known: no
 * estimate, no rate, or more rows done than were estimated.
 */
void pawl_meter_snapshot(pawl_meter *meter, int64_t now_us, pawl_progress *out);

/* Done of the estimate in percent: 100 when `is_done`, never before it, and 0 when there is no estimate. */
double pawl_progress_percent(const pawl_progress *progress, bool is_done);

PAWL_DEFINE_AUTO(pawl_meter, pawl_meter_free);

#endif
