#include <pthread.h>
#include <sys/resource.h>
#include <time.h>

#include "unit/lua/fixture.h"

#include "util/banned.h"
#if defined(__SANITIZE_ADDRESS__)
    #define HAS_ASAN 1
#elif defined(__has_feature)
    #if __has_feature(address_sanitizer)
        #define HAS_ASAN 1
    #endif
#endif
#if !defined(HAS_ASAN)
    #define HAS_ASAN 0
#endif

#define OVER_CAP ((size_t) 16 * 1024 * 1024)
#define CAP      ((size_t) 64 * 1024 * 1024)

/* Kilobytes of the most memory this process has ever had. */
static long
peak_kib(void)
{
    struct rusage usage;

    assert_int_equal(getrusage(RUSAGE_SELF, &usage), 0);
    return usage.ru_maxrss;
}

/* Other processes may be busy, too. */
static int64_t
cpu_us(void)
{
    struct timespec ts;

    assert_int_equal(clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts), 0);
    return (int64_t) ts.tv_sec * 1000000 + ts.tv_nsec / 1000;
}

/* The body of a row function must end in an error that contains one of two texts, soon, and without much memory. */
static void
is_stopped(fixture *fx, const char *body, const char *part, const char *other)
{
    char lua[1500];
    size_t peak = 0;
    long before = peak_kib();
    int64_t start;
    int64_t took;

    pawl_fmt(lua, sizeof lua, "return function(row) %s end", body);
    if (fx_open(fx, lua) != PAWL_OK)
        fail_msg("open: %s", fx->err.message);
    start = cpu_us();
    if (fx_run(fx) != PAWL_E_TRANSFORM)
        fail_msg("not stopped: %s", body);
    took = cpu_us() - start;
    if (strstr(fx->err.message, part) == NULL && (other == NULL || strstr(fx->err.message, other) == NULL))
        fail_msg("%s: \"%s\" does not contain \"%s\"", body, fx->err.message, part);
    if (getenv("PAWL_TEST_TIMES") != NULL)
        print_message("%8lld us %s: %s\n", (long long) took, body, fx->err.message);
    if (took > 2500000)
        fail_msg("%s: took %lld us", body, (long long) took);
    (void) pawl_lua_memory(fx->lua, &peak);
    assert_in_range(peak, 0, CAP);
    if (HAS_ASAN == 0) /* whose quarantine keeps what was freed */
        assert_in_range(peak_kib() - before, 0, (long) ((CAP + OVER_CAP) / 1024));
    fx_close(fx);
}

static void
absent_things_are_absent(void **state)
{
    fixture *fx = *state;
    static const char *const names[] = {
        "io",        "os",         "debug",       "package",   "coroutine",      "load",       "loadfile",
        "dofile",    "loadstring", "string.dump", "('').dump", "collectgarbage", "module",     "newproxy",
        "setfenv",   "getfenv",    "_G.io",       "_G.os",     "_G._G._G.load",  "_ENV.debug", "math.pi.x",
        "utf8.dump", "warn",
    };

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    {
        char lua[120];

        if (strcmp(names[i], "math.pi.x") == 0)
            continue;
        pawl_fmt(lua, sizeof lua, "return function(row) assert(%s == nil) end", names[i]);
        fx_ok(fx, lua);
    }
}

static void
bytecode_is_not_loaded(void **state)
{
    fixture *fx = *state;

    fx_close(fx);
    fx_file_n(fx, "transforms/t.lua", "\x1bLua\x54\x00\x19\x93\r\n\x1a\n", 12);
    assert_int_equal(pawl_lua_open(&fx->options, &fx->lua, &fx->err), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "attempt to load a binary chunk"));
    fx_file_n(fx, "transforms/m.lua", "\x1bLua\x54\x00\x19\x93\r\n\x1a\n", 12);
    assert_int_equal(fx_open(fx, "require('m')"), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "attempt to load a binary chunk"));
}

