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
    {"smallint", SERIES("i::smallint - 60")},
    {"bigint", SERIES("i") " UNION ALL VALUES (-9223372036854775808), (9223372036854775807)"},
    {"oid", SERIES("(i + 4294967000)::oid")},
    {"numeric", SERIES("i / 7.0") " UNION ALL VALUES ('NaN'::numeric), (-1e100), (1e-100)"},
    {"float8", SERIES("i / 7.0::float8") " UNION ALL VALUES ('NaN'::float8), ('-0'), ('infinity'), "
                                         "('-infinity'), (1e-300)"},
    {"float4", SERIES("(i / 7.0)::float4") " UNION ALL VALUES ('NaN'::float4), ('-0')"},
    {"boolean", "VALUES (true), (false)"},
    {"text", SERIES("chr(i + 32) || '''\"\\{},' || chr(i + 200)") " UNION ALL VALUES (''), (' '), ('NULL'), "
                                                                  "('null'), ('{}')"},
    {"varchar(9)", SERIES("'v' || i")},
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
    {"uuid", SERIES("gen_random_uuid()")},
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
    {"pair", SERIES("ROW(i % 4, 'x,\")' || i)::pair")},
};

static void
keys_of_every_kind_page_without_a_gap(void **state)
{
    const char *db = pawl_test_database_new("kinds");
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("increment", INCREMENT));

    (void) state;
    pawl_test_exec(db, "CREATE TYPE mood AS ENUM ('sad', 'a happy one', 'it''s, \"ok\"');"
                       "CREATE DOMAIN \"Odd domain\" AS varchar(9) CHECK (value <> 'x');"
                       "CREATE TYPE pair AS (a int, b text)");
    pawl_test_ledger(db);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++)
    {
        pawl_backfill_spec spec = pawl_test_spec("t");
        pawl_backfill_result r = {0};
        pawl_error err = PAWL_ERROR_INIT;
        char sql[900];

        (void) snprintf(sql, sizeof sql,
                        "DROP TABLE IF EXISTS t; CREATE TABLE t (k %s PRIMARY KEY, n int NOT NULL DEFAULT 0);"
                        "INSERT INTO t (k) SELECT v::%s FROM (%s) x(v)",
                        kinds[i].type, kinds[i].type, kinds[i].values);
        pawl_test_exec(db, sql);
        spec.lua_file = "transforms/increment.lua";
        spec.read = COLUMN_N;
        spec.nread = 1;
        spec.write = COLUMN_N;
        spec.nwrite = 1;
        spec.workers = 2;
        spec.batch_rows = 7;
        spec.chunk_rows = 20;
        if (pawl_test_backfill(&spec, &env, kinds[i].type, &r, &err) != PAWL_OK)
            fail_msg("%s: %s; %s [%s]", kinds[i].type, err.message, err.detail, err.sqlstate);
        if (pawl_test_query_i64(db, "SELECT count(*) FILTER (WHERE n <> 1) FROM t") != 0)
            fail_msg("a row of the key %s was not done exactly once", kinds[i].type);
        assert_int_equal(r.progress.rows_moved + r.progress.rows_gone, 0);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(keys_of_every_kind_page_without_a_gap),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
