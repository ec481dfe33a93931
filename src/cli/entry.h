/*
 * entry.h - a revision of the history as text and as JSON, for current and history.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_ENTRY_H
#define PAWL_CLI_ENTRY_H

#include <jansson.h>

#include "cli/buf.h"

#include "pawl/project.h"

/* What was asked about the database, and how to show it. */
typedef struct pawl_cli_entry_style
{
    bool has_database; /* the marks about what is applied mean something */
    bool has_color;
} pawl_cli_entry_style;

/* "a41c20f9 [catalog] (head, current) <- d17be032: Store prices as numbers" */
void pawl_cli_describe_entry(pawl_cli_buf *buf, const pawl_history_entry *entry, pawl_cli_entry_style style);

/* Every field on a line of its own, and an empty line. */
void pawl_cli_describe_entry_fully(pawl_cli_buf *buf, const pawl_history_entry *entry,
                                   pawl_cli_entry_style style);

json_t *pawl_cli_json_entry(const pawl_history_entry *entry, bool has_database);

#endif
