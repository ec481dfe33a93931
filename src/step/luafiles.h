/*
 * luafiles.h - the modules that a transform requires: part of what was applied, as the transform itself.
 *
 * Threads: as step.h.
 * Memory:  as step.h.
 */
#ifndef PAWL_STEP_LUAFILES_H
#define PAWL_STEP_LUAFILES_H

#include "step/step.h"

/*
 * Add the modules that `text` names as `require "name"` (and those that they name) to step->files. A name that is
 * computed, or for which there is no file, is passed over: running the transform will tell.
 */
PAWL_NODISCARD pawl_status pawl_step_add_modules(pawl_step_parse *ctx, const pawl_yaml *node,
                                                 const char *text, pawl_step *step, pawl_error *err);

#endif
