/*
 * worker.h - one worker: one thread, one session, one Lua state, one chunk at a time.
 *
 * What the threads of a run share is in pawl_run: the job (read-only), the meter, the pace, and the run's end. A
 * worker touches nothing else of another's. Nothing retries at two levels: every failure comes back to the worker's
 * loop, which decides from its fault class alone (worker_fault.c).
 *
 * Threads: pawl_worker_main is a thread's body; the struct is its own between create and join.
 * Memory:  the run owns the workers.
 */
#ifndef PAWL_BACKFILL_WORKER_H
#define PAWL_BACKFILL_WORKER_H

#include "backfill/control.h"
#include "backfill/form.h"
#include "backfill/part.h"
#include "backfill/writer.h"
#include "core/backoff.h"
#include "core/sqlstate.h"
#include "util/lock.h"

#define PAWL_RUN_LOGS 8 /* lines of pawl.log between two looks of the coordinator */

/* Protected by the run's lock. */
struct pawl_run_end
{
    int at_work;  /* workers that have not ended */
    bool is_over; /* one found nothing left to do, or failed: no more are started */
    bool has_failed;
    pawl_error error; /* of the first that failed: it wins, the others end after their batch */
    int nlogs;
    int64_t logs_lost; /* since the last look */
    char logs[PAWL_RUN_LOGS][240];
};

typedef struct pawl_run
{
    const pawl_job *job;
    pawl_meter *meter;
    pawl_pace *pace;
    pawl_control *control;
    pawl_form *form;
    pawl_mutex lock;
    pawl_cond changed;
    struct pawl_run_end end_;
} pawl_run;

typedef struct pawl_worker
{
    pawl_run *run;
    const pawl_job *job; /* as it is for the part at hand: for an ordinary table that of the run */
    int number;          /* from 0 */
    pthread_t thread;
    bool has_left;   /* under the run's lock: the thread is at its end */
    bool is_surplus; /* it leaves because there are to be fewer */
    char owner[160];
    pawl_pg *pg;
    pawl_ledger *ledger;
    pawl_job part;      /* of a divided job the part at hand, when `job` points at it */
    int64_t file;       /* of a table without a key: where the rows of the chunk at hand lie */
    int first_part;     /* those before it are handed out */
    pawl_writer writer; /* for `job`; of a divided job only while a part is at hand */
    pawl_writer_hooks hooks;
    pawl_chunk chunk; /* in hand: worked on in the plain form */
    bool has_chunk;
    int64_t took; /* rows of the transaction, where that was a part of a batch; -1: all that were at stake */
    bool is_dry;  /* the last claim found nothing to be had */
    int64_t idle_ms;              /* how long it waited last, with nothing to be had; 0: it did not */
    struct pawl_flights *flights; /* NULL: the job is not written in stripes */
    pawl_fetch next;              /* the read that was sent with the last commit */
    int64_t asked;                /* rows that count against the rate until the batch is over */
    int64_t row_bytes;            /* of a row that was read lately; 0: none was (worker_size.c) */
    int64_t seen_updates;         /* of this session, when they were last looked at: see form_counts.sql */
    int64_t seen_hot;
    int64_t limit;      /* rows while a fault is narrowed down; 0: none */
    int64_t suspects;   /* rows from the cursor on among which a bad one is known to be; 0: none */
    int64_t clean;      /* rows committed since the last one that was set aside for the server's sake */
    bool has_condemned; /* the batch just committed was one row, and that is set aside */
    bool is_narrowing;  /* since a lock was met, and until a batch of full size gets in */
    int64_t renewed_us; /* when the lease was last renewed, as far as we know */
    pawl_backoff backoff;
    pawl_fault last_fault;
    int repeats; /* failures of one kind in a row; a committed batch ends the row */
    int cancels;
    char at_fault[200]; /* the key of a batch of one row that failed */
    bool has_replanned; /* reconnected once because of a stale plan */
    char lost[300];     /* why the last connection or lease was lost */
} pawl_worker;

void *pawl_worker_main(void *worker);

