/* Two columns that exchange their names, in revisions of their own: the one was filled by a backfill that captures. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define LUA                                                             \
    "local M = {}\n"                                                    \
    "function M.row(row)\n"                                             \
    "  if row.price == nil or row.price == 'N/A' then return nil end\n" \
    "  return { price_amount = (row.price:gsub('%$', '')) }\n"          \
    "end\n"                                                             \
    "function M.reverse(row)\n"                                         \
    "  if row.price_amount == nil then return nil end\n"                \
    "  return { price = '$' .. row.price_amount }\n"                    \
    "end\n"                                                             \
    "return M\n"

#define TABLE                                                                                    \
    "CREATE TABLE p (id int PRIMARY KEY, price text DEFAULT '0', other int);"                    \
    "CREATE INDEX p_price_idx ON p (price);"                                                     \
    "INSERT INTO p SELECT i, CASE WHEN i % 10 = 0 THEN NULL ELSE '$' || i || '.50' END, i FROM " \
    "generate_series(1, 1000) i"

#define ADD \
    "up:\n  - add_column:\n      table: public.p\n      column: price_amount\n      type: numeric(10,2)\n"
#define BY_LUA                                                                                            \
    "up:\n  - backfill:\n      table: public.p\n      read: [price]\n      write: [price_amount]\n      " \
    "lua: "                                                                                               \
    "transforms/price.lua\n      batch: 100\n      capture: true\n    down: nothing\n"
#define BY_SQL                                                                                             \
    "up:\n  - backfill:\n      table: public.p\n      set: { price_amount: \"to_amount(price)\" }\n      " \
    "where: \"price_amount IS NULL\"\n      batch: 100\n      capture: true\n    down: nothing\n"
#define SWITCH "up:\n  - switch:\n      table: public.p\n      column: price\n      with: price_amount\n"

#define COLUMNS                                                                                           \
    "SELECT string_agg(attname || ' ' || format_type(atttypid, atttypmod) || CASE WHEN attnotnull THEN "  \
    "'!' ELSE '' END, ', ' ORDER BY attnum) FROM pg_attribute WHERE attrelid = 'p'::regclass AND attnum " \
    "> 0 AND NOT attisdropped"
#define LEFT                                                                                               \
    "SELECT ((SELECT count(*) FROM pg_trigger WHERE NOT tgisinternal) + (SELECT count(*) FROM pg_class c " \
    "WHERE relname ~ '^(change|lost|failed)_') + (SELECT count(*) FROM pg_proc WHERE proname ~ "           \
    "'^(capture|guard|keep)_'))::text"
#define STATE                                                                                              \
    "SELECT revision_id || ordinal || ' ' || kind || ' ' || phase || ' ' || state FROM pawl.job ORDER BY " \
    "job_id DESC LIMIT 1"
#define INDEXES                                                                                       \
    "SELECT string_agg(indexdef, '; ' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'p' AND " \
    "indexname <> 'p_pkey'"

#define FILLED   "id integer!, price text, other integer, price_amount numeric(10,2)"
#define SWITCHED "id integer!, price_amount text, other integer, price numeric(10,2)"

/* Three revisions: the column, its backfill, the switch. */
static pawl_test_fixture
begin(const char *name, const char *backfill, const char *keys)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_exec(f.db, "CREATE FUNCTION to_amount(text) RETURNS numeric LANGUAGE sql IMMUTABLE AS "
                         "$$SELECT nullif(replace($1, '$', ''), 'N/A')::numeric$$");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_test_revision(&f, "aaaa", "", ADD);
    pawl_test_revision(&f, "bbbb", "aaaa", backfill);
    pawl_fmt(text, sizeof text, SWITCH "%s", keys);
    pawl_test_revision(&f, "cccc", "bbbb", text);
    return f;
}

/* What the application does between the two. */
static void
change(const pawl_test_fixture *f)
{
    pawl_test_exec(f->db, "UPDATE p SET price = '$77' WHERE id = 5; INSERT INTO p (id, price) VALUES (5000, "
                          "'$3.75'); DELETE FROM p WHERE id = 7; UPDATE p SET id = 6000 WHERE id = 8;"
                          "UPDATE p SET price = 'N/A' WHERE id = 11; INSERT INTO p (id) VALUES (5001)");
}

