/*
 * A swap killed at every state, on its way there and on its way back, while the application goes on in between. The same
 * command again must end where an undisturbed run ends; or, before the cut-over, a downgrade must leave no trace.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                                  \
    "local M = {}\n"                                                                                         \
    "function M.row(row) if row.price then return { price = math.tointeger(tonumber(row.price)) } end end\n" \
    "function M.reverse(row) if row.price then return { price = tostring(row.price) } end end\n"             \
    "return M\n"

/* `truth` is what price is, whatever its type. */
#define TABLE                                                                           \
    "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL DEFAULT '0', truth text);" \
    "CREATE INDEX p_price_idx ON p (price); INSERT INTO p SELECT i, i, i FROM generate_series(1, 300) i"

static const char *const points[] = {
    "swap.after_add", "swap.after_job",    "swap.after_arm",     "backfill.after_write", "swap.after_copy",
    "swap.in_proof",  "swap.after_drain",  "swap.after_unit",    "swap.after_index",     "swap.in_cut",
    "swap.after_cut", "drain.after_apply", "drain.after_commit", "step.before_commit"};

static void
assert_text(const char *db, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", sql, got, expected);
    free(got);
}

#define SHAPE                                                                                              \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN "   \
    "'!' ELSE '' END, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum " \
    "> 0 AND NOT attisdropped"
#define LEFT                                                                                               \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost|failed)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ "           \
    "'^(capture|guard|keep)_'))::text"
#define WRONG "SELECT count(*)::text FROM p WHERE price::text IS DISTINCT FROM truth"
#define INDEXES                                                                                             \
    "SELECT string_agg(indexrelid::regclass || ' ' || indisvalid, ', ' ORDER BY "                           \
    "indexrelid::regclass::text) FROM "                                                                     \
    "pg_index WHERE indrelid = 'p'::regclass AND NOT indisprimary AND indkey::text = (SELECT attnum::text " \
    "FROM "                                                                                                 \
    "pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'price')"

#define BEFORE "id integer!, price text!, truth text"
#define AFTER  "id integer!, price bigint!, price_old text, truth text"

/* What the application does between two tries; it fits both types. */
static void
write_some(const char *db, int round)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "UPDATE p SET price = '%d', truth = %d WHERE id %% 7 = 1; INSERT INTO p (id, price, truth) VALUES "
        "(%d, '5', 5); BEGIN; DELETE FROM p WHERE id = 3; INSERT INTO p (id, price, truth) VALUES (3, "
        "'%d', %d); COMMIT; UPDATE p SET id = %d WHERE id = (SELECT max(id) FROM p WHERE id <= 300)",
        round, round, 1000 + round, round, round, 2000 + round);
    pawl_test_exec(db, sql.data);
}

/* False when the run got through undisturbed. */
static bool
was_killed(const char *dir, const char *verb, const char *target, const char *point, int passage)
{
    PAWL_STRBUF_AUTO(variable);

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=kill@%d", point, passage);
    const char *const env[] = {variable.data, NULL};
    pawl_test_output output = pawl_test_pawl(dir, verb, target, env);
    bool is_killed = output.signal_number == SIGKILL;

    if (!is_killed && output.exit_code != 0)
        fail_msg("%s at %s@%d: %s", verb, point, passage, output.err);
    pawl_test_output_free(&output);
    return is_killed;
}

static const char *
make(const char **db, const char *how)
{
    const char *dir;
    PAWL_STRBUF_AUTO(text);

    *db = pawl_test_database_new("killed");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, TABLE);
    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: "
        "price\n      type: bigint\n      batch: 100\n      workers: 1\n%s",
        how);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    return dir;
}

static void
assert_there(const char *db)
{
    assert_text(db, SHAPE, AFTER);
    assert_text(db, WRONG, "0");
    assert_text(db, INDEXES, "p_price_idx true");
    assert_text(db, "SELECT phase || ' ' || state FROM pawl.job WHERE state <> 'abandoned'", "mirror open");
}

static void
assert_back(const char *db)
{
    assert_text(db, SHAPE, BEFORE);
    assert_text(db, WRONG, "0");
    assert_text(db, LEFT, "0");
    assert_text(db, INDEXES, "p_price_idx true");
    assert_text(db, "SELECT count(*)::text FROM pawl.job WHERE state = 'open'", "0");
}

/* Killed on its way there; then on, or back without a trace. Then killed on its way back. */
static bool
kill_once(const char *point, int passage, const char *how, bool gives_up)
{
    const char *db = NULL;
    const char *dir = make(&db, how);
    bool is_killed = was_killed(dir, "upgrade", "head", point, passage);

    write_some(db, 1);
    assert_text(db, WRONG, "0");
    if (is_killed && gives_up)
    {
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        assert_back(db);
        write_some(db, 2);
    }
    if (is_killed)
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_there(db);
    write_some(db, 3);

    bool is_killed_back = was_killed(dir, "downgrade", "base", point, passage);

    write_some(db, 4);
    assert_text(db, WRONG, "0");
    if (is_killed_back)
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_back(db);
    write_some(db, 5);
    assert_text(db, WRONG, "0");
    return is_killed || is_killed_back;
}

static void
kill_everywhere(const char *how)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int step = strcmp(points[i], "step.before_commit") == 0 ? 3 : 1;
        int most = getenv("PAWL_TEST_LONG") != NULL ? 30 : 1 + step * 2;

        for (int passage = 1; passage <= most; passage += step)
            if (!kill_once(points[i], passage, how, passage % 2 == 0))
                break;
    }
}

static void
a_swap_by_a_transform_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      lua: transforms/price.lua\n");
}

static void
a_swap_by_an_expression_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      using: price::bigint\n      reverse: price::text\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_by_a_transform_goes_on_from_every_state),
        cmocka_unit_test(a_swap_by_an_expression_goes_on_from_every_state),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
