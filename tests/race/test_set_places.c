/*
 * A `set` in stripes writes the rows of a stripe where the read saw them. What others do in between: a stripe that does not find
 * all of its rows there is written by its range, and every row is done once.
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

static const char READ[] = "backfill.after_read";

enum
{
    ROWS = 1000
};

static const pawl_set_expression up[] = {{"n", "t.n + 1"}};

/* The job stands behind its only read. Each of its statements that commits says whether it went by places. */
static const char *
begin(pawl_test_job *j, const char *name, const char *where)
{
    const char *db = pawl_test_counted(name, "bigint", ROWS);

    pawl_test_exec(db, "UPDATE t SET s = md5(id::text);"
                       "CREATE TABLE asked (by_place boolean);"
                       "CREATE FUNCTION ask() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " INSERT INTO asked VALUES (current_query() LIKE '%t.ctid%'); RETURN NULL; END $$");
    pawl_test_job_prepare(j, db, name);
    j->spec.form = PAWL_FORM_STRIPED;
    j->spec.lua_file = NULL;
    j->spec.nread = j->spec.nwrite = 0;
    j->spec.set = up;
    j->spec.nset = 1;
    j->spec.where = where;
    j->spec.batch_rows = j->spec.chunk_rows = 2 * ROWS;
    return db;
}

/* From here on the table has no room but in its last page. */
static void
go(pawl_test_job *j, const char *db)
{
    pawl_test_exec(db, "VACUUM FULL t");
    pawl_test_job_go_to(j, READ);
    pawl_test_exec(db, "CREATE TRIGGER ask AFTER UPDATE ON t EXECUTE FUNCTION ask()");
}

static void
finish(pawl_test_job *j, const char *db, const char *asked)
{
    pawl_test_exec(db, "DELETE FROM asked");
    pawl_test_job_let_go();
    pawl_test_job_finish(j);
    if (asked != NULL)
        pawl_test_assert_query(db, "SELECT count(*) FILTER (WHERE by_place) || ' of ' || count(*) FROM asked",
                               asked);
}

static void
what_nobody_touches_is_written_at_its_place(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "untouched", NULL);

    (void) state;
    go(&j, db);
    finish(&j, db, "12 of 12");
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1", "1000");
    assert_int_equal(j.result.progress.rows_read, ROWS);
    assert_int_equal(j.result.progress.rows_written, ROWS);
}

static void
a_stripe_with_a_row_that_has_moved_is_written_by_its_range(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "moved", NULL);

    (void) state;
    go(&j, db);
    pawl_test_exec(db,
                   "UPDATE t SET n = n + 1000 WHERE id % 3 = 0;"
                   "BEGIN; DELETE FROM t WHERE id IN (1, 13); INSERT INTO t VALUES (13, 2000, 'z'); COMMIT");
    finish(&j, db, "7 of 12");
    pawl_test_assert_query(db,
                           "SELECT count(*) FROM t WHERE n = 1 + CASE WHEN id = 13 THEN 2000 WHEN id % 3 = 0 "
                           "THEN 1000 ELSE 0 END",
                           "999");
}

static void
versions_of_a_transaction_that_was_open_at_the_read_are_not_taken_for_old(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "open", NULL);
    PGconn *other = pawl_test_connect(db);

    (void) state;
    pawl_test_run_on(other, "CREATE TABLE side (n int); BEGIN; INSERT INTO side VALUES (1)");
    pawl_test_exec(db, "UPDATE t SET s = 'young' WHERE id % 12 = 5");
    go(&j, db);
    pawl_test_run_on(other, "UPDATE t SET n = n + 1000 WHERE id % 12 = 7; COMMIT");
    PQfinish(other);
    finish(&j, db, "10 of 12");
    pawl_test_assert_query(
        db, "SELECT count(*) FROM t WHERE n = 1 + CASE WHEN id % 12 = 7 THEN 1000 ELSE 0 END", "1000");
}

