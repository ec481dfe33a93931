#include <string.h>

#include "lua/decimal.h"
#include "lua/keys.h"
#include "lua/lib.h"
#include "lua/state.h"
#include "util/alloc.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define FILE_BYTES_MAX ((size_t) 4 * 1024 * 1024)

static int
sealed_newindex(lua_State *L)
{
    const char *what = lua_tostring(L, lua_upvalueindex(1));

    pawl_state_raise(L, NULL, "%s is read-only: \"%s\" cannot be assigned", what, luaL_tolstring(L, 2, NULL));
}

/* pairs over a sealed table walks what it stands for. */
static int
sealed_pairs(lua_State *L)
{
    lua_settop(L, 0);
    lua_pushvalue(L, lua_upvalueindex(1));
    return pawl_keys_pairs(L);
}

void
pawl_lib_seal(lua_State *L, const char *what)
{
    int real = lua_gettop(L);

    lua_newtable(L);
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, real);
    lua_setfield(L, -2, "__index");
    lua_pushstring(L, what);
    lua_pushcclosure(L, sealed_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, real);
    lua_pushcclosure(L, sealed_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushstring(L, what);
    lua_setfield(L, -2, "__metatable");
    /* What has a __call of its own keeps it. */
    if (luaL_getmetafield(L, real, "__call") != LUA_TNIL)
        lua_setfield(L, -2, "__call");
    lua_setmetatable(L, -2);
    lua_replace(L, real);
}

void
pawl_lib_tostring_push(lua_State *L, int index)
{
    int type = lua_type(L, index);

    if (pawl_null_is(L, index) || pawl_json_null_is(L, index))
        lua_pushliteral(L, "pawl.null");
    else if (type == LUA_TNIL || type == LUA_TBOOLEAN || type == LUA_TNUMBER || type == LUA_TSTRING ||
             luaL_getmetafield(L, index, "__tostring") != LUA_TNIL)
        (void) luaL_tolstring(L, index, NULL);
    else
        lua_pushstring(L, lua_typename(L, type));
}

static int
base_tostring(lua_State *L)
{
    luaL_checkany(L, 1);
    pawl_lib_tostring_push(L, 1);
    return 1;
}

static int
base_print(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    int count = lua_gettop(L);

    luaL_checkstack(L, 4, "print");
    lua_pushliteral(L, "");
    for (int i = 1; i <= count; i++)
    {
        if (i > 1)
        {
            lua_pushliteral(L, "\t");
            lua_concat(L, 2);
        }
        pawl_lib_tostring_push(L, i);
        lua_replace(L, i);
        lua_pushvalue(L, i);
        lua_concat(L, 2);
    }
    if (lua->log != NULL)
        lua->log(lua->log_ctx, lua_tostring(L, -1));
    return 0;
}

static int
base_pcall(lua_State *L)
{
    int status;

    luaL_checkany(L, 1);
    lua_pushboolean(L, 1);
    lua_insert(L, 1);
    status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 0);
    pawl_state_rethrow(L, status);
    if (status == LUA_OK)
        return lua_gettop(L);
    lua_pushboolean(L, 0);
    lua_insert(L, -2);
    return 2;
}

/*
 * Upvalue: the script's handler. A limit must not reach it: the hook that raises a limit has hooks switched off, and
 * the handler could then run for ever.
 */
static int
guarded_handler(lua_State *L)
{
    if (pawl_lua_of(L)->latch != PAWL_LATCH_NONE)
        return 1;
    lua_pushvalue(L, lua_upvalueindex(1));
    lua_insert(L, 1);
    lua_call(L, lua_gettop(L) - 1, 1);
    return 1;
}

static int
base_xpcall(lua_State *L)
{
    int status;

    luaL_checktype(L, 2, LUA_TFUNCTION);
    lua_pushvalue(L, 2);
    lua_pushcclosure(L, guarded_handler, 1);
    lua_replace(L, 2);
    lua_pushvalue(L, 1);
    lua_remove(L, 1); /* handler, arguments, function */
    lua_insert(L, 2); /* handler, function, arguments */
    status = lua_pcall(L, lua_gettop(L) - 2, LUA_MULTRET, 1);
    pawl_state_rethrow(L, status);
    lua_pushboolean(L, status == LUA_OK);
    lua_replace(L, 1);
    return lua_gettop(L);
}

