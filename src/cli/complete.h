/*
 * complete.h - what may stand next on a command line, from the tables that drive the parser and the help.
 *
 * The answer is lines for a shell: "candidate<TAB>description". A line that begins with the tab asks the shell for
 * something that it knows best: "<TAB>files" or "<TAB>directories".
 *
 * Threads: main thread.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_CLI_COMPLETE_H
#define PAWL_CLI_COMPLETE_H

#include "cli/buf.h"
#include "cli/options.h"

/*
 * `words` are those behind the program's name, up to the one that is being typed, which may be empty; `count` is at
 * least 1. Where revisions may stand, the directory that the line names (--dir, --config, --env) is read; the database
 * never is. Nothing fails: a line that leads nowhere has no candidates.
 */
void pawl_cli_complete(pawl_cli_buf *out, const char *const *words, size_t count);

#endif
