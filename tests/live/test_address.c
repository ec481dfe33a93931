/* Rows of a write found by arithmetic from an integer key: gaps, the ends of the types, texts that JSON has to escape, and
 * rows of others that stand where no row of the batch does. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/address.h"
#include "support/job.h"
#include "support/place.h"
#include "support/server.h"
#include "support/session.h"
#include "util/failpoint.h"

#include "util/banned.h"

static const char *
database(const char *name, const char *sql)
{
    const char *db = pawl_test_database_new(name);

    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

static void
prepare(pawl_test_job *j, const char *db, const char *name, pawl_form_choice form)
{
    pawl_test_job_prepare(j, db, name);
    j->spec.batch_rows = 1000;
    j->spec.chunk_rows = 2000;
    j->spec.form = form;
}

static void
run(pawl_test_job *j)
{
    pawl_test_job_go(j);
    pawl_test_job_finish(j);
}

/* How many of the statements seen by watch found their rows by place. */
static int64_t
addressed(const char *db)
{
    return pawl_test_query_i64(db, "SELECT count(*) FROM seen WHERE by_place");
}

/* A trigger that notes whether the statement that fires it takes values by place. */
static void
watch(const char *db)
{
    pawl_test_exec(
        db, "CREATE TABLE seen (by_place boolean);"
            "CREATE FUNCTION see() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN"
            " INSERT INTO public.seen VALUES (pg_catalog.strpos(pg_catalog.current_query(), '->>') > 0);"
            " RETURN NULL; END $$;"
            "CREATE TRIGGER see AFTER UPDATE ON t EXECUTE FUNCTION see()");
}

static void
count_up(const char *name, const char *type, const char *ids, pawl_form_choice form, bool by_place)
{
    char sql[800];
    pawl_test_job j;

    (void) snprintf(sql, sizeof sql,
                    "CREATE TABLE t (id %s PRIMARY KEY, n int NOT NULL DEFAULT 0, s text);"
                    "INSERT INTO t SELECT i, 0, 'x' FROM (%s) AS ids (i) ORDER BY i; ANALYZE t",
                    type, ids);

    const char *db = database(name, sql);

    watch(db);
    prepare(&j, db, name, form);
    run(&j);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n <> 1"), 0);
    assert_int_equal(j.result.progress.rows_written, pawl_test_query_i64(db, "SELECT count(*) FROM t"));
    if (by_place)
        assert_int_equal(addressed(db), pawl_test_query_i64(db, "SELECT count(*) FROM seen"));
    else
        assert_int_equal(addressed(db), 0);
    assert_true(pawl_test_query_i64(db, "SELECT count(*) FROM seen") > 0);
}

/* Keys that lie close together; at the ends of a type there is no room to compute beyond them. */
static void
every_row_is_found_by_its_key(void **state)
{
    static const struct
    {
        const char *name;
        const char *type;
        const char *ids;
        bool by_place;
    } tables[] = {
        {"dense", "bigint", "SELECT generate_series(1, 5000)", true},
        {"gaps", "int", "SELECT i FROM generate_series(-4000, 4000) i WHERE i % 7 NOT IN (0, 2, 3)", true},
        {"small_low", "smallint", "SELECT generate_series(-32768, -31000)", true},
        {"small_high", "smallint", "SELECT generate_series(31000, 32767)", true},
        {"low", "bigint", "SELECT -9223372036854775808 + generate_series(0, 999)", true},
        {"high", "bigint", "SELECT 9223372036854775807 - generate_series(0, 999)", true},
        {"sparse", "bigint", "SELECT i * 100::bigint FROM generate_series(1, 3000) i", false},
        {"wide", "bigint", "SELECT i * 18014398509481984 FROM generate_series(-512, 511) i", false},
        {"text", "text", "SELECT i::text FROM generate_series(1, 1500) i", false},
    };
    char name[40];

    (void) state;
    for (size_t i = 0; i < sizeof tables / sizeof *tables; i++)
    {
        (void) snprintf(name, sizeof name, "%s_plain", tables[i].name);
        count_up(name, tables[i].type, tables[i].ids, PAWL_FORM_PLAIN, tables[i].by_place);
        (void) snprintf(name, sizeof name, "%s_striped", tables[i].name);
        count_up(name, tables[i].type, tables[i].ids, PAWL_FORM_STRIPED, tables[i].by_place);
    }
}

