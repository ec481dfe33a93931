/* `capture: true` of a backfill: what others change meanwhile is reported, and done again where that is safe. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                  \
    "return function(row)\n"                                                                 \
    "  if row.price == nil or row.price == 'N/A' then return nil end\n"                      \
    "  return { amount = (row.price:gsub('%$', '')), cents = (row.price:gsub('%D', '')) }\n" \
    "end\n"

#define TABLE                                                                                    \
    "CREATE TABLE p (id int PRIMARY KEY, price text, other int, amount numeric, cents text);"    \
    "INSERT INTO p SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE '$' || i || '.50' END, i FROM " \
    "generate_series(1, 1000) i"

#define BY_LUA "      read: [price]\n      write: [amount, cents]\n      lua: transforms/price.lua\n"

/* What the columns must be, whatever happened. */
#define WRONG                                                                                          \
    "SELECT count(*)::text FROM p WHERE (amount, cents) IS DISTINCT FROM (nullif(replace(price, '$', " \
    "''), 'N/A')::numeric, nullif(regexp_replace(nullif(price, 'N/A'), '[^0-9]', '', 'g'), ''))"
#define LEFT                                                                                               \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ '^capture_'))::text"
#define TRIGGERS "SELECT count(*)::text FROM pg_trigger WHERE NOT tgisinternal"
#define STATE    "SELECT phase || ' ' || state FROM pawl.job ORDER BY job_id DESC LIMIT 1"

#define CHANGES                                                                                \
    "UPDATE p SET price = '$77.25' WHERE id = 5; INSERT INTO p VALUES (5000, '$3.75', 1);"     \
    "DELETE FROM p WHERE id = 7; UPDATE p SET id = 6000 WHERE id = 8; UPDATE p SET other = 1 " \
    "WHERE id = 9; UPDATE p SET price = 'N/A' WHERE id = 11"

typedef struct fixture
{
    const char *db;
    const char *dir;
} fixture;

static void
write_step(const fixture *f, const char *keys)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "revision: \"aaaa0001\"\nparents: []\nup:\n  - backfill:\n      table: public.p\n      "
                     "batch: 100\n      workers: 1\n%s    down: nothing\n",
                     keys);
    pawl_test_project_write(f->dir, "migrations/aaaa0001.yaml", text.data);
}

static fixture
begin(const char *name, const char *keys)
{
    fixture f = {.db = pawl_test_database_new(name)};

    f.dir = pawl_test_project_new(f.db, NULL);
    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_step(&f, keys);
    return f;
}

static void
assert_text(const fixture *f, const char *sql, const char *expected)
{
    char *got = pawl_test_query_text(f->db, sql);

    if (strcmp(got, expected) != 0)
        fail_msg("%s: \"%s\", expected \"%s\"", sql, got, expected);
    free(got);
}

/* Some rows are done when it dies. */
static void
kill_half_way(const fixture *f)
{
    const char *const env[] = {"PAWL_FAILPOINT=backfill.after_write=kill@4", NULL};
    pawl_test_output output = pawl_test_pawl(f->dir, "upgrade", "head", env);

    assert_int_equal(output.signal_number, SIGKILL);
    pawl_test_output_free(&output);
    assert_text(f, "SELECT (count(*) BETWEEN 100 AND 900)::text FROM p WHERE amount IS NOT NULL", "true");
}

static void
must_say(const fixture *f, const char *verb, const char *argument, int exit_code, const char *words)
{
    pawl_test_output output = pawl_test_pawl(f->dir, verb, argument, NULL);

    if (output.exit_code != exit_code || strstr(output.err, words) == NULL)
        fail_msg("%s %s: exit %d, expected %d and \"%s\": %s", verb, argument, output.exit_code, exit_code,
                 words, output.err);
    pawl_test_output_free(&output);
}

