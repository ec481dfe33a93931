/* What `status` shows. Nothing here writes, creates a ledger or needs a primary. */
#include <string.h>

#include "migrate/look.h"
#include "pawl_sql.h"
#include "progress/progress.h"
#include "util/alloc.h"

#include "util/banned.h"

/* ---- status ------------------------------------------------------------------------------------------------------ */

static pawl_status
ask(pawl_look *look, const char *sql, pawl_pg_result **out, pawl_error *err)
{
    return pawl_ledger_query(look->ledger, look->pg, sql, 0, NULL, out, err);
}

static bool
can_copy(pawl_look *look, const pawl_pg_result *res, int row, int column, const char **out)
{
    *out = pawl_arena_strdup(look->arena, pawl_pg_text(res, row, column));
    return *out != NULL;
}

static pawl_status
fill_nodes(pawl_look *look, const size_t *nodes, size_t count, const char *const **out, pawl_error *err)
{
    const char **ids = pawl_arena_array(look->arena, count, sizeof *ids);

    if (ids == NULL)
        return pawl_error_nomem(err, "the status");
    for (size_t i = 0; i < count; i++)
    {
        ids[i] = pawl_graph_node(look->graph, nodes[i])->id;
        if (!pawl_look_can_own(look, &ids[i]))
            return pawl_error_nomem(err, "the status");
    }
    *out = ids;
    return PAWL_OK;
}

static pawl_status
fill_place(pawl_look *look, pawl_status_report *r, pawl_error *err)
{
    size_t *nodes = NULL;
    size_t count = 0;
    pawl_status st;

    if ((st = pawl_graph_current(look->graph, &nodes, &count, err)) != PAWL_OK ||
        (st = fill_nodes(look, nodes, count, &r->current, err)) != PAWL_OK)
        return st;
    r->ncurrent = count;
    /* The heads of the files alone: one that only the ledger knows is nothing to upgrade to. */
    if ((st = pawl_graph_heads(look->project->graph, &nodes, &count, err)) != PAWL_OK)
        return st;
    const char **heads = pawl_arena_array(look->arena, count, sizeof *heads);
    if (heads == NULL)
        return pawl_error_nomem(err, "the status");
    for (size_t i = 0; i < count; i++)
    {
        heads[i] = pawl_graph_node(look->project->graph, nodes[i])->id;
        if (!pawl_look_can_own(look, &heads[i]))
            return pawl_error_nomem(err, "the status");
    }
    r->heads = heads;
    r->nheads = count;

    for (size_t i = 0; i < look->project->nloaded; i++)
    {
        const pawl_applied *a = pawl_look_applied(look, look->project->loaded[i].revision->id);
        r->pending += a == NULL || strcmp(a->state, "applied") != 0 ? 1 : 0;
    }
    return PAWL_OK;
}

static pawl_status
fill_runner(pawl_look *look, pawl_status_report *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = ask(look, pawl_sql_migrate_runner, &res, err);

    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    if (!can_copy(look, res, 0, 0, &r->runner))
        return pawl_error_nomem(err, "the status");
    r->runner_lease_left_ms = pawl_pg_i64(res, 0, 1);
    r->is_runner_gone = r->runner[0] != '\0' && pawl_pg_is_true(res, 0, 2);
    return PAWL_OK;
}

static pawl_status
fill_steps(pawl_look *look, pawl_status_report *r, pawl_error *err)
{
    pawl_applied_step *steps = NULL;
    size_t count = 0;
    pawl_status st = pawl_history_steps(look->ledger, look->pg, NULL, look->arena, &steps, &count, err);

    if (st != PAWL_OK)
        return st;
    r->steps = pawl_arena_array(look->arena, count, sizeof *r->steps);
    if (r->steps == NULL)
        return pawl_error_nomem(err, "the status");
    for (size_t i = 0; i < count; i++)
        r->steps[i] = (pawl_step_status){.revision = steps[i].revision,
                                         .direction = steps[i].direction,
                                         .step = steps[i].ordinal,
                                         .kind = steps[i].kind,
                                         .state = steps[i].state,
                                         .error = steps[i].error,
                                         .at = steps[i].finished_at[0] != '\0' ? steps[i].finished_at
                                                                               : steps[i].started_at};
    r->nsteps = count;
    return PAWL_OK;
}

