#include "cli/graph.h"

#include <stdlib.h>
#include <string.h>

/* Where the lines of a cell lead. */
enum
{
    UP = 1,
    DOWN = 2,
    LEFT = 4,
    RIGHT = 8,
};

static const char *const utf8_cells[16] = {
    " ", "╵", "╷", "│", "╴", "╯", "╮", "┤", "╶", "╰", "╭", "├", "─", "┴", "┬", "┼",
};
static const char *const ascii_cells[16] = {
    " ", "|", "|", "|", "-", "'", ".", "+", "-", "'", ".", "+", "-", "+", "+", "+",
};

/* A drawing in progress. A lane is a column that leads down to a revision that is still to come. */
typedef struct drawing
{
    pawl_cli_buf *out;
    const pawl_history *history;
    const pawl_cli_graph_style *style;
    const char **ids;   /* of all entries, sorted */
    const char **lanes; /* the revision that each leads to; NULL: a free one */
    unsigned char *row; /* the cells of the line that is being put together */
    size_t nlanes;
    size_t capacity;
} drawing;

static int
compare_ids(const void *a, const void *b)
{
    return strcmp(*(const char *const *) a, *(const char *const *) b);
}

static bool
is_shown(const drawing *d, const char *id)
{
    return bsearch(&id, d->ids, d->history->length, sizeof *d->ids, compare_ids) != NULL;
}

/* ---- lanes ----------------------------------------------------------------------------------------------------- */

static size_t
find_lane(const drawing *d, const char *id)
{
    size_t i = 0;

    while (i < d->nlanes && (d->lanes[i] == NULL || strcmp(d->lanes[i], id) != 0))
        i++;
    return i;
}

static size_t
open_lane(drawing *d, const char *id)
{
    size_t i = 0;

    while (i < d->nlanes && d->lanes[i] != NULL)
        i++;
    d->lanes[i] = id;
    if (i == d->nlanes)
        d->nlanes++;
    return i;
}

static void
trim_lanes(drawing *d)
{
    while (d->nlanes > 0 && d->lanes[d->nlanes - 1] == NULL)
        d->nlanes--;
}

/* ---- lines ----------------------------------------------------------------------------------------------------- */

static void
begin_row(drawing *d)
{
    memset(d->row, 0, d->capacity);
    for (size_t i = 0; i < d->nlanes; i++)
        d->row[i] = d->lanes[i] == NULL ? 0 : UP | DOWN;
}

/* A horizontal line from lane `a` to lane `b`. */
static void
connect(drawing *d, size_t a, size_t b)
{
    size_t low = a < b ? a : b;
    size_t high = a < b ? b : a;

    d->row[low] = (unsigned char) (d->row[low] | RIGHT);
    d->row[high] = (unsigned char) (d->row[high] | LEFT);
    for (size_t i = low + 1; i < high; i++)
        d->row[i] = (unsigned char) (d->row[i] | LEFT | RIGHT);
}

/* Print the cells; `node` is the lane in which a revision stands, or SIZE_MAX. */
static void
add_row(drawing *d, size_t width, size_t node, const char *mark)
{
    const char *const *cells = d->style->has_utf8 ? utf8_cells : ascii_cells;

    for (size_t i = 0; i < width; i++)
    {
        bool is_joined = (d->row[i] & RIGHT) != 0 && i + 1 < width && (d->row[i + 1] & LEFT) != 0;

        pawl_cli_add(d->out, i == node ? mark : cells[d->row[i]]);
        if (i + 1 < width)
            pawl_cli_add(d->out, is_joined ? cells[LEFT | RIGHT] : " ");
    }
}

/* All lanes that lead to this revision come together in the first. */
static void
join_lanes(drawing *d, const char *id, size_t lane)
{
    size_t width = d->nlanes;
    bool has_joined = false;

    begin_row(d);
    for (size_t i = lane + 1; i < d->nlanes; i++)
    {
        if (d->lanes[i] == NULL || strcmp(d->lanes[i], id) != 0)
            continue;
        d->row[i] = UP;
        connect(d, lane, i);
        d->lanes[i] = NULL;
        has_joined = true;
    }
    if (has_joined)
    {
        add_row(d, width, SIZE_MAX, "");
        pawl_cli_add(d->out, "\n");
    }
    trim_lanes(d);
}

