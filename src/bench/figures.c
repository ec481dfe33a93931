#include "bench/figures.h"

#include <assert.h>
#include <stdlib.h>

#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define NEAR_RATE \
    0.95 /* of the fastest: the difference is within what two measurements of one thing differ by */
#define NEAR_P99    1.10
#define WIDE_SPREAD 0.30 /* (most - least) / median: another load was on the machine */

void
pawl_figures_fini(pawl_figures *f)
{
    pawl_vec_fini(&f->rates);
    pawl_vec_fini(&f->batch_ms);
}

pawl_status
pawl_figures_add_run(pawl_figures *f, double rows_per_s, pawl_error *err)
{
    return pawl_vec_push(&f->rates, rows_per_s) ? PAWL_OK
                                                : pawl_error_nomem(err, "the figures of a benchmark");
}

pawl_status
pawl_figures_add_batch(pawl_figures *f, double ms, pawl_error *err)
{
    return pawl_vec_push(&f->batch_ms, ms) ? PAWL_OK : pawl_error_nomem(err, "the figures of a benchmark");
}

static int
compare(const void *a, const void *b)
{
    const double x = *(const double *) a;
    const double y = *(const double *) b;

    return (x > y) - (x < y);
}

double
pawl_figures_percentile(const double *sorted, size_t count, double share)
{
    double rank = share * (double) count;
    size_t place = (size_t) rank;

    if (count == 0)
        return 0.0;
    if (rank > (double) place)
        place++;
    if (place < 1)
        place = 1;
    return sorted[place > count ? count - 1 : place - 1];
}

static double
median(const double *sorted, size_t count)
{
    if (count == 0)
        return 0.0;
    return count % 2 == 1 ? sorted[count / 2] : (sorted[count / 2 - 1] + sorted[count / 2]) / 2.0;
}

void
pawl_figures_cell(pawl_figures *f, pawl_bench_cell *cell)
{
    size_t runs = f->rates.length;
    size_t batches = f->batch_ms.length;

    if (runs > 0)
        qsort(f->rates.items, runs, sizeof *f->rates.items, compare);
    if (batches > 0)
        qsort(f->batch_ms.items, batches, sizeof *f->batch_ms.items, compare);
    cell->runs = (int32_t) runs;
    cell->rows_per_s = median(f->rates.items, runs);
    cell->rows_per_s_min = runs > 0 ? f->rates.items[0] : 0.0;
    cell->rows_per_s_max = runs > 0 ? f->rates.items[runs - 1] : 0.0;
    cell->batch_p50_ms = pawl_figures_percentile(f->batch_ms.items, batches, 0.5);
    cell->batch_p99_ms = pawl_figures_percentile(f->batch_ms.items, batches, 0.99);
}

static size_t
fastest(const pawl_bench_cell *cells, size_t count)
{
    size_t best = 0;

    for (size_t i = 1; i < count; i++)
        if (cells[i].rows_per_s > cells[best].rows_per_s)
            best = i;
    return best;
}

static bool
is_smaller(const pawl_bench_cell *a, const pawl_bench_cell *b)
{
    return a->workers != b->workers ? a->workers < b->workers : a->batch_rows < b->batch_rows;
}

size_t
pawl_figures_recommend(pawl_bench_cell *cells, size_t count)
{
    double enough;
    double shortest = -1.0;
    size_t chosen;

    assert(count > 0);
    chosen = fastest(cells, count);
    enough = NEAR_RATE * cells[chosen].rows_per_s;
    for (size_t i = 0; i < count; i++)
        if (cells[i].rows_per_s >= enough && (shortest < 0.0 || cells[i].batch_p99_ms < shortest))
            shortest = cells[i].batch_p99_ms;
    if (cells[chosen].batch_p99_ms > NEAR_P99 * shortest)
        chosen = count;
    for (size_t i = 0; i < count; i++)
        if (cells[i].rows_per_s >= enough && cells[i].batch_p99_ms <= NEAR_P99 * shortest &&
            (chosen == count || is_smaller(&cells[i], &cells[chosen])))
            chosen = i;

    for (size_t i = 0; i < count; i++)
        cells[i].is_recommended = i == chosen;
    return chosen;
}

/* ---- words ------------------------------------------------------------------------------------------------------- */

