/*
 * Swaps while three sessions write at full speed in every way there is, there and back. In the first tests each row
 * carries beside `price` what it must be (`truth`), set by the same statement, and the writers get in each other's way; in
 * the others (support/writers.h) an oracle is told everything that the writers were told, and no error at all is allowed.
 *
 * PAWL_TEST_SEED, PAWL_TEST_SECONDS and PAWL_TEST_LONG change what is done.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/writers.h"
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
    int64_t statements;
    char error[300]; /* the first that nothing announces */
} writer;

/* Not of a test's frame: one that fails leaves them running, until the next one begins. */
static writer crew[WRITERS];
static atomic_bool is_stopped;
static bool is_running;

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
    while (!atomic_load(&is_stopped))
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
join_writers(void)
{
    atomic_store(&is_stopped, true);
    for (int i = 0; is_running && i < WRITERS; i++)
        (void) pthread_join(crew[i].thread, NULL);
    is_running = false;
}

static void
start_writers(const char *db, uint64_t seed)
{
    join_writers();
    atomic_store(&is_stopped, false);
    for (int i = 0; i < WRITERS; i++)
    {
        crew[i] = (writer){.db = db, .seed = seed, .number = i};
        assert_int_equal(pthread_create(&crew[i].thread, NULL, write_on, &crew[i]), 0);
    }
    is_running = true;
}

static void
end_writers(void)
{
    join_writers();
    for (int i = 0; i < WRITERS; i++)
    {
        assert_true(crew[i].statements > 50);
        if (crew[i].error[0] != '\0')
            fail_msg("%s", crew[i].error);
    }
}

#define BY_LUA "      lua: transforms/price.lua\n"
#define BY_SQL "      using: price::bigint\n      reverse: price::text\n"

static const char *
make_project(const char *db, const char *how)
{
    const char *dir = pawl_test_project_new(db, NULL);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - swap_column:\n      table: p\n      column: "
        "price\n      type: bigint\n      batch: 500\n%s",
        how);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", LUA);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    return dir;
}

/* ---- in each other's way ------------------------------------------------------------------------------------------------ */

#define WRONG "SELECT count(*) FROM p WHERE price::text IS DISTINCT FROM truth"

static void
swap_there_and_back(uint64_t seed, const char *how, const char *extra)
{
    const char *db = pawl_test_database_new("writers");
    const char *dir = make_project(db, how);

    pawl_test_exec(db, "CREATE TABLE p (id int PRIMARY KEY, price text, truth text, other int)");
    pawl_test_exec(db, "INSERT INTO p SELECT i, i, i FROM generate_series(1, 8000) i");
    pawl_test_exec(db, extra);
    start_writers(db, seed);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    pawl_test_sleep_ms(300);
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    end_writers();
    assert_int_equal(pawl_test_query_i64(db, WRONG), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'cut_over' AND "
                                             "detail ~ 'was locked for [0-9]+ ms'"),
                     2);
}

static void
nothing_is_lost_by_a_transform(void **state)
{
    int seeds = pawl_test_is_long() ? 20 : 1;

    (void) state;
    for (int seed = 1; seed <= seeds; seed++)
        swap_there_and_back((uint64_t) seed, BY_LUA, "CREATE INDEX p_price ON p (price)");
}

static void
nothing_is_lost_by_an_expression(void **state)
{
    int seeds = pawl_test_is_long() ? 20 : 1;

    (void) state;
    for (int seed = 1; seed <= seeds; seed++)
        swap_there_and_back((uint64_t) seed, BY_SQL, "SELECT 1");
}

/* ---- with an oracle ------------------------------------------------------------------------------------------------- */

/* There, so many seconds of writing, and back: what was written before, between and after is what is there. */
static void
go_with_oracle(uint64_t seed, const char *how, int seconds, int truncate_in)
{
    const char *db = pawl_test_database_new("oracle");
    const char *dir = make_project(db, how);
    const pawl_test_writers_options options = {
        .db = db, .seed = seed, .rows = 4000, .truncate_in = truncate_in, .reads_once = truncate_in == 0};
    pawl_test_writers *writers;
    pawl_test_written written;

    pawl_test_writers_tables(db, options.rows);
    writers = pawl_test_writers_start(&options);
    pawl_test_writers_await(writers, 20);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT (atttypid = 'bigint'::regtype)::int FROM pg_attribute WHERE attrelid = "
                             "'p'::regclass AND attname = 'price'"),
                     1);
    pawl_test_sleep_ms(seconds * 1000);
    pawl_test_pawl_exits(dir, "downgrade", "base", 0);
    pawl_test_writers_await(writers, 20);
    written = pawl_test_writers_stop(writers);
    pawl_test_writers_check(db, false);
    assert_true(written.checks > 0);
    print_message("seed %llu: %lld rows in %lld transactions, the longest took %lld ms; %lld comparisons\n",
                  (unsigned long long) seed, (long long) written.rows, (long long) written.transactions,
                  (long long) (written.longest_us / 1000), (long long) written.checks);
}

static void
go_over_seeds(const char *how, uint64_t first, int truncate_in)
{
    uint64_t seed = pawl_test_seed(first);
    int seeds = pawl_test_is_long() ? 10 : 1;

    for (int i = 0; i < seeds; i++)
        go_with_oracle(seed + (uint64_t) i, how, pawl_test_seconds(2, 10), truncate_in);
}

static void
a_swap_by_an_expression_agrees_with_the_oracle(void **state)
{
    (void) state;
    go_over_seeds(BY_SQL, 1, 0);
}

static void
a_swap_by_a_transform_agrees_with_the_oracle(void **state)
{
    (void) state;
    go_over_seeds(BY_LUA, 2, 0);
}

static void
a_table_that_is_truncated_again_and_again_agrees_with_the_oracle(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    go_over_seeds(BY_SQL, 3, 500);
    go_over_seeds(BY_LUA, 4, 500);
}

/* What the log holds after so long, `downgrade` carries over. */
static void
five_minutes_of_writes_survive_the_way_back(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    go_with_oracle(pawl_test_seed(5), BY_LUA, pawl_test_seconds(3, 300), 0);
    go_with_oracle(pawl_test_seed(6), BY_SQL, pawl_test_seconds(3, 300), 0);
}

static void
who_sits_on_a_lock_holds_up_nobody_but_the_cut_over(void **state)
{
    const char *db = pawl_test_database_new("sitting");
    const char *dir = make_project(db, BY_LUA);

    (void) state;
    pawl_test_writers_sit(&(pawl_test_writers_options){.db = db, .seed = pawl_test_seed(7), .rows = 2000},
                          dir, "swap.after_index");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'cut_over' AND detail ~ "
                                "'after ([2-9]|[0-9]{2,}) tries'"),
        1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_by_a_transform),
        cmocka_unit_test(nothing_is_lost_by_an_expression),
        cmocka_unit_test(a_swap_by_an_expression_agrees_with_the_oracle),
        cmocka_unit_test(a_swap_by_a_transform_agrees_with_the_oracle),
        cmocka_unit_test(a_table_that_is_truncated_again_and_again_agrees_with_the_oracle),
        cmocka_unit_test(who_sits_on_a_lock_holds_up_nobody_but_the_cut_over),
        cmocka_unit_test(five_minutes_of_writes_survive_the_way_back),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
