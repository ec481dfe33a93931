/* pawl squash: one baseline in place of many revisions. */
#include <inttypes.h>
#include <string.h>

#include "cli/archive.h"
#include "cli/fail.h"
#include "cli/json.h"

#include "pawl/squash.h"

typedef struct squash
{
    pawl_cli *cli;
    pawl_archive_place *place;
    pawl_cli_archive_work work;
    pawl_cli_buf program;
    int version;
    pawl_cli_buf dump; /* what it wrote */
    pawl_squash_report *report;
} squash;

static void
fini(squash *s)
{
    pawl_cli_archive_work_free(&s->work);
    pawl_cli_buf_free(&s->program);
    pawl_cli_buf_free(&s->dump);
    pawl_archive_free(s->place);
    pawl_squash_free(s->report);
}

/* A name in double quotes is no pattern. */
static void
add_exclusion(pawl_cli_buf *buf, const char *schema)
{
    pawl_cli_add(buf, "--exclude-schema=\"");
    for (const char *c = schema; *c != '\0'; c++)
        pawl_cli_add_bytes(buf, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    pawl_cli_add(buf, "\"");
}

/* The library's wish: see pawl/squash.h. */
static pawl_status
dump(void *ctx, const char *database, const char *ledger, const char **sql, pawl_error *err)
{
    squash *s = ctx;
    PAWL_CLI_BUF dbname = {0};
    PAWL_CLI_BUF exclusion = {0};
    pawl_status st;

    pawl_cli_archive_dbname(&dbname, database);
    add_exclusion(&exclusion, ledger);
    if (dbname.has_failed || exclusion.has_failed)
        return pawl_cli_nomem(err);
    const char *const argv[] = {pawl_cli_buf_text(&s->program), "--no-password", "--verbose", "--schema-only",
                                "--no-subscriptions",           exclusion.data,  dbname.data, NULL};
    pawl_cli_buf_reset(&s->dump);
    st = pawl_cli_archive_run(&s->work, argv, s->place, &s->dump, err);
    if (st == PAWL_OK)
        *sql = pawl_cli_buf_text(&s->dump);
    return st;
}

/* ---- the result ------------------------------------------------------------------------------------------------- */

static json_t *
loss_of(const void *list, size_t i)
{
    const pawl_squash_loss *loss = &((const pawl_squash_loss *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "kind", loss->kind);
    pawl_cli_put_text(&o, "object", loss->object);
    pawl_cli_put_text(&o, "text", loss->text);
    return pawl_cli_object_end(&o);
}

static void
put_document(const squash *s)
{
    const pawl_squash_report *r = s->report;
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "target", r->target);
    pawl_cli_put_bool(&o, "is_written", r->is_written);
    pawl_cli_put_text(&o, "revision", r->is_written ? r->id : "");
    pawl_cli_put_text(&o, "path", r->path);
    pawl_cli_put_text(&o, "sql_path", r->sql_path);
    pawl_cli_put_text(&o, "directory", r->directory);
    pawl_cli_put_texts(&o, "replaced", r->replaced, r->nreplaced);
    pawl_cli_put(&o, "losses", pawl_cli_json_array(r->nlosses, loss_of, r->losses));
    pawl_cli_put_texts(&o, "differences", r->differences, r->ndifferences);
    pawl_cli_put_int(&o, "facts", r->facts);
    pawl_cli_put_int(&o, "program_version", s->version);
    pawl_cli_put_int(&o, "elapsed_ms", pawl_cli_now_ms() - s->cli->begin_ms);
    pawl_cli_document(s->cli->out, pawl_cli_object_end(&o));
}

static const char *
word_of(const char *kind)
{
    static const char *const words[][2] = {{"rows", "rows of"},         {"sequence", "sequence"},
                                           {"large_objects", "all"},    {"condition", "condition of"},
                                           {"outside", "statement of"}, {"data_step", "perhaps by"}};

    for (size_t i = 0; i < sizeof words / sizeof words[0]; i++)
    {
        if (strcmp(words[i][0], kind) == 0)
            return words[i][1];
    }
    return kind;
}

static void
print_lists(const squash *s)
{
    const pawl_squash_report *r = s->report;
    PAWL_CLI_BUF text = {0};

    for (size_t i = 0; i < r->nlosses; i++)
    {
        pawl_cli_addf(&text, "lost: %s ", word_of(r->losses[i].kind));
        pawl_cli_safe(&text, r->losses[i].object);
        pawl_cli_add(&text, ": ");
        pawl_cli_safe(&text, r->losses[i].text);
        pawl_cli_add(&text, "\n");
    }
    for (size_t i = 0; i < r->ndifferences; i++)
    {
        pawl_cli_safe_lines(&text, r->differences[i], "    ");
        pawl_cli_add(&text, "\n");
    }
    if (r->is_written)
    {
        pawl_cli_safe(&text, r->path);
        pawl_cli_add(&text, "\n");
    }
    pawl_cli_print(s->cli->out, &text);
}

static void
say_end(const squash *s)
{
    const pawl_squash_report *r = s->report;
    PAWL_CLI_BUF text = {0};

    pawl_cli_add(&text, "pawl: ");
    pawl_cli_plural(&text, (int64_t) r->nreplaced, "revision");
    pawl_cli_addf(&text, " squashed into %s, proved equal in ", r->id);
    pawl_cli_count(&text, r->facts);
    pawl_cli_add(&text, " facts of the schema; their files are in ");
    pawl_cli_safe(&text, r->directory);
    pawl_cli_add(&text, "\npawl: databases at ");
    pawl_cli_safe(&text, r->replaced[r->nreplaced - 1]);
    pawl_cli_add(&text, " or beyond need nothing; bring the others there before you deploy this");
    pawl_cli_say(s->cli->out, pawl_cli_buf_text(&text));
}

static bool
has_kind(const pawl_squash_report *r, const char *kind)
{
    for (size_t i = 0; i < r->nlosses; i++)
    {
        if (strcmp(r->losses[i].kind, kind) == 0)
            return true;
    }
    return false;
}

/* Why nothing was written, and what to do. */
static pawl_status
refuse(const squash *s, pawl_error *err)
{
    const pawl_squash_report *r = s->report;
    bool is_outside = has_kind(r, "outside") && !pawl_cli_is_given(s->cli->line, "--outside-ok");

    if (r->ndifferences > 0)
    {
        (void) pawl_cli_fail(
            err, PAWL_E_FINDINGS,
            "the baseline makes another schema than the range: %zu difference%s; nothing was changed",
            r->ndifferences, r->ndifferences == 1 ? "" : "s");
        return pawl_cli_hint(
            err, "what pg_dump cannot reproduce has to be made equal by a revision in front: \"-\" "
                 "is of the range, \"+\" of the baseline");
    }
    if (is_outside)
    {
        (void) pawl_cli_fail(err, PAWL_E_FINDINGS,
                             "the range reaches beyond its database; nothing was run, nothing was changed");
        return pawl_cli_hint(
            err, "on a server of no importance (--database) its statements may be run: --outside-ok; a "
                 "fresh database will do without them");
    }
    (void) pawl_cli_fail(
        err, PAWL_E_FINDINGS,
        "a fresh database would get less from a baseline than from the range; nothing was changed");
    return pawl_cli_hint(
        err, "a baseline has the schema alone: seed the rows in a revision of their own behind it; "
             "--schema-only-ok goes without them");
}

/* ---- the verb --------------------------------------------------------------------------------------------------- */

static pawl_status
work(squash *s, pawl_error *err)
{
    pawl_cli *cli = s->cli;
    pawl_run_options options = pawl_cli_run_options(cli);
    const pawl_squash_options what = {.range = cli->line->arguments[0],
                                      .message = pawl_cli_value(cli->line, "--message"),
                                      .id = pawl_cli_value(cli->line, "--rev-id"),
                                      .schema_only_ok = pawl_cli_is_given(cli->line, "--schema-only-ok"),
                                      .outside_ok = pawl_cli_is_given(cli->line, "--outside-ok"),
                                      .dump = dump,
                                      .ctx = s};
    pawl_status st;

    if (what.message == NULL || what.message[0] == '\0')
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "a baseline needs a description");
        return pawl_cli_hint(err, "say what it is: pawl squash :d17be032 -m \"Schema of 2024\"");
    }
    if (cli->out->is_json)
        options.sink = (pawl_sink){.emit = NULL};
    if ((st = pawl_cli_open(cli, err)) != PAWL_OK ||
        (st = pawl_archive_look(cli->project, true, &options, &s->place, err)) != PAWL_OK ||
        (st = pawl_cli_child_find("pg_dump", pawl_cli_value(cli->line, "--bin-dir"),
                                  s->place->server_version / 10000, &s->program, &s->version, err)) !=
            PAWL_OK)
        return st;
    st = pawl_squash(cli->project, &what, &options, &s->report, err);
    pawl_cli_render_end(&cli->render);
    if (st != PAWL_OK)
        return st;
    if (cli->out->is_json)
        put_document(s);
    else
        print_lists(s);
    if (!s->report->is_written)
        return refuse(s, err);
    if (!cli->out->is_json)
        say_end(s);
    return PAWL_OK;
}

