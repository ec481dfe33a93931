/* The ledger against a real server: its creation, its functions, and the lease of the one runner. */
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
#include "support/process.h"
#include "support/server.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

#define SCHEMA  "pawl \"ledger\""
#define QUOTED  "\"pawl \"\"ledger\"\"\""
#define THREADS 8

static pawl_pg *
connect_to(const char *conninfo)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *pg = NULL;

    if (pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &pg, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    return pg;
}

static pawl_ledger *
ledger_in(const char *schema)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_ledger *ledger = NULL;

    if (pawl_ledger_new(schema, &ledger, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    return ledger;
}

static void
is_ok(pawl_status st, const pawl_error *err)
{
    if (st != PAWL_OK)
        fail_msg("%s: %s | %s | %s", pawl_status_name(st), err->message, err->detail, err->hint);
}

/* A session and a ledger that is there. */
typedef struct place
{
    const char *conninfo;
    pawl_pg *pg;
    pawl_ledger *ledger;
} place;

static place
place_new(const char *database)
{
    pawl_error err = PAWL_ERROR_INIT;
    place p = {.conninfo = pawl_test_database_new(database)};

    p.pg = connect_to(p.conninfo);
    p.ledger = ledger_in(SCHEMA);
    is_ok(pawl_ledger_ensure(p.ledger, p.pg, &err), &err);
    return p;
}

static void
place_end(place *p)
{
    pawl_ledger_free(p->ledger);
    pawl_pg_close(p->pg);
}

static void
begin(pawl_pg *pg)
{
    pawl_error err = PAWL_ERROR_INIT;

    is_ok(pawl_pg_begin(pg, NULL, &err), &err);
}

static void
commit(pawl_pg *pg)
{
    pawl_error err = PAWL_ERROR_INIT;

    is_ok(pawl_pg_commit(pg, &err), &err);
}

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
        c->st = pawl_ledger_new(SCHEMA, &ledger, &c->err);
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
        is_ok(creators[i].st, &creators[i].err);
    assert_int_equal(pawl_test_query_i64(db, "SELECT version FROM " QUOTED ".meta"), PAWL_LEDGER_VERSION);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM " QUOTED ".runner"), 1);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM " QUOTED ".event WHERE kind = 'ledger_created'"), 1);
}

static void
every_table_has_a_primary_key(void **state)
{
    place p = place_new("keys");

    (void) state;
    assert_int_equal(pawl_test_query_i64(
                         p.conninfo, "SELECT count(*) FROM pg_class c WHERE c.relkind = 'r'"
                                     " AND c.relnamespace = '" QUOTED "'::regnamespace AND NOT EXISTS"
                                     " (SELECT FROM pg_index i WHERE i.indrelid = c.oid AND i.indisprimary)"),
                     0);
    place_end(&p);
}

static void
version_is_zero_without_a_ledger_and_creates_nothing(void **state)
{
    const char *db = pawl_test_database_new("nothing");
    PAWL_AUTO(pawl_pg) pg = connect_to(db);
    PAWL_AUTO(pawl_ledger) ledger = ledger_in(SCHEMA);
    pawl_error err = PAWL_ERROR_INIT;
    int version = -1;

    (void) state;
    is_ok(pawl_ledger_version(ledger, pg, &version, &err), &err);
    assert_int_equal(version, 0);
    assert_false(pawl_pg_is_in_transaction(pg));
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'pawl%'"),
                     0);
}

static void
newer_ledger_is_refused_and_named(void **state)
{
    place p = place_new("newer");
    pawl_error err = PAWL_ERROR_INIT;
    int version = 0;

    (void) state;
    pawl_test_exec(p.conninfo, "UPDATE " QUOTED ".meta SET version = 99, tool_version = '7.8'");
    assert_int_equal(pawl_ledger_ensure(p.ledger, p.pg, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.message, "99"));
    assert_non_null(strstr(err.hint, "7.8"));
    assert_false(pawl_pg_is_in_transaction(p.pg));
    is_ok(pawl_ledger_version(p.ledger, p.pg, &version, &err), &err);
    assert_int_equal(version, 99);
    place_end(&p);
}

