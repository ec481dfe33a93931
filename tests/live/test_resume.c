#include <pthread.h>
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
#include "support/proxy.h"
#include "util/strbuf.h"

#include "pawl/pawl.h"

#include "util/banned.h"

/* ---- going on ---------------------------------------------------------------------------------------------------- */

static void
failure_leaves_the_database_at_its_step_and_the_next_run_goes_on(void **state)
{
    pawl_test_fixture f = pawl_test_begin("goeson");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
                       "  - sql: CREATE TABLE two (x broken)\n    down:\n      - sql: DROP TABLE two\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql done, up2sql failed");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applying");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
                       "  - sql: CREATE TABLE two (x int)\n    down:\n      - sql: DROP TABLE two\n");
    pawl_test_up(&f);
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql done, up2sql done");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.event WHERE kind = 'step_changed'", "1");
    pawl_test_assert_text(&f, "SELECT (body LIKE '%x int%')::text FROM pawl.revision", "true");
    pawl_test_end(&f);
}

static void
finished_step_that_was_edited_is_refused(void **state)
{
    pawl_test_fixture f = pawl_test_begin("edited");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: SELECT 1\n    down: nothing\n  - sql: SELECT 1/0\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: SELECT 2\n    down: nothing\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE,
                        "step 1 of revision aaaa0001 is done and was changed since");
    pawl_test_revision(&f, "aaaa0001", "", "up: []\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "no longer in its file");
    pawl_test_end(&f);
}

static void
open_backfill_may_change_its_lua_and_nothing_else(void **state)
{
    pawl_test_fixture f = pawl_test_begin("openlua");
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
    pawl_test_revision(&f, "aaaa0001", "", text.data);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 2 (backfill)");
    int64_t before = pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b IS NOT NULL");
    assert_true(before > 0 && before < 1000);

    pawl_strbuf_add(&text, "    when: \"true\"\n");
    pawl_test_revision(&f, "aaaa0001", "", text.data);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "only its Lua and its pace may change");

    pawl_strbuf_truncate(&text, text.length - strlen("    when: \"true\"\n"));
    pawl_test_revision(&f, "aaaa0001", "", text.data);
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { b = row.a .. '2' } end\n");
    pawl_test_up(&f);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b IS NULL"), 0);
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE b = a"), before);
    pawl_test_assert_text(&f, "SELECT (body LIKE '%row.a .. ''2''%')::text FROM pawl.revision", "true");
    pawl_test_end(&f);
}

