/*
 * value.h - inside the Lua layer: PostgreSQL's text to Lua values and back.
 *
 * A json or array column becomes a table. When such a table is returned, it is compared with the text it was read
 * from, so that what was not touched goes back as its own text; PAWL_ANCHOR_SOURCES remembers which table is whose.
 *
 * Threads: as the state.
 * Memory:  texts of `take` live in the column's scratch space or in Lua's memory, at the stack slot given.
 */
#ifndef PAWL_LUA_VALUE_H
#define PAWL_LUA_VALUE_H

#include <lua.h>

#include "lua/transform.h"

typedef enum pawl_kind
{
    PAWL_KIND_TEXT, /* and everything that is a string in Lua and has no kind of its own */
    PAWL_KIND_INT2,
    PAWL_KIND_INT4,
    PAWL_KIND_INT8,
    PAWL_KIND_OID,
    PAWL_KIND_FLOAT4,
    PAWL_KIND_FLOAT8,
    PAWL_KIND_NUMERIC,
    PAWL_KIND_BOOL,
    PAWL_KIND_BYTEA,
    PAWL_KIND_JSON,
    PAWL_KIND_ARRAY,
    PAWL_KIND_ANY, /* of a written column: the kind follows from the value */
} pawl_kind;

#define PAWL_SCRATCH_BYTES 40 /* the longest number: sign, 17 digits, point, exponent; or 20 digits */

typedef struct pawl_column
{
    const char *name;
    size_t name_length;
    const char *
        key; /* the same name as Lua holds it: equal short names have equal addresses; NULL: Lua holds none */
    const char *type_name;
    pawl_kind kind;
    pawl_kind element; /* of an array */
    char delimiter;    /* between the elements of an array */
    bool is_key;
    char scratch[PAWL_SCRATCH_BYTES];
} pawl_column;

/* What a table was read from. */
typedef struct pawl_source
{
    const pawl_column *column;
    pawl_lua_value text;
} pawl_source;

pawl_kind pawl_kind_of(uint32_t type, uint32_t element);

/* Push the value that `text` stands for; text.data is not NULL. Raises when it is not of the kind. */
void pawl_value_push(lua_State *L, const pawl_column *column, pawl_lua_value text);

/* The same for a scalar kind (no array), also as the element of an array. */
void pawl_scalar_push(lua_State *L, const pawl_column *column, pawl_kind kind, pawl_lua_value text);

/*
 * The text of the value at `index` for the column. `source` is what the value was read from, or NULL. `slot` is a
 * stack slot that may be overwritten to keep the text alive. Raises when the column does not take such a value.
 */
pawl_lua_value pawl_value_take(lua_State *L, int index, pawl_column *column, const pawl_source *source,
                               int slot);

/*
 * The same for a scalar kind but json; `scratch` of PAWL_SCRATCH_BYTES. The text lives in scratch, in the value at
 * `index`, or in a new value on top of the stack.
 */
pawl_lua_value pawl_scalar_take(lua_State *L, int index, const pawl_column *column, pawl_kind kind,
                                char *scratch);

/* Arrays: value_array.c. `take` leaves one more value on the stack, the text. */
void pawl_array_push(lua_State *L, const pawl_column *column, pawl_lua_value text);
void pawl_array_take(lua_State *L, int index, const pawl_column *column, const pawl_source *source);

/* `value` as the shortest decimal text that reads back the same, as PostgreSQL writes float8 (or float4). */
size_t pawl_float_format(double value, bool is_float4, char *out);

/* `value` in decimal digits; returns the length. */
size_t pawl_int_format(int64_t value, char *out);

/* True when the bytes are valid UTF-8 without NUL. */
bool pawl_text_is_valid(const char *text, size_t length);

#endif
