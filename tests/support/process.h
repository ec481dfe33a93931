/*
 * process.h - child processes of the tests.
 *
 * Threads: main thread only.
 * Memory:  see server.h, which offers most of it.
 */
#ifndef PAWL_TEST_PROCESS_H
#define PAWL_TEST_PROCESS_H

#include "support/server.h"

/* Start a program of the PATH or by its path, its stdout and stderr appended to `log`. */
pid_t pawl_test_spawn(const char *const *argv, const char *log);

/* Run one to its end; its exit code, or 128 and more when a signal ended it. */
int pawl_test_spawn_wait(const char *const *argv, const char *log);

/* Wait for a child at most so long; false when it is still there. *status as waitpid. */
bool pawl_test_has_ended(pid_t pid, int timeout_ms, int *status);

/* Wait until a child has stopped itself (a failpoint's `stop`); false when it ends instead. Its status stays unread. */
bool pawl_test_has_stopped(pid_t pid);

void pawl_test_sleep_ms(int ms);

#endif