static void
schema_of_somebody_else_is_refused_and_left_alone(void **state)
{
    const char *db = pawl_test_database_new("foreign");
    PAWL_AUTO(pawl_pg) pg = connect_to(db);
    PAWL_AUTO(pawl_ledger) ledger = ledger_in("pawl");
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
    PAWL_AUTO(pawl_ledger) ledger = ledger_in("pawl");
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[600];

    (void) state;
    pawl_test_exec(db, "CREATE ROLE ledger_nobody LOGIN");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_nobody", db);
    PAWL_AUTO(pawl_pg) pg = connect_to(conninfo);

    assert_int_equal(pawl_ledger_ensure(ledger, pg, &err), PAWL_E_REFUSED);
    assert_non_null(strstr(err.hint, "CREATE SCHEMA \"pawl\" AUTHORIZATION ledger_nobody"));

    /* A schema made for it is enough, although it may not create schemas. */
    pawl_test_exec(db, "CREATE SCHEMA pawl AUTHORIZATION ledger_nobody");
    is_ok(pawl_ledger_ensure(ledger, pg, &err), &err);

    /* Another role may not look into it. */
    pawl_test_exec(db, "CREATE ROLE ledger_other LOGIN");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_other", db);
    PAWL_AUTO(pawl_pg) other = connect_to(conninfo);
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
    place p = place_new("published");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    const char *names = NULL;

    (void) state;
    pawl_test_exec(p.conninfo,
                   "CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION harmless FOR TABLE t");
    is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
    assert_string_equal(names, "");
    pawl_test_exec(p.conninfo, "CREATE PUBLICATION \"All of it\" FOR ALL TABLES");
    is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
    assert_string_equal(names, "\"All of it\"");
    if (pawl_pg_server_version(p.pg) >= 150000)
    {
        pawl_test_exec(p.conninfo, "CREATE PUBLICATION schemas FOR TABLES IN SCHEMA " QUOTED);
        is_ok(pawl_ledger_publications(p.ledger, p.pg, arena, &names, &err), &err);
        assert_string_equal(names, "\"All of it\", schemas");
    }
    place_end(&p);
}

static void
rendered_statement_keeps_its_address(void **state)
{
    PAWL_AUTO(pawl_ledger) ledger = ledger_in(SCHEMA);
    const char *first = pawl_ledger_sql(ledger, pawl_sql_ledger_meta_read);

    (void) state;
    assert_non_null(strstr(first, "FROM " QUOTED ".meta"));
    assert_null(strstr(first, "@ledger@"));
    (void) pawl_ledger_sql(ledger, pawl_sql_ledger_event_add);
    (void) pawl_ledger_sql(ledger, pawl_sql_ledger_runner_look);
    assert_ptr_equal(pawl_ledger_sql(ledger, pawl_sql_ledger_meta_read), first);
}

/* ---- hold and checkpoint ---------------------------------------------------------------------------------------- */

static void
one_chunk(const char *db)
{
    pawl_test_exec(
        db,
        "INSERT INTO " QUOTED ".job (revision_id, direction, ordinal, kind, table_oid, table_name, writer,"
        " key_columns, key_types, collations, fingerprint, settings, checksum)"
        " VALUES ('r', 'up', 1, 'backfill', 1, 't', 'set', '{id}', '{int8}', '', '', '{}', '');"
        "INSERT INTO " QUOTED ".progress (job_id, chunk_id, lo, lo_hash, owner, fence, lease_until)"
        " VALUES (1, 1, '{}', '', 'me', 5, clock_timestamp())");
}

static pawl_status
call(place *p, const char *expression, pawl_error *err)
{
    char sql[300];
    pawl_status st;

    pawl_fmt(sql, sizeof sql, "SELECT " QUOTED ".%s", expression);
    begin(p->pg);
    st = pawl_pg_exec(p->pg, sql, err);
    if (st == PAWL_OK)
        commit(p->pg);
    pawl_pg_rollback(p->pg);
    return st;
}

static void
is_lease_lost(place *p, const char *expression)
{
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(call(p, expression, &err), PAWL_E_LEASE);
    assert_string_equal(err.sqlstate, "PW001");
}

