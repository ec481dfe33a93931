/* Databases that meet a baseline (a revision with `replaces`): at it, past it, in the middle of it, and before it. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define IDS "SELECT coalesce(string_agg(id || ' ' || state, ', ' ORDER BY id), '') FROM pawl.revision"
#define TABLES                                                                                      \
    "SELECT coalesce(string_agg(relname, ' ' ORDER BY relname), '') FROM pg_class WHERE relname ~ " \
    "'^u[0-9]$'"
#define EVENTS "SELECT coalesce(string_agg(detail, '; '), '') FROM pawl.event WHERE kind = 'squashed'"

static void
chain_file(const pawl_test_fixture *f, const char *id, const char *parent, const char *table)
{
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text, "up:\n  - sql: CREATE TABLE %s (id int PRIMARY KEY)\n    down:\n      - sql: DROP TABLE %s\n",
        table, table);
    pawl_test_revision(f, id, parent, text.data);
}

/* aaaa1111 -> bbbb2222 -> cccc3333 -> dddd4444, each with a table. */
static pawl_test_fixture
chained(const char *name)
{
    pawl_test_fixture f = pawl_test_begin(name);

    chain_file(&f, "aaaa1111", "", "u1");
    chain_file(&f, "bbbb2222", "aaaa1111", "u2");
    chain_file(&f, "cccc3333", "bbbb2222", "u3");
    chain_file(&f, "dddd4444", "cccc3333", "u4");
    return f;
}

static void
remove_file(const pawl_test_fixture *f, const char *id)
{
    PAWL_STRBUF_AUTO(path);

    pawl_strbuf_addf(&path, "%s/migrations/%s_x.yaml", f->dir, id);
    assert_int_equal(unlink(path.data), 0);
}

/* The first three become one: by hand, as `pawl squash` leaves it. */
static void
squash(const pawl_test_fixture *f, const char *down)
{
    PAWL_STRBUF_AUTO(text);

    remove_file(f, "aaaa1111");
    remove_file(f, "bbbb2222");
    remove_file(f, "cccc3333");
    pawl_strbuf_addf(&text,
                     "replaces: [aaaa1111, bbbb2222, cccc3333]\nup:\n  - sql: |\n"
                     "      CREATE TABLE u1 (id int PRIMARY KEY);\n"
                     "      CREATE TABLE u2 (id int PRIMARY KEY);\n"
                     "      CREATE TABLE u3 (id int PRIMARY KEY);\n"
                     "down: %s\n",
                     down);
    pawl_test_revision(f, "e0000001", "", text.data);
}

static void
unsquash(const pawl_test_fixture *f)
{
    chain_file(f, "aaaa1111", "", "u1");
    chain_file(f, "bbbb2222", "aaaa1111", "u2");
    chain_file(f, "cccc3333", "bbbb2222", "u3");
    remove_file(f, "e0000001");
}

/* The exit code of a verb; what it says must hold the text. */
static void
says(const pawl_test_fixture *f, const char *verb, const char *arg, int exit_code, const char *text)
{
    pawl_test_output output = pawl_test_pawl(f->dir, verb, arg, NULL);

    if (output.exit_code != exit_code ||
        (strstr(output.out, text) == NULL && strstr(output.err, text) == NULL))
        fail_msg("pawl %s: exit code %d, not %d with \"%s\"\n%s%s", verb, output.exit_code, exit_code, text,
                 output.out, output.err);
    pawl_test_output_free(&output);
}

static void
database_past_the_baseline_needs_nothing(void **state)
{
    pawl_test_fixture f = chained("squashed_past");

    (void) state;
    pawl_test_must_go(&f, true, "dddd4444");
    squash(&f, "irreversible");
    /* Before anything is recorded it is seen already. */
    says(&f, "current", NULL, 0, "dddd4444");
    says(&f, "history", "--indicate-current", 0, "e0000001");
    says(&f, "check", NULL, 0, "nothing is pending");
    pawl_test_assert_text(&f, IDS, "aaaa1111 applied, bbbb2222 applied, cccc3333 applied, dddd4444 applied");

    pawl_test_up(&f);
    assert_non_null(strstr(f.heard.text.data, "recorded revision e0000001"));
    assert_null(strstr(f.heard.text.data, "revision_begin"));
    pawl_test_assert_text(&f, IDS,
                          "aaaa1111 applied, bbbb2222 applied, cccc3333 applied, dddd4444 applied, "
                          "e0000001 applied");
    pawl_test_assert_text(&f, EVENTS, "aaaa1111 bbbb2222 cccc3333");
    says(&f, "check", NULL, 0, "2 applied revisions are as on disk");
    says(&f, "current", NULL, 0, "dddd4444");

    pawl_test_up(&f);
    assert_null(strstr(f.heard.text.data, "recorded"));
    pawl_test_assert_text(&f, EVENTS, "aaaa1111 bbbb2222 cccc3333");
    pawl_test_end(&f);
}

