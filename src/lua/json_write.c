#include <math.h>
#include <string.h>

#include "lua/buf.h"
#include "lua/decimal.h"
#include "lua/json.h"
#include "lua/keys.h"
#include "lua/state.h"

#include "util/banned.h"

#define DEPTH_MAX 200

/* Part of the source text, valid JSON; data NULL: there is none. */
typedef struct span
{
    const char *data;
    const char *end;
} span;

typedef struct writer
{
    lua_State *L;
    const char *what;
    pawl_lua_buf out;
    int depth;
} writer;

static const char *
past_space(const char *p, const char *end)
{
    while (p < end && (*p == ' ' || *p == '\t' || *p == '\n' || *p == '\r'))
        p++;
    return p;
}

static const char *
past_string(const char *p, const char *end)
{
    for (p++; p < end && *p != '"'; p++)
    {
        if (*p == '\\')
            p++;
    }
    return p < end ? p + 1 : end;
}

/* The source is known to be valid, so brackets outside of strings balance. */
static const char *
past_value(const char *p, const char *end)
{
    int depth = 0;

    while (p < end)
    {
        if (*p == '"')
        {
            p = past_string(p, end);
            if (depth == 0)
                return p;
            continue;
        }
        if (depth == 0 && (*p == ',' || *p == ']' || *p == '}' || *p == ':' || *p == ' ' || *p == '\t' ||
                           *p == '\n' || *p == '\r'))
            return p;
        if (*p == '{' || *p == '[')
            depth++;
        else if ((*p == '}' || *p == ']') && --depth == 0)
            return p + 1;
        p++;
    }
    return p;
}

/* Take the next element's span after `*at` (past "[", "{" or ","); false at the closing bracket. */
static bool
has_next(const char **at, const char *end, span *out)
{
    const char *p = past_space(*at, end);

    if (p < end && *p == ',')
        p = past_space(p + 1, end);
    if (p >= end || *p == ']' || *p == '}')
        return false;
    out->data = p;
    out->end = past_value(p, end);
    *at = out->end;
    return true;
}

static void
write_string(writer *w, int index)
{
    static const char hex[] = "0123456789abcdef";
    size_t length;
    const char *s = lua_tolstring(w->L, index, &length);
    const char *end = s + length;
    pawl_lua_buf *b = &w->out;

    pawl_lua_buf_addc(b, '"');
    while (s < end)
    {
        unsigned char c = (unsigned char) *s;
        size_t run = 0;

        while (s + run < end && s[run] != '"' && s[run] != '\\' && (unsigned char) s[run] >= 0x20 &&
               (unsigned char) s[run] != 0xed)
            run++;
        if (run > 0 || c == 0xed)
        {
            bool is_surrogate = run == 0 && end - s >= 3 && (unsigned char) s[1] >= 0xa0;

            if (run == 0 && !is_surrogate)
                run = end - s >= 3 ? 3 : (size_t) (end - s);
            if (is_surrogate)
            {
                unsigned code =
                    0xd000u | ((unsigned char) s[1] & 0x3fu) << 6 | ((unsigned char) s[2] & 0x3fu);

                pawl_lua_buf_add(b, "\\ud");
                pawl_lua_buf_addc(b, hex[code >> 8 & 15]);
                pawl_lua_buf_addc(b, hex[code >> 4 & 15]);
                pawl_lua_buf_addc(b, hex[code & 15]);
                s += 3;
                continue;
            }
            if (!pawl_text_is_valid(s, run))
                pawl_state_raise(w->L, NULL, "%s: a string in it is not valid UTF-8, which JSON needs",
                                 w->what);
            pawl_lua_buf_addn(b, s, run);
            s += run;
            continue;
        }
        pawl_lua_buf_addc(b, '\\');
        if (c == '"' || c == '\\')
            pawl_lua_buf_addc(b, (char) c);
        else if (c == '\n' || c == '\r' || c == '\t')
            pawl_lua_buf_addc(b, c == '\n' ? 'n' : c == '\r' ? 'r' : 't');
        else
        {
            pawl_lua_buf_add(b, "u00");
            pawl_lua_buf_addc(b, hex[c >> 4]);
            pawl_lua_buf_addc(b, hex[c & 15]);
        }
        s++;
    }
    pawl_lua_buf_addc(b, '"');
}

