#include "cli/state.h"

#include <inttypes.h>
#include <string.h>

#include "cli/json.h"
#include "cli/table.h"

static void
heading(pawl_cli_buf *buf, const char *text, bool has_color)
{
    pawl_cli_paint(buf, has_color, PAWL_CLI_BOLD);
    pawl_cli_add(buf, text);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
}

static void
key(pawl_cli_buf *buf, const char *name, bool has_color)
{
    pawl_cli_paint(buf, has_color, PAWL_CLI_BOLD);
    pawl_cli_addf(buf, "%-9s", name);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
}

static void
list(pawl_cli_buf *buf, const char *const *ids, size_t count, const char *none)
{
    if (count == 0)
        pawl_cli_add(buf, none);
    for (size_t i = 0; i < count; i++)
    {
        if (i > 0)
            pawl_cli_add(buf, ", ");
        pawl_cli_safe(buf, ids[i]);
    }
    pawl_cli_add(buf, "\n");
}

static pawl_cli_style
color_of_state(const char *state)
{
    if (strcmp(state, "done") == 0)
        return PAWL_CLI_GREEN;
    if (strcmp(state, "failed") == 0)
        return PAWL_CLI_RED;
    if (strcmp(state, "findings") == 0 || strcmp(state, "abandoned") == 0)
        return PAWL_CLI_YELLOW;
    return PAWL_CLI_CYAN;
}

static void
describe_target(pawl_cli_buf *buf, const pawl_status_report *r, bool has_color)
{
    key(buf, "target", has_color);
    pawl_cli_safe(buf, r->target);
    pawl_cli_add(buf, "\n");
    key(buf, "server", has_color);
    pawl_cli_safe(buf, r->server);
    pawl_cli_add(buf, "\n");
    key(buf, "ledger", has_color);
    if (r->has_ledger)
        pawl_cli_addf(buf, "version %" PRId32 "\n", r->ledger_version);
    else
        pawl_cli_add(buf, "none yet; the first `pawl upgrade` makes it\n");
    key(buf, "current", has_color);
    list(buf, r->current, r->ncurrent, "nothing is applied");
    key(buf, r->nheads > 1 ? "heads" : "head", has_color);
    list(buf, r->heads, r->nheads, "there are no revisions");
    key(buf, "pending", has_color);
    if (r->pending == 0)
        pawl_cli_add(buf, "nothing");
    else
        pawl_cli_plural(buf, (int64_t) r->pending, "revision");
    pawl_cli_add(buf, "\n");
    if (r->runner != NULL && r->runner[0] != '\0')
    {
        key(buf, "runner", has_color);
        pawl_cli_safe(buf, r->runner);
        if (r->is_runner_gone)
            pawl_cli_add(buf, ", gone: the next upgrade takes over at once\n");
        else
        {
            pawl_cli_add(buf, r->runner_lease_left_ms < 0 ? ", lease expired for " : ", lease for ");
            pawl_cli_duration(buf, r->runner_lease_left_ms < 0 ? -r->runner_lease_left_ms
                                                               : r->runner_lease_left_ms);
            pawl_cli_add(buf, "\n");
        }
    }
}

/* ---- half-way revisions ---------------------------------------------------------------------------------------- */

/* What to type where a step has left something for a person to look at. */
static void
describe_way_out(pawl_cli_buf *buf, const pawl_status_report *r)
{
    for (size_t i = 0; i < r->njobs; i++)
    {
        const pawl_job_status *job = &r->jobs[i];

        bool has_nulled =
            strcmp(job->state, "open") == 0 && strcmp(job->phase, "mirror") != 0 && job->nulled > 0;

        if (strcmp(job->state, "findings") == 0 && job->rejects == 0)
            pawl_cli_add(buf, "  others changed rows meanwhile: `pawl upgrade` says which, and what to do\n");
        else if (strcmp(job->state, "findings") == 0 || has_nulled)
            pawl_cli_addf(buf,
                          "  look at them with `pawl rejects %" PRId64
                          "`, deal with them by `pawl rejects %" PRId64 " --retry` or allow_rejects\n",
                          job->job_id, job->job_id);
    }
    pawl_cli_add(buf, "  to go on then: pawl upgrade\n");
}

