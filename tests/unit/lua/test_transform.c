#include "core/stop.h"
#include "unit/lua/fixture.h"

#include "util/banned.h"

static void
function_returned_by_the_file_gets_each_row(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "y");
    fx_ok(fx, "return function(row) return { a = row.a .. row.id } end");
    assert_int_equal(fx->puts, 2);
    assert_string_equal(fx->answers[0], "a=x1");
    assert_string_equal(fx->answers[1], "a=y2");
}

static void
table_with_row_writes_what_it_names_and_null(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "1,234.50");
    fx_row(fx, "2", NULL);
    fx_ok(fx, "local M = {}\n"
              "function M.row(row)\n"
              "  if row.a == nil then return { a = pawl.null, n = 7 } end\n"
              "  return { n = (row.a:gsub('[%s,$]', '')) }\n"
              "end\n"
              "return M");
    assert_string_equal(fx->answers[0], "n=1234.50");
    assert_string_equal(fx->answers[1], "a=NULL n=7");
}

static void
nil_leaves_the_row(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row) return nil end");
    assert_string_equal(fx->answers[0], "leave");
    fx_ok(fx, "return function(row) end");
    assert_string_equal(fx->answers[0], "leave");
}

static void
rejected_row_does_not_stop_the_rows_behind_it(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "bad");
    fx_row(fx, "3", "y");
    fx_row(fx, "4", "bad");
    fx_ok(fx, "return function(row)\n"
              "  if row.a == 'bad' then pcall(pawl.reject, 'not good: ' .. row.id) end\n"
              "  return { a = row.a }\n"
              "end");
    assert_int_equal(fx->puts, 4);
    assert_string_equal(fx->answers[0], "a=x");
    assert_string_equal(fx->answers[1], "reject: not good: 2");
    assert_string_equal(fx->answers[2], "a=y");
    assert_string_equal(fx->answers[3], "reject: not good: 4");
}

static void
reverse_is_an_entry_of_its_own(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx->options.entry = "reverse";
    fx_ok(fx, "return { row = function() error('no') end, reverse = function(row) return { a = 'r' .. row.a "
              "} end }");
    assert_string_equal(fx->answers[0], "a=rx");

    assert_int_equal(fx_open(fx, "return function(row) end"), PAWL_E_INPUT);
    assert_string_equal(fx->err.message, "transforms/t.lua has no function reverse");
    assert_string_equal(fx->err.file, "transforms/t.lua");
}

static void
batch_gets_all_rows_and_answers_by_place(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    for (int i = 0; i < 4; i++)
        fx_row(fx, i % 2 == 0 ? "8" : "9", "x");
    fx_ok(fx, "return { batch = function(rows)\n"
              "  assert(#rows == 4 and rows.n == 4)\n"
              "  pawl.reject('odd', 4)\n"
              "  return { { a = rows[1].a .. rows[2].id }, nil, { a = pawl.null } }\n"
              "end }");
    assert_string_equal(fx->answers[0], "a=x9");
    assert_string_equal(fx->answers[1], "leave");
    assert_string_equal(fx->answers[2], "a=NULL");
    assert_string_equal(fx->answers[3], "reject: odd");

    fx_fails(fx, "return { batch = function(rows) return { {a='x'}, {a='x'}, {a=1} } end }",
             "column \"a\" (text)");
    assert_int_equal(fx->failed_row, 2);
    assert_int_equal(fx->puts, 2);
    fx_fails(fx, "return { batch = function(rows) return { [5] = {a='x'} } end }",
             "batch returned an answer at \"5\"");
    assert_int_equal(fx->failed_row, -1);
    fx_fails(fx, "return { batch = function(rows) error('boom') end }", "boom");
    assert_int_equal(fx->failed_row, -1);
    fx_fails(fx, "return { batch = function(rows) pawl.reject('x') end }", "does not say which row");
}

