/*
 * writer.h - how a batch gets into the table: one file a way, behind one interface.
 *
 * The worker (worker.c) owns the order of things: read, hold, write, settle, checkpoint, commit. A writer queues its
 * statements into the pipes that the worker sends, and looks at the answers.
 *
 *   queue_read -> take -> [load] -> queue_write -> [incomplete: roll back, is_exact, queue_write again -> settle] -> [finish]
 *   -> checkpoint
 *
 * Threads: a writer belongs to one worker.
 * Memory:  open and close; results stay the worker's.
 */
#ifndef PAWL_BACKFILL_WRITER_H
#define PAWL_BACKFILL_WRITER_H

#include "backfill/address.h"
#include "backfill/claim.h"
#include "backfill/outrows.h"
#include "pg/pipe.h"

/* What a read is asked for. */
typedef struct pawl_reading
{
    const pawl_keyval *from; /* the chunk's cursor or lo */
    const pawl_keyval *hi;
    int64_t rows;
    bool with_ctids;
} pawl_reading;

/* What it brought. */
typedef struct pawl_fetch
{
    pawl_pg_result *rows; /* NULL: nothing was read */
    int64_t asked;        /* rows that it was asked for */
    uint32_t horizon;     /* see version.h */
    int64_t file;         /* with ctids: the table's, see read_file.sql */
} pawl_fetch;

/*
 * One transaction's share of a chunk: the keys in (from, to].
 *
 * In the plain form it is all of them, save those of stripes that a half-done batch of the chunk has behind it. In the
 * striped form it is their stripes from `stripe` to before `next`; several attempts make up the batch, and read,
 * transform and `to` are those of the first.
 */
typedef struct pawl_attempt
{
    const pawl_chunk *chunk;
    const pawl_keyval *from;      /* the chunk's cursor or lo */
    const pawl_pg_result *answer; /* of the read */
    int64_t asked;                /* rows that the read was asked for */
    uint32_t horizon;             /* of the read */
    int64_t file;                 /* of the read */
    pawl_keyval to;
    bool is_end;  /* `to` is the upper end of what the read was asked for */
    bool is_last; /* `to` is the chunk's hi */
    bool is_striped;
    int stripe; /* striped: the first that is written */
    int next;   /* striped: the first that is not */
    pawl_rowset
        *sets; /* of the update writer: one; striped, of `set` as well, one for each `per_set` stripes */
    int per_set;
    pawl_rowset *set;      /* what of them is written now */
    pawl_rejects *rejects; /* rows set aside, to go in with the checkpoint; NULL: there are none */
    bool is_exact;         /* the second try: find out which rows were not written */
    int64_t rows;          /* rows at stake: what a halving halves */
    int64_t read;
    int64_t written;
    int64_t moved;
    int64_t gone;
    int64_t
        updates; /* striped, with the last stripe: updates of this session that the server has counted since ... */
    int64_t hot; /* ... and of these those that stayed in their page */
} pawl_attempt;

typedef struct pawl_writer_kind pawl_writer_kind;

/* What a writer calls while its transform runs; each may be NULL. */
typedef struct pawl_writer_hooks
{
    pawl_status (*tick)(void *ctx, pawl_error *err); /* now and then between rows: to renew a lease */
    void (*log)(void *ctx, const char *text);        /* pawl.log */
    void *ctx;
} pawl_writer_hooks;

typedef struct pawl_writer
{
    const pawl_writer_kind *kind;
    const pawl_job *job;
    pawl_lua *lua;
    pawl_rowset rows;
    pawl_rowset again;    /* rows that moved, second time */
    pawl_address address; /* of the update writer */
    pawl_outrows out;     /* of `into`: instead of the two */
    int insert_slot;      /* of `merge`: where the INSERT stands in the pipe, -1: it does not */
    pawl_rejects rejects; /* of the batch in flight; take begins afresh */
    pawl_strbuf sql;
    pawl_pg_arg *args; /* of the update writer: room for the widest statement */
    pawl_writer_hooks hooks;
} pawl_writer;

