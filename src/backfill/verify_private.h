/*
 * verify_private.h - what the two halves of verify share: the run (verify.c) and the comparing of rows (compare.c).
 *
 * Threads: a checker belongs to one thread; findings of all go through the run's lock.
 * Memory:  texts of findings live in the run's arena, which only the holder of the lock touches.
 */
#ifndef PAWL_BACKFILL_VERIFY_PRIVATE_H
#define PAWL_BACKFILL_VERIFY_PRIVATE_H

#include "backfill/verify.h"
#include "util/lock.h"

/* Protected by the run's lock. */
struct pawl_verify_shared
{
    int at_work;
    size_t next; /* chunk to be handed out */
    bool has_failed;
    pawl_error error; /* of the first that failed */
    int64_t rows;
    int64_t rows_left;
    int64_t differences;
    int64_t after;
    pawl_arena *arena;
    pawl_verify_difference *list;
    size_t *order; /* for each of the list the number of its chunk and row: to sort by */
    size_t nlist;
    size_t most;
};

typedef struct pawl_verify_chunk
{
    pawl_keyval lo;
    pawl_keyval hi;
} pawl_verify_chunk;

typedef struct pawl_checking
{
    const pawl_job *job;
    const pawl_sample_shape *shape;
    const pawl_verify_job *was;
    pawl_verify_chunk *chunks;
    size_t nchunks;
    pawl_mutex lock;
    pawl_cond changed;
    struct pawl_verify_shared shared_;
} pawl_checking;

static inline struct pawl_verify_shared *
pawl_checking_shared(pawl_checking *run) PAWL_REQUIRES(&run->lock)
{
    return &run->shared_;
}

/* What one thread compares with. */
typedef struct pawl_checker
{
    pawl_checking *run;
    pawl_pg *pg;
    pawl_lua *lua; /* NULL: `set` */
    pawl_trial trial;
    pawl_arena *arena; /* of the rows at hand */
    pthread_t thread;
} pawl_checker;

PAWL_NODISCARD pawl_status pawl_checker_open(pawl_checker *c, pawl_checking *run, pawl_error *err);
void pawl_checker_close(pawl_checker *c);

/* Compare the rows of a result; `order` says where they belong in the list of differences. */
PAWL_NODISCARD pawl_status pawl_checker_compare(pawl_checker *c, const pawl_pg_result *res, size_t order,
                                                pawl_error *err);

#endif
