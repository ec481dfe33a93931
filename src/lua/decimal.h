/*
 * decimal.h - inside the Lua layer: exact decimal numbers, pawl.decimal.
 *
 * A decimal is a userdata that holds its own text; arithmetic works on digits. Division and rounding name their scale
 * and round half away from zero, as PostgreSQL's numeric does.
 *
 * Threads: as the state.
 * Memory:  Lua's.
 */
#ifndef PAWL_LUA_DECIMAL_H
#define PAWL_LUA_DECIMAL_H

#include <lua.h>

#include "util/attr.h"

/* Create the metatable; push the table pawl.decimal. */
void pawl_decimal_open(lua_State *L);

/* Push a decimal that holds a JSON number's (or numeric's) text as it is. */
void pawl_decimal_push(lua_State *L, const char *text, size_t length);

/* The text of the decimal at `index`, or NULL when it is none. */
const char *pawl_decimal_text(lua_State *L, int index, size_t *length);

#endif
