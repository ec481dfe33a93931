/*
 * compare.h - two lists of texts against each other, and what hangs on a table before and after it was replaced.
 *
 *   hanging load ... the swap or rewrite ... hanging load -> compare -> look at lines, check
 *
 * With no column told as changed and no name as ours, any difference is unexpected: so it also answers whether a table
 * is still as it was when the work was planned.
 *
 * Threads: plain functions.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_CATALOG_COMPARE_H
#define PAWL_CATALOG_COMPARE_H

#include "catalog/hanging.h"

typedef struct pawl_compare_line
{
    char sign;        /* '-' gone, '+' new; what has changed is both, the old text first */
    const char *text; /* "index public.t_a_idx: CREATE INDEX ..." */
    const pawl_hang *item;
    bool is_expected; /* it follows from what was asked for */
} pawl_compare_line;

typedef struct pawl_compare_diff
{
    pawl_compare_line *lines;
    size_t nlines;
    size_t nunexpected;
} pawl_compare_diff;

typedef struct pawl_compare_options
{
    const char *const *changed; /* columns with another type than before, or dropped, or added */
    size_t nchanged;
    const char *kept;        /* of a swap: the name of the column that stays behind; NULL */
    const char *replacement; /* of a swap: the name that the new column had, if it was there before; NULL */
    const char *temporary;   /* what the names of pawl's own begin with, "pawl_7_"; NULL */
    bool is_pending; /* in the cut-over: what is to be validated and moved afterwards is still to come */
} pawl_compare_options;

/* The differences, in the order of the inventories. */
PAWL_NODISCARD pawl_status pawl_compare(const pawl_hanging *before, const pawl_hanging *after,
                                        const pawl_compare_options *options, pawl_arena *arena,
                                        pawl_compare_diff *out, pawl_error *err);

/* PAWL_E_STATE naming what is unexpected, as far as an error holds it; PAWL_OK when all is as it should be. */
PAWL_NODISCARD pawl_status pawl_compare_check(const pawl_hanging *after, const pawl_compare_diff *diff,
                                              pawl_error *err);

/*
 * Two sorted lists of (object, definition): the rows of two results. Calls `differs` with '-' for what the second does not
 * have and '+' for what the first does not, in order.
 */
typedef pawl_status (*pawl_compare_differs)(void *ctx, char sign, const pawl_pg_result *res, int row,
                                            pawl_error *err);
PAWL_NODISCARD pawl_status pawl_compare_results(const pawl_pg_result *a, const pawl_pg_result *b,
                                                pawl_compare_differs differs, void *ctx, pawl_error *err);

#endif
