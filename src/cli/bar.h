/*
 * bar.h - the progress of a job as one line.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_BAR_H
#define PAWL_CLI_BAR_H

#include "cli/buf.h"

#include "pawl/event.h"

typedef struct pawl_cli_bar_style
{
    size_t columns; /* the line takes at most so many */
    bool has_utf8;
    bool has_color;
} pawl_cli_bar_style;

/* `percent` (0 to 100) as a bar of `cells` columns. */
void pawl_cli_bar(pawl_cli_buf *buf, double percent, size_t cells, bool has_utf8);

/* How much is done by the estimate, below 100 for as long as it runs; negative when the total is not known. */
double pawl_cli_percent(const pawl_progress *progress);

/*
 * The live line: percentage, bar, rows, rate, time left, rows that moved or were rejected, workers by batch size, what
 * holds it back. What does not fit is left out, the least important first; the bar takes what room is left.
 */
void pawl_cli_bar_line(pawl_cli_buf *buf, const pawl_progress *progress, pawl_cli_bar_style style);

/* The same facts without a bar and without a limit, for a log. */
void pawl_cli_progress_text(pawl_cli_buf *buf, const pawl_progress *progress);

#endif
