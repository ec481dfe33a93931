/* Views that are made anew, killed on both sides of the cut-over's commit: they are there at every moment. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

static const char *const points[] = {"swap.in_cut", "swap.after_cut"};

#define TABLE                                                                                                \
    "DROP ROLE IF EXISTS killed_reader; CREATE ROLE killed_reader; CREATE TABLE p (id int PRIMARY KEY, "     \
    "price "                                                                                                 \
    "text); INSERT INTO p SELECT i, i FROM generate_series(1, 300) i; CREATE VIEW v AS SELECT id, "          \
    "price::int "                                                                                            \
    "+ 1 AS next, price FROM p; CREATE SCHEMA api; CREATE VIEW api.p AS SELECT * FROM v; GRANT SELECT ON v " \
    "TO "                                                                                                    \
    "killed_reader; COMMENT ON VIEW api.p IS 'over it'"

#define REVISION                                                                                        \
    "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: price\n" \
    "      type: bigint\n      using: price::bigint\n      reverse: price::text\n      views: recreate\n"

#define LOOKS                                                                                                \
    "SELECT concat_ws(' | ', pg_get_viewdef('v'::regclass), pg_get_viewdef('api.p'::regclass), (SELECT "     \
    "relacl FROM pg_class WHERE oid = 'v'::regclass), obj_description('api.p'::regclass), (SELECT count(*) " \
    "FROM api.p WHERE next = id + 1))"
#define TYPE "SELECT pg_typeof(price)::text FROM api.p LIMIT 1"

static void
views_are_there_whenever_it_is_killed(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        bool is_over = i == 1;
        const char *db = pawl_test_database_new("views_killed");
        const char *dir = pawl_test_project_new(db, NULL);
        char *before;
        char *after;

        pawl_test_exec(db, TABLE);
        pawl_test_project_write(dir, "migrations/aaaa0001.yaml", REVISION);
        before = pawl_test_query_text(db, LOOKS);
        pawl_test_must_be_killed(dir, "upgrade", "head", points[i], 1);
        pawl_test_assert_query(db, TYPE, is_over ? "bigint" : "text");
        if (!is_over)
            pawl_test_assert_query(db, LOOKS, before);
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        pawl_test_assert_query(db, TYPE, "bigint");
        after = pawl_test_query_text(db, LOOKS);
        pawl_test_must_be_killed(dir, "downgrade", "base", points[i], 1);
        pawl_test_assert_query(db, TYPE, is_over ? "text" : "bigint");
        pawl_test_assert_query(db, LOOKS, is_over ? before : after);
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        pawl_test_assert_query(db, TYPE, "text");
        pawl_test_assert_query(db, LOOKS, before);
        free(before);
        free(after);
        pawl_test_exec(db, "DROP OWNED BY killed_reader; DROP ROLE killed_reader");
    }
}

#define REWRITE                                                                                          \
    "revision: \"aaaa0001\"\nparents: []\ndown: irreversible\nup:\n  - rewrite_table:\n      table: p\n" \
    "      change: { price: { type: bigint, using: price::bigint } }\n      views: recreate\n"

static void
views_of_a_rewritten_table_are_there_too(void **state)
{
    static const char *const at[] = {"rewrite.before_cutover_commit", "rewrite.after_cutover_commit"};

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        const char *db = pawl_test_database_new("views_rewritten");
        const char *dir = pawl_test_project_new(db, NULL);
        char *before;

        pawl_test_exec(db, TABLE);
        pawl_test_project_write(dir, "migrations/aaaa0001.yaml", REWRITE);
        before = pawl_test_query_text(db, LOOKS);
        pawl_test_must_be_killed(dir, "upgrade", "head", at[i], 1);
        pawl_test_assert_query(db, TYPE, i == 1 ? "bigint" : "text");
        if (i == 0)
            pawl_test_assert_query(db, LOOKS, before);
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
        pawl_test_assert_query(db, TYPE, "bigint");
        pawl_test_assert_query(
            db, "SELECT count(*) || obj_description('api.p'::regclass) FROM api.p WHERE next = id + 1",
            "300over it");
        pawl_test_assert_query(db, "SELECT has_table_privilege('killed_reader', 'v', 'SELECT')::text",
                               "true");
        free(before);
        pawl_test_exec(db, "DROP OWNED BY killed_reader; DROP ROLE killed_reader");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_are_there_whenever_it_is_killed),
        cmocka_unit_test(views_of_a_rewritten_table_are_there_too),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
