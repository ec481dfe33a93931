#include "unit/revision/history.h"

#include "util/banned.h"

#define BASELINE "replaces: [aaa1, aaa2, aaa3]\n"

/* A baseline for aaa1 to aaa3, and two revisions that follow aaa3. */
static fixture
squashed(void)
{
    fixture f = make();

    file(&f, "base0001", "", BASELINE);
    file(&f, "bbb1", "aaa3", "");
    file(&f, "bbb2", "bbb1", "depends_on: [aaa3]\n");
    return f;
}

static void
expect_problem(fixture *f, const char *message, const char *hint)
{
    const pawl_problem *p;

    link_all(f);
    assert_int_equal(pawl_problems_count(f->problems), 1);
    p = pawl_problems_get(f->problems, 0);
    if (strstr(p->message, message) == NULL || strstr(p->hint, hint) == NULL || p->line != 4)
        fail_msg("%d: \"%s\", hint \"%s\"", p->line, p->message, p->hint);
    drop(f);
}

static void
parent_that_was_replaced_means_its_replacement(void **state)
{
    fixture f = squashed();
    const pawl_node *child;

    (void) state;
    link_clean(&f);
    child = pawl_graph_node(f.g, pawl_graph_find(f.g, "bbb1"));
    assert_int_equal(child->nparents, 1);
    assert_int_equal(child->parents[0], pawl_graph_find(f.g, "base0001"));
    expect_up(&f, "head", "base0001 bbb1 bbb2");
    drop(&f);
}

static void
last_replaced_revision_is_a_target_and_others_are_refused(void **state)
{
    fixture f = squashed();
    size_t node = PAWL_NODE_NONE;

    (void) state;
    applied(&f, "base0001 bbb1");
    link_clean(&f);
    expect_down(&f, "aaa3", "bbb1");
    expect_up(&f, "aaa3+2", "bbb2");
    refuse_down(&f, "aaa2", "was squashed: \"base0001\" replaces it, and goes on to \"aaa3\"", "base0001");
    refuse_up(&f, "AAA1", "was squashed", "name \"base0001\"");
    /* Who only looks is shown what there is. */
    assert_int_equal(pawl_graph_resolve(f.g, "aaa1", &node, &f.err), PAWL_OK);
    assert_string_equal(pawl_graph_node(f.g, node)->id, "base0001");
    assert_int_equal(pawl_graph_resolve(f.g, "aaa", &node, &f.err), PAWL_OK);
    assert_string_equal(pawl_graph_node(f.g, node)->id, "base0001");
    drop(&f);
}

static void
beginning_of_a_replaced_revision_is_judged_like_the_whole(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "base0001", "", "replaces: [cccc1111, dddd2222]\n");
    applied(&f, "base0001");
    link_clean(&f);
    refuse_up(&f, "cccc", "revision \"cccc1111\" was squashed", "name \"base0001\"");
    expect_up(&f, "dddd", "");
    drop(&f);
}

static void
replaced_revision_that_the_ledger_still_has_is_itself(void **state)
{
    fixture f = squashed();
    size_t node = PAWL_NODE_NONE;
    size_t *current = NULL;
    size_t count = 0;

    (void) state;
    assert_int_equal(pawl_graph_add_applied(f.g, "aaa1", NULL, 0, &f.err), PAWL_OK);
    assert_int_equal(pawl_graph_add_applied(f.g, "aaa2", (const char *const[]){"aaa1"}, 1, &f.err), PAWL_OK);
    link_clean(&f);
    assert_int_equal(pawl_graph_resolve(f.g, "aaa2", &node, &f.err), PAWL_OK);
    assert_null(pawl_graph_node(f.g, node)->revision);
    assert_int_equal(pawl_graph_current(f.g, &current, &count, &f.err), PAWL_OK);
    expect_list(&f, current, count, "aaa2", "current");
    /* A file that follows a replaced revision follows the replacement all the same. */
    expect_up(&f, "bbb1", "base0001 bbb1");
    drop(&f);
}

static void
ledger_row_without_a_file_follows_the_replacement(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "base0001", "", BASELINE);
    applied(&f, "base0001");
    assert_int_equal(pawl_graph_add_applied(f.g, "gone", (const char *const[]){"aaa3"}, 1, &f.err), PAWL_OK);
    link_clean(&f);
    assert_true(pawl_graph_is_ancestor(f.g, pawl_graph_find(f.g, "base0001"), pawl_graph_find(f.g, "gone")));
    drop(&f);
}

static void
merge_of_two_replaced_revisions_has_one_parent(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "base0001", "", BASELINE);
    file(&f, "bbb1", "aaa2, aaa3", "");
    link_clean(&f);
    assert_int_equal(pawl_graph_node(f.g, pawl_graph_find(f.g, "bbb1"))->nparents, 1);
    drop(&f);
}

static void
file_of_a_replaced_revision_is_a_problem_wherever_it_stands(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaa2", "", "");
    file(&f, "base0001", "", BASELINE);
    expect_problem(&f, "revision \"base0001\" replaces \"aaa2\", whose file is here as well: aaa2.yaml",
                   "squashed/base0001/");
    f = make();
    file(&f, "base0001", "", BASELINE);
    file(&f, "AAA2", "", "");
    expect_problem(&f, "replaces \"aaa2\", whose file is here as well", "squashed/base0001/");
}

static void
two_replacements_of_one_revision_are_a_problem(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "base0001", "", BASELINE);
    file(&f, "other001", "", "replaces: [aaa3]\n");
    expect_problem(&f, "\"aaa3\" is already replaced by revision \"base0001\"", "name it once");
}

static void
what_is_replaced_must_be_ids(void **state)
{
    static const char text[] = "revision: base0001\nparents: []\nreplaces: [head]\nup: []\n";
    fixture f = make();
    pawl_revision *rev = NULL;

    (void) state;
    assert_int_equal(
        pawl_revision_parse("base0001.yaml", text, sizeof text - 1, f.arena, f.problems, &rev, &f.err),
        PAWL_OK);
    assert_int_equal(pawl_problems_count(f.problems), 1);
    assert_int_equal(pawl_problems_get(f.problems, 0)->line, 3);
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(parent_that_was_replaced_means_its_replacement),
        cmocka_unit_test(last_replaced_revision_is_a_target_and_others_are_refused),
        cmocka_unit_test(beginning_of_a_replaced_revision_is_judged_like_the_whole),
        cmocka_unit_test(replaced_revision_that_the_ledger_still_has_is_itself),
        cmocka_unit_test(ledger_row_without_a_file_follows_the_replacement),
        cmocka_unit_test(merge_of_two_replaced_revisions_has_one_parent),
        cmocka_unit_test(file_of_a_replaced_revision_is_a_problem_wherever_it_stands),
        cmocka_unit_test(two_replacements_of_one_revision_are_a_problem),
        cmocka_unit_test(what_is_replaced_must_be_ids),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
