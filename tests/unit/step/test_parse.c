#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "step/backfill_step.h"
#include "step/step.h"
#include "util/file.h"
#include "util/strbuf.h"

#include "util/banned.h"

static char root[] = "/tmp/pawl-test-parse-XXXXXX";

/* One step, as the first of a revision; its text begins on line 4 of the file. */
typedef struct fixture
{
    pawl_arena *arena;
    pawl_problems *problems;
    pawl_step *step;
} fixture;

static void
write_file(const char *name, const char *text)
{
    char path[200];

    pawl_fmt(path, sizeof path, "%s/%s", root, name);
    (void) unlink(path);
    assert_int_equal(pawl_file_create(path, text), 0);
}

static int
make_root(void **state)
{
    char dir[200];

    (void) state;
    if (mkdtemp(root) == NULL)
        return -1;
    pawl_fmt(dir, sizeof dir, "%s/transforms", root);
    if (pawl_file_mkdirs(dir) != 0)
        return -1;
    write_file("transforms/good.lua", "return function(row) return { b = row.a } end\n");
    write_file("transforms/uses.lua",
               "local m = require(\"helper\")\nreturn function(row) return { b = m(row.a) } end\n");
    write_file("transforms/helper.lua", "return function(v) return v end\n");
    write_file("transforms/bad.lua", "return function(row\n");
    write_file("two.sql", "SELECT 1;\nSELECT 2;\n");
    write_file("begin.sql", "SELECT 1;\nBEGIN;\n");
    return 0;
}

static int
remove_root(void **state)
{
    static const char *const names[] = {"transforms/good.lua",
                                        "transforms/uses.lua",
                                        "transforms/helper.lua",
                                        "transforms/bad.lua",
                                        "two.sql",
                                        "begin.sql",
                                        "link.sql",
                                        "bad.csv",
                                        "twice.csv",
                                        "bad.yaml",
                                        "empty.csv",
                                        "transforms",
                                        ""};
    char path[200];

    (void) state;
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    {
        pawl_fmt(path, sizeof path, "%s/%s", root, names[i]);
        if (unlink(path) != 0)
            (void) rmdir(path);
    }
    return 0;
}

static fixture
parse(const char *step)
{
    fixture f = {.arena = pawl_arena_new(), .problems = pawl_problems_new()};
    pawl_step_parse ctx = {.root = root, .problems = f.problems, .arena = f.arena};
    pawl_revision *revision = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&text, "revision: \"aaaa0001\"\nparents: []\nup:\n%s", step);
    const char *copy = pawl_arena_strdup(f.arena, text.data);
    assert_int_equal(
        pawl_revision_parse("aaaa0001.yaml", copy, strlen(copy), f.arena, f.problems, &revision, &err),
        PAWL_OK);
    assert_non_null(revision);
    assert_int_equal(pawl_problems_count(f.problems), 0);
    assert_true(revision->nup >= 1);
    assert_int_equal(pawl_step_parse_entry(&ctx, &revision->up[0], &f.step, &err), PAWL_OK);
    assert_true((f.step == NULL) == (pawl_problems_count(f.problems) > 0));
    return f;
}

static void
drop(fixture *f)
{
    pawl_problems_free(f->problems);
    pawl_arena_free(f->arena);
}

/* The step has one problem, on that line, whose message or hint holds the words. */
static void
assert_problem(const char *step, int line, const char *words)
{
    fixture f = parse(step);

    if (pawl_problems_count(f.problems) != 1)
    {
        for (size_t i = 0; i < pawl_problems_count(f.problems); i++)
            print_error("%d: %s\n", pawl_problems_get(f.problems, i)->line,
                        pawl_problems_get(f.problems, i)->message);
        fail_msg("expected one problem (%s), got %zu", words, pawl_problems_count(f.problems));
    }
    const pawl_problem *p = pawl_problems_get(f.problems, 0);
    bool is_said = strstr(p->message, words) != NULL || (p->hint != NULL && strstr(p->hint, words) != NULL);
    if (!is_said || p->line != line)
        fail_msg("expected line %d: %s; got line %d: %s (%s)", line, words, p->line, p->message,
                 p->hint == NULL ? "" : p->hint);
    drop(&f);
}

