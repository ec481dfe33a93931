/* Transforms that return rows for another table: none, one or many. */
#include "unit/lua/fixture.h"

#include "util/banned.h"

static void
begin(fixture *fx)
{
    fx_columns(fx);
    fx->options.is_many = true;
    fx_row(fx, "1", "x");
    fx_row(fx, "2", "y");
}

static void
each_row_of_a_list_is_put_with_its_source(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx_ok(fx, "return function(row)\n"
              "  if row.id == 1 then return { { a = 'p', n = 1 }, { a = 'q' }, { n = 3 } } end\n"
              "  return { { a = row.a } }\n"
              "end");
    assert_int_equal(fx->puts, 4);
    assert_string_equal(fx->answers[0], "a=p n=1 | a=q | n=3");
    assert_string_equal(fx->answers[1], "a=y");
}

static void
one_row_needs_no_list_and_none_is_nil_or_an_empty_one(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx_ok(fx, "return function(row) if row.id == 1 then return { a = row.a } end end");
    assert_string_equal(fx->answers[0], "a=x");
    assert_string_equal(fx->answers[1], "leave");
    fx_ok(fx, "return function(row) return {} end");
    assert_int_equal(fx->puts, 2);
    assert_string_equal(fx->answers[0], "leave");
}

static void
batch_answers_with_rows_and_lists(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx_row(fx, "3", "z");
    fx_ok(fx, "local M = {}\n"
              "function M.batch(rows)\n"
              "  return { { { a = rows[1].a }, { a = 'more' } }, nil, { a = rows[3].a } }\n"
              "end\n"
              "return M");
    assert_string_equal(fx->answers[0], "a=x | a=more");
    assert_string_equal(fx->answers[1], "leave");
    assert_string_equal(fx->answers[2], "a=z");
}

static void
rejected_row_has_no_others(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx_ok(fx, "return function(row)\n"
              "  if row.id == 1 then pawl.reject('no') end\n"
              "  return { { a = 'p' }, { a = 'q' } }\n"
              "end");
    assert_string_equal(fx->answers[0], "reject: no");
    assert_string_equal(fx->answers[1], "a=p | a=q");
}

static void
what_is_no_list_of_rows_is_an_error(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx_fails(fx, "return function() return { { a = 'p' }, 7 } end", "holds a Lua number");
    fx_fails(fx, "return function() return { { a = 'p' }, n = 1 } end", "also holds \"n\"");
    fx_fails(fx, "return function() return { { a = 'p' }, nil, { a = 'q' }, [9] = { a = 'r' } } end",
             "holes in it");
    fx_fails(fx, "return function() return { { a = 'p' }, {} } end", "without any column");
    fx_fails(fx, "return function() return { { b = 'p' } } end", "no column it may write");
    fx_fails(fx, "return function() return 'p' end", "returned a Lua string");
    assert_int_equal(fx->failed_row, 0);
}

static void
sink_that_refuses_a_row_gets_no_further_ones(void **state)
{
    fixture *fx = *state;

    begin(fx);
    fx->put_fails_at = 1;
    fx->put_status = PAWL_E_NOMEM;
    assert_int_equal(fx_open(fx, "return function() return { { a = 'p' }, { a = 'q' } } end"), PAWL_OK);
    assert_int_equal(fx_run(fx), PAWL_E_NOMEM);
    assert_int_equal(fx->puts, 2);
}

/* json and arrays that were not touched keep their own text in every row that they are put into. */
static void
untouched_json_goes_into_many_rows_as_it_was(void **state)
{
    fixture *fx = *state;

    fx->options.is_many = true;
    fx_read(fx, "id", T_INT8, 0, "bigint");
    fx_read(fx, "j", T_JSON, 0, "json");
    fx_write(fx, "j", T_JSON, 0, "json");
    fx_row(fx, "1", "{\"b\" :1.0, \"a\":2}");
    fx_ok(fx, "return function(row) return { { j = row.j }, { j = row.j } } end");
    assert_string_equal(fx->answers[0], "j={\"b\" :1.0, \"a\":2} | j={\"b\" :1.0, \"a\":2}");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        FX_TEST(each_row_of_a_list_is_put_with_its_source),
        FX_TEST(one_row_needs_no_list_and_none_is_nil_or_an_empty_one),
        FX_TEST(batch_answers_with_rows_and_lists),
        FX_TEST(rejected_row_has_no_others),
        FX_TEST(what_is_no_list_of_rows_is_an_error),
        FX_TEST(sink_that_refuses_a_row_gets_no_further_ones),
        FX_TEST(untouched_json_goes_into_many_rows_as_it_was),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
