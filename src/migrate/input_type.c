/* The part of input.h that knows types. */
#include <string.h>

#include "migrate/input.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

/* What differs from a text on the way through Lua; every other type is a text there. */
static const struct
{
    const char *name;
    uint32_t oid;
} types[] = {
    {"bool", 16},
    {"boolean", 16},
    {"bytea", 17},
    {"int8", 20},
    {"bigint", 20},
    {"int2", 21},
    {"smallint", 21},
    {"int4", 23},
    {"int", 23},
    {"integer", 23},
    {"oid", 26},
    {"json", 114},
    {"jsonb", 3802},
    {"float4", 700},
    {"real", 700},
    {"float8", 701},
    {"float", 701},
    {"numeric", 1700},
    {"decimal", 1700},
    {"text", 25},
    {"varchar", 25},
    {"char", 25},
    {"character", 25},
    {"bpchar", 25},
    {"name", 25},
    {"citext", 25},
    {"uuid", 25},
    {"date", 25},
    {"time", 25},
    {"timetz", 25},
    {"timestamp", 25},
    {"timestamptz", 25},
    {"interval", 25},
    {"xml", 25},
    {"inet", 25},
    {"cidr", 25},
    {"macaddr", 25},
    {"money", 25},
    {"bit", 25},
    {"varbit", 25},
    {"tsvector", 25},
    {"point", 25},
    {"double precision", 701},
    {"character varying", 25},
    {"time with time zone", 25},
    {"time without time zone", 25},
    {"timestamp with time zone", 25},
    {"timestamp without time zone", 25},
};

/* "Numeric (10,2)[]" -> "numeric", is_array. */
static void
strip(const char *name, char *out, size_t size, bool *is_array)
{
    size_t n = 0;
    int depth = 0;

    *is_array = false;
    for (const char *at = name; *at != '\0' && n < size - 1; at++)
    {
        depth += *at == '(' ? 1 : 0;
        if (*at == '[')
            *is_array = true;
        if (depth == 0 && *at != '[' && *at != ']' && (*at != ' ' || (n > 0 && out[n - 1] != ' ')))
            out[n++] = *at >= 'A' && *at <= 'Z' ? (char) (*at - 'A' + 'a') : *at;
        depth -= *at == ')' ? 1 : 0;
    }
    while (n > 0 && out[n - 1] == ' ')
        n--;
    out[n] = '\0';
}

bool
pawl_input_has_type(const char *name, pawl_lua_column *column)
{
    const uint32_t any_array = 2277;
    char plain[64];
    bool is_array = false;

    strip(name, plain, sizeof plain, &is_array);
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
    {
        if (strcmp(types[i].name, plain) != 0)
            continue;
        column->type_name = name;
        column->type = is_array ? any_array : types[i].oid;
        column->element = is_array ? types[i].oid : 0;
        return true;
    }
    return false;
}

const char *
pawl_input_guess(const pawl_jnode *value, const char *so_far)
{
    static const char *const stronger[] = {"", "boolean", "bigint", "numeric", "text", "jsonb"};
    const char *type = "";
    size_t a = 0;
    size_t b = 0;
    int64_t ignored = 0;

    switch (value->kind)
    {
        case PAWL_JNULL:
            return so_far;
        case PAWL_JBOOL:
            type = "boolean";
            break;
        case PAWL_JNUMBER:
            type = pawl_has_i64(value->text, &ignored) ? "bigint" : "numeric";
            break;
        case PAWL_JSTRING:
            type = "text";
            break;
        case PAWL_JARRAY:
        case PAWL_JOBJECT:
            type = "jsonb";
            break;
    }
    for (size_t i = 0; i < sizeof stronger / sizeof stronger[0]; i++)
    {
        a = strcmp(stronger[i], type) == 0 ? i : a;
        b = strcmp(stronger[i], so_far) == 0 ? i : b;
    }
    return stronger[a > b ? a : b];
}

/* An element between quotes, so that nothing in it means anything. */
static void
add_quoted(pawl_strbuf *b, const char *text)
{
    pawl_strbuf_addc(b, '"');
    for (const char *at = text; *at != '\0'; at++)
    {
        if (*at == '"' || *at == '\\')
            pawl_strbuf_addc(b, '\\');
        pawl_strbuf_addc(b, *at);
    }
    pawl_strbuf_addc(b, '"');
}

static void
add_array(pawl_strbuf *b, const pawl_jnode *value, const pawl_lua_column *column)
{
    pawl_strbuf_addc(b, '{');
    for (size_t i = 0; i < value->length; i++)
    {
        const pawl_jnode *item = value->items[i];

        if (i > 0)
            pawl_strbuf_addc(b, ',');
        switch (item->kind)
        {
            case PAWL_JNULL:
                pawl_strbuf_add(b, "NULL");
                break;
            case PAWL_JARRAY:
                add_array(b, item, column);
                break;
            case PAWL_JBOOL:
                pawl_strbuf_add(b, column->element == 16 ? (item->text[0] == 't' ? "t" : "f") : item->text);
                break;
            case PAWL_JNUMBER:
                pawl_strbuf_add(b, item->text);
                break;
            case PAWL_JSTRING:
                add_quoted(b, item->text);
                break;
            case PAWL_JOBJECT:
                break; /* refused before */
        }
    }
    pawl_strbuf_addc(b, '}');
}

static bool
has_object(const pawl_jnode *value)
{
    for (size_t i = 0; i < value->length; i++)
        if (value->items[i]->kind == PAWL_JOBJECT ||
            (value->items[i]->kind == PAWL_JARRAY && has_object(value->items[i])))
            return true;
    return false;
}

static pawl_status
refuse(const pawl_jnode *value, const pawl_lua_column *column, const char *file, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_INPUT, "column \"%s\" (%s) cannot be %s", column->name,
                          column->type_name, pawl_jkind_name(value->kind));
    (void) pawl_error_place(err, file, value->line, value->column);
    return pawl_error_hint(err, "the types of columns are said with --types, or with \"types\" in the file");
}

pawl_status
pawl_input_text(const pawl_jnode *value, const pawl_lua_column *column, const char *file, pawl_arena *arena,
                const char **out, pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);
    bool is_json = column->element == 0 && (column->type == 114 || column->type == 3802);
    bool is_any = column->type == PAWL_LUA_ANY;

    if (value->kind == PAWL_JNULL)
    {
        *out = NULL;
        return PAWL_OK;
    }
    if (is_json || (is_any && (value->kind == PAWL_JARRAY || value->kind == PAWL_JOBJECT)))
        pawl_strbuf_addn(&text, value->raw, value->raw_length);
    else if (value->kind == PAWL_JARRAY && column->element != 0 && !has_object(value))
        add_array(&text, value, column);
    else if (value->kind == PAWL_JARRAY || value->kind == PAWL_JOBJECT)
        return refuse(value, column, file, err);
    else if (value->kind == PAWL_JBOOL && (column->type == 16 || is_any))
        pawl_strbuf_addn(&text, value->text, 1);
    else
        pawl_strbuf_add(&text, value->text);
    *out = pawl_arena_strndup(arena, text.data, text.length);
    return *out == NULL || !pawl_strbuf_is_ok(&text) ? pawl_error_nomem(err, "the rows of an input")
                                                     : PAWL_OK;
}
