/*
 * captured.h - a backfill that captures what others change meanwhile (`capture: true`), as a state machine in the ledger.
 *
 * job.phase says where it is, and a run of the step goes on from there:
 *
 *   prepare   the job is there and nobody works on it
 *   armed     the triggers are there; the bound is read behind them, so that no row is passed over
 *   copy      the engine does the rows
 *   captured  every row is done, and the log has the keys of those that others inserted or changed since the triggers are
 *             there. Where a `switch` takes the job over, it stays so, open, until that comes
 *   reported  nothing takes it over, and there are such keys: state `findings`, exit code 4
 *   drain     run again, where it is safe: the rows of those keys are done once more, as they are now, until the log is
 *             empty under the table's lock, where the triggers go
 *
 * It is safe where no column is both read and written: what is written then follows from the rest of the row, whatever it
 * held before. Where it is not, the triggers go when the keys are reported, and the log stays for people to read.
 *
 * Threads: as step.h.
 * Memory:  everything lives in the arena of the run.
 */
#ifndef PAWL_STEP_CAPTURED_H
#define PAWL_STEP_CAPTURED_H

#include "backfill/job.h"
#include "online/redo.h"
#include "step/kind.h"

typedef struct pawl_captured
{
    pawl_step_run *run;
    const pawl_backfill_spec *spec;
    pawl_backfill_env *env;
    const pawl_backfill_id *id;
    const pawl_step *step;
    bool is_taken_over; /* by a `switch` */
    int64_t max_bytes;  /* of the log; 0: the default */
    /* what the ledger says */
    int64_t job; /* 0: there is none yet */
    const char *phase;
    const char *state;
    const char *why; /* the capture is not whole; "": it is */
    int64_t started_us;
    /* what the catalogue says */
    const char *unsafe; /* why rows cannot be done again; NULL: they can */
    bool drops_where;   /* `where:` says what is not done yet: it is no condition for doing a row again */
    pawl_backfill_spec again; /* the spec to do rows again by */
} pawl_captured;

/* Run the step from wherever it is. PAWL_E_FINDINGS when somebody has to look at the keys. */
PAWL_NODISCARD pawl_status pawl_captured_run(pawl_captured *c, pawl_backfill_result *result, pawl_error *err);

/* The step says `capture: false` by now: whatever an earlier run captured goes. *was_over: it had done all the rows. */
PAWL_NODISCARD pawl_status pawl_captured_release(pawl_captured *c, bool *was_over, pawl_error *err);

/* ---- for the files of it -------------------------------------------------------------------------------------------- */

PAWL_NODISCARD pawl_status pawl_captured_look(pawl_captured *c, pawl_error *err);

/* In the transaction at hand. `why`: "" but where it says so. */
PAWL_NODISCARD pawl_status pawl_captured_enter(pawl_captured *c, pawl_pg *pg, const char *phase,
                                               const char *state, const char *why, pawl_error *err);

/* A transaction of the step's that does the work (NULL: none) and enters phase and state. */
PAWL_NODISCARD pawl_status pawl_captured_advance(pawl_captured *c, pawl_step_work work, const char *phase,
                                                 const char *state, const char *why, pawl_error *err);

/* What may be done again, and by what; fills unsafe, drops_where, again. */
PAWL_NODISCARD pawl_status pawl_captured_judge(pawl_captured *c, const pawl_table *table, pawl_error *err);

/* What is to be logged, into out->watch and skips_own. */
PAWL_NODISCARD pawl_status pawl_captured_watch(const pawl_captured *c, const pawl_table *table,
                                               pawl_capture_spec *out, pawl_error *err);

/* Enter the phase `captured`. */
PAWL_NODISCARD pawl_status pawl_captured_hold(pawl_captured *c, pawl_error *err);

/* captured_end.c: from the phase `captured` on. */
PAWL_NODISCARD pawl_status pawl_captured_end(pawl_captured *c, pawl_error *err);

#endif
