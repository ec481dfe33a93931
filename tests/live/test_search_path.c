/*
 * A role whose search_path puts operators of somebody else's before those of the server. Only what the user's own SQL says
 * is looked up by a path of his, and that one he gives in his settings: no statement of pawl's may ask for an operator
 * that way, those between two transactions included.
 */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* Whoever asks one of these is told off. */
#define TRAPS                                                                                              \
    "CREATE SCHEMA evil;"                                                                                  \
    "DO $do$ DECLARE t text; o text; BEGIN"                                                                \
    " FOREACH t IN ARRAY ARRAY['int2', 'int4', 'int8', 'text', 'name', 'oid', 'bool', 'timestamptz'] LOOP" \
    "  EXECUTE format('CREATE FUNCTION evil.trap(%s, %s) RETURNS boolean LANGUAGE plpgsql AS $f$ BEGIN"    \
    "   RAISE ''an operator of somebody else was asked: %%'', current_query(); END $f$', t, t);"           \
    "  FOREACH o IN ARRAY ARRAY['=', '<>', '<', '>', '<=', '>='] LOOP"                                     \
    "   EXECUTE format('CREATE OPERATOR evil.%s (LEFTARG = %s, RIGHTARG = %s, FUNCTION = evil.trap)', o, " \
    "t, t);"                                                                                               \
    "  END LOOP; END LOOP; END $do$;"                                                                      \
    "ALTER DATABASE traps SET search_path = evil, pg_catalog, public"

#define LUA                                                                       \
    "return { row = function(row) if row.id == 7 then pawl.reject('seven') end\n" \
    "return { a = row.a .. '!' } end, reverse = function(row) return { a = row.a } end }\n"

static void
write_revision(const char *dir, const char *id, const char *parent, const char *step)
{
    PAWL_STRBUF_AUTO(name);
    PAWL_STRBUF_AUTO(text);

    pawl_strbuf_addf(&name, "migrations/%s.yaml", id);
    pawl_strbuf_addf(&text, "revision: \"%s\"\nparents: [%s]\nup:\n%s", id, parent, step);
    pawl_test_project_write(dir, name.data, text.data);
}

enum
{
    ANY = -1 /* what it says of the rows is the business of other tests */
};

/* Fails the test where an operator was asked, whatever the program made of it. */
static void
go(const char *dir, const char *const *args, int exit_code)
{
    pawl_test_output output = pawl_test_run(args, NULL, dir);

    if ((exit_code != ANY && output.exit_code != exit_code) || strstr(output.err, "somebody else") != NULL ||
        strstr(output.out, "somebody else") != NULL)
        fail_msg("%s: exit code %d: %s%s", args[0], output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

#define GO(dir, exit_code, ...) go(dir, (const char *const[]){__VA_ARGS__, NULL}, exit_code)

static const char *
make(void)
{
    const char *db = pawl_test_database_new("traps");
    const char *dir = pawl_test_project_new(db, NULL);

    pawl_test_exec(db, "CREATE TABLE t (id int PRIMARY KEY, a text, b int);"
                       "INSERT INTO t SELECT i, 'v' || i, i FROM generate_series(1, 300) i;"
                       "CREATE TABLE r (id int PRIMARY KEY, a text); INSERT INTO r SELECT id, a FROM t");
    pawl_test_project_write(dir, "migrations/transforms/up.lua", LUA);
    pawl_test_project_write(dir, "migrations/transforms/fill.lua",
                            "return function(row) if row.id == 7 then pawl.reject('seven') end\n"
                            "return { c = row.a } end\n");
    write_revision(dir, "aaaa0001", "",
                   "  - add_column: { table: t, column: c, type: text }\n"
                   "  - create_index: { name: t_b, table: t, columns: [b] }\n"
                   "  - set_not_null: { table: t, column: b }\n");
    write_revision(
        dir, "bbbb0002", "aaaa0001",
        "  - backfill: { table: t, read: [a], write: [c], lua: transforms/fill.lua, on_error: quarantine, "
        "allow_rejects: 5 }\n    down: nothing\n");
    write_revision(
        dir, "cccc0003", "bbbb0002",
        "  - swap_column: { table: t, column: a, type: varchar(90), lua: transforms/up.lua, rejects: "
        "write_null }\n");
    write_revision(
        dir, "dddd0004", "cccc0003",
        "  - rewrite_table: { table: r, change: { a: varchar(90) }, lua: transforms/up.lua, rejects: "
        "write_null }\n");
    pawl_test_exec(db, TRAPS);
    return dir;
}

static void
no_statement_asks_operators_of_somebody_else(void **state)
{
    const char *dir = make();

    (void) state;
    GO(dir, 0, "upgrade");
    GO(dir, 0, "status");
    GO(dir, 0, "current");
    GO(dir, 0, "history");
    GO(dir, ANY, "verify", "1");
    GO(dir, ANY, "rejects", "1");
    GO(dir, ANY, "rejects", "1", "--retry");
    GO(dir, 0, "work", "2");
    GO(dir, 0, "work", "3");
    GO(dir, ANY, "abandon", "2");
    GO(dir, ANY, "cutover", "1");
    GO(dir, ANY, "check");
    GO(dir, ANY, "doctor");
    GO(dir, 0, "downgrade", "aaaa0001");
    GO(dir, 0, "downgrade", "base");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_statement_asks_operators_of_somebody_else),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
