/*
 * seed.h - the rows of a `seed` step, from CSV, YAML or the revision itself.
 *
 * Threads: as step.h.
 * Memory:  everything lives in the arena of the parse.
 */
#ifndef PAWL_STEP_SEED_H
#define PAWL_STEP_SEED_H

#include "config/csv.h"
#include "step/kind.h"

typedef struct pawl_seed
{
    const char *table;
    const char **key; /* columns of a unique index: a row is known by them */
    size_t nkey;
    bool deletes_missing;
    const char *source; /* where the rows stand, for messages */
    const pawl_csv *data;
} pawl_seed;

/*
 * Read `table`, `key`, `delete_missing` and the rows under `file` or `rows`. out->data stays NULL when there are
 * problems with the rows: of their form, with a key that is NULL or there twice.
 */
PAWL_NODISCARD pawl_status pawl_seed_read(pawl_step_parse *ctx, pawl_reader *r, pawl_step *step,
                                          pawl_seed *out, pawl_error *err);

/* The place of a column among those of the rows; they hold it. */
size_t pawl_seed_column(const pawl_seed *seed, const char *name);

#endif
