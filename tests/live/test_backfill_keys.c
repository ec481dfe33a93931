/* Keys of every kind that a unique index can be over: each row exactly once, whatever its key looks like as text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"

#include "util/banned.h"

static const char *const COLUMN_N[] = {"n"};
static const char INCREMENT[] = "return function(row) return { n = row.n + 1 } end";

typedef struct kind
{
    const char *type;
    const char *values; /* SELECT of one column of distinct values */
} kind;

#define SERIES(expression) "SELECT " expression " FROM generate_series(1, 120) i"

static const kind kinds[] = {
    {"smallint", SERIES("i - 60") " UNION ALL VALUES (-32768), (32767)"},
    {"integer", SERIES("i - 60") " UNION ALL VALUES (-2147483648), (2147483647)"},
    {"bigint", SERIES("i") " UNION ALL VALUES (-9223372036854775808), (9223372036854775807)"},
    {"oid", SERIES("(i + 4294967000)::oid")},
    {"numeric", SERIES("i / 7.0") " UNION ALL VALUES ('NaN'::numeric), (-1e100), (1e-100)"},
    {"numeric(20,4)", SERIES("i / 7.0") " UNION ALL VALUES (0), (-0.0001), ('NaN'::numeric)"},
    {"float8", SERIES("i / 7.0::float8") " UNION ALL VALUES ('NaN'::float8), ('-0'), ('infinity'), "
                                         "('-infinity'), (1e-300)"},
    {"float4", SERIES("(i / 7.0)::float4") " UNION ALL VALUES ('NaN'::float4), ('-0')"},
    {"boolean", "VALUES (true), (false)"},
    {"text", SERIES("chr(i + 32) || '''\"\\{},' || chr(i + 200)") " UNION ALL VALUES (''), (' '), ('NULL'), "
                                                                  "('null'), ('{}')"},
    {"varchar(9)", SERIES("'v' || i")},
    {"text COLLATE \"C\"", SERIES("chr(i * 7 + 40) || i") " UNION ALL VALUES ('Ä'), ('z'), (chr(1114109))"},
    {"text COLLATE \"POSIX\"", SERIES("'p' || i")},
    {"text COLLATE german",
     SERIES("chr(i + 200) || i") " UNION ALL VALUES ('a'), ('A'), ('ä'), ('Ä'), ('ss'), "
                                 "('ß')"},
    {"text COLLATE no_case",
     SERIES("CASE WHEN i % 2 = 0 THEN 'Key' ELSE 'kEY' END || i") " UNION ALL VALUES ('a'), ('B'), ('c'), "
                                                                  "('D')"},
    {"varchar(9) COLLATE no_accent", SERIES("'é' || i") " UNION ALL VALUES ('e'), ('Z')"},
    {"char(5)", SERIES("i::text") " UNION ALL VALUES ('')"},
    {"\"char\"", SERIES("chr(i)::\"char\"")},
    {"name", SERIES("('n' || i)::name")},
    {"bytea", SERIES("decode(lpad(to_hex(i * 37), 4, '0'), 'hex')") " UNION ALL VALUES (''::bytea), "
                                                                    "('\\x00'), ('\\xff00')"},
    {"bit(9)", SERIES("i::bit(9)")},
    {"bit varying", SERIES("i::bit(9)::varbit || repeat('1', i % 9)::varbit") " UNION ALL VALUES (B'')"},
    {"date",
     SERIES("'2024-02-01'::date + i") " UNION ALL VALUES ('infinity'::date), ('-infinity'), ('4713-01-01 "
                                      "BC'), ('12024-01-01')"},
    {"timestamptz",
     SERIES("'2024-03-30 23:30Z'::timestamptz + i * interval '7 min 0.000001 s'") " UNION ALL VALUES "
                                                                                  "('infinity'::timestamptz),"
                                                                                  " ('-infinity'), "
                                                                                  "('0001-01-01 BC')"},
    {"timestamp",
     SERIES("'2024-03-30'::timestamp + i * interval '7 min'") " UNION ALL VALUES ('infinity'::timestamp)"},
    {"timetz", SERIES("('12:00:00+' || i % 14 || ':30')::timetz + i * interval '1 min'")},
    {"interval", SERIES("i * interval '1 mon -3 days 04:05:06.7'")},
    {"time", SERIES("'00:00'::time + i * interval '7 min'") " UNION ALL VALUES ('24:00:00'::time), "
                                                            "('23:59:59.999999')"},
    {"uuid", SERIES("gen_random_uuid()") " UNION ALL VALUES ('00000000-0000-0000-0000-000000000000'::uuid), "
                                         "('ffffffff-ffff-ffff-ffff-ffffffffffff')"},
    {"cidr", SERIES("('10.0.' || i || '.0/24')::cidr") " UNION ALL VALUES ('10.0.0.0/8'::cidr), ('::/0')"},
    {"macaddr8", SERIES("('08:00:2b:01:02:03:04:' || lpad(to_hex(i), 2, '0'))::macaddr8")},
    {"inet", SERIES("('10.0.0.' || i)::inet") " UNION ALL VALUES ('::1'::inet), ('10.0.0.1/8')"},
    {"macaddr", SERIES("('08:00:2b:01:02:' || lpad(to_hex(i), 2, '0'))::macaddr")},
    {"money", SERIES("(i * 1.5)::numeric::money")},
    {"jsonb", SERIES("jsonb_build_object('a', i, 'b', 'x\"y')") " UNION ALL VALUES ('null'::jsonb), ('[]')"},
    {"int[]", SERIES("ARRAY[i % 5, NULL, i]") " UNION ALL VALUES ('{}'::int[]), ('[2:3]={1,2}')"},
    {"text[]", SERIES("ARRAY['a,\"b', i::text, NULL, 'NULL']")},
    {"int4range", SERIES("int4range(i, i + 5)") " UNION ALL VALUES ('empty'::int4range), ('(,3)')"},
    {"pg_lsn", SERIES("('0/' || to_hex(i * 99))::pg_lsn")},
    {"tsvector", SERIES("('w' || i || ' the')::tsvector")},
    {"mood", "VALUES ('sad'), ('it''s, \"ok\"'), ('a happy one')"},
    {"\"Odd domain\"", SERIES("'d' || i")},
    {"measure", SERIES("i / 8.0") " UNION ALL VALUES (0), (1e50)"},
    {"pair", SERIES("ROW(i % 4, 'x,\")' || i)::pair")},
};

