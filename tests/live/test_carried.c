/* What hangs on a column or a table is what it was, and what others make of it meanwhile or afterwards is theirs. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/form.h"
#include "support/migration.h"
#include "support/project.h"
#include "support/server.h"

#include "util/banned.h"

#define TABLE                                                          \
    "CREATE TABLE p (id int PRIMARY KEY, price text NOT NULL, n int);" \
    "INSERT INTO p SELECT i, i || '.50', i FROM generate_series(1, 300) i;"

#define SWAP_WITH(more)                                                                   \
    "  - swap_column: { table: public.p, column: price, type: \"numeric(10,2)\", using: " \
    "\"price::numeric\",\n"                                                               \
    "                   reverse: \"price::text\"" more " }\n"
#define SWAP SWAP_WITH("")
#define REWRITE_WITH(more)                                                                      \
    "  - rewrite_table: { table: public.p, change: { price: { type: \"numeric(10,2)\", using: " \
    "\"price::numeric\" } }" more " }\n"
#define REWRITE REWRITE_WITH("")

/* A project whose only revision has this one step. */
static pawl_test_fixture
begin(const char *name, const char *create, const char *step)
{
    pawl_test_fixture f = pawl_test_begin(name);
    PAWL_STRBUF_AUTO(text);

    pawl_test_exec(f.db, create);
    pawl_strbuf_addf(&text, "up:\n%s", step);
    pawl_test_revision(&f, "aaaa", "", text.data);
    return f;
}

/* ---- the path that names are looked for in ------------------------------------------------------------------------------ */

#define HELPERS                                                                                            \
    "CREATE FUNCTION helper(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT lower(t)';"             \
    "CREATE FUNCTION norm(t text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT helper(t)';"              \
    "CREATE FUNCTION norm_of(t text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS 'BEGIN RETURN helper(t); " \
    "END';"

/* The step's own names, and those in the bodies of functions, are looked for where the step looks, in the trial as well. */
static void
a_swap_finds_what_its_path_holds(void **state)
{
    pawl_test_fixture f = begin(
        "path",
        "CREATE TYPE mood AS ENUM ('sad', 'ok');" HELPERS
        "CREATE TABLE p (id int PRIMARY KEY, m text DEFAULT norm('OK') CHECK (norm(m::text) <> 'angry'));"
        "CREATE INDEX p_of ON p (norm_of(m));"
        "INSERT INTO p SELECT i, CASE i % 2 WHEN 0 THEN 'sad' ELSE 'ok' END FROM generate_series(1, 300) i",
        "  - swap_column: { table: p, column: m, type: varchar(9), using: m, reverse: m, keep_old: false }\n"
        "  - sql: \"ALTER TABLE p DROP CONSTRAINT p_m_check; ALTER TABLE p ALTER m DROP DEFAULT; DROP INDEX "
        "p_of\"\n"
        "    down: nothing\n"
        "  - swap_column: { table: p, column: m, type: mood, using: \"m::mood\", reverse: \"m::text\", "
        "keep_old: false }\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(format_type(atttypid, atttypmod), ' ' ORDER BY attnum) FROM pg_attribute "
        "WHERE attrelid = 'p'::regclass AND attnum > 0 AND NOT attisdropped AND attname = 'm'",
        "mood");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM p WHERE m = 'sad'", "150");
    pawl_test_end(&f);
}

static void
a_rewrite_builds_where_its_path_looks(void **state)
{
    pawl_test_fixture f =
        begin("rwpath", TABLE HELPERS "CREATE INDEX p_norm ON p (norm_of(n::text))", REWRITE);

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('p_norm'::regclass)",
                          "CREATE INDEX p_norm ON public.p USING btree (norm_of((n)::text))");
    pawl_test_end(&f);
}

/* ---- parts of what hangs on a table --------------------------------------------------------------------------------------- */