/* Finalizers run with hooks switched off, at moments that nobody chooses. */
static int
base_setmetatable(lua_State *L)
{
    int type = lua_type(L, 2);

    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_argexpected(L, type == LUA_TNIL || type == LUA_TTABLE, 2, "nil or table");
    if (type == LUA_TTABLE)
    {
        lua_pushliteral(L, "__gc");
        if (lua_rawget(L, 2) != LUA_TNIL)
            return luaL_error(L, "a metatable with __gc is not available in a transform");
    }
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL)
        return luaL_error(L, "cannot change a protected metatable");
    lua_settop(L, 2);
    lua_setmetatable(L, 1);
    return 1;
}

static int
base_rawset(lua_State *L)
{
    luaL_checktype(L, 1, LUA_TTABLE);
    luaL_checkany(L, 3);
    lua_settop(L, 3);
    if (luaL_getmetafield(L, 1, "__metatable") != LUA_TNIL &&
        luaL_getmetafield(L, 1, "__newindex") != LUA_TNIL)
        return luaL_error(L, "rawset on a read-only table");
    lua_settop(L, 3);
    lua_rawset(L, 1);
    return 1;
}

/* Upvalue: where the environment's globals are. */
static int
env_open_newindex(lua_State *L)
{
    lua_settop(L, 3);
    lua_rawset(L, lua_upvalueindex(1));
    return 0;
}

static int
env_sealed_newindex(lua_State *L)
{
    pawl_state_raise(
        L, "declare it with local, or set it when the file is loaded",
        "assignment to global \"%s\": globals are read-only while rows run, because a value kept from one "
        "row to the next makes results depend on the order of rows",
        lua_type(L, 2) == LUA_TSTRING ? lua_tostring(L, 2) : luaL_typename(L, 2));
}

/*
 * The environment itself stays empty, so that every assignment comes by __newindex; its globals are in a table behind
 * it, which starts as a copy of the base so that reading a global costs one step more and not two.
 */
void
pawl_lib_env_push(lua_State *L)
{
    int store;

    luaL_checkstack(L, 8, "an environment");
    lua_newtable(L);
    store = lua_gettop(L);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_BASE);
    lua_pushnil(L);
    while (lua_next(L, -2) != 0)
    {
        lua_pushvalue(L, -2);
        lua_insert(L, -2);
        lua_rawset(L, store);
    }
    lua_pop(L, 1);

    lua_newtable(L);
    lua_pushvalue(L, -1);
    lua_setfield(L, store, "_G");
    lua_createtable(L, 0, 4);
    lua_pushvalue(L, store);
    lua_setfield(L, -2, "__index");
    lua_pushvalue(L, store);
    lua_pushcclosure(L, env_open_newindex, 1);
    lua_setfield(L, -2, "__newindex");
    lua_pushvalue(L, store);
    lua_pushcclosure(L, sealed_pairs, 1);
    lua_setfield(L, -2, "__pairs");
    lua_pushliteral(L, "environment");
    lua_setfield(L, -2, "__metatable");
    lua_pushvalue(L, -1);
    lua_setmetatable(L, -3);
    lua_remove(L, store);
}

void
pawl_lib_env_seal(lua_State *L, int index)
{
    index = lua_absindex(L, index);
    lua_pushcfunction(L, env_sealed_newindex);
    lua_setfield(L, index, "__newindex");
}

/*
 * Load without running. Owns the text, so nothing between read and free may raise: lua_load reports by status, and the
 * chunk's name is on the stack already. Leaves the function, or a message.
 */
static int
load_file(lua_State *L, const char *path, const char *chunk, int *errnum)
{
    char *text = NULL;
    size_t length = 0;
    size_t skip;
    int status;

    *errnum = pawl_file_read(path, FILE_BYTES_MAX, &text, &length);
    if (*errnum != 0)
        return LUA_OK;
    skip = length >= 3 && memcmp(text, "\xef\xbb\xbf", 3) == 0 ? 3 : 0;
    status = luaL_loadbufferx(L, text + skip, length - skip, chunk, "t");
    pawl_free(text);
    return status;
}

void
pawl_lib_run_file(lua_State *L, const char *file)
{
    pawl_lua *lua = pawl_lua_of(L);
    const char *path;
    const char *chunk;
    int errnum = 0;
    int base = lua_gettop(L);
    int status;

    luaL_checkstack(L, 8, "a file");
    path = strcmp(lua->root, "") == 0 || strcmp(lua->root, ".") == 0
               ? lua_pushstring(L, file)
               : lua_pushfstring(L, "%s/%s", lua->root, file);
    chunk = lua_pushfstring(L, "@%s", file);
    status = load_file(L, path, chunk, &errnum);
    if (errnum != 0)
    {
        char why[128];

        pawl_file_strerror(errnum, why, sizeof why);
        pawl_state_raise(L, NULL, "Lua file \"%s\" cannot be read: %s", path, why);
    }
    if (status == LUA_ERRMEM)
        pawl_state_rethrow(L, status);
    if (status != LUA_OK)
        (void) lua_error(L);
    pawl_lib_env_push(L);
    lua_replace(L, base + 1); /* the metatable */
    if (lua_setupvalue(L, base + 3, 1) == NULL)
        lua_pop(L, 1);
    lua_remove(L, base + 2);
    lua_call(L, 0, 1);
}

