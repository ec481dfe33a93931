/* pawl restore: pg_restore into an empty database, all or nothing. */
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/archive.h"
#include "cli/fail.h"
#include "cli/json.h"
#include "cli/wait.h"

#define MOST_JOBS   64
#define TICK_MS     200
#define MOST_ANSWER 256

typedef struct restore
{
    pawl_cli *cli;
    pawl_archive_place *place;
    pawl_cli_archive_work work;
    const char *archive;
    int64_t jobs;
    bool is_clean;
    pawl_cli_buf program;
    pawl_cli_archive_list list;
} restore;

/* ---- before ---------------------------------------------------------------------------------------------------- */

static pawl_status
list_archive(restore *r, pawl_error *err)
{
    const char *const argv[] = {pawl_cli_buf_text(&r->program), "--list", "--", r->archive, NULL};
    PAWL_CLI_BUF text = {0};
    pawl_status st = pawl_cli_archive_run(&r->work, argv, NULL, &text, err);

    if (st == PAWL_E_SERVER)
    {
        char said[sizeof err->detail];

        memcpy(said, err->detail, sizeof said);
        (void) pawl_cli_fail(err, PAWL_E_INPUT, "\"%s\" cannot be read as an archive", r->archive);
        memcpy(err->detail, said, sizeof said);
        return pawl_cli_hint(
            err, "give what `pawl backup` or pg_dump (-Fd, -Fc or -Ft) wrote; plain SQL goes through "
                 "psql");
    }
    if (st == PAWL_OK)
        pawl_cli_archive_parse(pawl_cli_buf_text(&text), &r->list);
    return st;
}

/* An archive of a newer server may hold what an older one does not know. */
static void
warn_of_version(const restore *r)
{
    long from = strtol(r->list.server, NULL, 10);
    PAWL_CLI_BUF text = {0};

    if (from <= r->place->server_version / 10000)
        return;
    pawl_cli_addf(&text, "pawl: warning: the archive was taken from PostgreSQL %s, and this is ",
                  r->list.server);
    pawl_cli_safe(&text, r->place->server);
    pawl_cli_add(&text, ": it may refuse what it does not know");
    pawl_cli_say(r->cli->out, pawl_cli_buf_text(&text));
}

/* One line from standard input, or a stop. PAWL_OK also at its end, with what came until then. */
static pawl_status
read_answer(restore *r, char answer[MOST_ANSWER], pawl_error *err)
{
    size_t length = 0;

    answer[0] = '\0';
    while (length + 1 < MOST_ANSWER)
    {
        const int input = STDIN_FILENO;
        bool is_ready = false;

        pawl_cli_wait(&input, &is_ready, 1, TICK_MS);
        if (pawl_stop_level_of(r->cli->stop) != PAWL_STOP_NONE)
            return pawl_cli_fail(err, PAWL_E_STOPPED, "stopped on request; nothing was done");
        if (!is_ready)
            continue;
        ssize_t got = read(STDIN_FILENO, answer + length, 1);
        if (got == -1 && errno == EINTR)
            continue;
        if (got != 1 || answer[length] == '\n')
            break;
        length++;
    }
    answer[length] = '\0';
    return PAWL_OK;
}

static pawl_status
ask(restore *r, pawl_error *err)
{
    char answer[MOST_ANSWER];
    PAWL_CLI_BUF text = {0};
    pawl_status st;

    pawl_cli_safe(&text, r->place->target);
    pawl_cli_add(&text, " is not empty: ");
    pawl_cli_plural(&text, r->place->objects, "object");
    pawl_cli_add(&text, ", ");
    pawl_cli_safe(&text, r->place->example);
    pawl_cli_add(
        &text,
        " among them.\nWhat the archive holds will be dropped there first, with its rows. Type the name of "
        "the database to go on:");
    pawl_cli_screen_line(&r->cli->out->screen, pawl_cli_buf_text(&text));
    st = read_answer(r, answer, err);
    if (st != PAWL_OK || strcmp(answer, r->place->database) == 0)
        return st;
    return pawl_cli_fail(err, PAWL_E_REFUSED, "the name is another; nothing was done");
}

