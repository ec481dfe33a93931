#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "pawl/pawl.h"

#include "util/banned.h"

/* Everything that was emitted, a line each. */
typedef struct heard
{
    pawl_strbuf text;
    pawl_stop *stop;
    const char *stop_at; /* request the stop when a line begins so; NULL: never */
} heard;

static void
hear(void *ctx, const pawl_event *event)
{
    heard *h = ctx;
    size_t start = h->text.length;

    pawl_strbuf_addf(&h->text, "%s %s %d: %s\n", pawl_event_kind_name(event->kind),
                     event->revision == NULL ? "-" : event->revision, event->step,
                     event->text == NULL ? "" : event->text);
    if (h->stop_at != NULL && strncmp(h->text.data + start, h->stop_at, strlen(h->stop_at)) == 0)
        pawl_stop_request(h->stop);
}

/* A project, a database, and the outcome of the last call. */
typedef struct fixture
{
    const char *db;
    const char *dir;
    heard heard;
    pawl_error err;
    pawl_key_value x[1];
    size_t nx;
    pawl_key_value overrides[1];
    size_t noverrides;
} fixture;

static fixture
begin(const char *name)
{
    fixture f = {.db = pawl_test_database_new(name), .heard = {.text = PAWL_STRBUF_INIT}};

    f.dir = pawl_test_project_new(f.db, "lock_timeout: 100ms\nlock_attempts: 4\nwait: 300ms\n");
    pawl_test_exec(f.db, "CREATE TABLE t (id bigint PRIMARY KEY, a text); "
                         "INSERT INTO t SELECT g, 'v' || g FROM generate_series(1, 1000) g");
    return f;
}

static void
end(fixture *f)
{
    pawl_strbuf_fini(&f->heard.text);
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

static pawl_project *
open_project(fixture *f)
{
    PAWL_STRBUF_AUTO(config);
    pawl_project *project = NULL;

    pawl_strbuf_addf(&config, "%s/pawl.yaml", f->dir);
    pawl_project_options options = {.config = config.data,
                                    .x = f->x,
                                    .nx = f->nx,
                                    .overrides = f->overrides,
                                    .noverrides = f->noverrides};
    if (pawl_project_open(&options, &project, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
    return project;
}

static pawl_status
go(fixture *f, bool is_up, const char *target)
{
    pawl_project *project = open_project(f);
    pawl_run_options options = {.stop = f->heard.stop, .sink = {.emit = hear, .ctx = &f->heard}};

    pawl_strbuf_reset(&f->heard.text);
    f->err = (pawl_error) PAWL_ERROR_INIT;
    pawl_status st = is_up ? pawl_upgrade(project, target, &options, &f->err)
                           : pawl_downgrade(project, target, &options, &f->err);
    assert_int_equal(st, f->err.code);
    pawl_project_close(project);
    return st;
}

static void
must(fixture *f, bool is_up, const char *target)
{
    if (go(f, is_up, target) != PAWL_OK)
        fail_msg("%s %s: %s (%s)", f->err.file, f->err.message, f->err.detail, f->err.hint);
}

static void
up(fixture *f)
{
    must(f, true, NULL);
}

static void
must_fail(fixture *f, bool is_up, const char *target, pawl_status code, const char *words)
{
    pawl_status st = go(f, is_up, target);

    if (st != code)
        fail_msg("expected %s, got %s: %s", pawl_status_name(code), pawl_status_name(st), f->err.message);
    if (strstr(f->err.message, words) == NULL && strstr(f->err.hint, words) == NULL &&
        strstr(f->err.detail, words) == NULL)
        fail_msg("\"%s\" is not in: %s (%s) (%s)", words, f->err.message, f->err.detail, f->err.hint);
}

static void
assert_text(const fixture *f, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(f->db, sql);

    assert_string_equal(got, expected);
    free(got);
}

#define COLUMNS                                                                                          \
    "SELECT string_agg(attname || CASE WHEN attnotnull THEN '!' ELSE '' END, ',' ORDER BY attnum) FROM " \
    "pg_attribute WHERE attrelid = 't'::regclass AND attnum > 0 AND NOT attisdropped"
#define STEPS                                                                                           \
    "SELECT coalesce(string_agg(direction || ordinal || kind || ' ' || state, ', ' ORDER BY direction " \
    "DESC, "                                                                                            \
    "ordinal), '') FROM pawl.step"
#define REVISIONS "SELECT coalesce(string_agg(id || ' ' || state, ', ' ORDER BY id), '') FROM pawl.revision"

/* ---- each kind there and back ------------------------------------------------------------------------------------ */

static void
columns_go_up_and_down(void **state)
{
    fixture f = begin("columns");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - add_column: { table: t, column: b, type: \"numeric(10,2)\", default: \"1 + 1\", not_null: "
             "true }\n"
             "  - rename_column: { table: public.t, column: a, to: \"A b\" }\n"
             "  - add_column: { table: t, column: c, type: \"text[]\" }\n"
             "  - drop_column: { table: t, column: c, was: { type: \"text[]\", default: \"'{}'\" } }\n"
             "  - set_not_null: { table: t, column: \"A b\" }\n"
             "  - assert: { query: \"SELECT count(*) = 1000 FROM t WHERE b = 2\", message: nobody }\n");
    up(&f);
    assert_text(&f, COLUMNS, "id!,A b!,b!");
    assert_text(&f, REVISIONS, "aaaa0001 applied");
    assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
    must(&f, false, "base");
    assert_text(&f, COLUMNS, "id!,a");
    assert_text(&f, REVISIONS, "");
    up(&f);
    assert_text(&f, COLUMNS, "id!,A b!,b!");
    end(&f);
}

static void
not_null_that_was_there_before_stays(void **state)
{
    fixture f = begin("notnull");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE t ALTER a SET NOT NULL");
    revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
    up(&f);
    must(&f, false, "base");
    assert_text(&f, COLUMNS, "id!,a!");
    end(&f);
}

static void
nulls_are_named_and_no_check_is_left(void **state)
{
    fixture f = begin("nulls");

    (void) state;
    pawl_test_exec(f.db, "UPDATE t SET a = NULL WHERE id = 77");
    revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "id = 77");
    assert_string_equal(f.err.sqlstate, "23514");
    assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
    assert_text(&f, STEPS, "up1set_not_null failed");
    pawl_test_exec(f.db, "UPDATE t SET a = '' WHERE a IS NULL");
    up(&f);
    assert_text(&f, COLUMNS, "id!,a!");
    must(&f, false, "base");
    assert_text(&f, COLUMNS, "id!,a");
    end(&f);
}

static void
backfill_step_fills_and_a_second_application_fills_again(void **state)
{
    fixture f = begin("backfill");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { b = row.a .. '!' } end\n");
    revision(
        &f, "aaaa0001", "",
        "up:\n"
        "  - add_column: { table: t, column: b, type: text }\n"
        "  - backfill: { table: t, read: [a], write: [b], lua: transforms/up.lua, batch: 100, workers: 1 }\n"
        "    down: nothing\n");
    up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a || '!'"), 1000);
    must(&f, false, "base");
    up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a || '!'"), 1000);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pawl.job"), 2);
    end(&f);
}

