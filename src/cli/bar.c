#include "cli/bar.h"

#include <inttypes.h>

#define MOST_PARTS  8
#define LEAST_CELLS 8
#define MOST_CELLS  30
#define FRAME       4 /* brackets and two spaces around the bar */

/* The parts of a line, in the order they stand in. */
typedef struct parts
{
    pawl_cli_buf text[MOST_PARTS];
    size_t importance[MOST_PARTS]; /* the greatest is left out first */
    size_t count;
} parts;

void
pawl_cli_bar(pawl_cli_buf *buf, double percent, size_t cells, bool has_utf8)
{
    /* A column in eighths: what a bar of a few columns has to say about hours of work. */
    static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
    double share = percent < 0.0 ? 0.0 : percent > 100.0 ? 1.0 : percent / 100.0;
    size_t filled = (size_t) (share * (double) cells * 8.0);
    size_t whole = filled / 8;
    size_t part = has_utf8 && whole < cells ? filled % 8 : 0;

    pawl_cli_add(buf, "[");
    pawl_cli_repeat(buf, has_utf8 ? "█" : "#", whole);
    pawl_cli_add(buf, eighths[part]);
    pawl_cli_repeat(buf, has_utf8 ? " " : "-", cells - whole - (part > 0 ? 1 : 0));
    pawl_cli_add(buf, "]");
}

double
pawl_cli_percent(const pawl_progress *p)
{
    double percent;

    if (p->rows_total <= 0)
        return -1.0;

    percent = 100.0 * (double) p->rows_read / (double) p->rows_total;
    return percent > 99.9 ? 99.9 : percent;
}

static pawl_cli_buf *
add_part(parts *all, size_t importance)
{
    all->importance[all->count] = importance;
    return &all->text[all->count++];
}

static void
free_parts(parts *all)
{
    for (size_t i = 0; i < MOST_PARTS; i++)
        pawl_cli_buf_free(&all->text[i]);
}

static void
add_rows(pawl_cli_buf *buf, const pawl_progress *p, bool is_short)
{
    void (*add)(pawl_cli_buf *, int64_t) = is_short ? pawl_cli_short_count : pawl_cli_count;

    add(buf, p->rows_read);
    if (p->rows_total > 0)
    {
        pawl_cli_add(buf, is_short ? "/" : " of ~");
        add(buf, p->rows_total);
    }
    pawl_cli_add(buf, p->rows_total <= 0 && p->rows_read == 1 ? " row" : " rows");
}

static void
add_rate(pawl_cli_buf *buf, const pawl_progress *p, bool is_short)
{
    int64_t rate = p->rows_per_s > 0.0 && p->rows_per_s < 1e15 ? (int64_t) (p->rows_per_s + 0.5) : 0;

    if (is_short)
        pawl_cli_short_count(buf, rate);
    else
        pawl_cli_count(buf, rate);
    pawl_cli_add(buf, "/s");
}

/* Rows that were not plain: " 12 moved, 3 rejected". */
static void
add_oddities(pawl_cli_buf *buf, const pawl_progress *p)
{
    const struct
    {
        int64_t rows;
        const char *word;
    } kinds[] = {{p->rows_moved, "moved"}, {p->rows_gone, "gone"}, {p->rows_rejected, "rejected"}};

    for (size_t i = 0; i < sizeof kinds / sizeof kinds[0]; i++)
    {
        if (kinds[i].rows <= 0)
            continue;
        if (buf->length > 0)
            pawl_cli_add(buf, ", ");
        pawl_cli_count(buf, kinds[i].rows);
        pawl_cli_addf(buf, " %s", kinds[i].word);
    }
}

