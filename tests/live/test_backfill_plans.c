/* Which index a batch goes by: the key's, whatever other index there is and whatever the statistics say. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const COLUMN_N[] = {"n"};
static const char INCREMENT[] = "return function(row) return { n = row.n + 1 } end";

static pawl_backfill_spec
increment_spec(void)
{
    pawl_backfill_spec spec = pawl_test_spec("t");

    spec.lua_file = "transforms/increment.lua";
    spec.read = COLUMN_N;
    spec.nread = 1;
    spec.write = COLUMN_N;
    spec.nwrite = 1;
    spec.workers = 1;
    return spec;
}

/* Tuples that scans of an index brought up. */
static int64_t
read_by(const char *db, const char *index)
{
    char sql[200];

    pawl_test_exec(db, "SELECT pg_sleep(0.1)");
    (void) snprintf(sql, sizeof sql,
                    "SELECT idx_tup_read FROM pg_stat_user_indexes WHERE indexrelname = '%s'", index);
    return pawl_test_query_i64(db, sql);
}

/* Analysed when no row matched `where`, and an index that would find the few that do. */
static const char *
table_with_stale_statistics(const char *name)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_exec(db, "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL, s text, p int)"
                       " WITH (autovacuum_enabled = off);"
                       "INSERT INTO t SELECT i, 0, 'x', 1 FROM generate_series(1, 20000) i;"
                       "CREATE INDEX rare ON t (s) WHERE p IS NULL; CREATE INDEX few ON t (p);"
                       "ANALYZE t; UPDATE t SET p = NULL");
    pawl_test_ledger(db);
    return db;
}

static void
a_where_does_not_choose_the_index_of_a_read(void **state)
{
    const char *db = table_with_stale_statistics("readplan");
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    spec.where = "p IS NULL";
    spec.batch_rows = 500;
    (void) pawl_test_backfill_ok(&spec, &env, "readplan");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
    assert_int_equal(read_by(db, "rare"), 0);
    assert_int_equal(read_by(db, "few"), 0);
}

static void
a_where_does_not_choose_the_index_of_a_set(void **state)
{
    const pawl_set_expression set[] = {{"n", "n + 1"}};
    const char *db = table_with_stale_statistics("setplan");
    pawl_backfill_env env = pawl_test_env(db, ".");
    pawl_backfill_spec spec = pawl_test_spec("t");

    (void) state;
    spec.set = set;
    spec.nset = 1;
    spec.where = "p IS NULL";
    spec.batch_rows = 500;
    (void) pawl_test_backfill_ok(&spec, &env, "setplan");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
    assert_int_equal(read_by(db, "rare"), 0);
    assert_int_equal(read_by(db, "few"), 0);
}

/* Of a row comparison the planner looks at the first column alone: the whole tenant, by the index on the tenant. */
static void
a_batch_inside_one_tenant_does_not_read_the_tenant(void **state)
{
    const char *db = pawl_test_database_new("tenants");
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (tenant int, u uuid, n int NOT NULL, PRIMARY KEY (tenant, u));"
                       "INSERT INTO t SELECT i % 3, gen_random_uuid(), 0 FROM generate_series(1, 30000) i;"
                       "CREATE INDEX by_tenant ON t (tenant); ANALYZE t");
    pawl_test_ledger(db);
    spec.batch_rows = 500;
    (void) pawl_test_backfill_ok(&spec, &env, "tenants");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 30000);
    /* The batches that reach from one tenant into the next may. */
    assert_true(read_by(db, "by_tenant") < 3 * 30000);
}

/* An index that was built while an older transaction may still look at the table is passed over by new ones. */
static void
an_index_that_is_not_used_yet_is_noticed_before_the_first_row(void **state)
{
    static const pawl_set_expression set[] = {{"n", "n + 1"}};
    const char *db = pawl_test_database_new("unused");
    PGconn *old = pawl_test_connect(db);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    pawl_backfill_spec spec = increment_spec();
    pawl_backfill_result r = {0};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id int NOT NULL, n int NOT NULL) WITH (fillfactor = 20);"
                       "INSERT INTO t SELECT i, 0 FROM generate_series(1, 5000) i; ANALYZE t");
    pawl_test_ledger(db);
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT pg_current_xact_id()");
    pawl_test_exec(db, "UPDATE t SET id = id + 10000 WHERE id < 100");
    pawl_test_exec(db, "CREATE UNIQUE INDEX fresh ON t (id)");
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT count(*) FROM pg_index WHERE indcheckxmin AND indrelid = 't'::regclass"),
                     1);
    spec.batch_rows = 500;
    assert_int_equal(pawl_test_backfill(&spec, &env, "unused", &r, &err), PAWL_E_REFUSED);
    pawl_test_assert_contains(err.message, "\"fresh\"");
    pawl_test_assert_contains(err.detail, "Seq Scan on t");
    spec.any_plan = true;
    (void) pawl_test_backfill_ok(&spec, &env, "unused");
    PQfinish(old);
    pawl_test_wait_until(db,
                         "SELECT pg_snapshot_xmin(pg_current_snapshot())::text::bigint > xmin::text::bigint "
                         "FROM pg_index WHERE indexrelid = 'fresh'::regclass",
                         10000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 5000);
    spec = pawl_test_spec("t");
    spec.set = set;
    spec.nset = 1;
    (void) pawl_test_backfill_ok(&spec, &env, "used");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 2"), 5000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_where_does_not_choose_the_index_of_a_read),
        cmocka_unit_test(a_where_does_not_choose_the_index_of_a_set),
        cmocka_unit_test(an_index_that_is_not_used_yet_is_noticed_before_the_first_row),
        cmocka_unit_test(a_batch_inside_one_tenant_does_not_read_the_tenant),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
