/* How the indexes of a rewritten table are built. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/job.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const pawl_rewrite_id id = {
    .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

static const pawl_rewrite_column to_number[] = {
    {.name = "price", .type = "numeric(10,2)", .using = "price::numeric", .not_null = -1}};

static pawl_status
rewrite(const char *db, const pawl_rewrite_spec *spec, pawl_error *err)
{
    pawl_backfill_env base = pawl_test_env(db, NULL);
    const pawl_rewrite_env env = {.base = &base};
    pawl_rewrite_result result;

    return pawl_rewrite_run(spec, &env, &id, &result, err);
}

static void
must_rewrite(const char *db, const pawl_rewrite_spec *spec)
{
    pawl_error err = PAWL_ERROR_INIT;

    if (rewrite(db, spec, &err) != PAWL_OK)
        fail_msg("%s (%s) %s / %s", err.message, err.sqlstate, err.detail, err.hint);
}

/* `body` runs in every CREATE INDEX that meets a row, through the expression look(n) of an index. */
static const char *
table_that_looks(const char *name, const char *body, const char *indexes)
{
    const char *db = pawl_test_database_new(name);
    char sql[2000];

    pawl_test_ledger(db);
    pawl_fmt(sql, sizeof sql,
             "CREATE FUNCTION look(n int) RETURNS int IMMUTABLE LANGUAGE plpgsql AS $$ BEGIN"
             "  IF current_query() LIKE 'CREATE INDEX%%' THEN %s END IF; RETURN n; END $$;"
             "CREATE TABLE product (id int PRIMARY KEY, price text, n int); %s"
             "INSERT INTO product SELECT i, i || '.5', i FROM generate_series(1, 500) i",
             body, indexes);
    pawl_test_exec(db, sql);
    return db;
}

static void
indexes_are_built_side_by_side(void **state)
{
    /* Each build waits until the other has begun; one after the other they never would. (A sequence shows at once.) */
    const char *db = table_that_looks(
        "index_both",
        "IF n > 1000 THEN PERFORM nextval('public.two'); ELSE PERFORM nextval('public.one'); END IF;"
        "FOR i IN 1 .. 6000 LOOP"
        "  IF (SELECT is_called FROM public.one) AND (SELECT is_called FROM public.two) THEN RETURN n; END "
        "IF;"
        "  PERFORM pg_sleep(0.01);"
        "END LOOP; RAISE 'built alone';",
        "CREATE SEQUENCE one; CREATE SEQUENCE two;"
        "CREATE INDEX product_a ON product (look(n)); CREATE INDEX product_b ON product (look(n + 1000));");
    pawl_rewrite_spec spec = {.table = "product", .change = to_number, .nchange = 1, .workers = 2};

    (void) state;
    must_rewrite(db, &spec);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'product'",
        "product_a,product_b,product_pkey");
}

static void
builds_have_the_memory_that_is_told(void **state)
{
    const char *db = table_that_looks("index_memory",
                                      "IF current_setting('maintenance_work_mem') <> '77MB' THEN RAISE "
                                      "'has %', current_setting('maintenance_work_mem'); END IF;",
                                      "CREATE INDEX product_a ON product (look(n));");
    pawl_rewrite_spec spec = {
        .table = "product", .change = to_number, .nchange = 1, .workers = 2, .memory = "77MB"};

    (void) state;
    must_rewrite(db, &spec);
}

/* Every build of the rewrite sees so much memory and so many parallel workers. */
static void
assert_builds_have(const char *name, const char *servers_memory, int workers, const char *indexes,
                   const char *expected)
{
    char body[400];
    char sql[200];
    const char *db;
    pawl_rewrite_spec spec = {.table = "product", .change = to_number, .nchange = 1, .workers = workers};

    pawl_fmt(body, sizeof body,
             "IF concat_ws(' ', current_setting('maintenance_work_mem'), "
             "current_setting('max_parallel_maintenance_workers')) <> '%s' THEN RAISE 'has %% and %%', "
             "current_setting('maintenance_work_mem'), current_setting('max_parallel_maintenance_workers'); "
             "END IF;",
             expected);
    db = table_that_looks(name, body, indexes);
    pawl_fmt(sql, sizeof sql,
             "ALTER DATABASE %s SET maintenance_work_mem = '%s'; ALTER DATABASE %s SET "
             "max_parallel_maintenance_workers = 4",
             name, servers_memory, name);
    pawl_test_exec(db, sql);
    must_rewrite(db, &spec);
}

