/* The command line: what is read from it, and what is said about a wrong one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/fail.h"
#include "cli/options.h"

#include "util/banned.h"

#define MOST_WORDS 16

/* Parse "pawl" and these words, up to NULL. */
static pawl_status
parse(pawl_cli_line *line, pawl_error *err, char *const *words)
{
    char *argv[MOST_WORDS + 2] = {(char[]){"pawl"}};
    int argc = 1;

    *err = (pawl_error) PAWL_ERROR_INIT;
    for (; words[argc - 1] != NULL; argc++)
    {
        assert_in_range(argc, 1, MOST_WORDS);
        argv[argc] = words[argc - 1];
    }
    return pawl_cli_parse(argc, argv, line, err);
}

#define W(text)               ((char[]){text})
#define PARSE(line, err, ...) parse(line, err, (char *[]){__VA_ARGS__, NULL})

/* The value of a setting that was overridden, or NULL. */
static const char *
override_of(const pawl_cli_line *line, const char *key)
{
    for (size_t i = line->noverrides; i > 0; i--)
    {
        if (strcmp(line->overrides[i - 1].key, key) == 0)
            return line->overrides[i - 1].value;
    }
    return NULL;
}

static void
assert_refused(const char *message_part, const char *hint_part, char *const *words)
{
    pawl_cli_line line;
    pawl_error err;

    assert_int_equal(parse(&line, &err, words), PAWL_E_USAGE);
    assert_int_equal(err.code, PAWL_E_USAGE);
    if (strstr(err.message, message_part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", message_part, err.message);
    if (strstr(err.hint, hint_part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", hint_part, err.hint);
    pawl_cli_line_free(&line);
}

#define REFUSED(message, hint, ...) assert_refused(message, hint, (char *[]){__VA_ARGS__, NULL})

static void
global_flags_stand_before_and_after_the_verb(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(
        PARSE(&line, &err, W("--env"), W("blue"), W("-v"), W("upgrade"), W("--config=x.yaml"), W("--json")),
        PAWL_OK);
    assert_string_equal(line.verb->name, "upgrade");
    assert_string_equal(line.environment, "blue");
    assert_string_equal(line.config, "x.yaml");
    assert_true(line.is_json);
    assert_true(line.is_verbose);
    assert_int_equal(line.narguments, 0);
    pawl_cli_line_free(&line);
}

static void
an_alias_is_the_verb(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("up")), PAWL_OK);
    assert_ptr_equal(line.verb, pawl_cli_verb_find("upgrade"));
    pawl_cli_line_free(&line);
}

static void
what_begins_with_a_signed_digit_is_a_target(void **state)
{
    char *const targets[] = {W("-1"), W("-3:"), W("+2")};
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    for (size_t i = 0; i < 3; i++)
    {
        assert_int_equal(PARSE(&line, &err, W("downgrade"), targets[i], W("-q")), PAWL_OK);
        assert_int_equal(line.narguments, 1);
        assert_string_equal(line.arguments[0], targets[i]);
        assert_true(line.is_quiet);
        pawl_cli_line_free(&line);
    }
}

static void
after_two_dashes_nothing_is_a_flag(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("upgrade"), W("--"), W("--json")), PAWL_OK);
    assert_false(line.is_json);
    assert_string_equal(line.arguments[0], "--json");
    pawl_cli_line_free(&line);
}

static void
a_value_is_attached_or_follows(void **state)
{
    char *const forms[][3] = {
        {W("--message=a=b"), NULL}, {W("--message"), W("a=b")}, {W("-m"), W("a=b")},
        {W("-ma=b"), NULL},         {W("-vma=b"), NULL},
    };
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    for (size_t i = 0; i < sizeof forms / sizeof forms[0]; i++)
    {
        assert_int_equal(PARSE(&line, &err, W("revision"), forms[i][0], forms[i][1]), PAWL_OK);
        assert_string_equal(pawl_cli_value(&line, "--message"), "a=b");
        assert_null(pawl_cli_value(&line, "--head"));
        pawl_cli_line_free(&line);
    }
}

static void
switches_stand_together(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("history"), W("-iv")), PAWL_OK);
    assert_true(line.is_verbose);
    assert_true(pawl_cli_is_given(&line, "--indicate-current"));
    pawl_cli_line_free(&line);
}

static void
the_last_of_a_flag_wins_but_x_adds_up(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("-xa=1"), W("revision"), W("-m"), W("one"), W("-m"), W("two"),
                           W("-x"), W("b=c=d")),
                     PAWL_OK);
    assert_string_equal(pawl_cli_value(&line, "--message"), "two");
    assert_int_equal(line.nx, 2);
    assert_string_equal(line.x[0].key, "a");
    assert_string_equal(line.x[0].value, "1");
    assert_string_equal(line.x[1].key, "b");
    assert_string_equal(line.x[1].value, "c=d");
    pawl_cli_line_free(&line);
}

