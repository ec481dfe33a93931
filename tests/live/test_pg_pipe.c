/* Pipelines against a server: what stops them, and what a lost COMMIT looks like. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/pipe.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *db;

static void
pipeline_answers_slot_by_slot(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(1)};
    pawl_pg_pipe p;
    pawl_pg_result *taken;
    int insert;
    int commit;
    int read;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    for (int round = 0; round < 2; round++)
    {
        (void) pawl_pg_pipe_begin(&p, NULL);
        insert = pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES ($1::int), ($1::int)", 1, args);
        commit = pawl_pg_pipe_commit(&p);
        (void) pawl_pg_pipe_sync(&p);
        (void) pawl_pg_pipe_begin(&p, NULL);
        read = pawl_pg_pipe_add(&p, "SELECT count(*) FROM public.t WHERE a = 1", 0, NULL);
        (void) pawl_pg_pipe_commit(&p);
        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
        assert_int_equal(pawl_pg_affected(pawl_pg_pipe_result(&p, insert)), 2);
        assert_string_equal(pawl_pg_tag(pawl_pg_pipe_result(&p, commit)), "COMMIT");
        taken = pawl_pg_pipe_take(&p, read);
        assert_int_equal(pawl_pg_i64(taken, 0, 0), 2 * (round + 1));
        assert_null(pawl_pg_pipe_result(&p, read));
        pawl_pg_result_free(taken);
        pawl_pg_pipe_reset(&p);
    }
    assert_int_equal(pawl_test_number(pg, "SELECT 7"), 7);
    pawl_pg_pipe_fini(&p);
}

/* A21: statements behind a failed one must not run, and COMMIT must not commit. */
static void
raising_function_stops_the_pipeline_and_its_commit(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;
    int failed = -1;
    int hold;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    (void) pawl_pg_pipe_begin(&p, NULL);
    (void) pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES (200)", 0, NULL);
    hold = pawl_pg_pipe_add(&p, "SELECT public.raise_lease()", 0, NULL);
    (void) pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES (200)", 0, NULL);
    (void) pawl_pg_pipe_commit(&p);
    (void) pawl_pg_pipe_sync(&p);
    assert_int_equal(pawl_pg_pipe_run(&p, &failed, &err), PAWL_E_LEASE);
    assert_int_equal(failed, hold);
    assert_string_equal(err.sqlstate, "PW001");
    assert_true(pawl_pg_is_in_transaction(pg));
    pawl_pg_rollback(pg);
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM t WHERE a = 200"), 0);
    pawl_pg_pipe_fini(&p);
}

static void
sections_before_the_failure_stand_and_those_after_it_tell_nothing_new(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;
    int failed = -1;
    int commit;
    int bad;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    (void) pawl_pg_pipe_begin(&p, NULL);
    (void) pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES (300)", 0, NULL);
    commit = pawl_pg_pipe_commit(&p);
    (void) pawl_pg_pipe_sync(&p);
    (void) pawl_pg_pipe_begin(&p, NULL);
    bad = pawl_pg_pipe_add(&p, "SELECT 1 / 0", 0, NULL);
    (void) pawl_pg_pipe_sync(&p);
    (void) pawl_pg_pipe_add(&p, "SELECT 1", 0, NULL);
    assert_int_equal(pawl_pg_pipe_run(&p, &failed, &err), PAWL_E_SERVER);
    assert_int_equal(failed, bad);
    assert_string_equal(err.sqlstate, "22012");
    assert_string_equal(pawl_pg_tag(pawl_pg_pipe_result(&p, commit)), "COMMIT");
    pawl_pg_rollback(pg);
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM t WHERE a = 300"), 1);
    pawl_pg_pipe_fini(&p);
}

static void
commit_answered_with_rollback_fails_the_pipeline(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;
    int failed = -1;
    int commit;

    (void) state;
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1 / 0", &err), PAWL_E_SERVER);
    pawl_pg_pipe_init(&p, pg);
    commit = pawl_pg_pipe_commit(&p);
    assert_int_equal(pawl_pg_pipe_run(&p, &failed, &err), PAWL_E_SERVER);
    assert_int_equal(failed, commit);
    assert_string_equal(err.sqlstate, "25P02");
    pawl_pg_pipe_fini(&p);
}

static void
deferred_fault_shows_at_set_constraints(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;
    int failed = -1;
    int check;

    (void) state;
    pawl_test_must(pg, "CREATE TABLE late (a int UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    pawl_pg_pipe_init(&p, pg);
    (void) pawl_pg_pipe_begin(&p, NULL);
    (void) pawl_pg_pipe_add(&p, "INSERT INTO public.late VALUES (1), (1)", 0, NULL);
    check = pawl_pg_pipe_add(&p, "SET CONSTRAINTS ALL IMMEDIATE", 0, NULL);
    (void) pawl_pg_pipe_sync(&p);
    assert_int_equal(pawl_pg_pipe_run(&p, &failed, &err), PAWL_E_SERVER);
    assert_int_equal(failed, check);
    assert_string_equal(err.sqlstate, "23505");
    pawl_pg_rollback(pg);
    pawl_pg_pipe_fini(&p);
}

static void
pipeline_that_is_too_long_runs_nothing(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    for (int i = 0; i < PAWL_PG_PIPE_MAX; i++)
        (void) pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES (400)", 0, NULL);
    assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_E_BUG);
    assert_false(pawl_pg_is_usable(pg));
    pawl_pg_pipe_fini(&p);
    pawl_pg_close(pg);
    pg = NULL;
    pawl_test_wait_until(db, "SELECT NOT EXISTS (SELECT 1 FROM t WHERE a = 400)", 5000);
}