static void
collect(parts *all, const pawl_progress *p, bool is_short, bool has_utf8)
{
    add_rows(add_part(all, 0), p, is_short);
    add_rate(add_part(all, 1), p, is_short);
    if (p->eta_ms >= 0)
    {
        pawl_cli_buf *eta = add_part(all, 3);

        pawl_cli_add(eta, "ETA ");
        pawl_cli_duration(eta, p->eta_ms);
    }
    if (p->rows_moved > 0 || p->rows_gone > 0 || p->rows_rejected > 0)
        add_oddities(add_part(all, 4), p);
    if (p->workers > 0)
    {
        pawl_cli_buf *pace = add_part(all, 5);

        pawl_cli_addf(pace, "%" PRId32 "%s", p->workers, has_utf8 ? "×" : "x");
        pawl_cli_count(pace, p->batch_rows);
    }
    if (p->holding[0] != '\0')
        pawl_cli_safe(add_part(all, 2), p->holding);
}

/* Empty the least important part that still has text; false when only one is left. */
static bool
is_one_dropped(parts *all)
{
    size_t worst = 0;
    size_t left = 0;

    for (size_t i = 0; i < all->count; i++)
    {
        if (all->text[i].length == 0)
            continue;
        left++;
        if (all->importance[i] > all->importance[worst] || all->text[worst].length == 0)
            worst = i;
    }
    if (left < 2)
        return false;
    pawl_cli_buf_reset(&all->text[worst]);
    return true;
}

static void
join(pawl_cli_buf *buf, const parts *all)
{
    pawl_cli_buf_reset(buf);
    for (size_t i = 0; i < all->count; i++)
    {
        if (all->text[i].length == 0)
            continue;
        if (buf->length > 0)
            pawl_cli_add(buf, "  ");
        pawl_cli_add(buf, pawl_cli_buf_text(&all->text[i]));
    }
}

/* The facts in at most `columns`. Short numbers are tried before anything is left out. */
static void
fit_facts(pawl_cli_buf *facts, const pawl_progress *p, size_t columns, bool has_utf8)
{
    parts all = {0};

    collect(&all, p, false, has_utf8);
    join(facts, &all);
    if (pawl_cli_width(pawl_cli_buf_text(facts)) > columns)
    {
        free_parts(&all);
        all = (parts){0};
        collect(&all, p, true, has_utf8);
        join(facts, &all);
    }
    while (pawl_cli_width(pawl_cli_buf_text(facts)) > columns && is_one_dropped(&all))
        join(facts, &all);
    free_parts(&all);
}

void
pawl_cli_bar_line(pawl_cli_buf *buf, const pawl_progress *p, pawl_cli_bar_style style)
{
    double percent = pawl_cli_percent(p);
    size_t lead = percent < 0.0 ? 0 : 7; /* " 42.0% " */
    size_t room = style.columns > lead ? style.columns - lead : 0;
    bool has_bar = percent >= 0.0 && room >= FRAME + LEAST_CELLS + 12;
    PAWL_CLI_BUF facts = {0};
    size_t cells = 0;

    fit_facts(&facts, p, has_bar ? room - FRAME - LEAST_CELLS : room, style.has_utf8);
    if (percent >= 0.0)
        pawl_cli_addf(buf, "%5.1f%% ", percent);
    if (has_bar)
    {
        size_t width = pawl_cli_width(pawl_cli_buf_text(&facts));

        cells = width > room - FRAME - LEAST_CELLS ? LEAST_CELLS : room - FRAME - width;
        cells = cells > MOST_CELLS ? MOST_CELLS : cells;
        pawl_cli_paint(buf, style.has_color, PAWL_CLI_GREEN);
        pawl_cli_bar(buf, percent, cells, style.has_utf8);
        pawl_cli_paint(buf, style.has_color, PAWL_CLI_PLAIN);
        pawl_cli_add(buf, "  ");
        room -= FRAME + cells;
    }
    pawl_cli_fit(buf, pawl_cli_buf_text(&facts), room);
}

void
pawl_cli_progress_text(pawl_cli_buf *buf, const pawl_progress *p)
{
    double percent = pawl_cli_percent(p);
    parts all = {0};
    PAWL_CLI_BUF facts = {0};

    if (percent >= 0.0)
        pawl_cli_addf(buf, "%.1f%%  ", percent);
    collect(&all, p, false, false);
    join(&facts, &all);
    pawl_cli_add(buf, pawl_cli_buf_text(&facts));
    free_parts(&all);
}
