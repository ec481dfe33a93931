#include "lua/transform.h"

#include <string.h>

#include "lua/lib.h"
#include "lua/state.h"
#include "util/alloc.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define MEMORY_LIMIT      ((size_t) 64 * 1024 * 1024)
#define INSTRUCTION_LIMIT 10000000
#define TIME_LIMIT_US     1000000 /* for as many instructions as above */
#define OID_BOX           603     /* the one type whose arrays are separated by ; */

/* What open hands to the protected part of its work. */
typedef struct opening
{
    pawl_lua *lua;
    const pawl_lua_options *options;
    bool is_check; /* no setup, no columns */
} opening;

static int
unknown_column(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    const char *name = luaL_tolstring(L, 2, NULL);
    const char *nearest = NULL;
    size_t best = SIZE_MAX;
    char meant[120] = "";

    /* A column that is NULL is absent from the table, too. */
    (void) pawl_anchor_get(L, PAWL_ANCHOR_COLUMNS);
    lua_pushvalue(L, 2);
    if (lua_rawget(L, -2) != LUA_TNIL)
    {
        lua_pushnil(L);
        return 1;
    }
    for (int i = 0; i < lua->nread; i++)
    {
        size_t distance = pawl_units_distance(name, lua->read[i].name, 3);

        if (distance < best && distance <= 3 && distance < strlen(name))
        {
            best = distance;
            nearest = lua->read[i].name;
        }
    }
    if (nearest != NULL)
        pawl_fmt(meant, sizeof meant, "; did you mean \"%s\"?", nearest);
    pawl_state_raise(L, "columns that a transform needs are listed under read:", "row has no column \"%s\"%s",
                     name, meant);
}

static pawl_status
copy_columns(pawl_arena *arena, const pawl_lua_column *from, int count, int most, pawl_column **out,
             pawl_error *err)
{
    pawl_column *columns = pawl_arena_array(arena, (size_t) most, sizeof *columns);

    if (columns == NULL)
        return pawl_error_nomem(err, "the columns of a transform");
    for (int i = 0; i < count; i++)
    {
        columns[i].name = pawl_arena_strdup(arena, from[i].name);
        columns[i].type_name = pawl_arena_strdup(arena, from[i].type_name);
        if (columns[i].name == NULL || columns[i].type_name == NULL)
            return pawl_error_nomem(err, "the columns of a transform");
        columns[i].name_length = strlen(columns[i].name);
        columns[i].kind = pawl_kind_of(from[i].type, from[i].element);
        columns[i].element = pawl_kind_of(from[i].element, 0);
        columns[i].delimiter = from[i].element == OID_BOX ? ';' : ',';
        columns[i].is_key = from[i].is_key;
    }
    *out = columns;
    return PAWL_OK;
}

static pawl_status
copy_options(pawl_lua *lua, const pawl_lua_options *options, pawl_error *err)
{
    pawl_status st;

    lua->limit = options->memory_limit == 0 ? MEMORY_LIMIT : options->memory_limit;
    lua->unit_limit = options->instruction_limit <= 0 ? INSTRUCTION_LIMIT : options->instruction_limit;
    lua->time_limit_us = lua->unit_limit <= INSTRUCTION_LIMIT
                             ? TIME_LIMIT_US
                             : lua->unit_limit / (INSTRUCTION_LIMIT / TIME_LIMIT_US);
    lua->stop = options->stop;
    lua->log = options->log;
    lua->log_ctx = options->log_ctx;
    lua->is_many = options->is_many;
    lua->nread = options->nread;
    lua->nwrite = options->nwrite;
    lua->most_written = options->most_written > lua->nwrite ? options->most_written : lua->nwrite;
    lua->root = pawl_arena_strdup(lua->arena, options->root == NULL ? "" : options->root);
    lua->file = options->file == NULL ? NULL : pawl_arena_strdup(lua->arena, options->file);
    lua->values = pawl_arena_array(lua->arena, (size_t) lua->most_written + 1, sizeof *lua->values);
    lua->is_set = pawl_arena_array(lua->arena, (size_t) lua->most_written + 1, sizeof *lua->is_set);
    if (lua->root == NULL || (options->file != NULL && lua->file == NULL) || lua->values == NULL ||
        lua->is_set == NULL)
        return pawl_error_nomem(err, "a transform");

    if ((st = copy_columns(lua->arena, options->read, lua->nread, lua->nread, &lua->read, err)) != PAWL_OK ||
        (st = copy_columns(lua->arena, options->write, lua->nwrite, lua->most_written, &lua->write, err)) !=
            PAWL_OK)
        return st;
    for (int i = 0; i < lua->nread; i++)
    {
        if (lua->read[i].kind == PAWL_KIND_JSON || lua->read[i].kind == PAWL_KIND_ARRAY)
            lua->has_sources = true;
    }
    return PAWL_OK;
}