static void
a_rewrite_keeps_what_is_said_of_parts(void **state)
{
    pawl_test_fixture f = begin(
        "parts",
        TABLE
        "CREATE INDEX p_low ON p (lower(price), n); ALTER INDEX p_low ALTER COLUMN 1 SET STATISTICS 500;"
        "COMMENT ON INDEX p_pkey IS 'the key'; COMMENT ON INDEX p_low IS 'low';"
        "CREATE INDEX p_n ON p (abs(n)); ALTER INDEX p_n ALTER COLUMN 1 SET STATISTICS 300;"
        "CREATE STATISTICS p_st ON id, n FROM p; ALTER STATISTICS p_st SET STATISTICS 250;",
        "  - rewrite_table: { table: public.p, change: { n: { type: bigint } } }\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f, "SELECT obj_description('p_pkey'::regclass) || ', ' || obj_description('p_low'::regclass)",
        "the key, low");
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(attstattarget::text, ' ' ORDER BY attrelid::regclass::text) FROM pg_attribute "
        "WHERE attrelid IN ('p_low'::regclass, 'p_n'::regclass) AND attnum = 1",
        "500 300");
    pawl_test_assert_text(&f, "SELECT stxstattarget::text FROM pg_statistic_ext WHERE stxname = 'p_st'",
                          "250");
    pawl_test_end(&f);
}

#define SEQUENCE                                                                                             \
    "CREATE ROLE carried_app; CREATE TABLE p (id bigint GENERATED ALWAYS AS IDENTITY (MAXVALUE 2147483647) " \
    "PRIMARY KEY,"                                                                                           \
    " price text);"                                                                                          \
    "INSERT INTO p (price) SELECT i::text FROM generate_series(1, 300) i;"                                   \
    "ALTER DEFAULT PRIVILEGES IN SCHEMA public GRANT USAGE, SELECT ON SEQUENCES TO carried_app"

static void
an_identity_keeps_its_own_privileges_and_bounds(void **state)
{
    pawl_test_fixture f =
        begin("identity", SEQUENCE,
              "  - rewrite_table: { table: public.p, change: { price: { type: varchar } } }\n");

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT has_sequence_privilege('carried_app', 'p_id_seq', 'USAGE')::text",
                          "false");
    pawl_test_assert_text(&f, "SELECT max_value::text FROM pg_sequences WHERE sequencename = 'p_id_seq'",
                          "2147483647");
    pawl_test_exec(f.db, "DROP OWNED BY carried_app; DROP ROLE carried_app");
    pawl_test_end(&f);
}

#define GRANTS                                                                                              \
    "CREATE ROLE carried_bob; CREATE ROLE carried_carol; GRANT SELECT ON p TO carried_bob WITH GRANT "      \
    "OPTION;"                                                                                               \
    "GRANT SELECT ON p TO carried_carol;"                                                                   \
    "GRANT SELECT (price) ON p TO carried_bob WITH GRANT OPTION; GRANT SELECT (price) ON p TO "             \
    "carried_carol;"                                                                                        \
    "SET ROLE carried_bob; GRANT SELECT ON p TO carried_carol; GRANT SELECT (price) ON p TO carried_carol;" \
    "RESET ROLE;"

static void
what_two_have_granted_is_granted(void **state)
{
    static const char *const steps[] = {
        SWAP,
        "  - rewrite_table: { table: public.p, reverse: { price: \"price::text\" },\n"
        "                     change: { price: { type: \"numeric(10,2)\", using: \"price::numeric\" } } }\n"};

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        pawl_test_fixture f = begin("grants", TABLE GRANTS, steps[i]);

        pawl_test_up(&f);
        pawl_test_assert_text(
            &f, "SELECT has_column_privilege('carried_carol', 'p', 'price', 'SELECT')::text", "true");
        pawl_test_must_go(&f, false, "base");
        pawl_test_assert_text(
            &f, "SELECT has_column_privilege('carried_carol', 'p', 'price', 'SELECT')::text", "true");
        pawl_test_exec(
            f.db, "DROP OWNED BY carried_bob, carried_carol CASCADE; DROP ROLE carried_bob, carried_carol");
        pawl_test_end(&f);
    }
}