/* After a merge: a lane for each further parent, or a line to the one that leads there already. */
static void
fork_lanes(drawing *d, const pawl_history_entry *e, size_t lane)
{
    bool has_forked = false;

    begin_row(d);
    for (size_t i = 0; i < e->nparents; i++)
    {
        size_t at;

        if (!is_shown(d, e->parents[i]) ||
            (d->lanes[lane] != NULL && strcmp(d->lanes[lane], e->parents[i]) == 0))
            continue;
        at = find_lane(d, e->parents[i]);
        if (at == d->nlanes)
        {
            at = open_lane(d, e->parents[i]);
            d->row[at] = (unsigned char) (d->row[at] | DOWN);
        }
        connect(d, lane, at);
        has_forked = true;
    }
    if (has_forked)
    {
        d->row[lane] = (unsigned char) (d->row[lane] | UP);
        add_row(d, d->nlanes, SIZE_MAX, "");
        pawl_cli_add(d->out, "\n");
    }
}

/* ---- entries --------------------------------------------------------------------------------------------------- */

static const char *
mark_of(const drawing *d, const pawl_history_entry *e)
{
    if (d->style->has_utf8)
        return e->is_current ? "◉" : "●";
    return e->is_current ? "@" : "*";
}

static void
trim_spaces(pawl_cli_buf *buf)
{
    while (buf->length > 0 && buf->data[buf->length - 1] == ' ')
        buf->data[--buf->length] = '\0';
}

/* The text beside the graph: its first line stands at the revision, the others beside the lanes that go on. */
static void
add_text(drawing *d, const pawl_history_entry *e, size_t lane, size_t width)
{
    PAWL_CLI_BUF text = {0};
    const char *line;
    bool is_first = true;

    d->style->describe(&text, d->history, e, d->style->ctx);
    line = pawl_cli_buf_text(&text);
    do
    {
        size_t length = strcspn(line, "\n");

        if (!is_first)
            begin_row(d);
        add_row(d, width, is_first ? lane : SIZE_MAX, mark_of(d, e));
        if (length > 0)
            pawl_cli_add(d->out, "  ");
        else
            trim_spaces(d->out);
        pawl_cli_add_bytes(d->out, line, length);
        pawl_cli_add(d->out, "\n");
        line += length + (line[length] == '\n' ? 1 : 0);
        is_first = false;
    } while (*line != '\0');
}

static void
draw_entry(drawing *d, const pawl_history_entry *e)
{
    size_t lane = find_lane(d, e->id);
    const char *first = NULL;
    size_t width;

    if (lane == d->nlanes)
        lane = open_lane(d, e->id);
    join_lanes(d, e->id, lane);
    width = d->nlanes;
    begin_row(d);

    /* Two lanes may lead to one revision until they join there: the first parent always goes on in this one. */
    for (size_t i = 0; i < e->nparents && first == NULL; i++)
        first = is_shown(d, e->parents[i]) ? e->parents[i] : NULL;
    d->lanes[lane] = first;
    add_text(d, e, lane, width);
    if (first != NULL)
        fork_lanes(d, e, lane);
    trim_lanes(d);
}

void
pawl_cli_draw_graph(pawl_cli_buf *buf, const pawl_history *history, const pawl_cli_graph_style *style)
{
    drawing d = {.out = buf, .history = history, .style = style};
    size_t edges = 0;

    for (size_t i = 0; i < history->length; i++)
        edges += history->entries[i].nparents;
    d.capacity = history->length + edges + 1;
    d.ids = calloc(history->length + 1, sizeof *d.ids);
    d.lanes = calloc(d.capacity, sizeof *d.lanes);
    d.row = calloc(d.capacity, 1);
    if (d.ids == NULL || d.lanes == NULL || d.row == NULL)
    {
        buf->has_failed = true;
    }
    else
    {
        for (size_t i = 0; i < history->length; i++)
            d.ids[i] = history->entries[i].id;
        qsort(d.ids, history->length, sizeof *d.ids, compare_ids);
        for (size_t i = 0; i < history->length; i++)
            draw_entry(&d, &history->entries[i]);
    }
    free(d.ids);
    free(d.lanes);
    free(d.row);
}
