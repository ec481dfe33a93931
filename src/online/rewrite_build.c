/* What is made on the shadow table once its rows are there. */
#include <string.h>

#include "core/backoff.h"
#include "core/log.h"
#include "core/sqlstate.h"
#include "online/rewrite_private.h"
#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/failpoint.h"

#include "util/banned.h"

typedef struct unit_run
{
    const pawl_carry_unit *unit;
    bool is_on_shadow;
    bool is_done;
} unit_run;

pawl_status
pawl_rewrite_build_settings(const pawl_rewrite *rw, pawl_pg *pg, size_t at_once, pawl_error *err)
{
    PAWL_STRBUF_AUTO(table);

    pawl_sql_ident2(&table, rw->shape.table->schema, rw->shadow);
    if (!pawl_strbuf_is_ok(&table))
        return pawl_error_nomem(err, "a name");
    const pawl_pg_arg args[] = {rw->spec->memory != NULL ? PAWL_ARG_TEXT(rw->spec->memory) : PAWL_ARG_NULL,
                                PAWL_ARG_TEXT(table.data), PAWL_ARG_I64(rw->spec->workers),
                                PAWL_ARG_I64((int64_t) at_once)};

    return pawl_pg_query(pg, pawl_sql_online_rewrite_build, 4, args, NULL, err);
}

static pawl_status
unit_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    unit_run *run = ctx;
    pawl_status st;

    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_carry_is_done(rw->pg, run->unit, &run->is_done, err)) != PAWL_OK || run->is_done ||
        (run->is_on_shadow && ((st = pawl_rewrite_build_settings(rw, rw->pg, 1, err)) != PAWL_OK ||
                               (st = pawl_pg_set_path(rw->pg, rw->user_path, err)) != PAWL_OK)))
        return st;
    for (size_t i = 0; i < run->unit->nsql; i++)
        if ((st = pawl_pg_exec(rw->pg, run->unit->sql[i], err)) != PAWL_OK)
            return pawl_error_prefix(err, "%s", run->unit->what);
    PAWL_FAILPOINT("rewrite.in_unit");
    return PAWL_OK;
}

/* The constraint that takes the index which was built for it: of that it has been told. */
static bool
is_told_of(const pawl_carry_list *list, size_t i)
{
    return i > 0 && list->items[i - 1].is_build && strcmp(list->items[i - 1].what, list->items[i].what) == 0;
}

pawl_status
pawl_rewrite_units(pawl_rewrite *rw, const pawl_carry_list *list, bool is_on_shadow, pawl_error *err)
{
    for (size_t i = 0; i < list->length; i++)
    {
        unit_run run = {.unit = &list->items[i], .is_on_shadow = is_on_shadow};
        pawl_status st;

        if (list->items[i].is_build)
            continue;
        if ((st = pawl_rewrite_txn(rw, unit_inside, &run, err)) != PAWL_OK)
            return st;
        if (!run.is_done && !is_told_of(list, i))
            pawl_log_text(rw->env->base->sink, PAWL_EVENT_INFO, "%s is done", list->items[i].what);
    }
    return PAWL_OK;
}

typedef struct second_look
{
    pawl_carry_list left;
    bool is_all;
} second_look;

static pawl_status
look_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    second_look *look = ctx;
    PAWL_STRBUF_AUTO(shadow);
    pawl_status st;

    pawl_sql_ident2(&shadow, rw->shape.table->schema, rw->shadow);
    if (!pawl_strbuf_is_ok(&shadow))
        return pawl_error_nomem(err, "a name");
    if ((st = pawl_pg_set_path(rw->pg, "pg_catalog, pg_temp", err)) != PAWL_OK ||
        (st = pawl_carry_leftovers(rw->pg, rw->carry, shadow.data, rw->arena, &look->left, err)) != PAWL_OK)
        return st;
    look->is_all = true;
    for (size_t i = 0; st == PAWL_OK && i < rw->carry->index.length && look->is_all; i++)
        if (rw->carry->index.items[i].probe != PAWL_CARRY_NO_PROBE)
            st = pawl_carry_is_done(rw->pg, &rw->carry->index.items[i], &look->is_all, err);
    return st;
}

pawl_status
pawl_rewrite_look_again(pawl_rewrite *rw, bool *is_all, pawl_error *err)
{
    second_look look = {0};
    pawl_status st = pawl_rewrite_txn(rw, look_inside, &look, err);

    for (size_t i = 0; st == PAWL_OK && i < look.left.length; i++)
        pawl_log_text(rw->env->base->sink, PAWL_EVENT_INFO,
                      "what %s was built for has been dropped or changed since: it is taken away",
                      look.left.items[i].what);
    *is_all = look.is_all;
    return st == PAWL_OK ? pawl_rewrite_units(rw, &look.left, true, err) : st;
}

static pawl_status
analyze_inside(pawl_rewrite *rw, void *ctx, pawl_error *err)
{
    pawl_status st = pawl_pg_set_path(rw->pg, rw->user_path, err);

    return st == PAWL_OK ? pawl_pg_exec(rw->pg, ctx, err) : st;
}

/*
 * Statistics and the visibility map must be there before the first query of the application comes. Both run functions of the
 * user's, which his indexes name. VACUUM takes no settings that are local: behind a pooler they would be the next one's too.
 */
pawl_status
pawl_rewrite_settle(pawl_rewrite *rw, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_rewrite_connect(rw, err);
    bool is_pooled = st == PAWL_OK && pawl_pg_is_pooled(rw->pg);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, is_pooled ? "ANALYZE " : "VACUUM (ANALYZE) ");
    pawl_sql_ident2(&sql, rw->shape.table->schema, rw->shadow);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if (is_pooled)
        return pawl_rewrite_txn(rw, analyze_inside, sql.data, err);
    st = pawl_pg_pin_session(rw->pg, rw->user_path, 0, 0, err);
    return st == PAWL_OK ? pawl_pg_exec(rw->pg, sql.data, err) : st;
}
