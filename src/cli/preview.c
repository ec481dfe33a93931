#include "cli/preview.h"

#include <string.h>

#include "cli/fail.h"
#include "cli/grid.h"
#include "cli/json.h"

#define CELL_COLUMNS 40 /* what one value may take; -v shows all of it */

const char *
pawl_cli_value_text(const char *text)
{
    if (text == NULL)
        return "NULL";
    return strcmp(text, "NULL") == 0 ? "'NULL'" : text;
}

/* ---- JSON ---------------------------------------------------------------------------------------------------------- */

static json_t *
value_or_null(const char *text)
{
    return text == NULL ? json_null() : pawl_cli_json_text(text);
}

static json_t *
column_of(const void *list, size_t i)
{
    const pawl_preview_column *column = &((const pawl_preview_column *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "name", column->name);
    pawl_cli_put_text(&o, "type", column->type);
    pawl_cli_put_bool(&o, "is_key", column->is_key);
    pawl_cli_put_bool(&o, "is_missing", column->is_missing);
    pawl_cli_put_bool(&o, "is_redacted", column->is_redacted);
    return pawl_cli_object_end(&o);
}

static json_t *
value_of(const pawl_preview_value *value)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put(&o, "before", value_or_null(value->before));
    pawl_cli_put(&o, "after", value_or_null(value->is_set ? value->after : value->before));
    pawl_cli_put_bool(&o, "is_set", value->is_set);
    pawl_cli_put_bool(&o, "is_changed", value->is_changed);
    return pawl_cli_object_end(&o);
}

static json_t *
row_of(const void *list, size_t i)
{
    const pawl_preview_report *report = list;
    const pawl_preview_row *row = &report->rows[i];
    pawl_cli_object given = pawl_cli_object_begin();
    pawl_cli_object written = pawl_cli_object_begin();
    pawl_cli_object o = pawl_cli_object_begin();

    for (size_t c = 0; c < report->ngiven; c++)
        pawl_cli_put(&given, report->given[c].name, value_or_null(row->given[c]));
    for (size_t c = 0; c < report->nwritten; c++)
        pawl_cli_put(&written, report->written[c].name, value_of(&row->values[c]));
    pawl_cli_put_text(&o, "row", row->name);
    pawl_cli_put_text(&o, "outcome", pawl_preview_outcome_name(row->outcome));
    pawl_cli_put(&o, "given", pawl_cli_object_end(&given));
    pawl_cli_put(&o, "written", pawl_cli_object_end(&written));
    pawl_cli_put_text(&o, "reason", row->reason);
    pawl_cli_put(&o, "error", row->error == NULL ? json_null() : pawl_cli_json_error(row->error));
    pawl_cli_put_text(&o, "log", row->log);
    if (row->has_expectation)
        pawl_cli_put_text(&o, "unexpected", row->unexpected);
    return pawl_cli_object_end(&o);
}

static json_t *
json_of(const pawl_preview_report *report)
{
    pawl_cli_object counts = pawl_cli_object_begin();
    pawl_cli_object o = pawl_cli_object_begin();

    for (int i = 0; i <= PAWL_PREVIEW_FAIL; i++)
        pawl_cli_put_int(&counts, pawl_preview_outcome_name((pawl_preview_outcome) i),
                         (int64_t) report->counts[i]);
    pawl_cli_put_text(&o, "target", report->target);
    pawl_cli_put_text(&o, "revision", report->revision);
    pawl_cli_put(&o, "step", report->step == 0 ? json_null() : json_integer(report->step));
    pawl_cli_put_text(&o, "table", report->table);
    pawl_cli_put_text(&o, "file", report->file);
    pawl_cli_put(&o, "given", pawl_cli_json_array(report->ngiven, column_of, report->given));
    pawl_cli_put(&o, "written", pawl_cli_json_array(report->nwritten, column_of, report->written));
    pawl_cli_put(&o, "rows", pawl_cli_json_array(report->nrows, row_of, report));
    pawl_cli_put(&o, "counts", pawl_cli_object_end(&counts));
    pawl_cli_put_int(&o, "expectations", (int64_t) report->expectations);
    pawl_cli_put_int(&o, "unexpected", (int64_t) report->unexpected);
    pawl_cli_put_texts(&o, "notes", report->notes, report->nnotes);
    return pawl_cli_object_end(&o);
}

/* ---- for people ---------------------------------------------------------------------------------------------------- */

/* Columns that are written too are shown once, with before and after. */
static bool
is_shown(const pawl_preview_report *report, size_t given)
{
    for (size_t i = 0; i < report->nwritten; i++)
        if (strcmp(report->written[i].name, report->given[given].name) == 0)
            return false;
    return true;
}

