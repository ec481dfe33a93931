/*
 * findings.h - shows a health report, and turns its worst finding into the outcome of the verb.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_FINDINGS_H
#define PAWL_CLI_FINDINGS_H

#include "cli/session.h"

#include "pawl/health.h"

/* Show the report: a line or a few each, or the JSON document. PAWL_E_FINDINGS when one is at least as bad as `least`. */
PAWL_NODISCARD pawl_status pawl_cli_tell_findings(pawl_cli *cli, const pawl_health_report *report,
                                                  pawl_health_level least, pawl_error *err);

#endif
