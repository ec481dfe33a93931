/*
 * Batches written in stripes: what a stripe is, and what is done when one was left half done.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/stripe.h"
#include "support/job.h"
#include "support/place.h"
#include "support/server.h"
#include "support/session.h"
#include "util/alloc.h"
#include "util/failpoint.h"

#include "util/banned.h"

/* ---- the stripe of a row ---------------------------------------------------------------------------------------- */

static void
assert_same_stripes(pawl_pg *pg, const pawl_column *column, const char *values)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_key_column columns[] = {{.column = column}};
    const pawl_key key = {.columns = columns, .ncolumns = 1};

    pawl_sql_add(&sql, "SELECT t.k, ");
    pawl_stripe_sql(&sql, &key);
    pawl_strbuf_addf(&sql, " FROM (%s) AS t (k)", values);
    pawl_test_is_ok(pawl_pg_begin(pg, NULL, &err), &err);
    pawl_test_is_ok(pawl_pg_query(pg, sql.data, 0, NULL, &res, &err), &err);
    pawl_pg_rollback(pg);
    assert_true(pawl_pg_rows(res) > 3);
    for (int i = 0; i < pawl_pg_rows(res); i++)
        if (pawl_stripe_of_row(&key, res, i, 0) != pawl_pg_i64(res, i, 1))
            fail_msg("%s %s: %d here, %s there", column->type_name, pawl_pg_text(res, i, 0),
                     pawl_stripe_of_row(&key, res, i, 0), pawl_pg_text(res, i, 1));
}

static void
the_server_computes_the_same_stripes_for_every_type_of_key(void **state)
{
    static const struct
    {
        pawl_column column;
        const char *values;
    } types[] = {
        {{.type_name = "int2", .base_type = PAWL_OID_INT2},
         "SELECT i::int2 FROM generate_series(-32768, 32767, 97) i"},
        {{.type_name = "int4", .base_type = PAWL_OID_INT4},
         "SELECT i::int4 FROM generate_series(-2147483648, 2147483647, 9999991) i"},
        {{.type_name = "int8", .base_type = PAWL_OID_INT8},
         "SELECT i * 9999999999991 FROM generate_series(-5000, 5000) i"
         " UNION ALL VALUES (9223372036854775807), (-9223372036854775808)"},
        {{.type_name = "oid", .base_type = PAWL_OID_OID}, "SELECT i::oid FROM generate_series(1, 99) i"},
        {{.type_name = "text", .base_type = PAWL_OID_TEXT},
         "SELECT repeat(chr(i), i % 40) || i FROM generate_series(1, 3000) i"},
        {{.type_name = "varchar", .base_type = PAWL_OID_VARCHAR},
         "SELECT ('Größe ' || i)::varchar(20) FROM generate_series(1, 99) i"},
        {{.type_name = "uuid", .base_type = 2950},
         "SELECT md5(i::text)::uuid FROM generate_series(1, 999) i"},
        {{.type_name = "date", .base_type = 1082},
         "SELECT date '2020-01-01' + i FROM generate_series(-99, 999) i"},
        {{.type_name = "timestamp", .base_type = 1114},
         "SELECT timestamp '2020-01-01' + i * interval '1.5 s' FROM generate_series(-99, 999) i"},
        {{.type_name = "timestamptz", .base_type = 1184},
         "SELECT timestamptz '2020-01-01 00:00Z' + i * interval '3.00007 s' FROM generate_series(-99, 999) "
         "i"},
    };
    const char *db = pawl_test_database_new("stripes");
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);

    (void) state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    {
        pawl_column column = types[i].column;

        column.name = "k";
        assert_true(pawl_stripe_has_texts(
            &(pawl_key){.columns = &(pawl_key_column){.column = &column}, .ncolumns = 1}));
        assert_same_stripes(pg, &column, types[i].values);
    }
}

static const pawl_set_expression up[] = {{"n", "t.n + 1"}};

