/*
 * index.h - an index as steps spell it, built and dropped without blocking anybody.
 *
 * pawl_index_build looks at the catalogue, removes what an interrupted build left, builds CONCURRENTLY and looks again.
 * After a SIGKILL at any point the same call goes on: an index that is invalid is a remain only when nobody is building
 * it any more (a killed client's CREATE INDEX runs on in the server, and so may another runner's whose lease was taken
 * over), and it is removed in a transaction under the fence.
 *
 * In the step's info: "building": the name, from before the first build on; "was_there": true when an index of that
 * name and shape was there before, which a downgrade then leaves alone.
 *
 * Threads: as step.h.
 * Memory:  as step.h.
 */
#ifndef PAWL_STEP_INDEX_H
#define PAWL_STEP_INDEX_H

#include "step/kind.h"

typedef struct pawl_index_shape
{
    const char *table;
    const char *name; /* in the table's schema */
    const char **
        columns; /* a bare word is the exact name of a column, anything else is SQL: "lower(name)", "a DESC" */
    size_t ncolumns;
    const char **include; /* columns */
    size_t ninclude;
    const char *method; /* NULL: btree */
    const char *where;  /* NULL: all rows */
    bool is_unique;
    const char
        *definition; /* as pg_get_indexdef printed it: it stands for all but table and name; else NULL */
} pawl_index_shape;

/* The keys that pawl_index_shape_read reads; `columns` is required. */
#define PAWL_INDEX_SHAPE_KEYS "columns", "unique", "method", "where", "include"
void pawl_index_shape_read(pawl_reader *r, pawl_index_shape *out);

/* " USING method (columns) INCLUDE (...) WHERE (...)" */
void pawl_index_add_shape(pawl_strbuf *sql, const pawl_index_shape *shape);

/* Build it, outside a transaction. Fine when it is there already in this shape; PAWL_E_STATE when it has another. */
PAWL_NODISCARD pawl_status pawl_index_build(pawl_step_run *run, const pawl_index_shape *shape,
                                            pawl_error *err);

/* CREATE INDEX in the transaction at hand: writers wait for its end. */
PAWL_NODISCARD pawl_status pawl_index_make(pawl_step_run *run, const pawl_index_shape *shape,
                                           pawl_error *err);

/* Undo pawl_index_build, whole or half, as run->info has it; outside a transaction. */
PAWL_NODISCARD pawl_status pawl_index_undo(pawl_step_run *run, const pawl_index_shape *shape,
                                           pawl_error *err);

/* DROP INDEX CONCURRENTLY of one that may be gone meanwhile; outside a transaction. */
PAWL_NODISCARD pawl_status pawl_index_drop(pawl_step_run *run, const char *schema, const char *name,
                                           pawl_error *err);

/* ---- as parts of a script (step/script.h) --------------------------------------------------------------------------- */

PAWL_NODISCARD pawl_status pawl_index_script_build(const pawl_step_script *s, const pawl_index_shape *shape,
                                                   bool is_concurrent, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_index_script_undo(const pawl_step_script *s, const pawl_index_shape *shape,
                                                  bool is_concurrent, pawl_error *err);

/* Note the definition, and drop. `quoted` is the index's name in SQL. */
void pawl_index_script_drop(const pawl_step_script *s, const char *quoted, bool is_concurrent);

/* Build the index again whose definition the way up has noted. */
void pawl_index_script_restore(const pawl_step_script *s, bool is_concurrent);

#endif
