/* What may stand next on a command line. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "cli/complete.h"

#include "util/banned.h"

/* Assert that the candidates for the last of the words, up to NULL, are these lines without their descriptions. */
static void
assert_candidates(const char *expected, const char *const *words)
{
    PAWL_CLI_BUF out = {0};
    PAWL_CLI_BUF found = {0};
    size_t count = 0;

    while (words[count] != NULL)
        count++;
    pawl_cli_complete(&out, words, count);
    for (const char *line = pawl_cli_buf_text(&out); *line != '\0';)
    {
        pawl_cli_add_bytes(&found, line, line[0] == '\t' ? strcspn(line, "\n") : strcspn(line, "\t"));
        pawl_cli_add(&found, " ");
        line += strcspn(line, "\n") + 1;
    }
    assert_string_equal(pawl_cli_buf_text(&found), expected);
}

#define ASSERT_CANDIDATES(expected, ...) assert_candidates(expected, (const char *const[]){__VA_ARGS__, NULL})

static void
first_word_is_a_verb(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("downgrade ", "dow");
    ASSERT_CANDIDATES("downgrade ", "--json", "-v", "dow");
    ASSERT_CANDIDATES("", "no_such_verb");
}

static void
value_of_a_flag_is_no_verb(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("downgrade ", "--database", "upgrade", "dow");
    ASSERT_CANDIDATES("downgrade ", "--database=x", "dow");
    ASSERT_CANDIDATES("downgrade ", "-xa=b", "dow");
    ASSERT_CANDIDATES("downgrade ", "-x", "a=b", "dow");
    ASSERT_CANDIDATES("downgrade ", "-vx", "a=b", "dow");
}

static void
flags_are_those_that_the_verb_takes(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("--message ", "revision", "--m");
    ASSERT_CANDIDATES("", "init", "--m");
    ASSERT_CANDIDATES("--lock-timeout --lock-attempts ", "upgrade", "--lock-");
    ASSERT_CANDIDATES("", "history", "--lock-");
    ASSERT_CANDIDATES("", "upgrade", "--", "--lock-");
}

static void
value_is_completed_in_its_own_word_and_behind_an_equals_sign(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("always ", "--color", "al");
    ASSERT_CANDIDATES("--color=always ", "--color=al");
    ASSERT_CANDIDATES("auto transaction none ", "upgrade", "--pooler", "");
    ASSERT_CANDIDATES("set_not_null ", "new", "--step", "set_not");
    ASSERT_CANDIDATES("", "upgrade", "--lock-timeout", "");
    ASSERT_CANDIDATES("", "upgrade", "--no-such-flag=", "--no-such-flag=x");
}

static void
files_and_directories_are_left_to_the_shell(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("\tfiles ", "--config", "pa");
    ASSERT_CANDIDATES("\tdirectories ", "--dir=mig");
    ASSERT_CANDIDATES("\tdirectories ", "init", "");
    ASSERT_CANDIDATES("\tfiles ", "restore", "");
}

static void
no_more_arguments_than_the_verb_takes(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("settings ", "help", "sett");
    ASSERT_CANDIDATES("", "help", "upgrade", "sett");
    ASSERT_CANDIDATES("", "current", "");
}

static void
targets_have_words_of_their_own_also_in_a_range_and_without_a_project(void **state)
{
    (void) state;
    ASSERT_CANDIDATES("head heads ", "upgrade", "--dir", "/nowhere", "h");
    ASSERT_CANDIDATES("base ", "upgrade", "--dir", "/nowhere", "b");
    ASSERT_CANDIDATES("aaaa1111:head aaaa1111:heads ", "upgrade", "--dir", "/nowhere", "aaaa1111:h");
    ASSERT_CANDIDATES("catalog@head catalog@heads ", "upgrade", "--dir", "/nowhere", "catalog@h");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_word_is_a_verb),
        cmocka_unit_test(value_of_a_flag_is_no_verb),
        cmocka_unit_test(flags_are_those_that_the_verb_takes),
        cmocka_unit_test(value_is_completed_in_its_own_word_and_behind_an_equals_sign),
        cmocka_unit_test(files_and_directories_are_left_to_the_shell),
        cmocka_unit_test(no_more_arguments_than_the_verb_takes),
        cmocka_unit_test(targets_have_words_of_their_own_also_in_a_range_and_without_a_project),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
