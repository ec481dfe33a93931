#include "backfill/retry_into.h"

#include <string.h>

#include "backfill/into_write.h"
#include "pawl_sql.h"
#include "util/alloc.h"

#include "util/banned.h"

static pawl_status
insert_rows(pawl_outrows *set, pawl_pg *pg, pawl_strbuf *sql, int64_t *taken, pawl_error *err)
{
    pawl_pg_arg *args = pawl_calloc((size_t) set->job->nwrite, sizeof *args);
    pawl_status st;

    if (args == NULL)
        return pawl_error_nomem(err, "the arguments of a statement");
    if ((st = pawl_outrows_args(set, args, err)) == PAWL_OK)
        st = pawl_into_insert(set, pg, sql, args, taken, err);
    pawl_free(args);
    if (st != PAWL_OK && set->read != 1)
        pawl_into_explain(set, err);
    return st;
}

pawl_status
pawl_retry_into(pawl_outrows *set, pawl_pg *pg, pawl_lua *lua, const pawl_pg_result *found, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    const pawl_rowset_source source = {.rows = found, .first = 1, .lua = lua};
    bool is_merge = set->job->nmerge > 0;
    int sources[2] = {0, 0};
    int64_t taken = 0;
    pawl_status st;

    pawl_outrows_reset(set, 0);
    if ((st = pawl_outrows_transform(set, &source, err)) != PAWL_OK ||
        (is_merge && ((st = pawl_outrows_part(set, found, 2, err)) != PAWL_OK ||
                      (st = pawl_outrows_unite(set, sources, err)) != PAWL_OK)) ||
        pawl_outrows_live(set) == 0)
        return st;
    /* Not by COPY: the rows that were found are locked, and no time-out works inside one. */
    st = insert_rows(set, pg, &sql, &taken, err);
    return st != PAWL_OK ? st : pawl_into_check(set, taken, err);
}

pawl_status
pawl_retry_check_target(const pawl_job *job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_table *t = job->target;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job->id), PAWL_ARG_I64(t->oid)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_reject_target, 2, args, &res, err);

    if (st != PAWL_OK || pawl_pg_is_true(res, 0, 0))
        return st;
    (void) pawl_error_set(err, PAWL_E_STATE,
                          "\"%s.%s\" is not the table that job %lld has written its rows into", t->schema,
                          t->name, (long long) job->id);
    return pawl_error_hint(err, "give that table its name back, and this one another");
}
