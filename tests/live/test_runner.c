/* The lease of the one runner against a real server. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "ledger/history.h"
#include "ledger/runner.h"
#include "pawl_sql.h"
#include "support/place.h"
#include "support/process.h"
#include "support/server.h"
#include "util/alloc.h"
#include "util/clock.h"

#include "util/banned.h"

/* ---- the runner ------------------------------------------------------------------------------------------------- */

static pawl_runner_options
options_of(const pawl_test_place *p, int64_t lease_ms, int64_t wait_ms)
{
    return (pawl_runner_options){.conninfo = p->conninfo,
                                 .schema = PAWL_TEST_SCHEMA,
                                 .doing = "upgrade head",
                                 .lease_ms = lease_ms,
                                 .wait_ms = wait_ms};
}

static pawl_runner *
acquire(pawl_test_place *p, int64_t lease_ms, int64_t wait_ms)
{
    pawl_runner_options options = options_of(p, lease_ms, wait_ms);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *runner = NULL;

    pawl_test_is_ok(pawl_runner_acquire(p->ledger, p->pg, &options, &runner, &err), &err);
    return runner;
}

static pawl_test_place
neighbour(const pawl_test_place *p)
{
    return (pawl_test_place){.conninfo = p->conninfo,
                             .pg = pawl_test_session(p->conninfo),
                             .ledger = pawl_test_ledger_in(PAWL_TEST_SCHEMA)};
}

#define HEART_IS_NAMED                                           \
    "SELECT EXISTS (SELECT FROM " PAWL_TEST_QUOTED               \
    ".runner r JOIN pg_stat_activity a ON a.pid = r.backend_pid" \
    " AND a.backend_start = r.backend_start WHERE a.application_name = 'pawl heartbeat')"

static void
wait_for_heart(const pawl_test_place *p)
{
    pawl_test_wait_until(p->conninfo, HEART_IS_NAMED, 10000);
}

static void
second_runner_is_told_who_holds_the_lease(void **state)
{
    pawl_test_place a = pawl_test_place_new("busy");
    pawl_test_place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 300);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *second = NULL;
    char process[32];

    (void) state;
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    assert_null(second);
    pawl_fmt(process, sizeof process, "process %ld", (long) getpid());
    assert_non_null(strstr(err.message, process));
    assert_non_null(strstr(err.message, "upgrade head"));
    assert_false(pawl_pg_is_in_transaction(b.pg));

    pawl_runner_release(first, a.ledger, a.pg);
    second = acquire(&b, 60000, 0);
    assert_int_equal(pawl_runner_fence(second), 2);
    pawl_runner_release(second, b.ledger, b.pg);
    pawl_test_place_end(&b);
    pawl_test_place_end(&a);
}

static void
release_leaves_a_free_row_and_no_session(void **state)
{
    pawl_test_place p = pawl_test_place_new("release");
    pawl_runner *runner = acquire(&p, 60000, 0);
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&p);
    pawl_test_txn_begin(p.pg);
    pawl_test_is_ok(pawl_runner_hold(runner, p.ledger, p.pg, &err), &err);
    pawl_runner_release(runner, p.ledger, p.pg); /* as after a failed step: the transaction is still open */

    assert_int_equal(
        pawl_test_query_i64(p.conninfo, "SELECT count(*) FROM " PAWL_TEST_QUOTED ".runner WHERE owner = ''"),
        1);
    pawl_test_wait_until(
        p.conninfo,
        "SELECT NOT EXISTS (SELECT FROM pg_stat_activity WHERE application_name = 'pawl heartbeat')", 5000);
    pawl_test_place_end(&p);
}

static void
heartbeat_keeps_the_lease_beyond_its_length(void **state)
{
    pawl_test_place a = pawl_test_place_new("beats");
    pawl_test_place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 900, 0);
    pawl_runner_options options = options_of(&b, 900, 2500);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_runner *second = NULL;

    (void) state;
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    pawl_test_txn_begin(a.pg);
    pawl_test_is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    pawl_test_txn_commit(a.pg);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_test_place_end(&b);
    pawl_test_place_end(&a);
}

