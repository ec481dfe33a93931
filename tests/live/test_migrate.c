#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/session.h"
#include "util/alloc.h"
#include "util/file.h"

#include "pawl/pawl.h"

#include "util/banned.h"

/* ---- each kind there and back ------------------------------------------------------------------------------------ */

static void
columns_go_up_and_down(void **state)
{
    pawl_test_fixture f = pawl_test_begin("columns");

    (void) state;
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - add_column: { table: t, column: b, type: \"numeric(10,2)\", default: \"1 + 1\", not_null: "
        "true }\n"
        "  - rename_column: { table: public.t, column: a, to: \"A b\" }\n"
        "  - add_column: { table: t, column: c, type: \"text[]\" }\n"
        "  - drop_column: { table: t, column: c, was: { type: \"text[]\", default: \"'{}'\" } }\n"
        "  - set_not_null: { table: t, column: \"A b\" }\n"
        "  - assert: { query: \"SELECT count(*) = 1000 FROM t WHERE b = 2\", message: nobody }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,A b!,b!");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,A b!,b!");
    pawl_test_end(&f);
}

static void
not_null_that_was_there_before_stays(void **state)
{
    pawl_test_fixture f = pawl_test_begin("notnull");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ALTER a SET NOT NULL");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a!");
    pawl_test_end(&f);
}

static void
nulls_are_named_and_no_check_is_left(void **state)
{
    pawl_test_fixture f = pawl_test_begin("nulls");

    (void) state;
    pawl_test_exec(f.db, "UPDATE t SET a = NULL WHERE id = 77");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "id = 77");
    assert_string_equal(f.err.sqlstate, "23514");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1set_not_null failed");
    pawl_test_exec(f.db, "UPDATE t SET a = '' WHERE a IS NULL");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a!");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_end(&f);
}

static void
backfill_step_fills_and_a_second_application_fills_again(void **state)
{
    pawl_test_fixture f = pawl_test_begin("backfill");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { b = row.a .. '!' } end\n");
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - add_column: { table: t, column: b, type: text }\n"
        "  - backfill: { table: t, read: [a], write: [b], lua: transforms/up.lua, batch: 100, workers: 1 }\n"
        "    down: nothing\n");
    pawl_test_up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a || '!'"), 1000);
    pawl_test_must_go(&f, false, "base");
    pawl_test_up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a || '!'"), 1000);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pawl.job"), 2);
    pawl_test_end(&f);
}

static void
secrets_reach_the_transform_and_a_missing_one_is_named(void **state)
{
    pawl_test_fixture f = pawl_test_begin("secrets");
    PAWL_STRBUF_AUTO(config);

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { a = pawl.secret.PATH } end\n");
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n  - backfill: { table: t, write: [a], lua: transforms/up.lua }\n    down: nothing\n");
    pawl_strbuf_addf(&config, "database: \"%s\"\nsecrets: [PATH, PAWL_TEST_NEVER_SET]\n", f.db);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "PAWL_TEST_NEVER_SET");

    pawl_strbuf_reset(&config);
    pawl_strbuf_addf(&config, "database: \"%s\"\nsecrets: [PATH]\n", f.db);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT DISTINCT a FROM t", getenv("PATH"));
    pawl_test_end(&f);
}

/* ---- SQL --------------------------------------------------------------------------------------------------------- */

static void
failed_statement_is_named_with_file_and_line(void **state)
{
    pawl_test_fixture f = pawl_test_begin("sqlline");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/x.sql", "CREATE TABLE one ();\n\nSELECT 1/0;\n");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: { file: x.sql }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "revision aaaa0001, step 1 (sql)");
    assert_string_equal(f.err.sqlstate, "22012");
    assert_non_null(strstr(f.err.file, "migrations/x.sql"));
    assert_int_equal(f.err.line, 3);
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    pawl_test_assert_text(&f, "SELECT sqlstate || ' ' || (error LIKE '%division by zero%') FROM pawl.step",
                          "22012 true");
    pawl_test_end(&f);
}

