/*
 * retry_into.h - the part of retry.h for `into`: rows made of rejected ones, into the other table.
 *
 * Threads: as retry.h.
 * Memory:  the rows are the caller's, kept between transactions.
 */
#ifndef PAWL_BACKFILL_RETRY_INTO_H
#define PAWL_BACKFILL_RETRY_INTO_H

#include "backfill/outrows.h"

/*
 * Transform `found` (ordinal, version, key, input) and write what comes of it, in the transaction at hand. Rows that the
 * transform refuses are added to set->rejects; what the server refuses is a failure.
 */
PAWL_NODISCARD pawl_status pawl_retry_into(pawl_outrows *set, pawl_pg *pg, pawl_lua *lua,
                                           const pawl_pg_result *found, pawl_error *err);

/* PAWL_E_STATE unless the name of `into` still stands for the table that the job has written to. Inside a transaction. */
PAWL_NODISCARD pawl_status pawl_retry_check_target(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg,
                                                   pawl_error *err);

#endif
