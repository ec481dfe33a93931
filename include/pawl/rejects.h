/*
 * rejects.h - the rows that a data step has set aside: look at them, and try them again.
 *
 * A step with `on_error: quarantine` or `skip` sets aside what its transform or the server refuses. Listing only reads.
 * A retry takes the quarantined rows as they are now, transforms and writes them, and marks each as done or once more
 * refused, in one transaction a batch: killed anywhere, it has lost and doubled nothing, and the same call goes on.
 *
 * A swap or a rewrite with `rejects: write_null` writes NULL for such rows. A retry puts them into the log of changes, and
 * the upgrade that runs, or the next one, transforms them again; behind the cut-over there is none.
 *
 * Threads: as project.h.
 * Memory:  reports belong to the caller and go back through their free function.
 */
#ifndef PAWL_REJECTS_H
#define PAWL_REJECTS_H

#include "pawl/project.h"

typedef struct pawl_reject
{
    int64_t id;
    const char *table;    /* "public.t"; of a partitioned table the partition */
    const char *key;      /* "(id) = (42)" */
    const char *key_json; /* {"id": "42"} */
    const char *input;    /* a JSON object of texts as PostgreSQL prints them; "{}" where none is kept */
    const char *sqlstate; /* "" when it was the transform */
    const char *message;
    const char *state; /* open, skipped, nulled, done, gone, unmatched */
    int32_t attempts;
    const char *at; /* ISO, UTC: when it was refused last, or dealt with */
} pawl_reject;

/* Rows in each state. */
typedef struct pawl_reject_counts
{
    int64_t open;      /* wait to be dealt with */
    int64_t skipped;   /* nothing waits for them */
    int64_t done;      /* written by a retry, or left alone by the transform then */
    int64_t gone;      /* no longer there when they were retried */
    int64_t unmatched; /* no longer chosen by `where:` then */
    int64_t nulled;    /* have NULL, and go live so or have gone */
} pawl_reject_counts;

typedef struct pawl_rejects_report
{
    const char *target;
    int64_t job;
    const char *job_state; /* open, done, findings, abandoned */
    const char *revision;
    int32_t step;
    const char *table;
    pawl_reject_counts counts;
    pawl_reject *list; /* in the order in which they were set aside, as far as `most` goes */
    size_t nlist;
    int64_t chosen; /* how many there are of those that the list is of */
    void *memory;
} pawl_rejects_report;

typedef struct pawl_rejects_options
{
    const char *job; /* the number of a job, or a revision; required */
    int32_t step;    /* with a revision: from 1; 0: its only backfill */
    bool is_all;     /* those that a retry has dealt with as well; else open, skipped and nulled ones */
    int64_t most;    /* rows in the list; 0: all */
} pawl_rejects_options;

/* PAWL_E_STATE when there is no such job. */
PAWL_API PAWL_NODISCARD pawl_status pawl_rejects_list(pawl_project *project, const pawl_rejects_options *what,
                                                      const pawl_run_options *options,
                                                      pawl_rejects_report **out, pawl_error *err);
PAWL_API void pawl_rejects_report_free(pawl_rejects_report *report);

/* What a retry has done. */
typedef struct pawl_retry_outcome
{
    int64_t job;
    char revision[40];
    int32_t step;
    int64_t done;      /* written, or left alone by the transform */
    int64_t refused;   /* once more, and kept with the new reason */
    int64_t gone;      /* no longer there */
    int64_t unmatched; /* no longer chosen by `where:` */
    int64_t left;      /* rejects of the job that still wait to be dealt with */
    bool has_findings; /* the job still waits for them; else `pawl upgrade` goes on */
    int64_t
        queued; /* of a swap or a rewrite: to be transformed again by the upgrade that runs, or the next */
} pawl_retry_outcome;

/*
 * Try the quarantined rows of a job again, as they are now and by the transform as it is now. PAWL_OK also when some are
 * refused again: look at `left`. PAWL_E_STOPPED on request; what is committed is done, and the same call goes on.
 * PAWL_E_STATE when the job was abandoned, or its step says something else by now than when it ran. PAWL_E_REFUSED when the
 * rows have gone live with NULL.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_rejects_retry(pawl_project *project,
                                                       const pawl_rejects_options *what,
                                                       const pawl_run_options *options,
                                                       pawl_retry_outcome *out, pawl_error *err);

#endif
