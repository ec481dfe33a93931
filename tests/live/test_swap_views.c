/* A column swapped under views: they are made anew with all that hangs on them, or nothing starts. */
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
    "CREATE TABLE p (id int PRIMARY KEY, price text, other int, note text DEFAULT 'n');"       \
    "INSERT INTO p (id, price, other) SELECT i, i || '.50', i FROM generate_series(1, 100) i;" \
    "CREATE SCHEMA api; CREATE SCHEMA far;"

#define SWAP                                                                                         \
    "up:\n  - swap_column:\n      table: public.p\n      column: price\n      type: numeric(10,2)\n" \
    "      using: price::numeric\n      reverse: price::text\n"

/* A project whose only revision is the swap; `keys` are more of its lines. */
static pawl_test_fixture
begin(const char *name, const char *views, const char *keys)
{
    pawl_test_fixture f = pawl_test_begin(name);
    char text[1000];

    pawl_test_exec(f.db, TABLE);
    pawl_test_exec(f.db, views);
    pawl_fmt(text, sizeof text, "%s%s", SWAP, keys);
    pawl_test_revision(&f, "aaaa", "", text);
    return f;
}

#define RECREATE "      views: recreate\n"

/* Everything about every view but the types of its columns. */
#define ACL(acl, what)                                                                                  \
    "(SELECT string_agg(concat_ws(' ', a.grantor::regrole, a.grantee::oid::regrole, a.privilege_type, " \
    "a.is_grantable), ', ' ORDER BY a.grantee, a.privilege_type, a.grantor) FROM aclexplode(" acl ") "  \
    "a)" what
#define VIEWS                                                                                             \
    "WITH v AS (SELECT c.*, format('%I.%I', c.relnamespace::regnamespace, c.relname) AS shown FROM "      \
    "pg_class c WHERE relkind = 'v' AND relnamespace::regnamespace::text IN ('public', 'api', 'far')) "   \
    "SELECT string_agg(line, E'\\n' ORDER BY line) FROM ("                                                \
    "SELECT concat_ws(' | ', shown, relowner::regrole, reloptions::text, obj_description(oid, "           \
    "'pg_class'), " ACL(                                                                                  \
        "coalesce(relacl, acldefault('r', relowner))",                                                    \
        "") ", pg_get_viewdef(oid)) AS line "                                                             \
            "FROM v UNION ALL "                                                                           \
            "SELECT concat_ws(' | ', shown, attname, col_description(attrelid, attnum), " ACL(            \
                "attacl", "") ", "                                                                        \
                              "(SELECT pg_get_expr(adbin, adrelid) FROM pg_attrdef WHERE adrelid = "      \
                              "attrelid AND adnum = attnum)) "                                            \
                              "FROM v JOIN pg_attribute ON attrelid = v.oid AND attnum > 0 UNION ALL "    \
                              "SELECT concat_ws(' | ', pg_get_triggerdef(g.oid), obj_description(g.oid, " \
                              "'pg_trigger')) FROM v JOIN "                                               \
                              "pg_trigger g ON tgrelid = v.oid UNION ALL "                                \
                              "SELECT concat_ws(' | ', pg_get_ruledef(r.oid), obj_description(r.oid, "    \
                              "'pg_rewrite')) FROM v JOIN "                                               \
                              "pg_rewrite r ON ev_class = v.oid AND rulename <> '_RETURN') x"

#define NOTHING_STARTED                                                                               \
    "SELECT (SELECT count(*) FROM pawl.job) + (SELECT count(*) FROM pg_attribute WHERE attname LIKE " \
    "'price\\_%') + (SELECT count(*) FROM pg_trigger WHERE tgname ~ 'pawl') || ''"

static void
stop_when_ready(pawl_test_fixture *f)
{
    pawl_test_up_until(f, "waiting");
    pawl_test_assert_text(f, "SELECT phase FROM pawl.job", "ready");
    pawl_test_pawl_exits(f->dir, "cutover", "1", 0);
}

