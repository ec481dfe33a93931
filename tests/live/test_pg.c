/* Statements and transactions against a server. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "core/sqlstate.h"
#include "pg/exec.h"
#include "pg/lockers.h"
#include "pg/txn.h"
#include "support/process.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

static const char *db;

static void
values_go_out_and_come_back(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(INT64_MIN), PAWL_ARG_TEXT("it's"), PAWL_ARG_NULL,
                                PAWL_ARG_BOOL(true)};

    (void) state;
    assert_int_equal(
        pawl_pg_query(pg,
                      "SELECT $1::bigint AS n, $2::text AS \"T\", $3::text, $4::bool, 1.5::float8, "
                      "'NaN'::float8 FROM generate_series(1, 2)",
                      4, args, &res, &err),
        PAWL_OK);
    assert_int_equal(pawl_pg_rows(res), 2);
    assert_int_equal(pawl_pg_columns(res), 6);
    assert_true(pawl_pg_i64(res, 1, pawl_pg_column(res, "n")) == INT64_MIN);
    assert_string_equal(pawl_pg_text(res, 0, pawl_pg_column(res, "T")), "it's");
    assert_int_equal(pawl_pg_length(res, 0, 1), 4);
    assert_int_equal(pawl_pg_column(res, "t"), -1);
    assert_true(pawl_pg_is_null(res, 0, 2));
    assert_true(pawl_pg_is_true(res, 0, 3));
    assert_true(pawl_pg_f64(res, 0, 4) > 1.49 && pawl_pg_f64(res, 0, 4) < 1.51);
    assert_false(pawl_pg_f64(res, 0, 5) > 0 || pawl_pg_f64(res, 0, 5) <= 0);
}

static void
binary_arrays_arrive_as_they_were_built(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg_array n;
    pawl_pg_array t;
    pawl_pg_array b;
    pawl_pg_array none;

    (void) state;
    pawl_pg_array_init(&n, PAWL_OID_INT8);
    pawl_pg_array_init(&t, PAWL_OID_TEXT);
    pawl_pg_array_init(&b, PAWL_OID_BOOL);
    pawl_pg_array_init(&none, PAWL_OID_INT2);
    pawl_pg_array_add_i64(&n, -5000000000);
    pawl_pg_array_add_null(&n);
    pawl_pg_array_add_bytes(&t, "NULL", 4);
    pawl_pg_array_add_bytes(&t, "a\"b,{\\", 6);
    pawl_pg_array_add_bool(&b, true);
    pawl_pg_array_add_bool(&b, false);
    const pawl_pg_arg args[] = {
        pawl_pg_array_arg(&n, PAWL_OID_INT8_ARRAY),
        pawl_pg_array_arg(&t, PAWL_OID_TEXT_ARRAY),
        pawl_pg_array_arg(&b, PAWL_OID_BOOL_ARRAY),
        pawl_pg_array_arg(&none, PAWL_OID_INT2_ARRAY),
    };
    assert_int_equal(pawl_pg_query(pg, "SELECT $1::text, $2::text, $3::text, $4::text", 4, args, &res, &err),
                     PAWL_OK);
    assert_string_equal(pawl_pg_text(res, 0, 0), "{-5000000000,NULL}");
    assert_string_equal(pawl_pg_text(res, 0, 1), "{\"NULL\",\"a\\\"b,{\\\\\"}");
    assert_string_equal(pawl_pg_text(res, 0, 2), "{t,f}");
    assert_string_equal(pawl_pg_text(res, 0, 3), "{}");
    pawl_pg_array_fini(&n);
    pawl_pg_array_fini(&t);
    pawl_pg_array_fini(&b);
    pawl_pg_array_fini(&none);
}

static void
error_shows_the_offending_line(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_exec(pg, "SELECT 'äöü',\n       nocolumn\nFROM pg_class", &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "42703");
    assert_string_equal(err.message, "column \"nocolumn\" does not exist");
    assert_string_equal(err.detail, "at line 2, column 8:        nocolumn");
    assert_true(pawl_pg_is_usable(pg));
}

static void
error_inside_a_function_shows_where(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(
        pawl_pg_exec(pg, "DO $$BEGIN RAISE EXCEPTION 'no' USING DETAIL = 'row 7', HINT = 'try'; END$$", &err),
        PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "P0001");
    assert_string_equal(err.message, "no");
    pawl_test_assert_contains(err.detail, "row 7\nPL/pgSQL function inline_code_block");
    assert_string_equal(err.hint, "try");
}

static void
lost_lease_has_a_status_of_its_own(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_exec(pg, "SELECT raise_lease()", &err), PAWL_E_LEASE);
    assert_string_equal(err.sqlstate, "PW001");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_LEASE);
}

static void
changed_plan_is_told_by_the_function_that_raises_it(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_must(pg, "CREATE TABLE changing (a int)");
    pawl_test_must(pg, "PREPARE p AS SELECT * FROM changing");
    pawl_test_must(pg, "EXECUTE p");
    pawl_test_must(pg, "ALTER TABLE changing ALTER a TYPE bigint");
    assert_int_equal(pawl_pg_exec(pg, "EXECUTE p", &err), PAWL_E_SERVER);
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_PLAN);

    assert_int_equal(pawl_pg_exec(pg, "SELECT a FROM changing FOR UPDATE OF changing GROUP BY a", &err),
                     PAWL_E_SERVER);
    assert_int_not_equal(pawl_fault_of(&err), PAWL_FAULT_PLAN);
}

static void
copy_through_the_client_is_refused_and_harms_nothing(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_exec(pg, "COPY t FROM STDIN", &err), PAWL_E_INPUT);
    assert_true(pawl_pg_is_usable(pg));
    assert_int_equal(pawl_test_number(pg, "SELECT 7"), 7);
    assert_int_equal(pawl_pg_exec(pg, "COPY (SELECT 1) TO STDOUT", &err), PAWL_E_INPUT);
    assert_false(pawl_pg_is_usable(pg));
}

static void
notices_are_collected_once(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);

    (void) state;
    pawl_test_must(pg, "DROP TABLE IF EXISTS nowhere");
    pawl_test_must(pg, "DO $$BEGIN RAISE WARNING 'careful'; END$$");
    assert_string_equal(pawl_pg_take_notices(pg), "NOTICE: table \"nowhere\" does not exist, skipping\n"
                                                  "WARNING: careful");
    assert_string_equal(pawl_pg_take_notices(pg), "");
}

static void
big_results_arrive_whole(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_query(pg, "SELECT i, repeat('x', 200) FROM generate_series(1, 100000) i", 0,
                                   NULL, &res, &err),
                     PAWL_OK);
    assert_int_equal(pawl_pg_rows(res), 100000);
    assert_int_equal(pawl_pg_i64(res, 99999, 0), 100000);
}

static void
big_parameters_arrive_whole(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(text);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    for (int i = 0; i < 1000000; i++)
        pawl_strbuf_add(&text, "0123456789");
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(text.data)};
    assert_int_equal(pawl_pg_query(pg, "SELECT length($1::text), $1::text", 1, args, &res, &err), PAWL_OK);
    assert_int_equal(pawl_pg_i64(res, 0, 0), 10000000);
    assert_int_equal(pawl_pg_length(res, 0, 1), 10000000);
}

static void
killed_backend_makes_the_session_unusable(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    char sql[64];

    (void) state;
    pawl_fmt(sql, sizeof sql, "SELECT pg_terminate_backend(%d)", pawl_pg_backend_pid(pg));
    pawl_test_exec(db, sql);
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_E_CONNECT);
    assert_string_equal(err.sqlstate, "57P01");
    pawl_test_assert_contains(err.message, "is gone");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_CONNECTION);
    assert_false(pawl_pg_is_usable(pg));
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_E_CONNECT);
    pawl_pg_rollback(pg);
}

static void
vanished_network_makes_the_session_unusable(void **state)
{
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char conninfo[128];
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "pg", conninfo, sizeof conninfo);
    pawl_pg *pg = pawl_test_open(conninfo, NULL);
    pawl_test_proxy_cut_now(proxy);
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_E_CONNECT);
    assert_string_equal(err.sqlstate, "");
    assert_int_equal(pawl_fault_of(&err), PAWL_FAULT_CONNECTION);
    assert_false(pawl_pg_is_usable(pg));
    pawl_pg_close(pg);
    pawl_test_proxy_stop(proxy);
}

typedef struct request
{
    pawl_stop *stop;
    int times;
} request;

static void *
request_soon(void *arg)
{
    const request *r = arg;

    pawl_test_sleep_ms(150);
    for (int i = 0; i < r->times; i++)
        pawl_stop_request(r->stop);
    return NULL;
}

static void
second_stop_cancels_what_runs(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    request r = {.times = 2};
    pthread_t thread;
    int64_t start_us;

    (void) state;
    assert_int_equal(pawl_stop_new(&r.stop, &err), PAWL_OK);
    pawl_pg *pg = pawl_test_open(db, r.stop);
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pthread_create(&thread, NULL, request_soon, &r), 0);
    start_us = pawl_clock_us();
    assert_int_equal(pawl_pg_exec(pg, "SELECT pg_sleep(30)", &err), PAWL_E_STOPPED);
    assert_in_range(pawl_clock_us() - start_us, 100000, 1150000);
    (void) pthread_join(thread, NULL);

    assert_true(pawl_pg_is_usable(pg));
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_E_STOPPED);
    pawl_pg_rollback(pg);
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_true(pawl_pg_is_usable(pg));
    pawl_pg_ignore_stop(pg);
    assert_int_equal(pawl_test_number(pg, "SELECT 7"), 7);
    pawl_pg_close(pg);
    pawl_stop_free(r.stop);
}

static void
first_stop_lets_the_statement_end(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    request r = {.times = 1};
    pthread_t thread;

    (void) state;
    assert_int_equal(pawl_stop_new(&r.stop, &err), PAWL_OK);
    pawl_pg *pg = pawl_test_open(db, r.stop);
    assert_int_equal(pthread_create(&thread, NULL, request_soon, &r), 0);
    assert_int_equal(pawl_pg_exec(pg, "SELECT pg_sleep(0.5)", &err), PAWL_OK);
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_OK);
    (void) pthread_join(thread, NULL);
    pawl_pg_close(pg);
    pawl_stop_free(r.stop);
}

static void
stop_without_an_answer_gives_the_connection_up(void **state)
{
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    pawl_error err = PAWL_ERROR_INIT;
    request r = {.times = 2};
    pthread_t thread;
    char conninfo[128];
    int64_t start_us;

    (void) state;
    assert_int_equal(pawl_stop_new(&r.stop, &err), PAWL_OK);
    pawl_test_proxy_conninfo(proxy, "pg", conninfo, sizeof conninfo);
    pawl_pg *pg = pawl_test_open(conninfo, r.stop);
    assert_int_equal(pthread_create(&thread, NULL, request_soon, &r), 0);
    /* The statement gets through; its answer, and our cancel, do not. */
    pawl_test_proxy_delay(proxy, 20000);
    start_us = pawl_clock_us();
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1", &err), PAWL_E_STOPPED);
    assert_in_range(pawl_clock_us() - start_us, 4000000, 9000000);
    assert_false(pawl_pg_is_usable(pg));
    (void) pthread_join(thread, NULL);
    pawl_pg_close(pg);
    pawl_test_proxy_stop(proxy);
    pawl_stop_free(r.stop);
}

