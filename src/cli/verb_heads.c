/* pawl heads, branches, show: parts of the history. */
#include <string.h>

#include "cli/entry.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"

typedef void (*print_function)(pawl_cli *cli, const pawl_history *history);

static pawl_status
show_part(pawl_cli *cli, const pawl_history_query *query, const char *key, print_function print,
          pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_history *found = NULL;
    pawl_status st = cli->out->is_verbose ? pawl_cli_open(cli, err) : pawl_cli_open_heads(cli, err);

    if (st == PAWL_OK)
        st = pawl_history_find(cli->project, query, &options, &found, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_document(cli->out, pawl_cli_json_history(cli->project, found, key, query->has_events));
    else
        print(cli, found);
    pawl_history_free(found);
    pawl_cli_warn_problems(cli->out, cli->project);
    return PAWL_OK;
}

static pawl_cli_entry_style
style_of(const pawl_cli *cli, const pawl_history *history)
{
    return (pawl_cli_entry_style){.has_database = history->target[0] != '\0',
                                  .has_color = cli->out->has_data_color};
}

/* ---- heads ----------------------------------------------------------------------------------------------------- */

static void
print_entries(pawl_cli *cli, const pawl_history *history)
{
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < history->length; i++)
    {
        const pawl_history_entry *e = &history->entries[i];

        if (!cli->out->is_verbose)
        {
            pawl_cli_describe_entry(&text, e, style_of(cli, history));
            continue;
        }
        pawl_cli_describe_entry_fully(&text, e, style_of(cli, history));
        pawl_cli_add(&text, "\n");
    }
    pawl_cli_print(cli->out, &text);
}

static void
print_heads(pawl_cli *cli, const pawl_history *history)
{
    print_entries(cli, history);
    if (history->length == 0)
        pawl_cli_say(cli->out, "pawl: there are no revisions yet; `pawl revision -m TEXT` writes the first");
}

static pawl_status
heads(pawl_cli *cli, pawl_error *err)
{
    const pawl_history_query query = {.part = PAWL_HISTORY_HEADS,
                                      .ask_database = pawl_cli_is_given(cli->line, "--indicate-current")};

    return show_part(cli, &query, "heads", print_heads, err);
}

static const pawl_cli_flag current_flags[] = {
    {"--indicate-current", "-i", NULL,
     "ask the database, and mark what is applied, current, pending or half-way", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_heads = {
    .name = "heads",
    .arguments = "",
    .summary = "show the revisions that no other follows",
    .text =
        "Shows the revisions that no other one follows: one in a plain history; where there are several, "
        "`pawl merge` joins them. A head on which a revision of another branch depends is marked as needed. "
        "With -v every field.",
    .examples = "pawl heads\npawl heads --json | jq -r '.heads[].id'",
    .flags = current_flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = heads,
};

/* ---- branches -------------------------------------------------------------------------------------------------- */

static void
describe_child(pawl_cli_buf *text, const pawl_history *history, const char *id, pawl_cli_entry_style style)
{
    for (size_t i = 0; i < history->length; i++)
    {
        if (strcmp(history->entries[i].id, id) != 0)
            continue;
        pawl_cli_add(text, "    -> ");
        pawl_cli_describe_entry(text, &history->entries[i], style);
        return;
    }
}

static void
print_branches(pawl_cli *cli, const pawl_history *history)
{
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < history->length; i++)
    {
        const pawl_history_entry *e = &history->entries[i];

        if (!e->is_branch_point)
            continue;
        if (text.length > 0)
            pawl_cli_add(&text, "\n");
        pawl_cli_describe_entry(&text, e, style_of(cli, history));
        for (size_t k = 0; k < e->nchildren; k++)
            describe_child(&text, history, e->children[k], style_of(cli, history));
    }
    pawl_cli_print(cli->out, &text);
    if (text.length == 0)
        pawl_cli_say(cli->out, "pawl: the history has no branches");
}

static pawl_status
branches(pawl_cli *cli, pawl_error *err)
{
    const pawl_history_query query = {.part = PAWL_HISTORY_BRANCHES,
                                      .ask_database = pawl_cli_is_given(cli->line, "--indicate-current")};

    return show_part(cli, &query, "revisions", print_branches, err);
}

const pawl_cli_verb pawl_cli_verb_branches = {
    .name = "branches",
    .arguments = "",
    .summary = "show where the history branches",
    .text =
        "Shows the revisions that several others follow, each with those that do, newest first. Bases do not "
        "count: `pawl history` shows where histories without a common revision begin.",
    .examples = "pawl branches\npawl branches -i",
    .flags = current_flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = branches,
};

/* ---- show ------------------------------------------------------------------------------------------------------ */

static void
print_fully(pawl_cli *cli, const pawl_history *history)
{
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < history->length; i++)
    {
        if (i > 0)
            pawl_cli_add(&text, "\n");
        pawl_cli_describe_entry_fully(&text, &history->entries[i], style_of(cli, history));
        pawl_cli_describe_events(&text, history, history->entries[i].id);
    }
    pawl_cli_print(cli->out, &text);
    if (history->length == 0)
        pawl_cli_say(cli->out, "pawl: nothing is applied");
}

static pawl_status
show(pawl_cli *cli, pawl_error *err)
{
    bool has_database = pawl_cli_is_given(cli->line, "--indicate-current");
    const pawl_history_query query = {.part = PAWL_HISTORY_NAMED,
                                      .text = cli->line->arguments[0],
                                      .ask_database = has_database,
                                      .has_events = has_database};

    return show_part(cli, &query, "revisions", print_fully, err);
}

const pawl_cli_verb pawl_cli_verb_show = {
    .name = "show",
    .arguments = "R",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "show all fields of a revision",
    .text = "Shows every field of a revision and what its steps do. R is a revision or a unique prefix of "
            "its id, a "
            "label, `head`, `base`, or one of these with +N or -N; `heads` and `current` may be several. The "
            "database is asked with --indicate-current, which also tells who applied it, when and from "
            "where; and "
            "where it must be known what is applied: for `current`, +N and -N.",
    .examples = "pawl show head\npawl show a41c -i\npawl show current",
    .flags = current_flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = show,
};
