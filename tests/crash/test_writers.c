/*
 * Swaps and rewrites that die in every state while others go on writing (support/writers.h): pawl by SIGKILL, or its
 * server, which then finds pawl where it was. The same command again gets through, every time some are also taken back, and
 * table and oracle agree throughout.
 *
 * A few states in the short form, all of them with PAWL_TEST_LONG. PAWL_TEST_SEED changes what is written.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/writers.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                                                  \
    "local M = {}\n"                                                                                         \
    "function M.row(row) if row.price then return { price = math.tointeger(tonumber(row.price)) } end end\n" \
    "function M.reverse(row) if row.price then return { price = tostring(row.price) } end end\n"             \
    "return M\n"
#define ROW                                                                                 \
    "return function(row)\n"                                                                \
    "  return { price = row.price and math.tointeger(tonumber(row.price)) or pawl.null }\n" \
    "end\n"

typedef enum manner
{
    PAWL_KILLED,
    SERVER_STOPPED, /* at once, as by a power cut */
    SERVER_KILLED,  /* the postmaster by SIGKILL; its sessions notice one by one */
    BACKEND_KILLED, /* the server throws out everybody and recovers */
    DEATHS
} manner;

/* A step, and what is known of its states. */
typedef struct migration
{
    const char *step;
    const char *transform;
    const char *const *points;
    bool has_way_back;
} migration;

static const char *const swap_points[] = {"swap.after_add",     "swap.after_job",
                                          "swap.after_arm",     "backfill.after_write",
                                          "swap.after_copy",    "swap.after_drain",
                                          "swap.after_unit",    "swap.after_index",
                                          "swap.in_cut",        "swap.after_cut",
                                          "drain.after_apply",  "drain.after_commit",
                                          "step.before_commit", NULL};
static const char *const rewrite_points[] = {"rewrite.before_commit",
                                             "rewrite.after_begin",
                                             "rewrite.before_capture",
                                             "rewrite.after_prepare",
                                             "copier.in_range",
                                             "copier.before_turn",
                                             "copier.before_commit",
                                             "copier.after_commit",
                                             "rewrite.after_copy",
                                             "rewrite.after_drain",
                                             "drain.after_apply",
                                             "drain.after_commit",
                                             "rewrite.in_unit",
                                             "rewrite.after_settle",
                                             "rewrite.in_cutover",
                                             "rewrite.before_cutover_commit",
                                             "rewrite.after_cutover_commit",
                                             "rewrite.before_end",
                                             "rewrite.back_drained",
                                             "rewrite.in_cut_back",
                                             NULL};

static const migration swap_lua = {.step = "swap_column:\n      table: p\n      column: price\n      type: "
                                           "bigint\n      batch: 300\n      workers: 1\n"
                                           "      lua: transforms/price.lua\n",
                                   .transform = LUA,
                                   .points = swap_points,
                                   .has_way_back = true};
static const migration swap_sql = {.step = "swap_column:\n      table: p\n      column: price\n      type: "
                                           "bigint\n      batch: 300\n      workers: 1\n"
                                           "      using: price::bigint\n      reverse: price::text\n",
                                   .transform = LUA,
                                   .points = swap_points,
                                   .has_way_back = true};
static const migration rewrite = {
    .step = "rewrite_table:\n      table: p\n      batch: 300\n      change: { price: bigint }\n"
            "      lua: transforms/price.lua\n      reverse: { price: \"price::text\" }\n",
    .transform = ROW,
    .points = rewrite_points,
    .has_way_back = true};

/* No row leaves the server, and three sessions copy. */
static const migration rewrite_sql = {
    .step = "rewrite_table:\n      table: p\n      batch: 100\n      workers: 3\n"
            "      change: { price: { type: bigint, using: \"price::bigint\" } }\n"
            "      reverse: { price: \"price::text\" }\n",
    .transform = ROW,
    .points = rewrite_points,
    .has_way_back = true};

