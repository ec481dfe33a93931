#include "util/lock.h"

#include <assert.h>
#include <errno.h>
#include <time.h>

#include "util/banned.h"

/* These calls fail only on misuse (a lock that does not exist, unlocking what is not held): an assert, no status. */
#define MUST_WORK(call)   \
    do                    \
    {                     \
        int rc_ = (call); \
        assert(rc_ == 0); \
        (void) rc_;       \
    } while (0)

bool
pawl_mutex_can_init(pawl_mutex *m)
{
    return pthread_mutex_init(&m->raw, NULL) == 0;
}

void
pawl_mutex_fini(pawl_mutex *m)
{
    MUST_WORK(pthread_mutex_destroy(&m->raw));
}

PAWL_NO_TSA void
pawl_mutex_lock(pawl_mutex *m)
{
    MUST_WORK(pthread_mutex_lock(&m->raw));
}

PAWL_NO_TSA void
pawl_mutex_unlock(pawl_mutex *m)
{
    MUST_WORK(pthread_mutex_unlock(&m->raw));
}

bool
pawl_cond_can_init(pawl_cond *c)
{
    pthread_condattr_t attr;
    bool made;

    if (pthread_condattr_init(&attr) != 0)
        return false;

    made = pthread_condattr_setclock(&attr, CLOCK_MONOTONIC) == 0 && pthread_cond_init(&c->raw, &attr) == 0;
    MUST_WORK(pthread_condattr_destroy(&attr));
    return made;
}

void
pawl_cond_fini(pawl_cond *c)
{
    MUST_WORK(pthread_cond_destroy(&c->raw));
}

void
pawl_cond_wait(pawl_cond *c, pawl_mutex *m)
{
    MUST_WORK(pthread_cond_wait(&c->raw, &m->raw));
}

bool
pawl_cond_has_signal_before(pawl_cond *c, pawl_mutex *m, int64_t deadline_us)
{
    struct timespec until = {.tv_sec = 0, .tv_nsec = 0};
    int rc;

    if (deadline_us > 0)
    {
        until.tv_sec = (time_t) (deadline_us / 1000000);
        until.tv_nsec = (long) (deadline_us % 1000000) * 1000;
    }
    rc = pthread_cond_timedwait(&c->raw, &m->raw, &until);
    assert(rc == 0 || rc == ETIMEDOUT);
    return rc == 0;
}

void
pawl_cond_broadcast(pawl_cond *c)
{
    MUST_WORK(pthread_cond_broadcast(&c->raw));
}
