/* The quick reading of heads: what it takes is what the parser gives, and what it cannot take it leaves alone. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "revision/dir.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define FILE_NAME "m/a41c20f9_x.yaml"

/* The head of the text, and the whole of it as the parser reads it. */
typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_revision *head;
    pawl_revision *whole;
} fixture;

static fixture
read_both(const char *text)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_error err = PAWL_ERROR_INIT;
    size_t length = strlen(text);

    assert_int_equal(pawl_revision_parse_head(FILE_NAME, text, length, f.arena, &f.head, &err), PAWL_OK);
    assert_int_equal(pawl_revision_parse(FILE_NAME, text, length, f.arena, f.problems, &f.whole, &err),
                     PAWL_OK);
    return f;
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

static void
assert_same_list(const char *text, const char **a, size_t na, const char **b, size_t nb)
{
    bool is_same = na == nb;

    for (size_t i = 0; is_same && i < na; i++)
        is_same = strcmp(a[i], b[i]) == 0;
    if (!is_same)
        fail_msg("the lists differ: %s", text);
}

static void
assert_same_head(const char *text, const pawl_revision *a, const pawl_revision *b)
{
    if (strcmp(a->id, b->id) != 0 || strcmp(a->description, b->description) != 0)
        fail_msg("\"%s\" \"%s\" and \"%s\" \"%s\": %s", a->id, a->description, b->id, b->description, text);
    assert_same_list(text, a->parents, a->nparents, b->parents, b->nparents);
    assert_same_list(text, a->labels, a->nlabels, b->labels, b->nlabels);
    assert_same_list(text, a->depends_on, a->ndepends_on, b->depends_on, b->ndepends_on);
}

static void
expect_taken(const char *text)
{
    fixture f = read_both(text);

    if (f.head == NULL || f.whole == NULL)
        fail_msg("%s read: %s", f.head == NULL ? "the head was not" : "the whole was not", text);
    assert_false(f.head->is_whole);
    assert_true(f.whole->is_whole);
    assert_same_head(text, f.head, f.whole);
    drop(&f);
}

static void
expect_left(const char *text)
{
    fixture f = read_both(text);

    if (f.head != NULL)
        fail_msg("the head was read: %s", text);
    drop(&f);
}

#define FRAME "revision: \"a41c20f9\"\nparents: [\"d17be032\"]\n"
#define BODY  "up:\n  - sql: |\n      SELECT 1\n    down: nothing\n"

static void
plain_heads_are_taken(void **state)
{
    (void) state;
    expect_taken(FRAME BODY);
    expect_taken(FRAME "description: Fill price_amount, twice (and again)\n" BODY);
    expect_taken(FRAME "description:   Padded   \n" BODY);
    expect_taken(FRAME "description: \"Quoted: with # and ' in it\"\n" BODY);
    expect_taken(FRAME "description: 'Quoted: with # and \" in it'\n" BODY);
    expect_taken(FRAME "description: \xC3\x84nderung der Preise\n" BODY);
    expect_taken(FRAME "labels: [catalog, \"shop.2\"]\ndepends_on: [ bbbb2222 , 'other' ]\n" BODY);
    expect_taken("# a comment\n\nrevision: a41c20f9\nparents: []\n" BODY);
    expect_taken("revision: a41c20f9\nparents: [d17be032, e28cf143]\ndescription: A merge\n");
    expect_taken("revision: 'a41c20f9'\nparents: []\nup: []\ndown: irreversible");
    expect_taken(FRAME "up:\n- sql: SELECT 1\n# behind it\n\ndown:\n- sql: SELECT 2\n");
}

