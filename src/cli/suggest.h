/*
 * suggest.h - what was probably meant.
 *
 * Threads: a search belongs to one thread.
 * Memory:  nothing is allocated; the candidates must outlive the search.
 */
#ifndef PAWL_CLI_SUGGEST_H
#define PAWL_CLI_SUGGEST_H

#include <stddef.h>

/* Start as {.word = ...}; offer every candidate; `best` is the nearest, or NULL when none is near. */
typedef struct pawl_cli_suggest
{
    const char *word;
    const char *best;
    size_t distance;
} pawl_cli_suggest;

void pawl_cli_suggest_offer(pawl_cli_suggest *search, const char *candidate);

#endif
