/* Tables of unusual shapes: very wide rows, values out of line, hundreds of columns, columns that the server fills, and
 * what a batch costs: its statements, and what it reads. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *
database(const char *name, const char *sql)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

static void
run_ok(pawl_test_job *j)
{
    j->st = pawl_test_backfill(&j->spec, &j->env, j->job, &j->result, &j->err);
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
}

/* A line of /proc/self/status, in kB. */
static long
status_kb(const char *name)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[200];
    long kb = 0;

    assert_non_null(file);
    while (fgets(line, sizeof line, file) != NULL)
        if (strncmp(line, name, strlen(name)) == 0)
            kb = strtol(line + strlen(name) + 1, NULL, 10);
    (void) fclose(file);
    return kb;
}

static void
forget_peak(void)
{
    FILE *file = fopen("/proc/self/clear_refs", "w");

    assert_non_null(file);
    assert_true(fputs("5", file) >= 0);
    (void) fclose(file);
}

/* 3,000 rows of 20 kB that compress well, so that no statistics would tell, in batches of "5,000". */
static void
wide_rows_are_read_few_at_a_time(void **state)
{
    static const char *const s[] = {"s"};
    const char *db =
        database("wide", "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, s text);"
                         "INSERT INTO t SELECT i, 0, repeat('x', 20000) FROM generate_series(1, 3000) i");
    pawl_test_job j;
    long before = 0;

    (void) state;
    pawl_test_job_prepare(&j, db, "wide");
    j.env =
        pawl_test_env(db, pawl_test_transform("measure", "return function(row) return { n = #row.s } end"));
    j.spec.lua_file = "transforms/measure.lua";
    j.spec.read = s;
    j.spec.workers = 2;
    j.spec.batch_rows = 5000;
    forget_peak();
    before = status_kb("VmRSS:");
    run_ok(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 20000"), 3000);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(status_kb("VmHWM:") - before < 2 * 8 * 1024 + 8 * 1024);
#else
    (void) before;
#endif
}

/* What lies out of line is neither read nor written anew. */
static void
values_out_of_line_that_are_not_named_are_not_touched(void **state)
{
    const char *db =
        database("toast", "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, s text);"
                          "ALTER TABLE t ALTER s SET STORAGE EXTERNAL;"
                          "INSERT INTO t SELECT i, 0, repeat('x', 20000) FROM generate_series(1, 500) i;"
                          "ANALYZE t");
    const char *size = "SELECT pg_relation_size(reltoastrelid) FROM pg_class WHERE oid = 't'::regclass";
    const char *reads =
        "SELECT coalesce(toast_blks_read, 0) + coalesce(toast_blks_hit, 0) FROM pg_statio_user_tables "
        "WHERE relname = 't'";
    int64_t was_size = pawl_test_query_i64(db, size);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "SELECT pg_stat_reset(), pg_sleep(0.2)");
    pawl_test_job_prepare(&j, db, "toast");
    run_ok(&j);
    pawl_test_exec(db, "SELECT pg_sleep(0.2)");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 500);
    assert_true(was_size > 500 * 20000);
    assert_int_equal(pawl_test_query_i64(db, size), was_size);
    assert_int_equal(pawl_test_query_i64(db, reads), 0);
}

static void
a_table_of_five_hundred_columns_is_one_like_another(void **state)
{
    const char *db =
        database("broad", "DO $$ BEGIN EXECUTE 'CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL, ' || "
                          "(SELECT string_agg('c' || i || ' int', ', ') FROM generate_series(1, 498) i) "
                          "|| ')'; END $$;"
                          "INSERT INTO t (id, n, c498) SELECT i, 0, i FROM generate_series(1, 300) i");
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "broad");
    run_ok(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND c498 = id"), 300);
}

static void
a_where_may_fit_no_row_or_every_row(void **state)
{
    const char *db = pawl_test_counted("fits", "int", 1000);
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "none");
    j.spec.where = "n > 5";
    run_ok(&j);
    assert_int_equal(j.result.progress.rows_written, 0);
    pawl_test_job_prepare(&j, db, "all");
    j.spec.where = "n < 5";
    run_ok(&j);
    assert_int_equal(j.result.progress.rows_written, 1000);
    pawl_test_exec(db, "TRUNCATE t");
    pawl_test_job_prepare(&j, db, "empty");
    run_ok(&j);
    assert_int_equal(j.result.progress.rows_read, 0);
}

/* Domains with checks, identity, generated columns, arrays of two dimensions with NULLs, composites, ranges: read as
 * text, handed back as they are, and computed by SQL. */
