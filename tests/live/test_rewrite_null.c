/* `rejects: write_null` of a rewrite: a row that is refused goes live with NULL for what the transform makes, and only that. */
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

/* 7 is rejected, 8 raises, 9 is too large for the type, 10 is NULL by the transform's own word, 11 is no number, 12 gets no
 * value at all, 13 is left out. */
#define TABLE                                                                                               \
    "CREATE TABLE p (id int PRIMARY KEY, price text, note text);"                                           \
    "INSERT INTO p SELECT i, i, 'n' || i FROM generate_series(1, 20000) i;"                                 \
    "UPDATE p SET price = CASE id WHEN 7 THEN 'reject' WHEN 8 THEN 'raise' WHEN 9 THEN '123456789' "        \
    "WHEN 10 THEN 'null' WHEN 11 THEN 'abc' WHEN 12 THEN 'none' WHEN 13 THEN 'out' END WHERE id BETWEEN 7 " \
    "AND 13"
#define LUA                                                          \
    "return { row = function(row)\n"                                 \
    "if row.price == 'reject' then pawl.reject('no price') end\n"    \
    "if row.price == 'raise' then error('broken') end\n"             \
    "if row.price == 'null' then return { price = pawl.null } end\n" \
    "if row.price == 'none' then return {} end\n"                    \
    "if row.price == 'out' then return nil end\n"                    \
    "return { price = row.price } end,\n"                            \
    "reverse = function(row) return { price = row.price and tostring(row.price) or pawl.null } end }"
#define MENDED                                                       \
    "return { row = function(row)\n"                                 \
    "if row.price == 'null' then return { price = pawl.null } end\n" \
    "if row.price == 'out' then return nil end\n"                    \
    "local n = tonumber(row.price)\n"                                \
    "if n == nil or n > 999999 then n = 0 end\n"                     \
    "return { price = tostring(n) } end,\n"                          \
    "reverse = function(row) return { price = row.price and tostring(row.price) or pawl.null } end }"

#define REJECTS                                                                                           \
    "SELECT coalesce(string_agg(key[1] || ' ' || state, ', ' ORDER BY key[1]::int, reject_id), '') FROM " \
    "pawl.reject WHERE job_id = (SELECT max(job_id) FROM pawl.job)"
#define NULLS   "SELECT coalesce(string_agg(id::text, ' ' ORDER BY id), '') FROM p WHERE price IS NULL"
#define REFUSED "7 nulled, 8 nulled, 9 nulled, 11 nulled, 12 nulled"

static void
write_rewrite(const pawl_test_fixture *f, const char *change, const char *more)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "up:\n  - rewrite_table:\n      table: public.p\n      change: { price: %s }\n      lua: "
        "transforms/price.lua\n%s",
        change, more);
    pawl_test_revision(f, "aaaa", "", text.data);
}

#define NUMERIC "\"numeric(8,2)\""
#define NULLING "      rejects: write_null\n"

static pawl_test_fixture
begin(const char *name, const char *more)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_rewrite(&f, NUMERIC, more);
    return f;
}

static void
rows_that_are_refused_go_live_with_null(void **state)
{
    pawl_test_fixture f = begin("live", NULLING);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 11 12");
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_assert_text(&f, "SELECT string_agg(note, ' ' ORDER BY id) FROM p WHERE id BETWEEN 6 AND 14",
                          "n6 n7 n8 n9 n10 n11 n12 n14");
    pawl_test_assert_text(&f, "SELECT string_agg(input->>'price', ' ' ORDER BY key[1]::int) FROM pawl.reject",
                          "reject raise 123456789 abc none");
    pawl_test_assert_text(&f, "SELECT string_agg(sqlstate, ',' ORDER BY key[1]::int) FROM pawl.reject",
                          ",,22003,,");
    pawl_test_assert_text(&f, "SELECT count(*)::text || ' ' || sum(price)::text FROM p",
                          "19999 200009930.00");
    pawl_test_assert_text(&f, "SELECT sum(rows_rejected)::text FROM pawl.progress", "5");
    pawl_test_assert_heard(&f, "5 rows of \"public.p\" went live with NULL");
    pawl_test_end(&f);
}

