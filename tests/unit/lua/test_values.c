#include "lua/value.h"
#include "unit/lua/fixture.h"

#include "util/banned.h"

/* One column "v" in and out, of the type. */
static void
column(fixture *fx, uint32_t type, uint32_t element, const char *type_name)
{
    fx->options.nread = fx->options.nwrite = fx->nrows = 0;
    fx_read(fx, "v", type, element, type_name);
    fx_write(fx, "v", type, element, type_name);
}

/* `lua` is the body of function(v), which returns what v becomes. */
static void
gives(fixture *fx, const char *in, const char *lua, const char *out)
{
    char text[2000];
    PAWL_AUTO(pawl_str) expected = NULL;
    pawl_strbuf b = PAWL_STRBUF_INIT;

    pawl_strbuf_addf(&b, "v=%s", out);
    expected = pawl_strbuf_take(&b);
    fx->nrows = 0;
    fx_row(fx, in, NULL);
    pawl_fmt(text, sizeof text, "local function f(v) %s end return function(row) return { v = f(row.v) } end",
             lua);
    fx_ok(fx, text);
    assert_string_equal(fx->answers[0], expected);
}

static void
comes_back(fixture *fx, const char *text)
{
    gives(fx, text, "return v", text);
}

static void
refuses(fixture *fx, const char *in, const char *lua, const char *part)
{
    char text[2000];

    fx->nrows = 0;
    fx_row(fx, in, NULL);
    pawl_fmt(text, sizeof text, "local function f(v) %s end return function(row) return { v = f(row.v) } end",
             lua);
    fx_fails(fx, text, part);
    assert_int_equal(fx->failed_row, 0);
}

static void
integers_keep_every_bit(void **state)
{
    fixture *fx = *state;

    column(fx, T_INT8, 0, "bigint");
    comes_back(fx, "9223372036854775807");
    comes_back(fx, "-9223372036854775808");
    comes_back(fx, "0");
    gives(fx, "9007199254740993", "assert(math.type(v) == 'integer') return v + 1", "9007199254740994");
    column(fx, T_INT2, 0, "smallint");
    comes_back(fx, "-32768");
    refuses(fx, "1", "return 32768", "column \"v\" (smallint): 32768 is out of its range, -32768 to 32767");
    column(fx, T_INT4, 0, "integer");
    comes_back(fx, "2147483647");
    refuses(fx, "1", "return -2147483649", "out of its range");
    column(fx, T_OID, 0, "oid");
    comes_back(fx, "4294967295");
    refuses(fx, "1", "return -1", "out of its range, 0 to 4294967295");
}

static void
integer_columns_take_no_floats_and_no_strings(void **state)
{
    fixture *fx = *state;

    column(fx, T_INT4, 0, "integer");
    refuses(fx, "1", "return 1.0", "column \"v\" (integer) takes an integer, not a float (1)");
    assert_non_null(strstr(fx->err.hint, "math.tointeger"));
    refuses(fx, "1", "return '1'", "takes an integer, not a string (\"1\")");
    refuses(fx, "1", "return true", "takes an integer, not a boolean");
    refuses(fx, "1", "return {}", "takes an integer, not a table");
    refuses(fx, "1", "return print", "takes an integer, not a function");
}

static void
floats_print_as_postgresql_prints_them(void **state)
{
    fixture *fx = *state;
    static const char *const eight[] = {"0.1",
                                        "-0",
                                        "NaN",
                                        "Infinity",
                                        "-Infinity",
                                        "1e+15",
                                        "123456789012345",
                                        "1.2345678901234568e+17",
                                        "0.0001",
                                        "1e-05",
                                        "5e-324",
                                        "1.7976931348623157e+308",
                                        "0.30000000000000004",
                                        "-12.5",
                                        "100"};
    static const char *const four[] = {"0.1",   "1e+06",         "123456", "3.4028235e+38",
                                       "1e-45", "1.1754944e-38", "-0",     "NaN"};

    column(fx, T_FLOAT8, 0, "double precision");
    for (size_t i = 0; i < sizeof eight / sizeof eight[0]; i++)
        comes_back(fx, eight[i]);
    gives(fx, "1", "return 7", "7");
    gives(fx, "1", "return 9007199254740993", "9007199254740993");
    refuses(fx, "1", "return '1'", "takes a number, not a string");
    column(fx, T_FLOAT4, 0, "real");
    for (size_t i = 0; i < sizeof four / sizeof four[0]; i++)
        comes_back(fx, four[i]);
    gives(fx, "1", "return 1e300", "1e+300");
}

