/* A table rewritten under views: they are made anew with all that hangs on them, or nothing starts. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define TABLE                                                                                  \
    "CREATE TABLE p (id int PRIMARY KEY, price text, other text, note text DEFAULT 'n');"      \
    "INSERT INTO p (id, price, other) SELECT i, i || '.50', i FROM generate_series(1, 500) i;" \
    "CREATE SCHEMA api;"

#define REWRITE                                                                              \
    "up:\n  - rewrite_table:\n      table: public.p\n      views: recreate\n      change:\n" \
    "        price: { type: numeric, using: price::numeric }\n"

static pawl_test_fixture
begin(const char *name, const char *views, const char *keys)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_exec(f.db, views);
    pawl_fmt(text, sizeof text, "%s%sdown: irreversible\n", REWRITE, keys);
    pawl_test_revision(&f, "aaaa", "", text);
    return f;
}

#define VIEWS                                                                                                \
    "SELECT string_agg(concat_ws(' | ', v.oid::regclass, relowner::regrole, reloptions, "                    \
    "obj_description(v.oid, "                                                                                \
    "'pg_class'), coalesce(relacl, acldefault('r', relowner)), pg_get_viewdef(v.oid), (SELECT "              \
    "string_agg(pg_get_triggerdef(g.oid), ' ') FROM "                                                        \
    "pg_trigger g WHERE tgrelid = v.oid), (SELECT string_agg(pg_get_ruledef(r.oid), ' ') FROM pg_rewrite r " \
    "WHERE ev_class = v.oid AND rulename <> '_RETURN')), E'\\n' ORDER BY v.oid::regclass::text) FROM "       \
    "pg_class v WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('public', 'api')"

#define NOTHING_LEFT                                                                                      \
    "SELECT (SELECT count(*) FROM pawl.job WHERE state = 'open') + (SELECT count(*) FROM pg_class WHERE " \
    "relname ~ '^(pawl_|change_)') + (SELECT count(*) FROM pg_trigger WHERE tgname ~ 'pawl') || ''"

#define FULL                                                                                                \
    "CREATE ROLE rv_owner; CREATE ROLE rv_reader; GRANT ALL ON SCHEMA public, api TO rv_owner; GRANT "      \
    "SELECT, "                                                                                              \
    "DELETE, UPDATE ON p TO rv_owner; CREATE VIEW api.p WITH (security_barrier = true) AS SELECT id, "      \
    "price, note "                                                                                          \
    "FROM "                                                                                                 \
    "public.p; CREATE VIEW v AS SELECT id, max(price) OVER (), (SELECT count(*) FROM public.p) FROM api.p " \
    "WHERE "                                                                                                \
    "price IS NOT NULL; CREATE VIEW apart AS SELECT other FROM p; ALTER VIEW api.p OWNER TO rv_owner; "     \
    "COMMENT ON "                                                                                           \
    "VIEW api.p IS 'it'; GRANT SELECT ON api.p TO rv_reader WITH GRANT OPTION; GRANT SELECT ON apart TO "   \
    "PUBLIC; "                                                                                              \
    "CREATE RULE del AS ON DELETE TO api.p DO INSTEAD DELETE FROM public.p WHERE id = OLD.id; CREATE "      \
    "FUNCTION "                                                                                             \
    "ins() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END'; CREATE TRIGGER ins INSTEAD OF "     \
    "INSERT ON "                                                                                            \
    "v FOR EACH ROW EXECUTE FUNCTION ins(); ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO rv_reader"

static void
views_come_back_over_the_new_table(void **state)
{
    pawl_test_fixture f = begin("rviews_full", FULL,
                                "      add: { extra: int }\n      order: [note, id, extra, price, other]\n"
                                "      keep_old: false\n");
    char *before = pawl_test_query_text(f.db, VIEWS);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, before);
    pawl_test_assert_text(&f,
                          "SELECT pg_typeof(price) || ' ' || price || ' ' || note FROM api.p WHERE id = 7",
                          "numeric 7.50 n");
    pawl_test_exec(f.db, "DELETE FROM api.p WHERE id = 7");
    pawl_test_assert_text(&f, "SELECT max || ' ' || count FROM v LIMIT 1", "500.50 499");
    free(before);
    pawl_test_exec(f.db, "DROP OWNED BY rv_owner, rv_reader CASCADE; DROP ROLE rv_owner, rv_reader");
    pawl_test_end(&f);
}

/* As they were, and not as the server prints them for the new type; what was made of them since is in the way. */
static void
the_way_back_makes_them_as_they_were(void **state)
{
    pawl_test_fixture f =
        begin("rviews_back",
              FULL "; CREATE VIEW twice AS SELECT id, price::numeric * 2 AS twice FROM p; CREATE VIEW "
                   "over AS SELECT sum(twice) FROM twice",
              "");
    char *before = pawl_test_query_text(f.db, VIEWS);
    char *after;

    (void) state;
    pawl_test_revision(&f, "aaaa", "", REWRITE "      reverse: { price: price::text }\n");
    pawl_test_up(&f);
    after = pawl_test_query_text(f.db, VIEWS);
    assert_string_not_equal(before, after);
    pawl_test_exec(f.db, "DELETE FROM api.p WHERE id = 7; UPDATE api.p SET price = 3.25 WHERE id = 8");
    pawl_test_exec(f.db, "CREATE OR REPLACE VIEW over AS SELECT sum(twice) + 1 AS sum FROM twice");
    pawl_test_must_fail(&f, false, "base", PAWL_E_REFUSED, "view public.over");
    pawl_test_exec(f.db, "CREATE OR REPLACE VIEW over AS SELECT sum(twice) FROM twice");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, VIEWS, before);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(concat_ws(' ', id, price, pg_typeof(price)), ', ' ORDER BY id) FROM api.p "
        "WHERE id IN (6, 7, 8)",
        "6 6.50 text, 8 3.25 text");
    free(before);
    free(after);
    pawl_test_exec(f.db, "DROP OWNED BY rv_owner, rv_reader CASCADE; DROP ROLE rv_owner, rv_reader");
    pawl_test_end(&f);
}

