#include "unit/revision/history.h"
#include "util/alloc.h"
#include "util/clock.h"
#include "util/rng.h"

#include "util/banned.h"

static void
expect_problem(fixture *f, const char *message, const char *hint)
{
    const pawl_problem *p;

    link_all(f);
    for (size_t i = 0; i < pawl_problems_count(f->problems) && pawl_problems_count(f->problems) != 1; i++)
        print_error("%s\n", pawl_problems_get(f->problems, i)->message);
    assert_int_equal(pawl_problems_count(f->problems), 1);
    p = pawl_problems_get(f->problems, 0);
    if (strstr(p->message, message) == NULL || (hint != NULL && strstr(p->hint, hint) == NULL) || p->line < 1)
        fail_msg("%d: \"%s\", hint \"%s\"", p->line, p->message, p->hint);
    drop(f);
}

/* ---- problems ---- */

static void
unknown_parent_is_named_with_the_nearest_id(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "a41c20f9", "", "");
    file(&f, "b41c20f9", "a41c20f8", "");
    expect_problem(&f, "parent \"a41c20f8\" of revision \"b41c20f9\"", "did you mean \"a41c20f9\"?");
    f = make();
    file(&f, "aaaa", "", "depends_on: [zzzz]\n");
    expect_problem(&f, "dependency \"zzzz\" of revision \"aaaa\"", NULL);
}

static void
two_files_with_one_id_are_a_problem_whatever_the_case(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "abcd", "", "");
    file(&f, "ABCD", "", "");
    expect_problem(&f, "revision \"ABCD\" is already in abcd.yaml (ids are compared without regard to case)",
                   NULL);
}

static void
id_that_begins_another_is_a_problem(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "abcdef", "", "");
    file(&f, "abcd", "abcdef", "");
    expect_problem(&f, "id \"abcdef\" begins with the id of another revision, \"abcd\"", NULL);
}

static void
cycles_are_named_node_by_node(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "root", "", "");
    file(&f, "aaaa", "cccc, root", "");
    file(&f, "bbbb", "aaaa", "");
    file(&f, "cccc", "bbbb", "");
    file(&f, "tail", "cccc", "");
    expect_problem(&f, "\"aaaa\" comes before itself: aaaa -> cccc -> bbbb -> aaaa", "take one of them away");
    f = make();
    file(&f, "aaaa", "aaaa", "");
    expect_problem(&f, "aaaa -> aaaa", NULL);
    f = make();
    file(&f, "aaaa", "", "depends_on: [bbbb]\n");
    file(&f, "bbbb", "aaaa", "");
    expect_problem(&f, "aaaa -> bbbb -> aaaa", NULL);
}

static void
each_cycle_is_reported_once_and_questions_still_end(void **state)
{
    fixture f = make();
    size_t *list = NULL;
    size_t count = 0;

    (void) state;
    file(&f, "aaa1", "aaa2", "");
    file(&f, "aaa2", "aaa1", "");
    file(&f, "bbb1", "bbb2", "");
    file(&f, "bbb2", "bbb1", "");
    link_all(&f);
    assert_int_equal(pawl_problems_count(f.problems), 2);
    assert_int_equal(pawl_graph_order(f.g, &list, &count, &f.err), PAWL_OK);
    assert_int_equal(count, 4);
    expect_up(&f, "aaa1", "aaa1 aaa2");
    refuse_up(&f, "aaa1+1000000000", "goes too far", "");
    drop(&f);
}

static void
label_belongs_to_one_file_and_is_no_id(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaaa", "", "labels: [shop]\n");
    file(&f, "bbbb", "aaaa", "labels: [Shop]\n");
    expect_problem(&f, "label \"Shop\" already belongs to revision \"aaaa\"", NULL);
    f = make();
    file(&f, "aaaa", "", "labels: [bbbb]\n");
    file(&f, "bbbb", "aaaa", "");
    expect_problem(&f, "label \"bbbb\" is also the id of a revision", NULL);
}

static void
merge_of_ancestor_and_descendant_is_a_problem(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "aaaa", "", "");
    file(&f, "bbbb", "aaaa", "");
    file(&f, "cccc", "bbbb", "");
    file(&f, "dddd", "cccc, aaaa", "");
    expect_problem(&f, "parent \"aaaa\" is already an ancestor of parent \"cccc\"", NULL);
    f = make();
    file(&f, "aaaa", "", "");
    file(&f, "bbbb", "aaaa, aaaa", "");
    expect_problem(&f, "\"aaaa\" is named twice under parents", NULL);
}

