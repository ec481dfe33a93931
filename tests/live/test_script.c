#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "util/alloc.h"
#include "util/file.h"

#include "pawl/script.h"

#include "util/banned.h"

/* A fixture, and a second database that began as the first one did and knows pawl by its scripts alone. */
typedef struct pair
{
    pawl_test_fixture f;
    pawl_test_fixture by_script;
    char log[100];
} pair;

static pair
begin(const char *name)
{
    PAWL_STRBUF_AUTO(second);
    pair p = {.f = pawl_test_begin(name)};

    pawl_strbuf_addf(&second, "%s_script", name);
    p.by_script = pawl_test_begin(second.data);
    (void) snprintf(p.log, sizeof p.log, "%s/psql.log", p.f.dir);
    return p;
}

static void
end(pair *p)
{
    pawl_test_end(&p->f);
    pawl_test_end(&p->by_script);
}

static void
both(const pair *p, const char *sql)
{
    pawl_test_exec(p->f.db, sql);
    pawl_test_exec(p->by_script.db, sql);
}

/* What the library prints; the status and p->f.err tell of a failure. */
static char *
print(pair *p, bool is_down, const char *range, bool skips_data)
{
    pawl_script_options options = {.is_downgrade = is_down, .range = range, .skips_data = skips_data};
    pawl_project *project = pawl_test_open_project(&p->f);
    char *text = NULL;

    p->f.err = (pawl_error) PAWL_ERROR_INIT;
    if (pawl_script(project, &options, &text, &p->f.err) != PAWL_OK)
        text = NULL;
    pawl_project_close(project);
    return text;
}

/* Run a script with psql; its exit code. */
static int
psql(pair *p, const char *script)
{
    char path[120];

    (void) snprintf(path, sizeof path, "%s/script.sql", p->f.dir);
    (void) remove(path);
    (void) remove(p->log);
    assert_int_equal(pawl_file_create(path, script), 0);
    const char *const argv[] = {"psql", "-X", "-d", p->by_script.db, "-f", path, NULL};
    return pawl_test_spawn_wait(argv, p->log);
}

static char *
psql_said(const pair *p)
{
    char *text = NULL;
    size_t length = 0;

    assert_int_equal(pawl_file_read(p->log, (size_t) 1 << 20, &text, &length), 0);
    return text;
}

static void
run(pair *p, bool is_down, const char *range)
{
    char *script = print(p, is_down, range, false);

    if (script == NULL)
        fail_msg("%s (%s)", p->f.err.message, p->f.err.detail);
    if (psql(p, script) != 0)
    {
        char *said = psql_said(p);
        fail_msg("psql: %s", said);
    }
    pawl_text_free(script);
}

/* psql fails, and says so. */
static void
run_must_fail(pair *p, const char *script, const char *words)
{
    assert_int_equal(psql(p, script), 3);
    char *said = psql_said(p);
    if (strstr(said, words) == NULL)
        fail_msg("\"%s\" is not in: %s", words, said);
    pawl_free(said);
}

static void
assert_same(const pair *p, const char *sql)
{
    char *wanted = pawl_test_query_text(p->f.db, sql);
    char *got = pawl_test_query_text(p->by_script.db, sql);

    size_t same = 0;
    while (wanted[same] != '\0' && wanted[same] == got[same])
        same++;
    /* cmocka cuts what is long: from the line of the first difference on. */
    while (same > 0 && wanted[same - 1] != '\n')
        same--;
    assert_string_equal(got + same, wanted + same);
    free(wanted);
    free(got);
}

