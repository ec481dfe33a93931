/* The public side of joining a job; see pawl/control.h. */
#include <string.h>

#include "backfill/run.h"
#include "core/log.h"
#include "migrate/datastep.h"
#include "migrate/jobs.h"
#include "migrate/mirror.h"
#include "pawl_sql.h"

#include "pawl/control.h"

#include "util/banned.h"

typedef struct joining
{
    pawl_project *project;
    const pawl_run_options *options;
    pawl_arena *arena;
    pawl_found_job job;
    const char *target;
} joining;

static pawl_status
check_job(const pawl_found_job *job, pawl_error *err)
{
    if (strcmp(job->state, "open") != 0)
    {
        (void) pawl_error_set(err, PAWL_E_STATE, "job %lld (%s) is %s: there is nothing to join",
                              (long long) job->id, job->revision, job->state);
        return pawl_error_hint(err, "`pawl status` shows the jobs that are open");
    }
    if (strcmp(job->direction, "up") == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_REFUSED, "job %lld cannot be joined: it is not of a step upwards",
                          (long long) job->id);
    return pawl_error_hint(
        err, "jobs of `down` steps are done by the downgrade alone; a job of the library's callers is "
             "joined by making the same call");
}

/* Nobody works on a job that captures before its triggers are there. */
static pawl_status
check_phase(const pawl_found_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id)};
    pawl_status st = pawl_ledger_look(ledger, pg, pawl_sql_migrate_control_kind, 1, args, &res, err);

    if (st != PAWL_OK || pawl_pg_rows(res) == 0 || strcmp(pawl_pg_text(res, 0, 0), "backfill") != 0 ||
        strcmp(pawl_pg_text(res, 0, 1), "copy") == 0)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "job %lld (%s) has no chunks to work on: it is in its phase \"%s\"",
                          (long long) job->id, job->revision, pawl_pg_text(res, 0, 1));
    return pawl_error_hint(err, "`pawl upgrade` takes it on from there");
}

/* What the mirror of a swap has logged, until there is no more. */
static pawl_status
tend(const joining *j, bool *is_mirror, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    const char *target = NULL;
    pawl_mirror_env env = {.project = j->project, .options = j->options, .arena = j->arena};
    pawl_status st = pawl_jobs_connect(j->project, j->options, j->arena, &ledger, &pg, &target, err);

    env.ledger = ledger;
    env.pg = pg;
    return st == PAWL_OK ? pawl_mirror_tend(&env, j->job.id, is_mirror, err) : st;
}

static pawl_status
find(joining *j, const char *job, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    pawl_status st = pawl_jobs_connect(j->project, j->options, j->arena, &ledger, &pg, &j->target, err);

    if (st == PAWL_OK)
        st = pawl_jobs_find(job, ledger, pg, j->arena, &j->job, err);
    if (st == PAWL_OK)
        st = check_job(&j->job, err);
    return st == PAWL_OK ? check_phase(&j->job, ledger, pg, err) : st;
}

static pawl_status
run(const joining *j, pawl_backfill_result *result, pawl_error *err)
{
    const pawl_event target = {.kind = PAWL_EVENT_TARGET, .text = j->target};
    pawl_datastep step;
    pawl_status st =
        pawl_datastep_find(j->project, j->job.revision, j->job.ordinal, j->options, j->arena, &step, err);

    if (st != PAWL_OK)
        return st;
    if (strcmp(step.revision, j->job.revision) != 0)
        return pawl_error_set(err, PAWL_E_STATE, "revision %s of job %lld has no file here", j->job.revision,
                              (long long) j->job.id);
    pawl_log_emit(&j->options->sink, &target);
    pawl_log_text(&j->options->sink, PAWL_EVENT_INFO, "joins job %lld (%s, %s step %d)",
                  (long long) j->job.id, j->job.table, j->job.revision, (int) j->job.ordinal);

    const pawl_backfill_id id = {.revision = j->job.revision,
                                 .direction = "up",
                                 .ordinal = j->job.ordinal,
                                 .checksum = step.step->checksum,
                                 .joins = j->job.id};

    return pawl_backfill_run(&step.spec, &step.env, &id, result, err);
}

pawl_status
pawl_work(pawl_project *project, const char *job, const pawl_run_options *options, pawl_control_report **out,
          pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    joining j = {.project = project, .options = options, .arena = arena};
    pawl_control_report *report = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *report);
    pawl_backfill_result result = {0};
    bool is_mirror = false;
    pawl_status st;

    if (report == NULL)
        return pawl_error_nomem(err, "a job");
    if ((st = pawl_project_check(project, err)) != PAWL_OK || (st = find(&j, job, err)) != PAWL_OK ||
        (st = tend(&j, &is_mirror, err)) != PAWL_OK ||
        (!is_mirror && (st = run(&j, &result, err)) != PAWL_OK))
        return st;
    *report = (pawl_control_report){.target = j.target,
                                    .job = j.job.id,
                                    .revision = j.job.revision,
                                    .step = j.job.ordinal,
                                    .table = j.job.table,
                                    .state = is_mirror         ? "mirror"
                                             : result.was_done ? "done"
                                                               : "open",
                                    .rows_written = result.progress.rows_written,
                                    .paused_by = "",
                                    .paused_at = ""};
    report->memory = arena;
    arena = NULL;
    *out = report;
    return PAWL_OK;
}