/* What is refused before it has begun may be mended in any way, in its kind as well. */
static void
step_that_left_nothing_behind_takes_its_new_text(void **state)
{
    static const struct
    {
        const char *refused;
        pawl_status code;
        const char *words;
        const char *mended;
    } cases[] = {
        {"  - backfill: { table: t, set: { a: \"aa || '!'\" } }\n    down: nothing\n", PAWL_E_SERVER,
         "\"aa\"", "  - backfill: { table: t, set: { a: \"a || '!'\" } }\n    down: nothing\n"},
        {"  - swap_column: { table: t, column: a, type: varchar, using: \"aa || '!'\", reverse: a }\n",
         PAWL_E_REFUSED, "\"aa\"",
         "  - swap_column: { table: t, column: a, type: varchar, using: \"a || '!'\", reverse: a }\n"},
        {"  - rewrite_table: { table: t, change: { a: { type: varchar, using: \"aa || '!'\" } } }\n",
         PAWL_E_SERVER, "\"aa\"",
         "  - rewrite_table: { table: t, change: { a: { type: varchar, using: \"a || '!'\" } } }\n"},
        {"  - backfill: { table: t, set: { a: \"aa || '!'\" } }\n    down: nothing\n", PAWL_E_SERVER,
         "\"aa\"",
         "  - rewrite_table: { table: t, change: { a: { type: varchar, using: \"a || '!'\" } } }\n"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        pawl_test_fixture f = pawl_test_begin("mended");
        PAWL_STRBUF_AUTO(text);

        pawl_strbuf_addf(&text, "up:\n%s", cases[i].refused);
        pawl_test_revision(&f, "aaaa0001", "", text.data);
        pawl_test_must_fail(&f, true, NULL, cases[i].code, cases[i].words);
        pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.job WHERE state <> 'abandoned'", "0");

        pawl_strbuf_truncate(&text, strlen("up:\n"));
        pawl_strbuf_add(&text, cases[i].mended);
        pawl_test_revision(&f, "aaaa0001", "", text.data);
        pawl_test_up(&f);
        assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a ~ '^[^!]*!$'"), 1000);
        pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.event WHERE kind = 'step_changed'", "1");
        pawl_test_end(&f);
    }
}

/* Which application of its revision a job belongs to is known by its number: the clock of the server may be set. */
static void
no_clock_says_whose_job_it_is(void **state)
{
    pawl_test_fixture f = pawl_test_begin("clock");
    const char *mended = "return function(row) return { a = row.a .. '+' } end\n";

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return function(row) if row.id == 900 then error('no') end "
                            "return { a = row.a .. '+' } end\n");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - backfill: { table: t, read: [a], write: [a], lua: transforms/up.lua, batch: 100,"
                       " workers: 1 }\n"
                       "    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_TRANSFORM, "step 1 (backfill)");
    assert_true(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a LIKE '%+'") > 0);
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua", mended);
    /* It went back after the revision had begun: the job is not begun anew. */
    pawl_test_exec(f.db, "UPDATE pawl.job SET started_at = started_at - interval '1 day'");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.job", "1");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a ~ '^[^+]*[+]$'"), 1000);
    /* It went back after that: the job is not taken for that of the next application, with nothing left to do. */
    pawl_test_must_go(&f, false, "base");
    pawl_test_exec(f.db, "UPDATE pawl.job SET started_at = started_at + interval '2 days'");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.job", "2");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a ~ '^[^+]*[+][+]$'"), 1000);
    pawl_test_end(&f);
}

/* A process that was frozen during its copy wakes when another has carried the job on: it is not its to close any more. */
static void
job_that_is_past_its_copy_is_not_closed(void **state)
{
    pawl_test_fixture f = pawl_test_begin("past");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_exec(
        f.db,
        "CREATE FUNCTION on_with_it() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN UPDATE pawl.job SET "
        "phase = 'mirror'; RETURN NULL; END $$;"
        "CREATE TRIGGER on_with_it AFTER UPDATE ON pawl.progress FOR EACH ROW WHEN (NEW.state = 'done') "
        "EXECUTE FUNCTION on_with_it()");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001",
                       "up:\n  - backfill: { table: t, set: { a: \"a || '!'\" } }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_LEASE, "another process has carried job 1 on");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror open");
    pawl_test_end(&f);
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
        pawl_test_fixture f = pawl_test_begin("phases");

        /* The first try is stopped by a lock after it has noted what was there; a killed one leaves the same. */
        PGconn *conn = pawl_test_connect(f.db);
        pawl_test_run_on(conn, "BEGIN; LOCK TABLE t IN SHARE MODE");
        pawl_test_revision(&f, "aaaa0001", "", "up:\n  - set_not_null: { table: t, column: a }\n");
        pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
        pawl_test_run_on(conn, "ROLLBACK");
        PQfinish(conn);
        pawl_test_exec(f.db,
                       "UPDATE pawl.step SET state = 'running', info = info || '{\"was_not_null\": false}'");
        pawl_test_exec(f.db, phases[i]);
        pawl_test_up(&f);
        pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a!");
        pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_constraint WHERE conname LIKE 'pawl%'", "0");
        pawl_test_must_go(&f, false, "base");
        pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
        pawl_test_end(&f);
    }
}

static void
half_applied_revision_is_taken_back_by_the_steps_own_down(void **state)
{
    pawl_test_fixture f = pawl_test_begin("halfdown");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
                       "  - add_column: { table: t, column: b, type: int }\n"
                       "  - sql: SELECT 1/0\n    down:\n      - sql: DROP TABLE never\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "step 3");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    pawl_test_end(&f);
}

