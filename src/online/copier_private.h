/*
 * copier_private.h - what the two threads of copier.h share.
 *
 * Threads: the reader uses options, pipe, meter, control, and what was set before it was started.
 * Memory:  as copier.h.
 */
#ifndef PAWL_ONLINE_COPIER_PRIVATE_H
#define PAWL_ONLINE_COPIER_PRIVATE_H

#include "backfill/control.h"
#include "online/block_pipe.h"
#include "online/copier.h"

typedef struct pawl_copier
{
    const pawl_copier_options *options;
    pawl_ledger *ledger;
    pawl_pg *pg; /* the loader's */
    pawl_block_pipe *pipe;
    pawl_meter *meter;
    pawl_backfill_spec pace_spec; /* what the control asks of a job */
    pawl_job pace_job;
    pawl_pace *pace;
    pawl_control *control; /* pause, tune, throttle: asked by the reader */
    char owner[160];
    int64_t fence;
    char incarnation[40]; /* of the server when the chunk was claimed */
    pawl_keyval cursor;   /* committed */
    pawl_keyval bound;
    int64_t next_tick_us;
} pawl_copier;

PAWL_NODISCARD pawl_status pawl_copier_connect(const pawl_backfill_env *env, const char *application,
                                               pawl_pg **out, pawl_error *err);

/* Rows of a range, when nothing holds it back. */
int64_t pawl_copier_rows(const pawl_copier *c);

/* The reader's thread; its argument is the copier. */
void *pawl_copier_read(void *copier);

#endif
