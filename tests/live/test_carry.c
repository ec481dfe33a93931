/*
 * What hangs on a column, carried over by the statements of online/carry.h. The rows are moved by hand: what is looked
 * at is the schema, which squash's own description of a whole database compares.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "catalog/compare.h"
#include "catalog/table.h"
#include "online/carry.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "support/server.h"
#include "util/alloc.h"

#include "util/banned.h"

typedef struct place
{
    const char *conninfo;
    pawl_pg *pg;
    pawl_arena *arena;
    pawl_hanging *hanging;
    pawl_carry *carry;
    pawl_error err;
} place;

static void
is_ok(pawl_status st, const pawl_error *err)
{
    if (st != PAWL_OK)
        fail_msg("%s: %s | %s | %s", pawl_status_name(st), err->message, err->detail, err->hint);
}

static place
place_with(const char *database, const char *sql)
{
    place p = {.conninfo = pawl_test_database_new(database), .arena = pawl_arena_new()};

    pawl_test_exec(p.conninfo, sql);
    is_ok(pawl_pg_open(&(pawl_pg_options){.conninfo = p.conninfo}, &p.pg, &p.err), &p.err);
    return p;
}

static void
place_end(place *p)
{
    pawl_pg_close(p->pg);
    pawl_arena_free(p->arena);
}

/* ---- running lists ---------------------------------------------------------------------------------------------- */

static bool
is_done(place *p, const pawl_carry_unit *unit)
{
    bool done = false;

    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    is_ok(pawl_carry_is_done(p->pg, unit, &done, &p->err), &p->err);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    return done;
}

static void
run_statements(place *p, const pawl_carry_unit *unit)
{
    for (size_t k = 0; k < unit->nsql; k++)
        if (pawl_pg_exec(p->pg, unit->sql[k], &p->err) != PAWL_OK)
            fail_msg("%s: %s: %s", unit->what, unit->sql[k], p->err.message);
}

/* Each in a transaction of its own, asked before and after whether it is done. */
static void
run_each(place *p, const pawl_carry_list *list)
{
    for (size_t i = 0; i < list->length; i++)
    {
        const pawl_carry_unit *unit = &list->items[i];

        if (is_done(p, unit))
        {
            if (unit->probe == PAWL_CARRY_PROBE_NOT_NULL_BEGUN) /* with the column already */
                continue;
            fail_msg("%s says that it is done: %s", unit->what, unit->sql[0]);
        }
        if (!unit->is_outside)
            is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
        run_statements(p, unit);
        if (!unit->is_outside)
            is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
        if (unit->probe != PAWL_CARRY_NO_PROBE && !is_done(p, unit))
            fail_msg("%s does not say that it is done: %s", unit->what, unit->sql[0]);
    }
}

static void
run_together(place *p, const pawl_carry_list *list)
{
    for (size_t i = 0; i < list->length; i++)
        run_statements(p, &list->items[i]);
}

/* ---- a swap by hand --------------------------------------------------------------------------------------------- */

static uint32_t
oid_of(place *p, const char *name)
{
    pawl_table *table = NULL;

    is_ok(pawl_table_load(p->pg, name, "public", p->arena, &table, &p->err), &p->err);
    return table->oid;
}

static void
look(place *p, const pawl_hang_options *options)
{
    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    is_ok(pawl_hanging_load(p->pg, oid_of(p, "public.t"), "pawl", p->arena, &p->hanging, &p->err), &p->err);
    is_ok(pawl_hanging_add_bodies(p->pg, p->hanging, options->column, "pawl", p->arena, &p->err), &p->err);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    pawl_hanging_judge(p->hanging, options);
}

static pawl_status
plan(place *p, const pawl_carry_swap_spec *spec)
{
    look(p, &spec->options);
    p->err = (pawl_error) PAWL_ERROR_INIT;
    return pawl_carry_swap(p->pg, p->hanging, spec, p->arena, &p->carry, &p->err);
}

