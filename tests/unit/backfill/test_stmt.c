#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/stmt.h"

#include "util/banned.h"

#define IS_OLD(horizon) \
    "pg_catalog.age(t.xmin) OPERATOR(pg_catalog.>) (SELECT pg_catalog.age(" horizon "::pg_catalog.xid))"
#define READ_VERSION \
    "CASE WHEN " IS_OLD("pg_catalog.current_setting('pawl.horizon')") " THEN NULL ELSE t.xmin END"
#define XMIN_AT_PLACE                                                                                      \
    "($5::xid[])[((t.\"a\"::bigint OPERATOR(pg_catalog.-) $2::bigint) OPERATOR(pg_catalog./) 12)::integer" \
    " OPERATOR(pg_catalog.+) 1]"

/* A job over "we""ird"."t" with a composite key and two written columns, without a server. */
typedef struct fixture
{
    pawl_column columns[4];
    pawl_key_column key_columns[2];
    pawl_key key;
    pawl_table table;
    pawl_backfill_spec spec;
    const pawl_column *read[1];
    const pawl_column *write[2];
    pawl_job job;
    pawl_strbuf sql;
} fixture;

static void
fixture_init(fixture *f)
{
    *f = (fixture){
        .columns = {{.name = "a", .base_type = PAWL_OID_INT8, .cast_name = "bigint"},
                    {.name = "b \"q\"", .base_type = PAWL_OID_BPCHAR, .cast_name = "bpchar"},
                    {.name = "c", .base_type = PAWL_OID_NUMERIC, .cast_name = "numeric"},
                    {.name = "d", .base_type = PAWL_OID_INT4, .cast_name = "integer"}},
        .table = {.schema = "we\"ird", .name = "t"},
        .sql = PAWL_STRBUF_INIT,
    };
    for (int i = 0; i < 2; i++)
        f->key_columns[i] = (pawl_key_column){
            .column = &f->columns[i], .op_schema = "pg_catalog", .op_gt = ">", .op_le = "<=", .op_eq = "="};
    f->key = (pawl_key){.columns = f->key_columns, .ncolumns = 2};
    f->read[0] = &f->columns[2];
    f->write[0] = &f->columns[2];
    f->write[1] = &f->columns[3];
    f->job = (pawl_job){.table = &f->table,
                        .key = &f->key,
                        .spec = &f->spec,
                        .read = f->read,
                        .nread = 1,
                        .write = f->write,
                        .nwrite = 2};
}

static void
a_composite_key_is_compared_as_a_row(void **state)
{
    fixture f;

    (void) state;
    fixture_init(&f);
    pawl_stmt_read(&f.sql, &f.job, true, false);
    assert_string_equal(
        f.sql.data,
        "SELECT " READ_VERSION ", t.\"a\", t.\"b \"\"q\"\"\", t.\"c\" FROM ONLY \"we\"\"ird\".\"t\" AS t"
        " WHERE (t.\"a\", t.\"b \"\"q\"\"\") OPERATOR(\"pg_catalog\".>) ($1::bigint, $2::bpchar)"
        " AND (t.\"a\", t.\"b \"\"q\"\"\") OPERATOR(\"pg_catalog\".<=) ($3::bigint, $4::bpchar)"
        " ORDER BY t.\"a\", t.\"b \"\"q\"\"\" LIMIT $5::bigint");
    pawl_strbuf_fini(&f.sql);
}

