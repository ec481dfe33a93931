/* The ledger against a real server: its creation, its functions, the history. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/history.h"
#include "ledger/runner.h"
#include "pawl_sql.h"
#include "support/place.h"
#include "support/process.h"
#include "support/server.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

#define THREADS 8

/* ---- creation --------------------------------------------------------------------------------------------------- */

typedef struct creator
{
    const char *conninfo;
    pawl_status st;
    pawl_error err;
} creator;

static void *
create_ledger(void *arg)
{
    creator *c = arg;
    pawl_pg *pg = NULL;
    pawl_ledger *ledger = NULL;

    c->st = pawl_pg_open(&(pawl_pg_options){.conninfo = c->conninfo}, &pg, &c->err);
    if (c->st == PAWL_OK)
        c->st = pawl_ledger_new(PAWL_TEST_SCHEMA, &ledger, &c->err);
    if (c->st == PAWL_OK)
        c->st = pawl_ledger_ensure(ledger, pg, &c->err);
    pawl_ledger_free(ledger);
    pawl_pg_close(pg);
    return NULL;
}

static void
eight_at_once_create_one_ledger(void **state)
{
    const char *db = pawl_test_database_new("eight");
    creator creators[THREADS];
    pthread_t threads[THREADS];

    (void) state;
    for (size_t i = 0; i < THREADS; i++)
    {
        creators[i] = (creator){.conninfo = db};
        assert_int_equal(pthread_create(&threads[i], NULL, create_ledger, &creators[i]), 0);
    }
    for (size_t i = 0; i < THREADS; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);

    for (size_t i = 0; i < THREADS; i++)
        pawl_test_is_ok(creators[i].st, &creators[i].err);
    assert_int_equal(pawl_test_query_i64(db, "SELECT version FROM " PAWL_TEST_QUOTED ".meta"),
                     PAWL_LEDGER_VERSION);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM " PAWL_TEST_QUOTED ".runner"), 1);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM " PAWL_TEST_QUOTED
                                             ".event WHERE kind = 'ledger_created'"),
                     1);
}

static void
every_table_has_a_primary_key(void **state)
{
    pawl_test_place p = pawl_test_place_new("keys");

    (void) state;
    assert_int_equal(
        pawl_test_query_i64(p.conninfo,
                            "SELECT count(*) FROM pg_class c WHERE c.relkind = 'r'"
                            " AND c.relnamespace = '" PAWL_TEST_QUOTED "'::regnamespace AND NOT EXISTS"
                            " (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)"),
        0);
    pawl_test_place_end(&p);
}

static void
version_is_zero_without_a_ledger_and_creates_nothing(void **state)
{
    const char *db = pawl_test_database_new("nothing");
    PAWL_AUTO(pawl_pg) pg = pawl_test_session(db);
    PAWL_AUTO(pawl_ledger) ledger = pawl_test_ledger_in(PAWL_TEST_SCHEMA);
    pawl_error err = PAWL_ERROR_INIT;
    int version = -1;

    (void) state;
    pawl_test_is_ok(pawl_ledger_version(ledger, pg, &version, &err), &err);
    assert_int_equal(version, 0);
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pawl%'"),
                     0);
}

static void
newer_ledger_is_refused_and_named(void **state)
{
    pawl_test_place p = pawl_test_place_new("newer");
    pawl_error err = PAWL_ERROR_INIT;
    int version = 0;

    (void) state;
    pawl_test_exec(p.conninfo, "UPDATE " PAWL_TEST_QUOTED ".meta SET version = 99, tool_version = '7.8'");
    assert_int_equal(pawl_ledger_ensure(p.ledger, p.pg, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.message, "99"));
    assert_non_null(strstr(err.hint, "7.8"));
    assert_false(pawl_pg_is_in_transaction(p.pg));
    pawl_test_is_ok(pawl_ledger_version(p.ledger, p.pg, &version, &err), &err);
    assert_int_equal(version, 99);
    pawl_test_place_end(&p);
}