static void
write_number(writer *w, int index)
{
    char text[PAWL_SCRATCH_BYTES];
    size_t length;

    if (lua_isinteger(w->L, index))
    {
        length = pawl_int_format(lua_tointeger(w->L, index), text);
        pawl_lua_buf_addn(&w->out, text, length);
        return;
    }
    if (!isfinite(lua_tonumber(w->L, index)))
        pawl_state_raise(w->L, "write it as a string, or as pawl.null", "%s: JSON has no NaN and no infinity",
                         w->what);
    length = pawl_float_format(lua_tonumber(w->L, index), false, text);
    pawl_lua_buf_addn(&w->out, text, length);
    if (memchr(text, '.', length) == NULL && memchr(text, 'e', length) == NULL)
        pawl_lua_buf_add(&w->out, ".0");
}

static void
write_scalar(writer *w, int index)
{
    lua_State *L = w->L;
    size_t length;
    const char *decimal = pawl_decimal_text(L, index, &length);

    if (decimal != NULL)
        pawl_lua_buf_addn(&w->out, decimal, length);
    else if (pawl_null_is(L, index) || pawl_json_null_is(L, index))
        pawl_lua_buf_add(&w->out, "null");
    else if (lua_type(L, index) == LUA_TBOOLEAN)
        pawl_lua_buf_add(&w->out, lua_toboolean(L, index) ? "true" : "false");
    else if (lua_type(L, index) == LUA_TNUMBER)
        write_number(w, index);
    else if (lua_type(L, index) == LUA_TSTRING)
        write_string(w, index);
    else
        pawl_state_raise(L, NULL, "%s: JSON has nothing for a Lua %s", w->what, luaL_typename(L, index));
}

/* The value at `index` is what the source's scalar reads as. */
static bool
is_scalar_same(writer *w, int index, span source)
{
    lua_State *L = w->L;
    bool is_same;
    const char *own;
    const char *other;
    size_t own_length;
    size_t other_length;

    if (*source.data == '{' || *source.data == '[')
        return false;
    pawl_json_push(L, w->what, (pawl_lua_value){source.data, (size_t) (source.end - source.data)},
                   pawl_json_null_is(L, index));
    own = pawl_decimal_text(L, index, &own_length);
    other = pawl_decimal_text(L, -1, &other_length);
    if (own != NULL && other != NULL)
        is_same = own_length == other_length && memcmp(own, other, own_length) == 0;
    else
        is_same = lua_rawequal(L, index, -1) != 0 &&
                  (lua_type(L, index) != LUA_TNUMBER ||
                   signbit(lua_tonumber(L, index)) == signbit(lua_tonumber(L, -1)));
    lua_pop(L, 1);
    return is_same;
}

/* Each writes one value and returns true when it equals its source: then its own text may stand for it. */
static bool write_value(writer *w, int index, span source);

static bool
write_array(writer *w, int index, lua_Integer length, span source)
{
    const char *at = source.data == NULL ? NULL : source.data + 1;
    bool is_same = source.data != NULL;
    span element = {0};

    pawl_lua_buf_addc(&w->out, '[');
    for (lua_Integer i = 1; i <= length; i++)
    {
        if (i > 1)
            pawl_lua_buf_addc(&w->out, ',');
        if (at == NULL || !has_next(&at, source.end, &element))
        {
            element = (span){0};
            at = NULL;
            is_same = false;
        }
        (void) lua_rawgeti(w->L, index, i);
        if (!write_value(w, lua_gettop(w->L), element))
            is_same = false;
        lua_pop(w->L, 1);
    }
    if (at != NULL && has_next(&at, source.end, &element))
        is_same = false;
    pawl_lua_buf_addc(&w->out, ']');
    return is_same;
}

/* Push the key of the member at *at as a string and give its value's span; false at the end. */
static bool
has_member(writer *w, const char **at, span source, span *value)
{
    span key;

    if (!has_next(at, source.end, &key))
        return false;
    pawl_json_push(w->L, w->what, (pawl_lua_value){key.data, (size_t) (key.end - key.data)}, false);
    *at = past_space(*at, source.end) + 1; /* ":" */
    value->data = past_space(*at, source.end);
    value->end = past_value(value->data, source.end);
    *at = value->end;
    return true;
}

/* Push a table: key -> which of the source's members (from 1) is the last of that name. */
static void
push_last_members(writer *w, span source)
{
    const char *at = source.data == NULL ? NULL : source.data + 1;
    span value;

    lua_newtable(w->L);
    for (lua_Integer i = 1; at != NULL && has_member(w, &at, source, &value); i++)
    {
        lua_pushinteger(w->L, i);
        lua_rawset(w->L, -3);
    }
}

static void
write_member(writer *w, int key, int value, span source, bool *is_first, bool *is_same)
{
    if (!*is_first)
        pawl_lua_buf_addc(&w->out, ',');
    *is_first = false;
    write_string(w, key);
    pawl_lua_buf_addc(&w->out, ':');
    if (!write_value(w, value, source))
        *is_same = false;
}

