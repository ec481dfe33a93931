/*
 * entry.h - a revision of the history as text and as JSON, for all verbs that show some.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_ENTRY_H
#define PAWL_CLI_ENTRY_H

#include <jansson.h>

#include "cli/buf.h"

#include "pawl/graph.h"

/* What was asked about the database, and how to show it. */
typedef struct pawl_cli_entry_style
{
    bool has_database; /* the marks about what is applied mean something */
    bool has_color;
} pawl_cli_entry_style;

/* "a41c20f9 [catalog] (head, current) <- d17be032 (needs b2): Store prices as numbers" */
void pawl_cli_describe_entry(pawl_cli_buf *buf, const pawl_history_entry *entry, pawl_cli_entry_style style);

/* Every field on a line of its own. */
void pawl_cli_describe_entry_fully(pawl_cli_buf *buf, const pawl_history_entry *entry,
                                   pawl_cli_entry_style style);

/* The events of a revision, a line each; with "" those that are about none. */
void pawl_cli_describe_events(pawl_cli_buf *buf, const pawl_history *history, const char *id);

json_t *pawl_cli_json_entry(const pawl_history_entry *entry, bool has_database);

/* The document of a verb that shows revisions: they stand under `key`. */
json_t *pawl_cli_json_history(const pawl_project *project, const pawl_history *history, const char *key,
                              bool has_events);

#endif
