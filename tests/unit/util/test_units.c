#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/units.h"

#include "util/banned.h"

struct number
{
    const char *text;
    int64_t value;
};

static void
integers_are_read_whole(void **state)
{
    static const struct number good[] = {
        {"0", 0},
        {"-7", -7},
        {"+7", 7},
        {"200000", 200000},
        {"200_000", 200000},
        {"1,234,567", 1234567},
        {"9223372036854775807", INT64_MAX},
        {"9_223_372_036_854_775_807", INT64_MAX},
        {"-9223372036854775808", INT64_MIN},
    };

    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    {
        int64_t out = 1;

        assert_true(pawl_has_i64(good[i].text, &out));
        assert_int_equal(out, good[i].value);
    }
}

static void
what_is_no_integer_is_refused_and_leaves_the_output(void **state)
{
    static const char *const bad[] = {
        "",
        "-",
        "+",
        " 1",
        "1 ",
        "1x",
        "0x10",
        "1,5",
        "1_0",
        "_100",
        "100_",
        ",100",
        "1234,567",
        "1,234_567",
        "1,,00",
        "--1",
        "1.0",
        "1e3",
        "1,2345",
        "1,234,56",
        "9223372036854775808",
        "nan",
        "\xD9\xA1",
        "-9223372036854775809",
        "99999999999999999999999",
    };

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    {
        int64_t out = 17;

        if (pawl_has_i64(bad[i], &out))
            fail_msg("\"%s\" was read as %lld", bad[i], (long long) out);
        assert_int_equal(out, 17);
    }
}

static void
floating_point_numbers_are_plain_decimals(void **state)
{
    static const char *const bad[] = {"",    " 1",    "1 ", "inf", "nan",  "0x1p3",
                                      "1,5", "1e999", "e5", "-",   "1.2.3"};
    double out = 0;

    (void) state;
    assert_true(pawl_has_f64("1.5", &out));
    assert_true(fabs(out - 1.5) < 1e-12);
    assert_true(pawl_has_f64("-2.5e-1", &out));
    assert_true(fabs(out + 0.25) < 1e-12);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    {
        if (pawl_has_f64(bad[i], &out))
            fail_msg("\"%s\" was read", bad[i]);
    }
    assert_true(fabs(out + 0.25) < 1e-12);
}

static void
durations_have_units_and_default_to_milliseconds(void **state)
{
    static const struct number good[] = {
        {"0", 0},           {"250", 250},        {"250ms", 250},
        {"1.5s", 1500},     {"1.250s", 1250},    {"30min", 1800000},
        {"30m", 1800000},   {"2h", 7200000},     {"1d", 86400000},
        {"0.5d", 43200000}, {"30 min", 1800000}, {"1_000ms", 1000},
        {"2.0ms", 2},       {"0.001s", 1},       {"9223372036854775807ms", INT64_MAX},
    };

    (void) state;
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    {
        int64_t out = -1;

        if (!pawl_has_duration_ms(good[i].text, &out))
            fail_msg("\"%s\" was refused", good[i].text);
        assert_int_equal(out, good[i].value);
    }
}

static void
what_is_no_duration_is_refused_and_leaves_the_output(void **state)
{
    static const char *const bad[] = {
        "",
        "-1s",
        "s",
        "1.s",
        ".5s",
        "1,5s",
        "1.5",
        "0.5ms",
        "0.0001s",
        "1 hour",
        "1h30m",
        "1s ",
        "1  s",
        "9223372036854775807s",
        "106751991168d",
        "1.0000000000000000001s",
    };

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    {
        int64_t out = 17;

        if (pawl_has_duration_ms(bad[i], &out))
            fail_msg("\"%s\" was read as %lld", bad[i], (long long) out);
        assert_int_equal(out, 17);
    }
}

struct rendering
{
    int64_t value;
    const char *text;
};

static void
assert_renders(void (*render)(int64_t, char *, size_t), const struct rendering *cases, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        char out[32];

        render(cases[i].value, out, sizeof out);
        assert_string_equal(out, cases[i].text);
    }
}