/* ---- SQL --------------------------------------------------------------------------------------------------------- */

static void
failed_statement_is_named_with_file_and_line(void **state)
{
    fixture f = begin("sqlline");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/x.sql", "CREATE TABLE one ();\n\nSELECT 1/0;\n");
    revision(&f, "aaaa0001", "", "up:\n  - sql: { file: x.sql }\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "revision aaaa0001, step 1 (sql)");
    assert_string_equal(f.err.sqlstate, "22012");
    assert_non_null(strstr(f.err.file, "migrations/x.sql"));
    assert_int_equal(f.err.line, 3);
    assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    assert_text(&f, "SELECT sqlstate || ' ' || (error LIKE '%division by zero%') FROM pawl.step",
                "22012 true");
    end(&f);
}

static void
sql_sees_the_search_path_of_its_revision_and_leaves_role_and_path_behind(void **state)
{
    fixture f = begin("sqlpath");

    (void) state;
    pawl_test_exec(f.db, "CREATE SCHEMA s; DROP ROLE IF EXISTS nobody_much; CREATE ROLE nobody_much");
    revision(&f, "aaaa0001", "",
             "search_path: s\n"
             "up:\n"
             "  - sql: |\n"
             "      CREATE TABLE here ();\n"
             "      SET search_path = pg_temp;\n"
             "      SET ROLE nobody_much;\n"
             "    down: nothing\n"
             "  - sql: CREATE TABLE there AS SELECT current_user AS who\n"
             "    down: nothing\n");
    up(&f);
    assert_text(&f, "SELECT (to_regclass('s.here') IS NOT NULL)::text", "true");
    assert_text(&f, "SELECT (who <> 'nobody_much')::text FROM s.there", "true");
    end(&f);
}

static void
statement_outside_a_transaction_runs_on_its_own(void **state)
{
    fixture f = begin("outside");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - sql: CREATE INDEX CONCURRENTLY t_a ON t (a)\n"
             "    down:\n"
             "      - sql: DROP INDEX CONCURRENTLY t_a\n"
             "  - sql: VACUUM t\n"
             "    down: nothing\n");
    up(&f);
    assert_text(&f, "SELECT indisvalid::text FROM pg_index WHERE indexrelid = 't_a'::regclass", "true");
    must(&f, false, "base");
    assert_text(&f, "SELECT (to_regclass('t_a') IS NULL)::text", "true");
    end(&f);
}

