#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/reader.h"

#include "util/banned.h"

/* A reader on a text; each test declares one and drops it. */
typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_reader r;
} fixture;

static fixture
open_text(const char *text, const char *const *keys)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_yaml *root = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_yaml_parse("t.yaml", text, strlen(text), f.arena, f.problems, &root, &err),
                     PAWL_OK);
    assert_non_null(root);
    pawl_reader_open(&f.r, root, "backfill", keys, f.problems, f.arena);
    return f;
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

static const pawl_problem *
only_problem(const fixture *f)
{
    assert_int_equal(pawl_problems_count(f->problems), 1);
    return pawl_problems_get(f->problems, 0);
}

static const char *const keys[] = {"table", "column", "where", "n", "t", "b", "word", "list", NULL};

static void
unknown_key_is_a_problem_at_once_with_what_was_meant(void **state)
{
    fixture f = open_text("table: a\ncolum: b\nzebra: c\n", keys);

    (void) state;
    assert_int_equal(pawl_problems_count(f.problems), 2);
    assert_string_equal(pawl_problems_get(f.problems, 0)->message, "backfill has no key \"colum\"");
    assert_string_equal(pawl_problems_get(f.problems, 0)->hint, "did you mean \"column\"?");
    assert_int_equal(pawl_problems_get(f.problems, 0)->line, 2);
    assert_string_equal(pawl_problems_get(f.problems, 1)->hint,
                        "it may have: table, column, where, n, t, b, word, list");
    drop(&f);
}

static void
node_that_is_no_mapping_is_one_problem_and_every_read_is_false(void **state)
{
    fixture f = open_text("- a\n", keys);
    const char *text = "before";

    (void) state;
    assert_false(pawl_reader_has(&f.r, "table"));
    assert_false(pawl_reader_has_text(&f.r, "table", &text));
    pawl_reader_require(&f.r, "table", "table: t");
    pawl_reader_problem(&f.r, "table", NULL, "not seen");
    assert_string_equal(text, "before");
    assert_string_equal(only_problem(&f)->message, "backfill must be a mapping, not a list");
    drop(&f);
}

static void
missing_key_leaves_the_output_and_is_a_problem_only_when_required(void **state)
{
    fixture f = open_text("table: a\n", keys);
    int64_t n = 7;

    (void) state;
    assert_false(pawl_reader_has_i64(&f.r, "n", 0, 9, &n));
    assert_int_equal(n, 7);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    pawl_reader_require(&f.r, "table", "table: t");
    assert_int_equal(pawl_problems_count(f.problems), 0);
    pawl_reader_require(&f.r, "n", "n: 3");
    assert_string_equal(only_problem(&f)->message, "backfill needs the key \"n\"");
    assert_string_equal(only_problem(&f)->hint, "for example: n: 3");
    assert_int_equal(only_problem(&f)->line, 1);
    drop(&f);
}

static void
values_of_the_right_type_are_read(void **state)
{
    fixture f = open_text(
        "table: 00123\nn: 20_000\nt: 1.5s\nb: true\nword: none\nlist: [x, 1]\nwhere: |\n  a # b\n", keys);
    static const char *const words[] = {"sample", "none", NULL};
    const char *text = NULL;
    const char **list = NULL;
    int64_t n = 0;
    size_t word = 9;
    size_t count = 0;
    bool flag = false;

    (void) state;
    assert_true(pawl_reader_has_text(&f.r, "table", &text));
    assert_string_equal(text, "00123");
    assert_true(pawl_reader_has_i64(&f.r, "n", 1, 50000, &n));
    assert_int_equal(n, 20000);
    assert_true(pawl_reader_has_duration_ms(&f.r, "t", &n));
    assert_int_equal(n, 1500);
    assert_true(pawl_reader_has_bool(&f.r, "b", &flag));
    assert_true(flag);
    assert_true(pawl_reader_has_word(&f.r, "word", words, &word));
    assert_int_equal(word, 1);
    assert_true(pawl_reader_has_list(&f.r, "list", &list, &count));
    assert_int_equal(count, 2);
    assert_string_equal(list[1], "1");
    assert_true(pawl_reader_has_sql(&f.r, "where", &text));
    assert_string_equal(text, "a # b\n");
    assert_int_equal(pawl_problems_count(f.problems), 0);
    drop(&f);
}

static void
single_text_is_a_list_of_one_and_brackets_are_an_empty_list(void **state)
{
    fixture f = open_text("list: id\ntable: []\n", keys);
    const char **list = NULL;
    size_t count = 9;

    (void) state;
    assert_true(pawl_reader_has_list(&f.r, "list", &list, &count));
    assert_int_equal(count, 1);
    assert_string_equal(list[0], "id");
    assert_true(pawl_reader_has_list(&f.r, "table", &list, &count));
    assert_int_equal(count, 0);
    drop(&f);
}

