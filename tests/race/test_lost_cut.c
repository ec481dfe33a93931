/*
 * A connection that is lost in the cut-over of a swap, a switch or a rewrite: the run finds out by itself whether the
 * cut-over is in, and goes on or tries again.
 */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/migration.h"
#include "support/project.h"
#include "support/proxy.h"
#include "support/server.h"
#include "util/failpoint.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define LUA                                                                     \
    "return { row = function(row) return { a = row.a and row.a .. '!' } end,\n" \
    "reverse = function(row) return { a = row.a and row.a:gsub('!$', '') .. '' } end }\n"
#define FILL                                                                    \
    "return { row = function(row) return { b = row.a and row.a .. '!' } end,\n" \
    "reverse = function(row) return { a = row.b and row.b:gsub('!$', '') .. '' } end }\n"

#define SWAP "up:\n  - swap_column: { table: t, column: a, type: varchar(100), lua: transforms/up.lua }\n"
#define SWAP_IN_STEP                                                                        \
    "up:\n  - swap_column: { table: t, column: a, type: varchar(100), using: \"a || '!'\"," \
    " reverse: \"rtrim(a, '!')\" }\n"
#define REWRITE "up:\n  - rewrite_table: { table: t, change: { a: varchar(100) }, lua: transforms/up.lua }\n"
#define SWITCH                                                                                        \
    "up:\n  - backfill: { table: t, read: [a], write: [b], lua: transforms/fill.lua, capture: true }" \
    "\n    down: nothing\n  - switch: { table: t, column: a, with: b }\n"

#define WRONG  "SELECT count(*)::text FROM t WHERE a IS DISTINCT FROM 'v' || id || '!'"
#define BACK   "SELECT count(*)::text FROM t WHERE a IS DISTINCT FROM 'v' || id"
#define EVENTS "SELECT count(*)::text FROM pawl.event WHERE kind = 'cut_over'"

static pawl_test_fixture
begin(const char *name, const char *step)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, "ALTER TABLE t ADD b text");
    pawl_test_project_write(f.dir, "migrations/transforms/up.lua", LUA);
    pawl_test_project_write(f.dir, "migrations/transforms/fill.lua", FILL);
    pawl_test_revision(&f, "aaaa0001", "", step);
    return f;
}

/* ---- the backend is killed -------------------------------------------------------------------------------------------- */

/* Whoever renames something in a cut-over, over the drain's session, dies of it, so many times. */
static void
kill_whoever_renames(const pawl_test_fixture *f, int times)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_strbuf_addf(
        &sql,
        "DROP EVENT TRIGGER IF EXISTS dies; DROP SEQUENCE IF EXISTS deaths; CREATE SEQUENCE deaths;"
        "CREATE OR REPLACE FUNCTION dies() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
        " IF current_setting('application_name') = 'pawl drain' AND current_query() LIKE"
        " '%%RENAME%%' AND nextval('public.deaths') <= %d THEN PERFORM"
        " pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(10); END IF; END $$;"
        "CREATE EVENT TRIGGER dies ON ddl_command_end WHEN TAG IN ('ALTER TABLE')"
        " EXECUTE FUNCTION dies()",
        times);
    pawl_test_exec(f->db, sql.data);
}

static void
killed_there_and_back(const char *step)
{
    pawl_test_fixture f = begin("killed", step);

    kill_whoever_renames(&f, 2);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT (last_value > 2)::text FROM deaths", "true");
    pawl_test_assert_heard(&f, "in a moment");
    pawl_test_assert_text(&f, WRONG, "0");
    pawl_test_assert_text(&f, EVENTS, "1");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    kill_whoever_renames(&f, 2);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT (last_value > 2)::text FROM deaths", "true");
    pawl_test_assert_text(&f, BACK, "0");
    pawl_test_end(&f);
}

static void
a_cut_over_whose_backend_was_killed_is_tried_again(void **state)
{
    (void) state;
    killed_there_and_back(SWAP);
    killed_there_and_back(SWAP_IN_STEP);
    killed_there_and_back(SWITCH);
    killed_there_and_back(REWRITE);
}

