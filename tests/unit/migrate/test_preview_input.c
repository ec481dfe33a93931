/* pawl_preview_input: rows from JSON, typed, run, and compared with what they expect. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "util/strbuf.h"

#include "pawl/transform.h"

#include "util/banned.h"

typedef struct fixture
{
    char dir[40];
    char path[60];
    pawl_preview_input_options what;
    pawl_preview_report *report;
    pawl_error err;
} fixture;

static int
setup(void **state)
{
    static fixture f;

    f = (fixture){.dir = "/tmp/pawl-input-XXXXXX"};
    assert_non_null(mkdtemp(f.dir));
    pawl_fmt(f.path, sizeof f.path, "%s/x.lua", f.dir);
    f.what = (pawl_preview_input_options){.input_name = "rows.json", .lua_root = f.dir, .lua_file = "x.lua"};
    *state = &f;
    return 0;
}

static int
teardown(void **state)
{
    fixture *f = *state;

    pawl_preview_free(f->report);
    (void) unlink(f->path);
    (void) rmdir(f->dir);
    return 0;
}

static pawl_status
run(fixture *f, const char *lua, const char *input)
{
    const pawl_run_options options = {.stop = NULL};
    FILE *file = fopen(f->path, "w");

    assert_non_null(file);
    assert_true(fprintf(file, "%s", lua) > 0);
    assert_int_equal(fclose(file), 0);
    pawl_preview_free(f->report);
    f->report = NULL;
    f->err = (pawl_error) PAWL_ERROR_INIT;
    f->what.input = input;
    return pawl_preview_input(&f->what, &options, &f->report, &f->err);
}

static void
run_ok(fixture *f, const char *lua, const char *input)
{
    if (run(f, lua, input) != PAWL_OK)
        fail_msg("%s (%s:%d)", f->err.message, f->err.file, f->err.line);
}

/* The value that a row sets in the only written column. */
static const char *
after(const fixture *f, size_t row)
{
    const pawl_preview_value *v = &f->report->rows[row].values[0];

    assert_int_equal(f->report->nwritten, 1);
    return !v->is_set ? "unset" : v->after == NULL ? "NULL" : v->after;
}

static void
columns_are_given_as_what_they_are_in_json(void **state)
{
    static const char *const values[][2] = {{"\"x\"", "string x"},
                                            {"7", "number 7"},
                                            {"9223372036854775808", "string 9223372036854775808"},
                                            {"1.50", "string 1.50"},
                                            {"true", "boolean true"},
                                            {"null", "nil nil"}};
    fixture *f = *state;

    for (size_t i = 0; i < sizeof values / sizeof values[0]; i++)
    {
        char input[100];

        pawl_fmt(input, sizeof input, "[{\"id\": 1, \"v\": %s}]", values[i][0]);
        run_ok(f, "return function(row) return { o = type(row.v) .. ' ' .. tostring(row.v) } end", input);
        assert_string_equal(after(f, 0), values[i][1]);
    }
    run_ok(f, "return function(row) return { o = row.v.a[2] .. type(row.v) } end",
           "[{\"v\": {\"a\": [1, \"z\"]}}, {\"v\": null}]");
    assert_string_equal(after(f, 0), "ztable");
    assert_int_equal(f->report->rows[1].outcome, PAWL_PREVIEW_FAIL);
    assert_int_equal(f->report->rows[1].error->line, 1);
}

static void
declared_types_hold_for_what_is_given_and_returned(void **state)
{
    static const pawl_key_value types[] = {
        {"a", "text[]"}, {"n", "numeric(10,2)"}, {"b", "bytea"}, {"o", "Timestamp (3) with time zone"}};
    fixture *f = *state;

    f->what.types = types;
    f->what.ntypes = 4;
    run_ok(f, "return function(row) return { o = row.a[1] .. row.a[2] .. row.a.n .. #row.b .. row.n } end",
           "[{\"a\": [\"x,\\\"y\", \"NULL\", null], \"b\": \"\\\\x00ff\", \"n\": 1.50}]");
    const pawl_preview_row *row = &f->report->rows[0];
    assert_int_equal(f->report->nwritten, 4);
    assert_string_equal(f->report->written[3].name, "o");
    assert_string_equal(row->values[3].after, "x,\"yNULL321.50");
    run_ok(f, "return function(row) return { n = 0.5 } end", "[{\"n\": 1}]");
    assert_int_equal(f->report->rows[0].outcome, PAWL_PREVIEW_FAIL);
    assert_non_null(strstr(f->report->rows[0].error->message, "(numeric(10,2)) takes"));
}