static void
sql_sees_the_search_path_of_its_revision_and_leaves_role_and_path_behind(void **state)
{
    pawl_test_fixture f = pawl_test_begin("sqlpath");

    (void) state;
    pawl_test_exec(f.db, "CREATE SCHEMA s; DROP ROLE IF EXISTS nobody_much; CREATE ROLE nobody_much");
    pawl_test_revision(&f, "aaaa0001", "",
                       "search_path: s\n"
                       "up:\n"
                       "  - sql: |\n"
                       "      CREATE TABLE here ();\n"
                       "      SET search_path = pg_temp;\n"
                       "      SET ROLE nobody_much;\n"
                       "    down: nothing\n"
                       "  - sql: CREATE TABLE there AS SELECT current_user AS who\n"
                       "    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT (to_regclass('s.here') IS NOT NULL)::text", "true");
    pawl_test_assert_text(&f, "SELECT (who <> 'nobody_much')::text FROM s.there", "true");
    pawl_test_end(&f);
}

static void
statement_outside_a_transaction_runs_on_its_own(void **state)
{
    pawl_test_fixture f = pawl_test_begin("outside");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - sql: CREATE INDEX CONCURRENTLY t_a ON t (a)\n"
                       "    down:\n"
                       "      - sql: DROP INDEX CONCURRENTLY t_a\n"
                       "  - sql: VACUUM t\n"
                       "    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 't_a'::regclass",
                          "true");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT (to_regclass('t_a') IS NULL)::text", "true");
    pawl_test_end(&f);
}

static void
volatile_default_is_refused_and_a_stable_one_is_not(void **state)
{
    pawl_test_fixture f = pawl_test_begin("volatile");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_column: { table: t, column: b, type: float8, default: random() }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "would rewrite the whole table");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_column: { table: t, column: b, type: timestamptz, default: now() }\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a,b");
    pawl_test_end(&f);
}

static void
types_and_not_null_are_checked_before_anything_happens(void **state)
{
    pawl_test_fixture f = pawl_test_begin("shape");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: numbre }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "type \"numbre\" does not exist");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_column: { table: t, column: b, type: \"int NOT NULL DEFAULT 3\" }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "cannot read the type");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - add_column: { table: t, column: b, type: int, not_null: true }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "has rows");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - drop_column: { table: t, column: aa }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "did you mean \"a\"?");
    pawl_test_end(&f);
}

static void
assert_stops_the_run_and_cannot_write(void **state)
{
    pawl_test_fixture f = pawl_test_begin("asserts");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - assert: { query: SELECT false, message: too early }\n"
                       "  - sql: CREATE TABLE never ()\n"
                       "    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "too early");
    pawl_test_assert_text(&f, "SELECT (to_regclass('never') IS NULL)::text", "true");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - assert: { query: \"DELETE FROM t RETURNING true\" }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "read-only");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t"), 1000);
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - assert: { query: \"SELECT NULL::boolean\" }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "returned NULL");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - assert: { query: SELECT true }\n");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_end(&f);
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void
reading_verbs_create_nothing(void **state)
{
    pawl_test_fixture f = pawl_test_begin("reads");
    pawl_run_options options = {.sink = {.emit = pawl_test_hear, .ctx = &f.heard}};
    pawl_history *history = NULL;
    pawl_status_report *report = NULL;

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_project *project = pawl_test_open_project(&f);
    assert_int_equal(pawl_history_get(project, true, &options, &history, &f.err), PAWL_OK);
    assert_int_equal(pawl_status_get(project, &options, &report, &f.err), PAWL_OK);
    pawl_project_close(project);
    assert_int_equal(history->length, 1);
    assert_false(history->entries[0].is_applied);
    assert_false(report->has_ledger);
    assert_int_equal(report->pending, 1);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pawl'", "0");
    pawl_history_free(history);
    pawl_status_free(report);
    pawl_test_end(&f);
}

