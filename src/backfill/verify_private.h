/*
 * verify_private.h - what the parts of verify share: the run (verify.c), what is looked at and what cannot be
 * (verify_look.c), and the comparing of rows: in place (compare.c), with rows of another table (compare_merge.c), of tables
 * without a key (compare_left.c).
 *
 * Threads: a checker belongs to one thread; findings of all go through the run's lock.
 * Memory:  texts of findings live in the run's arena, which only the holder of the lock touches.
 */
#ifndef PAWL_BACKFILL_VERIFY_PRIVATE_H
#define PAWL_BACKFILL_VERIFY_PRIVATE_H

#include "backfill/verify.h"
#include "util/lock.h"

/* Protected by the run's lock. */
struct pawl_verify_shared
{
    int at_work;
    size_t next; /* chunk to be handed out */
    bool has_failed;
    pawl_error error; /* of the first that failed */
    int64_t rows;
    int64_t rows_left;
    int64_t differences;
    int64_t after;
    int64_t moved; /* changed by others between two looks at them: left out */
    pawl_arena *arena;
    pawl_verify_difference *list;
    size_t *order; /* for each of the list the number of its chunk and row: to sort by */
    size_t nlist;
    size_t most;
};

typedef struct pawl_verify_chunk
{
    pawl_keyval lo;
    pawl_keyval hi;
} pawl_verify_chunk;

/* A part of the job as the ledger has it. */
typedef struct pawl_verify_part
{
    int number;
    uint32_t oid;
    const char *name;
    const char *const *key;
    size_t nkey;
    pawl_keyval bound;
    bool is_gone;
    int64_t rows_estimate;
} pawl_verify_part;

typedef struct pawl_checking
{
    const pawl_job *job; /* of the part at hand */
    const pawl_sample_shape *shape;
    const pawl_verify_job *was;
    const char *lookup; /* `merge`: the statement that finds rows of the other table */
    pawl_verify_part *parts;
    size_t nparts;
    int64_t rows_total; /* an estimate */
    pawl_verify_chunk *chunks;
    size_t nchunks;
    size_t first_chunk; /* of this part, among those of all */
    pawl_mutex lock;
    pawl_cond changed;
    struct pawl_verify_shared shared_;
} pawl_checking;

static inline struct pawl_verify_shared *
pawl_checking_shared(pawl_checking *run) PAWL_REQUIRES(&run->lock)
{
    return &run->shared_;
}

/* What one thread compares with. */
typedef struct pawl_checker
{
    pawl_checking *run;
    pawl_pg *pg;
    pawl_lua *lua; /* NULL: `set` */
    pawl_trial trial;
    pawl_arena *arena; /* of the rows at hand */
    pthread_t thread;
} pawl_checker;

/* A row that is not as it should be. */
typedef struct pawl_finding
{
    const pawl_pg_result *res; /* of a read: xmin, key */
    int row;
    const char *into;          /* `merge`: which row of the other table; else NULL */
    const char *into_xmin;     /* and who wrote it last; NULL: there is none */
    const pawl_error *error;   /* why there are no values; NULL: there are */
    const char *const *stored; /* for each written column */
    const char *const *again;
    const bool *is_different;
} pawl_finding;

/* Count it, and keep it where the list has room; `order` says where it belongs there. */
PAWL_NODISCARD pawl_status pawl_checking_add(pawl_checking *run, const pawl_finding *f, size_t order,
                                             pawl_error *err);

/* ---- what is looked at ---------------------------------------------------------------------------------------------- */

/* PAWL_E_REFUSED for what leaves nothing to compare with. *is_blind: only `where` can be looked at (no key). */
PAWL_NODISCARD pawl_status pawl_verify_check_spec(const pawl_backfill_spec *spec, bool *is_blind,
                                                  pawl_error *err);

/* Fills parts and rows_total. */
PAWL_NODISCARD pawl_status pawl_verify_load_parts(pawl_checking *run, pawl_ledger *ledger, pawl_pg *pg,
                                                  pawl_arena *arena, pawl_error *err);

/*
 * Open the part with this oid of `root`, in a READ ONLY transaction, with the key that `spec` names. *is_there is false
 * when it no longer belongs to it. The caller calls pawl_job_fini either way.
 */
PAWL_NODISCARD pawl_status pawl_verify_open_part(pawl_job *part, const pawl_backfill_spec *spec,
                                                 const pawl_backfill_env *env, const pawl_table *root,
                                                 uint32_t oid, pawl_ledger *ledger, pawl_pg *pg,
                                                 bool *is_there, pawl_error *err);

/* Fills chunks: those of the part's ledger, or pieces of a table without a key. Frees those that were there. */
PAWL_NODISCARD pawl_status pawl_verify_load_chunks(pawl_checking *run, const pawl_verify_part *part,
                                                   pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena,
                                                   pawl_error *err);
void pawl_verify_drop_chunks(pawl_checking *run);

/* What the job wrote must still be there under its name. */
PAWL_NODISCARD pawl_status pawl_verify_check_columns(const pawl_job *job, pawl_error *err);

PAWL_NODISCARD pawl_status pawl_verify_note(pawl_verify_report *report, pawl_arena *arena, const char *text,
                                            pawl_error *err);

/* ---- comparing ------------------------------------------------------------------------------------------------------ */

/* `merge`: make run->lookup for the part at hand. PAWL_E_REFUSED when the other table has no index for it any more. */
PAWL_NODISCARD pawl_status pawl_verify_prepare_merge(pawl_checking *run, pawl_ledger *ledger, pawl_pg *pg,
                                                     pawl_arena *arena, pawl_error *err);

/* Compare what came of `count` rows from `first` on with the other table. *left: rows of which none came. */
PAWL_NODISCARD pawl_status pawl_checker_merge(pawl_checker *c, const pawl_pg_result *res, int first,
                                              pawl_trial_row *rows, int count, size_t order, int64_t *left,
                                              pawl_error *err);

/* Of a table without a key: every row for which `where` holds is a difference. */
PAWL_NODISCARD pawl_status pawl_verify_left(pawl_checking *run, pawl_pg *pg, size_t order, pawl_error *err);

PAWL_NODISCARD pawl_status pawl_checker_open(pawl_checker *c, pawl_checking *run, pawl_error *err);
void pawl_checker_close(pawl_checker *c);

/* Compare the rows of a result; `order` says where they belong in the list of differences. */
PAWL_NODISCARD pawl_status pawl_checker_compare(pawl_checker *c, const pawl_pg_result *res, size_t order,
                                                pawl_error *err);

#endif