static void
expectations_are_compared(void **state)
{
    static const char lua[] = "return function(row)\n"
                              "  if row.v == 'leave' then return nil end\n"
                              "  if row.v == 'reject' then pawl.reject('why') end\n"
                              "  if row.v == 'fail' then error('in the middle') end\n"
                              "  return { o = row.v, p = { a = 1, b = {} } }\n"
                              "end\n";
    static const struct
    {
        const char *given;
        const char *unexpected; /* NULL: as expected */
    } cases[] = {
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": \"x\", \"p\": {\"b\": {}, \"a\": 1}}}", NULL},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": \"y\", \"p\": {\"b\": {}, \"a\": 1}}}",
         "o is x, expected y"},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": \"x\", \"p\": {\"b\": [], \"a\": 1}}}", "p is {"},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": \"x\"}}", "which was not expected"},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": \"x\", \"p\": {\"a\":1,\"b\":{}}, \"q\": 1}}",
         "q is not set"},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": {\"o\": null, \"p\": {\"a\":1,\"b\":{}}}}",
         "o is x, expected NULL"},
        {"{\"row\": {\"v\": \"x\"}, \"expect\": null}",
         "values are set, expected that the row is left alone"},
        {"{\"row\": {\"v\": \"x\"}, \"reject\": \"why\"}", "values are set, expected a reject"},
        {"{\"row\": {\"v\": \"leave\"}, \"expect\": null}", NULL},
        {"{\"row\": {\"v\": \"leave\"}, \"expect\": {}}", "the row is left alone, expected values"},
        {"{\"row\": {\"v\": \"reject\"}, \"reject\": \"why\"}", NULL},
        {"{\"row\": {\"v\": \"reject\"}, \"reject\": \"why not\"}", "the reason is \"why\""},
        {"{\"row\": {\"v\": \"reject\"}, \"fail\": \"why\"}", "the row is rejected, expected a failure"},
        {"{\"row\": {\"v\": \"fail\"}, \"fail\": \"middle\"}", NULL},
        {"{\"row\": {\"v\": \"fail\"}, \"fail\": \"end\"}", "the failure does not say \"end\""},
        {"{\"row\": {\"v\": \"fail\"}, \"expect\": null}", "the transform fails"},
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        char input[200];

        pawl_fmt(input, sizeof input, "[%s]", cases[i].given);
        run_ok(f, lua, input);
        const char *found = f->report->rows[0].unexpected;
        assert_int_equal(f->report->expectations, 1);
        assert_int_equal(f->report->unexpected, cases[i].unexpected == NULL ? 0 : 1);
        if ((found == NULL) != (cases[i].unexpected == NULL) ||
            (found != NULL && strstr(found, cases[i].unexpected) == NULL))
            fail_msg("%s: %s", cases[i].given, found == NULL ? "as expected" : found);
    }
}

static void
surroundings_come_from_the_input(void **state)
{
    static const pawl_key_value x[] = {{"b", "stronger"}};
    fixture *f = *state;

    f->what.x = x;
    f->what.nx = 1;
    run_ok(f, "return function(row) return { o = pawl.x.a .. pawl.x.b .. pawl.secret.K .. pawl.now } end",
           "{\"x\": {\"a\": \"1\", \"b\": \"2\"}, \"secrets\": {\"K\": \"k\"}, \"now\": "
           "\"2024-02-29T12:34:56Z\","
           " \"rows\": [{\"id\": 1}]}");
    assert_non_null(strstr(after(f, 0), "1strongerk2024-02-29T12:34:56"));
    run_ok(f, "return function(row) return { o = math.random(1000000) } end",
           "{\"key\": [\"k\"], \"rows\": [{\"id\": 1, \"k\": \"a\"}, {\"id\": 2, \"k\": \"a\"}, {\"id\": 1, "
           "\"k\": \"b\"}]}");
    assert_string_equal(after(f, 0), after(f, 1));
    assert_string_not_equal(after(f, 0), after(f, 2));
    assert_true(f->report->given[0].is_key);
}

