#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "lua/buf.h"
#include "lua/decimal.h"
#include "lua/json.h"
#include "lua/keys.h"
#include "lua/state.h"
#include "lua/value.h"

#include "util/banned.h"

#define DIMENSIONS_MAX 6 /* as in PostgreSQL */

typedef struct reader
{
    lua_State *L;
    const pawl_column *column;
    const char *at;
    const char *end;
    int depth;
} reader;

_Noreturn static void
fail(reader *r)
{
    pawl_state_raise(r->L, NULL, "column \"%s\" (%s): the text of its array cannot be read", r->column->name,
                     r->column->type_name);
}

/* Pushes the element; r->at is behind its opening quote. */
static void
read_quoted(reader *r)
{
    lua_State *L = r->L;
    pawl_lua_buf b;
    pawl_lua_value text;

    pawl_lua_buf_init(&b, L);
    while (r->at < r->end && *r->at != '"')
    {
        if (*r->at == '\\')
            r->at++;
        if (r->at == r->end)
            fail(r);
        pawl_lua_buf_addc(&b, *r->at++);
    }
    if (r->at == r->end)
        fail(r);
    r->at++;
    text = (pawl_lua_value){b.data, b.length};
    pawl_scalar_push(L, r->column, r->column->element, text);
    lua_replace(L, b.slot);
    lua_settop(L, b.slot);
}

static void
read_plain(reader *r)
{
    const char *from = r->at;
    size_t length;

    while (r->at < r->end && *r->at != r->column->delimiter && *r->at != '}')
        r->at++;
    length = (size_t) (r->at - from);
    if (length == 0)
        fail(r);
    if (length == 4 && strncasecmp(from, "NULL", 4) == 0)
        pawl_null_push(r->L);
    else
        pawl_scalar_push(r->L, r->column, r->column->element, (pawl_lua_value){from, length});
}

/* Pushes a table; r->at is at its opening brace. */
static void
read_braces(reader *r)
{
    lua_State *L = r->L;
    lua_Integer count = 0;

    if (r->at == r->end || *r->at != '{' || ++r->depth > DIMENSIONS_MAX)
        fail(r);
    luaL_checkstack(L, 8, "an array");
    lua_newtable(L);
    r->at++;
    while (r->at < r->end && *r->at != '}')
    {
        if (*r->at == '{')
            read_braces(r);
        else if (*r->at == '"')
        {
            r->at++;
            read_quoted(r);
        }
        else
            read_plain(r);
        lua_rawseti(L, -2, ++count);
        if (r->at < r->end && *r->at == r->column->delimiter)
            r->at++;
        else if (r->at < r->end && *r->at != '}')
            fail(r);
    }
    if (r->at == r->end)
        fail(r);
    r->at++;
    r->depth--;
    lua_pushliteral(L, "n");
    lua_pushinteger(L, count);
    lua_rawset(L, -3);
}

/* Lower bounds from a prefix "[0:2][1:3]=". Returns the number of dimensions named, 0 without a prefix. */
static int
read_bounds(const char **at, const char *end, long lower[DIMENSIONS_MAX])
{
    int count = 0;

    while (*at < end && **at == '[' && count < DIMENSIONS_MAX)
    {
        lower[count++] = strtol(*at + 1, NULL, 10);
        while (*at < end && **at != ']')
            (*at)++;
        if (*at < end)
            (*at)++;
    }
    if (*at < end && **at == '=')
        (*at)++;
    return count;
}

void
pawl_array_push(lua_State *L, const pawl_column *column, pawl_lua_value text)
{
    reader r = {.L = L, .column = column, .at = text.data, .end = text.data + text.length};
    long lower[DIMENSIONS_MAX];

    (void) read_bounds(&r.at, r.end, lower);
    read_braces(&r);
    if (r.at != r.end)
        fail(&r);
    pawl_state_charge(L, (int64_t) (text.length / 16));
}

