/* pawl history: the revisions, newest first, as a list or as a graph. */
#include "cli/entry.h"
#include "cli/graph.h"
#include "cli/json.h"
#include "cli/report.h"
#include "cli/session.h"

typedef struct showing
{
    pawl_cli_entry_style style;
    bool is_verbose;
    bool is_graph;
} showing;

static void
describe(pawl_cli_buf *buf, const pawl_history *history, const pawl_history_entry *entry, void *ctx)
{
    const showing *s = ctx;

    if (!s->is_verbose)
    {
        pawl_cli_describe_entry(buf, entry, s->style);
        return;
    }
    pawl_cli_describe_entry_fully(buf, entry, s->style);
    pawl_cli_describe_events(buf, history, entry->id);
    pawl_cli_add(buf, "\n");
}

static void
print(pawl_cli *cli, const pawl_history *history)
{
    const pawl_cli_line *line = cli->line;
    bool is_drawn = cli->out->is_data_terminal && !cli->out->is_verbose;
    showing s = {.style = {.has_database = history->target[0] != '\0', .has_color = cli->out->has_data_color},
                 .is_verbose = cli->out->is_verbose};
    pawl_cli_graph_style style = {.has_utf8 = cli->out->has_utf8, .describe = describe, .ctx = &s};
    PAWL_CLI_BUF text = {0};

    if ((is_drawn || pawl_cli_is_given(line, "--graph")) && !pawl_cli_is_given(line, "--no-graph"))
    {
        pawl_cli_draw_graph(&text, history, &style);
    }
    else
    {
        for (size_t i = 0; i < history->length; i++)
            describe(&text, history, &history->entries[i], &s);
    }
    if (history->nevents > 0)
        pawl_cli_describe_events(&text, history, "");
    pawl_cli_print(cli->out, &text);
    if (history->length > 0)
        return;
    if (line->narguments > 0)
        pawl_cli_say(cli->out, "pawl: there is no revision in this range");
    else
        pawl_cli_say(cli->out, "pawl: there are no revisions yet; `pawl revision -m TEXT` writes the first");
}

static pawl_status
history(pawl_cli *cli, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    bool has_database = pawl_cli_is_given(cli->line, "--indicate-current");
    pawl_history_query query = {.part = PAWL_HISTORY_ALL,
                                .ask_database = has_database,
                                .has_events = has_database && cli->out->is_verbose};
    pawl_history *found = NULL;
    pawl_status st = cli->out->is_verbose ? pawl_cli_open(cli, err) : pawl_cli_open_heads(cli, err);

    if (cli->line->narguments > 0)
    {
        query.part = PAWL_HISTORY_RANGE;
        query.text = cli->line->arguments[0];
    }
    if (st == PAWL_OK)
        st = pawl_history_find(cli->project, &query, &options, &found, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
        pawl_cli_document(cli->out,
                          pawl_cli_json_history(cli->project, found, "revisions", query.has_events));
    else
        print(cli, found);
    pawl_history_free(found);
    pawl_cli_warn_problems(cli->out, cli->project);
    return PAWL_OK;
}

static const pawl_cli_flag flags[] = {
    {"--indicate-current", "-i", NULL,
     "ask the database, and mark what is applied, current, pending or half-way", NULL},
    {"--graph", NULL, NULL, "draw the graph, also where the output is no terminal", NULL},
    {"--no-graph", NULL, NULL, "a plain list, also on a terminal", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_history = {
    .name = "history",
    .arguments = "[A:B]",
    .max_arguments = 1,
    .summary = "show the revisions, newest first",
    .text =
        "Shows the revisions with their parents, newest first, one branch after the other; on a terminal as "
        "a graph. A:B is a part of it: what descends from A and B needs, both included; without A from the "
        "base, without B up to the heads. Each end is a target as for upgrade, or `current`; -N as A counts "
        "back from B, +N as B counts on from A.\n\n"
        "It reads the files alone and needs no database, unless an end is `current`; with "
        "--indicate-current it asks the database too, marks what is applied, and also shows revisions that "
        "are applied and have no file any more. With -v every field, and with -iv who changed what is "
        "recorded of it, when and from where.",
    .examples = "pawl history\n"
                "pawl history -i\n"
                "pawl history -3:current\n"
                "pawl history a41c:  # from this revision on\n"
                "pawl history -iv catalog@head:\n"
                "pawl history -i --json | jq -r '.revisions[] | select(.is_applied | not) | .id'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = history,
};