static void
add_headings(pawl_cli_grid *grid, const pawl_preview_report *report)
{
    if (report->table[0] == '\0')
    {
        pawl_cli_grid_cell_begin(grid);
    }
    for (size_t i = 0; i < report->ngiven; i++)
    {
        if (!is_shown(report, i))
            continue;
        pawl_cli_grid_cell_begin(grid);
        pawl_cli_grid_add(grid, report->given[i].name, PAWL_CLI_BOLD);
    }
    for (size_t i = 0; i < report->nwritten; i++)
    {
        pawl_cli_grid_cell_begin(grid);
        pawl_cli_grid_add(grid, report->written[i].name, PAWL_CLI_BOLD);
    }
    pawl_cli_grid_cell_begin(grid);
}

static void
add_value(pawl_cli_grid *grid, const pawl_preview_row *row, const pawl_preview_value *v, bool has_utf8)
{
    pawl_cli_grid_cell_begin(grid);
    if (v->has_before)
        pawl_cli_grid_add(grid, pawl_cli_value_text(v->before), PAWL_CLI_DIM);
    if (row->outcome >= PAWL_PREVIEW_LEAVE || !v->is_set)
        return;
    if (v->has_before)
        pawl_cli_grid_add(grid, has_utf8 ? " → " : " -> ", PAWL_CLI_DIM);
    pawl_cli_grid_add(grid, pawl_cli_value_text(v->after), v->is_changed ? PAWL_CLI_GREEN : PAWL_CLI_DIM);
}

static void
add_outcome(pawl_cli_grid *grid, const pawl_preview_row *row)
{
    static const struct
    {
        const char *text;
        pawl_cli_style style;
    } shown[] = {{"", PAWL_CLI_PLAIN},
                 {"same", PAWL_CLI_DIM},
                 {"left alone", PAWL_CLI_DIM},
                 {"rejected", PAWL_CLI_RED},
                 {"fails", PAWL_CLI_RED}};
    bool is_expected = row->has_expectation && row->unexpected == NULL;

    pawl_cli_grid_cell_begin(grid);
    pawl_cli_grid_add(grid, shown[row->outcome].text,
                      is_expected && row->outcome >= PAWL_PREVIEW_REJECT ? PAWL_CLI_DIM
                                                                         : shown[row->outcome].style);
}

static void
add_line(pawl_cli_buf *buf, const char *lead, const char *text, bool has_color, pawl_cli_style style)
{
    pawl_cli_add(buf, "    ");
    pawl_cli_paint(buf, has_color, style);
    pawl_cli_add(buf, lead);
    pawl_cli_safe_lines(buf, text, "    ");
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, "\n");
}

static void
add_error(pawl_cli_buf *buf, const pawl_error *error, bool has_color)
{
    PAWL_CLI_BUF place = {0};

    add_line(buf, "", error->message, has_color, PAWL_CLI_RED);
    if (error->file[0] != '\0' && error->line > 0)
        pawl_cli_addf(&place, "at %s:%d", error->file, error->line);
    else if (error->file[0] != '\0')
        pawl_cli_addf(&place, "at %s", error->file);
    if (place.length > 0)
        add_line(buf, "", pawl_cli_buf_text(&place), has_color, PAWL_CLI_PLAIN);
    if (error->detail[0] != '\0')
        add_line(buf, "", error->detail, has_color, PAWL_CLI_PLAIN);
    if (error->sqlstate[0] != '\0')
        add_line(buf, "SQLSTATE ", error->sqlstate, has_color, PAWL_CLI_PLAIN);
    if (error->hint[0] != '\0')
        add_line(buf, "hint: ", error->hint, has_color, PAWL_CLI_PLAIN);
}

/* What does not fit into a line of the table: why a row is no good, what it logged. */
static void
add_below(pawl_cli_grid *grid, const pawl_preview_row *row)
{
    pawl_cli_buf *buf = pawl_cli_grid_below(grid);
    bool is_expected = row->has_expectation && row->unexpected == NULL;

    if (buf == NULL)
        return;
    if (row->reason != NULL)
        add_line(buf, "reason: ", row->reason, grid->has_color, is_expected ? PAWL_CLI_DIM : PAWL_CLI_RED);
    else if (row->error != NULL && is_expected)
        add_line(buf, "", row->error->message, grid->has_color, PAWL_CLI_DIM);
    else if (row->error != NULL)
        add_error(buf, row->error, grid->has_color);
    if (row->log[0] != '\0')
        add_line(buf, "log: ", row->log, grid->has_color, PAWL_CLI_DIM);
    if (row->unexpected != NULL)
        add_line(buf, "unexpected: ", row->unexpected, grid->has_color, PAWL_CLI_RED);
}

