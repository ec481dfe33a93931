#include <string.h>

#include "lua/buf.h"
#include "lua/lib.h"
#include "lua/pattern.h"
#include "lua/state.h"

#include "util/banned.h"

/* The position argument `index` as an offset from 0; may lie beyond the end. */
static size_t
start_offset(lua_State *L, int index, size_t length)
{
    lua_Integer at = luaL_optinteger(L, index, 1);

    if (at > 0)
        return (size_t) at - 1;
    if (at == 0 || at < -(lua_Integer) length)
        return 0;
    return length - (size_t) -at;
}

static int
find_plain(lua_State *L, const char *s, size_t length, size_t from)
{
    size_t what_length;
    const char *what = luaL_checklstring(L, 2, &what_length);
    const char *at = pawl_plain_find(L, s + from, length - from, what, what_length);

    if (at == NULL)
    {
        lua_pushnil(L);
        return 1;
    }
    lua_pushinteger(L, at - s + 1);
    lua_pushinteger(L, at - s + (lua_Integer) what_length);
    return 2;
}

static int
find_or_match(lua_State *L, bool is_find)
{
    size_t length;
    size_t pattern_length;
    const char *s = luaL_checklstring(L, 1, &length);
    const char *text = luaL_checklstring(L, 2, &pattern_length);
    size_t from = start_offset(L, 3, length);
    const char *start = s + from;
    const char *end;
    pawl_match m;

    if (from > length)
    {
        lua_pushnil(L);
        return 1;
    }
    if (is_find && (lua_toboolean(L, 4) || pawl_pattern_is_plain(text, pattern_length)))
        return find_plain(L, s, length, from);
    lua_settop(L, 2);
    pawl_match_init(&m, L, pawl_pattern_find(L, 2), s, length);
    end = pawl_match_find(&m, &start);
    if (end == NULL)
    {
        lua_pushnil(L);
        return 1;
    }
    if (!is_find)
        return pawl_match_push_all(&m, start, end);
    lua_pushinteger(L, start - s + 1);
    lua_pushinteger(L, end - s);
    return m.pattern->captures == 0 ? 2 : 2 + pawl_match_push_all(&m, start, end);
}

static int
string_find(lua_State *L)
{
    return find_or_match(L, true);
}

static int
string_match(lua_State *L)
{
    return find_or_match(L, false);
}

/* Upvalues: subject, pattern's text, compiled pattern, where to go on, end of the last match (-1: none). */
static int
gmatch_step(lua_State *L)
{
    size_t length;
    const char *s = lua_tolstring(L, lua_upvalueindex(1), &length);
    lua_Integer from = lua_tointeger(L, lua_upvalueindex(4));
    lua_Integer last = lua_tointeger(L, lua_upvalueindex(5));
    pawl_match m;

    pawl_match_init(&m, L, lua_touserdata(L, lua_upvalueindex(3)), s, length);
    for (; from <= (lua_Integer) length; from++)
    {
        const char *start = s + from;
        const char *end = pawl_match_find(&m, &start);

        if (end == NULL)
            return 0;
        from = start - s;
        if (end - s == last)
            continue;
        lua_pushinteger(L, end - s);
        lua_copy(L, -1, lua_upvalueindex(4));
        lua_replace(L, lua_upvalueindex(5));
        return pawl_match_push_all(&m, start, end);
    }
    return 0;
}

static int
string_gmatch(lua_State *L)
{
    size_t length;
    size_t from;

    (void) luaL_checklstring(L, 1, &length);
    (void) luaL_checkstring(L, 2);
    from = start_offset(L, 3, length);
    lua_settop(L, 2);
    (void) pawl_pattern_push(L, 2, false);
    lua_pushinteger(L, from > length ? (lua_Integer) length + 1 : (lua_Integer) from);
    lua_pushinteger(L, -1);
    lua_pushcclosure(L, gmatch_step, 5);
    return 1;
}

/* Text 3 with %0 to %9 replaced. */
static void
add_template(pawl_match *m, pawl_lua_buf *b, const char *start, const char *end)
{
    lua_State *L = m->L;
    size_t length;
    const char *p = lua_tolstring(L, 3, &length);
    const char *stop = p + length;

    while (p < stop)
    {
        const char *mark = memchr(p, '%', (size_t) (stop - p));
        const char *part;
        size_t part_length;

        pawl_lua_buf_addn(b, p, (size_t) ((mark == NULL ? stop : mark) - p));
        if (mark == NULL)
            return;
        p = mark + 1;
        if (p < stop && *p == '%')
            pawl_lua_buf_addc(b, '%');
        else if (p < stop && *p == '0')
            pawl_lua_buf_addn(b, start, (size_t) (end - start));
        else if (p<stop && * p> '0' && *p <= '9')
        {
            pawl_match_push(m, *p - '1', start, end);
            part = luaL_tolstring(L, -1, &part_length);
            pawl_lua_buf_addn(b, part, part_length);
            lua_pop(L, 2);
        }
        else
            luaL_error(L, "invalid use of '%%' in replacement string");
        p++;
    }
}

/* What stands for the match [start, end), by the kind of argument 3. */
static void
add_replacement(pawl_match *m, pawl_lua_buf *b, const char *start, const char *end)
{
    lua_State *L = m->L;
    int type = lua_type(L, 3);
    int top = lua_gettop(L);
    size_t length;
    const char *text;

    if (type == LUA_TSTRING || type == LUA_TNUMBER)
    {
        add_template(m, b, start, end);
        return;
    }
    if (type == LUA_TTABLE)
    {
        pawl_match_push(m, 0, start, end);
        (void) lua_gettable(L, 3);
    }
    else
    {
        lua_pushvalue(L, 3);
        lua_call(L, pawl_match_push_all(m, start, end), 1);
    }
    if (!lua_toboolean(L, -1))
        pawl_lua_buf_addn(b, start, (size_t) (end - start));
    else if (!lua_isstring(L, -1))
        luaL_error(L, "invalid replacement value (a %s)", luaL_typename(L, -1));
    else
    {
        text = lua_tolstring(L, -1, &length);
        pawl_lua_buf_addn(b, text, length);
    }
    lua_settop(L, top);
}

