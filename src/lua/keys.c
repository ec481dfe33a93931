#include "lua/keys.h"

#include <stdlib.h>
#include <string.h>

#include "lua/state.h"

#include "util/banned.h"

#define FEW_KEYS 24 /* sorted on the C stack */

typedef enum key_rank
{
    RANK_NUMBER,
    RANK_STRING,
    RANK_BOOLEAN,
    RANK_OTHER,
} key_rank;

/* Small, because a big table has many and qsort copies them to memory that is not counted. */
typedef struct sort_key
{
    uint8_t rank;
    bool is_float;
    uint32_t place; /* in the sequence of keys, from 1 */
    size_t length;  /* of a string */
    union
    {
        lua_Integer integer; /* also of a boolean; of others the place in Lua's order */
        lua_Number number;
        const char *text;
    } as;
} sort_key;

static sort_key
key_at(lua_State *L, int index, lua_Integer place)
{
    sort_key key = {.rank = RANK_OTHER, .place = (uint32_t) place, .as.integer = place};

    switch (lua_type(L, index))
    {
        case LUA_TNUMBER:
            key.rank = RANK_NUMBER;
            key.is_float = lua_isinteger(L, index) == 0;
            if (key.is_float)
                key.as.number = lua_tonumber(L, index);
            else
                key.as.integer = lua_tointeger(L, index);
            break;
        case LUA_TSTRING:
            key.rank = RANK_STRING;
            key.as.text = lua_tolstring(L, index, &key.length);
            break;
        case LUA_TBOOLEAN:
            key.rank = RANK_BOOLEAN;
            key.as.integer = lua_toboolean(L, index);
            break;
        default:
            break;
    }
    return key;
}

static lua_Number
number_of(const sort_key *key)
{
    return key->is_float ? key->as.number : (lua_Number) key->as.integer;
}

/* As qsort wants it. Two keys of one table are never equal; a float key is never integral. */
static int
compare_keys(const void *left, const void *right)
{
    const sort_key *a = left;
    const sort_key *b = right;

    if (a->rank != b->rank)
        return a->rank < b->rank ? -1 : 1;
    if (a->rank == RANK_STRING)
    {
        int order = memcmp(a->as.text, b->as.text, a->length < b->length ? a->length : b->length);

        if (order != 0)
            return order;
        return a->length < b->length ? -1 : a->length > b->length;
    }
    if (a->is_float || b->is_float)
        return number_of(a) < number_of(b) ? -1 : number_of(a) > number_of(b);
    return a->as.integer < b->as.integer ? -1 : a->as.integer > b->as.integer;
}

/* Push the keys as Lua has them; *is_sorted says whether they happen to be 1, 2, 3, ... */
static lua_Integer
push_unsorted(lua_State *L, int index, bool *is_sorted)
{
    lua_Integer count = 0;
    int keys;

    lua_newtable(L);
    keys = lua_gettop(L);
    *is_sorted = true;
    lua_pushnil(L);
    while (lua_next(L, index) != 0)
    {
        lua_pop(L, 1);
        lua_pushvalue(L, -1);
        lua_rawseti(L, keys, ++count);
        if (!lua_isinteger(L, -1) || lua_tointeger(L, -1) != count)
            *is_sorted = false;
    }
    pawl_state_charge(L, count);
    return count;
}

lua_Integer
pawl_keys_push(lua_State *L, int index)
{
    sort_key few[FEW_KEYS];
    sort_key *keys = few;
    lua_Integer count;
    bool is_sorted;
    int unsorted;

    index = lua_absindex(L, index);
    luaL_checkstack(L, 8, "keys of a table");
    count = push_unsorted(L, index, &is_sorted);
    if (is_sorted || count < 2)
        return count;

    unsorted = lua_gettop(L);
    if (count > FEW_KEYS)
        keys = lua_newuserdatauv(L, (size_t) count * sizeof *keys, 0);
    else
        lua_pushnil(L);
    for (lua_Integer i = 1; i <= count; i++)
    {
        (void) lua_rawgeti(L, unsorted, i);
        keys[i - 1] = key_at(L, -1, i);
        lua_pop(L, 1);
    }
    pawl_state_charge(L, 16 * count);
    qsort(keys, (size_t) count, sizeof *keys, compare_keys);

    lua_createtable(L, count > 1 << 20 ? 1 << 20 : (int) count, 0);
    for (lua_Integer i = 1; i <= count; i++)
    {
        (void) lua_rawgeti(L, unsorted, keys[i - 1].place);
        lua_rawseti(L, -2, i);
    }
    lua_replace(L, unsorted);
    lua_settop(L, unsorted);
    return count;
}

