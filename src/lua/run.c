#include <string.h>

#include "lua/json.h"
#include "lua/lib.h"
#include "lua/state.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

/* What run keeps on the stack, from 1; the names of the read columns and then a slot for each written one follow. */
enum
{
    AT_ENTRY = 1,
    AT_ROW_META,
    AT_SOURCES,
    AT_NAMES,
};

/* Push a fresh table for the row. */
static void
push_row(lua_State *L, pawl_lua *lua, int row)
{
    const pawl_lua_rows *rows = lua->rows;

    lua_createtable(L, 0, lua->nread);
    for (int i = 0; i < lua->nread; i++)
    {
        const pawl_column *column = &lua->read[i];
        pawl_lua_value text = rows->get(rows->ctx, row, i);

        if (text.data == NULL)
            continue;
        lua_pushvalue(L, AT_NAMES + i);
        pawl_value_push(L, column, text);
        if (lua->has_sources && lua_istable(L, -1))
        {
            lua_pushvalue(L, -1);
            lua_pushinteger(L, (lua_Integer) row * lua->nread + i);
            lua_rawset(L, AT_SOURCES);
        }
        lua_rawset(L, -3);
    }
    lua_pushvalue(L, AT_ROW_META);
    lua_setmetatable(L, -2);
}

/* 1 and 1.0 are equal to Lua and not the same text. */
static bool
is_spelled_alike(lua_State *L, int index, pawl_lua_value text)
{
    bool is_integral = true;

    if (lua_type(L, index) != LUA_TNUMBER)
        return true;
    for (size_t i = 0; i < text.length; i++)
        is_integral = is_integral && strchr(".eE", text.data[i]) == NULL;
    return lua_isinteger(L, index) != 0 ? is_integral : !is_integral;
}

/*
 * A string, number or boolean of a json column has no identity: it came out of any column of the row that holds an equal
 * one, and goes back in the spelling of that.
 */
static bool
has_scalar_source(lua_State *L, const pawl_lua *lua, int index, pawl_source *out)
{
    int row = lua->row < 0 ? 0 : lua->row;

    for (int i = 0; i < lua->nread; i++)
    {
        pawl_lua_value text = {0};
        size_t space = 0;
        bool is_same;

        if (lua->read[i].kind != PAWL_KIND_JSON)
            continue;
        text = lua->rows->get(lua->rows->ctx, row, i);
        while (text.data != NULL && space < text.length && strchr(" \t\r\n", text.data[space]) != NULL)
            space++;
        if (text.data == NULL || space == text.length || text.data[space] == '{' || text.data[space] == '[' ||
            !is_spelled_alike(L, index, text))
            continue;
        pawl_json_take(L, index, lua->read[i].name, text);
        is_same =
            lua_rawlen(L, -1) == text.length && memcmp(lua_tostring(L, -1), text.data, text.length) == 0;
        lua_pop(L, 1);
        if (!is_same)
            continue;
        *out = (pawl_source){.column = &lua->read[i], .text = text};
        return true;
    }
    return false;
}

/* What the value at `index` was read from, if it came out of a row and goes into a column where that matters. */
static bool
has_source(lua_State *L, const pawl_lua *lua, const pawl_column *column, int index, pawl_source *out)
{
    lua_Integer place;

    if (!lua->has_sources)
        return false;
    if (!lua_istable(L, index))
        return column->kind == PAWL_KIND_JSON && has_scalar_source(L, lua, index, out);
    lua_pushvalue(L, index);
    if (lua_rawget(L, AT_SOURCES) == LUA_TNIL)
    {
        lua_pop(L, 1);
        return false;
    }
    place = lua_tointeger(L, -1);
    lua_pop(L, 1);
    out->column = &lua->read[place % lua->nread];
    out->text = lua->rows->get(lua->rows->ctx, (int) (place / lua->nread), (int) (place % lua->nread));
    return out->text.data != NULL;
}

_Noreturn static void
raise_unknown(lua_State *L, const pawl_lua *lua, int index)
{
    char known[200] = "";
    size_t at = 0;

    for (int i = 0; i < lua->nwrite && at < sizeof known - 1; i++)
    {
        pawl_fmt(known + at, sizeof known - at, "%s\"%s\"", i == 0 ? "" : ", ", lua->write[i].name);
        at += strlen(known + at);
    }
    if (lua_type(L, index) != LUA_TSTRING)
        pawl_state_raise(L, "return { column = value }",
                         "transform returned a table with a key that is a Lua %s, not "
                         "the name of a column",
                         luaL_typename(L, index));
    pawl_state_raise(L, "list the column under write:, or do not return it",
                     "transform returned \"%s\", which is no column it may write: %s", lua_tostring(L, index),
                     known);
}

