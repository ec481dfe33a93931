/*
 * error.h - filling the record of pawl/error.h inside the library.
 *
 * Message style: lower case, no full stop, the object in double quotes, what was attempted; detail holds facts, hint
 * holds an action. Nothing secret: connection strings go through pawl_pg_redact first.
 *
 *   return pawl_error_set(err, PAWL_E_INPUT, "table \"%s\" does not exist", name);
 *
 * Threads: a record belongs to one thread at a time.
 * Memory:  nothing is allocated.
 */
#ifndef PAWL_CORE_ERROR_H
#define PAWL_CORE_ERROR_H

#include <stdarg.h>

#include "util/attr.h"

#include "pawl/error.h"

/* Start the record afresh and return `code`. */
pawl_status pawl_error_set(pawl_error *err, pawl_status code, const char *fmt, ...) PAWL_PRINTF(3, 4);
pawl_status pawl_error_vset(pawl_error *err, pawl_status code, const char *fmt, va_list args)
    PAWL_PRINTF(3, 0);

/* Add to a record that is set; each returns its code, so that it can end a function. */
pawl_status pawl_error_detail(pawl_error *err, const char *fmt, ...) PAWL_PRINTF(2, 3);
pawl_status pawl_error_hint(pawl_error *err, const char *fmt, ...) PAWL_PRINTF(2, 3);
pawl_status pawl_error_place(pawl_error *err, const char *file, int line, int column);
pawl_status pawl_error_sqlstate(pawl_error *err, const char *sqlstate);

/* Put "context: " before the message. */
pawl_status pawl_error_prefix(pawl_error *err, const char *fmt, ...) PAWL_PRINTF(2, 3);

/* "out of memory for <what>" */
pawl_status pawl_error_nomem(pawl_error *err, const char *what);

#endif
