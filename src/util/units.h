/*
 * units.h - numbers, durations and sizes as people write them.
 *
 * Sizes: "512kB", "64MB", "1.5GB", each 1024 of the one before, as PostgreSQL takes them; "MiB" is the same.
 *
 * Durations: "250ms", "1.5s", "30min" ("30m"), "2h", "1d"; a bare number means milliseconds. Integers may group
 * digits by three with "_" or "," ("200_000"); "1,5" is refused, not read as 15. A text is read whole or refused, and
 * a duration that is no whole number of milliseconds is refused.
 *
 * Threads: any thread.
 * Memory:  nothing is allocated.
 */
#ifndef PAWL_UTIL_UNITS_H
#define PAWL_UTIL_UNITS_H

#include "util/attr.h"

/* True and *out set when the whole text is such a value and fits; negative values are refused for durations. */
bool pawl_has_i64(const char *text, int64_t *out);
bool pawl_has_f64(const char *text, double *out);
bool pawl_has_duration_ms(const char *text, int64_t *out_ms);
bool pawl_has_bytes(const char *text, int64_t *out);

/* 1234567 as "1,234,567"; 754 ms as "754 ms", 61,000 ms as "1:01 min", ... A buffer of 32 bytes is enough. */
void pawl_units_count(int64_t n, char *out, size_t size);
void pawl_units_duration(int64_t ms, char *out, size_t size);
void pawl_units_bytes(int64_t bytes, char *out, size_t size);

/* Edit distance (at most `limit` + 1), for "did you mean"; two letters that changed places count as one edit. */
size_t pawl_units_distance(const char *a, const char *b, size_t limit);

/* The nearest of `count` words within a third of the length of `word` (at least one edit), or NULL. */
const char *pawl_units_nearest(const char *word, const char *const *words, size_t count);

#endif