/* Take up a column that nobody has named before. */
static int
add_written(lua_State *L, pawl_lua *lua, int index)
{
    pawl_column *column = &lua->write[lua->nwrite];
    size_t length;
    const char *name = lua_tolstring(L, index, &length);

    if (length == 0 || !pawl_text_is_valid(name, length))
        pawl_state_raise(L, NULL,
                         "transform returned a table with a key that cannot be the name of a column");
    *column = (pawl_column){.name = pawl_arena_strndup(lua->arena, name, length),
                            .name_length = length,
                            .type_name = "any",
                            .kind = PAWL_KIND_ANY,
                            .delimiter = ','};
    if (column->name == NULL)
        pawl_state_raise(L, NULL, "out of memory for the name of a column");
    return lua->nwrite++;
}

/* The written column that the key at `index` names. */
static int
find_written(lua_State *L, pawl_lua *lua, int index)
{
    size_t length;
    const char *name;

    if (lua_type(L, index) != LUA_TSTRING)
        raise_unknown(L, lua, index);
    name = lua_tolstring(L, index, &length);
    for (int i = 0; i < lua->nwrite; i++)
    {
        const pawl_column *column = &lua->write[i];

        if (name == column->key || ((column->name_length > 40 || column->key == NULL) &&
                                    length == column->name_length && memcmp(name, column->name, length) == 0))
            return i;
    }
    if (lua->nwrite < lua->most_written)
        return add_written(L, lua, index);
    raise_unknown(L, lua, index);
}

/* Read the columns out of the table at `index` into lua->values. */
static void
take_columns(lua_State *L, pawl_lua *lua, int index)
{
    int slots = AT_NAMES + lua->nread;
    int key = lua_gettop(L) + 1;
    bool is_empty = true;

    lua_pushnil(L);
    while (lua_next(L, index) != 0)
    {
        int i = find_written(L, lua, key);
        pawl_source source;

        if (pawl_null_is(L, key + 1))
            lua->values[i] = (pawl_lua_value){0};
        else
            lua->values[i] = pawl_value_take(
                L, key + 1, &lua->write[i],
                has_source(L, lua, &lua->write[i], key + 1, &source) ? &source : NULL, slots + i);
        lua->is_set[i] = true;
        is_empty = false;
        lua_settop(L, key);
    }
    if (is_empty)
        pawl_state_raise(L,
                         lua->is_many ? "return nil to write no row, and pawl.null to write NULL"
                                      : "return nil to leave the row alone, and pawl.null to write NULL",
                         "transform returned a table without any column");
}

/* True for {} and for a table that holds something at 1: what else may stand in it, check_list says. */
static bool
is_list(lua_State *L, int index)
{
    bool is_first_set = lua_rawgeti(L, index, 1) != LUA_TNIL;

    lua_pop(L, 1);
    if (is_first_set)
        return true;
    lua_pushnil(L);
    if (lua_next(L, index) == 0)
        return true;
    lua_pop(L, 2);
    return false;
}

/* The length of a list of rows without holes and without anything else in it. */
static lua_Integer
check_list(lua_State *L, int index)
{
    lua_Integer length = (lua_Integer) lua_rawlen(L, index);
    lua_Integer count = 0; /* of the places 1 to length */
    lua_Integer total = 0;

    lua_pushnil(L);
    while (lua_next(L, index) != 0)
    {
        if (lua_istable(L, -1) && lua_isinteger(L, -2))
        {
            count += lua_tointeger(L, -2) >= 1 && lua_tointeger(L, -2) <= length ? 1 : 0;
            total++;
            lua_pop(L, 1);
            continue;
        }
        if (lua_type(L, -2) == LUA_TSTRING)
            pawl_state_raise(L, "return one row { column = value }, or a list { { column = value }, ... }",
                             "transform returned a list of rows that also holds \"%s\"", lua_tostring(L, -2));
        pawl_state_raise(L, "a list holds rows: { { column = value }, ... }",
                         "transform returned a list of rows that holds a Lua %s", luaL_typename(L, -1));
    }
    if (count != length || total != length)
        pawl_state_raise(L, "leave out what is no row, for example with rows[#rows + 1] = row",
                         "transform returned a list of rows with holes in it");
    return length;
}

