#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "progress/progress.h"
#include "util/alloc.h"

#include "util/banned.h"

#define SECOND   INT64_C(1000000)
#define BEGIN_US (77 * SECOND)

static pawl_meter *
meter_of(int64_t total, pawl_meter_counts base)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_meter *meter = NULL;
    pawl_meter_options options = {.job_id = 9, .rows_total = total, .base = base, .now_us = BEGIN_US};

    assert_int_equal(pawl_meter_new(&options, &meter, &err), PAWL_OK);
    return meter;
}

static pawl_progress
at(pawl_meter *meter, int64_t offset_us)
{
    pawl_progress p;

    pawl_meter_snapshot(meter, BEGIN_US + offset_us, &p);
    return p;
}

static void
read_rows(pawl_meter *meter, int64_t rows)
{
    pawl_meter_add(meter, &(pawl_meter_counts){.read = rows, .written = rows, .batches = 1});
}

static void
rows_of_earlier_runs_count_in_totals_but_not_in_the_rate(void **state)
{
    PAWL_AUTO(pawl_meter)
    meter = meter_of(10000,
                     (pawl_meter_counts){
                         .read = 5000, .written = 4900, .moved = 3, .gone = 2, .rejected = 1, .batches = 50});
    pawl_progress p;

    (void) state;
    pawl_meter_add(meter,
                   &(pawl_meter_counts){
                       .read = 1000, .written = 990, .moved = 4, .gone = 5, .rejected = 6, .batches = 2});
    p = at(meter, 2 * SECOND);

    assert_int_equal(p.job_id, 9);
    assert_int_equal(p.rows_total, 10000);
    assert_int_equal(p.rows_read, 6000);
    assert_int_equal(p.rows_written, 5890);
    assert_int_equal(p.rows_moved, 7);
    assert_int_equal(p.rows_gone, 7);
    assert_int_equal(p.rows_rejected, 7);
    assert_int_equal(p.batches, 52);
    assert_int_equal(p.rows_this_run, 1000);
    assert_int_equal(p.elapsed_ms, 2000);
    assert_float_equal((float) p.rows_per_s, 500.0F, 0.01F);
    assert_int_equal(p.eta_ms, 8000);
}

static void
rate_forgets_what_is_older_than_the_window(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});
    pawl_progress p = {0};

    (void) state;
    for (int64_t t = 1; t <= 40; t++) /* ten seconds at 4,000 rows/s */
    {
        read_rows(meter, 1000);
        p = at(meter, t * SECOND / 4);
    }
    assert_float_equal((float) p.rows_per_s, 4000.0F, 1.0F);

    for (int64_t t = 41; t <= 80; t++) /* ten more at 400 */
    {
        read_rows(meter, 100);
        p = at(meter, t * SECOND / 4);
    }
    assert_float_equal((float) p.rows_per_s, 400.0F, 1.0F);

    for (int64_t t = 81; t <= 120; t++) /* and standing still */
        p = at(meter, t * SECOND / 4);
    assert_float_equal((float) p.rows_per_s, 0.0F, 0.001F);
}

static void
rare_snapshots_still_give_the_rate_since_the_last_one(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});
    pawl_progress p;

    (void) state;
    read_rows(meter, 1000000);
    (void) at(meter, 60 * SECOND);
    read_rows(meter, 600);
    p = at(meter, 120 * SECOND);

    assert_float_equal((float) p.rows_per_s, 10.0F, 0.01F);
}

static void
frequent_snapshots_do_not_shorten_the_window(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});
    pawl_progress p = {0};

    (void) state;
    for (int64_t t = 1; t <= 4000; t++) /* 1,000 snapshots a second: 100 rows/s in steps of 100 rows */
    {
        if (t % 1000 == 0)
            read_rows(meter, 100);
        p = at(meter, t * SECOND / 1000);
    }
    assert_float_equal((float) p.rows_per_s, 100.0F, 1.0F);
}

static void
eta_is_unknown_without_estimate_rate_or_remaining_rows(void **state)
{
    PAWL_AUTO(pawl_meter) blind = meter_of(0, (pawl_meter_counts){0});
    PAWL_AUTO(pawl_meter) idle = meter_of(1000, (pawl_meter_counts){0});
    PAWL_AUTO(pawl_meter) beyond = meter_of(1000, (pawl_meter_counts){0});

    (void) state;
    read_rows(blind, 10);
    assert_int_equal(at(blind, SECOND).eta_ms, -1);
    assert_int_equal(at(idle, SECOND).eta_ms, -1);
    read_rows(beyond, 1500);
    assert_int_equal(at(beyond, SECOND).eta_ms, -1);

    pawl_meter_set_total(beyond, 3000);
    assert_int_equal(at(beyond, SECOND).eta_ms, 1000);
}

