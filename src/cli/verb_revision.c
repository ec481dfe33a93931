/* pawl revision: a new file from a template. */
#include "cli/fail.h"
#include "cli/json.h"
#include "cli/session.h"

static pawl_status
revision(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    pawl_new_revision what = {
        .message = pawl_cli_value(line, "--message"),
        .parent = pawl_cli_value(line, "--head"),
        .step = pawl_cli_value(line, "--step"),
        .id = pawl_cli_value(line, "--rev-id"),
    };
    PAWL_CLI_BUF text = {0};
    char *path = NULL;
    pawl_status st;

    if (what.message == NULL || what.message[0] == '\0')
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "a revision needs a description");
        return pawl_cli_hint(err, "say what it changes: pawl revision -m \"Store prices as numbers\"");
    }

    st = pawl_cli_open(cli, err);
    if (st != PAWL_OK)
        return st;
    st = pawl_revision_create(cli->project, &what, &path, err);
    if (st != PAWL_OK)
        return st;

    if (cli->out->is_json)
    {
        pawl_cli_object o = pawl_cli_object_begin();

        pawl_cli_put_text(&o, "path", path);
        pawl_cli_document(cli->out, pawl_cli_object_end(&o));
    }
    else
    {
        pawl_cli_safe(&text, path);
        pawl_cli_add(&text, "\n");
        pawl_cli_print(cli->out, &text);
    }
    pawl_text_free(path);
    return PAWL_OK;
}

static const pawl_cli_flag flags[] = {
    {"--message", "-m", "TEXT", "what the revision changes; its description", NULL},
    {"--head", NULL, "R", "the parent: a revision, a label or `base` (default: the one head)", NULL},
    {"--step", NULL, "KIND",
     "begin with a template for this step: sql, add_column, backfill, ... (default sql)", NULL},
    {"--rev-id", NULL, "ID", "this id instead of eight random hex digits", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_revision = {
    .name = "revision",
    .alias = "new",
    .arguments = "",
    .summary = "write a new revision from a template",
    .text = "Writes a new revision into the directory of the revisions and prints the path of the file. It "
            "follows the "
            "head; where there are several heads, --head says which. The database is not asked.",
    .examples = "pawl revision -m \"Store product prices as numbers\"\n"
                "pawl new -m \"Fill price_amount\" --step backfill\n"
                "$EDITOR \"$(pawl new -m 'Add an index')\"",
    .flags = flags,
    .run = revision,
};
