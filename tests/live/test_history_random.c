/*
 * Random histories, there and back: what `upgrade heads` built, `downgrade base` takes away, and a walk down to any
 * revision and up again leads to the same place.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"
#include "util/rng.h"

#include "util/banned.h"

#define HISTORIES 8
#define MOST      9

/* All that a step can change: tables, columns, indexes and constraints, in the order of their names. */
#define CATALOGUE                                                                                           \
    "SELECT coalesce(string_agg(what, E'\\n' ORDER BY what), '') FROM ("                                    \
    "SELECT 'column ' || c.relname || '.' || a.attname || ' ' || format_type(a.atttypid, a.atttypmod) || "  \
    "a.attnotnull || coalesce(pg_get_expr(d.adbin, d.adrelid), '') AS what FROM pg_class c JOIN "           \
    "pg_attribute a ON "                                                                                    \
    "a.attrelid = c.oid LEFT JOIN pg_attrdef d ON (d.adrelid, d.adnum) = (c.oid, a.attnum) WHERE "          \
    "c.relnamespace = "                                                                                     \
    "'public'::regnamespace AND c.relkind = 'r' AND a.attnum > 0 AND NOT a.attisdropped "                   \
    "UNION ALL SELECT 'table ' || relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND "   \
    "relkind = 'r' "                                                                                        \
    "UNION ALL SELECT indexdef FROM pg_indexes WHERE schemaname = 'public' "                                \
    "UNION ALL SELECT conname || ' ' || pg_get_constraintdef(oid) FROM pg_constraint WHERE connamespace = " \
    "'public'::regnamespace) s"

typedef struct random_history
{
    pawl_rng rng;
    size_t count;
    bool is_above[MOST][MOST]; /* [a][b]: b is an ancestor of a, by parents */
    bool has_child[MOST];
} random_history;

static size_t
below(random_history *h, size_t limit)
{
    return (size_t) pawl_rng_below(&h->rng, (uint64_t) limit);
}

static void
add_parent(random_history *h, size_t child, size_t parent, pawl_strbuf *list)
{
    if (h->is_above[child][parent])
        return;
    for (size_t i = 0; i < child; i++)
    {
        /* Neither a parent that is an ancestor of another, nor one that has another as its ancestor. */
        if (h->is_above[child][i] && h->is_above[i][parent])
            return;
        if (h->is_above[parent][i] && h->is_above[child][i])
            return;
    }
    pawl_strbuf_addf(list, "%srev%zu", list->length == 0 ? "" : ", ", parent);
    h->is_above[child][parent] = true;
    for (size_t i = 0; i < child; i++)
        h->is_above[child][i] = h->is_above[child][i] || h->is_above[parent][i];
    h->has_child[parent] = true;
}

/* Steps that need nothing but t and what the revision itself makes: any order of branches will do. */
static void
add_steps(random_history *h, size_t i, pawl_strbuf *text)
{
    switch (below(h, 4))
    {
        case 0:
            pawl_strbuf_addf(text,
                             "  - sql: CREATE TABLE made%zu (id int PRIMARY KEY)\n    down:\n"
                             "      - sql: DROP TABLE made%zu\n",
                             i, i);
            return;
        case 1:
            pawl_strbuf_addf(text,
                             "  - add_column: { table: t, column: c%zu, type: int, default: \"7\" }\n"
                             "  - set_not_null: { table: t, column: c%zu }\n",
                             i, i);
            return;
        case 2:
            pawl_strbuf_addf(text, "  - create_index: { table: t, columns: [a], name: t_a_%zu }\n", i);
            return;
        default:
            pawl_strbuf_addf(text,
                             "  - add_column: { table: t, column: c%zu, type: text }\n"
                             "  - rename_column: { table: t, column: c%zu, to: d%zu }\n",
                             i, i, i);
    }
}

static void
write_revision(random_history *h, const pawl_test_fixture *f, size_t i)
{
    PAWL_STRBUF_AUTO(name);
    PAWL_STRBUF_AUTO(parents);
    PAWL_STRBUF_AUTO(text);
    size_t wanted = i == 0 || below(h, 6) == 0 ? 0 : 1 + below(h, 5) / 3;

    for (size_t k = 0; k < wanted; k++)
        add_parent(h, i, below(h, i), &parents);
    pawl_strbuf_addf(&name, "migrations/rev%zu.yaml", i);
    pawl_strbuf_addf(&text, "revision: rev%zu\nparents: [%s]\n", i, parents.data == NULL ? "" : parents.data);
    if (i > 0 && below(h, 3) == 0)
        pawl_strbuf_addf(&text, "depends_on: [rev%zu]\n", below(h, i));
    pawl_strbuf_add(&text, "up:\n");
    add_steps(h, i, &text);
    pawl_test_project_write(f->dir, name.data, text.data);
}

static char *
applied(const pawl_test_fixture *f)
{
    return pawl_test_query_text(f->db, PAWL_TEST_REVISIONS);
}

/* Down to a revision that stays, and up again. */
static void
go_back_and_return(random_history *h, pawl_test_fixture *f, const char *catalogue)
{
    PAWL_STRBUF_AUTO(target);
    char *all = applied(f);

    pawl_strbuf_addf(&target, "rev%zu", below(h, h->count));
    pawl_test_must_go(f, false, target.data);
    pawl_test_must_go(f, true, "heads");
    pawl_test_assert_text(f, CATALOGUE, catalogue);
    pawl_test_assert_text(f, PAWL_TEST_REVISIONS, all);
    free(all);
}

static void
walk(uint64_t seed)
{
    random_history h = {0};
    PAWL_STRBUF_AUTO(name);
    char *before;
    char *after;

    pawl_strbuf_addf(&name, "random%llu", (unsigned long long) seed);
    pawl_test_fixture f = pawl_test_begin(name.data);
    pawl_rng_init(&h.rng, seed);
    h.count = 3 + below(&h, MOST - 2);
    for (size_t i = 0; i < h.count; i++)
        write_revision(&h, &f, i);

    before = pawl_test_query_text(f.db, CATALOGUE);
    pawl_test_must_go(&f, true, "heads");
    assert_int_equal(pawl_test_query_i64(f.db, "SELECT count(*) FROM pawl.revision WHERE state = 'applied'"),
                     (int64_t) h.count);
    after = pawl_test_query_text(f.db, CATALOGUE);
    assert_string_not_equal(before, after);
    go_back_and_return(&h, &f, after);
    go_back_and_return(&h, &f, after);

    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, CATALOGUE, before);
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "");
    free(before);
    free(after);
    pawl_test_end(&f);
}

static void
a_random_history_leads_there_and_back(void **state)
{
    (void) state;
    for (uint64_t seed = 1; seed <= HISTORIES; seed++)
    {
        print_message("history %llu\n", (unsigned long long) seed);
        walk(seed);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_random_history_leads_there_and_back),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