static void
add_count(pawl_strbuf *b, double n)
{
    char text[32];

    pawl_units_count((int64_t) (n + 0.5), text, sizeof text);
    pawl_strbuf_add(b, text);
}

static void
add_cell(pawl_strbuf *b, const pawl_bench_cell *cell)
{
    pawl_strbuf_addf(b, "%d %s and batches of ", (int) cell->workers,
                     cell->workers == 1 ? "worker" : "workers");
    add_count(b, (double) cell->batch_rows);
    pawl_strbuf_add(b, " rows");
}

static void
add_reason(pawl_strbuf *b, const pawl_bench_report *report, const pawl_bench_cell *chosen)
{
    const pawl_bench_cell *best = &report->cells[fastest(report->cells, report->ncells)];

    add_cell(b, chosen);
    pawl_strbuf_add(b, ": ");
    add_count(b, chosen->rows_per_s);
    pawl_strbuf_addf(b, " rows/s, 99 %% of the batches within %.1f ms. ", chosen->batch_p99_ms);
    if (report->ncells < 2)
        return;
    if (best == chosen)
    {
        pawl_strbuf_add(b, "Nothing that was measured is faster. ");
        return;
    }
    pawl_strbuf_add(b, "The fastest, ");
    add_cell(b, best);
    pawl_strbuf_add(b, ", reached ");
    add_count(b, best->rows_per_s);
    pawl_strbuf_addf(
        b,
        " rows/s, which is within 5 %%, with batches of up to %.1f ms: so long do a batch's rows stay "
        "locked. ",
        best->batch_p99_ms);
}

static double
spread(const pawl_bench_cell *cell)
{
    return cell->rows_per_s > 0.0 ? (cell->rows_per_s_max - cell->rows_per_s_min) / cell->rows_per_s : 0.0;
}

static void
add_doubts(pawl_strbuf *b, const pawl_bench_report *report, const pawl_bench_cell *chosen,
           const pawl_advice *facts)
{
    if (spread(chosen) > WIDE_SPREAD)
        pawl_strbuf_addf(
            b,
            "\nIts runs differ by %.0f %%: something else was at work on this server; measure again when "
            "it is quiet, or with more repeats.",
            100.0 * spread(chosen));
    if (facts->rows_read < report->sample_rows)
    {
        pawl_strbuf_add(b, "\n`where` let ");
        add_count(b, (double) facts->rows_read);
        pawl_strbuf_add(b, " of the sample's ");
        add_count(b, (double) report->sample_rows);
        pawl_strbuf_add(b, " rows through; rows/s counts those.");
    }
    if (facts->rows_written < facts->rows_read - facts->rows_read / 10)
    {
        pawl_strbuf_add(b, "\nOnly ");
        add_count(b, (double) facts->rows_written);
        pawl_strbuf_add(b, " of them were written: where more change, it is slower.");
    }
    pawl_strbuf_add(b, "\nNot in these figures: other sessions' work, standbys that have to keep up");
    pawl_strbuf_add(b, facts->has_triggers ? ", the table's triggers" : "");
    pawl_strbuf_add(b, facts->has_foreign_keys ? ", its foreign keys" : "");
    pawl_strbuf_add(b, facts->has_triggers || facts->has_foreign_keys ? " (they are not copied)." : ".");
}

const char *
pawl_figures_advise(const pawl_bench_report *report, const pawl_advice *facts, pawl_arena *arena)
{
    PAWL_STRBUF_AUTO(b);
    const pawl_bench_cell *chosen = &report->cells[0];
    char time[32];

    for (size_t i = 0; i < report->ncells; i++)
        if (report->cells[i].is_recommended)
            chosen = &report->cells[i];
    assert(chosen->is_recommended);

    add_reason(&b, report, chosen);
    pawl_strbuf_addf(&b, "In the step: `workers: %d` and `batch: %d`.", (int) chosen->workers,
                     (int) chosen->batch_rows);
    if (report->table_rows > report->sample_rows && chosen->rows_per_s > 0.0)
    {
        pawl_units_duration((int64_t) (1000.0 * (double) report->table_rows / chosen->rows_per_s), time,
                            sizeof time);
        pawl_strbuf_addf(&b, " At this rate the whole table takes about %s.", time);
    }
    add_doubts(&b, report, chosen, facts);
    return pawl_strbuf_is_ok(&b) ? pawl_arena_strdup(arena, b.data) : NULL;
}