static pawl_status
check_target(restore *r, pawl_error *err)
{
    const pawl_archive_place *p = r->place;

    if (p->runner[0] != '\0')
    {
        (void) pawl_cli_fail(err, PAWL_E_BUSY, "pawl is at work in this database: %s", p->runner);
        return pawl_cli_hint(err, "wait for it, or stop it with Ctrl-C there");
    }
    if (p->objects == 0)
        return PAWL_OK;
    if (!r->is_clean)
    {
        (void) pawl_cli_fail(err, PAWL_E_REFUSED, "%s is not empty: %" PRId64 " object%s, %s among them",
                             p->target, p->objects, p->objects == 1 ? "" : "s", p->example);
        return pawl_cli_hint(
            err, "create a new database and restore there (--database), or drop what the archive holds "
                 "first: --clean");
    }
    if (pawl_cli_is_given(r->cli->line, "--yes"))
        return PAWL_OK;
    if (isatty(STDIN_FILENO) == 1 && isatty(STDERR_FILENO) == 1)
        return ask(r, err);
    (void) pawl_cli_fail(err, PAWL_E_REFUSED, "%s is not empty, and nobody can be asked", p->target);
    return pawl_cli_hint(err, "--yes drops what the archive holds without asking");
}

/* ---- the work -------------------------------------------------------------------------------------------------- */

static pawl_status
fill(restore *r, pawl_error *err)
{
    const pawl_cli_line *line = r->cli->line;
    PAWL_CLI_BUF dbname = {0};
    PAWL_CLI_BUF jobs = {0};
    const char *argv[16];
    size_t n = 0;

    pawl_cli_archive_dbname(&dbname, r->place->database);
    pawl_cli_addf(&jobs, "--jobs=%" PRId64, r->jobs);
    if (dbname.has_failed || jobs.has_failed)
        return pawl_cli_nomem(err);
    argv[n++] = pawl_cli_buf_text(&r->program);
    argv[n++] = "--no-password";
    argv[n++] = "--verbose";
    argv[n++] = "--exit-on-error";
    argv[n++] = dbname.data;
    argv[n++] = r->jobs > 1 ? jobs.data : "--single-transaction";
    if (r->is_clean)
    {
        argv[n++] = "--clean";
        argv[n++] = "--if-exists";
    }
    if (pawl_cli_is_given(line, "--no-owner"))
        argv[n++] = "--no-owner";
    if (pawl_cli_is_given(line, "--no-privileges"))
        argv[n++] = "--no-privileges";
    argv[n++] = "--";
    argv[n++] = r->archive;
    argv[n] = NULL;
    return pawl_cli_archive_run(&r->work, argv, r->place, NULL, err);
}

/* The tables that are there now must be at least those of the archive. */
static pawl_status
count(restore *r, int64_t *tables, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(r->cli);
    pawl_archive_place *after = NULL;
    pawl_status st = pawl_archive_look(r->cli->project, true, &options, &after, err);

    if (st != PAWL_OK)
        return st;
    *tables = after->tables;
    pawl_archive_free(after);
    if (*tables < r->list.tables)
        return pawl_cli_fail(err, PAWL_E_STATE,
                             "the archive has %" PRId64 " tables, and the database %" PRId64
                             " after the restore",
                             r->list.tables, *tables);
    return PAWL_OK;
}

