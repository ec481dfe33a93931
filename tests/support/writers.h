/*
 * writers.h - sessions that write to a table without a pause, and an oracle that knows what must be in it.
 *
 * Every statement goes to the table `p` and then, word for word, to the table `oracle`, in one transaction; both must
 * touch as many rows. So a write that pawl sends astray shows at once, and at any moment the two are equal for whoever
 * reads both in one statement: one more session does that all the time, and vacuums. One of the writers is like a
 * replica's (its triggers do not fire), some transactions end in two phases. Writers never wait for each other with rows in
 * hand (advisory locks on the keys, in their order), so that no error at all is theirs: whatever they meet is reported.
 * Values fit a column of text, of an integer and of numeric alike, so that writers need not know whether it has been cut
 * over.
 *
 *   tables -> start -> ... -> stop -> check
 *
 * Threads: main thread only; the sessions have threads of their own.
 * Memory:  stop frees. What a failed test left running is ended by the next start.
 */
#ifndef PAWL_TEST_WRITERS_H
#define PAWL_TEST_WRITERS_H

#include "util/attr.h"

typedef struct pawl_test_writers pawl_test_writers;

typedef struct pawl_test_writers_options
{
    const char *db;
    uint64_t seed;
    int sessions;     /* 0: three */
    int rows;         /* keys from 1 to this one are written to, beside those that come later */
    int truncate_in;  /* one in so many transactions empties the table and fills it again; 0: none */
    bool outlives;    /* the server may die: connect again and go on */
    bool reads_once;  /* the first session is REPEATABLE READ, and may meet 40001 */
    bool may_be_gone; /* rows with the note 'gone' may be left out by a rewrite */
} pawl_test_writers_options;

typedef struct pawl_test_written
{
    int64_t transactions;
    int64_t rows;       /* that they changed, the oracle's not counted */
    int64_t checks;     /* comparisons of the whole that found nothing */
    int64_t longest_us; /* of a transaction, its own sleep included */
} pawl_test_written;

/* The tables p (id int key, code bigint unique, price text, note text, n int NOT NULL) and oracle, with `rows` rows. */
void pawl_test_writers_tables(const char *db, int rows);

pawl_test_writers *pawl_test_writers_start(const pawl_test_writers_options *options);

/* So many more transactions of each session, or the failure of one. */
void pawl_test_writers_await(pawl_test_writers *w, int transactions);

/* Ends the sessions. Fails the test with the first thing that went wrong in one of them. */
pawl_test_written pawl_test_writers_stop(pawl_test_writers *w);

/* Row for row: fails the test with those that differ. */
void pawl_test_writers_check(const char *db, bool may_be_gone);

/*
 * With sessions that write, `pawl upgrade` in `dir` reaches the failpoint `point`, and from there on somebody sits on a lock of
 * p. The cut-over gives way, again and again, and the writers behind its request get on; then it comes through.
 */
void pawl_test_writers_sit(const pawl_test_writers_options *options, const char *dir, const char *point);

#endif
