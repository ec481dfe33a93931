#include "core/error.h"

#include <assert.h>
#include <string.h>

#include "util/strbuf.h"

#include "util/banned.h"

const char *
pawl_status_name(pawl_status status)
{
    switch (status)
    {
        case PAWL_OK:
            return "ok";
        case PAWL_E_USAGE:
            return "usage";
        case PAWL_E_NOMEM:
            return "nomem";
        case PAWL_E_IO:
            return "io";
        case PAWL_E_INPUT:
            return "input";
        case PAWL_E_CONNECT:
            return "connect";
        case PAWL_E_SERVER:
            return "server";
        case PAWL_E_TRANSFORM:
            return "transform";
        case PAWL_E_LEASE:
            return "lease";
        case PAWL_E_BUSY:
            return "busy";
        case PAWL_E_STATE:
            return "state";
        case PAWL_E_REFUSED:
            return "refused";
        case PAWL_E_STOPPED:
            return "stopped";
        case PAWL_E_FINDINGS:
            return "findings";
        case PAWL_E_BUG:
            return "bug";
    }
    return "unknown";
}

/* The arguments may point into the field itself ("%s (again)", err->message), so it is built beside it. */
#define FILL(field, fmt, args)                     \
    do                                             \
    {                                              \
        char text_[sizeof(field)];                 \
        pawl_vfmt(text_, sizeof text_, fmt, args); \
        memcpy(field, text_, strlen(text_) + 1);   \
    } while (0)

pawl_status
pawl_error_set(pawl_error *err, pawl_status code, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void) pawl_error_vset(err, code, fmt, args);
    va_end(args);
    return code;
}

pawl_status
pawl_error_vset(pawl_error *err, pawl_status code, const char *fmt, va_list args)
{
    assert(code != PAWL_OK);

    FILL(err->message, fmt, args);
    err->code = code;
    err->sqlstate[0] = '\0';
    err->line = 0;
    err->column = 0;
    err->file[0] = '\0';
    err->detail[0] = '\0';
    err->hint[0] = '\0';
    return code;
}

pawl_status
pawl_error_detail(pawl_error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    FILL(err->detail, fmt, args);
    va_end(args);
    return err->code;
}

pawl_status
pawl_error_hint(pawl_error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    FILL(err->hint, fmt, args);
    va_end(args);
    return err->code;
}

pawl_status
pawl_error_place(pawl_error *err, const char *file, int line, int column)
{
    if (file != err->file)
        pawl_fmt(err->file, sizeof err->file, "%s", file == NULL ? "" : file);
    err->line = line;
    err->column = column;
    return err->code;
}

pawl_status
pawl_error_sqlstate(pawl_error *err, const char *sqlstate)
{
    char text[sizeof err->sqlstate] = "";

    if (sqlstate != NULL && strlen(sqlstate) == sizeof text - 1)
        memcpy(text, sqlstate, sizeof text);
    memcpy(err->sqlstate, text, sizeof text);
    return err->code;
}

pawl_status
pawl_error_prefix(pawl_error *err, const char *fmt, ...)
{
    char context[sizeof err->message];
    char text[sizeof err->message];
    va_list args;

    va_start(args, fmt);
    pawl_vfmt(context, sizeof context, fmt, args);
    va_end(args);

    pawl_fmt(text, sizeof text, "%s: %s", context, err->message);
    memcpy(err->message, text, strlen(text) + 1);
    return err->code;
}

pawl_status
pawl_error_nomem(pawl_error *err, const char *what)
{
    return pawl_error_set(err, PAWL_E_NOMEM, "out of memory for %s", what);
}
