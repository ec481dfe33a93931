/*
 * history.h - the applied revisions and their steps, as the ledger records them.
 *
 * Functions that change run in the caller's transaction, which has held the runner row (ledger/runner.h).
 *
 * Threads: as the session's.
 * Memory:  what is read lives in the arena that was given.
 */
#ifndef PAWL_LEDGER_HISTORY_H
#define PAWL_LEDGER_HISTORY_H

#include "ledger/ledger.h"

typedef struct pawl_applied
{
    const char *id;
    const char *state; /* applying, applied, reverting */
    const char **parents;
    size_t nparents;
    const char **depends_on;
    size_t ndepends_on;
    const char *description;
    const char *body;
    const char *checksum;
    const char *applied_by;
    const char *host;
    const char *started_at;
    const char *finished_at; /* "" while applying */
    int64_t duration_ms;
} pawl_applied;

typedef struct pawl_applied_step
{
    const char *revision;
    const char *direction; /* up, down */
    int ordinal;
    const char *kind;
    const char *checksum;
    const char *state; /* running, done, failed, skipped, findings */
    const char *info;  /* jsonb text */
    const char *error;
    const char *sqlstate;
    const char *started_at;
    const char *finished_at;
    bool is_begun; /* there may be work of it to go on with: it has a job, or has noted something */
} pawl_applied_step;

/* All rows of `revision`, by started_at. With `bodies` false, `body` is "" (10,000 revisions are a lot of text). */
PAWL_NODISCARD pawl_status pawl_history_revisions(pawl_ledger *ledger, pawl_pg *pg, bool bodies,
                                                  pawl_arena *arena, pawl_applied **out, size_t *count,
                                                  pawl_error *err);

/* The steps of one revision, or of all that are not 'applied' when `revision` is NULL; by direction and ordinal. */
PAWL_NODISCARD pawl_status pawl_history_steps(pawl_ledger *ledger, pawl_pg *pg, const char *revision,
                                              pawl_arena *arena, pawl_applied_step **out, size_t *count,
                                              pawl_error *err);

/* Insert the revision as 'applying' (nothing happens when it is there already). */
PAWL_NODISCARD pawl_status pawl_history_begin(pawl_ledger *ledger, pawl_pg *pg, const pawl_applied *revision,
                                              pawl_error *err);

/* applying -> applied: sets finished_at, duration, and the text and checksum that hold now. */
PAWL_NODISCARD pawl_status pawl_history_finish(pawl_ledger *ledger, pawl_pg *pg, const char *id,
                                               const char *body, const char *checksum, int64_t duration_ms,
                                               pawl_error *err);

/* -> reverting; its 'down' steps start afresh when it was not reverting already. */
PAWL_NODISCARD pawl_status pawl_history_revert(pawl_ledger *ledger, pawl_pg *pg, const char *id,
                                               pawl_error *err);

/* The revision is reverted: its row and its steps go; jobs and events stay. */
PAWL_NODISCARD pawl_status pawl_history_remove(pawl_ledger *ledger, pawl_pg *pg, const char *id,
                                               pawl_error *err);

/* A step begins (or begins again: attempts + 1, error cleared, info kept). */
PAWL_NODISCARD pawl_status pawl_history_step_begin(pawl_ledger *ledger, pawl_pg *pg, const char *revision,
                                                   const char *direction, int ordinal, const char *kind,
                                                   const char *checksum, pawl_error *err);

/* A step ended: state done, skipped, findings or failed; `info` (a jsonb object) is merged into what is there. */
typedef struct pawl_step_end
{
    const char *revision;
    const char *direction;
    int ordinal;
    const char *state;
    const char *info;  /* NULL: nothing to merge */
    const char *error; /* "" unless failed */
    const char *sqlstate;
} pawl_step_end;
PAWL_NODISCARD pawl_status pawl_history_step_end(pawl_ledger *ledger, pawl_pg *pg, const pawl_step_end *end,
                                                 pawl_error *err);

/* Merge facts into a step's info without changing its state. */
PAWL_NODISCARD pawl_status pawl_history_step_info(pawl_ledger *ledger, pawl_pg *pg, const char *revision,
                                                  const char *direction, int ordinal, const char *info,
                                                  pawl_error *err);

/* Forget a step's record (a half-applied revision that is downgraded drops the steps it has undone). */
PAWL_NODISCARD pawl_status pawl_history_step_remove(pawl_ledger *ledger, pawl_pg *pg, const char *revision,
                                                    const char *direction, int ordinal, pawl_error *err);

#endif