static void
tell(restore *r, int64_t tables)
{
    pawl_cli_out *out = r->cli->out;
    int64_t elapsed_ms = pawl_cli_now_ms() - r->cli->begin_ms;
    pawl_cli_object o;
    PAWL_CLI_BUF text = {0};

    if (out->is_json)
    {
        o = pawl_cli_object_begin();
        pawl_cli_put_text(&o, "archive", r->archive);
        pawl_cli_put_text(&o, "target", r->place->target);
        pawl_cli_put_text(&o, "server", r->place->server);
        pawl_cli_put_int(&o, "entries", r->list.entries);
        pawl_cli_put_int(&o, "tables", r->list.tables);
        pawl_cli_put_int(&o, "tables_now", tables);
        pawl_cli_put_bool(&o, "is_one_transaction", r->jobs == 1);
        pawl_cli_put_int(&o, "elapsed_ms", elapsed_ms);
        pawl_cli_document(out, pawl_cli_object_end(&o));
        return;
    }
    pawl_cli_add(&text, "pawl: restored ");
    pawl_cli_count(&text, r->list.entries);
    pawl_cli_add(&text, " entries, ");
    pawl_cli_plural(&text, r->list.tables, "table");
    pawl_cli_add(&text, " in ");
    pawl_cli_duration(&text, elapsed_ms);
    pawl_cli_add(&text, "; statistics are no part of an archive: run ANALYZE");
    pawl_cli_say(out, pawl_cli_buf_text(&text));
}

static pawl_status
work(restore *r, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(r->cli);
    int64_t tables = 0;
    int version = 0;
    pawl_status st;

    r->jobs = 1;
    if ((st = pawl_cli_number(r->cli->line, "--jobs", 1, MOST_JOBS, &r->jobs, err)) != PAWL_OK ||
        (st = pawl_cli_open(r->cli, err)) != PAWL_OK ||
        (st = pawl_archive_look(r->cli->project, true, &options, &r->place, err)) != PAWL_OK ||
        (st = pawl_cli_child_find("pg_restore", pawl_cli_value(r->cli->line, "--bin-dir"),
                                  r->place->server_version / 10000, &r->program, &version, err)) != PAWL_OK ||
        (st = list_archive(r, err)) != PAWL_OK || (st = check_target(r, err)) != PAWL_OK)
        return st;
    warn_of_version(r);
    st = fill(r, err);
    if (st == PAWL_E_STOPPED || st == PAWL_E_SERVER)
        return pawl_cli_hint(
            err, r->jobs == 1 ? "it was one transaction: the database is as it was"
                              : "with several jobs it is no one transaction: part of the archive may be "
                                "in the database; restore into a new one");
    if (st == PAWL_OK)
        st = count(r, &tables, err);
    if (st == PAWL_OK)
        tell(r, tables);
    return st;
}

static pawl_status
run(pawl_cli *cli, pawl_error *err)
{
    restore r = {.cli = cli,
                 .work = {.cli = cli, .verb = "restore"},
                 .archive = cli->line->arguments[0],
                 .is_clean = pawl_cli_is_given(cli->line, "--clean")};
    pawl_status st = work(&r, err);

    pawl_cli_archive_work_free(&r.work);
    pawl_cli_buf_free(&r.program);
    pawl_archive_free(r.place);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--clean", NULL, NULL, "drop what the archive holds first; asks, unless --yes is given", NULL},
    {"--yes", "-y", NULL, "do not ask", NULL},
    {"--jobs", "-j", "N", "jobs at the same time; more than 1 is not one transaction any more (default 1)",
     NULL},
    {"--no-owner", NULL, NULL, "what is restored belongs to the role that restores", NULL},
    {"--no-privileges", NULL, NULL, "leave out GRANT and REVOKE", NULL},
    {"--bin-dir", NULL, "DIR", "where pg_restore is (default: PATH, then where packages put it)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_restore = {
    .name = "restore",
    .arguments = "ARCHIVE",
    .min_arguments = 1,
    .max_arguments = 1,
    .summary = "restore an archive of `pawl backup` or pg_dump into an empty database",
    .text = "Runs pg_restore with the connection of the project, in one transaction: it succeeds as a whole, "
            "or leaves the "
            "database as it was. The database must exist, and be empty; with --clean what the archive holds "
            "is dropped "
            "from it first, after a question that only the name of the database answers. Afterwards the "
            "tables are "
            "counted. The ledger comes back with the rest, so that `pawl status` shows what was applied at "
            "the time of "
            "the backup.",
    .examples =
        "createdb shop_copy && pawl restore shop-20250301T100000Z --database postgresql:///shop_copy\n"
        "pawl restore shop.dump --clean",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = run,
};