/* The role that was there first has its grant from one that came later. */
static void
what_a_grantee_has_granted_of_a_view_is_granted(void **state)
{
    pawl_test_fixture f = begin(
        "view_grants",
        TABLE "CREATE ROLE carried_amy; CREATE ROLE carried_bob; CREATE VIEW v AS SELECT id, price FROM p;"
              "GRANT SELECT (price) ON v TO carried_bob WITH GRANT OPTION;"
              "SET ROLE carried_bob; GRANT SELECT (price) ON v TO carried_amy; RESET ROLE",
        SWAP_WITH(", views: recreate"));

    (void) state;
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(concat_ws(' ', x.grantor::regrole, x.grantee::regrole), ', ' ORDER BY "
        "x.grantee) FROM pg_attribute a, aclexplode(a.attacl) x WHERE a.attrelid = 'v'::regclass "
        "AND a.attname = 'price' AND x.grantor = 'carried_bob'::regrole",
        "carried_bob carried_amy");
    pawl_test_exec(f.db,
                   "DROP OWNED BY carried_bob, carried_amy CASCADE; DROP ROLE carried_bob, carried_amy");
    pawl_test_end(&f);
}

/* The key stands for all columns then. */
static void
a_view_that_groups_by_the_primary_key_is_made_anew(void **state)
{
    static const char *const steps[] = {
        SWAP_WITH(", views: recreate"),
        REWRITE_WITH(", views: recreate"),
        "  - swap_column: { table: public.p, column: id, type: bigint, using: \"id::bigint\", views: "
        "recreate }\n"
        "    down: nothing\n",
    };

    (void) state;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++)
    {
        pawl_test_fixture f =
            begin("grouped",
                  TABLE "CREATE VIEW v AS SELECT q.id, q.price, q.n, count(r.id) AS c FROM p q "
                        "LEFT JOIN p r ON r.n = q.n GROUP BY q.id",
                  steps[i]);

        pawl_test_up(&f);
        pawl_test_assert_text(&f, "SELECT concat_ws(' ', id, price, n, c) FROM v WHERE id = 7", "7 7.50 7 1");
        pawl_test_end(&f);
    }
}

/* Each operator nests the next one's operands. */
static void
a_view_of_many_operands_is_made_anew(void **state)
{
    PAWL_STRBUF_AUTO(create);
    pawl_test_fixture f;

    (void) state;
    pawl_strbuf_add(&create, TABLE "CREATE VIEW v AS SELECT id, price, n");
    for (int i = 0; i < 200; i++)
        pawl_strbuf_add(&create, " + n");
    pawl_strbuf_add(&create, " AS total FROM p");
    f = begin("operands", create.data, SWAP_WITH(", views: recreate"));
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT total::text FROM v WHERE id = 7", "1407");
    pawl_test_end(&f);
}

/* ---- what others have changed --------------------------------------------------------------------------------------------- */

/* Built, and waiting for the word: what is dropped or made anew meanwhile goes live as it is then. */
static void
what_is_changed_while_a_swap_waits_goes_live_as_it_is(void **state)
{
    pawl_test_fixture f =
        begin("waits",
              TABLE "CREATE INDEX p_i ON p (price, id); ALTER TABLE p ADD CONSTRAINT p_u UNIQUE (price);"
                    "CREATE STATISTICS p_st (ndistinct) ON price, n FROM p",
              SWAP_WITH(", cutover: manual"));

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db,
                   "DROP INDEX p_i; CREATE INDEX p_i ON p (price DESC, n); ALTER TABLE p DROP CONSTRAINT p_u;"
                   "DROP STATISTICS p_st; CREATE STATISTICS p_st (dependencies) ON price, n FROM p");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('p_i'::regclass)",
                          "CREATE INDEX p_i ON public.p USING btree (price DESC, n)");
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(indexrelid::regclass::text, ' ' ORDER BY 1) FROM pg_index WHERE indrelid = "
        "'p'::regclass AND indexrelid::regclass::text NOT IN ('p_i', 'p_pkey')",
        "");
    pawl_test_assert_text(&f,
                          "SELECT pg_get_statisticsobjdef(oid) FROM pg_statistic_ext WHERE stxname = 'p_st'",
                          "CREATE STATISTICS public.p_st (dependencies) ON n, price FROM p");
    pawl_test_assert_text(&f, "SELECT count(*)::text FROM pg_statistic_ext WHERE stxrelid = 'p'::regclass",
                          "1");
    pawl_test_end(&f);
}

