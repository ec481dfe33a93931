/* pawl preview: what a transform would do, before it does it. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/fail.h"
#include "cli/preview.h"

#define INPUT_LIMIT ((size_t) 64 << 20)

/* ---- over a table -------------------------------------------------------------------------------------------------- */

/* Every --key of the line, in order. */
static size_t
take_keys(const pawl_cli_line *line, const char **keys)
{
    size_t n = 0;

    for (size_t i = 0; i < line->ngiven; i++)
        if (strcmp(line->given[i].flag->name, "--key") == 0)
            keys[n++] = line->given[i].value;
    return n;
}

static pawl_status
preview_table(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_preview_options what = {.revision = line->arguments[0],
                                 .is_spread = pawl_cli_is_given(line, "--spread")};
    const char **keys = calloc(line->ngiven + 1, sizeof *keys);
    pawl_preview_report *report = NULL;
    int64_t step = 0;
    int64_t limit = 0;
    pawl_status st;

    if (keys == NULL)
        return pawl_cli_nomem(err);
    what.keys = keys;
    what.nkeys = take_keys(line, keys);
    if ((st = pawl_cli_number(line, "--step", 1, INT32_MAX, &step, err)) == PAWL_OK &&
        (st = pawl_cli_number(line, "--limit", 1, 10000, &limit, err)) == PAWL_OK &&
        (st = pawl_cli_open(cli, err)) == PAWL_OK)
    {
        what.step = (int32_t) step;
        what.limit = (int32_t) limit;
        st = pawl_preview_run(cli->project, &what, &options, &report, err);
    }
    free(keys);
    if (st != PAWL_OK)
        return st;
    st = pawl_cli_tell_preview(cli, report, err);
    pawl_preview_free(report);
    return st;
}

/* ---- over an input ------------------------------------------------------------------------------------------------- */

static pawl_status
unreadable(const char *path, pawl_error *err)
{
    char reason[128] = "unknown error";

    (void) strerror_r(errno, reason, sizeof reason);
    return pawl_cli_fail(err, PAWL_E_IO, "cannot read \"%s\": %s", path, reason);
}

/* The file, or standard input for "-". */
static pawl_status
read_input(const char *path, pawl_cli_buf *out, pawl_error *err)
{
    bool is_stdin = strcmp(path, "-") == 0;
    FILE *file = is_stdin ? stdin : fopen(path, "rb");
    char piece[65536];
    size_t n;
    bool is_bad;

    if (file == NULL)
        return unreadable(path, err);
    while ((n = fread(piece, 1, sizeof piece, file)) > 0 && out->length < INPUT_LIMIT)
        pawl_cli_add_bytes(out, piece, n);
    is_bad = ferror(file) != 0;
    if (is_bad)
        (void) unreadable(path, err);
    if (!is_stdin)
        (void) fclose(file);
    if (is_bad)
        return PAWL_E_IO;
    if (out->has_failed)
        return pawl_cli_nomem(err);
    if (out->length >= INPUT_LIMIT)
        return pawl_cli_fail(err, PAWL_E_INPUT, "\"%s\" is larger than 64 MiB", path);
    if (out->length > 0 && memchr(out->data, '\0', out->length) != NULL)
        return pawl_cli_fail(err, PAWL_E_INPUT, "\"%s\" is no JSON: it contains a NUL byte", path);
    return PAWL_OK;
}

/*
 * Where `require` looks and what the file is called there: below the migrations directory as in a revision, else below
 * the directory that holds its transforms/, else its own.
 */
static pawl_status
find_lua(const pawl_cli_line *line, const char *path, pawl_cli_buf *root, const char **file, pawl_error *err)
{
    const char *dir = "migrations";
    const char *inside = NULL;
    const char *slash = strrchr(path, '/');
    PAWL_CLI_BUF full = {0};

    for (size_t i = 0; i < line->noverrides; i++)
        if (strcmp(line->overrides[i].key, "migrations") == 0)
            dir = line->overrides[i].value;
    pawl_cli_addf(&full, "%s/%s", dir, path);
    for (const char *at = strstr(path, "transforms/"); at != NULL; at = strstr(at + 1, "transforms/"))
        if (at == path || at[-1] == '/')
            inside = at;

    *file = path;
    if (path[0] != '/' && access(pawl_cli_buf_text(&full), R_OK) == 0)
        pawl_cli_add(root, dir);
    else if (access(path, R_OK) != 0)
        return unreadable(path, err);
    else
    {
        *file = inside != NULL ? inside : slash != NULL ? slash + 1 : path;
        pawl_cli_add_bytes(root, path, (size_t) (*file - path));
        if (*file == path)
            pawl_cli_add(root, ".");
    }
    return root->has_failed || full.has_failed ? pawl_cli_nomem(err) : PAWL_OK;
}

