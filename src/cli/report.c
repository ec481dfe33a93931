#include "cli/report.h"

#include <string.h>

static void
add_lead(pawl_cli_buf *buf, bool has_color, pawl_cli_style style, const char *word)
{
    pawl_cli_add(buf, "pawl: ");
    pawl_cli_paint(buf, has_color, style);
    pawl_cli_addf(buf, "%s:", word);
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, " ");
}

static void
add_hint(pawl_cli_buf *buf, const char *hint, bool has_color)
{
    pawl_cli_add(buf, "\n  ");
    pawl_cli_paint(buf, has_color, PAWL_CLI_CYAN);
    pawl_cli_add(buf, "hint:");
    pawl_cli_paint(buf, has_color, PAWL_CLI_PLAIN);
    pawl_cli_add(buf, " ");
    pawl_cli_safe_lines(buf, hint, "        ");
}

/* "file:line:column", as far as it is known. */
static void
add_place(pawl_cli_buf *buf, const char *file, int line, int column)
{
    pawl_cli_safe(buf, file);
    if (line > 0)
        pawl_cli_addf(buf, ":%d", line);
    if (line > 0 && column > 0)
        pawl_cli_addf(buf, ":%d", column);
}

static void
add_heading(pawl_cli_buf *buf, pawl_status code, bool has_color)
{
    if (code == PAWL_E_STOPPED)
        add_lead(buf, has_color, PAWL_CLI_YELLOW, "stopped");
    else if (code == PAWL_E_FINDINGS)
        add_lead(buf, has_color, PAWL_CLI_YELLOW, "findings");
    else
        add_lead(buf, has_color, PAWL_CLI_RED, "error");
}

void
pawl_cli_describe_error(pawl_cli_buf *buf, const pawl_error *err, bool has_color)
{
    add_heading(buf, err->code, has_color);
    pawl_cli_safe_lines(buf, err->message, "  ");
    if (err->file[0] != '\0')
    {
        pawl_cli_add(buf, "\n  at ");
        add_place(buf, err->file, err->line, err->column);
    }
    if (err->detail[0] != '\0')
    {
        pawl_cli_add(buf, "\n  ");
        pawl_cli_safe_lines(buf, err->detail, "  ");
    }
    if (err->sqlstate[0] != '\0')
    {
        pawl_cli_add(buf, "\n  SQLSTATE ");
        pawl_cli_safe(buf, err->sqlstate);
    }
    if (err->hint[0] != '\0')
        add_hint(buf, err->hint, has_color);
    else if (err->code == PAWL_E_BUG)
        add_hint(buf,
                 "this is a fault of pawl itself; please report it with this message and the output of -v",
                 has_color);
}

void
pawl_cli_describe_problems(pawl_cli_buf *buf, const pawl_project *project, const char *kind, bool has_color)
{
    size_t count = pawl_project_problems(project);

    for (size_t i = 0; i < count; i++)
    {
        const pawl_problem *problem = pawl_project_problem(project, i);

        add_place(buf, problem->file, problem->line, problem->column);
        pawl_cli_add(buf, ": ");
        pawl_cli_safe_lines(buf, problem->message, "  ");
        if (problem->hint != NULL && problem->hint[0] != '\0')
            add_hint(buf, problem->hint, has_color);
        pawl_cli_add(buf, "\n");
    }
    add_lead(buf, has_color, strcmp(kind, "error") == 0 ? PAWL_CLI_RED : PAWL_CLI_YELLOW, kind);
    pawl_cli_plural(buf, (int64_t) count, "problem");
    pawl_cli_add(buf, " in the project's files");
}

void
pawl_cli_report(pawl_cli_out *out, const pawl_project *project, const pawl_error *err)
{
    bool is_about_files = err->code == PAWL_E_INPUT && project != NULL && pawl_project_problems(project) > 0;
    PAWL_CLI_BUF text = {0};

    if (is_about_files)
    {
        pawl_cli_describe_problems(&text, project, "error", out->has_message_color);
        pawl_cli_add(&text, "; nothing was done");
    }
    else
    {
        pawl_cli_describe_error(&text, err, out->has_message_color);
    }
    pawl_cli_screen_live(&out->screen, "");
    pawl_cli_screen_line(&out->screen, pawl_cli_buf_text(&text));
}

void
pawl_cli_warn_problems(pawl_cli_out *out, const pawl_project *project)
{
    PAWL_CLI_BUF text = {0};

    if (pawl_project_problems(project) == 0 || out->is_json)
        return;

    pawl_cli_describe_problems(&text, project, "warning", out->has_message_color);
    pawl_cli_add(&text, "; what is shown may not be complete");
    pawl_cli_say(out, pawl_cli_buf_text(&text));
}
