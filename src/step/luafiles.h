/*
 * luafiles.h - the file of a transform and the modules that it requires: part of what was applied.
 *
 * Threads: as step.h.
 * Memory:  as step.h.
 */
#ifndef PAWL_STEP_LUAFILES_H
#define PAWL_STEP_LUAFILES_H

#include "config/reader.h"
#include "step/step.h"

/*
 * The transform under the key `lua`, with its modules, into step->files. A file that is not there, does not load or has no
 * row function is a problem. *has_reverse (may be NULL): there is a function `reverse` beside it.
 */
PAWL_NODISCARD pawl_status pawl_step_read_lua(pawl_step_parse *ctx, const pawl_reader *r, const char *path,
                                              pawl_step *step, bool *has_reverse, pawl_error *err);

/*
 * Add the modules that `text` names as `require "name"` (and those that they name) to step->files. A name that is
 * computed, or for which there is no file, is passed over: running the transform will tell.
 */
PAWL_NODISCARD pawl_status pawl_step_add_modules(pawl_step_parse *ctx, const pawl_yaml *node,
                                                 const char *text, pawl_step *step, pawl_error *err);

#endif