/* Types whose binary form pawl does not make: the table is copied as text, and the server judges every value. */
static void
the_server_refuses_values_of_a_text_copy(void **state)
{
    pawl_test_fixture f = pawl_test_begin("text");

    (void) state;
    pawl_test_exec(
        f.db,
        "CREATE TABLE p (id int PRIMARY KEY, price text, note text);"
        "INSERT INTO p SELECT i, CASE WHEN i % 3000 = 5 THEN '2024-13-45' ELSE '2024-01-01' END, E'a\\tb' "
        "|| i FROM generate_series(1, 20000) i");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_rewrite(&f, "date", NULLING);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "5 3005 6005 9005 12005 15005 18005");
    pawl_test_assert_text(
        &f,
        "SELECT count(*)::text || ' ' || min(sqlstate) || ' ' || max(sqlstate) FROM pawl.reject "
        "WHERE state = 'nulled'",
        "7 22008 22008");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE note = E'a\\tb' || id", "20000");
    pawl_test_end(&f);
}

/* Far from a row that is refused the copy is as ever, wherever the next one lies. */
static void
a_copy_is_careful_only_near_a_bad_row(void **state)
{
    pawl_test_fixture f = pawl_test_begin("turns");

    (void) state;
    pawl_test_exec(f.db,
                   "CREATE TABLE p (id int PRIMARY KEY, price text, note text);"
                   "INSERT INTO p SELECT i, CASE WHEN i = 249000 THEN '123456789' ELSE '1' END, 'x' FROM "
                   "generate_series(1, 260000) i; UPDATE p SET price = 'reject' WHERE id = 10; ANALYZE p");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    write_rewrite(&f, NUMERIC, NULLING "      workers: 2\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "10 249000");
    pawl_test_assert_text(&f, REJECTS, "10 nulled, 249000 nulled");
    pawl_test_assert_text(&f, "SELECT count(*)::text || ' ' || sum(price)::text FROM p", "260000 259998.00");
    /* 52 in ranges of 5,000 rows */
    pawl_test_assert_text(
        &f, "SELECT (batches BETWEEN 22 AND 45)::text FROM pawl.progress WHERE chunk_id = 1", "true");
    pawl_test_assert_text(&f, "SELECT rows_read::text FROM pawl.progress WHERE chunk_id = 1", "260000");
    pawl_test_end(&f);
}

/* There no backend tells that the holder of the chunk is gone, and the lease of the part before is far from its end. */
static void
behind_a_pooler_a_copy_goes_from_fast_to_careful_and_back(void **state)
{
    pawl_test_fixture f = begin("pooled", NULLING "      batch: 500\n");

    (void) state;
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 11 12");
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_assert_text(&f, "SELECT (fence >= 3)::text FROM pawl.progress WHERE chunk_id = 1", "true");
    pawl_test_assert_text(&f, "SELECT count(*)::text || ' ' || sum(price)::text FROM p",
                          "19999 200009930.00");
    pawl_test_end(&f);
}

/* Stopped by a row, and started again at once. */
static void
behind_a_pooler_a_copy_that_has_failed_gives_its_chunk_back(void **state)
{
    pawl_test_fixture f = begin("given_back", "");

    (void) state;
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "no price");
    pawl_test_assert_text(
        &f, "SELECT (lease_until <= clock_timestamp())::text FROM pawl.progress WHERE chunk_id = 1", "true");
    write_rewrite(&f, NUMERIC, NULLING);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 11 12");
    pawl_test_end(&f);
}

