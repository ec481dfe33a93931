/* The log of changes, taken slice by slice, whatever the order in which its entries become visible. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/drain.h"
#include "support/job.h"
#include "support/migration.h"
#include "support/place.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

typedef struct fixture
{
    pawl_test_place place;
    pawl_backfill_env env;
    pawl_arena *arena;
    pawl_table *table;
    pawl_key *key;
    pawl_drain_options options;
    pawl_drain *drain;
    int fails;    /* how often the function still meets a unique violation */
    int64_t most; /* keys in a slice */
    bool was_crowded;
} fixture;

/* Writes each key into the table `seen`. */
static pawl_status
see(void *ctx, pawl_pg *pg, const pawl_drain_slice *slice, int64_t *written, pawl_error *err)
{
    fixture *f = ctx;

    f->was_crowded = slice->is_crowded;
    f->most = pawl_pg_rows(slice->keys) > f->most ? pawl_pg_rows(slice->keys) : f->most;
    if (f->fails > 0)
    {
        f->fails--;
        return pawl_pg_exec(pg, "INSERT INTO public.seen (k) SELECT -1 FROM pg_catalog.generate_series(1, 2)",
                            err);
    }
    for (int i = 0; i < pawl_pg_rows(slice->keys); i++)
    {
        const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_text(slice->keys, i, 0))};
        pawl_status st = pawl_pg_query(
            pg, "INSERT INTO public.seen AS s VALUES ($1::int, 1) ON CONFLICT (k) DO UPDATE SET n = s.n + 1",
            1, args, NULL, err);

        if (st != PAWL_OK)
            return st;
    }
    *written = pawl_pg_rows(slice->keys);
    return PAWL_OK;
}

static void
begin(fixture *f, const char *name)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_capture_spec spec = {.job = 1};

    *f = (fixture){.place = pawl_test_place_new(name), .arena = pawl_arena_new()};
    pawl_test_exec(
        f->place.conninfo,
        "CREATE TABLE t (id int PRIMARY KEY, a text); INSERT INTO t SELECT i, 'x' FROM "
        "generate_series(1, 5000) i; CREATE TABLE seen (k int PRIMARY KEY, n int);"
        "INSERT INTO " PAWL_TEST_QUOTED
        ".job (revision_id, direction, ordinal, kind, table_oid, table_name, writer, key_columns,"
        " key_types, collations, fingerprint, settings, checksum) VALUES ('r', 'up', 1, 'swap_column',"
        " 't'::regclass, 'public.t', 'update', '{id}', '{int}', '', '', '{}', '')");
    pawl_test_txn_begin(f->place.pg);
    pawl_test_is_ok(pawl_table_load(f->place.pg, "t", "public", f->arena, &f->table, &err), &err);
    pawl_test_is_ok(pawl_table_key(f->place.pg, f->table, NULL, 0, f->arena, &f->key, &err), &err);
    spec.table = f->table;
    spec.key = f->key;
    pawl_test_is_ok(pawl_capture_add(&spec, f->place.ledger, f->place.pg, &err), &err);
    pawl_test_txn_commit(f->place.pg);
    f->env = pawl_test_env(f->place.conninfo, NULL);
    f->env.schema = PAWL_TEST_SCHEMA;
    f->options = (pawl_drain_options){.job = 1, .key = f->key, .env = &f->env, .apply = see, .ctx = f};
    pawl_test_is_ok(pawl_drain_open(&f->options, &f->drain, &err), &err);
}

static void
end(fixture *f)
{
    pawl_drain_close(f->drain);
    pawl_arena_free(f->arena);
    pawl_test_place_end(&f->place);
}

static pawl_drain_end
drain(fixture *f)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_drain_end out = PAWL_DRAIN_MORE;

    pawl_test_is_ok(pawl_drain_run(f->drain, 20000, &out, &err), &err);
    return out;
}

static int64_t
seen(const fixture *f, const char *what)
{
    char sql[200];

    pawl_fmt(sql, sizeof sql, "SELECT count(*) FROM seen WHERE %s", what);
    return pawl_test_query_i64(f->place.conninfo, sql);
}

static void
every_key_is_done_once_and_the_log_is_empty(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "all");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y'; UPDATE t SET a = 'z' WHERE id <= 100");
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_int_equal(seen(&f, "true"), 5000);
    assert_int_equal(
        pawl_test_query_i64(f.place.conninfo, "SELECT count(*) FROM " PAWL_TEST_QUOTED ".change_1"), 0);
    assert_int_equal(pawl_drain_entries(f.drain), 5100);
    end(&f);
}

/* The ids of an open transaction are lower than those that are drained meanwhile. */
static void
an_entry_that_is_committed_late_is_not_passed_over(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "late");
    PGconn *slow = pawl_test_connect(f.place.conninfo);

    pawl_test_run_on(slow, "BEGIN; UPDATE t SET a = 'late' WHERE id = 4000");
    for (int i = 0; i < 5; i++)
    {
        pawl_test_exec(f.place.conninfo, "UPDATE t SET a = a || 'y' WHERE id BETWEEN 1 AND 50");
        assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    }
    assert_int_equal(seen(&f, "k = 4000"), 0);
    pawl_test_run_on(slow, "COMMIT");
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_int_equal(seen(&f, "k = 4000"), 1);
    PQfinish(slow);
    end(&f);
}

