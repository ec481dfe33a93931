#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "config/yaml.h"
#include "util/alloc.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* A parsed text with all that belongs to it. */
typedef struct document
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_yaml *root;
} document;

static document
parse_bytes(const char *text, size_t length)
{
    document d = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_error err = PAWL_ERROR_INIT;

    assert_non_null(d.arena);
    assert_non_null(d.problems);
    assert_int_equal(pawl_yaml_parse("t.yaml", text, length, d.arena, d.problems, &d.root, &err), PAWL_OK);
    return d;
}

static document
parse(const char *text)
{
    return parse_bytes(text, strlen(text));
}

static void
drop(document *d)
{
    pawl_problems_free(d->problems);
    pawl_arena_free(d->arena);
}

/* The text has exactly one problem, there and with these words. */
static void
expect_problem(const char *text, int line, int column, const char *words)
{
    document d = parse(text);
    const pawl_problem *p;

    if (pawl_problems_count(d.problems) != 1)
    {
        for (size_t i = 0; i < pawl_problems_count(d.problems); i++)
            print_error("%d: %s\n", pawl_problems_get(d.problems, i)->line,
                        pawl_problems_get(d.problems, i)->message);
        fail_msg("%zu problems in: %s", pawl_problems_count(d.problems), text);
    }
    p = pawl_problems_get(d.problems, 0);
    if (strstr(p->message, words) == NULL || p->line != line || p->column != column)
        fail_msg("got %d:%d \"%s\" for: %s", p->line, p->column, p->message, text);
    drop(&d);
}

static void
tree_knows_kinds_texts_and_places(void **state)
{
    document d = parse("a: 1\nb:\n  - x\n  - \"y z\"\nc: {d: 'q'}\nd: |\n  line 1\n  line 2\n");
    const pawl_yaml *b;

    (void) state;
    assert_int_equal(pawl_problems_count(d.problems), 0);
    assert_int_equal(d.root->kind, PAWL_YAML_MAPPING);
    assert_int_equal(d.root->length, 4);
    assert_string_equal(pawl_yaml_get(d.root, "a")->text, "1");
    b = pawl_yaml_get(d.root, "b");
    assert_int_equal(b->kind, PAWL_YAML_SEQUENCE);
    assert_int_equal(b->length, 2);
    assert_int_equal(b->items[1]->line, 4);
    assert_int_equal(b->items[1]->column, 5);
    assert_false(b->items[1]->is_plain);
    assert_true(b->items[0]->is_plain);
    assert_string_equal(pawl_yaml_get(pawl_yaml_get(d.root, "c"), "d")->text, "q");
    assert_string_equal(pawl_yaml_get(d.root, "d")->text, "line 1\nline 2\n");
    assert_null(pawl_yaml_get(d.root, "e"));
    assert_null(pawl_yaml_get(b, "e"));
    drop(&d);
}

static void
plain_scalars_stay_as_written(void **state)
{
    document d = parse("a: 00012345\nb: on\nc: 1e3\nd: ~\ne:\nf: 'null'\ng: null\n");

    (void) state;
    assert_string_equal(pawl_yaml_get(d.root, "a")->text, "00012345");
    assert_string_equal(pawl_yaml_get(d.root, "b")->text, "on");
    assert_string_equal(pawl_yaml_get(d.root, "c")->text, "1e3");
    assert_true(pawl_yaml_get(d.root, "d")->is_null);
    assert_true(pawl_yaml_get(d.root, "e")->is_null);
    assert_false(pawl_yaml_get(d.root, "f")->is_null);
    assert_true(pawl_yaml_get(d.root, "g")->is_null);
    drop(&d);
}

static void
empty_document_is_an_empty_mapping(void **state)
{
    static const char *const texts[] = {"", "\n", "# only a comment\n", "---\n", "--- ~\n", "---\n...\n"};

    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    {
        document d = parse(texts[i]);

        assert_int_equal(pawl_problems_count(d.problems), 0);
        assert_non_null(d.root);
        assert_int_equal(d.root->kind, PAWL_YAML_MAPPING);
        assert_int_equal(d.root->length, 0);
        assert_int_equal(d.root->line, 1);
        drop(&d);
    }
}

