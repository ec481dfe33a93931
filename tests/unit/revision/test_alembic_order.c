/*
 * The order of upgrade, downgrade and history, and what relative targets mean, as Alembic 1.8.1 answered for the same
 * histories (tests/compat/compare_alembic.py asks it for many more).
 */
#include "unit/revision/history.h"

#include "util/banned.h"

static void
expect_range(fixture *f, const char *range, const char *wanted)
{
    size_t *list = NULL;
    size_t count = 0;

    if (pawl_graph_range(f->g, range, &list, &count, &f->err) != PAWL_OK)
        fail_msg("%s: %s", range, f->err.message);
    expect_list(f, list, count, wanted, range);
}

static void
refuse_range(fixture *f, const char *range, const char *message, const char *hint)
{
    size_t *list = NULL;
    size_t count = 0;
    pawl_status st = pawl_graph_range(f->g, range, &list, &count, &f->err);

    assert_null(list);
    expect_refusal(f, range, st, message, hint);
}

static void
expect_branches(fixture *f, const char *wanted)
{
    size_t *list = NULL;
    size_t count = 0;

    assert_int_equal(pawl_graph_branch_points(f->g, &list, &count, &f->err), PAWL_OK);
    expect_list(f, list, count, wanted, "branches");
}

/* root <- l001 (left) <- l002 and root <- r001 (right) <- r002, then join, then last */
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

#define ALL_OF_DIAMOND "root l001 l002 r001 r002 join last"

static fixture
nested(const char *ids)
{
    fixture f = make();

    file(&f, "zero", "", "");
    file(&f, "a001", "zero", "");
    file(&f, "b001", "zero", "");
    file(&f, "c001", "zero", "");
    file(&f, "d001", "c001", "");
    file(&f, "m001", "a001, b001", "");
    file(&f, "m002", "m001, c001", "");
    file(&f, "m003", "m002, d001", "");
    applied(&f, ids);
    link_clean(&f);
    return f;
}

/* A branch that forks and joins inside, beside a plain one. */
static fixture
ladder(const char *ids)
{
    fixture f = make();

    file(&f, "root", "", "");
    file(&f, "b001", "root", "");
    file(&f, "b002", "b001", "");
    file(&f, "a001", "b001", "");
    file(&f, "a002", "a001, b002", "");
    file(&f, "c001", "root", "");
    file(&f, "c002", "c001", "");
    file(&f, "zzzz", "c002, a002", "");
    applied(&f, ids);
    link_clean(&f);
    return f;
}

/* Three bases, tied by dependencies, one of them on a label. */
static fixture
tied(const char *ids)
{
    fixture f = make();

    file(&f, "core", "", "labels: [main]\n");
    file(&f, "cor2", "core", "");
    file(&f, "cor3", "cor2", "");
    file(&f, "shop", "", "depends_on: [cor2]\n");
    file(&f, "sho2", "shop", "");
    file(&f, "blog", "", "depends_on: [main]\n");
    file(&f, "blo2", "blog", "depends_on: [sho2]\n");
    applied(&f, ids);
    link_all(&f);
    return f;
}

#define ALL_OF_TIED "core cor2 cor3 shop sho2 blog blo2"

static void
one_branch_of_a_diamond_runs_to_its_end_before_the_other(void **state)
{
    fixture f = diamond("");

    (void) state;
    expect_up(&f, "heads", "root r001 r002 l001 l002 join last");
    expect_up(&f, "last-1", "root r001 r002 l001 l002 join");
    expect_up(&f, "left@head", "root r001 r002 l001 l002 join last");
    drop(&f);
    f = diamond("root r001");
    expect_up(&f, "head", "r002 l001 l002 join last");
    expect_up(&f, "left@+1", "l001");
    refuse_down(&f, "left@-1", "branch \"left\" does not end in an applied revision", "pawl current");
    drop(&f);
    f = diamond(ALL_OF_DIAMOND);
    expect_down(&f, "base", "last join l002 l001 r002 r001 root");
    expect_down(&f, "l001", "last join l002");
    expect_down(&f, "r001", "last join r002");
    expect_down(&f, "left@root", "last join l002 l001");
    expect_down(&f, "right@root", "last join r002 r001");
    drop(&f);
}

