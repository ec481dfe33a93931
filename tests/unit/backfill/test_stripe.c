#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/stripe.h"

#include "util/banned.h"

static unsigned
part(uint32_t type, const char *text)
{
    const pawl_column column = {.base_type = type};

    return pawl_stripe_part(&column, text, strlen(text));
}

/* What stands in ledgers of unfinished jobs was computed so: these must never change. */
static void
stripes_of_integers_are_the_value_modulo_twelve(void **state)
{
    (void) state;
    assert_int_equal(part(PAWL_OID_INT8, "0"), 0);
    assert_int_equal(part(PAWL_OID_INT8, "11"), 11);
    assert_int_equal(part(PAWL_OID_INT8, "12"), 0);
    assert_int_equal(part(PAWL_OID_INT4, "-1"), 11);
    assert_int_equal(part(PAWL_OID_INT2, "-12"), 0);
    assert_int_equal(part(PAWL_OID_INT2, "-32768"), 4);
    assert_int_equal(part(PAWL_OID_INT8, "9223372036854775807"), 7);
    assert_int_equal(part(PAWL_OID_INT8, "-9223372036854775808"), 4);
}

/* The numbers are what hashtext() of PostgreSQL says, as unsigned ones. */
static void
texts_are_hashed_as_the_server_does(void **state)
{
    static const struct
    {
        const char *text;
        uint32_t hash;
    } known[] = {
        {"", 0xa7ea466dU},
        {"a", 0x401370b1U},
        {"ab", 0x666effbdU},
        {"abc", 0xd12feb97U},
        {"abcd", 0xe885082cU},
        {"abcde", 0xe56fc644U},
        {"abcdefg", 0x1de65eceU},
        {"abcdefgh", 0x8b1e9c33U},
        {"abcdefghi", 0xfa822f5fU},
        {"abcdefghijk", 0xa78ef3d3U},
        {"abcdefghijkl", 0xa1763ad4U},
        {"abcdefghijklm", 0x1830c6d0U},
        {"SKU-00012345", 0xf4b27989U},
        {"6f1c2a3e-5b1d-4f6a-9c3e-0a1b2c3d4e5f", 0x08614b48U},
        {"Grüße aus Köln, 東京", 0xd299fa58U},
    };

    (void) state;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++)
        assert_int_equal(pawl_stripe_hash(known[i].text, strlen(known[i].text)), known[i].hash);
}

static void
stripes_of_texts_never_change(void **state)
{
    (void) state;
    assert_int_equal(part(PAWL_OID_TEXT, ""), 5);
    assert_int_equal(part(PAWL_OID_TEXT, "SKU-00012345"), 9);
    assert_int_equal(part(2950, "6f1c2a3e-5b1d-4f6a-9c3e-0a1b2c3d4e5f"), 0);
}

static void
keys_whose_texts_may_change_have_no_stripes(void **state)
{
    static const struct
    {
        uint32_t type;
        bool is_good;
    } types[] = {{PAWL_OID_INT8, true}, {PAWL_OID_TEXT, true},     {2950, true},
                 {1184, true},          {PAWL_OID_NUMERIC, false}, {PAWL_OID_BPCHAR, false},
                 {1186, false},         {PAWL_OID_FLOAT8, false}};

    (void) state;
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
    {
        const pawl_column column = {.base_type = types[i].type};
        pawl_key_column columns[] = {{.column = &column}};
        const pawl_key key = {.columns = columns, .ncolumns = 1};

        assert_int_equal(pawl_stripe_has_texts(&key), types[i].is_good);
    }
}

static void
the_expression_adds_up_the_parts_of_all_columns(void **state)
{
    const pawl_column a = {.base_type = PAWL_OID_INT4, .name = "a"};
    const pawl_column b = {.base_type = PAWL_OID_TEXT, .name = "b"};
    pawl_key_column columns[] = {{.column = &a}, {.column = &b}};
    const pawl_key key = {.columns = columns, .ncolumns = 2};
    pawl_strbuf sql = PAWL_STRBUF_INIT;

    (void) state;
    pawl_stripe_sql(&sql, &key);
    assert_string_equal(sql.data,
                        "pg_catalog.mod(pg_catalog.mod(t.\"a\"::bigint, 12) OPERATOR(pg_catalog.+) 12"
                        " OPERATOR(pg_catalog.+) (pg_catalog.hashtext(pg_catalog.concat(t.\"b\")"
                        " COLLATE pg_catalog.\"C\") OPERATOR(pg_catalog.&) 2147483647)::bigint, 12)");
    pawl_strbuf_fini(&sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(stripes_of_integers_are_the_value_modulo_twelve),
        cmocka_unit_test(texts_are_hashed_as_the_server_does),
        cmocka_unit_test(stripes_of_texts_never_change),
        cmocka_unit_test(keys_whose_texts_may_change_have_no_stripes),
        cmocka_unit_test(the_expression_adds_up_the_parts_of_all_columns),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