static void
unknown_kind_names_the_nearest(void **state)
{
    (void) state;
    assert_problem("  - ad_column: { table: t }\n", 4, "did you mean \"add_column\"?");
    assert_problem("  - zebra: { table: t }\n", 4, "this version of pawl has no step \"zebra\"");
}

static void
every_kind_has_a_sample_that_parses(void **state)
{
    (void) state;
    for (const pawl_step_kind *k = pawl_step_kinds(); k->name != NULL; k++)
    {
        fixture f = parse(k->sample);
        assert_non_null(f.step);
        assert_string_equal(f.step->kind->name, k->name);
        assert_true(f.step->is_reversible);
        assert_non_null(f.step->summary);
        drop(&f);
    }
}

static void
sql_is_transactional_unless_postgres_forbids_it(void **state)
{
    fixture plain = parse("  - sql: |\n      CREATE TABLE a ();\n      CREATE TABLE b ();\n");
    fixture index = parse("  - sql: CREATE INDEX CONCURRENTLY i ON t (a)\n");
    fixture asked = parse("  - sql: { text: \"SELECT 1\", transaction: false }\n");

    (void) state;
    assert_true(plain.step->is_transactional);
    assert_false(plain.step->is_reversible);
    assert_string_equal(plain.step->summary, "CREATE TABLE a () (and 1 more)");
    assert_false(index.step->is_transactional);
    assert_false(asked.step->is_transactional);
    drop(&plain);
    drop(&index);
    drop(&asked);
}

static void
sql_problems_name_the_line_of_the_statement(void **state)
{
    (void) state;
    assert_problem("  - sql: |\n      SELECT 1;\n      COMMIT;\n", 6, "controls the transaction");
    assert_problem("  - sql: |\n      SELECT 1;\n\n      \\d t\n", 7, "command of psql");
    assert_problem("  - sql: |\n      -- nothing\n", 5, "the SQL has no statement");
    assert_problem("  - sql: |\n      SELECT 'x;\n", 5, "unterminated");
    assert_problem("  - sql: SELECT 1 # and more\n", 4, "YAML cuts");
    assert_problem("  - sql:\n      file: begin.sql\n", 2, "controls the transaction");
    assert_problem("  - sql: |\n      VACUUM t;\n      VACUUM u;\n", 6, "one statement only");
    assert_problem("  - sql:\n      transaction: true\n      text: VACUUM t\n", 6,
                   "outside a transaction only");
}

static void
sql_wants_either_a_text_or_a_file(void **state)
{
    (void) state;
    assert_problem("  - sql: { transaction: false }\n", 4, "expected either `file` or `text`");
    assert_problem("  - sql:\n      file: two.sql\n      text: SELECT 1\n", 5,
                   "expected either `file` or `text`");
}

static void
files_are_found_below_the_root_and_nowhere_else(void **state)
{
    char link_path[200];

    (void) state;
    pawl_fmt(link_path, sizeof link_path, "%s/link.sql", root);
    assert_int_equal(symlink("/etc/passwd", link_path), 0);
    assert_problem("  - sql: { file: /etc/passwd }\n", 4, "is absolute");
    assert_problem("  - sql: { file: ../x.sql }\n", 4, "leads out");
    assert_problem("  - sql: { file: a/../../x.sql }\n", 4, "leads out");
    assert_problem("  - sql: { file: none.sql }\n", 4, "cannot be found");
    assert_problem("  - sql: { file: transforms }\n", 4, "is not a regular file");
    assert_problem("  - sql: { file: link.sql }\n", 4, "symbolic link");
}

static void
checksum_covers_the_lines_and_the_files(void **state)
{
    fixture a = parse("  - sql: { file: two.sql }\n");
    write_file("two.sql", "SELECT 1;\nSELECT 3;\n");
    fixture b = parse("  - sql: { file: two.sql }\n");
    fixture c = parse("  - sql: { file:  two.sql }\n");
    write_file("two.sql", "SELECT 1;\nSELECT 2;\n");
    fixture d = parse("  - sql: { file: two.sql }\n");

    (void) state;
    assert_string_not_equal(a.step->checksum, b.step->checksum);
    assert_string_not_equal(b.step->checksum, c.step->checksum);
    assert_string_equal(a.step->checksum, d.step->checksum);
    assert_string_equal(a.step->checksum, a.step->frozen);
    drop(&a);
    drop(&b);
    drop(&c);
    drop(&d);
}