#define CHANGED                                                                                              \
    "SELECT string_agg(id || '=' || coalesce(price::text, '-'), ' ' ORDER BY id) FROM p WHERE id IN (4, 5, " \
    "7, 8, 11) OR id >= 5000"

static void
others_go_on_between_the_backfill_and_the_switch(void **state)
{
    pawl_test_fixture f = begin("lua", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_assert_text(&f, STATE, "bbbb1 backfill captured open");
    pawl_test_assert_text(&f, "SELECT state FROM pawl.revision WHERE id = 'bbbb'", "applied");
    change(&f);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, SWITCHED);
    pawl_test_assert_text(&f, STATE, "cccc1 switch mirror open");
    pawl_test_assert_text(&f, CHANGED, "4=4.50 5=77.00 11=- 5000=3.75 5001=0.00 6000=8.50");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = id + 0.5", "896");
    pawl_test_assert_text(&f, INDEXES, "CREATE INDEX p_price_idx ON public.p USING btree (price)");
    pawl_test_exec(f.db, "INSERT INTO p (id) VALUES (5002); UPDATE p SET price = 1 WHERE id = 1");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 5002", "0.00");
    pawl_test_end(&f);
}

/* The way back: what was written under the new name is brought along, and the next switch finds its log. */
static void
a_downgrade_goes_back_through_the_function_and_it_can_be_switched_again(void **state)
{
    pawl_test_fixture f = begin("back", BY_LUA, "");

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = 1 WHERE id = 1; INSERT INTO p (id, price) VALUES (2000, 7.25);"
                         "UPDATE p SET price = NULL WHERE id = 2; DELETE FROM p WHERE id = 3");
    pawl_test_must_go(&f, false, "bbbb");
    pawl_test_assert_text(&f, COLUMNS, FILLED);
    pawl_test_assert_text(&f, STATE, "bbbb1 backfill captured open");
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(id || '=' || coalesce(price, '-'), ' ' ORDER BY id) FROM p WHERE "
        "id < 5 OR id > 1999",
        "1=$1.00 2=- 4=$4.50 2000=$7.25");
    pawl_test_assert_text(&f, INDEXES, "CREATE INDEX p_price_idx ON public.p USING btree (price)");
    pawl_test_exec(f.db, "INSERT INTO p (id) VALUES (2001); UPDATE p SET price = '$9' WHERE id = 9");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 2001", "0");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, SWITCHED);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(id || '=' || coalesce(price::text, '-'), ' ' ORDER BY id) FROM p "
        "WHERE id < 5 OR id = 9 OR id > 1999",
        "1=1.00 2=- 4=4.50 9=9.00 2000=7.25 2001=0.00");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 9", "$9");
    pawl_test_end(&f);
}

static void
expressions_there_and_back(void **state)
{
    pawl_test_fixture f = begin("sql", BY_SQL, "      reverse: \"'$' || price::text\"\n");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    change(&f);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, CHANGED, "4=4.50 5=77.00 11=- 5000=3.75 5001=0.00 6000=8.50");
    pawl_test_exec(f.db, "UPDATE p SET price = 1 WHERE id = 1");
    pawl_test_assert_text(&f, "SELECT price_amount FROM p WHERE id = 1", "$1.00");
    pawl_test_must_go(&f, false, "bbbb");
    pawl_test_assert_text(&f, COLUMNS, FILLED);
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id IN (1, 4, 5)",
                          "$1.00 $4.50 $77");
    pawl_test_exec(f.db, "UPDATE p SET price = '$2' WHERE id = 1");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 1", "2.00");
    pawl_test_end(&f);
}

static void
all_in_one_revision(void **state)
{
    pawl_test_fixture f = begin("one", BY_SQL, "");

    (void) state;
    pawl_test_revision(&f, "bbbb", "aaaa",
                       BY_SQL "  - switch: { table: p, column: price, with: price_amount, reverse: \"'$' || "
                              "price::text\" }\n");
    pawl_test_revision(&f, "cccc", "bbbb", "up: []\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, SWITCHED);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text, other integer");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_end(&f);
}

