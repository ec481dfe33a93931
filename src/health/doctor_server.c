/* The server's settings, its connections, and what this role may see of it. */
#include <string.h>

#include "health/doctor.h"
#include "pawl_sql.h"

#include "util/banned.h"

/* The numbers of a run: the runner, its heartbeat, and what a worker needs beside its own. */
#define OTHER_CONNECTIONS 3
#define LOW_WAL_BYTES     (INT64_C(1) << 30)

static int
row_of(const pawl_pg_result *res, const char *name)
{
    for (int row = 0; row < pawl_pg_rows(res); row++)
        if (strcmp(pawl_pg_text(res, row, 0), name) == 0)
            return row;
    return -1;
}

static const char *
text_of(const pawl_pg_result *res, const char *name)
{
    int row = row_of(res, name);

    return row < 0 ? "" : pawl_pg_text(res, row, 1);
}

static int64_t
number_of(const pawl_pg_result *res, const char *name)
{
    int row = row_of(res, name);

    return row < 0 ? 0 : pawl_pg_i64(res, row, 2);
}

static bool
is_set_to(const pawl_pg_result *res, const char *name, const char *value)
{
    return strcmp(text_of(res, name), value) == 0;
}

/* Time-outs of the role. Those that pawl sets in each transaction are worth a line, because people wonder. */
static void
look_at_timeouts(pawl_doctor_case *c, const pawl_pg_result *res)
{
    static const char *const pinned[] = {"statement_timeout", "idle_in_transaction_session_timeout",
                                         "lock_timeout", "transaction_timeout"};
    int64_t idle_ms = number_of(res, "idle_session_timeout");
    int64_t deadlock_ms = pawl_pg_deadlock_timeout_ms(c->pg);
    int64_t lock_ms = c->project->settings.lock_timeout_ms;

    for (size_t i = 0; i < sizeof pinned / sizeof pinned[0]; i++)
        if (number_of(res, pinned[i]) > 0)
            pawl_findings_add(
                c->found, &(pawl_finding){
                              .level = PAWL_HEALTH_NOTE,
                              .check = "settings",
                              .object = pinned[i],
                              .message = pawl_findings_text(c->found, "this role has a %s of %lld ms",
                                                            pinned[i], (long long) number_of(res, pinned[i])),
                              .meaning = "pawl sets its own in every transaction: work is not cut short"});
    if (idle_ms > 0 && idle_ms <= c->project->settings.lease_ms / 3)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_WARNING,
                .check = "settings",
                .object = "idle_session_timeout",
                .message =
                    pawl_findings_text(c->found, "idle sessions end after %lld ms", (long long) idle_ms),
                .meaning = "the heartbeat that renews the lease is idle for longer than that, and another "
                           "pawl could take the lease over",
                .advice = pawl_findings_text(c->found, "ALTER ROLE %s SET idle_session_timeout = 0",
                                             c->role.name)});
    if (lock_ms > deadlock_ms / 2)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_NOTE,
                .check = "settings",
                .object = "deadlock_timeout",
                .message = pawl_findings_text(c->found, "it is %lld ms, and lock_timeout %lld ms",
                                              (long long) deadlock_ms, (long long) lock_ms),
                .meaning = pawl_findings_text(
                    c->found,
                    "locks are waited for %lld ms at most, so that the application is never the victim "
                    "of a deadlock",
                    (long long) (deadlock_ms / 2))});
}

static void
look_at_defaults(pawl_doctor_case *c, const pawl_pg_result *res)
{
    if (!is_set_to(res, "session_replication_role", "origin"))
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = c->role.can_set_replica_role ? PAWL_HEALTH_WARNING : PAWL_HEALTH_ERROR,
                .check = "settings",
                .object = "session_replication_role",
                .message = pawl_findings_text(c->found, "this role starts with \"%s\"",
                                              text_of(res, "session_replication_role")),
                .meaning = c->role.can_set_replica_role
                               ? "pawl sets it back; without that neither triggers nor foreign keys "
                                 "would work"
                               : "neither triggers nor foreign keys would work, and this role may not set "
                                 "it back",
                .advice = pawl_findings_text(c->found, "ALTER ROLE %s RESET session_replication_role",
                                             c->role.name)});
    if (!is_set_to(res, "default_transaction_isolation", "read committed"))
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_NOTE,
                            .check = "settings",
                            .object = "default_transaction_isolation",
                            .message = pawl_findings_text(c->found, "this role starts with \"%s\"",
                                                          text_of(res, "default_transaction_isolation")),
                            .meaning = "pawl asks for READ COMMITTED in every transaction"});
    if (is_set_to(res, "default_transaction_read_only", "on"))
        pawl_findings_add(
            c->found, &(pawl_finding){
                          .level = PAWL_HEALTH_NOTE,
                          .check = "settings",
                          .object = "default_transaction_read_only",
                          .message = "transactions of this role start read-only",
                          .meaning = "pawl asks for READ WRITE in every transaction; a statement that "
                                     "cannot run in one (CONCURRENTLY) will be refused",
                          .advice = pawl_findings_text(
                              c->found, "ALTER ROLE %s RESET default_transaction_read_only", c->role.name)});
}

