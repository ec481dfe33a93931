/* pawl verify: what counts as a difference, and what does not. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/project.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "util/banned.h"

typedef struct fixture
{
    const char *db;
    const char *dir;
    pawl_test_output output;
    json_t *report; /* the report event */
} fixture;

static const char head[] = "revision: \"aaaa0001\"\nparents: []\ndescription: x\nup:\n";
static const char trim[] = "return function(row)\n"
                           "  if row.a == nil then return nil end\n"
                           "  return { b = row.a .. '.5', c = row.a }\n"
                           "end\n";
static const char fill[] =
    "  - backfill: { table: t, read: [a], write: [b, c], lua: transforms/x.lua, batch: 100 }\n"
    "    down: nothing\n";

static void
write_step(const fixture *f, const char *step, const char *lua)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "%s%s", head, step);
    pawl_test_project_write(f->dir, "migrations/aaaa0001_x.yaml", text.data);
    pawl_test_project_write(f->dir, "migrations/transforms/x.lua", lua);
}

/* 3,000 rows; b is a numeric(10,2), c a varchar(9); every tenth a is NULL. */
static fixture
begin(const char *name, const char *step, const char *lua)
{
    fixture f = {.db = pawl_test_database_new(name)};

    f.dir = pawl_test_project_new(f.db, NULL);
    pawl_test_exec(f.db,
                   "CREATE TABLE t (id bigint PRIMARY KEY, a text, b numeric(10,2), c varchar(9), d text);"
                   "INSERT INTO t SELECT n, CASE WHEN n % 10 <> 0 THEN n::text END FROM "
                   "generate_series(1, 3000) n");
    write_step(&f, step, lua);
    return f;
}

static void
drop_output(fixture *f)
{
    json_decref(f->report);
    f->report = NULL;
    pawl_test_output_free(&f->output);
}

/* Run `pawl verify <what> <flags> --json`; keeps the report. */
static void
verify(fixture *f, const char *what, const char *const *flags, int exit_code)
{
    const char *args[16] = {"verify", what, "--json"};
    char *line;

    drop_output(f);
    for (size_t n = 0; flags != NULL && flags[n] != NULL; n++)
        args[3 + n] = flags[n];
    f->output = pawl_test_run(args, NULL, f->dir);
    if (f->output.exit_code != exit_code)
        fail_msg("exit code %d: %s %s", f->output.exit_code, f->output.out, f->output.err);
    line = strstr(f->output.out, "{\"event\":\"report\"");
    if (line != NULL)
        f->report = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
}

static const char *const all[] = {"--all", NULL};
static const char *const all_by_four[] = {"--all", "--workers", "4", NULL};

static int64_t
number(const fixture *f, const char *key)
{
    if (f->report == NULL)
        fail_msg("no report: %s %s", f->output.out, f->output.err);
    return json_integer_value(json_object_get(f->report, key));
}

static json_t *
difference(const fixture *f, size_t i)
{
    json_t *found = json_array_get(json_object_get(f->report, "list"), i);

    if (found == NULL)
        fail_msg("there is no difference %zu: %s", i, f->output.out);
    return found;
}

static const char *
text(const json_t *object, const char *key)
{
    const char *value = json_string_value(json_object_get(object, key));

    return value == NULL ? "NULL" : value;
}

static void
what_was_written_is_what_the_transform_gives(void **state)
{
    fixture f = begin("same", fill, trim);

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    verify(&f, "aaaa", all, 0);
    assert_int_equal(number(&f, "rows"), 3000);
    assert_int_equal(number(&f, "rows_left"), 300);
    assert_int_equal(number(&f, "differences"), 0);
    verify(&f, "1", all_by_four, 0);
    assert_int_equal(number(&f, "rows"), 3000);
    verify(&f, "aaaa", (const char *[]){"--sample", "500", NULL}, 0);
    assert_in_range(number(&f, "rows"), 300, 2000);
    assert_int_equal(number(&f, "differences"), 0);
    drop_output(&f);
}

