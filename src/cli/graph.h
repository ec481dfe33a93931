/*
 * graph.h - draws a history as a graph in text, newest revision on top.
 *
 *   ●    m002 (head, merge) <- a001, b001
 *   ├─╮
 *   ● │  a001 <- base
 *     ●  b001 <- base
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_GRAPH_H
#define PAWL_CLI_GRAPH_H

#include "cli/entry.h"

typedef struct pawl_cli_graph_style
{
    bool has_utf8; /* else ASCII: * | - + . ' */
    /* Append what is to be said of an entry: one line or more. */
    void (*describe)(pawl_cli_buf *buf, const pawl_history *history, const pawl_history_entry *entry,
                     void *ctx);
    void *ctx;
} pawl_cli_graph_style;

/* Edges by `parents` alone; a parent that is not among the entries ends its line. */
void pawl_cli_draw_graph(pawl_cli_buf *buf, const pawl_history *history, const pawl_cli_graph_style *style);

#endif