static void
setup_runs_once_and_may_set_globals(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "x");
    fx_ok(fx, "local M = {}\n"
              "function M.setup() count = (count or 0) + 1; names = { x = 'ex' } end\n"
              "function M.row(row) return { a = names[row.a], n = count } end\n"
              "return M");
    assert_string_equal(fx->answers[1], "a=ex n=1");

    assert_int_equal(
        fx_open(fx, "return { setup = function()\n local x = nil\n return x.y end, row = print }"),
        PAWL_E_INPUT);
    assert_string_equal(fx->err.message, "transforms/t.lua:3: attempt to index a nil value (local 'x')");
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx->err.line, 3);
}

static void
global_set_by_a_row_is_an_error_that_names_it(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "total = 5\nreturn function(row) return { n = total, a = _G.total .. '' } end");
    assert_string_equal(fx->answers[0], "a=5 n=5");
    fx_fails(fx, "total = 0\nreturn function(row)\n total = total + 1\nend",
             "assignment to global \"total\"");
    assert_int_equal(fx->err.line, 3);
    fx_fails(fx, "return function(row) _G.x = 1 end", "assignment to global \"x\"");
    fx_fails(fx, "return function(row) _ENV.x = 1 end", "assignment to global \"x\"");
    fx_fails(fx, "return function(row) rawset(_G, 'x', 1) end", "rawset on a read-only table");
    fx_fails(fx, "return function(row) string.upper = nil end", "string is read-only");
}

static void
globals_of_one_file_are_not_those_of_another(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_file(fx, "transforms/lib/names.lua",
            "shared = 'module'\nreturn { get = function() return shared end }");
    fx_ok(fx, "local names = require('lib.names')\n"
              "assert(names == require('lib.names'))\n"
              "assert(shared == nil)\nshared = 'file'\n"
              "return function(row) return { a = names.get() .. ' ' .. shared } end");
    assert_string_equal(fx->answers[0], "a=module file");
}

static void
require_stays_below_transforms(void **state)
{
    fixture *fx = *state;
    static const char *const names[] = {"..", "../x", "a..b",  "/etc/passwd", "a/b",  "",
                                        ".a", "a.",   "a\\0b", "a b",         "\\xff"};

    fx_file(fx, "secret.lua", "return 1");
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    {
        char lua[100];

        pawl_fmt(lua, sizeof lua, "require('%s')", names[i]);
        assert_int_equal(fx_open(fx, lua), PAWL_E_INPUT);
        assert_non_null(strstr(fx->err.message, "is not the name of a module"));
    }
    assert_int_equal(fx_open(fx, "require('missing')"), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "missing.lua\" cannot be read: No such file"));
    fx_file(fx, "transforms/a.lua", "return require('b')");
    fx_file(fx, "transforms/b.lua", "return require('a')");
    assert_int_equal(fx_open(fx, "require('a')"), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "modules require each other in a circle: \"a\""));
}

static void
columns_that_are_not_there_are_errors_both_ways(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", NULL);
    fx_row(fx, "2", "x");
    fx_ok(fx, "return function(row) assert(row.a == nil or row.a == 'x') end");
    fx_fails(fx, "return function(row) return { a = row.ai } end",
             "transforms/t.lua:1: row has no column \"ai\"; did you mean \"a\"?");
    fx_fails(fx, "\nreturn function(row)\n return { b = 'x' } end",
             "transform returned \"b\", which is no column it may write: \"a\", \"n\"");
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx->err.line, 2);
    fx_fails(fx, "return function(row) return { 'x' } end", "key that is a Lua number");
    fx_fails(fx, "return function(row) return {} end", "without any column");
    fx_fails(fx, "return function(row) return 'x' end", "transform returned a Lua string");
    fx_fails(fx, "return function(row) return row end", "transform returned \"id\"");
}

static void
names_longer_than_forty_bytes_are_found(void **state)
{
    fixture *fx = *state;
    static const char name[] = "a_column_name_that_is_longer_than_forty_bytes_in_all";

    fx_read(fx, name, T_TEXT, 0, "text");
    fx_write(fx, name, T_TEXT, 0, "text");
    fx_row(fx, "x", NULL);
    fx_ok(fx, "return function(row)\n"
              "  for k, v in pairs(row) do return { [k] = v .. '!' } end\n"
              "end");
    assert_string_equal(fx->answers[0], "a_column_name_that_is_longer_than_forty_bytes_in_all=x!");
}

