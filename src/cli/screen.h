/*
 * screen.h - lines on standard error, with at most one live line below them.
 *
 * On a terminal the live line is redrawn in place; before any other line is written it is taken away, and afterwards
 * put back. Elsewhere there is none.
 *
 *   init -> (line | live) ... -> fini
 *
 * Threads: line and live may be called by any thread; init and fini while no other thread knows the screen.
 * Memory:  the screen keeps a copy of the live line.
 */
#ifndef PAWL_CLI_SCREEN_H
#define PAWL_CLI_SCREEN_H

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>

#include "cli/buf.h"

typedef struct pawl_cli_screen
{
    FILE *stream;
    bool has_live; /* a terminal that can redraw a line */
    pthread_mutex_t lock;
    pawl_cli_buf live; /* under the lock, as is all that is written */
    bool is_drawn;
} pawl_cli_screen;

void pawl_cli_screen_init(pawl_cli_screen *screen, FILE *stream, bool has_live);
void pawl_cli_screen_fini(pawl_cli_screen *screen);

/* Write lines; a line end is put behind the last. */
void pawl_cli_screen_line(pawl_cli_screen *screen, const char *text);

/* Set the live line; "" takes it away. It must be narrower than the terminal. */
void pawl_cli_screen_live(pawl_cli_screen *screen, const char *text);

/* The width of the terminal behind the stream now, 80 when there is none. */
size_t pawl_cli_columns(FILE *stream);

/* Its height, 24 when there is none. */
size_t pawl_cli_rows(FILE *stream);

#endif
