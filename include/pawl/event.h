/*
 * event.h - what running work tells its caller.
 *
 * Long calls take a sink. They report each thing that happens as one event: a message, a step that began or ended, the
 * progress of a job. The library writes to no stream; a program turns events into bars, lines or JSON.
 *
 * Threads: the sink is called from one thread at a time (the one that made the long call), never while a lock is held.
 * Memory:  an event and its strings live until the sink returns.
 */
#ifndef PAWL_EVENT_H
#define PAWL_EVENT_H

#include "pawl/error.h"

typedef enum pawl_event_kind
{
    PAWL_EVENT_DEBUG,          /* details for -v */
    PAWL_EVENT_INFO,           /* something worth a line */
    PAWL_EVENT_WARNING,        /* something a person should look at */
    PAWL_EVENT_TARGET,         /* which server and database will be changed; before the first change */
    PAWL_EVENT_REVISION_BEGIN, /* `revision`, `text` is its description, `count` of `total` */
    PAWL_EVENT_REVISION_END,   /* `elapsed_ms` */
    PAWL_EVENT_STEP_BEGIN,     /* `step` from 1 of `total`; `text` says what it does */
    PAWL_EVENT_STEP_END,       /* `elapsed_ms` */
    PAWL_EVENT_STEP_SKIPPED,   /* `text` says why */
    PAWL_EVENT_WAITING,        /* `text` names what is waited for, and who holds it */
    PAWL_EVENT_PROGRESS,       /* `progress` is set; about four times a second */
    PAWL_EVENT_BENCH_CELL,     /* one cell of a benchmark was measured; `text` says which */
} pawl_event_kind;

/* A snapshot of a running data step. */
typedef struct pawl_progress
{
    int64_t job_id;
    int64_t rows_total; /* an estimate from the statistics of the server; 0 when unknown */
    int64_t rows_read;  /* done, over all runs of this job */
    int64_t rows_written;
    int64_t rows_moved; /* changed by others between read and write, and done again */
    int64_t rows_gone;  /* deleted by others between read and write */
    int64_t rows_rejected;
    int64_t batches;
    int64_t rows_this_run;
    int64_t elapsed_ms; /* of this run */
    double rows_per_s;  /* over the last seconds */
    int64_t eta_ms;     /* -1 when unknown */
    int32_t workers;    /* now at work */
    int32_t batch_rows; /* the size batches have now */
    char holding[128];  /* what holds it back, or empty: "waiting for a lock on ...", "reconnecting", ... */
} pawl_progress;

typedef struct pawl_event
{
    pawl_event_kind kind;
    const char *revision; /* NULL when it is not about one */
    int32_t step;         /* from 1; 0 when it is not about a step */
    int32_t count;
    int32_t total;
    int64_t elapsed_ms;
    const char *text; /* may be NULL */
    const pawl_progress *progress;
} pawl_event;

typedef struct pawl_sink
{
    void (*emit)(void *ctx, const pawl_event *event); /* NULL: events are dropped */
    void *ctx;
} pawl_sink;

/* The stable name of a kind, as it stands in JSON: "progress", "step_begin", ... A static string. */
PAWL_API const char *pawl_event_kind_name(pawl_event_kind kind);

#endif
