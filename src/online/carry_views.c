/* Views in the cut-over: their locks, their end, and their beginning. */
#include "online/carry_views.h"

#include <string.h>

#include "online/carry_private.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/clock.h"

#include "util/banned.h"

/* ---- locks ------------------------------------------------------------------------------------------------------ */

/*
 * Before the table's lock, and those that read others first: as their readers come. LOCK TABLE of a view would lock what
 * it reads as well, other tables too; to put a view into the schema where it is does nothing but lock it.
 */
void
pawl_carry_lock_views(pawl_carry_builder *b)
{
    for (size_t i = b->hanging->nitems; i > 0; i--)
    {
        const pawl_hang *item = &b->hanging->items[i - 1];
        pawl_carry_unit *unit;

        if (!pawl_carry_is_carried(item, PAWL_HANG_VIEW))
            continue;
        unit = pawl_carry_add(b, &b->carry->locks, pawl_carry_label(b, item), "ALTER VIEW %s SET SCHEMA %s",
                              item->relation, pawl_carry_quote(b, item->schema));
        if (unit != NULL)
            unit->waits_for = item->oid;
    }
}

static pawl_status
set_timeout(pawl_pg *pg, int64_t ms, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(ms)};

    return pawl_pg_query(pg, pawl_sql_online_views_set_timeout, 1, args, NULL, err);
}

static size_t
count_waits(const pawl_carry_list *list)
{
    size_t n = 0;

    for (size_t i = 0; i < list->length; i++)
        n += list->items[i].waits_for != 0 ? 1 : 0;
    return n;
}

static pawl_status
run_unit(pawl_pg *pg, const pawl_carry_unit *unit, pawl_error *err)
{
    for (size_t k = 0; k < unit->nsql; k++)
    {
        pawl_status st = pawl_pg_exec(pg, unit->sql[k], err);

        if (st != PAWL_OK)
            return pawl_error_prefix(err, "%s", unit->what);
    }
    return PAWL_OK;
}

/* From the second one on each waits for what the ones before have left of the time. 0: there is no limit. */
static pawl_status
take_within(pawl_pg *pg, const pawl_carry *carry, int64_t timeout_ms, uint32_t *waits_for, pawl_error *err)
{
    int64_t until_us = pawl_clock_us() + timeout_ms * 1000;
    bool is_first = true;

    for (size_t i = 0; i < carry->locks.length; i++)
    {
        const pawl_carry_unit *unit = &carry->locks.items[i];
        bool waits = unit->waits_for != 0;
        pawl_status st = PAWL_OK;

        if (waits && !is_first && timeout_ms > 0)
        {
            int64_t left_ms = (until_us - pawl_clock_us()) / 1000;

            st = set_timeout(pg, left_ms > 1 ? left_ms : 1, err);
        }
        *waits_for = waits ? unit->waits_for : carry->planned->oid;
        is_first = is_first && !waits;
        if (st != PAWL_OK || (st = run_unit(pg, unit, err)) != PAWL_OK)
            return st;
    }
    return timeout_ms > 0 ? set_timeout(pg, timeout_ms, err) : PAWL_OK;
}

pawl_status
pawl_carry_take_locks(pawl_pg *pg, const pawl_carry *carry, uint32_t *waits_for, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_hurry(pg, err);

    if (st != PAWL_OK)
        return st;
    if (count_waits(&carry->locks) < 2)
        return take_within(pg, carry, 0, waits_for, err);
    if ((st = pawl_pg_query(pg, pawl_sql_online_views_timeout, 0, NULL, &res, err)) != PAWL_OK)
        return st;
    return take_within(pg, carry, pawl_pg_i64(res, 0, 0), waits_for, err);
}

/* ---- their end, and their beginning ----------------------------------------------------------------------------- */

/* In one statement: a rule of one may write through another, whatever their order. */
void
pawl_carry_drop_views(pawl_carry_builder *b)
{
    PAWL_STRBUF_AUTO(names);

    for (size_t i = b->hanging->nitems; i > 0; i--)
    {
        const pawl_hang *item = &b->hanging->items[i - 1];

        if (pawl_carry_is_carried(item, PAWL_HANG_VIEW))
            pawl_strbuf_addf(&names, "%s%s", names.length > 0 ? ", " : "", item->relation);
    }
    if (!pawl_strbuf_is_ok(&names))
        b->failed = true;
    if (names.length > 0)
        pawl_carry_add(b, &b->carry->cutover, "the views", "DROP VIEW %s", names.data);
}

/* A privilege that somebody else than the owner has granted is granted by that role again. */
static void
make_part(pawl_carry_builder *b, const pawl_hang *item)
{
    bool is_granted_by_other = item->tail[0] != '\0' && strchr("ef", item->flags[0]) != NULL;
    const char *label = pawl_carry_label(b, item);
    pawl_carry_unit *unit;

    if (!is_granted_by_other)
    {
        pawl_carry_add(b, &b->carry->cutover, label, "%s", item->definition);
        return;
    }
    unit = pawl_carry_add(b, &b->carry->cutover, label, "SET LOCAL ROLE %s", item->tail);
    pawl_carry_more(b, unit, "%s", item->definition);
    pawl_carry_more(b, unit, "RESET ROLE");
}

void
pawl_carry_make_views(pawl_carry_builder *b)
{
    for (size_t i = 0; i < b->hanging->nitems; i++)
    {
        const pawl_hang *item = &b->hanging->items[i];

        if (pawl_carry_is_carried(item, PAWL_HANG_VIEW_PART))
            make_part(b, item);
        if (!pawl_carry_is_carried(item, PAWL_HANG_VIEW))
            continue;
        pawl_carry_add(b, &b->carry->cutover, pawl_carry_label(b, item), "%s", item->definition);
        pawl_carry_forget_privileges(b, pawl_carry_label(b, item), "TABLE", item->relation,
                                     PAWL_CARRY_OWNER_HAS_ALL);
    }
}

/* ---- the way back ----------------------------------------------------------------------------------------------- */

static bool
is_same_thing(const pawl_hang *a, const pawl_hang *b)
{
    return a->kind == b->kind && strcmp(a->schema, b->schema) == 0 && strcmp(a->name, b->name) == 0 &&
           (a->kind == PAWL_HANG_VIEW || strcmp(a->flags, b->flags) == 0);
}

void
pawl_carry_note_made(pawl_carry *carry, const pawl_hanging *now)
{
    for (size_t i = 0; i < carry->nsaved; i++)
    {
        pawl_hang *item = &carry->saved[i];

        for (size_t k = 0; k < now->nitems; k++)
            if (is_same_thing(item, &now->items[k]))
                item->made = now->items[k].definition;
    }
}
