/* The matcher against the one of Lua's own library, on many random patterns. */
#include <lauxlib.h>
#include <lualib.h>

#include "lua/state.h"
#include "unit/lua/fixture.h"
#include "util/rng.h"

#include "util/banned.h"

#define CASES 60000

/* Draw up to `most` pieces. */
static void
draw(pawl_rng *rng, const char *const *pieces, size_t count, uint64_t most, char *out, size_t size)
{
    uint64_t length = pawl_rng_below(rng, most + 1);

    out[0] = '\0';
    for (uint64_t i = 0; i < length; i++)
        pawl_fmt(out + strlen(out), size - strlen(out), "%s", pieces[pawl_rng_below(rng, count)]);
}

/* Call the function on top with the arguments and describe all results in `out`; false when it raised. */
static bool
has_results(lua_State *L, const char *const *args, int nargs, lua_Integer number, char *out, size_t size)
{
    int base = lua_gettop(L);

    for (int i = 0; i < nargs; i++)
        lua_pushstring(L, args[i]);
    if (number != 0)
        lua_pushinteger(L, number);
    out[0] = '\0';
    if (lua_pcall(L, nargs + (number != 0 ? 1 : 0), LUA_MULTRET, 0) != LUA_OK)
    {
        pawl_fmt(out, size, "%s", lua_tostring(L, -1));
        lua_settop(L, 0);
        return false;
    }
    for (int i = base; i <= lua_gettop(L); i++)
    {
        pawl_fmt(out + strlen(out), size - strlen(out), "%s:%s|", luaL_typename(L, i),
                 lua_isnil(L, i) ? "nil" : lua_tostring(L, i));
    }
    lua_settop(L, 0);
    return true;
}

/* Push string.<name> of the sandbox. */
static void
push_own(lua_State *L, const char *name)
{
    (void) pawl_anchor_get(L, PAWL_ANCHOR_BASE);
    (void) lua_getfield(L, -1, "string");
    (void) lua_getfield(L, -1, name);
    lua_replace(L, 1);
    lua_settop(L, 1);
}

static void
push_reference(lua_State *L, const char *name)
{
    (void) lua_getglobal(L, "string");
    (void) lua_getfield(L, -1, name);
    lua_replace(L, 1);
    lua_settop(L, 1);
}

typedef struct pair
{
    pawl_lua *lua;
    lua_State *reference;
} pair;

static void
compare(const pair *p, const char *name, const char *const *args, int nargs, lua_Integer number,
        unsigned *agreed)
{
    char ours[2000];
    char theirs[2000];
    bool is_ours;
    bool is_theirs;

    pawl_state_begin(p->lua, 1);
    push_own(p->lua->L, name);
    push_reference(p->reference, name);
    is_ours = has_results(p->lua->L, args, nargs, number, ours, sizeof ours);
    is_theirs = has_results(p->reference, args, nargs, number, theirs, sizeof theirs);
    /* A malformed pattern is refused at once here, and only when matching reaches the place there. */
    if ((is_ours && !is_theirs) || (is_ours && strcmp(ours, theirs) != 0))
        fail_msg("string.%s(\"%s\", \"%s\", %lld): \"%s\" but Lua says \"%s\"", name, args[0], args[1],
                 (long long) number, ours, theirs);
    if (!is_ours && is_theirs && strstr(ours, "malformed") == NULL && strstr(ours, "capture") == NULL &&
        strstr(ours, "missing") == NULL)
        fail_msg("string.%s(\"%s\", \"%s\") fails with \"%s\" but Lua says \"%s\"", name, args[0], args[1],
                 ours, theirs);
    *agreed += is_ours ? 1 : 0;
}

static void
open_pair(fixture *fx, pair *p)
{
    assert_int_equal(fx_open(fx, "return function() end"), PAWL_OK);
    p->lua = fx->lua;
    p->reference = luaL_newstate();
    assert_non_null(p->reference);
    luaL_openlibs(p->reference);
}

static void
random_patterns_match_as_in_lua(void **state)
{
    static const char *const pieces[] = {
        "a", "b",       "c",   "%a",    "%d",   "%s",   "%w", ".",    "*",     "+",    "-",
        "?", "(",       ")",   "()",    "[ab]", "[^a]", "%1", "%b()", "%f[a]", "^",    "$",
        "%", "[a-b%d]", "[]]", "[%a-]", "]",    "%S",   "%%", "%.",   "[",     "(a*)", "(.-)"};
    static const char *const subjects[] = {"a", "a", "b", "b", "c", "1",  " ",
                                           "(", ")", ".", "%", "-", "ab", "]"};
    static const char *const replacements[] = {"x", "%0", "%1", "%2", "%%", "", "<%0>"};
    fixture *fx = *state;
    pawl_rng rng;
    unsigned agreed = 0;
    pair p;

    open_pair(fx, &p);
    pawl_rng_init(&rng, 20260131);
    for (int i = 0; i < CASES; i++)
    {
        char subject[64];
        char pattern[128];
        char replacement[64];
        const char *args[] = {subject, pattern, replacement};
        lua_Integer at = (lua_Integer) pawl_rng_below(&rng, 12) - 5;

        draw(&rng, subjects, sizeof subjects / sizeof subjects[0], 10, subject, sizeof subject);
        draw(&rng, pieces, sizeof pieces / sizeof pieces[0], 6, pattern, sizeof pattern);
        draw(&rng, replacements, sizeof replacements / sizeof replacements[0], 3, replacement,
             sizeof replacement);
        compare(&p, "find", args, 2, at, &agreed);
        compare(&p, "match", args, 2, at, &agreed);
        compare(&p, "gsub", args, 3, at, &agreed);
    }
    lua_close(p.reference);
    assert_in_range(agreed, CASES, 3 * CASES);
}

