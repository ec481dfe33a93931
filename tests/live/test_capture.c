/* What other sessions change while a job runs, as the capture's triggers see it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/capture.h"
#include "support/place.h"
#include "support/server.h"

#include "util/banned.h"

#define JOB "1"

/* A database with a table, a job in the ledger, and what the catalogue says of the table. */
typedef struct fixture
{
    pawl_test_place place;
    pawl_arena *arena;
    pawl_table *table;
    pawl_key *key;
    pawl_capture_spec spec;
    const pawl_column *watch[2];
} fixture;

static fixture
begin(const char *name, const char *create)
{
    fixture f = {.place = pawl_test_place_new(name), .arena = pawl_arena_new()};
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_exec(f.place.conninfo, create);
    pawl_test_exec(
        f.place.conninfo,
        "INSERT INTO " PAWL_TEST_QUOTED
        ".job (revision_id, direction, ordinal, kind, table_oid, table_name, writer, key_columns,"
        " key_types, collations, fingerprint, settings, checksum) VALUES ('r', 'up', 1, 'swap_column',"
        " 't'::regclass, 'public.t', 'update', '{id}', '{int}', '', '', '{}', '')");
    pawl_test_txn_begin(f.place.pg);
    pawl_test_is_ok(pawl_table_load(f.place.pg, "t", "public", f.arena, &f.table, &err), &err);
    pawl_test_is_ok(pawl_table_key(f.place.pg, f.table, NULL, 0, f.arena, &f.key, &err), &err);
    pawl_test_txn_commit(f.place.pg);
    f.spec = (pawl_capture_spec){.job = 1, .table = f.table, .key = f.key};
    return f;
}

static void
end(fixture *f)
{
    pawl_arena_free(f->arena);
    pawl_test_place_end(&f->place);
}

/* Watch the column `a` only. */
static void
watch_a(fixture *f)
{
    f->watch[0] = pawl_table_column(f->table, "a");
    f->spec.watch = f->watch;
    f->spec.nwatch = 1;
}

static void
add(fixture *f)
{
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_txn_begin(f->place.pg);
    pawl_test_is_ok(pawl_capture_add(&f->spec, f->place.ledger, f->place.pg, &err), &err);
    pawl_test_txn_commit(f->place.pg);
}

static pawl_capture_state
check(fixture *f)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_capture_state state = {0};

    pawl_test_txn_begin(f->place.pg);
    pawl_test_is_ok(pawl_capture_check(1, f->place.ledger, f->place.pg, &state, &err), &err);
    pawl_test_txn_commit(f->place.pg);
    return state;
}

static void
remove_capture(fixture *f)
{
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_txn_begin(f->place.pg);
    pawl_test_is_ok(pawl_capture_remove(1, f->place.ledger, f->place.pg, &err), &err);
    pawl_test_txn_commit(f->place.pg);
}

static void
assert_log(fixture *f, const char *expected)
{
    char *found = pawl_test_query_text(f->place.conninfo,
                                       "SELECT coalesce(string_agg(op::text || coalesce(k1::text, ''), ' "
                                       "' ORDER BY id), '') FROM " PAWL_TEST_QUOTED ".change_" JOB);

    assert_string_equal(found, expected);
    free(found);
}