static void
volatile_default_is_refused_and_a_stable_one_is_not(void **state)
{
    fixture f = begin("volatile");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n  - add_column: { table: t, column: b, type: float8, default: random() }\n");
    must_fail(&f, true, NULL, PAWL_E_REFUSED, "would rewrite the whole table");
    revision(&f, "aaaa0001", "",
             "up:\n  - add_column: { table: t, column: b, type: timestamptz, default: now() }\n");
    up(&f);
    assert_text(&f, COLUMNS, "id!,a,b");
    end(&f);
}

static void
types_and_not_null_are_checked_before_anything_happens(void **state)
{
    fixture f = begin("shape");

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: numbre }\n");
    must_fail(&f, true, NULL, PAWL_E_INPUT, "type \"numbre\" does not exist");
    revision(&f, "aaaa0001", "",
             "up:\n  - add_column: { table: t, column: b, type: \"int NOT NULL DEFAULT 3\" }\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "cannot read the type");
    revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: int, not_null: true }\n");
    must_fail(&f, true, NULL, PAWL_E_REFUSED, "has rows");
    revision(&f, "aaaa0001", "", "up:\n  - drop_column: { table: t, column: aa }\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_INPUT, "did you mean \"a\"?");
    end(&f);
}

static void
assert_stops_the_run_and_cannot_write(void **state)
{
    fixture f = begin("asserts");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - assert: { query: SELECT false, message: too early }\n"
             "  - sql: CREATE TABLE never ()\n"
             "    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "too early");
    assert_text(&f, "SELECT (to_regclass('never') IS NULL)::text", "true");
    revision(&f, "aaaa0001", "", "up:\n  - assert: { query: \"DELETE FROM t RETURNING true\" }\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "read-only");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t"), 1000);
    revision(&f, "aaaa0001", "", "up:\n  - assert: { query: \"SELECT NULL::boolean\" }\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "returned NULL");
    revision(&f, "aaaa0001", "", "up:\n  - assert: { query: SELECT true }\n");
    up(&f);
    must(&f, false, "base");
    end(&f);
}

/* ---- going on ---------------------------------------------------------------------------------------------------- */

static void
failure_leaves_the_database_at_its_step_and_the_next_run_goes_on(void **state)
{
    fixture f = begin("goeson");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
             "  - sql: CREATE TABLE two (x broken)\n    down:\n      - sql: DROP TABLE two\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    assert_text(&f, STEPS, "up1sql done, up2sql failed");
    assert_text(&f, REVISIONS, "aaaa0001 applying");
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
             "  - sql: CREATE TABLE two (x int)\n    down:\n      - sql: DROP TABLE two\n");
    up(&f);
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    assert_text(&f, STEPS, "up1sql done, up2sql done");
    assert_text(&f, "SELECT count(*)::text FROM pawl.event WHERE kind = 'step_changed'", "1");
    assert_text(&f, "SELECT (body LIKE '%x int%')::text FROM pawl.revision", "true");
    end(&f);
}

static void
finished_step_that_was_edited_is_refused(void **state)
{
    fixture f = begin("edited");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: SELECT 1\n    down: nothing\n  - sql: SELECT 1/0\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: SELECT 2\n    down: nothing\n  - sql: SELECT 1\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "step 1 of revision aaaa0001 is done and was changed since");
    revision(&f, "aaaa0001", "", "up: []\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "no longer in its file");
    end(&f);
}

static void
open_backfill_may_change_its_lua_and_nothing_else(void **state)
{
    fixture f = begin("openlua");
    PAWL_STRBUF_AUTO(text);

    (void) state;
    pawl_test_project_write(
        f.dir, "migrations/transforms/up.lua",
        "return function(row) if row.id == 900 then error('no') end return { b = row.a } end\n");
    pawl_strbuf_add(&text, "up:\n"
                           "  - add_column: { table: t, column: b, type: text }\n"
                           "  - backfill:\n"
                           "      table: t\n"
                           "      read: [a]\n"
                           "      write: [b]\n"
                           "      lua: transforms/up.lua\n"
                           "      batch: 100\n"
                           "      workers: 1\n"
                           "    down: nothing\n");
    revision(&f, "aaaa0001", "", text.data);
    must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 2 (backfill)");
    int64_t before = pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b IS NOT NULL");
    assert_true(before > 0 && before < 1000);

    pawl_strbuf_add(&text, "    when: \"true\"\n");
    revision(&f, "aaaa0001", "", text.data);
    must_fail(&f, true, NULL, PAWL_E_STATE, "only its Lua and its pace may change");

    pawl_strbuf_truncate(&text, text.length - strlen("    when: \"true\"\n"));
    revision(&f, "aaaa0001", "", text.data);
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { b = row.a .. '2' } end\n");
    up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b IS NULL"), 0);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a"), before);
    assert_text(&f, "SELECT (body LIKE '%row.a .. ''2''%')::text FROM pawl.revision", "true");
    end(&f);
}

