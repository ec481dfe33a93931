/*
 * Every type, in its extremes and at random, through Lua and back: an identity transform copies each column into a
 * twin, and the twin into a third. What PostgreSQL prints, what it sends in binary and what it stores must be the same
 * in all three.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/job.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define MOST_VALUES 14
#define GROUP       20

/* A type as SQL spells it, and values of it: SQL that is cast to the type. */
typedef struct sample
{
    const char *type;
    const char *values[MOST_VALUES];
} sample;

/* Among them every base, range and multirange type of the server: `every_builtin_type_is_here` counts. */
static const sample samples[] = {
    {"bool", {"true", "false"}},
    {"int2", {"0", "(-32768)", "32767"}},
    {"int4", {"0", "(-2147483648)", "2147483647"}},
    {"int8", {"0", "'-9223372036854775808'", "9223372036854775807", "9007199254740993"}},
    {"oid", {"0", "'4294967295'"}},
    {"float4",
     {"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'1e-45'", "'3.4028235e38'", "0.1", "1e-5", "16777216",
      "1234567"}},
    {"float8",
     {"'NaN'", "'Infinity'", "'-Infinity'", "'-0'", "'5e-324'", "'1.7976931348623157e308'", "0.1", "1e-5",
      "9007199254740993", "1e15", "123456789012345", "1e16", "2.5e-320"}},
    {"numeric",
     {"'NaN'", "'0.000'", "repeat('9', 1000)", "'-0.' || repeat('1', 1000)", "'1' || repeat('0', 20000)",
      "'1e-16383'", "12.50", "'-1'"}},
    {"numeric(10,2)", {"'12.5'", "'-99999999.99'", "0", "'NaN'"}},
    {"money", {"'-92233720368547758.08'", "'92233720368547758.07'", "0.01"}},
    {"text",
     {"''", "' '", "E'a\\nb\\t\\r\\x01'", "U&'\\+01F600 e\\0301 \\FFFD'", "repeat('long ', 50000)", "'NULL'",
      "E'quo\"te'' back\\\\slash'", "'{,}'", "'null'"}},
    {"varchar", {"''", "'x  '"}},
    {"varchar(3)", {"'abc'", "'a  '", "'äöü'"}},
    {"char(5)", {"'a'", "''", "'abcde'"}},
    {"bpchar", {"'a  '"}},
    {"\"char\"", {"'a'", "''", "'~'"}},
    {"name", {"'a'", "repeat('n', 63)"}},
    {"bytea",
     {"'\\x'", "'\\x00'", "'\\x00ff0041'", "decode(repeat('00ff5c22', 30000), 'hex')",
      "convert_to('text', 'UTF8')"}},
    {"bit", {"'1'", "'0'"}},
    {"bit(7)", {"'1010101'"}},
    {"varbit", {"''", "'1'", "repeat('10', 500)"}},
    {"varbit(5)", {"'10101'", "'1'"}},
    {"uuid", {"'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"}},
    {"date",
     {"'infinity'", "'-infinity'", "'4713-01-01 BC'", "'0001-12-31 BC'", "'5874897-12-31'", "'2024-02-29'"}},
    {"time", {"'00:00'", "'24:00:00'", "'23:59:59.999999'"}},
    {"time(3)", {"'12:34:56.7896'"}},
    {"timetz", {"'24:00:00+15:59'", "'00:00-15:59:59'", "'12:00:00.000001+00'"}},
    {"timestamp",
     {"'infinity'", "'-infinity'", "'4713-01-01 00:00:00 BC'", "'294276-12-31 23:59:59.999999'",
      "'2000-01-01 00:00:00.1'"}},
    {"timestamptz",
     {"'infinity'", "'-infinity'", "'4713-01-02 00:00:00+00 BC'", "'294276-12-31 23:59:59.999999+00'",
      "'1883-11-18 12:03:57-04:56:02'"}},
    {"timestamptz(0)", {"'2024-06-30 23:59:59.6+00'"}},
    {"interval",
     {"'178000000 years'", "'-178000000 years'", "'-1 mons +2 days -03:04:05.000006'", "'0'",
      "'1 day -1 second'", "'2147483647 days'", "'0.000001 seconds'"}},
    {"interval day to second(3)", {"'1 02:03:04.5678'"}},
    {"json",
     {"'{\"a\": 1,\"a\"  :2 , \"b\":[ ]}'", "'null'", "'  [1.000, 1e400, -0 ]  '",
      "'\"\\u00e9\\ud83d\\ude00\"'", "'{}'", "'[]'", "'12345678901234567890.123456789012345678901'",
      "'{\"\": {\"\": []}}'", "'true'"}},
    {"jsonb",
     {"'{\"z\": 1, \"a\": {\"b\": [null, true, 1.50]}}'", "'null'",
      "'[1e400, 1.000, 100000000000000000000000001]'", "'\"text\\nline\"'", "'{}'", "'[]'",
      "'{\"10\": 1, \"9\": 2}'", "'-0.0'", "'[[], {}, [[]]]'"}},
    {"jsonpath", {"'$.a[*] ? (@ > 1)'"}},
    {"xml", {"'<a b=\"c\">d</a>'", "'text &amp; more'"}},
    {"inet", {"'192.168.0.1/24'", "'::1'", "'2001:db8::ff00:42:8329/64'"}},
    {"cidr", {"'10.0.0.0/8'", "'2001:db8::/32'"}},
    {"macaddr", {"'08:00:2b:01:02:03'"}},
    {"macaddr8", {"'08:00:2b:01:02:03:04:05'"}},
    {"pg_lsn", {"'0/0'", "'FFFFFFFF/FFFFFFFF'"}},
    {"xid", {"'4294967295'"}},
    {"cid", {"'4294967295'"}},
    {"xid8", {"'18446744073709551615'"}},
    {"tid", {"'(0,1)'", "'(4294967295,65535)'"}},
    {"pg_snapshot", {"'10:20:10,14,15'"}},
    {"txid_snapshot", {"'10:20:10,14,15'"}},
    {"refcursor", {"'cursor 1'"}},
    {"aclitem", {"'=r/postgres'"}},
    {"regclass", {"'pg_catalog.pg_class'"}},
    {"regproc", {"'pg_catalog.now'"}},
    {"regprocedure", {"'pg_catalog.abs(integer)'"}},
    {"regoper", {"'pg_catalog.||/'"}},
    {"regoperator", {"'pg_catalog.+(integer,integer)'"}},
    {"regtype", {"'pg_catalog.numeric'", "'int4[]'"}},
    {"regrole", {"'postgres'"}},
    {"regnamespace", {"'pg_catalog'"}},
    {"regcollation", {"'\"C\"'"}},
    {"regconfig", {"'english'"}},
    {"regdictionary", {"'simple'"}},
    {"tsvector", {"'a:1A fat:2B,4C cat:5'", "''"}},
    {"tsquery", {"'fat & (rat | !cat:*)'", "''"}},
    {"point", {"'(1e308,-0)'", "'(NaN,Infinity)'"}},
    {"line", {"'{1,-1,0}'"}},
    {"lseg", {"'[(0,0),(1,1)]'"}},
    {"box", {"'(1,1),(0,0)'"}},
    {"path", {"'[(0,0),(1,1)]'", "'((0,0),(1,1),(2,0))'"}},
    {"polygon", {"'((0,0),(1,1),(2,0))'"}},
    {"circle", {"'<(0.1,0),5>'"}},
    {"int4range", {"'empty'", "'(,)'", "'[1,5)'"}},
    {"int8range", {"'[-9223372036854775808,9223372036854775807)'"}},
    {"numrange", {"'[1.50,2.0)'", "'(,1e400)'"}},
    {"daterange", {"'[2024-01-01,infinity]'"}},
    {"tsrange", {"'[\"2024-01-01 00:00:00\",infinity)'"}},
    {"tstzrange", {"'(\"2024-01-01 00:00:00+00\",)'"}},
    {"int4multirange", {"'{}'", "'{[1,3),[7,9)}'"}},
    {"int8multirange", {"'{(,)}'"}},
    {"nummultirange", {"'{[1.0,2.00)}'"}},
    {"datemultirange", {"'{[2024-01-01,2024-02-01)}'"}},
    {"tsmultirange", {"'{[\"2024-01-01 00:00:00\",\"2024-01-02 00:00:00\")}'"}},
    {"tstzmultirange", {"'{(,\"2024-01-01 00:00:00+00\")}'"}},
    /* arrays */
    {"int4[]",
     {"'{}'", "'{NULL}'", "'{{1,2},{3,4}}'", "'[0:2]={1,2,3}'", "'[-5:-4][2:3]={{1,2},{3,4}}'",
      "'{{{1}},{{NULL}}}'", "array_agg(n) FROM generate_series(1, 5000) AS n"}},
    {"int8[]", {"'{9223372036854775807,-9223372036854775808}'"}},
    {"text[]",
     {"ARRAY['a b', '', 'NULL', NULL, 'null', '{', '}', ',', '\"', E'\\\\', E'\\n', ' x ', U&'\\+01F600']",
      "ARRAY[ARRAY['a', NULL], ARRAY['', '\"']]", "'[2:3]={a,b}'", "'{}'"}},
    {"varchar(3)[]", {"ARRAY['abc', 'a', NULL]"}},
    {"char(3)[]", {"ARRAY['abc', 'a', NULL]"}},
    {"bool[]", {"'{t,f,NULL}'"}},
    {"float8[]", {"'{NaN,Infinity,-Infinity,-0,0.1,5e-324,NULL}'"}},
    {"float4[]", {"'{NaN,1e-45,0.1}'"}},
    {"numeric[]", {"'{1.50,NaN,0.000,12345678901234567890.123}'"}},
    {"numeric(6,2)[]", {"'{1.5,-2}'"}},
    {"bytea[]", {"ARRAY['\\x00'::bytea, '\\x', '\\x225c', NULL]"}},
    {"jsonb[]", {"ARRAY['{\"a\": [1.0, null]}'::jsonb, 'null', '\"x\"', NULL]"}},
    {"json[]", {"ARRAY['{\"a\":1,  \"a\":2}'::json, '[ ]', NULL]"}},
    {"date[]", {"'{infinity,-infinity,\"0044-03-15 BC\",NULL}'"}},
    {"timestamptz[]", {"'{infinity,\"2024-01-01 00:00:00+00\"}'"}},
    {"interval[]", {"'{\"1 day -00:00:01\"}'"}},
    {"uuid[]", {"'{ffffffff-ffff-ffff-ffff-ffffffffffff}'"}},
    {"box[]", {"'{(1,1),(0,0);(2,2),(1,1)}'"}},
    {"point[]", {"'{\"(1,2)\",\"(3,4)\"}'"}},
    {"int4range[]", {"'{\"[1,5)\",empty}'"}},
    {"inet[]", {"'{10.0.0.1,::1}'"}},
    {"int2vector", {"'1 2 3'", "''"}},
    {"oidvector", {"'1 2 4294967295'"}},
    /* of users */
    {"mood", {"'sad'", "'so, so \"fine\"'", "''''"}},
    {"mood[]", {"ARRAY['sad', 'so, so \"fine\"']::mood[]"}},
    {"price", {"'12.5'", "0"}},
    {"price[]", {"ARRAY[1.5, 2]::price[]"}},
    {"words", {"ARRAY['a', NULL]"}},
    {"document", {"'{\"b\": 1.0, \"a\": []}'"}},
    {"code", {"'ab'", "''"}},
    {"address",
     {"ROW('a \"street\", 1', NULL, ARRAY[1, NULL], ROW(1.50)::inner_part)", "ROW(NULL, NULL, NULL, NULL)"}},
    {"address[]", {"ARRAY[ROW('x', 'y', '{}', NULL)::address, NULL]"}},
    {"floatrange", {"'[1.5,2.5)'", "'empty'"}},
};

