#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/csv.h"
#include "util/alloc.h"
#include "util/strbuf.h"

#include "util/banned.h"

typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_csv *csv;
} fixture;

static fixture
parse(const char *text)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_csv_parse("t.csv", text, f.arena, f.problems, &f.csv, &err), PAWL_OK);
    return f;
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

static void
assert_value(const fixture *f, size_t row, size_t column, const char *expected)
{
    const char *got = f->csv->rows[row].values[column];

    if (expected == NULL)
        assert_null(got);
    else
        assert_string_equal(got, expected);
}

static void
assert_problem(const char *text, int line, const char *words)
{
    fixture f = parse(text);

    assert_int_equal(pawl_problems_count(f.problems), 1);
    const pawl_problem *p = pawl_problems_get(f.problems, 0);
    if (p->line != line || strstr(p->message, words) == NULL)
        fail_msg("expected %d: %s; got %d: %s", line, words, p->line, p->message);
    drop(&f);
}

static void
fields_are_read_as_the_rfc_has_them(void **state)
{
    fixture f = parse("\xEF\xBB\xBF"
                      "id,name\r\n1,\"a \"\"b\"\", c\"\r\n\r\n2,\"two\nlines\"\n3, x ");

    (void) state;
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_int_equal(f.csv->ncolumns, 2);
    assert_string_equal(f.csv->columns[0], "id");
    assert_string_equal(f.csv->columns[1], "name");
    assert_int_equal(f.csv->nrows, 3);
    assert_value(&f, 0, 1, "a \"b\", c");
    assert_value(&f, 1, 1, "two\nlines");
    assert_value(&f, 2, 1, " x ");
    assert_int_equal(f.csv->rows[0].line, 2);
    assert_int_equal(f.csv->rows[1].line, 4);
    assert_int_equal(f.csv->rows[2].line, 6);
    drop(&f);
}

static void
nothing_is_null_and_quotes_around_nothing_are_the_empty_text(void **state)
{
    fixture f = parse("a,b,c\n,\"\",\n\"\",,x\n");

    (void) state;
    assert_int_equal(f.csv->nrows, 2);
    assert_value(&f, 0, 0, NULL);
    assert_value(&f, 0, 1, "");
    assert_value(&f, 0, 2, NULL);
    assert_value(&f, 1, 0, "");
    assert_value(&f, 1, 1, NULL);
    assert_value(&f, 1, 2, "x");
    drop(&f);
}

static void
problems_name_their_line(void **state)
{
    (void) state;
    assert_problem("", 1, "the file is empty");
    assert_problem("\n\n", 1, "the file is empty");
    assert_problem("a,,b\n", 1, "field 2 of the first line is empty");
    assert_problem("a,b,a\n", 1, "names the column \"a\" twice");
    assert_problem("a,b\n1,2\n3\n", 3, "expected 2 fields, as in the first line, found 1");
    assert_problem("a,b\n1,2,3\n", 2, "found 3");
    assert_problem("a,b\n1,\"x\"y\n", 2, "text behind a closing quote");
    assert_problem("a,b\n1,x\"y\n", 2, "a quote inside a field");
    assert_problem("a,b\n1,2\n3,\"x\n\n", 3, "a quote is never closed");
    assert_problem("a\n\xFF\n", 2, "no valid UTF-8");
}

static void
every_bad_line_is_told_and_the_good_ones_are_read(void **state)
{
    fixture f = parse("a,b\n1\n1,2\n1,\"x\"y\n3,4\n5\n");

    (void) state;
    assert_int_equal(pawl_problems_count(f.problems), 3);
    assert_int_equal(pawl_problems_get(f.problems, 0)->line, 2);
    assert_int_equal(pawl_problems_get(f.problems, 1)->line, 4);
    assert_int_equal(pawl_problems_get(f.problems, 2)->line, 6);
    assert_int_equal(f.csv->nrows, 2);
    drop(&f);
}

static void
problems_of_one_file_are_not_told_without_end(void **state)
{
    PAWL_STRBUF_AUTO(text);

    (void) state;
    pawl_strbuf_add(&text, "a,b\n");
    for (int i = 0; i < 100; i++)
        pawl_strbuf_add(&text, "1\n");
    fixture f = parse(text.data);
    assert_int_equal(pawl_problems_count(f.problems), 21);
    assert_string_equal(pawl_problems_get(f.problems, 20)->message, "80 more lines have problems");
    drop(&f);
}

static void
every_failed_allocation_is_reported(void **state)
{
    pawl_status st = PAWL_E_NOMEM;

    (void) state;
    for (long nth = 0; st != PAWL_OK; nth++)
    {
        fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
        pawl_error err = PAWL_ERROR_INIT;

        pawl_test_fail_alloc(nth);
        st = pawl_csv_parse("t.csv", "a,b\n1,\"2\"\n3,4\n", f.arena, f.problems, &f.csv, &err);
        pawl_test_fail_alloc(-1);
        assert_int_equal(st, err.code);
        assert_true(st == PAWL_OK || st == PAWL_E_NOMEM);
        assert_in_range(nth, 0, 60);
        drop(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fields_are_read_as_the_rfc_has_them),
        cmocka_unit_test(nothing_is_null_and_quotes_around_nothing_are_the_empty_text),
        cmocka_unit_test(problems_name_their_line),
        cmocka_unit_test(every_bad_line_is_told_and_the_good_ones_are_read),
        cmocka_unit_test(problems_of_one_file_are_not_told_without_end),
        cmocka_unit_test(every_failed_allocation_is_reported),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
