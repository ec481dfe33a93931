#include "lua/state.h"

#include <string.h>
#include <time.h>

#include "util/alloc.h"
#include "util/clock.h"
#include "util/strbuf.h"
#include "util/units.h"

#include "util/banned.h"

#define MIB       ((size_t) 1024 * 1024)
#define BIG_BLOCK ((size_t) 256 * 1024)
#define STEP_MAX  10000
#define STEP_MIN  4
#define STEP_BYTES \
    200000000 /* instructions between hooks times bytes in big blocks: bounds the time between */
#define CHECK_UNITS 10000

/* A batch may take the time of so many rows: it has done far more than a batch should long before. */
#define BATCH_TIMES_MAX 60

static const char anchors[PAWL_ANCHOR_COUNT];
static char null_address;
static char json_null_address;

/* lua_rawsetp wants a plain pointer; only its value matters. */
static const void *
anchor_key(pawl_anchor which)
{
    return &anchors[which];
}

void
pawl_anchor_set(lua_State *L, pawl_anchor which)
{
    lua_rawsetp(L, LUA_REGISTRYINDEX, anchor_key(which));
}

int
pawl_anchor_get(lua_State *L, pawl_anchor which)
{
    return lua_rawgetp(L, LUA_REGISTRYINDEX, anchor_key(which));
}

void
pawl_null_push(lua_State *L)
{
    lua_pushlightuserdata(L, &null_address);
}

bool
pawl_null_is(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &null_address;
}

void
pawl_json_null_push(lua_State *L)
{
    lua_pushlightuserdata(L, &json_null_address);
}

bool
pawl_json_null_is(lua_State *L, int index)
{
    return lua_islightuserdata(L, index) && lua_touserdata(L, index) == &json_null_address;
}

/*
 * Remember the innermost line of Lua that is running; without one, keep what is known. Allocates nothing: it is called
 * when memory has run out.
 */
static void
keep_place(pawl_lua *lua)
{
    lua_Debug ar;

    for (int level = 0; level < 50 && lua_getstack(lua->L, level, &ar) == 1; level++)
    {
        if (lua_getinfo(lua->L, "Sl", &ar) != 0 && ar.currentline > 0)
        {
            pawl_fmt(lua->place, sizeof lua->place, "%s", ar.source[0] == '@' ? ar.source + 1 : ar.short_src);
            lua->line = ar.currentline;
            return;
        }
    }
}

static void
note_place(pawl_lua *lua)
{
    lua->line = 0;
    lua->place[0] = '\0';
    keep_place(lua);
}

static void hook(lua_State *L, lua_Debug *ar);

/*
 * One instruction may compare or copy strings of many megabytes: the more bytes large blocks hold, the fewer
 * instructions pass between two looks at the clock. (lua_sethook may be called at any point, even by a signal.)
 */
static void
adapt_step(pawl_lua *lua)
{
    int step = STEP_MAX;

    if (lua->big > 0 && STEP_BYTES / lua->big < STEP_MAX)
        step = (int) (STEP_BYTES / lua->big);
    if (step < STEP_MIN)
        step = STEP_MIN;
    if (lua->unit_limit < 10 * (int64_t) step)
        step = lua->unit_limit < 10 ? 1 : (int) (lua->unit_limit / 10);
    if (lua->latch != PAWL_LATCH_NONE && lua->latch != PAWL_LATCH_REJECT)
        step = 1;
    if (step == lua->step || lua->L == NULL)
        return;
    lua->step = step;
    lua_sethook(lua->L, hook, LUA_MASKCOUNT, step);
}

static void
count_big(pawl_lua *lua, size_t old, size_t now)
{
    size_t before = lua->big;

    if (old >= BIG_BLOCK)
        lua->big -= old;
    if (now >= BIG_BLOCK)
    {
        lua->big += now;
        lua->spent += (int64_t) (now / 64);
    }
    if (lua->big > before)
        adapt_step(lua);
}