static void
nested_merges_and_inner_forks_keep_branches_together(void **state)
{
    fixture f = nested("");

    (void) state;
    expect_up(&f, "head", "zero b001 c001 d001 a001 m001 m002 m003");
    expect_up(&f, "m002", "zero b001 c001 a001 m001 m002");
    expect_branches(&f, "c001 zero");
    drop(&f);
    f = nested("zero b001 c001 d001 a001 m001 m002 m003");
    expect_down(&f, "base", "m003 m002 m001 a001 d001 c001 b001 zero");
    expect_down(&f, "c001", "m003 m002 d001");
    expect_down(&f, "d001", "m003");
    drop(&f);
    f = ladder("");
    expect_up(&f, "head", "root b001 b002 a001 a002 c001 c002 zzzz");
    expect_branches(&f, "b001 root");
    expect_range(&f, "b001:zzzz", "zzzz a002 a001 b002 b001");
    drop(&f);
    f = ladder("root b001 b002 a001 a002 c001 c002 zzzz");
    expect_down(&f, "root", "zzzz c002 c001 a002 a001 b002 b001");
    expect_down(&f, "b001", "zzzz a002 a001 b002");
    drop(&f);
}

static void
dependencies_across_branches_order_both_ways(void **state)
{
    fixture f = tied("");

    (void) state;
    expect_up(&f, "heads", "core cor2 shop sho2 cor3 blog blo2");
    expect_up(&f, "main@head", "core cor2 cor3");
    expect_up(&f, "blog@head", "core cor2 shop sho2 blog blo2");
    drop(&f);
    f = tied(ALL_OF_TIED);
    expect_down(&f, "base", "blo2 blog cor3 sho2 shop cor2 core");
    expect_down(&f, "main@base", "blo2 blog cor3 sho2 shop cor2 core");
    expect_down(&f, "core", "blo2 sho2 shop cor3 cor2");
    expect_down(&f, "cor2", "cor3");
    expect_down(&f, "shop@base", "blo2 sho2 shop");
    expect_down(&f, "shop@-1", "blo2 sho2");
    expect_down(&f, "main@-1", "cor3");
    expect_range(&f, "current:", "blo2 cor3");
    expect_range(&f, "core:", "cor3 cor2 core");
    drop(&f);
}

static void
revision_minus_n_down_to_a_base_reverts_all_bases(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaa1", "", "labels: [shop]\n");
    file(&f, "bbb1", "", "");
    file(&f, "bbb2", "bbb1", "");
    applied(&f, "aaa1 bbb1 bbb2");
    link_clean(&f);
    expect_down(&f, "bbb2-2", "aaa1 bbb2 bbb1");
    expect_down(&f, "bbb2@-2", "bbb2 bbb1");
    expect_down(&f, "bbb2@bbb2-2", "bbb2 bbb1");
    expect_down(&f, "shop@base", "aaa1");
    drop(&f);
}

static void
branch_that_begins_above_a_fork_of_the_target_is_no_choice(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaa1", "", "labels: [shop]\n");
    file(&f, "aaa2", "aaa1", "");
    file(&f, "aaa3", "aaa1", "");
    applied(&f, "aaa1 aaa2");
    link_clean(&f);
    refuse_down(&f, "shop@aaa1", "several revisions follow it", "pawl downgrade aaa2@aaa1");
    refuse_down(&f, "shop@-1", "several revisions follow it", "pawl downgrade aaa2@aaa1");
    expect_down(&f, "aaa2@aaa1", "aaa2");
    expect_down(&f, "-1", "aaa2");
    drop(&f);
}

