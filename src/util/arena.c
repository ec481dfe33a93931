#include "util/arena.h"

#include <stdalign.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "util/alloc.h"

#if defined(__has_feature)
    #if __has_feature(address_sanitizer)
        #define HAVE_ASAN 1
    #endif
#elif defined(__SANITIZE_ADDRESS__)
    #define HAVE_ASAN 1
#endif
#if defined(HAVE_ASAN)
    #include <sanitizer/asan_interface.h>
#else
    #define ASAN_POISON_MEMORY_REGION(address, size)   ((void) (address), (void) (size))
    #define ASAN_UNPOISON_MEMORY_REGION(address, size) ((void) (address), (void) (size))
#endif

#include "util/banned.h"

#define FIRST_BLOCK ((size_t) 8 * 1024)
#define LARGE_BLOCK ((size_t) 1024 * 1024) /* blocks grow up to this, and reset keeps none that is larger */
#define ALIGNMENT   alignof(max_align_t)

struct block
{
    struct block *next;
    size_t size;
    size_t used;
    alignas(max_align_t) char data[];
};

/* The block in use comes first; a block made for one large thing goes behind it. */
struct pawl_arena
{
    struct block *blocks;
    size_t next_size;
    size_t bytes;
};

static struct block *
block_new(pawl_arena *arena, size_t size)
{
    size_t total = 0;
    struct block *block;

    if (!pawl_can_add(sizeof *block, size, &total))
        return NULL;

    block = pawl_malloc(total);
    if (block == NULL)
        return NULL;

    block->next = NULL;
    block->size = size;
    block->used = 0;
    arena->bytes += total;
    ASAN_POISON_MEMORY_REGION(block->data, size);
    return block;
}

static void
block_free(pawl_arena *arena, struct block *block)
{
    arena->bytes -= sizeof *block + block->size;
    ASAN_UNPOISON_MEMORY_REGION(block->data, block->size);
    pawl_free(block);
}

pawl_arena *
pawl_arena_new(void)
{
    pawl_arena *arena = pawl_calloc(1, sizeof *arena);

    if (arena != NULL)
        arena->next_size = FIRST_BLOCK;
    return arena;
}

void
pawl_arena_free(pawl_arena *arena)
{
    if (arena == NULL)
        return;

    while (arena->blocks != NULL)
    {
        struct block *next = arena->blocks->next;

        block_free(arena, arena->blocks);
        arena->blocks = next;
    }
    pawl_free(arena);
}

void
pawl_arena_reset(pawl_arena *arena)
{
    struct block *kept = NULL;
    struct block *block = arena->blocks;

    while (block != NULL)
    {
        struct block *next = block->next;
        struct block *loser = block;

        if (block->size <= LARGE_BLOCK && (kept == NULL || block->size > kept->size))
        {
            loser = kept;
            kept = block;
        }
        if (loser != NULL)
            block_free(arena, loser);
        block = next;
    }

    if (kept != NULL)
    {
        kept->next = NULL;
        kept->used = 0;
        ASAN_POISON_MEMORY_REGION(kept->data, kept->size);
    }
    arena->blocks = kept;
}

/* A block with room for `size` bytes. */
static struct block *
block_for(pawl_arena *arena, size_t size)
{
    struct block *first = arena->blocks;
    struct block *block;

    if (first != NULL && size <= first->size - first->used)
        return first;

    /* One large thing must not waste what is left of the block in use. */
    if (first != NULL && size > arena->next_size / 4)
    {
        block = block_new(arena, size);
        if (block == NULL)
            return NULL;
        block->next = first->next;
        first->next = block;
        return block;
    }

    block = block_new(arena, size > arena->next_size ? size : arena->next_size);
    if (block == NULL)
        return NULL;
    if (arena->next_size < LARGE_BLOCK)
        arena->next_size *= 2;
    block->next = first;
    arena->blocks = block;
    return block;
}

void *
pawl_arena_alloc(pawl_arena *arena, size_t size)
{
    size_t rounded = 0;
    struct block *block;
    void *place;

    if (!pawl_can_add(size, ALIGNMENT - 1, &rounded))
        return NULL;
    rounded -= rounded % ALIGNMENT;

    block = block_for(arena, rounded);
    if (block == NULL)
        return NULL;

    place = block->data + block->used;
    block->used += rounded;
    ASAN_UNPOISON_MEMORY_REGION(place, size);
    memset(place, 0, size);
    return place;
}

void *
pawl_arena_array(pawl_arena *arena, size_t count, size_t size)
{
    size_t bytes = 0;

    if (!pawl_can_mul(count, size, &bytes))
        return NULL;

    return pawl_arena_alloc(arena, bytes);
}

char *
pawl_arena_strdup(pawl_arena *arena, const char *text)
{
    return pawl_arena_strndup(arena, text, strlen(text));
}

char *
pawl_arena_strndup(pawl_arena *arena, const char *text, size_t length)
{
    size_t used = strnlen(text, length);
    char *copy = pawl_arena_alloc(arena, used + 1);

    if (copy != NULL)
        memcpy(copy, text, used);
    return copy;
}

char *
pawl_arena_fmt(pawl_arena *arena, const char *fmt, ...)
{
    va_list args;
    char *text;
    int length;

    va_start(args, fmt);
    length = vsnprintf(NULL, 0, fmt, args);
    va_end(args);
    if (length < 0)
        return NULL;

    text = pawl_arena_alloc(arena, (size_t) length + 1);
    if (text == NULL)
        return NULL;

    va_start(args, fmt);
    length = vsnprintf(text, (size_t) length + 1, fmt, args);
    va_end(args);
    return length < 0 ? NULL : text;
}

size_t
pawl_arena_bytes(const pawl_arena *arena)
{
    return arena->bytes;
}
