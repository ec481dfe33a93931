/*
 * keyval.h - one key of a table, as the texts of its columns.
 *
 * Keys travel as text and are compared on the server only: equality and order of collations, numerics and floats are
 * the server's business. The client copies them and hands them back.
 *
 * Threads: plain values.
 * Memory:  init, set, fini work on the caller's storage; a key that is not set is "before everything".
 */
#ifndef PAWL_BACKFILL_KEYVAL_H
#define PAWL_BACKFILL_KEYVAL_H

#include "pg/arg.h"
#include "pg/result.h"

#define PAWL_KEY_MAX 32 /* INDEX_MAX_KEYS of a standard server */

typedef struct pawl_keyval
{
    bool is_set;
    int count;
    char *texts; /* all parts, each with its NUL */
    const char *part[PAWL_KEY_MAX];
} pawl_keyval;

void pawl_keyval_fini(pawl_keyval *k);
void pawl_keyval_clear(pawl_keyval *k);

/* Copy parts; the old value is given up only when there is memory for the new one. */
PAWL_NODISCARD pawl_status pawl_keyval_set(pawl_keyval *k, int count, const char *const *parts,
                                           pawl_error *err);
PAWL_NODISCARD pawl_status pawl_keyval_copy(pawl_keyval *k, const pawl_keyval *from, pawl_error *err);

/* How many leading parts are the same text, and so the same value, in both; never all of them, none when one is not
 * set. */
int pawl_keyval_same(const pawl_keyval *a, const pawl_keyval *b);

/* The same texts, and so the same key. */
bool pawl_keyval_is_same(const pawl_keyval *a, const pawl_keyval *b);

/* From `count` columns of a row, beginning at `column`. */
PAWL_NODISCARD pawl_status pawl_keyval_from_row(pawl_keyval *k, const pawl_pg_result *res, int row,
                                                int column, int count, pawl_error *err);

/* From one text[] column: NULL and '{}' are not set. */
PAWL_NODISCARD pawl_status pawl_keyval_from_array(pawl_keyval *k, const pawl_pg_result *res, int row,
                                                  int column, pawl_error *err);

/* Put the key into an array for a text[] parameter (reset first). */
void pawl_keyval_to_array(const pawl_keyval *k, pawl_pg_array *array);

/* Add one argument a part. Returns the new number of arguments. */
int pawl_keyval_args(const pawl_keyval *k, pawl_pg_arg *args, int nargs);

#endif