static void
libraries_and_metatables_cannot_be_changed(void **state)
{
    fixture *fx = *state;
    static const char *const bodies[] = {
        "getmetatable('').__index = {}",
        "getmetatable('').__index.upper = nil",
        "setmetatable(string, {})",
        "setmetatable(_G, {})",
        "setmetatable(_ENV, nil)",
        "setmetatable(row, {})",
        "rawset(string, 'upper', 1)",
        "rawset(pawl, 'null', 1)",
        "rawset(_G, 'x', 1)",
        "string.upper = 1",
        "math.random = 1",
        "pawl.null = 1",
        "pawl.json.encode = 1",
        "pawl.decimal.add = 1",
        "getmetatable(pawl.decimal('1')).__add = 1",
        "setmetatable({}, { __gc = function() end })",
        "table.insert(string, 1)",
        "table.sort(string, print) string[1] = 1",
        "setmetatable(pawl.json.decode('[]'), nil)",
    };

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        is_stopped(fx, bodies[i], "", NULL);
}

static void
endless_loops_are_ended(void **state)
{
    fixture *fx = *state;
    static const char *const bodies[] = {
        "while true do end",
        "repeat until false",
        "::top:: goto top",
        "for i = 1, math.huge do end",
        "while true do pcall(error) end",
        "while true do pcall(function() while true do end end) end",
        "while true do xpcall(function() while true do end end, function() while true do end end) end",
        "xpcall(function() while true do end end, function() return 'caught' end) while true do end",
        "local function f() return f() end f()",
        "local t = setmetatable({}, { __index = function(t, k) return t[k + 1] end }) while true do "
        "pcall(function() return t[1] end) end",
        "local x <close> = setmetatable({}, { __close = function() while true do end end }) while true do "
        "end",
        "for i = 1, 1e9 do local x <close> = setmetatable({}, { __close = function() while true do "
        "pcall(error) end end }) end",
        "for w in ('x'):rep(1000000):gmatch('') do for v in ('x'):rep(1000):gmatch('.') do end end",
        "table.sort({3,2,1,4}, function() while true do end end)",
        "('x'):gsub('x', function() while true do end end)",
        "error(setmetatable({}, { __tostring = function() while true do end end }))",
        "tostring(setmetatable({}, { __tostring = function() while true do end end }))",
    };

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        is_stopped(fx, bodies[i], "(endless loop?)", "stack overflow");
}

static void
limit_has_a_readable_message(void **state)
{
    fixture *fx = *state;

    fx->options.instruction_limit = 50000;
    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_fails(fx, "return function(row)\n\n  while true do end\nend",
             "transform ran more than 50,000 instructions for one row (endless loop?)");
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx->err.line, 3);
    assert_int_equal(fx->failed_row, 0);
    fx->options.instruction_limit = 0;
    fx_fails(fx, "return function(row)\n  local t = {}\n  while true do t[#t + 1] = {} end\nend",
             "transform used more than 64");
    assert_int_equal(fx->err.line, 3);
    fx_fails(fx, "return { batch = function(rows) while true do end end }", "for one batch");
}

static void
budget_is_for_each_row_and_the_state_goes_on(void **state)
{
    fixture *fx = *state;

    fx->options.instruction_limit = 100000;
    fx_columns(fx);
    for (int i = 0; i < 12; i++)
        fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row) for i = 1, 70000 do end return { a = 'ok' } end");
    assert_int_equal(fx->puts, 12);
    fx->cells[3][1] = "loop";
    fx_fails(fx, "return function(row) while row.a == 'loop' do end return { a = 'ok' } end",
             "100,000 instructions");
    assert_int_equal(fx->failed_row, 3);
    assert_int_equal(fx->puts, 3);
    fx->cells[3][1] = "x";
    assert_int_equal(fx_run(fx), PAWL_OK);
    assert_int_equal(fx->puts, 12);
    fx->cells[3][1] = "big";
    fx->options.instruction_limit = 1000000000; /* and as much time: memory is to run out first */
    fx_fails(fx,
             "return function(row) local t = {} while row.a == 'big' do t[#t + 1] = {} end return { a = 'ok' "
             "} end",
             "transform used more than 64");
    fx->cells[3][1] = "x";
    assert_int_equal(fx_run(fx), PAWL_OK);
}

