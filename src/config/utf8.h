/*
 * utf8.h - is a text one that YAML may hold: UTF-8, without a byte order mark, without control characters.
 *
 * libyaml checks this too, but names a byte offset and guesses at UTF-16; people want a line and what to do.
 *
 * Threads: any thread.
 * Memory:  nothing is allocated; texts in a fault are static or in the fault itself.
 */
#ifndef PAWL_CONFIG_UTF8_H
#define PAWL_CONFIG_UTF8_H

#include "util/attr.h"

typedef struct pawl_utf8_fault
{
    int line; /* from 1, as libyaml counts them */
    int column;
    char message[96];
    const char *hint;
} pawl_utf8_fault;

/* True and *out filled when the text holds something that it may not. */
bool pawl_utf8_has_fault(const char *text, size_t length, pawl_utf8_fault *out);

/* True for the second and later bytes of a character. */
bool pawl_utf8_is_tail(char byte);

/* The longest part of `text`, at most `limit` bytes, that does not end inside a character. */
size_t pawl_utf8_cut(const char *text, size_t limit);

#endif
