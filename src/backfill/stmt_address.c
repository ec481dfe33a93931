/* Writes without a join: values by arithmetic on the key (see address.h). */
#include "backfill/stmt_private.h"
#include "backfill/version.h"

#include "util/banned.h"

/* What a row's key says of its place in the arrays: the first is 0. */
static void
place(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int first)
{
    pawl_sql_add(b, "((");
    pawl_sql_column(b, "t", job->key->columns[0].column->name);
    pawl_strbuf_addf(b, "::bigint OPERATOR(pg_catalog.-) $%d::bigint)", first);
    if (shape->step > 1)
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog./) %d", shape->step);
    pawl_sql_add(b, ")::integer");
}

/* ($n::type[])[place + 1] */
static void
element(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int first, int param,
        const char *type)
{
    pawl_strbuf_addf(b, "($%d::%s)[", param, type);
    place(b, job, shape, first);
    pawl_sql_add(b, " OPERATOR(pg_catalog.+) 1]");
}

/* SET c = ($n ->> place)::type, ... */
static void
addressed_values(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int first, int param)
{
    pawl_sql_add(b, " SET ");
    for (int i = 0; i < job->nwrite; i++)
    {
        const pawl_column *column = job->write[i];
        int value = param++;

        if (i > 0)
            pawl_sql_add(b, ", ");
        pawl_sql_ident(b, column->name);
        pawl_sql_add(b, " = ");
        if (shape->is_masked[i])
        {
            pawl_sql_add(b, "CASE WHEN ");
            element(b, job, shape, first, param++, "bool[]");
            pawl_sql_add(b, " THEN ");
        }
        pawl_strbuf_addf(b, "($%d::jsonb OPERATOR(pg_catalog.->>) ", value);
        place(b, job, shape, first);
        pawl_sql_add(b, ")::");
        pawl_sql_type(b, column->cast_name);
        if (shape->is_masked[i])
        {
            pawl_sql_add(b, " ELSE ");
            pawl_sql_column(b, "t", column->name);
            pawl_sql_add(b, " END");
        }
    }
}

/*
 * Where nothing but the range and the horizon is asked, they stand alone. Else the range comes first: within it the
 * arithmetic cannot overflow, and CASE keeps the order.
 */
static void
addressed_match(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape, int first)
{
    const char *key = job->key->columns[0].column->name;
    PAWL_STRBUF_AUTO(xmin);

    if (shape->step == 1 && shape->all_old && !shape->with_ctids)
    {
        pawl_version_match_sql(b, first + 2, NULL);
        pawl_sql_add(b, " AND ");
        pawl_sql_column(b, "t", key);
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog.>=) $%d::bigint AND ", first);
        pawl_sql_column(b, "t", key);
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog.<=) $%d::bigint", first + 1);
        return;
    }
    pawl_sql_add(b, "CASE WHEN ");
    pawl_sql_column(b, "t", key);
    pawl_strbuf_addf(b, " OPERATOR(pg_catalog.<) $%d::bigint OR ", first);
    pawl_sql_column(b, "t", key);
    pawl_strbuf_addf(b, " OPERATOR(pg_catalog.>) $%d::bigint THEN false ", first + 1);
    if (shape->step > 1)
    {
        pawl_sql_add(b, "WHEN pg_catalog.mod(");
        pawl_sql_column(b, "t", key);
        pawl_strbuf_addf(b,
                         "::bigint OPERATOR(pg_catalog.-) $%d::bigint, %d) OPERATOR(pg_catalog.<>) 0"
                         " THEN false ",
                         first, shape->step);
    }
    if (!shape->all_old)
        element(&xmin, job, shape, first, first + 3, "xid[]");
    pawl_sql_add(b, "ELSE ");
    pawl_version_match_sql(b, first + 2, shape->all_old ? NULL : xmin.data);
    if (shape->with_ctids)
    {
        pawl_sql_add(b, " AND t.ctid OPERATOR(pg_catalog.=) ");
        element(b, job, shape, first, first - 1, "tid[]");
    }
    pawl_sql_add(b, " END");
}

void
pawl_stmt_write_addressed(pawl_strbuf *b, const pawl_job *job, const pawl_write_shape *shape)
{
    int first = 1;

    if (shape->with_range)
        first += shape->has_lower ? 2 : 1;
    if (shape->with_ctids)
        first++;
    pawl_sql_add(b, "UPDATE ");
    pawl_stmt_from_table(b, job);
    addressed_values(b, job, shape, first, first + (shape->all_old ? 3 : 4));
    pawl_sql_add(b, " WHERE ");
    if (shape->with_ctids)
        pawl_strbuf_addf(b, "t.ctid OPERATOR(pg_catalog.=) ANY ($%d::tid[]) AND ", first - 1);
    addressed_match(b, job, shape, first);
    if (shape->with_range)
    {
        pawl_sql_add(b, " AND ");
        (void) pawl_stmt_range(b, job, shape->has_lower, shape->same, 1);
    }
}