static void
memory_bombs_are_stopped(void **state)
{
    fixture *fx = *state;
    static const char *const bodies[] = {
        "local s = ('x'):rep(1 << 30)",
        "local s = ('x'):rep(1 << 62)",
        "local s = ('x'):rep(1 << 40, 'yy')",
        "local s = 'x' while true do s = s .. s end",
        "local s = 'x' while true do pcall(function() s = s .. s end) end",
        "pcall(string.rep, 'x', 1 << 30) return { a = 'caught' }",
        "xpcall(string.rep, function() return 'x' end, 'x', 1 << 30) return { a = 'caught' }",
        "local t = {} while true do t[#t + 1] = ('x'):rep(1000) .. #t end",
        "local t = {} for i = 1, 1e9 do t[i] = i end",
        "local s = ('x'):rep(1 << 25) local t = {} for i = 1, 100 do t[i] = s end local u = table.concat(t)",
        "local s = ('x'):rep(1 << 24):gsub('x', 'yyyyyyyyyyyyyyyy')",
        "local s = string.format('%99.99f', 1) while true do s = string.format('%s%s', s, s) end",
        "local function f() return 1 + f() end f()",
        "local function f(...) return f(1, ...) end f()",
        "local function f() return pcall(f) end f() error('deep')",
        "local function f(s) return s:gsub('x', f) end f('x')",
        "local t = table.pack(table.unpack({}, 1, 900000)) local u = table.pack(table.unpack({}, 1, 1e8))",
        "local t = {} for i = 1, 3e6 do t[i] = i end return { a = pawl.json.encode(t) }",
        "string.pack('>I16', 1):rep(1e7)",
        "utf8.char(table.unpack({}, 1, 1e7))",
        "pawl.decimal('1e99999'):round(16383) while true do pawl.decimal.mul('1e99999', '1e99999') end",
    };

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        is_stopped(fx, bodies[i], "", NULL);
    is_stopped(fx, bodies[5], "transform used more than 64", NULL);
    is_stopped(fx, bodies[6], "transform used more than 64", NULL);
    is_stopped(fx, bodies[4], "transform used more than 64", NULL);
}

static void
long_calls_into_c_are_stopped(void **state)
{
    fixture *fx = *state;
    static const char *const bodies[] = {
        "return ('a'):rep(40):find(('a*'):rep(40) .. 'b')",
        "return ('a'):rep(5000):match('.-.-.-.-.-b')",
        "return ('a'):rep(5000):match(('.-'):rep(30) .. 'b')",
        "return ('a'):rep(300000):gsub('.*b', '')",
        "return ('a'):rep(300000):gsub('.-b', '')",
        "return ('('):rep(300000):gsub('%b()', '')",
        "for x in ('a'):rep(100000):gmatch('.*.*b') do end",
        "local a = ('a'):rep(3e6) return a:find(('a'):rep(1e6) .. 'b', 1, true)",
        "local a = ('a'):rep(3e6) return a:find(('a'):rep(1e6) .. 'b')",
        "while true do pcall(string.find, ('a'):rep(5000), '.-.-.-.-b') end",
        "local s = (''):rep(1 << 62) while true do s = s:rep(1 << 62, '') end",
        "table.move({}, 1, 1 << 60, 2)",
        "table.insert(setmetatable({}, { __len = function() return 1 << 60 end }), 1, 'x')",
        "table.remove(setmetatable({}, { __len = function() return 1 << 60 end }), 1)",
        "table.concat(setmetatable({}, { __len = function() return 1 << 60 end, __index = type }))",
        "local s = ('a'):rep(1e6) local t = {} for i = 1, 1e5 do t[i] = s end table.sort(t)",
        "table.sort(setmetatable({}, { __len = function() return (1 << 31) - 2 end, __index = rawlen }))",
        "local a, b = ('a'):rep(2e7), ('a'):rep(2e7 - 1) .. 'a' while a == b do end",
        "local a, b = ('a'):rep(2e7), ('a'):rep(2e7 - 1) .. 'a' while a <= b do end",
        "local a = ('\xc3\xa9'):rep(1e7) while utf8.len(a) do end",
        "local a = (' '):rep(3e7) while not tonumber(a) do end",
        "local a = (' '):rep(3e7) while true do pcall(function() return a + 1 end) end",
        "local a = ('x'):rep(3e7) while true do a:reverse() end",
        "local t = {} for i = 1, 5e5 do t[i] = i end while true do next(t) end",
        "local t = {} for i = 1, 3e5 do t['k' .. i] = i end while true do pairs(t) end",
        "local s = ('1'):rep(40000) while true do pawl.decimal.mul(s, s) end",
        "local s = ('1'):rep(50000) pawl.decimal.div(s, '7', 16000) while true do end",
        "while true do pawl.sha256(('x'):rep(1e7)) end",
        "local s = '[' .. ('1,'):rep(1e6) .. '1]' while true do pawl.json.decode(s) end",
    };

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        is_stopped(fx, bodies[i], "(endless loop?)", "used more than 64");
}