/* CLUSTER leaves each row its xmin: other rows stand at the places, as old as those that were read. */
static void
rows_that_were_put_to_other_places_are_done_once(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "clustered", NULL);

    (void) state;
    pawl_test_exec(db, "CREATE INDEX shuffled ON t (s)");
    go(&j, db);
    pawl_test_exec(db, "CLUSTER t USING shuffled");
    pawl_test_exec(db, "UPDATE t SET s = 'moved' WHERE id = 17");
    finish(&j, db, NULL);
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1", "1000");
}

/* A row that came later has the key of the stripe and the place of a row that has gone from there. */
static void
a_row_that_has_taken_the_place_of_another_is_not_counted_for_it(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "taken", NULL);

    (void) state;
    pawl_test_exec(db, "DELETE FROM t WHERE id > 500 AND id % 12 = 5");
    go(&j, db);
    pawl_test_exec(db, "CREATE TABLE place AS SELECT ctid AS was FROM t WHERE id = 17;"
                       "DELETE FROM t WHERE id = 17; INSERT INTO t VALUES (17, 1000, 'z')");
    pawl_test_exec(db, "VACUUM t");
    pawl_test_exec(
        db, "INSERT INTO t SELECT i, 0, md5(i::text) FROM generate_series(501, 1000) i WHERE i % 12 = 5");
    pawl_test_assert_query(
        db, "SELECT count(*) FROM t JOIN place ON t.ctid = was WHERE id % 12 = 5 AND id > 500", "1");
    finish(&j, db, "11 of 12");
    pawl_test_assert_query(db, "SELECT n FROM t WHERE id = 17", "1001");
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1", "999");
}

/* CLUSTER exchanges two rows of a stripe, of which `where` let one through at the read, and lets both through now. */
static void
a_row_is_not_counted_for_another_that_where_has_let_through_since(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "let_through", "EXISTS (SELECT FROM allowed a WHERE a.id = t.id)");

    (void) state;
    pawl_test_exec(db,
                   "UPDATE t SET s = to_char(CASE id WHEN 30 THEN 42 WHEN 42 THEN 30 ELSE id END, '0000');"
                   "CREATE INDEX exchanged ON t (s);"
                   "CREATE TABLE allowed AS SELECT id FROM t WHERE id <> 30");
    go(&j, db);
    pawl_test_exec(
        db, "INSERT INTO allowed VALUES (30); CREATE TABLE place AS SELECT ctid AS was FROM t WHERE id = 42");
    pawl_test_exec(db, "CLUSTER t USING exchanged");
    pawl_test_assert_query(db, "SELECT t.id FROM t JOIN place ON t.ctid = place.was", "30");
    finish(&j, db, NULL);
    pawl_test_assert_query(db, "SELECT n FROM t WHERE id = 42", "1");
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1 AND id <> 30", "999");
}

/* The write waits for the row, and is then given its new version. */
static void
a_row_that_is_waited_for_is_done_from_its_new_value(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "waited", NULL);
    PGconn *other = pawl_test_connect(db);

    (void) state;
    go(&j, db);
    pawl_test_run_on(other, "BEGIN; UPDATE t SET n = n + 1000 WHERE id = 40");
    pawl_test_exec(db, "DELETE FROM asked");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(other);
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = CASE WHEN id = 40 THEN 1001 ELSE 1 END",
                           "1000");
}

/* Deleted and inserted again by one transaction that the write waits for: the new row is not in the snapshot of the statement. */
static void
insert_again(const char *name, pawl_form_choice form)
{
    pawl_test_job j;
    const char *db = begin(&j, name, NULL);
    PGconn *other = pawl_test_connect(db);

    j.spec.form = form;
    pawl_test_run_on(other, "CREATE TABLE side (n int); BEGIN; INSERT INTO side VALUES (1)");
    pawl_test_exec(db, "UPDATE t SET s = 'young'");
    go(&j, db);
    pawl_test_run_on(
        other, "WITH d AS (DELETE FROM t WHERE id % 300 = 40 RETURNING *) INSERT INTO t SELECT * FROM d");
    pawl_test_job_let_go();
    pawl_test_wait_in_line(db);
    pawl_test_run_on(other, "COMMIT");
    pawl_test_job_finish(&j);
    PQfinish(other);
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1", "1000");
}

