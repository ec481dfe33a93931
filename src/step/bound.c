#include "step/bound.h"

#include "backfill/stmt.h"
#include "pawl_sql.h"

#include "util/banned.h"

pawl_status
pawl_step_note_bound(pawl_step_run *run, const pawl_job *job, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    pawl_keyval bound = {0};
    pawl_pg_array array;
    pawl_status st;

    pawl_stmt_bound(&sql, job);
    if ((st = pawl_pg_query(run->pg, sql.data, 0, NULL, &res, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) > 0 &&
        (st = pawl_keyval_from_row(&bound, res, 0, 0, job->key->ncolumns, err)) != PAWL_OK)
        return st;
    pawl_pg_array_init(&array, PAWL_OID_TEXT);
    pawl_keyval_to_array(&bound, &array);
    const pawl_pg_arg args[] = {
        PAWL_ARG_I64(job->id), bound.is_set ? pawl_pg_array_arg(&array, PAWL_OID_TEXT_ARRAY) : PAWL_ARG_NULL};

    st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_step_swap_bound, 2, args, NULL, err);
    pawl_pg_array_fini(&array);
    pawl_keyval_fini(&bound);
    return st;
}