static pawl_status
run(pawl_cli *cli, pawl_error *err)
{
    squash s = {.cli = cli, .work = {.cli = cli, .verb = "squash"}};
    pawl_status st = work(&s, err);

    fini(&s);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--message", "-m", "TEXT", "what the baseline is; its description", NULL},
    {"--schema-only-ok", NULL, NULL, "squash although the range leaves rows that the baseline will not make",
     NULL},
    {"--outside-ok", NULL, NULL, "run statements that reach beyond a database (roles, ...) on this server",
     NULL},
    {"--rev-id", NULL, "ID", "this id instead of eight random hex digits", NULL},
    {"--bin-dir", NULL, "DIR", "where pg_dump is (default: PATH, then where packages put it)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_squash = {
    .name = "squash",
    .arguments = "A:B",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "put one baseline in place of the revisions A to B, proved equal",
    .text = "Applies the range to a scratch database, makes a baseline revision of what pg_dump says of it, "
            "applies that "
            "to a second one, and compares everything that the catalogues say. Only when both are the same "
            "the baseline is "
            "written and the files of the range are moved to squashed/ID/ below the migrations. The range "
            "begins at the "
            "beginning (:B takes everything up to B), and only its end may be followed by other revisions; "
            "their files "
            "stay as they are.\n\n"
            "No database is changed. One that has B is recognised: `pawl upgrade` records the baseline and "
            "runs nothing. An "
            "empty one gets the baseline. One in the middle of the range is refused until it has been "
            "brought to B, which "
            "`pawl upgrade B --dir MIGRATIONS/squashed/ID` does.\n\n"
            "A baseline makes the schema alone. Rows that the range leaves in an empty database (seeds, "
            "reference data) are "
            "listed and refused (exit code 4), and so are steps under `when:`, unless --schema-only-ok is "
            "given; statements that reach beyond "
            "a database (roles, ALTER SYSTEM) are not run without --outside-ok. The role needs CREATEDB. The "
            "scratch "
            "databases are dropped, also after a failure or Ctrl-C.",
    .examples = "pawl squash :d17be032 -m \"Schema of 2024\"\n"
                "pawl squash :head -m \"Baseline\" --database postgresql:///postgres --schema-only-ok",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION | PAWL_CLI_SETTINGS_CHANGE,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = run,
};
