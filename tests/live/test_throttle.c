/* What holds a backfill back, each against the real thing. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "support/job.h"
#include "support/process.h"
#include "support/project.h"
#include "support/session.h"
#include "util/clock.h"

#include "util/banned.h"

/* What the run last said that it is held by, and whether it ever said it. */
typedef struct heard
{
    char words[64];
    bool is_said;
    char last[256];
} heard;

static void
hear(void *ctx, const pawl_event *event)
{
    heard *h = ctx;

    if (event->kind != PAWL_EVENT_PROGRESS || event->progress->holding[0] == '\0')
        return;
    (void) snprintf(h->last, sizeof h->last, "%s", event->progress->holding);
    h->is_said = h->is_said || strstr(h->last, h->words) != NULL;
}

typedef struct run
{
    const char *db;
    heard heard;
    pawl_sink sink;
    pawl_test_job job;
} run;

/* A job over `rows` rows by batches of 100; `words` is what should be heard. */
static void
prepare(run *r, const char *name, int rows, const char *words)
{
    memset(r, 0, sizeof *r);
    r->db = pawl_test_counted(name, "bigint", rows);
    pawl_test_job_prepare(&r->job, r->db, name);
    (void) snprintf(r->heard.words, sizeof r->heard.words, "%s", words);
    r->sink = (pawl_sink){.emit = hear, .ctx = &r->heard};
    r->job.env.sink = &r->sink;
}

static int64_t
written(const run *r)
{
    return pawl_test_query_i64(r->db, "SELECT coalesce(sum(rows_written), 0) FROM pawl.progress");
}

static void
assert_once(const run *r, int rows)
{
    assert_int_equal(pawl_test_query_i64(r->db, "SELECT count(*) FROM t WHERE n = 1"), rows);
}

/* Held: for a while not a row is written, though there are some left. */
static void
assert_held(run *r)
{
    int64_t before;

    pawl_test_sleep_ms(600);
    before = written(r);
    pawl_test_sleep_ms(600);
    assert_int_equal(written(r), before);
}

static void
assert_said(const run *r)
{
    if (!r->heard.is_said)
        fail_msg("never heard \"%s\"; the last was \"%s\"", r->heard.words, r->heard.last);
}

static void
tune(const run *r, const char *value)
{
    char sql[300];

    (void) snprintf(
        sql, sizeof sql,
        "INSERT INTO pawl.control (job_id, action, value, from_where) VALUES (1, 'tune', '%s', 'test')",
        value);
    pawl_test_exec(r->db, sql);
}

static void
keep_rate(const char *name, pawl_form_choice form, int workers)
{
    run r;
    int64_t from_us;
    int64_t from;
    double rate;

    prepare(&r, name, 12000, "max_rate 2000 rows/s");
    r.job.spec.workers = workers;
    r.job.spec.batch_rows = 0;
    r.job.spec.form = form;
    r.job.spec.throttle.max_rate = 2000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 500 FROM pawl.progress", 10000);
    from = written(&r);
    from_us = pawl_clock_us();
    pawl_test_sleep_ms(4000);
    rate = (double) (written(&r) - from) * 1e6 / (double) (pawl_clock_us() - from_us);
    tune(&r, "max_rate=none");
    pawl_test_job_finish(&r.job);
    if (rate < 1900 || rate > 2100)
        fail_msg("%s: %.0f rows/s", name, rate);
    assert_said(&r);
    assert_once(&r, 12000);
}

static void
rate_is_kept_within_five_percent(void **state)
{
    (void) state;
    keep_rate("rate", PAWL_FORM_PLAIN, 3);
    keep_rate("rate_striped", PAWL_FORM_STRIPED, 2);
}

