/* Which xmin a write takes for the version that was read: the numbers themselves, around a horizon. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "backfill/version.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

/* Distances from the next transaction id; 2^31 ids behind it begin those that look younger. */
static const struct
{
    const char *xmin; /* an expression; `next` is the next id, as a bigint */
    bool is_old;      /* beside the horizon next - 100 */
} rows[] = {
    {"next - 101", true},         {"next - 100", false}, /* the horizon itself is running */
    {"next - 99", false},         {"next", false},
    {"next + 10", false},         {"next - 2000000000", true},
    {"next - 2147483647", true},  {"next - 2147483649", false}, /* frozen long ago: sent, and compared */
    {"next - 3000000000", false}, {"2", true},                  /* FrozenTransactionId, as before 9.4 */
};

static bool
is_true(const char *db, const char *condition, const char *xmin, const char *read)
{
    char sql[1200];

    (void) snprintf(
        sql, sizeof sql,
        "WITH h AS (SELECT pg_catalog.age('3'::xid)::bigint + 3 AS next)"
        " SELECT coalesce((%s), false)::int FROM (SELECT (((%s) + 4294967296) %% 4294967296)::text::xid"
        " AS xmin, %s AS pawl_x FROM h) AS t, h",
        condition, xmin, read);
    return pawl_test_query_i64(db, sql) == 1;
}

/* With the horizon in place of the parameter. */
static void
match(char *out, size_t size, const char *xmin, const char *horizon)
{
    PAWL_STRBUF_AUTO(sql);
    const char *at = NULL;

    pawl_version_match_sql(&sql, 1, xmin);
    at = strstr(sql.data, "$1");
    assert_non_null(at);
    assert_null(strstr(at + 1, "$1"));
    (void) snprintf(out, size, "%.*s(%s)%s", (int) (at - sql.data), sql.data, horizon, at + 2);
}

static void
only_what_is_older_than_the_horizon_is_taken_as_it_is(void **state)
{
    const char *db = pawl_test_database_new("version1");
    char condition[600];

    (void) state;
    match(condition, sizeof condition, NULL, "(h.next - 100)::text");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_int_equal(is_true(db, condition, rows[i].xmin, "NULL"), rows[i].is_old);
}

static void
each_row_is_compared_as_it_was_read(void **state)
{
    const char *db = pawl_test_database_new("version2");
    char condition[600];
    char same[100];

    (void) state;
    match(condition, sizeof condition, "t.pawl_x", "(h.next - 100)::text");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
    {
        /* Read as old: the horizon decides. */
        assert_int_equal(is_true(db, condition, rows[i].xmin, "'1'::xid"), rows[i].is_old);
        /* No row stands at the place. */
        assert_false(is_true(db, condition, rows[i].xmin, "'0'::xid"));
        (void) snprintf(same, sizeof same, "(((%s) + 4294967296) %% 4294967296)::text::xid", rows[i].xmin);
        if (!rows[i].is_old)
            assert_true(is_true(db, condition, rows[i].xmin, same));
        assert_false(is_true(db, condition, rows[i].xmin, "(h.next - 7)::text::xid"));
    }
}

static void
without_a_horizon_each_row_is_compared(void **state)
{
    const char *db = pawl_test_database_new("version3");
    char condition[600];

    (void) state;
    match(condition, sizeof condition, "t.pawl_x", "'0'");
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        assert_false(is_true(db, condition, rows[i].xmin, "'1'::xid"));
    assert_true(is_true(db, condition, "2", "'2'::xid"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(only_what_is_older_than_the_horizon_is_taken_as_it_is),
        cmocka_unit_test(each_row_is_compared_as_it_was_read),
        cmocka_unit_test(without_a_horizon_each_row_is_compared),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
