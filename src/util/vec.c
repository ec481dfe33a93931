#include "util/vec.h"

#include <string.h>

#include "util/banned.h"

#define FIRST_CAPACITY ((size_t) 8)

bool
pawl_vec_can_grow(void **items, size_t length, size_t *capacity, size_t item_size)
{
    size_t wanted = FIRST_CAPACITY;
    void *old;
    void *grown;

    if (length < *capacity)
        return true;
    if (*capacity != 0 && !pawl_can_mul(*capacity, 2, &wanted))
        return false;

    /* `items` really is a pointer to some other pointer type: only its bytes may be touched. */
    memcpy(&old, items, sizeof old);
    grown = pawl_realloc(old, wanted, item_size);
    if (grown == NULL)
        return false;

    memcpy(items, &grown, sizeof grown);
    *capacity = wanted;
    return true;
}