/* The one that is late began after the one that was seen, and so lies beyond the xmax of that look's snapshot. */
static void
an_entry_of_a_younger_transaction_is_not_passed_over(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "younger");
    PGconn *older = pawl_test_connect(f.place.conninfo);
    PGconn *younger = pawl_test_connect(f.place.conninfo);

    pawl_test_run_on(older, "BEGIN; SELECT pg_current_xact_id()");
    pawl_test_run_on(younger, "BEGIN; UPDATE t SET a = 'late' WHERE id = 4000");
    pawl_test_run_on(older, "UPDATE t SET a = 'y' WHERE id = 1; COMMIT");
    for (int i = 2; i < 6; i++)
    {
        char sql[80];

        assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
        pawl_fmt(sql, sizeof sql, "UPDATE t SET a = 'y' WHERE id = %d", i);
        pawl_test_exec(f.place.conninfo, sql);
    }
    pawl_test_run_on(younger, "COMMIT");
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_int_equal(seen(&f, "k = 4000"), 1);
    PQfinish(older);
    PQfinish(younger);
    end(&f);
}

/* The same log is of another direction once somebody has cut over: who wakes up then is to write nothing. */
static void
a_drain_keeps_to_the_phases_it_is_for(void **state)
{
    fixture f;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    begin(&f, "phases");
    pawl_drain_close(f.drain);
    f.drain = NULL;
    f.options.phases = "{index,ready}";
    assert_int_equal(pawl_drain_open(&f.options, &f.drain, &err), PAWL_E_STATE);
    assert_non_null(strstr(err.message, "it is in \"copy\" now"));
    pawl_test_exec(f.place.conninfo, "UPDATE " PAWL_TEST_QUOTED ".job SET phase = 'ready'");
    pawl_test_is_ok(pawl_drain_open(&f.options, &f.drain, &err), &err);
    end(&f);
}

static void
there_is_one_drainer(void **state)
{
    fixture f;
    pawl_drain *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    begin(&f, "two");
    assert_int_equal(pawl_drain_open(&f.options, &second, &err), PAWL_E_BUSY);
    assert_null(second);
    pawl_drain_close(f.drain);
    pawl_test_is_ok(pawl_drain_open(&f.options, &f.drain, &err), &err);
    end(&f);
}

static void
one_whose_chunk_was_taken_writes_nothing_more(void **state)
{
    fixture f;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_drain_end out = PAWL_DRAIN_MORE;

    (void) state;
    begin(&f, "fence");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y' WHERE id = 1");
    pawl_test_exec(f.place.conninfo, "UPDATE " PAWL_TEST_QUOTED ".progress SET fence = fence + 1");
    assert_int_equal(pawl_drain_step(f.drain, &out, &err), PAWL_E_LEASE);
    assert_int_equal(seen(&f, "true"), 0);
    end(&f);
}

static void
a_killed_connection_costs_nothing(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "killed");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y' WHERE id <= 700");
    pawl_test_exec(
        f.place.conninfo,
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'pawl drain'");
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_int_equal(seen(&f, "n = 1"), 700);
    end(&f);
}

static void
truncate_and_a_lost_trigger_void_the_capture(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "void");
    pawl_test_exec(f.place.conninfo, "TRUNCATE t");
    assert_int_equal(drain(&f), PAWL_DRAIN_VOID);
    assert_non_null(strstr(pawl_drain_why(f.drain), "truncated"));
    pawl_test_exec(f.place.conninfo, "DROP TRIGGER pawl_1_i ON t");
    assert_int_equal(drain(&f), PAWL_DRAIN_VOID);
    assert_non_null(strstr(pawl_drain_why(f.drain), "pawl_1_i"));
    end(&f);
}

/* A slice that is halved would never hold both of two rows that exchanged their values. */
static void
a_unique_violation_makes_the_slice_grow(void **state)
{
    fixture f;

    (void) state;
    begin(&f, "crowd");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y'");
    f.fails = 3;
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_true(f.was_crowded);
    assert_true(f.most > 2000);
    assert_int_equal(seen(&f, "n = 1"), 5000);
    end(&f);
}

/* Neither would a slice of any size take one that is there to stay: it ends the drain, with the row. */
static void
a_unique_violation_that_stays_names_its_row(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_drain_end out = PAWL_DRAIN_MORE;
    fixture f;

    (void) state;
    begin(&f, "stays");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y' WHERE id IN (7, 8, 9)");
    f.fails = INT_MAX;
    assert_int_equal(pawl_drain_run(f.drain, 60000, &out, &err), PAWL_E_SERVER);
    assert_string_equal(err.sqlstate, "23505");
    pawl_test_assert_contains(err.detail, "the row with id = 7; ");
    pawl_test_assert_contains(err.hint, "the same value");
    end(&f);
}

