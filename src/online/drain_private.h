/*
 * drain_private.h - what the files of drain.h share.
 *
 * Threads: a drain belongs to one thread.
 * Memory:  as drain.h.
 */
#ifndef PAWL_ONLINE_DRAIN_PRIVATE_H
#define PAWL_ONLINE_DRAIN_PRIVATE_H

#include "online/drain.h"

struct pawl_drain
{
    pawl_drain_options options;
    pawl_pg *pg;
    pawl_ledger *ledger;
    char owner[160];
    int64_t fence;
    int64_t rows; /* of the next slice */
    bool is_crowded;
    bool was_all;    /* the last slice was the whole log */
    int64_t crowded; /* tries with the whole log */
    int64_t floor;
    int64_t mark;     /* an id that was seen; 0: none */
    int64_t seen_by;  /* ... by this transaction of ours ... */
    int64_t mark_xid; /* ... and this transaction began later; 0: none has yet */
    int64_t entries;
    int64_t written;
    char why[480];
    char key[200]; /* of the last slice, when it had one row: "id = 7" */
    int careful;   /* slices that do not grow, while a row at fault is looked for */
};

/* A session, and chunk 0. Nothing that was learned on a connection outlives it: neither the fence nor the floor. */
PAWL_NODISCARD pawl_status pawl_drain_connect(pawl_drain *d, pawl_error *err);

/* drain_loop.c: unique values met: is there a larger slice to be tried? */
bool pawl_drain_can_grow(pawl_drain *d, const pawl_error *err);

#endif
