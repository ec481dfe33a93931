#include "migrate/left.h"

#include <string.h>

#include "online/capture.h"
#include "online/guard.h"
#include "pawl_sql.h"

#include "util/banned.h"

static pawl_status
take_down(pawl_step_run *run, int64_t job, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    pawl_status st;

    if ((st = pawl_keep_remove(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_guard_remove(job, run->ledger, run->pg, err)) != PAWL_OK ||
        (st = pawl_capture_remove(job, run->ledger, run->pg, err)) != PAWL_OK)
        return st;
    return pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_left_end, 1, args, NULL, err);
}

static pawl_status
note_left(pawl_strbuf *b, const pawl_pg_result *res, int row, pawl_error *err)
{
    const char *what = pawl_pg_text(res, row, 3);

    if (strcmp(pawl_pg_text(res, row, 2), "backfill") == 0)
        return PAWL_OK;
    pawl_strbuf_addf(b, "%sjob %s has ended with its revision, and its triggers and its log are gone",
                     b->length > 0 ? "; " : "", pawl_pg_text(res, row, 0));
    if (what[0] != '\0')
        pawl_strbuf_addf(b, "; %s follows no longer, and stays until you drop it", what);
    return pawl_strbuf_is_ok(b) ? PAWL_OK : pawl_error_nomem(err, "a message");
}

pawl_status
pawl_left_take_down(pawl_step_run *run, const char *revision, int ordinal, pawl_strbuf *left, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(revision), PAWL_ARG_I64(ordinal)};
    pawl_status st = pawl_ledger_query(run->ledger, run->pg, pawl_sql_migrate_left, 2, args, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
    {
        run->waits_for = (uint32_t) pawl_pg_i64(res, row, 1);
        if ((st = take_down(run, pawl_pg_i64(res, row, 0), err)) == PAWL_OK)
            st = note_left(left, res, row, err);
    }
    return st;
}
