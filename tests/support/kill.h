/*
 * kill.h - the program killed at its failpoints, or at any moment.
 *
 * Threads: main thread only.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_TEST_KILL_H
#define PAWL_TEST_KILL_H

#include "util/rng.h"

/* Run `pawl VERB ARG`, killed at that passage of the failpoint. False when it got through undisturbed; any other end fails
 * the test. */
bool pawl_test_is_killed(const char *dir, const char *verb, const char *arg, const char *point, int passage);

/* The same, and fail the test unless it is killed; for a program with all its arguments, which end with NULL. */
void pawl_test_must_be_killed(const char *dir, const char *verb, const char *arg, const char *point,
                              int passage);
void pawl_test_must_die(const char *dir, const char *const *args, const char *point, int passage);

/* Start the program so many times, each time killed after 20 ms and up to `most_ms` more, where it is not done before;
 * `points` are failpoints that slow it down. Fails the test where it ends otherwise than with 0 or 4, or is never
 * killed. */
typedef struct pawl_test_kills
{
    const char *dir;
    const char *const *args;
    const char *points;
    uint32_t most_ms;
    int times;
    void (*look)(const char *db); /* what holds at any moment, once there is a ledger */
    const char *db;
} pawl_test_kills;

void pawl_test_kill_at_random(const pawl_test_kills *kills, pawl_rng *rng);

/*
 * Batches that a backfill has got in so far, and wait until there are more, or the revision is applied. A chunk that is taken
 * up twelve times without getting a batch in is given up, which kills at random may bring about on a busy machine: let
 * a run get on from time to time.
 */
int64_t pawl_test_batches(const char *db);
void pawl_test_await_batch(const char *db, int64_t before);

#endif