/* What is there now differs from the plan's inventory only as the swap of this column makes it. Within a transaction. */
static void
differs_as_expected(place *p, const pawl_carry_swap_spec *spec)
{
    const pawl_compare_options options = {.changed = &spec->column,
                                          .nchanged = 1,
                                          .kept = spec->kept,
                                          .replacement = spec->replacement,
                                          .temporary = "pawl_7_"};
    pawl_compare_diff diff = {.nlines = 0};
    pawl_hanging *now = NULL;

    is_ok(pawl_hanging_load(p->pg, p->hanging->oid, "pawl", p->arena, &now, &p->err), &p->err);
    is_ok(pawl_compare(p->hanging, now, &options, p->arena, &diff, &p->err), &p->err);
    for (size_t i = 0; i < diff.nlines; i++)
        if (!diff.lines[i].is_expected)
            print_message("%c %s\n", diff.lines[i].sign, diff.lines[i].text);
    is_ok(pawl_compare_check(now, &diff, &p->err), &p->err);
}

/* What is written from now on says nothing of the old column, and must not fail by it. */
static void
nothing_is_enforced_on(place *p, const char *column)
{
    char *sql = NULL;
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(
        &text,
        "SELECT count(*) FROM pg_attribute a WHERE a.attrelid = 't'::regclass AND a.attname = '%s' AND "
        "(a.attnotnull OR a.atthasdef OR a.attidentity <> '' OR EXISTS (SELECT FROM pg_depend d WHERE "
        "d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum))",
        column);
    sql = pawl_strbuf_take(&text);
    assert_int_equal(pawl_test_query_i64(p->conninfo, sql), 0);
    pawl_free(sql);
}

/* From a planned swap to the end; `make` adds the new column, `fill` fills it. */
static void
go(place *p, const pawl_carry_swap_spec *spec, const char *make, const char *fill)
{
    pawl_compare_diff diff = {.nlines = 0};

    run_each(p, &p->carry->before);
    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    if (make != NULL)
        is_ok(pawl_pg_exec(p->pg, make, &p->err), &p->err);
    run_together(p, &p->carry->prepare);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    if (fill != NULL)
        pawl_test_exec(p->conninfo, fill);
    run_each(p, &p->carry->index);
    run_each(p, &p->carry->early);
    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    is_ok(pawl_pg_exec(p->pg, "SET LOCAL search_path = public", &p->err), &p->err);
    is_ok(pawl_carry_ready(p->pg, p->carry, "pawl", &p->err), &p->err);
    run_together(p, &p->carry->locks);
    is_ok(pawl_pg_exec(p->pg, "DROP TRIGGER IF EXISTS \"~step\" ON public.t", &p->err), &p->err);
    is_ok(pawl_carry_check_before(p->pg, p->carry, "pawl", &p->err), &p->err);
    run_together(p, &p->carry->cutover);
    is_ok(pawl_carry_check_after(p->pg, p->carry, "pawl", p->arena, &diff, &p->err), &p->err);
    is_ok(pawl_carry_done(p->pg, &p->err), &p->err);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    run_each(p, &p->carry->after);
    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    differs_as_expected(p, spec);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    nothing_is_enforced_on(p, spec->kept);
}

static pawl_carry_swap_spec
spec_of(pawl_hang_mode mode, const char *column, const char *type)
{
    return (pawl_carry_swap_spec){.job = 7,
                                  .column = column,
                                  .replacement = "x new",
                                  .kept = "x old",
                                  .type = type,
                                  .options = {.mode = mode, .column = column}};
}

/* The whole schema as lines, without those that hold one of the words, and without the places of columns. */
static char *
schema_without(place *p, const char *const *words, size_t nwords)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT("pawl")};
    pawl_strbuf lines = PAWL_STRBUF_INIT;

    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    is_ok(pawl_pg_query(p->pg, pawl_sql_migrate_catalogue, 1, args, &res, &p->err), &p->err);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    for (int i = 0; i < pawl_pg_rows(res); i++)
    {
        const char *definition = pawl_pg_text(res, i, 1);
        bool is_left_out = false;

        for (size_t k = 0; k < nwords; k++)
            is_left_out |= strstr(pawl_pg_text(res, i, 0), words[k]) != NULL;
        if (strncmp(definition, "place ", 6) == 0)
            definition = strchr(definition, ';');
        if (!is_left_out)
            pawl_strbuf_addf(&lines, "%s: %s\n", pawl_pg_text(res, i, 0), definition);
    }
    return pawl_strbuf_take(&lines);
}

