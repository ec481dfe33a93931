#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "pg/sqlbuf.h"

#include "util/banned.h"

static void
quotes_in_identifiers_are_doubled(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_ident(&b, "we\"ird\"");
    assert_string_equal(b.data, "\"we\"\"ird\"\"\"");
}

static void
identifiers_keep_case_blanks_and_other_alphabets(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_ident2(&b, "Mein Schema", "täble; DROP");
    assert_string_equal(b.data, "\"Mein Schema\".\"täble; DROP\"");
}

static void
columns_are_qualified_by_their_alias(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_column(&b, "t", "id");
    pawl_sql_add(&b, " > ");
    pawl_sql_param(&b, 12);
    assert_string_equal(b.data, "t.\"id\" > $12");
}

static void
comment_at_the_end_of_a_fragment_swallows_nothing(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_fragment(&b, "a = 1 -- of course");
    pawl_sql_add(&b, " AND true");
    assert_string_equal(b.data, "(a = 1 -- of course\n) AND true");
}

static void
operators_are_qualified(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_operator(&b, "pg_catalog", ">=");
    assert_true(pawl_strbuf_is_ok(&b));
    assert_string_equal(b.data, "OPERATOR(\"pg_catalog\".>=)");
}

static void
operator_of_other_characters_marks_the_buffer(void **state)
{
    static const char *const wrong[] = {"", "= 1) OR (1 =", "a", "=;", "\"", "--", "+/*"};

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        PAWL_STRBUF_AUTO(b);

        pawl_sql_operator(&b, "pg_catalog", wrong[i]);
        assert_false(pawl_strbuf_is_ok(&b));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_in_identifiers_are_doubled),
        cmocka_unit_test(identifiers_keep_case_blanks_and_other_alphabets),
        cmocka_unit_test(columns_are_qualified_by_their_alias),
        cmocka_unit_test(comment_at_the_end_of_a_fragment_swallows_nothing),
        cmocka_unit_test(operators_are_qualified),
        cmocka_unit_test(operator_of_other_characters_marks_the_buffer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
