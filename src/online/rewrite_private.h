/*
 * rewrite_private.h - what the files of rewrite.h share.
 *
 * Threads: a rewrite belongs to one thread.
 * Memory:  texts live in its arena.
 */
#ifndef PAWL_ONLINE_REWRITE_PRIVATE_H
#define PAWL_ONLINE_REWRITE_PRIVATE_H

#include "online/carry_rewrite.h"
#include "online/copier.h"
#include "online/drain.h"
#include "online/rewrite.h"
#include "online/shape.h"

typedef struct pawl_rewrite
{
    const pawl_rewrite_spec *spec;
    const pawl_rewrite_env
        *env; /* these two, so that the arguments of the job can take the place of the run's */
    pawl_rewrite_env own_env;
    pawl_backfill_env own_base;
    const pawl_rewrite_id *id;
    pawl_arena *arena;
    pawl_ledger *ledger;
    pawl_pg *pg; /* for changes of state; opened anew when it is lost */
    int64_t job; /* 0: there is none */
    int64_t started_us;
    char phase[16];
    int64_t restarts; /* how often the copy has begun anew */
    bool is_back;     /* the cut-over is that of the way back: from the new table to the old one */
    bool has_mirror;  /* the new table is captured, and the old one kept for the way back */
    bool was_resumed;
    bool is_done;
    bool has_given_up;       /* a lock was asked for as often as lock_attempts says: nothing is tried again */
    const char *fingerprint; /* of the table at the start */
    const char *carried;     /* JSON of what is to be done after the cut-over */
    char shadow[64];
    char old[64];
    char key_index[64];
    char copier[PAWL_COPIER_OWNER_MAX]; /* whom the chunk of the copy belongs to */
    char user_path[400];                /* the search_path of the user's expressions */
    pawl_shape shape;                   /* until the cut-over */
    pawl_hanging *hanging;
    pawl_carry *carry;
    bool is_current; /* what is built for the plan: that was looked at, see pawl_rewrite_look_again */
    int64_t locked_ms;
    int64_t nulled; /* rows that have gone live with NULL because they were refused */
} pawl_rewrite;

