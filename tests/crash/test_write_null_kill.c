/*
 * A swap or a rewrite with `rejects: write_null`, killed wherever a row is refused and on its way to the cut-over, while the application
 * mends rows, breaks others, takes some away. In the end a row has NULL if and only if its value is refused, and then the
 * ledger has exactly one reject of it, with the value that it has.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Some by the transform, some by the type. `truth` is what price was as a text. */
#define LUA                                                                              \
    "return { row = function(row) if row.price:find('x') then pawl.reject('an x') end\n" \
    "return { price = row.price } end }\n"
#define TABLE                                                                                           \
    "CREATE TABLE p (id int PRIMARY KEY, price text, truth text); INSERT INTO p SELECT i, v, v FROM "   \
    "(SELECT "                                                                                          \
    "i, CASE WHEN i % 37 = 0 THEN 'x' || i WHEN i % 41 = 0 THEN '999' || i ELSE '' || i END AS v FROM " \
    "generate_series(1, 300) i) s"
#define SWAP                                                                                       \
    "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column: { table: p, column: price, type: " \
    "\"numeric(4)\", batch: 50, workers: 1, lua: transforms/price.lua, rejects: write_null }\n"

#define REWRITE                                                                                  \
    "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table: { table: p, change: { price: " \
    "\"numeric(4)\" }, batch: 50, lua: transforms/price.lua, rejects: write_null }\n"

/* In the order of a run: rows that are set aside, the drain, the cut-over. */
static const char *const swap_points[] = {"backfill.before_condemn", "backfill.before_commit",
                                          "backfill.after_commit",   "swap.after_copy",
                                          "redo.after_refusal",      "drain.after_apply",
                                          "drain.after_commit",      "swap.in_cut",
                                          "swap.after_cut",          NULL};
static const char *const rewrite_points[] = {"copier.before_commit",
                                             "copier.after_commit",
                                             "nulling.after_refusal",
                                             "rewrite.after_copy",
                                             "drain.after_apply",
                                             "drain.after_commit",
                                             "rewrite.in_cutover",
                                             "rewrite.after_cutover_commit",
                                             NULL};

typedef struct kind
{
    const char *revision;
    const char *armed; /* a point at which changes are captured, and nothing is copied yet */
    const char *end;   /* of the job */
    const char *const *points;
} kind;

static const kind swap = {SWAP, "swap.after_arm", "mirror open numeric", swap_points};
static const kind rewrite = {REWRITE, "rewrite.after_prepare", "after done numeric", rewrite_points};

#define IS_GOOD "p.truth ~ '^[0-9]{1,4}$'"
#define WRONG                                                                                               \
    "SELECT count(*)::text FROM p LEFT JOIN pawl.reject r ON r.key[1] = p.id::text AND r.state = 'nulled' " \
    "AND "                                                                                                  \
    "r.job_id = (SELECT max(job_id) FROM pawl.job) WHERE CASE WHEN " IS_GOOD                                \
    " THEN p.price IS DISTINCT FROM p.truth::numeric OR r.reject_id IS NOT NULL ELSE p.price IS NOT NULL "  \
    "OR "                                                                                                   \
    "r.reject_id IS NULL OR r.input ->> 'price' <> p.truth END"
#define DOUBLE                                                                                         \
    "SELECT (count(*) - count(DISTINCT key) + count(*) FILTER (WHERE NOT EXISTS (SELECT FROM p WHERE " \
    "p.id::text "                                                                                      \
    "= key[1])))::text FROM pawl.reject WHERE state = 'nulled'"

static void
assert_text(const char *db, const char *sql, const char *expected, const char *where, int passage)
{
    char *got = pawl_test_query_text(db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s@%d: %s: \"%s\", expected \"%s\"", where, passage, sql, got, expected);
    free(got);
}

