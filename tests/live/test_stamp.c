/* Stamps, and what the verbs of the history say about a database. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/migration.h"
#include "support/priced.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

/* ---- a history ------------------------------------------------------------------------------------------------- */

/* `parents` as "a", "a, b"; each revision makes a table of its name. */
static void
table_revision(const pawl_test_fixture *f, const char *id, const char *parents, const char *more)
{
    PAWL_STRBUF_AUTO(name);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&name, "migrations/%s.yaml", id);
    pawl_strbuf_addf(&text,
                     "revision: \"%s\"\nparents: [%s]\ndescription: makes %s\n%s"
                     "up:\n  - sql: CREATE TABLE t_%s ()\n    down:\n      - sql: DROP TABLE t_%s\n",
                     id, parents, id, more, id, id);
    pawl_test_project_write(f->dir, name.data, text.data);
}

/* root <- l001 (left) <- l002, root <- r001 <- r002, join of both; beside them b001 <- b002, which needs l001 */
static pawl_test_fixture
diamond(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    table_revision(&f, "root", "", "");
    table_revision(&f, "l001", "root", "labels: [left]\n");
    table_revision(&f, "l002", "l001", "");
    table_revision(&f, "r001", "root", "");
    table_revision(&f, "r002", "r001", "");
    table_revision(&f, "join", "l002, r002", "");
    table_revision(&f, "b001", "", "labels: [beside]\n");
    table_revision(&f, "b002", "b001", "depends_on: [l001]\n");
    return f;
}

#define TABLES                                                                                            \
    "SELECT coalesce(string_agg(relname::text, ' ' ORDER BY relname), '') FROM pg_class WHERE relname ~ " \
    "'^t_' AND relkind = 'r'"

/* ---- stamp ------------------------------------------------------------------------------------------------------ */

static pawl_status
stamp(pawl_test_fixture *f, const char *a, const char *b, bool is_purge, pawl_stamped **out)
{
    const char *targets[] = {a, b};
    pawl_project *project = pawl_test_open_project(f);
    pawl_run_options options = {.sink = {.emit = pawl_test_hear, .ctx = &f->heard}};
    pawl_status st = pawl_stamp(project, targets, b == NULL ? 1 : 2, is_purge, &options, out, &f->err);

    pawl_project_close(project);
    return st;
}

static void
expect_ids(const char *what, const char *const *ids, size_t count, const char *wanted)
{
    PAWL_STRBUF_AUTO(text);

    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(&text, "%s%s", i == 0 ? "" : " ", ids[i]);
    if (strcmp(text.data, wanted) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", what, text.data, wanted);
}

static void
must_stamp(pawl_test_fixture *f, const char *a, const char *b, bool is_purge, const char *removed,
           const char *added)
{
    pawl_stamped *stamped = NULL;

    if (stamp(f, a, b, is_purge, &stamped) != PAWL_OK)
        fail_msg("stamp %s: %s", a, f->err.message);
    expect_ids("removed", stamped->removed, stamped->nremoved, removed);
    expect_ids("added", stamped->added, stamped->nadded, added);
    pawl_stamped_free(stamped);
}

static void
must_refuse(pawl_test_fixture *f, const char *a, const char *b, pawl_status code, const char *words)
{
    pawl_stamped *stamped = NULL;

    assert_int_equal(stamp(f, a, b, false, &stamped), code);
    assert_null(stamped);
    if (strstr(f->err.message, words) == NULL && strstr(f->err.hint, words) == NULL)
        fail_msg("%s / %s", f->err.message, f->err.hint);
}

static void
a_stamp_records_what_an_upgrade_would_and_runs_nothing(void **state)
{
    pawl_test_fixture f = diamond("stamp");

    (void) state;
    must_stamp(&f, "l002", NULL, false, "", "root l001 l002");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "l001 applied, l002 applied, root applied");
    pawl_test_assert_text(&f, TABLES, "");
    pawl_test_assert_text(
        &f, "SELECT count(*)::text FROM pawl.step WHERE state = 'done' AND info ->> 'stamped' = 'true'", "3");
    pawl_test_assert_text(&f,
                          "SELECT string_agg(DISTINCT length(checksum) || ' ' || (body LIKE 'revision:%'), "
                          "',') FROM pawl.revision",
                          "64 true");
    must_stamp(&f, "l002", NULL, false, "", "");
    pawl_test_must_go(&f, true, "join");
    pawl_test_assert_text(&f, TABLES, "t_join t_r001 t_r002");
    pawl_test_end(&f);
}

