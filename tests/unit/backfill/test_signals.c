#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "backfill/signals.h"

#include "util/banned.h"

/* The end of the WAL was at 100 until 1 s, then moved once a second. */
static const pawl_wal_sample samples[] = {{1000000, 100}, {2000000, 200}, {3000000, 300}, {4000000, 400}};

#define AGE(at, now_us) ((int) pawl_wal_age_ms(samples, 4, at, now_us))

static void
place_is_as_old_as_the_first_end_beyond_it(void **state)
{
    (void) state;
    assert_int_equal(AGE(400, 4500000), 0);
    assert_int_equal(AGE(399, 4500000), 500);
    assert_int_equal(AGE(300, 4500000), 500);
    assert_int_equal(AGE(150, 4500000), 2500);
    /* Behind all that is remembered: at least as old as that. */
    assert_int_equal(AGE(5, 4500000), 3500);
}

static void
place_that_is_ahead_of_what_was_seen_is_not_behind(void **state)
{
    (void) state;
    assert_int_equal(AGE(500, 9000000), 0);
    assert_int_equal(pawl_wal_age_ms(samples, 0, 5, 9000000), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(place_is_as_old_as_the_first_end_beyond_it),
        cmocka_unit_test(place_that_is_ahead_of_what_was_seen_is_not_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
