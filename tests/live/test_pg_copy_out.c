/* Rows in bulk, both ways. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/copy.h"
#include "pg/copy_out.h"
#include "pg/txn.h"
#include "support/process.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *db;

static void
must(pawl_status st, const pawl_error *err)
{
    if (st != PAWL_OK)
        fail_msg("%s (%s) %s", err->message, err->sqlstate, err->detail);
}

static void
rows_go_from_one_table_to_another_as_bytes(void **state)
{
    PAWL_AUTO(pawl_pg) from = pawl_test_open(db, NULL);
    PAWL_AUTO(pawl_pg) to = pawl_test_open(db, NULL);
    pawl_pg_copy_row row = {0};
    pawl_error err = PAWL_ERROR_INIT;
    int64_t rows = 0;
    int messages = 0;

    (void) state;
    pawl_test_must(from,
                   "CREATE TABLE a AS SELECT i AS id, repeat('x', i % 7000) AS s, "
                   "CASE WHEN i % 3 = 0 THEN NULL ELSE i * 1.5 END AS n FROM generate_series(1, 5000) i");
    pawl_test_must(from, "CREATE TABLE b (LIKE a)");
    must(pawl_pg_copy_out_begin(from, "COPY (SELECT * FROM public.a ORDER BY id) TO STDOUT (FORMAT binary)",
                                &err),
         &err);
    must(pawl_pg_begin(to, NULL, &err), &err);
    must(pawl_pg_copy_begin(to, "COPY public.b FROM STDIN (FORMAT binary)", &err), &err);
    for (;;)
    {
        must(pawl_pg_copy_read(from, &row, &err), &err);
        if (row.data == NULL)
            break;
        messages++;
        must(pawl_pg_copy_put(to, row.data, row.length, &err), &err);
    }
    must(pawl_pg_copy_end(to, &rows, &err), &err);
    must(pawl_pg_commit(to, &err), &err);
    assert_int_equal(rows, 5000);
    assert_int_equal(messages, 5001); /* a row each, and the end */
    assert_int_equal(pawl_test_number(from, "SELECT count(*) FROM ((TABLE a EXCEPT ALL TABLE b) UNION ALL "
                                            "(TABLE b EXCEPT ALL TABLE a)) d"),
                     0);
}

static void
failed_beginning_leaves_the_session_usable(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_copy_out_begin(pg, "COPY public.nowhere TO STDOUT", &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "42P01");
    assert_int_equal(pawl_pg_copy_begin(pg, "COPY public.nowhere FROM STDIN", &err), PAWL_E_SERVER);
    assert_int_equal(pawl_test_number(pg, "SELECT 7"), 7);
}

static void
failure_in_the_middle_of_reading_is_reported(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_pg_copy_row row = {0};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = PAWL_OK;
    int rows = 0;

    (void) state;
    must(pawl_pg_copy_out_begin(pg, "COPY (SELECT 10 / (3000 - i) FROM generate_series(1, 5000) i) TO STDOUT",
                                &err),
         &err);
    while ((st = pawl_pg_copy_read(pg, &row, &err)) == PAWL_OK && row.data != NULL)
        rows++;
    assert_int_equal(st, PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "22012");
    assert_int_equal(rows, 2999);
    assert_null(row.data);
    assert_int_equal(pawl_test_number(pg, "SELECT 7"), 7);
}

static void *
stop_soon(void *arg)
{
    pawl_test_sleep_ms(100);
    pawl_stop_request(arg);
    pawl_stop_request(arg);
    return NULL;
}

static void
second_stop_ends_a_copy_that_is_read(void **state)
{
    pawl_stop *stop = NULL;
    pawl_pg_copy_row row = {0};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = PAWL_OK;
    pthread_t thread;

    (void) state;
    must(pawl_stop_new(&stop, &err), &err);
    pawl_pg *pg = pawl_test_open(db, stop);

    /* Enough that the server sends something before it sleeps. */
    must(pawl_pg_copy_out_begin(
             pg,
             "COPY (SELECT CASE WHEN i = 5000 THEN pg_sleep(60)::text ELSE repeat('x', 100) END "
             "FROM generate_series(1, 5000) i) TO STDOUT",
             &err),
         &err);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, stop), 0);
    while ((st = pawl_pg_copy_read(pg, &row, &err)) == PAWL_OK && row.data != NULL)
        continue;
    assert_int_equal(st, PAWL_E_STOPPED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(pawl_pg_is_usable(pg));
    pawl_pg_close(pg);
    pawl_stop_free(stop);
}

static void
second_stop_ends_a_copy_that_is_written(void **state)
{
    pawl_stop *stop = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = PAWL_OK;
    pthread_t thread;

    (void) state;
    must(pawl_stop_new(&stop, &err), &err);
    pawl_pg *pg = pawl_test_open(db, stop);

    pawl_test_must(pg, "CREATE TABLE e (n int)");
    must(pawl_pg_begin(pg, NULL, &err), &err);
    must(pawl_pg_copy_begin(pg, "COPY public.e FROM STDIN", &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, stop_soon, stop), 0);
    while (st == PAWL_OK)
        st = pawl_pg_copy_put(pg, "1\n2\n3\n", 6, &err);
    assert_int_equal(st, PAWL_E_STOPPED);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pawl_pg_rollback(pg);
    assert_true(pawl_pg_is_usable(pg));
    pawl_pg_close(pg);
    pawl_stop_free(stop);
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    db = pawl_test_database_new("copy_out");
    return st;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_go_from_one_table_to_another_as_bytes),
        cmocka_unit_test(failed_beginning_leaves_the_session_usable),
        cmocka_unit_test(failure_in_the_middle_of_reading_is_reported),
        cmocka_unit_test(second_stop_ends_a_copy_that_is_read),
        cmocka_unit_test(second_stop_ends_a_copy_that_is_written),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
