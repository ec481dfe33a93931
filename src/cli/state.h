/*
 * state.h - the report of `pawl status` as text and as JSON.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_STATE_H
#define PAWL_CLI_STATE_H

#include <jansson.h>

#include "cli/bar.h"

#include "pawl/project.h"

void pawl_cli_describe_state(pawl_cli_buf *buf, const pawl_status_report *report, pawl_cli_bar_style style);

json_t *pawl_cli_json_state(const pawl_status_report *report, const pawl_project *project);

#endif
