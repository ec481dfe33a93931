/*
 * backoff.h - growing pauses with full jitter between tries.
 *
 * The n-th pause is uniform in [base/2, min(cap, base * 2^n)]: see Brooker, "Exponential Backoff And Jitter", 2015.
 *
 * Threads: a backoff belongs to one thread.
 * Memory:  a plain value.
 */
#ifndef PAWL_CORE_BACKOFF_H
#define PAWL_CORE_BACKOFF_H

#include "core/stop.h"
#include "util/rng.h"

typedef struct pawl_backoff
{
    int64_t base_ms;
    int64_t cap_ms;
    uint32_t tries; /* pauses taken since init or reset */
    pawl_rng rng;
} pawl_backoff;

void pawl_backoff_init(pawl_backoff *b, int64_t base_ms, int64_t cap_ms);
void pawl_backoff_reset(pawl_backoff *b);

/* How long the next pause is to be; counts as taken. */
int64_t pawl_backoff_next_ms(pawl_backoff *b);

/* Take the next pause; PAWL_E_STOPPED when a stop is requested meanwhile. */
PAWL_NODISCARD pawl_status pawl_backoff_sleep(pawl_backoff *b, const pawl_stop *stop, pawl_error *err);

#endif
