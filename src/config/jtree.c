#include "config/jtree.h"

#include <string.h>

#include "config/utf8.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    MOST_DEPTH = 1000 /* of a definition that the server takes: 200 operands in a row, and more */
};

typedef struct parser
{
    const char *file;
    const char *at;
    const char *line_start;
    int line;
    int depth;
    pawl_arena *arena;
    pawl_error *err;
} parser;

const char *
pawl_jkind_name(pawl_jkind kind)
{
    static const char *const names[] = {"null", "a boolean", "a number", "a string", "an array", "an object"};

    return names[kind];
}

static pawl_status
refuse(parser *p, const char *expected)
{
    char found[16] = "the end";

    if ((unsigned char) *p->at >= ' ')
    {
        int length = 1;

        while (pawl_utf8_is_tail(p->at[length]))
            length++;
        pawl_fmt(found, sizeof found, "\"%.*s\"", length, p->at);
    }
    else if (*p->at != '\0')
        pawl_fmt(found, sizeof found, "byte %02x", (unsigned int) (unsigned char) *p->at);
    (void) pawl_error_set(p->err, PAWL_E_INPUT, "this is no JSON: %s was expected, not %s", expected, found);
    return pawl_error_place(p->err, p->file, p->line, (int) (p->at - p->line_start) + 1);
}

static void
skip_space(parser *p)
{
    for (; *p->at == ' ' || *p->at == '\t' || *p->at == '\n' || *p->at == '\r'; p->at++)
    {
        if (*p->at != '\n')
            continue;
        p->line++;
        p->line_start = p->at + 1;
    }
}

static pawl_status parse_value(parser *p, pawl_jnode **out);

/* ---- strings ------------------------------------------------------------------------------------------------------- */

static bool
has_hex4(const char *at, uint32_t *out)
{
    uint32_t n = 0;

    for (int i = 0; i < 4; i++)
    {
        char c = at[i];
        uint32_t digit = c >= '0' && c <= '9'   ? (uint32_t) (c - '0')
                         : c >= 'a' && c <= 'f' ? (uint32_t) (c - 'a') + 10
                         : c >= 'A' && c <= 'F' ? (uint32_t) (c - 'A') + 10
                                                : 16;

        if (digit == 16)
            return false;
        n = n * 16 + digit;
    }
    *out = n;
    return true;
}

static void
add_utf8(pawl_strbuf *b, uint32_t c)
{
    if (c < 0x80)
        pawl_strbuf_addc(b, (char) c);
    else if (c < 0x800)
    {
        pawl_strbuf_addc(b, (char) (0xC0 | c >> 6));
        pawl_strbuf_addc(b, (char) (0x80 | (c & 0x3F)));
    }
    else
    {
        if (c < 0x10000)
            pawl_strbuf_addc(b, (char) (0xE0 | c >> 12));
        else
        {
            pawl_strbuf_addc(b, (char) (0xF0 | c >> 18));
            pawl_strbuf_addc(b, (char) (0x80 | (c >> 12 & 0x3F)));
        }
        pawl_strbuf_addc(b, (char) (0x80 | (c >> 6 & 0x3F)));
        pawl_strbuf_addc(b, (char) (0x80 | (c & 0x3F)));
    }
}

/* Behind the "u" of an escape. */
static pawl_status
parse_unicode(parser *p, pawl_strbuf *b)
{
    uint32_t c = 0;
    uint32_t low = 0;

    if (!has_hex4(p->at, &c))
        return refuse(p, "four hexadecimal digits");
    if (c == 0)
        return refuse(p, "a character that PostgreSQL can hold, and \\u0000 is none,");
    p->at += 4;
    if (c >= 0xD800 && c < 0xDC00)
    {
        if (p->at[0] != '\\' || p->at[1] != 'u' || !has_hex4(p->at + 2, &low) || low < 0xDC00 || low > 0xDFFF)
            return refuse(p, "the second half of a surrogate pair");
        p->at += 6;
        c = 0x10000 + ((c - 0xD800) << 10) + (low - 0xDC00);
    }
    else if (c >= 0xDC00 && c <= 0xDFFF)
        return refuse(p, "the first half of a surrogate pair before");
    add_utf8(b, c);
    return PAWL_OK;
}

