/*
 * switch.h - two columns of a live table exchange their names, where a backfill with `capture: true` has filled one from
 * the other in a step or a revision of its own.
 *
 * The job is the backfill's (captured.h): a switch takes it over in its phase `captured`, and goes on as a swap does from
 * there (swap.h) under the name of its own step, with the column that was filled as the new one and its name as that of the
 * old one afterwards. A switch that is taken back leaves the job as it found it: logging, for the next one.
 *
 * Threads: as step.h.
 * Memory:  everything lives in the arena of the run.
 */
#ifndef PAWL_STEP_SWITCH_H
#define PAWL_STEP_SWITCH_H

#include "step/captured.h"
#include "step/swap.h"

/* What the step names; for those who look for its backfill. */
typedef struct pawl_switch_names
{
    const char *table;
    const char *column;
    const char *with;
} pawl_switch_names;

/* False for a step of another kind, or one that could not be read. */
bool pawl_step_is_switch(const pawl_step *step, pawl_switch_names *out);

/* Note with the job, when its rows are done, what a switch will do them again by. In the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_switch_keep(pawl_step_run *run, const pawl_step *backfill,
                                            const pawl_backfill_spec *spec, int64_t job, pawl_error *err);

/* Find the job (0: by what it wrote) and take its facts into s and d, which is s->d. `runs_transform`: its files must be
 * those that filled the column. */
PAWL_NODISCARD pawl_status pawl_switch_find(pawl_swap *s, pawl_swap_data *d, int64_t job, bool runs_transform,
                                            pawl_error *err);

/* ---- for the files of the swap -------------------------------------------------------------------------------------- */

/* At the cut-over back, under the table's lock: from here on the first column is the source again, and is logged. */
PAWL_NODISCARD pawl_status pawl_switch_rearm(pawl_swap *s, bool is_captured, pawl_error *err);

/* Give the job back. */
PAWL_NODISCARD pawl_status pawl_switch_release(pawl_swap *s, pawl_error *err);

/* PAWL_E_STATE: changes were missed, and only the backfill can begin anew. */
pawl_status pawl_switch_refuse_void(const pawl_swap *s, const char *why, pawl_error *err);

#endif