static void
checksum_of_a_step_does_not_depend_on_its_neighbours(void **state)
{
    fixture a = parse("  - sql: SELECT 1\n");
    fixture b = parse("  - sql: SELECT 1\n\n  # another\n  - sql: SELECT 2\n");

    (void) state;
    assert_string_equal(a.step->checksum, b.step->checksum);
    drop(&a);
    drop(&b);
}

static void
column_steps_say_what_they_miss(void **state)
{
    (void) state;
    assert_problem("  - add_column: { table: t, column: c }\n", 4, "type");
    assert_problem("  - add_column: { table: t, type: int }\n", 4, "column");
    assert_problem("  - add_column:\n      table: t\n      column: c\n      type: int\n      defalt: 1\n", 8,
                   "default");
    assert_problem("  - add_column: { table: t, column: c, type: int, not_null: maybe }\n", 4, "not_null");
    assert_problem("  - add_column: t\n", 4, "add_column");
    assert_problem("  - drop_column: { table: t, column: c, was: { not_null: true } }\n", 4, "type");
    assert_problem("  - rename_column: { table: t, column: c }\n", 4, "to");
    assert_problem("  - rename_column: { table: t, column: c, from: d, to: e }\n", 4, "mean the same");
    assert_problem("  - set_not_null: { table: t }\n", 4, "column");
}

static void
drop_column_has_a_way_back_only_with_was(void **state)
{
    fixture without = parse("  - drop_column: { table: t, column: c }\n");
    fixture with = parse("  - drop_column: { table: t, column: c, was: { type: int } }\n");
    fixture nothing = parse("  - drop_column: { table: t, column: c }\n    down: nothing\n");

    (void) state;
    assert_false(without.step->is_reversible);
    assert_true(with.step->is_reversible);
    assert_true(nothing.step->is_reversible);
    drop(&without);
    drop(&with);
    drop(&nothing);
}

static void
own_down_list_is_read_and_its_problems_are_found(void **state)
{
    fixture f =
        parse("  - sql: SELECT 1\n    down:\n      - sql: SELECT 2\n      - sql: { file: two.sql }\n");

    (void) state;
    assert_true(f.step->is_reversible);
    assert_int_equal(f.step->ndown, 2);
    assert_int_equal(f.step->nfiles, 1);
    drop(&f);
    assert_problem("  - sql: SELECT 1\n    down:\n      - sql: ROLLBACK\n", 6, "controls the transaction");
}

static void
assert_wants_one_query(void **state)
{
    (void) state;
    assert_problem("  - assert: { message: x }\n", 4, "query");
    assert_problem("  - assert: { query: \"SELECT 1; SELECT 2\" }\n", 4, "expected one query, found 2");
    assert_problem("  - assert: { query: \"COMMIT\" }\n", 4, "expected a query");
}

static void
backfill_wants_lua_or_set(void **state)
{
    (void) state;
    assert_problem("  - backfill: { table: t }\n", 4, "a backfill needs `lua` or `set`");
    assert_problem("  - backfill: { table: t, lua: transforms/good.lua, write: [b], set: { b: a } }\n", 4,
                   "cannot both");
    assert_problem("  - backfill: { table: t, lua: transforms/good.lua }\n", 4, "write");
    assert_problem("  - backfill: { table: t, write: [b], set: { b: a } }\n", 4, "`write` goes with `lua`");
    assert_problem("  - backfill: { table: t, set: {} }\n", 4, "an empty one");
    assert_problem("  - backfill:\n      table: t\n      set:\n        b: a # b\n", 7, "YAML cuts");
}

static void
backfill_into_another_table_wants_lua(void **state)
{
    (void) state;
    fixture f = parse("  - backfill: { table: t, into: h, merge: a, lua: transforms/good.lua, write: [a, b],"
                      " lock_rows: false }\n    down: nothing\n");
    assert_non_null(f.step);
    assert_non_null(strstr(f.step->summary, "into h"));
    drop(&f);
    assert_problem("  - backfill: { table: t, set: { b: a }, into: h }\n", 4, "`set` writes in place");
    assert_problem("  - backfill: { table: t, set: { b: a }, merge: [b] }\n", 4, "`merge` goes with `into`");
    assert_problem("  - backfill: { table: t, set: { b: a }, lock_rows: true }\n", 4,
                   "`lock_rows` goes with");
    assert_problem("  - backfill: { table: t, into: h, lua: transforms/good.lua }\n", 4, "write");
    assert_problem("  - backfill: { table: t, into: h, merge: [], lua: transforms/good.lua, write: [b] }\n",
                   4, "`merge` must name");
}

