#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "backfill/pace.h"

#include "util/banned.h"

static pawl_pace *
pace_of(int64_t fixed)
{
    const pawl_pace_options options = {
        .fixed_rows = fixed, .target_ms = 250, .min_rows = 100, .max_rows = 50000};
    pawl_pace *pace = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_pace_new(&options, &pace, &err), PAWL_OK);
    return pace;
}

static void
a_fixed_size_stays_whatever_happens(void **state)
{
    pawl_pace *pace = pace_of(777);

    (void) state;
    pawl_pace_done(pace, 777, 9000000);
    pawl_pace_back_off(pace);
    assert_int_equal(pawl_pace_rows(pace), 777);
    pawl_pace_free(pace);
}

static void
fast_batches_double_until_the_target_is_near(void **state)
{
    pawl_pace *pace = pace_of(0);

    (void) state;
    assert_int_equal(pawl_pace_rows(pace), 1000);
    pawl_pace_done(pace, 1000, 20000);
    pawl_pace_done(pace, 2000, 40000);
    assert_int_equal(pawl_pace_rows(pace), 4000);
    pawl_pace_done(pace, 4000, 200000);
    assert_int_equal(pawl_pace_rows(pace), 4400);
    pawl_pace_done(pace, 4400, 20000);
    assert_int_equal(pawl_pace_rows(pace), 4840);
    pawl_pace_free(pace);
}

static void
slow_batches_cut_by_a_third_and_never_below_the_least(void **state)
{
    pawl_pace *pace = pace_of(0);

    (void) state;
    pawl_pace_done(pace, 1000, 400000);
    assert_int_equal(pawl_pace_rows(pace), 667);
    for (int i = 0; i < 20; i++)
        pawl_pace_done(pace, pawl_pace_rows(pace), 400000);
    assert_int_equal(pawl_pace_rows(pace), 100);
    pawl_pace_free(pace);
}

static void
a_batch_on_target_changes_nothing(void **state)
{
    pawl_pace *pace = pace_of(0);

    (void) state;
    pawl_pace_done(pace, 1000, 300000);
    assert_int_equal(pawl_pace_rows(pace), 1000);
    pawl_pace_free(pace);
}

static void
a_short_batch_says_nothing_about_the_size(void **state)
{
    pawl_pace *pace = pace_of(0);

    (void) state;
    pawl_pace_done(pace, 10, 1000);
    assert_int_equal(pawl_pace_rows(pace), 1000);
    pawl_pace_free(pace);
}

static void
growth_ends_at_the_most(void **state)
{
    pawl_pace *pace = pace_of(0);

    (void) state;
    for (int i = 0; i < 20; i++)
        pawl_pace_done(pace, pawl_pace_rows(pace), 10);
    assert_int_equal(pawl_pace_rows(pace), 50000);
    pawl_pace_back_off(pace);
    assert_int_equal(pawl_pace_rows(pace), 25000);
    pawl_pace_free(pace);
}

static void
a_size_of_a_few_rows_grows_again(void **state)
{
    const pawl_pace_options options = {.target_ms = 250, .min_rows = 0, .max_rows = 50000};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pace *pace = NULL;

    (void) state;
    assert_int_equal(pawl_pace_new(&options, &pace, &err), PAWL_OK);
    for (int i = 0; i < 20; i++)
        pawl_pace_back_off(pace);
    assert_int_equal(pawl_pace_rows(pace), 1);
    for (int i = 0; i < 40; i++)
        pawl_pace_done(pace, pawl_pace_rows(pace), 10);
    assert_true(pawl_pace_rows(pace) > 100);
    pawl_pace_free(pace);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_fixed_size_stays_whatever_happens),
        cmocka_unit_test(fast_batches_double_until_the_target_is_near),
        cmocka_unit_test(slow_batches_cut_by_a_third_and_never_below_the_least),
        cmocka_unit_test(a_batch_on_target_changes_nothing),
        cmocka_unit_test(a_short_batch_says_nothing_about_the_size),
        cmocka_unit_test(growth_ends_at_the_most),
        cmocka_unit_test(a_size_of_a_few_rows_grows_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