static void
differences_are_listed_by_key_with_who_wrote_last(void **state)
{
    fixture f = begin("different", fill, trim);

    (void) state;
    /* Rows 5 and 6 hold already what an earlier transform gave; nobody writes them again. */
    pawl_test_exec(f.db, "UPDATE t SET b = 5.50, c = '5' WHERE id = 5");
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    pawl_test_exec(f.db, "UPDATE t SET b = b + 1 WHERE id = 2999");
    pawl_test_exec(f.db, "UPDATE t SET c = NULL WHERE id = 7; UPDATE t SET d = 'x' WHERE id = 8;"
                         "INSERT INTO t (id, a) VALUES (5000, '1')");
    verify(&f, "aaaa", all_by_four, 4);
    assert_int_equal(number(&f, "rows"), 3000);
    assert_int_equal(number(&f, "differences"), 2);
    assert_int_equal(number(&f, "changed_after"), 2);
    assert_string_equal(text(difference(&f, 0), "row"), "(id) = (7)");
    assert_string_equal(text(difference(&f, 0), "last_written"), "after");
    const json_t *value = json_array_get(json_object_get(difference(&f, 0), "values"), 0);
    assert_string_equal(text(value, "column"), "c");
    assert_string_equal(text(value, "stored"), "NULL");
    assert_string_equal(text(value, "again"), "7");
    value = json_array_get(json_object_get(difference(&f, 1), "values"), 0);
    assert_string_equal(text(value, "stored"), "3000.50");
    assert_string_equal(text(value, "again"), "2999.50");
    pawl_test_assert_contains(f.output.out, "\"status\":\"findings\"");
    pawl_test_assert_contains(f.output.out, "\"exit_code\":4");
    drop_output(&f);
}

static void
another_transform_shows_everywhere_and_is_said_to_be_another(void **state)
{
    fixture f = begin("another", fill, trim);

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    write_step(&f, fill,
               "return function(row)\n"
               "  if row.a == nil then return nil end\n"
               "  if row.a == '1' then pawl.reject('one') end\n"
               "  if row.a == '2' then return { c = 'far too long' } end\n"
               "  if row.a == '3' then return { b = 'x' } end\n"
               "  return { b = row.a .. '.50', c = row.a .. 'y' }\n"
               "end\n");
    verify(&f, "aaaa", (const char *[]){"--all", "--most", "5", NULL}, 4);
    assert_int_equal(number(&f, "differences"), 2700);
    assert_int_equal(number(&f, "changed_after"), 0);
    assert_int_equal(json_array_size(json_object_get(f.report, "list")), 5);
    pawl_test_assert_contains(text(json_object_get(difference(&f, 0), "error"), "message"),
                              "rejects the row: one");
    assert_string_equal(text(json_object_get(difference(&f, 1), "error"), "sqlstate"), "22001");
    assert_string_equal(text(json_object_get(difference(&f, 2), "error"), "sqlstate"), "22P02");
    assert_string_equal(text(difference(&f, 3), "last_written"), "during");
    assert_int_equal(json_array_size(json_object_get(difference(&f, 3), "values")), 1);
    pawl_test_assert_contains(f.output.out, "has changed since the job ran");
    drop_output(&f);
}

static void
condition_on_what_was_written_is_dropped_and_others_are_kept(void **state)
{
    fixture f = begin(
        "conditions",
        "  - backfill: { table: t, read: [a], write: [b], lua: transforms/x.lua, where: \"B IS NULL\" }\n"
        "    down: nothing\n"
        "  - backfill: { table: t, read: [a], write: [c], lua: transforms/x.lua, where: \"id > 100\" }\n"
        "    down: nothing\n",
        "return function(row) if row.a then return { b = row.a } end end");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/y.lua",
                            "return function(row) return { c = row.a or pawl.null } end");
    write_step(
        &f,
        "  - backfill: { table: t, read: [a], write: [b], lua: transforms/x.lua, where: \"B IS NULL\" }\n"
        "    down: nothing\n"
        "  - backfill: { table: t, read: [a], write: [c], lua: transforms/y.lua, where: \"id > 100\" }\n"
        "    down: nothing\n",
        "return function(row) if row.a then return { b = row.a } end end");
    pawl_test_exec(f.db, "UPDATE t SET b = 77 WHERE id = 9");
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    verify(&f, "aaaa", (const char *[]){"--all", "--step", "1", NULL}, 4);
    assert_int_equal(number(&f, "rows"), 3000);
    assert_int_equal(number(&f, "differences"), 1);
    assert_string_equal(text(difference(&f, 0), "last_written"), "before");
    pawl_test_assert_contains(f.output.out, "`where` names \\\"b\\\"");
    verify(&f, "aaaa", (const char *[]){"--all", "--step", "2", NULL}, 0);
    assert_int_equal(number(&f, "rows"), 2900);
    drop_output(&f);
}

