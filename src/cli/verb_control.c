/* pawl pause, resume, tune, abandon: requests to a job that runs somewhere. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "cli/fail.h"
#include "cli/json.h"
#include "cli/session.h"

#include "pawl/control.h"

static json_t *
json_of(const pawl_control_report *r, const char *event)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", event);
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_int(&o, "job", r->job);
    pawl_cli_put_text(&o, "revision", r->revision);
    pawl_cli_put_int(&o, "step", r->step);
    pawl_cli_put_text(&o, "table", r->table);
    pawl_cli_put_text(&o, "state", r->state);
    pawl_cli_put_bool(&o, "was_so", r->was_so);
    pawl_cli_put_int(&o, "rows_written", r->rows_written);
    pawl_cli_put_text(&o, "paused_by", r->paused_by);
    pawl_cli_put_text(&o, "paused_at", r->paused_at);
    return pawl_cli_object_end(&o);
}

static void
add_job(pawl_cli_buf *text, const pawl_control_report *r)
{
    pawl_cli_addf(text, "pawl: job %" PRId64 " (", r->job);
    pawl_cli_safe(text, r->table);
    pawl_cli_add(text, ", ");
    pawl_cli_safe(text, r->revision);
    pawl_cli_addf(text, " step %" PRId32 ") ", r->step);
}

/* Print what was done and free the report. */
static pawl_status
tell(pawl_cli *cli, pawl_control_report *r, const char *event, const char *done)
{
    PAWL_CLI_BUF text = {0};

    if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of(r, event));
    else
    {
        add_job(&text, r);
        pawl_cli_add(&text, done);
        pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
    }
    pawl_control_report_free(r);
    return PAWL_OK;
}

static pawl_status
pause_job(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    PAWL_CLI_BUF done = {0};
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_job_pause(cli->project, cli->line->arguments[0], &options, &r, err);
    if (st != PAWL_OK)
        return st;
    if (r->was_so)
    {
        pawl_cli_add(&done, "was paused already, by ");
        pawl_cli_safe(&done, r->paused_by);
        pawl_cli_addf(&done, " since %s", r->paused_at);
    }
    else
        pawl_cli_addf(
            &done, "is paused: batches in flight end, none is begun; to go on: pawl resume %" PRId64, r->job);
    return tell(cli, r, "job_pause", pawl_cli_buf_text(&done));
}

static pawl_status
resume_job(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_job_resume(cli->project, cli->line->arguments[0], &options, &r, err);
    if (st != PAWL_OK)
        return st;
    return tell(cli, r, "job_resume",
                r->was_so ? "was not paused; where nobody works on it, `pawl upgrade` goes on" : "goes on");
}

static pawl_status
cutover_job(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_job_cutover(cli->project, cli->line->arguments[0], &options, &r, err);
    if (st != PAWL_OK)
        return st;
    return tell(cli, r, "job_cutover",
                "cuts over as soon as it is ready; where nobody works on it, `pawl upgrade` does");
}

static pawl_status
abandon_job(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    PAWL_CLI_BUF done = {0};
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_job_abandon(cli->project, cli->line->arguments[0], &options, &r, err);
    if (st != PAWL_OK)
        return st;
    pawl_cli_add(&done, "is abandoned; ");
    pawl_cli_plural(&done, r->rows_written, "row");
    pawl_cli_add(&done, " that it wrote stay as they are. To begin its step anew, with all rows: "
                        "pawl upgrade --restart");
    return tell(cli, r, "job_abandon", pawl_cli_buf_text(&done));
}

/* "max_rate=5000" taken apart in place; the texts stay the caller's. */
static pawl_status
split(const char *word, char **copy, pawl_key_value *out, pawl_error *err)
{
    const char *equals = strchr(word, '=');

    if (equals == NULL || equals == word)
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "\"%s\" is no KEY=VALUE", word);
        return pawl_cli_hint(err, "for example: pawl tune 7 max_rate=5000 workers=1");
    }
    *copy = strdup(word);
    if (*copy == NULL)
        return pawl_cli_nomem(err);
    (*copy)[equals - word] = '\0';
    *out = (pawl_key_value){.key = *copy, .value = *copy + (equals - word) + 1};
    return PAWL_OK;
}

