#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "bench/figures.h"

#include "util/banned.h"

static pawl_bench_cell
cell(int32_t workers, int32_t batch_rows, double rate, double p99)
{
    return (pawl_bench_cell){.workers = workers,
                             .batch_rows = batch_rows,
                             .rows_per_s = rate,
                             .rows_per_s_min = rate,
                             .rows_per_s_max = rate,
                             .batch_p99_ms = p99};
}

static void
percentiles_are_values_that_were_measured(void **state)
{
    double values[100];

    (void) state;
    for (int i = 0; i < 100; i++)
        values[i] = i + 1;
    assert_true(pawl_figures_percentile(values, 100, 0.5) > 49.9 &&
                pawl_figures_percentile(values, 100, 0.5) < 50.1);
    assert_true(pawl_figures_percentile(values, 100, 0.99) > 98.9 &&
                pawl_figures_percentile(values, 100, 0.99) < 99.1);
    assert_true(pawl_figures_percentile(values, 1, 0.99) < 1.1);
    assert_true(pawl_figures_percentile(values, 3, 0.99) > 2.9);
    assert_true(pawl_figures_percentile(values, 0, 0.5) < 0.1);
}

static void
a_cell_shows_the_median_of_its_runs_in_whatever_order_they_came(void **state)
{
    const double rates[] = {300.0, 100.0, 900.0, 200.0};
    const double times[] = {9.0, 1.0, 5.0};
    pawl_figures f = {.rates = {0}};
    pawl_bench_cell c = cell(1, 100, 0.0, 0.0);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pawl_figures_add_run(&f, rates[i], &err), PAWL_OK);
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(pawl_figures_add_batch(&f, times[i], &err), PAWL_OK);
    pawl_figures_cell(&f, &c);
    pawl_figures_fini(&f);

    assert_int_equal(c.runs, 4);
    assert_int_equal((int) c.rows_per_s, 250);
    assert_int_equal((int) c.rows_per_s_min, 100);
    assert_int_equal((int) c.rows_per_s_max, 900);
    assert_int_equal((int) c.batch_p50_ms, 5);
    assert_int_equal((int) c.batch_p99_ms, 9);
}

static void
of_the_nearly_fastest_the_one_with_short_batches_is_recommended(void **state)
{
    pawl_bench_cell cells[] = {cell(2, 100, 50000, 1), cell(2, 1000, 96000, 20), cell(2, 10000, 100000, 200)};

    (void) state;
    assert_int_equal(pawl_figures_recommend(cells, 3), 1);
    assert_true(cells[1].is_recommended);
    assert_false(cells[0].is_recommended || cells[2].is_recommended);
}

static void
a_cell_that_is_clearly_faster_wins_in_spite_of_its_long_batches(void **state)
{
    pawl_bench_cell cells[] = {cell(1, 1000, 94000, 10), cell(1, 10000, 100000, 100)};

    (void) state;
    assert_int_equal(pawl_figures_recommend(cells, 2), 1);
}

static void
equals_are_decided_for_fewer_workers_then_for_smaller_batches(void **state)
{
    pawl_bench_cell cells[] = {cell(4, 500, 100000, 10), cell(2, 2000, 99000, 10.5),
                               cell(2, 1000, 98000, 10.2), cell(1, 1000, 60000, 9)};

    (void) state;
    assert_int_equal(pawl_figures_recommend(cells, 4), 2);
}

static void
the_fastest_is_not_kept_because_it_came_first(void **state)
{
    /* The fastest has the longer batches; the other, with more workers, is still the one to take. */
    pawl_bench_cell cells[] = {cell(1, 50000, 100000, 900), cell(4, 1000, 99000, 10)};

    (void) state;
    assert_int_equal(pawl_figures_recommend(cells, 2), 1);
}

static void
advice_says_what_to_write_and_why(void **state)
{
    pawl_bench_cell cells[] = {cell(2, 1000, 96000, 20), cell(2, 10000, 100000, 200)};
    pawl_bench_report report = {.cells = cells, .ncells = 2, .sample_rows = 1000, .table_rows = 96000 * 60};
    const pawl_advice facts = {.rows_read = 500, .rows_written = 100, .has_triggers = true};
    pawl_arena *arena = pawl_arena_new();
    const char *text;

    (void) state;
    (void) pawl_figures_recommend(cells, 2);
    text = pawl_figures_advise(&report, &facts, arena);
    assert_non_null(text);
    assert_non_null(strstr(text, "`workers: 2` and `batch: 1000`"));
    assert_non_null(strstr(text, "99 % of the batches within 20.0 ms"));
    assert_non_null(strstr(text, "2 workers and batches of 10,000 rows"));
    assert_non_null(strstr(text, "1:00 min"));
    assert_non_null(strstr(text, "`where` let 500 of the sample's 1,000 rows through"));
    assert_non_null(strstr(text, "Only 100 of them were written"));
    assert_non_null(strstr(text, "triggers"));
    assert_null(strstr(text, "foreign keys"));
    pawl_arena_free(arena);
}

static void
runs_that_differ_widely_are_said_to(void **state)
{
    pawl_bench_cell cells[] = {cell(1, 1000, 100, 20)};
    pawl_bench_report report = {.cells = cells, .ncells = 1, .sample_rows = 10, .table_rows = 10};
    const pawl_advice facts = {.rows_read = 10, .rows_written = 10};
    pawl_arena *arena = pawl_arena_new();

    (void) state;
    (void) pawl_figures_recommend(cells, 1);
    assert_null(strstr(pawl_figures_advise(&report, &facts, arena), "differ"));
    cells[0].rows_per_s_min = 60;
    assert_non_null(strstr(pawl_figures_advise(&report, &facts, arena), "differ by 40 %"));
    pawl_arena_free(arena);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(percentiles_are_values_that_were_measured),
        cmocka_unit_test(a_cell_shows_the_median_of_its_runs_in_whatever_order_they_came),
        cmocka_unit_test(of_the_nearly_fastest_the_one_with_short_batches_is_recommended),
        cmocka_unit_test(a_cell_that_is_clearly_faster_wins_in_spite_of_its_long_batches),
        cmocka_unit_test(equals_are_decided_for_fewer_workers_then_for_smaller_batches),
        cmocka_unit_test(the_fastest_is_not_kept_because_it_came_first),
        cmocka_unit_test(advice_says_what_to_write_and_why),
        cmocka_unit_test(runs_that_differ_widely_are_said_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
