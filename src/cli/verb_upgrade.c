/* pawl upgrade: apply. */
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
    pawl_cli_add(&text, "pawl: applied ");
    pawl_cli_plural(&text, cli->render.revisions, "revision");
    pawl_cli_add(&text, " in ");
    pawl_cli_duration(&text, pawl_cli_now_ms() - cli->begin_ms);
    pawl_cli_say(cli->out, pawl_cli_buf_text(&text));
}

static pawl_status
upgrade(pawl_cli *cli, pawl_error *err)
{
    const char *target = cli->line->narguments == 0 ? NULL : cli->line->arguments[0];
    pawl_run_options options = pawl_cli_run_options(cli);

    options.restart = pawl_cli_is_given(cli->line, "--restart");
    if (pawl_cli_is_given(cli->line, "--sql"))
        return pawl_cli_script(cli, false, err);
    if (pawl_cli_is_given(cli->line, "--skip-data"))
        return pawl_cli_fail(err, PAWL_E_USAGE, "--skip-data goes with --sql");
    pawl_status st = pawl_cli_open(cli, err);

    if (st == PAWL_OK)
        st = pawl_upgrade(cli->project, target, &options, err);
    pawl_cli_render_end(&cli->render);
    if (st == PAWL_OK)
        say_end(cli);
    if (st == PAWL_E_STOPPED && err->hint[0] == '\0')
        return pawl_cli_hint(err, "what is done is committed; to go on: pawl upgrade%s%s",
                             target == NULL ? "" : " ", target == NULL ? "" : target);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--restart", NULL, NULL, "begin the step of an abandoned job anew, with all rows", NULL},
    PAWL_CLI_SCRIPT_FLAGS,
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_upgrade = {
    .name = "upgrade",
    .alias = "up",
    .arguments = "[TARGET]",
    .max_arguments = 1,
    .summary = "apply revisions up to TARGET (default: head)",
    .text =
        "Applies what is not applied yet, up to TARGET: a revision or a unique prefix of its id, a "
        "label, `head`, "
        "`heads`, +N (the next N) or R+N (N after R). Without TARGET: up to the head. Before the first "
        "change it "
        "says which database it works on.\n\n"
        "Stopped or killed at any point, the same command carries on where it was; every row of a "
        "backfill is "
        "transformed once. Ctrl-C ends after the batch in flight (exit code 3), a second one cancels it.\n\n"
        "With --sql it asks no database and prints a script for psql: A:B from A, which is applied, to B; "
        "TARGET alone from the base. The script leaves the ledger as an upgrade would, and may be run again "
        "after a failure.",
    .examples = "pawl upgrade\n"
                "pawl up +1\n"
                "pawl --env production upgrade a41c --workers 4\n"
                "pawl upgrade --sql a41c:head > upgrade.sql\n"
                "pawl upgrade --json | jq -r 'select(.event == \"progress\") | .rows_read'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE | PAWL_CLI_SETTINGS_PACE,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = upgrade,
};