static void
schema_of_somebody_else_is_refused_and_left_alone(void **state)
{
    const char *db = pawl_test_database_new("foreign");
    PAWL_AUTO(pawl_pg) pg = pawl_test_session(db);
    PAWL_AUTO(pawl_ledger) ledger = pawl_test_ledger_in("pawl");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_exec(db, "CREATE SCHEMA pawl CREATE TABLE meta (id integer)");
    assert_int_equal(pawl_ledger_ensure(ledger, pg, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.message, "not a ledger"));
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM pg_class WHERE relnamespace = 'pawl'::regnamespace"),
        1);
}

static void
role_without_rights_is_told_what_to_ask_for(void **state)
{
    const char *db = pawl_test_database_new("rights");
    PAWL_AUTO(pawl_ledger) ledger = pawl_test_ledger_in("pawl");
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[600];

    (void) state;
    pawl_test_exec(db, "CREATE ROLE ledger_nobody LOGIN");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_nobody", db);
    PAWL_AUTO(pawl_pg) pg = pawl_test_session(conninfo);

    assert_int_equal(pawl_ledger_ensure(ledger, pg, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.hint, "CREATE SCHEMA \"pawl\" AUTHORIZATION ledger_nobody"));

    /* A schema made for it is enough, although it may not create schemas. */
    pawl_test_exec(db, "CREATE SCHEMA pawl AUTHORIZATION ledger_nobody");
    pawl_test_is_ok(pawl_ledger_ensure(ledger, pg, &err), &err);

    /* Another role may not look into it. */
    pawl_test_exec(db, "CREATE ROLE ledger_other LOGIN");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_other", db);
    PAWL_AUTO(pawl_pg) other = pawl_test_session(conninfo);
    int version = 0;

    assert_int_equal(pawl_ledger_version(ledger, other, &version, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.hint, "ledger_nobody"));
    assert_false(pawl_pg_is_in_transaction(other));
}

static void
names_that_no_schema_can_have_are_refused(void **state)
{
    static const char *const names[] = {"", "pg_ledger", "a$b",
                                        "1234567890123456789012345678901234567890123456789012345678901234"};

    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
    {
        pawl_error err = PAWL_ERROR_INIT;
        pawl_ledger *ledger = NULL;

        assert_int_equal(pawl_ledger_new(names[i], &ledger, &err), PAWL_E_USAGE);
        assert_null(ledger);
    }
}

static void
publication_for_all_tables_is_found(void **state)
{
    pawl_test_place p = pawl_test_place_new("published");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    const char *names = NULL;

    (void) state;
    pawl_test_exec(p.conninfo,
                   "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION harmless FOR TABLE t");
    pawl_test_is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
    assert_string_equal(names, "");
    pawl_test_exec(p.conninfo, "CREATE PUBLICATION \"All of it\" FOR ALL TABLES");
    pawl_test_is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
    assert_string_equal(names, "\"All of it\"");
    if (pawl_pg_server_version(p.pg) >= 150000)
    {
        pawl_test_exec(p.conninfo, "CREATE PUBLICATION schemas FOR TABLES IN SCHEMA " PAWL_TEST_QUOTED);
        pawl_test_is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
        assert_string_equal(names, "\"All of it\", schemas");
    }
    pawl_test_place_end(&p);
}

static void
rendered_statement_keeps_its_address(void **state)
{
    PAWL_AUTO(pawl_ledger) ledger = pawl_test_ledger_in(PAWL_TEST_SCHEMA);
    const char *first = pawl_ledger_sql(ledger, pawl_sql_ledger_meta_read);

    (void) state;
    assert_non_null(strstr(first, "FROM " PAWL_TEST_QUOTED ".meta"));
    assert_null(strstr(first, "@ledger@"));
    (void) pawl_ledger_sql(ledger, pawl_sql_ledger_event_add);
    (void) pawl_ledger_sql(ledger, pawl_sql_ledger_runner_look);
    assert_ptr_equal(pawl_ledger_sql(ledger, pawl_sql_ledger_meta_read), first);
}

/* ---- hold and checkpoint ---------------------------------------------------------------------------------------- */

