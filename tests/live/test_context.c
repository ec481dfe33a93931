/*
 * What the rows of a job depend on beside its step: nobody goes on with it under another search_path, with other secrets or
 * other arguments.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "util/strbuf.h"

#include "pawl/pawl.h"

/* A variable that a test sets must be the process's own. */
static void
set_variable(const char *name, const char *value)
{
    assert_int_equal(setenv(name, value, 1), 0);
}

#include "util/banned.h"

/* Signs with a secret; `stops` stops it at the row 900. */
static void
write_transform(const pawl_test_fixture *f, bool stops)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "return function(row)\n%s  return { a = pawl.secret.CONTEXT_KEY .. row.id }\nend\n",
                     stops ? "  if row.id == 900 then error('no') end\n" : "");
    pawl_test_project_write(f->dir, "migrations/transforms/up.lua", text.data);
}

static void
use_secrets(const pawl_test_fixture *f, const char *names)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "database: \"%s\"\nmigrations: migrations\nsecrets: [%s]\n", f->db, names);
    pawl_test_project_write(f->dir, "pawl.yaml", text.data);
}

static pawl_test_fixture
begin(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    set_variable("CONTEXT_KEY", "first value");
    set_variable("CONTEXT_OTHER", "x");
    use_secrets(&f, "CONTEXT_KEY");
    write_transform(&f, true);
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - backfill: { table: t, write: [a], lua: transforms/up.lua, batch: 100, workers: 1 }\n"
        "    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 1 (backfill)");
    assert_true(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a LIKE 'first value%'") > 0);
    write_transform(&f, false);
    return f;
}

static void
a_job_does_not_go_on_with_another_secret(void **state)
{
    pawl_test_fixture f = begin("secret");

    (void) state;
    set_variable("CONTEXT_KEY", "second value");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE,
                        "secret CONTEXT_KEY has another value than when job 1 began");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "set the environment variable CONTEXT_KEY");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a LIKE 'second value%'"), 0);
    /* Another secret is nothing that the job can have used; from now on it is known. */
    set_variable("CONTEXT_KEY", "first value");
    use_secrets(&f, "CONTEXT_OTHER, CONTEXT_KEY");
    write_transform(&f, true);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 1 (backfill)");
    set_variable("CONTEXT_OTHER", "y");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "secret CONTEXT_OTHER has another value");
    set_variable("CONTEXT_OTHER", "x");
    write_transform(&f, false);
    pawl_test_up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a = 'first value' || id"), 1000);
    pawl_test_end(&f);
}

/* Neither the value nor enough of a digest to tell a guess by. */
static void
the_ledger_does_not_give_a_secret_away(void **state)
{
    pawl_test_fixture f = begin("kept");

    (void) state;
    pawl_test_assert_text(&f,
                          "SELECT string_agg(k || ' ' || length(v), ',') FROM pawl.job, "
                          "jsonb_each_text(context -> 'secrets') e(k, v)",
                          "CONTEXT_KEY 4");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.job j WHERE j::text LIKE '%first value%'",
                          "0");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.event e WHERE e::text LIKE '%first value%'",
                          "0");
    pawl_test_end(&f);
}

static void
a_job_does_not_go_on_under_another_search_path(void **state)
{
    pawl_test_fixture f = begin("path");

    (void) state;
    pawl_test_exec(f.db, "CREATE SCHEMA other");
    f.overrides[0] = (pawl_key_value){"search_path", "public, other"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "the search_path is not that with which job 1 began");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "it was \"public\", and is \"public, other\"");
    f.noverrides = 0;
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* What follows from the cut-over on is made by the same: the old values would be those of another key. */
static void
mirror_with(const char *step, const char *old)
{
    pawl_test_fixture f = pawl_test_begin("mirror");
    PAWL_STRBUF_AUTO(kept);

    set_variable("CONTEXT_KEY", "first value");
    use_secrets(&f, "CONTEXT_KEY");
    pawl_test_project_write(
        f.dir, "migrations/transforms/up.lua",
        "return { row = function(row) return { a = pawl.secret.CONTEXT_KEY .. row.a } end,\n"
        "reverse = function(row) return { a = pawl.secret.CONTEXT_KEY .. row.a } end }\n");
    pawl_test_revision(&f, "aaaa0001", "", step);
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE t SET a = 'new' WHERE id = 5");
    pawl_strbuf_addf(&kept, "SELECT %s WHERE id = 5", old);
    set_variable("CONTEXT_KEY", "second value");
    pawl_test_up(&f);
    if (strstr(f.heard.text.data, "secret CONTEXT_KEY has another value than when job 1 began") == NULL)
        fail_msg("%s", f.heard.text.data);
    pawl_test_assert_text(&f, kept.data, "v5");
    pawl_test_must_fail(&f, false, "base", PAWL_E_STATE, "secret CONTEXT_KEY has another value");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    set_variable("CONTEXT_KEY", "first value");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, kept.data, "first valuenew");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT string_agg(a, ' ' ORDER BY id) FROM t WHERE id IN (5, 6)",
                          "first valuenew v6");
    pawl_test_end(&f);
}

