/* pawl work: more workers for a job that runs. */
#include <inttypes.h>
#include <string.h>

#include "cli/fail.h"
#include "cli/json.h"
#include "cli/session.h"

#include "pawl/control.h"

static json_t *
json_of(const pawl_control_report *r)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "job_worked");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_int(&o, "job", r->job);
    pawl_cli_put_text(&o, "revision", r->revision);
    pawl_cli_put_int(&o, "step", r->step);
    pawl_cli_put_text(&o, "table", r->table);
    pawl_cli_put_int(&o, "rows_written", r->rows_written);
    return pawl_cli_object_end(&o);
}

static void
print(pawl_cli *cli, const pawl_control_report *r)
{
    PAWL_CLI_BUF text = {0};

    if (cli->out->is_json)
    {
        pawl_cli_record(cli->out, json_of(r));
        return;
    }
    if (strcmp(r->state, "mirror") == 0)
    {
        pawl_cli_addf(&text, "pawl: what the mirror of job %" PRId64 " (", r->job);
        pawl_cli_safe(&text, r->table);
        pawl_cli_add(&text, ") had logged is carried over; the way back is open");
        pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
        return;
    }
    pawl_cli_addf(&text, "pawl: nothing is left to do of job %" PRId64 " (", r->job);
    pawl_cli_safe(&text, r->table);
    pawl_cli_add(&text, "): ");
    pawl_cli_plural(&text, r->rows_written, "row");
    pawl_cli_add(&text, " written by all who worked on it; the upgrade that runs it, or the next, closes it");
    pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
}

static pawl_status
work(pawl_cli *cli, pawl_error *err)
{
    const char *job = cli->line->arguments[0];
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_control_report *r = NULL;
    pawl_status st = pawl_cli_open(cli, err);

    if (st == PAWL_OK)
        st = pawl_work(cli->project, job, &options, &r, err);
    pawl_cli_render_end(&cli->render);
    if (st == PAWL_E_STOPPED)
        return pawl_cli_hint(
            err, "what is done is committed, and the others go on; to join again: pawl work %s", job);
    if (st != PAWL_OK)
        return st;
    print(cli, r);
    pawl_control_report_free(r);
    return PAWL_OK;
}

const pawl_cli_verb pawl_cli_verb_work = {
    .name = "work",
    .arguments = "J",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "join a running backfill with more workers, from this or another host",
    .text =
        "Takes chunks of job J as the workers of the upgrade do, until nothing of it is left. J is the "
        "number of "
        "a job, as `pawl status` shows it, or its revision. The step is read from this migrations "
        "directory; when "
        "its text, its Lua or the -x arguments are not those that the job was started with, nothing is "
        "done.\n\n"
        "It may be stopped, killed and started again at any time: what it held is taken over at once, "
        "and every "
        "row is still transformed once. It changes nothing of the history and needs no lease for that; "
        "pause, "
        "tune and abandon of the job count here too. --workers says how many workers this process has.\n\n"
        "Of a swap that has cut over it carries over what the mirror has logged, until the log is empty: "
        "as often as it is called, from cron for instance. The way back stays short, and the log small.",
    .examples = "pawl work 7 --workers 4\npawl work c7e0 --json",
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE | PAWL_CLI_SETTINGS_PACE,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = work,
};
