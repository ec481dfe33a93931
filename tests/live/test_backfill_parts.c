/* Tables in several pieces: partitions of every shape, with keys of their own; those that come and go meanwhile; tables
 * that inherit. The transform counts up, so that a row done twice or never shows. */
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

static const char *
database(const char *name, const char *sql)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

/* One job, by Lua, in batches so small that every part takes several chunks. */
static void
prepare(pawl_test_job *j, const char *db, const char *job)
{
    pawl_test_job_prepare(j, db, job);
    j->spec.batch_rows = 7;
    j->spec.chunk_rows = 20;
    j->spec.workers = 2;
}

static void
run(pawl_test_job *j)
{
    j->st = pawl_test_backfill(&j->spec, &j->env, j->job, &j->result, &j->err);
}

static void
run_ok(pawl_test_job *j)
{
    run(j);
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
}

static void
assert_refused(pawl_test_job *j, const char *with)
{
    char all[1800];

    j->err = (pawl_error) PAWL_ERROR_INIT;
    run(j);
    assert_int_not_equal(j->st, PAWL_OK);
    (void) snprintf(all, sizeof all, "%s | %s | %s", j->err.message, j->err.detail, j->err.hint);
    pawl_test_assert_contains(all, with);
}

/* Leaves with keys of different columns, order of columns, depth and size. */
static const char MIXED[] =
    "CREATE TABLE t (id int NOT NULL, k text COLLATE \"C\" NOT NULL, n int NOT NULL) PARTITION BY RANGE (id);"
    "CREATE TABLE t_low PARTITION OF t (PRIMARY KEY (id)) FOR VALUES FROM (MINVALUE) TO (100);"
    "CREATE TABLE \"T \"\"odd\"\"\" (junk int, n int NOT NULL, k text COLLATE \"C\" NOT NULL, id int NOT "
    "NULL,"
    " UNIQUE (k, id));"
    "ALTER TABLE \"T \"\"odd\"\"\" DROP junk;"
    "ALTER TABLE t ATTACH PARTITION \"T \"\"odd\"\"\" FOR VALUES FROM (100) TO (200);"
    "CREATE TABLE t_sub PARTITION OF t FOR VALUES FROM (200) TO (400) PARTITION BY HASH (k);"
    "CREATE TABLE t_sub_0 PARTITION OF t_sub (PRIMARY KEY (k)) FOR VALUES WITH (MODULUS 2, REMAINDER 0);"
    "CREATE TABLE t_sub_1 PARTITION OF t_sub FOR VALUES WITH (MODULUS 2, REMAINDER 1) PARTITION BY LIST (id);"
    "CREATE TABLE t_sub_1_rest PARTITION OF t_sub_1 (UNIQUE (id)) DEFAULT;"
    "CREATE TABLE t_empty PARTITION OF t (PRIMARY KEY (id)) FOR VALUES FROM (400) TO (500);"
    "CREATE TABLE t_rest PARTITION OF t (PRIMARY KEY (k, id)) DEFAULT;"
    "INSERT INTO t SELECT i, 'k' || i, 0 FROM generate_series(1, 399) i;"
    "INSERT INTO t SELECT i, 'k' || i, 0 FROM generate_series(500, 700) i;";

static void
every_leaf_is_done_by_its_own_key(void **state)
{
    const char *db = database("leaves", MIXED);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "leaves");
    run_ok(&j);
    assert_int_equal(j.result.progress.rows_written, 600);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FILTER (WHERE n <> 1) FROM t"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.part"), 6);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.part WHERE bound IS NULL"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
    run_ok(&j);
    assert_true(j.result.was_done);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FILTER (WHERE n <> 1) FROM t"), 0);
}

static void
expressions_are_computed_in_every_leaf(void **state)
{
    static const pawl_set_expression set[] = {{"n", "t.n + 1"}};
    const char *db = database("exprs", MIXED);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "exprs");
    j.spec.lua_file = NULL;
    j.spec.nread = 0;
    j.spec.nwrite = 0;
    j.spec.set = set;
    j.spec.nset = 1;
    j.spec.where = "id % 2 = 0";
    run_ok(&j);
    assert_int_equal(j.result.progress.rows_written, 300);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FILTER (WHERE n <> 1 - id % 2) FROM t"), 0);
}