/* Names as Lua strings, kept for life, so that equal names of up to 40 bytes have equal addresses. */
static void
intern_columns(lua_State *L, pawl_lua *lua)
{
    int count = lua->nread + lua->nwrite;

    lua_createtable(L, count, 0);
    lua_createtable(L, 0, lua->nread);
    for (int i = 0; i < count; i++)
    {
        pawl_column *column = i < lua->nread ? &lua->read[i] : &lua->write[i - lua->nread];

        column->key = lua_pushlstring(L, column->name, column->name_length);
        lua_pushvalue(L, -1);
        lua_rawseti(L, -4, i + 1);
        if (i < lua->nread)
        {
            lua_pushinteger(L, i + 1);
            lua_rawset(L, -3);
        }
        else
            lua_pop(L, 1);
    }
    pawl_anchor_set(L, PAWL_ANCHOR_COLUMNS);
    pawl_anchor_set(L, PAWL_ANCHOR_KEYS);

    lua_createtable(L, 0, 2);
    lua_pushcfunction(L, unknown_column);
    lua_setfield(L, -2, "__index");
    lua_pushliteral(L, "row");
    lua_setfield(L, -2, "__metatable");
    pawl_anchor_set(L, PAWL_ANCHOR_ROW_META);
}

/* Push field `name` of the table at `index` if it is a function, else raise; false when it is nil. */
static bool
has_entry(lua_State *L, int index, const char *name)
{
    int type;

    lua_pushstring(L, name);
    type = lua_rawget(L, index);
    if (type == LUA_TNIL)
    {
        lua_pop(L, 1);
        return false;
    }
    if (type != LUA_TFUNCTION)
        pawl_state_raise(L, NULL, "%s: \"%s\" is not a function but a %s", pawl_lua_of(L)->file, name,
                         lua_typename(L, type));
    return true;
}

/* Push the entry's function. The file's value is at `index`. */
static void
push_entry(lua_State *L, pawl_lua *lua, int index, bool is_reverse)
{
    int type = lua_type(L, index);

    if (type == LUA_TFUNCTION && !is_reverse)
    {
        lua_pushvalue(L, index);
        return;
    }
    if (type != LUA_TTABLE && !(type == LUA_TFUNCTION && is_reverse))
        pawl_state_raise(L, "end the file with return M, where M has a function row",
                         "%s must return a function, or a table with one called %s; it returned %s",
                         lua->file, is_reverse ? "reverse" : "row or batch",
                         type == LUA_TNIL ? "nothing" : luaL_typename(L, index));
    if (is_reverse)
    {
        if (type != LUA_TTABLE || !has_entry(L, index, "reverse"))
            pawl_state_raise(L, "function M.reverse(row) turns new values back into old ones",
                             "%s has no function reverse", lua->file);
        return;
    }
    if (has_entry(L, index, "batch"))
    {
        if (has_entry(L, index, "row"))
            pawl_state_raise(L, "keep one of them", "%s has both a function row and a function batch",
                             lua->file);
        lua->is_batch = true;
    }
    else if (!has_entry(L, index, "row"))
        pawl_state_raise(L, "function M.row(row) ... end return M",
                         "%s returns a table without a function row or batch", lua->file);
}

static int
open_state(lua_State *L)
{
    const opening *o = lua_touserdata(L, 1);
    pawl_lua *lua = o->lua;

    lua_settop(L, 0);
    lua_newtable(L);
    pawl_anchor_set(L, PAWL_ANCHOR_MODULES);
    pawl_lib_base_open(L);
    pawl_lib_pawl_open(L, o->options, o->is_check);
    lua_setfield(L, 1, "pawl");
    pawl_anchor_set(L, PAWL_ANCHOR_BASE);
    intern_columns(L, lua);
    if (lua->file == NULL)
        return 0;

    pawl_lib_run_file(L, lua->file); /* 1: metatable of the environment, 2: what the file returned */
    push_entry(L, lua, 2, strcmp(o->options->entry, "reverse") == 0);
    pawl_anchor_set(L, PAWL_ANCHOR_ENTRY);
    if (lua_istable(L, 2) && has_entry(L, 2, "setup") && !o->is_check)
        lua_call(L, 0, 0);
    pawl_lib_env_seal(L, 1);
    return 0;
}