/* All at once, in the middle of the copy: then nobody could give the chunk back. */
static void
behind_a_pooler_a_copy_that_has_lost_its_sessions_goes_on(void **state)
{
    pawl_test_fixture f = begin("lost", "      batch: 500\n");

    (void) state;
    f.overrides[0] = (pawl_key_value){"pooler", "transaction"};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "no price");
    pawl_test_exec(
        f.db,
        "UPDATE p SET price = '1' WHERE id BETWEEN 7 AND 13; CREATE SEQUENCE times;"
        "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS $$BEGIN IF nextval('public.times') = 6 "
        "THEN PERFORM pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
        "AND application_name LIKE 'pawl rewrite (%'; END IF; RETURN NEW; END$$;"
        "CREATE TRIGGER cut BEFORE UPDATE ON pawl.progress FOR EACH ROW WHEN (NEW.chunk_id = 1 AND "
        "NEW.state = 'open' AND NEW.cursor IS NOT NULL) EXECUTE FUNCTION cut()");
    pawl_test_up(&f);
    pawl_test_assert_heard(&f, "going on in a moment");
    pawl_test_assert_text(&f, "SELECT count(*)::text || ' ' || sum(price)::text FROM p",
                          "20000 200009937.00");
    pawl_test_end(&f);
}

static void
a_drain_keeps_account_of_them(void **state)
{
    pawl_test_fixture f = begin("drain", NULLING);

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "rewrite.after_copy", 1);
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_exec(f.db, "UPDATE p SET price = '77' WHERE id = 7;"        /* in order now */
                         "DELETE FROM p WHERE id = 8;"                    /* gone */
                         "UPDATE p SET price = '999999999' WHERE id = 9;" /* refused once more */
                         "UPDATE p SET price = 'out' WHERE id = 11;"      /* left out */
                         "UPDATE p SET price = 'reject' WHERE id IN (20, 21);"
                         "UPDATE p SET price = '888888888' WHERE id IN (22, 23);"
                         "INSERT INTO p VALUES (40000, 'raise', 'x');"
                         "UPDATE p SET id = 50000 WHERE id = 21");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "9 10 12 20 22 23 40000 50000");
    pawl_test_assert_text(
        &f, REJECTS,
        "7 done, 8 gone, 9 nulled, 11 gone, 12 nulled, 20 nulled, 22 nulled, 23 nulled, 40000 nulled, "
        "50000 nulled");
    pawl_test_assert_text(&f, "SELECT input->>'price' FROM pawl.reject WHERE key[1] = '9'", "999999999");
    pawl_test_assert_text(&f, "SELECT price::text FROM p WHERE id = 7", "77.00");
    pawl_test_assert_heard(&f, "7 rows of");
    pawl_test_end(&f);
}

static void
a_transform_that_runs_away_is_stopped(void **state)
{
    pawl_test_fixture f = begin("runaway", NULLING "      max_rejects: 2\n");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "max_rejects (2)");
    write_rewrite(&f, NUMERIC, NULLING "      max_rejects: 5\n");
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "rewrite.after_copy", 1);
    pawl_test_exec(f.db, "UPDATE p SET price = 'reject' WHERE id = 30");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "max_rejects (5)");
    pawl_test_exec(f.db, "UPDATE p SET price = '30' WHERE id = 30");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_end(&f);
}

static void
more_than_is_allowed_does_not_go_live(void **state)
{
    pawl_test_fixture f = begin("allowed", NULLING "      allow_rejects: 4\n");
    pawl_test_output output;

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "allows 4 to go live so");
    output = pawl_test_pawl(f.dir, "status", NULL, NULL);
    if (strstr(output.out, "5 rows have NULL because") == NULL ||
        strstr(output.out, "phase: ready") == NULL ||
        strstr(output.out, "deal with them by `pawl rejects 1 --retry` or allow_rejects") == NULL)
        fail_msg("%s", output.out);
    pawl_test_output_free(&output);
    output = pawl_test_pawl(f.dir, "rejects", "aaaa", NULL);
    if (output.exit_code != 2 || strstr(output.err, "by its number") == NULL)
        fail_msg("%s", output.err);
    pawl_test_output_free(&output);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p LIMIT 1", "text");
    write_rewrite(&f, NUMERIC, "      rejects: refuse\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "does not say `rejects: write_null` any more");
    pawl_test_pawl_exits(f.dir, "upgrade", NULL, 4);
    write_rewrite(&f, NUMERIC, NULLING);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_end(&f);
}

