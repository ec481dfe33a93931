#include "step/seed.h"

#include <stdlib.h>
#include <string.h>

#include "util/alloc.h"

#include "util/banned.h"

#define MOST_PROBLEMS 20

size_t
pawl_seed_column(const pawl_seed *seed, const char *name)
{
    size_t i = 0;

    while (i < seed->data->ncolumns && strcmp(seed->data->columns[i], name) != 0)
        i++;
    return i;
}

/* ---- rows of YAML ------------------------------------------------------------------------------------------------ */

static void
yaml_problem(const pawl_step_parse *ctx, const pawl_yaml *at, const char *hint, const char *message)
{
    pawl_problems_add(ctx->problems, at->file, at->line, at->column, hint, "%s", message);
}

/* One row, which must have the columns of the first. False when it has not. */
static bool
has_read_row(const pawl_step_parse *ctx, const pawl_yaml *node, pawl_csv *csv, const char **values)
{
    bool is_right = true;

    for (size_t i = 0; i < csv->ncolumns; i++)
    {
        const pawl_yaml *value = pawl_yaml_get(node, csv->columns[i]);
        PAWL_STRBUF_AUTO(message);

        if (value != NULL && value->kind == PAWL_YAML_SCALAR)
        {
            values[i] = value->is_null ? NULL : value->text;
            continue;
        }
        is_right = false;
        if (value == NULL)
            pawl_strbuf_addf(&message, "this row has no \"%s\", which the first row has", csv->columns[i]);
        else
            pawl_strbuf_addf(&message, "\"%s\" must be one value, not %s", csv->columns[i],
                             pawl_yaml_kind_name(value));
        yaml_problem(ctx, value == NULL ? node : value,
                     value == NULL ? "write `null` for no value"
                                   : "write it as a text that PostgreSQL reads: \"{1,2}\", '{\"a\": 1}'",
                     message.data);
    }
    for (size_t i = 0; is_right && i < node->length; i++)
    {
        bool is_known = false;
        for (size_t k = 0; k < csv->ncolumns && !is_known; k++)
            is_known = strcmp(csv->columns[k], node->keys[i]->text) == 0;
        if (is_known)
            continue;
        yaml_problem(ctx, node->keys[i], "all rows have the same columns",
                     "the first row has no such column");
        is_right = false;
    }
    return is_right;
}

static pawl_status
read_yaml_rows(const pawl_step_parse *ctx, const pawl_yaml *list, const pawl_csv **out, pawl_error *err)
{
    size_t before = pawl_problems_count(ctx->problems);
    pawl_csv *csv = pawl_arena_alloc(ctx->arena, sizeof *csv);

    if (list->kind != PAWL_YAML_SEQUENCE || list->length == 0 || list->items[0]->kind != PAWL_YAML_MAPPING ||
        list->items[0]->length == 0)
    {
        yaml_problem(ctx, list, "for example `- { id: 1, name: \"first\" }`",
                     "the rows of a seed are a list of mappings of columns to values");
        return PAWL_OK;
    }
    if (csv == NULL || (csv->rows = pawl_arena_array(ctx->arena, list->length, sizeof *csv->rows)) == NULL ||
        (csv->columns = pawl_arena_array(ctx->arena, list->items[0]->length, sizeof *csv->columns)) == NULL)
        return pawl_error_nomem(err, "the rows of a seed");
    for (size_t i = 0; i < list->items[0]->length; i++)
        csv->columns[csv->ncolumns++] = list->items[0]->keys[i]->text;

    for (size_t i = 0; i < list->length && pawl_problems_count(ctx->problems) < before + MOST_PROBLEMS; i++)
    {
        const pawl_yaml *node = list->items[i];
        const char **values = pawl_arena_array(ctx->arena, csv->ncolumns, sizeof *values);

        if (values == NULL)
            return pawl_error_nomem(err, "the rows of a seed");
        if (node->kind != PAWL_YAML_MAPPING)
            yaml_problem(ctx, node, NULL, "a row is a mapping of columns to values");
        else if (has_read_row(ctx, node, csv, values))
            csv->rows[csv->nrows++] = (pawl_csv_row){.line = node->line, .values = values};
    }
    if (pawl_problems_count(ctx->problems) == before)
        *out = csv;
    return PAWL_OK;
}

/* ---- files ------------------------------------------------------------------------------------------------------- */

static bool
has_ending(const char *path, const char *ending)
{
    size_t n = strlen(path);
    size_t m = strlen(ending);

    return n > m && strcmp(path + n - m, ending) == 0;
}

static pawl_status
read_data_file(pawl_step_parse *ctx, pawl_reader *r, pawl_step *step, const char *path, pawl_seed *out,
               pawl_error *err)
{
    const char *file = pawl_arena_fmt(ctx->arena, "%s/%s", ctx->root, path);
    const char *text = NULL;
    pawl_csv *csv = NULL;
    pawl_yaml *root = NULL;
    size_t before = pawl_problems_count(ctx->problems);
    bool is_csv = has_ending(path, ".csv");

    if (file == NULL)
        return pawl_error_nomem(err, "a path");
    out->source = file;
    if (!is_csv && !has_ending(path, ".yaml") && !has_ending(path, ".yml"))
    {
        pawl_reader_problem(r, "file", "for example `file: seeds/kinds.csv`",
                            "a seed reads files that end in .csv, .yaml or .yml");
        return PAWL_OK;
    }
    pawl_status st = pawl_step_read_file(ctx, pawl_yaml_get(r->node, "file"), path, step, &text, err);
    if (st != PAWL_OK || text == NULL)
        return st;
    st = is_csv ? pawl_csv_parse(file, text, ctx->arena, ctx->problems, &csv, err)
                : pawl_yaml_parse(file, text, strlen(text), ctx->arena, ctx->problems, &root, err);
    if (st != PAWL_OK || pawl_problems_count(ctx->problems) > before)
        return st;
    if (root != NULL)
        return read_yaml_rows(ctx, root, &out->data, err);
    out->data = csv;
    return PAWL_OK;
}

