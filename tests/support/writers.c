#include "support/writers.h"

#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/server.h"
#include "support/writes.h"
#include "util/clock.h"

#include "util/banned.h"

enum
{
    MOST_SESSIONS = 16,
    USUAL_SESSIONS = 3,
    CHECK_EVERY_MS = 100,
    VACUUM_IN = 15, /* comparisons */
    REPLICA = 1,    /* the session that is like a replica's */
    AWAIT_MS = 120000,
    DOWN_MS = 60000 /* as long as the server may be gone */
};

typedef struct session
{
    pawl_test_writers *all;
    pthread_t thread;
    int number;
    PGconn *conn;
    bool is_lost;
    bool is_prepared; /* the last transaction waits for its second phase */
    pawl_test_writes writes;
    atomic_int_least64_t transactions;
    int64_t rows;
    int64_t longest_us;
    char failure[1000];
    atomic_bool has_failed;
} session;

struct pawl_test_writers
{
    pawl_test_writers_options options;
    atomic_bool stop;
    int nsessions;
    session sessions[MOST_SESSIONS];
    session checker;
    int64_t checks;
};

static pawl_test_writers *running;

/* ---- one session ---------------------------------------------------------------------------------------------------- */

static void fail_session(session *s, const char *fmt, ...) PAWL_PRINTF(2, 3);

static void
fail_session(session *s, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    if (!atomic_load(&s->has_failed))
        pawl_vfmt(s->failure, sizeof s->failure, fmt, args);
    va_end(args);
    atomic_store(&s->has_failed, true);
}

static bool
is_over(session *s)
{
    return atomic_load(&s->all->stop) || atomic_load(&s->has_failed);
}

static void
quiet(void *ctx, const char *message)
{
    (void) ctx;
    (void) message;
}

static bool
has_run(session *s, const char *sql)
{
    PGresult *res = PQexec(s->conn, sql);
    bool is_ok = PQresultStatus(res) == PGRES_COMMAND_OK || PQresultStatus(res) == PGRES_TUPLES_OK;

    PQclear(res);
    return is_ok;
}

static bool
has_connected(session *s)
{
    PQfinish(s->conn);
    s->is_lost = false;
    s->conn = PQconnectdb(s->all->options.db);
    if (PQstatus(s->conn) != CONNECTION_OK)
        return false;
    (void) PQsetNoticeProcessor(s->conn, quiet, NULL);
    return has_run(s, pawl_test_writes_prepare) &&
           (s->number != REPLICA || has_run(s, "SET session_replication_role = replica"));
}

static void
connect_again(session *s)
{
    int64_t until_us = pawl_clock_us() + INT64_C(1000) * DOWN_MS;

    while (!has_connected(s))
    {
        if (atomic_load(&s->all->stop))
            return;
        if (!s->all->options.outlives || pawl_clock_us() > until_us)
        {
            fail_session(s, "cannot connect: %s", PQerrorMessage(s->conn));
            return;
        }
        pawl_test_sleep_ms(20);
    }
}

/*
 * The server is being shut down, or has been: what was in flight is in whole or not at all, in both tables. (An error
 * without a state is libpq's own; that the connection is bad it may find out only later.)
 */
static bool
is_server_gone(session *s, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (!s->all->options.outlives ||
        (PQstatus(s->conn) == CONNECTION_OK && state != NULL && strncmp(state, "57P0", 4) != 0))
        return false;
    s->is_lost = true;
    return true;
}

/* What the manual says that applications may meet. */
static bool
is_announced(const session *s, const char *state)
{
    return (s->writes.is_repeatable_read && strcmp(state, "40001") == 0) ||
           (strstr(s->writes.sql.data, "TRUNCATE p") != NULL && strcmp(state, "40P01") == 0);
}

static void
end_failed(session *s, const PGresult *res)
{
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (is_server_gone(s, res) || (state != NULL && is_announced(s, state)))
        return;
    fail_session(s, "writer %d met %s %s in: %s", s->number, state != NULL ? state : "-",
                 PQresultErrorMessage(res), s->writes.sql.data);
}

