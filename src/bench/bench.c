#include "pawl/bench.h"

#include <string.h>

#include "backfill/run.h"
#include "bench/figures.h"
#include "bench/plan.h"
#include "bench/scratch.h"
#include "pg/sqlbuf.h"
#include "util/clock.h"
#include "util/rng.h"
#include "util/units.h"

#include "util/banned.h"

enum
{
    SAMPLE_ROWS = 200000,
    REPEATS = 3,
    CHUNKS_PER_WORKER = 4, /* so that the workers of a run end together */
    MOST_CHUNK_ROWS = 200000,
    LEAST_CHUNK_ROWS = 20000
};

/* Without --rows, a sample of wide rows is smaller: it is copied twice and rewritten again and again. */
#define SAMPLE_BYTES (INT64_C(1) << 30)

static const int32_t usual_batches[] = {100, 500, 1000, 5000, 10000, 50000};
static const int32_t usual_workers[] = {1, 2, 4};

/* One benchmark at work. */
typedef struct bench
{
    const pawl_bench_plan *plan;
    const pawl_run_options *options;
    pawl_scratch *scratch;
    pawl_bench_report *report;
    pawl_figures *figures; /* one a cell */
    const char *table;     /* the copy, quoted */
    pawl_advice facts;
    int run_number;
    int runs;
} bench;

/* What the batches of one run are added to; only while the run's threads are alive, which serialise. */
typedef struct recorder
{
    pawl_figures *figures; /* NULL: the run that warms up */
    pawl_status st;
    pawl_error error;
} recorder;

static void
on_batch(void *ctx, int64_t rows, int64_t elapsed_us)
{
    recorder *r = ctx;

    (void) rows;
    if (r->figures != NULL && r->st == PAWL_OK)
        r->st = pawl_figures_add_batch(r->figures, (double) elapsed_us / 1000.0, &r->error);
}

/* Of a run's own events only those that say why it takes long. */
static void
forward(void *ctx, const pawl_event *event)
{
    const pawl_sink *sink = ctx;

    if (event->kind == PAWL_EVENT_WARNING || event->kind == PAWL_EVENT_WAITING)
        pawl_log_emit(sink, event);
}

static int64_t
chunk_rows(const bench *b, const pawl_bench_cell *cell)
{
    int64_t rows = 20 * (int64_t) cell->batch_rows;
    int64_t share = b->report->sample_rows / ((int64_t) cell->workers * CHUNKS_PER_WORKER);

    if (rows < LEAST_CHUNK_ROWS)
        rows = LEAST_CHUNK_ROWS;
    if (rows > MOST_CHUNK_ROWS)
        rows = MOST_CHUNK_ROWS;
    if (rows > share)
        rows = share;
    return rows < cell->batch_rows ? cell->batch_rows : rows;
}

/* Run the step over a new copy; *rate is rows a second of wall time, connections and all. */
static pawl_status
run_once(bench *b, const pawl_bench_cell *cell, pawl_figures *figures, double *rate, pawl_error *err)
{
    pawl_sink sink = b->options->sink;
    const pawl_sink filter = {.emit = forward, .ctx = &sink};
    recorder record = {.figures = figures, .st = PAWL_OK, .error = PAWL_ERROR_INIT};
    pawl_backfill_spec spec = b->plan->spec;
    pawl_backfill_env env = b->plan->env;
    const pawl_backfill_id id = {
        .revision = "bench", .direction = "api", .ordinal = ++b->run_number, .checksum = ""};
    pawl_backfill_result result = {0};
    int64_t began;
    int64_t elapsed;
    pawl_status st = pawl_stop_check(b->options->stop, PAWL_STOP_FINISH, err);

    if (st != PAWL_OK || (st = pawl_scratch_refill(b->scratch, err)) != PAWL_OK)
        return st;
    spec.table = b->table;
    spec.workers = cell->workers;
    spec.batch_rows = cell->batch_rows;
    spec.chunk_rows = chunk_rows(b, cell);
    env.schema = b->scratch->schema;
    env.sink = &filter;
    env.on_batch = on_batch;
    env.on_batch_ctx = &record;

    began = pawl_clock_us();
    st = pawl_backfill_run(&spec, &env, &id, &result, err);
    elapsed = pawl_clock_us() - began;
    if (st == PAWL_E_TRANSFORM || st == PAWL_E_SERVER)
    {
        (void) pawl_error_prefix(err, "on the sample");
        return pawl_error_hint(
            err, "the backfill itself would stop here too; only the copy was changed, and it is gone");
    }
    if (st != PAWL_OK)
        return st;
    if (record.st != PAWL_OK)
    {
        *err = record.error;
        return record.st;
    }
    b->facts.rows_read = result.progress.rows_read;
    b->facts.rows_written = result.progress.rows_written;
    *rate = elapsed > 0 ? 1e6 * (double) result.progress.rows_read / (double) elapsed : 0.0;
    return PAWL_OK;
}