static void
describe_step(pawl_cli_buf *buf, const pawl_step_status *s, bool has_color)
{
    pawl_cli_addf(buf, "  step %-3" PRId32, s->step);
    pawl_cli_add(buf, " ");
    pawl_cli_paint(buf, has_color, color_of_state(s->state));
    pawl_cli_addf(buf, "%-9s", s->state);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, " ");
    pawl_cli_safe(buf, s->kind);
    if (s->at != NULL && s->at[0] != '\0')
    {
        pawl_cli_add(buf, "  ");
        pawl_cli_safe(buf, s->at);
    }
    pawl_cli_add(buf, "\n");
    if (s->error != NULL && s->error[0] != '\0')
    {
        pawl_cli_add(buf, "           ");
        pawl_cli_safe_lines(buf, s->error, "           ");
        pawl_cli_add(buf, "\n");
    }
}

static bool
is_running(const pawl_status_report *r)
{
    return r->runner != NULL && r->runner[0] != '\0' && r->runner_lease_left_ms >= 0 && !r->is_runner_gone;
}

static void
describe_steps(pawl_cli_buf *buf, const pawl_status_report *r, bool has_color)
{
    bool has_findings = false;
    bool is_down = false;

    for (size_t i = 0; i < r->nsteps; i++)
    {
        const pawl_step_status *s = &r->steps[i];
        const pawl_step_status *before = i == 0 ? NULL : &r->steps[i - 1];

        if (before == NULL || strcmp(before->revision, s->revision) != 0 ||
            strcmp(before->direction, s->direction) != 0)
        {
            pawl_cli_add(buf, "\n");
            heading(buf, "half-way ", has_color);
            pawl_cli_safe(buf, s->revision);
            pawl_cli_add(buf, strcmp(s->direction, "down") == 0 ? ", being reverted\n" : ", being applied\n");
        }
        describe_step(buf, s, has_color);
        has_findings = has_findings || strcmp(s->state, "findings") == 0;
        is_down = is_down || strcmp(s->direction, "down") == 0;
    }
    if (r->nsteps == 0 || is_running(r))
        return;
    if (has_findings)
        describe_way_out(buf, r);
    else if (is_down)
        pawl_cli_add(buf, "  to go on: repeat the `pawl downgrade`\n");
    else
        pawl_cli_add(buf, "  to go on: pawl upgrade\n");
}

/* ---- jobs ------------------------------------------------------------------------------------------------------ */

static void
describe_workers(pawl_cli_buf *buf, const pawl_job_status *job, bool has_color)
{
    pawl_cli_table table = {
        .ncolumns = 7,
        .headings = {"worker", "chunk", "written", "rows/s", "heartbeat", "lease", "cursor"},
        .is_right = {false, true, true, true, true, true, false},
    };

    for (size_t i = 0; i < job->nworkers; i++)
    {
        const pawl_worker_status *w = &job->workers[i];
        pawl_cli_buf *cell;

        cell = pawl_cli_table_cell(&table);
        pawl_cli_safe(cell, w->owner);
        if (!w->is_alive)
            pawl_cli_add(cell, " (gone)");
        cell = pawl_cli_table_cell(&table);
        if (w->chunk > 0)
            pawl_cli_addf(cell, "%" PRId64, w->chunk);
        pawl_cli_count(pawl_cli_table_cell(&table), w->rows_written);
        pawl_cli_count(pawl_cli_table_cell(&table), (int64_t) w->rows_per_s);
        cell = pawl_cli_table_cell(&table);
        pawl_cli_duration(cell, w->heartbeat_ms);
        pawl_cli_add(cell, " ago");
        cell = pawl_cli_table_cell(&table);
        if (w->chunk == 0)
            pawl_cli_add(cell, "");
        else if (w->lease_left_ms < 0)
            pawl_cli_add(cell, "expired");
        else
            pawl_cli_duration(cell, w->lease_left_ms);
        pawl_cli_table_add(&table, w->cursor == NULL ? "" : w->cursor);
    }
    if (job->nworkers > 0)
        pawl_cli_table_print(&table, buf, "    ", has_color);
    pawl_cli_table_free(&table);
}

