#include "backfill/version.h"

#include <inttypes.h>
#include <stdlib.h>

#include "util/banned.h"

void
pawl_versions_init(pawl_versions *v)
{
    *v = (pawl_versions){.all_old = true};
    pawl_pg_array_init(&v->xmins, PAWL_OID_XID);
}

void
pawl_versions_fini(pawl_versions *v)
{
    pawl_pg_array_fini(&v->xmins);
}

void
pawl_versions_reset(pawl_versions *v, uint32_t horizon)
{
    v->horizon = horizon;
    v->all_old = true;
    pawl_pg_array_reset(&v->xmins);
}

void
pawl_versions_add(pawl_versions *v, const pawl_pg_result *rows, int row, int column)
{
    uint32_t xmin = PAWL_XMIN_OLD;

    if (!pawl_pg_is_null(rows, row, column))
    {
        xmin = (uint32_t) strtoul(pawl_pg_text(rows, row, column), NULL, 10);
        v->all_old = false;
    }
    pawl_pg_array_add_i32(&v->xmins, (int32_t) xmin);
}

int
pawl_versions_args(pawl_versions *v, pawl_pg_array *xmins, pawl_pg_arg *args, int nargs)
{
    pawl_fmt(v->text, sizeof v->text, "%" PRIu32, v->horizon);
    args[nargs++] = PAWL_ARG_TEXT(v->text);
    if (xmins != NULL)
        args[nargs++] = pawl_pg_array_arg(xmins, PAWL_OID_XID_ARRAY);
    return nargs;
}

/* A subquery, so that the age of the horizon is worked out once. */
static void
is_old_sql(pawl_strbuf *b, const char *horizon)
{
    pawl_sql_add(b, "pg_catalog.age(t.xmin) OPERATOR(pg_catalog.>) (SELECT pg_catalog.age(");
    pawl_sql_add(b, horizon);
    pawl_sql_add(b, "::pg_catalog.xid))");
}

void
pawl_version_read_sql(pawl_strbuf *b)
{
    pawl_sql_add(b, "CASE WHEN ");
    is_old_sql(b, "pg_catalog.current_setting('pawl.horizon')");
    pawl_sql_add(b, " THEN NULL ELSE t.xmin END");
}

void
pawl_version_match_sql(pawl_strbuf *b, int horizon, const char *xmin)
{
    char param[16];

    pawl_fmt(param, sizeof param, "$%d", horizon);
    if (xmin == NULL)
    {
        is_old_sql(b, param);
        return;
    }
    pawl_strbuf_addf(b, "CASE WHEN %s OPERATOR(pg_catalog.=) '%d'::pg_catalog.xid THEN ", xmin,
                     PAWL_XMIN_OLD);
    is_old_sql(b, param);
    pawl_strbuf_addf(b, " ELSE t.xmin OPERATOR(pg_catalog.=) %s END", xmin);
}
