#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "pawl/pawl.h"

#include "util/banned.h"

/* A project over a database with a table, and the last report. */
typedef struct fixture
{
    const char *db;
    const char *dir;
    pawl_key_value database[1]; /* a setting, mostly another conninfo than that of pawl.yaml */
    size_t noverrides;
    pawl_health_report *report;
    pawl_error err;
} fixture;

static fixture
begin(const char *name)
{
    fixture f = {.db = pawl_test_database_new(name)};

    f.dir = pawl_test_project_new(f.db, "lock_timeout: 100ms\n");
    pawl_test_exec(f.db, "CREATE TABLE t (id bigint PRIMARY KEY, a text); "
                         "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g; ANALYZE t");
    return f;
}

static void
end(fixture *f)
{
    pawl_health_free(f->report);
    f->report = NULL;
}

static void
revision(const fixture *f, const char *id, const char *parent, const char *rest)
{
    PAWL_STRBUF_AUTO(text);
    PAWL_STRBUF_AUTO(name);

    pawl_strbuf_addf(&name, "migrations/%s_x.yaml", id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\ndescription: about %s\n%s", id, parent, id,
                     rest);
    pawl_test_project_write(f->dir, name.data, text.data);
}

#define MAKES_U "up:\n  - sql: CREATE TABLE u (id int)\n    down: nothing\n"
#define FILLS_T "up:\n  - backfill: { table: public.t, set: { a: \"a || '!'\" } }\n    down: nothing\n"

static pawl_project *
open_project(fixture *f)
{
    PAWL_STRBUF_AUTO(config);
    pawl_project *project = NULL;

    pawl_strbuf_addf(&config, "%s/pawl.yaml", f->dir);
    pawl_project_options options = {
        .config = config.data, .overrides = f->database, .noverrides = f->noverrides};
    f->err = (pawl_error) PAWL_ERROR_INIT;
    if (pawl_project_open(&options, &project, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
    return project;
}

static void
up(fixture *f, pawl_status expected)
{
    pawl_project *project = open_project(f);
    const pawl_run_options options = {.stop = NULL};
    pawl_status st = pawl_upgrade(project, NULL, &options, &f->err);

    if (st != expected)
        fail_msg("upgrade: %s, not %s: %s", pawl_status_name(st), pawl_status_name(expected), f->err.message);
    pawl_project_close(project);
}

static void
check(fixture *f, bool is_offline, bool is_pending_ok)
{
    pawl_project *project = open_project(f);
    const pawl_check_options what = {.offline = is_offline, .pending_ok = is_pending_ok};

    end(f);
    if (pawl_check(project, &what, NULL, &f->report, &f->err) != PAWL_OK)
        fail_msg("check: %s", f->err.message);
    pawl_project_close(project);
}

static void
doctor(fixture *f)
{
    pawl_project *project = open_project(f);
    const pawl_doctor_options what = {.transaction_s = 1};

    end(f);
    if (pawl_doctor(project, &what, NULL, &f->report, &f->err) != PAWL_OK)
        fail_msg("doctor: %s", f->err.message);
    pawl_project_close(project);
}

static bool
has_finding(const fixture *f, pawl_health_level level, const char *name, const char *words)
{
    for (size_t i = 0; i < f->report->nfindings; i++)
    {
        const pawl_finding *found = &f->report->findings[i];
        PAWL_STRBUF_AUTO(all);

        pawl_strbuf_addf(&all, "%s: %s; %s; %s", found->object, found->message, found->meaning,
                         found->advice);
        if (found->level == level && strcmp(found->check, name) == 0 && strstr(all.data, words) != NULL)
            return true;
    }
    return false;
}

static void
print_findings(const fixture *f)
{
    for (size_t i = 0; i < f->report->nfindings; i++)
    {
        const pawl_finding *found = &f->report->findings[i];

        print_error("%s %s: %s: %s; %s; %s\n", pawl_health_level_name(found->level), found->check,
                    found->object, found->message, found->meaning, found->advice);
    }
}

/* A finding of this level and check whose texts contain the words. */
static void
expect(const fixture *f, pawl_health_level level, const char *name, const char *words)
{
    if (has_finding(f, level, name, words))
        return;
    print_findings(f);
    fail_msg("no finding \"%s %s ... %s\"", pawl_health_level_name(level), name, words);
}

static void
expect_worst(const fixture *f, pawl_health_level level)
{
    if (f->report->worst == level)
        return;
    print_findings(f);
    fail_msg("the worst is %s, not %s", pawl_health_level_name(f->report->worst),
             pawl_health_level_name(level));
}

/* ---- check ------------------------------------------------------------------------------------------------------- */

static void
what_is_applied_and_unchanged_passes_the_check(void **state)
{
    fixture f = begin("check_clean");

    (void) state;
    revision(&f, "aaaa1111", "", MAKES_U);
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "pending", "aaaa1111");
    expect(&f, PAWL_HEALTH_OK, "ledger", "no ledger yet");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'"),
                     0);
    check(&f, false, true);
    expect_worst(&f, PAWL_HEALTH_NOTE);
    up(&f, PAWL_OK);
    check(&f, false, false);
    expect_worst(&f, PAWL_HEALTH_OK);
    expect(&f, PAWL_HEALTH_OK, "edited", "1 applied revision is as on disk");
    expect(&f, PAWL_HEALTH_OK, "heads", "aaaa1111");
    end(&f);
}