static void
lost_commit_is_a_lost_connection_whatever_the_server_did(void **state)
{
    static const pawl_test_cut ways[] = {PAWL_TEST_CUT_AFTER, PAWL_TEST_CUT_BEFORE};

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        pawl_test_proxy *proxy = pawl_test_proxy_start();
        pawl_error err = PAWL_ERROR_INIT;
        char conninfo[128];
        char insert[64];
        char is_there[64];

        pawl_fmt(insert, sizeof insert, "INSERT INTO public.t VALUES (50%zu)", i);
        pawl_fmt(is_there, sizeof is_there, "SELECT EXISTS (SELECT 1 FROM t WHERE a = 50%zu)", i);
        pawl_test_proxy_conninfo(proxy, "pg", conninfo, sizeof conninfo);
        pawl_pg *pg = pawl_test_open(conninfo, NULL);
        assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
        pawl_test_must(pg, insert);
        pawl_test_proxy_cut_on(proxy, "COMMIT", 1, ways[i]);
        assert_int_equal(pawl_pg_commit(pg, &err), PAWL_E_CONNECT);
        assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
        assert_false(pawl_pg_is_usable(pg));
        if (ways[i] == PAWL_TEST_CUT_BEFORE)
        {
            char *now = pawl_test_query_text(db, is_there);

            assert_string_equal(now, "f");
            free(now);
            pawl_test_proxy_release(proxy);
        }
        pawl_test_wait_until(db, is_there, 5000);
        pawl_pg_close(pg);
        pawl_test_proxy_stop(proxy);
    }
}

/* It is sent in two, with a sync between: still nothing runs behind a failure, in a transaction or outside of one. */
static void
a_long_statement_does_not_outlive_what_stands_before_it(void **state)
{
    static const char *const before[] = {"SELECT public.raise_lease()", "SELECT 1/0", "no SQL"};
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(700)};
    pawl_pg_result *res = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    for (int i = 0; i < 9; i++)
    {
        pawl_pg_pipe p;

        if (i < 3)
            assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
        pawl_pg_pipe_init(&p, pg);
        if (i >= 6)
            (void) pawl_pg_pipe_begin(&p, NULL);
        (void) pawl_pg_pipe_add(&p, before[i % 3], 0, NULL);
        (void) pawl_pg_pipe_add_long(&p, "INSERT INTO public.t VALUES ($1::int)", 1, args);
        (void) pawl_pg_pipe_commit(&p);
        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), i % 3 == 0 ? PAWL_E_LEASE : PAWL_E_SERVER);
        assert_true(strcmp(err.sqlstate, "25P02") != 0);
        pawl_pg_pipe_fini(&p);
        pawl_pg_rollback(pg);
    }
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM public.t WHERE a = 700"), 0);
    assert_int_equal(pawl_pg_query_long(pg, "INSERT INTO public.t VALUES ($1::int)", 1, args, &res, &err),
                     PAWL_OK);
    assert_int_equal(pawl_pg_affected(res), 1);
    pawl_pg_result_free(res);
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM public.t WHERE a = 700"), 1);
}

static void
pooler_is_recognised_and_pipelines_work_through_it(void **state)
{
    const char *pooled = pawl_test_pooled_conninfo("pg");
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *sessions[6];

    (void) state;
    if (pooled == NULL)
        skip();
    for (int i = 0; i < 6; i++)
        sessions[i] = pawl_test_open(pooled, NULL);
    assert_true(pawl_pg_is_pooled(sessions[0]));
    assert_int_equal(pawl_pg_backend_pid(sessions[0]), 0);
    assert_string_equal(pawl_pg_backend_start(sessions[0]), "");
    for (int i = 0; i < 60; i++)
    {
        const pawl_pg_arg args[] = {PAWL_ARG_I64(600 + i % 6)};
        pawl_pg_pipe p;
        int path;

        pawl_pg_pipe_init(&p, sessions[i % 6]);
        (void) pawl_pg_pipe_begin(&p, &(pawl_pg_pins){.statement_timeout_ms = 7000});
        (void) pawl_pg_pipe_add(&p, "INSERT INTO public.t VALUES ($1::int)", 1, args);
        (void) pawl_pg_pipe_commit(&p);
        (void) pawl_pg_pipe_sync(&p);
        path = pawl_pg_pipe_add(&p, "SELECT current_setting('statement_timeout')", 0, NULL);
        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
        /* The pins end with their transaction: the next user of that server does not meet them. */
        assert_string_equal(pawl_pg_text(pawl_pg_pipe_result(&p, path), 0, 0), "0");
        pawl_pg_pipe_fini(&p);
    }
    assert_int_equal(
        pawl_test_number(sessions[0], "SELECT count(*) FROM public.t WHERE a BETWEEN 600 AND 605"), 60);
    for (int i = 0; i < 6; i++)
        pawl_pg_close(sessions[i]);
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    db = pawl_test_database_new("pg");
    pawl_test_exec(db, "CREATE TABLE t (a int);"
                       "CREATE FUNCTION raise_lease() RETURNS void LANGUAGE plpgsql AS "
                       "$$BEGIN RAISE EXCEPTION 'lease lost' USING ERRCODE = 'PW001'; END$$");
    return st;
}