static void
error_names_row_place_and_callers(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "y");
    fx_fails(fx,
             "local function inner(row)\n"
             "  return row.a.b.c\n"
             "end\n"
             "return function(row)\n"
             "  if row.id == 2 then inner(row) end\n"
             "end",
             "transforms/t.lua:2: attempt to index a nil value (field 'b')");
    assert_int_equal(fx->failed_row, 1);
    assert_int_equal(fx->puts, 1);
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx->err.line, 2);
    assert_non_null(strstr(fx->err.detail, "transforms/t.lua:5:"));

    fx_fails(fx, "return function(row) error({ 1 }) end", "the error value is a table without __tostring");
    fx_fails(
        fx, "return function(row) error(setmetatable({}, { __tostring = function() return 'mine' end })) end",
        "mine");
    fx_fails(fx, "return function(row) error() end", "nil");
    fx_fails(fx, "return function(row) return os.time() end", "global 'os'");
    assert_non_null(strstr(fx->err.hint, "pawl.now"));
}

static void
state_goes_on_after_an_error(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "bad");
    fx_fails(fx, "return function(row) if row.a == 'bad' then error('bad') end return { a = row.a } end",
             "bad");
    fx->cells[0][1] = "good";
    assert_int_equal(fx_run(fx), PAWL_OK);
    assert_string_equal(fx->answers[0], "a=good");
}

static void
status_of_put_ends_the_run(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "bad");
    fx_row(fx, "3", "x");
    fx->put_status = PAWL_E_NOMEM;
    for (fx->put_fails_at = 0; fx->put_fails_at < 3; fx->put_fails_at++)
    {
        assert_int_equal(fx_open(fx, "return function(row) if row.a == 'bad' then pawl.reject('b') end\n"
                                     "return { a = row.a } end"),
                         PAWL_OK);
        assert_int_equal(fx_run(fx), PAWL_E_NOMEM);
        assert_string_equal(fx->err.message, "put failed");
        assert_int_equal(fx->puts, fx->put_fails_at);
    }
}

static void
file_that_cannot_be_used_is_refused_with_its_line(void **state)
{
    fixture *fx = *state;

    assert_int_equal(fx_open(fx, "return function(row)\n  return {\nend"), PAWL_E_INPUT);
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx->err.line, 3);
    assert_int_equal(fx_open(fx, "local M = {}"), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "it returned nothing"));
    assert_string_equal(fx->err.file, "transforms/t.lua");
    assert_int_equal(fx_open(fx, "return {}"), PAWL_E_INPUT);
    assert_int_equal(fx_open(fx, "return { row = 1 }"), PAWL_E_INPUT);
    assert_non_null(strstr(fx->err.message, "\"row\" is not a function but a number"));
    assert_int_equal(fx_open(fx, "return { row = print, batch = print }"), PAWL_E_INPUT);
    fx->options.file = "transforms/none.lua";
    assert_int_equal(fx_open(fx, ""), PAWL_E_INPUT);
    assert_non_null(
        strstr(fx->err.message, "transforms/none.lua\" cannot be read: No such file or directory"));
    assert_string_equal(fx->err.file, "transforms/none.lua");
}

static void
randomness_depends_on_the_key_alone(void **state)
{
    fixture *fx = *state;
    char first[64];
    static const char lua[] = "return function(row)\n"
                              "  return { a = math.random(1, 1000000) .. ' ' .. math.random() }\n"
                              "end";

    fx_columns(fx);
    fx_row(fx, "41", "x");
    fx_row(fx, "42", "x");
    fx_ok(fx, lua);
    pawl_fmt(first, sizeof first, "%s", fx->answers[1]);
    assert_string_not_equal(first, fx->answers[0]);
    fx->nrows = 0;
    fx_row(fx, "42", "another");
    fx_ok(fx, lua);
    assert_string_equal(fx->answers[0], first);
    fx_fails(fx, "return function(row) math.randomseed(1) end", "math.randomseed is not available");
}