static void
offline_check_needs_no_server(void **state)
{
    fixture f = begin("check_offline");

    (void) state;
    f.database[0] = (pawl_key_value){"database", "host=/nowhere"};
    f.noverrides = 1;
    revision(&f, "aaaa1111", "", MAKES_U);
    check(&f, true, false);
    expect_worst(&f, PAWL_HEALTH_OK);
    assert_string_equal(f.report->target, "");

    revision(&f, "bbbb2222", "aaaa1111", MAKES_U);
    revision(&f, "cccc3333", "aaaa1111", MAKES_U);
    check(&f, true, false);
    expect(&f, PAWL_HEALTH_ERROR, "heads", "pawl merge bbbb2222 cccc3333");

    revision(&f, "dddd4444", "eeee5555", "upp: []\n");
    check(&f, true, false);
    expect(&f, PAWL_HEALTH_ERROR, "files", "migrations/dddd4444_x.yaml:4");
    expect(&f, PAWL_HEALTH_ERROR, "heads", "bbbb2222");
    end(&f);
}

static void
edited_files_are_named(void **state)
{
    fixture f = begin("check_edited");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/bang.lua",
                            "return function(row) return { a = row.a .. '!' } end\n");
    revision(&f, "aaaa1111", "", MAKES_U);
    revision(&f, "bbbb2222", "aaaa1111",
             "up:\n  - backfill: { table: public.t, read: [a], write: [a], lua: transforms/bang.lua }\n"
             "    down: nothing\n");
    up(&f, PAWL_OK);
    pawl_test_project_write(f.dir, "migrations/transforms/bang.lua",
                            "return function(row) return { a = row.a .. '?' } end\n");
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "edited", "bbbb2222: changed since it was applied: transforms/bang.lua;");

    revision(&f, "aaaa1111", "", MAKES_U "# no harm meant\n");
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "edited", "migrations/aaaa1111_x.yaml;");
    expect(&f, PAWL_HEALTH_ERROR, "edited", "bbbb2222");
    end(&f);
}

static void
applied_revision_without_a_file_is_missing(void **state)
{
    fixture f = begin("check_missing");
    char path[200];

    (void) state;
    revision(&f, "aaaa1111", "", MAKES_U);
    revision(&f, "bbbb2222", "aaaa1111", FILLS_T);
    up(&f, PAWL_OK);
    (void) snprintf(path, sizeof path, "%s/migrations/bbbb2222_x.yaml", f.dir);
    assert_int_equal(remove(path), 0);
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "missing", "bbbb2222: applied, and no file has this id: about bbbb2222");

    /* A file that cannot be read is no missing one. */
    revision(&f, "bbbb2222", "aaaa1111", "up: 7\n");
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "files", "bbbb2222_x.yaml");
    assert_false(has_finding(&f, PAWL_HEALTH_ERROR, "missing", ""));
    end(&f);
}

static void
half_applied_revision_is_told_with_the_error_that_stopped_it(void **state)
{
    fixture f = begin("check_half");

    (void) state;
    revision(&f, "aaaa1111", "",
             "up:\n  - sql: CREATE TABLE u (id int)\n    down: nothing\n"
             "  - sql: SELECT 1 / 0\n    down: nothing\n");
    up(&f, PAWL_E_SERVER);
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "half_applied", "division by zero");
    expect(&f, PAWL_HEALTH_ERROR, "half_applied", "pawl downgrade base");
    end(&f);
}

static void
newer_ledger_is_a_finding(void **state)
{
    fixture f = begin("check_newer");

    (void) state;
    revision(&f, "aaaa1111", "", MAKES_U);
    up(&f, PAWL_OK);
    pawl_test_exec(f.db, "UPDATE pawl.meta SET version = 99");
    check(&f, false, false);
    expect(&f, PAWL_HEALTH_ERROR, "ledger", "version 99");
    doctor(&f);
    expect(&f, PAWL_HEALTH_ERROR, "ledger", "version 99");
    end(&f);
}