#define CATALOGUE                                                                                            \
    "SELECT concat_ws(E'\\n', "                                                                              \
    "(SELECT string_agg(attrelid::regclass || '.' || attname || ' ' || format_type(atttypid, atttypmod) || " \
    "attnotnull, E'\\n' ORDER BY attrelid::regclass::text, attnum) FROM pg_attribute WHERE attnum > 0 AND "  \
    "NOT "                                                                                                   \
    "attisdropped AND attrelid IN (SELECT oid FROM pg_class WHERE relnamespace = 'public'::regnamespace)), " \
    "(SELECT string_agg(pg_get_indexdef(indexrelid) || indisvalid, E'\\n' ORDER BY "                         \
    "indexrelid::regclass::text) "                                                                           \
    "FROM pg_index WHERE indrelid IN (SELECT oid FROM pg_class WHERE relnamespace = "                        \
    "'public'::regnamespace)), "                                                                             \
    "(SELECT string_agg(conrelid::regclass || conname || pg_get_constraintdef(oid) || convalidated, E'\\n' " \
    "ORDER BY conrelid::regclass::text, conname) FROM pg_constraint WHERE connamespace = "                   \
    "'public'::regnamespace))"

#define LEDGER                                                                                             \
    "SELECT concat_ws(E'\\n', "                                                                            \
    "(SELECT string_agg(concat_ws('|', id, state, parents, depends_on, description, md5(body), checksum, " \
    "tool_version, finished_at IS NULL), E'\\n' ORDER BY id) FROM pawl.revision), "                        \
    "(SELECT string_agg(concat_ws('|', revision_id, direction, ordinal, kind, checksum, state, attempts, " \
    "error, "                                                                                              \
    "info - 'job_id' - 'constraint', info ? 'constraint', finished_at IS NULL), E'\\n' ORDER BY "          \
    "revision_id, "                                                                                        \
    "direction, ordinal) FROM pawl.step), "                                                                \
    "(SELECT string_agg(kind || revision_id, ',' ORDER BY event_id) FROM pawl.event WHERE kind NOT LIKE "  \
    "'job%'), "                                                                                            \
    "(SELECT version::text || tool_version FROM pawl.meta))"

#define LEDGER_SHAPE                                                                                        \
    "SELECT string_agg(c.relname || '.' || a.attname || format_type(a.atttypid, a.atttypmod), ',' ORDER "   \
    "BY c.relname, a.attnum) || (SELECT string_agg(proname || prosrc, ',' ORDER BY proname) FROM pg_proc "  \
    "WHERE pronamespace = 'pawl'::regnamespace) FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid " \
    "WHERE c.relnamespace = 'pawl'::regnamespace AND a.attnum > 0"

#define ROWS                                                                                \
    "SELECT (SELECT md5(string_agg(t::text, ',' ORDER BY id)) FROM t) || coalesce((SELECT " \
    "string_agg(k::text, "                                                                  \
    "' ' ORDER BY code) FROM kind k), '')"

static void
write_history(const pair *p)
{
    pawl_test_project_write(p->f.dir, "migrations/kinds.csv", "code,n\na,1.5\n\"it's, b\",\n");
    pawl_test_revision(
        &p->f, "aaaa0001", "",
        "labels: [shop]\n"
        "up:\n"
        "  - sql: |\n"
        "      CREATE TABLE made (x int); -- it's \\ :a\n"
        "      INSERT INTO made VALUES (1) -- no semicolon\n"
        "    down:\n"
        "      - sql: DROP TABLE made\n"
        "  - add_column: { table: t, column: \"B b\", type: \"numeric(10,2)\", default: \"1 + 1\" }\n"
        "  - backfill: { table: public.t, set: { \"B b\": \"id / 2 -- half\", a: \"a || '!'\" }, where: "
        "\"t.id <> 7\", "
        "batch: 130 }\n"
        "    down: nothing\n"
        "  - set_not_null: { table: t, column: a }\n"
        "  - create_index: { table: t, name: t_low, columns: [\"lower(a) -- x\"], where: \"id > 5\" }\n"
        "  - create_index: { table: t, name: t_u, columns: [id, a], unique: true, concurrently: false }\n"
        "  - assert: { query: \"SELECT count(*) = 1000 FROM t -- all\", message: \"it's wrong\" }\n"
        "  - add_column: { table: t, column: never, type: int }\n"
        "    when: x.never == \"true\"\n");
    pawl_test_revision(
        &p->f, "bbbb0002", "aaaa0001",
        "up:\n"
        "  - seed: { table: kind, key: code, file: kinds.csv, delete_missing: true }\n"
        "  - add_constraint: { table: t, name: t_check, check: \"id > 0 -- positive\" }\n"
        "  - add_constraint: { table: t, name: t_kind, foreign_key: { columns: [k], references: kind, "
        "on_delete: cascade } }\n"
        "  - add_constraint: { table: t, name: t_a_key, unique: { columns: [a] } }\n"
        "  - drop_constraint: { table: t, name: t_old, was: { check: id < 5000 } }\n"
        "  - drop_index: { name: public.t_gone }\n"
        "  - drop_index: { name: t_low, was: { table: t, columns: [lower(a)], where: id > 5 } }\n"
        "  - sql: VACUUM t\n"
        "    down: nothing\n");
    pawl_test_revision(
        &p->f, "cccc0003", "bbbb0002",
        "atomic: true\n"
        "up:\n"
        "  - rename_column: { table: t, column: \"B b\", to: c }\n"
        "  - drop_column: { table: t, column: gone, was: { type: text, default: \"'x'\" } }\n");
}

