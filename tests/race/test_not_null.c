/* What others do to a table between two transactions of set_not_null. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/migration.h"
#include "support/server.h"
#include "util/failpoint.h"

#include "util/banned.h"

#define POINT "set_not_null.after_validate"

static void *
upgrade(void *ctx)
{
    (void) pawl_test_go(ctx, true, NULL);
    return NULL;
}

/* Upgrade; what `sql` says happens once the CHECK is valid, and before the column is NOT NULL. */
static pawl_test_fixture
interrupt(const char *name, const char *sql)
{
    pawl_test_fixture f = pawl_test_begin(name);
    int64_t before = pawl_failpoint_reached(POINT);
    pthread_t thread;

    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
    pawl_failpoint_open(POINT, false);
    assert_int_equal(pthread_create(&thread, NULL, upgrade, &f), 0);
    for (int i = 0; i < 4000 && pawl_failpoint_reached(POINT) == before; i++)
        pawl_test_pause_ms(5);
    pawl_test_exec(f.db, sql);
    pawl_failpoint_open(POINT, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    return f;
}

#define DROPPED                                                                                   \
    "DO $$ BEGIN EXECUTE (SELECT 'ALTER TABLE t DROP CONSTRAINT ' || conname FROM pg_constraint " \
    "WHERE conrelid = 't'::regclass AND contype = 'c'); END $$;"

/* Without the CHECK the server would read the whole table while nobody else can. */
static void
a_check_that_somebody_drops_is_made_again(void **state)
{
    pawl_test_fixture f = interrupt("dropped", DROPPED);

    (void) state;
    assert_int_equal(f.err.code, PAWL_OK);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a!");
    assert_int_equal(pawl_failpoint_reached(POINT), 2);
    pawl_test_end(&f);
}

static void
a_null_that_comes_in_then_is_named(void **state)
{
    pawl_test_fixture f = interrupt("null", DROPPED "UPDATE t SET a = NULL WHERE id = 7");

    (void) state;
    assert_int_equal(f.err.code, PAWL_E_STATE);
    assert_string_equal(f.err.detail, "for example the row with id = 7");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_assert_text(&f,
                          "SELECT count(*)::text FROM pg_constraint WHERE conrelid = 't'::regclass AND "
                          "contype = 'c'",
                          "0");
    pawl_test_exec(f.db, "UPDATE t SET a = 'x' WHERE id = 7");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a!");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_check_that_somebody_drops_is_made_again),
        cmocka_unit_test(a_null_that_comes_in_then_is_named),
    };

    pawl_failpoint_arm(POINT "=gate");
    pawl_failpoint_open(POINT, true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