static void
tell_run(const bench *b, const pawl_bench_cell *cell, int count, double rate, int64_t elapsed_us)
{
    char batch[32];
    char rows[32];
    char text[120];
    const pawl_event event = {.kind = PAWL_EVENT_BENCH_CELL,
                              .revision = b->report->revision,
                              .step = b->report->step,
                              .count = count,
                              .total = b->runs,
                              .elapsed_ms = elapsed_us / 1000,
                              .text = text};

    pawl_units_count(cell->batch_rows, batch, sizeof batch);
    pawl_units_count((int64_t) (rate + 0.5), rows, sizeof rows);
    pawl_fmt(text, sizeof text, "%d %s, %s rows a batch: %s rows/s", (int) cell->workers,
             cell->workers == 1 ? "worker" : "workers", batch, rows);
    pawl_log_emit(&b->options->sink, &event);
}

/* The first run meets cold caches and new files; it also shows whether there is anything to measure. */
static pawl_status
warm_up(bench *b, pawl_error *err)
{
    const pawl_bench_cell *cell = &b->report->cells[b->report->ncells / 2];
    double rate = 0.0;
    pawl_status st = run_once(b, cell, NULL, &rate, err);

    if (st != PAWL_OK || b->facts.rows_read > 0)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "there is nothing to measure: `where` lets none of the sample's rows through");
    (void) pawl_error_detail(err, "%lld rows from the middle of \"%s\"; where: %s",
                             (long long) b->report->sample_rows, b->report->table,
                             b->plan->spec.where == NULL ? "" : b->plan->spec.where);
    return pawl_error_hint(
        err, "a table that is backfilled already shows nothing: measure before, or on a copy of the "
             "database from before");
}

static void
shuffle(size_t *order, size_t count, pawl_rng *rng)
{
    for (size_t i = 0; i < count; i++)
        order[i] = i;
    for (size_t i = count; i > 1; i--)
    {
        size_t k = (size_t) pawl_rng_below(rng, i);
        size_t kept = order[i - 1];

        order[i - 1] = order[k];
        order[k] = kept;
    }
}

/* Cells take turns, each repeat in another order: what drifts on the machine meets all of them. */
static pawl_status
measure(bench *b, int32_t repeats, pawl_error *err)
{
    size_t *order = pawl_arena_array(b->plan->arena, b->report->ncells, sizeof *order);
    pawl_rng rng;
    pawl_status st = warm_up(b, err);

    if (st != PAWL_OK)
        return st;
    if (order == NULL)
        return pawl_error_nomem(err, "a benchmark");
    pawl_rng_init_random(&rng);
    for (int32_t r = 0; r < repeats; r++)
    {
        shuffle(order, b->report->ncells, &rng);
        for (size_t i = 0; i < b->report->ncells; i++)
        {
            int64_t began = pawl_clock_us();
            double rate = 0.0;
            size_t place = order[i];

            if ((st = run_once(b, &b->report->cells[place], &b->figures[place], &rate, err)) != PAWL_OK ||
                (st = pawl_figures_add_run(&b->figures[place], rate, err)) != PAWL_OK)
                return st;
            tell_run(b, &b->report->cells[place], (int) ((size_t) r * b->report->ncells + i) + 1, rate,
                     pawl_clock_us() - began);
        }
    }
    return PAWL_OK;
}

/* ---- what is measured -------------------------------------------------------------------------------------------- */