static int
string_gsub(lua_State *L)
{
    size_t length;
    const char *s = luaL_checklstring(L, 1, &length);
    int type = lua_type(L, 3);
    lua_Integer most = luaL_optinteger(L, 4, (lua_Integer) length + 1);
    lua_Integer count = 0;
    const char *at = s;
    const char *last = NULL;
    pawl_match m;
    pawl_lua_buf b;

    luaL_argexpected(
        L, type == LUA_TNUMBER || type == LUA_TSTRING || type == LUA_TFUNCTION || type == LUA_TTABLE, 3,
        "string/function/table");
    (void) luaL_checkstring(L, 2);
    if (type == LUA_TNUMBER)
        (void) lua_tolstring(L, 3, NULL);
    lua_settop(L, 3);
    pawl_match_init(&m, L,
                    type == LUA_TFUNCTION || type == LUA_TTABLE ? pawl_pattern_push(L, 2, true)
                                                                : pawl_pattern_find(L, 2),
                    s, length);
    pawl_lua_buf_init(&b, L);
    while (count < most)
    {
        const char *start = at;
        const char *end = pawl_match_find(&m, &start);

        /* A match that ends where the last one ended is empty: it does not count, matching goes on behind it. */
        pawl_lua_buf_addn(&b, at, (size_t) ((end == NULL ? m.end : start) - at));
        if (end == NULL)
        {
            at = m.end;
            break;
        }
        at = start;
        if (end != last)
        {
            count++;
            add_replacement(&m, &b, start, end);
            at = last = end;
        }
        else if (at < m.end)
            pawl_lua_buf_addc(&b, *at++);
        else
            break;
        if (m.pattern->is_anchored)
            break;
    }
    pawl_lua_buf_addn(&b, at, (size_t) (m.end - at));
    if (count == 0)
        lua_pushvalue(L, 1);
    else
        pawl_lua_buf_push(&b);
    lua_pushinteger(L, count);
    return 2;
}

static int
string_rep(lua_State *L)
{
    size_t length;
    size_t separator_length;
    const char *s = luaL_checklstring(L, 1, &length);
    lua_Integer n = luaL_checkinteger(L, 2);
    const char *separator = luaL_optlstring(L, 3, "", &separator_length);
    size_t total;
    size_t at = 0;
    char *out;
    luaL_Buffer b;

    if (n <= 0 || (length == 0 && separator_length == 0))
    {
        lua_pushliteral(L, "");
        return 1;
    }
    if (length + separator_length > (SIZE_MAX / 4) / (size_t) n)
        return luaL_error(L, "resulting string too large");
    total = (size_t) n * length + (size_t) (n - 1) * separator_length;
    out = luaL_buffinitsize(L, &b, total);
    pawl_state_charge(L, n / 4);
    for (lua_Integer i = 0; i < n; i++)
    {
        memcpy(out + at, s, length);
        at += length;
        if (i + 1 < n && separator_length > 0)
        {
            memcpy(out + at, separator, separator_length);
            at += separator_length;
        }
    }
    luaL_pushresultsize(&b, total);
    return 1;
}

/* Tables and functions print as their type: an address would differ from run to run. */
static int
string_format(lua_State *L)
{
    const char *format = luaL_checkstring(L, 1);
    int count = lua_gettop(L);

    for (const char *p = strchr(format, '%'); p != NULL; p = strchr(p, '%'))
    {
        p += 1 + strspn(p + 1, "-+ #0123456789.");
        if (*p == 'p')
            return luaL_error(L, "%%p is not available: addresses differ from run to run");
        if (*p != '\0')
            p++;
    }
    for (int i = 2; i <= count; i++)
    {
        int type = lua_type(L, i);

        if (type != LUA_TNIL && type != LUA_TBOOLEAN && type != LUA_TNUMBER && type != LUA_TSTRING)
        {
            pawl_lib_tostring_push(L, i);
            lua_replace(L, i);
        }
    }
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, count, 1);
    return 1;
}

void
pawl_lib_string_open(lua_State *L)
{
    static const luaL_Reg own[] = {{"find", string_find}, {"match", string_match}, {"gmatch", string_gmatch},
                                   {"gsub", string_gsub}, {"rep", string_rep},     {NULL, NULL}};
    static const char *const kept[] = {"byte",    "char", "len",  "lower",  "upper",
                                       "reverse", "sub",  "pack", "unpack", "packsize"};
    int library;

    luaL_requiref(L, LUA_STRLIBNAME, luaopen_string, 0);
    library = lua_gettop(L);
    lua_newtable(L);
    luaL_setfuncs(L, own, 0);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
    {
        (void) lua_getfield(L, library, kept[i]);
        lua_setfield(L, -2, kept[i]);
    }
    (void) lua_getfield(L, library, "format");
    lua_pushcclosure(L, string_format, 1);
    lua_setfield(L, -2, "format");
    lua_remove(L, library);

    /* s:upper() must find this table, not the library's own with dump and the uncounted pattern functions. */
    lua_pushliteral(L, "");
    lua_getmetatable(L, -1);
    lua_pushvalue(L, -3);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "string");
    lua_setfield(L, -2, "__metatable");
    lua_pop(L, 2);
}