#define COUNT (sizeof samples / sizeof samples[0])

static const char prelude[] =
    "CREATE TYPE mood AS ENUM ('sad', 'so, so \"fine\"', '''');"
    "CREATE DOMAIN price AS numeric(10,2) CHECK (VALUE >= 0);"
    "CREATE DOMAIN words AS text[];"
    "CREATE DOMAIN document AS jsonb CHECK (jsonb_typeof(VALUE) = 'object');"
    "CREATE DOMAIN code AS varchar(2);"
    "CREATE TYPE inner_part AS (n numeric(5,2));"
    "CREATE TYPE address AS (street text, city varchar(20), numbers int[], part inner_part);"
    "CREATE TYPE floatrange AS RANGE (subtype = float8);";

static const char identity[] = "return function(row)\n"
                               "  local out = {}\n"
                               "  for i = 1, tonumber(pawl.x.columns) do\n"
                               "    local value = row[pawl.x.from .. i]\n"
                               "    if value == nil then value = pawl.null end\n"
                               "    out[pawl.x.to .. i] = value\n"
                               "  end\n"
                               "  return out\n"
                               "end\n";

/* ---- the copy and the comparison ------------------------------------------------------------------------------- */

/* Copy columns <from>1 to <from>count into <to>1 ... */
static void
copy(const char *db, const char *table, size_t count, const char *from, const char *to)
{
    char numbers[24];
    char(*names)[2][16] = calloc(count, sizeof *names);
    const char **read = calloc(count, sizeof *read);
    const char **write = calloc(count, sizeof *write);
    char job[40];

    assert_non_null(names);
    assert_non_null(read);
    assert_non_null(write);
    pawl_fmt(numbers, sizeof numbers, "%zu", count);
    for (size_t i = 0; i < count; i++)
    {
        pawl_fmt(names[i][0], sizeof names[i][0], "%s%zu", from, i + 1);
        pawl_fmt(names[i][1], sizeof names[i][1], "%s%zu", to, i + 1);
        read[i] = names[i][0];
        write[i] = names[i][1];
    }
    const pawl_lua_pair x[] = {{"columns", numbers}, {"from", from}, {"to", to}};
    pawl_backfill_spec spec = pawl_test_spec(table);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("identity", identity));

    spec.lua_file = "transforms/identity.lua";
    spec.read = read;
    spec.nread = count;
    spec.write = write;
    spec.nwrite = count;
    env.x = x;
    env.nx = 3;
    pawl_fmt(job, sizeof job, "%s %s to %s", table, from, to);
    (void) pawl_test_backfill_ok(&spec, &env, job);
    free(names);
    free(read);
    free(write);
}

