/*
 * transform.h - looking at a transform before and after it has done its work: preview, preview without a database,
 * verify.
 *
 * All three only read. Preview runs the transform of a backfill over some rows and tells what it would write. Preview of
 * an input does the same with rows from a JSON text, and compares with what the text expects: the unit test of a
 * transform. Verify runs the transform of a finished job again and compares with what is stored.
 *
 * Values are texts as PostgreSQL prints them, NULL is a NULL pointer. Values of columns that the step redacts are
 * "[redacted]".
 *
 * Threads: as project.h; verify starts worker threads of its own and joins them before it returns.
 * Memory:  reports belong to the caller and go back through their free functions.
 */
#ifndef PAWL_TRANSFORM_H
#define PAWL_TRANSFORM_H

#include "pawl/project.h"

/* ---- preview ----------------------------------------------------------------------------------------------------- */

typedef enum pawl_preview_outcome
{
    PAWL_PREVIEW_WRITE,  /* the row would be written */
    PAWL_PREVIEW_SAME,   /* what the transform returns is there already */
    PAWL_PREVIEW_LEAVE,  /* the transform leaves the row alone */
    PAWL_PREVIEW_REJECT, /* the transform rejects the row: a backfill would stop here */
    PAWL_PREVIEW_FAIL,   /* the transform fails, or the server would refuse what it returns: the same */
} pawl_preview_outcome;

/* "write", "same", "leave", "reject", "fail": as it stands in JSON. A static string. */
PAWL_API const char *pawl_preview_outcome_name(pawl_preview_outcome outcome);

typedef struct pawl_preview_column
{
    const char *name;
    const char
        *type; /* "unknown" for a column that is not there yet and of which nothing says what it will be */
    bool is_key;
    bool is_missing; /* not in the table yet */
    bool is_redacted;
} pawl_preview_column;

/* A written column of a row. */
typedef struct pawl_preview_value
{
    const char *before;
    bool has_before;   /* false: an input's row does not have the column */
    const char *after; /* as the server would store it; meaningful when is_set */
    bool is_set;       /* the transform names the column */
    bool is_changed;
} pawl_preview_value;

typedef struct pawl_preview_row
{
    pawl_preview_outcome outcome;
    const char *name; /* of an input's row: "row 3", or the name that the input gives it; else its key */
    const char *const *given;   /* for each given column */
    pawl_preview_value *values; /* for each written column */
    const pawl_error *error;    /* of REJECT and FAIL, with the Lua file and line; else NULL */
    const char *reason;         /* of REJECT, in the transform's own words; else NULL */
    const char *log;            /* what pawl.log was given, a line each; "" */
    bool has_expectation;       /* of an input's row: it says what it expects */
    const char *unexpected;     /* and how the outcome differs from that; NULL: it does not */
} pawl_preview_row;

typedef struct pawl_preview_report
{
    const char *target;               /* "" without a database */
    const char *revision;             /* "" likewise */
    int32_t step;                     /* 0 likewise */
    const char *table;                /* "" likewise */
    const char *file;                 /* the Lua file; "" where SQL expressions say what is written */
    const pawl_preview_column *given; /* what the transform is given: the key first */
    size_t ngiven;
    const pawl_preview_column *written;
    size_t nwritten;
    pawl_preview_row *rows;
    size_t nrows;
    size_t counts[PAWL_PREVIEW_FAIL + 1]; /* rows of each outcome */
    size_t expectations;                  /* of an input: rows that say what they expect */
    size_t unexpected;                    /* rows that differ from it */
    bool sets_aside;                      /* the backfill sets bad rows aside (`on_error`), and goes on */
    const char *const *notes;             /* sentences on what is not as in the backfill itself */
    size_t nnotes;
    void *memory;
} pawl_preview_report;

typedef struct pawl_preview_options
{
    const char *revision;    /* required */
    int32_t step;            /* from 1; 0: the revision's only backfill */
    int32_t limit;           /* rows; 0: 20; at most 10,000 */
    bool is_spread;          /* rows from all over the table; else the first by key */
    const char *const *keys; /* just these rows; the parts of a composite key separated by commas */
    size_t nkeys;
} pawl_preview_options;