static void
hold_demands_fence_cursor_and_open_state(void **state)
{
    place p = place_new("hold");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    one_chunk(p.conninfo);
    is_ok(call(&p, "hold(1, 1, 5, NULL)", &err), &err);
    is_lease_lost(&p, "hold(1, 1, 4, NULL)");
    is_lease_lost(&p, "hold(1, 1, 5, '{7}')");
    is_lease_lost(&p, "hold(1, 2, 5, NULL)");
    is_lease_lost(&p, "hold(2, 1, 5, NULL)");
    pawl_test_exec(p.conninfo, "UPDATE " QUOTED ".progress SET cursor = '{7}'");
    is_lease_lost(&p, "hold(1, 1, 5, NULL)");
    is_ok(call(&p, "hold(1, 1, 5, '{7}')", &err), &err);
    pawl_test_exec(p.conninfo, "UPDATE " QUOTED ".progress SET state = 'done'");
    is_lease_lost(&p, "hold(1, 1, 5, '{7}')");
    place_end(&p);
}

static void
checkpoint_adds_up_and_demands_fence_and_open_state(void **state)
{
    place p = place_new("checkpoint");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    one_chunk(p.conninfo);
    is_ok(call(&p, "checkpoint(1, 1, 5, '{10}', false, 60000, 10, 9, 1, 2, 3, 1)", &err), &err);
    is_ok(call(&p, "checkpoint(1, 1, 5, NULL, false, 60000, 10, 9, 1, 2, 3, 1)", &err), &err);
    is_lease_lost(&p, "checkpoint(1, 1, 6, '{11}', false, 60000, 1, 1, 0, 0, 0, 1)");
    PAWL_AUTO(pawl_str)
    row = pawl_test_query_text(p.conninfo,
                               "SELECT concat_ws(' ', cursor, state, rows_read, rows_written, rows_moved,"
                               " rows_gone, rows_rejected, batches) FROM " QUOTED ".progress");
    assert_string_equal(row, "{10} open 20 18 2 4 6 2");
    pawl_test_wait_until(
        p.conninfo,
        "SELECT lease_until BETWEEN clock_timestamp() + interval '30 s' AND clock_timestamp()"
        " + interval '61 s' FROM " QUOTED ".progress",
        1000);

    is_ok(call(&p, "checkpoint(1, 1, 5, '{12}', true, 60000, 0, 0, 0, 0, 0, 0)", &err), &err);
    is_lease_lost(&p, "checkpoint(1, 1, 5, '{13}', false, 60000, 0, 0, 0, 0, 0, 0)");
    place_end(&p);
}

static void
hold_runner_demands_the_fence_and_an_owner(void **state)
{
    place p = place_new("holdrunner");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    is_lease_lost(&p, "hold_runner(0)"); /* free: held by nobody */
    pawl_test_exec(p.conninfo, "UPDATE " QUOTED ".runner SET owner = 'me:1', fence = 3");
    is_ok(call(&p, "hold_runner(3)", &err), &err);
    is_lease_lost(&p, "hold_runner(2)");
    place_end(&p);
}

/* ---- the runner ------------------------------------------------------------------------------------------------- */

static pawl_runner_options
options_of(const place *p, int64_t lease_ms, int64_t wait_ms)
{
    return (pawl_runner_options){.conninfo = p->conninfo,
                                 .schema = SCHEMA,
                                 .doing = "upgrade head",
                                 .lease_ms = lease_ms,
                                 .wait_ms = wait_ms};
}

static pawl_runner *
acquire(place *p, int64_t lease_ms, int64_t wait_ms)
{
    pawl_runner_options options = options_of(p, lease_ms, wait_ms);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *runner = NULL;

    is_ok(pawl_runner_acquire(p->ledger, p->pg, &options, &runner, &err), &err);
    return runner;
}

static place
neighbour(const place *p)
{
    return (place){.conninfo = p->conninfo, .pg = connect_to(p->conninfo), .ledger = ledger_in(SCHEMA)};
}

#define HEART_IS_NAMED                                                                                \
    "SELECT EXISTS (SELECT FROM " QUOTED ".runner r JOIN pg_stat_activity a ON a.pid = r.backend_pid" \
    " AND a.backend_start = r.backend_start WHERE a.application_name = 'pawl heartbeat')"