static pawl_status
parse_escape(parser *p, pawl_strbuf *b)
{
    static const char letters[] = "\"\\/bfnrt";
    static const char meanings[] = "\"\\/\b\f\n\r\t";
    const char *found = *p->at == '\0' ? NULL : strchr(letters, *p->at);

    if (*p->at == 'u')
    {
        p->at++;
        return parse_unicode(p, b);
    }
    if (found == NULL)
        return refuse(p, "an escape of JSON");
    pawl_strbuf_addc(b, meanings[found - letters]);
    p->at++;
    return PAWL_OK;
}

static pawl_status
parse_string(parser *p, const char **out)
{
    PAWL_STRBUF_AUTO(b);
    pawl_status st = PAWL_OK;

    p->at++;
    while (st == PAWL_OK && *p->at != '"')
    {
        if ((unsigned char) *p->at < ' ')
            return refuse(p, "the end of a string");
        if (*p->at == '\\')
        {
            p->at++;
            st = parse_escape(p, &b);
        }
        else
            pawl_strbuf_addc(&b, *p->at++);
    }
    if (st != PAWL_OK)
        return st;
    p->at++;
    *out = pawl_arena_strndup(p->arena, b.data, b.length);
    return *out == NULL || !pawl_strbuf_is_ok(&b) ? pawl_error_nomem(p->err, "a JSON text") : PAWL_OK;
}

/* ---- numbers and words --------------------------------------------------------------------------------------------- */

static bool
has_digits(const char **at)
{
    const char *start = *at;

    while (**at >= '0' && **at <= '9')
        (*at)++;
    return *at > start;
}

static pawl_status
parse_number(parser *p, pawl_jnode *node)
{
    const char *start = p->at;

    if (*p->at == '-')
        p->at++;
    if (*p->at == '0' && p->at[1] >= '0' && p->at[1] <= '9')
        return refuse(p, "a number without leading zeros");
    if (!has_digits(&p->at))
        return refuse(p, "a value");
    if (*p->at == '.')
    {
        p->at++;
        if (!has_digits(&p->at))
            return refuse(p, "a digit behind the point");
    }
    if (*p->at == 'e' || *p->at == 'E')
    {
        p->at += p->at[1] == '+' || p->at[1] == '-' ? 2 : 1;
        if (!has_digits(&p->at))
            return refuse(p, "a digit of the exponent");
    }
    node->kind = PAWL_JNUMBER;
    node->text = pawl_arena_strndup(p->arena, start, (size_t) (p->at - start));
    return node->text == NULL ? pawl_error_nomem(p->err, "a JSON text") : PAWL_OK;
}

static pawl_status
parse_word(parser *p, pawl_jnode *node)
{
    static const struct
    {
        const char *word;
        pawl_jkind kind;
    } words[] = {{"null", PAWL_JNULL}, {"true", PAWL_JBOOL}, {"false", PAWL_JBOOL}};

    for (size_t i = 0; i < 3; i++)
    {
        if (strncmp(p->at, words[i].word, strlen(words[i].word)) != 0)
            continue;
        node->kind = words[i].kind;
        node->text = words[i].word;
        p->at += strlen(words[i].word);
        return PAWL_OK;
    }
    return parse_number(p, node);
}

/* ---- arrays and objects -------------------------------------------------------------------------------------------- */

static pawl_status
grow(parser *p, pawl_jnode *node, size_t *capacity)
{
    size_t wanted = *capacity == 0 ? 8 : *capacity * 2;
    const char **keys;
    pawl_jnode **items;

    if (node->length < *capacity)
        return PAWL_OK;
    keys = pawl_arena_array(p->arena, wanted, sizeof(const char *));
    items = pawl_arena_array(p->arena, wanted, sizeof(pawl_jnode *));
    if (keys == NULL || items == NULL)
        return pawl_error_nomem(p->err, "a JSON text");
    for (size_t i = 0; i < node->length; i++)
    {
        keys[i] = node->keys[i];
        items[i] = node->items[i];
    }
    node->keys = keys;
    node->items = items;
    *capacity = wanted;
    return PAWL_OK;
}