static void
look_at_wal(pawl_doctor_case *c, const pawl_pg_result *res)
{
    int64_t wal = number_of(res, "max_wal_size");
    bool waits = text_of(res, "synchronous_standby_names")[0] != '\0' &&
                 !is_set_to(res, "synchronous_commit", "off") &&
                 !is_set_to(res, "synchronous_commit", "local");

    if (wal < LOW_WAL_BYTES)
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_WARNING,
                .check = "settings",
                .object = "max_wal_size",
                .message = pawl_findings_text(c->found, "it is %s", pawl_doctor_bytes(c, wal)),
                .meaning = "a backfill fills it in no time: checkpoints follow one another, and each makes "
                           "the server write whole pages again",
                .advice = "ALTER SYSTEM SET max_wal_size = '8GB'; SELECT pg_reload_conf(), where the disk "
                          "has the room"});
    if (is_set_to(res, "wal_level", "logical"))
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_NOTE,
                            .check = "settings",
                            .object = "wal_level",
                            .message = "it is \"logical\"",
                            .meaning = "every row that a backfill writes is decoded for each logical slot "
                                       "as well"});
    if (waits)
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_NOTE,
                            .check = "settings",
                            .object = "synchronous_standby_names",
                            .message = pawl_findings_text(c->found, "commits wait for standbys (%s)",
                                                          text_of(res, "synchronous_standby_names")),
                            .meaning = "each batch waits for them: larger batches cost less"});
    if (is_set_to(res, "fsync", "off") || is_set_to(res, "full_page_writes", "off"))
        pawl_findings_add(
            c->found, &(pawl_finding){.level = PAWL_HEALTH_WARNING,
                                      .check = "settings",
                                      .object = is_set_to(res, "fsync", "off") ? "fsync" : "full_page_writes",
                                      .message = "it is off",
                                      .meaning = "a crash of the machine can destroy the database, with "
                                                 "everything that pawl has recorded",
                                      .advice = "switch it on, unless the data can be thrown away"});
}

pawl_status
pawl_doctor_settings(pawl_doctor_case *c, pawl_error *err)
{
    PAWL_AUTO(pawl_pg_result) res = NULL;
    pawl_status st = pawl_pg_query(c->pg, pawl_sql_health_settings, 0, NULL, &res, err);

    if (st != PAWL_OK)
        return st;
    look_at_timeouts(c, res);
    look_at_defaults(c, res);
    look_at_wal(c, res);
    if (is_set_to(res, "autovacuum", "off") || is_set_to(res, "track_counts", "off"))
        pawl_findings_add(
            c->found,
            &(pawl_finding){.level = PAWL_HEALTH_WARNING,
                            .check = "settings",
                            .object = is_set_to(res, "autovacuum", "off") ? "autovacuum" : "track_counts",
                            .message = "it is off",
                            .meaning = "nothing removes the dead rows that a backfill leaves: "
                                       "the tables grow",
                            .advice = "switch it on"});
    return PAWL_OK;
}

pawl_status
pawl_doctor_connections(pawl_doctor_case *c, pawl_error *err)
{
    int64_t workers = c->project->settings.workers;
    int64_t wanted = workers + OTHER_CONNECTIONS;
    bool is_short = c->role.room < wanted;

    (void) err;
    pawl_findings_add(
        c->found,
        &(pawl_finding){
            .level = is_short ? PAWL_HEALTH_WARNING : PAWL_HEALTH_OK,
            .check = "connections",
            .object = is_short ? c->role.name : "",
            .message =
                pawl_findings_text(c->found, "%lld more can be opened, and %lld worker%s want%s %lld",
                                   (long long) (c->role.room < 0 ? 0 : c->role.room), (long long) workers,
                                   workers == 1 ? "" : "s", workers == 1 ? "s" : "", (long long) wanted),
            .meaning = is_short ? "workers will wait for a connection, or take the last ones from the "
                                  "application"
                                : "",
            .advice = is_short ? "lower backfill.workers, or raise max_connections or the limit of the role "
                                 "or database"
                               : ""});
    return PAWL_OK;
}

pawl_status
pawl_doctor_visibility(pawl_doctor_case *c, pawl_error *err)
{
    (void) err;
    if (c->role.can_read_stats)
        pawl_findings_add(c->found, &(pawl_finding){.check = "visibility",
                                                    .message = "the sessions of all roles can be seen"});
    else
        pawl_findings_add(
            c->found,
            &(pawl_finding){
                .level = PAWL_HEALTH_NOTE,
                .check = "visibility",
                .object = c->role.name,
                .message = "what other roles' sessions do is hidden from this role",
                .meaning = "long transactions may be missing here, and messages about locks cannot name "
                           "who holds them",
                .advice = pawl_findings_text(c->found, "GRANT pg_read_all_stats TO %s", c->role.name)});
    return PAWL_OK;
}
