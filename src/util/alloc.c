#include "util/alloc.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "util/banned.h"

/* Allocations that still succeed before one fails; -1 when the hook is off. */
static _Thread_local long test_countdown = -1;

/* No object may be larger: the difference of two pointers into it would not be representable. */
static bool
is_too_large(size_t size)
{
    return size > PTRDIFF_MAX;
}

static bool
is_test_failure(void)
{
    if (test_countdown < 0)
        return false;

    return test_countdown-- == 0;
}

void
pawl_test_fail_alloc(long nth)
{
    test_countdown = nth < 0 ? -1 : nth;
}

bool
pawl_can_mul(size_t a, size_t b, size_t *out)
{
    if (a != 0 && b > SIZE_MAX / a)
        return false;

    *out = a * b;
    return true;
}

bool
pawl_can_add(size_t a, size_t b, size_t *out)
{
    if (b > SIZE_MAX - a)
        return false;

    *out = a + b;
    return true;
}

void *
pawl_malloc(size_t size)
{
    if (is_test_failure() || is_too_large(size))
        return NULL;

    /* malloc(0) may return NULL, which would read as out of memory. */
    return malloc(size == 0 ? 1 : size);
}

void *
pawl_calloc(size_t count, size_t size)
{
    size_t bytes = 0;

    if (is_test_failure() || !pawl_can_mul(count, size, &bytes) || is_too_large(bytes))
        return NULL;

    return calloc(1, bytes == 0 ? 1 : bytes);
}

void *
pawl_realloc(void *ptr, size_t count, size_t size)
{
    size_t bytes = 0;

    if (is_test_failure() || !pawl_can_mul(count, size, &bytes) || is_too_large(bytes))
        return NULL;

    return realloc(ptr, bytes == 0 ? 1 : bytes);
}

void
pawl_free(void *ptr)
{
    int saved = errno;

    free(ptr);
    errno = saved;
}

char *
pawl_strdup(const char *text)
{
    return pawl_strndup(text, strlen(text));
}

char *
pawl_strndup(const char *text, size_t length)
{
    size_t used = strnlen(text, length);
    char *copy = pawl_malloc(used + 1);

    if (copy == NULL)
        return NULL;

    memcpy(copy, text, used);
    copy[used] = '\0';
    return copy;
}
