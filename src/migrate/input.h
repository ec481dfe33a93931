/*
 * input.h - the rows of a preview without a database: read from JSON, typed, and what is expected of them.
 *
 *   parse -> (columns, rows) -> is_as_expected for each row that was run
 *
 * The text is an array of rows, or an object with `rows` and with what else the transform sees: `types`, `key`, `x`,
 * `secrets`, `now`. A row is an object of columns; or an object with `row`, and `expect` (the columns that must be set,
 * or null), `reject` (the reason), `fail` (a part of the message) and `name`. docs/transforms.md has examples.
 *
 * Threads: plain values.
 * Memory:  everything lives in the arena that was given, and in the JSON text.
 */
#ifndef PAWL_MIGRATE_INPUT_H
#define PAWL_MIGRATE_INPUT_H

#include "backfill/trial.h"
#include "config/jtree.h"

#include "pawl/transform.h"

typedef struct pawl_input_row
{
    const char *name;
    const char **cells; /* for each given column; NULL is SQL NULL */
    const pawl_jnode *expect;
    const char *reject;
    const char *fail;
} pawl_input_row;

typedef struct pawl_input
{
    pawl_arena *arena;
    pawl_lua_column *given; /* columns of the rows, those of the key first */
    int ngiven;
    pawl_lua_column *written; /* columns whose type is declared */
    int nwritten;
    pawl_input_row *rows;
    int nrows;
    pawl_lua_pair *x;
    size_t nx;
    pawl_lua_pair *secrets;
    size_t nsecrets;
    int64_t now_us;
} pawl_input;

/* PAWL_E_INPUT with the place for what cannot be read. */
PAWL_NODISCARD pawl_status pawl_input_parse(const pawl_preview_input_options *what, pawl_arena *arena,
                                            pawl_input *out, pawl_error *err);

/* True when the row says what it expects. */
bool pawl_input_has_expectation(const pawl_input_row *row);

/*
 * *out is how the outcome differs from what the row expects, NULL when it does not. `names`: of the written columns, as
 * many as the outcome has values.
 */
PAWL_NODISCARD pawl_status pawl_input_compare(const pawl_input *input, const pawl_input_row *row,
                                              const pawl_trial_row *outcome, const char *const *names,
                                              const char **out, pawl_error *err);

/* ---- types by name (input_type.c) ------------------------------------------------------------------------------- */

/* The kind of value that a built-in type has; false for a name that is none. */
bool pawl_input_has_type(const char *name, pawl_lua_column *column);

/* The type that a JSON value has by itself, given what it was taken for so far ("" at first). A static string. */
const char *pawl_input_guess(const pawl_jnode *value, const char *so_far);

/*
 * The text of a JSON value for a column, as PostgreSQL prints it; *out is NULL for null. PAWL_E_INPUT with the place
 * for a value that the column cannot have.
 */
PAWL_NODISCARD pawl_status pawl_input_text(const pawl_jnode *value, const pawl_lua_column *column,
                                           const char *file, pawl_arena *arena, const char **out,
                                           pawl_error *err);

#endif
