#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "pg/literal.h"

#include "util/banned.h"

static void
quotes_are_doubled_and_nothing_is_null(void **state)
{
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_literal(&b, "it's \\ \"x\"");
    pawl_sql_literal(&b, "");
    pawl_sql_literal(&b, NULL);
    assert_string_equal(b.data, "'it''s \\ \"x\"'''NULL");
}

static void
arrays_are_typed_even_when_empty(void **state)
{
    const char *const items[] = {"a", "b'c"};
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_literal_array(&b, items, 2);
    pawl_sql_literal_array(&b, NULL, 0);
    assert_string_equal(b.data, "ARRAY['a', 'b''c']::text[]ARRAY[]::text[]");
}

static void
dollar_tag_does_not_stand_in_the_body(void **state)
{
    PAWL_STRBUF_AUTO(plain);
    PAWL_STRBUF_AUTO(taken);
    PAWL_STRBUF_AUTO(open);

    (void) state;
    pawl_sql_dollar(&plain, "SELECT 1");
    assert_string_equal(plain.data, "$pawl$SELECT 1$pawl$");
    pawl_sql_dollar(&taken, "a $pawl$ b $pawl1$ c");
    assert_string_equal(taken.data, "$pawl2$a $pawl$ b $pawl1$ c$pawl2$");
    /* "x$" and "$pawl$" would end at the first two of "$$pawl$". */
    pawl_sql_dollar(&open, "x$");
    assert_string_equal(open.data, "$pawl$x$\n$pawl$");
}

static void
parameters_are_replaced_by_expressions(void **state)
{
    const char *const args[] = {"'$2'", "now()"};
    PAWL_STRBUF_AUTO(b);

    (void) state;
    pawl_sql_inline(&b, "SELECT $1::text, $2, '$hold$'", 2, args);
    assert_string_equal(b.data, "SELECT '$2'::text, now(), '$hold$'");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(quotes_are_doubled_and_nothing_is_null),
        cmocka_unit_test(arrays_are_typed_even_when_empty),
        cmocka_unit_test(dollar_tag_does_not_stand_in_the_body),
        cmocka_unit_test(parameters_are_replaced_by_expressions),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
