#include <limits.h>
#include <string.h>

#include "lua/buf.h"
#include "lua/lib.h"
#include "lua/state.h"

#include "util/banned.h"

/*
 * These stand for those of Lua's own library whose loops are as long as a script says (by __len, or by bounds that
 * no table has), and for a sort whose pivots come from the clock.
 */

static int
table_insert(lua_State *L)
{
    lua_Integer end = luaL_len(L, 1);
    lua_Integer at;

    luaL_argcheck(L, end >= 0 && end < LUA_MAXINTEGER, 1, "a table with a usable length was expected");
    end++;
    switch (lua_gettop(L))
    {
        case 2:
            lua_seti(L, 1, end);
            return 0;
        case 3:
            at = luaL_checkinteger(L, 2);
            luaL_argcheck(L, at >= 1 && at <= end, 2, "position out of bounds");
            pawl_state_charge(L, (end - at) / 4);
            for (lua_Integer i = end; i > at; i--)
            {
                (void) lua_geti(L, 1, i - 1);
                lua_seti(L, 1, i);
            }
            lua_seti(L, 1, at);
            return 0;
        default:
            return luaL_error(L, "wrong number of arguments to 'insert'");
    }
}

static int
table_remove(lua_State *L)
{
    lua_Integer length = luaL_len(L, 1);
    lua_Integer at = luaL_optinteger(L, 2, length);

    luaL_argcheck(L, length >= 0 && length < LUA_MAXINTEGER, 1, "a table with a usable length was expected");
    if (lua_gettop(L) > 1)
        luaL_argcheck(L, (at >= 1 && at <= length + 1) || (length == 0 && at == 0), 2,
                      "position out of bounds");
    lua_settop(L, 1);
    (void) lua_geti(L, 1, at);
    if (at < length)
        pawl_state_charge(L, (length - at) / 4);
    for (; at < length; at++)
    {
        (void) lua_geti(L, 1, at + 1);
        lua_seti(L, 1, at);
    }
    lua_pushnil(L);
    lua_seti(L, 1, at);
    return 1;
}

static int
table_move(lua_State *L)
{
    lua_Integer from = luaL_checkinteger(L, 2);
    lua_Integer last = luaL_checkinteger(L, 3);
    lua_Integer to = luaL_checkinteger(L, 4);
    int target = lua_isnoneornil(L, 5) ? 1 : 5;
    lua_Integer count;

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checktype(L, target, LUA_TTABLE);
    if (last >= from)
    {
        luaL_argcheck(L, from > 0 || last < LUA_MAXINTEGER + from, 3, "too many elements to move");
        count = last - from + 1;
        luaL_argcheck(L, to <= LUA_MAXINTEGER - count + 1, 4, "destination wrap around");
        pawl_state_charge(L, count / 4);
        if (to > last || to <= from || target != 1)
        {
            for (lua_Integer i = 0; i < count; i++)
            {
                (void) lua_geti(L, 1, from + i);
                lua_seti(L, target, to + i);
            }
        }
        else
        {
            for (lua_Integer i = count - 1; i >= 0; i--)
            {
                (void) lua_geti(L, 1, from + i);
                lua_seti(L, target, to + i);
            }
        }
    }
    lua_pushvalue(L, target);
    return 1;
}

static int
table_concat(lua_State *L)
{
    lua_Integer length = luaL_len(L, 1);
    size_t separator_length;
    const char *separator = luaL_optlstring(L, 2, "", &separator_length);
    lua_Integer i = luaL_optinteger(L, 3, 1);
    lua_Integer last = luaL_optinteger(L, 4, length);
    pawl_lua_buf b;

    lua_settop(L, 2);
    if (i <= last)
        pawl_state_charge(L, (int64_t) (((uint64_t) last - (uint64_t) i) / 8));
    pawl_lua_buf_init(&b, L);
    while (i <= last)
    {
        size_t part_length;
        const char *part;
        int type = lua_geti(L, 1, i);

        if (type != LUA_TSTRING && type != LUA_TNUMBER)
            return luaL_error(L, "invalid value (at index %I) in table for 'concat'", (LUAI_UACINT) i);
        part = lua_tolstring(L, -1, &part_length);
        pawl_lua_buf_addn(&b, part, part_length);
        lua_pop(L, 1);
        if (i++ == last)
            break;
        pawl_lua_buf_addn(&b, separator, separator_length);
    }
    pawl_lua_buf_push(&b);
    return 1;
}

