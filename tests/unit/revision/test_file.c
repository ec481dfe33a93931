#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "revision/file.h"
#include "util/alloc.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* One parsed file. */
typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_revision *rev;
} fixture;

static fixture
parse_as(const char *file, const char *text)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_revision_parse(file, text, strlen(text), f.arena, f.problems, &f.rev, &err),
                     PAWL_OK);
    return f;
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

/* A right file around `rest`. */
static fixture
parse_rest(const char *rest)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "revision: a41c20f9\nparents: []\n%s", rest);
    return parse_as("m/a41c20f9_x.yaml", text.data);
}

static void
expect_no_problem(const fixture *f)
{
    for (size_t i = 0; i < pawl_problems_count(f->problems); i++)
        print_error("%s\n", pawl_problems_get(f->problems, i)->message);
    assert_int_equal(pawl_problems_count(f->problems), 0);
    assert_non_null(f->rev);
}

static void
check_problem(fixture *f, int line, const char *words)
{
    const pawl_problem *p;

    for (size_t i = 0; i < pawl_problems_count(f->problems) && pawl_problems_count(f->problems) > 1; i++)
        print_error("%s\n", pawl_problems_get(f->problems, i)->message);
    assert_int_equal(pawl_problems_count(f->problems), 1);
    p = pawl_problems_get(f->problems, 0);
    if (strstr(p->message, words) == NULL || p->line != line)
        fail_msg("got line %d: \"%s\", wanted line %d: \"%s\"", p->line, p->message, line, words);
    drop(f);
}

/* `rest` begins in line 3. */
static void
expect_problem(const char *rest, int line, const char *words)
{
    fixture f = parse_rest(rest);

    check_problem(&f, line, words);
}

static const char sample[] = "revision: \"00012345\"\n"
                             "parents: [d17be032, e0000000]\n"
                             "description: Store prices # a note\n"
                             "labels: [catalog, shop.v2]\n"
                             "depends_on: c0ffee00\n"
                             "when: x.demo == \"true\"\n"
                             "atomic: true\n"
                             "search_path: app, public\n"
                             "up:\n"
                             "  # about the first\n"
                             "  - add_column:\n"
                             "      table: public.products   # trailing\n"
                             "      type: numeric(10,2)\n"
                             "\n"
                             "  # about the second\n"
                             "  - sql: |\n"
                             "      UPDATE t SET a = 1;\n"
                             "\n"
                             "      UPDATE t SET b = 2;\n"
                             "\n"
                             "\n"
                             "    when: x.full\n"
                             "    down:\n"
                             "      - sql: DELETE FROM t\n"
                             "      - drop_index: { name: i }\n"
                             "  - backfill: { table: t }\n"
                             "    down: nothing\n"
                             "down: irreversible\n";

static void
every_key_is_read(void **state)
{
    fixture f = parse_as("m/00012345_prices.yaml", sample);
    const pawl_revision *r = f.rev;

    (void) state;
    expect_no_problem(&f);
    assert_string_equal(r->id, "00012345");
    assert_string_equal(r->file, "m/00012345_prices.yaml");
    assert_int_equal(r->nparents, 2);
    assert_string_equal(r->parents[1], "e0000000");
    assert_string_equal(r->description, "Store prices");
    assert_int_equal(r->nlabels, 2);
    assert_string_equal(r->labels[1], "shop.v2");
    assert_int_equal(r->ndepends_on, 1);
    assert_string_equal(r->depends_on[0], "c0ffee00");
    assert_string_equal(r->when, "x.demo == \"true\"");
    assert_true(r->atomic);
    assert_string_equal(r->search_path, "app, public");
    assert_int_equal(r->down, PAWL_DOWN_IRREVERSIBLE);
    assert_string_equal(r->text, sample);
    assert_int_equal(r->text_length, sizeof sample - 1);
    assert_int_equal(r->nup, 3);
    assert_string_equal(r->up[0].kind, "add_column");
    assert_int_equal(r->up[0].down, PAWL_DOWN_DERIVED);
    assert_null(r->up[0].when);
    assert_string_equal(pawl_yaml_get(r->up[0].body, "type")->text, "numeric(10,2)");
    assert_string_equal(r->up[1].kind, "sql");
    assert_string_equal(r->up[1].when, "x.full");
    assert_int_equal(r->up[1].down, PAWL_DOWN_LIST);
    assert_int_equal(r->up[1].ndown, 2);
    assert_string_equal(r->up[1].down_steps[1].kind, "drop_index");
    assert_int_equal(r->up[2].down, PAWL_DOWN_NOTHING);
    drop(&f);
}