/* ---- a batch that was left half done ---------------------------------------------------------------------------- */

/* As if a worker had died behind stripe 6 of a batch that ends at key 500: of its rows those of stripes 0 to 6 are done,
 * and the chunk is given back. */
static void
leave_half_done(const char *db)
{
    pawl_test_exec(db, "UPDATE t SET n = 1 WHERE id <= 500 AND id % 12 < 7;"
                       "UPDATE pawl.progress SET batch_hi = '{500}', stripe = 7, lease_until = '-infinity',"
                       " owner = 'nobody', backend_pid = NULL");
}

static void
assert_once(const char *db, int rows)
{
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), rows);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE state <> 'done'"
                                             " OR batch_hi IS NOT NULL OR stripe <> 0"),
                     0);
}

/* A job that has begun, and of which nothing is done: its first row is locked until it is cancelled. */
static void
begin_and_fail(pawl_test_job *j, const char *db)
{
    pawl_test_exec(db, "CREATE FUNCTION never() RETURNS trigger LANGUAGE plpgsql AS"
                       " $$ BEGIN RAISE EXCEPTION 'not yet'; END $$;"
                       "CREATE TRIGGER never BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION never()");
    pawl_test_job_go(j);
    pawl_test_job_join(j);
    assert_int_equal(j->st, PAWL_E_SERVER);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.progress WHERE cursor IS NULL"), 1);
    pawl_test_exec(db, "DROP TRIGGER never ON t");
}

static void
finish_half_done(const char *name, bool by_lua, int64_t batch_rows)
{
    const char *db = pawl_test_counted(name, "int", 2000);
    pawl_test_job j;

    pawl_test_job_prepare(&j, db, name);
    if (!by_lua)
    {
        j.spec.lua_file = NULL;
        j.spec.nread = j.spec.nwrite = 0;
        j.spec.set = up;
        j.spec.nset = 1;
    }
    j.spec.batch_rows = batch_rows;
    begin_and_fail(&j, db);
    leave_half_done(db);
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_once(db, 2000);
    /* rows of the stripes that were done are not counted a second time */
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress"),
                     2000 -
                         pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE id <= 500 AND id % 12 < 7"));
}

static void
of_a_half_done_batch_exactly_the_stripes_that_are_left_are_done(void **state)
{
    (void) state;
    finish_half_done("half_lua", true, 100);
    finish_half_done("half_lua_one", true, 600);
    finish_half_done("half_set", false, 100);
    finish_half_done("half_set_one", false, 600);
}

/* Everything that a worker knows of the chunk must be so, or it writes nothing. */
static void
a_stripe_that_somebody_else_has_done_is_noticed(void **state)
{
    const char *db = pawl_test_counted("noticed", "int", 100);
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "noticed");
    begin_and_fail(&j, db);
    leave_half_done(db);
    pawl_test_exec(db, "SELECT pawl.hold(1, 1, fence, NULL, '{500}', 7) FROM pawl.progress");
    static const char *const wrong[] = {"hold(1, 1, fence, NULL)", "hold(1, 1, fence, NULL, '{500}', 6)",
                                        "hold(1, 1, fence, NULL, '{501}', 7)",
                                        "hold(1, 1, fence, NULL, NULL, 7)"};

    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
    {
        PGconn *conn = pawl_test_connect(db);
        char sql[160];

        (void) snprintf(sql, sizeof sql, "SELECT pawl.%s FROM pawl.progress", wrong[i]);

        PGresult *res = PQexec(conn, sql);

        assert_string_equal(PQresultErrorField(res, PG_DIAG_SQLSTATE), "PW001");
        PQclear(res);
        PQfinish(conn);
    }
}

/* ---- batches in flight ------------------------------------------------------------------------------------------ */

