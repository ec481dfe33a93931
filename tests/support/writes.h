/*
 * writes.h - the transactions of writers.h, made from a seed.
 *
 * Threads: a generator belongs to one thread.
 * Memory:  fini frees.
 */
#ifndef PAWL_TEST_WRITES_H
#define PAWL_TEST_WRITES_H

#include "util/rng.h"
#include "util/strbuf.h"

enum
{
    PAWL_TEST_MOST_STATEMENTS = 48
};

/* What the row count of a statement's answer is compared with. */
typedef enum pawl_test_pair
{
    PAWL_TEST_ALONE,
    PAWL_TEST_OF_TABLE,
    PAWL_TEST_OF_ORACLE, /* as many as the last of the table */
} pawl_test_pair;

typedef struct pawl_test_writes
{
    pawl_rng rng;
    int rows;
    int first; /* key and code of this writer's own, */
    int fresh; /* and the next one */
    int number;
    int truncate_in; /* one in so many; 0: none */
    bool may_be_gone;
    bool prepares;           /* some transactions end in two phases */
    bool is_repeatable_read; /* and may meet 40001, as with any other writer */
    /* the transaction that was made last */
    pawl_strbuf sql;
    pawl_test_pair pairs[PAWL_TEST_MOST_STATEMENTS];
    int nstatements;
    int ids[32]; /* the keys that it touches, in order */
    int nids;
    char before[200]; /* what is sent ahead of it; "": nothing */
    char second[60];  /* what ends it, as a text of its own; "": nothing */
} pawl_test_writes;

/* `number` tells apart the writers of a process: each has keys of its own beyond those that all write to. */
void pawl_test_writes_init(pawl_test_writes *w, uint64_t seed, int number, int rows);
void pawl_test_writes_fini(pawl_test_writes *w);

/* What a session must be told before the first one. */
extern const char pawl_test_writes_prepare[];

/* The next transaction: w->sql, to be sent as one text, and what to make of each answer. */
void pawl_test_writes_next(pawl_test_writes *w);

#endif
