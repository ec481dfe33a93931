/* `rejects: write_null` of a swap: rows that are refused go live with NULL, and the ledger says which, and why. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/kill.h"
#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Row 7 is refused by the transform, 8 raises, 9 is no number for the type, 10 is nil. */
#define TABLE                                                     \
    "CREATE TABLE p (id int PRIMARY KEY, price text, note text);" \
    "INSERT INTO p SELECT i, i FROM generate_series(1, 300) i;"   \
    "UPDATE p SET price = 'reject' WHERE id = 7;"                 \
    "UPDATE p SET price = 'raise' WHERE id = 8;"                  \
    "UPDATE p SET price = '123456789' WHERE id = 9;"              \
    "UPDATE p SET price = NULL WHERE id = 10"
#define LUA                                                       \
    "return { row = function(row)\n"                              \
    "if row.price == nil then return nil end\n"                   \
    "if row.price == 'reject' then pawl.reject('no price') end\n" \
    "if row.price == 'raise' then error('broken') end\n"          \
    "return { price = row.price } end,\n"                         \
    "reverse = function(row) return { price = row.price and tostring(row.price) or pawl.null } end }"
#define MENDED                                   \
    "return { row = function(row)\n"             \
    "if row.price == nil then return nil end\n"  \
    "local n = tonumber(row.price)\n"            \
    "if n == nil or n > 999999 then n = 0 end\n" \
    "return { price = tostring(n) } end,\n"      \
    "reverse = function(row) return { price = row.price and tostring(row.price) or pawl.null } end }"

#define BATCH                                                                     \
    "return { batch = function(rows)\n"                                           \
    "local out = {}\n"                                                            \
    "for i, row in ipairs(rows) do\n"                                             \
    "if row.price == 'reject' or row.price == 'raise' then error('broken') end\n" \
    "out[i] = { price = row.price or pawl.null } end\n"                           \
    "return out end }"

#define REJECTS                                                                                           \
    "SELECT coalesce(string_agg(key[1] || ' ' || state, ', ' ORDER BY key[1]::int, reject_id), '') FROM " \
    "pawl.reject"
#define NULLS "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM p WHERE price IS NULL"

static void
write_swap(const pawl_test_fixture *f, const char *more)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text,
                     "up:\n  - swap_column: { table: public.p, column: price, type: \"numeric(8,2)\", lua: "
                     "transforms/price.lua, %s }\n",
                     more);
    pawl_test_revision(f, "aaaa", "", text.data);
}

static pawl_test_fixture
begin(const char *name, const char *more)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_swap(&f, more);
    return f;
}

/* `pawl rejects 1 --retry` */
static void
retry(const pawl_test_fixture *f, int exit_code, const char *words)
{
    const char *const args[] = {"rejects", "1", "--retry", NULL};
    pawl_test_output output = pawl_test_run(args, NULL, f->dir);

    if (output.exit_code != exit_code ||
        (strstr(output.out, words) == NULL && strstr(output.err, words) == NULL))
        fail_msg("exit code %d: %s%s", output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

static void
rows_that_are_refused_go_live_with_null(void **state)
{
    pawl_test_fixture f = begin("live", "rejects: write_null");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_assert_text(&f, REJECTS, "7 nulled, 8 nulled, 9 nulled");
    pawl_test_assert_text(
        &f, "SELECT input->>'price' || ' ' || sqlstate || message FROM pawl.reject WHERE key[1] = '7'",
        "reject the transform rejects the row: no price");
    pawl_test_assert_text(&f, "SELECT input->>'price' || ' ' || sqlstate FROM pawl.reject WHERE key[1] = '9'",
                          "123456789 22003");
    pawl_test_assert_text(&f, "SELECT sum(price)::text FROM p", "45116.00");
    pawl_test_assert_heard(&f, "3 rows of \"public.p\" went live with NULL in \"price\"");
    pawl_test_assert_heard(&f, "pawl rejects 1");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa applied");
    pawl_test_end(&f);
}

/* What others change while the copy runs is refused in the drain, or is no longer; a refused row may go. */
static void
a_drain_keeps_account_of_them(void **state)
{
    pawl_test_fixture f = begin("drain", "rejects: write_null");

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "swap.after_copy", 1);
    pawl_test_assert_text(&f, REJECTS, "7 nulled, 8 nulled, 9 nulled");
    pawl_test_exec(f.db, "UPDATE p SET price = '77' WHERE id = 7;"        /* in order now */
                         "DELETE FROM p WHERE id = 8;"                    /* gone */
                         "UPDATE p SET price = '999999999' WHERE id = 9;" /* refused once more */
                         "UPDATE p SET price = 'reject' WHERE id IN (20, 21);"
                         "UPDATE p SET price = '888888888' WHERE id IN (22, 23);"
                         "INSERT INTO p VALUES (400, 'raise');"
                         "UPDATE p SET id = 1000 WHERE id = 21");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "9 10 20 22 23 400 1000");
    pawl_test_assert_text(
        &f, REJECTS, "7 done, 8 gone, 9 nulled, 20 nulled, 22 nulled, 23 nulled, 400 nulled, 1000 nulled");
    pawl_test_assert_text(&f, "SELECT input->>'price' FROM pawl.reject WHERE key[1] = '9'", "999999999");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 7", "77.00");
    pawl_test_assert_heard(&f, "6 rows of");
    pawl_test_end(&f);
}

