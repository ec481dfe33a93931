/*
 * lock.h - mutex and condition, known to clang's thread-safety analysis.
 *
 * Every lock of the project is a leaf: nothing outside its module is called while it is held. What a lock protects
 * sits in a nested struct reached through an accessor marked PAWL_REQUIRES, so that a forgotten lock does not compile.
 *
 * Threads: that is what it is for.
 * Memory:  init and fini work on the caller's storage.
 */
#ifndef PAWL_UTIL_LOCK_H
#define PAWL_UTIL_LOCK_H

#include <pthread.h>

#include "util/attr.h"

typedef struct PAWL_CAPABILITY("mutex") pawl_mutex
{
    pthread_mutex_t raw;
} pawl_mutex;

typedef struct pawl_cond
{
    pthread_cond_t raw; /* waits on CLOCK_MONOTONIC */
} pawl_cond;

/* True when the object could be created. */
PAWL_NODISCARD bool pawl_mutex_can_init(pawl_mutex *m);
void pawl_mutex_fini(pawl_mutex *m);
void pawl_mutex_lock(pawl_mutex *m) PAWL_ACQUIRE(m);
void pawl_mutex_unlock(pawl_mutex *m) PAWL_RELEASE(m);

PAWL_NODISCARD bool pawl_cond_can_init(pawl_cond *c);
void pawl_cond_fini(pawl_cond *c);
void pawl_cond_wait(pawl_cond *c, pawl_mutex *m) PAWL_REQUIRES(m);

/* Wait until signalled or until pawl_clock_us() reaches `deadline_us`; false when the time ran out. */
bool pawl_cond_has_signal_before(pawl_cond *c, pawl_mutex *m, int64_t deadline_us) PAWL_REQUIRES(m);
void pawl_cond_broadcast(pawl_cond *c);

#endif