/* Each takes its share, so that together they keep the rate. */
static void
rate_is_that_of_all_processes_together(void **state)
{
    const char *db = pawl_test_database_new("rates");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const upgrade[] = {"upgrade", "--workers", "1", "--max-rate", "4000", NULL};
    const char *const work[] = {"work", "1", "--workers", "2", "--max-rate", "4000", NULL};
    pawl_test_process *one;
    pawl_test_process *two;
    pawl_test_output output;
    int64_t from_us;
    int64_t from;
    double rate;

    (void) state;
    pawl_test_exec(db, "CREATE TABLE t (id bigint PRIMARY KEY, n int NOT NULL DEFAULT 0);"
                       "INSERT INTO t SELECT g FROM generate_series(1, 100000) g; ANALYZE t");
    pawl_test_project_write(dir, "migrations/aaaa1111.yaml",
                            "revision: \"aaaa1111\"\nparents: []\nup:\n  - backfill:\n      table: public.t\n"
                            "      set: { n: \"n + 1\" }\n    down: nothing\n");
    one = pawl_test_start(upgrade, NULL, dir);
    pawl_test_wait_until(db, "SELECT to_regclass('pawl.progress') IS NOT NULL", 20000);
    pawl_test_wait_until(db, "SELECT coalesce(sum(rows_written), 0) > 0 FROM pawl.progress", 20000);
    two = pawl_test_start(work, NULL, dir);
    pawl_test_wait_until(db, "SELECT count(*) = 3 FROM pawl.worker WHERE rows_per_s > 0", 20000);
    pawl_test_sleep_ms(1200);
    from = pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress");
    from_us = pawl_clock_us();
    pawl_test_sleep_ms(4000);
    rate = (double) (pawl_test_query_i64(db, "SELECT sum(rows_written) FROM pawl.progress") - from) * 1e6 /
           (double) (pawl_clock_us() - from_us);
    pawl_test_exec(db, "INSERT INTO pawl.control (job_id, action, value, from_where) "
                       "VALUES (1, 'tune', 'max_rate=none', 'test')");
    output = pawl_test_wait(two, 60000);
    assert_int_equal(output.exit_code, 0);
    pawl_test_output_free(&output);
    output = pawl_test_wait(one, 60000);
    assert_int_equal(output.exit_code, 0);
    pawl_test_output_free(&output);
    if (rate < 3800 || rate > 4200)
        fail_msg("%.0f rows/s", rate);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM t WHERE n = 1"), 100000);
    assert_int_equal(pawl_test_query_i64(db, "SELECT count(*) FROM pawl.worker"), 0);
}

static void
standby_that_falls_behind_holds_it_back(void **state)
{
    const char *standby = pawl_test_standby_conninfo("postgres");
    run r;

    (void) state;
    prepare(&r, "lag", 20000, "standby follower is ");
    r.job.spec.throttle.max_lag_ms = 400;
    r.job.spec.throttle.max_rate = 3000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 500 FROM pawl.progress", 10000);
    pawl_test_exec(standby, "SELECT pg_wal_replay_pause()");
    pawl_test_sleep_ms(800);
    assert_held(&r);
    assert_true(written(&r) < 20000);
    pawl_test_exec(standby, "SELECT pg_wal_replay_resume()");
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 20000);
}

/* In bytes, while no time is looked at. */
static void
standby_that_is_behind_by_bytes_holds_it_back(void **state)
{
    const char *standby = pawl_test_standby_conninfo("postgres");
    run r;

    (void) state;
    prepare(&r, "bytes", 20000, "of WAL behind (max_lag 300.0 KiB)");
    r.job.spec.throttle.max_lag_bytes = 300 << 10;
    r.job.spec.throttle.max_rate = 5000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 500 FROM pawl.progress", 10000);
    pawl_test_exec(standby, "SELECT pg_wal_replay_pause()");
    pawl_test_wait_until(
        r.db,
        "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE 'standby follower is % KiB of WAL behind%'",
        20000);
    assert_held(&r);
    assert_true(written(&r) < 20000);
    /* Each is tuned alone, and does not take the other back. */
    tune(&r, "max_lag=200kB");
    pawl_test_wait_until(
        r.db, "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE '%(max_lag 200.0 KiB)'", 20000);
    tune(&r, "max_lag=1h");
    assert_held(&r);
    pawl_test_wait_until(
        r.db, "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE '%(max_lag 200.0 KiB)'", 20000);
    /* Time is looked at beside it, and says more. */
    tune(&r, "max_lag=300ms");
    pawl_test_wait_until(r.db,
                         "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE 'standby follower is % "
                         "behind (max_lag 300 ms)'",
                         20000);
    assert_held(&r);
    pawl_test_exec(standby, "SELECT pg_wal_replay_resume()");
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 20000);
}

static int64_t
wal_of(const run *r)
{
    return pawl_test_query_i64(r->db, "SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::bigint");
}

