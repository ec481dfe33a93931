#include "cli/table.h"

#include <assert.h>
#include <stdlib.h>

pawl_cli_buf *
pawl_cli_table_cell(pawl_cli_table *table)
{
    if (table->ncells == table->capacity)
    {
        size_t capacity = table->capacity == 0 ? 64 : table->capacity * 2;
        pawl_cli_buf *grown = realloc(table->cells, capacity * sizeof *grown);

        if (grown == NULL)
        {
            table->has_failed = true;
            table->nowhere.has_failed = true; /* and so takes nothing */
            return &table->nowhere;
        }
        table->cells = grown;
        table->capacity = capacity;
    }
    table->cells[table->ncells] = (pawl_cli_buf){0};
    return &table->cells[table->ncells++];
}

void
pawl_cli_table_add(pawl_cli_table *table, const char *text)
{
    pawl_cli_safe(pawl_cli_table_cell(table), text);
}

/* Columns at the end of a line may be empty. */
static void
end_line(pawl_cli_buf *buf)
{
    while (buf->length > 0 && buf->data[buf->length - 1] == ' ')
        buf->data[--buf->length] = '\0';
    pawl_cli_add(buf, "\n");
}

static void
add_aligned(pawl_cli_buf *buf, const char *text, size_t columns, bool is_right, bool is_last)
{
    size_t width = pawl_cli_width(text);
    size_t gap = columns > width ? columns - width : 0;

    if (is_right)
        pawl_cli_repeat(buf, " ", gap);
    pawl_cli_add(buf, text);
    if (!is_right && !is_last)
        pawl_cli_repeat(buf, " ", gap);
    if (is_last)
        end_line(buf);
    else
        pawl_cli_add(buf, "  ");
}

void
pawl_cli_table_print(pawl_cli_table *table, pawl_cli_buf *buf, const char *indent, bool has_color)
{
    size_t widths[PAWL_CLI_TABLE_COLUMNS];
    size_t n = table->ncolumns;

    assert(n > 0 && n <= PAWL_CLI_TABLE_COLUMNS);
    for (size_t i = 0; i < n; i++)
        widths[i] = pawl_cli_width(table->headings[i]);
    for (size_t i = 0; i < table->ncells; i++)
    {
        size_t width = pawl_cli_width(pawl_cli_buf_text(&table->cells[i]));

        widths[i % n] = width > widths[i % n] ? width : widths[i % n];
        buf->has_failed = buf->has_failed || table->cells[i].has_failed;
    }

    pawl_cli_add(buf, indent);
    pawl_cli_paint(buf, has_color, PAWL_CLI_BOLD);
    for (size_t i = 0; i < n; i++)
        add_aligned(buf, table->headings[i], widths[i], table->is_right[i], i + 1 == n);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    for (size_t i = 0; i < table->ncells; i++)
    {
        if (i % n == 0)
            pawl_cli_add(buf, indent);
        add_aligned(buf, pawl_cli_buf_text(&table->cells[i]), widths[i % n], table->is_right[i % n],
                    i % n + 1 == n);
    }
    buf->has_failed = buf->has_failed || table->has_failed;
}

void
pawl_cli_table_free(pawl_cli_table *table)
{
    for (size_t i = 0; i < table->ncells; i++)
        pawl_cli_buf_free(&table->cells[i]);
    free(table->cells);
    table->cells = NULL;
    table->ncells = table->capacity = 0;
}
