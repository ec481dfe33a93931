/*
 * sqltext.h - a user's SQL text as single statements.
 *
 * PostgreSQL's own scanner (libpg_query) finds the tokens; the statements are cut at the semicolons outside of
 * parentheses and of the body of a BEGIN ATOMIC function, as psql does it. No grammar is involved, so that syntax newer
 * than the library passes. Statements that a revision may not contain are marked, not refused: the caller knows the
 * place.
 *
 * Threads: any thread; the scanner's state is per thread.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_STEP_SQLTEXT_H
#define PAWL_STEP_SQLTEXT_H

#include "core/error.h"
#include "util/arena.h"

typedef struct pawl_sql_statement
{
    const char *text;      /* without the semicolon */
    int line;              /* of its first token, from 1, in the text that was split */
    const char *forbidden; /* NULL, or what cannot be run in a revision and why */
    int forbidden_line;
    bool is_outside_only; /* PostgreSQL refuses it inside a transaction block */
} pawl_sql_statement;

typedef struct pawl_sql_text
{
    pawl_sql_statement *items;
    size_t length;     /* comments and lone semicolons are no statements */
    const char *error; /* NULL, or why the scanner could not read the text (items are empty then) */
    int error_line;
} pawl_sql_text;

PAWL_NODISCARD pawl_status pawl_sql_split(const char *text, pawl_arena *arena, pawl_sql_text **out,
                                          pawl_error *err);

/*
 * False when an expression over the row cannot read the column: neither its name nor the row as a whole (`t`) occurs in
 * it. True also when the text cannot be read. What functions of the user do with the table is not seen.
 */
bool pawl_sql_can_read(const char *expression, const char *column);

#endif