static void
what_goes_into_which_table_is_frozen(void **state)
{
    const char *const steps[] = {
        "  - backfill: { table: t, into: h, lua: transforms/good.lua, write: [b] }\n    down: nothing\n",
        "  - backfill: { table: t, into: g, lua: transforms/good.lua, write: [b] }\n    down: nothing\n",
        ("  - backfill: { table: t, into: h, merge: b, lua: transforms/good.lua, write: [b] }\n    down: "
         "nothing\n"),
        "  - backfill: { table: t, lua: transforms/good.lua, write: [b] }\n    down: nothing\n"};
    fixture f[4];

    (void) state;
    for (int i = 0; i < 4; i++)
        f[i] = parse(steps[i]);
    for (int i = 0; i < 4; i++)
        for (int k = 0; k < i; k++)
            assert_string_not_equal(f[i].step->frozen, f[k].step->frozen);
    for (int i = 0; i < 4; i++)
        drop(&f[i]);
}

static void
backfill_lua_is_loaded_at_parse_time(void **state)
{
    (void) state;
    assert_problem("  - backfill:\n      table: t\n      lua: transforms/none.lua\n      write: [b]\n", 6,
                   "cannot be found");
    assert_problem("  - backfill:\n      table: t\n      lua: transforms/bad.lua\n      write: [b]\n", 6,
                   "bad.lua");
}

static void
required_modules_belong_to_the_step(void **state)
{
    fixture f =
        parse("  - backfill: { table: t, lua: transforms/uses.lua, write: [b] }\n    down: nothing\n");

    (void) state;
    assert_int_equal(f.step->nfiles, 2);
    assert_string_equal(f.step->files[0], "transforms/uses.lua");
    assert_string_equal(f.step->files[1], "transforms/helper.lua");
    drop(&f);
}

#define THROTTLED(text) "  - backfill:\n      table: t\n      set: { b: a }\n      throttle: " text "\n"

static void
throttle_is_read_and_its_mistakes_are_named(void **state)
{
    fixture f = parse(
        THROTTLED("{ max_lag: 1s, max_rate: 20000, lock_waiters: 0, window: \"22:00-06:00 Europe/Berlin\", "
                  "probe: \"SELECT 1\", probe_max: 50ms, max_active: 20, max_dead: none }"));

    (void) state;
    assert_non_null(f.step);
    drop(&f);
    assert_problem(THROTTLED("fast"), 7, "`throttle` must be a mapping");
    assert_problem(THROTTLED("{ max_lagg: 1s }"), 7, "did you mean `max_lag`?");
    assert_problem(THROTTLED("{ workers: 1 }"), 7, "`throttle` has no key `workers`");
    assert_problem(THROTTLED("{ max_rate: 0 }"), 7, "none, or a whole number from 1");
    assert_problem(THROTTLED("{ window: \"22-06\" }"), 7, "22:00-06:00 Europe/Berlin");
    assert_problem(THROTTLED("{ probe: \"SELECT 1\" }"), 7, "`probe` and `probe_max` go together");
}

static void
words_that_this_version_cannot_obey_are_refused_by_name(void **state)
{
    static const char *const words[] = {"verify: sample"};
    PAWL_STRBUF_AUTO(text);

    (void) state;
    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    {
        pawl_strbuf_reset(&text);
        pawl_strbuf_addf(&text, "  - backfill:\n      table: t\n      set: { b: a }\n      %s\n", words[i]);
        assert_problem(text.data, 7, "this version of pawl cannot");
    }
    fixture f =
        parse("  - backfill: { table: t, set: { b: a }, on_error: stop, capture: false, verify: none }\n");
    assert_non_null(f.step);
    drop(&f);
}

static void
what_is_said_of_a_capture_is_checked(void **state)
{
    fixture f = parse("  - backfill: { table: t, set: { b: a }, capture: { max_log_mb: 5 } }\n");

    (void) state;
    assert_non_null(f.step);
    drop(&f);
    assert_problem("  - backfill: { table: t, set: { b: a }, capture: perhaps }\n", 4, "capture");
    assert_problem("  - backfill: { table: t, set: { b: a }, capture: { max_log: 5 } }\n", 4, "max_log_mb");
    assert_problem("  - backfill: { table: t, set: { b: a }, capture: { max_log_mb: 0 } }\n", 4,
                   "max_log_mb");
}