struct pawl_writer_kind
{
    const char *name;
    pawl_status (*open)(pawl_writer *w, pawl_error *err);
    void (*close)(pawl_writer *w);
    /* Queue what says where the next batch of at most `rows` ends. Returns the slot of its answer. */
    int (*queue_read)(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_reading *reading);
    /* Look at the answer: fill to, is_end, is_last, rows, read; run the transform into `sets`. */
    pawl_status (*take)(pawl_writer *w, pawl_attempt *attempt, pawl_error *err);
    /* Write what must not wait for us while it keeps rows of the application locked, first in the transaction. Only with a
     * first try, and when has_load says that there is something. NULL: nothing ever. */
    bool (*has_load)(const pawl_writer *w);
    pawl_status (*load)(pawl_writer *w, pawl_pg *pg, pawl_attempt *attempt, pawl_error *err);
    /* Whether the write finds its rows by their places (plan_ctid.sql), else by a range of the key. NULL: never. */
    bool (*is_by_place)(const pawl_attempt *attempt);
    /* Queue the write between hold and SET CONSTRAINTS. Returns its slot, -1 when there is nothing to write. */
    int (*queue_write)(pawl_writer *w, pawl_pg_pipe *pipe, const pawl_attempt *attempt);
    /* Whether the count of the write says that every row is in. Fills written. */
    bool (*is_complete)(pawl_writer *w, const pawl_pg_result *answer, pawl_attempt *attempt);
    /* After an exact write, in its transaction: deal with the rows that were not written. */
    pawl_status (*settle)(pawl_writer *w, pawl_pg *pg, const pawl_pg_result *answer, pawl_attempt *attempt,
                          pawl_error *err);
    /* Behind a write that is complete, in its transaction: rows that came while it waited, of which it does not know. NULL: it
     * would have counted them. */
    pawl_status (*catch_up)(pawl_writer *w, pawl_pg *pg, pawl_attempt *attempt, pawl_error *err);
    /* What cannot stand in the pipe, in its transaction, when every row is accounted for; `pipe` has the answers. NULL:
     * nothing. */
    pawl_status (*finish)(pawl_writer *w, const pawl_pg_pipe *pipe, pawl_attempt *attempt, pawl_error *err);
    /* Say more of a failed write, and make a fault that halving would hide one that ends the run. NULL: nothing. */
    void (*explain)(const pawl_writer *w, pawl_error *err);
    /*
     * The server refuses a batch of one row, because of `why`: add that row to the rejects, in a transaction that holds
     * the chunk. *count is how many rows the batch turned out to have; only 1 is passed over. NULL: such
     * a row always ends the run.
     */
    pawl_status (*condemn)(pawl_writer *w, pawl_pg *pg, const pawl_attempt *attempt, const pawl_error *why,
                           int *count, pawl_error *err);
};

extern const pawl_writer_kind pawl_writer_update; /* Lua: rows out, arrays in */
extern const pawl_writer_kind pawl_writer_keyless_update;
extern const pawl_writer_kind pawl_writer_keyless_set;
extern const pawl_writer_kind pawl_writer_set;  /* SQL expressions over a range of keys */
extern const pawl_writer_kind pawl_writer_into; /* Lua: rows out, rows of another table in */

/* Of a read that brought the batch's rows, their keys behind the version: where the batch ends. For the kinds. */
PAWL_NODISCARD pawl_status pawl_writer_find_end(const pawl_writer *w, pawl_attempt *attempt, pawl_error *err);

/* The probe of a set's pages goes into the pipe: only so does the server prune them. For the kinds. */
void pawl_writer_queue_probe(pawl_writer *w, pawl_pg_pipe *pipe, pawl_rowset *set, pawl_pg_arg *args);

PAWL_NODISCARD pawl_status pawl_writer_open(pawl_writer *w, const pawl_job *job,
                                            const pawl_writer_hooks *hooks, pawl_error *err);
void pawl_writer_close(pawl_writer *w);

#endif