/* One transaction of a change of state: begin with pins, hold the runner, work, commit; contention is tried again. */
typedef pawl_status (*pawl_rewrite_work)(pawl_rewrite *rw, void *ctx, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_txn(pawl_rewrite *rw, pawl_rewrite_work work, void *ctx,
                                            pawl_error *err);

/* Open rw->pg when there is none that works. */
PAWL_NODISCARD pawl_status pawl_rewrite_connect(pawl_rewrite *rw, pawl_error *err);

/*
 * In the transaction at hand: from the phase that is known to another one, or to the same, which holds it there. The job
 * must be where this process knows it to be (PAWL_E_STATE): one that has stalled, while another carried the rewrite on, is
 * to change nothing any more. `check` only looks.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_check(pawl_rewrite *rw, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_set_phase(pawl_rewrite *rw, pawl_pg *pg, const char *phase,
                                                  pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_event(pawl_rewrite *rw, pawl_pg *pg, const char *kind,
                                              const char *detail, pawl_error *err);

/* A transaction that does nothing else. */
PAWL_NODISCARD pawl_status pawl_rewrite_go_to(pawl_rewrite *rw, const char *phase, pawl_error *err);

/* Keep a text with the job, in the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_rewrite_note(pawl_rewrite *rw, pawl_pg *pg, const char *key, const char *text,
                                             pawl_error *err);

/* Names that follow from the number of the job. */
void pawl_rewrite_name(pawl_rewrite *rw);

/*
 * Find the job, to go on with it: a cut-over of a run that has lost its connection may be about to commit. Its transaction
 * holds chunk 0; once that is ours it has ended, and the ledger says how.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_find_at_rest(pawl_rewrite *rw, pawl_error *err);

/* rewrite_prepare.c: find the job; make it; look at what it has made; start the copy over; take it all away. */
PAWL_NODISCARD pawl_status pawl_rewrite_find(pawl_rewrite *rw, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_prepare(pawl_rewrite *rw, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_load(pawl_rewrite *rw, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_restart(pawl_rewrite *rw, const char *why, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_take_away(pawl_rewrite *rw, pawl_error *err);

/* How what hangs on the table is judged. */
pawl_hang_options pawl_rewrite_hang_options(const pawl_rewrite *rw);

/* Load and judge what hangs on the table `oid`, in the transaction at hand. */
PAWL_NODISCARD pawl_status pawl_rewrite_hanging(pawl_rewrite *rw, pawl_pg *pg, uint32_t oid,
                                                pawl_hanging **out, pawl_error *err);

/* The table of the job that has this name now: lock it as pawl_part_lock_table does; drop it. Fine when it is not there. */
PAWL_NODISCARD pawl_status pawl_rewrite_lock(pawl_rewrite *rw, const char *name, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_drop(pawl_rewrite *rw, const char *name, pawl_error *err);

/* Take out of the list what the step itself says otherwise; PAWL_E_REFUSED for what would be left without a column. */
PAWL_NODISCARD pawl_status pawl_rewrite_adapt(const pawl_rewrite *rw, pawl_hanging *hanging, pawl_error *err);

/* rewrite_apply.c: the function of the drain: delete the keys of a slice from the shadow table, copy their rows anew. */
typedef struct pawl_rewrite_applier pawl_rewrite_applier;
PAWL_NODISCARD pawl_status pawl_rewrite_applier_new(pawl_rewrite *rw, pawl_rewrite_applier **out,
                                                    pawl_error *err);
void pawl_rewrite_applier_free(pawl_rewrite_applier *applier);
PAWL_NODISCARD pawl_status pawl_rewrite_apply(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice,
                                              int64_t *written, pawl_error *err);
PAWL_DEFINE_AUTO(pawl_rewrite_applier, pawl_rewrite_applier_free);

/* rewrite_index.c: everything in the list of indexes that is not there yet, the builds of it in several sessions at once. */
PAWL_NODISCARD pawl_status pawl_rewrite_indexes(pawl_rewrite *rw, const pawl_carry_list *list,
                                                pawl_error *err);

/*
 * rewrite_build.c: ready, and the plan was made anew: take away what was built for an index that was dropped or defined
 * anew since. *is_all: nothing is left to be built.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_look_again(pawl_rewrite *rw, bool *is_all, pawl_error *err);

/*
 * What is not a build, one after the other. `is_on_shadow`: nobody else uses what it locks, and the
 * transaction gets the settings of a build.
 */
PAWL_NODISCARD pawl_status pawl_rewrite_units(pawl_rewrite *rw, const pawl_carry_list *list,
                                              bool is_on_shadow, pawl_error *err);

/* In a transaction that builds on the shadow table. `at_once`: sessions that do, which share the processors; 1 or more. */
PAWL_NODISCARD pawl_status pawl_rewrite_build_settings(const pawl_rewrite *rw, pawl_pg *pg, size_t at_once,
                                                       pawl_error *err);

PAWL_NODISCARD pawl_status pawl_rewrite_settle(pawl_rewrite *rw, pawl_error *err);

/* rewrite_cut.c: drain (budget 0: until the log is empty), until the moment has come, then cut over. *end is VOID when the copy has to start over. */
PAWL_NODISCARD pawl_status pawl_rewrite_drain(pawl_rewrite *rw, int64_t budget_ms, pawl_drain_end *end,
                                              char *why, size_t size, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_rewrite_cut_over(pawl_rewrite *rw, pawl_drain_end *end, char *why,
                                                 size_t size, pawl_error *err);

/* What hangs on a table, by the plan that the cut-over has prepared. */
PAWL_NODISCARD pawl_status pawl_rewrite_list(pawl_rewrite *rw, pawl_pg *pg, uint32_t oid, pawl_hanging **out,
                                             pawl_error *err);

/* rewrite_mirror.c: is what the step says of the way back accepted? In a transaction, with the shadow table there. */
PAWL_NODISCARD pawl_status pawl_rewrite_check_back(pawl_rewrite *rw, pawl_error *err);
/* In the cut-over: from here on the new table is captured. `before` is what hung on the old one. */
PAWL_NODISCARD pawl_status pawl_rewrite_arm(pawl_rewrite *rw, pawl_pg *pg, const pawl_hanging *before,
                                            pawl_error *err);
/* In the transaction that opens the mirror: what hangs on the new table, to be compared before the way back. */
PAWL_NODISCARD pawl_status pawl_rewrite_note_baseline(pawl_rewrite *rw, pawl_error *err);
/* Let the old table follow for a while; *left: there is more. */
PAWL_NODISCARD pawl_status pawl_rewrite_tend(pawl_rewrite *rw, int64_t budget_ms, bool *left,
                                             pawl_error *err);
/* With the mirror running: look at what the way back needs, and let the old table follow to the end of the log. */
PAWL_NODISCARD pawl_status pawl_rewrite_look_back(pawl_rewrite *rw, bool is_next, pawl_error *err);
/* One state further on the way back; rw->is_done at its end. */
PAWL_NODISCARD pawl_status pawl_rewrite_step_back(pawl_rewrite *rw, pawl_error *err);
/* The rest of the cut-over back, behind the last drain. */
PAWL_NODISCARD pawl_status pawl_rewrite_finish_back(pawl_rewrite *rw, pawl_pg *pg, pawl_compare_diff *diff,
                                                    pawl_error *err);

/* rewrite.c: VALIDATE and sequences behind the cut-over, then the end of the job, or the mirror. */
PAWL_NODISCARD pawl_status pawl_rewrite_end_inside(pawl_rewrite *rw, void *ctx, pawl_error *err);

#endif
