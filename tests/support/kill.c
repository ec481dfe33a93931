#include "support/kill.h"

#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "support/process.h"
#include "support/project.h"
#include "support/server.h"
#include "support/session.h"
#include "util/strbuf.h"

#include "util/banned.h"

enum
{
    AWAIT_MS = 60000
};

static pawl_test_output
run_to(const char *dir, const char *const *args, const char *point, int passage)
{
    PAWL_STRBUF_AUTO(variable);

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s=kill@%d", point, passage);
    const char *const env[] = {variable.data, NULL};

    return pawl_test_run(args, env, dir);
}

bool
pawl_test_is_killed(const char *dir, const char *verb, const char *arg, const char *point, int passage)
{
    const char *const args[] = {verb, arg, NULL};
    pawl_test_output output = run_to(dir, args, point, passage);
    bool is_killed = output.signal_number == SIGKILL;

    if (!is_killed && output.exit_code != 0)
        fail_msg("%s at %s@%d: %s", verb, point, passage, output.err);
    pawl_test_output_free(&output);
    /* What fails later is hard to find without. */
    if (is_killed)
        print_message("%s was killed at %s@%d\n", verb, point, passage);
    return is_killed;
}

void
pawl_test_must_die(const char *dir, const char *const *args, const char *point, int passage)
{
    pawl_test_output output = run_to(dir, args, point, passage);

    if (output.signal_number != SIGKILL)
        fail_msg("%s does not pass %s %d times: exit code %d, %s%s", args[0], point, passage,
                 output.exit_code, output.out, output.err);
    pawl_test_output_free(&output);
}

void
pawl_test_must_be_killed(const char *dir, const char *verb, const char *arg, const char *point, int passage)
{
    const char *const args[] = {verb, arg, NULL};

    pawl_test_must_die(dir, args, point, passage);
}

void
pawl_test_kill_at_random(const pawl_test_kills *kills, pawl_rng *rng)
{
    PAWL_STRBUF_AUTO(variable);
    int killed = 0;

    pawl_strbuf_addf(&variable, "PAWL_FAILPOINT=%s", kills->points);
    const char *const env[] = {variable.data, NULL};

    for (int i = 0; i < kills->times; i++)
    {
        pawl_test_process *p = pawl_test_start(kills->args, env, kills->dir);

        pawl_test_sleep_ms((int) (20 + pawl_rng_below(rng, kills->most_ms)));
        pawl_test_kill(pawl_test_process_pid(p), SIGKILL);

        pawl_test_output output = pawl_test_wait(p, 30000);

        killed += output.signal_number == SIGKILL ? 1 : 0;
        if (output.signal_number == 0 && output.exit_code != 0 && output.exit_code != 4)
            fail_msg("pawl failed: %s", output.err);
        pawl_test_output_free(&output);
        if (i % 5 == 4 || i + 1 == kills->times)
            if (pawl_test_query_i64(
                    kills->db, "SELECT count(*) FROM pg_class WHERE oid = to_regclass('pawl.reject')") > 0)
                kills->look(kills->db);
    }
    assert_true(killed > 0);
}

#define BATCHES "(SELECT coalesce(sum(batches), 0) FROM pawl.progress)"

int64_t
pawl_test_batches(const char *db)
{
    if (pawl_test_query_i64(db, "SELECT (to_regclass('pawl.event') IS NULL)::int") == 1)
        return 0;
    return pawl_test_query_i64(db, "SELECT " BATCHES);
}

void
pawl_test_await_batch(const char *db, int64_t before)
{
    char sql[200];

    pawl_test_wait_until(db, "SELECT to_regclass('pawl.event') IS NOT NULL", AWAIT_MS);
    pawl_fmt(sql, sizeof sql,
             "SELECT " BATCHES " > %lld OR EXISTS (SELECT FROM pawl.revision WHERE state = 'applied')",
             (long long) before);
    pawl_test_wait_until(db, sql, AWAIT_MS);
}
