#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "cli/graph.h"

#include "pawl/graph.h"

#include "util/banned.h"

#define MOST 12

static void
describe_id(pawl_cli_buf *buf, const pawl_history *history, const pawl_history_entry *entry, void *ctx)
{
    (void) history;
    (void) ctx;
    pawl_cli_add(buf, entry->id);
    pawl_cli_add(buf, "\n");
}

static void
describe_twice(pawl_cli_buf *buf, const pawl_history *history, const pawl_history_entry *entry, void *ctx)
{
    describe_id(buf, history, entry, ctx);
    pawl_cli_add(buf, "more\n\n");
}

/* Entries as {"id", "parent", "parent", ...}, newest first. */
typedef const char *const row[4];

static void
expect(const row *rows, size_t count, bool has_utf8, bool is_long, const char *wanted)
{
    pawl_history_entry entries[MOST] = {{0}};
    pawl_history history = {.entries = entries, .length = count, .target = ""};
    pawl_cli_graph_style style = {.has_utf8 = has_utf8, .describe = is_long ? describe_twice : describe_id};
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < count; i++)
    {
        entries[i].id = rows[i][0];
        entries[i].parents = rows[i] + 1;
        while (entries[i].nparents < 3 && rows[i][entries[i].nparents + 1] != NULL)
            entries[i].nparents++;
    }
    pawl_cli_draw_graph(&text, &history, &style);
    if (strcmp(pawl_cli_buf_text(&text), wanted) != 0)
        fail_msg("got\n%swanted\n%s", pawl_cli_buf_text(&text), wanted);
}

static void
a_line_is_one_lane(void **state)
{
    static const row rows[] = {{"c", "b"}, {"b", "a"}, {"a"}};

    (void) state;
    expect(rows, 3, true, false, "●  c\n●  b\n●  a\n");
    expect(rows, 3, false, false, "*  c\n*  b\n*  a\n");
    expect(rows, 3, true, true, "●  c\n│  more\n│\n●  b\n│  more\n│\n●  a\n   more\n\n");
    expect(NULL, 0, true, false, "");
}

static void
a_diamond_forks_below_its_merge_and_joins_above_its_root(void **state)
{
    static const row rows[] = {{"join", "l2", "r1"}, {"l2", "l1"}, {"l1", "root"}, {"r1", "root"}, {"root"}};

    (void) state;
    expect(rows, 5, true, false, "●  join\n├─╮\n● │  l2\n● │  l1\n│ ●  r1\n├─╯\n●  root\n");
    expect(rows, 5, false, false, "*  join\n+-.\n* |  l2\n* |  l1\n| *  r1\n+-'\n*  root\n");
}

static void
three_branches_join_in_one_line_and_lanes_between_are_crossed(void **state)
{
    static const row rows[] = {{"m", "a", "b", "c"}, {"a", "root"}, {"b", "other"},
                               {"c", "root"},        {"root"},      {"other"}};

    (void) state;
    expect(rows, 6, true, false, "●  m\n├─┬─╮\n● │ │  a\n│ ● │  b\n│ │ ●  c\n├─┼─╯\n● │  root\n  ●  other\n");
}

static void
a_second_base_gets_a_lane_that_is_free(void **state)
{
    static const row rows[] = {{"b2", "b1"}, {"b1"}, {"a2", "a1"}, {"a1"}};

    (void) state;
    expect(rows, 4, true, false, "●  b2\n●  b1\n●  a2\n●  a1\n");
}

static void
a_parent_that_is_not_shown_ends_the_lane(void **state)
{
    static const row rows[] = {{"m", "x", "b"}, {"b", "y"}};

    (void) state;
    expect(rows, 2, true, false, "●  m\n●  b\n");
}

static void
a_merge_into_a_lane_that_is_there_draws_a_line_to_it(void **state)
{
    static const row rows[] = {{"h", "b"}, {"m", "a", "b"}, {"a", "root"}, {"b", "root"}, {"root"}};

    (void) state;
    expect(rows, 5, true, false, "●  h\n│ ●  m\n├─┤\n│ ●  a\n● │  b\n├─╯\n●  root\n");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_is_one_lane),
        cmocka_unit_test(a_diamond_forks_below_its_merge_and_joins_above_its_root),
        cmocka_unit_test(three_branches_join_in_one_line_and_lanes_between_are_crossed),
        cmocka_unit_test(a_second_base_gets_a_lane_that_is_free),
        cmocka_unit_test(a_parent_that_is_not_shown_ends_the_lane),
        cmocka_unit_test(a_merge_into_a_lane_that_is_there_draws_a_line_to_it),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