/* An index that is gone meanwhile is gone, and one that came has come. */
static void
an_index_that_is_dropped_while_a_rewrite_waits_is_gone(void **state)
{
    pawl_test_fixture f = begin(
        "rewrite_waits",
        TABLE
        "CREATE INDEX p_i ON p (price, id); CREATE INDEX p_j ON p (n); ALTER TABLE p ADD CONSTRAINT p_u "
        "UNIQUE (price)",
        REWRITE_WITH(", cutover: manual"));

    (void) state;
    pawl_test_up_until(&f, "waiting");
    pawl_test_exec(f.db, "DROP INDEX p_i; DROP INDEX p_j; CREATE INDEX p_j ON p (n DESC); ALTER TABLE p DROP "
                         "CONSTRAINT p_u; CREATE INDEX p_k ON p (id, n)");
    pawl_test_pawl_exits(f.dir, "cutover", "1", 0);
    pawl_test_up(&f);
    pawl_test_assert_text(
        &f,
        "SELECT string_agg(pg_get_indexdef(indexrelid), '; ' ORDER BY indexrelid::regclass::text) FROM "
        "pg_index WHERE indrelid = "
        "'p'::regclass",
        "CREATE INDEX p_j ON public.p USING btree (n DESC); CREATE INDEX p_k ON public.p USING btree (id, "
        "n); "
        "CREATE UNIQUE INDEX p_pkey ON public.p USING btree (id)");
    pawl_test_end(&f);
}

/* Changed since the swap: the way back takes it as it is. */
static void
what_was_changed_since_a_swap_is_not_undone_by_the_way_back(void **state)
{
    pawl_test_fixture f = begin(
        "since",
        TABLE "ALTER TABLE p ALTER price SET DEFAULT '7'; ALTER TABLE p ADD CONSTRAINT p_u UNIQUE (price);"
              "CREATE TABLE c (price text REFERENCES p (price) ON DELETE CASCADE);"
              "CREATE INDEX p_i ON p (price, id); CREATE INDEX p_stays ON p (price, n) WHERE n <> 7;"
              "ALTER TABLE p ADD CONSTRAINT p_c CHECK (n > 0 OR price IS NOT NULL)",
        "  - sql: ALTER TABLE c DROP CONSTRAINT c_price_fkey\n    down: nothing\n" SWAP);

    (void) state;
    pawl_test_up(&f);
    pawl_test_exec(
        f.db, "ALTER TABLE p ALTER price SET DEFAULT 5; DROP INDEX p_i; CREATE INDEX p_i ON p (n, price);"
              "ALTER TABLE p DROP CONSTRAINT p_c, ADD CONSTRAINT p_c CHECK (n > -1 OR price IS NOT NULL)");
    pawl_test_must_go(&f, false, "base");
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('p_i'::regclass)",
                          "CREATE INDEX p_i ON public.p USING btree (n, price)");
    pawl_test_assert_text(&f, "SELECT pg_get_indexdef('p_stays'::regclass)",
                          "CREATE INDEX p_stays ON public.p USING btree (price, n) WHERE (n <> 7)");
    pawl_test_exec(f.db, "INSERT INTO p (id, n) VALUES (1000, 1)");
    pawl_test_assert_text(&f, "SELECT price FROM p WHERE id = 1000", "5");
    pawl_test_end(&f);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_swap_finds_what_its_path_holds),
        cmocka_unit_test(a_rewrite_builds_where_its_path_looks),
        cmocka_unit_test(a_rewrite_keeps_what_is_said_of_parts),
        cmocka_unit_test(an_identity_keeps_its_own_privileges_and_bounds),
        cmocka_unit_test(what_two_have_granted_is_granted),
        cmocka_unit_test(what_a_grantee_has_granted_of_a_view_is_granted),
        cmocka_unit_test(a_view_that_groups_by_the_primary_key_is_made_anew),
        cmocka_unit_test(a_view_of_many_operands_is_made_anew),
        cmocka_unit_test(what_is_changed_while_a_swap_waits_goes_live_as_it_is),
        cmocka_unit_test(an_index_that_is_dropped_while_a_rewrite_waits_is_gone),
        cmocka_unit_test(what_was_changed_since_a_swap_is_not_undone_by_the_way_back),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
