#include "cli/fail.h"

#include <stdarg.h>
#include <stdio.h>

pawl_status
pawl_cli_fail(pawl_error *err, pawl_status code, const char *fmt, ...)
{
    va_list args;

    *err = (pawl_error){.code = code};
    va_start(args, fmt);
    (void) vsnprintf(err->message, sizeof err->message, fmt, args);
    va_end(args);
    return code;
}

pawl_status
pawl_cli_hint(pawl_error *err, const char *fmt, ...)
{
    va_list args;

    va_start(args, fmt);
    (void) vsnprintf(err->hint, sizeof err->hint, fmt, args);
    va_end(args);
    return err->code;
}

pawl_status
pawl_cli_nomem(pawl_error *err)
{
    return pawl_cli_fail(err, PAWL_E_NOMEM, "out of memory");
}

int
pawl_cli_exit_code(pawl_status status)
{
    switch (status)
    {
        case PAWL_OK:
            return 0;
        case PAWL_E_USAGE:
            return 2;
        case PAWL_E_STOPPED:
            return 3;
        case PAWL_E_FINDINGS:
            return 4;
        case PAWL_E_NOMEM:
        case PAWL_E_IO:
        case PAWL_E_INPUT:
        case PAWL_E_CONNECT:
        case PAWL_E_SERVER:
        case PAWL_E_TRANSFORM:
        case PAWL_E_LEASE:
        case PAWL_E_BUSY:
        case PAWL_E_STATE:
        case PAWL_E_REFUSED:
        case PAWL_E_BUG:
            return 1;
    }
    return 1;
}