static void
revision_level_down_serves_complete_revisions_only(void **state)
{
    pawl_test_fixture f = pawl_test_begin("listdown");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: CREATE TABLE one ()\n  - sql: SELECT 1/0\n"
                       "down:\n  - sql: DROP TABLE one\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "step 2");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "serves complete revisions only");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: CREATE TABLE one ()\n  - sql: SELECT 1\n"
                       "down:\n  - sql: DROP TABLE one\n");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    pawl_test_end(&f);
}

static void
half_reverted_revision_must_go_down_first(void **state)
{
    pawl_test_fixture f = pawl_test_begin("halfrev");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
                       "  - sql: CREATE TABLE two ()\n    down:\n      - sql: DROP TABLE two\n");
    pawl_test_up(&f);
    pawl_test_exec(f.db, "CREATE VIEW v AS SELECT FROM one");
    pawl_test_must_fail(&f, false, "base", PAWL_E_SERVER, "on the way down, step 2");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 reverting");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "finish that first: pawl downgrade base");
    pawl_test_exec(f.db, "DROP VIEW v");
    pawl_test_must_go(&f, false, "-1");
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL AND to_regclass('two') IS NULL)::text",
                          "true");
    pawl_test_end(&f);
}

static void
downgrade_follows_what_was_applied_not_the_files_of_today(void **state)
{
    pawl_test_fixture f = pawl_test_begin("applied");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/down.sql", "DROP TABLE one;\n");
    pawl_test_project_write(f.dir, "migrations/transforms/helper.lua", "return '!'\n");
    pawl_test_project_write(f.dir, "migrations/transforms/down.lua",
                            "local mark = require('helper')\n"
                            "return function(row) return { a = 'back' .. mark } end\n");
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: CREATE TABLE one ()\n"
                       "down:\n"
                       "  - sql: { file: down.sql }\n"
                       "  - backfill: { table: t, write: [a], lua: transforms/down.lua }\n");
    pawl_test_up(&f);
    pawl_test_project_write(f.dir, "migrations/down.sql", "SELECT 1/0;\n");
    pawl_test_project_write(f.dir, "migrations/transforms/helper.lua", "return '?'\n");
    pawl_test_project_write(f.dir, "migrations/transforms/down.lua",
                            "return function(row) error('today') end\n");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: CREATE TABLE one ()\ndown: irreversible\n");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM t WHERE a = 'back!'"), 1000);
    pawl_test_end(&f);
}

static void
irreversible_revision_is_refused_before_anything_runs(void **state)
{
    pawl_test_fixture f = pawl_test_begin("irrev");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: CREATE TABLE one ()\ndown: irreversible\n");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001",
                       "up:\n  - sql: CREATE TABLE two ()\n    down:\n      - sql: DROP TABLE two\n");
    pawl_test_up(&f);
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "revision aaaa0001 cannot be reverted");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    pawl_test_assert_text(&f, "SELECT (to_regclass('two') IS NOT NULL)::text", "true");
    pawl_test_must_go(&f, false, "aaaa0001");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_end(&f);
}

static void
atomic_revision_is_all_or_nothing(void **state)
{
    pawl_test_fixture f = pawl_test_begin("atomic");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "atomic: true\nup:\n"
                       "  - sql: CREATE TABLE one ()\n    down:\n      - sql: DROP TABLE one\n"
                       "  - add_column: { table: t, column: b, type: int }\n"
                       "  - add_column: { table: t, column: c, type: int }\n"
                       "  - assert: { query: \"SELECT count(*) = 0 FROM t\" }\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "step 4 (assert)");
    pawl_test_assert_text(&f, "SELECT (to_regclass('one') IS NULL)::text", "true");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up4assert failed");
    pawl_test_exec(f.db, "DELETE FROM t");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a,b,c");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS,
                          "up1sql done, up2add_column done, up3add_column done, up4assert done");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_end(&f);
}

