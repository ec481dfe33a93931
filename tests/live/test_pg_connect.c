/* What a session says when it cannot be had, and what it knows when it can. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "pg/exec.h"
#include "support/process.h"
#include "support/server.h"
#include "support/session.h"
#include "util/clock.h"
#include "util/strbuf.h"

#include "util/banned.h"

static pawl_error
refusal_of(const pawl_pg_options *options)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_status st = pawl_pg_open(options, &pg, &err);

    assert_int_not_equal(st, PAWL_OK);
    assert_int_equal(st, err.code);
    assert_null(pg);
    return err;
}

static pawl_error
refusal_by(const char *conninfo)
{
    return refusal_of(&(pawl_pg_options){.conninfo = conninfo});
}

/* A socket that takes connections and never answers. */
static int
listen_in_silence(int *port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {.s_addr = htonl(INADDR_LOOPBACK)}};
    socklen_t length = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM, 0);

    assert_true(fd >= 0);
    assert_int_equal(bind(fd, (const struct sockaddr *) (const void *) &address, sizeof address), 0);
    assert_int_equal(listen(fd, 8), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *) (void *) &address, &length), 0);
    *port = ntohs(address.sin_port);
    return fd;
}

static void
missing_server_is_named_with_its_place(void **state)
{
    pawl_error err = refusal_by("host=/tmp/pawl-nowhere port=5999 dbname=shop user=bob");

    (void) state;
    assert_int_equal(err.code, PAWL_E_CONNECT);
    pawl_test_assert_contains(
        err.message, "cannot connect to database \"shop\" on /tmp/pawl-nowhere:5999 as user \"bob\"");
    pawl_test_assert_contains(err.message, "No such file or directory");
    pawl_test_assert_contains(err.hint, "check host and port");
    assert_string_equal(err.sqlstate, "");
}

static void
missing_database_is_told_by_its_sqlstate(void **state)
{
    pawl_error err = refusal_by(pawl_test_conninfo("nosuchdb"));

    (void) state;
    assert_int_equal(err.code, PAWL_E_CONNECT);
    assert_string_equal(err.sqlstate, "3D000");
    pawl_test_assert_contains(err.message, "database \"nosuchdb\" does not exist");
    assert_null(strstr(err.message, "LOCATION"));
    pawl_test_assert_contains(err.hint, "createdb");
}

static void
wrong_password_is_told_and_not_shown(void **state)
{
    char conninfo[256];
    pawl_error err;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo,
             "host=%s dbname=postgres user=" PAWL_TEST_PASSWORD_ROLE " password=hunter2",
             pawl_test_socket_dir());
    err = refusal_by(conninfo);
    assert_int_equal(err.code, PAWL_E_CONNECT);
    assert_string_equal(err.sqlstate, "28P01");
    pawl_test_assert_contains(err.message, "password authentication failed");
    assert_null(strstr(err.message, "hunter2"));
    assert_null(strstr(err.detail, "hunter2"));
    pawl_test_assert_contains(err.hint, "check user name and password");
}

static void
missing_password_is_asked_for(void **state)
{
    char conninfo[256];
    pawl_error err;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo,
             "host=%s dbname=postgres user=" PAWL_TEST_PASSWORD_ROLE " passfile=/tmp/pawl-no-such-passfile",
             pawl_test_socket_dir());
    err = refusal_by(conninfo);
    pawl_test_assert_contains(err.message, "no password supplied");
    pawl_test_assert_contains(err.hint, "PGPASSWORD");
}

static void
right_password_opens(void **state)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[256];

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo,
             "host=%s dbname=postgres user=" PAWL_TEST_PASSWORD_ROLE " password=right",
             pawl_test_socket_dir());
    assert_int_equal(pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &pg, &err), PAWL_OK);
    assert_null(strstr(pawl_pg_target(pg), "right"));
}

static void
missing_role_is_told_by_its_sqlstate(void **state)
{
    char conninfo[256];
    pawl_error err;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo, "host=%s dbname=postgres user=nobody_knows", pawl_test_socket_dir());
    err = refusal_by(conninfo);
    assert_string_equal(err.sqlstate, "28000");
    pawl_test_assert_contains(err.message, "role \"nobody_knows\" does not exist");
}