static int64_t
sample_rows(const pawl_bench_options *what, const pawl_table *table)
{
    int64_t rows = what->sample_rows;

    if (rows > 0)
        return rows;
    rows = SAMPLE_ROWS;
    if (table->rows_estimate > 0 && table->total_bytes / table->rows_estimate > SAMPLE_BYTES / rows)
        rows = SAMPLE_BYTES / (table->total_bytes / table->rows_estimate);
    return rows < 1000 ? 1000 : rows;
}

/* Of the usual sizes those that the sample fills; of the caller's all. */
static size_t
batch_sizes(const pawl_bench_options *what, int64_t sample, const int32_t **out)
{
    size_t count = sizeof usual_batches / sizeof usual_batches[0];

    *out = what->batch_rows != NULL ? what->batch_rows : usual_batches;
    if (what->batch_rows != NULL)
        return what->nbatch_rows;
    while (count > 1 && usual_batches[count - 1] > sample)
        count--;
    return count;
}

static pawl_status
make_cells(bench *b, const pawl_bench_options *what, pawl_error *err)
{
    const int32_t *batches = NULL;
    const int32_t *workers = what->workers != NULL ? what->workers : usual_workers;
    size_t nworkers = what->workers != NULL ? what->nworkers : sizeof usual_workers / sizeof usual_workers[0];
    size_t nbatches = batch_sizes(what, b->report->sample_rows, &batches);
    size_t n = 0;

    b->report->ncells = nworkers * nbatches;
    b->report->cells = pawl_arena_array(b->plan->arena, b->report->ncells, sizeof *b->report->cells);
    b->figures = pawl_arena_array(b->plan->arena, b->report->ncells, sizeof *b->figures);
    if (b->report->cells == NULL || b->figures == NULL)
        return pawl_error_nomem(err, "a benchmark");
    for (size_t w = 0; w < nworkers; w++)
    {
        for (size_t i = 0; i < nbatches; i++, n++)
        {
            b->report->cells[n] = (pawl_bench_cell){.workers = workers[w], .batch_rows = batches[i]};
            b->figures[n] = (pawl_figures){.rates = {0}};
        }
    }
    return PAWL_OK;
}

static pawl_status
take_sample(bench *b, const pawl_bench_options *what, pawl_error *err)
{
    const pawl_table *table = b->plan->table;
    char rows[32];
    int64_t got = 0;
    pawl_status st = pawl_scratch_sample(b->scratch, sample_rows(what, table), &got, err);

    if (st != PAWL_OK)
        return st;
    b->report->sample_rows = got;
    b->report->table_rows = table->rows_estimate > got ? table->rows_estimate : got;
    if (got == 0)
        return pawl_error_set(err, PAWL_E_STATE, "there is nothing to measure: table \"%s\" is empty",
                              b->report->table);
    pawl_units_count(got, rows, sizeof rows);
    pawl_log_text(&b->options->sink, PAWL_EVENT_INFO, "copied %s rows of \"%s\" into schema \"%s\"", rows,
                  b->report->table, b->scratch->schema);
    return PAWL_OK;
}

static pawl_status
conclude(bench *b, pawl_error *err)
{
    pawl_bench_report *r = b->report;

    for (size_t i = 0; i < r->ncells; i++)
        pawl_figures_cell(&b->figures[i], &r->cells[i]);
    (void) pawl_figures_recommend(r->cells, r->ncells);
    b->facts.has_triggers = b->scratch->has_triggers;
    b->facts.has_foreign_keys = b->scratch->has_foreign_keys;
    r->advice = pawl_figures_advise(r, &b->facts, b->plan->arena);
    return r->advice == NULL ? pawl_error_nomem(err, "the advice of a benchmark") : PAWL_OK;
}

static pawl_status
run_in_scratch(bench *b, const pawl_bench_options *what, pawl_error *err)
{
    PAWL_STRBUF_AUTO(table);
    int32_t repeats = what->repeats > 0 ? what->repeats : REPEATS;
    pawl_status st;

    if ((st = pawl_scratch_make(b->scratch, err)) != PAWL_OK || (st = take_sample(b, what, err)) != PAWL_OK ||
        (st = make_cells(b, what, err)) != PAWL_OK)
        return st;
    pawl_sql_ident2(&table, b->scratch->schema, b->plan->table->name);
    if (!pawl_strbuf_is_ok(&table))
        return pawl_error_nomem(err, "a benchmark");
    b->table = table.data;
    b->runs = repeats * (int) b->report->ncells;
    st = measure(b, repeats, err);
    if (st == PAWL_OK)
        st = conclude(b, err);
    for (size_t i = 0; i < b->report->ncells; i++)
        pawl_figures_fini(&b->figures[i]);
    b->table = NULL;
    return st;
}

