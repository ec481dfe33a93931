/*
 * Tables rewritten while others write to them at full speed. In the first tests an oracle is kept by a trigger, and the
 * writers get in each other's way; in the others (support/writers.h) an oracle is told everything that the writers were
 * told, and no error at all is allowed.
 *
 * PAWL_TEST_SEED, PAWL_TEST_SECONDS and PAWL_TEST_LONG change what is done.
 */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/form.h"
#include "support/job.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"
#include "support/writers.h"
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
    pthread_t thread;
    int64_t done;
    char failure[400];
} writer;

/* Not of a test's frame: one that fails leaves them running, until the next one begins. */
static writer crew[WRITERS];
static atomic_bool is_stopped;
static bool is_running;

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
    while (!atomic_load(&is_stopped) && w->failure[0] == '\0')
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
        crew[i] = (writer){.db = db, .seed = seed * 100 + (uint64_t) i};
        assert_int_equal(pthread_create(&crew[i].thread, NULL, write_on, &crew[i]), 0);
    }
    is_running = true;
}

static void
stop_writers(void)
{
    join_writers();
    for (int i = 0; i < WRITERS; i++)
        if (crew[i].failure[0] != '\0')
            fail_msg("a writer met: %s", crew[i].failure);
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
    run r = {.db = db,
             .lua_root = pawl_test_transform("w", lua),
             .spec = {.table = "product",
                      .change = is_sql ? change_sql : change,
                      .nchange = 1,
                      .lua_file = is_sql ? NULL : "transforms/w.lua",
                      .batch_rows = 300,
                      .workers = 3,
                      .keeps_old = true},
             .err = PAWL_ERROR_INIT};

    pawl_test_ledger(db);
    pawl_test_exec(db, schema_sql);
    start_writers(db, seed);
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
        fail_msg("%s (%s) %s / %s", r.err.message, r.err.sqlstate, r.err.detail, r.err.hint);
    pawl_test_sleep_ms(300); /* of writing to the new table */
    stop_writers();
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

/* ---- there and back again ------------------------------------------------------------------------------------------- */

static const char lua_both[] =
    "return { row = function(row) return { price = row.price or pawl.null } end,\n"
    "         reverse = function(row) return { price = row.price or pawl.null } end }\n";

static void *
undo_main(void *arg)
{
    run *r = arg;
    pawl_backfill_env base = pawl_test_env(r->db, r->lua_root);
    const pawl_rewrite_env env = {.base = &base};
    const pawl_rewrite_id id = {
        .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

    base.lock_timeout_ms = 400;
    base.lock_attempts = 500;
    r->st = pawl_rewrite_undo(&r->spec, &env, &id, &r->err);
    return NULL;
}

static void
must_end(run *r, void *(*what)(void *arg))
{
    r->err = (pawl_error) PAWL_ERROR_INIT;
    assert_int_equal(pthread_create(&r->thread, NULL, what, r), 0);
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    if (r->st != PAWL_OK)
        fail_msg("%s (%s) %s / %s", r->err.message, r->err.sqlstate, r->err.detail, r->err.hint);
}

static void
go_back(const char *name, uint64_t seed, bool is_sql)
{
    static const pawl_rewrite_pair reverse[] = {{.name = "price", .value = "price::text"}};
    const char *db = pawl_test_database_new(name);
    run r = {.db = db,
             .lua_root = pawl_test_transform("b", lua_both),
             .spec = {.table = "product",
                      .change = is_sql ? change_sql : change,
                      .nchange = 1,
                      .lua_file = is_sql ? NULL : "transforms/b.lua",
                      .reverse = reverse,
                      .nreverse = is_sql ? 1 : 0,
                      .has_lua_reverse = !is_sql,
                      .mirrors = true,
                      .batch_rows = 900,
                      .keeps_old = true}};

    pawl_test_ledger(db);
    pawl_test_exec(db, schema_sql);
    start_writers(db, seed);
    pawl_test_wait_until(db, "SELECT count(*) > 50 FROM product WHERE n > 0", 30000);
    must_end(&r, rewrite_main);
    assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM pg_trigger WHERE tgname LIKE 'pawl%'") > 0);
    pawl_test_sleep_ms(1000); /* of writing to the new table */
    must_end(&r, undo_main);
    pawl_test_sleep_ms(300); /* and to the old one again */
    stop_writers();
    assert_true(
        pawl_test_query_i64(db, "SELECT (atttypid = 'text'::regtype)::int FROM pg_attribute WHERE attrelid "
                                "= 'product'::regclass AND attname = 'price'") == 1);
    must_have_none(
        db,
        "SELECT coalesce(string_agg(id::text, ', '), '') FROM (SELECT id FROM product p FULL JOIN oracle o "
        "USING (id) WHERE (p.code, p.price::numeric, p.note, p.n) IS DISTINCT FROM (o.code, "
        "o.price::numeric, o.note, o.n) LIMIT 20) d");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT (SELECT count(*) FROM product) - (SELECT count(*) FROM oracle)"), 0);
    must_have_none(
        db, "SELECT coalesce(string_agg(relname, ','), '') FROM pg_class WHERE relname LIKE 'pawl\\_%'");
}

static void
nothing_is_lost_on_the_way_back_through_an_expression(void **state)
{
    (void) state;
    go_back("writers_back_sql", 4, true);
}

static void
nothing_is_lost_on_the_way_back_through_lua(void **state)
{
    (void) state;
    go_back("writers_back_lua", 5, false);
}

static void
nothing_is_lost_over_many_seeds(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    for (uint64_t seed = 10; seed < 30; seed++)
        go("writers_long", seed, seed % 2 == 0, seed % 5 == 0);
    for (uint64_t seed = 30; seed < 40; seed++)
        go_back("writers_long_back", seed, seed % 2 == 0);
}

/* ---- with an oracle ------------------------------------------------------------------------------------------------- */

static const char transform[] =
    "return function(row)\n"
    "  return { price = row.price and math.tointeger(tonumber(row.price)) or pawl.null }\n"
    "end\n";

#define BY_LUA    "      change: { price: bigint }\n      lua: transforms/price.lua\n"
#define BY_SQL    "      change: { price: { type: bigint, using: \"price::bigint\" } }\n"
#define WITH_BACK BY_LUA "      reverse: { price: \"price::text\" }\n"
#define FEWER     BY_LUA "      where: \"note IS DISTINCT FROM 'gone'\"\n"
#define OTHERKEY  BY_SQL "      primary_key: [n, id]\n      drop: [extra]\n"

static const char *
make_project(const char *db, const char *how)
{
    const char *dir = pawl_test_project_new(db, NULL);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table:\n      table: p\n      batch: 600\n%s",
        how);
    pawl_test_project_write(dir, "migrations/transforms/price.lua", transform);
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", text.data);
    return dir;
}

/* So many seconds of writing on the new table too. */
static void
go_with_oracle(const char *how, const pawl_test_writers_options *given, int seconds, bool goes_back)
{
    const char *db = pawl_test_database_new("oracle");
    const char *dir = make_project(db, how);
    pawl_test_writers_options options = *given;
    pawl_test_writers *writers;
    pawl_test_written written;

    options.db = db;
    options.rows = 4000;
    pawl_test_writers_tables(db, options.rows);
    pawl_test_exec(db, "CREATE UNIQUE INDEX p_id ON p (id); ALTER TABLE p ADD extra int");
    if (options.may_be_gone)
        pawl_test_exec(db, "UPDATE p SET note = 'gone' WHERE id % 10 = 3; UPDATE oracle SET note = 'gone' "
                           "WHERE id % 10 = 3");
    writers = pawl_test_writers_start(&options);
    pawl_test_writers_await(writers, 20);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    must_have_none(
        db, "SELECT coalesce(string_agg(atttypid::regtype::text, ','), '') FROM pg_attribute WHERE attrelid "
            "= 'p'::regclass AND attname = 'price' AND atttypid <> 'bigint'::regtype");
    if (options.may_be_gone)
        assert_true(pawl_test_query_i64(db,
                                        "SELECT count(*) FROM oracle o WHERE note = 'gone' AND NOT EXISTS "
                                        "(SELECT 1 FROM p WHERE p.id = o.id)") > 0);
    pawl_test_sleep_ms(seconds * 1000);
    if (goes_back)
    {
        pawl_test_pawl_exits(dir, "downgrade", "base", 0);
        must_have_none(
            db, "SELECT coalesce(string_agg(atttypid::regtype::text, ','), '') FROM pg_attribute WHERE "
                "attrelid = 'p'::regclass AND attname = 'price' AND atttypid <> 'text'::regtype");
    }
    pawl_test_writers_await(writers, 20);
    written = pawl_test_writers_stop(writers);
    pawl_test_writers_check(db, options.may_be_gone);
    assert_true(written.checks > 0);
    print_message("seed %llu: %lld rows in %lld transactions, the longest took %lld ms; %lld comparisons\n",
                  (unsigned long long) options.seed, (long long) written.rows,
                  (long long) written.transactions, (long long) (written.longest_us / 1000),
                  (long long) written.checks);
}

static void
go_over_seeds(const char *how, pawl_test_writers_options options)
{
    int seeds = pawl_test_is_long() ? 10 : 1;

    options.seed = pawl_test_seed(options.seed);
    for (int i = 0; i < seeds; i++, options.seed++)
        go_with_oracle(how, &options, pawl_test_seconds(1, 10), false);
}

static void
a_rewrite_by_a_transform_agrees_with_the_oracle(void **state)
{
    (void) state;
    go_over_seeds(BY_LUA, (pawl_test_writers_options){.seed = 1});
}

static void
what_was_written_since_survives_the_way_back(void **state)
{
    pawl_test_writers_options options = {.seed = pawl_test_seed(6)};
    int seeds = pawl_test_is_long() ? 10 : 1;

    (void) state;
    for (int i = 0; i < seeds; i++, options.seed++)
        go_with_oracle(WITH_BACK, &options, pawl_test_seconds(2, 10), true);
}

/* What the log holds after so long, `downgrade` carries over. */
static void
five_minutes_of_writes_survive_the_way_back(void **state)
{
    const pawl_test_writers_options options = {.seed = pawl_test_seed(7)};

    (void) state;
    if (!pawl_test_is_long())
        skip();
    go_with_oracle(WITH_BACK, &options, pawl_test_seconds(3, 300), true);
}

static void
a_rewrite_that_leaves_rows_out_agrees_with_the_oracle(void **state)
{
    (void) state;
    go_over_seeds(FEWER, (pawl_test_writers_options){.seed = 2, .may_be_gone = true});
}

static void
a_rewrite_to_another_key_agrees_with_the_oracle(void **state)
{
    (void) state;
    go_over_seeds(OTHERKEY, (pawl_test_writers_options){.seed = 3});
}

static void
a_table_that_is_truncated_again_and_again_agrees_with_the_oracle(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    go_over_seeds(BY_LUA, (pawl_test_writers_options){.seed = 4, .truncate_in = 5000});
}

static void
who_sits_on_a_lock_holds_up_nobody_but_the_cut_over(void **state)
{
    const char *db = pawl_test_database_new("sitting");
    const char *dir = make_project(db, BY_LUA);

    (void) state;
    pawl_test_writers_sit(&(pawl_test_writers_options){.db = db, .seed = pawl_test_seed(5), .rows = 2000},
                          dir, "rewrite.after_settle");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_lost_with_a_transform_in_lua),
        cmocka_unit_test(nothing_is_lost_with_an_expression),
        cmocka_unit_test(truncated_table_is_copied_again),
        cmocka_unit_test(nothing_is_lost_on_the_way_back_through_an_expression),
        cmocka_unit_test(nothing_is_lost_on_the_way_back_through_lua),
        cmocka_unit_test(nothing_is_lost_over_many_seeds),
        cmocka_unit_test(a_rewrite_by_a_transform_agrees_with_the_oracle),
        cmocka_unit_test(what_was_written_since_survives_the_way_back),
        cmocka_unit_test(five_minutes_of_writes_survive_the_way_back),
        cmocka_unit_test(a_rewrite_that_leaves_rows_out_agrees_with_the_oracle),
        cmocka_unit_test(a_rewrite_to_another_key_agrees_with_the_oracle),
        cmocka_unit_test(who_sits_on_a_lock_holds_up_nobody_but_the_cut_over),
        cmocka_unit_test(a_table_that_is_truncated_again_and_again_agrees_with_the_oracle),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
