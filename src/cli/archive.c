#include "cli/archive.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/fail.h"

/* ---- the list -------------------------------------------------------------------------------------------------- */

/* "; key: value" of the list's head into `out`. */
static void
take_head(const char *line, size_t length, const char *key, char *out, size_t size)
{
    const char *at = line + 1;
    const char *end = line + length;

    at += strspn(at, " ");
    if ((size_t) (end - at) <= strlen(key) || strncmp(at, key, strlen(key)) != 0)
        return;
    at += strlen(key);
    at += strspn(at, " ");
    length = (size_t) (end - at) < size ? (size_t) (end - at) : size - 1;
    memcpy(out, at, length);
    out[length] = '\0';
}

/* "215; 1259 16386 TABLE public t postgres" */
static void
take_entry(const char *line, size_t length, pawl_cli_archive_list *out)
{
    const char *end = line + length;
    const char *at = memchr(line, ';', length);

    out->entries++;
    for (int word = 0; at != NULL && word < 3; word++)
        at = memchr(at + 1, ' ', (size_t) (end - at - 1));
    if (at == NULL)
        return;
    at++;
    length = (size_t) (end - at);
    if (length > 11 && strncmp(at, "TABLE DATA ", 11) == 0)
        out->filled++;
    else if (length > 6 && strncmp(at, "TABLE ", 6) == 0 &&
             (length < 13 || strncmp(at, "TABLE ATTACH ", 13) != 0))
        out->tables++;
}

void
pawl_cli_archive_parse(const char *text, pawl_cli_archive_list *out)
{
    *out = (pawl_cli_archive_list){.entries = 0};
    while (*text != '\0')
    {
        size_t length = strcspn(text, "\n");

        if (text[0] == ';')
        {
            take_head(text, length, "Dumped from database version:", out->server, sizeof out->server);
            take_head(text, length, "Format:", out->format, sizeof out->format);
        }
        else if (text[0] >= '0' && text[0] <= '9')
        {
            take_entry(text, length, out);
        }
        text += length + (text[length] == '\n' ? 1 : 0);
    }
    /* A version may be followed by what its packager wrote. */
    out->server[strcspn(out->server, " ")] = '\0';
}

/* ---- the child ------------------------------------------------------------------------------------------------- */

/* "pg_dump: error: ...", and the DETAIL, HINT and query lines that follow one. */
static void
keep_fault(pawl_cli_archive_work *work, const char *line)
{
    bool is_fault = strstr(line, ": error: ") != NULL || strstr(line, "detail: ") != NULL ||
                    strstr(line, "hint: ") != NULL || work->fault.length > 0;

    if (!is_fault || work->fault.length > 600)
        return;
    pawl_cli_add(&work->fault, work->fault.length == 0 ? "" : "\n");
    pawl_cli_safe(&work->fault, line);
}

static void
take_line(void *ctx, const char *line)
{
    pawl_cli_archive_work *work = ctx;
    const char *text = strstr(line, ": ");

    keep_fault(work, line);
    if (work->cli->out->is_verbose)
    {
        PAWL_CLI_BUF safe = {0};

        pawl_cli_safe(&safe, line);
        pawl_cli_say(work->cli->out, pawl_cli_buf_text(&safe));
    }
    pawl_cli_buf_reset(&work->line);
    pawl_cli_safe(&work->line, text == NULL ? line : text + 2);
}

static void
show(void *ctx)
{
    pawl_cli_archive_work *work = ctx;
    pawl_cli_out *out = work->cli->out;
    PAWL_CLI_BUF text = {0};
    PAWL_CLI_BUF fitted = {0};

    pawl_cli_addf(&text, "%s ", work->verb);
    pawl_cli_duration(&text, pawl_cli_now_ms() - work->begin_ms);
    pawl_cli_addf(&text, "  %s", pawl_cli_buf_text(&work->line));
    pawl_cli_fit(&fitted, pawl_cli_buf_text(&text), pawl_cli_columns(stderr) - 1);
    if (!out->is_quiet && !out->is_json)
        pawl_cli_screen_live(&out->screen, pawl_cli_buf_text(&fitted));
}

static const char *
base_name(const char *path)
{
    const char *slash = strrchr(path, '/');

    return slash == NULL ? path : slash + 1;
}

