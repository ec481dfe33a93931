/* pawl check: may this be deployed? */
#include "cli/findings.h"

static pawl_status
check(pawl_cli *cli, pawl_error *err)
{
    const pawl_check_options what = {.offline = pawl_cli_is_given(cli->line, "--offline"),
                                     .pending_ok = pawl_cli_is_given(cli->line, "--pending-ok")};
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_health_report *report = NULL;
    pawl_status st = pawl_cli_open(cli, err);

    if (st == PAWL_OK)
        st = pawl_check(cli->project, &what, &options, &report, err);
    if (st != PAWL_OK)
        return st;

    st = pawl_cli_tell_findings(cli, report, PAWL_HEALTH_ERROR, err);
    pawl_health_free(report);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--offline", NULL, NULL, "look at the files alone and connect to nothing", NULL},
    {"--pending-ok", NULL, NULL, "revisions that are not applied yet are no error", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_check = {
    .name = "check",
    .arguments = "",
    .summary = "for CI and deploys: are the files in order, and is the database where they say",
    .text = "Looks for problems in the files, more than one head, applied revisions that were edited since "
            "(the YAML "
            "and the SQL and Lua that it names) or whose file is missing, revisions that are half-way, "
            "pending ones, "
            "and a ledger that is newer than this program. It tells of everything at once, changes nothing, "
            "and works "
            "on a standby. Exit code 4 when there is an error among what it found, 1 when it could not look.",
    .examples = "pawl check --offline                      # in CI, without a database\n"
                "pawl check --env production --pending-ok  # before a deploy\n"
                "pawl check --env production               # after it",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = check,
};
