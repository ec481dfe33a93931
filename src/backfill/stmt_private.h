/*
 * stmt_private.h - what the files that build statements share. Nobody else includes it.
 *
 * Threads: as stmt.h.
 * Memory:  as stmt.h.
 */
#ifndef PAWL_BACKFILL_STMT_PRIVATE_H
#define PAWL_BACKFILL_STMT_PRIVATE_H

#include "backfill/stmt.h"

/* ONLY "schema"."table" AS t */
void pawl_stmt_from_table(pawl_strbuf *b, const pawl_job *job);

/*
 * (lo, hi]. The first `same` columns are equal at both ends: said so, the planner knows how few rows there are. Of a
 * row comparison it looks at the first column alone, and would read a whole tenant of the key (tenant, id) for each
 * batch, by any index on the tenant. `param` is the first of the range; returns the next.
 */
int pawl_stmt_range(pawl_strbuf *b, const pawl_job *job, bool has_lower, int same, int param);

/* " AND" the step's `where`, when it has one. */
void pawl_stmt_and_where(pawl_strbuf *b, const pawl_job *job);

/* " SET" the expressions of a `set` job. */
void pawl_stmt_set_expressions(pawl_strbuf *b, const pawl_job *job);

/* pawl_stmt_write with a step. */
void pawl_stmt_write_addressed(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape);

#endif
