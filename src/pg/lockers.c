#include "pg/lockers.h"

#include "pawl_sql.h"
#include "pg/txn.h"

#include "util/banned.h"

#define SHOWN_MAX 5 /* lockers.sql reads one more, to know that there are more */

static void
join_lines(const pawl_pg_result *res, char *out, size_t size)
{
    PAWL_STRBUF_AUTO(b);
    int rows = pawl_pg_rows(res);

    for (int i = 0; i < rows && i < SHOWN_MAX; i++)
        pawl_strbuf_addf(&b, "%s%s", i > 0 ? "; " : "", pawl_pg_text(res, i, 0));
    if (rows > SHOWN_MAX)
        pawl_strbuf_add(&b, "; and more");
    pawl_fmt(out, size, "%s", b.data);
}

void
pawl_pg_lockers(pawl_pg *pg, uint32_t table_oid, char *out, size_t size)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {.statement_timeout_ms = 2000};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(table_oid)};
    pawl_error ignored = PAWL_ERROR_INIT;

    pawl_fmt(out, size, "%s", "");
    if (pawl_pg_begin(pg, &pins, &ignored) != PAWL_OK)
        return;
    if (pawl_pg_query(pg, pawl_sql_pg_lockers, 1, args, &res, &ignored) == PAWL_OK)
        join_lines(res, out, size);
    pawl_pg_rollback(pg);
}

bool
pawl_pg_is_vacuumed(pawl_pg *pg, uint32_t table_oid)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_pins pins = {.statement_timeout_ms = 2000};
    const pawl_pg_arg args[] = {PAWL_ARG_I64(table_oid)};
    pawl_error ignored = PAWL_ERROR_INIT;
    bool is_vacuumed = false;

    if (table_oid == 0 || pawl_pg_begin(pg, &pins, &ignored) != PAWL_OK)
        return false;
    if (pawl_pg_query(pg, pawl_sql_pg_vacuumed, 1, args, &res, &ignored) == PAWL_OK)
        is_vacuumed = pawl_pg_is_true(res, 0, 0);
    pawl_pg_rollback(pg);
    return is_vacuumed;
}
