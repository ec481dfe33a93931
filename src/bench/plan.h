/*
 * plan.h - which step of which revision is measured, and what it needs to run over a copy.
 *
 *   new -> check (against the database) -> the fields -> free
 *
 * A column that the step writes and an earlier `add_column` of its own revision adds is added to the copy: where the
 * two stand in one revision there is no moment at which the column is there and not yet filled.
 *
 * Threads: belongs to the thread of the benchmark.
 * Memory:  everything lives in the plan's arena; a report may take it over (set it to NULL).
 */
#ifndef PAWL_BENCH_PLAN_H
#define PAWL_BENCH_PLAN_H

#include "bench/scratch.h"
#include "migrate/project.h"
#include "step/backfill_step.h"

#include "pawl/bench.h"

typedef struct pawl_bench_plan
{
    pawl_project *project;
    const pawl_run_options *options;
    pawl_arena *arena;
    const char *conninfo;
    const pawl_loaded *loaded;
    const char *revision;
    int32_t ordinal; /* from 1 */
    pawl_backfill_spec spec;
    pawl_backfill_env env;
    const pawl_table *table; /* these since check */
    const pawl_key *key;
    pawl_scratch_column *added;
    size_t nadded;
} pawl_bench_plan;

/* Choose the step. PAWL_E_USAGE when there is none of that number, or several and none was named. */
PAWL_NODISCARD pawl_status pawl_bench_plan_new(pawl_project *project, const pawl_bench_options *what,
                                               const pawl_run_options *options, pawl_bench_plan **out,
                                               pawl_error *err);

/* Find table, key and columns. Names the revision to apply first when a column is missing. */
PAWL_NODISCARD pawl_status pawl_bench_plan_check(pawl_bench_plan *plan, pawl_pg *pg, pawl_error *err);

void pawl_bench_plan_free(pawl_bench_plan *plan);

PAWL_DEFINE_AUTO(pawl_bench_plan, pawl_bench_plan_free);

#endif