static void
one_chunk(const char *db)
{
    pawl_test_exec(db,
                   "INSERT INTO " PAWL_TEST_QUOTED
                   ".job (revision_id, direction, ordinal, kind, table_oid, table_name, writer,"
                   " key_columns, key_types, collations, fingerprint, settings, checksum)"
                   " VALUES ('r', 'up', 1, 'backfill', 1, 't', 'set', '{id}', '{int8}', '', '', '{}', '');"
                   "INSERT INTO " PAWL_TEST_QUOTED
                   ".progress (job_id, chunk_id, lo, lo_hash, owner, fence, lease_until)"
                   " VALUES (1, 1, '{}', '', 'me', 5, clock_timestamp())");
}

static pawl_status
call(pawl_test_place *p, const char *expression, pawl_error *err)
{
    char sql[300];
    pawl_status st;

    pawl_fmt(sql, sizeof sql, "SELECT " PAWL_TEST_QUOTED ".%s", expression);
    pawl_test_txn_begin(p->pg);
    st = pawl_pg_exec(p->pg, sql, err);
    if (st == PAWL_OK)
        pawl_test_txn_commit(p->pg);
    pawl_pg_rollback(p->pg);
    return st;
}

static void
is_lease_lost(pawl_test_place *p, const char *expression)
{
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(call(p, expression, &err), PAWL_E_LEASE);
    assert_string_equal(err.sqlstate, "PW001");
}

static void
hold_demands_fence_cursor_and_open_state(void **state)
{
    pawl_test_place p = pawl_test_place_new("hold");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    one_chunk(p.conninfo);
    pawl_test_is_ok(call(&p, "hold(1, 1, 5, NULL)", &err), &err);
    is_lease_lost(&p, "hold(1, 1, 4, NULL)");
    is_lease_lost(&p, "hold(1, 1, 5, '{7}')");
    is_lease_lost(&p, "hold(1, 2, 5, NULL)");
    is_lease_lost(&p, "hold(2, 1, 5, NULL)");
    pawl_test_exec(p.conninfo, "UPDATE " PAWL_TEST_QUOTED ".progress SET cursor = '{7}'");
    is_lease_lost(&p, "hold(1, 1, 5, NULL)");
    pawl_test_is_ok(call(&p, "hold(1, 1, 5, '{7}')", &err), &err);
    pawl_test_exec(p.conninfo, "UPDATE " PAWL_TEST_QUOTED ".progress SET state = 'done'");
    is_lease_lost(&p, "hold(1, 1, 5, '{7}')");
    pawl_test_place_end(&p);
}

static void
checkpoint_adds_up_and_demands_fence_and_open_state(void **state)
{
    pawl_test_place p = pawl_test_place_new("checkpoint");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    one_chunk(p.conninfo);
    pawl_test_is_ok(call(&p, "checkpoint(1, 1, 5, '{10}', false, 60000, 10, 9, 1, 2, 3, 1)", &err), &err);
    pawl_test_is_ok(call(&p, "checkpoint(1, 1, 5, NULL, false, 60000, 10, 9, 1, 2, 3, 1)", &err), &err);
    is_lease_lost(&p, "checkpoint(1, 1, 6, '{11}', false, 60000, 1, 1, 0, 0, 0, 1)");
    PAWL_AUTO(pawl_str)
    row = pawl_test_query_text(p.conninfo,
                               "SELECT concat_ws(' ', cursor, state, rows_read, rows_written, rows_moved,"
                               " rows_gone, rows_rejected, batches) FROM " PAWL_TEST_QUOTED ".progress");
    assert_string_equal(row, "{10} open 20 18 2 4 6 2");
    pawl_test_wait_until(
        p.conninfo,
        "SELECT lease_until BETWEEN clock_timestamp() + interval '30 s' AND clock_timestamp()"
        " + interval '61 s' FROM " PAWL_TEST_QUOTED ".progress",
        1000);

    pawl_test_is_ok(call(&p, "checkpoint(1, 1, 5, '{12}', true, 60000, 0, 0, 0, 0, 0, 0)", &err), &err);
    is_lease_lost(&p, "checkpoint(1, 1, 5, '{13}', false, 60000, 0, 0, 0, 0, 0, 0)");
    pawl_test_place_end(&p);
}

