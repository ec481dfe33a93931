/* pawl downgrade: revert. */
#include "cli/fail.h"
#include "cli/script.h"
#include "cli/session.h"

static void
say_end(pawl_cli *cli)
{
    PAWL_CLI_BUF text = {0};

    if (cli->out->is_json)
        return;
    if (cli->render.revisions == 0)
    {
        pawl_cli_say(cli->out, "pawl: nothing to do");
        return;
    }
    pawl_cli_add(&text, "pawl: reverted ");
    pawl_cli_plural(&text, cli->render.revisions, "revision");
    pawl_cli_add(&text, " in ");
    pawl_cli_duration(&text, pawl_cli_now_ms() - cli->begin_ms);
    pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
}

static pawl_status
downgrade(pawl_cli *cli, pawl_error *err)
{
    const char *target = cli->line->arguments[0];
    pawl_run_options options = pawl_cli_run_options(cli);

    if (pawl_cli_is_given(cli->line, "--sql"))
        return pawl_cli_script(cli, true, err);
    if (pawl_cli_is_given(cli->line, "--skip-data"))
        return pawl_cli_fail(err, PAWL_E_USAGE, "--skip-data goes with --sql");
    pawl_status st = pawl_cli_open(cli, err);

    if (st == PAWL_OK)
        st = pawl_downgrade(cli->project, target, &options, err);
    pawl_cli_render_end(&cli->render);
    if (st == PAWL_OK)
        say_end(cli);
    if (st == PAWL_E_STOPPED && err->hint[0] == '\0')
        return pawl_cli_hint(err, "what is done is committed; `pawl status` shows what is left");
    return st;
}

static const pawl_cli_flag flags[] = {
    PAWL_CLI_SCRIPT_FLAGS,
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_downgrade = {
    .name = "downgrade",
    .alias = "down",
    .arguments = "TARGET",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "revert revisions down to TARGET",
    .text =
        "Reverts what was applied after TARGET, which itself stays: a revision or a unique prefix of its id, "
        "`base` (everything), -N (the last N) or R-N (N before R). A revision that says `down: irreversible` "
        "stops "
        "it before anything is changed.\n\n"
        "With --sql FROM:TO it asks no database and prints a script for psql.",
    .examples =
        "pawl downgrade -1\npawl down d17be032\npawl down base\npawl down --sql head:d17be032 > down.sql",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE | PAWL_CLI_SETTINGS_PACE,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = downgrade,
};
