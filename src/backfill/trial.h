/*
 * trial.h - a transform run over rows for a look: every row gets an outcome, and a failure ends nothing.
 *
 *   init -> (options of the state get pawl_trial_log) -> run ... -> fini
 *
 * Threads: a trial belongs to one thread.
 * Memory:  outcomes live in the arena that run was given, until that is reset.
 */
#ifndef PAWL_BACKFILL_TRIAL_H
#define PAWL_BACKFILL_TRIAL_H

#include "lua/transform.h"
#include "util/arena.h"
#include "util/strbuf.h"

typedef enum pawl_trial_outcome
{
    PAWL_TRIAL_WRITE,  /* values are set */
    PAWL_TRIAL_LEAVE,  /* the transform returned nil */
    PAWL_TRIAL_REJECT, /* it rejected the row: `error`, and `reason` in its own words */
    PAWL_TRIAL_FAIL,   /* it failed, or the server would not take what it returned: `error` */
} pawl_trial_outcome;

typedef struct pawl_trial_row
{
    pawl_trial_outcome outcome;
    int nvalues; /* written columns known when the row was run */
    const bool *is_set;
    const char **values; /* texts; NULL is SQL NULL */
    const char *reason;
    pawl_error *error;           /* NULL unless REJECT or FAIL */
    const char *log;             /* what pawl.log was given, a line each; "" */
    struct pawl_trial_row *more; /* the next row that came of the same one, for another table; NULL: none */
} pawl_trial_row;

typedef struct pawl_trial
{
    pawl_strbuf log;
} pawl_trial;

void pawl_trial_init(pawl_trial *trial);
void pawl_trial_fini(pawl_trial *trial);

/* For pawl_lua_options.log, with the trial as its ctx. */
void pawl_trial_log(void *trial, const char *text);

/*
 * Run all rows; `get` and `count` of `rows` are used. *out has an outcome for each. Fails only for what is no row's
 * fault: memory, a stop. A batch that fails as a whole is run again row by row.
 */
PAWL_NODISCARD pawl_status pawl_trial_run(pawl_trial *trial, pawl_lua *lua, const pawl_lua_rows *rows,
                                          pawl_arena *arena, pawl_trial_row **out, pawl_error *err);

#endif