static void
history_and_status_say_where_the_database_is(void **state)
{
    pawl_test_fixture f = pawl_test_begin("looks");
    pawl_run_options options = {.sink = {.emit = pawl_test_hear, .ctx = &f.heard}};
    pawl_history *h = NULL;
    pawl_status_report *r = NULL;

    (void) state;
    pawl_test_revision(
        &f, "aaaa0001", "",
        "labels: [shop]\n"
        "up:\n  - backfill: { table: t, set: { a: \"a || '!'\" }, batch: 100 }\n    down: nothing\n");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: SELECT 1/0\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "division by zero");

    pawl_project *project = pawl_test_open_project(&f);
    assert_int_equal(pawl_history_get(project, true, &options, &h, &f.err), PAWL_OK);
    assert_int_equal(pawl_status_get(project, &options, &r, &f.err), PAWL_OK);
    pawl_project_close(project);

    assert_int_equal(h->length, 2);
    assert_string_equal(h->entries[0].id, "bbbb0002");
    assert_string_equal(h->entries[0].state, "applying");
    assert_true(h->entries[0].is_head && !h->entries[0].is_applied && !h->entries[0].is_current);
    assert_string_equal(h->entries[0].parents[0], "aaaa0001");
    assert_string_equal(h->entries[1].state, "applied");
    assert_true(h->entries[1].is_base && h->entries[1].is_applied && h->entries[1].is_current);
    assert_string_equal(h->entries[1].labels[0], "shop");
    assert_string_equal(h->entries[1].description, "about aaaa0001");
    assert_int_equal(strlen(h->entries[1].applied_at), strlen("2026-01-31T09:05:07.123Z"));

    assert_true(r->has_ledger);
    assert_int_equal(r->ncurrent, 1);
    assert_string_equal(r->current[0], "aaaa0001");
    assert_string_equal(r->heads[0], "bbbb0002");
    assert_int_equal(r->pending, 1);
    assert_string_equal(r->runner, "");
    assert_int_equal(r->nsteps, 1);
    assert_string_equal(r->steps[0].state, "failed");
    assert_non_null(strstr(r->steps[0].error, "division by zero"));
    assert_int_equal(r->njobs, 1);
    assert_string_equal(r->jobs[0].state, "done");
    assert_string_equal(r->jobs[0].writer, "set");
    assert_int_equal(r->jobs[0].progress.rows_written, 1000);
    assert_int_equal(r->jobs[0].nworkers, 0);
    assert_non_null(strstr(r->server, "PostgreSQL "));
    pawl_history_free(h);
    pawl_status_free(r);
    pawl_test_end(&f);
}

static void
rejected_row_is_named_and_its_chunk_is_held_by_nobody(void **state)
{
    pawl_test_fixture f = pawl_test_begin("rejected");
    pawl_run_options options = {.sink = {.emit = pawl_test_hear, .ctx = &f.heard}};
    pawl_status_report *r = NULL;

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) if row.id == 900 then pawl.reject('no') end\n"
                            "return { a = row.a .. '!' } end\n");
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - backfill: { table: t, read: [a], write: [a], lua: transforms/up.lua, batch: 100 }\n"
        "    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "rejects the row: no");
    assert_non_null(strstr(f.err.detail, "row (id) = (900) of \"public.t\""));

    pawl_project *project = pawl_test_open_project(&f);
    if (pawl_status_get(project, &options, &r, &f.err) != PAWL_OK)
        fail_msg("%s", f.err.message);
    pawl_project_close(project);
    assert_string_equal(r->jobs[0].state, "open");
    assert_int_equal(r->jobs[0].nworkers, 0);
    pawl_status_free(r);
    pawl_test_end(&f);
}