static void
is_same(const char *before, const char *after)
{
    const char *a = before;
    const char *b = after;

    if (strcmp(before, after) == 0)
        return;
    for (; *a != '\0' && *a == *b; a++)
        b++;
    for (; a > before && a[-1] != '\n'; a--)
        b--;
    fail_msg("before:\n%.600s\nafter:\n%.600s", a, b);
}

/* ---- swaps ------------------------------------------------------------------------------------------------------ */

#define EVERYTHING                                                                                          \
    "CREATE TABLE kind (code int PRIMARY KEY, sort int UNIQUE); CREATE ROLE carry_reader; CREATE FUNCTION " \
    "body() RETURNS int LANGUAGE sql AS 'SELECT a FROM (SELECT 1 AS a, 2 AS t) t'; CREATE TABLE t "         \
    "(id int PRIMARY KEY, b int, a int NOT NULL DEFAULT 5, c text, CONSTRAINT a_kind FOREIGN KEY (a) "      \
    "REFERENCES kind ON DELETE CASCADE DEFERRABLE, CONSTRAINT a_big CHECK (a < 1000000) NO INHERIT, "       \
    "CONSTRAINT a_alone UNIQUE (a) DEFERRABLE INITIALLY DEFERRED); ALTER TABLE t ADD CONSTRAINT a_odd "     \
    "CHECK (a <> 13) NOT VALID; CREATE INDEX \"A \"\"plain\"\"\" ON t (b, a DESC NULLS LAST) INCLUDE (c) "  \
    "WITH (fillfactor = 70); CREATE INDEX a_half ON t ((a / 2), (upper(c))) WHERE a > 10 AND c <> 'a'; "    \
    "CREATE INDEX a_hash ON t USING hash (a); ALTER TABLE t CLUSTER ON \"A \"\"plain\"\"\"; CREATE "        \
    "STATISTICS a_b (ndistinct, mcv) ON a, b FROM t; CREATE STATISTICS a_x ON (a * 2), b FROM t; ALTER "    \
    "STATISTICS a_b SET STATISTICS 77; ALTER TABLE t ALTER a SET STATISTICS 400, ALTER a SET (n_distinct "  \
    "= 9); COMMENT ON INDEX a_alone IS 'i'; ALTER INDEX a_half ALTER COLUMN 1 SET STATISTICS 33; COMMENT "  \
    "ON COLUMN t.a IS 'an \\ \"a\"'; COMMENT ON CONSTRAINT a_big ON t IS 'it''s "                           \
    "big';COMMENT ON INDEX a_half IS 'half'; COMMENT ON CONSTRAINT a_kind ON t IS 'kind'; COMMENT ON "      \
    "STATISTICS a_b IS 's'; COMMENT ON CONSTRAINT a_alone ON t IS 'alone'; GRANT SELECT (a), UPDATE (a) "   \
    "ON t TO carry_reader; GRANT INSERT (a) ON t TO PUBLIC; INSERT INTO kind SELECT i, i FROM "             \
    "generate_series(1, 50) i; INSERT INTO t SELECT i, i, i, 'c' || i FROM generate_series(1, 50) i "       \
    "WHERE i <> 13"

static const char *const kept_only[] = {"\"x old\""};

static void
everything_on_a_column_is_there_again(void **state)
{
    pawl_hang_mode modes[] = {PAWL_HANG_SWAP_CAPTURED, PAWL_HANG_SWAP_IN_STEP};

    (void) state;
    for (size_t i = 0; i < 2; i++)
    {
        place p = place_with(i == 0 ? "carrycaptured" : "carryinstep",
                             i == 0 ? EVERYTHING : "DROP ROLE IF EXISTS carry_reader_2;" EVERYTHING);
        pawl_carry_swap_spec spec = spec_of(modes[i], "a", "int");
        char *before = schema_without(&p, NULL, 0);
        char *after;

        is_ok(plan(&p, &spec), &p.err);
        go(&p, &spec, "ALTER TABLE public.t ADD COLUMN \"x new\" int", "UPDATE t SET \"x new\" = a");
        after = schema_without(&p, kept_only, 1);
        is_same(before, after);
        pawl_free(before);
        pawl_free(after);
        pawl_test_exec(p.conninfo, "DROP OWNED BY carry_reader; DROP ROLE carry_reader");
        place_end(&p);
    }
}

/* ---- primary keys ----------------------------------------------------------------------------------------------- */