static void
text_that_a_comment_follows_is_marked_as_cut(void **state)
{
    document d =
        parse("a: SELECT 1 # one\nb: SELECT 1\n# below\nc: 'x' # quoted\nd: a#b\ne: one\n  two  # end\n"
              "f: \xC3\xA4\xC3\xB6 # umlauts\ng: [p # in a list\n  ]\nh: # nothing\ni: end #");

    (void) state;
    assert_int_equal(pawl_problems_count(d.problems), 0);
    assert_true(pawl_yaml_get(d.root, "a")->is_cut);
    assert_false(pawl_yaml_get(d.root, "b")->is_cut);
    assert_false(pawl_yaml_get(d.root, "c")->is_cut);
    assert_false(pawl_yaml_get(d.root, "d")->is_cut);
    assert_true(pawl_yaml_get(d.root, "e")->is_cut);
    assert_string_equal(pawl_yaml_get(d.root, "e")->text, "one two");
    assert_true(pawl_yaml_get(d.root, "f")->is_cut);
    assert_true(pawl_yaml_get(d.root, "g")->items[0]->is_cut);
    assert_false(pawl_yaml_get(d.root, "h")->is_cut);
    assert_true(pawl_yaml_get(d.root, "i")->is_cut);
    drop(&d);
}

static void
nodes_know_their_bytes(void **state)
{
    static const char text[] = "\xC3\xA4: 1\r\nb:\r\n  - \xE2\x82\xAC x\r\n  - {k: v}\r\nc: z\r\n";
    document d = parse(text);
    const pawl_yaml *b = pawl_yaml_get(d.root, "b");

    (void) state;
    assert_memory_equal(text + b->items[0]->start, "\xE2\x82\xAC x", 5);
    assert_int_equal(b->items[0]->end - b->items[0]->start, 5);
    assert_memory_equal(text + b->items[1]->start, "{k: v}", 6);
    assert_int_equal(b->items[1]->end - b->items[1]->start, 6);
    assert_int_equal(b->end, b->items[1]->end);
    assert_int_equal(d.root->start, 0);
    assert_memory_equal(text + d.root->end, "\r\n", 3);
    drop(&d);
}

static void
what_the_subset_leaves_out_is_refused_with_its_place(void **state)
{
    (void) state;
    expect_problem("a: 1\nb: 2\na: 3\n", 3, 1, "key \"a\" is written twice");
    expect_problem("x:\n  a: 1\n  'a': 3\n", 3, 3, "written twice");
    expect_problem("a: &x 1\n", 1, 4, "anchors");
    expect_problem("a: [1, *x]\n", 1, 8, "aliases");
    expect_problem("<<: {a: 1}\n", 1, 1, "<<");
    expect_problem("a: !!str 1\n", 1, 4, "tags");
    expect_problem("a: !own {b: c}\n", 1, 4, "tags");
    expect_problem("a: 1\n---\nb: 2\n", 2, 1, "second YAML document");
    expect_problem("? [a, b]\n: c\n", 1, 3, "a key must be a word");
    expect_problem("a: 1\n'': 2\n", 2, 1, "a key must be a word");
    expect_problem("a: \"x\\0y\"\n", 1, 4, "NUL");
}

static void
first_of_two_equal_keys_counts(void **state)
{
    document d = parse("a: 1\nb: 0\na: 2\na: 3\n");

    (void) state;
    assert_int_equal(pawl_problems_count(d.problems), 2);
    assert_string_equal(pawl_yaml_get(d.root, "a")->text, "1");
    assert_string_equal(pawl_problems_get(d.problems, 1)->hint, "it is already in line 1: keep one of them");
    drop(&d);
}

