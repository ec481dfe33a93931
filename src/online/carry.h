/*
 * carry.h - what hangs on a column or a table (catalog/hanging.h) as statements that carry it over, phase by phase.
 *
 *   hanging load -> judge -> carry_swap -> run the lists -> in the cut-over: save
 *   later, for `after` or the way back: load -> carry_swap with saved
 *
 * The definitions are the server's. Where one has to be said of a column that bears another name for the time being
 * (an index that is built before the cut-over), no text is searched and replaced: the table's shape is copied into a
 * temporary table, the definition is run there under the names of the end, the columns are renamed, and the server
 * prints what it has become. The same trial shows what the new type does not bear (CHECK (price <> ''::text) of a
 * number): it is refused by name, before anything starts.
 *
 * The lists, in their order:
 *   before   each in a transaction of its own, before the new column is there (a sequence AS bigint)
 *   prepare  in the transaction that makes the new column, or the shadow table
 *   key      of a rewrite: the index that the drain finds rows by, each by itself
 *   index    each by itself: outside of any transaction when is_outside
 *   early    in step only, each in a transaction of its own, right before the cut-over: what it cannot do without. NOT NULL
 *            where a primary key, an identity or the replica identity wants it; foreign keys that point at the column
 *   locks    begin the cut-over, before anything else in it: views that are made anew, then the table and, NOWAIT, the
 *            tables that foreign keys tie to it (carry_views.h takes them)
 *   cutover  in that transaction, after the last drain; the renames are among them
 *   after    each in a transaction of its own
 *   undo     removes what before the cut-over was made, each by itself; what is not there is no error
 * A unit that is done already says so when asked (pawl_carry_is_done), so that a list can be resumed; one that is not is
 * run from its first statement on, which takes away what an interrupted index build has left.
 *
 * Threads: an object belongs to one thread.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_CARRY_H
#define PAWL_ONLINE_CARRY_H

#include "catalog/compare.h"

/* By what it is seen that a unit has been done. */
typedef enum pawl_carry_probe
{
    PAWL_CARRY_NO_PROBE,             /* to be repeated: harmless */
    PAWL_CARRY_PROBE_INDEX,          /* probe_name is a valid index in the schema of probe_relation */
    PAWL_CARRY_PROBE_STATISTICS,     /* likewise a statistics object */
    PAWL_CARRY_PROBE_CONSTRAINT,     /* probe_relation has a constraint of that name */
    PAWL_CARRY_PROBE_VALIDATED,      /* it is valid, or not there at all */
    PAWL_CARRY_PROBE_NOT_NULL,       /* the column probe_name is NOT NULL */
    PAWL_CARRY_PROBE_NOT_NULL_BEGUN, /* or a CHECK of ours stands for it */
    PAWL_CARRY_PROBE_SEQUENCE,       /* the sequence probe_relation has the type probe_name */
} pawl_carry_probe;

typedef struct pawl_carry_unit
{
    const char *what; /* for people: "index public.t_price_idx" */
    const char **sql; /* statements in order */
    size_t nsql;
    bool is_outside; /* CONCURRENTLY: alone, outside of a transaction */
    bool
        is_build; /* of a rewrite: takes a SHARE lock and time, so others may go beside it; the rest comes behind */
    pawl_carry_probe probe;
    const char *probe_relation; /* qualified and quoted */
    const char *probe_name;
    uint32_t waits_for; /* of a lock: the relation; 0 where it is not known, or not waited for */
} pawl_carry_unit;

typedef struct pawl_carry_list
{
    pawl_carry_unit *items;
    size_t length;
} pawl_carry_list;

/*
 * What is enforced on the new column from the cut-over on, and not before: NOT NULL, checks, foreign keys. As SQL over the
 * table under the alias t and the names of before, so that a row that the server would refuse is found while everything
 * can still be undone.
 */
typedef struct pawl_carry_demand
{
    const char *what;     /* for people: the label of the item */
    const char *violated; /* true for a row that is refused */
    const char *not_null; /* NOT NULL: the column, plain; else NULL */
    bool is_of_row;       /* the row alone tells, as a BEFORE trigger has it */
} pawl_carry_demand;

typedef struct pawl_carry
{
    pawl_carry_list before;
    pawl_carry_list prepare;
    pawl_carry_list key;
    pawl_carry_list index;
    pawl_carry_list early;
    pawl_carry_list locks;
    pawl_carry_list cutover;
    pawl_carry_list after;
    pawl_carry_list undo;
    pawl_carry_demand *demands;
    size_t ndemands;
    const char *
        *beside; /* other columns of the table that the demands look at: who changes one may break them */
    size_t nbeside;
    pawl_hang *saved; /* what was carried, as it was: for the way back */
    size_t nsaved;
    const pawl_hanging *planned; /* the inventory that the lists were made from */
    const char *column;          /* of a swap; NULL otherwise */
    const char *replacement;
    const char *kept;
    const char *temporary; /* what the names of the job's own begin with */
    const char **names;    /* those that the lists use, some of them more than once */
    size_t nnames;
} pawl_carry;