static void
fill_progress(const pawl_pg_result *res, int row, pawl_job_status *job)
{
    job->progress = (pawl_progress){.job_id = job->job_id,
                                    .rows_total = pawl_pg_i64(res, row, 8),
                                    .rows_read = pawl_pg_i64(res, row, 9),
                                    .rows_written = pawl_pg_i64(res, row, 10),
                                    .rows_moved = pawl_pg_i64(res, row, 11),
                                    .rows_gone = pawl_pg_i64(res, row, 12),
                                    .rows_rejected = pawl_pg_i64(res, row, 13),
                                    .batches = pawl_pg_i64(res, row, 14),
                                    .eta_ms = -1};
    job->rejects = pawl_pg_i64(res, row, 15);
    job->nulled = pawl_pg_i64(res, row, 27);
    job->hot_share = pawl_pg_i64(res, row, 21) == 0
                         ? -1
                         : (double) pawl_pg_i64(res, row, 22) / (double) pawl_pg_i64(res, row, 21);
    job->percent = pawl_progress_percent(&job->progress, strcmp(job->state, "done") == 0);
}

/* What workers tell of themselves makes up the job's rate and what holds it back. */
static void
add_worker(pawl_job_status *job, const pawl_worker_status *w, int64_t batch_rows)
{
    pawl_progress *p = &job->progress;

    p->workers++;
    p->rows_per_s += w->rows_per_s;
    if (batch_rows > p->batch_rows)
        p->batch_rows = (int32_t) batch_rows;
    if (p->holding[0] == '\0')
        pawl_fmt(p->holding, sizeof p->holding, "%s", w->holding);
}

static void
finish_progress(pawl_job_status *job)
{
    pawl_progress *p = &job->progress;
    int64_t left = p->rows_total - p->rows_read;

    if (job->paused_by[0] != '\0')
        pawl_fmt(p->holding, sizeof p->holding, "paused by %s since %s", job->paused_by, job->paused_at);
    if (p->rows_per_s >= 1 && left > 0)
        p->eta_ms = (int64_t) ((double) left * 1000 / p->rows_per_s);
}

/* The rows of `res` from *at on that belong to the job. */
static pawl_status
fill_workers(pawl_look *look, const pawl_pg_result *res, int *at, pawl_job_status *job, pawl_error *err)
{
    int first = *at;

    while (*at < pawl_pg_rows(res) && pawl_pg_i64(res, *at, 0) == job->job_id)
        (*at)++;
    job->nworkers = (size_t) (*at - first);
    job->workers = pawl_arena_array(look->arena, job->nworkers, sizeof *job->workers);
    if (job->workers == NULL)
        return pawl_error_nomem(err, "the status");
    for (int row = first; row < *at; row++)
    {
        pawl_worker_status *w = &job->workers[row - first];
        *w = (pawl_worker_status){.chunk = pawl_pg_i64(res, row, 2),
                                  .fence = pawl_pg_i64(res, row, 3),
                                  .lease_left_ms = pawl_pg_i64(res, row, 4),
                                  .is_alive = pawl_pg_is_true(res, row, 5),
                                  .rows_written = pawl_pg_i64(res, row, 6),
                                  .rows_per_s = pawl_pg_f64(res, row, 8),
                                  .heartbeat_ms = pawl_pg_i64(res, row, 9)};
        if (!can_copy(look, res, row, 1, &w->owner) || !can_copy(look, res, row, 7, &w->cursor) ||
            !can_copy(look, res, row, 10, &w->holding))
            return pawl_error_nomem(err, "the status");
        if (w->is_alive && (row == first || strcmp(w->owner, (w - 1)->owner) != 0))
            add_worker(job, w, pawl_pg_i64(res, row, 11));
    }
    finish_progress(job);
    return PAWL_OK;
}