/* Texts that JSON has to escape, NULLs, integers, columns that only some rows write. */
static void
values_arrive_as_the_transform_gave_them(void **state)
{
    static const char *const written[] = {"n", "s", "amount", "doc"};
    static const pawl_form_choice forms[] = {PAWL_FORM_PLAIN, PAWL_FORM_STRIPED};
    static const char *const names[] = {"values_plain", "values_striped"};

    (void) state;
    for (int i = 0; i < 2; i++)
    {
        const char *db =
            database(names[i],
                     "CREATE TABLE t (id int PRIMARY KEY, n bigint, s text, amount numeric(10,2), doc jsonb);"
                     "INSERT INTO t SELECT i, 7, 'old', 1, '{}' FROM generate_series(1, 4000) i; ANALYZE t");
        pawl_test_job j;

        watch(db);
        prepare(&j, db, names[i], forms[i]);
        j.env = pawl_test_env(
            db, pawl_test_transform(
                    names[i],
                    "return function(row)\n"
                    "  local m = row.id % 5\n"
                    "  if m == 0 then return { s = pawl.null, n = -9223372036854775807 - 1 } end\n"
                    "  if m == 1 then return { s = 'a\"b\\\\c\\n\\t\\1\\127/' .. row.id } end\n"
                    "  if m == 2 then return { s = 'Größe \\u{1F600} \\\\u0041', amount = '1.005' } end\n"
                    "  if m == 3 then return { doc = { k = row.id, q = '\"' } } end\n"
                    "  return nil\n"
                    "end"));
        j.spec.lua_file = i == 0 ? "transforms/values_plain.lua" : "transforms/values_striped.lua";
        j.spec.write = written;
        j.spec.nwrite = 4;
        j.spec.read = NULL;
        j.spec.nread = 0;
        run(&j);
        assert_true(addressed(db) > 0);
        assert_int_equal(
            pawl_test_query_i64(
                db, "SELECT count(*) FROM t WHERE (n, s, amount, doc) IS NOT DISTINCT FROM"
                    " (CASE id % 5 WHEN 0 THEN -9223372036854775808 ELSE 7 END,"
                    "  CASE id % 5 WHEN 0 THEN NULL WHEN 1 THEN E'a\"b\\\\c\\n\\t\\x01\\x7f/' || id"
                    "              WHEN 2 THEN U&'Gr\\00F6\\00DFe \\+01F600 ' || '\\u0041' ELSE 'old' END,"
                    "  CASE id % 5 WHEN 2 THEN 1.01 ELSE 1 END,"
                    "  CASE id % 5 WHEN 3 THEN jsonb_build_object('k', id, 'q', '\"') ELSE '{}' END)"),
            4000);
    }
}

/* Between the read and the write somebody inserts rows whose keys lie between those of the batch, and changes some of
 * its rows; rows that `where` leaves out lie between them from the start. */
static void
rows_between_those_of_the_batch_are_left_alone(void **state)
{
    static const char *const names[] = {"between_plain", "between_striped"};
    static const pawl_form_choice forms[] = {PAWL_FORM_PLAIN, PAWL_FORM_STRIPED};

    (void) state;
    for (int i = 0; i < 2; i++)
    {
        const char *db =
            database(names[i], "CREATE TABLE t (id int PRIMARY KEY, n int NOT NULL DEFAULT 0, s text);"
                               "INSERT INTO t SELECT i, 0, CASE WHEN i % 8 = 0 THEN 'out' ELSE 'x' END"
                               " FROM generate_series(1, 4000) i WHERE i % 4 <> 1; ANALYZE t");
        pawl_test_job j;

        prepare(&j, db, names[i], forms[i]);
        j.spec.where = "t.s IS DISTINCT FROM 'out'";
        int64_t reads = pawl_failpoint_reached("backfill.after_read");

        pawl_failpoint_open("backfill.after_read", false);
        pawl_test_job_go(&j);
        while (pawl_failpoint_reached("backfill.after_read") == reads)
            pawl_test_pause_ms(2);
        pawl_test_exec(db,
                       "INSERT INTO t SELECT i, 50, 'out' FROM generate_series(1, 4000) i WHERE i % 4 = 1;"
                       "UPDATE t SET s = 'y' WHERE id % 100 = 2");
        pawl_failpoint_open("backfill.after_read", true);
        pawl_test_job_finish(&j);
        assert_int_equal(pawl_test_query_i64(db,
                                             "SELECT count(*) FROM t WHERE n <> CASE WHEN id % 4 = 1 THEN 50"
                                             " WHEN id % 8 = 0 THEN 0 ELSE 1 END"),
                         0);
        assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE s = 'y'"), 40);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_row_is_found_by_its_key),
        cmocka_unit_test(values_arrive_as_the_transform_gave_them),
        cmocka_unit_test(rows_between_those_of_the_batch_are_left_alone),
    };

    pawl_failpoint_arm("backfill.after_read=gate");
    pawl_failpoint_open("backfill.after_read", true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
