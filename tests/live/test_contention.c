/* What all workers of a job share in the database: it must not become the place where they wait, or that grows. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"

#include "util/banned.h"

/* An old snapshot keeps each version of a row: of one that all batches update there would be a thousand. */
static void
no_batch_updates_the_row_of_the_job(void **state)
{
    const char *db = pawl_test_counted("shared", "bigint", 20000);
    PGconn *old = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    pawl_test_job_prepare(&j, db, "shared");
    j.spec.workers = 3;
    j.spec.batch_rows = 50;
    j.spec.chunk_rows = 1000;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress"), 400, 1000);
    pawl_test_wait_until(
        db,
        "SELECT n_tup_upd >= 400 FROM pg_stat_user_tables WHERE schemaname = 'pawl' AND relname ="
        " 'progress'",
        10000);
    assert_in_range(pawl_test_query_i64(db, "SELECT sum(n_tup_upd)::bigint FROM pg_stat_user_tables"
                                            " WHERE schemaname = 'pawl' AND relname IN ('job', 'part')"),
                    0, 10);
    /* No index is on a column that changes with each batch. */
    assert_int_equal(
        pawl_test_query_i64(
            db, "SELECT count(*) FROM pg_index i JOIN pg_attribute a ON a.attrelid = i.indrelid AND"
                " a.attnum = ANY (i.indkey) WHERE i.indrelid = 'pawl.progress'::regclass AND a.attname"
                " IN ('cursor', 'state', 'fence', 'lease_until', 'updated_at', 'rows_written', 'batches')"),
        0);
    pawl_test_run_on(old, "COMMIT");
    PQfinish(old);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
}

/* Whoever is next on a server session of the pooler finds it as it was. */
static void
nothing_is_left_behind_in_the_sessions_of_a_pooler(void **state)
{
    static const char what[] =
        "SELECT string_agg(name || '=' || setting, ' ' ORDER BY name) FROM pg_settings WHERE name IN"
        " ('search_path', 'statement_timeout', 'lock_timeout', 'DateStyle', 'TimeZone',"
        " 'enable_nestloop', 'enable_seqscan', 'enable_sort', 'idle_in_transaction_session_timeout',"
        " 'row_security', 'jit', 'plan_cache_mode', 'extra_float_digits', 'synchronous_commit')";
    const char *db = pawl_test_counted("left", "bigint", 5000);
    const char *pooled = pawl_test_pooled_conninfo("left");
    char *before = NULL;
    pawl_test_job j;

    (void) state;
    if (pooled == NULL)
        skip();
    before = pawl_test_query_text(pooled, what);
    pawl_test_job_prepare(&j, pooled, "left");
    j.spec.workers = 3;
    j.spec.chunk_rows = 500;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 5000);
    /* Held open at once, so that each gets another of the pooler's sessions. */
    for (int i = 0; i < 3; i++)
    {
        PGconn *held[3];
        char *after = NULL;

        for (int k = 0; k < i; k++)
        {
            held[k] = pawl_test_connect(pooled);
            pawl_test_run_on(held[k], "BEGIN");
        }
        after = pawl_test_query_text(pooled, what);
        assert_string_equal(after, before);
        free(after);
        for (int k = 0; k < i; k++)
            PQfinish(held[k]);
    }
    assert_int_equal(pawl_test_query_i64(pooled, "SELECT count(*) FROM pg_prepared_statements"), 0);
    free(before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_batch_updates_the_row_of_the_job),
        cmocka_unit_test(nothing_is_left_behind_in_the_sessions_of_a_pooler),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