static void
a_stamped_revision_is_taken_back_by_a_downgrade(void **state)
{
    pawl_test_fixture f = diamond("stampdown");

    (void) state;
    pawl_test_exec(f.db, "CREATE TABLE t_root ()");
    must_stamp(&f, "root", NULL, false, "", "root");
    pawl_test_assert_text(&f, TABLES, "t_root");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, TABLES, "");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    pawl_test_end(&f);
}

static void
a_stamp_moves_its_branch_and_leaves_the_others(void **state)
{
    pawl_test_fixture f = diamond("stampmove");

    (void) state;
    pawl_test_must_go(&f, true, "heads");
    must_stamp(&f, "r001", NULL, false, "join l002 r002", "");
    must_stamp(&f, "beside@base", NULL, false, "b002 b001", "");
    must_stamp(&f, "heads", NULL, false, "", "r002 l002 join b001 b002");
    must_stamp(&f, "l001", "r001", false, "b002 b001 join l002 r002", "");
    must_stamp(&f, "base", NULL, false, "l001 r001 root", "");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    pawl_test_assert_text(&f, TABLES, "t_b001 t_b002 t_join t_l001 t_l002 t_r001 t_r002 t_root");
    pawl_test_end(&f);
}

static void
every_edit_is_kept_with_who_and_from_where(void **state)
{
    pawl_test_fixture f = diamond("stampevent");

    (void) state;
    must_stamp(&f, "l001", NULL, false, "", "root l001");
    must_stamp(&f, "root", NULL, true, "l001", "");
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(kind || ' ' || revision_id || ' (' || detail || ')', ', ' ORDER BY event_id) FROM "
        "pawl.event WHERE kind LIKE '%stamped'",
        "stamped root (stamp l001), stamped l001 (stamp l001), unstamped l001 (stamp --purge root)");
    pawl_test_assert_text(
        &f, "SELECT bool_and(by_whom = session_user AND from_where ~ '^.+:[0-9]+$')::text FROM pawl.event",
        "true");
    pawl_test_end(&f);
}

static void
a_half_applied_revision_stops_a_stamp_and_a_purge_clears_it(void **state)
{
    pawl_test_fixture f = pawl_test_begin("stamphalf");

    (void) state;
    pawl_test_revision(
        &f, "aaaa0001", "",
        "up:\n  - sql: CREATE TABLE t_a ()\n    down: nothing\n  - sql: SELECT 1/0\n    down: nothing\n");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "division by zero");
    must_refuse(&f, "base", NULL, PAWL_E_STATE, "aaaa0001 is half applied");
    must_refuse(&f, "head", NULL, PAWL_E_STATE, "pawl upgrade aaaa0001");
    must_stamp(&f, "head", NULL, true, "aaaa0001", "aaaa0001");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql done, up2sql done");
    must_stamp(&f, "base", NULL, false, "aaaa0001", "");
    pawl_test_end(&f);
}

/* Its record goes: nobody would ever take down what it has put beside the table. */
static void
stamp_leaves_no_trigger(const char *step, const char *point, bool is_purge, const char *stays)
{
    pawl_test_fixture f = pawl_test_begin("stamptriggers");
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "up:\n%s", step);
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua",
                            "return { row = function(row) return { a = row.a } end,\n"
                            "reverse = function(row) return { a = row.a } end }\n");
    pawl_test_revision(&f, "aaaa0001", "", text.data);
    if (point != NULL)
        pawl_test_must_be_killed(f.dir, "upgrade", "head", point, 1);
    else
        pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT (count(*) > 0)::text FROM pg_trigger WHERE tgrelid = 't'::regclass",
                          "true");
    if (is_purge)
        must_refuse(&f, "base", NULL, PAWL_E_STATE, "aaaa0001 is half applied");
    pawl_strbuf_reset(&f.heard.text);
    must_stamp(&f, "base", NULL, is_purge, "aaaa0001", "");
    pawl_test_assert_text(&f, PAWL_TEST_LEFT, "0");
    pawl_test_assert_heard(&f, "job 1 has ended with its revision, and its triggers and its log are gone");
    pawl_test_assert_heard(&f, stays);
    pawl_test_exec(f.db, "INSERT INTO t (id, a) VALUES (2000, 'new'); UPDATE t SET a = 'x' WHERE id = 2000");
    pawl_test_assert_text(&f, "SELECT state FROM pawl.job", "abandoned");
    pawl_test_end(&f);
}

