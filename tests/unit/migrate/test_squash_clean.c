#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "migrate/squash.h"
#include "util/strbuf.h"

#include "util/banned.h"

static void
assert_clean(const char *dump, const char *owner, const char *expected, size_t statements)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    PAWL_STRBUF_AUTO(out);
    pawl_error err = PAWL_ERROR_INIT;
    size_t count = 99;

    assert_non_null(arena);
    if (pawl_squash_clean(dump, owner, arena, &out, &count, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    assert_string_equal(out.data, expected);
    assert_int_equal(count, statements);
}

static void
settings_of_the_session_and_comments_are_left_out(void **state)
{
    (void) state;
    assert_clean(
        "--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n"
        "SELECT pg_catalog.set_config('search_path', '', false);\nSET check_function_bodies = false;\n"
        "SET default_tablespace = '';\nSET default_table_access_method = heap;\n\n"
        "--\n-- Name: t; Type: TABLE\n--\n\nCREATE TABLE public.t (\n    id integer\n);\n",
        "bob", "CREATE TABLE public.t (\n    id integer\n);\n\n", 1);
}

static void
where_a_table_is_stored_is_kept_for_the_transaction(void **state)
{
    (void) state;
    assert_clean(
        "SET default_tablespace = fast;\nCREATE TABLE a (i int);\nSET default_tablespace = fast;\n"
        "CREATE TABLE b (i int);\nSET default_tablespace = '';\nCREATE TABLE c (i int);\n",
        "bob",
        "SET LOCAL default_tablespace = fast;\n\nCREATE TABLE a (i int);\n\nCREATE TABLE b (i int);\n\n"
        "SET LOCAL default_tablespace = '';\n\nCREATE TABLE c (i int);\n\n",
        3);
}

static void
only_owners_other_than_the_maker_are_kept(void **state)
{
    (void) state;
    assert_clean("CREATE TABLE t (i int);\nALTER TABLE public.t OWNER TO bob;\n"
                 "ALTER TABLE public.u OWNER TO bobby;\nALTER TABLE public.v OWNER TO rob;\n",
                 "bob",
                 "CREATE TABLE t (i int);\n\nALTER TABLE public.u OWNER TO bobby;\n\n"
                 "ALTER TABLE public.v OWNER TO rob;\n\n",
                 3);
    assert_clean("ALTER TABLE public.t OWNER TO \"Odd Bob\";\n", "\"Odd Bob\"", "", 0);
}

static void
bodies_of_functions_stay_as_they_are(void **state)
{
    static const char function[] = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN\n"
                                   "-- SET statement_timeout = 0;\nALTER TABLE t OWNER TO "
                                   "bob;\n/*\n\\restrict me\n\\unrestrict me\n*/\nEND$$;\n\n";

    (void) state;
    assert_clean(function, "bob", function, 1);
}

static void
restriction_for_psql_is_taken_out_at_both_ends(void **state)
{
    static const char function[] = "CREATE FUNCTION f() RETURNS void LANGUAGE plpgsql AS $$BEGIN\n"
                                   "/*\n\\unrestrict other\n*/\nEND$$;\n\n";
    PAWL_STRBUF_AUTO(dump);

    (void) state;
    pawl_strbuf_addf(
        &dump, "--\n-- PostgreSQL database dump\n--\n\n\\restrict aB3x\n\nSET row_security = off;\n%s%s",
        function, "--\n-- complete\n--\n\n\\unrestrict aB3x\n\n");
    assert_clean(dump.data, "bob", function, 1);
}

static void
dump_of_nothing_has_no_statement(void **state)
{
    (void) state;
    assert_clean(
        "--\n-- PostgreSQL database dump\n--\n\n\\restrict x\n\nSET row_security = off;\n\n\\unrestrict x\n",
        "bob", "", 0);
    assert_clean("", "bob", "", 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(settings_of_the_session_and_comments_are_left_out),
        cmocka_unit_test(where_a_table_is_stored_is_kept_for_the_transaction),
        cmocka_unit_test(only_owners_other_than_the_maker_are_kept),
        cmocka_unit_test(bodies_of_functions_stay_as_they_are),
        cmocka_unit_test(restriction_for_psql_is_taken_out_at_both_ends),
        cmocka_unit_test(dump_of_nothing_has_no_statement),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
