/*
 * squash.h - the inside of pawl_squash, for squash*.c only.
 *
 * squash.c goes from one part to the next, squash_range.c knows what is squashed, squash_scratch.c the scratch databases,
 * squash_baseline.c writes the baseline, squash_compare.c compares, squash_files.c changes the directory.
 *
 *   range -> losses -> scratch open -> make, apply the range -> rows -> baseline -> make, apply it -> compare -> files
 *
 * Threads: belongs to one thread.
 * Memory:  what the report shows lives in its arena; the scratch databases are dropped by close, whatever happened.
 */
#ifndef PAWL_MIGRATE_SQUASH_H
#define PAWL_MIGRATE_SQUASH_H

#include "migrate/project.h"
#include "util/vec.h"

#include "pawl/squash.h"

#define PAWL_SQUASH_NAME 32

/* What the databases are made on. */
typedef struct pawl_squash_scratch
{
    const pawl_project *project;
    const pawl_run_options *options;
    pawl_arena *arena;
    const char *conninfo;           /* of the project's database, past a pooler */
    pawl_pg *pg;                    /* in the project's database, which it leaves alone; NULL: not open */
    char name[2][PAWL_SQUASH_NAME]; /* "pawl_squash_1a2b3c4d_a", _b */
    bool may_exist[2];
} pawl_squash_scratch;

typedef struct pawl_squash_run
{
    pawl_project *project;
    const pawl_squash_options *what;
    const pawl_run_options *options;
    pawl_arena *arena; /* the report's */
    pawl_squash_report *report;
    char id[PAWL_SQUASH_NAME];
    const pawl_loaded **inside; /* the range, parents first; the last is where it leads */
    size_t ninside;
    PAWL_VEC(pawl_squash_loss) losses;
    PAWL_VEC(const char *) differences;
    const char *yaml; /* of the baseline */
    const char *sql;
    const char *staged; /* a directory of our own with the two, or NULL */
    pawl_squash_scratch scratch;
} pawl_squash_run;

/* ---- squash_range.c ---- */

/* Fill `inside`, `id` and the report's list. */
PAWL_NODISCARD pawl_status pawl_squash_range(pawl_squash_run *s, pawl_error *err);

/* Note conditions and statements that reach beyond a database; *is_open: some of them are not accepted. */
PAWL_NODISCARD pawl_status pawl_squash_note_steps(pawl_squash_run *s, bool *is_open, pawl_error *err);

/* Note the steps that may have made rows. */
PAWL_NODISCARD pawl_status pawl_squash_note_data_steps(pawl_squash_run *s, pawl_error *err);

/* Append to the losses; the texts must live in the arena (NULL: memory ran out). */
PAWL_NODISCARD pawl_status pawl_squash_lose(pawl_squash_run *s, const char *kind, const char *object,
                                            const char *text, pawl_error *err);

/* ---- squash_scratch.c ---- */

/* Connect, refuse a pooler, remove what killed runs have left. */
PAWL_NODISCARD pawl_status pawl_squash_scratch_open(pawl_squash_scratch *c, pawl_error *err);

/* Create the first or second database: empty, with encoding and locale of the project's. */
PAWL_NODISCARD pawl_status pawl_squash_scratch_make(pawl_squash_scratch *c, int which, pawl_error *err);

/* Apply up to `target`: the revisions of `project`, in the scratch database instead of its own. */
PAWL_NODISCARD pawl_status pawl_squash_scratch_apply(const pawl_squash_scratch *c, int which,
                                                     const pawl_project *project, const char *target,
                                                     pawl_error *err);

PAWL_NODISCARD pawl_status pawl_squash_scratch_connect(const pawl_squash_scratch *c, int which, pawl_pg **out,
                                                       pawl_error *err);

/* Drop what was made, whatever was requested meanwhile. What cannot be dropped is a warning. */
void pawl_squash_scratch_close(pawl_squash_scratch *c);

/* ---- squash_baseline.c ---- */

/* From the first scratch database: the texts of the baseline, and its files in a directory of our own. */
PAWL_NODISCARD pawl_status pawl_squash_baseline(pawl_squash_run *s, pawl_error *err);

/* The statements of a dump that a baseline keeps, and what it needs around them. `owner` made all objects. */
PAWL_NODISCARD pawl_status pawl_squash_clean(const char *dump, const char *owner, pawl_arena *arena,
                                             pawl_strbuf *out, size_t *statements, pawl_error *err);

/* Apply the staged baseline to the second scratch database. */
PAWL_NODISCARD pawl_status pawl_squash_apply_baseline(pawl_squash_run *s, pawl_error *err);

/* Remove the staged files. */
void pawl_squash_unstage(pawl_squash_run *s);

/* ---- squash_compare.c ---- */

/* Note rows, sequences and large objects that the range has left in the first scratch database. */
PAWL_NODISCARD pawl_status pawl_squash_note_rows(pawl_squash_run *s, bool *is_open, pawl_error *err);

PAWL_NODISCARD pawl_status pawl_squash_compare(pawl_squash_run *s, pawl_error *err);

/* ---- squash_files.c ---- */

/* Would the directory be in order? */
PAWL_NODISCARD pawl_status pawl_squash_check_future(pawl_squash_run *s, pawl_error *err);

/* Write the baseline and move the others away; all, or nothing. */
PAWL_NODISCARD pawl_status pawl_squash_write(pawl_squash_run *s, pawl_error *err);

#endif