/* A trigger keeps the new column in step, as `using:` does; then every row is touched. */
#define IN_STEP                                                                                          \
    "CREATE FUNCTION step() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.\"x new\" := NEW.id; RETURN " \
    "NEW; END';"                                                                                         \
    "CREATE TRIGGER \"~step\" BEFORE INSERT OR UPDATE ON t FOR EACH ROW EXECUTE FUNCTION step();"        \
    "UPDATE t SET v = v"

#define CHILDREN                                                                                            \
    "CREATE TABLE c (t_id int NOT NULL REFERENCES t ON UPDATE CASCADE ON DELETE CASCADE, n int REFERENCES " \
    "t ON "                                                                                                 \
    "UPDATE CASCADE ON DELETE SET NULL); INSERT INTO t (v, parent) SELECT 'v' || i, nullif(i / 2, 0) FROM " \
    "generate_series(1, 20) i; INSERT INTO c SELECT i, 21 - i FROM generate_series(1, 20) i"

static const char *const key_words[] = {"\"x old\"", "column public.t.id", "sequence public.t_id_seq"};

/* From int to bigint, and what must be so afterwards. */
static void
key_becomes_bigint(const char *database, const char *create)
{
    place p = place_with(database, create);
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_IN_STEP, "id", "bigint");
    char *before = schema_without(&p, key_words, 3);
    char *after;

    is_ok(plan(&p, &spec), &p.err);
    go(&p, &spec, "ALTER TABLE public.t ADD COLUMN \"x new\" bigint", IN_STEP);
    pawl_test_exec(p.conninfo, "DROP FUNCTION step()");
    after = schema_without(&p, key_words, 3);
    is_same(before, after);
    pawl_free(before);
    pawl_free(after);

    assert_int_equal(pawl_test_query_i64(p.conninfo, "INSERT INTO t (v) VALUES ('next') RETURNING id"), 21);
    pawl_test_exec(p.conninfo, "SELECT setval('t_id_seq', 3000000000)");
    assert_int_equal(pawl_test_query_i64(p.conninfo, "INSERT INTO t (v) VALUES ('big') RETURNING id"),
                     3000000001);
    assert_int_equal(pawl_test_query_i64(p.conninfo,
                                         "SELECT count(*) FROM pg_sequence WHERE seqrelid = "
                                         "pg_get_serial_sequence('t', 'id')::regclass AND seqtypid = "
                                         "'bigint'::regtype AND seqmax = 9223372036854775807"),
                     1);
    pawl_test_exec(p.conninfo, "UPDATE t SET id = 100 WHERE id = 20; DELETE FROM t WHERE id = 1");
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM c WHERE t_id = 100"), 1);
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM c WHERE t_id = 1 OR n = 1"), 0);
    pawl_test_exec(p.conninfo, "ALTER TABLE t DROP COLUMN \"x old\"");
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM t WHERE id > 2147483647"), 1);
    place_end(&p);
}

static void
serial_primary_key_becomes_bigint_with_those_that_refer_to_it(void **state)
{
    (void) state;
    key_becomes_bigint("carryserial", "CREATE TABLE t (id serial PRIMARY KEY, v text, parent int REFERENCES "
                                      "t ON DELETE SET NULL);" CHILDREN);
}

static void
identity_primary_key_becomes_bigint_and_goes_on_counting(void **state)
{
    (void) state;
    key_becomes_bigint(
        "carryidentity",
        "CREATE TABLE t (id int GENERATED BY DEFAULT AS IDENTITY (CACHE 5) PRIMARY KEY, v text, parent int "
        "REFERENCES t ON DELETE SET NULL); CREATE ROLE carry_counter; GRANT USAGE, SELECT ON SEQUENCE "
        "t_id_seq TO carry_counter; COMMENT ON SEQUENCE t_id_seq IS 'counts'; ALTER TABLE t REPLICA "
        "IDENTITY USING INDEX t_pkey;" CHILDREN);
}

/* ---- views ------------------------------------------------------------------------------------------------------ */

