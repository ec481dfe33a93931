#include "config/csv.h"

#include <string.h>

#include "config/utf8.h"
#include "util/strbuf.h"
#include "util/vec.h"

#include "util/banned.h"

#define MOST_PROBLEMS 20
#define BOM           "\xEF\xBB\xBF"

typedef struct reader
{
    const char *file;
    const char *at;
    int line; /* of `at` */
    pawl_arena *arena;
    pawl_problems *problems;
    size_t nproblems;
    bool has_nomem;
    pawl_strbuf field;
    PAWL_VEC(const char *) fields; /* of the record that is being read */
    PAWL_VEC(pawl_csv_row) rows;
} reader;

static void
problem(reader *r, int line, const char *hint, const char *message)
{
    if (r->nproblems++ < MOST_PROBLEMS)
        pawl_problems_add(r->problems, r->file, line, 1, hint, "%s", message);
}

static bool
is_line_end(const char *at)
{
    return *at == '\n' || (*at == '\r' && at[1] == '\n');
}

static void
skip_line_end(reader *r)
{
    if (*r->at == '\0')
        return;
    r->at += *r->at == '\r' ? 2 : 1;
    r->line++;
}

/* After a problem the next line is read as a record of its own. */
static void
skip_line(reader *r)
{
    while (*r->at != '\0' && *r->at != '\n')
        r->at++;
    skip_line_end(r);
}

/* What stands between quotes, from behind the first of them. False when the closing one is missing. */
static bool
has_read_quoted(reader *r)
{
    for (; *r->at != '\0'; r->at++)
    {
        if (*r->at == '"' && r->at[1] != '"')
        {
            r->at++;
            return true;
        }
        if (*r->at == '"')
            r->at++;
        if (*r->at == '\n')
            r->line++;
        pawl_strbuf_addc(&r->field, *r->at);
    }
    return false;
}

/* One field at r->at, into r->fields. False when there is a problem with it. */
static bool
has_read_field(reader *r, int first_line)
{
    bool is_quoted = *r->at == '"';
    const char *value = NULL;

    pawl_strbuf_reset(&r->field);
    if (is_quoted)
    {
        r->at++;
        if (!has_read_quoted(r))
        {
            problem(r, first_line, "close it, and write a quote inside a field as two",
                    "a quote is never closed");
            return false;
        }
    }
    for (; *r->at != '\0' && *r->at != ',' && !is_line_end(r->at); r->at++)
    {
        if (is_quoted || *r->at == '"')
        {
            problem(r, r->line, "put the whole field between quotes, and write a quote inside it as two",
                    is_quoted ? "there is text behind a closing quote" : "there is a quote inside a field");
            return false;
        }
        pawl_strbuf_addc(&r->field, *r->at);
    }
    if (is_quoted || r->field.length > 0)
        value = pawl_arena_strndup(r->arena, r->field.data, r->field.length);
    if ((value == NULL && (is_quoted || r->field.length > 0)) || !pawl_strbuf_is_ok(&r->field) ||
        !pawl_vec_push(&r->fields, value))
    {
        r->has_nomem = true;
        return false;
    }
    return true;
}

/* One record at r->at, which is not empty. False when there is a problem with it; r->at is behind it either way. */
static bool
has_read_record(reader *r)
{
    int first_line = r->line;

    r->fields.length = 0;
    for (;;)
    {
        if (!has_read_field(r, first_line))
        {
            skip_line(r);
            return false;
        }
        if (*r->at != ',')
            break;
        r->at++;
    }
    skip_line_end(r);
    return true;
}

static void
skip_empty_lines(reader *r)
{
    while (is_line_end(r->at))
        skip_line_end(r);
}

static const char **
copy_fields(reader *r)
{
    const char **copy = pawl_arena_array(r->arena, r->fields.length, sizeof *copy);

    if (copy == NULL)
        r->has_nomem = true;
    for (size_t i = 0; copy != NULL && i < r->fields.length; i++)
        copy[i] = r->fields.items[i];
    return copy;
}

