/* A rewrite whose copy begins anew, or that two processes believe to be theirs, or that meets itself under the lock. */
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "online/rewrite.h"
#include "support/job.h"
#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "util/failpoint.h"
#include "util/strbuf.h"

#include "util/banned.h"

/* The phase of the first job, before there is a ledger as well. */
#define PHASE                                                                                        \
    "CREATE FUNCTION phase() RETURNS text LANGUAGE plpgsql AS $$ BEGIN RETURN (SELECT j.phase FROM " \
    "pawl.job j WHERE j.job_id = 1); EXCEPTION WHEN undefined_table OR invalid_schema_name THEN "    \
    "RETURN ''; END $$;"
#define PHASE_IS(name) "SELECT phase() = '" name "'"

/* Rows so wide that the reader of a copy cannot be far ahead of its loader. */
#define FILL "INSERT INTO product SELECT i, i, i || '.5', repeat('x', 20000) FROM generate_series(1, 1500) i;"

static const char table_sql[] =
    PHASE "CREATE TABLE product (id int PRIMARY KEY, code int UNIQUE, price text, note text);" FILL;

#define INDEXES \
    "SELECT string_agg(indexname, ',' ORDER BY indexname) FROM pg_indexes WHERE tablename = 'product'"

/* ---- an index of the first copy must not be in the way of the second ------------------------------------------------- */

static void
wait_for_stop(pid_t pid)
{
    int status = 0;

    assert_int_equal(waitpid(pid, &status, WUNTRACED), pid);
    assert_true(WIFSTOPPED(status));
}

static void
copy_that_begins_anew_meets_no_unique_index(void **state)
{
    const char *db = pawl_test_database_new("restart_unique");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const args[] = {"upgrade", "head", NULL};
    const char *const env[] = {"PAWL_FAILPOINT=copier.after_commit=stop@5", NULL};

    (void) state;
    pawl_test_exec(db, table_sql);
    pawl_test_project_write(
        dir, "migrations/aaaa0001.yaml",
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table:\n      table: product\n"
        "      change: { price: { type: numeric, using: \"price::numeric\" } }\n"
        "      batch: 400\n      cutover: manual\n");
    pawl_test_process *process = pawl_test_start(args, env, dir);

    pawl_test_wait_until(db, PHASE_IS("ready"), 120000);
    pawl_test_exec(db, "BEGIN; TRUNCATE product; " FILL " COMMIT");
    wait_for_stop(pawl_test_process_pid(process)); /* with the first 400 rows in the shadow table again */
    pawl_test_assert_query(db, "SELECT count(*) FROM pawl.event WHERE kind = 'job_restarted'", "1");
    pawl_test_exec(
        db, "BEGIN; DELETE FROM product WHERE id = 1; UPDATE product SET code = 1 WHERE id = 1450; COMMIT");
    pawl_test_kill(pawl_test_process_pid(process), SIGCONT);
    pawl_test_wait_until(db, PHASE_IS("ready"), 120000);
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    pawl_test_output output = pawl_test_wait(process, 120000);

    if (output.exit_code != 0)
        fail_msg("%s", output.err);
    pawl_test_output_free(&output);
    pawl_test_assert_query(db, INDEXES, "product_code_key,product_pkey");
    pawl_test_assert_query(
        db,
        "SELECT count(*) || ' ' || sum(code) || ' ' || (SELECT code FROM product WHERE id = 1450) "
        "FROM product",
        "1499 1124300 1");
}

/* ---- the cut-over waits to be told ------------------------------------------------------------------------------------ */

static void
manual_cut_over_waits_to_be_told_over_a_stop(void **state)
{
    const char *db = pawl_test_database_new("manual");
    const char *dir = pawl_test_project_new(db, NULL);
    const char *const args[] = {"upgrade", "head", NULL};

    (void) state;
    pawl_test_exec(db, PHASE "CREATE TABLE product (id int PRIMARY KEY, price text);"
                             "INSERT INTO product SELECT i, i || '.5' FROM generate_series(1, 500) i");
    pawl_test_project_write(
        dir, "migrations/aaaa0001.yaml",
        "revision: \"aaaa0001\"\nparents: []\nup:\n  - rewrite_table:\n      table: product\n"
        "      change: { price: numeric }\n      cutover: manual\n");
    pawl_test_process *process = pawl_test_start(args, NULL, dir);

    pawl_test_wait_until(db, PHASE_IS("ready"), 120000);
    pawl_test_kill(pawl_test_process_pid(process), SIGTERM);
    pawl_test_output output = pawl_test_wait(process, 60000);

    assert_int_equal(output.exit_code, 3);
    pawl_test_output_free(&output);
    pawl_test_assert_query(db, "SELECT pg_typeof(price)::text FROM product LIMIT 1", "text");
    pawl_test_exec(db, "UPDATE product SET price = '7.25' WHERE id = 7");
    pawl_test_pawl_exits(dir, "cutover", "1", 0);
    pawl_test_pawl_exits(dir, "upgrade", "head", 0);
    pawl_test_assert_query(db, "SELECT pg_typeof(price) || ' ' || price FROM product WHERE id = 7",
                           "numeric 7.25");
}

/* ---- two processes ---------------------------------------------------------------------------------------------------- */

static const pawl_rewrite_column change[] = {
    {.name = "price", .type = "numeric", .using = "price::numeric", .not_null = -1}};
static const pawl_rewrite_id id = {
    .base = {.revision = "test", .direction = "api", .ordinal = 1, .checksum = "c"}, .frozen = "f"};

