/*
 * The table of docs/faults.md, line by line: each code comes out of a real server, in the middle of a batch, so often as
 * the line is about. What passes is done once; what stops goes on when it is mended; what is a row's fault is narrowed
 * down to the row.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

enum
{
    ROWS = 400
};

/* A fresh table; the next `times` updates raise `code`, of row `row` only, or (0) of any batch. Said again it begins anew. */
static void
raise_in(const char *db, const char *code, int times, int row)
{
    char when[60] = "";
    char sql[800];

    if (row > 0)
        (void) snprintf(when, sizeof when, " WHEN (NEW.id = %d)", row);
    (void) snprintf(
        sql, sizeof sql,
        "DROP TRIGGER IF EXISTS b ON t; DROP SEQUENCE IF EXISTS calls; CREATE SEQUENCE calls;"
        "CREATE OR REPLACE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF nextval('calls') <= %d THEN RAISE EXCEPTION 'made on purpose' USING ERRCODE = '%s'; END IF;"
        " RETURN NEW; END $$; CREATE TRIGGER b BEFORE UPDATE ON t FOR EACH %s%s EXECUTE FUNCTION f()",
        times, code, row == 0 ? "STATEMENT" : "ROW", when);
    pawl_test_exec(db, sql);
}

/* Row 100 * i + 57 raises codes[i], each so often: four of them in a chunk, each in a batch of its own. */
static const char *
raising_one_by_one(const char *name, const char *const *codes, int count, int times)
{
    const char *db = pawl_test_counted(name, "bigint", 100 * count);
    char sql[600];

    for (int i = 0; i < count; i++)
    {
        (void) snprintf(
            sql, sizeof sql,
            "CREATE SEQUENCE calls%d; CREATE FUNCTION f%d() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " IF nextval('calls%d') <= %d THEN RAISE EXCEPTION 'made on purpose' USING ERRCODE = '%s';"
            " END IF; RETURN NEW; END $$; CREATE TRIGGER b%d BEFORE UPDATE ON t FOR EACH ROW"
            " WHEN (NEW.id = %d) EXECUTE FUNCTION f%d()",
            i, i, i, times, codes[i], i, 100 * i + 57, i);
        pawl_test_exec(db, sql);
    }
    return db;
}

static void
run(pawl_test_job *j, const char *db)
{
    pawl_test_job_prepare(j, db, "fault");
    pawl_test_job_go(j);
    pawl_test_job_join(j);
}

static void
assert_done(const pawl_test_job *j, const char *db, int rows)
{
    if (j->st != PAWL_OK)
        fail_msg("%s; %s; %s [%s]", j->err.message, j->err.detail, j->err.hint, j->err.sqlstate);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), rows);
}

static void
assert_stopped(const pawl_test_job *j, const char *code)
{
    if (j->st != PAWL_E_SERVER || strcmp(j->err.sqlstate, code) != 0)
        fail_msg("%s: status %d, %s [%s]", code, (int) j->st, j->err.message, j->err.sqlstate);
}

/* Every line that stops leaves a job that goes on. */
static void
mend_and_go_on(pawl_test_job *j, const char *db, int rows)
{
    pawl_test_exec(db, "DROP TRIGGER b ON t");
    run(j, db);
    assert_done(j, db, rows);
}

static int64_t
greatest_fence(const char *db)
{
    return pawl_test_query_i64(db, "SELECT max(fence) FROM pawl.progress");
}

#define COUNT(list) ((int) (sizeof(list) / sizeof *(list)))

/* Each twice, and each time the chunk is claimed again. */
static void
what_costs_the_connection_is_claimed_again(void **state)
{
    static const char *const codes[] = {"08000", "08006", "57P01", "57P02", "57P03", "57P05",
                                        "25P03", "25P04", "53300", "25006", "40003", "PW001"};
    const char *db = raising_one_by_one("connection", codes, COUNT(codes), 2);
    pawl_test_job j;

    (void) state;
    run(&j, db);
    assert_done(&j, db, 100 * COUNT(codes));
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(fence - 1)::bigint FROM pawl.progress"),
                     2 * COUNT(codes));
}