/* "a.b" as "transforms/a/b.lua" into `out`; false for a name that could lead elsewhere. */
static bool
is_module_path(const char *name, char *out, size_t size)
{
    size_t at;
    char before = '.';

    pawl_fmt(out, size, "transforms/");
    at = strlen(out);
    for (const char *p = name; *p != '\0'; before = *p++)
    {
        bool is_word = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') || (*p >= '0' && *p <= '9') ||
                       *p == '_' || *p == '-';

        if (at + 6 >= size || (!is_word && (*p != '.' || before == '.')))
            return false;
        out[at++] = *p == '.' ? '/' : *p;
    }
    if (before == '.')
        return false;
    memcpy(out + at, ".lua", 5);
    return true;
}

/* Argument 1 is the path. */
static int
load_module(lua_State *L)
{
    pawl_lib_run_file(L, lua_tostring(L, 1));
    pawl_lib_env_seal(L, -2);
    return 1;
}

static int
base_require(lua_State *L)
{
    char path[200];
    size_t length;
    const char *name = luaL_checklstring(L, 1, &length);
    int status;

    lua_settop(L, 1);
    if (strlen(name) != length || !is_module_path(name, path, sizeof path))
        pawl_state_raise(L, "require(\"a.b\") loads transforms/a/b.lua of the migrations directory",
                         "\"%s\" is not the name of a module", name);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_MODULES);
    if (lua_getfield(L, 2, name) != LUA_TNIL)
    {
        if (lua_islightuserdata(L, 3) && lua_touserdata(L, 3) == (void *) pawl_lua_of(L))
            return luaL_error(L, "modules require each other in a circle: \"%s\" is still being loaded",
                              name);
        return 1;
    }
    lua_settop(L, 2);
    lua_pushlightuserdata(L, pawl_lua_of(L));
    lua_setfield(L, 2, name);

    lua_pushcfunction(L, load_module);
    lua_pushstring(L, path);
    status = lua_pcall(L, 1, 1, 0);
    if (status != LUA_OK || lua_isnil(L, -1))
    {
        /* nil takes the mark away again; a module that returns nothing is known as true. */
        if (status == LUA_OK)
            lua_pushboolean(L, 1);
        else
            lua_pushnil(L);
        lua_setfield(L, 2, name);
    }
    else
    {
        lua_pushvalue(L, -1);
        lua_setfield(L, 2, name);
    }
    if (status == LUA_OK)
        return 1;
    pawl_state_rethrow(L, status);
    return lua_error(L);
}

void
pawl_lib_base_open(lua_State *L)
{
    static const luaL_Reg own[] = {{"pairs", pawl_keys_pairs},  {"next", pawl_keys_next},
                                   {"tostring", base_tostring}, {"print", base_print},
                                   {"pcall", base_pcall},       {"xpcall", base_xpcall},
                                   {"rawset", base_rawset},     {"setmetatable", base_setmetatable},
                                   {"require", base_require},   {NULL, NULL}};
    static const char *const kept[] = {"assert", "error",  "getmetatable", "ipairs", "rawequal", "rawget",
                                       "rawlen", "select", "tonumber",     "type",   "_VERSION"};
    int library;

    luaL_requiref(L, LUA_GNAME, luaopen_base, 0);
    library = lua_gettop(L);
    lua_newtable(L);
    luaL_setfuncs(L, own, 0);
    for (size_t i = 0; i < sizeof kept / sizeof kept[0]; i++)
    {
        (void) lua_getfield(L, library, kept[i]);
        lua_setfield(L, -2, kept[i]);
    }
    lua_remove(L, library);

    luaL_requiref(L, LUA_UTF8LIBNAME, luaopen_utf8, 0);
    pawl_lib_seal(L, "utf8");
    lua_setfield(L, -2, "utf8");
    pawl_lib_string_open(L);
    pawl_lib_seal(L, "string");
    lua_setfield(L, -2, "string");
    pawl_lib_table_open(L);
    pawl_lib_seal(L, "table");
    lua_setfield(L, -2, "table");
    pawl_lib_math_open(L);
    pawl_lib_seal(L, "math");
    lua_setfield(L, -2, "math");
}