static void
views_are_made_anew_with_all_that_hangs_on_them(void **state)
{
    place p = place_with("carryviews", "CREATE ROLE carry_viewer; CREATE SCHEMA far; CREATE TABLE t (id int "
                                       "PRIMARY KEY, a int); CREATE VIEW va WITH "
                                       "(security_barrier = true) AS SELECT id, a FROM t WHERE a > 3; CREATE "
                                       "VIEW far.vva AS SELECT a * 2 AS \"Twice\" "
                                       "FROM va; CREATE VIEW pair AS SELECT x.a, y.\"Twice\" FROM va x, "
                                       "far.vva y; COMMENT ON VIEW va IS 'v'; COMMENT "
                                       "ON COLUMN va.a IS 'v.a'; GRANT SELECT ON va TO carry_viewer WITH "
                                       "GRANT OPTION; GRANT UPDATE (a) ON va TO PUBLIC;"
                                       "ALTER VIEW va ALTER a SET DEFAULT 9; CREATE FUNCTION tg() RETURNS "
                                       "trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; "
                                       "END'; CREATE TRIGGER tr INSTEAD OF UPDATE ON va FOR EACH ROW EXECUTE "
                                       "FUNCTION tg(); CREATE RULE r AS ON DELETE TO pair DO INSTEAD "
                                       "NOTHING; ALTER VIEW pair OWNER TO carry_viewer; "
                                       "CREATE VIEW apart AS SELECT id FROM t");
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "a", "bigint");
    char *before;
    char *after;

    (void) state;
    assert_int_equal(plan(&p, &spec), PAWL_E_REFUSED);
    assert_non_null(strstr(p.err.message, "view public.va, view far.vva, view public.pair"));
    spec.options.recreate_views = true;
    before = schema_without(&p, (const char *const[]){"x old", "column "}, 2);
    is_ok(plan(&p, &spec), &p.err);
    go(&p, &spec, "ALTER TABLE public.t ADD COLUMN \"x new\" bigint", NULL);
    after = schema_without(&p, (const char *const[]){"x old", "column "}, 2);
    is_same(before, after);
    pawl_free(before);
    pawl_free(after);
    assert_int_equal(
        pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM pg_attribute WHERE attrelid = 'pair'::regclass "
                                        "AND atttypid = 'bigint'::regtype"),
        2);
    pawl_test_exec(p.conninfo,
                   "ALTER TABLE t DROP COLUMN \"x old\"; DROP OWNED BY carry_viewer; DROP ROLE carry_viewer");
    place_end(&p);
}

/* ---- other types ------------------------------------------------------------------------------------------------ */

static void
what_the_new_type_does_not_bear_is_refused_by_name(void **state)
{
    place p = place_with(
        "carryrefuse",
        "CREATE TABLE t (id int PRIMARY KEY, a text DEFAULT '$0', b text DEFAULT '12.5', CONSTRAINT full_ "
        "CHECK (a <> ''));"
        "CREATE INDEX lower_a ON t (lower(a)); CREATE INDEX plain_a ON t (a); CREATE INDEX pattern_a ON t (a "
        "text_pattern_ops); CREATE VIEW va AS SELECT upper(a) FROM t; ALTER TABLE t ALTER a SET STORAGE "
        "EXTERNAL");
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "a", "int");
    const char *words[] = {"default of a", "check constraint full_", "index public.lower_a",
                           "index public.pattern_a", "view public.va"};

    (void) state;
    spec.options.recreate_views = true;
    assert_int_equal(plan(&p, &spec), PAWL_E_REFUSED);
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (strstr(p.err.message, words[i]) == NULL)
            fail_msg("%s is not in: %s", words[i], p.err.message);
    assert_null(strstr(p.err.message, "plain_a"));
    assert_null(strstr(p.err.message, "storage"));
    assert_int_equal(
        pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM pg_attribute WHERE attname LIKE 'x %'"), 0);
    spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "b", "numeric(10,2)");
    is_ok(plan(&p, &spec), &p.err);
    go(&p, &spec, "ALTER TABLE public.t ADD COLUMN \"x new\" numeric(10,2)", NULL);
    assert_int_equal(
        pawl_test_query_i64(p.conninfo, "INSERT INTO t (id, a) VALUES (1, 'x') RETURNING b * 100"), 1250);
    place_end(&p);
}

