/* What lies about in the database: invalid indexes, publications, triggers and schemas that were left behind. */
#include "health/doctor.h"
#include "pawl_sql.h"

#include "util/banned.h"

/* Of a log of changes: an eighth of its limit. */
#define LARGE_LOG ((int64_t) 1 << 30)

pawl_status
pawl_doctor_indexes(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_health_indexes, 0, NULL, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
    {
        const char *name = pawl_pg_text(res, row, 0);
        bool is_being_built = pawl_pg_is_true(res, row, 3);

        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = is_being_built ? PAWL_HEALTH_NOTE : PAWL_HEALTH_WARNING,
                .check = "indexes",
                .object = name,
                .message = pawl_findings_text(c->found, "on %s, %s, %s", pawl_pg_text(res, row, 1),
                                              pawl_doctor_bytes(c, pawl_pg_i64(res, row, 2)),
                                              is_being_built ? "is being built now" : "is not valid"),
                .meaning = is_being_built ? ""
                                          : "an interrupted CREATE INDEX CONCURRENTLY left it: no query uses "
                                            "it, and every write pays for it",
                .advice = is_being_built ? ""
                                         : pawl_findings_text(c->found,
                                                              "DROP INDEX CONCURRENTLY %s, or finish it: "
                                                              "REINDEX INDEX CONCURRENTLY %s",
                                                              name, name)});
    }
    return st;
}

pawl_status
pawl_doctor_publications(pawl_doctor_case *c, pawl_error *err)
{
    const char *names = "";
    pawl_status st = pawl_ledger_publications(c->ledger, c->pg, c->arena, &names, err);

    if (st == PAWL_OK && names[0] != '\0')
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_ERROR,
                .check = "publications",
                .object = names,
                .message = pawl_findings_text(c->found, "carries the tables of schema \"%s\" as well",
                                              pawl_ledger_schema(c->ledger)),
                .meaning = "its subscriber stops at the ledger's first row, and this server keeps WAL for "
                           "it until the disk is full",
                .advice = "name the tables or schemas that it is to carry, or create the ledger's schema "
                          "and tables on the subscriber first (pg_dump --schema-only)"});
    return st;
}

pawl_status
pawl_doctor_triggers(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_TEXT(pawl_ledger_schema(c->ledger))};
    pawl_status st;

    if (c->ledger_version == 0)
        return PAWL_OK;
    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_health_triggers, 1, args, &res, err);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_WARNING,
                .check = "triggers",
                .object = pawl_findings_text(c->found, "%s on %s", pawl_pg_text(res, row, 0),
                                             pawl_pg_text(res, row, 1)),
                .message = "it captures changes for a job that is over, or that this ledger does not know",
                .meaning = "every write to the table pays for it, and what it captures grows for ever",
                .advice = pawl_findings_text(c->found, "DROP TRIGGER %s ON %s", pawl_pg_text(res, row, 0),
                                             pawl_pg_text(res, row, 1))});
    return st;
}

pawl_status
pawl_doctor_logs(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(LARGE_LOG)};
    pawl_status st;

    if (c->ledger_version == 0)
        return PAWL_OK;
    st = pawl_ledger_query(c->ledger, c->pg, pawl_sql_health_logs, 1, args, &res, err);
    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_WARNING,
                .check = "logs",
                .object = pawl_findings_text(c->found, "job %s on %s", pawl_pg_text(res, row, 0),
                                             pawl_pg_text(res, row, 1)),
                .message = pawl_findings_text(c->found, "its log of changes takes %s (phase %s)",
                                              pawl_doctor_bytes(c, pawl_pg_i64(res, row, 3)),
                                              pawl_pg_text(res, row, 2)),
                .meaning = "at 8 GB nothing is logged any more: before a cut-over the step has to start "
                           "over, after it there is no way back",
                .advice = pawl_findings_text(c->found,
                                             "carry over what is in it: `pawl upgrade` before a cut-over, "
                                             "`pawl work %s` after it; or end the way back with `contract`",
                                             pawl_pg_text(res, row, 0))});
    return st;
}

pawl_status
pawl_doctor_scratch(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_bench_leftovers, 0, NULL, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        pawl_findings_add(
            c->found, &(pawl_finding){
                          .level = PAWL_HEALTH_WARNING,
                          .check = "scratch",
                          .object = pawl_pg_text(res, row, 0),
                          .message = pawl_findings_text(c->found, "left by a benchmark that was killed (%s)",
                                                        pawl_pg_text(res, row, 1)),
                          .meaning = "copies of a table's rows that nobody needs take room",
                          .advice = pawl_findings_text(
                              c->found, "DROP SCHEMA %s CASCADE; the next `pawl bench` does it as well",
                              pawl_pg_text(res, row, 0))});
    return st;
}