static void
set_not_null_goes_on_from_each_phase(void **state)
{
    static const char *const phases[] = {
        "ALTER TABLE t ADD CONSTRAINT pawl_not_null_2 CHECK (a IS NOT NULL) NOT VALID",
        "ALTER TABLE t ADD CONSTRAINT pawl_not_null_2 CHECK (a IS NOT NULL)",
        "ALTER TABLE t ALTER a SET NOT NULL",
    };

    (void) state;
    for (size_t i = 0; i < sizeof phases / sizeof phases[0]; i++)
    {
        fixture f = begin("phases");

        /* The first try is stopped by a lock after it has noted what was there; a killed one leaves the same. */
        PGconn *conn = pawl_test_connect(f.db);
        pawl_test_run_on(conn, "BEGIN; LOCK TABLE t IN SHARE MODE");
        revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
        must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
        pawl_test_run_on(conn, "ROLLBACK");
        PQfinish(conn);
        pawl_test_exec(f.db,
                       "UPDATE pawl.step SET state = 'running', info = info || '{\"was_not_null\": false}'");
        pawl_test_exec(f.db, phases[i]);
        up(&f);
        assert_text(&f, COLUMNS, "id!,a!");
        assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
        must(&f, false, "base");
        assert_text(&f, COLUMNS, "id!,a");
        end(&f);
    }
}

static void
half_applied_revision_is_taken_back_by_the_steps_own_down(void **state)
{
    fixture f = begin("halfdown");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
             "  - add_column: { table: t, column: b, type: int }\n"
             "  - sql: SELECT 1/0\n    down:\n      - sql: DROP TABLE never\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "step 3");
    must(&f, false, "base");
    assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    assert_text(&f, COLUMNS, "id!,a");
    assert_text(&f, REVISIONS, "");
    end(&f);
}

static void
revision_level_down_serves_complete_revisions_only(void **state)
{
    fixture f = begin("listdown");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: CREATE TABLE one ()\n  - sql: SELECT 1/0\n"
             "down:\n  - sql: DROP TABLE one\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    must_fail(&f, false, "base", PAWL_E_REFUSED, "serves complete revisions only");
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: CREATE TABLE one ()\n  - sql: SELECT 1\n"
             "down:\n  - sql: DROP TABLE one\n");
    up(&f);
    must(&f, false, "base");
    assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    end(&f);
}

static void
half_reverted_revision_must_go_down_first(void **state)
{
    fixture f = begin("halfrev");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
             "  - sql: CREATE TABLE two ()\n    down:\n      - sql: DROP TABLE two\n");
    up(&f);
    pawl_test_exec(f.db, "CREATE VIEW v AS SELECT FROM one");
    must_fail(&f, false, "base", PAWL_E_SERVER, "on the way down, step 2");
    assert_text(&f, REVISIONS, "aaaa0001 reverting");
    must_fail(&f, true, NULL, PAWL_E_STATE, "finish that first: pawl downgrade base");
    pawl_test_exec(f.db, "DROP VIEW v");
    must(&f, false, "-1");
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    assert_text(&f, REVISIONS, "");
    assert_text(&f, "SELECT (to_regclass('one') IS NULL AND to_regclass('two') IS NULL)::text", "true");
    end(&f);
}

static void
downgrade_follows_what_was_applied_not_the_files_of_today(void **state)
{
    fixture f = begin("applied");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/down.sql", "DROP TABLE one;\n");
    pawl_test_project_write(f.dir, "migrations/transforms/helper.lua", "return '!'\n");
    pawl_test_project_write(f.dir, "migrations/transforms/down.lua",
                            "local mark = require('helper')\n"
                            "return function(row) return { a = 'back' .. mark } end\n");
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: CREATE TABLE one ()\n"
             "down:\n"
             "  - sql: { file: down.sql }\n"
             "  - backfill: { table: t, write: [a], lua: transforms/down.lua }\n");
    up(&f);
    pawl_test_project_write(f.dir, "migrations/down.sql", "SELECT 1/0;\n");
    pawl_test_project_write(f.dir, "migrations/transforms/helper.lua", "return '?'\n");
    pawl_test_project_write(f.dir, "migrations/transforms/down.lua",
                            "return function(row) error('today') end\n");
    revision(&f, "aaaa0001", "", "up:\n  - sql: CREATE TABLE one ()\ndown: irreversible\n");
    must(&f, false, "base");
    assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a = 'back!'"), 1000);
    end(&f);
}

