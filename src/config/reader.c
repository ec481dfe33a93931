#include "config/reader.h"

#include <inttypes.h>
#include <string.h>

#include "config/utf8.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define EXCERPT 48 /* bytes of a wrong value that a message repeats */

/* A value as it is put into a message: one line, not too long, nothing that moves a terminal's cursor. */
static const char *
excerpt(const pawl_yaml *node, char out[EXCERPT + 8])
{
    size_t n;

    if (node->kind != PAWL_YAML_SCALAR || node->is_null)
    {
        pawl_fmt(out, EXCERPT + 8, "%s", pawl_yaml_kind_name(node));
        return out;
    }
    n = pawl_utf8_cut(node->text, EXCERPT);
    pawl_fmt(out, EXCERPT + 8, "\"%.*s%s\"", (int) n, node->text, node->text[n] == '\0' ? "" : "...");
    for (size_t i = 0; out[i] != '\0'; i++)
    {
        if ((unsigned char) out[i] < ' ' || out[i] == 0x7F)
            out[i] = ' ';
    }
    return out;
}

static void
join_words(const char *const *words, pawl_strbuf *out)
{
    for (size_t i = 0; words[i] != NULL; i++)
    {
        if (i > 0)
            pawl_strbuf_add(out, ", ");
        pawl_strbuf_add(out, words[i]);
    }
}

static size_t
count_words(const char *const *words)
{
    size_t n = 0;

    while (words[n] != NULL)
        n++;
    return n;
}

static bool
has_word(const char *word, const char *const *words, size_t *out)
{
    for (size_t i = 0; words[i] != NULL; i++)
    {
        if (strcmp(words[i], word) == 0)
        {
            *out = i;
            return true;
        }
    }
    return false;
}

/* "did you mean" for a near miss, else all words. */
static void
advise(const char *word, const char *const *words, const char *label, pawl_strbuf *out)
{
    const char *nearest = pawl_units_nearest(word, words, count_words(words));

    if (nearest != NULL)
    {
        pawl_strbuf_addf(out, "did you mean \"%s\"?", nearest);
        return;
    }
    pawl_strbuf_add(out, label);
    join_words(words, out);
}

static void
refuse_key(const pawl_reader *r, const pawl_yaml *key, const char *const *keys)
{
    PAWL_STRBUF_AUTO(hint);
    char shown[EXCERPT + 8];

    advise(key->text, keys, "it may have: ", &hint);
    pawl_problems_add(r->problems, key->file, key->line, key->column, hint.data, "%s has no key %s", r->what,
                      excerpt(key, shown));
}

void
pawl_reader_open(pawl_reader *r, const pawl_yaml *node, const char *what, const char *const *keys,
                 pawl_problems *problems, pawl_arena *arena)
{
    size_t ignored = 0;

    *r = (pawl_reader){.node = node, .what = what, .problems = problems, .arena = arena};
    if (node->kind != PAWL_YAML_MAPPING)
    {
        char shown[EXCERPT + 8];

        pawl_problems_add(problems, node->file, node->line, node->column, "write KEY: VALUE lines",
                          "%s must be a mapping, not %s", what, excerpt(node, shown));
        r->node = NULL;
        return;
    }
    for (size_t i = 0; i < node->length; i++)
    {
        if (!has_word(node->keys[i]->text, keys, &ignored))
            refuse_key(r, node->keys[i], keys);
    }
}

bool
pawl_reader_has(const pawl_reader *r, const char *key)
{
    return pawl_yaml_get(r->node, key) != NULL;
}

void
pawl_reader_require(pawl_reader *r, const char *key, const char *example)
{
    PAWL_STRBUF_AUTO(hint);

    if (r->node == NULL || pawl_reader_has(r, key))
        return;
    pawl_strbuf_addf(&hint, "for example: %s", example);
    pawl_problems_add(r->problems, r->node->file, r->node->line, r->node->column, hint.data,
                      "%s needs the key \"%s\"", r->what, key);
}

void
pawl_reader_problem(pawl_reader *r, const char *key, const char *hint, const char *fmt, ...)
{
    const pawl_yaml *value = pawl_yaml_get(r->node, key);
    const pawl_yaml *place = value != NULL ? value : r->node;
    PAWL_STRBUF_AUTO(message);
    va_list args;

    if (place == NULL)
        return;
    va_start(args, fmt);
    pawl_strbuf_vaddf(&message, fmt, args);
    va_end(args);
    pawl_problems_add(r->problems, place->file, place->line, place->column, hint, "%s", message.data);
}

static void
expected(pawl_reader *r, const char *key, const pawl_yaml *value, const char *hint, const char *what)
{
    char shown[EXCERPT + 8];

    pawl_problems_add(r->problems, value->file, value->line, value->column, hint,
                      "%s: \"%s\" must be %s, not %s", r->what, key, what, excerpt(value, shown));
}