static void
when_leaves_steps_out_and_the_way_down_obeys_the_record(void **state)
{
    pawl_test_fixture f = pawl_test_begin("when");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n"
                       "  - add_column: { table: t, column: b, type: int }\n    when: x.demo == \"true\"\n"
                       "  - add_column: { table: t, column: c, type: int }\n");
    pawl_test_revision(
        &f, "bbbb0002", "aaaa0001",
        "when: x.demo == \"true\"\nup:\n  - sql: DROP TABLE t\ndown:\n  - sql: CREATE TABLE t ()\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a,c");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1add_column skipped, up1sql skipped, up2add_column done");
    assert_non_null(strstr(f.heard.text.data, "step_skipped aaaa0001 1"));
    /* Now the condition holds; what was left out stays left out. */
    f.x[0] = (pawl_key_value){"demo", "true"};
    f.nx = 1;
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a");
    pawl_test_end(&f);
}

/* ---- others at the same time ------------------------------------------------------------------------------------- */

static void
second_runner_is_told_who_holds_the_lease(void **state)
{
    pawl_test_fixture f = pawl_test_begin("runners");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_exec(
        f.db, "UPDATE pawl.runner SET owner = 'elsewhere:4711', doing = 'upgrade head', backend_pid = NULL, "
              "lease_until = clock_timestamp() + interval '1 hour', fence = fence + 1");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_BUSY, "process 4711 on host elsewhere");
    pawl_test_exec(f.db, "UPDATE pawl.runner SET lease_until = clock_timestamp() - interval '1 second'");
    pawl_test_up(&f);
    pawl_test_end(&f);
}

typedef struct racer
{
    pawl_test_fixture f;
    pthread_t thread;
    pawl_status st;
} racer;

static void *
race(void *ctx)
{
    racer *r = ctx;

    r->st = pawl_test_go(&r->f, true, NULL);
    return NULL;
}

static void
two_upgrades_at_once_apply_each_revision_once(void **state)
{
    pawl_test_fixture f = pawl_test_begin("race");
    racer racers[2];

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: CREATE TABLE one AS SELECT 1 FROM pg_sleep(0.05)\n    down: nothing\n");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: CREATE TABLE two ()\n    down: nothing\n");
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
        pawl_test_end(&racers[i].f);
    }
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    pawl_test_assert_text(&f, "SELECT sum(attempts)::text FROM pawl.step", "2");
    pawl_test_end(&f);
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
    pawl_test_fixture f = pawl_test_begin("locks");
    releaser r = {.conn = pawl_test_connect(f.db), .db = f.db};
    pthread_t thread;

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: int }\n");
    pawl_test_run_on(r.conn, "SET application_name = 'reader'; BEGIN; SELECT count(*) FROM t");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 4 attempts");
    assert_string_equal(f.err.sqlstate, "55P03");
    assert_non_null(strstr(f.err.detail, "reader"));
    assert_non_null(strstr(f.heard.text.data, "waiting aaaa0001 1"));

    assert_int_equal(pthread_create(&thread, NULL, release_later, &r), 0);
    pawl_test_up(&f);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pawl_test_assert_text(&f, PAWL_TEST_COLUMNS, "id!,a,b");
    PQfinish(r.conn);
    pawl_test_end(&f);
}

static void
stop_between_steps_leaves_a_state_that_goes_on(void **state)
{
    pawl_test_fixture f = pawl_test_begin("stops");
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: SELECT 1\n    down: nothing\n  - sql: SELECT 2\n    down: nothing\n");
    pawl_test_revision(&f, "bbbb0002", "aaaa0001", "up:\n  - sql: SELECT 3\n    down: nothing\n");
    assert_int_equal(pawl_stop_new(&f.heard.stop, &err), PAWL_OK);
    f.heard.stop_at = "step_end aaaa0001 1";
    pawl_test_must_fail(&f, true, "+2", PAWL_E_STOPPED, "go on with: pawl upgrade bbbb0002");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql done");
    pawl_stop_free(f.heard.stop);
    f.heard.stop = NULL;
    f.heard.stop_at = NULL;
    pawl_test_up(&f);
    assert_null(strstr(f.heard.text.data, "step_begin aaaa0001 1"));
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied, bbbb0002 applied");
    pawl_test_end(&f);
}