/* ---- made anew -------------------------------------------------------------------------------------------------- */

/* api.p has the name of the table. The rule writes through another view that is made after its own. */
#define FULL                                                                                                 \
    "CREATE ROLE view_owner; CREATE ROLE view_reader; CREATE ROLE view_friend; CREATE ROLE "                 \
    "view_stranger;GRANT ALL ON SCHEMA public, api, far TO view_owner; GRANT USAGE ON SCHEMA api TO "        \
    "view_reader;GRANT SELECT, INSERT, UPDATE, DELETE ON p TO view_owner;CREATE VIEW api.p WITH "            \
    "(security_barrier = true, security_invoker = false) AS SELECT id, price, note FROM public.p WHERE "     \
    "price IS NOT NULL;CREATE VIEW api.checked AS SELECT id, price FROM api.p WHERE id > 0 WITH LOCAL "      \
    "CHECK OPTION;CREATE VIEW far.p AS SELECT * FROM api.checked WHERE id < 1000 WITH CASCADED CHECK "       \
    "OPTION;CREATE VIEW \"The \"\"pair\" AS SELECT x.price, y.id, (SELECT max(z.price) FROM public.p z) AS " \
    "\"Max\" FROM api.p x JOIN far.p y USING (id);CREATE VIEW far.mid AS SELECT * FROM api.p; CREATE VIEW "  \
    "far.writer AS SELECT id, price FROM far.mid; CREATE VIEW no_columns AS SELECT FROM p WHERE price IS "   \
    "NULL; CREATE VIEW apart AS SELECT id FROM p;ALTER VIEW api.p ALTER note SET DEFAULT 'from the view'; "  \
    "ALTER VIEW api.p OWNER TO view_owner;CREATE FUNCTION ins() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN " \
    "INSERT INTO public.p (id, price, note) VALUES (NEW.id, NEW.price, NEW.note); RETURN NEW; END';CREATE "  \
    "TRIGGER \"Ins\" INSTEAD OF INSERT ON api.p FOR EACH ROW EXECUTE FUNCTION ins();CREATE RULE up AS ON "   \
    "UPDATE TO api.checked DO INSTEAD UPDATE far.writer SET price = NEW.price WHERE id = OLD.id; CREATE "    \
    "RULE \"de l\" AS ON DELETE TO api.p DO INSTEAD (DELETE FROM public.p WHERE id = OLD.id; NOTIFY "        \
    "gone);COMMENT ON TRIGGER \"Ins\" ON api.p IS 'puts it in'; COMMENT ON RULE up ON api.checked IS "       \
    "'it''s'; COMMENT ON VIEW api.p IS 'the \\ view'; COMMENT ON COLUMN api.p.price IS 'its price';REVOKE "  \
    "INSERT, TRUNCATE ON api.p FROM view_owner; GRANT SELECT ON api.p TO view_reader WITH GRANT OPTION; "    \
    "GRANT UPDATE (price), SELECT (id) ON api.p TO PUBLIC; SET ROLE view_reader; GRANT SELECT ON api.p TO "  \
    "view_friend; RESET ROLE; ALTER DEFAULT PRIVILEGES GRANT ALL ON TABLES TO view_stranger;ALTER DEFAULT "  \
    "PRIVILEGES IN SCHEMA api GRANT SELECT ON TABLES TO PUBLIC"

#define DROP_ROLES                                                                                         \
    "DROP OWNED BY view_owner, view_reader, view_friend, view_stranger CASCADE; ALTER DEFAULT PRIVILEGES " \
    "IN "                                                                                                  \
    "SCHEMA api REVOKE SELECT ON TABLES FROM PUBLIC; DROP ROLE view_owner, view_reader, view_friend, "     \
    "view_stranger"