static void
flags_of_settings_become_overrides(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("--workers=3"), W("upgrade"), W("--database"), W("postgresql:///x"),
                           W("--dir"), W("m"), W("--lock-timeout"), W("1s")),
                     PAWL_OK);
    assert_string_equal(override_of(&line, "backfill.workers"), "3");
    assert_string_equal(override_of(&line, "database"), "postgresql:///x");
    assert_string_equal(override_of(&line, "migrations"), "m");
    assert_string_equal(override_of(&line, "lock_timeout"), "1s");
    assert_int_equal(line.noverrides, 4);
    pawl_cli_line_free(&line);
}

static void
every_setting_has_a_flag_that_upgrade_takes(void **state)
{
    (void) state;
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        char flag[64] = {0};
        pawl_cli_line line;
        pawl_error err;

        assert_non_null(s->flag);
        assert_in_range(strlen(s->flag), 3, sizeof flag - 1);
        memcpy(flag, s->flag, strlen(s->flag));
        assert_int_equal(PARSE(&line, &err, W("upgrade"), flag, W("7")), PAWL_OK);
        assert_string_equal(override_of(&line, s->key), "7");
        pawl_cli_line_free(&line);
    }
}

static void
settings_without_effect_on_the_verb_are_refused(void **state)
{
    (void) state;
    REFUSED("--workers has no effect on `pawl status`", "pawl help status", W("status"), W("--workers"),
            W("3"));
    REFUSED("--lock-timeout has no effect on `pawl history`", "pawl help history", W("--lock-timeout=1s"),
            W("history"));
    REFUSED("--schema has no effect on `pawl init`", "pawl help init", W("init"), W("--schema"), W("x"));
}

static void
unknown_words_name_the_nearest(void **state)
{
    (void) state;
    REFUSED("no verb \"upgarde\"", "did you mean upgrade?", W("upgarde"));
    REFUSED("no verb \"frobnicate\"", "pawl --help", W("frobnicate"));
    REFUSED("no flag --worker", "did you mean --workers? `pawl help upgrade`", W("up"), W("--worker"),
            W("3"));
    REFUSED("no flag --jsno", "--json", W("status"), W("--jsno"));
    REFUSED("no flag -z", "pawl help status", W("status"), W("-z"));
    REFUSED("no flag --message", "`pawl revision`", W("current"), W("--message"), W("x"));
    REFUSED("no global flag --watch", "stands after the verb", W("--watch"), W("status"));
}

static void
values_that_are_missing_or_too_much_are_refused(void **state)
{
    (void) state;
    REFUSED("--config needs a value: --config FILE", "", W("up"), W("--config"));
    REFUSED("--config needs a value", "--config=--json", W("up"), W("--config"), W("--json"));
    REFUSED("--json takes no value", "", W("up"), W("--json=yes"));
    REFUSED("KEY=VALUE, not \"demo\"", "-x demo=true", W("up"), W("-x"), W("demo"));
    REFUSED("KEY=VALUE, not \"=1\"", "", W("up"), W("-x=1"));
    REFUSED("auto, always or never, not \"red\"", "", W("up"), W("--color"), W("red"));
    REFUSED("-q and -v contradict", "", W("up"), W("-qv"));
}

static void
the_number_of_arguments_is_checked(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    REFUSED("needs an argument: TARGET", "usage: pawl downgrade", W("downgrade"));
    REFUSED("does not take the argument \"b\"", "usage: pawl upgrade", W("upgrade"), W("a"), W("b"));

    assert_int_equal(PARSE(&line, &err, W("downgrade"), W("--help")), PAWL_OK);
    assert_true(line.is_help);
    pawl_cli_line_free(&line);
}

static void
json_is_known_also_when_the_line_is_wrong_before_it(void **state)
{
    pawl_cli_line line;
    pawl_error err;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("upgarde"), W("--json")), PAWL_E_USAGE);
    assert_true(line.is_json);
    pawl_cli_line_free(&line);
}

static void
numbers_are_whole_and_within_bounds(void **state)
{
    char *const wrong[] = {W("0"), W("11"), W("-2"), W("3x"), W(""), W("99999999999999999999")};
    pawl_cli_line line;
    pawl_error err;
    int64_t n = 5;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("bench"), W("a"), W("--step"), W("10")), PAWL_OK);
    assert_int_equal(pawl_cli_number(&line, "--step", 1, 10, &n, &err), PAWL_OK);
    assert_int_equal(n, 10);
    assert_int_equal(pawl_cli_number(&line, "--rows", 1, 10, &n, &err), PAWL_OK);
    assert_int_equal(n, 10);
    pawl_cli_line_free(&line);

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        assert_int_equal(PARSE(&line, &err, W("bench"), W("a"), W("--step"), wrong[i]), PAWL_OK);
        assert_int_equal(pawl_cli_number(&line, "--step", 1, 10, &n, &err), PAWL_E_USAGE);
        assert_non_null(strstr(err.message, "--step takes a whole number from 1 to 10"));
        assert_int_equal(n, 10);
        pawl_cli_line_free(&line);
    }
}