static void
check_ends_with_exit_code_4_and_one_document(void **state)
{
    fixture f = begin("check_exit");
    const char *const args[] = {"check", "--json", NULL};
    pawl_test_output output;

    (void) state;
    revision(&f, "aaaa1111", "", MAKES_U);
    pawl_test_pawl_exits(f.dir, "check", "--offline", 0);
    pawl_test_pawl_exits(f.dir, "check", "--pending-ok", 0);
    output = pawl_test_run(args, NULL, f.dir);
    assert_int_equal(output.exit_code, 4);
    assert_non_null(strstr(output.out, "\"worst\": \"error\""));
    assert_null(strstr(output.out, "\"error\":{"));
    assert_string_equal(output.err, "");
    pawl_test_output_free(&output);
    pawl_test_pawl_exits(f.dir, "upgrade", NULL, 0);
    pawl_test_pawl_exits(f.dir, "check", NULL, 0);
    end(&f);
}

/* ---- doctor ------------------------------------------------------------------------------------------------------ */

static void
healthy_server_gets_no_warning(void **state)
{
    fixture f = begin("doctor_clean");

    (void) state;
    revision(&f, "aaaa1111", "", MAKES_U);
    revision(&f, "bbbb2222", "aaaa1111", FILLS_T);
    doctor(&f);
    expect(&f, PAWL_HEALTH_OK, "server", "PostgreSQL");
    expect(&f, PAWL_HEALTH_OK, "ledger", "can be created");
    expect(&f, PAWL_HEALTH_OK, "transactions", "none is open");
    expect(&f, PAWL_HEALTH_OK, "files", "2 pending revisions, which name 1 table");
    expect(&f, PAWL_HEALTH_OK, "vacuum", "nothing in the way");
    expect(&f, PAWL_HEALTH_OK, "disk", "free; the tables of pending backfills take");
    /* The private server runs without fsync, and that is all there is. */
    for (size_t i = 0; i < f.report->nfindings; i++)
        if (f.report->findings[i].level >= PAWL_HEALTH_WARNING)
            assert_string_equal(f.report->findings[i].object, "fsync");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pg_namespace WHERE nspname = 'pawl'"),
                     0);
    end(&f);
}

static void
long_and_prepared_transactions_are_named(void **state)
{
    fixture f = begin("doctor_long");
    PGconn *idle = pawl_test_connect(f.db);
    PGconn *prepared = pawl_test_connect(f.db);
    char pid[40];

    (void) state;
    (void) snprintf(pid, sizeof pid, "pg_terminate_backend(%d)", PQbackendPID(idle));
    pawl_test_run_on(idle, "SET application_name = 'the sleeper'");
    pawl_test_run_on(idle, "BEGIN ISOLATION LEVEL REPEATABLE READ");
    pawl_test_run_on(idle, "SELECT count(*) FROM t");
    pawl_test_run_on(prepared, "BEGIN");
    pawl_test_run_on(prepared, "UPDATE t SET a = a WHERE id = 1");
    pawl_test_run_on(prepared, "PREPARE TRANSACTION 'it''s lost'");
    pawl_test_wait_until(
        f.db,
        "SELECT bool_or(xact_start < clock_timestamp() - interval '1.1 s') FROM pg_stat_activity "
        "WHERE application_name = 'the sleeper'",
        10000);
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "transactions", "the sleeper");
    expect(&f, PAWL_HEALTH_WARNING, "transactions", pid);
    expect(&f, PAWL_HEALTH_WARNING, "prepared", "ROLLBACK PREPARED 'it''s lost'");
    pawl_test_run_on(idle, "ROLLBACK");
    pawl_test_run_on(prepared, "ROLLBACK PREPARED 'it''s lost'");
    PQfinish(idle);
    PQfinish(prepared);
    end(&f);
}