/* Collations of ICU, with and without equality of bytes, where the server has them; else the default in their place. */
static void
make_types(const char *db)
{
    const bool icu =
        pawl_test_query_i64(db, "SELECT count(*) FROM pg_collation WHERE collprovider = 'i'") > 0;

    pawl_test_exec(db, "CREATE TYPE mood AS ENUM ('sad', 'a happy one', 'it''s, \"ok\"');"
                       "CREATE DOMAIN \"Odd domain\" AS varchar(9) CHECK (value <> 'x');"
                       "CREATE DOMAIN measure AS numeric(60,4) NOT NULL CHECK (value >= 0);"
                       "CREATE TYPE pair AS (a int, b text)");
    pawl_test_exec(db, icu ? "CREATE COLLATION german (provider = icu, locale = 'de');"
                             "CREATE COLLATION no_case (provider = icu, locale = 'und-u-ks-level2',"
                             " deterministic = false);"
                             "CREATE COLLATION no_accent (provider = icu, locale = 'und-u-ks-level1',"
                             " deterministic = false)"
                           : "CREATE COLLATION german FROM \"C\"; CREATE COLLATION no_case FROM \"C\";"
                             "CREATE COLLATION no_accent FROM \"C\"");
}

/* Once by Lua, once by SQL, in batches of 7 and chunks of 20 rows; then every n is 2. */
static void
count_up_twice(const char *db, const char *table, const char *job)
{
    static const pawl_set_expression set[] = {{"n", "t.n + 1"}};
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));
    char sql[200];

    for (int by_sql = 0; by_sql < 2; by_sql++)
    {
        pawl_backfill_spec spec = pawl_test_spec(table);
        pawl_backfill_result r = {0};
        pawl_error err = PAWL_ERROR_INIT;
        char name[64];

        (void) snprintf(name, sizeof name, "%s %d", job, by_sql);
        spec.lua_file = by_sql ? NULL : "transforms/increment.lua";
        spec.read = COLUMN_N;
        spec.nread = by_sql ? 0 : 1;
        spec.write = COLUMN_N;
        spec.nwrite = by_sql ? 0 : 1;
        spec.set = set;
        spec.nset = by_sql ? 1 : 0;
        spec.batch_rows = 7;
        spec.chunk_rows = 20;
        if (pawl_test_backfill(&spec, &env, name, &r, &err) != PAWL_OK)
            fail_msg("%s: %s; %s [%s]", name, err.message, err.detail, err.sqlstate);
        assert_int_equal(r.progress.rows_moved + r.progress.rows_gone, 0);
    }
    (void) snprintf(sql, sizeof sql, "SELECT count(*) FILTER (WHERE n <> 2) FROM %s", table);
    if (pawl_test_query_i64(db, sql) != 0)
        fail_msg("a row of the key %s was not done exactly once", job);
}