/* A megabyte a second, of which a job without a limit writes some thirty in as long. */
static void
wal_rate_is_kept_for_the_whole_server(void **state)
{
    run r;
    int64_t from;
    int64_t bytes;

    (void) state;
    prepare(&r, "wal", 150000, "(max_wal_rate 1.0 MiB/s)");
    pawl_test_exec(r.db, "CREATE TABLE other (n int); CHECKPOINT");
    r.job.spec.throttle.max_wal_rate = 1 << 20;
    r.job.spec.batch_rows = 500;
    from = wal_of(&r);
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 1000 FROM pawl.progress", 10000);
    pawl_test_sleep_ms(4000);
    bytes = wal_of(&r) - from;
    assert_true(written(&r) < 150000);
    if (bytes > 9 << 20)
        fail_msg("%lld bytes of WAL", (long long) bytes);
    assert_said(&r);

    /* What others write counts: some seconds' worth, and the job waits though it writes nothing. */
    pawl_test_exec(r.db, "INSERT INTO other SELECT generate_series(1, 200000)");
    pawl_test_wait_until(r.db, "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE '%max_wal_rate%'",
                         10000);
    assert_held(&r);
    tune(&r, "max_wal_rate=none");
    pawl_test_job_finish(&r.job);
    assert_once(&r, 150000);
}

static void
slot_that_nobody_reads_holds_it_back(void **state)
{
    run r;

    (void) state;
    prepare(&r, "slot", 20000, "slot left, which nobody reads is ");
    pawl_test_exec(r.db, "SELECT pg_create_physical_replication_slot('left', true)");
    r.job.spec.throttle.max_lag_ms = 300;
    r.job.spec.throttle.max_rate = 3000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 0 FROM pawl.progress", 10000);
    pawl_test_sleep_ms(500);
    assert_held(&r);
    pawl_test_exec(r.db, "SELECT pg_drop_replication_slot('left')");
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 20000);
}

/* One worker is slow with a batch whose row somebody waits for: the other begins nothing meanwhile. */
static void
session_that_waits_for_a_worker_holds_all_back(void **state)
{
    run r;
    PGconn *waiter;

    (void) state;
    prepare(&r, "waiters", 4000, "1 session waits for locks of the workers (lock_waiters 0)");
    pawl_test_exec(r.db, "CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS "
                         "'BEGIN PERFORM pg_sleep(3); RETURN NULL; END';"
                         "CREATE TRIGGER slow AFTER UPDATE ON t FOR EACH ROW WHEN (new.id = 1 AND new.n = 1) "
                         "EXECUTE FUNCTION slow()");
    r.job.spec.throttle.waiters_below = 1;
    r.job.spec.throttle.max_rate = 1000;
    r.job.spec.workers = 2;
    r.job.spec.chunk_rows = 500;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event = 'PgSleep'",
                         10000);
    waiter = pawl_test_connect(r.db);
    assert_int_equal(PQsendQuery(waiter, "UPDATE t SET s = 'y' WHERE id = 2"), 1);
    pawl_test_wait_until(r.db, "SELECT count(*) = 1 FROM pg_stat_activity WHERE wait_event_type = 'Lock'",
                         5000);
    assert_held(&r);
    tune(&r, "max_rate=none");
    pawl_test_job_finish(&r.job);
    PQfinish(waiter);
    assert_said(&r);
    assert_once(&r, 4000);
}

static void
slow_probe_holds_it_back(void **state)
{
    run r;

    (void) state;
    prepare(&r, "probe", 6000, "the probe took ");
    pawl_test_exec(r.db, "CREATE TABLE load (ms int); INSERT INTO load VALUES (0)");
    r.job.spec.throttle.probe = "SELECT pg_sleep(ms / 1000.0) FROM load";
    r.job.spec.throttle.probe_max_ms = 60;
    r.job.spec.throttle.max_rate = 3000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 500 FROM pawl.progress", 10000);
    pawl_test_exec(r.db, "UPDATE load SET ms = 90");
    assert_held(&r);
    pawl_test_exec(r.db, "UPDATE load SET ms = 20000");
    assert_held(&r);
    pawl_test_exec(r.db, "UPDATE load SET ms = 0");
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 6000);
}