/* One body of Lua, run in both, must give the same text. */
static void
says_the_same(fixture *fx, const char *body)
{
    char lua[1000];
    lua_State *L = luaL_newstate();

    assert_non_null(L);
    luaL_openlibs(L);
    fx->options.nread = fx->options.nwrite = fx->nrows = 0;
    fx_columns(fx);
    fx_row(fx, "1", "x");
    pawl_fmt(lua, sizeof lua, "local function f() %s end return function() return { a = tostring(f()) } end",
             body);
    fx_ok(fx, lua);
    assert_int_equal(luaL_loadstring(L, body), LUA_OK);
    assert_int_equal(lua_pcall(L, 0, 1, 0), LUA_OK);
    assert_string_equal(fx->answers[0] + 2, luaL_tolstring(L, -1, NULL));
    lua_close(L);
}

static void
iterators_and_callbacks_are_those_of_lua(void **state)
{
    fixture *fx = *state;
    static const char *const bodies[] = {
        "local r = {} for k, v in ('a=1, b=2,=3'):gmatch('(%w*)=(%w+)') do r[#r + 1] = k .. v end return "
        "table.concat(r, ';')",
        "local r = {} for w in ('one two'):gmatch('%a*') do r[#r + 1] = '<' .. w .. '>' end return "
        "table.concat(r)",
        "local r = {} for p in ('abc'):gmatch('()') do r[#r + 1] = p end return table.concat(r, ',')",
        "local r = {} for w in ('^a^b'):gmatch('^%a') do r[#r + 1] = w end return table.concat(r, ',')",
        "local r = {} for w in ('hello'):gmatch('l', 4) do r[#r + 1] = w end return table.concat(r, ',')",
        "return (('hello world'):gsub('o', { o = '0' }))",
        "return (('hello world'):gsub('%w+', function(w) if w == 'world' then return w:upper() end end))",
        "return (('abc'):gsub('%w', '%0%0', 2))",
        "return (('abc'):gsub('', '-'))",
        "return (('hello'):gsub('(l)(l)', '%2%1%%'))",
        "return (('x'):gsub('x', 12))",
        "return (('abc'):gsub('b', false and 1 or function() return false end))",
        "return select(2, ('aaa'):gsub('a', 'b', 2))",
        "return ('key = value'):match('^(%w+)%s*=%s*(%w+)$')",
        "return ('THE (quick) fox'):find('%((%a+)%)')",
        "return ('THE (quick) fox'):gsub('%f[%a]%a+', string.lower)",
        "return ('a.b'):find('.', 1, true)",
        "return ('a.b'):find('.b', 2, true)",
        "return tostring((''):find('')) .. tostring((''):find('', 10)) .. tostring(('abc'):find('', 4))",
        "return ('abc'):find('b', -1) == nil and ('abc'):find('b', -10)",
        "return (('\\0a\\0'):gsub('%z', 'z'))",
        "return ('a\\0b'):find('\\0', 1, true)",
        "return ('a\\0b'):match('%a\\0(%a)')",
        "return (('  trim '):match('^%s*(.-)%s*$'))",
        "return ('x^y'):find('x^y')",
        "return ('a$b'):find('a$b')",
        "return ('f(a(b)c)d'):match('%b()')",
        "return (('abc'):rep(2, '-'))",
        "return string.format('%5d|%-5s|%q|%x|%g', 42, 'ab', 'q\\n', 255, 0.1)",
    };

    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
        says_the_same(fx, bodies[i]);
}

static void
malformed_patterns_are_errors(void **state)
{
    fixture *fx = *state;
    static const char *const patterns[] = {"[a",    "[]", "[^]", "%",  "(a",  "a)", "%1",
                                           "(a%1)", "%b", "%bx", "%f", "%fa", "[a%"};

    fx_columns(fx);
    fx_row(fx, "1", "x");
    for (size_t i = 0; i < sizeof patterns / sizeof patterns[0]; i++)
    {
        char lua[120];

        pawl_fmt(lua, sizeof lua, "return function() return ('aa'):match('%s') end", patterns[i]);
        fx_fails(fx, lua, "transforms/t.lua:1: ");
    }
    fx_fails(fx, "return function() return ('aa'):gsub('a', '%2') end", "invalid capture index");
    fx_fails(fx, "return function() return ('aa'):gsub('a', '%x') end",
             "invalid use of '%' in replacement string");
    fx_fails(fx, "return function() return ('aa'):gsub('a', function() return {} end) end",
             "invalid replacement value");
    fx_fails(fx, "return function() return ('aa'):match(('()'):rep(33)) end", "too many captures");
    fx_fails(fx, "return function() return ('aa'):match(('a*'):rep(200)) end", "pattern too complex");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(random_patterns_match_as_in_lua),
        FX_TEST(iterators_and_callbacks_are_those_of_lua),
        FX_TEST(malformed_patterns_are_errors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