static void
wait_for_heart(const place *p)
{
    pawl_test_wait_until(p->conninfo, HEART_IS_NAMED, 10000);
}

static void
second_runner_is_told_who_holds_the_lease(void **state)
{
    place a = place_new("busy");
    place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 300);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *second = NULL;
    char process[32];

    (void) state;
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    assert_null(second);
    pawl_fmt(process, sizeof process, "process %ld", (long) getpid());
    assert_non_null(strstr(err.message, process));
    assert_non_null(strstr(err.message, "upgrade head"));
    assert_false(pawl_pg_is_in_transaction(b.pg));

    pawl_runner_release(first, a.ledger, a.pg);
    second = acquire(&b, 60000, 0);
    assert_int_equal(pawl_runner_fence(second), 2);
    pawl_runner_release(second, b.ledger, b.pg);
    place_end(&b);
    place_end(&a);
}

static void
release_leaves_a_free_row_and_no_session(void **state)
{
    place p = place_new("release");
    pawl_runner *runner = acquire(&p, 60000, 0);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&p);
    begin(p.pg);
    is_ok(pawl_runner_hold(runner, p.ledger, p.pg, &err), &err);
    pawl_runner_release(runner, p.ledger, p.pg); /* as after a failed step: the transaction is still open */

    assert_int_equal(
        pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM " QUOTED ".runner WHERE owner = ''"), 1);
    pawl_test_wait_until(
        p.conninfo,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pawl heartbeat')", 5000);
    place_end(&p);
}

static void
heartbeat_keeps_the_lease_beyond_its_length(void **state)
{
    place a = place_new("beats");
    place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 900, 0);
    pawl_runner_options options = options_of(&b, 900, 2500);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *second = NULL;

    (void) state;
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    begin(a.pg);
    is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    commit(a.pg);
    pawl_runner_release(first, a.ledger, a.pg);
    place_end(&b);
    place_end(&a);
}

static void
expired_lease_is_taken_and_its_stalled_holder_can_change_nothing(void **state)
{
    place a = place_new("expired");
    place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "UPDATE " QUOTED ".runner SET lease_until = clock_timestamp() - interval '1 s'");
    second = acquire(&b, 60000, 0);
    assert_true(pawl_runner_fence(second) > pawl_runner_fence(first));

    begin(a.pg);
    assert_int_equal(pawl_runner_hold(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    pawl_pg_rollback(a.pg);
    begin(a.pg);
    assert_int_equal(pawl_runner_renew(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    pawl_pg_rollback(a.pg);

    /* Its release does not take the new holder's lease away. */
    pawl_runner_release(first, a.ledger, a.pg);
    begin(b.pg);
    is_ok(pawl_runner_hold(second, b.ledger, b.pg, &err), &err);
    commit(b.pg);
    pawl_runner_release(second, b.ledger, b.pg);
    place_end(&b);
    place_end(&a);
}

/* A process of its own that takes the lease and then does nothing until it is killed. */
static pid_t
fork_holder(const char *conninfo)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
    {
        place p = {.conninfo = conninfo};
        pawl_error err = PAWL_ERROR_INIT;
        pawl_runner *runner = NULL;

        if (pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &p.pg, &err) == PAWL_OK &&
            pawl_ledger_new(SCHEMA, &p.ledger, &err) == PAWL_OK)
        {
            pawl_runner_options options = options_of(&p, 600000, 0);

            if (pawl_runner_acquire(p.ledger, p.pg, &options, &runner, &err) == PAWL_OK)
                for (;;)
                    pause();
        }
        _exit(9);
    }
    return pid;
}

static void
lease_of_a_killed_process_is_free_at_once(void **state)
{
    place b = place_new("killed");
    pid_t pid = fork_holder(b.conninfo);
    int64_t begin_us;
    int status = 0;
    pawl_runner *runner;

    (void) state;
    wait_for_heart(&b);
    pawl_test_kill(pid, SIGKILL);
    assert_true(pawl_test_has_ended(pid, 5000, &status));
    begin_us = pawl_clock_us();
    runner = acquire(&b, 60000, 30000);
    assert_true(pawl_clock_us() - begin_us < 5000000);
    pawl_runner_release(runner, b.ledger, b.pg);
    place_end(&b);
}

static void
holder_whose_session_is_hidden_from_us_counts_as_alive(void **state)
{
    place a = place_new("hidden");
    place b = {.conninfo = a.conninfo, .ledger = ledger_in(SCHEMA)};
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 0);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[600];

    (void) state;
    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "CREATE ROLE ledger_peer LOGIN; GRANT USAGE ON SCHEMA " QUOTED " TO ledger_peer;"
                   "GRANT ALL ON ALL TABLES IN SCHEMA " QUOTED " TO ledger_peer");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_peer", a.conninfo);
    b.pg = connect_to(conninfo);
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    pawl_runner_release(first, a.ledger, a.pg);
    place_end(&b);
    place_end(&a);
}

