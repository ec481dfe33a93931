/* pawl bench: batch sizes and workers, measured. */
#include <inttypes.h>
#include <stdlib.h>

#include "cli/bar.h"
#include "cli/json.h"
#include "cli/session.h"
#include "cli/table.h"

#include "pawl/bench.h"

static json_t *
cell_of(const void *items, size_t i)
{
    const pawl_bench_cell *cell = &((const pawl_bench_cell *) items)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_int(&o, "workers", cell->workers);
    pawl_cli_put_int(&o, "batch_rows", cell->batch_rows);
    pawl_cli_put_int(&o, "runs", cell->runs);
    pawl_cli_put_real(&o, "rows_per_s", cell->rows_per_s);
    pawl_cli_put_real(&o, "rows_per_s_min", cell->rows_per_s_min);
    pawl_cli_put_real(&o, "rows_per_s_max", cell->rows_per_s_max);
    pawl_cli_put_real(&o, "batch_p50_ms", cell->batch_p50_ms);
    pawl_cli_put_real(&o, "batch_p99_ms", cell->batch_p99_ms);
    pawl_cli_put_bool(&o, "is_recommended", cell->is_recommended);
    return pawl_cli_object_end(&o);
}

static json_t *
json_of(const pawl_bench_report *report)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "report");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", report->target);
    pawl_cli_put_text(&o, "revision", report->revision);
    pawl_cli_put_int(&o, "step", report->step);
    pawl_cli_put_text(&o, "table", report->table);
    pawl_cli_put_int(&o, "sample_rows", report->sample_rows);
    pawl_cli_put_int(&o, "table_rows", report->table_rows);
    pawl_cli_put(&o, "cells", pawl_cli_json_array(report->ncells, cell_of, report->cells));
    pawl_cli_put_text(&o, "advice", report->advice);
    return pawl_cli_object_end(&o);
}

static void
add_rate(pawl_cli_table *table, double rate)
{
    pawl_cli_count(pawl_cli_table_cell(table), rate > 0.0 && rate < 1e15 ? (int64_t) (rate + 0.5) : 0);
}

static void
add_row(pawl_cli_table *table, const pawl_bench_cell *cell, double best, bool has_utf8)
{
    pawl_cli_addf(pawl_cli_table_cell(table), "%" PRId32, cell->workers);
    pawl_cli_count(pawl_cli_table_cell(table), cell->batch_rows);
    add_rate(table, cell->rows_per_s);
    add_rate(table, cell->rows_per_s_min);
    add_rate(table, cell->rows_per_s_max);
    pawl_cli_addf(pawl_cli_table_cell(table), "%.1f", cell->batch_p50_ms);
    pawl_cli_addf(pawl_cli_table_cell(table), "%.1f", cell->batch_p99_ms);
    pawl_cli_bar(pawl_cli_table_cell(table), best > 0.0 ? 100.0 * cell->rows_per_s / best : 0.0, 16,
                 has_utf8);
    pawl_cli_add(pawl_cli_table_cell(table), cell->is_recommended ? "<- recommended" : "");
}

static void
print(pawl_cli *cli, const pawl_bench_report *report)
{
    pawl_cli_table table = {
        .ncolumns = 9,
        .headings = {"workers", "batch", "rows/s", "least", "most", "p50 ms", "p99 ms", "", ""},
        .is_right = {true, true, true, true, true, true, true, false, false},
    };
    PAWL_CLI_BUF text = {0};
    double best = 0.0;

    for (size_t i = 0; i < report->ncells; i++)
        best = report->cells[i].rows_per_s > best ? report->cells[i].rows_per_s : best;
    for (size_t i = 0; i < report->ncells; i++)
        add_row(&table, &report->cells[i], best, cli->out->has_utf8);

    pawl_cli_safe(&text, report->table);
    pawl_cli_add(&text, ", ");
    pawl_cli_safe(&text, report->revision);
    pawl_cli_addf(&text, " step %" PRId32 ": ", report->step);
    pawl_cli_plural(&text, report->sample_rows, "row");
    if (report->table_rows > report->sample_rows)
    {
        pawl_cli_add(&text, " of ~");
        pawl_cli_count(&text, report->table_rows);
    }
    pawl_cli_add(&text, "\n\n");
    pawl_cli_table_print(&table, &text, "", cli->out->has_data_color);
    pawl_cli_add(&text, "\n");
    pawl_cli_safe_lines(&text, report->advice, "");
    pawl_cli_add(&text, "\n");
    pawl_cli_print(cli->out, &text);
    pawl_cli_table_free(&table);
}

/* The numbers of the command line; the lists are the caller's to free also after a failure. */
static pawl_status
read_flags(const pawl_cli_line *line, pawl_bench_options *what, int32_t **batches, int32_t **workers,
           pawl_error *err)
{
    int64_t step = 0;
    int64_t repeats = 0;
    pawl_status st;

    if ((st = pawl_cli_number(line, "--step", 1, INT32_MAX, &step, err)) != PAWL_OK ||
        (st = pawl_cli_number(line, "--rows", 1, INT64_MAX, &what->sample_rows, err)) != PAWL_OK ||
        (st = pawl_cli_number(line, "--repeat", 1, 1000, &repeats, err)) != PAWL_OK ||
        (st = pawl_cli_numbers(line, "--batches", batches, &what->nbatch_rows, err)) != PAWL_OK ||
        (st = pawl_cli_numbers(line, "--workers-list", workers, &what->nworkers, err)) != PAWL_OK)
        return st;

    what->step = (int32_t) step;
    what->repeats = (int32_t) repeats;
    what->batch_rows = *batches;
    what->workers = *workers;
    return PAWL_OK;
}

static pawl_status
bench(pawl_cli *cli, pawl_error *err)
{
    pawl_bench_options what = {.revision = cli->line->arguments[0]};
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_bench_report *report = NULL;
    int32_t *batches = NULL;
    int32_t *workers = NULL;
    pawl_status st = read_flags(cli->line, &what, &batches, &workers, err);

    if (st == PAWL_OK)
        st = pawl_cli_open(cli, err);
    if (st == PAWL_OK)
        st = pawl_bench_run(cli->project, &what, &options, &report, err);
    free(batches);
    free(workers);
    pawl_cli_render_end(&cli->render);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of(report));
    else
        print(cli, report);
    pawl_bench_free(report);
    return PAWL_OK;
}

static const pawl_cli_flag flags[] = {
    {"--step", NULL, "N", "the step of the revision, from 1 (default: its only backfill)", NULL},
    {"--rows", NULL, "N", "rows in the sample (default 200000, or the whole table)", NULL},
    {"--repeat", NULL, "N", "runs of each combination; their median counts (default 3)", NULL},
    {"--batches", NULL, "LIST", "batch sizes (default 100,500,1000,5000,10000,50000)", NULL},
    {"--workers-list", NULL, "LIST", "numbers of workers (default 1,2,4)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_bench = {
    .name = "bench",
    .arguments = "R",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "measure which batch size and how many workers suit a backfill",
    .text = "Copies a sample of the table that a backfill of revision R works on into a scratch schema, runs "
            "the real "
            "transform over it with each combination of batch size and workers, and recommends one. The "
            "table itself "
            "is only read; the scratch schema is gone afterwards, also when it is interrupted. It loads the "
            "server: "
            "measure where that may be.",
    .examples =
        "pawl bench a41c\npawl bench a41c --step 2 --rows 50000 --batches 500,5000 --workers-list 1,2",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = bench,
};
