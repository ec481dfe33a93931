/*
 * session.h - what tests do with a pawl_pg again and again; a failure fails the test.
 *
 * Threads: main thread only.
 * Memory:  a session opened here is closed with pawl_pg_close.
 */
#ifndef PAWL_TEST_SESSION_H
#define PAWL_TEST_SESSION_H

#include "pg/exec.h"

/* `stop` may be NULL. */
pawl_pg *pawl_test_open(const char *conninfo, const pawl_stop *stop);

/* Run one statement; read the first column of its first row as a number. */
void pawl_test_must(pawl_pg *pg, const char *sql);
int64_t pawl_test_number(pawl_pg *pg, const char *sql);

void pawl_test_assert_contains(const char *text, const char *part);

#endif
