/*
 * carry_private.h - what the files of carry.h share: building lists, and the trial.
 *
 * Threads: an object belongs to one thread.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_CARRY_PRIVATE_H
#define PAWL_ONLINE_CARRY_PRIVATE_H

#include "online/carry.h"
#include "pg/literal.h"
#include "pg/sqlbuf.h"
#include "util/vec.h"

/* What the trial has found of an item, beside it in an array. */
typedef struct pawl_carry_tried
{
    const char *tail;       /* of an index or statistics object, for the names before the cut-over */
    const char *definition; /* of a default as the new type takes it */
    const char *expression; /* of a check, for the names before the cut-over */
    const char **operators; /* of a foreign key of the table, one a column: OPERATOR(...); NULL: "=" */
} pawl_carry_tried;

/* The building of lists. A failed allocation is remembered and asked for once, as with a pawl_strbuf. */
typedef struct pawl_carry_builder
{
    pawl_arena *arena;
    pawl_hanging *hanging;
    pawl_carry_tried *tried; /* an item each */
    pawl_carry *carry;
    const char *table;  /* qualified and quoted */
    const char *schema; /* quoted */
    const char *type;   /* of a swap's new column, as the trial saw it */
    int64_t job;
    const char *
        leftover; /* a CHECK of ours that stands for NOT NULL since a swap that was not settled; NULL: none */
    bool failed;
} pawl_carry_builder;

PAWL_NODISCARD pawl_status pawl_carry_begin(pawl_carry_builder *b, pawl_hanging *hanging, int64_t job,
                                            pawl_arena *arena, pawl_error *err);

/* Add a unit of one statement, given as format with texts that are SQL already. Returns it, NULL without memory. */
pawl_carry_unit *pawl_carry_add(pawl_carry_builder *b, pawl_carry_list *list, const char *what,
                                const char *fmt, ...) PAWL_PRINTF(4, 5);
/* One more statement in a unit (NULL is allowed: memory ran out before). */
void pawl_carry_more(pawl_carry_builder *b, pawl_carry_unit *unit, const char *fmt, ...) PAWL_PRINTF(3, 4);
void pawl_carry_probe_by(pawl_carry_unit *unit, pawl_carry_probe probe, const char *relation,
                         const char *name);

/* Quoted names and texts; "" without memory, and the builder is marked. */
const char *pawl_carry_quote(pawl_carry_builder *b, const char *name);
const char *pawl_carry_text(pawl_carry_builder *b, const char *text);
/* a, b: quoted, with one name replaced by another when `from` is not NULL. */
const char *pawl_carry_names(pawl_carry_builder *b, char *const *names, size_t count, const char *from,
                             const char *to);
const char *pawl_carry_label(pawl_carry_builder *b, const pawl_hang *item);
/* pawl_carry_name of an item as it is defined, plain: what was made of another definition has another name. */
const char *pawl_carry_temporary(pawl_carry_builder *b, const pawl_hang *item);
/* A name of the job's own that the plan uses; the one above is known. */
void pawl_carry_know(pawl_carry_builder *b, const char *name);

/* b->carry->demands: of what is carried, under the names of before. */
void pawl_carry_demand_all(pawl_carry_builder *b, const pawl_carry_swap_spec *spec);

/* Items of the saved inventory in place of what the catalogue has: definitions as they once were. */
void pawl_carry_restore(pawl_carry_builder *b, const pawl_carry *saved);

/* Remember what is carried. */
PAWL_NODISCARD pawl_status pawl_carry_keep(pawl_carry_builder *b, pawl_error *err);

/*
 * Run it in a savepoint. What the server has against the definition is in *why, in the arena, and no failure; NULL: it
 * took it. Everything else that goes wrong is a failure.
 */
PAWL_NODISCARD pawl_status pawl_carry_attempt(pawl_carry_builder *b, pawl_pg *pg, const pawl_strbuf *sql,
                                              const char **why, pawl_error *err);
void pawl_carry_refuse(pawl_carry_builder *b, pawl_hang *item, const char *why);

/*
 * Run every definition on a temporary table of the shape and under the names that the swap's table has at the end. Fills
 * tried, and refuses items.
 */
PAWL_NODISCARD pawl_status pawl_carry_try(pawl_carry_builder *b, pawl_pg *pg,
                                          const pawl_carry_swap_spec *swap, pawl_error *err);

/* carry_views_trial.c: the views alone. `scratch`: the temporary table, as SQL and by its oid; it gets the primary key "(a, b)",
 * or, where that is NULL, the one that the table has. */
PAWL_NODISCARD pawl_status pawl_carry_try_views(pawl_carry_builder *b, pawl_pg *pg, const char *scratch,
                                                int64_t oid, const char *key, pawl_error *err);

/* carry_views.c: into `locks` before the table's own, and at both ends of `cutover`. */
void pawl_carry_lock_views(pawl_carry_builder *b);
void pawl_carry_drop_views(pawl_carry_builder *b);
void pawl_carry_make_views(pawl_carry_builder *b);

/* The statements that both ways have in common; those of the cut-over are under the names of the end. */
bool pawl_carry_is_carried(const pawl_hang *item, pawl_hang_kind kind);
const char *
pawl_carry_not_valid(const pawl_hang *item); /* " NOT VALID" unless its definition ends so already */
void pawl_carry_add_comment(pawl_carry_builder *b, const pawl_hang *item);
void pawl_carry_place_index(pawl_carry_builder *b, const pawl_hang *item);
void pawl_carry_make_statistics(pawl_carry_builder *b, const pawl_hang *item, const char *tail,
                                const char *table);
void pawl_carry_place_statistics(pawl_carry_builder *b, const pawl_hang *item);
void pawl_carry_drop_keys(pawl_carry_builder *b);
void pawl_carry_add_late_key(pawl_carry_builder *b, const pawl_hang *item);
void pawl_carry_validate(pawl_carry_builder *b, pawl_carry_list *list, const pawl_hang *item,
                         const char *relation, const char *name);
void pawl_carry_lock(pawl_carry_builder *b);
void pawl_carry_drop_identity(pawl_carry_builder *b, const pawl_hang *item);
void pawl_carry_make_identity(pawl_carry_builder *b, const pawl_hang *item);

typedef enum pawl_carry_owner
{
    PAWL_CARRY_OWNER_STAYS,
    PAWL_CARRY_OWNER_HAS_ALL,
    PAWL_CARRY_OWNER_LOSES_ALL,
} pawl_carry_owner;

/* In the cut-over: what default privileges gave a new TABLE (or view) or SEQUENCE when it was made is not what the one had
 * whose place it takes. */
void pawl_carry_forget_privileges(pawl_carry_builder *b, const char *what, const char *type, const char *name,
                                  pawl_carry_owner owner);

void pawl_carry_own_sequence(pawl_carry_builder *b, const pawl_hang *item);

/* The name that the old column of a swap has while the new one takes its own. NULL without memory. */
const char *pawl_carry_exchange_name(const pawl_carry_swap_spec *spec, pawl_arena *arena);

#endif