static void
random_covers_its_interval(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  local seen = {}\n"
              "  for i = 1, 1000 do\n"
              "    local r, f = math.random(3), math.random()\n"
              "    seen[r] = true\n"
              "    assert(r >= 1 and r <= 3 and f >= 0 and f < 1)\n"
              "    local m = math.random(-2, 2)\n"
              "    assert(m >= -2 and m <= 2)\n"
              "  end\n"
              "  assert(seen[1] and seen[2] and seen[3])\n"
              "  assert(math.type(math.random(0)) == 'integer')\n"
              "  math.random(math.mininteger, math.maxinteger)\n"
              "  assert(not pcall(math.random, 2, 1))\n"
              "end");
}

static void
pairs_goes_in_an_order_that_does_not_change(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  local t = { zeta = 1, alpha = 1, [3] = 1, [1] = 1, [2.5] = 1, [-7] = 1, [true] = 1, [false] "
              "= 1 }\n"
              "  for i = 1, 40 do t['k' .. i % 10 .. i] = 1 end\n"
              "  local order, by_next = {}, {}\n"
              "  for k in pairs(t) do order[#order + 1] = tostring(k) end\n"
              "  local k = next(t)\n"
              "  while k ~= nil do by_next[#by_next + 1] = tostring(k); k = next(t, k) end\n"
              "  local text = table.concat(order, ' ')\n"
              "  assert(text == table.concat(by_next, ' '))\n"
              "  assert(#order == 48)\n"
              "  assert(text:find('^%-7 1 2.5 3 alpha k01 k02 k03 k04 k09? ?') or text:find('^%-7 1 2.5 3 "
              "alpha k0'))\n"
              "  assert(text:find('zeta false true$'))\n"
              "  for k in pairs(t) do t[k] = nil end\n"
              "  assert(next(t) == nil)\n"
              "  local names = {}\n"
              "  for k in pairs(row) do names[#names + 1] = k end\n"
              "  return { a = table.concat(names, ',') }\n"
              "end");
    assert_string_equal(fx->answers[0], "a=a,id");
}

static void
addresses_are_not_to_be_seen(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  return { a = tostring({}) .. tostring(print) .. string.format(' %s %5.1f%%', row, 2.5) }\n"
              "end");
    assert_string_equal(fx->answers[0], "a=tablefunction table   2.5%");
    fx_fails(fx, "return function(row) return { a = ('%p'):format(row) } end", "%p is not available");
}

static void
print_and_log_reach_the_log(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row) print('a', 1, nil, {}) pawl.log('row ' .. row.id) end");
    assert_string_equal(fx->log.data, "a\t1\tnil\ttable\nrow 1\n");
}

static void
pawl_has_arguments_secrets_and_time(void **state)
{
    fixture *fx = *state;
    static const pawl_lua_pair x[] = {{"tenant", "7"}};
    static const pawl_lua_pair secrets[] = {{"KEY", "s3"}};

    fx->options.x = x;
    fx->options.nx = 1;
    fx->options.secrets = secrets;
    fx->options.nsecrets = 1;
    fx->options.now_us = 1769850307123000;
    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  assert(pawl.x.none == nil)\n"
              "  return { a = pawl.now .. ' ' .. pawl.x.tenant .. pawl.secret.KEY }\n"
              "end");
    assert_string_equal(fx->answers[0], "a=2026-01-31T09:05:07.123Z 7s3");
    fx_fails(fx, "return function(row) return pawl.secret.KEX end", "there is no pawl.secret.KEX");
    fx_fails(fx, "return function(row) return pawl.jsn end", "there is no pawl.jsn; did you mean pawl.json?");
    fx_fails(fx, "return function(row) pawl.x.tenant = 1 end", "pawl.x is read-only");
    fx_fails(fx, "return function(row) pawl.now = 1 end", "pawl is read-only");
}

