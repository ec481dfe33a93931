/*
 * guard.h - the triggers that stand beside a swap: the guard of the column that pawl keeps, and the one that sets it.
 *
 * A guard refuses writes by others to a column: the new one before a cut-over, the old one after it. Without it a
 * positional INSERT INTO t VALUES (...) would put its value there, and it would be lost without an error. Transactions
 * of the job itself carry pawl.worker and pass.
 *
 * With an SQL expression the other column is set at once, by a BEFORE trigger whose name sorts behind all others, so
 * that it sees what they made of the row. It never fails the application's write: where the expression does, it writes
 * NULL and marks the sequence failed_<job>. It also marks rows whose value will be refused from the cut-over on, and lets
 * them pass. Whoever cuts over looks at the rows first when there are marks that he does not know of.
 *
 *   guard: add -> [turn to another column] -> remove      keep: add -> [remove, add the other way] -> remove
 *
 * In the caller's transaction, as capture.h: add waits for SHARE ROW EXCLUSIVE, remove for ACCESS EXCLUSIVE.
 *
 * Threads: as pg/session.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_ONLINE_GUARD_H
#define PAWL_ONLINE_GUARD_H

#include "catalog/table.h"
#include "ledger/ledger.h"
#include "online/carry.h"

/* Let nobody but the job write the column. Replaces the guard of another column. */
PAWL_NODISCARD pawl_status pawl_guard_set(int64_t job, const pawl_table *table, const char *column,
                                          pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Fine when there is none. */
PAWL_NODISCARD pawl_status pawl_guard_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

typedef struct pawl_keep
{
    int64_t job;
    const pawl_table *table;
    const char *column;      /* the one that is set */
    const char *expression;  /* SQL over the row */
    const char *search_path; /* what the expression's names are looked up in */
    /* Another column, or NULL: an update that finds and leaves NULL in it, and does not change what the expression says of the
     * row, sets nothing. */
    const char *spares;
    const pawl_carry_demand *demands; /* those that are of the row are watched over */
    size_t ndemands;
} pawl_keep;

/* From now on (but for what it spares) each row that is inserted or updated has `column` set. Replaces what there was. */
PAWL_NODISCARD pawl_status pawl_keep_set(const pawl_keep *keep, pawl_ledger *ledger, pawl_pg *pg,
                                         pawl_error *err);

/* Fine when there is none. */
PAWL_NODISCARD pawl_status pawl_keep_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

typedef struct pawl_keep_state
{
    bool is_there;    /* its trigger, and ENABLE ALWAYS */
    bool is_current;  /* it does what pawl_keep_set would make it do now */
    int64_t marks;    /* how often the expression has failed, or made what will be refused */
    char version[64]; /* another one when somebody has disabled or altered the trigger meanwhile */
} pawl_keep_state;

PAWL_NODISCARD pawl_status pawl_keep_look(const pawl_keep *keep, pawl_ledger *ledger, pawl_pg *pg,
                                          pawl_keep_state *out, pawl_error *err);

#endif