static void
what_is_said_of_bad_rows_is_checked(void **state)
{
    (void) state;
    assert_problem("  - backfill: { table: t, set: { b: a }, on_error: quarantin }\n", 4, "quarantine");
    assert_problem("  - backfill: { table: t, set: { b: a }, max_rejects: -1 }\n", 4, "max_rejects");
    assert_problem("  - backfill:\n      table: t\n      set: { b: a }\n      on_error: quarantine\n"
                   "      allow_rejects: 2000\n",
                   8, "is more than the 1000 rows at which the job stops");

    fixture f = parse("  - backfill: { table: t, set: { b: a }, on_error: quarantine, max_rejects: 5, "
                      "allow_rejects: 5 }\n");

    assert_non_null(f.step);
    drop(&f);
}

static void
what_a_swap_says_of_rejects_is_checked(void **state)
{
#define SWAP "  - swap_column: { table: t, column: c, type: integer, lua: transforms/good.lua, "
    (void) state;
    assert_problem(SWAP "rejects: write_nul }\n", 4, "write_null");
    assert_problem(SWAP "max_rejects: 5 }\n", 4, "`max_rejects` goes with `rejects: write_null`");
    assert_problem(SWAP "rejects: refuse, allow_rejects: 5 }\n", 4, "`allow_rejects` goes with");
    assert_problem(SWAP "rejects: write_null, max_rejects: -1 }\n", 4, "max_rejects");
    assert_problem("  - swap_column:\n      table: t\n      column: c\n      type: integer\n      lua: "
                   "transforms/good.lua\n      rejects: write_null\n      allow_rejects: 1001\n",
                   10, "is more than the 1000 rows at which the step stops");
    assert_problem(
        "  - swap_column: { table: t, column: c, type: integer, using: c::integer, rejects: write_null }\n",
        4, "`rejects: write_null` goes with `lua`");

    fixture a = parse(SWAP "rejects: write_null, max_rejects: 7, allow_rejects: 7 }\n");
    fixture b = parse(SWAP "rejects: refuse }\n");

    assert_non_null(a.step);
    assert_non_null(b.step);
    assert_non_null(strstr(a.step->summary, "NULL where a value is refused"));
    /* Who is stuck at a row may change his mind. */
    assert_string_equal(a.step->frozen, b.step->frozen);
    drop(&a);
    drop(&b);
#undef SWAP
}

static void
what_a_rewrite_says_of_rejects_is_checked(void **state)
{
#define REWRITE "  - rewrite_table: { table: t, change: { c: integer }, "
    (void) state;
    assert_problem(REWRITE "lua: transforms/good.lua, rejects: write_nul }\n", 4, "write_null");
    assert_problem(REWRITE "lua: transforms/good.lua, max_rejects: 5 }\n", 4,
                   "`max_rejects` goes with `rejects: write_null`");
    assert_problem(REWRITE "lua: transforms/good.lua, rejects: write_null, allow_rejects: 1001 }\n", 4,
                   "is more than the 1000 rows at which the step stops");
    assert_problem(REWRITE "rejects: write_null }\n", 4, "`rejects: write_null` goes with `lua`");

    fixture a = parse(REWRITE "lua: transforms/good.lua, rejects: write_null, max_rejects: 7 }\n");
    fixture b = parse(REWRITE "lua: transforms/good.lua }\n");

    assert_non_null(a.step);
    assert_non_null(b.step);
    assert_non_null(strstr(a.step->summary, "NULL where a value is refused"));
    assert_string_equal(a.step->frozen, b.step->frozen);
    drop(&a);
    drop(&b);
#undef REWRITE
}

