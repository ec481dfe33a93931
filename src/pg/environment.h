/*
 * environment.h - the way to a session's server as environment variables of libpq, for a program that is to be run
 * beside pawl (pg_dump). Passwords travel in the environment, never on a command line, which every user of the machine
 * can read.
 *
 * Threads: as session.h.
 * Memory:  the list lives in the arena that was given.
 */
#ifndef PAWL_PG_ENVIRONMENT_H
#define PAWL_PG_ENVIRONMENT_H

#include "pg/session.h"
#include "util/arena.h"

#include "pawl/project.h"

/*
 * Every variable that libpq reads: those with a NULL value are to be unset, so that the session's settings are the only
 * ones. Services are spelled out. PAWL_E_REFUSED when a secret has no variable of its own (sslpassword).
 */
PAWL_NODISCARD pawl_status pawl_pg_environment(const pawl_pg *pg, pawl_arena *arena, pawl_key_value **out,
                                               size_t *count, pawl_error *err);

/* The name of the session's database. */
const char *pawl_pg_database(const pawl_pg *pg);

#endif
