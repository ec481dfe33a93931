/*
 * The trial of views: each is made as a temporary view that reads temporary copies: of the table in its new shape, and of
 * the views that were tried before it.
 */
#include <string.h>

#include "online/carry_names.h"
#include "online/carry_private.h"
#include "online/carry_views.h"
#include "pawl_sql.h"

#include "util/banned.h"

typedef struct views_run
{
    pawl_carry_builder *b;
    pawl_pg *pg;
    pawl_carry_rename *copies; /* the table, then the views */
    size_t *items;             /* of each copy, where it is in the inventory */
    size_t ncopies;
    int64_t scratch; /* oid of the table's copy */
} views_run;

/* ---- the copies ------------------------------------------------------------------------------------------------- */

static pawl_status
list_copies(views_run *r, const char *scratch, pawl_error *err)
{
    const pawl_hanging *h = r->b->hanging;
    pawl_arena *arena = r->b->arena;

    r->copies = pawl_arena_array(arena, h->nitems + 1, sizeof *r->copies);
    r->items = pawl_arena_array(arena, h->nitems + 1, sizeof *r->items);
    if (r->copies == NULL || r->items == NULL)
        return pawl_error_nomem(err, "views");
    r->copies[r->ncopies++] =
        (pawl_carry_rename){.schema = h->schema, .name = h->table, .to = scratch, .is_there = true};
    for (size_t i = 0; i < h->nitems; i++)
    {
        const pawl_hang *item = &h->items[i];
        const char *to;

        if (!pawl_carry_is_carried(item, PAWL_HANG_VIEW))
            continue;
        if ((to = pawl_arena_fmt(arena, "pg_temp.pawl_trial_%zu", r->ncopies)) == NULL)
            return pawl_error_nomem(err, "views");
        r->items[r->ncopies] = i;
        r->copies[r->ncopies++] = (pawl_carry_rename){.schema = item->schema, .name = item->name, .to = to};
    }
    return PAWL_OK;
}

/* ---- one attempt ------------------------------------------------------------------------------------------------ */

static void
refuse(pawl_hang *item, const char *reason, const char *advice)
{
    item->fate = PAWL_FATE_REFUSED;
    item->reason = reason;
    item->advice = advice;
}

/* Whatever stands on one that was refused is not tried. *is_there: the server took it. */
static pawl_status
try_item(views_run *r, pawl_hang *item, size_t self, bool *is_there, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_carry_names_end end = PAWL_CARRY_NAMES_OK;
    const char *text = NULL;
    const char *why = NULL;
    pawl_status st =
        pawl_carry_rename_all(item->definition, r->copies, r->ncopies, self, r->b->arena, &text, &end, err);

    *is_there = false;
    if (st != PAWL_OK || end == PAWL_CARRY_NAMES_MISSING)
        return st;
    if (end == PAWL_CARRY_NAMES_UNREAD)
    {
        refuse(item, "its definition is in newer words than pawl's grammar knows, and cannot be tried",
               "drop it before and create it again afterwards");
        return PAWL_OK;
    }
    pawl_strbuf_add(&sql, text);
    if ((st = pawl_carry_attempt(r->b, r->pg, &sql, &why, err)) != PAWL_OK)
        return st;
    if (why != NULL)
        pawl_carry_refuse(r->b, item, why);
    *is_there = why == NULL;
    return r->b->failed ? pawl_error_nomem(err, "a view") : PAWL_OK;
}

/* ALTER VIEW: no definition that could be parsed as such, but its clause stands alone. */
static pawl_status
try_default(views_run *r, pawl_hang *item, size_t self, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const char *why = NULL;
    pawl_status st;

    pawl_strbuf_addf(&sql, "ALTER VIEW %s %s", r->copies[self].to, item->tail);
    if ((st = pawl_carry_attempt(r->b, r->pg, &sql, &why, err)) == PAWL_OK && why != NULL)
        pawl_carry_refuse(r->b, item, why);
    return st;
}

static pawl_status
try_parts(views_run *r, size_t self, pawl_error *err)
{
    const pawl_hanging *h = r->b->hanging;
    pawl_status st = PAWL_OK;

    for (size_t i = 0; st == PAWL_OK && i < h->nitems; i++)
    {
        pawl_hang *item = &h->items[i];
        bool is_there = false;

        if (!pawl_hang_is_defining(item) || strcmp(item->relation, h->items[r->items[self]].relation) != 0)
            continue;
        st =
            item->flags[0] == 'd' ? try_default(r, item, self, err) : try_item(r, item, self, &is_there, err);
    }
    return st;
}

/* t AS x(a, b, c): the third column then is another one, and the view would silently show that. */
static pawl_status
check_places(views_run *r, size_t self, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(r->copies[self].to), PAWL_ARG_I64(r->scratch)};
    pawl_status st = pawl_pg_query(r->pg, pawl_sql_online_views_positional, 2, args, &res, err);

    if (st == PAWL_OK && pawl_pg_is_true(res, 0, 0))
        refuse(&r->b->hanging->items[r->items[self]],
               "it gives the columns of the table other names by their place (an alias with a list of "
               "columns), and places change",
               "write the view without that list");
    return st;
}

static pawl_status
try_all(views_run *r, pawl_error *err)
{
    pawl_status st = PAWL_OK;

    for (size_t i = 1; st == PAWL_OK && i < r->ncopies; i++)
        st = try_item(r, &r->b->hanging->items[r->items[i]], i, &r->copies[i].is_there, err);
    for (size_t i = 1; st == PAWL_OK && i < r->ncopies; i++)
        if (r->copies[i].is_there && (st = try_parts(r, i, err)) == PAWL_OK)
            st = check_places(r, i, err);
    return st;
}

/* A view may group by the primary key, which stands for all columns then. */
static pawl_status
give_key(views_run *r, const char *scratch, const char *key, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const char *why = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(r->b->table)};
    pawl_status st = PAWL_OK;

    if (key == NULL && (st = pawl_pg_query(r->pg, pawl_sql_online_carry_key, 1, args, &res, err)) != PAWL_OK)
        return st;
    if (key == NULL && pawl_pg_is_null(res, 0, 0))
        return PAWL_OK;
    pawl_strbuf_addf(&sql, "ALTER TABLE %s ADD PRIMARY KEY %s", scratch,
                     key != NULL ? key : pawl_pg_text(res, 0, 0));
    return pawl_carry_attempt(r->b, r->pg, &sql, &why, err); /* without it the views tell */
}

pawl_status
pawl_carry_try_views(pawl_carry_builder *b, pawl_pg *pg, const char *scratch, int64_t oid, const char *key,
                     pawl_error *err)
{
    views_run r = {.b = b, .pg = pg, .scratch = oid};
    pawl_status st = list_copies(&r, scratch, err);

    if (st == PAWL_OK && r.ncopies > 1)
        st = give_key(&r, scratch, key, err);
    return st == PAWL_OK ? try_all(&r, err) : st;
}