static void
bytes_that_are_no_clean_utf8_are_refused_with_their_place(void **state)
{
    (void) state;
    expect_problem("\xEF\xBB\xBFrevision: x\n", 1, 1, "byte order mark");
    expect_problem("a: 1\nb: \xC3\xA4\xFF\n", 2, 5, "byte 0xFF is no valid UTF-8");
    expect_problem("a: \xC0\x80\n", 1, 4, "no valid UTF-8");
    expect_problem("a: \xED\xA0\x80\n", 1, 4, "no valid UTF-8");
    expect_problem("a: \xF4\x90\x80\x80\n", 1, 4, "no valid UTF-8");
    expect_problem("a: x\xE2\x82", 1, 5, "no valid UTF-8");
    expect_problem("a: 1\r\nb: \x1B[0m\r\n", 2, 4, "U+001B");
    expect_problem("a: x\xE2\x80\x8By\xEF\xBB\xBF\n", 1, 7, "byte order mark");
    expect_problem("\xFF\xFE"
                   "a",
                   1, 1, "UTF-16");
}

static void
nul_byte_is_refused(void **state)
{
    document d = parse_bytes("a: b\0c\n", 7);

    (void) state;
    assert_null(d.root);
    assert_int_equal(pawl_problems_count(d.problems), 1);
    assert_string_equal(pawl_problems_get(d.problems, 0)->message,
                        "the invisible character U+0000 is not allowed");
    drop(&d);
}

static void
syntax_errors_are_told_in_words_for_people(void **state)
{
    (void) state;
    expect_problem("a:\n\tb: 1\n", 2, 1, "a tab is used");
    expect_problem("a: 'open\nb: 1\n", 1, 4, "this quoted text does not end");
    expect_problem("a: b: c\n", 1, 5, "a \": \" is not allowed here");
    expect_problem("a: [1, 2\nb: 3\n", 1, 4, "this list in [ ] does not end");
    expect_problem("a: {b: 1\nc: 3\n", 1, 4, "this mapping in { } does not end");
    expect_problem("a: 1\nword\nb: 2\n", 2, 1, "this line is no KEY: VALUE");
    expect_problem("a: @x\n", 1, 4, "cannot begin with this character");
    expect_problem("a: \"\\q\"\n", 1, 5, "this escape does not exist");
    expect_problem("a:\n    b: 1\n  c: 2\n", 3, 3, "a key is expected here");
    expect_problem("a: - b\n", 1, 4, "a \"- \" is not allowed here");
    expect_problem("a: \"x\" y\n", 1, 8, "a key is expected here");
    expect_problem("a: | x\n  y\n", 1, 6, "only a line break may follow");
    expect_problem("a: !x!y z\n", 1, 4, "tags");
}

static void
tabs_inside_block_text_are_content(void **state)
{
    document d = parse("sql: |\n  SELECT\n  \t1\n");

    (void) state;
    assert_int_equal(pawl_problems_count(d.problems), 0);
    assert_string_equal(pawl_yaml_get(d.root, "sql")->text, "SELECT\n\t1\n");
    drop(&d);
}

/* "a: [[[...x...]]]" with `depth` brackets, or the same as lines. */
static void
nest(pawl_strbuf *b, int depth, bool is_flow)
{
    pawl_strbuf_reset(b);
    for (int i = 0; i < depth; i++)
        pawl_strbuf_add(b, is_flow ? "[" : "- ");
    pawl_strbuf_add(b, "x");
    for (int i = 0; i < depth && is_flow; i++)
        pawl_strbuf_add(b, "]");
    pawl_strbuf_add(b, "\n");
}

static void
nesting_is_read_to_its_limit_and_refused_beyond(void **state)
{
    PAWL_STRBUF_AUTO(text);

    (void) state;
    for (int is_flow = 0; is_flow < 2; is_flow++)
    {
        document d;

        nest(&text, PAWL_YAML_DEPTH, is_flow == 1);
        d = parse(text.data);
        assert_int_equal(pawl_problems_count(d.problems), 0);
        assert_non_null(d.root);
        drop(&d);

        nest(&text, PAWL_YAML_DEPTH + 1, is_flow == 1);
        expect_problem(text.data, 1, is_flow == 1 ? PAWL_YAML_DEPTH + 1 : PAWL_YAML_DEPTH * 2 + 1,
                       "nested too deep");
        nest(&text, 20000, is_flow == 1);
        expect_problem(text.data, 1, is_flow == 1 ? PAWL_YAML_DEPTH + 1 : PAWL_YAML_DEPTH * 2 + 1,
                       "nested too deep");
    }
}

