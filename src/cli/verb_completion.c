/* pawl completion: the scripts that teach a shell to complete, and what they ask for. */
#include <string.h>

#include "cli/complete.h"
#include "cli/fail.h"
#include "cli/session.h"
#include "pawl_text.h"

static const struct
{
    const char *shell;
    const char *script;
} scripts[] = {
    {"bash", pawl_text_completion_bash},
    {"zsh", pawl_text_completion_zsh},
    {"fish", pawl_text_completion_fish},
};

static pawl_status
completion(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    const char *shell = line->arguments[0];
    PAWL_CLI_BUF text = {0};

    if (strcmp(shell, "words") == 0)
    {
        if (line->narguments > 1)
            pawl_cli_complete(&text, &line->arguments[1], line->narguments - 1);
        pawl_cli_print(cli->out, &text);
        return PAWL_OK;
    }

    if (line->narguments > 1)
        return pawl_cli_fail(err, PAWL_E_USAGE, "`pawl completion %s` does not take the argument \"%s\"",
                             shell, line->arguments[1]);
    for (size_t i = 0; i < sizeof scripts / sizeof scripts[0]; i++)
    {
        if (strcmp(shell, scripts[i].shell) == 0)
        {
            pawl_cli_add(&text, scripts[i].script);
            pawl_cli_print(cli->out, &text);
            return PAWL_OK;
        }
    }
    (void) pawl_cli_fail(err, PAWL_E_USAGE, "there is no completion for \"%s\"", shell);
    return pawl_cli_hint(err, "there are: bash, zsh, fish");
}

const pawl_cli_verb pawl_cli_verb_completion = {
    .name = "completion",
    .arguments = "bash | zsh | fish",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .summary = "print a script that teaches a shell to complete pawl",
    .text =
        "Prints a script for bash, zsh or fish. It completes verbs, flags, values, revisions and labels; the "
        "database is not asked.\n\nThe scripts call `pawl completion words -- WORD...`, which prints what "
        "may "
        "stand in the place of the last of the words: a candidate a line, a tab and its description.",
    .examples = "source <(pawl completion bash)\n"
                "pawl completion zsh > \"${fpath[1]}/_pawl\"\n"
                "pawl completion fish > ~/.config/fish/completions/pawl.fish",
    .run = completion,
};
