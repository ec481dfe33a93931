/* Rejected rows as the program shows them, and a step that waits for somebody to deal with them. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/session.h"
#include "util/file.h"

#include "util/banned.h"

/* %s: more keys of the backfill. */
#define REVISION                              \
    "revision: \"a0000001\"\n"                \
    "parents: []\n"                           \
    "description: count up\n"                 \
    "up:\n"                                   \
    "  - backfill:\n"                         \
    "      table: public.t\n"                 \
    "      read: [n, s]\n"                    \
    "      write: [n]\n"                      \
    "      lua: transforms/count.lua\n"       \
    "      batch: 100\n"                      \
    "      on_error: quarantine\n"            \
    "%s"                                      \
    "    down: nothing\n"                     \
    "  - sql: CREATE TABLE behind (id int)\n" \
    "    down: nothing\n"

#define STRICT                                                                  \
    "return function(row)\n"                                                    \
    "  if row.s ~= 'x' then pawl.reject('not an x: ' .. tostring(row.s)) end\n" \
    "  return { n = row.n + 1 }\nend\n"

static void
write_revision(const char *dir, const char *more)
{
    char text[sizeof REVISION + 200];

    (void) snprintf(text, sizeof text, REVISION, more);
    pawl_test_project_write(dir, "migrations/a0000001_count.yaml", text);
}

static const char *
project_of(const char *name, const char **db)
{
    const char *dir = NULL;

    *db = pawl_test_database_new(name);
    pawl_test_exec(*db,
                   "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL, s text);"
                   "INSERT INTO t SELECT i, 0, CASE i WHEN 7 THEN 'a, \"b\"' WHEN 150 THEN NULL ELSE 'x' END"
                   " FROM generate_series(1, 500) i; ANALYZE t");
    dir = pawl_test_project_new(*db, NULL);
    write_revision(dir, "");
    pawl_test_project_write(dir, "migrations/transforms/count.lua", STRICT);
    return dir;
}

/* Run, and compare the exit code; what was written belongs to the caller. */
static pawl_test_output
run(const char *dir, const char *const *args, int exit_code)
{
    pawl_test_output output = pawl_test_run(args, NULL, dir);

    if (output.exit_code != exit_code)
        fail_msg("exit code %d, not %d: %s%s", output.exit_code, exit_code, output.out, output.err);
    return output;
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static void
assert_says(const char *dir, const char *const *args, int exit_code, const char *words)
{
    pawl_test_output output = run(dir, args, exit_code);

    if (strstr(output.out, words) == NULL && strstr(output.err, words) == NULL)
        fail_msg("\"%s\" is not in: %s%s", words, output.out, output.err);
    pawl_test_output_free(&output);
}

static char *
read_file(const char *dir, const char *name, mode_t *mode)
{
    char path[300];
    struct stat st;
    char *text = NULL;
    size_t length = 0;

    (void) snprintf(path, sizeof path, "%s/%s", dir, name);
    assert_int_equal(stat(path, &st), 0);
    *mode = st.st_mode;
    assert_int_equal(pawl_file_read(path, 100000, &text, &length), 0);
    return text;
}

static void
a_step_with_rejects_waits_until_they_are_allowed(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("waits", &db);

    (void) state;
    assert_says(dir, ARGS("upgrade"), 4, "job 1 has left 2 rejected rows");
    assert_says(dir, ARGS("upgrade"), 4, "pawl rejects 1 --retry");
    assert_says(dir, ARGS("status"), 0, "findings");
    assert_says(dir, ARGS("status"), 0, "pawl rejects 1");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 498);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.step WHERE state = 'findings'"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relname = 'behind'"), 0);

    write_revision(dir, "      allow_rejects: 1\n");
    assert_says(dir, ARGS("upgrade"), 4, "allows 1");
    write_revision(dir, "      allow_rejects: 2\n");
    assert_says(dir, ARGS("upgrade"), 0, "");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 498);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relname = 'behind'"), 1);
    assert_says(dir, ARGS("rejects", "a0000001"), 4, "2 to be dealt with");
}