static void *
allocate(void *ud, void *ptr, size_t osize, size_t nsize)
{
    pawl_lua *lua = ud;
    size_t old = ptr == NULL ? 0 : osize;
    void *fresh;

    if (nsize == 0)
    {
        if (old >= BIG_BLOCK)
            count_big(lua, old, 0);
        lua->used -= old;
        pawl_blocks_give(&lua->blocks, ptr, old);
        return NULL;
    }
    if (nsize > old && (nsize - old > lua->limit || lua->used > lua->limit - (nsize - old)))
    {
        if (lua->L != NULL)
            keep_place(lua);
        return NULL;
    }

    fresh =
        ptr == NULL ? pawl_blocks_take(&lua->blocks, nsize) : pawl_blocks_grow(&lua->blocks, ptr, old, nsize);
    if (fresh == NULL)
    {
        lua->is_out = true;
        return NULL;
    }
    lua->used = lua->used - old + nsize;
    if (lua->used > lua->peak)
        lua->peak = lua->used;
    if (old >= BIG_BLOCK || nsize >= BIG_BLOCK)
        count_big(lua, old, nsize);
    return fresh;
}

static int64_t
thread_cpu_us(void)
{
    struct timespec ts = {0};

    if (clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts) != 0)
        return 0;
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The error value of a limit or reject needs no memory and cannot be made by a script. */
_Noreturn static void
raise_latched(lua_State *L)
{
    lua_pushlightuserdata(L, pawl_lua_of(L));
    (void) lua_error(L);
    __builtin_unreachable(); /* lua_error does not return */
}

_Noreturn static void
latch(lua_State *L, pawl_lua_latch which)
{
    pawl_lua *lua = pawl_lua_of(L);

    note_place(lua);
    lua->latch = which;
    adapt_step(lua);
    raise_latched(L);
}

static bool
has_limit(const pawl_lua *lua)
{
    return lua->latch != PAWL_LATCH_NONE && lua->latch != PAWL_LATCH_REJECT;
}

/* Processor time is asked for only once the (cheaper) wall time has passed: a paused process is no slow transform. */
static bool
has_time_passed(pawl_lua *lua)
{
    int64_t now = pawl_clock_us();

    if (lua->started_us == 0)
    {
        lua->started_us = now;
        lua->cpu_us = thread_cpu_us();
        return false;
    }
    return now - lua->started_us > lua->deadline_us && thread_cpu_us() - lua->cpu_us > lua->deadline_us;
}

void
pawl_state_check(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);

    if (has_limit(lua))
        raise_latched(L);
    if (lua->spent > lua->budget + lua->slack)
        latch(L, PAWL_LATCH_INSTRUCTIONS);
    if (has_time_passed(lua))
        latch(L, PAWL_LATCH_TIME);
    if (pawl_stop_level_of(lua->stop) >= PAWL_STOP_CANCEL)
        latch(L, PAWL_LATCH_STOP);
    lua->check_at = lua->spent + CHECK_UNITS;
}

static void
hook(lua_State *L, lua_Debug *ar)
{
    pawl_lua *lua = pawl_lua_of(L);

    (void) ar;
    lua->spent += lua->step;
    pawl_state_check(L);
    adapt_step(lua);
}

void
pawl_state_begin(pawl_lua *lua, int64_t rows)
{
    if (rows < 1)
        rows = 1;
    lua->budget = (lua->unit_limit > INT64_MAX / 2 / rows ? INT64_MAX / 2 : lua->unit_limit * rows);
    lua->slack = lua->step;
    lua->deadline_us = lua->time_limit_us * (rows < BATCH_TIMES_MAX ? rows : BATCH_TIMES_MAX);
    lua->spent = 0;
    lua->check_at = CHECK_UNITS < lua->budget ? CHECK_UNITS : lua->budget;
    lua->started_us = 0;
    lua->is_seeded = false;
}

void
pawl_state_recover(pawl_lua *lua)
{
    bool was_memory = lua->latch == PAWL_LATCH_MEMORY || lua->latch == PAWL_LATCH_SYSTEM;

    lua->latch = PAWL_LATCH_NONE;
    lua->is_out = false;
    lua->hint = NULL;
    if (was_memory)
        lua_gc(lua->L, LUA_GCCOLLECT);
    adapt_step(lua);
}