/* The same into another table, its columns and the id; by COPY, or with `is_merged` by an upsert. */
static void
copy_into(const char *db, const char *table, size_t count, bool is_merged)
{
    static const char lua[] = "local n = tonumber(pawl.x.columns)\n"
                              "return function(row)\n"
                              "  local copy = { id = row.id }\n"
                              "  for i = 1, n do copy['f' .. i] = row['c' .. i] end\n"
                              "  return copy\n"
                              "end\n";
    static const char *const by_id[] = {"id"};
    char(*names)[2][16] = calloc(count, sizeof *names);
    const char **read = calloc(count, sizeof(const char *));
    const char **write = calloc(count + 1, sizeof(const char *));
    char numbers[24];
    char target[40];
    pawl_backfill_spec spec = pawl_test_spec(table);
    pawl_backfill_env env = pawl_test_env(db, pawl_test_transform("into", lua));

    assert_non_null(names);
    assert_non_null(read);
    assert_non_null(write);
    pawl_fmt(numbers, sizeof numbers, "%zu", count);
    pawl_fmt(target, sizeof target, "%s_%s", table, is_merged ? "merged" : "copied");
    write[count] = "id";
    for (size_t i = 0; i < count; i++)
    {
        pawl_fmt(names[i][0], sizeof names[i][0], "c%zu", i + 1);
        pawl_fmt(names[i][1], sizeof names[i][1], "f%zu", i + 1);
        read[i] = names[i][0];
        write[i] = names[i][1];
    }
    const pawl_lua_pair x[] = {{"columns", numbers}};

    spec.lua_file = "transforms/into.lua";
    spec.read = read;
    spec.nread = count;
    spec.write = write;
    spec.nwrite = count + 1;
    spec.into = target;
    spec.merge = is_merged ? by_id : NULL;
    spec.nmerge = is_merged ? 1 : 0;
    env.x = x;
    env.nx = 1;
    (void) pawl_test_backfill_ok(&spec, &env, target);
    free(names);
    free(read);
    free(write);
}

