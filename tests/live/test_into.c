/* Backfills into another table: none, one or many rows for a row; merges; what is refused beforehand. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

static const char *const READ_S[] = {"s"};
static const char *const WRITE_OF[] = {"source", "part"};
static const char *const BY_SOURCE[] = {"source"};

/* Into h (source, part): one row each with the same s. */
static pawl_backfill_spec
into_spec(void)
{
    pawl_backfill_spec spec = pawl_test_spec("public.t");

    spec.lua_file = "transforms/into.lua";
    spec.read = READ_S;
    spec.nread = 1;
    spec.write = WRITE_OF;
    spec.nwrite = 2;
    spec.into = "h";
    return spec;
}

static pawl_backfill_env
env_of(const char *db, const char *lua)
{
    return pawl_test_env(db, pawl_test_transform("into", lua));
}

static const char ONE[] = "return function(row) return { source = row.id, part = row.s } end";

static void
each_row_gives_none_one_or_many(void **state)
{
    const char *db =
        pawl_test_named("many", 6000, "CREATE TABLE h (n bigserial PRIMARY KEY, source bigint, part text)");
    pawl_backfill_env env =
        env_of(db, "return function(row)\n"
                   "  local rows = {}\n"
                   "  for i = 1, row.id % 4 do rows[i] = { source = row.id, part = row.s .. '/' .. i } end\n"
                   "  if #rows == 1 then return rows[1] end\n"
                   "  return rows\n"
                   "end");
    pawl_backfill_spec spec = into_spec();
    pawl_backfill_result r;

    (void) state;
    spec.chunk_rows = 1000;
    r = pawl_test_backfill_ok(&spec, &env, "many");
    assert_int_equal(r.progress.rows_read, 6000);
    assert_int_equal(r.progress.rows_written, 9000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 9000);
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT count(*) FROM t WHERE id % 4 <> (SELECT count(*) FROM h WHERE source = "
                             "t.id AND part LIKE t.s || '/%') AND id < 500"),
                     0);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(DISTINCT n) FROM h"), 9000);
    assert_true(pawl_test_backfill_ok(&spec, &env, "many").was_done);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 9000);
}

static void
columns_that_are_not_named_take_their_defaults(void **state)
{
    const char *db =
        pawl_test_named("defaults", 300,
                        "CREATE TABLE h (n int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, source bigint,"
                        " part text, at timestamptz NOT NULL DEFAULT 'epoch', long int GENERATED ALWAYS AS"
                        " (length(part)) STORED, nothing text)");
    pawl_backfill_env env = env_of(db, "return function(row)\n"
                                       "  if row.id % 2 == 0 then return { source = row.id } end\n"
                                       "  return { source = row.id, part = pawl.null }\n"
                                       "end");
    pawl_backfill_spec spec = into_spec();

    (void) state;
    (void) pawl_test_backfill_ok(&spec, &env, "defaults");
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(DISTINCT n) FROM h WHERE part IS NULL AND at = 'epoch' "
                                "AND long IS NULL AND nothing IS NULL AND n BETWEEN 1 AND 300"),
        300);
}

static void
texts_of_every_kind_arrive_as_they_were(void **state)
{
    const char *db =
        pawl_test_named("texts", 0,
                        "INSERT INTO t SELECT i, E'a\\tb\\nc\\rd\\\\e \\\\N \\\\. ' || chr(i) FROM "
                        "generate_series(1, 3000) i;"
                        "INSERT INTO t VALUES (4001, ''), (4002, NULL), (4003, E'\\\\.'), (4004, E'\\\\N'), "
                        "(4005, repeat(E'long\\t', 200000));"
                        "CREATE TABLE h (source bigint, part text)");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    (void) pawl_test_backfill_ok(&spec, &env, "texts");
    assert_int_equal(pawl_test_query_i64(
                         db, "SELECT count(*) FROM t JOIN h ON source = id AND part IS NOT DISTINCT FROM s"),
                     3005);
}

static void
merge_updates_what_is_there_and_inserts_the_rest(void **state)
{
    const char *db = pawl_test_named("merge", 4000,
                                     "CREATE TABLE h (source bigint, part text, kept int NOT NULL DEFAULT 0);"
                                     "CREATE UNIQUE INDEX ON h (source);"
                                     "INSERT INTO h SELECT i, 'old', 7 FROM generate_series(1, 5000, 2) i");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();
    pawl_backfill_result r;

    (void) state;
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    r = pawl_test_backfill_ok(&spec, &env, "merge");
    assert_int_equal(r.progress.rows_written, 4000);
    assert_int_equal(
        pawl_test_query_i64(db, "SELECT count(*) FROM h JOIN t ON source = id AND part = s AND kept = "
                                "CASE WHEN id % 2 = 1 THEN 7 ELSE 0 END"),
        4000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE part = 'old'"), 500);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job WHERE writer = 'merge'"), 1);
}

