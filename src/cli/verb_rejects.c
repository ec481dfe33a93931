/* pawl rejects: the rows that a data step has set aside. */
#include <inttypes.h>
#include <string.h>

#include "cli/fail.h"
#include "cli/json.h"
#include "cli/reject_file.h"
#include "cli/session.h"
#include "cli/table.h"

#include "pawl/rejects.h"

#define MOST_SHOWN 100

/* ---- the list ------------------------------------------------------------------------------------------------------ */

static json_t *
json_of(const pawl_rejects_report *r)
{
    pawl_cli_object o = pawl_cli_object_begin();
    pawl_cli_object counts = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "report");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_int(&o, "job", r->job);
    pawl_cli_put_text(&o, "job_state", r->job_state);
    pawl_cli_put_text(&o, "revision", r->revision);
    pawl_cli_put_int(&o, "step", r->step);
    pawl_cli_put_text(&o, "table", r->table);
    pawl_cli_put_int(&counts, "open", r->counts.open);
    pawl_cli_put_int(&counts, "skipped", r->counts.skipped);
    pawl_cli_put_int(&counts, "done", r->counts.done);
    pawl_cli_put_int(&counts, "gone", r->counts.gone);
    pawl_cli_put_int(&counts, "unmatched", r->counts.unmatched);
    pawl_cli_put_int(&counts, "nulled", r->counts.nulled);
    pawl_cli_put(&o, "counts", pawl_cli_object_end(&counts));
    pawl_cli_put(&o, "list", pawl_cli_json_array(r->nlist, pawl_cli_json_reject, r->list));
    return pawl_cli_object_end(&o);
}

static void
add_list(pawl_cli_buf *buf, const pawl_rejects_report *r, bool has_color)
{
    pawl_cli_table table = {
        .ncolumns = 5,
        .headings = {"reject", "row", "state", "SQLSTATE", "message"},
        .is_right = {true, false, false, false, false},
    };

    for (size_t i = 0; i < r->nlist; i++)
    {
        const pawl_reject *row = &r->list[i];

        pawl_cli_addf(pawl_cli_table_cell(&table), "%" PRId64, row->id);
        pawl_cli_table_add(&table, row->key);
        pawl_cli_table_add(&table, row->state);
        pawl_cli_table_add(&table, row->sqlstate);
        pawl_cli_table_add(&table, row->message);
    }
    if (r->nlist > 0)
    {
        pawl_cli_table_print(&table, buf, "", has_color);
        pawl_cli_add(buf, "\n");
    }
    pawl_cli_table_free(&table);
    if (r->chosen > (int64_t) r->nlist)
    {
        pawl_cli_add(buf, "... and ");
        pawl_cli_count(buf, r->chosen - (int64_t) r->nlist);
        pawl_cli_add(buf, " more; --most N shows more of them, --export FILE writes all\n\n");
    }
}

static void
add_count(pawl_cli_buf *buf, int64_t n, const char *what)
{
    if (n == 0)
        return;
    pawl_cli_add(buf, ", ");
    pawl_cli_count(buf, n);
    pawl_cli_addf(buf, " %s", what);
}

static void
add_summary(pawl_cli_buf *buf, const pawl_rejects_report *r)
{
    pawl_cli_safe(buf, r->table);
    pawl_cli_addf(buf, ", job %" PRId64 " (", r->job);
    pawl_cli_safe(buf, r->revision);
    pawl_cli_addf(buf, " step %" PRId32 "), %s: ", r->step, r->job_state);
    pawl_cli_count(buf, r->counts.open);
    pawl_cli_add(buf, " to be dealt with");
    add_count(buf, r->counts.nulled, "with NULL instead");
    add_count(buf, r->counts.skipped, "skipped");
    add_count(buf, r->counts.done, "done since");
    add_count(buf, r->counts.gone, "gone since");
    add_count(buf, r->counts.unmatched, "no longer chosen by `where:`");
    pawl_cli_add(buf, "\n");
}

static void
print(pawl_cli *cli, const pawl_rejects_report *r)
{
    PAWL_CLI_BUF text = {0};

    add_list(&text, r, cli->out->has_data_color);
    add_summary(&text, r);
    pawl_cli_print(cli->out, &text);
}

