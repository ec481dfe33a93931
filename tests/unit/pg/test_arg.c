#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/arg.h"
#include "util/alloc.h"
#include "util/arena.h"

#include "util/banned.h"

static void
integers_keep_their_sign_to_the_last(void **state)
{
    (void) state;
    assert_string_equal(PAWL_ARG_I64(INT64_MIN).data, "-9223372036854775808");
    assert_string_equal(PAWL_ARG_I64(INT64_MAX).data, "9223372036854775807");
}

static void
array_is_written_as_array_recv_reads_it(void **state)
{
    static const unsigned char expected[] = {
        0,    0,    0,    1,    0,    0,    0,    1,    0,    0,    0,    20,
        0,    0,    0,    2,    0,    0,    0,    1, /* dimensions, nulls, int8, 2 from 1 */
        0,    0,    0,    8,    0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xfe, /* -2 */
        0xff, 0xff, 0xff, 0xff,                                                 /* NULL */
    };
    pawl_pg_array a;
    pawl_pg_arg arg;

    (void) state;
    pawl_pg_array_init(&a, PAWL_OID_INT8);
    pawl_pg_array_add_i64(&a, -2);
    pawl_pg_array_add_null(&a);
    assert_true(pawl_pg_array_is_ok(&a));
    arg = pawl_pg_array_arg(&a, PAWL_OID_INT8_ARRAY);
    assert_true(arg.binary);
    assert_int_equal(arg.type, PAWL_OID_INT8_ARRAY);
    assert_int_equal(arg.length, sizeof expected);
    assert_memory_equal(arg.data, expected, sizeof expected);
    pawl_pg_array_fini(&a);
}

static void
empty_array_has_no_dimension(void **state)
{
    static const unsigned char expected[] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 25};
    pawl_pg_array a;
    pawl_pg_arg arg;

    (void) state;
    pawl_pg_array_init(&a, PAWL_OID_TEXT);
    arg = pawl_pg_array_arg(&a, PAWL_OID_TEXT_ARRAY);
    assert_int_equal(arg.length, sizeof expected);
    assert_memory_equal(arg.data, expected, sizeof expected);
    pawl_pg_array_fini(&a);
}

static void
reset_array_remembers_nothing(void **state)
{
    pawl_pg_array a;
    pawl_pg_arg arg;

    (void) state;
    pawl_pg_array_init(&a, PAWL_OID_INT4);
    pawl_pg_array_add_null(&a);
    pawl_pg_array_add_i32(&a, 7);
    pawl_pg_array_reset(&a);
    pawl_pg_array_add_i32(&a, 1);
    arg = pawl_pg_array_arg(&a, PAWL_OID_INT4_ARRAY);
    assert_int_equal(arg.length, 28);
    assert_memory_equal(arg.data + 4, "\0\0\0\0", 4);
    assert_memory_equal(arg.data + 12, "\0\0\0\1", 4);
    assert_memory_equal(arg.data + 20, "\0\0\0\4\0\0\0\1", 8);
    pawl_pg_array_fini(&a);
}

static void
array_that_ran_out_of_memory_says_so(void **state)
{
    pawl_pg_array a;

    (void) state;
    pawl_test_fail_alloc(0);
    pawl_pg_array_init(&a, PAWL_OID_INT4);
    pawl_test_fail_alloc(-1);
    assert_false(pawl_pg_array_is_ok(&a));
    pawl_pg_array_fini(&a);
}

typedef struct splitting
{
    const char *text;
    const char *items[4]; /* "(null)" is NULL */
    size_t count;
} splitting;

static void
array_texts_are_split(void **state)
{
    static const splitting cases[] = {
        {"{}", {NULL}, 0},
        {"{a}", {"a"}, 1},
        {"{a,b,c}", {"a", "b", "c"}, 3},
        {"{\"b c\",\"\",NULL}", {"b c", "", "(null)"}, 3},
        {"{\"NULL\",null}", {"NULL", "(null)"}, 2},
        {"{\"a,b\",\"{x}\",\"q\\\"q\",\"s\\\\s\"}", {"a,b", "{x}", "q\"q", "s\\s"}, 4},
        {"[0:1]={x,y}", {"x", "y"}, 2},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
        char **items = NULL;
        size_t count = 99;

        assert_true(pawl_pg_array_can_split(arena, cases[i].text, &items, &count));
        assert_int_equal(count, cases[i].count);
        for (size_t j = 0; j < count; j++)
            assert_string_equal(items[j] != NULL ? items[j] : "(null)", cases[i].items[j]);
    }
}

static void
texts_that_are_no_array_are_refused(void **state)
{
    static const char *const wrong[] = {"",      "a",    "{",     "{a",   "{a,",      "{a,}", "{,a}",
                                        "{{a}}", "{a}b", "{\"a}", "{a\\", "{\"a\"b}", "[1:2", "{a\"b\"}"};

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
        char **items = NULL;
        size_t count = 99;

        if (pawl_pg_array_can_split(arena, wrong[i], &items, &count))
            fail_msg("taken for an array: %s", wrong[i]);
        assert_null(items);
        assert_int_equal(count, 99);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(integers_keep_their_sign_to_the_last),
        cmocka_unit_test(array_is_written_as_array_recv_reads_it),
        cmocka_unit_test(empty_array_has_no_dimension),
        cmocka_unit_test(reset_array_remembers_nothing),
        cmocka_unit_test(array_that_ran_out_of_memory_says_so),
        cmocka_unit_test(array_texts_are_split),
        cmocka_unit_test(texts_that_are_no_array_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