/* Tell whoever asked (env->on_batch) about a committed batch, one worker at a time. */
void pawl_run_note_batch(pawl_run *run, int64_t rows, int64_t elapsed_us);

/* The parts of a batch; on success each has done what it is called for, and what was fetched is the caller's. */
PAWL_NODISCARD pawl_status pawl_worker_read(pawl_worker *w, const pawl_reading *reading, pawl_fetch *out,
                                            pawl_error *err);

/* Begin, and hold the chunk, with nothing to write. */
PAWL_NODISCARD pawl_status pawl_worker_hold(pawl_worker *w, pawl_error *err);

/* Write until every row is accounted for. The transaction stays open. */
PAWL_NODISCARD pawl_status pawl_worker_write(pawl_worker *w, pawl_attempt *attempt, pawl_error *err);

/* Checkpoint and commit, move the chunk, count; and read on (`next` may be NULL; no rows when only that failed). */
PAWL_NODISCARD pawl_status pawl_worker_commit(pawl_worker *w, pawl_chunk *chunk, const pawl_attempt *attempt,
                                              const pawl_reading *next, pawl_fetch *fetched, pawl_error *err);

/* Rows of a batch in the plain form, by the pace and the rate. */
int64_t pawl_worker_rows(const pawl_worker *w);

/* Tell the pace, and whoever asked, how long a batch took, in so many transactions: the pace goes by one of them, which is
 * for how long rows are locked. */
void pawl_worker_timed(pawl_worker *w, int64_t rows, int64_t elapsed_us, int transactions);

/* One batch of the worker's chunk: read, transform, write, checkpoint, commit. *rows is what was at stake. */
PAWL_NODISCARD pawl_status pawl_worker_batch(pawl_worker *w, int64_t *rows, pawl_error *err);

/*
 * A chunk to work on, taken over or of `rows` rows; `job` and `writer` are then those of its part (worker_part.c). While
 * `who` holds other chunks only one of the same part is given, and NEXT says that there is none.
 */
PAWL_NODISCARD pawl_status pawl_worker_claim(pawl_worker *w, const pawl_claimant *who, int64_t rows,
                                             pawl_claim *out, pawl_error *err);

/* As many of `rows` as fit into memory when a read brings them, and `answers` reads are held at a time. */
int64_t pawl_worker_fit(const pawl_worker *w, int64_t rows, int answers);
void pawl_worker_note_width(pawl_worker *w, const pawl_pg_result *answer);

/* Close the writer and the part. */
void pawl_worker_leave(pawl_worker *w);

/* Did the call fail because the part's table is gone? It is ended then, and there is nothing to answer for. */
bool pawl_worker_has_lost_part(pawl_worker *w, const pawl_error *err);

/*
 * After a failure of a batch: where that is the fault of its one row, and the step sets such rows aside, pass over the row
 * in a transaction of its own. False when the failure stands; it may have become another.
 */
bool pawl_worker_has_condemned(pawl_worker *w, pawl_attempt *attempt, pawl_error *err);

/* A batch is in: what went wrong before is over, and the next one gets its size. `rows`: that it had. */
void pawl_worker_forgive(pawl_worker *w, int64_t rows);

/* Forget what was read ahead. */
void pawl_worker_drop_next(pawl_worker *w);

typedef enum pawl_answer
{
    PAWL_ANSWER_AGAIN, /* the same chunk again, from its cursor */
    PAWL_ANSWER_CLAIM, /* forget the chunk and claim */
    PAWL_ANSWER_FAIL,  /* this is the end of the run */
} pawl_answer;

/*
 * What to do about a failed call; waits, reconnects and shrinks as the fault asks. `rows`: at stake in the batch, 0
 * outside one. `err` may be replaced when the answer is FAIL.
 */
PAWL_NODISCARD pawl_answer pawl_worker_answer(pawl_worker *w, int64_t rows, pawl_error *err);

/* Open the worker's session. */
PAWL_NODISCARD pawl_status pawl_worker_connect(pawl_worker *w, pawl_error *err);

#endif