/* The source's members in its order, without those that are gone or overridden. */
static bool
write_known_members(writer *w, int index, int last, span source, bool *is_first)
{
    lua_State *L = w->L;
    const char *at = source.data + 1;
    bool is_same = true;
    span value;

    for (lua_Integer i = 1; has_member(w, &at, source, &value); i++)
    {
        int key = lua_gettop(L);

        lua_pushvalue(L, key);
        (void) lua_rawget(L, last);
        if (lua_tointeger(L, -1) == i)
        {
            lua_pushvalue(L, key);
            if (lua_rawget(L, index) == LUA_TNIL)
                is_same = false;
            else
                write_member(w, key, lua_gettop(L), value, is_first, &is_same);
        }
        lua_settop(L, key - 1);
    }
    return is_same;
}

static bool
write_object(writer *w, int index, span source)
{
    lua_State *L = w->L;
    int last = lua_gettop(L) + 1;
    bool is_same = source.data != NULL;
    bool is_first = true;
    lua_Integer count;

    pawl_lua_buf_addc(&w->out, '{');
    push_last_members(w, source);
    if (source.data != NULL)
        is_same = write_known_members(w, index, last, source, &is_first);
    count = pawl_keys_push(L, index);
    for (lua_Integer i = 1; i <= count; i++)
    {
        if (lua_rawgeti(L, last + 1, i) != LUA_TSTRING)
            pawl_state_raise(
                L, "keys of a JSON object are strings; a JSON array is a sequence 1..n without holes",
                "%s: a table with a key that is a Lua %s is neither a JSON object nor an array", w->what,
                luaL_typename(L, -1));
        lua_pushvalue(L, -1);
        if (lua_rawget(L, last) == LUA_TNIL)
        {
            is_same = false;
            lua_pushvalue(L, last + 2);
            (void) lua_rawget(L, index);
            write_member(w, last + 2, last + 4, (span){0}, &is_first, &is_same);
        }
        lua_settop(L, last + 1);
    }
    lua_settop(L, last - 1);
    pawl_lua_buf_addc(&w->out, '}');
    return is_same;
}

/* Length of a table that is to be an array, or -1 for an object. */
static lua_Integer
array_length(writer *w, int index)
{
    lua_State *L = w->L;
    bool is_marked = false;
    lua_Integer length;

    if (lua_getmetatable(L, index) != 0)
    {
        (void) pawl_anchor_get(L, PAWL_ANCHOR_ARRAY_META);
        is_marked = lua_rawequal(L, -1, -2) != 0;
        lua_pop(L, 2);
    }
    if (!is_marked && lua_rawlen(L, index) == 0)
        return -1;
    length = pawl_keys_sequence(L, index);
    if (length < 0)
        pawl_state_raise(L, "use pawl.null for an element that is null",
                         "%s: a table with positions has holes or other keys, and cannot be a JSON array",
                         w->what);
    return length;
}

static bool
write_value(writer *w, int index, span source)
{
    size_t start = w->out.length;
    lua_Integer length;
    bool is_same;

    luaL_checkstack(w->L, 12, "JSON");
    if (!lua_istable(w->L, index))
    {
        is_same = source.data != NULL && is_scalar_same(w, index, source);
        if (!is_same)
            write_scalar(w, index);
    }
    else
    {
        if (++w->depth > DEPTH_MAX)
            pawl_state_raise(w->L, "does a table contain itself?",
                             "%s: a table is nested deeper than %d levels", w->what, DEPTH_MAX);
        length = array_length(w, index);
        if (source.data != NULL && *source.data != (length < 0 ? '{' : '['))
            source = (span){0};
        is_same = length < 0 ? write_object(w, index, source) : write_array(w, index, length, source);
        w->depth--;
    }
    if (is_same)
    {
        w->out.length = start;
        pawl_lua_buf_addn(&w->out, source.data, (size_t) (source.end - source.data));
    }
    return is_same;
}

void
pawl_json_take(lua_State *L, int index, const char *what, pawl_lua_value source)
{
    writer w = {.L = L, .what = what};
    span whole = {0};

    index = lua_absindex(L, index);
    pawl_lua_buf_init(&w.out, L);
    if (source.data != NULL)
    {
        whole.data = past_space(source.data, source.data + source.length);
        whole.end = past_value(whole.data, source.data + source.length);
    }
    if (write_value(&w, index, whole))
        lua_pushlstring(L, source.data, source.length);
    else
        pawl_lua_buf_push(&w.out);
    pawl_state_charge(L, (int64_t) (w.out.length / 8));
    lua_replace(L, w.out.slot);
    lua_settop(L, w.out.slot);
}