/* Take the row as if it had been seen with this fence and lease, its backend gone; rows taken. */
static int
take_dead(place *p, int64_t fence, const char *lease_until)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT("other:2"),
        PAWL_ARG_TEXT("upgrade"),
        PAWL_ARG_NULL,
        PAWL_ARG_NULL,
        PAWL_ARG_I64(60000),
        PAWL_ARG_I64(fence),
        PAWL_ARG_TEXT(lease_until),
        PAWL_ARG_BOOL(true),
    };
    pawl_error err = PAWL_ERROR_INIT;

    begin(p->pg);
    is_ok(pawl_ledger_query(p->ledger, p->pg, pawl_sql_ledger_runner_take, 8, args, &res, &err), &err);
    commit(p->pg);
    return pawl_pg_rows(res);
}

static void
dead_holders_lease_is_not_taken_when_it_was_renewed_since_the_look(void **state)
{
    place p = place_new("renewed");

    (void) state;
    pawl_test_exec(p.conninfo,
                   "UPDATE " QUOTED ".runner SET owner = 'me:1', fence = 4, lease_until = '2100-01-02Z'");
    assert_int_equal(take_dead(&p, 4, "2100-01-01Z"), 0);
    assert_int_equal(take_dead(&p, 3, "2100-01-02Z"), 0);
    assert_int_equal(take_dead(&p, 4, "2100-01-02Z"), 1);
    place_end(&p);
}

static void
lease_survives_the_end_of_the_main_connection(void **state)
{
    place a = place_new("reopened");
    place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 500);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&a);
    pawl_pg_close(a.pg);
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);

    a.pg = connect_to(a.conninfo);
    begin(a.pg);
    is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    is_ok(pawl_runner_renew(first, a.ledger, a.pg, &err), &err);
    commit(a.pg);
    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT (" HEART_IS_NAMED ")::int"), 1);
    pawl_runner_release(first, a.ledger, a.pg);
    place_end(&b);
    place_end(&a);
}

static void
heartbeat_opens_a_new_connection_when_its_own_is_cut(void **state)
{
    place p = place_new("cutheart");
    pawl_runner *runner = acquire(&p, 1500, 0);

    (void) state;
    wait_for_heart(&p);
    pawl_test_exec(p.conninfo, "SELECT pg_terminate_backend(backend_pid, 5000) FROM " QUOTED ".runner");
    wait_for_heart(&p);
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT fence FROM " QUOTED ".runner"), 1);
    pawl_runner_release(runner, p.ledger, p.pg);
    place_end(&p);
}

/* One that waits for the lease in a thread. */
typedef struct waiter
{
    place p;
    pawl_runner_options options;
    pawl_runner *runner;
    pawl_status st;
    pawl_error err;
    int64_t done_us;
    int waiting_events;
} waiter;

static void
count_waiting(void *ctx, const pawl_event *event)
{
    waiter *w = ctx;

    if (event->kind == PAWL_EVENT_WAITING && strstr(event->text, "upgrade head") != NULL)
        w->waiting_events++;
}