static void
sizes_are_read_as_postgresql_reads_them(void **state)
{
    static const struct number good[] = {
        {"0B", 0},
        {"7 B", 7},
        {"1kB", 1024},
        {"1KB", 1024},
        {"1.5kB", 1536},
        {"64MB", 64 << 20},
        {"64MiB", 64 << 20},
        {"2 GB", INT64_C(2) << 30},
        {"1TB", INT64_C(1) << 40},
    };
    static const char *const bad[] = {"",     "7",     "kB",  "-1kB",       "1kb",
                                      "1.kB", "1 MB ", "1PB", "99999999TB", "1MBx"};
    int64_t out = 5;

    (void) state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
    {
        if (pawl_has_bytes(bad[i], &out))
            fail_msg("\"%s\" was taken", bad[i]);
        assert_int_equal(out, 5);
    }
    for (size_t i = 0; i < sizeof good / sizeof *good; i++)
    {
        if (!pawl_has_bytes(good[i].text, &out) || out != good[i].value)
            fail_msg("\"%s\": %lld", good[i].text, (long long) out);
    }
}

static void
counts_are_grouped_by_three(void **state)
{
    static const struct rendering cases[] = {
        {0, "0"},
        {999, "999"},
        {1000, "1,000"},
        {1234567, "1,234,567"},
        {-1000, "-1,000"},
        {INT64_MAX, "9,223,372,036,854,775,807"},
        {INT64_MIN, "-9,223,372,036,854,775,808"},
    };

    (void) state;
    assert_renders(pawl_units_count, cases, sizeof cases / sizeof *cases);
}

static void
durations_are_shown_in_the_unit_of_their_size(void **state)
{
    static const struct rendering cases[] = {
        {0, "0 ms"},         {754, "754 ms"},        {5432, "5.4 s"},        {59999, "59.9 s"},
        {61000, "1:01 min"}, {3599999, "59:59 min"}, {7509000, "2:05:09 h"}, {93784000, "1 d 2:03 h"},
        {-754, "-754 ms"},
    };

    (void) state;
    assert_renders(pawl_units_duration, cases, sizeof cases / sizeof *cases);
}

static void
sizes_are_shown_in_binary_units(void **state)
{
    static const struct rendering cases[] = {
        {0, "0 B"},
        {1023, "1023 B"},
        {1536, "1.5 KiB"},
        {(int64_t) 5 << 30, "5.0 GiB"},
        {INT64_MAX, "7.9 EiB"},
        {-2048, "-2.0 KiB"},
    };

    (void) state;
    assert_renders(pawl_units_bytes, cases, sizeof cases / sizeof *cases);
}

static void
distance_counts_edits_up_to_the_limit(void **state)
{
    char huge[200];

    (void) state;
    assert_int_equal(pawl_units_distance("", "", 5), 0);
    assert_int_equal(pawl_units_distance("", "abc", 5), 3);
    assert_int_equal(pawl_units_distance("kitten", "sitting", 5), 3);
    assert_int_equal(pawl_units_distance("tabel", "table", 5), 1);
    assert_int_equal(pawl_units_distance("abcdef", "uvwxyz", 2), 3);

    memset(huge, 'x', sizeof huge - 1);
    huge[sizeof huge - 1] = '\0';
    assert_int_equal(pawl_units_distance(huge, "x", 4), 5);
    assert_int_equal(pawl_units_distance(huge, huge, 4), 0);
}

static void
nearest_word_is_found_and_far_ones_are_not(void **state)
{
    static const char *const words[] = {"table", "workers", "batch_rows", "batch_ms", "on_error"};
    const size_t count = sizeof words / sizeof *words;

    (void) state;
    assert_string_equal(pawl_units_nearest("tabel", words, count), "table");
    assert_string_equal(pawl_units_nearest("worker", words, count), "workers");
    assert_string_equal(pawl_units_nearest("batch_row", words, count), "batch_rows");
    assert_string_equal(pawl_units_nearest("batch_ms", words, count), "batch_ms");
    assert_null(pawl_units_nearest("index", words, count));
    assert_null(pawl_units_nearest("", words, count));
    assert_null(pawl_units_nearest("t", words, count));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_are_read_whole),
        cmocka_unit_test(what_is_no_integer_is_refused_and_leaves_the_output),
        cmocka_unit_test(floating_point_numbers_are_plain_decimals),
        cmocka_unit_test(durations_have_units_and_default_to_milliseconds),
        cmocka_unit_test(what_is_no_duration_is_refused_and_leaves_the_output),
        cmocka_unit_test(sizes_are_read_as_postgresql_reads_them),
        cmocka_unit_test(counts_are_grouped_by_three),
        cmocka_unit_test(durations_are_shown_in_the_unit_of_their_size),
        cmocka_unit_test(sizes_are_shown_in_binary_units),
        cmocka_unit_test(distance_counts_edits_up_to_the_limit),
        cmocka_unit_test(nearest_word_is_found_and_far_ones_are_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
