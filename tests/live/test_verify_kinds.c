/* pawl verify of what is not one table with a key, written in place: merges, partitions, tables without a key. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>
#include <jansson.h>

#include "support/process.h"
#include "support/project.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "util/banned.h"

typedef struct fixture
{
    const char *db;
    const char *dir;
    pawl_test_output output;
    json_t *report;
} fixture;

static void
write_step(const fixture *f, const char *step, const char *lua)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "revision: \"aaaa0001\"\nparents: []\ndescription: x\nup:\n  - backfill: { %s, lua: "
                     "transforms/x.lua, batch: 100 }\n    down: nothing\n",
                     step);
    pawl_test_project_write(f->dir, "migrations/aaaa0001_x.yaml", text.data);
    pawl_test_project_write(f->dir, "migrations/transforms/x.lua", lua);
}

static fixture
begin(const char *name, const char *sql, const char *step, const char *lua)
{
    fixture f = {.db = pawl_test_database_new(name)};

    f.dir = pawl_test_project_new(f.db, NULL);
    pawl_test_exec(f.db, sql);
    write_step(&f, step, lua);
    pawl_test_pawl_exits(f.dir, "upgrade", "aaaa", 0);
    return f;
}

static void
drop_output(fixture *f)
{
    json_decref(f->report);
    f->report = NULL;
    pawl_test_output_free(&f->output);
}

static void
verify(fixture *f, const char *how, int exit_code)
{
    const char *args[] = {"verify", "aaaa", "--json", how, NULL};
    char *line;

    drop_output(f);
    f->output = pawl_test_run(args, NULL, f->dir);
    if (f->output.exit_code != exit_code)
        fail_msg("exit code %d: %s %s", f->output.exit_code, f->output.out, f->output.err);
    line = strstr(f->output.out, "{\"event\":\"report\"");
    if (line != NULL)
        f->report = json_loads(line, JSON_DISABLE_EOF_CHECK, NULL);
}

static void
verify_all(fixture *f, int rows, int differences)
{
    verify(f, "--all", differences > 0 ? 4 : 0);
    if (f->report == NULL)
        fail_msg("no report: %s %s", f->output.out, f->output.err);
    assert_int_equal(json_integer_value(json_object_get(f->report, "differences")), differences);
    assert_int_equal(json_integer_value(json_object_get(f->report, "rows")), rows);
}

static const json_t *
difference(const fixture *f, size_t i)
{
    const json_t *found = json_array_get(json_object_get(f->report, "list"), i);

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

static const char *
message(const json_t *found)
{
    return text(json_object_get(found, "error"), "message");
}

#define ROWS "INSERT INTO t SELECT i, 's' || i FROM generate_series(1, 3000) i"

static void
merged_rows_are_looked_for_by_their_key(void **state)
{
    fixture f = begin(
        "merge",
        "CREATE TABLE t (id bigint PRIMARY KEY, s text); " ROWS "; CREATE TABLE h (source bigint, part int, "
        "v varchar(9), n numeric(8,2), kept text DEFAULT 'k', UNIQUE (part, source))",
        "table: t, read: [s], into: h, write: [source, part, v, n], merge: [source, part]",
        "return function(row)\n"
        "  if row.id % 100 == 0 then return nil end\n"
        "  return { { source = row.id, part = 1, v = row.s, n = '1.5' }, { source = row.id, part = 2 } }\n"
        "end\n");
    const json_t *value = NULL;

    (void) state;
    verify_all(&f, 3000, 0);
    assert_int_equal(json_integer_value(json_object_get(f.report, "rows_left")), 30);
    verify(&f, "--sample=500", 0);

    /* What nobody made of any row is not looked for. */
    pawl_test_exec(f.db, "INSERT INTO h VALUES (-1, 1, 'x'), (5000, 1, 'y'); UPDATE h SET kept = 'other';"
                         "UPDATE h SET v = 'wrong' WHERE source = 7 AND part = 1;"
                         "UPDATE h SET n = 0 WHERE source = 8 AND part = 2;"
                         "DELETE FROM h WHERE source = 9 AND part = 2;"
                         "UPDATE t SET s = 'too long for it' WHERE id = 10");
    verify_all(&f, 3000, 4);
    assert_string_equal(text(difference(&f, 0), "row"), "(id) = (7)");
    assert_string_equal(text(difference(&f, 0), "into"), "(source, part) = (7, 1)");
    assert_string_equal(text(difference(&f, 0), "last_written"), "after");
    value = json_array_get(json_object_get(difference(&f, 0), "values"), 0);
    assert_string_equal(text(value, "column"), "v");
    assert_string_equal(text(value, "stored"), "wrong");
    assert_string_equal(text(value, "again"), "s7");
    value = json_array_get(json_object_get(difference(&f, 1), "values"), 0);
    assert_string_equal(text(value, "stored"), "0.00");
    assert_string_equal(text(value, "again"), "NULL");
    assert_string_equal(text(difference(&f, 2), "into"), "(source, part) = (9, 2)");
    pawl_test_assert_contains(message(difference(&f, 2)), "has no such row");
    assert_string_equal(text(json_object_get(difference(&f, 3), "error"), "sqlstate"), "22001");

    pawl_test_output_free(&f.output);
    f.output = pawl_test_run((const char *[]){"verify", "aaaa", "--all", NULL}, NULL, f.dir);
    pawl_test_assert_contains(f.output.out, "(id) = (7) into (source, part) = (7, 1)");
    drop_output(&f);
}

