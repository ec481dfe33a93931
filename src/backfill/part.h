/*
 * part.h - the parts of a job: one for a table in one piece, one for each leaf partition of a partitioned table, or for
 * each table of an INHERITS family.
 *
 * A part is worked through like a table of its own, under its own name: it has a key (its own unique index), a bound
 * and a frontier, and is known by its oid. The list stands in the ledger only, so that thousands of partitions cost no
 * memory and any number of processes share it; a worker loads the part at hand.
 *
 *   draft each member -> (the job is created) insert -> workers: next, open, ... close -> look again before the end
 *
 * Partitions that appear while the job runs become parts when they are found; those that are detached or dropped end
 * theirs. Rows that an update moves from one to another are gone from the one, and may be missed in the other.
 *
 * Threads: each call belongs to the thread of its session; a part that is open belongs to its worker.
 * Memory:  a list of drafts lives in the arena of its job, and is given back with fini; a part with close.
 */
#ifndef PAWL_BACKFILL_PART_H
#define PAWL_BACKFILL_PART_H

#include "backfill/job.h"

/* A part as it is before it stands in the ledger. */
typedef struct pawl_part_draft
{
    uint32_t oid;
    const char *name; /* "schema.table", for people */
    const char **key;
    int nkey;
    const char *collations;
    const char *fingerprint;
    pawl_keyval bound; /* not set: it was empty */
    int64_t rows_estimate;
} pawl_part_draft;

typedef struct pawl_part_drafts
{
    pawl_part_draft *list;
    size_t count;
    size_t capacity;
} pawl_part_drafts;

void pawl_part_drafts_fini(pawl_part_drafts *drafts);

/*
 * Draft the one part of a table in one piece, or check and draft every member of a divided one. The bounds are those of
 * now: writers in flight must have ended. With `is_check` nothing is drafted. Outside a transaction.
 */
PAWL_NODISCARD pawl_status pawl_parts_draft(const pawl_job *job, pawl_pg *pg, bool is_check,
                                            pawl_part_drafts *out, pawl_error *err);

/* Record them, numbered from `first` on. Inside a transaction. */
PAWL_NODISCARD pawl_status pawl_parts_insert(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                             const pawl_part_drafts *drafts, int first, pawl_error *err);

/*
 * Compare the parts of a divided table with its members: new ones are added, those that are gone are ended, those that
 * have come back are opened again. *found: there is work again.
 */
PAWL_NODISCARD pawl_status pawl_parts_look(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, bool *found,
                                           pawl_error *err);

/* The first part from `from` on that is not handed out to its end; *number is -1 when there is none. */
PAWL_NODISCARD pawl_status pawl_part_next(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, int from,
                                          int *number, pawl_error *err);

/*
 * Load part `number` of a divided job. PAWL_E_STATE when its table is not as it was. *is_there is false, and `part` not
 * to be used, when the part has ended, or its table no longer belongs to the job's: then it is ended.
 */
PAWL_NODISCARD pawl_status pawl_part_open(pawl_job *part, const pawl_job *job, pawl_ledger *ledger,
                                          pawl_pg *pg, int number, bool *is_there, pawl_error *err);

/* The same for its rejects: also a part that has ended, when its table belongs to the job's again. */
PAWL_NODISCARD pawl_status pawl_part_open_rejects(pawl_job *part, const pawl_job *job, pawl_ledger *ledger,
                                                  pawl_pg *pg, int number, bool *is_there, pawl_error *err);
void pawl_part_close(pawl_job *part);

/* After a failure: end the part when its table, of this oid, no longer belongs to the job's, and say so in *is_gone. */
PAWL_NODISCARD pawl_status pawl_part_end_if_gone(const pawl_job *part, uint32_t oid, pawl_ledger *ledger,
                                                 pawl_pg *pg, bool *is_gone, pawl_error *err);

#endif