static void
views_come_back_with_all_that_hangs_on_them(void **state)
{
    pawl_test_fixture f = begin("views_full", FULL, RECREATE);
    char *before = pawl_test_query_text(f.db, VIEWS);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, before);
    pawl_test_assert_text(&f,
                          "SELECT string_agg(attrelid::regclass || ' ' || format_type(atttypid, atttypmod), "
                          "', ' ORDER BY attrelid::regclass::text) FROM pg_attribute WHERE attname = 'price' "
                          "AND attrelid::regclass::text ~ 'p$|checked|pair'",
                          "\"The \"\"pair\" numeric(10,2), api.checked numeric(10,2), api.p numeric(10,2), "
                          "far.p numeric(10,2), p numeric(10,2)");
    pawl_test_exec(f.db, "INSERT INTO api.p (id, price) VALUES (500, 7.25); UPDATE far.p SET price = 8 WHERE "
                         "id = 1; UPDATE api.checked SET price = 9 WHERE id = 2; DELETE FROM api.p WHERE "
                         "id = 3");
    pawl_test_assert_text(&f,
                          "SELECT string_agg(concat_ws(' ', id, price, note), ', ' ORDER BY id) FROM p "
                          "WHERE id IN (1, 2, 3, 500)",
                          "1 8.00 n, 2 9.00 n, 500 7.25 from the view");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, VIEWS, before);
    pawl_test_assert_text(&f, "SELECT pg_typeof(price) || ' ' || price FROM api.p WHERE id = 500",
                          "text 7.25");
    free(before);
    pawl_test_exec(f.db, DROP_ROLES);
    pawl_test_end(&f);
}

/* The server prints no cast from a number to a number: what it would print after the swap is not what was there. */
static void
the_way_back_makes_the_text_that_was_there(void **state)
{
    pawl_test_fixture f =
        begin("views_text",
              "CREATE VIEW v AS SELECT id, price::numeric * 2 AS twice, price FROM p; CREATE VIEW far.p AS "
              "SELECT * FROM v WHERE twice > 0; CREATE RULE up AS ON UPDATE TO v DO INSTEAD UPDATE p SET "
              "other = NEW.price::numeric::int WHERE p.price::numeric = OLD.price::numeric;"
              "ALTER VIEW v ALTER id SET DEFAULT 3",
              RECREATE);
    char *before = pawl_test_query_text(f.db, VIEWS);
    char *after;

    (void) state;
    pawl_test_revision(
        &f, "aaaa", "",
        "up:\n  - swap_column:\n      table: public.p\n      column: price\n      type: numeric\n"
        "      using: price::numeric\n      reverse: price::text\n" RECREATE);
    pawl_test_up(&f);
    after = pawl_test_query_text(f.db, VIEWS);
    assert_string_not_equal(before, after);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, VIEWS, before);
    free(before);
    free(after);
    pawl_test_end(&f);
}

/* What somebody has made of a view since the swap is theirs. */
static void
a_view_that_was_changed_after_the_swap_stays_changed(void **state)
{
    pawl_test_fixture f = begin("views_theirs",
                                "CREATE VIEW v AS SELECT id, price FROM p; CREATE VIEW w AS SELECT id, price "
                                "FROM p; ALTER VIEW w ALTER id SET DEFAULT 1",
                                RECREATE);
    char *changed;

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(f.db,
                   "CREATE OR REPLACE VIEW v AS SELECT id, price, other FROM p WHERE id < 50; CREATE "
                   "VIEW later AS SELECT max(price) FROM v; DROP VIEW w; CREATE VIEW w AS SELECT price, "
                   "id FROM p; ALTER VIEW w ALTER id SET DEFAULT 2; COMMENT ON VIEW w IS 'new'");
    changed = pawl_test_query_text(f.db, VIEWS);
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, VIEWS, changed);
    free(changed);
    pawl_test_end(&f);
}

