/*
 * report.h - the one place that tells people what went wrong.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_REPORT_H
#define PAWL_CLI_REPORT_H

#include "cli/out.h"

/* The text of a failure as it stands on standard error: "pawl: error: ..." and what belongs to it, no last line end. */
void pawl_cli_describe_error(pawl_cli_buf *buf, const pawl_error *err, bool has_color);

/* All problems of the directory, a line or two each, then how many there are; `kind` is "error" or "warning". */
void pawl_cli_describe_problems(pawl_cli_buf *buf, const pawl_project *project, const char *kind,
                                bool has_color);

/* Report a failure to people. When files of the project are at fault, all their problems. */
void pawl_cli_report(pawl_cli_out *out, const pawl_project *project, const pawl_error *err);

/* For verbs that only read and did what they could: the problems of the directory as a warning. */
void pawl_cli_warn_problems(pawl_cli_out *out, const pawl_project *project);

#endif
