/*
 * constraint.h - a constraint as steps spell it, added without reading the table under a lock that blocks writers.
 *
 * CHECK and FOREIGN KEY come as NOT VALID and are validated in a transaction of their own; UNIQUE comes from an index
 * that was built concurrently. Each piece looks at the catalogue for what is done. Where two tables are locked, the
 * first is waited for and the other is not: two waits in a row would make the application the victim of a deadlock.
 *
 * In the step's info: "constraint": the oid of the one that we added, "as": the checksum of the step that added it.
 *
 * Threads: as step.h.
 * Memory:  as step.h.
 */
#ifndef PAWL_STEP_CONSTRAINT_H
#define PAWL_STEP_CONSTRAINT_H

#include "step/kind.h"

typedef struct pawl_constraint_shape
{
    char type;            /* c, f, u, as in pg_constraint; 0: nothing was said */
    const char *check;    /* c */
    const char **columns; /* f, u */
    size_t ncolumns;
    const char *references;   /* f: a table */
    const char **ref_columns; /* f: none: its primary key */
    size_t nref_columns;
    const char *on_delete; /* f: SQL, or NULL */
    const char *on_update;
} pawl_constraint_shape;

/* The keys that pawl_constraint_shape_read reads: exactly one of them is to be there. */
#define PAWL_CONSTRAINT_SHAPE_KEYS "check", "foreign_key", "unique"
void pawl_constraint_shape_read(pawl_reader *r, pawl_constraint_shape *out);

/* "CHECK (...)", "FOREIGN KEY (...) REFERENCES ..."; `referenced` is that table, qualified and quoted. */
void pawl_constraint_add_shape(pawl_strbuf *sql, const pawl_constraint_shape *shape, const char *referenced);

/*
 * Add it, outside a transaction. A row that violates it is PAWL_E_STATE, and leaves the table as it was. With
 * `is_back` (a derived way back, whose notes nobody reads again) one of that name and type counts as ours.
 */
PAWL_NODISCARD pawl_status pawl_constraint_add(pawl_step_run *run, const char *table, const char *name,
                                               const pawl_constraint_shape *shape, bool is_back,
                                               pawl_error *err);

/* Undo pawl_constraint_add, whole or half, as run->info has it; outside a transaction. */
PAWL_NODISCARD pawl_status pawl_constraint_undo(pawl_step_run *run, const char *table, const char *name,
                                                const pawl_constraint_shape *shape, pawl_error *err);

/* DROP CONSTRAINT, outside a transaction; notes "dropped" with the step. */
PAWL_NODISCARD pawl_status pawl_constraint_drop(pawl_step_run *run, const char *table, const char *name,
                                                pawl_error *err);

/* ---- as parts of a script (step/script.h) --------------------------------------------------------------------------- */

PAWL_NODISCARD pawl_status pawl_constraint_script_add(const pawl_step_script *s, const char *table,
                                                      const char *name, const pawl_constraint_shape *shape,
                                                      pawl_error *err);

/* With `is_back` undo pawl_constraint_script_add; else drop one that somebody else added. */
PAWL_NODISCARD pawl_status pawl_constraint_script_drop(const pawl_step_script *s, const char *table,
                                                       const char *name, const pawl_constraint_shape *shape,
                                                       bool is_back, pawl_error *err);

#endif