/* Who is stuck at a row may let it be NULL. */
static void
one_that_is_stuck_may_go_on_with_null(void **state)
{
    pawl_test_fixture f = begin("stuck", "");

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "no price");
    write_rewrite(&f, NUMERIC, NULLING);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 11 12");
    pawl_test_end(&f);
}

/* Without it the first one stops the rewrite, by its name also where it is the server that refuses it. */
static void
a_value_that_the_server_refuses_is_named(void **state)
{
    pawl_test_fixture f = begin("named", "");

    (void) state;
    pawl_test_exec(
        f.db,
        "UPDATE p SET price = '1' WHERE id BETWEEN 7 AND 13; UPDATE p SET price = '123456789' WHERE id = "
        "15000");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "row (id) = (15000) of \"public.p\"");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.reject", "0");
    pawl_test_exec(f.db, "UPDATE p SET price = '1' WHERE id = 15000");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price = 1", "9");
    pawl_test_end(&f);
}

/* A careful copy goes in ranges of 5,000, and meets the second of the two, which the fast one did not get to. */
static void
a_row_that_a_careful_copy_stops_at_is_named_once(void **state)
{
    pawl_test_fixture f = begin("once", "      batch: 6000\n      workers: 1\n");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = '1' WHERE id BETWEEN 7 AND 13;"
                         "UPDATE p SET price = '123456789' WHERE id = 5990;"
                         "UPDATE p SET price = 'reject' WHERE id = 6010");
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "no price");
    assert_string_equal(f.err.detail, "row (id) = (6010) of \"public.p\"");
    pawl_test_exec(f.db, "UPDATE p SET price = 'abc' WHERE id = 6010");
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "is none of type numeric");
    assert_string_equal(f.err.detail, "row (id) = (6010) of \"public.p\"");
    pawl_test_exec(f.db, "UPDATE p SET price = 'raise' WHERE id = 6010");
    pawl_test_must_fail(&f, true, "head", PAWL_E_TRANSFORM, "row (id) = (6010) of");
    assert_null(strstr(strstr(f.err.detail, "(6010)") + 1, "(6010)"));
    pawl_test_end(&f);
}

/* Not for what the transform makes: NULL does not help, and the row is named. */
static void
a_row_that_is_refused_for_another_column_stops_the_rewrite(void **state)
{
    pawl_test_fixture f = begin("other", NULLING);

    (void) state;
    pawl_test_exec(f.db,
                   "UPDATE p SET note = 'none' WHERE id = 150; UPDATE p SET price = 'none' WHERE id = 160;"
                   "ALTER TABLE p ADD CHECK (note <> 'none') NOT VALID");
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, "row (id) = (150) of");
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM p LIMIT 1", "text");
    pawl_test_exec(f.db, "UPDATE p SET note = 'some' WHERE id = 150");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "7 8 9 10 11 12 160");
    pawl_test_end(&f);
}

static void
assert_refused(const char *name, const char *column, const char *change, const char *more, const char *words)
{
    pawl_test_fixture f = pawl_test_begin(name);
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(keys);

    pawl_strbuf_addf(
        &sql, "CREATE DOMAIN d AS int NOT NULL; CREATE TABLE p (id int PRIMARY KEY, price text %s)", column);
    pawl_test_exec(f.db, sql.data);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_strbuf_addf(&keys, "%s%s", NULLING, more);
    write_rewrite(&f, change, keys.data);
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, words);
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_class WHERE relname LIKE 'pawl\\_%new'", "0");
    pawl_test_end(&f);
}

static void
a_column_that_takes_no_null_is_refused_beforehand(void **state)
{
    (void) state;
    assert_refused("notnull", "NOT NULL", "integer", "", "is NOT NULL");
    assert_refused("told", "", "{ type: integer, not_null: true }", "", "is NOT NULL");
    assert_refused("check", "CHECK (price IS NOT NULL)", "integer", "", "refuses NULL");
    assert_refused("domain", "", "public.d", "", "takes no NULL");
    assert_refused("key", "", "integer", "      primary_key: [id, price]\n", "price");
}