static void
digests_are_those_of_the_standards(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(
        fx,
        "return function(row)\n"
        "  assert(pawl.sha256('abc') == 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad')\n"
        "  assert(pawl.hmac('Jefe', 'what do ya want for nothing?') ==\n"
        "    '5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843')\n"
        "  assert(pawl.uuid5('dns', 'python.org') == '886313e1-3b8a-5372-9b90-0c9aee199e5d')\n"
        "  assert(pawl.uuid5('6ba7b810-9dad-11d1-80b4-00c04fd430c8', 'python.org') ==\n"
        "    '886313e1-3b8a-5372-9b90-0c9aee199e5d')\n"
        "  assert(not pcall(pawl.uuid5, 'x', 'y'))\n"
        "end");
}

static void
encrypted_text_comes_back_and_a_changed_one_does_not(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx, "return function(row)\n"
              "  for _, text in ipairs { '', 'x', ('long\\0'):rep(1000) } do\n"
              "    local sealed = pawl.encrypt('key', text)\n"
              "    assert(sealed == pawl.encrypt('key', text))\n"
              "    assert(sealed ~= pawl.encrypt('kez', text))\n"
              "    assert(#sealed == #text + 28)\n"
              "    assert(pawl.decrypt('key', sealed) == text)\n"
              "    assert(not pcall(pawl.decrypt, 'kez', sealed))\n"
              "    local other = string.char(sealed:byte(1) ~ 1) .. sealed:sub(2)\n"
              "    assert(not pcall(pawl.decrypt, 'key', other))\n"
              "    assert(not pcall(pawl.decrypt, 'key', sealed:sub(1, -2)))\n"
              "  end\n"
              "  assert(not pcall(pawl.encrypt, '', 'x'))\n"
              "end");
}

static void
check_loads_a_file_without_its_setup(void **state)
{
    fixture *fx = *state;
    pawl_error err = PAWL_ERROR_INIT;

    fx_file(
        fx, "transforms/t.lua",
        "local key = pawl.secret.KEY\nreturn { setup = function() error('no') end, row = function() end }");
    assert_int_equal(pawl_lua_check(fx->root, "transforms/t.lua", "row", &err), PAWL_OK);
    assert_int_equal(pawl_lua_check(fx->root, "transforms/t.lua", "reverse", &err), PAWL_E_INPUT);
    assert_string_equal(err.message, "transforms/t.lua has no function reverse");
    fx_file(fx, "transforms/t.lua", "while true do end");
    assert_int_equal(pawl_lua_check(fx->root, "transforms/t.lua", "row", &err), PAWL_E_INPUT);
    assert_non_null(strstr(err.message, "for loading and setup (endless loop?)"));
    assert_int_equal(err.line, 1);
}

static void
when_is_a_question_about_x(void **state)
{
    static const pawl_lua_pair x[] = {{"demo", "true"}, {"n", "5"}};
    pawl_error err = PAWL_ERROR_INIT;
    bool answer = false;

    (void) state;
    assert_int_equal(pawl_lua_when("x.demo == \"true\"", x, 2, &answer, &err), PAWL_OK);
    assert_true(answer);
    assert_int_equal(pawl_lua_when("x.other == 'true' or tonumber(x.n) > 5", x, 2, &answer, &err), PAWL_OK);
    assert_false(answer);
    assert_int_equal(pawl_lua_when("not x.other", NULL, 0, &answer, &err), PAWL_OK);
    assert_true(answer);

    assert_int_equal(pawl_lua_when("x.demo", x, 2, &answer, &err), PAWL_E_INPUT);
    assert_non_null(strstr(err.message, "it gives a string, not true or false"));
    assert_int_equal(pawl_lua_when("x.demo ==", x, 2, &answer, &err), PAWL_E_INPUT);
    assert_int_equal(pawl_lua_when("x.a.b", x, 2, &answer, &err), PAWL_E_INPUT);
    assert_int_equal(pawl_lua_when("true; while true do end", x, 2, &answer, &err), PAWL_E_INPUT);
    assert_int_equal(pawl_lua_when("(function() while true do end end)()", x, 2, &answer, &err),
                     PAWL_E_INPUT);
    assert_true(answer);
}

