/*
 * result.h - rows that came back.
 *
 * Threads: a result belongs to the thread of its session.
 * Memory:  free it with pawl_pg_result_free; texts live as long as the result.
 */
#ifndef PAWL_PG_RESULT_H
#define PAWL_PG_RESULT_H

#include "core/error.h"

typedef struct pawl_pg_result pawl_pg_result;

void pawl_pg_result_free(pawl_pg_result *res);

int pawl_pg_rows(const pawl_pg_result *res);
int pawl_pg_columns(const pawl_pg_result *res);

/* What it takes of memory. */
size_t pawl_pg_bytes(const pawl_pg_result *res);

/* Rows that the command says it touched; 0 for those that say nothing. */
int64_t pawl_pg_affected(const pawl_pg_result *res);

/* The command tag: "COMMIT", "ROLLBACK", "UPDATE 5", ... */
const char *pawl_pg_tag(const pawl_pg_result *res);

bool pawl_pg_is_null(const pawl_pg_result *res, int row, int column);

/* The value as text, "" for NULL; and its length in bytes. */
const char *pawl_pg_text(const pawl_pg_result *res, int row, int column);
int pawl_pg_length(const pawl_pg_result *res, int row, int column);
const char *pawl_pg_column_name(const pawl_pg_result *res, int column);

/* The place of a column by its exact name, -1 when there is none. */
int pawl_pg_column(const pawl_pg_result *res, const char *name);

/* Typed readings of text results; 0 / false for NULL or for what is not of that type (a bug: asserted). */
int64_t pawl_pg_i64(const pawl_pg_result *res, int row, int column);
double pawl_pg_f64(const pawl_pg_result *res, int row, int column);
bool pawl_pg_is_true(const pawl_pg_result *res, int row, int column);

PAWL_DEFINE_AUTO(pawl_pg_result, pawl_pg_result_free);

#endif
