/*
 * error.h - how every call of libpawl reports failure.
 *
 * A call that can fail returns a pawl_status and fills the caller's pawl_error. On success the record is untouched;
 * on failure every other output is untouched. The record is a plain value of fixed size: assign it between threads,
 * keep it as long as you like, free nothing.
 *
 * Threads: a record belongs to one thread at a time; the functions hold no state.
 * Memory:  nothing is allocated; texts that do not fit are cut and end in "...".
 */
#ifndef PAWL_ERROR_H
#define PAWL_ERROR_H

#include "pawl/api.h"

typedef enum pawl_status
{
    PAWL_OK = 0,
    PAWL_E_USAGE,     /* a wrong argument: command line, or a caller of the API */
    PAWL_E_NOMEM,     /* memory ran out */
    PAWL_E_IO,        /* a file or directory could not be read or written */
    PAWL_E_INPUT,     /* a file that a user wrote is wrong: settings, revision, SQL, Lua */
    PAWL_E_CONNECT,   /* no connection could be made, or the one there was is gone */
    PAWL_E_SERVER,    /* the server refused a statement; `sqlstate` says why */
    PAWL_E_TRANSFORM, /* a transform raised an error or returned what it may not */
    PAWL_E_LEASE,     /* our lease was taken over: nothing more may be written under it (SQLSTATE PW001) */
    PAWL_E_BUSY,      /* somebody else holds what is needed: the runner lease, a lock */
    PAWL_E_STATE,     /* the ledger says that this cannot be done now */
    PAWL_E_REFUSED,   /* pawl cannot guarantee the outcome and will not start */
    PAWL_E_STOPPED,   /* stopped on request; what is done is committed and the work can be resumed */
    PAWL_E_FINDINGS,  /* it ran, and found something that needs a person's eye */
    PAWL_E_BUG,       /* an invariant of pawl itself is broken */
} pawl_status;

typedef struct pawl_error
{
    pawl_status code;
    char sqlstate[6]; /* five characters, or empty when the server gave none */
    int line;         /* place in `file`, from 1; 0 when there is none */
    int column;
    char file[240];    /* the user's file that is at fault, or empty */
    char message[640]; /* what was attempted and what went wrong: lower case, no full stop */
    char detail[640];  /* facts: the row's key, the statement, the server's DETAIL */
    char hint[480];    /* what to do about it */
} pawl_error;

#define PAWL_ERROR_INIT \
    {                   \
        .code = PAWL_OK \
    }

/* The short name of a status, for logs and JSON: "ok", "usage", "connect", ... A static string. */
PAWL_API const char *pawl_status_name(pawl_status status);

#endif