typedef struct scene
{
    const migration *subject;
    const char *point;
    int passage;
    manner death;
    const char *db;
    const char *dir;
} scene;

static void
make_project(scene *s)
{
    PAWL_STRBUF_AUTO(text);

    s->db = pawl_test_database_new("dying");
    s->dir = pawl_test_project_new(s->db, NULL);
    pawl_strbuf_addf(&text, "revision: \"aaaa0001\"\nparents: []\nup:\n  - %s", s->subject->step);
    pawl_test_project_write(s->dir, "migrations/transforms/price.lua", s->subject->transform);
    pawl_test_project_write(s->dir, "migrations/aaaa0001.yaml", text.data);
}

static void
crash_server(const scene *s)
{
    PGconn *victim;

    if (s->death == SERVER_STOPPED)
    {
        pawl_test_server_restart(true);
        return;
    }
    if (s->death == SERVER_KILLED)
    {
        pawl_test_server_kill();
        return;
    }
    victim = pawl_test_connect(s->db);
    pawl_test_server_kill_backend(s->db, victim);
    PQfinish(victim);
}

/* False when nothing passes the point so often; it has got through then. */
static bool
has_died(const scene *s, const char *verb, const char *target)
{
    PAWL_STRBUF_AUTO(variable);

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=%s@%d", s->point,
                     s->death == PAWL_KILLED ? "kill" : "stop", s->passage);
    const char *const env[] = {variable.data, NULL};
    const char *const args[] = {verb, target, NULL};
    pawl_test_process *process = pawl_test_start(args, env, s->dir);
    bool is_stopped = pawl_test_has_stopped(pawl_test_process_pid(process));

    if (is_stopped)
    {
        crash_server(s);
        pawl_test_kill(pawl_test_process_pid(process), SIGCONT);
    }

    pawl_test_output output = pawl_test_wait(process, 120000);
    bool is_killed = output.signal_number == SIGKILL;

    if (!is_stopped && !is_killed && output.exit_code != 0)
        fail_msg("%s at %s@%d: %s", verb, s->point, s->passage, output.err);
    pawl_test_output_free(&output);
    return is_stopped || is_killed;
}

static void
assert_type(const scene *s, const char *expected)
{
    char *got = pawl_test_query_text(
        s->db,
        "SELECT atttypid::regtype FROM pg_attribute WHERE attrelid = 'p'::regclass AND attname = 'price'");

    if (strcmp(got, expected) != 0)
        fail_msg("after %s@%d price is %s, not %s", s->point, s->passage, got, expected);
    free(got);
}

static bool
is_cut_over(const scene *s)
{
    return pawl_test_query_i64(
               s->db, "SELECT (atttypid = 'bigint'::regtype)::int FROM pg_attribute WHERE attrelid = "
                      "'p'::regclass AND attname = 'price'") == 1;
}

/* True when it did die there, on its way there or on its way back. */
static bool
play(const migration *subject, const char *point, int passage, manner death, uint64_t seed)
{
    scene s = {.subject = subject, .point = point, .passage = passage, .death = death};
    pawl_test_writers_options options = {.seed = seed, .rows = 1500, .outlives = true};
    pawl_test_writers *writers;
    bool has_died_once;

    print_message("%s@%d, death %d, seed %llu\n", point, passage, (int) death, (unsigned long long) seed);
    make_project(&s);
    options.db = s.db;
    pawl_test_writers_tables(s.db, options.rows);
    writers = pawl_test_writers_start(&options);
    pawl_test_writers_await(writers, 5);
    has_died_once = has_died(&s, "upgrade", "head");
    pawl_test_writers_await(writers, 5);
    if (has_died_once && seed % 3 == 0 && !is_cut_over(&s))
    {
        pawl_test_pawl_exits(s.dir, "downgrade", "base", 0);
        assert_type(&s, "text");
        pawl_test_writers_await(writers, 5);
    }
    pawl_test_pawl_exits(s.dir, "upgrade", "head", 0);
    assert_type(&s, "bigint");
    pawl_test_writers_await(writers, 5);
    if (subject->has_way_back)
    {
        has_died_once = has_died(&s, "downgrade", "base") || has_died_once;
        pawl_test_writers_await(writers, 5);
        pawl_test_pawl_exits(s.dir, "downgrade", "base", 0);
        assert_type(&s, "text");
        pawl_test_writers_await(writers, 5);
    }
    (void) pawl_test_writers_stop(writers);
    pawl_test_writers_check(s.db, false);
    return has_died_once;
}

