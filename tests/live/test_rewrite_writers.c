/* Tables rewritten while others write to them at full speed; an oracle, kept by a trigger, says what must be there. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/job.h"
#include "support/process.h"
#include "support/server.h"
#include "support/session.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    WRITERS = 3,
    ROWS = 8000,
};

static const char schema_sql[] =
    "CREATE TABLE product (id int PRIMARY KEY, code int UNIQUE, price text, note text, n int NOT NULL "
    "DEFAULT 0);"
    "CREATE INDEX product_note_idx ON product (note, n);"
    "CREATE TABLE oracle (id int PRIMARY KEY, code int, price text, note text, n int);"
    "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
    "  IF TG_OP = 'TRUNCATE' THEN DELETE FROM oracle; RETURN NULL; END IF;"
    "  IF TG_OP <> 'INSERT' THEN DELETE FROM oracle WHERE id = OLD.id; END IF;"
    "  IF TG_OP <> 'DELETE' THEN INSERT INTO oracle VALUES (NEW.id, NEW.code, NEW.price::text, NEW.note, "
    "NEW.n); END IF;"
    "  RETURN NULL; END $$;"
    "CREATE TRIGGER keep AFTER INSERT OR UPDATE OR DELETE ON product FOR EACH ROW EXECUTE FUNCTION keep();"
    "CREATE TRIGGER keep_t AFTER TRUNCATE ON product FOR EACH STATEMENT EXECUTE FUNCTION keep();"
    "INSERT INTO product SELECT i, i, CASE WHEN i % 7 = 0 THEN NULL ELSE i || '.5' END, repeat('x', i % 50), "
    "0 "
    "FROM generate_series(1, 8000) i;";

typedef struct writer
{
    const char *db;
    uint64_t seed;
    atomic_bool *stop;
    pthread_t thread;
    int64_t done;
    char failure[400];
} writer;

/* One transaction, as text. */
static void
make(pawl_strbuf *b, pawl_rng *rng)
{
    int a = (int) pawl_rng_below(rng, ROWS) + 1;
    int c = (int) pawl_rng_below(rng, ROWS) + 1;
    int fresh = (int) pawl_rng_below(rng, 1000000) + 10 * ROWS;

    pawl_strbuf_reset(b);
    switch (pawl_rng_below(rng, 10))
    {
        case 0:
            pawl_strbuf_addf(b, "INSERT INTO product (id, code, price) VALUES (%d, %d, '%d.25')", fresh,
                             fresh, a);
            break;
        case 1:
            pawl_strbuf_addf(b, "UPDATE product SET price = NULL, n = n + 1 WHERE id = %d", a);
            break;
        case 2:
            pawl_strbuf_addf(b, "UPDATE product SET price = '%d.50', note = 'w' WHERE id BETWEEN %d AND %d",
                             c, a, a + 5);
            break;
        case 3:
            pawl_strbuf_addf(b, "DELETE FROM product WHERE id = %d", a);
            break;
        case 4:
            pawl_strbuf_addf(b,
                             "BEGIN; DELETE FROM product WHERE id = %d; INSERT INTO product (id, code, "
                             "price, note) VALUES "
                             "(%d, %d, '%d', 'again'); COMMIT",
                             a, a, fresh, c);
            break;
        case 5:
            pawl_strbuf_addf(b, "UPDATE product SET id = %d WHERE id = %d", fresh, a);
            break;
        case 6: /* two rows exchange their unique values */
            pawl_strbuf_addf(
                b,
                "BEGIN; CREATE TEMP TABLE x ON COMMIT DROP AS SELECT id, code FROM product WHERE id IN (%d, "
                "%d) ORDER BY id FOR UPDATE; UPDATE product p SET code = -p.id FROM x WHERE x.id = p.id; "
                "UPDATE product p SET code = (SELECT y.code FROM x y WHERE y.id <> p.id) FROM x WHERE x.id "
                "= p.id; COMMIT",
                a, c);
            break;
        case 7:
            pawl_strbuf_addf(
                b,
                "BEGIN; UPDATE product SET n = n + 1 WHERE id = %d; SAVEPOINT s; UPDATE product SET price = "
                "'9999' WHERE id = %d; ROLLBACK TO s; UPDATE product SET note = 'kept' WHERE id = %d; COMMIT",
                a, c, c);
            break;
        case 8:
            pawl_strbuf_addf(
                b,
                "INSERT INTO product (id, code, price) VALUES (%d, %d, '1.0') ON CONFLICT (id) DO UPDATE SET "
                "price = '2.0', n = product.n + 1",
                a, fresh);
            break;
        default:
            pawl_strbuf_addf(
                b,
                "BEGIN; UPDATE product SET price = '%d.75' WHERE id = %d; SELECT pg_sleep(0.05); DELETE FROM "
                "product WHERE id = %d; %s",
                c, a, c, pawl_rng_below(rng, 2) == 0 ? "ROLLBACK" : "COMMIT");
            break;
    }
}

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

    pawl_rng_init(&rng, w->seed);
    while (!atomic_load(w->stop) && w->failure[0] == '\0')
    {
        PGresult *res;

        make(&sql, &rng);
        res = PQexec(conn, sql.data);
        if (PQresultStatus(res) == PGRES_FATAL_ERROR &&
            !is_expected(PQresultErrorField(res, PG_DIAG_SQLSTATE)))
            pawl_fmt(w->failure, sizeof w->failure, "%s: %s", sql.data, PQresultErrorMessage(res));
        PQclear(res);
        if (PQtransactionStatus(conn) != PQTRANS_IDLE)
            PQclear(PQexec(conn, "ROLLBACK"));
        w->done++;
    }
    PQfinish(conn);
    return NULL;
}

