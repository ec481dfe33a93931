/*
 * wait.h - the one place where the program itself waits for bytes: from a child, from whoever sits at the terminal.
 *
 * Threads: any thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_WAIT_H
#define PAWL_CLI_WAIT_H

#include <stdbool.h>
#include <stddef.h>

#define PAWL_CLI_WAIT_MOST 4

/* Wait until one of the descriptors can be read or has ended, at most `ms`. Those below 0 are passed over. */
void pawl_cli_wait(const int *fds, bool *is_ready, size_t count, int ms);

#endif
