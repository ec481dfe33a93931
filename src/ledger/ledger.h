/*
 * ledger.h - pawl's own tables in the target database: where they are, which version they have.
 *
 *   new -> (ensure | version) -> the other headers of this directory ... -> free
 *
 * Static SQL that names the ledger's schema as @ledger@ is rendered once per ledger object and kept.
 *
 * Threads: a ledger object belongs to one thread; each worker makes its own (it is cheap).
 * Memory:  rendered statements live as long as the object.
 */
#ifndef PAWL_LEDGER_LEDGER_H
#define PAWL_LEDGER_LEDGER_H

#include "pg/pipe.h"
#include "util/arena.h"

#define PAWL_LEDGER_VERSION 1

typedef struct pawl_ledger pawl_ledger;

/* PAWL_E_USAGE when the name cannot be that of a schema: empty, longer than 63 bytes, "pg_...", or with a "$" in it. */
PAWL_NODISCARD pawl_status pawl_ledger_new(const char *schema, pawl_ledger **out, pawl_error *err);
void pawl_ledger_free(pawl_ledger *ledger);

const char *pawl_ledger_schema(const pawl_ledger *ledger);

/* `sql` (one of pawl_sql_*) with the schema put in; the same pointer each time. NULL when memory ran out. */
const char *pawl_ledger_sql(pawl_ledger *ledger, const char *sql);

/* pawl_pg_query of pawl_ledger_sql(sql). `out` may be NULL. */
PAWL_NODISCARD pawl_status pawl_ledger_query(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs,
                                             const pawl_pg_arg *args, pawl_pg_result **out, pawl_error *err);

/* The same in a transaction of its own, which changes nothing: for a look between two transactions. */
PAWL_NODISCARD pawl_status pawl_ledger_look(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs,
                                            const pawl_pg_arg *args, pawl_pg_result **out, pawl_error *err);

/* The same for a statement that must touch exactly one row: PAWL_E_STATE with `what` as message when it did not. */
PAWL_NODISCARD pawl_status pawl_ledger_touch(pawl_ledger *ledger, pawl_pg *pg, const char *sql, int nargs,
                                             const pawl_pg_arg *args, const char *what, pawl_error *err);

/*
 * The version found: 0 when there is no ledger. Creates nothing; works on a standby. In the caller's transaction, or
 * in one of its own. PAWL_E_REFUSED when there is one that this role may not read.
 */
PAWL_NODISCARD pawl_status pawl_ledger_version(pawl_ledger *ledger, pawl_pg *pg, int *out, pawl_error *err);

/*
 * Create the ledger, or bring it to PAWL_LEDGER_VERSION, under pg_advisory_xact_lock (twenty at once: one does it, the
 * others wait and find it done). Outside a transaction. PAWL_E_REFUSED when it is newer than this program, when a
 * schema of that name holds things that are no ledger, or when this role may not create it (with what to ask for).
 */
PAWL_NODISCARD pawl_status pawl_ledger_ensure(pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/* Append to the event table, in the caller's transaction or in one of its own. `revision`, `detail` may be "". */
PAWL_NODISCARD pawl_status pawl_ledger_event(pawl_ledger *ledger, pawl_pg *pg, const char *kind,
                                             const char *revision, int64_t job_id, const char *detail,
                                             pawl_error *err);

/*
 * The publications, quoted and separated by ", ", that carry or would carry the ledger's tables (FOR ALL TABLES): their
 * subscribers stop at the ledger's first row. "" when there are none. For the caller to refuse or to warn.
 */
PAWL_NODISCARD pawl_status pawl_ledger_publications(pawl_ledger *ledger, pawl_pg *pg, pawl_arena *arena,
                                                    const char **out, pawl_error *err);

/*
 * Refuse to write the ledger where a publication carries it, unless the subscribers are said to be ready: a subscriber
 * that does not know the tables stops at their first row, and the server keeps its WAL until the disk is full.
 */
PAWL_NODISCARD pawl_status pawl_ledger_check_published(pawl_ledger *ledger, pawl_pg *pg, bool are_ready,
                                                       pawl_error *err);

/* "host:pid" of this process, for owner and from_where columns: a static buffer filled once. */
const char *pawl_ledger_whereabouts(void);

PAWL_DEFINE_AUTO(pawl_ledger, pawl_ledger_free);

#endif
