/* pawl status: where the database is, and how far the jobs are. */
#include <string.h>

#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"
#include "cli/state.h"

#define WATCH_MS 1000

/*
 * Draw over the report before: home, line by line, then clear what is below. To clear first would flicker. Lines are
 * not wrapped and those below the last row are left out, so that nothing scrolls away.
 */
static void
redraw(pawl_cli_buf *buf, const char *report, size_t rows)
{
    size_t row = 1;

    pawl_cli_add(buf, "\033[?7l\033[H");
    for (const char *line = report; *line != '\0' && row < rows; row++)
    {
        size_t length = strcspn(line, "\n");

        pawl_cli_add_bytes(buf, line, length);
        pawl_cli_add(buf, "\033[K\n");
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    pawl_cli_add(buf, "\033[0m\033[J\033[?7h");
}

static void
print(pawl_cli *cli, const pawl_status_report *report, bool is_watch)
{
    pawl_cli_out *out = cli->out;
    pawl_cli_bar_style style = {
        .columns = pawl_cli_columns(out->data) - 1,
        .has_utf8 = out->has_utf8,
        .has_color = out->has_data_color,
    };
    PAWL_CLI_BUF state = {0};
    PAWL_CLI_BUF drawn = {0};

    pawl_cli_describe_state(&state, report, style);
    if (!is_watch)
    {
        pawl_cli_print(out, &state);
        return;
    }
    if (out->is_data_terminal)
        redraw(&drawn, pawl_cli_buf_text(&state), pawl_cli_rows(out->data));
    else
        pawl_cli_addf(&drawn, "%s\n", pawl_cli_buf_text(&state));
    pawl_cli_print(out, &drawn);
}

static pawl_status
show(pawl_cli *cli, bool is_watch, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_status_report *report = NULL;
    pawl_status st = pawl_status_get(cli->project, &options, &report, err);

    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json && is_watch)
        pawl_cli_record(cli->out, pawl_cli_json_state(report, cli->project));
    else if (cli->out->is_json)
        pawl_cli_document(cli->out, pawl_cli_json_state(report, cli->project));
    else
        print(cli, report, is_watch);
    pawl_status_free(report);
    return PAWL_OK;
}

/* To be stopped is the one way in which watching ends well. */
static pawl_status
watch(pawl_cli *cli, pawl_error *err)
{
    bool is_redrawn = cli->out->is_data_terminal && !cli->out->is_json;
    PAWL_CLI_BUF clear = {0};
    PAWL_CLI_BUF end = {0};
    pawl_status st;

    if (is_redrawn)
        pawl_cli_add(&clear, "\033[2J");
    pawl_cli_print(cli->out, &clear);
    do
    {
        st = show(cli, true, err);
    } while (st == PAWL_OK && cli->out->write_errno == 0 &&
             !pawl_cli_signals_is_stopped_within(&cli->signals, WATCH_MS));

    /* The prompt belongs below what was drawn, and below the ^C that the terminal echoes. */
    if (is_redrawn)
        pawl_cli_add(&end, "\n");
    pawl_cli_print(cli->out, &end);
    return st == PAWL_E_STOPPED ? PAWL_OK : st;
}

static pawl_status
status(pawl_cli *cli, pawl_error *err)
{
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st != PAWL_OK)
        return st;
    if (pawl_cli_is_given(cli->line, "--watch"))
        return watch(cli, err);

    st = show(cli, false, err);
    if (st == PAWL_OK)
        pawl_cli_warn_problems(cli->out, cli->project);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--watch", "-w", NULL, "again each second, until Ctrl-C", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_status = {
    .name = "status",
    .arguments = "",
    .summary = "show where the database is, and every job with progress, rate and ETA",
    .text = "Shows the database and its ledger, what is applied and what is pending, revisions that are "
            "half-way with "
            "the error that stopped them and how to go on, and the jobs: how far they are, how fast, and "
            "which worker "
            "holds which chunk. It changes nothing, and works from any host and on a standby.",
    .examples = "pawl status\npawl status --watch\npawl status --json | jq '.jobs[0].percent'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = status,
};