/* Compare two values of Lua in depth; the second is freshly read and cannot contain itself. */
static bool
is_same(lua_State *L, int a, int b)
{
    const char *left;
    const char *right;
    size_t left_length;
    size_t right_length;
    lua_Integer count = 0;

    a = lua_absindex(L, a);
    b = lua_absindex(L, b);
    left = pawl_decimal_text(L, a, &left_length);
    right = pawl_decimal_text(L, b, &right_length);
    if (left != NULL && right != NULL)
        return left_length == right_length && memcmp(left, right, left_length) == 0;
    if (!lua_istable(L, a) || !lua_istable(L, b))
        return lua_type(L, a) == lua_type(L, b) && lua_rawequal(L, a, b) != 0 &&
               (lua_type(L, a) != LUA_TNUMBER || lua_isinteger(L, a) == lua_isinteger(L, b));
    luaL_checkstack(L, 6, "an array");
    lua_pushnil(L);
    while (lua_next(L, b) != 0)
    {
        bool is_equal;

        lua_pushvalue(L, -2);
        (void) lua_rawget(L, a);
        is_equal = is_same(L, -1, -2);
        lua_pop(L, 2);
        if (!is_equal)
        {
            lua_pop(L, 1);
            return false;
        }
        count++;
    }
    lua_pushnil(L);
    while (lua_next(L, a) != 0)
    {
        lua_pop(L, 1);
        count--;
    }
    return count == 0;
}

typedef struct writer
{
    lua_State *L;
    const pawl_column *column;
    pawl_lua_buf out;
    int dimensions;
    lua_Integer size[DIMENSIONS_MAX];
} writer;

_Noreturn static void
refuse(writer *w, const char *hint, const char *why)
{
    pawl_state_raise(w->L, hint, "column \"%s\" (%s): %s", w->column->name, w->column->type_name, why);
}

static lua_Integer
length_of(writer *w, int index)
{
    lua_Integer length;

    if (!lua_istable(w->L, index))
        refuse(w, NULL, "an array of several dimensions has an element that is no table");
    length = pawl_keys_sequence(w->L, index);
    if (length < 0)
        refuse(w, "NULL is pawl.null", "an array is a sequence 1..n without holes or other keys");
    return length;
}

/* How deep the first elements nest, and how long they are. */
static void
measure(writer *w, int index, int at_most)
{
    lua_State *L = w->L;
    int top = lua_gettop(L);

    lua_pushvalue(L, index);
    for (w->dimensions = 0; w->dimensions < at_most && lua_istable(L, -1); w->dimensions++)
    {
        w->size[w->dimensions] = length_of(w, lua_gettop(L));
        (void) lua_rawgeti(L, -1, 1);
    }
    if (lua_istable(L, -1) && w->column->element != PAWL_KIND_JSON)
        refuse(w, NULL, "an array has at most 6 dimensions");
    lua_settop(L, top);
}

static bool
needs_quotes(const pawl_column *column, pawl_lua_value text)
{
    if (text.length == 0 || (text.length == 4 && strncasecmp(text.data, "NULL", 4) == 0))
        return true;
    for (size_t i = 0; i < text.length; i++)
    {
        char c = text.data[i];

        if (c == '"' || c == '\\' || c == '{' || c == '}' || c == column->delimiter || c == ' ' ||
            (c >= '\t' && c <= '\r'))
            return true;
    }
    return false;
}

static void
write_element(writer *w, int index)
{
    lua_State *L = w->L;
    char scratch[PAWL_SCRATCH_BYTES];
    pawl_lua_value text;

    if (pawl_null_is(L, index))
    {
        pawl_lua_buf_add(&w->out, "NULL");
        return;
    }
    if (w->column->element == PAWL_KIND_JSON)
    {
        pawl_json_take(L, index, w->column->name, (pawl_lua_value){0});
        text.data = lua_tolstring(L, -1, &text.length);
    }
    else
        text = pawl_scalar_take(L, index, w->column, w->column->element, scratch);
    if (!needs_quotes(w->column, text))
    {
        pawl_lua_buf_addn(&w->out, text.data, text.length);
        return;
    }
    pawl_lua_buf_addc(&w->out, '"');
    for (size_t i = 0; i < text.length; i++)
    {
        if (text.data[i] == '"' || text.data[i] == '\\')
            pawl_lua_buf_addc(&w->out, '\\');
        pawl_lua_buf_addc(&w->out, text.data[i]);
    }
    pawl_lua_buf_addc(&w->out, '"');
}

