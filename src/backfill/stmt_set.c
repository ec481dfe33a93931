/* Writes by SQL expressions: over a range of keys, or at the places of its rows. */
#include "backfill/stmt_private.h"
#include "backfill/stripe.h"
#include "backfill/version.h"

#include "util/banned.h"

/* So that the stripe, which costs something for each row, is computed once. */
static void
and_stripes(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape)
{
    if (shape->first_stripe == 0 && shape->per_set == 0)
        return;
    pawl_sql_add(b, " AND ");
    pawl_stripe_sql(b, job->key);
    if (shape->per_set == 0)
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog.>=) %d", shape->first_stripe);
    else if (shape->per_set == 1)
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog.=) %d", shape->first_stripe);
    else
        pawl_strbuf_addf(b, " OPERATOR(pg_catalog./) %d OPERATOR(pg_catalog.=) %d", shape->per_set,
                         shape->first_stripe / shape->per_set);
}

void
pawl_stmt_set_expressions(pawl_strbuf *b, const pawl_job *job)
{
    pawl_sql_add(b, " SET ");
    for (size_t i = 0; i < job->spec->nset; i++)
    {
        if (i > 0)
            pawl_sql_add(b, ", ");
        pawl_sql_ident(b, job->spec->set[i].column);
        pawl_sql_add(b, " = ");
        pawl_sql_fragment(b, job->spec->set[i].expression);
    }
}

/* UPDATE ... SET ..., or with `is_question` SELECT FROM; of the range. Returns the next parameter. */
static int
from_range(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape, bool is_question)
{
    int next;

    pawl_strbuf_reset(b);
    pawl_sql_add(b, is_question ? "SELECT FROM " : "UPDATE ");
    pawl_stmt_from_table(b, job);
    if (!is_question)
        pawl_stmt_set_expressions(b, job);
    pawl_sql_add(b, " WHERE ");
    next = pawl_stmt_range(b, job, shape->has_lower, shape->same, 1);
    and_stripes(b, job, shape);
    pawl_stmt_and_where(b, job);
    return next;
}

void
pawl_stmt_set(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape)
{
    (void) from_range(b, job, shape, false);
}

/*
 * The status of an id of 32 bits: it is less than 2^31 away from our own. Of the transactions that we see the work of, those
 * within ours alone are in progress.
 */
static void
is_committed(pawl_strbuf *b)
{
    static const char own[] = "pg_catalog.pg_current_xact_id()::text::bigint";

    pawl_strbuf_addf(
        b,
        "CASE WHEN t.xmin OPERATOR(pg_catalog.=) pg_catalog.pg_current_xact_id()::xid THEN false "
        "ELSE pg_catalog.pg_xact_status((%s OPERATOR(pg_catalog.+) (((t.xmin::text::bigint "
        "OPERATOR(pg_catalog.-) %s) OPERATOR(pg_catalog.&) 4294967295) OPERATOR(pg_catalog.#) 2147483648) "
        "OPERATOR(pg_catalog.-) 2147483648)::text::pg_catalog.xid8) OPERATOR(pg_catalog.=) "
        "'committed' END",
        own, own);
}

void
pawl_stmt_set_young(pawl_strbuf *b, const pawl_job *job, const pawl_set_shape *shape, bool is_question)
{
    int horizon = from_range(b, job, shape, is_question);

    pawl_sql_add(b, " AND CASE WHEN ");
    pawl_version_match_sql(b, horizon, NULL);
    pawl_sql_add(b, " THEN false ELSE ");
    is_committed(b);
    pawl_sql_add(b, is_question ? " END LIMIT 1" : " END");
}

/* CASE keeps the planner from taking the range for an index, and the order. */
void
pawl_stmt_set_places(pawl_strbuf *b, const pawl_job *job, bool has_lower, int same)
{
    pawl_strbuf_reset(b);
    pawl_sql_add(b, "UPDATE ");
    pawl_stmt_from_table(b, job);
    pawl_stmt_set_expressions(b, job);
    pawl_sql_add(
        b, " WHERE t.ctid OPERATOR(pg_catalog.=) ANY ($1::tid[]) AND CASE WHEN "
           "(SELECT pg_catalog.pg_relation_filenode($4::oid::regclass) OPERATOR(pg_catalog.=) $5::oid) AND ");
    pawl_version_match_sql(b, 2, NULL);
    pawl_sql_add(b, " THEN ");
    (void) pawl_stmt_range(b, job, has_lower, same, 6);
    pawl_sql_add(b, " AND ");
    pawl_stripe_sql(b, job->key);
    pawl_sql_add(b, " OPERATOR(pg_catalog.=) $3::integer ELSE false END");
    pawl_stmt_and_where(b, job);
}
