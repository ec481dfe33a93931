/*
 * stripe.h - which stripe of a batch a row belongs to.
 *
 * A contract with what stands in the ledger: a batch that was left half done is finished by whoever takes it up, in
 * another process, maybe in another version, and a row is done exactly once only if all agree. So a stripe depends on
 * nothing but the row's key:
 *
 *   stripe = (sum over the key's columns of their parts) mod 12
 *   part of an integer (int2, int4, int8, domains over them): the value mod 12, from 0 to 11 for negative ones as well
 *   part of anything else: hashtext(the column's output text, in UTF-8, COLLATE "C") without its sign, mod 12
 *
 * hashtext is what the server places rows of hash partitions by, and so does not change; pawl computes it itself too
 * (Bob Jenkins' lookup3, as a little-endian server does). A key may be used only where equal keys have equal texts:
 * numeric 1.0 may become 1.00 while the batch is half done, and would change sides.
 *
 * Threads: stateless.
 * Memory:  statements go into the caller's buffer.
 */
#ifndef PAWL_BACKFILL_STRIPE_H
#define PAWL_BACKFILL_STRIPE_H

#include "backfill/job.h"
#include "pg/sqlbuf.h"

#define PAWL_STRIPES 12

/* True when equal values of every key column have equal texts. Collations must be deterministic: see form.h. */
bool pawl_stripe_has_texts(const pawl_key *key);

/* The part of one column, from its text; texts of integers as the server prints them. */
unsigned pawl_stripe_part(const pawl_column *column, const char *text, size_t length);

/* The stripe of a row of a result, whose key columns begin at `first_key`. */
int pawl_stripe_of_row(const pawl_key *key, const pawl_pg_result *res, int row, int first_key);

/* The same as an SQL expression over t. */
void pawl_stripe_sql(pawl_strbuf *b, const pawl_key *key);

/* hashtext, for tests. */
uint32_t pawl_stripe_hash(const char *text, size_t length);

#endif
