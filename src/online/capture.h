/*
 * capture.h - the keys of the rows that other sessions change while a job runs, logged by triggers.
 *
 * For job 7 there are, all in the ledger's schema, the table change_7 (append-only: one that dropped doubles would lose
 * the change that arrives while the older entry is being drained; logged, because a crash empties an unlogged one), the
 * sequence lost_7 and the function capture_7(); and on the table, and on each of its partitions, the triggers pawl_7_i
 * (INSERT, DELETE), pawl_7_u (UPDATE of a watched column or of the key, by its image and not by equality: 1.0 and 1.00
 * are equal, and a transform sees the difference) and pawl_7_t (TRUNCATE). They are ENABLE ALWAYS, so that logical
 * replication and session_replication_role = replica do not pass them by. An UPDATE of the key logs that the old one went
 * and the new one came. With a marked column there is pawl_7_w as well, for an UPDATE that changes it; pawl_7_u is for others.
 *
 *   add -> (check, drain.h ...)* -> [watch: other columns, at a cut-over] -> (check, drain ...)* -> remove
 *
 * The application pays 4 to 8 microseconds for a row that is logged and nothing for other updates. The function runs
 * with the rights of who made it, so nobody needs any right on the log. When the log has reached its limit the function
 * logs no more and marks the sequence: the capture is void then, and the disk is not filled.
 *
 * Everything runs in the caller's transaction, which has begun with pins (pg/txn.h), lock_timeout among them: add waits
 * for SHARE ROW EXCLUSIVE, watch, stop and remove for ACCESS EXCLUSIVE. Once the transaction of add is committed, every change
 * of a transaction that was not is in the log: what a later statement reads, or the log names, is all there is.
 *
 * Threads: as pg/session.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_ONLINE_CAPTURE_H
#define PAWL_ONLINE_CAPTURE_H

#include "catalog/table.h"
#include "ledger/ledger.h"

typedef struct pawl_capture_spec
{
    int64_t job;
    const pawl_table *table; /* 'r' or 'p' */
    const pawl_key *key;
    const pawl_column *const
        *watch; /* an UPDATE that changes neither these nor the key is passed over; NULL: any */
    int nwatch;
    const pawl_column *marked; /* one of those watched, whose changes the log tells from others; NULL: none */
    bool skips_own;    /* not for transactions that have SET LOCAL pawl.worker to the number of the job */
    int64_t max_bytes; /* of the log, its indexes left out; 0: PAWL_CAPTURE_MAX_BYTES */
} pawl_capture_spec;

#define PAWL_CAPTURE_MAX_BYTES ((int64_t) 8 << 30)

/* What a check has found. */
typedef struct pawl_capture_state
{
    bool is_there;
    bool
        is_whole; /* every change since `add` was logged, TRUNCATE aside: its entry is met when the log is drained */
    char why[480]; /* when it is not: "trigger pawl_7_u on public.t was changed or is gone" */
    int64_t log_bytes;
} pawl_capture_state;

/*
 * Make log, function and triggers. The job is in the ledger (the log goes with it in name only). PAWL_E_STATE when there
 * is a capture of that job already.
 */
PAWL_NODISCARD pawl_status pawl_capture_add(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg,
                                            pawl_error *err);

/* Replace the triggers by ones that watch other columns; log and function stay, so the key must be the same. */
PAWL_NODISCARD pawl_status pawl_capture_watch(const pawl_capture_spec *spec, pawl_ledger *ledger, pawl_pg *pg,
                                              pawl_error *err);

/*
 * Has anything happened since `add` (or `watch`) by which a change may have been missed? Triggers dropped, made anew or
 * enabled otherwise; partitions attached or detached; a key column or a watched one changed; the limit reached.
 */
PAWL_NODISCARD pawl_status pawl_capture_check(int64_t job, pawl_ledger *ledger, pawl_pg *pg,
                                              pawl_capture_state *out, pawl_error *err);

/* Log nothing more: the triggers go, and what was logged stays to be read. */
PAWL_NODISCARD pawl_status pawl_capture_stop(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/*
 * In a transaction that is to take a capture away, before it locks the table of the application: an autovacuum of the log
 * yields, which it would do for nobody who waits for less than deadlock_timeout, as who holds that lock has to. Fine when
 * there is no log.
 */
PAWL_NODISCARD pawl_status pawl_capture_keep_vacuum_out(int64_t job, pawl_ledger *ledger, pawl_pg *pg,
                                                        pawl_error *err);

/* Take everything away: triggers, then function, then log. Fine when nothing or a part of it is there. */
PAWL_NODISCARD pawl_status pawl_capture_remove(int64_t job, pawl_ledger *ledger, pawl_pg *pg,
                                               pawl_error *err);

/*
 * "schema"."change_7", and its columns k1, k2, ... for the parts of the key beside id and op: the row came (i) or went (d),
 * was changed (u), its marked column among what was changed (w), or everything went (t).
 */
void pawl_capture_add_log_name(pawl_strbuf *sql, const pawl_ledger *ledger, int64_t job);

/* SET LOCAL pawl.worker: guards let this transaction write, and captures that skip their own do not see it. */
PAWL_NODISCARD pawl_status pawl_capture_sign(int64_t job, pawl_pg *pg, pawl_error *err);

#endif