/* The answers of one transaction. */
static void
read_answers(session *s)
{
    int64_t of_table = 0;
    int at = 0;
    PGresult *res;

    s->is_prepared = s->writes.second[0] != '\0';
    while ((res = PQgetResult(s->conn)) != NULL)
    {
        ExecStatusType status = PQresultStatus(res);
        int64_t rows = strtoll(PQcmdTuples(res), NULL, 10);

        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK)
        {
            s->is_prepared = false;
            end_failed(s, res);
        }
        else if (at < s->writes.nstatements && s->writes.pairs[at] == PAWL_TEST_OF_TABLE)
        {
            of_table = rows;
            s->rows += rows;
        }
        else if (at < s->writes.nstatements && s->writes.pairs[at] == PAWL_TEST_OF_ORACLE && rows != of_table)
            fail_session(s, "writer %d: %lld rows of the table, %lld of the oracle, in statement %d of: %s",
                         s->number, (long long) of_table, (long long) rows, at, s->writes.sql.data);
        PQclear(res);
        at++;
    }
}

/* Between the phases its locks are nobody's. */
static bool
has_ended_prepared(session *s)
{
    pawl_test_sleep_ms((int) (atomic_load(&s->transactions) % 30));
    return has_run(s, s->writes.second);
}

static void *
write_on(void *arg)
{
    session *s = arg;

    connect_again(s);
    while (!is_over(s))
    {
        int64_t began_us = pawl_clock_us();
        int64_t took_us;

        pawl_test_writes_next(&s->writes);
        if (s->writes.before[0] != '\0' && !has_run(s, s->writes.before) &&
            PQstatus(s->conn) == CONNECTION_OK)
            fail_session(s, "writer %d: %s: %s", s->number, s->writes.before, PQerrorMessage(s->conn));
        if (PQsendQuery(s->conn, s->writes.sql.data) == 1)
            read_answers(s);
        if (s->is_lost || PQstatus(s->conn) != CONNECTION_OK)
        {
            connect_again(s);
            continue;
        }
        if (PQtransactionStatus(s->conn) != PQTRANS_IDLE)
            PQclear(PQexec(s->conn, "ROLLBACK"));
        else if (s->is_prepared && !has_ended_prepared(s))
            fail_session(s, "writer %d: %s: %s", s->number, s->writes.second, PQerrorMessage(s->conn));
        if (s->writes.before[0] != '\0')
            (void) has_run(s, "SELECT pg_advisory_unlock_all()");
        took_us = pawl_clock_us() - began_us;
        s->longest_us = took_us > s->longest_us ? took_us : s->longest_us;
        atomic_fetch_add(&s->transactions, 1);
    }
    PQfinish(s->conn);
    return NULL;
}

/* ---- the comparison -------------------------------------------------------------------------------------------------- */

/* The first rows that differ, as they are in both; both tables as of one moment. */
static const char *
compare_sql(bool may_be_gone)
{
#define DIFFERENT                                                                                    \
    "SELECT coalesce(string_agg(line, E'\\n'), '') FROM (SELECT 'p: ' || coalesce(p::text, '-') || " \
    "'  oracle: ' || coalesce(o::text, '-') AS line FROM p FULL JOIN oracle o USING (id) WHERE "     \
    "(p.code, p.price::numeric, p.note, p.n) IS DISTINCT FROM (o.code, o.price::numeric, o.note, o.n)"
#define LAST " LIMIT 10) d"

    return may_be_gone ? DIFFERENT " AND NOT (p.id IS NULL AND o.note IS NOT DISTINCT FROM 'gone')" LAST
                       : DIFFERENT LAST;
}

/* It may be the third in a deadlock of a TRUNCATE and an index that is built, as the manual says. */
static void
vacuum(session *s)
{
    PGresult *res = PQexec(s->conn, "VACUUM p");
    const char *state = PQresultErrorField(res, PG_DIAG_SQLSTATE);

    if (PQresultStatus(res) != PGRES_COMMAND_OK && (state == NULL || strcmp(state, "40P01") != 0))
        fail_session(s, "VACUUM met %s", PQresultErrorMessage(res));
    PQclear(res);
}

static void *
check_on(void *arg)
{
    session *s = arg;

    connect_again(s);
    while (!is_over(s))
    {
        PGresult *res = PQexec(s->conn, compare_sql(s->all->options.may_be_gone));

        if (PQresultStatus(res) != PGRES_TUPLES_OK)
        {
            if (!is_server_gone(s, res))
                fail_session(s, "the comparison met %s", PQresultErrorMessage(res));
        }
        else if (PQgetvalue(res, 0, 0)[0] != '\0')
            fail_session(s, "while all were writing the two differed:\n%s", PQgetvalue(res, 0, 0));
        else if (++s->all->checks % VACUUM_IN == 0 && !s->all->options.outlives)
            vacuum(s);
        PQclear(res);
        if (s->is_lost || PQstatus(s->conn) != CONNECTION_OK)
            connect_again(s);
        pawl_test_sleep_ms(CHECK_EVERY_MS);
    }
    PQfinish(s->conn);
    return NULL;
}