static void
a_mirror_does_not_follow_with_another_secret(void **state)
{
    (void) state;
    mirror_with("up:\n  - swap_column: { table: t, column: a, type: varchar(100), lua: transforms/up.lua }\n",
                "a_old FROM t");
    mirror_with("up:\n  - rewrite_table: { table: t, change: { a: varchar(100) }, lua: transforms/up.lua }\n",
                "a FROM pawl_1_old");
}

/* ---- -x ---------------------------------------------------------------------------------------------------------------- */

static void
give(pawl_test_fixture *f, const char *key, const char *value)
{
    f->x[0] = (pawl_key_value){key, value};
    f->nx = value != NULL ? 1 : 0;
}

/* Marks each value with an argument; `stops` stops it at the row 900. */
static void
write_marking(const pawl_test_fixture *f, bool stops)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "return { row = function(row)\n%s  return { a = (pawl.x.mark or 'none') .. row.id } end,\n"
        "reverse = function(row) return { a = (pawl.x.mark or 'none') .. row.a } end }\n",
        stops ? "  if row.id == 900 then error('no') end\n" : "");
    pawl_test_project_write(f->dir, "migrations/transforms/up.lua", text.data);
}

/* `kept`: where the old value is after the cut-over; NULL: there is no mirror. */
static void
goes_on_with_its_arguments(const char *step, const char *kept)
{
    pawl_test_fixture f = pawl_test_begin("arguments");

    pawl_test_revision(&f, "aaaa0001", "", step);
    write_marking(&f, true);
    give(&f, "mark", "one");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 1");
    write_marking(&f, false);
    give(&f, "mark", "two");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE,
                        "the -x arguments are not those with which job 1 began");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "mark was \"one\" and is \"two\"");
    give(&f, "mark", NULL);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "mark was \"one\" and is not given");
    give(&f, "other", "1");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE,
                        "mark was \"one\" and is not given; other was not given and is \"1\"");
    pawl_test_assert_text(
        &f, "SELECT count(*)::text FROM pawl.event WHERE kind = 'job_changed' AND detail LIKE '%-x%'", "0");
    give(&f, "mark", "one");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM t WHERE a = 'one' || id", "1000");
    if (kept != NULL)
    {
        /* Whoever comes by carries the mirror over; what he was given is for something else. */
        pawl_test_exec(f.db, "UPDATE t SET a = 'new' WHERE id = 5");
        give(&f, "mark", "three");
        pawl_test_up(&f);
        pawl_test_assert_text(&f, kept, "onenew");
        pawl_test_exec(f.db, "UPDATE t SET a = 'newer' WHERE id = 5");
        give(&f, "mark", NULL);
        pawl_test_must_go(&f, false, "base");
        pawl_test_assert_text(&f, "SELECT a FROM t WHERE id = 5", "onenewer");
    }
    pawl_test_end(&f);
}

static void
a_job_goes_on_with_the_arguments_that_it_began_with(void **state)
{
    (void) state;
    goes_on_with_its_arguments(
        "up:\n  - backfill: { table: t, write: [a], lua: transforms/up.lua, batch: 100, workers: 1 }\n"
        "    down: nothing\n",
        NULL);
    goes_on_with_its_arguments("up:\n  - swap_column: { table: t, column: a, type: varchar(100), lua: "
                               "transforms/up.lua, batch: 100, workers: 1 }\n",
                               "SELECT a_old FROM t WHERE id = 5");
    goes_on_with_its_arguments(
        "up:\n  - rewrite_table: { table: t, change: { a: varchar(100) }, lua: transforms/up.lua }\n",
        "SELECT a FROM pawl_1_old WHERE id = 5");
}