static pair
begin_history(const char *name)
{
    pair p = begin(name);

    both(&p,
         "CREATE TABLE kind (code text PRIMARY KEY, n numeric); INSERT INTO kind VALUES ('old'); "
         "ALTER TABLE t ADD k text REFERENCES kind, ADD gone text, ADD CONSTRAINT t_old CHECK (id < 5000); "
         "ALTER TABLE t DROP CONSTRAINT t_k_fkey; CREATE INDEX t_gone ON t USING hash (a)");
    write_history(&p);
    return p;
}

static void
script_leaves_what_an_upgrade_leaves_and_goes_back_as_a_downgrade_does(void **state)
{
    pair p = begin_history("script");

    (void) state;
    pawl_test_up(&p.f);
    run(&p, false, NULL);
    assert_same(&p, CATALOGUE);
    assert_same(&p, ROWS);
    assert_same(&p, LEDGER);
    assert_same(&p, LEDGER_SHAPE);

    pawl_test_must_go(&p.f, false, "aaaa0001");
    run(&p, true, "head:shop");
    assert_same(&p, CATALOGUE);
    assert_same(&p, LEDGER);
    pawl_test_must_go(&p.f, false, "base");
    run(&p, true, "aaaa0001:base");
    assert_same(&p, CATALOGUE);
    assert_same(&p, LEDGER);
    assert_same(&p, ROWS);
    end(&p);
}

static void
script_goes_on_where_it_failed_and_pawl_can_too(void **state)
{
    pair p = begin("scriptgo");

    (void) state;
    pawl_test_revision(
        &p.f, "aaaa0001", "",
        "up:\n"
        "  - sql: CREATE TABLE one ()\n    down: nothing\n"
        "  - assert: { query: \"SELECT to_regclass('gate1') IS NOT NULL\", message: \"no gate 1\" }\n"
        "  - sql: CREATE TABLE two ()\n    down: nothing\n"
        "  - assert: { query: \"SELECT to_regclass('gate2') IS NOT NULL\", message: \"no gate 2\" }\n");
    char *script = print(&p, false, NULL, false);
    assert_non_null(script);
    run_must_fail(&p, script, "assertion failed: no gate 1");
    pawl_test_assert_text(&p.by_script, PAWL_TEST_STEPS, "up1sql done");
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "aaaa0001 applying");
    pawl_test_exec(p.by_script.db, "CREATE TABLE gate1 ()");
    run_must_fail(&p, script, "assertion failed: no gate 2");
    pawl_test_assert_text(&p.by_script, PAWL_TEST_STEPS, "up1sql done, up2assert done, up3sql done");

    pawl_test_exec(p.by_script.db, "CREATE TABLE gate2 ()");
    p.f.overrides[0] = (pawl_key_value){"database", p.by_script.db};
    p.f.noverrides = 1;
    pawl_test_up(&p.f);
    assert_null(strstr(p.f.heard.text.data, "step_begin aaaa0001 3"));
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "aaaa0001 applied");

    /* What is applied is passed over. */
    assert_int_equal(psql(&p, script), 0);
    pawl_test_assert_text(&p.by_script, "SELECT sum(attempts)::text FROM pawl.step", "4");
    pawl_text_free(script);
    end(&p);
}

