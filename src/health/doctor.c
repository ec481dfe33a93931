#include "health/doctor.h"

#include <string.h>

#include "pawl_sql.h"
#include "pg/txn.h"
#include "util/clock.h"
#include "util/units.h"

#include "util/banned.h"

typedef struct examination
{
    const char *check;
    pawl_doctor_look look;
    const char *fine; /* said when nothing was found; NULL: it speaks for itself */
} examination;

static const examination examinations[] = {
    {"settings", pawl_doctor_settings, "none that stands in the way"},
    {"connections", pawl_doctor_connections, NULL},
    {"visibility", pawl_doctor_visibility, NULL},
    {"transactions", pawl_doctor_transactions, "none is open for long"},
    {"prepared", pawl_doctor_prepared, "no prepared transaction"},
    {"slots", pawl_doctor_slots, "no replication slot holds WAL back"},
    {"indexes", pawl_doctor_indexes, "all are valid"},
    {"publications", pawl_doctor_publications, "none carries the ledger"},
    {"ledger", pawl_doctor_ledger, NULL},
    {"triggers", pawl_doctor_triggers, "none is left behind"},
    {"logs", pawl_doctor_logs, "no job has logged a lot of changes"},
    {"scratch", pawl_doctor_scratch, "no benchmark left anything behind"},
    {"files", pawl_doctor_pending, NULL},
    {"rights", pawl_doctor_rights, "enough for what can be told of the pending steps"},
    {"vacuum", pawl_doctor_vacuum, "nothing in the way of pending backfills"},
    {"disk", pawl_doctor_disk, NULL},
};

const char *
pawl_doctor_bytes(pawl_doctor_case *c, int64_t bytes)
{
    char text[32];

    pawl_units_bytes(bytes, text, sizeof text);
    return pawl_findings_text(c->found, "%s", text);
}

const char *
pawl_doctor_seconds(pawl_doctor_case *c, int64_t seconds)
{
    char text[32];

    pawl_units_duration(seconds * 1000, text, sizeof text);
    return pawl_findings_text(c->found, "%s", text);
}

/* ---- getting there ----------------------------------------------------------------------------------------------- */

static pawl_status
open_direct(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg) pg = NULL;
    const char *conninfo = NULL;
    pawl_error wrong = PAWL_ERROR_INIT;
    pawl_finding finding = {.check = "pooler", .object = "direct_database"};
    pawl_status st = pawl_project_direct(c->project, c->arena, &conninfo, err);

    if (st != PAWL_OK || conninfo == NULL)
        return st;
    st = pawl_project_connect(c->project, conninfo, true, c->options->stop, &pg, &wrong);
    if (st == PAWL_E_STOPPED)
    {
        *err = wrong;
        return st;
    }
    if (st != PAWL_OK)
    {
        finding.level = PAWL_HEALTH_ERROR;
        finding.message = wrong.message;
        finding.meaning = "CREATE INDEX CONCURRENTLY, VACUUM and backups go this way";
        finding.advice = wrong.hint;
    }
    else if (pawl_pg_is_pooled(pg))
    {
        finding.level = PAWL_HEALTH_ERROR;
        finding.message = "it leads to a pooler as well";
        finding.meaning = "what needs a session of its own cannot run";
        finding.advice = "give the address of the server itself";
    }
    else
    {
        finding.message = pawl_findings_text(c->found, "%s", pawl_pg_target(pg));
    }
    pawl_findings_add(c->found, &finding);
    return PAWL_OK;
}

static pawl_status
look_at_pooler(pawl_doctor_case *c, pawl_error *err)
{
    bool has_direct = c->project->settings.direct_database[0] != '\0';

    if (!pawl_pg_is_pooled(c->pg))
        pawl_findings_add(c->found, &(pawl_finding){.check = "pooler", .message = "none in between"});
    else
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = has_direct ? PAWL_HEALTH_NOTE : PAWL_HEALTH_WARNING,
                .check = "pooler",
                .message = "a pooler in transaction mode is in between",
                .meaning = has_direct
                               ? "a worker that dies is noticed only when its lease ends"
                               : "CREATE INDEX CONCURRENTLY, VACUUM and backups cannot be run, and a worker "
                                 "that dies is noticed only when its lease ends",
                .advice = has_direct ? "" : "set `direct_database` to the address of the server itself"});
    return open_direct(c, err);
}

static pawl_status
open_server(pawl_doctor_case *c, pawl_error *err)
{
    const char *conninfo = NULL;
    int64_t start_us = pawl_clock_us();
    int version;
    pawl_status st;

    if ((st = pawl_project_conninfo(c->project, c->arena, &conninfo, err)) != PAWL_OK ||
        (st = pawl_ledger_new(c->project->settings.schema, &c->ledger, err)) != PAWL_OK ||
        (st = pawl_project_connect(c->project, conninfo, true, c->options->stop, &c->pg, err)) != PAWL_OK)
        return st;
    version = pawl_pg_server_version(c->pg);
    pawl_findings_add(
        c->found, &(pawl_finding){.check = "server",
                                  .message = pawl_findings_text(
                                      c->found, "PostgreSQL %d.%d, reached in %lld ms", version / 10000,
                                      version % 10000, (long long) ((pawl_clock_us() - start_us) / 1000))});
    return look_at_pooler(c, err);
}