static void
deep_source_is_a_syntax_error(void **state)
{
    fixture *fx = *state;
    pawl_strbuf b = PAWL_STRBUF_INIT;

    pawl_strbuf_add(&b, "return ");
    for (int i = 0; i < 100000; i++)
        pawl_strbuf_addc(&b, '(');
    assert_int_equal(fx_open(fx, b.data), PAWL_E_INPUT);
    pawl_strbuf_fini(&b);
}

static void
long_work_of_a_good_row_is_no_bomb(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  local s = ('word 12.5, '):rep(50000)\n"
              "  local n = select(2, s:gsub('%d+%.%d+', '%0'))\n"
              "  local parts = {}\n"
              "  for w in s:gmatch('%a+') do parts[#parts + 1] = w end\n"
              "  table.sort(parts)\n"
              "  assert(s:find('nothing') == nil and s:match('^%s*(.-)%s*$'))\n"
              "  assert(#table.concat(parts, ' ') == 249999 and n == 50000)\n"
              "  return { a = 'ok' }\n"
              "end");
}

/* What a second worker sees while the first one is being stopped again and again. */
typedef struct neighbour
{
    fixture *fx;
    pawl_status status;
    int runs;
    volatile bool *is_over;
} neighbour;

static pawl_status
count_put(void *ctx, int row, const pawl_lua_answer *answer, pawl_error *err)
{
    (void) ctx;
    (void) row;
    (void) err;
    return answer->verdict == PAWL_LUA_WRITE && answer->values[0].length == 2 ? PAWL_OK : PAWL_E_BUG;
}

static void *
run_neighbour(void *arg)
{
    neighbour *n = arg;
    const pawl_lua_rows rows = {.count = n->fx->nrows, .ctx = n->fx, .get = fx_get, .put = count_put};
    pawl_error err = PAWL_ERROR_INIT;
    int failed = -1;

    for (n->runs = 0; n->runs < 2000 && n->status == PAWL_OK; n->runs++)
        n->status = pawl_lua_run(n->fx->lua, &rows, &failed, &err);
    return NULL;
}

static void
another_worker_is_not_harmed(void **state)
{
    fixture *fx = *state;
    void *other_state = NULL;
    neighbour n = {.status = PAWL_OK};
    pthread_t thread;

    assert_int_equal(fx_setup(&other_state), 0);
    n.fx = other_state;
    fx_columns(n.fx);
    for (int i = 0; i < 10; i++)
        fx_row(n.fx, "1", "x");
    assert_int_equal(fx_open(n.fx, "return function(row) return { a = row.a .. '!' } end"), PAWL_OK);
    assert_int_equal(pthread_create(&thread, NULL, run_neighbour, &n), 0);

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx->options.instruction_limit = 100000;
    for (int i = 0; i < 20; i++)
        is_stopped(fx, i % 2 == 0 ? "while true do end" : "return ('x'):rep(1 << 30)", "", NULL);

    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(n.status, PAWL_OK);
    assert_int_equal(n.runs, 2000);
    (void) fx_teardown(&other_state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(absent_things_are_absent),
        FX_TEST(bytecode_is_not_loaded),
        FX_TEST(libraries_and_metatables_cannot_be_changed),
        FX_TEST(endless_loops_are_ended),
        FX_TEST(limit_has_a_readable_message),
        FX_TEST(budget_is_for_each_row_and_the_state_goes_on),
        FX_TEST(memory_bombs_are_stopped),
        FX_TEST(long_calls_into_c_are_stopped),
        FX_TEST(deep_source_is_a_syntax_error),
        FX_TEST(long_work_of_a_good_row_is_no_bomb),
        FX_TEST(another_worker_is_not_harmed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
