/* The part of verify for tables without a key: their jobs end when `where` holds for no row. */
#include "backfill/verify_private.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

/* All are counted, and as many brought as may be listed. Columns: xmin, ctid, count. */
static void
build(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, "SELECT t.xmin, t.ctid, pg_catalog.count(*) OVER () FROM ONLY ");
    pawl_sql_ident2(b, job->table->schema, job->table->name);
    pawl_sql_add(b, " AS t WHERE ");
    pawl_sql_fragment(b, job->spec->where);
    pawl_sql_add(b, " LIMIT $1::bigint");
}

static size_t
room_in(pawl_checking *run)
{
    pawl_mutex_lock(&run->lock);
    size_t room = pawl_checking_shared(run)->most - pawl_checking_shared(run)->nlist;

    pawl_mutex_unlock(&run->lock);
    return room;
}

/* Those that the list has no room for. */
static void
add_others(pawl_checking *run, int64_t count)
{
    pawl_mutex_lock(&run->lock);
    pawl_checking_shared(run)->differences += count;
    pawl_mutex_unlock(&run->lock);
}

pawl_status
pawl_verify_left(pawl_checking *run, pawl_pg *pg, size_t order, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64((int64_t) room_in(run) + 1)};
    pawl_error why = PAWL_ERROR_INIT;
    int rows = 0;
    pawl_status st;

    build(&sql, run->job);
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_sample_begin(pg, run->job, err)) != PAWL_OK)
        return st;
    st = pawl_pg_query(pg, sql.data, 1, args, &res, err);
    pawl_pg_rollback(pg);
    if (st != PAWL_OK || (rows = pawl_pg_rows(res)) == 0)
        return st;
    (void) pawl_error_set(&why, PAWL_E_STATE, "`where` holds for the row: it is not done, or no longer");
    for (int i = 0; i < rows && st == PAWL_OK; i++)
    {
        const pawl_finding f = {.res = res, .row = i, .error = &why};

        st = pawl_checking_add(run, &f, order + (size_t) i, err);
    }
    add_others(run, pawl_pg_i64(res, 0, 2) - rows);
    return st;
}