static void
builds_share_the_processors_and_have_what_their_sort_needs(void **state)
{
    static const char one[] = "CREATE INDEX product_a ON product (look(n));";
    static const char two[] =
        "CREATE INDEX product_a ON product (look(n)); CREATE INDEX product_b ON product (look(n), id);";

    (void) state;
    assert_builds_have("index_alone", "256MB", 1, one, "16MB 0");
    assert_builds_have("index_two_hands", "256MB", 2, one, "64MB 1");
    assert_builds_have("index_many_hands", "256MB", 9, one, "160MB 4");
    assert_builds_have("index_one_each", "256MB", 3, two, "16MB 0");
    assert_builds_have("index_two_each", "256MB", 5, two, "64MB 1");
}

static void
builds_have_no_more_memory_than_the_server_has_for_them(void **state)
{
    const char *db =
        table_that_looks("index_little",
                         "IF pg_size_bytes(current_setting('maintenance_work_mem')) <> "
                         "     least(pg_size_bytes(current_setting('shared_buffers')) / 8, 16777216) THEN"
                         "  RAISE 'has %', current_setting('maintenance_work_mem'); END IF;",
                         "CREATE INDEX product_a ON product (look(n));");
    pawl_rewrite_spec spec = {.table = "product", .change = to_number, .nchange = 1};

    (void) state;
    pawl_test_exec(db, "ALTER DATABASE index_little SET maintenance_work_mem = '1MB'");
    must_rewrite(db, &spec);
}

static void
memory_that_is_none_is_refused_before_the_copy(void **state)
{
    const char *db = table_that_looks("index_wrong", "", "");
    pawl_rewrite_spec spec = {.table = "product", .change = to_number, .nchange = 1, .memory = "plenty"};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(rewrite(db, &spec, &err), PAWL_E_SERVER);
    pawl_test_assert_contains(err.message, "maintenance_work_mem");
    pawl_test_assert_query(db, "SELECT count(*) FROM pawl.progress", "0");
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_class WHERE relname LIKE 'pawl%' AND relkind = 'r'",
                           "0");
}

static void
values_that_are_not_unique_any_more_end_the_rewrite(void **state)
{
    const char *db = table_that_looks(
        "index_twice", "", "ALTER TABLE product ADD UNIQUE (n); CREATE INDEX product_a ON product (price);");
    const pawl_rewrite_column change[] = {{.name = "n", .type = "bigint", .using = "n / 2", .not_null = -1}};
    pawl_rewrite_spec spec = {.table = "product", .change = change, .nchange = 1, .workers = 2};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(rewrite(db, &spec, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "23505");
    pawl_test_assert_contains(err.message, "product_n_key");
    pawl_test_assert_contains(err.hint, "not unique");
    /* The other one was built all the same. */
    pawl_test_assert_query(
        db, "SELECT count(*) FROM pg_index WHERE indrelid = 'pawl_1_new'::regclass AND NOT indisunique", "1");
    /* Mended in the table, it goes on. */
    pawl_test_exec(db, "UPDATE product SET n = n * 2 + 2000");
    must_rewrite(db, &spec);
    pawl_test_assert_query(db, "SELECT count(DISTINCT n) || ' ' || max(n) FROM product", "500 1500");
}

static void
constraints_take_the_indexes_that_were_built(void **state)
{
    const char *db = table_that_looks("index_constraint", "",
                                      "ALTER TABLE product ADD CONSTRAINT late UNIQUE (n, id) INCLUDE "
                                      "(price) DEFERRABLE INITIALLY DEFERRED,"
                                      "  ADD CONSTRAINT filled UNIQUE (price, n) WITH (fillfactor = 70); "
                                      "ALTER INDEX product_pkey SET (fillfactor = 60);");
    pawl_rewrite_spec spec = {.table = "product", .change = to_number, .nchange = 1, .workers = 2};

    (void) state;
    must_rewrite(db, &spec);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ' ORDER BY conname) FROM "
        "pg_constraint WHERE conrelid = 'product'::regclass AND contype IN ('u', 'p')",
        "filled UNIQUE (price, n); late UNIQUE (n, id) INCLUDE (price) DEFERRABLE "
        "INITIALLY DEFERRED; product_pkey PRIMARY KEY (id)");
    pawl_test_assert_query(db, "SELECT reloptions::text FROM pg_class WHERE relname = 'filled'",
                           "{fillfactor=70}");
    pawl_test_assert_query(db, "SELECT reloptions::text FROM pg_class WHERE relname = 'product_pkey'",
                           "{fillfactor=60}");
}