/* A row that others have not written since has its old value; what was written goes back by `reverse`. */
static void
the_way_back_keeps_what_was_refused(void **state)
{
    pawl_test_fixture f = begin("back", NULLING);

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db, "UPDATE p SET price = 80 WHERE id = 8; UPDATE p SET price = NULL WHERE id = 14");
    pawl_test_up(&f);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, NULLS, "14");
    pawl_test_assert_text(&f, "SELECT string_agg(price, ' ' ORDER BY id) FROM p WHERE id BETWEEN 7 AND 13",
                          "reject 80.00 123456789 null abc none out");
    pawl_test_end(&f);
}

static void
a_retry_fills_them_in_before_the_cut_over(void **state)
{
    pawl_test_fixture f = begin("retry", NULLING "      allow_rejects: 0\n");
    const char *const args[] = {"rejects", "1", "--retry", NULL};
    pawl_test_output output;

    (void) state;
    pawl_test_must_fail(&f, true, "head", PAWL_E_FINDINGS, "allows 0 to go live so");
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", MENDED);
    output = pawl_test_run(args, NULL, f.dir);
    if (output.exit_code != 0)
        fail_msg("exit code %d: %s%s", output.exit_code, output.out, output.err);
    assert_non_null(strstr(output.out, "5 rows to be transformed again"));
    pawl_test_output_free(&output);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "10");
    pawl_test_assert_text(&f, REJECTS, "7 done, 8 done, 9 done, 11 done, 12 done");
    output = pawl_test_run(args, NULL, f.dir);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "have gone live with NULL"));
    pawl_test_output_free(&output);
    pawl_test_end(&f);
}

static void
before_the_copy_there_is_nothing_to_retry(void **state)
{
    pawl_test_fixture f = begin("early", NULLING);
    const char *const args[] = {"rejects", "1", "--retry", NULL};
    pawl_test_output output;

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "rewrite.after_begin", 1);
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "prepare");
    output = pawl_test_run(args, NULL, f.dir);
    if (output.exit_code != 1 || strstr(output.err, "has nothing to be retried yet") == NULL)
        fail_msg("exit code %d: %s%s", output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, REJECTS, REFUSED);
    pawl_test_end(&f);
}

/* A copy that begins again knows nothing of the rows of the one before. */
static void
a_truncate_takes_them_along(void **state)
{
    pawl_test_fixture f = begin("truncate", NULLING);

    (void) state;
    pawl_test_must_be_killed(f.dir, "upgrade", "head", "rewrite.after_copy", 1);
    pawl_test_exec(f.db, "TRUNCATE p; INSERT INTO p VALUES (1, '1', 'a'), (8, 'reject', 'b')");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, NULLS, "8");
    pawl_test_assert_text(&f, REJECTS, "8 nulled");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rows_that_are_refused_go_live_with_null),
        cmocka_unit_test(the_server_refuses_values_of_a_text_copy),
        cmocka_unit_test(a_copy_is_careful_only_near_a_bad_row),
        cmocka_unit_test(behind_a_pooler_a_copy_goes_from_fast_to_careful_and_back),
        cmocka_unit_test(behind_a_pooler_a_copy_that_has_failed_gives_its_chunk_back),
        cmocka_unit_test(behind_a_pooler_a_copy_that_has_lost_its_sessions_goes_on),
        cmocka_unit_test(a_drain_keeps_account_of_them),
        cmocka_unit_test(a_transform_that_runs_away_is_stopped),
        cmocka_unit_test(more_than_is_allowed_does_not_go_live),
        cmocka_unit_test(one_that_is_stuck_may_go_on_with_null),
        cmocka_unit_test(a_value_that_the_server_refuses_is_named),
        cmocka_unit_test(a_row_that_a_careful_copy_stops_at_is_named_once),
        cmocka_unit_test(a_row_that_is_refused_for_another_column_stops_the_rewrite),
        cmocka_unit_test(a_column_that_takes_no_null_is_refused_beforehand),
        cmocka_unit_test(the_way_back_keeps_what_was_refused),
        cmocka_unit_test(a_retry_fills_them_in_before_the_cut_over),
        cmocka_unit_test(before_the_copy_there_is_nothing_to_retry),
        cmocka_unit_test(a_truncate_takes_them_along),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