static void
what_others_changed_is_reported_and_then_done_again(void **state)
{
    fixture f = begin("captured", BY_LUA "      capture: true\n");
    pawl_test_output status;

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, CHANGES);
    must_say(&f, "upgrade", "head", 4, "others inserted, changed or deleted 6 rows");
    assert_text(&f, STATE, "reported findings");
    status = pawl_test_pawl(f.dir, "status", "-v", NULL);
    assert_non_null(strstr(status.out, "others changed rows meanwhile"));
    pawl_test_output_free(&status);
    assert_text(&f, "SELECT state FROM pawl.step", "findings");
    assert_text(&f, "SELECT amount::text FROM p WHERE id = 5", "5.50");
    pawl_test_exec(f.db, "UPDATE p SET price = '$8' WHERE id = 900");
    must_say(&f, "upgrade", "head", 0, "");
    assert_text(&f, WRONG, "0");
    assert_text(&f, LEFT, "0");
    assert_text(&f, STATE, "released done");
    assert_text(&f, "SELECT state FROM pawl.revision", "applied");
}

static void
rows_that_nobody_changed_are_nothing_to_report(void **state)
{
    fixture f = begin("quiet", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "UPDATE p SET other = 7");
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, WRONG, "0");
    assert_text(&f, LEFT, "0");
}

/* `where:` says what is left to do, and so is no condition for doing a row once more; expressions look the user's names
 * up. */
static void
expressions_are_run_again_whatever_is_filled_by_now(void **state)
{
    fixture f =
        begin("expressions", "      set: { amount: \"to_amount(price)\", cents: \"to_cents(price)\" }\n"
                             "      where: \"amount IS NULL\"\n      capture: true\n");

    (void) state;
    pawl_test_exec(f.db, "CREATE FUNCTION to_amount(text) RETURNS numeric LANGUAGE sql IMMUTABLE AS "
                         "$$SELECT nullif(replace($1, '$', ''), 'N/A')::numeric$$;"
                         "CREATE FUNCTION to_cents(text) RETURNS text LANGUAGE sql IMMUTABLE AS $$SELECT "
                         "nullif(regexp_replace(nullif($1, 'N/A'), '[^0-9]', '', 'g'), '')$$");
    kill_half_way(&f);
    pawl_test_exec(f.db, CHANGES);
    must_say(&f, "upgrade", "head", 4, "6 rows");
    must_say(&f, "upgrade", "head", 0, "");
    assert_text(&f, WRONG, "0");
    assert_text(&f, LEFT, "0");
}

/* A condition over other columns counts for rows that are done again as well. */
static void
rows_that_where_does_not_choose_are_left_alone(void **state)
{
    fixture f = begin("where", BY_LUA "      where: \"other < 500\"\n      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db,
                   "UPDATE p SET price = '$1' WHERE id IN (3, 600); UPDATE p SET other = 1 WHERE id = 701;"
                   "UPDATE p SET other = 900 WHERE id = 4");
    must_say(&f, "upgrade", "head", 4, "4 rows");
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f,
                "SELECT string_agg(id || '=' || coalesce(amount::text, '-'), ' ' ORDER BY id) FROM p WHERE "
                "id IN (3, 4, 600, 701)",
                "3=1 4=4.50 600=- 701=701.50");
}

#define RAISE "      set: { amount: \"coalesce(amount, 0) + 1\" }\n"

/* Doing a row twice would be wrong: people look, and say so. */
static void
a_column_both_read_and_written_is_not_done_again(void **state)
{
    fixture f = begin("overlap", RAISE "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "UPDATE p SET amount = 50 WHERE id = 5; INSERT INTO p VALUES (5000, '', 1, 9)");
    must_say(&f, "upgrade", "head", 4, "others inserted, changed or deleted 2 rows");
    must_say(&f, "upgrade", "head", 4, "column \"amount\" is both read and written");
    must_say(&f, "upgrade", "head", 4, "id = 5; id = 5000");
    assert_text(&f, STATE, "reported findings");
    assert_text(&f, TRIGGERS, "0");
    assert_text(&f, "SELECT count(*)::text FROM pawl.change_1", "2");
    pawl_test_exec(f.db, "UPDATE p SET amount = 51 WHERE id = 5");
    assert_text(&f, "SELECT count(*)::text FROM pawl.change_1", "2");
    write_step(&f, RAISE "      capture: false\n");
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, LEFT, "0");
    assert_text(&f, "SELECT count(*)::text FROM p WHERE amount = 1", "999");
    assert_text(&f, "SELECT state FROM pawl.revision", "applied");
}

