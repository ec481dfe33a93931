/*
 * arena.h - memory for things that live and die together: a loaded document, a plan, one try of one batch.
 *
 *   new -> (alloc ... reset)* -> free
 *
 * Threads: an arena belongs to one thread at a time.
 * Memory:  what is allocated lives until reset or free; nothing is freed singly. Returned memory is aligned for any
 *          type and zeroed. Under AddressSanitizer memory is poisoned by reset.
 */
#ifndef PAWL_UTIL_ARENA_H
#define PAWL_UTIL_ARENA_H

#include "util/attr.h"

typedef struct pawl_arena pawl_arena;

/* NULL when memory ran out. */
PAWL_NODISCARD pawl_arena *pawl_arena_new(void);
void pawl_arena_free(pawl_arena *arena);

/* Forget everything, and keep one block of at most 1 MiB for the next use. */
void pawl_arena_reset(pawl_arena *arena);

/* NULL when memory ran out; a size of 0 gives a valid pointer. */
PAWL_NODISCARD void *pawl_arena_alloc(pawl_arena *arena, size_t size);
PAWL_NODISCARD void *pawl_arena_array(pawl_arena *arena, size_t count, size_t size);
PAWL_NODISCARD char *pawl_arena_strdup(pawl_arena *arena, const char *text);
PAWL_NODISCARD char *pawl_arena_strndup(pawl_arena *arena, const char *text, size_t length);
PAWL_NODISCARD char *pawl_arena_fmt(pawl_arena *arena, const char *fmt, ...) PAWL_PRINTF(2, 3);

/* Bytes that the arena holds from the system, for tests and memory reports. */
size_t pawl_arena_bytes(const pawl_arena *arena);

PAWL_DEFINE_AUTO(pawl_arena, pawl_arena_free);

#endif
