/*
 * context.h - what the rows of a job depend on beside its step and its Lua: the search_path that user code is given, the -x
 * arguments, and the values of the secrets. A job that went on under others would be done half with the one and half with
 * the other.
 *
 * Of a secret a mark is kept in the ledger by which another value shows (util/digest.h), never the value. Secrets that the
 * job has not known are no difference: a transform cannot have read them.
 *
 * Threads: each call belongs to the thread of its session.
 * Memory:  nothing is kept; what is read of a job lives in the arena that is given.
 */
#ifndef PAWL_BACKFILL_CONTEXT_H
#define PAWL_BACKFILL_CONTEXT_H

#include "backfill/spec.h"
#include "ledger/ledger.h"

/*
 * Note the context of a job that has none yet; else compare. PAWL_E_STATE says what is different. Outside a transaction,
 * before the first row. `has_lua`: whether secrets and -x matter.
 */
PAWL_NODISCARD pawl_status pawl_context_check(int64_t job, const pawl_backfill_env *env, bool has_lua,
                                              pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

/*
 * Put the -x arguments that the job began with into `env`, where any are known: for a mirror and the way back, which are
 * carried on by runs that are about something else. Outside a transaction.
 */
PAWL_NODISCARD pawl_status pawl_context_arguments(int64_t job, pawl_backfill_env *env, pawl_arena *arena,
                                                  pawl_ledger *ledger, pawl_pg *pg, pawl_error *err);

#endif
