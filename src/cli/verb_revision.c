/* pawl revision and pawl merge: a new file. */
#include <stdlib.h>

#include "cli/fail.h"
#include "cli/json.h"
#include "cli/session.h"

#include "pawl/graph.h"

/* What the command line says of the new file; lists are to be freed. */
typedef struct wish
{
    pawl_new_revision what;
    const char **labels;
    const char **depends_on;
} wish;

static void
wish_free(wish *w)
{
    free(w->labels);
    free(w->depends_on);
}

static pawl_status
read_wish(const pawl_cli *cli, wish *w, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    pawl_status st;

    w->what.message = pawl_cli_value(line, "--message");
    w->what.id = pawl_cli_value(line, "--rev-id");
    if (w->what.message == NULL || w->what.message[0] == '\0')
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "a revision needs a description");
        return pawl_cli_hint(err, "say what it changes: pawl %s -m \"%s\"", line->verb->name,
                             line->verb == &pawl_cli_verb_merge ? "Join catalog and orders"
                                                                : "Store prices as numbers");
    }
    st = pawl_cli_values(line, "--branch-label", &w->labels, &w->what.nlabels, err);
    if (st == PAWL_OK)
        st = pawl_cli_values(line, "--depends-on", &w->depends_on, &w->what.ndepends_on, err);
    w->what.labels = w->labels;
    w->what.depends_on = w->depends_on;
    return st;
}

static void
print_path(pawl_cli *cli, const char *path)
{
    PAWL_CLI_BUF text = {0};

    if (cli->out->is_json)
    {
        pawl_cli_object o = pawl_cli_object_begin();

        pawl_cli_put_text(&o, "path", path);
        pawl_cli_document(cli->out, pawl_cli_object_end(&o));
        return;
    }
    pawl_cli_safe(&text, path);
    pawl_cli_add(&text, "\n");
    pawl_cli_print(cli->out, &text);
}

static pawl_status
write_revision(pawl_cli *cli, bool is_merge, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    wish w = {0};
    char *path = NULL;
    pawl_status st = read_wish(cli, &w, err);

    if (st == PAWL_OK && !is_merge)
    {
        w.what.parent = pawl_cli_value(line, "--head");
        w.what.step = pawl_cli_value(line, "--step");
        w.what.is_splice = pawl_cli_is_given(line, "--splice");
    }
    if (st == PAWL_OK)
        st = pawl_cli_open(cli, err);
    if (st == PAWL_OK)
        st = is_merge
                 ? pawl_revision_merge(cli->project, line->arguments, line->narguments, &w.what, &path, err)
                 : pawl_revision_create(cli->project, &w.what, &path, err);
    if (st == PAWL_OK)
        print_path(cli, path);
    pawl_text_free(path);
    wish_free(&w);
    return st;
}

static pawl_status
revision(pawl_cli *cli, pawl_error *err)
{
    return write_revision(cli, false, err);
}

static pawl_status
merge(pawl_cli *cli, pawl_error *err)
{
    return write_revision(cli, true, err);
}

static const pawl_cli_flag flags[] = {
    {"--message", "-m", "TEXT", "what the revision changes; its description", NULL},
    {"--head", NULL, "R", "the parent: a head, LABEL@head, or `base` for none (default: the one head)", NULL},
    {"--splice", NULL, NULL, "the parent need not be a head: begin a branch there", NULL},
    {"--branch-label", NULL, "LABEL", "a name for the branch that begins here; may be given several times",
     NULL},
    {"--depends-on", NULL, "R", "a revision or label that must be applied first; may be given several times",
     NULL},
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
                "$EDITOR \"$(pawl new -m 'Add an index')\"\n"
                "pawl new -m \"Begin the shop\" --head base --branch-label shop\n"
                "pawl new -m \"Fix an old one\" --head a41c --splice --depends-on shop",
    .flags = flags,
    .run = revision,
};

/* ---- merge ----------------------------------------------------------------------------------------------------- */

static const pawl_cli_flag merge_flags[] = {
    {"--message", "-m", "TEXT", "what is joined; the description", NULL},
    {"--branch-label", NULL, "LABEL", "a name for the branch that begins here; may be given several times",
     NULL},
    {"--depends-on", NULL, "R", "a revision or label that must be applied first; may be given several times",
     NULL},
    {"--rev-id", NULL, "ID", "this id instead of eight random hex digits", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_merge = {
    .name = "merge",
    .arguments = "R...",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .summary = "write a revision that joins heads",
    .text = "Writes a revision without steps that follows several heads, so that the history has one head "
            "again, and "
            "prints the path of the file. `heads` stands for all heads. The database is not asked.",
    .examples = "pawl merge heads -m \"Join catalog and orders\"\n"
                "pawl merge a41c d17b -m \"Join the two\"",
    .flags = merge_flags,
    .run = merge,
};
