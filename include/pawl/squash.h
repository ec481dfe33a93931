/*
 * squash.h - one baseline in place of many revisions, proved equal.
 *
 * A range of the history that begins at its bases is applied to a scratch database, its definitions are dumped, the dump
 * becomes the SQL of a new revision, and that is applied to a second scratch database. Only when the catalogues of both
 * say the same are files written: the baseline, which `replaces` the others, and these moved to squashed/ID/ below the
 * migrations. No database is changed: one that is past the range is recognised by the next upgrade.
 *
 *   pawl_squash -> pawl_squash_free
 *
 * Threads: as pawl/project.h. `dump` is called by the thread that made the call.
 * Memory:  the report belongs to the caller and outlives the project.
 */
#ifndef PAWL_SQUASH_H
#define PAWL_SQUASH_H

#include "pawl/project.h"

typedef struct pawl_squash_options
{
    const char *range;   /* A:B, or :B for everything up to B; A: and : end at the head */
    const char *message; /* description, required */
    const char *id;      /* NULL: eight random hex digits */
    bool schema_only_ok; /* rows that the range would leave in a fresh database may be lost */
    bool
        outside_ok; /* statements that reach beyond a database (roles, ...) may run on this server, and be lost */
    /*
     * A library may not fork its host, so another program's work is the caller's: *sql gets what pg_dump
     * --schema-only writes of `database`, a scratch database on the project's server, without the schema `ledger`. It
     * must live until pawl_squash returns.
     */
    pawl_status (*dump)(void *ctx, const char *database, const char *ledger, const char **sql,
                        pawl_error *err);
    void *ctx;
} pawl_squash_options;

/* Something that a fresh database gets from the range, and would not get from the baseline. */
typedef struct pawl_squash_loss
{
    const char *
        kind; /* rows, sequence, large_objects, condition, outside; data_step: a step that may have made them */
    const char *object; /* "public.kinds", "a41c20f9, step 2" */
    const char *text;   /* "3 rows", "when: x.demo", the statement */
} pawl_squash_loss;

typedef struct pawl_squash_report
{
    const char *target;          /* the server of the scratch databases; "" when none was made */
    const char *id;              /* of the baseline */
    const char *const *replaced; /* ids of revisions with a file, oldest first */
    size_t nreplaced;
    pawl_squash_loss *losses; /* what was accepted, or, when nothing was compared, what stands in the way */
    size_t nlosses;
    const char *const *differences; /* "- fact": only of the range; "+ fact": only of the baseline */
    size_t ndifferences;
    int64_t facts;         /* of the schema, that were compared; 0: it did not come to that */
    bool is_written;       /* the files are changed */
    const char *path;      /* of the baseline's file; this and the next two: "" unless is_written */
    const char *sql_path;  /* of its SQL */
    const char *directory; /* where the replaced files are now */
    void *memory;
} pawl_squash_report;

/*
 * PAWL_OK also when the report says that nothing was written, because of losses that are not accepted or because of
 * differences. PAWL_E_REFUSED for a range that is none: one that does not begin at its bases, ends in several revisions,
 * or is followed by others from within. The role needs CREATEDB.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_squash(pawl_project *project, const pawl_squash_options *what,
                                                const pawl_run_options *options, pawl_squash_report **out,
                                                pawl_error *err);
PAWL_API void pawl_squash_free(pawl_squash_report *report);

#endif
