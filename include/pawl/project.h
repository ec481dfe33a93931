/*
 * project.h - a migrations directory and the database it belongs to: everything that the program's verbs do.
 *
 *   pawl_project_open -> (verbs ...) -> pawl_project_close
 *
 * Opening reads pawl.yaml, the revisions and the files that they name (unless heads_only), and connects to nothing. Every problem of the
 * directory is collected (pawl_project_problem), not just the first; verbs that would act on a directory with problems
 * return PAWL_E_INPUT. Verbs that only read never create or upgrade the ledger and work on a standby. What is asked about
 * the history is in graph.h.
 *
 * Threads: a project belongs to one thread at a time; a running verb is stopped through the pawl_stop it was given.
 * Memory:  a project owns what it returns unless a function says otherwise. Reports (pawl_status_report, ...) belong to the
 *          caller and go back through their own free function.
 */
#ifndef PAWL_PROJECT_H
#define PAWL_PROJECT_H

#include "pawl/event.h"
#include "pawl/stop.h"

typedef struct pawl_project pawl_project;

typedef struct pawl_key_value
{
    const char *key;
    const char *value;
} pawl_key_value;

typedef struct pawl_project_options
{
    const char *config;              /* --config; NULL: pawl.yaml of the working directory, if it is there */
    const char *environment;         /* --env; NULL: $PAWL_ENV, or none */
    const pawl_key_value *overrides; /* flags: setting key and value, e.g. {"lock_timeout", "1s"} */
    size_t noverrides;
    const pawl_key_value *x; /* -x */
    size_t nx;
    /* True: read no more of the files than listing them takes (pawl_history_get); steps are read, and their problems
     * found, by the calls that need them. Worth it for thousands of revisions. */
    bool heads_only;
} pawl_project_options;

/* Something wrong with a file of the project. */
typedef struct pawl_problem
{
    const char *file;
    int line; /* 0: the file as a whole */
    int column;
    const char *message;
    const char *hint; /* NULL when there is none */
} pawl_problem;

/* One setting, for help, completion and manuals. The table ends with a NULL key. */
typedef struct pawl_setting_info
{
    const char *key;      /* "backfill.workers" */
    const char *flag;     /* "--workers" */
    const char *variable; /* "PAWL_BACKFILL_WORKERS" */
    const char *argument; /* "N", "DURATION", ... */
    const char *standard; /* the default, as text */
    const char *help;     /* one line */
} pawl_setting_info;

PAWL_API const pawl_setting_info *pawl_settings_table(void);

/* One kind of step, for the same. */
typedef struct pawl_step_kind_info
{
    const char *name;   /* "add_column" */
    const char *help;   /* one line */
    const char *sample; /* YAML of one item of `up` */
    bool has_derived_down;
} pawl_step_kind_info;

PAWL_API size_t pawl_step_kinds_count(void);
PAWL_API pawl_step_kind_info pawl_step_kind_info_at(size_t i);

/* Open. Problems in files are no failure of this call; unreadable directories and wrong options are. */
PAWL_API PAWL_NODISCARD pawl_status pawl_project_open(const pawl_project_options *options, pawl_project **out,
                                                      pawl_error *err);
PAWL_API void pawl_project_close(pawl_project *project);

/* The names under `environments:` of pawl.yaml; NULL behind the last. */
PAWL_API const char *pawl_project_environment(const pawl_project *project, size_t i);

PAWL_API size_t pawl_project_problems(const pawl_project *project);
PAWL_API const pawl_problem *pawl_project_problem(const pawl_project *project, size_t i);

/* ---- writing files -------------------------------------------------------------------------------------------- */

/* `pawl init`: pawl.yaml and migrations/ in `dir`; nothing that exists is touched. *created lists what was made, a
 * line each, and belongs to the caller (free). PAWL_E_STATE when everything is there already. */
PAWL_API PAWL_NODISCARD pawl_status pawl_init(const char *dir, char **created, pawl_error *err);

typedef struct pawl_new_revision
{
    const char *message; /* description, required */
    const char *parent;  /* NULL: the head; "base": none */
    const char *step;    /* template: a step kind, NULL: sql */
    const char *id;      /* NULL: eight random hex digits */
    bool is_splice;      /* the parent need not be a head: a branch begins there */
    const char *const *labels;
    size_t nlabels;
    const char *const *depends_on; /* revisions or labels */
    size_t ndepends_on;
} pawl_new_revision;