static void
way_back_makes_what_was_there_and_not_what_became_of_it(void **state)
{
    place p = place_with(
        "carryback",
        "CREATE TABLE t (id int PRIMARY KEY, a text NOT NULL DEFAULT '0', b int, CONSTRAINT whole CHECK "
        "(a IS NOT NULL AND b > 0)); CREATE INDEX a_b ON t (b, a) WHERE a IS NOT NULL; CREATE UNIQUE "
        "INDEX a_alone ON t (a); INSERT INTO t VALUES (1, '17', 2); COMMENT ON INDEX a_b IS 'two'");
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "a", "int");
    char *before = schema_without(&p, NULL, 0);
    const char *json = NULL;
    pawl_carry *saved = NULL;
    char *after;

    (void) state;
    is_ok(plan(&p, &spec), &p.err);
    is_ok(pawl_carry_save(p.carry, p.arena, &json, &p.err), &p.err);
    is_ok(pawl_carry_load(json, p.arena, &saved, &p.err), &p.err);
    assert_int_equal(saved->after.length, p.carry->after.length);
    assert_string_equal(saved->after.items[0].sql[0], p.carry->after.items[0].sql[0]);
    go(&p, &spec, "ALTER TABLE public.t ADD COLUMN \"x new\" int", "UPDATE t SET \"x new\" = a::int");
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT a FROM t"), 17);

    spec.replacement = "x old";
    spec.kept = "x new";
    spec.type = NULL;
    spec.saved = saved;
    pawl_test_exec(p.conninfo, "UPDATE t SET \"x old\" = a::text");
    is_ok(plan(&p, &spec), &p.err);
    go(&p, &spec, NULL, NULL);
    pawl_test_exec(p.conninfo, "ALTER TABLE t DROP COLUMN \"x new\"");
    after = schema_without(&p, NULL, 0);
    is_same(before, after);
    pawl_free(before);
    pawl_free(after);
    place_end(&p);
}

static void
what_was_made_before_the_cut_over_is_undone_without_a_trace(void **state)
{
    place p = place_with("carryundo", EVERYTHING);
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_IN_STEP, "a", "int");
    char *before = schema_without(&p, NULL, 0);
    char *after;

    (void) state;
    is_ok(plan(&p, &spec), &p.err);
    pawl_test_exec(p.conninfo, "ALTER TABLE t ADD COLUMN \"x new\" int; UPDATE t SET \"x new\" = a");
    is_ok(pawl_pg_begin(p.pg, NULL, &p.err), &p.err);
    run_together(&p, &p.carry->prepare);
    is_ok(pawl_pg_commit(p.pg, &p.err), &p.err);
    run_each(&p, &p.carry->index);
    run_each(&p, &p.carry->early);
    run_each(&p, &p.carry->undo);
    run_each(&p, &p.carry->undo); /* what is not there is no error */
    pawl_test_exec(p.conninfo, "ALTER TABLE t DROP COLUMN \"x new\"");
    after = schema_without(&p, NULL, 0);
    is_same(before, after);
    pawl_free(before);
    pawl_free(after);
    pawl_test_exec(p.conninfo, "DROP OWNED BY carry_reader; DROP ROLE carry_reader");
    place_end(&p);
}

static void
index_build_that_failed_is_begun_anew(void **state)
{
    place p = place_with("carryremains",
                         "CREATE TABLE t (id int PRIMARY KEY, a int UNIQUE); INSERT INTO t VALUES (1, 1), "
                         "(2, 2)");
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "a", "bigint");
    const pawl_carry_unit *unit;

    (void) state;
    is_ok(plan(&p, &spec), &p.err);
    pawl_test_exec(p.conninfo, "ALTER TABLE t ADD COLUMN \"x new\" bigint; UPDATE t SET \"x new\" = 7");
    assert_int_equal(p.carry->index.length, 1);
    unit = &p.carry->index.items[0];
    is_ok(pawl_pg_exec(p.pg, unit->sql[0], &p.err), &p.err);
    assert_int_equal(pawl_pg_exec(p.pg, unit->sql[1], &p.err), PAWL_E_SERVER);
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
                     1);
    pawl_test_exec(p.conninfo, "UPDATE t SET \"x new\" = id");
    run_each(&p, &p.carry->index);
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM pg_index WHERE NOT indisvalid"),
                     0);
    place_end(&p);
}

/* ---- comparing -------------------------------------------------------------------------------------------------- */