static int64_t
kept(pawl_pg *pg)
{
    return pawl_test_number(pg,
                            "SELECT count(*) FROM pg_prepared_statements WHERE statement LIKE '%public.t%'");
}

static int
add_count(pawl_pg_pipe *p, const char *value)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(value)};

    return pawl_pg_pipe_add_kept(p, "SELECT count(*) FROM public.t WHERE a = $1::int", 1, args);
}

static void
statement_that_comes_again_is_kept_once(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    for (int round = 0; round < 3; round++)
    {
        int none = add_count(&p, "-1");
        int one = add_count(&p, "1");

        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
        assert_int_equal(pawl_pg_i64(pawl_pg_pipe_result(&p, none), 0, 0), 0);
        assert_true(pawl_pg_i64(pawl_pg_pipe_result(&p, one), 0, 0) > 0);
        pawl_pg_pipe_reset(&p);
        assert_int_equal(kept(pg), 1);
    }
    pawl_pg_pipe_fini(&p);
}

/* Its preparation stood behind the failure and was skipped. */
static void
statement_behind_a_failure_is_prepared_the_next_time(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    (void) pawl_pg_pipe_add(&p, "SELECT public.raise_lease()", 0, NULL);
    (void) add_count(&p, "1");
    (void) pawl_pg_pipe_sync(&p);
    (void) add_count(&p, "1");
    assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_E_LEASE);
    assert_string_equal(err.sqlstate, "PW001");
    pawl_pg_pipe_reset(&p);
    assert_int_equal(kept(pg), 0);
    (void) add_count(&p, "1");
    assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
    pawl_pg_pipe_reset(&p);
    assert_int_equal(kept(pg), 1);
    pawl_pg_pipe_fini(&p);
}

static void
more_statements_than_are_kept_go_unnamed(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    for (int i = 0; i < 60; i++)
    {
        char sql[80];

        pawl_fmt(sql, sizeof sql, "SELECT %d + count(*) FROM public.t WHERE a < -5", i);

        int slot = pawl_pg_pipe_add_kept(&p, sql, 0, NULL);

        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
        assert_int_equal(pawl_pg_i64(pawl_pg_pipe_result(&p, slot), 0, 0), i);
        pawl_pg_pipe_reset(&p);
    }
    assert_true(kept(pg) > 0 && kept(pg) < 60);
    pawl_pg_pipe_fini(&p);
}

/* As behind something that hands out servers without being recognised. It is the last test: nothing is kept after it. */
static void
statement_that_is_not_there_is_the_last_one_kept(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_pipe p;

    (void) state;
    pawl_pg_pipe_init(&p, pg);
    (void) add_count(&p, "1");
    assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
    pawl_pg_pipe_reset(&p);
    assert_int_equal(pawl_pg_exec(pg, "DEALLOCATE ALL", &err), PAWL_OK);
    (void) add_count(&p, "1");
    assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "26000");
    pawl_pg_pipe_reset(&p);
    for (int round = 0; round < 2; round++)
    {
        (void) add_count(&p, "1");
        assert_int_equal(pawl_pg_pipe_run(&p, NULL, &err), PAWL_OK);
        pawl_pg_pipe_reset(&p);
    }
    assert_int_equal(kept(pg), 0);
    pawl_pg_pipe_fini(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pipeline_answers_slot_by_slot),
        cmocka_unit_test(raising_function_stops_the_pipeline_and_its_commit),
        cmocka_unit_test(sections_before_the_failure_stand_and_those_after_it_tell_nothing_new),
        cmocka_unit_test(commit_answered_with_rollback_fails_the_pipeline),
        cmocka_unit_test(deferred_fault_shows_at_set_constraints),
        cmocka_unit_test(pipeline_that_is_too_long_runs_nothing),
        cmocka_unit_test(lost_commit_is_a_lost_connection_whatever_the_server_did),
        cmocka_unit_test(a_long_statement_does_not_outlive_what_stands_before_it),
        cmocka_unit_test(pooler_is_recognised_and_pipelines_work_through_it),
        cmocka_unit_test(statement_that_comes_again_is_kept_once),
        cmocka_unit_test(statement_behind_a_failure_is_prepared_the_next_time),
        cmocka_unit_test(more_statements_than_are_kept_go_unnamed),
        cmocka_unit_test(statement_that_is_not_there_is_the_last_one_kept),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
