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
 * A revision of every kind of step is killed at every point between two transactions, on its way up and on its way
 * down; the same command again must end where an undisturbed run ends.
 */
static const char *const points[] = {
    "step.after_begin",       "step.before_commit",     "step.before_record",
    "step.after_end",         "set_not_null.after_add", "set_not_null.after_validate",
    "set_not_null.after_set", "revision.after_finish",  "downgrade.before_remove"};

#define MOST_PASSAGES 30

static const char revision_text[] =
    "revision: \"aaaa0001\"\n"
    "parents: []\n"
    "up:\n"
    "  - add_column: { table: t, column: b, type: text }\n"
    "  - backfill: { table: t, set: { b: \"a || '!'\" }, where: \"b IS NULL\", batch: 100, workers: 1 }\n"
    "    down: nothing\n"
    "  - set_not_null: { table: t, column: b }\n"
    "  - rename_column: { table: t, column: a, to: c }\n"
    "  - sql: |\n"
    "      INSERT INTO tally VALUES ('up');\n"
    "    down:\n"
    "      - sql: INSERT INTO tally VALUES ('down')\n"
    "  - assert: { query: \"SELECT count(*) = 1000 FROM t WHERE b = c || '!'\" }\n";

#define SHAPE                                                                                              \
    "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attnum) || ' ' " \
    "|| "                                                                                                  \
    "(SELECT count(*) FROM pg_constraint WHERE conname LIKE 'pawl%') FROM pg_attribute "                   \
    "WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"

static void
kill_at(const char *point, int *killed)
{
    for (int passage = 1; passage <= MOST_PASSAGES; passage++)
    {
        const char *db = pawl_test_database_new("steps");
        const char *dir = pawl_test_project_new(db, NULL);
        pawl_test_exec(db, "CREATE TABLE tally (what text); CREATE TABLE t (id bigint PRIMARY KEY, a text); "
                           "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g");
        pawl_test_project_write(dir, "migrations/aaaa0001.yaml", revision_text);

        bool is_killed_up = pawl_test_is_killed(dir, "upgrade", "head", point, passage);
        if (is_killed_up)
            pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        pawl_test_assert_query(db, SHAPE, "id!,c,b! 0");
        pawl_test_assert_query(db, "SELECT string_agg(what, ',') FROM tally", "up");
        pawl_test_assert_query(db, "SELECT count(*)::text FROM t WHERE b = c || '!'", "1000");

        bool is_killed_down = pawl_test_is_killed(dir, "downgrade", "base", point, passage);
        if (is_killed_down)
            pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        pawl_test_assert_query(db, SHAPE, "id!,a 0");
        pawl_test_assert_query(db, "SELECT string_agg(what, ',') FROM tally", "up,down");
        pawl_test_assert_query(db, "SELECT count(*)::text FROM pawl.revision", "0");

        *killed += (is_killed_up ? 1 : 0) + (is_killed_down ? 1 : 0);
        if (!is_killed_up && !is_killed_down)
            return;
    }
    fail_msg("%s is passed more than %d times", point, MOST_PASSAGES);
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
