#include "core/backoff.h"

#include "util/banned.h"

void
pawl_backoff_init(pawl_backoff *b, int64_t base_ms, int64_t cap_ms)
{
    b->base_ms = base_ms > 0 ? base_ms : 1;
    b->cap_ms = cap_ms > 0 ? cap_ms : 1;
    b->tries = 0;
    pawl_rng_init_random(&b->rng);
}

void
pawl_backoff_reset(pawl_backoff *b)
{
    b->tries = 0;
}

int64_t
pawl_backoff_next_ms(pawl_backoff *b)
{
    int64_t high = b->base_ms < b->cap_ms ? b->base_ms : b->cap_ms;
    int64_t low = b->base_ms / 2 < high ? b->base_ms / 2 : high;

    for (uint32_t i = 0; i < b->tries && high < b->cap_ms; i++)
        high = high > b->cap_ms / 2 ? b->cap_ms : high * 2;
    if (b->tries < UINT32_MAX)
        b->tries++;
    return low + (int64_t) pawl_rng_below(&b->rng, (uint64_t) (high - low) + 1);
}

pawl_status
pawl_backoff_sleep(pawl_backoff *b, const pawl_stop *stop, pawl_error *err)
{
    return pawl_stop_sleep(stop, PAWL_STOP_FINISH, pawl_backoff_next_ms(b), err);
}