/* A plan is made at the start of each run, and the cut-over may be days later. */
static void
what_becomes_of_a_view_before_the_cut_over_is_taken_up(void **state)
{
    pawl_test_fixture f =
        begin("views_meanwhile", "CREATE ROLE view_late; CREATE VIEW v AS SELECT id, price FROM p",
              RECREATE "      cutover: manual\n");
    char *changed;

    (void) state;
    stop_when_ready(&f);
    pawl_test_exec(f.db, "CREATE OR REPLACE VIEW v AS SELECT id, price, other FROM p WHERE id < 50; CREATE "
                         "VIEW api.v AS SELECT price FROM v; GRANT SELECT ON v TO view_late");
    changed = pawl_test_query_text(f.db, VIEWS);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, changed);
    free(changed);
    pawl_test_exec(f.db, "DROP OWNED BY view_late; DROP ROLE view_late");
    pawl_test_end(&f);
}

/* The plan of the run at hand does not have it: the cut-over stops, and the next run takes it up. */
static void
a_view_that_is_changed_while_the_swap_waits_stops_it(void **state)
{
    static const char *const args[] = {"upgrade", NULL};
    pawl_test_fixture f = begin("views_changed", "CREATE VIEW v AS SELECT id, price FROM p",
                                RECREATE "      cutover: manual\n");
    pawl_test_process *p = pawl_test_start(args, NULL, f.dir);
    pawl_test_output output;
    char *changed;

    (void) state;
    pawl_test_wait_until(f.db, "SELECT to_regclass('pawl.job') IS NOT NULL", 30000);
    pawl_test_wait_until(f.db, "SELECT EXISTS (SELECT FROM pawl.job WHERE phase = 'ready')", 60000);
    pawl_test_wait_until(f.db, "SELECT EXISTS (SELECT FROM pawl.progress WHERE chunk_id = 0 AND owner <> '')",
                         60000);
    pawl_test_exec(
        f.db,
        "CREATE OR REPLACE VIEW v AS SELECT id, price FROM p WHERE other IS NOT NULL; COMMENT ON VIEW v "
        "IS 'new'");
    changed = pawl_test_query_text(f.db, VIEWS);
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    output = pawl_test_wait(p, 60000);
    assert_int_equal(output.exit_code, 1);
    assert_non_null(strstr(output.err, "view public.v"));
    pawl_test_output_free(&output);
    pawl_test_assert_text(&f, VIEWS, changed);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, changed);
    free(changed);
    pawl_test_end(&f);
}

/* ---- refused ---------------------------------------------------------------------------------------------------- */

