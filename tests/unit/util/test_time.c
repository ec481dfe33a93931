#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "util/clock.h"
#include "util/lock.h"
#include "util/rng.h"

#include "util/banned.h"

static void
wall_time_is_written_as_iso_8601_in_utc(void **state)
{
    static const struct
    {
        int64_t us;
        const char *text;
    } cases[] = {
        {0, "1970-01-01T00:00:00.000Z"},
        {1769850307123999, "2026-01-31T09:05:07.123Z"},
        {951782400000000, "2000-02-29T00:00:00.000Z"},
        {-1, "1969-12-31T23:59:59.999Z"},
        {-1000000, "1969-12-31T23:59:59.000Z"},
    };

    (void) state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++)
    {
        char out[32];

        pawl_clock_iso(cases[i].us, out, sizeof out);
        assert_string_equal(out, cases[i].text);
    }
}

static void
wait_ends_at_its_deadline_on_the_monotonic_clock(void **state)
{
    pawl_mutex m;
    pawl_cond c;
    int64_t start;
    bool signalled;

    (void) state;
    assert_true(pawl_mutex_can_init(&m));
    assert_true(pawl_cond_can_init(&c));
    start = pawl_clock_us();
    pawl_mutex_lock(&m);
    do
        signalled = pawl_cond_has_signal_before(&c, &m, start + 5000);
    while (signalled);
    pawl_mutex_unlock(&m);
    assert_in_range(pawl_clock_us() - start, 5000, 5000000);
    pawl_cond_fini(&c);
    pawl_mutex_fini(&m);
}

struct meeting
{
    pawl_mutex lock;
    pawl_cond changed;
    bool arrived; /* guarded by lock */
};

static void *
arrive(void *arg)
{
    struct meeting *m = arg;

    pawl_mutex_lock(&m->lock);
    m->arrived = true;
    pawl_cond_broadcast(&m->changed);
    pawl_mutex_unlock(&m->lock);
    return NULL;
}

static void
broadcast_wakes_a_waiter_long_before_its_deadline(void **state)
{
    struct meeting m = {.arrived = false};
    int64_t deadline = pawl_clock_us() + 60 * INT64_C(1000000);
    pthread_t thread;

    (void) state;
    assert_true(pawl_mutex_can_init(&m.lock));
    assert_true(pawl_cond_can_init(&m.changed));
    pawl_mutex_lock(&m.lock);
    assert_int_equal(pthread_create(&thread, NULL, arrive, &m), 0);
    while (!m.arrived && pawl_cond_has_signal_before(&m.changed, &m.lock, deadline))
        continue;
    assert_true(m.arrived);
    pawl_mutex_unlock(&m.lock);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_true(pawl_clock_us() < deadline);
    pawl_cond_fini(&m.changed);
    pawl_mutex_fini(&m.lock);
}

static void
generator_yields_the_published_sequence(void **state)
{
    /* The first numbers of splitmix64 seeded with 1234567. */
    static const uint64_t expected[] = {
        UINT64_C(6457827717110365317), UINT64_C(3203168211198807973),  UINT64_C(9817491932198370423),
        UINT64_C(4593380528125082431), UINT64_C(16408922859458223821),
    };
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 1234567);
    for (size_t i = 0; i < sizeof expected / sizeof *expected; i++)
        assert_true(pawl_rng_next(&rng) == expected[i]);
}

static void
bounded_numbers_stay_below_and_reach_every_value(void **state)
{
    pawl_rng rng;
    unsigned seen[7] = {0};

    (void) state;
    pawl_rng_init(&rng, 1);
    for (int i = 0; i < 7000; i++)
    {
        uint64_t value = pawl_rng_below(&rng, 7);

        assert_in_range(value, 0, 6);
        seen[value]++;
    }
    for (size_t i = 0; i < 7; i++)
        assert_in_range(seen[i], 850, 1150);
    assert_int_equal(pawl_rng_below(&rng, 0), 0);
    assert_int_equal(pawl_rng_below(&rng, 1), 0);
}

static void
random_seeds_differ(void **state)
{
    pawl_rng a;
    pawl_rng b;

    (void) state;
    pawl_rng_init_random(&a);
    pawl_rng_init_random(&b);
    assert_true(pawl_rng_next(&a) != pawl_rng_next(&b));
}

static void
hex_names_begin_with_a_letter(void **state)
{
    pawl_rng rng;

    (void) state;
    pawl_rng_init(&rng, 42);
    for (int i = 0; i < 100; i++)
    {
        char out[13];

        pawl_rng_hex(&rng, out, 12);
        assert_int_equal(strlen(out), 12);
        assert_int_equal(strspn(out, "0123456789abcdef"), 12);
        assert_in_range(out[0], 'a', 'f');
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wall_time_is_written_as_iso_8601_in_utc),
        cmocka_unit_test(wait_ends_at_its_deadline_on_the_monotonic_clock),
        cmocka_unit_test(broadcast_wakes_a_waiter_long_before_its_deadline),
        cmocka_unit_test(generator_yields_the_published_sequence),
        cmocka_unit_test(bounded_numbers_stay_below_and_reach_every_value),
        cmocka_unit_test(random_seeds_differ),
        cmocka_unit_test(hex_names_begin_with_a_letter),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