static void
without_a_reverse_there_is_no_way_back(void **state)
{
    pawl_test_fixture f = begin("oneway", BY_SQL, "");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, SWITCHED);
    pawl_test_must_fail(&f, false, "bbbb", PAWL_E_REFUSED, "nothing of the way back");
    pawl_test_end(&f);
}

static void
contract_ends_it(void **state)
{
    pawl_test_fixture f = begin("contract", BY_LUA, "");

    (void) state;
    pawl_test_revision(&f, "dddd", "cccc",
                       "up:\n  - contract:\n      table: public.p\n      column: price\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, other integer, price numeric(10,2)");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_end(&f);
}

static void
it_waits_to_be_told_and_is_undone_before(void **state)
{
    pawl_test_fixture f = begin("manual", BY_LUA, "      cutover: manual\n");

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_assert_text(&f, STATE, "cccc1 switch ready open");
    pawl_test_exec(f.db, "UPDATE p SET price = '$77' WHERE id = 7");
    pawl_test_must_go(&f, false, "bbbb");
    pawl_test_assert_text(&f, STATE, "bbbb1 backfill captured open");
    pawl_test_assert_text(&f, COLUMNS, FILLED);
    pawl_test_assert_text(&f, INDEXES, "CREATE INDEX p_price_idx ON public.p USING btree (price)");
    pawl_test_exec(f.db,
                   "INSERT INTO pawl.control (job_id, action, from_where) VALUES (1, 'cutover', 'test')");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 7", "77.00");
    /* What was said was said of that one. */
    pawl_test_must_go(&f, false, "bbbb");
    pawl_test_up_until(&f, "waiting");
    pawl_test_assert_text(&f, STATE, "cccc1 switch ready open");
    pawl_test_end(&f);
}

/* A capture with a hole cannot be mended by the switch: nothing is switched, and the way to begin anew is told. */
static void
a_capture_that_was_disabled_stops_it(void **state)
{
    pawl_test_fixture f = begin("disabled", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_exec(f.db, "ALTER TABLE p DISABLE TRIGGER ALL; UPDATE p SET price = '$3' WHERE id = 1; ALTER "
                         "TABLE p ENABLE TRIGGER ALL");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "changes may have been missed");
    pawl_test_assert_text(&f, COLUMNS, FILLED);
    pawl_test_must_go(&f, false, "aaaa");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 1", "3.00");
    pawl_test_end(&f);
}

static void
a_capture_that_was_abandoned_is_missed(void **state)
{
    pawl_test_fixture f = begin("abandoned", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_pawl_exits(f.dir, "abandon", "1", 0);
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "nothing has logged the changes");
    pawl_test_assert_text(&f, COLUMNS, FILLED);
    pawl_test_end(&f);
}

