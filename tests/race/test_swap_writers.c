/*
 * Swaps while three sessions write at full speed in every way there is. Each row carries beside `price` what it must be
 * (`truth`), set by the same statement, so that at any moment the table is its own oracle.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                                  \
    "local M = {}\n"                                                                                         \
    "function M.row(row) if row.price then return { price = math.tointeger(tonumber(row.price)) } end end\n" \
    "function M.reverse(row) if row.price then return { price = tostring(row.price) } end end\n"             \
    "return M\n"

enum
{
    WRITERS = 3,
    ROWS = 8000
};

typedef struct writer
{
    pthread_t thread;
    const char *db;
    uint64_t seed;
    int number;
    atomic_bool *stop;
    int64_t statements;
    char error[300]; /* the first that nothing announces */
} writer;

static void
say(pawl_rng *rng, pawl_strbuf *sql)
{
    int id = 1 + (int) pawl_rng_below(rng, ROWS);
    int v = (int) pawl_rng_below(rng, 1000000);

    pawl_strbuf_reset(sql);
    switch (pawl_rng_below(rng, 10))
    {
        case 0:
            pawl_strbuf_addf(
                sql,
                "INSERT INTO p (id, price, truth) VALUES (%d, '%d', %d) ON CONFLICT (id) DO UPDATE "
                "SET price = excluded.price, truth = excluded.truth",
                id, v, v);
            break;
        case 1:
            pawl_strbuf_addf(sql, "UPDATE p SET price = NULL, truth = NULL WHERE id = %d", id);
            break;
        case 2:
            pawl_strbuf_addf(sql, "UPDATE p SET id = %d WHERE id = %d", ROWS + 1 + v, id);
            break;
        case 3:
            pawl_strbuf_addf(
                sql,
                "BEGIN; DELETE FROM p WHERE id = %d; INSERT INTO p (id, price, truth) VALUES (%d, "
                "'%d', %d); COMMIT",
                id, id, v, v);
            break;
        case 4:
            pawl_strbuf_addf(
                sql,
                "BEGIN; UPDATE p SET price = '%d', truth = %d WHERE id = %d; SAVEPOINT s; UPDATE p "
                "SET price = '1', truth = 2 WHERE id = %d; ROLLBACK TO s; UPDATE p SET price = '%d', "
                "truth = %d WHERE id = %d; COMMIT",
                v, v, id, id, v + 1, v + 1, id);
            break;
        case 5:
            pawl_strbuf_addf(
                sql,
                "BEGIN; UPDATE p SET price = '%d', truth = %d WHERE id BETWEEN %d AND %d; SELECT "
                "pg_sleep(0.01); COMMIT",
                v, v, id, id + 20);
            break;
        case 6:
            pawl_strbuf_addf(sql, "DELETE FROM p WHERE id = %d", id);
            break;
        case 7:
            pawl_strbuf_addf(sql, "UPDATE p SET other = %d WHERE id = %d", v, id);
            break;
        default:
            pawl_strbuf_addf(sql, "UPDATE p SET price = '%d', truth = %d WHERE id = %d", v, v, id);
            break;
    }
}

/* Writers among themselves meet doubled keys and deadlocks: those are theirs. */
static bool
is_expected(const char *sqlstate)
{
    return sqlstate != NULL && (strcmp(sqlstate, "23505") == 0 || strcmp(sqlstate, "40P01") == 0);
}

static void *
write_on(void *arg)
{
    writer *w = arg;
    PGconn *conn = PQconnectdb(w->db);
    PAWL_STRBUF_AUTO(sql);
    pawl_rng rng;

    pawl_rng_init(&rng, w->seed * 100 + (uint64_t) w->number);
    while (!atomic_load(w->stop))
    {
        say(&rng, &sql);
        PGresult *res = PQexec(conn, sql.data);
        ExecStatusType status = PQresultStatus(res);

        if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK &&
            !is_expected(PQresultErrorField(res, PG_DIAG_SQLSTATE)) && w->error[0] == '\0')
            pawl_fmt(w->error, sizeof w->error, "%s: %s", sql.data, PQerrorMessage(conn));
        PQclear(res);
        if (PQtransactionStatus(conn) != PQTRANS_IDLE)
            PQclear(PQexec(conn, "ROLLBACK"));
        w->statements++;
        if (w->statements % 3 == 0) /* two cores: leave the other one to the swap */
            pawl_test_sleep_ms(1);
    }
    PQfinish(conn);
    return NULL;
}

static void
start_writers(writer *w, const char *db, uint64_t seed, atomic_bool *stop)
{
    for (int i = 0; i < WRITERS; i++)
    {
        w[i] = (writer){.db = db, .seed = seed, .number = i, .stop = stop};
        assert_int_equal(pthread_create(&w[i].thread, NULL, write_on, &w[i]), 0);
    }
}

static void
end_writers(writer *w, atomic_bool *stop)
{
    atomic_store(stop, true);
    for (int i = 0; i < WRITERS; i++)
        (void) pthread_join(w[i].thread, NULL);
    for (int i = 0; i < WRITERS; i++)
    {
        assert_true(w[i].statements > 50);
        if (w[i].error[0] != '\0')
            fail_msg("%s", w[i].error);
    }
}

#define WRONG "SELECT count(*) FROM p WHERE price::text IS DISTINCT FROM truth"

static void
swap_there_and_back(uint64_t seed, const char *how, const char *extra)
{
    const char *db = pawl_test_database_new("writers");
    const char *dir = pawl_test_project_new(db, NULL);
    writer writers[WRITERS];
    atomic_bool stop = false;
    PAWL_STRBUF_AUTO(text);

    pawl_test_exec(db, "CREATE TABLE p (id int PRIMARY KEY, price text, truth text, other int)");
    pawl_test_exec(db, "INSERT INTO p SELECT i, i, i FROM generate_series(1, 8000) i");
    pawl_test_exec(db, extra);
    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: "
        "price\n      type: bigint\n      batch: 500\n%s",
        how);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    start_writers(writers, db, seed, &stop);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    pawl_test_sleep_ms(300);
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    end_writers(writers, &stop);
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    assert_true(
        pawl_test_query_i64(db, "SELECT max(substring(detail FROM 'for ([0-9]+) ms')::int) FROM pawl.event "
                                "WHERE kind = 'cut_over'") < 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'cut_over'"), 2);
}

static void
nothing_is_lost_by_a_transform(void **state)
{
    int seeds = getenv("PAWL_TEST_LONG") != NULL ? 20 : 2;

    (void) state;
    for (int seed = 1; seed <= seeds; seed++)
        swap_there_and_back((uint64_t) seed, "      lua: transforms/price.lua\n",
                            "CREATE INDEX p_price ON p (price)");
}

static void
nothing_is_lost_by_an_expression(void **state)
{
    int seeds = getenv("PAWL_TEST_LONG") != NULL ? 20 : 1;

    (void) state;
    for (int seed = 1; seed <= seeds; seed++)
        swap_there_and_back((uint64_t) seed, "      using: price::bigint\n      reverse: price::text\n",
                            "SELECT 1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_by_a_transform),
        cmocka_unit_test(nothing_is_lost_by_an_expression),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
