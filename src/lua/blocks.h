/*
 * blocks.h - small blocks of memory that one Lua state gave back, kept for its next allocation.
 *
 * A transform makes and drops a few tables and strings a row, always of the same few sizes. The system's allocator serves
 * any thread and any size and is asked some ten times a row; a list for each size, last in first out, costs a quarter
 * of it. Every block is one of the system's, of its class's size, so that any may go back at any time. What is kept is
 * bounded: memory that a transform held for a moment does not stay.
 *
 *   (zeroed) -> (take | give) ... -> drop
 *
 * Under AddressSanitizer nothing is kept, so that it sees every use of what was freed.
 *
 * Threads: belong to one state, and so to one thread.
 * Memory:  drop returns what is kept; blocks in use are the caller's.
 */
#ifndef PAWL_LUA_BLOCKS_H
#define PAWL_LUA_BLOCKS_H

#include <stddef.h>

#define PAWL_BLOCK_MAX   256 /* bytes of the largest block that is kept */
#define PAWL_BLOCK_STEP  16  /* bytes from one class to the next: what malloc aligns to */
#define PAWL_BLOCKS_KEPT ((size_t) 256 * 1024)

typedef struct pawl_block pawl_block;

typedef struct pawl_blocks
{
    pawl_block *free_[PAWL_BLOCK_MAX / PAWL_BLOCK_STEP];
    size_t kept_bytes;
} pawl_blocks;

/* A block of at least `size` bytes; NULL when memory ran out. */
void *pawl_blocks_take(pawl_blocks *blocks, size_t size);

/* Give a block back that was taken, or grown, as one of `size` bytes. NULL is allowed. */
void pawl_blocks_give(pawl_blocks *blocks, void *block, size_t size);

/* As realloc, from one size to another. NULL when memory ran out, the block then stays; becoming smaller never fails. */
void *pawl_blocks_grow(pawl_blocks *blocks, void *block, size_t old, size_t size);

/* Return all that is kept to the system. */
void pawl_blocks_drop(pawl_blocks *blocks);

#endif
