#include "cli/findings.h"

#include "cli/fail.h"
#include "cli/json.h"

/* "warning  transactions  " */
#define LEVEL_COLUMNS 9
#define CHECK_COLUMNS 14
#define INDENT        "                       "

static json_t *
finding_of(const void *list, size_t i)
{
    const pawl_finding *f = &((const pawl_finding *) list)[i];
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "level", pawl_health_level_name(f->level));
    pawl_cli_put_text(&o, "check", f->check);
    pawl_cli_put_text(&o, "object", f->object);
    pawl_cli_put_text(&o, "message", f->message);
    pawl_cli_put_text(&o, "meaning", f->meaning);
    pawl_cli_put_text(&o, "advice", f->advice);
    return pawl_cli_object_end(&o);
}

static json_t *
json_of(const pawl_health_report *report)
{
    pawl_cli_object o = pawl_cli_object_begin();

    pawl_cli_put_text(&o, "target", report->target);
    pawl_cli_put_text(&o, "server", report->server);
    pawl_cli_put_text(&o, "worst", pawl_health_level_name(report->worst));
    pawl_cli_put(&o, "findings", pawl_cli_json_array(report->nfindings, finding_of, report->findings));
    return pawl_cli_object_end(&o);
}

static pawl_cli_style
style_of(pawl_health_level level)
{
    switch (level)
    {
        case PAWL_HEALTH_OK:
            return PAWL_CLI_GREEN;
        case PAWL_HEALTH_NOTE:
            return PAWL_CLI_CYAN;
        case PAWL_HEALTH_WARNING:
            return PAWL_CLI_YELLOW;
        case PAWL_HEALTH_ERROR:
            return PAWL_CLI_RED;
    }
    return PAWL_CLI_PLAIN;
}

static void
add_word(pawl_cli_buf *text, const char *word, size_t columns)
{
    size_t width = pawl_cli_width(word);

    pawl_cli_add(text, word);
    pawl_cli_repeat(text, " ", width < columns ? columns - width : 1);
}

static void
describe(pawl_cli_buf *text, const pawl_finding *f, bool has_color)
{
    pawl_cli_paint(text, has_color, style_of(f->level));
    add_word(text, pawl_health_level_name(f->level), LEVEL_COLUMNS);
    pawl_cli_paint(text, has_color, PAWL_CLI_PLAIN);
    add_word(text, f->check, CHECK_COLUMNS);
    if (f->object[0] != '\0')
    {
        pawl_cli_safe(text, f->object);
        pawl_cli_add(text, ": ");
    }
    pawl_cli_safe_lines(text, f->message, INDENT);
    if (f->meaning[0] != '\0')
    {
        pawl_cli_add(text, "\n" INDENT);
        pawl_cli_safe_lines(text, f->meaning, INDENT);
    }
    if (f->advice[0] != '\0')
    {
        pawl_cli_add(text, "\n" INDENT);
        pawl_cli_paint(text, has_color, PAWL_CLI_CYAN);
        pawl_cli_add(text, "do:");
        pawl_cli_paint(text, has_color, PAWL_CLI_PLAIN);
        pawl_cli_add(text, " ");
        pawl_cli_safe_lines(text, f->advice, INDENT "    ");
    }
    pawl_cli_add(text, "\n");
}

static void
print(pawl_cli *cli, const pawl_health_report *report)
{
    PAWL_CLI_BUF text = {0};

    if (report->target[0] != '\0')
    {
        pawl_cli_safe(&text, report->target);
        pawl_cli_add(&text, "\n");
    }
    for (size_t i = 0; i < report->nfindings; i++)
        describe(&text, &report->findings[i], cli->out->has_data_color);
    pawl_cli_print(cli->out, &text);
}

static size_t
count_of(const pawl_health_report *report, pawl_health_level level)
{
    size_t count = 0;

    for (size_t i = 0; i < report->nfindings; i++)
        count += report->findings[i].level == level ? 1 : 0;
    return count;
}

pawl_status
pawl_cli_tell_findings(pawl_cli *cli, const pawl_health_report *report, pawl_health_level least,
                       pawl_error *err)
{
    size_t errors = count_of(report, PAWL_HEALTH_ERROR);
    size_t warnings = count_of(report, PAWL_HEALTH_WARNING);

    if (cli->out->is_json)
        pawl_cli_document(cli->out, json_of(report));
    else
        print(cli, report);
    if (report->worst < least)
        return PAWL_OK;
    return pawl_cli_fail(err, PAWL_E_FINDINGS, "%zu error%s, %zu warning%s", errors, errors == 1 ? "" : "s",
                         warnings, warnings == 1 ? "" : "s");
}