/* ---- keys -------------------------------------------------------------------------------------------------------- */

/* A row's key as one text that no other key has, and where it stands. */
typedef struct key_line
{
    const char *key;
    int line;
} key_line;

static int
compare_keys(const void *a, const void *b)
{
    const key_line *x = a;
    const key_line *y = b;
    int order = strcmp(x->key, y->key);

    return order != 0 ? order : (x->line > y->line) - (x->line < y->line);
}

/* *out is NULL when a column of the key is. */
static pawl_status
key_text(const pawl_step_parse *ctx, const pawl_seed *s, const pawl_csv_row *row, const char **out,
         pawl_error *err)
{
    PAWL_STRBUF_AUTO(text);

    for (size_t i = 0; i < s->nkey; i++)
    {
        const char *value = row->values[pawl_seed_column(s, s->key[i])];
        if (value == NULL)
        {
            *out = NULL;
            return PAWL_OK;
        }
        pawl_strbuf_addf(&text, "%zu:%s", strlen(value), value);
    }
    *out = pawl_strbuf_is_ok(&text) ? pawl_arena_strdup(ctx->arena, text.data) : NULL;
    return *out == NULL ? pawl_error_nomem(err, "the key of a row") : PAWL_OK;
}

static void
report_twice(const pawl_step_parse *ctx, const pawl_seed *s, const key_line *lines, size_t count)
{
    size_t told = 0;

    for (size_t i = 1; i < count && told < MOST_PROBLEMS; i++)
    {
        if (strcmp(lines[i - 1].key, lines[i].key) != 0)
            continue;
        pawl_problems_add(ctx->problems, s->source, lines[i].line, 1, "keep one of the two",
                          "this row has the same key as the one on line %d", lines[i - 1].line);
        told++;
    }
}

static pawl_status
check_keys(const pawl_step_parse *ctx, const pawl_seed *s, pawl_error *err)
{
    key_line *lines = pawl_arena_array(ctx->arena, s->data->nrows, sizeof *lines);
    size_t told = 0;
    size_t count = 0;

    if (lines == NULL)
        return pawl_error_nomem(err, "the rows of a seed");
    for (size_t i = 0; i < s->data->nrows; i++)
    {
        const pawl_csv_row *row = &s->data->rows[i];
        const char *text = NULL;
        pawl_status st = key_text(ctx, s, row, &text, err);

        if (st != PAWL_OK)
            return st;
        if (text == NULL && told++ < MOST_PROBLEMS)
            pawl_problems_add(ctx->problems, s->source, row->line, 1, NULL,
                              "this row has no value in a column of its key");
        if (text != NULL)
            lines[count++] = (key_line){.key = text, .line = row->line};
    }
    qsort(lines, count, sizeof *lines, compare_keys);
    report_twice(ctx, s, lines, count);
    return PAWL_OK;
}

static bool
has_key_columns(pawl_reader *r, const pawl_seed *s)
{
    for (size_t i = 0; i < s->nkey; i++)
    {
        if (pawl_seed_column(s, s->key[i]) < s->data->ncolumns)
            continue;
        pawl_reader_problem(r, "key", NULL, "the rows have no column \"%s\", which the key names", s->key[i]);
        return false;
    }
    return true;
}

/* ---- all of it --------------------------------------------------------------------------------------------------- */

static pawl_status
read_rows(pawl_step_parse *ctx, pawl_reader *r, pawl_step *step, pawl_seed *out, pawl_error *err)
{
    const pawl_yaml *rows = pawl_yaml_get(r->node, "rows");
    const char *path = NULL;

    if (pawl_reader_has(r, "file") == (rows != NULL))
    {
        pawl_reader_problem(r, "rows", "for example `file: seeds/kinds.csv`",
                            "expected either `file` or `rows`");
        return PAWL_OK;
    }
    if (rows == NULL)
        return pawl_reader_has_text(r, "file", &path) ? read_data_file(ctx, r, step, path, out, err)
                                                      : PAWL_OK;
    out->source = rows->file;
    return read_yaml_rows(ctx, rows, &out->data, err);
}

pawl_status
pawl_seed_read(pawl_step_parse *ctx, pawl_reader *r, pawl_step *step, pawl_seed *out, pawl_error *err)
{
    pawl_reader_require(r, "table", "public.kinds");
    pawl_reader_require(r, "key", "[id]");
    pawl_reader_has_text(r, "table", &out->table);
    if (pawl_reader_has_list(r, "key", &out->key, &out->nkey) && out->nkey == 0)
        pawl_reader_problem(r, "key", NULL, "name at least one column");
    pawl_reader_has_bool(r, "delete_missing", &out->deletes_missing);
    pawl_status st = read_rows(ctx, r, step, out, err);
    if (st != PAWL_OK || out->data == NULL)
        return st;
    if (out->deletes_missing && out->data->nrows == 0)
        pawl_reader_problem(
            r, "delete_missing", "delete the rows with a `sql` step if that is what is wanted",
            "there are no rows in \"%s\": `delete_missing` would empty the table", out->source);
    return out->nkey > 0 && has_key_columns(r, out) ? check_keys(ctx, out, err) : PAWL_OK;
}
