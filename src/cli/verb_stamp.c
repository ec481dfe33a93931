/* pawl stamp: record without running. */
#include <inttypes.h>

#include "cli/json.h"
#include "cli/session.h"

#include "pawl/graph.h"

static json_t *
json_of(const pawl_stamped *stamped)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "event", "stamped");
    pawl_cli_put_time(&o);
    pawl_cli_put_text(&o, "target", stamped->target);
    pawl_cli_put_texts(&o, "removed", stamped->removed, stamped->nremoved);
    pawl_cli_put_texts(&o, "added", stamped->added, stamped->nadded);
    return pawl_cli_object_end(&o);
}

static void
add_lines(pawl_cli_buf *text, const char *sign, const char *const *ids, size_t count)
{
    for (size_t i = 0; i < count; i++)
    {
        pawl_cli_add(text, sign);
        pawl_cli_safe(text, ids[i]);
        pawl_cli_add(text, "\n");
    }
}

static void
print(pawl_cli *cli, const pawl_stamped *stamped)
{
    PAWL_CLI_BUF text = {0};
    PAWL_CLI_BUF summary = {0};

    add_lines(&text, "- ", stamped->removed, stamped->nremoved);
    add_lines(&text, "+ ", stamped->added, stamped->nadded);
    pawl_cli_print(cli->out, &text);
    if (text.length == 0)
    {
        pawl_cli_say(cli->out, "pawl: nothing to do: that is what the ledger says already");
        return;
    }
    pawl_cli_add(&summary, "pawl: recorded ");
    pawl_cli_plural(&summary, (int64_t) stamped->nadded, "revision");
    pawl_cli_add(&summary, " as applied and ");
    pawl_cli_plural(&summary, (int64_t) stamped->nremoved, "revision");
    pawl_cli_add(&summary, " as not; nothing was run");
    pawl_cli_say(cli->out, pawl_cli_buf_text(&summary));
}

static pawl_status
stamp(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_stamped *stamped = NULL;
    pawl_status st = pawl_cli_open(cli, err);

    if (st == PAWL_OK)
        st = pawl_stamp(cli->project, line->arguments, line->narguments, pawl_cli_is_given(line, "--purge"),
                        &options, &stamped, err);
    pawl_cli_render_end(&cli->render);
    if (st != PAWL_OK)
        return st;
    if (cli->out->is_json)
        pawl_cli_record(cli->out, json_of(stamped));
    else
        print(cli, stamped);
    pawl_stamped_free(stamped);
    return PAWL_OK;
}

static const pawl_cli_flag flags[] = {
    {"--purge", NULL, NULL, "forget everything else that is recorded, also what is half-way", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_stamp = {
    .name = "stamp",
    .arguments = "R...",
    .min_arguments = 1,
    .max_arguments = SIZE_MAX,
    .summary = "record where the database is, without running anything",
    .text =
        "Writes into the ledger that the database is at R (a revision, a label, `head`, `heads`, `base`, or "
        "one "
        "of these after LABEL@), with all that R needs. Nothing is run: the tables are as they were. Current "
        "revisions on the way to R or beyond it are forgotten, those of other branches stay. Several R, one "
        "a "
        "branch, may be given.\n\n"
        "What is forgotten (-) and recorded (+) is printed, and kept in the ledger with who did it, when and "
        "from where (`pawl history -iv`). A stamped revision is taken back by a downgrade like any other.",
    .examples = "pawl stamp head  # the tables came from elsewhere\n"
                "pawl stamp heads\n"
                "pawl stamp --purge a41c  # also after revisions that are lost",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE,
    .stopping = PAWL_CLI_STOP_FINISHES,
    .is_stream = true,
    .run = stamp,
};
