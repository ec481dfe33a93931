#include "cli/out.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <unistd.h>

#include "cli/fail.h"

bool
pawl_cli_has_utf8(void)
{
    static const char *const names[] = {"LC_ALL", "LC_CTYPE", "LANG"};

    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
    {
        const char *value = getenv(names[i]);
        const char *codeset;

        if (value == NULL || value[0] == '\0')
            continue;
        codeset = strchr(value, '.');
        return codeset != NULL &&
               (strncasecmp(codeset, ".utf-8", 6) == 0 || strncasecmp(codeset, ".utf8", 5) == 0);
    }
    return false;
}

/* A terminal that knows escape sequences. */
static bool
is_able_terminal(FILE *stream)
{
    const char *term = getenv("TERM");

    return isatty(fileno(stream)) == 1 && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
}

static bool
has_color(pawl_cli_color wish, bool is_able)
{
    const char *no_color = getenv("NO_COLOR");

    switch (wish)
    {
        case PAWL_CLI_COLOR_ALWAYS:
            return true;
        case PAWL_CLI_COLOR_NEVER:
            return false;
        case PAWL_CLI_COLOR_AUTO:
            break;
    }
    return is_able && (no_color == NULL || no_color[0] == '\0');
}

void
pawl_cli_out_init(pawl_cli_out *out, const pawl_cli_line *line)
{
    bool is_err_able = is_able_terminal(stderr);

    *out = (pawl_cli_out){
        .data = stdout,
        .is_json = line->is_json,
        .is_quiet = line->is_quiet,
        .is_verbose = line->is_verbose,
        .is_data_terminal = is_able_terminal(stdout),
        .has_data_color = has_color(line->color, is_able_terminal(stdout)),
        .has_message_color = has_color(line->color, is_err_able),
        .has_utf8 = pawl_cli_has_utf8(),
    };
    pawl_cli_screen_init(&out->screen, stderr, is_err_able && !line->is_quiet);
}

static void
note_failure(pawl_cli_out *out, int rc)
{
    if (rc == EOF && out->write_errno == 0)
        out->write_errno = errno == 0 ? EIO : errno;
}

pawl_status
pawl_cli_out_close(pawl_cli_out *out, pawl_error *err)
{
    char reason[128] = "unknown error";

    pawl_cli_screen_fini(&out->screen);
    errno = 0;
    note_failure(out, fflush(out->data));
    if (out->write_errno == 0 && ferror(out->data) != 0)
        out->write_errno = EIO;
    /* Some file systems report a full disk only here. */
    errno = 0;
    note_failure(out, fclose(out->data));

    if (out->write_errno != 0)
    {
        (void) strerror_r(out->write_errno, reason, sizeof reason);
        return pawl_cli_fail(err, PAWL_E_IO, "cannot write to standard output: %s", reason);
    }
    if (out->has_no_room)
        return pawl_cli_fail(err, PAWL_E_NOMEM, "out of memory: the output is not complete");
    return PAWL_OK;
}

void
pawl_cli_print(pawl_cli_out *out, const pawl_cli_buf *text)
{
    if (text->has_failed)
        out->has_no_room = true;
    errno = 0;
    note_failure(out, fputs(pawl_cli_buf_text(text), out->data));
    note_failure(out, fflush(out->data));
}

void
pawl_cli_say(pawl_cli_out *out, const char *text)
{
    if (!out->is_quiet)
        pawl_cli_screen_line(&out->screen, text);
}

/* Twelve digits: a rate or a percentage needs no more, and 0.1 stays 0.1. */
static void
write_json(pawl_cli_out *out, json_t *json, size_t flags)
{
    char *text = json == NULL ? NULL : json_dumps(json, flags | JSON_REAL_PRECISION(12));

    json_decref(json);
    if (text == NULL)
    {
        out->has_no_room = true;
        return;
    }
    errno = 0;
    note_failure(out, fputs(text, out->data));
    note_failure(out, fputc('\n', out->data));
    note_failure(out, fflush(out->data));
    free(text);
}

void
pawl_cli_document(pawl_cli_out *out, json_t *json)
{
    write_json(out, json, JSON_INDENT(2));
}

void
pawl_cli_record(pawl_cli_out *out, json_t *json)
{
    write_json(out, json, JSON_COMPACT);
}