static void
range_holds_what_descends_from_its_start_and_is_needed_by_its_end(void **state)
{
    fixture f = diamond("root l001");

    (void) state;
    expect_range(&f, ":", "last join l002 l001 r002 r001 root");
    expect_range(&f, "base:heads", "last join l002 l001 r002 r001 root");
    expect_range(&f, "root:join", "join l002 l001 r002 r001 root");
    expect_range(&f, "l001:join", "join l002 l001");
    expect_range(&f, "l001:", "last join l002 l001");
    expect_range(&f, ":r002", "r002 r001 root");
    expect_range(&f, "-1:head", "last join");
    expect_range(&f, "-1:", "last join");
    expect_range(&f, ":current", "l001 root");
    expect_range(&f, "current:", "last join l002 l001");
    expect_range(&f, "-1:current", "l001 root");
    expect_range(&f, "-9:current", "l001 root");
    expect_range(&f, "l001:+1", "l002 l001");
    expect_range(&f, "l001:+9", "last join l002 l001");
    expect_range(&f, "r001:r001", "r001");
    expect_range(&f, "left@base:", "last join l002 l001 r002 r001 root");
    drop(&f);
}

static void
range_that_makes_no_sense_says_what_would(void **state)
{
    fixture f = diamond("");

    (void) state;
    refuse_range(&f, "join", "is no range", "A:B, A: or :B");
    refuse_range(&f, "root:join:last", "is no range", "A:B, A: or :B");
    refuse_range(&f, "join:root", "nothing at its end descends from join", "older revision stands first");
    refuse_range(&f, "l001:r002", "nothing at its end descends from l001", "");
    refuse_range(&f, "-2:", "forks at l002, r002", "pawl history");
    refuse_range(&f, "root:+1", "forks at l001, r001", "");
    refuse_range(&f, "+1:", "cannot be the start of a range", "counts forward from the start");
    refuse_range(&f, ":-1", "cannot be the end of a range", "counts forward from the start");
    refuse_range(&f, "nope:", "there is no revision or branch \"nope\"", "");
    expect_range(&f, ":current", "");
    drop(&f);
}

static const char *
labels_of(fixture *f, const char *id)
{
    static char text[120];
    PAWL_STRBUF_AUTO(out);
    pawl_node_labels *lists = NULL;
    size_t node = pawl_graph_find(f->g, id);

    assert_int_equal(pawl_graph_branch_labels(f->g, &lists, &f->err), PAWL_OK);
    for (size_t i = 0; i < lists[node].length; i++)
        pawl_strbuf_addf(&out, "%s%s", i == 0 ? "" : " ", lists[node].items[i]);
    pawl_fmt(text, sizeof text, "%s", out.length == 0 ? "" : out.data);
    return text;
}

static void
label_holds_for_descendants_and_for_what_leads_to_it_alone(void **state)
{
    fixture f = diamond("");

    (void) state;
    assert_string_equal(labels_of(&f, "root"), "");
    assert_string_equal(labels_of(&f, "l001"), "left");
    assert_string_equal(labels_of(&f, "l002"), "left");
    assert_string_equal(labels_of(&f, "last"), "left right");
    drop(&f);
    f = make();
    file(&f, "aaa1", "", "");
    file(&f, "aaa2", "aaa1", "labels: [shop]\n");
    file(&f, "aaa3", "aaa2", "");
    link_clean(&f);
    assert_string_equal(labels_of(&f, "aaa1"), "shop");
    assert_string_equal(labels_of(&f, "aaa3"), "shop");
    drop(&f);
}

/* ---- stamp ---- */

static void
expect_stamp(fixture *f, const char *const *targets, size_t count, bool is_purge, const char *removed,
             const char *added)
{
    pawl_graph_change change = {0};

    if (pawl_graph_stamp(f->g, targets, count, is_purge, &change, &f->err) != PAWL_OK)
        fail_msg("%s: %s", targets[0], f->err.message);
    expect_list(f, change.removed, change.nremoved, removed, "removed");
    expect_list(f, change.added, change.nadded, added, "added");
}

