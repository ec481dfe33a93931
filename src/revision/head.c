/*
 * The head of a revision (id, parents, labels, ...) without a YAML parser: in a history of ten thousand files nearly all
 * that is wanted of nearly all files.
 *
 * Only plain forms are understood, so that whatever is taken is what the parser would give: one key a line, each value
 * closed on its line, `up:` behind all of them. Everything else is left to the parser: no problem is reported here, and
 * none is passed over that concerns the head. What stands behind `up:` cannot change the head: its lines are indented,
 * or begin with "- ", "#" or `down:`, and every other line at the margin sends the file to the parser.
 */
#include <string.h>

#include "config/utf8.h"
#include "revision/file.h"

#include "util/banned.h"

#define WORD_BYTES "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_"
#define MOST_ITEMS 64

/* One text being scanned. */
typedef struct scan
{
    const char *at;
    pawl_arena *arena;
    pawl_revision *revision;
    bool has_parents;
    bool has_labels;
    bool has_depends_on;
    bool has_failed; /* memory ran out */
} scan;

/* Bytes that another line break, a mark or an escape of YAML could be made of, or that are no text. */
static bool
is_odd_byte(const char *c)
{
    unsigned char byte = (unsigned char) c[0];
    unsigned char second = (unsigned char) c[1];

    if (byte < 0x80)
        return (byte < ' ' && byte != '\n') || byte == 0x7F;
    return byte == 0xC2 || byte == 0xEF || byte >= 0xF0 || (byte == 0xE2 && second == 0x80);
}

static bool
is_plain_text(const char *text, size_t length)
{
    pawl_utf8_fault fault;
    bool is_ascii = true;

    for (size_t i = 0; i < length; i++)
    {
        if (is_odd_byte(&text[i]))
            return false;
        is_ascii = is_ascii && (unsigned char) text[i] < 0x80;
    }
    return is_ascii || !pawl_utf8_has_fault(text, length, &fault);
}

static bool
is_skipped(scan *s, const char *bytes)
{
    size_t length = strlen(bytes);

    if (strncmp(s->at, bytes, length) != 0)
        return false;
    s->at += length;
    return true;
}

static void
skip_blanks(scan *s)
{
    s->at += strspn(s->at, " ");
}

static bool
is_null_word(const char *text, size_t length)
{
    return length == 4 &&
           (strncmp(text, "null", 4) == 0 || strncmp(text, "Null", 4) == 0 || strncmp(text, "NULL", 4) == 0);
}

static const char *
keep(scan *s, const char *text, size_t length)
{
    const char *kept = pawl_arena_strndup(s->arena, text, length);

    s->has_failed = s->has_failed || kept == NULL;
    return kept;
}

/* A quoted text without escapes, closed on its line. */
static bool
has_quoted(scan *s, const char **out)
{
    char quote = *s->at;
    size_t length;

    if (quote != '"' && quote != '\'')
        return false;
    length = strcspn(s->at + 1, quote == '"' ? "\"\\\n" : "'\n");
    /* Two ' are one within quotes. */
    if (s->at[1 + length] != quote || (quote == '\'' && s->at[2 + length] == '\''))
        return false;
    *out = keep(s, s->at + 1, length);
    s->at += length + 2;
    return true;
}

static bool
has_word(scan *s, const char **out)
{
    size_t length = strspn(s->at, WORD_BYTES ".");

    if (length == 0 || is_null_word(s->at, length))
        return false;
    *out = keep(s, s->at, length);
    s->at += length;
    return true;
}

/* The rest of a line that YAML takes as it stands: it begins with a letter or a digit, and holds neither ":" nor "#". */
static bool
has_line(scan *s, const char **out)
{
    size_t length = strcspn(s->at, "\n");
    size_t used = length;

    if ((strspn(s->at, WORD_BYTES) == 0 && (unsigned char) *s->at < 0x80) ||
        memchr(s->at, ':', length) != NULL || memchr(s->at, '#', length) != NULL)
        return false;
    while (s->at[used - 1] == ' ')
        used--;
    if (is_null_word(s->at, used))
        return false;
    *out = keep(s, s->at, used);
    s->at += length;
    return true;
}

/* [], or [a, "b"] */
static bool
has_list(scan *s, const char ***out, size_t *count)
{
    const char *items[MOST_ITEMS];
    size_t n = 0;
    const char **list;

    if (!is_skipped(s, "["))
        return false;
    skip_blanks(s);
    while (n < MOST_ITEMS && *s->at != ']')
    {
        if (n > 0 && !is_skipped(s, ","))
            return false;
        skip_blanks(s);
        if (!has_quoted(s, &items[n]) && !has_word(s, &items[n]))
            return false;
        n++;
        skip_blanks(s);
    }
    if (!is_skipped(s, "]"))
        return false;

    list = pawl_arena_array(s->arena, n, sizeof *list);
    s->has_failed = s->has_failed || list == NULL;
    for (size_t i = 0; list != NULL && i < n; i++)
        list[i] = items[i];
    *out = list;
    *count = n;
    return true;
}

