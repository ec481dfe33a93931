/*
 * sqlstate.h - what an SQLSTATE asks of us; the one place that reads these codes.
 *
 * The table is that of docs/faults.md. An empty code on a failed call says nothing by itself: whether the connection
 * is gone is told by the session (pawl_pg_is_usable), and an error of code PAWL_E_CONNECT is FAULT_CONNECTION
 * unless the server said that another connection would fare no better (57P04, 3D000, class 28). An SQLSTATE of a
 * class that neither the standard nor PostgreSQL knows was raised by the user's own code: FAULT_ROW.
 *
 * Threads: any thread.
 * Memory:  nothing is allocated.
 */
#ifndef PAWL_CORE_SQLSTATE_H
#define PAWL_CORE_SQLSTATE_H

#include "core/error.h"

typedef enum pawl_fault
{
    PAWL_FAULT_CONNECTION, /* back off, connect again, claim again */
    PAWL_FAULT_REPEAT,     /* roll back, repeat the same with jitter */
    PAWL_FAULT_LOCK,       /* 55P03: repeat smaller, then wait; name the blocker */
    PAWL_FAULT_CANCELLED, /* 57014: our own time-out asks for a smaller batch; somebody's cancel for a pause */
    PAWL_FAULT_ROW,       /* a row is at fault: halve by key range down to it */
    PAWL_FAULT_READ,      /* 22021, 22P05: as ROW, also when only reading */
    PAWL_FAULT_SMALLER,   /* a resource limit: smaller batch, at one row stop */
    PAWL_FAULT_DISK,      /* stop, resumable, say what is needed */
    PAWL_FAULT_PLAN,      /* a cached plan or statement is stale: connect again once, then stop */
    PAWL_FAULT_LEASE,     /* PW001: drop everything, claim */
    PAWL_FAULT_INTERNAL,  /* XX000: once more for schema steps, then stop */
    PAWL_FAULT_CORRUPT,   /* stop; never skipped, never quarantined */
    PAWL_FAULT_STOP,      /* anything else: stop at once, resumable */
} pawl_fault;

/* The answer to a failed call, from its code and SQLSTATE. */
pawl_fault pawl_fault_of(const pawl_error *err);

/* The same from an SQLSTATE alone; NULL and "" are FAULT_STOP. */
pawl_fault pawl_fault_of_sqlstate(const char *sqlstate);

/* The name of a fault class for logs. A static string. */
const char *pawl_fault_name(pawl_fault fault);

#endif