static void
merge_by_every_column_leaves_what_is_there(void **state)
{
    static const char *const both[] = {"part", "source"};
    const char *db = pawl_test_named("nothing", 200,
                                     "CREATE TABLE h (source bigint, part text, UNIQUE (source, part));"
                                     "INSERT INTO h VALUES (1, 'x1'), (2, 'other')");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    spec.merge = both;
    spec.nmerge = 2;
    assert_int_equal(pawl_test_backfill_ok(&spec, &env, "nothing").progress.rows_written, 199);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 201);
}

/* A megabyte of each row: the batch of them would not fit, and half of it does. */
static void
a_batch_that_gives_too_much_is_made_smaller(void **state)
{
    const char *db = pawl_test_named("large", 80, "CREATE TABLE h (source bigint, part text)");
    pawl_backfill_env env = env_of(db, "local long = string.rep('x', 1 << 20)\n"
                                       "return function(row) return { source = row.id, part = long } end");
    pawl_backfill_spec spec = into_spec();

    (void) state;
    spec.workers = 1;
    assert_int_equal(pawl_test_backfill_ok(&spec, &env, "large").progress.batches, 3);
    assert_int_equal(pawl_test_query_i64(db, "SELECT sum(length(part)) / 1048576 FROM h"), 80);
}

/* ---- failures ------------------------------------------------------------------------------------------------------- */

static void
must_fail(const pawl_backfill_spec *spec, const pawl_backfill_env *env, pawl_status code, const char *words)
{
    pawl_backfill_result result;
    pawl_error err = PAWL_ERROR_INIT;
    char all[2000];

    assert_int_not_equal(pawl_test_backfill(spec, env, "fails", &result, &err), PAWL_OK);
    (void) snprintf(all, sizeof all, "%s | %s | %s [%s]", err.message, err.detail, err.hint, err.sqlstate);
    if (strstr(all, words) == NULL)
        fail_msg("\"%s\" does not contain \"%s\"", all, words);
    if (err.code != code)
        fail_msg("%d is not %d: %s", (int) err.code, (int) code, all);
}

static void
rows_with_the_same_key_are_refused_unless_they_are_the_same_row(void **state)
{
    const char *db = pawl_test_named("twice", 100, "CREATE TABLE h (source numeric UNIQUE, part text)");
    pawl_backfill_env env =
        env_of(db, "return function(row) return { source = tostring(row.id // 2), part = 'p' } end");
    pawl_backfill_spec spec = into_spec();

    (void) state;
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    (void) pawl_test_backfill_ok(&spec, &env, "same");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 51);
    pawl_test_exec(db, "TRUNCATE h");
    env = env_of(db, "return function(row) return { source = tostring(row.id // 60), part = row.s } end");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "(source) = (0)");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "row (id) = (1) and row (id) = (2)");
    /* Equal to the server, and not as texts. */
    env = env_of(db, "return function(row) return { source = row.id == 2 and '1.0' or tostring(row.id), part "
                     "= row.s } end");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "[21000]");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 0);
}

static void
a_row_that_the_target_refuses_is_named_and_those_before_it_stay(void **state)
{
    const char *db = pawl_test_named("refused", 1000,
                                     "CREATE TABLE h (source bigint CHECK (source <> 777), part varchar(4))");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    spec.workers = 1;
    must_fail(&spec, &env, PAWL_E_SERVER, "row (id) = (777)");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE source < 777"), 776);
    pawl_test_exec(db, "ALTER TABLE h DROP CONSTRAINT h_source_check");
    must_fail(&spec, &env, PAWL_E_SERVER, "row (id) = (1000)");
    must_fail(&spec, &env, PAWL_E_SERVER, "[22001]");
    env = env_of(db, "return function(row) return { source = row.id, part = row.s:sub(1, 4) } end");
    (void) pawl_test_backfill_ok(&spec, &env, "fails");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(DISTINCT source) FROM h"), 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 1000);
}

