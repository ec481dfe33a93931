/*
 * control.h - what a run is told while it runs: pause, tune, abandon, from any process on any host.
 *
 * One thread with a session of its own looks into the ledger four times a second; the workers read what it found under
 * a lock, before each batch, and pay no round trip for it. When the ledger cannot be read for a while, what was read
 * last stands.
 *
 *   new -> begin (the first look, in the caller's thread) -> (ask -> settle, pacing, ...)* -> end -> free
 *
 * Threads: new, begin, end and free by the thread that runs the job; the rest by any. One internal mutex, a leaf.
 * Memory:  new and free; texts are copied out.
 */
#ifndef PAWL_BACKFILL_CONTROL_H
#define PAWL_BACKFILL_CONTROL_H

#include "backfill/job.h"
#include "backfill/pace.h"
#include "backfill/pacing.h"

#define PAWL_HOLD_MAX sizeof(((pawl_progress *) NULL)->holding)

typedef struct pawl_control pawl_control;

typedef struct pawl_control_options
{
    const pawl_job *job;
    bool is_helper;  /* one that joined: `tune workers=` is not for it */
    pawl_pace *pace; /* is told when its values are tuned */
} pawl_control_options;

PAWL_NODISCARD pawl_status pawl_control_new(const pawl_control_options *options, pawl_control **out,
                                            pawl_error *err);
void pawl_control_free(pawl_control *control);

/* Look once, so that a paused job stays paused, and start the thread. */
PAWL_NODISCARD pawl_status pawl_control_begin(pawl_control *control, pawl_error *err);
void pawl_control_end(pawl_control *control);

/* One more look after the end: what was asked for just before it. Best effort. */
void pawl_control_look(pawl_control *control);

typedef enum pawl_permit
{
    PAWL_PERMIT_GO,    /* begin a batch */
    PAWL_PERMIT_WAIT,  /* ask again soon; keep the chunk */
    PAWL_PERMIT_REST,  /* ask again later: give back what you hold */
    PAWL_PERMIT_LEAVE, /* there are to be fewer workers: you are one too many */
} pawl_permit;

/*
 * May worker `number` begin a batch? When not, `why` says what holds it back, and *wait_ms how long to wait before it asks
 * again.
 */
pawl_permit pawl_control_ask(pawl_control *control, int number, char why[PAWL_HOLD_MAX], int64_t *wait_ms);

/* How the run is to be paced now. */
pawl_pacing pawl_control_pacing(pawl_control *control);

/* PAWL_OK for as long as the job is what this process works for: PAWL_E_STATE once it was abandoned, or its step changed
 * by another process, with who and what. */
PAWL_NODISCARD pawl_status pawl_control_check(pawl_control *control, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_control, pawl_control_free);

#endif