/* A list under a key that is not there yet. */
static bool
has_new_list(scan *s, bool *is_there, const char ***out, size_t *count)
{
    if (*is_there)
        return false;
    *is_there = true;
    return has_list(s, out, count);
}

/* "key: value" of the head, up to its end of line. */
static bool
has_entry(scan *s)
{
    pawl_revision *r = s->revision;
    bool is_good = false;

    if (is_skipped(s, "revision: "))
    {
        skip_blanks(s);
        is_good = r->id == NULL && (has_quoted(s, &r->id) || has_word(s, &r->id));
    }
    else if (is_skipped(s, "parents: "))
    {
        skip_blanks(s);
        is_good = has_new_list(s, &s->has_parents, &r->parents, &r->nparents);
    }
    else if (is_skipped(s, "description: "))
    {
        skip_blanks(s);
        is_good = r->description == NULL && (has_quoted(s, &r->description) || has_line(s, &r->description));
    }
    else if (is_skipped(s, "labels: "))
    {
        skip_blanks(s);
        is_good = has_new_list(s, &s->has_labels, &r->labels, &r->nlabels);
    }
    else if (is_skipped(s, "depends_on: "))
    {
        skip_blanks(s);
        is_good = has_new_list(s, &s->has_depends_on, &r->depends_on, &r->ndepends_on);
    }
    if (!is_good || s->has_failed)
        return false;
    skip_blanks(s);
    return is_skipped(s, "\n") || *s->at == '\0';
}

static void
skip_line(scan *s)
{
    s->at += strcspn(s->at, "\n");
    s->at += *s->at == '\n' ? 1 : 0;
}

/* Lines up to `up:`, or to the end. */
static bool
has_head(scan *s)
{
    while (*s->at != '\0' && strncmp(s->at, "up:", 3) != 0)
    {
        if (*s->at == '\n' || *s->at == '#')
            skip_line(s);
        else if (!has_entry(s))
            return false;
    }
    return true;
}

/* Lines from `up:` on, none of which can be a part of the head. */
static bool
has_body(scan *s)
{
    while (*s->at != '\0')
    {
        bool is_expected = *s->at == '\n' || *s->at == '#' || *s->at == ' ' || strncmp(s->at, "- ", 2) == 0 ||
                           strncmp(s->at, "up:", 3) == 0 || strncmp(s->at, "down:", 5) == 0;

        if (!is_expected)
            return false;
        skip_line(s);
    }
    return true;
}

/* What the parser would find a problem with is the parser's. */
static bool
is_sound(const scan *s)
{
    const pawl_revision *r = s->revision;

    if (r->id == NULL || !s->has_parents || !pawl_revision_is_id(r->id) ||
        !pawl_revision_is_file_of(r->file, r->id))
        return false;
    for (size_t i = 0; i < r->nparents; i++)
    {
        if (!pawl_revision_is_id(r->parents[i]))
            return false;
    }
    for (size_t i = 0; i < r->nlabels; i++)
    {
        if (!pawl_revision_is_label(r->labels[i]))
            return false;
    }
    for (size_t i = 0; i < r->ndepends_on; i++)
    {
        if (!pawl_revision_is_id(r->depends_on[i]) && !pawl_revision_is_label(r->depends_on[i]))
            return false;
    }
    return true;
}

pawl_status
pawl_revision_parse_head(const char *file, const char *text, size_t length, pawl_arena *arena,
                         pawl_revision **out, pawl_error *err)
{
    pawl_revision *revision = pawl_arena_alloc(arena, sizeof *revision);
    scan s = {.arena = arena, .revision = revision};

    if (revision == NULL || (revision->file = pawl_arena_strdup(arena, file)) == NULL ||
        (revision->text = pawl_arena_strndup(arena, text, length)) == NULL)
        return pawl_error_nomem(err, "a revision");
    revision->text_length = length;
    s.at = revision->text;

    *out = NULL;
    if (is_plain_text(text, length) && has_head(&s) && has_body(&s) && is_sound(&s))
        *out = revision;
    if (s.has_failed)
        return pawl_error_nomem(err, "a revision");
    if (*out != NULL && revision->description == NULL)
        revision->description = "";
    return PAWL_OK;
}
