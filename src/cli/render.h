/*
 * render.h - the sink that shows running work: a live line on a terminal, plain lines elsewhere, JSON with --json.
 *
 *   init -> (sink given to a long call) -> end
 *
 * Threads: the sink is called by the thread that made the long call (pawl/event.h).
 * Memory:  the render keeps copies only.
 */
#ifndef PAWL_CLI_RENDER_H
#define PAWL_CLI_RENDER_H

#include "cli/out.h"

typedef struct pawl_cli_render
{
    pawl_cli_out *out;
    int64_t (*now_ms)(void); /* monotonic; tests put in their own */
    int64_t shown_ms;        /* when progress was last shown, -1: never in this step */
    int64_t waiting_ms;
    char waiting[256];      /* the last wait that was told */
    pawl_progress progress; /* the last of this step; batches tell whether there was one */
    bool has_progress;
    char revision[64]; /* what runs now, for events that do not say it: progress, waits */
    int32_t step;      /* 0 outside of a step */
    int32_t revisions; /* that were ended */
} pawl_cli_render;

void pawl_cli_render_init(pawl_cli_render *render, pawl_cli_out *out);

/* The sink for the long call; it keeps a pointer to `render`. */
pawl_sink pawl_cli_render_sink(pawl_cli_render *render);

/* The call is over: take the live line away. */
void pawl_cli_render_end(pawl_cli_render *render);

/* Milliseconds of a clock that nobody sets. */
int64_t pawl_cli_now_ms(void);

#endif
