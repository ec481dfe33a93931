/* Who holds vacuum, locks and WAL back: long transactions, prepared ones, replication slots. */
#include <string.h>

#include "health/doctor.h"
#include "pawl_sql.h"

#include "util/banned.h"

#define LONG_FACTOR     5 /* a transaction of so many times the threshold is more than a note */
#define MUCH_WAL_BYTES  (INT64_C(1) << 30)
#define OLD_TRANSACTION 10000000

static void
add_transaction(pawl_doctor_case *c, const pawl_pg_result *res, int row)
{
    int64_t age_s = pawl_pg_i64(res, row, 3);
    int64_t pid = pawl_pg_i64(res, row, 1);
    bool is_idle = strncmp(pawl_pg_text(res, row, 2), "idle in transaction", 19) == 0;
    bool is_walsender = strcmp(pawl_pg_text(res, row, 2), "walsender") == 0;
    const char *snapshot =
        pawl_pg_is_null(res, row, 4)
            ? ""
            : pawl_findings_text(c->found, ", its snapshot %s transactions old", pawl_pg_text(res, row, 4));

    pawl_findings_add(
        c->found,
        &(pawl_finding){
            .level =
                age_s >= c->transaction_s * LONG_FACTOR || is_idle ? PAWL_HEALTH_WARNING : PAWL_HEALTH_NOTE,
            .check = "transactions",
            .object = pawl_findings_text(c->found, "pid %lld", (long long) pid),
            .message = pawl_findings_text(c->found, "%s: open for %s, %s%s", pawl_pg_text(res, row, 0),
                                          pawl_doctor_seconds(c, age_s), pawl_pg_text(res, row, 2), snapshot),
            .meaning =
                "vacuum removes no row that it may still see, so a backfill bloats its table; CREATE INDEX "
                "CONCURRENTLY waits for its end, and so do schema steps for its locks",
            .advice = is_walsender
                          ? "it is a replication session: look at what it copies"
                          : pawl_findings_text(c->found, "let it end, or: SELECT pg_terminate_backend(%lld)",
                                               (long long) pid)});
}

pawl_status
pawl_doctor_transactions(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(c->transaction_s)};
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_health_transactions, 1, args, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        add_transaction(c, res, row);
    return st;
}

pawl_status
pawl_doctor_prepared(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_health_prepared, 0, NULL, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_WARNING,
                .check = "prepared",
                .object = pawl_pg_text(res, row, 0),
                .message =
                    pawl_findings_text(c->found, "prepared by %s, and open for %s", pawl_pg_text(res, row, 2),
                                       pawl_doctor_seconds(c, pawl_pg_i64(res, row, 3))),
                .meaning = "it keeps its locks and holds vacuum back, also through a restart, and no "
                           "session is to be seen",
                .advice = pawl_findings_text(c->found,
                                             "ask its transaction manager; else COMMIT PREPARED %s or "
                                             "ROLLBACK PREPARED %s",
                                             pawl_pg_text(res, row, 1), pawl_pg_text(res, row, 1))});
    return st;
}

static void
add_slot(pawl_doctor_case *c, const pawl_pg_result *res, int row)
{
    const char *name = pawl_pg_text(res, row, 0);
    bool is_active = pawl_pg_is_true(res, row, 3);
    int64_t kept = pawl_pg_i64(res, row, 4);
    bool is_lost = pawl_pg_is_true(res, row, 6);
    bool holds_vacuum = pawl_pg_i64(res, row, 5) > OLD_TRANSACTION;
    const char *drop =
        pawl_findings_text(c->found, "SELECT pg_drop_replication_slot(%s)", pawl_pg_text(res, row, 1));

    if (is_active && kept < MUCH_WAL_BYTES && !holds_vacuum)
        return;
    if (is_lost)
    {
        pawl_findings_add(c->found,
                          &(pawl_finding){.level = PAWL_HEALTH_NOTE,
                                          .check = "slots",
                                          .object = name,
                                          .message = "the server has given up on it: its WAL is gone",
                                          .advice = drop});
        return;
    }
    pawl_findings_add(
        c->found,
        &(pawl_finding){
            .level = PAWL_HEALTH_WARNING,
            .check = "slots",
            .object = name,
            .message =
                pawl_findings_text(c->found, "%s, %s, keeps %s of WAL%s", pawl_pg_text(res, row, 2),
                                   is_active ? "active" : "nobody reads it", pawl_doctor_bytes(c, kept),
                                   holds_vacuum ? ", and holds vacuum back" : ""),
            .meaning = is_active ? "its reader is behind; all that a backfill writes is kept for it on top"
                                 : "all WAL that a backfill writes is kept for it, until the disk is full",
            .advice = is_active ? "let its reader catch up first"
                                : pawl_findings_text(c->found, "start its reader, or drop it: %s", drop)});
}

pawl_status
pawl_doctor_slots(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_health_slots, 0, NULL, &res, err);

    for (int row = 0; st == PAWL_OK && row < pawl_pg_rows(res); row++)
        add_slot(c, res, row);
    return st;
}