static void *
wait_for_lease(void *arg)
{
    waiter *w = arg;
    pawl_sink sink = {.emit = count_waiting, .ctx = w};

    w->options.sink = &sink;
    w->st = pawl_pg_open(&(pawl_pg_options){.conninfo = w->p.conninfo}, &w->p.pg, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_ledger_new(SCHEMA, &w->p.ledger, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_runner_acquire(w->p.ledger, w->p.pg, &w->options, &w->runner, &w->err);
    w->done_us = pawl_clock_us();
    pawl_runner_release(w->runner, w->p.ledger, w->p.pg);
    place_end(&w->p);
    return NULL;
}

static waiter
waiter_of(const place *p, int64_t wait_ms)
{
    waiter w = {.p = {.conninfo = p->conninfo}};

    w.options = options_of(p, 60000, wait_ms);
    return w;
}

#define SOMEBODY_WAITS                                                                           \
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE " \
    "'%UPDATE%runner%')"

/* A step is in flight when the lease runs out. Renewed before COMMIT, it stays; not renewed, it goes. */
static void
take_over_waits_for_the_step_in_flight(bool is_renewed)
{
    place a = place_new(is_renewed ? "inflight_renewed" : "inflight");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, is_renewed ? 3000 : 20000);
    pawl_error err = PAWL_ERROR_INIT;
    pthread_t thread;
    int64_t end_us;

    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "UPDATE " QUOTED ".runner SET lease_until = clock_timestamp() - interval '1 s'");
    begin(a.pg);
    is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_wait_until(a.conninfo, SOMEBODY_WAITS, 10000);
    pawl_test_sleep_ms(700); /* more than one of its lock time-outs */
    if (is_renewed)
        is_ok(pawl_runner_renew(first, a.ledger, a.pg, &err), &err);
    end_us = pawl_clock_us();
    commit(a.pg);
    assert_int_equal(pthread_join(thread, NULL), 0);

    begin(a.pg);
    if (is_renewed)
    {
        assert_int_equal(w.st, PAWL_E_BUSY);
        is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    }
    else
    {
        is_ok(w.st, &w.err);
        assert_true(w.done_us >= end_us);
        assert_int_equal(pawl_runner_hold(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    }
    pawl_pg_rollback(a.pg);
    pawl_runner_release(first, a.ledger, a.pg);
    place_end(&a);
}

static void
take_over_waits_for_a_step_that_ends_without_renewing(void **state)
{
    (void) state;
    take_over_waits_for_the_step_in_flight(false);
}

static void
take_over_finds_nothing_after_a_step_that_renews(void **state)
{
    (void) state;
    take_over_waits_for_the_step_in_flight(true);
}

static void
waiting_runner_gets_the_lease_when_it_is_released(void **state)
{
    place a = place_new("handover");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, 20000);
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_sleep_ms(1500);
    pawl_runner_release(first, a.ledger, a.pg);
    assert_int_equal(pthread_join(thread, NULL), 0);
    is_ok(w.st, &w.err);
    assert_in_range(w.waiting_events, 1, 3);
    place_end(&a);
}

static void
waiting_ends_when_a_stop_is_requested(void **state)
{
    place a = place_new("stopped");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, 60000);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_stop *stop = NULL;
    pthread_t thread;
    int64_t begin_us;

    (void) state;
    is_ok(pawl_stop_new(&stop, &err), &err);
    w.options.stop = stop;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_sleep_ms(300);
    begin_us = pawl_clock_us();
    pawl_stop_request(stop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.st, PAWL_E_STOPPED);
    assert_true(pawl_clock_us() - begin_us < 2000000);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_stop_free(stop);
    place_end(&a);
}

#define CROWD 20