static void
what_only_a_parser_understands_is_left_to_it(void **state)
{
    (void) state;
    expect_left(FRAME "description: \"An \\u00e4 escaped\"\n" BODY);
    expect_left(FRAME "description: 'it''s'\n" BODY);
    expect_left(FRAME "description: cut # here\n" BODY);
    expect_left(FRAME "description: a: b\n" BODY);
    expect_left(FRAME "description: >\n  folded\n" BODY);
    expect_left(FRAME "description: over\n  two lines\n" BODY);
    expect_left(FRAME "description: null\n" BODY);
    expect_left(FRAME "description:\n" BODY);
    expect_left(FRAME "description: a\tb\n" BODY);
    expect_left(FRAME "description: a\xC2\x85"
                      "b\n" BODY);
    expect_left(FRAME "description: a\xE2\x80\xA8"
                      "b\n" BODY);
    expect_left("\xEF\xBB\xBF" FRAME BODY);
    expect_left("revision: a41c20f9\nparents:\n  - d17be032\n" BODY);
    expect_left("revision: a41c20f9\nparents: d17be032\n" BODY);
    expect_left("revision: a41c20f9\nparents: [d17be032,]\n" BODY);
    expect_left("revision: a41c20f9\nparents: [null]\n" BODY);
    expect_left("revision: &anchor a41c20f9\nparents: []\n" BODY);
    expect_left("revision: a41c20f9\r\nparents: []\r\n" BODY);
    expect_left(FRAME "replaces: [bbbb2222]\n" BODY);
    expect_left("--- \n" FRAME BODY);
    expect_left("{revision: a41c20f9, parents: [], up: []}\n");
}

static void
heads_with_problems_are_left_to_the_parser(void **state)
{
    (void) state;
    expect_left("parents: []\n" BODY);
    expect_left("revision: a41c20f9\n" BODY);
    expect_left("revision: b41c20f9\nparents: []\n" BODY);
    expect_left("revision: a41c20f9\nparents: [no-id]\n" BODY);
    expect_left("revision: a41c20f9\nparents: [base]\n" BODY);
    expect_left(FRAME "labels: [2nd]\n" BODY);
    expect_left(FRAME "labels: [head]\n" BODY);
    expect_left(FRAME "depends_on: [\"a b\"]\n" BODY);
    expect_left(FRAME FRAME BODY);
    expect_left(FRAME "lables: [catalog]\n" BODY);
    expect_left(FRAME "description: a\xFF"
                      "b\n" BODY);
}

static void
head_that_goes_on_behind_the_steps_is_left_to_the_parser(void **state)
{
    (void) state;
    expect_left("revision: a41c20f9\nup: []\nparents: []\n");
    expect_left(FRAME BODY "labels: [catalog]\n");
    expect_left(FRAME BODY "\"labels\": [catalog]\n");
    expect_left(FRAME BODY "---\n" FRAME);
    expect_left(FRAME BODY "...\n");
}

/* Bytes that mean something in YAML, or to the reader of heads. */
static const char *const pieces[] = {
    "\n",       " ",    ":",    ": ",    "#",     " #",      "\"",         "'",        "\\",
    "[",        "]",    ",",    "{",     "}",     "- ",      "-",          "|",        ">",
    "&a ",      "*a",   "!t ",  "%",     "\t",    "\r",      "null",       "~",        "---",
    "...",      "up",   "up:",  "\nup:", "down:", "labels:", "parents: [", "a41c20f9", "\xC3\xA4",
    "\xC2\x85", "\xFF", "<<: ", "? ",    "\n  "};

/* Put a piece somewhere, or take some bytes away. */
static void
mutate(pawl_rng *rng, pawl_strbuf *text)
{
    PAWL_STRBUF_AUTO(next);
    size_t at = (size_t) pawl_rng_below(rng, text->length + 1);
    size_t gone = pawl_rng_below(rng, 3) == 0 ? (size_t) pawl_rng_below(rng, 6) : 0;

    if (gone > text->length - at)
        gone = text->length - at;
    pawl_strbuf_addn(&next, text->data, at);
    if (pawl_rng_below(rng, 4) != 0)
        pawl_strbuf_add(&next, pieces[pawl_rng_below(rng, sizeof pieces / sizeof pieces[0])]);
    pawl_strbuf_addn(&next, text->data + at + gone, text->length - at - gone);
    pawl_strbuf_reset(text);
    pawl_strbuf_addn(text, next.data, next.length);
}

