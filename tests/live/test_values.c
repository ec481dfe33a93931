/* Values that a cast would change on their way, and an assignment does not: each is written as it is, or refused. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/server.h"

#include "util/banned.h"

typedef enum way
{
    IN_PLACE,
    MERGED,
    COPIED,
} way;

/* Column v of `type`, from the text of s, which the server reads as such a value; `ways` are written side by side. */
static void
run(pawl_test_job *j, const char *db, way w)
{
    static const char *const read[] = {"s"};
    static const char *const write[] = {"v", "id"};
    static const char *const by_id[] = {"id"};
    static const char *const names[] = {"in place", "merged", "copied"};

    (void) pawl_test_transform("value", w == IN_PLACE
                                            ? "return function(row) return { v = row.s } end\n"
                                            : "return function(row) return { v = row.s, id = row.id } end\n");
    pawl_test_job_prepare(j, db, names[w]);
    j->spec.lua_file = "transforms/value.lua";
    j->spec.read = read;
    j->spec.nread = 1;
    j->spec.write = write;
    j->spec.nwrite = w == IN_PLACE ? 1 : 2;
    j->spec.into = w == IN_PLACE ? NULL : w == MERGED ? "merged" : "copied";
    j->spec.merge = by_id;
    j->spec.nmerge = w == MERGED ? 1 : 0;
    j->spec.on_error = PAWL_ON_ERROR_QUARANTINE;
    j->spec.max_rejects = 10;
    pawl_test_job_go(j);
    pawl_test_job_finish(j);
}

static const char *
table_of(const char *name, const char *from, const char *type, const char *rows)
{
    const char *db = pawl_test_database_new(name);
    char sql[900];

    (void) snprintf(sql, sizeof sql,
                    "CREATE DOMAIN code AS varchar(3); CREATE TYPE pair AS (a varchar(3), b int);"
                    "CREATE TABLE t (id int PRIMARY KEY, s %s, v %s);"
                    "CREATE TABLE merged (id int PRIMARY KEY, v %s); CREATE TABLE copied (id int, v %s);"
                    "INSERT INTO t (id, s) VALUES %s; ANALYZE t",
                    from, type, type, type, rows);
    pawl_test_exec(db, sql);
    pawl_test_ledger(db);
    return db;
}

/* Row 2 is too long for the type: refused, with that state, and never cut. */
static void
too_long_is_refused(const char *name, const char *from, const char *type, const char *rows,
                    const char *sqlstate)
{
    static const char *const tables[] = {"t", "merged", "copied"};

    for (way w = IN_PLACE; w <= COPIED; w++)
    {
        const char *db = table_of(name, from, type, rows);
        char sql[200];
        char *kept = NULL;
        pawl_test_job j;

        run(&j, db, w);
        kept =
            pawl_test_query_text(db, "SELECT string_agg(key[1] || ' ' || sqlstate, ', ') FROM pawl.reject");
        (void) snprintf(sql, sizeof sql, "2 %s", sqlstate);
        if (j.result.rejects != 1)
            fail_msg("%s, way %d: \"%s\" is set aside", type, (int) w, kept);
        assert_string_equal(kept, sql);
        free(kept);
        (void) snprintf(sql, sizeof sql, "SELECT count(*) FROM %s WHERE id = 2 AND v IS NOT NULL", tables[w]);
        assert_int_equal(pawl_test_query_i64(db, sql), 0);
        (void) snprintf(sql, sizeof sql,
                        "SELECT count(*) FROM %s h JOIN t USING (id) WHERE h.v::text = t.s::text AND id <> 2",
                        tables[w]);
        assert_int_equal(pawl_test_query_i64(db, sql), 2);
    }
}

static void
what_is_too_long_is_refused_and_not_cut(void **state)
{
    (void) state;
    too_long_is_refused("text", "text", "varchar(3)", "(1, 'abc'), (2, 'abcdef'), (3, '')", "22001");
    too_long_is_refused("domain", "text", "code", "(1, 'abc'), (2, 'abcdef'), (3, '')", "22001");
    too_long_is_refused("array", "text[]", "varchar(3)[]",
                        "(1, '{abc,NULL,a}'), (2, '{a,abcdef}'), (3, '{{a,b},{c,d}}')", "22001");
    too_long_is_refused("pair", "text", "pair", "(1, '(abc,1)'), (2, '(abcdef,1)'), (3, '(,)')", "22001");
    too_long_is_refused("bits", "text", "bit(3)", "(1, '101'), (2, '10101'), (3, '000')", "22026");
    too_long_is_refused("number", "text", "numeric(4,1)", "(1, '123.4'), (2, '12345.6'), (3, '0.0')",
                        "22003");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_too_long_is_refused_and_not_cut),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