static pawl_status
parse_key(parser *p, pawl_jnode *node)
{
    const char *key = NULL;
    pawl_status st;

    skip_space(p);
    if (*p->at != '"')
        return refuse(p, "a key");
    st = parse_string(p, &key);
    if (st != PAWL_OK)
        return st;
    for (size_t i = 0; i < node->length; i++)
        if (strcmp(node->keys[i], key) == 0)
            return refuse(p, "another key (this one is there already)");
    skip_space(p);
    if (*p->at != ':')
        return refuse(p, "a colon");
    p->at++;
    node->keys[node->length] = key;
    return PAWL_OK;
}

static pawl_status
parse_container(parser *p, pawl_jnode *node)
{
    bool is_object = *p->at == '{';
    char end = is_object ? '}' : ']';
    size_t capacity = 0;

    node->kind = is_object ? PAWL_JOBJECT : PAWL_JARRAY;
    if (++p->depth > MOST_DEPTH)
        return refuse(p, "less nesting");
    p->at++;
    skip_space(p);
    while (*p->at != end)
    {
        pawl_status st = grow(p, node, &capacity);

        if (st != PAWL_OK || (is_object && (st = parse_key(p, node)) != PAWL_OK) ||
            (st = parse_value(p, &node->items[node->length])) != PAWL_OK)
            return st;
        node->length++;
        skip_space(p);
        if (*p->at != ',' && *p->at != end)
            return refuse(p, is_object ? "a comma or \"}\"" : "a comma or \"]\"");
        if (*p->at != ',')
            continue;
        p->at++;
        skip_space(p);
        if (*p->at == end)
            return refuse(p, "a value");
    }
    p->at++;
    p->depth--;
    return PAWL_OK;
}

static pawl_status
parse_value(parser *p, pawl_jnode **out)
{
    pawl_jnode *node = pawl_arena_alloc(p->arena, sizeof *node);
    pawl_status st;

    if (node == NULL)
        return pawl_error_nomem(p->err, "a JSON text");
    skip_space(p);
    *node =
        (pawl_jnode){.line = p->line, .column = (int) (p->at - p->line_start) + 1, .raw = p->at, .text = ""};
    if (*p->at == '{' || *p->at == '[')
        st = parse_container(p, node);
    else if (*p->at == '"')
    {
        node->kind = PAWL_JSTRING;
        st = parse_string(p, &node->text);
    }
    else
        st = parse_word(p, node);
    if (st != PAWL_OK)
        return st;
    node->raw_length = (size_t) (p->at - node->raw);
    *out = node;
    return PAWL_OK;
}

pawl_status
pawl_jtree_parse(const char *text, const char *file, pawl_arena *arena, pawl_jnode **out, pawl_error *err)
{
    parser p = {.file = file, .at = text, .line_start = text, .line = 1, .arena = arena, .err = err};
    pawl_jnode *root = NULL;
    pawl_status st = parse_value(&p, &root);

    if (st != PAWL_OK)
        return st;
    skip_space(&p);
    if (*p.at != '\0')
        return refuse(&p, "the end");
    *out = root;
    return PAWL_OK;
}

/* ---- questions ----------------------------------------------------------------------------------------------------- */

const pawl_jnode *
pawl_jtree_get(const pawl_jnode *node, const char *key)
{
    for (size_t i = 0; node->kind == PAWL_JOBJECT && i < node->length; i++)
        if (strcmp(node->keys[i], key) == 0)
            return node->items[i];
    return NULL;
}

bool
pawl_jtree_is_equal(const pawl_jnode *a, const pawl_jnode *b)
{
    if (a->kind != b->kind || a->length != b->length || strcmp(a->text, b->text) != 0)
        return false;
    for (size_t i = 0; i < a->length; i++)
    {
        const pawl_jnode *other = a->kind == PAWL_JARRAY ? b->items[i] : pawl_jtree_get(b, a->keys[i]);

        if (other == NULL || !pawl_jtree_is_equal(a->items[i], other))
            return false;
    }
    return true;
}