static void
irreversible_revision_is_refused_before_anything_runs(void **state)
{
    fixture f = begin("irrev");

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - sql: CREATE TABLE one ()\ndown: irreversible\n");
    revision(&f, "bbbb0002", "aaaa0001",
             "up:\n  - sql: CREATE TABLE two ()\n    down:\n      - sql: DROP TABLE two\n");
    up(&f);
    must_fail(&f, false, "base", PAWL_E_REFUSED, "revision aaaa0001 cannot be reverted");
    assert_text(&f, REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    assert_text(&f, "SELECT (to_regclass('two') IS NOT NULL)::text", "true");
    must(&f, false, "aaaa0001");
    assert_text(&f, REVISIONS, "aaaa0001 applied");
    end(&f);
}

static void
atomic_revision_is_all_or_nothing(void **state)
{
    fixture f = begin("atomic");

    (void) state;
    revision(&f, "aaaa0001", "",
             "atomic: true\nup:\n"
             "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
             "  - add_column: { table: t, column: b, type: int }\n"
             "  - add_column: { table: t, column: c, type: int }\n"
             "  - assert: { query: \"SELECT count(*) = 0 FROM t\" }\n");
    must_fail(&f, true, NULL, PAWL_E_STATE, "step 4 (assert)");
    assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    assert_text(&f, COLUMNS, "id!,a");
    assert_text(&f, STEPS, "up4assert failed");
    pawl_test_exec(f.db, "DELETE FROM t");
    up(&f);
    assert_text(&f, COLUMNS, "id!,a,b,c");
    assert_text(&f, STEPS, "up1sql done, up2add_column done, up3add_column done, up4assert done");
    assert_text(&f, REVISIONS, "aaaa0001 applied");
    must(&f, false, "base");
    assert_text(&f, COLUMNS, "id!,a");
    end(&f);
}

static void
when_leaves_steps_out_and_the_way_down_obeys_the_record(void **state)
{
    fixture f = begin("when");

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - add_column: { table: t, column: b, type: int }\n    when: x.demo == \"true\"\n"
             "  - add_column: { table: t, column: c, type: int }\n");
    revision(&f, "bbbb0002", "aaaa0001",
             "when: x.demo == \"true\"\nup:\n  - sql: DROP TABLE t\ndown:\n  - sql: CREATE TABLE t ()\n");
    up(&f);
    assert_text(&f, COLUMNS, "id!,a,c");
    assert_text(&f, STEPS, "up1add_column skipped, up1sql skipped, up2add_column done");
    assert_non_null(strstr(f.heard.text.data, "step_skipped aaaa0001 1"));
    /* Now the condition holds; what was left out stays left out. */
    f.x[0] = (pawl_key_value){"demo", "true"};
    f.nx = 1;
    must(&f, false, "base");
    assert_text(&f, COLUMNS, "id!,a");
    end(&f);
}

/* ---- others at the same time ------------------------------------------------------------------------------------- */

static void
second_runner_is_told_who_holds_the_lease(void **state)
{
    fixture f = begin("runners");

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    up(&f);
    pawl_test_exec(
        f.db, "UPDATE pawl.runner SET owner = 'elsewhere:4711', doing = 'upgrade head', backend_pid = NULL, "
              "lease_until = clock_timestamp() + interval '1 hour', fence = fence + 1");
    must_fail(&f, true, NULL, PAWL_E_BUSY, "process 4711 on host elsewhere");
    pawl_test_exec(f.db, "UPDATE pawl.runner SET lease_until = clock_timestamp() - interval '1 second'");
    up(&f);
    end(&f);
}

typedef struct racer
{
    fixture f;
    pthread_t thread;
    pawl_status st;
} racer;

static void *
race(void *ctx)
{
    racer *r = ctx;

    r->st = go(&r->f, true, NULL);
    return NULL;
}

