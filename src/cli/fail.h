/*
 * fail.h - the program's own failures, in the record of the library.
 *
 * Threads: as pawl/error.h.
 * Memory:  nothing is allocated; what does not fit is cut.
 */
#ifndef PAWL_CLI_FAIL_H
#define PAWL_CLI_FAIL_H

#include "pawl/error.h"

/* Fill `err` (place, detail and hint empty); the result is `code`, for `return`. */
pawl_status pawl_cli_fail(pawl_error *err, pawl_status code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Add what to do about it; the result is the code of `err`. */
pawl_status pawl_cli_hint(pawl_error *err, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

pawl_status pawl_cli_nomem(pawl_error *err);

/* The exit code of the program for a status: 0 done, 1 failed, 2 wrong usage, 3 stopped, 4 findings. */
int pawl_cli_exit_code(pawl_status status);

#endif