/* "a=text,b=numeric(10,2)": commas between parentheses belong to the type. Cuts `text` up. */
static pawl_status
parse_types(char *text, pawl_key_value *types, size_t *count, pawl_error *err)
{
    char *at = text;

    while (*at != '\0')
    {
        char *begin = at;
        char *equals = strchr(at, '=');
        int depth = 0;

        for (; *at != '\0' && (*at != ',' || depth > 0); at++)
            depth += *at == '(' ? 1 : *at == ')' ? -1 : 0;
        if (*at == ',')
            *at++ = '\0';
        if (equals == NULL || equals == begin || equals >= at)
        {
            (void) pawl_cli_fail(err, PAWL_E_USAGE, "--types needs COLUMN=TYPE, not \"%s\"", begin);
            return pawl_cli_hint(err, "for example: --types 'price=text,price_amount=numeric(10,2)'");
        }
        *equals = '\0';
        types[(*count)++] = (pawl_key_value){begin, equals + 1};
    }
    return PAWL_OK;
}

static pawl_status
run_input(pawl_cli *cli, const char *input, const pawl_preview_input_options *frame, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(cli);
    pawl_preview_input_options what = *frame;
    pawl_preview_report *report = NULL;
    pawl_status st;

    what.input = input;
    st = pawl_preview_input(&what, &options, &report, err);
    if (st != PAWL_OK)
        return st;
    st = pawl_cli_tell_preview(cli, report, err);
    pawl_preview_free(report);
    return st;
}

static pawl_status
preview_input(pawl_cli *cli, pawl_error *err)
{
    const pawl_cli_line *line = cli->line;
    const char *name = pawl_cli_value(line, "--input");
    const char *given = pawl_cli_value(line, "--types");
    char *text = strdup(given == NULL ? "" : given);
    pawl_key_value *types = calloc(strlen(given == NULL ? "" : given) + 1, sizeof *types);
    PAWL_CLI_BUF input = {0};
    PAWL_CLI_BUF root = {0};
    pawl_preview_input_options what = {.input_name = strcmp(name, "-") == 0 ? "standard input" : name,
                                       .types = types,
                                       .x = line->x,
                                       .nx = line->nx};
    pawl_status st = text == NULL || types == NULL ? pawl_cli_nomem(err) : PAWL_OK;

    if (st == PAWL_OK && (st = parse_types(text, types, &what.ntypes, err)) == PAWL_OK &&
        (st = find_lua(line, line->arguments[0], &root, &what.lua_file, err)) == PAWL_OK &&
        (st = read_input(name, &input, err)) == PAWL_OK)
    {
        what.lua_root = pawl_cli_buf_text(&root);
        st = run_input(cli, pawl_cli_buf_text(&input), &what, err);
    }
    free(text);
    free(types);
    return st;
}

static pawl_status
preview(pawl_cli *cli, pawl_error *err)
{
    static const char *const of_tables[] = {"--step", "--limit", "--key", "--spread"};
    bool has_input = pawl_cli_is_given(cli->line, "--input");

    if (!has_input && pawl_cli_is_given(cli->line, "--types"))
        return pawl_cli_fail(err, PAWL_E_USAGE, "--types goes with --input: a table has types of its own");
    for (size_t i = 0; has_input && i < sizeof of_tables / sizeof of_tables[0]; i++)
        if (pawl_cli_is_given(cli->line, of_tables[i]))
            return pawl_cli_fail(err, PAWL_E_USAGE, "%s does not go with --input: all its rows are run",
                                 of_tables[i]);
    return has_input ? preview_input(cli, err) : preview_table(cli, err);
}

static const pawl_cli_flag flags[] = {
    {"--step", NULL, "N", "the step of the revision, from 1 (default: its only backfill)", NULL},
    {"--limit", NULL, "N", "rows to show (default 20)", NULL},
    {"--spread", NULL, NULL, "rows from all over the table (default: the first by key)", NULL},
    {"--key", NULL, "VALUE",
     "just the row with this key; may be given several times, parts separated by commas", NULL},
    {"--input", NULL, "FILE", "rows from this JSON instead of a table; the argument is then the Lua file",
     NULL},
    {"--types", NULL, "LIST", "with --input: types of columns, as in 'price=text,price_amount=numeric(10,2)'",
     NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_preview = {
    .name = "preview",
    .arguments = "R | FILE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "run the transform of a backfill on a sample and show before and after",
    .text =
        "Reads some rows that the backfill of revision R would work on, runs its transform over them and "
        "shows what it would write, as the server would store it. Rows that it rejects or fails on are shown "
        "with the reason and end nothing. It runs in READ ONLY transactions and writes nothing; the "
        "revision, "
        "and the column that it writes, need not be there yet.\n\n"
        "With --input the rows come from a JSON file and no database is asked: FILE is the Lua file, as a "
        "revision names it or as a path. A row can say what it expects; docs/transforms.md shows how to test "
        "a "
        "transform with that.\n\n"
        "Exit code 4 when the transform rejects a row or fails on it, or when an outcome is not as expected.",
    .examples = "pawl preview c7e0 --limit 5\npawl preview c7e0 --key 42 --key 4711\n"
                "pawl preview --input prices.json transforms/price.lua  # without a database",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = preview,
};