/* Rows that are done again must be done as the others were. */
static void
another_transform_than_that_of_the_backfill_is_refused(void **state)
{
    pawl_test_fixture f = begin("changed", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA "-- another\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "is not what filled");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* The value that goes live is what the transform makes of the row, or it does not go live. */
static void
a_value_that_somebody_else_wrote_is_found(void **state)
{
    pawl_test_fixture f = begin("foreign", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_exec(f.db, "UPDATE p SET price_amount = 4711 WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "is not what the transform makes of the row");
    pawl_test_exec(f.db, "UPDATE p SET price_amount = 5.5 WHERE id = 5");
    pawl_test_up(&f);
    pawl_test_end(&f);
}

static void
what_hangs_on_the_filled_column_is_refused_by_name(void **state)
{
    pawl_test_fixture f = begin("hanging", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_exec(f.db, "CREATE INDEX own_idx ON p (price_amount)");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "own_idx");
    pawl_test_assert_text(&f, STATE, "bbbb1 backfill captured open");
    pawl_test_exec(f.db, "DROP INDEX own_idx; ALTER TABLE p ALTER price_amount SET DEFAULT 7");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "default");
    pawl_test_exec(f.db, "ALTER TABLE p ALTER price_amount DROP DEFAULT; COMMENT ON COLUMN p.price_amount IS "
                         "'new'; COMMENT ON COLUMN p.price IS 'old'");
    pawl_test_up(&f);
    pawl_test_assert_text(&f,
                          "SELECT col_description('p'::regclass, attnum) FROM pg_attribute WHERE attrelid = "
                          "'p'::regclass AND attname = 'price'",
                          "old");
    pawl_test_end(&f);
}

/* NOT NULL comes along, and a row that would break it is found while nothing is switched. */
static void
not_null_is_proved_before_and_carried_over(void **state)
{
    pawl_test_fixture f = begin("notnull", BY_LUA, "");

    (void) state;
    pawl_test_exec(f.db,
                   "UPDATE p SET price = '$0' WHERE price IS NULL; ALTER TABLE p ALTER price SET NOT NULL");
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_exec(f.db, "UPDATE p SET price = 'N/A' WHERE id = 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "id = 5");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text!, other integer, price_amount numeric(10,2)");
    pawl_test_exec(f.db, "UPDATE p SET price = '$6' WHERE id = 5");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price_amount text, other integer, price numeric(10,2)!");
    pawl_test_must_go(&f, false, "bbbb");
    pawl_test_assert_text(&f, COLUMNS, "id integer!, price text!, other integer, price_amount numeric(10,2)");
    pawl_test_end(&f);
}

/* Nothing works on it for weeks: each upgrade says what somebody should know. */
static void
an_upgrade_tells_of_a_log_that_waits_in_vain(void **state)
{
    pawl_test_fixture f = begin("vain", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_must_go(&f, true, "bbbb");
    assert_null(strstr(f.heard.text.data, "switch` that is in no revision"));
    pawl_test_revision(&f, "cccc", "bbbb", "up: []\n");
    pawl_test_up(&f);
    assert_non_null(strstr(f.heard.text.data, "for a `switch` that is in no revision"));
    assert_null(strstr(f.heard.text.data, "which will refuse it"));
    pawl_test_exec(f.db, "ALTER TABLE p DISABLE TRIGGER ALL");
    pawl_test_up(&f);
    assert_non_null(strstr(f.heard.text.data, "which will refuse it: trigger"));
    pawl_test_end(&f);
}

static void
assert_says(const pawl_test_fixture *f, const char *verb, const char *words)
{
    pawl_test_output out = pawl_test_pawl(f->dir, verb, "-v", NULL);

    if (strstr(out.out, words) == NULL)
        fail_msg("pawl %s: \"%s\" is not in: %s%s", verb, words, out.out, out.err);
    pawl_test_output_free(&out);
}

/* The log of the way back is emptied by each upgrade; status says where it is. */
static void
the_mirror_is_tended_and_shown(void **state)
{
    pawl_test_fixture f = begin("mirror", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    assert_says(&f, "status", "logs for a `switch` what others change");
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = 1000 WHERE id <= 4");
    assert_says(&f, "status", "mirror: the way back is open");
    pawl_test_assert_text(&f, "SELECT price_amount FROM p WHERE id = 4", "$4.50");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price_amount FROM p WHERE id = 4", "$1000.00");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.change_1", "0");
    assert_null(strstr(f.heard.text.data, "is not carried over"));
    pawl_test_end(&f);
}

/* What fits together is told when the directory is read, before anything runs. */
static void
pairs_that_do_not_fit_are_refused_when_they_are_read(void **state)
{
    pawl_test_fixture f = begin("pairs", BY_LUA, "");

    (void) state;
    pawl_test_revision(&f, "bbbb", "aaaa", "up: []\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "no `backfill` with `capture: true` fills");
    pawl_test_revision(
        &f, "bbbb", "aaaa",
        "up:\n  - backfill:\n      table: p\n      set: { price_amount: \"price::numeric\" }\n    "
        "down: nothing\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "does not capture what others change");
    pawl_test_revision(&f, "bbbb", "aaaa",
                       "up:\n  - backfill:\n      table: p\n      capture: true\n      set: { price_amount: "
                       "\"coalesce(price_amount, 0) + 1\" }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "both reads and writes a column");
    pawl_test_revision(&f, "bbbb", "aaaa",
                       "up:\n  - backfill:\n      table: p\n      capture: true\n      set: { price_amount: "
                       "\"1\", other: \"2\" }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "writes other columns too");
    pawl_test_revision(&f, "bbbb", "aaaa",
                       "up:\n  - backfill:\n      table: p\n      capture: true\n      on_error: skip\n      "
                       "set: { price_amount: \"1\" }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "may leave rows undone");
    pawl_test_revision(&f, "bbbb", "aaaa", BY_LUA);
    pawl_test_revision(&f, "cccc", "bbbb", "up:\n  - switch: { table: p, column: price, with: price }\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_INPUT, "cannot be switched with itself");
    pawl_test_end(&f);
}

/* Rows that `where:` leaves out would go live as NULL. */
static void
a_where_over_other_columns_is_refused_before_the_first_row(void **state)
{
    pawl_test_fixture f = begin("where", BY_LUA, "");

    (void) state;
    pawl_test_revision(
        &f, "bbbb", "aaaa",
        "up:\n  - backfill:\n      table: p\n      capture: true\n      where: \"other < 5\"\n      "
        "set: { price_amount: \"to_amount(price)\" }\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "`where:` leaves some out");
    pawl_test_assert_text(&f, LEFT, "0");
    pawl_test_end(&f);
}

/* The keys were reported, and a switch is written afterwards: it takes them over. */
static void
a_switch_that_comes_later_takes_over_what_was_reported(void **state)
{
    pawl_test_fixture f = begin("late", BY_SQL, "");

    (void) state;
    pawl_test_revision(&f, "cccc", "bbbb", "up: []\n");
    pawl_test_must_go(&f, true, "aaaa");
    pawl_test_exec(f.db,
                   "CREATE FUNCTION also() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF NEW.id = 5 THEN "
                   "UPDATE p SET price = '$8' WHERE id = 6; END IF; RETURN NULL; END$$; CREATE TRIGGER also "
                   "AFTER UPDATE OF price_amount ON p FOR EACH ROW EXECUTE FUNCTION also()");
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "id = 6");
    pawl_test_exec(f.db, "DROP TRIGGER also ON p");
    pawl_test_revision(&f, "cccc", "bbbb", SWITCH);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, COLUMNS, SWITCHED);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 6", "8.00");
    pawl_test_end(&f);
}

/* What belongs to a view goes with it, and is no other thing to drop. */
static void
view_of_the_filled_column_is_named_once(void **state)
{
    pawl_test_fixture f = begin("view", BY_LUA, "");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb");
    pawl_test_exec(f.db,
                   "CREATE VIEW v AS SELECT price_amount FROM p; COMMENT ON VIEW v IS 'it'; GRANT SELECT ON "
                   "v TO PUBLIC; ALTER VIEW v ALTER price_amount SET DEFAULT 5");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "something hangs on \"price_amount\" already");
    assert_string_equal(f.err.detail, "view public.v");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(others_go_on_between_the_backfill_and_the_switch),
        cmocka_unit_test(a_downgrade_goes_back_through_the_function_and_it_can_be_switched_again),
        cmocka_unit_test(expressions_there_and_back),
        cmocka_unit_test(all_in_one_revision),
        cmocka_unit_test(without_a_reverse_there_is_no_way_back),
        cmocka_unit_test(contract_ends_it),
        cmocka_unit_test(it_waits_to_be_told_and_is_undone_before),
        cmocka_unit_test(a_capture_that_was_disabled_stops_it),
        cmocka_unit_test(a_capture_that_was_abandoned_is_missed),
        cmocka_unit_test(another_transform_than_that_of_the_backfill_is_refused),
        cmocka_unit_test(a_value_that_somebody_else_wrote_is_found),
        cmocka_unit_test(what_hangs_on_the_filled_column_is_refused_by_name),
        cmocka_unit_test(not_null_is_proved_before_and_carried_over),
        cmocka_unit_test(an_upgrade_tells_of_a_log_that_waits_in_vain),
        cmocka_unit_test(the_mirror_is_tended_and_shown),
        cmocka_unit_test(pairs_that_do_not_fit_are_refused_when_they_are_read),
        cmocka_unit_test(a_where_over_other_columns_is_refused_before_the_first_row),
        cmocka_unit_test(a_switch_that_comes_later_takes_over_what_was_reported),
        cmocka_unit_test(view_of_the_filled_column_is_named_once),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
