/* COPY's text format, byte for byte. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "pg/copy.h"

#include "util/banned.h"

static void
assert_encoded(const char *value, size_t length, const char *expected)
{
    PAWL_STRBUF_AUTO(b);

    pawl_copy_text_value(&b, true, value, length);
    assert_int_equal(b.length, strlen(expected));
    assert_memory_equal(b.data, expected, b.length);
}

static void
what_would_end_a_value_or_a_row_is_escaped(void **state)
{
    (void) state;
    assert_encoded("a\tb", 3, "a\\tb");
    assert_encoded("a\nb", 3, "a\\nb");
    assert_encoded("\r\n", 2, "\\r\\n");
    assert_encoded("\\", 1, "\\\\");
    assert_encoded("\\.", 2, "\\\\.");
    assert_encoded("\\N", 2, "\\\\N");
    assert_encoded("\t", 1, "\\t");
}

static void
everything_else_goes_as_it_is(void **state)
{
    (void) state;
    assert_encoded("", 0, "");
    assert_encoded("plain", 5, "plain");
    assert_encoded("NULL", 4, "NULL");
    assert_encoded("'\"\b\v\f\x7f", 6, "'\"\b\v\f\x7f");
    assert_encoded("\xc3\xa9\xf0\x9f\x98\x80", 6, "\xc3\xa9\xf0\x9f\x98\x80");
}

static void
only_the_given_length_is_taken(void **state)
{
    (void) state;
    assert_encoded("ab\tcd", 2, "ab");
}

static void
rows_are_values_between_tabs_and_null_is_not_a_text(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_copy_text_value(&b, true, NULL, 0);
    pawl_copy_text_value(&b, false, "", 0);
    pawl_copy_text_value(&b, false, "x", 1);
    pawl_copy_text_end(&b);
    pawl_copy_text_value(&b, true, "", 0);
    pawl_copy_text_value(&b, false, NULL, 0);
    pawl_copy_text_value(&b, false, NULL, 0);
    pawl_copy_text_end(&b);
    assert_string_equal(b.data, "\\N\t\tx\n\t\\N\t\\N\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_would_end_a_value_or_a_row_is_escaped),
        cmocka_unit_test(everything_else_goes_as_it_is),
        cmocka_unit_test(only_the_given_length_is_taken),
        cmocka_unit_test(rows_are_values_between_tabs_and_null_is_not_a_text),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