static void
check_source(const pawl_step_entry *e, const char *source)
{
    assert_int_equal(e->source_length, strlen(source));
    assert_memory_equal(e->source, source, e->source_length);
}

static void
source_of_a_step_is_its_own_lines(void **state)
{
    fixture f = parse_as("m/00012345_prices.yaml", sample);

    (void) state;
    check_source(&f.rev->up[0], "  - add_column:\n      table: public.products   # trailing\n"
                                "      type: numeric(10,2)");
    check_source(&f.rev->up[1], "  - sql: |\n      UPDATE t SET a = 1;\n\n      UPDATE t SET b = 2;\n\n\n"
                                "    when: x.full\n    down:\n      - sql: DELETE FROM t\n"
                                "      - drop_index: { name: i }");
    check_source(&f.rev->up[1].down_steps[0], "      - sql: DELETE FROM t");
    check_source(&f.rev->up[2], "  - backfill: { table: t }\n    down: nothing");
    drop(&f);
}

static void
source_of_a_step_does_not_change_with_its_neighbours(void **state)
{
    fixture a = parse_rest("up:\n  - sql: |\n      SELECT 1;\n");
    fixture b = parse_rest(
        "up:\n  - sql: SELECT 0\n\n  - sql: |\n      SELECT 1;\n\n\n# more\n\n  - sql: SELECT 2\n");
    fixture c = parse_rest("up: [{sql: SELECT 0}, {sql: SELECT 1}]\n");

    (void) state;
    assert_int_equal(b.rev->nup, 3);
    assert_int_equal(a.rev->up[0].source_length, b.rev->up[1].source_length);
    assert_memory_equal(a.rev->up[0].source, b.rev->up[1].source, a.rev->up[0].source_length);
    check_source(&c.rev->up[1], "{sql: SELECT 1}");
    drop(&a);
    drop(&b);
    drop(&c);
}

static void
missing_things_have_their_defaults(void **state)
{
    fixture f = parse_rest("up: []\n");

    (void) state;
    expect_no_problem(&f);
    assert_string_equal(f.rev->description, "");
    assert_int_equal(f.rev->nup, 0);
    assert_int_equal(f.rev->nlabels, 0);
    assert_int_equal(f.rev->ndepends_on, 0);
    assert_int_equal(f.rev->down, PAWL_DOWN_DERIVED);
    assert_null(f.rev->when);
    assert_null(f.rev->search_path);
    assert_false(f.rev->atomic);
    drop(&f);
}

static void
merge_needs_no_steps(void **state)
{
    fixture f = parse_as("abcd.yaml", "revision: abcd\nparents: [aaaa, bbbb]\n");

    (void) state;
    expect_no_problem(&f);
    drop(&f);
}

static void
down_of_a_revision_is_auto_irreversible_or_a_list(void **state)
{
    fixture f = parse_rest("up: []\ndown: auto\n");

    (void) state;
    expect_no_problem(&f);
    assert_int_equal(f.rev->down, PAWL_DOWN_DERIVED);
    drop(&f);
    f = parse_rest("up: []\ndown:\n  - sql: SELECT 1\n    when: x.a\n");
    expect_no_problem(&f);
    assert_int_equal(f.rev->down, PAWL_DOWN_LIST);
    assert_int_equal(f.rev->ndown, 1);
    assert_string_equal(f.rev->down_steps[0].when, "x.a");
    drop(&f);
    expect_problem("up: []\ndown: nothing\n", 4, "must be one of auto, irreversible, not \"nothing\"");
    expect_problem("up: []\ndown: {sql: x}\n", 4, "\"down\" must be auto, irreversible, or a list of steps");
}

static void
ids_have_a_shape_and_reserved_words(void **state)
{
    (void) state;
    assert_true(pawl_revision_is_id("a41c20f9"));
    assert_true(pawl_revision_is_id("12345678"));
    assert_true(pawl_revision_is_id("_abc"));
    assert_true(pawl_revision_is_id("abcdefghijklmnopqrstuvwxyz_ABCDE"));
    assert_false(pawl_revision_is_id("abcdefghijklmnopqrstuvwxyz_ABCDEF"));
    assert_false(pawl_revision_is_id("abc"));
    assert_false(pawl_revision_is_id(""));
    assert_false(pawl_revision_is_id("ab-cd"));
    assert_false(pawl_revision_is_id("abcd\xC3\xA4"));
    assert_false(pawl_revision_is_id("head"));
    assert_false(pawl_revision_is_id("HEADS"));
    assert_false(pawl_revision_is_id("base"));
    assert_false(pawl_revision_is_id("Current"));
    assert_true(pawl_revision_is_id("heads2"));
}

