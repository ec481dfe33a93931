/*
 * How often a batch waits for the network: at 20 ms a round trip that is what decides the rate. Counted are the round
 * trips by which a job with more batches exceeds one with fewer, everything else being equal.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/proxy.h"
#include "support/server.h"
#include "support/session.h"

#include "util/banned.h"

enum
{
    ROWS = 2000
};

typedef void (*change_spec)(pawl_test_job *j);

/* Round trips of the workers of a job over ROWS rows in one chunk, with batches of so many. */
static int
turns_of(const char *name, change_spec change, int64_t batch_rows)
{
    const char *db = pawl_test_counted(name, "bigint", ROWS);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job j;
    int turns;

    pawl_test_exec(db, "CREATE TABLE h (source bigint PRIMARY KEY, n int)");
    pawl_test_proxy_conninfo(proxy, name, through, sizeof through);
    pawl_test_job_prepare(&j, through, name);
    if (change != NULL)
        change(&j);
    j.spec.batch_rows = batch_rows;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    assert_int_equal(j.result.progress.batches, ROWS / batch_rows + 1);
    turns = pawl_test_proxy_turns(proxy, " worker ");
    pawl_test_proxy_stop(proxy);
    return turns;
}

/* The larger batches are small enough to be sent at once. */
static void
assert_round_trips(const char *name, change_spec change, int expected)
{
    int few = turns_of(name, change, 200);
    int many = turns_of(name, change, 50);
    int batches = ROWS / 50 - ROWS / 200;

    /* More or less by some: on a busy machine a request may come to the server in two pieces, or a lease be renewed. */
    if (2 * (many - few) < (2 * expected - 1) * batches || many - few >= (expected + 1) * batches)
        fail_msg("%d batches more took %d round trips more, not %d each", batches, many - few, expected);
}

static void
a_batch_of_lua_is_two_round_trips(void **state)
{
    (void) state;
    assert_round_trips("lua", NULL, 2);
}

static void
by_expressions(pawl_test_job *j)
{
    static const pawl_set_expression set[] = {{"n", "n + 1"}};

    j->spec.lua_file = NULL;
    j->spec.nread = 0;
    j->spec.nwrite = 0;
    j->spec.set = set;
    j->spec.nset = 1;
}

static void
a_batch_of_expressions_is_two_round_trips(void **state)
{
    (void) state;
    assert_round_trips("set", by_expressions, 2);
}

static void
into_another(pawl_test_job *j)
{
    static const char *const write[] = {"source", "n"};
    static const char *const key[] = {"source"};

    (void) pawl_test_transform("into", "return function(row) return { source = row.id, n = row.n } end");
    j->spec.lua_file = "transforms/into.lua";
    j->spec.write = write;
    j->spec.nwrite = 2;
    j->spec.into = "h";
    j->spec.merge = key;
    j->spec.nmerge = 1;
}

static void
a_merged_batch_is_three_round_trips(void **state)
{
    (void) state;
    assert_round_trips("merge", into_another, 3);
}

static void
by_copy(pawl_test_job *j)
{
    into_another(j);
    j->spec.merge = NULL;
    j->spec.nmerge = 0;
}

/* A COPY is asked for and then sent: libpq does not let it into a pipeline; and it goes before what locks rows. */
static void
a_copied_batch_is_five_round_trips(void **state)
{
    (void) state;
    assert_round_trips("copy", by_copy, 5);
}

/* Sized by time, a batch grows until the network is a small part of it. */
static void
batches_grow_with_the_time_that_the_network_takes(void **state)
{
    const char *db = pawl_test_counted("grow", "bigint", 20000);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];
    pawl_test_job j;

    (void) state;
    pawl_test_proxy_conninfo(proxy, "grow", through, sizeof through);
    pawl_test_proxy_delay(proxy, 20);
    pawl_test_job_prepare(&j, through, "grow");
    j.spec.batch_rows = 0;
    j.spec.batch_min = 100;
    pawl_test_job_go(&j);
    pawl_test_job_finish(&j);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 20000);
    /* 200 of them if they stayed as they begin. */
    assert_in_range(j.result.progress.batches, 1, 40);
}

/* A backfill through a proxy that takes its time, with batches sized by theirs. */
static void
go_far(pawl_test_job *j, const char *name, int rows, pawl_form_choice form, int delay_ms)
{
    const char *db = pawl_test_counted(name, "bigint", rows);
    pawl_test_proxy *proxy = pawl_test_proxy_start();
    char through[300];

    pawl_test_proxy_conninfo(proxy, name, through, sizeof through);
    pawl_test_proxy_delay(proxy, delay_ms);
    pawl_test_job_prepare(j, through, name);
    j->spec.form = form;
    j->spec.batch_rows = 0;
    j->spec.batch_min = 100;
    pawl_test_job_go(j);
    pawl_test_job_finish(j);
    pawl_test_proxy_stop(proxy);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), rows);
}

/* It goes by what a transaction takes, and not by the twelve of a batch, which are longer than the target at any size. */
static void
batches_in_stripes_grow_as_well(void **state)
{
    pawl_test_job j;

    (void) state;
    go_far(&j, "far_striped", 40000, PAWL_FORM_STRIPED, 12);
    /* 4,800 transactions if they stayed as they begin. */
    assert_in_range(j.result.progress.batches, 1, 400);
}

static void
a_server_that_is_far_is_written_to_plainly(void **state)
{
    pawl_test_job j;

    (void) state;
    go_far(&j, "far_auto", 100000, PAWL_FORM_AUTO, 5);
    pawl_test_assert_query(pawl_test_conninfo("far_auto"),
                           "SELECT count(*) FROM pawl.event WHERE kind = 'job_form' AND detail LIKE "
                           "'plain: the server is far (% ms a round trip)'",
                           "1");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_batch_of_lua_is_two_round_trips),
        cmocka_unit_test(a_batch_of_expressions_is_two_round_trips),
        cmocka_unit_test(a_merged_batch_is_three_round_trips),
        cmocka_unit_test(a_copied_batch_is_five_round_trips),
        cmocka_unit_test(batches_grow_with_the_time_that_the_network_takes),
        cmocka_unit_test(batches_in_stripes_grow_as_well),
        cmocka_unit_test(a_server_that_is_far_is_written_to_plainly),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
