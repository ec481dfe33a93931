/* The public verification of a finished job. */
#include "backfill/verify.h"

#include <string.h>

#include "migrate/datastep.h"
#include "util/units.h"

#include "util/banned.h"

typedef struct verifying
{
    pawl_project *project;
    const pawl_verify_options *what;
    const pawl_run_options *options;
    pawl_arena *arena;
    pawl_datastep step;
    pawl_verify_job job;
    const char *target;
} verifying;

/* A text of digits is the number of a job, unless it is a revision's id. */
static bool
is_job_number(const verifying *v, int64_t *out)
{
    return strspn(v->what->job, "0123456789") == strlen(v->what->job) &&
           pawl_project_find(v->project, v->what->job) == NULL && pawl_has_i64(v->what->job, out) && *out > 0;
}

static pawl_status
check_job(const verifying *v, pawl_error *err)
{
    const pawl_verify_job *job = &v->job;

    if (strcmp(job->direction, "up") != 0)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED, "job %lld cannot be verified: it is not of a step upwards",
                              (long long) job->id);
        return pawl_error_hint(
            err, "jobs of `down` steps and of callers of the library have no step to run again");
    }
    if (strcmp(job->state, "done") == 0 || strcmp(job->state, "findings") == 0)
        return PAWL_OK;
    (void) pawl_error_set(err, PAWL_E_STATE, "job %lld is %s: it can be verified when it is done",
                          (long long) job->id, job->state);
    return pawl_error_hint(err, "pawl upgrade %s carries it on", job->revision);
}

static pawl_status
load(verifying *v, pawl_error *err)
{
    PAWL_AUTO(pawl_ledger) ledger = NULL;
    PAWL_AUTO(pawl_pg) pg = NULL;
    const char *conninfo = NULL;
    int64_t number = 0;
    int version = 0;
    bool is_number = is_job_number(v, &number);
    pawl_status st = PAWL_OK;

    if (!is_number)
        st = pawl_datastep_find(v->project, v->what->job, v->what->step, v->options, v->arena, &v->step, err);
    if (st != PAWL_OK || (st = pawl_project_conninfo(v->project, v->arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(v->project->settings.schema, &ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(v->project, conninfo, true, v->options->stop, &pg, err)) != PAWL_OK ||
        (st = pawl_ledger_version(ledger, pg, &version, err)) != PAWL_OK)
        return st;
    v->target = pawl_arena_strdup(v->arena, pawl_pg_target(pg));
    if (v->target == NULL)
        return pawl_error_nomem(err, "a verification");
    if (version == 0)
        return pawl_error_set(err, PAWL_E_STATE,
                              "there is nothing to verify: no revision was ever applied here");
    if (version > PAWL_LEDGER_VERSION)
        return pawl_error_set(err, PAWL_E_REFUSED, "the ledger has version %d, and this pawl knows %d",
                              version, PAWL_LEDGER_VERSION);

    const pawl_verify_which which = {
        .job = number, .revision = is_number ? "" : v->step.revision, .ordinal = v->step.ordinal};

    st = pawl_verify_job_load(&v->job, &which, ledger, pg, v->arena, err);
    if (st != PAWL_OK || (st = check_job(v, err)) != PAWL_OK || !is_number)
        return st;
    return pawl_datastep_find(v->project, v->job.revision, v->job.ordinal, v->options, v->arena, &v->step,
                              err);
}

static pawl_status
report_job(const verifying *v, pawl_verify_report *report, pawl_error *err)
{
    const char **notes = pawl_arena_array(v->arena, 1, sizeof(const char *));

    if (notes == NULL)
        return pawl_error_nomem(err, "a verification");
    report->target = v->target;
    report->job = v->job.id;
    report->revision = v->job.revision;
    report->step = v->job.ordinal;
    report->table = v->job.table;
    report->finished_at = v->job.finished_at;
    report->is_all = v->what->is_all;
    report->notes = notes;
    if (strcmp(v->job.checksum, v->step.step->checksum) != 0)
        notes[report->nnotes++] =
            "the step or a file that it names has changed since the job ran: what differs may come from that";
    return PAWL_OK;
}

static pawl_status
run(verifying *v, pawl_verify_report *report, pawl_error *err)
{
    pawl_status st;

    if ((st = load(v, err)) != PAWL_OK || (st = report_job(v, report, err)) != PAWL_OK)
        return st;
    return pawl_backfill_verify(&v->step.spec, &v->step.env, v->what, &v->job, v->arena, report, err);
}

pawl_status
pawl_verify_run(pawl_project *project, const pawl_verify_options *what, const pawl_run_options *options,
                pawl_verify_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    verifying v = {.project = project, .what = what, .options = options, .arena = arena};
    pawl_verify_report *report = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *report);
    pawl_status st;

    if (report == NULL)
        return pawl_error_nomem(err, "a verification");
    *report = (pawl_verify_report){.target = ""};
    if (what->job == NULL || what->job[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "a verification needs a job or a revision");
    st = pawl_project_check(project, err);
    if (st == PAWL_OK)
        st = run(&v, report, err);
    if (st != PAWL_OK)
        return st;
    report->memory = arena;
    arena = NULL;
    *out = report;
    return PAWL_OK;
}

void
pawl_verify_free(pawl_verify_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}