static void
merges_into_partitions_and_by_every_column_are_no_special_case(void **state)
{
    fixture f = begin("parts_of_target",
                      "CREATE TABLE t (id bigint PRIMARY KEY, s text); " ROWS
                      "; CREATE TABLE h (source bigint, v text COLLATE \"C\", PRIMARY KEY (v, source)) "
                      "PARTITION BY HASH (v); CREATE TABLE h1 PARTITION OF h FOR VALUES WITH (MODULUS 2, "
                      "REMAINDER 0); CREATE TABLE h2 PARTITION OF h FOR VALUES WITH (MODULUS 2, REMAINDER 1)",
                      "table: t, read: [s], into: h, write: [source, v], merge: [v, source]",
                      "return function(row) return { source = row.id, v = row.s } end\n");

    (void) state;
    verify_all(&f, 3000, 0);
    pawl_test_exec(f.db, "DELETE FROM h WHERE source IN (1, 3000)");
    verify_all(&f, 3000, 2);
    drop_output(&f);
}

static void
a_merge_is_not_compared_with_another_table_of_its_name(void **state)
{
    fixture f = begin("renamed",
                      "CREATE TABLE t (id bigint PRIMARY KEY, s text); " ROWS
                      "; CREATE TABLE h (source bigint PRIMARY KEY, v text)",
                      "table: t, read: [s], into: h, write: [source, v], merge: [source]",
                      "return function(row) return { source = row.id, v = row.s } end\n");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE h RENAME TO h2; CREATE TABLE h (source bigint PRIMARY KEY, v text)");
    verify(&f, "--all", 1);
    pawl_test_assert_contains(f.output.out, "is not the table that job 1 has written its rows into");
    pawl_test_exec(f.db, "DROP TABLE h; ALTER TABLE h2 RENAME TO h; ALTER TABLE h DROP CONSTRAINT h_pkey");
    verify(&f, "--all", 1);
    pawl_test_assert_contains(f.output.out, "has no unique index over the columns of `merge` any more");
    pawl_test_exec(f.db, "DROP TABLE h");
    verify(&f, "--all", 1);
    pawl_test_assert_contains(f.output.out, "there is no table");
    drop_output(&f);
}

