/* A job that was given up is not begun anew by accident; see job.h. */
#include <string.h>

#include "backfill/job.h"
#include "pawl_sql.h"
#include "util/units.h"

#include "util/banned.h"

static pawl_status
ask(const pawl_backfill_id *id, pawl_ledger *ledger, pawl_pg *pg, pawl_pg_result **out, pawl_error *err)
{
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(id->revision), PAWL_ARG_TEXT(id->direction),
                                PAWL_ARG_I64(id->ordinal)};
    pawl_status st = pawl_pg_begin(pg, NULL, err);

    if (st != PAWL_OK)
        return st;
    st = pawl_ledger_query(ledger, pg, pawl_sql_backfill_job_abandoned, 3, args, out, err);
    pawl_pg_rollback(pg);
    return st;
}

static pawl_status
refuse(const pawl_job *job, const pawl_backfill_id *id, const pawl_pg_result *res, pawl_error *err)
{
    const char *by = pawl_pg_text(res, 0, 3);
    char rows[32];

    pawl_units_count(pawl_pg_i64(res, 0, 1), rows, sizeof rows);
    (void) pawl_error_set(
        err, PAWL_E_STATE,
        "job %lld of this step was abandoned%s%s at %s, after %s rows of \"%s.%s\" were written",
        (long long) pawl_pg_i64(res, 0, 0), by[0] != '\0' ? " by " : "", by, pawl_pg_text(res, 0, 2), rows,
        job->table->schema, job->table->name);
    if (strcmp(id->direction, "api") == 0)
        return pawl_error_hint(err,
                               "to begin anew, with those rows a second time, set `restart` in the options");
    return pawl_error_hint(err,
                           "to begin anew, with those rows a second time: pawl upgrade --restart; to leave "
                           "it: pawl downgrade");
}

pawl_status
pawl_job_check_abandoned(const pawl_job *job, const pawl_backfill_id *id, pawl_ledger *ledger, pawl_pg *pg,
                         pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(detail);
    pawl_status st = ask(id, ledger, pg, &res, err);

    if (st != PAWL_OK || pawl_pg_rows(res) == 0)
        return st;
    if (!job->env->restart)
        return refuse(job, id, res, err);
    pawl_strbuf_addf(&detail, "job %lld, which was abandoned after %lld rows were written, is begun anew",
                     (long long) pawl_pg_i64(res, 0, 0), (long long) pawl_pg_i64(res, 0, 1));
    if (!pawl_strbuf_is_ok(&detail))
        return pawl_error_nomem(err, "an event");
    pawl_log_text(job->env->sink, PAWL_EVENT_WARNING, "%s: all rows of \"%s.%s\" are transformed",
                  detail.data, job->table->schema, job->table->name);
    return pawl_ledger_event(ledger, pg, "job_restarted", id->revision, pawl_pg_i64(res, 0, 0), detail.data,
                             err);
}
