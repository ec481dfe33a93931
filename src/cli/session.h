/*
 * session.h - one run of the program: what a verb is given to work with.
 *
 * Threads: main thread.
 * Memory:  the session owns the project; the rest belongs to pawl_cli_main.
 */
#ifndef PAWL_CLI_SESSION_H
#define PAWL_CLI_SESSION_H

#include "cli/render.h"
#include "cli/signals.h"

struct pawl_cli
{
    const pawl_cli_line *line;
    pawl_cli_out *out;
    pawl_cli_render render;
    pawl_cli_signals signals; /* running when the verb can be stopped */
    pawl_stop *stop;          /* NULL when it cannot */
    pawl_project *project;    /* NULL until pawl_cli_open */
    int64_t begin_ms;
};

/* Open the project of the command line; the session closes it. */
PAWL_NODISCARD pawl_status pawl_cli_open(pawl_cli *cli, pawl_error *err);

/* The same, for verbs that list revisions and want none of their steps. */
PAWL_NODISCARD pawl_status pawl_cli_open_heads(pawl_cli *cli, pawl_error *err);

/* What long calls are given: the stop, and the sink that shows their events. */
pawl_run_options pawl_cli_run_options(pawl_cli *cli);

/* The whole program: the exit code. */
int pawl_cli_main(int argc, char **argv);

#endif
