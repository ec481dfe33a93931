#include <ctype.h>
#include <string.h>

#include "step/kind.h"

#include "util/banned.h"

#define NAME_BYTES 63

bool
pawl_step_has_name(pawl_reader *r, const char *key, const char **out)
{
    const char *name = NULL;

    if (!pawl_reader_has_text(r, key, &name))
        return false;
    if (name[0] == '\0' || strlen(name) > NAME_BYTES)
    {
        pawl_reader_problem(r, key, "PostgreSQL cuts longer names", "`%s` must be a name of 1 to %d bytes",
                            key, NAME_BYTES);
        return false;
    }
    *out = name;
    return true;
}

static bool
is_word_byte(char c, bool is_first)
{
    return isalpha((unsigned char) c) != 0 || c == '_' || (unsigned char) c >= 0x80 ||
           (!is_first && (isdigit((unsigned char) c) != 0 || c == '$'));
}

/* One part of a name at *at, which is moved behind it; NULL when there is none, or memory ran out. */
static const char *
take_part(const char **at, bool folds, pawl_arena *arena)
{
    const char *from = *at;
    char *out = pawl_arena_alloc(arena, strlen(from) + 1);
    size_t n = 0;

    if (out == NULL)
        return NULL;
    if (*from != '"')
    {
        for (; is_word_byte(*from, n == 0); from++)
            out[n++] = folds && (unsigned char) *from < 0x80 ? (char) tolower((unsigned char) *from) : *from;
    }
    else
    {
        for (from++; *from != '\0' && (*from != '"' || from[1] == '"'); from++)
        {
            out[n++] = *from;
            from += *from == '"' ? 1 : 0;
        }
        if (*from != '"')
            return NULL;
        from++;
    }
    *at = from;
    return n == 0 || n > NAME_BYTES ? NULL : out;
}

bool
pawl_step_can_split_name(const char *text, bool folds, pawl_arena *arena, const char **schema,
                         const char **name)
{
    const char *first = take_part(&text, folds, arena);
    const char *second = NULL;

    if (first != NULL && *text == '.')
    {
        text++;
        second = take_part(&text, folds, arena);
        if (second == NULL)
            return false;
    }
    if (first == NULL || *text != '\0')
        return false;
    *schema = second == NULL ? "" : first;
    *name = second == NULL ? first : second;
    return true;
}
