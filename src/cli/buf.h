/*
 * buf.h - text that grows, and the ways in which the program writes things for people.
 *
 * What came from a file, a server or a user goes through pawl_cli_safe (or a function that says it does): a control
 * character in a description must never reach the terminal.
 *
 * Threads: a buffer belongs to one thread.
 * Memory:  a buffer starts as {0} and owns its text; when memory runs out it keeps what it has and says so in
 *          `has_failed`. PAWL_CLI_BUF declares a local that is freed on return.
 */
#ifndef PAWL_CLI_BUF_H
#define PAWL_CLI_BUF_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct pawl_cli_buf
{
    char *data; /* NUL-terminated, or NULL while nothing was written */
    size_t length;
    size_t capacity;
    bool has_failed;
} pawl_cli_buf;

#define PAWL_CLI_BUF __attribute__((cleanup(pawl_cli_buf_free))) pawl_cli_buf

void pawl_cli_buf_free(pawl_cli_buf *buf);
void pawl_cli_buf_reset(pawl_cli_buf *buf);

/* The text, never NULL. */
const char *pawl_cli_buf_text(const pawl_cli_buf *buf);

/* Append bytes, a text, a formatted text, `count` times `text`. */
void pawl_cli_add_bytes(pawl_cli_buf *buf, const char *bytes, size_t length);
void pawl_cli_add(pawl_cli_buf *buf, const char *text);
void pawl_cli_addf(pawl_cli_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
void pawl_cli_repeat(pawl_cli_buf *buf, const char *text, size_t count);

/* Foreign text in one line: control characters, direction overrides and what is not UTF-8 become visible escapes. */
void pawl_cli_safe(pawl_cli_buf *buf, const char *text);

/* The same, but lines stay lines: each one after the first begins with `indent`. Trailing line ends are dropped. */
void pawl_cli_safe_lines(pawl_cli_buf *buf, const char *text, const char *indent);

/* The columns that a text takes on a terminal; it holds no escapes (pawl_cli_safe). */
size_t pawl_cli_width(const char *text);

/* Append at most `columns` of a safe text; what was cut off is marked by "..." where that fits. */
void pawl_cli_fit(pawl_cli_buf *buf, const char *text, size_t columns);

/* 1,234,567 */
void pawl_cli_count(pawl_cli_buf *buf, int64_t n);

/* 987, 12.3k, 4.6M, 7.8G: at most six columns. */
void pawl_cli_short_count(pawl_cli_buf *buf, int64_t n);

/* 0.4 s, 12 s, 3 min 02 s, 1 h 05 min, 2 d 03 h */
void pawl_cli_duration(pawl_cli_buf *buf, int64_t ms);

/* Append `n` and the noun, with an s unless n is 1. */
void pawl_cli_plural(pawl_cli_buf *buf, int64_t n, const char *noun);

typedef enum pawl_cli_style
{
    PAWL_CLI_PLAIN, /* back to normal */
    PAWL_CLI_BOLD,
    PAWL_CLI_DIM,
    PAWL_CLI_RED,
    PAWL_CLI_GREEN,
    PAWL_CLI_YELLOW,
    PAWL_CLI_CYAN,
} pawl_cli_style;

/* Append the terminal's sequence for a style, or nothing when there is no colour. */
void pawl_cli_paint(pawl_cli_buf *buf, bool has_color, pawl_cli_style style);

#endif
