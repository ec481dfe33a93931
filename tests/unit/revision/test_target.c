#include "unit/revision/history.h"

#include "util/banned.h"

/* aaa1 <- aaa2 <- aaa3 <- aaa4 */
static fixture
line(const char *ids)
{
    fixture f = make();

    file(&f, "aaa3", "aaa2", "");
    file(&f, "aaa1", "", "");
    file(&f, "aaa4", "aaa3", "");
    file(&f, "aaa2", "aaa1", "labels: [second]\n");
    applied(&f, ids);
    link_clean(&f);
    return f;
}

/*
 *          l001 (left) <- l002
 * root <-<                     >- join <- last
 *          r001 (right) <- r002
 */
static fixture
diamond(const char *ids)
{
    fixture f = make();

    file(&f, "root", "", "");
    file(&f, "l001", "root", "labels: [left]\n");
    file(&f, "l002", "l001", "");
    file(&f, "r001", "root", "labels: [right]\n");
    file(&f, "r002", "r001", "");
    file(&f, "join", "l002, r002", "");
    file(&f, "last", "join", "");
    applied(&f, ids);
    link_clean(&f);
    return f;
}

/* Two bases, and bbb2 depends on aaa1: aaa1 <- aaa2;  bbb1 <- bbb2 <- bbb3 */
static fixture
two_bases(const char *ids)
{
    fixture f = make();

    file(&f, "aaa1", "", "labels: [shop]\n");
    file(&f, "aaa2", "aaa1", "");
    file(&f, "bbb1", "", "labels: [blog]\n");
    file(&f, "bbb2", "bbb1", "depends_on: [aaa1]\n");
    file(&f, "bbb3", "bbb2", "");
    applied(&f, ids);
    link_clean(&f);
    return f;
}

/* ---- a line ---- */

