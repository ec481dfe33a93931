/*
 * alloc.h - the only way to the heap.
 *
 * Sizes are multiplied with overflow checks; a failed allocation returns NULL and the caller reports PAWL_E_NOMEM. A
 * test can make the n-th allocation of the calling thread fail.
 *
 * Threads: any thread; the test hook is per thread.
 * Memory:  what is returned belongs to the caller and goes back through pawl_free.
 */
#ifndef PAWL_UTIL_ALLOC_H
#define PAWL_UTIL_ALLOC_H

#include "util/attr.h"

PAWL_NODISCARD void *pawl_malloc(size_t size);
PAWL_NODISCARD void *pawl_calloc(size_t count, size_t size);

/* As realloc for count * size bytes; on failure the old block is untouched. */
PAWL_NODISCARD void *pawl_realloc(void *ptr, size_t count, size_t size);

/* NULL is allowed; errno is preserved, so that it may stand between a failed call and its report. */
void pawl_free(void *ptr);

PAWL_NODISCARD char *pawl_strdup(const char *text);
PAWL_NODISCARD char *pawl_strndup(const char *text, size_t length);

/* True and *out set when a * b (a + b) fits. */
bool pawl_can_mul(size_t a, size_t b, size_t *out);
bool pawl_can_add(size_t a, size_t b, size_t *out);

/* Make the allocation after `nth` more of this thread fail, once; -1 switches it off. For tests. */
void pawl_test_fail_alloc(long nth);

/* A heap string owned by a local: PAWL_AUTO(pawl_str) text = ...; */
typedef char pawl_str;
PAWL_DEFINE_AUTO(pawl_str, pawl_free);

#endif
