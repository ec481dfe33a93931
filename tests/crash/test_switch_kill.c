/*
 * A switch killed at every state, there and back, while the application goes on in between. The same command again must end
 * where an undisturbed run ends; before the cut-over a downgrade must leave the backfill logging as it was.
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

#define LUA                                                                                          \
    "local M = {}\n"                                                                                 \
    "function M.row(row) if row.price then return { amount = math.tointeger(tonumber(row.price)) } " \
    "end end\n"                                                                                      \
    "function M.reverse(row) if row.amount then return { price = tostring(row.amount) } end end\n"   \
    "return M\n"

/* `truth` is what price is, whatever its type. */
#define TABLE                                                                           \
    "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL DEFAULT '0', truth text);" \
    "CREATE INDEX p_price_idx ON p (price); INSERT INTO p SELECT i, i, i FROM generate_series(1, 300) i"

#define SHAPE                                                                                              \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN "   \
    "'!' ELSE '' END, ', ' ORDER BY attname) FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum " \
    "> 0 AND NOT attisdropped"
#define LEFT                                                                                               \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost|failed)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ "           \
    "'^(capture|guard|keep)_'))::text"
#define WRONG "SELECT count(*)::text FROM p WHERE price::text IS DISTINCT FROM truth"
#define JOB   "SELECT kind || ' ' || phase || ' ' || state FROM pawl.job WHERE state <> 'abandoned'"

#define BEFORE "amount bigint, id integer!, price text!, truth text"
#define AFTER  "amount text, id integer!, price bigint!, truth text"

static const char *const points[] = {"switch.after_adopt",  "swap.after_arm",     "swap.after_drain",
                                     "swap.after_unit",     "swap.after_index",   "swap.in_proof",
                                     "swap.in_cut",         "swap.after_cut",     "drain.after_apply",
                                     "drain.after_commit",  "step.before_commit", "step.before_record",
                                     "switch.after_release"};

static void
assert_text(const char *db, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", sql, got, expected);
    free(got);
}

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
make(const char **db, const char *set, const char *reverse)
{
    const char *dir;
    PAWL_STRBUF_AUTO(first);
    PAWL_STRBUF_AUTO(second);

    *db = pawl_test_database_new("killed");
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, TABLE);
    pawl_strbuf_addf(
        &first,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - add_column: { table: p, column: amount, type: "
        "bigint }\n  - backfill:\n      table: p\n      batch: 100\n      capture: true\n%s    down: "
        "nothing\n",
        set);
    pawl_strbuf_addf(
        &second,
        "revision: \"bbbb0001\"\nparents: [aaaa0001]\nup:\n  - switch:\n      table: p\n      column: "
        "price\n      with: amount\n%s",
        reverse);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", first.data);
    pawl_test_project_write(dir, "migrations/bbbb0001.yaml", second.data);
    pawl_test_pawl_exits(dir, "upgrade", "aaaa0001", 0);
    write_some(*db, 30);
    return dir;
}

static void
assert_back(const char *db)
{
    assert_text(db, SHAPE, BEFORE);
    assert_text(db, WRONG, "0");
    assert_text(db, JOB, "backfill captured open");
}

static bool
kill_once(const char *point, int passage, bool gives_up, const char *set, const char *reverse)
{
    const char *db = NULL;
    const char *dir = make(&db, set, reverse);
    bool is_killed = was_killed(dir, "upgrade", "head", point, passage);

    write_some(db, 1);
    assert_text(db, WRONG, "0");
    if (is_killed && gives_up)
    {
        pawl_test_pawl_exits(dir, "downgrade", "aaaa0001", 0);
        assert_back(db);
        write_some(db, 2);
    }
    if (is_killed)
        pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_text(db, SHAPE, AFTER);
    assert_text(db, WRONG, "0");
    assert_text(db, JOB, "switch mirror open");
    write_some(db, 3);

    bool is_killed_back = was_killed(dir, "downgrade", "aaaa0001", point, passage);

    write_some(db, 4);
    assert_text(db, WRONG, "0");
    if (is_killed_back)
        pawl_test_pawl_exits(dir, "downgrade", "aaaa0001", 0);
    assert_back(db);
    write_some(db, 5);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_text(db, SHAPE, AFTER);
    assert_text(db, WRONG, "0");
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_text(db, WRONG, "0");
    assert_text(db, LEFT, "0");
    return is_killed || is_killed_back;
}

static void
kill_everywhere(const char *set, const char *reverse)
{
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int most = getenv("PAWL_TEST_LONG") != NULL ? 30 : 1;

        for (int passage = 1; passage <= most; passage++)
            if (!kill_once(points[i], passage, (i + (size_t) passage) % 2 == 0, set, reverse))
            {
                if (passage == 1)
                    fail_msg("%s is never passed", points[i]);
                break;
            }
    }
}

static void
a_switch_by_a_transform_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      read: [price]\n      write: [amount]\n      lua: transforms/price.lua\n", "");
}

static void
a_switch_by_expressions_goes_on_from_every_state(void **state)
{
    (void) state;
    kill_everywhere("      set: { amount: \"price::bigint\" }\n", "      reverse: price::text\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_switch_by_a_transform_goes_on_from_every_state),
        cmocka_unit_test(a_switch_by_expressions_goes_on_from_every_state),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