static void
database_at_the_baseline_goes_on_from_there(void **state)
{
    pawl_test_fixture f = chained("squashed_at");

    (void) state;
    pawl_test_must_go(&f, true, "cccc3333");
    squash(&f, "irreversible");
    says(&f, "current", NULL, 0, "e0000001");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TABLES, "u1 u2 u3 u4");
    /* What follows can be taken back, by the old name too; the baseline itself cannot. */
    pawl_test_must_go(&f, false, "cccc3333");
    assert_non_null(strstr(f.heard.text.data, "revision cccc3333 was squashed: e0000001 stands for it"));
    pawl_test_assert_text(&f, TABLES, "u1 u2 u3");
    pawl_test_must_fail(&f, false, "bbbb2222", PAWL_E_USAGE, "e0000001");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "irreversible");
    pawl_test_end(&f);
}

static void
fresh_database_gets_the_baseline_alone(void **state)
{
    pawl_test_fixture f = chained("squashed_fresh");

    (void) state;
    squash(&f, "irreversible");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, IDS, "dddd4444 applied, e0000001 applied");
    pawl_test_assert_text(&f, TABLES, "u1 u2 u3 u4");
    pawl_test_assert_text(&f, EVENTS, "");
    says(&f, "check", NULL, 0, "nothing is pending");
    pawl_test_end(&f);
}

static void
database_in_the_middle_is_refused_and_told_the_way(void **state)
{
    pawl_test_fixture f = chained("squashed_middle");

    (void) state;
    pawl_test_must_go(&f, true, "bbbb2222");
    squash(&f, "irreversible");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE,
                        "revision bbbb2222 is here, in the middle of what e0000001 replaces");
    pawl_test_must_fail(&f, true, "dddd4444", PAWL_E_STATE, "bring it to cccc3333 first");
    pawl_test_assert_text(&f, TABLES, "u1 u2");
    says(&f, "current", NULL, 0, "bbbb2222");
    says(&f, "check", NULL, 4, "squashed into e0000001");

    /* As told: with the files from before, then with those of today. */
    unsquash(&f);
    pawl_test_must_go(&f, true, "cccc3333");
    squash(&f, "irreversible");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TABLES, "u1 u2 u3 u4");
    pawl_test_end(&f);
}

static void
checkout_from_before_the_squash_goes_on_working(void **state)
{
    pawl_test_fixture f = chained("squashed_old");

    (void) state;
    pawl_test_must_go(&f, true, "cccc3333");
    squash(&f, "irreversible");
    pawl_test_up(&f);
    unsquash(&f);
    pawl_test_up(&f);
    assert_null(strstr(f.heard.text.data, "revision_begin"));

    /* It may even go back; then the baseline is no longer what the database has. */
    pawl_test_must_go(&f, false, "bbbb2222");
    pawl_test_assert_text(&f, TABLES, "u1 u2");
    squash(&f, "irreversible");
    says(&f, "current", NULL, 0, "bbbb2222");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "in the middle of what e0000001 replaces");
    pawl_test_end(&f);
}

static void
reverted_baseline_takes_along_what_it_replaced(void **state)
{
    pawl_test_fixture f = chained("squashed_reverted");

    (void) state;
    pawl_test_must_go(&f, true, "dddd4444");
    squash(&f, "[{ sql: \"DROP TABLE u1, u2, u3\" }]");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, IDS, "");
    pawl_test_assert_text(&f, TABLES, "");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, TABLES, "u1 u2 u3 u4");
    pawl_test_end(&f);
}

static void
half_applied_last_revision_is_the_middle(void **state)
{
    pawl_test_fixture f = chained("squashed_half");

    (void) state;
    pawl_test_revision(&f, "cccc3333", "bbbb2222",
                       "up:\n  - sql: CREATE TABLE u3 (id int PRIMARY KEY)\n    down: nothing\n"
                       "  - sql: SELECT 1/0\n    down: nothing\n");
    pawl_test_must_fail(&f, true, "cccc3333", PAWL_E_SERVER, "division by zero");
    squash(&f, "irreversible");
    pawl_test_must_fail(&f, true, NULL, PAWL_E_STATE, "cccc3333 is here half-way");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(database_past_the_baseline_needs_nothing),
        cmocka_unit_test(database_at_the_baseline_goes_on_from_there),
        cmocka_unit_test(fresh_database_gets_the_baseline_alone),
        cmocka_unit_test(database_in_the_middle_is_refused_and_told_the_way),
        cmocka_unit_test(checkout_from_before_the_squash_goes_on_working),
        cmocka_unit_test(reverted_baseline_takes_along_what_it_replaced),
        cmocka_unit_test(half_applied_last_revision_is_the_middle),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