static void
hold_runner_demands_the_fence_and_an_owner(void **state)
{
    pawl_test_place p = pawl_test_place_new("holdrunner");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    is_lease_lost(&p, "hold_runner(0)"); /* free: held by nobody */
    pawl_test_exec(p.conninfo, "UPDATE " PAWL_TEST_QUOTED ".runner SET owner = 'me:1', fence = 3");
    pawl_test_is_ok(call(&p, "hold_runner(3)", &err), &err);
    is_lease_lost(&p, "hold_runner(2)");
    pawl_test_place_end(&p);
}

/* ---- history ---------------------------------------------------------------------------------------------------- */

static const char *const parents[] = {"a1", "it's \"b\", {2}"};

static void
record_revision(pawl_test_place *p, const char *id)
{
    const char *copy[] = {parents[0], parents[1]};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied revision = {.id = id,
                             .parents = copy,
                             .nparents = 2,
                             .description = "Gr\303\274\303\237e",
                             .body = "up: []\n",
                             .checksum = "c1"};

    pawl_test_txn_begin(p->pg);
    pawl_test_is_ok(pawl_history_begin(p->ledger, p->pg, &revision, &err), &err);
    pawl_test_txn_commit(p->pg);
}

static void
revision_goes_from_applying_to_applied_and_back(void **state)
{
    pawl_test_place p = pawl_test_place_new("history");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied *all = NULL;
    size_t count = 0;

    (void) state;
    record_revision(&p, "r1");
    record_revision(&p, "r1"); /* again: nothing happens */
    pawl_test_txn_begin(p.pg);
    pawl_test_is_ok(pawl_history_revisions(p.ledger, p.pg, true, arena, &all, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(all[0].state, "applying");
    assert_int_equal(all[0].nparents, 2);
    assert_string_equal(all[0].parents[1], parents[1]);
    assert_int_equal(all[0].ndepends_on, 0);
    assert_string_equal(all[0].description, "Gr\303\274\303\237e");
    assert_string_equal(all[0].finished_at, "");

    pawl_test_is_ok(pawl_history_finish(p.ledger, p.pg, "r1", "up: [1]\n", "c2", 1234, &err), &err);
    pawl_test_is_ok(pawl_history_revisions(p.ledger, p.pg, false, arena, &all, &count, &err), &err);
    assert_string_equal(all[0].state, "applied");
    assert_string_equal(all[0].checksum, "c2");
    assert_string_equal(all[0].body, "");
    assert_int_equal(all[0].duration_ms, 1234);
    assert_int_equal(strlen(all[0].finished_at), strlen("2026-01-31T09:05:07.123Z"));
    assert_int_equal(pawl_history_finish(p.ledger, p.pg, "r1", "", "", 0, &err), PAWL_E_STATE);
    assert_int_equal(pawl_history_finish(p.ledger, p.pg, "r9", "", "", 0, &err), PAWL_E_STATE);

    pawl_test_is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err);
    pawl_test_is_ok(pawl_history_remove(p.ledger, p.pg, "r1", &err), &err);
    assert_int_equal(pawl_history_remove(p.ledger, p.pg, "r1", &err), PAWL_E_STATE);
    pawl_test_is_ok(pawl_history_revisions(p.ledger, p.pg, false, arena, &all, &count, &err), &err);
    assert_int_equal(count, 0);
    pawl_test_txn_commit(p.pg);
    pawl_test_place_end(&p);
}

static void
step_that_begins_again_keeps_its_facts_and_loses_its_error(void **state)
{
    pawl_test_place p = pawl_test_place_new("steps");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied_step *steps = NULL;
    pawl_step_end end = {.revision = "r1",
                         .direction = "up",
                         .ordinal = 2,
                         .state = "failed",
                         .info = "{\"a\": 1}",
                         .error = "no",
                         .sqlstate = "22012"};
    size_t count = 0;

    (void) state;
    record_revision(&p, "r1");
    pawl_test_txn_begin(p.pg);
    assert_int_equal(pawl_history_step_end(p.ledger, p.pg, &end, &err), PAWL_E_STATE);
    pawl_test_is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 2, "sql", "k1", &err), &err);
    pawl_test_is_ok(pawl_history_step_end(p.ledger, p.pg, &end, &err), &err);
    pawl_test_is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].state, "failed");
    assert_string_equal(steps[0].sqlstate, "22012");

    pawl_test_is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 2, "sql", "k2", &err), &err);
    pawl_test_is_ok(pawl_history_step_info(p.ledger, p.pg, "r1", "up", 2, "{\"b\": 2}", &err), &err);
    pawl_test_is_ok(pawl_history_steps(p.ledger, p.pg, NULL, arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].state, "running");
    assert_string_equal(steps[0].checksum, "k2");
    assert_string_equal(steps[0].info, "{\"a\": 1, \"b\": 2}");
    assert_string_equal(steps[0].error, "");
    assert_string_equal(steps[0].finished_at, "");

    pawl_test_is_ok(pawl_history_step_remove(p.ledger, p.pg, "r1", "up", 2, &err), &err);
    pawl_test_is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 0);
    pawl_test_txn_commit(p.pg);
    pawl_test_place_end(&p);
}