static void
a_transform_that_runs_away_is_stopped(void **state)
{
    pawl_test_fixture f = begin("runaway", "rejects: write_null, max_rejects: 2");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "max_rejects (2)");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price IS NULL", "1");
    write_swap(&f, "rejects: write_null, max_rejects: 3");
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "swap.after_copy", 1);
    pawl_test_exec(f.db, "UPDATE p SET price = 'reject' WHERE id = 30");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "max_rejects (3)");
    pawl_test_exec(f.db, "UPDATE p SET price = '30' WHERE id = 30");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_end(&f);
}

/* More than may go live so: findings, and nothing is swapped until somebody has looked. */
static void
more_than_is_allowed_does_not_go_live(void **state)
{
    pawl_test_fixture f = begin("allowed", "rejects: write_null, allow_rejects: 2");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "allows 2 to go live so");
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p LIMIT 1", "text");
    pawl_test_pawl_exits(f.dir, "upgrade", NULL, 4);
    pawl_test_pawl_exits(f.dir, "rejects", "1", 4);
    write_swap(&f, "rejects: refuse");
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "does not say `rejects: write_null` any more");
    write_swap(&f, "rejects: write_null, allow_rejects: 3");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_end(&f);
}

static void
assert_refused(const char *name, const char *sql, const char *type, const char *words)
{
    pawl_test_fixture f = pawl_test_begin(name);
    PAWL_STRBUF_AUTO(text);

    pawl_test_exec(f.db, sql);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_strbuf_addf(&text,
                     "up:\n  - swap_column: { table: public.p, column: price, type: \"%s\", lua: "
                     "transforms/price.lua, rejects: write_null }\n",
                     type);
    pawl_test_revision(&f, "aaaa", "", text.data);
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, words);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(attname, ',' ORDER BY attnum) FROM pg_attribute WHERE attrelid = "
        "'p'::regclass AND attnum > 0",
        "id,price");
    pawl_test_end(&f);
}

static void
a_column_that_takes_no_null_is_refused_beforehand(void **state)
{
    (void) state;
    assert_refused("notnull", "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL)", "integer",
                   "NOT NULL");
    assert_refused("check", "CREATE TABLE p (id int PRIMARY KEY, price text CHECK (price IS NOT NULL))",
                   "integer", "refuses NULL");
    assert_refused("domain",
                   "CREATE TABLE p (id int PRIMARY KEY, price text); CREATE DOMAIN d AS int NOT NULL",
                   "public.d", "takes no NULL");
    assert_refused("default",
                   "CREATE TABLE p (id int PRIMARY KEY, price text); CREATE DOMAIN d AS int DEFAULT 0",
                   "public.d", "a default of its own");
}

/* Of a constraint over several columns only the rows can tell. */
static void
a_row_that_may_not_be_null_stops_the_swap(void **state)
{
    pawl_test_fixture f = begin("rows", "rejects: write_null");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET note = 'x' WHERE id = 10;"
                         "ALTER TABLE p ADD CHECK (price IS NOT NULL OR note IS NOT NULL)");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "do not meet what the column");
    pawl_test_exec(f.db, "UPDATE p SET note = 'x' WHERE id IN (7, 8, 9)");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_end(&f);
}

