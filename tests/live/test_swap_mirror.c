/* The mirror of a swap with a function `reverse`: its log is carried over by whoever comes by, and seen by who looks. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define TABLE                                          \
    "CREATE TABLE p (id int PRIMARY KEY, price text);" \
    "INSERT INTO p SELECT i, '$' || i FROM generate_series(1, 300) i"
#define LUA                                                                                   \
    "return { row = function(row) return { price = math.tointeger(row.price:sub(2)) } end,\n" \
    "reverse = function(row) if row.price == 13 then pawl.reject('no thirteen') end "         \
    "return { price = '$' .. row.price } end }"
#define SWAP \
    "up:\n  - swap_column: { table: public.p, column: price, type: integer, lua: transforms/price.lua }\n"

static pawl_test_fixture
begin(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_test_revision(&f, "aaaa", "", SWAP);
    pawl_test_up(&f);
    return f;
}

static void
assert_says(const pawl_test_fixture *f, const char *verb, const char *arg, const char *words)
{
    pawl_test_output out = pawl_test_pawl(f->dir, verb, arg, NULL);

    if (strstr(out.out, words) == NULL && strstr(out.err, words) == NULL)
        fail_msg("pawl %s: \"%s\" is not in: %s%s", verb, words, out.out, out.err);
    pawl_test_output_free(&out);
}

static void
an_upgrade_carries_over_what_the_mirror_has_logged(void **state)
{
    pawl_test_fixture f = begin("upgrade");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 1000 + id WHERE id < 50");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price_old = '$' || price", "251");
    pawl_test_up(&f); /* nothing is pending */
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price_old = '$' || price", "300");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pawl.change_1", "0");
    pawl_test_exec(f.db, "UPDATE p SET price = 2000 + id WHERE id = 3");
    pawl_test_revision(&f, "bbbb", "aaaa", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price_old FROM p WHERE id = 3", "$2003");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 3", "$2003");
    pawl_test_end(&f);
}

/* What the way back would stumble over is heard of when it happens, and stops no deploy. */
static void
a_row_that_has_no_way_back_is_a_warning(void **state)
{
    pawl_test_fixture f = begin("warning");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 13 WHERE id = 1");
    pawl_test_up(&f);
    assert_non_null(strstr(f.heard.text.data, "no thirteen"));
    assert_non_null(strstr(f.heard.text.data, "id = 1"));
    pawl_test_exec(f.db, "UPDATE p SET price = 14 WHERE id = 1");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT price_old FROM p WHERE id = 1", "$14");
    pawl_test_exec(f.db, "UPDATE p SET price = 13 WHERE id = 2");
    pawl_test_must_fail(&f, false, "base", PAWL_E_TRANSFORM, "no thirteen");
    pawl_test_exec(f.db, "UPDATE p SET price = 12 WHERE id = 2");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 2", "$12");
    pawl_test_end(&f);
}

static void
work_carries_over_what_the_mirror_has_logged(void **state)
{
    pawl_test_fixture f = begin("work");

    (void) state;
    pawl_test_exec(f.db, "UPDATE p SET price = 1000 + id WHERE id < 50");
    assert_says(&f, "work", "1", "is carried over");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE price_old = '$' || price", "300");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror open");
    pawl_test_end(&f);
}

static void
status_shows_the_mirror_and_how_far_it_is_behind(void **state)
{
    pawl_test_fixture f = begin("status");

    (void) state;
    assert_says(&f, "status", NULL, "mirror: the way back is open");
    pawl_test_exec(f.db, "UPDATE p SET price = 1000 + id WHERE id < 50");
    pawl_test_wait_until(f.db, "SELECT pg_stat_get_live_tuples('pawl.change_1'::regclass) = 49", 60000);
    assert_says(&f, "status", NULL, "about 49 changes");
    assert_says(&f, "status", "--json", "\"phase\": \"mirror\"");
    pawl_test_end(&f);
}

/* Killed between the end of the mirror and the record of the step, it is no second time that the column goes. */
static void
an_old_column_that_nobody_keeps_goes_at_once(void **state)
{
    pawl_test_fixture f = pawl_test_begin("drop");
    const char *const env[] = {"PAWL_FAILPOINT=swap.after_contract=kill", NULL};
    pawl_test_output killed;

    (void) state;
    pawl_test_exec(f.db, TABLE);
    pawl_test_project_write(f.dir, "migrations/transforms/price.lua", LUA);
    pawl_test_revision(&f, "aaaa", "",
                       "up:\n  - swap_column: { table: public.p, column: price, type: integer, lua: "
                       "transforms/price.lua, keep_old: false }\n");
    killed = pawl_test_pawl(f.dir, "upgrade", "head", env);
    assert_int_equal(killed.signal_number, SIGKILL);
    pawl_test_output_free(&killed);
    pawl_test_assert_text(&f, "SELECT phase || ' ' || state FROM pawl.job", "mirror done");
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(attname || ' ' || atttypid::regtype, ', ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'p'::regclass AND attnum > 0 AND NOT attisdropped",
        "id integer, price integer");
    pawl_test_assert_text(&f, "SELECT sum(price)::text FROM p", "45150");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_trigger WHERE NOT tgisinternal", "0");
    pawl_test_exec(f.db, "INSERT INTO p VALUES (301, 7)");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "keep_old");
    pawl_test_assert_text(&f, PAWL_TEST_REVISIONS, "aaaa applied");
    pawl_test_revision(&f, "bbbb", "aaaa", "up:\n  - sql: SELECT 1\n    down: nothing\n");
    pawl_test_up(&f);
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_upgrade_carries_over_what_the_mirror_has_logged),
        cmocka_unit_test(a_row_that_has_no_way_back_is_a_warning),
        cmocka_unit_test(work_carries_over_what_the_mirror_has_logged),
        cmocka_unit_test(an_old_column_that_nobody_keeps_goes_at_once),
        cmocka_unit_test(status_shows_the_mirror_and_how_far_it_is_behind),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
