#include "cli/script.h"

#include "cli/fail.h"

#include "pawl/script.h"

pawl_status
pawl_cli_script(pawl_cli *cli, bool is_downgrade, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    const pawl_script_options options = {
        .is_downgrade = is_downgrade,
        .range = line->narguments == 0 ? NULL : line->arguments[0],
        .skips_data = pawl_cli_is_given(line, "--skip-data"),
    };
    PAWL_CLI_BUF text = {0};
    char *script = NULL;
    pawl_status st;

    if (cli->out->is_json)
        return pawl_cli_fail(err, PAWL_E_USAGE, "--sql prints SQL, and --json asks for JSON: choose one");
    st = pawl_cli_open_heads(cli, err);
    if (st == PAWL_OK)
        st = pawl_script(cli->project, &options, &script, err);
    if (st != PAWL_OK)
        return st;
    if (script[0] == '\0')
        pawl_cli_say(cli->out, "pawl: nothing to do");
    pawl_cli_add(&text, script);
    pawl_cli_print(cli->out, &text);
    pawl_text_free(script);
    return PAWL_OK;
}
