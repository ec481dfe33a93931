#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "pg/session.h"
#include "util/alloc.h"

#include "util/banned.h"

static void
assert_redacted(const char *conninfo, const char *expected)
{
    PAWL_AUTO(pawl_str) text = pawl_pg_redact(conninfo);

    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void
passwords_are_hidden_in_key_value_form(void **state)
{
    (void) state;
    assert_redacted("host=db1 password=hunter2 dbname=shop", "password=*** dbname=shop host=db1");
    assert_redacted("dbname=shop sslpassword='hun ter2'", "dbname=shop sslpassword=***");
}

static void
passwords_are_hidden_in_uris(void **state)
{
    (void) state;
    assert_redacted("postgresql://bob:hunter2@db1:5433/shop?sslmode=require",
                    "user=bob password=*** dbname=shop host=db1 port=5433 sslmode=require");
    assert_redacted("postgres:///shop?password=hunter2", "password=*** dbname=shop");
}

static void
values_that_need_quotes_get_them(void **state)
{
    (void) state;
    assert_redacted("dbname='my shop' user='o\\'neil'", "user='o\\'neil' dbname='my shop'");
}

static void
bare_database_name_stays(void **state)
{
    (void) state;
    assert_redacted("shop", "shop");
    assert_redacted("", "");
}

static void
nothing_of_an_unreadable_string_is_shown(void **state)
{
    (void) state;
    assert_redacted("host=db1 password=hunter 2", "(unreadable connection string)");
    assert_redacted("postgresql://bob:hunter2@[::1/shop", "(unreadable connection string)");
}

static void
unreadable_string_is_refused_without_quoting_a_password(void **state)
{
    const pawl_pg_options options = {.conninfo = "host=db1 password=hunter 2secret"};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *pg = NULL;

    (void) state;
    assert_int_equal(pawl_pg_open(&options, &pg, &err), PAWL_E_USAGE);
    assert_null(pg);
    assert_null(strstr(err.message, "2secret"));
    assert_string_equal(err.detail, "");
}

static void
unreadable_string_without_a_password_is_explained(void **state)
{
    const pawl_pg_options options = {.conninfo = "hots=db1"};
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *pg = NULL;

    (void) state;
    assert_int_equal(pawl_pg_open(&options, &pg, &err), PAWL_E_USAGE);
    assert_non_null(strstr(err.detail, "hots"));
}

static void
assert_elsewhere(const char *conninfo, const char *expected)
{
    PAWL_AUTO(pawl_str) text = pawl_pg_conninfo_of(conninfo, "my other");

    assert_non_null(text);
    assert_string_equal(text, expected);
}

static void
connection_string_for_another_database_keeps_all_else(void **state)
{
    (void) state;
    assert_elsewhere("shop", "dbname='my other'");
    assert_elsewhere("", "dbname='my other'");
    assert_elsewhere("host=db1 dbname=shop password='hun ter2'",
                     "password='hun ter2' host=db1 dbname='my other'");
    assert_elsewhere("postgresql://bob:s%20cret@db1:5433/shop?sslmode=require",
                     "user=bob password='s cret' host=db1 port=5433 sslmode=require dbname='my other'");
    assert_null(pawl_pg_conninfo_of("postgresql://bob:hunter2@[::1/shop", "other"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(passwords_are_hidden_in_key_value_form),
        cmocka_unit_test(passwords_are_hidden_in_uris),
        cmocka_unit_test(values_that_need_quotes_get_them),
        cmocka_unit_test(bare_database_name_stays),
        cmocka_unit_test(nothing_of_an_unreadable_string_is_shown),
        cmocka_unit_test(connection_string_for_another_database_keeps_all_else),
        cmocka_unit_test(unreadable_string_is_refused_without_quoting_a_password),
        cmocka_unit_test(unreadable_string_without_a_password_is_explained),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
