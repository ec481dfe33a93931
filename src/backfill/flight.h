/*
 * flight.h - batches that are written in stripes, several of them in flight.
 *
 * A batch is read and transformed once and written in stripes, a transaction each. After each the worker turns to
 * another batch, so that what a stripe left behind has aged (no snapshot needs it any more) when the next one comes to
 * the same pages and wants its room.
 *
 * Each batch in flight has a chunk of its own, with its own row in the ledger, fence and lease. Several windows in one
 * chunk would have wanted a list of half-done batches in that row; like this a chunk is as it is in the plain form, at
 * one place, and whoever takes it up needs to know of one batch at most.
 *
 * Whatever goes wrong with a batch in flight, its chunk comes back to the worker's hand (worker.h) and goes on there in
 * the plain form, to the end of that batch at least: that is where faults are narrowed down. What is begun anew, with
 * nothing half done, may fly again.
 *
 *   new -> (take | turn ... | forget) -> release -> free
 *
 * Threads: belong to one worker.
 * Memory:  new and free; buffers are kept between batches.
 */
#ifndef PAWL_BACKFILL_FLIGHT_H
#define PAWL_BACKFILL_FLIGHT_H

#include "backfill/worker.h"

#define PAWL_FLIGHTS       3
#define PAWL_STRIPED_LEAST 2400 /* rows of a batch, unless the step wants stripes anyway */

PAWL_NODISCARD pawl_status pawl_flights_new(pawl_worker *w, pawl_error *err);
void pawl_flights_free(pawl_worker *w);

bool pawl_flights_has_any(const pawl_worker *w);
bool pawl_flights_has_room(const pawl_worker *w);

/* The chunks in flight, at most PAWL_FLIGHTS. */
int pawl_flights_ids(const pawl_worker *w, int64_t *ids);

/* The chunk in the worker's hand takes off. There must be room, and no half-done batch in it. */
void pawl_flights_take(pawl_worker *w);

/* True when the form has become the plain one, and a chunk of which no batch is begun has come to the worker's hand. */
bool pawl_flights_has_landed(pawl_worker *w);

/*
 * One transaction of the batch whose turn it is; *rows is what was at stake. The worker's hand must be empty. It is not
 * afterwards when the batch failed, or when it is better written in the plain form.
 */
PAWL_NODISCARD pawl_status pawl_flights_turn(pawl_worker *w, int64_t *rows, pawl_error *err);

/* Renew the leases. */
PAWL_NODISCARD pawl_status pawl_flights_renew(pawl_worker *w, pawl_error *err);

/* The connection is lost, and what was learned on it. */
void pawl_flights_forget(pawl_worker *w);

/* Give the chunks back; best effort. */
void pawl_flights_release(pawl_worker *w);

#endif