static void
expired_lease_is_taken_and_its_stalled_holder_can_change_nothing(void **state)
{
    pawl_test_place a = pawl_test_place_new("expired");
    pawl_test_place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "UPDATE " PAWL_TEST_QUOTED ".runner SET lease_until = clock_timestamp() - interval '1 s'");
    second = acquire(&b, 60000, 0);
    assert_true(pawl_runner_fence(second) > pawl_runner_fence(first));

    pawl_test_txn_begin(a.pg);
    assert_int_equal(pawl_runner_hold(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    pawl_pg_rollback(a.pg);
    pawl_test_txn_begin(a.pg);
    assert_int_equal(pawl_runner_renew(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    pawl_pg_rollback(a.pg);

    /* Its release does not take the new holder's lease away. */
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_test_txn_begin(b.pg);
    pawl_test_is_ok(pawl_runner_hold(second, b.ledger, b.pg, &err), &err);
    pawl_test_txn_commit(b.pg);
    pawl_runner_release(second, b.ledger, b.pg);
    pawl_test_place_end(&b);
    pawl_test_place_end(&a);
}

/* A process of its own that takes the lease and then does nothing until it is killed. */
static pid_t
fork_holder(const char *conninfo)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
    {
        pawl_test_place p = {.conninfo = conninfo};
        pawl_error err = PAWL_ERROR_INIT;
        pawl_runner *runner = NULL;

        if (pawl_pg_open(&(pawl_pg_options){.conninfo = conninfo}, &p.pg, &err) == PAWL_OK &&
            pawl_ledger_new(PAWL_TEST_SCHEMA, &p.ledger, &err) == PAWL_OK)
        {
            pawl_runner_options options = options_of(&p, 600000, 0);

            if (pawl_runner_acquire(p.ledger, p.pg, &options, &runner, &err) == PAWL_OK)
                for (;;)
                    pause();
        }
        _exit(9);
    }
    return pid;
}

static void
lease_of_a_killed_process_is_free_at_once(void **state)
{
    pawl_test_place b = pawl_test_place_new("killed");
    pid_t pid = fork_holder(b.conninfo);
    int64_t begin_us;
    int status = 0;
    pawl_runner *runner;

    (void) state;
    wait_for_heart(&b);
    pawl_test_kill(pid, SIGKILL);
    assert_true(pawl_test_has_ended(pid, 5000, &status));
    begin_us = pawl_clock_us();
    runner = acquire(&b, 60000, 30000);
    assert_true(pawl_clock_us() - begin_us < 5000000);
    pawl_runner_release(runner, b.ledger, b.pg);
    pawl_test_place_end(&b);
}

static void
holder_whose_session_is_hidden_from_us_counts_as_alive(void **state)
{
    pawl_test_place a = pawl_test_place_new("hidden");
    pawl_test_place b = {.conninfo = a.conninfo, .ledger = pawl_test_ledger_in(PAWL_TEST_SCHEMA)};
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 0);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;
    char conninfo[600];

    (void) state;
    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "CREATE ROLE ledger_peer LOGIN; GRANT USAGE ON SCHEMA " PAWL_TEST_QUOTED " TO ledger_peer;"
                   "GRANT ALL ON ALL TABLES IN SCHEMA " PAWL_TEST_QUOTED " TO ledger_peer");
    pawl_fmt(conninfo, sizeof conninfo, "%s user=ledger_peer", a.conninfo);
    b.pg = pawl_test_session(conninfo);
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_test_place_end(&b);
    pawl_test_place_end(&a);
}