static void
frozen_leaves_out_lua_and_pace_only(void **state)
{
    fixture a = parse("  - backfill: { table: t, lua: transforms/good.lua, write: [b], workers: 1 }\n");
    fixture b =
        parse("  - backfill: { table: t, lua: transforms/uses.lua, write: [b], workers: 3, batch: 500 }\n");
    fixture c = parse("  - backfill: { table: t, lua: transforms/good.lua, write: [b], where: \"a > 1\" }\n");
    fixture d = parse("  - backfill: { table: t, lua: transforms/good.lua, write: [b, c] }\n");

    (void) state;
    assert_string_equal(a.step->frozen, b.step->frozen);
    assert_string_not_equal(a.step->checksum, b.step->checksum);
    assert_string_not_equal(a.step->frozen, c.step->frozen);
    assert_string_not_equal(a.step->frozen, d.step->frozen);
    drop(&a);
    drop(&b);
    drop(&c);
    drop(&d);
}

static void
pace_of_the_step_yields_to_variables_and_flags(void **state)
{
    fixture f = parse(
        "  - backfill: { table: t, set: { b: a }, batch: { target: 2s, min: 7, max: 9 }, workers: 5 }\n");
    pawl_settings settings = {
        .workers = 2, .batch_rows = 1000, .target_ms = 250, .batch_min = 100, .batch_max = 50000};
    pawl_backfill_spec spec;

    (void) state;
    assert_true(pawl_step_is_backfill(f.step));
    pawl_step_backfill_spec(f.step, &settings, &spec);
    assert_int_equal(spec.workers, 5);
    assert_int_equal(spec.batch_rows, 0);
    assert_int_equal(spec.target_ms, 2000);
    assert_int_equal(spec.batch_min, 7);
    assert_int_equal(spec.batch_max, 9);
    assert_true(spec.fire_triggers);

    settings.origin[PAWL_SET_WORKERS] = PAWL_ORIGIN_VARIABLE;
    settings.origin[PAWL_SET_BATCH] = PAWL_ORIGIN_FLAG;
    pawl_step_backfill_spec(f.step, &settings, &spec);
    assert_int_equal(spec.workers, 2);
    assert_int_equal(spec.batch_rows, 1000);
    drop(&f);
}

static void
index_steps_say_what_they_miss(void **state)
{
    (void) state;
    assert_problem("  - create_index: { table: t, columns: [a] }\n", 4, "needs the key \"name\"");
    assert_problem("  - create_index: { table: t, name: i }\n", 4, "needs the key \"columns\"");
    assert_problem("  - create_index: { table: t, name: i, columns: [] }\n", 4, "at least one column");
    assert_problem("  - create_index: { table: t, name: i, columns: [a], uniqe: true }\n", 4,
                   "did you mean \"unique\"?");
    assert_problem("  - create_index: { table: t, columns: [a], name: "
                   "a234567890123456789012345678901234567890123456789012345678901234 }\n",
                   4, "1 to 63 bytes");
    assert_problem("  - drop_index: { name: a.b.c }\n", 4, "must be the name of an index");
    assert_problem("  - drop_index: { name: 'a b' }\n", 4, "must be the name of an index");
    assert_problem("  - drop_index: { name: a, was: { columns: [a] } }\n", 4, "needs the key \"table\"");
}

static void
index_is_transactional_only_when_it_is_not_concurrent(void **state)
{
    fixture a = parse("  - create_index: { table: t, name: i, columns: a }\n");
    fixture b = parse("  - create_index: { table: t, name: i, columns: a, concurrently: false }\n");
    fixture c = parse("  - drop_index: { name: '\"a \"\"b\"' }\n");

    (void) state;
    assert_false(a.step->is_transactional);
    assert_true(b.step->is_transactional);
    assert_false(c.step->is_transactional);
    assert_true(c.step->is_reversible);
    drop(&a);
    drop(&b);
    drop(&c);
}

static void
constraint_is_one_of_three(void **state)
{
    fixture f = parse("  - drop_constraint: { table: t, name: c }\n");

    (void) state;
    assert_false(f.step->is_reversible);
    drop(&f);
    assert_problem("  - add_constraint: { table: t, name: c }\n", 4, "exactly one of");
    assert_problem("  - add_constraint: { table: t, name: c, check: a, unique: { columns: [a] } }\n", 4,
                   "exactly one of");
    assert_problem("  - add_constraint: { table: t, name: c, unique: [a] }\n", 4, "must be a mapping");
    assert_problem("  - add_constraint: { table: t, name: c, foreign_key: { columns: [a] } }\n", 4,
                   "needs the key \"references\"");
    assert_problem("  - add_constraint: { table: t, name: c, foreign_key: { columns: [a], references: b, "
                   "ref_columns: [c, d] } }\n",
                   4, "1 columns cannot reference 2");
    assert_problem("  - add_constraint: { table: t, name: c, foreign_key: { columns: [a], references: b, "
                   "on_delete: cascad } }\n",
                   4, "did you mean \"cascade\"?");
}

