/* An index build of a swap that is the victim of a deadlock is begun again. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

/*
 * The build waits for a transaction that holds a snapshot; that one asks for a lock that waits for the build. The server
 * looks for deadlocks when somebody has waited for deadlock_timeout: here pawl's session is the first to look.
 */
static void
a_build_that_the_server_ends_is_begun_again(void **state)
{
    const char *db = pawl_test_database_new("deadlock");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const args[] = {"upgrade", "head", NULL};
    pawl_test_process *process;
    pawl_test_output output;
    PGconn *app;

    (void) state;
    pawl_test_exec(
        db, "CREATE TABLE p (id int PRIMARY KEY, price text); CREATE INDEX p_price ON p (price); INSERT INTO "
            "p SELECT i, i FROM generate_series(1, 500) i; CREATE TABLE other (id int)");
    pawl_test_exec(db, "ALTER DATABASE deadlock SET deadlock_timeout = '4s'");
    pawl_test_project_write(
        dir, "migrations/aaaa0001.yaml",
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: "
        "price\n      type: bigint\n      using: price::bigint\n      reverse: price::text\n");
    app = pawl_test_connect(db);
    pawl_test_run_on(app, "SET deadlock_timeout = '1h'; BEGIN; DECLARE c CURSOR FOR SELECT * FROM other");
    process = pawl_test_start(args, NULL, dir);
    pawl_test_wait_until(
        db,
        "SELECT EXISTS (SELECT FROM pg_stat_progress_create_index WHERE phase = 'waiting for old "
        "snapshots')",
        60000);
    pawl_test_run_on(app, "LOCK TABLE p IN ACCESS EXCLUSIVE MODE; COMMIT");
    PQfinish(app);
    output = pawl_test_wait(process, 120000);
    if (output.exit_code != 0)
        fail_msg("exit code %d: %s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pg_index WHERE indrelid = 'p'::regclass AND indisvalid "
                                "AND indexrelid = 'p_price'::regclass"),
        1);
    assert_int_equal(
        pawl_test_query_i64(
            db, "SELECT count(*) FROM pg_index WHERE indrelid = 'p'::regclass AND NOT indisvalid"),
        0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_build_that_the_server_ends_is_begun_again),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
