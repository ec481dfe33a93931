/*
 * control.h - telling a running data step what to do, from any process on any host, and joining it with more workers.
 *
 * A request is written into the ledger of the database, with who made it, when and from where; whoever works on the job
 * looks there four times a second. None of this needs the right to change the history (the runner's lease), and the
 * caller may be anywhere.
 *
 * A job is named by its number, as `status` shows it, or by the revision it belongs to: its id or a unique prefix of
 * it.
 *
 * Threads: as project.h. Several calls for the same job may run at once.
 * Memory:  a report belongs to the caller and goes back through pawl_control_report_free.
 */
#ifndef PAWL_CONTROL_H
#define PAWL_CONTROL_H

#include "pawl/project.h"

/* One key of `tune`, for help and completion. The table ends with a NULL key. */
typedef struct pawl_tune_info
{
    const char *key;      /* "max_rate" */
    const char *argument; /* "N|none" */
    const char *help;     /* one line */
    bool is_throttle;     /* stands under `throttle:` in a step */
} pawl_tune_info;

PAWL_API const pawl_tune_info *pawl_tune_table(void);

typedef struct pawl_control_report
{
    const char *target;
    int64_t job;
    const char *revision; /* or the name of a job of the library's callers */
    int32_t step;
    const char *table;
    const char *state;     /* of the job, after the request: open, abandoned, ... */
    bool was_so;           /* there was nothing to change: it was paused, or was not */
    int64_t rows_written;  /* so far */
    const char *paused_by; /* before the request; "" when it was not paused */
    const char *paused_at;
    void *memory;
} pawl_control_report;

/* Batches in flight are finished, then nothing is begun and nothing is kept locked until resume. */
PAWL_API PAWL_NODISCARD pawl_status pawl_job_pause(pawl_project *project, const char *job,
                                                   const pawl_run_options *options, pawl_control_report **out,
                                                   pawl_error *err);

PAWL_API PAWL_NODISCARD pawl_status pawl_job_resume(pawl_project *project, const char *job,
                                                    const pawl_run_options *options,
                                                    pawl_control_report **out, pawl_error *err);

/*
 * Set values that win over every other setting until the job ends; the value "default" gives one back to the step.
 * PAWL_E_USAGE names a wrong key or value; then nothing is changed.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_job_tune(pawl_project *project, const char *job,
                                                  const pawl_key_value *values, size_t count,
                                                  const pawl_run_options *options, pawl_control_report **out,
                                                  pawl_error *err);

/*
 * Let a swap with `cutover: manual` cut over as soon as it is ready; it may be asked before it is. PAWL_E_STATE for a job
 * of another kind.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_job_cutover(pawl_project *project, const char *job,
                                                     const pawl_run_options *options,
                                                     pawl_control_report **out, pawl_error *err);

/*
 * Give the job up for good: whoever works on it stops with an error at its next batch, and its step may be changed. What
 * was written stays. The step is begun anew only by an upgrade with `restart` set.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_job_abandon(pawl_project *project, const char *job,
                                                     const pawl_run_options *options,
                                                     pawl_control_report **out, pawl_error *err);

/*
 * Join an open job of an upgrade with more workers, in this process, until nothing of it is left to do. The step is read
 * from this project's own directory, and refused (PAWL_E_STATE) when its text, its Lua or the -x arguments are not those that the
 * job runs with. Workers and connections are this project's; the pace is the job's. It may come, die and come back; what
 * it held is taken over by the others. The job is closed by the upgrade, which goes on with the next step.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_work(pawl_project *project, const char *job,
                                              const pawl_run_options *options, pawl_control_report **out,
                                              pawl_error *err);

PAWL_API void pawl_control_report_free(pawl_control_report *report);

#endif
