/* pawl current: where the database is. */
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"

static json_t *
json_of(const pawl_cli *cli, const pawl_history *history)
{
    pawl_cli_object o = pawl_cli_object_begin();
    json_t *current = json_array();

    for (size_t i = 0; i < history->length && current != NULL; i++)
    {
        const pawl_history_entry *e = &history->entries[i];

        if (e->is_current && json_array_append_new(current, pawl_cli_json_entry(e, true)) == -1)
        {
            json_decref(current);
            current = NULL;
        }
    }
    pawl_cli_put_text(&o, "target", history->target);
    pawl_cli_put(&o, "current", current);
    pawl_cli_put(&o, "problems", pawl_cli_json_problems(cli->project));
    return pawl_cli_object_end(&o);
}

static void
print(pawl_cli *cli, const pawl_history *history)
{
    pawl_cli_entry_style style = {.has_database = true, .has_color = cli->out->has_data_color};
    PAWL_CLI_BUF text = {0};
    size_t count = 0;

    for (size_t i = 0; i < history->length; i++)
    {
        if (!history->entries[i].is_current)
            continue;
        count++;
        if (cli->out->is_verbose)
            pawl_cli_describe_entry_fully(&text, &history->entries[i], style);
        else
            pawl_cli_describe_entry(&text, &history->entries[i], style);
    }
    pawl_cli_print(cli->out, &text);
    if (count == 0)
        pawl_cli_say(cli->out, "pawl: nothing is applied");
}

static pawl_status
current(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_history *history = NULL;
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_history_get(cli->project, true, &options, &history, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_document(cli->out, json_of(cli, history));
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
            "branches were applied. Nothing on standard output: nothing is applied. With -v every field. It "
            "changes "
            "nothing, and works on a standby.",
    .examples = "pawl current\npawl current -v --env production",
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = current,
};
