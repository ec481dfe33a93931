/* pawl current: where the database is. */
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"

static void
print(pawl_cli *cli, const pawl_history *history)
{
    pawl_cli_entry_style style = {.has_database = true, .has_color = cli->out->has_data_color};
    PAWL_CLI_BUF text = {0};

    if (cli->out->is_verbose)
    {
        pawl_cli_add(&text, "database     ");
        pawl_cli_safe(&text, history->target);
        pawl_cli_add(&text, "\n");
    }
    for (size_t i = 0; i < history->length; i++)
    {
        if (!cli->out->is_verbose)
        {
            pawl_cli_describe_entry(&text, &history->entries[i], style);
            continue;
        }
        pawl_cli_add(&text, "\n");
        pawl_cli_describe_entry_fully(&text, &history->entries[i], style);
    }
    pawl_cli_print(cli->out, &text);
    if (history->length == 0)
        pawl_cli_say(cli->out, "pawl: nothing is applied");
}

static pawl_status
current(pawl_cli *cli, pawl_error *err)
{
    const pawl_history_query query = {.part = PAWL_HISTORY_CURRENT};
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_history *history = NULL;
    pawl_status st = cli->out->is_verbose ? pawl_cli_open(cli, err) : pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_history_find(cli->project, &query, &options, &history, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_document(cli->out, pawl_cli_json_history(cli->project, history, "current", false));
    else
        print(cli, history);
    pawl_history_free(history);
    pawl_cli_warn_problems(cli->out, cli->project);
    return PAWL_OK;
}

const pawl_cli_verb pawl_cli_verb_current = {
    .name = "current",
    .arguments = "",
    .summary = "show the revisions that the database is at",
    .text = "Shows the applied revisions that no other applied one descends from: one in a plain history, "
            "several where "
            "branches were applied. Nothing on standard output: nothing is applied. With -v the database and "
            "every field. It "
            "changes "
            "nothing, and works on a standby.",
    .examples = "pawl current\npawl current -v --env production",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = current,
};
