/* pawl backup: pg_dump with the right flags, and a look at what it wrote. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "cli/archive.h"
#include "cli/fail.h"
#include "cli/json.h"

#define MOST_JOBS 64

typedef struct backup
{
    pawl_cli *cli;
    pawl_archive_place *place;
    pawl_cli_archive_work work;
    bool is_custom; /* one file; else a directory */
    int64_t jobs;
    pawl_cli_buf path;    /* the archive */
    pawl_cli_buf partial; /* what it is called until it is whole */
    bool has_partial;     /* we have made it, and may remove it */
    pawl_cli_buf dump;    /* the programs */
    pawl_cli_buf restore;
    int version;
    pawl_cli_archive_list list;
    int64_t bytes;
} backup;

static void
fini(backup *b)
{
    if (b->has_partial)
        pawl_cli_archive_remove(pawl_cli_buf_text(&b->partial));
    pawl_cli_archive_work_free(&b->work);
    pawl_cli_buf_free(&b->path);
    pawl_cli_buf_free(&b->partial);
    pawl_cli_buf_free(&b->dump);
    pawl_cli_buf_free(&b->restore);
    pawl_archive_free(b->place);
}

/* ---- before ---------------------------------------------------------------------------------------------------- */

static pawl_status
read_flags(backup *b, pawl_error *err)
{
    const pawl_cli_line *line = b->cli->line;
    const char *format = pawl_cli_value(line, "--format");

    b->jobs = 2;
    if (format != NULL && strcmp(format, "directory") != 0 && strcmp(format, "custom") != 0)
        return pawl_cli_fail(err, PAWL_E_USAGE, "--format takes directory or custom, not \"%s\"", format);
    b->is_custom = format != NULL && strcmp(format, "custom") == 0;
    if (b->is_custom && pawl_cli_is_given(line, "--jobs"))
    {
        (void) pawl_cli_fail(err, PAWL_E_USAGE, "--jobs needs --format directory");
        return pawl_cli_hint(err, "one file can be written by one job only");
    }
    return pawl_cli_number(line, "--jobs", 1, MOST_JOBS, &b->jobs, err);
}

/* "shop-20250301T100000Z", of letters that need no quoting anywhere. */
static void
add_name(pawl_cli_buf *buf, const char *database)
{
    char stamp[32] = "";
    time_t now = time(NULL);
    struct tm parts;

    for (const char *c = database; *c != '\0'; c++)
    {
        bool is_plain = (*c >= 'a' && *c <= 'z') || (*c >= 'A' && *c <= 'Z') || (*c >= '0' && *c <= '9') ||
                        *c == '_' || (*c == '-' && c != database);
        pawl_cli_add_bytes(buf, is_plain ? c : "_", 1);
    }
    if (gmtime_r(&now, &parts) != NULL)
        (void) strftime(stamp, sizeof stamp, "-%Y%m%dT%H%M%SZ", &parts);
    pawl_cli_add(buf, stamp);
}

static void
choose_path(backup *b)
{
    const pawl_cli_line *line = b->cli->line;

    if (line->narguments > 0)
        pawl_cli_add(&b->path, line->arguments[0]);
    else
    {
        add_name(&b->path, b->place->database);
        pawl_cli_add(&b->path, b->is_custom ? ".dump" : "");
    }
    while (b->path.length > 1 && b->path.data[b->path.length - 1] == '/')
        b->path.data[--b->path.length] = '\0';
    pawl_cli_addf(&b->partial, "%s.partial", pawl_cli_buf_text(&b->path));
}

static pawl_status
fail_path(const char *what, const char *path, pawl_error *err)
{
    char reason[128] = "unknown error";

    (void) strerror_r(errno, reason, sizeof reason);
    return pawl_cli_fail(err, PAWL_E_IO, "cannot %s \"%s\": %s", what, path, reason);
}

static pawl_status
check_free(const char *path, pawl_error *err)
{
    struct stat found;

    if (lstat(path, &found) == -1)
        return errno == ENOENT ? PAWL_OK : fail_path("write", path, err);
    (void) pawl_cli_fail(err, PAWL_E_REFUSED, "\"%s\" is there already", path);
    return pawl_cli_hint(err, "an archive is never overwritten: give another name, or move this one away");
}