static void
large_mapping_is_read_in_a_moment(void **state)
{
    PAWL_STRBUF_AUTO(text);
    document d;

    (void) state;
    for (int i = 0; i < 20000; i++)
        pawl_strbuf_addf(&text, "key%d: {a: %d, b: [x, y]}%s", i, i, i % 2 == 0 ? "\n" : " # note\n");
    pawl_strbuf_add(&text, "key7: again\n");
    d = parse(text.data);
    assert_int_equal(pawl_problems_count(d.problems), 1);
    assert_int_equal(d.root->length, 20001);
    drop(&d);
}

static void
every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    static const char text[] = "a: 1\nb: [x, {c: d}]\nb: 2\n";
    bool is_done = false;

    (void) state;
    for (long nth = 0; !is_done; nth++)
    {
        pawl_arena *arena = pawl_arena_new();
        pawl_problems *problems = pawl_problems_new();
        pawl_yaml *root = NULL;
        pawl_error err = PAWL_ERROR_INIT;
        pawl_error listed = PAWL_ERROR_INIT;
        pawl_status st;

        pawl_test_fail_alloc(nth);
        st = pawl_yaml_parse("t.yaml", text, sizeof text - 1, arena, problems, &root, &err);
        pawl_test_fail_alloc(-1);
        if (st != PAWL_OK)
        {
            assert_int_equal(st, PAWL_E_NOMEM);
            assert_int_equal(err.code, PAWL_E_NOMEM);
            assert_null(root);
        }
        else
        {
            is_done = pawl_problems_status(problems, &listed) == PAWL_E_INPUT;
            assert_true(is_done || listed.code == PAWL_E_NOMEM);
        }
        pawl_problems_free(problems);
        pawl_arena_free(arena);
        assert_in_range(nth, 0, 100);
    }
}

static const char sample[] = "revision: \"a41c20f9\"\n"
                             "parents: [\"d17be032\"]\n"
                             "description: Preise \xC3\xA4ndern # note\n"
                             "labels: [catalog]\n"
                             "up:\n"
                             "  - swap_column:\n"
                             "      table: public.products\n"
                             "      using: 'price::numeric'\n"
                             "      lua: transforms/price.lua\n"
                             "  - sql: |\n"
                             "      UPDATE t SET a = 1;\n"
                             "      -- end\n"
                             "    down: nothing\n"
                             "  - backfill: { table: t, read: [a, b], \"on_error\": stop }\n"
                             "down: auto\n";

/* Change, drop, double or insert a few bytes. */
static void
mutate(pawl_rng *rng, pawl_strbuf *b)
{
    static const char spice[] = ":-[]{}'\"|>&*!%@`#,? \t\n\r\0\xFF\xC3\x80~<=\\x";
    uint64_t edits = 1 + pawl_rng_below(rng, 4);

    pawl_strbuf_reset(b);
    pawl_strbuf_addn(b, sample, sizeof sample - 1);
    for (uint64_t i = 0; i < edits && b->length > 0; i++)
    {
        size_t at = (size_t) pawl_rng_below(rng, b->length);
        PAWL_STRBUF_AUTO(tail);

        pawl_strbuf_addn(&tail, b->data + at, b->length - at);
        switch (pawl_rng_below(rng, 4))
        {
            case 0:
                b->data[at] = spice[pawl_rng_below(rng, sizeof spice - 1)];
                break;
            case 1:
                pawl_strbuf_truncate(b, at);
                pawl_strbuf_addc(b, spice[pawl_rng_below(rng, sizeof spice - 1)]);
                pawl_strbuf_addn(b, tail.data, tail.length);
                break;
            case 2:
                pawl_strbuf_truncate(b, at);
                pawl_strbuf_addn(b, tail.data + 1, tail.length - 1);
                break;
            default:
                pawl_strbuf_truncate(b, (size_t) pawl_rng_below(rng, b->length + 1));
                pawl_strbuf_addn(b, tail.data, tail.length);
                break;
        }
    }
}

