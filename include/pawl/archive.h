/*
 * archive.h - what a program must know to run pg_dump or pg_restore for a project's database.
 *
 * A library may not fork its host, so it does not run them: it resolves the project's connection, looks at the database
 * and says how another program gets there. `pawl backup` and `pawl restore` do the rest.
 *
 *   pawl_archive_look -> pawl_archive_free
 *
 * Threads: as pawl/project.h.
 * Memory:  the place belongs to the caller and outlives the project; it holds the password, if there is one.
 */
#ifndef PAWL_ARCHIVE_H
#define PAWL_ARCHIVE_H

#include "pawl/project.h"

typedef struct pawl_archive_place
{
    const char *target;                /* for people, nothing secret */
    const char *database;              /* its name */
    const char *server;                /* "PostgreSQL 15.18" */
    int32_t server_version;            /* 150018 */
    const pawl_key_value *environment; /* libpq's variables for the program; a NULL value: to be unset */
    size_t nenvironment;
    int64_t bytes;       /* of the database */
    int64_t tables;      /* of users, without those of extensions */
    int64_t objects;     /* tables, views, functions, schemas, ...; 0: the database is empty */
    const char *example; /* one of them, "" when it is empty */
    const char *runner;  /* who changes the database with pawl at the moment, or "" */
    void *memory;
} pawl_archive_place;

/*
 * Look at the project's database, past the pooler where `direct_database` says how. With `to_write` a standby is
 * refused. PAWL_E_REFUSED behind a pooler in transaction mode: a dump needs a session of its own.
 */
PAWL_API PAWL_NODISCARD pawl_status pawl_archive_look(pawl_project *project, bool to_write,
                                                      const pawl_run_options *options,
                                                      pawl_archive_place **out, pawl_error *err);
PAWL_API void pawl_archive_free(pawl_archive_place *place);

#endif