/* A14: what roles and databases have been seen to set. */
static const char hostile_role[] = "ALTER ROLE hostile SET DateStyle = 'SQL, DMY';"
                                   "ALTER ROLE hostile SET IntervalStyle = 'sql_standard';"
                                   "ALTER ROLE hostile SET TimeZone = 'Asia/Kathmandu';"
                                   "ALTER ROLE hostile SET extra_float_digits = -15;"
                                   "ALTER ROLE hostile SET bytea_output = 'escape';"
                                   "ALTER ROLE hostile SET array_nulls = off;"
                                   "ALTER ROLE hostile SET xmloption = 'document';"
                                   "ALTER ROLE hostile SET lc_monetary = 'POSIX';"
                                   "ALTER ROLE hostile SET standard_conforming_strings = off;"
                                   "ALTER ROLE hostile SET transform_null_equals = on;"
                                   "ALTER ROLE hostile SET default_transaction_isolation = 'serializable';"
                                   "ALTER ROLE hostile SET default_transaction_read_only = on;"
                                   "ALTER ROLE hostile SET search_path = evil, pg_catalog;"
                                   "ALTER ROLE hostile SET row_security = on;"
                                   "ALTER ROLE hostile SET session_replication_role = replica;"
                                   "ALTER ROLE hostile SET plan_cache_mode = 'force_generic_plan';"
                                   "ALTER ROLE hostile SET jit = on;"
                                   "ALTER ROLE hostile SET synchronous_commit = off;"
                                   "ALTER ROLE hostile SET statement_timeout = '50s';"
                                   "ALTER ROLE hostile SET lock_timeout = '50s';"
                                   "ALTER ROLE hostile SET client_encoding = 'LATIN1'";