static void
too_many_connections_is_told_by_its_sqlstate(void **state)
{
    PAWL_AUTO(pawl_pg) first = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[256];

    (void) state;
    pawl_test_exec(pawl_test_conninfo("postgres"), "CREATE ROLE lonely LOGIN CONNECTION LIMIT 1");
    pawl_fmt(conninfo, sizeof conninfo, "host=%s dbname=postgres user=lonely", pawl_test_socket_dir());
    assert_int_equal(pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &first, &err), PAWL_OK);
    err = refusal_by(conninfo);
    assert_string_equal(err.sqlstate, "53300");
    pawl_test_assert_contains(err.hint, "fewer workers");
}

static void
unknown_host_is_a_connection_error(void **state)
{
    pawl_error err = refusal_by("host=no-such-host.invalid dbname=shop");

    (void) state;
    assert_int_equal(err.code, PAWL_E_CONNECT);
    pawl_test_assert_contains(err.message, "no-such-host.invalid");
}

static void
server_that_never_answers_costs_the_timeout_and_no_more(void **state)
{
    char conninfo[128];
    int port = 0;
    int fd = listen_in_silence(&port);
    int64_t start_us = pawl_clock_us();
    pawl_error err;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo, "host=127.0.0.1 port=%d dbname=shop user=bob", port);
    err = refusal_of(&(pawl_pg_options){.conninfo = conninfo, .connect_timeout_ms = 300});
    assert_int_equal(err.code, PAWL_E_CONNECT);
    pawl_test_assert_contains(err.message, "no answer within 0.3 s");
    assert_in_range(pawl_clock_us() - start_us, 290000, 3000000);
    (void) close(fd);
}

static void
silent_host_does_not_keep_us_from_the_next(void **state)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[256];
    int port = 0;
    int fd = listen_in_silence(&port);

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo, "host=127.0.0.1,%s port=%d,%d dbname=postgres user=postgres",
             pawl_test_socket_dir(), port, pawl_test_port());
    assert_int_equal(
        pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo, .connect_timeout_ms = 300}, &pg, &err),
        PAWL_OK);
    pawl_test_assert_contains(pawl_pg_target(pg), pawl_test_socket_dir());
    (void) close(fd);
}

static void
all_hosts_that_failed_are_listed(void **state)
{
    pawl_error err = refusal_by("host=/tmp/pawl-a,/tmp/pawl-b dbname=shop user=bob");

    (void) state;
    assert_int_equal(err.code, PAWL_E_CONNECT);
    pawl_test_assert_contains(err.detail, "2 hosts were tried");
    pawl_test_assert_contains(err.detail, "/tmp/pawl-a");
    pawl_test_assert_contains(err.detail, "/tmp/pawl-b");
}

static void
unwanted_kind_of_server_is_passed_over(void **state)
{
    char conninfo[256];
    pawl_error err;

    (void) state;
    pawl_fmt(conninfo, sizeof conninfo,
             "host=%s,/tmp/pawl-b dbname=postgres user=postgres target_session_attrs=read-only",
             pawl_test_socket_dir());
    err = refusal_by(conninfo);
    pawl_test_assert_contains(err.detail, "session is not read-only");
}

static void *
request_stop_soon(void *arg)
{
    pawl_test_sleep_ms(150);
    pawl_stop_request(arg);
    return NULL;
}

static void
stop_ends_a_connection_attempt(void **state)
{
    pawl_stop *stop = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[128];
    int port = 0;
    int fd = listen_in_silence(&port);
    int64_t start_us = pawl_clock_us();
    pthread_t thread;

    (void) state;
    assert_int_equal(pawl_stop_new(&stop, &err), PAWL_OK);
    assert_int_equal(pthread_create(&thread, NULL, request_stop_soon, stop), 0);
    pawl_fmt(conninfo, sizeof conninfo, "host=127.0.0.1 port=%d dbname=shop user=bob", port);
    err = refusal_of(&(pawl_pg_options){.conninfo = conninfo, .stop = stop});
    assert_int_equal(err.code, PAWL_E_STOPPED);
    assert_in_range(pawl_clock_us() - start_us, 100000, 3000000);
    (void) pthread_join(thread, NULL);
    pawl_stop_free(stop);
    (void) close(fd);
}

