#include "revision/names.h"

#include <string.h>

#include "util/alloc.h"

#include "util/banned.h"

#define FIRST_CAPACITY ((size_t) 64)

static unsigned char
fold(char c)
{
    return (unsigned char) (c >= 'A' && c <= 'Z' ? c - 'A' + 'a' : c);
}

/* FNV-1a over the folded bytes. */
static size_t
hash(const char *name)
{
    uint64_t h = UINT64_C(14695981039346656037);

    for (; *name != '\0'; name++)
        h = (h ^ fold(*name)) * UINT64_C(1099511628211);
    return (size_t) (h ^ (h >> 32));
}

int
pawl_names_compare(const char *a, const char *b)
{
    while (*a != '\0' && fold(*a) == fold(*b))
    {
        a++;
        b++;
    }
    return (int) fold(*a) - (int) fold(*b);
}

bool
pawl_names_has_prefix(const char *name, const char *prefix)
{
    while (*prefix != '\0' && fold(*name) == fold(*prefix))
    {
        name++;
        prefix++;
    }
    return *prefix == '\0';
}

void
pawl_names_fini(pawl_names *names)
{
    pawl_free(names->slots);
    *names = (pawl_names){0};
}

static void
insert(pawl_names *names, const char *name, size_t value)
{
    size_t i = hash(name) & (names->capacity - 1);

    while (names->slots[i].name != NULL)
        i = (i + 1) & (names->capacity - 1);
    names->slots[i] = (pawl_names_slot){.name = name, .value = value};
    names->length++;
}

static bool
has_grown(pawl_names *names)
{
    pawl_names larger = {.capacity = names->capacity == 0 ? FIRST_CAPACITY : names->capacity * 2};

    larger.slots = pawl_calloc(larger.capacity, sizeof *larger.slots);
    if (larger.slots == NULL)
        return false;
    for (size_t i = 0; i < names->capacity; i++)
    {
        if (names->slots[i].name != NULL)
            insert(&larger, names->slots[i].name, names->slots[i].value);
    }
    pawl_names_fini(names);
    *names = larger;
    return true;
}

bool
pawl_names_can_put(pawl_names *names, const char *name, size_t value)
{
    if ((names->length + 1) * 2 > names->capacity && !has_grown(names))
        return false;
    insert(names, name, value);
    return true;
}

size_t
pawl_names_find(const pawl_names *names, const char *name)
{
    size_t i;

    if (names->capacity == 0)
        return PAWL_NAMES_NONE;
    i = hash(name) & (names->capacity - 1);
    while (names->slots[i].name != NULL)
    {
        if (pawl_names_compare(names->slots[i].name, name) == 0)
            return names->slots[i].value;
        i = (i + 1) & (names->capacity - 1);
    }
    return PAWL_NAMES_NONE;
}
