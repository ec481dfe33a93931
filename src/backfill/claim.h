/*
 * claim.h - handing out the table, chunk by chunk, at the frontier.
 *
 * There is no planning pass and nothing in memory: a claim takes over an abandoned chunk, or moves the frontier by one
 * chunk, in the database, so that any number of processes on any number of hosts share a job without a gap. What a
 * claim learns (cursor, fence) holds on this session only; after a lost connection the worker claims again.
 *
 * Threads: each worker has its own claim and session.
 * Memory:  init and fini work on the caller's storage.
 */
#ifndef PAWL_BACKFILL_CLAIM_H
#define PAWL_BACKFILL_CLAIM_H

#include "backfill/job.h"

/* A chunk in our hands: the keys in (lo, hi], done up to the cursor. */
typedef struct pawl_chunk
{
    int64_t id;
    int part;
    int64_t fence;
    int64_t attempts; /* how often it was taken up since it was last given back or a batch of it committed */
    pawl_keyval lo;   /* not set: from the first key on */
    pawl_keyval hi;
    pawl_keyval cursor; /* not set: no batch is committed yet */
    pawl_keyval
        batch_hi; /* set: a batch is half done: of the keys in (cursor, batch_hi] the stripes below `stripe` */
    int stripe;
    char incarnation[40]; /* of the server when it was claimed: what was read in another one is not written */
} pawl_chunk;

typedef enum pawl_claim
{
    PAWL_CLAIM_CHUNK, /* *chunk is ours */
    PAWL_CLAIM_WAIT,  /* everything is handed out, and others are still at work: ask again soon */
    PAWL_CLAIM_NEXT,  /* this part is handed out, and there may be another */
    PAWL_CLAIM_DONE,  /* everything is done, or the job is no longer open */
} pawl_claim;

void pawl_chunk_fini(pawl_chunk *chunk);

/* The lower end of what is left: the cursor, else lo. */
const pawl_keyval *pawl_chunk_from(const pawl_chunk *chunk);

/* The upper end of what may be read at once: batch_hi, else hi. */
const pawl_keyval *pawl_chunk_to(const pawl_chunk *chunk);

/* Who claims. */
typedef struct pawl_claimant
{
    const char *owner;   /* names the worker ("host:pid/n:random"), unique among all that are alive */
    const int64_t *held; /* chunks that it has in hand already: these are passed over */
    int nheld;
} pawl_claimant;

/*
 * Take over a chunk that is ours, or that its holder has left: of any part, or, while others are held, of the
 * job's. *got: the chunk is ours, and says of which part it is.
 */
PAWL_NODISCARD pawl_status pawl_chunk_take_over(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                                const pawl_claimant *who, pawl_chunk *chunk, bool *got,
                                                pawl_error *err);

/* Move the frontier of the job's part by a new chunk of `rows`. Never NEXT for a table in one piece. */
PAWL_NODISCARD pawl_status pawl_chunk_advance(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                              const pawl_claimant *who, int64_t rows, pawl_chunk *chunk,
                                              pawl_claim *out, pawl_error *err);

/* When every part is handed out: WAIT while a chunk is open, else DONE. */
PAWL_NODISCARD pawl_status pawl_chunk_left(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                           pawl_claim *out, pawl_error *err);

/* Renew the lease outside a batch. PAWL_E_LEASE when it is lost. */
PAWL_NODISCARD pawl_status pawl_chunk_renew(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                            const pawl_chunk *chunk, pawl_error *err);

/* Give a chunk back that is held under this fence, in a transaction of its own: the next one need not wait for the lease. */
PAWL_NODISCARD pawl_status pawl_lease_release(int64_t job, int64_t chunk, int64_t fence, pawl_ledger *ledger,
                                              pawl_pg *pg, pawl_error *err);

/* Give it back at once; best effort. */
void pawl_chunk_release(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, const pawl_chunk *chunk);

#endif