static void
session_knows_its_server(void **state)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    const pawl_pg_options options = {.conninfo = pawl_test_conninfo("postgres"),
                                     .application = "pawl: run 7"};

    (void) state;
    assert_int_equal(pawl_pg_open(&options, &pg, &err), PAWL_OK);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_backend_start(pg))};

    assert_true(pawl_pg_server_version(pg) >= 130000);
    assert_false(pawl_pg_is_pooled(pg));
    assert_true(pawl_pg_is_usable(pg));
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_int_equal(pawl_pg_deadlock_timeout_ms(pg), 1000);
    assert_int_equal(pawl_pg_query(pg,
                                   "SELECT pid, application_name, backend_start = $1::timestamptz, "
                                   "current_setting('client_encoding') FROM pg_stat_activity "
                                   "WHERE pid = pg_backend_pid()",
                                   1, args, &res, &err),
                     PAWL_OK);
    assert_int_equal(pawl_pg_i64(res, 0, 0), pawl_pg_backend_pid(pg));
    assert_string_equal(pawl_pg_text(res, 0, 1), "pawl: run 7");
    assert_true(pawl_pg_is_true(res, 0, 2));
    assert_string_equal(pawl_pg_text(res, 0, 3), "UTF8");
}

static void
hostile_search_path_does_not_mislead_the_first_question(void **state)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    const char *db = pawl_test_database_new("hostile");

    (void) state;
    pawl_test_exec(db, "CREATE SCHEMA evil;"
                       "CREATE FUNCTION evil.pg_backend_pid() RETURNS int LANGUAGE sql AS 'SELECT 1';"
                       "CREATE FUNCTION evil.pg_is_in_recovery() RETURNS bool LANGUAGE sql AS 'SELECT true';"
                       "ALTER DATABASE hostile SET search_path = evil, pg_catalog");
    assert_int_equal(pawl_pg_open(&(pawl_pg_options){.conninfo = db}, &pg, &err), PAWL_OK);
    assert_false(pawl_pg_is_pooled(pg));
}

/* Turn the whole cluster into a standby without a primary, and back. */
static void
set_standby(bool is_standby)
{
    char path[128];

    pawl_fmt(path, sizeof path, "%s/data/standby.signal", pawl_test_socket_dir());
    if (is_standby)
    {
        FILE *f = fopen(path, "w");

        assert_non_null(f);
        (void) fclose(f);
        pawl_test_server_restart(false);
    }
    else
    {
        pawl_test_exec(pawl_test_conninfo("postgres"), "SELECT pg_promote()");
    }
}

static void
standby_is_refused_unless_reading_is_enough(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    PAWL_AUTO(pawl_pg) pg = NULL;
    const char *db = pawl_test_conninfo("postgres");

    (void) state;
    set_standby(true);
    err = refusal_by(db);
    assert_int_equal(err.code, PAWL_E_CONNECT);
    assert_string_equal(err.sqlstate, "25006");
    pawl_test_assert_contains(err.hint, "target_session_attrs");

    assert_int_equal(pawl_pg_open(&(pawl_pg_options){.conninfo = db, .read_only_ok = true}, &pg, &err),
                     PAWL_OK);
    set_standby(false);
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    pawl_test_exec(pawl_test_conninfo("postgres"),
                   "CREATE ROLE " PAWL_TEST_PASSWORD_ROLE " LOGIN PASSWORD 'right'");
    return st;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(missing_server_is_named_with_its_place),
        cmocka_unit_test(missing_database_is_told_by_its_sqlstate),
        cmocka_unit_test(wrong_password_is_told_and_not_shown),
        cmocka_unit_test(missing_password_is_asked_for),
        cmocka_unit_test(right_password_opens),
        cmocka_unit_test(missing_role_is_told_by_its_sqlstate),
        cmocka_unit_test(too_many_connections_is_told_by_its_sqlstate),
        cmocka_unit_test(unknown_host_is_a_connection_error),
        cmocka_unit_test(server_that_never_answers_costs_the_timeout_and_no_more),
        cmocka_unit_test(silent_host_does_not_keep_us_from_the_next),
        cmocka_unit_test(all_hosts_that_failed_are_listed),
        cmocka_unit_test(unwanted_kind_of_server_is_passed_over),
        cmocka_unit_test(stop_ends_a_connection_attempt),
        cmocka_unit_test(session_knows_its_server),
        cmocka_unit_test(hostile_search_path_does_not_mislead_the_first_question),
        cmocka_unit_test(standby_is_refused_unless_reading_is_enough),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