static void
second_request_to_stop_ends_a_running_transform(void **state)
{
    fixture *fx = *state;
    pawl_stop *stop = NULL;

    assert_int_equal(pawl_stop_new(&stop, &fx->err), PAWL_OK);
    fx->options.stop = stop;
    fx_columns(fx);
    fx_row(fx, "1", "x");
    assert_int_equal(fx_open(fx, "return function(row) while true do pcall(error) end end"), PAWL_OK);
    pawl_stop_request(stop);
    pawl_stop_request(stop);
    assert_int_equal(fx_run(fx), PAWL_E_STOPPED);
    assert_int_equal(fx->failed_row, -1);
    fx_close(fx);
    pawl_stop_free(stop);
}

static void
library_functions_do_what_the_manual_says(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx_row(fx, "1", "x");
    fx_ok(fx,
          "return function(row)\n"
          "  local t = { 5, 2, 8, 1 }\n"
          "  table.sort(t)\n"
          "  assert(table.concat(t, ',') == '1,2,5,8')\n"
          "  table.sort(t, function(a, b) return a > b end)\n"
          "  assert(table.concat(t, ',', 2, 3) == '5,2')\n"
          "  local s = {}\n"
          "  for i = 1, 100 do s[i] = { k = i % 3, i = i } end\n"
          "  table.sort(s, function(a, b) return a.k < b.k end)\n"
          "  for i = 2, 100 do assert(s[i-1].k < s[i].k or s[i-1].i < s[i].i) end\n"
          "  assert(not pcall(table.sort, { 1, 'x' }))\n"
          "  t = { 1, 2, 3 }\n"
          "  table.insert(t, 4) table.insert(t, 1, 0)\n"
          "  assert(table.concat(t) == '01234')\n"
          "  assert(table.remove(t) == 4 and table.remove(t, 1) == 0 and table.concat(t) == '123')\n"
          "  assert(table.remove({}) == nil)\n"
          "  assert(table.concat(table.move({ 1, 2, 3 }, 1, 3, 2)) == '1123')\n"
          "  assert(table.concat(table.move({ 1, 2, 3 }, 2, 3, 1)) == '233')\n"
          "  assert(table.unpack({ 1, 2 }, 2) == 2 and table.pack(1, nil).n == 2)\n"
          "  assert(not pcall(table.insert, t, 9, 1) and not pcall(table.insert, t))\n"
          "  assert(('x'):rep(3, ',') == 'x,x,x' and ('x'):rep(0) == '' and ('ab'):rep(2) == 'abab')\n"
          "  assert(select('#', pcall(error)) == 2)\n"
          "  local ok, trace = xpcall(function(a) error(a, 0) end, function(m) return m .. '!' end, 'm')\n"
          "  assert(not ok and trace == 'm!')\n"
          "  assert(select(2, xpcall(function(...) return select('#', ...) end, print, 1, 2)) == 2)\n"
          "  assert(getmetatable('') == 'string' and getmetatable(row) == 'row')\n"
          "  assert(tostring(setmetatable({}, { __tostring = function() return 'T' end })) == 'T')\n"
          "  local n = 0\n"
          "  for k in pairs(string) do n = n + 1 end\n"
          "  assert(n >= 15 and string.dump == nil)\n"
          "  for k, v in pairs(setmetatable({}, { __pairs = function() return next, { z = 1 } end })) do\n"
          "    assert(k == 'z' and v == 1)\n"
          "  end\n"
          "end");
}