static void
must_play(const migration *subject, const char *point, int passage, manner death, uint64_t seed)
{
    if (!play(subject, point, passage, death, seed))
        fail_msg("nothing passes %s %d times", point, passage);
}

/* Every point, as often as it is passed, and every death. */
static void
play_all(const migration *subject)
{
    uint64_t seed = pawl_test_seed(100);

    for (const char *const *point = subject->points; *point != NULL; point++)
    {
        for (int i = 0; i < DEATHS; i++)
            if (!play(subject, *point, 1, (manner) i, seed++) && strncmp(*point, "drain.", 6) != 0 &&
                strncmp(*point, "swap.after_drain", 16) != 0)
                fail_msg("nothing passes %s", *point);
        for (int passage = 2; passage < 16; passage += 1 + passage / 4)
            if (!play(subject, *point, passage, (manner) (seed % DEATHS), seed))
                break;
            else
                seed++;
    }
}

static void
a_swap_that_dies_loses_nothing(void **state)
{
    uint64_t seed = pawl_test_seed(1);

    (void) state;
    must_play(&swap_lua, "swap.in_cut", 1, PAWL_KILLED, seed);
    must_play(&swap_lua, "drain.after_apply", 1, SERVER_KILLED, seed + 1);
    must_play(&swap_sql, "backfill.after_write", 2, BACKEND_KILLED, seed + 2);
}

static void
a_rewrite_that_dies_loses_nothing(void **state)
{
    uint64_t seed = pawl_test_seed(4);

    (void) state;
    must_play(&rewrite, "copier.after_commit", 2, SERVER_STOPPED, seed);
    must_play(&rewrite, "rewrite.after_cutover_commit", 1, BACKEND_KILLED, seed + 2);
    must_play(&rewrite, "rewrite.in_cut_back", 1, PAWL_KILLED, seed + 3);
}

static void
a_copy_inside_the_server_that_dies_loses_nothing(void **state)
{
    uint64_t seed = pawl_test_seed(9);

    (void) state;
    must_play(&rewrite_sql, "copier.in_range", 6, PAWL_KILLED, seed);
    must_play(&rewrite_sql, "copier.before_turn", 5, BACKEND_KILLED, seed + 1);
    must_play(&rewrite_sql, "copier.before_commit", 7, SERVER_KILLED, seed + 2);
}

static void
a_swap_by_a_transform_may_die_anywhere(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    play_all(&swap_lua);
}

static void
a_swap_by_an_expression_may_die_anywhere(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    play_all(&swap_sql);
}

static void
a_rewrite_may_die_anywhere(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    play_all(&rewrite);
}

static void
a_copy_inside_the_server_may_die_anywhere(void **state)
{
    (void) state;
    if (!pawl_test_is_long())
        skip();
    play_all(&rewrite_sql);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_that_dies_loses_nothing),
        cmocka_unit_test(a_rewrite_that_dies_loses_nothing),
        cmocka_unit_test(a_copy_inside_the_server_that_dies_loses_nothing),
        cmocka_unit_test(a_swap_by_a_transform_may_die_anywhere),
        cmocka_unit_test(a_swap_by_an_expression_may_die_anywhere),
        cmocka_unit_test(a_rewrite_may_die_anywhere),
        cmocka_unit_test(a_copy_inside_the_server_may_die_anywhere),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