static void
seed_problems_name_the_line_of_the_data(void **state)
{
    (void) state;
    write_file("bad.csv", "id,a\n1,x\n2\n3,y\n");
    write_file("twice.csv", "id,a\n1,x\n2,y\n1,z\n");
    write_file("bad.yaml", "- { id: 1, a: x }\n- { id: 2 }\n");
    write_file("empty.csv", "id,a\n");
    assert_problem("  - seed: { table: t, key: id, file: bad.csv }\n", 3, "expected 2 fields");
    assert_problem("  - seed: { table: t, key: id, file: twice.csv }\n", 4, "the one on line 2");
    assert_problem("  - seed: { table: t, key: id, file: bad.yaml }\n", 2, "this row has no \"a\"");
    assert_problem("  - seed: { table: t, key: b, file: empty.csv }\n", 4, "have no column \"b\"");
    assert_problem("  - seed: { table: t, key: id, file: empty.csv, delete_missing: true }\n", 4,
                   "would empty the table");
    assert_problem("  - seed: { table: t, key: id, file: two.sql }\n", 4, "end in .csv, .yaml or .yml");
    assert_problem("  - seed: { table: t, key: id }\n", 4, "either `file` or `rows`");
    assert_problem("  - seed: { table: t, rows: [{ id: 1 }] }\n", 4, "needs the key \"key\"");
    assert_problem(
        "  - seed:\n      table: t\n      key: id\n      rows:\n        - { id: 1 }\n        - { id: ~ }\n",
        9, "no value in a column of its key");
    assert_problem("  - seed: { table: t, key: id, rows: [{ id: [1, 2] }] }\n", 4, "must be one value");
    assert_problem("  - seed: { table: t, key: id, rows: [{ id: 1 }, { id: 2, b: 1 }] }\n", 4,
                   "first row has no such column");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(unknown_kind_names_the_nearest),
        cmocka_unit_test(every_kind_has_a_sample_that_parses),
        cmocka_unit_test(sql_is_transactional_unless_postgres_forbids_it),
        cmocka_unit_test(sql_problems_name_the_line_of_the_statement),
        cmocka_unit_test(sql_wants_either_a_text_or_a_file),
        cmocka_unit_test(files_are_found_below_the_root_and_nowhere_else),
        cmocka_unit_test(checksum_covers_the_lines_and_the_files),
        cmocka_unit_test(checksum_of_a_step_does_not_depend_on_its_neighbours),
        cmocka_unit_test(column_steps_say_what_they_miss),
        cmocka_unit_test(drop_column_has_a_way_back_only_with_was),
        cmocka_unit_test(own_down_list_is_read_and_its_problems_are_found),
        cmocka_unit_test(index_steps_say_what_they_miss),
        cmocka_unit_test(index_is_transactional_only_when_it_is_not_concurrent),
        cmocka_unit_test(constraint_is_one_of_three),
        cmocka_unit_test(seed_problems_name_the_line_of_the_data),
        cmocka_unit_test(assert_wants_one_query),
        cmocka_unit_test(backfill_wants_lua_or_set),
        cmocka_unit_test(backfill_into_another_table_wants_lua),
        cmocka_unit_test(what_goes_into_which_table_is_frozen),
        cmocka_unit_test(backfill_lua_is_loaded_at_parse_time),
        cmocka_unit_test(required_modules_belong_to_the_step),
        cmocka_unit_test(throttle_is_read_and_its_mistakes_are_named),
        cmocka_unit_test(words_that_this_version_cannot_obey_are_refused_by_name),
        cmocka_unit_test(what_is_said_of_a_capture_is_checked),
        cmocka_unit_test(what_is_said_of_bad_rows_is_checked),
        cmocka_unit_test(what_a_swap_says_of_rejects_is_checked),
        cmocka_unit_test(what_a_rewrite_says_of_rejects_is_checked),
        cmocka_unit_test(frozen_leaves_out_lua_and_pace_only),
        cmocka_unit_test(pace_of_the_step_yields_to_variables_and_flags),
    };

    return cmocka_run_group_tests(tests, make_root, remove_root);
}
