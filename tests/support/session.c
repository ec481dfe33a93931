#include "support/session.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "util/banned.h"

pawl_pg *
pawl_test_open(const char *conninfo, const pawl_stop *stop)
{
    pawl_pg *pg = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo, .stop = stop}, &pg, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    return pg;
}

void
pawl_test_must(pawl_pg *pg, const char *sql)
{
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_pg_exec(pg, sql, &err) != PAWL_OK)
        fail_msg("%s: %s", sql, err.message);
}

int64_t
pawl_test_number(pawl_pg *pg, const char *sql)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    if (pawl_pg_query(pg, sql, 0, NULL, &res, &err) != PAWL_OK)
        fail_msg("%s: %s", sql, err.message);
    assert_true(pawl_pg_rows(res) > 0);
    return pawl_pg_i64(res, 0, 0);
}

void
pawl_test_assert_contains(const char *text, const char *part)
{
    if (strstr(text, part) == NULL)
        fail_msg("\"%s\" is not in \"%s\"", part, text);
}
