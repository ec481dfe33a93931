/*
 * bench.h - which batch size and how many workers suit this table on this server.
 *
 * Copies a contiguous sample of a backfill's table into a scratch schema, runs the real transform over it for each
 * combination of batch size and workers, interleaved and repeated, and reports medians. Nothing is left behind, also
 * when it is interrupted.
 *
 * Threads: as backfill.h.
 * Memory:  the report belongs to the caller; pawl_bench_free.
 */
#ifndef PAWL_BENCH_H
#define PAWL_BENCH_H

#include "pawl/project.h"

typedef struct pawl_bench_options
{
    const char *revision;      /* required */
    int32_t step;              /* from 1; 0: the revision's only backfill */
    int64_t sample_rows;       /* 0: 200,000, or the whole table when it is smaller */
    int32_t repeats;           /* 0: 3 */
    const int32_t *batch_rows; /* NULL: 100, 500, 1,000, 5,000, 10,000, 50,000 */
    size_t nbatch_rows;
    const int32_t *workers; /* NULL: 1, 2, 4 */
    size_t nworkers;
} pawl_bench_options;

typedef struct pawl_bench_cell
{
    int32_t batch_rows;
    int32_t workers;
    int32_t runs;
    double rows_per_s; /* median of the runs */
    double rows_per_s_min;
    double rows_per_s_max;
    double batch_p50_ms; /* over the batches of all runs */
    double batch_p99_ms;
    bool is_recommended;
} pawl_bench_cell;

typedef struct pawl_bench_report
{
    const char *target;
    const char *revision;
    int32_t step;
    const char *table;
    int64_t sample_rows;
    int64_t table_rows;     /* estimate */
    pawl_bench_cell *cells; /* workers outer, batch sizes inner */
    size_t ncells;
    const char *advice; /* a sentence or two with the reason */
    void *memory;
} pawl_bench_report;

/* Measure. PAWL_E_STOPPED when interrupted; the scratch schema is gone then too. */
PAWL_API PAWL_NODISCARD pawl_status pawl_bench_run(pawl_project *project, const pawl_bench_options *what,
                                                   const pawl_run_options *options, pawl_bench_report **out,
                                                   pawl_error *err);
PAWL_API void pawl_bench_free(pawl_bench_report *report);

#endif
