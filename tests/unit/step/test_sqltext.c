#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "step/sqltext.h"
#include "util/strbuf.h"

#include "util/banned.h"

static pawl_arena *arena;

static int
setup(void **state)
{
    (void) state;
    arena = pawl_arena_new();
    return arena == NULL ? -1 : 0;
}

static int
teardown(void **state)
{
    (void) state;
    pawl_arena_free(arena);
    return 0;
}

static pawl_sql_text *
split(const char *text)
{
    pawl_sql_text *out = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_sql_split(text, arena, &out, &err), PAWL_OK);
    assert_non_null(out);
    return out;
}

static void
statements_are_cut_at_semicolons_and_know_their_lines(void **state)
{
    const pawl_sql_text *s = split("-- first\nSELECT 1;\n\nSELECT\n 2 ;;\n/* tail; */");

    (void) state;
    assert_int_equal(s->length, 2);
    assert_string_equal(s->items[0].text, "SELECT 1");
    assert_int_equal(s->items[0].line, 2);
    assert_string_equal(s->items[1].text, "SELECT\n 2 ");
    assert_int_equal(s->items[1].line, 4);
}

static void
semicolons_inside_of_quotes_bodies_and_parentheses_cut_nothing(void **state)
{
    static const char *const whole[] = {
        "SELECT ';', E'\\';', \"a;b\", $x$;$x$ /* ; */",
        "CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2)",
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
        "CREATE OR REPLACE PROCEDURE p() LANGUAGE sql BEGIN ATOMIC INSERT INTO t VALUES (1); END",
        "SELECT U&\"d\\0061t\"",
    };
    PAWL_STRBUF_AUTO(text);

    (void) state;
    for (size_t i = 0; i < sizeof whole / sizeof whole[0]; i++)
    {
        pawl_strbuf_reset(&text);
        pawl_strbuf_addf(&text, "%s; SELECT 3", whole[i]);
        const pawl_sql_text *s = split(text.data);
        assert_int_equal(s->length, 2);
        assert_string_equal(s->items[0].text, whole[i]);
        assert_string_equal(s->items[1].text, "SELECT 3");
    }
}

static void
comments_alone_are_no_statement(void **state)
{
    (void) state;
    assert_int_equal(split("")->length, 0);
    assert_int_equal(split(" ; -- nothing\n /* at all */ ;")->length, 0);
}

static void
statements_that_control_the_transaction_are_marked(void **state)
{
    static const char *const texts[] = {"BEGIN",
                                        "begin work",
                                        "COMMIT AND CHAIN",
                                        "Rollback",
                                        "END",
                                        "SAVEPOINT a",
                                        "RELEASE a",
                                        "ABORT",
                                        "START TRANSACTION",
                                        "PREPARE TRANSACTION 'x'",
                                        "/* hidden */ commit prepared 'x'"};

    (void) state;
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        assert_non_null(split(texts[i])->items[0].forbidden);
    assert_null(split("PREPARE p AS SELECT 1")->items[0].forbidden);
    assert_null(split("SELECT 'BEGIN'")->items[0].forbidden);
    assert_null(split("DO $$ BEGIN NULL; END $$")->items[0].forbidden);
}

static void
psql_commands_are_marked_with_their_own_line(void **state)
{
    const pawl_sql_text *s = split("SELECT 1\n\\gset\n;");

    (void) state;
    assert_int_equal(s->length, 1);
    assert_non_null(s->items[0].forbidden);
    assert_int_equal(s->items[0].forbidden_line, 2);
    assert_null(split("SELECT E'\\\\'")->items[0].forbidden);
}

static void
copy_through_the_client_is_marked_and_copy_on_the_server_is_not(void **state)
{
    (void) state;
    assert_non_null(split("COPY t FROM STDIN")->items[0].forbidden);
    assert_non_null(split("copy t (a, b) from stdin with (format csv)")->items[0].forbidden);
    assert_non_null(split("COPY (SELECT 1) TO STDOUT")->items[0].forbidden);
    assert_null(split("COPY t FROM '/srv/t.csv'")->items[0].forbidden);
    assert_null(split("INSERT INTO t SELECT 'from stdin'")->items[0].forbidden);
}