/* The text up to its steps, and none of them. */
static void
assert_head_alone_is_sound(const char *text, const pawl_revision *head)
{
    PAWL_STRBUF_AUTO(alone);
    const char *up = strncmp(text, "up:", 3) == 0 ? text : strstr(text, "\nup:");
    fixture f;

    pawl_strbuf_addn(&alone, text, up == NULL ? strlen(text) : (size_t) (up - text));
    pawl_strbuf_add(&alone, "\nup: []\n");
    f = read_both(alone.data);
    if (f.whole == NULL || pawl_problems_count(f.problems) > 0)
        fail_msg("the parser has a problem with a head that was taken: %s", text);
    assert_same_head(text, head, f.whole);
    drop(&f);
}

static void
whatever_is_taken_is_what_the_parser_gives(void **state)
{
    static const char *const seeds[] = {
        FRAME "description: Fill price_amount\nlabels: [catalog, b]\ndepends_on: [bbbb2222]\n" BODY,
        FRAME "description: \"Quoted\"\nup:\n- sql: 'a\n\n  b'\ndown:\n- sql: \"x\n  y\"\n",
        "revision: 'a41c20f9'\nparents: []\n# c\n\nup: [{sql: SELECT 1}]\ndown: auto\n",
    };
    pawl_rng rng;
    size_t taken = 0;

    (void) state;
    pawl_rng_init(&rng, 42);
    for (int i = 0; i < 30000; i++)
    {
        PAWL_STRBUF_AUTO(text);
        uint64_t changes = 1 + pawl_rng_below(&rng, 3);
        fixture f;

        pawl_strbuf_add(&text, seeds[i % 3]);
        for (uint64_t n = 0; n < changes; n++)
            mutate(&rng, &text);
        assert_true(pawl_strbuf_is_ok(&text));
        f = read_both(text.data);
        if (f.head != NULL)
        {
            taken++;
            assert_head_alone_is_sound(text.data, f.head);
            /* NULL: the steps are no YAML, which is none of the head's business. */
            if (f.whole != NULL)
                assert_same_head(text.data, f.head, f.whole);
        }
        drop(&f);
    }
    assert_in_range(taken, 3000, 27000);
}

static void
completed_revision_is_what_the_parser_gives(void **state)
{
    static const char text[] = FRAME BODY "down: irreversible\n";
    fixture f = read_both(text);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_non_null(f.head);
    assert_int_equal(f.head->nup, 0);
    assert_int_equal(pawl_revision_complete(f.head, f.arena, f.problems, &err), PAWL_OK);
    assert_true(f.head->is_whole);
    assert_same_head(text, f.head, f.whole);
    assert_int_equal(f.head->nup, 1);
    assert_string_equal(f.head->up[0].kind, "sql");
    assert_int_equal(f.head->down, PAWL_DOWN_IRREVERSIBLE);
    assert_non_null(f.head->root);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    drop(&f);
}

static void
problems_of_the_steps_are_found_on_completion(void **state)
{
    static const char text[] = FRAME "up:\n  - {}\n";
    fixture f = read_both(text);
    pawl_error err = PAWL_ERROR_INIT;
    size_t before = pawl_problems_count(f.problems);

    (void) state;
    assert_non_null(f.head);
    assert_int_equal(before, 1);
    assert_int_equal(pawl_revision_complete(f.head, f.arena, f.problems, &err), PAWL_OK);
    assert_int_equal(pawl_problems_count(f.problems), 2);
    assert_int_equal(pawl_problems_get(f.problems, 1)->line, 4);
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(plain_heads_are_taken),
        cmocka_unit_test(what_only_a_parser_understands_is_left_to_it),
        cmocka_unit_test(heads_with_problems_are_left_to_the_parser),
        cmocka_unit_test(head_that_goes_on_behind_the_steps_is_left_to_the_parser),
        cmocka_unit_test(whatever_is_taken_is_what_the_parser_gives),
        cmocka_unit_test(completed_revision_is_what_the_parser_gives),
        cmocka_unit_test(problems_of_the_steps_are_found_on_completion),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