static const char *
hostile_conninfo(void)
{
    static char conninfo[256];

    pawl_fmt(conninfo, sizeof conninfo, "host=%s dbname=pg user=hostile", pawl_test_socket_dir());
    return conninfo;
}

static void
assert_setting(pawl_pg *pg, const char *name, const char *expected)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(name)};

    assert_int_equal(pawl_pg_query(pg, "SELECT current_setting($1)", 1, args, &res, &err), PAWL_OK);
    if (strcmp(pawl_pg_text(res, 0, 0), expected) != 0)
        fail_msg("%s is %s, not %s", name, pawl_pg_text(res, 0, 0), expected);
}

static void
hostile_defaults_of_a_role_are_pinned_away(void **state)
{
    static const char *const expected[][2] = {
        {"transaction_isolation", "read committed"},
        {"transaction_read_only", "off"},
        {"search_path", "pg_catalog, pg_temp"},
        {"row_security", "off"},
        {"session_replication_role", "origin"},
        {"DateStyle", "ISO, YMD"},
        {"IntervalStyle", "postgres"},
        {"TimeZone", "UTC"},
        {"extra_float_digits", "1"},
        {"bytea_output", "hex"},
        {"array_nulls", "on"},
        {"xmloption", "content"},
        {"lc_monetary", "POSIX"}, /* what 100 units of a currency are is not ours to say */
        {"client_encoding", "UTF8"},
        {"standard_conforming_strings", "on"},
        {"transform_null_equals", "off"},
        {"plan_cache_mode", "auto"},
        {"jit", "off"},
        {"statement_timeout", "0"},
        {"lock_timeout", "500ms"},
        {"idle_in_transaction_session_timeout", "1min"},
        {"enable_nestloop", "on"},
        {"synchronous_commit", "local"},
    };
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(hostile_conninfo(), NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    if (pawl_pg_begin(pg, NULL, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    for (size_t i = 0; i < sizeof expected / sizeof expected[0]; i++)
        assert_setting(pg, expected[i][0], expected[i][1]);
    pawl_pg_rollback(pg);
    /* Nothing outlives the transaction: behind a pooler it would meet somebody else. */
    assert_setting(pg, "DateStyle", "SQL, DMY");
    assert_setting(pg, "search_path", "evil, pg_catalog");
}

static void
pins_are_set_as_asked(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;
    const pawl_pg_pins pins = {.search_path = "app, public",
                               .lock_timeout_ms = 20,
                               .statement_timeout_ms = 1500,
                               .idle_timeout_ms = 7000,
                               .replica_triggers_off = true,
                               .no_nestloop = true,
                               .async_commit = true};

    (void) state;
    assert_int_equal(pawl_pg_begin(pg, &pins, &err), PAWL_OK);
    assert_setting(pg, "search_path", "app, public");
    assert_setting(pg, "lock_timeout", "20ms");
    assert_setting(pg, "statement_timeout", "1500ms");
    assert_setting(pg, "idle_in_transaction_session_timeout", "7s");
    assert_setting(pg, "session_replication_role", "replica");
    assert_setting(pg, "enable_nestloop", "off");
    assert_setting(pg, "synchronous_commit", "off");
    assert_int_equal(pawl_pg_commit(pg, &err), PAWL_OK);
    assert_false(pawl_pg_is_in_transaction(pg));
}

static void
lock_timeout_stays_below_the_deadlock_check(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_begin(pg, &(pawl_pg_pins){.lock_timeout_ms = 60000}, &err), PAWL_OK);
    assert_setting(pg, "lock_timeout", "500ms");
    pawl_pg_rollback(pg);
}

static void
role_without_rights_can_begin(void **state)
{
    char conninfo[256];
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo, "host=%s dbname=pg user=plain", pawl_test_socket_dir());
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(conninfo, NULL);
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    assert_int_equal(pawl_pg_commit(pg, &err), PAWL_OK);
    /* What it may not do fails the transaction, and nothing stays open. */
    assert_int_equal(pawl_pg_begin(pg, &(pawl_pg_pins){.replica_triggers_off = true}, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "42501");
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_true(pawl_pg_is_usable(pg));
}

static void
commit_of_a_failed_transaction_is_an_error(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
    pawl_test_must(pg, "INSERT INTO public.t VALUES (100)");
    assert_int_equal(pawl_pg_exec(pg, "SELECT 1 / 0", &err), PAWL_E_SERVER);
    assert_int_equal(pawl_pg_commit(pg, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "25P02");
    pawl_test_assert_contains(err.message, "ROLLBACK");
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM t WHERE a = 100"), 0);
}

static void
lockers_are_described(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PGconn *blocker = pawl_test_connect(db);
    int64_t oid = pawl_test_query_i64(db, "SELECT 'locked'::regclass::oid::bigint");
    char text[512];

    (void) state;
    pawl_pg_lockers(pg, (uint32_t) oid, text, sizeof text);
    assert_string_equal(text, "");

    pawl_test_run_on(blocker, "SET application_name = 'web'");
    pawl_test_run_on(blocker, "BEGIN");
    pawl_test_run_on(blocker, "LOCK locked IN ROW EXCLUSIVE MODE");
    pawl_test_exec(db, "BEGIN; INSERT INTO locked VALUES (1); PREPARE TRANSACTION 'forgotten'");
    pawl_pg_lockers(pg, (uint32_t) oid, text, sizeof text);
    pawl_test_assert_contains(text, "(app \"web\", user postgres, idle in transaction for ");
    pawl_test_assert_contains(text, "LOCK locked IN ROW EXCLUSIVE MODE");
    pawl_test_assert_contains(text, "prepared transaction \"forgotten\" (user postgres");
    assert_true(strstr(text, "web") < strstr(text, "forgotten"));
    assert_false(pawl_pg_is_in_transaction(pg));
    PQfinish(blocker);
    pawl_test_exec(db, "ROLLBACK PREPARED 'forgotten'");
}

static void
failed_allocations_leave_the_session_alone(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(1)};
    pawl_status st = PAWL_E_NOMEM;

    (void) state;
    for (long nth = 0; st != PAWL_OK; nth++)
    {
        PAWL_AUTO(pawl_pg_result) res = NULL;
        pawl_error err = PAWL_ERROR_INIT;

        assert_in_range(nth, 0, 10);
        pawl_test_fail_alloc(nth);
        st = pawl_pg_query(pg, "SELECT $1::bigint", 1, args, &res, &err);
        pawl_test_fail_alloc(-1);
        assert_int_equal(st, err.code);
        assert_true(st == PAWL_OK || (st == PAWL_E_NOMEM && res == NULL));
        assert_true(pawl_pg_is_usable(pg));
    }
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    db = pawl_test_database_new("pg");
    pawl_test_exec(db, "CREATE TABLE t (a int); CREATE TABLE locked (a int); CREATE SCHEMA evil;"
                       "CREATE FUNCTION raise_lease() RETURNS void LANGUAGE plpgsql AS "
                       "$$BEGIN RAISE EXCEPTION 'lease lost' USING ERRCODE = 'PW001'; END$$;"
                       "CREATE FUNCTION evil.set_config(text, text, bool) RETURNS text LANGUAGE sql AS "
                       "$$SELECT 'gotcha'$$;"
                       "CREATE ROLE hostile SUPERUSER LOGIN; CREATE ROLE plain LOGIN");
    pawl_test_exec(db, hostile_role);
    return st;
}

/* What a step may do. It is the last test: nothing is kept after it. */
static void
transaction_begins_although_what_was_kept_is_gone(void **state)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    for (int round = 0; round < 3; round++)
    {
        assert_int_equal(pawl_pg_begin(pg, NULL, &err), PAWL_OK);
        assert_true(pawl_pg_is_in_transaction(pg));
        assert_int_equal(pawl_pg_exec(pg, "DEALLOCATE ALL", &err), PAWL_OK);
        assert_int_equal(pawl_pg_commit(pg, &err), PAWL_OK);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_go_out_and_come_back),
        cmocka_unit_test(binary_arrays_arrive_as_they_were_built),
        cmocka_unit_test(error_shows_the_offending_line),
        cmocka_unit_test(error_inside_a_function_shows_where),
        cmocka_unit_test(lost_lease_has_a_status_of_its_own),
        cmocka_unit_test(changed_plan_is_told_by_the_function_that_raises_it),
        cmocka_unit_test(copy_through_the_client_is_refused_and_harms_nothing),
        cmocka_unit_test(notices_are_collected_once),
        cmocka_unit_test(big_results_arrive_whole),
        cmocka_unit_test(big_parameters_arrive_whole),
        cmocka_unit_test(killed_backend_makes_the_session_unusable),
        cmocka_unit_test(vanished_network_makes_the_session_unusable),
        cmocka_unit_test(second_stop_cancels_what_runs),
        cmocka_unit_test(first_stop_lets_the_statement_end),
        cmocka_unit_test(stop_without_an_answer_gives_the_connection_up),
        cmocka_unit_test(hostile_defaults_of_a_role_are_pinned_away),
        cmocka_unit_test(pins_are_set_as_asked),
        cmocka_unit_test(lock_timeout_stays_below_the_deadlock_check),
        cmocka_unit_test(role_without_rights_can_begin),
        cmocka_unit_test(commit_of_a_failed_transaction_is_an_error),
        cmocka_unit_test(lockers_are_described),
        cmocka_unit_test(failed_allocations_leave_the_session_alone),
        cmocka_unit_test(transaction_begins_although_what_was_kept_is_gone),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
