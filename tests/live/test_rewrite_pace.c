/* The copy of a rewrite, held back by what the step says and by people, without a transaction open meanwhile. */
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/form.h"
#include "support/job.h"
#include "support/server.h"
#include "support/writers.h"
#include "util/clock.h"

#include "util/banned.h"

static const pawl_rewrite_id id = {
    .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};
static const pawl_rewrite_column change[] = {{.name = "n", .type = "bigint", .not_null = -1}};

typedef struct run
{
    const char *db;
    pawl_rewrite_spec spec;
    const char *waits_for; /* words of what holds it back */
    atomic_bool has_heard;
    pawl_error err;
    pawl_status st;
    pthread_t thread;
} run;

static void
hear(void *ctx, const pawl_event *event)
{
    run *r = ctx;

    if (event->kind == PAWL_EVENT_PROGRESS && r->waits_for != NULL &&
        strstr(event->progress->holding, r->waits_for) != NULL)
        atomic_store(&r->has_heard, true);
}

static void *
rewrite_main(void *arg)
{
    run *r = arg;
    pawl_backfill_env base = pawl_test_env(r->db, NULL);
    const pawl_sink sink = {.emit = hear, .ctx = r};
    const pawl_rewrite_env env = {.base = &base};
    pawl_rewrite_result result;

    base.sink = &sink;
    r->st = pawl_rewrite_run(&r->spec, &env, &id, &result, &r->err);
    return NULL;
}

static void
begin(run *r, const char *name)
{
    *r = (run){.db = pawl_test_counted(name, "int", 6000),
               .spec = {.table = "t", .change = change, .nchange = 1, .keeps_old = true, .batch_rows = 2000},
               .err = PAWL_ERROR_INIT};
    pawl_test_exec(r->db, "CREATE TABLE load (ms float); INSERT INTO load VALUES (300)");
}

static void
go(run *r)
{
    assert_int_equal(pthread_create(&r->thread, NULL, rewrite_main, r), 0);
}

static void
finish(run *r)
{
    assert_int_equal(pthread_join(r->thread, NULL), 0);
    if (r->st != PAWL_OK)
        fail_msg("%s (%s) %s / %s", r->err.message, r->err.sqlstate, r->err.detail, r->err.hint);
    assert_int_equal(pawl_test_query_i64(r->db, "SELECT count(*) FROM t"), 6000);
    assert_int_equal(pawl_test_query_i64(r->db,
                                         "SELECT (atttypid = 'bigint'::regtype)::int FROM pg_attribute WHERE "
                                         "attrelid = 't'::regclass AND attname = 'n'"),
                     1);
}

static void
wait_until_held(run *r)
{
    for (int i = 0; !atomic_load(&r->has_heard); i++)
    {
        if (i > 600)
            fail_msg("it is not held back");
        pawl_test_pause_ms(100);
    }
}

#define OPEN_TRANSACTIONS                                                                                  \
    "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'pawl rewrite%' AND xact_start IS " \
    "NOT NULL"

static void
rate_is_kept(void **state)
{
    run r;
    int64_t began_us = pawl_clock_us();

    (void) state;
    begin(&r, "pace_rate");
    r.spec.throttle.max_rate = 1500;
    go(&r);
    finish(&r);
    assert_true(pawl_clock_us() - began_us > 2500000); /* 6,000 rows; the first 1,500 at once */
    assert_true(pawl_test_query_i64(r.db, "SELECT batches FROM pawl.progress WHERE chunk_id = 1") >= 4);
}

static void
probe_holds_the_copy_back_without_an_open_transaction(void **state)
{
    run r;

    (void) state;
    begin(&r, "pace_probe");
    r.spec.throttle.probe = "SELECT pg_sleep(ms / 1000.0) FROM load";
    r.spec.throttle.probe_max_ms = 60;
    r.waits_for = "the probe took";
    go(&r);
    wait_until_held(&r);
    assert_int_equal(pawl_test_query_i64(r.db, OPEN_TRANSACTIONS), 0);
    assert_int_equal(pawl_test_query_i64(r.db, "SELECT count(*) FROM pawl.progress WHERE cursor IS NOT NULL"),
                     0);
    pawl_test_exec(r.db, "UPDATE load SET ms = 0");
    finish(&r);
}

static void
copy_is_paused_and_goes_on(void **state)
{
    run r;

    (void) state;
    begin(&r, "pace_pause");
    r.spec.throttle.max_rate = 600; /* slow enough to be met */
    r.waits_for = "paused by";
    go(&r);
    pawl_test_wait_until(
        r.db, "SELECT count(*) > 0 FROM pawl.progress WHERE chunk_id = 1 AND cursor IS NOT NULL", 60000);
    pawl_test_exec(r.db, "INSERT INTO pawl.control (job_id, action, from_where) VALUES (1, 'pause', 'test')");
    wait_until_held(&r);
    assert_int_equal(pawl_test_query_i64(r.db, "SELECT count(*) FROM pawl.job WHERE phase = 'copy'"), 1);
    pawl_test_exec(r.db, "INSERT INTO pawl.control (job_id, action, value, from_where) VALUES (1, 'tune', "
                         "'max_rate=none', 'test'), (1, 'resume', '', 'test')");
    finish(&r);
}

static void
worker_that_is_one_too_many_waits_until_it_is_wanted_again(void **state)
{
    run r;

    (void) state;
    begin(&r, "pace_fewer");
    r.spec.workers = 2;
    r.spec.batch_rows = 100;
    r.spec.throttle.max_rate = 600;
    r.waits_for = "one worker too many";
    go(&r);
    pawl_test_wait_until(
        r.db, "SELECT count(*) > 0 FROM pawl.progress WHERE chunk_id = 1 AND cursor IS NOT NULL", 60000);
    pawl_test_exec(r.db, "INSERT INTO pawl.control (job_id, action, value, from_where) VALUES (1, 'tune', "
                         "'workers=1', 'test')");
    wait_until_held(&r);
    pawl_test_exec(r.db, "INSERT INTO pawl.control (job_id, action, value, from_where) VALUES (1, 'tune', "
                         "'workers=2', 'test'), (1, 'tune', 'max_rate=none', 'test')");
    finish(&r);
}

/* The second range waits for longer than a session may be idle in a transaction. */
static void
range_that_takes_minutes_costs_nobody_his_session(void **state)
{
    run r;

    (void) state;
    if (!pawl_test_is_long())
        skip();
    begin(&r, "pace_slow");
    r.spec.workers = 2;
    r.spec.change = &(pawl_rewrite_column){
        .name = "n",
        .type = "bigint",
        .using = "CASE WHEN id <= 75 THEN n + length(pg_catalog.pg_sleep(1)::text) ELSE n END",
        .not_null = -1};
    go(&r);
    finish(&r);
    assert_int_equal(pawl_test_query_i64(r.db, "SELECT fence FROM pawl.progress WHERE chunk_id = 1"), 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_kept),
        cmocka_unit_test(probe_holds_the_copy_back_without_an_open_transaction),
        cmocka_unit_test(copy_is_paused_and_goes_on),
        cmocka_unit_test(range_that_takes_minutes_costs_nobody_his_session),
        cmocka_unit_test(worker_that_is_one_too_many_waits_until_it_is_wanted_again),
    };

    pawl_test_choose();
    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