/* Take the row as if it had been seen with this fence and lease, its backend gone; rows taken. */
static int
take_dead(pawl_test_place *p, int64_t fence, const char *lease_until)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {
        PAWL_ARG_TEXT("other:2"),
        PAWL_ARG_TEXT("upgrade"),
        PAWL_ARG_NULL,
        PAWL_ARG_NULL,
        PAWL_ARG_I64(60000),
        PAWL_ARG_I64(fence),
        PAWL_ARG_TEXT(lease_until),
        PAWL_ARG_BOOL(true),
    };
    pawl_error err = PAWL_ERROR_INIT;

    pawl_test_txn_begin(p->pg);
    pawl_test_is_ok(pawl_ledger_query(p->ledger, p->pg, pawl_sql_ledger_runner_take, 8, args, &res, &err),
                    &err);
    pawl_test_txn_commit(p->pg);
    return pawl_pg_rows(res);
}

static void
dead_holders_lease_is_not_taken_when_it_was_renewed_since_the_look(void **state)
{
    pawl_test_place p = pawl_test_place_new("renewed");

    (void) state;
    pawl_test_exec(p.conninfo, "UPDATE " PAWL_TEST_QUOTED
                               ".runner SET owner = 'me:1', fence = 4, lease_until = '2100-01-02Z'");
    assert_int_equal(take_dead(&p, 4, "2100-01-01Z"), 0);
    assert_int_equal(take_dead(&p, 3, "2100-01-02Z"), 0);
    assert_int_equal(take_dead(&p, 4, "2100-01-02Z"), 1);
    pawl_test_place_end(&p);
}

static void
lease_survives_the_end_of_the_main_connection(void **state)
{
    pawl_test_place a = pawl_test_place_new("reopened");
    pawl_test_place b = neighbour(&a);
    pawl_runner *first = acquire(&a, 60000, 0);
    pawl_runner_options options = options_of(&b, 60000, 500);
    pawl_runner *second = NULL;
    pawl_error err = PAWL_ERROR_INIT;

    (void) state;
    wait_for_heart(&a);
    pawl_pg_close(a.pg);
    assert_int_equal(pawl_runner_acquire(b.ledger, b.pg, &options, &second, &err), PAWL_E_BUSY);

    a.pg = pawl_test_session(a.conninfo);
    pawl_test_txn_begin(a.pg);
    pawl_test_is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    pawl_test_is_ok(pawl_runner_renew(first, a.ledger, a.pg, &err), &err);
    pawl_test_txn_commit(a.pg);
    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT (" HEART_IS_NAMED ")::int"), 1);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_test_place_end(&b);
    pawl_test_place_end(&a);
}

static void
heartbeat_opens_a_new_connection_when_its_own_is_cut(void **state)
{
    pawl_test_place p = pawl_test_place_new("cutheart");
    pawl_runner *runner = acquire(&p, 1500, 0);

    (void) state;
    wait_for_heart(&p);
    pawl_test_exec(p.conninfo,
                   "SELECT pg_terminate_backend(backend_pid, 5000) FROM " PAWL_TEST_QUOTED ".runner");
    wait_for_heart(&p);
    assert_int_equal(pawl_test_query_i64(p.conninfo, "SELECT fence FROM " PAWL_TEST_QUOTED ".runner"), 1);
    pawl_runner_release(runner, p.ledger, p.pg);
    pawl_test_place_end(&p);
}

/* One that waits for the lease in a thread. */
typedef struct waiter
{
    pawl_test_place p;
    pawl_runner_options options;
    pawl_runner *runner;
    pawl_status st;
    pawl_error err;
    int64_t done_us;
    int waiting_events;
} waiter;

static void
count_waiting(void *ctx, const pawl_event *event)
{
    waiter *w = ctx;

    if (event->kind == PAWL_EVENT_WAITING && strstr(event->text, "upgrade head") != NULL)
        w->waiting_events++;
}