static void
what_cannot_be_asked_ends_the_run_before_it_begins(void **state)
{
    run r;

    (void) state;
    prepare(&r, "broken", 1000, "");
    r.job.spec.throttle.probe = "SELECT no_such_column FROM t";
    r.job.spec.throttle.probe_max_ms = 60;
    pawl_test_job_go(&r.job);
    pawl_test_job_join(&r.job);
    assert_int_equal(r.job.st, PAWL_E_SERVER);
    pawl_test_assert_contains(r.job.err.message, "the probe failed");
    assert_int_equal(written(&r), 0);

    (void) snprintf(r.job.spec.throttle.window, PAWL_WINDOW_MAX, "00:00-24:00 Europe/Berln");
    r.job.spec.throttle.probe = NULL;
    pawl_test_job_go(&r.job);
    pawl_test_job_join(&r.job);
    assert_int_equal(r.job.st, PAWL_E_SERVER);
    pawl_test_assert_contains(r.job.err.message, "Europe/Berln");
    assert_int_equal(written(&r), 0);
}

/* A window that is closed for the next hours, and one that is open, in a zone that is not the server's. */
static void
window_is_waited_for(void **state)
{
    run r;
    char *closed;

    (void) state;
    prepare(&r, "window", 3000, "outside of the window ");
    closed = pawl_test_query_text(
        r.db, "SELECT to_char(timezone('Asia/Tokyo', now()) + interval '3 hours', 'HH24:MI') || '-' || "
              "to_char(timezone('Asia/Tokyo', now()) + interval '6 hours', 'HH24:MI') || ' Asia/Tokyo'");
    (void) snprintf(r.job.spec.throttle.window, PAWL_WINDOW_MAX, "%s", closed);
    free(closed);
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(
        r.db, "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE 'outside of the window %'", 10000);
    assert_held(&r);
    assert_int_equal(written(&r), 0);
    closed = pawl_test_query_text(
        r.db,
        "SELECT 'window=' || to_char(timezone('Asia/Tokyo', now()) - interval '1 hour', 'HH24:MI') || '-' || "
        "to_char(timezone('Asia/Tokyo', now()) + interval '2 hours', 'HH24:MI') || ' Asia/Tokyo'");
    tune(&r, closed);
    free(closed);
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 3000);
}

static void
active_sessions_and_dead_rows_hold_it_back(void **state)
{
    run r;
    PGconn *busy;

    (void) state;
    prepare(&r, "active", 4000, "sessions are active (max_active 1)");
    r.job.spec.throttle.max_active = 1;
    r.job.spec.throttle.max_rate = 2000;
    busy = pawl_test_connect(r.db);
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT coalesce(sum(rows_written), 0) > 0 FROM pawl.progress", 10000);
    assert_int_equal(PQsendQuery(busy, "SELECT pg_sleep(2.5); SELECT 1"), 1);
    /* The query of this test is the second session, now and then: so a third one beside it. */
    pawl_test_exec(r.db, "SELECT pg_sleep(1)");
    PQfinish(busy);
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 4000);

    prepare(&r, "dead", 4000, "dead rows (max_dead 1,000)");
    pawl_test_exec(r.db,
                   "ALTER TABLE t SET (autovacuum_enabled = off); UPDATE t SET s = 'y' WHERE id <= 2000");
    pawl_test_wait_until(r.db, "SELECT n_dead_tup >= 2000 FROM pg_stat_user_tables WHERE relname = 't'",
                         10000);
    r.job.spec.throttle.max_dead = 1000;
    pawl_test_job_go(&r.job);
    pawl_test_wait_until(r.db, "SELECT count(*) = 1 FROM pawl.worker WHERE holding LIKE '%dead rows%'",
                         10000);
    assert_int_equal(written(&r), 0);
    tune(&r, "max_dead=none");
    pawl_test_job_finish(&r.job);
    assert_said(&r);
    assert_once(&r, 4000);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rate_is_kept_within_five_percent),
        cmocka_unit_test(rate_is_that_of_all_processes_together),
        cmocka_unit_test(standby_that_falls_behind_holds_it_back),
        cmocka_unit_test(standby_that_is_behind_by_bytes_holds_it_back),
        cmocka_unit_test(wal_rate_is_kept_for_the_whole_server),
        cmocka_unit_test(slot_that_nobody_reads_holds_it_back),
        cmocka_unit_test(session_that_waits_for_a_worker_holds_all_back),
        cmocka_unit_test(slow_probe_holds_it_back),
        cmocka_unit_test(what_cannot_be_asked_ends_the_run_before_it_begins),
        cmocka_unit_test(window_is_waited_for),
        cmocka_unit_test(active_sessions_and_dead_rows_hold_it_back),
    };

    return cmocka_run_group_tests(tests, pawl_test_setup, pawl_test_teardown);
}