void
pawl_state_rethrow(lua_State *L, int status)
{
    pawl_lua *lua = pawl_lua_of(L);

    if (status == LUA_ERRMEM && lua->latch == PAWL_LATCH_NONE)
    {
        lua->latch = lua->is_out ? PAWL_LATCH_SYSTEM : PAWL_LATCH_MEMORY;
        adapt_step(lua);
    }
    if (lua->latch != PAWL_LATCH_NONE)
        raise_latched(L);
    lua->hint = NULL;
}

void
pawl_state_raise_reject(lua_State *L)
{
    pawl_lua_of(L)->latch = PAWL_LATCH_REJECT;
    raise_latched(L);
}

void
pawl_state_raise(lua_State *L, const char *hint, const char *fmt, ...)
{
    pawl_lua *lua = pawl_lua_of(L);
    char text[600];
    va_list args;

    va_start(args, fmt);
    pawl_vfmt(text, sizeof text, fmt, args);
    va_end(args);
    lua->hint = hint;
    note_place(lua);
    if (lua->line > 0)
        lua_pushfstring(L, "%s:%d: %s", lua->place, lua->line, text);
    else
        lua_pushstring(L, text);
    (void) lua_error(L);
    __builtin_unreachable(); /* lua_error does not return */
}

/* "transforms/price.lua:7: ..." names its own place, which may be another than the innermost line. */
static void
place_from_message(pawl_lua *lua, const char *message)
{
    const char *mark = strstr(message, ".lua:");
    size_t length = mark == NULL ? 0 : (size_t) (mark - message) + 4;
    int line = 0;

    if (mark == NULL || length >= sizeof lua->place || memchr(message, '\n', length) != NULL)
        return;
    for (mark += 5; *mark >= '0' && *mark <= '9' && line < 100000000; mark++)
        line = line * 10 + (*mark - '0');
    if (*mark != ':' || line == 0)
        return;
    if (strncmp(message, "...", 3) != 0)
        pawl_fmt(lua->place, sizeof lua->place, "%.*s", (int) length, message);
    lua->line = line;
}

static const char *
hint_for(const char *message)
{
    static const char *const absent[] = {
        "'os'",   "'io'",         "'debug'",  "'package'",        "'coroutine'",
        "'load'", "'loadstring'", "'dofile'", "'collectgarbage'", "'loadfile'"};

    for (size_t i = 0; i < sizeof absent / sizeof absent[0]; i++)
    {
        const char *at = strstr(message, absent[i]);

        if (at != NULL && strstr(message, "global ") != NULL)
            return "transforms run in a sandbox without os, io, debug, package, coroutine and load; pawl.now "
                   "is the "
                   "time, pawl.x and pawl.secret hold arguments";
    }
    return NULL;
}

/* Who called whom: of use where one function of the transform calls another. The last line is ours. */
static void
note_callers(pawl_lua *lua, const char *trace)
{
    static const char ours[] = "\n\t[C]: in ?";
    size_t length = strlen(trace);

    if (length > sizeof ours - 1 && strcmp(trace + length - (sizeof ours - 1), ours) == 0)
        length -= sizeof ours - 1;
    if (memchr(trace, '\n', length) != NULL)
        pawl_error_detail(&lua->report, "called from: %.*s", (int) length, trace);
}

/* The message handler of the outer call: fills the report while the stack is still there. */
static int
report(lua_State *L)
{
    pawl_lua *lua = pawl_lua_of(L);
    const char *message;
    const char *trace;
    const char *hint = lua->hint;

    if (lua->latch != PAWL_LATCH_NONE)
        return 1;
    note_place(lua);
    message = luaL_tolstring(L, 1, NULL);
    if (lua_istable(L, 1) && luaL_getmetafield(L, 1, "__tostring") == LUA_TNIL)
        message = "the error value is a table without __tostring";
    place_from_message(lua, message);
    pawl_error_set(&lua->report, PAWL_E_TRANSFORM, "%s", message);
    if (hint == NULL)
        hint = hint_for(message);
    if (hint != NULL)
        pawl_error_hint(&lua->report, "%s", hint);
    luaL_traceback(L, L, NULL, 1);
    trace = lua_tostring(L, -1);
    if (trace != NULL && strncmp(trace, "stack traceback:\n\t", 18) == 0)
        note_callers(lua, trace + 18);
    lua_settop(L, 1);
    return 1;
}

