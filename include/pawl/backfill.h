/*
 * backfill.h - one backfill as a call: move the data of a table in batches, resumable, every row exactly once.
 *
 * A call names its job. When a job of that name is unfinished in the ledger of the database, it is carried on; when it
 * is finished, the call returns at once. The table, the columns, the key and `where` of an unfinished job must be what
 * they were; the Lua file and the pace may change.
 *
 * What is promised: a row that exists when the job starts and keeps its key is transformed exactly once, whatever
 * dies. Rows inserted later below the greatest key of the start may be transformed too; rows whose key changes while
 * the job runs may be missed or done twice.
 *
 * Threads: the call starts its own worker threads and joins them before it returns; the sink is called from the
 *          calling thread only. Several calls may run at once, in threads or processes, also for the same job.
 * Memory:  options are only read; the result is a plain value.
 */
#ifndef PAWL_BACKFILL_H
#define PAWL_BACKFILL_H

#include "pawl/event.h"
#include "pawl/stop.h"

typedef struct pawl_set_expression
{
    const char *column;
    const char *expression; /* SQL over the table's columns */
} pawl_set_expression;

/* What is done about a row that the transform or the server refuses. */
typedef enum pawl_on_error
{
    PAWL_ON_ERROR_STOP,       /* the call fails; the batches before it are committed */
    PAWL_ON_ERROR_SKIP,       /* the row is left as it is; its key and the reason are kept in the ledger */
    PAWL_ON_ERROR_QUARANTINE, /* the same, with its input, and the job ends with findings until it is dealt with */
} pawl_on_error;

/* "stop", "skip", "quarantine". A static string. */
PAWL_API const char *pawl_on_error_name(pawl_on_error on_error);

typedef struct pawl_backfill_options
{
    const char *database;      /* libpq conninfo or URI; NULL: libpq's environment */
    const char *ledger_schema; /* NULL: "pawl"; created when it is missing */
    const char *job;           /* the job's name, 1 to 63 bytes; required */
    const char *table;         /* "schema.name" */
    const char *const *key;    /* NULL: chosen; else the columns of a usable unique index */
    size_t nkey;

    /* Either a Lua transform ... */
    const char *lua_root;    /* the directory that holds transforms/; NULL: "." */
    const char *lua_file;    /* relative to lua_root */
    const char *const *read; /* columns the transform is given; key columns always are */
    size_t nread;
    const char *const *write; /* columns it may set; with `into` those of the other table */
    size_t nwrite;
    const char *into; /* another table: the transform returns rows for it; NULL: in place */
    const char *const
        *merge; /* with `into`: the columns of a unique index, by which rows that are there are updated */
    size_t nmerge;
    bool no_row_locks; /* with `into`: rows are not locked and looked at again before they are written */

    /* ... or SQL expressions. */
    const pawl_set_expression *set;
    size_t nset;

    const char *where;       /* SQL; NULL: every row */
    const char *search_path; /* for `where`, `set` and triggers; NULL: "public" */
    int32_t workers;         /* 0: 2 */
    int32_t batch_rows;      /* 0: found by the time a batch takes */
    int32_t target_ms;       /* 0: 250; how long a batch should take when batch_rows is 0 */
    const pawl_stop *stop;   /* may be NULL */
    pawl_sink sink;
    const char *const *redact; /* columns whose values never appear in errors */
    size_t nredact;
    bool any_plan;          /* start even where the server would not go along the key's index */
    bool restart;           /* a job of this name that was abandoned may be begun anew, with all rows */
    bool subscribers_ready; /* a publication may carry the ledger: its subscribers have the ledger's tables */
    pawl_on_error on_error;
    int64_t max_rejects;   /* the call fails when there are more; 0: 1000 */
    int64_t allow_rejects; /* a job with no more than these of them left is done */
} pawl_backfill_options;

typedef struct pawl_backfill_result
{
    int64_t job_id;
    bool was_resumed;       /* an unfinished job was carried on */
    bool was_done;          /* the job had been finished before this call */
    int64_t rejects;        /* quarantined rows that wait to be dealt with */
    bool has_findings;      /* there are more of them than allow_rejects: the job is not done yet */
    pawl_progress progress; /* totals over all runs of the job */
} pawl_backfill_result;

/*
 * Run it to its end. PAWL_OK also when rows were rejected: look at `has_findings`. PAWL_E_STOPPED on request; PAWL_E_TRANSFORM, PAWL_E_SERVER with the row's key in the detail when
 * a row is at fault: the batches before it are committed, and the same call carries on after the cause is mended.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_backfill(const pawl_backfill_options *options,
                                                  pawl_backfill_result *result, pawl_error *err);

#endif