static void
what_a_transform_may_not_return_is_told_with_the_column(void **state)
{
    const char *db = pawl_test_named(
        "wrong", 10, "CREATE TABLE h (source int, part text); CREATE UNIQUE INDEX ON h (source)");
    pawl_backfill_spec spec = into_spec();
    pawl_backfill_env env = env_of(db, "return function(row) return { sorce = row.id } end");

    (void) state;
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "\"sorce\"");
    env = env_of(db, "return function(row) return { { source = row.id }, { source = {} } } end");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "\"source\"");
    env = env_of(db, "return function(row) return { source = 1 << 40 } end");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "\"source\"");
    env = env_of(db, "return function(row) pawl.reject('not this one') end");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "row (id) = (1)");
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    env = env_of(db, "return function(row) return { part = row.s } end");
    pawl_test_exec(db, "DELETE FROM pawl.job");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "no value for column \"source\"");
}

static void
a_trigger_that_suppresses_rows_ends_the_job(void **state)
{
    const char *db = pawl_test_named(
        "trigger", 100,
        "CREATE TABLE h (source int PRIMARY KEY, part text);"
        "CREATE FUNCTION f() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN IF NEW.source = 5 THEN"
        " RETURN NULL; END IF; NEW.part := upper(NEW.part); RETURN NEW; END $$;"
        "CREATE TRIGGER f BEFORE INSERT ON h FOR EACH ROW EXECUTE FUNCTION f()");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "\"public.h\" took 99");
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    pawl_test_exec(db, "DELETE FROM pawl.job");
    must_fail(&spec, &env, PAWL_E_TRANSFORM, "\"public.h\" took 99");
    pawl_test_exec(db, "DELETE FROM t WHERE id = 5");
    (void) pawl_test_backfill_ok(&spec, &env, "fails");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE part = 'X' || source"), 99);
}

/* ---- refused beforehand --------------------------------------------------------------------------------------------- */

static void
refuses(const char *db, const char *into, const char *words)
{
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    spec.into = into;
    must_fail(&spec, &env, PAWL_E_REFUSED, words);
}

static void
tables_that_cannot_take_rows_are_refused_with_the_reason(void **state)
{
    const char *db = pawl_test_named(
        "kinds", 10,
        "CREATE TABLE h (source bigint, part text);"
        "CREATE VIEW v AS SELECT * FROM h;"
        "CREATE UNLOGGED TABLE u (source bigint, part text);"
        "CREATE TABLE r (source bigint, part text);"
        "CREATE RULE r AS ON INSERT TO r DO INSTEAD NOTHING;"
        "CREATE TABLE n (source bigint, part text, must int NOT NULL);"
        "CREATE TABLE i (source bigint GENERATED ALWAYS AS IDENTITY, part text);"
        "CREATE TABLE g (source bigint, part text GENERATED ALWAYS AS ('x') STORED);"
        "CREATE TABLE all_of (id bigint NOT NULL, s text) PARTITION BY RANGE (id);"
        "ALTER TABLE all_of ATTACH PARTITION t DEFAULT; ALTER TABLE all_of ADD source bigint, "
        "ADD part text");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    refuses(db, "v", "is a view");
    refuses(db, "u", "unlogged");
    refuses(db, "r", "rule ON INSERT");
    refuses(db, "n", "column \"must\"");
    refuses(db, "i", "GENERATED ALWAYS AS IDENTITY");
    refuses(db, "g", "is generated");
    refuses(db, "all_of", "partitions or children");
    refuses(db, "t", "into the same table");
    spec.into = "hh";
    must_fail(&spec, &env, PAWL_E_INPUT, "did you mean public.h?");
    spec.into = "h";
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    must_fail(&spec, &env, PAWL_E_REFUSED,
              "CREATE UNIQUE INDEX CONCURRENTLY ON \"public\".\"h\" (\"source\")");
    pawl_test_exec(db, "CREATE UNIQUE INDEX ON h (source) WHERE part = 'x'");
    must_fail(&spec, &env, PAWL_E_REFUSED, "no unique index");
    pawl_test_exec(db, "ALTER TABLE h ADD UNIQUE (source) DEFERRABLE");
    must_fail(&spec, &env, PAWL_E_REFUSED, "no unique index");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.job"), 0);
}

