#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "config/settings.h"
#include "util/file.h"
#include "util/strbuf.h"

/* A variable that a test sets must be the process's own. */
static void
set_variable(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

#include "util/banned.h"

/* One load: a directory with a pawl.yaml, the options, and what came out. */
typedef struct fixture
{
    char directory[64];
    char config[96];
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_settings s;
    pawl_error err;
    pawl_status st;
} fixture;

static void
clear_variables(void)
{
    for (const pawl_setting_info *i = pawl_settings_table(); i->key != NULL; i++)
        assert_int_equal(unsetenv(i->variable), 0);
    assert_int_equal(unsetenv("PAWL_ENV"), 0);
    assert_int_equal(unsetenv("PAWL_TEST_VALUE"), 0);
}

/* Write `text` (NULL: no file) and load it with `options`, whose config is set here. */
static fixture
load(const char *text, pawl_project_options options)
{
    fixture f = {.directory = "/tmp/pawl_settings_XXXXXX", .err = PAWL_ERROR_INIT};

    assert_non_null(mkdtemp(f.directory));
    pawl_fmt(f.config, sizeof f.config, "%s/pawl.yaml", f.directory);
    if (text != NULL)
        assert_int_equal(pawl_file_create(f.config, text), 0);
    f.arena = pawl_arena_new();
    f.problems = pawl_problems_new();
    if (options.config == NULL)
        options.config = f.config;
    f.st = pawl_settings_load(&options, f.arena, f.problems, &f.s, &f.err);
    return f;
}

static fixture
load_text(const char *text)
{
    return load(text, (pawl_project_options){0});
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
    (void) unlink(f->config);
    assert_int_equal(rmdir(f->directory), 0);
    clear_variables();
}

static void
expect_problem(const char *text, int line, const char *words)
{
    fixture f = load_text(text);
    const pawl_problem *p;

    assert_int_equal(f.st, PAWL_OK);
    if (pawl_problems_count(f.problems) != 1)
        fail_msg("%zu problems in: %s", pawl_problems_count(f.problems), text);
    p = pawl_problems_get(f.problems, 0);
    if (strstr(p->message, words) == NULL || p->line != line)
        fail_msg("got %d: \"%s\" for: %s", p->line, p->message, text);
    drop(&f);
}

static void
table_is_complete_and_consistent(void **state)
{
    const pawl_setting_info *t = pawl_settings_table();
    size_t n = 0;

    (void) state;
    for (; t[n].key != NULL; n++)
    {
        char variable[64] = "PAWL_";
        size_t used = strlen(variable);

        for (const char *c = t[n].key; *c != '\0'; c++)
            variable[used++] = (char) (*c == '.' ? '_' : *c >= 'a' && *c <= 'z' ? *c - 'a' + 'A' : *c);
        variable[used] = '\0';
        assert_string_equal(t[n].variable, variable);
        assert_int_equal(strncmp(t[n].flag, "--", 2), 0);
        assert_true(t[n].argument[0] != '\0' && t[n].help[0] != '\0' && t[n].standard != NULL);
        for (size_t i = 0; i < n; i++)
        {
            assert_string_not_equal(t[i].key, t[n].key);
            assert_string_not_equal(t[i].flag, t[n].flag);
        }
    }
    assert_int_equal(n, PAWL_SET_COUNT);
}

static void
defaults_hold_without_any_file(void **state)
{
    fixture f = load_text("");

    (void) state;
    assert_int_equal(f.st, PAWL_OK);
    assert_string_equal(f.s.database, "");
    assert_string_equal(f.s.direct_database, "");
    assert_string_equal(f.s.schema, "pawl");
    assert_string_equal(f.s.search_path, "public");
    assert_string_equal(f.s.pooler, "auto");
    assert_int_equal(f.s.lock_timeout_ms, 500);
    assert_int_equal(f.s.lock_attempts, 60);
    assert_int_equal(f.s.statement_timeout_ms, 0);
    assert_int_equal(f.s.connect_timeout_ms, 10000);
    assert_int_equal(f.s.wait_ms, 30000);
    assert_int_equal(f.s.lease_ms, 30000);
    assert_false(f.s.subscribers_ready);
    assert_int_equal(f.s.workers, 2);
    assert_int_equal(f.s.batch_rows, 0);
    assert_int_equal(f.s.target_ms, 250);
    assert_int_equal(f.s.batch_min, 100);
    assert_int_equal(f.s.batch_max, 50000);
    assert_int_equal(f.s.max_lag_ms, 5000);
    assert_int_equal(f.s.max_rate, 0);
    assert_string_equal(f.s.environment, "");
    assert_false(f.s.has_environments);
    assert_int_equal(f.s.nsecrets, 0);
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
        assert_int_equal(f.s.origin[i], PAWL_ORIGIN_DEFAULT);
    drop(&f);
}

static void
every_key_of_the_file_is_read(void **state)
{
    fixture f = load_text(
        "database: ${NOT_SET_ANYWHERE}\ndirect_database: host=a\nmigrations: m\nschema: led\n"
        "search_path: '\"$user\", app'\nlock_timeout: 1s\nlock_attempts: 5\n"
        "statement_timeout: 1h\nconnect_timeout: 3s\npooler: none\nwait: 0\nlease: 10s\nsubscribers_ready: "
        "true\n"
        "secrets: [API_KEY, B2]\nbackfill: {workers: 4, batch: 5_000, target: 1s, min: 10, max: 99, "
        "max_lag: 1s, max_rate: none}\n"
        "lint: {disable: [a, b], pg_version: 13}\n");
    char path[128];

    (void) state;
    assert_int_equal(f.st, PAWL_OK);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    pawl_fmt(path, sizeof path, "%s/m", f.directory);
    assert_string_equal(f.s.migrations, path);
    assert_string_equal(f.s.config_file, f.config);
    assert_string_equal(f.s.database, "${NOT_SET_ANYWHERE}");
    assert_string_equal(f.s.direct_database, "host=a");
    assert_string_equal(f.s.schema, "led");
    assert_string_equal(f.s.search_path, "\"$user\", app");
    assert_int_equal(f.s.lock_timeout_ms, 1000);
    assert_int_equal(f.s.lock_attempts, 5);
    assert_int_equal(f.s.statement_timeout_ms, 3600000);
    assert_int_equal(f.s.connect_timeout_ms, 3000);
    assert_string_equal(f.s.pooler, "none");
    assert_int_equal(f.s.wait_ms, 0);
    assert_int_equal(f.s.lease_ms, 10000);
    assert_true(f.s.subscribers_ready);
    assert_int_equal(f.s.nsecrets, 2);
    assert_string_equal(f.s.secrets[1], "B2");
    assert_int_equal(f.s.workers, 4);
    assert_int_equal(f.s.batch_rows, 5000);
    assert_int_equal(f.s.target_ms, 1000);
    assert_int_equal(f.s.batch_min, 10);
    assert_int_equal(f.s.batch_max, 99);
    assert_int_equal(f.s.max_lag_ms, 1000);
    assert_int_equal(f.s.max_rate, 0);
    for (int i = 0; i < (int) PAWL_SET_COUNT; i++)
        assert_int_equal(f.s.origin[i], PAWL_ORIGIN_FILE);
    drop(&f);
}

static void
long_form_of_batch_sets_the_keys_beside_it(void **state)
{
    fixture f = load_text("backfill: {batch: {target: 1s, min: 200, max: 300}}\n");

    (void) state;
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_int_equal(f.s.batch_rows, 0);
    assert_int_equal(f.s.target_ms, 1000);
    assert_int_equal(f.s.batch_min, 200);
    assert_int_equal(f.s.batch_max, 300);
    assert_int_equal(f.s.origin[PAWL_SET_BATCH], PAWL_ORIGIN_FILE);
    drop(&f);
    expect_problem("backfill:\n  batch: {target: 1s}\n  target: 2s\n", 3, "written twice");
}

static void
wrong_keys_and_values_are_problems_with_their_line(void **state)
{
    (void) state;
    expect_problem("schema: pawl\nlock_timout: 1s\n", 2, "has no key \"lock_timout\"");
    expect_problem("lock_timeout: 0\n", 1, "\"lock_timeout\" must be a duration");
    expect_problem("lock_attempts: many\n", 1, "whole number from 1 to");
    expect_problem("subscribers_ready: soon\n", 1, "true or false");
    expect_problem("schema: ''\n", 1, "\"schema\" must be text of 1 to 63 bytes");
    expect_problem("pooler: maybe\n", 1, "one of auto, transaction, none");
    expect_problem("backfill:\n  workers: 0\n", 2, "from 1 to 64");
    expect_problem("backfill:\n  batch: some\n", 2, "auto, or a whole number");
    expect_problem("backfill:\n  throttle: 1\n", 2, "backfill has no key");
    expect_problem("backfill: 3\n", 1, "backfill must be a mapping");
    expect_problem("backfill:\n  min: 10\n  max: 5\n", 3,
                   "smallest batch (10 rows) is above the largest (5 rows)");
    expect_problem("secrets: [A-B]\n", 1, "secret 1 is no name");
    expect_problem("lint: {rules: []}\n", 1, "lint has no key");
    expect_problem("environments: [a]\n", 1, "\"environments\" must be a mapping");
    expect_problem("environments:\n  a:\n    environments: {}\n", 3, "a has no key \"environments\"");
    expect_problem("schema: [a\n", 1, "does not end");
    expect_problem("schema: ${NOT_SET_ANYWHERE}_x\n", 1, "NOT_SET_ANYWHERE, which is not set");
}

static void
limits_that_can_be_none_say_so(void **state)
{
    (void) state;
    expect_problem("backfill: { workers: 2, max_lag: fast }\n", 1, "none, or a duration");
    expect_problem("environments:\n  production: { backfill: { max_rate: 0 } }\n", 2,
                   "none, or a whole number");
}

static void
sections_flags_and_variables_override_in_their_order(void **state)
{
    static const char text[] = "schema: file\nlock_attempts: 2\nwait: 2s\nbackfill: {workers: 2, min: 2}\n"
                               "environments:\n  a: {schema: wrong, secrets: [X]}\n"
                               "  b: {lock_attempts: 3, wait: 3s, backfill: {workers: 3}}\n  c:\n";
    const pawl_key_value flags[] = {{"backfill.workers", "5"}};
    fixture f;

    (void) state;
    set_variable("PAWL_WAIT", "4s");
    set_variable("PAWL_BACKFILL_WORKERS", "4");
    set_variable("PAWL_SCHEMA", "");
    f = load(text, (pawl_project_options){.environment = "b", .overrides = flags, .noverrides = 1});
    assert_int_equal(f.st, PAWL_OK);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_int_equal(f.s.batch_min, 2);
    assert_string_equal(f.s.schema, "file");
    assert_int_equal(f.s.lock_attempts, 3);
    assert_int_equal(f.s.wait_ms, 4000);
    assert_int_equal(f.s.workers, 5);
    assert_int_equal(f.s.nsecrets, 0);
    assert_string_equal(f.s.environment, "b");
    assert_true(f.s.has_environments);
    assert_int_equal(f.s.origin[PAWL_SET_LOCK_ATTEMPTS], PAWL_ORIGIN_SECTION);
    assert_true(pawl_settings_is_yielding(&f.s, PAWL_SET_LOCK_ATTEMPTS));
    assert_false(pawl_settings_is_yielding(&f.s, PAWL_SET_WAIT));
    assert_false(pawl_settings_is_yielding(&f.s, PAWL_SET_WORKERS));
    drop(&f);
}

static void
environment_may_come_from_a_variable_and_must_exist(void **state)
{
    static const char text[] = "environments:\n  staging: {schema: s}\n  production: {schema: p}\n";
    fixture f;

    (void) state;
    set_variable("PAWL_ENV", "production");
    f = load_text(text);
    assert_string_equal(f.s.schema, "p");
    drop(&f);
    f = load(text, (pawl_project_options){.environment = "prod"});
    assert_int_equal(f.st, PAWL_E_USAGE);
    assert_non_null(strstr(f.err.message, "no environment \"prod\""));
    assert_non_null(strstr(f.err.hint, "staging, production"));
    drop(&f);
}

static void
problems_of_sections_that_were_not_chosen_are_reported_too(void **state)
{
    (void) state;
    expect_problem("environments:\n  a: {schma: x}\n  b: {}\n", 2, "a has no key \"schma\"");
}

static void
wrong_flags_and_variables_are_usage_errors(void **state)
{
    const pawl_key_value unknown[] = {{"lock_timeot", "1s"}};
    const pawl_key_value wrong[] = {{"backfill.batch", "x"}};
    fixture f = load("", (pawl_project_options){.overrides = unknown, .noverrides = 1});

    (void) state;
    assert_int_equal(f.st, PAWL_E_USAGE);
    assert_non_null(strstr(f.err.hint, "lock_timeout"));
    drop(&f);
    f = load("", (pawl_project_options){.overrides = wrong, .noverrides = 1});
    assert_int_equal(f.st, PAWL_E_USAGE);
    assert_string_equal(f.err.message,
                        "--batch must be auto, or a whole number from 1 to 1000000, not \"x\"");
    drop(&f);
    set_variable("PAWL_LEASE", "x");
    f = load_text("");
    assert_int_equal(f.st, PAWL_E_USAGE);
    assert_non_null(strstr(f.err.message, "PAWL_LEASE must be a duration"));
    drop(&f);
}

static void
named_file_must_be_there(void **state)
{
    fixture f = load(NULL, (pawl_project_options){0});

    (void) state;
    assert_int_equal(f.st, PAWL_E_IO);
    assert_non_null(strstr(f.err.message, f.config));
    drop(&f);
}

static void
paths_are_relative_to_what_names_them(void **state)
{
    const pawl_key_value flags[] = {{"migrations", "here"}};
    fixture f = load("migrations: /abs/m\n", (pawl_project_options){0});

    (void) state;
    assert_string_equal(f.s.migrations, "/abs/m");
    drop(&f);
    f = load("migrations: m\n", (pawl_project_options){.overrides = flags, .noverrides = 1});
    assert_string_equal(f.s.migrations, "here");
    drop(&f);
    set_variable("PAWL_TEST_VALUE", "deep");
    f = load("migrations: ${PAWL_TEST_VALUE}/m\n", (pawl_project_options){0});
    assert_non_null(strstr(f.s.migrations, "/deep/m"));
    drop(&f);
}

static void
variables_in_texts_are_expanded(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    const char *out = NULL;

    (void) state;
    set_variable("PAWL_TEST_VALUE", "v$$v");
    assert_int_equal(pawl_settings_expand("a${PAWL_TEST_VALUE}b$$c$d$", "database", arena, &out, &err),
                     PAWL_OK);
    assert_string_equal(out, "av$$vb$c$d$");
    assert_int_equal(pawl_settings_expand("$${PAWL_TEST_VALUE}", "database", arena, &out, &err), PAWL_OK);
    assert_string_equal(out, "${PAWL_TEST_VALUE}");
    clear_variables();
    assert_int_equal(pawl_settings_expand("${PAWL_TEST_VALUE}", "database", arena, &out, &err), PAWL_E_INPUT);
    assert_string_equal(err.message,
                        "database uses the environment variable PAWL_TEST_VALUE, which is not set");
    assert_int_equal(pawl_settings_expand("${PAWL_TEST", "database", arena, &out, &err), PAWL_E_INPUT);
    assert_int_equal(pawl_settings_expand("${}", "database", arena, &out, &err), PAWL_E_INPUT);
    assert_string_equal(out, "${PAWL_TEST_VALUE}");
}

static void
database_of_a_flag_is_taken_literally(void **state)
{
    const pawl_key_value flags[] = {{"database", "postgres://u:p$$w${X}@h/d"}};
    fixture f = load("database: other\n", (pawl_project_options){.overrides = flags, .noverrides = 1});
    const char *out = NULL;

    (void) state;
    assert_int_equal(pawl_settings_expand(f.s.database, "database", f.arena, &out, &f.err), PAWL_OK);
    assert_string_equal(out, "postgres://u:p$$w${X}@h/d");
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(table_is_complete_and_consistent),
        cmocka_unit_test(defaults_hold_without_any_file),
        cmocka_unit_test(every_key_of_the_file_is_read),
        cmocka_unit_test(long_form_of_batch_sets_the_keys_beside_it),
        cmocka_unit_test(wrong_keys_and_values_are_problems_with_their_line),
        cmocka_unit_test(limits_that_can_be_none_say_so),
        cmocka_unit_test(sections_flags_and_variables_override_in_their_order),
        cmocka_unit_test(environment_may_come_from_a_variable_and_must_exist),
        cmocka_unit_test(problems_of_sections_that_were_not_chosen_are_reported_too),
        cmocka_unit_test(wrong_flags_and_variables_are_usage_errors),
        cmocka_unit_test(named_file_must_be_there),
        cmocka_unit_test(paths_are_relative_to_what_names_them),
        cmocka_unit_test(variables_in_texts_are_expanded),
        cmocka_unit_test(database_of_a_flag_is_taken_literally),
    };

    clear_variables();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
