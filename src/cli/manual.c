#include "cli/manual.h"

#include <string.h>

#include "cli/help.h"
#include "pawl_text.h"
#include "pawl_version_text.h"

/* ---- roff --------------------------------------------------------------------------------------------------------- */

/* Text as it is: nothing in it is a request, an escape or a typographic dash. Lines stay lines. */
static void
add_plain(pawl_cli_buf *out, const char *text)
{
    bool is_first = true;

    for (; *text != '\0'; text++)
    {
        if (is_first && (*text == '.' || *text == '\''))
            pawl_cli_add(out, "\\&");
        is_first = *text == '\n';
        switch (*text)
        {
            case '\\':
                pawl_cli_add(out, "\\e");
                break;
            case '-':
                pawl_cli_add(out, "\\-");
                break;
            case '^':
                pawl_cli_add(out, "\\(ha");
                break;
            case '~':
                pawl_cli_add(out, "\\(ti");
                break;
            case '`':
                pawl_cli_add(out, "\\(ga");
                break;
            case '\'':
                pawl_cli_add(out, "\\(aq");
                break;
            default:
                pawl_cli_add_bytes(out, text, 1);
                break;
        }
    }
}

/* A paragraph of the help: what stands between ` in bold. */
static void
add_prose(pawl_cli_buf *out, const char *text)
{
    bool is_bold = false;

    while (*text != '\0')
    {
        size_t length = strcspn(text, "`");
        PAWL_CLI_BUF piece = {0};

        pawl_cli_add_bytes(&piece, text, length);
        add_plain(out, pawl_cli_buf_text(&piece));
        text += length;
        if (*text == '`')
        {
            is_bold = !is_bold;
            pawl_cli_add(out, is_bold ? "\\fB" : "\\fR");
            text++;
        }
    }
    if (is_bold)
        pawl_cli_add(out, "\\fR");
}

static void
add_paragraphs(pawl_cli_buf *out, const char *text)
{
    while (*text != '\0')
    {
        const char *end = strstr(text, "\n\n");
        size_t length = end == NULL ? strlen(text) : (size_t) (end - text);
        PAWL_CLI_BUF paragraph = {0};

        pawl_cli_add_bytes(&paragraph, text, length);
        add_prose(out, pawl_cli_buf_text(&paragraph));
        pawl_cli_add(out, "\n");
        text += length;
        if (end != NULL)
        {
            pawl_cli_add(out, ".PP\n");
            text += 2;
        }
    }
}

static void
add_example(pawl_cli_buf *out, const char *text)
{
    size_t length = strlen(text);

    pawl_cli_add(out, ".PP\n.RS\n.EX\n");
    add_plain(out, text);
    pawl_cli_add(out, length > 0 && text[length - 1] == '\n' ? ".EE\n.RE\n" : "\n.EE\n.RE\n");
}

/* ---- from the tables ---------------------------------------------------------------------------------------------- */

static void
add_bold(pawl_cli_buf *out, const char *text)
{
    pawl_cli_add(out, "\\fB");
    add_plain(out, text);
    pawl_cli_add(out, "\\fR");
}

static void
add_flag(pawl_cli_buf *out, const char *letter, const char *name, const char *argument, const char *help)
{
    pawl_cli_add(out, ".TP\n");
    if (letter != NULL)
        add_bold(out, letter);
    if (letter != NULL && name != NULL)
        pawl_cli_add(out, ", ");
    if (name != NULL)
        add_bold(out, name);
    if (argument != NULL)
    {
        pawl_cli_add(out, " \\fI");
        add_plain(out, argument);
        pawl_cli_add(out, "\\fR");
    }
    pawl_cli_add(out, "\n");
    add_prose(out, help);
    pawl_cli_add(out, "\n");
}

static void
add_flags(pawl_cli_buf *out, const pawl_cli_flag *flags)
{
    for (const pawl_cli_flag *f = flags; f->name != NULL || f->letter != NULL; f++)
        add_flag(out, f->letter, f->name, f->argument, f->help);
}