/* Nobody but its owner may read what is in it. */
static pawl_status
make_partial(backup *b, pawl_error *err)
{
    const char *path = pawl_cli_buf_text(&b->partial);
    int fd;

    if (b->path.has_failed || b->partial.has_failed)
        return pawl_cli_nomem(err);
    if (check_free(pawl_cli_buf_text(&b->path), err) != PAWL_OK)
        return err->code;
    if (b->is_custom)
    {
        fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        b->has_partial = fd != -1;
        if (fd != -1)
            (void) close(fd);
    }
    else
        b->has_partial = mkdir(path, 0700) == 0;
    if (b->has_partial)
        return PAWL_OK;
    if (errno != EEXIST)
        return fail_path("create", path, err);
    (void) pawl_cli_fail(err, PAWL_E_REFUSED, "\"%s\" is there already", path);
    return pawl_cli_hint(err, "another backup is writing it, or one was killed: then remove it");
}

/* ---- the work -------------------------------------------------------------------------------------------------- */

static pawl_status
dump(backup *b, pawl_error *err)
{
    PAWL_CLI_BUF dbname = {0};
    PAWL_CLI_BUF file = {0};
    PAWL_CLI_BUF jobs = {0};

    pawl_cli_archive_dbname(&dbname, b->place->database);
    pawl_cli_addf(&file, "--file=%s", pawl_cli_buf_text(&b->partial));
    pawl_cli_addf(&jobs, "--jobs=%" PRId64, b->jobs);
    if (dbname.has_failed || file.has_failed || jobs.has_failed)
        return pawl_cli_nomem(err);
    const char *const argv[] = {pawl_cli_buf_text(&b->dump),
                                "--no-password",
                                "--verbose",
                                "--lock-wait-timeout=60000",
                                file.data,
                                dbname.data,
                                b->is_custom ? "--format=custom" : "--format=directory",
                                b->is_custom ? NULL : jobs.data,
                                NULL};
    return pawl_cli_archive_run(&b->work, argv, b->place, NULL, err);
}

static pawl_status
verify(backup *b, pawl_error *err)
{
    const char *path = pawl_cli_buf_text(&b->partial);
    const char *const list[] = {pawl_cli_buf_text(&b->restore), "--list", "--", path, NULL};
    const char *const all[] = {pawl_cli_buf_text(&b->restore), "--file=/dev/null", "--", path, NULL};
    PAWL_CLI_BUF text = {0};
    pawl_status st = pawl_cli_archive_run(&b->work, list, NULL, &text, err);

    if (st != PAWL_OK)
        return st;
    pawl_cli_archive_parse(pawl_cli_buf_text(&text), &b->list);
    b->bytes = pawl_cli_archive_bytes(path);
    if (b->list.entries == 0 && b->place->objects > 0)
        return pawl_cli_fail(err, PAWL_E_IO,
                             "the archive has no entries, though the database has %" PRId64 " objects",
                             b->place->objects);
    return pawl_cli_is_given(b->cli->line, "--read") ? pawl_cli_archive_run(&b->work, all, NULL, NULL, err)
                                                     : PAWL_OK;
}

/* A link or a rename that would replace something is not made. (An empty directory would be, and is no loss.) */
static pawl_status
finish(backup *b, pawl_error *err)
{
    const char *from = pawl_cli_buf_text(&b->partial);
    const char *to = pawl_cli_buf_text(&b->path);
    int rc;

    if (check_free(to, err) != PAWL_OK)
        return err->code;
    rc = b->is_custom ? link(from, to) : rename(from, to);
    if (rc == -1 && b->is_custom && errno != EEXIST)
        rc = rename(from, to); /* a file system without links */
    if (rc == -1)
        return fail_path("rename to", to, err);
    if (b->is_custom)
        (void) unlink(from);
    b->has_partial = false;
    return PAWL_OK;
}