typedef struct run
{
    const char *db;
    const char *lua_root;
    pawl_rewrite_spec spec;
    pawl_rewrite_result result;
    pawl_error err;
    pawl_status st;
    pthread_t thread;
} run;

static void *
rewrite_main(void *arg)
{
    run *r = arg;
    pawl_backfill_env base = pawl_test_env(r->db, r->lua_root);
    const pawl_rewrite_env env = {.base = &base};
    const pawl_rewrite_id id = {
        .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

    base.lock_timeout_ms = 400;
    base.lock_attempts = 500;
    r->st = pawl_rewrite_run(&r->spec, &env, &id, &r->result, &r->err);
    return NULL;
}

static void
start_writers(writer *writers, const char *db, uint64_t seed, atomic_bool *stop)
{
    for (int i = 0; i < WRITERS; i++)
    {
        writers[i] = (writer){.db = db, .seed = seed * 100 + (uint64_t) i, .stop = stop};
        assert_int_equal(pthread_create(&writers[i].thread, NULL, write_on, &writers[i]), 0);
    }
}

static void
stop_writers(writer *writers, atomic_bool *stop)
{
    atomic_store(stop, true);
    for (int i = 0; i < WRITERS; i++)
        assert_int_equal(pthread_join(writers[i].thread, NULL), 0);
    for (int i = 0; i < WRITERS; i++)
        if (writers[i].failure[0] != '\0')
            fail_msg("a writer met: %s", writers[i].failure);
}

static void
must_have_none(const char *db, const char *sql)
{
    char *text = pawl_test_query_text(db, sql);

    if (strcmp(text, "") != 0)
        fail_msg("%s: %s", sql, text);
    free(text);
}

static const pawl_rewrite_column change[] = {{.name = "price", .type = "numeric(12,2)", .not_null = -1}};
static const pawl_rewrite_column change_sql[] = {
    {.name = "price", .type = "numeric(12,2)", .using = "price::numeric", .not_null = -1}};
static const char lua[] = "return function(row) return { price = row.price or pawl.null } end\n";

/* The oracle against the table, row for row. */
static void
compare(const char *db)
{
    must_have_none(
        db,
        "SELECT coalesce(string_agg(id::text, ', '), '') FROM (SELECT id FROM product p FULL JOIN oracle o "
        "USING "
        "(id) WHERE (p.code, p.price, p.note, p.n) IS DISTINCT FROM (o.code, o.price::numeric(12,2), o.note, "
        "o.n) LIMIT 20) d");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT (SELECT count(*) FROM product) - (SELECT count(*) FROM oracle)"), 0);
}

static void
go(const char *name, uint64_t seed, bool is_sql, bool truncates)
{
    const char *db = pawl_test_database_new(name);
    atomic_bool stop = false;
    writer writers[WRITERS];
    run r = {.db = db,
             .lua_root = pawl_test_transform("w", lua),
             .spec = {.table = "product",
                      .change = is_sql ? change_sql : change,
                      .nchange = 1,
                      .lua_file = is_sql ? NULL : "transforms/w.lua",
                      .batch_rows = 900,
                      .keeps_old = true},
             .err = PAWL_ERROR_INIT};

    pawl_test_ledger(db);
    pawl_test_exec(db, schema_sql);
    start_writers(writers, db, seed, &stop);
    pawl_test_wait_until(db, "SELECT count(*) > 50 FROM product WHERE n > 0", 30000);
    assert_int_equal(pthread_create(&r.thread, NULL, rewrite_main, &r), 0);
    if (truncates)
    {
        pawl_test_wait_until(
            db, "SELECT count(*) > 0 FROM pawl.progress WHERE chunk_id = 1 AND cursor IS NOT NULL", 60000);
        pawl_test_exec(db,
                       "BEGIN; TRUNCATE product; INSERT INTO product SELECT i, i, i || '.1', 'new', 0 FROM "
                       "generate_series(1, 3000) i; COMMIT");
    }
    assert_int_equal(pthread_join(r.thread, NULL), 0);
    if (r.st != PAWL_OK)
    {
        atomic_store(&stop, true);
        fail_msg("%s (%s) %s / %s", r.err.message, r.err.sqlstate, r.err.detail, r.err.hint);
    }
    pawl_test_sleep_ms(300); /* of writing to the new table */
    stop_writers(writers, &stop);
    compare(db);
    if (truncates)
        assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'job_restarted'") >
                    0);
    must_have_none(db,
                   "SELECT coalesce(string_agg(tgname, ','), '') FROM pg_trigger WHERE tgname LIKE 'pawl%'");
    must_have_none(
        db, "SELECT coalesce(string_agg(indexname, ','), '') FROM pg_indexes WHERE tablename = 'product' AND "
            "indexname LIKE 'pawl%'");
}

static void
nothing_is_lost_with_a_transform_in_lua(void **state)
{
    (void) state;
    go("writers_lua", 1, false, false);
}

static void
nothing_is_lost_with_an_expression(void **state)
{
    (void) state;
    go("writers_sql", 2, true, false);
}

static void
truncated_table_is_copied_again(void **state)
{
    (void) state;
    go("writers_truncate", 3, true, true);
}

static void
nothing_is_lost_over_many_seeds(void **state)
{
    (void) state;
    if (getenv("PAWL_TEST_LONG") == NULL)
        skip();
    for (uint64_t seed = 10; seed < 30; seed++)
        go("writers_long", seed, seed % 2 == 0, seed % 5 == 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_with_a_transform_in_lua),
        cmocka_unit_test(nothing_is_lost_with_an_expression),
        cmocka_unit_test(truncated_table_is_copied_again),
        cmocka_unit_test(nothing_is_lost_over_many_seeds),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