/* What a trigger of the user's raises is no refusal of the value, whatever its class: NULL would not help. */
static void
a_trigger_that_raises_stops_the_swap(void **state)
{
    pawl_test_fixture f = begin("trigger", "rejects: write_null");

    (void) state;
    pawl_test_exec(
        f.db,
        "CREATE FUNCTION bad() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN IF NEW.id = 50 THEN PERFORM 1 "
        "/ 0; END IF; RETURN NEW; END'; CREATE TRIGGER bad BEFORE UPDATE ON p FOR EACH ROW EXECUTE "
        "FUNCTION bad()");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "division by zero");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.reject WHERE key[1] = '50'", "0");
    pawl_test_exec(f.db, "DROP TRIGGER bad ON p");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_end(&f);
}

/* A function over whole batches tells no row when it raises: it is looked for by halves. */
static void
a_batch_that_raises_is_narrowed_down(void **state)
{
    pawl_test_fixture f = begin("batch", "rejects: write_null");

    (void) state;
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", BATCH);
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "swap.after_copy", 1);
    pawl_test_assert_text(&f, REJECTS, "7 nulled, 8 nulled, 9 nulled");
    pawl_test_exec(f.db, "UPDATE p SET price = 'raise' WHERE id IN (100, 101, 200);"
                         "UPDATE p SET price = price || '0' WHERE id BETWEEN 110 AND 190");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 100 101 200");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 150", "1500.00");
    pawl_test_end(&f);
}

/* A NULL that no reject accounts for is a difference, and stops the swap. */
static void
a_null_without_a_reject_is_found(void **state)
{
    pawl_test_fixture f = begin("verify", "rejects: write_null");

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "swap.after_index", 1);
    pawl_test_exec(f.db,
                   "CREATE TABLE kept AS TABLE pawl.reject; DELETE FROM pawl.reject WHERE key[1] = '7'");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "1 of 298 rows differ");
    pawl_test_exec(f.db,
                   "INSERT INTO pawl.reject OVERRIDING SYSTEM VALUE SELECT * FROM kept WHERE key[1] = '7'");
    pawl_test_exec(f.db, "SET pawl.worker = 1; UPDATE p SET price_new = NULL WHERE id = 100");
    pawl_test_must_fail(&f, true, "head", PAWL_E_STATE, "is not what the transform makes");
    pawl_test_exec(f.db, "SET pawl.worker = 1; UPDATE p SET price_new = 100 WHERE id = 100");
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* What was refused and has not been written since keeps its old value on the way back; what was written goes back. */
static void
the_way_back_keeps_what_was_refused(void **state)
{
    pawl_test_fixture f = begin("back", "rejects: write_null");
    pawl_test_output out;

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE p ADD CHECK (price IS NULL OR note IS DISTINCT FROM 'none')");
    pawl_test_up(&f);
    pawl_test_exec(f.db,
                   "UPDATE p SET note = 'seen' WHERE id IN (7, 8);" /* beside it in a constraint: captured */
                   "UPDATE p SET id = 2000 WHERE id = 9");          /* another key: no row that is known */
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = 80 WHERE id = 8");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price_old FROM p WHERE id = 8", "80.00");
    pawl_test_exec(f.db, "UPDATE p SET price = NULL WHERE id IN (8, 11)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, NULLS, "8 10 11 2000");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 7", "reject");
    pawl_test_assert_text(&f, "SELECT input->>'price' FROM pawl.reject WHERE key[1] = '9'", "123456789");
    pawl_test_pawl_exits(f.dir, "rejects", "1", 0); /* nothing of it is left in the table */
    out = pawl_test_pawl(f.dir, "status", NULL, NULL);
    assert_null(strstr(out.out, "NULL because"));
    pawl_test_output_free(&out);
    pawl_test_end(&f);
}

/* That another row was refused with the same value says nothing of this one. */
static void
the_way_back_takes_the_null_of_a_row_that_was_not_refused(void **state)
{
    pawl_test_fixture f = pawl_test_begin("other");

    (void) state;
    pawl_test_exec(f.db, TABLE);
    pawl_test_exec(f.db, "UPDATE p SET price = '10.00', note = 'draft' WHERE id = 5;"
                         "UPDATE p SET price = '10.00' WHERE id = 9;"
                         "UPDATE p SET price = '1' WHERE id IN (7, 8);"
                         "UPDATE p SET price = NULL, note = 'draft' WHERE id = 6");
    pawl_test_project_write(
        f.dir, "migrations/transforms/price.lua",
        "return { row = function(row)\n"
        "if row.note == 'draft' then pawl.reject('a draft') end\n"
        "return { price = row.price or pawl.null } end,\n"
        "reverse = function(row) return { price = row.price and tostring(row.price) or 'none' } end }");
    write_swap(&f, "read: [note], rejects: write_null");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, REJECTS, "5 nulled, 6 nulled");
    pawl_test_exec(f.db, "UPDATE p SET price = NULL WHERE id = 9; INSERT INTO p VALUES (500, NULL)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id IN (5, 9, 500)",
                          "10.00 none none");
    pawl_test_end(&f);
}

