#include "pg/txn.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/internal.h"
#include "pg/pipe.h"

#include "util/banned.h"

#define DEFAULT_IDLE_TIMEOUT_MS 60000
#define ROLLBACK_TIMEOUT_MS     30000
#define AFTER_DEADLOCK_MS       500 /* for an autovacuum to end once it is cancelled */

const char *
pawl_pg_pin_sql(void)
{
    return pawl_sql_pg_pin;
}

const char *
pawl_pg_begin_sql(const pawl_pg *pg)
{
    /* A standby takes no READ WRITE. */
    return pg->in_recovery ? "BEGIN ISOLATION LEVEL READ COMMITTED READ ONLY"
                           : "BEGIN ISOLATION LEVEL READ COMMITTED READ WRITE";
}

/* Whoever waits longer than deadlock_timeout makes the server look for deadlocks, and the application may be the one
 * that it kills; so we give up before. 0 would mean "no time-out" to the server. */
static int64_t
lock_timeout_of(const pawl_pg *pg, const pawl_pg_pins *pins)
{
    int64_t limit = pg->deadlock_timeout_ms / 2;

    if (pins->outwaits_vacuum)
        return pg->deadlock_timeout_ms + AFTER_DEADLOCK_MS;
    if (limit < 1)
        limit = 1;
    return pins->lock_timeout_ms > 0 && pins->lock_timeout_ms < limit ? pins->lock_timeout_ms : limit;
}

void
pawl_pg_pin_fill(const pawl_pg *pg, const pawl_pg_pins *pins, pawl_pg_pin_args *out)
{
    static const pawl_pg_pins defaults = {0};

    if (pins == NULL)
        pins = &defaults;
    out->args[0] = PAWL_ARG_TEXT(pins->search_path != NULL ? pins->search_path : "pg_catalog, pg_temp");
    out->args[1] = pawl_arg_i64(lock_timeout_of(pg, pins), out->text[0]);
    out->args[2] = pawl_arg_i64(pins->statement_timeout_ms, out->text[1]);
    out->args[3] = pawl_arg_i64(pins->idle_timeout_ms > 0 ? pins->idle_timeout_ms : DEFAULT_IDLE_TIMEOUT_MS,
                                out->text[2]);
    out->args[4] = PAWL_ARG_TEXT(pins->replica_triggers_off ? "replica" : "origin");
    out->args[5] = PAWL_ARG_BOOL(pins->no_nestloop);
    out->args[6] = PAWL_ARG_BOOL(pins->async_commit);
    out->args[7] = pins->worker == 0 ? PAWL_ARG_NULL : pawl_arg_i64(pins->worker, out->text[3]);
}

static pawl_status
begin_once(pawl_pg *pg, const pawl_pg_pins *pins, pawl_error *err)
{
    pawl_pg_pipe pipe;
    pawl_status st;

    pawl_pg_pipe_init(&pipe, pg);
    (void) pawl_pg_pipe_begin(&pipe, pins);
    st = pawl_pg_pipe_run(&pipe, NULL, err);
    pawl_pg_pipe_fini(&pipe);
    if (st != PAWL_OK)
        pawl_pg_rollback(pg);
    return st;
}

/* DEALLOCATE ALL in a step takes away what the server kept for us: nothing is kept then, and nothing else was sent. */
pawl_status
pawl_pg_begin(pawl_pg *pg, const pawl_pg_pins *pins, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st = begin_once(pg, pins, &failure);

    if (st == PAWL_OK)
        return st;
    if (strcmp(failure.sqlstate, "26000") == 0 || strcmp(failure.sqlstate, "42P05") == 0)
        return begin_once(pg, pins, err);
    *err = failure;
    return st;
}

pawl_status
pawl_pg_hurry(pawl_pg *pg, pawl_error *err)
{
    return pawl_pg_exec(pg, "SET LOCAL idle_in_transaction_session_timeout = '5s'", err);
}

pawl_status
pawl_pg_set_path(pawl_pg *pg, const char *search_path, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(search_path)};

    return pawl_pg_query(pg, "SELECT pg_catalog.set_config('search_path', $1::pg_catalog.text, true)", 1,
                         args, NULL, err);
}

pawl_status
pawl_pg_pin_session(pawl_pg *pg, const char *search_path, int64_t lock_timeout_ms,
                    int64_t statement_timeout_ms, pawl_error *err)
{
    char lock_ms[24];
    char statement_ms[24];
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(search_path), pawl_arg_i64(lock_timeout_ms, lock_ms),
                                pawl_arg_i64(statement_timeout_ms, statement_ms)};

    return pawl_pg_query(pg, pawl_sql_pg_pin_session, 3, args, NULL, err);
}

pawl_status
pawl_pg_commit(pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(pg, "COMMIT", 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    return pawl_pg_check_commit(pawl_pg_tag(res), err);
}

pawl_status
pawl_pg_check_commit(const char *tag, pawl_error *err)
{
    if (strcmp(tag, "COMMIT") == 0)
        return PAWL_OK;
    pawl_error_set(err, PAWL_E_SERVER, "COMMIT was answered with %s: the transaction had failed before", tag);
    return pawl_error_sqlstate(err, "25P02");
}

void
pawl_pg_rollback(pawl_pg *pg)
{
    pawl_error ignored = PAWL_ERROR_INIT;

    if (!pawl_pg_is_usable(pg) || !pawl_pg_is_in_transaction(pg))
        return;
    /* A connection that cannot even roll back must not be used again. */
    if (pawl_pg_exec_unstopped(pg, "ROLLBACK", ROLLBACK_TIMEOUT_MS, &ignored) != PAWL_OK)
        pg->is_abandoned = true;
}
