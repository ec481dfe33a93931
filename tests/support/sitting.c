/* The part of writers.h about a lock that somebody sits on. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/writers.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define WAITS_FOR_LOCK                                                                                     \
    "SELECT EXISTS (SELECT FROM pg_locks WHERE relation = 'p'::regclass AND mode = 'AccessExclusiveLock' " \
    "AND "                                                                                                 \
    "NOT granted)"

void
pawl_test_writers_sit(const pawl_test_writers_options *options, const char *dir, const char *point)
{
    PAWL_STRBUF_AUTO(variable);
    const char *const args[] = {"upgrade", "head", NULL};
    pawl_test_writers *writers;
    pawl_test_process *process;
    pawl_test_output output;
    PGconn *sitter;

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=stop", point);
    const char *const env[] = {variable.data, NULL};

    pawl_test_writers_tables(options->db, options->rows);
    writers = pawl_test_writers_start(options);
    process = pawl_test_start(args, env, dir);
    assert_true(pawl_test_has_stopped(pawl_test_process_pid(process)));
    sitter = pawl_test_connect(options->db);
    pawl_test_run_on(sitter, "BEGIN; LOCK TABLE p IN ACCESS SHARE MODE");
    pawl_test_kill(pawl_test_process_pid(process), SIGCONT);
    for (int i = 0; i < 2; i++)
    {
        pawl_test_wait_until(options->db, WAITS_FOR_LOCK, 60000);
        pawl_test_writers_await(writers, 10); /* not before it has given way */
    }
    pawl_test_run_on(sitter, "COMMIT");
    PQfinish(sitter);
    output = pawl_test_wait(process, 120000);
    if (output.exit_code != 0 || strstr(output.err, "attempt 2 of ") == NULL)
        fail_msg("exit code %d: %s", output.exit_code, output.err);
    pawl_test_output_free(&output);
    pawl_test_writers_await(writers, 10);
    (void) pawl_test_writers_stop(writers);
    pawl_test_writers_check(options->db, false);
}
