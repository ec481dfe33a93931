/*
 * nulling.h - rows on their way into a shadow table, any of which may be refused (rejects: write_null).
 *
 * A COPY takes all of its rows or none. So these are kept until all of them have been read, each with the place where what
 * the transform makes begins; they are put in by COPY within savepoints, by halves where the server refuses one for its
 * value, and that one goes in with NULL for what the transform makes. It is noted in the ledger in the same transaction.
 * Where the step does not say `rejects: write_null` it fails, by its name.
 *
 *   open -> (reset -> [stream.h: add ..., refuse ...] -> put -> settle) * -> close
 *
 * Threads: belongs to one thread; it looks at the shape only.
 * Memory:  everything of a slice, until the next reset.
 */
#ifndef PAWL_ONLINE_NULLING_H
#define PAWL_ONLINE_NULLING_H

#include "ledger/ledger.h"
#include "online/shape.h"

typedef struct pawl_nulling pawl_nulling;

PAWL_NODISCARD pawl_status pawl_nulling_open(const pawl_shape *shape, int64_t job, pawl_nulling **out,
                                             pawl_error *err);
void pawl_nulling_close(pawl_nulling *n);
void pawl_nulling_reset(pawl_nulling *n);

/* The bytes of the rows, in the format of the shape's COPY. */
pawl_strbuf *pawl_nulling_bytes(pawl_nulling *n);

/*
 * A row has been added to the bytes: it began at `at`, and what is made of it at `made_at`. `read` is what the transform was
 * given, the key first. `why` is NULL, or the row is refused: its bytes up to made_at count, the rest is put to NULL here.
 */
PAWL_NODISCARD pawl_status pawl_nulling_add(pawl_nulling *n, size_t at, size_t made_at,
                                            const pawl_lua_value *read, const pawl_error *why,
                                            pawl_error *err);

/* In the transaction at hand: COPY them. *written counts rows. */
PAWL_NODISCARD pawl_status pawl_nulling_put(pawl_nulling *n, pawl_pg *pg, int64_t *written, pawl_error *err);

/* Of a drain, behind put: rejects of the keys in the settings pawl.keys_1, ... whose rows have a value by now, or are gone. */
PAWL_NODISCARD pawl_status pawl_nulling_settle(pawl_nulling *n, pawl_ledger *ledger, pawl_pg *pg,
                                               pawl_error *err);

/* Behind both: the rows that were refused into the ledger; raises when there are more than the step allows. */
PAWL_NODISCARD pawl_status pawl_nulling_note(pawl_nulling *n, pawl_ledger *ledger, pawl_pg *pg,
                                             pawl_error *err);

/* How many of the rows at hand were refused. */
int64_t pawl_nulling_refused(const pawl_nulling *n);

/* PAWL_E_REFUSED names what does not let a column that the transform makes be NULL. In a transaction, with the shadow table. */
PAWL_NODISCARD pawl_status pawl_nulling_check(const pawl_shape *shape, pawl_pg *pg, pawl_error *err);

/* How many rows of a job have NULL because they were refused; PAWL_E_FINDINGS when the step does not let so many go live. */
PAWL_NODISCARD pawl_status pawl_nulling_allow(const pawl_shape *shape, int64_t job, pawl_ledger *ledger,
                                              pawl_pg *pg, int64_t *count, pawl_error *err);

PAWL_DEFINE_AUTO(pawl_nulling, pawl_nulling_close);

#endif
