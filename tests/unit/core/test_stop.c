#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/resource.h>

#include <cmocka.h>

#include "core/backoff.h"
#include "core/stop.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

PAWL_DEFINE_AUTO(pawl_stop, pawl_stop_free);

static pawl_stop *
new_stop(void)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_stop *stop = NULL;

    assert_int_equal(pawl_stop_new(&stop, &err), PAWL_OK);
    return stop;
}

static bool
is_readable(int fd)
{
    struct pollfd watched = {.fd = fd, .events = POLLIN};

    return poll(&watched, 1, 0) == 1;
}

static void
each_request_raises_the_level_by_one_up_to_cancel(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();

    (void) state;
    assert_int_equal(pawl_stop_level_of(stop), PAWL_STOP_NONE);
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_level_of(stop), PAWL_STOP_FINISH);
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_level_of(stop), PAWL_STOP_CANCEL);
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_level_of(stop), PAWL_STOP_CANCEL);
}

static void
descriptor_of_a_level_is_readable_once_it_is_reached(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    int finish = pawl_stop_fd(stop, PAWL_STOP_FINISH);
    int cancel = pawl_stop_fd(stop, PAWL_STOP_CANCEL);

    (void) state;
    assert_false(is_readable(finish));
    pawl_stop_request(stop);
    assert_true(is_readable(finish));
    assert_false(is_readable(cancel));
    pawl_stop_request(stop);
    assert_true(is_readable(finish));
    assert_true(is_readable(cancel));
    pawl_stop_request(stop);
    assert_true(is_readable(cancel));
}

static void
descriptors_are_not_inherited_and_do_not_block(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();

    (void) state;
    for (pawl_stop_level level = PAWL_STOP_FINISH; level <= PAWL_STOP_CANCEL; level++)
    {
        int fd = pawl_stop_fd(stop, level);

        assert_true((fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
        assert_true((fcntl(fd, F_GETFL) & O_NONBLOCK) != 0);
    }
}

static void
missing_stop_is_never_requested(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_stop_level_of(NULL), PAWL_STOP_NONE);
    assert_int_equal(pawl_stop_fd(NULL, PAWL_STOP_FINISH), -1);
    assert_int_equal(pawl_stop_check(NULL, PAWL_STOP_FINISH, &err), PAWL_OK);
    assert_int_equal(pawl_stop_sleep(NULL, PAWL_STOP_FINISH, 1, &err), PAWL_OK);
    pawl_stop_free(NULL);
}

static void
check_looks_at_its_own_level(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    assert_int_equal(pawl_stop_check(stop, PAWL_STOP_FINISH, &err), PAWL_OK);
    assert_int_equal(err.code, PAWL_OK);
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_check(stop, PAWL_STOP_CANCEL, &err), PAWL_OK);
    assert_int_equal(err.code, PAWL_OK);
    assert_int_equal(pawl_stop_check(stop, PAWL_STOP_FINISH, &err), PAWL_E_STOPPED);
    assert_int_equal(err.code, PAWL_E_STOPPED);
    assert_string_not_equal(err.message, "");
}

static void
undisturbed_sleep_takes_its_time(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    pawl_error err = PAWL_ERROR_INIT;
    int64_t start = pawl_clock_us();

    (void) state;
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_FINISH, 12, &err), PAWL_OK);
    assert_true(pawl_clock_us() - start >= 12000);
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_FINISH, 0, &err), PAWL_OK);
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_FINISH, -5, &err), PAWL_OK);
}

static void *
request_from_elsewhere(void *arg)
{
    pawl_stop_request(arg);
    return NULL;
}

static void
request_wakes_a_sleeper(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    pawl_error err = PAWL_ERROR_INIT;
    int64_t start = pawl_clock_us();
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, request_from_elsewhere, stop), 0);
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_FINISH, 3600000, &err), PAWL_E_STOPPED);
    assert_true(pawl_clock_us() - start < 30 * INT64_C(1000000));
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void
sleeper_for_cancel_sleeps_through_the_first_request(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_CANCEL, 5, &err), PAWL_OK);
    pawl_stop_request(stop);
    assert_int_equal(pawl_stop_sleep(stop, PAWL_STOP_CANCEL, 3600000, &err), PAWL_E_STOPPED);
}

static void
request_preserves_errno_for_the_handler_that_calls_it(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();

    (void) state;
    for (int i = 0; i < 4; i++)
    {
        errno = EDOM;
        pawl_stop_request(stop);
        assert_int_equal(errno, EDOM);
    }
}

static void
failed_allocation_is_reported(void **state)
{
    pawl_error err = PAWL_ERROR_INIT;
    pawl_stop *stop = NULL;

    (void) state;
    pawl_test_fail_alloc(0);
    assert_int_equal(pawl_stop_new(&stop, &err), PAWL_E_NOMEM);
    pawl_test_fail_alloc(-1);
    assert_null(stop);
    assert_int_equal(err.code, PAWL_E_NOMEM);
}

