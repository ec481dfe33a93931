#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/alloc.h"
#include "util/vec.h"

#include "util/banned.h"

static void
product_that_does_not_fit_is_refused_and_leaves_the_output(void **state)
{
    size_t out = 7;

    (void) state;
    assert_false(pawl_can_mul(SIZE_MAX / 2 + 1, 2, &out));
    assert_int_equal(out, 7);
    assert_true(pawl_can_mul(SIZE_MAX / 2, 2, &out));
    assert_int_equal(out, SIZE_MAX - 1);
    assert_true(pawl_can_mul(0, SIZE_MAX, &out));
    assert_int_equal(out, 0);
}

static void
sum_that_does_not_fit_is_refused_and_leaves_the_output(void **state)
{
    size_t out = 7;

    (void) state;
    assert_false(pawl_can_add(SIZE_MAX, 1, &out));
    assert_int_equal(out, 7);
    assert_true(pawl_can_add(SIZE_MAX - 1, 1, &out));
    assert_int_equal(out, SIZE_MAX);
}

static void
zero_bytes_are_not_out_of_memory(void **state)
{
    void *blocks[3] = {pawl_malloc(0), pawl_calloc(0, 8), pawl_realloc(NULL, 0, 8)};

    (void) state;
    for (size_t i = 0; i < 3; i++)
    {
        assert_non_null(blocks[i]);
        pawl_free(blocks[i]);
    }
}

static void
huge_array_is_refused_and_the_old_block_survives(void **state)
{
    PAWL_AUTO(pawl_str) text = pawl_strdup("kept");

    (void) state;
    assert_non_null(text);
    assert_null(pawl_realloc(text, SIZE_MAX / 4, 8));
    assert_string_equal(text, "kept");
}

static void
free_preserves_errno(void **state)
{
    void *block = pawl_malloc(1 << 20);

    (void) state;
    assert_non_null(block);
    errno = EDOM;
    pawl_free(block);
    assert_int_equal(errno, EDOM);
    pawl_free(NULL);
    assert_int_equal(errno, EDOM);
}

static void
only_the_chosen_allocation_fails(void **state)
{
    PAWL_AUTO(pawl_str) first = NULL;
    PAWL_AUTO(pawl_str) third = NULL;

    (void) state;
    pawl_test_fail_alloc(1);
    first = pawl_strdup("a");
    assert_non_null(first);
    assert_null(pawl_strdup("b"));
    third = pawl_strdup("c");
    assert_non_null(third);
}

static void
switched_off_hook_fails_nothing(void **state)
{
    PAWL_AUTO(pawl_str) text = NULL;

    (void) state;
    pawl_test_fail_alloc(0);
    pawl_test_fail_alloc(-1);
    text = pawl_strdup("a");
    assert_non_null(text);
}

static void
strndup_stops_at_the_nul_and_at_the_length(void **state)
{
    PAWL_AUTO(pawl_str) cut = pawl_strndup("abcdef", 3);
    PAWL_AUTO(pawl_str) whole = pawl_strndup("ab", 10);

    (void) state;
    assert_string_equal(cut, "abc");
    assert_string_equal(whole, "ab");
}

static void
vector_keeps_its_items_while_it_grows(void **state)
{
    PAWL_VEC(int64_t) numbers = {0};

    (void) state;
    for (int64_t i = 0; i < 1000; i++)
        assert_true(pawl_vec_push(&numbers, i * 3));
    assert_int_equal(numbers.length, 1000);
    for (size_t i = 0; i < numbers.length; i++)
        assert_int_equal(numbers.items[i], 3 * i);
    pawl_vec_fini(&numbers);
    assert_null(numbers.items);
    assert_int_equal(numbers.capacity, 0);
}

static void
vector_that_cannot_grow_keeps_what_it_has(void **state)
{
    PAWL_VEC(int32_t) numbers = {0};
    int32_t evaluated = 0;

    (void) state;
    for (int32_t i = 0; i < 8; i++)
        assert_true(pawl_vec_push(&numbers, i));
    pawl_test_fail_alloc(0);
    if (pawl_vec_push(&numbers, ++evaluated))
        fail_msg("pushed without memory");
    assert_int_equal(evaluated, 0);
    assert_int_equal(numbers.length, 8);
    assert_int_equal(numbers.items[7], 7);
    assert_true(pawl_vec_push(&numbers, ++evaluated));
    assert_int_equal(evaluated, 1);
    pawl_vec_fini(&numbers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(product_that_does_not_fit_is_refused_and_leaves_the_output),
        cmocka_unit_test(sum_that_does_not_fit_is_refused_and_leaves_the_output),
        cmocka_unit_test(zero_bytes_are_not_out_of_memory),
        cmocka_unit_test(huge_array_is_refused_and_the_old_block_survives),
        cmocka_unit_test(free_preserves_errno),
        cmocka_unit_test(only_the_chosen_allocation_fails),
        cmocka_unit_test(switched_off_hook_fails_nothing),
        cmocka_unit_test(strndup_stops_at_the_nul_and_at_the_length),
        cmocka_unit_test(vector_keeps_its_items_while_it_grows),
        cmocka_unit_test(vector_that_cannot_grow_keeps_what_it_has),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