static void
add_row(pawl_cli_grid *grid, const pawl_preview_report *report, const pawl_preview_row *row, bool has_utf8)
{
    if (report->table[0] == '\0')
    {
        pawl_cli_grid_cell_begin(grid);
        pawl_cli_grid_add(grid, row->name, row->unexpected == NULL ? PAWL_CLI_PLAIN : PAWL_CLI_RED);
    }
    for (size_t i = 0; i < report->ngiven; i++)
    {
        if (!is_shown(report, i))
            continue;
        pawl_cli_grid_cell_begin(grid);
        pawl_cli_grid_add(grid, pawl_cli_value_text(row->given[i]),
                          row->given[i] == NULL ? PAWL_CLI_DIM : PAWL_CLI_PLAIN);
    }
    for (size_t i = 0; i < report->nwritten; i++)
        add_value(grid, row, &row->values[i], has_utf8);
    add_outcome(grid, row);
    add_below(grid, row);
}

static void
add_title(pawl_cli_buf *buf, const pawl_preview_report *report)
{
    const char *parts[2] = {report->table, report->file};
    bool has_any = false;

    for (size_t i = 0; i < 2; i++)
    {
        if (parts[i][0] == '\0')
            continue;
        pawl_cli_add(buf, has_any ? ", " : "");
        pawl_cli_safe(buf, parts[i]);
        has_any = true;
        if (i > 0 || report->revision[0] == '\0')
            continue;
        pawl_cli_add(buf, ", ");
        pawl_cli_safe(buf, report->revision);
        pawl_cli_addf(buf, " step %d", (int) report->step);
    }
    pawl_cli_add(buf, "\n\n");
}

static void
add_summary(pawl_cli_buf *buf, const pawl_preview_report *report)
{
    static const char *const words[] = {"to be written", "the same as before", "left alone", "rejected",
                                        "failing"};

    pawl_cli_add(buf, "\n");
    pawl_cli_plural(buf, (int64_t) report->nrows, "row");
    for (size_t i = 0; i <= PAWL_PREVIEW_FAIL; i++)
    {
        if (report->counts[i] == 0)
            continue;
        pawl_cli_add(buf, ", ");
        pawl_cli_count(buf, (int64_t) report->counts[i]);
        pawl_cli_addf(buf, " %s", words[i]);
    }
    if (report->expectations > 0)
    {
        pawl_cli_add(buf, "; ");
        pawl_cli_count(buf, (int64_t) (report->expectations - report->unexpected));
        pawl_cli_add(buf, " of ");
        pawl_cli_count(buf, (int64_t) report->expectations);
        pawl_cli_add(buf, " as expected");
    }
    pawl_cli_add(buf, report->table[0] == '\0' ? "\n" : "; nothing was written\n");
    for (size_t i = 0; i < report->nnotes; i++)
    {
        pawl_cli_add(buf, "note: ");
        pawl_cli_safe_lines(buf, report->notes[i], "  ");
        pawl_cli_add(buf, "\n");
    }
}

static void
print(pawl_cli *cli, const pawl_preview_report *report)
{
    PAWL_CLI_BUF text = {0};
    pawl_cli_grid grid = {.ncolumns = report->nwritten + 1,
                          .most = cli->out->is_verbose ? 0 : CELL_COLUMNS,
                          .has_color = cli->out->has_data_color};

    for (size_t i = 0; i < report->ngiven; i++)
        grid.ncolumns += is_shown(report, i) ? 1 : 0;
    grid.ncolumns += report->table[0] == '\0' ? 1 : 0;
    add_title(&text, report);
    add_headings(&grid, report);
    for (size_t i = 0; i < report->nrows; i++)
        add_row(&grid, report, &report->rows[i], cli->out->has_utf8);
    pawl_cli_grid_print(&grid, &text);
    pawl_cli_grid_free(&grid);
    add_summary(&text, report);
    pawl_cli_print(cli->out, &text);
}

pawl_status
pawl_cli_tell_preview(pawl_cli *cli, const pawl_preview_report *report, pawl_error *err)
{
    size_t bad = 0;

    if (cli->out->is_json)
        pawl_cli_document(cli->out, json_of(report));
    else
        print(cli, report);
    for (size_t i = 0; i < report->nrows; i++)
    {
        const pawl_preview_row *row = &report->rows[i];

        if (row->has_expectation ? row->unexpected != NULL : row->outcome >= PAWL_PREVIEW_REJECT)
            bad++;
    }
    if (bad == 0)
        return PAWL_OK;
    if (report->unexpected > 0)
        return pawl_cli_fail(err, PAWL_E_FINDINGS, "%zu of %zu rows %s not as expected", bad, report->nrows,
                             bad == 1 ? "is" : "are");
    return pawl_cli_fail(err, PAWL_E_FINDINGS, "a backfill would %s %zu of these %zu rows%s",
                         report->sets_aside ? "set aside" : "stop at", bad, report->nrows,
                         report->sets_aside ? ", as its `on_error` says" : "");
}