static void
numeric_is_exact_and_refuses_floats(void **state)
{
    fixture *fx = *state;

    column(fx, T_NUMERIC, 0, "numeric(10,2)");
    comes_back(fx, "0.10");
    comes_back(fx, "NaN");
    comes_back(fx, "12345678901234567890123456789012345678901234567890.123456789012345678901234567890");
    gives(fx, "1", "return 42", "42");
    gives(fx, "0.1", "return pawl.decimal(v) + '0.20'", "0.30");
    refuses(fx, "1", "return 0.5",
            "column \"v\" (numeric(10,2)) takes a string, an integer or a pawl.decimal, not a float (0.5)");
    assert_non_null(strstr(fx->err.hint, "pawl.decimal"));
}

static void
booleans_are_booleans_only(void **state)
{
    fixture *fx = *state;

    column(fx, T_BOOL, 0, "boolean");
    gives(fx, "t", "assert(v == true) return not v", "f");
    comes_back(fx, "f");
    refuses(fx, "t", "return 't'", "takes a boolean, not a string");
    refuses(fx, "t", "return 1", "takes a boolean, not an integer (1)");
}

static void
text_is_valid_utf8_without_nul(void **state)
{
    fixture *fx = *state;

    column(fx, T_TEXT, 0, "text");
    comes_back(fx, "");
    comes_back(fx, "h\xc3\xa9llo \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf");
    refuses(fx, "x", "return 'a\\0b'", "column \"v\" (text): the string contains a NUL byte");
    refuses(fx, "x", "return 1", "takes a string, not an integer (1)");
    refuses(fx, "x", "return '\\xc3'", "is not valid UTF-8");
    refuses(fx, "x", "return '\\xc0\\x80'", "is not valid UTF-8");
    refuses(fx, "x", "return '\\xed\\xa0\\x80'", "is not valid UTF-8");
    refuses(fx, "x", "return '\\xf4\\x90\\x80\\x80'", "is not valid UTF-8");
    refuses(fx, "x", "return '\\xe2\\x82'", "is not valid UTF-8");
    refuses(fx, "x", "return '\\xff'", "is not valid UTF-8");
    column(fx, T_DATE, 0, "date");
    comes_back(fx, "2026-01-31");
    refuses(fx, "2026-01-31", "return 20260131", "column \"v\" (date) takes a string");
}

static void
bytea_is_bytes(void **state)
{
    fixture *fx = *state;

    column(fx, T_BYTEA, 0, "bytea");
    comes_back(fx, "\\x");
    comes_back(fx, "\\x00ff10");
    gives(fx, "\\x4142", "assert(v == 'AB') return v .. '\\0'", "\\x414200");
    refuses(fx, "\\x41", "return 5", "takes a string of bytes");
    refuses(fx, "\\x4", "return v", "is not bytes in hex format");
    refuses(fx, "abc", "return v", "is not bytes in hex format");
}

static void
untouched_json_goes_back_as_its_own_text(void **state)
{
    fixture *fx = *state;
    static const char *const texts[] = {
        "{\"b\" : 1,  \"a\":2, \"b\":3}",
        "[]",
        "{}",
        " [ 1 , 2.50, 1e2 , -0, -0.0 ]",
        "{\"big\":123456789012345678901234567890,\"exact\":0.12345678901234567890123}",
        "\"text\"",
        "null",
        "true",
        "12.0",
        "{\"a\":[{\"b\":[[],{},null]}],\"\\u00e9\":\"\\ud83d\\ude00\\n\\u0000\"}",
        "1e400",
        "\"\\ud800\"",
    };

    column(fx, T_JSON, 0, "json");
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        comes_back(fx, texts[i]);
    column(fx, T_JSONB, 0, "jsonb");
    comes_back(fx, "{\"a\": 1.10, \"b\": [1, 2]}");
    /* What was changed and changed back is untouched, too. */
    gives(fx, "{\"b\": 1, \"a\": 1.10}", "local a = v.a v.a = 'x' v.c = 1 v.a = a v.c = nil return v",
          "{\"b\": 1, \"a\": 1.10}");
}