static pawl_status
fill_jobs(pawl_look *look, pawl_status_report *r, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) jobs = NULL;
    PAWL_AUTO(pawl_pg_result) workers = NULL;
    int at = 0;
    pawl_status st;

    if ((st = ask(look, pawl_sql_migrate_jobs, &jobs, err)) != PAWL_OK ||
        (st = ask(look, pawl_sql_migrate_workers, &workers, err)) != PAWL_OK)
        return st;
    r->njobs = (size_t) pawl_pg_rows(jobs);
    r->jobs = pawl_arena_array(look->arena, r->njobs, sizeof *r->jobs);
    if (r->jobs == NULL)
        return pawl_error_nomem(err, "the status");
    for (int row = 0; row < pawl_pg_rows(jobs) && st == PAWL_OK; row++)
    {
        pawl_job_status *job = &r->jobs[row];
        job->job_id = pawl_pg_i64(jobs, row, 0);
        job->step = (int32_t) pawl_pg_i64(jobs, row, 2);
        if (!can_copy(look, jobs, row, 1, &job->revision) || !can_copy(look, jobs, row, 3, &job->table) ||
            !can_copy(look, jobs, row, 4, &job->state) || !can_copy(look, jobs, row, 5, &job->writer) ||
            !can_copy(look, jobs, row, 6, &job->started_at) ||
            !can_copy(look, jobs, row, 7, &job->finished_at) ||
            !can_copy(look, jobs, row, 16, &job->paused_by) ||
            !can_copy(look, jobs, row, 17, &job->paused_at) || !can_copy(look, jobs, row, 18, &job->tuned) ||
            !can_copy(look, jobs, row, 19, &job->form) || !can_copy(look, jobs, row, 20, &job->form_why) ||
            !can_copy(look, jobs, row, 23, &job->kind) || !can_copy(look, jobs, row, 24, &job->phase))
            return pawl_error_nomem(err, "the status");
        job->log_bytes = pawl_pg_is_null(jobs, row, 25) ? -1 : pawl_pg_i64(jobs, row, 25);
        job->log_entries = pawl_pg_is_null(jobs, row, 26) ? -1 : pawl_pg_i64(jobs, row, 26);
        fill_progress(jobs, row, job);
        /* Both results come newest job first; jobs that the list leaves out are older. */
        st = fill_workers(look, workers, &at, job, err);
    }
    return st;
}

static pawl_status
fill_report(pawl_look *look, pawl_status_report *r, pawl_error *err)
{
    int version = pawl_pg_server_version(look->pg);
    pawl_status st = PAWL_OK;

    r->target = look->target;
    r->server = pawl_arena_fmt(look->arena, "PostgreSQL %d.%d", version / 10000, version % 10000);
    r->has_ledger = look->ledger_version > 0;
    r->ledger_version = look->ledger_version;
    r->runner = "";
    if (r->server == NULL)
        return pawl_error_nomem(err, "the status");
    st = fill_place(look, r, err);
    if (st != PAWL_OK || !r->has_ledger)
        return st;
    if ((st = pawl_pg_begin(look->pg, NULL, err)) != PAWL_OK || (st = fill_runner(look, r, err)) != PAWL_OK ||
        (st = fill_steps(look, r, err)) != PAWL_OK || (st = fill_jobs(look, r, err)) != PAWL_OK ||
        (st = pawl_pg_commit(look->pg, err)) != PAWL_OK)
        pawl_pg_rollback(look->pg);
    return st;
}

pawl_status
pawl_status_get(pawl_project *project, const pawl_run_options *options, pawl_status_report **out,
                pawl_error *err)
{
    PAWL_AUTO(pawl_look) look = NULL;
    pawl_status st = pawl_look_open(project, true, options, &look, err);

    if (st != PAWL_OK)
        return st;
    pawl_status_report *r = pawl_arena_alloc(look->arena, sizeof *r);
    if (r == NULL)
        return pawl_error_nomem(err, "the status");
    st = fill_report(look, r, err);
    if (st != PAWL_OK)
        return st;
    r->memory = look->arena;
    look->arena = NULL;
    *out = r;
    return PAWL_OK;
}

void
pawl_status_free(pawl_status_report *report)
{
    if (report != NULL)
        pawl_arena_free(report->memory);
}
