/*
 * pairs.h - each `switch` of a directory and the `backfill` with `capture: true` that fills its column.
 *
 * They may stand in revisions of their own, applied weeks apart: the backfill keeps on logging because a switch is to come,
 * and the switch goes on with the transform of the backfill.
 *
 * Threads: as the project's.
 * Memory:  in the project's arena.
 */
#ifndef PAWL_MIGRATE_PAIRS_H
#define PAWL_MIGRATE_PAIRS_H

#include "migrate/project.h"

/*
 * Tie them: each step's `pair`, and the backfill's files become files of the switch too, so that the ledger keeps them with
 * it. A switch without such a backfill on the way to it is a problem, and so is one whose backfill could not be taken over.
 * The graph is linked and every revision was read.
 */
PAWL_NODISCARD pawl_status pawl_pairs_tie(pawl_project *project, pawl_error *err);

#endif