static void
missing_descriptors_are_reported_and_none_leak(void **state)
{
    struct rlimit before;
    struct rlimit tight;
    pawl_error err = PAWL_ERROR_INIT;
    pawl_stop *stop = NULL;
    int next = fcntl(0, F_DUPFD, 0);
    pawl_status st;

    (void) state;
    assert_true(next >= 0);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    tight = before;
    /* Room for the first pipe but not for the second. */
    tight.rlim_cur = (rlim_t) next + 3;
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &tight), 0);
    st = pawl_stop_new(&stop, &err);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);

    assert_int_equal(st, PAWL_E_IO);
    assert_null(stop);
    assert_int_equal(fcntl(next + 1, F_GETFD), -1);
    assert_int_equal(fcntl(next + 2, F_GETFD), -1);
}

static void
pauses_grow_within_their_bounds(void **state)
{
    pawl_backoff b;

    (void) state;
    for (int round = 0; round < 50; round++)
    {
        int64_t highest = 100;

        pawl_backoff_init(&b, 100, 1500);
        for (int i = 0; i < 40; i++)
        {
            int64_t ms = pawl_backoff_next_ms(&b);

            assert_in_range(ms, 50, highest);
            highest = highest * 2 > 1500 ? 1500 : highest * 2;
        }
        assert_int_equal(b.tries, 40);
    }
}

static void
later_pauses_use_the_whole_range(void **state)
{
    pawl_backoff b;
    int short_ones = 0;
    int long_ones = 0;

    (void) state;
    pawl_backoff_init(&b, 10, 10000);
    pawl_rng_init(&b.rng, 7);
    for (int i = 0; i < 20; i++)
        (void) pawl_backoff_next_ms(&b);
    for (int i = 0; i < 1000; i++)
    {
        int64_t ms = pawl_backoff_next_ms(&b);

        short_ones += ms < 2500 ? 1 : 0;
        long_ones += ms > 7500 ? 1 : 0;
    }
    assert_in_range(short_ones, 150, 350);
    assert_in_range(long_ones, 150, 350);
}

static void
reset_starts_with_short_pauses_again(void **state)
{
    pawl_backoff b;

    (void) state;
    pawl_backoff_init(&b, 100, 1000000);
    for (int i = 0; i < 20; i++)
        (void) pawl_backoff_next_ms(&b);
    pawl_backoff_reset(&b);
    assert_in_range(pawl_backoff_next_ms(&b), 50, 100);
    assert_in_range(pawl_backoff_next_ms(&b), 50, 200);
}

static void
odd_bounds_do_no_harm(void **state)
{
    static const int64_t bounds[][2] = {{0, 0}, {-5, 10}, {100, 10}, {INT64_MAX, INT64_MAX}, {1, INT64_MAX}};

    (void) state;
    for (size_t i = 0; i < sizeof bounds / sizeof *bounds; i++)
    {
        pawl_backoff b;

        pawl_backoff_init(&b, bounds[i][0], bounds[i][1]);
        for (int k = 0; k < 100; k++)
        {
            int64_t ms = pawl_backoff_next_ms(&b);

            assert_true(ms >= 0 && ms <= b.cap_ms);
        }
    }
}

static void
stop_ends_a_backoff(void **state)
{
    PAWL_AUTO(pawl_stop) stop = new_stop();
    pawl_error err = PAWL_ERROR_INIT;
    pawl_backoff b;

    (void) state;
    pawl_backoff_init(&b, 1, 1);
    assert_int_equal(pawl_backoff_sleep(&b, stop, &err), PAWL_OK);
    pawl_backoff_init(&b, 3600000, 3600000);
    pawl_stop_request(stop);
    assert_int_equal(pawl_backoff_sleep(&b, stop, &err), PAWL_E_STOPPED);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_request_raises_the_level_by_one_up_to_cancel),
        cmocka_unit_test(descriptor_of_a_level_is_readable_once_it_is_reached),
        cmocka_unit_test(descriptors_are_not_inherited_and_do_not_block),
        cmocka_unit_test(missing_stop_is_never_requested),
        cmocka_unit_test(check_looks_at_its_own_level),
        cmocka_unit_test(undisturbed_sleep_takes_its_time),
        cmocka_unit_test(request_wakes_a_sleeper),
        cmocka_unit_test(sleeper_for_cancel_sleeps_through_the_first_request),
        cmocka_unit_test(request_preserves_errno_for_the_handler_that_calls_it),
        cmocka_unit_test(failed_allocation_is_reported),
        cmocka_unit_test(missing_descriptors_are_reported_and_none_leak),
        cmocka_unit_test(pauses_grow_within_their_bounds),
        cmocka_unit_test(later_pauses_use_the_whole_range),
        cmocka_unit_test(reset_starts_with_short_pauses_again),
        cmocka_unit_test(odd_bounds_do_no_harm),
        cmocka_unit_test(stop_ends_a_backoff),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