/* Each takes the lease, reads a number, waits a little, writes it back: a lost update shows two at a time. */
static void *
take_turn(void *arg)
{
    waiter *w = arg;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    char sql[100];

    w->st = pawl_pg_open(&(pawl_pg_options){.conninfo = w->p.conninfo}, &w->p.pg, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_ledger_new(SCHEMA, &w->p.ledger, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_runner_acquire(w->p.ledger, w->p.pg, &w->options, &w->runner, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_pg_query(w->p.pg, "SELECT n FROM public.turns", 0, NULL, &res, &w->err);
    if (w->st == PAWL_OK)
    {
        pawl_test_sleep_ms(10);
        pawl_fmt(sql, sizeof sql, "UPDATE public.turns SET n = %d", (int) pawl_pg_i64(res, 0, 0) + 1);
        w->st = pawl_pg_exec(w->p.pg, sql, &w->err);
    }
    pawl_runner_release(w->runner, w->p.ledger, w->p.pg);
    place_end(&w->p);
    return NULL;
}

static void
twenty_at_once_take_turns(void **state)
{
    place a = place_new("crowd");
    static waiter waiters[CROWD];
    pthread_t threads[CROWD];

    (void) state;
    pawl_test_exec(a.conninfo, "CREATE TABLE public.turns AS SELECT 0 AS n");
    for (size_t i = 0; i < CROWD; i++)
    {
        waiters[i] = waiter_of(&a, 60000);
        assert_int_equal(pthread_create(&threads[i], NULL, take_turn, &waiters[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < CROWD; i++)
        is_ok(waiters[i].st, &waiters[i].err);

    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT n FROM public.turns"), CROWD);
    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT fence FROM " QUOTED ".runner"), CROWD);
    place_end(&a);
}

/* ---- history ---------------------------------------------------------------------------------------------------- */

static const char *const parents[] = {"a1", "it's \"b\", {2}"};

static void
record_revision(place *p, const char *id)
{
    const char *copy[] = {parents[0], parents[1]};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied revision = {.id = id,
                             .parents = copy,
                             .nparents = 2,
                             .description = "Gr\303\274\303\237e",
                             .body = "up: []\n",
                             .checksum = "c1"};

    begin(p->pg);
    is_ok(pawl_history_begin(p->ledger, p->pg, &revision, &err), &err);
    commit(p->pg);
}

static void
revision_goes_from_applying_to_applied_and_back(void **state)
{
    place p = place_new("history");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied *all = NULL;
    size_t count = 0;

    (void) state;
    record_revision(&p, "r1");
    record_revision(&p, "r1"); /* again: nothing happens */
    begin(p.pg);
    is_ok(pawl_history_revisions(p.ledger, p.pg, true, arena, &all, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(all[0].state, "applying");
    assert_int_equal(all[0].nparents, 2);
    assert_string_equal(all[0].parents[1], parents[1]);
    assert_int_equal(all[0].ndepends_on, 0);
    assert_string_equal(all[0].description, "Gr\303\274\303\237e");
    assert_string_equal(all[0].finished_at, "");

    is_ok(pawl_history_finish(p.ledger, p.pg, "r1", "up: [1]\n", "c2", 1234, &err), &err);
    is_ok(pawl_history_revisions(p.ledger, p.pg, false, arena, &all, &count, &err), &err);
    assert_string_equal(all[0].state, "applied");
    assert_string_equal(all[0].checksum, "c2");
    assert_string_equal(all[0].body, "");
    assert_int_equal(all[0].duration_ms, 1234);
    assert_int_equal(strlen(all[0].finished_at), strlen("2026-01-31T09:05:07.123Z"));
    assert_int_equal(pawl_history_finish(p.ledger, p.pg, "r1", "", "", 0, &err), PAWL_E_STATE);
    assert_int_equal(pawl_history_finish(p.ledger, p.pg, "r9", "", "", 0, &err), PAWL_E_STATE);

    is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err);
    is_ok(pawl_history_remove(p.ledger, p.pg, "r1", &err), &err);
    assert_int_equal(pawl_history_remove(p.ledger, p.pg, "r1", &err), PAWL_E_STATE);
    is_ok(pawl_history_revisions(p.ledger, p.pg, false, arena, &all, &count, &err), &err);
    assert_int_equal(count, 0);
    commit(p.pg);
    place_end(&p);
}

static void
step_that_begins_again_keeps_its_facts_and_loses_its_error(void **state)
{
    place p = place_new("steps");
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
    begin(p.pg);
    assert_int_equal(pawl_history_step_end(p.ledger, p.pg, &end, &err), PAWL_E_STATE);
    is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 2, "sql", "k1", &err), &err);
    is_ok(pawl_history_step_end(p.ledger, p.pg, &end, &err), &err);
    is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].state, "failed");
    assert_string_equal(steps[0].sqlstate, "22012");

    is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 2, "sql", "k2", &err), &err);
    is_ok(pawl_history_step_info(p.ledger, p.pg, "r1", "up", 2, "{\"b\": 2}", &err), &err);
    is_ok(pawl_history_steps(p.ledger, p.pg, NULL, arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].state, "running");
    assert_string_equal(steps[0].checksum, "k2");
    assert_string_equal(steps[0].info, "{\"a\": 1, \"b\": 2}");
    assert_string_equal(steps[0].error, "");
    assert_string_equal(steps[0].finished_at, "");

    is_ok(pawl_history_step_remove(p.ledger, p.pg, "r1", "up", 2, &err), &err);
    is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 0);
    commit(p.pg);
    place_end(&p);
}

