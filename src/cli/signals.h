/*
 * signals.h - SIGINT and SIGTERM become requests on a pawl_stop.
 *
 * One thread waits for the signals with sigwait; nothing runs in a handler. The signals stay blocked when it is over,
 * so that one that comes while the program reports its result cannot take the exit code away.
 *
 *   start -> (is_stopped_within ...) -> end
 *
 * Threads: start before any other thread exists; all calls by the main thread.
 * Memory:  the record is the caller's and stays in place between start and end.
 */
#ifndef PAWL_CLI_SIGNALS_H
#define PAWL_CLI_SIGNALS_H

#include <signal.h>
#include <stdatomic.h>

#include "cli/screen.h"
#include "cli/verb.h"

typedef struct pawl_cli_signals
{
    pthread_t thread;
    sigset_t set;
    pawl_stop *stop;
    pawl_cli_screen *screen; /* NULL: say nothing */
    pawl_cli_stopping stopping;
    pthread_mutex_t lock;
    pthread_cond_t requested;
    bool is_requested; /* under the lock */
    atomic_bool is_over;
} pawl_cli_signals;

/* A reader that has gone is an error of the write, not a death. For every verb. */
void pawl_cli_signals_ignore_pipe(void);

/* Block SIGINT and SIGTERM in this and all later threads, and start the thread that takes them. */
PAWL_NODISCARD pawl_status pawl_cli_signals_start(pawl_cli_signals *signals, pawl_error *err);
void pawl_cli_signals_end(pawl_cli_signals *signals);

/* Wait up to `ms`; true when a stop was requested. */
bool pawl_cli_signals_is_stopped_within(pawl_cli_signals *signals, int64_t ms);

#endif
