/*
 * log.h - sending events to the sink of pawl/event.h.
 *
 * Threads: only from the thread that made the public call; workers report through the run (backfill/run.h).
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CORE_LOG_H
#define PAWL_CORE_LOG_H

#include "util/attr.h"

#include "pawl/event.h"

/* A NULL sink is allowed everywhere. */
void pawl_log_emit(const pawl_sink *sink, const pawl_event *event);
void pawl_log_text(const pawl_sink *sink, pawl_event_kind kind, const char *fmt, ...) PAWL_PRINTF(3, 4);

#endif