static void
changed_json_keeps_the_text_and_order_of_the_rest(void **state)
{
    fixture *fx = *state;

    column(fx, T_JSON, 0, "json");
    gives(fx, "{\"z\": 1.10, \"a\": [ 1,  2 ], \"m\": 3, \"big\": 12345678901234567890}",
          "v.m = 4 v.new = 'x' v.alpha = true return v",
          "{\"z\":1.10,\"a\":[ 1,  2 ],\"m\":4,\"big\":12345678901234567890,\"alpha\":true,\"new\":\"x\"}");
    gives(fx, "{\"a\": {\"x\": 1.0, \"y\": 2}, \"b\": [1.0, {\"q\":  1}]}",
          "v.a.y = nil v.b[3] = pawl.null return v", "{\"a\":{\"x\":1.0},\"b\":[1.0,{\"q\":  1},null]}");
    gives(fx, "[1, 2, 3]", "table.remove(v, 1) return v", "[2,3]");
    gives(fx, "[1]", "v[1] = nil return v", "[]");
    gives(fx, "{\"a\":1}", "v.a = nil return v", "{}");
    gives(fx, "{\"k\":1,\"k\":2,\"j\":1}", "v.j = 2 return v", "{\"k\":2,\"j\":2}");
    gives(fx, "{\"a\":1}", "v.a = 1.0 return v", "{\"a\":1}");
    gives(fx, "{\"a\":0.0}", "v.a = -0.0 return v", "{\"a\":-0.0}");
}

static void
json_from_scratch_says_what_lua_says(void **state)
{
    fixture *fx = *state;

    column(fx, T_JSONB, 0, "jsonb");
    gives(fx, "1", "return { b = 1, a = { 1, 'x', true, pawl.null }, c = {}, d = pawl.json.array() }",
          "{\"a\":[1,\"x\",true,null],\"b\":1,\"c\":{},\"d\":[]}");
    gives(fx, "1", "return 1.0", "1.0");
    gives(fx, "1.0", "return 1", "1");
    gives(fx, " \"\\u00e9\" ", "return v", " \"\\u00e9\" ");
    gives(fx, "\"\\u00e9\"", "return v .. 'x'", "\"\xc3\xa9x\"");
    gives(fx, " true", "return v", " true");
    gives(fx, "2", "return v + 1", "3");
    gives(fx, "1", "return pawl.json.null", "null");
    gives(fx, "1", "return pawl.null", "NULL");
    gives(fx, "null", "assert(v == pawl.json.null) return v", "null");
    gives(fx, "1", "return pawl.decimal('0.10')", "0.10");
    gives(fx, "1", "return 'a\"\\\\\\n\\1\\0\xc3\xa9'", "\"a\\\"\\\\\\n\\u0001\\u0000\xc3\xa9\"");
    gives(fx, "{\"n\":0.12345678901234567890}", "return { x = v.n, y = tostring(v.n) }",
          "{\"x\":0.12345678901234567890,\"y\":\"0.12345678901234567890\"}");
    refuses(fx, "1", "return { 1, nil, 3, x = 1 }", "cannot be a JSON array");
    refuses(fx, "1", "return { [1.5] = 1 }", "neither a JSON object nor an array");
    refuses(fx, "1", "return 0/0", "JSON has no NaN and no infinity");
    refuses(fx, "1", "return { print }", "JSON has nothing for a Lua function");
    refuses(fx, "1", "return '\\xff'", "not valid UTF-8");
    refuses(fx, "1", "local t = {} t.t = t return t", "nested deeper than 200 levels");
    refuses(fx, "{\"a\":}", "return v", "v is not valid JSON at byte 6");
}

static void
decoding_refuses_what_is_no_json(void **state)
{
    fixture *fx = *state;

    column(fx, T_TEXT, 0, "text");
    gives(fx, "x",
          "for _, t in ipairs { '', ' ', '{', '[1,]', '[1', '{\"a\"}', '{\"a\":1,}', '{a:1}', '\"', "
          "'\"\\\\x\"', '01', '1.',\n"
          "  '-', '+1', '.5', '1e', 'nul', 'truee', '[1] x', '\"\\n\"', '\"\\\\u12\"', ('['):rep(300), "
          "\"'a'\" } do\n"
          "  assert(not pcall(pawl.json.decode, t), t)\n"
          "end\n"
          "local v = pawl.json.decode(' {\"a\" : [1, 2.5, \"\\\\u20ac\\\\/\"], \"b\":null} ')\n"
          "assert(#v.a == 3 and v.a[2] == 2.5 and v.a[3] == '\xe2\x82\xac/' and v.b == pawl.null)\n"
          "assert(pawl.json.encode(v) == '{\"a\":[1,2.5,\"\xe2\x82\xac/\"],\"b\":null}')\n"
          "assert(pawl.json.decode('1e2') == 100.0 and pawl.json.decode('9223372036854775808') == "
          "pawl.decimal('9223372036854775808'))\n"
          "return 'ok'",
          "ok");
}