void
pawl_test_writers_check(const char *db, bool may_be_gone)
{
    char *text = pawl_test_query_text(db, compare_sql(may_be_gone));

    if (text[0] != '\0')
        fail_msg("the table and the oracle differ:\n%s", text);
    free(text);
}

/* ---- all of them ---------------------------------------------------------------------------------------------------- */

void
pawl_test_writers_tables(const char *db, int rows)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "CREATE TABLE p (id int PRIMARY KEY, code bigint UNIQUE, price text, note text, n int NOT NULL "
        "DEFAULT 0); CREATE INDEX p_price ON p (price); CREATE INDEX p_note ON p (note, n);"
        "INSERT INTO p SELECT i, i, CASE WHEN i %% 7 > 0 THEN '0' || i END, repeat('x', i %% 50), 0 FROM "
        "generate_series(1, %d) i; ANALYZE p;"
        "CREATE TABLE oracle (id int PRIMARY KEY, code bigint, price text, note text, n int NOT NULL DEFAULT "
        "0); INSERT INTO oracle SELECT * FROM p; ANALYZE oracle",
        rows);
    pawl_test_exec(db, sql.data);
}

static void
join_all(pawl_test_writers *w)
{
    atomic_store(&w->stop, true);
    for (int i = 0; i < w->nsessions; i++)
        (void) pthread_join(w->sessions[i].thread, NULL);
    (void) pthread_join(w->checker.thread, NULL);
    running = NULL;
}

static void
free_all(pawl_test_writers *w)
{
    for (int i = 0; i < w->nsessions; i++)
        pawl_test_writes_fini(&w->sessions[i].writes);
    free(w);
}

pawl_test_writers *
pawl_test_writers_start(const pawl_test_writers_options *options)
{
    static int made;
    pawl_test_writers *w;

    if (running != NULL)
    {
        w = running;
        join_all(w);
        free_all(w);
    }
    w = calloc(1, sizeof *w);
    assert_non_null(w);
    w->options = *options;
    w->nsessions = options->sessions > 0 ? options->sessions : USUAL_SESSIONS;
    assert_in_range(w->nsessions, 1, MOST_SESSIONS);
    for (int i = 0; i < w->nsessions; i++)
    {
        session *s = &w->sessions[i];

        s->all = w;
        s->number = i;
        pawl_test_writes_init(&s->writes, options->seed, made++ % 1000, options->rows);
        s->writes.truncate_in = options->truncate_in;
        s->writes.may_be_gone = options->may_be_gone;
        s->writes.prepares = !options->outlives;
        s->writes.is_repeatable_read = options->reads_once && i == 0;
    }
    w->checker.all = w;
    w->checker.number = -1;
    running = w;
    for (int i = 0; i < w->nsessions; i++)
        assert_int_equal(pthread_create(&w->sessions[i].thread, NULL, write_on, &w->sessions[i]), 0);
    assert_int_equal(pthread_create(&w->checker.thread, NULL, check_on, &w->checker), 0);
    return w;
}

void
pawl_test_writers_await(pawl_test_writers *w, int transactions)
{
    int64_t until_us = pawl_clock_us() + INT64_C(1000) * AWAIT_MS;

    for (int i = 0; i < w->nsessions; i++)
    {
        session *s = &w->sessions[i];
        int64_t goal = atomic_load(&s->transactions) + transactions;

        while (atomic_load(&s->transactions) < goal && !atomic_load(&s->has_failed))
        {
            if (pawl_clock_us() > until_us)
                fail_msg("writer %d does not get on", i);
            pawl_test_sleep_ms(5);
        }
    }
}

pawl_test_written
pawl_test_writers_stop(pawl_test_writers *w)
{
    pawl_test_written total = {0};
    char failure[sizeof w->checker.failure] = "";

    join_all(w);
    for (int i = 0; i < w->nsessions; i++)
    {
        session *s = &w->sessions[i];

        total.transactions += atomic_load(&s->transactions);
        total.rows += s->rows;
        total.longest_us = s->longest_us > total.longest_us ? s->longest_us : total.longest_us;
        if (s->failure[0] != '\0')
            pawl_fmt(failure, sizeof failure, "%s", s->failure);
    }
    if (w->checker.failure[0] != '\0')
        pawl_fmt(failure, sizeof failure, "%s", w->checker.failure);
    total.checks = w->checks;
    free_all(w);
    if (failure[0] != '\0')
        fail_msg("%s", failure);
    return total;
}