static void
rejects_are_listed_and_exported(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("listed", &db);
    pawl_test_output output;
    mode_t mode = 0;
    char *text = NULL;

    (void) state;
    assert_says(dir, ARGS("rejects", "1"), 1, "no revision was ever applied");
    pawl_test_pawl_exits(dir, "upgrade", NULL, 4);
    output = run(dir, ARGS("rejects", "1"), 4);
    pawl_test_assert_contains(output.out, "(id) = (7)");
    pawl_test_assert_contains(output.out, "not an x: a, \"b\"");
    pawl_test_assert_contains(output.out, "public.t, job 1 (a0000001 step 1), findings: 2 to be dealt with");
    pawl_test_output_free(&output);
    assert_says(dir, ARGS("rejects", "a0000001", "--step", "1", "--most", "1"), 4, "... and 1 more");
    assert_says(dir, ARGS("rejects", "9"), 1, "there is no job 9");
    assert_says(dir, ARGS("rejects", "1", "--json"), 4, "\"input\":{\"n\":\"0\",\"s\":null,\"id\":\"150\"}");

    assert_says(dir, ARGS("rejects", "1", "--export", "rejects.txt"), 2, ".csv");
    assert_says(dir, ARGS("rejects", "1", "--export", "rejects.csv"), 0, "2 rows written to rejects.csv");
    assert_says(dir, ARGS("rejects", "1", "--export", "rejects.csv"), 1, "is there already");
    assert_says(dir, ARGS("rejects", "1", "--export", "rejects.json"), 0, "2 rows written");
    text = read_file(dir, "rejects.csv", &mode);
    pawl_test_assert_contains(text,
                              "reject,table,state,sqlstate,message,at,key.id,input.n,input.s\n"
                              "1,public.t,open,,\"the transform rejects the row: not an x: a, \"\"b\"\"\",");
    pawl_test_assert_contains(text, "Z,7,0,\"a, \"\"b\"\"\"\n2,public.t,");
    pawl_test_assert_contains(text, "Z,150,0,\n");
    assert_int_equal(mode & 0777, 0600);
    free(text);
    text = read_file(dir, "rejects.json", &mode);
    pawl_test_assert_contains(text, "\"s\": \"a, \\\"b\\\"\"");
    free(text);
}

static void
a_mended_transform_and_a_retry_let_the_step_go_on(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("mended", &db);

    (void) state;
    pawl_test_pawl_exits(dir, "upgrade", NULL, 4);
    assert_says(dir, ARGS("rejects", "1", "--retry", "--all"), 2, "--retry");
    assert_says(dir, ARGS("rejects", "1", "--retry"), 4, "2 refused again");
    pawl_test_project_write(dir, "migrations/transforms/count.lua",
                            "return function(row) if row.s == nil then pawl.reject('nothing') end "
                            "return { n = row.n + 1 } end\n");
    assert_says(dir, ARGS("rejects", "1", "--retry"), 4, "1 row done, 1 refused again");
    assert_says(dir, ARGS("rejects", "1", "--all"), 4, "done since");
    assert_says(dir, ARGS("upgrade"), 4, "has left 1 rejected row");

    pawl_test_exec(db, "UPDATE t SET s = 'something' WHERE id = 150");
    assert_says(dir, ARGS("rejects", "a0000001", "--retry", "--json"), 0,
                "\"done\":1,\"refused\":0,\"gone\":0,\"unmatched\":0,\"left\":0,\"has_findings\":false");
    assert_says(dir, ARGS("upgrade"), 0, "");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 500);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relname = 'behind'"), 1);
    assert_says(dir, ARGS("rejects", "1"), 0, "0 to be dealt with");
}

/* The rejects of a job that was given up stay to be looked at, and are written by nobody. */
static void
an_abandoned_job_is_not_retried(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("abandoned", &db);

    (void) state;
    pawl_test_pawl_exits(dir, "upgrade", NULL, 4);
    assert_says(dir, ARGS("abandon", "1"), 0, "");
    assert_says(dir, ARGS("rejects", "1"), 4, "abandoned: 2 to be dealt with");
    assert_says(dir, ARGS("rejects", "1", "--retry"), 1, "was abandoned");
    assert_says(dir, ARGS("upgrade"), 1, "abandoned");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 498);
}

/* A retry by other words than those of the job would do something else to these rows than to all others. */
static void
a_step_that_says_something_else_is_not_retried(void **state)
{
    const char *db = NULL;
    const char *dir = project_of("changed", &db);

    (void) state;
    pawl_test_pawl_exits(dir, "upgrade", NULL, 4);
    write_revision(dir, "      where: id > 100\n");
    assert_says(dir, ARGS("rejects", "1", "--retry"), 1, "was changed since job 1 ran");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 498);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_step_with_rejects_waits_until_they_are_allowed),
        cmocka_unit_test(rejects_are_listed_and_exported),
        cmocka_unit_test(a_mended_transform_and_a_retry_let_the_step_go_on),
        cmocka_unit_test(an_abandoned_job_is_not_retried),
        cmocka_unit_test(a_step_that_says_something_else_is_not_retried),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