/* Copy into a table of the same types, and put both side by side into `<table>_both`. */
static void
compare_into(const char *db, const char *table, size_t count, bool is_merged)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(columns);
    const char *end = is_merged ? "merged" : "copied";

    for (size_t i = 1; i <= count; i++)
        pawl_strbuf_addf(&columns, ", c%zu AS f%zu", i, i);
    pawl_strbuf_addf(&sql,
                     "DROP TABLE IF EXISTS %s_both; CREATE TABLE %s_%s AS SELECT id%s FROM %s LIMIT %d;"
                     "ALTER TABLE %s_%s ADD PRIMARY KEY (id)",
                     table, table, end, columns.data, table, is_merged ? 2 : 0, table, end);
    pawl_test_exec(db, sql.data);
    copy_into(db, table, count, is_merged);
    pawl_strbuf_reset(&sql);
    pawl_strbuf_addf(&sql, "CREATE TABLE %s_both AS SELECT h.*", table);
    for (size_t i = 1; i <= count; i++)
        pawl_strbuf_addf(&sql, ", c%zu", i);
    pawl_strbuf_addf(&sql, " FROM %s t FULL JOIN %s_%s h USING (id)", table, table, end);
    pawl_test_exec(db, sql.data);
}

/* The first difference between two columns, "" when there is none: what is stored, what is sent, what is printed. */
static void
assert_same(const char *db, const char *table, const char *type, size_t n, const char *a, const char *b)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(find);
    char *send;
    char *difference;

    /* A domain has the send function of its base, some types that of another; a few have none. */
    pawl_strbuf_addf(
        &find,
        "SELECT format(' OR %%1$s(%s%zu%%2$s) IS DISTINCT FROM %%1$s(%s%zu%%2$s)', p.oid::regproc,"
        " CASE WHEN y.typtype <> 'p' THEN '::' || y.oid::regtype END)"
        " FROM pg_attribute f JOIN pg_type t ON t.oid = f.atttypid JOIN pg_proc p ON p.oid = t.typsend"
        " JOIN pg_type y ON y.oid = p.proargtypes[0]"
        " WHERE f.attrelid = '%s'::regclass AND f.attname = '%s%zu'",
        a, n, b, n, table, a, n);
    send = pawl_test_query_text(db, find.data);
    pawl_strbuf_addf(
        &sql,
        "SELECT id || ': ' || left(%s%zu::text, 100) || ' -> ' || coalesce(left(%s%zu::text, 100), "
        "'NULL') FROM %s WHERE record_image_ne(ROW(%s%zu), ROW(%s%zu))"
        " OR %s%zu::text IS DISTINCT FROM %s%zu::text",
        a, n, b, n, table, a, n, b, n, a, n, b, n);
    pawl_strbuf_add(&sql, send);
    pawl_strbuf_add(&sql, " ORDER BY id LIMIT 1");
    difference = pawl_test_query_text(db, sql.data);
    if (difference[0] != '\0')
        fail_msg("%s: row %s", type, difference);
    free(difference);
    free(send);
}

