/*
 * Errors raised at every entry from Lua into C, and allocations that fail at every place: meant for AddressSanitizer
 * with LeakSanitizer, which sees what a long jump past an owner leaves behind.
 */
#include "unit/lua/fixture.h"

#include "util/banned.h"

/* With the bodies below more than 10,000 errors, at every function that a transform can call. */
#define ROUNDS 150

/* One for each way in, and some for each way to go wrong there. */
static const char *const bodies[] = {
    "error('x')",
    "error({})",
    "return { a = 1 }",
    "return { a = '\\xff' }",
    "return { zzz = 1 }",
    "return { n = 0.5 }",
    "return row.zzz",
    "local x = nil; return x.y",
    "require('missing')",
    "require('broken')",
    "require('raising')",
    "pawl.json.decode('[1, {\"a\": \"\\\\u12')",
    "pawl.json.encode({ a = { print } })",
    "pawl.json.encode({ ('x'):rep(5000), print })",
    "pawl.decimal('x')",
    "return pawl.decimal('1') .. {}",
    "pawl.decimal.div(1, 0, 2)",
    "pawl.decrypt('key', ('x'):rep(100))",
    "pawl.encrypt('', 'x')",
    "pawl.uuid5('x', 'y')",
    "pawl.log(setmetatable({}, { __tostring = function() error('in tostring') end }))",
    "pawl.secret.NONE()",
    "('x'):rep(5000):gsub('x', function() error('in gsub') end)",
    "('x'):rep(5000):gsub('x', '%9')",
    "('x'):find('[')",
    "table.sort({ 3, 2, 1 }, function() error('in sort') end)",
    "table.concat({ ('x'):rep(5000), {} })",
    "for k in pairs(setmetatable({}, { __pairs = function() error('in pairs') end })) do end",
    "xpcall(error, function() error('in handler') end) error('after')",
    "pcall(error, 'caught') error('after')",
    "math.random(2, 1)",
    "string.rep('x', 1 << 40)",
    "local t = { 1, 'x' } table.sort(t)",
    "pawl.sha256({})",
    "pawl.hmac('k')",
    "pawl.hmac(print, ('x'):rep(5000))",
    "pawl.encrypt('k', {})",
    "pawl.decrypt('k', 'short')",
    "pawl.uuid5('dns')",
    "pawl.decimal.round('1', 'x')",
    "pawl.decimal.add(('9'):rep(500), {})",
    "return { n = pawl.decimal('1') / 2 }",
    "return { n = pawl.decimal('1') < 'x' }",
    "pawl.json.array(setmetatable({}, {})) pawl.json.array('x')",
    "pawl.json.decode(('['):rep(5000))",
    "pawl.reject({})",
    "pawl.log()",
    "local x = pawl.nothing",
    "print(setmetatable({}, { __tostring = function() return 1 end }))",
    "next({ 1 }, {})",
    "rawset(pawl, 'x', 1)",
    "setmetatable(1, {})",
    "select(0)",
    "tonumber('1', 99)",
    "for a in ('x'):rep(5000):gmatch('(x') do end",
    "('x'):match(('('):rep(40))",
    "string.format('%d', 'x')",
    "string.char(-1)",
    "string.pack('i17', 1)",
    "string.unpack('s4', ('\\255'):rep(5))",
    "utf8.char(-1)",
    "utf8.codepoint('\\xff')",
    "table.insert({}, 5, 1)",
    "table.move({}, 1, 1 << 40, 2)",
    "table.remove({}, 7)",
    "table.unpack({}, 1, 1 << 30)",
    "math.tointeger({}) math.floor({})",
    "math.randomseed(1)",
};