static void
what_was_left_behind_is_found(void **state)
{
    fixture f = begin("doctor_left");

    (void) state;
    revision(&f, "aaaa1111", "", FILLS_T);
    up(&f, PAWL_OK);
    pawl_test_exec(f.db, "CREATE INDEX broken ON t (a)");
    pawl_test_exec(f.db, "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'broken'::regclass");
    pawl_test_exec(f.db, "CREATE FUNCTION pawl.capture_7() RETURNS trigger LANGUAGE plpgsql AS "
                         "'BEGIN RETURN NULL; END'");
    pawl_test_exec(f.db,
                   "CREATE TRIGGER watch AFTER UPDATE ON t FOR EACH ROW EXECUTE FUNCTION pawl.capture_7()");
    pawl_test_exec(f.db, "CREATE SCHEMA pawl_bench_00112233");
    pawl_test_exec(f.db, "COMMENT ON SCHEMA pawl_bench_00112233 IS "
                         "'pawl bench of db1:4711, backend 1 of , made at 2020-01-01 00:00:00.000000'");
    pawl_test_exec(f.db, "CREATE PUBLICATION everything FOR ALL TABLES");
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "indexes", "REINDEX INDEX CONCURRENTLY public.broken");
    expect(&f, PAWL_HEALTH_WARNING, "triggers", "DROP TRIGGER watch ON public.t");
    expect(&f, PAWL_HEALTH_WARNING, "scratch", "db1:4711");
    expect(&f, PAWL_HEALTH_ERROR, "publications", "everything");

    /* A job that is open on the table does not excuse the trigger of one that the ledger does not know. */
    pawl_test_exec(f.db, "UPDATE pawl.job SET state = 'open'");
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "triggers", "DROP TRIGGER watch ON public.t");

    /* The same trigger serves a job that is open. */
    pawl_test_exec(f.db, "ALTER FUNCTION pawl.capture_7() RENAME TO capture_1");
    doctor(&f);
    expect(&f, PAWL_HEALTH_OK, "triggers", "none");
    end(&f);
}

static void
slot_that_nobody_reads_is_found(void **state)
{
    fixture f = begin("doctor_slot");

    (void) state;
    pawl_test_exec(f.db, "SELECT pg_create_physical_replication_slot('forgotten', true)");
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "slots", "pg_drop_replication_slot('forgotten')");
    pawl_test_exec(f.db, "SELECT pg_drop_replication_slot('forgotten')");
    doctor(&f);
    expect(&f, PAWL_HEALTH_OK, "slots", "no replication slot");
    end(&f);
}

static void
missing_rights_are_told_with_their_grants(void **state)
{
    fixture f = begin("doctor_rights");
    PAWL_STRBUF_AUTO(conninfo);

    (void) state;
    pawl_test_exec(f.db, "DROP ROLE IF EXISTS \"Little One\"");
    pawl_test_exec(f.db, "CREATE ROLE \"Little One\" LOGIN CONNECTION LIMIT 3");
    pawl_test_exec(f.db, "REVOKE CREATE ON SCHEMA public FROM PUBLIC");
    pawl_strbuf_addf(&conninfo, "%s user='Little One'", f.db);
    f.database[0] = (pawl_key_value){"database", conninfo.data};
    f.noverrides = 1;
    revision(&f, "aaaa1111", "", MAKES_U);
    revision(&f, "bbbb2222", "aaaa1111", FILLS_T);
    revision(&f, "cccc3333", "bbbb2222", "up:\n  - set_not_null: { table: t, column: a }\n");
    revision(&f, "dddd4444", "cccc3333", "up:\n  - set_not_null: { table: later, column: a }\n");
    doctor(&f);
    expect(&f, PAWL_HEALTH_ERROR, "ledger", "CREATE SCHEMA \"pawl\" AUTHORIZATION \"Little One\"");
    expect(&f, PAWL_HEALTH_ERROR, "rights", "GRANT SELECT, UPDATE ON public.t TO \"Little One\"");
    expect(&f, PAWL_HEALTH_ERROR, "rights", "only its owner may alter it");
    expect(&f, PAWL_HEALTH_NOTE, "rights", "later: there is no such table yet");
    expect(&f, PAWL_HEALTH_WARNING, "rights", "GRANT CREATE ON SCHEMA public TO \"Little One\"");
    expect(&f, PAWL_HEALTH_NOTE, "visibility", "GRANT pg_read_all_stats");
    expect(&f, PAWL_HEALTH_WARNING, "connections", "2 more can be opened");

    pawl_test_exec(f.db, "CREATE SCHEMA pawl AUTHORIZATION \"Little One\"");
    pawl_test_exec(f.db, "ALTER TABLE t OWNER TO \"Little One\"");
    pawl_test_exec(f.db, "GRANT CREATE ON SCHEMA public TO \"Little One\"");
    doctor(&f);
    assert_false(has_finding(&f, PAWL_HEALTH_ERROR, "rights", ""));
    assert_false(has_finding(&f, PAWL_HEALTH_ERROR, "ledger", ""));
    assert_false(has_finding(&f, PAWL_HEALTH_WARNING, "rights", ""));
    end(&f);
}

