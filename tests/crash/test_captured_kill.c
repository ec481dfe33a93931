/*
 * A backfill that captures, killed at every state while the application goes on in between. The same command again must
 * end where an undisturbed run ends, or a downgrade must take everything away.
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

#define LUA   "return function(row) if row.price then return { amount = row.price } end end\n"
#define WRONG "SELECT count(*)::text FROM p WHERE amount IS DISTINCT FROM price::numeric"
#define LEFT                                                                                               \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ '^capture_'))::text"

static const char *const points[] = {"captured.after_job", "captured.after_arm",  "backfill.after_write",
                                     "job.before_finish",  "captured.after_copy", "captured.after_drain",
                                     "captured.after_end", "drain.after_apply",   "drain.after_commit",
                                     "step.before_commit", "step.before_record"};

static void
write_some(const char *db, int round)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "UPDATE p SET price = '%d' WHERE id %% 7 = 1; INSERT INTO p (id, price) VALUES (%d, '5'); "
        "BEGIN; DELETE FROM p WHERE id = 3; INSERT INTO p (id, price) VALUES (3, '%d'); COMMIT; "
        "UPDATE p SET id = %d WHERE id = (SELECT max(id) FROM p WHERE id <= 300)",
        round, 1000 + round, round, 2000 + round);
    pawl_test_exec(db, sql.data);
}

static pawl_test_output
upgrade(const char *dir, const char *point, int passage)
{
    PAWL_STRBUF_AUTO(variable);

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=kill@%d", point, passage);
    const char *const env[] = {variable.data, NULL};

    return pawl_test_pawl(dir, "upgrade", "head", env);
}

/* Until it gets through; it may stop once to report. */
static bool
go_on_until_done(const char *db, const char *dir, const char *point, int passage, bool *gives_up)
{
    bool was_killed = false;

    for (int i = 0; i < 20; i++)
    {
        pawl_test_output output = upgrade(dir, point, was_killed ? 1000000 : passage);
        int code = output.exit_code;
        bool is_killed = output.signal_number == SIGKILL;

        if (!is_killed && code != 0 && code != 4)
            fail_msg("%s@%d: %s", point, passage, output.err);
        pawl_test_output_free(&output);
        was_killed = was_killed || is_killed;
        if (!is_killed && code == 0)
            return was_killed;
        if (is_killed && *gives_up)
            return true;
        /* What comes after the end is the application's own business. */
        if (pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE phase = 'released'") == 0)
            write_some(db, i + 1);
    }
    fail_msg("%s@%d: it does not end", point, passage);
    return false;
}

static bool
kill_once(const char *point, int passage)
{
    const char *db = pawl_test_database_new("killed");
    const char *dir = pawl_test_project_new(db, NULL);
    bool gives_up = passage % 2 == 0;
    bool was_killed;

    pawl_test_exec(db, "CREATE TABLE p (id int PRIMARY KEY, price text, amount numeric);"
                       "INSERT INTO p SELECT i, i FROM generate_series(1, 300) i");
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml",
                            "revision: \"aaaa0001\"\nparents: []\nup:\n  - backfill:\n      table: p\n      "
                            "read: [price]\n      write: [amount]\n      lua: transforms/price.lua\n      "
                            "batch: 50\n      workers: 1\n      capture: true\n    down: nothing\n");
    /* Where it is about what others changed, they have. */
    if (strncmp(point, "captured.after_job", 18) != 0 && strncmp(point, "captured.after_arm", 18) != 0)
    {
        pawl_test_output output = upgrade(dir, "backfill.after_write", 2);

        assert_int_equal(output.signal_number, SIGKILL);
        pawl_test_output_free(&output);
        write_some(db, 30);
    }
    was_killed = go_on_until_done(db, dir, point, passage, &gives_up);
    if (was_killed && gives_up)
    {
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        pawl_test_assert_query(db, LEFT, "0");
        gives_up = false;
        (void) go_on_until_done(db, dir, point, 1000000, &gives_up);
    }
    pawl_test_assert_query(db, WRONG, "0");
    pawl_test_assert_query(db, LEFT, "0");
    pawl_test_assert_query(db, "SELECT state FROM pawl.job WHERE state <> 'abandoned'", "done");
    return was_killed;
}

static void
it_goes_on_from_every_state(void **state)
{
    (void) state;
    for (size_t i = 0; i < sizeof points / sizeof points[0]; i++)
    {
        int most = pawl_test_is_long() ? 30 : 3;

        for (int passage = 1; passage <= most; passage++)
            if (!kill_once(points[i], passage))
            {
                if (passage == 1)
                    fail_msg("%s is never passed", points[i]);
                break;
            }
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(it_goes_on_from_every_state)};

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
