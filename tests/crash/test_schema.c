#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

/*
 * Steps that build and validate outside of one transaction are killed at every point between two of their pieces, up
 * and down; the same command again must end where an undisturbed run ends.
 */
static const char *const points[] = {
    "step.after_begin",          "step.before_commit",     "step.before_record",    "index.after_look",
    "index.before_statement",    "index.after_statement",  "drop_index.after_note", "constraint.after_add",
    "constraint.after_validate", "constraint.after_index", "constraint.after_drop"};

#define MOST_PASSAGES 60

static const char revision_text[] =
    "revision: \"aaaa0001\"\n"
    "parents: []\n"
    "up:\n"
    "  - create_index: { table: t, name: t_a, columns: [a] }\n"
    "  - drop_index: { name: t_b }\n"
    "  - add_constraint: { table: t, name: t_check, check: id > 0 }\n"
    "  - add_constraint: { table: t, name: t_kind, foreign_key: { columns: [k], references: kind } }\n"
    "  - add_constraint: { table: t, name: t_key, unique: { columns: [a] } }\n"
    "  - drop_constraint: { table: t, name: t_old, was: { check: id < 2000 } }\n";

#define SHAPE                                                                                              \
    "SELECT (SELECT string_agg(c.relname || CASE WHEN i.indisvalid THEN '' ELSE '?' END, ',' ORDER BY "    \
    "c.relname) FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid WHERE i.indrelid = 't'::regclass)" \
    " || ' ' || (SELECT string_agg(conname || CASE WHEN convalidated THEN '' ELSE '?' END, ',' ORDER BY "  \
    "conname) FROM pg_constraint WHERE conrelid = 't'::regclass)"

static void
assert_text(const char *db, const char *point, int passage, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s@%d: \"%s\", not \"%s\"", point, passage, got, expected);
    free(got);
}

/* Run the verb, killed at that passage of the point if it gets that far, and then again until it gets through. */
static bool
was_killed(const char *dir, const char *verb, const char *target, const char *point, int passage)
{
    bool is_killed = pawl_test_is_killed(dir, verb, target, point, passage);

    if (is_killed)
        pawl_test_pawl_exits(dir, verb, target, 0);
    return is_killed;
}

static void
kill_at(const char *point, int *killed)
{
    const char *db = pawl_test_database_new("schema");
    const char *dir = pawl_test_project_new(db, NULL);
    bool goes_on = true;

    pawl_test_exec(
        db, "CREATE TABLE kind (id int PRIMARY KEY); INSERT INTO kind VALUES (1); "
            "CREATE TABLE t (id bigint PRIMARY KEY, a text, k int, CONSTRAINT t_old CHECK (id < 2000)); "
            "CREATE INDEX t_b ON t (lower(a)); "
            "INSERT INTO t SELECT g, 'v' || g, 1 FROM generate_series(1, 100) g");
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", revision_text);
    for (int passage = 1; goes_on; passage++)
    {
        bool is_killed_up = was_killed(dir, "upgrade", "head", point, passage);
        assert_text(db, point, passage, SHAPE, "t_a,t_key,t_pkey t_check,t_key,t_kind,t_pkey");
        bool is_killed_down = was_killed(dir, "downgrade", "base", point, passage);
        assert_text(db, point, passage, SHAPE, "t_b,t_pkey t_old,t_pkey");
        assert_text(db, point, passage, "SELECT count(*)::text FROM pawl.revision", "0");

        *killed += (is_killed_up ? 1 : 0) + (is_killed_down ? 1 : 0);
        goes_on = is_killed_up || is_killed_down;
        if (passage > MOST_PASSAGES)
            fail_msg("%s is passed more than %d times", point, MOST_PASSAGES);
    }
}

static void
killed_anywhere_the_same_command_ends_where_an_undisturbed_one_does(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int killed = 0;
        kill_at(points[i], &killed);
        if (killed == 0)
            fail_msg("nothing passes %s", points[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(killed_anywhere_the_same_command_ends_where_an_undisturbed_one_does),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