static void *
wait_for_lease(void *arg)
{
    waiter *w = arg;
    pawl_sink sink = {.emit = count_waiting, .ctx = w};

    w->options.sink = &sink;
    w->st = pawl_pg_open(&(pawl_pg_options){.conninfo = w->p.conninfo}, &w->p.pg, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_ledger_new(PAWL_TEST_SCHEMA, &w->p.ledger, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_runner_acquire(w->p.ledger, w->p.pg, &w->options, &w->runner, &w->err);
    w->done_us = pawl_clock_us();
    pawl_runner_release(w->runner, w->p.ledger, w->p.pg);
    pawl_test_place_end(&w->p);
    return NULL;
}

static waiter
waiter_of(const pawl_test_place *p, int64_t wait_ms)
{
    waiter w = {.p = {.conninfo = p->conninfo}};

    w.options = options_of(p, 60000, wait_ms);
    return w;
}

#define SOMEBODY_WAITS                                                                           \
    "SELECT EXISTS (SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND query LIKE " \
    "'%UPDATE%runner%')"

/* A step is in flight when the lease runs out. Renewed before COMMIT, it stays; not renewed, it goes. */
static void
take_over_waits_for_the_step_in_flight(bool is_renewed)
{
    pawl_test_place a = pawl_test_place_new(is_renewed ? "inflight_renewed" : "inflight");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, is_renewed ? 3000 : 20000);
    pawl_error err = PAWL_ERROR_INIT;
    pthread_t thread;
    int64_t end_us;

    wait_for_heart(&a);
    pawl_test_exec(a.conninfo,
                   "UPDATE " PAWL_TEST_QUOTED ".runner SET lease_until = clock_timestamp() - interval '1 s'");
    pawl_test_txn_begin(a.pg);
    pawl_test_is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_wait_until(a.conninfo, SOMEBODY_WAITS, 10000);
    pawl_test_sleep_ms(700); /* more than one of its lock time-outs */
    if (is_renewed)
        pawl_test_is_ok(pawl_runner_renew(first, a.ledger, a.pg, &err), &err);
    end_us = pawl_clock_us();
    pawl_test_txn_commit(a.pg);
    assert_int_equal(pthread_join(thread, NULL), 0);

    pawl_test_txn_begin(a.pg);
    if (is_renewed)
    {
        assert_int_equal(w.st, PAWL_E_BUSY);
        pawl_test_is_ok(pawl_runner_hold(first, a.ledger, a.pg, &err), &err);
    }
    else
    {
        pawl_test_is_ok(w.st, &w.err);
        assert_true(w.done_us >= end_us);
        assert_int_equal(pawl_runner_hold(first, a.ledger, a.pg, &err), PAWL_E_LEASE);
    }
    pawl_pg_rollback(a.pg);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_test_place_end(&a);
}

static void
take_over_waits_for_a_step_that_ends_without_renewing(void **state)
{
    (void) state;
    take_over_waits_for_the_step_in_flight(false);
}

static void
take_over_finds_nothing_after_a_step_that_renews(void **state)
{
    (void) state;
    take_over_waits_for_the_step_in_flight(true);
}

static void
waiting_runner_gets_the_lease_when_it_is_released(void **state)
{
    pawl_test_place a = pawl_test_place_new("handover");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, 20000);
    pthread_t thread;

    (void) state;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_sleep_ms(1500);
    pawl_runner_release(first, a.ledger, a.pg);
    assert_int_equal(pthread_join(thread, NULL), 0);
    pawl_test_is_ok(w.st, &w.err);
    assert_in_range(w.waiting_events, 1, 3);
    pawl_test_place_end(&a);
}