static void
assert_why(fixture *f, const char *words)
{
    pawl_capture_state state = check(f);

    assert_true(state.is_there);
    assert_false(state.is_whole);
    if (strstr(state.why, words) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", words, state.why);
}

#define PLAIN \
    "CREATE TABLE t (id int PRIMARY KEY, a text, b int); INSERT INTO t VALUES (1, 'x', 1), (2, 'y', 2)"

static void
every_way_to_change_a_row_is_logged(void **state)
{
    fixture f = begin("ways", PLAIN);
    const char *db = f.place.conninfo;

    (void) state;
    watch_a(&f);
    add(&f);
    pawl_test_exec(db, "INSERT INTO t VALUES (3, 'z', 3)");
    pawl_test_exec(db, "UPDATE t SET a = 'w' WHERE id = 1");
    pawl_test_exec(db, "UPDATE t SET id = 20 WHERE id = 2");
    pawl_test_exec(db, "DELETE FROM t WHERE id = 3");
    pawl_test_exec(db, "INSERT INTO t VALUES (1, 'v', 0) ON CONFLICT (id) DO UPDATE SET a = excluded.a");
    pawl_test_exec(db, "TRUNCATE t");
    assert_log(&f, "i3 u1 i20 d2 d3 u1 t");
    assert_true(check(&f).is_whole);
    end(&f);
}

static void
an_update_of_other_columns_is_passed_over(void **state)
{
    fixture f = begin("others", PLAIN);

    (void) state;
    watch_a(&f);
    add(&f);
    pawl_test_exec(f.place.conninfo, "UPDATE t SET b = b + 1; UPDATE t SET a = a");
    assert_log(&f, "");
    end(&f);
}

/* IS DISTINCT FROM sees none of these, and fails for json. */
static void
what_is_equal_but_not_identical_is_logged(void **state)
{
    fixture f = begin("image", "CREATE TABLE t (id int PRIMARY KEY, a numeric, j json, v interval);"
                               "INSERT INTO t SELECT i, 1.0, '1', '1 day' FROM generate_series(1, 4) i");

    (void) state;
    add(&f);
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 1.00 WHERE id = 1");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET j = '1 ' WHERE id = 2");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET v = '24:00:00' WHERE id = 3");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 1.0, j = '1', v = '1 day' WHERE id = 4");
    assert_log(&f, "u1 u2 u3");
    end(&f);
}

/* Restores and logical replication run so; ordinary triggers do not fire for them. */
static void
replication_is_captured_too(void **state)
{
    fixture f = begin("replica", PLAIN);

    (void) state;
    add(&f);
    pawl_test_exec(f.place.conninfo,
                   "SET session_replication_role = replica; UPDATE t SET a = 'q' WHERE id = 1");
    assert_log(&f, "u1");
    end(&f);
}

static void
an_application_without_rights_on_the_ledger_is_captured(void **state)
{
    fixture f = begin("rights", PLAIN);
    const char *db = f.place.conninfo;

    (void) state;
    add(&f);
    pawl_test_exec(db,
                   "DROP ROLE IF EXISTS capture_app; CREATE ROLE capture_app; GRANT ALL ON t TO capture_app");
    pawl_test_exec(db, "SET ROLE capture_app; INSERT INTO t VALUES (7, 'app', 0)");
    assert_log(&f, "i7");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_proc p, aclexplode(p.proacl) a WHERE "
                                             "proname = 'capture_" JOB "' AND a.grantee = 0"),
                     0);
    pawl_test_exec(db, "REVOKE ALL ON t FROM capture_app; DROP ROLE capture_app");
    end(&f);
}

/* A schema of the caller's before pg_catalog: its functions and tables must not be taken for the server's. */
static void
a_hostile_search_path_changes_nothing(void **state)
{
    fixture f = begin("hostile", PLAIN);
    const char *db = f.place.conninfo;

    (void) state;
    add(&f);
    pawl_test_exec(db,
                   "CREATE FUNCTION public.pg_relation_size(regclass) RETURNS bigint LANGUAGE sql AS 'SELECT "
                   "9223372036854775807'");
    pawl_test_exec(db, "SET search_path = public, pg_catalog; UPDATE t SET a = 'h' WHERE id = 2");
    assert_log(&f, "u2");
    end(&f);
}

static void
a_session_of_the_job_is_skipped_where_that_was_asked_for(void **state)
{
    fixture f = begin("own", PLAIN);

    (void) state;
    f.spec.skips_own = true;
    add(&f);
    pawl_test_exec(f.place.conninfo, "BEGIN; SET LOCAL pawl.worker = '1'; UPDATE t SET a = 'own'; COMMIT");
    pawl_test_exec(f.place.conninfo,
                   "BEGIN; SET LOCAL pawl.worker = '2'; UPDATE t SET a = 'other' WHERE id = 1; COMMIT");
    assert_log(&f, "u1");
    end(&f);
}