static void
line_is_applied_up_to_the_target(void **state)
{
    fixture f = line("");

    (void) state;
    expect_up(&f, "head", "aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "heads", "aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "aaa3", "aaa1 aaa2 aaa3");
    expect_up(&f, "AAA3", "aaa1 aaa2 aaa3");
    expect_up(&f, "second", "aaa1 aaa2");
    expect_up(&f, "second@head", "aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "+1", "aaa1");
    expect_up(&f, "+4", "aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "aaa2+1", "aaa1 aaa2 aaa3");
    expect_up(&f, "aaa4-2", "aaa1 aaa2");
    expect_up(&f, "second+2", "aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "base+2", "aaa1 aaa2");
    expect_up(&f, "head-1", "aaa1 aaa2 aaa3");
    drop(&f);
}

static void
only_what_is_missing_is_applied(void **state)
{
    fixture f = line("aaa1 aaa2");

    (void) state;
    expect_up(&f, "head", "aaa3 aaa4");
    expect_up(&f, "+1", "aaa3");
    expect_up(&f, "aaa1", "");
    expect_up(&f, "current", "");
    expect_up(&f, "second@+2", "aaa3 aaa4");
    drop(&f);
    f = line("aaa1 aaa2 aaa3 aaa4");
    expect_up(&f, "head", "");
    refuse_up(&f, "+1", "goes too far: there are only 0 revisions", "");
    drop(&f);
}

static void
line_is_reverted_down_to_the_target_which_stays(void **state)
{
    fixture f = line("aaa1 aaa2 aaa3");

    (void) state;
    expect_down(&f, "base", "aaa3 aaa2 aaa1");
    expect_down(&f, "aaa1", "aaa3 aaa2");
    expect_down(&f, "aaa3", "");
    expect_down(&f, "current", "");
    expect_down(&f, "-1", "aaa3");
    expect_down(&f, "-3", "aaa3 aaa2 aaa1");
    expect_down(&f, "aaa3-1", "aaa3");
    expect_down(&f, "aaa3-3", "aaa3 aaa2 aaa1");
    expect_down(&f, "aaa1+1", "aaa3");
    expect_down(&f, "second@-2", "aaa3 aaa2");
    expect_down(&f, "second@base", "aaa3 aaa2 aaa1");
    refuse_down(&f, "-4", "goes too far: there are only 3 revisions", "base");
    refuse_down(&f, "aaa4", "is not applied", "pawl current");
    refuse_down(&f, "+1", "goes forward", "pawl upgrade +1");
    drop(&f);
}

static void
targets_that_make_no_sense_say_what_would(void **state)
{
    static const char *const wrong[] = {"",
                                        "@",
                                        "@head",
                                        "second@",
                                        "+",
                                        "+0",
                                        "-0",
                                        "a+b",
                                        "aaa1:aaa2",
                                        "aaa1+",
                                        "a b",
                                        "aaa1@second@head",
                                        "+99999999999999999999"};
    fixture f = line("aaa1");

    (void) state;
    for (size_t i = 0; i < sizeof wrong / sizeof wrong[0]; i++)
        refuse_up(&f, wrong[i], "is no target", "a target is a revision");
    refuse_up(&f, "-1", "only goes forward", "pawl downgrade -1");
    refuse_up(&f, "base", "before the first revision", "pawl downgrade base");
    refuse_up(&f, "aaa4-4", "before the first revision", "");
    refuse_up(&f, "aaa4-5", "goes too far", "");
    refuse_up(&f, "secnd", "no revision or branch \"secnd\"", "did you mean \"second\"?");
    refuse_up(&f, "zzzz@head", "no revision or branch \"zzzz\"", "");
    drop(&f);
    f = line("");
    refuse_down(&f, "-1", "nothing is applied", "");
    expect_down(&f, "base", "");
    drop(&f);
}

static void
names_resolve_to_one_node(void **state)
{
    fixture f = line("aaa1 aaa2");
    size_t node;

    (void) state;
    expect_node(&f, "aaa3", "aaa3");
    expect_node(&f, "second", "aaa2");
    expect_node(&f, "head", "aaa4");
    expect_node(&f, "base", "aaa1");
    expect_node(&f, "current", "aaa2");
    expect_node(&f, "-1", "aaa1");
    expect_node(&f, "+1", "aaa3");
    expect_node(&f, "aaa1+2", "aaa3");
    assert_int_equal(pawl_graph_resolve(f.g, "-2", &node, &f.err), PAWL_E_USAGE);
    assert_int_equal(pawl_graph_resolve(f.g, "nope", &node, &f.err), PAWL_E_USAGE);
    drop(&f);
}

/* ---- branches and merges ---- */

static void
merge_comes_after_both_branches(void **state)
{
    fixture f = diamond("");

    (void) state;
    expect_up(&f, "head", "root r001 r002 l001 l002 join last");
    expect_up(&f, "left", "root l001");
    expect_up(&f, "r002", "root r001 r002");
    expect_up(&f, "right@+2", "root r001");
    expect_up(&f, "left@+3", "root l001 l002");
    refuse_up(&f, "+2", "the way forks at l001, r001", "pawl upgrade l001, or pawl upgrade r001");
    refuse_up(&f, "join-1", "forks at l002, r002", "pawl upgrade l002");
    refuse_up(&f, "left@r001", "\"r001\" is not on the branch \"left\"", "");
    drop(&f);
}

static void
downgrade_across_a_merge_keeps_the_other_branch(void **state)
{
    fixture f = diamond("root l001 l002 r001 r002 join last");

    (void) state;
    expect_down(&f, "-1", "last");
    refuse_down(&f, "-2", "the way forks at l002, r002", "pawl downgrade l002, or pawl downgrade r002");
    refuse_down(&f, "left@-2", "the way forks at l002, r002", "pawl downgrade l002, or pawl downgrade r002");
    expect_down(&f, "l002", "last join");
    expect_down(&f, "l001", "last join l002");
    expect_down(&f, "root", "last join l002 l001 r002 r001");
    expect_down(&f, "left@root", "last join l002 l001");
    expect_down(&f, "left@base", "last join l002 l001 r002 r001 root");
    expect_down(&f, "base", "last join l002 l001 r002 r001 root");
    drop(&f);
}

static void
several_current_branches_make_relative_targets_ambiguous(void **state)
{
    fixture f = diamond("root l001 r001");
    size_t *list = NULL;
    size_t count = 0;

    (void) state;
    assert_int_equal(pawl_graph_current(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "l001 r001", "current");
    refuse_down(&f, "-1", "2 branches are current: l001, r001",
                "pawl downgrade l001@-1, or pawl downgrade r001@-1");
    refuse_up(&f, "+1", "2 branches are current: l001, r001",
              "pawl upgrade l001@+1, or pawl upgrade r001@+1");
    expect_down(&f, "l001@-1", "l001");
    expect_down(&f, "right@-1", "r001");
    expect_down(&f, "r001-1", "l001 r001");
    expect_up(&f, "l001@+1", "l002");
    expect_up(&f, "head", "r002 l002 join last");
    drop(&f);
}

static void
branch_that_is_not_begun_counts_from_where_it_leaves(void **state)
{
    fixture f = diamond("root l001");

    (void) state;
    expect_up(&f, "right@+1", "r001");
    expect_up(&f, "right@+2", "r001 r002");
    expect_up(&f, "+1", "l002");
    drop(&f);
}

static void
two_heads_at_head_name_the_merge_command(void **state)
{
    fixture f = make();
    size_t *list = NULL;
    size_t count = 0;

    (void) state;
    file(&f, "root", "", "");
    file(&f, "left", "root", "labels: [l]\n");
    file(&f, "rght", "root", "");
    file(&f, "rgh2", "rght", "");
    link_clean(&f);
    assert_int_equal(pawl_graph_heads(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "left rgh2", "heads");
    list = NULL;
    refuse_up(&f, "head", "2 heads: left, rgh2", "pawl merge left rgh2 -m");
    refuse_up(&f, "head", "2 heads", "pawl upgrade heads");
    expect_up(&f, "heads", "root rght rgh2 left");
    expect_up(&f, "l@head", "root left");
    expect_up(&f, "rght@head", "root rght rgh2");
    expect_up(&f, "rght@heads", "root rght rgh2");
    refuse_up(&f, "root@head", "2 heads", "pawl upgrade root@heads");
    drop(&f);
}

static void
nested_merges_are_ordered(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "m003", "m002, d001", "");
    file(&f, "m002", "m001, c001", "");
    file(&f, "m001", "a001, b001", "");
    file(&f, "a001", "zero", "");
    file(&f, "b001", "zero", "");
    file(&f, "c001", "zero", "");
    file(&f, "d001", "c001", "");
    file(&f, "zero", "", "");
    applied(&f, "zero a001 b001 m001");
    link_clean(&f);
    expect_up(&f, "head", "c001 d001 m002 m003");
    expect_up(&f, "m002", "c001 m002");
    expect_down(&f, "a001", "m001");
    refuse_down(&f, "-1", "forks at a001, b001", "pawl downgrade a001, or pawl downgrade b001");
    drop(&f);
}

/* ---- several bases, dependencies ---- */

static void
dependency_is_applied_first_and_makes_no_descent(void **state)
{
    fixture f = two_bases("");
    size_t *list = NULL;
    size_t count = 0;

    (void) state;
    expect_up(&f, "blog@head", "aaa1 bbb1 bbb2 bbb3");
    expect_up(&f, "bbb1", "bbb1");
    expect_up(&f, "bbb2", "aaa1 bbb1 bbb2");
    refuse_up(&f, "head", "2 heads: aaa2, bbb3", "");
    refuse_up(&f, "+1", "forks at aaa1, bbb1", "");
    expect_up(&f, "shop@+1", "aaa1");
    assert_int_equal(pawl_graph_bases(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "aaa1 bbb1", "bases");
    assert_false(pawl_graph_is_ancestor(f.g, pawl_graph_find(f.g, "aaa1"), pawl_graph_find(f.g, "bbb2")));
    assert_true(pawl_graph_is_ancestor(f.g, pawl_graph_find(f.g, "bbb1"), pawl_graph_find(f.g, "bbb3")));
    drop(&f);
}

static void
downgrade_takes_what_depends_on_the_reverted(void **state)
{
    fixture f = two_bases("aaa1 aaa2 bbb1 bbb2 bbb3");

    (void) state;
    expect_down(&f, "shop@base", "aaa2 bbb3 bbb2 aaa1");
    expect_down(&f, "blog@base", "bbb3 bbb2 bbb1");
    expect_down(&f, "aaa1", "aaa2");
    expect_down(&f, "bbb1", "bbb3 bbb2");
    expect_down(&f, "base", "aaa2 bbb3 bbb2 bbb1 aaa1");
    expect_down(&f, "aaa2-2", "aaa2 bbb3 bbb2 bbb1 aaa1");
    drop(&f);
}

static void
revision_that_others_depend_on_is_not_the_last_one(void **state)
{
    fixture f = two_bases("aaa1 bbb1 bbb2");
    size_t *list = NULL;
    size_t count = 0;

    (void) state;
    assert_int_equal(pawl_graph_current(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "aaa1 bbb2", "current");
    expect_down(&f, "-1", "bbb2");
    expect_down(&f, "shop@-1", "bbb2 aaa1");
    expect_up(&f, "+1", "bbb3");
    expect_up(&f, "shop@+1", "aaa2");
    drop(&f);
}

static void
dependency_may_name_a_label(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaa1", "", "labels: [shop]\n");
    file(&f, "bbb1", "", "depends_on: shop\n");
    link_clean(&f);
    expect_up(&f, "bbb1", "aaa1 bbb1");
    drop(&f);
}

/* ---- prefixes ---- */

static void
unique_prefix_is_enough_and_ambiguous_ones_are_listed(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "a41c20f9", "", "");
    file(&f, "A4ff0011", "a41c20f9", "");
    file(&f, "b0000000", "A4FF0011", "labels: [a4]\n");
    file(&f, "12345678", "b0000000", "");
    link_clean(&f);
    expect_node(&f, "a41", "a41c20f9");
    expect_node(&f, "A4F", "A4ff0011");
    expect_node(&f, "b", "b0000000");
    expect_node(&f, "123", "12345678");
    expect_node(&f, "a4", "b0000000");
    refuse_up(&f, "a", "the beginning of several revisions: a41c20f9, A4ff0011", "type more");
    refuse_up(&f, "c", "no revision or branch", "pawl history");
    refuse_up(&f, "a41c20f8", "no revision", "did you mean \"a41c20f9\"?");
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(line_is_applied_up_to_the_target),
        cmocka_unit_test(only_what_is_missing_is_applied),
        cmocka_unit_test(line_is_reverted_down_to_the_target_which_stays),
        cmocka_unit_test(targets_that_make_no_sense_say_what_would),
        cmocka_unit_test(names_resolve_to_one_node),
        cmocka_unit_test(merge_comes_after_both_branches),
        cmocka_unit_test(downgrade_across_a_merge_keeps_the_other_branch),
        cmocka_unit_test(several_current_branches_make_relative_targets_ambiguous),
        cmocka_unit_test(branch_that_is_not_begun_counts_from_where_it_leaves),
        cmocka_unit_test(two_heads_at_head_name_the_merge_command),
        cmocka_unit_test(nested_merges_are_ordered),
        cmocka_unit_test(dependency_is_applied_first_and_makes_no_descent),
        cmocka_unit_test(downgrade_takes_what_depends_on_the_reverted),
        cmocka_unit_test(revision_that_others_depend_on_is_not_the_last_one),
        cmocka_unit_test(dependency_may_name_a_label),
        cmocka_unit_test(unique_prefix_is_enough_and_ambiguous_ones_are_listed),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