/* Put every row of the list at `index`; false when the sink ends the run. */
static bool
is_list_put(lua_State *L, pawl_lua *lua, int row, int index)
{
    pawl_lua_answer answer = {.verdict = PAWL_LUA_LEAVE, .values = lua->values, .is_set = lua->is_set};
    lua_Integer length = check_list(L, index);
    int top = lua_gettop(L);

    lua->sink = PAWL_OK;
    if (length == 0)
        lua->sink = lua->rows->put(lua->rows->ctx, row, &answer, lua->sink_err);
    answer.verdict = PAWL_LUA_WRITE;
    for (lua_Integer i = 1; i <= length && lua->sink == PAWL_OK; i++)
    {
        pawl_state_charge(L, 1);
        memset(lua->is_set, 0, (size_t) lua->most_written * sizeof *lua->is_set);
        (void) lua_rawgeti(L, index, i);
        take_columns(L, lua, top + 1);
        lua->sink = lua->rows->put(lua->rows->ctx, row, &answer, lua->sink_err);
        lua_settop(L, top);
    }
    return lua->sink == PAWL_OK;
}

/* Hand the answer at `index` (nil or a table) to the sink; false when the sink ends the run. */
static bool
is_put(lua_State *L, pawl_lua *lua, int row, int index)
{
    pawl_lua_answer answer = {.verdict = PAWL_LUA_LEAVE, .values = lua->values, .is_set = lua->is_set};

    memset(lua->is_set, 0, (size_t) lua->most_written * sizeof *lua->is_set);
    if (lua->is_many && lua_istable(L, index) && is_list(L, index))
        return is_list_put(L, lua, row, index);
    if (lua_istable(L, index))
    {
        take_columns(L, lua, index);
        answer.verdict = PAWL_LUA_WRITE;
    }
    else if (!lua_isnil(L, index))
        pawl_state_raise(L,
                         lua->is_many
                             ? "return a row { column = value }, a list of rows, or nil to write none"
                             : "return a table { column = value }, or nil to leave the row alone",
                         "transform returned a Lua %s", luaL_typename(L, index));
    lua->sink = lua->rows->put(lua->rows->ctx, row, &answer, lua->sink_err);
    return lua->sink == PAWL_OK;
}

static pawl_status
put_reject(pawl_lua *lua, int row, const char *reason, pawl_error *err)
{
    pawl_lua_answer answer = {
        .verdict = PAWL_LUA_REJECT, .values = lua->values, .is_set = lua->is_set, .reason = reason};

    memset(lua->is_set, 0, (size_t) lua->most_written * sizeof *lua->is_set);
    return lua->rows->put(lua->rows->ctx, row, &answer, err);
}

/* Lay out the stack as the enum says; returns its height. */
static int
prepare(lua_State *L, const pawl_lua *lua)
{
    lua_settop(L, 0);
    luaL_checkstack(L, lua->nread + lua->most_written + 40, "columns");
    (void) pawl_anchor_get(L, PAWL_ANCHOR_ENTRY);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_ROW_META);
    if (lua->has_sources)
        lua_newtable(L);
    else
        lua_pushnil(L);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_KEYS);
    for (int i = 1; i <= lua->nread; i++)
        (void) lua_rawgeti(L, AT_NAMES, i);
    lua_remove(L, AT_NAMES);
    lua_settop(L, AT_NAMES + lua->nread + lua->most_written - 1);
    return lua_gettop(L);
}

/* From lua->row to the last row, or to the first that raises. */
static int
run_rows(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    int top = prepare(L, lua);

    for (; lua->row < lua->rows->count; lua->row++)
    {
        pawl_state_begin(lua, 1);
        if (lua->has_sources)
        {
            lua_newtable(L);
            lua_replace(L, AT_SOURCES);
        }
        lua_pushvalue(L, AT_ENTRY);
        push_row(L, lua, lua->row);
        lua_call(L, 1, 1);
        if (!is_put(L, lua, lua->row, top + 1))
            return 0;
        lua_settop(L, top);
    }
    return 0;
}

