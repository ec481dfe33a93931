/*
 * stop.h - the library's side of pawl/stop.h: what a wait looks at.
 *
 * Threads: any thread.
 * Memory:  see pawl/stop.h.
 */
#ifndef PAWL_CORE_STOP_H
#define PAWL_CORE_STOP_H

#include "core/error.h"

#include "pawl/stop.h"

/* A descriptor that is readable once the level is reached (FINISH or CANCEL); -1 for a NULL stop. */
int pawl_stop_fd(const pawl_stop *stop, pawl_stop_level level);

/* Sleep, but no longer than until the level is reached: PAWL_OK after the time, PAWL_E_STOPPED on request. */
PAWL_NODISCARD pawl_status pawl_stop_sleep(const pawl_stop *stop, pawl_stop_level level, int64_t ms,
                                           pawl_error *err);

/* PAWL_E_STOPPED, with a message, when the level is reached. */
PAWL_NODISCARD pawl_status pawl_stop_check(const pawl_stop *stop, pawl_stop_level level, pawl_error *err);

#endif
