/*
 * keys.h - inside the Lua layer: the keys of a table in an order that does not change from run to run.
 *
 * Lua seeds the hash of its strings from the clock and from addresses, so that the order of `next` differs between
 * processes. Here numbers come first, ascending, then strings by their bytes, then false and true; what has no value
 * to order by (tables, functions) comes last, in Lua's order.
 *
 * Threads: as the state.
 * Memory:  Lua's.
 */
#ifndef PAWL_LUA_KEYS_H
#define PAWL_LUA_KEYS_H

#include <lua.h>

#include "util/attr.h"

/* Push a sequence of the keys of the table at `index` in order; returns their number. Charges for the walk. */
lua_Integer pawl_keys_push(lua_State *L, int index);

/* pairs and next for scripts. */
int pawl_keys_pairs(lua_State *L);
int pawl_keys_next(lua_State *L);

/*
 * Length of the table at `index` if it is a sequence 1..n, where a field "n" may stand beside; -1 when it has other
 * keys or holes.
 */
lua_Integer pawl_keys_sequence(lua_State *L, int index);

#endif