/* The transform over some rows of the table, in READ ONLY transactions. The column need not be there yet. */
PAWL_API PAWL_NODISCARD pawl_status pawl_preview_run(pawl_project *project, const pawl_preview_options *what,
                                                     const pawl_run_options *options,
                                                     pawl_preview_report **out, pawl_error *err);

typedef struct pawl_preview_input_options
{
    const char *input;           /* the JSON text; docs/transforms.md */
    const char *input_name;      /* its file, for messages; NULL: "input" */
    const char *lua_root;        /* the directory that holds transforms/; NULL: "." */
    const char *lua_file;        /* relative to lua_root */
    const pawl_key_value *types; /* column and SQL type; stronger than what the input says */
    size_t ntypes;
    const pawl_key_value *x; /* stronger than what the input says */
    size_t nx;
} pawl_preview_input_options;

/* The transform over the rows of a JSON text. Neither project nor database is asked for anything. */
PAWL_API PAWL_NODISCARD pawl_status pawl_preview_input(const pawl_preview_input_options *what,
                                                       const pawl_run_options *options,
                                                       pawl_preview_report **out, pawl_error *err);

PAWL_API void pawl_preview_free(pawl_preview_report *report);

/* ---- verify ------------------------------------------------------------------------------------------------------ */

typedef enum pawl_verify_since
{
    PAWL_VERIFY_DURING, /* last written while the job ran: by the job, or by others meanwhile */
    PAWL_VERIFY_AFTER,  /* last written after the job had ended: somebody else's change */
    PAWL_VERIFY_BEFORE, /* last written before the job began: the job has left it as it was */
} pawl_verify_since;

/* "during", "after", "before". A static string. */
PAWL_API const char *pawl_verify_since_name(pawl_verify_since since);

typedef struct pawl_verify_value
{
    const char *column;
    const char *stored;
    const char *again; /* what the transform gives now, as the server would store it */
} pawl_verify_value;

typedef struct pawl_verify_difference
{
    const char *table; /* that the row is in: of a partitioned table the partition */
    const char *key;   /* "(id) = (42)" */
    const char *into;  /* `merge`: the row of the other table, "(sku) = (7)"; else NULL */
    const char
        *xmin; /* the transaction that wrote the row last; of two rows it is said of the one that says more */
    pawl_verify_since since;
    pawl_verify_value *values; /* the columns that differ */
    size_t nvalues;
    const pawl_error
        *error; /* set, and no values: the transform now rejects the row or fails; `merge`: it is not
                              * there; a table without a key: `where` holds for it */
} pawl_verify_difference;

typedef struct pawl_verify_report
{
    const char *target;
    int64_t job;
    const char *revision;
    int32_t step;
    const char *table;
    const char *finished_at;
    bool is_all;                  /* every row up to the job's bound, not a sample */
    int64_t rows;                 /* compared or left alone */
    int64_t rows_left;            /* of these: the transform leaves them alone, there is nothing to compare */
    int64_t differences;          /* rows that differ */
    int64_t after;                /* of these: last written after the job had ended */
    pawl_verify_difference *list; /* by key, as far as `most` goes */
    size_t nlist;
    const char *const *notes;
    size_t nnotes;
    void *memory;
} pawl_verify_report;

typedef struct pawl_verify_options
{
    const char *job;     /* the number of a job, or a revision; required */
    int32_t step;        /* with a revision: from 1; 0: its only backfill */
    bool is_all;         /* else a sample */
    int64_t sample_rows; /* 0: about 10,000; at most 100,000 */
    int32_t workers;     /* 0: as the step's or the settings' */
    int32_t most;        /* differences in the list; 0: 100 */
} pawl_verify_options;

/*
 * Compare. PAWL_OK also when rows differ: look at `differences`. PAWL_E_REFUSED when it cannot be verified (the
 * transform reads what it writes, `into` without `merge`), PAWL_E_STATE when the job has not ended.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_verify_run(pawl_project *project, const pawl_verify_options *what,
                                                    const pawl_run_options *options, pawl_verify_report **out,
                                                    pawl_error *err);
PAWL_API void pawl_verify_free(pawl_verify_report *report);

#endif