static pawl_status
tune_with(pawl_cli *cli, pawl_key_value *values, char **copies, size_t count, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    PAWL_CLI_BUF done = {0};
    pawl_status st = PAWL_OK;

    pawl_cli_add(&done, "runs with ");
    for (size_t i = 0; i < count && st == PAWL_OK; i++)
    {
        st = split(cli->line->arguments[i + 1], &copies[i], &values[i], err);
        pawl_cli_add(&done, i == 0 ? "" : ", ");
        pawl_cli_safe(&done, cli->line->arguments[i + 1]);
    }
    pawl_cli_add(&done, " until it ends");
    if (st == PAWL_OK)
        st = pawl_job_tune(cli->project, cli->line->arguments[0], values, count, &options, &r, err);
    return st == PAWL_OK ? tell(cli, r, "job_tune", pawl_cli_buf_text(&done)) : st;
}

static pawl_status
tune_job(pawl_cli *cli, pawl_error *err)
{
    size_t count = cli->line->narguments - 1;
    pawl_key_value *values = calloc(count, sizeof *values);
    char **copies = calloc(count, sizeof *copies);
    pawl_status st = values == NULL || copies == NULL ? pawl_cli_nomem(err) : pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = tune_with(cli, values, copies, count, err);
    for (size_t i = 0; copies != NULL && i < count; i++)
        free(copies[i]);
    free(copies);
    free(values);
    return st;
}

#define HOW_NAMED                                                                                        \
    "J is the number of a job, as `pawl status` shows it, or its revision. It may be typed on any host " \
    "that "                                                                                              \
    "reaches the database; who asked, when and from where is kept in the ledger."

const pawl_cli_verb pawl_cli_verb_pause = {
    .name = "pause",
    .arguments = "J",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "let a running backfill wait, within a second",
    .text =
        "Every worker of job J, on every host, finishes the batch in flight, keeps nothing locked and waits. "
        "The pause holds until `pawl resume J`, also for an upgrade that is started meanwhile.\n\n" HOW_NAMED,
    .examples = "pawl pause 7\npawl pause c7e0",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = pause_job,
};

const pawl_cli_verb pawl_cli_verb_resume = {
    .name = "resume",
    .arguments = "J",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "lift a pause",
    .text =
        "Lets the workers of job J go on after `pawl pause J`. It starts none: where no process works on the "
        "job any more, `pawl upgrade` carries it on.\n\n" HOW_NAMED,
    .examples = "pawl resume 7",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = resume_job,
};

const pawl_cli_verb pawl_cli_verb_cutover = {
    .name = "cutover",
    .arguments = "J",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "let a swap or a rewrite that waits for it cut over",
    .text =
        "A step swap_column or rewrite_table with `cutover: manual` gets everything ready, keeps it so, and "
        "waits for this. It may be said before it is ready.\n\n" HOW_NAMED,
    .examples = "pawl cutover 7",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = cutover_job,
};

const pawl_cli_verb pawl_cli_verb_tune = {
    .name = "tune",
    .arguments = "J KEY=VALUE...",
    .min_arguments = 2,
    .max_arguments = SIZE_MAX,
    .summary = "change the pace of a running backfill",
    .text =
        "Sets values of job J that win over its step, the settings and the flags until it ends; they count "
        "within a second, in every process that works on it. KEY=default gives a value back to the step.\n\n"
        "Keys: workers (of the process that runs the job), batch (auto or rows), target, min, max (of a "
        "batch "
        "whose size is auto), max_rate (rows a second, over all processes), max_lag (5s, 64MB or both), "
        "max_wal_rate (50MB/s, of the whole server), lock_waiters, "
        "max_active, max_dead, window, probe_max; those from max_rate on may be `none`. docs/steps.md says "
        "what each does.\n\n" HOW_NAMED,
    .examples = "pawl tune 7 max_rate=5000  # 5,000 rows a second\n"
                "pawl tune 7 workers=1 batch=500\n"
                "pawl tune 7 max_rate=default \"window=22:00-06:00 Europe/Berlin\"",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = tune_job,
};

const pawl_cli_verb pawl_cli_verb_abandon = {
    .name = "abandon",
    .arguments = "J",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "give a backfill up for good",
    .text =
        "Ends job J: whoever works on it stops with an error at the next batch. What it has written stays, "
        "and "
        "its step may be changed. The next upgrade refuses to begin that step anew, because rows that were "
        "done would be transformed a second time, until it is told so with --restart; or take the revision "
        "back with `pawl downgrade`.\n\n" HOW_NAMED,
    .examples = "pawl abandon 7\npawl upgrade --restart  # from the first row again",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .is_stream = true,
    .run = abandon_job,
};