static void
what_passes_is_repeated_in_the_same_chunk(void **state)
{
    static const char *const codes[] = {"40001", "40P01", "55006", "55P03", "57014",
                                        "53200", "53400", "54000", "54001"};
    static const char *const internal[] = {"XX000"};
    const char *db = raising_one_by_one("passing", codes, COUNT(codes), 2);
    pawl_test_job j;

    (void) state;
    run(&j, db);
    assert_done(&j, db, 100 * COUNT(codes));
    assert_int_equal(greatest_fence(db), 1);
    for (int i = 0; i < COUNT(codes); i++)
    {
        char sql[100];

        /* Twice it was raised; what came then went in, with the row. */
        (void) snprintf(sql, sizeof sql, "SELECT last_value FROM calls%d", i);
        if (pawl_test_query_i64(db, sql) < 3)
            fail_msg("%s was not met", codes[i]);
    }
    /* Smaller each time: more batches than there are hundreds of rows. */
    assert_true(pawl_test_query_i64(db, "SELECT sum(batches) FROM pawl.progress") >= 2 * COUNT(codes));

    db = raising_one_by_one("internal", internal, 1, 1);
    run(&j, db);
    assert_done(&j, db, 100);
    assert_int_equal(greatest_fence(db), 1);
}

static void
what_does_not_pass_ends_after_its_number(void **state)
{
    static const struct
    {
        const char *code;
        int calls; /* of the trigger until the run gives up */
        const char *hint;
    } faults[] = {
        {"57014", 3, "somebody cancelled the batch three times"},
        {"40001", 51, "fifty times in a row"},
        {"XX000", 2, ""},
        {"26000", 2, ""},
        {"42P05", 2, ""},
        {"53200", 7, ""}, /* 100, 50, 25, 12, 6, 3, 1 rows */
        {"53400", 7, ""},
        {"54000", 7, ""},
        {"53100", 1, "make room on the server's disk"},
        {"58030", 1, "make room on the server's disk"},
        {"57P04", 1, ""},
        {"3D000", 1, ""},
        {"28000", 1, ""},
        {"42501", 1, ""},
        {"42703", 1, ""},
        {"55000", 1, ""},
        {"0A000", 1, ""},
        {"XX001", 1, "damaged data"},
        {"XX002", 1, "damaged data"},
        {"58P01", 1, "damaged data"},
    };
    const char *db = pawl_test_counted("lasting", "bigint", ROWS);
    pawl_test_job j;

    (void) state;
    for (int i = 0; i < COUNT(faults); i++)
    {
        int64_t calls;

        /* Fifty pauses of up to two seconds. */
        if (faults[i].calls > 50 && !pawl_test_is_long())
            continue;
        raise_in(db, faults[i].code, 1000000, 0);
        run(&j, db);
        assert_stopped(&j, faults[i].code);
        pawl_test_assert_contains(j.err.hint, faults[i].hint);
        calls = pawl_test_query_i64(db, "SELECT last_value FROM calls");
        if (calls != faults[i].calls)
            fail_msg("%s: given up after %d tries", faults[i].code, (int) calls);
        assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 0);
    }
    mend_and_go_on(&j, db, ROWS);
}

static void
a_plan_that_is_stale_once_is_made_anew(void **state)
{
    static const char *const codes[] = {"26000", "42P05"};
    const char *db = raising_one_by_one("stale", codes, COUNT(codes), 1);
    pawl_test_job j;

    (void) state;
    run(&j, db);
    assert_done(&j, db, 200);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(fence - 1)::bigint FROM pawl.progress"), 2);
}

static const char *const row_codes[] = {"22003", "22P02", "23502", "23505", "23514", "21000",
                                        "27000", "44000", "P0001", "45000", "ZZ999"};

static void
a_row_at_fault_is_named_and_what_is_before_it_is_in(void **state)
{
    const char *db = pawl_test_counted("rows", "bigint", ROWS);
    pawl_test_job j;

    (void) state;
    for (int i = 0; i < COUNT(row_codes); i++)
    {
        char key[40];

        raise_in(db, row_codes[i], 1000000, 57 + 20 * i);
        run(&j, db);
        assert_stopped(&j, row_codes[i]);
        (void) snprintf(key, sizeof key, "(id) = (%d)", 57 + 20 * i);
        pawl_test_assert_contains(j.err.detail, key);
        assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 56 + 20 * i);
    }
    mend_and_go_on(&j, db, ROWS);
}

static void
a_row_at_fault_is_set_aside_and_the_rest_goes_in(void **state)
{
    const char *db = raising_one_by_one("aside", row_codes, COUNT(row_codes), 1000000);
    pawl_test_job j;

    (void) state;
    pawl_test_job_prepare(&j, db, "fault");
    j.spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    j.spec.max_rejects = 100;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 99 * COUNT(row_codes));
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), COUNT(row_codes));
    for (int i = 0; i < COUNT(row_codes); i++)
    {
        char sql[200];

        (void) snprintf(sql, sizeof sql,
                        "SELECT count(*) FROM pawl.reject WHERE key = '{%d}' AND sqlstate = '%s'",
                        100 * i + 57, row_codes[i]);
        if (pawl_test_query_i64(db, sql) != 1)
            fail_msg("%s is not set aside with its row", row_codes[i]);
    }
}