static void
reverting_starts_the_way_down_afresh_only_once(void **state)
{
    place p = place_new("down");
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_applied_step *steps = NULL;
    size_t count = 0;

    (void) state;
    record_revision(&p, "r1");
    begin(p.pg);
    is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "up", 1, "sql", "k", &err), &err);
    is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "down", 1, "sql", "stale", &err), &err);
    is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err);
    is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 1);
    assert_string_equal(steps[0].direction, "up");

    is_ok(pawl_history_step_begin(p.ledger, p.pg, "r1", "down", 1, "sql", "k", &err), &err);
    is_ok(pawl_history_revert(p.ledger, p.pg, "r1", &err), &err); /* goes on */
    is_ok(pawl_history_steps(p.ledger, p.pg, "r1", arena, &steps, &count, &err), &err);
    assert_int_equal(count, 2);
    assert_string_equal(steps[1].direction, "down");
    commit(p.pg);
    place_end(&p);
}

static void
event_is_written_in_the_callers_transaction_or_its_own(void **state)
{
    place p = place_new("events");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    begin(p.pg);
    is_ok(pawl_ledger_event(p.ledger, p.pg, "undone", "r1", 7, "", &err), &err);
    pawl_pg_rollback(p.pg);
    is_ok(pawl_ledger_event(p.ledger, p.pg, "done", "", 0, "for good", &err), &err);
    assert_false(pawl_pg_is_in_transaction(p.pg));
    PAWL_AUTO(pawl_str)
    text = pawl_test_query_text(p.conninfo,
                                "SELECT string_agg(kind || ':' || detail || ':' || (job_id IS NULL)::text"
                                " || ':' || (from_where LIKE '%:%')::text, ' ' ORDER BY event_id)"
                                " FROM " QUOTED ".event WHERE kind <> 'ledger_created'");
    assert_string_equal(text, "done:for good:true:true");
    place_end(&p);
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
        cmocka_unit_test(second_runner_is_told_who_holds_the_lease),
        cmocka_unit_test(release_leaves_a_free_row_and_no_session),
        cmocka_unit_test(heartbeat_keeps_the_lease_beyond_its_length),
        cmocka_unit_test(expired_lease_is_taken_and_its_stalled_holder_can_change_nothing),
        cmocka_unit_test(lease_of_a_killed_process_is_free_at_once),
        cmocka_unit_test(holder_whose_session_is_hidden_from_us_counts_as_alive),
        cmocka_unit_test(dead_holders_lease_is_not_taken_when_it_was_renewed_since_the_look),
        cmocka_unit_test(lease_survives_the_end_of_the_main_connection),
        cmocka_unit_test(heartbeat_opens_a_new_connection_when_its_own_is_cut),
        cmocka_unit_test(take_over_waits_for_a_step_that_ends_without_renewing),
        cmocka_unit_test(take_over_finds_nothing_after_a_step_that_renews),
        cmocka_unit_test(waiting_runner_gets_the_lease_when_it_is_released),
        cmocka_unit_test(waiting_ends_when_a_stop_is_requested),
        cmocka_unit_test(twenty_at_once_take_turns),
        cmocka_unit_test(revision_goes_from_applying_to_applied_and_back),
        cmocka_unit_test(step_that_begins_again_keeps_its_facts_and_loses_its_error),
        cmocka_unit_test(reverting_starts_the_way_down_afresh_only_once),
        cmocka_unit_test(event_is_written_in_the_callers_transaction_or_its_own),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
