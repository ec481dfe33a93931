/*
 * stmt.h - the statements of a batch, built for one job.
 *
 * Columns are always qualified with the alias t (an output alias would otherwise be sorted by), operators are those of
 * the key's operator class with their schema, parameters are cast to the column's base type without its length: an
 * assignment checks lengths, a cast would cut silently.
 *
 * Threads: a buffer belongs to one thread; the job is only read.
 * Memory:  statements go into the caller's buffer, which is reset first.
 */
#ifndef PAWL_BACKFILL_STMT_H
#define PAWL_BACKFILL_STMT_H

#include "backfill/job.h"
#include "pg/sqlbuf.h"

/* Which arrays a write takes, and how. */
typedef struct pawl_write_shape
{
    bool with_ordinals; /* report the ordinals that were not written, at most PAWL_MISSING_MAX + 1 of them */
    bool with_range;    /* restrict to (lo, hi] as well: the batch form */
    bool has_lower;     /* with_range: there is a lower end */
    int same; /* with_range: so many leading key columns are equal at both ends; 0 without a lower end */
    bool with_ctids;       /* not with_range: by place and key, the striped form */
    bool all_old;          /* every row is older than the horizon (version.h): no array of xmins */
    int step;              /* not 0: rows by arithmetic, see address.h; without ordinals */
    const bool *is_masked; /* for each written column: some rows leave it alone, a bool[] says which do not */
} pawl_write_shape;

/* More rows than this are not looked up again in one transaction: the batch is repeated smaller instead. */
#define PAWL_MISSING_MAX 500

/* READ: [lower parts] upper parts, limit. Columns: version (version.h), key, read, ctid if asked for. */
void pawl_stmt_read(pawl_strbuf *b, const pawl_job *job, bool has_lower, bool with_ctid);

/* The key `offset` rows further: [lower parts] upper parts, offset. Columns: key. For claims and the set writer. */
void pawl_stmt_ahead(pawl_strbuf *b, const pawl_job *job, bool has_lower);

/* The places of the first rows in key order: limit. Column: ctid. */
void pawl_stmt_places(pawl_strbuf *b, const pawl_job *job);

/* The greatest key. No parameters. */
void pawl_stmt_bound(pawl_strbuf *b, const pawl_job *job);

/* At most $n rows of a range, locked: [lower parts] upper parts, n. Columns: key, then `columns`. Without `where`. */
void pawl_stmt_range_rows(pawl_strbuf *b, const pawl_job *job, bool has_lower,
                          const pawl_column *const *columns, int ncolumns);

/*
 * UPDATE from arrays. Parameters: [lower parts, upper parts,] [ctids,] keys, horizon, [xmins,] then for each written column its
 * values and, where masked, its mask; with ordinals the number of rows last. With a step the first and the last key stand
 * in place of the keys, and values are jsonb arrays.
 */
void pawl_stmt_write(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape);

/*
 * UPDATE by SQL expressions of the rows of one stripe at their places, as long as they are older than the horizon: ctids,
 * horizon, stripe, oid and file of the table, [lower parts,] upper parts.
 *
 * A row that is found is the version that was read (version.h), because nobody has put rows to other places and left them
 * their xmin meanwhile, as CLUSTER and VACUUM FULL do: the file is the one that was read. So what is found is a part of what
 * was read, and the number tells whether it is all of it. That range and stripe are asked for as well costs little; no
 * mistake about places may write a row of another stripe.
 */
void pawl_stmt_set_places(pawl_strbuf *b, const pawl_job *job, bool has_lower, int same);

/* Fetch rows by their keys through the index, so that the server prunes their pages: key arrays. */
void pawl_stmt_probe(pawl_strbuf *b, const pawl_job *job);

typedef struct pawl_set_shape
{
    bool has_lower;
    int same;         /* as in pawl_write_shape */
    int first_stripe; /* only the stripes from this one on ... */
    int per_set;      /* ... and if this is not 0, only so many of them; first_stripe is a multiple of it */
} pawl_set_shape;

/*
 * Make of an UPDATE without answer one that says how many rows were written, and for how many of them `where` holds as
 * they are now.
 */
void pawl_stmt_recheck(pawl_strbuf *b, const pawl_job *job);

/* Is a row left for which `where` holds? One row if so, none else. No parameters. */
void pawl_stmt_left(pawl_strbuf *b, const pawl_job *job);

/* UPDATE by expressions over a range: [lower parts] upper parts. */
void pawl_stmt_set(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape);

/*
 * Behind it, the same of the rows that were committed by others since the read and that it has not written: [lower parts]
 * upper parts, horizon of the read. What a trigger wrote of them in a transaction within ours is ours. `is_question`: one
 * row, if there are such rows.
 */
void pawl_stmt_set_young(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape, bool is_question);

/*
 * Rows by their keys: key arrays. `lock`: FOR NO KEY UPDATE, columns ordinal, xmin, key, read; else only the ordinals
 * of those that are there.
 */
void pawl_stmt_lookup(pawl_strbuf *b, const pawl_job *job, bool lock);

/*
 * For `into`: lock the rows that were read, each by key and version. Parameters: [lower parts, upper parts,] keys,
 * horizon, [xmins]; with ordinals the number of rows last. Answers how many there are still, or the ordinals of those that are
 * not. No more than a number goes over the wire while the rows are locked.
 */
void pawl_stmt_lock(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape);

/* INSERT into job->target from arrays, one for each written column; with `merge` ON CONFLICT DO UPDATE. */
void pawl_stmt_insert(pawl_strbuf *b, const pawl_job *job);

/* COPY job->target (written columns) FROM STDIN */
void pawl_stmt_copy(pawl_strbuf *b, const pawl_job *job);

/*
 * The same for rows of which `columns` are wanted: ordinal, xmin, key, columns, locked unless the job locks no rows.
 * `with_where` false: whether or not `where` chooses them.
 */
void pawl_stmt_lookup_rows(pawl_strbuf *b, const pawl_job *job, bool with_where,
                           const pawl_column *const *columns, int ncolumns);

/* Which keys are there: key arrays. Columns: ordinal, and whether `where` chooses the row. Nothing is locked. */
void pawl_stmt_lookup_there(pawl_strbuf *b, const pawl_job *job);

/* UPDATE by expressions of the rows of these keys, `where` or not: key arrays. Column: ordinal of each that was written. */
void pawl_stmt_set_keys(pawl_strbuf *b, const pawl_job *job);

/* How a column's values travel. */
typedef enum pawl_wire
{
    PAWL_WIRE_INT2,
    PAWL_WIRE_INT4,
    PAWL_WIRE_INT8,
    PAWL_WIRE_TEXT, /* text[], cast by the server */
} pawl_wire;

pawl_wire pawl_wire_of(const pawl_column *column);
uint32_t pawl_wire_element(pawl_wire wire);
uint32_t pawl_wire_array(pawl_wire wire);

/* Whether a value given as text is one of the integers of the wire; true for texts. */
bool pawl_wire_can_hold(pawl_wire wire, const char *text, size_t length);

/* Add a value given as text. False when an integer column got something that is none (a bug of the caller). */
bool pawl_wire_can_add(pawl_wire wire, pawl_pg_array *array, const char *text, size_t length);

#endif