static void
tell(backup *b)
{
    pawl_cli_out *out = b->cli->out;
    int64_t elapsed_ms = pawl_cli_now_ms() - b->cli->begin_ms;
    pawl_cli_object o;
    PAWL_CLI_BUF text = {0};

    if (out->is_json)
    {
        o = pawl_cli_object_begin();
        pawl_cli_put_text(&o, "path", pawl_cli_buf_text(&b->path));
        pawl_cli_put_text(&o, "format", b->is_custom ? "custom" : "directory");
        pawl_cli_put_text(&o, "target", b->place->target);
        pawl_cli_put_text(&o, "server", b->place->server);
        pawl_cli_put_int(&o, "program_version", b->version);
        pawl_cli_put_int(&o, "entries", b->list.entries);
        pawl_cli_put_int(&o, "tables", b->list.tables);
        pawl_cli_put_int(&o, "bytes", b->bytes);
        pawl_cli_put_int(&o, "database_bytes", b->place->bytes);
        pawl_cli_put_bool(&o, "is_read_back", pawl_cli_is_given(b->cli->line, "--read"));
        pawl_cli_put_int(&o, "elapsed_ms", elapsed_ms);
        pawl_cli_document(out, pawl_cli_object_end(&o));
        return;
    }
    pawl_cli_safe(&text, pawl_cli_buf_text(&b->path));
    pawl_cli_add(&text, "\n");
    pawl_cli_print(out, &text);
    pawl_cli_buf_reset(&text);
    pawl_cli_add(&text, "pawl: ");
    pawl_cli_count(&text, b->list.entries);
    pawl_cli_add(&text, " entries, ");
    pawl_cli_plural(&text, b->list.tables, "table");
    pawl_cli_add(&text, ", ");
    pawl_cli_archive_size(&text, b->bytes);
    pawl_cli_add(&text, " of a database of ");
    pawl_cli_archive_size(&text, b->place->bytes);
    pawl_cli_add(&text, " in ");
    pawl_cli_duration(&text, elapsed_ms);
    pawl_cli_say(out, pawl_cli_buf_text(&text));
    if (b->list.tables != b->place->tables)
    {
        pawl_cli_buf_reset(&text);
        pawl_cli_addf(&text,
                      "pawl: warning: the database had %" PRId64
                      " tables when the backup began, the archive has "
                      "%" PRId64 ": was one created or dropped meanwhile?",
                      b->place->tables, b->list.tables);
        pawl_cli_say(out, pawl_cli_buf_text(&text));
    }
}

static pawl_status
work(backup *b, pawl_error *err)
{
    pawl_run_options options = pawl_cli_run_options(b->cli);
    const char *dir = pawl_cli_value(b->cli->line, "--bin-dir");
    int restore_version = 0;
    pawl_status st;

    if ((st = read_flags(b, err)) != PAWL_OK || (st = pawl_cli_open(b->cli, err)) != PAWL_OK ||
        (st = pawl_archive_look(b->cli->project, false, &options, &b->place, err)) != PAWL_OK ||
        (st = pawl_cli_child_find("pg_dump", dir, b->place->server_version / 10000, &b->dump, &b->version,
                                  err)) != PAWL_OK ||
        (st = pawl_cli_child_find("pg_restore", dir, b->version, &b->restore, &restore_version, err)) !=
            PAWL_OK)
        return st;
    choose_path(b);
    if ((st = make_partial(b, err)) != PAWL_OK || (st = dump(b, err)) != PAWL_OK ||
        (st = verify(b, err)) != PAWL_OK || (st = finish(b, err)) != PAWL_OK)
        return st;
    tell(b);
    return PAWL_OK;
}

static pawl_status
run(pawl_cli *cli, pawl_error *err)
{
    backup b = {.cli = cli, .work = {.cli = cli, .verb = "backup"}};
    pawl_status st = work(&b, err);

    if (st == PAWL_E_STOPPED)
        (void) pawl_cli_hint(err, "what was written so far is removed; the database is as it was");
    fini(&b);
    return st;
}

static const pawl_cli_flag flags[] = {
    {"--format", NULL, "FORMAT", "directory (the default: several jobs at once) or custom (one file)", NULL},
    {"--jobs", "-j", "N", "tables written at the same time, each over a connection of its own (default 2)",
     NULL},
    {"--read", NULL, NULL, "read the archive to its end afterwards", NULL},
    {"--bin-dir", NULL, "DIR",
     "where pg_dump and pg_restore are (default: PATH, then where packages put them)", NULL},
    {NULL, NULL, NULL, NULL, NULL},
};

const pawl_cli_verb pawl_cli_verb_backup = {
    .name = "backup",
    .arguments = "[PATH]",
    .max_arguments = 1,
    .summary = "back the database up with pg_dump, and verify the archive by listing it",
    .text =
        "Runs pg_dump of at least the server's version with the connection of the project, into PATH or into "
        "DATABASE-TIME below the working directory. The ledger is part of it, so that a restored database "
        "knows "
        "what is applied. The archive has its name only when it is whole: until then it is called "
        "PATH.partial, "
        "and a backup that fails or is stopped removes it. Nothing that exists is overwritten, and nobody "
        "but you "
        "may read the archive. The password does not stand on any command line. Roles and tablespaces are no "
        "part "
        "of a database: `pg_dumpall --globals-only` writes those.",
    .examples =
        "pawl backup\npawl backup before-cutover --jobs 4 --read\npawl backup shop.dump --format custom",
    .flags = flags,
    .settings = PAWL_CLI_SETTINGS_CONNECTION,
    .stopping = PAWL_CLI_STOP_CANCELS,
    .run = run,
};
