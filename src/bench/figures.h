/*
 * figures.h - what measured runs amount to: medians, percentiles, and which cell to recommend.
 *
 *   add_run, add_batch ... -> pawl_figures_cell for each cell -> recommend -> advise
 *
 * Threads: plain values; the caller serialises.
 * Memory:  figures own their lists (fini); the advice lives in the arena that was given.
 */
#ifndef PAWL_BENCH_FIGURES_H
#define PAWL_BENCH_FIGURES_H

#include "core/error.h"
#include "util/arena.h"
#include "util/vec.h"

#include "pawl/bench.h"

/* What was measured for one combination of workers and batch size. */
typedef struct pawl_figures
{
    PAWL_VEC(double) rates;    /* rows/s, one a run */
    PAWL_VEC(double) batch_ms; /* of the batches of all runs */
} pawl_figures;

void pawl_figures_fini(pawl_figures *f);
PAWL_NODISCARD pawl_status pawl_figures_add_run(pawl_figures *f, double rows_per_s, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_figures_add_batch(pawl_figures *f, double ms, pawl_error *err);

/* Fill the measured fields of a cell. Sorts the lists. */
void pawl_figures_cell(pawl_figures *f, pawl_bench_cell *cell);

/* The value below which `share` of the sorted values lie (nearest rank); 0 when there are none. */
double pawl_figures_percentile(const double *sorted, size_t count, double share);

/*
 * The cell to recommend, marked in `cells`: of those within 5 % of the fastest, the ones with the shortest p99 batch
 * time (within 10 % of the shortest), of these the one with the fewest workers, then with the smallest batch. Returns
 * its place; `count` must not be 0.
 */
size_t pawl_figures_recommend(pawl_bench_cell *cells, size_t count);

/* What stands beside the figures when they are put into words. */
typedef struct pawl_advice
{
    int64_t rows_read;    /* of the sample, what `where` let through */
    int64_t rows_written; /* of these, what the transform changed */
    bool has_triggers;    /* the table's user triggers were not copied */
    bool has_foreign_keys;
} pawl_advice;

/* Some sentences: what to write into the step and why, and what the figures do not contain. NULL without memory. */
const char *pawl_figures_advise(const pawl_bench_report *report, const pawl_advice *facts, pawl_arena *arena);

#endif