static void
prepare_striped(pawl_test_job *j, const char *db, const char *name, bool by_lua)
{
    pawl_test_job_prepare(j, db, name);
    j->spec.form = PAWL_FORM_STRIPED;
    if (by_lua)
        return;
    j->spec.lua_file = NULL;
    j->spec.nread = j->spec.nwrite = 0;
    j->spec.set = up;
    j->spec.nset = 1;
}

/* The application changes, deletes, deletes and inserts again, between the read of a batch and each of its stripes. */
static void
change_between_stripes(const char *name, bool by_lua)
{
    const char *db = pawl_test_counted(name, "int", 6000);
    pawl_test_job j;

    prepare_striped(&j, db, name, by_lua);
    j.spec.batch_rows = 2000;
    j.spec.chunk_rows = 2000;
    pawl_test_job_go(&j);
    pawl_test_wait_until(db, "SELECT count(*) = 3 FROM pawl.progress WHERE stripe > 0", 10000);
    pawl_test_exec(db, "DELETE FROM t WHERE id % 240 = 11");
    for (int i = 0; i < 12; i++)
    {
        char sql[300];

        (void) snprintf(
            sql, sizeof sql,
            "UPDATE t SET s = 'y%d' WHERE id %% 100 = %d;"
            "WITH d AS (DELETE FROM t WHERE id %% 600 = %d RETURNING *) INSERT INTO t SELECT * FROM d",
            i, i * 7, i + 12);
        pawl_test_exec(db, sql);
    }
    pawl_test_job_finish(&j);
    assert_once(db, 6000 - 25);
    /* A batch that has given way to the application, where each waited for the other, is read again without what it deleted. */
    assert_in_range(j.result.progress.rows_read, 6000 - 25, 6000);
    if (!by_lua)
        return;
    assert_true(j.result.progress.rows_moved > 0);
    assert_true(j.result.progress.rows_gone > 0);
}

static void
rows_that_others_change_between_stripes_are_done_once(void **state)
{
    (void) state;
    change_between_stripes("changing", true);
    change_between_stripes("changing_set", false);
}

static int64_t
size_of(const char *db)
{
    return pawl_test_query_i64(db, "SELECT pg_table_size('t') + pg_indexes_size('t')");
}

/* Plain, a table of full pages doubles; in stripes each page takes its new versions itself: some 20 % more, and on a busy
 * machine, where snapshots last longer, up to a third. */
static void
grow(const char *name, bool by_lua, bool is_striped, double least, double most)
{
    const char *db = pawl_test_counted(name, "int", 60000);
    pawl_test_job j;
    int64_t before = 0;
    double growth = 0;

    pawl_test_exec(db, "ALTER TABLE t SET (autovacuum_enabled = off)");
    pawl_test_exec(db, "VACUUM (FREEZE, ANALYZE) t");
    before = size_of(db);
    prepare_striped(&j, db, name, by_lua);
    j.spec.form = is_striped ? PAWL_FORM_STRIPED : PAWL_FORM_PLAIN;
    j.spec.batch_rows = 5000;
    j.spec.chunk_rows = 10000;
    j.spec.workers = 2;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_once(db, 60000);
    growth = (double) (size_of(db) - before) / (double) before;
    if (growth < least || growth > most)
        fail_msg("%s: the table has grown by %.0f %%", name, growth * 100);
}

static void
a_table_that_is_written_in_stripes_hardly_grows(void **state)
{
    (void) state;
    grow("grow_lua", true, true, 0, 0.45);
    grow("grow_set", false, true, 0, 0.45);
    grow("grow_plain", true, false, 0.7, 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_server_computes_the_same_stripes_for_every_type_of_key),
        cmocka_unit_test(of_a_half_done_batch_exactly_the_stripes_that_are_left_are_done),
        cmocka_unit_test(a_stripe_that_somebody_else_has_done_is_noticed),
        cmocka_unit_test(rows_that_others_change_between_stripes_are_done_once),
        cmocka_unit_test(a_table_that_is_written_in_stripes_hardly_grows),
    };

    pawl_failpoint_arm("backfill.between_stripes=sleep:2");
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
