#include "lua/lib.h"
#include "lua/state.h"

#include "util/banned.h"

#define FNV_OFFSET 0xcbf29ce484222325u
#define FNV_PRIME  0x100000001b3u

static uint64_t
mix(uint64_t hash, const char *bytes, size_t length)
{
    for (size_t i = 0; i < length; i++)
        hash = (hash ^ (unsigned char) bytes[i]) * FNV_PRIME;
    return (hash ^ 0xff) * FNV_PRIME;
}

static uint64_t
hash_key(const pawl_lua *lua, int row, uint64_t hash)
{
    for (int i = 0; i < lua->nread; i++)
    {
        pawl_lua_value v;

        if (!lua->read[i].is_key)
            continue;
        v = lua->rows->get(lua->rows->ctx, row, i);
        hash = mix(hash, v.data, v.data == NULL ? 0 : v.length);
    }
    return hash;
}

/* From the row's key, or those of the whole batch: the same in every run, and different from row to row. */
static pawl_rng *
generator(pawl_lua *lua)
{
    uint64_t hash = FNV_OFFSET;

    if (lua->is_seeded)
        return &lua->rng;
    if (lua->phase == PAWL_PHASE_ROW)
        hash = hash_key(lua, lua->row, hash);
    for (int row = 0; lua->phase == PAWL_PHASE_BATCH && row < lua->rows->count; row++)
        hash = hash_key(lua, row, hash);
    pawl_rng_init(&lua->rng, hash);
    lua->is_seeded = true;
    return &lua->rng;
}

static int
math_random(lua_State *L)
{
    pawl_rng *rng = generator(pawl_lua_of(L));
    lua_Integer low = 1;
    lua_Integer high;
    uint64_t span;

    switch (lua_gettop(L))
    {
        case 0:
            lua_pushnumber(L, (lua_Number) (pawl_rng_next(rng) >> 11) * 0x1p-53);
            return 1;
        case 1:
            high = luaL_checkinteger(L, 1);
            if (high == 0)
            {
                lua_pushinteger(L, (lua_Integer) pawl_rng_next(rng));
                return 1;
            }
            break;
        case 2:
            low = luaL_checkinteger(L, 1);
            high = luaL_checkinteger(L, 2);
            break;
        default:
            return luaL_error(L, "wrong number of arguments");
    }
    luaL_argcheck(L, low <= high, lua_gettop(L), "interval is empty");
    span = (uint64_t) high - (uint64_t) low + 1;
    span = span == 0 ? pawl_rng_next(rng) : pawl_rng_below(rng, span);
    lua_pushinteger(L, (lua_Integer) ((uint64_t) low + span));
    return 1;
}

static int
math_randomseed(lua_State *L)
{
    pawl_state_raise(
        L, "just call math.random",
        "math.randomseed is not available: random numbers are seeded from each row's key, so that a "
        "second run gives the same");
}

void
pawl_lib_math_open(lua_State *L)
{
    luaL_requiref(L, LUA_MATHLIBNAME, luaopen_math, 0);
    lua_pushcfunction(L, math_random);
    lua_setfield(L, -2, "random");
    lua_pushcfunction(L, math_randomseed);
    lua_setfield(L, -2, "randomseed");
}