static void
waiting_ends_when_a_stop_is_requested(void **state)
{
    pawl_test_place a = pawl_test_place_new("stopped");
    pawl_runner *first = acquire(&a, 60000, 0);
    waiter w = waiter_of(&a, 60000);
    pawl_error err = PAWL_ERROR_INIT;
    pawl_stop *stop = NULL;
    pthread_t thread;
    int64_t begin_us;

    (void) state;
    pawl_test_is_ok(pawl_stop_new(&stop, &err), &err);
    w.options.stop = stop;
    assert_int_equal(pthread_create(&thread, NULL, wait_for_lease, &w), 0);
    pawl_test_sleep_ms(300);
    begin_us = pawl_clock_us();
    pawl_stop_request(stop);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(w.st, PAWL_E_STOPPED);
    assert_true(pawl_clock_us() - begin_us < 2000000);
    pawl_runner_release(first, a.ledger, a.pg);
    pawl_stop_free(stop);
    pawl_test_place_end(&a);
}

#define CROWD 20

/* Each takes the lease, reads a number, waits a little, writes it back: a lost update shows two at a time. */
static void *
take_turn(void *arg)
{
    waiter *w = arg;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    char sql[100];

    w->st = pawl_pg_open(&(pawl_pg_options){.conninfo = w->p.conninfo}, &w->p.pg, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_ledger_new(PAWL_TEST_SCHEMA, &w->p.ledger, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_runner_acquire(w->p.ledger, w->p.pg, &w->options, &w->runner, &w->err);
    if (w->st == PAWL_OK)
        w->st = pawl_pg_query(w->p.pg, "SELECT n FROM public.turns", 0, NULL, &res, &w->err);
    if (w->st == PAWL_OK)
    {
        pawl_test_sleep_ms(10);
        pawl_fmt(sql, sizeof sql, "UPDATE public.turns SET n = %d", (int) pawl_pg_i64(res, 0, 0) + 1);
        w->st = pawl_pg_exec(w->p.pg, sql, &w->err);
    }
    pawl_runner_release(w->runner, w->p.ledger, w->p.pg);
    pawl_test_place_end(&w->p);
    return NULL;
}

static void
twenty_at_once_take_turns(void **state)
{
    pawl_test_place a = pawl_test_place_new("crowd");
    static waiter waiters[CROWD];
    pthread_t threads[CROWD];

    (void) state;
    pawl_test_exec(a.conninfo, "CREATE TABLE public.turns AS SELECT 0 AS n");
    for (size_t i = 0; i < CROWD; i++)
    {
        waiters[i] = waiter_of(&a, 60000);
        assert_int_equal(pthread_create(&threads[i], NULL, take_turn, &waiters[i]), 0);
    }
    for (size_t i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    for (size_t i = 0; i < CROWD; i++)
        pawl_test_is_ok(waiters[i].st, &waiters[i].err);

    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT n FROM public.turns"), CROWD);
    assert_int_equal(pawl_test_query_i64(a.conninfo, "SELECT fence FROM " PAWL_TEST_QUOTED ".runner"), CROWD);
    pawl_test_place_end(&a);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(second_runner_is_told_who_holds_the_lease),
        cmocka_unit_test(release_leaves_a_free_row_and_no_session),
        cmocka_unit_test(heartbeat_keeps_the_lease_beyond_its_length),
        cmocka_unit_test(expired_lease_is_taken_and_its_stalled_holder_can_change_nothing),
        cmocka_unit_test(lease_of_a_killed_process_is_free_at_once),
        cmocka_unit_test(holder_whose_session_is_hidden_from_us_counts_as_alive),
        cmocka_unit_test(dead_holders_lease_is_not_taken_when_it_was_renewed_since_the_look),
        cmocka_unit_test(lease_survives_the_end_of_the_main_connection),
        cmocka_unit_test(heartbeat_opens_a_new_connection_when_its_own_is_cut),
        cmocka_unit_test(take_over_waits_for_a_step_that_ends_without_renewing),
        cmocka_unit_test(take_over_finds_nothing_after_a_step_that_renews),
        cmocka_unit_test(waiting_runner_gets_the_lease_when_it_is_released),
        cmocka_unit_test(waiting_ends_when_a_stop_is_requested),
        cmocka_unit_test(twenty_at_once_take_turns),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
