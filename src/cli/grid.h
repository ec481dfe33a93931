/*
 * grid.h - a table whose cells are painted: each cell is text in one or more styles, cut to a width that fits.
 *
 *   {.ncolumns, ...} -> (cell -> add ...) ... -> print -> free
 *
 * Threads: a grid belongs to one thread.
 * Memory:  a grid owns its cells; when memory runs out it says so in the buffer that it is printed into.
 */
#ifndef PAWL_CLI_GRID_H
#define PAWL_CLI_GRID_H

#include "cli/buf.h"

typedef struct pawl_cli_grid_cell
{
    pawl_cli_buf plain;   /* for its width */
    pawl_cli_buf painted; /* the same with its styles */
} pawl_cli_grid_cell;

typedef struct pawl_cli_grid
{
    size_t ncolumns;
    size_t most; /* columns of the terminal that one text may take; 0: any */
    bool has_color;
    pawl_cli_grid_cell *cells; /* row by row */
    size_t ncells;
    size_t capacity;
    pawl_cli_buf *below; /* for each row lines that follow it, already made safe; may be empty */
    size_t nrows;
    bool has_failed;
} pawl_cli_grid;

/* Begin the next cell. Rows follow from the number of columns. */
void pawl_cli_grid_cell_begin(pawl_cli_grid *grid);

/* Add foreign text in a style to the cell that was begun last. */
void pawl_cli_grid_add(pawl_cli_grid *grid, const char *text, pawl_cli_style style);

/* Where to put the lines that follow the last row; each must end with a line end. NULL when memory ran out. */
pawl_cli_buf *pawl_cli_grid_below(pawl_cli_grid *grid);

void pawl_cli_grid_print(pawl_cli_grid *grid, pawl_cli_buf *buf);
void pawl_cli_grid_free(pawl_cli_grid *grid);

#endif