/* ---- the ledger ---- */

static void
applied_revision_without_a_file_is_a_node_but_no_head(void **state)
{
    static const char *const parents[] = {"aaa2", "never"};
    fixture f = make();
    size_t *list = NULL;
    size_t count = 0;
    size_t gone;

    (void) state;
    assert_int_equal(pawl_graph_add_applied(f.g, "gone", parents, 2, &f.err), PAWL_OK);
    file(&f, "aaa1", "", "");
    file(&f, "aaa2", "aaa1", "");
    applied(&f, "aaa1 aaa2");
    link_clean(&f);
    gone = pawl_graph_find(f.g, "GONE");
    assert_null(pawl_graph_node(f.g, gone)->revision);
    assert_true(pawl_graph_node(f.g, gone)->is_applied);
    assert_int_equal(pawl_graph_node(f.g, gone)->nparents, 1);
    assert_int_equal(pawl_graph_length(f.g), 3);
    assert_int_equal(pawl_graph_heads(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "aaa2", "heads");
    assert_int_equal(pawl_graph_current(f.g, &list, &count, &f.err), PAWL_OK);
    expect_list(&f, list, count, "gone", "current");
    expect_up(&f, "head", "");
    expect_down(&f, "aaa1", "gone aaa2");
    expect_down(&f, "base", "gone aaa2 aaa1");
    drop(&f);
}

static void
parent_that_only_the_ledger_knows_is_tied_and_reported(void **state)
{
    fixture f = make();

    (void) state;
    file(&f, "bbbb", "aaaa", "");
    applied(&f, "aaaa");
    link_all(&f);
    assert_int_equal(pawl_graph_node(f.g, pawl_graph_find(f.g, "bbbb"))->nparents, 1);
    expect_up(&f, "bbbb", "bbbb");
    assert_int_equal(pawl_problems_count(f.problems), 1);
    drop(&f);
}

static void
empty_history_has_nothing_to_do(void **state)
{
    fixture f = make();
    size_t *list = NULL;
    size_t count = 9;
    size_t node;

    (void) state;
    link_clean(&f);
    expect_up(&f, "head", "");
    expect_up(&f, "heads", "");
    expect_down(&f, "base", "");
    assert_int_equal(pawl_graph_current(f.g, &list, &count, &f.err), PAWL_OK);
    assert_int_equal(count, 0);
    assert_int_equal(pawl_graph_resolve(f.g, "head", &node, &f.err), PAWL_E_USAGE);
    assert_int_equal(pawl_graph_resolve(f.g, "base", &node, &f.err), PAWL_E_USAGE);
    assert_int_equal(pawl_graph_find(f.g, "head"), PAWL_NODE_NONE);
    drop(&f);
}

/* ---- properties of random histories ---- */

#define NODES 40

/* A random graph, written down in an order that is not topological. Edges[i][j]: i needs j (as parent, or else). */
static fixture
random_history(pawl_rng *rng, bool needs[NODES][NODES])
{
    fixture f = make();

    memset(needs, 0, sizeof(bool) * NODES * NODES);
    for (size_t step = 0; step < NODES; step++)
    {
        size_t i = (step * 17) % NODES;
        PAWL_STRBUF_AUTO(parents);
        PAWL_STRBUF_AUTO(depends);
        PAWL_STRBUF_AUTO(more);
        char id[16];
        uint64_t nparents = pawl_rng_below(rng, 10) == 0 ? 0 : 1 + pawl_rng_below(rng, 3) / 2;
        uint64_t ndepends = pawl_rng_below(rng, 6) == 0 ? 1 : 0;

        for (uint64_t k = 0; i > 0 && k < nparents + ndepends; k++)
        {
            size_t j = (size_t) pawl_rng_below(rng, i);
            pawl_strbuf *list = k < nparents ? &parents : &depends;

            if (needs[i][j])
                continue;
            needs[i][j] = true;
            pawl_strbuf_addf(list, "%sn%03zu", list->length == 0 ? "" : ", ", (j * 7) % NODES);
        }
        pawl_fmt(id, sizeof id, "n%03zu", (i * 7) % NODES);
        pawl_strbuf_addf(&more, "depends_on: [%s]\n", depends.data);
        file(&f, id, parents.data, more.data);
    }
    return f;
}

/* The test's number of a node: ids are scattered, so that the order of ids says nothing. */
static size_t
number_of(const fixture *f, size_t node)
{
    const char *id = pawl_graph_node(f->g, node)->id;
    size_t scattered = (size_t) (id[1] - '0') * 100 + (size_t) (id[2] - '0') * 10 + (size_t) (id[3] - '0');

    for (size_t i = 0; i < NODES; i++)
    {
        if ((i * 7) % NODES == scattered)
            return i;
    }
    return NODES;
}

static void
upgrade_is_a_topological_order_and_downgrade_its_reverse(void **state)
{
    static bool needs[NODES][NODES];
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 42);
    for (int round = 0; round < 200; round++)
    {
        fixture f = random_history(&rng, needs);
        size_t *list = NULL;
        size_t count = 0;
        bool is_in[NODES] = {false};

        link_all(&f);
        assert_int_equal(pawl_graph_upgrade_path(f.g, "heads", &list, &count, &f.err), PAWL_OK);
        assert_int_equal(count, NODES);
        for (size_t i = 0; i < count; i++)
        {
            size_t me = number_of(&f, list[i]);

            assert_false(is_in[me]);
            for (size_t j = 0; j < NODES; j++)
                assert_true(!needs[me][j] || is_in[j]);
            is_in[me] = true;
        }
        drop(&f);
    }
}

