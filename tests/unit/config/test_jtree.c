#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/jtree.h"
#include "util/strbuf.h"

#include "util/banned.h"

static pawl_jnode *
parse(pawl_arena *arena, const char *text)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_jnode *node = NULL;

    if (pawl_jtree_parse(text, "f.json", arena, &node, &err) != PAWL_OK)
        fail_msg("%s: %s (%d:%d)", text, err.message, err.line, err.column);
    return node;
}

static void
assert_refused(pawl_arena *arena, const char *text, int line, int column)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_jnode *node = NULL;

    if (pawl_jtree_parse(text, "f.json", arena, &node, &err) != PAWL_E_INPUT)
        fail_msg("%s was taken", text);
    assert_null(node);
    assert_string_equal(err.file, "f.json");
    if (err.line != line || err.column != column)
        fail_msg("%s: %d:%d, not %d:%d: %s", text, err.line, err.column, line, column, err.message);
}

static void
values_keep_digits_bytes_and_places(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_jnode *root =
        parse(arena, " {\"n\": -1.500e+400,\n \"a\": [null, true , false, \"x\"], \"o\":{ } } ");
    const pawl_jnode *n = pawl_jtree_get(root, "n");
    const pawl_jnode *a = pawl_jtree_get(root, "a");

    (void) state;
    assert_int_equal(root->kind, PAWL_JOBJECT);
    assert_int_equal(n->kind, PAWL_JNUMBER);
    assert_string_equal(n->text, "-1.500e+400");
    assert_int_equal(a->line, 2);
    assert_int_equal(a->column, 7);
    assert_int_equal(a->length, 4);
    assert_int_equal(a->items[0]->kind, PAWL_JNULL);
    assert_string_equal(a->items[1]->text, "true");
    assert_int_equal(a->raw_length, strlen("[null, true , false, \"x\"]"));
    assert_memory_equal(a->raw, "[null, true , false, \"x\"]", a->raw_length);
    assert_int_equal(pawl_jtree_get(root, "o")->length, 0);
    assert_null(pawl_jtree_get(root, "z"));
    assert_null(pawl_jtree_get(a, "z"));
}

static void
strings_are_decoded(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    assert_string_equal(parse(arena, "\"\\\"\\\\\\/\\b\\f\\n\\r\\t\"")->text, "\"\\/\b\f\n\r\t");
    assert_string_equal(parse(arena, "\"\\u0041\\u00e9\\u20AC\\ud83d\\uDE00\"")->text,
                        "A\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80");
    assert_string_equal(parse(arena, "\"\xc3\xa9\"")->text, "\xc3\xa9");
}

static void
what_is_no_json_is_refused_at_its_place(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    assert_refused(arena, "", 1, 1);
    assert_refused(arena, "[1,]", 1, 4);
    assert_refused(arena, "[1 2]", 1, 4);
    assert_refused(arena, "{\"a\": 1,\n\"a\": 2}", 2, 4);
    assert_refused(arena, "{a: 1}", 1, 2);
    assert_refused(arena, "{\"a\" 1}", 1, 6);
    assert_refused(arena, "01", 1, 1);
    assert_refused(arena, "1.", 1, 3);
    assert_refused(arena, "1e", 1, 3);
    assert_refused(arena, "-", 1, 2);
    assert_refused(arena, "nul", 1, 1);
    assert_refused(arena, "true false", 1, 6);
    assert_refused(arena, "\"abc", 1, 5);
    assert_refused(arena, "\"a\nb\"", 1, 3);
    assert_refused(arena, "\"\\x\"", 1, 3);
    assert_refused(arena, "\"\\u12g4\"", 1, 4);
    assert_refused(arena, "\"\\u0000\"", 1, 4);
    assert_refused(arena, "\"\\ud800x\"", 1, 8);
    assert_refused(arena, "\"\\udc00\"", 1, 8);
}

static void
deep_nesting_is_refused(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_STRBUF_AUTO(text);

    (void) state;
    for (int i = 0; i < 100000; i++)
        pawl_strbuf_addc(&text, '[');
    assert_refused(arena, text.data, 1, 1001);
}

static void
equality_ignores_order_of_keys_and_not_digits(void **state)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();

    (void) state;
    assert_true(pawl_jtree_is_equal(parse(arena, "{\"a\":1, \"b\":[true, {}]}"),
                                    parse(arena, "{ \"b\" : [ true,{} ], \"a\": 1 }")));
    assert_false(pawl_jtree_is_equal(parse(arena, "1.0"), parse(arena, "1")));
    assert_false(pawl_jtree_is_equal(parse(arena, "[1, 2]"), parse(arena, "[2, 1]")));
    assert_false(pawl_jtree_is_equal(parse(arena, "{}"), parse(arena, "[]")));
    assert_false(pawl_jtree_is_equal(parse(arena, "{\"a\":1}"), parse(arena, "{\"b\":1}")));
    assert_false(pawl_jtree_is_equal(parse(arena, "\"1\""), parse(arena, "1")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(values_keep_digits_bytes_and_places),
        cmocka_unit_test(strings_are_decoded),
        cmocka_unit_test(what_is_no_json_is_refused_at_its_place),
        cmocka_unit_test(deep_nesting_is_refused),
        cmocka_unit_test(equality_ignores_order_of_keys_and_not_digits),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
