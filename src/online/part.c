#include "online/part.h"

#include "pawl_sql.h"
#include "pg/sqlbuf.h"

#include "util/banned.h"

void
pawl_part_name(char out[PAWL_PART_NAME], const char *prefix, int64_t job)
{
    pawl_fmt(out, PAWL_PART_NAME, "%s_%lld", prefix, (long long) job);
}

void
pawl_part_add(pawl_strbuf *sql, const pawl_ledger *ledger, const char *prefix, int64_t job)
{
    char name[PAWL_PART_NAME];

    pawl_part_name(name, prefix, job);
    pawl_sql_ident2(sql, pawl_ledger_schema(ledger), name);
}

pawl_status
pawl_part_run(pawl_pg *pg, pawl_strbuf *sql, pawl_error *err)
{
    if (!pawl_strbuf_is_ok(sql))
        return pawl_error_nomem(err, "a statement");

    pawl_status st = pawl_pg_exec(pg, sql->data, err);

    pawl_strbuf_reset(sql);
    return st;
}

pawl_status
pawl_part_drop_triggers(const char *prefix, int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    char function[PAWL_PART_NAME];
    pawl_status st;

    pawl_part_name(function, prefix, job);
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(function), PAWL_ARG_TEXT(pawl_ledger_schema(ledger))};

    st = pawl_pg_query(pg, pawl_sql_online_capture_triggers, 2, args, &res, err);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
    {
        pawl_sql_add(&sql, "DROP TRIGGER ");
        pawl_sql_ident(&sql, pawl_pg_text(res, row, 2));
        pawl_sql_add(&sql, " ON ");
        pawl_sql_ident2(&sql, pawl_pg_text(res, row, 0), pawl_pg_text(res, row, 1));
        st = pawl_part_run(pg, &sql, err);
    }
    return st;
}

pawl_status
pawl_part_drop_function(const char *prefix, int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_part_drop_triggers(prefix, job, ledger, pg, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "DROP FUNCTION IF EXISTS ");
    pawl_part_add(&sql, ledger, prefix, job);
    pawl_sql_add(&sql, "()");
    st = pawl_part_run(pg, &sql, err);
    (void) pawl_pg_take_notices(pg);
    return st;
}

/* With the patience that an autovacuum takes; the transaction's lock_timeout stays. */
static pawl_status
lock_patiently(pawl_pg *pg, const char *schema, const char *name, const char *mode, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) before = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_status st = pawl_pg_query(pg, pawl_sql_online_part_patience, 0, NULL, &before, err);

    if (st != PAWL_OK)
        return st;
    pawl_sql_add(&sql, "LOCK TABLE ");
    pawl_sql_ident2(&sql, schema, name);
    pawl_strbuf_addf(&sql, " IN %s MODE", mode);
    if ((st = pawl_part_run(pg, &sql, err)) != PAWL_OK)
        return pawl_error_prefix(err, "the table \"%s.%s\", which is pawl's own", schema, name);

    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_pg_text(before, 0, 0))};

    return pawl_pg_query(pg, "SELECT pg_catalog.set_config('lock_timeout', $1::pg_catalog.text, true)", 1,
                         args, NULL, err);
}

pawl_status
pawl_part_lock_table(pawl_pg *pg, const char *schema, const char *name, pawl_error *err)
{
    return lock_patiently(pg, schema, name, "ACCESS EXCLUSIVE", err);
}

pawl_status
pawl_part_keep_vacuum_out(pawl_pg *pg, const char *schema, const char *name, pawl_error *err)
{
    return lock_patiently(pg, schema, name, "SHARE UPDATE EXCLUSIVE", err);
}