/* Stack of a sort: 1 the table, 2 the comparison or nil, 3 and 4 two tables that the merges go between. */
enum
{
    SORT_TABLE = 1,
    SORT_LESS,
    SORT_FROM,
    SORT_TO,
};

/* Whether the value at `a` is less than that at `b`. Comparing long strings is work, too. */
static bool
is_less(lua_State *L, int a, int b)
{
    bool is;

    if (lua_isnil(L, SORT_LESS))
    {
        if (lua_type(L, a) == LUA_TSTRING && lua_type(L, b) == LUA_TSTRING)
        {
            size_t left = lua_rawlen(L, a);
            size_t right = lua_rawlen(L, b);

            pawl_state_charge(L, 1 + (int64_t) ((left < right ? left : right) / 64));
        }
        else
            pawl_state_charge(L, 1);
        return lua_compare(L, a, b, LUA_OPLT) != 0;
    }
    pawl_state_charge(L, 1);
    lua_pushvalue(L, SORT_LESS);
    lua_pushvalue(L, a);
    lua_pushvalue(L, b);
    lua_call(L, 2, 1);
    is = lua_toboolean(L, -1) != 0;
    lua_pop(L, 1);
    return is;
}

/* Merge [low, middle) and [middle, high) of SORT_FROM into SORT_TO. Equal elements keep their order. */
static void
merge(lua_State *L, lua_Integer low, lua_Integer middle, lua_Integer high)
{
    lua_Integer left = low;
    lua_Integer right = middle;
    lua_Integer to = low;
    int top = lua_gettop(L);

    if (left < middle)
        (void) lua_rawgeti(L, SORT_FROM, left);
    if (right < high)
        (void) lua_rawgeti(L, SORT_FROM, right);
    while (left < middle && right < high)
    {
        if (is_less(L, top + 2, top + 1))
        {
            lua_rawseti(L, SORT_TO, to++);
            if (++right < high)
                (void) lua_rawgeti(L, SORT_FROM, right);
        }
        else
        {
            lua_pushvalue(L, top + 1);
            lua_rawseti(L, SORT_TO, to++);
            (void) lua_rawgeti(L, SORT_FROM, ++left);
            lua_replace(L, top + 1);
        }
    }
    lua_settop(L, top);
    for (; left < middle; left++)
    {
        (void) lua_rawgeti(L, SORT_FROM, left);
        lua_rawseti(L, SORT_TO, to++);
    }
    for (; right < high; right++)
    {
        (void) lua_rawgeti(L, SORT_FROM, right);
        lua_rawseti(L, SORT_TO, to++);
    }
}

static int
table_sort(lua_State *L)
{
    lua_Integer count = luaL_len(L, 1);

    luaL_argcheck(L, count < INT_MAX, 1, "array too big");
    if (!lua_isnoneornil(L, 2))
        luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_settop(L, 2);
    if (count < 2)
        return 0;
    pawl_state_charge(L, count);
    lua_newtable(L);
    lua_newtable(L);
    for (lua_Integer i = 1; i <= count; i++)
    {
        (void) lua_geti(L, SORT_TABLE, i);
        lua_rawseti(L, SORT_FROM, i);
    }
    for (lua_Integer width = 1; width < count; width *= 2)
    {
        for (lua_Integer low = 1; low <= count; low += 2 * width)
        {
            lua_Integer middle = low + width > count + 1 ? count + 1 : low + width;
            lua_Integer high = middle + width > count + 1 ? count + 1 : middle + width;

            merge(L, low, middle, high);
        }
        lua_pushvalue(L, SORT_FROM);
        lua_copy(L, SORT_TO, SORT_FROM);
        lua_replace(L, SORT_TO);
    }
    for (lua_Integer i = 1; i <= count; i++)
    {
        (void) lua_rawgeti(L, SORT_FROM, i);
        lua_seti(L, SORT_TABLE, i);
    }
    return 0;
}

void
pawl_lib_table_open(lua_State *L)
{
    static const luaL_Reg own[] = {{"insert", table_insert}, {"remove", table_remove}, {"move", table_move},
                                   {"concat", table_concat}, {"sort", table_sort},     {NULL, NULL}};

    luaL_requiref(L, LUA_TABLIBNAME, luaopen_table, 0);
    lua_newtable(L);
    luaL_setfuncs(L, own, 0);
    (void) lua_getfield(L, -2, "pack");
    lua_setfield(L, -2, "pack");
    (void) lua_getfield(L, -2, "unpack");
    lua_setfield(L, -2, "unpack");
    lua_remove(L, -2);
}