static void
wrong_values_name_key_expectation_and_what_is_there(void **state)
{
    static const char *const words[] = {"sample", "none", "all", NULL};
    fixture f =
        open_text("table: [a]\nn: 12x\nt: soon\nb: on\nword: sampel\nlist: [a, {b: c}]\nwhere:\n", keys);
    const char *text = NULL;
    const char **list = NULL;
    int64_t n = 0;
    size_t count = 0;
    bool flag = false;
    static const char *const messages[] = {
        "backfill: \"table\" must be text, not a list",
        "backfill: \"n\" must be a whole number from 1 to 9, not \"12x\"",
        "backfill: \"t\" must be a duration, not \"soon\"",
        "backfill: \"b\" must be true or false, not \"on\"",
        "backfill: \"word\" must be one of sample, none, all, not \"sampel\"",
        "backfill: \"list\" must be a list of texts, not a mapping",
        "backfill: \"where\" must be SQL, not nothing",
    };

    (void) state;
    assert_false(pawl_reader_has_text(&f.r, "table", &text));
    assert_false(pawl_reader_has_i64(&f.r, "n", 1, 9, &n));
    assert_false(pawl_reader_has_duration_ms(&f.r, "t", &n));
    assert_false(pawl_reader_has_bool(&f.r, "b", &flag));
    assert_false(pawl_reader_has_word(&f.r, "word", words, &count));
    assert_false(pawl_reader_has_list(&f.r, "list", &list, &count));
    assert_false(pawl_reader_has_sql(&f.r, "where", &text));
    assert_int_equal(pawl_problems_count(f.problems), 7);
    for (size_t i = 0; i < 7; i++)
    {
        assert_string_equal(pawl_problems_get(f.problems, i)->message, messages[i]);
        assert_int_equal(pawl_problems_get(f.problems, i)->line, (int) i + 1);
    }
    assert_string_equal(pawl_problems_get(f.problems, 4)->hint, "did you mean \"sample\"?");
    drop(&f);
}

static void
numbers_outside_their_range_are_refused(void **state)
{
    fixture f = open_text("n: 0\n", keys);
    int64_t n = 5;

    (void) state;
    assert_false(pawl_reader_has_i64(&f.r, "n", 1, INT64_MAX, &n));
    assert_int_equal(n, 5);
    assert_string_equal(only_problem(&f)->message,
                        "backfill: \"n\" must be a whole number, 1 or more, not \"0\"");
    drop(&f);
}

static void
sql_that_yaml_cuts_is_refused(void **state)
{
    fixture f = open_text("table: a # a comment is no harm here\nwhere: a > 1 # and b < 2\n", keys);
    const char *text = NULL;

    (void) state;
    assert_true(pawl_reader_has_text(&f.r, "table", &text));
    assert_false(pawl_reader_has_sql(&f.r, "where", &text));
    assert_string_equal(only_problem(&f)->message,
                        "backfill: the SQL under \"where\" ends before \" #\", where YAML begins a comment");
    assert_int_equal(only_problem(&f)->line, 2);
    drop(&f);
}

static void
blank_sql_is_refused(void **state)
{
    fixture f = open_text("where: '  '\n", keys);
    const char *text = NULL;

    (void) state;
    assert_false(pawl_reader_has_sql(&f.r, "where", &text));
    assert_int_equal(pawl_problems_count(f.problems), 1);
    drop(&f);
}

static void
long_and_hostile_values_are_shown_short_and_harmless(void **state)
{
    fixture f = open_text(
        "n: \"\\e[31m\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
        "\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4\xC3\xA4"
        "\xC3\xA4\xC3\xA4\"\n",
        keys);
    int64_t n = 0;
    const char *message;
    size_t length;

    (void) state;
    assert_false(pawl_reader_has_i64(&f.r, "n", 1, 9, &n));
    message = only_problem(&f)->message;
    length = strlen(message);
    assert_null(strchr(message, 0x1B));
    assert_string_equal(message + length - 6, "\xC3\xA4...\"");
    assert_true(length < 120);
    drop(&f);
}

static void
own_problems_stand_at_the_key_or_the_mapping(void **state)
{
    fixture f = open_text("# head\ntable: a\nn: 3\n", keys);

    (void) state;
    pawl_reader_problem(&f.r, "n", "hint", "bad %d", 1);
    pawl_reader_problem(&f.r, "t", NULL, "missing");
    assert_int_equal(pawl_problems_get(f.problems, 0)->line, 3);
    assert_int_equal(pawl_problems_get(f.problems, 0)->column, 4);
    assert_string_equal(pawl_problems_get(f.problems, 0)->message, "bad 1");
    assert_int_equal(pawl_problems_get(f.problems, 1)->line, 2);
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_key_is_a_problem_at_once_with_what_was_meant),
        cmocka_unit_test(node_that_is_no_mapping_is_one_problem_and_every_read_is_false),
        cmocka_unit_test(missing_key_leaves_the_output_and_is_a_problem_only_when_required),
        cmocka_unit_test(values_of_the_right_type_are_read),
        cmocka_unit_test(single_text_is_a_list_of_one_and_brackets_are_an_empty_list),
        cmocka_unit_test(wrong_values_name_key_expectation_and_what_is_there),
        cmocka_unit_test(numbers_outside_their_range_are_refused),
        cmocka_unit_test(sql_that_yaml_cuts_is_refused),
        cmocka_unit_test(blank_sql_is_refused),
        cmocka_unit_test(long_and_hostile_values_are_shown_short_and_harmless),
        cmocka_unit_test(own_problems_stand_at_the_key_or_the_mapping),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
