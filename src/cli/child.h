/*
 * child.h - runs a program of PostgreSQL's beside pawl, to its end or until a stop.
 *
 * The child has a process group of its own, so that a Ctrl-C on the terminal reaches pawl alone, which then ends the
 * child and waits for it. It reads nothing: no password prompt can hang. What it says on standard error comes line by
 * line.
 *
 * Threads: main thread.
 * Memory:  nothing given is kept; `out` and the found path are the caller's.
 */
#ifndef PAWL_CLI_CHILD_H
#define PAWL_CLI_CHILD_H

#include "cli/buf.h"

#include "pawl/project.h"

typedef struct pawl_cli_child
{
    const char *const *argv;           /* argv[0] is the path of the program; ends with NULL */
    const pawl_key_value *environment; /* put over pawl's own; a NULL value: unset */
    size_t nenvironment;
    const pawl_stop *stop;                        /* NULL: it cannot be stopped */
    pawl_cli_buf *out;                            /* takes its standard output; NULL: that is dropped */
    void (*on_line)(void *ctx, const char *line); /* each line of standard error; NULL: dropped */
    void (*on_tick)(void *ctx);                   /* some times a second; NULL: nothing to do */
    void *ctx;
} pawl_cli_child;

/*
 * Run it. *exit_code is its exit code, or 128 and the number of the signal that ended it. PAWL_E_STOPPED on request: the
 * child has ended then. PAWL_E_IO when it cannot be started.
 */
PAWL_NODISCARD pawl_status pawl_cli_child_run(const pawl_cli_child *child, int *exit_code, pawl_error *err);

/*
 * Find one of PostgreSQL's programs that is at least of version `least` (15): in `dir`, or, when that is NULL, along PATH
 * and then where packages put the server's programs. `path` gets the first that will do, *version its version (15).
 * PAWL_E_REFUSED when there are only older ones, PAWL_E_IO when there is none.
 */
PAWL_NODISCARD pawl_status pawl_cli_child_find(const char *name, const char *dir, int least,
                                               pawl_cli_buf *path, int *version, pawl_error *err);

#endif