static void
stamp_one(fixture *f, const char *target, const char *removed, const char *added)
{
    expect_stamp(f, &target, 1, false, removed, added);
}

static void
stamp_moves_the_branch_of_its_target_and_leaves_others(void **state)
{
    fixture f = diamond("root l001");

    (void) state;
    stamp_one(&f, "l002", "", "l002");
    stamp_one(&f, "r001", "", "r001");
    stamp_one(&f, "head", "", "r001 r002 l002 join last");
    stamp_one(&f, "base", "l001 root", "");
    stamp_one(&f, "root", "l001", "");
    stamp_one(&f, "left", "", "");
    drop(&f);
    f = diamond(ALL_OF_DIAMOND);
    stamp_one(&f, "l001", "last join l002 r002 r001", "");
    expect_stamp(&f, (const char *const[]){"l001", "r001"}, 2, false, "last join l002 r002", "");
    expect_stamp(&f, (const char *const[]){"left"}, 1, true, "last join l002 r002 r001", "");
    drop(&f);
}

static void
stamp_on_several_branches_keeps_them_apart(void **state)
{
    fixture f = tied("core cor2 cor3 shop sho2");

    (void) state;
    stamp_one(&f, "heads", "", "blog blo2");
    stamp_one(&f, "shop@base", "sho2 shop", "");
    stamp_one(&f, "cor2", "cor3 sho2 shop", "");
    stamp_one(&f, "shop", "sho2", "");
    expect_stamp(&f, (const char *const[]){"blog"}, 1, true, "cor3 sho2 shop cor2", "blog");
    drop(&f);
}

static void
refuse_stamp(fixture *f, const char *a, const char *b, const char *message, const char *hint)
{
    pawl_graph_change change = {0};
    const char *targets[] = {a, b};
    pawl_status st = pawl_graph_stamp(f->g, targets, b == NULL ? 1 : 2, false, &change, &f->err);

    expect_refusal(f, a, st, message, hint);
}

static void
stamp_that_contradicts_itself_is_refused(void **state)
{
    fixture f = diamond("root");

    (void) state;
    refuse_stamp(&f, "+1", NULL, "cannot be stamped", "name the revision");
    refuse_stamp(&f, "l001-1", NULL, "cannot be stamped", "name the revision");
    refuse_stamp(&f, "current", NULL, "cannot be stamped", "name the revision");
    refuse_stamp(&f, "nope", NULL, "no revision or branch", "");
    refuse_stamp(&f, "l001", "join", "\"l001\" is an ancestor of \"join\"", "pawl stamp join");
    refuse_stamp(&f, "base", "l001", "at \"base\" and at \"l001\"", "pawl stamp --purge l001");
    drop(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(one_branch_of_a_diamond_runs_to_its_end_before_the_other),
        cmocka_unit_test(nested_merges_and_inner_forks_keep_branches_together),
        cmocka_unit_test(dependencies_across_branches_order_both_ways),
        cmocka_unit_test(revision_minus_n_down_to_a_base_reverts_all_bases),
        cmocka_unit_test(branch_that_begins_above_a_fork_of_the_target_is_no_choice),
        cmocka_unit_test(range_holds_what_descends_from_its_start_and_is_needed_by_its_end),
        cmocka_unit_test(range_that_makes_no_sense_says_what_would),
        cmocka_unit_test(label_holds_for_descendants_and_for_what_leads_to_it_alone),
        cmocka_unit_test(stamp_moves_the_branch_of_its_target_and_leaves_others),
        cmocka_unit_test(stamp_on_several_branches_keeps_them_apart),
        cmocka_unit_test(stamp_that_contradicts_itself_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
