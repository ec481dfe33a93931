/* The public side of rejects: which job, its list, its retry. */
#include "pawl/rejects.h"

#include <string.h>

#include "backfill/retry.h"
#include "core/error.h"
#include "migrate/datastep.h"
#include "migrate/rejects_again.h"
#include "pawl_sql.h"
#include "util/units.h"

#include "util/banned.h"

typedef struct asking
{
    pawl_project *project;
    const pawl_rejects_options *what;
    const pawl_run_options *options;
    pawl_arena *arena;
    pawl_ledger *ledger;
    pawl_pg *pg;
    const char *direction; /* of the job's step */
    const char *recorded;  /* with that step; "" when it is not there */
    int64_t started_us;
    bool is_online; /* a swap or a rewrite */
} asking;

/* A text of digits is the number of a job, unless it is a revision's id. */
static bool
is_job_number(const asking *a, int64_t *out)
{
    return strspn(a->what->job, "0123456789") == strlen(a->what->job) &&
           pawl_project_find(a->project, a->what->job) == NULL && pawl_has_i64(a->what->job, out) && *out > 0;
}

static pawl_status
connect(asking *a, pawl_rejects_report *r, pawl_error *err)
{
    const char *conninfo = NULL;
    int version = 0;
    pawl_status st;

    if ((st = pawl_project_conninfo(a->project, a->arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(a->project->settings.schema, &a->ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(a->project, conninfo, true, a->options->stop, &a->pg, err)) != PAWL_OK ||
        (st = pawl_ledger_version(a->ledger, a->pg, &version, err)) != PAWL_OK)
        return st;
    r->target = pawl_arena_strdup(a->arena, pawl_pg_target(a->pg));
    if (r->target == NULL)
        return pawl_error_nomem(err, "rejected rows");
    if (version == 0)
        return pawl_error_set(err, PAWL_E_STATE, "there are no jobs: no revision was ever applied here");
    if (version > PAWL_LEDGER_VERSION)
        return pawl_error_set(err, PAWL_E_REFUSED, "the ledger has version %d, and this pawl knows %d",
                              version, PAWL_LEDGER_VERSION);
    return PAWL_OK;
}

static pawl_status
take_job(asking *a, const pawl_pg_result *res, pawl_rejects_report *r, pawl_error *err)
{
    const char **const texts[] = {&r->revision, &a->direction, &r->job_state, &r->table, &a->recorded};
    static const int columns[] = {1, 2, 4, 5, 12};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    {
        *texts[i] = pawl_arena_strdup(a->arena, pawl_pg_text(res, 0, columns[i]));
        if (*texts[i] == NULL)
            return pawl_error_nomem(err, "rejected rows");
    }
    r->job = pawl_pg_i64(res, 0, 0);
    r->step = (int32_t) pawl_pg_i64(res, 0, 3);
    a->started_us = pawl_pg_i64(res, 0, 6);
    r->counts = (pawl_reject_counts){.open = pawl_pg_i64(res, 0, 7),
                                     .skipped = pawl_pg_i64(res, 0, 8),
                                     .done = pawl_pg_i64(res, 0, 9),
                                     .gone = pawl_pg_i64(res, 0, 10),
                                     .unmatched = pawl_pg_i64(res, 0, 11),
                                     .nulled = pawl_pg_i64(res, 0, 13)};
    a->is_online = strcmp(pawl_pg_text(res, 0, 14), "swap_column") == 0 ||
                   strcmp(pawl_pg_text(res, 0, 14), "rewrite") == 0;
    return PAWL_OK;
}

/* Of a revision the backfill: a swap or a rewrite has rejects as well, and is found by its job. */
static pawl_status
find_backfill(asking *a, pawl_datastep *step, pawl_error *err)
{
    pawl_status st =
        pawl_datastep_find(a->project, a->what->job, a->what->step, a->options, a->arena, step, err);

    if (st == PAWL_E_USAGE && err->hint[0] == '\0')
        (void) pawl_error_hint(
            err, "of a swap or a rewrite name the job by its number, as `pawl status` shows it");
    return st;
}

/* The newest job of the step; or the job of that number, whatever it belongs to. */
static pawl_status
find_job(asking *a, pawl_rejects_report *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_datastep step = {.revision = "", .ordinal = 0};
    int64_t number = 0;
    pawl_status st = PAWL_OK;

    if (!is_job_number(a, &number))
        st = find_backfill(a, &step, err);
    if (st != PAWL_OK || (st = connect(a, r, err)) != PAWL_OK ||
        (st = pawl_pg_begin(a->pg, NULL, err)) != PAWL_OK)
        return st;

    const pawl_pg_arg args[] = {PAWL_ARG_I64(number), PAWL_ARG_TEXT(step.revision),
                                PAWL_ARG_I64(step.ordinal)};

    st = pawl_ledger_query(a->ledger, a->pg, pawl_sql_migrate_reject_job, 3, args, &res, err);
    pawl_pg_rollback(a->pg);
    if (st != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 && number > 0)
        return pawl_error_set(err, PAWL_E_STATE, "there is no job %lld", (long long) number);
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "step %d of revision %s has no job: it was never begun",
                              (int) step.ordinal, step.revision);
    return take_job(a, res, r, err);
}

static pawl_status
take_row(asking *a, const pawl_pg_result *res, int row, pawl_reject *out, pawl_error *err)
{
    const char **const texts[] = {&out->table,    &out->key,     &out->key_json, &out->input,
                                  &out->sqlstate, &out->message, &out->state};

    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
    {
        *texts[i] = pawl_arena_strdup(a->arena, pawl_pg_text(res, row, (int) i + 1));
        if (*texts[i] == NULL)
            return pawl_error_nomem(err, "rejected rows");
    }
    out->id = pawl_pg_i64(res, row, 0);
    out->attempts = (int32_t) pawl_pg_i64(res, row, 8);
    out->at = pawl_arena_strdup(a->arena, pawl_pg_text(res, row, 9));
    return out->at == NULL ? pawl_error_nomem(err, "rejected rows") : PAWL_OK;
}

static pawl_status
fill_list(asking *a, pawl_rejects_report *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    char most[24];
    const pawl_pg_arg args[] = {PAWL_ARG_I64(r->job), PAWL_ARG_BOOL(a->what->is_all),
                                a->what->most > 0 ? pawl_arg_i64(a->what->most, most) : PAWL_ARG_NULL};
    pawl_status st = pawl_pg_begin(a->pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(a->ledger, a->pg, pawl_sql_migrate_reject_list, 3, args, &res, err);
    pawl_pg_rollback(a->pg);
    if (st != PAWL_OK)
        return st;
    r->nlist = (size_t) pawl_pg_rows(res);
    r->list = pawl_arena_array(a->arena, r->nlist, sizeof *r->list);
    if (r->list == NULL)
        return pawl_error_nomem(err, "rejected rows");
    for (size_t i = 0; i < r->nlist && st == PAWL_OK; i++)
        st = take_row(a, res, (int) i, &r->list[i], err);
    r->chosen = r->counts.open + r->counts.skipped + r->counts.nulled;
    if (a->what->is_all)
        r->chosen += r->counts.done + r->counts.gone + r->counts.unmatched;
    return st;
}

static pawl_status
check(const asking *a, pawl_error *err)
{
    if (a->what->job == NULL || a->what->job[0] == '\0')
        return pawl_error_set(err, PAWL_E_USAGE, "rejected rows belong to a job: name it, or its revision");
    if (a->what->most < 0)
        return pawl_error_set(err, PAWL_E_USAGE, "a list cannot have fewer than no rows");
    return PAWL_OK;
}

static void
close_asking(asking *a)
{
    pawl_pg_close(a->pg);
    pawl_ledger_free(a->ledger);
}

pawl_status
pawl_rejects_list(pawl_project *project, const pawl_rejects_options *what, const pawl_run_options *options,
                  pawl_rejects_report **out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    asking a = {.project = project, .what = what, .options = options, .arena = arena};
    pawl_rejects_report *report = arena == NULL ? NULL : pawl_arena_alloc(arena, sizeof *report);
    pawl_status st;

    if (report == NULL)
        return pawl_error_nomem(err, "rejected rows");
    *report = (pawl_rejects_report){.target = ""};
    if ((st = check(&a, err)) == PAWL_OK && (st = find_job(&a, report, err)) == PAWL_OK)
        st = fill_list(&a, report, err);
    close_asking(&a);
    if (st != PAWL_OK)
        return st;
    report->memory = arena;
    arena = NULL;
    *out = report;
    return PAWL_OK;
}

void
pawl_rejects_report_free(pawl_rejects_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}

/* ---- retry --------------------------------------------------------------------------------------------------------- */

/* The step that the job was of, as it is now: it must say what it said. */
static pawl_status
find_step(asking *a, const pawl_rejects_report *r, pawl_datastep *step, pawl_error *err)
{
    pawl_status st;

    if (strcmp(a->direction, "up") != 0)
    {
        (void) pawl_error_set(err, PAWL_E_REFUSED,
                              "the rejected rows of job %lld cannot be retried: it is not of a "
                              "step upwards",
                              (long long) r->job);
        return pawl_error_hint(
            err, "jobs of `down` steps and of callers of the library have no step to run again");
    }
    if (strcmp(r->job_state, "abandoned") == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned: its rejected rows are not retried",
                              (long long) r->job);
    st = pawl_datastep_find(a->project, r->revision, r->step, a->options, a->arena, step, err);
    if (st != PAWL_OK || a->recorded[0] == '\0' || strstr(a->recorded, step->step->frozen) != NULL)
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE, "step %d of revision %s was changed since job %lld ran",
                          (int) r->step, r->revision, (long long) r->job);
    (void) pawl_error_place(err, step->step->entry->entry->file, step->step->entry->entry->line, 0);
    return pawl_error_hint(
        err, "for a retry only its Lua, its pace and what it says of bad rows may be others; put the "
             "rest back as it was");
}

static void
fill_outcome(const pawl_rejects_report *r, const pawl_retry_result *result, pawl_retry_outcome *out)
{
    *out = (pawl_retry_outcome){.job = r->job,
                                .step = r->step,
                                .done = result->done,
                                .refused = result->refused,
                                .gone = result->gone,
                                .unmatched = result->unmatched,
                                .left = result->left,
                                .has_findings = result->has_findings};
    pawl_fmt(out->revision, sizeof out->revision, "%s", r->revision);
}

/* Whoever carries the changes of others over transforms them again. */
static pawl_status
queue_again(asking *a, const pawl_rejects_report *r, const pawl_retry_result *none, pawl_retry_outcome *out,
            pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    const pawl_settings *s = &a->project->settings;
    const char *conninfo = NULL;
    int64_t queued = 0;
    pawl_status st = pawl_project_conninfo(a->project, a->arena, &conninfo, err);

    if (st != PAWL_OK ||
        (st = pawl_project_connect(a->project, conninfo, false, a->options->stop, &pg, err)) != PAWL_OK ||
        (st = pawl_rejects_queue_again(r->job, r->revision, s->lock_timeout_ms, a->ledger, pg, &queued,
                                       err)) != PAWL_OK)
        return st;
    fill_outcome(r, none, out);
    out->queued = queued;
    return PAWL_OK;
}

pawl_status
pawl_rejects_retry(pawl_project *project, const pawl_rejects_options *what, const pawl_run_options *options,
                   pawl_retry_outcome *out, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    asking a = {.project = project, .what = what, .options = options, .arena = arena};
    pawl_rejects_report job = {.target = ""};
    pawl_retry_result result = {0};
    pawl_datastep step;
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "rejected rows");
    if ((st = check(&a, err)) == PAWL_OK && (st = find_job(&a, &job, err)) == PAWL_OK)
        st = a.is_online ? queue_again(&a, &job, &result, out, err) : find_step(&a, &job, &step, err);
    close_asking(&a);
    if (st == PAWL_OK && a.is_online)
        return st;
    if (st != PAWL_OK ||
        (st = pawl_backfill_retry(&step.spec, &step.env, job.job, a.started_us, &result, err)) != PAWL_OK)
        return st;
    fill_outcome(&job, &result, out);
    return PAWL_OK;
}
