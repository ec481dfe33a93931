/*
 * preview.h - shows what pawl_preview_run and pawl_preview_input found.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_PREVIEW_H
#define PAWL_CLI_PREVIEW_H

#include "cli/session.h"

#include "pawl/transform.h"

/* Show the report, and say whether a row needs a person's eye: PAWL_E_FINDINGS. */
PAWL_NODISCARD pawl_status pawl_cli_tell_preview(pawl_cli *cli, const pawl_preview_report *report,
                                                 pawl_error *err);

/* SQL NULL told from a text that reads NULL: 'NULL'. */
const char *pawl_cli_value_text(const char *text);

#endif