static void
arrays_keep_dimensions_bounds_and_nulls(void **state)
{
    fixture *fx = *state;

    column(fx, 1007, T_INT4, "integer[]");
    comes_back(fx, "{}");
    comes_back(fx, "{1,NULL,-3}");
    comes_back(fx, "{{1,2},{3,4}}");
    comes_back(fx, "[0:1]={1,2}");
    comes_back(fx, "[2:2][0:1]={{1,2}}");
    gives(fx, "{1,NULL,3}", "assert(v.n == 3 and v[2] == pawl.null) v[2] = 2 return v", "{1,2,3}");
    gives(fx, "[0:1]={1,2}", "table.insert(v, 3) return v", "[0:2]={1,2,3}");
    gives(fx, "[0:1]={1,2}", "return { 1, 2, 3 }", "{1,2,3}");
    gives(fx, "{{1,2},{3,4}}", "assert(v[2].n == 2) v[2][1] = 9 return v", "{{1,2},{9,4}}");
    gives(fx, "{1}", "return {}", "{}");
    refuses(fx, "{1}", "return { 1, nil, 3 }", "an array is a sequence 1..n");
    refuses(fx, "{1}", "return { { 1, 2 }, { 3 } }", "differ in length");
    refuses(fx, "{1}", "return { 1, 'x' }",
            "an element of column \"v\" (integer[]) takes an integer, not a string");
    refuses(fx, "{1}", "return 'x'", "column \"v\" (integer[]) takes a table");
    refuses(fx, "{1}", "local t = {} t[1] = t return t", "at most 6 dimensions");

    column(fx, 1009, T_TEXT, "text[]");
    comes_back(fx, "{a,\"b c\",\"\",\"NULL\",NULL,\"q\\\"\\\\\",\"{}\",\"a,b\"}");
    gives(fx, "{a}", "return { 'b c', '', 'NULL', pawl.null, 'q\"\\\\', '{}', 'a,b', 'x', 'null' }",
          "{\"b c\",\"\",\"NULL\",NULL,\"q\\\"\\\\\",\"{}\",\"a,b\",x,\"null\"}");
    column(fx, 1000, T_BOOL, "boolean[]");
    gives(fx, "{t,f}", "return { not v[1], not v[2] }", "{f,t}");
    column(fx, 1001, T_BYTEA, "bytea[]");
    gives(fx, "{\"\\\\x41\"}", "return { v[1] .. 'B' }", "{\"\\\\x4142\"}");
    column(fx, 1022, T_FLOAT8, "double precision[]");
    comes_back(fx, "{0.1,NaN,-0}");
    column(fx, 1020, 603, "box[]");
    gives(fx, "{(1,1),(0,0);(2,2),(1,1)}", "return { v[2], v[1] }", "{(2,2),(1,1);(1,1),(0,0)}");
    column(fx, 3807, T_JSONB, "jsonb[]");
    comes_back(fx, "{\"{\\\"a\\\": 1.10}\",\"[]\"}");
    gives(fx, "{\"{\\\"a\\\": 1}\"}", "v[1].a = 2 return v", "{\"{\\\"a\\\":2}\"}");
    column(fx, 30, T_OID, "oidvector");
    comes_back(fx, "1 2 3");
}

static void
other_column_of_the_same_kind_gives_its_text(void **state)
{
    fixture *fx = *state;

    fx_read(fx, "old", T_JSON, 0, "json");
    fx_write(fx, "new", T_JSONB, 0, "jsonb");
    fx_row(fx, "{\"b\": 1.10,  \"a\": 1}", NULL);
    fx_row(fx, "[ 1 ]", NULL);
    fx_ok(fx, "return function(row) return { new = row.old } end");
    assert_string_equal(fx->answers[0], "new={\"b\": 1.10,  \"a\": 1}");
    fx_ok(fx,
          "return { batch = function(rows) return { { new = rows[2].old }, { new = rows[1].old } } end }");
    assert_string_equal(fx->answers[0], "new=[ 1 ]");
    assert_string_equal(fx->answers[1], "new={\"b\": 1.10,  \"a\": 1}");
}

