/*
 * strbuf.h - a growing text buffer, and formatting into a fixed one.
 *
 * `data` is always a valid NUL-terminated string, also when empty. Appending never fails at the call: a buffer that
 * ran out of memory is marked, ignores further appends, and is asked once at the end with pawl_strbuf_is_ok.
 *
 *   pawl_strbuf b = PAWL_STRBUF_INIT; ... append ... ; if (!pawl_strbuf_is_ok(&b)) ...; fini
 *
 * Threads: a buffer belongs to one thread at a time.
 * Memory:  fini frees; take hands the text to the caller, who frees it with pawl_free.
 */
#ifndef PAWL_UTIL_STRBUF_H
#define PAWL_UTIL_STRBUF_H

#include <stdarg.h>

#include "util/attr.h"

typedef struct pawl_strbuf
{
    char *data;
    size_t length;
    size_t capacity; /* 0: data points at a static empty string */
    bool failed;
} pawl_strbuf;

extern char pawl_strbuf_empty[1];

#define PAWL_STRBUF_INIT          \
    {                             \
        .data = pawl_strbuf_empty \
    }

void pawl_strbuf_init(pawl_strbuf *b);
void pawl_strbuf_fini(pawl_strbuf *b);

/* Make empty, keep the memory, forget a failure. */
void pawl_strbuf_reset(pawl_strbuf *b);
bool pawl_strbuf_is_ok(const pawl_strbuf *b);

void pawl_strbuf_add(pawl_strbuf *b, const char *text);
void pawl_strbuf_addn(pawl_strbuf *b, const void *bytes, size_t length);
void pawl_strbuf_addc(pawl_strbuf *b, char c);
void pawl_strbuf_addf(pawl_strbuf *b, const char *fmt, ...) PAWL_PRINTF(2, 3);
void pawl_strbuf_vaddf(pawl_strbuf *b, const char *fmt, va_list args) PAWL_PRINTF(2, 0);

/* Cut to `length` bytes; never longer than it is. */
void pawl_strbuf_truncate(pawl_strbuf *b, size_t length);

/* The text, owned by the caller; the buffer is empty again. NULL when memory ran out. */
PAWL_NODISCARD char *pawl_strbuf_take(pawl_strbuf *b);

/* Frees a buffer declared as PAWL_STRBUF_AUTO(name) when the function returns. */
#define PAWL_STRBUF_AUTO(name) __attribute__((cleanup(pawl_strbuf_fini))) pawl_strbuf name = PAWL_STRBUF_INIT

/*
 * Format into `out` of `size` bytes, always NUL-terminated; a text that does not fit ends in "...". Returns true when
 * it fitted.
 */
bool pawl_fmt_fits(char *out, size_t size, const char *fmt, ...) PAWL_PRINTF(3, 4);
void pawl_fmt(char *out, size_t size, const char *fmt, ...) PAWL_PRINTF(3, 4);
void pawl_vfmt(char *out, size_t size, const char *fmt, va_list args) PAWL_PRINTF(3, 0);

#endif