static void
what_a_stamp_forgets_leaves_no_trigger(void **state)
{
    static const char swap[] =
        "  - swap_column: { table: t, column: a, type: varchar(100), lua: transforms/up.lua }\n";
    static const char in_step[] = "  - swap_column: { table: t, column: a, type: varchar(100), using: \"a\", "
                                  "reverse: \"a\" }\n";
    static const char rewrite[] =
        "  - rewrite_table: { table: t, change: { a: varchar(100) }, lua: transforms/up.lua }\n";

    (void) state;
    stamp_leaves_no_trigger(swap, NULL, false, "column a_old of public.t follows no longer");
    stamp_leaves_no_trigger(in_step, NULL, false, "column a_old of public.t follows no longer");
    stamp_leaves_no_trigger(rewrite, NULL, false, "table public.pawl_1_old follows no longer");
    stamp_leaves_no_trigger(swap, "swap.after_copy", true, "column a_new of public.t follows no longer");
    stamp_leaves_no_trigger(in_step, "swap.after_copy", true, "column a_new of public.t follows no longer");
    stamp_leaves_no_trigger(rewrite, "rewrite.after_copy", true, "table public.pawl_1_new follows no longer");
}

static void
a_step_that_when_leaves_out_is_stamped_as_skipped(void **state)
{
    pawl_test_fixture f = pawl_test_begin("stampwhen");

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "",
                       "up:\n  - sql: CREATE TABLE t_a ()\n    when: x.demo == \"true\"\n    down:\n"
                       "      - sql: DROP TABLE t_a\n");
    must_stamp(&f, "head", NULL, false, "", "aaaa0001");
    pawl_test_assert_text(&f, PAWL_TEST_STEPS, "up1sql skipped");
    pawl_test_must_go(&f, false, "base");
    pawl_test_end(&f);
}

static void
what_cannot_be_stamped_is_refused_and_changes_nothing(void **state)
{
    pawl_test_fixture f = diamond("stampbad");

    (void) state;
    must_stamp(&f, "root", NULL, false, "", "root");
    must_refuse(&f, "+1", NULL, PAWL_E_USAGE, "cannot be stamped");
    must_refuse(&f, "nope", NULL, PAWL_E_USAGE, "no revision or branch");
    must_refuse(&f, "head", NULL, PAWL_E_USAGE, "2 heads");
    must_refuse(&f, "l001", "join", PAWL_E_USAGE, "is an ancestor of");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "root applied");
    pawl_test_end(&f);
}

static void
a_revision_without_a_file_is_purged(void **state)
{
    pawl_test_fixture f = diamond("stamplost");

    (void) state;
    must_stamp(&f, "root", NULL, false, "", "root");
    pawl_test_exec(f.db, "DELETE FROM pawl.step");
    pawl_test_exec(f.db, "UPDATE pawl.revision SET id = 'gone', parents = '{}'");
    must_stamp(&f, "l001", NULL, true, "gone", "root l001");
    pawl_test_end(&f);
}

/* The lock on t is held by another session until the upgrade has failed to get it at least once. */
static void
a_wait_for_a_lock_is_kept_with_who_held_it(void **state)
{
    pawl_test_fixture f = pawl_test_begin("lockwait");
    PGconn *holder = pawl_test_connect(f.db);

    (void) state;
    pawl_test_revision(&f, "aaaa0001", "", "up:\n  - add_column: { table: t, column: b, type: int }\n");
    pawl_test_run_on(holder, "BEGIN");
    pawl_test_run_on(holder, "LOCK TABLE t IN SHARE MODE");
    f.overrides[0] = (pawl_key_value){"lock_attempts", "2"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, NULL, PAWL_E_SERVER, "given up after 2 attempts");
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    f.noverrides = 0;
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(revision_id || ' ' || regexp_replace(detail, '[0-9]+', 'N', 'g'), E'\\n') "
        "LIKE 'aaaa0001 up step N: given up after N ms and N failed attempts; held by%' FROM "
        "pawl.event WHERE kind = 'lock_wait'",
        "t");
    pawl_test_end(&f);
}

/* ---- looking ---------------------------------------------------------------------------------------------------- */