/* ---- extremes ----------------------------------------------------------------------------------------------------- */

static size_t
count_values(const sample *s)
{
    size_t n = 0;

    while (n < MOST_VALUES && s->values[n] != NULL)
        n++;
    return n;
}

/* Rows of one column; the one behind the last value stays NULL. */
static void
fill_column(const char *db, const char *table, size_t column, const sample *s)
{
    size_t n = count_values(s);

    for (size_t row = 0; row < MOST_VALUES; row++)
    {
        PAWL_STRBUF_AUTO(sql);
        const char *value = s->values[row % n];
        bool is_query = strstr(value, " FROM ") != NULL;

        pawl_strbuf_addf(&sql, "UPDATE %s SET c%zu = (SELECT %s%s%s%s%s) WHERE id = %zu", table, column,
                         is_query ? "" : "(", value, is_query ? "" : ")",
                         is_query ? "" : "::", is_query ? "" : s->type, row + 1);
        pawl_test_exec(db, sql.data);
    }
}

/* Some types in a table of their own: a row of all of them would not fit into a page. */
static void
check_group(const char *db, size_t first, size_t count)
{
    PAWL_STRBUF_AUTO(sql);
    char table[16];

    pawl_fmt(table, sizeof table, "t%zu", first);
    pawl_strbuf_addf(&sql, "CREATE TABLE %s (id int PRIMARY KEY", table);
    for (size_t i = 0; i < count; i++)
        for (const char *letter = "cde"; *letter != '\0'; letter++)
            pawl_strbuf_addf(&sql, ", %c%zu %s", *letter, i + 1, samples[first + i].type);
    pawl_strbuf_addf(&sql, "); INSERT INTO %s (id) SELECT generate_series(1, %d)", table, MOST_VALUES + 1);
    pawl_test_exec(db, sql.data);
    for (size_t i = 0; i < count; i++)
        fill_column(db, table, i + 1, &samples[first + i]);
    copy(db, table, count, "c", "d");
    copy(db, table, count, "d", "e");
    for (size_t i = 0; i < count; i++)
    {
        assert_same(db, table, samples[first + i].type, i + 1, "c", "d");
        assert_same(db, table, samples[first + i].type, i + 1, "c", "e");
    }
    for (int is_merged = 0; is_merged < 2; is_merged++)
    {
        PAWL_STRBUF_AUTO(both);

        compare_into(db, table, count, is_merged == 1);
        pawl_strbuf_addf(&both, "%s_both", table);
        for (size_t i = 0; i < count; i++)
            assert_same(db, both.data, samples[first + i].type, i + 1, "c", "f");
    }
}

