/*
 * sample.h - what a look at rows asks of the server: some of the rows, and what it would make of values.
 *
 * Everything runs in READ ONLY transactions of its own, under the search_path of the user's SQL.
 *
 *   pawl_job_look -> widen -> read -> (trial.h) -> settle
 *
 * Threads: as the session's; the job is only read after widen.
 * Memory:  results are the caller's; texts of settle live in the arena that it was given.
 */
#ifndef PAWL_BACKFILL_SAMPLE_H
#define PAWL_BACKFILL_SAMPLE_H

#include "backfill/job.h"
#include "backfill/trial.h"

/* What is read of a row beside what the transform is given. */
typedef struct pawl_sample_shape
{
    int *stored;   /* for each written column its place in the result */
    int *computed; /* `set`: for each written column the place of its expression, -1 where it is not read */
} pawl_sample_shape;

/* Which rows. */
typedef struct pawl_sample_which
{
    int64_t limit;
    bool is_spread;          /* from all over the table, about `limit` of them; else the first by key */
    const pawl_keyval *key;  /* just this row; NULL: any */
    const pawl_keyval *upto; /* no rows behind this key; NULL or not set: all */
    bool with_expressions;   /* `set`: also compute the values */
} pawl_sample_which;

/* Have job->read bring the written columns as they stand, too. What the transform is given stays as it is. */
PAWL_NODISCARD pawl_status pawl_sample_widen(pawl_job *job, pawl_sample_shape *out, pawl_error *err);

/* BEGIN, pins, READ ONLY. */
PAWL_NODISCARD pawl_status pawl_sample_begin(pawl_pg *pg, const pawl_job *job, pawl_error *err);

/*
 * Rows that `where` lets through, by key. Columns as of pawl_stmt_read: xmin, key, read (widened), and the expressions
 * of `set` where they are asked for.
 */
PAWL_NODISCARD pawl_status pawl_sample_read(pawl_pg *pg, const pawl_job *job, const pawl_sample_which *which,
                                            pawl_pg_result **out, pawl_error *err);

/*
 * The statement that verify reads ranges with where `set` says what is written: as pawl_stmt_read, and the expressions
 * behind it.
 */
void pawl_sample_range(pawl_strbuf *b, const pawl_job *job, bool has_lower);

/*
 * Put in place of each value of the rows with PAWL_TRIAL_WRITE what the server would store for it and print. A row of
 * which it would refuse a value becomes PAWL_TRIAL_FAIL. Columns of type PAWL_LUA_ANY are left as they are.
 */
PAWL_NODISCARD pawl_status pawl_sample_settle(pawl_pg *pg, const pawl_job *job, pawl_trial_row **rows,
                                              int count, pawl_arena *arena, pawl_error *err);

/* True when the text, which is SQL, names the column. A name inside a string counts as well. */
bool pawl_sample_has_name(const char *sql, const char *column);

#endif