static void
expressions_are_verified_by_the_server(void **state)
{
    fixture f =
        begin("set", "  - backfill: { table: t, set: { b: \"a::numeric / 3\" } }\n    down: nothing\n", trim);

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    verify(&f, "aaaa", all, 0);
    assert_int_equal(number(&f, "rows"), 3000);
    pawl_test_exec(f.db, "UPDATE t SET b = 0 WHERE id = 10");
    verify(&f, "aaaa", all, 4);
    assert_int_equal(number(&f, "differences"), 1);
    assert_string_equal(text(difference(&f, 0), "row"), "(id) = (10)");
    drop_output(&f);
}

static void
what_cannot_be_verified_is_refused_with_the_reason(void **state)
{
    fixture f = begin(
        "refusals",
        "  - backfill: { table: t, read: [a], write: [a, b], lua: transforms/x.lua }\n    down: nothing\n",
        "return function(row) return { a = (row.a or '') .. 'x' } end");

    (void) state;
    verify(&f, "aaaa", NULL, 1);
    pawl_test_assert_contains(f.output.out, "no revision was ever applied here");
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    verify(&f, "aaaa", NULL, 1);
    pawl_test_assert_contains(f.output.out, "reads column \\\"a\\\" and writes it");
    verify(&f, "99", NULL, 1);
    pawl_test_assert_contains(f.output.out, "there is no job 99");
    pawl_test_exec(f.db, "UPDATE pawl.job SET state = 'open'");
    verify(&f, "1", NULL, 1);
    pawl_test_assert_contains(f.output.out, "it can be verified when it is done");
    verify(&f, "aaaa", (const char *[]){"--all", "--sample", "5", NULL}, 2);
    drop_output(&f);
}

static void
renamed_column_is_not_looked_for_under_its_old_name(void **state)
{
    fixture f = begin("renamed", fill, trim);

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    pawl_test_exec(f.db, "ALTER TABLE t RENAME b TO price");
    verify(&f, "aaaa", NULL, 1);
    pawl_test_assert_contains(f.output.out, "has no column \\\"b\\\" any more");
    drop_output(&f);
}

static void
empty_table_and_batch_transforms_are_no_special_case(void **state)
{
    fixture f =
        begin("batches", fill,
              "return { batch = function(rows)\n"
              "  local out = {}\n"
              "  for i = 1, rows.n do if rows[i].a then out[i] = { b = rows[i].a, c = rows[i].a } end end\n"
              "  return out\n"
              "end }\n");

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    verify(&f, "aaaa", all, 0);
    assert_int_equal(number(&f, "rows"), 3000);
    pawl_test_exec(f.db, "TRUNCATE t");
    verify(&f, "aaaa", all, 0);
    assert_int_equal(number(&f, "rows"), 0);
    verify(&f, "aaaa", NULL, 0);
    drop_output(&f);
}

static void
lines_for_people_say_the_same(void **state)
{
    fixture f = begin("lines", fill, trim);

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    pawl_test_exec(f.db, "UPDATE t SET b = 0 WHERE id = 4");
    f.output = pawl_test_run((const char *[]){"verify", "aaaa", "--all", NULL}, NULL, f.dir);
    assert_int_equal(f.output.exit_code, 4);
    pawl_test_assert_contains(f.output.out, "(id) = (4)  last written after the job had ended (xmin ");
    pawl_test_assert_contains(f.output.out, "b: 0.00 is stored, the transform gives 4.50");
    pawl_test_assert_contains(f.output.out,
                              "1 difference, 1 in rows that somebody has written after the job");
    pawl_test_assert_contains(f.output.err, "1 row holds not what the transform gives now");
    drop_output(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_written_is_what_the_transform_gives),
        cmocka_unit_test(differences_are_listed_by_key_with_who_wrote_last),
        cmocka_unit_test(another_transform_shows_everywhere_and_is_said_to_be_another),
        cmocka_unit_test(condition_on_what_was_written_is_dropped_and_others_are_kept),
        cmocka_unit_test(expressions_are_verified_by_the_server),
        cmocka_unit_test(what_cannot_be_verified_is_refused_with_the_reason),
        cmocka_unit_test(renamed_column_is_not_looked_for_under_its_old_name),
        cmocka_unit_test(empty_table_and_batch_transforms_are_no_special_case),
        cmocka_unit_test(lines_for_people_say_the_same),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
