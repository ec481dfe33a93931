/*
 * part.h - what pawl puts beside a table for a job: a trigger's function, a log, a sequence, in the schema of the ledger and
 * under names that follow from the number of the job ("capture_7").
 *
 * Threads: as pg/session.h.
 * Memory:  nothing is kept.
 */
#ifndef PAWL_ONLINE_PART_H
#define PAWL_ONLINE_PART_H

#include "ledger/ledger.h"
#include "util/strbuf.h"

#define PAWL_PART_NAME 64

/* `prefix` and the number; qualified and quoted. */
void pawl_part_name(char out[PAWL_PART_NAME], const char *prefix, int64_t job);
void pawl_part_add(pawl_strbuf *sql, const pawl_ledger *ledger, const char *prefix, int64_t job);

/* Run a statement that was built, and empty the buffer for the next one. */
PAWL_NODISCARD pawl_status pawl_part_run(pawl_pg *pg, pawl_strbuf *sql, pawl_error *err);

/* Drop the triggers that call the function `prefix`_<job>, on whatever tables they are; fine when there are none. */
PAWL_NODISCARD pawl_status pawl_part_drop_triggers(const char *prefix, int64_t job, pawl_ledger *ledger,
                                                   pawl_pg *pg, pawl_error *err);

/* The same, then the function, if it is there. */
PAWL_NODISCARD pawl_status pawl_part_drop_function(const char *prefix, int64_t job, pawl_ledger *ledger,
                                                   pawl_pg *pg, pawl_error *err);

/*
 * In the transaction at hand: ACCESS EXCLUSIVE on a table that the application does not use, a shadow table or an old one. Only
 * an autovacuum can be at it, which the server cancels for whoever waits for deadlock_timeout, longer than lock_timeout
 * may be. So this waits for longer; and it comes before any lock on a table of the application, which would have to stand behind
 * it. The transaction's lock_timeout stays.
 */
PAWL_NODISCARD pawl_status pawl_part_lock_table(pawl_pg *pg, const char *schema, const char *name,
                                                pawl_error *err);

/* Likewise for one that the application writes, through a trigger of ours: it goes on, and an autovacuum does not come back. */
PAWL_NODISCARD pawl_status pawl_part_keep_vacuum_out(pawl_pg *pg, const char *schema, const char *name,
                                                     pawl_error *err);

#endif