typedef struct pawl_carry_swap_spec
{
    int64_t job;             /* temporary names begin with pawl_<job>_ */
    const char *column;      /* its name before and after */
    const char *replacement; /* the name that the new column has until the cut-over */
    const char *kept; /* the name that the old one has from then on; the same: they exchange their names */
    const char *type; /* of the new column, as SQL; NULL when the table has it already */
    const char *
        search_path; /* of the step: where the type, and what functions name in their bodies, are looked for */
    const pawl_carry *saved; /* the way back: definitions as they once were; else NULL */
    pawl_hang_options options;
} pawl_carry_swap_spec;

/*
 * The lists of a swap, from a judged inventory. It runs the trial in a transaction of its own, which it rolls back (so
 * none may be open), and reads nothing but shapes. PAWL_E_REFUSED names everything that was refused, by the judgement
 * and by the trial.
 */
PAWL_NODISCARD pawl_status pawl_carry_swap(pawl_pg *pg, pawl_hanging *hanging,
                                           const pawl_carry_swap_spec *spec, pawl_arena *arena,
                                           pawl_carry **out, pawl_error *err);

/* PAWL_E_STATE: rows (their keys, as text) break a demand, and so nothing was swapped. */
pawl_status pawl_carry_refuse_row(const pawl_carry_demand *demand, const char *schema, const char *table,
                                  const char *keys, pawl_error *err);

/* The name that something has until the cut-over: pawl_<job>_<digits of a hash of `what`>. NULL without memory. */
const char *pawl_carry_name(int64_t job, const char *what, pawl_arena *arena);

/*
 * What the job has built and the plan does not know any more, because what it was made for was dropped or defined anew
 * meanwhile: a list that takes it away. `shadow`: the table of a rewrite (qualified, quoted), which nobody else uses; NULL:
 * the table itself. Inside a transaction.
 */
PAWL_NODISCARD pawl_status pawl_carry_leftovers(pawl_pg *pg, const pawl_carry *carry, const char *shadow,
                                                pawl_arena *arena, pawl_carry_list *out, pawl_error *err);

/* Ask the server whether a unit is done. Inside a transaction. */
PAWL_NODISCARD pawl_status pawl_carry_is_done(pawl_pg *pg, const pawl_carry_unit *unit, bool *out,
                                              pawl_error *err);

/*
 * Of the tries at a unique index. What was copied is no snapshot: two rows that exchanged a value may both have the same one
 * until they are drained. Zeroed at first.
 */
typedef struct pawl_carry_twice
{
    int tries;
    int same; /* ... the last of which, so many, failed over the same values */
    char values[sizeof((pawl_error *) 0)->detail]; /* "Key (code)=(7) is duplicated." */
} pawl_carry_twice;

/* The build has failed: whether it is worth another try behind a drain. If the values are there twice to stay, the error says
 * what to do. */
bool pawl_carry_can_pass(pawl_carry_twice *twice, pawl_error *failure);

/*
 * A list in the transaction at hand, in as few round trips as may be: under a lock each is one that everybody waits for.
 * The first failure, with the unit that it is of.
 */
PAWL_NODISCARD pawl_status pawl_carry_run(pawl_pg *pg, const pawl_carry_list *list, pawl_error *err);

/*
 * The table is compared with what the lists were made for, by itself: ready before the locks are taken, check_before under
 * them, check_after behind `cutover`, done before the commit. Both checks return PAWL_E_STATE with the differences that
 * nobody asked for, and then the cut-over must not go on; *out has all of them, for people to see, and stays as it was
 * when there is an error. Inside the cut-over's transaction, whatever its search_path.
 */
PAWL_NODISCARD pawl_status pawl_carry_ready(pawl_pg *pg, const pawl_carry *carry, const char *ledger_schema,
                                            pawl_error *err);
PAWL_NODISCARD pawl_status pawl_carry_check_before(pawl_pg *pg, const pawl_carry *carry,
                                                   const char *ledger_schema, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_carry_check_after(pawl_pg *pg, pawl_carry *carry, const char *ledger_schema,
                                                  pawl_arena *arena, pawl_compare_diff *out, pawl_error *err);
PAWL_NODISCARD pawl_status pawl_carry_done(pawl_pg *pg, pawl_error *err);

/* `after` and what was carried as a JSON text for the ledger, and back. */
PAWL_NODISCARD pawl_status pawl_carry_save(const pawl_carry *carry, pawl_arena *arena, const char **out,
                                           pawl_error *err);
PAWL_NODISCARD pawl_status pawl_carry_load(const char *json, pawl_arena *arena, pawl_carry **out,
                                           pawl_error *err);

#endif
