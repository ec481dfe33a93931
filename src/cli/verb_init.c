/* pawl init: pawl.yaml and migrations/. */
#include <string.h>

#include "cli/json.h"
#include "cli/session.h"

/* Each line of `created` goes to one of the two. */
static json_t *
for_each_path(const char *created, pawl_cli_buf *people)
{
    json_t *paths = json_array();

    while (*created != '\0')
    {
        size_t length = strcspn(created, "\n");
        PAWL_CLI_BUF path = {0};

        pawl_cli_add_bytes(&path, created, length);
        if (length > 0)
        {
            (void) json_array_append_new(paths, pawl_cli_json_text(pawl_cli_buf_text(&path)));
            pawl_cli_add(people, "created ");
            pawl_cli_safe(people, pawl_cli_buf_text(&path));
            pawl_cli_add(people, "\n");
        }
        created += length + (created[length] == '\n' ? 1 : 0);
    }
    return paths;
}

static pawl_status
init(pawl_cli *cli, pawl_error *err)
{
    const char *dir = cli->line->narguments == 0 ? "." : cli->line->arguments[0];
    PAWL_CLI_BUF people = {0};
    pawl_cli_object o;
    json_t *paths;
    char *created = NULL;
    pawl_status st = pawl_init(dir, &created, err);

    if (st != PAWL_OK)
        return st;

    paths = for_each_path(created, &people);
    pawl_text_free(created);
    if (cli->out->is_json)
    {
        o = pawl_cli_object_begin();
        pawl_cli_put_text(&o, "directory", dir);
        pawl_cli_put(&o, "created", paths);
        pawl_cli_document(cli->out, pawl_cli_object_end(&o));
        return PAWL_OK;
    }

    json_decref(paths);
    pawl_cli_print(cli->out, &people);
    pawl_cli_say(cli->out, "\nWhat next:\n"
                           "  1. name the database in pawl.yaml, or set DATABASE_URL\n"
                           "  2. pawl revision -m \"What it changes\"\n"
                           "  3. write the steps into the file it names\n"
                           "  4. pawl upgrade");
    return PAWL_OK;
}

const pawl_cli_verb pawl_cli_verb_init = {
    .name = "init",
    .arguments = "[DIR]",
    .max_arguments = 1,
    .summary = "make pawl.yaml and migrations/",
    .text = "Makes pawl.yaml and migrations/ in DIR, the working directory when none is named. What exists "
            "stays as it "
            "is.",
    .examples = "pawl init\npawl init services/shop",
    .run = init,
};