int
pawl_state_call(pawl_lua *lua, lua_CFunction body, void *ctx)
{
    lua_State *L = lua->L;

    lua_settop(L, 0);
    lua->line = 0;
    lua->place[0] = '\0';
    lua->report.code = PAWL_OK;
    lua_pushcfunction(L, report);
    lua_pushcfunction(L, body);
    lua_pushlightuserdata(L, ctx);
    return lua_pcall(L, 1, 0, 1);
}

static void
describe_limit(pawl_lua *lua, pawl_lua_latch which, pawl_status code, pawl_error *err)
{
    const char *what = lua->phase == PAWL_PHASE_BATCH  ? "one batch"
                       : lua->phase == PAWL_PHASE_ROW  ? "one row"
                       : lua->phase == PAWL_PHASE_WHEN ? "one expression"
                                                       : "loading and setup";
    char amount[32];

    if (which == PAWL_LATCH_MEMORY)
    {
        if (lua->limit % MIB == 0)
            pawl_fmt(amount, sizeof amount, "%zu MiB", lua->limit / MIB);
        else
            pawl_units_bytes((int64_t) lua->limit, amount, sizeof amount);
        pawl_error_set(err, code, "transform used more than %s of memory", amount);
        pawl_error_hint(err, "does it keep something of each row, or build a very long text?");
    }
    else if (which == PAWL_LATCH_TIME)
    {
        pawl_error_set(err, code,
                       "transform ran for more than %.3g s of processor time for %s (endless loop?)",
                       (double) lua->deadline_us / 1e6, what);
    }
    else
    {
        pawl_units_count(lua->budget, amount, sizeof amount);
        pawl_error_set(err, code, "transform ran more than %s instructions for %s (endless loop?)", amount,
                       what);
    }
    if (lua->line > 0)
        pawl_error_detail(err, "it was at %s:%d", lua->place, lua->line);
}

pawl_status
pawl_state_error(pawl_lua *lua, int status, pawl_status code, pawl_error *err)
{
    pawl_lua_latch which = lua->latch;

    if (status == LUA_ERRMEM && which == PAWL_LATCH_NONE)
        which = lua->is_out ? PAWL_LATCH_SYSTEM : PAWL_LATCH_MEMORY;
    lua->latch = which;

    if (which == PAWL_LATCH_SYSTEM)
        pawl_error_nomem(err, "a transform");
    else if (which == PAWL_LATCH_STOP)
        pawl_error_set(err, PAWL_E_STOPPED, "stopped while a transform was running");
    else if (which != PAWL_LATCH_NONE && which != PAWL_LATCH_REJECT)
        describe_limit(lua, which, code, err);
    else if (lua->report.code != PAWL_OK)
    {
        *err = lua->report;
        err->code = code;
    }
    else
        pawl_error_set(err, code,
                       "transform failed, and so did the report of why it did (error in __tostring?)");

    if (lua->line > 0)
        pawl_error_place(err, lua->place, lua->line, 0);
    pawl_state_recover(lua);
    return err->code;
}

pawl_status
pawl_state_init(pawl_lua *lua, pawl_error *err)
{
    lua_State *L = lua_newstate(allocate, lua);

    if (L == NULL)
        return pawl_error_nomem(err, "a Lua state");
    lua->L = L;
    *(pawl_lua **) lua_getextraspace(L) = lua;
    (void) lua_gc(L, LUA_GCGEN, 0, 0);
    adapt_step(lua);
    pawl_state_begin(lua, 1);
    return PAWL_OK;
}

void
pawl_state_fini(pawl_lua *lua)
{
    if (lua->L != NULL)
        lua_close(lua->L);
    lua->L = NULL;
    pawl_blocks_drop(&lua->blocks);
}