static pawl_status
read_role(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    PAWL_AUTO(pawl_pg_result) right = NULL;
    PAWL_AUTO(pawl_pg_result) recovery = NULL;
    pawl_doctor_role *r = &c->role;
    pawl_status st;

    if ((st = pawl_pg_query(c->pg, pawl_sql_health_role, 0, NULL, &res, err)) != PAWL_OK ||
        (st = pawl_pg_query(c->pg, "SELECT pg_is_in_recovery()", 0, NULL, &recovery, err)) != PAWL_OK)
        return st;
    if (pawl_pg_server_version(c->pg) >= 150000 &&
        (st = pawl_pg_query(c->pg, pawl_sql_health_replica_right, 0, NULL, &right, err)) != PAWL_OK)
        return st;
    if (pawl_pg_rows(res) == 0)
        return pawl_error_set(err, PAWL_E_STATE, "the role or the database was dropped a moment ago");
    r->name = pawl_findings_text(c->found, "%s", pawl_pg_text(res, 0, 0));
    r->is_superuser = pawl_pg_is_true(res, 0, 1);
    r->can_read_stats = pawl_pg_is_true(res, 0, 2);
    r->room = pawl_pg_i64(res, 0, 3);
    r->is_local = pawl_pg_is_true(res, 0, 4);
    r->data_directory = pawl_findings_text(c->found, "%s", pawl_pg_text(res, 0, 5));
    r->can_set_replica_role = r->is_superuser || (right != NULL && pawl_pg_is_true(right, 0, 0));
    if (pawl_pg_is_true(recovery, 0, 0))
        pawl_findings_add(c->found,
                          &(pawl_finding){.level = PAWL_HEALTH_ERROR,
                                          .check = "server",
                                          .message = "it is a standby",
                                          .meaning = "it takes no writes: only verbs that read work here",
                                          .advice = "name the primary, or all hosts together with "
                                                    "target_session_attrs=read-write"});
    return PAWL_OK;
}

/* ---- the examinations -------------------------------------------------------------------------------------------- */

static pawl_status
in_transaction(pawl_doctor_case *c, pawl_doctor_look look, pawl_error *err)
{
    pawl_status st = pawl_pg_begin(c->pg, NULL, err);

    if (st == PAWL_OK)
        st = look(c, err);
    if (st == PAWL_OK)
        st = pawl_pg_commit(c->pg, err);
    if (st != PAWL_OK)
        pawl_pg_rollback(c->pg);
    return st;
}

static pawl_status
examine(pawl_doctor_case *c, const examination *e, pawl_error *err)
{
    pawl_error wrong = PAWL_ERROR_INIT;
    size_t before = c->found->list.length;
    pawl_status st = in_transaction(c, e->look, &wrong);

    if (st == PAWL_E_SERVER || st == PAWL_E_REFUSED || st == PAWL_E_INPUT)
    {
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = st == PAWL_E_SERVER ? PAWL_HEALTH_NOTE : PAWL_HEALTH_ERROR,
                .check = e->check,
                .message = st == PAWL_E_SERVER
                               ? pawl_findings_text(c->found, "could not be looked at: %s", wrong.message)
                               : wrong.message,
                .advice = wrong.hint});
        return PAWL_OK;
    }
    if (st != PAWL_OK)
    {
        *err = wrong;
        return st;
    }
    if (c->found->list.length == before && e->fine != NULL)
        pawl_findings_add(c->found, &(pawl_finding){.check = e->check, .message = e->fine});
    return PAWL_OK;
}

static pawl_status
run(pawl_doctor_case *c, pawl_health_report **out, pawl_error *err)
{
    const char *server;
    pawl_status st = open_server(c, err);

    if (st == PAWL_OK)
        st = in_transaction(c, read_role, err);
    for (size_t i = 0; i < sizeof examinations / sizeof examinations[0] && st == PAWL_OK; i++)
        st = examine(c, &examinations[i], err);
    if (st != PAWL_OK)
        return st;
    server = pawl_findings_text(c->found, "PostgreSQL %d.%d", pawl_pg_server_version(c->pg) / 10000,
                                pawl_pg_server_version(c->pg) % 10000);
    return pawl_findings_finish(c->found, pawl_pg_target(c->pg), server, out, err);
}

pawl_status
pawl_doctor(pawl_project *project, const pawl_doctor_options *what, const pawl_run_options *options,
            pawl_health_report **out, pawl_error *err)
{
    static const pawl_run_options none = {.stop = NULL};
    PAWL_AUTO(pawl_findings) found = NULL;
    PAWL_AUTO(pawl_arena) arena = pawl_arena_new();
    pawl_doctor_case c = {.project = project,
                          .options = options == NULL ? &none : options,
                          .transaction_s = what->transaction_s > 0 ? what->transaction_s : 60,
                          .arena = arena};
    pawl_status st;

    if (arena == NULL)
        return pawl_error_nomem(err, "the doctor");
    st = pawl_findings_new(&found, err);
    c.found = found;
    if (st == PAWL_OK)
        st = run(&c, out, err);
    pawl_vec_fini(&c.tables);
    pawl_pg_close(c.pg);
    pawl_ledger_free(c.ledger);
    return st;
}