static void
what_cannot_be_made_anew_is_refused_before_anything_starts(void **state)
{
    static const struct
    {
        const char *views;
        const char *words[2];
    } cases[] = {
        {"CREATE VIEW v AS SELECT lower(price) FROM p",
         {"view public.v", "function lower(numeric) does not exist"}},
        {"CREATE VIEW api.p AS SELECT price AS amount FROM p; CREATE VIEW far.v AS SELECT id FROM p WHERE "
         "EXISTS "
         "(SELECT FROM api.p WHERE amount LIKE '9%')",
         {"view far.v", "operator does not exist"}},
        {"CREATE VIEW v AS SELECT price FROM p; CREATE MATERIALIZED VIEW mv AS SELECT count(price) FROM v",
         {"materialized view public.mv", "fill"}},
        {"CREATE VIEW v AS SELECT id, price FROM p; CREATE RULE up AS ON UPDATE TO v DO INSTEAD UPDATE p SET "
         "note "
         "= NEW.price || lower(OLD.price)",
         {"rule up of view public.v", "lower(numeric)"}},
        {"CREATE VIEW v AS SELECT id, price FROM p; ALTER VIEW v ALTER price SET DEFAULT '5'",
         {"default of price of view public.v", "is of type numeric but"}},
        {"CREATE VIEW v AS SELECT price FROM p; CREATE FUNCTION f() RETURNS bigint LANGUAGE sql BEGIN ATOMIC "
         "SELECT "
         "count(*) FROM v; END",
         {"function public.f() (of view public.v)", "drop it before"}},
        {"CREATE VIEW v AS SELECT price FROM p; CREATE FUNCTION f(v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         {"function public.f(public.v) (of view public.v)", "drop it before"}},
        {"CREATE VIEW v AS SELECT price FROM p; CREATE TABLE uses (id int, x v[])",
         {"column x of table public.uses (of view public.v)", "drop it before"}},
        {"CREATE VIEW v AS SELECT id, price FROM p; CREATE TABLE other (id int); CREATE POLICY pol ON other "
         "USING (id IN "
         "(SELECT id FROM v))",
         {"policy pol on table public.other (of view public.v)", "drop it before"}},
        {"CREATE VIEW v AS SELECT id, price FROM p; CREATE SEQUENCE s OWNED BY v.id",
         {"sequence public.s", "drop it before"}},
        {"CREATE VIEW v AS SELECT id, price FROM p; CREATE TABLE other (id int); CREATE RULE r AS ON INSERT "
         "TO other DO "
         "ALSO INSERT INTO v (id) VALUES (NEW.id)",
         {"rule r on table public.other (of view public.v)", "drop it before"}},
        {"CREATE VIEW v AS SELECT x.c FROM p x(a, c, b)", {"view public.v", "by their place"}},
        {"CREATE VIEW v AS SELECT j.\"a \\\"\"}\" FROM (p JOIN t USING (id)) j(x, \"a \\\"\"}\")",
         {"view public.v", "by their place"}},
    };
    pawl_test_fixture f = begin("views_refused", "SELECT 1", RECREATE);

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++)
    {
        pawl_test_exec(
            f.db, "DROP SCHEMA api, far CASCADE; DROP SCHEMA public CASCADE; CREATE SCHEMA public; CREATE "
                  "TABLE t (id bigint PRIMARY KEY, a text)");
        pawl_test_exec(f.db, TABLE);
        pawl_test_exec(f.db, cases[i].views);
        for (size_t k = 0; k < 2; k++)
            pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, cases[i].words[k]);
        pawl_test_assert_text(&f, NOTHING_STARTED, "0");
    }
    pawl_test_end(&f);
}

/* What such lists hide is not refused where they are harmless: of a subquery, of a function, of another table. */
static void
lists_of_other_names_that_are_in_nobodys_way_are_taken(void **state)
{
    pawl_test_fixture f = begin("views_lists",
                                "CREATE VIEW v AS SELECT s.b, g.n, o.y FROM (SELECT id, price FROM p) s(a, "
                                "b), generate_series(1, 2) g(n), "
                                "t o(x, y) WHERE s.a = o.x; CREATE VIEW w AS SELECT q.z FROM v q(z)",
                                RECREATE);
    char *before = pawl_test_query_text(f.db, VIEWS);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, VIEWS, before);
    pawl_test_assert_text(&f, "SELECT pg_typeof(z)::text FROM w LIMIT 1", "numeric");
    free(before);
    pawl_test_end(&f);
}

/* Who granted a privilege grants it again, where pawl can be that role; else the owner does. */
static void
a_view_of_somebody_else_is_refused_without_the_right_to_it(void **state)
{
    pawl_test_fixture f = begin("views_owner",
                                "CREATE ROLE view_mine LOGIN; CREATE ROLE view_theirs; CREATE ROLE "
                                "view_between; CREATE ROLE view_last; GRANT CREATE "
                                "ON DATABASE views_owner TO view_mine; GRANT ALL ON SCHEMA public TO "
                                "view_mine; ALTER TABLE p OWNER TO view_mine; "
                                "CREATE VIEW v AS SELECT price FROM p; ALTER VIEW v OWNER TO view_theirs; "
                                "GRANT SELECT, UPDATE (price) ON v TO "
                                "view_between WITH GRANT OPTION; SET ROLE view_between; GRANT SELECT, UPDATE "
                                "(price) ON v TO view_last",
                                RECREATE);
    static const char owner[] =
        "SELECT concat_ws(' ', relowner::regrole, has_table_privilege('view_last', oid, 'SELECT'), "
        "has_column_privilege('view_last', oid, 'price', 'UPDATE')) FROM pg_class WHERE relname = 'v'";
    char *conninfo = malloc(1000);

    (void) state;
    assert_non_null(conninfo);
    pawl_fmt(conninfo, 1000, "%s user=view_mine", f.db);
    f.overrides[0] = (pawl_key_value){"database", conninfo};
    f.noverrides = 1;
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "no member of");
    pawl_test_exec(f.db, "GRANT view_theirs TO view_mine");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "may not create");
    pawl_test_assert_text(&f, NOTHING_STARTED, "0");
    pawl_test_exec(f.db, "GRANT CREATE ON SCHEMA public TO view_theirs");
    pawl_test_up(&f);
    pawl_test_assert_text(&f, owner, "view_theirs t t");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, owner, "view_theirs t t");
    pawl_test_exec(
        f.db, "DROP OWNED BY view_mine, view_theirs, view_between, view_last CASCADE; DROP ROLE view_mine, "
              "view_theirs, view_between, view_last");
    free(conninfo);
    pawl_test_end(&f);
}

