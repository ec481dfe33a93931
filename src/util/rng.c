#include "util/rng.h"

#include <fcntl.h>
#include <unistd.h>

#include "util/clock.h"

#include "util/banned.h"

void
pawl_rng_init(pawl_rng *rng, uint64_t seed)
{
    rng->state = seed;
}

void
pawl_rng_init_random(pawl_rng *rng)
{
    uint64_t seed = 0;
    ssize_t got = -1;
    int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

    if (fd >= 0)
    {
        got = read(fd, &seed, sizeof seed);
        (void) close(fd);
    }
    if (got != (ssize_t) sizeof seed)
        seed =
            (uint64_t) pawl_clock_us() ^ ((uint64_t) pawl_clock_wall_us() << 20) ^ (uint64_t) (uintptr_t) rng;
    pawl_rng_init(rng, seed);
}

uint64_t
pawl_rng_next(pawl_rng *rng)
{
    uint64_t z = (rng->state += UINT64_C(0x9E3779B97F4A7C15));

    z = (z ^ (z >> 30)) * UINT64_C(0xBF58476D1CE4E5B9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94D049BB133111EB);
    return z ^ (z >> 31);
}

uint64_t
pawl_rng_below(pawl_rng *rng, uint64_t bound)
{
    uint64_t lowest;
    uint64_t value;

    if (bound == 0)
        return 0;

    /* 2^64 mod bound values at the bottom would make the small results likelier: they are drawn again. */
    lowest = (UINT64_MAX - bound + 1) % bound;
    do
        value = pawl_rng_next(rng);
    while (value < lowest);
    return value % bound;
}

void
pawl_rng_hex(pawl_rng *rng, char *out, size_t length)
{
    static const char digits[] = "0123456789abcdef";

    for (size_t i = 0; i < length; i++)
        out[i] = digits[i == 0 ? 10 + pawl_rng_below(rng, 6) : pawl_rng_below(rng, 16)];
    out[length] = '\0';
}