static void
columns_of_every_kind_stand_beside_what_is_written(void **state)
{
    static const char *const read[] = {"a", "c", "r", "j", "d"};
    static const char *const write[] = {"a2", "c2", "r2", "j2", "d2"};
    const char *db = database(
        "kinds",
        "CREATE TYPE pair AS (x int, y text); CREATE DOMAIN small AS int CHECK (value < 100);"
        "CREATE TABLE t (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n small NOT NULL DEFAULT 0,"
        " twice int GENERATED ALWAYS AS (n * 2) STORED, a int[], c pair[], r int4range, j jsonb, d small[],"
        " a2 int[], c2 pair[], r2 int4range, j2 jsonb, d2 small[]);"
        "INSERT INTO t (a, c, r, j, d) SELECT ARRAY[[1, NULL], [i, 4]], ARRAY[ROW(i, 'a,\"b')::pair, NULL],"
        " int4range(i, i + 3), jsonb_build_object('k', i, 'n', NULL), '[2:3]={1,2}'::int[]::small[]"
        " FROM generate_series(1, 250) i");
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "kinds");
    j.env = pawl_test_env(db, pawl_test_transform("hand",
                                                  "return function(r) return { a2 = r.a, c2 = r.c, r2 = r.r, "
                                                  "j2 = r.j, d2 = r.d } end"));
    j.spec.lua_file = "transforms/hand.lua";
    j.spec.read = read;
    j.spec.nread = 5;
    j.spec.write = write;
    j.spec.nwrite = 5;
    run_ok(&j);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE a2::text = a::text AND c2::text = c::text"
                                " AND r2 = r AND j2 = j AND d2::text = d::text"),
        250);
}

/* A cast to varchar(3)[] would cut; an assignment refuses. */
static void
a_text_that_is_too_long_is_refused_and_not_cut(void **state)
{
    static const char *const v[] = {"v"};
    const char *db = database("cut", "CREATE TABLE t (id int PRIMARY KEY, n int, v varchar(3)[]);"
                                     "INSERT INTO t SELECT i, 0, NULL FROM generate_series(1, 3) i");
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "cut");
    j.env = pawl_test_env(
        db, pawl_test_transform("long", "return function(r) return { v = { 'abcdef', n = 1 } } end"));
    j.spec.lua_file = "transforms/long.lua";
    j.spec.write = v;
    assert_int_not_equal(pawl_test_backfill(&j.spec, &j.env, "cut", &j.result, &j.err), PAWL_OK);
    assert_string_equal(j.err.sqlstate, "22001");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE v IS NOT NULL"), 0);
}

/* Statements of the whole job, as the server counts them in its log. */
static int64_t
statements_of(const char *db, const char *job, int rows)
{
    char sql[200];
    pawl_test_job j;
    int64_t count = 0;

    (void) snprintf(sql, sizeof sql,
                    "TRUNCATE t; INSERT INTO t SELECT i, 0, 'x' FROM generate_series(1, %d) i", rows * 10);
    pawl_test_exec(db, sql);
    pawl_test_job_prepare(&j, db, job);
    j.spec.batch_rows = rows;
    j.spec.chunk_rows = rows * 10;
    pawl_test_exec(db, "SELECT pg_stat_reset()");
    run_ok(&j);
    pawl_test_exec(db, "SELECT pg_sleep(0.2)");
    count = pawl_test_query_i64(db, "SELECT xact_commit + xact_rollback FROM pg_stat_database "
                                    "WHERE datname = current_database()");
    assert_true(j.result.progress.batches <= 11);
    return count;
}

/* Transactions stand for round trips here: ten batches take as many for ten rows each as for five hundred. */
static void
a_batch_costs_the_same_whatever_its_size(void **state)
{
    const char *db = pawl_test_counted("costs", "int", 10);
    int64_t few = statements_of(db, "few", 10);
    int64_t many = statements_of(db, "many", 500);

    (void) state;
    assert_true(many <= few + 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wide_rows_are_read_few_at_a_time),
        cmocka_unit_test(values_out_of_line_that_are_not_named_are_not_touched),
        cmocka_unit_test(a_table_of_five_hundred_columns_is_one_like_another),
        cmocka_unit_test(a_where_may_fit_no_row_or_every_row),
        cmocka_unit_test(columns_of_every_kind_stand_beside_what_is_written),
        cmocka_unit_test(a_text_that_is_too_long_is_refused_and_not_cut),
        cmocka_unit_test(a_batch_costs_the_same_whatever_its_size),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