static bool
was_killed(const char *dir, const char *point, int passage)
{
    PAWL_STRBUF_AUTO(variable);

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=kill@%d", point, passage);
    const char *const env[] = {variable.data, NULL};
    pawl_test_output output = pawl_test_pawl(dir, "upgrade", "head", env);
    bool is_killed = output.signal_number == SIGKILL;

    if (!is_killed && output.exit_code != 0)
        fail_msg("%s@%d: %s", point, passage, output.err);
    pawl_test_output_free(&output);
    return is_killed;
}

/* Each kind of row becomes each other kind, some twice. */
static const char *const rounds[] = {
    "UPDATE p SET price = '7', truth = '7' WHERE id IN (37, 41);"
    "UPDATE p SET price = 'x', truth = 'x' WHERE id IN (82, 100, 200);"
    "UPDATE p SET price = '55555', truth = '55555' WHERE id IN (74, 101, 299);"
    "DELETE FROM p WHERE id IN (111, 123, 5);"
    "UPDATE p SET id = id + 1000 WHERE id IN (148, 164, 6);"
    "INSERT INTO p VALUES (0, 'x', 'x'), (500, '88888', '88888'), (501, '8', '8')",
    "UPDATE p SET price = '9', truth = '9' WHERE id IN (185, 205, 100, 101);"
    "UPDATE p SET price = 'xx', truth = 'xx' WHERE id IN (287, 102, 201, 37, 500);"
    "UPDATE p SET price = '66666', truth = '66666' WHERE id IN (222, 103, 298, 501, 0);"
    "DELETE FROM p WHERE id IN (259, 246, 7, 200, 299);"
    "UPDATE p SET id = id + 1000 WHERE id IN (296, 1148, 8);"
    "INSERT INTO p VALUES (-1, 'x', 'x'), (600, '88888', '88888'), (111, 'x', 'x'), (123, '1', '1')",
};

/* As long as the column is a text. */
static void
write_some(const char *db, int round)
{
    char *type = pawl_test_query_text(db, "SELECT pg_typeof(price)::text FROM p LIMIT 1");

    if (strcmp(type, "text") == 0)
        pawl_test_exec(db, rounds[round]);
    free(type);
}

static bool
kill_once(const kind *k, const char *point, int passage)
{
    const char *db = pawl_test_database_new("nulled");
    const char *dir = pawl_test_project_new(db, NULL);
    bool is_killed;

    pawl_test_exec(db, TABLE);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", k->revision);
    /* What is drained must have been captured: the first kill is of no other interest. */
    if (!was_killed(dir, k->armed, 1))
        fail_msg("not killed when the triggers were there");
    write_some(db, 0);
    is_killed = was_killed(dir, point, passage);
    write_some(db, 1);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_text(db, WRONG, "0", point, passage);
    assert_text(db, DOUBLE, "0", point, passage);
    assert_text(
        db,
        "SELECT phase || ' ' || state || ' ' || (SELECT pg_typeof(price)::text FROM p LIMIT 1) FROM pawl.job",
        k->end, point, passage);
    return is_killed;
}

static void
kill_everywhere(const kind *k)
{
    int most = pawl_test_is_long() ? 20 : 3;

    for (size_t i = 0; k->points[i] != NULL; i++)
    {
        int killed = 0;

        for (int passage = 1; passage <= most && kill_once(k, k->points[i], passage); passage++)
            killed++;
        if (killed == 0)
            fail_msg("nothing was ever killed at %s", k->points[i]);
    }
}

static void
a_row_of_a_swap_has_null_if_and_only_if_the_ledger_says_why(void **state)
{
    (void) state;
    kill_everywhere(&swap);
}

static void
a_row_of_a_rewrite_has_null_if_and_only_if_the_ledger_says_why(void **state)
{
    (void) state;
    kill_everywhere(&rewrite);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_row_of_a_swap_has_null_if_and_only_if_the_ledger_says_why),
        cmocka_unit_test(a_row_of_a_rewrite_has_null_if_and_only_if_the_ledger_says_why),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