/*
 * NULL that the application writes behind a value of its own is its NULL: whether the mirror has seen the value, whether it
 * was the very text that was refused, whether the row is another one under the same key. What only stands beside is none.
 */
static void
the_way_back_takes_the_null_of_a_row_that_was_written_since(void **state)
{
    pawl_test_fixture f = pawl_test_begin("since");

    (void) state;
    pawl_test_exec(f.db, TABLE);
    pawl_test_exec(f.db, "UPDATE p SET price = '10.00', note = 'draft' WHERE id IN (1, 2, 3, 4, 5);"
                         "UPDATE p SET price = NULL, note = 'draft' WHERE id = 6;"
                         "UPDATE p SET price = '1' WHERE id IN (7, 8);"
                         "ALTER TABLE p ADD CHECK (price IS NULL OR note IS DISTINCT FROM 'none')");
    pawl_test_project_write(
        f.dir, "migrations/transforms/price.lua",
        "return { row = function(row)\n"
        "if row.note == 'draft' then pawl.reject('a draft') end\n"
        "return { price = row.price or pawl.null } end,\n"
        "reverse = function(row) return { price = row.price and tostring(row.price) or 'none' } end }");
    write_swap(&f, "read: [note], rejects: write_null");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, REJECTS,
                          "1 nulled, 2 nulled, 3 nulled, 4 nulled, 5 nulled, 6 nulled, 9 nulled");
    pawl_test_exec(f.db, "UPDATE p SET price = 10.00 WHERE id = 1; DELETE FROM p WHERE id = 4");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price_old FROM p WHERE id = 1", "10.00");
    pawl_test_assert_text(&f, REJECTS, "1 done, 2 nulled, 3 nulled, 4 gone, 5 nulled, 6 nulled, 9 nulled");
    pawl_test_exec(f.db, "UPDATE p SET price = NULL WHERE id = 1;"
                         "UPDATE p SET price = 2 WHERE id = 2; UPDATE p SET price = NULL WHERE id = 2;"
                         "UPDATE p SET note = 'seen' WHERE id = 3;"
                         "INSERT INTO p VALUES (4, NULL);"
                         "UPDATE p SET id = 3000 WHERE id = 5; UPDATE p SET id = 5 WHERE id = 10;"
                         "DELETE FROM p WHERE id = 6; INSERT INTO p VALUES (6, NULL)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f,
                          "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id BETWEEN 1 AND 6 "
                          "OR id = 3000",
                          "none none 10.00 none none none none");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 9", "123456789");
    pawl_test_end(&f);
}

/* The same where SQL says the way back, by a trigger that runs in the application's write. */
static void
the_way_back_by_sql_keeps_it_as_well(void **state)
{
    pawl_test_fixture f = begin("backsql", "rejects: write_null, reverse: \"price::text\"");

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET note = 'seen' WHERE id IN (7, 8, 9);"
                         "UPDATE p SET id = 2000 WHERE id = 9;"
                         "UPDATE p SET price = 80 WHERE id = 8;"
                         "UPDATE p SET price = NULL WHERE id IN (8, 11);"
                         "INSERT INTO p (id, price) VALUES (500, 5), (501, NULL)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, NULLS, "8 10 11 501");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 7", "reject");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 2000", "123456789");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 500", "5.00");
    pawl_test_end(&f);
}

/* Which rows were refused the trigger does not know: it goes by whether the write changes what `reverse:` says. */
static void
the_way_back_by_sql_follows_the_other_columns_that_it_reads(void **state)
{
    pawl_test_fixture f = begin("backnote", "rejects: write_null, reverse: \"CASE WHEN note = 'bad' THEN (1 "
                                            "/ (id - id))::text ELSE coalesce(price::text, t.note) END\"");

    (void) state;
    pawl_test_exec(f.db, "ALTER TABLE p ADD more text");
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET note = 'ten' WHERE id = 10; UPDATE p SET price = NULL WHERE id = 11;"
                         "UPDATE p SET note = 'eleven' WHERE id = 11; UPDATE p SET more = 'x';"
                         "UPDATE p SET note = 'eight' WHERE id = 8;"
                         "UPDATE p SET note = 'bad', price = NULL WHERE id = 13;" /* it fails: NULL */
                         "UPDATE p SET note = 'good' WHERE id = 13");
    pawl_test_assert_text(&f,
                          "SELECT string_agg(price_old, ' ' ORDER BY id) FROM p WHERE id BETWEEN 7 AND 13",
                          "reject eight 123456789 ten eleven 12.00 good");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id BETWEEN 7 AND 13",
                          "reject eight 123456789 ten eleven 12.00 good");
    pawl_test_end(&f);
}

