/* What is encoded here is what the server would have made of the same text. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/encode.h"
#include "pg/copy.h"
#include "pg/txn.h"
#include "support/server.h"
#include "support/session.h"
#include "util/rng.h"

#include "util/banned.h"

static const char *db;

/* Send each text beside its encoding; the server compares the two. */
static void
compare(const char *type, pawl_encoding encoding, const char *const *texts, size_t count)
{
    PAWL_AUTO(pawl_pg) pg = pawl_test_open(db, NULL);
    PAWL_STRBUF_AUTO(b);
    PAWL_STRBUF_AUTO(sql);
    pawl_error err = PAWL_ERROR_INIT;

    pawl_strbuf_addf(&sql, "DROP TABLE IF EXISTS e; CREATE TABLE e (t text, v %s)", type);
    pawl_test_exec(db, sql.data);
    pawl_encode_head(&b);
    for (size_t i = 0; i < count; i++)
    {
        size_t length = strlen(texts[i]);

        pawl_encode_i16(&b, 2);
        assert_true(pawl_encode_can_add(&b, PAWL_ENCODING_TEXT, texts[i], length));
        if (!pawl_encode_can_add(&b, encoding, texts[i], length))
            fail_msg("%s as %s", texts[i], type);
    }
    pawl_encode_i16(&b, PAWL_COPY_TRAILER);
    if (pawl_pg_begin(pg, NULL, &err) != PAWL_OK ||
        pawl_pg_copy_begin(pg, "COPY public.e FROM STDIN (FORMAT binary)", &err) != PAWL_OK ||
        pawl_pg_copy_put(pg, b.data, b.length, &err) != PAWL_OK ||
        pawl_pg_copy_end(pg, NULL, &err) != PAWL_OK || pawl_pg_commit(pg, &err) != PAWL_OK)
        fail_msg("%s: %s", type, err.message);
    pawl_strbuf_reset(&sql);
    pawl_strbuf_addf(&sql,
                     "SELECT coalesce(string_agg(t || ' became ' || v::text, ', '), '') FROM e "
                     "WHERE v::text IS DISTINCT FROM t::%s::text",
                     type);
    char *wrong = pawl_test_query_text(db, sql.data);

    assert_string_equal(wrong, "");
    free(wrong);
    assert_int_equal(pawl_test_number(pg, "SELECT count(*) FROM public.e"), (int64_t) count);
}

static void
numbers_are_what_the_server_makes_of_their_text(void **state)
{
    static const char *const numerics[] = {"0",
                                           "1",
                                           "-1",
                                           "10000",
                                           "9999",
                                           "0.1",
                                           "0.0001",
                                           "0.00001",
                                           "1.50",
                                           "-0.00",
                                           "00012",
                                           "123456789.123456789",
                                           "100000000",
                                           "0.10000",
                                           "NaN",
                                           "12345.678",
                                           "-98765432109876543210.0123456789",
                                           "1000000.00000001",
                                           ".5",
                                           "5.",
                                           "+7"};
    static const char *const ints[] = {"0", "-1", "32767", "-32768"};
    static const char *const bigs[] = {"9223372036854775807", "-9223372036854775808", "42"};
    static const char *const floats[] = {"0",   "-0",       "1.5",       "1e300", "-2.2250738585072014e-308",
                                         "NaN", "Infinity", "-Infinity", "0.1"};

    (void) state;
    compare("numeric", PAWL_ENCODING_NUMERIC, numerics, sizeof numerics / sizeof numerics[0]);
    compare("numeric(30,3)", PAWL_ENCODING_NUMERIC, numerics, sizeof numerics / sizeof numerics[0]);
    compare("int2", PAWL_ENCODING_INT2, ints, 4);
    compare("int4", PAWL_ENCODING_INT4, ints, 4);
    compare("int8", PAWL_ENCODING_INT8, bigs, 3);
    compare("float8", PAWL_ENCODING_FLOAT8, floats, sizeof floats / sizeof floats[0]);
}