static void
new_primary_key_takes_an_index_as_well(void **state)
{
    const char *db = table_that_looks("index_primary", "", "");
    const char *key[] = {"n", "id"};
    pawl_rewrite_spec spec = {.table = "product", .primary_key = key, .nprimary_key = 2, .workers = 2};

    (void) state;
    must_rewrite(db, &spec);
    pawl_test_assert_query(
        db,
        "SELECT string_agg(conname || ' ' || pg_get_constraintdef(oid), '; ') FROM pg_constraint WHERE "
        "conrelid = 'product'::regclass AND contype = 'p'",
        "product_pkey PRIMARY KEY (n, id)");
    pawl_test_assert_query(
        db, "SELECT string_agg(indexname, ',') FROM pg_indexes WHERE tablename = 'product'", "product_pkey");
}

static const char revision_text[] =
    "revision: \"aaaa0001\"\n"
    "parents: []\n"
    "up:\n"
    "  - rewrite_table:\n"
    "      table: product\n"
    "      change: { price: { type: \"numeric(10,2)\", using: \"price::numeric\" } }\n"
    "      workers: 1\n"
    "      maintenance_work_mem: 32MB\n"
    "      keep_old: false\n";

static const char *
project(const char *name, const char **db)
{
    const char *dir;

    *db = pawl_test_database_new(name);
    dir = pawl_test_project_new(*db, NULL);
    pawl_test_exec(*db,
                   "CREATE TABLE product (id int PRIMARY KEY, price text, n int); CREATE INDEX product_a ON "
                   "product (n); CREATE INDEX product_b ON product (n, id);"
                   "INSERT INTO product SELECT i, i || '.5', i FROM generate_series(1, 500) i");
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", revision_text);
    return dir;
}

static void
what_was_built_before_a_kill_stays(void **state)
{
    static const char *const env[] = {"PAWL_FAILPOINT=rewrite.in_unit=kill@4", NULL};
    const char *db = NULL;
    const char *dir = project("index_killed", &db);
    pawl_test_output output = pawl_test_pawl(dir, "upgrade", "head", env);
    char *built;

    (void) state;
    assert_int_equal(output.signal_number, SIGKILL);
    pawl_test_output_free(&output);
    built =
        pawl_test_query_text(db, "SELECT string_agg(indexrelid::text, ',') FROM pg_index WHERE indrelid = "
                                 "'pawl_1_new'::regclass AND NOT indisprimary");
    assert_null(strchr(built, ','));
    assert_true(built[0] != '\0');
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_assert_query(db, "SELECT 'product_a'::regclass::oid", built);
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_index WHERE indrelid = 'product'::regclass", "3");
    free(built);
}

