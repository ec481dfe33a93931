#include "cli/help.h"

#include <string.h>

#include "cli/json.h"
#include "pawl_version_text.h"

#include "pawl/pawl.h"

#define WIDEST 100 /* longer lines are hard to read */

/* Where help is written to, and how. */
typedef struct page
{
    pawl_cli_buf *buf;
    bool has_color;
    size_t columns;
} page;

static page
page_of(pawl_cli_buf *buf, bool has_color, size_t columns)
{
    return (page){buf, has_color, columns > WIDEST ? WIDEST : columns};
}

static void
heading(const page *p, const char *text)
{
    pawl_cli_paint(p->buf, p->has_color, PAWL_CLI_BOLD);
    pawl_cli_add(p->buf, text);
    pawl_cli_paint(p->buf, p->has_color, PAWL_CLI_PLAIN);
}

/* Words of `text`, in lines that begin in column `indent`; the first line stands at `column` already. */
static void
wrap(const page *p, const char *text, size_t column, size_t indent)
{
    size_t at = column;

    while (*text != '\0')
    {
        size_t length = strcspn(text, " \n");
        PAWL_CLI_BUF word = {0};
        size_t width;

        pawl_cli_add_bytes(&word, text, length);
        width = pawl_cli_width(pawl_cli_buf_text(&word));
        if (at > indent && at + 1 + width > p->columns)
        {
            pawl_cli_add(p->buf, "\n");
            pawl_cli_repeat(p->buf, " ", indent);
            at = indent;
        }
        else if (at > indent)
        {
            pawl_cli_add(p->buf, " ");
            at++;
        }
        pawl_cli_add(p->buf, pawl_cli_buf_text(&word));
        at += width;
        text += length;
        if (*text == '\n')
        {
            pawl_cli_add(p->buf, "\n");
            pawl_cli_repeat(p->buf, " ", indent);
            at = indent;
        }
        text += *text != '\0' ? 1 : 0;
    }
    pawl_cli_add(p->buf, "\n");
}

/* "  left   text": the text in a column of its own, below when `left` is too long. */
static void
entry(const page *p, const char *left, const char *text, size_t column)
{
    size_t width = pawl_cli_width(left);

    pawl_cli_addf(p->buf, "  %s", left);
    if (width + 4 > column)
    {
        pawl_cli_add(p->buf, "\n");
        pawl_cli_repeat(p->buf, " ", column);
    }
    else
    {
        pawl_cli_repeat(p->buf, " ", column - width - 2);
    }
    wrap(p, text, column, column);
}

static void
flag_entry(const page *p, const char *letter, const char *name, const char *argument, const char *text)
{
    PAWL_CLI_BUF left = {0};

    if (letter != NULL)
        pawl_cli_add(&left, letter);
    if (letter != NULL && name != NULL)
        pawl_cli_add(&left, ", ");
    if (name != NULL)
        pawl_cli_add(&left, name);
    if (argument != NULL && argument[0] != '\0')
        pawl_cli_addf(&left, " %s", argument);
    entry(p, pawl_cli_buf_text(&left), text, 28);
}

static void
flag_entries(const page *p, const pawl_cli_flag *flags)
{
    for (const pawl_cli_flag *f = flags; f->name != NULL || f->letter != NULL; f++)
        flag_entry(p, f->letter, f->name, f->argument, f->help);
}

static void
setting_entry(const page *p, const pawl_setting_info *s)
{
    PAWL_CLI_BUF text = {0};

    pawl_cli_add(&text, s->help);
    if (s->standard != NULL && s->standard[0] != '\0')
        pawl_cli_addf(&text, " (default %s)", s->standard);
    pawl_cli_addf(&text, "\n%s, %s", s->key, s->variable);
    flag_entry(p, NULL, s->flag, s->argument, pawl_cli_buf_text(&text));
}

/* The settings that have an effect on the verb, but for those that are global flags. */
static void
setting_entries(const page *p, const pawl_cli_verb *verb)
{
    bool is_first = true;

    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        if (s->flag == NULL || pawl_cli_setting_is_global(s) ||
            (verb->settings & pawl_cli_setting_group(s)) == 0)
            continue;
        if (is_first)
        {
            pawl_cli_add(p->buf, "\n");
            heading(p, "Settings");
            pawl_cli_add(p->buf, " (also keys of pawl.yaml and environment variables)\n");
            is_first = false;
        }
        setting_entry(p, s);
    }
}

void
pawl_cli_describe_overview(pawl_cli_buf *buf, bool has_color, size_t columns)
{
    page p = page_of(buf, has_color, columns);

    heading(&p, "pawl");
    wrap(&p, "moves big PostgreSQL tables forward batch by batch, and never slips back.", 5, 0);
    pawl_cli_add(buf, "\n");
    heading(&p, "Usage:");
    pawl_cli_add(buf, " pawl [global flags] VERB [flags] [arguments]\n\n");
    heading(&p, "Verbs");
    pawl_cli_add(buf, "\n");
    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
    {
        PAWL_CLI_BUF left = {0};

        pawl_cli_add(&left, (*v)->name);
        if ((*v)->alias != NULL)
            pawl_cli_addf(&left, ", %s", (*v)->alias);
        entry(&p, pawl_cli_buf_text(&left), (*v)->summary, 20);
    }
    pawl_cli_add(buf, "\n`pawl help VERB` explains one, `pawl --help` the global flags.");
}

