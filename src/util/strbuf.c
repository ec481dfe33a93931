#include "util/strbuf.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#include "util/alloc.h"

#include "util/banned.h"

#define FIRST_CAPACITY ((size_t) 64)

/* Never written to: a buffer of capacity 0 is not terminated, it is replaced. */
char pawl_strbuf_empty[1] = "";

void
pawl_strbuf_init(pawl_strbuf *b)
{
    *b = (pawl_strbuf) PAWL_STRBUF_INIT;
}

void
pawl_strbuf_fini(pawl_strbuf *b)
{
    if (b->data != pawl_strbuf_empty)
        pawl_free(b->data);
    pawl_strbuf_init(b);
}

void
pawl_strbuf_reset(pawl_strbuf *b)
{
    b->failed = false;
    pawl_strbuf_truncate(b, 0);
}

bool
pawl_strbuf_is_ok(const pawl_strbuf *b)
{
    return !b->failed;
}

/* True when `more` bytes and a NUL fit behind what is there; otherwise the buffer is marked as failed. */
static bool
has_room(pawl_strbuf *b, size_t more)
{
    size_t needed = 0;
    size_t capacity = b->capacity == 0 ? FIRST_CAPACITY : b->capacity;
    char *data;

    if (b->failed)
        return false;
    if (more < b->capacity - b->length)
        return true;

    if (!pawl_can_add(b->length, more, &needed) || !pawl_can_add(needed, 1, &needed))
    {
        b->failed = true;
        return false;
    }
    while (capacity < needed)
        capacity = capacity > SIZE_MAX / 2 ? needed : capacity * 2;

    data = pawl_realloc(b->capacity == 0 ? NULL : b->data, capacity, 1);
    if (data == NULL)
    {
        b->failed = true;
        return false;
    }
    data[b->length] = '\0';
    b->data = data;
    b->capacity = capacity;
    return true;
}

void
pawl_strbuf_add(pawl_strbuf *b, const char *text)
{
    pawl_strbuf_addn(b, text, strlen(text));
}

void
pawl_strbuf_addn(pawl_strbuf *b, const void *bytes, size_t length)
{
    /* Growing would pull the text away from under the copy. */
    assert(b->capacity == 0 || (const char *) bytes < b->data ||
           (const char *) bytes >= b->data + b->capacity);

    if (length == 0 || !has_room(b, length))
        return;

    memcpy(b->data + b->length, bytes, length);
    b->length += length;
    b->data[b->length] = '\0';
}

void
pawl_strbuf_addc(pawl_strbuf *b, char c)
{
    pawl_strbuf_addn(b, &c, 1);
}

void
pawl_strbuf_addf(pawl_strbuf *b, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    pawl_strbuf_vaddf(b, fmt, args);
    va_end(args);
}

void
pawl_strbuf_vaddf(pawl_strbuf *b, const char *fmt, va_list args)
{
    va_list again;
    int length;

    va_copy(again, args);
    length = vsnprintf(NULL, 0, fmt, args);
    if (length < 0)
        b->failed = true;
    else if (has_room(b, (size_t) length))
    {
        length = vsnprintf(b->data + b->length, (size_t) length + 1, fmt, again);
        b->failed = length < 0;
        b->length += length < 0 ? 0 : (size_t) length;
        b->data[b->length] = '\0';
    }
    va_end(again);
}

void
pawl_strbuf_truncate(pawl_strbuf *b, size_t length)
{
    if (b->capacity == 0 || length > b->length)
        return;

    b->length = length;
    b->data[length] = '\0';
}

char *
pawl_strbuf_take(pawl_strbuf *b)
{
    char *text;

    if (b->failed)
    {
        pawl_strbuf_fini(b);
        return NULL;
    }
    text = b->capacity == 0 ? pawl_strdup("") : b->data;
    pawl_strbuf_init(b);
    return text;
}

/* True when all of it fitted. */
static bool is_formatted(char *out, size_t size, const char *fmt, va_list args) PAWL_PRINTF(3, 0);

static bool
is_formatted(char *out, size_t size, const char *fmt, va_list args)
{
    static const char mark[] = "...";
    size_t cut;
    int length;

    if (size == 0)
        return false;

    length = vsnprintf(out, size, fmt, args);
    if (length < 0)
    {
        out[0] = '\0';
        return false;
    }
    if ((size_t) length < size)
        return true;
    if (size < sizeof mark)
        return false;

    /* Whole UTF-8 characters only: half a character breaks terminals and JSON. */
    cut = size - sizeof mark;
    while (cut > 0 && ((unsigned char) out[cut] & 0xC0U) == 0x80U)
        cut--;
    memcpy(out + cut, mark, sizeof mark);
    return false;
}

bool
pawl_fmt_fits(char *out, size_t size, const char *fmt, ...)
{
    va_list args;
    bool fits;

    va_start(args, fmt);
    fits = is_formatted(out, size, fmt, args);
    va_end(args);
    return fits;
}

void
pawl_fmt(char *out, size_t size, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    pawl_vfmt(out, size, fmt, args);
    va_end(args);
}

void
pawl_vfmt(char *out, size_t size, const char *fmt, va_list args)
{
    (void) is_formatted(out, size, fmt, args);
}