static void
what_cannot_be_made_anew_is_refused_before_anything_is_copied(void **state)
{
    static const struct
    {
        const char *views;
        const char *keys;
        const char *words[2];
    } cases[] = {
        {"CREATE VIEW api.p AS SELECT lower(price) FROM p; CREATE VIEW w AS SELECT * FROM api.p",
         "",
         {"view api.p", "lower(numeric) does not exist"}},
        {"CREATE VIEW v AS SELECT other FROM p",
         "      drop: [other]\n",
         {"view public.v", "column that is dropped"}},
        {"CREATE VIEW v AS SELECT x.b, x.c FROM p x(a, b, c)",
         "      order: [id, other, price, note]\n",
         {"view public.v", "by their place"}},
        {"CREATE VIEW v AS SELECT id FROM p; CREATE MATERIALIZED VIEW mv AS SELECT count(*) FROM v",
         "",
         {"materialized view public.mv", "takes long"}},
        {"CREATE VIEW v AS SELECT id FROM p; CREATE FUNCTION f(v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "",
         {"function public.f(public.v) (of view public.v)", "drop it before"}},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        pawl_test_fixture f = begin("rviews_refused", cases[i].views, cases[i].keys);

        for (size_t k = 0; k < 2; k++)
            pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, cases[i].words[k]);
        pawl_test_assert_text(&f, NOTHING_LEFT, "0");
        pawl_test_end(&f);
    }
}

static void
without_the_word_they_are_refused(void **state)
{
    pawl_test_fixture f = begin("rviews_word", "CREATE VIEW v AS SELECT id FROM p", "");

    (void) state;
    pawl_test_revision(
        &f, "aaaa", "",
        "up:\n  - rewrite_table:\n      table: public.p\n      add: { extra: int }\ndown: irreversible\n");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "views: recreate");
    pawl_test_assert_text(&f, NOTHING_LEFT, "0");
    pawl_test_end(&f);
}

/* The plan of the run at hand does not have it: the cut-over stops, and the next run takes it up. */
static void
a_view_that_is_changed_while_the_rewrite_waits_stops_it(void **state)
{
    static const char *const args[] = {"upgrade", NULL};
    pawl_test_fixture f =
        begin("rviews_changed", "CREATE VIEW v AS SELECT id, price FROM p", "      cutover: manual\n");
    pawl_test_process *p = pawl_test_start(args, NULL, f.dir);
    pawl_test_output output;
    char *changed;

    (void) state;
    pawl_test_wait_until(f.db, "SELECT to_regclass('pawl.job') IS NOT NULL", 30000);
    pawl_test_wait_until(f.db, "SELECT EXISTS (SELECT FROM pawl.job WHERE phase = 'ready')", 60000);
    pawl_test_exec(f.db, "CREATE OR REPLACE VIEW v AS SELECT id, price FROM p WHERE other IS NOT NULL");
    changed = pawl_test_query_text(f.db, VIEWS);
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    output = pawl_test_wait(p, 60000);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "view public.v"));
    pawl_test_output_free(&output);
    pawl_test_assert_text(&f, VIEWS, changed);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, changed);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM v LIMIT 1", "numeric");
    free(changed);
    pawl_test_end(&f);
}

static void
a_view_that_somebody_holds_makes_the_cut_over_give_way(void **state)
{
    pawl_test_fixture f = begin("rviews_held", "CREATE VIEW v AS SELECT id, price FROM p", "");
    PGconn *holder = pawl_test_connect(f.db);
    char words[100];

    (void) state;
    pawl_test_run_on(holder, "BEGIN; SELECT FROM v LIMIT 0");
    pawl_fmt(words, sizeof words, "held by pid %d", PQbackendPID(holder));
    pawl_test_up_until(&f, "waiting");
    assert_non_null(strstr(f.heard.text.data, words));
    assert_non_null(strstr(f.heard.text.data, "view public.v"));
    pawl_test_assert_text(&f, "SELECT min(pg_typeof(price)::text) || ' ' || count(*) FROM v", "text 500");
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price)::text FROM v LIMIT 1", "numeric");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_come_back_over_the_new_table),
        cmocka_unit_test(the_way_back_makes_them_as_they_were),
        cmocka_unit_test(what_cannot_be_made_anew_is_refused_before_anything_is_copied),
        cmocka_unit_test(without_the_word_they_are_refused),
        cmocka_unit_test(a_view_that_is_changed_while_the_rewrite_waits_stops_it),
        cmocka_unit_test(a_view_that_somebody_holds_makes_the_cut_over_give_way),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
