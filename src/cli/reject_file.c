#include "cli/reject_file.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli/buf.h"
#include "cli/fail.h"
#include "cli/json.h"

static bool
has_suffix(const char *path, const char *suffix)
{
    size_t length = strlen(path);

    return length > strlen(suffix) && strcmp(path + length - strlen(suffix), suffix) == 0;
}

pawl_status
pawl_cli_reject_file_check(const char *path, pawl_error *err)
{
    if (has_suffix(path, ".csv") || has_suffix(path, ".json"))
        return PAWL_OK;
    (void) pawl_cli_fail(err, PAWL_E_USAGE,
                         "--export writes CSV or JSON, and \"%s\" ends with neither .csv nor .json", path);
    return pawl_cli_hint(err, "pawl rejects 7 --export rejects.csv");
}

json_t *
pawl_cli_json_reject(const void *list, size_t i)
{
    const pawl_reject *r = &((const pawl_reject *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_int(&o, "reject", r->id);
    pawl_cli_put_text(&o, "table", r->table);
    pawl_cli_put(&o, "key", json_loads(r->key_json, 0, NULL));
    pawl_cli_put(&o, "input", json_loads(r->input, 0, NULL));
    pawl_cli_put_text(&o, "sqlstate", r->sqlstate);
    pawl_cli_put_text(&o, "message", r->message);
    pawl_cli_put_text(&o, "state", r->state);
    pawl_cli_put_int(&o, "attempts", r->attempts);
    pawl_cli_put_text(&o, "at", r->at);
    return pawl_cli_object_end(&o);
}

/* ---- CSV ----------------------------------------------------------------------------------------------------------- */

/* As COPY writes it: NULL is nothing, an empty text is "". */
static void
add_field(pawl_cli_buf *buf, const char *text, bool is_first)
{
    if (!is_first)
        pawl_cli_add(buf, ",");
    if (text == NULL)
        return;
    if (text[0] != '\0' && strpbrk(text, ",\"\r\n") == NULL)
    {
        pawl_cli_add(buf, text);
        return;
    }
    pawl_cli_add(buf, "\"");
    for (const char *c = text; *c != '\0'; c++)
        pawl_cli_add_bytes(buf, *c == '"' ? "\"\"" : c, *c == '"' ? 2 : 1);
    pawl_cli_add(buf, "\"");
}

/* The names of the columns: those of the first row that has any, for rows of one job have the same. */
static json_t *
columns_of(const json_t *rows, const char *member)
{
    size_t i = 0;
    const json_t *row = NULL;

    json_array_foreach(rows, i, row)
    {
        json_t *values = json_object_get(row, member);

        if (json_object_size(values) > 0)
            return values;
    }
    return NULL;
}

static void
add_names(pawl_cli_buf *buf, json_t *columns, const char *prefix, const json_t *without)
{
    const char *name = NULL;
    json_t *value = NULL;

    json_object_foreach(columns, name, value)
    {
        PAWL_CLI_BUF full = {0};

        if (without != NULL && json_object_get(without, name) != NULL)
            continue;
        pawl_cli_addf(&full, "%s.%s", prefix, name);
        add_field(buf, pawl_cli_buf_text(&full), false);
    }
}

static void
add_values(pawl_cli_buf *buf, const json_t *row, const char *member, json_t *columns, const json_t *without)
{
    const char *name = NULL;
    json_t *ignored = NULL;

    json_object_foreach(columns, name, ignored)
    {
        if (without != NULL && json_object_get(without, name) != NULL)
            continue;
        add_field(buf, json_string_value(json_object_get(json_object_get(row, member), name)), false);
    }
}

static void
add_csv(pawl_cli_buf *buf, const json_t *rows)
{
    static const char *const fixed[] = {"table", "state", "sqlstate", "message", "at"};
    json_t *keys = columns_of(rows, "key");
    json_t *inputs = columns_of(rows, "input");
    size_t i = 0;
    const json_t *row = NULL;

    pawl_cli_add(buf, "reject");
    for (size_t f = 0; f < sizeof fixed / sizeof *fixed; f++)
        add_field(buf, fixed[f], false);
    add_names(buf, keys, "key", NULL);
    add_names(buf, inputs, "input", keys);
    pawl_cli_add(buf, "\n");
    json_array_foreach(rows, i, row)
    {
        pawl_cli_addf(buf, "%" PRId64, (int64_t) json_integer_value(json_object_get(row, "reject")));
        for (size_t f = 0; f < sizeof fixed / sizeof *fixed; f++)
            add_field(buf, json_string_value(json_object_get(row, fixed[f])), false);
        add_values(buf, row, "key", keys, NULL);
        add_values(buf, row, "input", inputs, keys);
        pawl_cli_add(buf, "\n");
    }
}

/* ---- the file ------------------------------------------------------------------------------------------------------ */

static pawl_status
fail_file(const char *path, int errnum, pawl_error *err)
{
    if (errnum == EEXIST)
    {
        (void) pawl_cli_fail(err, PAWL_E_IO, "\"%s\" is there already, and nothing is written over", path);
        return pawl_cli_hint(err, "choose another name, or remove it first");
    }
    return pawl_cli_fail(err, PAWL_E_IO, "cannot write \"%s\": errno %d", path, errnum);
}

static pawl_status
write_all(const char *path, const char *bytes, size_t length, pawl_error *err)
{
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
    int errnum = 0;

    if (fd < 0)
        return fail_file(path, errno, err);
    while (length > 0 && errnum == 0)
    {
        ssize_t n = write(fd, bytes, length);

        if (n < 0)
            errnum = errno == EINTR ? 0 : errno;
        else
        {
            bytes += n;
            length -= (size_t) n;
        }
    }
    if (fsync(fd) != 0 && errnum == 0 && errno != EINVAL)
        errnum = errno;
    if (close(fd) != 0 && errnum == 0)
        errnum = errno;
    if (errnum == 0)
        return PAWL_OK;
    (void) unlink(path);
    return fail_file(path, errnum, err);
}

pawl_status
pawl_cli_reject_file_write(const char *path, const pawl_rejects_report *report, pawl_error *err)
{
    PAWL_CLI_BUF csv = {0};
    json_t *rows = pawl_cli_json_array(report->nlist, pawl_cli_json_reject, report->list);
    char *json = NULL;
    pawl_status st = PAWL_OK;

    if (rows == NULL)
        return pawl_cli_nomem(err);
    if (has_suffix(path, ".csv"))
        add_csv(&csv, rows);
    else
        json = json_dumps(rows, JSON_INDENT(2) | JSON_PRESERVE_ORDER);
    json_decref(rows);
    if (csv.has_failed || (json == NULL && !has_suffix(path, ".csv")))
        st = pawl_cli_nomem(err);
    else if (json == NULL)
        st = write_all(path, pawl_cli_buf_text(&csv), csv.length, err);
    else
        st = write_all(path, json, strlen(json), err);
    free(json);
    return st;
}