/* The unexpected differences between a table as it was and as it is after a statement. */
static const char *
difference_after(place *p, const char *sql)
{
    const pawl_compare_options options = {.changed = NULL};
    pawl_compare_diff diff = {.nlines = 0};
    pawl_hanging *now = NULL;
    PAWL_STRBUF_AUTO(text);

    look(p, &(pawl_hang_options){.mode = PAWL_HANG_REWRITE});
    pawl_test_exec(p->conninfo, sql);
    is_ok(pawl_pg_begin(p->pg, NULL, &p->err), &p->err);
    is_ok(pawl_hanging_load(p->pg, p->hanging->oid, "pawl", p->arena, &now, &p->err), &p->err);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    is_ok(pawl_compare(p->hanging, now, &options, p->arena, &diff, &p->err), &p->err);
    for (size_t i = 0; i < diff.nlines; i++)
        pawl_strbuf_addf(&text, "%s%c%s", i > 0 ? " " : "", diff.lines[i].sign, diff.lines[i].text);
    assert_int_equal(diff.nunexpected, diff.nlines);
    assert_int_equal(pawl_compare_check(now, &diff, &p->err), diff.nlines > 0 ? PAWL_E_STATE : PAWL_OK);
    return pawl_arena_strdup(p->arena, text.data);
}

static void
whatever_somebody_changes_meanwhile_is_seen(void **state)
{
    place p = place_with("carrymeanwhile", EVERYTHING);

    (void) state;
    assert_string_equal(difference_after(&p, "SELECT 1"), "");
    assert_string_equal(difference_after(&p, "DELETE FROM t WHERE id = 9; ANALYZE t"), "");
    assert_string_equal(difference_after(&p, "CREATE INDEX later ON t (c)"),
                        "+index public.later: CREATE INDEX later ON public.t USING btree (c)");
    assert_string_equal(difference_after(&p, "ALTER TABLE t ALTER b SET NOT NULL"), "+NOT NULL of b");
    assert_string_equal(difference_after(&p, "DROP INDEX a_hash"),
                        "-index public.a_hash: CREATE INDEX a_hash ON public.t USING hash (a)");
    assert_string_equal(difference_after(&p, "ALTER TABLE t ALTER a SET DEFAULT 6"),
                        "-default of a: 5 +default of a: 6");
    assert_string_equal(difference_after(&p, "ALTER TABLE t ALTER id TYPE bigint"),
                        "-column id: integer +column id: bigint");
    assert_string_equal(
        difference_after(&p, "ALTER TABLE t VALIDATE CONSTRAINT a_odd"),
        "-check constraint a_odd: CHECK ((a <> 13)) NOT VALID; not_valid +check constraint a_odd: CHECK "
        "((a <> 13))");
    assert_string_equal(
        difference_after(&p, "GRANT DELETE ON t TO carry_reader"),
        "+privileges of carry_reader: GRANT DELETE ON TABLE public.t TO carry_reader +privileges of "
        "postgres: GRANT DELETE, INSERT, REFERENCES, SELECT, TRIGGER, TRUNCATE, UPDATE ON TABLE public.t "
        "TO postgres; owner");
    assert_string_equal(
        difference_after(&p, "CREATE VIEW later_v AS SELECT a FROM t"),
        "+view public.later_v: CREATE VIEW public.later_v (a) AS  SELECT t.a\n   FROM public.t +owner of "
        "view public.later_v: ALTER TABLE public.later_v OWNER TO postgres; a");
    pawl_test_exec(p.conninfo, "DROP OWNED BY carry_reader; DROP ROLE carry_reader");
    place_end(&p);
}

/* A plan that was made anew half-way has things of ours in it, which are gone or valid by the cut-over. */
static void
plan_of_a_swap_half_way_serves_as_well(void **state)
{
    place p = place_with("carryhalf", EVERYTHING);
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_IN_STEP, "a", "int");
    pawl_compare_diff diff = {.nlines = 0};

    (void) state;
    is_ok(plan(&p, &spec), &p.err);
    pawl_test_exec(p.conninfo, "ALTER TABLE t ADD COLUMN \"x new\" int; UPDATE t SET \"x new\" = a");
    is_ok(pawl_pg_begin(p.pg, NULL, &p.err), &p.err);
    run_together(&p, &p.carry->prepare);
    is_ok(pawl_pg_commit(p.pg, &p.err), &p.err);
    spec.type = NULL;
    is_ok(plan(&p, &spec), &p.err);
    run_each(&p, &p.carry->index);
    run_each(&p, &p.carry->early);
    is_ok(pawl_pg_begin(p.pg, NULL, &p.err), &p.err);
    is_ok(pawl_carry_ready(p.pg, p.carry, "pawl", &p.err), &p.err);
    run_together(&p, &p.carry->locks);
    is_ok(pawl_carry_check_before(p.pg, p.carry, "pawl", &p.err), &p.err);
    run_together(&p, &p.carry->cutover);
    is_ok(pawl_carry_check_after(p.pg, p.carry, "pawl", p.arena, &diff, &p.err), &p.err);
    pawl_pg_rollback(p.pg);
    pawl_test_exec(p.conninfo, "DROP OWNED BY carry_reader; DROP ROLE carry_reader");
    place_end(&p);
}