static void
every_type_survives_in_its_extremes(void **state)
{
    const char *db = pawl_test_database_new("extremes");

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db, prelude);
    for (size_t first = 0; first < COUNT; first += GROUP)
        check_group(db, first, COUNT - first < GROUP ? COUNT - first : GROUP);
}

/* So that a server with a new type makes somebody think about it. */
static void
every_builtin_type_is_here(void **state)
{
    const char *db = pawl_test_database_new("builtin");
    PAWL_STRBUF_AUTO(sql);
    char *missing;

    (void) state;
    pawl_test_exec(db, prelude);
    pawl_strbuf_add(&sql, "SELECT string_agg(typname, ' ' ORDER BY typname) FROM pg_type"
                          " WHERE typnamespace = 'pg_catalog'::regnamespace AND typtype IN ('b', 'r', 'm')"
                          " AND typcategory <> 'A' AND oid NOT IN (");
    for (size_t i = 0; i < COUNT; i++)
        pawl_strbuf_addf(&sql, "%sto_regtype($t$%s$t$)::oid", i > 0 ? ", " : "", samples[i].type);
    /* What nobody can put into a table: these have no input. */
    pawl_strbuf_add(
        &sql, ") AND typname NOT IN ('gtsvector', 'pg_brin_bloom_summary', 'pg_brin_minmax_multi_summary',"
              " 'pg_dependencies', 'pg_mcv_list', 'pg_ndistinct', 'pg_node_tree')");
    missing = pawl_test_query_text(db, sql.data);
    assert_string_equal(missing, "");
    free(missing);
}

