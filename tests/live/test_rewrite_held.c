/* An autovacuum of the shadow table, or of the old one, does not yield at once: the application must not stand behind it. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define REWRITE                                                      \
    "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table:\n" \
    "      table: product\n"                                         \
    "      change: { price: { type: numeric, using: \"price::numeric\" } }\n"

static const char *
project(const char *name, const char *more, const char **db)
{
    const char *dir;
    char text[800];

    *db = pawl_test_database_new(name);
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db, "CREATE TABLE product (id int PRIMARY KEY, price text, n int);"
                        "INSERT INTO product SELECT i, i || '.5', i FROM generate_series(1, 500) i");
    pawl_fmt(text, sizeof text, REWRITE "%s", more);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text);
    return dir;
}

#define PHASE_IS(phase)                                                                    \
    "SELECT to_regclass('pawl.job') IS NOT NULL AND (xpath('/row/n/text()', query_to_xml(" \
    "'SELECT count(*) AS n FROM pawl.job WHERE phase = ''" phase "''', false, true, '')))[1]::text = '1'"

/* As an autovacuum has it. */
static PGconn *
hold(const char *db, const char *table)
{
    PGconn *vacuum = pawl_test_connect(db);
    char sql[120];

    pawl_fmt(sql, sizeof sql, "BEGIN; LOCK TABLE %s IN SHARE UPDATE EXCLUSIVE MODE", table);
    pawl_test_run_on(vacuum, sql);
    return vacuum;
}

/* Pawl waits for it with nothing of the application's in its hands. */
static void
application_goes_on(const char *db, const char *table)
{
    char sql[300];

    pawl_fmt(sql, sizeof sql,
             "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND "
             "relation = to_regclass('%s'))",
             table);
    pawl_test_wait_until(db, sql, 60000);
    pawl_test_assert_query(db,
                           "SELECT count(*) FROM pg_locks WHERE mode LIKE '%ExclusiveLock' AND mode <> "
                           "'RowExclusiveLock' AND relation = 'product'::regclass",
                           "0");
    pawl_test_exec(db, "SET lock_timeout = '100ms'; UPDATE product SET n = -1 WHERE id = 1");
}

static void
let_go(PGconn *vacuum, pawl_test_process *process)
{
    pawl_test_output output;

    pawl_test_run_on(vacuum, "COMMIT");
    PQfinish(vacuum);
    output = pawl_test_wait(process, 60000);
    if (output.exit_code != 0)
        fail_msg("%s", output.err);
    pawl_test_output_free(&output);
}

static void
rewrite_is_taken_back(void **state)
{
    static const char *const up[] = {"upgrade", "head", NULL};
    static const char *const down[] = {"downgrade", "base", NULL};
    const char *db = NULL;
    const char *dir = project("held_back", "      cutover: manual\n", &db);
    pawl_test_process *process = pawl_test_start(up, NULL, dir);
    pawl_test_output output;
    PGconn *vacuum;

    (void) state;
    pawl_test_wait_until(db, PHASE_IS("ready"), 60000);
    pawl_test_kill(pawl_test_process_pid(process), SIGTERM);
    output = pawl_test_wait(process, 60000);
    assert_int_equal(output.exit_code, 3);
    pawl_test_output_free(&output);
    vacuum = hold(db, "pawl_1_new");
    process = pawl_test_start(down, NULL, dir);
    application_goes_on(db, "pawl_1_new");
    let_go(vacuum, process);
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pawl_1%'", "0");
    pawl_test_assert_query(db, "SELECT n || price FROM product WHERE id = 1", "-11.5");
}

static void
rewrite_begins_again(void **state)
{
    static const char *const up[] = {"upgrade", "head", NULL};
    const char *db = NULL;
    const char *dir = project("held_again", "      cutover: manual\n", &db);
    pawl_test_process *process = pawl_test_start(up, NULL, dir);
    PGconn *vacuum;

    (void) state;
    pawl_test_wait_until(db, PHASE_IS("ready"), 60000);
    vacuum = hold(db, "pawl_1_new");
    pawl_test_exec(db, "TRUNCATE product; INSERT INTO product VALUES (1, '1.5', 1), (2, '2.5', 2)");
    application_goes_on(db, "pawl_1_new");
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    let_go(vacuum, process);
    pawl_test_assert_query(db, "SELECT string_agg(n || '/' || price, ' ' ORDER BY id) FROM product",
                           "-1/1.5 2/2.5");
}

static void
rewrite_is_contracted(void **state)
{
    static const char *const up[] = {"upgrade", "head", NULL};
    const char *db = NULL;
    const char *dir = project("held_contract", "      reverse: { price: \"price::text\" }\n", &db);
    pawl_test_process *process;
    PGconn *vacuum;

    (void) state;
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_project_write(
        dir, "migrations/bbbb0001.yaml",
        "revision: \"bbbb0001\"\nparents: [aaaa0001]\nup:\n  - contract: { table: product "
        "}\n    down: nothing\n");
    vacuum = hold(db, "pawl_1_old");
    process = pawl_test_start(up, NULL, dir);
    application_goes_on(db, "pawl_1_old");
    let_go(vacuum, process);
    pawl_test_assert_query(db, "SELECT to_regclass('pawl_1_old') IS NULL", "t");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rewrite_is_taken_back),
        cmocka_unit_test(rewrite_begins_again),
        cmocka_unit_test(rewrite_is_contracted),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