/* Without a runner, whose lease would keep the older process from everything. */
static pid_t
start_until_stop(const char *db, const char *failpoint)
{
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0)
    {
        const pawl_rewrite_spec spec = {
            .table = "product", .change = change, .nchange = 1, .batch_rows = 400, .keeps_old = true};
        pawl_backfill_env base = pawl_test_env(db, NULL);
        const pawl_rewrite_env env = {.base = &base};
        pawl_rewrite_result result;
        pawl_error err = PAWL_ERROR_INIT;

        (void) prctl(PR_SET_PDEATHSIG, SIGKILL);
        pawl_failpoint_arm(failpoint);
        _exit(pawl_rewrite_run(&spec, &env, &id, &result, &err) == PAWL_OK ? 0 : 1);
    }
    wait_for_stop(pid);
    return pid;
}

static int
go_on(pid_t pid)
{
    int status = 0;

    pawl_test_kill(pid, SIGCONT);
    if (!pawl_test_has_ended(pid, 120000, &status))
        fail_msg("it does not end");
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void
process_that_stalled_changes_nothing_of_a_copy_begun_anew(void **state)
{
    const char *db = pawl_test_database_new("stalled");
    pid_t older;
    pid_t newer;

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db, table_sql);
    older = start_until_stop(db, "rewrite.after_copy=stop@1");
    pawl_test_exec(db, "BEGIN; TRUNCATE product; " FILL " COMMIT");
    newer = start_until_stop(db, "copier.after_commit=stop@1");
    pawl_test_assert_query(db, "SELECT count(*) FROM pawl.event WHERE kind = 'job_restarted'", "1");
    assert_int_equal(go_on(older), 1);
    pawl_test_assert_query(db, "SELECT phase FROM pawl.job", "copy");
    assert_int_equal(go_on(newer), 0);
    pawl_test_assert_query(db, "SELECT count(*) FROM product", "1500");
}

/* ---- values exchanged at the last moment ------------------------------------------------------------------------------- */

/* More rows than a slice of the drain has. */
typedef struct run
{
    const char *db;
    pawl_strbuf heard;
    pawl_error err;
    pawl_status st;
    pthread_t thread;
} run;

static void
hear(void *ctx, const pawl_event *event)
{
    run *r = ctx;

    if (event->text != NULL)
        pawl_strbuf_addf(&r->heard, "%s\n", event->text);
}

static void *
rewrite_main(void *arg)
{
    run *r = arg;
    const pawl_sink sink = {.emit = hear, .ctx = r};
    const pawl_rewrite_spec spec = {
        .table = "product", .change = change, .nchange = 1, .keeps_old = true, .is_manual = true};
    pawl_backfill_env base = pawl_test_env(r->db, NULL);
    const pawl_rewrite_env env = {.base = &base};
    pawl_rewrite_result result;

    base.sink = &sink;
    base.lock_timeout_ms = 25000;
    r->st = pawl_rewrite_run(&spec, &env, &id, &result, &r->err);
    return NULL;
}

static void
values_exchanged_at_the_last_moment_let_go_of_the_lock(void **state)
{
    const char *db = pawl_test_database_new("exchanged");
    run r = {.db = db, .heard = PAWL_STRBUF_INIT, .err = PAWL_ERROR_INIT};
    PGconn *writer;

    (void) state;
    pawl_test_ledger(db);
    pawl_test_exec(db,
                   PHASE "CREATE TABLE product (id int PRIMARY KEY, code int UNIQUE, price text, n int);"
                         "INSERT INTO product SELECT i, i, i || '.5', 0 FROM generate_series(1, 25002) i");
    assert_int_equal(pthread_create(&r.thread, NULL, rewrite_main, &r), 0);
    pawl_test_wait_until(db, PHASE_IS("ready"), 120000);
    writer = pawl_test_connect(db);
    pawl_test_run_on(writer, "BEGIN; UPDATE product SET code = -1 WHERE id = 1;"
                             "UPDATE product SET n = 1 WHERE id BETWEEN 2 AND 25001;"
                             "UPDATE product SET code = 1 WHERE id = 25002;"
                             "UPDATE product SET code = 25002 WHERE id = 1");
    pawl_test_exec(db, "INSERT INTO pawl.control (job_id, action, from_where) VALUES (1, 'cutover', 'test')");
    pawl_test_wait_until(
        db,
        "SELECT count(*) > 0 FROM pg_locks WHERE NOT granted AND mode = 'AccessExclusiveLock' "
        "AND relation = 'product'::regclass",
        60000);
    pawl_test_run_on(writer, "COMMIT");
    PQfinish(writer);
    assert_int_equal(pthread_join(r.thread, NULL), 0);
    if (r.st != PAWL_OK)
        fail_msg("%s (%s) %s / %s", r.err.message, r.err.sqlstate, r.err.detail, r.err.hint);
    if (strstr(r.heard.data, "attempt 1 of ") == NULL)
        fail_msg("the lock was not let go: %s", r.heard.data);
    pawl_strbuf_fini(&r.heard);
    pawl_test_assert_query(db, "SELECT count(*) || ' ' || sum(n) FROM product", "25002 25000");
    pawl_test_assert_query(
        db, "SELECT string_agg(code::text, ',' ORDER BY id) FROM product WHERE id IN (1, 25002)", "25002,1");
}

/* A lock is to be waited for as long as the test wants. */
static int
setup(void **state)
{
    (void) state;
    pawl_test_server_start("deadlock_timeout = 1min\n");
    return 0;
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copy_that_begins_anew_meets_no_unique_index),
        cmocka_unit_test(manual_cut_over_waits_to_be_told_over_a_stop),
        cmocka_unit_test(process_that_stalled_changes_nothing_of_a_copy_begun_anew),
        cmocka_unit_test(values_exchanged_at_the_last_moment_let_go_of_the_lock),
    };

    return cmocka_run_group_tests(tests, setup, pawl_test_teardown);
}