static pawl_status
found(const pawl_rejects_report *r, pawl_error *err)
{
    bool has_nulled = r->counts.nulled > 0 && strcmp(r->job_state, "abandoned") != 0;

    if (r->counts.open == 0 && !has_nulled)
        return PAWL_OK;
    if (r->counts.open == 0)
        return pawl_cli_fail(err, PAWL_E_FINDINGS, "%" PRId64 " %s NULL because what %s had was refused",
                             r->counts.nulled, r->counts.nulled == 1 ? "row has" : "rows have",
                             r->counts.nulled == 1 ? "it" : "they");
    (void) pawl_cli_fail(err, PAWL_E_FINDINGS, "%" PRId64 " rejected %s to be dealt with", r->counts.open,
                         r->counts.open == 1 ? "row has" : "rows have");
    return PAWL_E_FINDINGS;
}

static pawl_status
list(pawl_cli *cli, pawl_rejects_options *what, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_rejects_report *report = NULL;
    const char *file = pawl_cli_value(cli->line, "--export");
    pawl_status st;

    if (what->most == 0 && file == NULL && !cli->out->is_json)
        what->most = MOST_SHOWN;
    st = pawl_rejects_list(cli->project, what, &options, &report, err);
    if (st != PAWL_OK)
        return st;
    if (file != NULL)
    {
        PAWL_CLI_BUF text = {0};

        st = pawl_cli_reject_file_write(file, report, err);
        pawl_cli_plural(&text, (int64_t) report->nlist, "row");
        pawl_cli_add(&text, " written to ");
        pawl_cli_safe(&text, file);
        pawl_cli_add(&text, "\n");
        if (st == PAWL_OK)
            pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
    }
    else if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of(report));
    else
        print(cli, report);
    if (st == PAWL_OK && file == NULL)
        st = found(report, err);
    pawl_rejects_report_free(report);
    return st;
}

/* ---- the retry ----------------------------------------------------------------------------------------------------- */

static json_t *
json_of_outcome(const pawl_retry_outcome *r)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "retried");
    pawl_cli_put_time(&o);
    pawl_cli_put_int(&o, "job", r->job);
    pawl_cli_put_text(&o, "revision", r->revision);
    pawl_cli_put_int(&o, "step", r->step);
    pawl_cli_put_int(&o, "done", r->done);
    pawl_cli_put_int(&o, "refused", r->refused);
    pawl_cli_put_int(&o, "gone", r->gone);
    pawl_cli_put_int(&o, "unmatched", r->unmatched);
    pawl_cli_put_int(&o, "left", r->left);
    pawl_cli_put_bool(&o, "has_findings", r->has_findings);
    pawl_cli_put_int(&o, "queued", r->queued);
    return pawl_cli_object_end(&o);
}

static void
print_queued(pawl_cli *cli, const pawl_retry_outcome *r)
{
    PAWL_CLI_BUF text = {0};

    pawl_cli_addf(&text, "job %" PRId64 ": ", r->job);
    pawl_cli_plural(&text, r->queued, "row");
    pawl_cli_add(&text,
                 " to be transformed again, by the `pawl upgrade` that runs, or else by the next one\n");
    pawl_cli_print(cli->out, &text);
}

static void
print_outcome(pawl_cli *cli, const pawl_retry_outcome *r)
{
    PAWL_CLI_BUF text = {0};

    if (r->queued > 0)
    {
        print_queued(cli, r);
        return;
    }
    pawl_cli_addf(&text, "job %" PRId64 ": ", r->job);
    pawl_cli_plural(&text, r->done, "row");
    pawl_cli_add(&text, " done");
    add_count(&text, r->refused, "refused again");
    add_count(&text, r->gone, "gone");
    add_count(&text, r->unmatched, "no longer chosen by `where:`");
    pawl_cli_add(&text, "\n");
    if (!r->has_findings)
        pawl_cli_add(&text,
                     "the job has no findings; where its step waited for it, go on with: pawl upgrade\n");
    pawl_cli_print(cli->out, &text);
}