static void
it_is_not_tried_for_ever(void **state)
{
    pawl_test_fixture f = begin("ever", SWAP);

    (void) state;
    kill_whoever_renames(&f, 1000);
    pawl_test_must_fail(&f, true, NULL, PAWL_E_CONNECT, "step 1 (swap_column)");
    pawl_test_assert_text(&f, "SELECT (last_value BETWEEN 5 AND 20)::text FROM deaths", "true");
    pawl_test_exec(f.db, "DROP EVENT TRIGGER dies");
    pawl_test_assert_text(&f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, WRONG, "0");
    pawl_test_end(&f);
}

/* ---- the answer is lost ------------------------------------------------------------------------------------------------ */

static void *
upgrade(void *ctx)
{
    pawl_test_fixture *f = ctx;

    (void) pawl_test_go(f, true, NULL);
    return NULL;
}

/* The COMMIT of a cut-over that waits at the gate is the next one that is sent: who renews the lease waits for it. */
static void
lose_commit(const char *step, const char *point, pawl_test_cut how)
{
    pawl_test_fixture f = begin("lost", step);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    int64_t before = pawl_failpoint_reached(point);
    PAWL_STRBUF_AUTO(config);
    char through[300];
    pthread_t thread;

    pawl_test_proxy_conninfo(proxy, "lost", through, sizeof through);
    pawl_strbuf_addf(&config, "database: \"%s\"\nmigrations: migrations\n", through);
    pawl_test_project_write(f.dir, "pawl.yaml", config.data);
    pawl_failpoint_open(point, false);
    assert_int_equal(pthread_create(&thread, NULL, upgrade, &f), 0);
    for (int i = 0; i < 4000 && pawl_failpoint_reached(point) == before; i++)
        pawl_test_pause_ms(5);
    pawl_test_proxy_cut_on(proxy, "COMMIT", 1, how);
    pawl_failpoint_open(point, true);
    for (int i = 0; i < 4000 && pawl_test_proxy_cuts(proxy) == 0; i++)
        pawl_test_pause_ms(5);
    if (how == PAWL_TEST_CUT_BEFORE)
        pawl_test_pause_ms(
            500); /* the run looks for what has become of it while the old session still holds it all */
    pawl_test_proxy_release(proxy);
    assert_int_equal(pthread_join(thread, NULL), 0);
    if (f.err.code != PAWL_OK)
        fail_msg("%s (%s)", f.err.message, f.err.detail);
    assert_int_equal(pawl_test_proxy_cuts(proxy), 1);
    pawl_test_proxy_stop(proxy);
    pawl_test_assert_text(&f, WRONG, "0");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa0001 applied");
    pawl_test_end(&f);
}

static void
a_cut_over_that_is_in_is_not_done_twice(void **state)
{
    (void) state;
    lose_commit(SWAP, "swap.in_cut", PAWL_TEST_CUT_AFTER);
    lose_commit(SWITCH, "swap.in_cut", PAWL_TEST_CUT_AFTER);
    lose_commit(REWRITE, "rewrite.in_cutover", PAWL_TEST_CUT_AFTER);
}

static void
a_cut_over_that_commits_late_is_waited_for(void **state)
{
    (void) state;
    lose_commit(SWAP, "swap.in_cut", PAWL_TEST_CUT_BEFORE);
    lose_commit(SWITCH, "swap.in_cut", PAWL_TEST_CUT_BEFORE);
    lose_commit(REWRITE, "rewrite.in_cutover", PAWL_TEST_CUT_BEFORE);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_cut_over_whose_backend_was_killed_is_tried_again),
        cmocka_unit_test(it_is_not_tried_for_ever),
        cmocka_unit_test(a_cut_over_that_is_in_is_not_done_twice),
        cmocka_unit_test(a_cut_over_that_commits_late_is_waited_for),
    };

    pawl_failpoint_arm("swap.in_cut=gate;rewrite.in_cutover=gate");
    pawl_failpoint_open("swap.in_cut", true);
    pawl_failpoint_open("rewrite.in_cutover", true);
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
