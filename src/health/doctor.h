/*
 * doctor.h - what the files of the doctor share.
 *
 * Each examination runs in a transaction of its own, and adds what it found to the findings. One that returns an error
 * of the server is told as a note ("could not be looked at"), and the others go on.
 *
 * Threads: belongs to one thread.
 * Memory:  findings copy what they are given; `arena` is for the rest.
 */
#ifndef PAWL_HEALTH_DOCTOR_H
#define PAWL_HEALTH_DOCTOR_H

#include "catalog/table.h"
#include "health/findings.h"
#include "migrate/project.h"

typedef struct pawl_doctor_role
{
    const char *name; /* quoted */
    bool is_superuser;
    bool can_read_stats;
    bool can_set_replica_role;
    int64_t room; /* connections that it may still open */
    bool is_local;
    const char *data_directory; /* "" when it is hidden */
} pawl_doctor_role;

/* A table that pending steps work on. */
typedef struct pawl_doctor_table
{
    const char *name;        /* as the first step writes it */
    const char *search_path; /* under which that is read */
    const char *step;        /* "step 2 (backfill) of a41c20f9": the first that needs it */
    bool is_altered;         /* some step needs its owner */
    bool is_filled;          /* some step is a backfill */
    const pawl_table *table; /* NULL: there is none yet */
} pawl_doctor_table;

typedef struct pawl_doctor_case
{
    pawl_project *project;
    const pawl_run_options *options;
    int64_t transaction_s;
    pawl_findings *found;
    pawl_arena *arena;
    pawl_pg *pg;
    pawl_ledger *ledger;
    int ledger_version; /* 0: there is none, or it could not be read */
    pawl_doctor_role role;
    const char *sql_step; /* the first pending step of user's SQL, NULL: none */
    PAWL_VEC(pawl_doctor_table) tables;
} pawl_doctor_case;

typedef pawl_status (*pawl_doctor_look)(pawl_doctor_case *c, pawl_error *err);

/* doctor_server.c */
pawl_status pawl_doctor_settings(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_connections(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_visibility(pawl_doctor_case *c, pawl_error *err);

/* doctor_sessions.c */
pawl_status pawl_doctor_transactions(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_prepared(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_slots(pawl_doctor_case *c, pawl_error *err);

/* doctor_objects.c */
pawl_status pawl_doctor_indexes(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_publications(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_triggers(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_logs(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_scratch(pawl_doctor_case *c, pawl_error *err);

/* doctor_steps.c: pending fills `tables` and `sql_step`, the others read them. */
pawl_status pawl_doctor_ledger(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_pending(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_rights(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_vacuum(pawl_doctor_case *c, pawl_error *err);
pawl_status pawl_doctor_disk(pawl_doctor_case *c, pawl_error *err);

/* "3.2 GB", "12 min 5 s"-like texts in the findings' arena. */
const char *pawl_doctor_bytes(pawl_doctor_case *c, int64_t bytes);
const char *pawl_doctor_seconds(pawl_doctor_case *c, int64_t seconds);

#endif