/* Apply up to a random node, then revert down to another: no state in between may lack what an applied node needs. */
static void
partial_paths_never_leave_a_revision_without_what_it_needs(void **state)
{
    static bool needs[NODES][NODES];
    pawl_rng rng;
    size_t reverted = 0;

    (void) state;
    pawl_rng_init(&rng, 43);
    for (int round = 0; round < 200; round++)
    {
        uint64_t seed = rng.state;
        fixture f = random_history(&rng, needs);
        fixture again;
        bool is_in[NODES] = {false};
        size_t *list = NULL;
        size_t count = 0;
        size_t stays;
        char target[16];

        link_all(&f);
        pawl_fmt(target, sizeof target, "n%03zu", (size_t) pawl_rng_below(&rng, NODES));
        if (round % 2 == 0)
            pawl_fmt(target, sizeof target, "heads");
        assert_int_equal(pawl_graph_upgrade_path(f.g, target, &list, &count, &f.err), PAWL_OK);

        /* The same history once more, with what was applied. */
        {
            pawl_rng same = {.state = seed};

            again = random_history(&same, needs);
        }
        for (size_t i = 0; i < count; i++)
        {
            size_t me = number_of(&f, list[i]);

            for (size_t j = 0; j < NODES; j++)
                assert_true(!needs[me][j] || is_in[j]);
            is_in[me] = true;
            applied(&again, pawl_graph_node(f.g, list[i])->id);
        }
        link_all(&again);
        stays = list[pawl_rng_below(&rng, count)];
        pawl_fmt(target, sizeof target, "%s", round % 4 == 0 ? "base" : pawl_graph_node(f.g, stays)->id);
        assert_int_equal(pawl_graph_downgrade_path(again.g, target, &list, &count, &again.err), PAWL_OK);
        for (size_t i = 0; i < count; i++)
        {
            size_t me = number_of(&again, list[i]);

            assert_true(is_in[me]);
            is_in[me] = false;
            for (size_t j = 0; j < NODES; j++)
                assert_true(!is_in[j] || !needs[j][me]);
        }
        assert_true(round % 4 == 0 || is_in[number_of(&f, stays)]);
        for (size_t i = 0; i < NODES && round % 4 == 0; i++)
            assert_false(is_in[i]);
        reverted += count;
        drop(&f);
        drop(&again);
    }
    assert_true(reverted > 500);
}

