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

/* A look each tenth of a second. Twice the rate is overdrawn at once; when nothing is written it is paid back in as long. */
static void
wal_budget_keeps_the_mean(void **state)
{
    pawl_wal_budget b = {0};
    int64_t lsn = 5000000;
    int64_t now_us = 1000000;
    int held = 0;

    (void) state;
    assert_false(pawl_wal_is_overdrawn(&b, 1000000, lsn, now_us));
    for (int i = 0; i < 10; i++)
        assert_true(pawl_wal_is_overdrawn(&b, 1000000, lsn += 200000, now_us += 100000));
    while (pawl_wal_is_overdrawn(&b, 1000000, lsn, now_us += 100000))
        held++;
    assert_in_range(held, 9, 10);

    /* Standing still for long gives no more than a second's worth. */
    assert_false(pawl_wal_is_overdrawn(&b, 1000000, lsn, now_us += 60000000));
    assert_false(pawl_wal_is_overdrawn(&b, 1000000, lsn += 1000000, now_us += 100000));
    assert_true(pawl_wal_is_overdrawn(&b, 1000000, lsn += 300000, now_us += 100000));

    /* A flood by others is held back for, but not for ever. */
    assert_true(pawl_wal_is_overdrawn(&b, 1000000, lsn += 9000000000, now_us += 100000));
    assert_true(pawl_wal_is_overdrawn(&b, 1000000, lsn, now_us += 9000000));
    assert_false(pawl_wal_is_overdrawn(&b, 1000000, lsn, now_us += 2000000));

    /* Another server has another end of the WAL. */
    assert_true(pawl_wal_is_overdrawn(&b, 1000000, lsn += 5000000, now_us += 100000));
    assert_false(pawl_wal_is_overdrawn(&b, 1000000, 17, now_us += 100000));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(wal_budget_keeps_the_mean),
        cmocka_unit_test(place_is_as_old_as_the_first_end_beyond_it),
        cmocka_unit_test(place_that_is_ahead_of_what_was_seen_is_not_behind),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