static void
a_row_that_is_inserted_again_while_it_is_waited_for_is_done(void **state)
{
    (void) state;
    insert_again("again_striped", PAWL_FORM_STRIPED);
    insert_again("again_plain", PAWL_FORM_PLAIN);
}

/* What a trigger writes in a transaction within ours has an id of its own, and is done all the same. */
static void
a_row_that_a_trigger_writes_again_is_done_once(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "within", NULL);

    (void) state;
    j.spec.form = PAWL_FORM_PLAIN;
    pawl_test_exec(
        db,
        "CREATE FUNCTION again() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
        " BEGIN UPDATE t SET s = 'within' WHERE id = NEW.id; EXCEPTION WHEN division_by_zero THEN NULL; END;"
        " RETURN NULL; END $$;"
        "CREATE TRIGGER again AFTER UPDATE OF n ON t FOR EACH ROW EXECUTE FUNCTION again()");
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1 AND s = 'within'", "1000");
    assert_int_equal(j.result.progress.rows_written, ROWS);
}

static void
rows_that_are_left_out_stay_as_they_are(void **state)
{
    pawl_test_job j;
    const char *db = begin(&j, "left_out", "s <> 'taken'");

    (void) state;
    pawl_test_exec(db, "UPDATE t SET s = 'taken' WHERE id = 3;"
                       "CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
                       " RETURN NULL; END $$;"
                       "CREATE TRIGGER keep BEFORE UPDATE OF n ON t FOR EACH ROW WHEN (OLD.id = 7)"
                       " EXECUTE FUNCTION keep()");
    go(&j, db);
    pawl_test_exec(db, "UPDATE t SET s = 'taken' WHERE id = 20");
    finish(&j, db, "10 of 12");
    pawl_test_assert_query(db, "SELECT string_agg(id::text, ',' ORDER BY id) FROM t WHERE n = 0", "3,7,20");
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 1", "997");
}

/* Also where the read brings it alone, far behind the key that the batch begins at. */
static void
a_row_that_the_server_refuses_is_named(void **state)
{
    static const pawl_set_expression bad[] = {{"n", "t.s::int"}};
    pawl_test_job j;
    const char *db = begin(&j, "refused", "id = 700");

    (void) state;
    j.spec.set = bad;
    pawl_test_job_go(&j);
    pawl_test_job_join(&j);
    assert_int_equal(j.st, PAWL_E_SERVER);
    pawl_test_assert_contains(j.err.detail, "the first row after key (699)");
    pawl_test_assert_query(db, "SELECT count(*) FROM t WHERE n = 0", "1000");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_nobody_touches_is_written_at_its_place),
        cmocka_unit_test(a_stripe_with_a_row_that_has_moved_is_written_by_its_range),
        cmocka_unit_test(versions_of_a_transaction_that_was_open_at_the_read_are_not_taken_for_old),
        cmocka_unit_test(rows_that_were_put_to_other_places_are_done_once),
        cmocka_unit_test(a_row_that_has_taken_the_place_of_another_is_not_counted_for_it),
        cmocka_unit_test(a_row_is_not_counted_for_another_that_where_has_let_through_since),
        cmocka_unit_test(a_row_that_is_waited_for_is_done_from_its_new_value),
        cmocka_unit_test(a_row_that_is_inserted_again_while_it_is_waited_for_is_done),
        cmocka_unit_test(a_row_that_a_trigger_writes_again_is_done_once),
        cmocka_unit_test(rows_that_are_left_out_stay_as_they_are),
        cmocka_unit_test(a_row_that_the_server_refuses_is_named),
    };

    pawl_failpoint_arm("backfill.after_read=gate;backfill.after_read=sleep:1");
    pawl_failpoint_open(READ, true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