static void
settings_of_the_role_that_bite_are_found(void **state)
{
    fixture f = begin("doctor_settings");
    PAWL_STRBUF_AUTO(conninfo);

    (void) state;
    pawl_test_exec(f.db, "DROP ROLE IF EXISTS bitten");
    pawl_test_exec(f.db, "CREATE ROLE bitten LOGIN");
    pawl_test_exec(f.db, "ALTER ROLE bitten SET statement_timeout = '7s'");
    pawl_test_exec(f.db, "ALTER ROLE bitten SET session_replication_role = replica");
    pawl_test_exec(f.db, "ALTER ROLE bitten SET default_transaction_isolation = 'repeatable read'");
    pawl_test_exec(f.db, "ALTER TABLE t SET (autovacuum_enabled = false)");
    revision(&f, "aaaa1111", "", FILLS_T);
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "vacuum", "autovacuum is switched off");
    assert_false(has_finding(&f, PAWL_HEALTH_NOTE, "settings", "statement_timeout"));

    pawl_strbuf_addf(&conninfo, "%s user=bitten", f.db);
    f.database[0] = (pawl_key_value){"database", conninfo.data};
    f.noverrides = 1;
    pawl_test_exec(f.db, "GRANT SET ON PARAMETER session_replication_role TO bitten");
    doctor(&f);
    expect(&f, PAWL_HEALTH_NOTE, "settings", "a statement_timeout of 7000 ms");
    expect(&f, PAWL_HEALTH_WARNING, "settings", "ALTER ROLE bitten RESET session_replication_role");
    expect(&f, PAWL_HEALTH_NOTE, "settings", "repeatable read");
    end(&f);
}

static void
doctor_behind_a_pooler_asks_for_a_direct_way(void **state)
{
    fixture f = begin("doctor_pooled");
    const char *pooled = pawl_test_pooled_conninfo("doctor_pooled");

    (void) state;
    if (pooled == NULL)
        skip();
    f.database[0] = (pawl_key_value){"database", pooled};
    f.noverrides = 1;
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "pooler", "set `direct_database`");
    end(&f);
}

/* It need not show: one that gives its server's pid to its client is believed in when the settings say so. */
static void
pooler_that_does_not_show_is_known_by_the_settings(void **state)
{
    fixture f = begin("doctor_told");

    (void) state;
    f.database[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    doctor(&f);
    expect(&f, PAWL_HEALTH_WARNING, "pooler", "set `direct_database`");
    end(&f);
}

static void
pooler_where_there_is_to_be_none_is_refused(void **state)
{
    fixture f = begin("doctor_none");
    const char *pooled = pawl_test_pooled_conninfo("doctor_none");
    const char *const args[] = {"current", "--database", pooled, "--pooler", "none", NULL};
    pawl_test_output output;

    (void) state;
    if (pooled == NULL)
        skip();
    output = pawl_test_run(args, NULL, f.dir);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(
        strstr(output.err, "is behind a pooler in transaction mode, and the settings say `pooler: none`"));
    pawl_test_output_free(&output);
    end(&f);
}

static void
doctor_without_a_server_fails_with_exit_code_1(void **state)
{
    fixture f = begin("doctor_exit");
    const char *const args[] = {"doctor", "--database", "host=/nowhere", NULL};
    pawl_test_output output;

    (void) state;
    output = pawl_test_run(args, NULL, f.dir);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "/nowhere"));
    pawl_test_output_free(&output);
    pawl_test_pawl_exits(f.dir, "doctor", NULL, 4); /* fsync is off */
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_applied_and_unchanged_passes_the_check),
        cmocka_unit_test(offline_check_needs_no_server),
        cmocka_unit_test(edited_files_are_named),
        cmocka_unit_test(applied_revision_without_a_file_is_missing),
        cmocka_unit_test(half_applied_revision_is_told_with_the_error_that_stopped_it),
        cmocka_unit_test(newer_ledger_is_a_finding),
        cmocka_unit_test(check_ends_with_exit_code_4_and_one_document),
        cmocka_unit_test(healthy_server_gets_no_warning),
        cmocka_unit_test(long_and_prepared_transactions_are_named),
        cmocka_unit_test(what_was_left_behind_is_found),
        cmocka_unit_test(slot_that_nobody_reads_is_found),
        cmocka_unit_test(missing_rights_are_told_with_their_grants),
        cmocka_unit_test(settings_of_the_role_that_bite_are_found),
        cmocka_unit_test(doctor_behind_a_pooler_asks_for_a_direct_way),
        cmocka_unit_test(pooler_that_does_not_show_is_known_by_the_settings),
        cmocka_unit_test(pooler_where_there_is_to_be_none_is_refused),
        cmocka_unit_test(doctor_without_a_server_fails_with_exit_code_1),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