static void
two_upgrades_at_once_apply_each_revision_once(void **state)
{
    fixture f = begin("race");
    racer racers[2];

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: CREATE TABLE one AS SELECT 1 FROM pg_sleep(0.05)\n    down: nothing\n");
    revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: CREATE TABLE two ()\n    down: nothing\n");
    for (size_t i = 0; i < 2; i++)
    {
        racers[i] = (racer){.f = f};
        racers[i].f.heard.text = (pawl_strbuf) PAWL_STRBUF_INIT;
        racers[i].f.overrides[0] = (pawl_key_value){"wait", "20s"};
        racers[i].f.noverrides = 1;
        assert_int_equal(pthread_create(&racers[i].thread, NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < 2; i++)
    {
        assert_int_equal(pthread_join(racers[i].thread, NULL), 0);
        if (racers[i].st != PAWL_OK)
            fail_msg("%s (%s)", racers[i].f.err.message, racers[i].f.err.detail);
        end(&racers[i].f);
    }
    assert_text(&f, REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    assert_text(&f, "SELECT sum(attempts)::text FROM pawl.step", "2");
    end(&f);
}

typedef struct releaser
{
    PGconn *conn;
    const char *db;
} releaser;

static void *
release_later(void *ctx)
{
    const releaser *r = ctx;
    PGresult *res;

    /* Until an attempt waits for the lock, and for one attempt more. */
    PGconn *watch = PQconnectdb(r->db);
    bool is_waiting = false;
    for (int i = 0; i < 5000 && !is_waiting; i++)
    {
        res = PQexec(watch, "SELECT pg_sleep(0.002), count(*) FROM pg_locks WHERE NOT granted");
        is_waiting = PQntuples(res) != 1 || strcmp(PQgetvalue(res, 0, 1), "0") != 0;
        PQclear(res);
    }
    PQfinish(watch);
    res = PQexec(r->conn, "SELECT pg_sleep(0.15); ROLLBACK");
    PQclear(res);
    return NULL;
}

static void
lock_timeout_is_tried_again_and_names_the_holder(void **state)
{
    fixture f = begin("locks");
    releaser r = {.conn = pawl_test_connect(f.db), .db = f.db};
    pthread_t thread;

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: int }\n");
    pawl_test_run_on(r.conn, "SET application_name = 'reader'; BEGIN; SELECT count(*) FROM t");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
    assert_string_equal(f.err.sqlstate, "55P03");
    assert_non_null(strstr(f.err.detail, "reader"));
    assert_non_null(strstr(f.heard.text.data, "waiting aaaa0001 1"));

    assert_int_equal(pthread_create(&thread, NULL, release_later, &r), 0);
    up(&f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_text(&f, COLUMNS, "id!,a,b");
    PQfinish(r.conn);
    end(&f);
}

static void
stop_between_steps_leaves_a_state_that_goes_on(void **state)
{
    fixture f = begin("stops");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    revision(&f, "aaaa0001", "",
             "up:\n  - sql: SELECT 1\n    down: nothing\n  - sql: SELECT 2\n    down: nothing\n");
    revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: SELECT 3\n    down: nothing\n");
    assert_int_equal(pawl_stop_new(&f.heard.stop, &err), PAWL_OK);
    f.heard.stop_at = "step_end aaaa0001 1";
    must_fail(&f, true, "+2", PAWL_E_STOPPED, "go on with: pawl upgrade bbbb0002");
    assert_text(&f, STEPS, "up1sql done");
    pawl_stop_free(f.heard.stop);
    f.heard.stop = NULL;
    f.heard.stop_at = NULL;
    up(&f);
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    assert_text(&f, REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    end(&f);
}

static void
half_applied_revision_is_finished_before_another_branch(void **state)
{
    fixture f = begin("halffirst");

    (void) state;
    revision(&f, "bbbb0002", "", "up:\n  - sql: SELECT 1/(SELECT count(*) FROM t)\n    down: nothing\n");
    pawl_test_exec(f.db, "DELETE FROM t");
    must_fail(&f, true, "heads", PAWL_E_SERVER, "division by zero");
    revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    must_fail(&f, true, "aaaa0001", PAWL_E_STATE, "finish it with `pawl upgrade bbbb0002`");
    pawl_test_exec(f.db, "INSERT INTO t VALUES (1, '')");
    must(&f, true, "heads");
    assert_text(&f, "SELECT string_agg(id, ',' ORDER BY finished_at) FROM pawl.revision",
                "bbbb0002,aaaa0001");
    end(&f);
}

/* The connection breaks at the n-th COMMIT; true when there were so many. */
static bool
was_cut_at(const char *dir, int nth, pawl_test_cut how, bool is_atomic)
{
    fixture f = {.db = pawl_test_database_new("cuts"), .dir = dir, .heard = {.text = PAWL_STRBUF_INIT}};
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char conninfo[300];
    PAWL_STRBUF_AUTO(text);

    pawl_test_exec(f.db, "CREATE TABLE tally (what int)");
    pawl_strbuf_addf(&text,
                     "%sup:\n"
                     "  - sql: INSERT INTO tally VALUES (1)\n    down: nothing\n"
                     "  - sql: INSERT INTO tally VALUES (2)\n    down: nothing\n",
                     is_atomic ? "atomic: true\n" : "");
    revision(&f, "aaaa0001", "", text.data);
    pawl_test_proxy_conninfo(proxy, "cuts", conninfo, sizeof conninfo);
    f.overrides[0] = (pawl_key_value){"database", conninfo};
    f.noverrides = 1;
    pawl_test_proxy_cut_on(proxy, "COMMIT", nth, how);
    pawl_status st = go(&f, true, NULL);
    bool is_cut = pawl_test_proxy_cuts(proxy) > 0;
    if (st != PAWL_OK && st != PAWL_E_CONNECT)
        fail_msg("COMMIT %d: %s (%s)", nth, f.err.message, f.err.detail);
    pawl_test_proxy_release(proxy);

    f.overrides[0] = (pawl_key_value){"wait", "20s"};
    up(&f);
    assert_text(&f, "SELECT string_agg(what::text, ',' ORDER BY what) FROM tally", "1,2");
    assert_text(&f, REVISIONS, "aaaa0001 applied");
    assert_text(&f, STEPS, "up1sql done, up2sql done");
    pawl_test_proxy_stop(proxy);
    end(&f);
    return is_cut;
}

static void
lost_answer_to_any_commit_runs_no_step_twice(void **state)
{
    fixture f = begin("cuts");
    const char *dir = f.dir;

    (void) state;
    end(&f);
    for (int variant = 0; variant < 4; variant++)
    {
        int nth = 1;
        while (
            was_cut_at(dir, nth, variant < 2 ? PAWL_TEST_CUT_AFTER : PAWL_TEST_CUT_BEFORE, variant % 2 == 1))
            nth++;
        assert_true(nth > 4);
    }
}

/* ---- looking ----------------------------------------------------------------------------------------------------- */

static void
reading_verbs_create_nothing(void **state)
{
    fixture f = begin("reads");
    pawl_run_options options = {.sink = {.emit = hear, .ctx = &f.heard}};
    pawl_history *history = NULL;
    pawl_status_report *report = NULL;

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_project *project = open_project(&f);
    assert_int_equal(pawl_history_get(project, true, &options, &history, &f.err), PAWL_OK);
    assert_int_equal(pawl_status_get(project, &options, &report, &f.err), PAWL_OK);
    pawl_project_close(project);
    assert_int_equal(history->length, 1);
    assert_false(history->entries[0].is_applied);
    assert_false(report->has_ledger);
    assert_int_equal(report->pending, 1);
    assert_text(&f, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pawl'", "0");
    pawl_history_free(history);
    pawl_status_free(report);
    end(&f);
}

static void
history_and_status_say_where_the_database_is(void **state)
{
    fixture f = begin("looks");
    pawl_run_options options = {.sink = {.emit = hear, .ctx = &f.heard}};
    pawl_history *h = NULL;
    pawl_status_report *r = NULL;

    (void) state;
    revision(&f, "aaaa0001", "",
             "labels: [shop]\n"
             "up:\n  - backfill: { table: t, set: { a: \"a || '!'\" }, batch: 100 }\n    down: nothing\n");
    revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: SELECT 1/0\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_SERVER, "division by zero");

    pawl_project *project = open_project(&f);
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
    end(&f);
}

static void
rejected_row_is_named_and_its_chunk_is_held_by_nobody(void **state)
{
    fixture f = begin("rejected");
    pawl_run_options options = {.sink = {.emit = hear, .ctx = &f.heard}};
    pawl_status_report *r = NULL;

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) if row.id == 900 then pawl.reject('no') end\n"
                            "return { a = row.a .. '!' } end\n");
    revision(&f, "aaaa0001", "",
             "up:\n"
             "  - backfill: { table: t, read: [a], write: [a], lua: transforms/up.lua, batch: 100 }\n"
             "    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "rejects the row: no");
    assert_non_null(strstr(f.err.detail, "row (id) = (900) of \"public.t\""));

    pawl_project *project = open_project(&f);
    if (pawl_status_get(project, &options, &r, &f.err) != PAWL_OK)
        fail_msg("%s", f.err.message);
    pawl_project_close(project);
    assert_string_equal(r->jobs[0].state, "open");
    assert_int_equal(r->jobs[0].nworkers, 0);
    pawl_status_free(r);
    end(&f);
}

static void
target_is_said_before_anything_changes_and_missing_environment_is_warned_of(void **state)
{
    fixture f = begin("targets");

    (void) state;
    pawl_test_project_write(f.dir, "pawl.yaml", "");
    PAWL_STRBUF_AUTO(config);
    pawl_strbuf_addf(&config, "database: \"%s\"\nenvironments:\n  production: { lock_timeout: 1s }\n", f.db);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    up(&f);
    assert_true(strncmp(f.heard.text.data, "target ", 7) == 0);
    assert_non_null(strstr(f.heard.text.data, "targets"));
    assert_non_null(strstr(f.heard.text.data, "warning"));
    assert_non_null(strstr(f.heard.text.data, "environments"));
    end(&f);
}

static void
directory_with_problems_is_not_acted_on(void **state)
{
    fixture f = begin("problems");

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n");
    must_fail(&f, true, NULL, PAWL_E_INPUT, "no way back");
    assert_text(&f, "SELECT count(*)::text FROM pg_namespace WHERE nspname = 'pawl'", "0");
    revision(&f, "aaaa0001", "", "atomic: true\nup:\n  - sql: VACUUM t\n    down: nothing\n");
    must_fail(&f, true, NULL, PAWL_E_INPUT, "cannot be part of an `atomic` revision");
    end(&f);
}

static void
pooler_refuses_what_must_be_outside_a_transaction(void **state)
{
    fixture f = begin("pooled");

    (void) state;
    revision(&f, "aaaa0001", "", "up:\n  - sql: VACUUM t\n    down: nothing\n");
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    must_fail(&f, true, NULL, PAWL_E_REFUSED, "direct_database");
    f.overrides[0] = (pawl_key_value){"direct_database", f.db};
    up(&f);
    end(&f);
}

/* ---- the other public calls -------------------------------------------------------------------------------------- */

static void
new_revisions_are_written_and_load(void **state)
{
    fixture f = begin("create");
    char *path = NULL;
    pawl_new_revision what = {.message = "Prices: \"as\" numbers!", .step = "add_column"};

    (void) state;
    for (int i = 0; i < 3; i++)
    {
        pawl_project *project = open_project(&f);
        assert_int_equal(pawl_project_problems(project), 0);
        assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_OK);
        assert_non_null(strstr(path, "_prices_as_numbers.yaml"));
        pawl_text_free(path);
        pawl_project_close(project);
    }
    pawl_project *project = open_project(&f);
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
    project = open_project(&f);
    what.parent = NULL;
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_E_USAGE);
    assert_non_null(strstr(f.err.message, "2 heads"));
    what.step = "ad_column";
    assert_int_equal(pawl_revision_create(project, &what, &path, &f.err), PAWL_E_USAGE);
    assert_non_null(strstr(f.err.hint, "add_column"));
    pawl_project_close(project);
    end(&f);
}

static void
backfill_call_runs_a_named_job_once(void **state)
{
    fixture f = begin("api");
    const pawl_set_expression set[] = {{"a", "a || '!'"}};
    pawl_backfill_options options = {.database = f.db,
                                     .job = "bang",
                                     .table = "public.t",
                                     .set = set,
                                     .nset = 1,
                                     .workers = 2,
                                     .batch_rows = 50,
                                     .sink = {.emit = hear, .ctx = &f.heard}};
    pawl_backfill_result result = {0};

    (void) state;
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    assert_int_equal(result.progress.rows_written, 1000);
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_OK);
    assert_true(result.was_done);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a LIKE '%!!'"), 0);
    options.job = NULL;
    assert_int_equal(pawl_backfill(&options, &result, &f.err), PAWL_E_USAGE);
    assert_string_equal(pawl_version(), "0.1.0");
    end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_go_up_and_down),
        cmocka_unit_test(not_null_that_was_there_before_stays),
        cmocka_unit_test(nulls_are_named_and_no_check_is_left),
        cmocka_unit_test(backfill_step_fills_and_a_second_application_fills_again),
        cmocka_unit_test(failed_statement_is_named_with_file_and_line),
        cmocka_unit_test(sql_sees_the_search_path_of_its_revision_and_leaves_role_and_path_behind),
        cmocka_unit_test(statement_outside_a_transaction_runs_on_its_own),
        cmocka_unit_test(volatile_default_is_refused_and_a_stable_one_is_not),
        cmocka_unit_test(types_and_not_null_are_checked_before_anything_happens),
        cmocka_unit_test(assert_stops_the_run_and_cannot_write),
        cmocka_unit_test(failure_leaves_the_database_at_its_step_and_the_next_run_goes_on),
        cmocka_unit_test(finished_step_that_was_edited_is_refused),
        cmocka_unit_test(open_backfill_may_change_its_lua_and_nothing_else),
        cmocka_unit_test(set_not_null_goes_on_from_each_phase),
        cmocka_unit_test(half_applied_revision_is_taken_back_by_the_steps_own_down),
        cmocka_unit_test(revision_level_down_serves_complete_revisions_only),
        cmocka_unit_test(half_reverted_revision_must_go_down_first),
        cmocka_unit_test(downgrade_follows_what_was_applied_not_the_files_of_today),
        cmocka_unit_test(irreversible_revision_is_refused_before_anything_runs),
        cmocka_unit_test(atomic_revision_is_all_or_nothing),
        cmocka_unit_test(when_leaves_steps_out_and_the_way_down_obeys_the_record),
        cmocka_unit_test(second_runner_is_told_who_holds_the_lease),
        cmocka_unit_test(two_upgrades_at_once_apply_each_revision_once),
        cmocka_unit_test(lock_timeout_is_tried_again_and_names_the_holder),
        cmocka_unit_test(stop_between_steps_leaves_a_state_that_goes_on),
        cmocka_unit_test(half_applied_revision_is_finished_before_another_branch),
        cmocka_unit_test(lost_answer_to_any_commit_runs_no_step_twice),
        cmocka_unit_test(reading_verbs_create_nothing),
        cmocka_unit_test(history_and_status_say_where_the_database_is),
        cmocka_unit_test(rejected_row_is_named_and_its_chunk_is_held_by_nobody),
        cmocka_unit_test(target_is_said_before_anything_changes_and_missing_environment_is_warned_of),
        cmocka_unit_test(directory_with_problems_is_not_acted_on),
        cmocka_unit_test(pooler_refuses_what_must_be_outside_a_transaction),
        cmocka_unit_test(new_revisions_are_written_and_load),
        cmocka_unit_test(backfill_call_runs_a_named_job_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