/* Stopped between its look at a row and its look at what was made of it, it takes no change for a difference. */
static void
a_row_that_changes_between_two_looks_is_no_difference(void **state)
{
    static const char *const args[] = {"verify", "aaaa", "--all", "--workers", "1", NULL};
    static const char *const env[] = {"PAWL_FAILPOINT=verify.before_lookup=stop@1", NULL};
    fixture f = begin("looks",
                      "CREATE TABLE t (id bigint PRIMARY KEY, s text); " ROWS
                      "; CREATE TABLE h (source bigint PRIMARY KEY, v text)",
                      "table: t, read: [s], into: h, write: [source, v], merge: [source]",
                      "return function(row) return { source = row.id, v = row.s } end\n");
    pawl_test_process *p = pawl_test_start(args, env, f.dir);

    (void) state;
    pawl_test_wait_stopped(p);
    pawl_test_exec(f.db,
                   "BEGIN; UPDATE t SET s = 'new' WHERE id IN (7, 8); UPDATE h SET v = 'new' WHERE source IN "
                   "(7, 8); DELETE FROM t WHERE id = 9; DELETE FROM h WHERE source = 9; COMMIT;"
                   "UPDATE h SET v = 'wrong' WHERE source = 10");
    pawl_test_kill(pawl_test_process_pid(p), SIGCONT);
    f.output = pawl_test_wait(p, 30000);
    assert_int_equal(f.output.exit_code, 4);
    pawl_test_assert_contains(f.output.out, "1 difference");
    pawl_test_assert_contains(f.output.out, "(id) = (10)");
    pawl_test_assert_contains(f.output.out, "3 rows were changed while they were compared, and left out");
    drop_output(&f);
}

static void
copied_rows_cannot_be_told_apart_and_it_says_why(void **state)
{
    fixture f =
        begin("copied", "CREATE TABLE t (id bigint PRIMARY KEY, s text); " ROWS "; CREATE TABLE h (v text)",
              "table: t, read: [s], into: h, write: [v]", "return function(row) return { v = row.s } end\n");

    (void) state;
    verify(&f, "--all", 1);
    pawl_test_assert_contains(f.output.out, "adds rows to \\\"h\\\" by COPY");
    pawl_test_assert_contains(f.output.out, "`merge:` says by which");
    drop_output(&f);
}

static void
each_partition_is_compared_in_its_own_order(void **state)
{
    fixture f =
        begin("partitions",
              "CREATE TABLE t (id bigint NOT NULL, s text, b text) PARTITION BY RANGE (id);"
              "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (1000);"
              "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (1000) TO (2000);"
              "CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (2000) TO (9000);"
              "CREATE TABLE t4 PARTITION OF t FOR VALUES FROM (9000) TO (9999);"
              "ALTER TABLE t1 ADD PRIMARY KEY (id); CREATE UNIQUE INDEX ON t2 (s);"
              "ALTER TABLE t2 ALTER s SET NOT NULL; ALTER TABLE t3 ADD UNIQUE (s, id);"
              "ALTER TABLE t3 ALTER s SET NOT NULL; ALTER TABLE t4 ADD PRIMARY KEY (id); " ROWS "; ANALYZE t",
              "table: t, read: [s], write: [b]", "return function(row) return { b = row.s .. '!' } end\n");

    (void) state;
    verify_all(&f, 3000, 0);
    verify(&f, "--sample=1000", 0);
    assert_in_range(json_integer_value(json_object_get(f.report, "rows")), 500, 2500);

    pawl_test_exec(f.db, "UPDATE t SET b = 'x' WHERE id IN (5, 1500, 2999);"
                         "INSERT INTO t VALUES (9001, 'late')");
    verify_all(&f, 3000, 3);
    assert_string_equal(text(difference(&f, 0), "table"), "public.t1");
    assert_string_equal(text(difference(&f, 0), "row"), "(id) = (5)");
    assert_string_equal(text(difference(&f, 1), "row"), "(s) = (s1500)");
    assert_string_equal(text(difference(&f, 2), "row"), "(s, id) = (s2999, 2999)");
    assert_string_equal(text(difference(&f, 2), "last_written"), "after");

    /* One that is gone is named and not compared, and another index does not change the order. */
    pawl_test_exec(f.db, "ALTER TABLE t DETACH PARTITION t2; CREATE UNIQUE INDEX ON t3 (id)");
    verify_all(&f, 2000, 2);
    pawl_test_assert_contains(f.output.out, "public.t2 was dropped or detached");
    pawl_test_output_free(&f.output);
    f.output = pawl_test_run((const char *[]){"verify", "aaaa", "--all", NULL}, NULL, f.dir);
    pawl_test_assert_contains(f.output.out, "public.t1 (id) = (5)");
    drop_output(&f);
}