static void
describe_bar(pawl_cli_buf *buf, const pawl_job_status *job, pawl_cli_bar_style style)
{
    pawl_progress progress = job->progress;

    pawl_cli_add(buf, "    ");
    if (strcmp(job->state, "done") == 0 || strcmp(job->state, "findings") == 0)
    {
        pawl_cli_plural(buf, progress.rows_read, "row");
        pawl_cli_add(buf, " read, ");
        pawl_cli_count(buf, progress.rows_written);
        pawl_cli_add(buf, " written");
        if (progress.rows_rejected > 0)
            pawl_cli_addf(buf, ", %" PRId64 " rejected", progress.rows_rejected);
        if (job->rejects > 0)
            pawl_cli_addf(buf, " (%" PRId64 " to be dealt with)", job->rejects);
        if (job->finished_at != NULL && job->finished_at[0] != '\0')
        {
            pawl_cli_add(buf, "; finished ");
            pawl_cli_safe(buf, job->finished_at);
        }
    }
    else
    {
        style.columns = style.columns > 4 ? style.columns - 4 : style.columns;
        pawl_cli_bar_line(buf, &progress, style);
    }
    pawl_cli_add(buf, "\n");
}

/* From this size of a log on it is worth a warning: at eight times as much the way back is given up. */
#define LARGE_LOG ((int64_t) 1 << 30)

/* A swap or a rewrite that has cut over: what there is to tell is how far its way back lags behind. */
static void
describe_mirror(pawl_cli_buf *buf, const pawl_job_status *job, bool has_color)
{
    pawl_cli_add(buf, "    mirror: the way back is open");
    if (job->log_bytes >= 0)
    {
        pawl_cli_add(buf, ", behind by about ");
        pawl_cli_plural(buf, job->log_entries, "change");
        pawl_cli_add(buf, " (log: ");
        pawl_cli_addf(buf, "%.1f MB)", (double) job->log_bytes / 1048576);
    }
    pawl_cli_add(buf, "\n");
    if (job->log_bytes < LARGE_LOG)
        return;
    pawl_cli_paint(buf, has_color, PAWL_CLI_YELLOW);
    pawl_cli_addf(
        buf, "    at 8 GB of log the way back is given up; carry over what is in it: pawl work %" PRId64 "\n",
        job->job_id);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
}

static bool
is_mirror(const pawl_job_status *job)
{
    return strcmp(job->state, "open") == 0 && strcmp(job->phase, "mirror") == 0;
}

static bool
has_phases(const pawl_job_status *job)
{
    return strcmp(job->state, "open") == 0 &&
           (strcmp(job->kind, "swap_column") == 0 || strcmp(job->kind, "switch") == 0 ||
            strcmp(job->kind, "rewrite") == 0);
}

/* A backfill that is done, and goes on logging. */
static bool
is_captured(const pawl_job_status *job)
{
    return strcmp(job->state, "open") == 0 && strcmp(job->phase, "captured") == 0;
}

static void
describe_captured(pawl_cli_buf *buf, const pawl_job_status *job)
{
    pawl_cli_add(buf, "    every row is done; logs for a `switch` what others change");
    if (job->log_bytes >= 0)
    {
        pawl_cli_add(buf, ": about ");
        pawl_cli_plural(buf, job->log_entries, "change");
        pawl_cli_addf(buf, " (log: %.1f MB)", (double) job->log_bytes / 1048576);
    }
    pawl_cli_add(buf, "\n");
}

/* Where stripes were written, or might have been in a table of this size. */
static void
describe_form(pawl_cli_buf *buf, const pawl_job_status *job)
{
    bool is_striped = job->form != NULL && strcmp(job->form, "striped") == 0;

    if (!is_striped && job->hot_share < 0)
        return;
    pawl_cli_addf(buf, "    written %s", is_striped ? "in stripes" : "plainly");
    if (job->form_why != NULL && job->form_why[0] != '\0')
    {
        pawl_cli_add(buf, ": ");
        pawl_cli_safe(buf, job->form_why);
    }
    if (job->hot_share >= 0)
        pawl_cli_addf(buf, " (HOT share %.0f %%)", job->hot_share * 100);
    pawl_cli_add(buf, "\n");
}