static void
target_is_said_before_anything_changes_and_missing_environment_is_warned_of(void **state)
{
    pawl_test_fixture f = pawl_test_begin("targets");

    (void) state;
    pawl_test_project_write(f.dir, "pawl.yaml", "");
    PAWL_STRBUF_AUTO(config);
    pawl_strbuf_addf(&config, "database: \"%s\"\nenvironments:\n  production: { lock_timeout: 1s }\n", f.db);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    assert_true(strncmp(f.heard.text.data, "target ", 7) == 0);
    assert_non_null(strstr(f.heard.text.data, "targets"));
    assert_non_null(strstr(f.heard.text.data, "warning"));
    assert_non_null(strstr(f.heard.text.data, "environments"));
    pawl_test_end(&f);
}

static void
directory_with_problems_is_not_acted_on(void **state)
{
    pawl_test_fixture f = pawl_test_begin("problems");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "no way back");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pawl'", "0");
    pawl_test_revision(&f, "aaaa0001", "", "atomic: true\nup:\n  - sql: VACUUM t\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_INPUT, "cannot be part of an `atomic` revision");
    pawl_test_end(&f);
}

static void
pooler_refuses_what_must_be_outside_a_transaction(void **state)
{
    pawl_test_fixture f = pawl_test_begin("pooled");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: VACUUM t\n    down: nothing\n");
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "direct_database");
    f.overrides[0] = (pawl_key_value){"direct_database", f.db};
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* A subscriber without the ledger's tables stops at their first row, and the server keeps its WAL for ever. */
static void
publication_of_all_tables_is_refused_until_the_subscribers_are_ready(void **state)
{
    static const pawl_set_expression set[] = {{"a", "a"}};
    pawl_test_fixture f = pawl_test_begin("published");
    pawl_backfill_options options = {.database = f.db, .job = "j", .table = "t", .set = set, .nset = 1};
    pawl_backfill_result result;

    (void) state;
    pawl_test_exec(f.db, "CREATE PUBLICATION everything FOR ALL TABLES");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "everything");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "subscribers_ready: true");
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_E_REFUSED);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pawl'", "0");
    options.subscribers_ready = true;
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_REFUSED, "everything");
    f.overrides[0] = (pawl_key_value){"subscribers_ready", "true"};
    f.noverrides = 1;
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* ---- the other public calls -------------------------------------------------------------------------------------- */

static void
new_revisions_are_written_and_load(void **state)
{
    pawl_test_fixture f = pawl_test_begin("create");
    char *path = NULL;
    pawl_new_revision what = {.message = "Prices: \"as\" numbers!", .step = "add_column"};

    (void) state;
    for (int i = 0; i < 3; i++)
    {
        pawl_project *project = pawl_test_open_project(&f);
        assert_int_equal(pawl_project_problems(project), 0);
        assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_OK);
        assert_non_null(strstr(path, "_prices_as_numbers.yaml"));
        pawl_text_free(path);
        pawl_project_close(project);
    }
    pawl_project *project = pawl_test_open_project(&f);
    pawl_history *h = NULL;
    pawl_run_options options = {0};
    assert_int_equal(pawl_history_get(project, false, &options, &h, &f.err), PAWL_OK);
    assert_int_equal(h->length, 3);
    assert_string_equal(h->entries[0].parents[0], h->entries[1].id);
    assert_string_equal(h->entries[0].description, "Prices: \"as\" numbers!");
    pawl_history_free(h);

    what.parent = "base";
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_OK);
    pawl_text_free(path);
    pawl_project_close(project);
    project = pawl_test_open_project(&f);
    what.parent = NULL;
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_E_USAGE);
    assert_non_null(strstr(f.err.message, "2 heads"));
    what.step = NULL;
    what.parent = "base";
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_OK);
    PAWL_AUTO(pawl_str) text = NULL;
    size_t length = 0;
    assert_int_equal(pawl_file_read(path, 10000, &text, &length), 0);
    assert_non_null(strstr(text, "ALTER TABLE your_schema.your_table"));
    pawl_text_free(path);
    pawl_project_close(project);
    project = pawl_test_open_project(&f);
    assert_int_equal(pawl_project_problems(project), 0);
    what.parent = NULL;
    what.step = "ad_column";
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_E_USAGE);
    assert_non_null(strstr(f.err.hint, "add_column"));
    pawl_project_close(project);
    pawl_test_end(&f);
}

