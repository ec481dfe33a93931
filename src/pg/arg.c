#include "pg/arg.h"

#include <assert.h>
#include <inttypes.h>
#include <limits.h>
#include <string.h>
#include <strings.h>

#include "util/arena.h"

#include "util/banned.h"

/* dimensions, flags, element type, then length and lower bound of the one dimension */
enum
{
    HEADER_BYTES = 20,
    EMPTY_HEADER_BYTES = 12,
};

pawl_pg_arg
pawl_arg_i64(int64_t value, char buf[24])
{
    pawl_fmt(buf, 24, "%" PRId64, value);
    return PAWL_ARG_TEXT(buf);
}

static void
put_u32(char *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (char) (unsigned char) (value >> (24 - 8 * i));
}

static void
add_u32(pawl_pg_array *a, uint32_t value)
{
    char bytes[4];

    put_u32(bytes, value);
    pawl_strbuf_addn(&a->bytes, bytes, sizeof bytes);
}

void
pawl_pg_array_init(pawl_pg_array *a, uint32_t element)
{
    pawl_strbuf_init(&a->bytes);
    a->element = element;
    pawl_pg_array_reset(a);
}

void
pawl_pg_array_fini(pawl_pg_array *a)
{
    pawl_strbuf_fini(&a->bytes);
}

void
pawl_pg_array_reset(pawl_pg_array *a)
{
    static const char room[HEADER_BYTES] = {0};

    a->count = 0;
    a->has_null = false;
    pawl_strbuf_reset(&a->bytes);
    pawl_strbuf_addn(&a->bytes, room, sizeof room);
}

void
pawl_pg_array_add_null(pawl_pg_array *a)
{
    add_u32(a, UINT32_MAX);
    a->has_null = true;
    a->count++;
}

void
pawl_pg_array_add_bytes(pawl_pg_array *a, const void *bytes, size_t length)
{
    /* The server takes no message above 1 GB; beyond it the length would not even fit. */
    if (length > INT32_MAX)
    {
        a->bytes.failed = true;
        return;
    }
    add_u32(a, (uint32_t) length);
    pawl_strbuf_addn(&a->bytes, bytes, length);
    a->count++;
}

/* An integer with its length before it, in one go. */
static void
add_integer(pawl_pg_array *a, uint64_t value, size_t width)
{
    char bytes[4 + sizeof value] = {0};

    bytes[3] = (char) width;
    for (size_t i = 0; i < width; i++)
        bytes[4 + i] = (char) (unsigned char) (value >> (8 * (width - 1 - i)) & 0xff);
    pawl_strbuf_addn(&a->bytes, bytes, 4 + width);
    a->count++;
}

void
pawl_pg_array_add_i16(pawl_pg_array *a, int16_t value)
{
    add_integer(a, (uint16_t) value, sizeof value);
}

void
pawl_pg_array_add_i32(pawl_pg_array *a, int32_t value)
{
    add_integer(a, (uint32_t) value, sizeof value);
}

void
pawl_pg_array_add_i64(pawl_pg_array *a, int64_t value)
{
    add_integer(a, (uint64_t) value, sizeof value);
}

void
pawl_pg_array_add_bool(pawl_pg_array *a, bool value)
{
    add_integer(a, value ? 1 : 0, 1);
}

bool
pawl_pg_array_is_ok(const pawl_pg_array *a)
{
    return pawl_strbuf_is_ok(&a->bytes) && a->bytes.length <= INT_MAX;
}

bool
pawl_pg_array_has_next(const pawl_pg_array *a, size_t *at, const char **data, size_t *length)
{
    uint32_t n = 0;

    if (*at == 0)
        *at = HEADER_BYTES;
    if (*at >= a->bytes.length)
        return false;
    for (int i = 0; i < 4; i++)
        n = n << 8 | (unsigned char) a->bytes.data[(*at)++];
    *length = n == UINT32_MAX ? 0 : n;
    *data = n == UINT32_MAX ? NULL : a->bytes.data + *at;
    *at += *length;
    return true;
}

pawl_pg_arg
pawl_pg_array_arg(pawl_pg_array *a, uint32_t array_type)
{
    pawl_pg_arg arg = {.data = a->bytes.data, .binary = true, .type = array_type};

    assert(pawl_pg_array_is_ok(a));
    put_u32(a->bytes.data, a->count == 0 ? 0 : 1);
    put_u32(a->bytes.data + 4, a->has_null ? 1 : 0);
    put_u32(a->bytes.data + 8, a->element);
    put_u32(a->bytes.data + 12, (uint32_t) a->count);
    put_u32(a->bytes.data + 16, 1);
    arg.length = a->count == 0 ? (int) EMPTY_HEADER_BYTES : (int) a->bytes.length;
    return arg;
}

/* One element from `*at` into `word` (which has room for all of the text): quoted or not, backslashes undone. */
static bool
can_read_element(const char **at, char *word, bool *is_null)
{
    const char *c = *at;
    bool quoted = *c == '"';
    char *out = word;

    if (quoted)
        c++;
    while (*c != '\0' && (quoted ? *c != '"' : *c != ',' && *c != '}'))
    {
        if (!quoted && (*c == '{' || *c == '"'))
            return false;
        if (*c == '\\' && *++c == '\0')
            return false;
        *out++ = *c++;
    }
    *out = '\0';
    if (quoted && *c++ != '"')
        return false;
    if (!quoted && out == word)
        return false;
    *is_null = !quoted && strcasecmp(word, "NULL") == 0;
    *at = c;
    return true;
}

static size_t
count_commas(const char *text)
{
    size_t n = 0;

    for (const char *c = strchr(text, ','); c != NULL; c = strchr(c + 1, ','))
        n++;
    return n;
}

bool
pawl_pg_array_can_split(struct pawl_arena *arena, const char *text, char ***out, size_t *count)
{
    char **items = pawl_arena_array(arena, count_commas(text) + 1, sizeof *items);
    char *word = pawl_arena_alloc(arena, strlen(text) + 1);
    size_t n = 0;

    if (items == NULL || word == NULL)
        return false;

    /* "[2:3]={a,b}" when the lower bound is not 1 */
    if (*text == '[' && (text = strchr(text, '=')) != NULL)
        text++;
    if (text == NULL || *text++ != '{')
        return false;

    while (*text != '}' || n > 0)
    {
        bool is_null = false;

        if (!can_read_element(&text, word, &is_null))
            return false;
        if (!is_null && (items[n] = pawl_arena_strdup(arena, word)) == NULL)
            return false;
        n++;
        if (*text == '}')
            break;
        if (*text++ != ',')
            return false;
    }
    if (text[1] != '\0')
        return false;
    *out = items;
    *count = n;
    return true;
}