const char *
pawl_cli_exit_meaning(size_t code)
{
    static const char *const meanings[] = {
        "done",
        "failed",
        "wrong usage",
        "stopped on request; the same command carries on",
        "it ran, and found something to look at",
    };

    return code < sizeof meanings / sizeof meanings[0] ? meanings[code] : NULL;
}

static void
describe_program(pawl_cli_buf *buf, bool has_color, size_t columns)
{
    page p = page_of(buf, has_color, columns);

    pawl_cli_describe_overview(buf, has_color, columns);
    pawl_cli_add(buf, "\n\n");
    heading(&p, "Global flags");
    pawl_cli_add(buf, " (before or after the verb)\n");
    flag_entries(&p, pawl_cli_global_flags());
    pawl_cli_add(buf, "\n");
    heading(&p, "Exit codes");
    pawl_cli_add(buf, "\n");
    for (size_t code = 0; pawl_cli_exit_meaning(code) != NULL; code++)
        entry(&p, (char[]){(char) ('0' + code), '\0'}, pawl_cli_exit_meaning(code), 6);
    pawl_cli_add(buf, "\n");
    heading(&p, "First steps");
    pawl_cli_add(buf, "\n");
    entry(&p, "pawl init", "makes pawl.yaml and migrations/", 46);
    entry(&p, "pawl revision -m \"Add a price\"", "writes the first revision", 46);
    entry(&p, "pawl upgrade --database postgresql:///shop", "applies it", 46);
}

void
pawl_cli_describe_verb(pawl_cli_buf *buf, const pawl_cli_verb *verb, bool has_color, size_t columns)
{
    page p = page_of(buf, has_color, columns);

    heading(&p, "Usage:");
    pawl_cli_addf(buf, " pawl %s%s%s%s\n", verb->name, verb->flags == NULL ? "" : " [flags]",
                  verb->arguments[0] == '\0' ? "" : " ", verb->arguments);
    if (verb->alias != NULL)
        pawl_cli_addf(buf, "   or: pawl %s\n", verb->alias);
    pawl_cli_add(buf, "\n");
    wrap(&p, verb->text, 0, 0);

    pawl_cli_add(buf, "\n");
    heading(&p, "Examples");
    pawl_cli_add(buf, "\n");
    for (const char *line = verb->examples; *line != '\0';)
    {
        size_t length = strcspn(line, "\n");

        pawl_cli_add(buf, "  ");
        pawl_cli_add_bytes(buf, line, length);
        pawl_cli_add(buf, "\n");
        line += length + (line[length] == '\n' ? 1 : 0);
    }
    if (verb->flags != NULL)
    {
        pawl_cli_add(buf, "\n");
        heading(&p, "Flags");
        pawl_cli_add(buf, "\n");
        flag_entries(&p, verb->flags);
    }
    setting_entries(&p, verb);
    pawl_cli_add(buf, "\n");
    heading(&p, "Global flags:");
    for (const pawl_cli_flag *f = pawl_cli_global_flags(); f->name != NULL || f->letter != NULL; f++)
        pawl_cli_addf(buf, " %s", f->letter != NULL ? f->letter : f->name);
    pawl_cli_add(buf, " (`pawl --help`)\n");
}

void
pawl_cli_print_help(pawl_cli_out *out, const pawl_cli_verb *verb)
{
    PAWL_CLI_BUF text = {0};

    if (verb == NULL)
        describe_program(&text, out->has_data_color, pawl_cli_columns(out->data));
    else
        pawl_cli_describe_verb(&text, verb, out->has_data_color, pawl_cli_columns(out->data));
    pawl_cli_print(out, &text);
}

void
pawl_cli_print_settings(pawl_cli_out *out)
{
    PAWL_CLI_BUF text = {0};
    page p = page_of(&text, out->has_data_color, pawl_cli_columns(out->data));

    heading(&p, "Settings");
    pawl_cli_add(&text, "\n");
    wrap(&p,
         "Each is a flag, a key of pawl.yaml and an environment variable. The stronger wins, from the "
         "weakest: default, "
         "pawl.yaml, its section for --env, the revision, the environment variable, the flag.",
         0, 0);
    pawl_cli_add(&text, "\n");
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
        setting_entry(&p, s);
    pawl_cli_print(out, &text);
}

void
pawl_cli_print_version(pawl_cli_out *out)
{
    PAWL_CLI_BUF text = {0};
    pawl_cli_object o;

    if (out->is_json)
    {
        o = pawl_cli_object_begin();
        pawl_cli_put_text(&o, "version", PAWL_VERSION_TEXT);
        pawl_cli_put_text(&o, "library", pawl_version());
        pawl_cli_document(out, pawl_cli_object_end(&o));
        return;
    }
    pawl_cli_addf(&text, "pawl %s\n", PAWL_VERSION_TEXT);
    if (strcmp(pawl_version(), PAWL_VERSION_TEXT) != 0)
        pawl_cli_addf(&text, "libpawl %s\n", pawl_version());
    pawl_cli_print(out, &text);
}
