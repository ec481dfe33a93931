/*
 * copy_turns.h - several workers copy ranges of a table at once and commit them one after the other.
 *
 * A free worker looks for the end of the next range, alone, and gets the range with its number. It copies at its own
 * speed, but commits only when everything before it is committed: one cursor says how far the copy is, and a range is in
 * the shadow table if and only if the cursor is past it. When a range fails, those before it are still committed, those
 * behind it are not, and no further one is handed out.
 *
 *   new -> (take -> found -> await -> committed)* -> leave -> free        fail, from anywhere
 *
 * Threads: new and free run while no other thread knows the object, the rest by any. One internal mutex, a leaf.
 * Memory:  keys are copied; fini frees those of a range.
 */
#ifndef PAWL_ONLINE_COPY_TURNS_H
#define PAWL_ONLINE_COPY_TURNS_H

#include "backfill/keyval.h"

/* The keys in (lo, hi]. */
typedef struct pawl_copy_range
{
    int64_t number; /* from 0 on */
    pawl_keyval lo; /* not set: from the first key on */
    pawl_keyval hi;
    bool is_last;
} pawl_copy_range;

void pawl_copy_range_fini(pawl_copy_range *range);

typedef struct pawl_copy_turns pawl_copy_turns;

/* What lies above the cursor is to be copied, by so many workers, in ranges of so many rows at first. */
PAWL_NODISCARD pawl_status pawl_copy_turns_new(const pawl_keyval *cursor, int workers, int64_t rows,
                                               pawl_copy_turns **out, pawl_error *err);
void pawl_copy_turns_free(pawl_copy_turns *turns);

/* Nothing more is handed out: all is, or something has failed. */
bool pawl_copy_turns_is_over(pawl_copy_turns *turns);

/*
 * Wait until nobody else looks for the end of a range, and look for the end of the next one: its number and lo are
 * filled. *got is false when there is none. Then found, with hi and is_last, or fail.
 */
PAWL_NODISCARD pawl_status pawl_copy_turns_take(pawl_copy_turns *turns, pawl_copy_range *range, bool *got,
                                                pawl_error *err);
PAWL_NODISCARD pawl_status pawl_copy_turns_found(pawl_copy_turns *turns, const pawl_copy_range *range,
                                                 pawl_error *err);

/* A range before this one has failed: it need not be copied any further. */
bool pawl_copy_turns_is_void(pawl_copy_turns *turns, int64_t number);

typedef enum pawl_copy_turn
{
    PAWL_COPY_GO,   /* everything before the range is committed */
    PAWL_COPY_WAIT, /* not yet */
    PAWL_COPY_VOID, /* one before it has failed: roll back */
} pawl_copy_turn;

/* Wait for the turn of the range, until that moment at most. */
pawl_copy_turn pawl_copy_turns_await(pawl_copy_turns *turns, int64_t number, int64_t until_us);
void pawl_copy_turns_committed(pawl_copy_turns *turns, int64_t number);

/* The range has failed; -1: something else has, and what is handed out goes on. Of several failures the first range's counts. */
void pawl_copy_turns_fail(pawl_copy_turns *turns, int64_t number, const pawl_error *failure);

/* Rows of the next range, and what one of so many rows took. */
int64_t pawl_copy_turns_rows(pawl_copy_turns *turns);
void pawl_copy_turns_took(pawl_copy_turns *turns, int64_t rows, int64_t took_us);

/* A worker has ended. */
void pawl_copy_turns_leave(pawl_copy_turns *turns);

/* Wait until then at most; false when every worker has left. */
bool pawl_copy_turns_is_at_work(pawl_copy_turns *turns, int64_t until_us);

/* Once every worker has left: PAWL_OK, or the failure. */
PAWL_NODISCARD pawl_status pawl_copy_turns_outcome(pawl_copy_turns *turns, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_copy_turns, pawl_copy_turns_free);

#endif