/* Whoever alters the column between the plan and the cut-over must not find it undone. */
static void
cut_over_stops_when_the_column_was_altered_since_the_plan(void **state)
{
    place p =
        place_with("carryaltered", "CREATE TABLE t (id int PRIMARY KEY, a int DEFAULT 5, b int); CREATE "
                                   "VIEW v AS SELECT a FROM t; CREATE RULE r AS ON DELETE TO v DO INSTEAD "
                                   "NOTHING");
    pawl_carry_swap_spec spec = spec_of(PAWL_HANG_SWAP_CAPTURED, "a", "bigint");
    const char *alterations[][2] = {
        {"ALTER TABLE t ALTER a SET DEFAULT 6", "default of a: 6"},
        {"ALTER TABLE t ALTER a SET DEFAULT 5; CREATE INDEX later ON t (a)", "index public.later"},
        {"DROP INDEX later; ALTER TABLE t ADD CHECK (a > b)", "check constraint t_check"},
        {"ALTER TABLE t DROP CONSTRAINT t_check; CREATE OR REPLACE VIEW v AS SELECT a FROM t WHERE b > 0",
         "view public.v"},
        {"CREATE OR REPLACE VIEW v AS SELECT a FROM t; GRANT SELECT ON v TO PUBLIC",
         "privileges of view public.v"},
        {"REVOKE SELECT ON v FROM PUBLIC; DROP RULE r ON v", "rule r of view public.v"},
        {"CREATE RULE r AS ON DELETE TO v DO INSTEAD NOTHING; CREATE VIEW w AS SELECT a FROM v",
         "view public.w"},
        {"DROP VIEW w; CREATE FUNCTION f(v) RETURNS int LANGUAGE sql AS 'SELECT 1'",
         "function public.f(public.v) (of view public.v)"},
    };

    (void) state;
    spec.options.recreate_views = true;
    is_ok(plan(&p, &spec), &p.err);
    pawl_test_exec(p.conninfo, "ALTER TABLE t ADD COLUMN \"x new\" bigint");
    for (size_t i = 0; i < sizeof alterations / sizeof *alterations; i++)
    {
        pawl_test_exec(p.conninfo, alterations[i][0]);
        is_ok(pawl_pg_begin(p.pg, NULL, &p.err), &p.err);
        is_ok(pawl_carry_ready(p.pg, p.carry, "pawl", &p.err), &p.err);
        run_together(&p, &p.carry->locks);
        assert_int_equal(pawl_carry_check_before(p.pg, p.carry, "pawl", &p.err), PAWL_E_STATE);
        assert_non_null(strstr(p.err.detail, alterations[i][1]));
        pawl_pg_rollback(p.pg);
    }
    place_end(&p);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_on_a_column_is_there_again),
        cmocka_unit_test(serial_primary_key_becomes_bigint_with_those_that_refer_to_it),
        cmocka_unit_test(identity_primary_key_becomes_bigint_and_goes_on_counting),
        cmocka_unit_test(views_are_made_anew_with_all_that_hangs_on_them),
        cmocka_unit_test(what_the_new_type_does_not_bear_is_refused_by_name),
        cmocka_unit_test(way_back_makes_what_was_there_and_not_what_became_of_it),
        cmocka_unit_test(what_was_made_before_the_cut_over_is_undone_without_a_trace),
        cmocka_unit_test(index_build_that_failed_is_begun_anew),
        cmocka_unit_test(whatever_somebody_changes_meanwhile_is_seen),
        cmocka_unit_test(plan_of_a_swap_half_way_serves_as_well),
        cmocka_unit_test(cut_over_stops_when_the_column_was_altered_since_the_plan),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
