/* pawl doctor: can this role on this server do the work? */
#include "cli/findings.h"

static pawl_status
doctor(pawl_cli *cli, pawl_error *err)
{
    pawl_doctor_options what = {.transaction_s = 0};
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_health_report *report = NULL;
    pawl_status st = pawl_cli_number(cli->line, "--long", 1, 86400 * 365, &what.transaction_s, err);

    if (st == PAWL_OK)
        st = pawl_cli_open(cli, err);
    if (st == PAWL_OK)
        st = pawl_doctor(cli->project, &what, &options, &report, err);
    if (st != PAWL_OK)
        return st;

    st = pawl_cli_tell_findings(cli, report, PAWL_HEALTH_WARNING, err);
    pawl_health_free(report);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--long", NULL, "SECONDS", "a transaction open for longer is worth a line (default 60)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_doctor = {
    .name = "doctor",
    .arguments = "",
    .summary = "can this role on this server do the work: rights, settings, sessions, disk",
    .text =
        "Looks at the server, at what this role may do there, and at the tables that pending steps work on: "
        "settings that bite, a pooler in between, long and prepared transactions, replication slots that "
        "keep WAL, "
        "invalid indexes, publications that would carry the ledger, what was left behind, missing rights, "
        "vacuum, "
        "and the disk where it can be seen. Each finding says what it means and what to do. It changes "
        "nothing. "
        "Exit code 4 when there is a warning or an error among them, 1 when the server cannot be reached.",
    .examples =
        "pawl doctor --env production\npawl doctor --json | jq '.findings[] | select(.level != \"ok\")'",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE | PAWL_CLI_SETTINGS_PACE,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = doctor,
};
