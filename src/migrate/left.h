/*
 * left.h - what the jobs of a revision would leave behind when its record goes and nothing has ended them: triggers that go
 * on, a log that grows for nobody, a guard that refuses writes.
 *
 * Threads: as step/step.h.
 * Memory:  the text is the caller's.
 */
#ifndef PAWL_MIGRATE_LEFT_H
#define PAWL_MIGRATE_LEFT_H

#include "step/step.h"
#include "util/strbuf.h"

/*
 * In a transaction of the runner's: take them down and end the jobs, those of the steps behind the `ordinal`th (0: all).
 * Columns and tables stay, they may hold what is nowhere else; `left` gets a word of each, for people.
 */
PAWL_NODISCARD pawl_status pawl_left_take_down(pawl_step_run *run, const char *revision, int ordinal,
                                               pawl_strbuf *left, pawl_error *err);

#endif
