/* The public side of control.h: requests to those who work on a job. */
#include "pawl/control.h"

#include <string.h>

#include "backfill/pacing.h"
#include "core/backoff.h"
#include "core/sqlstate.h"
#include "migrate/jobs.h"
#include "online/capture.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/failpoint.h"
#include "util/units.h"

#include "util/banned.h"

enum
{
    MOST_TRIES = 30 /* claims lock the job's row for a moment */
};

typedef struct request request;

struct request
{
    const char *action;
    const pawl_key_value *values; /* of tune */
    size_t count;
    pawl_ledger *ledger;
    pawl_pg *pg;
    pawl_found_job job;
    pawl_control_report *report;
};

static pawl_status
is_over(const pawl_found_job *job, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE, "job %lld (%s) is %s: nothing can be asked of it",
                          (long long) job->id, job->revision, job->state);
    return pawl_error_hint(err, "`pawl status` shows the jobs that are open");
}

static pawl_status
add_row(const request *r, const char *value, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(kind);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job.id), PAWL_ARG_TEXT(r->action), PAWL_ARG_TEXT(value),
                                PAWL_ARG_TEXT(pawl_ledger_whereabouts())};
    pawl_status st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_migrate_control_add, 4, args, &res, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_pg_affected(res) != 1)
        return is_over(&r->job, err);
    pawl_strbuf_addf(&kind, "job_%s", r->action);
    if (!pawl_strbuf_is_ok(&kind))
        return pawl_error_nomem(err, "a request");
    return pawl_ledger_event(r->ledger, r->pg, kind.data, r->job.revision, r->job.id, value, err);
}

static pawl_status
add_values(const request *r, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 0; i < r->count && st == PAWL_OK; i++)
    {
        PAWL_STRBUF_AUTO(value);

        pawl_strbuf_addf(&value, "%s=%s", r->values[i].key, r->values[i].value);
        st = pawl_strbuf_is_ok(&value) ? add_row(r, value.data, err) : pawl_error_nomem(err, "a request");
    }
    return st;
}

/* In one transaction: what is asked for, its event, and for `abandon` the end of the job. */
static pawl_status
write_once(const request *r, pawl_error *err)
{
    PAWL_STRBUF_AUTO(rows);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job.id)};
    pawl_status st = pawl_pg_begin(r->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    if (strcmp(r->action, "tune") == 0)
        st = add_values(r, err);
    else if (strcmp(r->action, "abandon") == 0)
    {
        pawl_strbuf_addf(&rows, "%lld rows were written", (long long) r->job.rows_written);
        st = pawl_strbuf_is_ok(&rows) ? add_row(r, rows.data, err) : pawl_error_nomem(err, "a request");
        if (st == PAWL_OK)
            st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_migrate_job_abandon, 1, args, NULL, err);
    }
    else
        st = add_row(r, "", err);
    PAWL_FAILPOINT("control.before_commit");
    if (st == PAWL_OK)
        st = pawl_pg_commit(r->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(r->pg);
    return st;
}

static pawl_status
write_request(const request *r, const pawl_stop *stop, pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 20, 500);
    for (int tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = write_once(r, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if ((pawl_fault_of(err) != PAWL_FAULT_LOCK && pawl_fault_of(err) != PAWL_FAULT_REPEAT) ||
            tries == MOST_TRIES)
            return st;
        if ((st = pawl_backoff_sleep(&backoff, stop, err)) != PAWL_OK)
            return st;
    }
}

/* Triggers first, then what they call: the table's lock is had within its time-out, or asked for again. */
static pawl_status
release_once(const request *r, int64_t lock_timeout_ms, bool *was_there, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {.lock_timeout_ms = lock_timeout_ms};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job.id)};
    pawl_status st = pawl_pg_begin(r->pg, &pins, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(r->ledger, r->pg, pawl_sql_migrate_captures, 1, args, &res, err);
    *was_there = st == PAWL_OK && pawl_pg_rows(res) > 0;
    if (*was_there)
        st = pawl_capture_remove(r->job.id, r->ledger, r->pg, err);
    if (st == PAWL_OK && (st = pawl_pg_commit(r->pg, err)) == PAWL_OK)
        return st;
    pawl_pg_rollback(r->pg);
    return st;
}

