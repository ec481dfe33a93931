/*
 * carry_rewrite.h - the lists of carry.h for a table that another one takes the place of.
 *
 * The shadow table has its columns, with types, defaults, NOT NULL and what is computed; `prepare` gives it what else is
 * enforced on rows or is said of it, `index` the keys and indexes under temporary names, `cutover` the names, and
 * everything that acts: triggers, rules, policies, privileges, foreign keys (NOT VALID), publications. Triggers and
 * rules leave the old table, which nobody writes to any more.
 *
 * Threads: an object belongs to one thread.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_CARRY_REWRITE_H
#define PAWL_ONLINE_CARRY_REWRITE_H

#include "online/carry.h"

typedef struct pawl_carry_rewrite_spec
{
    int64_t job;
    const char *shadow;      /* its name, in the schema of the table */
    const char *kept;        /* the name that the old table has from the cut-over on */
    bool has_key;            /* the index that the drain uses is the shadow table's primary key as well */
    const char *key_name;    /* of that index */
    const char *key_columns; /* "(a, b)" */
    const char *primary_key; /* "(a, b)": the columns of the one that replaces the old; NULL: as it is */
    bool is_partitioned;     /* the shadow table is: a constraint cannot take an index that is there */
    bool keeps_key;          /* that index stays after the cut-over: the mirror uses it */
} pawl_carry_rewrite_spec;

/* From a judged inventory; nothing is asked of the server. */
PAWL_NODISCARD pawl_status pawl_carry_rewrite(pawl_hanging *hanging, const pawl_carry_rewrite_spec *spec,
                                              pawl_arena *arena, pawl_carry **out, pawl_error *err);

/*
 * The way back: the old table, which still has all that is its own, takes the place of the new one again. `now` is the judged
 * inventory of the new table, `saved` what the way there carried over; shadow is the old table's name, kept the one that the
 * new table gets. What acts is made again as it once was, privileges as they are now.
 */
PAWL_NODISCARD pawl_status pawl_carry_rewrite_back(pawl_hanging *now, const pawl_carry_rewrite_spec *spec,
                                                   const pawl_carry *saved, pawl_arena *arena,
                                                   pawl_carry **out, pawl_error *err);

#endif