static pawl_history *
find(pawl_test_fixture *f, pawl_history_part part, const char *text, bool has_events)
{
    const pawl_history_query query = {.part = part, .text = text, .has_events = has_events};
    pawl_project *project = pawl_test_open_project(f);
    pawl_history *h = NULL;

    if (pawl_history_find(project, &query, &(pawl_run_options){0}, &h, &f->err) != PAWL_OK)
        fail_msg("%s", f->err.message);
    pawl_project_close(project);
    return h;
}

static void
expect_found(pawl_test_fixture *f, pawl_history_part part, const char *text, const char *wanted)
{
    pawl_history *h = find(f, part, text, false);
    PAWL_STRBUF_AUTO(got);

    for (size_t i = 0; i < h->length; i++)
        pawl_strbuf_addf(&got, "%s%s", i == 0 ? "" : " ", h->entries[i].id);
    if (strcmp(got.data, wanted) != 0)
        fail_msg("%s: \"%s\", not \"%s\"", text, got.data, wanted);
    pawl_history_free(h);
}

static void
parts_of_the_history_follow_the_database(void **state)
{
    pawl_test_fixture f = diamond("parts");

    (void) state;
    expect_found(&f, PAWL_HISTORY_CURRENT, "", "");
    pawl_test_must_go(&f, true, "l001");
    pawl_test_must_go(&f, true, "b002");
    expect_found(&f, PAWL_HISTORY_CURRENT, "", "b002 l001");
    expect_found(&f, PAWL_HISTORY_HEADS, "", "b002 join");
    expect_found(&f, PAWL_HISTORY_BRANCHES, "", "l001 r001 root");
    expect_found(&f, PAWL_HISTORY_RANGE, "root:current", "l001 root");
    expect_found(&f, PAWL_HISTORY_RANGE, "l001:join", "join l002 l001");
    expect_found(&f, PAWL_HISTORY_NAMED, "current", "b002 l001");
    expect_found(&f, PAWL_HISTORY_NAMED, "left@-1", "root");
    expect_found(&f, PAWL_HISTORY_NAMED, "joi", "join");
    pawl_test_end(&f);
}

static void
an_entry_tells_all_of_its_revision(void **state)
{
    pawl_test_fixture f = diamond("entry");
    pawl_history *h;

    (void) state;
    pawl_test_must_go(&f, true, "b002");
    h = find(&f, PAWL_HISTORY_NAMED, "l001", true);
    assert_int_equal(h->length, 1);
    assert_true(h->entries[0].is_current && h->entries[0].is_needed && !h->entries[0].is_head);
    assert_string_equal(h->entries[0].branches[0], "left");
    assert_string_equal(h->entries[0].children[0], "l002");
    assert_non_null(strchr(h->entries[0].applied_from, ':'));
    assert_int_equal(h->entries[0].nsteps, 1);
    assert_non_null(strstr(h->entries[0].steps[0], "CREATE TABLE"));
    assert_int_equal(h->nevents, 1);
    assert_string_equal(h->events[0].kind, "applied");
    assert_int_equal(h->nedges, 1);
    pawl_history_free(h);
    h = find(&f, PAWL_HISTORY_NAMED, "b002", false);
    assert_int_equal(h->nedges, 2);
    assert_true(h->edges[1].is_dependency);
    assert_string_equal(h->edges[1].parent, "l001");
    pawl_history_free(h);
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_stamp_records_what_an_upgrade_would_and_runs_nothing),
        cmocka_unit_test(a_stamped_revision_is_taken_back_by_a_downgrade),
        cmocka_unit_test(a_stamp_moves_its_branch_and_leaves_the_others),
        cmocka_unit_test(every_edit_is_kept_with_who_and_from_where),
        cmocka_unit_test(a_half_applied_revision_stops_a_stamp_and_a_purge_clears_it),
        cmocka_unit_test(what_a_stamp_forgets_leaves_no_trigger),
        cmocka_unit_test(a_step_that_when_leaves_out_is_stamped_as_skipped),
        cmocka_unit_test(what_cannot_be_stamped_is_refused_and_changes_nothing),
        cmocka_unit_test(a_revision_without_a_file_is_purged),
        cmocka_unit_test(a_wait_for_a_lock_is_kept_with_who_held_it),
        cmocka_unit_test(parts_of_the_history_follow_the_database),
        cmocka_unit_test(an_entry_tells_all_of_its_revision),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