/* An expression cannot look at them. */
static void
arguments_say_nothing_to_sql(void **state)
{
    pawl_test_fixture f = pawl_test_begin("sqlx");

    (void) state;
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n  - backfill: { table: t, set: { a: \"CASE WHEN id = 900 THEN (1 / (id - 900))::text ELSE a "
        "END\" }, batch: 100, workers: 1 }\n    down: nothing\n");
    give(&f, "mark", "one");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "division by zero");
    pawl_test_exec(f.db, "DELETE FROM t WHERE id = 900");
    give(&f, "mark", "two");
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* A switch does rows again by what filled the column. */
static void
a_switch_takes_the_arguments_of_its_backfill(void **state)
{
    pawl_test_fixture f = pawl_test_begin("switchx");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ADD b text");
    pawl_test_project_write(
        f.dir, "migrations/transforms/up.lua",
        "return { row = function(row) return { b = (pawl.x.mark or 'none') .. row.a } end,\n"
        "reverse = function(row) return { a = (pawl.x.mark or 'none') .. row.b } end }\n");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - backfill: { table: t, read: [a], write: [b], lua: transforms/up.lua, "
                       "capture: true }\n    down: nothing\n");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - switch: { table: t, column: a, with: b }\n");
    give(&f, "mark", "one");
    pawl_test_must_go(&f, true, "aaaa0001");
    pawl_test_exec(f.db, "UPDATE t SET a = 'late' WHERE id = 5");
    give(&f, "mark", "two");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "mark was \"one\" and is \"two\"");
    give(&f, "mark", "one");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT a FROM t WHERE id = 5", "onelate");
    pawl_test_exec(f.db, "UPDATE t SET a = 'new' WHERE id = 5");
    give(&f, "mark", NULL);
    pawl_test_must_go(&f, false, "aaaa0001");
    pawl_test_assert_text(&f, "SELECT a FROM t WHERE id = 5", "onenew");
    pawl_test_end(&f);
}

/* A job of the API knows its Lua, the modules that it requires included. */
static void
the_lua_of_a_job_of_the_api_is_known(void **state)
{
    static const char *const columns[] = {"a"};
    pawl_test_fixture f = pawl_test_begin("apilua");
    pawl_backfill_result result = {0};
    char root[300];
    char *before;

    (void) state;
    (void) snprintf(root, sizeof root, "%s/migrations", f.dir);
    pawl_test_project_write(f.dir, "migrations/transforms/part.lua", "return { 900 }\n");
    pawl_test_project_write(f.dir, "migrations/transforms/api.lua",
                            "local part = require('part')\nreturn function(row)\n"
                            "  if row.id == part[1] then error('no') end return { a = 'done' } end\n");
    pawl_backfill_options options = {.database = f.db,
                                     .job = "api",
                                     .table = "public.t",
                                     .lua_root = root,
                                     .lua_file = "transforms/api.lua",
                                     .write = columns,
                                     .nwrite = 1,
                                     .workers = 1,
                                     .batch_rows = 100,
                                     .sink = {.emit = pawl_test_hear, .ctx = &f.heard}};

    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_E_TRANSFORM);
    before = pawl_test_query_text(f.db, "SELECT checksum FROM pawl.job");
    assert_int_equal(strlen(before), 64);
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_E_TRANSFORM);
    pawl_test_assert_text(&f, "SELECT checksum FROM pawl.job", before);
    assert_null(strstr(f.heard.text.data, "was changed since it began"));
    pawl_test_project_write(f.dir, "migrations/transforms/part.lua", "return { 0 }\n");
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    assert_non_null(strstr(f.heard.text.data, "the step or the Lua of job 1 was changed since it began"));
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.event WHERE kind = 'job_changed'", "1");
    free(before);
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_job_does_not_go_on_with_another_secret),
        cmocka_unit_test(the_ledger_does_not_give_a_secret_away),
        cmocka_unit_test(a_job_does_not_go_on_under_another_search_path),
        cmocka_unit_test(a_mirror_does_not_follow_with_another_secret),
        cmocka_unit_test(a_job_goes_on_with_the_arguments_that_it_began_with),
        cmocka_unit_test(arguments_say_nothing_to_sql),
        cmocka_unit_test(a_switch_takes_the_arguments_of_its_backfill),
        cmocka_unit_test(the_lua_of_a_job_of_the_api_is_known),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