static void
reverting_starts_the_way_down_afresh_only_once(void **state)
{
    pawl_test_place p = pawl_test_place_new("down");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied_step *steps = NULL;
    size_t count = 0;

    (void) state;
    record_revision(&p, "r1");
    pawl_test_txn_begin(p.pg);
    pawl_test_is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 1, "sql", "k", &err), &err);
    pawl_test_is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "down", 1, "sql", "stale", &err), &err);
    pawl_test_is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err);
    pawl_test_is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].direction, "up");

    pawl_test_is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "down", 1, "sql", "k", &err), &err);
    pawl_test_is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err); /* goes on */
    pawl_test_is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_string_equal(steps[1].direction, "down");
    pawl_test_txn_commit(p.pg);
    pawl_test_place_end(&p);
}

static void
event_is_written_in_the_callers_transaction_or_its_own(void **state)
{
    pawl_test_place p = pawl_test_place_new("events");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_txn_begin(p.pg);
    pawl_test_is_ok(pawl_ledger_event(p.ledger, p.pg, "undone", "r1", 7, "", &err), &err);
    pawl_pg_rollback(p.pg);
    pawl_test_is_ok(pawl_ledger_event(p.ledger, p.pg, "done", "", 0, "for good", &err), &err);
    assert_false(pawl_pg_is_in_transaction(p.pg));
    PAWL_AUTO(pawl_str)
    text = pawl_test_query_text(p.conninfo,
                                "SELECT string_agg(kind || ':' || detail || ':' || (job_id IS NULL)::text"
                                " || ':' || (from_where LIKE '%:%')::text, ' ' ORDER BY event_id)"
                                " FROM " PAWL_TEST_QUOTED ".event WHERE kind <> 'ledger_created'");
    assert_string_equal(text, "done:for good:true:true");
    pawl_test_place_end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(eight_at_once_create_one_ledger),
        cmocka_unit_test(every_table_has_a_primary_key),
        cmocka_unit_test(version_is_zero_without_a_ledger_and_creates_nothing),
        cmocka_unit_test(newer_ledger_is_refused_and_named),
        cmocka_unit_test(schema_of_somebody_else_is_refused_and_left_alone),
        cmocka_unit_test(role_without_rights_is_told_what_to_ask_for),
        cmocka_unit_test(names_that_no_schema_can_have_are_refused),
        cmocka_unit_test(publication_for_all_tables_is_found),
        cmocka_unit_test(rendered_statement_keeps_its_address),
        cmocka_unit_test(hold_demands_fence_cursor_and_open_state),
        cmocka_unit_test(checkpoint_adds_up_and_demands_fence_and_open_state),
        cmocka_unit_test(hold_runner_demands_the_fence_and_an_owner),
        cmocka_unit_test(revision_goes_from_applying_to_applied_and_back),
        cmocka_unit_test(step_that_begins_again_keeps_its_facts_and_loses_its_error),
        cmocka_unit_test(reverting_starts_the_way_down_afresh_only_once),
        cmocka_unit_test(event_is_written_in_the_callers_transaction_or_its_own),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