static pawl_status
retry(pawl_cli *cli, const pawl_rejects_options *what, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_retry_outcome outcome;
    pawl_status st = pawl_rejects_retry(cli->project, what, &options, &outcome, err);

    pawl_cli_render_end(&cli->render);
    if (st == PAWL_E_STOPPED)
        return pawl_cli_hint(err, "go on with: pawl rejects %s --retry", what->job);
    if (st != PAWL_OK)
        return st;
    if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of_outcome(&outcome));
    else
        print_outcome(cli, &outcome);
    if (outcome.left == 0)
        return PAWL_OK;
    (void) pawl_cli_fail(err, PAWL_E_FINDINGS, "%" PRId64 " rejected %s still to be dealt with", outcome.left,
                         outcome.left == 1 ? "row has" : "rows have");
    return pawl_cli_hint(err, "see them with: pawl rejects %" PRId64, outcome.job);
}

/* ---- the verb ------------------------------------------------------------------------------------------------------ */

static pawl_status
read_flags(const pawl_cli_line *line, pawl_rejects_options *what, pawl_error *err)
{
    const char *file = pawl_cli_value(line, "--export");
    int64_t step = 0;
    pawl_status st;

    if ((st = pawl_cli_number(line, "--step", 1, INT32_MAX, &step, err)) != PAWL_OK ||
        (st = pawl_cli_number(line, "--most", 1, INT64_MAX, &what->most, err)) != PAWL_OK ||
        (file != NULL && (st = pawl_cli_reject_file_check(file, err)) != PAWL_OK))
        return st;
    what->step = (int32_t) step;
    if (pawl_cli_is_given(line, "--retry") && (file != NULL || what->is_all || what->most > 0))
        return pawl_cli_fail(err, PAWL_E_USAGE,
                             "--retry tries all rows that wait, and shows none: it goes with none of "
                             "--export, --all and --most");
    return PAWL_OK;
}

static pawl_status
rejects(pawl_cli *cli, pawl_error *err)
{
    pawl_rejects_options what = {.job = cli->line->arguments[0],
                                 .is_all = pawl_cli_is_given(cli->line, "--all")};
    pawl_status st = read_flags(cli->line, &what, err);

    if (st == PAWL_OK)
        st = pawl_cli_open(cli, err);
    if (st == PAWL_OK)
        st = pawl_cli_is_given(cli->line, "--retry") ? retry(cli, &what, err) : list(cli, &what, err);
    pawl_cli_render_end(&cli->render);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--step", NULL, "N", "the step of the revision, from 1 (default: its only backfill)", NULL},
    {"--retry", NULL, NULL, "try the rows that wait again, as they and the transform are now", NULL},
    {"--all", NULL, NULL, "also the rows that a retry has dealt with", NULL},
    {"--export", NULL, "FILE", "write them to a new file, CSV or JSON by its suffix", NULL},
    {"--most", NULL, "N", "show so many (default 100; all with --json and --export)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_rejects = {
    .name = "rejects",
    .arguments = "J | R",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "the rows that a data step has set aside",
    .text =
        "Lists the rows that job J, or the backfill of revision R, has set aside because the transform or "
        "the server refused them (on_error: quarantine or skip), with the reason; or those of a swap or a "
        "rewrite that have NULL instead (rejects: write_null).\n\n"
        "A step that has left more rows than its allow_rejects ends with findings, and no later step runs. "
        "Mend the transform or the rows, then say --retry: the rows are read as they are now, transformed "
        "and "
        "written, each exactly once whatever dies. Those that are gone by then, or that where: no longer "
        "chooses, are marked so. Then go on with pawl upgrade.\n\n"
        "Of a swap or a rewrite --retry puts the rows in line, and the upgrade that runs, or the next one, "
        "transforms them again. It does so until the cut-over; what has gone live with NULL then is yours to "
        "write.\n\n"
        "Exit code 4 while there are rows to be dealt with, or rows that have NULL.",
    .examples = "pawl rejects 7\npawl rejects 7 --retry\npawl rejects c7e0 --export rejects.csv\n"
                "pawl rejects 7 --json | jq -c 'select(.event == \"report\").list[].key'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = rejects,
};
