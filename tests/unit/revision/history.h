/*
 * history.h - histories that tests write down, and what they expect of them.
 *
 * Threads: one.
 * Memory:  a fixture owns everything; drop frees it.
 */
#ifndef PAWL_TEST_HISTORY_H
#define PAWL_TEST_HISTORY_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "revision/graph.h"
#include "util/strbuf.h"

/* A history that a test writes down. */
typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_graph *g;
    pawl_error err;
} fixture;

static inline fixture
make(void)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new(), .err = PAWL_ERROR_INIT};

    assert_int_equal(pawl_graph_new(&f.g, &f.err), PAWL_OK);
    return f;
}

static inline void
drop(fixture *f)
{
    pawl_graph_free(f->g);
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

/* Add the file of a revision: `parents` as "a, b", `more` as further lines. */
static inline void
file(fixture *f, const char *id, const char *parents, const char *more)
{
    PAWL_STRBUF_AUTO(text);
    char name[64];
    pawl_revision *rev = NULL;

    pawl_fmt(name, sizeof name, "%s.yaml", id);
    pawl_strbuf_addf(&text, "revision: %s\nparents: [%s]\nup: []\n%s", id, parents, more);
    assert_int_equal(pawl_revision_parse(name, text.data, text.length, f->arena, f->problems, &rev, &f->err),
                     PAWL_OK);
    assert_non_null(rev);
    assert_int_equal(pawl_graph_add(f->g, rev, &f->err), PAWL_OK);
}

static inline void
applied(fixture *f, const char *ids)
{
    while (*ids != '\0')
    {
        char id[40];
        size_t n = strcspn(ids, " ");

        pawl_fmt(id, sizeof id, "%.*s", (int) n, ids);
        assert_int_equal(pawl_graph_add_applied(f->g, id, NULL, 0, &f->err), PAWL_OK);
        ids += n + strspn(ids + n, " ");
    }
}

static inline void
link_all(fixture *f)
{
    assert_int_equal(pawl_graph_link(f->g, f->problems, &f->err), PAWL_OK);
}

static inline void
link_clean(fixture *f)
{
    link_all(f);
    for (size_t i = 0; i < pawl_problems_count(f->problems); i++)
        print_error("%s\n", pawl_problems_get(f->problems, i)->message);
    assert_int_equal(pawl_problems_count(f->problems), 0);
}

static inline void
expect_list(const fixture *f, const size_t *list, size_t count, const char *wanted, const char *what)
{
    PAWL_STRBUF_AUTO(got);

    for (size_t i = 0; i < count; i++)
        pawl_strbuf_addf(&got, "%s%s", i == 0 ? "" : " ", pawl_graph_node(f->g, list[i])->id);
    if (strcmp(got.data, wanted) != 0)
        fail_msg("%s: got \"%s\", wanted \"%s\"", what, got.data, wanted);
}

static inline void
expect_up(fixture *f, const char *target, const char *wanted)
{
    size_t *list = NULL;
    size_t count = 0;

    if (pawl_graph_upgrade_path(f->g, target, &list, &count, &f->err) != PAWL_OK)
        fail_msg("upgrade %s: %s", target, f->err.message);
    expect_list(f, list, count, wanted, target);
}

static inline void
expect_down(fixture *f, const char *target, const char *wanted)
{
    size_t *list = NULL;
    size_t count = 0;

    if (pawl_graph_downgrade_path(f->g, target, &list, &count, &f->err) != PAWL_OK)
        fail_msg("downgrade %s: %s", target, f->err.message);
    expect_list(f, list, count, wanted, target);
}

static inline void
expect_refusal(const fixture *f, const char *target, pawl_status st, const char *message, const char *hint)
{
    if (st != PAWL_E_USAGE || strstr(f->err.message, message) == NULL || strstr(f->err.hint, hint) == NULL)
        fail_msg("%s: status %d, \"%s\", hint \"%s\"", target, (int) st, f->err.message, f->err.hint);
}

static inline void
refuse_up(fixture *f, const char *target, const char *message, const char *hint)
{
    size_t *list = NULL;
    size_t count = 0;
    pawl_status st = pawl_graph_upgrade_path(f->g, target, &list, &count, &f->err);

    assert_null(list);
    expect_refusal(f, target, st, message, hint);
}

static inline void
refuse_down(fixture *f, const char *target, const char *message, const char *hint)
{
    size_t *list = NULL;
    size_t count = 0;
    pawl_status st = pawl_graph_downgrade_path(f->g, target, &list, &count, &f->err);

    assert_null(list);
    expect_refusal(f, target, st, message, hint);
}

static inline void
expect_node(fixture *f, const char *target, const char *id)
{
    size_t node = PAWL_NODE_NONE;

    if (pawl_graph_resolve(f->g, target, &node, &f->err) != PAWL_OK)
        fail_msg("%s: %s", target, f->err.message);
    assert_string_equal(pawl_graph_node(f->g, node)->id, id);
}

#endif