static void
a_trigger_that_was_disabled_for_a_while_is_found(void **state)
{
    fixture f = begin("disabled", PLAIN);

    (void) state;
    add(&f);
    assert_true(check(&f).is_whole);
    pawl_test_exec(f.place.conninfo, "ALTER TABLE t DISABLE TRIGGER pawl_1_u");
    pawl_test_exec(f.place.conninfo, "ALTER TABLE t ENABLE ALWAYS TRIGGER pawl_1_u");
    assert_why(&f, "pawl_1_u");
    end(&f);
}

static void
a_watched_column_that_was_renamed_is_found(void **state)
{
    fixture f = begin("renamed", PLAIN);

    (void) state;
    watch_a(&f);
    add(&f);
    pawl_test_exec(f.place.conninfo, "ALTER TABLE t ADD COLUMN c int; ALTER TABLE t DROP COLUMN b");
    assert_true(check(&f).is_whole);
    pawl_test_exec(f.place.conninfo, "ALTER TABLE t RENAME a TO was_a");
    assert_why(&f, "column a text");
    end(&f);
}

#define PARTED                                                                                   \
    "CREATE TABLE t (id int PRIMARY KEY, a text) PARTITION BY RANGE (id);"                       \
    "CREATE TABLE t_low PARTITION OF t FOR VALUES FROM (0) TO (100);"                            \
    "CREATE TABLE t_high PARTITION OF t FOR VALUES FROM (100) TO (200) PARTITION BY RANGE (id);" \
    "CREATE TABLE t_high1 PARTITION OF t_high FOR VALUES FROM (100) TO (150);"                   \
    "CREATE TABLE t_more (id int PRIMARY KEY, a text); INSERT INTO t VALUES (1, 'x'), (120, 'y')"

static void
writes_to_partitions_and_their_truncation_are_logged(void **state)
{
    fixture f = begin("parted", PARTED);
    const char *db = f.place.conninfo;

    (void) state;
    add(&f);
    pawl_test_exec(db, "SET session_replication_role = replica; UPDATE t_low SET a = 'p'");
    pawl_test_exec(db, "UPDATE t SET id = 101 WHERE id = 1");
    pawl_test_exec(db, "TRUNCATE t_high1");
    assert_log(&f, "u1 d1 i101 t");
    assert_true(check(&f).is_whole);
    pawl_test_exec(db,
                   "INSERT INTO t_more VALUES (210, 'm'); ALTER TABLE t ATTACH PARTITION t_more FOR VALUES "
                   "FROM (200) TO (300)");
    assert_why(&f, "t_more");
    end(&f);
}

static void
a_full_log_gives_the_capture_up_and_not_the_application(void **state)
{
    fixture f = begin("full", PLAIN);

    (void) state;
    f.spec.max_bytes = 8192;
    add(&f);
    pawl_test_exec(f.place.conninfo, "INSERT INTO t SELECT i, 'many', 0 FROM generate_series(10, 5000) i");
    assert_int_equal(pawl_test_query_i64(f.place.conninfo, "SELECT count(*) FROM t"), 4993);
    assert_int_equal(pawl_test_query_i64(f.place.conninfo,
                                         "SELECT pg_relation_size('" PAWL_TEST_QUOTED ".change_" JOB "')"),
                     8192);
    assert_why(&f, "reached the size");
    end(&f);
}

static void
other_columns_are_watched_after_the_turn(void **state)
{
    fixture f = begin("turn", PLAIN);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    watch_a(&f);
    add(&f);
    f.watch[0] = pawl_table_column(f.table, "b");
    pawl_test_txn_begin(f.place.pg);
    pawl_test_is_ok(pawl_capture_watch(&f.spec, f.place.ledger, f.place.pg, &err), &err);
    pawl_test_txn_commit(f.place.pg);
    pawl_test_exec(f.place.conninfo,
                   "UPDATE t SET a = 'unseen' WHERE id = 1; UPDATE t SET b = 9 WHERE id = 2");
    assert_log(&f, "u2");
    assert_true(check(&f).is_whole);
    end(&f);
}

