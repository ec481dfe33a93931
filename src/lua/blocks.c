#include "lua/blocks.h"

#include <stdbool.h>
#include <string.h>

#include "util/alloc.h"

#include "util/banned.h"

struct pawl_block
{
    pawl_block *next;
};

#if defined(__has_feature)
    #if __has_feature(address_sanitizer)
        #define KEEPS_NOTHING 1
    #endif
#endif
#if defined(__SANITIZE_ADDRESS__)
    #define KEEPS_NOTHING 1
#endif
#ifndef KEEPS_NOTHING
    #define KEEPS_NOTHING 0
#endif

static size_t
class_of(size_t size)
{
    return (size - 1) / PAWL_BLOCK_STEP;
}

static bool
is_small(size_t size)
{
    return size > 0 && size <= PAWL_BLOCK_MAX && KEEPS_NOTHING == 0;
}

/* What a block of the class holds. */
static size_t
class_bytes(size_t class)
{
    return (class + 1) * PAWL_BLOCK_STEP;
}

void *
pawl_blocks_take(pawl_blocks *blocks, size_t size)
{
    if (!is_small(size))
        return pawl_malloc(size);

    size_t class = class_of(size);
    pawl_block *block = blocks->free_[class];

    if (block == NULL)
        return pawl_malloc(class_bytes(class));
    blocks->free_[class] = block->next;
    blocks->kept_bytes -= class_bytes(class);
    return block;
}

void
pawl_blocks_give(pawl_blocks *blocks, void *block, size_t size)
{
    pawl_block *kept = block;

    if (block == NULL)
        return;
    if (!is_small(size) || blocks->kept_bytes >= PAWL_BLOCKS_KEPT)
    {
        pawl_free(block);
        return;
    }
    kept->next = blocks->free_[class_of(size)];
    blocks->free_[class_of(size)] = kept;
    blocks->kept_bytes += class_bytes(class_of(size));
}

/* To another size through a block of another class. */
static void *
move(pawl_blocks *blocks, void *block, size_t old, size_t size)
{
    void *moved = pawl_blocks_take(blocks, size);

    if (moved == NULL)
        return NULL;
    memcpy(moved, block, old < size ? old : size);
    pawl_blocks_give(blocks, block, old);
    return moved;
}

void *
pawl_blocks_grow(pawl_blocks *blocks, void *block, size_t old, size_t size)
{
    void *grown;

    if (is_small(old) && is_small(size) && class_of(old) == class_of(size))
        return block;
    if (!is_small(old) && !is_small(size))
        grown = pawl_realloc(block, 1, size);
    else
        grown = move(blocks, block, old, size);
    /* To become smaller may not fail: the larger block serves as well, in its new class too. */
    return grown == NULL && size <= old ? block : grown;
}

void
pawl_blocks_drop(pawl_blocks *blocks)
{
    for (size_t i = 0; i < sizeof blocks->free_ / sizeof blocks->free_[0]; i++)
    {
        while (blocks->free_[i] != NULL)
        {
            pawl_block *next = blocks->free_[i]->next;

            pawl_free(blocks->free_[i]);
            blocks->free_[i] = next;
        }
    }
    blocks->kept_bytes = 0;
}
