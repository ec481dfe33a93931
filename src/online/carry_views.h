/*
 * carry_views.h - views over a column or table that is replaced: dropped and made anew within the cut-over.
 *
 * A view follows the old column through a rename, and CREATE OR REPLACE cannot change the type of one of its columns. So
 * every view that reads the column, and every view over such a view, is dropped behind the locks and made again behind
 * the renames, with its owner, options, privileges, comments, defaults, rules and triggers.
 *
 *   the trial finds beforehand what the new shape does not bear -> locks: views first -> compare -> drop ... make
 *
 * Threads: as carry.h.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_CARRY_VIEWS_H
#define PAWL_ONLINE_CARRY_VIEWS_H

#include "online/carry.h"

/*
 * Take the locks of a cut-over, in the order of their list. All of them together wait no longer than lock_timeout, so that
 * nobody queues for longer behind those that are had already. *waits_for: the relation that the last one was about, to
 * name those who hold it. In the cut-over's transaction, whose lock_timeout is afterwards what it was.
 */
PAWL_NODISCARD pawl_status pawl_carry_take_locks(pawl_pg *pg, const pawl_carry *carry, uint32_t *waits_for,
                                                 pawl_error *err);

/* Behind the cut-over: how the server prints what was made, so that the way back sees what others have changed since. */
void pawl_carry_note_made(pawl_carry *carry, const pawl_hanging *now);

/*
 * The views alone, tried on the shape of the table `like` (qualified, quoted; empty or not) in a transaction of its
 * own that is rolled back: for a rewrite, whose other things are tried on the shadow table itself. `key`: the columns "(a, b)"
 * of the new primary key, NULL where it stays. PAWL_E_REFUSED names those that it does not bear.
 */
PAWL_NODISCARD pawl_status pawl_carry_rehearse_views(pawl_pg *pg, pawl_hanging *hanging,
                                                     const pawl_hang_options *options, const char *like,
                                                     const char *key, pawl_arena *arena, pawl_error *err);

#endif
