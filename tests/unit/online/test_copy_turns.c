/* Ranges handed out to several workers are committed in their order, and nothing behind one that has failed. */
#include <pthread.h>
#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/copy_turns.h"
#include "util/clock.h"
#include "util/rng.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    WORKERS = 4,
    RANGES = 400,
};

typedef struct shared
{
    pawl_copy_turns *turns;
    int64_t fails;           /* the range that fails; -1: none */
    int64_t commits[RANGES]; /* numbers, in the order of the commits */
    atomic_int count;
} shared;

typedef struct worker
{
    shared *s;
    pthread_t thread;
    uint64_t seed;
    bool is_right;
} worker;

static pawl_copy_turns *
make(int workers)
{
    const pawl_keyval cursor = {0};
    pawl_copy_turns *turns = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    assert_int_equal(pawl_copy_turns_new(&cursor, workers, 100, &turns, &err), PAWL_OK);
    return turns;
}

/* Range n is (n, n + 1]. False when it is not what was expected. */
static bool
can_find(pawl_copy_turns *turns, pawl_copy_range *range)
{
    pawl_error err = PAWL_ERROR_INIT;
    char lo[24];
    char hi[24];
    const char *const parts[] = {hi};

    pawl_fmt(lo, sizeof lo, "%lld", (long long) range->number);
    pawl_fmt(hi, sizeof hi, "%lld", (long long) range->number + 1);
    if (range->lo.is_set != (range->number > 0) || (range->lo.is_set && strcmp(range->lo.part[0], lo) != 0))
        return false;
    range->is_last = range->number == RANGES - 1;
    return pawl_keyval_set(&range->hi, 1, parts, &err) == PAWL_OK &&
           pawl_copy_turns_found(turns, range, &err) == PAWL_OK;
}

static void
fail_range(pawl_copy_turns *turns, int64_t number)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) pawl_error_set(&err, PAWL_E_TRANSFORM, "range %lld", (long long) number);
    pawl_copy_turns_fail(turns, number, &err);
}

static void *
work(void *arg)
{
    worker *w = arg;
    shared *s = w->s;
    pawl_rng rng;

    pawl_rng_init(&rng, w->seed);
    w->is_right = true;
    for (bool got = true; got && w->is_right;)
    {
        pawl_copy_range range = {.number = -1};
        pawl_error err = PAWL_ERROR_INIT;

        w->is_right = pawl_copy_turns_take(s->turns, &range, &got, &err) == PAWL_OK &&
                      (!got || can_find(s->turns, &range));
        if (got && w->is_right)
        {
            for (uint64_t i = pawl_rng_below(&rng, 4); i > 0; i--)
                (void) sched_yield();
            if (range.number == s->fails)
                fail_range(s->turns, range.number);
            else if (pawl_copy_turns_await(s->turns, range.number, INT64_MAX) == PAWL_COPY_GO)
            {
                s->commits[atomic_fetch_add(&s->count, 1)] = range.number;
                pawl_copy_turns_committed(s->turns, range.number);
            }
        }
        pawl_copy_range_fini(&range);
    }
    pawl_copy_turns_leave(s->turns);
    return NULL;
}

static void
run(shared *s)
{
    worker workers[WORKERS];

    s->turns = make(WORKERS);
    for (int i = 0; i < WORKERS; i++)
    {
        workers[i] = (worker){.s = s, .seed = (uint64_t) i + 1};
        assert_int_equal(pthread_create(&workers[i].thread, NULL, work, &workers[i]), 0);
    }
    for (int i = 0; i < WORKERS; i++)
    {
        assert_int_equal(pthread_join(workers[i].thread, NULL), 0);
        assert_true(workers[i].is_right);
    }
    assert_false(pawl_copy_turns_is_at_work(s->turns, INT64_MAX));
    assert_true(pawl_copy_turns_is_over(s->turns));
    for (int i = 0; i < s->count; i++)
        assert_int_equal(s->commits[i], i);
}

static void
ranges_are_committed_in_their_order(void **state)
{
    static shared s = {.fails = -1};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    run(&s);
    assert_int_equal(s.count, RANGES);
    assert_int_equal(pawl_copy_turns_outcome(s.turns, &err), PAWL_OK);
    pawl_copy_turns_free(s.turns);
}

static void
all_before_one_that_fails_are_committed_and_none_behind_it(void **state)
{
    static shared s = {.fails = 137};
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    run(&s);
    assert_int_equal(s.count, 137);
    assert_int_equal(pawl_copy_turns_outcome(s.turns, &err), PAWL_E_TRANSFORM);
    assert_string_equal(err.message, "range 137");
    pawl_copy_turns_free(s.turns);
}