pawl_status
pawl_cli_archive_run(pawl_cli_archive_work *work, const char *const *argv, const pawl_archive_place *place,
                     pawl_cli_buf *out, pawl_error *err)
{
    const pawl_cli_child child = {.argv = argv,
                                  .environment = place == NULL ? NULL : place->environment,
                                  .nenvironment = place == NULL ? 0 : place->nenvironment,
                                  .stop = work->cli->stop,
                                  .out = out,
                                  .on_line = take_line,
                                  .on_tick = show,
                                  .ctx = work};
    int exit_code = 0;
    pawl_status st;

    work->begin_ms = pawl_cli_now_ms();
    pawl_cli_buf_reset(&work->line);
    pawl_cli_buf_reset(&work->fault);
    st = pawl_cli_child_run(&child, &exit_code, err);
    pawl_cli_screen_live(&work->cli->out->screen, "");
    if (st != PAWL_OK || (exit_code == 0 && (out == NULL || !out->has_failed)))
        return st;
    if (exit_code == 0)
        return pawl_cli_nomem(err);

    if (exit_code > 128)
        (void) pawl_cli_fail(err, PAWL_E_SERVER, "%s was ended by signal %d", base_name(argv[0]),
                             exit_code - 128);
    else
        (void) pawl_cli_fail(err, PAWL_E_SERVER, "%s failed with exit code %d", base_name(argv[0]),
                             exit_code);
    (void) snprintf(err->detail, sizeof err->detail, "%s",
                    pawl_cli_buf_text(work->fault.length > 0 ? &work->fault : &work->line));
    return err->code;
}

void
pawl_cli_archive_work_free(pawl_cli_archive_work *work)
{
    pawl_cli_buf_free(&work->line);
    pawl_cli_buf_free(&work->fault);
}

void
pawl_cli_archive_dbname(pawl_cli_buf *buf, const char *database)
{
    pawl_cli_add(buf, "--dbname=dbname='");
    for (const char *c = database; *c != '\0'; c++)
    {
        if (*c == '\'' || *c == '\\')
            pawl_cli_add(buf, "\\");
        pawl_cli_add_bytes(buf, c, 1);
    }
    pawl_cli_add(buf, "'");
}

/* ---- files ----------------------------------------------------------------------------------------------------- */

/* Call `each` for the files of a directory; they are not nested. */
static void
walk(const char *path, void (*each)(const char *file, int64_t *sum), int64_t *sum)
{
    DIR *dir = opendir(path);
    struct dirent *entry;

    while (dir != NULL && (entry = readdir(dir)) != NULL)
    {
        PAWL_CLI_BUF file = {0};

        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0)
            continue;
        pawl_cli_addf(&file, "%s/%s", path, entry->d_name);
        if (!file.has_failed)
            each(file.data, sum);
    }
    if (dir != NULL)
        (void) closedir(dir);
}

static void
add_size(const char *file, int64_t *sum)
{
    struct stat found;

    if (lstat(file, &found) == 0 && S_ISREG(found.st_mode))
        *sum += (int64_t) found.st_size;
}

static void
remove_file(const char *file, int64_t *sum)
{
    (void) sum;
    (void) unlink(file);
}

int64_t
pawl_cli_archive_bytes(const char *path)
{
    int64_t sum = 0;

    add_size(path, &sum);
    walk(path, add_size, &sum);
    return sum;
}

void
pawl_cli_archive_remove(const char *path)
{
    struct stat found;

    if (lstat(path, &found) != 0)
        return;
    if (!S_ISDIR(found.st_mode))
    {
        (void) unlink(path);
        return;
    }
    walk(path, remove_file, NULL);
    (void) rmdir(path);
}

void
pawl_cli_archive_size(pawl_cli_buf *buf, int64_t bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
    double value = (double) bytes;
    size_t unit = 0;

    while (value >= 1024.0 && unit < 4)
    {
        value /= 1024.0;
        unit++;
    }
    if (unit == 0)
        pawl_cli_addf(buf, "%" PRId64 " bytes", bytes);
    else
        pawl_cli_addf(buf, "%.1f %s", value, units[unit]);
}
