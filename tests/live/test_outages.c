/*
 * Servers that are there and will not have us: full, shutting down, a standby. The job waits, and every row is done once,
 * on whichever server is the primary in the end.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/process.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

#define RECONNECTING "connecting to the server again"

enum
{
    ROWS = 20000,
    STANDBY_PORT = 5433,
    LONG_MS = 30000
};

/* What the run says that it is held by; written by its thread alone. */
typedef struct heard
{
    const char *words;
    volatile bool is_said;
    char last[256];
} heard;

static void
hear(void *ctx, const pawl_event *event)
{
    heard *h = ctx;

    if (event->kind != PAWL_EVENT_PROGRESS || h->is_said || event->progress->holding[0] == '\0')
        return;
    (void) snprintf(h->last, sizeof h->last, "%s", event->progress->holding);
    h->is_said = strstr(h->last, h->words) != NULL;
}

static heard ears = {.words = RECONNECTING};
static const pawl_sink sink = {.emit = hear, .ctx = &ears};

/* A job slow enough for something to happen under it. */
static void
start(pawl_test_job *j, const char *db, const char *conninfo, const char *name)
{
    ears = (heard){.words = RECONNECTING};
    pawl_test_job_prepare(j, conninfo, name);
    j->spec.workers = 2;
    j->spec.chunk_rows = 500;
    j->spec.throttle.max_rate = 4000;
    j->env.sink = &sink;
    pawl_test_job_go(j);
    pawl_test_wait_until(db, "SELECT coalesce(sum(batches), 0) >= 5 FROM pawl.progress", LONG_MS);
}

static void
wait_until_said(const pawl_test_job *j)
{
    for (int ms = 0; !ears.is_said && ms < LONG_MS; ms += 10)
        pawl_test_sleep_ms(10);
    if (!ears.is_said)
        fail_msg("never heard \"%s\"; the last was \"%s\"; %s; %s", ears.words, ears.last, j->err.message,
                 j->err.detail);
}

static void
assert_once(const char *db)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), ROWS);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), ROWS);
}

static void
wait_for_gate(int64_t passages)
{
    for (int ms = 0; pawl_failpoint_reached("backfill.after_read") < passages && ms < LONG_MS; ms += 5)
        pawl_test_sleep_ms(5);
    assert_true(pawl_failpoint_reached("backfill.after_read") >= passages);
}

static pid_t
postmaster(void)
{
    char path[200];
    char line[32] = "";
    FILE *f = NULL;

    (void) snprintf(path, sizeof path, "%s/data/postmaster.pid", pawl_test_socket_dir());
    f = fopen(path, "r");
    assert_non_null(f);
    assert_non_null(fgets(line, sizeof line, f));
    (void) fclose(f);
    return (pid_t) strtol(line, NULL, 10);
}

/* ---- too many connections ------------------------------------------------------------------------------------------- */

/* Take every connection that is left to an ordinary role; *count of them, and why there were no more. */
static void
take_all(const char *conninfo, PGconn **list, int *count, char *why, size_t size)
{
    for (; *count < 200; ++*count)
    {
        PGconn *conn = PQconnectdb(conninfo);

        if (PQstatus(conn) == CONNECTION_OK)
        {
            list[*count] = conn;
            continue;
        }
        (void) snprintf(why, size, "%s", PQerrorMessage(conn));
        PQfinish(conn);
        return;
    }
}

static void
a_server_that_is_full_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("full", "bigint", ROWS);
    PGconn *list[200];
    char as_role[300];
    char why[400] = "";
    int64_t reads;
    int64_t written;
    int count = 0;
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE ROLE guest LOGIN; GRANT ALL ON t TO guest; GRANT ALL ON SCHEMA pawl TO guest;"
                       "GRANT ALL ON ALL TABLES IN SCHEMA pawl TO guest; GRANT ALL ON ALL SEQUENCES IN "
                       "SCHEMA pawl TO guest");
    (void) snprintf(as_role, sizeof as_role, "%s user=guest", db);
    start(&j, db, as_role, "full");
    /* Both workers stand between a read and a write when they lose their sessions, and all places are taken. */
    pawl_failpoint_open("backfill.after_read", false);
    for (reads = -1; reads != pawl_failpoint_reached("backfill.after_read");)
    {
        reads = pawl_failpoint_reached("backfill.after_read");
        pawl_test_sleep_ms(1000);
    }
    pawl_test_exec(
        db, "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'");
    pawl_test_wait_until(
        db, "SELECT count(*) = 0 FROM pg_stat_activity WHERE application_name LIKE 'pawl job% worker %'",
        LONG_MS);
    take_all(as_role, list, &count, why, sizeof why);
    pawl_failpoint_open("backfill.after_read", true);
    pawl_test_assert_contains(why, "remaining connection slots are reserved");
    wait_until_said(&j);
    written = pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress");
    pawl_test_sleep_ms(500);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"), written);
    for (int i = 0; i < count; i++)
        PQfinish(list[i]);
    pawl_test_job_finish(&j);
    assert_once(db);
}

