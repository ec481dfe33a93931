/*
 * clock.h - monotonic time for waits and rates, wall time for people.
 *
 * Threads: any thread.
 * Memory:  nothing is allocated.
 */
#ifndef PAWL_UTIL_CLOCK_H
#define PAWL_UTIL_CLOCK_H

#include "util/attr.h"

/* Microseconds of CLOCK_MONOTONIC. Only differences mean something. */
int64_t pawl_clock_us(void);

/* Microseconds since 1970-01-01 UTC. */
int64_t pawl_clock_wall_us(void);

/* `wall_us` as 2026-01-31T09:05:07.123Z into a buffer of at least 32 bytes. */
void pawl_clock_iso(int64_t wall_us, char *out, size_t size);

#endif