/* ---- at random ---------------------------------------------------------------------------------------------------- */

/* A text of up to `n` characters from everywhere in Unicode, and often of the ASCII that syntaxes are made of. */
#define TEXT_OF(n)                                                                                         \
    "(SELECT coalesce(string_agg(CASE WHEN random() < 0.5 THEN substr('\"\\{}[],:'' ()\t\na1N', 1 + "      \
    "(random() * 16 + g * 0)::int, 1) ELSE chr(CASE WHEN random() < 0.5 THEN 1 + (random() * 55294)::int " \
    "ELSE "                                                                                                \
    "57344 + (random() * 1056765)::int END) END, ''), '') FROM generate_series(1, (random() * " #n         \
    " + r.id * 0)"                                                                                         \
    "::int) g)"

/* Random digits, as many as up to `n`. */
#define DIGITS_OF(n)                                                                                      \
    "(SELECT string_agg(((random() * 9 + g * 0)::int)::text, '') FROM generate_series(0, (random() * " #n \
    " + r.id * 0)::int) g)"

#define NUMBER                                                                                       \
    "(CASE WHEN random() < 0.5 THEN '-' ELSE '' END || " DIGITS_OF(40) " || CASE WHEN random() < "   \
                                                                       "0.5 THEN '.' || " DIGITS_OF( \
                                                                           40) " ELSE '' END)"

