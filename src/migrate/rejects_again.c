#include "migrate/rejects_again.h"

#include <string.h>

#include "core/sqlstate.h"
#include "online/capture.h"
#include "pawl_sql.h"
#include "pg/sqlbuf.h"
#include "pg/txn.h"

#include "util/banned.h"

enum
{
    MOST_TRIES = 30
};

static pawl_status
refuse_over(int64_t job, const char *phase, pawl_error *err)
{
    (void) pawl_error_set(
        err, PAWL_E_REFUSED,
        "the rows of job %lld that were refused have gone live with NULL: they are not retried",
        (long long) job);
    (void) pawl_error_detail(err, "the job is in phase \"%s\", behind its cut-over", phase);
    return pawl_error_hint(
        err,
        "write these rows by an UPDATE of your own (`pawl rejects %lld --export rejects.csv` has what "
        "they had); or go back with a downgrade, mend the transform and upgrade again",
        (long long) job);
}

static pawl_status
refuse_early(int64_t job, const char *phase, pawl_error *err)
{
    (void) pawl_error_set(err, PAWL_E_STATE, "job %lld has nothing to be retried yet: its copy has not begun",
                          (long long) job);
    (void) pawl_error_detail(err, "the job is in phase \"%s\"", phase);
    return pawl_error_hint(err, "`pawl upgrade` goes on with it, and reads every row as it is then");
}

/* While changes are captured, and until the cut-over. */
static pawl_status
check_phase(int64_t job, pawl_ledger *ledger, pawl_pg *pg, pawl_error *err)
{
    static const char *const before[] = {"copy", "drain", "index", "verify", "settle", "ready"};
    PAWL_AUTO(pawl_pg_result) kind = NULL;
    PAWL_AUTO(pawl_pg_result) res = NULL;
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    pawl_status st = pawl_ledger_query(ledger, pg, pawl_sql_migrate_reject_again, 1, args, &res, err);

    if (st != PAWL_OK ||
        (st = pawl_ledger_query(ledger, pg, pawl_sql_migrate_control_kind, 1, args, &kind, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0 || pawl_pg_rows(kind) == 0 ||
        strcmp(pawl_pg_text(res, 0, 0), "abandoned") == 0)
        return pawl_error_set(err, PAWL_E_STATE, "job %lld was abandoned: its rejected rows are not retried",
                              (long long) job);

    const char *phase = pawl_pg_text(res, 0, 1);

    for (size_t i = 0; i < sizeof before / sizeof before[0]; i++)
        /* The `settle` of a swap comes behind the cut-over, that of a rewrite before it. */
        if (strcmp(phase, before[i]) == 0 &&
            (strcmp(phase, "settle") != 0 || strcmp(pawl_pg_text(kind, 0, 0), "rewrite") == 0))
            return PAWL_OK;
    if (strcmp(phase, "prepare") == 0 || strcmp(phase, "armed") == 0)
        return refuse_early(job, phase, err);
    return refuse_over(job, phase, err);
}

static pawl_status
lock_table(const pawl_pg_result *log, pawl_pg *pg, pawl_error *err)
{
    PAWL_STRBUF_AUTO(sql);

    pawl_sql_add(&sql, "LOCK TABLE ");
    pawl_sql_ident2(&sql, pawl_pg_text(log, 0, 0), pawl_pg_text(log, 0, 1));
    pawl_sql_add(&sql, " IN ACCESS SHARE MODE");
    return pawl_strbuf_is_ok(&sql) ? pawl_pg_exec(pg, sql.data, err) : pawl_error_nomem(err, "a statement");
}

static pawl_status
put(int64_t job, const pawl_pg_result *log, pawl_ledger *ledger, pawl_pg *pg, int64_t *queued,
    pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_STRBUF_AUTO(sql);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job)};
    pawl_status st;

    pawl_sql_add(&sql, "INSERT INTO ");
    pawl_capture_add_log_name(&sql, ledger, job);
    pawl_sql_add(&sql, " (op");
    for (int i = 0; i < pawl_pg_rows(log); i++)
        pawl_strbuf_addf(&sql, ", k%d", i + 1);
    pawl_sql_add(&sql, ") SELECT 'u'");
    for (int i = 0; i < pawl_pg_rows(log); i++)
    {
        pawl_strbuf_addf(&sql, ", r.key[%d]::", i + 1);
        pawl_sql_type(&sql, pawl_pg_text(log, i, 2));
    }
    pawl_sql_add(&sql, " FROM ");
    pawl_sql_ident2(&sql, pawl_ledger_schema(ledger), "reject");
    pawl_sql_add(&sql, " AS r WHERE r.job_id = $1::bigint AND r.state = 'nulled' ORDER BY r.reject_id");
    if (!pawl_strbuf_is_ok(&sql))
        return pawl_error_nomem(err, "a statement");
    if ((st = pawl_pg_query(pg, sql.data, 1, args, &res, err)) == PAWL_OK)
        *queued = pawl_pg_affected(res);
    return st;
}

static pawl_status
work(int64_t job, const char *revision, pawl_ledger *ledger, pawl_pg *pg, int64_t *queued, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) log = NULL;
    PAWL_STRBUF_AUTO(text);
    char name[64];
    pawl_status st;

    pawl_fmt(name, sizeof name, "change_%lld", (long long) job);
    const pawl_pg_arg args[] = {PAWL_ARG_I64(job), PAWL_ARG_TEXT(name),
                                PAWL_ARG_TEXT(pawl_ledger_schema(ledger))};

    /* The table first: a cut-over has it before it looks at the job, and then carries over what is put here. */
    if ((st = pawl_ledger_query(ledger, pg, pawl_sql_migrate_reject_log, 3, args, &log, err)) != PAWL_OK ||
        (pawl_pg_rows(log) > 0 && (st = lock_table(log, pg, err)) != PAWL_OK) ||
        (st = check_phase(job, ledger, pg, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(log) == 0)
        return pawl_error_set(err, PAWL_E_STATE,
                              "job %lld captures no changes: its rejected rows are not retried",
                              (long long) job);
    if ((st = put(job, log, ledger, pg, queued, err)) != PAWL_OK)
        return st;
    pawl_strbuf_addf(&text, "%lld rows", (long long) *queued);
    return pawl_ledger_event(ledger, pg, "rejects_again", revision, job, text.data, err);
}

pawl_status
pawl_rejects_queue_again(int64_t job, const char *revision, int64_t lock_timeout_ms, pawl_ledger *ledger,
                         pawl_pg *pg, int64_t *queued, pawl_error *err)
{
    const pawl_pg_pins pins = {.lock_timeout_ms = lock_timeout_ms};

    for (int tries = 1;; tries++)
    {
        pawl_error failure = PAWL_ERROR_INIT;
        pawl_status st = pawl_pg_begin(pg, &pins, &failure);

        if (st == PAWL_OK && (st = work(job, revision, ledger, pg, queued, &failure)) == PAWL_OK)
            st = pawl_pg_commit(pg, &failure);
        if (st == PAWL_OK)
            return st;
        pawl_pg_rollback(pg);
        *err = failure;
        if (pawl_fault_of(err) != PAWL_FAULT_LOCK || tries >= MOST_TRIES)
            return st;
    }
}
