#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "pg/lockers.h"
#include "step/step.h"
#include "util/clock.h"
#include "util/failpoint.h"
#include "util/strbuf.h"

#include "util/banned.h"

#define BACKOFF_BASE_MS 100
#define BACKOFF_CAP_MS  2000
#define MOST_VACUUMS    5

pawl_status
pawl_step_unpin(pawl_step_run *run, pawl_error *err)
{
    pawl_status st = pawl_pg_exec(run->pg, "RESET ROLE", err);

    if (st == PAWL_OK)
        st = pawl_pg_exec(run->pg, pawl_sql_step_unpin, err);
    return st;
}

/* What a transaction had to wait for, to be kept in the ledger. */
typedef struct waiting
{
    int64_t since_us; /* 0: it never waited */
    int64_t tries;
    char holders[480]; /* last seen; "" when nobody was found */
    bool was_internal; /* an internal error of the server is worth one more attempt */
    int vacuums;       /* so many attempts met an autovacuum */
    bool outwaits_vacuum;
} waiting;

static pawl_status
try_once(pawl_step_run *run, const waiting *w, pawl_step_work work, void *ctx, pawl_error *err)
{
    pawl_pg_pins pins = {.search_path = run->search_path,
                         .lock_timeout_ms = run->settings->lock_timeout_ms,
                         .outwaits_vacuum = w->outwaits_vacuum,
                         .statement_timeout_ms = run->settings->statement_timeout_ms};
    pawl_status st = pawl_pg_begin(run->pg, &pins, err);

    if (st == PAWL_OK)
        st = pawl_runner_hold(run->runner, run->ledger, run->pg, err);
    if (st == PAWL_OK)
        st = work(run, ctx, err);
    if (st == PAWL_OK)
        st = pawl_step_unpin(run, err);
    if (st == PAWL_OK)
        st = pawl_runner_renew(run->runner, run->ledger, run->pg, err);
    PAWL_FAILPOINT("step.before_commit");
    if (st == PAWL_OK)
        st = pawl_pg_commit(run->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(run->pg);
    return st;
}

static void
report_wait(const pawl_step_run *run, uint32_t table, const pawl_error *err, int64_t tries, waiting *w)
{
    char holders[sizeof w->holders] = "";
    PAWL_STRBUF_AUTO(text);

    if (table != 0)
        pawl_pg_lockers(run->pg, table, holders, sizeof holders);
    if (holders[0] != '\0')
        pawl_fmt(w->holders, sizeof w->holders, "%s", holders);
    pawl_strbuf_addf(&text, "attempt %lld of %lld: %s%s%s", (long long) tries,
                     (long long) run->settings->lock_attempts, err->message,
                     holders[0] != '\0' ? "; held by " : "", holders);
    pawl_event event = {
        .kind = PAWL_EVENT_WAITING, .revision = run->revision, .step = run->ordinal, .text = text.data};
    pawl_log_emit(run->sink, &event);
}

/* Who was in the way and for how long is worth knowing later. It is no part of the work: where it fails, it is dropped. */
static void
record_wait(const pawl_step_run *run, const waiting *w, bool has_got_it)
{
    pawl_error ignored = PAWL_ERROR_INIT;
    PAWL_STRBUF_AUTO(detail);

    if (w->since_us == 0 || !pawl_pg_is_usable(run->pg))
        return;
    if (run->ordinal > 0)
        pawl_strbuf_addf(&detail, "%s step %d: ", run->direction, run->ordinal);
    pawl_strbuf_addf(&detail, "%s after %lld ms and %lld failed attempts%s%s",
                     has_got_it ? "went on" : "given up",
                     (long long) ((pawl_clock_us() - w->since_us) / 1000), (long long) w->tries,
                     w->holders[0] != '\0' ? "; held by " : "", w->holders);
    if (!pawl_strbuf_is_ok(&detail) ||
        pawl_ledger_event(run->ledger, run->pg, "lock_wait", run->revision == NULL ? "" : run->revision, 0,
                          detail.data, &ignored) != PAWL_OK)
        pawl_log_text(run->sink, PAWL_EVENT_DEBUG, "the wait could not be recorded: %s", ignored.message);
}

/* The last attempt failed: say who is in the way. */
static pawl_status
give_up(const pawl_step_run *run, uint32_t table, pawl_error *err)
{
    char holders[480] = "";

    if (table != 0)
        pawl_pg_lockers(run->pg, table, holders, sizeof holders);
    if (run->tries_once)
        return holders[0] != '\0' ? pawl_error_detail(err, "held by %s", holders) : err->code;
    pawl_error_prefix(err, "given up after %lld attempt%s", (long long) run->settings->lock_attempts,
                      run->settings->lock_attempts == 1 ? "" : "s");
    if (holders[0] != '\0')
        pawl_error_detail(err, "held by %s", holders);
    pawl_error_hint(err, "run it again at a quieter time, end the sessions that hold the lock, or raise "
                         "lock_attempts (of lock_timeout no more than half of deadlock_timeout counts)");
    return err->code;
}

/* An autovacuum yields to whoever waits for long enough; a few times that is tried. */
static void
look_for_vacuum(pawl_step_run *run, waiting *w, bool is_locked)
{
    w->outwaits_vacuum =
        is_locked && w->vacuums < MOST_VACUUMS && pawl_pg_is_vacuumed(run->pg, run->waits_for);
    w->vacuums += w->outwaits_vacuum ? 1 : 0;
}

/* One attempt. *wants_more is set when its failure is one that passes. */
static pawl_status
attempt(pawl_step_run *run, pawl_step_work work, void *ctx, int64_t tries, waiting *w, bool *wants_more,
        pawl_error *err)
{
    int64_t start_us = pawl_clock_us();
    pawl_status st = try_once(run, w, work, ctx, err);

    *wants_more = false;
    if (st == PAWL_OK || !pawl_pg_is_usable(run->pg))
        return st;

    pawl_fault fault = pawl_fault_of(err);
    bool is_contended = fault == PAWL_FAULT_LOCK || fault == PAWL_FAULT_REPEAT;
    bool is_first_internal = fault == PAWL_FAULT_INTERNAL && !w->was_internal;
    w->tries = tries;
    look_for_vacuum(run, w, fault == PAWL_FAULT_LOCK);
    if (is_contended && (run->tries_once || tries >= run->settings->lock_attempts))
        return give_up(run, run->waits_for, err);
    w->was_internal = w->was_internal || is_first_internal;
    *wants_more = is_contended || is_first_internal;
    if (*wants_more)
    {
        w->since_us = w->since_us == 0 ? start_us : w->since_us;
        report_wait(run, run->waits_for, err, tries, w);
    }
    return st;
}

pawl_status
pawl_step_txn(pawl_step_run *run, uint32_t lock_table, pawl_step_work work, void *ctx, pawl_error *err)
{
    pawl_error failure = PAWL_ERROR_INIT; /* of an attempt: a later one may still succeed */
    pawl_backoff backoff;
    waiting w = {.vacuums = run->tries_once ? run->vacuums : 0,
                 .outwaits_vacuum = run->tries_once && run->outwaits_vacuum};
    bool wants_more = true;
    pawl_status st = PAWL_OK;

    pawl_backoff_init(&backoff, BACKOFF_BASE_MS, BACKOFF_CAP_MS);
    for (int64_t tries = 1; wants_more; tries++)
    {
        st = tries == 1 ? pawl_stop_check(run->stop, PAWL_STOP_FINISH, err)
                        : pawl_backoff_sleep(&backoff, run->stop, err);
        if (st != PAWL_OK)
            return st;
        run->waits_for = lock_table;
        run->info_out = NULL;
        st = attempt(run, work, ctx, tries, &w, &wants_more, &failure);
    }
    if (run->tries_once)
    {
        run->vacuums = w.vacuums;
        run->outwaits_vacuum = w.outwaits_vacuum;
    }
    record_wait(run, &w, st == PAWL_OK);
    if (st != PAWL_OK)
        *err = failure;
    return st;
}

pawl_status
pawl_step_try(pawl_step_run *run, pawl_pg *pg, pawl_step_work work, void *ctx, pawl_error *err)
{
    pawl_pg *was = run->pg;
    pawl_status st;

    run->tries_once = true;
    run->pg = pg;
    st = pawl_step_txn(run, 0, work, ctx, err);
    run->tries_once = false;
    run->pg = was;
    run->info_out = NULL;
    return st;
}

pawl_status
pawl_step_give_way(const pawl_step_run *run, const char *what, int64_t tries, const pawl_error *failure,
                   pawl_error *err)
{
    int64_t most = run->settings->lock_attempts;
    pawl_fault fault = pawl_fault_of(failure);

    if (failure->code != PAWL_E_BUSY && fault != PAWL_FAULT_LOCK && fault != PAWL_FAULT_REPEAT)
    {
        *err = *failure;
        return failure->code;
    }
    if (tries >= most)
    {
        *err = *failure;
        (void) pawl_error_prefix(err, "%s was given up after %lld attempt%s", what, (long long) tries,
                                 tries == 1 ? "" : "s");
        return pawl_error_hint(err,
                               "everything is ready: run the same again at a quieter time, end the sessions "
                               "that hold the lock, or raise lock_attempts");
    }
    pawl_log_text(run->sink, PAWL_EVENT_WAITING, "attempt %lld of %lld of %s: %s%s%s", (long long) tries,
                  (long long) most, what, failure->message, failure->detail[0] != '\0' ? "; " : "",
                  failure->detail);
    return PAWL_OK;
}
