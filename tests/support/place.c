#include "support/place.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>

#include <cmocka.h>

#include "support/server.h"

#include "util/banned.h"

pawl_pg *
pawl_test_session(const char *conninfo)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_pg *pg = NULL;

    if (pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &pg, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    return pg;
}

pawl_ledger *
pawl_test_ledger_in(const char *schema)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_ledger *ledger = NULL;

    if (pawl_ledger_new(schema, &ledger, &err) != PAWL_OK)
        fail_msg("%s", err.message);
    return ledger;
}

void
pawl_test_is_ok(pawl_status st, const pawl_error *err)
{
    if (st != PAWL_OK)
        fail_msg("%s: %s | %s | %s", pawl_status_name(st), err->message, err->detail, err->hint);
}

pawl_test_place
pawl_test_place_new(const char *database)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_test_place p = {.conninfo = pawl_test_database_new(database)};

    p.pg = pawl_test_session(p.conninfo);
    p.ledger = pawl_test_ledger_in(PAWL_TEST_SCHEMA);
    pawl_test_is_ok(pawl_ledger_ensure(p.ledger, p.pg, &err), &err);
    return p;
}

void
pawl_test_place_end(pawl_test_place *p)
{
    pawl_ledger_free(p->ledger);
    pawl_pg_close(p->pg);
}

void
pawl_test_txn_begin(pawl_pg *pg)
{
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_is_ok(pawl_pg_begin(pg, NULL, &err), &err);
}

void
pawl_test_txn_commit(pawl_pg *pg)
{
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_is_ok(pawl_pg_commit(pg, &err), &err);
}
