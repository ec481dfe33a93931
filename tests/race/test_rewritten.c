/*
 * A table without a key that is rewritten between a batch's read and its write: every row has another place then, and,
 * loaded by one statement, the version of its neighbour. The first batch stands in a failpoint behind its read.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

static void
no_row_gets_the_value_of_the_one_that_took_its_place(void **state)
{
    static const char *const place[] = {"ctid"};
    static const char *const id[] = {"id"};
    static const char *const v[] = {"v"};
    const char *db = pawl_test_database_new("rewritten");
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id int, v int) WITH (autovacuum_enabled = off);"
                       "INSERT INTO t SELECT i, NULL FROM generate_series(1, 2000) i;"
                       "DELETE FROM t WHERE id % 3 = 1; ANALYZE t");
    pawl_test_ledger(db);
    pawl_test_job_prepare(&j, db, "rewritten");
    j.env = pawl_test_env(db, pawl_test_transform("copy", "return function(row) return { v = row.id } end"));
    j.spec.lua_file = "transforms/copy.lua";
    j.spec.read = id;
    j.spec.write = v;
    j.spec.key = place;
    j.spec.nkey = 1;
    j.spec.where = "v IS NULL";
    j.spec.batch_rows = 500;
    pawl_test_job_go_to(&j, "backfill.after_read");
    pawl_test_exec(db, "VACUUM FULL t");
    pawl_test_job_let_go();
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE v IS DISTINCT FROM id"), 0);
    assert_true(pawl_test_query_i64(db, "SELECT max(fence) FROM pawl.progress") > 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_row_gets_the_value_of_the_one_that_took_its_place),
    };

    pawl_failpoint_arm("backfill.after_read=gate");
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
