/*
 * control.h - what a run is told while it runs: pause, tune, abandon, from any process on any host; and what the
 * database says about holding back.
 *
 * One thread with a session of its own looks into the ledger several times a second, asks what the throttle names
 * (signals.h), and about once a second tells of the workers for `status`. The workers read what it found under a lock,
 * before each batch, and pay no round trip for it. When the ledger cannot be read for a while, what was read last stands.
 *
 *   new -> begin (the first look, in the caller's thread) -> (enter -> (ask -> settle)* -> leave, pacing, ...)* -> end
 *       -> free
 *
 * Threads: new, begin, end and free by the thread that runs the job; the rest by any. One internal mutex, a leaf.
 * Memory:  new and free; texts are copied out.
 */
#ifndef PAWL_BACKFILL_CONTROL_H
#define PAWL_BACKFILL_CONTROL_H

#include "backfill/pace.h"
#include "backfill/signals.h"

#define PAWL_CREW_MAX 64 /* workers of a process */

typedef struct pawl_control pawl_control;

typedef struct pawl_control_options
{
    const pawl_job *job;
    bool is_helper;    /* one that joined: `tune workers=` is not for it */
    pawl_meter *meter; /* knows what holds each worker back */
    pawl_pace *pace;   /* is told when its values are tuned, and when smaller batches would help */
} pawl_control_options;

PAWL_NODISCARD pawl_status pawl_control_new(const pawl_control_options *options, pawl_control **out,
                                            pawl_error *err);
void pawl_control_free(pawl_control *control);

/* Look once, so that a paused job stays paused and a throttle that cannot be asked is told of; and start the thread. */
PAWL_NODISCARD pawl_status pawl_control_begin(pawl_control *control, pawl_error *err);
void pawl_control_end(pawl_control *control);

/* One more look after the end: what was asked for just before it. Best effort. */
void pawl_control_look(pawl_control *control);

/* Worker `number` (0 to PAWL_CREW_MAX - 1) is at work under that name, or no longer. */
void pawl_control_enter(pawl_control *control, int number, const char *owner);
void pawl_control_leave(pawl_control *control, int number);

typedef enum pawl_permit
{
    PAWL_PERMIT_GO,    /* begin a batch */
    PAWL_PERMIT_WAIT,  /* ask again soon; keep the chunk */
    PAWL_PERMIT_REST,  /* ask again later: give back what you hold */
    PAWL_PERMIT_LEAVE, /* there are to be fewer workers: you are one too many */
} pawl_permit;

/*
 * May worker `number` begin a batch of `rows` (0: something that is no batch)? When not, `why` says what holds it back, and
 * *wait_ms how long to wait before it asks again. Rows of a batch that may begin count against the rate at once.
 */
pawl_permit pawl_control_ask(pawl_control *control, int number, int64_t rows, char why[PAWL_HOLD_MAX],
                             int64_t *wait_ms);

/* A batch for which so many rows were asked is over, and did so many (0: it failed). */
void pawl_control_settle(pawl_control *control, int number, int64_t asked, int64_t done);

/* How the run is to be paced now. */
pawl_pacing pawl_control_pacing(pawl_control *control);

/* Under a rate: how many rows a transaction may take at most; 0 when there is none. */
int64_t pawl_control_gulp(pawl_control *control);

/* A warning that has come up since the last call; false when there is none. */
bool pawl_control_has_warning(pawl_control *control, char out[PAWL_HOLD_MAX]);

/* PAWL_OK for as long as the job is what this process works for: PAWL_E_STATE once it was abandoned, or its step changed
 * by another process, with who and what. */
PAWL_NODISCARD pawl_status pawl_control_check(pawl_control *control, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_control, pawl_control_free);

#endif
