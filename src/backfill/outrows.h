/*
 * outrows.h - the rows that a transform returned for another table, on their way into a COPY or an INSERT.
 *
 *   init -> (reset -> transform ... -> [drop ...] -> [[part ->] unite] -> copy_text | args)* -> fini
 *
 * Every row read is remembered with its key and version, whether rows came of it or not: before they are written, the
 * rows read are locked and looked at again. Rows of one that has changed are dropped, and those of its new version are
 * added by another transform.
 *
 * Threads: belongs to one worker.
 * Memory:  buffers are kept between batches; results given to transform must live until the next reset.
 */
#ifndef PAWL_BACKFILL_OUTROWS_H
#define PAWL_BACKFILL_OUTROWS_H

#include "backfill/rowset.h"

/* One row to be written. */
typedef struct pawl_outrow
{
    size_t at;  /* of its values in `bytes`: for each a length (-1: NULL) and so many bytes */
    int source; /* ordinal of the row read it came from, from 0; rows of a second transform count on */
    bool is_dropped;
    bool is_twin;     /* found by unite: another row is the same in every value */
    bool is_clashing; /* found by part: another row has its key and differs */
} pawl_outrow;

typedef struct pawl_outrows
{
    const pawl_job *job;
    pawl_strbuf bytes;
    pawl_outrow *rows;
    size_t count;
    size_t capacity;
    int read; /* rows read by all transforms since the reset */
    pawl_pg_array *keys;
    pawl_versions versions;
    pawl_pg_array *values; /* filled by args */
    uint32_t *slots;       /* of unite: a hash table of places in `rows`, from 1; 0 is free */
    size_t nslots;
    pawl_rejects *rejects; /* where rows go that give no good ones; NULL: the first of them is a failure */
} pawl_outrows;

PAWL_NODISCARD pawl_status pawl_outrows_init(pawl_outrows *set, const pawl_job *job, pawl_error *err);
void pawl_outrows_fini(pawl_outrows *set);

/* For rows of another read: its horizon, see version.h. */
void pawl_outrows_reset(pawl_outrows *set, uint32_t horizon);

/*
 * Run the transform over all rows of the source. PAWL_E_TRANSFORM as of pawl_rowset_transform; where `rejects` is set, a
 * row read that gives one bad row is added to it, and none of its rows stays.
 */
PAWL_NODISCARD pawl_status pawl_outrows_transform(pawl_outrows *set, const pawl_rowset_source *source,
                                                  pawl_error *err);

/* Nothing is written of this row read. */
void pawl_outrows_drop(pawl_outrows *set, int source);

/*
 * For `merge` where bad rows are set aside: rows read that gave rows with the same key which differ are added to `rejects`,
 * all of them. `rows`, with the key at `first_key`: those of the first transform; 40001 when one of another is among
 * them, so that the batch is read anew.
 */
PAWL_NODISCARD pawl_status pawl_outrows_part(pawl_outrows *set, const pawl_pg_result *rows, int first_key,
                                             pawl_error *err);

/*
 * For `merge`: of rows that are the same in every value one is kept; two that have the same key and differ are
 * PAWL_E_TRANSFORM, which names the key: which of them won would depend on their order. sources: the rows read that they
 * came from.
 */
PAWL_NODISCARD pawl_status pawl_outrows_unite(pawl_outrows *set, int sources[2], pawl_error *err);

/* Rows to be written. */
int64_t pawl_outrows_live(const pawl_outrows *set);

/* The arguments of pawl_stmt_lock after those of the range. Returns the new number of arguments. */
int pawl_outrows_lock_args(pawl_outrows *set, pawl_pg_arg *args, int nargs);

/* The arguments of pawl_stmt_insert. PAWL_E_TRANSFORM when a value is out of an integer column's range. */
PAWL_NODISCARD pawl_status pawl_outrows_args(pawl_outrows *set, pawl_pg_arg *args, pawl_error *err);

/* Add rows from *next on to `b` in COPY's text format until it holds `most` bytes; *next is the first that is left. */
void pawl_outrows_copy_text(const pawl_outrows *set, size_t *next, size_t most, pawl_strbuf *b);

#endif