static pawl_status
check_options(const pawl_bench_options *what, pawl_error *err)
{
    const int most_workers = 64;

    if (what->revision == NULL || what->revision[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a benchmark needs a revision");
    if (what->sample_rows < 0 || what->repeats < 0 || what->step < 0 ||
        (what->batch_rows != NULL && what->nbatch_rows == 0) ||
        (what->workers != NULL && what->nworkers == 0))
        return pawl_error_set(err, PAWL_E_USAGE,
                              "rows, repeats, step, batch sizes and workers must be positive");
    for (size_t i = 0; what->batch_rows != NULL && i < what->nbatch_rows; i++)
        if (what->batch_rows[i] < 1)
            return pawl_error_set(err, PAWL_E_USAGE, "a batch of %d rows cannot be measured",
                                  (int) what->batch_rows[i]);
    for (size_t i = 0; what->workers != NULL && i < what->nworkers; i++)
        if (what->workers[i] < 1 || what->workers[i] > most_workers)
            return pawl_error_set(err, PAWL_E_USAGE, "%d workers cannot be measured: 1 to %d can",
                                  (int) what->workers[i], most_workers);
    return PAWL_OK;
}

static pawl_status
open_report(bench *b, pawl_error *err)
{
    const pawl_bench_plan *plan = b->plan;
    pawl_bench_report *r = pawl_arena_alloc(plan->arena, sizeof *r);

    if (r == NULL)
        return pawl_error_nomem(err, "a benchmark");
    *r = (pawl_bench_report){
        .revision = plan->revision,
        .step = plan->ordinal,
        .target = pawl_arena_strdup(plan->arena, pawl_pg_target(b->scratch->pg)),
        .table = pawl_arena_fmt(plan->arena, "%s.%s", plan->table->schema, plan->table->name)};
    if (r->target == NULL || r->table == NULL)
        return pawl_error_nomem(err, "a benchmark");
    b->report = r;
    return PAWL_OK;
}

static pawl_status
bench_step(bench *b, const pawl_bench_options *what, pawl_error *err)
{
    pawl_status st;

    b->scratch->table = b->plan->table;
    b->scratch->key = b->plan->key;
    b->scratch->added = b->plan->added;
    b->scratch->nadded = b->plan->nadded;
    st = open_report(b, err);
    if (st != PAWL_OK)
        return st;
    st = run_in_scratch(b, what, err);
    if (st != PAWL_E_STOPPED)
        return st;
    /* What the backfill says of going on is not true of its copy. */
    (void) pawl_error_set(err, PAWL_E_STOPPED, "the benchmark was stopped");
    return pawl_error_hint(err, "its scratch schema is dropped; nothing else was changed");
}

pawl_status
pawl_bench_run(pawl_project *project, const pawl_bench_options *what, const pawl_run_options *options,
               pawl_bench_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_bench_plan) plan = NULL;
    bench b = {.options = options};
    pawl_status st;

    if ((st = check_options(what, err)) != PAWL_OK ||
        (st = pawl_bench_plan_new(project, what, options, &plan, err)) != PAWL_OK)
        return st;

    const pawl_scratch_options scratch = {.conninfo = plan->conninfo,
                                          .search_path = plan->env.search_path,
                                          .connect_timeout_ms = plan->env.connect_timeout_ms,
                                          .stop = options->stop,
                                          .sink = &options->sink};

    st = pawl_scratch_open(&scratch, &b.scratch, err);
    if (st != PAWL_OK)
        return st;
    st = pawl_bench_plan_check(plan, b.scratch->pg, err);
    b.plan = plan;
    if (st == PAWL_OK)
        st = bench_step(&b, what, err);
    pawl_scratch_close(b.scratch);
    if (st != PAWL_OK)
        return st;

    b.report->memory = plan->arena;
    plan->arena = NULL;
    *out = b.report;
    return PAWL_OK;
}

void
pawl_bench_free(pawl_bench_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}