/* Before the cut-over a retry may still give them a value. What was taken back has no such rows any more. */
static void
describe_nulled(pawl_cli_buf *buf, const pawl_job_status *job, bool has_color)
{
    if (job->nulled == 0 || strcmp(job->state, "abandoned") == 0)
        return;
    pawl_cli_paint(buf, has_color, PAWL_CLI_YELLOW);
    pawl_cli_add(buf, "    ");
    pawl_cli_plural(buf, job->nulled, "row");
    pawl_cli_addf(buf, " %s NULL because what %s had was refused: pawl rejects %" PRId64 "\n",
                  job->nulled == 1 ? "has" : "have", job->nulled == 1 ? "it" : "they", job->job_id);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
}

static void
describe_jobs(pawl_cli_buf *buf, const pawl_status_report *r, pawl_cli_bar_style style)
{
    if (r->njobs == 0)
        return;

    pawl_cli_add(buf, "\n");
    heading(buf, "jobs\n", style.has_color);
    for (size_t i = 0; i < r->njobs; i++)
    {
        const pawl_job_status *job = &r->jobs[i];

        pawl_cli_addf(buf, "  %" PRId64 " ", job->job_id);
        pawl_cli_paint(buf, style.has_color, color_of_state(job->state));
        pawl_cli_safe(buf, job->state);
        pawl_cli_paint(buf, style.has_color, PAWL_CLI_PLAIN);
        pawl_cli_add(buf, "  ");
        pawl_cli_safe(buf, job->table);
        pawl_cli_add(buf, "  (");
        if (job->revision != NULL && job->revision[0] != '\0')
        {
            pawl_cli_safe(buf, job->revision);
            pawl_cli_addf(buf, " step %" PRId32 ", ", job->step);
        }
        pawl_cli_safe(buf, job->writer);
        pawl_cli_add(buf, ", started ");
        pawl_cli_safe(buf, job->started_at);
        pawl_cli_add(buf, ")\n");
        if (is_mirror(job))
            describe_mirror(buf, job, style.has_color);
        else if (is_captured(job))
            describe_captured(buf, job);
        else
            describe_bar(buf, job, style);
        if (has_phases(job) && !is_mirror(job))
        {
            pawl_cli_add(buf, "    phase: ");
            pawl_cli_safe(buf, job->phase);
            pawl_cli_add(buf, "\n");
        }
        describe_nulled(buf, job, style.has_color);
        if (strcmp(job->state, "open") == 0 && job->tuned != NULL && job->tuned[0] != '\0')
        {
            pawl_cli_add(buf, "    tuned: ");
            pawl_cli_safe(buf, job->tuned);
            pawl_cli_add(buf, "\n");
        }
        describe_form(buf, job);
        describe_workers(buf, job, style.has_color);
    }
}

void
pawl_cli_describe_state(pawl_cli_buf *buf, const pawl_status_report *report, pawl_cli_bar_style style)
{
    describe_target(buf, report, style.has_color);
    describe_steps(buf, report, style.has_color);
    describe_jobs(buf, report, style);
}

/* ---- JSON ------------------------------------------------------------------------------------------------------ */

static json_t *
worker_of(const void *items, size_t i)
{
    const pawl_worker_status *w = &((const pawl_worker_status *) items)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "owner", w->owner);
    pawl_cli_put_int(&o, "chunk", w->chunk);
    pawl_cli_put_int(&o, "fence", w->fence);
    pawl_cli_put_int(&o, "lease_left_ms", w->lease_left_ms);
    pawl_cli_put_bool(&o, "is_alive", w->is_alive);
    pawl_cli_put_int(&o, "rows_written", w->rows_written);
    pawl_cli_put_text(&o, "cursor", w->cursor);
    pawl_cli_put_real(&o, "rows_per_s", w->rows_per_s);
    pawl_cli_put_int(&o, "heartbeat_ms", w->heartbeat_ms);
    pawl_cli_put_text(&o, "holding", w->holding);
    return pawl_cli_object_end(&o);
}

