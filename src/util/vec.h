/*
 * vec.h - a growing array of any type, by macro.
 *
 *   PAWL_VEC(pawl_step *) steps = {0};
 *   if (!pawl_vec_push(&steps, step)) ...out of memory...
 *   for (size_t i = 0; i < steps.length; i++) use(steps.items[i]);
 *   pawl_vec_fini(&steps);
 *
 * Threads: a vector belongs to one thread at a time.
 * Memory:  fini frees the array, not what its items point to.
 */
#ifndef PAWL_UTIL_VEC_H
#define PAWL_UTIL_VEC_H

#include "util/alloc.h"

#define PAWL_VEC(type)   \
    struct               \
    {                    \
        type *items;     \
        size_t length;   \
        size_t capacity; \
    }

/* Grow `*items` so that one more fits. False when memory ran out, and nothing has changed. */
PAWL_NODISCARD bool pawl_vec_can_grow(void **items, size_t length, size_t *capacity, size_t item_size);

/* True when pushed; the value is evaluated once, and only if there is room. */
#define pawl_vec_push(v, value)                                                                         \
    (pawl_vec_can_grow((void **) (void *) &(v)->items, (v)->length, &(v)->capacity, sizeof *(v)->items) \
         ? ((v)->items[(v)->length++] = (value), true)                                                  \
         : false)

#define pawl_vec_fini(v)                 \
    do                                   \
    {                                    \
        pawl_free((v)->items);           \
        (v)->items = NULL;               \
        (v)->length = (v)->capacity = 0; \
    } while (0)

#endif