/* Of two failures the first range's is told, whichever came first. */
static void
failure_of_the_first_range_counts(void **state)
{
    pawl_copy_turns *turns = make(1);
    pawl_copy_range ranges[3] = {{0}};
    pawl_error err = PAWL_ERROR_INIT;
    bool got = false;

    (void) state;
    for (int i = 0; i < 3; i++)
    {
        assert_int_equal(pawl_copy_turns_take(turns, &ranges[i], &got, &err), PAWL_OK);
        assert_true(got && can_find(turns, &ranges[i]));
    }
    assert_int_equal(pawl_copy_turns_await(turns, 1, pawl_clock_us()), PAWL_COPY_WAIT);
    fail_range(turns, 2);
    assert_int_equal(pawl_copy_turns_await(turns, 1, pawl_clock_us()), PAWL_COPY_WAIT);
    assert_false(pawl_copy_turns_is_void(turns, 1));
    fail_range(turns, 1);
    assert_true(pawl_copy_turns_is_void(turns, 2));
    assert_int_equal(pawl_copy_turns_await(turns, 0, INT64_MAX), PAWL_COPY_GO);
    assert_int_equal(pawl_copy_turns_await(turns, 2, INT64_MAX), PAWL_COPY_VOID);
    assert_int_equal(pawl_copy_turns_take(turns, &ranges[0], &got, &err), PAWL_OK);
    assert_false(got);
    assert_int_equal(pawl_copy_turns_outcome(turns, &err), PAWL_E_TRANSFORM);
    assert_string_equal(err.message, "range 1");
    for (int i = 0; i < 3; i++)
        pawl_copy_range_fini(&ranges[i]);
    pawl_copy_turns_free(turns);
}

/* Whoever fails while he looks for an end does not keep the others waiting for it. */
static void
failure_of_no_range_lets_what_is_handed_out_go_on(void **state)
{
    pawl_copy_turns *turns = make(1);
    pawl_copy_range first = {0};
    pawl_copy_range second = {0};
    pawl_error err = PAWL_ERROR_INIT;
    bool got = false;

    (void) state;
    assert_int_equal(pawl_copy_turns_take(turns, &first, &got, &err), PAWL_OK);
    assert_true(got && can_find(turns, &first));
    assert_int_equal(pawl_copy_turns_take(turns, &second, &got, &err), PAWL_OK);
    assert_true(got);
    fail_range(turns, -1);
    assert_int_equal(pawl_copy_turns_await(turns, 0, INT64_MAX), PAWL_COPY_GO);
    assert_int_equal(pawl_copy_turns_take(turns, &second, &got, &err), PAWL_OK);
    assert_false(got);
    pawl_copy_range_fini(&first);
    pawl_copy_range_fini(&second);
    pawl_copy_turns_free(turns);
}

/* A worker that looks for an end when another one leaves has a range all the same, and waits for its turn: it does not spin. */
static void
range_that_was_looked_for_at_a_failure_waits_for_its_turn(void **state)
{
    pawl_copy_turns *turns = make(2);
    pawl_copy_range ranges[2] = {{0}};
    pawl_error err = PAWL_ERROR_INIT;
    bool got = false;
    int64_t until_us;

    (void) state;
    assert_int_equal(pawl_copy_turns_take(turns, &ranges[0], &got, &err), PAWL_OK);
    assert_true(got && can_find(turns, &ranges[0]));
    assert_int_equal(pawl_copy_turns_take(turns, &ranges[1], &got, &err), PAWL_OK);
    assert_true(got);
    fail_range(turns, -1);
    assert_true(can_find(turns, &ranges[1]));
    until_us = pawl_clock_us() + 100000;
    assert_int_equal(pawl_copy_turns_await(turns, 1, until_us), PAWL_COPY_WAIT);
    assert_true(pawl_clock_us() >= until_us);
    assert_false(pawl_copy_turns_is_void(turns, 1));
    pawl_copy_turns_committed(turns, 0);
    assert_int_equal(pawl_copy_turns_await(turns, 1, INT64_MAX), PAWL_COPY_GO);
    for (int i = 0; i < 2; i++)
        pawl_copy_range_fini(&ranges[i]);
    pawl_copy_turns_free(turns);
}

static void
ranges_follow_the_time_that_they_take(void **state)
{
    pawl_copy_turns *turns = make(1);

    (void) state;
    pawl_copy_turns_took(turns, 100, 1000);
    assert_int_equal(pawl_copy_turns_rows(turns), 200);
    pawl_copy_turns_took(turns, 100, 1000); /* of a smaller one: it says nothing */
    assert_int_equal(pawl_copy_turns_rows(turns), 200);
    pawl_copy_turns_took(turns, 200, 2000000);
    assert_int_equal(pawl_copy_turns_rows(turns), 200);
    pawl_copy_turns_took(turns, 200, 9000000);
    assert_int_equal(pawl_copy_turns_rows(turns), 100);
    pawl_copy_turns_free(turns);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(ranges_are_committed_in_their_order),
        cmocka_unit_test(all_before_one_that_fails_are_committed_and_none_behind_it),
        cmocka_unit_test(failure_of_the_first_range_counts),
        cmocka_unit_test(failure_of_no_range_lets_what_is_handed_out_go_on),
        cmocka_unit_test(range_that_was_looked_for_at_a_failure_waits_for_its_turn),
        cmocka_unit_test(ranges_follow_the_time_that_they_take),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