static void
write_braces(writer *w, int index, int dimension)
{
    lua_State *L = w->L;
    lua_Integer length = length_of(w, index);

    luaL_checkstack(L, 8, "an array");
    if (length != w->size[dimension])
        refuse(w, NULL, "the parts of an array of several dimensions differ in length");
    pawl_lua_buf_addc(&w->out, '{');
    for (lua_Integer i = 1; i <= length; i++)
    {
        int top = lua_gettop(L);

        if (i > 1)
            pawl_lua_buf_addc(&w->out, w->column->delimiter);
        (void) lua_rawgeti(L, index, i);
        if (dimension + 1 < w->dimensions)
            write_braces(w, top + 1, dimension + 1);
        else
            write_element(w, top + 1);
        lua_settop(L, top);
    }
    pawl_lua_buf_addc(&w->out, '}');
}

/* The bounds as read, when the array still has as many dimensions. */
static void
write_bounds(writer *w, const long *lower, int count)
{
    bool is_plain = true;

    for (int i = 0; i < count; i++)
        is_plain = is_plain && lower[i] == 1;
    if (count != w->dimensions || is_plain)
        return;
    for (int i = 0; i < count; i++)
    {
        char text[PAWL_SCRATCH_BYTES];

        pawl_lua_buf_addc(&w->out, '[');
        pawl_lua_buf_addn(&w->out, text, pawl_int_format(lower[i], text));
        pawl_lua_buf_addc(&w->out, ':');
        pawl_lua_buf_addn(&w->out, text, pawl_int_format(lower[i] + w->size[i] - 1, text));
        pawl_lua_buf_addc(&w->out, ']');
    }
    pawl_lua_buf_addc(&w->out, '=');
}

static bool
is_untouched(lua_State *L, int index, const pawl_source *source)
{
    bool is_equal;

    pawl_array_push(L, source->column, source->text);
    is_equal = is_same(L, index, -1);
    lua_pop(L, 1);
    return is_equal;
}

/* An array of json cannot be measured: its elements may be tables too. */
static int
depth_of(const char *text, const char *end)
{
    int depth = 0;

    while (text < end && *text++ == '{')
        depth++;
    return depth > 0 ? depth : 1;
}

void
pawl_array_take(lua_State *L, int index, const pawl_column *column, const pawl_source *source)
{
    writer w = {.L = L, .column = column};
    long lower[DIMENSIONS_MAX];
    int bounds = 0;
    int at_most = column->element == PAWL_KIND_JSON ? 1 : DIMENSIONS_MAX;
    bool has_source = source != NULL && source->column->kind == PAWL_KIND_ARRAY &&
                      source->column->element == column->element;

    index = lua_absindex(L, index);
    luaL_checkstack(L, 12, "an array");
    if (has_source && is_untouched(L, index, source))
    {
        lua_pushlstring(L, source->text.data, source->text.length);
        return;
    }
    if (has_source)
    {
        const char *at = source->text.data;

        bounds = read_bounds(&at, at + source->text.length, lower);
        if (column->element == PAWL_KIND_JSON)
            at_most = depth_of(at, source->text.data + source->text.length);
    }
    measure(&w, index, at_most);
    pawl_lua_buf_init(&w.out, L);
    if (w.size[0] == 0)
        pawl_lua_buf_add(&w.out, "{}");
    else
    {
        write_bounds(&w, lower, bounds);
        write_braces(&w, index, 0);
    }
    pawl_lua_buf_push(&w.out);
    lua_replace(L, w.out.slot);
    lua_settop(L, w.out.slot);
}