/* Every key of the answers is the place of a row (or "n"). */
static void
check_answers(lua_State *L, const pawl_lua *lua, int index)
{
    lua_pushnil(L);
    while (lua_next(L, index) != 0)
    {
        lua_pop(L, 1);
        if (lua_isinteger(L, -1) && lua_tointeger(L, -1) >= 1 && lua_tointeger(L, -1) <= lua->rows->count)
            continue;
        if (lua_type(L, -1) == LUA_TSTRING && strcmp(lua_tostring(L, -1), "n") == 0)
            continue;
        (void) luaL_tolstring(L, -1, NULL);
        pawl_state_raise(L, "answers[i] belongs to rows[i]; nil leaves the row alone",
                         "batch returned an answer at \"%s\"; the batch has rows 1 to %d",
                         lua_tostring(L, -1), lua->rows->count);
    }
}

static int
run_batch(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    int top = prepare(L, lua);
    int count = lua->rows->count;

    pawl_state_begin(lua, count);
    lua_newtable(L);
    pawl_anchor_set(L, PAWL_ANCHOR_REJECTS);
    lua_pushvalue(L, AT_ENTRY);
    lua_createtable(L, count, 1);
    for (int row = 0; row < count; row++)
    {
        push_row(L, lua, row);
        lua_rawseti(L, -2, row + 1);
    }
    lua_pushliteral(L, "n");
    lua_pushinteger(L, count);
    lua_rawset(L, -3);
    lua_call(L, 1, 1);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_REJECTS);
    if (lua_istable(L, top + 1))
        check_answers(L, lua, top + 1);
    else if (!lua_isnil(L, top + 1))
        pawl_state_raise(L, "return a table with an answer for each row: answers[i] belongs to rows[i]",
                         "batch returned a Lua %s", luaL_typename(L, top + 1));

    for (lua->row = 0; lua->row < count; lua->row++)
    {
        bool is_done;

        if (lua_rawgeti(L, top + 2, lua->row + 1) == LUA_TSTRING)
        {
            lua->sink = put_reject(lua, lua->row, lua_tostring(L, -1), lua->sink_err);
            is_done = lua->sink == PAWL_OK;
        }
        else
        {
            lua_settop(L, top + 2);
            if (lua_istable(L, top + 1))
                (void) lua_rawgeti(L, top + 1, lua->row + 1);
            else
                lua_pushnil(L);
            is_done = is_put(L, lua, lua->row, top + 3);
        }
        if (!is_done)
            return 0;
        lua_settop(L, top + 2);
    }
    return 0;
}

/* The reject that pawl.reject left: put it, and say whether to go on behind it. */
static pawl_status
settle_reject(pawl_lua *lua, pawl_error *err)
{
    lua_State *L = lua->L;
    pawl_status st;

    pawl_state_recover(lua);
    lua_settop(L, 0);
    (void) pawl_anchor_get(L, PAWL_ANCHOR_REASON);
    st = put_reject(lua, lua->row, lua_tostring(L, -1), err);
    lua_settop(L, 0);
    lua->row++;
    return st;
}

/* An answer that may not be has no place of its own: name the function that gave it. */
static void
place_at_entry(pawl_lua *lua, pawl_error *err)
{
    lua_Debug ar;

    if (err->file[0] != '\0')
        return;
    lua_settop(lua->L, 0);
    (void) pawl_anchor_get(lua->L, PAWL_ANCHOR_ENTRY);
    if (lua_getinfo(lua->L, ">S", &ar) != 0 && ar.source[0] == '@')
        pawl_error_place(err, ar.source + 1, ar.linedefined, 0);
    else
        pawl_error_place(err, lua->file, 0, 0);
}

pawl_status
pawl_lua_run(pawl_lua *lua, const pawl_lua_rows *rows, int *failed_row, pawl_error *err)
{
    pawl_status st;

    lua->rows = rows;
    lua->row = lua->is_batch ? -1 : 0;
    lua->sink = PAWL_OK;
    lua->sink_err = err;
    while (rows->count > 0)
    {
        int status = pawl_state_call(lua, lua->is_batch ? run_batch : run_rows, NULL);

        if (status == LUA_OK)
            return lua->sink;
        if (lua->latch == PAWL_LATCH_REJECT)
        {
            st = settle_reject(lua, err);
            if (st != PAWL_OK || lua->row == rows->count)
                return st;
            continue;
        }
        st = pawl_state_error(lua, status, PAWL_E_TRANSFORM, err);
        if (st == PAWL_E_TRANSFORM)
            place_at_entry(lua, err);
        *failed_row = st == PAWL_E_TRANSFORM ? lua->row : -1;
        lua_settop(lua->L, 0);
        return st;
    }
    return PAWL_OK;
}
