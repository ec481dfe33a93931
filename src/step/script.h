/*
 * script.h - steps as text, for `upgrade --sql`: what the kinds print, and what they have in common.
 *
 * A script has no catalogue at hand when it is printed: what depends on the database is asked by the script, when it
 * runs. The caller prints the frame: a transactional step stands between BEGIN and COMMIT with its records, and is
 * passed over when the ledger says that it is done. A step that is not transactional prints its own transactions, each
 * piece so that after a failure the whole of it can be run again.
 *
 * The step's record is the row of `step` with this revision, direction, and the ordinal in the setting pawl.ordinal.
 * When a step prints, the search_path is the user's; pg_catalog is in it, pawl's own tables are not.
 *
 * Threads: as step.h.
 * Memory:  out is marked when memory ran out.
 */
#ifndef PAWL_STEP_SCRIPT_H
#define PAWL_STEP_SCRIPT_H

#include "pg/literal.h"
#include "step/kind.h"

struct pawl_step_script
{
    pawl_strbuf *out;
    pawl_arena *arena;
    const pawl_settings *settings;
    const char *ledger; /* the schema, quoted */
    const char *revision;
    const char *direction;
    const char *checksum; /* of the step */
    int way_up;           /* of a derived way back: the ordinal of the step that it undoes */
};

/* ---- names and values; a name that is none marks the problem in *err ---------------------------------------------- */

/* A table's name as SQL spells it, quoted. */
PAWL_NODISCARD pawl_status pawl_script_table(const pawl_step_script *s, const char *table, const char **out,
                                             pawl_error *err);

/* 'x' */
const char *pawl_script_text(const pawl_step_script *s, const char *text);

/* ---- statements ---------------------------------------------------------------------------------------------------- */

/* A line or more, as printf. */
void pawl_script_add(const pawl_step_script *s, const char *fmt, ...) PAWL_PRINTF(2, 3);

/* DO $$ body $$; body is DECLARE ... BEGIN ... END, or its statements alone. */
void pawl_script_do(const pawl_step_script *s, const char *body);

/* Run what follows, up to pawl_script_endif, where the condition (SQL, one line) is true. */
void pawl_script_if(const pawl_step_script *s, const char *condition);
void pawl_script_endif(const pawl_step_script *s);

/* Lock time-outs are for what blocks others; what waits by its nature has none. */
void pawl_script_wait(const pawl_step_script *s, bool has_timeout);

/* ---- the step's record --------------------------------------------------------------------------------------------- */

/* SQL: the step's info (jsonb); that of the step whose way back this is. */
const char *pawl_script_info(const pawl_step_script *s);
const char *pawl_script_info_up(const pawl_step_script *s);

/* Merge an expression (jsonb) into the info. */
void pawl_script_note(const pawl_step_script *s, const char *expression);

#endif
