/* COPY into a server: what arrives, and in which state a failure leaves the session. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/copy.h"
#include "pg/exec.h"
#include "pg/txn.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *db;

static void
rows_of_any_size_arrive_as_they_were(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_STRBUF_AUTO(b);
    pawl_error err = PAWL_ERROR_INIT;
    int64_t rows = 0;

    (void) state;
    for (int i = 0; i < 40000; i++)
    {
        pawl_strbuf_addf(&b, "%d", i);
        pawl_copy_text_value(&b, false, "tab\tline\nback\\slash \\N", 22);
        pawl_copy_text_end(&b);
    }
    pawl_test_exec(db, "TRUNCATE c");
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.c (a, s) FROM STDIN", &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_put(pg, b.data, b.length, &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_end(pg, &rows, &err), PAWL_OK);
    assert_int_equal(rows, 40000);
    assert_int_equal(pawl_pg_commit(pg, &err), PAWL_OK);
    assert_int_equal(pawl_test_number(pg, "SELECT count(DISTINCT a) FROM public.c WHERE s = "
                                          "E'tab\\tline\\nback\\\\slash \\\\N'"),
                     40000);
}

/* The server refuses the first row, and megabytes follow: they must not get stuck. */
static void
bad_row_fails_with_its_sqlstate_and_the_session_goes_on(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_STRBUF_AUTO(b);
    pawl_error err = PAWL_ERROR_INIT;
    int64_t rows = 7;
    pawl_status st;

    (void) state;
    pawl_strbuf_add(&b, "1\tx\nnonsense\ty\n");
    for (int i = 0; i < 300000; i++)
        pawl_strbuf_add(&b, "2\tzzzzzzzzzzzzzzz\n");
    pawl_test_exec(db, "TRUNCATE c");
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.c (a, s) FROM STDIN", &err), PAWL_OK);
    st = pawl_pg_copy_put(pg, b.data, b.length, &err);
    if (st == PAWL_OK)
        st = pawl_pg_copy_end(pg, &rows, &err);
    assert_int_equal(st, PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "22P02");
    assert_non_null(strstr(err.detail, "line 2"));
    assert_int_equal(rows, 7);
    assert_true(pawl_pg_is_usable(pg));
    pawl_pg_rollback(pg);
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM public.c"), 0);
}

static void
statement_that_cannot_begin_leaves_the_session_usable(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.nowhere FROM STDIN", &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "42P01");
    assert_int_equal(pawl_pg_copy_begin(pg, "SELECT 1", &err), PAWL_E_BUG);
    assert_int_equal(pawl_test_number(pg, "SELECT 3"), 3);
}

static void
given_up_copy_leaves_nothing(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_exec(db, "TRUNCATE c");
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.c (a, s) FROM STDIN", &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_put(pg, "1\tx\n", 4, &err), PAWL_OK);
    pawl_pg_copy_cancel(pg);
    assert_true(pawl_pg_is_in_transaction(pg));
    pawl_pg_rollback(pg);
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM public.c"), 0);
}

static void
killed_backend_is_a_lost_connection(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    int64_t rows = 0;
    char kill[80];
    pawl_status st;

    (void) state;
    (void) snprintf(kill, sizeof kill, "SELECT pg_terminate_backend(%d, 10000)",
                    (int) pawl_pg_backend_pid(pg));
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.c (a, s) FROM STDIN", &err), PAWL_OK);
    pawl_test_exec(db, kill);
    st = pawl_pg_copy_put(pg, "1\tx\n", 4, &err);
    if (st == PAWL_OK)
        st = pawl_pg_copy_end(pg, &rows, &err);
    assert_int_equal(st, PAWL_E_CONNECT);
    assert_false(pawl_pg_is_usable(pg));
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    db = pawl_test_database_new("copy");
    pawl_test_exec(db, "CREATE TABLE c (a int, s text)");
    return st;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_of_any_size_arrive_as_they_were),
        cmocka_unit_test(bad_row_fails_with_its_sqlstate_and_the_session_goes_on),
        cmocka_unit_test(statement_that_cannot_begin_leaves_the_session_usable),
        cmocka_unit_test(given_up_copy_leaves_nothing),
        cmocka_unit_test(killed_backend_is_a_lost_connection),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
