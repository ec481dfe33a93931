#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "lua/blocks.h"
#include "util/alloc.h"

#include "util/banned.h"

static void
block_keeps_its_bytes_through_every_size(void **state)
{
    pawl_blocks blocks = {0};
    unsigned char *block = pawl_blocks_take(&blocks, 1);

    (void) state;
    assert_non_null(block);
    block[0] = 7;
    for (size_t size = 1; size < 2 * PAWL_BLOCK_MAX; size++)
    {
        block = pawl_blocks_grow(&blocks, block, size, size + 1);
        assert_non_null(block);
        block[size] = (unsigned char) (size + 7);
        for (size_t i = 0; i <= size; i++)
            assert_int_equal(block[i], (unsigned char) (i + 7));
    }
    for (size_t size = (size_t) 2 * PAWL_BLOCK_MAX; size > 1; size--)
    {
        block = pawl_blocks_grow(&blocks, block, size, size - 1);
        assert_int_equal(block[size - 2], (unsigned char) (size + 5));
    }
    pawl_blocks_give(&blocks, block, 1);
    pawl_blocks_drop(&blocks);
    assert_int_equal(blocks.kept_bytes, 0);
}

static void
blocks_in_use_never_overlap(void **state)
{
    enum
    {
        COUNT = 500
    };
    pawl_blocks blocks = {0};
    unsigned char *held[COUNT] = {0};
    size_t sizes[COUNT];

    (void) state;
    for (size_t round = 0; round < 20; round++)
    {
        for (size_t i = round % 3; i < COUNT; i += 1 + round % 3)
        {
            for (size_t at = 0; held[i] != NULL && at < sizes[i]; at++)
                assert_int_equal(held[i][at], (unsigned char) i);
            pawl_blocks_give(&blocks, held[i], held[i] == NULL ? 1 : sizes[i]);
            sizes[i] = 1 + (i * 37 + round * 11) % (PAWL_BLOCK_MAX + 40);
            held[i] = pawl_blocks_take(&blocks, sizes[i]);
            assert_non_null(held[i]);
            memset(held[i], (int) i, sizes[i]);
        }
    }
    for (size_t i = 0; i < COUNT; i++)
        pawl_blocks_give(&blocks, held[i], held[i] == NULL ? 1 : sizes[i]);
    pawl_blocks_drop(&blocks);
}

static void
what_is_kept_is_bounded(void **state)
{
    enum
    {
        COUNT = 4096
    };
    pawl_blocks blocks = {0};
    static void *held[COUNT];

    (void) state;
    for (size_t i = 0; i < COUNT; i++)
        held[i] = pawl_blocks_take(&blocks, PAWL_BLOCK_MAX);
    for (size_t i = 0; i < COUNT; i++)
        pawl_blocks_give(&blocks, held[i], PAWL_BLOCK_MAX);
    assert_in_range(blocks.kept_bytes, 0, PAWL_BLOCKS_KEPT);
    pawl_blocks_drop(&blocks);
}

static void
growth_may_fail_and_becoming_smaller_may_not(void **state)
{
    pawl_blocks blocks = {0};
    char *block = pawl_blocks_take(&blocks, 400);

    (void) state;
    assert_non_null(block);
    memset(block, 'x', 400);
    pawl_test_fail_alloc(0);
    assert_null(pawl_blocks_grow(&blocks, block, 400, 800));
    pawl_test_fail_alloc(0);
    block = pawl_blocks_grow(&blocks, block, 400, 300);
    pawl_test_fail_alloc(0);
    block = pawl_blocks_grow(&blocks, block, 300, 40);
    pawl_test_fail_alloc(-1);
    assert_non_null(block);
    assert_int_equal(block[39], 'x');
    pawl_blocks_give(&blocks, block, 40);
    pawl_blocks_drop(&blocks);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(block_keeps_its_bytes_through_every_size),
        cmocka_unit_test(blocks_in_use_never_overlap),
        cmocka_unit_test(what_is_kept_is_bounded),
        cmocka_unit_test(growth_may_fail_and_becoming_smaller_may_not),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