/* Whatever is said of bad rows: damage is none. */
static void
damage_is_never_set_aside(void **state)
{
    static const char *const codes[] = {"XX001", "XX002", "58P01"};
    static const pawl_on_error ways[] = {PAWL_ON_ERROR_SKIP, PAWL_ON_ERROR_QUARANTINE};
    const char *db = pawl_test_counted("damage", "bigint", ROWS);

    (void) state;
    for (int i = 0; i < COUNT(codes); i++)
        for (int k = 0; k < COUNT(ways); k++)
        {
            pawl_test_job j;

            raise_in(db, codes[i], 1000000, 57);
            pawl_test_job_prepare(&j, db, "fault");
            j.spec.on_error = ways[k];
            j.spec.max_rejects = 1000;
            pawl_test_job_go(&j);
            pawl_test_job_join(&j);
            assert_stopped(&j, codes[i]);
            assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 0);
            assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 0);
        }
}

/* The server cannot hand the row out: the read is halved, and nothing can be kept of what was not read. */
static void
a_row_that_cannot_be_read_is_narrowed_down_and_stops(void **state)
{
    static const char *const codes[] = {"22021", "22P05"};
    static const pawl_on_error ways[] = {PAWL_ON_ERROR_STOP, PAWL_ON_ERROR_QUARANTINE};
    const char *db = pawl_test_counted("illegible", "bigint", ROWS);

    (void) state;
    for (int i = 0; i < COUNT(codes); i++)
        for (int k = 0; k < COUNT(ways); k++)
        {
            char sql[400];
            pawl_test_job j;

            (void) snprintf(
                sql, sizeof sql,
                "CREATE OR REPLACE FUNCTION legible(bigint) RETURNS bool LANGUAGE plpgsql AS $$ BEGIN IF $1 "
                "= 57 THEN"
                " RAISE EXCEPTION 'made on purpose' USING ERRCODE = '%s'; END IF; RETURN true; END $$",
                codes[i]);
            pawl_test_exec(db, sql);
            pawl_test_job_prepare(&j, db, "fault");
            j.spec.where = "legible(id)";
            j.spec.on_error = ways[k];
            j.spec.max_rejects = 1000;
            pawl_test_job_go(&j);
            pawl_test_job_join(&j);
            assert_stopped(&j, codes[i]);
            pawl_test_assert_contains(j.err.detail, "56");
            assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 56);
            assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.reject"), 0);
        }
}

/* What a deferred constraint finds, it finds before the COMMIT, and there it can be told from a lost one. */
static void
a_row_that_only_a_deferred_constraint_refuses_is_found(void **state)
{
    const char *db = pawl_test_counted("deferred", "bigint", ROWS);
    pawl_test_job j;

    (void) state;
    pawl_test_exec(db, "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " RAISE EXCEPTION 'late' USING ERRCODE = '23514'; END $$;"
                       "CREATE CONSTRAINT TRIGGER b AFTER UPDATE ON t DEFERRABLE INITIALLY DEFERRED"
                       " FOR EACH ROW WHEN (NEW.id = 57) EXECUTE FUNCTION f()");
    run(&j, db);
    assert_stopped(&j, "23514");
    pawl_test_assert_contains(j.err.detail, "(id) = (57)");
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(n) FROM t"), 56);
    mend_and_go_on(&j, db, ROWS);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_costs_the_connection_is_claimed_again),
        cmocka_unit_test(what_passes_is_repeated_in_the_same_chunk),
        cmocka_unit_test(what_does_not_pass_ends_after_its_number),
        cmocka_unit_test(a_plan_that_is_stale_once_is_made_anew),
        cmocka_unit_test(a_row_at_fault_is_named_and_what_is_before_it_is_in),
        cmocka_unit_test(a_row_at_fault_is_set_aside_and_the_rest_goes_in),
        cmocka_unit_test(damage_is_never_set_aside),
        cmocka_unit_test(a_row_that_cannot_be_read_is_narrowed_down_and_stops),
        cmocka_unit_test(a_row_that_only_a_deferred_constraint_refuses_is_found),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