/* The first line. NULL when it cannot be used. */
static const char **
read_header(reader *r, size_t *count)
{
    PAWL_STRBUF_AUTO(message);

    skip_empty_lines(r);
    int line = r->line;
    if (*r->at == '\0')
    {
        problem(r, 1, "the first line names the columns", "the file is empty");
        return NULL;
    }
    if (!has_read_record(r))
        return NULL;
    for (size_t i = 0; i < r->fields.length; i++)
    {
        const char *name = r->fields.items[i];
        bool is_twice = false;

        for (size_t k = 0; name != NULL && k < i && !is_twice; k++)
            is_twice = strcmp(r->fields.items[k], name) == 0;
        if (name != NULL && name[0] != '\0' && !is_twice)
            continue;
        if (is_twice)
            pawl_strbuf_addf(&message, "the first line names the column \"%s\" twice", name);
        else
            pawl_strbuf_addf(&message, "field %zu of the first line is empty: it names the columns", i + 1);
        problem(r, line, NULL, message.data);
        return NULL;
    }
    *count = r->fields.length;
    return copy_fields(r);
}

static void
read_rows(reader *r, size_t ncolumns)
{
    for (skip_empty_lines(r); *r->at != '\0' && !r->has_nomem; skip_empty_lines(r))
    {
        int line = r->line;
        if (!has_read_record(r))
            continue;
        if (r->fields.length != ncolumns)
        {
            PAWL_STRBUF_AUTO(message);
            pawl_strbuf_addf(&message, "expected %zu fields, as in the first line, found %zu", ncolumns,
                             r->fields.length);
            problem(r, line, NULL, message.data);
            continue;
        }
        const char **values = copy_fields(r);
        if (values != NULL && !pawl_vec_push(&r->rows, ((pawl_csv_row){.line = line, .values = values})))
            r->has_nomem = true;
    }
}

static pawl_csv *
finish(reader *r, const char **columns, size_t ncolumns)
{
    pawl_csv *csv = pawl_arena_alloc(r->arena, sizeof *csv);
    pawl_csv_row *rows = pawl_arena_array(r->arena, r->rows.length, sizeof *rows);

    if (csv == NULL || rows == NULL)
    {
        r->has_nomem = true;
        return NULL;
    }
    if (r->rows.length > 0)
        memcpy(rows, r->rows.items, r->rows.length * sizeof *rows);
    *csv = (pawl_csv){.columns = columns, .ncolumns = ncolumns, .rows = rows, .nrows = r->rows.length};
    return csv;
}

pawl_status
pawl_csv_parse(const char *file, const char *text, pawl_arena *arena, pawl_problems *problems, pawl_csv **out,
               pawl_error *err)
{
    reader r = {.file = file, .line = 1, .arena = arena, .problems = problems, .field = PAWL_STRBUF_INIT};
    pawl_utf8_fault fault;
    size_t ncolumns = 0;
    pawl_csv *csv = NULL;

    r.at = strncmp(text, BOM, strlen(BOM)) == 0 ? text + strlen(BOM) : text;
    if (pawl_utf8_has_fault(r.at, strlen(r.at), &fault))
    {
        pawl_problems_add(problems, file, fault.line, fault.column,
                          "save the file as UTF-8, without control characters", "%s", fault.message);
        *out = NULL;
        return PAWL_OK;
    }

    const char **columns = read_header(&r, &ncolumns);
    if (columns != NULL)
    {
        read_rows(&r, ncolumns);
        csv = finish(&r, columns, ncolumns);
    }
    pawl_strbuf_fini(&r.field);
    pawl_vec_fini(&r.fields);
    pawl_vec_fini(&r.rows);
    if (r.has_nomem)
        return pawl_error_nomem(err, "a CSV file");
    if (r.nproblems > MOST_PROBLEMS)
        pawl_problems_add(problems, file, 0, 0, NULL, "%zu more lines have problems",
                          r.nproblems - MOST_PROBLEMS);
    *out = csv;
    return PAWL_OK;
}
