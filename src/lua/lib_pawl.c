#include <string.h>

#include "lua/decimal.h"
#include "lua/json.h"
#include "lua/lib.h"
#include "lua/state.h"
#include "util/clock.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define NAMES_MAX 40

/* In a batch the second argument says which of its rows is rejected, and the batch goes on. */
static int
pawl_reject(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    lua_Integer row;

    (void) luaL_checkstring(L, 1);
    (void) lua_tostring(L, 1);
    if (lua->phase == PAWL_PHASE_ROW)
    {
        lua_pushvalue(L, 1);
        pawl_anchor_set(L, PAWL_ANCHOR_REASON);
        pawl_state_raise_reject(L);
    }
    if (lua->phase != PAWL_PHASE_BATCH)
        pawl_state_raise(L, NULL, "pawl.reject(\"%s\") outside of a row", lua_tostring(L, 1));
    if (lua_isnoneornil(L, 2))
        pawl_state_raise(L, "name the row: pawl.reject(reason, i), where i is its place in rows",
                         "pawl.reject(\"%s\") in a batch does not say which row", lua_tostring(L, 1));
    row = luaL_checkinteger(L, 2);
    luaL_argcheck(L, row >= 1 && row <= lua->rows->count, 2, "the place of a row in the batch was expected");
    (void) pawl_anchor_get(L, PAWL_ANCHOR_REJECTS);
    lua_pushvalue(L, 1);
    lua_rawseti(L, -2, row);
    return 0;
}

static int
pawl_log(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);

    luaL_checkany(L, 1);
    pawl_lib_tostring_push(L, 1);
    if (lua->log != NULL)
        lua->log(lua->log_ctx, lua_tostring(L, -1));
    return 0;
}

static int
json_encode(lua_State *L)
{
    luaL_checkany(L, 1);
    lua_settop(L, 1);
    pawl_json_take(L, 1, "pawl.json.encode", (pawl_lua_value){0});
    return 1;
}

static int
json_decode(lua_State *L)
{
    pawl_lua_value text;

    text.data = luaL_checklstring(L, 1, &text.length);
    pawl_json_push(L, "the text given to pawl.json.decode", text, false);
    return 1;
}

/* Mark a table (a new one by default) as a JSON array: an empty table without the mark is {}. */
static int
json_array(lua_State *L)
{
    if (lua_isnoneornil(L, 1))
    {
        lua_settop(L, 0);
        lua_newtable(L);
    }
    luaL_checktype(L, 1, LUA_TTABLE);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 1);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_ARRAY_META);
    lua_setmetatable(L, 1);
    return 1;
}

void
pawl_lib_json_open(lua_State *L)
{
    static const luaL_Reg functions[] = {
        {"encode", json_encode}, {"decode", json_decode}, {"array", json_array}, {NULL, NULL}};

    lua_newtable(L);
    lua_pushliteral(L, "json array");
    lua_setfield(L, -2, "__metatable");
    pawl_anchor_set(L, PAWL_ANCHOR_ARRAY_META);

    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    pawl_json_null_push(L);
    lua_setfield(L, -2, "null");
}

/* Upvalue: what the table is called. Reading a name that is not there is an error, with the nearest name. */
static int
unknown_name(lua_State *L)
{
    const char *what = lua_tostring(L, lua_upvalueindex(1));
    const char *name = lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2);
    const char *names[NAMES_MAX];
    size_t count = 0;
    const char *nearest;
    char meant[80] = "";

    lua_settop(L, 2);
    lua_pushnil(L);
    while (count < NAMES_MAX && lua_next(L, 1) != 0)
    {
        lua_pop(L, 1);
        if (lua_type(L, -1) == LUA_TSTRING)
            names[count++] = lua_tostring(L, -1);
    }
    nearest = pawl_units_nearest(name, names, count);
    if (nearest != NULL)
        pawl_fmt(meant, sizeof meant, "; did you mean %s.%s?", what, nearest);
    pawl_state_raise(
        L, strcmp(what, "pawl.secret") == 0 ? "list the variable under secrets: in pawl.yaml" : NULL,
        "there is no %s.%s%s", what, name, meant);
}

/* The table on top answers unknown names with an error. */
static void
refuse_unknown(lua_State *L, const char *what)
{
    lua_createtable(L, 0, 1);
    lua_pushstring(L, what);
    lua_pushcclosure(L, unknown_name, 1);
    lua_setfield(L, -2, "__index");
    lua_setmetatable(L, -2);
}

/* A check knows no secrets: any name reads as an empty text. */
static int
no_secret(lua_State *L)
{
    lua_pushliteral(L, "");
    return 1;
}

static void
push_pairs(lua_State *L, const pawl_lua_pair *pairs, size_t count)
{
    lua_newtable(L);
    for (size_t i = 0; i < count; i++)
    {
        lua_pushstring(L, pairs[i].value);
        lua_setfield(L, -2, pairs[i].key);
    }
}

void
pawl_lib_pawl_open(lua_State *L, const pawl_lua_options *options, bool is_check)
{
    static const luaL_Reg functions[] = {{"reject", pawl_reject}, {"log", pawl_log}, {NULL, NULL}};
    char now[40];

    lua_newtable(L);
    luaL_setfuncs(L, functions, 0);
    pawl_null_push(L);
    lua_setfield(L, -2, "null");
    pawl_clock_iso(options->now_us, now, sizeof now);
    lua_pushstring(L, now);
    lua_setfield(L, -2, "now");

    push_pairs(L, options->x, options->nx);
    pawl_lib_seal(L, "pawl.x");
    lua_setfield(L, -2, "x");

    push_pairs(L, options->secrets, options->nsecrets);
    refuse_unknown(L, "pawl.secret");
    if (is_check)
    {
        lua_getmetatable(L, -1);
        lua_pushcfunction(L, no_secret);
        lua_setfield(L, -2, "__index");
        lua_pop(L, 1);
    }
    pawl_lib_seal(L, "pawl.secret");
    lua_setfield(L, -2, "secret");

    pawl_lib_crypto_open(L, lua_gettop(L));
    pawl_lib_json_open(L);
    pawl_lib_seal(L, "pawl.json");
    lua_setfield(L, -2, "json");
    pawl_decimal_open(L);
    pawl_lib_seal(L, "pawl.decimal");
    lua_setfield(L, -2, "decimal");

    refuse_unknown(L, "pawl");
    pawl_lib_seal(L, "pawl");
}