static void
backfill_call_runs_a_named_job_once(void **state)
{
    pawl_test_fixture f = pawl_test_begin("api");
    const pawl_set_expression set[] = {{"a", "a || '!'"}};
    pawl_backfill_options options = {.database = f.db,
                                     .job = "bang",
                                     .table = "public.t",
                                     .set = set,
                                     .nset = 1,
                                     .workers = 2,
                                     .batch_rows = 50,
                                     .sink = {.emit = pawl_test_hear, .ctx = &f.heard}};
    pawl_backfill_result result = {0};

    (void) state;
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    assert_int_equal(result.progress.rows_written, 1000);
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    assert_true(result.was_done);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a LIKE '%!!'"), 0);

    static const char *const columns[] = {"id", "a"};

    pawl_test_exec(f.db, "CREATE TABLE h (id int PRIMARY KEY, a text); INSERT INTO h VALUES (1, 'old')");
    pawl_test_project_write(f.dir, "migrations/transforms/copy.lua",
                            "return function(row) return { id = row.id, a = row.a } end");
    char root[300];

    (void) snprintf(root, sizeof root, "%s/migrations", f.dir);
    pawl_backfill_options into = {.database = f.db,
                                  .job = "into",
                                  .table = "public.t",
                                  .lua_root = root,
                                  .lua_file = "transforms/copy.lua",
                                  .read = columns,
                                  .nread = 2,
                                  .write = columns,
                                  .nwrite = 2,
                                  .into = "h",
                                  .merge = columns,
                                  .nmerge = 1,
                                  .no_row_locks = true,
                                  .sink = options.sink};

    assert_int_equal(pawl_backfill(&into, &result, &f.err), PAWL_OK);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM h JOIN t USING (id, a)"), 1000);
    into.on_error = PAWL_ON_ERROR_SKIP;
    into.job = "into skip";
    assert_int_equal(pawl_backfill(&into, &result, &f.err), PAWL_OK);
    assert_int_equal(result.rejects, 0);
    options.job = NULL;
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_E_USAGE);
    assert_string_equal(pawl_version(), "0.1.0");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_go_up_and_down),
        cmocka_unit_test(not_null_that_was_there_before_stays),
        cmocka_unit_test(nulls_are_named_and_no_check_is_left),
        cmocka_unit_test(backfill_step_fills_and_a_second_application_fills_again),
        cmocka_unit_test(secrets_reach_the_transform_and_a_missing_one_is_named),
        cmocka_unit_test(failed_statement_is_named_with_file_and_line),
        cmocka_unit_test(sql_sees_the_search_path_of_its_revision_and_leaves_role_and_path_behind),
        cmocka_unit_test(statement_outside_a_transaction_runs_on_its_own),
        cmocka_unit_test(volatile_default_is_refused_and_a_stable_one_is_not),
        cmocka_unit_test(types_and_not_null_are_checked_before_anything_happens),
        cmocka_unit_test(assert_stops_the_run_and_cannot_write),
        cmocka_unit_test(reading_verbs_create_nothing),
        cmocka_unit_test(history_and_status_say_where_the_database_is),
        cmocka_unit_test(rejected_row_is_named_and_its_chunk_is_held_by_nobody),
        cmocka_unit_test(target_is_said_before_anything_changes_and_missing_environment_is_warned_of),
        cmocka_unit_test(directory_with_problems_is_not_acted_on),
        cmocka_unit_test(pooler_refuses_what_must_be_outside_a_transaction),
        cmocka_unit_test(publication_of_all_tables_is_refused_until_the_subscribers_are_ready),
        cmocka_unit_test(new_revisions_are_written_and_load),
        cmocka_unit_test(backfill_call_runs_a_named_job_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
