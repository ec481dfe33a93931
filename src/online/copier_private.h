/*
 * copier_private.h - what the threads of copier.h share.
 *
 * Threads: the workers use what was set before they were started, and turns, meter and control; session and ledger are the
 *          calling thread's.
 * Memory:  as copier.h.
 */
#ifndef PAWL_ONLINE_COPIER_PRIVATE_H
#define PAWL_ONLINE_COPIER_PRIVATE_H

#include <pthread.h>

#include "backfill/control.h"
#include "online/copier.h"
#include "online/copy_turns.h"
#include "online/stream.h"

#define PAWL_COPIER_WORKERS 16

typedef struct pawl_copier
{
    const pawl_copier_options *options;
    pawl_ledger *ledger;
    pawl_pg *pg; /* has claimed the chunk: it is free when this one is gone */
    pawl_copy_turns *turns;
    pawl_meter *meter;
    pawl_backfill_spec pace_spec; /* what the control asks of a job */
    pawl_job pace_job;
    pawl_pace *pace;
    pawl_control *control; /* pause, tune, throttle */
    bool is_careful;       /* a row was refused, and is to get NULL: one worker, small ranges */
    int64_t fence;
    char incarnation[40]; /* of the server when the chunk was claimed */
    pawl_keyval cursor;   /* committed when it was claimed */
    pawl_keyval bound;
    bool has_no_nudge; /* of the WAL writer */
} pawl_copier;

/* A worker: its thread and its sessions. */
typedef struct pawl_copy_worker
{
    pawl_copier *copier;
    int number;
    pthread_t thread;
    bool is_started;
    pawl_ledger *ledger;
    pawl_pg *pg;           /* writes; without a transform it reads as well */
    pawl_pg *source;       /* reads what goes through the transform */
    pawl_stream *stream;   /* NULL: there is none */
    pawl_nulling *nulling; /* of a careful copy; else NULL */
    bool has_met;          /* a row that was refused ... */
    int clean;             /* ... and how many ranges without one there have been since */
} pawl_copy_worker;

PAWL_NODISCARD pawl_status pawl_copier_connect(const pawl_backfill_env *env, const char *application,
                                               pawl_pg **out, pawl_error *err);

int pawl_copier_workers(const pawl_copier *c);

/* Rows of a range, at most. */
int64_t pawl_copier_rows(const pawl_copier *c);

/* copier_null.c: the rows of a range of a careful copy, into the transaction that is begun here; how many they are at most;
 * and whether it has gone far enough past the last one that was refused. */
PAWL_NODISCARD pawl_status pawl_copier_null_rows(pawl_copy_worker *w, const pawl_copy_range *range,
                                                 pawl_stream_counts *counts, pawl_error *err);
int64_t pawl_copier_careful_rows(const pawl_copier *c);
bool pawl_copier_has_been_careful(const pawl_copy_worker *w);

/* Begin the transaction in which the worker reads. */
PAWL_NODISCARD pawl_status pawl_copier_begin(pawl_copy_worker *w, pawl_error *err);

/*
 * In it: the upper end of the range, so many rows above its lower one, at most `most`; hi and is_last are filled. Both ends
 * are left in the settings of the transaction.
 */
PAWL_NODISCARD pawl_status pawl_copier_find_hi(pawl_copy_worker *w, pawl_copy_range *range,
                                               const pawl_keyval *most, int64_t rows, pawl_error *err);

/* Behind that: the rows by INSERT ... SELECT. */
PAWL_NODISCARD pawl_status pawl_copier_insert(pawl_copy_worker *w, const pawl_copy_range *range,
                                              pawl_stream_counts *counts, pawl_error *err);

/*
 * The server has refused a row of the range, of about so many, and *err says why: name the row by its key in the detail,
 * or, where it cannot be found any more, the range. Ends the transaction. copier_narrow.c
 */
void pawl_copier_narrow(pawl_copy_worker *w, const pawl_copy_range *range, int64_t rows, pawl_error *err);

/* The thread of a worker; its argument is the worker. */
void *pawl_copier_work(void *worker);

#endif