static const struct
{
    const char *type;
    const char *value; /* over r.id */
} random_values[] = {
    {"int2", "(random() * 65535 - 32768)::int"},
    {"int4", "(random() * 4294967295 - 2147483648)::bigint"},
    {"int8", "('x' || md5(random()::text))::bit(64)::bigint"},
    {"float8", "(random() - 0.5) * 10::float8 ^ (random() * 600 - 300)"},
    {"float4", "(random() - 0.5) * 10::float8 ^ (random() * 70 - 36)"},
    {"numeric", NUMBER "::numeric"},
    {"numeric(12,3)", "(random() - 0.5) * 1e9"},
    {"bool", "random() < 0.5"},
    {"text", TEXT_OF(60)},
    {"varchar(9)", "left(" TEXT_OF(20) ", 9)"},
    {"char(9)", "left(" TEXT_OF(20) ", 9)"},
    {"bytea", "substr(decode(md5(random()::text) || md5(random()::text), 'hex'), 1, (random() * 32)::int)"},
    {"uuid", "md5(random()::text)::uuid"},
    {"date", "date '4700-01-01 BC' + (random() * 5000000)::int"},
    {"time", "time '00:00' + random() * interval '24 hours'"},
    {"timestamptz", "timestamptz '4700-01-01 00:00:00+00 BC' + random() * interval '10000 years'"},
    {"timestamp(2)", "timestamp '2000-01-01' + random() * interval '100 years'"},
    {"interval",
     "make_interval((random() * 2000 - 1000)::int, (random() * 20)::int, 0, (random() * 80 - 40)::int, 0, 0,"
     " random() * 1e6 - 5e5)"},
    {"varbit", "substring(('x' || md5(random()::text))::bit(64)::varbit from 1 for (random() * 64)::int)"},
    {"inet", "inet '0.0.0.0' + (random() * 4294967295)::bigint"},
    {"jsonb", "jsonb_build_object(" TEXT_OF(9) ", jsonb_build_array(" NUMBER "::numeric, " TEXT_OF(
                  9) ", NULL, random() "
                     "< 0.5, random()), 'o', jsonb_build_object(" TEXT_OF(5) ", '[]'::jsonb, 'n', " NUMBER
                                                                             "::numeric))"},
    {"json", "('{ \"a\" : ' || to_json(" TEXT_OF(9) ") || ',\t\"a\":[ ' || ltrim(" DIGITS_OF(
                 30) ", '0') || '1.0e5 , {}],\"n\":null }')::json"},
    {"text[]", "ARRAY[" TEXT_OF(9) ", NULL, " TEXT_OF(9) ", " TEXT_OF(3) "]"},
    {"text[]", "ARRAY[ARRAY[" TEXT_OF(5) ", " TEXT_OF(5) "], ARRAY[NULL, " TEXT_OF(5) "]]"},
    {"numeric[]", "ARRAY[" NUMBER "::numeric, NULL, " NUMBER "::numeric]"},
    {"float8[]", "ARRAY[random(), NULL, random() * 1e300, 'NaN']"},
    {"int4[]", "array_fill((random() * 1e9)::int, ARRAY[1 + (random() * 3)::int, 2], ARRAY[(random() * 9 - "
               "4)::int, 0])"},
    {"jsonb[]", "ARRAY[to_jsonb(" TEXT_OF(9) "), NULL, jsonb_build_array(" NUMBER "::numeric)]"},
    {"numrange", "numrange(least(" NUMBER "::numeric, 0), NULL, '[]')"},
    {"address", "ROW(" TEXT_OF(20) ", NULL, ARRAY[(random() * 9)::int, NULL], ROW(random() * 99))::address"},
};

#define RANDOM_COUNT (sizeof random_values / sizeof random_values[0])

static void
random_values_survive(void **state)
{
    const char *db = pawl_test_database_new("random");
    unsigned int seed = (unsigned int) pawl_test_seed(20240229);
    int rows = pawl_test_is_long() ? 100000 : 3000;
    PAWL_STRBUF_AUTO(sql);
    PAWL_STRBUF_AUTO(columns);

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db, prelude);
    pawl_strbuf_add(&sql, "CREATE TABLE r (id int PRIMARY KEY");
    for (size_t i = 0; i < RANDOM_COUNT; i++)
    {
        pawl_strbuf_addf(&sql, ", c%zu %s, d%zu %s, e%zu %s", i + 1, random_values[i].type, i + 1,
                         random_values[i].type, i + 1, random_values[i].type);
        pawl_strbuf_addf(&columns, ", c%zu", i + 1);
    }
    /* One session: the seed is the session's. One in ten is NULL. */
    pawl_strbuf_addf(&sql, "); SELECT setseed(%u / 4294967296.0); INSERT INTO r (id%s) SELECT r.id", seed,
                     columns.data);
    for (size_t i = 0; i < RANDOM_COUNT; i++)
        pawl_strbuf_addf(&sql, ", CASE WHEN random() < 0.9 THEN %s END", random_values[i].value);
    pawl_strbuf_addf(&sql, " FROM generate_series(1, %d) AS r(id)", rows);
    pawl_test_exec(db, sql.data);
    copy(db, "r", RANDOM_COUNT, "c", "d");
    copy(db, "r", RANDOM_COUNT, "d", "e");
    for (size_t i = 0; i < RANDOM_COUNT; i++)
    {
        assert_same(db, "r", random_values[i].type, i + 1, "c", "d");
        assert_same(db, "r", random_values[i].type, i + 1, "c", "e");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_builtin_type_is_here),
        cmocka_unit_test(every_type_survives_in_its_extremes),
        cmocka_unit_test(random_values_survive),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
