/*
 * stop.h - asking running work to end.
 *
 * A stop is created by the program and handed to the calls that may take long. Requested once, the work in flight (a
 * batch, a schema statement) is finished and committed and the call returns PAWL_E_STOPPED. Requested twice, the
 * statements in flight are cancelled and rolled back first. Nothing is lost either way: the work can be resumed.
 *
 *   new -> (request ...) -> free
 *
 * Threads: request may be called from any thread at any time, and from a signal handler. free when no call uses it.
 * Memory:  the caller owns the stop.
 */
#ifndef PAWL_STOP_H
#define PAWL_STOP_H

#include "pawl/error.h"

typedef struct pawl_stop pawl_stop;

typedef enum pawl_stop_level
{
    PAWL_STOP_NONE = 0,
    PAWL_STOP_FINISH = 1, /* finish what is in flight, then end */
    PAWL_STOP_CANCEL = 2, /* cancel what is in flight, roll back, end */
} pawl_stop_level;

PAWL_API PAWL_NODISCARD pawl_status pawl_stop_new(pawl_stop **out, pawl_error *err);

/* NULL is allowed. */
PAWL_API void pawl_stop_free(pawl_stop *stop);

/* Raise the level by one, up to PAWL_STOP_CANCEL. Async-signal-safe. */
PAWL_API void pawl_stop_request(pawl_stop *stop);

/* The level now. A NULL stop is never requested. */
PAWL_API pawl_stop_level pawl_stop_level_of(const pawl_stop *stop);

#endif