static void
ten_thousand_raised_errors_leave_nothing_behind(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_file(fx, "transforms/broken.lua", "return function(");
    fx_file(fx, "transforms/raising.lua", "error('while loading')");
    for (size_t i = 0; i < sizeof bodies / sizeof bodies[0]; i++)
    {
        char lua[400];

        pawl_fmt(lua, sizeof lua, "return function(row) %s end", bodies[i]);
        assert_int_equal(fx_open(fx, lua), PAWL_OK);
        for (int k = 0; k < ROUNDS; k++)
        {
            if (fx_run(fx) != PAWL_E_TRANSFORM)
                fail_msg("no error: %s", bodies[i]);
            assert_string_equal(fx->err.file, strstr(bodies[i], "raising") != NULL  ? "transforms/raising.lua"
                                              : strstr(bodies[i], "broken") != NULL ? "transforms/broken.lua"
                                                                                    : "transforms/t.lua");
            assert_in_range(fx->err.line, 1, 1);
        }
    }
}

static void
failed_module_may_be_required_again(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_file(fx, "transforms/raising.lua", "error('while loading')");
    fx_ok(fx, "return function(row)\n"
              "  for i = 1, 3 do\n"
              "    local ok, why = pcall(require, 'raising')\n"
              "    assert(not ok and why == 'transforms/raising.lua:1: while loading', why)\n"
              "  end\n"
              "end");
}

static void
every_failed_allocation_of_open_is_reported(void **state)
{
    fixture *fx = *state;
    pawl_status st = PAWL_E_NOMEM;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_file(fx, "transforms/m.lua", "return { pawl.json.decode('[1,2,{\"a\":1e400}]') }");
    fx_file(fx, "transforms/t.lua",
            "local m = require('m')\n"
            "return { setup = function() names = {} end, row = function(row) return { a = row.a } end }");
    for (long nth = 0; st != PAWL_OK; nth++)
    {
        pawl_lua *lua = NULL;
        pawl_error err = PAWL_ERROR_INIT;

        pawl_test_fail_alloc(nth);
        st = pawl_lua_open(&fx->options, &lua, &err);
        pawl_test_fail_alloc(-1);
        if (st != PAWL_OK)
        {
            assert_null(lua);
            assert_int_equal(err.code, st);
            assert_true(st == PAWL_E_NOMEM || st == PAWL_E_INPUT);
            if (st == PAWL_E_INPUT)
                assert_non_null(strstr(err.message, "memory"));
        }
        pawl_lua_close(lua);
        if (st == PAWL_OK && nth < 100)
            st = PAWL_E_NOMEM; /* Lua collects and tries again: one failure may be overcome */
        assert_in_range(nth, 0, 5000);
    }
}

static void
every_failed_allocation_of_run_is_reported_or_overcome(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    assert_int_equal(fx_open(fx, "return function(row)\n"
                                 "  local t = pawl.json.decode('{\"a\":[1,2,3.5,\"x\\\\n\"]}')\n"
                                 "  local d = pawl.decimal('1.5') * 2\n"
                                 "  local s = pawl.json.encode(t) .. ('x'):rep(600):gsub('x', 'yy')\n"
                                 "  return { a = s, n = d }\n"
                                 "end"),
                     PAWL_OK);
    for (long nth = 0; nth < 120; nth++)
    {
        const pawl_lua_rows rows = {.count = 1, .ctx = fx, .get = fx_get, .put = fx_put};
        pawl_error err = PAWL_ERROR_INIT;
        int failed = -2;
        pawl_status st;

        pawl_test_fail_alloc(nth);
        st = pawl_lua_run(fx->lua, &rows, &failed, &err);
        pawl_test_fail_alloc(-1);
        assert_true(st == PAWL_OK || st == PAWL_E_NOMEM);
    }
    assert_int_equal(fx_run(fx), PAWL_OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(ten_thousand_raised_errors_leave_nothing_behind),
        FX_TEST(failed_module_may_be_required_again),
        FX_TEST(every_failed_allocation_of_open_is_reported),
        FX_TEST(every_failed_allocation_of_run_is_reported_or_overcome),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
