/*
 * version.h - which version of a row was read, so that nothing but that version is written over.
 *
 * Between the read and the write of a batch nothing is locked. A row that others have changed in between has another
 * xmin, and an UPDATE that asks for the xmin that was read does not touch it. But hardly any row has been written lately,
 * and of one that has not, less is enough. The read begins by noting the horizon: the oldest transaction that is
 * running then (pg_snapshot_xmin). Whatever is older has ended, and the read sees what it did. So a version older
 * than the horizon that is alive at the write is the one that was read: whatever had taken its place would come from a
 * transaction that the read did not see, which is none older than the horizon. Such rows are read with NULL for their
 * xmin, and written where the xmin is older than the horizon still; only those of younger transactions have their xmin
 * sent, kept and compared one by one.
 *
 * "Older" is by age(), which compares modulo 2^32 and puts frozen ids (of clusters that were upgraded from before 9.4)
 * before all others. The raw xmin of a row that was frozen long ago may be so far away that it looks younger: then it is
 * sent, and compared for equality, which is right for any number. After a crash of the server transaction ids are used
 * again; hold() knows that by the server's incarnation and refuses the chunk.
 *
 *   init -> (reset -> add ... -> args)* -> fini
 *
 * Threads: belongs to one worker.
 * Memory:  buffers are kept between batches; arguments point into them.
 */
#ifndef PAWL_BACKFILL_VERSION_H
#define PAWL_BACKFILL_VERSION_H

#include "pg/arg.h"
#include "pg/result.h"
#include "pg/sqlbuf.h"

/*
 * Stands in an array for "older than the horizon": the bootstrap xid, which no row of a table that anybody made has. Not the
 * frozen one: rows that came through pg_upgrade from before 9.4 have it, and those that are locked are told by equality.
 */
#define PAWL_XMIN_OLD 1

typedef struct pawl_versions
{
    uint32_t horizon; /* 0: there is none, each row has its xmin */
    bool all_old;
    pawl_pg_array xmins;
    char text[12];
} pawl_versions;

void pawl_versions_init(pawl_versions *v);
void pawl_versions_fini(pawl_versions *v);

/* For rows of another read: its horizon, 0 for rows that are locked and so have none. */
void pawl_versions_reset(pawl_versions *v, uint32_t horizon);

/* The version of a row, as the column of pawl_version_read_sql says. */
void pawl_versions_add(pawl_versions *v, const pawl_pg_result *rows, int row, int column);

/* The arguments of pawl_version_match_sql: the horizon, and unless all are old `xmins`. Returns the new number. */
int pawl_versions_args(pawl_versions *v, pawl_pg_array *xmins, pawl_pg_arg *args, int nargs);

/* What a read without locks selects: NULL for an old row. The transaction has to have run plan_read.sql. */
void pawl_version_read_sql(pawl_strbuf *b);

/* Whether t is the version that was read. `horizon` is a parameter; `xmin` an expression, or NULL when all are old. */
void pawl_version_match_sql(pawl_strbuf *b, int horizon, const char *xmin);

#endif
