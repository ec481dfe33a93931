/*
 * place.h - a session and a ledger that is there, for the tests of the ledger. A failure fails the test.
 *
 * Threads: a place belongs to one thread.
 * Memory:  end closes what new has opened.
 */
#ifndef PAWL_TEST_PLACE_H
#define PAWL_TEST_PLACE_H

#include "ledger/ledger.h"

/* A schema that only quoting can name. */
#define PAWL_TEST_SCHEMA "pawl \"ledger\""
#define PAWL_TEST_QUOTED "\"pawl \"\"ledger\"\"\""

typedef struct pawl_test_place
{
    const char *conninfo;
    pawl_pg *pg;
    pawl_ledger *ledger;
} pawl_test_place;

/* A fresh database with a ledger in PAWL_TEST_SCHEMA. */
pawl_test_place pawl_test_place_new(const char *database);
void pawl_test_place_end(pawl_test_place *p);

pawl_pg *pawl_test_session(const char *conninfo);
pawl_ledger *pawl_test_ledger_in(const char *schema);
void pawl_test_txn_begin(pawl_pg *pg);
void pawl_test_txn_commit(pawl_pg *pg);

/* Fail the test with the whole record unless `st` is PAWL_OK. */
void pawl_test_is_ok(pawl_status st, const pawl_error *err);

#endif