/* What a backfill with `capture: true` has on its table would cost the application for ever. */
static pawl_status
release_capture(const request *r, const pawl_project *project, const pawl_stop *stop, bool *was_there,
                pawl_error *err)
{
    pawl_backoff backoff;

    pawl_backoff_init(&backoff, 50, 1000);
    for (int tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = release_once(r, project->settings.lock_timeout_ms, was_there, &failure);

        if (st == PAWL_OK)
            return st;
        *err = failure;
        if ((pawl_fault_of(err) != PAWL_FAULT_LOCK && pawl_fault_of(err) != PAWL_FAULT_REPEAT) ||
            tries == MOST_TRIES)
        {
            (void) pawl_error_prefix(
                err, "job %lld is abandoned, but the triggers that capture changes of %s are still there",
                (long long) r->job.id, r->job.table);
            return pawl_error_hint(err, "say the same again at a quieter time");
        }
        if ((st = pawl_backoff_sleep(&backoff, stop, err)) != PAWL_OK)
            return st;
    }
}

static bool
is_nothing_new(const request *r)
{
    bool is_paused = r->job.paused_by[0] != '\0';

    return (strcmp(r->action, "pause") == 0 && is_paused) || (strcmp(r->action, "resume") == 0 && !is_paused);
}

static void
fill_report(const request *r, const char *target)
{
    bool is_abandon = strcmp(r->action, "abandon") == 0;

    *r->report = (pawl_control_report){.target = target,
                                       .job = r->job.id,
                                       .revision = r->job.revision,
                                       .step = r->job.ordinal,
                                       .table = r->job.table,
                                       .state = is_abandon ? "abandoned" : r->job.state,
                                       .was_so = is_nothing_new(r),
                                       .rows_written = r->job.rows_written,
                                       .paused_by = r->job.paused_by,
                                       .paused_at = r->job.paused_at};
}

/* A swap has triggers and a column to be taken away, which only its own way back does; and only it cuts over. */
static pawl_status
check_kind(const request *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    bool is_abandon = strcmp(r->action, "abandon") == 0;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job.id)};
    pawl_status st;

    if (!is_abandon && strcmp(r->action, "cutover") != 0)
        return PAWL_OK;
    st = pawl_ledger_look(r->ledger, r->pg, pawl_sql_migrate_control_kind, 1, args, &res, err);
    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;

    bool is_backfill = strcmp(pawl_pg_text(res, 0, 0), "backfill") == 0;

    if (is_abandon && !is_backfill)
    {
        (void) pawl_error_set(err, PAWL_E_STATE,
                              "job %lld is of a %s and cannot be abandoned: what it has made would stay",
                              (long long) r->job.id, pawl_pg_text(res, 0, 0));
        return pawl_error_hint(
            err, "stop it, then `pawl downgrade` undoes it without a trace before its cut-over, and "
                 "swaps back after it");
    }
    if (!is_abandon && is_backfill)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld is of a backfill, which has no cut-over",
                              (long long) r->job.id);
    return PAWL_OK;
}

static pawl_status
find_and_write(request *r, pawl_project *project, const char *job, const pawl_run_options *options,
               pawl_arena *arena, pawl_error *err)
{
    const char *target = "";
    bool is_abandon = strcmp(r->action, "abandon") == 0;
    bool was_there = false;
    pawl_status st = pawl_jobs_connect(project, options, arena, &r->ledger, &r->pg, &target, err);

    if (st == PAWL_OK)
        st = pawl_jobs_find(job, r->ledger, r->pg, arena, &r->job, err);
    if (st != PAWL_OK)
        return st;

    bool is_done = strcmp(r->job.state, "open") != 0 && strcmp(r->job.state, "findings") != 0;

    if (!is_abandon && is_done)
        return is_over(&r->job, err);
    if ((st = check_kind(r, err)) != PAWL_OK)
        return st;
    fill_report(r, target);
    if (!is_done && !r->report->was_so && (st = write_request(r, options->stop, err)) != PAWL_OK)
        return st;
    if (!is_abandon)
        return PAWL_OK;
    PAWL_FAILPOINT("control.before_release");
    if ((st = release_capture(r, project, options->stop, &was_there, err)) != PAWL_OK)
        return st;
    return is_done && !was_there ? is_over(&r->job, err) : PAWL_OK;
}

