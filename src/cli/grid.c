#include "cli/grid.h"

#include <stdlib.h>

static bool
has_room(pawl_cli_grid *grid)
{
    size_t capacity = grid->capacity == 0 ? 64 : grid->capacity * 2;
    pawl_cli_grid_cell *cells;
    pawl_cli_buf *below;

    if (grid->ncells < grid->capacity)
        return true;
    cells = realloc(grid->cells, capacity * sizeof *cells);
    if (cells == NULL)
        return false;
    grid->cells = cells;
    below = realloc(grid->below, (capacity / grid->ncolumns + 1) * sizeof *below);
    if (below == NULL)
        return false;
    grid->below = below;
    grid->capacity = capacity;
    return true;
}

void
pawl_cli_grid_cell_begin(pawl_cli_grid *grid)
{
    if (grid->has_failed || !has_room(grid))
    {
        grid->has_failed = true;
        return;
    }
    if (grid->ncells % grid->ncolumns == 0)
        grid->below[grid->nrows++] = (pawl_cli_buf){0};
    grid->cells[grid->ncells++] = (pawl_cli_grid_cell){.plain = {0}};
}

void
pawl_cli_grid_add(pawl_cli_grid *grid, const char *text, pawl_cli_style style)
{
    PAWL_CLI_BUF safe = {0};
    PAWL_CLI_BUF cut = {0};
    pawl_cli_grid_cell *cell = &grid->cells[grid->ncells - 1];

    if (grid->has_failed)
        return;
    pawl_cli_safe(&safe, text);
    if (grid->most > 0)
        pawl_cli_fit(&cut, pawl_cli_buf_text(&safe), grid->most);
    else
        pawl_cli_add(&cut, pawl_cli_buf_text(&safe));
    grid->has_failed = safe.has_failed || cut.has_failed;
    pawl_cli_add(&cell->plain, pawl_cli_buf_text(&cut));
    if (style != PAWL_CLI_PLAIN)
        pawl_cli_paint(&cell->painted, grid->has_color, style);
    pawl_cli_add(&cell->painted, pawl_cli_buf_text(&cut));
    if (style != PAWL_CLI_PLAIN)
        pawl_cli_paint(&cell->painted, grid->has_color, PAWL_CLI_PLAIN);
}

pawl_cli_buf *
pawl_cli_grid_below(pawl_cli_grid *grid)
{
    return grid->has_failed || grid->nrows == 0 ? NULL : &grid->below[grid->nrows - 1];
}

/* Whether nothing but empty cells follows in the row. */
static bool
is_rest_empty(const pawl_cli_grid *grid, size_t i)
{
    for (i++; i % grid->ncolumns != 0 && i < grid->ncells; i++)
        if (grid->cells[i].plain.length > 0)
            return false;
    return true;
}

void
pawl_cli_grid_print(pawl_cli_grid *grid, pawl_cli_buf *buf)
{
    size_t n = grid->ncolumns;
    size_t *widths = calloc(n, sizeof *widths);

    if (widths == NULL || grid->has_failed)
    {
        free(widths);
        buf->has_failed = true;
        return;
    }
    for (size_t i = 0; i < grid->ncells; i++)
    {
        size_t width = pawl_cli_width(pawl_cli_buf_text(&grid->cells[i].plain));

        widths[i % n] = width > widths[i % n] ? width : widths[i % n];
    }
    for (size_t i = 0; i < grid->ncells; i++)
    {
        size_t width = pawl_cli_width(pawl_cli_buf_text(&grid->cells[i].plain));
        bool is_last = is_rest_empty(grid, i);

        pawl_cli_add(buf, pawl_cli_buf_text(&grid->cells[i].painted));
        if (!is_last)
            pawl_cli_repeat(buf, " ", widths[i % n] - width + 2);
        if (i % n != n - 1)
            continue;
        while (buf->length > 0 && buf->data[buf->length - 1] == ' ')
            buf->data[--buf->length] = '\0';
        pawl_cli_add(buf, "\n");
        pawl_cli_add(buf, pawl_cli_buf_text(&grid->below[i / n]));
    }
    free(widths);
}

void
pawl_cli_grid_free(pawl_cli_grid *grid)
{
    for (size_t i = 0; i < grid->ncells; i++)
    {
        pawl_cli_buf_free(&grid->cells[i].plain);
        pawl_cli_buf_free(&grid->cells[i].painted);
    }
    for (size_t i = 0; i < grid->nrows; i++)
        pawl_cli_buf_free(&grid->below[i]);
    free(grid->cells);
    free(grid->below);
    *grid = (pawl_cli_grid){.ncolumns = grid->ncolumns};
}