static void
rights_that_are_missing_are_told_before_the_first_row(void **state)
{
    const char *db = pawl_test_named("rights", 300,
                                     "CREATE TABLE h (source bigint, part text); CREATE ROLE mover LOGIN;"
                                     "GRANT SELECT ON t TO mover");
    pawl_backfill_spec spec = into_spec();
    pawl_backfill_env env = env_of(db, ONE);
    char as_mover[400];

    (void) state;
    pawl_test_exec(db, "GRANT USAGE ON SCHEMA pawl TO mover;"
                       "GRANT ALL ON ALL TABLES IN SCHEMA pawl TO mover");
    (void) snprintf(as_mover, sizeof as_mover, "%s user=mover", db);
    env.conninfo = as_mover;
    must_fail(&spec, &env, PAWL_E_REFUSED, "does not let this role insert");
    pawl_test_exec(db, "GRANT INSERT ON h TO mover");
    must_fail(&spec, &env, PAWL_E_REFUSED, "lock_rows: false");
    spec.is_unlocked = true;
    (void) pawl_test_backfill_ok(&spec, &env, "rights");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 300);
}

static void
an_open_job_does_not_change_its_target(void **state)
{
    const char *db = pawl_test_named("change", 1000,
                                     "CREATE TABLE h (source bigint CHECK (source < 500), part text);"
                                     "CREATE TABLE h2 (source bigint PRIMARY KEY, part text)");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    must_fail(&spec, &env, PAWL_E_SERVER, "row (id) = (500)");
    spec.into = "h2";
    must_fail(&spec, &env, PAWL_E_STATE, "told something else");
    spec.into = "h";
    spec.is_unlocked = true;
    must_fail(&spec, &env, PAWL_E_SERVER, "row (id) = (500)");
    pawl_test_exec(db, "ALTER TABLE h RENAME TO h3; CREATE TABLE h (source bigint, part text)");
    must_fail(&spec, &env, PAWL_E_STATE, "told something else");
}

static void
a_partitioned_table_is_read_part_by_part(void **state)
{
    const char *db = pawl_test_database_new("pieces");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id bigint PRIMARY KEY, s text) PARTITION BY RANGE (id);"
                       "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (0) TO (500);"
                       "CREATE TABLE t2 PARTITION OF t FOR VALUES FROM (500) TO (5000);"
                       "CREATE TABLE h (source bigint, part text);"
                       "INSERT INTO t SELECT i, 'x' || i FROM generate_series(1, 1000) i; ANALYZE t");
    pawl_test_ledger(db);
    assert_int_equal(pawl_test_backfill_ok(&spec, &env, "pieces").progress.rows_written, 1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h JOIN t ON id = source AND part = s"),
                     1000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h"), 1000);
    spec.into = "t2";
    must_fail(&spec, &env, PAWL_E_REFUSED, "partitions or children");
}

static void
a_partitioned_table_takes_rows_into_its_partitions(void **state)
{
    const char *db =
        pawl_test_named("parts", 1000,
                        "CREATE TABLE h (source bigint PRIMARY KEY, part text) PARTITION BY RANGE (source);"
                        "CREATE TABLE h1 PARTITION OF h FOR VALUES FROM (0) TO (500);"
                        "CREATE TABLE h2 PARTITION OF h FOR VALUES FROM (500) TO (5000)");
    pawl_backfill_env env = env_of(db, ONE);
    pawl_backfill_spec spec = into_spec();

    (void) state;
    (void) pawl_test_backfill_ok(&spec, &env, "copy");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h2"), 501);
    spec.merge = BY_SOURCE;
    spec.nmerge = 1;
    env = env_of(db, "return function(row) return { source = row.id, part = 'again' } end");
    (void) pawl_test_backfill_ok(&spec, &env, "merge");
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM h WHERE part = 'again'"), 1000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_row_gives_none_one_or_many),
        cmocka_unit_test(columns_that_are_not_named_take_their_defaults),
        cmocka_unit_test(texts_of_every_kind_arrive_as_they_were),
        cmocka_unit_test(merge_updates_what_is_there_and_inserts_the_rest),
        cmocka_unit_test(merge_by_every_column_leaves_what_is_there),
        cmocka_unit_test(a_batch_that_gives_too_much_is_made_smaller),
        cmocka_unit_test(rows_with_the_same_key_are_refused_unless_they_are_the_same_row),
        cmocka_unit_test(a_row_that_the_target_refuses_is_named_and_those_before_it_stay),
        cmocka_unit_test(what_a_transform_may_not_return_is_told_with_the_column),
        cmocka_unit_test(a_trigger_that_suppresses_rows_ends_the_job),
        cmocka_unit_test(tables_that_cannot_take_rows_are_refused_with_the_reason),
        cmocka_unit_test(rights_that_are_missing_are_told_before_the_first_row),
        cmocka_unit_test(an_open_job_does_not_change_its_target),
        cmocka_unit_test(a_partitioned_table_is_read_part_by_part),
        cmocka_unit_test(a_partitioned_table_takes_rows_into_its_partitions),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