static void
the_first_instant_claims_no_rate(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(100, (pawl_meter_counts){0});
    pawl_progress p;

    (void) state;
    read_rows(meter, 50);
    p = at(meter, 0);
    assert_float_equal((float) p.rows_per_s, 0.0F, 0.001F);
    assert_int_equal(p.eta_ms, -1);
}

static void
percent_reaches_100_only_when_done(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(1000, (pawl_meter_counts){0});
    PAWL_AUTO(pawl_meter) blind = meter_of(0, (pawl_meter_counts){0});
    pawl_progress p;

    (void) state;
    read_rows(meter, 250);
    p = at(meter, SECOND);
    assert_float_equal((float) pawl_progress_percent(&p, false), 25.0F, 0.001F);

    read_rows(meter, 5000);
    p = at(meter, 2 * SECOND);
    assert_true(pawl_progress_percent(&p, false) < 99.95);

    pawl_meter_finish(meter);
    p = at(meter, 2 * SECOND);
    assert_float_equal((float) pawl_progress_percent(&p, true), 100.0F, 0.001F);
    assert_int_equal(p.eta_ms, 0);

    p = at(blind, SECOND);
    assert_float_equal((float) pawl_progress_percent(&p, false), 0.0F, 0.001F);
}

static void
snapshot_names_what_has_held_a_worker_longest(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});

    (void) state;
    pawl_meter_enter(meter, 0);
    pawl_meter_enter(meter, 1);
    assert_string_equal(at(meter, 0).holding, "");
    pawl_meter_hold(meter, 1, "waiting for a lock");
    pawl_meter_hold(meter, 0, "reconnecting");
    pawl_meter_hold(meter, 1, "waiting for a lock on \"t\"");
    assert_string_equal(at(meter, 0).holding, "waiting for a lock on \"t\"");

    pawl_meter_hold(meter, 1, "");
    assert_string_equal(at(meter, 0).holding, "reconnecting");
    pawl_meter_hold(meter, 0, NULL);
    assert_string_equal(at(meter, 0).holding, "");
}

static void
worker_that_leaves_is_neither_counted_nor_held(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});

    (void) state;
    pawl_meter_enter(meter, 0);
    pawl_meter_enter(meter, PAWL_METER_WORKERS - 1);
    pawl_meter_set_batch(meter, 700);
    pawl_meter_hold(meter, 0, "paused");
    assert_int_equal(at(meter, 0).workers, 2);
    assert_int_equal(at(meter, 0).batch_rows, 700);

    pawl_meter_leave(meter, 0);
    assert_int_equal(at(meter, 0).workers, 1);
    assert_string_equal(at(meter, 0).holding, "");
}

static void
long_hold_text_is_cut_with_a_mark(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});
    char text[200];
    pawl_progress p;

    (void) state;
    memset(text, 'x', sizeof text);
    text[sizeof text - 1] = '\0';
    pawl_meter_hold(meter, 0, text);
    p = at(meter, 0);
    assert_int_equal(strlen(p.holding), sizeof p.holding - 1);
    assert_string_equal(p.holding + sizeof p.holding - 4, "...");
}

static void *
add_many(void *arg)
{
    pawl_meter *meter = arg;

    for (int i = 0; i < 20000; i++)
        read_rows(meter, 3);
    return NULL;
}

static void
adds_of_many_threads_are_all_counted(void **state)
{
    PAWL_AUTO(pawl_meter) meter = meter_of(0, (pawl_meter_counts){0});
    pthread_t threads[4];

    (void) state;
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, add_many, meter), 0);
    for (size_t i = 0; i < 4; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    assert_int_equal(at(meter, SECOND).rows_read, 240000);
    assert_int_equal(at(meter, SECOND).batches, 80000);
}

static void
failed_allocation_is_reported(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_meter *meter = NULL;
    pawl_meter_options options = {.job_id = 1};

    (void) state;
    pawl_test_fail_alloc(0);
    assert_int_equal(pawl_meter_new(&options, &meter, &err), PAWL_E_NOMEM);
    pawl_test_fail_alloc(-1);
    assert_null(meter);
    assert_int_equal(err.code, PAWL_E_NOMEM);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_earlier_runs_count_in_totals_but_not_in_the_rate),
        cmocka_unit_test(rate_forgets_what_is_older_than_the_window),
        cmocka_unit_test(rare_snapshots_still_give_the_rate_since_the_last_one),
        cmocka_unit_test(frequent_snapshots_do_not_shorten_the_window),
        cmocka_unit_test(eta_is_unknown_without_estimate_rate_or_remaining_rows),
        cmocka_unit_test(the_first_instant_claims_no_rate),
        cmocka_unit_test(percent_reaches_100_only_when_done),
        cmocka_unit_test(snapshot_names_what_has_held_a_worker_longest),
        cmocka_unit_test(worker_that_leaves_is_neither_counted_nor_held),
        cmocka_unit_test(long_hold_text_is_cut_with_a_mark),
        cmocka_unit_test(adds_of_many_threads_are_all_counted),
        cmocka_unit_test(failed_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