/* `pawl revision`: *path is the file that was written (free). */
PAWL_API PAWL_NODISCARD pawl_status pawl_revision_create(pawl_project *project, const pawl_new_revision *what,
                                                         char **path, pawl_error *err);

/* Frees what the calls above return. */
PAWL_API void pawl_text_free(char *text);

/* ---- changing the database ------------------------------------------------------------------------------------ */

typedef struct pawl_run_options
{
    const pawl_stop *stop; /* may be NULL */
    pawl_sink sink;
    bool restart; /* an upgrade may begin the step of an abandoned job anew, with all rows */
} pawl_run_options;

/* Apply up to `target` (NULL: head). PAWL_OK also when there was nothing to do. */
PAWL_API PAWL_NODISCARD pawl_status pawl_upgrade(pawl_project *project, const char *target,
                                                 const pawl_run_options *options, pawl_error *err);

/* Revert down to `target`. */
PAWL_API PAWL_NODISCARD pawl_status pawl_downgrade(pawl_project *project, const char *target,
                                                   const pawl_run_options *options, pawl_error *err);

/* ---- looking --------------------------------------------------------------------------------------------------- */

typedef struct pawl_worker_status
{
    const char *owner; /* host:pid/worker */
    int64_t chunk;     /* one that it holds; a row each when there are several; 0: none */
    int64_t fence;
    int64_t lease_left_ms; /* negative: expired */
    bool is_alive;         /* its backend is connected, as far as that can be seen */
    int64_t rows_written;  /* of the chunk */
    const char *cursor;    /* the key reached */
    double rows_per_s;     /* of the worker, over the last seconds */
    int64_t heartbeat_ms;  /* since it last showed life */
    const char *holding;   /* what holds it back, or "" */
} pawl_worker_status;

typedef struct pawl_job_status
{
    int64_t job_id;
    const char *revision;
    int32_t step; /* from 1 */
    const char *table;
    const char *state;  /* open, done, findings, abandoned */
    const char *writer; /* "update", "set" */
    const char *form;   /* "plain", "striped": how updates in place are written, as it was chosen last ... */
    const char *form_why;
    double
        hot_share; /* of the updates in stripes those whose new version stayed in its page; -1: none were seen */
    const char *started_at;
    const char *finished_at;
    pawl_progress progress;
    int64_t rejects;       /* rows set aside that wait to be dealt with */
    int64_t nulled;        /* rows that were refused and have NULL (rejects: write_null) */
    double percent;        /* of the estimate; 100 only when done */
    const char *paused_by; /* "" when it is not paused */
    const char *paused_at;
    const char *tuned;           /* "max_rate=5000 workers=1", or "" */
    pawl_worker_status *workers; /* of all processes on all hosts; holders of open chunks, also dead ones */
    size_t nworkers;
    const char *kind;    /* backfill, swap_column, switch, rewrite */
    const char *phase;   /* where a swap or a rewrite is: "copy", "ready", "mirror", ... */
    int64_t log_bytes;   /* of the log of changes by others; -1: there is none */
    int64_t log_entries; /* changes in it that are still to be carried over, about; -1: there is none */
} pawl_job_status;

typedef struct pawl_step_status
{
    const char *revision;
    const char *direction; /* up, down */
    int32_t step;
    const char *kind;
    const char *state; /* pending, running, done, failed, skipped, findings */
    const char *error; /* of the last failure, or "" */
    const char *at;
} pawl_step_status;

typedef struct pawl_status_report
{
    const char *target;
    const char *server; /* "PostgreSQL 15.18" */
    bool has_ledger;
    int32_t ledger_version;
    const char *const *current; /* ids */
    size_t ncurrent;
    const char *const *heads; /* ids on disk */
    size_t nheads;
    size_t pending;     /* revisions on disk that are not applied */
    const char *runner; /* who holds the runner lease, or "" */
    int64_t runner_lease_left_ms;
    bool
        is_runner_gone; /* its session has ended without giving the lease back: the next upgrade takes it at once */
    pawl_step_status *steps; /* of revisions that are half-way */
    size_t nsteps;
    pawl_job_status *jobs; /* newest first */
    size_t njobs;
    void *memory;
} pawl_status_report;

PAWL_API PAWL_NODISCARD pawl_status pawl_status_get(pawl_project *project, const pawl_run_options *options,
                                                    pawl_status_report **out, pawl_error *err);
PAWL_API void pawl_status_free(pawl_status_report *report);

#endif