static void
columns_of_no_type_take_what_the_value_is(void **state)
{
    fixture *fx = *state;

    fx_read(fx, "id", T_INT8, 0, "bigint");
    fx_read(fx, "a", T_TEXT, 0, "text");
    fx_read(fx, "j", T_JSONB, 0, "jsonb");
    fx_read(fx, "l", 1007, T_INT4, "integer[]");
    fx_write(fx, "v", PAWL_LUA_ANY, 0, "any");
    fx->cells[0][0] = "1";
    fx->cells[0][2] = "{\"b\":  1.00, \"a\": 2}";
    fx->cells[0][3] = "{1,NULL}";
    fx->nrows = 1;
    static const char *const values[][2] = {
        {"'x'", "x"},          {"7", "7"},
        {"0.5", "0.5"},        {"true", "t"},
        {"pawl.null", "NULL"}, {"pawl.decimal('1.50')", "1.50"},
        {"{ 1, 2 }", "[1,2]"}, {"row.j", "{\"b\":  1.00, \"a\": 2}"},
        {"row.l", "{1,NULL}"},
    };

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
    {
        char lua[120];
        char answer[120];

        pawl_fmt(lua, sizeof lua, "return function(row) return { v = %s } end", values[i][0]);
        pawl_fmt(answer, sizeof answer, "v=%s", values[i][1]);
        fx_ok(fx, lua);
        assert_string_equal(fx->answers[0], answer);
    }
    fx_fails(fx, "return function(row) return { v = '\\xff' } end", "is not valid UTF-8");
}

static void
unknown_columns_are_taken_up_where_that_is_asked_for(void **state)
{
    fixture *fx = *state;

    fx_columns(fx);
    fx->options.most_written = 4;
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "y");
    fx_ok(fx, "return function(row)\n"
              "  if row.id == 1 then return { first = 1, a = 'x' } end\n"
              "  return { second = true, first = 'now a text' }\n"
              "end");
    assert_string_equal(fx->answers[0], "a=x first=1");
    assert_string_equal(fx->answers[1], "first=now a text second=t");
    assert_int_equal(pawl_lua_written(fx->lua), 4);
    fx_fails(fx, "return function(row) return { p = 1, q = 2, r = 3 } end",
             "which is no column it may write");
    fx_fails(fx, "return function(row) return { [1] = 1 } end", "not the name of a column");
    fx_fails(fx, "return function(row) return { ['\\xff'] = 1 } end", "cannot be the name of a column");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(function_returned_by_the_file_gets_each_row),
        FX_TEST(table_with_row_writes_what_it_names_and_null),
        FX_TEST(nil_leaves_the_row),
        FX_TEST(rejected_row_does_not_stop_the_rows_behind_it),
        FX_TEST(reverse_is_an_entry_of_its_own),
        FX_TEST(batch_gets_all_rows_and_answers_by_place),
        FX_TEST(setup_runs_once_and_may_set_globals),
        FX_TEST(global_set_by_a_row_is_an_error_that_names_it),
        FX_TEST(globals_of_one_file_are_not_those_of_another),
        FX_TEST(require_stays_below_transforms),
        FX_TEST(columns_that_are_not_there_are_errors_both_ways),
        FX_TEST(names_longer_than_forty_bytes_are_found),
        FX_TEST(error_names_row_place_and_callers),
        FX_TEST(state_goes_on_after_an_error),
        FX_TEST(status_of_put_ends_the_run),
        FX_TEST(file_that_cannot_be_used_is_refused_with_its_line),
        FX_TEST(randomness_depends_on_the_key_alone),
        FX_TEST(random_covers_its_interval),
        FX_TEST(pairs_goes_in_an_order_that_does_not_change),
        FX_TEST(addresses_are_not_to_be_seen),
        FX_TEST(print_and_log_reach_the_log),
        FX_TEST(pawl_has_arguments_secrets_and_time),
        FX_TEST(digests_are_those_of_the_standards),
        FX_TEST(encrypted_text_comes_back_and_a_changed_one_does_not),
        FX_TEST(check_loads_a_file_without_its_setup),
        FX_TEST(when_is_a_question_about_x),
        FX_TEST(second_request_to_stop_ends_a_running_transform),
        FX_TEST(library_functions_do_what_the_manual_says),
        FX_TEST(columns_of_no_type_take_what_the_value_is),
        FX_TEST(unknown_columns_are_taken_up_where_that_is_asked_for),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
