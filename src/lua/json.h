/*
 * json.h - inside the Lua layer: JSON text to Lua tables and back, without losing anything.
 *
 * Objects become plain tables, arrays become tables with a metatable of their own (so that [] and {} stay apart), null
 * becomes pawl.null. A number that a Lua number would not print again as the same value becomes a decimal. Encoding a
 * value beside the text it was decoded from keeps the text of every part that was not changed, and the order of keys.
 *
 * Threads: as the state.
 * Memory:  results are Lua values.
 */
#ifndef PAWL_LUA_JSON_H
#define PAWL_LUA_JSON_H

#include <lua.h>

#include "lua/transform.h"

/* Push the value of a JSON text; raises "<what> is not valid JSON at byte N: ...". */
void pawl_json_push(lua_State *L, const char *what, pawl_lua_value text, bool is_top_null_distinct);

/*
 * Push the JSON text of the value at `index`. With `source` (data not NULL), which must be valid JSON, parts that equal
 * the source's keep its text. Raises for what JSON cannot say (functions, NaN, a table with both kinds of keys).
 */
void pawl_json_take(lua_State *L, int index, const char *what, pawl_lua_value source);

#endif
