/*
 * state.h - inside the Lua layer: the state with its limits, and what every file of the layer shares.
 *
 * The work of a transform is counted in units: one for each Lua instruction (the count hook), and what C functions
 * charge for loops that the hook cannot see (patterns, sorting, walks over tables, large blocks of memory). A limit
 * that is exceeded is latched and raised again by pcall, xpcall and the hook until the run is left: a transform
 * cannot catch it. A limit of processor time stands behind the units, for what they do not describe well.
 *
 *   init -> (begin ... ) -> fini
 *
 * Threads: a state belongs to one thread for life.
 * Memory:  C functions called from Lua own nothing across a call that may raise: what they need lives in Lua's
 *          memory, on the C stack, or in the struct below.
 */
#ifndef PAWL_LUA_STATE_H
#define PAWL_LUA_STATE_H

#include <lauxlib.h>
#include <lua.h>

#include "lua/blocks.h"
#include "lua/transform.h"
#include "lua/value.h"
#include "util/arena.h"
#include "util/rng.h"

/* What has ended, or is ending, a run. All but NONE and REJECT are limits: they cannot be caught. */
typedef enum pawl_lua_latch
{
    PAWL_LATCH_NONE,
    PAWL_LATCH_MEMORY,       /* the cap */
    PAWL_LATCH_SYSTEM,       /* the system has no more memory */
    PAWL_LATCH_INSTRUCTIONS, /* units */
    PAWL_LATCH_TIME,         /* processor time */
    PAWL_LATCH_STOP,         /* the stop was requested twice */
    PAWL_LATCH_REJECT,       /* pawl.reject: set by it, cleared when the reject is put */
} pawl_lua_latch;

/* Which code is running: what pawl.reject and the messages depend on. */
typedef enum pawl_lua_phase
{
    PAWL_PHASE_LOAD,
    PAWL_PHASE_ROW,
    PAWL_PHASE_BATCH,
    PAWL_PHASE_WHEN,
} pawl_lua_phase;

/* Values that live in the registry under pawl_lua_anchor(L, which). */
typedef enum pawl_anchor
{
    PAWL_ANCHOR_BASE,       /* table: what every environment starts with */
    PAWL_ANCHOR_MODULES,    /* table: what require has loaded, by name */
    PAWL_ANCHOR_ENTRY,      /* the function row, batch or reverse */
    PAWL_ANCHOR_ROW_META,   /* metatable of row tables */
    PAWL_ANCHOR_COLUMNS,    /* table: name of a read column -> its index from 1 */
    PAWL_ANCHOR_KEYS,       /* array: names of the read columns, then of the written ones */
    PAWL_ANCHOR_REASON,     /* reason of the reject in flight */
    PAWL_ANCHOR_REJECTS,    /* table: row of a batch -> reason */
    PAWL_ANCHOR_SOURCES,    /* table: a json or array table -> row * nread + column, see value.h */
    PAWL_ANCHOR_ARRAY_META, /* metatable of JSON arrays */
    PAWL_ANCHOR_DECIMAL,    /* metatable of decimals */
    PAWL_ANCHOR_PATTERNS,   /* table: text -> compiled pattern, see pattern.c */
    PAWL_ANCHOR_GMATCHES,   /* the same for gmatch, where ^ is no anchor */
    PAWL_ANCHOR_COUNT,
} pawl_anchor;

#define PAWL_RECENT_PATTERNS 8

/* A pattern of which the text's address is known, see pattern.c. */
typedef struct pawl_recent_pattern
{
    const char *text;
    const struct pawl_pattern *pattern;
} pawl_recent_pattern;

struct pawl_lua
{
    lua_State *L;
    pawl_arena *arena; /* names, messages' parts: for life */

    pawl_blocks blocks;
    size_t used; /* bytes that Lua holds */
    size_t peak;
    size_t limit;
    size_t big;  /* bytes in blocks of at least 256 KiB: while there are some, the hook comes more often */
    bool is_out; /* the system refused an allocation */
    pawl_recent_pattern recent[PAWL_RECENT_PATTERNS];
    unsigned next_recent; /* the one that gives way */