/* ---- 57P03 ---------------------------------------------------------------------------------------------------------- */

/* A smart shutdown waits for a session, and meanwhile lets nobody in (57P03). */
static void
a_server_that_shuts_down_and_comes_back_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("leaving", "bigint", ROWS);
    PGconn *last = pawl_test_connect(db);
    PGconn *refused = NULL;
    pawl_test_job j;

    (void) state;
    start(&j, db, db, "leaving");
    pawl_test_kill(postmaster(), SIGTERM);
    for (int i = 0; i < 500; i++)
    {
        refused = PQconnectdb(db);
        if (PQstatus(refused) != CONNECTION_OK)
            break;
        PQfinish(refused);
        refused = NULL;
        pawl_test_sleep_ms(10);
    }
    assert_non_null(refused);
    pawl_test_assert_contains(PQerrorMessage(refused), "the database system is shutting down");
    PQfinish(refused);
    pawl_test_run_on(
        last,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name LIKE 'pawl job%'");
    wait_until_said(&j);
    PQfinish(last);
    pawl_test_server_restart(false);
    pawl_test_job_finish(&j);
    assert_once(db);
}

/* ---- a standby ------------------------------------------------------------------------------------------------------ */

/* A pooler that met the server while it was away refuses clients for a while. */
static void
wait_for_pooler(const char *pooled)
{
    ConnStatusType status = CONNECTION_BAD;

    for (int ms = 0; status != CONNECTION_OK && ms < LONG_MS; ms += 100)
    {
        PGconn *conn = PQconnectdb(pooled);
        PGresult *res = PQexec(conn, "SELECT 1");

        status = PQresultStatus(res) == PGRES_TUPLES_OK ? CONNECTION_OK : CONNECTION_BAD;
        PQclear(res);
        PQfinish(conn);
        pawl_test_sleep_ms(100);
    }
    assert_int_equal(status, CONNECTION_OK);
}

/*
 * The primary becomes a standby while the job is between its read and its write, and the pooler's client notices nothing: its
 * next transaction is one that a standby does not take.
 */
static void
a_primary_that_becomes_a_standby_behind_a_pooler_is_waited_for(void **state)
{
    const char *db = pawl_test_counted("flip", "bigint", 300);
    const char *pooled = pawl_test_pooled_conninfo("flip");
    int64_t reads = pawl_failpoint_reached("backfill.after_read");
    char path[200];
    FILE *f = NULL;
    pawl_test_job j;

    (void) state;
    if (pooled == NULL)
        skip();
    ears = (heard){.words = RECONNECTING};
    pawl_failpoint_open("backfill.after_read", false);
    pawl_test_job_prepare(&j, pooled, "flip");
    j.env.sink = &sink;
    pawl_test_job_go(&j);
    wait_for_gate(reads + 1);
    (void) snprintf(path, sizeof path, "%s/data/standby.signal", pawl_test_socket_dir());
    assert_non_null(f = fopen(path, "w"));
    (void) fclose(f);
    pawl_test_server_restart(false);
    wait_for_pooler(pooled);
    pawl_failpoint_open("backfill.after_read", true);
    wait_until_said(&j);
    pawl_test_sleep_ms(500);
    pawl_test_exec(db, "SELECT pg_promote()");
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 300);
}

/* The last test: the first server is gone afterwards. */
static void
a_standby_that_takes_over_is_looked_for_and_the_rest_done_there(void **state)
{
    const char *db = pawl_test_counted("failover", "bigint", ROWS);
    const char *standby = pawl_test_standby_conninfo("failover");
    char *user = pawl_test_query_text(db, "SELECT session_user");
    char both[400];
    pawl_test_job j;

    (void) state;
    (void) snprintf(both, sizeof both, "host=%s,%s port=%d,%d dbname=failover user=%s",
                    pawl_test_socket_dir(), pawl_test_socket_dir(), pawl_test_port(), STANDBY_PORT, user);
    free(user);
    start(&j, db, both, "failover");
    pawl_test_wait_until(standby, "SELECT sum(batches) >= 5 FROM pawl.progress", LONG_MS);
    pawl_test_kill(postmaster(), SIGQUIT);
    wait_until_said(&j);
    /* For a while there is but a standby, and nobody writes. */
    pawl_test_sleep_ms(500);
    assert_int_equal(pawl_test_query_i64(standby, "SELECT pg_is_in_recovery()::int"), 1);
    pawl_test_exec(standby, "SELECT pg_promote()");
    pawl_test_job_finish(&j);
    assert_once(standby);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_server_that_is_full_is_waited_for),
        cmocka_unit_test(a_server_that_shuts_down_and_comes_back_is_waited_for),
        cmocka_unit_test(a_primary_that_becomes_a_standby_behind_a_pooler_is_waited_for),
        cmocka_unit_test(a_standby_that_takes_over_is_looked_for_and_the_rest_done_there),
    };

    pawl_failpoint_arm("backfill.after_read=gate");
    pawl_failpoint_open("backfill.after_read", true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