/* By place: the key between its ends, CASE before any arithmetic, and nothing of another stripe. */
static void
rows_are_found_by_place_behind_a_test_of_the_range(void **state)
{
    static const bool masked[] = {false, true};
    pawl_write_shape shape = {.with_ctids = true, .step = 12, .is_masked = masked};
    fixture f;

    (void) state;
    fixture_init(&f);
    f.key.ncolumns = 1;
    pawl_stmt_write(&f.sql, &f.job, &shape);
    assert_string_equal(
        f.sql.data,
        "UPDATE ONLY \"we\"\"ird\".\"t\" AS t SET"
        " \"c\" = ($6::jsonb OPERATOR(pg_catalog.->>) ((t.\"a\"::bigint OPERATOR(pg_catalog.-) $2::bigint)"
        " OPERATOR(pg_catalog./) 12)::integer)::numeric,"
        " \"d\" = CASE WHEN ($8::bool[])[((t.\"a\"::bigint OPERATOR(pg_catalog.-) $2::bigint)"
        " OPERATOR(pg_catalog./) 12)::integer OPERATOR(pg_catalog.+) 1]"
        " THEN ($7::jsonb OPERATOR(pg_catalog.->>) ((t.\"a\"::bigint OPERATOR(pg_catalog.-) $2::bigint)"
        " OPERATOR(pg_catalog./) 12)::integer)::integer ELSE t.\"d\" END"
        " WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1::tid[]) AND"
        " CASE WHEN t.\"a\" OPERATOR(pg_catalog.<) $2::bigint OR t.\"a\" OPERATOR(pg_catalog.>) $3::bigint "
        "THEN false"
        " WHEN pg_catalog.mod(t.\"a\"::bigint OPERATOR(pg_catalog.-) $2::bigint, 12) OPERATOR(pg_catalog.<>) "
        "0"
        " THEN false ELSE CASE WHEN " XMIN_AT_PLACE
        " OPERATOR(pg_catalog.=) '1'::pg_catalog.xid THEN " IS_OLD(
            "$4") " ELSE t.xmin OPERATOR(pg_catalog.=) " XMIN_AT_PLACE " END"
                  " AND t.ctid OPERATOR(pg_catalog.=) ($1::tid[])[((t.\"a\"::bigint OPERATOR(pg_catalog.-) "
                  "$2::bigint)"
                  " OPERATOR(pg_catalog./) 12)::integer OPERATOR(pg_catalog.+) 1] END");

    static const bool all[] = {false, false};

    shape = (pawl_write_shape){
        .with_range = true, .has_lower = true, .all_old = true, .step = 1, .is_masked = all};
    f.job.nwrite = 1;
    pawl_stmt_write(&f.sql, &f.job, &shape);
    assert_string_equal(
        f.sql.data, "UPDATE ONLY \"we\"\"ird\".\"t\" AS t SET"
                    " \"c\" = ($6::jsonb OPERATOR(pg_catalog.->>) ((t.\"a\"::bigint OPERATOR(pg_catalog.-)"
                    " $3::bigint))::integer)::numeric WHERE " IS_OLD(
                        "$5") " AND"
                              " t.\"a\" OPERATOR(pg_catalog.>=) $3::bigint AND t.\"a\" "
                              "OPERATOR(pg_catalog.<=) $4::bigint AND"
                              " t.\"a\" OPERATOR(\"pg_catalog\".>) $1::bigint AND"
                              " t.\"a\" OPERATOR(\"pg_catalog\".<=) $2::bigint");
    pawl_strbuf_fini(&f.sql);
}

static void
without_a_frontier_the_lower_term_is_left_out(void **state)
{
    fixture f;

    (void) state;
    fixture_init(&f);
    pawl_stmt_ahead(&f.sql, &f.job, false);
    assert_null(strstr(f.sql.data, ".>)"));
    assert_non_null(strstr(f.sql.data, "OFFSET $3::bigint LIMIT 1"));
    pawl_strbuf_fini(&f.sql);
}

static void
a_users_comment_swallows_nothing(void **state)
{
    fixture f;

    (void) state;
    fixture_init(&f);
    f.spec.where = "c IS NULL -- the rest";
    pawl_stmt_read(&f.sql, &f.job, false, false);
    assert_non_null(
        strstr(f.sql.data, "AND CASE WHEN (c IS NULL -- the rest\n) THEN true ELSE false END ORDER BY"));
    pawl_strbuf_fini(&f.sql);
}

static void
lengths_are_left_to_the_assignment(void **state)
{
    const bool masked[] = {false, true};
    const pawl_write_shape shape = {.with_range = true, .all_old = true, .is_masked = masked};
    fixture f;

    (void) state;
    fixture_init(&f);
    pawl_stmt_write(&f.sql, &f.job, &shape);
    assert_non_null(strstr(f.sql.data, "\"c\" = u.pawl_v1::numeric"));
    assert_non_null(strstr(f.sql.data, "CASE WHEN u.pawl_m2 THEN u.pawl_v2 ELSE t.\"d\" END"));
    assert_non_null(strstr(f.sql.data, IS_OLD("$5")));
    assert_non_null(strstr(f.sql.data, "OPERATOR(\"pg_catalog\".=) u.pawl_k2::bpchar"));
    pawl_strbuf_fini(&f.sql);
}

