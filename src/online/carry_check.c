/* The table against what the lists were made for, within the cut-over. */
#include <string.h>

#include "online/carry_views.h"
#include "pawl_sql.h"

#include "util/banned.h"

/* List under settings of our own, and put those of the transaction back. */
static pawl_status
look(pawl_pg *pg, const pawl_carry *carry, const char *ledger_schema, pawl_arena *arena, pawl_hanging **out,
     pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) before = NULL;
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_carry_enter, 0, NULL, &before, err);

    if (st != PAWL_OK)
        return st;

    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_text(before, 0, 0)),
                                PAWL_ARG_TEXT(pawl_pg_text(before, 0, 1))};

    if ((st = pawl_hanging_load_prepared(pg, carry->planned->oid, ledger_schema, arena, out, err)) != PAWL_OK)
        return st;
    return pawl_pg_query(pg, pawl_sql_online_carry_leave, 2, args, NULL, err);
}

/* The plan of the statement is made here, before anybody has to wait for it. */
pawl_status
pawl_carry_ready(pawl_pg *pg, const pawl_carry *carry, const char *ledger_schema, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_hanging *now = NULL;
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "what hangs on a table");
    if ((st = pawl_hanging_prepare(pg, err)) != PAWL_OK)
        return st;
    return look(pg, carry, ledger_schema, arena, &now, err);
}

pawl_status
pawl_carry_check_before(pawl_pg *pg, const pawl_carry *carry, const char *ledger_schema, pawl_error *err)
{
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    /* Nothing was replaced yet: there is but the new column, and what is ours. */
    const pawl_compare_options options = {
        .kept = carry->replacement, .temporary = carry->temporary, .is_pending = true};
    pawl_compare_diff diff = {.nlines = 0};
    pawl_hanging *now = NULL;
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "what hangs on a table");
    if ((st = look(pg, carry, ledger_schema, arena, &now, err)) != PAWL_OK ||
        (st = pawl_compare(carry->planned, now, &options, arena, &diff, err)) != PAWL_OK)
        return st;
    return pawl_compare_check(now, &diff, err);
}

pawl_status
pawl_carry_check_after(pawl_pg *pg, pawl_carry *carry, const char *ledger_schema, pawl_arena *arena,
                       pawl_compare_diff *out, pawl_error *err)
{
    /* Where the names were exchanged, the other one means something else too. */
    const char *const changed[] = {carry->column, carry->kept};
    bool is_exchange = carry->kept != NULL && strcmp(carry->kept, carry->replacement) == 0;
    const pawl_compare_options options = {.changed = changed,
                                          .nchanged = carry->column == NULL ? 0
                                                      : is_exchange         ? 2
                                                                            : 1,
                                          .kept = carry->kept,
                                          .replacement = carry->replacement,
                                          .temporary = carry->temporary,
                                          .is_pending = true};
    pawl_compare_diff diff = {.nlines = 0};
    pawl_hanging *now = NULL;
    pawl_status st = look(pg, carry, ledger_schema, arena, &now, err);

    if (st != PAWL_OK || (st = pawl_compare(carry->planned, now, &options, arena, &diff, err)) != PAWL_OK ||
        (st = pawl_compare_check(now, &diff, err)) != PAWL_OK)
        return st;
    pawl_carry_note_made(carry, now);
    *out = diff;
    return PAWL_OK;
}

pawl_status
pawl_carry_done(pawl_pg *pg, pawl_error *err)
{
    return pawl_hanging_unprepare(pg, err);
}