static void
its_own_writes_are_not_captured(void **state)
{
    fixture f = begin("own", RAISE "      capture: true\n");

    (void) state;
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, LEFT, "0");
    assert_text(&f, "SELECT count(*)::text FROM p WHERE amount = 1", "1000");
}

static void
a_trigger_that_was_disabled_is_told(void **state)
{
    fixture f = begin("disabled", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "ALTER TABLE p DISABLE TRIGGER ALL; UPDATE p SET price = '$3' WHERE id = 1; ALTER "
                         "TABLE p ENABLE TRIGGER ALL");
    must_say(&f, "upgrade", "head", 4, "not everything that others changed meanwhile is known: trigger");
    must_say(&f, "upgrade", "head", 4, "not everything that others changed meanwhile is known: trigger");
    must_say(&f, "upgrade", "head", 4, "take the revision back");
    assert_text(&f, TRIGGERS, "0");
    pawl_test_pawl_exits(f.dir, "downgrade", "base", 0);
    assert_text(&f, LEFT, "0");
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, WRONG, "0");
}

/* The same between the report and the second run. */
static void
a_trigger_that_is_disabled_after_the_report_is_told(void **state)
{
    fixture f = begin("late", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, CHANGES);
    must_say(&f, "upgrade", "head", 4, "6 rows");
    pawl_test_exec(f.db, "ALTER TABLE p DISABLE TRIGGER ALL; UPDATE p SET price = '$3' WHERE id = 1; ALTER "
                         "TABLE p ENABLE TRIGGER ALL");
    must_say(&f, "upgrade", "head", 4, "not everything that others changed meanwhile is known: trigger");
    must_say(&f, "upgrade", "head", 4, "take the revision back");
    assert_text(&f, STATE, "reported findings");
}

static void
a_log_that_is_full_is_told(void **state)
{
    fixture f = begin("full", BY_LUA "      capture: { max_log_mb: 1 }\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "DO $$BEGIN FOR i IN 1..40 LOOP UPDATE p SET price = '$' || i; END LOOP; END$$");
    must_say(&f, "upgrade", "head", 4, "has reached the size that it may have");
    assert_text(&f, "SELECT (pg_relation_size('pawl.change_1') < 2000000)::text", "true");
    assert_text(&f, TRIGGERS, "0");
}

static void
a_truncate_takes_nothing_from_it(void **state)
{
    fixture f = begin("truncate", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "TRUNCATE p; INSERT INTO p SELECT i, '$' || i, i FROM generate_series(1, 2000) i");
    must_say(&f, "upgrade", "head", 4, "which was truncated as well");
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, WRONG, "0");
    assert_text(&f, LEFT, "0");
}