#define PLACES \
    "CREATE TABLE t (s text, b text); INSERT INTO t SELECT 's' || i FROM generate_series(1, 3000) i"

static void
without_a_key_nothing_is_left_that_where_chooses(void **state)
{
    fixture f = begin("places", PLACES "; UPDATE t SET b = 'before' WHERE s = 's8'",
                      "table: t, key: [ctid], read: [s], write: [b], where: \"b IS NULL\"",
                      "return function(row) return { b = row.s .. '!' } end\n");

    (void) state;
    /* The row that was never chosen differs from what the transform gives. */
    verify_all(&f, 3000, 1);
    assert_string_equal(text(difference(&f, 0), "last_written"), "before");
    pawl_test_exec(f.db, "UPDATE t SET b = 's8!' WHERE s = 's8'");
    verify_all(&f, 3000, 0);
    verify(&f, "--sample=500", 0);

    /* More than one piece of the table, moved by VACUUM FULL and by updates. */
    pawl_test_exec(f.db, "INSERT INTO t SELECT s, b FROM t, generate_series(1, 20)");
    pawl_test_exec(f.db, "VACUUM FULL t");
    verify_all(&f, 63000, 0);
    pawl_test_exec(f.db,
                   "UPDATE t SET b = NULL WHERE s IN ('s1', 's2'); UPDATE t SET b = 'x' WHERE s = 's3'");
    verify(&f, "--sample=500", 4);
    assert_int_equal(json_integer_value(json_object_get(f.report, "differences")) >= 42, 1);
    pawl_test_assert_contains(message(difference(&f, 0)), "`where` holds for the row");
    verify_all(&f, 62958, 63);
    pawl_test_assert_contains(f.output.out, "the table has no key");
    drop_output(&f);
}

static void
without_a_key_and_in_place_only_where_is_looked_at(void **state)
{
    fixture f = begin("blind", PLACES, "table: t, key: [ctid], read: [s], write: [s], where: \"s LIKE 's%'\"",
                      "return function(row) return { s = 'x' .. row.s } end\n");

    (void) state;
    verify_all(&f, 0, 0);
    pawl_test_assert_contains(f.output.out, "only looked whether a row is left");
    pawl_test_exec(f.db, "INSERT INTO t SELECT 's' || i FROM generate_series(1, 300) i");
    verify_all(&f, 0, 300);
    assert_int_equal(json_array_size(json_object_get(f.report, "list")), 100);
    drop_output(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(merged_rows_are_looked_for_by_their_key),
        cmocka_unit_test(merges_into_partitions_and_by_every_column_are_no_special_case),
        cmocka_unit_test(a_merge_is_not_compared_with_another_table_of_its_name),
        cmocka_unit_test(a_row_that_changes_between_two_looks_is_no_difference),
        cmocka_unit_test(copied_rows_cannot_be_told_apart_and_it_says_why),
        cmocka_unit_test(each_partition_is_compared_in_its_own_order),
        cmocka_unit_test(without_a_key_nothing_is_left_that_where_chooses),
        cmocka_unit_test(without_a_key_and_in_place_only_where_is_looked_at),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
