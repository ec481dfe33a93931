#include "cli/buf.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void
pawl_cli_buf_free(pawl_cli_buf *buf)
{
    free(buf->data);
    *buf = (pawl_cli_buf){0};
}

void
pawl_cli_buf_reset(pawl_cli_buf *buf)
{
    buf->length = 0;
    if (buf->data != NULL)
        buf->data[0] = '\0';
}

const char *
pawl_cli_buf_text(const pawl_cli_buf *buf)
{
    return buf->data == NULL ? "" : buf->data;
}

/* True when `more` bytes and the terminator fit. */
static bool
has_room(pawl_cli_buf *buf, size_t more)
{
    size_t needed;
    size_t capacity = buf->capacity == 0 ? 128 : buf->capacity;
    char *grown;

    if (buf->has_failed)
        return false;
    if (more > SIZE_MAX / 4 - buf->length)
    {
        buf->has_failed = true;
        return false;
    }
    needed = buf->length + more + 1;
    if (needed <= buf->capacity)
        return true;

    while (capacity < needed)
        capacity *= 2;
    grown = realloc(buf->data, capacity);
    if (grown == NULL)
    {
        buf->has_failed = true;
        return false;
    }
    buf->data = grown;
    buf->capacity = capacity;
    return true;
}

void
pawl_cli_add_bytes(pawl_cli_buf *buf, const char *bytes, size_t length)
{
    if (!has_room(buf, length))
        return;

    memcpy(buf->data + buf->length, bytes, length);
    buf->length += length;
    buf->data[buf->length] = '\0';
}

void
pawl_cli_add(pawl_cli_buf *buf, const char *text)
{
    pawl_cli_add_bytes(buf, text, strlen(text));
}

void
pawl_cli_addf(pawl_cli_buf *buf, const char *fmt, ...)
{
    va_list args;
    va_list again;
    int needed;

    va_start(args, fmt);
    va_copy(again, args);
    needed = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (needed < 0)
        buf->has_failed = true;
    else if (has_room(buf, (size_t) needed))
    {
        (void) vsnprintf(buf->data + buf->length, (size_t) needed + 1, fmt, again);
        buf->length += (size_t) needed;
    }
    va_end(again);
}

void
pawl_cli_repeat(pawl_cli_buf *buf, const char *text, size_t count)
{
    for (size_t i = 0; i < count; i++)
        pawl_cli_add(buf, text);
}

void
pawl_cli_count(pawl_cli_buf *buf, int64_t n)
{
    char digits[24];
    int length = snprintf(digits, sizeof digits, "%" PRId64, n);

    for (int i = 0; i < length; i++)
    {
        int left = length - i;

        if (i > 0 && left % 3 == 0 && digits[i - 1] != '-')
            pawl_cli_add(buf, ",");
        pawl_cli_add_bytes(buf, &digits[i], 1);
    }
}

void
pawl_cli_short_count(pawl_cli_buf *buf, int64_t n)
{
    static const char units[] = {'k', 'M', 'G', 'T'};
    double value = (double) n;
    size_t unit = 0;

    if (n < 1000)
    {
        pawl_cli_addf(buf, "%" PRId64, n);
        return;
    }
    value /= 1000.0;
    /* 999.95 would be printed as 1000.0 */
    while (value >= 999.95 && unit + 1 < sizeof units)
    {
        value /= 1000.0;
        unit++;
    }
    pawl_cli_addf(buf, "%.1f%c", value, units[unit]);
}

void
pawl_cli_duration(pawl_cli_buf *buf, int64_t ms)
{
    int64_t s = (ms + 500) / 1000;

    if (ms < 0)
    {
        pawl_cli_add(buf, "-");
        pawl_cli_duration(buf, ms == INT64_MIN ? INT64_MAX : -ms);
    }
    else if (ms < 9950)
        pawl_cli_addf(buf, "%.1f s", (double) ms / 1000.0);
    else if (s < 60)
        pawl_cli_addf(buf, "%" PRId64 " s", s);
    else if (s < 3600)
        pawl_cli_addf(buf, "%" PRId64 " min %02" PRId64 " s", s / 60, s % 60);
    else if (s < 86400)
        pawl_cli_addf(buf, "%" PRId64 " h %02" PRId64 " min", s / 3600, s % 3600 / 60);
    else
        pawl_cli_addf(buf, "%" PRId64 " d %02" PRId64 " h", s / 86400, s % 86400 / 3600);
}

void
pawl_cli_plural(pawl_cli_buf *buf, int64_t n, const char *noun)
{
    pawl_cli_count(buf, n);
    pawl_cli_addf(buf, " %s%s", noun, n == 1 ? "" : "s");
}

void
pawl_cli_paint(pawl_cli_buf *buf, bool has_color, pawl_cli_style style)
{
    static const char *const sequences[] = {
        [PAWL_CLI_PLAIN] = "\033[0m",   [PAWL_CLI_BOLD] = "\033[1m",     [PAWL_CLI_DIM] = "\033[2m",
        [PAWL_CLI_RED] = "\033[1;31m",  [PAWL_CLI_GREEN] = "\033[1;32m", [PAWL_CLI_YELLOW] = "\033[1;33m",
        [PAWL_CLI_CYAN] = "\033[1;36m",
    };

    if (has_color)
        pawl_cli_add(buf, sequences[style]);
}