static void
abandon_takes_the_triggers_away(void **state)
{
    fixture f = begin("abandon", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    assert_text(&f, TRIGGERS, "3");
    pawl_test_pawl_exits(f.dir, "abandon", "1", 0);
    assert_text(&f, LEFT, "0");
    pawl_test_pawl_exits(f.dir, "abandon", "1", 1);
    pawl_test_pawl_exits(f.dir, "upgrade", "--restart", 0);
    assert_text(&f, WRONG, "0");
    assert_text(&f, LEFT, "0");
}

/* It dies between giving the job up and taking its triggers away: said again, it does the rest. */
static void
abandon_is_finished_by_a_second_one(void **state)
{
    fixture f = begin("abandon2", BY_LUA "      capture: true\n");
    const char *const env[] = {"PAWL_FAILPOINT=control.before_release=kill", NULL};
    pawl_test_output output;

    (void) state;
    kill_half_way(&f);
    output = pawl_test_pawl(f.dir, "abandon", "1", env);
    assert_int_equal(output.signal_number, SIGKILL);
    pawl_test_output_free(&output);
    assert_text(&f, TRIGGERS, "3");
    pawl_test_pawl_exits(f.dir, "abandon", "1", 0);
    assert_text(&f, LEFT, "0");
}

static void
a_downgrade_takes_everything_away(void **state)
{
    fixture f = begin("down", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, CHANGES);
    must_say(&f, "upgrade", "head", 4, "6 rows");
    pawl_test_pawl_exits(f.dir, "downgrade", "base", 0);
    assert_text(&f, LEFT, "0");
    assert_text(&f, "SELECT state FROM pawl.job", "abandoned");
}

/* Asked for in the middle, it could not tell what was changed before. */
static void
it_cannot_be_asked_for_later(void **state)
{
    fixture f = begin("later", BY_LUA);

    (void) state;
    kill_half_way(&f);
    write_step(&f, BY_LUA "      capture: true\n");
    must_say(&f, "upgrade", "head", 1, "begun without `capture`");
    write_step(&f, BY_LUA);
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
}

static void
it_can_be_dropped_in_the_middle(void **state)
{
    fixture f = begin("dropped", BY_LUA "      capture: true\n");

    (void) state;
    kill_half_way(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = '$3' WHERE id = 1");
    write_step(&f, BY_LUA);
    pawl_test_pawl_exits(f.dir, "upgrade", "head", 0);
    assert_text(&f, LEFT, "0");
    assert_text(&f, "SELECT amount::text FROM p WHERE id = 1", "1.50");
}

static void
what_cannot_be_captured_is_refused(void **state)
{
    fixture f = begin("refused", BY_LUA "      capture: true\n");

    (void) state;
    pawl_test_exec(f.db,
                   "DROP TABLE p; CREATE TABLE p (id int PRIMARY KEY, price text, amount numeric, cents "
                   "text) PARTITION BY RANGE (id); CREATE TABLE p1 PARTITION OF p DEFAULT");
    must_say(&f, "upgrade", "head", 1, "it has partitions");
    pawl_test_pawl_exits(f.dir, "downgrade", "base", 0);
    write_step(&f, "      set: { amount: \"1\" }\n      where: \"amount IS NULL\"\n      key: [ctid]\n      "
                   "capture: true\n");
    pawl_test_exec(f.db, "DROP TABLE p; CREATE TABLE p (id int, price text, amount numeric, cents text)");
    must_say(&f, "upgrade", "head", 1, "it has no key");
    pawl_test_pawl_exits(f.dir, "downgrade", "base", 0);
    write_step(&f, BY_LUA "      into: public.q\n      capture: true\n");
    must_say(&f, "upgrade", "head", 1, "not with `into`");
    write_step(&f, "      set: { amount: \"1\" }\n      capture: true\n");
    must_say(&f, "upgrade", "--sql", 1, "no script can do");
    assert_text(&f, "SELECT count(*)::text FROM pawl.job", "0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_others_changed_is_reported_and_then_done_again),
        cmocka_unit_test(rows_that_nobody_changed_are_nothing_to_report),
        cmocka_unit_test(expressions_are_run_again_whatever_is_filled_by_now),
        cmocka_unit_test(rows_that_where_does_not_choose_are_left_alone),
        cmocka_unit_test(a_column_both_read_and_written_is_not_done_again),
        cmocka_unit_test(its_own_writes_are_not_captured),
        cmocka_unit_test(a_trigger_that_was_disabled_is_told),
        cmocka_unit_test(a_trigger_that_is_disabled_after_the_report_is_told),
        cmocka_unit_test(a_log_that_is_full_is_told),
        cmocka_unit_test(a_truncate_takes_nothing_from_it),
        cmocka_unit_test(abandon_takes_the_triggers_away),
        cmocka_unit_test(abandon_is_finished_by_a_second_one),
        cmocka_unit_test(a_downgrade_takes_everything_away),
        cmocka_unit_test(it_cannot_be_asked_for_later),
        cmocka_unit_test(it_can_be_dropped_in_the_middle),
        cmocka_unit_test(what_cannot_be_captured_is_refused),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
