/*
 * rowset.h - the rows of one batch on their way from READ through the transform into the arrays of an UPDATE.
 *
 *   init -> (reset -> transform -> args ...)* -> fini
 *
 * Threads: belongs to one worker.
 * Memory:  buffers are kept between batches; results given to transform must live until the next reset.
 */
#ifndef PAWL_BACKFILL_ROWSET_H
#define PAWL_BACKFILL_ROWSET_H

#include "backfill/reject.h"
#include "backfill/stmt.h"
#include "backfill/version.h"

typedef struct pawl_rowset
{
    const pawl_job *job;
    int count;   /* rows to write; ordinals are 1 to count */
    int *source; /* for each the row of the result it came from */
    size_t source_capacity;
    pawl_pg_array *keys;
    pawl_versions versions;
    pawl_pg_array ctids;   /* where the read brought them */
    pawl_pg_array *probes; /* with ctids: the key of the first row of each page */
    uint32_t last_page;    /* with ctids: of the last row */
    pawl_pg_array *values;
    pawl_pg_array *masks;
    bool *is_masked;       /* some row leaves this column alone */
    pawl_rejects *rejects; /* where bad rows go; NULL: the first of them is a failure */
    int64_t left;          /* rows that the transform left alone, or that would not change */
    char tried[280];       /* of a batch of one row: what is to be written, for messages */
} pawl_rowset;

/* What transform needs beside the rows. */
typedef struct pawl_rowset_source
{
    const pawl_pg_result *rows;
    int first;        /* column of the version (version.h); key and read columns follow */
    int ctid;         /* column of ctid; 0: there is none */
    int first_stripe; /* rows of stripes below it are passed over: they are done */
    int per_set; /* 0: all rows go into the one set; else so many stripes share each of an array of sets */
    pawl_lua *lua;
    pawl_status (*tick)(void *ctx,
                        pawl_error *err); /* now and then between rows: to renew a lease; may be NULL */
    void *tick_ctx;
} pawl_rowset_source;

PAWL_NODISCARD pawl_status pawl_rowset_init(pawl_rowset *set, const pawl_job *job, pawl_error *err);
void pawl_rowset_fini(pawl_rowset *set);

/* For rows of another read: its horizon, see version.h. */
void pawl_rowset_reset(pawl_rowset *set, uint32_t horizon);

/*
 * Run the transform over the rows and take up those that change. PAWL_E_TRANSFORM (with the row's key in the detail)
 * when it fails or rejects a row and `rejects` is NULL; else such rows are added to it. A `batch` function that fails as
 * a whole is run again over halves, down to the rows that make it fail.
 */
PAWL_NODISCARD pawl_status pawl_rowset_transform(pawl_rowset *set, const pawl_rowset_source *source,
                                                 pawl_error *err);

/* Of rows that no transform sees, striped: where they are, and the probes and versions; no keys and no values. */
PAWL_NODISCARD pawl_status pawl_rowset_places(pawl_rowset *sets, const pawl_rowset_source *source,
                                              pawl_error *err);

/*
 * Which rows a transform is given next, where bad rows are set aside: all that are left; or, when a `batch` has raised as
 * a whole, which tells no row, the first half of those among which a bad one is known to be.
 */
typedef struct pawl_row_search
{
    int offset; /* the next run: from here ... */
    int end;    /* ... to before this one; offset is the end of all when nothing is left */
    int suspect;
    int total;
} pawl_row_search;

void pawl_row_search_begin(pawl_row_search *s, int total);
/* The run over [offset, end) passed. */
void pawl_row_search_pass(pawl_row_search *s);
/* It raised at so many rows from its offset, -1: as a whole. Returns the row that is bad, -1: not known yet. */
int pawl_row_search_fail(pawl_row_search *s, int failed);

/* How many rows the transform has seen for this set. */
int64_t pawl_rowset_read(const pawl_rowset *set);

/* The arguments of pawl_stmt_probe. */
int pawl_rowset_probe_args(pawl_rowset *set, pawl_pg_arg *args);

/* The arguments of pawl_stmt_write after those of the range, ctids first. Returns the new number of arguments. */
int pawl_rowset_args(pawl_rowset *set, pawl_pg_arg *args, int nargs);

/* "(id) = (42)": the key of a row, for messages. */
void pawl_rowset_describe(const pawl_job *job, const pawl_pg_result *res, int row, int first_key, char *out,
                          size_t size);

#endif
