/* pawl help: the program, one verb, the settings. */
#include <string.h>

#include "cli/fail.h"
#include "cli/help.h"
#include "cli/session.h"
#include "cli/suggest.h"

static pawl_status
help(pawl_cli *cli, pawl_error *err)
{
    const char *name = cli->line->narguments == 0 ? NULL : cli->line->arguments[0];
    const pawl_cli_verb *verb = name == NULL ? NULL : pawl_cli_verb_find(name);
    pawl_cli_suggest search = {.word = name};

    if (name == NULL || verb != NULL)
    {
        pawl_cli_print_help(cli->out, verb);
        return PAWL_OK;
    }

    if (strcmp(name, "settings") == 0)
    {
        pawl_cli_print_settings(cli->out);
        return PAWL_OK;
    }

    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
        pawl_cli_suggest_offer(&search, (*v)->name);
    (void) pawl_cli_fail(err, PAWL_E_USAGE, "there is no verb \"%s\"", name);
    if (search.best != NULL)
        return pawl_cli_hint(err, "did you mean %s? `pawl help` lists the verbs", search.best);
    return pawl_cli_hint(err, "`pawl help` lists the verbs");
}

const pawl_cli_verb pawl_cli_verb_help = {
    .name = "help",
    .arguments = "[VERB | settings]",
    .max_arguments = 1,
    .summary = "explain the program, a verb or the settings",
    .text = "Explains the program, one verb with its flags and the settings that have an effect on it, or "
            "all settings.",
    .examples = "pawl help upgrade\npawl upgrade --help\npawl help settings",
    .run = help,
};
