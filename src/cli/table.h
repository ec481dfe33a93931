/*
 * table.h - columns for people: cells of safe text, as wide as their widest.
 *
 *   {.ncolumns, .headings, .is_right} -> cell ... -> print -> free
 *
 * Threads: a table belongs to one thread.
 * Memory:  a table owns its cells; when memory runs out it says so in the buffer that it is printed into.
 */
#ifndef PAWL_CLI_TABLE_H
#define PAWL_CLI_TABLE_H

#include "cli/buf.h"

#define PAWL_CLI_TABLE_COLUMNS 10

typedef struct pawl_cli_table
{
    size_t ncolumns;
    const char *headings[PAWL_CLI_TABLE_COLUMNS];
    bool is_right[PAWL_CLI_TABLE_COLUMNS]; /* aligned to the right: numbers */
    pawl_cli_buf *cells;                   /* row by row */
    size_t ncells;
    size_t capacity;
    pawl_cli_buf nowhere; /* the cell that is given out when memory ran out */
    bool has_failed;
} pawl_cli_table;

/* The next cell, to be filled before the one after it is asked for. Rows follow from the number of columns. */
pawl_cli_buf *pawl_cli_table_cell(pawl_cli_table *table);
void pawl_cli_table_add(pawl_cli_table *table, const char *text); /* foreign text is made safe */

/* Each line begins with `indent`. */
void pawl_cli_table_print(pawl_cli_table *table, pawl_cli_buf *buf, const char *indent, bool has_color);
void pawl_cli_table_free(pawl_cli_table *table);

#endif