static void
a_temporary_view_of_another_session_is_refused(void **state)
{
    pawl_test_fixture f = begin("views_temporary", "SELECT 1", RECREATE);
    PGconn *other = pawl_test_connect(f.db);

    (void) state;
    pawl_test_run_on(other, "CREATE TEMPORARY VIEW v AS SELECT price FROM p");
    pawl_test_must_fail(&f, true, "head", PAWL_E_REFUSED, "temporary view of some session");
    pawl_test_assert_text(&f, NOTHING_STARTED, "0");
    PQfinish(other);
    pawl_test_wait_until(f.db, "SELECT NOT EXISTS (SELECT FROM pg_class WHERE relname = 'v')", 10000);
    pawl_test_up(&f);
    pawl_test_end(&f);
}

/* ---- locks ------------------------------------------------------------------------------------------------------ */

/* A session that has the view alone: the cut-over gives way, says who it was, and leaves the view to its readers. */
static void
a_view_that_somebody_holds_makes_the_cut_over_give_way(void **state)
{
    pawl_test_fixture f =
        begin("views_held", "CREATE VIEW v AS SELECT id, price FROM p; CREATE VIEW w AS SELECT price FROM v",
              RECREATE "      cutover: manual\n");
    PGconn *holder;
    char words[100];

    (void) state;
    stop_when_ready(&f);
    holder = pawl_test_connect(f.db);
    pawl_test_run_on(holder, "BEGIN; COMMENT ON VIEW v IS 'held'");
    pawl_fmt(words, sizeof words, "held by pid %d", PQbackendPID(holder));
    pawl_test_must_fail(&f, true, "head", PAWL_E_SERVER, words);
    assert_non_null(strstr(f.err.message, "view public.v"));
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM w", "100");
    pawl_test_assert_text(&f, "SELECT phase || ' ' || pg_typeof(price) FROM pawl.job, v LIMIT 1",
                          "ready text");
    pawl_test_run_on(holder, "COMMIT");
    PQfinish(holder);
    pawl_test_up(&f);
    pawl_test_assert_text(&f,
                          "SELECT pg_typeof(price) || ' ' || obj_description('v'::regclass) FROM w LIMIT 1",
                          "numeric held");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(views_come_back_with_all_that_hangs_on_them),
        cmocka_unit_test(the_way_back_makes_the_text_that_was_there),
        cmocka_unit_test(a_view_that_was_changed_after_the_swap_stays_changed),
        cmocka_unit_test(what_becomes_of_a_view_before_the_cut_over_is_taken_up),
        cmocka_unit_test(a_view_that_is_changed_while_the_swap_waits_stops_it),
        cmocka_unit_test(what_cannot_be_made_anew_is_refused_before_anything_starts),
        cmocka_unit_test(lists_of_other_names_that_are_in_nobodys_way_are_taken),
        cmocka_unit_test(a_view_of_somebody_else_is_refused_without_the_right_to_it),
        cmocka_unit_test(a_temporary_view_of_another_session_is_refused),
        cmocka_unit_test(a_view_that_somebody_holds_makes_the_cut_over_give_way),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