static void
what_both_ends_of_a_range_share_is_said_as_an_equality(void **state)
{
    const pawl_set_expression set[] = {{"c", "1"}};
    fixture f;

    (void) state;
    fixture_init(&f);
    f.spec.set = set;
    f.spec.nset = 1;
    pawl_stmt_set(&f.sql, &f.job, &(pawl_set_shape){.has_lower = true, .same = 1});
    assert_string_equal(f.sql.data, "UPDATE ONLY \"we\"\"ird\".\"t\" AS t SET \"c\" = (1\n) WHERE"
                                    " t.\"a\" OPERATOR(\"pg_catalog\".=) $1::bigint AND"
                                    " t.\"a\" OPERATOR(\"pg_catalog\".=) $3::bigint AND"
                                    " t.\"b \"\"q\"\"\" OPERATOR(\"pg_catalog\".>) $2::bpchar AND"
                                    " t.\"b \"\"q\"\"\" OPERATOR(\"pg_catalog\".<=) $4::bpchar");
    pawl_strbuf_fini(&f.sql);
}

static void
keys_share_leading_parts_that_are_the_same_text_but_never_all(void **state)
{
    const pawl_keyval a = {.is_set = true, .count = 3, .part = {"1", "x", "y"}};
    const pawl_keyval b = {.is_set = true, .count = 3, .part = {"1", "x", "z"}};
    const pawl_keyval c = {.is_set = true, .count = 3, .part = {"1.0", "x", "y"}};
    const pawl_keyval none = {0};

    (void) state;
    assert_int_equal(pawl_keyval_same(&a, &b), 2);
    assert_int_equal(pawl_keyval_same(&a, &a), 2);
    assert_int_equal(pawl_keyval_same(&a, &c), 0);
    assert_int_equal(pawl_keyval_same(&none, &a), 0);
    assert_int_equal(pawl_keyval_same(&a, &none), 0);
}

static void
integers_on_the_wire_are_read_whole_or_refused(void **state)
{
    static const struct
    {
        pawl_wire wire;
        const char *text;
        bool ok;
    } cases[] = {{PAWL_WIRE_INT8, "9223372036854775807", true},
                 {PAWL_WIRE_INT8, "-9223372036854775808", true},
                 {PAWL_WIRE_INT8, "9223372036854775808", false},
                 {PAWL_WIRE_INT8, "-9223372036854775809", false},
                 {PAWL_WIRE_INT8, "18446744073709551617", false},
                 {PAWL_WIRE_INT4, "2147483647", true},
                 {PAWL_WIRE_INT4, "2147483648", false},
                 {PAWL_WIRE_INT2, "-32768", true},
                 {PAWL_WIRE_INT2, "32768", false},
                 {PAWL_WIRE_INT4, "", false},
                 {PAWL_WIRE_INT4, "-", false},
                 {PAWL_WIRE_INT4, "1 ", false},
                 {PAWL_WIRE_TEXT, "anything", true}};

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    {
        pawl_pg_array array;

        pawl_pg_array_init(&array, pawl_wire_element(cases[i].wire));
        assert_int_equal(pawl_wire_can_add(cases[i].wire, &array, cases[i].text, strlen(cases[i].text)),
                         cases[i].ok);
        assert_int_equal(array.count, cases[i].ok ? 1 : 0);
        pawl_pg_array_fini(&array);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_composite_key_is_compared_as_a_row),
        cmocka_unit_test(without_a_frontier_the_lower_term_is_left_out),
        cmocka_unit_test(rows_are_found_by_place_behind_a_test_of_the_range),
        cmocka_unit_test(a_users_comment_swallows_nothing),
        cmocka_unit_test(lengths_are_left_to_the_assignment),
        cmocka_unit_test(what_both_ends_of_a_range_share_is_said_as_an_equality),
        cmocka_unit_test(keys_share_leading_parts_that_are_the_same_text_but_never_all),
        cmocka_unit_test(integers_on_the_wire_are_read_whole_or_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
