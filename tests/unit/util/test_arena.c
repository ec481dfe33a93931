#include <setjmp.h>
#include <stdalign.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/alloc.h"
#include "util/arena.h"

#include "util/banned.h"

static void
memory_is_zeroed_also_after_a_reset(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    for (int round = 0; round < 3; round++)
    {
        unsigned char *bytes = pawl_arena_alloc(arena, 5000);

        assert_non_null(bytes);
        for (size_t i = 0; i < 5000; i++)
            assert_int_equal(bytes[i], 0);
        memset(bytes, 0xA5, 5000);
        pawl_arena_reset(arena);
    }
}

static void
memory_is_aligned_for_any_type(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    for (size_t size = 0; size < 70; size++)
    {
        void *place = pawl_arena_alloc(arena, size);

        assert_non_null(place);
        assert_int_equal((uintptr_t) place % alignof(max_align_t), 0);
    }
}

static void
allocations_do_not_overlap(void **state)
{
    enum
    {
        COUNT = 300
    };
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    unsigned char *places[COUNT];

    (void) state;
    for (size_t i = 0; i < COUNT; i++)
    {
        places[i] = pawl_arena_alloc(arena, i * 7);
        assert_non_null(places[i]);
        memset(places[i], (int) (i % 251), i * 7);
    }
    for (size_t i = 0; i < COUNT; i++)
    {
        for (size_t k = 0; k < i * 7; k++)
            assert_int_equal(places[i][k], i % 251);
    }
}

static void
reset_keeps_no_more_than_one_mebibyte(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    size_t small;

    (void) state;
    assert_non_null(pawl_arena_alloc(arena, 100));
    small = pawl_arena_bytes(arena);
    assert_non_null(pawl_arena_alloc(arena, (size_t) 8 << 20));
    assert_in_range(pawl_arena_bytes(arena), 8U << 20, 9U << 20);
    pawl_arena_reset(arena);
    assert_int_equal(pawl_arena_bytes(arena), small);
}

static void
many_rounds_need_the_memory_of_one(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    size_t after_first = 0;

    (void) state;
    for (int round = 0; round < 50; round++)
    {
        for (int i = 0; i < 200; i++)
            assert_non_null(pawl_arena_alloc(arena, 1000));
        if (round == 1)
            after_first = pawl_arena_bytes(arena);
        pawl_arena_reset(arena);
    }
    /* Blocks grow up to 1 MiB, so one of them soon holds a whole round. */
    assert_true(pawl_arena_bytes(arena) <= after_first + (1U << 20));
    assert_true(pawl_arena_bytes(arena) <= (1U << 20) + 256);
}

static void
impossible_sizes_are_refused(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    assert_null(pawl_arena_alloc(arena, SIZE_MAX));
    assert_null(pawl_arena_alloc(arena, SIZE_MAX - 64));
    assert_null(pawl_arena_array(arena, SIZE_MAX / 2, 3));
    assert_non_null(pawl_arena_alloc(arena, 8));
}

static void
text_is_copied_and_formatted(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    assert_string_equal(pawl_arena_strdup(arena, "abc"), "abc");
    assert_string_equal(pawl_arena_strndup(arena, "abcdef", 2), "ab");
    assert_string_equal(pawl_arena_fmt(arena, "%s-%d", "x", 42), "x-42");
}

static void
every_failed_allocation_gives_null_and_the_arena_stays_usable(void **state)
{
    bool done = false;

    (void) state;
    for (long nth = 0; !done; nth++)
    {
        PAWL_AUTO(pawl_arena) arena = NULL;
        char *text = NULL;
        void *large = NULL;

        pawl_test_fail_alloc(nth);
        arena = pawl_arena_new();
        if (arena != NULL)
        {
            text = pawl_arena_strdup(arena, "abc");
            large = pawl_arena_alloc(arena, 100000);
        }
        pawl_test_fail_alloc(-1);

        done = text != NULL && large != NULL;
        assert_int_equal(done, nth == 3);
        if (arena != NULL)
            assert_string_equal(pawl_arena_strdup(arena, "later"), "later");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(memory_is_zeroed_also_after_a_reset),
        cmocka_unit_test(memory_is_aligned_for_any_type),
        cmocka_unit_test(allocations_do_not_overlap),
        cmocka_unit_test(reset_keeps_no_more_than_one_mebibyte),
        cmocka_unit_test(many_rounds_need_the_memory_of_one),
        cmocka_unit_test(impossible_sizes_are_refused),
        cmocka_unit_test(text_is_copied_and_formatted),
        cmocka_unit_test(every_failed_allocation_gives_null_and_the_arena_stays_usable),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
