/* pawl man: the manual pages. */
#include "cli/fail.h"
#include "cli/manual.h"
#include "cli/session.h"

static pawl_status
man(pawl_cli *cli, pawl_error *err)
{
    const char *page = cli->line->narguments == 0 ? "pawl" : cli->line->arguments[0];
    PAWL_CLI_BUF text = {0};

    if (!pawl_cli_has_manual(page, &text))
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "there is no manual page \"%s\"", page);
        return pawl_cli_hint(err, "there are: pawl, revision");
    }
    pawl_cli_print(cli->out, &text);
    return PAWL_OK;
}

const pawl_cli_verb pawl_cli_verb_man = {
    .name = "man",
    .arguments = "[pawl | revision]",
    .max_arguments = 1,
    .summary = "print a manual page: pawl(1) or pawl-revision(5)",
    .text = "Prints a manual page in roff: pawl(1) without an argument, pawl-revision(5) for `revision`. A "
            "package "
            "installs both; this serves a program that was copied alone.",
    .examples = "pawl man | man -l -\n"
                "pawl man revision > pawl-revision.5",
    .run = man,
};