static void
lists_are_numbers_with_commas(void **state)
{
    char *const wrong[] = {W(""), W(","), W("1,"), W("1,,2"), W("1,0"), W("1 2"), W("1,2147483648")};
    pawl_cli_line line;
    pawl_error err;
    int32_t *list = NULL;
    size_t count = 0;

    (void) state;
    assert_int_equal(PARSE(&line, &err, W("bench"), W("a"), W("--batches=100,2147483647")), PAWL_OK);
    assert_int_equal(pawl_cli_numbers(&line, "--batches", &list, &count, &err), PAWL_OK);
    assert_int_equal(count, 2);
    assert_int_equal(list[0], 100);
    assert_int_equal(list[1], INT32_MAX);
    free(list);
    assert_int_equal(pawl_cli_numbers(&line, "--workers-list", &list, &count, &err), PAWL_OK);
    assert_null(list);
    assert_int_equal(count, 0);
    pawl_cli_line_free(&line);

    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        assert_int_equal(PARSE(&line, &err, W("bench"), W("a"), W("--batches"), wrong[i]), PAWL_OK);
        assert_int_equal(pawl_cli_numbers(&line, "--batches", &list, &count, &err), PAWL_E_USAGE);
        assert_null(list);
        pawl_cli_line_free(&line);
    }
}

static void
statuses_map_to_the_documented_exit_codes(void **state)
{
    (void) state;
    assert_int_equal(pawl_cli_exit_code(PAWL_OK), 0);
    assert_int_equal(pawl_cli_exit_code(PAWL_E_USAGE), 2);
    assert_int_equal(pawl_cli_exit_code(PAWL_E_STOPPED), 3);
    assert_int_equal(pawl_cli_exit_code(PAWL_E_FINDINGS), 4);
    for (int st = PAWL_E_NOMEM; st <= PAWL_E_BUG; st++)
    {
        if (st != PAWL_E_STOPPED && st != PAWL_E_FINDINGS)
            assert_int_equal(pawl_cli_exit_code((pawl_status) st), 1);
    }
}

/* A flag of a verb that is also a setting or a global flag would hide it. */
static void
no_flag_has_two_meanings(void **state)
{
    (void) state;
    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
    {
        assert_true((*v)->summary != NULL && (*v)->text != NULL && (*v)->examples != NULL &&
                    (*v)->run != NULL);
        assert_ptr_equal(pawl_cli_verb_find((*v)->name), *v);
        for (const pawl_cli_flag *f = (*v)->flags; f != NULL && f->name != NULL; f++)
        {
            for (const pawl_cli_flag *g = pawl_cli_global_flags(); g->name != NULL || g->letter != NULL; g++)
            {
                assert_true(g->name == NULL || strcmp(f->name, g->name) != 0);
                assert_true(g->letter == NULL || f->letter == NULL || strcmp(f->letter, g->letter) != 0);
            }
            for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
                assert_string_not_equal(f->name, s->flag);
        }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(global_flags_stand_before_and_after_the_verb),
        cmocka_unit_test(an_alias_is_the_verb),
        cmocka_unit_test(what_begins_with_a_signed_digit_is_a_target),
        cmocka_unit_test(after_two_dashes_nothing_is_a_flag),
        cmocka_unit_test(a_value_is_attached_or_follows),
        cmocka_unit_test(switches_stand_together),
        cmocka_unit_test(the_last_of_a_flag_wins_but_x_adds_up),
        cmocka_unit_test(flags_of_settings_become_overrides),
        cmocka_unit_test(every_setting_has_a_flag_that_upgrade_takes),
        cmocka_unit_test(settings_without_effect_on_the_verb_are_refused),
        cmocka_unit_test(unknown_words_name_the_nearest),
        cmocka_unit_test(values_that_are_missing_or_too_much_are_refused),
        cmocka_unit_test(the_number_of_arguments_is_checked),
        cmocka_unit_test(json_is_known_also_when_the_line_is_wrong_before_it),
        cmocka_unit_test(numbers_are_whole_and_within_bounds),
        cmocka_unit_test(lists_are_numbers_with_commas),
        cmocka_unit_test(statuses_map_to_the_documented_exit_codes),
        cmocka_unit_test(no_flag_has_two_meanings),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
