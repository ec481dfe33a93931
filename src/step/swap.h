/*
 * swap.h - a column of a live table replaced by one of another type, as a state machine in the ledger.
 *
 * job.phase says where it is, and each call of pawl_swap_forward or pawl_swap_back goes on from there:
 *
 *   prepare  the new column is there; then triggers: the guard, and the capture or the one that keeps it in step
 *   armed    the triggers are there; the bound of the copy is read behind them, so that no row is passed over
 *   copy     the backfill engine fills the new column
 *   index    what was captured is done again; indexes are built, and in step what may be enforced already
 *   verify   the new column is what the transform makes of the old one
 *   ready    changes are carried over, until told to cut over (cutover: manual) and no old snapshot is left
 *            --- the cut-over: one transaction under the table's lock ---
 *   settle   constraints are validated, each alone
 *   mirror   the old column is kept in step by the reverse transform: the way back is open
 *            --- the step `contract`, or the way back ---
 *   back     on the way back: the definitions of the old column are made again, then the cut-over in reverse
 *   undone   what is left after it
 *
 * Everything before the cut-over is undone without a trace. Facts that a later call needs stand with the step ("new",
 * "old", "job", "horizon", "proved"), and what was carried over with the job.
 *
 * Threads: as step.h.
 * Memory:  everything lives in the arena of the run.
 */
#ifndef PAWL_STEP_SWAP_H
#define PAWL_STEP_SWAP_H

#include "backfill/job.h"
#include "online/carry.h"
#include "online/guard.h"
#include "online/redo.h"
#include "step/kind.h"

/* The step as it was read. */
typedef struct pawl_swap_data
{
    const char *table;
    const char *column;
    const char *with; /* of a switch: the column that it exchanges names with; NULL: a swap (switch.h) */
    const char *type;
    const char *lua;
    const char *expression; /* using: */
    const char *reverse;    /* SQL */
    bool has_lua_reverse;   /* the Lua file has a function of that name */
    const char **read;      /* beside the column */
    size_t nread;
    const char **key;
    size_t nkey;
    bool is_manual;
    bool recreates_views;
    bool subscribers_ready;
    bool nulls_rejects; /* rejects: write_null */
    int64_t max_rejects;
    int64_t allow_rejects;
    bool drops_old;  /* keep_old: false: at once, when everything has been validated */
    int64_t workers; /* 0: the setting */
    int64_t batch_rows;
} pawl_swap_data;

typedef struct pawl_swap
{
    pawl_step_run *run;
    const pawl_step *step;
    const pawl_swap_data *d;
    pawl_backfill_env env;
    pawl_table *table;
    const char *new_name; /* of the new column until the cut-over */
    const char *old_name; /* of the old column from then on */
    int64_t job;          /* 0: there is none yet */
    int64_t started_us;   /* of the job: the transform's `now` */
    const char *phase;
    const char *state;   /* of the job */
    const char *proved;  /* what pawl_swap_prove has found in order; NULL: nothing yet */
    const char *horizon; /* the first transaction that sees all of the copy; NULL: not known yet */
    int64_t nulled;      /* rows that have NULL because they were refused, when it was looked at last */
    pawl_carry *carry;
    const char *carried[2]; /* as the cut-over, and the one back, have saved it; NULL: not yet */
    /* of the transform there and of the one back; `read` and `write` are lists of one or more names */
    pawl_backfill_spec forward;
    pawl_backfill_spec back;
    pawl_set_expression set[2];
    const char *written[2];
    const char *returned[1];
    const char **read;
} pawl_swap;

/* Read what the ledger knows. */
PAWL_NODISCARD pawl_status pawl_swap_open(pawl_swap *s, pawl_step_run *run, const pawl_step *step,
                                          pawl_error *err);

/* Its parts, for switch.h: the specs, from d, read and the names; where the ledger says that it is. */
void pawl_swap_fill_specs(pawl_swap *s);
PAWL_NODISCARD pawl_status pawl_swap_resume(pawl_swap *s, pawl_error *err);

