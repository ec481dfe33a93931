/*
 * When a job is written in stripes: what the catalogue decides, and what the server's counts decide on the way.
 */
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

#define ROWS 100000

static const char *db;

static const pawl_set_expression up[] = {{"n", "t.n + 1"}};

static void
prepare_auto(pawl_test_job *j, const char *name)
{
    pawl_test_job_prepare(j, db, name);
    j->spec.lua_file = NULL;
    j->spec.nread = j->spec.nwrite = 0;
    j->spec.set = up;
    j->spec.nset = 1;
    j->spec.batch_rows = 5000;
    j->spec.chunk_rows = 10000;
}

static void
run_auto(const char *name)
{
    pawl_test_job j;

    pawl_test_exec(db, "UPDATE t SET n = 0 WHERE n <> 0");
    pawl_test_exec(db, "VACUUM FULL t");
    pawl_test_exec(db, "VACUUM (FREEZE, ANALYZE) t");
    prepare_auto(&j, name);
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
}

static void
assert_form(const char *form, const char *why)
{
    char *is = pawl_test_query_text(
        db, "SELECT form || ': ' || form_why FROM pawl.job ORDER BY job_id DESC LIMIT 1");

    if (strncmp(is, form, strlen(form)) != 0 || strstr(is, why) == NULL)
        fail_msg("expected %s with \"%s\", got %s", form, why, is);
    free(is);
}

static void
a_large_table_in_key_order_is_written_in_stripes(void **state)
{
    (void) state;
    run_auto("auto");
    assert_form("striped", "find room");
    assert_true(pawl_test_query_i64(db, "SELECT sum(updates_seen) FROM pawl.progress WHERE job_id ="
                                        " (SELECT max(job_id) FROM pawl.job)") > 0);
    assert_true(pawl_test_query_i64(db, "SELECT 100 * sum(updates_hot) / sum(updates_seen) FROM pawl.progress"
                                        " WHERE job_id = (SELECT max(job_id) FROM pawl.job)") > 30);
}

static void
an_index_over_a_written_column_makes_it_plain(void **state)
{
    static const char *const indexes[] = {"CREATE INDEX of_n ON t ((n + 1))",
                                          "CREATE INDEX of_n ON t (s) INCLUDE (n)"};

    (void) state;
    for (size_t i = 0; i < sizeof indexes / sizeof *indexes; i++)
    {
        char name[20];

        (void) snprintf(name, sizeof name, "indexed%zu", i);
        pawl_test_exec(db, indexes[i]);
        run_auto(name);
        assert_form("plain", "index public.of_n is over a written column");
        pawl_test_exec(db, "DROP INDEX of_n");
    }
    pawl_test_exec(db, "ALTER TABLE t ADD CONSTRAINT of_n UNIQUE (n, id)");
    run_auto("constrained");
    assert_form("plain", "index public.of_n is over a written column");
    pawl_test_exec(db, "ALTER TABLE t DROP CONSTRAINT of_n");
}

static void
rows_out_of_order_make_it_plain(void **state)
{
    (void) state;
    pawl_test_exec(db, "CREATE TABLE shuffled AS TABLE t; TRUNCATE t;"
                       "INSERT INTO t SELECT * FROM shuffled ORDER BY hashint8(id); DROP TABLE shuffled");
    run_auto("shuffled");
    assert_form("plain", "order of the key");
    pawl_test_exec(db, "CLUSTER t USING t_pkey");
}

static void
an_old_snapshot_makes_it_plain_for_now(void **state)
{
    PGconn *old = pawl_test_connect(db);

    (void) state;
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");
    pawl_test_wait_until(db,
                         "SELECT count(*) > 0 FROM pg_stat_activity WHERE backend_xmin IS NOT NULL"
                         " AND xact_start < clock_timestamp() - interval '2.1 s'",
                         10000);
    run_auto("snapshot");
    assert_form("plain", "holds an old snapshot");
    PQfinish(old);
}

/* It comes while the job runs: the catalogue said nothing of it, the counts do. */
static void
a_job_whose_versions_find_no_room_goes_on_in_the_plain_form(void **state)
{
    PGconn *old = pawl_test_connect(db);

    (void) state;
    pawl_test_exec(db, "UPDATE t SET n = 0 WHERE n <> 0");
    pawl_test_exec(db, "VACUUM FULL t");
    pawl_test_exec(db, "VACUUM (FREEZE, ANALYZE) t");
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM pg_class");

    pawl_test_job j;

    prepare_auto(&j, "turned");
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    PQfinish(old);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_form("plain", "of the new versions found room");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pawl.event WHERE kind = 'job_form' AND job_id ="
                                " (SELECT max(job_id) FROM pawl.job)"),
        2);
}

static void
what_the_step_says_counts(void **state)
{
    pawl_test_job j;

    (void) state;
    prepare_auto(&j, "told");
    j.spec.form = PAWL_FORM_PLAIN;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_form("plain", "the step says so");
}

/* Where a row might be done twice, or never, asking for it is an error. */
static void
stripes_are_refused_where_a_key_could_change_its_stripe(void **state)
{
    const char *other = pawl_test_counted("numeric", "numeric", 10);
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, other, "numeric");
    j.spec.form = PAWL_FORM_STRIPED;
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_REFUSED);
    assert_non_null(strstr(j.err.message, "may be spelled differently"));
}

static int
setup(void **state)
{
    int failed = pawl_test_setup(state);

    if (failed == 0)
    {
        db = pawl_test_counted("form", "bigint", ROWS);
        pawl_test_exec(db, "ALTER TABLE t SET (autovacuum_enabled = off)");
    }
    return failed;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_large_table_in_key_order_is_written_in_stripes),
        cmocka_unit_test(an_index_over_a_written_column_makes_it_plain),
        cmocka_unit_test(rows_out_of_order_make_it_plain),
        cmocka_unit_test(an_old_snapshot_makes_it_plain_for_now),
        cmocka_unit_test(a_job_whose_versions_find_no_room_goes_on_in_the_plain_form),
        cmocka_unit_test(what_the_step_says_counts),
        cmocka_unit_test(stripes_are_refused_where_a_key_could_change_its_stripe),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
