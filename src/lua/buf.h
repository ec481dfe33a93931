/*
 * buf.h - inside the Lua layer: a growing buffer that a Lua error cannot leak.
 *
 * Short texts stay in the struct; longer ones move to a userdata at a stack slot that init takes. Values may be pushed
 * and popped freely above it between the calls.
 *
 *   init -> add ... -> push
 *
 * Threads: as the state.
 * Memory:  Lua's, and so within the cap; the slot stays on the stack until the caller removes it.
 */
#ifndef PAWL_LUA_BUF_H
#define PAWL_LUA_BUF_H

#include <lua.h>

#include "util/attr.h"

typedef struct pawl_lua_buf
{
    lua_State *L;
    char *data;
    size_t length;
    size_t capacity;
    int slot;
    char local[512];
} pawl_lua_buf;

/* Pushes one value: the slot. */
void pawl_lua_buf_init(pawl_lua_buf *b, lua_State *L);
void pawl_lua_buf_addn(pawl_lua_buf *b, const char *text, size_t length);
void pawl_lua_buf_add(pawl_lua_buf *b, const char *text);
void pawl_lua_buf_addc(pawl_lua_buf *b, char c);

/* Push the text as a Lua string. */
void pawl_lua_buf_push(pawl_lua_buf *b);

#endif