static void
statements_that_run_outside_a_transaction_only_are_found(void **state)
{
    static const char *const outside[] = {"CREATE INDEX CONCURRENTLY i ON t (a)",
                                          "create unique index concurrently on t (a)",
                                          "DROP INDEX CONCURRENTLY IF EXISTS i",
                                          "REINDEX INDEX CONCURRENTLY i",
                                          "REINDEX (CONCURRENTLY) TABLE t",
                                          "REINDEX DATABASE d",
                                          "VACUUM (ANALYZE) t",
                                          "CREATE DATABASE d",
                                          "ALTER SYSTEM SET work_mem = '4MB'",
                                          "ALTER TABLE p DETACH PARTITION q CONCURRENTLY",
                                          "CLUSTER"};
    static const char *const inside[] = {"CREATE INDEX i ON t (a)",
                                         "REINDEX TABLE t",
                                         "ALTER TYPE e ADD VALUE 'x'",
                                         "REFRESH MATERIALIZED VIEW CONCURRENTLY m",
                                         "CLUSTER t USING i",
                                         "ANALYZE t",
                                         "COMMENT ON TABLE t IS 'CREATE INDEX CONCURRENTLY'"};

    (void) state;
    for (size_t i = 0; i < sizeof outside / sizeof outside[0]; i++)
        assert_true(split(outside[i])->items[0].is_outside_only);
    for (size_t i = 0; i < sizeof inside / sizeof inside[0]; i++)
        assert_false(split(inside[i])->items[0].is_outside_only);
}

static void
text_that_the_scanner_cannot_read_says_where(void **state)
{
    const pawl_sql_text *s = split("SELECT 'é';\nSELECT 'open");

    (void) state;
    assert_int_equal(s->length, 0);
    assert_non_null(strstr(s->error, "unterminated quoted string"));
    assert_int_equal(s->error_line, 2);
}

static void
syntax_that_no_grammar_knows_passes(void **state)
{
    const pawl_sql_text *s = split("FROBNICATE TABLE t WITH (x => 1); SELECT 1");

    (void) state;
    assert_int_equal(s->length, 2);
    assert_null(s->items[0].forbidden);
}

/* A column counts as read unless it certainly is not. */
static void
an_expression_reads_what_it_names(void **state)
{
    static const char *const reads[] = {
        "price",         "t.price::numeric", "PRICE + 1", "\"price\"", "row(t.*)",    "to_jsonb(t) -> 'x'",
        "f(t)",          "U&\"pric\\0065\"", "t . price", "(t).price", "'unfinished", "a /* x */ || price",
        "coalesce(t, x)"};
    static const char *const passes[] = {"amount",        "t.amount",  "'price'",
                                         "\"Price\"",     "price2",    "1 -- price",
                                         "/* price */ a", "$$price$$", "t.other + prices"};

    (void) state;
    for (size_t i = 0; i < sizeof reads / sizeof reads[0]; i++)
        if (!pawl_sql_can_read(reads[i], "price"))
            fail_msg("%s reads it", reads[i]);
    for (size_t i = 0; i < sizeof passes / sizeof passes[0]; i++)
        if (pawl_sql_can_read(passes[i], "price"))
            fail_msg("%s does not read it", passes[i]);
    assert_true(pawl_sql_can_read("\"a\"\"b\"", "a\"b"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(statements_are_cut_at_semicolons_and_know_their_lines),
        cmocka_unit_test(semicolons_inside_of_quotes_bodies_and_parentheses_cut_nothing),
        cmocka_unit_test(comments_alone_are_no_statement),
        cmocka_unit_test(statements_that_control_the_transaction_are_marked),
        cmocka_unit_test(psql_commands_are_marked_with_their_own_line),
        cmocka_unit_test(copy_through_the_client_is_marked_and_copy_on_the_server_is_not),
        cmocka_unit_test(statements_that_run_outside_a_transaction_only_are_found),
        cmocka_unit_test(text_that_the_scanner_cannot_read_says_where),
        cmocka_unit_test(syntax_that_no_grammar_knows_passes),
        cmocka_unit_test(an_expression_reads_what_it_names),
    };

    return cmocka_run_group_tests(tests, setup, teardown);
}
