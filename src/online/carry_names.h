/*
 * carry_names.h - other relations in the place of those that a definition names.
 *
 * The text is read by PostgreSQL's own grammar (libpg_query), which tells where each name of a relation stands: nothing
 * that merely looks like one, in a literal or as an alias, is touched.
 *
 * Threads: plain functions.
 * Memory:  everything lives in the arena that was given.
 */
#ifndef PAWL_ONLINE_CARRY_NAMES_H
#define PAWL_ONLINE_CARRY_NAMES_H

#include "core/error.h"
#include "util/arena.h"

typedef struct pawl_carry_rename
{
    const char *schema; /* plain */
    const char *name;   /* plain */
    const char *to;     /* as SQL: qualified and quoted */
    bool is_there;      /* false: whatever reads it cannot be tried */
} pawl_carry_rename;

typedef enum pawl_carry_names_end
{
    PAWL_CARRY_NAMES_OK,
    PAWL_CARRY_NAMES_UNREAD,  /* the grammar does not know it: newer than the library */
    PAWL_CARRY_NAMES_MISSING, /* it reads one that is not there */
} pawl_carry_names_end;

/*
 * `text`, one CREATE VIEW, RULE or TRIGGER in which every name is qualified, with the names replaced; what is read keeps
 * its name as an alias. `self`: the one that is made, or that the rule or trigger is of; it need not be there.
 */
PAWL_NODISCARD pawl_status pawl_carry_rename_all(const char *text, const pawl_carry_rename *renames,
                                                 size_t nrenames, size_t self, pawl_arena *arena,
                                                 const char **out, pawl_carry_names_end *end,
                                                 pawl_error *err);

#endif