static pawl_status
open_with(const pawl_lua_options *options, bool is_check, pawl_lua_phase phase, pawl_lua **out,
          pawl_error *err)
{
    PAWL_AUTO(pawl_lua) lua = pawl_calloc(1, sizeof *lua);
    opening o = {.lua = lua, .options = options, .is_check = is_check};
    pawl_status st;
    int status;

    if (lua == NULL)
        return pawl_error_nomem(err, "a transform");
    lua->arena = pawl_arena_new();
    if (lua->arena == NULL)
        return pawl_error_nomem(err, "a transform");
    lua->phase = phase;
    if ((st = copy_options(lua, options, err)) != PAWL_OK || (st = pawl_state_init(lua, err)) != PAWL_OK)
        return st;

    status = pawl_state_call(lua, open_state, &o);
    if (status != LUA_OK)
    {
        st = pawl_state_error(lua, status, PAWL_E_INPUT, err);
        if (err->file[0] == '\0' && lua->file != NULL)
            pawl_error_place(err, lua->file, 0, 0);
        return st;
    }
    if (phase == PAWL_PHASE_LOAD)
        lua->phase = lua->is_batch ? PAWL_PHASE_BATCH : PAWL_PHASE_ROW;
    *out = lua;
    lua = NULL;
    return PAWL_OK;
}

pawl_status
pawl_lua_open(const pawl_lua_options *options, pawl_lua **out, pawl_error *err)
{
    return open_with(options, false, PAWL_PHASE_LOAD, out, err);
}

void
pawl_lua_close(pawl_lua *lua)
{
    if (lua == NULL)
        return;
    pawl_state_fini(lua);
    pawl_arena_free(lua->arena);
    pawl_free(lua);
}

int
pawl_lua_written(const pawl_lua *lua)
{
    return lua->nwrite;
}

const char *
pawl_lua_written_name(const pawl_lua *lua, int column)
{
    return lua->write[column].name;
}

size_t
pawl_lua_memory(const pawl_lua *lua, size_t *peak)
{
    if (peak != NULL)
        *peak = lua->peak;
    return lua->used;
}

pawl_status
pawl_lua_check(const char *root, const char *file, const char *entry, pawl_error *err)
{
    PAWL_AUTO(pawl_lua) lua = NULL;
    pawl_lua_options options = {.root = root, .file = file, .entry = entry};

    return open_with(&options, true, PAWL_PHASE_LOAD, &lua, err);
}

/* An expression and its value. */
typedef struct question
{
    const char *expression;
    bool answer;
} question;

static int
ask(lua_State *L)
{
    question *q = lua_touserdata(L, 1);
    const char *text = lua_pushfstring(L, "return %s", q->expression);

    if (luaL_loadbufferx(L, text, strlen(text), "=when", "t") != LUA_OK)
        return lua_error(L);
    pawl_lib_env_push(L);
    (void) lua_getfield(L, -2, "pawl");
    (void) lua_getfield(L, -1, "x");
    lua_setfield(L, -4, "x");
    lua_pop(L, 1);
    pawl_lib_env_seal(L, -1);
    lua_pop(L, 1);
    if (lua_setupvalue(L, -2, 1) == NULL)
        lua_pop(L, 1);
    lua_call(L, 0, 1);
    if (!lua_isboolean(L, -1))
        pawl_state_raise(L, "compare: x.demo == \"true\", or x.demo ~= nil", "it gives %s, not true or false",
                         lua_isnil(L, -1) ? "nil" : lua_pushfstring(L, "a %s", luaL_typename(L, -1)));
    q->answer = lua_toboolean(L, -1) != 0;
    return 0;
}

pawl_status
pawl_lua_when(const char *expression, const pawl_lua_pair *x, size_t nx, bool *out, pawl_error *err)
{
    PAWL_AUTO(pawl_lua) lua = NULL;
    pawl_lua_options options = {.entry = "row", .x = x, .nx = nx};
    question q = {.expression = expression};
    pawl_status st = open_with(&options, false, PAWL_PHASE_WHEN, &lua, err);
    int status;

    if (st != PAWL_OK)
        return st;
    pawl_state_begin(lua, 1);
    status = pawl_state_call(lua, ask, &q);
    if (status == LUA_OK)
    {
        *out = q.answer;
        return PAWL_OK;
    }
    st = pawl_state_error(lua, status, PAWL_E_INPUT, err);
    err->file[0] = '\0';
    err->line = 0;
    if (st == PAWL_E_INPUT)
        pawl_error_prefix(err, "when: %.200s", expression);
    return st;
}