static pawl_status
ask_for(request *r, pawl_project *project, const char *job, const pawl_run_options *options,
        pawl_control_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_status st;

    r->report = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *r->report);
    if (r->report == NULL)
        return pawl_error_nomem(err, "a request");
    st = find_and_write(r, project, job, options, arena, err);
    pawl_pg_close(r->pg);
    pawl_ledger_free(r->ledger);
    if (st != PAWL_OK)
        return st;
    r->report->memory = arena;
    arena = NULL;
    *out = r->report;
    return PAWL_OK;
}

pawl_status
pawl_job_pause(pawl_project *project, const char *job, const pawl_run_options *options,
               pawl_control_report **out, pawl_error *err)
{
    return ask_for(&(request){.action = "pause"}, project, job, options, out, err);
}

pawl_status
pawl_job_resume(pawl_project *project, const char *job, const pawl_run_options *options,
                pawl_control_report **out, pawl_error *err)
{
    return ask_for(&(request){.action = "resume"}, project, job, options, out, err);
}

pawl_status
pawl_job_cutover(pawl_project *project, const char *job, const pawl_run_options *options,
                 pawl_control_report **out, pawl_error *err)
{
    return ask_for(&(request){.action = "cutover"}, project, job, options, out, err);
}

pawl_status
pawl_job_abandon(pawl_project *project, const char *job, const pawl_run_options *options,
                 pawl_control_report **out, pawl_error *err)
{
    return ask_for(&(request){.action = "abandon"}, project, job, options, out, err);
}

static pawl_status
unknown_key(const char *key, pawl_error *err)
{
    const char *keys[32];
    size_t count = 0;
    PAWL_STRBUF_AUTO(list);

    for (const pawl_tune_info *i = pawl_tune_table(); i->key != NULL && count < 32; i++)
    {
        keys[count++] = i->key;
        pawl_strbuf_addf(&list, "%s%s", count == 1 ? "" : ", ", i->key);
    }

    const char *nearest = pawl_units_nearest(key, keys, count);

    (void) pawl_error_set(err, PAWL_E_USAGE, "\"%s\" cannot be tuned", key);
    if (nearest != NULL)
        return pawl_error_hint(err, "did you mean \"%s\"?", nearest);
    return pawl_error_hint(err, "what can: %s", list.data != NULL ? list.data : "");
}

static pawl_status
check_values(const pawl_key_value *values, size_t count, pawl_error *err)
{
    pawl_pacing ignored = {0};
    char expected[PAWL_PACING_EXPECTED];

    if (count == 0)
        return pawl_error_set(err, PAWL_E_USAGE, "nothing to tune: name values, as in max_rate=5000");
    for (size_t i = 0; i < count; i++)
    {
        bool is_default = strcmp(values[i].value, "default") == 0;

        if (pawl_pacing_has_value(&ignored, values[i].key, values[i].value, expected))
            continue;
        /* A wrong value of a known key says what it should have been. */
        if (expected[0] == '\0')
            return unknown_key(values[i].key, err);
        if (is_default)
            continue;
        return pawl_error_set(err, PAWL_E_USAGE, "%s=%s: expected default, or %s", values[i].key,
                              values[i].value, expected);
    }
    return PAWL_OK;
}

pawl_status
pawl_job_tune(pawl_project *project, const char *job, const pawl_key_value *values, size_t count,
              const pawl_run_options *options, pawl_control_report **out, pawl_error *err)
{
    pawl_status st = check_values(values, count, err);

    if (st != PAWL_OK)
        return st;
    return ask_for(&(request){.action = "tune", .values = values, .count = count}, project, job, options, out,
                   err);
}

void
pawl_control_report_free(pawl_control_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}
