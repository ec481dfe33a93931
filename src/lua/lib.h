/*
 * lib.h - inside the Lua layer: the libraries that a transform sees.
 *
 * Each `open` pushes one table of functions. What scripts get is a sealed proxy of it, so that no script changes a
 * library for another row, file or module.
 *
 * Threads: as the state.
 * Memory:  Lua's.
 */
#ifndef PAWL_LUA_LIB_H
#define PAWL_LUA_LIB_H

#include <lauxlib.h>
#include <lua.h>
#include <lualib.h>

#include "lua/transform.h"

/* Each pushes a table. string also becomes what s:method() finds. */
void pawl_lib_string_open(lua_State *L);
void pawl_lib_table_open(lua_State *L);
void pawl_lib_math_open(lua_State *L);
void pawl_lib_base_open(lua_State *L);
void pawl_lib_pawl_open(lua_State *L, const pawl_lua_options *options, bool is_check);
void pawl_lib_json_open(lua_State *L);
void pawl_lib_crypto_open(lua_State *L, int into); /* adds to the table at `into` */

/* Replace the table on top by a read-only view of it; `what` names it in messages (a string that stays). */
void pawl_lib_seal(lua_State *L, const char *what);

/* Push the text of the value at `index` as tostring gives it: no addresses. */
void pawl_lib_tostring_push(lua_State *L, int index);

/*
 * Run a Lua file below the root with an environment of its own; pushes what it returns, and leaves the environment's
 * metatable below it for pawl_lib_env_seal. Raises when it cannot be read, is wrong, or raises itself.
 */
void pawl_lib_run_file(lua_State *L, const char *file);

/* Push a fresh environment and above it its metatable. */
void pawl_lib_env_push(lua_State *L);

/* From now on assignments to globals of the environment with the metatable at `index` are errors. */
void pawl_lib_env_seal(lua_State *L, int index);

#endif
