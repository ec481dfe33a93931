/*
 * reject_file.h - rejected rows in a file: CSV or JSON, by its suffix.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_REJECT_FILE_H
#define PAWL_CLI_REJECT_FILE_H

#include <jansson.h>

#include "pawl/rejects.h"

/* A row as an object: the same in the file as in what --json prints. */
json_t *pawl_cli_json_reject(const void *list, size_t i);

/* PAWL_E_USAGE unless the name ends with .csv or .json. */
PAWL_NODISCARD pawl_status pawl_cli_reject_file_check(const char *path, pawl_error *err);

/* Write a file that must not be there yet, readable by its owner alone: rejected rows may be anybody's data. */
PAWL_NODISCARD pawl_status pawl_cli_reject_file_write(const char *path, const pawl_rejects_report *report,
                                                      pawl_error *err);

#endif