/* Each node's bytes lie in the text and in its parent's. */
static void
check_spans(const pawl_yaml *node, size_t from, size_t to)
{
    assert_true(node->line >= 1 && node->column >= 1);
    assert_true(node->start >= from && node->start <= node->end && node->end <= to);
    for (size_t i = 0; i < node->length; i++)
    {
        if (node->kind == PAWL_YAML_MAPPING)
            assert_true(node->keys[i]->kind == PAWL_YAML_SCALAR &&
                        node->keys[i]->start <= node->items[i]->start);
        check_spans(node->items[i], node->start, node->end);
    }
}

static void
broken_text_gives_problems_with_a_place_and_never_a_crash(void **state)
{
    PAWL_STRBUF_AUTO(text);
    pawl_rng rng;
    size_t broken = 0;

    (void) state;
    pawl_rng_init(&rng, 20240607);
    for (int i = 0; i < 2000; i++)
    {
        document d;

        mutate(&rng, &text);
        d = parse_bytes(text.data, text.length);
        broken += pawl_problems_count(d.problems) > 0 ? 1 : 0;
        if (d.root == NULL)
            assert_true(pawl_problems_count(d.problems) > 0);
        else
            check_spans(d.root, 0, text.length);
        for (size_t k = 0; k < pawl_problems_count(d.problems); k++)
        {
            assert_true(pawl_problems_get(d.problems, k)->line >= 1);
            assert_true(pawl_problems_get(d.problems, k)->column >= 1);
        }
        drop(&d);
    }
    assert_true(broken > 500);
}

static void
problems_are_sorted_and_summed_up(void **state)
{
    PAWL_AUTO(pawl_problems) p = pawl_problems_new();
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_problems_status(p, &err), PAWL_OK);
    pawl_problems_add(p, "b.yaml", 1, 1, NULL, "third");
    pawl_problems_add(p, "a.yaml", 7, 2, "do %s", "second");
    pawl_problems_add(p, "a.yaml", 7, 1, "hint", "%s %d", "first", 1);
    pawl_problems_sort(p);
    assert_int_equal(pawl_problems_status(p, &err), PAWL_E_INPUT);
    assert_string_equal(err.message, "first 1");
    assert_string_equal(err.hint, "hint");
    assert_string_equal(err.file, "a.yaml");
    assert_int_equal(err.line, 7);
    assert_string_equal(err.detail, "and 2 more problems");
    assert_string_equal(pawl_problems_get(p, 2)->message, "third");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_knows_kinds_texts_and_places),
        cmocka_unit_test(plain_scalars_stay_as_written),
        cmocka_unit_test(empty_document_is_an_empty_mapping),
        cmocka_unit_test(text_that_a_comment_follows_is_marked_as_cut),
        cmocka_unit_test(nodes_know_their_bytes),
        cmocka_unit_test(what_the_subset_leaves_out_is_refused_with_its_place),
        cmocka_unit_test(first_of_two_equal_keys_counts),
        cmocka_unit_test(bytes_that_are_no_clean_utf8_are_refused_with_their_place),
        cmocka_unit_test(nul_byte_is_refused),
        cmocka_unit_test(syntax_errors_are_told_in_words_for_people),
        cmocka_unit_test(tabs_inside_block_text_are_content),
        cmocka_unit_test(nesting_is_read_to_its_limit_and_refused_beyond),
        cmocka_unit_test(large_mapping_is_read_in_a_moment),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(broken_text_gives_problems_with_a_place_and_never_a_crash),
        cmocka_unit_test(problems_are_sorted_and_summed_up),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
