/* pawl history: all revisions, newest first. */
#include "cli/entry.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"

static json_t *
entry_of(const void *list, size_t i)
{
    return pawl_cli_json_entry(&((const pawl_history_entry *) list)[i], false);
}

static json_t *
marked_entry_of(const void *list, size_t i)
{
    return pawl_cli_json_entry(&((const pawl_history_entry *) list)[i], true);
}

static json_t *
json_of(const pawl_cli *cli, const pawl_history *history, bool has_database)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "target", history->target);
    pawl_cli_put(
        &o, "revisions",
        pawl_cli_json_array(history->length, has_database ? marked_entry_of : entry_of, history->entries));
    pawl_cli_put(&o, "problems", pawl_cli_json_problems(cli->project));
    return pawl_cli_object_end(&o);
}

static void
print(pawl_cli *cli, const pawl_history *history, bool has_database)
{
    pawl_cli_entry_style style = {
        .has_database = has_database,
        .has_color = cli->out->has_data_color,
    };
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < history->length; i++)
    {
        if (cli->out->is_verbose)
            pawl_cli_describe_entry_fully(&text, &history->entries[i], style);
        else
            pawl_cli_describe_entry(&text, &history->entries[i], style);
    }
    pawl_cli_print(cli->out, &text);
    if (history->length == 0)
        pawl_cli_say(cli->out, "pawl: there are no revisions yet; `pawl revision -m TEXT` writes the first");
}

static pawl_status
history(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    bool has_database = pawl_cli_is_given(cli->line, "--indicate-current");
    pawl_history *found = NULL;
    pawl_status st = pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_history_get(cli->project, has_database, &options, &found, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_document(cli->out, json_of(cli, found, has_database));
    else
        print(cli, found, has_database);
    pawl_history_free(found);
    pawl_cli_warn_problems(cli->out, cli->project);
    return PAWL_OK;
}

static const pawl_cli_flag flags[] = {
    {"--indicate-current", "-i", NULL,
     "ask the database, and mark what is applied, current, pending or half-way", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_history = {
    .name = "history",
    .arguments = "",
    .summary = "list the revisions, newest first",
    .text = "Lists the revisions with their parents, newest first. It reads the files alone and needs no "
            "database; with "
            "--indicate-current it asks the database too, marks what is applied, and also lists revisions "
            "that are "
            "applied and have no file any more. With -v every field.",
    .examples = "pawl history\npawl history -i\npawl history -i --json | jq -r '.revisions[] | "
                "select(.is_applied | not) | .id'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = history,
};