/* Whichever other column is changed with it; by whatever name it goes. */
static void
a_change_of_the_marked_column_is_told_from_others(void **state)
{
    fixture f = begin("marked", PLAIN);

    (void) state;
    f.watch[0] = pawl_table_column(f.table, "a");
    f.watch[1] = pawl_table_column(f.table, "b");
    f.spec.watch = f.watch;
    f.spec.nwatch = 2;
    f.spec.marked = f.watch[0];
    add(&f);
    pawl_test_exec(f.place.conninfo,
                   "UPDATE t SET b = 7 WHERE id = 1; UPDATE t SET a = 'w' WHERE id = 1;"
                   "UPDATE t SET a = 'v', b = 8 WHERE id = 2; UPDATE t SET a = 'v', b = 8 WHERE id = 2;"
                   "UPDATE t SET a = 'u', id = 20 WHERE id = 2");
    assert_log(&f, "u1 w1 w2 i20 d2");
    assert_true(check(&f).is_whole);
    pawl_test_exec(f.place.conninfo,
                   "ALTER TABLE t RENAME a TO other; UPDATE t SET other = 's' WHERE id = 1");
    assert_log(&f, "u1 w1 w2 i20 d2 w1");
    end(&f);
}

static void
nothing_is_left_behind(void **state)
{
    fixture f = begin("clean", PARTED);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    add(&f);
    pawl_test_txn_begin(f.place.pg);
    assert_int_equal(pawl_capture_add(&f.spec, f.place.ledger, f.place.pg, &err), PAWL_E_STATE);
    pawl_test_txn_commit(f.place.pg);
    pawl_test_exec(f.place.conninfo,
                   "ALTER TABLE t DETACH PARTITION t_high; ALTER TABLE t_low RENAME TO t_lower");
    remove_capture(&f);
    remove_capture(&f);
    assert_int_equal(
        pawl_test_query_i64(
            f.place.conninfo,
            "SELECT (SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT "
            "count(*) FROM pg_proc WHERE proname LIKE 'capture%') + (SELECT count(*) FROM "
            "pg_class WHERE relname IN ('change_1', 'lost_1')) + (SELECT count(*) FROM " PAWL_TEST_QUOTED
            ".capture)"),
        0);
    assert_false(check(&f).is_there);
    end(&f);
}

/* A crash empties an unlogged table. */
static void
the_log_survives_a_crash(void **state)
{
    fixture f = begin("crash", PLAIN);

    (void) state;
    add(&f);
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'kept' WHERE id = 1");
    pawl_test_server_restart(true);
    assert_log(&f, "u1");
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_way_to_change_a_row_is_logged),
        cmocka_unit_test(an_update_of_other_columns_is_passed_over),
        cmocka_unit_test(what_is_equal_but_not_identical_is_logged),
        cmocka_unit_test(replication_is_captured_too),
        cmocka_unit_test(an_application_without_rights_on_the_ledger_is_captured),
        cmocka_unit_test(a_hostile_search_path_changes_nothing),
        cmocka_unit_test(a_session_of_the_job_is_skipped_where_that_was_asked_for),
        cmocka_unit_test(a_trigger_that_was_disabled_for_a_while_is_found),
        cmocka_unit_test(a_watched_column_that_was_renamed_is_found),
        cmocka_unit_test(writes_to_partitions_and_their_truncation_are_logged),
        cmocka_unit_test(a_full_log_gives_the_capture_up_and_not_the_application),
        cmocka_unit_test(other_columns_are_watched_after_the_turn),
        cmocka_unit_test(a_change_of_the_marked_column_is_told_from_others),
        cmocka_unit_test(nothing_is_left_behind),
        cmocka_unit_test(the_log_survives_a_crash),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
