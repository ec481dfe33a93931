/*
 * names.h - a table from names to numbers that ignores case, for ids and labels.
 *
 *   init -> (put ... find ...) -> fini
 *
 * Threads: finding is read-only; a table that is written to belongs to one thread.
 * Memory:  the table keeps the names by reference; fini frees its own slots.
 */
#ifndef PAWL_REVISION_NAMES_H
#define PAWL_REVISION_NAMES_H

#include "util/attr.h"

#define PAWL_NAMES_NONE SIZE_MAX

typedef struct pawl_names_slot
{
    const char *name; /* NULL: empty */
    size_t value;
} pawl_names_slot;

/* All zeros is an empty table. */
typedef struct pawl_names
{
    pawl_names_slot *slots;
    size_t capacity; /* a power of two, or 0 */
    size_t length;
} pawl_names;

void pawl_names_fini(pawl_names *names);

/* True when put; the name must not be in the table yet. False when memory ran out. */
PAWL_NODISCARD bool pawl_names_can_put(pawl_names *names, const char *name, size_t value);

/* The value, or PAWL_NAMES_NONE. */
size_t pawl_names_find(const pawl_names *names, const char *name);

/* As strcmp and strncmp, ignoring the case of ASCII letters. */
int pawl_names_compare(const char *a, const char *b);
bool pawl_names_has_prefix(const char *name, const char *prefix);

#endif