static void
half_applied_revision_is_finished_before_another_branch(void **state)
{
    pawl_test_fixture f = pawl_test_begin("halffirst");

    (void) state;
    pawl_test_revision(&f, "bbbb0002", "",
                       "up:\n  - sql: SELECT 1/(SELECT count(*) FROM t)\n    down: nothing\n");
    pawl_test_exec(f.db, "DELETE FROM t");
    pawl_test_must_fail(&f, true, "heads", PAWL_E_SERVER, "division by zero");
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "aaaa0001", PAWL_E_STATE, "finish it with `pawl upgrade bbbb0002`");
    pawl_test_exec(f.db, "INSERT INTO t VALUES (1, '')");
    pawl_test_must_go(&f, true, "heads");
    pawl_test_assert_text(&f, "SELECT string_agg(id, ',' ORDER BY finished_at) FROM pawl.revision",
                          "bbbb0002,aaaa0001");
    pawl_test_end(&f);
}

/* The connection breaks at the n-th COMMIT; true when there were so many. */
static bool
was_cut_at(const char *dir, int nth, pawl_test_cut how, bool is_atomic)
{
    pawl_test_fixture f = {
        .db = pawl_test_database_new("cuts"), .dir = dir, .heard = {.text = PAWL_STRBUF_INIT}};
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char conninfo[300];
    PAWL_STRBUF_AUTO(text);

    pawl_test_exec(f.db, "CREATE TABLE tally (what int)");
    pawl_strbuf_addf(&text,
                     "%sup:\n"
                     "  - sql: INSERT INTO tally VALUES (1)\n    down: nothing\n"
                     "  - sql: INSERT INTO tally VALUES (2)\n    down: nothing\n",
                     is_atomic ? "atomic: true\n" : "");
    pawl_test_revision(&f, "aaaa0001", "", text.data);
    pawl_test_proxy_conninfo(proxy, "cuts", conninfo, sizeof conninfo);
    f.overrides[0] = (pawl_key_value){"database", conninfo};
    f.noverrides = 1;
    pawl_test_proxy_cut_on(proxy, "COMMIT", nth, how);
    pawl_status st = pawl_test_go(&f, true, NULL);
    bool is_cut = pawl_test_proxy_cuts(proxy) > 0;
    /* Where the heartbeat's COMMIT is held back, the runner's row stays locked: that is an end, too. */
    bool is_locked_out = strcmp(f.err.sqlstate, "55P03") == 0;
    if (st != PAWL_OK && st != PAWL_E_CONNECT && !is_locked_out)
        fail_msg("COMMIT %d: %s (%s)", nth, f.err.message, f.err.detail);
    pawl_test_proxy_release(proxy);

    f.overrides[0] = (pawl_key_value){"wait", "20s"};
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT string_agg(what::text, ',' ORDER BY what) FROM tally", "1,2");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql done, up2sql done");
    pawl_test_proxy_stop(proxy);
    pawl_test_end(&f);
    return is_cut;
}

static void
lost_answer_to_any_commit_runs_no_step_twice(void **state)
{
    pawl_test_fixture f = pawl_test_begin("cuts");
    const char *dir = f.dir;

    (void) state;
    pawl_test_end(&f);
    for (int variant = 0; variant < 4; variant++)
    {
        int nth = 1;
        while (
            was_cut_at(dir, nth, variant < 2 ? PAWL_TEST_CUT_AFTER : PAWL_TEST_CUT_BEFORE, variant % 2 == 1))
            nth++;
        assert_true(nth > 4);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(failure_leaves_the_database_at_its_step_and_the_next_run_goes_on),
        cmocka_unit_test(finished_step_that_was_edited_is_refused),
        cmocka_unit_test(open_backfill_may_change_its_lua_and_nothing_else),
        cmocka_unit_test(step_that_left_nothing_behind_takes_its_new_text),
        cmocka_unit_test(no_clock_says_whose_job_it_is),
        cmocka_unit_test(job_that_is_past_its_copy_is_not_closed),
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
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