static void
loop_of_a_backfill_commits_each_batch_and_goes_on_behind_it(void **state)
{
    pair p = begin("scriptloop");

    (void) state;
    pawl_test_exec(p.by_script.db,
                   "DROP TABLE t; CREATE TABLE t (x int, y char(3), a text, PRIMARY KEY (y, x)); "
                   "INSERT INTO t SELECT g % 100, 'k' || g / 100, 'v' || g FROM generate_series(1, 1000) g; "
                   "CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS "
                   "'BEGIN IF NEW.y = ''k7'' THEN RAISE EXCEPTION ''k7''; END IF; RETURN NEW; END'; "
                   "CREATE TRIGGER refuse BEFORE UPDATE ON t FOR EACH ROW EXECUTE FUNCTION refuse()");
    pawl_test_revision(
        &p.f, "aaaa0001", "",
        "up:\n  - backfill: { table: t, set: { a: \"a || '!'\" }, batch: 90 }\n    down: nothing\n");
    char *script = print(&p, false, NULL, false);
    assert_non_null(script);
    run_must_fail(&p, script, "k7");
    int64_t done = pawl_test_query_i64(p.by_script.db, "SELECT count(*) FROM t WHERE a LIKE '%!'");
    assert_true(done > 0 && done < 1000 && done % 90 == 0);

    p.f.overrides[0] = (pawl_key_value){"database", p.by_script.db};
    p.f.noverrides = 1;
    pawl_test_must_fail(&p.f, true, NULL, PAWL_E_STATE, "run the script again");

    pawl_test_exec(p.by_script.db, "DROP TRIGGER refuse ON t; INSERT INTO t VALUES (0, 'z', 'late')");
    assert_int_equal(psql(&p, script), 0);
    pawl_test_assert_text(&p.by_script,
                          "SELECT string_agg(DISTINCT regexp_replace(a, '[^!]', '', 'g'), ',') FROM t "
                          "WHERE y <> 'z'",
                          "!");
    pawl_test_assert_text(&p.by_script, "SELECT a FROM t WHERE y = 'z'", "late");
    pawl_test_assert_text(&p.by_script, "SELECT (info - 'frozen')::text FROM pawl.step", "{}");
    pawl_text_free(script);
    end(&p);
}

static void
steps_that_need_rows_are_refused_by_name_or_left_out(void **state)
{
    pair p = begin("scriptlua");

    (void) state;
    pawl_test_project_write(p.f.dir, "migrations/transforms/up.lua",
                            "return function(row) return { a = row.a .. '!' } end\n");
    pawl_test_revision(&p.f, "aaaa0001", "",
                       "up:\n"
                       "  - backfill: { table: t, read: [a], write: [a], lua: transforms/up.lua }\n"
                       "    down: nothing\n"
                       "  - sql: CREATE TABLE one ()\n"
                       "    down:\n      - sql: DROP TABLE one\n");
    assert_null(print(&p, false, NULL, false));
    assert_int_equal(p.f.err.code, PAWL_E_REFUSED);
    assert_non_null(strstr(p.f.err.detail, "revision aaaa0001, backfill t with transforms/up.lua"));
    assert_non_null(strstr(p.f.err.hint, "--skip-data"));

    char *script = print(&p, false, NULL, true);
    assert_non_null(script);
    assert_non_null(strstr(script, "-- left out by --skip-data"));
    assert_int_equal(psql(&p, script), 0);
    pawl_test_assert_text(&p.by_script, PAWL_TEST_STEPS, "up1backfill skipped, up2sql done");
    pawl_test_assert_text(&p.by_script, "SELECT count(*)::text FROM t WHERE a LIKE '%!'", "0");
    pawl_text_free(script);
    run(&p, true, "head:base");
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "");
    end(&p);
}

