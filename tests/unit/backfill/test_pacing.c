#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/pacing.h"

#include "util/banned.h"

static bool
can_take(pawl_pacing *p, const char *key, const char *value)
{
    char expected[PAWL_PACING_EXPECTED];

    return pawl_pacing_has_value(p, key, value, expected);
}

static void
values_are_read_by_their_type(void **state)
{
    pawl_pacing p = {0};

    (void) state;
    assert_true(can_take(&p, "workers", "3"));
    assert_true(can_take(&p, "batch", "500"));
    assert_true(can_take(&p, "target", "1s"));
    assert_true(can_take(&p, "max_rate", "20_000"));
    assert_true(can_take(&p, "max_lag", "1.5s"));
    assert_true(can_take(&p, "max_wal_rate", "50MB/s"));
    assert_true(can_take(&p, "lock_waiters", "0"));
    assert_true(can_take(&p, "window", "22:00-06:00 Europe/Berlin"));
    assert_int_equal(p.workers, 3);
    assert_int_equal(p.batch_rows, 500);
    assert_int_equal(p.target_ms, 1000);
    assert_int_equal(p.throttle.max_rate, 20000);
    assert_int_equal(p.throttle.max_lag_ms, 1500);
    assert_int_equal(p.throttle.max_lag_bytes, 0);
    assert_int_equal(p.throttle.max_wal_rate, INT64_C(50) << 20);
    assert_int_equal(p.throttle.waiters_below, 1);
    assert_string_equal(p.throttle.window, "22:00-06:00 Europe/Berlin");

    assert_true(can_take(&p, "batch", "auto"));
    assert_true(can_take(&p, "max_rate", "none"));
    assert_true(can_take(&p, "lock_waiters", "none"));
    assert_true(can_take(&p, "window", "none"));
    assert_int_equal(p.batch_rows, 0);
    assert_int_equal(p.throttle.max_rate, 0);
    assert_int_equal(p.throttle.waiters_below, 0);
    assert_string_equal(p.throttle.window, "");
}

/* In time, in bytes, or both: one leaves the other alone, none takes both away. */
static void
lag_is_told_in_time_and_in_bytes(void **state)
{
    pawl_pacing p = {.throttle = {.max_lag_ms = 7}};

    (void) state;
    assert_true(can_take(&p, "max_lag", "64MB"));
    assert_int_equal(p.throttle.max_lag_bytes, INT64_C(64) << 20);
    assert_int_equal(p.throttle.max_lag_ms, 7);
    assert_true(can_take(&p, "max_lag", "2 s"));
    assert_int_equal(p.throttle.max_lag_bytes, INT64_C(64) << 20);
    assert_int_equal(p.throttle.max_lag_ms, 2000);
    assert_true(can_take(&p, "max_lag", "1 GB 3 s"));
    assert_int_equal(p.throttle.max_lag_bytes, INT64_C(1) << 30);
    assert_int_equal(p.throttle.max_lag_ms, 3000);
    assert_true(can_take(&p, "max_lag", "5s 1.5kB"));
    assert_int_equal(p.throttle.max_lag_bytes, 1536);
    assert_int_equal(p.throttle.max_lag_ms, 5000);
    assert_true(can_take(&p, "max_lag", "none"));
    assert_int_equal(p.throttle.max_lag_bytes, 0);
    assert_int_equal(p.throttle.max_lag_ms, 0);
}

static void
wrong_value_changes_nothing_and_says_what_was_expected(void **state)
{
    static const char *const wrong[][2] = {
        {"workers", "0"},
        {"workers", "none"},
        {"workers", "65"},
        {"batch", "0"},
        {"max_rate", "-1"},
        {"max_lag", "0"},
        {"max_lag", "fast"},
        {"lock_waiters", "-1"},
        {"max_lag", "0MB"},
        {"max_lag", "5s 6s"},
        {"max_lag", "5s64MB"},
        {"max_lag", "1MB 2MB"},
        {"max_lag", "5s 64MB 1s"},
        {"max_lag", "25h"},
        {"max_wal_rate", "50"},
        {"max_wal_rate", "50MB/min"},
        {"max_wal_rate", "0B/s"},
        {"max_wal_rate", "/s"},
        {"max_wal_rate", "50 mb/s"},
        {"target", "none"},
        {"window", "22:00"},
        {"window", "6:00-7:00"},
        {"window", "06:00-06:00"},
        {"window", "24:00-06:00"},
    };
    char expected[PAWL_PACING_EXPECTED];
    pawl_pacing p = {.workers = 7, .batch_rows = 7, .throttle = {.max_rate = 7, .window = "01:00-02:00"}};
    const pawl_pacing before = p;

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        if (pawl_pacing_has_value(&p, wrong[i][0], wrong[i][1], expected))
            fail_msg("%s=%s was taken", wrong[i][0], wrong[i][1]);
        assert_true(expected[0] != '\0');
        assert_memory_equal(&p, &before, sizeof p);
    }
    assert_false(pawl_pacing_has_value(&p, "max_rat", "5", expected));
    assert_string_equal(expected, "");
}

static void
window_may_go_over_midnight(void **state)
{
    pawl_window w;

    (void) state;
    assert_true(pawl_window_can_read("22:00-06:30 Europe/Berlin", &w));
    assert_string_equal(w.zone, "Europe/Berlin");
    assert_true(pawl_window_is_open(&w, 22 * 60));
    assert_true(pawl_window_is_open(&w, 0));
    assert_true(pawl_window_is_open(&w, 6 * 60 + 29));
    assert_false(pawl_window_is_open(&w, 6 * 60 + 30));
    assert_false(pawl_window_is_open(&w, 21 * 60 + 59));

    assert_true(pawl_window_can_read("08:00-24:00", &w));
    assert_string_equal(w.zone, "UTC");
    assert_true(pawl_window_is_open(&w, 23 * 60 + 59));
    assert_false(pawl_window_is_open(&w, 0));
    assert_false(pawl_window_can_read("08:00-24:01", &w));
    assert_false(pawl_window_can_read("08:00-09:00Europe/Berlin", &w));
    assert_false(pawl_window_can_read("", &w));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_are_read_by_their_type),
        cmocka_unit_test(lag_is_told_in_time_and_in_bytes),
        cmocka_unit_test(wrong_value_changes_nothing_and_says_what_was_expected),
        cmocka_unit_test(window_may_go_over_midnight),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
