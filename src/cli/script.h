/*
 * script.h - `--sql` of upgrade and downgrade: the script on standard output instead of the work.
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_SCRIPT_H
#define PAWL_CLI_SCRIPT_H

#include "cli/session.h"

/* The two flags, for the tables of both verbs. */
#define PAWL_CLI_SCRIPT_FLAGS                                                                            \
    {"--sql", NULL, NULL, "print a script for psql instead; no database is asked", NULL},                \
    {                                                                                                    \
        "--skip-data", NULL, NULL, "with --sql: leave out the steps whose rows pass through pawl (Lua)", \
            NULL                                                                                         \
    }

PAWL_NODISCARD pawl_status pawl_cli_script(pawl_cli *cli, bool is_downgrade, pawl_error *err);

#endif
