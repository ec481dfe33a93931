/*
 * transform.h - a user's transform in a sandboxed Lua 5.4 state.
 *
 * A transform file returns a function, or a table with `row` (or `batch`), `reverse` and `setup`. One state serves one
 * worker: open loads the file, runs setup, and resolves the columns; run hands rows in and takes answers out.
 *
 *   open -> run ... -> close
 *
 * The sandbox: no io, os, debug, package, coroutine, load, string.dump, finalizers; `require` finds Lua files under the
 * transforms directory only; memory is capped by the allocator, instructions by a hook, long calls into C by counting
 * their work, all of it by processor time, and none can be caught by pcall. Globals are read-only once setup is done,
 * pairs has a fixed order. Randomness is seeded from each row's key, pawl.now is the job's fixed start: a second run gives the same.
 *
 * Values: see docs/transforms.md. In: integers, floats, booleans, bytes, and text for everything else, NULL is nil.
 * Out: text in PostgreSQL's input format. What is returned and is none of the written columns, or of a Lua type that
 * the column's type does not take, is PAWL_E_TRANSFORM that names column, Lua type and PostgreSQL type.
 *
 * Threads: a state belongs to one thread for life.
 * Memory:  the state owns everything; values given to the sink live until it returns. C code here owns nothing across
 *          a call that may raise.
 */
#ifndef PAWL_LUA_TRANSFORM_H
#define PAWL_LUA_TRANSFORM_H

#include "core/stop.h"

typedef struct pawl_lua pawl_lua;

/* The type oid of a written column that takes whatever the transform returns, in the text of its Lua type: integers as
 * bigint, strings as text, tables as jsonb, a decimal as numeric. (PostgreSQL's pseudo-type "any".) */
#define PAWL_LUA_ANY 2276

typedef struct pawl_lua_column
{
    const char *name;
    const char *type_name; /* for messages: "numeric(10,2)" */
    uint32_t type;         /* base type oid: domains are looked through */
    uint32_t element;      /* element type oid of an array, else 0 */
    bool is_key;           /* its text seeds the randomness */
} pawl_lua_column;

typedef struct pawl_lua_pair
{
    const char *key;
    const char *value;
} pawl_lua_pair;

typedef struct pawl_lua_options
{
    const char *root;            /* the migrations directory */
    const char *file;            /* the transform, relative to root: "transforms/price.lua" */
    const char *entry;           /* "row" (which includes batch), or "reverse" */
    const pawl_lua_column *read; /* what a row holds, key columns included */
    int nread;
    const pawl_lua_column *write; /* what a transform may return */
    int nwrite;
    int most_written; /* more than nwrite: a name that is none of `write` is taken up as a column of type PAWL_LUA_ANY,
                         up to this many columns in all (pawl_lua_written); 0: it is an error */
    bool
        is_many; /* the transform returns rows: none (nil or {}), one, or a list of them; put is called for each */
    const pawl_lua_pair *x; /* -x key=value: pawl.x */
    size_t nx;
    const pawl_lua_pair *secrets; /* pawl.secret */
    size_t nsecrets;
    int64_t now_us;      /* pawl.now: the job's start, wall time */
    size_t memory_limit; /* bytes; 0: 64 MiB */
    int64_t
        instruction_limit; /* per row, times the rows for `batch`; 0: 10,000,000. As many take a second at most,
                                      a batch a minute; higher limits take proportionally more */
    const pawl_stop *stop;                    /* CANCEL ends a running transform; may be NULL */
    void (*log)(void *ctx, const char *text); /* pawl.log; may be NULL */
    void *log_ctx;
} pawl_lua_options;

/* A value as PostgreSQL's text; data NULL is SQL NULL. Need not be NUL-terminated. */
typedef struct pawl_lua_value
{
    const char *data;
    size_t length;
} pawl_lua_value;

typedef enum pawl_lua_verdict
{
    PAWL_LUA_WRITE,  /* `values` holds what to write */
    PAWL_LUA_LEAVE,  /* the transform returned nil, or no rows */
    PAWL_LUA_REJECT, /* pawl.reject(reason) */
} pawl_lua_verdict;

typedef struct pawl_lua_answer
{
    pawl_lua_verdict verdict;
    const pawl_lua_value *values; /* one for each written column */
    const bool *is_set;           /* likewise: false where the answer does not name the column */
    const char *reason;           /* of a reject */
} pawl_lua_answer;

/* Where rows come from and answers go to. Both are called from within run, in row order. */
typedef struct pawl_lua_rows
{
    int count;
    void *ctx;
    pawl_lua_value (*get)(void *ctx, int row, int column); /* column: index into options.read */
    /* Anything but PAWL_OK ends the run with that status (PAWL_E_NOMEM, ...). Must not call into the state. Once a row;
     * with options.is_many once for each row that came of it, or once with LEAVE. */
    pawl_status (*put)(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err);
} pawl_lua_rows;

/*
 * Create the state and load the file. PAWL_E_INPUT with file and line: missing file, syntax error, no function
 * returned, an error in setup; PAWL_E_NOMEM.
 */
PAWL_NODISCARD pawl_status pawl_lua_open(const pawl_lua_options *options, pawl_lua **out, pawl_error *err);
void pawl_lua_close(pawl_lua *lua);

/*
 * Transform `rows->count` rows. PAWL_E_TRANSFORM when the transform raised, went over a limit, or returned what it may
 * not: *failed_row is the row (or -1 when it is not one row's fault, as in `batch`), err names the Lua file and line.
 * Rows before it have been put. PAWL_E_STOPPED when the stop asked for CANCEL, PAWL_E_NOMEM, and what put returned:
 * *failed_row is then meaningless. The state may be used again after any of these.
 */
PAWL_NODISCARD pawl_status pawl_lua_run(pawl_lua *lua, const pawl_lua_rows *rows, int *failed_row,
                                        pawl_error *err);

/* The written columns: those of the options, then those taken up since (`most_written`). */
int pawl_lua_written(const pawl_lua *lua);
const char *pawl_lua_written_name(const pawl_lua *lua, int column);

/* Bytes in use now, and at most since open. */
size_t pawl_lua_memory(const pawl_lua *lua, size_t *peak);

/*
 * Check that a file can be loaded and has the entry, without columns and without running setup. PAWL_E_INPUT as above.
 */
PAWL_NODISCARD pawl_status pawl_lua_check(const char *root, const char *file, const char *entry,
                                          pawl_error *err);

/* Evaluate a `when:` expression over x in the same sandbox. PAWL_E_INPUT when it raises or gives no boolean. */
PAWL_NODISCARD pawl_status pawl_lua_when(const char *expression, const pawl_lua_pair *x, size_t nx, bool *out,
                                         pawl_error *err);

PAWL_DEFINE_AUTO(pawl_lua, pawl_lua_close);

#endif