static void
decimals_calculate_exactly(void **state)
{
    fixture *fx = *state;

    column(fx, T_TEXT, 0, "text");
    gives(fx, "x",
          "local d = pawl.decimal\n"
          "local function is(a, text) assert(tostring(a) == text, tostring(a) .. ' is not ' .. text) end\n"
          "is(d('0.1') + d('0.2'), '0.3') is(d('1.10') + 1, '2.10') is(1 - d('1.5'), '-0.5')\n"
          "is(d('-0.05') * '3', '-0.15') is(d('99.99') * d('99.99'), '9998.0001') is(-d('0'), '0')\n"
          "is(d('999') + '1', '1000') is(d('1000') - '1', '999') is(d('5') - 5, '0') is(d('-5') + 3, '-2')\n"
          "is(d.div('1', '3', 5), '0.33333') is(d.div(2, 3, 2), '0.67') is(d.div('-2', '3', 0), '-1')\n"
          "is(d.div('10.00', '4', 2), '2.50') is(d.div('0.001', '1000', 6), '0.000001') is(d.div(0, 7, 2), "
          "'0.00')\n"
          "is(d.div('12345678901234567890', '9876543210', 10), '1249999988.7343749990')\n"
          "is(d('2.5'):round(), '3') is(d('-2.5'):round(0), '-3') is(d('1.005'):round(2), '1.01')\n"
          "is(d('0.004'):round(2), '0.00') is(d('0.5'):round(), '1') is(d('9.99'):round(1), '10.0')\n"
          "is(d('1.5'):round(3), '1.500') is(d('1e3'), '1000') is(d('1.5e-3'), '0.0015') is(d('-00.50'), "
          "'-0.50')\n"
          "is(d('.5'), '0.5') is(d('1.25E1'), '12.5')\n"
          "assert(d('1.0') == d('1.00') and d('1') ~= d('2') and d('-1') < d('0.5') and d('2') <= 2 and "
          "d('-2') < -1)\n"
          "assert(d.compare('1', '1.01') == -1 and d.compare(1, '1.0') == 0 and d.compare('-1', '-2') == 1)\n"
          "for _, bad in ipairs { '', 'x', '1.2.3', '1e', '--1', '1 ', 'NaN', '.', '1e999999' } do\n"
          "  assert(not pcall(d, bad), bad)\n"
          "end\n"
          "assert(not pcall(d, 0.5) and not pcall(d) and not pcall(d.add, '1'))\n"
          "assert(not pcall(d.div, 1, 0, 2) and not pcall(d.div, 1, 2) and not pcall(function() return "
          "d('1') / 2 end))\n"
          "return 'ok'",
          "ok");
}

static void
utf8_is_checked_like_the_server_does(void **state)
{
    static const struct
    {
        const char *text;
        bool is_valid;
    } cases[] = {
        {"", true},
        {"\x7f", true},
        {"\x80", false},
        {"\xc1\xbf", false},
        {"\xc2\x80", true},
        {"\xdf", false},
        {"\xe0\x9f\xbf", false},
        {"\xe0\xa0\x80", true},
        {"\xed\x9f\xbf", true},
        {"\xee\x80\x80", true},
        {"\xf0\x8f\xbf\xbf", false},
        {"\xf0\x90\x80\x80", true},
        {"\xf5\x80\x80\x80", false},
        {"\xe1\x80", false},
        {"\xe1\x80\x41", false},
        {"\xf1\x80\x80", false},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
        assert_int_equal(pawl_text_is_valid(cases[i].text, strlen(cases[i].text)), cases[i].is_valid);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(integers_keep_every_bit),
        FX_TEST(integer_columns_take_no_floats_and_no_strings),
        FX_TEST(floats_print_as_postgresql_prints_them),
        FX_TEST(numeric_is_exact_and_refuses_floats),
        FX_TEST(booleans_are_booleans_only),
        FX_TEST(text_is_valid_utf8_without_nul),
        FX_TEST(bytea_is_bytes),
        FX_TEST(untouched_json_goes_back_as_its_own_text),
        FX_TEST(changed_json_keeps_the_text_and_order_of_the_rest),
        FX_TEST(json_from_scratch_says_what_lua_says),
        FX_TEST(decoding_refuses_what_is_no_json),
        FX_TEST(arrays_keep_dimensions_bounds_and_nulls),
        FX_TEST(other_column_of_the_same_kind_gives_its_text),
        FX_TEST(decimals_calculate_exactly),
        FX_TEST(utf8_is_checked_like_the_server_does),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