static void
random_decimals_are_what_the_server_makes_of_their_text(void **state)
{
    static char texts[2000][64];
    static const char *list[2000];
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 7);
    for (int i = 0; i < 2000; i++)
    {
        PAWL_STRBUF_AUTO(b);
        uint64_t whole = pawl_rng_below(&rng, 20);
        uint64_t fraction = pawl_rng_below(&rng, 20);

        if (pawl_rng_below(&rng, 2) == 0)
            pawl_strbuf_addc(&b, '-');
        for (uint64_t k = 0; k <= whole; k++)
            pawl_strbuf_addc(&b,
                             (char) ('0' + (pawl_rng_below(&rng, 3) == 0 ? pawl_rng_below(&rng, 10) : 0)));
        if (fraction > 0)
            pawl_strbuf_addc(&b, '.');
        for (uint64_t k = 0; k < fraction; k++)
            pawl_strbuf_addc(&b,
                             (char) ('0' + (pawl_rng_below(&rng, 3) == 0 ? pawl_rng_below(&rng, 10) : 0)));
        pawl_fmt(texts[i], sizeof texts[i], "%s", b.data);
        list[i] = texts[i];
    }
    compare("numeric", PAWL_ENCODING_NUMERIC, list, 2000);
}

static void
other_types_are_what_the_server_makes_of_their_text(void **state)
{
    static const char *const bools[] = {"t", "f", "true", "false"};
    static const char *const uuids[] = {"a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
                                        "A0EEBC999C0B4EF8BB6D6BB9BD380A11"};
    static const char *const bytes[] = {"\\x", "\\x00ff10", "\\xDEADBEEF"};
    static const char *const jsons[] = {"{\"b\": 1, \"a\": [1.50, null]}", "null", "\"x\""};
    static const char *const words[] = {"", "x", "gr\xc3\xbc\xc3\x9f", "tab\there", "\\N"};
    static const char *const moods[] = {"sad", "ok"};

    (void) state;
    pawl_test_exec(db, "CREATE TYPE mood AS ENUM ('sad', 'ok')");
    compare("bool", PAWL_ENCODING_BOOL, bools, 4);
    compare("uuid", PAWL_ENCODING_UUID, uuids, 2);
    compare("bytea", PAWL_ENCODING_BYTEA, bytes, 3);
    compare("jsonb", PAWL_ENCODING_JSONB, jsons, 3);
    compare("json", PAWL_ENCODING_TEXT, jsons, 3);
    compare("text", PAWL_ENCODING_TEXT, words, 5);
    compare("varchar(20)", PAWL_ENCODING_TEXT, words, 5);
    compare("char(20)", PAWL_ENCODING_TEXT, words, 5);
    compare("mood", PAWL_ENCODING_TEXT, moods, 2);
}

static void
what_is_no_value_is_refused_and_leaves_nothing(void **state)
{
    static const struct
    {
        pawl_encoding encoding;
        const char *text;
    } wrong[] = {
        {PAWL_ENCODING_INT2, "32768"},      {PAWL_ENCODING_INT4, "2147483648"}, {PAWL_ENCODING_INT8, "1.5"},
        {PAWL_ENCODING_NUMERIC, "1e5"},     {PAWL_ENCODING_NUMERIC, ""},        {PAWL_ENCODING_NUMERIC, "-"},
        {PAWL_ENCODING_NUMERIC, "1.2.3"},   {PAWL_ENCODING_BOOL, "yes"},        {PAWL_ENCODING_UUID, "x"},
        {PAWL_ENCODING_BYTEA, "\\x0"},      {PAWL_ENCODING_BYTEA, "\\x0g"},     {PAWL_ENCODING_FLOAT8, "abc"},
        {PAWL_ENCODING_NONE, "2020-01-01"},
    };
    PAWL_STRBUF_AUTO(b);

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        if (pawl_encode_can_add(&b, wrong[i].encoding, wrong[i].text, strlen(wrong[i].text)))
            fail_msg("\"%s\" was taken", wrong[i].text);
    assert_int_equal(b.length, 0);
}

static int
setup(void **state)
{
    int st = pawl_test_setup(state);

    db = pawl_test_database_new("encode");
    return st;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(numbers_are_what_the_server_makes_of_their_text),
        cmocka_unit_test(random_decimals_are_what_the_server_makes_of_their_text),
        cmocka_unit_test(other_types_are_what_the_server_makes_of_their_text),
        cmocka_unit_test(what_is_no_value_is_refused_and_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
