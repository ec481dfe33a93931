/*
 * block_pipe.h - blocks of rows from the thread that reads and transforms them to the one that loads them.
 *
 * Bounded, so that a slow loader holds the reader up and not the memory. Either end can give up: the other one learns
 * of it at its next call.
 *
 *   new -> (put ... | take ...) -> free
 *
 * Threads: one puts, one takes.
 * Memory:  what is put is copied; what is taken is the taker's until pawl_block_fini.
 */
#ifndef PAWL_ONLINE_BLOCK_PIPE_H
#define PAWL_ONLINE_BLOCK_PIPE_H

#include "backfill/keyval.h"
#include "online/stream.h"

typedef struct pawl_block
{
    pawl_strbuf bytes;
    bool is_end; /* of a range: no bytes, but what follows */
    bool is_last;
    pawl_keyval hi;
    pawl_stream_counts counts;
} pawl_block;

typedef struct pawl_block_pipe pawl_block_pipe;

/* Holds at most so many blocks, and no further one when there are so many bytes in it. */
PAWL_NODISCARD pawl_status pawl_block_pipe_new(size_t most, size_t most_bytes, pawl_block_pipe **out,
                                               pawl_error *err);
void pawl_block_pipe_free(pawl_block_pipe *pipe);

/* Waits while the pipe is full. The block's contents move into it. PAWL_E_STOPPED when the taker has given up. */
PAWL_NODISCARD pawl_status pawl_block_pipe_put(pawl_block_pipe *pipe, pawl_block *block, pawl_error *err);

/* The reader's end: nothing more will come, because of `err` when it is not PAWL_OK. */
void pawl_block_pipe_close(pawl_block_pipe *pipe, pawl_status st, const pawl_error *err);

/* Whether there is something to be taken, a failure too, before so many milliseconds have passed. */
bool pawl_block_pipe_has_something(pawl_block_pipe *pipe, int64_t within_ms);

/* The loader has given up: for a reader that waits for something else. */
bool pawl_block_pipe_is_given_up(pawl_block_pipe *pipe);

/* Waits for a block. The reader's failure when it has failed and all before has been taken. */
PAWL_NODISCARD pawl_status pawl_block_pipe_take(pawl_block_pipe *pipe, pawl_block *out, pawl_error *err);

/* The loader's end: what is put from now on is refused. */
void pawl_block_pipe_give_up(pawl_block_pipe *pipe);

void pawl_block_fini(pawl_block *block);

PAWL_DEFINE_AUTO(pawl_block_pipe, pawl_block_pipe_free);

#endif