static void
file_name_must_begin_with_the_id(void **state)
{
    static const char text[] = "revision: abcd\nparents: []\nup: []\n";
    static const char *const right[] = {"abcd.yaml", "m/abcd_.yaml", "m/x_y/abcd_add price.yaml"};
    static const char *const wrong[] = {"abcde.yaml", "ABCD.yaml", "abcd-x.yaml", "m/x_abcd.yaml",
                                        "abcd/x.yaml"};

    (void) state;
    for (size_t i = 0; i < sizeof right / sizeof right[0]; i++)
    {
        fixture f = parse_as(right[i], text);

        expect_no_problem(&f);
        drop(&f);
    }
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
    {
        fixture f = parse_as(wrong[i], text);

        assert_non_null(f.rev);
        check_problem(&f, 1, "must be named abcd.yaml or abcd_SOMETHING.yaml");
    }
}

static void
file_without_a_right_id_cannot_be_used(void **state)
{
    static const char *const texts[] = {"",
                                        "parents: []\nup: []\n",
                                        "revision: x\nparents: []\nup: []\n",
                                        "- a\n",
                                        "revision: [abcd]\nparents: []\nup: []\n",
                                        "revision: abcd\nparents: [\n"};

    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
    {
        fixture f = parse_as("abcd.yaml", texts[i]);

        assert_null(f.rev);
        assert_true(pawl_problems_count(f.problems) > 0);
        assert_true(pawl_problems_get(f.problems, 0)->line >= 1);
        drop(&f);
    }
}

static void
wrong_heads_are_told_with_line_and_words(void **state)
{
    fixture f = parse_as("abcd.yaml", "revision: abcd\nup: []\n");

    (void) state;
    check_problem(&f, 1, "needs the key \"parents\"");
    f = parse_as("abcd.yaml", "revision: abcd\nparents:\nup: []\n");
    check_problem(&f, 2, "\"parents\" must be a list of texts, not nothing");
    f = parse_as("abcd.yaml", "revision: abcd\nparents: [a41c20f9,\n  base]\nup: []\n");
    check_problem(&f, 3, "parent \"base\" is no revision id");
    expect_problem("", 1, "needs the key \"up\"");
    expect_problem("up: []\ndescripton: x\n", 4, "has no key \"descripton\"");
    expect_problem("up: []\nlabels: [a b]\n", 4, "no branch label");
    expect_problem("up: []\nlabels: [head]\n", 4, "no branch label");
    expect_problem("up: []\nlabels: [a-1]\n", 4, "no branch label");
    expect_problem("up: []\ndepends_on: ['']\n", 4, "neither a revision id nor a label");
    expect_problem("up: []\natomic: yes\n", 4, "must be true or false, not \"yes\"");
    expect_problem("up: []\nwhen: [x]\n", 4, "must be a Lua expression");
    expect_problem("up: []\nwhen: x.a == 1 # b\n", 4, "ends before \" #\"");
    expect_problem("up: {}\n", 3, "\"up\" must be a list of steps");
    expect_problem("up:\n", 3, "\"up\" must be a list of steps");
}

static void
step_has_exactly_one_kind(void **state)
{
    fixture f = parse_rest("up:\n  - backfill:\n    table: t\n  - sql: SELECT 1\n");

    (void) state;
    assert_int_equal(f.rev->nup, 1);
    assert_string_equal(f.rev->up[0].kind, "sql");
    assert_string_equal(pawl_problems_get(f.problems, 0)->hint,
                        "indent what belongs to \"backfill\" further than the word itself");
    check_problem(&f, 5, "here are two: \"backfill\" and \"table\"");
    expect_problem("up:\n  - when: x.a\n    down: nothing\n", 4, "this step has no kind");
    expect_problem("up:\n  - sql\n", 4, "a step must be a mapping");
    expect_problem("up:\n  -\n", 4, "a step is missing here");
    expect_problem("up:\n  - {}\n", 4, "this step has no kind");
}

static void
down_of_a_step_is_a_list_or_nothing(void **state)
{
    (void) state;
    expect_problem("up:\n  - sql: SELECT 1\n    down: auto\n", 5,
                   "\"down\" of a step must be a list of steps");
    expect_problem("up:\n  - sql: a\n    down:\n      - sql: b\n        down: nothing\n", 7,
                   "has no \"down\" of its own");
    expect_problem("up: []\ndown:\n  - sql: b\n    down: nothing\n", 6, "has no \"down\" of its own");
    expect_problem("up:\n  - sql: SELECT 1\n    down:\n      - one: 1\n        two: 2\n", 7, "here are two");
}

