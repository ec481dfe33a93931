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
            fail_msg("%s says that it is done: %s", unit->what, unit->sql[0]);
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

/* From a planned swap to the end; `make` adds the new column, `fill` fills it. */
static void
go(place *p, const char *make, const char *fill)
{
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
    run_together(p, &p->carry->locks);
    run_together(p, &p->carry->cutover);
    is_ok(pawl_pg_commit(p->pg, &p->err), &p->err);
    run_each(p, &p->carry->after);
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
    while (*a != '\0' && *a == *b)
        a++, b++;
    while (a > before && a[-1] != '\n')
        a--, b--;
    fail_msg("before:\n%.600s\nafter:\n%.600s", a, b);
}

/* ---- swaps ------------------------------------------------------------------------------------------------------ */

#define EVERYTHING                                                                                         \
    "CREATE TABLE kind (code int PRIMARY KEY, sort int UNIQUE); CREATE ROLE carry_reader; CREATE TABLE t " \
    "(id int PRIMARY KEY, b int, a int NOT NULL DEFAULT 5, c text, CONSTRAINT a_kind FOREIGN KEY (a) "     \
    "REFERENCES kind ON DELETE CASCADE DEFERRABLE, CONSTRAINT a_big CHECK (a < 1000000) NO INHERIT, "      \
    "CONSTRAINT a_alone UNIQUE (a) DEFERRABLE INITIALLY DEFERRED); ALTER TABLE t ADD CONSTRAINT a_odd "    \
    "CHECK (a <> 13) NOT VALID; CREATE INDEX \"A \"\"plain\"\"\" ON t (b, a DESC NULLS LAST) INCLUDE (c) " \
    "WITH (fillfactor = 70); CREATE INDEX a_half ON t ((a / 2), (upper(c))) WHERE a > 10 AND c <> 'a'; "   \
    "CREATE INDEX a_hash ON t USING hash (a); ALTER TABLE t CLUSTER ON \"A \"\"plain\"\"\"; CREATE "       \
    "STATISTICS a_b (ndistinct, mcv) ON a, b FROM t; CREATE STATISTICS a_x ON (a * 2), b FROM t; ALTER "   \
    "STATISTICS a_b SET STATISTICS 77; ALTER TABLE t ALTER a SET STATISTICS 400, ALTER a SET (n_distinct " \
    "= 9); COMMENT ON COLUMN t.a IS 'an \\ \"a\"'; COMMENT ON CONSTRAINT a_big ON t IS 'it''s "            \
    "big';COMMENT ON INDEX a_half IS 'half'; COMMENT ON CONSTRAINT a_kind ON t IS 'kind'; COMMENT ON "     \
    "STATISTICS a_b IS 's'; COMMENT ON CONSTRAINT a_alone ON t IS 'alone'; GRANT SELECT (a), UPDATE (a) "  \
    "ON t TO carry_reader; GRANT INSERT (a) ON t TO PUBLIC; INSERT INTO kind SELECT i, i FROM "            \
    "generate_series(1, 50) i; INSERT INTO t SELECT i, i, i, 'c' || i FROM generate_series(1, 50) i "      \
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
        go(&p, "ALTER TABLE public.t ADD COLUMN \"x new\" int", "UPDATE t SET \"x new\" = a");
        after = schema_without(&p, kept_only, 1);
        is_same(before, after);
        pawl_free(before);
        pawl_free(after);
        pawl_test_exec(p.conninfo, "DROP OWNED BY carry_reader; DROP ROLE carry_reader");
        place_end(&p);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(everything_on_a_column_is_there_again),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
