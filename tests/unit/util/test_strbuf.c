#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/alloc.h"
#include "util/strbuf.h"

#include "util/banned.h"

static void
empty_buffer_is_an_empty_string(void **state)
{
    PAWL_STRBUF_AUTO(b);
    PAWL_AUTO(pawl_str) taken = NULL;

    (void) state;
    assert_string_equal(b.data, "");
    taken = pawl_strbuf_take(&b);
    assert_string_equal(taken, "");
}

static void
pieces_are_joined_in_order(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_strbuf_add(&b, "one");
    pawl_strbuf_addc(&b, ' ');
    pawl_strbuf_addn(&b, "twoXX", 3);
    pawl_strbuf_addf(&b, " %d", 3);
    assert_string_equal(b.data, "one two 3");
    assert_int_equal(b.length, 9);
}

static void
long_text_grows_the_buffer(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    for (int i = 0; i < 10000; i++)
        pawl_strbuf_addf(&b, "%04d", i);
    assert_true(pawl_strbuf_is_ok(&b));
    assert_int_equal(b.length, 40000);
    assert_memory_equal(b.data + (size_t) 4 * 9876, "9876", 4);
    assert_int_equal(strlen(b.data), 40000);
}

static void
text_that_fills_the_buffer_exactly_stays_terminated(void **state)
{
    char text[130];

    (void) state;
    for (size_t length = 60; length < sizeof text; length++)
    {
        PAWL_STRBUF_AUTO(b);

        memset(text, 'x', length);
        pawl_strbuf_addn(&b, text, length);
        assert_true(b.length < b.capacity);
        assert_int_equal(strlen(b.data), length);
        pawl_strbuf_addf(&b, "%s", "y");
        assert_int_equal(strlen(b.data), length + 1);
        assert_true(b.length < b.capacity);
    }
}

static void
failed_buffer_ignores_appends_until_reset(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_strbuf_add(&b, "kept");
    pawl_test_fail_alloc(0);
    pawl_strbuf_addf(&b, "%200s", "lost");
    assert_false(pawl_strbuf_is_ok(&b));
    pawl_strbuf_add(&b, "!");
    assert_string_equal(b.data, "kept");

    pawl_strbuf_reset(&b);
    pawl_strbuf_add(&b, "again");
    assert_true(pawl_strbuf_is_ok(&b));
    assert_string_equal(b.data, "again");
}

static void
taking_a_failed_buffer_gives_null_and_leaks_nothing(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_strbuf_add(&b, "kept");
    pawl_test_fail_alloc(0);
    pawl_strbuf_addf(&b, "%200s", "lost");
    assert_null(pawl_strbuf_take(&b));
    assert_string_equal(b.data, "");
}

static void
truncate_shortens_and_never_lengthens(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_strbuf_truncate(&b, 5);
    assert_int_equal(b.length, 0);
    pawl_strbuf_add(&b, "abcdef");
    pawl_strbuf_truncate(&b, 9);
    assert_string_equal(b.data, "abcdef");
    pawl_strbuf_truncate(&b, 2);
    assert_string_equal(b.data, "ab");
}

static void
text_that_does_not_fit_ends_in_dots(void **state)
{
    char out[8];

    (void) state;
    assert_true(pawl_fmt_fits(out, sizeof out, "%s", "1234567"));
    assert_string_equal(out, "1234567");
    assert_false(pawl_fmt_fits(out, sizeof out, "%s", "12345678"));
    assert_string_equal(out, "1234...");
}

static void
tiny_outputs_are_cut_without_dots_and_never_overrun(void **state)
{
    char out[4] = {'?', '?', '?', '?'};

    (void) state;
    assert_false(pawl_fmt_fits(out, 0, "%s", "abc"));
    assert_int_equal(out[0], '?');
    assert_false(pawl_fmt_fits(out, 3, "%s", "abc"));
    assert_string_equal(out, "ab");
    assert_int_equal(out[3], '?');
}

static void
cut_text_holds_no_half_character(void **state)
{
    char out[8];

    (void) state;
    /* Room for four bytes before the dots: the second three-byte character does not fit. */
    pawl_fmt(out, sizeof out, "%s", "\xE2\x82\xAC\xE2\x82\xAC\xE2\x82\xAC");
    assert_string_equal(out, "\xE2\x82\xAC...");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(empty_buffer_is_an_empty_string),
        cmocka_unit_test(pieces_are_joined_in_order),
        cmocka_unit_test(long_text_grows_the_buffer),
        cmocka_unit_test(text_that_fills_the_buffer_exactly_stays_terminated),
        cmocka_unit_test(failed_buffer_ignores_appends_until_reset),
        cmocka_unit_test(taking_a_failed_buffer_gives_null_and_leaks_nothing),
        cmocka_unit_test(truncate_shortens_and_never_lengthens),
        cmocka_unit_test(text_that_does_not_fit_ends_in_dots),
        cmocka_unit_test(tiny_outputs_are_cut_without_dots_and_never_overrun),
        cmocka_unit_test(cut_text_holds_no_half_character),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
