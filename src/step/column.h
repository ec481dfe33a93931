/*
 * column.h - a column's shape as steps spell it, and adding such a column safely.
 *
 * Threads: as step.h.
 * Memory:  as step.h.
 */
#ifndef PAWL_STEP_COLUMN_H
#define PAWL_STEP_COLUMN_H

#include "config/reader.h"
#include "step/script.h"

typedef struct pawl_column_shape
{
    const char *type;       /* SQL: "numeric(10,2)" */
    const char *expression; /* the default, as SQL; NULL: none */
    bool is_not_null;
} pawl_column_shape;

/* Read `type`, `default` and `not_null` of an open reader; problems are collected. */
void pawl_column_shape_read(pawl_reader *r, pawl_column_shape *out);

/* "ADD COLUMN name type DEFAULT ... NOT NULL" */
void pawl_column_add_definition(pawl_strbuf *sql, const char *column, const pawl_column_shape *shape);

/*
 * ALTER TABLE ... ADD COLUMN in the transaction at hand. PAWL_E_REFUSED when the table would be rewritten (a volatile
 * default, a domain with constraints) or when NOT NULL without a default meets rows.
 */
PAWL_NODISCARD pawl_status pawl_column_add(pawl_step_run *run, const char *table, const char *column,
                                           const pawl_column_shape *shape, pawl_error *err);

/* ALTER TABLE ... DROP COLUMN, without CASCADE. */
PAWL_NODISCARD pawl_status pawl_column_drop(pawl_step_run *run, const char *table, const char *column,
                                            pawl_error *err);

/* Print ADD COLUMN; DROP COLUMN where `shape` is NULL. */
PAWL_NODISCARD pawl_status pawl_column_script(const pawl_step_script *s, const char *table,
                                              const char *column, const pawl_column_shape *shape,
                                              pawl_error *err);

#endif