static const char YEARS[] =
    "CREATE TABLE t (id int NOT NULL, n int NOT NULL, m smallint NOT NULL DEFAULT 0) PARTITION BY RANGE (id);"
    "CREATE TABLE t1 PARTITION OF t (PRIMARY KEY (id)) FOR VALUES FROM (1) TO (101);"
    "CREATE TABLE t2 PARTITION OF t (PRIMARY KEY (id)) FOR VALUES FROM (101) TO (201);"
    "CREATE TABLE t3 PARTITION OF t (PRIMARY KEY (id)) FOR VALUES FROM (201) TO (301);"
    "INSERT INTO t SELECT i, 0, i FROM generate_series(1, 300) i;";

/* The job stands in the second partition, before a row that `holder` has locked. */
static void
stop_before_row(pawl_test_job *j, PGconn *holder, const char *db, int id)
{
    char sql[100];

    (void) snprintf(sql, sizeof sql, "BEGIN; SELECT FROM t WHERE id = %d FOR UPDATE", id);
    pawl_test_run_on(holder, sql);
    j->spec.workers = 1;
    pawl_test_job_go(j);
    (void) snprintf(sql, sizeof sql, "SELECT count(*) = %d FROM t WHERE n = 1", id - 1);
    pawl_test_wait_until(db, sql, 20000);
}

static void
partitions_that_come_meanwhile_are_done(void **state)
{
    const char *db = database("comes", YEARS);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "comes");
    stop_before_row(&j, holder, db, 150);
    pawl_test_exec(db,
                   "CREATE TABLE a_new (id int PRIMARY KEY, n int NOT NULL, m smallint NOT NULL DEFAULT 0);"
                   "INSERT INTO a_new SELECT i, 0 FROM generate_series(301, 350) i;"
                   "ALTER TABLE t ATTACH PARTITION a_new FOR VALUES FROM (301) TO (401)");
    pawl_test_run_on(holder, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(holder);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 350);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'part_found'"), 1);
    assert_int_equal(j.result.progress.rows_written, 350);
}

static void
a_partition_without_a_key_that_comes_meanwhile_leaves_the_job_open(void **state)
{
    const char *db = database("keyless", YEARS);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "keyless");
    stop_before_row(&j, holder, db, 150);
    pawl_test_run_on(holder, "CREATE TABLE t4 PARTITION OF t FOR VALUES FROM (301) TO (401);"
                             "INSERT INTO t SELECT i, 0 FROM generate_series(301, 350) i; COMMIT");
    pawl_test_job_join(&j);
    PQfinish(holder);
    assert_int_equal(j.st, PAWL_E_REFUSED);
    pawl_test_assert_contains(j.err.message, "t4");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 300);
    pawl_test_exec(db, "ALTER TABLE t4 ADD PRIMARY KEY (id)");
    run_ok(&j);
    assert_true(j.result.was_resumed);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 350);
}

/* The one that the worker is in, one that it has not come to, and one that is done. */
static void
partitions_that_go_meanwhile_end_their_parts(void **state)
{
    const char *db = database("goes", YEARS);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "goes");
    stop_before_row(&j, holder, db, 150);
    pawl_test_run_on(holder,
                     "ALTER TABLE t DETACH PARTITION t2; DROP TABLE t3; ALTER TABLE t DETACH PARTITION t1;"
                     "COMMIT");
    PQfinish(holder);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t1 WHERE n = 1"), 100);
    /* Nothing was written to it once it was a table of its own. */
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t2 WHERE n = 1"), 49);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t2 WHERE n > 1"), 0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'part_gone'"), 3);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.part WHERE state = 'gone'"), 3);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE state = 'done'"), 1);
}

static void
a_partition_that_comes_back_goes_on_where_it_was(void **state)
{
    const char *db = database("back", YEARS);
    PGconn *holder = pawl_test_connect(db);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "back");
    stop_before_row(&j, holder, db, 150);
    pawl_test_run_on(holder, "ALTER TABLE t DETACH PARTITION t2; COMMIT;");
    /* It finds out when it is in the third; that is held until the second is back. */
    pawl_test_run_on(holder, "BEGIN; SELECT FROM t WHERE id = 250 FOR UPDATE");
    pawl_test_wait_until(db, "SELECT count(*) = 1 FROM pawl.part WHERE state = 'gone'", 20000);
    pawl_test_exec(db, "ALTER TABLE t ATTACH PARTITION t2 FOR VALUES FROM (101) TO (201)");
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 300);
}