    int64_t unit_limit;    /* per row */
    int64_t budget;        /* of the row or batch that runs */
    int64_t slack;         /* units of earlier rows that its first hook may count */
    int64_t spent;         /* by it, so far */
    int64_t check_at;      /* the next look at the clock and the stop is due when `spent` gets here */
    int64_t time_limit_us; /* processor time, per row */
    int64_t deadline_us;   /* processor time of the row or batch that runs */
    int64_t started_us;    /* monotonic time of the first look; 0: none yet */
    int64_t cpu_us;        /* processor time of the first look */
    int step;              /* instructions between two hooks */
    pawl_lua_latch latch;
    pawl_lua_phase phase;

    const pawl_stop *stop;
    void (*log)(void *ctx, const char *text);
    void *log_ctx;
    const char *root;
    const char *file; /* NULL for an expression */

    pawl_column *read;
    int nread;
    pawl_column *write;
    int nwrite;
    int most_written;       /* nwrite, unless the transform may add columns */
    pawl_lua_value *values; /* most_written */
    bool *is_set;           /* most_written */
    bool has_sources;       /* a read column is json or an array */
    bool is_batch;
    bool is_many; /* an answer may be a list of rows */

    const pawl_lua_rows *rows; /* of the run */
    int row;                   /* being transformed; in a batch: whose answer is being read, else -1 */
    pawl_status sink;          /* what put returned */
    pawl_error *sink_err;

    pawl_rng rng;
    bool is_seeded; /* for this row */

    const char *hint; /* for the error being raised; a static string */
    int line;         /* place of the last limit or error, 0: unknown */
    char place[240];
    pawl_error report; /* filled by the message handler */
};

static inline pawl_lua *
pawl_lua_of(lua_State *L)
{
    return *(pawl_lua **) lua_getextraspace(L);
}

/* Create lua->L; limits must be set. PAWL_E_NOMEM. */
PAWL_NODISCARD pawl_status pawl_state_init(pawl_lua *lua, pawl_error *err);
void pawl_state_fini(pawl_lua *lua);

/* Start counting for one row, or a batch of `rows`. */
void pawl_state_begin(pawl_lua *lua, int64_t rows);

/* Forget a limit or reject after it has been reported: the state may go on. */
void pawl_state_recover(pawl_lua *lua);

/* Count work that the hook cannot see. May raise. */
void pawl_state_check(lua_State *L);

static inline void
pawl_state_charge(lua_State *L, int64_t units)
{
    pawl_lua *lua = pawl_lua_of(L);

    lua->spent += units;
    if (lua->spent >= lua->check_at)
        pawl_state_check(L);
}

/* After a protected call: raises again what must not be caught. Else forgets the hint of the caught error. */
void pawl_state_rethrow(lua_State *L, int status);

/* Raise the latched reject. */
_Noreturn void pawl_state_raise_reject(lua_State *L);

/* As luaL_error, with printf's formats and with a hint: a static string, or NULL. */
_Noreturn void pawl_state_raise(lua_State *L, const char *hint, const char *fmt, ...) PAWL_PRINTF(3, 4);

/* Call `body` (with `ctx` as a light userdata) in protected mode; what it raised is in lua->report or latched. */
PAWL_NODISCARD int pawl_state_call(pawl_lua *lua, lua_CFunction body, void *ctx);

/* Turn a failed pawl_state_call into an error of `code` (or NOMEM, STOPPED). */
pawl_status pawl_state_error(pawl_lua *lua, int status, pawl_status code, pawl_error *err);

void pawl_anchor_set(lua_State *L, pawl_anchor which); /* pops the value */
int pawl_anchor_get(lua_State *L, pawl_anchor which);  /* pushes it, returns its type */

/* The value that stands for NULL inside arrays and json, and that writes NULL; and JSON's own null at top level. */
void pawl_null_push(lua_State *L);
bool pawl_null_is(lua_State *L, int index);
void pawl_json_null_push(lua_State *L);
bool pawl_json_null_is(lua_State *L, int index);

#endif