/* To the mirror, from wherever it is. */
PAWL_NODISCARD pawl_status pawl_swap_forward(pawl_swap *s, pawl_error *err);

/* Whether there is a way back from where it is: PAWL_E_REFUSED says why not. */
PAWL_NODISCARD pawl_status pawl_swap_may_go_back(const pawl_swap *s, pawl_error *err);

/*
 * Before the way back begins, with the mirror running: carry it over. Rows that `reverse` does not bring back are the failure
 * that they would be later. (What the old column demands of its rows takes a look at the whole table: that is left to the way
 * back.) `is_next` as in step.h.
 */
PAWL_NODISCARD pawl_status pawl_swap_look_ahead(pawl_swap *s, bool is_next, pawl_error *err);

/* Undo it, from wherever it is. */
PAWL_NODISCARD pawl_status pawl_swap_back(pawl_swap *s, pawl_error *err);

/* ---- for the files of the swap -------------------------------------------------------------------------------------- */

bool pawl_swap_is(const pawl_swap *s, const char *phase);

/* Where the ledger says that it is by now. */
PAWL_NODISCARD pawl_status pawl_swap_look_again(pawl_swap *s, pawl_error *err);

/* What only looks at the table, tried again where somebody holds a strong lock on it, as the step's transactions are. */
typedef pawl_status (*pawl_swap_view)(pawl_swap *s, void *ctx, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_swap_patiently(pawl_swap *s, pawl_swap_view view, void *ctx, pawl_error *err);

/* A transaction of the step's that ends by entering a phase (NULL: the phase stays). */
PAWL_NODISCARD pawl_status pawl_swap_txn(pawl_swap *s, const char *phase, pawl_step_work work,
                                         pawl_error *err);

/* In the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_swap_enter(pawl_swap *s, pawl_pg *pg, pawl_ledger *ledger, const char *phase,
                                           pawl_error *err);

/* The table as it is now, into s->table, in the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_swap_look(pawl_swap *s, pawl_pg *pg, pawl_error *err);

/* What carries things over; `to_back`: for the way back. Outside of a transaction. */
PAWL_NODISCARD pawl_status pawl_swap_plan_carry(pawl_swap *s, bool to_back, pawl_error *err);

/* Run a list: units that must be outside of a transaction so, the others each in one of its own. What is done is
 * passed over. */
PAWL_NODISCARD pawl_status pawl_swap_run_list(pawl_swap *s, const pawl_carry_list *list, pawl_error *err);

/*
 * What a capture watches: these columns, and those that stand beside the swapped one in a constraint. A change of one of
 * the latter makes nothing new of the row, but it may break what is demanded.
 */
PAWL_NODISCARD pawl_status pawl_swap_watch(pawl_swap *s, const char *const *names, size_t count,
                                           pawl_capture_spec *out, pawl_error *err);

/* A list in the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_swap_run_inside(const pawl_carry_list *list, pawl_pg *pg, pawl_error *err);

/* ---- swap_null.c: rejects: write_null -------------------------------------------------------------------------------- */

/* With `rejects: write_null`: may the new column be NULL at all? PAWL_E_REFUSED says what does not let it. */
PAWL_NODISCARD pawl_status pawl_swap_check_null(pawl_swap *s, pawl_error *err);

/* Into s->nulled; and, of that, PAWL_E_FINDINGS when it is more than the step allows to go live. */
PAWL_NODISCARD pawl_status pawl_swap_count_nulled(pawl_swap *s, pawl_pg *pg, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_swap_allow_nulled(const pawl_swap *s, pawl_error *err);

/* ---- swap_forward.c -------------------------------------------------------------------------------------------------- */

/* In a transaction, s->table looked at: PAWL_E_REFUSED where the way back would log changes by a key that has the column. */
PAWL_NODISCARD pawl_status pawl_swap_check_key(pawl_swap *s, pawl_pg *pg, pawl_error *err);

/* What is in the list of indexes and not there yet; a unique one that meets an exchange of values again behind a drain. */
PAWL_NODISCARD pawl_status pawl_swap_index(pawl_swap *s, bool to_back, pawl_error *err);

/* Work for pawl_swap_txn: snapshots from before now see rows in which the column that is to go live is not filled yet. */
PAWL_NODISCARD pawl_status pawl_swap_note_horizon(pawl_step_run *run, void *swap, pawl_error *err);

/* ---- swap_try.c ------------------------------------------------------------------------------------------------------ */

/* Refuse expressions that the server does not take, or that read what a trigger cannot see. Changes nothing; outside of a
 * transaction. */
PAWL_NODISCARD pawl_status pawl_swap_try_expressions(pawl_swap *s, pawl_error *err);

/* ---- swap_cut.c ------------------------------------------------------------------------------------------------------ */

/* Whether changes are logged and done again (else a trigger keeps the other column in step, or nothing does). */
bool pawl_swap_is_captured(const pawl_swap *s, bool to_back);

/* Carry over what is in the log now; for at most that long (0: until it is empty), *left says whether there is more. */
PAWL_NODISCARD pawl_status pawl_swap_drain(pawl_swap *s, bool to_back, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_swap_drain_for(pawl_swap *s, bool to_back, int64_t budget_ms, bool *left,
                                               pawl_error *err);

/*
 * Before anything is planned: a cut-over of a run that has lost its connection may be about to commit. Its transaction holds
 * chunk 0; once that is ours it has ended, and the ledger says how.
 */
PAWL_NODISCARD pawl_status pawl_swap_wait_for_lost(pawl_swap *s, pawl_error *err);

/* Drain while waiting for whatever must have happened, then cut over. */
PAWL_NODISCARD pawl_status pawl_swap_ready(pawl_swap *s, bool to_back, pawl_error *err);

/* ---- swap_verify.c --------------------------------------------------------------------------------------------------- */

/* Compare, prove, and enter `ready`. */
PAWL_NODISCARD pawl_status pawl_swap_verify(pawl_swap *s, pawl_error *err);

/* The trigger that keeps the column that is to go live in step, as it should be now; only in step. */
pawl_keep pawl_swap_keep(const pawl_swap *s, bool to_back);

/*
 * Read the table for rows that will be refused from the cut-over on, and in step for rows in which the column is not what
 * the expression makes of them: PAWL_E_STATE names them. Without locks, and outside of a transaction. What others write
 * afterwards is looked at by the drain, or marked by the trigger.
 */
PAWL_NODISCARD pawl_status pawl_swap_prove(pawl_swap *s, bool to_back, pawl_error *err);

/* In step, with the mirror running: PAWL_E_STATE when `reverse` has failed for a row that still has no old value. */
PAWL_NODISCARD pawl_status pawl_swap_look_for_failures(pawl_swap *s, pawl_error *err);

/*
 * Whether that still holds: the same demands, and no marks since. In the transaction at hand; under the table's lock the
 * answer is the last word.
 */
PAWL_NODISCARD pawl_status pawl_swap_is_proved(pawl_swap *s, bool to_back, bool *out, pawl_error *err);

/* ---- swap_back.c ----------------------------------------------------------------------------------------------------- */

/* What follows a cut-over, each piece alone. Enters `phase`. */
PAWL_NODISCARD pawl_status pawl_swap_settle(pawl_swap *s, const char *phase, pawl_error *err);

/* The end of a swap, in the transaction at hand: the old column, what stands beside it, and the job. */
PAWL_NODISCARD pawl_status pawl_swap_contract(pawl_step_run *run, const pawl_table *table, int64_t job,
                                              const char *old_name, pawl_error *err);

/* The same, in a transaction of its own, for a swap that keeps nothing. */
PAWL_NODISCARD pawl_status pawl_swap_drop_old(pawl_swap *s, pawl_error *err);

/* Drop a column of the table as it was looked at, in the transaction at hand. Fine when there is none. */
PAWL_NODISCARD pawl_status pawl_swap_drop(pawl_swap *s, const char *column, pawl_error *err);

/* Forget a swap that has not cut over: the changes that it would need were lost. */
PAWL_NODISCARD pawl_status pawl_swap_start_over(pawl_swap *s, const char *why, pawl_error *err);

#endif