static void
add_global_flags(pawl_cli_buf *out)
{
    add_flags(out, pawl_cli_global_flags());
}

static void
add_verb(pawl_cli_buf *out, const pawl_cli_verb *verb)
{
    pawl_cli_add(out, ".SS pawl ");
    add_plain(out, verb->name);
    if (verb->arguments[0] != '\0')
    {
        pawl_cli_add(out, " ");
        add_plain(out, verb->arguments);
    }
    pawl_cli_add(out, "\n");
    if (verb->alias != NULL)
    {
        pawl_cli_add(out, "Also ");
        add_bold(out, "pawl ");
        add_bold(out, verb->alias);
        pawl_cli_add(out, ".\n.PP\n");
    }
    add_paragraphs(out, verb->text);
    if (verb->flags != NULL)
        add_flags(out, verb->flags);
    add_example(out, verb->examples);
}

static void
add_verbs(pawl_cli_buf *out)
{
    for (const pawl_cli_verb *const *v = pawl_cli_verbs(); *v != NULL; v++)
        add_verb(out, *v);
}

static void
add_settings(pawl_cli_buf *out)
{
    for (const pawl_setting_info *s = pawl_settings_table(); s->key != NULL; s++)
    {
        PAWL_CLI_BUF help = {0};

        pawl_cli_add(&help, s->help);
        if (s->standard != NULL && s->standard[0] != '\0')
            pawl_cli_addf(&help, " (default %s)", s->standard);
        pawl_cli_addf(&help, ". `%s`, `%s`", s->key, s->variable);
        add_flag(out, NULL, s->flag, s->argument, pawl_cli_buf_text(&help));
    }
}

static void
add_exit_codes(pawl_cli_buf *out)
{
    for (size_t i = 0; pawl_cli_exit_meaning(i) != NULL; i++)
    {
        pawl_cli_addf(out, ".TP\n\\fB%zu\\fR\n", i);
        add_prose(out, pawl_cli_exit_meaning(i));
        pawl_cli_add(out, "\n");
    }
}

static void
add_steps(pawl_cli_buf *out)
{
    for (size_t i = 0; i < pawl_step_kinds_count(); i++)
    {
        pawl_step_kind_info kind = pawl_step_kind_info_at(i);

        pawl_cli_add(out, ".SS ");
        add_plain(out, kind.name);
        pawl_cli_add(out, "\n");
        add_prose(out, kind.help);
        pawl_cli_add(out,
                     kind.has_derived_down ? ". The way back is derived.\n" : ". No way back is derived.\n");
        add_example(out, kind.sample);
    }
}

static void
add_version(pawl_cli_buf *out)
{
    pawl_cli_add(out, PAWL_VERSION_TEXT);
}

static const struct
{
    const char *word;
    void (*add)(pawl_cli_buf *out);
} places[] = {
    {"@VERSION@", add_version},     {"@GLOBAL_FLAGS@\n", add_global_flags}, {"@VERBS@\n", add_verbs},
    {"@SETTINGS@\n", add_settings}, {"@EXIT_CODES@\n", add_exit_codes},     {"@STEPS@\n", add_steps},
};

static void
fill(pawl_cli_buf *out, const char *text)
{
    while (*text != '\0')
    {
        size_t length = strcspn(text, "@");
        size_t place = 0;

        pawl_cli_add_bytes(out, text, length);
        text += length;
        while (place < sizeof places / sizeof places[0] &&
               strncmp(text, places[place].word, strlen(places[place].word)) != 0)
            place++;
        if (place < sizeof places / sizeof places[0])
        {
            places[place].add(out);
            text += strlen(places[place].word);
        }
        else if (*text != '\0')
        {
            pawl_cli_add_bytes(out, text++, 1);
        }
    }
}

bool
pawl_cli_has_manual(const char *page, pawl_cli_buf *out)
{
    bool is_program = strcmp(page, "pawl") == 0;

    if (!is_program && strcmp(page, "revision") != 0)
        return false;
    fill(out, is_program ? pawl_text_pawl_1 : pawl_text_pawl_revision_5);
    return true;
}