static void
a_job_goes_on_in_the_part_that_it_stopped_in(void **state)
{
    const char *db = database("goon", YEARS);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "goon");
    pawl_test_exec(db, "ALTER TABLE t ADD CONSTRAINT unlucky CHECK (id <> 170 OR n = 0)");
    assert_refused(&j, "(id) = (170)");
    assert_int_equal(j.err.code, PAWL_E_SERVER);
    /* Another key would be chosen now, and a table has another name. */
    pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT unlucky; ALTER TABLE t2 RENAME TO second;"
                       "ALTER TABLE t3 DROP CONSTRAINT t3_pkey, ADD UNIQUE (id), ADD UNIQUE (m)");
    run_ok(&j);
    assert_true(j.result.was_resumed);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 300);
}

static void
a_part_that_has_changed_stops_the_job(void **state)
{
    const char *db = database("changed", YEARS);
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "changed");
    j.spec.workers = 1;
    pawl_test_exec(db, "ALTER TABLE t ADD CONSTRAINT unlucky CHECK (id <> 170 OR n = 0)");
    assert_refused(&j, "170");
    pawl_test_exec(
        db, "ALTER TABLE t DROP CONSTRAINT unlucky; ALTER TABLE t3 DROP CONSTRAINT t3_pkey, ADD UNIQUE (m)");
    assert_refused(&j, "t3");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1 AND id <= 200"), 200);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n > 0 AND id > 200"), 0);
}

static void
members_that_cannot_be_done_are_refused_by_name(void **state)
{
    static const char *const YEAR[] = {"y"};
    static const char *const AT[] = {"at"};
    const char *db =
        database("members", "CREATE TABLE t (id int, at date, y int, n int) PARTITION BY LIST (y);"
                            "CREATE TABLE t1 PARTITION OF t FOR VALUES IN (1);");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "members");
    assert_refused(&j, "\"public.t1\" has no key");
    pawl_test_exec(
        db, "ALTER TABLE t1 ADD PRIMARY KEY (id);"
            "CREATE TABLE t2 PARTITION OF t FOR VALUES IN (2) PARTITION BY RANGE (date_part('year', at));"
            "CREATE TABLE t2a PARTITION OF t2 (PRIMARY KEY (id)) DEFAULT");
    j.spec.write = YEAR;
    assert_refused(&j, "partition key of public.t and");
    j.spec.write = AT;
    assert_refused(&j, "partition key of public.t2 and");
    j.spec.table = "t2a";
    assert_refused(&j, "partition key of public.t2 and");
    j.spec.table = "t";
    j.spec.write = COLUMN_N;
    pawl_test_exec(db, "CREATE FOREIGN DATA WRAPPER w; CREATE SERVER s FOREIGN DATA WRAPPER w;"
                       "CREATE FOREIGN TABLE far PARTITION OF t FOR VALUES IN (3) SERVER s");
    assert_refused(&j, "\"public.far\" is a foreign table");
    pawl_test_assert_contains(j.err.hint, "public.t");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
}

/* Keys repeat from one table of the family to the next, and a table may descend in two ways. */
static void
each_table_of_a_family_is_done_by_its_own_key(void **state)
{
    const char *db = database("family", "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL);"
                                        "CREATE TABLE a (x int, UNIQUE (id)) INHERITS (t);"
                                        "CREATE TABLE b (y serial PRIMARY KEY) INHERITS (t);"
                                        "CREATE TABLE c (PRIMARY KEY (id)) INHERITS (a, b);"
                                        "INSERT INTO t SELECT i, 0 FROM generate_series(1, 100) i;"
                                        "INSERT INTO a SELECT i, 0, 1 FROM generate_series(50, 120) i;"
                                        "INSERT INTO c SELECT i, 0, 1, 1 FROM generate_series(1, 50) i");
    pawl_test_job j;

    (void) state;
    prepare(&j, db, "family");
    run_ok(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 221);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t"), 221);
    /* One of them alone: neither the one above it nor the one below. */
    prepare(&j, db, "alone");
    j.spec.table = "c";
    run_ok(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 2"), 50);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM c WHERE n = 2"), 50);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_leaf_is_done_by_its_own_key),
        cmocka_unit_test(expressions_are_computed_in_every_leaf),
        cmocka_unit_test(partitions_that_come_meanwhile_are_done),
        cmocka_unit_test(a_partition_without_a_key_that_comes_meanwhile_leaves_the_job_open),
        cmocka_unit_test(partitions_that_go_meanwhile_end_their_parts),
        cmocka_unit_test(a_partition_that_comes_back_goes_on_where_it_was),
        cmocka_unit_test(a_job_goes_on_in_the_part_that_it_stopped_in),
        cmocka_unit_test(a_part_that_has_changed_stops_the_job),
        cmocka_unit_test(members_that_cannot_be_done_are_refused_by_name),
        cmocka_unit_test(each_table_of_a_family_is_done_by_its_own_key),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