static void
ancestors_agree_with_the_transitive_closure(void **state)
{
    static bool needs[NODES][NODES];
    static bool reach[NODES][NODES];
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 44);
    for (int round = 0; round < 20; round++)
    {
        fixture f = random_history(&rng, needs);
        const size_t n = NODES;

        link_all(&f);
        memset(reach, 0, sizeof reach);
        for (size_t i = 0; i < n; i++)
        {
            for (size_t k = 0; k < pawl_graph_node(f.g, i)->nparents; k++)
                reach[i][pawl_graph_node(f.g, i)->parents[k]] = true;
        }
        for (size_t k = 0; k < n; k++)
        {
            for (size_t i = 0; i < n; i++)
            {
                for (size_t j = 0; j < n; j++)
                    reach[i][j] = reach[i][j] || (reach[i][k] && reach[k][j]);
            }
        }
        for (size_t i = 0; i < n; i++)
        {
            for (size_t j = 0; j < n; j++)
                assert_int_equal(pawl_graph_is_ancestor(f.g, j, i), reach[i][j]);
        }
        drop(&f);
    }
}

static void
ten_thousand_revisions_are_tied_in_a_moment(void **state)
{
    enum
    {
        MANY = 10000
    };
    fixture f = make();
    size_t *list = NULL;
    size_t count = 0;
    int64_t start;

    (void) state;
    for (int i = 0; i < MANY; i++)
    {
        char id[16];
        char parents[32] = "";

        pawl_fmt(id, sizeof id, "n%05d", (i * 7919) % MANY);
        if (i > 1 && i % 3 == 0)
            pawl_fmt(parents, sizeof parents, "n%05d, n%05d", ((i - 1) * 7919) % MANY,
                     ((i - 2) * 7919) % MANY);
        else if (i > 1)
            pawl_fmt(parents, sizeof parents, "n%05d", ((i - 1 - (i % 3 == 2 ? 1 : 0)) * 7919) % MANY);
        file(&f, id, parents, "");
    }
    start = pawl_clock_us();
    link_clean(&f);
    assert_int_equal(pawl_graph_upgrade_path(f.g, "heads", &list, &count, &f.err), PAWL_OK);
    assert_int_equal(count, MANY);
    assert_int_equal(pawl_graph_resolve(f.g, "n0000", &count, &f.err), PAWL_E_USAGE);
    assert_true(pawl_clock_us() - start < 2000000);
    drop(&f);
}

static void
every_failed_allocation_is_reported_and_leaks_nothing(void **state)
{
    bool is_done = false;

    (void) state;
    for (long nth = 0; !is_done; nth++)
    {
        fixture f = make();
        size_t *list = NULL;
        size_t count = 0;
        pawl_status st;

        file(&f, "aaaa", "", "labels: [shop]\n");
        file(&f, "bbbb", "aaaa", "");
        file(&f, "cccc", "aaaa", "depends_on: [bbbb]\n");
        file(&f, "dddd", "bbbb, cccc", "");
        pawl_test_fail_alloc(nth);
        if ((st = pawl_graph_add_applied(f.g, "eeee", NULL, 0, &f.err)) == PAWL_OK &&
            (st = pawl_graph_link(f.g, f.problems, &f.err)) == PAWL_OK)
            st = pawl_graph_upgrade_path(f.g, "shop@head", &list, &count, &f.err);
        pawl_test_fail_alloc(-1);
        is_done = st == PAWL_OK;
        assert_true(is_done || (st == PAWL_E_NOMEM && f.err.code == PAWL_E_NOMEM));
        drop(&f);
        assert_in_range(nth, 0, 200);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_parent_is_named_with_the_nearest_id),
        cmocka_unit_test(two_files_with_one_id_are_a_problem_whatever_the_case),
        cmocka_unit_test(id_that_begins_another_is_a_problem),
        cmocka_unit_test(cycles_are_named_node_by_node),
        cmocka_unit_test(each_cycle_is_reported_once_and_questions_still_end),
        cmocka_unit_test(label_belongs_to_one_file_and_is_no_id),
        cmocka_unit_test(merge_of_ancestor_and_descendant_is_a_problem),
        cmocka_unit_test(applied_revision_without_a_file_is_a_node_but_no_head),
        cmocka_unit_test(parent_that_only_the_ledger_knows_is_tied_and_reported),
        cmocka_unit_test(empty_history_has_nothing_to_do),
        cmocka_unit_test(upgrade_is_a_topological_order_and_downgrade_its_reverse),
        cmocka_unit_test(partial_paths_never_leave_a_revision_without_what_it_needs),
        cmocka_unit_test(ancestors_agree_with_the_transitive_closure),
        cmocka_unit_test(ten_thousand_revisions_are_tied_in_a_moment),
        cmocka_unit_test(every_failed_allocation_is_reported_and_leaks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