static void
build_of_a_process_that_was_taken_for_dead_is_rolled_back(void **state)
{
    static const char *const args[] = {"upgrade", "head", NULL};
    static const char *const env[] = {"PAWL_FAILPOINT=rewrite.in_unit=stop@3", NULL};
    const char *db = NULL;
    const char *dir = project("index_stalled", &db);
    pawl_test_process *process = pawl_test_start(args, env, dir);
    pawl_test_output output;

    (void) state;
    pawl_test_wait_until(
        db,
        "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE datname = current_database() AND "
        "application_name = 'pawl rewrite (index)' AND state = 'idle in transaction' AND query LIKE "
        "'CREATE INDEX%')",
        60000);
    /* Nothing of the build keeps another process from taking over. */
    pawl_test_exec(db, "SET lock_timeout = '10s'; UPDATE pawl.runner SET fence = fence + 1");
    pawl_test_kill(pawl_test_process_pid(process), SIGCONT);
    output = pawl_test_wait(process, 60000);
    assert_int_equal(output.exit_code, 1);
    pawl_test_output_free(&output);
    pawl_test_assert_query(db, "SELECT count(*) FROM pg_index WHERE indrelid = 'pawl_1_new'::regclass", "1");
}

static const char manual_text[] = "revision: \"aaaa0001\"\n"
                                  "parents: []\n"
                                  "up:\n"
                                  "  - rewrite_table:\n"
                                  "      table: product\n"
                                  "      change: { price: { type: numeric, using: \"price::numeric\" } }\n"
                                  "      cutover: manual\n"
                                  "      keep_old: false\n";

static void
application_does_not_stand_behind_an_autovacuum_of_the_new_table(void **state)
{
    static const char *const args[] = {"upgrade", "head", NULL};
    const char *db = NULL;
    const char *dir = project("index_vacuumed", &db);
    pawl_test_process *process;
    pawl_test_output output;
    PGconn *vacuum;

    (void) state;
    pawl_test_project_write(dir, "migrations/aaaa0001.yaml", manual_text);
    process = pawl_test_start(args, NULL, dir);
    pawl_test_wait_until(
        db,
        "SELECT to_regclass('pawl.job') IS NOT NULL AND (xpath('/row/n/text()', query_to_xml("
        "'SELECT count(*) AS n FROM pawl.job WHERE phase = ''ready''', false, true, '')))[1]::text "
        "= '1'",
        60000);
    vacuum = pawl_test_connect(db);
    pawl_test_run_on(vacuum, "BEGIN; LOCK TABLE pawl_1_new IN SHARE UPDATE EXCLUSIVE MODE");
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    pawl_test_wait_until(
        db,
        "SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' AND "
        "relation = to_regclass('pawl_1_new'))",
        60000);
    pawl_test_assert_query(db,
                           "SELECT count(*) FROM pg_locks WHERE mode = 'AccessExclusiveLock' AND relation = "
                           "'product'::regclass",
                           "0");
    pawl_test_exec(db, "SET lock_timeout = '100ms'; UPDATE product SET n = -1 WHERE id = 1");
    pawl_test_run_on(vacuum, "COMMIT");
    PQfinish(vacuum);
    output = pawl_test_wait(process, 60000);
    if (output.exit_code != 0)
        fail_msg("%s", output.err);
    pawl_test_output_free(&output);
    pawl_test_assert_query(db, "SELECT n || pg_typeof(price)::text FROM product WHERE id = 1", "-1numeric");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(indexes_are_built_side_by_side),
        cmocka_unit_test(builds_have_the_memory_that_is_told),
        cmocka_unit_test(builds_share_the_processors_and_have_what_their_sort_needs),
        cmocka_unit_test(builds_have_no_more_memory_than_the_server_has_for_them),
        cmocka_unit_test(memory_that_is_none_is_refused_before_the_copy),
        cmocka_unit_test(values_that_are_not_unique_any_more_end_the_rewrite),
        cmocka_unit_test(constraints_take_the_indexes_that_were_built),
        cmocka_unit_test(new_primary_key_takes_an_index_as_well),
        cmocka_unit_test(what_was_built_before_a_kill_stays),
        cmocka_unit_test(build_of_a_process_that_was_taken_for_dead_is_rolled_back),
        cmocka_unit_test(application_does_not_stand_behind_an_autovacuum_of_the_new_table),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