/* Rows that were refused get their value while the swap waits, when the transform was mended. */
static void
a_retry_fills_them_in_before_the_cut_over(void **state)
{
    pawl_test_fixture f = begin("retry", "rejects: write_null, allow_rejects: 0");
    pawl_test_output out;

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "allows 0 to go live so");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", MENDED);
    out = pawl_test_pawl(f.dir, "status", NULL, NULL);
    assert_non_null(strstr(out.out, "3 rows have NULL because what they had was refused: pawl rejects 1"));
    pawl_test_output_free(&out);
    retry(&f, 0, "3 rows to be transformed again");
    pawl_test_assert_text(&f, "SELECT string_agg(k1::text, ' ' ORDER BY k1) FROM pawl.change_1", "7 8 9");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "10");
    pawl_test_assert_text(&f, REJECTS, "7 done, 8 done, 9 done");
    pawl_test_pawl_exits(f.dir, "rejects", "1", 0);
    pawl_test_end(&f);
}

/* Types of which "character" and "bit" would be one letter and one bit. */
static void
a_retry_finds_keys_of_fixed_length(void **state)
{
    pawl_test_fixture f = pawl_test_begin("fixed");

    (void) state;
    pawl_test_exec(f.db, "CREATE TABLE p (code char(6), mask bit(4), price text, PRIMARY KEY (code, mask));"
                         "INSERT INTO p SELECT 'AB' || i, B'1011', i FROM generate_series(1000, 1300) i;"
                         "UPDATE p SET price = 'reject' WHERE code = 'AB1234'");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_swap(&f, "rejects: write_null, allow_rejects: 0");
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "allows 0 to go live so");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", MENDED);
    retry(&f, 0, "1 row to be transformed again");
    pawl_test_assert_text(&f, "SELECT k1::text || ' ' || k2::text FROM pawl.change_1", "AB1234 1011");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE code = 'AB1234'", "0.00");
    pawl_test_end(&f);
}

static void
before_the_copy_there_is_nothing_to_retry(void **state)
{
    pawl_test_fixture f = begin("early", "rejects: write_null");

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "swap.after_arm", 1);
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "armed");
    retry(&f, 1, "has nothing to be retried yet");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10");
    pawl_test_end(&f);
}

static void
behind_the_cut_over_there_is_no_retry(void **state)
{
    pawl_test_fixture f = begin("late", "rejects: write_null");

    (void) state;
    pawl_test_up(&f);
    retry(&f, 1, "have gone live with NULL");
    pawl_test_assert_text(&f, REJECTS, "7 nulled, 8 nulled, 9 nulled");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.change_1", "0");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_are_refused_go_live_with_null),
        cmocka_unit_test(a_drain_keeps_account_of_them),
        cmocka_unit_test(a_transform_that_runs_away_is_stopped),
        cmocka_unit_test(more_than_is_allowed_does_not_go_live),
        cmocka_unit_test(a_column_that_takes_no_null_is_refused_beforehand),
        cmocka_unit_test(a_row_that_may_not_be_null_stops_the_swap),
        cmocka_unit_test(a_trigger_that_raises_stops_the_swap),
        cmocka_unit_test(a_batch_that_raises_is_narrowed_down),
        cmocka_unit_test(a_null_without_a_reject_is_found),
        cmocka_unit_test(the_way_back_keeps_what_was_refused),
        cmocka_unit_test(the_way_back_takes_the_null_of_a_row_that_was_not_refused),
        cmocka_unit_test(the_way_back_takes_the_null_of_a_row_that_was_written_since),
        cmocka_unit_test(the_way_back_by_sql_keeps_it_as_well),
        cmocka_unit_test(the_way_back_by_sql_follows_the_other_columns_that_it_reads),
        cmocka_unit_test(a_retry_fills_them_in_before_the_cut_over),
        cmocka_unit_test(a_retry_finds_keys_of_fixed_length),
        cmocka_unit_test(before_the_copy_there_is_nothing_to_retry),
        cmocka_unit_test(behind_the_cut_over_there_is_no_retry),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
