/*
 * squashed.h - which rows of the ledger a revision with `replaces` covers.
 *
 * `pawl squash` puts one baseline in place of many revisions, and changes no database. The rows of what it replaced stay
 * in the ledger, beside that of the baseline: they are what happened, and a checkout from before the squash still finds
 * them (in a rolling deploy both are at work). So everybody who reads the rows folds them first.
 *
 *   read the rows -> record (who holds the runner's lease) -> fold -> tie the graph
 *
 * Threads: as the project's.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_MIGRATE_SQUASHED_H
#define PAWL_MIGRATE_SQUASHED_H

#include "migrate/run.h"

typedef enum pawl_squashed
{
    PAWL_SQUASHED_NONE, /* no row of what it replaces */
    PAWL_SQUASHED_PAST, /* the last of them is applied: the baseline's schema is there */
    PAWL_SQUASHED_MIDDLE, /* others are, or the last is half-way: neither baseline nor children can be applied */
} pawl_squashed;

/* Where a database with these rows is, seen from the baseline. *at (may be NULL): the row of the furthest of them. */
pawl_squashed pawl_squashed_state(const pawl_revision *baseline, const pawl_applied *rows, size_t count,
                                  const pawl_applied **at);

/*
 * Past a baseline its row stands for those of what it replaced (one is made up where it has none yet); in the middle the
 * rows stay, and that of the baseline goes: an older checkout has reverted the schema since.
 */
PAWL_NODISCARD pawl_status pawl_squashed_fold(const pawl_project *project, pawl_arena *arena,
                                              pawl_applied **rows, size_t *count, pawl_error *err);

/* Record the baselines that the database is past of and that have no row yet: event "squashed", rows before the fold. */
PAWL_NODISCARD pawl_status pawl_squashed_record(pawl_migration *m, pawl_error *err);

/* PAWL_E_STATE with what to do when the baseline cannot be applied, because the database is in the middle. */
PAWL_NODISCARD pawl_status pawl_squashed_check(const pawl_migration *m, const pawl_revision *revision,
                                               pawl_error *err);

/* "bring it to ... first: ...", for messages. */
PAWL_NODISCARD char *pawl_squashed_advice(const pawl_project *project, const pawl_revision *baseline,
                                          pawl_arena *arena);

/* Say so when what was typed is a revision that was squashed. */
void pawl_squashed_note(const pawl_migration *m, const char *target);

#endif
