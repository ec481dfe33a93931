/*
 * rng.h - small, seedable pseudo-random numbers for jitter and tests. Not for secrets.
 *
 * The generator is splitmix64 (Steele, Lea, Flood: Fast Splittable Pseudorandom Number Generators, OOPSLA 2014).
 *
 * Threads: a generator belongs to one thread.
 * Memory:  a plain value.
 */
#ifndef PAWL_UTIL_RNG_H
#define PAWL_UTIL_RNG_H

#include "util/attr.h"

typedef struct pawl_rng
{
    uint64_t state;
} pawl_rng;

void pawl_rng_init(pawl_rng *rng, uint64_t seed);

/* From the kernel's randomness; falls back to the clock and the address of `rng`. */
void pawl_rng_init_random(pawl_rng *rng);

uint64_t pawl_rng_next(pawl_rng *rng);

/* Uniform in [0, bound); 0 when bound is 0. */
uint64_t pawl_rng_below(pawl_rng *rng, uint64_t bound);

/* `length` lower-case hex digits, the first of them a letter, and a NUL into `out` (length + 1 bytes). */
void pawl_rng_hex(pawl_rng *rng, char *out, size_t length);

#endif
