/*
 * health.h - is this project fit to be deployed, and is this server fit for the work?
 *
 *   pawl_check | pawl_doctor -> (read the findings) -> pawl_health_free
 *
 * A check compares the files with each other and with what the ledger says was applied: for CI and deploys. A doctor
 * looks at the server, the role and the tables that pending steps will work on. Both only read: they make no ledger,
 * take no lock worth the name, and a check works on a standby.
 *
 * Threads: as pawl/project.h.
 * Memory:  a report belongs to the caller and outlives the project; pawl_health_free.
 */
#ifndef PAWL_HEALTH_H
#define PAWL_HEALTH_H

#include "pawl/project.h"

typedef enum pawl_health_level
{
    PAWL_HEALTH_OK,      /* looked at, and fine */
    PAWL_HEALTH_NOTE,    /* worth knowing */
    PAWL_HEALTH_WARNING, /* the work can be done, at a price */
    PAWL_HEALTH_ERROR,   /* it cannot, or must not */
} pawl_health_level;

typedef struct pawl_finding
{
    pawl_health_level level;
    const char *check;   /* which check found it: "heads", "slots", ...; stable */
    const char *object;  /* what it is about: a file, a revision, a table, a setting; "" when there is none */
    const char *message; /* what was found */
    const char *meaning; /* what that does to the user; "" when the message says it */
    const char *advice;  /* what to do; "" when nothing */
} pawl_finding;

typedef struct pawl_health_report
{
    const char *target; /* the database that was asked, "" when none was */
    const char *server; /* "PostgreSQL 15.18", "" when none was asked */
    pawl_finding *findings;
    size_t nfindings;
    pawl_health_level worst;
    void *memory;
} pawl_health_report;

typedef struct pawl_check_options
{
    bool offline;    /* files alone */
    bool pending_ok; /* revisions that are not applied yet are a note and no error */
} pawl_check_options;

/*
 * PAWL_OK when the check could be made, whatever it found. Checks: files, heads, ledger, half_applied, missing, edited,
 * pending.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_check(pawl_project *project, const pawl_check_options *what,
                                               const pawl_run_options *options, pawl_health_report **out,
                                               pawl_error *err);

typedef struct pawl_doctor_options
{
    int64_t transaction_s; /* a transaction open for longer is a finding; 0: 60 */
} pawl_doctor_options;

/*
 * PAWL_OK when the server could be reached, whatever was found there. What this role may not look at is a note, no
 * failure. Checks: server, pooler, settings, connections, visibility, transactions, prepared, slots, indexes,
 * publications, triggers, scratch, ledger, files, rights, vacuum, disk.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_doctor(pawl_project *project, const pawl_doctor_options *what,
                                                const pawl_run_options *options, pawl_health_report **out,
                                                pawl_error *err);

PAWL_API void pawl_health_free(pawl_health_report *report);

/* "ok", "note", "warning", "error". A static string. */
PAWL_API const char *pawl_health_level_name(pawl_health_level level);

#endif
