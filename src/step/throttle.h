/*
 * throttle.h - `throttle:` of a step: a mapping of what holds a backfill back.
 *
 * Threads: as step.h.
 * Memory:  texts point into the step's YAML.
 */
#ifndef PAWL_STEP_THROTTLE_H
#define PAWL_STEP_THROTTLE_H

#include "backfill/pacing.h"
#include "step/step.h"

/* Read the key `throttle` of `r`, where it is there; problems are collected. *has_lag, *has_rate: it says something about
 * these two, also "none". */
void pawl_step_read_throttle(pawl_step_parse *ctx, pawl_reader *r, pawl_throttle *out, bool *has_lag,
                             bool *has_rate);

#endif