/* While somebody's snapshot is old, nothing that is deleted goes away: it must not be walked over each time. */
static void
under_an_old_snapshot_what_is_drained_is_not_read_again(void **state)
{
    enum
    {
        ROUNDS = 30
    };
    fixture f;

    (void) state;
    begin(&f, "old");
    PGconn *old = pawl_test_connect(f.place.conninfo);

    assert_int_equal(pawl_test_query_i64(f.place.conninfo,
                                         "SELECT count(*) FROM pg_index WHERE indisprimary AND"
                                         " indrelid = '" PAWL_TEST_QUOTED ".change_1'::regclass"),
                     1);
    pawl_test_run_on(old, "BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT count(*) FROM t");
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y'");
    for (int i = 0; i < ROUNDS; i++)
    {
        pawl_test_exec(f.place.conninfo, "UPDATE t SET a = a || 'z' WHERE id <= 10");
        assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    }
    /* Its counts are told when its session ends. */
    pawl_drain_close(f.drain);
    f.drain = NULL;
    pawl_test_wait_until(f.place.conninfo,
                         "SELECT idx_tup_read >= 5000 FROM pg_stat_all_indexes WHERE relname = 'change_1'",
                         10000);
    /* Some times the entries that there were; walked over each time, it would be thirty times more. */
    assert_in_range(pawl_test_query_i64(f.place.conninfo,
                                        "SELECT sum(idx_tup_read)::bigint FROM pg_stat_all_indexes"
                                        " WHERE relname = 'change_1'"),
                    5000, 60000);
    pawl_test_run_on(old, "COMMIT");
    PQfinish(old);
    end(&f);
}

/* It waits on, and says for what: somebody may have to end that session. */
static void
lock_that_does_not_come_is_spoken_of(void **state)
{
    fixture f;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_drain_end out = PAWL_DRAIN_EMPTY;
    pawl_test_heard heard = {.text = PAWL_STRBUF_INIT};
    const pawl_sink sink = {.emit = pawl_test_hear, .ctx = &heard};
    PGconn *app;

    (void) state;
    begin(&f, "drain_lock");
    f.env.sink = &sink;
    f.env.lock_timeout_ms = 50;
    pawl_drain_close(f.drain);
    f.options.table_oid = f.table->oid;
    pawl_test_is_ok(pawl_drain_open(&f.options, &f.drain, &err), &err);
    pawl_test_exec(f.place.conninfo, "UPDATE t SET a = 'y' WHERE id = 7");
    app = pawl_test_connect(f.place.conninfo);
    pawl_test_run_on(app, "BEGIN; LOCK TABLE t IN ACCESS SHARE MODE; INSERT INTO seen VALUES (7, 0)");
    pawl_test_is_ok(pawl_drain_run(f.drain, 3000, &out, &err), &err);
    assert_int_equal(out, PAWL_DRAIN_MORE);
    if (strstr(heard.text.data, "job 1 cannot carry over the row with id = 7") == NULL ||
        strstr(heard.text.data, "held by pid") == NULL)
        fail_msg("%s", heard.text.data);
    pawl_test_run_on(app, "ROLLBACK");
    PQfinish(app);
    assert_int_equal(drain(&f), PAWL_DRAIN_EMPTY);
    assert_int_equal(seen(&f, "k = 7"), 1);
    pawl_strbuf_fini(&heard.text);
    end(&f);
}

/* The last words of a drain are said in a transaction like all others: a role's default does not take them away. */
static void
the_chunk_is_given_back_whatever_the_role_has_set(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    fixture f;

    (void) state;
    begin(&f, "lastwords");
    pawl_drain_close(f.drain);
    f.drain = NULL;
    pawl_test_exec(f.place.conninfo, "ALTER DATABASE lastwords SET default_transaction_read_only = on");
    pawl_test_is_ok(pawl_drain_open(&f.options, &f.drain, &err), &err);
    pawl_drain_close(f.drain);
    f.drain = NULL;
    assert_int_equal(pawl_test_query_i64(f.place.conninfo, "SELECT count(*) FROM " PAWL_TEST_QUOTED
                                                           ".progress WHERE lease_until = '-infinity'"),
                     1);
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_done_once_and_the_log_is_empty),
        cmocka_unit_test(an_entry_that_is_committed_late_is_not_passed_over),
        cmocka_unit_test(an_entry_of_a_younger_transaction_is_not_passed_over),
        cmocka_unit_test(a_drain_keeps_to_the_phases_it_is_for),
        cmocka_unit_test(there_is_one_drainer),
        cmocka_unit_test(one_whose_chunk_was_taken_writes_nothing_more),
        cmocka_unit_test(a_killed_connection_costs_nothing),
        cmocka_unit_test(truncate_and_a_lost_trigger_void_the_capture),
        cmocka_unit_test(a_unique_violation_makes_the_slice_grow),
        cmocka_unit_test(a_unique_violation_that_stays_names_its_row),
        cmocka_unit_test(under_an_old_snapshot_what_is_drained_is_not_read_again),
        cmocka_unit_test(lock_that_does_not_come_is_spoken_of),
        cmocka_unit_test(the_chunk_is_given_back_whatever_the_role_has_set),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