/* Upvalues: the table, its keys, how many of them have been visited. A key whose value has gone is passed over. */
static int
step_pairs(lua_State *L)
{
    lua_Integer at = lua_tointeger(L, lua_upvalueindex(3));

    lua_settop(L, 0);
    while (lua_rawgeti(L, lua_upvalueindex(2), ++at) != LUA_TNIL)
    {
        lua_pushvalue(L, -1);
        if (lua_rawget(L, lua_upvalueindex(1)) != LUA_TNIL)
        {
            lua_pushinteger(L, at);
            lua_replace(L, lua_upvalueindex(3));
            return 2;
        }
        lua_settop(L, 0);
    }
    return 1;
}

int
pawl_keys_pairs(lua_State *L)
{
    luaL_checkany(L, 1);
    if (luaL_getmetafield(L, 1, "__pairs") != LUA_TNIL)
    {
        lua_pushvalue(L, 1);
        lua_call(L, 1, 3);
        return 3;
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    lua_pushvalue(L, 1);
    (void) pawl_keys_push(L, 1);
    lua_pushinteger(L, 0);
    lua_pushcclosure(L, step_pairs, 3);
    lua_pushvalue(L, 1);
    lua_pushnil(L);
    return 3;
}

/* The next key without an order is the one that follows in Lua's own sequence. Stack: table, key. */
static int
next_other(lua_State *L, bool is_after)
{
    lua_settop(L, 2);
    if (!is_after)
    {
        lua_settop(L, 1);
        lua_pushnil(L);
    }
    while (lua_next(L, 1) != 0)
    {
        if (key_at(L, -2, 0).rank == RANK_OTHER)
            return 2;
        lua_pop(L, 1);
    }
    lua_pushnil(L);
    return 1;
}

int
pawl_keys_next(lua_State *L)
{
    sort_key after = {0};
    sort_key best = {0};
    bool has_after;
    bool has_best = false;
    lua_Integer count = 0;

    luaL_checktype(L, 1, LUA_TTABLE);
    lua_settop(L, 2);
    has_after = !lua_isnil(L, 2);
    if (has_after)
        after = key_at(L, 2, 0);
    if (has_after && after.rank == RANK_OTHER)
        return next_other(L, true);

    lua_pushnil(L); /* 3: the best key so far */
    lua_pushnil(L);
    while (lua_next(L, 1) != 0)
    {
        sort_key key = key_at(L, -2, 0);

        lua_pop(L, 1);
        count++;
        if (key.rank == RANK_OTHER || (has_after && compare_keys(&key, &after) <= 0) ||
            (has_best && compare_keys(&key, &best) >= 0))
            continue;
        best = key;
        has_best = true;
        lua_pushvalue(L, -1);
        lua_replace(L, 3);
    }
    pawl_state_charge(L, count);
    if (!has_best)
        return next_other(L, false);
    lua_settop(L, 3);
    lua_pushvalue(L, 3);
    (void) lua_rawget(L, 1);
    return 2;
}

lua_Integer
pawl_keys_sequence(lua_State *L, int index)
{
    lua_Integer length = (lua_Integer) lua_rawlen(L, index);
    lua_Integer found = 0;
    bool is_sequence = true;

    index = lua_absindex(L, index);
    luaL_checkstack(L, 4, "keys of a table");
    lua_pushnil(L);
    while (lua_next(L, index) != 0)
    {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && lua_tointeger(L, -1) <= length)
            found++;
        else if (lua_type(L, -1) != LUA_TSTRING || strcmp(lua_tostring(L, -1), "n") != 0)
            is_sequence = false;
    }
    pawl_state_charge(L, found);
    return is_sequence && found == length ? length : -1;
}