static json_t *
progress_of(const pawl_progress *progress)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_progress(&o, progress);
    return pawl_cli_object_end(&o);
}

static json_t *
job_of(const void *items, size_t i)
{
    const pawl_job_status *job = &((const pawl_job_status *) items)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_int(&o, "job", job->job_id);
    pawl_cli_put_text(&o, "revision", job->revision);
    pawl_cli_put_int(&o, "step", job->step);
    pawl_cli_put_text(&o, "table", job->table);
    pawl_cli_put_text(&o, "state", job->state);
    pawl_cli_put_text(&o, "kind", job->kind);
    pawl_cli_put_text(&o, "phase", job->phase);
    pawl_cli_put(&o, "log_bytes", job->log_bytes < 0 ? json_null() : json_integer(job->log_bytes));
    pawl_cli_put(&o, "log_entries", job->log_entries < 0 ? json_null() : json_integer(job->log_entries));
    pawl_cli_put_text(&o, "writer", job->writer);
    pawl_cli_put_text(&o, "form", job->form);
    pawl_cli_put_text(&o, "form_why", job->form_why);
    if (job->hot_share < 0)
        pawl_cli_put(&o, "hot_share", json_null());
    else
        pawl_cli_put_real(&o, "hot_share", job->hot_share);
    pawl_cli_put_text(&o, "started_at", job->started_at);
    pawl_cli_put_text(&o, "finished_at", job->finished_at);
    pawl_cli_put_real(&o, "percent", job->percent);
    pawl_cli_put_int(&o, "rejects", job->rejects);
    pawl_cli_put_int(&o, "nulled", job->nulled);
    pawl_cli_put_text(&o, "paused_by", job->paused_by);
    pawl_cli_put_text(&o, "paused_at", job->paused_at);
    pawl_cli_put_text(&o, "tuned", job->tuned);
    pawl_cli_put(&o, "progress", progress_of(&job->progress));
    pawl_cli_put(&o, "workers", pawl_cli_json_array(job->nworkers, worker_of, job->workers));
    return pawl_cli_object_end(&o);
}

static json_t *
step_of(const void *items, size_t i)
{
    const pawl_step_status *s = &((const pawl_step_status *) items)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "revision", s->revision);
    pawl_cli_put_text(&o, "direction", s->direction);
    pawl_cli_put_int(&o, "step", s->step);
    pawl_cli_put_text(&o, "kind", s->kind);
    pawl_cli_put_text(&o, "state", s->state);
    pawl_cli_put_text(&o, "error", s->error);
    pawl_cli_put_text(&o, "at", s->at);
    return pawl_cli_object_end(&o);
}

static json_t *
runner_of(const pawl_status_report *r)
{
    pawl_cli_object o;

    if (r->runner == NULL || r->runner[0] == '\0')
        return json_null();

    o = pawl_cli_object_begin();
    pawl_cli_put_text(&o, "owner", r->runner);
    pawl_cli_put_int(&o, "lease_left_ms", r->runner_lease_left_ms);
    pawl_cli_put(&o, "is_gone", json_boolean(r->is_runner_gone));
    return pawl_cli_object_end(&o);
}

json_t *
pawl_cli_json_state(const pawl_status_report *r, const pawl_project *project)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_text(&o, "server", r->server);
    pawl_cli_put(&o, "ledger_version", r->has_ledger ? json_integer(r->ledger_version) : json_null());
    pawl_cli_put_texts(&o, "current", r->current, r->ncurrent);
    pawl_cli_put_texts(&o, "heads", r->heads, r->nheads);
    pawl_cli_put_int(&o, "pending", (int64_t) r->pending);
    pawl_cli_put(&o, "runner", runner_of(r));
    pawl_cli_put(&o, "steps", pawl_cli_json_array(r->nsteps, step_of, r->steps));
    pawl_cli_put(&o, "jobs", pawl_cli_json_array(r->njobs, job_of, r->jobs));
    pawl_cli_put(&o, "problems", pawl_cli_json_problems(project));
    return pawl_cli_object_end(&o);
}