static void
script_looks_at_the_database_before_it_changes_anything(void **state)
{
    pair p = begin("scriptguard");

    (void) state;
    pawl_test_revision(&p.f, "aaaa0001", "", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_revision(&p.f, "bbbb0002", "aaaa0001",
                       "up:\n  - sql: CREATE TABLE two ()\n    down: nothing\n");
    char *second = print(&p, false, "aaaa:head", false);
    assert_null(strstr(second, "revision aaaa0001\n"));
    run_must_fail(&p, second, "what revision bbbb0002 needs is not applied");
    run(&p, false, "aaaa0001");
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "aaaa0001 applied");

    pawl_test_exec(p.by_script.db,
                   "UPDATE pawl.runner SET owner = 'x', lease_until = clock_timestamp() + interval '1 "
                   "hour'");
    run_must_fail(&p, second, "a pawl is at work on this database");
    pawl_test_exec(p.by_script.db, "UPDATE pawl.runner SET owner = ''");
    assert_int_equal(psql(&p, second), 0);
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "aaaa0001 applied, bbbb0002 applied");

    char *down = print(&p, true, "aaaa0001:base", false);
    run_must_fail(&p, down, "other revisions need revision aaaa0001");
    pawl_test_revision(&p.f, "bbbb0002", "aaaa0001",
                       "up:\n  - sql: CREATE TABLE edited ()\n    down: nothing\n");
    char *edited = print(&p, true, "head:aaaa0001", false);
    run_must_fail(&p, edited, "was applied from another text");
    pawl_text_free(second);
    pawl_text_free(down);
    pawl_text_free(edited);

    char *nothing = print(&p, false, "head:head", false);
    assert_string_equal(nothing, "");
    pawl_text_free(nothing);
    assert_null(print(&p, true, "base", false));
    assert_int_equal(p.f.err.code, PAWL_E_USAGE);
    assert_null(print(&p, true, "head:nowhere", false));
    assert_int_equal(p.f.err.code, PAWL_E_USAGE);
    end(&p);
}

static void
revision_that_its_when_leaves_out_is_recorded_as_skipped(void **state)
{
    pair p = begin("scriptwhen");

    (void) state;
    pawl_test_revision(
        &p.f, "aaaa0001", "",
        "when: x.demo == \"true\"\nup:\n  - sql: DROP TABLE t\n    down:\n      - sql: CREATE TABLE t ()\n");
    pawl_test_up(&p.f);
    run(&p, false, NULL);
    assert_same(&p, LEDGER);
    pawl_test_must_go(&p.f, false, "base");
    run(&p, true, "head:base");
    assert_same(&p, LEDGER);
    end(&p);
}

static void
program_prints_the_script_and_asks_no_database(void **state)
{
    pair p = begin("scriptcli");
    const char *const up[] = {"upgrade", "--sql", "--database", "host=/nowhere", NULL};
    const char *const json[] = {"upgrade", "--sql", "--json", NULL};
    const char *const alone[] = {"downgrade", "--skip-data", "base", NULL};

    (void) state;
    pawl_test_revision(&p.f, "aaaa0001", "", "up:\n  - sql: CREATE TABLE one ()\n    down: nothing\n");
    pawl_test_output output = pawl_test_run(up, NULL, p.f.dir);
    assert_int_equal(output.exit_code, 0);
    assert_int_equal(psql(&p, output.out), 0);
    pawl_test_assert_text(&p.by_script, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_output_free(&output);
    output = pawl_test_run(json, NULL, p.f.dir);
    assert_int_equal(output.exit_code, 2);
    pawl_test_output_free(&output);
    output = pawl_test_run(alone, NULL, p.f.dir);
    assert_int_equal(output.exit_code, 2);
    pawl_test_output_free(&output);
    end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(script_leaves_what_an_upgrade_leaves_and_goes_back_as_a_downgrade_does),
        cmocka_unit_test(script_goes_on_where_it_failed_and_pawl_can_too),
        cmocka_unit_test(loop_of_a_backfill_commits_each_batch_and_goes_on_behind_it),
        cmocka_unit_test(steps_that_need_rows_are_refused_by_name_or_left_out),
        cmocka_unit_test(script_looks_at_the_database_before_it_changes_anything),
        cmocka_unit_test(revision_that_its_when_leaves_out_is_recorded_as_skipped),
        cmocka_unit_test(program_prints_the_script_and_asks_no_database),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