static void
keys_of_every_kind_page_without_a_gap(void **state)
{
    const char *db = pawl_test_database_new("kinds");

    (void) state;
    make_types(db);
    pawl_test_ledger(db);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    {
        char sql[900];

        (void) snprintf(sql, sizeof sql,
                        "DROP TABLE IF EXISTS t; CREATE TABLE t (k %s PRIMARY KEY, n int NOT NULL DEFAULT 0);"
                        "INSERT INTO t (k) SELECT v::%s FROM (%s) x(v)",
                        kinds[i].type, kinds[i].type, kinds[i].values);
        pawl_test_exec(db, sql);
        count_up_twice(db, "t", kinds[i].type);
    }
}

typedef struct shape
{
    const char *table;
    const char *columns;
    const char *key;
    const char *rows;
} shape;

/* Keys of several columns, unique indexes that are no primary key, and names that need quotes. */
static void
keys_of_every_shape_page_without_a_gap(void **state)
{
    static const shape shapes[] = {
        {"mixed",
         "a text COLLATE no_case NOT NULL, b float8 NOT NULL, c mood NOT NULL, d timestamptz NOT NULL",
         "PRIMARY KEY (a, b, c, d)",
         "CASE WHEN i % 2 = 0 THEN 'x' ELSE 'X' END || i % 3, CASE WHEN i % 5 = 0 THEN 'NaN' ELSE '-0' "
         "END::float8,"
         "'sad'::mood, CASE WHEN i = 7 THEN 'infinity' ELSE '2024-01-01Z'::timestamptz + i * interval '1 us' "
         "END"},
        {"skewed", "a int NOT NULL, b uuid NOT NULL", "PRIMARY KEY (a, b)", "i / 90, gen_random_uuid()"},
        {"wide",
         "a int NOT NULL, b bytea NOT NULL, c inet NOT NULL, d date NOT NULL, e bool NOT NULL,"
         " f interval NOT NULL, g char(3) NOT NULL, h numeric NOT NULL",
         "UNIQUE (a, b, c, d, e, f, g, h)",
         "1, '\\x00'::bytea, '10.0.0.1'::inet, 'infinity'::date, i % 2 = 0, i % 3 * interval '1 day', 'a', "
         "i / 10.0"},
        {"unique_only", "a int, b text NOT NULL, c int NOT NULL",
         "UNIQUE (a), UNIQUE (b), UNIQUE (c) DEFERRABLE INITIALLY DEFERRED", "NULL, 'b' || i, -i"},
        {"\"O\"\"dd.Täble\"", "\"Key \"\"x\"\"\" int NOT NULL, \"ключ\" text NOT NULL, \"t\" int",
         "PRIMARY KEY (\"ключ\", \"Key \"\"x\"\"\")", "i, 'п' || i, 1"},
    };
    const char *db = pawl_test_database_new("shapes");

    (void) state;
    make_types(db);
    pawl_test_ledger(db);
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++)
    {
        char sql[1500];

        (void) snprintf(sql, sizeof sql,
                        "CREATE TABLE %s (%s, n int NOT NULL DEFAULT 0, %s);"
                        "INSERT INTO %s SELECT %s FROM generate_series(1, 200) i",
                        shapes[i].table, shapes[i].columns, shapes[i].key, shapes[i].table, shapes[i].rows);
        pawl_test_exec(db, sql);
        count_up_twice(db, shapes[i].table, shapes[i].table);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_kind_page_without_a_gap),
        cmocka_unit_test(keys_of_every_shape_page_without_a_gap),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
