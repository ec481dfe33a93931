#include "lua/buf.h"

#include <string.h>

#include <lauxlib.h>

#include "util/banned.h"

void
pawl_lua_buf_init(pawl_lua_buf *b, lua_State *L)
{
    b->L = L;
    b->data = b->local;
    b->length = 0;
    b->capacity = sizeof b->local;
    lua_pushnil(L);
    b->slot = lua_gettop(L);
}

static void
grow(pawl_lua_buf *b, size_t more)
{
    size_t capacity = b->capacity;
    char *fresh;

    if (more > SIZE_MAX / 4 - b->length)
    {
        luaL_error(b->L, "resulting string too large");
        return;
    }
    while (capacity < b->length + more)
        capacity *= 2;
    luaL_checkstack(b->L, 2, "a long text");
    fresh = lua_newuserdatauv(b->L, capacity, 0);
    memcpy(fresh, b->data, b->length);
    lua_replace(b->L, b->slot);
    b->data = fresh;
    b->capacity = capacity;
}

void
pawl_lua_buf_addn(pawl_lua_buf *b, const char *text, size_t length)
{
    if (length > b->capacity - b->length)
        grow(b, length);
    if (length > 0)
        memcpy(b->data + b->length, text, length);
    b->length += length;
}

void
pawl_lua_buf_add(pawl_lua_buf *b, const char *text)
{
    pawl_lua_buf_addn(b, text, strlen(text));
}

void
pawl_lua_buf_addc(pawl_lua_buf *b, char c)
{
    if (b->length == b->capacity)
        grow(b, 1);
    b->data[b->length++] = c;
}

void
pawl_lua_buf_push(pawl_lua_buf *b)
{
    lua_pushlstring(b->L, b->data, b->length);
}