static void
all_problems_of_a_file_are_found_in_one_run(void **state)
{
    fixture f =
        parse_as("m/x.yaml", "revision: abcd\nparent: []\nup:\n  - a: 1\n    b: 2\n  - c\natomic: 1\n");

    (void) state;
    /* the name, the unknown key, the missing key, two kinds, no mapping, no boolean */
    assert_int_equal(pawl_problems_count(f.problems), 6);
    drop(&f);
}

static void
texts_do_not_depend_on_the_bytes_that_were_given(void **state)
{
    PAWL_AUTO(pawl_str) copy = pawl_strdup(sample);
    fixture f = parse_as("m/00012345_prices.yaml", copy);

    (void) state;
    memset(copy, 'x', strlen(copy));
    assert_string_equal(f.rev->text, sample);
    check_source(&f.rev->up[2], "  - backfill: { table: t }\n    down: nothing");
    drop(&f);
}

static void
every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    bool is_done = false;

    (void) state;
    for (long nth = 0; !is_done; nth++)
    {
        pawl_arena *arena = pawl_arena_new();
        pawl_problems *problems = pawl_problems_new();
        pawl_revision *rev = NULL;
        pawl_error err = PAWL_ERROR_INIT;
        pawl_status st;

        pawl_test_fail_alloc(nth);
        st = pawl_revision_parse("00012345.yaml", sample, sizeof sample - 1, arena, problems, &rev, &err);
        pawl_test_fail_alloc(-1);
        is_done = st == PAWL_OK;
        assert_true(is_done || (st == PAWL_E_NOMEM && err.code == PAWL_E_NOMEM && rev == NULL));
        pawl_problems_free(problems);
        pawl_arena_free(arena);
        assert_in_range(nth, 0, 200);
    }
}

/* Move, drop and double whole lines and their indentation. */
static void
shuffle_lines(pawl_rng *rng, pawl_strbuf *b)
{
    const char *line = sample;

    pawl_strbuf_reset(b);
    while (*line != '\0')
    {
        size_t length = strcspn(line, "\n") + 1;
        uint64_t what = pawl_rng_below(rng, 24);
        size_t skip = what == 1 ? strspn(line, " ") : what == 2 ? 1 : 0;

        if (what == 3)
            pawl_strbuf_add(b, "  ");
        if (what == 4)
            pawl_strbuf_addn(b, line, length);
        if (what != 5)
            pawl_strbuf_addn(b, line + skip, length - skip);
        if (what == 6 && b->length > 3)
            pawl_strbuf_truncate(b, b->length - 3);
        line += length;
    }
}

static void
broken_files_give_problems_with_a_place_and_never_a_crash(void **state)
{
    PAWL_STRBUF_AUTO(text);
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 7);
    for (int i = 0; i < 2000; i++)
    {
        fixture f;

        shuffle_lines(&rng, &text);
        f = parse_as("00012345.yaml", text.data);
        assert_true(f.rev != NULL || pawl_problems_count(f.problems) > 0);
        for (size_t k = 0; k < pawl_problems_count(f.problems); k++)
            assert_true(pawl_problems_get(f.problems, k)->line >= 1);
        for (size_t k = 0; f.rev != NULL && k < f.rev->nup; k++)
            assert_true(f.rev->up[k].source >= f.rev->text && f.rev->up[k].source_length > 0 &&
                        f.rev->up[k].source + f.rev->up[k].source_length <= f.rev->text + f.rev->text_length);
        drop(&f);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_key_is_read),
        cmocka_unit_test(source_of_a_step_is_its_own_lines),
        cmocka_unit_test(source_of_a_step_does_not_change_with_its_neighbours),
        cmocka_unit_test(missing_things_have_their_defaults),
        cmocka_unit_test(merge_needs_no_steps),
        cmocka_unit_test(down_of_a_revision_is_auto_irreversible_or_a_list),
        cmocka_unit_test(ids_have_a_shape_and_reserved_words),
        cmocka_unit_test(file_name_must_begin_with_the_id),
        cmocka_unit_test(file_without_a_right_id_cannot_be_used),
        cmocka_unit_test(wrong_heads_are_told_with_line_and_words),
        cmocka_unit_test(step_has_exactly_one_kind),
        cmocka_unit_test(down_of_a_step_is_a_list_or_nothing),
        cmocka_unit_test(all_problems_of_a_file_are_found_in_one_run),
        cmocka_unit_test(texts_do_not_depend_on_the_bytes_that_were_given),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
        cmocka_unit_test(broken_files_give_problems_with_a_place_and_never_a_crash),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