/* The scalar under `key`, or NULL: missing, or reported as no scalar. */
static const pawl_yaml *
scalar(pawl_reader *r, const char *key, const char *what, const char *hint)
{
    const pawl_yaml *value = pawl_yaml_get(r->node, key);

    if (value == NULL)
        return NULL;
    if (value->kind != PAWL_YAML_SCALAR || value->is_null)
    {
        expected(r, key, value, hint, what);
        return NULL;
    }
    return value;
}

bool
pawl_reader_has_text(pawl_reader *r, const char *key, const char **out)
{
    const pawl_yaml *value = scalar(r, key, "text", NULL);

    if (value == NULL)
        return false;
    *out = value->text;
    return true;
}

bool
pawl_reader_has_sql(pawl_reader *r, const char *key, const char **out)
{
    const pawl_yaml *value = scalar(r, key, "SQL", NULL);

    if (value == NULL)
        return false;
    if (value->is_cut)
    {
        pawl_problems_add(
            r->problems, value->file, value->line, value->column,
            "put the SQL in quotes, or write it as a block: KEY: |; or move the comment to its own line",
            "%s: the SQL under \"%s\" ends before \" #\", where YAML begins a comment", r->what, key);
        return false;
    }
    if (value->text[strspn(value->text, " \t\r\n")] == '\0')
    {
        expected(r, key, value, NULL, "SQL");
        return false;
    }
    *out = value->text;
    return true;
}

bool
pawl_reader_has_bool(pawl_reader *r, const char *key, bool *out)
{
    static const char *const words[] = {"false", "true", NULL};
    const pawl_yaml *value = scalar(r, key, "true or false", NULL);
    size_t word = 0;

    if (value == NULL)
        return false;
    if (!has_word(value->text, words, &word))
    {
        expected(r, key, value, "only the words true and false are read as such, not yes, on or 1",
                 "true or false");
        return false;
    }
    *out = word == 1;
    return true;
}

bool
pawl_reader_has_i64(pawl_reader *r, const char *key, int64_t min, int64_t max, int64_t *out)
{
    const pawl_yaml *value = scalar(r, key, "a whole number", NULL);
    char what[80];
    int64_t n = 0;

    if (value == NULL)
        return false;
    if (!pawl_has_i64(value->text, &n) || n < min || n > max)
    {
        if (max == INT64_MAX)
            pawl_fmt(what, sizeof what, "a whole number, %" PRId64 " or more", min);
        else
            pawl_fmt(what, sizeof what, "a whole number from %" PRId64 " to %" PRId64, min, max);
        expected(r, key, value, NULL, what);
        return false;
    }
    *out = n;
    return true;
}

bool
pawl_reader_has_duration_ms(pawl_reader *r, const char *key, int64_t *out_ms)
{
    const char *hint = "for example: 250ms, 1.5s, 30min, 2h, 1d";
    const pawl_yaml *value = scalar(r, key, "a duration", hint);
    int64_t ms = 0;

    if (value == NULL)
        return false;
    if (!pawl_has_duration_ms(value->text, &ms))
    {
        expected(r, key, value, hint, "a duration");
        return false;
    }
    *out_ms = ms;
    return true;
}

bool
pawl_reader_has_word(pawl_reader *r, const char *key, const char *const *words, size_t *out)
{
    PAWL_STRBUF_AUTO(hint);
    PAWL_STRBUF_AUTO(what);
    const pawl_yaml *value;

    pawl_strbuf_add(&what, words[1] == NULL ? "" : "one of ");
    join_words(words, &what);
    value = scalar(r, key, what.data, NULL);
    if (value == NULL)
        return false;
    if (!has_word(value->text, words, out))
    {
        const char *nearest = pawl_units_nearest(value->text, words, count_words(words));

        if (nearest != NULL)
            pawl_strbuf_addf(&hint, "did you mean \"%s\"?", nearest);
        expected(r, key, value, nearest == NULL ? NULL : hint.data, what.data);
        return false;
    }
    return true;
}

bool
pawl_reader_has_list(pawl_reader *r, const char *key, const char ***out, size_t *count)
{
    const pawl_yaml *value = pawl_yaml_get(r->node, key);
    const pawl_yaml *const *items;
    const char **list;
    size_t n;
    bool is_right = true;

    if (value == NULL)
        return false;
    if (value->kind == PAWL_YAML_MAPPING || value->is_null)
    {
        expected(r, key, value, "an empty list is written []", "a list of texts");
        return false;
    }
    items = value->kind == PAWL_YAML_SEQUENCE ? (const pawl_yaml *const *) value->items : &value;
    n = value->kind == PAWL_YAML_SEQUENCE ? value->length : 1;
    list = pawl_arena_array(r->arena, n, sizeof *list);
    if (list == NULL)
    {
        pawl_reader_problem(r, key, NULL, "out of memory for the list under \"%s\"", key);
        return false;
    }
    for (size_t i = 0; i < n; i++)
    {
        if (items[i]->kind != PAWL_YAML_SCALAR || items[i]->is_null)
        {
            expected(r, key, items[i], NULL, "a list of texts");
            is_right = false;
        }
        list[i] = items[i]->text;
    }
    if (!is_right)
        return false;
    *out = list;
    *count = n;
    return true;
}
