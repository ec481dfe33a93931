/* Rows that get NULL because the transform or the type of the new column refuses them: may they, and how many go live so? */
#include <string.h>

#include "core/sqlstate.h"
#include "pawl_sql.h"
#include "step/swap.h"

#include "util/banned.h"

static pawl_status
refuse(const pawl_swap *s, const char *why, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_REFUSED,
                          "`rejects: write_null` cannot be for column \"%s\" of \"%s\": %s", s->d->column,
                          s->d->table, why);
    return pawl_error_hint(
        err, "nothing was swapped; leave `rejects` out, and the first row that is refused stops "
             "the swap; or let the transform return another value for such rows");
}

/* ---- what forbids NULL ------------------------------------------------------------------------------------------------ */

typedef struct probe
{
    const char *why;
} probe;

static bool
is_no_null(const pawl_error *err)
{
    return strcmp(err->sqlstate, "23502") == 0 || strcmp(err->sqlstate, "23514") == 0;
}

/* A row in which nothing was said of a column of that type: a copied row that is refused has just that. */
static pawl_status
try_type(pawl_swap *s, probe *p, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st;

    pawl_sql_add(&sql, "CREATE TEMPORARY TABLE pawl_null (v ");
    pawl_sql_type(&sql, s->d->type);
    pawl_sql_add(&sql, ")");
    if ((st = pawl_step_exec(s->run, &sql, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(s->run->pg, "INSERT INTO pg_temp.pawl_null DEFAULT VALUES RETURNING v IS NULL", 0,
                       NULL, &res, &failure);
    if (st == PAWL_OK && !pawl_pg_is_true(res, 0, 0))
        p->why = pawl_arena_fmt(s->run->arena, "its new type %s has a default of its own", s->d->type);
    else if (st == PAWL_E_SERVER && is_no_null(&failure))
        p->why =
            pawl_arena_fmt(s->run->arena, "its new type %s takes no NULL: %s", s->d->type, failure.message);
    else if (st != PAWL_OK)
    {
        *err = failure;
        return st;
    }
    return PAWL_OK;
}

/* Of a constraint that looks at other columns as well only the rows can tell: the drain and the proof ask them. */
static pawl_status
try_demand(pawl_swap *s, const pawl_carry_demand *demand, probe *p, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_error failure = PAWL_ERROR_INIT;
    pawl_status st;

    pawl_sql_add(&sql, "SELECT ");
    pawl_sql_fragment(&sql, demand->violated);
    pawl_sql_add(&sql, " FROM (SELECT NULL::");
    pawl_sql_type(&sql, s->d->type);
    pawl_sql_add(&sql, " AS ");
    pawl_sql_ident(&sql, s->new_name);
    pawl_sql_add(&sql, ") AS t");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    st = pawl_pg_query(s->run->pg, sql.data, 0, NULL, &res, &failure);
    if (st == PAWL_OK && pawl_pg_is_true(res, 0, 0))
        p->why = pawl_arena_fmt(s->run->arena, "%s refuses NULL", demand->what);
    else if (st != PAWL_OK && strncmp(failure.sqlstate, "42", 2) != 0)
    {
        *err = failure;
        return st;
    }
    return PAWL_OK;
}

/* Each in a transaction of its own, which is rolled back: it may fail. */
static pawl_status
try_one(pawl_swap *s, const pawl_carry_demand *demand, probe *p, pawl_error *err)
{
    PAWL_STRBUF_AUTO(path);
    pawl_status st;

    pawl_strbuf_addf(&path, "pg_catalog, %s", s->run->search_path);
    if (!pawl_strbuf_is_ok(&path))
        return pawl_error_nomem(err, "a search_path");
    const pawl_pg_pins pins = {.search_path = path.data};

    if ((st = pawl_pg_begin(s->run->pg, &pins, err)) != PAWL_OK)
        return st;
    st = demand == NULL ? try_type(s, p, err) : try_demand(s, demand, p, err);
    pawl_pg_rollback(s->run->pg);
    return st;
}

pawl_status
pawl_swap_check_null(pawl_swap *s, pawl_error *err)
{
    const pawl_carry *carry = s->carry;
    probe p = {0};
    pawl_status st = PAWL_OK;

    if (!s->d->nulls_rejects)
        return PAWL_OK;
    for (size_t i = 0; st == PAWL_OK && p.why == NULL && i < carry->ndemands; i++)
        if (carry->demands[i].is_of_row)
            st = try_one(s, &carry->demands[i], &p, err);
    if (st == PAWL_OK && p.why == NULL)
        st = try_one(s, NULL, &p, err);
    return st == PAWL_OK && p.why != NULL ? refuse(s, p.why, err) : st;
}

/* ---- how many go live ------------------------------------------------------------------------------------------------- */

pawl_status
pawl_swap_count_nulled(pawl_swap *s, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(s->job)};
    pawl_status st = pawl_ledger_query(s->run->ledger, pg, pawl_sql_online_nulled, 1, args, &res, err);

    if (st == PAWL_OK)
        s->nulled = pawl_pg_i64(res, 0, 0);
    return st;
}

pawl_status
pawl_swap_allow_nulled(const pawl_swap *s, pawl_error *err)
{
    int64_t allowed = s->d->nulls_rejects ? s->d->allow_rejects : 0;
    char limit[120];

    if (s->nulled <= allowed)
        return PAWL_OK;
    if (s->d->nulls_rejects)
        pawl_fmt(limit, sizeof limit, "its step allows %lld to go live so (allow_rejects)",
                 (long long) allowed);
    else
        pawl_fmt(limit, sizeof limit, "its step does not say `rejects: write_null` any more");
    (void) pawl_error_set(
        err, PAWL_E_FINDINGS,
        "job %lld has written NULL into the new column \"%s\" for %lld %s of \"%s\" that were "
        "refused, and %s",
        (long long) s->job, s->d->column, (long long) s->nulled, s->nulled == 1 ? "row" : "rows", s->d->table,
        limit);
    (void) pawl_error_detail(err, "nothing was swapped, the application goes on as before");
    return pawl_error_hint(
        err,
        "see them with `pawl rejects %lld`; mend the transform or the rows and say `pawl rejects "
        "%lld --retry`, or raise allow_rejects in the step; then run the same again",
        (long long) s->job, (long long) s->job);
}