static void
log_lines_belong_to_their_row(void **state)
{
    fixture *f = *state;

    run_ok(f,
           "local M = {}\n"
           "function M.setup() pawl.log('setup') end\n"
           "function M.row(row) pawl.log('row ' .. row.id) pawl.log('again') if row.id == 2 then error('x') "
           "end end\n"
           "return M\n",
           "[{\"id\": 1}, {\"id\": 2}, {\"id\": 3}]");
    assert_string_equal(f->report->rows[0].log, "setup\nrow 1\nagain\n");
    assert_string_equal(f->report->rows[1].log, "row 2\nagain\n");
    assert_string_equal(f->report->rows[2].log, "row 3\nagain\n");
    assert_string_equal(f->report->rows[2].name, "row 3");
}

static void
batch_that_fails_as_a_whole_is_run_row_by_row(void **state)
{
    fixture *f = *state;

    run_ok(f,
           "return { batch = function(rows)\n"
           "  local out = {}\n"
           "  for i = 1, rows.n do out[i] = { o = 10 // rows[i].id } end\n"
           "  return out\n"
           "end }\n",
           "[{\"id\": 1}, {\"id\": 0}, {\"id\": 5}]");
    assert_string_equal(after(f, 0), "10");
    assert_int_equal(f->report->rows[1].outcome, PAWL_PREVIEW_FAIL);
    assert_int_equal(f->report->rows[1].error->line, 3);
    assert_string_equal(after(f, 2), "2");
}

static void
inputs_that_cannot_be_read_are_refused_with_the_place(void **state)
{
    static const struct
    {
        const char *input;
        const char *message;
        int line;
        int column;
    } cases[] = {
        {"[\n {\"id\": }]", "this is no JSON", 2, 9},
        {"7", "an array of rows was expected, not a number", 1, 1},
        {"{\"row\": []}", "an input has no \"row\"", 1, 9},
        {"[1]", "a row must be an object", 1, 2},
        {"{\"types\": {\"a\": \"nonsense\"}, \"rows\": [{\"a\": 1}]}", "\"nonsense\" is no built-in type", 0,
         0},
        {"{\"types\": {\"a\": 1}, \"rows\": [{\"b\": 1}]}", "the name of a type was expected", 1, 17},
        {"{\"types\": {\"a\": \"text\"}, \"rows\": [{\"a\": {}}]}", "column \"a\" (text) cannot be an object",
         1, 41},
        {"{\"now\": \"today\", \"rows\": []}", "a time like", 1, 9},
        {"{\"x\": {\"a\": 1}, \"rows\": []}", "a text was expected", 1, 13},
        {"[{\"row\": {\"a\": 1}, \"expect\": 7}]", "an object of columns, or null", 1, 30},
        {"[{\"row\": {\"a\": 1}, \"reject\": null}]", "a text was expected", 1, 30},
    };
    fixture *f = *state;

    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        if (run(f, "return function(row) end", cases[i].input) != PAWL_E_INPUT)
            fail_msg("%s: taken", cases[i].input);
        if (strstr(f->err.message, cases[i].message) == NULL || f->err.line != cases[i].line ||
            f->err.column != cases[i].column)
            fail_msg("%s: %s (%d:%d)", cases[i].input, f->err.message, f->err.line, f->err.column);
    }
    assert_int_equal(run(f, "return 7", "[]"), PAWL_E_INPUT);
    assert_string_equal(f->err.file, "x.lua");
}

static void
columns_named_like_a_case_are_columns(void **state)
{
    fixture *f = *state;

    run_ok(f, "return function(row) return { o = row.row .. row.name } end",
           "[{\"row\": \"r\", \"name\": \"n\"}]");
    assert_string_equal(after(f, 0), "rn");
    run_ok(f, "return function(row) return { o = row.row.x .. row.city } end",
           "[{\"row\": {\"x\": \"r\"}, \"city\": \"c\"}]");
    assert_string_equal(after(f, 0), "rc");
}

#define INPUT_TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        INPUT_TEST(columns_are_given_as_what_they_are_in_json),
        INPUT_TEST(declared_types_hold_for_what_is_given_and_returned),
        INPUT_TEST(expectations_are_compared),
        INPUT_TEST(surroundings_come_from_the_input),
        INPUT_TEST(log_lines_belong_to_their_row),
        INPUT_TEST(batch_that_fails_as_a_whole_is_run_row_by_row),
        INPUT_TEST(inputs_that_cannot_be_read_are_refused_with_the_place),
        INPUT_TEST(columns_named_like_a_case_are_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
